//! One side of a comparison with one peer: the ranges still to be asked about, the questions that have no answer yet, and
//! those of the other side that wait for ours.
//!
//! Knows neither records nor the wire. Invariant: an answer counts only for the question that has waited longest, and each
//! list has a bound; what finds no room makes the round incomplete, and another round finds it.

use super::side::Question;
use crate::ids::{Hash, RecordId};
use crate::limits::{COMPARE_AWAITED_MAX, COMPARE_QUESTIONS_MAX, COMPARE_STACK_MAX};
use crate::seeded::{self, Bug};
use crate::wire::message::RangeSummary;
use std::collections::{HashSet, VecDeque};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// What the other side has in ranges that are to be compared, the next one last. Parts come before what follows their
    /// whole, so that there are never many.
    stack: Vec<RangeSummary>,
    /// Asked, in order.
    asked: VecDeque<Span>,
    /// Asked by the other side.
    answering: VecDeque<Question>,
    round: Option<Round>,
    /// The sums with which the round before began, ours and the other side's.
    before: Option<(Sum, Sum)>,
    /// Rounds that began with the same sums.
    repeated: u32,
    /// A round has ended, and since it began nothing has been left out that the other side lacks.
    told: bool,
    left_out: bool,
    /// Records that the other side has said it has, or sent, and that are not here yet.
    awaited: HashSet<RecordId>,
    /// Once they have come, all that it had is here.
    awaits: bool,
    informed: bool,
    /// How many records the other side has, as it last said.
    theirs: u64,
    /// When the two first compared the other side had more than half as many records as this one.
    had_much: Option<bool>,
    /// Something was dropped since the round began.
    dropped: bool,
}

/// From one id to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct Span {
    pub(in crate::server) first: RecordId,
    pub(in crate::server) last: RecordId,
}

type Sum = (u64, Hash);

#[derive(Debug)]
struct Round {
    ours: Sum,
    /// Known when the first question is answered.
    theirs: Option<Sum>,
    /// Something was lacking here, or found no room.
    lacking: bool,
    /// Not all of that is awaited.
    untold: bool,
    /// One of the two has said that it takes no files.
    blocked: bool,
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Equal,
    /// Rounds before this one that began with the same sums.
    Unequal(u32),
}

impl Comparison {
    /// What it takes in memory.
    pub(super) fn held_bytes(&self) -> usize {
        (self.stack.len() + self.asked.len() + self.answering.len()) * size_of::<Question>()
            + self.awaited.len() * size_of::<RecordId>()
    }

    /// A round of this side's is not over.
    pub(super) fn is_under_way(&self) -> bool {
        self.round.is_some()
    }

    /// All that the other side has is here, or was at some time since the connection began.
    pub(super) fn is_informed(&self) -> bool {
        self.informed
    }

    /// What it has told since is not kept: it is to tell again.
    pub(super) fn forget(&mut self) {
        self.informed = false;
    }

    /// The other side has said of itself that it has what we have.
    pub(super) fn inform(&mut self) {
        self.informed = true;
    }

    /// How many records the other side has, as far as is known.
    pub(super) fn theirs(&self) -> u64 {
        self.theirs
    }

    /// It has said how many; so many are here.
    pub(super) fn set_theirs(&mut self, ours: u64, theirs: u64) {
        self.theirs = theirs;
        self.had_much.get_or_insert(theirs > ours / 2);
    }

    /// Whether it came with many of the records that were here, or with as many others. Not known before it has said.
    pub(super) fn had_much(&self) -> Option<bool> {
        self.had_much
    }

    /// All that the other side had has been sent, and these are still on their way into the catalog.
    pub(super) fn told(&mut self, on_their_way: impl Iterator<Item = RecordId>) {
        self.awaited = on_their_way.take(COMPARE_AWAITED_MAX + 1).collect();
        if seeded::is_on(Bug::ToldIsKnown) {
            self.awaited.clear();
        }
        self.awaits = self.awaited.len() <= COMPARE_AWAITED_MAX && !self.dropped;
        self.inform_if_come();
    }

    /// Something that the other side lacks has not been sent, for whatever reason: the next round finds it.
    pub(super) fn leave_out(&mut self) {
        self.left_out = true;
    }

