//! The header of a segment: which store it belongs to, and the verdict on all that was written before it.
//!
//! ```text
//! magic 8 | version 2 | zeros 2 | number 4 | store id 16 | salt 16 | last segment with a group 4 | when it was begun 4 | its end 8
//! | last good group 8 | chain 4 | CRC-32C 4 | segments gone on purpose | CRC-32C of all before 4
//! ```
//! Big endian, times in seconds since 1970, 0 for one that is not known; written twice, and durable before the first frame. Whatever comes after them, every format has these first
//! 80 bytes and their CRC, by which an older program knows a newer one's segment. The first format ends with them: in it
//! no segment is gone on purpose. What follows them may be damaged: then the header is good, and does not say what is gone.
//! Knows no file. Invariant: what a header names as good was flushed before the header was
//! written, and what lies beyond it is void for ever.

use crate::ids::StoreId;
use crate::limits::{CALENDAR_MIN, SEGMENTS_REMOVED_MAX};
use crate::store::frame::{Position, Salt};
use crate::store::removed::RemovedSegments;
use crate::store::values::SegmentBegun;

/// Bytes of a header that every format has.
const HEADER: usize = 80;
/// A copy of a header is not longer.
const COPY_MAX: usize = 4096;
/// Where its two copies are.
pub(crate) const COPIES: [u64; 2] = [0, 4096];
/// Where the first frame begins.
pub(crate) const FRAMES: u64 = 8192;

const MAGIC: &[u8; 8] = b"dfsdseg\n";
/// The format that is written; greater ones are refused.
const VERSION: u16 = 3;
/// In this one no two entries stand for all segments between them.
const SECOND_VERSION: u16 = 2;
/// Without the segments that are gone on purpose.
const FIRST_VERSION: u16 = 1;

// A mark, a count and 16 bytes of each; and the second CRC.
const _: () = assert!(HEADER + 8 + 16 * SEGMENTS_REMOVED_MAX + 4 <= COPY_MAX);

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u32,
    pub(crate) store: StoreId,
    pub(crate) salt: Salt,
    pub(crate) before: Verdict,
    /// When it was begun, in seconds since 1970; 0 if that is not known. All that earlier ones hold came before.
    pub(crate) begun_s: u32,
    /// Segments that were gone on purpose when it was written; `None` if that cannot be read.
    pub(crate) removed: Option<RemovedSegments>,
}

/// What stands where a header should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parsed {
    Header(Header),
    /// A sound header of a format that is not known here.
    Newer(u16),
    Bad,
}

impl Parsed {
    /// The first of both copies that is sound, or else the first that is a header.
    pub(crate) fn first(copies: [Self; 2]) -> Self {
        let [first, second] = copies;
        match first {
            Self::Bad => second,
            Self::Header(Header { removed: None, .. }) if second.is_sound() => second,
            first => first,
        }
    }

    /// Whether it is a header with all that it says.
    pub(crate) fn is_sound(&self) -> bool {
        matches!(self, Self::Header(Header { removed: Some(_), .. }))
    }
}

impl Header {
    /// When its segment was begun, if it says so. A calendar that was plainly wrong dates nothing.
    pub(crate) fn begun(&self) -> Option<SegmentBegun> {
        let at_ms = u64::from(self.begun_s) * 1000;
        (at_ms >= CALENDAR_MIN).then_some(SegmentBegun { segment: self.number, at_ms })
    }

    /// The bytes of one copy.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let removed = self.removed.as_ref().expect("what is written is known");
        let mut bytes = Vec::with_capacity(HEADER + removed.length() + 4);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend([0; 2]);
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.store.0);
        bytes.extend(self.salt);
        bytes.extend(self.before.segment.to_be_bytes());
        bytes.extend(self.begun_s.to_be_bytes());
        bytes.extend(self.before.end.to_be_bytes());
        bytes.extend(self.before.last.number.to_be_bytes());
        bytes.extend(self.before.last.chain.to_be_bytes());
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        removed.encode(&mut bytes);
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    /// What stands in either place of a copy.
    pub(crate) fn parse_both(bytes: &[u8], number: u32) -> [Parsed; 2] {
        COPIES.map(|at| {
            let copy = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
            copy.map_or(Parsed::Bad, |copy| Self::parse_copy(copy, number))
        })
    }

    fn parse_copy(bytes: &[u8], number: u32) -> Parsed {
        let Some(covered) = checked(bytes, HEADER - 4).filter(|bytes| bytes.starts_with(MAGIC))
        else {
            return Parsed::Bad;
        };
        let removed = match u16::from_be_bytes(array(covered, 8)) {
            FIRST_VERSION => Some(RemovedSegments::default()),
            SECOND_VERSION | VERSION => removed(bytes),
            version => return Parsed::Newer(version),
        };
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
            begun_s: u32::from_be_bytes(array(covered, 52)),
            removed,
        };
        if header.number == number && header.before.segment < number {
            Parsed::Header(header)
        } else {
            Parsed::Bad
        }
    }
}

/// So many bytes, if the CRC after them is theirs.
fn checked(bytes: &[u8], length: usize) -> Option<&[u8]> {
    let (covered, rest) = bytes.split_at_checked(length)?;
    rest.starts_with(&crc32c::crc32c(covered).to_be_bytes()).then_some(covered)
}

