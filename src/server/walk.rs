//! Walks: does this node hold every page and block that a record names, and if not, where are they to come from?
//!
//! A walk goes down a record's tree of pages, one page at a time, whatever the file's size. For a put or a question it
//! only looks; for replication it also fetches. Invariants: a walk that says yes has seen everything in `holdings`; for a
//! question it may have been an earlier walk, since a question costs no more than a few pages.

use super::FileServer;
use super::asker::Asker;
use super::output::Link;
use super::query::Asked;
use super::round::Short;
use super::transfer::{Interest, Outcome};
use super::work::ReadFor;
use super::write::ReadyPut;
use crate::ids::{Address, RecordId};
use crate::index::entry::{Entry, Flag};
use crate::limits::{QUESTION_PAGES_MAX, QUESTIONS_MAX};
use crate::planted::{self, Bug};
use crate::store::values::ReadError;
use crate::wire::message::{BlockRef, Message, Reason, Request};
use crate::wire::page::{Entries, Page};
use crate::wire::record::{BlockList, Record};
use bytes::Bytes;

/// What is said of a page that was here.
const PAGE_DAMAGED: &str =
    "a page of the file's list of blocks, and no node that can be reached has it whole";

/// Why a walk is made.
#[derive(Debug)]
pub(super) enum Purpose {
    /// This put commits if it finds everything.
    Put(Box<ReadyPut>),
    /// Fetch what is missing.
    Replicate {
        /// Another version supersedes it.
        is_late: bool,
    },
    /// A peer asks.
    Holds { link: Link, request: Request },
    /// A query asks.
    Query(u64),
    /// A client wants this one page.
    Page { link: Link, request: Request },
    /// A page that was found damaged is to be had again.
    Mend { address: Address },
}

impl Purpose {
    /// Nothing is fetched for it.
    fn looks_only(&self) -> bool {
        match self {
            Self::Put(_) | Self::Holds { .. } | Self::Query(_) => true,
            Self::Replicate { .. } | Self::Page { .. } | Self::Mend { .. } => false,
        }
    }

    /// Somebody only wants to know.
    fn is_question(&self) -> bool {
        match self {
            Self::Holds { .. } | Self::Query(_) => true,
            Self::Put(_) | Self::Replicate { .. } | Self::Page { .. } | Self::Mend { .. } => false,
        }
    }
}

#[derive(Debug)]
pub(super) struct Walk {
    record: RecordId,
    purpose: Purpose,
    /// Pages to go down to.
    pub(super) pages: Vec<Address>,
    /// Pages that it has read.
    pages_read: usize,
    /// The missing page that is asked of peers.
    pub(super) asked: Option<Address>,
    /// Peers that do not have it.
    pub(super) tried: Vec<Link>,
    /// What they were asked, whether or not they have answered.
    pub(super) asks: Vec<(Link, Request)>,
    pub(super) attempt: u32,
    /// The present one is waited for some more, since there is no next.
    pub(super) patient: bool,
    /// Blocks that are being fetched.
    blocks: usize,
    pub(super) failed: bool,
    /// Steps down the tree of pages: to a page, and from it when it is read.
    pub(super) steps: u32,
    /// It is tried again, and only those that have news are asked for what it lacked before, after so many steps.
    again: Option<u32>,
    /// The first thing that it could not have, and the number of news until then.
    lack: Option<(Address, u64)>,
    /// Not all that were asked have said that they do not have it.
    pub(super) unsure: bool,
    /// Where the record came from.
    pub(super) hint: Option<Link>,
}

impl Walk {
    pub(super) fn new(record: RecordId, purpose: Purpose, hint: Option<Link>) -> Self {
        Self {
            record,
            purpose,
            pages: Vec::new(),
            pages_read: 0,
            asked: None,
            tried: Vec::new(),
            asks: Vec::new(),
            attempt: 0,
            patient: false,
            blocks: 0,
            failed: false,
            steps: 0,
            again: None,
            lack: None,
            unsure: false,
            hint,
        }
    }

