//! The machines together: what each has to tell is seen to here, and nowhere else.
//!
//! Knows no door of the server: what comes from outside is handed to one machine by `mod`, and then `dispatch_events` is called.
//! Invariants: an event is seen to whole before the next, and none is left when a door returns; whoever waits for
//! something durable is told when all of its group is in the index.

use super::backpressure::{self, Load};
use super::closing::Closing;
use super::collect::{self, Collect};
use super::compact::{self, Compact};
use super::context::Context;
use super::expire::Expire;
use super::members::{self, Members};
use super::output::{Link, Output};
use super::query::{self, Asked, Query};
use super::replicate::{self, AGAIN, Arrivals, Reconcile, ReconcileEvent, Replicate, UNREAD_AGAIN};
use super::scrub::{self, Scrub};
use super::setup::Setup;
use super::status::Own;
use super::sync;
use super::transfer::{self, OFFERED_BYTES, Transfer};
use super::write::{self, Contents, Rejection, Write};
use crate::crypto::keys::record_id;
use crate::index::{Index, Missing};
use crate::limits::FRAME_BODY_MAX;
use crate::store::values::{DiskError, RecoveryReport, Space};
use crate::time::Instant;
use crate::wire::message::{Message, PushedRecord};
use bytes::Bytes;
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Draining,
    Ended,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Machines {
    phase: Phase,
    pub(super) transfer: Transfer,
    pub(super) write: Write,
    pub(super) query: Query,
    pub(super) members: Members,
    pub(super) scrub: Scrub,
    pub(super) compact: Compact,
    pub(super) expire: Expire,
    pub(super) replicate: Replicate,
    pub(super) reconcile: Reconcile,
    pub(super) arrivals: Arrivals,
    pub(super) collect: Collect,
}

impl Machines {
    /// As they are after a start that has found this.
    pub(super) fn new(
        setup: Setup,
        missing: Missing,
        recovered: &RecoveryReport,
        now: Instant,
    ) -> Self {
        Self {
            phase: Phase::Running,
            transfer: Transfer::default(),
            write: Write::new(&setup.grants),
            query: Query::default(),
            scrub: Scrub::default(),
            compact: Compact::new(recovered),
            expire: Expire::default(),
            replicate: Replicate::new(missing, &recovered.rotten),
            reconcile: Reconcile::new(setup.node),
            arrivals: Arrivals::default(),
            collect: Collect::new(setup.collect_rate, now),
            members: Members::new(setup, recovered.store, now),
        }
    }

    /// Sees to all that the machines have to tell, each event to its end before the next.
    pub(super) fn dispatch_events(&mut self, cx: &mut Context) {
        loop {
            if let Some(event) = self.transfer.poll_event() {
                self.transferred(cx, event);
            } else if let Some(event) = self.write.poll_event() {
                self.written(cx, event);
            } else if let Some(event) = self.query.poll_event() {
                self.queried(cx, event);
            } else if let Some(event) = self.scrub.poll_event() {
                self.scrubbed(cx, event);
            } else if let Some(event) = self.compact.poll_event() {
                match event {
                    compact::Event::Rewrite(rewrite) => self.write.rewrite(rewrite),
                    compact::Event::Bad(bad) => self.replicate.found_bad(cx, &bad),
                }
            } else if let Some(batch) = self.expire.poll_batch() {
                self.write.add_expired(batch);
            } else if let Some(event) = self.replicate.poll_event() {
                self.replicated(cx, event);
            } else if let Some(event) = self.reconcile.poll_event() {
                self.compared(cx, event);
            } else if let Some(event) = self.members.poll_event() {
                self.met(cx, event);
            } else if let Some(event) = self.collect.poll_event() {
                self.collected(cx, event);
            } else {
                return;
            }
        }
    }

