//! A deletion: the versions of the name, then a tombstone that names them.
//!
//! Invariant: a name that is not there is not deleted, unless its deletion hides other heads; one that others change
//! meanwhile is.

use super::answer::{Answer, Op};
use super::clear::{Clear, Deleted};
use super::context::Context;
use super::error::{ClientError, unexpected};
use super::heads::Told;
use super::machine::Step;
use crate::ids::VersionId;
use crate::seeded::{self, Bug};
use crate::wire::condition::Condition;
use crate::wire::message::Message;

#[derive(Debug)]
enum Stage {
    /// The name's versions are asked for.
    Asking,
    /// This version is on its way.
    Writing { version: VersionId, leaves_heads: bool },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Delete {
    op: Op,
    name: Vec<u8>,
    stage: Stage,
}

impl Delete {
    pub(super) fn begin(context: &mut Context, op: Op, name: Vec<u8>) -> Result<Self, ClientError> {
        context.seals.write_key()?;
        context.ask_head(op, &name)?;
        Ok(Self { op, name, stage: Stage::Asking })
    }

    pub(super) fn answered(
        &mut self,
        context: &mut Context,
        message: Message,
    ) -> Result<Step, ClientError> {
        match (&self.stage, message) {
            (Stage::Writing { version, leaves_heads }, Message::PutDone { .. }) => {
                let (version, leaves_heads) = (*version, *leaves_heads);
                let name = std::mem::take(&mut self.name);
                let answer = Answer::Deleted { version, last: version };
                Ok(Clear::begin(context, self.op, Deleted { name, leaves_heads, answer }))
            }
            (Stage::Asking, message) => {
                self.told(context, &Told::of(message)?)?;
                Ok(Step::Waits)
            }
            (Stage::Writing { .. }, other) => Err(unexpected(&other)),
        }
    }

    fn told(&mut self, context: &mut Context, told: &Told) -> Result<(), ClientError> {
        // What is damaged can be deleted without being seen.
        if !told.is_damaged() {
            let id = context.seals.name_id(&self.name)?;
            let is_shown = context.seals.open_told(told, &id)?.is_some();
            // Where a deletion hides heads beside it these are what is deleted.
            let hides = told.heads().are_many() && !seeded::is_on(Bug::LeaveHidden);
            if !is_shown && !hides {
                return Err(ClientError::NotFound);
            }
        }
        let tombstone = context.seals.tombstone(told.heads(), &self.name)?;
        // Whatever is there by then is deleted, so long as the name is gone afterwards.
        let conditions = vec![Condition::Newest];
        context.put_records(self.op, vec![tombstone.record], conditions, Vec::new());
        let leaves_heads = told.heads().outnumber_parents();
        self.stage = Stage::Writing { version: tombstone.version, leaves_heads };
        Ok(())
    }

    /// The name is not what it was: its versions are asked for again.
    pub(super) fn again(&mut self, context: &mut Context) -> bool {
        let Stage::Writing { .. } = self.stage else { return false };
        self.stage = Stage::Asking;
        context.ask_head(self.op, &self.name).is_ok()
    }
}
