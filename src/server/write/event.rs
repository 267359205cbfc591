//! What writing has to tell the rest of the server.
//!
//! Decides nothing. Invariant: what is told to be committed is flushed and in the index.

use super::record::{NewRecord, ReadyPut};
use crate::ids::Address;
use crate::server::closing::Closing;
use crate::server::output::Link;
use crate::store::values::Expired;
use crate::wire::message::BlockRef;

/// One thing that has happened.
#[derive(Debug)]
pub(in crate::server) enum Event {
    /// A put has come, signed as it should be. `put_looked_up` is to be called when it is known whether all that it names is
    /// here.
    Put(Box<ReadyPut>),
    /// A client may bring these blocks. Some are here already; of those it is to be told if they are good.
    Offered { client: Link, held: Vec<BlockRef>, new: Vec<BlockRef> },
    /// There is no room for so many bytes of peers' records.
    NoRoom { bytes: u64 },
    /// A key may sign from now on. What it has signed was left aside.
    Granted,
    /// A peer has sent what the one named did not sign. Others may have sent the same records, which were left aside for
    /// these.
    Forged { link: Link },
    /// A connection has broken a rule.
    Broken { link: Link, why: Closing },
    /// A group is durable.
    Committed(Box<Contents>),
    /// A group could not be made durable, and nothing of it is kept.
    Rejected(Box<Contents>, Rejection),
    /// The disk has answered for a group of the compaction.
    Compacted(Compacted),
    /// The disk has failed.
    Failed(String),
}

/// What became of a group of the compaction.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server) enum Compacted {
    /// So many bytes were written anew.
    Copied { bytes: u64 },
    /// Of segments that were to be removed these are, and these are not.
    Removed { removed: Vec<u32>, kept: Vec<u32> },
    /// The disk has no room, or too few descriptors, for now: nothing has changed.
    NotNow,
}

/// What was in a group.
#[derive(Debug)]
pub(in crate::server) struct Contents {
    pub(in crate::server) records: Vec<NewRecord>,
    /// Blocks, large and small.
    pub(in crate::server) blocks: Vec<Address>,
    pub(in crate::server) pages: Vec<Address>,
    /// Records that are gone.
    pub(in crate::server) expired: Vec<Expired>,
    /// Block files that were to go: those that had come again meanwhile stay.
    pub(in crate::server) files: Vec<Address>,
}

/// Why a group was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Rejection {
    /// The disk has no room.
    Full,
    /// Too few descriptors, or too little memory, for now.
    Scarce,
}
