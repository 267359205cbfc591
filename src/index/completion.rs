//! Completion: what a start finds to be complete, as it reads the log, so that nothing has to be looked through later.
//!
//! Reaches no disk, and keeps only what is missing: a page or a record waits for one thing that it lacks, and is looked at
//! again when that is found. Invariant: what is said to be complete is so because all that it names was found, in
//! whatever order, and whatever was lost since, but not dropped: that says nothing of a record that came later and names it,
//! or a page that does. Of what waits, it is known what it lacks, or it is left to a walk.

use super::holdings::Holdings;
use super::steps::Steps;
use crate::ids::{Address, RecordId};
use crate::limits::{PAGE_DEPTH_MAX, START_MISSING_MAX};
use crate::seeded::{self, Bug};
use crate::wire::message::BlockRef;
use crate::wire::page::Entries;
use crate::wire::record::{BlockList, Record};
use std::collections::{HashMap, HashSet};

/// What may be complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    Record(RecordId),
    Page(Address),
}

/// What it names: addresses of one kind, those that were not here when it was found.
#[derive(Debug)]
enum Missing {
    Blocks(Vec<Address>),
    Pages(Vec<Address>),
}

impl Missing {
    /// Addresses for which there is room taken.
    fn room(&self) -> usize {
        match self {
            Self::Blocks(addresses) | Self::Pages(addresses) => addresses.capacity(),
        }
    }
}

#[derive(Debug)]
struct Waiting {
    whole: Whole,
    missing: Missing,
    /// How many blocks had been dropped when it was found.
    dropped: u64,
}

/// Blocks that were found last, by how their addresses begin: a record comes right after its blocks, or soon, and each look
/// at all that are held costs more than this.
#[derive(Debug, Default)]
struct Recent(Vec<Option<Address>>);

impl Recent {
    const COUNT: usize = 2048;

    fn slot(address: &Address) -> usize {
        usize::from(u16::from_be_bytes([address.0[0], address.0[1]])) % Self::COUNT
    }

    fn insert(&mut self, address: Address) {
        self.0.resize(Self::COUNT, None);
        self.0[Self::slot(&address)] = Some(address);
    }

    fn remove(&mut self, address: &Address) {
        if self.has(address) {
            self.0[Self::slot(address)] = None;
        }
    }

