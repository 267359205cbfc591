//! Downloads: blocks on their way here, from clients that offer them and from peers that have them.
//!
//! A download has one source at a time and asks it for ranges of leaves. Memory is reserved for what is asked. If there is
//! none, one leaf is asked all the same and counted when it is here: so nobody waits for those who announce much and send
//! nothing, and what they hold is given back when they do not answer and others need it. Invariant: memory is counted for
//! every leaf that has come until it is written or given up.

use super::download::{Download, Gap, Stage};
use super::event::{Event, Inner};
use super::memory::Share;
use super::passing::Pass;
use super::want::{Interest, Outcome, Want};
use super::window::Range;
use super::windows::Windows;
use crate::ids::Address;
use crate::limits::{LEAF, PACE_PERIOD, PEER_TIMEOUT};
use crate::seeded::{self, Bug};
use crate::server::context::Context;
use crate::server::output::Link;
use crate::server::timers::Timer;
use crate::server::work::Job;
use crate::store::values::Draft;
use crate::wire::message::BlockRef;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Downloads {
    pub(super) by_address: BTreeMap<Address, Download>,
    /// Have leaves that no job has been given yet.
    pub(super) dirty: BTreeSet<Address>,
    pub(super) windows: Windows,
    /// Drafts that were given up while a job still wrote into them.
    pub(super) orphans: HashSet<Draft>,
    next_draft: Draft,
    /// Given up by those who were to bring it for a reader.
    lost_passes: Vec<Pass>,
    /// Some source may owe less since that was last asked.
    pub(super) freed: bool,
    pub(super) events: VecDeque<Inner>,
}

/// Of whom a block is asked.
#[derive(Debug, Clone, Copy)]
struct Asking {
    /// Only of those that have news.
    again: bool,
    /// Of this one first.
    hint: Option<Link>,
}

impl Downloads {
    /// Sees to it that a block comes here. `again`: it was asked for before, of all that had no news since.
    pub(super) fn begin(
        &mut self,
        cx: &mut Context,
        block: BlockRef,
        interest: Interest,
        again: bool,
        hint: Option<Link>,
    ) {
        if self.by_address.contains_key(&block.address) {
            return self.join(cx, block, interest, Asking { again, hint });
        }
        self.next_draft += 1;
        let download = Download::new(block.length, self.next_draft, interest, again);
        self.by_address.insert(block.address, download);
        let bytes = u64::from(block.length);
        if cx.has_room(bytes) {
            return self.assign(cx, block.address, hint);
        }
        if !interest.is_offer() {
            self.tell(Event::NoRoom { bytes });
        }
        self.fail(cx, block.address);
    }

    /// One more waits for a block that is on its way.
    fn join(&mut self, cx: &mut Context, block: BlockRef, interest: Interest, asking: Asking) {
        let address = block.address;
        let download = self.by_address.get_mut(&address).expect("it is on its way");
        if download.length != block.length {
            // One of the two lengths is a lie. Whoever came second may try again when the first has failed.
            let outcome = Outcome::Unsure;
            return self.events.push_back(Inner::Ended { address, interest, outcome });
        }
        download.join(interest, asking.again);
        if let Some(told) = asking.hint.filter(|_| !interest.is_offer()) {
            download.tell(told);
        }
        let source = download.source;
        if download.stage != Stage::Asking {
            return;
        }
        // Without a source nothing is left to be asked for.
        let Some(link) = source else {
            return;
        };
        if let Interest::Offer(client) = interest
            && cx.links.leads_to_node(link)
        {
            // The client has it at hand: a put does not wait for a peer, which may be slow.
            self.give_up(cx, link, |range| range.downloads(&address));
            return self.assign(cx, address, Some(client));
        }
        if interest.is_read() {
            self.enqueue(cx, link, address);
        }
        if self.windows.is_slow(cx, link) {
            self.leave_slow(cx, link, BTreeSet::from([address]));
        }
    }

