//! Permits: what somebody brings on his own account is taken only with a writer's leave to bring exactly that.
//!
//! What a known record names needs none: this node asks its peers for it. Invariant: nothing that was offered is asked
//! for, and no page that was put reaches the lane, before the permit's signature was verified.

use super::asker::Asker;
use super::closing::Closing;
use super::exchange::CheckFor;
use super::lane::Waiter;
use super::output::Link;
use super::space::FULL;
use super::transfer::Interest;
use super::work::{Check, Checked};
use super::{FileServer, Phase};
use crate::limits::{PERMIT_LIFE_MAX, WANTS_MAX};
use crate::planted::{self, Bug};
use crate::time::{Now, stamp_after};
use crate::wire::message::{BlockRef, Reason, Request};
use crate::wire::page::Page;
use crate::wire::permit::Permit;
use bytes::Bytes;

/// What is said to who brings something that no permit covers.
const NOT_PERMITTED: &str =
    "only what a granted write key permits is stored; nothing of this was kept";

/// Blocks on offer whose permit is being verified.
#[derive(Debug)]
pub(super) struct Offered {
    link: Link,
    request: Request,
    blocks: Vec<BlockRef>,
}

impl FileServer {
    /// Why a permit is void, its signature apart.
    fn voids(&self, now: Now, permit: &Permit) -> Option<&'static str> {
        let clock = self.clock.read(now.wall_ms);
        let is_granted = self.grants.allow(&permit.signer);
        let is_old = permit.not_after < clock && !planted::is_on(Bug::AcceptOldPermit);
        if !is_granted {
            Some(
                "no grant of this network names the write key of the permit; nothing of this was kept",
            )
        } else if is_old || permit.not_after > stamp_after(clock, PERMIT_LIFE_MAX) {
            Some("the permit is out of date; nothing of this was kept: put it again")
        } else {
            None
        }
    }

    /// A permit worth verifying; if not, whoever asked is told why.
    fn take_permit(
        &mut self,
        now: Now,
        Asker { link, request }: Asker,
        permit: Option<Permit>,
    ) -> Option<Permit> {
        let refusal = match &permit {
            None => Some(NOT_PERMITTED),
            Some(permit) => self.voids(now, permit),
        };
        if let Some(detail) = refusal {
            self.refuse(link, request, Reason::NotAllowed, detail);
            return None;
        }
        permit
    }

    /// Somebody has blocks: once the permit is verified each is wanted, or held already.
    pub(super) fn offer(
        &mut self,
        now: Now,
        Asker { link, request }: Asker,
        blocks: Vec<BlockRef>,
        permit: Option<Permit>,
    ) {
        let offered = self.cx.links.get(link).map_or(0, |peer| peer.offered);
        if offered + blocks.len() > WANTS_MAX {
            return self.close(now, link, Closing::TooManyOffers);
        }
        if self.phase != Phase::Running {
            return self.refuse(link, request, Reason::Unavailable, "the node is stopping");
        }
        let offer = Offered { link, request, blocks };
        if planted::is_on(Bug::IgnorePermit) {
            return self.take_offer(now, offer);
        }
        let Some(permit) = self.take_permit(now, Asker { link, request }, permit) else {
            return;
        };
        if let Some(peer) = self.cx.links.get_mut(link) {
            peer.offered += offer.blocks.len();
        }
        let checks = vec![Check::Offer(permit, offer.blocks.clone())];
        self.check(CheckFor::Offer(offer), checks);
    }

    pub(super) fn offer_checked(&mut self, now: Now, offer: Offered, found: &[Checked]) {
        let Some(peer) = self.cx.links.get_mut(offer.link) else {
            return;
        };
        peer.offered = peer.offered.saturating_sub(offer.blocks.len());
        if found != [Checked::Signed] {
            return self.refuse(offer.link, offer.request, Reason::NotAllowed, NOT_PERMITTED);
        }
        self.take_offer(now, offer);
    }

    fn take_offer(&mut self, now: Now, Offered { link, request, blocks }: Offered) {
        let (held, new): (Vec<BlockRef>, Vec<BlockRef>) =
            blocks.iter().partition(|block| self.cx.index.holdings.block(&block.address).is_some());
        let bytes = new.iter().map(|block| u64::from(block.length)).sum();
        if !self.cx.space.fits(bytes) {
            self.cx.ask_space();
            return self.refuse(link, request, Reason::NoSpace, FULL);
        }
        if let Some(peer) = self.cx.links.get_mut(link) {
            // From here on it is answered block by block.
            peer.requests = peer.requests.saturating_sub(1);
            peer.offered += blocks.len();
        }
        self.verify_offered(link, &held);
        for block in new {
            self.fetch(now, block, Interest::Offer(link), Some(link));
        }
    }

    /// A client puts a page.
    pub(super) fn put_page(
        &mut self,
        now: Now,
        Asker { link, request }: Asker,
        page: Bytes,
        permit: Option<Permit>,
    ) {
        if self.phase != Phase::Running {
            return self.refuse(link, request, Reason::Unavailable, "the node is stopping");
        }
        if Page::decode(&page).is_err() {
            let detail = "a page that breaks the format's rules";
            return self.refuse(link, request, Reason::Malformed, detail);
        }
        let Some(permit) = self.take_permit(now, Asker { link, request }, permit) else {
            return;
        };
        if !self.cx.has_room(page.len() as u64) {
            return self.refuse(link, request, Reason::NoSpace, FULL);
        }
        let checks = vec![Check::Page(permit, page.clone())];
        self.check(CheckFor::PutPage { link, request, page }, checks);
    }

    pub(super) fn page_checked(
        &mut self,
        Asker { link, request }: Asker,
        page: Bytes,
        found: &[Checked],
    ) {
        let [Checked::Address(address)] = found else {
            return self.refuse(link, request, Reason::NotAllowed, NOT_PERMITTED);
        };
        // Written again even if it is held: what is acknowledged must not rest on bytes that nobody has looked at since.
        self.lane.begin();
        self.lane.add_page(*address, page);
        let new = self.cx.index.holdings.page(address).is_none().then_some(*address);
        self.lane.wait(Waiter::Page { link, request, new });
    }
}
