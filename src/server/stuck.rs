//! What is short here and could not be had: damaged blocks and pages, and records that name what is not here.
//!
//! Nothing of it is asked for at random. A record waits for one thing that it lacks, and is tried again when that comes
//! here or a peer says that it has it; a peer that has news is asked for everything, a batch at a time (`round`). What was
//! asked of somebody who did not answer is due: it is tried again after a while, ever more rarely while nothing comes of
//! it. Invariant: without news, arrivals and broken answers nothing is done, however much is short.

use super::FileServer;
use super::output::Link;
use super::peers::Peer;
use super::replicate::key;
use super::round::{Round, Short};
use super::timers::Timer;
use super::transfer::{Interest, Outcome};
use super::walk::Purpose;
use crate::ids::{Address, RecordId};
use crate::limits::SHORT_BATCH;
use crate::planted::{self, Bug};
use crate::wire::message::BlockRef;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

/// What is due is tried again after this long.
const RETRY: Duration = Duration::from_secs(5);
/// The delay doubles so many times while nothing comes of it.
const RETRY_DOUBLINGS: u32 = 4;
/// Batches that are begun in one turn, should each be over at once.
const BATCHES_OF_A_TURN: u32 = 4;

/// What a record was found to lack.
#[derive(Debug, Clone, Copy)]
struct Lack {
    key: u64,
    /// So far the walk through its pages had come.
    steps: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    /// Blocks that were found damaged here and have not come again: with their lengths.
    pub(super) repairs: BTreeMap<Address, u32>,
    records: BTreeMap<RecordId, Lack>,
    by_lack: BTreeSet<(u64, RecordId)>,
    due: BTreeSet<Short>,
    /// How far through what is due the last batch came.
    due_to: Option<Short>,
    /// Is being tried: again, with the steps before which only those with news are asked, or with everybody.
    trying: BTreeMap<Short, Option<u32>>,
    retry_set: bool,
    /// Attempts since the last that brought something.
    retries: u32,
    /// Of the last batch some could be had.
    hopeful: bool,
}

impl Stuck {
    /// With the records that a start has found, and what each of them lacks; and what an earlier run found damaged.
    pub(super) fn new(lacks: &[(RecordId, Address)], repairs: BTreeMap<Address, u32>) -> Self {
        let mut stuck = Self { repairs, ..Self::default() };
        lacks.iter().for_each(|(record, lack)| stuck.insert(*record, lack, 0));
        stuck
    }

    /// One more record, which lacks this, so many steps down its pages.
    pub(super) fn insert(&mut self, record: RecordId, lack: &Address, steps: u32) {
        self.remove(&record);
        let key = key(lack);
        self.records.insert(record, Lack { key, steps });
        self.by_lack.insert((key, record));
    }

    /// Whether a record waits for something.
    pub(super) fn waits(&self, record: &RecordId) -> bool {
        self.records.contains_key(record)
    }

    fn remove(&mut self, record: &RecordId) -> Option<Lack> {
        let lack = self.records.remove(record)?;
        self.by_lack.remove(&(lack.key, *record));
        Some(lack)
    }

    /// The records that lack this are to be tried again.
    fn take_lacking(&mut self, address: &Address) -> Vec<RecordId> {
        let key = key(address);
        let all = (key, RecordId::default())..=(key, RecordId([u8::MAX; 32]));
        let records: Vec<_> = self.by_lack.range(all).map(|(_, record)| *record).collect();
        for record in &records {
            let steps = self.remove(record).map(|lack| lack.steps);
            self.trying.insert(Short::Record(*record), steps);
        }
        records
    }

    /// Something is to be tried again.
    fn take(&mut self, short: Short, again: bool) {
        let steps = match short {
            Short::Record(record) => self.remove(&record).map_or(0, |lack| lack.steps),
            Short::Block(_) | Short::Page(_) => u32::MAX,
        };
        self.trying.insert(short, again.then_some(steps));
    }

