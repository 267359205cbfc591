//! The commit queue: gathers what is to become durable into groups, one group at a time.
//!
//! Knows no disk. Invariant: a group is dispatched only after the one before has been answered, none is larger than the limits
//! say, and whoever waits for a group is told after its flush and never before.

use super::background::{Background, Turn};
use super::event::{Contents, Event, Rejection};
use super::in_flight::{InFlight, NamesInFlight};
use super::record::NewRecord;
use super::rewrites::Rewrite;
use crate::ids::{Address, NameId, RecordId};
use crate::index::holdings::Epoch;
use crate::index::steps::Steps;
use crate::limits::{
    GROUP_BLOCKS_MAX, GROUP_BYTES_MAX, GROUP_RECORDS_MAX, GROUP_WINDOW, MESSAGE_RECORDS_MAX,
};
use crate::seeded::{self, Bug};
use crate::server::asker::Asker;
use crate::server::context::Context;
use crate::server::timers::Timer;
use crate::server::work::Job;
use crate::store::values::{BlockPlace, Committed, DiskError, Draft, Expired, Group, ITEM_HEAD};
use crate::time::latest_credible;
use crate::wire::message::{Message, Reason};
use crate::wire::record::BlockList;
use bytes::Bytes;
use std::collections::{HashSet, VecDeque};
use std::mem;

/// What a client is told.
const FULL: &str = "the disk is full; nothing of this was kept";
const SCARCE: &str = "the node has too few descriptors or too little memory now; nothing of this was kept: try again";

/// Who is told when a group is durable.
#[derive(Debug, Clone, Copy)]
pub(super) enum Waiter {
    Put(Asker),
    /// A page: new if it was not here.
    Page {
        asker: Asker,
        address: Address,
        is_new: bool,
    },
}

impl Waiter {
    fn asker(&self) -> Asker {
        match self {
            Self::Put(asker) | Self::Page { asker, .. } => *asker,
        }
    }
}

#[derive(Debug, Default)]
struct Batch {
    group: Group,
    records: Vec<NewRecord>,
    waiters: Vec<Waiter>,
    bytes: usize,
    /// Since when its records count on what is here.
    relied: Vec<Epoch>,
    /// Files that were to go.
    files: Vec<Address>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        let group = &self.group;
        group.blocks.is_empty()
            && group.small.is_empty()
            && group.pages.is_empty()
            && group.lost.is_empty()
            && group.expired.is_empty()
            && self.records.is_empty()
    }

    /// One message more could make it larger than a group may be.
    fn is_full(&self) -> bool {
        self.records.len() + MESSAGE_RECORDS_MAX > GROUP_RECORDS_MAX
            || self.group.blocks.len() >= GROUP_BLOCKS_MAX
            || self.bytes > GROUP_BYTES_MAX / 2
    }
}

/// What is kept of a group while the disk writes it.
#[derive(Debug)]
struct Dispatched {
    blocks: Vec<(Address, u32)>,
    small: Vec<Address>,
    pages: Vec<Address>,
    lost: Vec<Address>,
    expired: Vec<Expired>,
    records: Vec<NewRecord>,
    waiters: Vec<Waiter>,
    dropped: Vec<Address>,
    relied: Vec<Epoch>,
    files: Vec<Address>,
}

/// Whether the space of removed files is being freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Frees {
    #[default]
    Nothing,
    Once,
    /// It is, and more may have been removed since that began.
    Twice,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct CommitQueue {
    /// Full, in the order in which they go.
    closed: VecDeque<Batch>,
    open: Batch,
    in_flight: Option<Dispatched>,
    background: Background,
    /// Somebody waits for the open batch, so that it goes as soon as it can.
    urgent: bool,
    window_set: bool,
    window_over: bool,
    frees: Frees,
    /// Small blocks and pages of the open batch.
    addresses: HashSet<Address>,
    /// Records of the open batch.
    open_records: HashSet<RecordId>,
    /// The names of all records, in whatever group.
    names: NamesInFlight,
    /// Records and batches that were looked at.
    steps: Steps,
}

