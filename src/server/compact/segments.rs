//! The closed segments of the log: how much of each is needed, and which is to be compacted next.
//!
//! Reads nothing. Invariant: each is in the order by what was last told of it; one that was set aside is not chosen before
//! less of it is needed.

use crate::limits::SEGMENTS_REMOVED_MAX;
use crate::store::values::SegmentEnd;
use std::collections::{BTreeMap, BTreeSet};

/// So many times segments may be gone between others before the oldest go first, whatever they hold: each takes two entries
/// of the list at most.
const HOLES_MAX: usize = SEGMENTS_REMOVED_MAX / 2 / 4 * 3;
/// Thousandths of a segment that may be needed when it is written anew.
const SHARE_MAX: u64 = 500;
/// What a segment comes to that its groups do not have: its head, and the longest list of what is gone, which is written
/// once more when it goes. Without that no end of small segments might be written anew.
const OVERHEAD: u64 = 8192 + 4096;
/// The same when there is no room.
const SHARE_MAX_WITHOUT_ROOM: u64 = 900;

#[derive(Debug)]
struct Closed {
    /// All that its groups have.
    bytes: u64,
    needed: u64,
    is_aside: bool,
}

impl Closed {
    /// Thousandths of it that are needed.
    fn share(&self) -> u64 {
        (self.needed * 1000).div_ceil(self.bytes.saturating_sub(OVERHEAD).max(1))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Segments {
    closed: BTreeMap<u32, Closed>,
    /// By share.
    order: BTreeSet<(u64, u32)>,
    /// How many times segments are gone between two that are next to each other.
    holes: usize,
    /// Where the log ends.
    open: SegmentEnd,
    bytes: u64,
}

/// Whether the disk has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Ample,
    /// There is none for puts, and so much in all.
    Low {
        free: u64,
    },
}

impl Segments {
    /// The log ends here now: those before are closed.
    pub(super) fn extend_to(&mut self, end: SegmentEnd, needed: impl Fn(u32) -> u64) {
        // Nothing is told of it before the first group.
        if end.segment == 0 {
            return;
        }
        let before = std::mem::replace(&mut self.open, end);
        if end.segment == before.segment {
            return;
        }
        if before.segment > 0 {
            // Were there others between, they hold nothing, and the next start removes them.
            self.close(before, needed(before.segment));
        }
    }

    /// A segment is closed, and ends there.
    pub(super) fn close(&mut self, end: SegmentEnd, needed: u64) {
        let closed = Closed { bytes: end.end, needed, is_aside: false };
        self.bytes += closed.bytes;
        self.order.insert((closed.share(), end.segment));
        self.holes -= self.holes_at(end.segment);
        self.closed.insert(end.segment, closed);
        self.holes += self.holes_at(end.segment);
    }

    /// How many of the holes lie beside this segment, or where it would be.
    fn holes_at(&self, segment: u32) -> usize {
        let before = self.closed.range(..segment).next_back().map(|(number, _)| *number);
        let here = self.closed.contains_key(&segment).then_some(segment);
        let after = self.closed.range(segment.saturating_add(1)..).next();
        let after = after.map(|(number, _)| *number);
        let numbers: Vec<_> = [before, here, after].into_iter().flatten().collect();
        numbers.windows(2).filter(|pair| pair[1] - pair[0] > 1).count()
    }

    /// Fewer of its bytes are needed, perhaps.
    pub(super) fn fell(&mut self, segment: u32, needed: u64) {
        let Some(closed) = self.closed.get_mut(&segment) else {
            return;
        };
        if !closed.is_aside {
            self.order.remove(&(closed.share(), segment));
        }
        closed.needed = needed;
        closed.is_aside = false;
        self.order.insert((closed.share(), segment));
    }

    /// Nothing can be done about a segment now.
    pub(super) fn set_aside(&mut self, segment: u32) {
        if let Some(closed) = self.closed.get_mut(&segment) {
            self.order.remove(&(closed.share(), segment));
            closed.is_aside = true;
        }
    }

    /// A segment is gone. How many bytes it had.
    pub(super) fn remove(&mut self, segment: u32) -> u64 {
        self.holes -= self.holes_at(segment);
        let removed = self.closed.remove(&segment);
        self.holes += self.holes_at(segment);
        let Some(closed) = removed else {
            return 0;
        };
        self.order.remove(&(closed.share(), segment));
        self.bytes -= closed.bytes;
        closed.bytes
    }

    /// All that are closed.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.closed.keys().copied().collect()
    }

    /// Those of which nothing is needed.
    pub(super) fn empty(&self) -> impl Iterator<Item = u32> {
        self.order.iter().take_while(|(share, _)| *share == 0).map(|(_, segment)| *segment)
    }

    /// The one that is to be written anew next, if one is: the one of which least is needed; or the oldest, if very many
    /// between it and the others are gone.
    pub(super) fn next(&self, room: Room) -> Option<u32> {
        if self.holes > HOLES_MAX {
            let mut all = self.closed.iter();
            let oldest = all.find(|(_, closed)| !closed.is_aside && closed.needed > 0);
            return oldest.map(|(segment, _)| *segment);
        }
        let (share, segment) = self.order.range((1, 0)..).next()?;
        let is_little = match room {
            Room::Ample => *share <= SHARE_MAX,
            Room::Low { free } => {
                *share <= SHARE_MAX_WITHOUT_ROOM && self.closed[segment].needed * 2 < free
            }
        };
        is_little.then_some(*segment)
    }

    /// How many there are, the open one too, and their bytes.
    pub(super) fn count_and_bytes(&self) -> (u32, u64) {
        let count = self.closed.len() + usize::from(self.open.segment > 0);
        (u32::try_from(count).unwrap_or(u32::MAX), self.bytes + self.open.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(numbers: impl IntoIterator<Item = u32>) -> Segments {
        let mut segments = Segments::default();
        for segment in numbers {
            segments.close(SegmentEnd { segment, end: 1 << 20 }, 800_000);
        }
        segments
    }

    #[test]
    fn when_very_much_is_gone_between_others_the_oldest_goes_whatever_it_holds() {
        let most = u32::try_from(HOLES_MAX).unwrap();
        let all = 1..=2 * most + 3;
        let mut segments = segments(all.clone());
        assert_eq!((segments.holes, segments.next(Room::Ample)), (0, None));
        for number in all.filter(|number| number % 2 == 0) {
            assert!(segments.next(Room::Ample).is_none(), "{} holes", segments.holes);
            segments.remove(number);
        }
        assert_eq!((segments.holes, segments.next(Room::Ample)), (HOLES_MAX + 1, Some(1)));
        // What stays does not keep the next from going.
        segments.set_aside(1);
        assert_eq!(segments.next(Room::Ample), Some(3));
        segments.fell(3, 0);
        assert_eq!(segments.next(Room::Ample), Some(5));
        segments.remove(5);
        assert_eq!((segments.holes, segments.next(Room::Ample)), (HOLES_MAX, None));
    }

    #[test]
    fn many_that_are_gone_behind_each_other_are_one_hole() {
        let mut segments = segments(1..=1_000);
        (2..1_000).for_each(|number| {
            segments.remove(number);
        });
        assert_eq!((segments.holes, segments.next(Room::Ample)), (1, None));
        segments.remove(7);
        segments.remove(1);
        assert_eq!(segments.holes, 0);
        segments.remove(1_000);
        assert_eq!(segments.holes, 0);
    }
}
