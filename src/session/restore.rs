//! A restoration: a new version with the content and attributes of an earlier one, whose blocks are where they were.
//!
//! Invariant: it supersedes what was there when the version was chosen, and nothing else: what others have stored since is
//! not lost unseen.

use super::answer::{Answer, Op};
use super::context::Context;
use super::entry::{Content, Entry, Meta};
use super::error::{ClientError, unexpected};
use super::heads::{Heads, Told};
use super::machine::Step;
use crate::ids::VersionId;
use crate::seeded::{self, Bug};
use crate::wire::message::Message;

#[derive(Debug)]
enum Stage {
    /// The name's heads are asked for.
    Asking,
    /// This version is on its way.
    Writing(VersionId),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Restore {
    op: Op,
    entry: Box<Entry>,
    /// The greatest version of the name when this one was chosen.
    over: Option<VersionId>,
    stage: Stage,
}

impl Restore {
    pub(super) fn begin(
        context: &mut Context,
        op: Op,
        entry: Box<Entry>,
        over: Option<VersionId>,
    ) -> Result<Self, ClientError> {
        context.seals.write_key()?;
        context.ask_head(op, &entry.name)?;
        Ok(Self { op, entry, over, stage: Stage::Asking })
    }

    pub(super) fn answered(
        &mut self,
        context: &mut Context,
        message: Message,
    ) -> Result<Step, ClientError> {
        match (&self.stage, message) {
            (Stage::Writing(version), Message::PutDone { copies, .. }) => {
                let (version, hash, size) = (*version, self.entry.hash, self.entry.size);
                Ok(Step::Done(Answer::Put { copies, is_new: true, version, hash, size }))
            }
            (Stage::Asking, message) => self.told(context, &Told::of(message)?),
            (Stage::Writing(_), other) => Err(unexpected(&other)),
        }
    }

    fn told(&mut self, context: &mut Context, told: &Told) -> Result<Step, ClientError> {
        let greatest = told.heads().greatest();
        if greatest != self.over && !seeded::is_on(Bug::RestoreOverUnseen) {
            return Err(ClientError::Changed);
        }
        if greatest == Some(self.entry.version) && !told.is_damaged() {
            let (version, hash, size) = (self.entry.version, self.entry.hash, self.entry.size);
            return Ok(Step::Done(Answer::Put { copies: 0, is_new: false, version, hash, size }));
        }
        let alone = told.heads().without_parents();
        let forgets = seeded::is_on(Bug::RestoreWithoutParents);
        self.write(context, if forgets { &alone } else { told.heads() })?;
        Ok(Step::Waits)
    }

    fn write(&mut self, context: &mut Context, heads: &Heads) -> Result<(), ClientError> {
        let Entry { name, mtime, mode, attributes, size, hash, list, secrets, .. } = &*self.entry;
        let (name, mtime, mode) = (name.clone(), *mtime, *mode);
        let meta = Meta { name, mtime, mode, attributes: attributes.clone() };
        let (size, hash, list, secrets) = (*size, *hash, list.clone(), secrets.clone());
        let made = context.seals.file(heads, &meta, Content { size, hash, list, secrets })?;
        self.stage = Stage::Writing(made.version);
        let conditions = vec![heads.unchanged()];
        context.put_records(self.op, vec![made.record], conditions, Vec::new());
        Ok(())
    }

    /// The name is not what it was: its heads are asked for again, and tell whether another version is shown.
    pub(super) fn again(&mut self, context: &mut Context) -> bool {
        let Stage::Writing(_) = self.stage else { return false };
        self.stage = Stage::Asking;
        context.ask_head(self.op, &self.entry.name).is_ok()
    }
}
