//! What a node tells of a name: where its versions stand, and which one it shows.
//!
//! Opens no record. Invariant: what is made of a name's versions comes after all of them, and names as many as a record
//! may.

use super::error::{ClientError, damaged_heads, unexpected};
use crate::ids::VersionId;
use crate::limits::PARENTS_MAX;
use crate::seeded::{self, Bug};
use crate::time::STAMP_MAX;
use crate::wire::condition::{Condition, HeadsSummary};
use crate::wire::log_damage::LogDamage;
use crate::wire::message::Message;
use bytes::Bytes;

/// Where a version stands among the others of its name.
#[derive(Debug, Clone, Default)]
pub(super) struct Heads {
    clock: u64,
    versions: Vec<VersionId>,
    /// A summary of all of them, where there are more.
    all: HeadsSummary,
    /// Versions that are dated in the future, and are to be discarded.
    future: Vec<VersionId>,
}

impl Heads {
    /// A stamp after all of them.
    pub(super) fn next_stamp(&self) -> u64 {
        let known = if seeded::is_on(Bug::StampBelowParents) { &[] } else { &self.versions[..] };
        let latest = known.iter().map(|version| version.stamp).max();
        latest.unwrap_or(0).max(self.clock).saturating_add(1).min(STAMP_MAX)
    }

    /// The greatest of them: as many as a record names.
    pub(super) fn parents(&self) -> Vec<VersionId> {
        let mut parents = self.versions.clone();
        parents.sort_unstable_by(|left, right| right.cmp(left));
        parents.dedup();
        parents.truncate(PARENTS_MAX);
        parents
    }

    /// What a reader of the name sees, or would if it were no deletion.
    pub(super) fn greatest(&self) -> Option<VersionId> {
        self.versions.iter().copied().max()
    }

    /// The same for who forgets what they are.
    pub(super) fn without_parents(&self) -> Self {
        Self { versions: Vec::new(), ..self.clone() }
    }

    pub(super) fn future(&self) -> &[VersionId] {
        &self.future
    }

    /// So long as the name has these heads and no others.
    pub(super) fn unchanged(&self) -> Condition {
        Condition::Unchanged(self.all)
    }

    /// Whether more than one version is a head.
    pub(super) fn are_many(&self) -> bool {
        self.all.count > 1
    }

    /// Whether a version that follows these leaves heads behind.
    pub(super) fn outnumber_parents(&self) -> bool {
        self.all.count > self.versions.len().min(PARENTS_MAX) as u64
    }
}

/// An answer to `Head`.
#[derive(Debug)]
pub(super) struct Told {
    heads: Heads,
    /// The record that is shown.
    shown: Option<Bytes>,
    /// None is shown, since the greatest is damaged.
    is_damaged: bool,
    /// What the node has lost without a trace: there may have been other versions.
    log_damage: LogDamage,
    /// What is shown is kept by the node that tells of it.
    kept: bool,
}

impl Told {
    /// What an answer says; an error if it is one to another question.
    pub(super) fn of(message: Message) -> Result<Self, ClientError> {
        match message {
            Message::Heads { clock, versions, all, future, log_damage, kept, shown, .. } => {
                let heads = Heads { clock, versions, all, future };
                Ok(Self { heads, shown, is_damaged: false, log_damage, kept })
            }
            Message::DamagedHeads { clock, versions, all, future, kept, .. } => {
                let heads = Heads { clock, versions, all, future };
                let log_damage = LogDamage::default();
                Ok(Self { heads, shown: None, is_damaged: true, log_damage, kept })
            }
            other => Err(unexpected(&other)),
        }
    }

    /// The record that is shown, if any; an error if there is one that cannot be shown.
    pub(super) fn shown(&self) -> Result<Option<&Bytes>, ClientError> {
        if self.is_damaged { Err(damaged_heads(self.kept)) } else { Ok(self.shown.as_ref()) }
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    pub(super) fn log_damage(&self) -> LogDamage {
        self.log_damage
    }

    pub(super) fn is_kept(&self) -> bool {
        self.kept
    }

    pub(super) fn heads(&self) -> &Heads {
        &self.heads
    }

    pub(super) fn into_heads(self) -> Heads {
        self.heads
    }
}
