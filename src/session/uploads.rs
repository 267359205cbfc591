//! Sealed blocks on their way to the node: offered, sent when wanted, kept until the node has them durably.
//!
//! Knows no put's content. Invariants: one stream at a time leaves; what is on offer has a bound, and so has what the node
//! may want of it.

use super::answer::Op;
use super::context::Context;
use super::deferred::Deferred;
use super::error::ClientError;
use super::output::Output;
use super::permit::Brought;
use crate::crypto::block::SealedBlock;
use crate::ids::{Address, Hash};
use crate::limits::{BLOCK, LEAF, LEAVES, WANTS_MAX};
use crate::seeded::{self, Bug};
use crate::wire::frame::Open;
use crate::wire::message::{BlockRef, Message, Request};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};

/// Blocks on offer in one session: fewer than a node bears.
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

/// Leaves that the node wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) block: BlockRef,
    pub(super) first: u8,
    pub(super) count: u8,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    blocks: HashMap<Address, Offered>,
    /// What the node wants and has not been sent yet.
    wants: VecDeque<Wanted>,
    /// A stream of ours has not left yet.
    streaming: bool,
    /// The block whose leaves leave now for the first time: not so if the node wants them again.
    leaving: Option<Address>,
    /// Offers that the node may still refuse.
    requests: HashMap<Request, Address>,
    /// Puts that may take more once there are fewer.
    deferred: Deferred,
}

impl Uploads {
    pub(super) fn has_room(&self) -> bool {
        self.blocks.len() < OFFERS && self.offered_bytes() < OFFERED_BYTES
    }

    pub(super) fn offered_bytes(&self) -> usize {
        self.blocks.values().map(|offered| offered.data.len()).sum()
    }

    /// This put waits for room.
    pub(super) fn defer(&mut self, op: Op) {
        self.deferred.push(op);
    }

    /// The put that goes on next, if there is room.
    pub(super) fn next_deferred(&mut self) -> Option<Op> {
        if self.has_room() { self.deferred.next() } else { None }
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
        self.deferred.forget(op);
    }

    /// The node has said what became of a block: who offered it.
    pub(super) fn settled(&mut self, address: &Address) -> Vec<Op> {
        let Some(offered) = self.blocks.remove(address) else { return Vec::new() };
        self.requests.remove(&offered.request);
        offered.ops
    }

    /// The block that a request offered.
    pub(super) fn offered_by(&self, request: Request) -> Option<Address> {
        self.requests.get(&request).copied()
    }

    /// Offers a sealed block, unless it is being offered already. Gives the request that does.
    pub(super) fn offer(
        &mut self,
        context: &mut Context,
        op: Op,
        sealed: SealedBlock,
        data: Bytes,
    ) -> Request {
        let address = sealed.address;
        if let Some(offered) = self.blocks.get_mut(&address) {
            offered.ops.push(op);
            return offered.request;
        }
        let length = u32::try_from(data.len()).expect("a block is at most 1 MiB");
        // Not the operation's: several may wait for one block.
        let request = context.number();
        let (leaves, ops) = (sealed.leaves, vec![op]);
        let offered = Offered { data, leaves, request, sent: 0, ops };
        self.requests.insert(request, address);
        self.blocks.insert(address, offered);
        context.bring(request, Brought::Block(BlockRef { address, length }));
        request
    }

    /// The node wants leaves.
    pub(super) fn wanted(
        &mut self,
        context: &mut Context,
        wanted: Wanted,
    ) -> Result<(), ClientError> {
        let too_much = self.wants.len() >= 2 * WANTS_MAX;
        if too_much && !seeded::is_on(Bug::UnboundedNodeWants) {
            return Err(ClientError::Protocol("it wants too much at once".to_owned()));
        }
        self.wants.push_back(wanted);
        self.serve_next(context);
        Ok(())
    }

    /// Sends the next run of leaves, if none is on its way.
    fn serve_next(&mut self, context: &mut Context) {
        while !self.streaming
            && let Some(wanted) = self.wants.pop_front()
        {
            let BlockRef { address, length } = wanted.block;
            let offered = self.blocks.get_mut(&address);
            match offered.filter(|offered| offered.data.len() == length as usize) {
                Some(offered) => {
                    let is_new = offered.send(context, wanted);
                    self.leaving = is_new.then_some(address);
                    self.streaming = true;
                }
                // The put has been given up.
                None => context.send(Message::Absent { address }),
            }
        }
    }

    /// Our stream has left: the next begins, if the node wants one.
    pub(super) fn stream_sent(&mut self, context: &mut Context) {
        self.streaming = false;
        self.serve_next(context);
    }

    /// The puts that come on as the stream leaves: they wait for its block.
    pub(super) fn leaving(&self) -> Vec<Op> {
        let leaving = self.leaving.and_then(|address| self.blocks.get(&address));
        leaving.map(|offered| offered.ops.clone()).unwrap_or_default()
    }
}

impl Offered {
    /// Sends leaves as a stream. True if one of them leaves for the first time.
    fn send(&mut self, context: &mut Context, wanted: Wanted) -> bool {
        let Wanted { block: BlockRef { address, length }, first, count } = wanted;
        let run = run_mask(first, count);
        let is_new = run & !self.sent != 0 || seeded::is_on(Bug::CountSentAgain);
        self.sent |= run;
        let leaves = self.leaves.clone();
        context.output(Output::OpenStream(Open { address, length, first, count, leaves }));
        for leaf in usize::from(first)..usize::from(first) + usize::from(count) {
            let end = ((leaf + 1) * LEAF).min(self.data.len());
            context.output(Output::Chunk(self.data.slice(leaf * LEAF..end)));
        }
        is_new
    }
}

/// So many leaves from the first: one bit each.
fn run_mask(first: u8, count: u8) -> u32 {
    let ones = |count: u8| u32::MAX.checked_shr(32 - u32::from(count.min(LEAVES))).unwrap_or(0);
    ones(first.saturating_add(count)) & !ones(first)
}
