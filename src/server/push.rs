//! Pushing: records on their way to peers, those just made and those that a comparison showed to be lacking there.
//!
//! Invariant: one batch at a time is read for a peer, and none while its outbox is half full: a slow peer costs memory
//! for its outbox and no more. What is shown, and what is deleted, goes before what was once.

use super::FileServer;
use super::catalog::Catalog;
use super::entry::Entry;
use super::output::Link;
use super::reconcile::{AGAIN, UNREAD_AGAIN};
use super::room::adds_nothing;
use super::timers::Timer;
use super::work::ReadFor;
use super::write::{NewRecord, only_deletes};
use crate::ids::RecordId;
use crate::limits::{INLINE_BLOCK_MAX, OUTBOX_MAX};
use crate::planted::{self, Bug};
use crate::store::values::{BlockPlace, LogPlace, ReadError};
use crate::time::Now;
use crate::wire::message::PushedRecord;
use crate::wire::record::{BlockList, Record};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

/// Ids that wait for one peer; what is beyond is found by the next comparison.
const QUEUE_MAX: usize = 4096;
/// Ranges that wait for one peer.
const RANGES_MAX: usize = 256;
/// Ids that are left out of these ranges.
const EXCEPT_MAX: usize = 4096;
/// Records read at a time.
const BATCH: usize = 64;
/// Records that are looked at in one go.
const LOOKS_MAX: usize = 16 * 1024;
/// Bytes of small blocks read at a time.
const BATCH_BYTES: usize = 512 * 1024;

/// All records of a range but some.
#[derive(Debug)]
pub(super) struct PushRange {
    first: RecordId,
    last: RecordId,
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
    reading: bool,
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
    fn add(&mut self, id: RecordId, catalog: &Catalog) -> bool {
        if self.ids() >= QUEUE_MAX {
            return false;
        }
        let stands = catalog.get(&id).is_none_or(stands);
        let waiting = if stands { &mut self.first } else { &mut self.later };
        waiting.ids.push_back(id);
        true
    }

    /// One range more. False if there are too many.
    fn add_range(&mut self, range: PushRange) -> bool {
        let except = self.except + range.except.len();
        if self.ranges() >= RANGES_MAX || except > EXCEPT_MAX {
            return false;
        }
        self.except = except;
        self.first.ranges.push_back(range);
        true
    }

    /// The next few.
    fn next(&mut self, catalog: &Catalog, has_room: bool) -> Reading {
        let mut reading = Reading { has_room, ..Reading::default() };
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
                reading.take(entry);
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
            if self.except.binary_search(&entry.id()).is_ok() {
                continue;
            }
            if is_wanted(entry) {
                reading.take(entry);
            } else {
                self.left = true;
            }
        }
        true
    }
}

/// Records that were read to be pushed, and the small blocks to go with some of them.
#[derive(Debug)]
pub(super) struct Batch {
    items: Vec<PushedRecord>,
    /// Which item each block that is being read belongs to.
    owners: Vec<usize>,
}

/// What is to be read of the log.
#[derive(Debug, Default)]
struct Reading {
    places: Vec<LogPlace>,
    ids: Vec<RecordId>,
    has_room: bool,
    /// Records that were looked at on the way.
    looks: usize,
    /// Something was left out, since the peer has no room for it.
    left_out: bool,
}

impl Reading {
    fn is_full(&self) -> bool {
        self.places.len() >= BATCH || self.looks >= LOOKS_MAX
    }

    fn take(&mut self, entry: &Entry) {
        if self.has_room || adds_nothing(entry.kind()) {
            self.places.push(entry.place());
            self.ids.push(entry.id());
        } else {
            self.left_out = true;
        }
    }
}

/// No version that is known supersedes it.
fn stands(entry: &Entry) -> bool {
    !entry.is_superseded() || planted::is_on(Bug::PastFirst)
}

impl FileServer {
    /// Records made here go to every peer at once.
    pub(super) fn push_new(&mut self, now: Now, records: &[NewRecord]) {
        let own = records.iter().filter(|new| new.source.is_none());
        let items: Vec<_> = own.map(NewRecord::pushed).collect();
        if items.is_empty() {
            return;
        }
        let bytes: usize = items.iter().map(|item| item.record.len() + item.block.len()).sum();
        let count = if planted::is_on(Bug::PushToFirst) { 1 } else { usize::MAX };
        for link in self.cx.links.nodes().into_iter().take(count) {
            let Some(peer) = self.cx.links.get(link) else { continue };
            let outbox = peer.outbox;
            let takes_all = peer.has_room || only_deletes(records);
            let has_space = outbox + bytes < OUTBOX_MAX / 2;
            if takes_all && (has_space || planted::is_on(Bug::PushWithoutPace)) {
                self.cx.send_records(link, items.clone());
            } else {
                let own = records.iter().filter(|new| new.source.is_none());
                self.push_ids(now, link, own.map(|new| new.id).collect::<Vec<_>>());
            }
        }
    }

