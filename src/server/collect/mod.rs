//! Collection: what no record names any more is found by a mark, and goes by a sweep.
//!
//! A machine. A mark reads the records of the catalog in the order of their ids, a few at a time, and goes down their pages;
//! what it comes by is marked in the holdings. When it has come by everything the sweep takes what is neither marked nor
//! relied on (`reliance`) and not too young. Block files go through the commit queue, a few at a time, since a put that comes
//! meanwhile waits until they are gone; then others have their turn. A small block or page of the log is only forgotten: its
//! bytes are dead in its segment from then on, and a start that finds it there again has it swept again. When a cycle begins:
//! `schedule`.
//!
//! What was served to a connection last is gone through as if a record named it, so that a get of a version that expires
//! meanwhile ends well (`readers`). Not spared is what a client knows from a list alone and has not asked a page of.
//!
//! Knows no client and no peer but by its number. Invariants: a mark that did not come by everything sweeps nothing; at rest,
//! and when nothing was written since the last cycle, nothing is done.

mod age;
mod mark;
mod orphans;
mod readers;
mod schedule;
#[cfg(test)]
mod tests;

use super::context::Context;
use super::output::Link;
use super::served::Served;
use super::timers::Timer;
use crate::ids::{Address, RecordId};
use crate::index::holdings::{Amount, SweepCursor, Young};
use crate::seeded::{self, Bug};
use crate::store::values::{BlockFolder, DiskError, ReadError, SegmentBegun};
use crate::time::Instant;
use crate::wire::record::{BlockList, Record};
use age::Ages;
use bytes::Bytes;
use mark::{Mark, Marked};
use orphans::Orphans;
use readers::Readers;
use schedule::Schedule;
use std::collections::VecDeque;
use std::time::Duration;

/// Block files that go in one group: each takes up to a millisecond, in which no other group is written.
const FILES: u32 = 4;
/// What a disk has to free at once holds up who writes: a sweep takes so long, if as many files go as were found.
const SWEEP: Duration = Duration::from_secs(60);
/// A group follows after as long as the last one took, or later, but not sooner than this.
const FILES_PAUSE_MIN: Duration = Duration::from_millis(1);
/// And not later than this.
const FILES_PAUSE_MAX: Duration = Duration::from_millis(16);
/// Since the first segment of all: it is not known when a block that goes was held last.
const EVER: u32 = 0;
/// After it others have had their turn.
const MOMENT: Duration = Duration::from_micros(1);
/// What is owed to the rate is waited for when it has come to this.
const PAUSE_MIN: Duration = Duration::from_millis(2);

/// What is read of the log for a mark.
#[derive(Debug)]
pub(super) enum Reading {
    Records(Vec<RecordId>),
    Pages(Vec<Address>),
}

/// Why a mark was void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Void {
    /// What a damaged record names is not known.
    Damaged,
    /// A page is not here, or damaged.
    Page,
    /// The disk could not be read.
    Unread,
}

/// What collection has to tell the rest of the server.
#[derive(Debug)]
pub(super) enum Event {
    /// These block files are not held, and are to be removed. `dropped` is to be called, or `not_dropped`. A record that came
    /// since then, in this segment at the earliest, may name one.
    Drop { files: Vec<Address>, since: u32 },
    /// A record's bytes were found damaged.
    RecordDamaged(RecordId),
    /// A page's.
    PageDamaged(Address),
    /// A mark has come by everything that is needed.
    Marked,
}

/// The last cycle that has swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Collected {
    /// When it ended, in milliseconds since 1970.
    pub(super) at_ms: u64,
    /// What went.
    pub(super) gone: Amount,
}

/// What the last mark has come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needed {
    /// When, in milliseconds since 1970.
    pub(super) at_ms: u64,
    /// What versions name that no other supersedes.
    pub(super) standing: Amount,
    /// What only those name that are kept for a while.
    pub(super) past: Amount,
}

/// What is said of collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct State {
    /// Found by the last mark and not gone yet.
    pub(super) reclaimable: Amount,
    pub(super) last: Option<Collected>,
    pub(super) needed: Option<Needed>,
    /// Why the last mark was void, if it was.
    pub(super) void: Option<Void>,
}

