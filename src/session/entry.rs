//! A version of a file as a program sees it, and what it says of one that it stores.
//!
//! Knows no cipher. Invariant: an `Entry` was opened here, or is one's own.

use crate::ids::{Address, Hash, RecordId, VersionId};
use crate::time::FileTime;
use crate::wire::attributes::Attributes;
use crate::wire::log_damage::LogDamage;
use crate::wire::record::{BlockList, Secret};
use std::collections::BTreeSet;

/// A version of a file, opened.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name.
    pub name: Vec<u8>,
    /// Bytes.
    pub size: u64,
    /// Time of the last change, if it is known.
    pub mtime: Option<FileTime>,
    /// `st_mode` of Unix; 0 for unknown.
    pub mode: u32,
    /// What else is said of the file.
    pub attributes: Attributes,
    /// The tree hash of the plaintext.
    pub hash: Hash,
    /// Blocks.
    pub blocks: u64,
    /// The version.
    pub version: VersionId,
    /// The record that says all this.
    pub record: RecordId,
    /// What the node that was asked for the name has lost of its log without a trace: if there is any, a newer version may
    /// have been among it. None where the version comes from a list, which tells this of all.
    pub log_damage: LogDamage,
    /// Whether that node keeps it. One without room shows what another has, as long as that can be reached.
    pub is_kept: bool,
    pub(super) list: BlockList,
    pub(super) secrets: Vec<Secret>,
}

impl Entry {
    /// Its blocks, or the root of the pages that list them.
    #[must_use]
    pub fn list(&self) -> &BlockList {
        &self.list
    }

    /// The bytes of its blocks, as its list tells.
    pub(super) fn listed_bytes(&self) -> u64 {
        match &self.list {
            BlockList::Inline(blocks) => blocks.iter().map(|block| u64::from(block.length)).sum(),
            BlockList::Pages { bytes, .. } => *bytes,
        }
    }

    /// Whether it needs one of these, or has its blocks in pages, which tell.
    #[must_use]
    pub fn may_need(&self, bad: &BTreeSet<Address>) -> bool {
        bad.contains(&Address(self.record.0))
            || match &self.list {
                BlockList::Inline(blocks) => {
                    blocks.iter().any(|block| bad.contains(&block.address))
                }
                BlockList::Pages { .. } => true,
            }
    }
}

/// What a new version says besides its blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// The name.
    pub name: Vec<u8>,
    /// Time of the last change, if it is known.
    pub mtime: Option<FileTime>,
    /// `st_mode` of Unix; 0 for unknown.
    pub mode: u32,
    /// What else is said of the file.
    pub attributes: Attributes,
}

/// When a put writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// In any case.
    #[default]
    Always,
    /// Only if the name is free: else it fails with `Exists`.
    Never,
    /// Only if the name's only head says something else, or has other bytes; else it ends with that version.
    IfChanged,
    /// The same, judged before any bytes are asked for: those of this size, and of this hash if one is given, count as
    /// the same.
    IfOutdated {
        /// Bytes of the file.
        size: u64,
        /// The tree hash of the plaintext, where it is known.
        hash: Option<Hash>,
    },
}

/// What a file consists of.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) size: u64,
    /// The tree hash of the plaintext.
    pub(super) hash: Hash,
    pub(super) list: BlockList,
    pub(super) secrets: Vec<Secret>,
}
