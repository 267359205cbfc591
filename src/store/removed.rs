//! Which segments of the log are gone on purpose, and what the headers of all segments say of each other.
//!
//! ```text
//! mark 4 | how many entries 4 | of each: number 4 | the last segment with a group before it 4 | where that one ends 8
//! ```
//! Big endian. All segments below the mark are gone, and those listed above it. With a segment goes its header, and what that
//! said of the one before: that it was there, and where its good groups end. So this is kept until it is about nothing
//! that is left. Of segments that follow each other the first has an entry like that, and the last one says in place of the
//! one before it the first, and 0: all between them are gone too. So one old segment that stays costs two entries, however
//! many go after it. Knows no file. Invariant: what is listed ascends from the mark on and tells of a segment before it, and
//! has at most `SEGMENTS_REMOVED_MAX` entries.

use crate::limits::SEGMENTS_REMOVED_MAX;
use crate::store::segment::{FRAMES, Header, Verdict};
use crate::store::values::SegmentEnd;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

/// Bytes before the list.
const FRONT: usize = 8;
/// Bytes of each that is listed.
const LISTED: usize = 16;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemovedSegments {
    mark: u32,
    /// By the first of each.
    above: BTreeMap<u32, Span>,
}

/// Segments that are gone and follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    last: u32,
    /// What the first one said.
    before: Before,
}

/// What a segment's header says of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Before {
    /// The last one with a good group; 0 if there is none.
    segment: u32,
    /// Where its last good group ends.
    end: u64,
}

impl From<&Verdict> for Before {
    fn from(verdict: &Verdict) -> Self {
        Self { segment: verdict.segment, end: verdict.end }
    }
}

impl RemovedSegments {
    /// Whether a segment of this number, if there ever was one, is gone on purpose.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        number < self.mark || self.span_of(number).is_some()
    }

    /// The span in which a number is, and its first.
    fn span_of(&self, number: u32) -> Option<(u32, Span)> {
        let (first, span) = self.above.range(..=number).next_back()?;
        (number <= span.last).then_some((*first, *span))
    }

    /// How many entries it has.
    fn count(&self) -> usize {
        self.above.iter().map(|(first, span)| 1 + usize::from(span.last > *first)).sum()
    }

    /// Bytes that it has, encoded.
    pub(super) fn length(&self) -> usize {
        FRONT + self.count() * LISTED
    }

    /// Appends its bytes.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.mark.to_be_bytes());
        let count = u32::try_from(self.count()).expect("the list is short");
        bytes.extend(count.to_be_bytes());
        let mut put = |number: u32, before: Before| {
            bytes.extend(number.to_be_bytes());
            bytes.extend(before.segment.to_be_bytes());
            bytes.extend(before.end.to_be_bytes());
        };
        for (first, span) in &self.above {
            put(*first, span.before);
            if span.last > *first {
                put(span.last, Before { segment: *first, end: 0 });
            }
        }
    }

    /// The set at the beginning of these bytes.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (front, rest) = bytes.split_at_checked(FRONT)?;
        let mark = number(front, 0);
        let count = usize::try_from(number(front, 4)).ok()?;
        if count > SEGMENTS_REMOVED_MAX {
            return None;
        }
        let mut set = Self { mark, above: BTreeMap::new() };
        let mut least = mark;
        for listed in rest.get(..count * LISTED)?.chunks(LISTED) {
            let (at, segment) = (number(listed, 0), number(listed, 4));
            let end = u64::from(number(listed, 8)) << 32 | u64::from(number(listed, 12));
            if at < least || segment >= at {
                return None;
            }
            least = at.checked_add(1)?;
            match set.above.last_entry() {
                // No segment with a group ends at 0.
                Some(mut span) if end == 0 && segment != 0 => {
                    if *span.key() != segment || span.get().last != segment {
                        return None;
                    }
                    span.get_mut().last = at;
                }
                None if end == 0 && segment != 0 => return None,
                Some(_) | None => {
                    set.above.insert(at, Span { last: at, before: Before { segment, end } });
                }
            }
        }
        Some(set)
    }

    /// Whether all of another is in it.
    pub(super) fn has_all(&self, other: &Self) -> bool {
        let has_span = |(first, span): (&u32, &Span)| {
            let first = self.mark.max(*first);
            first > span.last || self.span_of(first).is_some_and(|(_, own)| own.last >= span.last)
        };
        other.mark <= self.mark && other.above.iter().all(has_span)
    }

    /// Takes in another. False if the list would be too long: then nothing has changed.
    pub(super) fn unite(&mut self, other: &Self) -> bool {
        let mut both = self.clone();
        other.above.iter().for_each(|(first, span)| both.add(*first, *span));
        both.raise(other.mark);
        let fits = both.count() <= SEGMENTS_REMOVED_MAX;
        if fits {
            *self = both;
        }
        fits
    }

    /// Takes in a span, with those that it meets.
    fn add(&mut self, mut first: u32, mut span: Span) {
        while let Some((other, met)) = self.above.range(..=span.last).next_back()
            && met.last >= first
        {
            let (other, met) = (*other, *met);
            self.above.remove(&other);
            if other < first {
                (first, span.before) = (other, met.before);
            }
            span.last = span.last.max(met.last);
        }
        self.above.insert(first, span);
    }

    /// One more is gone, and said this of the one before it.
    fn remove(&mut self, number: u32, before: Before) {
        self.add(number, Span { last: number, before });
        for next in [Some(number), number.checked_add(1)].into_iter().flatten() {
            self.join(next);
        }
    }

    /// A span that follows another at once, and says so, is one with it.
    fn join(&mut self, first: u32) {
        if let Some(span) = self.above.get(&first).copied()
            && let Some(last) = first.checked_sub(1).filter(|last| *last == span.before.segment)
            && let Some((other, _)) = self.span_of(last)
        {
            self.above.remove(&first);
            self.above.entry(other).and_modify(|other| other.last = span.last);
        }
    }

    /// From now on all below this are gone.
    fn raise(&mut self, mark: u32) {
        self.mark = self.mark.max(mark);
        let above = self.above.split_off(&self.mark);
        let cut = std::mem::replace(&mut self.above, above).pop_last().map(|(_, span)| span);
        if let Some(span) = cut.filter(|span| span.last >= self.mark) {
            // What its first one said is about nothing that is left.
            self.above.insert(self.mark, Span { last: span.last, before: Before::default() });
        }
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |four| u32::from_be_bytes(*four))
}

