//! One program's blocking calls into a node of its own process.
//!
//! Knows no wire and no cipher. Invariant: a source or a writer that fails is the program's own affair: its operation is
//! given up, and the session goes on.

use crate::client::{CallError, Stored};
use crate::net::Handle;
use crate::session::{Answer, ClientError, Entry, Event, Meta, Operation, Overwrite};
use crate::wire::sync_state::SyncState;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;

/// Bytes read from a source at once.
const READ: usize = 256 * 1024;

/// See the module. For more than one operation at a time there is `handle`.
#[allow(missing_debug_implementations, reason = "there is nothing to see")]
pub struct Program {
    handle: Handle,
}

impl Program {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// The session itself: operations and events, as many at once as one likes.
    pub fn handle(&mut self) -> &mut Handle {
        &mut self.handle
    }

    /// Stores a file under a name.
    ///
    /// # Errors
    /// Nothing was stored, but for a node that has stopped meanwhile, where that is not known.
    pub fn put(&mut self, name: &[u8], source: impl Read) -> Result<Stored, CallError> {
        self.put_as(Meta { name: name.to_vec(), ..Meta::default() }, source)
    }

    /// The same with what is said of the file.
    ///
    /// # Errors
    /// As for `put`.
    pub fn put_as(&mut self, meta: Meta, mut source: impl Read) -> Result<Stored, CallError> {
        let put = self.handle.start(Operation::Put { meta, overwrite: Overwrite::Always })?;
        let mut buffer = vec![0; READ];
        let mut failure = None;
        loop {
            match self.handle.wait()? {
                Event::NeedData { op, room } if op == put && failure.is_none() => {
                    let room = room.min(buffer.len());
                    match read(&mut source, &mut buffer[..room]) {
                        Ok(0) => self.handle.feed_end(op)?,
                        Ok(count) => self.handle.feed(op, &buffer[..count])?,
                        Err(error) => {
                            failure = Some(error);
                            self.handle.abort(op)?;
                        }
                    }
                }
                Event::Finished { op, result } if op == put => {
                    return match failure {
                        Some(failure) => Err(CallError::Local(failure)),
                        None => Ok(Stored::of(result?)?),
                    };
                }
                other => drop(other),
            }
        }
    }

    /// Fetches a file into a writer.
    ///
    /// # Errors
    /// What the writer has by then is right, but not all.
    pub fn get(&mut self, name: &[u8], mut writer: impl Write) -> Result<Entry, CallError> {
        let get = self.handle.start(Operation::Get { name: name.to_vec() })?;
        let mut failure = None;
        loop {
            match self.handle.wait()? {
                Event::Data { op, bytes } if op == get && failure.is_none() => {
                    if let Err(error) = writer.write_all(&bytes) {
                        failure = Some(error);
                        self.handle.abort(op)?;
                    }
                }
                Event::Finished { op, result } if op == get => {
                    return match (failure, result) {
                        (Some(failure), _) => Err(CallError::Local(failure)),
                        (None, Ok(Answer::Got(entry))) => Ok(*entry),
                        (None, Ok(other)) => Err(other.misfit().into()),
                        (None, Err(error)) => Err(error.into()),
                    };
                }
                other => drop(other),
            }
        }
    }

    /// Does what needs no bytes: `Stat`, `Delete`, `Rename`, `Status` and so on.
    ///
    /// # Errors
    /// What the operation came to.
    pub fn ask(&mut self, operation: Operation) -> Result<Answer, ClientError> {
        let asked = self.handle.start(operation)?;
        loop {
            match self.handle.wait()? {
                Event::Finished { op, result } if op == asked => return result,
                other => drop(other),
            }
        }
    }

    /// Tells of every file, in no order, until `each` has had enough; and whether the node has heard from the others what
    /// they know.
    ///
    /// # Errors
    /// What the operation came to.
    pub fn list(
        &mut self,
        mut each: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<SyncState, ClientError> {
        let list = self.handle.start(Operation::List)?;
        let mut enough = false;
        loop {
            match self.handle.wait()? {
                Event::Entry { op, entry } if op == list && !enough => {
                    enough = each(*entry).is_break();
                    if enough {
                        self.handle.abort(op)?;
                    }
                }
                Event::Finished { op, result } if op == list => {
                    return match result {
                        Err(_) if enough => Ok(SyncState::Complete),
                        Ok(Answer::Listed { sync }) => Ok(sync),
                        Ok(other) => Err(other.misfit()),
                        Err(error) => Err(error),
                    };
                }
                other => drop(other),
            }
        }
    }
}

fn read(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