    /// A new peer must know the grants before it can judge any other record.
    pub(super) fn push_grants(&mut self, now: Now, link: Link) {
        let grants: Vec<_> = self.cx.index.grants.ids().collect();
        self.push_ids(now, link, grants);
    }

    /// A client must know the grants before it can judge any record.
    pub(super) fn give_grants(&mut self, link: Link) {
        if !planted::is_on(Bug::KeepGrants) {
            let grants = self.cx.index.grants.for_client();
            self.cx.send_records(link, grants);
        }
    }

    /// Queues records for a peer.
    pub(super) fn push_ids(
        &mut self,
        now: Now,
        link: Link,
        ids: impl IntoIterator<Item = RecordId>,
    ) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        for id in ids {
            if !peer.push.add(id, &self.cx.index.catalog) {
                self.dropped(now, link, AGAIN);
                break;
            }
        }
        self.pump_push(now, link);
    }

    /// Queues a range of records for a peer. False if it finds no room there.
    pub(super) fn push_range(&mut self, now: Now, link: Link, range: PushRange) -> bool {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return false;
        };
        let added = peer.push.add_range(range);
        if !added {
            self.dropped(now, link, AGAIN);
        }
        self.pump_push(now, link);
        added
    }

    /// Reads the next batch for a peer, if it keeps up.
    pub(super) fn pump_push(&mut self, now: Now, link: Link) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        let is_tight = peer.outbox > OUTBOX_MAX / 2 && !planted::is_on(Bug::PushWithoutPace);
        if peer.push.reading || is_tight {
            return;
        }
        let Reading { places, ids, left_out, .. } =
            peer.push.next(&self.cx.index.catalog, peer.has_room);
        if left_out {
            peer.comparison.leave_out();
        }
        if !places.is_empty() {
            peer.push.reading = true;
            self.cx.read_log(places, ReadFor::PushRecords { link, ids });
        } else if !peer.push.is_idle() {
            // A long way through what is not to be sent: others have their turn before it goes on.
            self.after(now, Duration::ZERO, Timer::Push(link));
        }
    }

    /// The records are read: their small blocks are next.
    pub(super) fn push_records_read(
        &mut self,
        now: Now,
        link: Link,
        ids: Vec<RecordId>,
        items: Vec<Result<Bytes, ReadError>>,
    ) {
        let mut batch = Batch { items: Vec::new(), owners: Vec::new() };
        let mut places = Vec::new();
        let mut bytes = 0;
        let mut unread = false;
        for (id, item) in ids.into_iter().zip(items) {
            let record = match item {
                Ok(record) => record,
                Err(ReadError::Gone | ReadError::Damaged) => {
                    self.record_damaged(now, id);
                    continue;
                }
                // Another comparison finds that the peer lacks it.
                Err(ReadError::Disk(_)) => {
                    unread = true;
                    continue;
                }
            };
            if let Some(place) = self.small_block_of(&record)
                && bytes + place.length as usize <= BATCH_BYTES
            {
                bytes += place.length as usize;
                places.push(place);
                batch.owners.push(batch.items.len());
            }
            batch.items.push(PushedRecord { record, block: Bytes::new() });
        }
        if unread {
            self.dropped(now, link, UNREAD_AGAIN);
        }
        if places.is_empty() {
            self.push_blocks_read(now, link, batch, Vec::new());
        } else {
            self.cx.read_log(places, ReadFor::PushBlocks { link, batch });
        }
    }

    fn small_block_of(&self, record: &[u8]) -> Option<LogPlace> {
        let record = Record::decode(record).ok()?;
        let BlockList::Inline(blocks) = &record.blocks else {
            return None;
        };
        let [block] = blocks.as_slice() else {
            return None;
        };
        match self.cx.index.holdings.block(&block.address)? {
            BlockPlace::Log(place) if place.length as usize <= INLINE_BLOCK_MAX => Some(place),
            BlockPlace::Log(_) | BlockPlace::Tree { .. } => None,
        }
    }

    /// All is read and goes out. A block that could not be read is fetched by the peer like any other.
    pub(super) fn push_blocks_read(
        &mut self,
        now: Now,
        link: Link,
        mut batch: Batch,
        blocks: Vec<Result<Bytes, ReadError>>,
    ) {
        for (owner, block) in batch.owners.into_iter().zip(blocks) {
            if let Ok(block) = block {
                batch.items[owner].block = block;
            }
        }
        self.cx.send_records(link, batch.items);
        if let Some(peer) = self.cx.links.get_mut(link) {
            peer.push.reading = false;
        }
        self.pump_push(now, link);
        self.pump_comparison(now, link);
    }
}