    /// Somebody only wants to know.
    pub(super) fn is_question(&self) -> bool {
        self.purpose.is_question()
    }

    /// The page that it has not come past.
    fn page(&self) -> Option<Address> {
        self.asked.or_else(|| self.pages.last().copied())
    }

    /// The client for which it is made, if it only wants a page.
    pub(super) fn asker(&self) -> Option<Asker> {
        match self.purpose {
            Purpose::Page { link, request } => Some(Asker { link, request }),
            Purpose::Put(_)
            | Purpose::Replicate { .. }
            | Purpose::Holds { .. }
            | Purpose::Query(_)
            | Purpose::Mend { .. } => None,
        }
    }

    /// Something can't be had.
    pub(super) fn fail(&mut self, address: Address, news: u64) {
        self.failed = true;
        self.lack.get_or_insert((address, news));
    }

    /// What has come of it.
    fn outcome(&self, complete: bool) -> Outcome {
        match self.lack {
            _ if complete => Outcome::Here,
            Some(_) if !self.unsure => Outcome::Nowhere,
            _ => Outcome::Unsure,
        }
    }
}

impl FileServer {
    /// Looks whether all that a record of the catalog names is here.
    pub(super) fn look(&mut self, record: RecordId, purpose: Purpose) {
        let place = self.cx.index.catalog.get(&record).map(Entry::place);
        let walk = self.begin_walk(record, purpose, None);
        match place {
            // This one is counted.
            Some(_) if self.walks.questions() > QUESTIONS_MAX => {
                self.end_walk(walk, self.is_known_complete(&record));
            }
            Some(place) => self.cx.read_log(vec![place], ReadFor::WalkRecord { walk }),
            None => self.end_walk(walk, false),
        }
    }

    /// What an earlier walk found; but nobody is promised anything while something that was held is known to be damaged.
    fn is_known_complete(&self, record: &RecordId) -> bool {
        let is_complete =
            self.cx.index.catalog.get(record).is_some_and(|entry| entry.is(Flag::Complete));
        is_complete && self.stuck.repairs.is_empty() && self.walks.lost.is_empty()
    }

    /// Looks whether all that a put's records name is here.
    pub(super) fn look_for_put(&mut self, put: Box<ReadyPut>) {
        let records: Vec<Record> = put.records().cloned().collect();
        let walk = self.begin_walk(RecordId::default(), Purpose::Put(put), None);
        for record in &records {
            self.walk_record(walk, record);
        }
        self.step_walk(walk);
    }

    pub(super) fn begin_walk(
        &mut self,
        record: RecordId,
        purpose: Purpose,
        hint: Option<Link>,
    ) -> u64 {
        let id = self.serial();
        self.walks.begin(id, Walk::new(record, purpose, hint));
        id
    }

    /// What is tried again is asked of those that have news.
    pub(super) fn try_again(&mut self, id: u64, short: Short) {
        if let Some(walk) = self.walks.get_mut(id) {
            walk.again = self.stuck.again(&short);
        }
    }

    /// Whether what a walk lacks now was asked before of all that had no news since.
    pub(super) fn walk_is_again(&self, id: u64) -> bool {
        let walk = self.walks.get(id);
        walk.is_some_and(|walk| walk.again.is_some_and(|steps| walk.steps <= steps))
    }

    /// The record has been read.
    pub(super) fn walk_record_read(&mut self, id: u64, item: Result<Bytes, ReadError>) {
        if let Err(ReadError::Disk(_)) = item {
            return self.end_walk(id, false);
        }
        match item.map_err(drop).and_then(|bytes| Record::decode(&bytes).map_err(drop)) {
            Ok(record) => {
                self.walk_record(id, &record);
                self.step_walk(id);
            }
            Err(()) => {
                if let Some(walk) = self.walks.get(id) {
                    let record = walk.record;
                    self.record_damaged(record);
                }
                self.end_walk(id, false);
            }
        }
    }

