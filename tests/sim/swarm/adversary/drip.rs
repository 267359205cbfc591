//! Blocks that the adversary was sent, and how he brings them to others: a leaf now and then.
//!
//! Knows no message. Invariant: what he brings is what the address says, so that only its pace can be held against it.

use crate::sim::raw::RawClient;
use dfsd::conn::Event;
use dfsd::crypto::tree;
use dfsd::ids::Address;
use dfsd::limits::LEAF;
use dfsd::wire::frame::{Open, leaves_of};
use dfsd::wire::message::BlockRef;
use std::collections::VecDeque;

/// Blocks that he keeps.
const KEPT_MAX: usize = 8;

/// What he keeps.
#[derive(Default)]
pub(super) struct Kept(VecDeque<Vec<u8>>);

/// What comes and goes on one connection.
#[derive(Default)]
pub(super) struct Drip {
    coming: Option<(Open, Vec<u8>)>,
    going: VecDeque<Vec<u8>>,
}

impl Drip {
    /// Something has come.
    pub(super) fn heard(&mut self, event: &Event, kept: &mut Kept) {
        match event {
            Event::Opened(open) => self.coming = Some((open.clone(), Vec::new())),
            Event::Chunk { data, .. } => {
                if let Some((_, block)) = &mut self.coming {
                    block.extend_from_slice(data);
                }
            }
            Event::Ended => {
                if let Some((open, block)) = self.coming.take()
                    && block.len() == open.length as usize
                    && open.address == Address(tree::tree(&block).0)
                {
                    kept.0.push_front(block);
                    kept.0.truncate(KEPT_MAX);
                }
            }
            _ => {}
        }
    }

    /// Begins to bring leaves that were asked for. False if he has not got them, or brings others.
    pub(super) fn begin(
        &mut self,
        client: &mut RawClient,
        kept: &Kept,
        (block, first, count): (BlockRef, u8, u8),
    ) -> bool {
        let is_it = |kept: &&Vec<u8>| {
            kept.len() == block.length as usize && block.address == Address(tree::tree(kept).0)
        };
        let end = usize::from(first) + usize::from(count);
        let found = kept.0.iter().find(is_it);
        let Some(found) = found.filter(|_| end <= leaves_of(block.length)) else {
            return false;
        };
        if client.is_streaming() {
            return false;
        }
        client.open(found, first, count);
        let leaves = found.chunks(LEAF).skip(first.into()).take(count.into());
        self.going = leaves.map(<[u8]>::to_vec).collect();
        true
    }

    /// Brings one more.
    pub(super) fn step(&mut self, client: &mut RawClient) {
        if let Some(leaf) = self.going.pop_front() {
            client.push_chunk(&leaf);
        }
    }
}
