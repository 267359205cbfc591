//! Wanting: what is asked of a block, who waits until it is here, and what came of it.
//!
//! Decides nothing. Invariant: what waits names its connection, so that it can be forgotten with it.

use crate::ids::Address;
use crate::server::output::Link;
use crate::server::replicate::ReplicationId;
use crate::wire::message::{BlockRef, Message};

/// What is kept of a block that was offered or is wanted and is not here.
pub(in crate::server) const OFFERED_BYTES: usize = 400;

/// Leaves that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct Want {
    pub(in crate::server) block: BlockRef,
    pub(in crate::server) first: u8,
    pub(in crate::server) count: u8,
}

impl Want {
    pub(super) fn address(&self) -> Address {
        self.block.address
    }

    /// How a peer is asked for it.
    pub(super) fn message(&self) -> Message {
        Message::Want { block: self.block, first: self.first, count: self.count }
    }
}

/// A want that waits for its block to come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct Parked {
    pub(in crate::server) link: Link,
    pub(in crate::server) want: Want,
}

/// Who is told when a block is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Interest {
    /// This client offered it.
    Offer(Link),
    /// This client wants to read it.
    Read(Parked),
    /// On the way to having all that a record names.
    Replication(ReplicationId),
    /// It was found damaged here.
    Repair,
}

impl Interest {
    pub(super) fn is_offer(&self) -> bool {
        matches!(self, Self::Offer(_))
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(self, Self::Read(_))
    }
}

/// What has come of an attempt to have something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Outcome {
    Here,
    /// All that were asked have said that they do not have it.
    Nowhere,
    /// Some have not said so.
    Unsure,
}
