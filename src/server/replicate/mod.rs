//! Replication: how records come to every node, and what they name with them.
//!
//! Three machines, of which none names another: `Reconcile` finds out which records a peer lacks and sends them,
//! `Arrivals` remembers what a peer has asked for in vain, and `Replicate` has whatever ought to be here and is not. That
//! one is a composition itself:
//!
//! | machine | what it does |
//! |---|---|
//! | `needs::Needs` | the only table of what is missing, and when it is tried again |
//! | `replications::Replications` | what a record names and is not here is fetched |
//! | `lookup::Lookups` | is all that a record names here? |
//! | `page_downloads::PageDownloads` | pages that are asked of peers |
//!
//! Both that go down a record's pages use `traverse`. Invariants: nothing here waits for a peer that does not take what it
//! is sent; whatever is found to be missing is in `needs` until it is here.

mod arrivals;
mod comparison;
mod event;
mod lookup;
mod needs;
mod page_downloads;
mod push;
mod ranges;
mod reconcile;
mod replications;
mod round;
mod side;
#[cfg(test)]
mod tests;
mod traverse;

pub(super) use arrivals::Arrivals;
pub(super) use event::{Event, ReconcileEvent};
pub(super) use push::Batch;
pub(super) use reconcile::{AGAIN, Reconcile, UNREAD_AGAIN};
pub(super) use replications::ReplicationId;
pub(super) use round::Round;

use super::ask::{Ask, PageAsked};
use super::asker::Asker;
use super::context::Context;
use super::output::Link;
use super::scrub::{MISSING_MAX, Part};
use super::transfer::{Interest, Outcome};
use super::work::Checked;
use super::write::{NewRecord, ReadyPut};
use crate::ids::{Address, RecordId};
use crate::index::Missing;
use crate::index::holdings::length;
use crate::seeded::{self, Bug};
use crate::store::values::ReadError;
use crate::wire::message::{BlockRef, Message, Reason, Request};
use bytes::Bytes;
use lookup::{Found, LookFor, Lookup, Lookups};
use needs::{Needs, Try};
use page_downloads::{PageDownloads, PageFor, Sources};
use replications::{Replications, Wanted};
use round::Short;
use std::collections::{HashMap, VecDeque};
use std::ops::Bound::{Excluded, Included, Unbounded};

/// Batches of what is short that are begun in one turn, should each be over at once.
pub(super) const BATCHES_OF_A_TURN: u32 = 4;

/// What is said of a page that was here.
const PAGE_DAMAGED: &str =
    "a page of the file's list of blocks, and no node that can be reached has it whole";

/// What of the log is read for replication.
#[derive(Debug)]
pub(super) enum Reading {
    LookedRecord { lookup: Box<Lookup> },
    LookedPage { lookup: Box<Lookup> },
    Record { replication: ReplicationId },
    Page { replication: ReplicationId },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Replicate {
    needs: Needs,
    replications: Replications,
    lookups: Lookups,
    pages: PageDownloads,
    events: VecDeque<Event>,
}

impl Replicate {
    /// With what a start has found missing, and found rotten.
    pub(super) fn new(missing: Missing, rotten: &[Address]) -> Self {
        Self {
            needs: Needs::new(missing, rotten),
            replications: Replications::default(),
            lookups: Lookups::default(),
            pages: PageDownloads::default(),
            events: VecDeque::new(),
        }
    }

    /// What has happened, for the rest of the server.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What a start has found missing is to be had. Nobody is connected yet.
    pub(super) fn start(&mut self, cx: &mut Context) {
        self.needs.start(cx);
        self.dispatch_events(cx);
    }

    /// Looks whether all that a put's records name is here, or comes with it.
    pub(super) fn look_for_put(&mut self, cx: &mut Context, put: Box<ReadyPut>) {
        self.lookups.put(cx, put);
        self.dispatch_events(cx);
    }

    /// A peer asks whether a record is whole here.
    pub(super) fn holds(&mut self, cx: &mut Context, asker: Asker, record: RecordId) {
        self.lookups.question(cx, record, LookFor::Holds { asker, record });
        self.dispatch_events(cx);
    }

    /// A query asks the same.
    pub(super) fn look(&mut self, cx: &mut Context, query: u64, record: RecordId) {
        self.lookups.question(cx, record, LookFor::Query { query, record });
        self.dispatch_events(cx);
    }

