//! Reconciliation: two nodes find out which records one has and the other lacks, by comparing ranges of ids.
//!
//! One side asks, a few ranges at a time, and goes on where it stopped as answers come and its outbox has room; the other
//! answers each question once, while its own has. So neither's work grows with how much differs. A range with equal sums
//! is settled; of an unequal one the other side says the sums of its parts, or its ids when they are few. Of two nodes the
//! one with the lesser id asks; who lost something asks too. Invariant: only the answer to its own question makes a node
//! believe that it knows what a peer has.

use super::FileServer;
use super::comparison::Ended;
use super::order::mix;
use super::output::Link;
use super::peers::Peer;
use super::push::PushRange;
use super::timers::Timer;
use crate::ids::{Hash, RecordId};
use crate::limits::{COMPARE_IDS, COMPARE_PARTS, MESSAGE_IDS_MAX, OUTBOX_MAX, RECONCILE_PERIOD};
use crate::planted::{self, Bug};
use crate::time::Now;
use crate::wire::message::{Message, RangeSummary};
use std::time::Duration;

/// Unequal nodes compare again after this long, and after twice as long each time that neither has changed.
pub(super) const AGAIN: Duration = Duration::from_secs(2);
/// What could not be read or written now is looked for again after this long.
pub(super) const UNREAD_AGAIN: Duration = Duration::from_secs(30);
/// An unequal range is cut into so many.
const PARTS: u128 = COMPARE_PARTS as u128;

impl FileServer {
    /// Sets the time of the next comparison that this side begins.
    pub(super) fn set_reconcile(&mut self, now: Now, link: Link, delay: Duration) {
        if let Some(peer) = self.cx.links.get_mut(link)
            && !(planted::is_on(Bug::CompareOnce) && peer.reconcile_at.is_some())
        {
            peer.reconcile_at = Some(now.instant + delay);
            self.after(now, delay, Timer::Reconcile(link));
        }
    }

    /// Begins a comparison, if it is time for it and nothing of the last one is under way.
    pub(super) fn reconcile(&mut self, now: Now, link: Link) {
        let whole = self.cx.index.catalog.whole();
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        if peer.reconcile_at.is_none_or(|at| at > now.instant) || peer.comparison.is_under_way() {
            return;
        }
        if !peer.push.is_idle() || peer.outbox > OUTBOX_MAX / 2 {
            return self.set_reconcile(now, link, AGAIN);
        }
        let told = peer.comparison.begin(&whole, !peer.has_room || !self.cx.room.is_there());
        let told = told && peer.has_room;
        self.tell_one_more(link);
        self.send(link, Message::Compare { range: whole, told });
    }

    /// Goes on with what the two sides have to say to each other, while the outbox has room.
    pub(super) fn pump_comparison(&mut self, now: Now, link: Link) {
        while let Some(peer) = self.cx.links.get_mut(link)
            && peer.may_compare()
            && let Some(theirs) = peer.comparison.next_answer()
        {
            self.answer_range(now, link, &theirs);
        }
        while let Some(peer) = self.cx.links.get_mut(link)
            && peer.may_compare()
            && let Some(theirs) = peer.comparison.next()
        {
            self.compare_part(now, link, &theirs);
        }
        self.end_round(now, link);
    }

    /// A peer has said what it has in a range that was part of an unequal one.
    fn compare_part(&mut self, now: Now, link: Link, theirs: &RangeSummary) {
        let ours = self.cx.index.catalog.summary(theirs.first, theirs.last);
        if is_equal(&ours, theirs) {
            return;
        }
        if theirs.count == 0 {
            let (first, last) = (theirs.first, theirs.last);
            self.push_range(now, link, PushRange::all(first, last));
            return;
        }
        if let Some(peer) = self.cx.links.get_mut(link) {
            peer.comparison.ask(&ours);
        }
        self.send(link, Message::Compare { range: ours, told: false });
    }

    fn end_round(&mut self, now: Now, link: Link) {
        let Some(ended) = self.cx.links.get_mut(link).and_then(|peer| peer.comparison.end_round())
        else {
            return;
        };
        if planted::is_on(Bug::CompareOnce) {
            return;
        }
        let node = self.cx.links.get(link).and_then(Peer::node);
        let delay = match ended {
            // Who began only since something was lost leaves it to the other from now on.
            Ended::Equal if Some(self.setup.node) > node => return,
            Ended::Equal => RECONCILE_PERIOD,
            Ended::Unequal(times) => (AGAIN * 2_u32.pow(times.min(8))).min(RECONCILE_PERIOD),
        };
        self.set_reconcile(now, link, delay);
    }

    /// Something that a peer lacks, or that was of it, has been dropped for want of room: another comparison finds it, soon
    /// and whatever has changed meanwhile.
    pub(super) fn dropped(&mut self, now: Now, link: Link, delay: Duration) {
        let Some(peer) = self.cx.links.get_mut(link).filter(|peer| peer.is_node()) else {
            return;
        };
        if planted::is_on(Bug::DropInSilence) {
            return;
        }
        peer.comparison.drop_something();
        let due = now.instant..=now.instant + delay;
        let is_due = peer.reconcile_at.is_some_and(|at| due.contains(&at));
        if !is_due && !peer.comparison.is_under_way() {
            self.set_reconcile(now, link, delay);
        }
    }

