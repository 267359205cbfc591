//! What expires, what is known of what has, and what is compared with a peer for that.
//!
//! Knows no calendar but the steps that it is told. Invariant: a record is let go only when it is told to have expired; until
//! then it is one that is held.

use super::Catalog;
use super::versions::Versions;
use crate::ids::RecordId;
use crate::index::entry::{Entry, Flag, Kind};
use crate::limits::{BOUND_REFUSED, EXPIRED_KNOWN};
use crate::seeded::{self, Bug};
use crate::store::values::Expired;
use crate::time::{Step, counts_at, is_uncounted, step_after, step_ms, uncounted_ms};
use crate::wire::message::{RangeSummary, VersionMark};
use crate::wire::record::Record;
use crate::wire::settings::Settings;
use std::collections::BTreeSet;

/// What to do with a record that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not known to have expired.
    Takes,
    /// It has.
    Expired,
}

impl Catalog {
    /// The network is set to this. What has expired until now has.
    pub(crate) fn set(&mut self, settings: &Settings) {
        if self.versions.expiry.set(settings) {
            self.cuts.clear();
        }
        self.versions.set_keep(settings.keep_versions);
    }

    /// Looks again at so many entries, if the bound has changed on how many superseded versions of a name are kept. True if
    /// there are more.
    pub(crate) fn rebind(&mut self, looks: usize) -> bool {
        let goes_on = self.versions.rebind(&mut self.entries, looks);
        self.note_bound();
        goes_on
    }

    /// The bound has changed, and not all entries have been looked at since.
    pub(crate) fn is_rebinding(&self) -> bool {
        self.versions.bound.sweep().is_some()
    }

    /// Something is beyond the bound; for a while it stays, until it is said that this has passed.
    pub(crate) fn has_beyond(&self) -> bool {
        self.versions.bound.has_fresh()
    }

    /// Something has been beyond the bound for that long.
    pub(crate) fn has_ripe(&self) -> bool {
        self.versions.bound.has_ripe()
    }

    /// What is beyond the bound may go.
    pub(crate) fn ripen(&mut self) {
        self.versions.bound.ripen(&self.entries);
    }

    /// What is to go by a step and is still held: what is beyond the bound, and what has expired. As it may be the last that
    /// goes before a start, whose catalog knows nothing but what is left, none is told before one that it supersedes or
    /// discards; but for one that nothing supersedes but what is discarded.
    pub(crate) fn due(&mut self, by: Step, count: usize) -> Vec<Expired> {
        self.versions.assert_found();
        let refused_ms = u64::try_from(BOUND_REFUSED.as_millis()).unwrap_or(u64::MAX);
        let beyond_ms = uncounted_ms(step_ms(by).saturating_add(refused_ms));
        let Versions { expiry, bound, .. } = &self.versions;
        let beyond: Vec<_> = bound.ripe().take(count).collect();
        let told: BTreeSet<_> = beyond.iter().copied().collect();
        let slots = expiry.superseded(&self.entries, by).filter(|slot| !told.contains(slot));
        let slots = beyond.into_iter().chain(slots).take(count);
        let expired = |entry: &Entry, at| match entry.is(Flag::Beyond) {
            // It counts as of no step, whichever would be its own.
            true => Expired { id: entry.id(), at_ms: beyond_ms },
            false => Expired { id: entry.id(), at_ms: step_ms(at) },
        };
        let slots = slots.map(|slot| &self.entries[slot]);
        let mut due: Vec<_> =
            slots.map(|entry| expired(entry, expiry.after(entry.since()))).collect();
        let left = count - due.len();
        let tombstones = self.versions.due_tombstones(&self.entries, by, left);
        due.extend(tombstones.iter().map(|it| expired(&self.entries[it.slot], it.at)));
        due
    }

