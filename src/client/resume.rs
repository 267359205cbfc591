//! Blocking gets, many at once, that go on over another connection when theirs breaks, and at another node when theirs
//! cannot serve them.
//!
//! A node that ends, that falls silent, or that gave up a program which took no bytes for too long, costs a get the blocks
//! that were on their way, and pages that it had read. Knows no wire and no cipher. Invariants: a sink gets every byte once
//! and in order, all of the version that was found first; one that fails ends its own get and no other.

use super::error::CallError;
use super::shell::Client;
use crate::ids::Hash;
use crate::limits::BLOCK;
use crate::seeded::{self, Bug};
use crate::session::{Answer, ClientError, Entry, Event, Op, Operation, Part, Source};
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Connections that may be lost one after the other in vain.
const VAIN_MAX: u32 = 2;
/// A connection that fell silent was not in vain if it brought so many bytes; one that broke, if it brought any. Ten seconds
/// were waited for the first, and a break may be the program's own doing.
const WORTH_WAITING: u64 = BLOCK as u64;

/// Where a file's bytes go.
pub trait Sink {
    /// The file has been found. Called once, before all bytes, for an empty file too.
    ///
    /// # Errors
    /// End the get.
    fn begin(&mut self, entry: &Entry) -> io::Result<()>;

    /// The next bytes: checked, and in order.
    ///
    /// # Errors
    /// End the get.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// The next so many bytes are where they go already: so only for who has said what is there.
    ///
    /// # Errors
    /// End the get.
    fn pass(&mut self, _bytes: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What a get asks for.
#[derive(Clone)]
pub(super) enum Wanted {
    /// As long as no version has been found.
    Name(Vec<u8>),
    Version(Box<Entry>),
    /// Of a version that has been found these are the bytes that are left.
    Part(Source, Part),
    /// All but the blocks that are there.
    Missing(Source, Arc<[Hash]>),
}

impl Wanted {
    fn part(source: Source, Range { start, end }: Range<u64>) -> Self {
        Self::Part(source, Part::Range { first: start, end })
    }
}

/// A get under way.
struct Fetch<S> {
    wanted: Wanted,
    sink: S,
    begun: bool,
    /// Bytes that the sink has taken.
    taken: u64,
    /// How the sink failed.
    failure: Option<io::Error>,
    /// How the nodes failed that were asked so far, other than by their connection.
    refused: Vec<ClientError>,
}

impl<S: Sink> Fetch<S> {
    fn new(wanted: Wanted, sink: S) -> Self {
        Self { wanted, sink, begun: false, taken: 0, failure: None, refused: Vec::new() }
    }

    /// What is left to do.
    fn operation(&self) -> Operation {
        match self.wanted.clone() {
            Wanted::Name(name) => Operation::Get { name },
            Wanted::Version(entry) => Operation::GetEntry { entry, from: self.taken },
            Wanted::Part(source, part) => Operation::GetPart { source, part },
            Wanted::Missing(source, here) => {
                Operation::GetMissing { source, from: self.taken, here }
            }
        }
    }

    fn begin(&mut self, entry: Box<Entry>) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        let began = self.sink.begin(&entry);
        self.wanted = match &self.wanted {
            Wanted::Part(_, part) => {
                let left = part.of(entry.size).unwrap_or_default();
                Wanted::part(Source::Version(entry), left)
            }
            Wanted::Missing(_, here) => Wanted::Missing(Source::Version(entry), Arc::clone(here)),
            Wanted::Name(_) | Wanted::Version(_) => Wanted::Version(entry),
        };
        began
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.taken += bytes.len() as u64;
        if let Wanted::Part(_, Part::Range { first, .. }) = &mut self.wanted {
            *first += bytes.len() as u64;
        }
        self.sink.take(bytes)
    }

    fn pass(&mut self, bytes: u64) -> io::Result<()> {
        self.taken += bytes;
        self.sink.pass(bytes)
    }

    /// What it came to. A failure on this side is the reason for what the other side says.
    fn judge(self, result: Result<Answer, ClientError>) -> (S, Result<Entry, CallError>) {
        let result = match (self.failure, result) {
            (Some(failure), _) => Err(CallError::Local(failure)),
            (None, Ok(Answer::Got(entry))) => Ok(*entry),
            (None, Ok(other)) => Err(other.misfit().into()),
            (None, Err(error)) => Err(error.into()),
        };
        (self.sink, result)
    }
}

/// All gets of one call.
struct Fetches<S> {
    running: HashMap<Op, Fetch<S>>,
    /// Those whose connection broke.
    broken: Vec<Fetch<S>>,
    /// The node says nothing, though the connection is there.
    silent: Option<ClientError>,
    /// Those that the node cannot serve: asked of another node, once nothing is under way here.
    elsewhere: Vec<Fetch<S>>,
    /// Bytes that came since the last connection was lost.
    come: u64,
    /// Connections that were lost in vain since one was not.
    vain: u32,
}

impl Client {
    /// Keeps so many gets under way until there are none left, and tells of each when it is done.
    pub(super) fn fetch<S: Sink>(
        &mut self,
        jobs: impl IntoIterator<Item = (Wanted, S)>,
        in_flight: usize,
        mut done: impl FnMut(S, Result<Entry, CallError>),
    ) -> Result<(), ClientError> {
        let mut jobs = jobs.into_iter();
        let mut all = Fetches::new();
        loop {
            while all.has_room(in_flight)
                && let Some((wanted, sink)) = jobs.next()
            {
                all.run(self, Fetch::new(wanted, sink));
            }
            if all.are_idle() {
                if all.elsewhere.is_empty() {
                    return Ok(());
                }
                all.ask_elsewhere(self, &mut done)?;
                continue;
            }
            let lost = match self.wait() {
                Ok(event) => {
                    all.hear(self, event).into_iter().for_each(|(sink, result)| done(sink, result));
                    all.silent.take()
                }
                Err(error) => Some(error),
            };
            if let Some(error) = lost {
                all.connection_lost(self, &error, &mut done)?;
            }
        }
    }
}

/// Whether another connection may do better than the one that ended so.
fn may_help(client: &mut Client, error: &ClientError) -> bool {
    match error {
        ClientError::Disconnected(_) => true,
        // The same node would be waited for as long again.
        ClientError::Silent => client.choices() > 0,
        ClientError::NotFound
        | ClientError::Exists
        | ClientError::Changed
        | ClientError::Future
        | ClientError::Unreachable(_)
        | ClientError::WrongNetwork
        | ClientError::Unavailable
        | ClientError::NotTaken
        | ClientError::Damaged(_)
        | ClientError::Forged
        | ClientError::NoDataKey
        | ClientError::NoWriteKey
        | ClientError::Refused(..)
        | ClientError::Protocol(_)
        | ClientError::Aborted
        | ClientError::BadName
        | ClientError::BeyondEnd { .. }
        | ClientError::LongAttributes => false,
    }
}

/// Whether another node may do better: it has what this one lacks, or tells the truth.
fn may_differ(error: &ClientError) -> bool {
    match error {
        ClientError::Unavailable
        | ClientError::Damaged(_)
        | ClientError::Forged
        | ClientError::Refused(..)
        | ClientError::Future
        | ClientError::Protocol(_) => true,
        ClientError::NotFound
        | ClientError::Exists
        | ClientError::Changed
        | ClientError::NotTaken
        // The connection's: told elsewhere.
        | ClientError::Unreachable(_)
        | ClientError::WrongNetwork
        | ClientError::Disconnected(_)
        | ClientError::Silent
        // Ours.
        | ClientError::NoDataKey
        | ClientError::NoWriteKey
        | ClientError::Aborted
        | ClientError::BadName
        | ClientError::BeyondEnd { .. }
        | ClientError::LongAttributes => false,
    }
}

impl<S: Sink> Fetches<S> {
    fn new() -> Self {
        Self {
            running: HashMap::new(),
            broken: Vec::new(),
            silent: None,
            elsewhere: Vec::new(),
            come: 0,
            vain: 0,
        }
    }

