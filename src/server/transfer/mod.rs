//! The transfer of blocks: leaves that come here, leaves that go out, and the memory between.
//!
//! A machine in two halves, `Downloads` and `Uploads`, neither of which names the other: what one has for the other goes
//! through here. Knows no record and no page; who waits for a block is known by its number. Invariant: what is said to be
//! received is what its address says.

mod download;
mod downloads;
mod event;
mod incoming;
mod memory;
mod pace;
mod passing;
#[cfg(test)]
mod tests;
mod timeouts;
mod uploads;
mod want;
mod window;
mod windows;

pub(super) use event::Event;
pub(super) use memory::{Memory, Share};
pub(super) use want::{Interest, OFFERED_BYTES, Outcome};

use super::context::Context;
use super::output::{Leaves, Link};
use super::work::Writing;
use crate::ids::Address;
use crate::limits::OPERATION_TIMEOUT;
use crate::seeded::{self, Bug};
use crate::store::values::{DiskError, Draft, LeavesRead, ReadError, WriteError};
use crate::wire::message::{BlockRef, Message};
use bytes::Bytes;
use downloads::Downloads;
use event::Inner;
use passing::{Pass, Sought};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use timeouts::Verdict;
use uploads::Uploads;
use want::{Parked, Want};
use window::Window;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    downloads: Downloads,
    uploads: Uploads,
    events: VecDeque<Event>,
}

impl Transfer {
    /// What has happened, for the rest of the server.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Sees to it that a block comes here; what comes of it is told. `again`: it was asked for before, of all that had no
    /// news since.
    pub(super) fn fetch(
        &mut self,
        cx: &mut Context,
        block: BlockRef,
        interest: Interest,
        again: bool,
        hint: Option<Link>,
    ) {
        if interest == Interest::Repair && again && self.fetches(&block.address) {
            // Others are asked for that one, perhaps: it is tried when that has ended.
            return self.ended(cx, block.address, interest, Outcome::Unsure);
        }
        self.downloads.begin(cx, block, interest, again, hint);
        self.dispatch_events(cx);
    }

    /// Sees to it that blocks come here that a client has offered.
    pub(super) fn fetch_offered(&mut self, cx: &mut Context, client: Link, blocks: Vec<BlockRef>) {
        for block in blocks {
            self.fetch(cx, block, Interest::Offer(client), false, Some(client));
        }
    }

    /// Whether a block is on its way here.
    fn fetches(&self, address: &Address) -> bool {
        self.downloads.by_address.contains_key(address)
    }

    /// Blocks are durable: those who have waited for them are told, a client in one go of all that it offered.
    pub(super) fn arrived(&mut self, cx: &mut Context, addresses: &[Address]) {
        let mut have: BTreeMap<Link, Vec<Address>> = BTreeMap::new();
        for address in addresses {
            for interest in self.downloads.arrived(cx, address) {
                match interest {
                    Interest::Offer(client) => have.entry(client).or_default().push(*address),
                    Interest::Read(parked) => self.uploads.unpark(cx, parked),
                    Interest::Replication(_) | Interest::Repair => {
                        self.ended(cx, *address, interest, Outcome::Here);
                    }
                }
            }
        }
        for (client, addresses) in have {
            self.events.push_back(Event::OffersAnswered { client, count: addresses.len() });
            cx.tell_have(client, &addresses);
        }
        self.dispatch_events(cx);
    }

    /// Somebody who has waited is told what has come of it.
    fn ended(&mut self, cx: &mut Context, address: Address, interest: Interest, outcome: Outcome) {
        let replication = match interest {
            Interest::Offer(client) => {
                self.events.push_back(Event::OffersAnswered { client, count: 1 });
                return cx.send(client, Message::Absent { address });
            }
            Interest::Read(Parked { link: reader, .. }) => {
                self.events.push_back(Event::Absent { reader, address });
                return self.uploads.answered(reader);
            }
            Interest::Replication(id) => Some(id),
            Interest::Repair => None,
        };
        self.events.push_back(Event::Ended { address, replication, outcome });
    }

