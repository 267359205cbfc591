//! `dfs get` and `dfs cat`: a stored file to a local one, to stdout, or many into a folder.
//!
//! Knows nothing about blocks. Invariants: a local file appears when it is whole and durable, or
//! not at all; a stored name never leads out of the folder that was named.

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::cli::arrival::{self, Arrival, Existing, Place};
use crate::cli::failure::{Exit, Failure, Tally};
use crate::cli::landing::Landing;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::text::{self, counted, human_size};
use crate::cli::{args, door, names, sync};
use crate::client::{CallError, Client, GetJob, Sink};
use crate::session::{ClientError, Entry};

/// Files of a folder that are under way at once.
const IN_FLIGHT: usize = 48;
/// Whole files that wait to be made durable together.
const BATCH_FILES: usize = 128;

/// Fetches what the arguments say.
pub(crate) fn run(place: &args::Place, get: &args::Get) -> Result<(), Failure> {
    match &get.destination {
        Some(folder) if get.recursive => fetch_folder(place, get, folder),
        Some(file) if file == Path::new("-") => cat(place, &get.name),
        Some(file) => fetch_file(place, get, file),
        None => {
            names::check(&get.name)?;
            fetch_file(place, get, &names::local_file(&get.name)?)
        }
    }
}

/// Writes a file to stdout.
pub(crate) fn cat(place: &args::Place, name: &str) -> Result<(), Failure> {
    names::check(name)?;
    let mut client = door::open(place)?;
    // On a terminal the bar would stand in the middle of the data.
    let progress = if io::stdout().is_terminal() {
        Progress::hidden()
    } else {
        Progress::wanted(place, name, None)
    };
    let mut sink = Printed { output: Output::new(), failure: None, progress: &progress };
    let result = client.get_into(name.as_bytes(), &mut sink);
    if let Some(failure) = sink.failure {
        return Err(failure);
    }
    // What came before an error is true, and goes out too.
    let flushed = sink.output.flush();
    let entry = result.map_err(|error| {
        let failure = door::call_failure(&error);
        sync::warn_if_absent(&mut client, &failure);
        failure.about(name)
    })?;
    flushed?;
    sync::judge_newest(&entry).map_err(|failure| failure.about(name))
}

fn fetch_file(place: &args::Place, get: &args::Get, file: &Path) -> Result<(), Failure> {
    names::check(&get.name)?;
    arrival::check(file, existing(get))?;
    let mut client = door::open(place)?;
    let progress = Progress::wanted(place, &get.name, None);
    let mut sink = Incoming::new(get, Destination::Path(file.to_owned()), &progress);
    let result = client.get_into(get.name.as_bytes(), &mut sink);
    let entry = sink.judge(result).map_err(|failure| {
        sync::warn_if_absent(&mut client, &failure);
        failure.about(&get.name)
    })?;
    let arrival = sink.arrived()?;
    arrival.sync()?;
    arrival.place_durably()?;
    drop(progress);
    if !place.quiet {
        text::tell(format_args!("fetched {}: {}", get.name, human_size(entry.size)));
    }
    sync::judge_newest(&entry).map_err(|failure| failure.about(&get.name))
}

fn existing(get: &args::Get) -> Existing {
    if get.no_clobber { Existing::Keep } else { Existing::Replace }
}

fn fetch_folder(place: &args::Place, get: &args::Get, folder: &Path) -> Result<(), Failure> {
    let mut client = door::open(place)?;
    let (found, left_out) = entries_under(&mut client, &get.name)?;
    if let (true, Some(failure)) = (found.is_empty(), &left_out) {
        return Err(failure.clone());
    }
    if found.is_empty() {
        let sentence = format!("nothing is stored under {}/", text::shown(&get.name));
        return Err(Failure::new(Exit::NotFound, sentence));
    }
    let total = found.iter().map(|entry| entry.size).sum();
    let landing = Landing::new(folder)?;
    let progress = Progress::wanted(place, &get.name, Some(total));
    let tally = RefCell::new(Tally::default());
    let failed = |name: &str, failure: &Failure| {
        progress.above(|| tally.borrow_mut().failed(&text::shown(name), failure));
    };
    let landing = RefCell::new(landing);
    let jobs = found.into_iter().filter_map(|entry| {
        let place = place_for(get, &entry, &mut landing.borrow_mut());
        let place = place.map_err(|failure| {
            failed(&String::from_utf8_lossy(&entry.name), &failure);
            progress.advance(entry.size);
        });
        let mut sink = Incoming::new(get, Destination::Place(place.ok()?), &progress);
        sink.name = String::from_utf8_lossy(&entry.name).into_owned();
        sink.is_counted = true;
        Some(GetJob { entry, sink })
    });
    let mut batch = Vec::with_capacity(BATCH_FILES);
    let all = client.get_many(jobs, IN_FLIGHT, |mut sink: Incoming<'_>, result| {
        match sink.judge(result).and_then(|_| sink.arrived()) {
            Ok(arrival) => batch.push(arrival),
            Err(failure) if sink.is_broken_off => tally.borrow_mut().broke_off(failure),
            Err(failure) => failed(&sink.name, &failure),
        }
        if batch.len() >= BATCH_FILES {
            place_all(&mut batch, &tally);
        }
    });
    place_all(&mut batch, &tally);
    drop(progress);
    landing.borrow_mut().sync()?;
    let mut tally = tally.into_inner();
    if let Err(error) = all {
        tally.broke_off(door::failure(&error));
    }
    if !place.quiet && tally.done_count() > 0 {
        let files = counted(tally.done_count(), "file");
        text::tell(format_args!("fetched {files} into {}", folder.display()));
    }
    match (tally.outcome("files"), left_out) {
        (Ok(()), Some(failure)) => Err(failure),
        (outcome, left_out) => {
            left_out.inspect(|failure| text::tell(format_args!("dfs: {failure}")));
            outcome
        }
    }
}

