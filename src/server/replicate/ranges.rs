//! Ranges of record ids: what is here of one, what is said of it, and how it is cut into parts.
//!
//! Remembers nothing. Invariant: the parts of a range follow each other without a gap, and end where it ends.

use super::side::{Question, Side};
use crate::ids::RecordId;
use crate::index::entry::Entry;
use crate::index::sorted::xor_into;
use crate::limits::{COMPARE_PARTS, FUTURE_MAX, MESSAGE_IDS_MAX};
use crate::seeded::{self, Bug};
use crate::server::context::Context;
use crate::time::{Step, step_at};
use crate::wire::message::RangeSummary;

/// An unequal range is cut into so many.
const PARTS: u128 = COMPARE_PARTS as u128;

/// As of which step two compare whose calendars show this: the lesser of the two, but no more than a day behind the greater, so
/// that whichever is ahead still knows what has expired there since.
pub(super) fn cut(ours_ms: u64, theirs_ms: Option<u64>) -> Step {
    let theirs_ms = theirs_ms.unwrap_or(ours_ms);
    let behind = u64::try_from(FUTURE_MAX.as_millis()).unwrap_or(u64::MAX);
    let (less, greater) = (ours_ms.min(theirs_ms), ours_ms.max(theirs_ms));
    step_at(less.max(greater.saturating_sub(behind)))
}

/// What there is of a range here, as far as the peer is concerned.
pub(super) fn summary(cx: &mut Context, side: &Side, question: Question) -> RangeSummary {
    let Question { range: RangeSummary { first, last, .. }, cut } = question;
    let mut range = cx.index.catalog.summary_at(cut, first, last);
    for id in side.expired_between(cx, question) {
        range.count += 1;
        xor_into(&mut range.fingerprint, &id.0);
    }
    range
}

/// Which records these are: few, or as many as one message tells.
pub(super) fn ids_of(cx: &mut Context, side: &Side, question: Question) -> Vec<RecordId> {
    let Question { range: RangeSummary { first, last, .. }, cut } = question;
    let catalog = &mut cx.index.catalog;
    let expired = catalog.expired_since(cut, first, last).take(MESSAGE_IDS_MAX);
    let mut ids: Vec<_> = expired.map(|expired| expired.id).collect();
    ids.extend(cx.index.catalog.range_at(cut, first, last).take(MESSAGE_IDS_MAX).map(Entry::id));
    ids.extend(side.expired_between(cx, question));
    ids.sort_unstable();
    ids.truncate(MESSAGE_IDS_MAX);
    if seeded::is_on(Bug::DropLastId) {
        ids.pop();
    }
    ids
}

/// What we have in each part of a range.
pub(super) fn parts(cx: &mut Context, side: &Side, question: Question) -> Vec<RangeSummary> {
    let (first, last) = (question.range.first, question.range.last);
    let (low, high) = (head(&first), head(&last));
    let step = (high - low) / PARTS;
    if step == 0 {
        return vec![summary(cx, side, question)];
    }
    let part = |index: u128| {
        let from = if index == 0 { first } else { edge(low + step * index, 0) };
        let to =
            if index == PARTS - 1 { last } else { edge(low + step * (index + 1) - 1, u8::MAX) };
        let range = RangeSummary { first: from, last: to, ..question.range };
        summary(cx, side, Question { range, ..question })
    };
    (0..PARTS).map(part).collect()
}

/// Whether a question is about everything.
pub(super) fn is_whole(first: RecordId, last: RecordId) -> bool {
    (first, last) == (RecordId([0; 32]), RecordId([u8::MAX; 32]))
}

/// Whether both sides have the same in a range.
pub(super) fn is_equal(ours: &RangeSummary, theirs: &RangeSummary) -> bool {
    ours == theirs || (seeded::is_on(Bug::CompareCounts) && ours.count == theirs.count)
}

/// The first half of an id as a number.
fn head(id: &RecordId) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&id.0[..16]);
    u128::from_be_bytes(bytes)
}

/// The id with this first half, and a second half of one repeated byte.
fn edge(head: u128, rest: u8) -> RecordId {
    let mut id = RecordId([rest; 32]);
    id.0[..16].copy_from_slice(&head.to_be_bytes());
    id
}
