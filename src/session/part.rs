//! Parts of a file: which bytes a get hands out, and what of a block list they touch.
//!
//! Knows no block's content and no key. Invariant: what is handed out of a part lies within the file.

use super::error::ClientError;
use crate::limits::LEAF;
use crate::seeded::{self, Bug};
use crate::wire::frame::leaves_of;
use bytes::{Buf, Bytes};
use std::ops::Range;

/// Some bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// From `first` on, before `end`, or before the end of the file if that is less; none if both are the same.
    Range {
        /// The first byte, counted from 0.
        first: u64,
        /// The byte after the last one.
        end: u64,
    },
    /// The last so many bytes, or all if there are fewer.
    Tail(u64),
}

impl Part {
    /// Which bytes these are of a file of this size.
    ///
    /// # Errors
    /// A range begins where there is no byte any more.
    pub fn of(self, size: u64) -> Result<Range<u64>, ClientError> {
        match self {
            Self::Tail(count) => Ok(size.saturating_sub(count)..size),
            Self::Range { first, end } if first > size || (first == size && end > first) => {
                Err(ClientError::BeyondEnd { size })
            }
            Self::Range { first, end } => Ok(first..end.clamp(first, size)),
        }
    }

    /// How many bytes these are of a file of this size.
    #[must_use]
    pub fn length(self, size: u64) -> u64 {
        self.of(size).map_or(0, |bytes| bytes.end - bytes.start)
    }
}

/// What one get hands out of a file.
#[derive(Debug)]
pub(super) struct Span {
    from: u64,
    to: u64,
    /// What it does not touch is not looked at. Else all of the block list is, which gives the file's hash.
    is_part: bool,
}

impl Span {
    /// All from this byte on.
    pub(super) fn rest(from: u64) -> Self {
        Self { from, to: u64::MAX, is_part: false }
    }

    /// These bytes alone.
    pub(super) fn part(Range { start, end }: Range<u64>) -> Self {
        Self { from: start, to: end, is_part: true }
    }

    pub(super) fn is_part(&self) -> bool {
        self.is_part
    }

    /// The end of a part.
    pub(super) fn end(&self) -> u64 {
        self.to
    }

    /// Nothing has to be known of so many bytes from `at` on.
    pub(super) fn passes_over(&self, at: u64, bytes: u64) -> bool {
        let is_apart = self.from >= self.to || at + bytes <= self.from || at >= self.to;
        self.is_part && is_apart
    }

    /// The leaves that it touches of a block that begins at `at`.
    pub(super) fn leaves(&self, at: u64, length: u32) -> Range<usize> {
        let inside = |byte: u64| {
            let byte = byte.saturating_sub(at).min(u64::from(length));
            usize::try_from(byte).expect("a block is 1 MiB at most")
        };
        let (first, end) = (inside(self.from), inside(self.to));
        if first == end { 0..0 } else { first / LEAF..end.div_ceil(LEAF).min(leaves_of(length)) }
    }

    /// What is to be handed out of bytes that begin at `at`.
    pub(super) fn cut(&self, at: u64, mut bytes: Bytes) -> Bytes {
        let inside = |byte: u64, length: usize| {
            usize::try_from(byte.saturating_sub(at)).map_or(length, |byte| byte.min(length))
        };
        bytes.truncate(inside(self.to, bytes.len()));
        if !(self.is_part && seeded::is_on(Bug::IgnoreOffset)) {
            bytes.advance(inside(self.from, bytes.len()));
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BLOCK;

    fn range(first: u64, end: u64) -> Part {
        Part::Range { first, end }
    }

    #[test]
    fn a_part_is_cut_to_the_file_and_does_not_begin_beyond_it() {
        assert_eq!(range(0, 1).of(5), Ok(0..1));
        assert_eq!(range(4, u64::MAX).of(5), Ok(4..5));
        assert_eq!(range(2, 2).of(5), Ok(2..2));
        assert_eq!(range(5, 5).of(5), Ok(5..5), "what is left when all has come");
        for part in [range(5, 6), range(6, 6), range(u64::MAX, u64::MAX)] {
            assert_eq!(part.of(5), Err(ClientError::BeyondEnd { size: 5 }), "{part:?}");
        }
        assert_eq!(range(0, u64::MAX).of(0), Err(ClientError::BeyondEnd { size: 0 }));
        assert_eq!(Part::Tail(0).of(5), Ok(5..5));
        assert_eq!(Part::Tail(2).of(5), Ok(3..5));
        assert_eq!(Part::Tail(u64::MAX).of(5), Ok(0..5));
        assert_eq!(Part::Tail(9).of(0), Ok(0..0));
        assert_eq!((range(1, 4).length(5), range(9, 10).length(5)), (3, 0));
    }

    #[test]
    fn a_part_touches_few_leaves_and_the_rest_of_a_file_all() {
        let (leaf, block) = (LEAF as u64, BLOCK as u64);
        let leaves = |from, to, at| Span::part(from..to).leaves(at, BLOCK as u32);
        assert_eq!(leaves(0, 1, 0), 0..1);
        assert_eq!(leaves(leaf - 1, leaf + 1, 0), 0..2);
        assert_eq!(leaves(leaf, leaf + 1, 0), 1..2);
        assert_eq!(leaves(block - 1, block + 1, 0), 31..32);
        assert_eq!(leaves(block - 1, block + 1, block), 0..1);
        assert_eq!(leaves(0, block, block), 0..0);
        assert_eq!(Span::part(3..100).leaves(0, 10), 0..1);
        assert_eq!(Span::rest(0).leaves(block, BLOCK as u32), 0..32);
        assert_eq!(Span::rest(leaf + 1).leaves(0, BLOCK as u32), 1..32);
        assert_eq!(Span::rest(block).leaves(0, BLOCK as u32), 0..0);
        let part = Span::part(10..20);
        let passed = |at, bytes| part.passes_over(at, bytes);
        assert!(passed(0, 10) && passed(20, 1) && !passed(9, 2) && !passed(19, 5));
        assert!(Span::part(5..5).passes_over(0, 10), "nothing is wanted");
        assert!(!Span::rest(10).passes_over(0, 5), "its tree counts");
    }

    #[test]
    fn what_is_handed_out_is_cut_at_both_ends() {
        let cut = |from, to| Span::part(from..to).cut(10, Bytes::from_static(b"abcdef"));
        assert_eq!(cut(0, 100), "abcdef");
        assert_eq!(cut(12, 13), "c");
        assert_eq!(cut(15, 100), "f");
        assert_eq!(cut(0, 11), "a");
    }
}
