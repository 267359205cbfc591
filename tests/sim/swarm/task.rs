//! What a client is in the middle of.

use super::aging::Keeps;
use super::content::Name;
use super::history::Seen;
use super::ledger::WriteId;
use dfsd::ids::{Hash, VersionId};
use dfsd::session::Version;
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

/// Of which names a list is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    /// What is in the folder in which all but the first two are.
    Folder,
    /// The same, but for what is in a folder further below.
    OneLevel,
}

impl Scope {
    /// See `content::name_bytes`.
    pub(super) fn names(self, names: usize) -> std::ops::Range<Name> {
        let first = match self {
            Self::All => 0,
            Self::Folder => 2,
            Self::OneLevel => 3,
        };
        first.min(names)..names
    }
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
    /// A version that was told of before. `served`: its record was served on this connection by a node that had all of it.
    Old {
        name: Name,
        seen: Seen,
        came: u64,
        served: bool,
    },
    Versions {
        name: Name,
        listed: Vec<Version>,
    },
    Restore {
        write: WriteId,
    },
    Set {
        keeps: Keeps,
    },
    Stat {
        name: Name,
    },
    List {
        listed: BTreeMap<Name, Seen>,
        scope: Scope,
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
