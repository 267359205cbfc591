//! Sealed blocks on their way to the node: offered, sent when wanted, kept until the node has them durably.

use super::answer::Op;
use super::error::ClientError;
use super::permit::Brought;
use super::session::{Kind, Session};
use crate::crypto::block::SealedBlock;
use crate::ids::{Address, Hash};
use crate::limits::{BLOCK, LEAF, LEAVES, OUTBOX_HARD_MAX, WANTS_MAX};
use crate::planted::{self, Bug};
use crate::wire::frame::Open;
use crate::wire::message::{BlockRef, Message, Request};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};

/// Blocks on offer on one connection: fewer than a node bears.
const OFFERS: usize = WANTS_MAX / 2;
/// And no more bytes of them, however many files are on their way.
const OFFERED_BYTES: usize = 32 * BLOCK;

#[derive(Debug)]
struct Offered {
    data: Bytes,
    leaves: Vec<Hash>,
    request: Request,
    /// Leaves that have been sent: one bit each.
    sent: u32,
    /// The puts that wait for it; one that has the block twice stands here twice.
    ops: Vec<Op>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    blocks: HashMap<Address, Offered>,
    /// What the node wants and has not been sent yet.
    wants: VecDeque<(BlockRef, u8, u8)>,
    /// The block whose leaves leave now for the first time: not so if the node wants them again.
    leaving: Option<Address>,
    /// Offers that the node may still refuse.
    requests: HashMap<Request, Address>,
    /// Puts that may take more once there are fewer.
    pub(super) held_back: VecDeque<Op>,
}

impl Uploads {
    pub(super) fn has_room(&self) -> bool {
        self.blocks.len() < OFFERS && self.offered_bytes() < OFFERED_BYTES
    }

    pub(super) fn offered_bytes(&self) -> usize {
        self.blocks.values().map(|offered| offered.data.len()).sum()
    }

    pub(super) fn forget(&mut self, op: Op) {
        let requests = &mut self.requests;
        self.blocks.retain(|_, offered| {
            offered.ops.retain(|other| *other != op);
            if offered.ops.is_empty() {
                requests.remove(&offered.request);
            }
            !offered.ops.is_empty()
        });
        self.held_back.retain(|other| *other != op);
    }

    /// The node has said what became of a block: who offered it.
    fn settle(&mut self, address: &Address) -> Option<Vec<Op>> {
        let offered = self.blocks.remove(address)?;
        self.requests.remove(&offered.request);
        Some(offered.ops)
    }
}

impl Session {
    /// Offers a sealed block, unless it is being offered already.
    pub(super) fn offer(&mut self, op: Op, sealed: SealedBlock, data: Bytes) {
        let address = sealed.address;
        if let Some(offered) = self.uploads.blocks.get_mut(&address) {
            return offered.ops.push(op);
        }
        let length = u32::try_from(data.len()).expect("a block is at most 1 MiB");
        // Not the operation's: several may wait for one block.
        let request = self.number();
        let (leaves, ops) = (sealed.leaves, vec![op]);
        let offered = Offered { data, leaves, request, sent: 0, ops };
        self.uploads.requests.insert(request, address);
        self.uploads.blocks.insert(address, offered);
        self.bring(request, Brought::Block(BlockRef { address, length }));
    }

    /// The node wants leaves.
    pub(super) fn wanted(&mut self, block: BlockRef, first: u8, count: u8) {
        let too_much = self.uploads.wants.len() >= 2 * WANTS_MAX
            || self.conn().outbox_bytes() > OUTBOX_HARD_MAX;
        if too_much && !planted::is_on(Bug::UnboundedNodeWants) {
            return self.break_off("it wants too much at once");
        }
        self.uploads.wants.push_back((block, first, count));
        self.serve_next();
    }

    /// Sends the next run of leaves, if none is on its way.
    pub(super) fn serve_next(&mut self) {
        while !self.conn().is_streaming() {
            let Some((block, first, count)) = self.uploads.wants.pop_front() else { return };
            let (address, length) = (block.address, block.length);
            let offered = self.uploads.blocks.get_mut(&address);
            let Some(offered) = offered.filter(|offered| offered.data.len() == length as usize)
            else {
                // The put has been given up.
                self.send(&Message::Absent { address });
                continue;
            };
            let (data, leaves) = (offered.data.clone(), offered.leaves.clone());
            let run = run_mask(first, count);
            let is_new = run & !offered.sent != 0 || planted::is_on(Bug::CountSentAgain);
            self.uploads.leaving = is_new.then_some(address);
            offered.sent |= run;
            self.conn().open_stream(&Open { address, length, first, count, leaves });
            for leaf in usize::from(first)..usize::from(first) + usize::from(count) {
                let end = ((leaf + 1) * LEAF).min(data.len());
                self.conn().push_chunk(data.slice(leaf * LEAF..end));
            }
        }
    }

    /// Some of the stream has left: so much have the puts come on that wait for its block.
    pub(super) fn uploading(&mut self) {
        let leaving = self.uploads.leaving.and_then(|address| self.uploads.blocks.get(&address));
        let ops = leaving.map(|offered| offered.ops.clone());
        ops.unwrap_or_default().into_iter().for_each(|op| self.came_on(op));
    }

    /// Blocks are durable on the node.
    pub(super) fn have(&mut self, addresses: &[Address]) {
        for address in addresses {
            for op in self.uploads.settle(address).unwrap_or_default() {
                if let Some(running) = self.ops.get_mut(&op)
                    && let Kind::Put(put) = &mut running.kind
                {
                    put.block_done();
                }
                self.came_on(op);
                self.advance(op);
            }
        }
        self.feed_held_back();
    }

    /// Puts that found too many blocks on offer go on, now that there are fewer.
    pub(super) fn feed_held_back(&mut self) {
        while self.uploads.has_room()
            && let Some(op) = self.uploads.held_back.pop_front()
        {
            self.uploads.held_back.retain(|other| *other != op);
            self.advance(op);
        }
    }

    /// The node could not take a block, or would not.
    pub(super) fn not_taken(&mut self, address: &Address, error: &ClientError) {
        for op in self.uploads.settle(address).unwrap_or_default() {
            self.finish(op, Err(error.clone()));
        }
    }

    /// The block that a request offered.
    pub(super) fn offered_by(&self, request: Request) -> Option<Address> {
        self.uploads.requests.get(&request).copied()
    }
}

/// So many leaves from the first: one bit each.
fn run_mask(first: u8, count: u8) -> u32 {
    let ones = |count: u8| u32::MAX.checked_shr(32 - u32::from(count.min(LEAVES))).unwrap_or(0);
    ones(first.saturating_add(count)) & !ones(first)
}
