//! What becomes of what is verified.
//!
//! Invariant: what is found bad is no longer held before anybody is answered who relies on it.

use super::FileServer;
use super::asker::Asker;
use super::context::Context;
use super::output::Link;
use super::scrub::{Event, MISSING_MAX, Part};
use super::stuck::Stuck;
use super::transfer::Interest;
use super::walks::Walks;
use super::work::Verifying;
use crate::ids::{Address, RecordId};
use crate::index::holdings::length;
use crate::planted::{self, Bug};
use crate::store::values::Verified;
use std::ops::Bound::{Excluded, Included, Unbounded};

impl FileServer {
    /// Somebody wants the next few blocks and pages after an address verified.
    pub(super) fn verify(&mut self, asker: Asker, after: Option<Address>) {
        self.scrub.ask(&mut self.cx, asker, after);
        self.scrubbed();
    }

    /// A reader says that a block from here is not what its address says.
    pub(super) fn suspect(&mut self, link: Link, address: Address) {
        if !self.transfer.is_suspected(&mut self.cx, link, address)
            && self.scrub.suspect(&mut self.cx, link, address)
        {
            self.transfer.suspect(address);
        }
    }

    /// Blocks, pages and records have been hashed.
    pub(super) fn verified(&mut self, Verifying(reason): Verifying, found: Verified) {
        for address in &found.bad {
            match self.cx.index.holdings.block(address) {
                Some(place) => self.lost(*address, length(place)),
                None if self.cx.index.catalog.contains(&RecordId(address.0)) => {
                    self.record_damaged(RecordId(address.0));
                }
                None => self.lost_page(*address),
            }
        }
        self.scrub.verified(&mut self.cx, reason, found);
        self.scrubbed();
    }

    /// What scrubbing has to tell.
    pub(super) fn scrubbed(&mut self) {
        while let Some(event) = self.scrub.poll_event() {
            match event {
                Event::Cleared { address } => {
                    self.transfer.clear(&mut self.cx, address);
                    self.transferred();
                }
                Event::Offered { client, good, others } => {
                    self.write.offers_answered(client, good);
                    for block in others {
                        self.fetch(block, Interest::Offer(client), Some(client));
                    }
                }
                Event::Put(put) => self.look_for_put(put),
                Event::Sweep(wanted) => {
                    let (stuck, walks) = (&self.stuck, &self.walks);
                    let missing = |cx: &Context, part| missing(cx, stuck, walks, part);
                    self.scrub.sweep(&mut self.cx, wanted, missing);
                }
            }
        }
    }

    /// A page is damaged: it alone is asked of the peers, since which records name it is not known without reading them all.
    pub(super) fn lost_page(&mut self, address: Address) {
        if self.forget_page(address) {
            if planted::is_on(Bug::SuspectRecords) {
                let all: Vec<_> = self.cx.index.catalog.ids().collect();
                for record in all {
                    self.cx.index.catalog.set_complete(&record, false);
                    self.replicate([(record, None)]);
                }
            }
            self.mend_page(address);
        }
    }
}

/// What was found damaged in a part and has not come again, in order, as much as one answer holds.
fn missing(cx: &Context, stuck: &Stuck, walks: &Walks, Part { after, last }: Part) -> Vec<Address> {
    let range = (after.map_or(Unbounded, Excluded), last.map_or(Unbounded, Included));
    let blocks = stuck.repairs.range(range).map(|(address, _)| *address);
    let pages = walks.lost.range(range).copied();
    let id = |address: &Address| RecordId(address.0);
    let ids = (range.0.as_ref().map(id), range.1.as_ref().map(id));
    let records = cx.index.catalog.lost().range(ids).map(|id| Address(id.0));
    let things = blocks.take(MISSING_MAX).chain(pages.take(MISSING_MAX));
    let mut missing: Vec<_> = things.chain(records.take(MISSING_MAX)).collect();
    missing.sort_unstable();
    missing
}
