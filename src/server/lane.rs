//! The commit lane: gathers what is to become durable into groups, one group at a time.
//!
//! Knows no disk. Invariant: a group leaves only after the one before has been answered, none is larger than the limits
//! say, and whoever waits for a group is told after its flush and never before.

use super::FileServer;
use super::entry::Flag;
use super::looks::Looks;
use super::output::Link;
use super::reconcile::UNREAD_AGAIN;
use super::timers::Timer;
use super::under_way::{NamesUnderWay, UnderWay};
use super::work::Job;
use crate::ids::{Address, NameId, RecordId};
use crate::limits::{
    FRAME_BODY_MAX, GROUP_BLOCKS_MAX, GROUP_BYTES_MAX, GROUP_RECORDS_MAX, GROUP_WINDOW,
    MESSAGE_RECORDS_MAX,
};
use crate::store::values::{BlockPlace, Committed, DiskError, Draft, Group};
use crate::time::Now;
use crate::wire::message::{Message, Reason, Request};
use crate::wire::record::{Record, RecordKind};
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::mem;

/// A record on its way into the catalog.
#[derive(Debug, Clone)]
pub(super) struct NewRecord {
    pub(super) id: RecordId,
    pub(super) record: Record,
    pub(super) bytes: Bytes,
    /// The small block that came with it.
    pub(super) block: Bytes,
    /// The connection to the peer that sent it; none if a client made it, which is when it is pushed on.
    pub(super) source: Option<Link>,
    /// All that it names is known to be held, or is in the same group.
    pub(super) complete: bool,
}

/// Who is told when a group is durable.
#[derive(Debug, Clone, Copy)]
pub(super) enum Waiter {
    Put {
        link: Link,
        request: Request,
    },
    /// `new` is the page's address if it was not here.
    Page {
        link: Link,
        request: Request,
        new: Option<Address>,
    },
}

#[derive(Debug, Default)]
struct Batch {
    group: Group,
    records: Vec<NewRecord>,
    waiters: Vec<Waiter>,
    bytes: usize,
}

impl Batch {
    fn is_empty(&self) -> bool {
        let group = &self.group;
        group.blocks.is_empty()
            && group.small.is_empty()
            && group.pages.is_empty()
            && group.lost.is_empty()
            && self.records.is_empty()
    }

    /// One message more could make it larger than a group may be.
    fn is_full(&self) -> bool {
        self.records.len() + MESSAGE_RECORDS_MAX > GROUP_RECORDS_MAX
            || self.group.blocks.len() >= GROUP_BLOCKS_MAX
            || self.bytes > GROUP_BYTES_MAX / 2
    }
}

/// What is part of a flight once its group has gone to the disk.
#[derive(Debug)]
struct Flight {
    blocks: Vec<(Address, u32)>,
    small: Vec<Address>,
    pages: Vec<Address>,
    records: Vec<NewRecord>,
    waiters: Vec<Waiter>,
}

/// The lane.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Full, in the order in which they go.
    closed: VecDeque<Batch>,
    open: Batch,
    flying: Option<Flight>,
    /// Somebody waits for the open batch, so that it goes as soon as it can.
    urgent: bool,
    window_set: bool,
    window_over: bool,
    /// Small blocks and pages of the open batch.
    addresses: HashSet<Address>,
    /// Records of the open batch.
    open_records: HashSet<RecordId>,
    /// Of every record on its way, in how many batches it is.
    records: HashMap<RecordId, u32>,
    /// The names of all records, in whatever group.
    names: NamesUnderWay,
    /// Records and batches that were looked at.
    looks: Looks,
}

impl Lane {
    /// More waits than one group should hold: whoever can, stops reading.
    pub(super) fn congested(&self) -> bool {
        let records: usize = self.waiting().map(|batch| batch.records.len()).sum();
        self.bytes() > GROUP_BYTES_MAX / 2 || records > GROUP_RECORDS_MAX
    }

    /// Bytes that wait for their group to go.
    pub(super) fn bytes(&self) -> usize {
        self.waiting().map(|batch| batch.bytes).sum()
    }

    fn waiting(&self) -> impl Iterator<Item = &Batch> {
        self.closed.iter().chain([&self.open]).inspect(|_| self.looks.note())
    }

    /// What is added from here on, until this is called again, is in one group, whatever was added before.
    pub(super) fn begin(&mut self) {
        if self.open.is_full() {
            self.addresses.clear();
            self.open_records.clear();
            self.closed.push_back(mem::take(&mut self.open));
        }
    }

    /// Nothing waits and nothing flies.
    pub(super) fn idle(&self) -> bool {
        let waits = !self.open.is_empty() || !self.open.waiters.is_empty();
        self.flying.is_none() && self.closed.is_empty() && !waits
    }

    /// Whether a record is on its way.
    pub(super) fn has_record(&self, id: &RecordId) -> bool {
        self.records.contains_key(id)
    }