    /// What somebody says of blocks; anything else comes back.
    pub(super) fn message(
        &mut self,
        cx: &mut Context,
        link: Link,
        message: Message,
    ) -> Option<Message> {
        match message {
            Message::Want { block, first, count } => {
                self.uploads.want(cx, link, Want { block, first, count });
            }
            Message::Absent { address } => self.downloads.absent(cx, link, address),
            other => return Some(other),
        }
        self.dispatch_events(cx);
        None
    }

    /// Something of a connection's stream of leaves.
    pub(super) fn leaves(&mut self, cx: &mut Context, link: Link, leaves: Leaves) {
        match leaves {
            Leaves::Opened(open) => self.downloads.opened(cx, link, open),
            Leaves::Leaf { index, data } => {
                cx.links.hear(link, cx.now.instant);
                self.downloads.tell_who_reads(cx, link);
                self.downloads.leaf(cx, link, index, data);
            }
            Leaves::Ended => self.downloads.stream_ended(cx, link),
            Leaves::Aborted => self.downloads.stream_aborted(cx, link),
            Leaves::Low => self.uploads.stream_low(cx, link),
            Leaves::Sent => self.uploads.stream_sent(cx, link),
            Leaves::TakenBack { count } => self.uploads.taken_back(cx, link, count),
        }
        self.dispatch_events(cx);
    }

    /// A block that was received could not be made durable now.
    pub(super) fn fail(&mut self, cx: &mut Context, address: Address) {
        self.downloads.fail(cx, address);
        self.dispatch_events(cx);
    }

    /// The same, for want of room.
    pub(super) fn find_no_room(&mut self, cx: &mut Context, address: Address) {
        self.downloads.find_no_room(cx, address);
        self.dispatch_events(cx);
    }

    /// A want waited, and goes on.
    fn unpark(&mut self, cx: &mut Context, parked: Parked) {
        self.uploads.unpark(cx, parked);
        self.dispatch_events(cx);
    }

    /// That a reader's block was lost is known everywhere: the reader goes on.
    pub(super) fn resume(&mut self, cx: &mut Context, reader: Link) {
        self.uploads.pump(cx, reader);
        self.dispatch_events(cx);
    }

    /// A reader found a block bad. True if that is seen to already.
    pub(super) fn is_suspected(
        &mut self,
        cx: &mut Context,
        reader: Link,
        address: Address,
    ) -> bool {
        self.uploads.is_suspected(&address) || self.uploads.suspect_passed(cx, reader, address)
    }

    /// A block that is here is looked at: wants of it wait for that.
    pub(super) fn suspect(&mut self, address: Address) {
        self.uploads.suspect(address);
    }

    /// It has been looked at.
    pub(super) fn clear(&mut self, cx: &mut Context, address: Address) {
        for parked in self.uploads.clear(&address) {
            self.unpark(cx, parked);
        }
    }

    pub(super) fn leaves_read(
        &mut self,
        cx: &mut Context,
        reader: Link,
        result: Result<LeavesRead, ReadError>,
    ) {
        self.uploads.leaves_read(cx, reader, result);
        self.dispatch_events(cx);
    }

    pub(super) fn wrote(
        &mut self,
        cx: &mut Context,
        purpose: &Writing,
        draft: Draft,
        result: Result<(), WriteError>,
    ) {
        self.downloads.wrote(cx, purpose, draft, result);
        self.dispatch_events(cx);
    }

    pub(super) fn finished(
        &mut self,
        cx: &mut Context,
        address: Address,
        result: Result<(), DiskError>,
    ) {
        self.downloads.finished(cx, address, result);
        self.dispatch_events(cx);
    }

    pub(super) fn small_hashed(
        &mut self,
        cx: &mut Context,
        address: Address,
        block: Bytes,
        found: Address,
    ) {
        self.downloads.small_hashed(cx, address, block, found);
        self.dispatch_events(cx);
    }

    /// Hands what the turn has brought to the workers.
    pub(super) fn write(&mut self, cx: &mut Context) {
        self.downloads.write(cx);
    }

