//! Conditions of a put: what must be so of a name at the moment in which a record of it is stored.
//!
//! Knows no node and no client. Invariant: a summary is equal for two sets of heads only if the sets are.

use super::Malformed;
use super::cursor::{Field, Reader};
use crate::ids::Hash;

/// All versions of a name that no other supersedes, however many they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeadsSummary {
    /// How many.
    pub count: u64,
    /// The SHA-256 of their ids in ascending order.
    pub hash: Hash,
}

/// What must be so of the name of a record. A record whose condition does not hold is not stored, and nothing that came
/// with it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Any,
    /// No known version is above this one: it is what is shown as soon as it is stored.
    Newest,
    /// As `Newest`, and no file is shown.
    Absent,
    /// As `Newest`, and the heads are those of which the writer was told.
    Unchanged(HeadsSummary),
}

impl Field for HeadsSummary {
    fn put(&self, out: &mut Vec<u8>) {
        self.count.put(out);
        self.hash.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { count: u64::take(from)?, hash: Hash::take(from)? })
    }
}

impl Field for Condition {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Any => out.push(0),
            Self::Absent => out.push(1),
            Self::Newest => out.push(2),
            Self::Unchanged(heads) => {
                out.push(3);
                heads.put(out);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::take(from)? {
            0 => Ok(Self::Any),
            1 => Ok(Self::Absent),
            2 => Ok(Self::Newest),
            3 => HeadsSummary::take(from).map(Self::Unchanged),
            _ => Err(Malformed("an unknown condition")),
        }
    }
}

/// A list of conditions is empty, or has one for each record, and not all of them are `Any`: so it has one encoding.
pub(super) fn fit(conditions: &[Condition], records: usize) -> bool {
    let some = conditions.iter().any(|condition| *condition != Condition::Any);
    conditions.is_empty() || (conditions.len() == records && some)
}
