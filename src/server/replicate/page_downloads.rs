//! Page downloads: pages that are not here, asked of one peer after the other until one has it.
//!
//! A machine. Knows nothing of blocks, and not why a page is wanted. Invariants: a page is asked of nobody twice for those
//! who wait for it; what came goes into a group, or to a client, only if it is what its address says.

use super::replications::ReplicationId;
use crate::ids::Address;
use crate::limits::{LAST_SOURCE_TIMEOUT, PEER_TIMEOUT};
use crate::seeded::{self, Bug};
use crate::server::ask::{Ask, PageAsked};
use crate::server::asker::Asker;
use crate::server::context::Context;
use crate::server::output::Link;
use crate::server::timers::Timer;
use crate::server::transfer::Outcome;
use crate::server::work::{Check, CheckFor, Checked};
use crate::wire::message::{Message, Request};
use crate::wire::page::Page;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Who waits for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageFor {
    /// A client wants to read it.
    Reader(Asker),
    /// It is on the way down to a record's blocks.
    Replication(ReplicationId),
    /// It was found damaged here.
    Repair,
}

/// Of whom a page is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sources {
    /// Who told of it is asked first.
    pub(super) hint: Option<Link>,
    /// Only those that have news, since the others were asked before.
    pub(super) again: bool,
}

/// What page downloads have to tell.
#[derive(Debug)]
pub(super) enum Event {
    /// One who has waited is told what has come of it.
    Ended { address: Address, waiter: PageFor, outcome: Outcome },
    /// A page has come, and is what its address says. `landed` is to be called when it is durable, or cannot be made so.
    Received { address: Address, page: Bytes },
}

/// One who waits, and of whom the page is to be asked for him.
#[derive(Debug)]
struct Waiter {
    who: PageFor,
    sources: Sources,
}

#[derive(Debug)]
struct PageDownload {
    waiters: Vec<Waiter>,
    /// Those that came when others had been asked already: what these said was not said to them.
    late: Vec<Waiter>,
    sources: Sources,
    tried: Vec<Link>,
    /// What these were asked, whether or not they have answered.
    asks: Vec<(Link, Request)>,
    /// Which of all attempts the present one is.
    attempt: u32,
    /// The present source is waited for some more, since there is no next.
    waits_longer: bool,
    /// Not all that were asked have said that they do not have it.
    unsure: bool,
    /// It has come, and is on its way to the disk.
    received: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct PageDownloads {
    by_address: BTreeMap<Address, PageDownload>,
    /// How many attempts there have been: no two have one number, so that an answer is known by it.
    attempts: u32,
    pub(super) events: VecDeque<Event>,
}

impl PageDownloads {
    /// Sees to it that a page comes here, and that this one is told what has come of it.
    pub(super) fn fetch(
        &mut self,
        cx: &mut Context,
        address: Address,
        who: PageFor,
        sources: Sources,
    ) {
        let waiter = Waiter { who, sources };
        let Some(download) = self.by_address.get_mut(&address) else {
            return self.begin(cx, address, vec![waiter]);
        };
        download.late.push(waiter);
        download.sources.again &= sources.again;
        if let Some(told) = sources.hint {
            download.tell(told);
        }
        if download.waits_longer && download.source(cx).is_some() {
            self.ask_next(cx, address);
        }
    }

    fn begin(&mut self, cx: &mut Context, address: Address, waiters: Vec<Waiter>) {
        let again = waiters.iter().all(|waiter| waiter.sources.again);
        let hint = waiters.iter().find_map(|waiter| waiter.sources.hint);
        let download = PageDownload {
            waiters,
            late: Vec::new(),
            sources: Sources { hint, again },
            tried: Vec::new(),
            asks: Vec::new(),
            attempt: 0,
            waits_longer: false,
            unsure: false,
            received: false,
        };
        self.by_address.insert(address, download);
        self.ask_next(cx, address);
    }

    /// Asks the next peer; without one the download has ended in vain.
    fn ask_next(&mut self, cx: &mut Context, address: Address) {
        // None if it has ended, by an answer that came late.
        let Some(download) = self.by_address.get_mut(&address) else {
            return;
        };
        let Some(link) = download.source(cx) else {
            let outcome = if download.unsure { Outcome::Unsure } else { Outcome::Nowhere };
            return self.end(cx, address, outcome);
        };
        self.attempts = self.attempts.wrapping_add(1);
        download.tried.push(link);
        download.attempt = self.attempts;
        download.waits_longer = false;
        let asked = PageAsked { address, attempt: download.attempt };
        let request = cx.links.ask(link, Ask::Page(asked));
        download.asks.push((link, request));
        cx.send(link, Message::GetPage { request, address });
        cx.after(PEER_TIMEOUT, Timer::PageAsked(asked));
    }

    /// A download, if this is its present attempt and nothing has come of it.
    fn awaited(&mut self, asked: PageAsked) -> Option<&mut PageDownload> {
        let download = self.by_address.get_mut(&asked.address)?;
        (download.attempt == asked.attempt && !download.received).then_some(download)
    }

    /// A peer has not answered: the next is asked. Without a next it is waited for some more.
    pub(super) fn timeout(&mut self, cx: &mut Context, asked: PageAsked) {
        // None if it has answered.
        let Some(download) = self.awaited(asked) else {
            return;
        };
        let waits_on = !download.waits_longer && download.source(cx).is_none();
        download.unsure = true;
        download.waits_longer = waits_on;
        if let Some(link) = download.tried.last() {
            cx.links.set_unresponsive(*link);
        }
        if waits_on {
            let rest = LAST_SOURCE_TIMEOUT.saturating_sub(PEER_TIMEOUT);
            cx.after(rest, Timer::PageAsked(asked));
        } else {
            self.ask_next(cx, asked.address);
        }
    }

