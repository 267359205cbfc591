//! Records: small signed statements.
//!
//! Knows no key: it neither opens nor verifies. Invariant: a decoded record keeps every rule that
//! can be checked without a key, whatever its format.

use crate::ids::{Address, NameId, Space, VersionId};
use crate::limits::{EXTENSIONS_MAX, PARENTS_MAX, RECORD_BLOCKS_MAX, RECORD_MAX};
use crate::time::STAMP_MAX;
use crate::wire::Malformed;
use crate::wire::cursor::{Field, Reader, put_counted, put_list, require};
use crate::wire::message::BlockRef;
use crate::wire::page::tree_size;

pub use crate::wire::sealed::{Sealed, Secret};

/// The format of the records that this program makes. In format 1 the sealed part has a time in milliseconds, and no
/// attributes.
pub const FORMAT: u8 = 2;

/// The oldest format that is read.
pub const FORMAT_OLDEST: u8 = 1;

/// The length of a signature, with which every record ends.
pub const SIGNATURE: usize = 64;

/// What a record states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// This is a version of that name.
    File,
    /// That name is deleted.
    Tombstone,
    /// That node belongs to the network.
    Admission,
    /// That node is here.
    Presence,
    /// That key may sign; signed by the root.
    Grant,
    /// The network is set so.
    Setting,
    /// A kind of a newer format: kept and forwarded unread.
    Other(u8),
}

/// Where the blocks of a version are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockList {
    /// Here: none for an empty file and for records that are not files; up to `RECORD_BLOCKS_MAX`.
    Inline(Vec<BlockRef>),
    /// In a tree of pages.
    Pages {
        /// The root page.
        root: Address,
        /// Levels, 1 to `PAGE_DEPTH_MAX`.
        depth: u8,
        /// Blocks below it.
        blocks: u64,
        /// Bytes below it.
        bytes: u64,
    },
}

/// A signed field that this version of the program need not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// What it is; ascending in a record, none twice.
    pub tag: u16,
    /// The value.
    pub value: Vec<u8>,
}

/// A record as it is stored and sent. Its sealed part is opened by `crypto::sealed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The format, `FORMAT`; greater ones are kept and forwarded.
    pub format: u8,
    /// What it states.
    pub kind: RecordKind,
    /// The name space.
    pub space: Space,
    /// The name, or for other kinds the id of what the record is about.
    pub name: NameId,
    /// The version.
    pub version: VersionId,
    /// The versions that this one supersedes.
    pub parents: Vec<VersionId>,
    /// The epoch of the data key.
    pub epoch: u32,
    /// The Ed25519 key that signed it.
    pub signer: [u8; 32],
    /// The blocks.
    pub blocks: BlockList,
    /// Further fields.
    pub extensions: Vec<Extension>,
    /// The synthetic IV of the sealed part.
    pub sealed_tag: [u8; 32],
    /// The sealed part.
    pub sealed: Vec<u8>,
    /// Over everything before it.
    pub signature: [u8; 64],
}

impl Record {
    /// A record of the present format that says nothing yet but what it is of, and that nobody has signed.
    #[must_use]
    pub fn unsigned(kind: RecordKind, name: NameId, version: VersionId) -> Self {
        Self {
            format: FORMAT,
            kind,
            space: Space::default(),
            name,
            version,
            parents: Vec::new(),
            epoch: 0,
            signer: [0; 32],
            blocks: BlockList::Inline(Vec::new()),
            extensions: Vec::new(),
            sealed_tag: [0; 32],
            sealed: Vec::new(),
            signature: [0; 64],
        }
    }

