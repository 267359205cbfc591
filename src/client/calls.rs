//! Blocking calls: what a program wants of a network, one method each, on top of `start` and `wait`.
//!
//! Knows no wire and no cipher. Invariant: a source that fails is given up, so that nothing is
//! stored of it.

use super::error::CallError;
use super::resume::{Sink, Wanted};
use super::shell::Client;
use crate::ids::{Hash, VersionId};
use crate::session::{
    Answer, ClientError, Entry, Event, Holders, Meta, Op, Operation, Overwrite, Part, Source,
};
use crate::wire::message::{Member, NodeStatus};
use crate::wire::sync_state::SyncState;
use std::collections::HashMap;
use std::io::{self, Read};
use std::ops::ControlFlow;

/// Bytes read from a source at once.
const READ: usize = 256 * 1024;

/// A version that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Nodes that have it, as far as was known then; 0 if it was there and nobody was asked.
    pub copies: u16,
    /// It was made now. Else it was there, and says the same.
    pub is_new: bool,
    /// Which version it is.
    pub version: VersionId,
    /// The tree hash of the plaintext.
    pub hash: Hash,
    /// Bytes.
    pub size: u64,
}

impl Stored {
    /// What a put came to.
    ///
    /// # Errors
    /// It is an answer to something else.
    pub fn of(answer: Answer) -> Result<Self, ClientError> {
        match answer {
            Answer::Put { copies, is_new, version, hash, size } => {
                Ok(Self { copies, is_new, version, hash, size })
            }
            other => Err(other.misfit()),
        }
    }
}

/// One file to be stored.
#[derive(Debug)]
pub struct PutJob<S> {
    /// The name, and what is said of the file.
    pub meta: Meta,
    /// Whether there may be a file of that name.
    pub overwrite: Overwrite,
    /// The bytes. A read that would block is tried again, and the connection served in between;
    /// so a slow source should wait a second at most in each read.
    pub source: S,
}

/// One file to be fetched.
#[derive(Debug)]
pub struct GetJob<S> {
    /// From a list or a stat.
    pub entry: Entry,
    /// Where the bytes go.
    pub sink: S,
}

/// Every byte goes to a writer.
#[derive(Debug)]
struct Writer<W>(W);

impl<W: io::Write> Sink for Writer<W> {
    fn begin(&mut self, _entry: &Entry) -> io::Result<()> {
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}

/// A transfer under way: the program's end of it, and how that failed.
struct Running<S> {
    end: S,
    failure: Option<io::Error>,
}

impl<S> Running<S> {
    fn new(end: S) -> Self {
        Self { end, failure: None }
    }

    /// What it came to. A failure on this side is the reason for what the other side says.
    fn judge(self, result: Result<Answer, ClientError>) -> (S, Result<Answer, CallError>) {
        let result = match self.failure {
            Some(failure) => Err(CallError::Local(failure)),
            None => result.map_err(CallError::Client),
        };
        (self.end, result)
    }
}

/// What a list tells of.
#[derive(Debug)]
pub enum Listed {
    /// A file, a link, or a folder that was stored as one.
    File(Box<Entry>),
    /// The name of a folder further below, with a slash at its end.
    Folder(Vec<u8>),
}

impl Client {
    /// Stores a file.
    ///
    /// # Errors
    /// Nothing was stored, but for a broken connection, where that is not known.
    pub fn put(&mut self, meta: Meta, source: impl Read) -> Result<Stored, CallError> {
        self.put_one(PutJob { meta, overwrite: Overwrite::Always, source })
    }

    /// Stores a file, if no file has the name already for a job that asks for that.
    ///
    /// # Errors
    /// As for `put`.
    pub fn put_one(&mut self, job: PutJob<impl Read>) -> Result<Stored, CallError> {
        let mut answer = None;
        self.put_many([job], 1, |_, result| answer = Some(result))?;
        answer.unwrap_or(Err(CallError::Client(ClientError::Aborted)))
    }

    /// Stores many files, so many at once, and tells of each when it is done.
    ///
    /// # Errors
    /// The connection's. What was under way has been told of.
    pub fn put_many<S: Read>(
        &mut self,
        jobs: impl IntoIterator<Item = PutJob<S>>,
        in_flight: usize,
        mut done: impl FnMut(S, Result<Stored, CallError>),
    ) -> Result<(), ClientError> {
        let begin = |client: &mut Self, job: PutJob<S>| {
            let PutJob { meta, overwrite, source } = job;
            (client.start(Operation::Put { meta, overwrite }), source)
        };
        let mut buffer = vec![0; READ];
        self.transfer(
            &mut Jobs { jobs: &mut jobs.into_iter(), in_flight, begin },
            |client, running, event| client.feed_from(running, &mut buffer, &event),
            |source, result| done(source, result.and_then(|answer| Ok(Stored::of(answer)?))),
        )
    }

    /// Fetches a file into a writer. A connection that breaks is replaced, and the get goes on where it was.
    ///
    /// # Errors
    /// What the writer has by then is right, but not all.
    pub fn get(&mut self, name: &[u8], writer: impl io::Write) -> Result<Entry, CallError> {
        self.get_into(name, &mut Writer(writer))
    }

