//! The measuring suite of dfsd itself: `make load`.
//!
//! | file | what it is |
//! |---|---|
//! | `cases`, `goals` | the standard loads, and what they should come to |
//! | `cost_model` | what an operation is made of |
//! | `baseline`, `bulk`, `stopwatch` | what everything is made of, and every GiB, measured on this machine |
//! | `harness`, `figures` | `dfs-load` run for one case, and what it told |
//! | `rounds`, `verdict` | all cases in turn, and the medians beside goals and a reference |
//!
//! Knows the network through `dfs-load` alone. Invariant: stdout has the result and nothing else.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a program that measures: processes, files, sockets, the clock"
)]
#![cfg_attr(
    test,
    allow(
        dead_code,
        unused_imports,
        reason = "a program without a test harness: its tests run in the integration program"
    )
)]

mod baseline;
mod bulk;
mod cases;
mod cost_model;
mod figures;
mod goals;
mod harness;
mod rounds;
mod stopwatch;
mod verdict;

use clap::{Args, Parser, Subcommand};
use harness::Stop;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// What each workload costs, as a ratio to the sum of its parts.
#[derive(Debug, Parser)]
#[command(name = "suite", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    suite: Suite,
    #[command(subcommand)]
    command: Option<Other>,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// Measure on this machine what everything is made of
    Baseline(Measure),
    /// Run `dfs-load` with these words, and put the result beside the sum of its parts
    Compare {
        /// Such as: put --spawn 1 --ops 20000
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        words: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct Measure {
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
    /// The disk to measure [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// The whole suite.
#[derive(Debug, Args)]
struct Suite {
    /// Compare with these ratios; exit status 1 if one is worse by more than half
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// One JSON object on stdout, which can be a reference
    #[arg(long)]
    json: bool,
    /// Also the cases that take minutes: files of 1 MiB to 16 GiB, 1,000 to 1,000,000 names, 1 to 8 nodes
    #[arg(long)]
    long: bool,
    /// Run everything so many times, and tell the medians
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=99))]
    rounds: u8,
    /// Only cases with this in their name
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Where spawned daemons keep their data [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    // `cargo bench` says so of itself. `cargo test --all-targets` runs this too; it measures nothing then.
    let is_of_cargo = |argument: &std::ffi::OsString| argument == "--bench";
    if !std::env::args_os().any(|argument| is_of_cargo(&argument)) {
        return ExitCode::SUCCESS;
    }
    let words = std::env::args_os().filter(|argument| !is_of_cargo(argument));
    match obey(&Arguments::parse_from(words)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("suite: {why}");
            ExitCode::FAILURE
        }
    }
}

fn obey(arguments: &Arguments) -> Result<bool, String> {
    match &arguments.command {
        // Nothing is started that would have to be stopped: a signal ends it at once.
        Some(Other::Baseline(measure)) => measure_baseline(measure),
        Some(Other::Compare { words }) => compare(words),
        None => {
            let stop = Stop::on_signals();
            let stop = stop.map_err(|error| format!("cannot wait for signals: {error}"))?;
            let (is_good, told) = rounds::run(&arguments.suite, &stop)?;
            print(&told)?;
            Ok(is_good)
        }
    }
}

fn measure_baseline(measure: &Measure) -> Result<bool, String> {
    let found = baseline::measure(measure.folder.as_deref())?;
    if measure.json {
        let text = serde_json::to_string(&found).map_err(|error| error.to_string())?;
        print(&format!("{text}\n"))?;
    } else {
        print(&baseline::table(&found))?;
    }
    Ok(true)
}

fn compare(words: &[String]) -> Result<bool, String> {
    let figures = harness::run(words.iter().map(String::as_str))?;
    let baseline = baseline::measure(None)?;
    let told = match cost_model::of(&figures, &baseline) {
        Some(parts) => cost_model::table(&parts),
        None => "this workload has no definite parts\n".to_owned(),
    };
    print(&told)?;
    Ok(figures.error_count == 0)
}

/// Writes to stdout; whoever has stopped reading is not told anything.
fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("stdout cannot be written to: {error}"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
        for line in [
            "suite --reference benches/reference.json",
            "suite --rounds 5 --long",
            "suite baseline --json",
            "suite compare put --spawn 1 --ops 200",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        assert!(Arguments::try_parse_from(["suite", "--rounds", "0"]).is_err());
    }
}