    fn walk_record(&mut self, id: u64, record: &Record) {
        match &record.blocks {
            BlockList::Inline(blocks) => self.walk_blocks(id, blocks),
            BlockList::Pages { root, .. } => {
                if let Some(walk) = self.walks.get_mut(id) {
                    walk.pages.push(*root);
                }
            }
        }
    }

    /// Goes down to the next page, when nothing is waited for.
    pub(super) fn step_walk(&mut self, id: u64) {
        let Some(walk) = self.walks.get_mut(id) else {
            return;
        };
        let looks_only = walk.purpose.looks_only();
        if walk.failed && (looks_only || walk.blocks == 0) {
            return self.end_walk(id, false);
        }
        if walk.blocks > 0 {
            return;
        }
        let Some(address) = walk.pages.pop() else {
            return self.end_walk(id, true);
        };
        // A question is no reason to read as many pages as a file may have.
        if walk.is_question()
            && walk.pages_read >= QUESTION_PAGES_MAX
            && !planted::is_on(Bug::WalkForQuestions)
        {
            let record = walk.record;
            return self.end_walk(id, self.is_known_complete(&record));
        }
        walk.pages_read += 1;
        walk.steps += 1;
        self.cx.index.holdings.name(&address);
        match self.cx.index.holdings.page(&address) {
            Some(place) => {
                match walk.purpose {
                    Purpose::Page { link, request } => {
                        self.drop_walk(id);
                        return self.asked(Asker { link, request }, Asked::Page(address));
                    }
                    Purpose::Mend { .. } => return self.end_walk(id, true),
                    Purpose::Put(_)
                    | Purpose::Holds { .. }
                    | Purpose::Query(_)
                    | Purpose::Replicate { .. } => {}
                }
                self.cx.read_log(vec![place], ReadFor::WalkPage { walk: id, address });
            }
            None if looks_only => self.end_walk(id, false),
            None => {
                walk.tried.clear();
                let asks = std::mem::take(&mut walk.asks);
                self.forget_page_asks(asks);
                self.walks.wait(id, address);
                self.ask_for_page(id);
            }
        }
    }

    pub(super) fn walk_page_read(
        &mut self,
        id: u64,
        address: Address,
        item: Result<Bytes, ReadError>,
    ) {
        if let Err(ReadError::Disk(_)) = item {
            // Not known to be damaged: it stays, and the record is tried again.
            return self.end_walk(id, false);
        }
        let page = item.map_err(drop).and_then(|bytes| Page::decode(&bytes).map_err(drop));
        let Ok(page) = page else {
            return self.walked_page_damaged(id, address);
        };
        if let Some(walk) = self.walks.get_mut(id) {
            walk.steps += 1;
        }
        match page.entries {
            Entries::Blocks(blocks) => self.walk_blocks(id, &blocks),
            Entries::Pages { pages, .. } => {
                if let Some(walk) = self.walks.get_mut(id) {
                    walk.pages.extend(pages.iter().rev().map(|page| page.address));
                }
            }
        }
        self.step_walk(id);
    }

    /// Asked of the peers: by this walk when it comes here again, or if it only looks, by the records that need the page.
    fn walked_page_damaged(&mut self, id: u64, address: Address) {
        let Some(walk) = self.walks.get_mut(id) else {
            return;
        };
        walk.pages.push(address);
        walk.steps -= 1;
        if walk.purpose.looks_only() {
            self.lost_page(address);
        } else {
            self.forget_page(address);
            self.short_tried(Short::Page(address), Outcome::Unsure);
        }
        self.step_walk(id);
    }

