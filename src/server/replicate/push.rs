//! What one peer is to be sent: records just made, and those that a comparison showed to be lacking there.
//!
//! Reads nothing itself. Invariant: what is shown, and what is deleted, goes before what was once; each list has a bound.

use crate::ids::RecordId;
use crate::index::catalog::Catalog;
use crate::index::entry::Entry;
use crate::index::holdings::Holdings;
use crate::limits::INLINE_BLOCK_MAX;
use crate::seeded::{self, Bug};
use crate::server::room::adds_nothing;
use crate::store::values::{BlockPlace, LogItem};
use crate::time::Step;
use crate::wire::message::PushedRecord;
use crate::wire::record::{BlockList, Record};
use std::collections::VecDeque;

/// Ids that wait for one peer; what is beyond is found by the next comparison.
const QUEUE_MAX: usize = 4096;
/// Ranges that wait for one peer.
const RANGES_MAX: usize = 256;
/// Ids that are left out of these ranges.
const EXCEPT_MAX: usize = 4096;
/// Records read at a time.
const BATCH: usize = 64;
/// Bytes of small blocks read at a time.
pub(super) const BATCH_BYTES: usize = 512 * 1024;
/// Records that are looked at in one go.
const LOOKS_MAX: usize = 16 * 1024;

/// All records of a range but some.
#[derive(Debug)]
pub(super) struct PushRange {
    pub(super) first: RecordId,
    pub(super) last: RecordId,
    /// In order.
    except: Vec<RecordId>,
    /// How far it has been sent.
    next: RecordId,
    /// Versions that another supersedes were left for later.
    left: bool,
}

impl PushRange {
    /// All of them.
    pub(super) fn all(first: RecordId, last: RecordId) -> Self {
        Self::all_but(Vec::new(), first, last)
    }

    /// All but these, which are in order.
    pub(super) fn all_but(except: Vec<RecordId>, first: RecordId, last: RecordId) -> Self {
        Self { first, last, except, next: first, left: false }
    }

    /// Whether it is one of those.
    pub(super) fn leaves_out(&self, id: &RecordId) -> bool {
        self.except.binary_search(id).is_ok()
    }
}

/// Records that wait for one peer.
#[derive(Debug, Default)]
struct Waiting {
    ids: VecDeque<RecordId>,
    ranges: VecDeque<PushRange>,
}

/// What one peer is to be sent: first what stands, and then what other versions supersede.
#[derive(Debug, Default)]
pub(super) struct Push {
    first: Waiting,
    later: Waiting,
    pub(super) reading: bool,
    /// Ids that the ranges leave out.
    except: usize,
}

impl Push {
    /// What it takes in memory.
    pub(super) fn held_bytes(&self) -> usize {
        (self.ids() + self.except) * size_of::<RecordId>() + self.ranges() * size_of::<PushRange>()
    }

    fn ids(&self) -> usize {
        self.first.ids.len() + self.later.ids.len()
    }

    fn ranges(&self) -> usize {
        self.first.ranges.len() + self.later.ranges.len()
    }

    /// Little enough waits that more may be asked for.
    pub(super) fn has_room(&self) -> bool {
        self.ids() < QUEUE_MAX / 4 && self.ranges() < RANGES_MAX / 4
    }

