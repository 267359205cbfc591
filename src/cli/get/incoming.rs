//! A stored file on its way to a local one, or to stdout.
//!
//! Knows no command. Invariant: what fails here is told by its own failure, not by what the library makes of it.

use std::io;
use std::path::PathBuf;

use crate::cli::arrival::Arrival;
use crate::cli::destination::{Destination, Existing};
use crate::cli::door;
use crate::cli::facts::{self, Facts, Kind};
use crate::cli::failure::{Exit, Failure};
use crate::cli::names::{self, Name};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::text::shown;
use crate::client::{CallError, Sink};
use crate::session::{ClientError, Entry, Part};

/// A link leads no further than a path is long.
const TARGET_MAX: u64 = 4095;

/// What a command line says of all its files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) xattrs: bool,
    pub(super) existing: Existing,
    /// Not all of the file.
    pub(super) part: Option<Part>,
}

/// What has come as a whole.
pub(super) enum Arrived {
    File(Arrival),
    /// Where a link leads.
    Link(Vec<u8>),
}

/// A file on its way to a local one.
pub(super) struct Incoming<'a> {
    wanted: Wanted,
    name: Name,
    /// Where it is to be, if nothing is begun there yet.
    place: Option<Destination>,
    /// What was begun before it was known what comes: only a link may take the place of a link that leads nowhere.
    begun: Option<Result<Arrival, Failure>>,
    arrival: Option<Arrival>,
    /// Where a link leads, as far as it has come.
    target: Option<Vec<u8>>,
    failure: Option<Failure>,
    progress: &'a Progress,
    /// Bytes that are still to come, of one among many, whose bytes are counted already.
    rest: Option<u64>,
    /// The connection broke, which is nothing about this file.
    is_broken_off: bool,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(
        wanted: Wanted,
        name: Name,
        begun: Option<Result<Arrival, Failure>>,
        progress: &'a Progress,
    ) -> Self {
        Self {
            wanted,
            name,
            place: None,
            begun,
            arrival: None,
            target: None,
            failure: None,
            progress,
            rest: None,
            is_broken_off: false,
        }
    }

    /// It is one of many, and is begun in this place when it comes.
    pub(super) fn expect_at(&mut self, place: Destination, bytes: u64) {
        self.place = Some(place);
        self.rest = Some(bytes);
    }

    /// It is done with: what has not come counts as well.
    pub(super) fn finish(&mut self) {
        self.progress.advance(self.rest.take().unwrap_or(0));
        self.progress.file_done();
    }

    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    pub(super) fn is_broken_off(&self) -> bool {
        self.is_broken_off
    }

    fn start(&mut self, entry: &Entry) -> Result<(), Failure> {
        let bytes = length(entry, self.wanted.part);
        if self.rest.is_none() {
            self.progress.expect(bytes);
        }
        match facts::kind(entry) {
            Kind::Folder => return Err(names::is_a_folder(&self.name, "get -r fetches it")),
            Kind::Link if self.wanted.part.is_some() => {
                let sentence = "it is a symbolic link: --range is for files";
                return Err(Failure::new(Exit::Error, sentence));
            }
            Kind::Link if entry.size > TARGET_MAX => {
                return Err(Failure::new(
                    Exit::Integrity,
                    "a link that leads further than a path is long",
                ));
            }
            Kind::Link => {
                // Nothing was written: it leaves nothing behind.
                self.begun = None;
                self.target = Some(Vec::new());
                return Ok(());
            }
            Kind::File => {}
        }
        let begun = match (self.begun.take(), &self.place) {
            (None, Some(place)) => Some(Arrival::create_at(place.clone(), self.wanted.existing)?),
            (begun, _) => begun.transpose()?,
        };
        if let Some(arrival) = &begun {
            arrival.expect(entry.attributes.allocated.unwrap_or(bytes).min(bytes))?;
        }
        self.arrival = begun;
        Ok(())
    }

    /// So many bytes have come, or were there.
    fn count(&mut self, bytes: u64) {
        let mut counted = bytes;
        if let Some(rest) = &mut self.rest {
            counted = counted.min(*rest);
            *rest -= counted;
        }
        self.progress.advance(counted);
    }

    /// Where what has come stays if no more comes.
    pub(super) fn stays_at(&self) -> Option<PathBuf> {
        let begun = self.begun.as_ref().and_then(|begun| begun.as_ref().ok());
        self.arrival.as_ref().or(begun).and_then(Arrival::stays_at)
    }

    /// A failure on this machine says more than what the library makes of it.
    pub(super) fn judge(&mut self, result: Result<Entry, CallError>) -> Result<Entry, Failure> {
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

    /// The whole, with all that the entry says of it.
    pub(super) fn arrived(&mut self, entry: &Entry) -> Result<Arrived, Failure> {
        if let Some(target) = self.target.take() {
            return Ok(Arrived::Link(target));
        }
        let missing = || Failure::new(Exit::Error, "the file ended before it began");
        let mut arrival = self.arrival.take().ok_or_else(missing)?;
        arrival.finish(&Facts::of(entry, self.wanted.xattrs))?;
        Ok(Arrived::File(arrival))
    }

    /// The same in the place that it was expected at: a link is there already.
    pub(super) fn arrived_there(&mut self, entry: &Entry) -> Result<Option<Arrival>, Failure> {
        match (self.arrived(entry)?, &self.place) {
            (Arrived::File(arrival), _) => Ok(Some(arrival)),
            (Arrived::Link(target), Some(place)) => {
                place.link(&target, &Facts::of(entry, false), self.wanted.existing)?;
                Ok(None)
            }
            (Arrived::Link(_), None) => Ok(None),
        }
    }
}

