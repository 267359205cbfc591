//! Pushing: records on their way to peers, those just made and those that a comparison showed to be lacking there.
//!
//! Invariant: one batch at a time is read for a peer, and none while its outbox is half full: a slow peer costs memory
//! for its outbox and no more.

use super::FileServer;
use super::entry::Kind;
use super::exchange::only_deletes;
use super::lane::NewRecord;
use super::output::Link;
use super::reads::{Batch, ReadFor};
use super::reconcile::{AGAIN, UNREAD_AGAIN};
use super::room::adds_nothing;
use crate::ids::RecordId;
use crate::limits::{FRAME_BODY_MAX, INLINE_BLOCK_MAX, MESSAGE_RECORDS_MAX, OUTBOX_MAX};
use crate::planted::{self, Bug};
use crate::store::job::{BlockPlace, LogPlace, ReadError};
use crate::time::Now;
use crate::wire::message::{Message, PushedRecord};
use crate::wire::record::{BlockList, Record};
use bytes::Bytes;
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
const BATCH_BYTES: usize = 512 * 1024;
/// What surrounds an item in a message, at most.
const ITEM_OVERHEAD: usize = 16;

/// All records of a range but some.
#[derive(Debug)]
pub(super) struct PushRange {
    pub(super) first: RecordId,
    pub(super) last: RecordId,
    /// In order.
    pub(super) except: Vec<RecordId>,
}

/// What one peer is to be sent.
#[derive(Debug, Default)]
pub(super) struct Push {
    ids: VecDeque<RecordId>,
    ranges: VecDeque<PushRange>,
    reading: bool,
    /// Ids that the ranges leave out.
    except: usize,
}

impl Push {
    /// What it takes in memory.
    pub(super) fn held_bytes(&self) -> usize {
        (self.ids.len() + self.except) * size_of::<RecordId>()
            + self.ranges.len() * size_of::<PushRange>()
    }

    /// Little enough waits that more may be asked for.
    pub(super) fn has_room(&self) -> bool {
        self.ids.len() < QUEUE_MAX / 4 && self.ranges.len() < RANGES_MAX / 4
    }

    /// Nothing is left to be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.ids.is_empty() && self.ranges.is_empty() && !self.reading
    }
}

impl FileServer {
    /// Records made here go to every peer at once.
    pub(super) fn push_new(&mut self, now: Now, records: &[NewRecord]) {
        let own = records.iter().filter(|new| new.source.is_none());
        let items: Vec<_> = own
            .map(|new| PushedRecord {
                record: new.bytes.clone(),
                block: if is_inline(&new.record, new.block.len()) {
                    new.block.clone()
                } else {
                    Bytes::new()
                },
            })
            .collect();
        if items.is_empty() {
            return;
        }
        let bytes: usize = items.iter().map(|item| item.record.len() + item.block.len()).sum();
        let count = if planted::is_on(Bug::PushToFirst) { 1 } else { usize::MAX };
        for link in self.node_links().into_iter().take(count) {
            let Some(peer) = self.peers.get(&link) else { continue };
            let outbox = peer.outbox;
            let takes_all = peer.has_room || only_deletes(records);
            if takes_all && outbox + bytes < OUTBOX_MAX / 2 {
                self.send_records(link, items.clone());
            } else {
                let own = records.iter().filter(|new| new.source.is_none());
                self.push_ids(now, link, own.map(|new| new.id).collect::<Vec<_>>());
            }
        }
    }

    /// A new peer must know the grants before it can judge any other record.
    pub(super) fn push_grants(&mut self, now: Now, link: Link) {
        let grants: Vec<_> = self.catalog.of_kind(Kind::Grant).map(|entry| entry.id()).collect();
        self.push_ids(now, link, grants);
    }

    /// A client must know the grants before it can judge any record.
    pub(super) fn give_grants(&mut self, link: Link) {
        if !planted::is_on(Bug::KeepGrants) {
            self.send_records(link, self.grants.for_client());
        }
    }

