//! What a start could not decode of the log: how much it is, and whether all of that was made good before.
//!
//! Knows no name and no peer. Invariant: "made good" is said of exactly what was found then: with any other damage all of it
//! is told again. Parts of the log that were never acknowledged are none.

use super::fs::FileSystem;
use super::layout;
use super::remains::Gone;
use crate::ids::Hash;
use crate::planted::{self, Bug};
use crate::wire::log_damage::LogDamage;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Undecoded {
    /// In segments that can be read.
    ranges: LogDamage,
    /// Over these, in order.
    hasher: Sha256,
    has_any: bool,
    /// Segments that are gone as a whole, and their bytes as far as these are in `quarantine/`.
    gone: BTreeMap<u32, u64>,
}

impl Undecoded {
    /// The segments of which an earlier start has found that they are gone.
    pub(super) fn find_gone<F: FileSystem>(&mut self, fs: &F) -> io::Result<()> {
        for name in fs.list(layout::QUARANTINE)? {
            if let Some(number) = layout::segment_number(&name) {
                let file = fs.open(&layout::bad_segment(number));
                let length = file.and_then(|file| fs.length(&file));
                self.gone.insert(number, length.unwrap_or(0));
            }
        }
        Ok(())
    }

    /// A whole segment is gone, and this much of it is there.
    pub(super) fn add_segment(&mut self, number: u32, bytes: u64) {
        self.gone.entry(number).or_insert(bytes);
    }

    /// This segment is there, and was only missed before.
    pub(super) fn found_again(&mut self, number: u32) {
        if self.gone.get(&number) == Some(&0) {
            self.gone.remove(&number);
        }
    }

    /// Of a damaged range so much is gone.
    pub(super) fn add_range(&mut self, segment: u32, range: &Range<u64>, gone: Gone) {
        let Gone { bytes: lost, unsound } = gone;
        if lost > 0 {
            self.ranges.add(lost);
        }
        if lost > 0 || unsound > 0 {
            self.has_any = true;
            self.hasher.update(segment.to_be_bytes());
            for number in [range.start, range.end, lost, unsound] {
                self.hasher.update(number.to_be_bytes());
            }
        }
    }

    /// The id of all that was found, and how much of it nobody has made good.
    pub(super) fn finish<F: FileSystem>(mut self, fs: &F) -> (Hash, Option<LogDamage>) {
        let mut damage = self.ranges;
        self.hasher.update(b"dfsd log damage 1");
        for (number, bytes) in &self.gone {
            damage.add(*bytes);
            self.hasher.update(number.to_be_bytes());
        }
        let digest = self.hasher.finalize();
        let id = Hash(std::array::from_fn(|index| digest[index]));
        let has_any = self.has_any || !self.gone.is_empty();
        (id, (has_any && !is_made_good(fs, &id)).then_some(damage))
    }
}

/// What the file says by which damage is known to be made good.
pub(super) fn made_good(damage: &Hash) -> String {
    format!("{damage}\n")
}

fn is_made_good<F: FileSystem>(fs: &F, damage: &Hash) -> bool {
    let read = fs.open(layout::MADE_GOOD).and_then(|file| fs.read(&file, 0, 2 * Hash::LENGTH + 1));
    let is_it = |text: Vec<u8>| text == made_good(damage).as_bytes();
    read.is_ok_and(|text| is_it(text) || planted::is_on(Bug::MadeGoodForEver))
}