    /// A client wants a page that is not here: before its record was replicated so far, or because it is damaged.
    pub(super) fn fetch_page(&mut self, cx: &mut Context, asker: Asker, address: Address) {
        let sources = Sources { hint: None, again: false };
        self.pages.fetch(cx, address, PageFor::Reader(asker), sources);
        self.dispatch_events(cx);
    }

    /// Items of the log have been read.
    pub(super) fn read(
        &mut self,
        cx: &mut Context,
        reading: Reading,
        items: Vec<Result<Bytes, ReadError>>,
    ) {
        match reading {
            Reading::LookedRecord { lookup } => self.lookups.record_read(cx, lookup, items),
            Reading::LookedPage { lookup } => self.lookups.page_read(cx, lookup, items),
            Reading::Record { replication } => {
                self.replications.record_read(cx, replication, items);
            }
            Reading::Page { replication } => self.replications.page_read(cx, replication, items),
        }
        self.dispatch_events(cx);
    }

    /// Records are in the catalog: whatever these lack is fetched. Together, since one may supersede another.
    pub(super) fn records_came(&mut self, cx: &mut Context, records: &[NewRecord]) {
        for new in records.iter().filter(|new| !new.complete) {
            self.needs.record(new.id, new.source);
        }
        self.dispatch_events(cx);
    }

    /// Blocks are durable, and those who waited for them are told.
    pub(super) fn blocks_came(&mut self, cx: &mut Context, addresses: &[Address]) {
        self.needs.arrived(cx, addresses);
        self.dispatch_events(cx);
    }

    /// Pages are durable, or their group has failed: those who wait for them are told.
    pub(super) fn pages_landed(&mut self, cx: &mut Context, addresses: &[Address], durable: bool) {
        if durable {
            self.needs.arrived(cx, addresses);
        }
        for address in addresses {
            self.pages.landed(cx, *address, durable);
        }
        self.dispatch_events(cx);
    }

    /// A block is here that was to be fetched, or cannot be had.
    pub(super) fn block_ended(
        &mut self,
        cx: &mut Context,
        address: Address,
        replication: Option<ReplicationId>,
        outcome: Outcome,
    ) {
        match replication {
            Some(id) => self.replications.block_ended(cx, id, address, outcome),
            None => self.needs.tried(cx, Short::Block(address), outcome),
        }
        self.dispatch_events(cx);
    }

    /// A block is damaged or gone that was held: says so, and sees to it that it comes again.
    pub(super) fn block_lost(&mut self, cx: &mut Context, BlockRef { address, length }: BlockRef) {
        if cx.index.holdings.lose(&address) {
            log::warn!("block {address} is damaged or gone on this disk; it is fetched anew");
            self.events.push_back(Event::Lost { address });
            self.needs.block_lost(cx, address, length);
            self.dispatch_events(cx);
        }
    }

    /// The same of a page.
    pub(super) fn page_lost(&mut self, cx: &mut Context, address: Address) {
        self.lose_page(cx, address);
        self.dispatch_events(cx);
    }

    fn lose_page(&mut self, cx: &mut Context, address: Address) {
        if !cx.index.holdings.lose(&address) {
            return;
        }
        self.events.push_back(Event::Lost { address });
        self.needs.page_lost(cx, address);
        if seeded::is_on(Bug::SuspectRecords) {
            let all: Vec<_> = cx.index.catalog.ids().collect();
            all.into_iter().for_each(|record| self.needs.record(record, None));
        }
    }

    /// What was looked at anew is bad: blocks, pages and records, by their ids.
    pub(super) fn found_bad(&mut self, cx: &mut Context, bad: &[Address]) {
        for address in bad {
            match cx.index.holdings.block(address) {
                Some(place) => {
                    let (address, length) = (*address, length(place));
                    self.block_lost(cx, BlockRef { address, length });
                }
                None if cx.index.catalog.contains(&RecordId(address.0)) => {
                    self.damage(cx, &RecordId(address.0));
                }
                None => self.lose_page(cx, *address),
            }
        }
        self.dispatch_events(cx);
    }

    /// A record's bytes turned out to be damaged: comparing with the peers brings it back.
    pub(super) fn record_lost(&mut self, cx: &mut Context, record: &RecordId) {
        self.needs.forget(cx, record);
    }

