//! Lookups: does this node hold every page and block that a record names?
//!
//! A machine. Goes through a record's pages one at a time and fetches nothing. A question is answered by what is known
//! when it would cost more than a few pages. Knows no peer. Invariant: what is found to be whole has been seen in
//! `holdings`, page by page and block by block; a put commits on nothing less.

use super::traverse::Traversal;
use super::{Item, Reading};
use crate::ids::{Address, RecordId};
use crate::index::entry::Entry;
use crate::limits::{QUESTION_PAGES_MAX, QUESTIONS_MAX};
use crate::seeded::{self, Bug};
use crate::server::asker::Asker;
use crate::server::context::Context;
use crate::server::work::ReadFor;
use crate::server::write::ReadyPut;
use crate::store::values::{LogItem, ReadError};
use crate::wire::message::BlockRef;
use crate::wire::page::Page;
use crate::wire::record::Record;
use bytes::Bytes;
use std::collections::VecDeque;

/// Who wants to know.
#[derive(Debug)]
pub(in crate::server) enum LookFor {
    /// This put commits if everything is here or comes with it.
    Put(Box<ReadyPut>),
    /// A peer asks whether a record is whole here.
    Holds { asker: Asker, record: RecordId },
    /// A query asks the same.
    Query { query: u64, record: RecordId },
}

impl LookFor {
    /// The record that a question is about; none for a put, which must not be answered by what was known before.
    pub(super) fn question(&self) -> Option<RecordId> {
        match self {
            Self::Holds { record, .. } | Self::Query { record, .. } => Some(*record),
            Self::Put(_) => None,
        }
    }
}

/// What a lookup has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    All,
    NotAll,
    /// It was too much to look through: what is known of the record counts.
    TooMuch,
}

/// What lookups have to tell.
#[derive(Debug)]
pub(super) enum Event {
    /// One has ended.
    Ended {
        purpose: LookFor,
        found: Found,
    },
    RecordDamaged(RecordId),
    PageDamaged(Address),
}

/// One of them, on its way through the pages.
#[derive(Debug)]
pub(in crate::server) struct Lookup {
    purpose: LookFor,
    traversal: Traversal,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    /// Questions that are being answered.
    questions: usize,
    pub(super) events: VecDeque<Event>,
}

impl Lookups {
    /// Looks whether all that a put's records name is here or comes with it.
    pub(super) fn put(&mut self, cx: &mut Context, mut put: Box<ReadyPut>) {
        put.relies = (!seeded::is_on(Bug::SweepQueued)).then(|| cx.rely());
        let mut traversal = Traversal::default();
        let mut has_all = true;
        for record in put.records() {
            let blocks = traversal.enter(&record.blocks);
            has_all &= all_here(cx, blocks, |block| comes_with(&put, block));
        }
        let lookup = Box::new(Lookup { purpose: LookFor::Put(put), traversal });
        if has_all { self.step(cx, lookup) } else { self.end(cx, *lookup, Found::NotAll) }
    }

    /// Somebody asks whether a record of the catalog is whole here.
    pub(super) fn question(&mut self, cx: &mut Context, record: RecordId, purpose: LookFor) {
        self.questions += 1;
        let lookup = Lookup { purpose, traversal: Traversal::default() };
        let item = cx.index.catalog.get(&record).map(Entry::item);
        match item {
            Some(_) if self.questions > QUESTIONS_MAX => self.end(cx, lookup, Found::TooMuch),
            Some(item) => cx.read_log(
                vec![item],
                ReadFor::Replicate(Reading::LookedRecord { lookup: Box::new(lookup) }),
            ),
            None => self.end(cx, lookup, Found::NotAll),
        }
    }

    /// The record has been read.
    pub(super) fn record_read(
        &mut self,
        cx: &mut Context,
        mut lookup: Box<Lookup>,
        items: Vec<Result<Bytes, ReadError>>,
    ) {
        match Item::of(items, Record::decode) {
            Item::Sound(record) => {
                let blocks = lookup.traversal.enter(&record.blocks);
                self.go_on(cx, lookup, blocks);
            }
            Item::Damaged => {
                self.events.extend(lookup.purpose.question().map(Event::RecordDamaged));
                self.end(cx, *lookup, Found::NotAll);
            }
            Item::Unread => self.end(cx, *lookup, Found::NotAll),
        }
    }

    /// A page has been read.
    pub(super) fn page_read(
        &mut self,
        cx: &mut Context,
        mut lookup: Box<Lookup>,
        items: Vec<Result<Bytes, ReadError>>,
    ) {
        match Item::of(items, Page::decode) {
            Item::Sound(page) => {
                let blocks = lookup.traversal.descend(page);
                self.go_on(cx, lookup, &blocks);
            }
            Item::Damaged => {
                self.events.extend(lookup.traversal.page().map(Event::PageDamaged));
                self.end(cx, *lookup, Found::NotAll);
            }
            Item::Unread => self.end(cx, *lookup, Found::NotAll),
        }
    }

    /// Looks for the blocks that have come up, and goes down to the next page if they are all here.
    fn go_on(&mut self, cx: &mut Context, lookup: Box<Lookup>, blocks: &[BlockRef]) {
        let comes = |block: &Address| match &lookup.purpose {
            LookFor::Put(put) => comes_with(put, block),
            LookFor::Holds { .. } => seeded::is_on(Bug::CountRecordOnly),
            LookFor::Query { .. } => false,
        };
        if all_here(cx, blocks, comes) {
            self.step(cx, lookup);
        } else {
            self.end(cx, *lookup, Found::NotAll);
        }
    }

    fn step(&mut self, cx: &mut Context, lookup: Box<Lookup>) {
        let Some(address) = lookup.traversal.page() else {
            return self.end(cx, *lookup, Found::All);
        };
        // A question is no reason to read as many pages as a file may have.
        if lookup.purpose.question().is_some()
            && lookup.traversal.read() >= QUESTION_PAGES_MAX
            && !seeded::is_on(Bug::WalkForQuestions)
        {
            return self.end(cx, *lookup, Found::TooMuch);
        }
        cx.index.holdings.name_page(&address);
        match cx.index.holdings.page(&address) {
            Some(place) => {
                let items = vec![LogItem { id: address.0, place }];
                cx.read_log(items, ReadFor::Replicate(Reading::LookedPage { lookup }));
            }
            None => self.end(cx, *lookup, Found::NotAll),
        }
    }

    fn end(&mut self, cx: &mut Context, lookup: Lookup, found: Found) {
        let Lookup { purpose, .. } = lookup;
        match &purpose {
            LookFor::Put(put) => cx.checking -= put.bytes(),
            LookFor::Holds { .. } | LookFor::Query { .. } => self.questions -= 1,
        }
        self.events.push_back(Event::Ended { purpose, found });
    }
}

fn comes_with(put: &ReadyPut, block: &Address) -> bool {
    put.brings(block) || seeded::is_on(Bug::AcceptWithoutBlocks)
}

/// Whether all these are here, or come. They are named, and relied on, from now on.
fn all_here(cx: &mut Context, blocks: &[BlockRef], comes: impl Fn(&Address) -> bool) -> bool {
    blocks
        .iter()
        .all(|BlockRef { address, .. }| cx.index.holdings.name_block(address) || comes(address))
}
