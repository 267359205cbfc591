//! Two sides of a comparison, which hand each other what they say: they come to have the same, and each record is sent once.

use super::super::*;
use crate::server::samples::new_record;

use crate::ids::{NodeId, RecordId};
use crate::index::catalog::Verdict;
use crate::limits::CALENDAR_MIN;
use crate::limits::MESSAGE_RECORDS_MAX;
use crate::server::context::Context;
use crate::server::links::Peer;
use crate::server::output::Output;
use crate::server::work::{Job, ReadFor};
use crate::server::write::NewRecord;
use crate::store::values::{LogItem, LogPlace};
use crate::time::{Instant, step_at};
use crate::wire::message::Message;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// The connection to the other side, as each numbers it.
const LINK: usize = 10;

/// One side, and its log.
struct Half {
    cx: Context,
    reconcile: Reconcile,
    log: BTreeMap<u32, Bytes>,
    /// Records that were sent to it, and how often.
    got: BTreeMap<RecordId, usize>,
    /// Questions and answers of the comparison that it has sent.
    messages: usize,
}

impl Half {
    fn new(me: u8, other: u8) -> Self {
        let mut cx = Context::for_tests();
        cx.links.insert(LINK, Peer::for_tests(None));
        cx.links.become_node(LINK, NodeId([other; 32]));
        let mut reconcile = Reconcile::new(NodeId([me; 32]));
        reconcile.connected(&mut cx, LINK);
        let (log, got) = (BTreeMap::new(), BTreeMap::new());
        Self { cx, reconcile, log, got, messages: 0 }
    }

    fn hold(&mut self, new: &NewRecord) {
        let offset = u32::try_from(self.log.len()).unwrap();
        let place = LogPlace { segment: 1, offset, length: 1 };
        self.log.insert(offset, new.bytes.clone());
        self.cx.index.catalog.insert(new.id, &new.record, place);
    }

    fn read(&self, items: &[LogItem]) -> Vec<Result<Bytes, ReadError>> {
        items.iter().map(|item| Ok(self.log[&item.place.offset].clone())).collect()
    }

