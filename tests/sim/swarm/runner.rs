//! Many seeds on all cores, what they come to, and one line for each that fails.
//!
//! `DFSD_SEED` is the first, `DFSD_SEEDS` how many, `DFSD_SECONDS` how long each has load and faults, and with
//! `DFSD_KEEP_GOING=1` a failure ends nothing. The same seeds come to the same `traces:` for as long as nothing that is
//! tested behaves otherwise. Invariant: a panic of what is tested is a failure of its seed.

use super::Violation;
use super::found::{FOUND, FOUND_BEFORE_AGING};
use super::plan::{Kind, Plan, Promise};
use super::run::{Failure, Report, last_events, run};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

/// Seeds of a plain test run.
const USUAL: u64 = 60;
/// Between two lines about how far a long run is.
const NEWS: Duration = Duration::from_secs(15);

thread_local! {
    /// Where and why this thread has panicked, if it plays a seed.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Panics of threads that play seeds are told with their seed, not where they happen.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let plays = PANIC.with(|panic| match &mut *panic.borrow_mut() {
                Some(told) => {
                    *told = info.to_string().replace('\n', " ");
                    true
                }
                None => false,
            });
            if !plays {
                before(info);
            }
        }));
    });
}

/// Plays a seed.
fn play(seed: u64) -> Result<Report, Failure> {
    play_plan(Plan::of(seed, variable("DFSD_SECONDS")))
}

/// Plays a plan; a panic is a violation.
fn play_plan(plan: Plan) -> Result<Report, Failure> {
    let seed = plan.seed;
    quiet_panics();
    PANIC.set(Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(|| run(plan)));
    let sentence = PANIC.take().unwrap_or_default();
    result.unwrap_or_else(|_| {
        let violation = Violation { oracle: "panic", sentence };
        Err(Failure { seed, violation, tail: last_events() })
    })
}

/// What all seeds came to.
#[derive(Default)]
struct Sum {
    seeds: u64,
    beyond: u64,
    virtual_time: Duration,
    acknowledged: u64,
    faults: BTreeMap<Kind, u64>,
    /// Of all runs, in whatever order they ended.
    traces: u64,
    failures: Vec<Failure>,
}

impl Sum {
    fn add(&mut self, result: Result<Report, Failure>) {
        self.seeds += 1;
        match result {
            Ok(report) => {
                self.beyond += u64::from(report.plan.promise == Promise::Beyond);
                self.virtual_time += report.virtual_time;
                self.acknowledged += report.acknowledged;
                self.traces = self.traces.wrapping_add(mixed(report.plan.seed, report.trace));
                for (kind, count) in report.faults {
                    *self.faults.entry(kind).or_default() += count;
                }
            }
            Err(failure) => self.failures.push(failure),
        }
    }

    fn line(&self, real: Duration) -> String {
        let (simulated, real) = (self.virtual_time.as_secs_f64(), real.as_secs_f64());
        format!(
            "{} seeds ({} beyond the promise), {} failed, {simulated:.0} s simulated in {real:.0} s \
             ({:.0} times), {} operations acknowledged",
            self.seeds,
            self.beyond,
            self.failures.len(),
            simulated / real.max(0.001),
            self.acknowledged,
        )
    }

    fn faults(&self) -> String {
        let told: Vec<_> =
            self.faults.iter().map(|(kind, count)| format!("{kind:?} {count}")).collect();
        told.join(", ")
    }
}

/// A sum of these tells from any other set of runs (splitmix64's mixer; Steele, Lea and Flood, 2014).
fn mixed(seed: u64, trace: u64) -> u64 {
    let mut mixed = trace ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A walk over seeds by all cores.
struct Runner {
    first: u64,
    count: u64,
    next: AtomicU64,
    stop: AtomicBool,
    keep_going: bool,
    sum: Mutex<Sum>,
    begun: Instant,
}

impl Runner {
    fn new(first: u64, count: u64) -> Self {
        Self {
            first,
            count,
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            keep_going: variable("DFSD_KEEP_GOING").is_some_and(|value| value > 0),
            sum: Mutex::default(),
            begun: Instant::now(),
        }
    }

    fn go(self) -> Sum {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| self.work())).collect();
            if self.count > USUAL {
                self.tell(|| workers.iter().all(std::thread::ScopedJoinHandle::is_finished));
            }
        });
        self.sum.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            if at >= self.count {
                return;
            }
            let result = play(self.first.wrapping_add(at));
            if let Err(failure) = &result {
                eprintln!("{failure}");
                self.stop.fetch_or(!self.keep_going, Ordering::Relaxed);
            }
            self.sum.lock().unwrap_or_else(PoisonError::into_inner).add(result);
        }
    }

    /// Says how far it is: often on a terminal, seldom in a file.
    fn tell(&self, is_over: impl Fn() -> bool) {
        let terminal = std::io::stderr().is_terminal();
        let pause = if terminal { Duration::from_millis(500) } else { NEWS };
        let mut told = Instant::now();
        while !is_over() {
            std::thread::sleep(Duration::from_millis(50));
            if told.elapsed() < pause {
                continue;
            }
            told = Instant::now();
            let sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
            let (line, next) = (sum.line(self.begun.elapsed()), self.first.wrapping_add(sum.seeds));
            let (before, after) = if terminal { ("\r", "\x1b[K") } else { ("", "\n") };
            eprint!("{before}{line}; next is about seed {next}{after}");
            std::io::stderr().flush().unwrap_or_default();
        }
        eprintln!();
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Nothing happens that must never happen, whatever the seed.
#[test]
fn seeds() {
    let (first, count) = (variable("DFSD_SEED"), variable("DFSD_SEEDS"));
    let begun = Instant::now();
    let usual = if first.is_some() { 1 } else { USUAL };
    let sum = Runner::new(first.unwrap_or(0), count.unwrap_or(usual)).go();
    println!("{}", sum.line(begun.elapsed()));
    println!("faults: {}", sum.faults());
    println!("traces: {:016x}", sum.traces);
    for failure in &sum.failures {
        let Violation { oracle, sentence } = &failure.violation;
        println!("failed: make sim SEED={} SEEDS=1   # {oracle}: {sentence}", failure.seed);
    }
    assert!(sum.failures.is_empty(), "{} seeds failed", sum.failures.len());
}

/// What was found once is not found again.
#[test]
fn found_seeds() {
    let young = |(seed, what)| (Plan::of(seed, None).without_aging(), what);
    let young = FOUND_BEFORE_AGING.iter().copied().map(young);
    let plans = FOUND.iter().map(|(seed, what)| (Plan::of(*seed, None), *what));
    for (plan, what) in young.chain(plans) {
        if let Err(failure) = play_plan(plan) {
            panic!("{what}, again:\n{failure}");
        }
    }
}

/// One seed gives one run.
#[test]
fn the_same_twice() {
    let last = variable("DFSD_SEED").unwrap_or(1000) + 4;
    for seed in last - 4..last {
        let twice = [play(seed), play(seed)].map(|result| match result {
            Ok(report) => report.trace,
            Err(failure) => panic!("{failure}"),
        });
        assert_eq!(twice[0], twice[1], "seed {seed} gave two different runs");
    }
}