    /// It is time to see whether a connection answers.
    pub(super) fn check_unresponsive(&mut self, cx: &mut Context, link: Link, late: Duration) {
        match self.downloads.check_unresponsive(cx, link, late) {
            Verdict::Idle => return,
            Verdict::Stay => {}
            Verdict::Leave => {
                self.leave_passes(cx, link);
                self.downloads.leave_unresponsive(cx, link);
            }
        }
        self.downloads.watch_unresponsive(cx, link);
        self.dispatch_events(cx);
    }

    /// It is time to see whether a connection is fast enough, of which all is taken that comes, or not.
    pub(super) fn check_pace(&mut self, cx: &mut Context, link: Link, takes: bool) {
        match self.downloads.check_pace(cx, link, takes) {
            Verdict::Idle | Verdict::Stay => {}
            Verdict::Leave => self.leave_passes(cx, link),
        }
        self.dispatch_events(cx);
    }

    /// It is time to see who does not take what was read for him.
    pub(super) fn check_stalled(&mut self, cx: &mut Context) {
        self.uploads.check_stalled(cx);
    }

    /// Memory may have come back: those that found none try again, the one that waited longest first; and so may peers that
    /// are to pass something on.
    pub(super) fn pump_waiting(&mut self, cx: &mut Context) {
        while let Some(pass) = self.downloads.next_lost_pass() {
            self.lose_pass(cx, pass);
        }
        if std::mem::take(&mut self.downloads.freed) {
            for reader in std::mem::take(&mut self.uploads.waiting) {
                self.uploads.pump(cx, reader);
                self.dispatch_events(cx);
            }
        }
        if seeded::is_on(Bug::ForgetMemoryWaiters) {
            return;
        }
        for share in Share::ALL {
            for _ in 0..cx.memory.waiters(share) {
                let Some(link) = cx.memory.next_waiter(share) else {
                    break;
                };
                match share {
                    Share::Serving => self.uploads.pump(cx, link),
                    Share::Peers | Share::Clients => self.downloads.pump(cx, link),
                }
                self.dispatch_events(cx);
                if cx.memory.is_awaited_by(share, link) {
                    // It is still used up.
                    break;
                }
            }
        }
    }

    /// Whether leaves are to come from a connection.
    pub(super) fn is_owed_by(&self, link: Link) -> bool {
        self.downloads.windows.get(link).is_some_and(|window| window.in_flight() > 0)
    }

    /// Bytes of blocks that are on their way here.
    pub(super) fn bytes(&self) -> u64 {
        self.downloads.bytes()
    }

    /// Something is on its way to somebody who wants it, or waits for that.
    pub(super) fn is_serving(&self) -> bool {
        self.uploads.is_busy()
    }

    /// What a connection's waiting wants take in memory.
    pub(super) fn held_bytes(&self, link: Link) -> usize {
        self.uploads.held_bytes(link)
    }

    /// The connection is gone, and with it what it was asked for and what it waited for.
    pub(super) fn link_closed(&mut self, cx: &mut Context, link: Link) {
        self.downloads.link_closed(cx, link);
        self.uploads.link_closed(cx, link);
        self.dispatch_events(cx);
    }

    /// Carries what one half has for the other, until there is nothing more.
    fn dispatch_events(&mut self, cx: &mut Context) {
        while let Some(inner) = self.next_inner() {
            match inner {
                Inner::Out(event) => self.events.push_back(event),
                Inner::Ended { address, interest, outcome } => {
                    self.ended(cx, address, interest, outcome);
                }
                Inner::Unpark(parked) => self.uploads.unpark(cx, parked),
                Inner::Missing(parked) => self.want_missing(cx, parked),
                Inner::Ready { reader, source } => self.ask_to_pass(cx, reader, source),
                Inner::Ask { source, want, pass } => {
                    if !self.downloads.ask_to_pass(cx, source, want, pass) {
                        self.lose_pass(cx, pass);
                    }
                }
                Inner::PassOpened { pass, open } => self.uploads.pass_opened(pass, open),
                Inner::PassLeaf { pass, data, is_last } => {
                    self.uploads.pass_leaf(cx, pass, data, is_last);
                }
            }
        }
    }

