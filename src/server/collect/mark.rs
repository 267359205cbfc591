//! A mark: from all records of the catalog down to the blocks that they name. What stands comes first and then what other
//! versions supersede, so that it is known how much is kept for the sake of these alone.
//!
//! Keeps where it is and the pages beside its way down, which are bounded: of too many it is void, and begins anew later.
//! Invariant: it has come by everything only if every record was read, and every page below it.

use super::readers::{Cursor, Readers, Root};
use super::{Event, Reading, Void};
use crate::ids::{Address, RecordId};
use crate::index::entry::{Entry, Flag, Kind};
use crate::index::holdings::Amount;
use crate::seeded::{self, Bug};
use crate::server::context::Context;
use crate::server::work::ReadFor;
use crate::store::values::{LogItem, ReadError};
use crate::wire::message::BlockRef;
use crate::wire::page::{Entries, Page};
use crate::wire::record::{BlockList, Record};
use bytes::Bytes;
use std::collections::VecDeque;

/// Records that are read at a time.
const RECORDS: usize = 64;
/// Records that are looked at for that: those of a deletion name nothing.
const LOOKS: usize = 1024;
/// Pages that are read at a time, and so how many times 512 wait beside the way down.
const PAGES: usize = 8;
/// No more wait, also of records that come faster than it reads.
const PAGES_MAX: usize = 64 * 1024;

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Standing,
    /// Through all that stand: now what is superseded.
    Past,
    /// Through all records: now what was served.
    Served(Cursor),
    Ended,
}

/// What a step has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marked {
    /// Something is read: `read` is to be called.
    Reads,
    /// It goes on.
    Looks,
    /// It has come by everything.
    All,
    Void(Void),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Mark {
    after: Option<RecordId>,
    stage: Stage,
    /// Pages to go down to, the next one last.
    pages: Vec<Address>,
    /// What was served names something that no record names.
    spares: bool,
    /// What records name that stand.
    standing: Amount,
    /// And what only others name.
    past: Amount,
}

impl Mark {
    /// The next step.
    pub(super) fn step(&mut self, cx: &mut Context, readers: &Readers) -> Marked {
        if self.pages.len() > PAGES_MAX {
            return Marked::Void(Void::Unread);
        }
        if !self.pages.is_empty() {
            return self.read_pages(cx);
        }
        match self.stage {
            Stage::Standing | Stage::Past => self.read_records(cx),
            Stage::Served(_) if seeded::is_on(Bug::SweepServed) => {
                self.stage = Stage::Ended;
                Marked::Looks
            }
            Stage::Served(from) => {
                let (roots, next) = readers.roots(from);
                for Root { address, is_page } in roots {
                    let marked = match is_page {
                        true => self.enter(cx, address),
                        false => cx.index.holdings.mark_block(&address),
                    };
                    self.spares |= marked == Some(true);
                }
                self.stage = next.map_or(Stage::Ended, Stage::Served);
                Marked::Looks
            }
            Stage::Ended if is_damaged(cx) => Marked::Void(Void::Damaged),
            Stage::Ended => Marked::All,
        }
    }

    /// A page that is here is gone down to, unless it was before: whether it was not. None if it is not here.
    fn enter(&mut self, cx: &mut Context, page: Address) -> Option<bool> {
        let marked = cx.index.holdings.mark_page(&page);
        if marked == Some(true) {
            self.pages.push(page);
        }
        marked
    }

    /// A record has come that lists its blocks in pages below this one. Its id may lie behind the mark, and what named the
    /// same before may expire ahead of it. What is not here comes later than the mark, which leaves that alone.
    pub(super) fn came(&mut self, cx: &mut Context, root: Address) {
        if self.enter(cx, root) == Some(true) && !self.is_in_records() {
            // What is below it is needed, and not only served.
            self.stage = Stage::Past;
        }
    }

    fn is_in_records(&self) -> bool {
        matches!(self.stage, Stage::Standing | Stage::Past)
    }

    /// What records name that stand, as far as it is here, and what only others do.
    pub(super) fn needed(&self) -> [Amount; 2] {
        [self.standing, self.past]
    }

    /// It is through the records of a stage.
    fn end_stage(&mut self, cx: &mut Context) {
        let marked = cx.index.holdings.marked();
        match self.stage {
            Stage::Standing => {
                self.standing = marked;
                self.after = None;
                self.stage = Stage::Past;
            }
            Stage::Past => {
                self.past = marked.without(self.standing);
                cx.index.holdings.end_naming();
                self.stage = Stage::Served(Cursor::FIRST);
            }
            Stage::Served(_) | Stage::Ended => {}
        }
    }

    /// Whether what was served names something that no record names.
    pub(super) fn spares(&self) -> bool {
        self.spares
    }