    /// The next of what is due.
    fn next_due(&mut self) -> Vec<Short> {
        let after = self.due_to.map_or(Unbounded, Excluded);
        let batch: Vec<_> = self.due.range((after, Unbounded)).take(SHORT_BATCH).copied().collect();
        self.due_to = batch.last().copied().filter(|_| batch.len() == SHORT_BATCH);
        for short in &batch {
            self.due.remove(short);
        }
        batch
    }

    /// It has been tried, whatever came of it.
    pub(super) fn tried(&mut self, news: &mut Round, short: Short) {
        self.trying.remove(&short);
        if self.trying.is_empty() {
            news.settle();
        }
    }

    /// Whether something is tried again, and only asked of those with news until a walk for it has come so far.
    pub(super) fn again(&self, short: &Short) -> Option<u32> {
        self.trying.get(short).copied().flatten()
    }

    /// The next batch follows at once.
    fn goes_on(&self, news: &Round) -> bool {
        self.trying.is_empty()
            && (news.is_eager() || (self.hopeful && !self.has_nothing_to_try(news)))
    }

    fn has_nothing_to_try(&self, news: &Round) -> bool {
        news.is_over() && self.due.is_empty()
    }
}

impl FileServer {
    /// Sees to it that what is due is tried again, if there is somebody to ask.
    fn set_retry(&mut self) {
        if !self.stuck.has_nothing_to_try(&self.cx.news)
            && !self.cx.links.has_no_node()
            && !self.stuck.retry_set
        {
            self.stuck.retry_set = true;
            let doublings = self.stuck.retries.min(RETRY_DOUBLINGS);
            self.cx.after(RETRY * (1 << doublings), Timer::Retry);
        }
    }

    /// It is time to try the next of what is due.
    pub(super) fn retry(&mut self) {
        self.stuck.retry_set = false;
        if !self.cx.links.has_no_node() {
            self.stuck.retries += 1;
            if self.stuck.trying.is_empty() {
                self.try_batch();
            }
            self.set_retry();
        }
    }

    /// Batch follows batch while a peer that has just come is asked for everything, or something comes of it.
    pub(super) fn pump_short(&mut self) {
        for _ in 0..BATCHES_OF_A_TURN {
            if !self.stuck.goes_on(&self.cx.news) {
                return;
            }
            self.try_batch();
        }
        self.set_retry();
    }

    fn try_batch(&mut self) {
        if planted::is_on(Bug::ForgetRetry) {
            return;
        }
        self.stuck.hopeful = false;
        let (repairs, lost) = (&self.stuck.repairs, &self.walks.lost);
        let records = &self.stuck.records;
        let mut batch = self.cx.news.next(|cursor| short_after(cursor, repairs, lost, records));
        let again = !batch.is_empty();
        if !again && planted::is_on(Bug::RetryAll) {
            batch = short_after(None, repairs, lost, records);
        } else if !again {
            batch = self.stuck.next_due();
        }
        for short in &batch {
            self.stuck.take(*short, again);
        }
        let record = |short: &Short| match short {
            Short::Record(record) => Some((*record, None)),
            Short::Block(_) | Short::Page(_) => None,
        };
        self.replicate(batch.iter().filter_map(record).collect::<Vec<_>>());
        for short in batch.into_iter().filter(|short| record(short).is_none()) {
            self.try_short(short, None);
        }
        self.set_retry();
    }

    fn try_short(&mut self, short: Short, hint: Option<Link>) {
        match short {
            Short::Record(record) => self.replicate([(record, hint)]),
            Short::Page(address) if self.walks.lost.contains(&address) => {
                self.fetch_page(address, Purpose::Mend { address }, hint);
            }
            Short::Block(address) if self.transfer.fetches(&address) => {
                self.short_tried(short, Outcome::Unsure);
            }
            Short::Block(address) => match self.stuck.repairs.get(&address) {
                Some(&length) => {
                    self.fetch(BlockRef { address, length }, Interest::Repair, hint);
                }
                None => self.stuck.tried(&mut self.cx.news, short),
            },
            Short::Page(_) => self.stuck.tried(&mut self.cx.news, short),
        }
    }

