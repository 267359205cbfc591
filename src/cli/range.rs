//! Ranges: which bytes of a file a command line means.
//!
//! Knows no file's size. Invariant: the last byte is not before the first.

use crate::config::Size;
use crate::session::Part;
use std::str::FromStr;

const EXPECTED: &str = "expected FIRST-LAST or FIRST-, in bytes, as in 0-1023 or 1MiB-";

/// From one byte to another, both counted from 0 and both meant too, or to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByteRange {
    first: u64,
    last: Option<u64>,
}

impl ByteRange {
    pub(crate) fn part(self) -> Part {
        let end = self.last.map_or(u64::MAX, |last| last.saturating_add(1));
        Part::Range { first: self.first, end }
    }
}

impl FromStr for ByteRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').ok_or(EXPECTED)?;
        if first.is_empty() {
            return Err(format!("{EXPECTED}; cat --tail takes bytes from the end"));
        }
        let byte = |text: &str| text.parse().map(|Size(byte)| byte).map_err(|_| EXPECTED);
        let first = byte(first)?;
        let last = if last.is_empty() { None } else { Some(byte(last)?) };
        match last {
            Some(last) if last < first => {
                Err(format!("its end, {last}, is before its beginning, {first}"))
            }
            last => Ok(Self { first, last }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_people_write_them() {
        let part = |text: &str| text.parse::<ByteRange>().map(ByteRange::part);
        let range = |first, end| Ok(Part::Range { first, end });
        assert_eq!(part("0-0"), range(0, 1));
        assert_eq!(part("5-"), range(5, u64::MAX));
        assert_eq!(part("1KiB-2KiB"), range(1024, 2049));
        assert_eq!(part(&format!("7-{}", u64::MAX)), range(7, u64::MAX));
        for wrong in ["", "-", "5", "-5", "a-b", "5-x", "1-2-3", "0--1", "1.5-2", "2-1"] {
            assert!(part(wrong).is_err(), "{wrong}");
        }
        assert!(part("-5").unwrap_err().contains("--tail"));
        assert!(part("2-1").unwrap_err().contains("before its beginning"));
    }
}
