//! `dfs get` and `dfs cat`: a stored file to a local one, to stdout, or many into a folder.
//!
//! Knows nothing about blocks. Invariants: a local file appears when it is whole and durable, or
//! not at all; a stored name never leads out of the folder that was named.

mod compare;
mod folder;
mod incoming;
mod plan;
mod prune;
mod survey;

use std::io::{self, IsTerminal};
use std::path::Path;

use crate::cli::arrival::Arrival;
use crate::cli::destination::{self, Destination, Existing};
use crate::cli::facts::Facts;
use crate::cli::failure::{Exit, Failure, Tally};
use crate::cli::names::Name;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::range::ByteRange;
use crate::cli::text::{self, human_size};
use crate::cli::{args, door, interrupt, names, sync, versions};
use crate::client::{CallError, Client, Sink};
use crate::session::{Entry, Part, Source, VersionPrefix};
use folder::FolderGet;
use incoming::{Arrived, Incoming, Printed, Wanted};
use plan::Task;

/// Fetches what the arguments say.
pub(crate) fn run(place: &args::Place, get: &args::Get) -> Result<(), Failure> {
    let tasks = plan::tasks(get)?;
    match &tasks[..] {
        [task] => fetch(place, get, task),
        _ if get.range.is_some() => Err(Failure::usage("--range is for one name")),
        many => {
            let mut tally = Tally::default();
            for task in many {
                let (Task::Print(name) | Task::File(name, _) | Task::Folder(name, _)) = task;
                match fetch(place, get, task) {
                    Ok(()) => tally.done(),
                    Err(_) if interrupt::is_caught() => {
                        let all = u64::try_from(many.len()).ok();
                        return Err(tally.interrupted(all, "fetched"));
                    }
                    Err(failure) => tally.failed(&name.to_string(), &failure),
                }
            }
            tally.outcome("names")
        }
    }
}

fn fetch(place: &args::Place, get: &args::Get, task: &Task) -> Result<(), Failure> {
    match task {
        Task::Print(_) if get.goes_on => {
            Err(Failure::usage("--continue needs a file to go on with, not stdout"))
        }
        Task::Print(name) => {
            print(place, name, get.version.as_ref(), get.range.map(ByteRange::part))
        }
        Task::File(name, file) => fetch_file(place, get, name, file),
        Task::Folder(prefix, folder) => folder::run(FolderGet { place, get, prefix, folder }),
    }
}

/// Writes what the arguments say to stdout.
pub(crate) fn cat(place: &args::Place, cat: &args::Cat) -> Result<(), Failure> {
    print(place, &cat.name, cat.version.as_ref(), cat.part())
}

/// Fetches a file, or a part of it.
fn bring(
    client: &mut Client,
    source: Source,
    part: Option<Part>,
    sink: &mut impl Sink,
) -> Result<Entry, CallError> {
    match (part, source) {
        (Some(part), source) => client.get_part(source, part, sink),
        (None, Source::Name(name)) => client.get_into(&name, sink),
        (None, Source::Version(entry)) => client.get_entry_into(*entry, sink),
    }
}

/// Writes a file to stdout, or a part of it.
fn print(
    place: &args::Place,
    name: &Name,
    version: Option<&VersionPrefix>,
    part: Option<Part>,
) -> Result<(), Failure> {
    names::check(name)?;
    if name.is_folder() {
        return Err(names::is_a_folder(name, "get -r fetches it, ls lists it"));
    }
    let mut client = door::open(place)?;
    let source = versions::source(&mut client, name, version)?;
    // On a terminal the bar would stand in the middle of the data.
    let progress = if io::stdout().is_terminal() {
        Progress::hidden()
    } else {
        Progress::wanted(place, &name.to_string(), None)
    };
    let mut sink = Printed { output: Output::new(), part, failure: None, progress: &progress };
    let result = bring(&mut client, source, part, &mut sink);
    if let Some(failure) = sink.failure {
        return Err(failure);
    }
    // What came before an error is true, and goes out too.
    let flushed = sink.output.flush();
    if result.is_err() && interrupt::is_caught() {
        return Err(interrupted(format_args!("not all of {name} was printed")));
    }
    let entry =
        result.map_err(|error| sync::explained(&mut client, name, door::call_failure(&error)))?;
    flushed?;
    sync::judge_newest(&entry).map_err(|failure| failure.about(name))
}

fn fetch_file(
    place: &args::Place,
    get: &args::Get,
    name: &Name,
    file: &Path,
) -> Result<(), Failure> {
    // Made before anything is asked: what cannot be written is known at once.
    let begun = match get.goes_on {
        true => Arrival::go_on(file, existing(get)),
        false => Arrival::create(file, existing(get)),
    };
    if let (Err(failure), false) = (&begun, destination::is_dangling(file)) {
        return Err(failure.clone());
    }
    let here = begun.as_ref().map_or(Ok(Vec::new()), Arrival::here)?;
    let mut client = door::open(place)?;
    let source = versions::source(&mut client, name, get.version.as_ref())?;
    let progress = Progress::wanted(place, &name.to_string(), None);
    let part = get.range.map(ByteRange::part);
    let wanted = Wanted { xattrs: get.xattrs, existing: existing(get), part };
    let mut sink = Incoming::new(wanted, name.clone(), Some(begun), &progress);
    let result = match get.goes_on {
        true => client.get_missing(source, here, &mut sink),
        false => bring(&mut client, source, part, &mut sink),
    };
    if result.is_err() {
        tell_kept(name, &sink);
    }
    if result.is_err() && interrupt::is_caught() {
        return Err(interrupted(format_args!("{name} was not fetched")));
    }
    let entry =
        sink.judge(result).map_err(|failure| sync::explained(&mut client, name, failure))?;
    match sink.arrived(&entry)? {
        Arrived::File(arrival) => {
            arrival.sync()?;
            arrival.place_durably()?;
        }
        Arrived::Link(target) => {
            let at =
                Destination::of(file).map_err(|error| destination::cannot_write(file, &error))?;
            at.link(&target, &Facts::of(&entry, false), existing(get))?;
            at.sync()?;
        }
    }
    drop(progress);
    if !place.quiet {
        let size = human_size(entry.size);
        let of = part.map(|part| format!("{} of ", human_size(part.length(entry.size))));
        text::tell(format_args!("fetched {name}: {}{size}", of.unwrap_or_default()));
    }
    sync::judge_newest(&entry).map_err(|failure| failure.about(name))
}

/// Says where what has come is, and how to go on.
fn tell_kept(name: &Name, sink: &Incoming<'_>) {
    if let Some(draft) = sink.stays_at() {
        text::tell(format_args!(
            "dfs: {name}: what has come is kept in {}; repeat the command to go on",
            draft.display()
        ));
    }
}

fn interrupted(so: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Error, format_args!("interrupted: {so}"))
}

fn existing(get: &args::Get) -> Existing {
    if get.no_clobber { Existing::Keep } else { Existing::Replace }
}
