//! What a node says of its collection of what no record names any more.
//!
//! Knows no node. Invariant: values only.

use super::Malformed;
use super::cursor::{Field, Reader};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CollectionStatus {
    /// Blocks and pages that the last mark found to be needed by nobody, and that are not gone yet.
    pub reclaimable: u64,
    /// Their bytes.
    pub reclaimable_bytes: u64,
    /// When something was last collected, in milliseconds since 1970; 0 if nothing was since the node started.
    pub collected_ms: u64,
    /// How many blocks and pages went then.
    pub collected: u64,
    /// Their bytes.
    pub collected_bytes: u64,
    /// When a mark last came by all that is needed, in milliseconds since 1970; 0 if none has since the node started.
    pub counted_ms: u64,
    /// Bytes here that versions need which no other supersedes.
    pub shown_bytes: u64,
    /// Bytes here that only superseded versions need.
    pub undo_bytes: u64,
    /// When the next of these expires, in milliseconds since 1970; 0 if none does.
    pub undo_next_ms: u64,
    /// Why nothing is collected.
    pub void: CollectionVoid,
}

/// Why a node collects nothing now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CollectionVoid {
    /// It does.
    #[default]
    No,
    /// Records are damaged, and what they name is not known.
    Damaged,
    /// A page of a file's list of blocks is not here, or damaged.
    Page,
    /// The disk could not be read, or what goes not be written down.
    Disk,
}

impl Field for CollectionStatus {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { reclaimable, reclaimable_bytes, collected_ms, collected, .. } = self;
        for number in [reclaimable, reclaimable_bytes, collected_ms, collected] {
            number.put(out);
        }
        let Self { collected_bytes, counted_ms, shown_bytes, undo_bytes, undo_next_ms, .. } = self;
        for number in [collected_bytes, counted_ms, shown_bytes, undo_bytes, undo_next_ms] {
            number.put(out);
        }
        out.push(self.void as u8);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            reclaimable: u64::take(from)?,
            reclaimable_bytes: u64::take(from)?,
            collected_ms: u64::take(from)?,
            collected: u64::take(from)?,
            collected_bytes: u64::take(from)?,
            counted_ms: u64::take(from)?,
            shown_bytes: u64::take(from)?,
            undo_bytes: u64::take(from)?,
            undo_next_ms: u64::take(from)?,
            void: match u8::take(from)? {
                0 => CollectionVoid::No,
                1 => CollectionVoid::Damaged,
                2 => CollectionVoid::Page,
                3 => CollectionVoid::Disk,
                _ => return Err(Malformed("an unknown reason why nothing is collected")),
            },
        })
    }
}
