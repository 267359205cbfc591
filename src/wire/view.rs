//! What a list tells of each name instead of what is shown now.
//!
//! Knows no catalog. Invariant: values only.

use super::Malformed;
use super::cursor::{Field, Reader};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The deletion, if the name is deleted.
    Deleted,
    /// What was shown when this was the greatest stamp, if anything was.
    At(u64),
}

impl Field for View {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Deleted => out.push(1),
            Self::At(stamp) => {
                out.push(2);
                stamp.put(out);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::take(from)? {
            1 => Ok(Self::Deleted),
            2 => u64::take(from).map(Self::At),
            _ => Err(Malformed("an unknown view")),
        }
    }
}