    fn has(&self, address: &Address) -> bool {
        self.0.get(Self::slot(address)).is_some_and(|found| found.as_ref() == Some(address))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Completion {
    /// Pages that were found and are not complete, each with what it waits for, if that is known.
    pages: HashMap<Address, Option<Address>>,
    /// What waits, by what it waits for.
    waiting: HashMap<Address, Vec<Waiting>>,
    /// Of the blocks that `holdings` has.
    recent: Recent,
    /// How many blocks have been dropped.
    dropped: u64,
    /// The pages that were complete since the last one was; at most as many as addresses are kept.
    fresh: HashSet<Address>,
    /// Addresses that are kept for pages that wait.
    kept: usize,
    /// Addresses that were looked at.
    steps: Steps,
}

impl Completion {
    /// A record is found. Whether it is complete by now.
    pub(crate) fn record(&mut self, id: RecordId, record: &Record, holdings: &Holdings) -> bool {
        let missing = match &record.blocks {
            BlockList::Inline(blocks) => self.missing_blocks(blocks, holdings),
            BlockList::Pages { .. } if seeded::is_on(Bug::WalkPagesAtStart) => return false,
            BlockList::Pages { root, .. } => {
                self.doubt(root, holdings);
                Missing::Pages(vec![*root])
            }
        };
        let whole = Whole::Record(id);
        self.settle(Waiting { whole, missing, dropped: self.dropped }, holdings).is_some()
    }

    /// A page is found, which `holdings` has by now, and what it names, if it is one. The records that are complete with it.
    pub(crate) fn page(
        &mut self,
        address: Address,
        entries: Option<Entries>,
        holdings: &Holdings,
    ) -> Vec<RecordId> {
        if self.pages.get(&address).is_some_and(Option::is_some) {
            return Vec::new();
        }
        let Some(entries) = entries else {
            self.pages.insert(address, None);
            return Vec::new();
        };
        let missing = match entries {
            _ if seeded::is_on(Bug::BelieveHeldPages) => Missing::Pages(Vec::new()),
            Entries::Blocks(blocks) => self.missing_blocks(&blocks, holdings),
            Entries::Pages { pages, .. } => {
                pages.iter().for_each(|page| self.doubt(&page.address, holdings));
                let pages = pages.iter().map(|page| page.address);
                Missing::Pages(pages.filter(|page| self.lacks_page(page, holdings)).collect())
            }
        };
        let whole = Whole::Page(address);
        match self.settle(Waiting { whole, missing, dropped: self.dropped }, holdings) {
            Some(_) => self.found(address, holdings),
            None => Vec::new(),
        }
    }

    /// A block is found, which `holdings` has by now. The records that are complete with it.
    pub(crate) fn block(&mut self, address: Address, holdings: &Holdings) -> Vec<RecordId> {
        self.recent.insert(address);
        self.found(address, holdings)
    }

    /// A block or page is not here any more.
    pub(crate) fn lost(&mut self, address: &Address) {
        self.recent.remove(address);
    }

    /// A block is not here any more, since no record that was known named it. Pages may.
    pub(crate) fn dropped(&mut self, address: &Address) {
        self.recent.remove(address);
        self.dropped += 1;
        if !self.fresh.is_empty() {
            self.fresh = HashSet::new();
        }
    }

    /// A page that was complete before a block was dropped may not be any more.
    fn doubt(&mut self, page: &Address, holdings: &Holdings) {
        let is_fresh = self.dropped == 0 || self.fresh.contains(page);
        if !is_fresh && holdings.page(page).is_some() && !seeded::is_on(Bug::TrustOldPages) {
            self.pages.entry(*page).or_insert(None);
        }
    }

    /// Nobody waits for this any more. The records that are complete with it.
    fn found(&mut self, address: Address, holdings: &Holdings) -> Vec<RecordId> {
        let mut complete = Vec::new();
        let mut found = vec![address];
        while let Some(address) = found.pop() {
            for waiting in self.waiting.remove(&address).unwrap_or_default() {
                self.kept -= waiting.kept();
                match self.settle(waiting, holdings) {
                    Some(Whole::Record(record)) => complete.push(record),
                    Some(Whole::Page(page)) => found.push(page),
                    None => {}
                }
            }
        }
        complete
    }

    fn missing_blocks(&self, blocks: &[BlockRef], holdings: &Holdings) -> Missing {
        let blocks = blocks.iter().map(|block| block.address);
        Missing::Blocks(blocks.filter(|block| self.lacks_block(block, holdings)).collect())
    }

    fn lacks_block(&self, block: &Address, holdings: &Holdings) -> bool {
        self.steps.note();
        !self.recent.has(block) && holdings.block(block).is_none()
    }

    /// It is not here, or something below it is not.
    fn lacks_page(&self, page: &Address, holdings: &Holdings) -> bool {
        self.steps.note();
        holdings.page(page).is_none() || self.pages.contains_key(page)
    }

    /// Gives what is complete; anything else waits for the last thing that it lacks.
    fn settle(&mut self, mut waiting: Waiting, holdings: &Holdings) -> Option<Whole> {
        let whole = waiting.whole;
        let lack = match &mut waiting.missing {
            Missing::Blocks(blocks) => last_that(blocks, |block| self.lacks_block(block, holdings)),
            Missing::Pages(pages) => last_that(pages, |page| self.lacks_page(page, holdings)),
        };
        let Some(lack) = lack else {
            return self.complete(whole, waiting.dropped);
        };
        let kept = waiting.kept();
        let has_room = self.kept + kept <= START_MISSING_MAX;
        if let Whole::Page(page) = whole {
            self.pages.insert(page, has_room.then_some(lack));
        }
        if has_room && !seeded::is_on(Bug::JudgeBeforehand) {
            self.kept += kept;
            self.waiting.entry(lack).or_default().push(waiting);
        }
        None
    }

    /// All that it names has been found. Not what waited while a block was dropped: that may have been one of those.
    fn complete(&mut self, whole: Whole, dropped: u64) -> Option<Whole> {
        let is_doubtful = dropped < self.dropped && !seeded::is_on(Bug::TrustOldPages);
        if let Whole::Page(page) = whole {
            if is_doubtful {
                self.pages.insert(page, None);
            } else {
                self.pages.remove(&page);
                if self.dropped > 0 && self.fresh.len() < START_MISSING_MAX {
                    self.fresh.insert(page);
                }
            }
        }
        (!is_doubtful).then_some(whole)
    }

    /// The records that are not complete, each with something that is not here: a block, or a page. Those of which that
    /// is not known are left out.
    pub(crate) fn lacks(&self) -> impl Iterator<Item = (RecordId, Address)> {
        self.waiting.iter().flat_map(|(address, waiting)| {
            let lack = self.lack_behind(*address);
            waiting.iter().filter_map(move |waiting| match waiting.whole {
                Whole::Record(record) => Some((record, lack?)),
                Whole::Page(_) => None,
            })
        })
    }

    /// A page that is here and waits is not lacking, but what it waits for is.
    fn lack_behind(&self, mut address: Address) -> Option<Address> {
        for _ in 0..=PAGE_DEPTH_MAX {
            match self.pages.get(&address) {
                Some(lack) => address = (*lack)?,
                None => return Some(address),
            }
        }
        None
    }
}

impl Waiting {
    /// What of it counts: records are few beside what they name, and each is in the catalog anyhow.
    fn kept(&self) -> usize {
        match self.whole {
            Whole::Record(_) => 0,
            Whole::Page(_) => self.missing.room(),
        }
    }
}

/// Drops what is here from the end of a list until something is not.
fn last_that(
    addresses: &mut Vec<Address>,
    is_missing: impl Fn(&Address) -> bool,
) -> Option<Address> {
    while let Some(address) = addresses.last() {
        if is_missing(address) {
            return Some(*address);
        }
        addresses.pop();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PAGE_ENTRIES_MAX;
    use crate::store::values::{BlockPlace, LogPlace};
    use crate::wire::page::PageRef;
    use crate::wire::record::RecordKind;

    fn address(number: u64) -> Address {
        let mut address = Address::default();
        address.0[..8].copy_from_slice(&number.to_be_bytes());
        address
    }

    fn block(number: u64) -> BlockRef {
        BlockRef { address: address(number), length: 7 }
    }

    fn blocks(numbers: impl Iterator<Item = u64>) -> Entries {
        Entries::Blocks(numbers.map(block).collect())
    }

    fn pages(depth: u8, numbers: &[u64]) -> Entries {
        let page = |number: &u64| PageRef { address: address(*number), blocks: 1, bytes: 7 };
        Entries::Pages { depth, pages: numbers.iter().map(page).collect() }
    }

    fn record(root: u64) -> Record {
        let blocks = BlockList::Pages { root: address(root), depth: 1, blocks: 1, bytes: 7 };
        let bare = Record::unsigned(RecordKind::File, Default::default(), Default::default());
        Record { blocks, ..bare }
    }

    /// A start, and what it has found to be complete.
    #[derive(Default)]
    struct Start {
        holdings: Holdings,
        completion: Completion,
        complete: Vec<RecordId>,
    }

    impl Start {
        fn block(&mut self, number: u64) {
            self.holdings.insert(address(number), BlockPlace::Tree { length: 7 }, 1);
            self.complete.extend(self.completion.block(address(number), &self.holdings));
        }

        fn page(&mut self, number: u64, entries: Entries) {
            let place = LogPlace { segment: 1, offset: 1, length: 1 };
            self.holdings.insert_page(address(number), place);
            let complete = self.completion.page(address(number), Some(entries), &self.holdings);
            self.complete.extend(complete);
        }

        fn record(&mut self, root: u64) {
            let id = RecordId(address(root).0);
            if self.completion.record(id, &record(root), &self.holdings) {
                self.complete.push(id);
            }
        }

        fn steps(&self) -> u64 {
            self.completion.steps.0.get()
        }

        /// What each record that waits lacks, in order.
        fn lacks(&self) -> Vec<Address> {
            let mut lacks: Vec<_> = self.completion.lacks().map(|(_, lack)| lack).collect();
            lacks.sort_unstable();
            lacks
        }
    }

    /// The parts of a file of two pages below a page.
    const PARTS: [fn(&mut Start); 8] = [
        |start| start.block(1),
        |start| start.block(2),
        |start| start.block(3),
        |start| start.block(4),
        |start| start.page(11, blocks(1..3)),
        |start| start.page(12, blocks(3..5)),
        |start| start.page(13, pages(2, &[11, 12])),
        |start| start.record(13),
    ];

    #[test]
    fn a_record_is_complete_with_the_last_of_what_it_names_whichever_that_is() {
        for (last, find_last) in PARTS.iter().enumerate() {
            for turn in 0..PARTS.len() {
                let mut order: Vec<_> = (0..PARTS.len()).collect();
                order.rotate_left(turn);
                if turn % 2 == 1 {
                    order.reverse();
                }
                order.retain(|part| *part != last);
                let mut start = Start::default();
                order.iter().for_each(|part| PARTS[*part](&mut start));
                assert_eq!(start.complete, [], "without {last}, from {turn}");
                let lacks: &[Address] = match last as u64 {
                    part @ 0..4 => &[address(part + 1)],
                    part @ 4..7 => &[address(part + 7)],
                    _ => &[],
                };
                assert_eq!(start.lacks(), lacks, "without {last}, from {turn}");
                find_last(&mut start);
                assert_eq!(start.complete, [RecordId(address(13).0)], "{last} last, from {turn}");
                assert!(start.lacks().is_empty() && start.completion.pages.is_empty());
                assert!(start.completion.kept == 0 && start.completion.waiting.is_empty());
            }
        }
    }

    /// By a put the blocks come first, and by replication the record.
    #[test]
    fn each_address_is_looked_at_a_few_times_however_many_files_there_are() {
        let steps = [10, 10_000].map(|files| {
            let [mut put, mut replicated] = [Start::default(), Start::default()];
            for file in (0..files).map(|file| file * 100) {
                (1..9).for_each(|number| put.block(file + number));
                put.page(file + 9, blocks(file + 1..file + 9));
                put.record(file + 9);
                replicated.record(file + 9);
                replicated.page(file + 9, blocks(file + 1..file + 9));
                (1..9).for_each(|number| replicated.block(file + number));
            }
            assert_eq!(put.complete.len() as u64, files);
            assert_eq!(replicated.complete, put.complete);
            [put.steps() / files, replicated.steps() / files]
        });
        assert_eq!(steps[0], steps[1]);
        assert!(steps[0].iter().all(|steps| *steps <= 3 * 9), "{steps:?}");
    }

    #[test]
    fn what_is_beyond_the_bound_is_left_to_a_walk() {
        let mut start = Start::default();
        let entries = PAGE_ENTRIES_MAX as u64;
        let page = |number: u64| (number + 1) << 32;
        let fitting = START_MISSING_MAX as u64 / entries;
        for number in 0..fitting + 10 {
            let first = page(number) + 1;
            start.page(page(number), blocks(first..first + entries));
            start.record(page(number));
        }
        assert!(start.completion.kept <= START_MISSING_MAX && start.complete.is_empty());
        assert_eq!(start.lacks().len() as u64, fitting, "of the others it is not known");
        (1..=entries).for_each(|number| start.block(page(3) + number));
        assert_eq!(start.complete, [RecordId(address(page(3)).0)]);
        start.page(page(fitting + 10), blocks(1..2));
        start.record(page(fitting + 10));
        assert_eq!(start.lacks().len() as u64, fitting, "there is room again");
    }

    #[test]
    fn a_page_that_is_none_or_a_tree_that_is_too_deep_is_left_to_a_walk() {
        let mut start = Start::default();
        start.holdings.insert_page(address(1), LogPlace { segment: 1, offset: 1, length: 1 });
        assert_eq!(start.completion.page(address(1), None, &start.holdings), []);
        start.record(1);
        for number in 2..9 {
            start.page(number, pages(2, &[number + 1]));
        }
        start.record(2);
        assert!(start.complete.is_empty() && start.lacks().is_empty());
        start.page(9, blocks(10..11));
        start.block(10);
        assert_eq!(start.complete, [RecordId(address(2).0)]);
    }
}
