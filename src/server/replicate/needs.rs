//! Needs: what ought to be here and is not, and when it is tried again.
//!
//! A machine: blocks and pages that were found damaged, and records that name what is not here. Fetches nothing itself.
//! Nothing of it is asked for at random. A record waits for one thing that it lacks, and is tried again when that comes
//! here or a peer says that it has it; a peer that has news is asked for everything, a batch at a time (`round`). What was
//! asked of somebody who did not answer is due: it is tried again after a while, ever more rarely while nothing comes of
//! it. Invariant: without news, arrivals and broken answers nothing is done, however much is short.

use super::arrivals::key;
use super::replications::End;
use super::round::{Round, Short};
use super::traverse::Position;
use crate::ids::{Address, RecordId};
use crate::index::Missing;
use crate::index::catalog::Catalog;
use crate::limits::SHORT_BATCH;
use crate::seeded::{self, Bug};
use crate::server::context::Context;
use crate::server::output::Link;
use crate::server::timers::Timer;
use crate::server::transfer::Outcome;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound::{self, Excluded, Unbounded};
use std::time::Duration;

/// What is due is tried again after this long.
const RETRY: Duration = Duration::from_secs(5);
/// The delay doubles so many times while nothing comes of it.
const RETRY_DOUBLINGS: u32 = 4;

/// What a record was found to lack.
#[derive(Debug, Clone, Copy)]
struct Lack {
    key: u64,
    /// So far the traversal of its pages had come.
    position: Position,
}

/// Something is to be tried; `tried`, or `replicated`, is to be called with what has come of it.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) short: Short,
    /// It was tried before. Up to there only those that have news are asked.
    pub(super) again: Option<Position>,
    /// Who has it, as far as is known.
    pub(super) hint: Option<Link>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Blocks that were found damaged here and have not come again: with their lengths.
    blocks: BTreeMap<Address, u32>,
    /// Pages that were found damaged here and have not come again; and whatever else an earlier run found damaged in the
    /// log, if what is there now does not even say what it was, or a start has found rotten and a record lacks.
    pages: BTreeSet<Address>,
    /// Records that name what is not here, each with what it waits for; none while it is tried, or waits for its turn.
    records: BTreeMap<RecordId, Option<Lack>>,
    by_lack: BTreeSet<(u64, RecordId)>,
    /// Blocks and pages that a start has found not whole in damaged bytes of the log, or told to be lost and nowhere to be
    /// here; had since or not.
    rotten: BTreeSet<Address>,
    due: BTreeSet<Short>,
    /// How far through what is due the last batch came.
    due_to: Option<Short>,
    /// What is being tried that was tried before, or was found damaged just now.
    trying: BTreeSet<Short>,
    /// Found damaged while as much of that was being tried as is at a time: its turn comes with the end of others.
    untried: VecDeque<Short>,
    retry_set: bool,
    /// Attempts since the last that brought something.
    retries: u32,
    /// Of the last batch some could be had.
    hopeful: bool,
    pub(super) events: VecDeque<Try>,
}

impl Needs {
    /// With what a start has found missing.
    pub(super) fn new(missing: Missing, rotten: &[Address]) -> Self {
        let Missing { blocks, pages, doubtful, records } = missing;
        let rotten = rotten.iter().copied().chain(doubtful).collect();
        let mut needs = Self { blocks, pages, rotten, ..Self::default() };
        for (record, lack) in records {
            match lack {
                Some(lack) => needs.wait(record, &lack, Position::START),
                None => needs.record(record, None),
            }
        }
        needs
    }

    /// Whether somebody needs what a start has found missing is known after a mark.
    pub(super) fn start(&self, cx: &mut Context) {
        let all = self.blocks.keys().chain(&self.pages);
        all.for_each(|address| cx.index.holdings.miss(*address));
    }

    /// A record is known that names what is not here.
    pub(super) fn record(&mut self, record: RecordId, hint: Option<Link>) {
        self.records.insert(record, None);
        self.events.push_back(Try { short: Short::Record(record), again: None, hint });
    }

    /// A block is damaged or gone that was held.
    pub(super) fn block_lost(&mut self, cx: &mut Context, address: Address, length: u32) {
        self.blocks.insert(address, length);
        cx.index.holdings.miss(address);
        self.repair(Short::Block(address));
    }

    /// A page is damaged or gone that was held: it alone is asked of the peers, since which records name it is not known
    /// without reading them all.
    pub(super) fn page_lost(&mut self, cx: &mut Context, address: Address) {
        self.pages.insert(address);
        cx.index.holdings.miss(address);
        self.repair(Short::Page(address));
    }

