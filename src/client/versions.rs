//! The past of names: their versions, what they were at a time, those that are deleted; and bringing a version back.
//!
//! Knows no wire and no cipher. Invariant: whoever has had enough is told no more.

use super::calls::Stored;
use super::shell::Client;
use crate::ids::VersionId;
use crate::session::{
    Answer, ClientError, Entry, Event, Operation, Version, VersionsTold, VersionsWanted,
};
use crate::wire::sync_state::SyncState;
use crate::wire::view::View;
use std::ops::ControlFlow;

impl Client {
    /// Tells of versions of a name, the newest first, until `each` has had enough; and what there is to say of the list, if
    /// it has come to its end.
    ///
    /// # Errors
    /// `NotFound`, or the network's.
    pub fn versions(
        &mut self,
        wanted: VersionsWanted,
        mut each: impl FnMut(Version) -> ControlFlow<()>,
    ) -> Result<Option<VersionsTold>, ClientError> {
        let answer = self.walk(Operation::Versions { wanted }, |event| match event {
            Event::Version { version, .. } => each(*version),
            _ => ControlFlow::Continue(()),
        })?;
        match answer {
            None => Ok(None),
            Some(Answer::Versions(told)) => Ok(Some(told)),
            Some(other) => Err(other.misfit()),
        }
    }

    /// Stores a new version of a name with the content and attributes of an earlier one. `over`: the greatest version when
    /// that one was chosen.
    ///
    /// # Errors
    /// `Changed` if that is another now, or the network's.
    pub fn restore(
        &mut self,
        entry: Entry,
        over: Option<VersionId>,
    ) -> Result<Stored, ClientError> {
        Stored::of(self.ask(Operation::Restore { entry: Box::new(entry), over })?)
    }

    /// Tells of every file that was shown when this was the greatest stamp, in no order, until `each` has had enough.
    ///
    /// # Errors
    /// The network's.
    pub fn list_at(
        &mut self,
        stamp: u64,
        mut each: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<SyncState, ClientError> {
        let view = View::At(stamp);
        let answer = self.walk(Operation::ListPast { view }, |event| match event {
            Event::Entry { entry, .. } => each(*entry),
            _ => ControlFlow::Continue(()),
        })?;
        listed(answer)
    }

    /// Tells of every name that is deleted, by the version that deletes it, in no order, until `each` has had enough.
    ///
    /// # Errors
    /// The network's.
    pub fn list_deleted(
        &mut self,
        mut each: impl FnMut(Version) -> ControlFlow<()>,
    ) -> Result<SyncState, ClientError> {
        let view = View::Deleted;
        let answer = self.walk(Operation::ListPast { view }, |event| match event {
            Event::Version { version, .. } => each(*version),
            _ => ControlFlow::Continue(()),
        })?;
        listed(answer)
    }

    /// Tells what an operation tells until `each` has had enough; what it came to, unless that was so.
    fn walk(
        &mut self,
        operation: Operation,
        mut each: impl FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Option<Answer>, ClientError> {
        let walk = self.start(operation);
        loop {
            match self.wait()? {
                Event::Finished { op, result } if op == walk => return result.map(Some),
                event @ (Event::Entry { op, .. } | Event::Version { op, .. }) if op == walk => {
                    if each(event).is_break() {
                        self.abort(walk);
                        return Ok(None);
                    }
                }
                other => drop(other),
            }
        }
    }
}

/// Whoever has had enough asks no more of a list.
fn listed(answer: Option<Answer>) -> Result<SyncState, ClientError> {
    match answer {
        None => Ok(SyncState::Complete),
        Some(Answer::Listed { sync }) => Ok(sync),
        Some(other) => Err(other.misfit()),
    }
}
