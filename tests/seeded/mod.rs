//! The tests tested: each seeded bug must be found by the test or the seeds that are named here.
//!
//! Knows no mechanism: a bug is switched on in a process of its own, which must fail; without a bug the same must pass.
//! Invariant: every bug of `dfsd::seeded` is in the table. `DFSD_BUG=name` tries one, `DFSD_FINDER=seeds` all by seeds;
//! `DFSD_ALONE=1` tries the same tests without a bug as well.

mod finders;

use dfsd::seeded::Bug;
use finders::{FINDERS, Finder};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What takes longer than this has found nothing.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Processes at a time.
const WORKERS: usize = 2;
/// Seeds for a bug whose seeds nobody has counted.
const SEEDS: u64 = 40;

/// How a process with a bug, or without one, has ended.
struct Ending {
    failed: bool,
    /// What it said of that.
    why: String,
    took: Duration,
}

fn run(bug: Option<Bug>, finder: Finder) -> Ending {
    let begun = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("output");
    let (test, seeds) = match finder {
        Finder::Seeds(count) => ("sim::swarm::runner::seeds", count),
        Finder::Test(name) => (name, 0),
    };
    let output = File::create(&path).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--include-ignored", "--nocapture", "--test-threads=1"]);
    command.env_remove("DFSD_SEEDED").env("DFSD_SEEDS", seeds.to_string());
    command.envs(bug.map(|bug| ("DFSD_SEEDED", format!("{bug:?}"))));
    command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    let mut child = command.spawn().unwrap();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if begun.elapsed() > TIMEOUT => break None,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if status.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let said = std::fs::read(&path).unwrap();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("running 1 test"), "there is no test {test}");
    // Whatever is slow on a busy machine may not end in time: that finds nothing.
    let failed = status.is_some_and(|status| !status.success());
    let why = if status.is_none() { "it did not end".to_owned() } else { reason(&said) };
    Ending { failed, why, took: begun.elapsed() }
}

/// What the output says of the failure: the seeds it took, or where something panicked.
fn reason(said: &str) -> String {
    let seed = said.lines().find_map(|line| line.strip_prefix("failed: make sim SEED="));
    let panic = said.lines().skip_while(|line| !line.contains("panicked at")).nth(1);
    let line = match seed.and_then(|line| line.split_once(" SEEDS=1   # ")) {
        Some((seed, why)) => {
            let tried = seed.parse::<u64>().map_or(0, |seed| seed + 1);
            format!("{tried:>3} seeds: {why}")
        }
        None => panic.unwrap_or_default().to_owned(),
    };
    line.chars().take(110).collect()
}

/// Calls `work` with each number below `count`, a few at a time.
fn each(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let at = next.fetch_add(1, Ordering::Relaxed)
                    && at < count
                {
                    work(at);
                }
            });
        }
    });
}

#[test]
fn every_seeded_bug_is_found() {
    let only = std::env::var("DFSD_BUG").ok();
    let by_seeds = std::env::var("DFSD_FINDER").is_ok_and(|finder| finder == "seeds");
    let count = std::env::var("DFSD_SEEDS").ok().and_then(|count| count.parse().ok());
    let chosen = |bug: Bug| only.as_ref().is_none_or(|only| format!("{bug:?}") == *only);
    let mut bugs: Vec<(Bug, Finder)> =
        FINDERS.iter().copied().filter(|(bug, _)| chosen(*bug)).collect();
    for (_, finder) in &mut bugs {
        *finder = match *finder {
            Finder::Test(_) if by_seeds => Finder::Seeds(count.unwrap_or(SEEDS)),
            Finder::Seeds(usual) => Finder::Seeds(count.unwrap_or(usual)),
            finder => finder,
        };
    }
    let missed = Mutex::new(Vec::new());
    each(bugs.len(), |at| {
        let (bug, finder) = bugs[at];
        let ending = run(Some(bug), finder);
        report(bug, finder, &ending);
        if !ending.failed {
            missed.lock().unwrap().push(bug);
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "nobody noticed {missed:?}");
    // Where all tests run these run without a bug by themselves.
    if std::env::var_os("DFSD_ALONE").is_some() {
        without_a_bug(&bugs);
    }
}

fn report(bug: Bug, finder: Finder, ending: &Ending) {
    let mut line = format!("{:<20} {:>5.1} s  ", format!("{bug:?}"), ending.took.as_secs_f32());
    match finder {
        _ if !ending.failed => write!(line, "NOT FOUND by {finder:?}: {}", bug.sentence()).unwrap(),
        Finder::Seeds(_) => line += &ending.why,
        Finder::Test(name) => write!(line, "{name}: {}", ending.why).unwrap(),
    }
    println!("{line}");
}

/// What fails without a bug says nothing about one.
fn without_a_bug(bugs: &[(Bug, Finder)]) {
    let mut finders = BTreeMap::new();
    for (_, finder) in bugs {
        match finder {
            // The seeds of the simulator are played without bugs by its own tests.
            Finder::Seeds(count) => {
                let most = finders.entry("").or_insert(*finder);
                if matches!(most, Finder::Seeds(other) if *other < *count) {
                    *most = *finder;
                }
            }
            Finder::Test(name) => {
                finders.insert(name, *finder);
            }
        }
    }
    let finders: Vec<Finder> = finders.into_values().collect();
    each(finders.len(), |at| {
        let ending = run(None, finders[at]);
        assert!(!ending.failed, "without a bug: {:?}: {}", finders[at], ending.why);
    });
    println!("without a bug, the same {} find nothing", finders.len());
}

#[test]
fn the_table_has_every_bug_once() {
    for bug in Bug::ALL {
        let rows = FINDERS.iter().filter(|(other, _)| other == bug).count();
        assert_eq!(rows, 1, "{bug:?}");
    }
    assert_eq!(FINDERS.len(), Bug::ALL.len());
}
