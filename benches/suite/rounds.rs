//! The rounds: every case run in turn, between measures of what this machine costs.
//!
//! Judges nothing. Invariant: only ratios within one run are compared: seconds depend on the machine.

use super::Suite;
use super::baseline::{self, Baseline, said};
use super::bulk::{self, Bulk};
use super::cases::{Case, LONG, STANDARD};
use super::figures::Figures;
use super::goals::Known;
use super::harness::{self, Stop};
use super::verdict::{Outcome, Rounds, judge};
use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

/// A file system may remember for so long what was removed.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(40);

/// Runs all of it: false if something failed or has become worse, and what is told of it.
pub(super) fn run(options: &Suite, stop: &Stop) -> Result<(bool, String), String> {
    let reference = options.reference.as_deref().map(Outcome::read).transpose()?;
    let cases: Vec<&Case> = STANDARD
        .iter()
        .chain(LONG.iter().filter(|_| options.long))
        .filter(|case| options.only.as_ref().is_none_or(|text| case.name.contains(text)))
        .collect();
    let mut rounds = Rounds::default();
    for number in 0..options.rounds {
        if number > 0 {
            stop.sleep(BETWEEN_ROUNDS)?;
        }
        // A file system may take long to make new files while it remembers many that were just removed (ext4 without a
        // journal does): what the standard cases store is kept until all has been measured.
        let scratch = baseline::scratch(options.folder.as_deref());
        let scratch = scratch.map_err(|error| format!("no folder for the daemons: {error}"))?;
        round(&cases, scratch.path(), stop, &mut rounds)?;
    }
    let (outcome, any_worse, mut told) = judge(&cases, &rounds, reference.as_ref());
    if options.json {
        told = outcome.to_json()?;
    }
    Ok((!rounds.any_error() && !any_worse, told))
}

fn round(cases: &[&Case], folder: &Path, stop: &Stop, rounds: &mut Rounds) -> Result<(), String> {
    let quiet = !io::stderr().is_terminal();
    let parts = folder.join("parts");
    fs::create_dir_all(&parts).map_err(|error| said(&error))?;
    let baseline = baseline::measure_in(&parts).map_err(|error| said(&error))?;
    let mut known = Known::default();
    for (number, case) in cases.iter().enumerate() {
        let folder = folder.join(number.to_string());
        let (figures, bulk) = one(case, &folder).map_err(|why| format!("{}: {why}", case.name))?;
        stop.check()?;
        let baseline = Baseline { bulk: bulk.unwrap_or(baseline.bulk), ..baseline };
        known.add(case.name, &figures);
        rounds.add(case, &figures, |goal| goal.ratio(&figures, &baseline, &known));
        if LONG.iter().any(|long| long.name == case.name) {
            // All of them together may be more than the disk holds. What is left is seen when the scratch goes.
            let _ = fs::remove_dir_all(&folder);
        }
        if !quiet {
            eprintln!("{}: {} errors", case.name, figures.error_count);
        }
    }
    Ok(())
}

/// One case, and what bytes cost around it if that counts.
fn one(case: &Case, folder: &Path) -> Result<(Figures, Option<Bulk>), String> {
    let bulk = |name: &str| bulk::measure(&folder.join(name)).map_err(|error| said(&error));
    // What memory and the page cache cost changes by the minute where other machines share them.
    let is_bulk = case.is_bulk() && case.goals.iter().any(|goal| goal.is_of_parts());
    let before = is_bulk.then(|| bulk("before")).transpose()?;
    let nodes = folder.join("nodes");
    let nodes = nodes.to_str().ok_or("the folder's name is no text")?;
    let words = case.words.split(' ').chain(["--keep-data", "--folder", nodes]);
    let figures = harness::run(words)?;
    let around = before.map(|before| Ok(before.midpoint(&bulk("after")?))).transpose();
    around.map(|bulk: Option<Bulk>| (figures, bulk))
}

#[cfg(test)]
mod tests {
    use super::super::goals::Goal;
    use super::*;
    use std::collections::BTreeSet;
    use std::process::Command;

    fn all() -> Vec<&'static Case> {
        STANDARD.iter().chain(LONG).collect()
    }

    #[test]
    fn every_case_of_the_suite_is_a_command_line() {
        for case in all() {
            // What comes before is parsed before help is given.
            let mut command = Command::new(env!("CARGO_BIN_EXE_dfs-load"));
            let output = command.args(case.words.split(' ')).arg("--help").output().unwrap();
            assert!(output.status.success(), "{}", case.name);
        }
        let output = Command::new(env!("CARGO_BIN_EXE_dfs-load")).args(["fly", "--help"]).output();
        assert!(!output.unwrap().status.success());
    }

    #[test]
    fn the_bytes_of_large_files_alone_are_measured_around_a_case() {
        let bulk: Vec<_> = STANDARD.iter().filter(|case| case.is_bulk()).collect();
        let names: Vec<_> = bulk.iter().map(|case| case.name).collect();
        assert_eq!(names, ["put 8 MiB", "put 8 MiB, three nodes", "get 8 MiB"]);
    }

    #[test]
    fn names_are_unique_and_what_is_compared_with_comes_before() {
        let mut known = BTreeSet::new();
        for case in all() {
            for goal in case.goals {
                let others: &[&str] = match goal {
                    Goal::Slowest(cases, _) => cases,
                    Goal::Like(case, _) => std::slice::from_ref(case),
                    _ => &[],
                };
                assert!(others.iter().all(|other| known.contains(other)), "{}", case.name);
            }
            assert!(known.insert(case.name), "{}", case.name);
        }
    }
}
