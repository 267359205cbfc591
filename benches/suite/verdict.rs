//! The verdict: medians of all rounds, beside goals and a reference.
//!
//! Measures nothing. Invariant: a case is worse by the median of its rounds, not by one of them.

use super::cases::Case;
use super::figures::Figures;
use super::goals::Goal;
use super::stopwatch::median;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// A ratio that has become so much worse is an error.
const WORSE: f64 = 1.5;

/// What each case came to, by its name: ratios by what is judged, and operations a second.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Outcome {
    ratios: BTreeMap<String, BTreeMap<String, f64>>,
    rates: BTreeMap<String, f64>,
}

impl Outcome {
    /// What an earlier run has written.
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
        let parsed =
            text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
        parsed.map_err(|error| format!("{}: {error}", file.display()))
    }

    /// As a file that `read` takes.
    pub(super) fn to_json(&self) -> Result<String, String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        Ok(format!("{text}\n"))
    }
}

/// The same of every round.
#[derive(Default)]
pub(super) struct Rounds {
    ratios: BTreeMap<(&'static str, String), Vec<f64>>,
    rates: BTreeMap<&'static str, Vec<Rate>>,
    errors: u64,
}

#[derive(Clone, Copy)]
struct Rate {
    operations: f64,
    mib: f64,
}

impl Rounds {
    /// Adds a case of this round, with the ratio for each of its goals that there is one for.
    pub(super) fn add(
        &mut self,
        case: &Case,
        figures: &Figures,
        ratio: impl Fn(&Goal) -> Option<f64>,
    ) {
        self.errors += figures.error_count;
        let rate = Rate { operations: figures.operations_per_second, mib: figures.mib_per_second };
        self.rates.entry(case.name).or_default().push(rate);
        for goal in case.goals {
            if let Some(ratio) = ratio(goal) {
                self.ratios.entry((case.name, goal.name())).or_default().push(ratio);
            }
        }
    }

    /// Whether any operation failed.
    pub(super) fn any_error(&self) -> bool {
        self.errors > 0
    }
}

/// The medians, whether any of them is worse than it was, and what is told of that.
pub(super) fn judge(
    cases: &[&Case],
    rounds: &Rounds,
    reference: Option<&Outcome>,
) -> (Outcome, bool, String) {
    let (mut outcome, mut any_worse, mut out) = (Outcome::default(), false, String::new());
    for case in cases {
        let rates = rounds.rates.get(case.name).map_or(&[][..], |rates| rates);
        let rate = median(rates.iter().map(|rate| rate.operations).collect());
        let mib = median(rates.iter().map(|rate| rate.mib).collect());
        outcome.rates.insert(case.name.to_owned(), rounded(rate));
        say(&mut out, format_args!("{:48}{rate:>9.0}/s{mib:>9.1} MiB/s", case.name));
        for goal in case.goals {
            let what = goal.name();
            let Some(found) = rounds.ratios.get(&(case.name, what.clone())) else { continue };
            let ratio = median(found.clone());
            let known =
                reference.and_then(|known| known.ratios.get(case.name)?.get(&what).copied());
            let is_worse = known.is_some_and(|known| is_worse(*goal, ratio, known));
            any_worse |= is_worse;
            say(&mut out, format_args!("{}", told(*goal, ratio, known)));
            let ratios = outcome.ratios.entry(case.name.to_owned()).or_default();
            ratios.insert(what, rounded(ratio));
        }
    }
    if rounds.any_error() {
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

fn told(goal: Goal, ratio: f64, known: Option<f64>) -> String {
    let (bound, at_most) = goal.bound();
    let is_met = if at_most { ratio <= bound } else { ratio >= bound };
    let goal_text = format!("{} {bound}", if at_most { "at most" } else { "at least" });
    let mark = if is_met { "" } else { "missed" };
    let is_worse = known.is_some_and(|known| is_worse(goal, ratio, known));
    let known = known.map_or_else(String::new, |known| format!("(reference {known:.2})"));
    let worse = if is_worse { " WORSE" } else { "" };
    let what = goal.name();
    format!("    {what:62}{ratio:>7.2}  {goal_text:14}{mark:8}{known}{worse}")
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
    use super::super::cases::STANDARD;
    use super::*;

    #[test]
    fn what_is_worse_is_said_and_by_medians_alone() {
        let cases = [&STANDARD[0]];
        let name = STANDARD[0].name;
        let what = Goal::Daemons(2.0).name();
        let mut rounds = Rounds::default();
        rounds.ratios.insert((name, what.clone()), vec![1.0, 9.0, 1.2]);
        rounds.rates.insert(name, vec![Rate { operations: 100.0, mib: 1.0 }]);
        let ratios = [(name.to_owned(), [(what, 0.79)].into())].into();
        let mut reference = Outcome { ratios, rates: BTreeMap::new() };
        let (outcome, any_worse, told) = judge(&cases, &rounds, Some(&reference));
        assert!(any_worse && told.contains("WORSE"), "{told}");
        assert_eq!(outcome.ratios[name].values().copied().collect::<Vec<_>>(), [1.2]);
        reference.ratios.clear();
        assert!(!judge(&cases, &rounds, Some(&reference)).1);
        assert!(!judge(&cases, &rounds, Some(&outcome)).1);
    }

    #[test]
    fn figures_are_rounded_to_three_digits() {
        assert_eq!([0.0, 1.234_5, 7868.3, 0.012_345].map(rounded), [0.0, 1.23, 7870.0, 0.012_3]);
    }
}