/// The segments that are gone on purpose, in a copy of a header of the present format.
fn removed(copy: &[u8]) -> Option<RemovedSegments> {
    let removed = RemovedSegments::decode(copy.get(HEADER..)?)?;
    checked(copy, HEADER + removed.length()).map(|_| removed)
}

/// The bytes of a field; the offsets here are all within a header.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8], number: u32) -> Parsed {
        Parsed::first(Header::parse_both(bytes, number))
    }

    /// A mark, and one above it.
    const REMOVED: [u8; 24] =
        [0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 11, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0x23, 0x29];

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
            begun_s: 0,
            removed: RemovedSegments::decode(&REMOVED),
        }
    }

    #[test]
    fn either_copy_is_enough() {
        let encoded = header().encode();
        assert_eq!(encoded.len(), HEADER + REMOVED.len() + 4);
        for at in [0, 4096] {
            let mut bytes = vec![0; 8192];
            bytes[at..at + encoded.len()].copy_from_slice(&encoded);
            assert_eq!(parse(&bytes, 18), Parsed::Header(header()));
            assert_eq!(parse(&bytes, 17), Parsed::Bad);
            for byte in at..at + encoded.len() {
                bytes[byte] ^= 1;
                let expected = if byte < at + HEADER { Parsed::Bad } else { unlisted() };
                assert_eq!(parse(&bytes, 18), expected, "byte {byte}");
                bytes[byte] ^= 1;
            }
        }
        for length in 0..encoded.len() {
            let expected = if length < HEADER { Parsed::Bad } else { unlisted() };
            assert_eq!(parse(&encoded[..length], 18), expected, "cut at {length}");
        }
    }

    fn unlisted() -> Parsed {
        Parsed::Header(Header { removed: None, ..header() })
    }

    #[test]
    fn of_two_copies_the_one_counts_that_says_what_is_gone() {
        let sound = || Parsed::Header(header());
        for (copies, expected) in [
            ([unlisted(), sound()], sound()),
            ([sound(), unlisted()], sound()),
            ([unlisted(), Parsed::Bad], unlisted()),
            ([Parsed::Bad, unlisted()], unlisted()),
            ([Parsed::Newer(9), sound()], Parsed::Newer(9)),
        ] {
            assert_eq!(Parsed::first(copies), expected);
        }
    }

    /// The first bytes with another version, and what follows them.
    fn of_version(version: u8, rest: &[u8]) -> Vec<u8> {
        let mut encoded = header().encode()[..HEADER].to_vec();
        encoded[9] = version;
        let check = crc32c::crc32c(&encoded[..HEADER - 4]);
        encoded[HEADER - 4..].copy_from_slice(&check.to_be_bytes());
        [&encoded, rest].concat()
    }

    #[test]
    fn a_header_says_when_its_segment_was_begun() {
        let header = Header { begun_s: 0x6b01_0203, ..header() };
        assert_eq!(header.begun().map(|begun| begun.at_ms), Some(0x6b01_0203 * 1000));
        assert_eq!(parse(&header.encode(), 18), Parsed::Header(header));
    }

    #[test]
    fn a_header_that_was_dated_by_a_wrong_calendar_does_not() {
        let least = u32::try_from(CALENDAR_MIN / 1000).unwrap();
        for (begun_s, says) in [(0, false), (7, false), (least - 1, false), (least, true)] {
            assert_eq!(Header { begun_s, ..header() }.begun().is_some(), says, "{begun_s}");
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        for rest in [&[][..], &[7; 500]] {
            assert_eq!(parse(&of_version(4, rest), 18), Parsed::Newer(4));
        }
    }

    #[test]
    fn in_the_first_format_no_segment_is_gone_on_purpose() {
        let before = Header { removed: Some(RemovedSegments::default()), ..header() };
        let first = of_version(1, &[]);
        let hex: String = first.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "646673647365670a0001000000000012010101010101010101010101010101010202020202020202\
             02020202020202020000001100000000000000000000232800000000000001f4deadbeef3f6c4876"
        );
        assert_eq!(parse(&first, 18), Parsed::Header(before));
    }

    #[test]
    fn the_longest_header_fits_its_place() {
        let count = u32::try_from(SEGMENTS_REMOVED_MAX).unwrap();
        let mut set = [[0; 4], count.to_be_bytes()].concat();
        for number in 1..=count {
            set.extend(number.to_be_bytes());
            set.extend([0; 12]);
        }
        let removed = RemovedSegments::decode(&set);
        let header = Header { removed, ..header() };
        let encoded = header.encode();
        assert!(encoded.len() <= COPY_MAX);
        assert_eq!(parse(&encoded, 18), Parsed::Header(header));
    }

    #[test]
    fn the_format_is_kept() {
        let hex = base16ct::lower::encode_string(&header().encode());
        assert_eq!(
            hex,
            "646673647365670a0003000000000012010101010101010101010101010101010202020202020202\
             02020202020202020000001100000000000000000000232800000000000001f4deadbeefc10e38ce\
             00000009000000010000000b0000000a0000000000002329c897bb00"
        );
    }
}
