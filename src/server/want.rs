//! Wanting: what is asked of a block, and who waits until it is here.
//!
//! Decides nothing. Invariant: what waits names its connection, so that it can be forgotten with it.

use super::output::Link;
use crate::wire::message::BlockRef;

/// What is kept of a block that was offered or is wanted and is not here.
pub(super) const OFFERED_BYTES: usize = 400;

/// Leaves that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) block: BlockRef,
    pub(super) first: u8,
    pub(super) count: u8,
}

/// A want that waits for its block to come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parked {
    pub(super) link: Link,
    pub(super) want: Want,
}

/// Who is told when a block is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interest {
    /// This client offered it.
    Offer(Link),
    /// This client wants to read it.
    Read(Parked),
    /// This walk found it missing.
    Walk(u64),
    /// It was found damaged here.
    Repair,
}
