//! Replications: what records name and is not here is fetched, first of those records that somebody may see first.
//!
//! A machine. Goes down a record's pages one at a time and has what is missing fetched, whatever the file's size. Knows no
//! peer but by its number, and not when something is tried again. Invariants: no record waits its turn twice; versions
//! that another supersedes, whose blocks may never be asked for, take only a part of what there is room for; all pages are
//! fetched, also behind what cannot be had, since without them it is not known what is needed here.

use super::traverse::{Position, Traversal};
use super::{Item, Reading};
use crate::ids::{Address, RecordId};
use crate::index::catalog::Catalog;
use crate::seeded::{self, Bug};
use crate::server::context::Context;
use crate::server::output::Link;
use crate::server::transfer::Outcome;
use crate::server::work::ReadFor;
use crate::store::values::{LogItem, ReadError};
use crate::wire::message::BlockRef;
use crate::wire::page::Page;
use crate::wire::record::Record;
use bytes::Bytes;
use std::collections::{BTreeMap, HashSet, VecDeque};

/// Records that are completed at a time; each has at most one page of blocks on its way.
const ALL_MAX: usize = 8;
/// So many of them may be superseded: they may be large, and the others must not wait for them.
const LATE_MAX: usize = ALL_MAX / 2;

/// A replication's number, which no other has.
pub(in crate::server) type ReplicationId = u64;

/// A record that is to be completed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) record: RecordId,
    /// Where it came from, or who has what it lacks.
    pub(super) hint: Option<Link>,
    /// It was tried before. Up to there only those that have news are asked.
    pub(super) again: Option<Position>,
}

/// How a replication has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All that the record names is here.
    Complete,
    /// This could not be had.
    Lacks { address: Address, position: Position, outcome: Outcome },
    /// The disk would not say now what it names.
    Unread,
    /// There is no such record any more, or none that can be read.
    Gone,
}

/// What replications have to tell.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// A block is to be fetched; `block_ended` is to be called.
    FetchBlock {
        replication: ReplicationId,
        block: BlockRef,
        again: bool,
        hint: Option<Link>,
    },
    /// A page is to be fetched; `page_ended` is to be called.
    FetchPage {
        replication: ReplicationId,
        address: Address,
        again: bool,
        hint: Option<Link>,
    },
    /// One has ended.
    Ended {
        record: RecordId,
        end: End,
    },
    RecordDamaged(RecordId),
    PageDamaged(Address),
}

/// The first thing that a record was found to lack.
#[derive(Debug)]
struct Lack {
    address: Address,
    position: Position,
    /// The number of news when it was asked for.
    news: u64,
}

/// One record that is being completed.
#[derive(Debug)]
struct Replication {
    wanted: Wanted,
    is_late: bool,
    traversal: Traversal,
    /// Blocks that are being fetched.
    blocks: usize,
    /// The number of news when something was last asked for.
    news: u64,
    lack: Option<Lack>,
    /// Not all that were asked have said that they do not have it.
    unsure: bool,
}

impl Replication {
    /// Whether what stands there was asked for before, of all that had no news since.
    fn is_again(&self, position: Position) -> bool {
        self.wanted.again.is_some_and(|tried| position <= tried)
    }

    /// What has come of it, when nothing more is to be fetched.
    fn end(&self, cx: &Context) -> End {
        let Some(Lack { address, position, news }) = self.lack else {
            return End::Complete;
        };
        let is_unsure = self.unsure || news != cx.news.serial();
        let outcome = if is_unsure { Outcome::Unsure } else { Outcome::Nowhere };
        End::Lacks { address, position, outcome }
    }

