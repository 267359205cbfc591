//! Neighbours: items of the log that lie so near one another that one read brings them.
//!
//! Reads nothing. Invariant: a read brings no more than its bound, and begins with an item that is needed.

use super::values::{ITEM_HEAD, LogItem, LogPlace};

/// Bytes that are read at once.
pub(super) const RUN_MAX: usize = 64 * 1024;
/// Bytes between two items that are read and not needed: to read on costs less than to read once more.
const GAP_MAX: u64 = 4096;

/// Which of these come first in the log: by segment and offset, each with where it is among them.
pub(super) fn in_order(items: &[LogItem]) -> Vec<(u64, u32)> {
    let key = |item: &LogItem| u64::from(item.place.segment) << 32 | u64::from(item.place.offset);
    let mut order: Vec<_> = items.iter().map(key).zip(0..).collect();
    order.sort_unstable();
    order
}

/// Where to read, and how much, for the first of these and those after it that are near.
pub(super) fn run(mut order: impl Iterator<Item = LogPlace>) -> Option<(u64, usize)> {
    let first = order.next()?;
    let start = u64::from(first.offset).checked_sub(ITEM_HEAD as u64)?;
    let after = |place: LogPlace| u64::from(place.offset) + u64::from(place.length);
    let mut end = after(first);
    for place in order {
        let is_near = u64::from(place.offset) <= end + ITEM_HEAD as u64 + GAP_MAX;
        let is_in = after(place) <= start + RUN_MAX as u64;
        if place.segment != first.segment || !is_near || !is_in {
            break;
        }
        end = end.max(after(place));
    }
    Some((start, usize::try_from(end - start).ok()?.min(RUN_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_read_at_once() {
        let head = u32::try_from(ITEM_HEAD).unwrap();
        let gap = u32::try_from(GAP_MAX).unwrap();
        let max = u32::try_from(RUN_MAX).unwrap();
        let at = |segment, offset, length| LogPlace { segment, offset: offset + head, length };
        let places = [
            at(2, 100, 50),
            at(1, 100, 50),
            at(1, 150 + head + gap, 10),
            at(1, 161 + 2 * head + 2 * gap, 10),
            // Twice, and one within another, as no log has them.
            at(2, 100, 50),
            at(2, 101, 5),
            at(3, 0, max - head),
            at(3, max, 1),
            at(3, 2 * max, max),
            LogPlace { segment: 4, offset: head - 1, length: 5 },
        ];
        let order: Vec<_> = in_order(&places.map(|place| LogItem { id: [0; 32], place }))
            .iter()
            .map(|(_, at)| *at as usize)
            .collect();
        assert_eq!(order, [1, 2, 3, 0, 4, 5, 6, 7, 8, 9]);
        let after = |nth: usize| run(order[nth..].iter().map(|at| places[*at]));
        let h = ITEM_HEAD;
        assert_eq!(after(0), Some((100, 60 + 2 * h + gap as usize)));
        assert_eq!(after(2), Some((u64::from(161 + 2 * head + 2 * gap), 10 + h)));
        assert_eq!(after(3), Some((100, 50 + h)));
        assert_eq!(after(6), Some((0, RUN_MAX)));
        assert_eq!(after(7), Some((u64::from(max), 1 + h)));
        assert_eq!(after(8), Some((2 * u64::from(max), RUN_MAX)), "it is cut short");
        assert_eq!(after(9), None, "no log has it");
        assert_eq!(after(10), None);
    }
}
