//! The closed segments of the log: how much of each is needed, and which is to be compacted next.
//!
//! Reads nothing. Invariant: each is in the order by what was last told of it; one that was set aside is not chosen before
//! less of it is needed.

use crate::limits::SEGMENTS_REMOVED_MAX;
use crate::store::values::SegmentEnd;
use std::collections::{BTreeMap, BTreeSet};

/// So many segments that are gone between others may be listed before the oldest go first, whatever they hold.
const HOLES_MAX: usize = SEGMENTS_REMOVED_MAX / 4 * 3;
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
        self.closed.insert(end.segment, closed);
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
        let Some(closed) = self.closed.remove(&segment) else {
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
        let (oldest, first) = self.closed.first_key_value()?;
        let (newest, _) = self.closed.last_key_value()?;
        let numbers = usize::try_from(newest - oldest).unwrap_or(usize::MAX);
        let holes = numbers.saturating_sub(self.closed.len());
        if !first.is_aside && first.needed > 0 && holes > HOLES_MAX {
            return Some(*oldest);
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
