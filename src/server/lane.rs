//! The commit lane: gathers what is to become durable into groups, one group at a time.
//!
//! Knows no disk. Invariant: a group leaves only after the one before has been answered, and whoever waits for a group
//! is told after its flush and never before.

use super::output::Link;
use super::work::Job;
use super::{FileServer, Pending};
use crate::ids::{Address, RecordId};
use crate::limits::{GROUP_BLOCKS_MAX, GROUP_BYTES_MAX, GROUP_WINDOW};
use crate::store::job::{self, BlockPlace, Committed, DiskError, Draft, Group};
use crate::time::Now;
use crate::wire::message::{Message, Reason, Request};
use crate::wire::record::{Record, RecordKind};
use bytes::Bytes;
use std::collections::HashSet;
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
    Put { link: Link, request: Request },
    Page { link: Link, request: Request },
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
    /// Records of the open batch and of the one that flies.
    records: HashSet<RecordId>,
}

impl Lane {
    /// More waits than one group should hold: whoever can, stops reading.
    pub(super) fn congested(&self) -> bool {
        self.open.bytes > GROUP_BYTES_MAX / 2
    }

    /// Nothing waits and nothing flies.
    pub(super) fn idle(&self) -> bool {
        self.flying.is_none() && self.open.is_empty() && self.open.waiters.is_empty()
    }

    /// Whether a record is on its way.
    pub(super) fn has_record(&self, id: &RecordId) -> bool {
        self.records.contains(id)
    }

    /// Whether a version of a file of this name is on its way.
    pub(super) fn has_file(&self, name: &crate::ids::NameId) -> bool {
        let flying = self.flying.iter().flat_map(|flight| &flight.records);
        let mut records = self.open.records.iter().chain(flying);
        records.any(|new| new.record.kind == RecordKind::File && new.record.name == *name)
    }

    pub(super) fn add_block(&mut self, draft: Draft, address: Address, length: u32) {
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
            self.records.insert(new.id);
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
        let due =
            self.urgent || self.window_over || self.open.group.blocks.len() >= GROUP_BLOCKS_MAX;
        let batch_waits = !self.open.is_empty() || !self.open.waiters.is_empty();
        if self.flying.is_some() || !due || !batch_waits {
            return None;
        }
        self.urgent = false;
        self.window_over = false;
        self.addresses.clear();
        self.open_records.clear();
        let batch = mem::take(&mut self.open);
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

    fn land(&mut self) -> Option<Flight> {
        let flight = self.flying.take()?;
        for new in &flight.records {
            if !self.open_records.contains(&new.id) {
                self.records.remove(&new.id);
            }
        }
        Some(flight)
    }
}

impl FileServer {
    /// Sends the open group to the disk if it is time; else sees to it that its time comes.
    pub(super) fn commit_if_due(&mut self, now: Now) {
        if let Some(group) = self.lane.depart() {
            let ticket = self.ticket(Pending::Commit);
            self.job(Job::Disk(job::Job::Commit { ticket, group }));
        } else if !self.lane.open.is_empty() && !self.lane.window_set && !self.lane.window_over {
            self.lane.window_set = true;
            self.after(now, GROUP_WINDOW, super::Timer::Window);
        }
    }

    /// The disk has answered for the group that was under way.
    pub(super) fn committed(&mut self, now: Now, result: Result<Committed, DiskError>) {
        let Some(flight) = self.lane.land() else {
            return;
        };
        match result {
            Ok(committed) => self.landed(now, flight, &committed),
            Err(DiskError::Full) => self.grounded(now, flight),
            Err(DiskError::Failed(why)) => self.fail(why),
        }
    }

    fn landed(&mut self, now: Now, flight: Flight, committed: &Committed) {
        self.group = committed.number;
        for (address, length) in &flight.blocks {
            self.holdings.insert(*address, BlockPlace::Tree { length: *length });
        }
        for (address, place) in flight.small.iter().zip(&committed.small) {
            self.holdings.insert(*address, BlockPlace::Log(*place));
        }
        for (address, place) in flight.pages.iter().zip(&committed.pages) {
            self.holdings.insert_page(*address, *place);
        }
        for (new, place) in flight.records.iter().zip(&committed.records) {
            let complete = new.complete || self.holds_all_inline(&new.record);
            self.catalog.insert(new.id, &new.record, *place, complete);
            self.clock.observe(new.record.version.stamp, now.wall_ms, crate::limits::STAMP_LEAD);
            if !complete {
                self.replicate(new.id, new.source);
            }
        }
        for waiter in flight.waiters {
            match waiter {
                Waiter::Put { link, request } => {
                    self.reply(link, Message::PutDone { request, copies: 1 });
                }
                Waiter::Page { link, request } => self.reply(link, Message::PageDone { request }),
            }
        }
        let blocks = flight.blocks.iter().map(|(address, _)| *address);
        let arrived: Vec<_> = blocks.chain(flight.small).collect();
        self.blocks_arrived(now, &arrived);
        self.pages_landed(now, &flight.pages, true);
        self.push_new(now, &flight.records);
        self.gathered_records(now, &flight.records);
    }

    /// No room: what the group held is forgotten, and whoever waited is told.
    fn grounded(&mut self, now: Now, flight: Flight) {
        self.space.usable = 0;
        for waiter in flight.waiters {
            let (Waiter::Put { link, request } | Waiter::Page { link, request }) = waiter;
            self.refuse(
                link,
                request,
                Reason::NoSpace,
                "the disk is full; nothing of this was kept",
            );
        }
        let blocks = flight.blocks.iter().map(|(address, _)| *address);
        for address in blocks.chain(flight.small) {
            self.fetch_failed(now, address);
        }
        self.pages_landed(now, &flight.pages, false);
    }
}
