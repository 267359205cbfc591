//! Cuts: what two nodes compare as of a step of the calendar on which both have agreed, whatever either has let expire.
//!
//! As of a step a node has what it holds and what has not expired by then, and what has expired here since. Keeps of a few
//! steps by what that differs from all that is held; it is kept current, and built anew for another step. What is beyond the
//! bound counts as of no step. Invariant: a cut adds each id that has expired after its step, and takes off each entry that is
//! held and has expired by then; no entry is both taken off and uncounted.

use super::expired::ExpiredIds;
use super::ids::{ById, Ids};
use crate::ids::{Hash, RecordId};
use crate::index::entry::{Entry, Flag};
use crate::index::segmented::SegmentedVec;
use crate::index::sorted::{Keys, Side, SortedIndex, xor_into};
use crate::seeded::{self, Bug};
use crate::time::{Step, counts_at, step_ms};
use crate::wire::message::RangeSummary;

type Entries = SegmentedVec<Entry>;

/// So many are kept.
const CUTS_MAX: usize = 4;

/// One of them.
#[derive(Debug)]
struct Cut {
    at: Step,
    /// Rows of ids.
    added: SortedIndex,
    /// Entries.
    taken_off: SortedIndex,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    cuts: Vec<Cut>,
    /// Entries that count as of no step.
    uncounted: SortedIndex,
}

/// Puts a slot where it belongs, if it is not there.
fn put(order: &mut SortedIndex, slot: u32, keys: &impl Keys) {
    let cursor = order.seek(keys.key(slot).as_ref(), Side::Before, keys);
    if order.after(cursor).next() != Some(slot) {
        order.insert(cursor, slot, keys);
    }
}

/// Counts what lies in a range of an order in, or out.
fn sum(order: &SortedIndex, keys: &impl Keys, range: &mut RangeSummary) -> u64 {
    let from = order.seek(&range.first.0, Side::Before, keys);
    let to = order.seek(&range.last.0, Side::After, keys);
    let (count, fingerprint): (u64, Hash) = order.sum(from, to, keys);
    xor_into(&mut range.fingerprint, &fingerprint.0);
    count
}

impl Cuts {
    /// There is one of this step.
    pub(super) fn has(&self, at: Step) -> bool {
        self.cuts.iter().any(|cut| cut.at == at)
    }

    /// One more, of what has expired by its step, is held and would count, and of what has expired since. That which was not
    /// asked about for the longest time gives way.
    pub(super) fn add(
        &mut self,
        at: Step,
        entries: &Entries,
        held: impl Iterator<Item = u32>,
        expired: &ExpiredIds,
    ) {
        let since = expired.after(step_ms(at));
        let since = since.filter(|slot| counts_at(expired.get(*slot).at_ms, at));
        let added = SortedIndex::of(since, &expired.by_id());
        let cut = Cut { at, added, taken_off: SortedIndex::of(held, &ById(entries)) };
        if self.cuts.len() == CUTS_MAX {
            self.cuts.remove(0);
        }
        self.cuts.push(cut);
    }

    /// Whatever is known of them may be wrong.
    pub(super) fn clear(&mut self) {
        self.cuts.clear();
    }

    /// An entry does not count any more, or does again.
    pub(super) fn recount(&mut self, entries: &Entries, slot: u32, expires: Option<Step>) {
        self.forget_entry(entries, slot);
        self.expire_anew(entries, slot, expires);
    }

    /// An entry expires then, if it does, or has expired; or it is held again. One that is damaged is in no comparison.
    pub(super) fn expire_anew(&mut self, entries: &Entries, slot: u32, expires: Option<Step>) {
        let entry = &entries[slot];
        if entry.is(Flag::Damaged) {
            return;
        }
        if entry.is(Flag::Beyond) {
            put(&mut self.uncounted, slot, &ById(entries));
        } else if let Some(expires) = expires {
            for cut in self.cuts.iter_mut().filter(|cut| expires <= cut.at) {
                put(&mut cut.taken_off, slot, &ById(entries));
            }
        }
    }

    /// It is not held any more.
    pub(super) fn forget_entry(&mut self, entries: &Entries, slot: u32) {
        for cut in &mut self.cuts {
            cut.taken_off.remove(slot, &ById(entries));
        }
        self.uncounted.remove(slot, &ById(entries));
    }

    /// An id has come to those that have expired.
    pub(super) fn add_expired(&mut self, expired: &ExpiredIds, slot: u32) {
        let at_ms = expired.get(slot).at_ms;
        for cut in self.cuts.iter_mut().filter(|cut| counts_at(at_ms, cut.at)) {
            put(&mut cut.added, slot, &expired.by_id());
        }
    }

    /// It is about to be forgotten.
    pub(super) fn forget_expired(&mut self, expired: &ExpiredIds, slot: u32) {
        for cut in &mut self.cuts {
            cut.added.remove(slot, &expired.by_id());
        }
    }

    /// What there is between two ids as of a step, of which there is a cut.
    pub(super) fn summary(
        &mut self,
        at: Step,
        entries: &Entries,
        ids: &Ids,
        expired: &ExpiredIds,
        first: RecordId,
        last: RecordId,
    ) -> RangeSummary {
        let is_whole = first == RecordId::default() && last == RecordId([u8::MAX; 32]);
        let mut range = if is_whole { ids.whole() } else { ids.summary(entries, first, last) };
        let cut = self.cuts.iter().position(|cut| cut.at == at);
        let Some(cut) = cut.filter(|_| !seeded::is_on(Bug::IgnoreCut)) else {
            return range;
        };
        let (added, off) = {
            let cut = &self.cuts[cut];
            let added = sum(&cut.added, &expired.by_id(), &mut range);
            let off = sum(&cut.taken_off, &ById(entries), &mut range);
            let uncounted = match seeded::is_on(Bug::CountBeyond) {
                true => 0,
                false => sum(&self.uncounted, &ById(entries), &mut range),
            };
            (added, off + uncounted)
        };
        range.count = range.count + added - off;
        // The one asked about last goes last.
        self.cuts[cut..].rotate_left(1);
        range
    }

    /// The ids between two that have expired after a step, of which there is a cut.
    pub(super) fn added<'a>(
        &'a self,
        at: Step,
        expired: &'a ExpiredIds,
        first: RecordId,
        last: RecordId,
    ) -> impl Iterator<Item = u32> + 'a {
        let cut = self.cuts.iter().find(|cut| cut.at == at);
        let keys = expired.by_id();
        let slots = cut.map(|cut| cut.added.after(cut.added.seek(&first.0, Side::Before, &keys)));
        let slots = slots.into_iter().flatten();
        slots.take_while(move |slot| expired.get(*slot).id <= last)
    }
}
