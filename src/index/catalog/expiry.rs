//! Expiry: which versions expire, and when.
//!
//! Orders them by when they were superseded, so that a network may set another retention and nothing is built anew; and of one
//! step so that none goes before what it supersedes or discards. Knows no calendar. Invariant: in here is each entry that is
//! superseded or discarded, and each tombstone that is a head; no file that is a head ever is, and a tombstone beside one does
//! not expire.

use super::versions::Versions;
use crate::crypto::alias::Alias;
use crate::index::entry::{Entry, Flag, Kind, SINCE_KEY};
use crate::index::segmented::SegmentedVec;
use crate::index::sorted::{Cursor, Keys, Side, SortedIndex};
use crate::limits::{SUPERSEDED_MIN, TOMBSTONE_LIFE};
use crate::seeded::{self, Bug};
use crate::time::{Step, steps_of};
use crate::wire::settings::Settings;
use std::collections::BTreeSet;

type Entries = SegmentedVec<Entry>;

/// How long something stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Life {
    /// A version, after it was superseded.
    superseded: Step,
    /// A tombstone that is a head, after its own time: no less than what it supersedes.
    tombstone: Step,
}

impl Life {
    fn new(settings: &Settings) -> Self {
        let superseded = steps_of(settings.retention.max(SUPERSEDED_MIN));
        Self { superseded, tombstone: superseded.max(steps_of(TOMBSTONE_LIFE)) }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Expiry {
    life: Life,
    superseded: SortedIndex,
    tombstones: SortedIndex,
    /// Tombstones whose time has come, and that are heads beside files.
    kept: BTreeSet<(Alias, u32)>,
}

impl Default for Expiry {
    fn default() -> Self {
        Self {
            life: Life::new(&Settings::default()),
            superseded: SortedIndex::default(),
            tombstones: SortedIndex::default(),
            kept: BTreeSet::new(),
        }
    }
}

/// Entries ordered by when they were superseded, and those of one step as those of a name are to go.
struct BySince<'a>(&'a Entries);

impl Keys for BySince<'_> {
    type Key<'a>
        = [u8; SINCE_KEY]
    where
        Self: 'a;

    fn key(&self, slot: u32) -> [u8; SINCE_KEY] {
        self.0[slot].since_key()
    }
}

/// Whether an entry is superseded by another, or discarded.
fn is_past(entry: &Entry) -> bool {
    entry.kind().expires() && (entry.is_superseded() || entry.is(Flag::Discarded))
}

/// What is ordered by when it was superseded, and what by its own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Superseded,
    Tombstones,
}

impl Group {
    /// To which an entry belongs, if to any.
    fn of(entry: &Entry) -> Option<Self> {
        match entry.kind() {
            _ if is_past(entry) => Some(Self::Superseded),
            Kind::Tombstone => Some(Self::Tombstones),
            Kind::File if seeded::is_on(Bug::ExpireHead) => Some(Self::Superseded),
            Kind::File | Kind::Grant | Kind::Other | Kind::Setting => None,
        }
    }
}

impl Expiry {
    /// The network is set to this. False if nothing expires at another time for that.
    pub(super) fn set(&mut self, settings: &Settings) -> bool {
        let life = Life::new(settings);
        std::mem::replace(&mut self.life, life) != life
    }

    /// When a version expires that another of this time supersedes.
    pub(super) fn after(&self, since: Step) -> Step {
        since.saturating_add(self.life.superseded)
    }

    /// When an entry expires that is superseded. None for one that is not.
    pub(super) fn of(&self, entry: &Entry) -> Option<Step> {
        is_past(entry).then(|| self.after(entry.since()))
    }

    /// A start has found all, of which these are the versions.
    pub(super) fn put_in_order(&mut self, entries: &Entries, versions: &[u32]) {
        let of = |group: Group| {
            let slots = versions.iter().copied();
            let slots = slots.filter(|slot| Group::of(&entries[*slot]) == Some(group));
            SortedIndex::of(slots, &BySince(entries))
        };
        (self.superseded, self.tombstones) = (of(Group::Superseded), of(Group::Tombstones));
    }

