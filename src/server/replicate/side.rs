//! What is under way between this node and one peer: what that is to be sent, and the comparison of the two.
//!
//! Decides nothing. Invariant: each of its lists has a bound.

use super::comparison::Comparison;
use super::push::Push;
use crate::ids::{Hash, RecordId};
use crate::limits::{COMPARE_AWAITED_MAX, OUTBOX_MAX};
use crate::server::context::Context;
use crate::time::{Instant, Now, Step, counts_at, step_at};
use crate::wire::message::{ExpiredRecord, RangeSummary};
use std::collections::BTreeMap;
use std::time::Duration;

/// To compare as of another step costs a look at all that has expired since: a peer has that done so often at most.
const CUT_PERIOD: Duration = Duration::from_secs(5);
/// As of what is longer ago, or ahead, nobody who keeps the rules compares.
const CUT_REACH: Duration = Duration::from_hours(25);

/// What is asked: what there is in a range as of a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    /// With what the asker has there.
    pub(super) range: RangeSummary,
    pub(super) cut: Step,
}

impl Question {
    /// What there is in all.
    pub(super) fn about_all(cut: Step) -> Self {
        let (first, last) = (RecordId::default(), RecordId([u8::MAX; 32]));
        Self { range: RangeSummary { first, last, count: 0, fingerprint: Hash::default() }, cut }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) push: Push,
    pub(super) comparison: Comparison,
    /// When the next comparison is due, if this side begins it.
    pub(super) due: Option<Instant>,
    /// It has said that it takes no records of files, for want of room.
    pub(super) is_full: bool,
    /// A question about everything: it is answered when the peer has been told of one more node.
    pub(super) held: Option<Question>,
    /// As of this step this side asks.
    pub(super) asking: Step,
    /// As of this step the two have compared last, whoever asked: what has expired by then is not sent.
    pub(super) cut: Step,
    has_cut: bool,
    /// As of this step the other side was answered, since then.
    answering: Option<(Step, Instant)>,
    /// Questions about everything that were not answered, since the two are not set to the same.
    pub(super) refused: u32,
    /// What the other side had and cannot send any more, and when it expired there. It counts for the other side alone.
    expired: BTreeMap<RecordId, u64>,
}

impl Side {
    /// Whether a comparison may say more now.
    pub(super) fn may_say_more(&self, outbox: usize) -> bool {
        self.push.has_room() && outbox <= OUTBOX_MAX / 2
    }

    /// What it takes in memory.
    pub(super) fn held_bytes(&self) -> usize {
        let expired = self.expired.len() * size_of::<ExpiredRecord>();
        self.push.held_bytes() + self.comparison.held_bytes() + expired
    }

    /// The two compare as of this step.
    pub(super) fn agree(&mut self, cut: Step) {
        self.cut = cut;
        self.has_cut = true;
        self.expired.retain(|_, at_ms| counts_at(*at_ms, cut));
    }

    /// As of what step the two have compared, if they have.
    pub(super) fn agreed(&self) -> Option<Step> {
        self.has_cut.then_some(self.cut)
    }

    /// The other side asks as of a step. As of which it is answered.
    pub(super) fn answer_at(&mut self, now: Now, cut: Step) -> Step {
        let reach = u64::try_from(CUT_REACH.as_millis()).unwrap_or(u64::MAX);
        let first = step_at(now.wall_ms.saturating_sub(reach));
        let cut = cut.clamp(first, step_at(now.wall_ms.saturating_add(reach)));
        if let Some((before, since)) = self.answering
            && (before == cut || now.instant.since(since) < CUT_PERIOD)
        {
            return before;
        }
        self.answering = Some((cut, now.instant));
        self.agree(cut);
        cut
    }

    /// The other side had these.
    pub(super) fn note_expired(&mut self, records: &[ExpiredRecord]) {
        let room = COMPARE_AWAITED_MAX.saturating_sub(self.expired.len());
        self.expired.extend(records.iter().take(room).map(|one| (one.record, one.at_ms)));
    }

    /// Those between two ids that count as of a step and are not here, nor were.
    pub(super) fn expired_between<'a>(
        &'a self,
        cx: &'a Context,
        Question { range: RangeSummary { first, last, .. }, cut }: Question,
    ) -> impl Iterator<Item = RecordId> + 'a {
        let told = self.expired.range(first..=last);
        let told = told.filter(move |(id, at_ms)| {
            counts_at(**at_ms, cut) && !cx.index.catalog.counts(id, cut)
        });
        told.map(|(id, _)| *id)
    }

    /// Whether a record counts that is not held.
    pub(super) fn counts(&self, cx: &Context, id: &RecordId, cut: Step) -> bool {
        let told = self.expired.get(id).is_some_and(|at_ms| counts_at(*at_ms, cut));
        told || cx.index.catalog.counts(id, cut)
    }
}