    /// A connection is to be asked for a block: for what is read before all else, in the order in which it is wanted.
    fn enqueue(&mut self, cx: &Context, link: Link, address: Address) {
        let downloads = &self.by_address;
        let is_read = |address: &Address| downloads.get(address).is_some_and(Download::is_read);
        let window = self.windows.of(cx, link);
        if is_read(&address) && !seeded::is_on(Bug::ReadInTurn) {
            window.enqueue_before(address, |queued| !is_read(queued));
        } else {
            window.enqueue(address);
        }
    }

    /// Gives a download its next source; without any left it has failed.
    fn assign(&mut self, cx: &mut Context, address: Address, hint: Option<Link>) {
        // It may have failed meanwhile.
        let Some(download) = self.by_address.get_mut(&address) else {
            return;
        };
        let hint = hint.or_else(|| download.take_told());
        let Some(link) = self.windows.source(cx, download, hint) else {
            return self.end(cx, address);
        };
        download.source = Some(link);
        self.enqueue(cx, link, address);
        self.pump(cx, link);
    }

    /// Asks a connection for as many leaves as its window and the memory allow.
    pub(super) fn pump(&mut self, cx: &mut Context, link: Link) {
        while let Some(window) = self.windows.get_mut(link) {
            // Nothing more is to be asked of it.
            let Some(address) = window.next() else {
                return;
            };
            let download = self.by_address.get_mut(&address);
            let download = download.filter(|download| download.source == Some(link));
            let Some((download, gap)) = download.and_then(|it| it.gap().map(|gap| (it, gap)))
            else {
                window.skip();
                continue;
            };
            let count = gap.count.min(window.size());
            if !window.takes(count) {
                return;
            }
            let node = cx.links.leads_to_node(link);
            let share = if node { Share::Peers } else { Share::Clients };
            let reserved = reserve(cx, share, window.is_trusted(), count);
            let count = match reserved {
                Some(count) => count,
                None if window.downloading() == 0 => 1,
                None if window.is_trusted() => return cx.memory.wait(share, link),
                None => return,
            };
            let first = gap.first;
            download.ask(Gap { first, count });
            let block = BlockRef { address, length: download.length };
            let want = Want { block, first: byte(first), count: byte(count) };
            let now = cx.now.instant;
            self.ask(cx, link, Range::of_download(want, share, reserved.is_some(), now));
        }
    }

    fn ask(&mut self, cx: &mut Context, link: Link, range: Range) {
        if self.windows.of(cx, link).ask(range) {
            cx.links.set_heard(link, cx.now.instant);
            self.watch_unresponsive(cx, link);
            self.watch_pace(cx, link);
        }
        cx.send(link, range.want().message());
    }

    /// Sees to it that a connection that owes something is looked after. There is one timer at a time, however often it
    /// has nothing to bring for a moment.
    pub(super) fn watch_unresponsive(&mut self, cx: &mut Context, link: Link) {
        if self.windows.get_mut(link).is_some_and(|window| window.watch()) {
            cx.after(PEER_TIMEOUT, Timer::Unresponsive(link));
        }
    }

    /// The same of how fast it brings it.
    fn watch_pace(&mut self, cx: &mut Context, link: Link) {
        let pace = &mut self.windows.of(cx, link).pace;
        pace.begin(cx.now.instant);
        if pace.watch() {
            cx.after(PACE_PERIOD, Timer::Pace(link));
        }
    }

    /// Asks a peer for leaves that are passed on to a reader, for which there is memory. False if the peer is gone.
    pub(super) fn ask_to_pass(
        &mut self,
        cx: &mut Context,
        source: Link,
        want: Want,
        pass: Pass,
    ) -> bool {
        let is_there = cx.links.contains(source);
        if is_there {
            let now = cx.now.instant;
            self.ask(cx, source, Range::of_pass(want, pass, now));
        }
        is_there
    }

    /// A peer does not have a block. It answers so once for each range; what else was asked of the same block is not waited
    /// for any more, though it may still come, should the block have come there in between.
    pub(super) fn absent(&mut self, cx: &mut Context, link: Link, address: Address) {
        let window = self.windows.get_mut(link);
        let Some(range) = window.and_then(|window| window.take_absent(&address)) else {
            return log::debug!("connection {link} lacks a block that was not wanted of it");
        };
        cx.links.hear(link, cx.now.instant);
        let was_live = range.is_live();
        self.close_range(cx, range);
        if range.pass.is_some() {
            // What is wanted for others has its own answer.
            self.freed = true;
            return self.pump(cx, link);
        }
        let others = self.give_up(cx, link, |range| range.downloads(&address));
        // The range may be one that was given up before, and the connection asked once more since.
        if was_live || !others.is_empty() {
            self.leave_source(cx, address, link);
        }
        self.pump(cx, link);
    }

