//! What replication has to tell the rest of the server.
//!
//! Decides nothing. Invariant: what is to be fetched is told exactly once what has come of it.

use crate::ids::{Address, RecordId};
use crate::server::asker::Asker;
use crate::server::output::Link;
use crate::server::transfer::Interest;
use crate::server::write::ReadyPut;
use crate::wire::message::BlockRef;
use bytes::Bytes;

/// One thing that has happened.
#[derive(Debug)]
pub(in crate::server) enum Event {
    /// A block is to be fetched; `block_ended` is to be called. `again`: it was asked for before, of all that had no news
    /// since.
    Fetch { block: BlockRef, interest: Interest, again: bool, hint: Option<Link> },
    /// A page has come that is to be kept.
    Page { address: Address, page: Bytes },
    /// A page that a client asked for is here: the question is to be asked anew.
    PageHere { asker: Asker, address: Address },
    /// What was held is damaged or gone, which is to be written down.
    Lost { address: Address },
    /// A record's bytes turned out to be damaged; it is no longer in the catalog.
    RecordDamaged,
    /// It has been looked whether all that a put names is here.
    PutLookedUp { put: Box<ReadyPut>, complete: bool },
    /// The same of a record, for a query.
    Held { query: u64, holds: bool },
}

/// What reconciliation has to tell the rest of the server.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) enum ReconcileEvent {
    /// With each comparison of everything a peer is told of one more node. Then `go_on` is to be called.
    TellOneMore { link: Link },
    /// A record's bytes were found damaged; it is no longer in the catalog.
    RecordDamaged { record: RecordId },
}
