//! Writing: what is put and what peers send, from its arrival until it is durable.
//!
//! A machine in three parts, `Admission`, `Offers` and the `CommitQueue`, none of which calls another. Knows no download
//! and no peer but by its number. Invariants: a put is committed only when all that it names is held or comes with it; whoever
//! waits for a group is told after its flush and never before.

mod admission;
mod background;
mod conditions;
mod event;
mod in_flight;
mod offers;
mod queue;
mod record;
mod rewrites;
#[cfg(test)]
mod tests;

pub(super) use admission::Put;
pub(super) use event::{Compacted, Contents, Event, Rejection};
pub(super) use offers::Offered;
pub(super) use record::{NewRecord, ReadyPut, only_deletes};
pub(super) use rewrites::{Copy, Rewrite};

use super::asker::Asker;
use super::context::Context;
use super::output::Link;
use super::work::{Checked, ReadFor};
use crate::crypto::keys::record_id;
use crate::ids::Address;
use crate::index::entry::Entry;
use crate::index::grants::Learnt;
use crate::seeded::{self, Bug};
use crate::store::values::{Committed, DiskError, Draft, Expired, ReadError};
use crate::wire::message::{BlockRef, Message, PushedRecord, Reason};
use crate::wire::permit::Permit;
use crate::wire::record::{BlockList, Record, RecordKind};
use admission::{Admission, addresses, learn_grant};
use bytes::Bytes;
use offers::Offers;
use queue::{CommitQueue, Waiter};
use record::{Brought, names};
use std::collections::VecDeque;

/// What is said to a client while the node finishes what it has accepted.
const STOPPING: &str = "the node is stopping";

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Write {
    admission: Admission,
    offers: Offers,
    queue: CommitQueue,
    /// Grants that are to go into a group: of this node's own write key, and those whose group was rejected.
    own_grants: Vec<Bytes>,
    /// Nothing more is accepted of clients.
    stopping: bool,
    events: VecDeque<Event>,
}

impl Write {
    /// Nothing is on its way but the grants of this node's own write key.
    pub(super) fn new(own_grants: &[Vec<u8>]) -> Self {
        let own_grants = own_grants.iter().map(|grant| Bytes::copy_from_slice(grant)).collect();
        Self { own_grants, ..Self::default() }
    }