    fn transferred(&mut self, cx: &mut Context, event: transfer::Event) {
        use transfer::Event;
        match event {
            Event::Ended { address, replication, outcome } => {
                self.replicate.block_ended(cx, address, replication, outcome);
            }
            Event::OffersAnswered { client, count } => self.write.offers_answered(client, count),
            Event::Absent { reader, address } => {
                let is_damaged = self.replicate.is_damaged(&address);
                let absent = Message::Absent { address };
                cx.send(reader, if is_damaged { Message::Damaged { address } } else { absent });
            }
            Event::InVain { link, address } => self.arrivals.asked_in_vain(cx, link, &address),
            Event::Unread { link } => self.arrivals.unread(cx, link),
            Event::Received { draft, address, length } => {
                self.write.add_block(draft, address, length);
            }
            Event::ReceivedSmall { address, block } => self.write.add_small(address, block),
            Event::Lost { reader, block } => {
                self.replicate.block_lost(cx, block);
                self.transfer.resume(cx, reader);
            }
            Event::NoRoom { bytes } => cx.lack_room_for_block(bytes),
            Event::Broken { link, why } => self.close(cx, link, why),
            Event::Failed(why) => self.end(cx, Output::Failed(why)),
        }
    }

    fn written(&mut self, cx: &mut Context, event: write::Event) {
        use write::Event;
        match event {
            Event::Put(put) => self.scrub.put(cx, put),
            Event::Offered { client, held, new } => {
                self.scrub.offered(cx, client, &held);
                self.transfer.fetch_offered(cx, client, new);
            }
            Event::NoRoom { bytes } => self.lack_room(cx, bytes),
            Event::Granted => self.reconcile.with_all(cx),
            Event::Forged { link } => {
                for other in cx.links.nodes() {
                    self.reconcile.dropped(cx, other, AGAIN);
                }
                self.close(cx, link, Closing::WrongSignature);
            }
            Event::Broken { link, why } => self.close(cx, link, why),
            Event::Committed(contents) => {
                self.committed(cx, &contents);
            }
            Event::Rejected(contents, rejection) => {
                self.rejected(cx, &contents, rejection);
            }
            Event::Compacted(compacted) => self.compact.compacted(cx, compacted),
            Event::Failed(why) => self.end(cx, Output::Failed(why)),
        }
    }

    fn queried(&mut self, cx: &mut Context, event: query::Event) {
        use query::Event;
        match event {
            Event::Look { query, record } => self.replicate.look(cx, query, record),
            Event::Shown { query, link, record } => {
                let id = record_id(&record);
                let shown = PushedRecord { record, block: Bytes::new() };
                self.write.records(cx, link, vec![shown]);
                let comes = cx.knows(&id);
                self.query.taken(cx, query, id, comes);
            }
            Event::NoRoom { bytes } => self.lack_room(cx, bytes),
            Event::RecordDamaged { record } => {
                self.replicate.record_lost(cx, &record);
                self.reconcile.with_all(cx);
            }
            Event::PageLost { asker, address } => {
                self.replicate.page_lost(cx, address);
                self.query.ask(cx, asker, Asked::Page(address));
            }
            Event::FetchPage { asker, address } => {
                self.replicate.fetch_page(cx, asker, address);
                self.query.pump(cx);
            }
            Event::InVain { link, address } => self.arrivals.asked_in_vain(cx, link, &address),
            Event::Served { link, served } => self.collect.served(cx, link, served),
            Event::Broken { link, why } => self.close(cx, link, why),
        }
    }

    fn scrubbed(&mut self, cx: &mut Context, event: scrub::Event) {
        use scrub::Event;
        match event {
            Event::Cleared { address } => self.transfer.clear(cx, address),
            Event::Offered { client, good, others } => {
                self.write.offers_answered(client, good);
                self.transfer.fetch_offered(cx, client, others);
            }
            Event::Put(put) => self.replicate.look_for_put(cx, put),
            Event::Sweep(wanted) => {
                self.scrub.sweep(cx, wanted, |cx, part| self.replicate.missing(cx, part));
            }
        }
    }

    fn replicated(&mut self, cx: &mut Context, event: replicate::Event) {
        use replicate::Event;
        match event {
            Event::Fetch { block, interest, again, hint } => {
                self.transfer.fetch(cx, block, interest, again, hint);
            }
            Event::Page { address, page } => self.write.add_page(address, page),
            Event::PageHere { asker, address } => {
                self.query.ask(cx, asker, Asked::Page(address));
            }
            Event::Lost { address } => self.write.add_lost(address),
            Event::PutLookedUp { put, complete } => self.write.put_looked_up(cx, put, complete),
            Event::Held { query, holds } => {
                let holder = holds.then(|| self.members.own());
                self.query.held_here(cx, query, holder);
            }
            Event::RecordDamaged => self.reconcile.with_all(cx),
        }
    }

