//! What is under way between this node and one peer: what that is to be sent, and the comparison of the two.
//!
//! Decides nothing. Invariant: each of its lists has a bound.

use super::comparison::Comparison;
use super::push::Push;
use crate::limits::OUTBOX_MAX;
use crate::time::Instant;
use crate::wire::message::RangeSummary;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) push: Push,
    pub(super) comparison: Comparison,
    /// When the next comparison is due, if this side begins it.
    pub(super) due: Option<Instant>,
    /// It has said that it takes no records of files, for want of room.
    pub(super) is_full: bool,
    /// A question about everything: it is answered when the peer has been told of one more node.
    pub(super) held: Option<RangeSummary>,
}

impl Side {
    /// Whether a comparison may say more now.
    pub(super) fn may_say_more(&self, outbox: usize) -> bool {
        self.push.has_room() && outbox <= OUTBOX_MAX / 2
    }

    /// What it takes in memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.push.held_bytes() + self.comparison.held_bytes()
    }
}