    /// An attempt is over.
    pub(super) fn short_tried(&mut self, short: Short, outcome: Outcome) {
        self.stuck.tried(&mut self.cx.news, short);
        match outcome {
            Outcome::Here => {
                self.stuck.due.remove(&short);
                self.stuck.retries = 0;
                self.stuck.hopeful = true;
            }
            Outcome::Nowhere if !planted::is_on(Bug::RetryAll) => {}
            Outcome::Nowhere | Outcome::Unsure => {
                self.stuck.due.insert(short);
            }
        }
        self.set_retry();
    }

    /// Whether a block was asked for before, of all that had no news since.
    pub(super) fn is_tried_again(&self, address: &Address, interest: &Interest) -> bool {
        match interest {
            Interest::Walk(walk) => self.walk_is_again(*walk),
            Interest::Repair => self.stuck.again(&Short::Block(*address)).is_some(),
            Interest::Offer(_) | Interest::Read(_) => false,
        }
    }

    /// Blocks or pages have come, from whomever: what lacks them is tried again.
    pub(super) fn arrived_for_stuck(&mut self, addresses: &[Address]) {
        if self.stuck.records.is_empty() || planted::is_on(Bug::ForgetRetry) {
            return;
        }
        let lacking = |address| self.stuck.take_lacking(address);
        let records: Vec<_> = addresses.iter().flat_map(lacking).collect();
        self.replicate(records.into_iter().map(|record| (record, None)));
    }

    /// A peer has come, or there is room again: it may have all that is short.
    pub(super) fn has_news(&mut self, link: Link) {
        self.stuck.retries = 0;
        self.cx.news.news(link, true);
        self.set_retry();
    }

    /// A peer has got what it was asked for in vain; or something of it, if it does not say what.
    pub(super) fn told_of(&mut self, link: Link, addresses: &[Address]) {
        if !self.cx.links.get(link).is_some_and(Peer::is_node) || !self.is_short_of_something() {
            return;
        }
        let mut has_more = addresses.is_empty();
        for address in addresses {
            has_more |= !self.told_of_one(link, *address);
        }
        if has_more {
            self.cx.news.news(link, false);
            self.set_retry();
        }
    }

    /// False if it is not known what needs this.
    fn told_of_one(&mut self, link: Link, address: Address) -> bool {
        if self.cx.index.holdings.block(&address).is_some()
            || self.cx.index.holdings.page(&address).is_some()
        {
            return true;
        }
        let damaged = [Short::Block(address), Short::Page(address)].into_iter().find(|short| {
            let kept = match short {
                Short::Block(_) => self.stuck.repairs.contains_key(&address),
                Short::Page(_) | Short::Record(_) => self.walks.lost.contains(&address),
            };
            kept && !self.stuck.trying.contains_key(short)
        });
        let records = self.stuck.take_lacking(&address);
        let is_needed = damaged.is_some() || !records.is_empty();
        if let Some(short) = damaged {
            self.stuck.take(short, true);
            self.try_short(short, Some(link));
        }
        self.replicate(records.into_iter().map(|record| (record, Some(link))));
        is_needed
    }

    fn is_short_of_something(&self) -> bool {
        let is_damaged = !self.stuck.repairs.is_empty() || !self.walks.lost.is_empty();
        is_damaged || !self.stuck.records.is_empty() || self.replicates()
    }

