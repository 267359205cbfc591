//! The versions of a name, part by part from the newest on: what the node tells of them, opened, and that it comes to an
//! end.
//!
//! Invariant: the versions descend, each record comes once and is one of the name that was asked for, and of the answers one
//! after the other that bring none there are few. That a version is superseded is the node's word, which knows more records
//! than it may have told of.

use super::answer::Op;
use super::context::Context;
use super::error::{ClientError, unexpected};
use super::version::{Opened, Standing, Version, VersionsTold};
use crate::ids::{RecordId, VersionId};
use crate::limits::LIST_BARREN_MAX;
use crate::seeded::{self, Bug};
use crate::wire::log_damage::LogDamage;
use crate::wire::message::{ListedVersion, Message, VersionMark};
use crate::wire::sync_state::SyncState;
use bytes::Bytes;

/// See the module.
#[derive(Debug)]
pub(super) struct History {
    op: Op,
    name: Vec<u8>,
    /// The next part lies before this.
    before: Option<VersionMark>,
    /// The last version that was told of.
    reached: Option<VersionMark>,
    /// Parts since one told of a version that could be opened.
    barren: u32,
    damaged: u64,
    sync: SyncState,
    log_damage: LogDamage,
}

/// Some versions, the newest first.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) versions: Vec<Version>,
    pub(super) is_last: bool,
}

impl History {
    /// Of a name, from this version on.
    pub(super) fn new(op: Op, name: Vec<u8>, from: Option<VersionId>) -> Self {
        let record = RecordId([u8::MAX; RecordId::LENGTH]);
        let before = from.map(|version| VersionMark { version, record });
        let (sync, log_damage) = Default::default();
        Self { op, name, before, reached: None, barren: 0, damaged: 0, sync, log_damage }
    }

    /// Asks for the next part: so many versions at most.
    pub(super) fn ask(&self, context: &mut Context, limit: u16) -> Result<(), ClientError> {
        let name = context.seals.name_id(&self.name)?;
        let (request, space) = (context.request(self.op), context.seals.space());
        context.send(Message::Versions { request, space, name, before: self.before, limit });
        Ok(())
    }

    /// The node shows this version beside those that it keeps.
    pub(super) fn take_shown(
        &mut self,
        context: &mut Context,
        record: &Bytes,
    ) -> Result<Option<Version>, ClientError> {
        let opened = context.seals.open_versions(std::slice::from_ref(record))?;
        let Some(Ok(opened)) = opened.into_iter().next() else { return Ok(None) };
        let mark = VersionMark { version: opened.version(), record: opened.record() };
        if opened.name() != self.name || self.before.is_some_and(|before| mark >= before) {
            return Ok(None);
        }
        (self.before, self.reached) = (Some(mark), Some(mark));
        Ok(Some(opened.into_version(Standing::Concurrent)))
    }

    /// The next part has come.
    pub(super) fn take(
        &mut self,
        context: &mut Context,
        message: Message,
    ) -> Result<Part, ClientError> {
        let Message::VersionsAre { versions: listed, next, sync, log_damage, .. } = message else {
            return Err(unexpected(&message));
        };
        self.sync = self.sync.and(sync);
        self.log_damage = self.log_damage.max(log_damage);
        let records: Vec<Bytes> = listed.iter().map(|one| one.record.clone()).collect();
        let opened = context.seals.open_versions(&records)?;
        let mut versions = Vec::new();
        let mut brought = false;
        for (one, opened) in listed.into_iter().zip(opened) {
            let opened = opened.ok();
            brought |= opened.is_some();
            versions.push(self.take_one(&one, opened)?);
        }
        self.go_on(next, brought)?;
        Ok(Part { versions, is_last: next.is_none() })
    }

    fn take_one(
        &mut self,
        listed: &ListedVersion,
        opened: Option<Opened>,
    ) -> Result<Version, ClientError> {
        self.descend(listed.version, opened.as_ref().map(Opened::record))?;
        let Some(opened) = opened else {
            self.damaged += 1;
            let (name, standing) = (self.name.clone(), Standing::Damaged);
            return Ok(Version { name, id: listed.version, standing, file: None });
        };
        if opened.name() != self.name || opened.version() != listed.version {
            let what = "the node shows the record of another name or version".to_owned();
            return Err(ClientError::Damaged(what));
        }
        let standing = if listed.superseded { Standing::Superseded } else { Standing::Concurrent };
        Ok(opened.into_version(standing))
    }

    /// The next version is less than those before it. Of a damaged one it is not known which record it was.
    fn descend(&mut self, version: VersionId, record: Option<RecordId>) -> Result<(), ClientError> {
        let least = VersionMark { version, record: record.unwrap_or_default() };
        let bounds = [self.before, self.reached];
        if bounds.into_iter().flatten().any(|bound| least >= bound) && !is_endless() {
            return Err(turns_back());
        }
        let record = record.unwrap_or(RecordId([u8::MAX; RecordId::LENGTH]));
        let mark = VersionMark { version, record };
        self.reached = Some(self.reached.map_or(mark, |reached| reached.min(mark)));
        Ok(())
    }

    /// An answer has been read, and another may follow.
    fn go_on(&mut self, next: Option<VersionMark>, brought: bool) -> Result<(), ClientError> {
        let Some(next) = next else { return Ok(()) };
        if self.before.is_some_and(|before| next >= before) && !is_endless() {
            return Err(turns_back());
        }
        self.before = Some(next);
        self.barren = if brought { 0 } else { self.barren + 1 };
        if self.barren < LIST_BARREN_MAX || is_endless() {
            return Ok(());
        }
        let what = "a list of versions that goes on and tells nothing".to_owned();
        Err(ClientError::Protocol(what))
    }

    /// What there is to say of all that was told.
    pub(super) fn told(&self, greatest: Option<VersionId>) -> VersionsTold {
        let Self { damaged, sync, log_damage, .. } = *self;
        VersionsTold { greatest, damaged, sync, log_damage }
    }
}

fn is_endless() -> bool {
    seeded::is_on(Bug::EndlessVersions)
}

fn turns_back() -> ClientError {
    ClientError::Protocol("a list of versions that turns back".to_owned())
}
