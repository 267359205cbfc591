//! What is to be sent to a peer: what is made here, and what a comparison has shown that it lacks; where there is no room for
//! more, another comparison is due.
//!
//! One batch at a time is read for a peer, and none while its outbox is half full. Calls nothing of the comparison. Invariant: what has expired
//! by the step as of which the two compare is not sent; whoever would be told of it is told that it has expired.

use super::{AGAIN, Reconcile};
use crate::ids::RecordId;
use crate::limits::{MESSAGE_IDS_MAX, OUTBOX_MAX};
use crate::seeded::{self, Bug};
use crate::server::context::Context;
use crate::server::output::Link;
use crate::server::replicate::push::{PushRange, Reading};
use crate::server::timers::Timer;
use crate::server::work::ReadFor;
use crate::server::write::{NewRecord, only_deletes};
use crate::store::values::Expired;
use crate::wire::message::{ExpiredRecord, Message};
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

    /// Something that a peer lacks, or that was of it, has been dropped for want of room: another comparison finds it, soon
    /// and whatever has changed meanwhile.
    pub(in crate::server) fn dropped(&mut self, cx: &mut Context, link: Link, delay: Duration) {
        // None if it is a client's, or has ended.
        let Some(side) = self.by_link.get_mut(&link) else {
            return;
        };
        if seeded::is_on(Bug::DropInSilence) {
            return;
        }
        side.comparison.drop_something();
        let due = cx.now.instant..=cx.now.instant + delay;
        let is_due = side.due.is_some_and(|at| due.contains(&at));
        if !is_due && !side.comparison.is_under_way() {
            self.set_due(cx, link, delay);
        }
    }

    /// Sets the time of the next comparison that this side begins.
    pub(super) fn set_due(&mut self, cx: &mut Context, link: Link, delay: Duration) {
        if let Some(side) = self.by_link.get_mut(&link)
            && !(seeded::is_on(Bug::CompareOnce) && side.due.is_some())
        {
            side.due = Some(cx.now.instant + delay);
            cx.after(delay, Timer::Reconcile(link));
        }
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
