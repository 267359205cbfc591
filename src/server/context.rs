//! The context: what every machine of the server needs, handed to each of their verbs.
//!
//! Calls no machine. Invariant: a message to a connection that has ended is dropped.

use super::asker::Asker;
use super::coming::Coming;
use super::links::Links;
use super::output::{Link, Output};
use super::reliance::Reliance;
use super::replicate::Round;
use super::room::Room;
use super::space::Space;
use super::timers::{Timer, Timers};
use super::transfer::Memory;
use super::work::{Check, CheckFor, Checking, Job, ReadFor, Reading};
use crate::ids::RecordId;
use crate::index::Index;
use crate::limits::{CALENDAR_MIN, FRAME_BODY_MAX, MESSAGE_RECORDS_MAX, STAMP_LEAD};
use crate::seeded::{self, Bug};
use crate::store::values::{BlockPlace, LogItem, ReadError};
use crate::time::{Clock, Now};
use crate::wire::message::{Message, PushedRecord, Reason};
use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use std::collections::VecDeque;
use std::time::Duration;

/// What surrounds a record in a message, at most.
const ITEM_OVERHEAD: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Context {
    /// When the present event happens.
    pub(super) now: Now,
    /// By this calendar things expire, in milliseconds since 1970; none if it is wrong.
    pub(super) calendar_ms: Option<u64>,
    pub(super) index: Index,
    /// Records that the index will know.
    pub(super) coming: Coming,
    pub(super) memory: Memory,
    pub(super) space: Space,
    pub(super) room: Room,
    pub(super) links: Links,
    /// Who counts on what is here.
    pub(super) reliance: Reliance,
    /// Which nodes have news: what is tried again is asked of these alone.
    pub(super) news: Round,
    pub(super) timers: Timers,
    pub(super) rng: ChaCha8Rng,
    pub(super) clock: Clock,
    /// Bytes that wait for workers to check them, or for the disk to say what of them it has.
    pub(super) checking: usize,
    pub(super) outputs: VecDeque<Output>,
}

