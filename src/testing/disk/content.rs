//! The bytes of a simulated file: pieces that are shared between copies, and zeros between them.
//!
//! Knows no disk and no power. Invariant: pieces do not overlap, and none is empty; what lies beyond the length is not
//! read.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes that a medium keeps or loses together.
pub(super) const SECTOR: usize = 512;

/// A file's bytes. A copy shares them.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pieces: BTreeMap<usize, Bytes>,
    pub(super) length: usize,
}

impl Content {
    /// Puts bytes in their place; the length stays.
    pub(super) fn put(&mut self, offset: usize, bytes: Bytes) {
        self.clear(offset..offset + bytes.len());
        if !bytes.is_empty() {
            self.pieces.insert(offset, bytes);
        }
    }

    /// Makes a hole, which reads as zeros.
    fn clear(&mut self, hole: Range<usize>) {
        let before = self.pieces.range(..hole.start).next_back();
        let first = before.filter(|(at, piece)| **at + piece.len() > hole.start);
        let mut hit: Vec<usize> = first.into_iter().map(|(at, _)| *at).collect();
        hit.extend(self.pieces.range(hole.start..hole.end.max(hole.start)).map(|(at, _)| *at));
        for at in hit {
            let piece = self.pieces.remove(&at).expect("it was listed");
            if at < hole.start {
                self.pieces.insert(at, piece.slice(..hole.start - at));
            }
            if at + piece.len() > hole.end {
                self.pieces.insert(hole.end, piece.slice(hole.end - at..));
            }
        }
    }

    pub(super) fn grow(&mut self, length: usize) {
        self.length = self.length.max(length);
    }

    /// Sets the length; what was beyond is gone for ever.
    pub(super) fn cut(&mut self, length: usize) {
        self.clear(length..usize::MAX);
        self.length = length;
    }

    /// The bytes of a range that lies within the length.
    pub(super) fn read(&self, range: Range<usize>, into: &mut [u8]) {
        let into = &mut into[..range.len()];
        let before = self.pieces.range(..=range.start).next_back().map(|(at, _)| *at);
        let mut filled = range.start;
        for (&at, piece) in self.pieces.range(before.unwrap_or(0)..range.end) {
            let (from, to) = (at.max(range.start), (at + piece.len()).min(range.end));
            if from < to {
                into[filled - range.start..from - range.start].fill(0);
                into[from - range.start..to - range.start]
                    .copy_from_slice(&piece[from - at..to - at]);
                filled = to;
            }
        }
        into[filled - range.start..].fill(0);
    }

    /// Changes one bit; false if there is no such byte.
    pub(super) fn flip(&mut self, offset: usize) -> bool {
        if offset >= self.length {
            return false;
        }
        let mut byte = [0];
        self.read(offset..offset + 1, &mut byte);
        self.put(offset, Bytes::from(vec![byte[0] ^ 4]));
        true
    }

    /// Equal for files that read alike, however they were written.
    pub(super) fn digest(&self) -> u64 {
        let mut digest = mix(self.length as u64, 1);
        let mut done = 0;
        for (&at, piece) in &self.pieces {
            let first = done.max(at / SECTOR);
            let last = (at + piece.len()).min(self.length).div_ceil(SECTOR);
            for sector in first..last {
                digest = digest.wrapping_add(self.sector_digest(sector));
            }
            done = done.max(last);
        }
        digest
    }

    /// Zero for zeros.
    fn sector_digest(&self, sector: usize) -> u64 {
        let start = sector * SECTOR;
        let mut bytes = [0; SECTOR];
        let end = self.length.min(start + SECTOR);
        self.read(start..end, &mut bytes);
        let words = bytes
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(std::array::from_fn(|index| word[index])));
        let (mut sum, mut is_zero) = (start as u64, true);
        for word in words {
            is_zero &= word == 0;
            sum = mix(sum, word);
        }
        if is_zero { 0 } else { sum }
    }
}

/// Folds a value into a sum, so that every bit of both counts.
pub(super) fn mix(sum: u64, value: u64) -> u64 {
    let product =
        u128::from(sum ^ 0x9e37_79b9_7f4a_7c15) * u128::from(value ^ 0xd6e8_feb8_6659_fd93);
    let low = u64::try_from(product & u128::from(u64::MAX)).expect("it was cut to that");
    let high = u64::try_from(product >> 64).expect("it was cut to that");
    (low ^ high).rotate_left(23) ^ sum.wrapping_mul(0xff51_afd7_ed55_8ccd) ^ value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Dice;

    #[test]
    fn it_reads_like_an_array_and_equal_bytes_have_equal_digests() {
        for seed in 0..50 {
            let (mut dice, mut plain, mut content) = (Dice(seed), vec![0; 0], Content::default());
            for step in 0..40 {
                let (offset, length) = (dice.below(3_000), dice.below(900));
                if dice.below(6) == 0 {
                    plain.resize(offset, 0);
                    content.cut(offset);
                    continue;
                }
                let bytes = vec![step + 1; length];
                plain.resize(plain.len().max(offset + length), 0);
                plain[offset..offset + length].copy_from_slice(&bytes);
                content.put(offset, bytes.into());
                content.grow(offset + length);
            }
            let mut read = vec![9; plain.len()];
            content.read(0..plain.len(), &mut read);
            assert_eq!(read, plain);
            let mut whole = Content::default();
            whole.put(0, plain.clone().into());
            whole.grow(plain.len());
            assert_eq!(whole.digest(), content.digest());
            assert!(plain.is_empty() || whole.flip(plain.len() / 2));
            assert!(plain.is_empty() || whole.digest() != content.digest());
        }
    }
}