    fn compared(&mut self, cx: &mut Context, event: ReconcileEvent) {
        match event {
            ReconcileEvent::TellOneMore { link } => {
                self.members.tell_one_more(cx, link);
                self.reconcile.go_on(cx, link);
            }
            ReconcileEvent::RecordDamaged { record } => {
                self.replicate.record_lost(cx, &record);
                self.reconcile.with_all(cx);
            }
        }
    }

    fn met(&mut self, cx: &mut Context, event: members::Event) {
        use members::Event;
        match event {
            Event::Hello { link, hello } => self.members.admit(cx, link, hello),
            Event::Connected { link } => {
                cx.tell_room(link);
                cx.give_settings(link);
                self.reconcile.connected(cx, link);
                self.replicate.has_news(cx, link);
            }
            Event::Ended { link, why } => self.close(cx, link, why),
        }
    }

    /// It may be time to compare with a peer.
    pub(super) fn compare(&mut self, cx: &mut Context, link: Link) {
        cx.index.renew_settings();
        cx.index.apply_settings();
        let calendar_ms = self.members.calendar_of(link, cx.now.instant);
        if let Some(compare) = self.reconcile.begin(cx, link, calendar_ms) {
            self.members.tell_one_more(cx, link);
            cx.send(link, compare);
        }
    }

    fn collected(&mut self, cx: &mut Context, event: collect::Event) {
        use collect::Event;
        match event {
            Event::Drop { mut files, since } => {
                // What was lost and is to be had again is not to be forgotten.
                files.retain(|address| !self.replicate.is_damaged(address));
                if !self.write.add_dropped(cx, files, since) {
                    self.collect.dropped(cx);
                }
            }
            Event::RecordDamaged(record) => {
                cx.index.damage(&record);
                self.replicate.record_lost(cx, &record);
                self.reconcile.with_all(cx);
            }
            Event::PageDamaged(address) => self.replicate.page_lost(cx, address),
            Event::Marked => self.replicate.marked(cx),
        }
    }

    /// The disk has told what it has left.
    pub(super) fn space_answered(&mut self, cx: &mut Context, result: Result<Space, DiskError>) {
        // What is promised to the disk may not be there yet: blocks that are fetched, and what waits for its group. What is
        // being checked, and the one group in flight, are a few megabytes at most, and may fail for want of room.
        let promised = self.transfer.bytes() + self.write.bytes() as u64;
        let usable = cx.space_answered(promised, result);
        if usable.is_some_and(|usable| usable > 0) {
            self.write.bring(cx, Vec::new());
        }
        if usable.is_none() {
            return;
        }
        let found = cx.room_answered();
        if found.records {
            self.reconcile.with_all(cx);
        }
        if found.records || found.blocks {
            for link in cx.links.nodes() {
                self.replicate.has_news(cx, link);
            }
        }
    }

    /// There is no room for so many bytes of records. What the peers have told since may be forgotten.
    fn lack_room(&mut self, cx: &mut Context, bytes: u64) {
        if cx.lack_room(bytes) {
            self.reconcile.forget_told(cx);
        }
    }

    /// Each record that is known has all that it names, and none is damaged of which that is not known.
    pub(super) fn are_whole(&self, cx: &Context) -> bool {
        self.replicate.incomplete() == 0 && cx.index.catalog.lost(..).next().is_none()
    }

    /// A group is durable, and in the index: whoever waits for something of it goes on.
    fn committed(&mut self, cx: &mut Context, contents: &Contents) {
        let Contents { records, blocks, pages, expired, files } = contents;
        for one in expired {
            self.replicate.record_lost(cx, &one.id);
        }
        if !expired.is_empty() {
            self.expire.ended(cx, true);
        }
        if !files.is_empty() {
            self.collect.dropped(cx);
        }
        self.replicate.records_came(cx, records);
        self.replicate.blocks_came(cx, blocks);
        self.transfer.arrived(cx, blocks);
        self.arrivals.came(cx, blocks);
        self.replicate.pages_landed(cx, pages, true);
        self.arrivals.came(cx, pages);
        self.reconcile.push_new(cx, records);
        self.reconcile.came(cx, records);
        for new in records {
            self.collect.came(cx, &new.record);
            cx.index.note_setting(&new.record, &new.bytes);
            let Index { ordered, catalog, .. } = &mut cx.index;
            if let Some(ordered) = ordered {
                ordered.note(catalog, &new.id, &new.record);
            }
            self.query.came(cx, &new.id, true);
        }
    }

