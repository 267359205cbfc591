//! The command line `dfs`: arguments to commands to exit codes.
//!
//! A room of the shell, on top of the client library; knows nothing about the wire. Invariants:
//! only data goes to stdout; every command ends with one of the exit codes that scripts rely on; a
//! closed pipe ends quietly.

mod actions;
mod admin;
pub(crate) mod args;
mod arrival;
mod bar;
mod destination;
mod door;
mod draft;
mod du;
mod facts;
mod failure;
mod find;
mod get;
mod hash;
mod interrupt;
pub(crate) mod json;
mod landing;
mod list;
mod moment;
mod moving;
mod names;
mod open_folder;
mod output;
mod past;
mod peers;
pub(crate) mod place;
mod prefix;
pub(crate) mod progress;
mod put;
mod range;
mod remove;
mod restore;
mod settings;
mod signals;
mod stat;
mod status;
mod stdin;
mod sync;
pub(crate) mod text;
mod ticket;
mod usage;
mod verify;
mod versions;
mod waiting;
mod width;

pub use signals::{on_hangup, survive_file_limits};
pub use text::{shown, tell};
pub use usage::arguments;

use std::process::ExitCode;

use args::{Arguments, Command};
use failure::Failure;

/// Runs the program `dfs`: the command of the process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    survive_file_limits();
    let arguments: Arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    match carry_out(&arguments) {
        Ok(()) | Err(Failure::PipeClosed) => ExitCode::SUCCESS,
        Err(Failure::Told(exit, sentence)) => {
            tell(format_args!("dfs: {sentence}"));
            ExitCode::from(interrupt::status().unwrap_or(exit as u8))
        }
    }
}

fn carry_out(arguments: &Arguments) -> Result<(), Failure> {
    let place = &arguments.place;
    if is_long(&arguments.command) {
        interrupt::listen();
    }
    match &arguments.command {
        Command::Put(put) => put::run(place, put),
        Command::Get(get) => get::run(place, get),
        Command::Cat(cat) => get::cat(place, cat),
        Command::Ls(list) => list::run(place, list),
        Command::Find(find) => find::run(place, find),
        Command::Du { prefix, json } => du::run(place, prefix, *json),
        Command::Stat { name, json } => stat::run(place, name, *json),
        Command::Rm(remove) => remove::run(place, remove),
        Command::Mv { name, new, recursive: true, raw_names } => {
            moving::run(place, name, new, *raw_names)
        }
        Command::Mv { name, new, raw_names, .. } => admin::rename(place, name, new, *raw_names),
        Command::Versions(list) => versions::run(place, list),
        Command::Restore(restore) => restore::run(place, restore),
        Command::Set(set) => settings::set(place, set),
        Command::Settings { json } => settings::run(place, *json),
        Command::Status { json } => admin::status(place, *json),
        Command::Peers { json } => admin::peers(place, *json),
        Command::Ticket(ticket) => ticket::run(place, ticket),
        Command::Hash { file } => hash::run(file, place.quiet),
        Command::Verify(verify) => verify::run(place, verify),
    }
}

/// What takes long, and has a word to say when it is told to end. The calendar of this place, which the others show, can be
/// asked for by programs of one thread alone.
fn is_long(command: &Command) -> bool {
    matches!(
        command,
        Command::Put(_)
            | Command::Get(_)
            | Command::Cat(_)
            | Command::Hash { .. }
            | Command::Verify(_)
            | Command::Rm(_)
            | Command::Mv { recursive: true, .. }
    )
}