    /// A peer answers for a page: what comes late may still be the page that is waited for.
    pub(super) fn answered(&mut self, cx: &mut Context, asked: PageAsked, page: Option<Bytes>) {
        match page {
            Some(page) => {
                let checks = vec![Check::Tree(page.clone())];
                cx.check(CheckFor::FetchedPage { asked, page }, checks);
            }
            // If that was said late, the next has been asked already.
            None if self.awaited(asked).is_some() => self.ask_next(cx, asked.address),
            None => {}
        }
    }

    /// A peer would not answer now, or said something else.
    pub(super) fn refused(&mut self, cx: &mut Context, asked: PageAsked) {
        if let Some(download) = self.by_address.get_mut(&asked.address) {
            download.unsure = true;
        }
        self.answered(cx, asked, None);
    }

    /// What a peer has sent has been hashed.
    pub(super) fn checked(
        &mut self,
        cx: &mut Context,
        asked: PageAsked,
        page: Bytes,
        found: &[Checked],
    ) {
        let address = asked.address;
        if found != [Checked::Address(address)] || Page::decode(&page).is_err() {
            return self.refused(cx, asked);
        }
        // None if another peer was quicker.
        let Some(download) = self.by_address.get_mut(&address) else {
            return;
        };
        if download.received {
            return;
        }
        let has_no_room = cx.room.is_lacking() || !cx.has_room(page.len() as u64);
        if has_no_room && !seeded::is_on(Bug::ServeOwnOnly) {
            // It goes to the clients who asked, and is not kept for them.
            let passed = download.waiters.extract_if(.., |waiter| waiter.who.is_reader());
            for waiter in passed.chain(download.late.extract_if(.., |it| it.who.is_reader())) {
                waiter.who.pass(cx, &page);
            }
        }
        if download.waiters.is_empty() && download.late.is_empty() {
            return self.end(cx, address, Outcome::Here);
        }
        download.received = true;
        self.events.push_back(Event::Received { address, page });
    }

    /// A page is durable, or its group has failed: that may have been another's, of what a client put.
    pub(super) fn landed(&mut self, cx: &mut Context, address: Address, durable: bool) {
        let is_received = self.by_address.get(&address).is_some_and(|download| download.received);
        if durable {
            self.end(cx, address, Outcome::Here);
        } else if is_received {
            self.end(cx, address, Outcome::Unsure);
        }
    }

    fn end(&mut self, cx: &mut Context, address: Address, outcome: Outcome) {
        // None if nobody waits for it.
        let Some(download) = self.by_address.remove(&address) else {
            return;
        };
        // Who never answers must not be remembered for what is not waited for any more.
        for (link, request) in download.asks {
            cx.links.forget_ask(link, request);
        }
        let mut late = download.late;
        // Whoever has gone asks for nothing any more.
        late.retain(|waiter| waiter.who.is_here(cx));
        let mut told = download.waiters;
        if outcome == Outcome::Here {
            told.append(&mut late);
        }
        for Waiter { who, .. } in told {
            self.events.push_back(Event::Ended { address, waiter: who, outcome });
        }
        if !late.is_empty() {
            self.begin(cx, address, late);
        }
    }

    /// A connection is gone; what it was asked for is asked of others.
    pub(super) fn link_closed(
        &mut self,
        cx: &mut Context,
        link: Link,
        asks: &HashMap<Request, Ask>,
    ) {
        let mut addresses: Vec<Address> = asks.values().filter_map(Ask::page).collect();
        addresses.sort_unstable();
        for address in addresses {
            let download = self.by_address.get(&address);
            let waits = |download: &PageDownload| {
                download.tried.last() == Some(&link) && !download.received
            };
            if download.is_some_and(waits) {
                self.ask_next(cx, address);
            }
        }
    }
}

impl PageFor {
    fn is_here(&self, cx: &Context) -> bool {
        match self {
            Self::Reader(asker) => cx.links.contains(asker.link),
            Self::Replication(_) | Self::Repair => true,
        }
    }

    fn is_reader(&self) -> bool {
        matches!(self, Self::Reader(_))
    }

    /// A client that wants it is sent the page, which is not kept.
    fn pass(self, cx: &mut Context, page: &Bytes) {
        if let Self::Reader(Asker { link, request }) = self {
            cx.reply(link, Message::Page { request, page: Some(page.clone()) });
        }
    }
}

impl PageDownload {
    /// A node is said to have it, which may have been asked before it had.
    fn tell(&mut self, link: Link) {
        self.sources.hint = Some(link);
        let asked = self.tried.last().copied().filter(|last| *last == link && !self.received);
        if asked.is_none() {
            self.tried.retain(|tried| *tried != link);
        }
    }

    /// Who is asked next: whoever told of it, then the one that has been asked the least.
    fn source(&self, cx: &Context) -> Option<Link> {
        let Sources { hint, again } = self.sources;
        let untried = |link: &Link| !self.tried.contains(link);
        let hint = hint.filter(|link| cx.links.contains(*link) && untried(link));
        let is_asked = |link: &Link| !again || cx.news.asks(*link);
        let nodes = cx.links.node_peers().filter(|(link, _)| untried(link) && is_asked(link));
        hint.or_else(|| {
            nodes.min_by_key(|(_, peer)| (peer.unresponsive, peer.asks.len())).map(|(link, _)| link)
        })
    }
}
