//! A segmented vector: rows found by their number, which stay where they are.
//!
//! Knows nothing of what a row is. Memory is taken in pieces, so that there is never an old list beside a new one, and
//! only the last piece has room to spare. A row that was removed is free: the next one takes its place. Invariant: all pieces
//! but the last are full, and no number is free twice.

use std::ops::{Index, IndexMut};

/// Rows of a piece: a power of two.
const PIECE: usize = 512;

/// See the module.
#[derive(Debug)]
pub(crate) struct SegmentedVec<T> {
    pieces: Vec<Vec<T>>,
    free: Vec<u32>,
}

impl<T> Default for SegmentedVec<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), free: Vec::new() }
    }
}

impl<T> SegmentedVec<T> {
    /// Puts a row where one is free, or after all others; tells its number.
    pub(crate) fn insert(&mut self, row: T) -> u32 {
        match self.free.pop() {
            Some(number) => {
                self[number] = row;
                number
            }
            None => self.push(row),
        }
    }

    /// A row is not used any more. What it held is there until another takes its place.
    pub(crate) fn remove(&mut self, number: u32) {
        debug_assert!(
            !self.free.contains(&number) || self.free.len() > PIECE,
            "it is free already"
        );
        self.free.push(number);
    }

    /// No row has this number or a greater one.
    pub(crate) fn end(&self) -> u32 {
        let full = self.pieces.len().saturating_sub(1) * PIECE;
        let all = full + self.pieces.last().map_or(0, Vec::len);
        u32::try_from(all).expect("fewer than 2^32 rows fit in memory")
    }

    /// The numbers of all rows that are not free.
    pub(crate) fn rows(&self) -> impl Iterator<Item = u32> + use<T> {
        let mut free = self.free.clone();
        free.sort_unstable();
        let mut free = free.into_iter().peekable();
        (0..self.end()).filter(move |row| free.next_if_eq(row).is_none())
    }

    fn push(&mut self, row: T) -> u32 {
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

    /// Rows for which there is room, and those of them that are free.
    pub(crate) fn room(&self) -> (usize, usize) {
        (self.pieces.iter().map(Vec::capacity).sum(), self.free.len())
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
            assert_eq!(rows.insert(number), number);
        }
        rows[1024] = 7;
        for (at, row) in rows.iter().enumerate() {
            let at = u32::try_from(at).unwrap();
            assert_eq!((*row, rows[at]), if at == 1024 { (7, 7) } else { (at, at) });
        }
        assert_eq!(rows.iter().count(), 3000);
        assert!(rows.pieces.iter().all(|piece| piece.capacity() == PIECE));
    }

    #[test]
    fn a_row_that_was_removed_is_used_again() {
        let mut rows = SegmentedVec::default();
        (0..600).for_each(|number| assert_eq!(rows.insert(number), number));
        [3, 599, 512].into_iter().for_each(|number| rows.remove(number));
        let mut taken: Vec<u32> = (0..3).map(|_| rows.insert(7)).collect();
        taken.sort_unstable();
        assert_eq!(taken, [3, 512, 599]);
        assert_eq!((rows[3], rows[4], rows.insert(8)), (7, 4, 600));
        assert_eq!(rows.room(), (2 * PIECE, 0));
    }
}