    /// What was found damaged is tried at once, so many things at a time.
    fn repair(&mut self, short: Short) {
        self.untried.push_back(short);
        self.repair_next();
    }

    fn repair_next(&mut self) {
        // Records, which may be large files, are no reason to wait.
        let records = Short::Record(RecordId::default());
        while self.trying.range(..records).count() < SHORT_BATCH
            && let Some(short) = self.untried.pop_front()
        {
            if self.needs(&short) && !self.trying.contains(&short) {
                self.take(short, false, None);
            }
        }
    }

    /// What no record names any more is not to be had again: nobody is asked for it, and nothing is short for it.
    pub(super) fn forget_unneeded(&mut self, cx: &mut Context) {
        for address in cx.index.holdings.take_unneeded() {
            if seeded::is_on(Bug::MissForEver) {
                continue;
            }
            self.blocks.remove(&address);
            self.pages.remove(&address);
            self.due.remove(&Short::Block(address));
            self.due.remove(&Short::Page(address));
        }
    }

    /// There is no such record any more.
    pub(super) fn forget(&mut self, cx: &mut Context, record: &RecordId) {
        self.stop_waiting(record);
        self.records.remove(record);
        self.end(cx, Short::Record(*record));
    }

    /// From now on a record waits for this, so far down its pages.
    fn wait(&mut self, record: RecordId, lack: &Address, position: Position) {
        self.stop_waiting(&record);
        let key = key(lack);
        self.records.insert(record, Some(Lack { key, position }));
        self.by_lack.insert((key, record));
    }

    fn stop_waiting(&mut self, record: &RecordId) -> Option<Lack> {
        let lack = self.records.get_mut(record)?.take()?;
        self.by_lack.remove(&(lack.key, *record));
        Some(lack)
    }

    /// The records that lack this are tried again, which somebody is known to have now. How many they are.
    fn try_lacking(&mut self, address: &Address, hint: Option<Link>) -> usize {
        let key = key(address);
        let all = (key, RecordId::default())..=(key, RecordId([u8::MAX; 32]));
        let records: Vec<_> = self.by_lack.range(all).map(|(_, record)| *record).collect();
        for record in &records {
            self.take(Short::Record(*record), true, hint);
        }
        records.len()
    }

