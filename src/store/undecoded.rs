//! What a start could not decode of the log: how much it is, and whether all of that was made good before.
//!
//! ```text
//! made-good: one line of each segment with damage: 64 hex digits, a hash of what was damaged there
//! ```
//! Knows no name and no peer. Invariant: "made good" is said of exactly what was found then, segment by segment: with any
//! other damage all of it is told again. Parts of the log that were never acknowledged are none.

use super::fs::FileSystem;
use super::layout;
use super::remains::Gone;
use super::removed::RemovedSegments;
use crate::ids::Hash;
use crate::seeded::{self, Bug};
use crate::wire::log_damage::LogDamage;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io;
use std::ops::Range;

/// More of the file is not looked at: that many segments are not damaged.
const MADE_GOOD_MAX: usize = 16 * 1024 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Undecoded {
    /// In segments that can be read.
    ranges: LogDamage,
    /// Over these, in order, of each segment that has some.
    hashers: BTreeMap<u32, Sha256>,
    /// Segments that are gone as a whole, and their bytes as far as these are in `quarantine/`.
    gone: BTreeMap<u32, u64>,
}

/// All that a start could not decode.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) id: Hash,
    /// How much of it there is, unless all of it was made good before.
    pub(super) left: Option<LogDamage>,
    /// What the file says once it is made good.
    pub(super) made_good: String,
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

    /// This segment is there, and was only missed before. Were that still known when it is given up, it would be missed
    /// again.
    pub(super) fn found_again<F: FileSystem>(&mut self, fs: &F, number: u32) {
        if self.gone.get(&number) == Some(&0) {
            self.gone.remove(&number);
            let _ = fs.remove(&layout::bad_segment(number));
        }
    }

    /// Nobody misses what is gone on purpose.
    pub(super) fn given_up(&mut self, removed: &RemovedSegments) {
        self.gone.retain(|number, bytes| *bytes > 0 || !removed.contains(*number));
    }

    /// Of a damaged range so much is gone.
    pub(super) fn add_range(&mut self, segment: u32, range: &Range<u64>, gone: Gone) {
        let Gone { bytes: lost, unsound } = gone;
        if lost > 0 {
            self.ranges.add(lost);
        }
        if lost > 0 || unsound > 0 {
            let hasher = self.hashers.entry(segment).or_default();
            for number in [range.start, range.end, lost, unsound] {
                hasher.update(number.to_be_bytes());
            }
        }
    }

    /// The id of all that was found, and how much of it nobody has made good.
    pub(super) fn finish<F: FileSystem>(mut self, fs: &F) -> Damage {
        let mut damage = self.ranges;
        for (number, bytes) in &self.gone {
            damage.add(*bytes);
            self.hashers.entry(*number).or_default().update(b"all");
        }
        let mut all = Sha256::new();
        let mut made_good = String::new();
        for (number, mut hasher) in self.hashers {
            hasher.update(number.to_be_bytes());
            let line = hash(hasher);
            all.update(line.0);
            writeln!(made_good, "{line}").expect("a string takes everything");
        }
        let left = (!is_made_good(fs, &made_good)).then_some(damage);
        Damage { id: hash(all), left, made_good }
    }
}

/// What is said of all damage, or of one segment's.
fn hash(mut hasher: Sha256) -> Hash {
    hasher.update(b"dfsd log damage 2");
    let digest = hasher.finalize();
    Hash(std::array::from_fn(|index| digest[index]))
}

/// Whether each of these lines stands in the file.
fn is_made_good<F: FileSystem>(fs: &F, lines: &str) -> bool {
    if lines.is_empty() {
        return true;
    }
    let read = fs.open(layout::MADE_GOOD).and_then(|file| {
        let length = usize::try_from(fs.length(&file)?).unwrap_or(usize::MAX);
        fs.read(&file, 0, length.min(MADE_GOOD_MAX))
    });
    let Ok(text) = read else {
        return false;
    };
    let known: BTreeSet<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    lines.lines().all(|line| known.contains(line.as_bytes())) || seeded::is_on(Bug::MadeGoodForEver)
}