    /// What a reader wants is carried through before the next reader has its turn, so that what is asked for one counts for
    /// the other.
    fn next_inner(&mut self) -> Option<Inner> {
        let inner = self.uploads.events.pop_front();
        inner.or_else(|| self.downloads.events.pop_front())
    }

    /// A client's want makes this node fetch the block, or pass it on if there is no room for it and nobody fetches it
    /// already; a peer is told to look elsewhere.
    fn want_missing(&mut self, cx: &mut Context, parked: Parked) {
        let Parked { link, want } = parked;
        let address = want.block.address;
        if !cx.links.get(link).is_some_and(super::links::Peer::is_client) {
            self.events.push_back(Event::InVain { link, address });
            cx.send(link, Message::Absent { address });
        } else if !self.fetches(&address)
            && !cx.space.fits(u64::from(want.block.length))
            && !seeded::is_on(Bug::ServeOwnOnly)
        {
            self.pass_on(cx, link, want);
        } else {
            self.uploads.park(link);
            self.downloads.begin(cx, want.block, Interest::Read(parked), false, None);
        }
        self.uploads.pump(cx, link);
    }

    /// Begins a stream whose leaves are asked of a peer.
    fn pass_on(&mut self, cx: &mut Context, reader: Link, want: Want) {
        // There may be room again.
        cx.ask_space();
        let address = want.block.address;
        let sought = self.uploads.seek(reader, address);
        match self.source_to_pass(cx, &sought) {
            Some(source) => self.uploads.pass_on(cx, reader, want, source),
            None => self.events.push_back(Event::Absent { reader, address }),
        }
    }

    fn source_to_pass(&self, cx: &Context, Sought { tried, bad }: &Sought) -> Option<Link> {
        self.downloads.windows.to_pass(cx, tried, *bad)
    }

    /// Asks the source of a reader's stream for its next leaves; the reader has to wait if it owes as much as it bears.
    fn ask_to_pass(&mut self, cx: &mut Context, reader: Link, source: Link) {
        let window = self.downloads.windows.get(source);
        let is_laden = window.is_some_and(Window::is_laden);
        if is_laden && !seeded::is_on(Bug::PassWithoutBound) {
            let oldest = window.and_then(Window::oldest).unwrap_or(cx.now.instant);
            if cx.now.instant.since(oldest) >= OPERATION_TIMEOUT {
                // It answers nothing any more, and nobody waits so long.
                self.pass_elsewhere(cx, reader);
            } else {
                self.uploads.wait(reader);
            }
            return;
        }
        // One that is gone is found out when it is asked.
        let most = if cx.links.contains(source) { self.downloads.windows.size(source) } else { 1 };
        self.uploads.ask(cx, reader, u8::try_from(most).unwrap_or(u8::MAX));
    }

    /// A batch does not come from whom it was asked.
    fn lose_pass(&mut self, cx: &mut Context, pass: Pass) {
        if self.uploads.end_pass(cx, pass) {
            self.pass_elsewhere(cx, pass.reader);
        }
        self.dispatch_events(cx);
    }

    fn pass_elsewhere(&mut self, cx: &mut Context, reader: Link) {
        if let Some(sought) = self.uploads.leave_source(reader) {
            let next = self.source_to_pass(cx, &sought);
            self.uploads.go_elsewhere(cx, reader, next);
        }
    }

    /// A node is unresponsive or slow: what it was to bring for readers is asked of better ones that have not been asked, as far
    /// as there are any. It may be asked again if these do not have it.
    fn leave_passes(&mut self, cx: &mut Context, link: Link) {
        for pass in self.downloads.passes(link) {
            // None if the reader has gone, or the batch is no longer waited for.
            let Some(mut sought) = self.uploads.seek_for(pass) else {
                continue;
            };
            sought.tried.push(link);
            let next = self.source_to_pass(cx, &sought);
            let next = next.filter(|next| self.downloads.windows.passes_well(cx, *next));
            if let Some(next) = next {
                self.downloads.give_up_pass(cx, link, pass);
                self.uploads.end_pass(cx, pass);
                self.uploads.go_on_with(cx, pass.reader, next);
                self.dispatch_events(cx);
            }
        }
        self.downloads.freed = true;
    }
}