    /// What it says, once its jobs are done.
    fn say(&mut self) -> VecDeque<Message> {
        let mut said = VecDeque::new();
        loop {
            while let Some(ReconcileEvent::TellOneMore { link }) = self.reconcile.poll_event() {
                self.reconcile.go_on(&mut self.cx, link);
            }
            let Some(output) = self.cx.outputs.pop_front() else {
                return said;
            };
            match output {
                Output::Send { message, .. } => said.push_back(message),
                Output::Job(Job::ReadLog { purpose, items, .. }) => {
                    let items = self.read(&items);
                    match purpose.reason {
                        ReadFor::PushRecords { link, ids } => {
                            self.reconcile.records_read(&mut self.cx, link, ids, items);
                        }
                        ReadFor::PushBlocks { link, batch } => {
                            self.reconcile.blocks_read(&mut self.cx, link, batch, items);
                        }
                        other => panic!("{other:?}"),
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Records { items } => {
                assert!(items.len() <= MESSAGE_RECORDS_MAX);
                for item in items {
                    let new = known(&item.record);
                    // As whoever admits records has it.
                    let (now, peer) = (self.cx.calendar_ms, self.cx.links.get(LINK).unwrap());
                    let (cut, catalog) = (peer.progress.cut, &self.cx.index.catalog);
                    let verdict = catalog.judge(&new.id, &new.record, cut, now.map(step_at));
                    if verdict == Verdict::Expired {
                        continue;
                    }
                    *self.got.entry(new.id).or_default() += 1;
                    self.hold(&new);
                    self.reconcile.came(&mut self.cx, &[new]);
                }
            }
            other => {
                let other = self.reconcile.message(&mut self.cx, LINK, other);
                assert!(other.is_none(), "{other:?}");
            }
        }
    }
}

fn known(bytes: &Bytes) -> NewRecord {
    let record = crate::wire::record::Record::decode(bytes).unwrap();
    let (id, block) = (crate::crypto::keys::record_id(bytes), Bytes::new());
    NewRecord { id, record, bytes: bytes.clone(), block, source: Some(LINK), complete: true }
}

/// Has the two say to each other what there is to say, until neither has more and no time is set but for later.
fn exchange(halves: &mut [Half; 2]) {
    loop {
        let mut is_quiet = true;
        for at in [0, 1] {
            let said = halves[at].say();
            is_quiet &= said.is_empty();
            for message in said {
                halves[at].messages += usize::from(!matches!(message, Message::Records { .. }));
                halves[1 - at].hear(message);
            }
            // What has been said has left.
            halves[at].cx.links.get_mut(LINK).unwrap().outbox = 0;
            halves[at].reconcile.pump_push(&mut halves[at].cx, LINK);
            halves[at].reconcile.pump(&mut halves[at].cx, LINK);
        }
        if is_quiet {
            return;
        }
    }
}

/// A round that the first begins. What both have said in it.
fn round(halves: &mut [Half; 2]) -> usize {
    let before: usize = halves.iter().map(|half| half.messages).sum();
    let theirs = halves[1].cx.now.wall_ms;
    let Half { cx, reconcile, .. } = &mut halves[0];
    cx.now.instant = cx.now.instant + RECONCILED_AFTER;
    let question = reconcile.begin(cx, LINK, Some(theirs)).unwrap();
    cx.send(LINK, question);
    halves[1].cx.now.instant = halves[0].cx.now.instant;
    exchange(halves);
    halves.iter().map(|half| half.messages).sum::<usize>() - before
}

/// So many records that both have, and so many that only one has.
fn compare(both: u64, only: [u64; 2]) -> [Half; 2] {
    let mut halves = [Half::new(1, 2), Half::new(2, 1)];
    for half in &mut halves {
        (0..both).for_each(|name| half.hold(&new_record(name, 1)));
    }
    for (at, count) in only.into_iter().enumerate() {
        let first = (at as u64 + 1) << 40;
        (0..count).for_each(|name| halves[at].hold(&new_record(first + name, 1)));
    }
    // The one with the lesser id begins.
    assert!(halves[1].cx.timers.first().is_none());
    for _ in 0..4 {
        for half in &mut halves {
            half.cx.now.instant = half.cx.now.instant + RECONCILED_AFTER;
            while half.cx.timers.take_due(half.cx.now.instant).is_some() {
                if let Some(question) = half.reconcile.begin(&mut half.cx, LINK, None) {
                    half.cx.send(LINK, question);
                }
            }
        }
        exchange(&mut halves);
    }
    halves
}

/// Long enough for whatever time is set for the next round.
const RECONCILED_AFTER: std::time::Duration = std::time::Duration::from_secs(3600);

#[test]
fn two_that_differ_come_to_have_the_same_and_each_record_is_sent_once() {
    for (both, only) in
        [(0, [0, 0]), (0, [300, 0]), (0, [0, 300]), (2_000, [1, 1]), (700, [90, 40])]
    {
        let halves = compare(both, only);
        let whole = halves.each_ref().map(|half| half.cx.index.catalog.whole());
        assert_eq!(whole[0], whole[1], "{both} {only:?}");
        assert_eq!(whole[0].count, both + only[0] + only[1]);
        for (half, sent) in halves.iter().zip([only[1], only[0]]) {
            assert_eq!(half.got.len() as u64, sent, "{both} {only:?}");
            assert!(half.got.values().all(|times| *times == 1), "sent more than once");
            assert!(half.cx.links.get(LINK).unwrap().progress.all, "it has not heard all");
            assert_eq!(half.reconcile.held_bytes(LINK), 0, "something is kept");
        }
    }
}

#[test]
fn what_is_said_follows_what_differs_and_not_what_there_is() {
    let said = [1_000, 16_000].map(|both| {
        let halves = compare(both, [3, 2]);
        halves.iter().map(|half| half.messages).sum::<usize>()
    });
    assert!(said[1] <= said[0] + 20, "{said:?}");
}

#[test]
fn a_peer_without_room_is_sent_no_file_until_it_has_some() {
    let mut halves = [Half::new(1, 2), Half::new(2, 1)];
    halves[0].hear(Message::Room { free: false });
    let new = new_record(5, 1);
    halves[0].hold(&new);
    let Half { cx, reconcile, .. } = &mut halves[0];
    reconcile.push_new(cx, &[new]);
    exchange(&mut halves);
    assert!(halves[1].got.is_empty());
    halves[0].hear(Message::Room { free: true });
    let Half { cx, reconcile, .. } = &mut halves[0];
    reconcile.with_all(cx);
    let question = reconcile.begin(cx, LINK, None).unwrap();
    cx.send(LINK, question);
    exchange(&mut halves);
    assert_eq!(halves[1].got.len(), 1);
}

#[test]
fn what_was_asked_for_in_vain_is_told_of_when_it_comes_and_then_forgotten() {
    let (mut cx, mut arrivals) = (Half::new(1, 2).cx, Arrivals::default());
    cx.outputs.clear();
    let address = Address([3; 32]);
    arrivals.asked_in_vain(&cx, LINK, &address);
    arrivals.asked_in_vain(&cx, 1, &address);
    assert!(arrivals.held_bytes(LINK) > 0 && arrivals.held_bytes(1) == 0, "of nodes alone");
    for told in [1, 0] {
        arrivals.came(&mut cx, &[address]);
        assert_eq!(cx.outputs.len(), told);
        cx.outputs.clear();
    }
    arrivals.unread(&mut cx, LINK);
    arrivals.unread(&mut cx, LINK);
    let mut timers = std::iter::from_fn(|| cx.timers.take_due(Instant(u64::MAX)));
    assert_eq!(timers.by_ref().filter(|(_, it)| format!("{it:?}").contains("News")).count(), 1);
    arrivals.tell(&mut cx, LINK);
    arrivals.tell(&mut cx, LINK);
    assert_eq!(cx.outputs.len(), 1, "once");
}

const HOUR: u64 = 3600 * 1000;
/// What a comparison takes in which both have the same.
const EQUAL: usize = 2;

impl Half {
    /// Its calendar shows so much after the first stamps, and the network keeps nothing of the past.
    fn set_calendar(&mut self, ms: u64) {
        self.cx.now.wall_ms = CALENDAR_MIN + ms;
        self.cx.calendar_ms = Some(CALENDAR_MIN + ms);
        self.cx.index.settings.retention = std::time::Duration::ZERO;
        self.cx.index.apply_settings();
    }

    /// Lets go of what has expired.
    fn expire(&mut self) -> usize {
        let due = self.cx.index.catalog.due(step_at(self.cx.now.wall_ms), usize::MAX);
        due.iter().for_each(|expired| self.cx.index.catalog.expire(*expired, 1));
        due.len()
    }
}

/// Two that have three versions each of so many names, but that one lacks the first of some. Their calendars show this.
fn with_versions(names: u64, [who, lacking]: [u64; 2], calendars: [u64; 2]) -> [Half; 2] {
    let mut halves = [Half::new(1, 2), Half::new(2, 1)];
    for (at, half) in halves.iter_mut().enumerate() {
        half.set_calendar(calendars[at]);
        for name in 0..names {
            let first = if at as u64 == who && name < lacking { 3 } else { 1 };
            (first..=3).for_each(|version| half.hold(&new_record(name, version)));
        }
    }
    halves
}

#[test]
fn two_of_which_one_has_let_go_of_more_agree_and_say_no_more_than_that() {
    for hours in [0, 6, 23, 40] {
        // One is ahead, and then the other.
        for turned in [false, true] {
            let mut calendars = [hours * HOUR + 60_000, 15_000];
            calendars[..].rotate_left(usize::from(turned));
            let mut halves = with_versions(300, [0, 0], calendars);
            for half in &mut halves {
                half.expire();
            }
            assert_eq!(halves[usize::from(turned)].cx.index.catalog.records(), 300);
            assert_eq!(halves[usize::from(!turned)].cx.index.catalog.records(), 900);
            for _ in 0..3 {
                assert_eq!(round(&mut halves), EQUAL, "{hours} hours, {turned}");
            }
            assert!(halves.iter().all(|half| half.got.is_empty()));
        }
    }
}

#[test]
fn what_one_lacks_and_the_other_has_let_go_of_is_asked_for_once() {
    for turned in [false, true] {
        let mut calendars = [6 * HOUR, 15_000];
        calendars[..].rotate_left(usize::from(turned));
        let mut halves = with_versions(100, [u64::from(!turned), 40], calendars);
        halves[usize::from(turned)].expire();
        let first = round(&mut halves);
        assert!(first > EQUAL, "they differ");
        for _ in 0..3 {
            assert_eq!(round(&mut halves), EQUAL, "{turned}");
        }
        // The time comes at which all that has expired for both.
        halves.iter_mut().for_each(|half| half.set_calendar(7 * HOUR));
        assert_eq!(round(&mut halves), EQUAL, "of which one has not let go yet");
        halves.iter_mut().for_each(|half| _ = half.expire());
        let whole = halves.each_ref().map(|half| half.cx.index.catalog.whole());
        assert_eq!((whole[0], whole[0].count), (whole[1], 100));
    }
}

#[test]
fn of_what_has_expired_nothing_is_sent_and_what_comes_late_is_not_taken() {
    let mut halves = with_versions(50, [1, 50], [HOUR, HOUR]);
    assert_eq!(
        round(&mut halves),
        EQUAL,
        "what has expired does not count, whether it was let go or not"
    );
    assert!(halves[1].got.is_empty());
    let late = new_record(0, 2);
    let message = Message::Records { items: vec![late.pushed()] };
    halves[1].hear(message);
    assert!(!halves[1].cx.index.catalog.contains(&late.id));
    assert_eq!(round(&mut halves), EQUAL);
}

/// One was away while a version was superseded twice, and what superseded it is gone.
#[test]
fn what_only_one_still_has_and_nothing_that_is_there_supersedes_is_a_head_of_both() {
    let mut halves = [Half::new(1, 2), Half::new(2, 1)];
    halves.iter_mut().for_each(|half| half.set_calendar(HOUR));
    for version in 1..=3 {
        halves[0].hold(&new_record(5, version));
    }
    assert_eq!(halves[0].expire(), 2);
    halves[1].hold(&new_record(5, 1));
    for _ in 0..3 {
        round(&mut halves);
    }
    assert_eq!(round(&mut halves), EQUAL);
    for half in &halves {
        assert_eq!(half.cx.index.catalog.heads(&new_record(5, 1).record.name, 8).len(), 2);
    }
}
