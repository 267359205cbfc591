//! Scrubbing: blocks, pages and records of this node's own disk are looked at anew before anybody relies on them again.
//!
//! A machine. Repairs nothing. Invariant: a block that a client offers and that is here already is acknowledged only after its bytes were found
//! good; what could not be read now is held, and not vouched for.

mod sweeps;
#[cfg(test)]
mod tests;

use super::asker::Asker;
use super::context::Context;
use super::output::Link;
use super::query::UNREAD;
use super::work::{Background, BackgroundKind, Job, Verifying};
use super::write::ReadyPut;
use crate::ids::{Address, RecordId};
use crate::limits::{MESSAGE_IDS_MAX, SUSPECTS_MAX};
use crate::seeded::{self, Bug};
use crate::store::values::{BlockPlace, Verified};
use crate::wire::message::{BlockRef, Message, Reason};
use std::collections::{BTreeMap, VecDeque};
use sweeps::{Sweeps, Wanted};

/// Blocks and pages verified for one answer.
const VERIFY_BATCH: usize = 16;
/// Missing blocks and pages named in one answer, beside the bad ones of its batch.
pub(super) const MISSING_MAX: usize = MESSAGE_IDS_MAX - VERIFY_BATCH;

/// Why blocks are verified.
#[derive(Debug)]
pub(super) enum VerifyFor {
    /// Somebody asked for a part of the store to be verified.
    Request(Sweep),
    /// This reader found it bad.
    Suspect { address: Address, link: Link },
    /// A client offers blocks that are here.
    Offer { client: Link, blocks: Vec<BlockRef> },
    /// A put brings small blocks that are here.
    Put(Box<ReadyPut>),
}

/// A part of the store that somebody asked to be verified.
#[derive(Debug)]
pub(super) struct Sweep {
    asker: Asker,
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
            Self::Request(Sweep { asker, .. }) => (BackgroundKind::Sweep, asker.link),
            Self::Suspect { link, .. } => (BackgroundKind::Suspect, *link),
            Self::Offer { client, .. } => (BackgroundKind::Offered, *client),
            Self::Put(_) => return None,
        };
        Some(Background { kind, owner })
    }
}

/// A part of what was found damaged earlier and has not come again: after the one address and up to the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) after: Option<Address>,
    pub(super) last: Option<Address>,
}

/// What scrubbing has to tell the rest of the server.
#[derive(Debug)]
pub(super) enum Event {
    /// A block that a reader found bad has been looked at.
    Cleared { address: Address },
    /// So many of the blocks that a client offered are here, and it has been told; these are to be fetched from it.
    Offered { client: Link, good: usize, others: Vec<BlockRef> },
    /// What a put brings has been looked at: now it is to be looked whether all that it names is here.
    Put(Box<ReadyPut>),
    /// Somebody wants the next part of the store verified: `sweep` is to be called with what is missing in it.
    Sweep(Wanted),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Scrub {
    sweeps: Sweeps,
    /// Of each connection how many blocks that it suspects are being looked at.
    suspects: BTreeMap<Link, usize>,
    events: VecDeque<Event>,
}

impl Scrub {
    /// What has happened, for the rest of the server.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Somebody wants the next few blocks and pages after an address verified.
    pub(super) fn ask(&mut self, cx: &mut Context, asker: Asker, after: Option<Address>) {
        if !self.sweeps.ask(Wanted { asker, after }) {
            let detail =
                "a part of the store is being verified for this connection, and another waits";
            return cx.refuse(asker, Reason::Unavailable, detail);
        }
        self.next_sweep();
    }

    fn next_sweep(&mut self) {
        while let Some(wanted) = self.sweeps.next() {
            self.events.push_back(Event::Sweep(wanted));
        }
    }

    /// Hashes the next few blocks, pages and records after an address. `missing`: what was found damaged in a part and has
    /// not come again, in order.
    pub(super) fn sweep(
        &mut self,
        cx: &mut Context,
        Wanted { asker, after }: Wanted,
        missing: impl Fn(&Context, Part) -> Vec<Address>,
    ) {
        let mut blocks = kept_after(cx, after);
        let full = blocks.len() == VERIFY_BATCH;
        let mut next = blocks.last().map(|(address, _)| *address).filter(|_| full);
        let mut missing = missing(cx, Part { after, last: next });
        missing.truncate(MISSING_MAX);
        if missing.len() == MISSING_MAX {
            // As many as an answer holds: this part ends with the last of them.
            next = missing.last().copied();
            blocks.retain(|(address, _)| Some(*address) <= next);
        }
        let count = u32::try_from(blocks.len()).expect("a batch is small");
        let sweep = Sweep { asker, count, missing, next };
        verify(cx, blocks, VerifyFor::Request(sweep));
    }

    /// Blocks that a client offers are here: if they are good, it need not send them. A few are looked at in one go, so
    /// that others have their turn.
    pub(super) fn offered(&mut self, cx: &mut Context, client: Link, offered: &[BlockRef]) {
        for offered in offered.chunks(VERIFY_BATCH) {
            let holdings = &cx.index.holdings;
            let place = |block: &BlockRef| {
                holdings.block(&block.address).map(|place| (block.address, place))
            };
            let blocks: Vec<_> = offered.iter().filter_map(place).collect();
            if seeded::is_on(Bug::TrustHeldBlock) {
                let addresses: Vec<_> = blocks.into_iter().map(|(address, _)| address).collect();
                cx.tell_have(client, &addresses);
            } else {
                let reason = VerifyFor::Offer { client, blocks: offered.to_vec() };
                verify(cx, blocks, reason);
            }
        }
    }

