//! What a session brings, each with its permit: a block on offer, or a page.
//!
//! Knows no clock but the node's, as far as it was told. Invariant: nothing is brought without a permit, and a permit
//! covers what it is sent with and nothing else.

use super::session::Session;
use crate::ids::Address;
use crate::keyring::permit::permit;
use crate::limits::PERMIT_LIFE;
use crate::time::{Instant, stamp_after};
use crate::wire::message::{BlockRef, Message, Request};
use bytes::Bytes;
use std::collections::VecDeque;

/// One thing that is brought.
#[derive(Debug)]
pub(super) enum Brought {
    Block(BlockRef),
    Page(Address, Bytes),
}

/// What permits are made from.
#[derive(Debug, Default)]
pub(super) struct Permits {
    /// The node's clock, and when it told it.
    clock: Option<(u64, Instant)>,
    /// Brought before the node has told its clock: no more than uploads hold.
    waiting: VecDeque<(Request, Brought)>,
}

impl Session {
    /// The node tells its clock.
    pub(super) fn clock_told(&mut self, clock: u64) {
        self.permits.clock = Some((clock, self.now()));
        for (request, brought) in std::mem::take(&mut self.permits.waiting) {
            self.bring(request, brought);
        }
    }

    /// Offers a block or puts a page.
    pub(super) fn bring(&mut self, request: Request, brought: Brought) {
        let Some((clock, told)) = self.permits.clock else {
            return self.permits.waiting.push_back((request, brought));
        };
        let not_after = stamp_after(stamp_after(clock, self.now().since(told)), PERMIT_LIFE);
        let signed = |blocks: &[BlockRef]| {
            self.seals.write_key().ok().map(|key| permit(key, blocks, not_after))
        };
        let message = match brought {
            Brought::Block(block) => {
                let blocks = vec![block];
                let permit = signed(&blocks);
                Message::Offer { request, blocks, permit }
            }
            Brought::Page(address, page) => {
                let length = u32::try_from(page.len()).expect("a page fits into a frame");
                let permit = signed(&[BlockRef { address, length }]);
                Message::PutPage { request, page, permit }
            }
        };
        self.send(&message);
    }
}