/// All segments of a log of which something is known.
#[derive(Debug)]
pub(crate) struct Chain {
    /// Those that are there.
    present: BTreeMap<u32, Before>,
    removed: RemovedSegments,
    /// The first that is there and may not be read: the mark stays below it, or it would count as removed once it may.
    closed: u32,
    /// Nobody waits any more for what is missing.
    missing_given_up: bool,
}

/// Segments that are to go, and the set of those that are gone once they are.
pub(super) struct Removal {
    pub(super) numbers: Vec<u32>,
    pub(super) set: RemovedSegments,
}

impl Chain {
    /// Of the segments with these headers. `closed`: the first one that may not be read.
    pub(crate) fn new(headers: &[Header], removed: RemovedSegments, closed: Option<u32>) -> Self {
        let present = headers.iter().map(|header| (header.number, Before::from(&header.before)));
        let closed = closed.unwrap_or(u32::MAX);
        Self { present: present.collect(), removed, closed, missing_given_up: false }
    }

    /// What is missing was made good: from now on the mark may pass it, or the list above it would fill for ever.
    pub(super) fn give_up_missing(&mut self) {
        self.missing_given_up = true;
    }

    /// Those that are gone on purpose.
    pub(super) fn removed(&self) -> &RemovedSegments {
        &self.removed
    }

    /// What the next one after a segment says.
    fn next(&self, number: u32) -> Option<Before> {
        let after = (Excluded(number), Unbounded);
        let present = self.present.range(after).next().map(|(at, before)| (*at, *before));
        let removed = self.removed.above.range(after).next();
        let removed = removed.map(|(at, span)| (*at, span.before));
        let links = present.into_iter().chain(removed);
        links.min_by_key(|(number, _)| *number).map(|(_, before)| before)
    }

    /// Whether it is the last one.
    pub(super) fn is_last(&self, number: u32) -> bool {
        self.next(number).is_none()
    }

