//! `dfs get` and `dfs cat`: a stored file to a local one, to stdout, or many into a folder.
//!
//! Knows nothing about blocks. Invariants: a local file appears when it is whole and durable, or
//! not at all; a stored name never leads out of the folder that was named.

mod incoming;
mod plan;

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::slice;

use crate::cli::arrival::{self, Arrival};
use crate::cli::destination::{self, Destination, Existing};
use crate::cli::facts::{self, Facts, Kind};
use crate::cli::failure::{Exit, Failure, Tally};
use crate::cli::landing::Landing;
use crate::cli::names::Name;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::text::{self, counted, human_size};
use crate::cli::{args, door, interrupt, names, prefix, sync, versions};
use crate::client::{Client, GetJob};
use crate::session::{Entry, VersionPrefix};
use incoming::{Arrived, Incoming, Printed, Wanted};
use plan::Task;

/// Files of a folder that are under way at once.
const IN_FLIGHT: usize = 48;
/// Whole files that wait to be made durable together.
const BATCH_FILES: usize = 128;

/// Fetches what the arguments say.
pub(crate) fn run(place: &args::Place, get: &args::Get) -> Result<(), Failure> {
    let tasks = plan::tasks(get)?;
    match &tasks[..] {
        [task] => fetch(place, get, task),
        many => {
            let mut tally = Tally::default();
            for task in many {
                let (Task::Print(name) | Task::File(name, _) | Task::Folder(name, _)) = task;
                match fetch(place, get, task) {
                    Ok(()) => tally.done(),
                    Err(_) if interrupt::is_caught() => {
                        let all = u64::try_from(many.len()).ok();
                        return Err(tally.interrupted(all, "names fetched"));
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
        Task::Print(name) => cat(place, name, get.version.as_ref()),
        Task::File(name, file) => fetch_file(place, get, name, file),
        Task::Folder(name, folder) => fetch_folder(place, get, name, folder),
    }
}

/// Writes a file to stdout.
pub(crate) fn cat(
    place: &args::Place,
    name: &Name,
    version: Option<&VersionPrefix>,
) -> Result<(), Failure> {
    names::check(name)?;
    if name.is_folder() {
        return Err(names::is_a_folder(name, "get -r fetches it, ls lists it"));
    }
    let mut client = door::open(place)?;
    let version = versions::named(&mut client, name, version)?;
    // On a terminal the bar would stand in the middle of the data.
    let progress = if io::stdout().is_terminal() {
        Progress::hidden()
    } else {
        Progress::wanted(place, &name.to_string(), None)
    };
    let mut sink = Printed { output: Output::new(), failure: None, progress: &progress };
    let result = versions::fetch(&mut client, name, version, &mut sink);
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
    // Made before anything is asked: what can't be written is known at once.
    let begun = Arrival::create(file, existing(get));
    if let (Err(failure), false) = (&begun, destination::is_dangling(file)) {
        return Err(failure.clone());
    }
    let mut client = door::open(place)?;
    let version = versions::named(&mut client, name, get.version.as_ref())?;
    let progress = Progress::wanted(place, &name.to_string(), None);
    let wanted = Wanted { xattrs: get.xattrs, existing: existing(get) };
    let mut sink = Incoming::new(wanted, name.clone(), Some(begun), &progress);
    let result = versions::fetch(&mut client, name, version, &mut sink);
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
        text::tell(format_args!("fetched {name}: {}", human_size(entry.size)));
    }
    sync::judge_newest(&entry).map_err(|failure| failure.about(name))
}

fn interrupted(so: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Error, format_args!("interrupted: {so}"))
}

fn existing(get: &args::Get) -> Existing {
    if get.no_clobber { Existing::Keep } else { Existing::Replace }
}

fn fetch_folder(
    place: &args::Place,
    get: &args::Get,
    prefix: &Name,
    folder: &Path,
) -> Result<(), Failure> {
    let mut client = door::open(place)?;
    let (found, left_out) = entries_under(&mut client, prefix)?;
    let (count, total) = extent(&found);
    let landing = RefCell::new(Landing::new(folder)?);
    let progress = Progress::wanted(place, &prefix.to_string(), None);
    progress.expect_all(count, total);
    let tally = RefCell::new(Tally::default());
    let failed = |name: &Name, failure: &Failure| {
        tally.borrow_mut().failed(&name.to_string(), failure);
    };
    let wanted = Wanted { xattrs: get.xattrs, existing: existing(get) };
    let folders = Cell::new(0);
    let jobs = found.into_iter().take_while(|_| !interrupt::is_caught()).filter_map(|entry| {
        let name = Name::new(&entry.name);
        match place_for(get, prefix, &entry, &mut landing.borrow_mut()) {
            Ok(Some(at)) => {
                let mut sink = Incoming::new(wanted, name, None, &progress);
                sink.expect_at(at, entry.size);
                Some(GetJob { entry, sink })
            }
            Ok(None) => {
                progress.file_done();
                folders.set(folders.get() + 1);
                None
            }
            Err(failure) => {
                failed(&name, &failure);
                progress.skip(entry.size);
                None
            }
        }
    });
    let mut batch = Batch::default();
    let all = client.get_many(jobs, IN_FLIGHT, |mut sink: Incoming<'_>, result| {
        let arrived = sink.judge(result).and_then(|entry| sink.arrived_there(&entry));
        sink.finish();
        match arrived {
            Err(_) if interrupt::is_caught() => {}
            Ok(Some(arrival)) => batch.files.push(arrival),
            Ok(None) => tally.borrow_mut().done(),
            Err(failure) if sink.is_broken_off() => tally.borrow_mut().broke_off(failure),
            Err(failure) => failed(sink.name(), &failure),
        }
        if batch.files.len() >= BATCH_FILES {
            batch.place_all(&tally);
        }
    });
    drop(progress);
    if interrupt::is_caught() {
        // What is whole and not durable yet is fetched again: to make it so may take longer than there is.
        drop(batch);
        landing.borrow_mut().give_up();
        let mut tally = tally.into_inner();
        (0..folders.get()).for_each(|_| tally.done());
        return Err(tally.interrupted(Some(count), "files and folders fetched"));
    }
    batch.place_all(&tally);
    let mut tally = tally.into_inner();
    for failure in landing.borrow_mut().finish() {
        tally.failed(&folder.display().to_string(), &failure);
    }
    if let Err(error) = all {
        tally.broke_off(door::failure(&error));
    }
    if !place.quiet {
        tell_fetched(&tally, folder);
    }
    tally.outcome_without("files", left_out)
}

/// How many entries there are, and the sum of their sizes, which may say anything.
fn extent(found: &[Entry]) -> (u64, u64) {
    let total = found.iter().fold(0, |total: u64, entry| total.saturating_add(entry.size));
    (u64::try_from(found.len()).unwrap_or(u64::MAX), total)
}

fn tell_fetched(tally: &Tally, folder: &Path) {
    if tally.done_count() > 0 {
        let files = counted(tally.done_count(), "file");
        text::tell(format_args!("fetched {files} into {}", folder.display()));
    }
}

/// What is stored under a prefix, in the order of names; and why that is not all.
fn entries_under(
    client: &mut Client,
    prefix: &Name,
) -> Result<(Vec<Entry>, Option<Failure>), Failure> {
    let mut found = Vec::new();
    let listed = prefix::list(client, slice::from_ref(prefix), |entry| {
        found.push(entry);
        ControlFlow::Continue(())
    })?;
    sync::warn(listed.sync, "files may be missing, or out of date");
    if found.is_empty() {
        listed.judge()?;
        return Ok((found, None));
    }
    found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok((found, listed.left_out))
}

/// Where an entry's file or link is to be, and the folders for it. None for a folder, which is made.
fn place_for(
    get: &args::Get,
    prefix: &Name,
    entry: &Entry,
    landing: &mut Landing,
) -> Result<Option<Destination>, Failure> {
    let refused = |reason: &str| Failure::new(Exit::Error, format_args!("left out: {reason}"));
    let relative = match prefix.rest_of(&entry.name) {
        Some(b"") => PathBuf::new(),
        Some(rest) => names::below(rest).map_err(refused)?,
        None => names::local_file(&Name::new(&entry.name))?,
    };
    match (facts::kind(entry), entry.name.ends_with(b"/")) {
        (Kind::Folder, true) => {
            landing.prepare_folder(&relative, Facts::of(entry, get.xattrs))?;
            Ok(None)
        }
        // Some stores know folders by their names alone.
        (Kind::File, true) if entry.size == 0 => {
            landing.prepare_folder(&relative, Facts::default())?;
            Ok(None)
        }
        (Kind::File | Kind::Link, false) => {
            let (folder, name) = landing.prepare(&relative)?;
            Ok(Some(Destination::new(folder, name)))
        }
        (Kind::Folder, false) | (Kind::File | Kind::Link, true) => {
            Err(refused("its name and its mode do not agree on whether it is a folder"))
        }
    }
}

/// Whole files that are not durable yet.
#[derive(Default)]
struct Batch {
    files: Vec<Arrival>,
}

impl Batch {
    /// Makes them durable, all with one call for each file system, and gives them their names.
    fn place_all(&mut self, tally: &RefCell<Tally>) {
        let synced = arrival::sync_all(&self.files);
        let mut tally = tally.borrow_mut();
        for arrival in self.files.drain(..) {
            let label = arrival.destination().display().to_string();
            let placed = match &synced {
                Ok(()) => arrival.place(),
                Err(failure) => Err(failure.clone()),
            };
            match placed {
                Ok(()) => tally.done(),
                Err(failure) => tally.failed(&text::shown(&label), &failure),
            }
        }
    }
}