    /// Appends the record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.put_signed(out);
        out.extend_from_slice(&self.signature);
    }

    /// The whole encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.signed_bytes();
        out.extend_from_slice(&self.signature);
        out
    }

    /// What the signature covers: all but itself.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.put_signed(&mut out);
        out
    }

    /// What the seal covers besides the plaintext: all that precedes `sealed_tag`.
    #[must_use]
    pub fn public_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.put_public(&mut out);
        out
    }

    /// Reads exactly one record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        require(bytes.len() <= RECORD_MAX, "a record longer than its limit")?;
        let mut from = Reader::new(bytes);
        let record = Self::take(&mut from)?;
        from.finish()?;
        record.keep_rules()?;
        Ok(record)
    }

    /// Which version of which name a record is that cannot be read as a whole, from what is in front: its kind, name and
    /// version. All else is left empty. Nothing that it says may be relied on.
    pub fn decode_front(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        // The format may have rotted too, and what is in front is the same in all of them.
        let _: u8 = Field::take(&mut from)?;
        let kind = Field::take(&mut from)?;
        let space = Field::take(&mut from)?;
        let (name, version) = (Field::take(&mut from)?, Field::take(&mut from)?);
        let record = Self { space, ..Self::unsigned(kind, name, version) };
        require(record.version.stamp <= STAMP_MAX, "a stamp with its top bit set")?;
        Ok(record)
    }

    fn put_signed(&self, out: &mut Vec<u8>) {
        self.put_public(out);
        self.sealed_tag.put(out);
        put_counted(&self.sealed, RECORD_MAX, out);
    }

    fn put_public(&self, out: &mut Vec<u8>) {
        self.format.put(out);
        self.kind.put(out);
        self.space.put(out);
        self.name.put(out);
        self.version.put(out);
        put_list(&self.parents, PARENTS_MAX, out);
        self.epoch.put(out);
        self.signer.put(out);
        self.blocks.put(out);
        put_list(&self.extensions, EXTENSIONS_MAX, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            format: Field::take(from)?,
            kind: Field::take(from)?,
            space: Field::take(from)?,
            name: Field::take(from)?,
            version: Field::take(from)?,
            parents: from.list(PARENTS_MAX)?,
            epoch: Field::take(from)?,
            signer: Field::take(from)?,
            blocks: Field::take(from)?,
            extensions: from.list(EXTENSIONS_MAX)?,
            sealed_tag: Field::take(from)?,
            sealed: from.counted(RECORD_MAX)?.to_vec(),
            signature: Field::take(from)?,
        })
    }

    /// What can be checked without a key.
    pub(crate) fn keep_rules(&self) -> Result<(), Malformed> {
        require(self.format >= FORMAT_OLDEST, "a record's format")?;
        require(self.version.stamp <= STAMP_MAX, "a stamp with its top bit set")?;
        require(
            self.parents.iter().all(|parent| parent.stamp < self.version.stamp),
            "a stamp not above its parents'",
        )?;
        require(self.parents.is_sorted_by(|a, b| a > b), "parents not in descending order")?;
        require(
            self.extensions.is_sorted_by(|a, b| a.tag < b.tag),
            "extensions not in ascending order",
        )?;
        require(self.may_list_blocks() || self.blocks.is_empty(), "blocks where none can be")
    }

    fn may_list_blocks(&self) -> bool {
        match self.kind {
            RecordKind::File | RecordKind::Other(_) => true,
            RecordKind::Tombstone
            | RecordKind::Admission
            | RecordKind::Presence
            | RecordKind::Grant
            | RecordKind::Setting => false,
        }
    }
}

/// An encoded record's signed bytes and its signature; `None` if it is too short to have one.
#[must_use]
pub fn split_signature(encoded: &[u8]) -> Option<(&[u8], &[u8; SIGNATURE])> {
    encoded.split_last_chunk()
}

impl BlockList {
    /// Whether there is no block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.totals().0 == 0
    }

    /// Blocks and bytes.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        match self {
            Self::Inline(blocks) => {
                (blocks.len() as u64, blocks.iter().map(|block| u64::from(block.length)).sum())
            }
            Self::Pages { root: _, depth: _, blocks, bytes } => (*blocks, *bytes),
        }
    }
}

impl Field for BlockList {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Inline(blocks) => {
                out.push(0);
                put_list(blocks, RECORD_BLOCKS_MAX, out);
            }
            Self::Pages { root, depth, blocks, bytes } => {
                out.push(1);
                root.put(out);
                depth.put(out);
                blocks.put(out);
                bytes.put(out);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::take(from)? {
            0 => from.list(RECORD_BLOCKS_MAX).map(Self::Inline),
            1 => {
                let (root, depth) = (Address::take(from)?, u8::take(from)?);
                let (blocks, bytes) = (u64::take(from)?, u64::take(from)?);
                tree_size(depth, blocks, bytes)?;
                Ok(Self::Pages { root, depth, blocks, bytes })
            }
            _ => Err(Malformed("an unknown form of block list")),
        }
    }
}

impl Field for RecordKind {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::File => 1,
            Self::Tombstone => 2,
            Self::Admission => 3,
            Self::Presence => 4,
            Self::Grant => 5,
            Self::Setting => 7,
            Self::Other(kind) => *kind,
        });
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::take(from)? {
            0 => Err(Malformed("a record's kind")),
            1 => Ok(Self::File),
            2 => Ok(Self::Tombstone),
            3 => Ok(Self::Admission),
            4 => Ok(Self::Presence),
            5 => Ok(Self::Grant),
            7 => Ok(Self::Setting),
            kind => Ok(Self::Other(kind)),
        }
    }
}

impl Field for Extension {
    fn put(&self, out: &mut Vec<u8>) {
        self.tag.put(out);
        put_counted(&self.value, RECORD_MAX, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { tag: u16::take(from)?, value: from.counted(RECORD_MAX)?.to_vec() })
    }
}

#[cfg(test)]
mod tests;