/// What is done now.
#[derive(Debug)]
enum Phase {
    Idle,
    /// Files that no group names are looked for, once after a start.
    Orphans(Orphans),
    Marking(Box<Mark>),
    Sweeping(Sweep),
}

#[derive(Debug, Default)]
struct Sweep {
    /// Where it goes on; none when all has been looked at.
    next: Option<SweepCursor>,
    gone: Amount,
    relied: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Collect {
    phase: Phase,
    /// Not looked for yet.
    orphans: Option<Orphans>,
    /// All that records name is here: what no group names is needed by nobody.
    is_whole: bool,
    schedule: Schedule,
    readers: Readers,
    /// Bytes a second.
    rate: u64,
    /// From one group of files that go to the next, at least.
    pace: Duration,
    /// How long is owed to the rate.
    owed: Duration,
    /// Nothing is done before.
    paused_until: Option<Instant>,
    /// A job is under way, or files that are to go.
    waits: bool,
    /// Since when files are to go.
    dropping: Instant,
    /// Files that could not be removed yet.
    not_dropped: Vec<Address>,
    /// When something is to be done, as far as a timer says so.
    timer: Option<Instant>,
    /// The same of what is only to be looked at, which may be far off.
    watch_timer: Option<Instant>,
    stopped: bool,
    state: State,
    events: VecDeque<Event>,
}

impl Collect {
    /// Of a node that has just started, with so many bytes a second.
    pub(super) fn new(rate: u64, now: Instant) -> Self {
        Self {
            phase: Phase::Idle,
            orphans: Some(Orphans::default()),
            is_whole: false,
            schedule: Schedule::new(now),
            readers: Readers::default(),
            rate: rate.max(1),
            pace: Duration::ZERO,
            owed: Duration::ZERO,
            paused_until: Some(now + schedule::AFTER_START),
            waits: false,
            dropping: now,
            not_dropped: Vec::new(),
            timer: None,
            watch_timer: None,
            stopped: false,
            state: State::default(),
            events: VecDeque::new(),
        }
    }

    /// A start has found all that is here, and when the segments of the log were begun that say of it.
    pub(super) fn start(&mut self, cx: &mut Context, begun: &[SegmentBegun]) {
        let ages = Ages { begun, now_ms: cx.now.wall_ms, grace: cx.index.settings.grace };
        cx.index.holdings.set_young(|segment| ages.steps(segment));
    }

    /// What has happened, for the rest of the server.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is said of it.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// No more is begun.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// This was served to a connection, which may ask for what it names.
    pub(super) fn served(&mut self, cx: &Context, link: Link, served: Served) {
        if cx.links.contains(link) {
            self.readers.serve(cx.now.instant, link, served);
        }
    }

    /// A connection goes on with what was served to it.
    pub(super) fn heard(&mut self, cx: &Context, link: Link) {
        self.readers.hear(cx.now.instant, link);
    }

    pub(super) fn link_closed(&mut self, link: Link) {
        self.readers.link_closed(link);
    }

    /// A record is durable: a mark that is under way goes down to what it lists, and a sweep ends that no mark has come by for.
    /// What stands in it alone is relied on.
    pub(super) fn came(&mut self, cx: &mut Context, record: &Record) {
        let BlockList::Pages { root, .. } = record.blocks else {
            return;
        };
        match &mut self.phase {
            Phase::Marking(mark) => mark.came(cx, root),
            Phase::Sweeping(_) if cx.index.holdings.mark_page(&root) == Some(true) => {
                self.schedule.suspect();
                self.end(cx);
            }
            Phase::Idle | Phase::Orphans(_) | Phase::Sweeping(_) => {}
        }
    }

    /// It is time to go on.
    pub(super) fn timeout(&mut self, cx: &mut Context) {
        let is_past = |at: &mut Instant| *at <= cx.now.instant;
        self.timer.take_if(is_past);
        self.watch_timer.take_if(is_past);
        self.pump(cx);
    }

    /// The end of a turn: goes on if it is time. `is_whole`: all that records name is here.
    pub(super) fn end_turn(&mut self, cx: &mut Context, is_whole: bool) {
        self.is_whole = is_whole;
        self.pump(cx);
    }