    fn has_room(&self, in_flight: usize) -> bool {
        self.broken.is_empty() && self.running.len() + self.elsewhere.len() < in_flight
    }

    /// Nothing is under way here.
    fn are_idle(&self) -> bool {
        self.running.is_empty() && self.broken.is_empty()
    }

    fn run(&mut self, client: &mut Client, fetch: Fetch<S>) {
        let op = client.start(fetch.operation());
        self.running.insert(op, fetch);
    }

    /// What this node cannot serve is asked of the next one; the rest of the work is done there too.
    fn ask_elsewhere(
        &mut self,
        client: &mut Client,
        done: &mut impl FnMut(S, Result<Entry, CallError>),
    ) -> Result<(), ClientError> {
        let there = client.connect_again();
        if there.is_err() {
            self.end_refused(done);
        }
        for fetch in std::mem::take(&mut self.elsewhere) {
            self.run(client, fetch);
        }
        there
    }

    /// No other node can be asked: what waits for one comes to what the last has said.
    fn end_refused(&mut self, done: &mut impl FnMut(S, Result<Entry, CallError>)) {
        for mut fetch in std::mem::take(&mut self.elsewhere) {
            let error = fetch.refused.pop().expect("who waits for another node was refused by one");
            let (sink, result) = fetch.judge(Err(error));
            done(sink, result);
        }
    }