    /// What an entry is or since when has changed, or it is new.
    pub(super) fn enter(&mut self, entries: &Entries, slot: u32) {
        let order = match Group::of(&entries[slot]) {
            Some(Group::Superseded) => &mut self.superseded,
            Some(Group::Tombstones) => &mut self.tombstones,
            None => return,
        };
        let keys = BySince(entries);
        let cursor = order.seek(&keys.key(slot), Side::Before, &keys);
        order.insert(cursor, slot, &keys);
    }

    /// It is about to change, or goes.
    pub(super) fn leave(&mut self, entries: &Entries, slot: u32) {
        let (entry, keys) = (&entries[slot], BySince(entries));
        if is_past(entry) || (entry.kind() == Kind::File && seeded::is_on(Bug::ExpireHead)) {
            self.superseded.remove(slot, &keys);
        } else if entry.kind() == Kind::Tombstone && !self.tombstones.remove(slot, &keys) {
            self.kept.remove(&(entry.name(), slot));
        }
    }

    /// A name may have lost its last head that is a file: of its tombstones it is looked again.
    pub(super) fn look_again(&mut self, entries: &Entries, name: Alias) {
        let kept: Vec<_> = self.kept.range((name, 0)..=(name, u32::MAX)).copied().collect();
        for (name, slot) in kept {
            self.kept.remove(&(name, slot));
            self.enter(entries, slot);
        }
    }

    /// Those that have expired by then: what was superseded first is the first, and none stands behind what supersedes it.
    pub(super) fn superseded(&self, entries: &Entries, by: Step) -> impl Iterator<Item = u32> {
        let slots = self.superseded.after(Cursor::FIRST);
        let by = by.min(Step::MAX - 1);
        slots.take_while(move |slot| self.after(entries[*slot].since()) <= by)
    }

    fn tombstone(&self, entries: &Entries) -> Option<(u32, Step)> {
        let slot = self.tombstones.after(Cursor::FIRST).next()?;
        Some((slot, entries[slot].since().saturating_add(self.life.tombstone)))
    }

    /// When the first expires.
    pub(super) fn next(&self, entries: &Entries) -> Option<Step> {
        let tombstone = self.tombstone(entries).map(|(_, at)| at);
        let superseded = self.next_superseded(entries);
        superseded.into_iter().chain(tombstone).min().filter(|at| *at < Step::MAX)
    }

    /// When the first expires of those that are superseded.
    pub(super) fn next_superseded(&self, entries: &Entries) -> Option<Step> {
        let superseded = self.superseded.after(Cursor::FIRST).next();
        superseded.map(|slot| self.after(entries[slot].since())).filter(|at| *at < Step::MAX)
    }

    /// When a tombstone expires that is the only head of its name.
    pub(super) fn tombstone_after(&self, since: Step) -> Step {
        since.saturating_add(self.life.tombstone)
    }
}

/// A tombstone whose time has come, with when that was.
#[derive(Debug, Clone, Copy)]
pub(super) struct DueTombstone {
    pub(super) slot: u32,
    pub(super) at: Step,
}

impl Versions {
    /// The tombstones that have expired by then, at most so many. Those beside heads that are files are set aside.
    pub(super) fn due_tombstones(
        &mut self,
        entries: &Entries,
        by: Step,
        count: usize,
    ) -> Vec<DueTombstone> {
        let mut due = Vec::new();
        while let Some((slot, at)) = self.expiry.tombstone(entries).filter(|(_, at)| *at <= by)
            && due.len() < count
        {
            self.expiry.leave(entries, slot);
            if self.has_file_head(entries, entries[slot].name()) {
                self.expiry.kept.insert((entries[slot].name(), slot));
            } else {
                due.push(DueTombstone { slot, at });
            }
        }
        // They stay until it is durable that they have expired.
        due.iter().for_each(|tombstone| self.expiry.enter(entries, tombstone.slot));
        due
    }
}

#[cfg(test)]
impl Expiry {
    /// Bytes for which there is room.
    pub(super) fn room(&self) -> usize {
        self.superseded.room() + self.tombstones.room()
    }
}