impl CommitQueue {
    /// More waits than one group should hold: nothing more is read.
    pub(super) fn has_backlog(&self) -> bool {
        let records: usize = self.waiting().map(|batch| batch.records.len()).sum();
        self.bytes() > GROUP_BYTES_MAX / 2 || records > GROUP_RECORDS_MAX
    }

    /// Bytes that wait for their group to go.
    pub(super) fn bytes(&self) -> usize {
        self.waiting().map(|batch| batch.bytes).sum()
    }

    fn waiting(&self) -> impl Iterator<Item = &Batch> {
        self.closed.iter().chain([&self.open]).inspect(|_| self.steps.note())
    }

    /// What is added from here on, until this is called again, is in one group, whatever was added before.
    pub(super) fn begin(&mut self) {
        if self.open.is_full() {
            self.close();
        }
    }

    fn close(&mut self) {
        self.addresses.clear();
        self.open_records.clear();
        self.closed.push_back(mem::take(&mut self.open));
    }

    /// Nothing waits and nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        let waits = !self.open.is_empty() || !self.open.waiters.is_empty();
        self.in_flight.is_none() && self.background.is_idle() && self.closed.is_empty() && !waits
    }

    /// See `Rewrites`.
    pub(super) fn rewrite(&mut self, rewrite: Rewrite) {
        self.background.rewrite(rewrite);
    }

    /// What of the compaction waits will not go.
    pub(super) fn stop(&mut self) {
        self.background.rewrites.stop();
    }

    /// The versions of a name that are on their way, in whatever group, if there are any.
    pub(super) fn in_flight(&self, name: &NameId) -> Option<InFlight> {
        self.names.get(name)
    }

    pub(super) fn add_block(&mut self, draft: Draft, address: Address, length: u32) {
        self.begin();
        self.open.group.blocks.push((draft, address, length));
    }

    pub(super) fn add_small(&mut self, address: Address, block: Bytes) {
        if self.addresses.insert(address) {
            self.open.bytes += block.len();
            self.open.group.small.push((address, block));
        }
    }

    pub(super) fn add_page(&mut self, address: Address, page: Bytes) {
        if self.addresses.insert(address) {
            self.open.bytes += page.len();
            self.open.group.pages.push((address, page));
        }
    }

    pub(super) fn add_record(&mut self, cx: &mut Context, new: NewRecord) {
        // One that is in flight is not in the open group: whoever waits for this group must find it there, should the other fail.
        if self.open_records.insert(new.id) {
            cx.coming.add(new.id);
            self.names.insert(&new);
            self.open.bytes += new.bytes.len();
            self.urgent = true;
            self.open.group.records.push((new.id, new.bytes.clone()));
            self.open.records.push(new);
        }
    }

    /// The records that were added since `begin` count on what is here, since then.
    pub(super) fn rely(&mut self, since: Epoch) {
        self.open.relied.push(since);
    }

    /// These block files are not held any more, and go, in a group of their own. A record that has come in segment `since` or
    /// later may name one. False if all that is left of them is held, or on its way here.
    pub(super) fn add_dropped(
        &mut self,
        cx: &Context,
        mut dropped: Vec<Address>,
        since: u32,
    ) -> bool {
        dropped.retain(|address| {
            let is_held = cx.index.holdings.block(address).is_some();
            !is_held && !self.brings(address)
        });
        if dropped.is_empty() {
            return false;
        }
        self.background.drop_files(dropped, since);
        true
    }

    /// Whether a block file is on its way here.
    fn brings(&self, address: &Address) -> bool {
        let in_flight = self.in_flight.iter().flat_map(|group| &group.blocks);
        let waiting = self.waiting().flat_map(|batch| &batch.group.blocks);
        in_flight
            .map(|(block, _)| block)
            .chain(waiting.map(|(_, block, _)| block))
            .any(|block| block == address)
    }

    pub(super) fn add_lost(&mut self, address: Address) {
        self.open.group.lost.push(address);
    }

    /// Records have expired. Nobody waits for that.
    pub(super) fn add_expired(&mut self, expired: Vec<Expired>) {
        self.begin();
        self.open.bytes += expired.len() * (ITEM_HEAD + size_of::<u64>());
        self.open.group.expired.extend(expired);
    }

    /// Has the open batch's durability reported. What it waits for must be in the open batch or an earlier one.
    pub(super) fn wait(&mut self, waiter: Waiter) {
        self.urgent = true;
        self.open.waiters.push(waiter);
    }

    /// Somebody waits for what is in the open batch.
    pub(super) fn set_urgent(&mut self) {
        self.urgent = true;
    }

    pub(super) fn window_over(&mut self) {
        self.window_set = false;
        self.window_over = true;
    }

    /// The next group, if it is time for it to go to the disk.
    fn dispatch(&mut self, cx: &mut Context) -> Option<Group> {
        if self.in_flight.is_some() || self.background.rewrites.is_in_flight() {
            return None;
        }
        if self.background.has_turn() {
            return self.dispatch_background(cx);
        }
        let Some(mut batch) = self.closed.pop_front().or_else(|| self.take_open()) else {
            return self.dispatch_background(cx);
        };
        self.background.let_pass();
        if !seeded::is_on(Bug::LoseAgain) {
            // What has come again with a group before this one stands in the log before it, and would be lost to a start.
            batch.group.lost.retain(|address| !cx.index.has(address));
        }
        Some(self.send(batch))
    }

    /// The next group that nobody waits for.
    fn dispatch_background(&mut self, cx: &mut Context) -> Option<Group> {
        match self.background.take_turn()? {
            Turn::Rewrite => self.background.rewrites.dispatch(cx),
            Turn::Files(files) => {
                let group = Group { dropped: files.dropped(&cx.index), ..Group::default() };
                Some(self.send(Batch { group, files: files.addresses, ..Batch::default() }))
            }
        }
    }

    /// It is in flight.
    fn send(&mut self, batch: Batch) -> Group {
        let address_of = |(address, _): &(Address, Bytes)| *address;
        self.in_flight = Some(Dispatched {
            blocks: batch
                .group
                .blocks
                .iter()
                .map(|(_, address, length)| (*address, *length))
                .collect(),
            small: batch.group.small.iter().map(address_of).collect(),
            pages: batch.group.pages.iter().map(address_of).collect(),
            lost: batch.group.lost.clone(),
            expired: batch.group.expired.clone(),
            records: batch.records,
            waiters: batch.waiters,
            dropped: batch.group.dropped.iter().map(|dropped| dropped.address).collect(),
            relied: batch.relied,
            files: batch.files,
        });
        batch.group
    }

    /// The open batch, if its time has come.
    fn take_open(&mut self) -> Option<Batch> {
        let due =
            self.urgent || self.window_over || self.open.group.blocks.len() >= GROUP_BLOCKS_MAX;
        let waits = !self.open.is_empty() || !self.open.waiters.is_empty();
        if !due || !waits {
            return None;
        }
        self.urgent = false;
        self.window_over = false;
        self.addresses.clear();
        self.open_records.clear();
        Some(mem::take(&mut self.open))
    }

    /// The disk has answered for the group that was in flight.
    fn take_in_flight(&mut self, cx: &mut Context) -> Option<Dispatched> {
        let mut group = self.in_flight.take()?;
        for new in &group.records {
            self.steps.note();
            self.names.remove(new);
            // Counted, since a look through all that is closed would cost its square under a flood of records.
            cx.coming.remove(&new.id);
        }
        for since in group.relied.drain(..) {
            cx.reliance.end(since);
        }
        Some(group)
    }

    /// Sends the next group to the disk if it is time; else sees to it that its time comes.
    pub(super) fn pump(&mut self, cx: &mut Context, is_whole: bool) {
        if let Some(mut group) = self.dispatch(cx) {
            if is_whole || seeded::is_on(Bug::CopyDroppedBare) {
                // What groups before have brought is known: no record of it lacks one of these.
                group.dropped.iter_mut().for_each(|dropped| dropped.since = None);
            }
            // By a calendar that is plainly wrong nothing is dated.
            group.at_ms = latest_credible(cx.now.wall_ms).map_or(0, |_| cx.now.wall_ms);
            cx.job(Job::Commit { group: Box::new(group) });
        } else if !self.open.is_empty() && !self.window_set && !self.window_over {
            self.window_set = true;
            cx.after(GROUP_WINDOW, Timer::Window);
        }
    }

    /// The space of removed files has been freed.
    pub(super) fn freed(&mut self, cx: &mut Context) {
        if mem::take(&mut self.frees) == Frees::Twice {
            self.frees = Frees::Once;
            cx.job(Job::Free);
        }
    }

    /// The disk has answered for the group that was in flight. Whoever waits for it is told; what else has come of it.
    pub(super) fn complete(
        &mut self,
        cx: &mut Context,
        result: Result<Committed, DiskError>,
    ) -> Event {
        if let Ok(Committed { closed: Some(segment), .. }) = result {
            cx.job(Job::IndexSegment { segment });
        }
        if result.as_ref().is_ok_and(|committed| committed.frees) {
            self.frees = match self.frees {
                Frees::Nothing => {
                    cx.job(Job::Free);
                    Frees::Once
                }
                Frees::Once | Frees::Twice => Frees::Twice,
            };
        }
        let rewrites = &mut self.background.rewrites;
        if rewrites.is_in_flight() {
            return rewrites.complete(cx, result).map_or_else(Event::Failed, Event::Compacted);
        }
        let mut group = self.take_in_flight(cx).expect("one group is in flight, and answered once");
        let rejection = match result {
            Ok(committed) => {
                group.enter(cx, &committed);
                return Event::Committed(Box::new(group.contents()));
            }
            Err(DiskError::Failed(why)) => return Event::Failed(why),
            Err(DiskError::Full) => {
                cx.space.ran_out();
                Rejection::Full
            }
            Err(DiskError::Scarce(why)) => {
                log::warn!("a group could not be written now: {why}");
                Rejection::Scarce
            }
        };
        let (reason, detail) = match rejection {
            Rejection::Full => (Reason::NoSpace, FULL),
            Rejection::Scarce => (Reason::Unavailable, SCARCE),
        };
        for waiter in &group.waiters {
            cx.refuse(waiter.asker(), reason, detail);
        }
        Event::Rejected(Box::new(group.contents()), rejection)
    }
}