    /// Ranges of one connection are not waited for any more. Gives the blocks they are of.
    pub(super) fn give_up(
        &mut self,
        cx: &mut Context,
        link: Link,
        which: impl Fn(&Range) -> bool,
    ) -> BTreeSet<Address> {
        let window = self.windows.get_mut(link);
        let given_up = window.map(|window| window.give_up(&mut cx.memory, which));
        let given_up = given_up.unwrap_or_default();
        given_up.iter().for_each(|range| self.expect_no_more(range));
        given_up.iter().map(Range::address).collect()
    }

    /// What a range that is no longer its window's has not brought is not expected any more.
    pub(super) fn close_range(&mut self, cx: &mut Context, mut range: Range) {
        if range.is_live() {
            range.give_up(&mut cx.memory);
            self.expect_no_more(&range);
        }
    }

    fn expect_no_more(&mut self, range: &Range) {
        if let Some(pass) = range.pass {
            return self.lost_passes.push(pass);
        }
        if let Some(download) = self.by_address.get_mut(&range.address()) {
            download.give_up(range.first, range.count);
            // What it has brought waits for nothing more.
            if !download.is_small() {
                self.dirty.insert(range.address());
            }
        }
    }

    /// A source has not brought what it was asked for, and has not said either that it does not have it.
    pub(super) fn source_failed(&mut self, cx: &mut Context, address: Address, link: Link) {
        if let Some(download) = self.by_address.get_mut(&address) {
            download.unsure = true;
        }
        self.leave_source(cx, address, link);
    }

    /// Others are asked instead.
    fn leave_source(&mut self, cx: &mut Context, address: Address, link: Link) {
        // It may have come otherwise, or have failed.
        let Some(download) = self.by_address.get_mut(&address) else {
            return;
        };
        download.try_no_more(link);
        if download.stage != Stage::Asking {
            return;
        }
        match download.source {
            Some(other) if other != link => {
                // What this source owed is now the present one's to bring.
                if let Some(window) = self.windows.get_mut(other) {
                    window.enqueue_once(address);
                }
                self.pump(cx, other);
            }
            Some(_) | None => {
                download.source = None;
                if !seeded::is_on(Bug::LoseFailedFetch) {
                    self.assign(cx, address, None);
                }
            }
        }
    }

    /// Gives downloads from one that is slow to others, as far as there are any that may have the block.
    pub(super) fn leave_slow(&mut self, cx: &mut Context, link: Link, owed: BTreeSet<Address>) {
        for address in owed {
            let download = self.by_address.get(&address);
            let next = download.and_then(|download| self.windows.better(cx, link, download));
            if next.is_some() {
                self.give_up(cx, link, |range| range.downloads(&address));
                self.assign(cx, address, next);
            }
        }
    }

    /// Nothing that was asked of a connection is waited for any more, though it may still come.
    pub(super) fn abandon(&mut self, cx: &mut Context, link: Link) {
        // Nothing was ever asked of it.
        let Some(window) = self.windows.get_mut(link) else {
            return;
        };
        let mut failed: BTreeSet<Address> = window.drain().collect();
        failed.extend(self.give_up(cx, link, |_| true));
        if seeded::is_on(Bug::ForgetAbandoned)
            && let Some(window) = self.windows.get_mut(link)
        {
            window.forget_ranges();
        }
        for address in failed {
            self.source_failed(cx, address, link);
        }
    }

    /// A block is durable. Those who have waited for it.
    pub(super) fn arrived(&mut self, cx: &mut Context, address: &Address) -> Vec<Interest> {
        // One that came with a put was not asked for.
        let Some(mut download) = self.by_address.remove(address) else {
            return Vec::new();
        };
        download.drop_chunks(&mut cx.memory);
        if !download.interests.is_empty() && download.is_only_offered() {
            cx.index.holdings.await_name(address);
        }
        download.interests
    }

