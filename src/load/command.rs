//! What the command line says, done: one workload, and the result told.
//!
//! Knows no connection. Invariant: stdout has the result and nothing else.

use super::args::{Arguments, Command, Workload};
use super::local::Scratch;
use super::run::{Live, Plan, perform};
use super::stop::Stop;
use super::{html_report, table};
use crate::cli::text;
use crate::cli::{self, args::Place};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

/// Does what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    cli::survive_file_limits();
    let arguments: Arguments = match cli::arguments() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    match obey(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            text::tell(format_args!("dfs-load: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn obey(arguments: &Arguments) -> Result<bool, String> {
    let stop = || Stop::on_signals().map_err(|error| format!("cannot wait for signals: {error}"));
    let one = |workload, load| one(&arguments.place, Plan { workload, load }, stop()?);
    match &arguments.command {
        Command::Put(load) => one(Workload::Put, load),
        Command::Get(load) => one(Workload::Get, load),
        Command::Mixed(load) => one(Workload::Mixed, load),
        Command::Overwrite(load) => one(Workload::Overwrite, load),
        Command::List(load) => one(Workload::List, load),
        Command::Delete(load) => one(Workload::Delete, load),
        Command::Connect(load) => one(Workload::Connect, load),
        Command::Idle(load) => one(Workload::Idle, load),
    }
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

/// One workload, told of; false if there were errors.
fn one(place: &Place, plan: Plan<'_>, stop: Stop) -> Result<bool, String> {
    let load = plan.load;
    let quiet = place.quiet || !io::stderr().is_terminal();
    let scratch = |_| Scratch::new(load.folder.as_deref(), load.keep_data);
    let scratch = load.spawn.map(scratch).transpose();
    let scratch = scratch.map_err(|error| format!("no folder for the daemons: {error}"))?;
    let folder = scratch.as_ref().map_or(Path::new(""), Scratch::path);
    let figures = perform(place, plan, folder, &mut Live { quiet, stop })?;
    if let Some(file) = &load.html {
        let written = std::fs::write(file, html_report::page(&figures));
        written.map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    }
    if load.json {
        let text = serde_json::to_string(&figures).map_err(|error| error.to_string())?;
        print(&format!("{text}\n"))?;
    } else {
        print(&table::whole(&figures))?;
    }
    Ok(figures.error_count == 0)
}