    /// Compares with everybody soon, since something of what was here is not.
    pub(super) fn reconcile_with_all(&mut self, now: Now) {
        for link in self.cx.links.nodes() {
            if let Some(peer) = self.cx.links.get_mut(link) {
                peer.comparison.forget_before();
            }
            self.set_reconcile(now, link, Duration::ZERO);
        }
    }

    /// A peer asks what is here of a range, and says what it has itself.
    pub(super) fn compare(&mut self, now: Now, link: Link, range: RangeSummary, told: bool) {
        let whole = self.cx.index.catalog.whole();
        if let Some(peer) = self.cx.links.get_mut(link) {
            if (range.first, range.last) == (whole.first, whole.last) {
                peer.comparison.set_theirs(whole.count, range.count);
            }
            if told && !peer.comparison.is_informed() {
                // What it has sent may not have been checked, or is not durable, yet.
                peer.comparison.told(self.write.on_their_way());
            }
            peer.comparison.question(range);
        }
        self.pump_comparison(now, link);
    }

    fn answer_range(&mut self, now: Now, link: Link, theirs: &RangeSummary) {
        let (first, last) = (theirs.first, theirs.last);
        if is_whole(first, last) {
            self.tell_one_more(link);
        }
        let ours = self.cx.index.catalog.summary(first, last);
        let parts = if is_equal(&ours, theirs) {
            if is_whole(first, last)
                && let Some(peer) = self.cx.links.get_mut(link)
            {
                peer.comparison.inform();
            }
            Vec::new()
        } else if ours.count <= COMPARE_IDS {
            return self.send_ids(link, first, last);
        } else if theirs.count == 0 && self.push_range(now, link, PushRange::all(first, last)) {
            vec![ours]
        } else {
            let parts = self.parts(first, last);
            if parts.len() == 1 {
                return self.send_ids(link, first, last);
            }
            parts
        };
        self.send(link, Message::Parts { first, last, ranges: parts });
    }

    /// A peer answers with the sums of a range's parts; with none if it has what we have.
    pub(super) fn parts_answered(
        &mut self,
        now: Now,
        link: Link,
        (first, last): (RecordId, RecordId),
        ranges: &[RangeSummary],
    ) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        if ranges.is_empty() {
            peer.comparison.answered_equal(first, last);
        } else {
            let mut fingerprint = Hash::default();
            for range in ranges {
                mix(&mut fingerprint, &range.fingerprint.0);
            }
            let count = ranges.iter().fold(0_u64, |sum, range| sum.saturating_add(range.count));
            if peer.comparison.answered(first, last, (count, fingerprint)) {
                peer.comparison.add_parts((first, last), ranges);
            }
        }
        self.pump_comparison(now, link);
    }

    fn send_ids(&mut self, link: Link, first: RecordId, last: RecordId) {
        let entries = self.cx.index.catalog.range(first, last).take(MESSAGE_IDS_MAX);
        let mut ids: Vec<_> = entries.map(|entry| entry.id()).collect();
        if planted::is_on(Bug::DropLastId) {
            ids.pop();
        }
        self.send(link, Message::Ids { first, last, ids });
    }

    /// What we have in each part of a range.
    fn parts(&self, first: RecordId, last: RecordId) -> Vec<RangeSummary> {
        let (low, high) = (head(&first), head(&last));
        let step = (high - low) / PARTS;
        if step == 0 {
            return vec![self.cx.index.catalog.summary(first, last)];
        }
        let part = |index: u128| {
            let from = if index == 0 { first } else { edge(low + step * index, 0) };
            let to =
                if index == PARTS - 1 { last } else { edge(low + step * (index + 1) - 1, u8::MAX) };
            self.cx.index.catalog.summary(from, to)
        };
        (0..PARTS).map(part).collect()
    }

    /// A peer lists its ids of a range: what it lacks is sent, what we lack is asked for.
    pub(super) fn ids(
        &mut self,
        now: Now,
        link: Link,
        (first, last): (RecordId, RecordId),
        theirs: Vec<RecordId>,
    ) {
        let mut fingerprint = Hash::default();
        for id in &theirs {
            mix(&mut fingerprint, &id.0);
        }
        let lacking: Vec<_> =
            theirs.iter().filter(|id| !self.write.knows(&self.cx, id)).copied().collect();
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        if !peer.comparison.answered(first, last, (theirs.len() as u64, fingerprint)) {
            return self.pump_comparison(now, link);
        }
        peer.comparison.lack(&lacking);
        if !lacking.is_empty() {
            self.send_all(link, Message::fetch(&lacking));
        }
        let mut except = theirs;
        except.sort_unstable();
        let lacks = |id: &RecordId| except.binary_search(id).is_err();
        if self.cx.index.catalog.range(first, last).any(|entry| lacks(&entry.id())) {
            self.push_range(now, link, PushRange::all_but(except, first, last));
        }
        self.pump_comparison(now, link);
    }
}

fn is_whole(first: RecordId, last: RecordId) -> bool {
    (first, last) == (RecordId([0; 32]), RecordId([u8::MAX; 32]))
}

fn is_equal(ours: &RangeSummary, theirs: &RangeSummary) -> bool {
    ours == theirs || (planted::is_on(Bug::CompareCounts) && ours.count == theirs.count)
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
