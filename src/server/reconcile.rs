//! Reconciliation: two nodes find out which records one has and the other lacks, by comparing ranges of ids.
//!
//! Each message is answered from what is known at that moment; nothing is remembered of an exchange but when to compare
//! again. A range with equal sums is settled; an unequal one is cut into parts, or its ids are listed when they are few.
//! Of two nodes the one with the lesser id begins. Invariant: an exchange that says "equal" has compared everything.

use super::output::Link;
use super::push::PushRange;
use super::{FileServer, Timer};
use crate::ids::RecordId;
use crate::limits::{MESSAGE_IDS_MAX, RECONCILE_PERIOD};
use crate::planted::{self, Bug};
use crate::time::Now;
use crate::wire::message::{Message, RangeSummary};
use std::time::Duration;

/// A range with no more of our ids than this is listed.
const LIST_MAX: u64 = 256;
/// An unequal range is cut into so many.
const PARTS: u128 = 16;
/// Unequal nodes compare again after this long.
const AGAIN: Duration = Duration::from_secs(2);

const FIRST: RecordId = RecordId([0; 32]);
const LAST: RecordId = RecordId([u8::MAX; 32]);

impl FileServer {
    /// Sets the time of the next comparison that this side begins.
    pub(super) fn set_reconcile(&mut self, now: Now, link: Link, delay: Duration) {
        if let Some(peer) = self.peers.get_mut(&link)
            && !(planted::is_on(Bug::CompareOnce) && peer.reconcile_at.is_some())
        {
            peer.reconcile_at = Some(now.instant + delay);
            self.after(now, delay, Timer::Reconcile(link));
        }
    }

    /// Begins a comparison, if it is time for it. Until the peer says that all is equal, another follows soon.
    pub(super) fn reconcile(&mut self, now: Now, link: Link) {
        let Some(peer) = self.peers.get_mut(&link) else {
            return;
        };
        if peer.reconcile_at.is_some_and(|at| at <= now.instant) {
            let pushing = !peer.push.is_idle();
            self.set_reconcile(now, link, AGAIN);
            if !pushing {
                self.send_summary(now, link);
            }
        }
    }

    /// Sends what this node has in all.
    pub(super) fn send_summary(&mut self, _now: Now, link: Link) {
        let ranges = vec![self.catalog.whole()];
        self.send(link, Message::Compare { ranges });
    }

    /// A peer says what it has in some ranges; an empty list says that what we said was equal.
    pub(super) fn compare(&mut self, now: Now, link: Link, ranges: &[RangeSummary]) {
        if ranges.is_empty() {
            return self.equal(now, link);
        }
        let whole = matches!(ranges, [range] if range.first == FIRST && range.last == LAST);
        if whole && self.catalog.whole() == ranges[0] {
            self.reconciled = true;
            return self.send(link, Message::Compare { ranges: Vec::new() });
        }
        if whole && self.peers.get(&link).is_some_and(|peer| !peer.push.is_idle()) {
            // What the last comparison showed is still on its way, and would be sent again. The peer asks again soon.
            return;
        }
        let mut unequal = Vec::new();
        for theirs in ranges {
            let ours = self.catalog.summary(theirs.first, theirs.last);
            if ours == *theirs || (planted::is_on(Bug::CompareCounts) && ours.count == theirs.count)
            {
                continue;
            }
            if theirs.count == 0 {
                let (first, last) = (theirs.first, theirs.last);
                let range = PushRange { first, last, except: Vec::new() };
                self.push_range(now, link, range);
            } else if ours.count <= LIST_MAX {
                self.send_ids(link, theirs.first, theirs.last);
            } else {
                unequal.extend(self.parts(theirs.first, theirs.last));
            }
            if unequal.len() >= PARTS as usize * 8 {
                let ranges = std::mem::take(&mut unequal);
                self.send(link, Message::Compare { ranges });
            }
        }
        if !unequal.is_empty() {
            self.send(link, Message::Compare { ranges: unequal });
        }
    }

    fn equal(&mut self, now: Now, link: Link) {
        self.reconciled = true;
        let again = !planted::is_on(Bug::CompareOnce);
        if again && self.peers.get(&link).is_some_and(|peer| peer.reconcile_at.is_some()) {
            self.set_reconcile(now, link, RECONCILE_PERIOD);
        }
    }

    fn send_ids(&mut self, link: Link, first: RecordId, last: RecordId) {
        let entries = self.catalog.range(first, last).take(MESSAGE_IDS_MAX);
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
            return vec![self.catalog.summary(first, last)];
        }
        let part = |index: u128| {
            let from = if index == 0 { first } else { edge(low + step * index, 0) };
            let to =
                if index == PARTS - 1 { last } else { edge(low + step * (index + 1) - 1, u8::MAX) };
            self.catalog.summary(from, to)
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
        let lacking: Vec<_> = theirs.iter().filter(|id| !self.is_known(id)).copied().collect();
        if !lacking.is_empty() {
            self.send_all(link, Message::fetch(&lacking));
        }
        let mut except = theirs;
        except.sort_unstable();
        let lacks = |id: &RecordId| except.binary_search(id).is_err();
        if self.catalog.range(first, last).any(|entry| lacks(&entry.id())) {
            self.push_range(now, link, PushRange { first, last, except });
        }
    }
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
