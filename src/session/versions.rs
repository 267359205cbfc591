//! A list of the versions of a name: its heads, and then its versions from the newest on.
//!
//! Opens no record. Invariant: each version is told of once, and which one is shown is what the name's heads say.

use super::answer::{Answer, Event, Op};
use super::context::Context;
use super::error::{ClientError, may_have_been};
use super::heads::Told;
use super::history::{History, Part};
use super::machine::Step;
use super::version::{Standing, Version, VersionsWanted};
use crate::ids::VersionId;
use crate::limits::MESSAGE_RECORDS_MAX;
use crate::wire::message::Message;

#[derive(Debug)]
enum Stage {
    /// The name's heads are asked for.
    Asking,
    /// Its versions are, part by part; this is the greatest.
    Listing { greatest: Option<VersionId> },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Versions {
    op: Op,
    stage: Stage,
    history: History,
    /// None above this one is wanted.
    from: Option<VersionId>,
    /// How many more are wanted.
    left: u64,
    /// One was told of.
    is_known: bool,
}

impl Versions {
    pub(super) fn begin(
        context: &mut Context,
        op: Op,
        wanted: VersionsWanted,
    ) -> Result<Self, ClientError> {
        let VersionsWanted { name, from, newest } = wanted;
        context.ask_head(op, &name)?;
        let history = History::new(op, name, from);
        let left = newest.unwrap_or(u64::MAX);
        Ok(Self { op, stage: Stage::Asking, history, from, left, is_known: false })
    }

    pub(super) fn answered(
        &mut self,
        context: &mut Context,
        message: Message,
    ) -> Result<Step, ClientError> {
        match self.stage {
            Stage::Asking => self.heads_told(context, &Told::of(message)?),
            Stage::Listing { greatest } => {
                let part = self.history.take(context, message)?;
                self.part_told(context, part, greatest)
            }
        }
    }

    fn heads_told(&mut self, context: &mut Context, told: &Told) -> Result<Step, ClientError> {
        let greatest = told.heads().greatest();
        self.stage = Stage::Listing { greatest };
        // A node without room shows what it does not keep.
        if !told.is_kept()
            && let Ok(Some(record)) = told.shown()
            && let Some(version) = self.history.take_shown(context, record)?
        {
            self.tell(context, version, greatest);
        }
        self.ask_or_end(context, greatest)
    }

    fn part_told(
        &mut self,
        context: &mut Context,
        part: Part,
        greatest: Option<VersionId>,
    ) -> Result<Step, ClientError> {
        let Part { versions, is_last } = part;
        let newest = versions.first().map(|version| version.id);
        // Another may have come since the heads were told.
        let is_begin = self.from.is_none() && !self.is_known;
        let greatest = if is_begin { greatest.max(newest) } else { greatest };
        self.stage = Stage::Listing { greatest };
        versions.into_iter().for_each(|version| self.tell(context, version, greatest));
        if is_last { self.end(greatest) } else { self.ask_or_end(context, greatest) }
    }

    fn ask_or_end(
        &self,
        context: &mut Context,
        greatest: Option<VersionId>,
    ) -> Result<Step, ClientError> {
        if self.left == 0 {
            return self.end(greatest);
        }
        let most = u16::try_from(MESSAGE_RECORDS_MAX).unwrap_or(u16::MAX);
        self.history.ask(context, u16::try_from(self.left).unwrap_or(most).min(most))?;
        Ok(Step::Waits)
    }

    fn tell(&mut self, context: &mut Context, version: Version, greatest: Option<VersionId>) {
        self.is_known = true;
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let is_shown = Some(version.id) == greatest && version.standing != Standing::Deletion;
        let is_sound = version.standing != Standing::Damaged;
        let standing = if is_shown && is_sound { Standing::Shown } else { version.standing };
        let version = Box::new(Version { standing, ..version });
        context.tell(Event::Version { op: self.op, version });
    }

    fn end(&self, greatest: Option<VersionId>) -> Result<Step, ClientError> {
        let told = self.history.told(greatest);
        let is_there = self.is_known || greatest.is_some() || self.from.is_some();
        if is_there {
            return Ok(Step::Done(Answer::Versions(told)));
        }
        if told.log_damage.is_any() {
            return Err(may_have_been(&told.log_damage));
        }
        Err(ClientError::NotFound)
    }
}
