//! The standard suite: every line run, judged by its goals, and put beside a reference.
//!
//! Knows no network. Invariant: only ratios within one run are compared: seconds depend on the machine.

use super::amount::Amount;
use super::args::{Arguments, Command, Load, Suite, Workload};
use super::bulk;
use super::figures::Figures;
use super::goals::{Goal, Known};
use super::lines::{LONG, Line, STANDARD};
use super::local::Scratch;
use super::run::perform;
use super::stop::Stop;
use super::stopwatch::median;
use super::yardstick;
use crate::cli::args::Place;
use crate::limits::BLOCK;
use clap::Parser;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

/// A ratio that has become so much worse is an error.
const WORSE: f64 = 1.5;

/// A file system may remember for so long what was removed.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(40);

/// What each line came to, by its name: ratios by what is judged, and operations a second.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Outcome {
    ratios: BTreeMap<String, BTreeMap<String, f64>>,
    rates: BTreeMap<String, f64>,
}

/// The same of every round.
#[derive(Default)]
struct Rounds {
    ratios: BTreeMap<(&'static str, String), Vec<f64>>,
    rates: BTreeMap<&'static str, Vec<(f64, f64)>>,
    errors: u64,
}

/// Runs all of it: false if something failed or has become worse, and what is told of it.
pub(super) fn run(options: &Suite, stop: &Stop) -> Result<(bool, String), String> {
    let reference = options.reference.as_deref().map(read).transpose()?;
    let lines: Vec<&Line> = STANDARD
        .iter()
        .chain(LONG.iter().filter(|_| options.long))
        .filter(|line| options.only.as_ref().is_none_or(|text| line.name.contains(text)))
        .collect();
    let mut rounds = Rounds::default();
    for number in 0..options.rounds {
        if number > 0 {
            stop.sleep(BETWEEN_ROUNDS)?;
        }
        // What the standard lines store is kept until all has been measured: see `Scratch`.
        let scratch = Scratch::new(options.folder.as_deref(), "dfs-load-suite");
        let scratch = scratch.map_err(|error| format!("no folder for the daemons: {error}"))?;
        round(&lines, (scratch.path(), stop), &mut rounds)?;
    }
    let (outcome, any_worse, mut told) = judge(&lines, &rounds, reference.as_ref());
    if options.json {
        let text = serde_json::to_string_pretty(&outcome).map_err(|error| error.to_string())?;
        told = format!("{text}\n");
    }
    Ok((rounds.errors == 0 && !any_worse, told))
}

fn read(file: &Path) -> Result<Outcome, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let parsed =
        text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    parsed.map_err(|error| format!("{}: {error}", file.display()))
}

fn round(
    lines: &[&Line],
    (folder, stop): (&Path, &Stop),
    rounds: &mut Rounds,
) -> Result<(), String> {
    let quiet = !io::stderr().is_terminal();
    let parts = folder.join("parts");
    let made = std::fs::create_dir_all(&parts);
    let stick = made.and_then(|()| yardstick::measure_in(&parts));
    let stick = stick.map_err(|error| format!("the yardstick can't be measured: {error}"))?;
    let mut known = Known::default();
    for (number, line) in lines.iter().enumerate() {
        let (workload, load) = parse(line.words)?;
        let place = Place { data: None, ticket: None, quiet, allow_future: false };
        let folder = folder.join(number.to_string());
        let mut stick = stick;
        let bulk = |name: &str| {
            let measured = bulk::measure(&folder.join(name));
            measured.map_err(|error| format!("the yardstick can't be measured: {error}"))
        };
        // What memory and the page cache cost changes by the minute where other machines share them.
        let is_bulk = line.goals.iter().any(|goal| goal.is_of_parts())
            && matches!(load.size, Amount::Fixed(size) if size >= BLOCK as u64);
        let before = is_bulk.then(|| bulk("before")).transpose()?;
        let figures = perform(&place, (workload, &load), &folder.join("nodes"), (quiet, stop));
        let figures = figures.map_err(|why| format!("{}: {why}", line.name))?;
        stop.check()?;
        if let Some(before) = before {
            stick.bulk = before.midpoint(&bulk("after")?);
        }
        known.add(line.name, &figures);
        rounds.errors += figures.error_count;
        let rate = (figures.operations_per_second, figures.mib_per_second);
        rounds.rates.entry(line.name).or_default().push(rate);
        if LONG.iter().any(|long| long.name == line.name) {
            // All of them together may be more than the disk holds. What is left is seen when the scratch goes.
            let _ = std::fs::remove_dir_all(&folder);
        }
        for (what, ratio) in ratios(line, &figures, &stick, &known) {
            rounds.ratios.entry((line.name, what)).or_default().push(ratio);
        }
        if !quiet {
            eprintln!("{}: {} errors", line.name, figures.error_count);
        }
    }
    Ok(())
}

fn ratios(
    line: &Line,
    figures: &Figures,
    stick: &yardstick::Yardstick,
    known: &Known,
) -> Vec<(String, f64)> {
    let ratio = |goal: &Goal| Some((goal.name(), goal.ratio(figures, stick, known)?));
    line.goals.iter().filter_map(ratio).collect()
}