    fn pump(&mut self, cx: &mut Context) {
        self.schedule.watch(cx);
        while let Some(at) = self.due(cx) {
            if at > cx.now.instant {
                self.wake(cx, at);
                break;
            }
            self.paused_until = None;
            self.step(cx);
        }
        if let Some(at) = self.schedule.ages_at()
            && self.watch_timer.is_none_or(|timer| at < timer)
        {
            self.watch_timer = Some(at);
            cx.timers.set(at, Timer::Collect);
        }
    }

    /// When something is to be done; none as long as nothing is, or an answer is waited for.
    fn due(&self, cx: &Context) -> Option<Instant> {
        if self.stopped || self.waits {
            return None;
        }
        let due = match self.phase {
            Phase::Idle => self.schedule.due(cx)?,
            Phase::Orphans(_) | Phase::Marking(_) | Phase::Sweeping(_) => cx.now.instant,
        };
        Some(self.paused_until.map_or(due, |paused| paused.max(due)))
    }

    fn wake(&mut self, cx: &mut Context, at: Instant) {
        if self.timer.is_none_or(|timer| at < timer) {
            self.timer = Some(at);
            cx.timers.set(at, Timer::Collect);
        }
    }

    fn step(&mut self, cx: &mut Context) {
        match &mut self.phase {
            Phase::Idle => self.begin(cx),
            Phase::Orphans(orphans) => {
                let found = orphans.step(cx);
                match found {
                    orphans::Step::List => self.waits = true,
                    orphans::Step::Drop(files) => self.drop_files(cx, files, EVER),
                    orphans::Step::Ended => self.phase = Phase::Idle,
                }
            }
            Phase::Marking(_) => self.mark(cx),
            Phase::Sweeping(_) => self.sweep(cx),
        }
    }

    fn begin(&mut self, cx: &mut Context) {
        if !self.not_dropped.is_empty() {
            let files = std::mem::take(&mut self.not_dropped);
            return self.drop_files(cx, files, EVER);
        }
        let is_sound = self.is_whole && !mark::is_damaged(cx);
        if let Some(orphans) = self.orphans.take_if(|_| is_sound) {
            self.phase = Phase::Orphans(orphans);
            return;
        }
        self.schedule.begin(cx);
        let Context { reliance, index, .. } = cx;
        reliance.advance(&mut index.holdings);
        index.holdings.clear_marks();
        self.readers.forget_idle(cx.now.instant);
        self.phase = Phase::Marking(Box::default());
    }

    fn mark(&mut self, cx: &mut Context) {
        let Phase::Marking(mark) = &mut self.phase else { unreachable!("a mark runs") };
        match mark.step(cx, &self.readers) {
            Marked::Reads => self.waits = true,
            // Others have their turn in between.
            Marked::Looks => self.paused_until = Some(cx.now.instant + MOMENT),
            Marked::All => {
                let (spares, [standing, past]) = (mark.spares(), mark.needed());
                self.state.needed = Some(Needed { at_ms: cx.now.wall_ms, standing, past });
                self.marked(cx, spares);
            }
            Marked::Void(why) => self.become_void(cx, why),
        }
    }

    /// The mark has come by everything, and by more: what was served.
    fn marked(&mut self, cx: &Context, spares: bool) {
        self.schedule.marked(cx, spares);
        self.state.void = None;
        self.events.push_back(Event::Marked);
        self.state.reclaimable = cx.index.holdings.garbage(young(cx));
        self.pace = pace(self.state.reclaimable.count);
        self.phase =
            Phase::Sweeping(Sweep { next: Some(SweepCursor::default()), ..Sweep::default() });
    }

    fn become_void(&mut self, cx: &Context, why: Void) {
        if self.state.void != Some(why) {
            log::warn!("nothing is collected: {}", why.sentence());
        }
        self.state.void = Some(why);
        self.schedule.void(cx, why);
        self.phase = Phase::Idle;
    }

    /// What a mark needs was read.
    pub(super) fn read(
        &mut self,
        cx: &mut Context,
        reading: Reading,
        items: Vec<Result<Bytes, ReadError>>,
    ) {
        self.waits = false;
        let Phase::Marking(mark) = &mut self.phase else { unreachable!("a mark reads") };
        let bytes = items.iter().flatten().map(|item| item.len() as u64).sum();
        let result = mark.read(cx, reading, items, &mut self.events);
        self.spend(cx, bytes);
        if let Err(why) = result {
            self.become_void(cx, why);
        }
    }

