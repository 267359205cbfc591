//! Reconciliation: two nodes find out which records one has and the other lacks, by comparing ranges of ids; and what a peer
//! lacks is sent to it, like whatever is made here.
//!
//! One side asks, a few ranges at a time, and goes on where it stopped as answers come and its outbox has room; the other
//! answers each question once, while its own has. So neither's work grows with how much differs. A range with equal sums
//! is settled; of an unequal one the other side says the sums of its parts, or its ids when they are few. Of two nodes the
//! one with the lesser id asks; who lost something asks too. One batch at a time is read for a peer, and none while its
//! outbox is half full: a slow peer costs memory for its outbox and no more. Invariant: only the answer to its own question
//! makes a node believe that it knows what a peer has.

mod sending;

use super::comparison::{Ended, Span};
use super::event::ReconcileEvent;
use super::push::{BATCH_BYTES, Batch, PushRange, small_block_of};
use super::ranges::{cut, ids_of, is_equal, is_whole, parts, summary};
use super::side::{Question, Side};
use crate::ids::{Hash, NodeId, RecordId};
use crate::index::entry::Entry;
use crate::index::sorted::xor_into;
use crate::limits::{COMPARE_IDS, OUTBOX_MAX, RECONCILE_PERIOD};
use crate::seeded::{self, Bug};
use crate::server::context::Context;
use crate::server::links::{Peer, Progress};
use crate::server::output::Link;
use crate::server::work::ReadFor;
use crate::server::write::NewRecord;
use crate::store::values::ReadError;
use crate::wire::message::{ExpiredRecord, Message, PushedRecord, RangeSummary};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Unequal nodes compare again after this long, and after twice as long each time that neither has changed.
pub(in crate::server) const AGAIN: Duration = Duration::from_secs(2);
/// Who is set to something else is not answered so many times on one connection, and then it is: it may never learn better.
const REFUSALS: u32 = 8;
/// What could not be read or written now is looked for again after this long.
pub(in crate::server) const UNREAD_AGAIN: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(in crate::server) struct Reconcile {
    me: NodeId,
    /// Of the connections that lead to nodes and have not ended: of another nothing is known, and nothing done.
    by_link: BTreeMap<Link, Side>,
    /// Some node has been compared with since the start.
    has_compared: bool,
    events: VecDeque<ReconcileEvent>,
}

impl Reconcile {
    /// Of this node; nobody is connected.
    pub(in crate::server) fn new(me: NodeId) -> Self {
        Self { me, by_link: BTreeMap::new(), has_compared: false, events: VecDeque::new() }
    }

    /// What has happened, for the rest of the server.
    pub(in crate::server) fn poll_event(&mut self) -> Option<ReconcileEvent> {
        self.events.pop_front()
    }

    /// A connection leads to a node. It must know the grants before it can judge any other record. One of the two begins to
    /// compare; what it finds is told to both.
    pub(in crate::server) fn connected(&mut self, cx: &mut Context, link: Link) {
        debug_assert!(cx.links.leads_to_node(link), "connection {link} leads to no node");
        self.by_link.insert(link, Side::default());
        let grants: Vec<_> = cx.index.grants.ids().collect();
        self.push_ids(cx, link, grants);
        if Some(self.me) < cx.links.get(link).and_then(Peer::node) {
            self.set_due(cx, link, Duration::ZERO);
        }
    }

    pub(in crate::server) fn link_closed(&mut self, link: Link) {
        let side = self.by_link.remove(&link);
        self.has_compared |= side.is_some_and(|side| side.comparison.is_informed());
    }

    /// Whether one that is connected no more has told all that it knew.
    pub(in crate::server) fn has_compared(&self) -> bool {
        self.has_compared
    }

    /// Begins a comparison, if it is time for it and nothing of the last one is under way. What is to be asked. `calendar_ms`:
    /// what the peer's shows, as far as it has said.
    pub(in crate::server) fn begin(
        &mut self,
        cx: &mut Context,
        link: Link,
        calendar_ms: Option<u64>,
    ) -> Option<Message> {
        let side = self.by_link.get_mut(&link)?;
        if side.due.is_none_or(|at| at > cx.now.instant) || side.comparison.is_under_way() {
            return None;
        }
        if !side.push.is_idle() || cx.links.outbox(link) > OUTBOX_MAX / 2 {
            self.set_due(cx, link, AGAIN);
            return None;
        }
        let cut = cut(cx.now.wall_ms, calendar_ms);
        side.agree(cut);
        side.asking = cut;
        let range = summary(cx, side, Question::about_all(cut));
        let told = side.comparison.begin(&range, side.is_full || !cx.room.is_there());
        let told = told && !side.is_full;
        self.note(cx, link);
        Some(Message::Compare { range, told, cut, settings: cx.index.settings.digest() })
    }

