//! Crashes, all of them: after every call of short workloads every disk that the model of a power cut allows is opened by
//! the real recovery, and every call of every operation fails once.
//!
//! `DFSD_STATES` says how many states are visited in all (of up to twelve effects all are, if that is enough),
//! `DFSD_SEED` which of those that are sampled, `DFSD_WORKLOAD` which one workload, and `DFSD_RESUME` in which file to
//! note what is done, for a run that goes on another time. Invariant: a state that fails is told by workload, call and
//! number, which with the seed is all it takes to see it again.

pub(crate) mod calls;
mod collection;
mod explore;
mod indexes;
mod local_node;
mod oracle;
mod script;
mod workloads;

use explore::{Bounds, Visited};
use script::Script;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number is wanted"))
}

/// States of one workload that is made by dice.
const STATES_BY_DICE: u64 = 4_000;

/// Visits about so many states: half of them in the listed workloads, the others in workloads made by dice. What is wrong
/// with the first bad one.
pub(crate) fn check(states: u64, seed: u64) -> Result<Visited, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let log = Log::open();
    let mut all = Visited::default();
    let scripts = workloads::all();
    let each = states / 2 / scripts.len() as u64;
    for script in scripts {
        all.add(&log.visit(&script, Bounds { states: each, seed, threads })?);
    }
    println!("the listed workloads: {all}");
    if log.only.is_none() {
        let dice = Dice { all: Mutex::new(all), next: AtomicU64::new(0), states, seed };
        dice.visit(threads, &log)?;
        all = dice.all.into_inner().expect("no panic");
        println!("all workloads, {} of them by dice: {all}", dice.next.into_inner());
    }
    Ok(all)
}

/// Workloads by dice, one to a thread at a time, until there are enough states.
struct Dice {
    all: Mutex<Visited>,
    next: AtomicU64,
    states: u64,
    seed: u64,
}

impl Dice {
    fn visit(&self, threads: usize, log: &Log) -> Result<(), String> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| self.work(log))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
        })
    }

    fn work(&self, log: &Log) -> Result<(), String> {
        while self.all.lock().expect("no panic").visited < self.states {
            let number = self.next.fetch_add(1, Relaxed);
            let seed = self.seed.wrapping_mul(1_000_000).wrapping_add(number);
            let bounds = Bounds { states: STATES_BY_DICE, seed, threads: 1 };
            let visited = log.visit(&workloads::by_dice(seed), bounds);
            // One that is bad is enough: the other threads need not go on.
            let stop = |_: &String| self.all.lock().expect("no panic").visited = self.states;
            let visited = visited.inspect_err(stop)?;
            self.all.lock().expect("no panic").add(&visited);
        }
        Ok(())
    }
}

/// What was visited, workload by workload, so that a long run goes on where it was ended.
struct Log {
    path: Option<String>,
    done: BTreeMap<String, Visited>,
    only: Option<String>,
}

impl Log {
    fn open() -> Self {
        let path = std::env::var("DFSD_RESUME").ok().filter(|path| !path.is_empty());
        let text = path.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        let done = text.unwrap_or_default().lines().filter_map(parsed).collect();
        Self { path, done, only: std::env::var("DFSD_WORKLOAD").ok() }
    }

    fn visit(&self, script: &Script, bounds: Bounds) -> Result<Visited, String> {
        if self.only.as_ref().is_some_and(|only| *only != script.name) {
            return Ok(Visited::default());
        }
        let key = format!("{}, {} states, seed {}", script.name, bounds.states, bounds.seed);
        if let Some(visited) = self.done.get(&key) {
            return Ok(*visited);
        }
        let began = std::time::Instant::now();
        let visited = explore::script(script, bounds)?;
        if bounds.threads > 1 {
            println!("{key}: {visited}; {} s", began.elapsed().as_secs());
        }
        if let Some(path) = &self.path {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            let line = format!("{key}\t{:?}\n", visited.numbers());
            file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the file is ours");
        }
        Ok(visited)
    }
}

/// A line of the file.
fn parsed(line: &str) -> Option<(String, Visited)> {
    let (key, numbers) = line.split_once('\t')?;
    let numbers = numbers.trim_matches(['[', ']']).split(", ").map(str::parse);
    let numbers: Vec<u64> = numbers.collect::<Result<_, _>>().ok()?;
    Some((key.to_owned(), Visited::from_numbers(numbers.try_into().ok()?)))
}

#[test]
fn no_power_cut_loses_what_was_promised_or_shows_a_part() {
    let visited = check(number("DFSD_STATES", 24_000), number("DFSD_SEED", 1));
    let visited = visited.unwrap_or_else(|why| panic!("{why}"));
    assert!(visited.opened > 1_000, "few states were different: {visited}");
}