impl Sink for Incoming<'_> {
    fn begin(&mut self, entry: &Entry) -> io::Result<()> {
        let done = self.start(entry);
        kept(done, &mut self.failure)
    }

    fn pass(&mut self, bytes: u64) -> io::Result<()> {
        self.count(bytes);
        if let Some(arrival) = &mut self.arrival {
            arrival.skip(bytes);
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.count(bytes.len() as u64);
        if let Some(target) = &mut self.target {
            target.extend_from_slice(bytes);
            return Ok(());
        }
        let done = self.arrival.as_mut().map_or(Ok(()), |arrival| arrival.write(bytes));
        kept(done, &mut self.failure)
    }
}

/// A file on its way to stdout.
pub(super) struct Printed<'a> {
    pub(super) output: Output,
    /// What is wanted, if that is not all.
    pub(super) part: Option<Part>,
    pub(super) failure: Option<Failure>,
    pub(super) progress: &'a Progress,
}

impl Sink for Printed<'_> {
    fn begin(&mut self, entry: &Entry) -> io::Result<()> {
        self.progress.expect(length(entry, self.part));
        let name = shown(&String::from_utf8_lossy(&entry.name));
        let done = match facts::kind(entry) {
            Kind::File => Ok(()),
            Kind::Folder => Err(names::is_a_folder(&Name::new(&entry.name), "get -r fetches it")),
            Kind::Link => Err(Failure::new(
                Exit::Error,
                format_args!("{name} is a symbolic link: get fetches it as one"),
            )),
        };
        kept(done, &mut self.failure)
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.progress.advance(bytes.len() as u64);
        // Handed on at once: whoever reads wants it while it arrives.
        let done = self.output.bytes(bytes).and_then(|()| self.output.flush());
        kept(done, &mut self.failure)
    }
}

/// Bytes that are wanted of a file.
fn length(entry: &Entry, part: Option<Part>) -> u64 {
    part.map_or(entry.size, |part| part.length(entry.size))
}

/// A sink's failure, of which the library sees only that there is one.
fn kept(done: Result<(), Failure>, failed: &mut Option<Failure>) -> io::Result<()> {
    done.map_err(|failure| {
        let error = io::Error::other(failure.to_string());
        *failed = Some(failure);
        error
    })
}
