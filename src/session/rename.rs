//! A rename: the same blocks under the new name and a tombstone for the old one, in one step.
//!
//! Invariant: it happens only if both names are still what they were when they were asked for, or what is moved might not
//! be what the old name had.

use super::answer::{Answer, Op};
use super::clear::{Clear, Deleted};
use super::context::Context;
use super::entry::{Content, Entry, Meta};
use super::error::{ClientError, may_be_older, unexpected};
use super::heads::{Heads, Told};
use super::machine::Step;
use crate::ids::VersionId;
use crate::wire::condition::Condition;
use crate::wire::message::Message;

/// What is to be renamed.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) source: Vec<u8>,
    pub(super) target: Vec<u8>,
    /// Even if the target exists.
    pub(super) replace: bool,
}

/// What the old name has.
#[derive(Debug)]
struct Source {
    entry: Entry,
    heads: Heads,
}

#[derive(Debug)]
enum Stage {
    /// The source's versions are asked for.
    AskingSource,
    /// The target's are.
    AskingTarget(Box<Source>),
    /// The new name's version is on its way, and the tombstone of the old one.
    Writing { version: VersionId, deleted: VersionId, leaves_heads: bool },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Rename {
    op: Op,
    names: Names,
    stage: Stage,
}

impl Rename {
    pub(super) fn begin(context: &mut Context, op: Op, names: Names) -> Result<Self, ClientError> {
        context.seals.write_key()?;
        context.seals.name_id(&names.target)?;
        context.ask_head(op, &names.source)?;
        Ok(Self { op, names, stage: Stage::AskingSource })
    }

    pub(super) fn answered(
        &mut self,
        context: &mut Context,
        message: Message,
    ) -> Result<Step, ClientError> {
        // If this answer does not fit, the operation ends.
        match (std::mem::replace(&mut self.stage, Stage::AskingSource), message) {
            (Stage::AskingSource, message) => {
                self.stage = self.source_told(context, Told::of(message)?)?;
                Ok(Step::Waits)
            }
            (Stage::AskingTarget(source), message) => {
                self.stage = self.target_told(context, *source, &Told::of(message)?)?;
                Ok(Step::Waits)
            }
            (Stage::Writing { version, deleted, leaves_heads }, Message::PutDone { .. }) => {
                let name = std::mem::take(&mut self.names.source);
                let answer = Answer::Renamed { version, deleted, last: deleted };
                Ok(Clear::begin(context, self.op, Deleted { name, leaves_heads, answer }))
            }
            (Stage::Writing { .. }, other) => Err(unexpected(&other)),
        }
    }

    fn source_told(&self, context: &mut Context, told: Told) -> Result<Stage, ClientError> {
        let id = context.seals.name_id(&self.names.source)?;
        let entry = context.seals.open_told(&told, &id)?.ok_or(ClientError::NotFound)?;
        let log_damage = told.log_damage();
        if log_damage.is_any() {
            // The old version would become the newest, under another name.
            return Err(may_be_older(&log_damage));
        }
        context.ask_head(self.op, &self.names.target)?;
        Ok(Stage::AskingTarget(Box::new(Source { entry, heads: told.into_heads() })))
    }

    fn target_told(
        &self,
        context: &mut Context,
        source: Source,
        told: &Told,
    ) -> Result<Stage, ClientError> {
        let id = context.seals.name_id(&self.names.target)?;
        let exists = match self.names.replace {
            true => context.seals.open_shown(told.shown()?, &id)?,
            false => context.seals.open_told(told, &id)?,
        };
        if exists.is_some() && !self.names.replace || source.entry.name == self.names.target {
            return Err(ClientError::Exists);
        }
        self.write(context, source, told.heads())
    }

    fn write(
        &self,
        context: &mut Context,
        source: Source,
        heads: &Heads,
    ) -> Result<Stage, ClientError> {
        let Source { entry, heads: source_heads } = source;
        let name = self.names.target.clone();
        let Entry { mtime, mode, .. } = entry;
        let meta = Meta { name, mtime, mode, attributes: entry.attributes.clone() };
        let Entry { size, hash, list, secrets, name: source_name, .. } = entry;
        let content = Content { size, hash, list, secrets };
        let file = context.seals.file(heads, &meta, content)?;
        let tombstone = context.seals.tombstone(&source_heads, &source_name)?;
        let target = if self.names.replace { heads.unchanged() } else { Condition::Absent };
        let records = vec![file.record, tombstone.record];
        let conditions = vec![target, source_heads.unchanged()];
        context.put_records(self.op, records, conditions, Vec::new());
        let leaves_heads = source_heads.outnumber_parents();
        Ok(Stage::Writing { version: file.version, deleted: tombstone.version, leaves_heads })
    }

    /// A name is not what it was: the versions of both are asked for again.
    pub(super) fn again(&mut self, context: &mut Context) -> bool {
        let Stage::Writing { .. } = self.stage else { return false };
        self.stage = Stage::AskingSource;
        context.ask_head(self.op, &self.names.source).is_ok()
    }
}
