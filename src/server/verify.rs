//! Verifying: blocks, pages and records of this node's own disk are looked at anew before anybody relies on them again.
//!
//! Invariant: a block that a client offers and that is here already is acknowledged only after its bytes were found
//! good; what is found bad is no longer held, and fetched anew; what could not be read now is held, and not vouched for.

use super::FileServer;
use super::output::Link;
use super::query::UNREAD;
use super::sweeps::Wanted;
use super::transfer::Interest;
use super::work::{Background, BackgroundKind, Job, Verifying};
use super::write::ReadyPut;
use crate::ids::{Address, RecordId};
use crate::index::holdings::length;
use crate::limits::{MESSAGE_IDS_MAX, SUSPECTS_MAX};
use crate::planted::{self, Bug};
use crate::store::values::{BlockPlace, Verified};
use crate::wire::message::{BlockRef, Message, Reason, Request};
use std::ops::Bound::{Excluded, Included, Unbounded};

/// Blocks and pages verified for one answer.
const VERIFY_BATCH: usize = 16;
/// Missing blocks and pages named in one answer, beside the bad ones of its batch.
const MISSING_MAX: usize = MESSAGE_IDS_MAX - VERIFY_BATCH;

/// Why blocks are verified.
#[derive(Debug)]
pub(super) enum VerifyFor {
    /// Somebody asked for a part of the store to be verified.
    Request(Sweep),
    /// This reader found it bad.
    Suspect { address: Address, link: Link },
    /// A client offers blocks that are here.
    Offer { link: Link, blocks: Vec<BlockRef> },
    /// A put brings small blocks that are here.
    Put(Box<ReadyPut>),
}

/// A part of the store that somebody asked to be verified.
#[derive(Debug)]
pub(super) struct Sweep {
    link: Link,
    request: Request,
    /// Blocks and pages that are hashed.
    count: u32,
    /// Found damaged earlier, and not here again.
    missing: Vec<Address>,
    /// Where the next part begins.
    next: Option<Address>,
}

impl VerifyFor {
    /// Which background work it is, if it gives way to others.
    pub(super) fn background(&self) -> Option<Background> {
        let (kind, owner) = match self {
            Self::Request(Sweep { link, .. }) => (BackgroundKind::Sweep, *link),
            Self::Suspect { link, .. } => (BackgroundKind::Suspect, *link),
            Self::Offer { link, .. } => (BackgroundKind::Offered, *link),
            Self::Put(_) => return None,
        };
        Some(Background { kind, owner })
    }
}

impl FileServer {
    fn verify_blocks(&mut self, blocks: Vec<(Address, BlockPlace)>, reason: VerifyFor) {
        self.job(Job::Verify { purpose: Verifying(reason), blocks });
    }

    /// Somebody wants the next few blocks and pages after an address verified.
    pub(super) fn verify(&mut self, link: Link, request: Request, after: Option<Address>) {
        if !self.sweeps.ask(Wanted { link, request, after }) {
            let detail =
                "a part of the store is being verified for this connection, and another waits";
            return self.refuse(link, request, Reason::Unavailable, detail);
        }
        self.next_sweep();
    }

    fn next_sweep(&mut self) {
        while let Some(Wanted { link, request, after }) = self.sweeps.next() {
            self.sweep(link, request, after);
        }
    }

    /// Hashes the next few blocks and pages after an address.
    fn sweep(&mut self, link: Link, request: Request, after: Option<Address>) {
        let mut blocks = self.kept_after(after);
        let full = blocks.len() == VERIFY_BATCH;
        let mut next = blocks.last().map(|(address, _)| *address).filter(|_| full);
        let missing = self.missing_in(after, next);
        if missing.len() == MISSING_MAX {
            // As many as an answer holds: this part ends with the last of them.
            next = missing.last().copied();
            blocks.retain(|(address, _)| Some(*address) <= next);
        }
        let count = u32::try_from(blocks.len()).expect("a batch is small");
        let sweep = Sweep { link, request, count, missing, next };
        self.verify_blocks(blocks, VerifyFor::Request(sweep));
    }

    /// The next few blocks, pages and records, in the order of their ids.
    fn kept_after(&self, after: Option<Address>) -> Vec<(Address, BlockPlace)> {
        let mut kept = self.cx.index.holdings.after(after, VERIFY_BATCH);
        let first = RecordId(after.unwrap_or_default().0);
        let records = self.cx.index.catalog.range(first, RecordId([u8::MAX; 32]));
        let records = records.map(|entry| (Address(entry.id().0), BlockPlace::Log(entry.place())));
        let records = records.filter(|(id, _)| after.is_none_or(|after| *id > after));
        kept.extend(records.take(VERIFY_BATCH));
        kept.sort_by_key(|(address, _)| *address);
        kept.truncate(VERIFY_BATCH);
        kept
    }