    /// Something could not be had.
    fn fail(&mut self, address: Address, position: Position, outcome: Outcome) {
        let news = self.news;
        self.lack.get_or_insert(Lack { address, position, news });
        self.unsure |= outcome == Outcome::Unsure;
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Replications {
    queue: VecDeque<Wanted>,
    /// Found to be superseded when their turn came.
    late: VecDeque<Wanted>,
    /// All these, so that none waits twice.
    queued: HashSet<RecordId>,
    under_way: BTreeMap<ReplicationId, Replication>,
    /// Those of them that were superseded when they began.
    late_under_way: usize,
    next_id: ReplicationId,
    pub(super) events: VecDeque<Event>,
}

impl Replications {
    /// A record is to be completed when its turn comes. `pump` is to be called when all are known that come together, so
    /// that of these the right ones go first.
    pub(super) fn add(&mut self, wanted: Wanted) {
        if self.queued.insert(wanted.record) {
            self.queue.push_back(wanted);
        }
    }

    /// Begins with those whose turn has come.
    pub(super) fn pump(&mut self, cx: &mut Context) {
        while self.under_way.len() < ALL_MAX
            && let Some((wanted, is_late)) = self.next(&cx.index.catalog)
        {
            self.queued.remove(&wanted.record);
            match cx.index.catalog.get(&wanted.record).map(|entry| entry.item()) {
                Some(item) => self.begin(cx, wanted, is_late, item),
                None => self.tell_end(wanted.record, End::Gone),
            }
        }
    }

    /// The next one, and whether another version supersedes it.
    fn next(&mut self, catalog: &Catalog) -> Option<(Wanted, bool)> {
        while let Some(wanted) = self.queue.pop_front() {
            let entry = catalog.get(&wanted.record);
            let is_superseded = entry.is_some_and(|entry| entry.is_superseded());
            if !is_superseded || seeded::is_on(Bug::FetchPastFirst) {
                return Some((wanted, false));
            }
            self.late.push_back(wanted);
        }
        if self.late_under_way >= LATE_MAX {
            return None;
        }
        self.late.pop_front().map(|wanted| (wanted, true))
    }

    fn begin(&mut self, cx: &mut Context, wanted: Wanted, is_late: bool, item: LogItem) {
        self.next_id += 1;
        self.late_under_way += usize::from(is_late);
        let traversal = Traversal::default();
        let news = cx.news.serial();
        let (blocks, lack, unsure) = (0, None, false);
        let replication = Replication { wanted, is_late, traversal, blocks, news, lack, unsure };
        self.under_way.insert(self.next_id, replication);
        let reading = Reading::Record { replication: self.next_id };
        cx.read_log(vec![item], ReadFor::Replicate(reading));
    }

    /// One that has not ended. Whoever answers for one answers before its end.
    fn get(&mut self, id: ReplicationId) -> &mut Replication {
        self.under_way.get_mut(&id).expect("a replication ends when nothing of it is under way")
    }

    /// The record has been read.
    pub(super) fn record_read(
        &mut self,
        cx: &mut Context,
        id: ReplicationId,
        items: Vec<Result<Bytes, ReadError>>,
    ) {
        match Item::of(items, Record::decode) {
            Item::Sound(record) => {
                let blocks = self.get(id).traversal.enter(&record.blocks);
                self.fetch_blocks(cx, id, blocks);
                self.step(cx, id);
            }
            Item::Damaged => {
                let damaged = self.get(id).wanted.record;
                self.events.push_back(Event::RecordDamaged(damaged));
                self.end(id, End::Gone);
            }
            Item::Unread => self.end(id, End::Unread),
        }
    }

    /// A page has been read.
    pub(super) fn page_read(
        &mut self,
        cx: &mut Context,
        id: ReplicationId,
        items: Vec<Result<Bytes, ReadError>>,
    ) {
        match Item::of(items, Page::decode) {
            Item::Sound(page) => {
                let blocks = self.get(id).traversal.descend(page);
                self.fetch_blocks(cx, id, &blocks);
                self.step(cx, id);
            }
            Item::Damaged => {
                let page = self.get(id).traversal.page().expect("it has just been read");
                self.events.push_back(Event::PageDamaged(page));
                self.fetch_page(cx, id, page);
            }
            // It stays, and the record is tried again.
            Item::Unread => self.end(id, End::Unread),
        }
    }

    fn fetch_blocks(&mut self, cx: &mut Context, id: ReplicationId, blocks: &[BlockRef]) {
        for block in blocks {
            if cx.index.holdings.name_block(&block.address) || self.get(id).lack.is_some() {
                continue;
            }
            let news = cx.news.serial();
            let replication = self.get(id);
            replication.blocks += 1;
            replication.news = news;
            let again = replication.is_again(replication.traversal.at_blocks());
            let (hint, block) = (replication.wanted.hint, *block);
            self.events.push_back(Event::FetchBlock { replication: id, block, again, hint });
        }
    }

    fn fetch_page(&mut self, cx: &Context, id: ReplicationId, address: Address) {
        let replication = self.get(id);
        replication.news = cx.news.serial();
        let again = replication.is_again(replication.traversal.at_page());
        let hint = replication.wanted.hint;
        self.events.push_back(Event::FetchPage { replication: id, address, again, hint });
    }

    /// Goes down to the next page, when nothing is waited for.
    fn step(&mut self, cx: &mut Context, id: ReplicationId) {
        let replication = self.get(id);
        if replication.blocks > 0 {
            return;
        }
        let Some(address) = replication.traversal.page() else {
            let end = replication.end(cx);
            return self.end(id, end);
        };
        cx.index.holdings.name_page(&address);
        match cx.index.holdings.page(&address) {
            Some(place) => {
                let reading = Reading::Page { replication: id };
                let items = vec![LogItem { id: address.0, place }];
                cx.read_log(items, ReadFor::Replicate(reading));
            }
            None => self.fetch_page(cx, id, address),
        }
    }

    /// A block that was fetched is here, or cannot be had.
    pub(super) fn block_ended(
        &mut self,
        cx: &mut Context,
        id: ReplicationId,
        address: Address,
        outcome: Outcome,
    ) {
        let replication = self.get(id);
        replication.blocks -= 1;
        if outcome != Outcome::Here {
            replication.fail(address, replication.traversal.at_blocks(), outcome);
        }
        self.step(cx, id);
    }

    /// The same of a page.
    pub(super) fn page_ended(
        &mut self,
        cx: &mut Context,
        id: ReplicationId,
        address: Address,
        outcome: Outcome,
    ) {
        let replication = self.get(id);
        if outcome != Outcome::Here {
            replication.fail(address, replication.traversal.at_page(), outcome);
            replication.traversal.skip();
        }
        self.step(cx, id);
    }

    fn end(&mut self, id: ReplicationId, end: End) {
        let ended = self.under_way.remove(&id).expect("it ends once");
        self.late_under_way -= usize::from(ended.is_late);
        self.tell_end(ended.wanted.record, end);
    }

    fn tell_end(&mut self, record: RecordId, end: End) {
        self.events.push_back(Event::Ended { record, end });
    }
}