    /// Where the good groups of a segment end, if a later one says so.
    pub(crate) fn end(&self, number: u32) -> Option<u64> {
        match self.next(number)? {
            before if before.segment == number => Some(before.end),
            before if before.segment < number => Some(FRAMES),
            // The one that said so is lost.
            _ => None,
        }
    }

    /// Where those end that are there; after the last of them nothing good was found.
    pub(super) fn ends(&self, last: &Verdict) -> Vec<SegmentEnd> {
        let ends = self.present.keys().map(|segment| {
            let last = if last.segment == *segment { last.end } else { FRAMES };
            SegmentEnd { segment: *segment, end: self.end(*segment).unwrap_or(last) }
        });
        ends.collect()
    }

    /// Those of which another tells, and that are neither there nor gone on purpose, in order.
    pub(crate) fn missing(&self) -> Vec<u32> {
        let removed = self.removed.above.values().map(|span| &span.before);
        let told = self.present.values().chain(removed);
        let mut told: Vec<_> = told.map(|before| before.segment).collect();
        told.retain(|number| *number != 0 && !self.removed.contains(*number));
        told.retain(|number| !self.present.contains_key(number));
        told.sort_unstable();
        told.dedup();
        told
    }

    /// A new segment is there.
    pub(super) fn begin(&mut self, header: &Header) {
        self.present.insert(header.number, Before::from(&header.before));
    }

    /// One that held nothing is there no more: the next one tells the same of those before it.
    pub(super) fn forget(&mut self, number: u32) {
        self.present.remove(&number);
    }

    /// What of these may go, if anything: those that are there, but for the newest, as far as they can be listed.
    pub(super) fn removal(&self, numbers: &[u32]) -> Option<Removal> {
        let newest = *self.present.last_key_value()?.0;
        let mut removal = Removal { numbers: Vec::new(), set: self.removed.clone() };
        let mut left = self.present.clone();
        let lowest = self.missing().first().copied().filter(|_| !self.missing_given_up);
        for number in numbers.iter().filter(|number| **number != newest) {
            let Some(before) = left.remove(number) else {
                continue;
            };
            let mut set = removal.set.clone();
            set.remove(*number, before);
            let oldest = left.first_key_value().map_or(newest, |(number, _)| *number);
            let most = lowest.map_or(u32::MAX, |lowest| beyond_known(lowest, &left, &set));
            set.raise(oldest.min(self.closed).min(most));
            if set.count() <= SEGMENTS_REMOVED_MAX {
                removal.set = set;
                removal.numbers.push(*number);
            } else {
                left.insert(*number, before);
            }
        }
        (!removal.numbers.is_empty()).then_some(removal)
    }

    /// They are gone.
    pub(super) fn remove(&mut self, removal: Removal) {
        self.present.retain(|number, _| !removal.numbers.contains(number));
        self.removed = removal.set;
    }
}

