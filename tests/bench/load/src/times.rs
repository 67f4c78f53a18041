//! Durations of requests, and this process's own time on the processors.

use std::time::Duration;

use nix::sys::resource::{getrusage, UsageWho};
use nix::sys::time::TimeValLike;

/// The q-quantile in milliseconds.
pub fn quantile(times: &mut [Duration], q: f64) -> f64 {
    times.sort_unstable();
    let at = ((times.len() as f64 * q) as usize).min(times.len().saturating_sub(1));
    times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

pub fn cpu_ms() -> Result<f64, std::io::Error> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_unsorted_times() {
        let mut times: Vec<Duration> = [3, 1, 2, 5, 4].map(Duration::from_millis).to_vec();
        assert_eq!((quantile(&mut times, 0.5), quantile(&mut times, 0.99)), (3.0, 5.0));
        assert!(quantile(&mut [], 0.5).is_nan());
    }
}
