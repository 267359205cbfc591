//! The header of a segment: which store it belongs to, and the verdict on all that was written before it.
//!
//! ```text
//! magic 8 | version 2 | zeros 2 | number 4 | store id 16 | salt 16 | last segment with a group 4 | zeros 4 | its end 8
//! | last good group 8 | chain 4 | CRC-32C 4
//! ```
//! Big endian; written twice, in two sectors, and durable before the first frame. Knows no file. Invariant: what a
//! header names as good was flushed before the header was written, and what lies beyond it is void for ever.

use crate::ids::StoreId;
use crate::store::frame::{Position, Salt};

/// Bytes of a header.
pub(crate) const HEADER: usize = 80;
/// Where its two copies are.
pub(crate) const COPIES: [u64; 2] = [0, 4096];
/// Where the first frame begins.
pub(crate) const FRAMES: u64 = 8192;

const MAGIC: &[u8; 8] = b"dfsdseg\n";
/// The format that is written; greater ones are refused.
pub(crate) const VERSION: u16 = 1;

/// The verdict on what was written before a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Verdict {
    /// The last segment with a good group; 0 if there is none.
    pub(crate) segment: u32,
    /// Where its last good group ends.
    pub(crate) end: u64,
    /// That group.
    pub(crate) last: Position,
}

/// A segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u32,
    pub(crate) store: StoreId,
    pub(crate) salt: Salt,
    pub(crate) before: Verdict,
}

/// What stands where a header should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    Header(Header),
    /// A sound header of a format that is not known here.
    Newer(u16),
    Bad,
}

impl Parsed {
    /// The first of both copies that is sound.
    pub(crate) fn first(copies: [Self; 2]) -> Self {
        copies.into_iter().find(|copy| *copy != Self::Bad).unwrap_or(Self::Bad)
    }
}

impl Header {
    /// The bytes of one copy.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend([0; 2]);
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.store.0);
        bytes.extend(self.salt);
        bytes.extend(self.before.segment.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.before.end.to_be_bytes());
        bytes.extend(self.before.last.number.to_be_bytes());
        bytes.extend(self.before.last.chain.to_be_bytes());
        let check = crc32c::crc32c(&bytes);
        bytes.extend(check.to_be_bytes());
        bytes
    }

    /// The first sound copy among the two in the first bytes of segment `number`.
    pub(crate) fn parse(bytes: &[u8], number: u32) -> Parsed {
        Parsed::first(Self::parse_both(bytes, number))
    }

    /// What stands in either place of a copy.
    pub(crate) fn parse_both(bytes: &[u8], number: u32) -> [Parsed; 2] {
        COPIES.map(|at| {
            let copy = usize::try_from(at).ok().and_then(|at| bytes.get(at..at + HEADER));
            copy.map_or(Parsed::Bad, |copy| Self::parse_copy(copy, number))
        })
    }

    fn parse_copy(bytes: &[u8], number: u32) -> Parsed {
        let (covered, check) = bytes.split_at(HEADER - 4);
        if !covered.starts_with(MAGIC) || crc32c::crc32c(covered).to_be_bytes() != check {
            return Parsed::Bad;
        }
        let version = u16::from_be_bytes(array(covered, 8));
        if version != VERSION {
            return Parsed::Newer(version);
        }
        let header = Self {
            number: u32::from_be_bytes(array(covered, 12)),
            store: StoreId(array(covered, 16)),
            salt: array(covered, 32),
            before: Verdict {
                segment: u32::from_be_bytes(array(covered, 48)),
                end: u64::from_be_bytes(array(covered, 56)),
                last: Position {
                    number: u64::from_be_bytes(array(covered, 64)),
                    chain: u32::from_be_bytes(array(covered, 72)),
                },
            },
        };
        if header.number == number && header.before.segment < number {
            Parsed::Header(header)
        } else {
            Parsed::Bad
        }
    }
}

/// The bytes of a field; the offsets here are all within a header.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            number: 18,
            store: StoreId([1; 16]),
            salt: [2; 16],
            before: Verdict {
                segment: 17,
                end: 9_000,
                last: Position { number: 500, chain: 0xdead_beef },
            },
        }
    }

    #[test]
    fn either_copy_is_enough() {
        let encoded = header().encode();
        assert_eq!(encoded.len(), HEADER);
        for at in [0, 4096] {
            let mut bytes = vec![0; 8192];
            bytes[at..at + HEADER].copy_from_slice(&encoded);
            assert_eq!(Header::parse(&bytes, 18), Parsed::Header(header()));
            assert_eq!(Header::parse(&bytes, 17), Parsed::Bad);
            for byte in at..at + HEADER {
                bytes[byte] ^= 1;
                assert_eq!(Header::parse(&bytes, 18), Parsed::Bad, "byte {byte}");
                bytes[byte] ^= 1;
            }
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut encoded = header().encode();
        encoded[9] = 2;
        let check = crc32c::crc32c(&encoded[..HEADER - 4]);
        encoded[HEADER - 4..].copy_from_slice(&check.to_be_bytes());
        assert_eq!(Header::parse(&encoded, 18), Parsed::Newer(2));
    }

    #[test]
    fn the_format_is_kept() {
        let hex = base16ct::lower::encode_string(&header().encode());
        assert_eq!(
            hex,
            "646673647365670a0001000000000012010101010101010101010101010101010202020202020202\
             02020202020202020000001100000000000000000000232800000000000001f4deadbeef3f6c4876"
        );
    }
}