    /// All that are on their way.
    pub(super) fn record_ids(&self) -> impl Iterator<Item = RecordId> {
        self.records.keys().copied()
    }

    /// The versions of a name that are on their way, in whatever group, if there are any.
    pub(super) fn under_way(&self, name: &NameId) -> Option<UnderWay> {
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

    pub(super) fn add_record(&mut self, new: NewRecord) {
        // One that flies is not in the open group: whoever waits for this group must find it there, should the other fail.
        if self.open_records.insert(new.id) {
            *self.records.entry(new.id).or_default() += 1;
            self.names.insert(&new);
            self.open.bytes += new.bytes.len();
            self.urgent = true;
            self.open.group.records.push((new.id, new.bytes.clone()));
            self.open.records.push(new);
        }
    }

    pub(super) fn add_lost(&mut self, address: Address) {
        self.open.group.lost.push(address);
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

    /// The open batch's group, if it is time for it to go.
    fn depart(&mut self) -> Option<Group> {
        if self.flying.is_some() {
            return None;
        }
        let batch = match self.closed.pop_front() {
            Some(batch) => batch,
            None => self.take_open()?,
        };
        let address_of = |(address, _): &(Address, Bytes)| *address;
        self.flying = Some(Flight {
            blocks: batch
                .group
                .blocks
                .iter()
                .map(|(_, address, length)| (*address, *length))
                .collect(),
            small: batch.group.small.iter().map(address_of).collect(),
            pages: batch.group.pages.iter().map(address_of).collect(),
            records: batch.records,
            waiters: batch.waiters,
        });
        Some(batch.group)
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

    fn land(&mut self) -> Option<Flight> {
        let flight = self.flying.take()?;
        for new in &flight.records {
            self.looks.note();
            self.names.remove(new);
            // Counted, since a look through all that is closed would cost its square under a flood of records.
            if let Some(batches) = self.records.get_mut(&new.id) {
                *batches -= 1;
                if *batches == 0 {
                    self.records.remove(&new.id);
                }
            }
        }
        Some(flight)
    }
}

/// What a client is told.
const FULL: &str = "the disk is full; nothing of this was kept";
const SCARCE: &str = "the node has too few descriptors or too little memory now; nothing of this was kept: try again";

impl FileServer {
    /// Sends the open group to the disk if it is time; else sees to it that its time comes.
    pub(super) fn commit_if_due(&mut self, now: Now) {
        if let Some(group) = self.lane.depart() {
            self.job(Job::Commit { group });
        } else if !self.lane.open.is_empty() && !self.lane.window_set && !self.lane.window_over {
            self.lane.window_set = true;
            self.after(now, GROUP_WINDOW, Timer::Window);
        }
    }

    /// The disk has answered for the group that was under way.
    pub(super) fn committed(&mut self, now: Now, result: Result<Committed, DiskError>) {
        let Some(flight) = self.lane.land() else {
            return;
        };
        match result {
            Ok(committed) => self.landed(now, flight, &committed),
            Err(DiskError::Full) => {
                self.cx.space.ran_out();
                self.lack_room(now, FRAME_BODY_MAX as u64);
                self.grounded(now, flight, (Reason::NoSpace, FULL));
            }
            Err(DiskError::Scarce(why)) => {
                log::warn!("a group could not be written now: {why}");
                self.grounded(now, flight, (Reason::Unavailable, SCARCE));
            }
            Err(DiskError::Failed(why)) => self.fail(why),
        }
    }

    fn landed(&mut self, now: Now, flight: Flight, committed: &Committed) {
        self.group = committed.number;
        for (address, length) in &flight.blocks {
            self.cx.index.holdings.insert(*address, BlockPlace::Tree { length: *length });
        }
        for (address, place) in flight.small.iter().zip(&committed.small) {
            self.cx.index.holdings.insert(*address, BlockPlace::Log(*place));
        }
        for (address, place) in flight.pages.iter().zip(&committed.pages) {
            self.cx.index.holdings.insert_page(*address, *place);
        }
        for (new, place) in flight.records.iter().zip(&committed.records) {
            let complete = new.complete || self.holds_all_inline(&new.record);
            self.cx.index.catalog.insert(new.id, &new.record, *place, complete);
            self.clock.observe(new.record.version.stamp, now.wall_ms, crate::limits::STAMP_LEAD);
        }
        // Once all are known, since one may supersede another.
        let lacks = |new: &&NewRecord| {
            self.cx.index.catalog.get(&new.id).is_some_and(|entry| !entry.is(Flag::Complete))
        };
        let lacking = flight.records.iter().filter(lacks).map(|new| (new.id, new.source));
        self.replicate(lacking.collect::<Vec<_>>());
        for waiter in flight.waiters {
            match waiter {
                Waiter::Put { link, request } => {
                    self.reply(link, Message::PutDone { request, copies: 1 });
                }
                Waiter::Page { link, request, new } => {
                    if let Some(address) = new {
                        self.cx.index.holdings.await_name(&address);
                    }
                    self.reply(link, Message::PageDone { request });
                }
            }
        }
        let blocks = flight.blocks.iter().map(|(address, _)| *address);
        let arrived: Vec<_> = blocks.chain(flight.small).collect();
        self.blocks_arrived(now, &arrived);
        self.pages_landed(now, &flight.pages, true);
        self.push_new(now, &flight.records);
        self.records_came(&flight.records);
        self.gathered_records(now, &flight.records);
    }

    /// No room, or want of something else: what the group held is forgotten, and whoever waited is told.
    fn grounded(&mut self, now: Now, flight: Flight, (reason, why): (Reason, &'static str)) {
        for waiter in flight.waiters {
            let (Waiter::Put { link, request } | Waiter::Page { link, request, .. }) = waiter;
            self.refuse(link, request, reason, why);
        }
        let blocks = flight.blocks.iter().map(|(address, _)| *address);
        for address in blocks.chain(flight.small) {
            match reason {
                Reason::NoSpace => self.transfer.find_no_room(&mut self.cx, address),
                _ => self.transfer.fail(&mut self.cx, address),
            }
            self.transferred(now);
        }
        self.pages_landed(now, &flight.pages, false);
        let sources: BTreeSet<Link> = flight.records.iter().filter_map(|new| new.source).collect();
        for link in sources {
            self.dropped(now, link, UNREAD_AGAIN);
        }
        self.gathered_in_vain(now, &flight.records);
        let own = flight.records.iter().filter(|new| new.source.is_none());
        let grants = own.filter(|new| new.record.kind == RecordKind::Grant);
        self.setup.grants.extend(grants.map(|new| new.bytes.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PUT_RECORDS_MAX;
    use crate::wire::record::{BlockList, FORMAT};

    fn record(number: usize) -> NewRecord {
        let mut id = RecordId::default();
        id.0[..8].copy_from_slice(&number.to_be_bytes());
        let record = Record {
            format: FORMAT,
            kind: RecordKind::Tombstone,
            space: Default::default(),
            name: Default::default(),
            version: Default::default(),
            parents: Vec::new(),
            epoch: 1,
            signer: [0; 32],
            blocks: BlockList::Inline(Vec::new()),
            extensions: Vec::new(),
            sealed_tag: [0; 32],
            sealed: Vec::new(),
            signature: [0; 64],
        };
        let (bytes, block) = (Bytes::from(vec![7; 300]), Bytes::new());
        NewRecord { id, record, bytes, block, source: None, complete: true }
    }

    #[test]
    fn a_flood_of_records_goes_in_groups_of_the_permitted_size_and_no_put_is_torn() {
        let mut lane = Lane::default();
        let mut puts = Vec::new();
        for request in 0..1000 {
            lane.begin();
            let numbers = request * PUT_RECORDS_MAX..(request + 1) * PUT_RECORDS_MAX;
            numbers.map(record).for_each(|new| lane.add_record(new));
            lane.wait(Waiter::Put { link: 1, request: request as Request });
        }
        assert!(lane.congested() && !lane.idle());
        while let Some(group) = lane.depart() {
            assert!(group.records.len() <= GROUP_RECORDS_MAX);
            assert!(group.records.len().is_multiple_of(PUT_RECORDS_MAX), "a put is torn");
            let flight = lane.land().unwrap();
            assert_eq!(flight.waiters.len(), flight.records.len() / PUT_RECORDS_MAX);
            puts.extend(flight.waiters.into_iter().map(|waiter| match waiter {
                Waiter::Put { request, .. } | Waiter::Page { request, .. } => request,
            }));
        }
        assert_eq!(puts, (0..1000).collect::<Vec<_>>(), "in order");
        assert!(lane.idle() && lane.records.is_empty() && lane.names.is_empty());
    }

    #[test]
    fn what_lands_costs_the_same_however_much_waits() {
        let looks = [10, 10_000].map(|waiting| {
            let mut lane = Lane::default();
            for number in 0..GROUP_RECORDS_MAX + waiting {
                lane.begin();
                lane.add_record(record(number));
            }
            let group = lane.depart().unwrap();
            let before = lane.looks.0.get();
            assert_eq!(lane.land().unwrap().records.len(), group.records.len());
            (lane.looks.0.get() - before, group.records.len() as u64)
        });
        assert_eq!(looks[0], looks[1]);
        assert_eq!(looks[1].0, looks[1].1, "each once");
    }

    #[test]
    fn a_record_in_two_groups_is_on_its_way_until_both_have_landed() {
        let mut lane = Lane::default();
        let id = record(7).id;
        for _ in 0..2 {
            lane.add_record(record(7));
            lane.add_record(record(7));
            if lane.flying.is_none() {
                assert_eq!(lane.depart().map(|group| group.records.len()), Some(1));
            }
        }
        assert!(lane.land().is_some() && lane.has_record(&id), "one waits still");
        assert!(lane.depart().is_some() && lane.land().is_some());
        assert!(!lane.has_record(&id) && lane.idle());
    }
}