    /// So many bytes were read: if they came too fast, it is waited.
    fn spend(&mut self, cx: &Context, bytes: u64) {
        let micros = bytes.saturating_mul(1_000_000) / self.rate;
        self.owed += Duration::from_micros(micros);
        if self.owed >= PAUSE_MIN {
            self.paused_until = Some(cx.now.instant + std::mem::take(&mut self.owed));
        }
    }

    fn sweep(&mut self, cx: &mut Context) {
        let Phase::Sweeping(sweep) = &mut self.phase else { unreachable!("a sweep runs") };
        let Some(from) = sweep.next else {
            return self.end(cx);
        };
        let swept = cx.index.holdings.sweep(from, young(cx), FILES as usize);
        sweep.next = swept.next;
        sweep.relied += swept.relied;
        sweep.gone.count += swept.gone.count;
        sweep.gone.bytes += swept.gone.bytes;
        let left = &mut self.state.reclaimable;
        left.count = left.count.saturating_sub(swept.gone.count);
        left.bytes = left.bytes.saturating_sub(swept.gone.bytes);
        self.paused_until = Some(cx.now.instant + MOMENT);
        if !swept.files.is_empty() {
            // What is on its way to the disk has not been marked, and comes there or later.
            self.drop_files(cx, swept.files, cx.index.end.segment);
        }
    }

    fn drop_files(&mut self, cx: &Context, files: Vec<Address>, since: u32) {
        self.waits = true;
        self.dropping = cx.now.instant;
        self.events.push_back(Event::Drop { files, since });
    }

    /// Files are gone, or need not go.
    pub(super) fn dropped(&mut self, cx: &mut Context) {
        self.waits = false;
        let took = cx.now.instant.since(self.dropping);
        // Without room for puts nobody who writes is held up.
        let pace = if cx.space.fits(0) { self.pace } else { Duration::ZERO };
        let at = cx.now.instant + pause(took, pace);
        self.paused_until = Some(at);
        self.wake(cx, at);
    }

    /// Files could not be removed now: the log has no room to say so. They stay until the next cycle.
    pub(super) fn not_dropped(&mut self, cx: &mut Context, files: &[Address]) {
        self.waits = false;
        if !seeded::is_on(Bug::ForgetNotDropped) {
            self.not_dropped.extend(files);
        }
        self.schedule.void(cx, Void::Unread);
        self.phase = Phase::Idle;
        self.wake(cx, cx.now.instant + MOMENT);
    }

    /// A folder of blocks was listed.
    pub(super) fn listed(&mut self, cx: &mut Context, result: Result<BlockFolder, DiskError>) {
        self.waits = false;
        self.spend(cx, orphans::LISTED_BYTES);
        let Phase::Orphans(orphans) = &mut self.phase else { unreachable!("it was asked for") };
        orphans.listed(cx, result);
    }

    fn end(&mut self, cx: &Context) {
        let Phase::Sweeping(Sweep { gone, relied, .. }) = self.phase else {
            unreachable!("a sweep ends")
        };
        self.state.reclaimable = Amount::default();
        if gone.count > 0 {
            log::debug!("collected {} blocks and pages, {} bytes", gone.count, gone.bytes);
            self.state.last = Some(Collected { at_ms: cx.now.wall_ms, gone });
        }
        self.schedule.end(cx, relied > 0);
        self.phase = Phase::Idle;
    }
}

/// From one group of files to the next, if so many things are to go.
fn pace(count: u64) -> Duration {
    u32::try_from(count).map_or(Duration::ZERO, |count| SWEEP * FILES / count.max(1))
}

/// After files that took so long to go.
fn pause(took: Duration, pace: Duration) -> Duration {
    took.max(pace.saturating_sub(took)).clamp(FILES_PAUSE_MIN, FILES_PAUSE_MAX)
}

/// Whether what was never named and came not long ago stays.
fn young(cx: &Context) -> Young {
    if cx.index.settings.grace.is_zero() { Young::Goes } else { Young::Stays }
}

impl Void {
    fn sentence(self) -> &'static str {
        match self {
            Self::Damaged => "records are damaged, and what they name is not known",
            Self::Page => "a page of a file's list of blocks is not here, or damaged",
            Self::Unread => "the disk could not be read or written now",
        }
    }
}
