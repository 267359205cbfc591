//! Log use: what a node's log takes of its disk, how much of that is needed, and what compaction has done about it.
//!
//! Knows no node. Invariant: values only.

use super::Malformed;
use super::cursor::{Field, Reader};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogUse {
    /// Segments of the log.
    pub segments: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of these that are needed.
    pub needed: u64,
    /// When a segment was last removed, in milliseconds since 1970; 0 if none was since the node started.
    pub compacted_ms: u64,
    /// Bytes of what was needed that were written anew since the node started.
    pub rewritten: u64,
    /// Bytes of the segments that were removed since the node started.
    pub freed: u64,
}

impl Field for LogUse {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { segments, bytes, needed, compacted_ms, rewritten, freed } = self;
        segments.put(out);
        [bytes, needed, compacted_ms, rewritten, freed].into_iter().for_each(|one| one.put(out));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            segments: u32::take(from)?,
            bytes: u64::take(from)?,
            needed: u64::take(from)?,
            compacted_ms: u64::take(from)?,
            rewritten: u64::take(from)?,
            freed: u64::take(from)?,
        })
    }
}
