//! A request window: what is asked of one connection at a time, as much as it keeps up with.
//!
//! Knows no other connection, and not what becomes of a block. Invariant: a range stays with its connection until it has
//! come, also when it is not waited for any more.

use super::memory::{Memory, Share};
use super::pace::Pace;
use super::passing::Pass;
use super::want::Want;
use crate::ids::Address;
use crate::limits::{LEAF, LEAVES, WANTS_MAX};
use crate::seeded::{self, Bug};
use crate::time::Instant;
use crate::wire::frame::Open;
use crate::wire::message::BlockRef;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Ranges asked of one connection at a time: of the longest it is enough to fill a fast link, and a slow one, of which
/// single leaves are asked, holds little memory.
const RANGES: usize = 3;
/// Of one that owes so many ranges, those that were given up too, nothing is asked for others: it bears `WANTS_MAX`, and
/// downloads need some.
const PASSED_MAX: usize = WANTS_MAX / 2;
/// A range that takes less is followed by one twice as long, one that takes more than four times as long by one leaf.
const RANGE_TIME: Duration = Duration::from_millis(250);
/// Leaves of the first range.
pub(super) const FIRST_RANGE: u32 = 8;

/// Leaves of a block that were asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) block: BlockRef,
    pub(super) first: u8,
    pub(super) count: u8,
    pub(super) share: Share,
    /// Leaves that came.
    come: u8,
    /// Not given up: what has not come is waited for.
    live: bool,
    /// Memory is reserved for what has not come. If not, it is claimed as it comes.
    reserved: bool,
    asked: Instant,
    /// It is not for this node's disk: for whom it is.
    pub(super) pass: Option<Pass>,
}

impl Range {
    /// Of a block that is to come here.
    pub(super) fn of_download(want: Want, share: Share, reserved: bool, asked: Instant) -> Self {
        let Want { block, first, count } = want;
        Self { block, first, count, share, come: 0, live: true, reserved, asked, pass: None }
    }

    /// Of one that is passed on: its memory is the reader's.
    pub(super) fn of_pass(want: Want, pass: Pass, asked: Instant) -> Self {
        let range = Self::of_download(want, Share::Serving, false, asked);
        Self { pass: Some(pass), ..range }
    }

    pub(super) fn want(&self) -> Want {
        Want { block: self.block, first: self.first, count: self.count }
    }

    pub(super) fn address(&self) -> Address {
        self.block.address
    }

    /// What has not come is waited for.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// Whether it is of this block, which is to come here.
    pub(super) fn downloads(&self, address: &Address) -> bool {
        self.pass.is_none() && self.block.address == *address
    }

    /// Whether a stream brings it. Who wants what is passed on may lie about its length, and what was asked for him is not
    /// what comes.
    fn is_brought_by(&self, open: &Open) -> bool {
        (self.block.address, self.first, self.count) == (open.address, open.first, open.count)
            && (self.pass.is_none() || self.block.length == open.length)
    }

    /// What it has not brought is no longer waited for, and its memory is given back.
    pub(super) fn give_up(&mut self, memory: &mut Memory) {
        self.live = false;
        if std::mem::take(&mut self.reserved) && !seeded::is_on(Bug::KeepReservation) {
            memory.release(self.share, self.rest());
        }
    }

    /// Counts the memory of a leaf that has come, if none was reserved for it.
    pub(super) fn claim(&self, memory: &mut Memory) {
        if !self.reserved {
            memory.claim(self.share, LEAF);
        }
    }

    /// Bytes that have not come.
    fn rest(&self) -> usize {
        usize::from(self.count - self.come) * LEAF
    }
}

/// A leaf of a range has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Brought {
    pub(super) range: Range,
    pub(super) is_last: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    /// Downloads that have leaves to ask for.
    queue: VecDeque<Address>,
    /// Asked for, in order.
    ranges: VecDeque<Range>,
    /// The one whose stream is open.
    current: Option<Range>,
    /// Leaves of all these.
    in_flight: usize,
    /// Leaves of the next range.
    size: u32,
    /// It has sent what was asked for, and answered in time since.
    trusted: bool,
    /// A timer looks whether it answers.
    watched: bool,
    /// When those who read what it brings were last told that it comes, or it was asked after it owed nothing.
    told: Instant,
    pub(super) pace: Pace,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            ranges: VecDeque::new(),
            current: None,
            in_flight: 0,
            size: FIRST_RANGE,
            trusted: false,
            watched: false,
            told: Instant(0),
            pace: Pace::default(),
        }
    }
}

impl Window {
    /// Something is to be asked for after all else.
    pub(super) fn enqueue(&mut self, address: Address) {
        self.queue.push_back(address);
    }

    /// The same, before the first of which that is said. It may be there already, further back: then nothing of it is left
    /// to ask for when its turn comes.
    pub(super) fn enqueue_before(&mut self, address: Address, which: impl Fn(&Address) -> bool) {
        let at = self.queue.iter().position(which).unwrap_or(self.queue.len());
        self.queue.insert(at, address);
    }

    /// The same, unless it is there.
    pub(super) fn enqueue_once(&mut self, address: Address) {
        if !self.queue.contains(&address) {
            self.queue.push_back(address);
        }
    }

    /// What is to be asked for next.
    pub(super) fn next(&self) -> Option<Address> {
        self.queue.front().copied()
    }

