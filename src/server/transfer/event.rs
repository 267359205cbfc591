//! What the transfer of blocks has to tell the rest of the server.
//!
//! Decides nothing. Invariant: who wants a block is told exactly once what came of it.

use super::passing::Pass;
use super::want::{Interest, Outcome, Parked, Want};
use crate::ids::Address;
use crate::server::closing::Closing;
use crate::server::output::Link;
use crate::server::replicate::ReplicationId;
use crate::store::values::Draft;
use crate::wire::frame::Open;
use crate::wire::message::BlockRef;
use bytes::Bytes;

/// One thing that has happened.
#[derive(Debug)]
pub(in crate::server) enum Event {
    /// What has come of a block that is to be here: for this replication, or as a repair.
    Ended { address: Address, replication: Option<ReplicationId>, outcome: Outcome },
    /// So many of the blocks that a client offered are here, or cannot be had; it has been told.
    OffersAnswered { client: Link, count: usize },
    /// What a client wants to read cannot be had.
    Absent { reader: Link, address: Address },
    /// A connection was told that a block is not here.
    InVain { link: Link, address: Address },
    /// The same, since it could not be read now.
    Unread { link: Link },
    /// All of a block is in its draft, and flushed.
    Received { draft: Draft, address: Address, length: u32 },
    /// A small block is whole.
    ReceivedSmall { address: Address, block: Bytes },
    /// A block that is held is damaged or gone. `resume` is to be called for the reader when that is known everywhere.
    Lost { reader: Link, block: BlockRef },
    /// There is no room for a block of so many bytes, which no client has offered.
    NoRoom { bytes: u64 },
    /// A connection has broken a rule.
    Broken { link: Link, why: Closing },
    /// The disk has failed.
    Failed(String),
}

/// One thing that one half of the transfer has for the other, or for the rest of the server.
#[derive(Debug)]
pub(super) enum Inner {
    Out(Event),
    /// A block cannot be had now, which somebody has waited for.
    Ended {
        address: Address,
        interest: Interest,
        outcome: Outcome,
    },
    /// A want goes on.
    Unpark(Parked),
    /// A reader wants what is not here.
    Missing(Parked),
    /// A reader whose block is passed on takes more: how much may be asked of this source?
    Ready {
        reader: Link,
        source: Link,
    },
    /// Leaves of a block that is passed on are to be asked of this source.
    Ask {
        source: Link,
        want: Want,
        pass: Pass,
    },
    /// A batch that is passed on begins to come.
    PassOpened {
        pass: Pass,
        open: Open,
    },
    /// A leaf of it.
    PassLeaf {
        pass: Pass,
        data: Bytes,
        is_last: bool,
    },
}