    /// What was found damaged and has not come again, in order, after the one address and up to the other.
    fn missing_in(&self, after: Option<Address>, last: Option<Address>) -> Vec<Address> {
        let range = (after.map_or(Unbounded, Excluded), last.map_or(Unbounded, Included));
        let blocks = self.stuck.repairs.range(range).map(|(address, _)| *address);
        let pages = self.walks.lost.range(range).copied();
        let record = |address: &Address| RecordId(address.0);
        let records = self
            .cx
            .index
            .catalog
            .lost()
            .range((range.0.as_ref().map(record), range.1.as_ref().map(record)));
        let records = records.map(|id| Address(id.0));
        let things = blocks.take(MISSING_MAX).chain(pages.take(MISSING_MAX));
        let mut missing: Vec<_> = things.chain(records.take(MISSING_MAX)).collect();
        missing.sort_unstable();
        missing.truncate(MISSING_MAX);
        missing
    }

    /// The answer: what is bad now, and what was and has not come again.
    fn swept(&mut self, sweep: Sweep, bytes: u64, mut bad: Vec<Address>) {
        let Sweep { link, request, count, missing, next } = sweep;
        let good = count.saturating_sub(u32::try_from(bad.len()).unwrap_or(count));
        bad.extend(missing);
        self.reply(link, Message::verified(request, good, bytes, bad, next));
    }

    /// Blocks that a client offers are here: if they are good, it need not send them. A few are looked at in one go, so
    /// that others have their turn.
    pub(super) fn verify_offered(&mut self, link: Link, offered: &[BlockRef]) {
        for offered in offered.chunks(VERIFY_BATCH) {
            let place = |block: &BlockRef| {
                self.cx.index.holdings.block(&block.address).map(|place| (block.address, place))
            };
            let blocks: Vec<_> = offered.iter().filter_map(place).collect();
            if planted::is_on(Bug::TrustHeldBlock) {
                let addresses: Vec<_> = blocks.into_iter().map(|(address, _)| address).collect();
                self.send_all(link, Message::have(&addresses));
            } else {
                self.verify_blocks(blocks, VerifyFor::Offer { link, blocks: offered.to_vec() });
            }
        }
    }

    /// Small blocks that a put brings are here: if they are good, they need not be written again.
    pub(super) fn verify_brought(&mut self, put: Box<ReadyPut>) {
        let place = |address: &Address| {
            self.cx.index.holdings.block(address).map(|place| (*address, place))
        };
        let blocks: Vec<_> = put.brought().filter_map(place).collect();
        self.cx.checking += put.bytes();
        if blocks.is_empty() {
            self.look_for_put(put);
        } else {
            self.verify_blocks(blocks, VerifyFor::Put(put));
        }
    }

    /// A reader says that a block from here is not what its address says. This node looks for itself.
    pub(super) fn suspect(&mut self, link: Link, address: Address) {
        if self.transfer.is_suspected(&mut self.cx, link, address) {
            return;
        }
        let (Some(place), Some(peer)) =
            (self.cx.index.holdings.block(&address), self.cx.links.get_mut(link))
        else {
            return;
        };
        if peer.suspects >= SUSPECTS_MAX && !planted::is_on(Bug::VerifyWithoutBound) {
            return log::debug!(
                "connection {link} suspects more blocks than are looked at at once"
            );
        }
        peer.suspects += 1;
        self.transfer.suspect(address);
        self.verify_blocks(vec![(address, place)], VerifyFor::Suspect { address, link });
    }

    /// Blocks have been hashed.
    pub(super) fn verified(
        &mut self,
        reason: VerifyFor,
        Verified { bytes, bad, unread }: Verified,
    ) {
        for address in &bad {
            match self.cx.index.holdings.block(address) {
                Some(place) => self.lost(*address, length(place)),
                None if self.cx.index.catalog.contains(&RecordId(address.0)) => {
                    self.record_damaged(RecordId(address.0));
                }
                None => self.lost_page(*address),
            }
        }
        let is_sweep = matches!(reason, VerifyFor::Request(_));
        match reason {
            VerifyFor::Request(Sweep { link, request, .. }) if !unread.is_empty() => {
                self.refuse(link, request, Reason::Unavailable, UNREAD);
            }
            VerifyFor::Request(sweep) => self.swept(sweep, bytes, bad),
            VerifyFor::Suspect { address, link } => {
                if let Some(peer) = self.cx.links.get_mut(link) {
                    peer.suspects = peer.suspects.saturating_sub(1);
                }
                self.transfer.clear(&mut self.cx, address);
                self.transferred();
            }
            VerifyFor::Offer { link, blocks } => self.offered_verified(link, blocks, &unread),
            VerifyFor::Put(put) if !unread.is_empty() => {
                self.cx.checking -= put.bytes();
                self.cx.refuse(put.asker, Reason::Unavailable, UNREAD);
            }
            VerifyFor::Put(put) => self.look_for_put(put),
        }
        if is_sweep {
            self.sweeps.ended();
            self.next_sweep();
        }
    }

    fn offered_verified(&mut self, link: Link, blocks: Vec<BlockRef>, unread: &[Address]) {
        let is_good = |block: &BlockRef| {
            self.cx.index.holdings.block(&block.address).is_some()
                && !unread.contains(&block.address)
        };
        let (good, others): (Vec<_>, Vec<_>) = blocks.into_iter().partition(is_good);
        if !self.cx.links.contains(link) {
            return;
        }
        self.write.offers_answered(link, good.len());
        if !good.is_empty() {
            let addresses: Vec<_> = good.iter().map(|block| block.address).collect();
            self.send_all(link, Message::have(&addresses));
        }
        for block in others {
            self.fetch(block, Interest::Offer(link), Some(link));
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