    /// Fetches a file into a sink, like `get`.
    ///
    /// # Errors
    /// What the sink has by then is right, but not all.
    pub fn get_into(&mut self, name: &[u8], sink: &mut impl Sink) -> Result<Entry, CallError> {
        self.get_one(Wanted::Name(name.to_vec()), sink)
    }

    /// Fetches some bytes of a file into a sink, like `get`; no more than these cross the network.
    ///
    /// # Errors
    /// The part begins beyond the end; or as for `get`.
    pub fn get_part(
        &mut self,
        source: Source,
        part: Part,
        sink: &mut impl Sink,
    ) -> Result<Entry, CallError> {
        self.get_one(Wanted::Part(source, part), sink)
    }

    /// Fetches a file into a sink, like `get`, but for what is there: `here` has the tree hash of each block of it, from the
    /// first byte on. What is the same is not fetched; the sink is told by `pass`.
    ///
    /// # Errors
    /// As for `get`.
    pub fn get_missing(
        &mut self,
        source: Source,
        here: Vec<Hash>,
        sink: &mut impl Sink,
    ) -> Result<Entry, CallError> {
        self.get_one(Wanted::Missing(source, here.into()), sink)
    }

    fn get_one(&mut self, wanted: Wanted, sink: &mut impl Sink) -> Result<Entry, CallError> {
        let mut answer = None;
        self.fetch([(wanted, Borrowed(sink))], 1, |_, result| answer = Some(result))?;
        answer.unwrap_or(Err(CallError::Client(ClientError::Aborted)))
    }

    /// Fetches a version that was told of before into a sink, like `get`.
    ///
    /// # Errors
    /// What the sink has by then is right, but not all.
    pub fn get_entry_into(
        &mut self,
        entry: Entry,
        sink: &mut impl Sink,
    ) -> Result<Entry, CallError> {
        self.get_one(Wanted::Version(Box::new(entry)), sink)
    }

    /// Fetches many files like `get`, so many at once, and tells of each when it is done.
    ///
    /// # Errors
    /// The connection's. What was under way has been told of.
    pub fn get_many<S: Sink>(
        &mut self,
        jobs: impl IntoIterator<Item = GetJob<S>>,
        in_flight: usize,
        done: impl FnMut(S, Result<Entry, CallError>),
    ) -> Result<(), ClientError> {
        let job_of = |GetJob { entry, sink }| (Wanted::Version(Box::new(entry)), sink);
        self.fetch(jobs.into_iter().map(job_of), in_flight, done)
    }

