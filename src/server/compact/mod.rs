//! Compaction: of a closed segment of the log of which little is needed, that is written anew, and the segment is removed.
//!
//! A machine. One segment at a time, the one of which least is needed first, and none of which more than half is: so what is
//! written is at most as much as comes free. It reads in the background, writes no faster than `COMPACT_RATE`, and its groups
//! take turns with those of others. Without room for puts more may be needed of a segment. A segment is looked at when less of
//! it is needed than before: at rest nothing happens. Knows no connection. Invariant: a segment is removed only when nothing
//! of it is needed and nobody reads in it; what is damaged is not written anew, but told of.

mod segments;
#[cfg(test)]
mod tests;

use super::context::Context;
use super::timers::Timer;
use super::work::{Job, SegmentAnswer};
use super::write::{Compacted, Copy, Rewrite};
use crate::ids::Address;
use crate::index::Index;
use crate::limits::{
    COMPACT_AGAIN, COMPACT_RATE, COPIES_BYTES_MAX, COPIES_MAX, GROUP_BLOCKS_MAX, REMOVE_RATE,
    SEGMENTS_REMOVED_AT_ONCE,
};
use crate::seeded::{self, Bug};
use crate::store::values::{
    BlockPlace, ItemsFrom, ReadError, RecoveryReport, SegmentItem, SegmentItems, Statement,
};
use crate::wire::log_use::LogUse;
use bytes::Bytes;
use segments::{Room, Segments};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// After a step of what takes several others have had their turn.
const MOMENT: Duration = Duration::from_millis(1);
/// How often the time is doubled after which it is tried again.
const AGAIN_DOUBLED_MAX: u32 = 6;

/// What compaction has to tell the rest of the server.
#[derive(Debug)]
pub(super) enum Event {
    /// A group of it is to be written.
    Rewrite(Rewrite),
    /// These blocks, pages and records, by their ids, are damaged.
    Bad(Vec<Address>),
}

/// What was done until now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Figures {
    /// When a segment was last removed, in milliseconds since 1970; 0 if none was since the start.
    pub(super) last_ms: u64,
    /// Bytes that were written anew since the start.
    pub(super) written: u64,
    /// Bytes of the segments that were removed since the start.
    pub(super) freed: u64,
}

/// A segment that is being written anew.
#[derive(Debug)]
struct Copying {
    segment: u32,
    unlisted: Unlisted,
    /// Items that were needed when they were listed.
    items: VecDeque<SegmentItem>,
}

/// What of a segment's items was not listed yet.
#[derive(Debug, Clone, Copy)]
enum Unlisted {
    All,
    /// What follows from there on.
    From(ItemsFrom),
    Nothing,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// A job or a group is under way for it.
    Copying(Copying),
    /// It is to go on with it when the time has come.
    Paused(Copying),
    /// Segments are being removed.
    Removing,
    /// Some were, and what stood there is being forgotten.
    Forgetting,
    /// Nothing is begun before the time has come.
    Waiting,
    /// Nothing is begun any more.
    Stopped,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Compact {
    segments: Segments,
    /// Segments in which a start has found damage: as long as not all is known of what they held they stay.
    damaged: BTreeSet<u32>,
    /// One of them was set aside for that.
    has_kept: bool,
    state: State,
    figures: Figures,
    /// After what was removed nothing is begun for so long.
    pause: Duration,
    /// How often in a row the disk had no room.
    failures: u32,
    /// That segments cannot be removed has been said.
    has_warned: bool,
    events: VecDeque<Event>,
}

impl Compact {
    /// Over the segments that a start has read.
    pub(super) fn new(recovered: &RecoveryReport) -> Self {
        let mut compact =
            Self { damaged: recovered.damaged.iter().copied().collect(), ..Self::default() };
        compact.segments.extend_to(recovered.end, |_| 0);
        for end in &recovered.segments {
            // How much is needed of each is told as of any of which less is needed.
            compact.segments.close(*end, end.end);
        }
        compact
    }

