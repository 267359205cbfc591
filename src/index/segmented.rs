//! A segmented vector: a list that grows without moving what is in it.
//!
//! Knows nothing of what a row is. Memory is taken in pieces, so that there is never an old list beside a new one, and
//! only the last piece has room to spare. Invariant: all pieces but the last are full.

use std::ops::{Index, IndexMut};

/// Rows of a piece: a power of two.
const PIECE: usize = 512;

/// A list whose rows are found by their number.
#[derive(Debug)]
pub(crate) struct SegmentedVec<T> {
    pieces: Vec<Vec<T>>,
}

impl<T> Default for SegmentedVec<T> {
    fn default() -> Self {
        Self { pieces: Vec::new() }
    }
}

impl<T> SegmentedVec<T> {
    /// Adds a row; tells its number.
    pub(crate) fn push(&mut self, row: T) -> u32 {
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
            // The first piece is small, and not so early that a list which stays empty costs something.
            self.pieces.push(Vec::new());
        }
        let full = (self.pieces.len() - 1) * PIECE;
        let last = self.pieces.last_mut().expect("there is a piece now");
        if last.len() == last.capacity() {
            last.reserve_exact(if full == 0 { PIECE / 8 } else { PIECE });
        }
        last.push(row);
        u32::try_from(full + last.len() - 1).expect("fewer than 2^32 rows fit in memory")
    }
}

#[cfg(test)]
impl<T> SegmentedVec<T> {
    fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }
}

impl<T> Index<u32> for SegmentedVec<T> {
    type Output = T;

    fn index(&self, row: u32) -> &T {
        &self.pieces[row as usize / PIECE][row as usize % PIECE]
    }
}

impl<T> IndexMut<u32> for SegmentedVec<T> {
    fn index_mut(&mut self, row: u32) -> &mut T {
        &mut self.pieces[row as usize / PIECE][row as usize % PIECE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_where_they_are() {
        let mut rows = SegmentedVec::default();
        for number in 0..3000 {
            assert_eq!(rows.push(number), number);
        }
        rows[1024] = 7;
        for (at, row) in rows.iter().enumerate() {
            let at = u32::try_from(at).unwrap();
            assert_eq!((*row, rows[at]), if at == 1024 { (7, 7) } else { (at, at) });
        }
        assert_eq!(rows.iter().count(), 3000);
        assert!(rows.pieces.iter().all(|piece| piece.capacity() == PIECE));
    }
}