    /// What is said of a file.
    ///
    /// # Errors
    /// `NotFound`, or the network's.
    pub fn stat(&mut self, name: &[u8]) -> Result<Entry, ClientError> {
        match self.ask(Operation::Stat { name: name.to_vec() })? {
            Answer::Stat(entry) => Ok(*entry),
            other => Err(other.misfit()),
        }
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// `NotFound`, or the network's.
    pub fn delete(&mut self, name: &[u8]) -> Result<(), ClientError> {
        self.ask(Operation::Delete { name: name.to_vec() }).map(drop)
    }

    /// Deletes many files, so many at once, and tells of each when it is done.
    ///
    /// # Errors
    /// The connection's. What was under way has been told of.
    pub fn delete_many(
        &mut self,
        names: impl IntoIterator<Item = Vec<u8>>,
        in_flight: usize,
        mut done: impl FnMut(Vec<u8>, Result<(), CallError>),
    ) -> Result<(), ClientError> {
        let begin = |client: &mut Self, name: Vec<u8>| {
            (client.start(Operation::Delete { name: name.clone() }), name)
        };
        self.transfer(
            &mut Jobs { jobs: &mut names.into_iter(), in_flight, begin },
            |_, _, event| drop(event),
            |name, result| done(name, result.map(drop)),
        )
    }

    /// Gives a file a name that is free.
    ///
    /// # Errors
    /// `NotFound`, `Exists`, or the network's.
    pub fn rename(&mut self, source: &[u8], target: &[u8]) -> Result<(), ClientError> {
        let (source, target) = (source.to_vec(), target.to_vec());
        self.ask(Operation::Rename { source, target, replace: false }).map(drop)
    }

    /// Tells of every file, in no order, until `each` has had enough; and whether the node has heard from the others what
    /// they know, which matters to whoever has had all.
    ///
    /// # Errors
    /// The network's.
    pub fn list(
        &mut self,
        mut each: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<SyncState, ClientError> {
        self.list_by(Operation::List, |listed| match listed {
            Listed::File(entry) => each(*entry),
            Listed::Folder(_) => ControlFlow::Continue(()),
        })
    }

    /// The same of a name, given without a slash at its end, and of all in the folder of that name; of all names, if it is
    /// empty. In the order of their bytes where the node keeps one, and else in none. With `one_level` what is in a folder
    /// further below is not told of, but the folder.
    ///
    /// # Errors
    /// The network's.
    pub fn list_under(
        &mut self,
        of: &[u8],
        one_level: bool,
        each: impl FnMut(Listed) -> ControlFlow<()>,
    ) -> Result<SyncState, ClientError> {
        self.list_by(Operation::ListUnder { of: of.to_vec(), one_level }, each)
    }

    fn list_by(
        &mut self,
        operation: Operation,
        mut each: impl FnMut(Listed) -> ControlFlow<()>,
    ) -> Result<SyncState, ClientError> {
        let list = self.start(operation);
        loop {
            let listed = match self.wait()? {
                Event::Entry { op, entry } if op == list => Listed::File(entry),
                Event::Folder { op, name } if op == list => Listed::Folder(name),
                Event::Finished { op, result } if op == list => {
                    return match result? {
                        Answer::Listed { sync } => Ok(sync),
                        other => Err(other.misfit()),
                    };
                }
                _ => continue,
            };
            if each(listed).is_break() {
                self.abort(list);
                return Ok(SyncState::Complete);
            }
        }
    }

    /// Which nodes say just now that they have all of a version.
    ///
    /// # Errors
    /// The network's.
    pub fn holders(&mut self, entry: &Entry) -> Result<Holders, ClientError> {
        match self.ask(Operation::Holders { record: entry.record })? {
            Answer::Holders(holders) => Ok(holders),
            other => Err(other.misfit()),
        }
    }

    /// How the node is.
    ///
    /// # Errors
    /// The network's.
    pub fn status(&mut self) -> Result<NodeStatus, ClientError> {
        match self.ask(Operation::Status)? {
            Answer::Status(status) => Ok(*status),
            other => Err(other.misfit()),
        }
    }

    /// Which other nodes the node knows.
    ///
    /// # Errors
    /// The network's.
    pub fn members(&mut self) -> Result<Vec<Member>, ClientError> {
        match self.ask(Operation::Members)? {
            Answer::Members(members) => Ok(members),
            other => Err(other.misfit()),
        }
    }

    pub(super) fn ask(&mut self, operation: Operation) -> Result<Answer, ClientError> {
        self.ask_and_watch(operation, drop)
    }

    pub(super) fn ask_and_watch(
        &mut self,
        operation: Operation,
        mut watch: impl FnMut(Event),
    ) -> Result<Answer, ClientError> {
        let asked = self.start(operation);
        loop {
            match self.wait()? {
                Event::Finished { op, result } if op == asked => return result,
                event => watch(event),
            }
        }
    }

    /// Keeps so many transfers under way until there are none left.
    #[allow(clippy::needless_pass_by_value, reason = "the work is used up")]
    fn transfer<J, S, B>(
        &mut self,
        work: &mut Jobs<'_, J, B>,
        mut step: impl FnMut(&mut Self, &mut HashMap<Op, Running<S>>, Event),
        mut done: impl FnMut(S, Result<Answer, CallError>),
    ) -> Result<(), ClientError>
    where
        B: Fn(&mut Self, J) -> (Op, S),
    {
        let mut running = HashMap::new();
        loop {
            while running.len() < work.in_flight
                && let Some(job) = work.jobs.next()
            {
                let (op, end) = (work.begin)(self, job);
                running.insert(op, Running::new(end));
            }
            if running.is_empty() {
                // The node may be told something more, and perhaps nothing follows for long.
                self.flush();
                return Ok(());
            }
            match self.wait() {
                Ok(Event::Finished { op, result }) => {
                    if let Some(ended) = running.remove(&op) {
                        let (end, result) = ended.judge(result);
                        done(end, result);
                    }
                }
                Ok(event) => step(self, &mut running, event),
                Err(error) => {
                    for (_, ended) in running.drain() {
                        let (end, result) = ended.judge(Err(error.clone()));
                        done(end, result);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Answers a put that asks for bytes.
    fn feed_from<S: Read>(
        &mut self,
        running: &mut HashMap<Op, Running<S>>,
        buffer: &mut [u8],
        event: &Event,
    ) {
        let Event::NeedData { op, room } = event else { return };
        let Some(put) = running.get_mut(op) else { return };
        let room = buffer.len().min(*room);
        let read = loop {
            match put.end.read(&mut buffer[..room]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The source is slow; the node must not take that for silence.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.poll_once() {
                        return;
                    }
                }
                read => break read,
            }
        };
        match read {
            Ok(0) => self.feed_end(*op),
            Ok(count) => {
                let taken = self.feed(*op, &buffer[..count]);
                assert_eq!(taken, count, "a put takes what it has asked for");
            }
            Err(error) => {
                put.failure = Some(error);
                self.abort(*op);
            }
        }
    }
}

/// What `transfer` works through.
struct Jobs<'a, J, B> {
    jobs: &'a mut dyn Iterator<Item = J>,
    in_flight: usize,
    begin: B,
}

/// A sink that stays the caller's.
struct Borrowed<'a, S>(&'a mut S);

impl<S: Sink> Sink for Borrowed<'_, S> {
    fn begin(&mut self, entry: &Entry) -> io::Result<()> {
        self.0.begin(entry)
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.take(bytes)
    }

    fn pass(&mut self, bytes: u64) -> io::Result<()> {
        self.0.pass(bytes)
    }
}