impl Dispatched {
    /// It is durable: from now on what it holds is known, and whoever waits is told.
    fn enter(&mut self, cx: &mut Context, committed: &Committed) {
        cx.index.group = committed.number;
        cx.index.end = committed.end;
        let segment = committed.segment;
        self.lost.iter().for_each(|address| cx.index.holdings.lost(address, segment));
        for address in &self.dropped {
            cx.index.holdings.dropped(address, segment);
        }
        for (address, length) in &self.blocks {
            let place = BlockPlace::Tree { length: *length };
            cx.index.holdings.insert(*address, place, segment);
        }
        for (address, place) in self.small.iter().zip(&committed.small) {
            cx.index.holdings.insert(*address, BlockPlace::Log(*place), segment);
        }
        for (address, place) in self.pages.iter().zip(&committed.pages) {
            cx.index.holdings.insert_page(*address, *place);
        }
        // What comes again in the same group has come after that.
        self.expired.iter().for_each(|expired| cx.index.catalog.expire(*expired, segment));
        for (new, place) in self.records.iter_mut().zip(&committed.records) {
            let is_new = cx.index.catalog.insert(new.id, &new.record, *place);
            if let BlockList::Inline(blocks) = &new.record.blocks {
                for block in blocks {
                    cx.index.holdings.name_block(&block.address);
                }
            }
            // What one that was known lacks is known as well.
            new.complete |= !is_new || cx.index.holdings.has_all_inline(&new.record);
            cx.observe(new.record.version.stamp);
        }
        for waiter in &self.waiters {
            match *waiter {
                Waiter::Put(Asker { link, request }) => {
                    cx.reply(link, Message::PutDone { request, copies: 1 });
                }
                Waiter::Page { asker: Asker { link, request }, address, is_new } => {
                    if is_new {
                        cx.index.holdings.await_name(&address);
                    }
                    cx.rely_on(link, &address);
                    cx.reply(link, Message::PageDone { request });
                }
            }
        }
    }

    fn contents(self) -> Contents {
        let blocks = self.blocks.iter().map(|(address, _)| *address).chain(self.small);
        let Self { records, pages, expired, files, .. } = self;
        Contents { blocks: blocks.collect(), records, pages, expired, files }
    }
}

#[cfg(test)]
mod tests;
