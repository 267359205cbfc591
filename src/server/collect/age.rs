//! Ages: how old what a start has found is at least, by the segments of the log.
//!
//! When a block came is not kept. It came before the next segment was begun, and that stands in its header. Knows no block.
//! Invariant: nothing counts as older than it is, as far as the calendar was right.

use crate::store::values::SegmentBegun;
use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub(super) struct Ages<'a> {
    /// In the order of the segments.
    pub(super) begun: &'a [SegmentBegun],
    pub(super) now_ms: u64,
    /// What is older may go if nobody names it.
    pub(super) grace: Duration,
}

impl Ages<'_> {
    /// How many steps of time ago what a segment holds came, for all that is known: three are more than the grace, and none is
    /// told of what is older.
    pub(super) fn steps(&self, segment: u32) -> Option<usize> {
        let next = self.begun.partition_point(|begun| begun.segment <= segment);
        let before_ms = self.begun.get(next).map_or(self.now_ms, |begun| begun.at_ms);
        let grace_ms = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        let left = before_ms.saturating_add(grace_ms).saturating_sub(self.now_ms);
        match left {
            0 => None,
            left if left <= grace_ms / 2 => Some(2),
            left if left <= grace_ms => Some(1),
            // The calendar says that it is to come.
            _ => Some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_segment_holds_came_before_the_next_was_begun() {
        let at = |segment, at_ms| SegmentBegun { segment, at_ms };
        let begun = [at(2, 1_000), at(4, 5_000), at(5, 9_000), at(6, 99_000)];
        let steps = |now_ms, grace| {
            let ages = Ages { begun: &begun, now_ms, grace: Duration::from_millis(grace) };
            [1, 2, 3, 4, 5, 6].map(|segment| ages.steps(segment))
        };
        assert_eq!(steps(10_000, 4_000), [None, None, None, Some(1), Some(0), Some(1)]);
        assert_eq!(steps(11_500, 4_000), [None, None, None, Some(2), Some(0), Some(1)]);
        assert_eq!(steps(13_000, 4_000), [None, None, None, None, Some(0), Some(1)]);
        assert_eq!(steps(13_000, 20_000), [Some(2), Some(1), Some(1), Some(1), Some(0), Some(1)]);
        assert_eq!(steps(99_000, 0), [None; 6]);
    }
}
