//! What a session brings, each with its permit: a block on offer, or a page.
//!
//! Knows no clock but the node's, as far as it was told. Invariant: nothing is brought without a permit, and a permit
//! covers what it is sent with and nothing else.

use crate::crypto::keys::WriteKey;
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

/// The same, and the question that brings it.
#[derive(Debug)]
pub(super) struct Bringing {
    pub(super) request: Request,
    pub(super) brought: Brought,
}

/// What permits are made from.
#[derive(Debug, Default)]
pub(super) struct Permits {
    /// The node's clock, and when it told it.
    clock: Option<(u64, Instant)>,
    /// Brought before the node has told its clock: no more than uploads hold.
    waiting: VecDeque<Bringing>,
}

impl Permits {
    /// The node tells its clock. Gives what has waited for that.
    pub(super) fn clock_told(&mut self, now: Instant, clock: u64) -> VecDeque<Bringing> {
        self.clock = Some((clock, now));
        std::mem::take(&mut self.waiting)
    }

    /// The message that offers a block or puts a page; none as long as the node has not told its clock.
    pub(super) fn message(
        &mut self,
        now: Instant,
        key: Option<&WriteKey>,
        bringing: Bringing,
    ) -> Option<Message> {
        let Some((clock, told)) = self.clock else {
            self.waiting.push_back(bringing);
            return None;
        };
        let not_after = stamp_after(stamp_after(clock, now.since(told)), PERMIT_LIFE);
        let signed = |blocks: &[BlockRef]| key.map(|key| permit(key, blocks, not_after));
        let Bringing { request, brought } = bringing;
        Some(match brought {
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
        })
    }
}