    /// What a group held is forgotten.
    fn rejected(&mut self, cx: &mut Context, contents: &Contents, rejection: Rejection) {
        let Contents { records, blocks, pages, expired, files } = contents;
        if !expired.is_empty() {
            self.expire.ended(cx, false);
        }
        if !files.is_empty() {
            self.collect.not_dropped(cx, files);
        }
        if rejection == Rejection::Full {
            self.lack_room(cx, FRAME_BODY_MAX as u64);
        }
        for address in blocks {
            match rejection {
                Rejection::Full => self.transfer.find_no_room(cx, *address),
                Rejection::Scarce => self.transfer.fail(cx, *address),
            }
        }
        self.replicate.pages_landed(cx, pages, false);
        let sources: BTreeSet<Link> = records.iter().filter_map(|new| new.source).collect();
        for link in sources {
            self.reconcile.dropped(cx, link, UNREAD_AGAIN);
        }
        for new in records {
            self.query.came(cx, &new.id, false);
        }
    }

    /// What they know of this node, which started then.
    pub(super) fn own(&self, cx: &Context, started: Instant) -> Own {
        let known = self.members.count();
        Own {
            address: self.members.own(),
            uptime_s: cx.now.instant.since(started).as_secs(),
            incomplete: self.replicate.incomplete(),
            known,
            twins: self.members.twins(),
            began_ms: self.members.began_ms(),
            sync: sync::state(cx, self.reconcile.has_compared(), known),
            collection: self.collect.state(),
            log_use: self.compact.log_use(cx),
        }
    }

    /// Somebody goes on with what was served to it.
    pub(super) fn heard(&mut self, cx: &Context, link: Link, message: &Message) {
        if matches!(message, Message::Want { .. } | Message::GetPage { .. }) {
            self.collect.heard(cx, link);
        }
    }

    /// How many bytes of a connection are taken in at a time; none while it has to wait.
    pub(super) fn read_max(&self, cx: &Context, link: Link) -> usize {
        let owes_leaves = self.transfer.is_owed_by(link);
        let has_backlog = self.write.has_backlog();
        backpressure::read_max(cx, link, Load { has_backlog, owes_leaves })
    }

    /// About what is kept in memory on behalf of a connection, leaves apart.
    pub(super) fn held_bytes(&self, link: Link) -> usize {
        self.write.offered_by(link) * OFFERED_BYTES
            + self.transfer.held_bytes(link)
            + self.reconcile.held_bytes(link)
            + self.arrivals.held_bytes(link)
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, cx: &mut Context, link: Link) {
        // None if this side has ended it.
        let Some(peer) = cx.links.remove(link) else {
            return;
        };
        self.transfer.link_closed(cx, link);
        self.scrub.link_closed(link);
        self.query.link_closed(cx, link, &peer.asks);
        self.replicate.link_closed(cx, link, &peer.asks);
        self.reconcile.link_closed(link);
        self.arrivals.link_closed(link);
        self.write.link_closed(link);
        self.collect.link_closed(link);
        cx.reliance.link_closed(link);
        self.members.link_closed(cx, link, peer.node());
    }

    /// Ends a connection whose other side broke a rule, or that is not wanted any more.
    pub(super) fn close(&mut self, cx: &mut Context, link: Link, why: Closing) {
        if cx.links.contains(link) {
            cx.output(Output::Close { link, why });
            self.forget(cx, link);
        }
    }

    /// Accepts no more puts and finishes those accepted. True if it did before.
    pub(super) fn drain(&mut self) -> bool {
        let runs = self.phase == Phase::Running;
        if runs {
            self.phase = Phase::Draining;
            self.compact.stop();
            self.write.stop();
            self.collect.stop();
        }
        runs
    }

    /// Says so if everything that was accepted is finished, and nothing more is.
    pub(super) fn end_if_drained(&mut self, cx: &mut Context) {
        let is_idle = self.phase == Phase::Draining
            && self.write.is_idle()
            && !self.members.is_writing()
            && !self.transfer.is_serving()
            && cx.links.peers().all(|peer| !peer.is_busy());
        if is_idle {
            self.end(cx, Output::Drained);
        }
    }

    /// Nothing is accepted from now on.
    pub(super) fn end(&mut self, cx: &mut Context, output: Output) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.compact.stop();
            self.write.stop();
            cx.output(output);
        }
    }
}