    /// Goes on with what the two sides have to say to each other, while the outbox has room.
    pub(in crate::server) fn pump(&mut self, cx: &mut Context, link: Link) {
        while let Some(side) = self.by_link.get_mut(&link)
            && side.held.is_none()
            && side.may_say_more(cx.links.outbox(link))
            && let Some(theirs) = side.comparison.next_answer()
        {
            if is_whole(theirs.range.first, theirs.range.last) {
                side.held = Some(theirs);
                return self.events.push_back(ReconcileEvent::TellOneMore { link });
            }
            self.answer_range(cx, link, &theirs);
        }
        while let Some(side) = self.by_link.get_mut(&link)
            && side.may_say_more(cx.links.outbox(link))
            && let Some(theirs) = side.comparison.next()
        {
            self.compare_part(cx, link, &theirs);
        }
        self.end_round(cx, link);
    }

    /// A peer has been told of one more node: its question is answered.
    pub(in crate::server) fn go_on(&mut self, cx: &mut Context, link: Link) {
        let side = self.by_link.get_mut(&link);
        if let Some(theirs) = side.and_then(|side| side.held.take()) {
            self.answer_range(cx, link, &theirs);
        }
        self.pump(cx, link);
    }

    /// A peer has said what it has in a range that was part of an unequal one.
    fn compare_part(&mut self, cx: &mut Context, link: Link, theirs: &RangeSummary) {
        let Some(side) = self.by_link.get_mut(&link) else {
            return;
        };
        let cut = side.asking;
        let ours = summary(cx, side, Question { range: *theirs, cut });
        if is_equal(&ours, theirs) {
            return;
        }
        if theirs.count == 0 {
            self.push_range(cx, link, PushRange::all(theirs.first, theirs.last));
            return;
        }
        side.comparison.ask(&ours);
        let settings = cx.index.settings.digest();
        cx.send(link, Message::Compare { range: ours, told: false, cut, settings });
    }

    fn end_round(&mut self, cx: &mut Context, link: Link) {
        let side = self.by_link.get_mut(&link);
        let ended = side.and_then(|side| side.comparison.end_round());
        self.note(cx, link);
        // None while something of it is still to be said.
        let Some(ended) = ended.filter(|_| !seeded::is_on(Bug::CompareOnce)) else {
            return;
        };
        let delay = match ended {
            // Who began only since something was lost leaves it to the other from now on.
            Ended::Equal if Some(self.me) > cx.links.get(link).and_then(Peer::node) => return,
            Ended::Equal => RECONCILE_PERIOD,
            Ended::Unequal(times) => (AGAIN * 2_u32.pow(times.min(8))).min(RECONCILE_PERIOD),
        };
        self.set_due(cx, link, delay);
    }

    /// Copies how far a peer has told what it knows to where everybody sees it. To be called after whatever changes that.
    fn note(&self, cx: &mut Context, link: Link) {
        if let (Some(side), Some(peer)) = (self.by_link.get(&link), cx.links.get_mut(link)) {
            peer.progress = Progress {
                all: side.comparison.is_informed(),
                records: side.comparison.theirs(),
                had_much: side.comparison.had_much(),
                cut: side.agreed(),
            };
        }
    }

    /// Compares with everybody soon, since something of what was here is not.
    pub(in crate::server) fn with_all(&mut self, cx: &mut Context) {
        for link in cx.links.nodes() {
            if let Some(side) = self.by_link.get_mut(&link) {
                side.comparison.forget_before();
            }
            self.set_due(cx, link, Duration::ZERO);
        }
    }

    /// What the peers have told since is not kept: they are to tell again.
    pub(in crate::server) fn forget_told(&mut self, cx: &mut Context) {
        for link in cx.links.nodes() {
            if let Some(side) = self.by_link.get_mut(&link) {
                side.comparison.forget();
            }
            self.note(cx, link);
        }
    }

    /// Records are in the catalog for which a comparison may wait.
    pub(in crate::server) fn came(&mut self, cx: &mut Context, records: &[NewRecord]) {
        for link in cx.links.nodes() {
            if let Some(side) = self.by_link.get_mut(&link) {
                side.comparison.came(records.iter().map(|new| &new.id));
            }
            self.note(cx, link);
        }
    }

