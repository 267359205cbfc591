//! The stopwatch: what a piece of work takes on this machine, now.
//!
//! Knows no work. Invariant: a figure is the middle one of several rounds.

use super::figures::GIB;
use std::io;
use std::time::Duration;

/// How often each piece of work is done.
pub(super) const ROUNDS: usize = 5;

/// This thread's time on a processor.
pub(super) fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The middle one: what is measured in between is measured on the same machine, with whatever else it does.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Seconds of processor time of the middle one of the rounds.
pub(super) fn middle(mut work: impl FnMut()) -> f64 {
    let round = |_| {
        let before = cpu();
        work();
        (cpu() - before).as_secs_f64()
    };
    median((0..ROUNDS).map(round).collect())
}

/// The same of wall time, for work that may fail.
pub(super) fn middle_wall(mut work: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    let round = |_| {
        let begun = std::time::Instant::now();
        work()?;
        Ok(begun.elapsed().as_secs_f64())
    };
    Ok(median((0..ROUNDS).map(round).collect::<io::Result<_>>()?))
}

/// Seconds for a GiB, of seconds for so many bytes.
#[allow(clippy::cast_precision_loss, reason = "counts are small")]
pub(super) fn per_gib(seconds: f64, bytes: usize) -> f64 {
    seconds * GIB / bytes as f64
}

/// Microseconds for one, of seconds for so many.
#[allow(clippy::cast_precision_loss, reason = "counts are small")]
pub(super) fn micros(seconds: f64, count: usize) -> f64 {
    1e6 * seconds / count as f64
}