    /// The disk has refused a block for want of room. Those who read it have it passed on to them.
    pub(super) fn find_no_room(&mut self, cx: &mut Context, address: Address) {
        cx.space.ran_out();
        // One that came with a put was not asked for.
        let Some(download) = self.by_address.get_mut(&address) else {
            return;
        };
        if !download.is_only_offered() {
            let bytes = u64::from(download.length);
            self.events.push_back(Inner::Out(Event::NoRoom { bytes }));
        }
        let readers: Vec<_> = download.interests.extract_if(.., |it| it.is_read()).collect();
        self.fail(cx, address);
        let readers = readers.into_iter().filter_map(|interest| match interest {
            Interest::Read(parked) => Some(Inner::Unpark(parked)),
            Interest::Offer(_) | Interest::Replication(_) | Interest::Repair => None,
        });
        self.events.extend(readers);
    }

    /// A block cannot be had now, whoever has it: whoever waited is told.
    pub(super) fn fail(&mut self, cx: &mut Context, address: Address) {
        if let Some(download) = self.by_address.get_mut(&address) {
            download.unsure = true;
        }
        self.end(cx, address);
    }

    /// Nobody is left to ask for a block.
    fn end(&mut self, cx: &mut Context, address: Address) {
        // The same of one that cannot be written.
        let Some(mut download) = self.by_address.remove(&address) else {
            return;
        };
        download.drop_chunks(&mut cx.memory);
        if download.writing {
            self.orphans.insert(download.draft);
        } else if download.drafted {
            cx.job(Job::Discard { draft: download.draft });
        }
        let outcome = if download.unsure { Outcome::Unsure } else { Outcome::Nowhere };
        for interest in download.interests {
            self.events.push_back(Inner::Ended { address, interest, outcome });
        }
    }

    /// The connection is gone, and with it what it was asked for and what it waited for.
    pub(super) fn link_closed(&mut self, cx: &mut Context, link: Link) {
        let mut idle = Vec::new();
        for (address, download) in &mut self.by_address {
            download.forget(link);
            if download.interests.is_empty() && download.stage == Stage::Asking {
                idle.push(*address);
            }
        }
        for address in idle {
            self.fail(cx, address);
        }
        self.abandon(cx, link);
        self.windows.close(link);
        // These it owes nothing any more. Another is found if some of what has come, or what one that was asked before still
        // owes, turns out to be bad.
        for download in self.by_address.values_mut().filter(|it| it.source == Some(link)) {
            download.source = None;
        }
        self.freed = true;
    }

    /// What a connection is to bring for readers.
    pub(super) fn passes(&self, link: Link) -> Vec<Pass> {
        let window = self.windows.get(link).into_iter();
        window.flat_map(|window| window.live()).filter_map(|range| range.pass).collect()
    }

    /// One that was to be passed on and does not come from whom it was asked.
    pub(super) fn next_lost_pass(&mut self) -> Option<Pass> {
        self.lost_passes.pop()
    }

    /// One is asked of another peer.
    pub(super) fn give_up_pass(&mut self, cx: &mut Context, link: Link, pass: Pass) {
        self.give_up(cx, link, |range| range.pass == Some(pass));
        self.lost_passes.retain(|lost| *lost != pass);
    }

    /// Bytes of all blocks on their way.
    pub(super) fn bytes(&self) -> u64 {
        self.by_address.values().map(|download| u64::from(download.length)).sum()
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(Inner::Out(event));
    }
}

/// Reserves `count` leaves, or at least one.
fn reserve(cx: &mut Context, share: Share, trusted: bool, count: u32) -> Option<u32> {
    [count, 1].into_iter().find(|count| {
        let bytes = *count as usize * LEAF;
        if trusted {
            cx.memory.reserve(share, bytes)
        } else {
            cx.memory.reserve_for_untrusted(share, bytes)
        }
    })
}

fn byte(number: u32) -> u8 {
    u8::try_from(number).expect("a block has 32 leaves")
}
