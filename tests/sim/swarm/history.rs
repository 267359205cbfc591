//! What clients were told, in the order in which they were.
//!
//! Knows nothing of what is right: oracles judge.

use super::content::Name;
use bytes::Bytes;
use dfsd::ids::{Hash, VersionId};
use dfsd::session::ClientError;
use dfsd::time::Instant;

/// A file's version, as a client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) version: VersionId,
    pub(super) hash: Hash,
    pub(super) size: u64,
}

/// One thing that a client was told by the node of a machine.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) machine: usize,
    /// How often that machine's node had been started.
    pub(super) boot: u64,
    pub(super) name: Name,
    /// The version that this node had acknowledged or shown before the question was asked.
    pub(super) floor: Option<VersionId>,
    pub(super) asked: Instant,
    pub(super) told: Instant,
    pub(super) what: Told,
}

#[derive(Debug)]
pub(super) enum Told {
    /// This version is shown.
    Shown(Seen),
    /// There is no such name.
    Absent,
    /// Some bytes of a version, from this offset on.
    Bytes { of: Seen, offset: u64, bytes: Bytes },
    /// All bytes of a version have come: so many.
    Whole { of: Seen, came: u64 },
    /// These versions are superseded by none, and this one is shown.
    Versions { heads: Vec<VersionId>, greatest: Option<VersionId> },
    /// A write is durable; it was to be done only if there was no such name.
    Acknowledged { version: VersionId, only_if_absent: bool },
    /// These are all versions of the name, in this order.
    Listed { versions: Vec<VersionId> },
    /// A version that was told of before cannot be read. `served`: this node has served its record, on the same connection, when
    /// it had all of it.
    Unread { of: Seen, served: bool },
    /// These machines hold a version whole.
    Holders { version: VersionId, machines: Vec<usize> },
    /// It did not work.
    Failed(ClientError),
}

impl Observed {
    /// "node 2, name 5": where a sentence begins.
    pub(super) fn place(&self) -> String {
        format!("node {} (start {}), name {}", self.machine, self.boot, self.name)
    }
}