    /// What only nodes say to each other when they compare; anything else comes back.
    pub(in crate::server) fn message(
        &mut self,
        cx: &mut Context,
        link: Link,
        message: Message,
    ) -> Option<Message> {
        match message {
            Message::Compare { range, told, cut, settings } => {
                if !self.refuses(cx, link, &range, settings) {
                    self.compare(cx, link, Question { range, cut }, told);
                }
            }
            Message::SettingsDiffer => self.refused(cx, link),
            Message::Parts { first, last, ranges } => {
                self.parts_answered(cx, link, Span { first, last }, &ranges);
            }
            Message::Ids { first, last, ids } => self.ids(cx, link, Span { first, last }, ids),
            Message::Fetch { ids } => self.fetch(cx, link, ids),
            Message::Expired { records } => self.expired(cx, link, &records),
            // It asks by itself for what it lacks, when it has room.
            Message::Room { free } => {
                if let Some(side) = self.by_link.get_mut(&link) {
                    side.is_full = !free;
                }
            }
            other => return Some(other),
        }
        None
    }

    /// By what two nodes are set to they judge what has expired: as long as that differs, a comparison would bring back to one
    /// what has gone there on purpose. It is not waited for ever for who cannot know better.
    fn refuses(
        &mut self,
        cx: &mut Context,
        link: Link,
        range: &RangeSummary,
        settings: u64,
    ) -> bool {
        let is_begun = !is_whole(range.first, range.last);
        if is_begun || settings == cx.index.settings.digest() || seeded::is_on(Bug::CompareUnlike) {
            return false;
        }
        let Some(side) = self.by_link.get_mut(&link).filter(|side| side.refused < REFUSALS) else {
            return false;
        };
        side.refused += 1;
        cx.give_settings(link);
        cx.send(link, Message::SettingsDiffer);
        true
    }

    /// A peer is set to something else.
    fn refused(&mut self, cx: &mut Context, link: Link) {
        if let Some(side) =
            self.by_link.get_mut(&link).filter(|side| side.comparison.is_under_way())
        {
            side.comparison.put_off();
            cx.give_settings(link);
            self.end_round(cx, link);
        }
    }

    /// A peer asks what is here of a range, and says what it has itself. `told`: it has sent all that this node lacked.
    fn compare(&mut self, cx: &mut Context, link: Link, question: Question, told: bool) {
        if let Some(side) = self.by_link.get_mut(&link) {
            let cut = side.answer_at(cx.now, question.cut);
            let (question, range) = (Question { cut, ..question }, question.range);
            if is_whole(range.first, range.last) {
                let whole = summary(cx, side, Question::about_all(cut));
                side.comparison.set_theirs(whole.count, range.count);
            }
            if told && !side.comparison.is_informed() {
                // What it has sent may not have been checked, or is not durable, yet.
                side.comparison.told(cx.coming.ids());
            }
            side.comparison.question(question);
        }
        self.note(cx, link);
        self.pump(cx, link);
    }

    fn answer_range(&mut self, cx: &mut Context, link: Link, theirs: &Question) {
        // None if it has just ended.
        let Some(side) = self.by_link.get_mut(&link) else {
            return;
        };
        let (first, last) = (theirs.range.first, theirs.range.last);
        let ours = summary(cx, side, *theirs);
        let parts = match is_equal(&ours, &theirs.range) || ours.count <= COMPARE_IDS {
            true => Vec::new(),
            false => parts(cx, side, *theirs),
        };
        let ranges = if is_equal(&ours, &theirs.range) {
            if is_whole(first, last) {
                side.comparison.inform();
            }
            parts
        } else if parts.len() <= 1 {
            let ids = ids_of(cx, side, *theirs);
            return cx.send(link, Message::Ids { first, last, ids });
        } else if theirs.range.count == 0 && self.push_range(cx, link, PushRange::all(first, last))
        {
            vec![ours]
        } else {
            parts
        };
        cx.send(link, Message::Parts { first, last, ranges });
    }

    /// A peer answers with the sums of a range's parts; with none if it has what we have.
    fn parts_answered(
        &mut self,
        cx: &mut Context,
        link: Link,
        span: Span,
        ranges: &[RangeSummary],
    ) {
        // None if it has just ended.
        let Some(side) = self.by_link.get_mut(&link) else {
            return;
        };
        if ranges.is_empty() {
            side.comparison.answered_equal(span);
        } else {
            let mut fingerprint = Hash::default();
            for range in ranges {
                xor_into(&mut fingerprint, &range.fingerprint.0);
            }
            let count = ranges.iter().fold(0_u64, |sum, range| sum.saturating_add(range.count));
            if side.comparison.answered(span, (count, fingerprint)) {
                side.comparison.add_parts(span, ranges);
            }
        }
        self.pump(cx, link);
    }

