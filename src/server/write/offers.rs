//! Offers: what somebody brings on his own account is taken only with a writer's permit to bring exactly that.
//!
//! What a known record names needs none: this node asks its peers for it. Invariant: nothing that was offered is asked
//! for, and no page that was put goes on, before the permit's signature was verified.

use super::event::Event;
use crate::limits::{PERMIT_LIFE_MAX, WANTS_MAX};
use crate::seeded::{self, Bug};
use crate::server::asker::Asker;
use crate::server::closing::Closing;
use crate::server::context::Context;
use crate::server::output::Link;
use crate::server::space::FULL;
use crate::server::work::{Check, CheckFor, Checked};
use crate::time::stamp_after;
use crate::wire::message::{BlockRef, Reason};
use crate::wire::page::Page;
use crate::wire::permit::Permit;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// What is said to who brings something that no permit covers.
const NOT_PERMITTED: &str =
    "only what a granted write key permits is stored; nothing of this was kept";

/// Blocks on offer whose permit is being verified.
#[derive(Debug)]
pub(in crate::server) struct Offered {
    asker: Asker,
    blocks: Vec<BlockRef>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Offers {
    /// Of each connection how many of the blocks that it offered are not answered for.
    open: BTreeMap<Link, usize>,
    pub(super) events: VecDeque<Event>,
}

impl Offers {
    /// Somebody has blocks: once the permit is verified each is wanted, or held already.
    pub(super) fn offer(
        &mut self,
        cx: &mut Context,
        asker: Asker,
        blocks: Vec<BlockRef>,
        permit: Option<Permit>,
    ) {
        let link = asker.link;
        let offer = Offered { asker, blocks };
        if seeded::is_on(Bug::IgnorePermit) {
            return self.take(cx, offer);
        }
        // None if it is void, which has been said.
        let Some(permit) = take_permit(cx, asker, permit) else {
            return;
        };
        self.begin(link, offer.blocks.len());
        let checks = vec![Check::Offer(permit, offer.blocks.clone())];
        cx.check(CheckFor::Offer(offer), checks);
    }

    /// A connection may offer so many blocks more. If not, it breaks a rule.
    pub(super) fn may_offer(&mut self, link: Link, count: usize) -> bool {
        let may = self.open(link) + count <= WANTS_MAX;
        if !may {
            self.events.push_back(Event::Broken { link, why: Closing::TooManyOffers });
        }
        may
    }

    pub(super) fn checked(&mut self, cx: &mut Context, offer: Offered, found: &[Checked]) {
        // Of one that has ended nothing is counted any more.
        if !cx.links.contains(offer.asker.link) {
            return;
        }
        self.end(offer.asker.link, offer.blocks.len());
        if found == [Checked::Signed] {
            self.take(cx, offer);
        } else {
            cx.refuse(offer.asker, Reason::NotAllowed, NOT_PERMITTED);
        }
    }

    fn take(&mut self, cx: &mut Context, Offered { asker, blocks }: Offered) {
        let client = asker.link;
        let count = blocks.len();
        let is_held = |block: &BlockRef| cx.index.holdings.block(&block.address).is_some();
        let (held, new): (Vec<_>, Vec<_>) = blocks.into_iter().partition(is_held);
        let bytes = new.iter().map(|block| u64::from(block.length)).sum();
        if !cx.space.fits(bytes) {
            cx.ask_space();
            return cx.refuse(asker, Reason::NoSpace, FULL);
        }
        // From here on it is answered block by block.
        cx.links.end_request(client);
        self.begin(client, count);
        self.events.push_back(Event::Offered { client, held, new });
    }

    pub(super) fn begin(&mut self, link: Link, count: usize) {
        // Of none there would be nothing to answer for, and the entry would stay.
        if count == 0 {
            return;
        }
        *self.open.entry(link).or_default() += count;
    }

    /// So many of the blocks that a connection offered are answered for.
    pub(super) fn end(&mut self, link: Link, count: usize) {
        if let Some(open) = self.open.get_mut(&link) {
            *open = open.saturating_sub(count);
            if *open == 0 {
                self.open.remove(&link);
            }
        }
    }

    /// How many of a connection's blocks are still to be answered for.
    pub(super) fn open(&self, link: Link) -> usize {
        self.open.get(&link).copied().unwrap_or(0)
    }

    /// Every block that was offered is answered for.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn link_closed(&mut self, link: Link) {
        self.open.remove(&link);
    }
}

/// A client puts a page: its permit and its address are checked.
pub(super) fn put_page(cx: &mut Context, asker: Asker, page: Bytes, permit: Option<Permit>) {
    if Page::decode(&page).is_err() {
        let detail = "a page that breaks the format's rules";
        return cx.refuse(asker, Reason::Malformed, detail);
    }
    // None if it is void, which has been said.
    let Some(permit) = take_permit(cx, asker, permit) else {
        return;
    };
    if !cx.has_room(page.len() as u64) {
        return cx.refuse(asker, Reason::NoSpace, FULL);
    }
    let checks = vec![Check::Page(permit, page.clone())];
    cx.check(CheckFor::PutPage { asker, page }, checks);
}

/// No permit covers a page.
pub(super) fn refuse_page(cx: &mut Context, asker: Asker) {
    cx.refuse(asker, Reason::NotAllowed, NOT_PERMITTED);
}

/// A permit worth verifying; if not, whoever asked is told why.
fn take_permit(cx: &mut Context, asker: Asker, permit: Option<Permit>) -> Option<Permit> {
    let refusal = match &permit {
        None => Some(NOT_PERMITTED),
        Some(permit) => voids(cx, permit),
    };
    if let Some(detail) = refusal {
        cx.refuse(asker, Reason::NotAllowed, detail);
        return None;
    }
    permit
}

/// Why a permit is void, its signature apart.
fn voids(cx: &Context, permit: &Permit) -> Option<&'static str> {
    let clock = cx.clock();
    let is_granted = cx.index.grants.allow(&permit.signer);
    let is_old = permit.not_after < clock && !seeded::is_on(Bug::AcceptOldPermit);
    if !is_granted {
        Some("no grant of this network names the write key of the permit; nothing of this was kept")
    } else if is_old || permit.not_after > stamp_after(clock, PERMIT_LIFE_MAX) {
        Some("the permit is out of date; nothing of this was kept: put it again")
    } else {
        None
    }
}
