//! How far a node has come in hearing from the others what they know.
//!
//! Knows no node. Invariant: values only.

use super::Malformed;
use super::cursor::{Field, Reader};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncState {
    /// It has compared with every node that it is connected to; or it knows of no other.
    #[default]
    Complete,
    /// It is connected to nodes with which it has not compared yet: what it knows may be out of date.
    Syncing {
        /// Records that are here.
        records: u64,
        /// Records that one of these nodes has, as far as is known; at least as many.
        of: u64,
    },
    /// It knows other nodes, and has compared with none of them since it started.
    Unreached,
}

impl SyncState {
    /// The lesser news of two: of a list that came in several answers.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if other == Self::Complete { self } else { other }
    }
}

impl Field for SyncState {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Complete => out.push(0),
            Self::Syncing { records, of } => {
                out.push(1);
                records.put(out);
                of.put(out);
            }
            Self::Unreached => out.push(2),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::take(from)? {
            0 => Ok(Self::Complete),
            1 => Ok(Self::Syncing { records: u64::take(from)?, of: u64::take(from)? }),
            2 => Ok(Self::Unreached),
            _ => Err(Malformed("an unknown state of synchronisation")),
        }
    }
}
