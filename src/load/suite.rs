//! The standard suite: what each workload costs as a ratio to its parts, beside a reference.
//!
//! Knows no network. Invariant: only ratios within one run are compared: seconds depend on the machine.

use super::args::{Command, Suite, Workload};
use super::figures::Figures;
use super::run::{perform, print};
use super::{args, parts, yardstick};
use crate::cli::args::Place;
use clap::Parser;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{self, IsTerminal};

/// A ratio that has become so much worse is an error.
const WORSE: f64 = 1.5;

/// Each line of the suite: a name, and the command line that it stands for.
const LINES: &[(&str, &str)] = &[
    ("put 4 KiB, one node", "put --spawn 1 --conns 16 --ops 30000"),
    ("put 4 KiB, three nodes", "put --spawn 3 --conns 64 --ops 20000"),
    ("get 4 KiB, one node", "get --spawn 1 --conns 16 --ops 60000 --keys 2000"),
    (
        "mixed, three nodes, compared",
        "mixed --spawn 3 --verify --ops 30000 --size lognormal:8KiB:1",
    ),
    ("put 8 MiB, one node", "put --spawn 1 --conns 2 --size 8MiB --ops 128"),
    ("put 8 MiB, three nodes", "put --spawn 3 --conns 2 --size 8MiB --ops 64"),
    ("get 8 MiB, one node", "get --spawn 1 --conns 2 --size 8MiB --keys 32 --ops 256"),
    ("handshakes", "connect --spawn 1 --conns 16 --ops 5000"),
];

/// What the suite came to: ratios to the parts, and operations a second where there are no parts.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Outcome {
    ratios: BTreeMap<String, f64>,
    rates: BTreeMap<String, f64>,
}

/// Runs all of it; false if something failed or has become worse.
pub(super) fn run(options: &Suite) -> Result<bool, String> {
    let reference = options.reference.as_deref().map(|file| {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
        let parsed = text.and_then(|text| {
            serde_json::from_str::<Outcome>(&text).map_err(|error| error.to_string())
        });
        parsed.map_err(|error| format!("{}: {error}", file.display()))
    });
    let reference = reference.transpose()?;
    let stick = yardstick::measure(options.folder.as_deref());
    let stick = stick.map_err(|error| format!("the yardstick can't be measured: {error}"))?;
    let quiet = !io::stderr().is_terminal();
    let (mut outcome, mut good, mut out) = (Outcome::default(), true, String::new());
    let mut any_worse = false;
    for (name, words) in LINES {
        let figures = line(words, options, quiet)?;
        good &= figures.error_count == 0;
        let workload = figures.workload_of();
        let found = workload.and_then(|workload| parts::of(workload, &figures, &stick));
        let ratio = found.map(|parts| parts.ratio);
        let known = reference.as_ref().and_then(|known| known.ratios.get(*name).copied());
        let is_worse = ratio.zip(known).is_some_and(|(now, known)| now > WORSE * known);
        any_worse |= is_worse;
        tell(&mut out, name, &figures, (ratio, known, is_worse));
        outcome.ratios.extend(ratio.map(|ratio| ((*name).to_owned(), ratio)));
        outcome.rates.insert((*name).to_owned(), figures.operations_per_second);
    }
    if any_worse {
        out += "WORSE: by more than half. Whatever else runs here may be why: run it again when nothing does.\n";
    }
    if options.json {
        let text = serde_json::to_string_pretty(&outcome).map_err(|error| error.to_string())?;
        print(&format!("{text}\n"))?;
    } else {
        print(&out)?;
    }
    Ok(good && !any_worse)
}

fn line(words: &str, options: &Suite, quiet: bool) -> Result<Figures, String> {
    let parsed =
        args::Arguments::try_parse_from(std::iter::once("dfs-load").chain(words.split(' ')));
    let parsed = parsed.map_err(|error| error.to_string())?;
    let (workload, mut load) = match parsed.command {
        Command::Put(load) => (Workload::Put, load),
        Command::Get(load) => (Workload::Get, load),
        Command::Mixed(load) => (Workload::Mixed, load),
        Command::Connect(load) => (Workload::Connect, load),
        other => return Err(format!("{other:?} is not of the suite")),
    };
    load.folder.clone_from(&options.folder);
    let place = Place { data: None, ticket: None, quiet };
    perform(&place, (workload, &load), quiet)
}

fn tell(
    out: &mut String,
    name: &str,
    figures: &Figures,
    (ratio, known, is_worse): (Option<f64>, Option<f64>, bool),
) {
    let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2} times its parts"));
    let known = known.map_or_else(String::new, |known| format!("(reference {known:.2})"));
    let worse = if is_worse { "WORSE" } else { "" };
    let errors = match figures.error_count {
        0 => String::new(),
        count => format!("{count} ERRORS"),
    };
    let (rate, mib) = (figures.operations_per_second, figures.mib_per_second);
    writeln!(out, "{name:30}{rate:>9.0}/s{mib:>9.1} MiB/s  {ratio:24}{known} {worse}{errors}")
        .expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_suite_is_a_command_line() {
        for (name, words) in LINES {
            let words = std::iter::once("dfs-load").chain(words.split(' '));
            assert!(args::Arguments::try_parse_from(words).is_ok(), "{name}");
        }
    }
}