    /// Records have come into the catalog.
    pub(super) fn came<'a>(&mut self, ids: impl Iterator<Item = &'a RecordId>) {
        if !self.awaited.is_empty() {
            for id in ids {
                self.awaited.remove(id);
            }
            self.inform_if_come();
        }
    }

    fn inform_if_come(&mut self) {
        self.informed |= self.awaits && self.awaited.is_empty();
    }

    /// A round begins, with a question about everything. `blocked`: one of the two has no room for files. Gives whether
    /// the other side has been sent all that it lacked when the last one began.
    pub(super) fn begin(&mut self, whole: &RangeSummary, blocked: bool) -> bool {
        let told = self.told && !self.left_out;
        self.told = false;
        self.left_out = false;
        self.awaits = false;
        self.awaited.clear();
        self.stack.clear();
        self.asked.clear();
        self.asked.push_back(Span { first: whole.first, last: whole.last });
        self.dropped = false;
        let ours = (whole.count, whole.fingerprint);
        let (theirs, lacking, untold) = (None, false, false);
        self.round = Some(Round { ours, theirs, lacking, untold, blocked });
        told
    }

    /// The range to compare next, if another question may be asked now.
    pub(super) fn next(&mut self) -> Option<RangeSummary> {
        if self.asked.len() >= COMPARE_QUESTIONS_MAX {
            return None;
        }
        self.stack.pop()
    }

    /// A question goes out.
    pub(super) fn ask(&mut self, range: &RangeSummary) {
        self.asked.push_back(Span { first: range.first, last: range.last });
    }

    /// An answer has come. False if nobody asked that.
    pub(super) fn answered(&mut self, span: Span, theirs: Sum) -> bool {
        if self.asked.front() != Some(&span) {
            return false;
        }
        self.asked.pop_front();
        // None if the other side told without being asked: it is taken, and counts for nothing.
        let Some(round) = &mut self.round else {
            return true;
        };
        if round.theirs.is_none() {
            round.theirs = Some(theirs);
            self.theirs = theirs.0;
            self.had_much.get_or_insert(theirs.0 > round.ours.0 / 2);
            // Neither side has changed since the last round. What was refused then is refused again, and to go through
            // all that differs costs as much as there is.
            let sums = (round.ours, theirs);
            let times = self.repeated + 1;
            let in_vain = round.blocked || !times.is_power_of_two();
            if self.before == Some(sums) && in_vain && !seeded::is_on(Bug::CompareInVain) {
                round.lacking = true;
                round.untold = true;
                self.left_out = true;
                return false;
            }
        }
        true
    }

    /// Something was dropped: the next round goes through all that differs, and comes soon.
    pub(super) fn drop_something(&mut self) {
        self.dropped = true;
        self.left_out = true;
        self.before = None;
        self.set_lacking();
    }

    /// Nothing of a round is asked any more: it is to begin anew, soon.
    pub(super) fn put_off(&mut self) {
        self.stack.clear();
        self.asked.clear();
        self.drop_something();
    }

    /// Something may have changed that the sums do not tell: the next round goes through all that differs.
    pub(super) fn forget_before(&mut self) {
        self.before = None;
    }

    /// The answer was that both have the same.
    pub(super) fn answered_equal(&mut self, span: Span) -> bool {
        let ours = self.round.as_ref().map(|round| round.ours);
        ours.is_some_and(|ours| self.answered(span, ours))
    }

    /// The answer was what the other side has in the parts of the range; those go on that lie within it. The range itself
    /// needs no question: all of it follows.
    pub(super) fn add_parts(&mut self, span: Span, parts: &[RangeSummary]) {
        let Span { first, last } = span;
        let within = |part: &&RangeSummary| {
            let (from, to) = (part.first, part.last);
            first <= from && from <= to && to <= last && (first, last) != (from, to)
        };
        for part in parts.iter().rev() {
            if !within(&part) {
                self.set_lacking();
            } else if self.stack.len() < COMPARE_STACK_MAX {
                self.stack.push(*part);
            } else {
                // Neither side learns in this round what the other lacks there.
                self.set_lacking();
                self.leave_out();
            }
        }
    }

    /// Something of the other side's is not here yet, and who knows what.
    pub(super) fn set_lacking(&mut self) {
        if let Some(round) = &mut self.round {
            round.lacking = true;
            round.untold = true;
        }
    }

    /// These of the other side's are not here yet.
    pub(super) fn lack(&mut self, ids: &[RecordId]) {
        let Some(round) = &mut self.round else {
            return;
        };
        round.lacking |= !ids.is_empty();
        if self.awaited.len() + ids.len() <= COMPARE_AWAITED_MAX {
            self.awaited.extend(ids);
        } else {
            round.untold = true;
        }
    }

    /// Ends the round if nothing is left of it.
    pub(super) fn end_round(&mut self) -> Option<Ended> {
        if !self.stack.is_empty() || !self.asked.is_empty() {
            return None;
        }
        let round = self.round.take()?;
        self.told = true;
        self.awaits = !round.untold;
        self.inform_if_come();
        if round.untold {
            self.awaited.clear();
        }
        let sums = (round.ours, round.theirs.unwrap_or_default());
        if std::mem::take(&mut self.dropped) {
            self.repeated = 0;
            return Some(Ended::Unequal(0));
        }
        if sums.0 == sums.1 {
            self.before = None;
            self.repeated = 0;
            return Some(Ended::Equal);
        }
        self.repeated = if self.before == Some(sums) { self.repeated + 1 } else { 0 };
        self.before = Some(sums);
        Some(Ended::Unequal(self.repeated))
    }

    /// The other side asks. What is beyond the bound is left aside: nobody who keeps the rules asks so much at once.
    pub(super) fn question(&mut self, question: Question) {
        if self.answering.len() < COMPARE_QUESTIONS_MAX {
            self.answering.push_back(question);
        }
    }

    /// The other side's next question.
    pub(super) fn next_answer(&mut self) -> Option<Question> {
        self.answering.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u8, last: u8) -> RangeSummary {
        let (first, last) = (RecordId([first; 32]), RecordId([last; 32]));
        RangeSummary { first, last, count: 3, fingerprint: Hash::default() }
    }

    fn span(range: &RangeSummary) -> Span {
        Span { first: range.first, last: range.last }
    }

    #[test]
    fn only_what_was_asked_can_be_answered() {
        let mut comparison = Comparison::default();
        let whole = range(0, 255);
        assert!(!comparison.answered_equal(span(&whole)), "nothing was asked");
        assert_eq!(comparison.end_round(), None);
        assert!(!comparison.is_informed());
        comparison.begin(&whole, false);
        assert!(!comparison.answered_equal(span(&range(0, 9))));
        assert!(!comparison.is_informed());
        assert!(comparison.answered_equal(span(&whole)));
        assert_eq!(comparison.end_round(), Some(Ended::Equal));
        assert!(comparison.is_informed());
        assert!(!comparison.answered_equal(span(&whole)), "answered once");
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut comparison = Comparison::default();
        comparison.begin(&range(0, 255), false);
        for _ in 0..COMPARE_STACK_MAX {
            comparison.add_parts(span(&range(0, 255)), &[range(1, 2); 16]);
            comparison.question(Question { range: range(1, 2), cut: 7 });
        }
        let most = COMPARE_STACK_MAX + 2 * COMPARE_QUESTIONS_MAX;
        assert!(comparison.held_bytes() <= most * size_of::<Question>());
        while let Some(range) = comparison.next() {
            comparison.ask(&range);
        }
        assert_eq!(comparison.asked.len(), COMPARE_QUESTIONS_MAX);
        comparison.stack.clear();
        comparison.asked.clear();
        assert!(comparison.end_round().is_some());
        assert!(!comparison.is_informed(), "what found no room is not known");
        assert!(!comparison.begin(&range(0, 255), false), "nor has the other side been told of it");
    }

    #[test]
    fn a_part_that_is_not_less_than_its_whole_is_left_aside() {
        let mut comparison = Comparison::default();
        comparison.add_parts(span(&range(3, 5)), &[range(3, 5), range(2, 4)]);
        assert_eq!(comparison.next(), None);
    }

    #[test]
    fn what_differs_is_gone_through_ever_more_rarely_while_neither_side_changes() {
        let gone_through = |blocked: bool| -> Vec<u32> {
            let mut comparison = Comparison::default();
            let whole = range(0, 255);
            let mut round = || {
                comparison.begin(&whole, blocked);
                let goes_on = comparison.answered(span(&whole), (9, Hash::default()));
                assert!(comparison.end_round().is_some());
                goes_on
            };
            (0..20).filter(|_| round()).collect()
        };
        assert_eq!(gone_through(false), [0, 1, 2, 4, 8, 16]);
        assert_eq!(gone_through(true), [0]);
    }

    #[test]
    fn what_was_dropped_is_gone_through_in_the_next_round_whatever_has_changed() {
        let whole = range(0, 255);
        for blocked in [false, true] {
            let mut comparison = Comparison::default();
            let mut round = |drops: bool| {
                comparison.begin(&whole, blocked);
                let goes_on = comparison.answered(span(&whole), (9, Hash::default()));
                if drops {
                    comparison.drop_something();
                }
                (goes_on, comparison.end_round())
            };
            for _ in 0..10 {
                assert_eq!(round(true), (true, Some(Ended::Unequal(0))));
            }
            assert_eq!(round(false), (true, Some(Ended::Unequal(0))));
        }
    }

    #[test]
    fn rounds_that_change_nothing_are_counted() {
        let mut comparison = Comparison::default();
        let whole = range(0, 255);
        for times in 0..3 {
            comparison.begin(&whole, false);
            comparison.answered(span(&whole), (9, Hash::default()));
            assert_eq!(comparison.end_round(), Some(Ended::Unequal(times)));
        }
    }
}