    /// Nothing is left to be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.ids() == 0 && self.ranges() == 0 && !self.reading
    }

    /// One record more. False if there are too many.
    pub(super) fn add(&mut self, id: RecordId, catalog: &Catalog) -> bool {
        if self.ids() >= QUEUE_MAX {
            return false;
        }
        let stands = catalog.get(&id).is_none_or(stands);
        let waiting = if stands { &mut self.first } else { &mut self.later };
        waiting.ids.push_back(id);
        true
    }

    /// One range more. False if there are too many.
    pub(super) fn add_range(&mut self, range: PushRange) -> bool {
        let except = self.except + range.except.len();
        if self.ranges() >= RANGES_MAX || except > EXCEPT_MAX {
            return false;
        }
        self.except = except;
        self.first.ranges.push_back(range);
        true
    }

    /// The next few of what has not expired by a step.
    pub(super) fn next(&mut self, catalog: &Catalog, has_room: bool, cut: Step) -> Reading {
        let mut reading = Reading { has_room, cut, ..Reading::default() };
        self.first.read(&mut reading, catalog, |range, reading| {
            let whole = range.read(reading, catalog, stands);
            if whole && range.left {
                let next = range.first;
                let except = std::mem::take(&mut range.except);
                self.later.ranges.push_back(PushRange { except, next, ..*range });
            } else if whole {
                self.except -= range.except.len();
            }
            whole
        });
        self.later.read(&mut reading, catalog, |range, reading| {
            let whole = range.read(reading, catalog, |entry| !stands(entry));
            self.except -= if whole { range.except.len() } else { 0 };
            whole
        });
        // What stays counted would in the end leave no room for any range.
        debug_assert!(self.ranges() > 0 || self.except == 0, "{} are counted", self.except);
        reading
    }
}

impl Waiting {
    /// As much as is still to be read. `read` goes on through the first range, and says whether it is at its end.
    fn read(
        &mut self,
        reading: &mut Reading,
        catalog: &Catalog,
        mut read: impl FnMut(&mut PushRange, &mut Reading) -> bool,
    ) {
        while !reading.is_full()
            && let Some(id) = self.ids.pop_front()
        {
            if let Some(entry) = catalog.get(&id) {
                reading.take(entry, catalog);
            }
        }
        while !reading.is_full()
            && let Some(range) = self.ranges.front_mut()
            && read(range, reading)
        {
            self.ranges.pop_front();
        }
    }
}

impl PushRange {
    /// Goes on through those records that are wanted now. True at the end.
    fn read(
        &mut self,
        reading: &mut Reading,
        catalog: &Catalog,
        is_wanted: impl Fn(&Entry) -> bool,
    ) -> bool {
        for entry in catalog.range(self.next, self.last) {
            if reading.is_full() {
                self.next = entry.id();
                return false;
            }
            reading.looks += 1;
            if self.leaves_out(&entry.id()) {
                continue;
            }
            if is_wanted(entry) {
                reading.take(entry, catalog);
            } else {
                self.left = true;
            }
        }
        true
    }
}

/// Records that were read to be pushed, and the small blocks to go with some of them.
#[derive(Debug)]
pub(in crate::server) struct Batch {
    pub(super) items: Vec<PushedRecord>,
    /// Which item each block that is being read belongs to.
    pub(super) owners: Vec<usize>,
}

/// What is to be read of the log.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) items: Vec<LogItem>,
    pub(super) ids: Vec<RecordId>,
    has_room: bool,
    cut: Step,
    /// Records that were looked at on the way.
    looks: usize,
    /// Something was left out, since the peer has no room for it.
    pub(super) left_out: bool,
}

impl Reading {
    fn is_full(&self) -> bool {
        self.items.len() >= BATCH || self.looks >= LOOKS_MAX
    }

    fn take(&mut self, entry: &Entry, catalog: &Catalog) {
        if catalog.has_expired(entry, self.cut) {
            return;
        }
        if self.has_room || adds_nothing(entry.kind()) {
            self.items.push(entry.item());
            self.ids.push(entry.id());
        } else {
            self.left_out = true;
        }
    }
}

/// No version that is known supersedes it.
fn stands(entry: &Entry) -> bool {
    !entry.is_superseded() || seeded::is_on(Bug::PastFirst)
}

/// The one small block of a record that goes with it, where it is kept.
pub(super) fn small_block_of(holdings: &Holdings, record: &[u8]) -> Option<LogItem> {
    let record = Record::decode(record).ok()?;
    // The blocks of a longer file are no small ones.
    let BlockList::Inline(blocks) = &record.blocks else {
        return None;
    };
    let [block] = blocks.as_slice() else {
        return None;
    };
    match holdings.block(&block.address)? {
        BlockPlace::Log(place) if place.length as usize <= INLINE_BLOCK_MAX => {
            Some(LogItem { id: block.address.0, place })
        }
        BlockPlace::Log(_) | BlockPlace::Tree { .. } => None,
    }
}
