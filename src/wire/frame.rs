//! Frames: the unit of a connection. One frame is one transport record.
//!
//! Knows nothing of which frame may follow which (`conn::phase`). Invariant: a decoded `Open`
//! speaks of leaves that its block has.

use crate::ids::{Address, Hash};
use crate::limits::{BLOCK, FRAME_BODY_MAX, LEAF};
use crate::wire::Malformed;
use crate::wire::cursor::{Field, Reader, require};

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// One whole message.
    Message,
    /// Begins a stream: which leaves of which block, and the hashes of all its leaves.
    Open,
    /// One leaf.
    Chunk,
    /// The stream was complete.
    End,
    /// The stream stops before its end.
    Abort,
}

impl FrameKind {
    fn code(self) -> u8 {
        match self {
            Self::Message => 1,
            Self::Open => 2,
            Self::Chunk => 3,
            Self::End => 4,
            Self::Abort => 5,
        }
    }

    fn from_code(code: u8) -> Result<Self, Malformed> {
        match code {
            1 => Ok(Self::Message),
            2 => Ok(Self::Open),
            3 => Ok(Self::Chunk),
            4 => Ok(Self::End),
            5 => Ok(Self::Abort),
            _ => Err(Malformed("an unknown kind of frame")),
        }
    }
}

/// What stands before a frame's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What the frame is.
    pub kind: FrameKind,
    /// The stream to which it belongs; 0 for a message.
    pub stream: u16,
    /// The length of the body, at most `FRAME_BODY_MAX`.
    pub length: u32,
}

impl Head {
    /// Appends the eight bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.kind.code(), 0]);
        self.stream.put(out);
        self.length.put(out);
    }

    /// Reads exactly eight bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let kind = FrameKind::from_code(u8::take(&mut from)?)?;
        require(u8::take(&mut from)? == 0, "a flag of a frame that has no meaning")?;
        let head = Self { kind, stream: u16::take(&mut from)?, length: u32::take(&mut from)? };
        require((head.stream == 0) == (kind == FrameKind::Message), "a stream's number")?;
        require(head.length as usize <= FRAME_BODY_MAX, "a frame longer than its limit")?;
        from.finish()?;
        Ok(head)
    }
}

/// The body of an `Open` frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The block.
    pub address: Address,
    /// Its whole length in bytes, 1 to `BLOCK`.
    pub length: u32,
    /// The first leaf that follows.
    pub first: u8,
    /// How many leaves follow, 1 to 32.
    pub count: u8,
    /// The leaf hashes of the whole block.
    pub leaves: Vec<Hash>,
}

impl Open {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.address.put(out);
        self.length.put(out);
        out.extend_from_slice(&[self.first, self.count]);
        self.leaves.iter().for_each(|leaf| leaf.put(out));
    }

    /// Reads a body; whether the hashes give the address is for the caller to check.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let address = Address::take(&mut from)?;
        let length = block_length(u32::take(&mut from)?)?;
        let (first, count) = (u8::take(&mut from)?, u8::take(&mut from)?);
        require(has_leaves(length, first, count), "leaves that the block does not have")?;
        let hashes = from.bytes(leaves_of(length) * Hash::LENGTH)?;
        from.finish()?;
        let leaves = hashes.as_chunks().0.iter().map(|hash| Hash(*hash)).collect();
        Ok(Self { address, length, first, count, leaves })
    }

    /// The length of one of the block's leaves.
    #[must_use]
    pub fn leaf_length(&self, index: u8) -> usize {
        leaf_length(self.length, index)
    }
}

/// The length of one leaf of a block of this length; 0 if it has none there.
#[must_use]
pub fn leaf_length(block: u32, index: u8) -> usize {
    (block as usize).saturating_sub(usize::from(index) * LEAF).min(LEAF)
}

/// How many leaves a block of this length has.
#[must_use]
pub fn leaves_of(length: u32) -> usize {
    (length as usize).div_ceil(LEAF)
}

/// Whether a block of this length has these leaves, and they are not none.
pub(crate) fn has_leaves(length: u32, first: u8, count: u8) -> bool {
    count > 0 && usize::from(first) + usize::from(count) <= leaves_of(length)
}

/// A block's length, if it can be one.
pub(crate) fn block_length(length: u32) -> Result<u32, Malformed> {
    require((1..=BLOCK).contains(&(length as usize)), "a block's length")?;
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_head_is_eight_bytes() {
        let head = Head { kind: FrameKind::Chunk, stream: 0x0203, length: 0x8000 };
        let mut bytes = Vec::new();
        head.encode(&mut bytes);
        assert_eq!(bytes, [3, 0, 2, 3, 0, 0, 0x80, 0]);
        assert_eq!(Head::decode(&bytes), Ok(head));
    }

    #[test]
    fn an_open_is_its_fields_and_every_leaf_hash() {
        let leaves = vec![Hash([2; 32]), Hash([3; 32])];
        let open =
            Open { address: Address([1; 32]), length: LEAF as u32 + 1, first: 1, count: 1, leaves };
        let mut bytes = Vec::new();
        open.encode(&mut bytes);
        assert_eq!(bytes, [&[1; 32][..], &[0, 0, 0x80, 1, 1, 1], &[2; 32], &[3; 32]].concat());
        assert_eq!(Open::decode(&bytes), Ok(open));
    }

    #[test]
    fn heads_that_break_a_rule_are_refused() {
        for bytes in [
            [0, 0, 0, 0, 0, 0, 0, 0],
            [6, 0, 0, 1, 0, 0, 0, 0],
            [1, 1, 0, 0, 0, 0, 0, 0],
            [1, 0, 0, 1, 0, 0, 0, 0],
            [3, 0, 0, 0, 0, 0, 0, 0],
            [1, 0, 0, 0, 0, 0, 0xf0, 1],
            [1, 0, 0, 0, 0xff, 0, 0, 0],
        ] {
            assert!(Head::decode(&bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn an_open_speaks_of_leaves_that_exist() {
        let open = |length, first, count| Open {
            address: Address([1; 32]),
            length,
            first,
            count,
            leaves: vec![Hash([2; 32]); leaves_of(length)],
        };
        let check = |open: Open, good: bool| {
            let mut bytes = Vec::new();
            open.encode(&mut bytes);
            assert_eq!(Open::decode(&bytes) == Ok(open), good);
        };
        check(open(1, 0, 1), true);
        check(open(BLOCK as u32, 0, 32), true);
        check(open(BLOCK as u32, 31, 1), true);
        check(open(LEAF as u32 + 1, 1, 1), true);
        check(open(0, 0, 1), false);
        check(open(BLOCK as u32 + 1, 0, 1), false);
        check(open(1, 0, 0), false);
        check(open(1, 1, 1), false);
        check(open(LEAF as u32 * 2, 1, 2), false);
        assert_eq!(open(LEAF as u32 + 1, 0, 2).leaf_length(1), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_do_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(open) = Open::decode(&bytes) {
                let mut again = Vec::new();
                open.encode(&mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