fn parse(words: &str) -> Result<(Workload, Load), String> {
    let parsed = Arguments::try_parse_from(std::iter::once("dfs-load").chain(words.split(' ')));
    match parsed.map_err(|error| error.to_string())?.command {
        Command::Put(load) => Ok((Workload::Put, load)),
        Command::Get(load) => Ok((Workload::Get, load)),
        Command::Mixed(load) => Ok((Workload::Mixed, load)),
        Command::Overwrite(load) => Ok((Workload::Overwrite, load)),
        Command::Connect(load) => Ok((Workload::Connect, load)),
        other => Err(format!("{other:?} is not of the suite")),
    }
}

/// The medians, whether any of them is worse than it was, and what is told of that.
fn judge(lines: &[&Line], rounds: &Rounds, reference: Option<&Outcome>) -> (Outcome, bool, String) {
    let (mut outcome, mut any_worse, mut out) = (Outcome::default(), false, String::new());
    for line in lines {
        let rates = rounds.rates.get(line.name).map_or(&[][..], |rates| rates);
        let rate = median(rates.iter().map(|rate| rate.0).collect());
        let mib = median(rates.iter().map(|rate| rate.1).collect());
        outcome.rates.insert(line.name.to_owned(), rounded(rate));
        say(&mut out, format_args!("{:48}{rate:>9.0}/s{mib:>9.1} MiB/s", line.name));
        for goal in line.goals {
            let what = goal.name();
            let Some(found) = rounds.ratios.get(&(line.name, what.clone())) else { continue };
            let ratio = median(found.clone());
            let known =
                reference.and_then(|known| known.ratios.get(line.name)?.get(&what).copied());
            let is_worse = known.is_some_and(|known| is_worse(*goal, ratio, known));
            any_worse |= is_worse;
            tell(&mut out, *goal, (ratio, known, is_worse));
            let ratios = outcome.ratios.entry(line.name.to_owned()).or_default();
            ratios.insert(what, rounded(ratio));
        }
    }
    if rounds.errors > 0 {
        say(&mut out, format_args!("{} operations were ERRORS", rounds.errors));
    }
    if any_worse {
        out += "WORSE: by more than half. Whatever else runs here may be why: run it again when nothing does.\n";
    }
    (outcome, any_worse, out)
}

fn is_worse(goal: Goal, now: f64, known: f64) -> bool {
    match goal.bound() {
        (_, true) => now > WORSE * known,
        (_, false) => now < known / WORSE,
    }
}

fn tell(out: &mut String, goal: Goal, (ratio, known, is_worse): (f64, Option<f64>, bool)) {
    let (bound, at_most) = goal.bound();
    let is_met = if at_most { ratio <= bound } else { ratio >= bound };
    let goal_text = format!("{} {bound}", if at_most { "at most" } else { "at least" });
    let mark = if is_met { "" } else { "missed" };
    let known = known.map_or_else(String::new, |known| format!("(reference {known:.2})"));
    let worse = if is_worse { " WORSE" } else { "" };
    let what = goal.name();
    say(out, format_args!("    {what:62}{ratio:>7.2}  {goal_text:14}{mark:8}{known}{worse}"));
}

fn say(out: &mut String, text: std::fmt::Arguments<'_>) {
    let text = text.to_string();
    writeln!(out, "{}", text.trim_end()).expect("a String takes everything");
}

/// To three digits, so that a reference can be read.
fn rounded(value: f64) -> f64 {
    let scale = 10_f64.powf(2.0 - value.abs().max(1e-9).log10().floor());
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn all() -> Vec<&'static Line> {
        STANDARD.iter().chain(LONG).collect()
    }

    #[test]
    fn every_line_of_the_suite_is_a_command_line() {
        for line in all() {
            assert!(parse(line.words).is_ok(), "{}", line.name);
        }
    }

    #[test]
    fn names_are_unique_and_what_is_compared_with_comes_before() {
        let mut known = BTreeSet::new();
        for line in all() {
            for goal in line.goals {
                let others: &[&str] = match goal {
                    Goal::Slowest(lines, _) => lines,
                    Goal::Like(line, _) => std::slice::from_ref(line),
                    _ => &[],
                };
                assert!(others.iter().all(|other| known.contains(other)), "{}", line.name);
            }
            assert!(known.insert(line.name), "{}", line.name);
        }
    }

    #[test]
    fn what_is_worse_is_said_and_by_medians_alone() {
        let lines = [&STANDARD[0]];
        let name = STANDARD[0].name;
        let what = Goal::Daemons(2.0).name();
        let mut rounds = Rounds::default();
        rounds.ratios.insert((name, what.clone()), vec![1.0, 9.0, 1.2]);
        rounds.rates.insert(name, vec![(100.0, 1.0)]);
        let ratios = [(name.to_owned(), [(what, 0.79)].into())].into();
        let mut reference = Outcome { ratios, rates: BTreeMap::new() };
        let (outcome, any_worse, told) = judge(&lines, &rounds, Some(&reference));
        assert!(any_worse && told.contains("WORSE"), "{told}");
        assert_eq!(outcome.ratios[name].values().copied().collect::<Vec<_>>(), [1.2]);
        reference.ratios.clear();
        assert!(!judge(&lines, &rounds, Some(&reference)).1);
        assert!(!judge(&lines, &rounds, Some(&outcome)).1);
    }

    #[test]
    fn figures_are_rounded_to_three_digits() {
        assert_eq!([0.0, 1.234_5, 7868.3, 0.012_345].map(rounded), [0.0, 1.23, 7870.0, 0.012_3]);
    }
}