    /// A mark of all that records name has come by everything: what it did not come by is not to be had again.
    pub(super) fn marked(&mut self, cx: &mut Context) {
        self.needs.forget_unneeded(cx);
    }

    /// It is time to try again what could not be had.
    pub(super) fn retry(&mut self, cx: &mut Context) {
        self.needs.retry(cx);
        self.dispatch_events(cx);
    }

    /// The end of a turn: the next of what is short is tried, if it is not to wait. False if it is.
    pub(super) fn go_on(&mut self, cx: &mut Context) -> bool {
        let goes_on = self.needs.go_on(cx);
        self.dispatch_events(cx);
        goes_on
    }

    /// A peer has come, or there is room again: it may have all that is short.
    pub(super) fn has_news(&mut self, cx: &mut Context, link: Link) {
        self.needs.has_news(cx, link);
    }

    /// A peer has got what it was asked for in vain; or something of it, if it does not say what.
    pub(super) fn told_of(&mut self, cx: &mut Context, link: Link, addresses: &[Address]) {
        self.needs.told_of(cx, link, addresses);
        self.dispatch_events(cx);
    }

    /// A peer answers for a page.
    pub(super) fn page_answered(&mut self, cx: &mut Context, asked: PageAsked, message: Message) {
        match message {
            Message::Page { page, .. } => self.pages.answered(cx, asked, page),
            // It would not say now.
            _ => self.pages.refused(cx, asked),
        }
        self.dispatch_events(cx);
    }

    /// A page that a peer has sent has been hashed.
    pub(super) fn page_checked(
        &mut self,
        cx: &mut Context,
        asked: PageAsked,
        page: Bytes,
        found: &[Checked],
    ) {
        self.pages.checked(cx, asked, page, found);
        self.dispatch_events(cx);
    }

    /// A peer has not answered for a page until now.
    pub(super) fn page_timeout(&mut self, cx: &mut Context, asked: PageAsked) {
        self.pages.timeout(cx, asked);
        self.dispatch_events(cx);
    }

    pub(super) fn link_closed(
        &mut self,
        cx: &mut Context,
        link: Link,
        asks: &HashMap<Request, Ask>,
    ) {
        cx.news.forget(link);
        self.pages.link_closed(cx, link, asks);
        self.dispatch_events(cx);
    }

    /// Whether what is not here was, and is damaged.
    pub(super) fn is_damaged(&self, address: &Address) -> bool {
        self.needs.is_damaged(address) && !seeded::is_on(Bug::DamagedIsAbsent)
    }

    /// What was found damaged in a part and has not come again, in order, as much as one answer holds.
    pub(super) fn missing(&self, cx: &Context, Part { after, last }: Part) -> Vec<Address> {
        let range = (after.map_or(Unbounded, Excluded), last.map_or(Unbounded, Included));
        let id = |address: Address| RecordId(address.0);
        let ids = (range.0.map(id), range.1.map(id));
        let records = cx.index.catalog.lost(ids).map(|id| Address(id.0));
        let damaged = self.needs.damaged(range, MISSING_MAX);
        let mut missing: Vec<_> = damaged.chain(records.take(MISSING_MAX)).collect();
        missing.sort_unstable();
        missing
    }

    /// Records that name something which is not here, and what was found damaged and has not come again.
    pub(super) fn incomplete(&self) -> u64 {
        self.needs.count()
    }

    /// Carries what one has for the other, until there is nothing more.
    fn dispatch_events(&mut self, cx: &mut Context) {
        loop {
            if let Some(short) = self.needs.events.pop_front() {
                self.attempt(cx, short);
            } else if let Some(event) = self.replications.events.pop_front() {
                self.replicated(cx, event);
            } else if let Some(event) = self.lookups.events.pop_front() {
                self.looked_up(cx, event);
            } else if let Some(event) = self.pages.events.pop_front() {
                self.page_ended(cx, event);
            } else {
                self.replications.pump(cx);
                if self.replications.events.is_empty() {
                    return;
                }
            }
        }
    }

