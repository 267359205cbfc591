//! Packed locations: where a block, a page or a record is, in ten bytes.
//!
//! Knows no disk. Invariant: what comes out is what went in, for every place that a log of ours has; what no log has
//! comes out as another place, where a reader finds that something else stands.

use crate::limits::{BLOCK, GROUP_BYTES_MAX, SEGMENT};
use crate::store::values::{BlockPlace, LogPlace};

/// A length has so many bits, an offset the rest of six bytes.
const LENGTH_BITS: u32 = 21;
const OFFSET_BITS: u32 = 48 - LENGTH_BITS;
/// No item begins there: the place is a file of the tree, and the segment the one that names it.
const FILE: u32 = 0;
/// What names a block file says how long that is.
const FILE_ITEM: u32 = 4;

const _: () = assert!(BLOCK < 1 << LENGTH_BITS);
// A group begins before a segment is full.
const _: () = assert!(SEGMENT + 2 * (GROUP_BYTES_MAX as u64) < 1 << OFFSET_BITS);

/// A place: the segment in four bytes, then the offset and the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedLocation([u8; 10]);

impl PackedLocation {
    fn new(segment: u32, offset: u32, length: u32) -> Self {
        let offset = u64::from(offset).min((1 << OFFSET_BITS) - 1);
        let length = u64::from(length).min((1 << LENGTH_BITS) - 1);
        let mut bytes = [0; 10];
        bytes[..4].copy_from_slice(&segment.to_be_bytes());
        bytes[4..].copy_from_slice(&(offset << LENGTH_BITS | length).to_be_bytes()[2..]);
        Self(bytes)
    }

    /// A block file of this length, which a segment names.
    #[must_use]
    pub(crate) fn file(segment: u32, length: u32) -> Self {
        Self::new(segment, FILE, length)
    }

    /// The segment in which it lies, or which names it.
    #[must_use]
    pub(crate) fn segment(self) -> u32 {
        self.in_log().segment
    }

    /// How long what lies there is.
    #[must_use]
    pub(crate) fn length(self) -> u32 {
        self.in_log().length
    }

    /// Bytes that the log itself has of it, without the head of its item.
    #[must_use]
    pub(crate) fn item_length(self) -> u32 {
        match self.in_log() {
            LogPlace { offset: FILE, .. } => FILE_ITEM,
            place => place.length,
        }
    }

    /// The same place as an item of the log; of a file of the tree the offset is none.
    #[must_use]
    pub(crate) fn in_log(self) -> LogPlace {
        let [a, b, c, d, rest @ ..] = self.0;
        let [e, f, g, h, i, j] = rest;
        let rest = u64::from_be_bytes([0, 0, e, f, g, h, i, j]);
        let part = |bits: u64| u32::try_from(bits).expect("both parts are shorter than 32 bits");
        LogPlace {
            segment: u32::from_be_bytes([a, b, c, d]),
            offset: part(rest >> LENGTH_BITS),
            length: part(rest & ((1 << LENGTH_BITS) - 1)),
        }
    }
}

impl From<LogPlace> for PackedLocation {
    fn from(LogPlace { segment, offset, length }: LogPlace) -> Self {
        Self::new(segment, offset, length)
    }
}

impl From<PackedLocation> for BlockPlace {
    fn from(packed: PackedLocation) -> Self {
        let place = packed.in_log();
        match place.offset {
            FILE => Self::Tree { length: place.length },
            _ => Self::Log(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_out_as_it_went_in() {
        let last = (1 << OFFSET_BITS) - 1;
        for (segment, offset, length) in
            [(1, 8192, 0), (7, last, 4096), (u32::MAX, 1, 65_536), (1, 41, 1 << 20)]
        {
            let place = LogPlace { segment, offset, length };
            assert_eq!(PackedLocation::from(place).in_log(), place);
            assert_eq!(BlockPlace::from(PackedLocation::from(place)), BlockPlace::Log(place));
        }
        for length in [0, 1, 70_000, 1 << 20] {
            let packed = PackedLocation::file(9, length);
            assert_eq!(BlockPlace::from(packed), BlockPlace::Tree { length });
            assert_eq!((packed.segment(), packed.length(), packed.item_length()), (9, length, 4));
        }
    }

    #[test]
    fn a_place_that_no_log_has_stays_in_its_bounds() {
        let place = LogPlace { segment: 3, offset: u32::MAX, length: u32::MAX };
        let packed = PackedLocation::from(place).in_log();
        assert_eq!((packed.segment, packed.offset), (3, (1 << OFFSET_BITS) - 1));
        assert_eq!(packed.length, (1 << LENGTH_BITS) - 1);
    }
}