    /// The start is over: how much of each segment is needed is known.
    pub(super) fn start(&mut self, cx: &Context) {
        for segment in self.segments.numbers() {
            self.segments.fell(segment, cx.index.live_bytes(segment));
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Nothing is begun any more.
    pub(super) fn stop(&mut self) {
        self.state = State::Stopped;
    }

    /// A turn is over: whatever has become unneeded in it is known.
    pub(super) fn go_on(&mut self, cx: &mut Context) {
        self.look(cx);
        if matches!(self.state, State::Idle) {
            self.begin(cx);
        }
    }

    fn look(&mut self, cx: &mut Context) {
        self.segments.extend_to(cx.index.end, |segment| cx.index.live_bytes(segment));
        while let Some(segment) = cx.index.take_fallen() {
            self.segments.fell(segment, cx.index.live_bytes(segment));
        }
        if self.has_kept && !lacks_something(cx) {
            self.has_kept = false;
            for segment in &self.damaged {
                self.segments.fell(*segment, cx.index.live_bytes(*segment));
            }
        }
    }

    /// The next segment, if there is one.
    fn begin(&mut self, cx: &mut Context) {
        let may_go = |segment: &u32| !cx.index.is_read(*segment) && !self.is_kept(cx, *segment);
        // What a disk has to free at once holds up who writes: where there is room one goes at a time.
        let most = if room(cx) == Room::Ample { 1 } else { SEGMENTS_REMOVED_AT_ONCE };
        let empty: Vec<_> = self.segments.empty().filter(may_go).take(most).collect();
        if !empty.is_empty() {
            self.state = State::Removing;
            return self.events.push_back(Event::Rewrite(Rewrite::Removal(empty)));
        }
        while let Some(segment) = self.segments.next(room(cx)) {
            if !self.is_kept(cx, segment) {
                let (unlisted, items) = (Unlisted::All, VecDeque::new());
                return self.copy(cx, Copying { segment, unlisted, items });
            }
            self.has_kept = true;
            self.segments.set_aside(segment);
        }
    }

    /// What a start has found damaged stays until all that is missing was had again.
    fn is_kept(&self, cx: &Context, segment: u32) -> bool {
        self.damaged.contains(&segment) && lacks_something(cx)
    }

    /// The next items of a segment are written anew, or listed before.
    fn copy(&mut self, cx: &mut Context, mut copying: Copying) {
        let mut batch = Vec::new();
        let (mut bytes, mut files) = (0, 0);
        while let Some(item) = copying.items.front() {
            bytes += item.bytes();
            files += usize::from(matches!(item.states, Statement::BlockFile { .. }));
            let is_full = bytes > COPIES_BYTES_MAX || files > GROUP_BLOCKS_MAX;
            if batch.len() == COPIES_MAX || (is_full && !batch.is_empty()) {
                break;
            }
            batch.extend(copying.items.pop_front().filter(|item| cx.index.is_needed(item)));
        }
        if !batch.is_empty() {
            let places = batch.iter().map(|item| BlockPlace::Log(item.place));
            let pins = cx.index.pin(places);
            cx.job(Job::ReadItems { items: batch, pins });
        } else {
            let from = match copying.unlisted {
                Unlisted::All => None,
                Unlisted::From(from) => Some(from),
                Unlisted::Nothing => return self.copied_all(cx, copying.segment),
            };
            let segment = copying.segment;
            let pins = cx.index.readers.pin([segment]);
            cx.job(Job::ListItems { segment, from, pins });
        }
        self.state = State::Copying(copying);
    }

    /// Of a segment all was written anew that could be.
    fn copied_all(&mut self, cx: &Context, segment: u32) {
        self.state = State::Idle;
        let needed = cx.index.live_bytes(segment);
        self.segments.fell(segment, needed);
        if needed > 0 {
            // Damage of which it is to be known, or what cannot be read now.
            self.segments.set_aside(segment);
        }
    }

    /// A worker has answered.
    pub(super) fn answered(&mut self, cx: &mut Context, answer: SegmentAnswer) {
        match answer {
            SegmentAnswer::Listed { pins, result } => {
                cx.index.readers.unpin(pins);
                self.listed(cx, result);
            }
            SegmentAnswer::Read { items, pins, read } => {
                cx.index.readers.unpin(pins);
                self.read(cx, items, read);
            }
        }
    }

    /// Items of the segment were listed.
    fn listed(&mut self, cx: &mut Context, result: Result<SegmentItems, ReadError>) {
        let State::Copying(mut copying) = std::mem::take(&mut self.state) else {
            return self.stop();
        };
        match result {
            Ok(SegmentItems { items, next }) => {
                copying.unlisted = next.map_or(Unlisted::Nothing, Unlisted::From);
                copying.items.extend(items.into_iter().filter(|item| cx.index.is_needed(item)));
            }
            Err(error) => {
                let segment = copying.segment;
                log::debug!("segment {segment} of the log cannot be compacted: {error:?}");
                copying.unlisted = Unlisted::Nothing;
            }
        }
        self.copy(cx, copying);
    }

    /// Items of the segment were read, and compared with their ids.
    fn read(
        &mut self,
        cx: &mut Context,
        items: Vec<SegmentItem>,
        read: Vec<Result<Bytes, ReadError>>,
    ) {
        let State::Copying(copying) = std::mem::take(&mut self.state) else {
            return self.stop();
        };
        let (mut copies, mut bad) = (Vec::new(), Vec::new());
        for (item, read) in items.into_iter().zip(read) {
            match read {
                Ok(bytes) => copies.push(Copy { item, bytes }),
                Err(ReadError::Gone | ReadError::Damaged) if cx.index.is_needed(&item) => {
                    bad.push(Address(item.id));
                }
                // What cannot be read now stays, and with it the segment.
                Err(_) => {}
            }
        }
        if !bad.is_empty() {
            self.events.push_back(Event::Bad(bad));
        }
        if copies.is_empty() {
            return self.copy(cx, copying);
        }
        self.events.push_back(Event::Rewrite(Rewrite::Copies(copies)));
        self.state = State::Copying(copying);
    }

    /// What the log takes, and what was done about it.
    pub(super) fn log_use(&self, cx: &Context) -> LogUse {
        let (segments, bytes) = self.segments.count_and_bytes();
        let Figures { last_ms: compacted_ms, written: rewritten, freed } = self.figures;
        let needed = cx.index.all_live_bytes();
        LogUse { segments, bytes, needed, compacted_ms, rewritten, freed }
    }

    /// The disk has answered for a group.
    pub(super) fn compacted(&mut self, cx: &mut Context, compacted: Compacted) {
        match (compacted, std::mem::take(&mut self.state)) {
            (_, State::Stopped) => self.state = State::Stopped,
            (Compacted::Copied { bytes }, State::Copying(copying)) => {
                self.figures.written += bytes;
                self.state = State::Paused(copying);
                cx.after(time_of(bytes, COMPACT_RATE), Timer::Compact);
            }
            (Compacted::Removed { removed, kept }, _) => {
                let is_in_vain = removed.is_empty() && !kept.is_empty();
                if is_in_vain && !std::mem::replace(&mut self.has_warned, is_in_vain) {
                    log::warn!(
                        "cannot remove {} segments of the log: there is no room to write that down, or too many \
                         are listed as gone; nothing is lost, and it is tried again",
                        kept.len()
                    );
                }
                let freed = self.figures.freed;
                for segment in removed {
                    (self.failures, self.has_warned) = (0, false);
                    self.damaged.remove(&segment);
                    self.figures.freed += self.segments.remove(segment);
                    self.figures.last_ms = cx.now.wall_ms;
                }
                match is_in_vain {
                    // There was no room to say so, or the list of what is gone is full.
                    true => return self.wait(cx),
                    false if room(cx) == Room::Ample => {
                        self.pause = time_of(self.figures.freed - freed, REMOVE_RATE);
                    }
                    false => cx.ask_space(),
                }
                self.forget(cx);
            }
            (Compacted::NotNow, _) => self.wait(cx),
            (Compacted::Copied { .. }, state) => self.state = state,
        }
    }

    /// Forgets some of what stood in segments that are gone; others have their turn before the next.
    fn forget(&mut self, cx: &mut Context) {
        let (state, pause) = match cx.index.forget_gone() {
            true => (State::Forgetting, MOMENT),
            false => (State::Waiting, std::mem::take(&mut self.pause)),
        };
        self.state = state;
        cx.after(pause, Timer::Compact);
    }

    /// Begins nothing for a while, and for longer each time.
    fn wait(&mut self, cx: &mut Context) {
        self.state = State::Waiting;
        if !seeded::is_on(Bug::CompactOnce) {
            cx.after(COMPACT_AGAIN * (1 << self.failures.min(AGAIN_DOUBLED_MAX)), Timer::Compact);
        }
        self.failures += 1;
    }

    /// The time has come to go on.
    pub(super) fn resume(&mut self, cx: &mut Context) {
        match std::mem::take(&mut self.state) {
            State::Paused(copying) => self.copy(cx, copying),
            State::Forgetting => self.forget(cx),
            State::Waiting => self.state = State::Idle,
            state => self.state = state,
        }
    }
}

/// Something that a start has found damaged was not had again, as far as is known.
fn lacks_something(cx: &Context) -> bool {
    let Index { catalog, holdings, .. } = &cx.index;
    let lacks = catalog.lost(..).next().is_some() || holdings.misses_something();
    lacks || cx.index.log_damage().is_any()
}

/// How long so many bytes take at so many a second.
fn time_of(bytes: u64, rate: u64) -> Duration {
    Duration::from_micros((bytes * 1_000_000).div_ceil(rate))
}

fn room(cx: &Context) -> Room {
    match cx.space.fits(0) {
        true => Room::Ample,
        false => Room::Low { free: cx.space.free() },
    }
}
