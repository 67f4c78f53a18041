//! Tests of hypotheses. p-values are natural logarithms, good far beyond the smallest double.

use std::f64::consts::{LN_10, SQRT_2};

/// ln erfc(x), with a relative error of erfc below 1.2e-7 (Press et al., Numerical Recipes, section
/// 6.2).
fn ln_erfc(x: f64) -> f64 {
    if x < 0.0 {
        return (2.0 - ln_erfc(-x).exp()).ln();
    }
    const COEFFICIENTS: [f64; 10] = [
        -1.26551223,
        1.00002368,
        0.37409196,
        0.09678418,
        -0.18628806,
        0.27886807,
        -1.13520398,
        1.48851587,
        -0.82215223,
        0.17087277,
    ];
    let t = 1.0 / (1.0 + x / 2.0);
    t.ln() - x * x + COEFFICIENTS.iter().rev().fold(0.0, |sum, c| sum * t + c)
}

/// Both tails of a normal distribution.
pub(super) fn normal(z: f64) -> f64 {
    ln_erfc(z.abs() / SQRT_2)
}

/// `ones` of `n` fair coins.
pub(super) fn coin(ones: u64, n: u64) -> f64 {
    normal((2.0 * ones as f64 - n as f64) / (n as f64).sqrt())
}

/// A coin among `coins` fair ones that gave the same in each of `runs` runs (Boole).
pub(super) fn constant(coins: u64, runs: u32) -> f64 {
    ((coins as f64).ln() + (1.0 - f64::from(runs)) * std::f64::consts::LN_2).min(0.0)
}

/// Whether two series of coins, said to be fair, differ.
pub(super) fn two_coins(ones: [u64; 2], n: [u64; 2]) -> f64 {
    let [a, b] = [0, 1].map(|i| ones[i] as f64 / n[i] as f64);
    normal((a - b) / (0.5 * (1.0 / n[0] as f64 + 1.0 / n[1] as f64).sqrt()))
}

/// The upper tail of χ² (Wilson and Hilferty, 1931).
fn chi_square(x: f64, freedom: f64) -> f64 {
    let variance = 2.0 / (9.0 * freedom);
    let z = ((x / freedom).cbrt() - 1.0 + variance) / variance.sqrt();
    ln_erfc(z / SQRT_2) - std::f64::consts::LN_2
}

/// Whether a die is fair.
pub(super) fn die(counts: &[u64]) -> f64 {
    let expected = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    let x = counts.iter().map(|count| (*count as f64 - expected).powi(2) / expected).sum();
    chi_square(x, counts.len() as f64 - 1.0)
}

/// The least p-value of a family of tests.
pub(super) struct Verdict {
    tests: u64,
    least: f64,
    /// The test that it is from.
    pub finding: String,
}

impl Verdict {
    pub(super) fn new() -> Verdict {
        Verdict { tests: 0, least: 0.0, finding: "nothing".into() }
    }

    pub(super) fn add(&mut self, p: f64, test: impl FnOnce() -> String) {
        self.tests += 1;
        if p < self.least {
            (self.least, self.finding) = (p, test());
        }
    }

    /// log10 of the probability that some test of the family gives so small a value by chance
    /// (Bonferroni).
    pub(super) fn log10(&self) -> f64 {
        ((self.least + (self.tests as f64).ln()) / LN_10).min(0.0)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p = 10^{:.1} over {} tests, from {}", self.log10(), self.tests, self.finding)
    }
}

#[test]
fn tails_agree_with_tables() {
    let near = |ln_p: f64, p: f64| {
        assert!((ln_p - p.ln()).abs() < 1e-2 * p.ln().abs().max(1.0), "{} and {p}", ln_p.exp())
    };
    near(normal(1.959_964), 0.05);
    near(normal(-4.891_638), 1e-6);
    near(normal(37.0471), 2.0 * 1e-300);
    near(chi_square(50.998, 36.0), 0.05);
    near(chi_square(67.985, 36.0), 1e-3);
    near(chi_square(20.0, 36.0), 0.985_82);
}

#[test]
fn a_loaded_coin_is_told_from_a_fair_one() {
    assert!(coin(510_000, 1_000_000) < -150.0 && coin(500_500, 1_000_000) > -2.0);
    assert!(
        two_coins([400, 600], [1000, 1000]) < -30.0 && two_coins([500, 510], [1000, 1000]) > -2.0
    );
    assert!(die(&[100, 100, 160]) < -5.0 && die(&[100, 90, 110]) > -2.0);
    assert!(constant(1 << 16, 100) < -50.0 && constant(1 << 16, 17) == 0.0);
}