    fn read_records(&mut self, cx: &mut Context) -> Marked {
        if is_damaged(cx) {
            return Marked::Void(Void::Damaged);
        }
        let (after, stage_stands) = (self.after, self.stage == Stage::Standing);
        let (mut items, mut ids, mut looks) = (Vec::new(), Vec::new(), 0);
        let last = RecordId([u8::MAX; 32]);
        let all = cx.index.catalog.range(after.unwrap_or_default(), last);
        for entry in all.filter(|entry| after.is_none_or(|after| entry.id() > after)) {
            looks += 1;
            self.after = Some(entry.id());
            match entry.kind() {
                Kind::File | Kind::Other if stands(entry) != stage_stands => {}
                Kind::File | Kind::Other => {
                    items.push(entry.item());
                    ids.push(entry.id());
                }
                Kind::Tombstone | Kind::Grant | Kind::Setting => {}
            }
            if items.len() == RECORDS || looks == LOOKS {
                break;
            }
        }
        if looks == 0 {
            self.end_stage(cx);
        }
        if items.is_empty() {
            return Marked::Looks;
        }
        cx.read_log(items, ReadFor::Collect(Reading::Records(ids)));
        Marked::Reads
    }

    fn read_pages(&mut self, cx: &mut Context) -> Marked {
        let next = self.pages.split_off(self.pages.len().saturating_sub(PAGES));
        let (mut items, mut addresses) = (Vec::new(), Vec::new());
        for address in next {
            match cx.index.holdings.page(&address) {
                Some(place) => {
                    items.push(LogItem { id: address.0, place });
                    addresses.push(address);
                }
                // It was here, and was found damaged since.
                None => return Marked::Void(Void::Page),
            }
        }
        cx.read_log(items, ReadFor::Collect(Reading::Pages(addresses)));
        Marked::Reads
    }

    /// What was asked for is read.
    pub(super) fn read(
        &mut self,
        cx: &mut Context,
        reading: Reading,
        items: Vec<Result<Bytes, ReadError>>,
        events: &mut VecDeque<Event>,
    ) -> Result<(), Void> {
        match reading {
            Reading::Records(ids) => {
                ids.iter().zip(items).try_for_each(|(id, item)| self.record(cx, id, item, events))
            }
            Reading::Pages(pages) => {
                pages.iter().zip(items).try_for_each(|(at, item)| self.page(cx, at, item, events))
            }
        }
    }

    fn record(
        &mut self,
        cx: &mut Context,
        id: &RecordId,
        item: Result<Bytes, ReadError>,
        events: &mut VecDeque<Event>,
    ) -> Result<(), Void> {
        // It may have expired while it was read.
        let is_known = cx.index.catalog.contains(id);
        let record = match item {
            Ok(bytes) => Record::decode(&bytes).ok(),
            Err(ReadError::Disk(_)) if is_known => return Err(Void::Unread),
            Err(ReadError::Gone | ReadError::Damaged | ReadError::Disk(_)) => None,
        };
        match record.map(|record| record.blocks) {
            Some(BlockList::Inline(blocks)) => {
                mark_all(cx, &blocks);
                Ok(())
            }
            Some(BlockList::Pages { root, .. }) => self.need(cx, root),
            None if is_known => {
                events.push_back(Event::RecordDamaged(*id));
                Err(Void::Damaged)
            }
            None => Ok(()),
        }
    }

    fn page(
        &mut self,
        cx: &mut Context,
        address: &Address,
        item: Result<Bytes, ReadError>,
        events: &mut VecDeque<Event>,
    ) -> Result<(), Void> {
        let page = match item {
            Ok(bytes) => Page::decode(&bytes).ok(),
            Err(ReadError::Disk(_)) => return Err(Void::Unread),
            Err(ReadError::Gone | ReadError::Damaged) => None,
        };
        match page.map(|page| page.entries) {
            Some(Entries::Blocks(blocks)) => {
                mark_all(cx, &blocks);
                Ok(())
            }
            Some(Entries::Pages { pages, .. }) => {
                pages.iter().try_for_each(|page| self.need(cx, page.address))
            }
            None => {
                events.push_back(Event::PageDamaged(*address));
                Err(Void::Page)
            }
        }
    }

    /// A page that a record names must be here. One that was only served need not be whole.
    fn need(&mut self, cx: &mut Context, page: Address) -> Result<(), Void> {
        let is_here = self.enter(cx, page).is_some() || !self.is_in_records();
        if is_here || seeded::is_on(Bug::SweepOverMissingPage) { Ok(()) } else { Err(Void::Page) }
    }
}

/// Whether a reader may see it, if it is a version: none that is known supersedes it.
fn stands(entry: &Entry) -> bool {
    !entry.is_superseded() && !entry.is(Flag::Discarded)
}

fn mark_all(cx: &mut Context, blocks: &[BlockRef]) {
    for block in blocks {
        cx.index.holdings.mark_block(&block.address);
    }
}

/// Something is damaged of which it is not known what it names.
pub(super) fn is_damaged(cx: &Context) -> bool {
    cx.index.catalog.lost(..).next().is_some() || cx.index.log_damage().is_any()
}
