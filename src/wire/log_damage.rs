//! How much of a node's log is damaged so that nobody can say which names it was about.
//!
//! Knows no node. Invariant: values only; there are no bytes without a place.

use super::Malformed;
use super::cursor::{Field, Reader};
use std::fmt;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogDamage {
    /// Places in the log; of whole segments that are gone, one each.
    pub places: u32,
    /// Bytes there, as far as that is known.
    pub bytes: u64,
}

impl LogDamage {
    /// Whether there is any.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.places > 0
    }

    /// One more place with so many bytes.
    pub fn add(&mut self, bytes: u64) {
        *self = self.and(Self { places: 1, bytes });
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            places: self.places.saturating_add(other.places),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

/// The fact, as a part of a sentence.
impl fmt::Display for LogDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { places, bytes } = self;
        let s = if *places == 1 { "" } else { "s" };
        write!(f, "{places} place{s} of the node's log ({bytes} bytes) cannot be decoded")
    }
}

impl Field for LogDamage {
    fn put(&self, out: &mut Vec<u8>) {
        self.places.put(out);
        self.bytes.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let damage = Self { places: u32::take(from)?, bytes: u64::take(from)? };
        if damage.places == 0 && damage.bytes > 0 {
            return Err(Malformed("damaged bytes at no place"));
        }
        Ok(damage)
    }
}
