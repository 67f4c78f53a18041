//! Chooses vector instructions at run time. The passes are plain Rust, compiled once for each
//! level: bit-equal by construction, and tested to be.
//!
//! The crate's only `unsafe`: calling what was compiled for instructions that the machine was found
//! to have.
#![allow(unsafe_code)]

/// Vector instructions that passes are compiled for. On aarch64 portable code has NEON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    pub(crate) const ALL: &'static [Level] = &[
        Level::Portable,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512,
    ];

    /// Whether this machine has the instructions.
    pub(crate) fn is_available(self) -> bool {
        match self {
            Level::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => std::is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                std::is_x86_feature_detected!("avx2")
                    && std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512bw")
                    && std::is_x86_feature_detected!("avx512dq")
                    && std::is_x86_feature_detected!("avx512vl")
            }
        }
    }

    /// The strongest that this machine has.
    pub(crate) fn best() -> Level {
        Level::ALL
            .iter()
            .rev()
            .copied()
            .find(|level| level.is_available())
            .unwrap_or(Level::Portable)
    }

    /// Runs `pass` with these instructions, or portably if the machine lacks them. `pass` is a
    /// closure marked `#[inline(always)]`, so that it is compiled into each of the functions below;
    /// what it calls has to be inlined too, which iterator adapters are and `std::array::from_fn`
    /// is not.
    #[inline(always)]
    pub(crate) fn run<T>(self, pass: impl FnOnce() -> T) -> T {
        if !self.is_available() {
            return pass();
        }
        match self {
            Level::Portable => pass(),
            // SAFETY: `is_available` has asked the machine for every instruction set that the
            // function is compiled for.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { avx2(pass) },
            // SAFETY: likewise.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { avx512(pass) },
        }
    }
}

/// Runs `pass` with the strongest instructions of this machine.
#[inline(always)]
pub(crate) fn vectorized<T>(pass: impl FnOnce() -> T) -> T {
    Level::best().run(pass)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<T>(pass: impl FnOnce() -> T) -> T {
    pass()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512<T>(pass: impl FnOnce() -> T) -> T {
    pass()
}

/// Eight ring elements in registers, for the one loop that compilers do not turn into good vector
/// code by themselves. Methods are called inside `Level::run` of their level.
pub(crate) trait Lanes: Copy {
    const ZERO: [u64; 8] = [0; 8];

    fn load(values: &[u64; 8]) -> Self;
    /// Eight times the same.
    fn splat(value: u64) -> Self;
    /// self + v·w, each with each.
    fn add_product(self, v: Self, w: Self) -> Self;
    fn store(self) -> [u64; 8];
}

impl Lanes for [u64; 8] {
    #[inline(always)]
    fn load(values: &[u64; 8]) -> Self {
        *values
    }

    #[inline(always)]
    fn splat(value: u64) -> Self {
        [value; 8]
    }

    #[inline(always)]
    fn add_product(mut self, v: Self, w: Self) -> Self {
        for ((sum, v), w) in self.iter_mut().zip(&v).zip(&w) {
            *sum = sum.wrapping_add(v.wrapping_mul(*w));
        }
        self
    }

    #[inline(always)]
    fn store(self) -> [u64; 8] {
        self
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512i);

    impl Lanes for Avx512 {
        #[inline(always)]
        fn load(values: &[u64; 8]) -> Self {
            // SAFETY: used inside `Level::run` of Avx512 alone; `values` has eight elements.
            Avx512(unsafe { _mm512_loadu_si512(values.as_ptr().cast()) })
        }

        #[inline(always)]
        fn splat(value: u64) -> Self {
            // SAFETY: used inside `Level::run` of Avx512 alone.
            Avx512(unsafe { _mm512_set1_epi64(value as i64) })
        }

        #[inline(always)]
        fn add_product(self, v: Self, w: Self) -> Self {
            // SAFETY: used inside `Level::run` of Avx512 alone.
            Avx512(unsafe { _mm512_add_epi64(self.0, _mm512_mullo_epi64(v.0, w.0)) })
        }

        #[inline(always)]
        fn store(self) -> [u64; 8] {
            let mut out = Self::ZERO;
            // SAFETY: used inside `Level::run` of Avx512 alone; `out` has eight elements.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), self.0) };
            out
        }
    }

    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2([__m256i; 2]);

    impl Lanes for Avx2 {
        #[inline(always)]
        fn load(values: &[u64; 8]) -> Self {
            // SAFETY: used inside `Level::run` of Avx2 alone; `values` has eight elements, four a
            // half.
            Avx2(
                [0, 4]
                    .map(|first| unsafe { _mm256_loadu_si256(values.as_ptr().add(first).cast()) }),
            )
        }

        #[inline(always)]
        fn splat(value: u64) -> Self {
            // SAFETY: used inside `Level::run` of Avx2 alone.
            Avx2([unsafe { _mm256_set1_epi64x(value as i64) }; 2])
        }

        /// A 64-bit product modulo 2^64 is low·low + 2^32·(low·high + high·low).
        #[inline(always)]
        fn add_product(self, v: Self, w: Self) -> Self {
            // SAFETY: used inside `Level::run` of Avx2 alone.
            unsafe {
                let mut sums = self.0;
                for ((sum, v), w) in sums.iter_mut().zip(v.0).zip(w.0) {
                    let cross = _mm256_add_epi64(
                        _mm256_mul_epu32(v, _mm256_srli_epi64(w, 32)),
                        _mm256_mul_epu32(_mm256_srli_epi64(v, 32), w),
                    );
                    let product =
                        _mm256_add_epi64(_mm256_mul_epu32(v, w), _mm256_slli_epi64(cross, 32));
                    *sum = _mm256_add_epi64(*sum, product);
                }
                Avx2(sums)
            }
        }

        #[inline(always)]
        fn store(self) -> [u64; 8] {
            let mut out = Self::ZERO;
            for (half, values) in self.0.iter().zip(out.chunks_exact_mut(4)) {
                // SAFETY: used inside `Level::run` of Avx2 alone; `values` has four elements.
                unsafe { _mm256_storeu_si256(values.as_mut_ptr().cast(), *half) };
            }
            out
        }
    }
}