impl Context {
    /// Of what a start has found, with so many bytes of bulk memory.
    pub(super) fn new(index: Index, memory: usize, seed: u64, now: Now) -> Self {
        Self {
            now,
            calendar_ms: Some(now.wall_ms).filter(|now_ms| *now_ms >= CALENDAR_MIN),
            index,
            coming: Coming::default(),
            memory: Memory::new(memory),
            space: Space::new(now.instant),
            room: Room::default(),
            links: Links::default(),
            reliance: Reliance::default(),
            news: Round::default(),
            timers: Timers::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            clock: Clock::default(),
            checking: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Whether a record is here, or on its way.
    pub(super) fn knows(&self, id: &RecordId) -> bool {
        self.index.catalog.contains(id) || self.coming.contains(id)
    }

    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn job(&mut self, job: Job) {
        self.output(Output::Job(job));
    }

    /// Sets a timer.
    pub(super) fn after(&mut self, delay: Duration, timer: Timer) {
        self.timers.set(self.now.instant + delay, timer);
    }

    /// Has a worker check something. What waits for that is counted, since it may come faster than it is checked.
    pub(super) fn check(&mut self, reason: CheckFor, checks: Vec<Check>) {
        let bytes = checks.iter().map(Check::len).sum();
        self.checking += bytes;
        let purpose = Box::new(Checking { reason, bytes });
        self.job(Job::Check { purpose, checks });
    }

    /// Has items of the log read.
    pub(super) fn read_log(&mut self, items: Vec<LogItem>, reason: ReadFor) {
        let pins = self.index.pin(items.iter().map(|item| BlockPlace::Log(item.place)));
        let purpose = Box::new(Reading { reason, pins });
        self.job(Job::ReadLog { purpose, items });
    }

    /// This was read of items of the log; what for. None if some are gone from where they were: then all are read once more,
    /// and what is gone from where it should be now is damaged.
    pub(super) fn log_read(
        &mut self,
        Reading { reason, pins }: Reading,
        items: Vec<LogItem>,
        read: &[Result<Bytes, ReadError>],
    ) -> Option<ReadFor> {
        self.index.readers.unpin(pins);
        let is_gone = |read: &Result<Bytes, ReadError>| matches!(read, Err(ReadError::Gone));
        let mut gone = items.iter().zip(read).filter(|(_, read)| is_gone(read));
        if !gone.any(|(item, _)| self.index.moved_item(item).is_some()) {
            return Some(reason);
        }
        let now = |item: LogItem| {
            let place = self.index.moved_item(&item).unwrap_or(item.place);
            LogItem { place, ..item }
        };
        let items = items.into_iter().map(now).collect();
        self.read_log(items, reason);
        None
    }

    /// This node's clock, which is never behind a stamp that it knows.
    pub(super) fn clock(&self) -> u64 {
        self.clock.read(self.now.wall_ms)
    }

    /// This node's clock is never behind this stamp from now on.
    pub(super) fn observe(&mut self, stamp: u64) {
        self.clock.observe(stamp, self.now.wall_ms, STAMP_LEAD);
    }

    pub(super) fn send(&mut self, link: Link, message: Message) {
        if self.links.contains(link) {
            self.output(Output::Send { link, message });
        }
    }

    pub(super) fn send_all(&mut self, link: Link, messages: impl Iterator<Item = Message>) {
        messages.for_each(|message| self.send(link, message));
    }

    /// Sends records, in as many messages as it takes. What they hold is counted at once, since the connection tells only
    /// later.
    pub(super) fn send_records(&mut self, link: Link, items: Vec<PushedRecord>) {
        let mut message = Vec::new();
        let mut bytes = 0;
        for item in items {
            let length = item.record.len() + item.block.len() + ITEM_OVERHEAD;
            if bytes + length > FRAME_BODY_MAX - ITEM_OVERHEAD
                || message.len() == MESSAGE_RECORDS_MAX
            {
                self.send(link, Message::Records { items: std::mem::take(&mut message) });
                bytes = 0;
            }
            bytes += length;
            message.push(item);
            self.links.grow_outbox(link, length);
        }
        if !message.is_empty() {
            self.send(link, Message::Records { items: message });
        }
    }

    /// A client must know the grants before it can judge any record.
    pub(super) fn give_grants(&mut self, link: Link) {
        if !seeded::is_on(Bug::KeepGrants) {
            let grants = self.index.grants.for_client();
            self.send_records(link, grants);
        }
    }

    /// Two nodes must agree on what expires, and when, before they compare what they have: they do not before that is so.
    pub(super) fn give_settings(&mut self, link: Link) {
        let records = self.index.settings_records();
        let items = records.map(|record| PushedRecord { record, block: Bytes::new() }).collect();
        self.send_records(link, items);
    }

    /// Answers a request, which is then no longer under way.
    pub(super) fn reply(&mut self, link: Link, message: Message) {
        self.links.end_request(link);
        self.send(link, message);
    }

    /// Answers that a request is not done, and why.
    pub(super) fn refuse(&mut self, asker: Asker, reason: Reason, detail: &str) {
        self.reply(asker.link, Message::refused(asker.request, reason, detail));
    }
}

#[cfg(test)]
impl Context {
    /// Of a node that has nothing and knows nobody, with 32 MiB of memory and a disk that has room.
    pub(super) fn for_tests() -> Self {
        let now = Now { instant: crate::time::Instant(1), wall_ms: CALENDAR_MIN };
        Self::new(Index::for_tests(), 32 << 20, 7, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Address, NameId, VersionId};
    use crate::store::values::LogPlace;
    use crate::wire::record::{Record, RecordKind};

    fn at(segment: u32) -> LogPlace {
        LogPlace { segment, offset: 9_000, length: 7 }
    }

    /// The job that reads the log, which pins these segments.
    fn job(cx: &mut Context, segments: &[u32]) -> (Reading, Vec<LogItem>) {
        let Some(Output::Job(Job::ReadLog { purpose, items, .. })) = cx.outputs.pop_front() else {
            panic!("the log is read");
        };
        assert_eq!(items.iter().map(|item| item.place.segment).collect::<Vec<_>>(), segments);
        assert!(segments.iter().all(|segment| cx.index.readers.of(*segment) == 1));
        (*purpose, items)
    }

    #[test]
    fn what_is_gone_from_the_log_is_looked_up_again_before_it_is_damaged() {
        let mut cx = Context::for_tests();
        let (record, page) = (RecordId([1; 32]), Address([2; 32]));
        let version = VersionId { stamp: 7, ..VersionId::default() };
        let bare = Record::unsigned(RecordKind::File, NameId([3; 32]), version);
        assert!(cx.index.catalog.insert(record, &bare, at(1)));
        cx.index.holdings.insert_page(page, at(2));
        let items =
            vec![LogItem { id: record.0, place: at(1) }, LogItem { id: page.0, place: at(2) }];
        cx.read_log(items, ReadFor::PushRecords { link: 4, ids: Vec::new() });
        let ok = || Ok(Bytes::from_static(b"is here"));
        let gone = || Err(ReadError::Gone);
        let (reading, items) = job(&mut cx, &[1, 2]);
        // The record was moved, and then the page; what can be read is read once more beside it.
        assert!(!cx.index.catalog.insert(record, &bare, at(3)));
        assert!(cx.log_read(reading, items, &[gone(), ok()]).is_none());
        assert_eq!((cx.index.readers.of(1), cx.index.live_bytes(1)), (0, 0), "it may go");
        let (reading, items) = job(&mut cx, &[3, 2]);
        cx.index.holdings.insert_page(page, at(4));
        assert!(cx.log_read(reading, items, &[ok(), gone()]).is_none());
        let (reading, items) = job(&mut cx, &[3, 4]);
        let reason = cx.log_read(reading, items, &[gone(), ok()]);
        assert!(matches!(reason, Some(ReadFor::PushRecords { link: 4, .. })), "it should be there");
        assert!((1..5).all(|segment| cx.index.readers.of(segment) == 0) && cx.outputs.is_empty());
    }
}