    /// Queues records for a peer.
    pub(super) fn push_ids(
        &mut self,
        now: Now,
        link: Link,
        ids: impl IntoIterator<Item = RecordId>,
    ) {
        let Some(peer) = self.peers.get_mut(&link) else {
            return;
        };
        let room = QUEUE_MAX.saturating_sub(peer.push.ids.len());
        let mut ids = ids.into_iter();
        peer.push.ids.extend(ids.by_ref().take(room));
        if ids.next().is_some() {
            self.dropped(now, link, AGAIN);
        }
        self.pump_push(now, link);
    }

    /// Queues a range of records for a peer.
    pub(super) fn push_range(&mut self, now: Now, link: Link, range: PushRange) {
        let Some(peer) = self.peers.get_mut(&link) else {
            return;
        };
        let except = peer.push.except + range.except.len();
        if peer.push.ranges.len() < RANGES_MAX && except <= EXCEPT_MAX {
            peer.push.except = except;
            peer.push.ranges.push_back(range);
        } else {
            self.dropped(now, link, AGAIN);
        }
        self.pump_push(now, link);
    }

    /// Reads the next batch for a peer, if it keeps up.
    pub(super) fn pump_push(&mut self, _now: Now, link: Link) {
        let Some(peer) = self.peers.get_mut(&link) else {
            return;
        };
        if peer.push.reading || peer.outbox > OUTBOX_MAX / 2 {
            return;
        }
        let mut places: Vec<LogPlace> = Vec::new();
        let mut ids = Vec::new();
        while places.len() < BATCH
            && let Some(id) = peer.push.ids.pop_front()
        {
            if let Some(entry) = self.catalog.get(&id)
                && (peer.has_room || adds_nothing(entry.kind()))
            {
                places.push(entry.place());
                ids.push(id);
            }
        }
        while places.len() < BATCH
            && let Some(range) = peer.push.ranges.front_mut()
        {
            let entries = self.catalog.range(range.first, range.last);
            let mut left = false;
            for entry in entries {
                if places.len() == BATCH {
                    range.first = entry.id();
                    left = true;
                    break;
                }
                if range.except.binary_search(&entry.id()).is_err()
                    && (peer.has_room || adds_nothing(entry.kind()))
                {
                    places.push(entry.place());
                    ids.push(entry.id());
                }
            }
            if !left && let Some(range) = peer.push.ranges.pop_front() {
                peer.push.except -= range.except.len();
            }
        }
        if !places.is_empty() {
            peer.push.reading = true;
            self.read_log(places, ReadFor::PushRecords { link, ids });
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
            self.read_log(places, ReadFor::PushBlocks { link, batch });
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
        match self.holdings.block(&block.address)? {
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
        self.send_records(link, batch.items);
        if let Some(peer) = self.peers.get_mut(&link) {
            peer.push.reading = false;
        }
        self.pump_push(now, link);
        self.pump_comparison(now, link);
    }

    /// As many messages as it takes. What they hold is counted at once, since the connection tells only later.
    pub(super) fn send_records(&mut self, link: Link, items: Vec<PushedRecord>) {
        let mut message = Vec::new();
        let mut bytes = 0;
        for item in items {
            let length = item.record.len() + item.block.len() + ITEM_OVERHEAD;
            if bytes + length > FRAME_BODY_MAX - ITEM_OVERHEAD
                || message.len() == MESSAGE_RECORDS_MAX
            {
                self.send(link, Message::Records { items: std::mem::take(&mut message) });
                bytes = 0;
            }
            bytes += length;
            message.push(item);
            if let Some(peer) = self.peers.get_mut(&link) {
                peer.outbox += length;
            }
        }
        if !message.is_empty() {
            self.send(link, Message::Records { items: message });
        }
    }
}

/// Whether a record lists one block, so short that it may come with it.
pub(super) fn is_inline(record: &Record, length: usize) -> bool {
    match &record.blocks {
        BlockList::Inline(blocks) => {
            length <= INLINE_BLOCK_MAX
                && matches!(blocks.as_slice(), [block] if block.length as usize == length)
        }
        BlockList::Pages { .. } => false,
    }
}