/// What is stored under a prefix, in the order of names, and why that is not all.
fn entries_under(
    client: &mut Client,
    prefix: &str,
) -> Result<(Vec<Entry>, Option<Failure>), Failure> {
    let mut found = Vec::new();
    let listed = client.list(|entry| {
        if names::under(&entry.name, prefix).is_some() {
            found.push(entry);
        }
        ControlFlow::Continue(())
    });
    let left_out = match listed {
        Ok(synced) => {
            sync::warn(synced, "files may be missing, or out of date");
            None
        }
        // The others can be had.
        Err(error @ ClientError::Damaged(_)) => Some(door::failure(&error)),
        Err(error) => return Err(door::failure(&error)),
    };
    found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok((found, left_out))
}

/// Where an entry's file is to be, and the folders for it.
fn place_for(get: &args::Get, entry: &Entry, landing: &mut Landing) -> Result<Place, Failure> {
    let refused = |reason: &str| Failure::new(Exit::Error, format_args!("left out: {reason}"));
    let under = names::under(&entry.name, &get.name).ok_or_else(|| refused("it is elsewhere"))?;
    let text = std::str::from_utf8(under).map_err(|_| refused("the name is not UTF-8"))?;
    let (folder, name) = landing.prepare(&names::below(text).map_err(refused)?)?;
    Ok(Place::new(folder, name))
}

/// Makes whole files durable, all with one call for each file system, and gives them their names.
fn place_all(batch: &mut Vec<Arrival>, tally: &RefCell<Tally>) {
    let synced = arrival::sync_all(batch);
    let mut tally = tally.borrow_mut();
    for arrival in batch.drain(..) {
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

/// Where a file is to be.
enum Destination {
    /// Where a person said.
    Path(PathBuf),
    /// Somewhere below the folder that a person named.
    Place(Place),
}

/// A file on its way to a local one.
struct Incoming<'a> {
    name: String,
    destination: Destination,
    existing: Existing,
    arrival: Option<Arrival>,
    failure: Option<Failure>,
    progress: &'a Progress,
    /// The bar knows its length already.
    is_counted: bool,
    /// The connection broke, which is nothing about this file.
    is_broken_off: bool,
}

impl<'a> Incoming<'a> {
    fn new(get: &args::Get, destination: Destination, progress: &'a Progress) -> Self {
        Self {
            name: get.name.clone(),
            destination,
            existing: existing(get),
            arrival: None,
            failure: None,
            progress,
            is_counted: false,
            is_broken_off: false,
        }
    }

    fn start(&mut self, entry: &Entry) -> Result<(), Failure> {
        let arrival = match &self.destination {
            Destination::Path(path) => Arrival::create(path, self.existing)?,
            Destination::Place(place) => Arrival::create_at(place.clone(), self.existing)?,
        };
        arrival.take_mode(entry.mode)?;
        self.arrival = Some(arrival);
        if !self.is_counted {
            self.progress.expect(entry.size);
        }
        Ok(())
    }

    /// A failure on this machine says more than what the library makes of it.
    fn judge(&mut self, result: Result<Entry, CallError>) -> Result<Entry, Failure> {
        match (self.failure.take(), result) {
            (Some(failure), _) => Err(failure),
            (None, Ok(entry)) => Ok(entry),
            (None, Err(error)) => {
                let broken = matches!(error, CallError::Client(ClientError::Disconnected(_)));
                self.is_broken_off = broken;
                Err(door::call_failure(&error))
            }
        }
    }

    fn arrived(&mut self) -> Result<Arrival, Failure> {
        let missing = || Failure::new(Exit::Error, "the file ended before it began");
        self.arrival.take().ok_or_else(missing)
    }

    fn kept(&mut self, done: Result<(), Failure>) -> io::Result<()> {
        done.map_err(|failure| {
            let error = io::Error::other(failure.to_string());
            self.failure = Some(failure);
            error
        })
    }
}

impl Sink for Incoming<'_> {
    fn begin(&mut self, entry: &Entry) -> io::Result<()> {
        let done = self.start(entry);
        self.kept(done)
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let done = self.arrival.as_mut().map_or(Ok(()), |arrival| arrival.write(bytes));
        self.progress.advance(bytes.len() as u64);
        self.kept(done)
    }
}

/// A file on its way to stdout.
struct Printed<'a> {
    output: Output,
    failure: Option<Failure>,
    progress: &'a Progress,
}

impl Sink for Printed<'_> {
    fn begin(&mut self, entry: &Entry) -> io::Result<()> {
        self.progress.expect(entry.size);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.progress.advance(bytes.len() as u64);
        // Handed on at once: whoever reads wants it while it arrives.
        let done = self.output.bytes(bytes).and_then(|()| self.output.flush());
        done.map_err(|failure| {
            let error = io::Error::other(failure.to_string());
            self.failure = Some(failure);
            error
        })
    }
}
