//! What a client is in the middle of.

use super::content::Name;
use super::history::Seen;
use super::ledger::WriteId;
use dfsd::ids::{Hash, VersionId};
use dfsd::time::Instant;
use std::collections::BTreeMap;

/// An operation under way.
pub(super) struct Task {
    pub(super) doing: Doing,
    pub(super) begun: Instant,
    /// Since then the client takes all that the node has to say.
    pub(super) patient_since: Instant,
    /// What the node had acknowledged or shown when this began.
    pub(super) floors: BTreeMap<Name, VersionId>,
}

#[derive(Debug)]
pub(super) enum Doing {
    Put {
        write: WriteId,
        content: Hash,
        fed: usize,
        only_if_absent: bool,
        give_up: bool,
    },
    Get {
        name: Name,
        seen: Option<Seen>,
        came: u64,
    },
    /// A version that was told of before.
    Old {
        name: Name,
        seen: Seen,
        came: u64,
    },
    Stat {
        name: Name,
    },
    List {
        listed: BTreeMap<Name, Seen>,
    },
    Delete {
        write: WriteId,
    },
    Rename {
        moved: WriteId,
        deleted: WriteId,
        replace: bool,
    },
    Holders {
        name: Name,
        version: VersionId,
    },
    Status,
}
