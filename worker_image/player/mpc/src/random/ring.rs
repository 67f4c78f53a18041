//! The ring that values live in. Players compute in `Z64`; the privacy tests run the very same code
//! in rings of two to five bits, over all randomness.

/// Integers modulo 2^BITS, kept as the low bits of a word.
pub(crate) trait Ring: 'static {
    const BITS: u32;
    /// A comparison is right for |t| < 2^(WINDOW - 1); it looks at the WINDOW - 1 bits below.
    const WINDOW: u32;
    /// How ASTRA's tree cuts these bits into digits, least significant first.
    const DIGITS: &'static [usize];
    /// The field of SecureNN's private compare: a prime above WINDOW.
    const PRIME: u16;

    const MASK: u64 = u64::MAX >> (64 - Self::BITS);
    /// The position of the most significant bit.
    const SIGN: u32 = Self::BITS - 1;
    /// Makes every value that may be truncated positive: |z| < OFFSET.
    const OFFSET: u64 = 1 << (Self::BITS - 2);
    /// All bits but the most significant one.
    const LOW: u64 = Self::MASK >> 1;
    /// Entries of a private compare: one for each compared bit, and one for equality.
    const ENTRIES: usize = Self::WINDOW as usize;
    /// Base-PRIME digits travel in threes, sixteen bits each.
    const TRIPLES: usize = Self::ENTRIES.div_ceil(3);

    #[inline(always)]
    fn add(a: u64, b: u64) -> u64 {
        a.wrapping_add(b) & Self::MASK
    }

    #[inline(always)]
    fn sub(a: u64, b: u64) -> u64 {
        a.wrapping_sub(b) & Self::MASK
    }
}

/// Integers modulo 2^64.
pub(crate) struct Z64;

impl Ring for Z64 {
    const BITS: u32 = 64;
    const WINDOW: u32 = 32;
    const DIGITS: &'static [usize] = &[4, 4, 4, 4, 4, 4, 4, 3];
    const PRIME: u16 = 37;
}