    /// Asks the peers for a page that was found damaged. What is too much for now is due.
    pub(super) fn mend_page(&mut self, address: Address) {
        let short = Short::Page(address);
        if self.stuck.trying.contains_key(&short) {
            return;
        }
        if self.stuck.trying.len() < SHORT_BATCH {
            self.stuck.take(short, false);
            self.try_short(short, None);
        } else {
            self.stuck.due.insert(short);
            self.set_retry();
        }
    }
}

/// What is short after a cursor, as much as is tried at a time.
fn short_after(
    cursor: Option<Short>,
    repairs: &BTreeMap<Address, u32>,
    lost: &BTreeSet<Address>,
    records: &BTreeMap<RecordId, Lack>,
) -> Vec<Short> {
    let (first, block, page, record) = match cursor {
        None => (0, Unbounded, Unbounded, Unbounded),
        Some(Short::Block(address)) => (0, Excluded(address), Unbounded, Unbounded),
        Some(Short::Page(address)) => (1, Unbounded, Excluded(address), Unbounded),
        Some(Short::Record(record)) => (2, Unbounded, Unbounded, Excluded(record)),
    };
    let blocks = repairs.range((block, Unbounded)).map(|(address, _)| Short::Block(*address));
    let blocks = blocks.filter(|_| first == 0);
    let pages = lost.range((page, Unbounded)).map(|address| Short::Page(*address));
    let pages = pages.filter(|_| first <= 1);
    let records = records.range((record, Unbounded)).map(|(record, _)| Short::Record(*record));
    let most = if planted::is_on(Bug::RetryAll) { usize::MAX } else { SHORT_BATCH };
    blocks.chain(pages).chain(records).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> RecordId {
        let mut id = RecordId::default();
        id.0[..8].copy_from_slice(&number.to_be_bytes());
        id
    }

    fn address(number: u64) -> Address {
        Address(record(number).0)
    }

    #[test]
    fn what_comes_wakes_what_lacks_it_and_nothing_else() {
        for count in [10, 10_000] {
            let mut stuck = Stuck::default();
            (0..count).for_each(|number| stuck.insert(record(number), &address(number / 2), 0));
            stuck.insert(record(0), &address(7), 3);
            assert_eq!(stuck.take_lacking(&address(0)), [record(1)]);
            assert_eq!(stuck.take_lacking(&address(count)), []);
            assert_eq!(stuck.again(&Short::Record(record(1))), Some(0));
            assert_eq!(stuck.trying.len(), 1);
            assert_eq!(
                (stuck.records.len(), stuck.by_lack.len()),
                (count as usize - 1, count as usize - 1)
            );
        }
    }

    #[test]
    fn what_is_due_is_tried_in_bounded_batches_each_in_turn() {
        for count in [10_u64, 10_000] {
            let mut stuck = Stuck::default();
            stuck.due.extend((0..count).map(|number| Short::Record(record(number))));
            let mut tried = BTreeSet::new();
            for _ in 0..count.div_ceil(SHORT_BATCH as u64) {
                let batch = stuck.next_due();
                assert!(batch.len() <= SHORT_BATCH);
                for short in batch {
                    assert!(tried.insert(short), "each once");
                    stuck.due.insert(short);
                }
            }
            assert_eq!(tried.len() as u64, count, "all in turn");
        }
    }

    #[test]
    fn all_that_is_short_is_gone_through_in_order() {
        let repairs: BTreeMap<_, _> = (0..100).map(|number| (address(number), 7)).collect();
        let lost: BTreeSet<_> = (0..100).map(address).collect();
        let lack = Lack { key: 0, steps: 0 };
        let records: BTreeMap<_, _> = (0..100).map(|number| (record(number), lack)).collect();
        let (mut cursor, mut all) = (None, Vec::new());
        loop {
            let batch = short_after(cursor, &repairs, &lost, &records);
            assert!(batch.len() <= SHORT_BATCH);
            let Some(last) = batch.last() else { break };
            cursor = Some(*last);
            all.extend(batch);
        }
        assert!(all.len() == 300 && all.is_sorted());
    }
}
