//! One bit for each row of a table.
//!
//! Knows no row. Invariant: a row that was never set takes no room.

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// Sets or clears a row's bit; whether that changes it.
    pub(crate) fn set(&mut self, row: u32, on: bool) -> bool {
        let (word, bit) = place(row);
        if self.is(row) == on {
            return false;
        }
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] ^= bit;
        true
    }

    /// Whether a row's bit is set.
    #[must_use]
    pub(crate) fn is(&self, row: u32) -> bool {
        let (word, bit) = place(row);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Rows are in words of 64: so many words have, or had, a bit that is set.
    #[must_use]
    pub(crate) fn words(&self) -> usize {
        self.0.len()
    }

    /// The bits of 64 rows, the first lowest.
    #[must_use]
    pub(crate) fn word(&self, word: usize) -> u64 {
        self.0.get(word).copied().unwrap_or(0)
    }

    /// Sets the bits of all rows that others are set of.
    pub(crate) fn add(&mut self, others: &Self) {
        if self.0.len() < others.0.len() {
            self.0.resize(others.0.len(), 0);
        }
        self.0.iter_mut().zip(&others.0).for_each(|(word, other)| *word |= other);
    }

    /// No row's bit is set any more.
    pub(crate) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    /// Bytes for which there is room.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.0.capacity() * 8
    }
}

fn place(row: u32) -> (usize, u64) {
    (row as usize / 64, 1 << (row % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_a_bit_of_its_own() {
        let mut bits = Bits::default();
        assert!(!bits.set(700, false) && bits.room() == 0);
        for row in [0, 63, 64, 700] {
            assert!(bits.set(row, true) && !bits.set(row, true), "{row}");
        }
        let set: Vec<u32> = (0..1_000).filter(|row| bits.is(*row)).collect();
        assert_eq!(set, [0, 63, 64, 700]);
        assert!(bits.set(63, false) && !bits.is(63) && bits.is(64));
        let mut other = Bits::default();
        [3, 63].into_iter().for_each(|row| _ = other.set(row, true));
        other.add(&bits);
        let set: Vec<u32> = (0..1_000).filter(|row| other.is(*row)).collect();
        assert_eq!(set, [0, 3, 63, 64, 700]);
        bits.clear();
        assert!((0..1_000).all(|row| !bits.is(row)));
    }
}
