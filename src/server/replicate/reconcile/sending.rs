//! What is sent to a peer: what is made here, and what a comparison has shown that it lacks.
//!
//! One batch at a time is read for a peer, and none while its outbox is half full. Knows no question. Invariant: what has expired
//! by the step as of which the two compare is not sent; whoever would be told of it is told that it has expired.

use super::{AGAIN, Reconcile, ReconcileEvent, UNREAD_AGAIN};
use crate::ids::RecordId;
use crate::limits::{MESSAGE_IDS_MAX, OUTBOX_MAX};
use crate::seeded::{self, Bug};
use crate::server::context::Context;
use crate::server::output::Link;
use crate::server::replicate::push::{BATCH_BYTES, Batch, PushRange, Reading, small_block_of};
use crate::server::timers::Timer;
use crate::server::work::ReadFor;
use crate::server::write::{NewRecord, only_deletes};
use crate::store::values::{Expired, ReadError};
use crate::wire::message::{ExpiredRecord, Message, PushedRecord};
use bytes::Bytes;
use std::time::Duration;

impl Reconcile {
    /// Records made here go to every peer at once.
    pub(in crate::server) fn push_new(&mut self, cx: &mut Context, records: &[NewRecord]) {
        let own = records.iter().filter(|new| new.source.is_none());
        let items: Vec<_> = own.clone().map(NewRecord::pushed).collect();
        if items.is_empty() {
            return;
        }
        let bytes: usize = items.iter().map(|item| item.record.len() + item.block.len()).sum();
        let count = if seeded::is_on(Bug::PushToFirst) { 1 } else { usize::MAX };
        for link in cx.links.nodes().into_iter().take(count) {
            let Some(side) = self.by_link.get(&link) else { continue };
            let takes_all = !side.is_full || only_deletes(records);
            let has_space = cx.links.outbox(link) + bytes < OUTBOX_MAX / 2;
            if takes_all && (has_space || seeded::is_on(Bug::PushWithoutPace)) {
                cx.send_records(link, items.clone());
            } else {
                self.push_ids(cx, link, own.clone().map(|new| new.id));
            }
        }
    }

    /// Queues records for a peer.
    pub(in crate::server) fn push_ids(
        &mut self,
        cx: &mut Context,
        link: Link,
        ids: impl IntoIterator<Item = RecordId>,
    ) {
        // None if it has just ended.
        let Some(side) = self.by_link.get_mut(&link) else {
            return;
        };
        for id in ids {
            if !side.push.add(id, &cx.index.catalog) {
                self.dropped(cx, link, AGAIN);
                break;
            }
        }
        self.pump_push(cx, link);
    }

    /// Queues a range of records for a peer. False if it finds no room there.
    pub(super) fn push_range(&mut self, cx: &mut Context, link: Link, range: PushRange) -> bool {
        // None if it has just ended.
        let Some(side) = self.by_link.get_mut(&link) else {
            return false;
        };
        // What has expired meanwhile cannot be sent.
        let expired = cx.index.catalog.expired_since(side.cut, range.first, range.last);
        let told = expired.filter(|expired| !range.leaves_out(&expired.id)).take(MESSAGE_IDS_MAX);
        let told: Vec<_> = told.collect();
        let added = side.push.add_range(range);
        tell_expired(cx, link, told);
        if !added {
            self.dropped(cx, link, AGAIN);
        }
        self.pump_push(cx, link);
        added
    }

    /// Reads the next batch for a peer, if it keeps up.
    pub(in crate::server) fn pump_push(&mut self, cx: &mut Context, link: Link) {
        // None if it leads to no node, or has ended since the timer was set.
        let Some(side) = self.by_link.get_mut(&link) else {
            return;
        };
        let outbox = cx.links.outbox(link);
        let is_tight = outbox > OUTBOX_MAX / 2 && !seeded::is_on(Bug::PushWithoutPace);
        if side.push.reading || is_tight {
            return;
        }
        let Reading { items, ids, left_out, .. } =
            side.push.next(&cx.index.catalog, !side.is_full, side.cut);
        if left_out {
            side.comparison.leave_out();
        }
        if !items.is_empty() {
            side.push.reading = true;
            cx.read_log(items, ReadFor::PushRecords { link, ids });
        } else if !side.push.is_idle() {
            // A long way through what is not to be sent: others have their turn before it goes on.
            cx.after(Duration::ZERO, Timer::Push(link));
        }
    }

    /// The records are read: their small blocks are next.
    pub(in crate::server) fn records_read(
        &mut self,
        cx: &mut Context,
        link: Link,
        ids: Vec<RecordId>,
        items: Vec<Result<Bytes, ReadError>>,
    ) {
        let mut batch = Batch { items: Vec::new(), owners: Vec::new() };
        let mut blocks = Vec::new();
        let mut bytes = 0;
        let mut unread = false;
        for (id, item) in ids.into_iter().zip(items) {
            let record = match item {
                Ok(record) => record,
                Err(ReadError::Gone | ReadError::Damaged) => {
                    cx.index.damage(&id);
                    self.events.push_back(ReconcileEvent::RecordDamaged { record: id });
                    continue;
                }
                // Another comparison finds that the peer lacks it.
                Err(ReadError::Disk(_)) => {
                    unread = true;
                    continue;
                }
            };
            if let Some(block) = small_block_of(&cx.index.holdings, &record)
                && bytes + block.place.length as usize <= BATCH_BYTES
            {
                bytes += block.place.length as usize;
                blocks.push(block);
                batch.owners.push(batch.items.len());
            }
            batch.items.push(PushedRecord { record, block: Bytes::new() });
        }
        if unread {
            self.dropped(cx, link, UNREAD_AGAIN);
        }
        if blocks.is_empty() {
            self.blocks_read(cx, link, batch, Vec::new());
        } else {
            cx.read_log(blocks, ReadFor::PushBlocks { link, batch });
        }
    }

    /// All is read and goes out. A block that could not be read is fetched by the peer like any other.
    pub(in crate::server) fn blocks_read(
        &mut self,
        cx: &mut Context,
        link: Link,
        mut batch: Batch,
        blocks: Vec<Result<Bytes, ReadError>>,
    ) {
        for (owner, block) in batch.owners.into_iter().zip(blocks) {
            if let Ok(block) = block {
                batch.items[owner].block = block;
            }
        }
        cx.send_records(link, batch.items);
        if let Some(side) = self.by_link.get_mut(&link) {
            side.push.reading = false;
        }
        self.pump_push(cx, link);
        self.pump(cx, link);
    }

    /// A peer asks for records: those that have expired meanwhile it is to ask for no more.
    pub(super) fn fetch(&mut self, cx: &mut Context, link: Link, ids: Vec<RecordId>) {
        let catalog = &cx.index.catalog;
        let expired = ids.iter().filter_map(|id| {
            let at_ms = catalog.expired_ms(id)?;
            Some(Expired { id: *id, at_ms })
        });
        let expired: Vec<_> = expired.collect();
        tell_expired(cx, link, expired);
        self.push_ids(cx, link, ids);
    }
}

fn tell_expired(cx: &mut Context, link: Link, expired: Vec<Expired>) {
    if !expired.is_empty() {
        let record = |Expired { id, at_ms }| ExpiredRecord { record: id, at_ms };
        cx.send(link, Message::Expired { records: expired.into_iter().map(record).collect() });
    }
}