    fn walk_blocks(&mut self, id: u64, blocks: &[BlockRef]) {
        for block in blocks {
            self.cx.index.holdings.name(&block.address);
            if self.cx.index.holdings.block(&block.address).is_some() {
                continue;
            }
            let Some(walk) = self.walks.get_mut(id) else {
                return;
            };
            match &walk.purpose {
                Purpose::Put(put) if put.brings(&block.address) => {}
                Purpose::Put(_) if planted::is_on(Bug::AcceptWithoutBlocks) => {}
                Purpose::Holds { .. } if planted::is_on(Bug::CountRecordOnly) => {}
                Purpose::Put(_)
                | Purpose::Holds { .. }
                | Purpose::Query(_)
                | Purpose::Mend { .. }
                | Purpose::Page { .. } => {
                    walk.failed = true;
                    return;
                }
                Purpose::Replicate { .. } => {
                    walk.blocks += 1;
                    let hint = walk.hint;
                    self.fetch(*block, Interest::Walk(id), hint);
                }
            }
        }
    }

    /// A block that a walk fetched is here, or can't be had.
    pub(super) fn walk_block_done(&mut self, id: u64, address: Address, outcome: Outcome) {
        let news = self.cx.news.serial();
        let Some(walk) = self.walks.get_mut(id) else {
            return;
        };
        walk.blocks -= 1;
        if outcome != Outcome::Here {
            walk.fail(address, news);
            walk.unsure |= outcome == Outcome::Unsure;
        }
        if walk.blocks == 0 {
            self.step_walk(id);
        }
    }

    fn replication_ended(&mut self, walk: &Walk, complete: bool) {
        if complete {
            self.cx.index.catalog.set_complete(&walk.record, true);
        } else if let Some((address, news)) = walk.lack {
            let unsure = walk.unsure || news != self.cx.news.serial();
            let outcome = if unsure { Outcome::Unsure } else { Outcome::Nowhere };
            self.stuck.insert(walk.record, &address, walk.steps);
            self.short_tried(Short::Record(walk.record), outcome);
            if self.cx.index.holdings.block(&address).is_some()
                || self.cx.index.holdings.page(&address).is_some()
            {
                // It came when this walk had given it up.
                self.arrived_for_stuck(&[address]);
            }
            return;
        } else {
            self.stuck.insert(walk.record, &Address::default(), 0);
        }
        self.short_tried(Short::Record(walk.record), walk.outcome(complete));
    }

    pub(super) fn drop_walk(&mut self, id: u64) -> Option<Walk> {
        let mut walk = self.walks.end(id)?;
        self.forget_page_asks(std::mem::take(&mut walk.asks));
        Some(walk)
    }

    pub(super) fn end_walk(&mut self, id: u64, complete: bool) {
        let Some(walk) = self.drop_walk(id) else {
            return;
        };
        if let Purpose::Put(put) = &walk.purpose {
            self.cx.checking -= put.bytes();
        }
        match walk.purpose {
            Purpose::Put(put) => {
                self.write.put_looked_up(&mut self.cx, put, complete);
                self.written();
            }
            Purpose::Replicate { is_late } => {
                self.walks.replications.ended(is_late);
                self.replication_ended(&walk, complete);
                self.next_replication();
            }
            Purpose::Mend { address } => {
                let outcome = walk.outcome(complete);
                self.short_tried(Short::Page(address), outcome);
            }
            Purpose::Holds { link, request } => {
                self.reply(link, Message::HoldsIs { request, holds: complete });
            }
            Purpose::Query(query) => {
                let holder = complete.then(|| self.members.own());
                self.query.held_here(&mut self.cx, query, holder);
                self.queried();
            }
            Purpose::Page { link, request } => {
                let is_damaged = walk.page().is_some_and(|page| self.walks.is_damaged(&page));
                if is_damaged && !planted::is_on(Bug::DamagedIsAbsent) {
                    return self.refuse(link, request, Reason::Damaged, PAGE_DAMAGED);
                }
                self.reply(link, Message::Page { request, page: None });
            }
        }
    }
}