    /// Small blocks that a put brings are here: if they are good, they need not be written again.
    pub(super) fn put(&mut self, cx: &mut Context, put: Box<ReadyPut>) {
        let holdings = &cx.index.holdings;
        let place = |address: &Address| holdings.block(address).map(|place| (*address, place));
        let blocks: Vec<_> = put.brought().filter_map(place).collect();
        cx.checking += put.bytes();
        if blocks.is_empty() {
            self.events.push_back(Event::Put(put));
        } else {
            verify(cx, blocks, VerifyFor::Put(put));
        }
    }

    /// A reader says that a block from here is not what its address says. This node looks for itself. False if it does not,
    /// since the block is not here or this reader suspects too many.
    pub(super) fn suspect(&mut self, cx: &mut Context, link: Link, address: Address) -> bool {
        let held = cx.index.holdings.block(&address).filter(|_| cx.links.contains(link));
        // Not here, or the reader has gone.
        let Some(place) = held else {
            return false;
        };
        let suspects = self.suspects.entry(link).or_default();
        if *suspects >= SUSPECTS_MAX && !seeded::is_on(Bug::VerifyWithoutBound) {
            log::debug!("connection {link} suspects more blocks than are looked at at once");
            return false;
        }
        *suspects += 1;
        verify(cx, vec![(address, place)], VerifyFor::Suspect { address, link });
        true
    }

    /// Blocks, pages and records have been hashed. To be called when what is bad is no longer held.
    pub(super) fn verified(
        &mut self,
        cx: &mut Context,
        reason: VerifyFor,
        Verified { bytes, bad, unread }: Verified,
    ) {
        match reason {
            VerifyFor::Request(sweep) => {
                if unread.is_empty() {
                    sweep.reply(cx, bytes, bad);
                } else {
                    cx.refuse(sweep.asker, Reason::Unavailable, UNREAD);
                }
                self.sweeps.ended();
                self.next_sweep();
            }
            VerifyFor::Suspect { address, link } => {
                if let Some(suspects) = self.suspects.get_mut(&link) {
                    *suspects = suspects.saturating_sub(1);
                }
                self.events.push_back(Event::Cleared { address });
            }
            VerifyFor::Offer { client, blocks } => {
                self.offered_verified(cx, client, blocks, &unread);
            }
            VerifyFor::Put(put) if !unread.is_empty() => {
                cx.checking -= put.bytes();
                cx.refuse(put.asker, Reason::Unavailable, UNREAD);
            }
            VerifyFor::Put(put) => self.events.push_back(Event::Put(put)),
        }
    }

    fn offered_verified(
        &mut self,
        cx: &mut Context,
        client: Link,
        blocks: Vec<BlockRef>,
        unread: &[Address],
    ) {
        // The client is gone, and with it the count of its offers.
        if !cx.links.contains(client) {
            return;
        }
        let is_good = |block: &BlockRef| {
            cx.index.holdings.block(&block.address).is_some() && !unread.contains(&block.address)
        };
        let (good, others): (Vec<_>, Vec<_>) = blocks.into_iter().partition(is_good);
        if !good.is_empty() {
            let addresses: Vec<_> = good.iter().map(|block| block.address).collect();
            cx.tell_have(client, &addresses);
        }
        self.events.push_back(Event::Offered { client, good: good.len(), others });
    }

    pub(super) fn link_closed(&mut self, link: Link) {
        self.sweeps.link_closed(link);
        self.suspects.remove(&link);
    }
}

impl Sweep {
    /// The answer: what is bad now, and what was and has not come again.
    fn reply(self, cx: &mut Context, bytes: u64, mut bad: Vec<Address>) {
        let Self { asker: Asker { link, request }, count, missing, next } = self;
        let good = count.saturating_sub(u32::try_from(bad.len()).unwrap_or(count));
        bad.extend(missing);
        cx.reply(link, Message::verified(request, good, bytes, bad, next));
    }
}

fn verify(cx: &mut Context, blocks: Vec<(Address, BlockPlace)>, reason: VerifyFor) {
    let pins = cx.index.pin(blocks.iter().map(|(_, place)| *place));
    cx.job(Job::Verify { purpose: Box::new(Verifying { reason, pins }), blocks });
}

/// The next few blocks, pages and records, in the order of their ids.
fn kept_after(cx: &Context, after: Option<Address>) -> Vec<(Address, BlockPlace)> {
    let mut kept = cx.index.holdings.after(after, VERIFY_BATCH);
    let first = RecordId(after.unwrap_or_default().0);
    let records = cx.index.catalog.range(first, RecordId([u8::MAX; 32]));
    let records = records.map(|entry| (Address(entry.id().0), BlockPlace::Log(entry.place())));
    let records = records.filter(|(id, _)| after.is_none_or(|after| *id > after));
    kept.extend(records.take(VERIFY_BATCH));
    kept.sort_by_key(|(address, _)| *address);
    kept.truncate(VERIFY_BATCH);
    kept
}