    /// Nothing more is to be asked of it.
    pub(super) fn skip(&mut self) {
        self.queue.pop_front();
    }

    /// Nothing at all is to be asked for any more: what was.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Address> {
        self.queue.drain(..)
    }

    /// How many wait to be asked for.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Leaves of the next range.
    pub(super) fn size(&self) -> u32 {
        self.size
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// Leaves that were asked for and have not come.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The same of downloads: what is passed on has another bound, and must not keep them waiting.
    pub(super) fn downloading(&self) -> usize {
        let passed = self.asked().filter(|range| range.pass.is_some());
        self.in_flight - passed.map(|range| usize::from(range.count)).sum::<usize>()
    }

    /// Whether so many leaves more may be asked for.
    pub(super) fn takes(&self, count: u32) -> bool {
        let downloading = self.downloading();
        downloading == 0 || downloading + count as usize <= RANGES * self.size as usize
    }

    /// Whether it owes too much to be asked for others.
    pub(super) fn is_laden(&self) -> bool {
        self.ranges.len() >= PASSED_MAX
    }

    /// When the range that has waited longest was asked for.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.ranges.front().map(|range| range.asked)
    }

    /// A range is asked for. True if nothing was owed before.
    pub(super) fn ask(&mut self, range: Range) -> bool {
        let idle = self.in_flight == 0;
        self.in_flight += usize::from(range.count);
        self.ranges.push_back(range);
        if idle {
            self.told = range.asked;
        }
        idle
    }

    fn asked(&self) -> impl Iterator<Item = &Range> {
        self.ranges.iter().chain(&self.current)
    }

    /// Ranges that are waited for.
    pub(super) fn live(&self) -> impl Iterator<Item = &Range> {
        self.asked().filter(|range| range.live)
    }

    /// Blocks of which something is still to come.
    pub(super) fn owed(&self) -> BTreeSet<Address> {
        self.live().map(Range::address).chain(self.queue.iter().copied()).collect()
    }

    /// Whether one that `is_waited` should have come by now.
    pub(super) fn withholds(&self, now: Instant, is_waited: impl Fn(&Range) -> bool) -> bool {
        self.live().any(|range| is_waited(range) && self.pace.is_late(now, range.asked))
    }

    /// The other side does not have a block. The range that it answers for.
    pub(super) fn take_absent(&mut self, address: &Address) -> Option<Range> {
        let at = self.ranges.iter().position(|range| range.address() == *address)?;
        let range = self.ranges.remove(at)?;
        self.in_flight = self.in_flight.saturating_sub(usize::from(range.count));
        self.pace.bring(range.count);
        Some(range)
    }

    /// A stream begins. The range that it brings, if that was asked for.
    pub(super) fn begin(&mut self, open: &Open) -> Option<Range> {
        let at = self.ranges.iter().position(|range| range.is_brought_by(open))?;
        self.current = self.ranges.remove(at);
        self.current
    }

    /// A leaf of the open stream has come.
    pub(super) fn bring(&mut self) -> Option<Brought> {
        let range = self.current.as_mut()?;
        range.come += 1;
        Some(Brought { range: *range, is_last: range.come >= range.count })
    }

    /// The open stream is over, whole.
    pub(super) fn end(&mut self, now: Instant) -> Option<Range> {
        let range = self.close()?;
        let taken = now.since(range.asked);
        if taken < RANGE_TIME {
            self.size = (self.size * 2).min(u32::from(LEAVES));
        } else if taken > RANGE_TIME * 4 {
            self.size = 1;
        }
        self.trusted |= range.live;
        Some(range)
    }

    /// The open stream is over.
    pub(super) fn close(&mut self) -> Option<Range> {
        let range = self.current.take()?;
        self.in_flight = self.in_flight.saturating_sub(usize::from(range.count));
        Some(range)
    }

    /// Ranges are not waited for any more. Those that were.
    pub(super) fn give_up(
        &mut self,
        memory: &mut Memory,
        which: impl Fn(&Range) -> bool,
    ) -> Vec<Range> {
        let ranges = self.ranges.iter_mut().chain(&mut self.current);
        let ranges = ranges.filter(|range| range.live && which(range));
        let mut given_up = Vec::new();
        for range in ranges {
            range.give_up(memory);
            given_up.push(*range);
        }
        given_up
    }

    /// What was asked for is still waited for, and counted when it is here.
    pub(super) fn give_back(&mut self, memory: &mut Memory) {
        for range in self.ranges.iter_mut().chain(&mut self.current) {
            if std::mem::take(&mut range.reserved) {
                memory.release(range.share, range.rest());
            }
        }
    }

    /// Seeded bug: what was given up is forgotten.
    pub(super) fn forget_ranges(&mut self) {
        self.ranges.clear();
    }

    /// It has not answered in time.
    pub(super) fn distrust(&mut self) {
        self.trusted = false;
        self.size = 1;
    }

    /// A timer is to look whether it answers, if none does.
    pub(super) fn watch(&mut self) -> bool {
        !std::mem::replace(&mut self.watched, true)
    }

    /// The timer has looked.
    pub(super) fn looked(&mut self) {
        self.watched = false;
    }

    /// Whether it is time again to tell those who read what it brings that it comes. They are told, then.
    pub(super) fn is_time_to_tell(&mut self, now: Instant, period: Duration) -> bool {
        let is_due = now.since(self.told) >= period;
        if is_due {
            self.told = now;
        }
        is_due
    }
}
