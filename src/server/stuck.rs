//! Records that could not be completed for now, and when they are tried again.
//!
//! Invariant: whoever is stuck is tried again after a while if there is somebody to ask, or if something has come that it
//! may lack; the pauses grow while nothing comes of it.

use super::walk::Purpose;
use super::{FileServer, Timer};
use crate::ids::{Address, RecordId};
use crate::planted::{self, Bug};
use crate::time::Now;
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

/// A record whose blocks could not all be had is tried again after this long, or when a peer connects.
const RETRY: Duration = Duration::from_secs(5);
/// The delay doubles so many times while nothing comes of it.
const RETRY_DOUBLINGS: u32 = 4;

/// Records tried at a time.
const RETRY_BATCH: usize = 64;
/// Damaged pages asked for at a time.
const MENDS_MAX: usize = 8;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    records: BTreeSet<RecordId>,
    retry_set: bool,
    /// Something has come since the last try that may be what one of them lacks.
    arrived: bool,
    /// Attempts since the last that brought something.
    retries: u32,
    /// How far through the records the last batch came.
    tried_to: Option<RecordId>,
    /// Of the last batch some could be completed.
    hopeful: bool,
    /// A peer has come that may have them all: batch follows batch to the end.
    whole_round: bool,
    /// The damaged pages that are being asked for.
    mending: BTreeSet<Address>,
    /// How far through the damaged pages the last retry came.
    mended_to: Option<Address>,
}

impl Stuck {
    /// One more.
    pub(super) fn insert(&mut self, record: RecordId) {
        self.records.insert(record);
    }

    /// An attempt has brought something.
    pub(super) fn brought(&mut self) {
        self.retries = 0;
        self.hopeful = true;
    }

    /// The next few, in the order of their ids, each once in a round: a retry costs the same however many wait.
    fn next_batch(&mut self) -> Vec<RecordId> {
        let after = self.tried_to.map_or(Unbounded, Excluded);
        let rest = self.records.range((after, Unbounded)).copied();
        let batch: Vec<_> = rest.take(RETRY_BATCH).collect();
        self.tried_to = batch.last().copied().filter(|_| batch.len() == RETRY_BATCH);
        for record in &batch {
            self.records.remove(record);
        }
        batch
    }

    /// Whether the next batch follows at once; not at the end of a round.
    fn goes_on(&mut self) -> bool {
        let hopeful = std::mem::take(&mut self.hopeful);
        // Where the last batch was not full the round is over.
        let left = self.tried_to.is_some();
        self.whole_round &= left;
        left && (hopeful || self.whole_round)
    }
}

impl FileServer {
    pub(super) fn set_retry(&mut self, now: Now) {
        if !std::mem::replace(&mut self.stuck.retry_set, true) && !planted::is_on(Bug::ForgetRetry)
        {
            let doublings = self.stuck.retries.min(RETRY_DOUBLINGS);
            self.after(now, RETRY * (1 << doublings), Timer::Retry);
        }
    }

    /// A block or a page has come, from whomever: what is stuck may lack no more than that.
    pub(super) fn arrived_for_stuck(&mut self, now: Now) {
        if !self.stuck.records.is_empty() {
            self.stuck.arrived = true;
            self.set_retry(now);
        }
    }

    /// What was stuck is tried again; without a peer there is nobody to ask, and the first that comes is asked at once.
    pub(super) fn retry(&mut self, now: Now) {
        self.stuck.retry_set = false;
        let arrived = std::mem::take(&mut self.stuck.arrived);
        if arrived || !self.nodes.is_empty() {
            self.stuck.retries += 1;
            self.try_stuck(now);
        }
    }

    /// A peer has come that may have what was missing.
    pub(super) fn retry_soon(&mut self, now: Now) {
        self.stuck.retries = 0;
        self.stuck.tried_to = None;
        self.stuck.whole_round = true;
        self.try_stuck(now);
    }

    fn try_stuck(&mut self, now: Now) {
        self.retry_repairs(now);
        self.retry_pages(now);
        let batch = self.stuck.next_batch();
        self.replicate(batch.into_iter().map(|record| (record, None)));
        if !self.stuck.records.is_empty() {
            self.set_retry(now);
        }
    }

    /// A record of the last batch could be completed, or not. When all have been tried and some could, or when a peer has
    /// come, the next batch follows at once: one source may have them all.
    pub(super) fn stuck_tried(&mut self) {
        if self.replicates() || !self.stuck.goes_on() {
            return;
        }
        let batch = self.stuck.next_batch();
        self.replicate(batch.into_iter().map(|record| (record, None)));
    }

    /// Asks the peers for a page that was found damaged. What is too much for now waits for the next retry.
    pub(super) fn mend_page(&mut self, now: Now, address: Address) {
        if self.stuck.mending.contains(&address) {
            return;
        }
        if self.stuck.mending.len() < MENDS_MAX {
            self.stuck.mending.insert(address);
            self.fetch_page(now, address, Purpose::Mend { address });
        } else {
            self.set_retry(now);
        }
    }

    /// A damaged page is here again, or nobody has it.
    pub(super) fn page_mended(&mut self, now: Now, address: Address, here: bool) {
        self.stuck.mending.remove(&address);
        if here {
            self.stuck.brought();
        }
        if !self.walks.lost.is_empty() {
            self.set_retry(now);
        }
    }

    /// The next few of the pages that were found damaged are asked for again, in turn.
    fn retry_pages(&mut self, now: Now) {
        let after = self.stuck.mended_to.map_or(Unbounded, Excluded);
        let next = self.walks.lost.range((after, Unbounded)).copied();
        let next: Vec<_> = next.take(MENDS_MAX).collect();
        self.stuck.mended_to = next.last().copied();
        for address in next {
            self.mend_page(now, address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_takes_a_bounded_batch_and_the_next_one_goes_on_after_it() {
        for count in [10_u64, 10_000] {
            let mut stuck = Stuck::default();
            let id = |number: u64| {
                let mut id = RecordId::default();
                id.0[..8].copy_from_slice(&number.to_be_bytes());
                id
            };
            (0..count).for_each(|number| stuck.insert(id(number)));
            let mut tried = BTreeSet::new();
            for _ in 0..count.div_ceil(RETRY_BATCH as u64) {
                let batch = stuck.next_batch();
                assert!(batch.len() <= RETRY_BATCH);
                for record in batch {
                    assert!(tried.insert(record), "each once");
                    stuck.insert(record);
                }
            }
            assert_eq!(tried.len() as u64, count, "all in turn");
            assert!(stuck.next_batch().len() <= RETRY_BATCH);
        }
    }
}
