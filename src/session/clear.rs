//! Clearing: a name that is deleted, and has more heads than one tombstone can name, gets further tombstones until one is
//! the only head.
//!
//! The name is gone from the first tombstone on: whatever comes of the others, the operation has succeeded. Invariant:
//! there is a bound to how many are written, and none is written over what came after the first.

use super::answer::{Answer, Op};
use super::context::Context;
use super::error::{ClientError, unexpected};
use super::heads::Told;
use super::machine::Step;
use super::seal::NewVersion;
use crate::limits::TOMBSTONES_MAX;
use crate::seeded::{self, Bug};
use crate::wire::message::Message;

#[derive(Debug)]
enum Stage {
    /// The name's versions are asked for.
    Asking,
    /// One more tombstone is on its way.
    Writing,
}

/// A name that is being cleared.
#[derive(Debug)]
pub(super) struct Clear {
    op: Op,
    name: Vec<u8>,
    /// What the operation has come to.
    answer: Answer,
    /// Tombstones that may still be written.
    left: u32,
    stage: Stage,
}

/// A name whose first tombstone is durable.
pub(super) struct Deleted {
    pub(super) name: Vec<u8>,
    /// That has left heads behind.
    pub(super) leaves_heads: bool,
    pub(super) answer: Answer,
}

impl Clear {
    /// What is left to do for a name that is deleted.
    pub(super) fn begin(context: &mut Context, op: Op, deleted: Deleted) -> Step {
        let Deleted { name, leaves_heads, answer } = deleted;
        let is_clear = !leaves_heads || seeded::is_on(Bug::LeaveHeads);
        if is_clear || context.ask_head(op, &name).is_err() {
            return Step::Done(answer);
        }
        let (left, stage) = (TOMBSTONES_MAX, Stage::Asking);
        Step::Clears(Box::new(Self { op, name, answer, left, stage }))
    }

    pub(super) fn answered(
        &mut self,
        context: &mut Context,
        message: Message,
    ) -> Result<Step, ClientError> {
        match (&self.stage, message) {
            (Stage::Writing, Message::PutDone { .. }) => {
                self.left = self.left.saturating_sub(1);
                Ok(self.ask(context))
            }
            (Stage::Asking, message) => Ok(self.told(context, &Told::of(message)?)),
            (Stage::Writing, other) => Err(unexpected(&other)),
        }
    }

    fn ask(&mut self, context: &mut Context) -> Step {
        self.stage = Stage::Asking;
        match context.ask_head(self.op, &self.name) {
            Ok(_) => Step::Waits,
            Err(_) => Step::Done(self.answer.clone()),
        }
    }

    /// The node tells which versions the name has now, and shows one.
    fn told(&mut self, context: &mut Context, told: &Told) -> Step {
        match self.next_tombstone(context, told) {
            Ok(Some(tombstone)) => {
                self.note(&tombstone);
                let conditions = vec![told.heads().unchanged()];
                context.put_records(self.op, vec![tombstone.record], conditions, Vec::new());
                self.stage = Stage::Writing;
                Step::Waits
            }
            Ok(None) | Err(_) => Step::Done(self.answer.clone()),
        }
    }

    /// None if the name is clear, or somebody has stored under it again.
    fn next_tombstone(
        &self,
        context: &mut Context,
        told: &Told,
    ) -> Result<Option<NewVersion>, ClientError> {
        let id = context.seals.name_id(&self.name)?;
        let is_over = !told.heads().are_many() || self.left == 0;
        // What is damaged is deleted unseen.
        let shown = if told.is_damaged() { None } else { told.shown()? };
        if is_over || context.seals.open_shown(shown, &id)?.is_some() {
            return Ok(None);
        }
        context.seals.tombstone(told.heads(), &self.name).map(Some)
    }

    /// One tombstone more goes to the node: whatever it answers, it may be durable.
    fn note(&mut self, tombstone: &NewVersion) {
        if let Answer::Deleted { last, .. } | Answer::Renamed { last, .. } = &mut self.answer {
            *last = tombstone.version;
        }
    }

    /// The name is not what it was: its versions are asked for again.
    pub(super) fn again(&mut self, context: &mut Context) -> bool {
        let is_writing = matches!(self.stage, Stage::Writing);
        is_writing && matches!(self.ask(context), Step::Waits)
    }

    /// What fails while a name is cleared changes nothing of its being deleted.
    pub(super) fn outcome(self, result: Result<Answer, ClientError>) -> Answer {
        result.unwrap_or(self.answer)
    }
}