    /// What has happened, for the rest of the server.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        let event = self.admission.events.pop_front();
        event.or_else(|| self.offers.events.pop_front()).or_else(|| self.events.pop_front())
    }

    /// Nothing more is accepted of clients.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        self.queue.stop();
    }

    /// A group of the compaction is to be written.
    pub(super) fn rewrite(&mut self, rewrite: Rewrite) {
        if !self.stopping {
            self.queue.rewrite(rewrite);
        }
    }

    /// Whether a client's request is refused since this node stops.
    fn is_refused(&self, cx: &mut Context, asker: Asker) -> bool {
        if self.stopping {
            cx.refuse(asker, Reason::Unavailable, STOPPING);
        }
        self.stopping
    }

    /// A client puts records, and perhaps their small blocks.
    pub(super) fn put(&mut self, cx: &mut Context, asker: Asker, put: Put) {
        if !self.is_refused(cx, asker) {
            self.admission.put(cx, asker, put);
        }
    }

    /// Somebody has blocks.
    pub(super) fn offer(
        &mut self,
        cx: &mut Context,
        asker: Asker,
        blocks: Vec<BlockRef>,
        permit: Option<Permit>,
    ) {
        cx.reliance.hear(asker);
        if self.offers.may_offer(asker.link, blocks.len()) && !self.is_refused(cx, asker) {
            self.offers.offer(cx, asker, blocks, permit);
        }
    }

    /// A client puts a page.
    pub(super) fn put_page(
        &mut self,
        cx: &mut Context,
        asker: Asker,
        page: Bytes,
        permit: Option<Permit>,
    ) {
        cx.reliance.hear(asker);
        if !self.is_refused(cx, asker) {
            offers::put_page(cx, asker, page, permit);
        }
    }

    /// Records come from a peer; or grants, and only grants, from a client.
    pub(super) fn records(&mut self, cx: &mut Context, link: Link, items: Vec<PushedRecord>) {
        self.admission.records(cx, link, items);
    }

    /// The grants of this node's own write key are records like any other, known from the first start on; so is what a
    /// start has found whole where it cannot be read again.
    pub(super) fn bring(&mut self, cx: &mut Context, anew: Vec<Bytes>) {
        for bytes in std::mem::take(&mut self.own_grants).into_iter().chain(anew) {
            let id = record_id(&bytes);
            // What is no record is no grant either.
            let Ok(record) = Record::decode(&bytes) else {
                continue;
            };
            let is_grant = record.kind == RecordKind::Grant;
            if is_grant && learn_grant(cx, &record, &bytes) == Learnt::NoGrant {
                continue;
            }
            if !cx.knows(&id) {
                let (block, source, complete) = (Bytes::new(), None, is_grant);
                self.queue.add_record(cx, NewRecord { id, record, bytes, block, source, complete });
            }
        }
    }

    /// What somebody wants to have stored; anything else comes back.
    pub(super) fn message(
        &mut self,
        cx: &mut Context,
        link: Link,
        message: Message,
    ) -> Option<Message> {
        match message {
            Message::Put { request, conditions, records, blocks } => {
                let put = Put { records, conditions, blocks };
                self.put(cx, Asker { link, request }, put);
            }
            Message::PutPage { request, page, permit } => {
                self.put_page(cx, Asker { link, request }, page, permit);
            }
            Message::Offer { request, blocks, permit } => {
                self.offer(cx, Asker { link, request }, blocks, permit);
            }
            Message::Records { items } => self.records(cx, link, items),
            other => return Some(other),
        }
        None
    }

    /// A put has been checked.
    pub(super) fn put_checked(&mut self, cx: &mut Context, put: Box<ReadyPut>, found: &[Checked]) {
        self.admission.put_checked(cx, put, found);
    }

    /// An offer's permit has been checked.
    pub(super) fn offer_checked(&mut self, cx: &mut Context, offer: Offered, found: &[Checked]) {
        self.offers.checked(cx, offer, found);
    }

    /// A page and its permit have been checked.
    pub(super) fn page_checked(
        &mut self,
        cx: &mut Context,
        asker: Asker,
        page: Bytes,
        found: &[Checked],
    ) {
        let [Checked::Address(address)] = found else {
            return offers::refuse_page(cx, asker);
        };
        // Written again even if it is held: what is acknowledged must not rest on bytes that nobody has looked at since.
        self.queue.begin();
        self.queue.add_page(*address, page);
        let (address, is_new) = (*address, cx.index.holdings.page(address).is_none());
        self.queue.wait(Waiter::Page { asker, address, is_new });
    }

    /// Records of a peer have been checked.
    pub(super) fn records_checked(
        &mut self,
        cx: &mut Context,
        link: Link,
        items: Vec<NewRecord>,
        found: &[Checked],
    ) {
        let items = self.admission.records_checked(cx, link, items, found);
        if items.is_empty() {
            return;
        }
        let mut addresses = addresses(found);
        self.queue.begin();
        if !seeded::is_on(Bug::SweepQueued) {
            self.queue.rely(cx.rely());
        }
        for new in items {
            if !new.block.is_empty()
                && let Some(address) = addresses.next()
                && let brought = (Brought { address, block: new.block.clone() })
                && names(&new.record, &brought)
                && !cx.index.holdings.name_block(&address)
            {
                self.queue.add_small(address, brought.block);
            }
            self.queue.add_record(cx, new);
        }
    }

    /// It has been looked whether all that a put names is here or comes with it.
    pub(super) fn put_looked_up(&mut self, cx: &mut Context, put: Box<ReadyPut>, complete: bool) {
        if complete { self.commit(cx, *put) } else { self.look_for_known_lists(cx, put) }
    }

    /// It goes into a group, whole.
    fn commit(&mut self, cx: &mut Context, put: ReadyPut) {
        if let Some(refusal) = conditions::broken(&cx.index.catalog, &self.queue, &put) {
            put.relies.into_iter().for_each(|since| cx.reliance.give_up(since));
            return refusal.tell(cx, put.asker);
        }
        self.queue.begin();
        put.relies.into_iter().for_each(|since| self.queue.rely(since));
        for record in put.records() {
            // Before it is durable: whoever asks now for a stamp of the same name is to have one above it.
            cx.observe(record.version.stamp);
        }
        for mut new in put.records {
            let brought = put.blocks.iter().find(|brought| names(&new.record, brought));
            if let Some(Brought { block, .. }) = brought {
                new.block = block.clone();
            }
            // What was stored and has expired since is stored: whoever brings it again has not heard.
            let is_past = cx.index.catalog.expired_ms(&new.id).is_some();
            if !cx.index.catalog.contains(&new.id) && !is_past {
                self.queue.add_record(cx, new);
            }
        }
        for Brought { address, block } in put.blocks {
            if cx.index.holdings.block(&address).is_none() {
                self.queue.add_small(address, block);
            }
        }
        if seeded::is_on(Bug::AnswerBeforeCommit) {
            let Asker { link, request } = put.asker;
            return cx.reply(link, Message::PutDone { request, copies: 1 });
        }
        self.queue.wait(Waiter::Put(put.asker));
    }

    /// Not all that a put's records name is here, of a file that this node may know all the same: a rename, where the
    /// blocks are on other nodes or still on their way. The versions that these supersede may name the same.
    fn look_for_known_lists(&mut self, cx: &mut Context, put: Box<ReadyPut>) {
        let catalog = &cx.index.catalog;
        let entries = put.records().flat_map(|record| {
            let parents = record.parents.iter();
            parents.filter_map(|version| catalog.version(&record.name, version))
        });
        let items: Vec<_> = entries.map(Entry::item).collect();
        if items.is_empty() {
            return self.known_lists_read(cx, *put, &[]);
        }
        cx.checking += put.bytes();
        cx.read_log(items, ReadFor::KnownLists { put });
    }

    /// They have been read.
    pub(super) fn known_lists_answered(
        &mut self,
        cx: &mut Context,
        put: ReadyPut,
        items: Vec<Result<Bytes, ReadError>>,
    ) {
        cx.checking -= put.bytes();
        let records = items.into_iter().filter_map(Result::ok);
        let lists = records.filter_map(|bytes| Some(Record::decode(&bytes).ok()?.blocks));
        let lists: Vec<_> = lists.collect();
        self.known_lists_read(cx, put, &lists);
    }

    /// Such a put commits only if a record that the catalog knows names the same blocks; its record is then as complete as
    /// that one, and what it lacks is fetched like anything else.
    fn known_lists_read(&mut self, cx: &mut Context, mut put: ReadyPut, lists: &[BlockList]) {
        for new in put.records.iter_mut().filter(|new| !new.record.blocks.is_empty()) {
            if !lists.contains(&new.record.blocks) {
                let detail =
                    "blocks or pages that the record names are not here; nothing of it was kept";
                put.relies.into_iter().for_each(|since| cx.reliance.give_up(since));
                return cx.refuse(put.asker, Reason::Missing, detail);
            }
            new.complete = false;
        }
        self.commit(cx, put);
    }

    /// So many of the blocks that a client offered are answered for.
    pub(super) fn offers_answered(&mut self, client: Link, count: usize) {
        self.offers.end(client, count);
    }

    /// A block is whole in its draft.
    pub(super) fn add_block(&mut self, draft: Draft, address: Address, length: u32) {
        self.queue.add_block(draft, address, length);
    }

    /// A small block is what its address says.
    pub(super) fn add_small(&mut self, address: Address, block: Bytes) {
        self.queue.add_small(address, block);
    }

    /// A page that somebody waits for is what its address says.
    pub(super) fn add_page(&mut self, address: Address, page: Bytes) {
        self.queue.add_page(address, page);
        self.queue.set_urgent();
    }

    /// Block files that are not held go. False if none is left to go.
    pub(super) fn add_dropped(&mut self, cx: &Context, files: Vec<Address>, since: u32) -> bool {
        self.queue.add_dropped(cx, files, since)
    }

    /// What was held is damaged or gone.
    pub(super) fn add_lost(&mut self, address: Address) {
        self.queue.add_lost(address);
    }

    /// Records have expired.
    pub(super) fn add_expired(&mut self, expired: Vec<Expired>) {
        self.queue.add_expired(expired);
    }

    /// The space of removed files has been freed.
    pub(super) fn freed(&mut self, cx: &mut Context) {
        self.queue.freed(cx);
        cx.freed();
    }

    /// The open group has waited long enough.
    pub(super) fn window_over(&mut self) {
        self.queue.window_over();
    }

    /// Sends the next group to the disk if it is time. `is_whole`: each record that is known has all that it names.
    pub(super) fn pump(&mut self, cx: &mut Context, is_whole: bool) {
        self.queue.pump(cx, is_whole);
    }

    /// The disk has answered for the group in flight.
    pub(super) fn group_answered(
        &mut self,
        cx: &mut Context,
        result: Result<Committed, DiskError>,
    ) {
        let event = self.queue.complete(cx, result);
        if let Event::Rejected(contents, _) = &event {
            let own = contents.records.iter().filter(|new| new.source.is_none());
            let grants = own.filter(|new| new.record.kind == RecordKind::Grant);
            self.own_grants.extend(grants.map(|new| new.bytes.clone()));
        }
        self.events.push_back(event);
    }

    /// Bytes that wait for their group to go.
    pub(super) fn bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// More waits than the disk keeps up with.
    pub(super) fn has_backlog(&self) -> bool {
        self.queue.has_backlog()
    }

    /// Everything that was accepted is finished.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_idle() && self.offers.is_idle()
    }

    /// Blocks that a connection has offered and that are not here yet.
    pub(super) fn offered_by(&self, link: Link) -> usize {
        self.offers.open(link)
    }

    pub(super) fn link_closed(&mut self, link: Link) {
        self.offers.link_closed(link);
    }
}
