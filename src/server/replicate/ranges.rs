//! Ranges of record ids: what is here of one, what is said of it, and how it is cut into parts.
//!
//! Remembers nothing. Invariant: the parts of a range follow each other without a gap, and end where it ends.

use crate::ids::RecordId;
use crate::limits::{COMPARE_PARTS, MESSAGE_IDS_MAX};
use crate::seeded::{self, Bug};
use crate::server::context::Context;
use crate::server::output::Link;
use crate::wire::message::{Message, RangeSummary};

/// An unequal range is cut into so many.
const PARTS: u128 = COMPARE_PARTS as u128;

/// A peer is told which records are here of a range.
pub(super) fn send_ids(cx: &mut Context, link: Link, first: RecordId, last: RecordId) {
    let entries = cx.index.catalog.range(first, last).take(MESSAGE_IDS_MAX);
    let mut ids: Vec<_> = entries.map(|entry| entry.id()).collect();
    if seeded::is_on(Bug::DropLastId) {
        ids.pop();
    }
    cx.send(link, Message::Ids { first, last, ids });
}

/// What we have in each part of a range.
pub(super) fn parts(cx: &Context, first: RecordId, last: RecordId) -> Vec<RangeSummary> {
    let (low, high) = (head(&first), head(&last));
    let step = (high - low) / PARTS;
    if step == 0 {
        return vec![cx.index.catalog.summary(first, last)];
    }
    let part = |index: u128| {
        let from = if index == 0 { first } else { edge(low + step * index, 0) };
        let to =
            if index == PARTS - 1 { last } else { edge(low + step * (index + 1) - 1, u8::MAX) };
        cx.index.catalog.summary(from, to)
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