    /// Something is to be tried: again, or for the first time.
    fn take(&mut self, short: Short, again: bool, hint: Option<Link>) {
        let position = match short {
            Short::Record(record) => {
                self.stop_waiting(&record).map_or(Position::START, |lack| lack.position)
            }
            Short::Block(_) | Short::Page(_) => Position::END,
        };
        self.trying.insert(short);
        self.events.push_back(Try { short, again: again.then_some(position), hint });
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

    /// A block or page has been tried.
    pub(super) fn tried(&mut self, cx: &mut Context, short: Short, outcome: Outcome) {
        self.end(cx, short);
        match outcome {
            Outcome::Here => {
                self.due.remove(&short);
                self.retries = 0;
                self.hopeful = true;
            }
            Outcome::Nowhere if !seeded::is_on(Bug::RetryAll) => {}
            Outcome::Nowhere | Outcome::Unsure => {
                self.due.insert(short);
            }
        }
        self.set_retry(cx);
    }

    /// A record has been tried.
    pub(super) fn replicated(&mut self, cx: &mut Context, record: RecordId, end: End) {
        // None if its bytes turned out to be damaged meanwhile: comparing brings it back.
        if end == End::Gone || !self.records.contains_key(&record) {
            return self.forget(cx, &record);
        }
        let outcome = match end {
            End::Complete => {
                self.records.remove(&record);
                Outcome::Here
            }
            End::Lacks { address, position, outcome } => {
                self.wait(record, &address, position);
                outcome
            }
            End::Unread | End::Gone => {
                self.wait(record, &Address::default(), Position::START);
                Outcome::Unsure
            }
        };
        self.tried(cx, Short::Record(record), outcome);
    }

    /// It has been tried, whatever came of it.
    fn end(&mut self, cx: &mut Context, short: Short) {
        self.trying.remove(&short);
        self.repair_next();
        if self.trying.is_empty() {
            cx.news.forget_asked();
        }
    }

    /// Whether the next batch follows at once: a peer that has just come is asked for everything, and a batch of which
    /// something has come is followed by another.
    fn goes_on(&self, news: &Round) -> bool {
        self.trying.is_empty()
            && (news.is_eager() || (self.hopeful && !self.has_nothing_to_try(news)))
    }

    fn has_nothing_to_try(&self, news: &Round) -> bool {
        news.is_over() && self.due.is_empty()
    }

    /// Sees to it that what is due is tried again, if there is somebody to ask.
    fn set_retry(&mut self, cx: &mut Context) {
        if !self.has_nothing_to_try(&cx.news) && !cx.links.has_no_node() && !self.retry_set {
            self.retry_set = true;
            let doublings = self.retries.min(RETRY_DOUBLINGS);
            cx.after(RETRY * (1 << doublings), Timer::Retry);
        }
    }

    /// It is time to try the next of what is due.
    pub(super) fn retry(&mut self, cx: &mut Context) {
        self.retry_set = false;
        if !cx.links.has_no_node() {
            self.retries += 1;
            if self.trying.is_empty() {
                self.try_batch(cx);
            }
            self.set_retry(cx);
        }
    }

    /// Tries the next batch if it follows at once; false if it does not.
    pub(super) fn go_on(&mut self, cx: &mut Context) -> bool {
        let goes_on = self.goes_on(&cx.news);
        if goes_on {
            self.try_batch(cx);
        }
        self.set_retry(cx);
        goes_on
    }

    fn try_batch(&mut self, cx: &mut Context) {
        if seeded::is_on(Bug::ForgetRetry) {
            return;
        }
        self.hopeful = false;
        let mut batch = cx.news.next(|cursor| self.after(cursor));
        let again = !batch.is_empty();
        if !again && seeded::is_on(Bug::RetryAll) {
            batch = self.after(None);
        } else if !again {
            batch = self.next_due();
        }
        for short in batch {
            self.take(short, again, None);
        }
    }

    /// What is short after a cursor, as much as is tried at a time.
    fn after(&self, cursor: Option<Short>) -> Vec<Short> {
        let (first, block, page, record) = match cursor {
            None => (0, Unbounded, Unbounded, Unbounded),
            Some(Short::Block(address)) => (0, Excluded(address), Unbounded, Unbounded),
            Some(Short::Page(address)) => (1, Unbounded, Excluded(address), Unbounded),
            Some(Short::Record(record)) => (2, Unbounded, Unbounded, Excluded(record)),
        };
        let blocks = self.blocks.range((block, Unbounded)).map(|(address, _)| *address);
        let blocks = blocks.filter(|_| first == 0).map(Short::Block);
        let pages = self.pages.range((page, Unbounded)).copied();
        let pages = pages.filter(|_| first <= 1).map(Short::Page);
        let waiting = self.records.range((record, Unbounded)).filter(|(_, lack)| lack.is_some());
        let records = waiting.map(|(record, _)| Short::Record(*record));
        let most = if seeded::is_on(Bug::RetryAll) { usize::MAX } else { SHORT_BATCH };
        blocks.chain(pages).chain(records).take(most).collect()
    }

    /// Blocks or pages have come, from whomever: what lacks them is tried again.
    pub(super) fn arrived(&mut self, cx: &mut Context, addresses: &[Address]) {
        for address in addresses {
            self.blocks.remove(address);
            cx.index.holdings.miss_no_more(address);
            if self.pages.remove(address) {
                // It was named before it was damaged, whoever has brought it back.
                cx.index.holdings.name(address);
            }
            if !seeded::is_on(Bug::ForgetRetry) {
                self.try_lacking(address, None);
            }
        }
    }

    /// A peer has come, or there is room again: it may have all that is short.
    pub(super) fn has_news(&mut self, cx: &mut Context, link: Link) {
        self.retries = 0;
        cx.news.news(link, true);
        self.set_retry(cx);
    }

    /// A peer has got what it was asked for in vain; or something of it, if it does not say what.
    pub(super) fn told_of(&mut self, cx: &mut Context, link: Link, addresses: &[Address]) {
        let lacks_nothing =
            self.blocks.is_empty() && self.pages.is_empty() && self.records.is_empty();
        if lacks_nothing || !cx.links.leads_to_node(link) {
            return;
        }
        let mut has_more = addresses.is_empty();
        for address in addresses {
            has_more |= !self.told_of_one(cx, link, *address);
        }
        if has_more {
            cx.news.news(link, false);
            self.set_retry(cx);
        }
    }

    /// False if it is not known what needs this.
    fn told_of_one(&mut self, cx: &Context, link: Link, address: Address) -> bool {
        let damaged = [Short::Block(address), Short::Page(address)].into_iter();
        let damaged = damaged.filter(|short| self.needs(short) && !self.trying.contains(short));
        let damaged: Vec<_> = damaged.collect();
        for short in &damaged {
            self.take(*short, true, Some(link));
        }
        let is_needed = self.try_lacking(&address, Some(link)) > 0 || !damaged.is_empty();
        is_needed || cx.index.has(&address)
    }

    /// Whether it is still short.
    pub(super) fn needs(&self, short: &Short) -> bool {
        match short {
            Short::Block(address) => self.blocks.contains_key(address),
            Short::Page(address) => self.pages.contains(address),
            Short::Record(record) => self.records.contains_key(record),
        }
    }

    /// The length of a block that was found damaged and has not come again.
    pub(super) fn length(&self, address: &Address) -> Option<u32> {
        self.blocks.get(address).copied()
    }

    /// Whether what is not here was, and is damaged.
    pub(super) fn is_damaged(&self, address: &Address) -> bool {
        let is_rotten = self.rotten.contains(address) && !seeded::is_on(Bug::ForgetRotten);
        is_rotten || self.blocks.contains_key(address) || self.pages.contains(address)
    }

    /// Whether all that a record names is here, as far as is known; nobody is promised anything while something that was
    /// held is known to be damaged.
    pub(super) fn is_complete(&self, catalog: &Catalog, record: &RecordId) -> bool {
        let nothing_is_damaged = self.blocks.is_empty() && self.pages.is_empty();
        nothing_is_damaged && catalog.contains(record) && !self.records.contains_key(record)
    }

    /// What was found damaged in a range and has not come again, at most so much of each kind.
    pub(super) fn damaged(
        &self,
        range: (Bound<Address>, Bound<Address>),
        count: usize,
    ) -> impl Iterator<Item = Address> {
        let blocks = self.blocks.range(range).map(|(address, _)| *address);
        blocks.take(count).chain(self.pages.range(range).copied().take(count))
    }

    /// How much is short.
    pub(super) fn count(&self) -> u64 {
        (self.records.len() + self.blocks.len() + self.pages.len()) as u64
    }
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

    fn tried(needs: &mut Needs) -> Vec<Short> {
        needs.events.drain(..).map(|event| event.short).collect()
    }

    #[test]
    fn what_comes_wakes_what_lacks_it_and_nothing_else() {
        for count in [10, 10_000] {
            let mut cx = Context::for_tests();
            let mut needs = Needs::default();
            (0..count).for_each(|number| {
                needs.wait(record(number), &address(number / 2), Position::START);
            });
            needs.wait(record(0), &address(7), Position::END);
            needs.arrived(&mut cx, &[address(0), address(count)]);
            assert_eq!(tried(&mut needs), [Short::Record(record(1))]);
            assert_eq!(needs.trying.len(), 1);
            let count = usize::try_from(count).unwrap();
            assert_eq!((needs.records.len(), needs.by_lack.len()), (count, count - 1));
            needs.arrived(&mut cx, &[address(7)]);
            let again: Vec<_> = needs.events.drain(..).map(|event| event.again).collect();
            let positions: &[_] = if count == 10 {
                &[Some(Position::END)]
            } else {
                &[Some(Position::END), Some(Position::START), Some(Position::START)]
            };
            assert_eq!(again, positions);
        }
    }

    #[test]
    fn what_is_due_is_tried_in_bounded_batches_each_in_turn() {
        for count in [10_u64, 10_000] {
            let mut needs = Needs::default();
            needs.due.extend((0..count).map(|number| Short::Record(record(number))));
            let mut tried = BTreeSet::new();
            for _ in 0..count.div_ceil(SHORT_BATCH as u64) {
                let batch = needs.next_due();
                assert!(batch.len() <= SHORT_BATCH);
                for short in batch {
                    assert!(tried.insert(short), "each once");
                    needs.due.insert(short);
                }
            }
            assert_eq!(tried.len() as u64, count, "all in turn");
        }
    }

    #[test]
    fn all_that_is_short_is_gone_through_in_order() {
        let mut needs = Needs::default();
        needs.blocks.extend((0..100).map(|number| (address(number), 7)));
        needs.pages.extend((0..100).map(address));
        (0..100).for_each(|number| needs.wait(record(number), &address(number), Position::START));
        needs.record(record(100), None);
        let (mut cursor, mut all) = (None, Vec::new());
        loop {
            let batch = needs.after(cursor);
            assert!(batch.len() <= SHORT_BATCH);
            let Some(last) = batch.last() else { break };
            cursor = Some(*last);
            all.extend(batch);
        }
        assert!(all.len() == 300 && all.is_sorted(), "what is tried already is left out");
    }
}
