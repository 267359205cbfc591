//! What questions have to tell the rest of the server.
//!
//! Decides nothing. Invariant: a question of which something is told here goes on when that has been seen to.

use super::fan_out::QueryId;
use super::replies::Asked;
use crate::ids::{Address, NameId, RecordId};
use crate::server::asker::Asker;
use crate::server::closing::Closing;
use crate::server::output::Link;
use crate::server::served::Served;
use bytes::Bytes;

/// One thing that has happened.
#[derive(Debug)]
pub(in crate::server) enum Event {
    /// Does this node hold a record whole? `held_here` is to be called.
    Look { query: QueryId, record: RecordId },
    /// A peer has shown a record that is not here. It is to be taken in, and then `taken` to be called.
    Shown { query: QueryId, link: Link, record: Bytes },
    /// There is no room for so many bytes of peers' records.
    NoRoom { bytes: u64 },
    /// A record's bytes were found damaged; it is no longer in the catalog.
    RecordDamaged { record: RecordId },
    /// A page is damaged, or gone. When that is known everywhere the client's question is to be asked anew.
    PageLost { asker: Asker, address: Address },
    /// A client wants a page that is not here. When that has been asked for, `pump` is to be called.
    FetchPage { asker: Asker, address: Address },
    /// A connection was told that a page is not here.
    InVain { link: Link, address: Address },
    /// This was served to a client, which may ask for what it names.
    Served { link: Link, served: Served },
    /// A connection has broken a rule.
    Broken { link: Link, why: Closing },
}

/// One thing that one half of the questions has for the other, or for the rest of the server.
#[derive(Debug)]
pub(super) enum Inner {
    Out(Event),
    /// A question is to be answered from here.
    Reply(Asker, Asked),
    /// A question for the versions of a name is asked anew, of the peers too if a client asks.
    AskAgain(Asker, NameId),
}
