//! Blocks on their way from the node: who waits for which, and the stream that comes now.
//!
//! Knows no get's content. Invariant: a leaf that is handed on has the hash that stands in the block's address.

use super::answer::Op;
use super::context::Context;
use super::deferred::Deferred;
use crate::crypto::tree::{self, leaf_hash};
use crate::ids::Address;
use crate::limits::WANTS_MAX;
use crate::seeded::{self, Bug};
use crate::wire::frame::Open;
use crate::wire::message::{BlockRef, Message};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};

/// Blocks that all gets of one session together wait for: fewer than a node bears.
const WANTS: usize = WANTS_MAX / 2;

/// Leaves of a block that a get wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    /// Its number in this get.
    pub(super) serial: u64,
    pub(super) block: BlockRef,
    pub(super) first: usize,
    pub(super) count: usize,
}

/// Who waits for a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiter {
    pub(super) op: Op,
    /// The block's number in that get.
    pub(super) serial: u64,
}

/// A leaf that has come.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) op: Op,
    pub(super) serial: u64,
    pub(super) index: usize,
    pub(super) data: Bytes,
}

/// The stream that is coming in.
#[derive(Debug)]
struct Incoming {
    waiter: Waiter,
    open: Open,
    bad: bool,
}

/// A stream that is over.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) waiter: Waiter,
    pub(super) address: Address,
    /// One of its leaves was not the block's.
    pub(super) is_bad: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Downloads {
    /// For each address those that want it, in the order of the wants.
    wanted: HashMap<Address, VecDeque<Waiter>>,
    incoming: Option<Incoming>,
    /// Wants that no stream has answered yet.
    waiting: usize,
    /// Gets that may want more once there are fewer.
    deferred: Deferred,
}

impl Downloads {
    /// Blocks that may come before what somebody asks for now.
    pub(super) fn waiting(&self) -> usize {
        self.waiting + self.deferred.len()
    }

    pub(super) fn has_room(&self) -> bool {
        self.waiting < WANTS
    }

    /// This get waits for room.
    pub(super) fn defer(&mut self, op: Op) {
        self.deferred.push(op);
    }

    /// The get that goes on next, if there is room.
    pub(super) fn next_deferred(&mut self) -> Option<Op> {
        if self.has_room() { self.deferred.next() } else { None }
    }

    /// The streams of an operation that has ended still come; nobody looks at them.
    pub(super) fn forget(&mut self, op: Op) {
        if self.incoming.as_ref().is_some_and(|incoming| incoming.waiter.op == op) {
            self.incoming = None;
        }
        self.deferred.forget(op);
    }

    /// Asks for leaves of a block.
    pub(super) fn want(&mut self, context: &mut Context, op: Op, want: Want) {
        let Want { serial, block, first, count } = want;
        self.wanted.entry(block.address).or_default().push_back(Waiter { op, serial });
        self.waiting += 1;
        let leaf = |leaf: usize| u8::try_from(leaf).expect("a block has 32 leaves");
        context.send(Message::Want { block, first: leaf(first), count: leaf(count) });
    }

    /// Who has waited for longest for a block: it waits no more.
    pub(super) fn answered(&mut self, address: &Address) -> Option<Waiter> {
        let waiting = self.wanted.get_mut(address)?;
        let next = waiting.pop_front();
        self.waiting -= usize::from(next.is_some());
        if waiting.is_empty() {
            self.wanted.remove(address);
        }
        next
    }

    /// All who wait for a block.
    pub(super) fn waiters(&self, address: &Address) -> Vec<Waiter> {
        self.wanted.get(address).into_iter().flatten().copied().collect()
    }

    /// A stream begins. Of one whose hashes are not the address's no leaf is taken: a node in this process hashes small
    /// blocks as it has read them, and no connection has compared.
    pub(super) fn opened(&mut self, mut open: Open) {
        let bad = tree::root(&open.leaves).0 != open.address.0;
        if bad {
            open.leaves.clear();
        }
        let next = self.answered(&open.address);
        self.incoming = next.map(|waiter| Incoming { waiter, open, bad });
    }

    /// A leaf has come. `None` if nobody waits for it, or it is not the block's.
    pub(super) fn chunk(&mut self, index: u8, data: Bytes) -> Option<Leaf> {
        let incoming = self.incoming.as_mut()?;
        let index = usize::from(index);
        let is_right = incoming.open.leaves.get(index) == Some(&leaf_hash(&data));
        if !is_right && !seeded::is_on(Bug::SkipReadCheck) {
            incoming.bad = true;
            return None;
        }
        let Waiter { op, serial } = incoming.waiter;
        Some(Leaf { op, serial, index, data })
    }

    /// The stream is over. `None` if nobody has waited for it.
    pub(super) fn stream_ended(&mut self) -> Option<Received> {
        let Incoming { waiter, open, bad } = self.incoming.take()?;
        Some(Received { waiter, address: open.address, is_bad: bad })
    }
}