    /// Goes on over another connection; or ends all with this error, if that is not worth a try.
    fn connection_lost(
        &mut self,
        client: &mut Client,
        error: &ClientError,
        done: &mut impl FnMut(S, Result<Entry, CallError>),
    ) -> Result<(), ClientError> {
        for (op, fetch) in self.running.drain() {
            client.abort(op);
            self.broken.push(fetch);
        }
        self.count_loss(error);
        let is_worth = may_help(client, error) && self.vain <= VAIN_MAX;
        let goes_on = is_worth && client.connect_again().is_ok();
        for fetch in std::mem::take(&mut self.broken) {
            if goes_on && fetch.failure.is_none() {
                self.run(client, fetch);
            } else {
                let (sink, result) = fetch.judge(Err(error.clone()));
                done(sink, result);
            }
        }
        if goes_on {
            return Ok(());
        }
        self.end_refused(done);
        Err(error.clone())
    }

    fn count_loss(&mut self, error: &ClientError) {
        let enough = if *error == ClientError::Silent { WORTH_WAITING } else { 1 };
        let in_vain = std::mem::take(&mut self.come) < enough;
        self.vain = if in_vain { self.vain + 1 } else { 1 };
    }

    /// Gives a sink what is for it; or what a get came to.
    fn hear(&mut self, client: &mut Client, event: Event) -> Option<(S, Result<Entry, CallError>)> {
        let (op, taken) = match event {
            Event::Found { op, entry } => (op, self.running.get_mut(&op)?.begin(entry)),
            Event::Data { op, bytes } => {
                self.come += bytes.len() as u64;
                let fetch = self.running.get_mut(&op).filter(|fetch| fetch.failure.is_none())?;
                (op, fetch.take(&bytes))
            }
            Event::Here { op, bytes } => {
                let fetch = self.running.get_mut(&op).filter(|fetch| fetch.failure.is_none())?;
                (op, fetch.pass(bytes))
            }
            Event::Finished { op, result } => {
                let mut fetch = self.running.remove(&op)?;
                match result {
                    Err(ClientError::Disconnected(_)) => self.broken.push(fetch),
                    // Without another node to ask this get alone has ended.
                    Err(error @ ClientError::Silent) if client.choices() > 0 => {
                        self.broken.push(fetch);
                        self.silent = Some(error);
                    }
                    Err(error)
                        if may_differ(&error)
                            && !seeded::is_on(Bug::EndAtFirstFailure)
                            && fetch.failure.is_none()
                            && fetch.refused.len() < client.choices() =>
                    {
                        fetch.refused.push(error);
                        self.elsewhere.push(fetch);
                    }
                    result => return Some(fetch.judge(result)),
                }
                return None;
            }
            Event::Ready { .. }
            | Event::NeedData { .. }
            | Event::Entry { .. }
            | Event::Version { .. }
            | Event::Folder { .. }
            | Event::Progress { .. } => return None,
        };
        if let Err(error) = taken {
            self.running.get_mut(&op)?.failure = Some(error);
            client.abort(op);
        }
        None
    }
}
