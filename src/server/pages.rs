//! Pages that a walk lacks: asked of one peer after the other, and told of when they are durable.
//!
//! Knows nothing of blocks. Invariant: a page that came goes into a group only if it is what its address says.

use super::FileServer;
use super::ask::{Ask, PageAsked};
use super::asker::Asker;
use super::output::Link;
use super::round::Short;
use super::timers::Timer;
use super::walk::{Purpose, Walk};
use super::work::{Check, CheckFor, Checked};
use crate::ids::{Address, RecordId};
use crate::limits::{LAST_SOURCE_SILENCE, PEER_SILENCE};
use crate::planted::{self, Bug};
use crate::wire::message::{Message, Request};
use crate::wire::page::Page;
use bytes::Bytes;
use std::collections::HashMap;

impl FileServer {
    /// Has a page come here for a client that wants it before its record was replicated so far, or because it is damaged.
    pub(super) fn fetch_page(&mut self, address: Address, purpose: Purpose, hint: Option<Link>) {
        let is_mended = matches!(purpose, Purpose::Mend { .. });
        let id = self.begin_walk(RecordId::default(), purpose, hint);
        if is_mended {
            self.try_again(id, Short::Page(address));
        }
        if let Some(walk) = self.walks.get_mut(id) {
            walk.pages.push(address);
        }
        self.step_walk(id);
    }

    pub(super) fn ask_for_page(&mut self, id: u64) {
        let Some(walk) = self.walks.get(id) else {
            return;
        };
        let Some(address) = walk.asked else { return };
        let link = self.page_source(id, walk);
        let news = self.cx.news.serial();
        let Some(walk) = self.walks.get_mut(id) else {
            return;
        };
        let Some(link) = link else {
            walk.fail(address, news);
            return self.end_walk(id, false);
        };
        walk.tried.push(link);
        walk.attempt += 1;
        let attempt = walk.attempt;
        walk.patient = false;
        let asked = PageAsked { walk: id, attempt };
        let request = self.cx.links.ask(link, Ask::Page(asked));
        if let Some(walk) = self.walks.get_mut(id) {
            walk.asks.push((link, request));
        }
        self.send(link, Message::GetPage { request, address });
        self.cx.after(PEER_SILENCE, Timer::PageAsked(asked));
    }

    /// Who is asked next: whoever told of the record, then the one that has been asked the least.
    fn page_source(&self, id: u64, walk: &Walk) -> Option<Link> {
        let untried = |link: &Link| !walk.tried.contains(link);
        let hint = walk.hint.filter(|link| self.cx.links.contains(*link) && untried(link));
        let again = self.walk_is_again(id);
        let is_asked = |link: &Link| !again || self.cx.news.asks(*link);
        let nodes = self.cx.links.node_peers().filter(|(link, _)| untried(link) && is_asked(link));
        hint.or_else(|| {
            nodes.min_by_key(|(_, peer)| (peer.silent, peer.asks.len())).map(|(link, _)| link)
        })
    }

    /// A peer has not answered: the next is asked. Without a next it is waited for some more.
    pub(super) fn page_timeout(&mut self, asked: PageAsked) {
        let PageAsked { walk: id, attempt } = asked;
        let Some(walk) = self.walks.get(id) else {
            return;
        };
        if walk.asked.is_none() || walk.attempt != attempt {
            return;
        }
        let waits_on = !walk.patient && self.page_source(id, walk).is_none();
        let Some(walk) = self.walks.get_mut(id) else {
            return;
        };
        walk.unsure = true;
        walk.patient = waits_on;
        if let Some(peer) = walk.tried.last().and_then(|link| self.cx.links.get_mut(*link)) {
            peer.silent = true;
        }
        if waits_on {
            let rest = LAST_SOURCE_SILENCE.saturating_sub(PEER_SILENCE);
            self.cx.after(rest, Timer::PageAsked(asked));
        } else {
            self.ask_for_page(id);
        }
    }