    /// A peer lists its ids of a range: what it lacks is sent, what we lack is asked for.
    fn ids(&mut self, cx: &mut Context, link: Link, span: Span, theirs: Vec<RecordId>) {
        let mut fingerprint = Hash::default();
        for id in &theirs {
            xor_into(&mut fingerprint, &id.0);
        }
        // None if it has just ended.
        let Some(side) = self.by_link.get_mut(&link) else {
            return;
        };
        if !side.comparison.answered(span, (theirs.len() as u64, fingerprint)) {
            return self.pump(cx, link);
        }
        let cut = side.asking;
        let lacks = |id: &&RecordId| !cx.knows(id) && !side.counts(cx, id, cut);
        let lacking: Vec<_> = theirs.iter().filter(lacks).copied().collect();
        side.comparison.lack(&lacking);
        if !lacking.is_empty() {
            cx.send_all(link, Message::fetch(&lacking));
        }
        let mut except = theirs;
        except.sort_unstable();
        let lacks = |id: &RecordId| except.binary_search(id).is_err();
        let Span { first, last } = span;
        let held = cx.index.catalog.range_at(cut, first, last).map(Entry::id).any(|id| lacks(&id));
        let expired = cx.index.catalog.expired_since(cut, first, last).any(|it| lacks(&it.id));
        if held || expired {
            self.push_range(cx, link, PushRange::all_but(except, first, last));
        }
        self.pump(cx, link);
    }

    /// A peer had these, and cannot send them.
    fn expired(&mut self, cx: &mut Context, link: Link, records: &[ExpiredRecord]) {
        if let Some(side) = self.by_link.get_mut(&link) {
            side.note_expired(records);
            side.comparison.came(records.iter().map(|expired| &expired.record));
        }
        self.note(cx, link);
    }

    /// The records are read: their small blocks are next.
    pub(in crate::server) fn records_read(
        &mut self,
        cx: &mut Context,
        link: Link,
        ids: Vec<RecordId>,
        items: Vec<Result<Bytes, ReadError>>,
    ) {
        let mut batch = Batch { items: Vec::new(), owners: Vec::new() };
        let mut blocks = Vec::new();
        let mut bytes = 0;
        let mut unread = false;
        for (id, item) in ids.into_iter().zip(items) {
            let record = match item {
                Ok(record) => record,
                Err(ReadError::Gone | ReadError::Damaged) => {
                    cx.index.damage(&id);
                    self.events.push_back(ReconcileEvent::RecordDamaged { record: id });
                    continue;
                }
                // Another comparison finds that the peer lacks it.
                Err(ReadError::Disk(_)) => {
                    unread = true;
                    continue;
                }
            };
            if let Some(block) = small_block_of(&cx.index.holdings, &record)
                && bytes + block.place.length as usize <= BATCH_BYTES
            {
                bytes += block.place.length as usize;
                blocks.push(block);
                batch.owners.push(batch.items.len());
            }
            batch.items.push(PushedRecord { record, block: Bytes::new() });
        }
        if unread {
            self.dropped(cx, link, UNREAD_AGAIN);
        }
        if blocks.is_empty() {
            self.blocks_read(cx, link, batch, Vec::new());
        } else {
            cx.read_log(blocks, ReadFor::PushBlocks { link, batch });
        }
    }

    /// All is read and goes out. A block that could not be read is fetched by the peer like any other.
    pub(in crate::server) fn blocks_read(
        &mut self,
        cx: &mut Context,
        link: Link,
        mut batch: Batch,
        blocks: Vec<Result<Bytes, ReadError>>,
    ) {
        for (owner, block) in batch.owners.into_iter().zip(blocks) {
            if let Ok(block) = block {
                batch.items[owner].block = block;
            }
        }
        cx.send_records(link, batch.items);
        if let Some(side) = self.by_link.get_mut(&link) {
            side.push.reading = false;
        }
        self.pump_push(cx, link);
        self.pump(cx, link);
    }

    /// What is kept for a connection, in memory.
    pub(in crate::server) fn held_bytes(&self, link: Link) -> usize {
        self.by_link.get(&link).map_or(0, Side::held_bytes)
    }
}