/// How far the mark may rise while a segment is missing: were that one, or one before it of which nobody tells, to come
/// back, it would count as removed.
fn beyond_known(missing: u32, left: &BTreeMap<u32, Before>, set: &RemovedSegments) -> u32 {
    let left = left.range(..missing).next_back().map(|(at, _)| *at);
    let gone = set.above.range(..missing).next_back().map(|(_, span)| span.last.min(missing - 1));
    left.max(gone).map_or(0, |known| known + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StoreId;
    use crate::store::frame::Position;

    /// A header that says this of the one before.
    fn header(number: u32, segment: u32, end: u64) -> Header {
        let before = Verdict { segment, end, last: Position::default() };
        let removed = Some(RemovedSegments::default());
        let (store, salt, begun_s) = (StoreId::default(), [0; 16], 0);
        Header { number, store, salt, before, begun_s, removed }
    }

    /// Segments of which each has a group and ends at its number times 10,000.
    fn chain(numbers: std::ops::RangeInclusive<u32>) -> Chain {
        let end = |number: u32| u64::from(number) * 10_000;
        let headers = numbers.map(|number| header(number, number - 1, end(number - 1)));
        Chain::new(&headers.collect::<Vec<_>>(), RemovedSegments::default(), None)
    }

    fn remove(chain: &mut Chain, numbers: &[u32]) -> Vec<u32> {
        let Some(removal) = chain.removal(numbers) else {
            return Vec::new();
        };
        let gone = removal.numbers.clone();
        chain.remove(removal);
        gone
    }

    fn encoded(set: &RemovedSegments) -> Vec<u8> {
        let mut bytes = Vec::new();
        set.encode(&mut bytes);
        assert_eq!(bytes.len(), set.length());
        bytes
    }

    #[test]
    fn what_a_removed_segment_said_of_the_one_before_is_still_known() {
        let mut chain = chain(1..=6);
        assert_eq!(chain.missing(), [0; 0]);
        assert_eq!(remove(&mut chain, &[4, 3]), [4, 3]);
        assert_eq!((chain.end(2), chain.end(5)), (Some(20_000), Some(50_000)));
        assert!(chain.is_last(6) && !chain.is_last(5));
        assert!(chain.removed().contains(3) && !chain.removed().contains(2));
        assert_eq!(chain.missing(), [0; 0]);
        // The second is lost, of which only the third told.
        chain.forget(2);
        assert_eq!(chain.missing(), [2]);
        assert_eq!(chain.end(1), None, "who said so is lost");
    }

    #[test]
    fn the_mark_follows_the_oldest_that_is_there() {
        let mut chain = chain(1..=6);
        assert_eq!(remove(&mut chain, &[1, 3]), [1, 3]);
        assert_eq!((chain.removed.mark, chain.removed.count()), (2, 1));
        assert_eq!(
            remove(&mut chain, &[2, 6, 9, 2]),
            [2],
            "the newest stays, and what is not there"
        );
        assert_eq!((chain.removed.mark, chain.removed.above.len()), (4, 0));
        chain.closed = 5;
        assert_eq!(remove(&mut chain, &[4, 5]), [4, 5]);
        assert_eq!(chain.removed.mark, 5);
        assert_eq!(remove(&mut chain, &[5]), [0; 0]);
        assert_eq!(chain.missing(), [0; 0]);
    }

    #[test]
    fn the_mark_does_not_pass_what_is_missing_before_that_was_made_good() {
        let mut chain = chain(1..=6);
        chain.forget(2);
        assert_eq!(remove(&mut chain, &[1]), [1]);
        assert_eq!((chain.removed.mark, chain.missing()), (2, vec![2]));
        assert_eq!(remove(&mut chain, &[3, 4]), [3, 4]);
        assert!(!chain.removed.contains(2) && chain.removed.contains(3));
        assert_eq!((chain.removed.mark, chain.missing()), (2, vec![2]));
        chain.give_up_missing();
        assert_eq!(remove(&mut chain, &[5]), [5]);
        assert_eq!((chain.removed.mark, chain.missing()), (6, vec![]));
    }

    /// With the fourth the header is gone that told of the third.
    #[test]
    fn nor_what_is_missing_before_that_of_which_nobody_tells() {
        let mut chain = chain(1..=7);
        chain.forget(3);
        chain.forget(4);
        assert_eq!(chain.missing(), [4]);
        assert_eq!(remove(&mut chain, &[2, 1]), [2, 1]);
        assert_eq!((chain.removed.mark, chain.missing()), (3, vec![4]));
    }

    #[test]
    fn sets_are_united() {
        let mut chain = chain(1..=9);
        remove(&mut chain, &[1, 2, 5, 7]);
        let mut set = RemovedSegments::default();
        assert!(!set.has_all(&chain.removed) && chain.removed.has_all(&set));
        assert!(set.unite(&chain.removed) && set == chain.removed);
        remove(&mut chain, &[3, 4]);
        assert!(set.unite(&chain.removed) && set == chain.removed && set.mark == 6);
    }

    #[test]
    fn what_can_not_be_listed_stays() {
        let most = u32::try_from(SEGMENTS_REMOVED_MAX).unwrap();
        let mut chain = chain(1..=2 * most + 10);
        let all: Vec<u32> = (1..=most + 4).map(|number| 2 * number).collect();
        assert_eq!(remove(&mut chain, &all).len(), SEGMENTS_REMOVED_MAX);
        assert_eq!(remove(&mut chain, &[2 * most + 3]), [0; 0]);
        // With the oldest the list is short again.
        assert_eq!(remove(&mut chain, &[1, 2 * most + 3]), [1, 2 * most + 3]);
        assert_eq!(remove(&mut chain, &[2 * most + 2]), [0; 0], "two take two entries");
        assert_eq!(remove(&mut chain, &[3, 2 * most + 2]), [3, 2 * most + 2]);
        assert_eq!(chain.missing(), [0; 0]);
    }

    #[test]
    fn however_many_go_behind_one_that_stays_they_can_be_listed() {
        let mut chain = chain(1..=5_000);
        for from in (2..4_900).step_by(100) {
            let numbers: Vec<u32> = (from..from + 100).rev().collect();
            assert_eq!(remove(&mut chain, &numbers), numbers);
            assert!(chain.removed.count() <= 2);
            let bytes = encoded(&chain.removed);
            assert_eq!(RemovedSegments::decode(&bytes).as_ref(), Some(&chain.removed));
        }
        assert_eq!((chain.end(1), chain.missing()), (Some(10_000), vec![]));
        assert!(chain.removed.contains(2) && chain.removed.contains(4_901));
        assert!(!chain.removed.contains(1) && !chain.removed.contains(4_902));
        assert_eq!(remove(&mut chain, &[1]), [1]);
        assert_eq!((chain.removed.mark, chain.removed.count()), (4_902, 0));
    }

    #[test]
    fn segments_that_do_not_say_that_they_follow_each_other_are_not_listed_as_one() {
        let mut chain = Chain::new(
            &[
                header(3, 2, 20_000),
                header(4, 2, 20_000),
                header(6, 4, 40_000),
                header(9, 6, 60_000),
            ],
            RemovedSegments::default(),
            None,
        );
        assert_eq!(remove(&mut chain, &[4, 6]), [4, 6]);
        assert_eq!((chain.removed.count(), chain.removed.contains(5)), (2, false));
    }

    #[test]
    fn spans_are_united_and_compared() {
        let span =
            |first: u32, last| (first, Span { last, before: Before { segment: 1, end: 9_000 } });
        let set = |mark, spans: &[(u32, Span)]| RemovedSegments {
            mark,
            above: spans.iter().copied().collect(),
        };
        let mut both = set(2, &[span(4, 6), span(9, 9)]);
        let other = set(0, &[span(5, 7), span(12, 15)]);
        assert!(!both.has_all(&other) && both.unite(&other));
        assert_eq!(both, set(2, &[span(4, 7), span(9, 9), span(12, 15)]));
        assert!(both.has_all(&other) && !other.has_all(&both));
        assert!(both.has_all(&set(1, &[span(12, 14)])) && !both.has_all(&set(2, &[span(6, 8)])));
        // A mark within a span cuts it.
        assert!(both.unite(&set(14, &[])));
        assert!(both.contains(13) && both.contains(15) && !both.contains(16));
        assert!(both.has_all(&other) && RemovedSegments::decode(&encoded(&both)) == Some(both));
    }

    #[test]
    fn a_set_reads_back_and_nothing_else_is_read() {
        let mut chain = chain(1..=9);
        remove(&mut chain, &[1, 2, 5, 7]);
        let set = chain.removed().clone();
        remove(&mut chain, &[6]);
        let bytes = encoded(chain.removed());
        assert_eq!(
            bytes[8..],
            [
                0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0x9c, 0x40, // the first of three
                0, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, // and the last
            ]
        );
        assert_eq!(RemovedSegments::decode(&bytes).as_ref(), Some(chain.removed()));
        // The last of no such span.
        for (at, to) in [(8 + 16 + 7, 4), (8 + 3, 4)] {
            let mut bytes = bytes.clone();
            bytes[at] = to;
            assert_eq!(RemovedSegments::decode(&bytes), None, "byte {at}");
        }
        let bytes = encoded(&set);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "00000003000000020000000500000004000000000000\
             9c4000000007000000060000000000\
             00ea60"
        );
        assert_eq!(RemovedSegments::decode(&bytes), Some(set));
        assert_eq!(RemovedSegments::decode(&bytes[..bytes.len() - 1]), None, "cut");
        // Not in order; below the mark; of one that is not before it; too many.
        for (at, to) in [(8 + 3, 7), (3, 6), (8 + 7, 5), (6, 9)] {
            let mut bytes = bytes.clone();
            bytes[at] = to;
            assert_eq!(RemovedSegments::decode(&bytes), None, "byte {at}");
        }
        let none = RemovedSegments::default();
        assert_eq!(RemovedSegments::decode(&encoded(&none)), Some(none));
    }
}