    /// Something that is short is tried.
    fn attempt(&mut self, cx: &mut Context, Try { short, again, hint }: Try) {
        if !self.needs.needs(&short) {
            // It has come meanwhile.
            return self.needs.tried(cx, short, Outcome::Here);
        }
        match short {
            Short::Record(record) => self.replications.add(Wanted { record, hint, again }),
            Short::Block(address) => {
                let length = self.needs.length(&address).expect("it is needed");
                let (block, again) = (BlockRef { address, length }, again.is_some());
                self.events.push_back(Event::Fetch {
                    block,
                    interest: Interest::Repair,
                    again,
                    hint,
                });
            }
            Short::Page(address) => {
                let sources = Sources { hint, again: again.is_some() };
                self.pages.fetch(cx, address, PageFor::Repair, sources);
            }
        }
    }

    fn replicated(&mut self, cx: &mut Context, event: replications::Event) {
        match event {
            replications::Event::FetchBlock { replication, block, again, hint } => {
                let interest = Interest::Replication(replication);
                self.events.push_back(Event::Fetch { block, interest, again, hint });
            }
            replications::Event::FetchPage { replication, address, again, hint } => {
                let waiter = PageFor::Replication(replication);
                self.pages.fetch(cx, address, waiter, Sources { hint, again });
            }
            replications::Event::Ended { record, end } => {
                self.needs.replicated(cx, record, end);
                if let replications::End::Lacks { address, position, .. } = end
                    && position.is_held(&cx.index.holdings, &address)
                {
                    // It came when it had been given up.
                    self.needs.arrived(cx, &[address]);
                }
            }
            replications::Event::RecordDamaged(record) => self.damage(cx, &record),
            replications::Event::PageDamaged(address) => self.lose_page(cx, address),
        }
    }

    fn looked_up(&mut self, cx: &mut Context, event: lookup::Event) {
        match event {
            lookup::Event::Ended { purpose, found } => {
                let is_known = |record| self.needs.is_complete(&cx.index.catalog, record);
                let complete = match found {
                    Found::All => true,
                    Found::NotAll => false,
                    Found::TooMuch => purpose.question().as_ref().is_some_and(is_known),
                };
                self.answer(cx, purpose, complete);
            }
            lookup::Event::RecordDamaged(record) => self.damage(cx, &record),
            lookup::Event::PageDamaged(address) => self.lose_page(cx, address),
        }
    }

    fn answer(&mut self, cx: &mut Context, purpose: LookFor, complete: bool) {
        match purpose {
            LookFor::Put(put) => self.events.push_back(Event::PutLookedUp { put, complete }),
            LookFor::Holds { asker: Asker { link, request }, .. } => {
                cx.reply(link, Message::HoldsIs { request, holds: complete });
            }
            LookFor::Query { query, .. } => {
                self.events.push_back(Event::Held { query, holds: complete });
            }
        }
    }

    fn page_ended(&mut self, cx: &mut Context, event: page_downloads::Event) {
        let (address, waiter, outcome) = match event {
            page_downloads::Event::Received { address, page } => {
                return self.events.push_back(Event::Page { address, page });
            }
            page_downloads::Event::Ended { address, waiter, outcome } => (address, waiter, outcome),
        };
        match waiter {
            PageFor::Replication(id) => self.replications.page_ended(cx, id, address, outcome),
            PageFor::Repair => self.needs.tried(cx, Short::Page(address), outcome),
            PageFor::Reader(asker) if outcome == Outcome::Here => {
                self.events.push_back(Event::PageHere { asker, address });
            }
            PageFor::Reader(asker) if self.is_damaged(&address) => {
                cx.refuse(asker, Reason::Damaged, PAGE_DAMAGED);
            }
            PageFor::Reader(Asker { link, request }) => {
                cx.reply(link, Message::Page { request, page: None });
            }
        }
    }

    fn damage(&mut self, cx: &mut Context, record: &RecordId) {
        cx.index.damage(record);
        self.needs.forget(cx, record);
        self.events.push_back(Event::RecordDamaged);
    }
}

/// What became of the only item that was read.
enum Item<T> {
    Sound(T),
    /// Its bytes are bad, or gone.
    Damaged,
    /// The disk would not say now: it is not known to be damaged.
    Unread,
}

impl<T> Item<T> {
    fn of<E>(
        items: Vec<Result<Bytes, ReadError>>,
        decode: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Self {
        match items.into_iter().next() {
            Some(Ok(bytes)) => decode(&bytes).map_or(Self::Damaged, Self::Sound),
            Some(Err(ReadError::Disk(_))) => Self::Unread,
            Some(Err(ReadError::Gone | ReadError::Damaged)) | None => Self::Damaged,
        }
    }
}