    /// What was asked for a page that is here now, or is not waited for any more: who never answers must not be
    /// remembered for it.
    pub(super) fn forget_page_asks(&mut self, asks: Vec<(Link, Request)>) {
        for (link, request) in asks {
            self.cx.links.forget_ask(link, request);
        }
    }

    /// The connection is gone; what it was asked for is asked of others.
    pub(super) fn pages_link_closed(&mut self, link: Link, asks: &HashMap<Request, Ask>) {
        let mut walks: Vec<u64> = asks.values().filter_map(Ask::page).collect();
        // One may have been asked for several pages of one walk.
        walks.sort_unstable();
        walks.dedup();
        for id in walks {
            let waits = |walk: &Walk| walk.asked.is_some() && walk.tried.last() == Some(&link);
            if self.walks.get(id).is_some_and(waits) {
                self.ask_for_page(id);
            }
        }
    }

    /// A peer answers for a page: what comes late may still be the page that is waited for.
    pub(super) fn page_answered(&mut self, asked: PageAsked, page: Option<Bytes>) {
        match page {
            Some(page) => {
                let checks = vec![Check::Tree(page.clone())];
                let reason = CheckFor::WalkPage { asked, page };
                self.cx.check(reason, checks);
            }
            None => self.ask_the_next(asked),
        }
    }

    /// A peer would not answer now.
    pub(super) fn page_refused(&mut self, asked: PageAsked) {
        if let Some(walk) = self.walks.get_mut(asked.walk) {
            walk.unsure = true;
        }
        self.ask_the_next(asked);
    }

    /// Who was asked does not have the page. If that was said late, the next has been asked already.
    fn ask_the_next(&mut self, PageAsked { walk: id, attempt }: PageAsked) {
        if self.walks.get(id).is_some_and(|walk| walk.attempt == attempt) {
            self.ask_for_page(id);
        }
    }

    pub(super) fn walk_page_checked(&mut self, asked: PageAsked, page: Bytes, found: &[Checked]) {
        let id = asked.walk;
        let Some(walk) = self.walks.get(id) else {
            return;
        };
        let Some(address) = walk.asked else { return };
        let asker = walk.asker();
        if found != [Checked::Address(address)] || Page::decode(&page).is_err() {
            return self.page_refused(asked);
        }
        match asker {
            // It goes to who asked, and is not kept.
            Some(Asker { link, request })
                if (self.cx.room.is_lacking() || !self.cx.has_room(page.len() as u64))
                    && !planted::is_on(Bug::ServeOwnOnly) =>
            {
                self.drop_walk(id);
                self.reply(link, Message::Page { request, page: Some(page) });
            }
            Some(_) | None => {
                self.write.add_page(address, page);
            }
        }
    }

    /// Pages are durable, or their group has failed: walks that waited for them go on, or end.
    pub(super) fn pages_landed(&mut self, addresses: &[Address], durable: bool) {
        if addresses.is_empty() {
            return;
        }
        if durable {
            self.arrived_for_stuck(addresses);
            self.arrivals.came(&mut self.cx, addresses);
        }
        let mut walks = Vec::new();
        for address in addresses {
            if durable {
                self.walks.lost.remove(address);
            }
            walks.extend(self.walks.take_waiting(*address));
        }
        for id in walks {
            if let Some(walk) = self.walks.get_mut(id) {
                walk.pages.extend(walk.asked.take());
                walk.steps -= 1;
                walk.failed |= !durable;
                walk.unsure |= !durable;
            }
            self.step_walk(id);
        }
    }

    /// A page is damaged, and no longer held. False if it was not.
    pub(super) fn forget_page(&mut self, address: Address) -> bool {
        let held = self.cx.index.holdings.remove(&address);
        if held {
            self.write.add_lost(address);
            self.walks.lost.insert(address);
        }
        held
    }
}
