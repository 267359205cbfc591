//! A flood: the client works alone, then while a crowd attacks; what it costs it and the daemon is measured.
//!
//! Knows no attack. Invariant: memory is bounded in every flood; times are judged in the full form only, against those
//! of the same run, and a flood that a busy machine spoilt is repeated.

use super::crowd::Crowd;
use super::victim::Victim;
use super::workload_client::{self, Times};
use dfsd::limits::{CONTROL_MEMORY, MEMORY_DEFAULT};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Each connection may cost this much besides the budgets.
const PER_CONNECTION: usize = 4 * 1024;
/// A client may wait so many times longer than in peace.
const RATIO_MAX: f64 = 2.0;
/// So often a flood is repeated before its times are believed.
const ATTEMPTS: usize = 3;

/// Whether attacks come at their full size: `make attack`.
pub(super) fn is_full() -> bool {
    std::env::var_os("DFSD_ATTACK").is_some_and(|form| form == "full")
}

/// A number of the full form, or of the short one.
pub(super) fn sized(full: usize, short: usize) -> usize {
    if is_full() { full } else { short }
}

/// An attack.
pub(super) struct Attack<B, G> {
    pub(super) name: &'static str,
    /// Connections that it holds open at a time, at most.
    pub(super) connections: usize,
    /// Before the client comes.
    pub(super) begin: B,
    /// Again and again while he works, with the time since the last.
    pub(super) go_on: G,
}

impl<B, G> Attack<B, G>
where
    B: Fn(&mut Crowd) + Sync,
    G: Fn(&mut Crowd, Duration) + Sync,
{
    /// Floods a daemon. Gives the crowd as the flood left it.
    pub(super) fn run(&self, victim: &mut Victim) -> Crowd {
        let time = if is_full() { Duration::from_secs(15) } else { Duration::from_millis(600) };
        for attempt in 1.. {
            let mut calm = workload_client::work(victim, 2 * attempt, time);
            let base = victim.memory();
            let mut crowd = Crowd::new(victim.address, &victim.access);
            (self.begin)(&mut crowd);
            let settled = victim.memory();
            let (mut times, peak) = self.flood(victim, &mut crowd, (2 * attempt + 1, time));
            assert!(victim.is_running(), "{}: the daemon ended", self.name);
            self.judge_memory(base, peak);
            let ratio = times.ratio(&mut calm);
            eprintln!(
                "{}: {ratio:.2} times as slow at the 99th percentile; memory {} KiB before, {} KiB flooded, {} KiB at most",
                self.name,
                base >> 10,
                settled >> 10,
                peak >> 10
            );
            eprintln!("  calm: {}\n  flooded: {}", calm.report(), times.report());
            if !is_full() || ratio <= RATIO_MAX {
                return crowd;
            }
            assert!(attempt < ATTEMPTS as u64, "{}: {ratio:.2} times as slow", self.name);
        }
        unreachable!("the attempts are counted")
    }

    fn flood(
        &self,
        victim: &Victim,
        crowd: &mut Crowd,
        (seed, time): (u64, Duration),
    ) -> (Times, usize) {
        let (over, peak) = (AtomicBool::new(false), AtomicUsize::new(victim.memory()));
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut last = Instant::now();
                while !over.load(Ordering::Relaxed) {
                    let now = Instant::now();
                    (self.go_on)(crowd, now - last);
                    last = now;
                    crowd.turn(Duration::from_millis(2));
                }
            });
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    peak.fetch_max(victim.memory(), Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(20));
                }
            });
            // Even a client who fails ends the flood.
            let times = std::panic::catch_unwind(|| workload_client::work(victim, seed, time));
            over.store(true, Ordering::Relaxed);
            let times = times.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (times, peak.load(Ordering::Relaxed))
        })
    }

    fn judge_memory(&self, base: usize, peak: usize) {
        let bound = base + MEMORY_DEFAULT + CONTROL_MEMORY + self.connections * PER_CONNECTION;
        assert!(peak <= bound, "{}: {peak} bytes of memory, more than {bound}", self.name);
    }
}
