//! A list under way: how far it is, and that it comes to an end.
//!
//! Knows no record's content. Invariant: the node's place rises, no record counts twice, and of the answers one after the
//! other that bring none there are few; so a list ends after as many answers as there are records that somebody may have
//! signed, and memory grows with nothing else.

use super::error::{ClientError, log_damage};
use crate::ids::{NameId, RecordId};
use crate::seeded::{self, Bug};
use crate::wire::log_damage::LogDamage;
use crate::wire::sync_state::SyncState;
use std::collections::HashSet;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Names that are left out.
    left_out: u64,
    /// The records that came: a half of each id, which nobody can make two of.
    seen: HashSet<[u8; 16]>,
    /// How many there were before this answer.
    before: usize,
    /// Answers since one brought a record.
    barren: u32,
    /// There may be so many.
    barren_max: u32,
    /// Where the last answer ended.
    reached: Option<NameId>,
    sync: SyncState,
    log_damage: LogDamage,
}

impl Listing {
    /// One of which so many answers in a row may bring nothing.
    pub(super) fn new(barren_max: u32) -> Self {
        Self { barren_max, ..Self::default() }
    }

    /// What an answer says beside its records.
    pub(super) fn told(&mut self, left_out: u32, sync: SyncState, log_damage: LogDamage) {
        self.leave_out(left_out);
        self.sync = self.sync.and(sync);
        // Made good meanwhile: what was listed before may still be out of date.
        self.log_damage = self.log_damage.max(log_damage);
    }

    /// Names of which no record came, or none that could be opened.
    pub(super) fn leave_out(&mut self, names: u32) {
        self.left_out = self.left_out.saturating_add(names.into());
    }

    /// A record came.
    pub(super) fn take(&mut self, record: &RecordId) -> Result<(), ClientError> {
        let [half, _] = record.0.as_chunks::<16>().0 else { return Ok(()) };
        if self.seen.insert(*half) || seeded::is_on(Bug::RepeatList) {
            return Ok(());
        }
        Err(ClientError::Protocol("a list that tells the same twice".to_owned()))
    }

    /// An answer has been read, and another may follow, from there on: a node lists in an order of its own, but in one.
    pub(super) fn go_on(&mut self, after: NameId) -> Result<(), ClientError> {
        if self.reached.replace(after) >= Some(after) && !seeded::is_on(Bug::TurnBackList) {
            return Err(ClientError::Protocol("a list that turns back".to_owned()));
        }
        let brought = self.seen.len() > self.before;
        self.before = self.seen.len();
        self.barren = if brought { 0 } else { self.barren + 1 };
        if self.barren < self.barren_max || seeded::is_on(Bug::BarrenList) {
            return Ok(());
        }
        Err(ClientError::Protocol("a list that goes on and tells nothing".to_owned()))
    }

    /// The last answer has been read.
    pub(super) fn end(&self) -> Result<SyncState, ClientError> {
        let left_out = (self.left_out > 0).then(|| {
            format!(
                "{} names are left out: their records are damaged, dated in the future, or sealed with another data key",
                self.left_out
            )
        });
        let log_damage = self.log_damage.is_any().then(|| {
            format!("names may be missing or out of date: {}", log_damage(&self.log_damage))
        });
        let what: Vec<String> = left_out.into_iter().chain(log_damage).collect();
        if what.is_empty() {
            return Ok(self.sync);
        }
        Err(ClientError::Damaged(what.join("; ")))
    }
}