    /// When the next expires; or, if it is said before which time they are forgotten, the next id is.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.versions.assert_found();
        let expires = self.versions.expiry.next(&self.entries).map(step_ms);
        let known = u64::try_from(EXPIRED_KNOWN.as_millis()).unwrap_or(u64::MAX);
        let forgotten = match self.expired.are_too_many() {
            true => Some(0),
            false => self.expired.first_ms().map(|at_ms| at_ms.saturating_add(known)),
        };
        expires.into_iter().chain(forgotten).min()
    }

    /// When the next superseded version goes. `now_ms`: what is beyond the bound goes any time.
    pub(crate) fn next_superseded(&self, now_ms: u64) -> Option<u64> {
        self.versions.assert_found();
        if self.has_beyond() || self.has_ripe() {
            return Some(now_ms);
        }
        self.versions.expiry.next_superseded(&self.entries).map(step_ms)
    }

    /// What expired so long ago is forgotten; first of too many.
    pub(crate) fn forget_expired(&mut self, now_ms: u64, count: usize) {
        let known = u64::try_from(EXPIRED_KNOWN.as_millis()).unwrap_or(u64::MAX);
        for _ in 0..count {
            let Some(slot) = self.expired.oldest(now_ms.saturating_sub(known)) else {
                return;
            };
            let id = self.expired.get(slot).id;
            self.forget_expired_id(&id);
            self.graves.forget(&id.0);
        }
    }

    /// How many ids are known of records that have expired.
    #[cfg(test)]
    pub(crate) fn expired_count(&self) -> usize {
        self.expired.count()
    }

    /// What to do with a record that is not known. `by`: the step by which it expires that is compared with whoever brings it;
    /// none if nothing was. `now`: this node's own, unless its calendar is wrong.
    pub(crate) fn judge(
        &self,
        id: &RecordId,
        record: &Record,
        by: Option<Step>,
        now: Option<Step>,
    ) -> Verdict {
        self.versions.assert_found();
        let (Some(now), true) = (now, Kind::of(record.kind).expires()) else {
            return Verdict::Takes;
        };
        let name = self.aliases.of(&record.name);
        let mark = self.aliases.mark(&name, &record.version);
        let (versions, entries) = (&self.versions, &self.entries);
        let has_expired = match versions.descent.first(entries, &mark, name) {
            // It still stands for whoever has it, up to that step; unless it is beyond the bound.
            Some(since) => {
                let rank = VersionMark { version: record.version, record: *id };
                versions.expiry.after(since) <= by.unwrap_or(now).min(now)
                    || versions.would_be_beyond(entries, name, &rank)
            }
            None => match self.expired_ms(id) {
                // Here it counts as one that is held, or is on its way from before the two have compared. Else whoever brings it knows nothing
                // that supersedes it, and neither does this node any more.
                Some(at_ms) if is_uncounted(at_ms) => by.is_none() || at_ms > step_ms(now),
                Some(at_ms) => by.is_none_or(|by| at_ms > step_ms(by)),
                None => {
                    let is_tombstone = Kind::of(record.kind) == Kind::Tombstone;
                    let since = step_after(record.version.stamp);
                    is_tombstone
                        && versions.expiry.tombstone_after(since) <= now
                        && !versions.has_file_head(entries, name)
                }
            },
        };
        match has_expired && !seeded::is_on(Bug::AcceptExpired) {
            true => Verdict::Expired,
            false => Verdict::Takes,
        }
    }

    /// There is a cut of this step.
    fn cut(&mut self, at: Step) {
        self.versions.assert_found();
        if !self.cuts.has(at) {
            let entries = &self.entries;
            let held = self.versions.expiry.superseded(entries, at);
            let counts = |entry: &Entry| !entry.is(Flag::Damaged) && !entry.is(Flag::Beyond);
            let held = held.filter(|slot| counts(&entries[*slot]));
            self.cuts.add(at, entries, held, &self.expired);
        }
    }

    /// What lies between two ids as of a step, both included.
    pub(crate) fn summary_at(&mut self, at: Step, first: RecordId, last: RecordId) -> RangeSummary {
        self.cut(at);
        self.cuts.summary(at, &self.entries, &self.ids, &self.expired, first, last)
    }

    /// What there is in all as of a step.
    #[cfg(test)]
    pub(crate) fn whole_at(&mut self, at: Step) -> RangeSummary {
        self.summary_at(at, RecordId::default(), RecordId([u8::MAX; 32]))
    }

    /// Whether a record that is held has expired by a step, or is beyond the bound: then it counts as of none.
    pub(crate) fn has_expired(&self, entry: &Entry, by: Step) -> bool {
        self.versions.assert_found();
        if entry.is(Flag::Beyond) {
            return !seeded::is_on(Bug::CountBeyond);
        }
        self.versions.expiry.of(entry).is_some_and(|at| at <= by) && !seeded::is_on(Bug::IgnoreCut)
    }

    /// Whether a record counts as of a step.
    pub(crate) fn counts(&self, id: &RecordId, at: Step) -> bool {
        match self.get(id) {
            Some(entry) => !self.has_expired(entry, at),
            None => self.expired_ms(id).is_some_and(|at_ms| counts_at(at_ms, at)),
        }
    }

    /// Records with ids from `first` to `last`, both included, that are held and have not expired by a step.
    pub(crate) fn range_at(
        &self,
        at: Step,
        first: RecordId,
        last: RecordId,
    ) -> impl Iterator<Item = &Entry> {
        self.range(first, last).filter(move |entry| !self.has_expired(entry, at))
    }

    /// What has expired since a step, with ids from `first` to `last`.
    pub(crate) fn expired_since(
        &mut self,
        at: Step,
        first: RecordId,
        last: RecordId,
    ) -> impl Iterator<Item = Expired> {
        self.cut(at);
        let slots = self.cuts.added(at, &self.expired, first, last);
        slots.map(|slot| self.expired.get(slot))
    }
}

#[cfg(test)]
mod tests;
