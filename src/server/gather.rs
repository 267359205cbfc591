//! Gatherings: questions that several peers are asked at once, for a client that waits.
//!
//! Invariant: a gathering ends when all have answered, or `PEER_SILENCE` after it began.

use super::FileServer;
use super::ask::Ask;
use super::asker::Asker;
use super::closing::Closing;
use super::entry::{Entry, Flag};
use super::gathers::{Passed, Question};
use super::output::Link;
use super::peers::Peer;
use super::reads::{Asked, Heads, ReadFor};
use super::timers::Timer;
use super::walk::Purpose;
use super::work::{Check, CheckFor, Checked};
use super::write::NewRecord;
use crate::crypto::keys::record_id;
use crate::ids::{NameId, RecordId, Space};
use crate::limits::{MESSAGE_PEERS_MAX, PARENTS_MAX, PEER_SILENCE};
use crate::planted::{self, Bug};
use crate::time::{Now, latest_credible};
use crate::wire::log_damage::LogDamage;
use crate::wire::message::{Message, PeerAddress, PushedRecord, Reason, Request};
use crate::wire::record::{Record, RecordKind};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};

/// What is said of a name of which a peer has shown a version that could not be kept.
const UNKEPT: &str =
    "another node has a newer version, which could not be stored here now; try again";

impl FileServer {
    /// A client, or a peer on behalf of one, asks for a name's versions.
    pub(super) fn head(
        &mut self,
        now: Now,
        Asker { link, request }: Asker,
        (space, name): (Space, NameId),
        relay: bool,
    ) {
        let known = self.is_had(&name);
        let peers = self.cx.links.node_peers().filter(|(_, peer)| !peer.silent);
        let may_know_more = peers.filter(|(_, peer)| !known || !self.is_informed_by(peer));
        let waiting: Vec<Link> = may_know_more.map(|(link, _)| link).collect();
        if !relay || waiting.is_empty() {
            return self.asked(now, Asker { link, request }, Asked::Head(name));
        }
        let id =
            self.begin_gather(now, Asker { link, request }, Question::Head { name, passed: None });
        for peer in waiting {
            let request = self.ask_for_gather(id, peer);
            self.send(peer, Message::Head { request, space, name, relay: false });
        }
    }

    pub(super) fn answer_head(&mut self, Asker { link, request }: Asker, name: NameId) {
        let kept = self.cx.index.catalog.greatest(&name).map(Entry::version);
        if self.cx.index.shown.is_newer(&name, kept) && !planted::is_on(Bug::TakeBackShown) {
            return self.answer_unkept(Asker { link, request }, name);
        }
        let versions = self.cx.index.catalog.heads(&name, PARENTS_MAX);
        let all = self.cx.index.catalog.heads_summary(&name);
        let future = self.cx.index.catalog.future(&name, PARENTS_MAX);
        match self.cx.index.catalog.greatest(&name) {
            Some(entry) if entry.is(Flag::Damaged) => {
                let clock = self.cx.clock();
                let kept = true;
                let damaged = Message::DamagedHeads { request, clock, versions, all, future, kept };
                self.reply(link, damaged);
            }
            Some(entry) => {
                let (place, record) = (entry.place(), entry.id());
                let heads =
                    Heads { versions, all, future, kept: true, log_damage: LogDamage::default() };
                let asker = Asker { link, request };
                let reason = ReadFor::Head { asker, name, record, heads };
                self.read_answer(link, vec![place], reason);
            }
            None => {
                let heads =
                    Heads { versions, all, future, kept: true, log_damage: LogDamage::default() };
                self.reply_heads(Asker { link, request }, heads, None);
            }
        }
    }

    /// A version was shown here that is not kept, and that no node in reach has any more. Whoever writes supersedes it.
    fn answer_unkept(&mut self, Asker { link, request }: Asker, name: NameId) {
        let mut versions = self.cx.index.catalog.heads(&name, PARENTS_MAX - 1);
        if let Some(shown) = self.cx.index.shown.version(&name) {
            versions.insert(0, shown);
        }
        let all = self.cx.index.catalog.heads_summary(&name);
        let future = self.cx.index.catalog.future(&name, PARENTS_MAX);
        let (clock, kept) = (self.cx.clock(), false);
        let heads = Message::DamagedHeads { request, clock, versions, all, future, kept };
        self.reply(link, heads);
    }

    /// Who holds a record whole? Asked of everybody, just now.
    pub(super) fn holders(&mut self, now: Now, Asker { link, request }: Asker, record: RecordId) {
        let question = Question::Holders { count: 0, holders: Vec::new() };
        let id = self.begin_gather(now, Asker { link, request }, question);
        for peer in self.cx.links.nodes() {
            let request = self.ask_for_gather(id, peer);
            self.send(peer, Message::Holds { request, record });
        }
        self.look(now, record, Purpose::Gather(id));
    }

    fn begin_gather(&mut self, now: Now, asker: Asker, question: Question) -> u64 {
        let id = self.serial();
        self.gathers.begin(id, asker, question);
        self.after(now, PEER_SILENCE, Timer::Gather(id));
        id
    }

    fn ask_for_gather(&mut self, id: u64, peer: Link) -> Request {
        let request = self.ask(peer, Ask::Gather(id));
        self.gathers.wait(id, peer, request);
        request
    }

    /// A peer says which versions it knows, and shows the greatest if it has any.
    pub(super) fn heads_answered(
        &mut self,
        now: Now,
        link: Link,
        id: u64,
        told: Option<(Heads, Bytes)>,
    ) {
        let Some(question) = self.gathers.answered(id, link) else {
            return;
        };
        if let (Some((heads, bytes)), Question::Head { name, .. }) = (told, question)
            && let Ok(record) = Record::decode(&bytes)
            && record.name == *name
            && !self.cx.index.catalog.contains(&record_id(&bytes))
        {
            self.gathers.await_record(id, record_id(&bytes));
            if self.is_shown_only(now, &record, &bytes) {
                let passed = Passed::new(record.version, heads, bytes.clone());
                let reason = CheckFor::Passed { link, gather: id, passed };
                self.cx.check(reason, vec![Check::Signature(bytes)]);
            } else {
                let record = record_id(&bytes);
                let item = PushedRecord { record: bytes, block: Bytes::new() };
                self.records(now, link, vec![item]);
                if !self.write.knows(&self.cx, &record) {
                    // It was left aside, and does not come.
                    self.gathers.looked_at(id, &record);
                }
            }
        }
        self.finish_gather(now, id);
    }

    /// Whether a record that a peer shows is not to be kept, for want of room, and may be shown to who asks here.
    fn is_shown_only(&mut self, now: Now, record: &Record, bytes: &Bytes) -> bool {
        let is_credible =
            latest_credible(now.wall_ms).is_none_or(|latest| record.version.stamp <= latest);
        record.kind == RecordKind::File
            && is_credible
            && self.cx.index.grants.allow(&record.signer)
            && !self.write.knows(&self.cx, &record_id(bytes))
            && (!self.room.is_there() || !self.has_room_for_records(now, bytes.len() as u64))
            && !planted::is_on(Bug::ServeOwnOnly)
    }

    /// A worker has looked who signed what a peer shows.
    pub(super) fn passed_checked(
        &mut self,
        now: Now,
        (link, id): (Link, u64),
        passed: Passed,
        found: &[Checked],
    ) {
        let is_signed = found == [Checked::Signed];
        let question = self.gathers.looked_at(id, &record_id(&passed.shown));
        if let (Some(Question::Head { passed: best, .. }), true) = (question, is_signed)
            && best.as_ref().is_none_or(|best| best.version < passed.version)
        {
            *best = Some(passed);
        }
        if !is_signed {
            self.close(now, link, Closing::WrongSignature);
        }
        self.finish_gather(now, id);
    }

    /// A peer says whether it holds a record whole.
    pub(super) fn holds_answered(&mut self, now: Now, link: Link, id: u64, holds: bool) {
        let node = self.cx.links.get(link).and_then(Peer::node);
        let Some(question) = self.gathers.answered(id, link) else {
            return;
        };
        if let (Question::Holders { count, holders }, true, Some(node)) = (question, holds, node) {
            *count = count.saturating_add(1);
            if holders.len() < MESSAGE_PEERS_MAX {
                holders.push(PeerAddress { node, address: self.roster.address_of(&node) });
            }
        }
        self.finish_gather(now, id);
    }

    /// This node has looked whether it holds the record whole itself.
    pub(super) fn gather_held_here(&mut self, now: Now, id: u64, holds: bool) {
        let Some(question) = self.gathers.looked(id) else {
            return;
        };
        if let (Question::Holders { count, holders }, true) = (question, holds) {
            *count = count.saturating_add(1);
            let address = self.setup.addresses.first().cloned().unwrap_or_default();
            holders.insert(0, PeerAddress { node: self.setup.node, address });
        }
        self.finish_gather(now, id);
    }

    /// Records have become durable that a gathering may wait for.
    pub(super) fn gathered_records(&mut self, now: Now, records: &[NewRecord]) {
        for new in records {
            for id in self.gathers.came(&new.id) {
                self.finish_gather(now, id);
            }
        }
    }

    /// Records could not be made durable: what is kept is older than they are.
    pub(super) fn gathered_in_vain(&mut self, now: Now, records: &[NewRecord]) {
        for new in records {
            for id in self.gathers.came(&new.id) {
                self.gathers.lose(id);
                self.finish_gather(now, id);
            }
        }
    }

    pub(super) fn gather_timeout(&mut self, now: Now, id: u64) {
        let asks = self.gathers.give_up(id);
        for link in asks.keys() {
            if let Some(peer) = self.cx.links.get_mut(*link) {
                peer.silent = true;
            }
        }
        self.forget_asks(asks);
        self.finish_gather(now, id);
    }

    /// What they say to it is of no interest any more, and who never answers must not be remembered for it.
    fn forget_asks(&mut self, asks: BTreeMap<Link, Request>) {
        for (link, request) in asks {
            self.answered_late(link, request);
        }
    }

    /// The connection is gone: what it asked, and what it was asked.
    pub(super) fn gather_link_closed(
        &mut self,
        now: Now,
        link: Link,
        asks: &HashMap<Request, Ask>,
    ) {
        for id in self.gathers.of_asker(link) {
            if let Some(gather) = self.gathers.end(id) {
                self.forget_asks(gather.into_parts().1);
            }
        }
        let mut asked: Vec<u64> = asks.values().filter_map(Ask::gather).collect();
        asked.sort_unstable();
        for id in asked {
            if self.gathers.answered(id, link).is_some() {
                self.finish_gather(now, id);
            }
        }
    }

    /// Answers, if nobody is waited for any more. A name that was not known here is answered for by the first who knows it.
    fn finish_gather(&mut self, now: Now, id: u64) {
        let Some(gather) = self.gathers.get(id) else {
            return;
        };
        let found = match &gather.question {
            Question::Head { name, .. } => !self.may_be_older(name, gather.waiting()),
            Question::Holders { .. } => false,
        };
        if !gather.is_settled() || !(gather.waiting().next().is_none() || found) {
            return;
        }
        let Some(gather) = self.gathers.end(id) else {
            return;
        };
        let asker = Asker { link: gather.link, request: gather.request };
        let is_lost = gather.is_lost && !planted::is_on(Bug::ShowDespiteNewer);
        let (question, asks) = gather.into_parts();
        self.forget_asks(asks);
        match question {
            Question::Head { name, passed: Some(passed) } if self.is_older(&name, &passed) => {
                self.cx.index.shown.note(name, passed.version);
                self.reply_heads(asker, passed.heads, Some(passed.shown));
            }
            Question::Head { .. } if is_lost => {
                self.refuse(asker.link, asker.request, Reason::Unavailable, UNKEPT);
            }
            Question::Head { name, .. } => self.asked(now, asker, Asked::Head(name)),
            Question::Holders { count, holders } => {
                let fitting = u32::try_from(holders.len()).unwrap_or(u32::MAX);
                let count = if planted::is_on(Bug::CountWhatFits) { fitting } else { count };
                self.reply(asker.link, Message::holders_are(asker.request, count, holders));
            }
        }
    }

    /// Whether more answers could still tell of a greater version.
    fn may_be_older(&self, name: &NameId, waiting: impl Iterator<Item = Link>) -> bool {
        let mut peers = waiting.filter_map(|link| self.cx.links.get(link));
        !self.is_had(name) || peers.any(|peer| !self.is_informed_by(peer))
    }

    /// Whether a peer has told all that it knows. Without room for it that is not kept.
    fn is_informed_by(&self, peer: &Peer) -> bool {
        peer.comparison.is_informed() && self.room.is_there()
    }

    /// Whether what is known here of a name is older than what a peer has shown, or damaged.
    fn is_older(&self, name: &NameId, passed: &Passed) -> bool {
        let greatest = self.cx.index.catalog.greatest(name);
        greatest.is_none_or(|entry| {
            let is_lost = entry.version() == passed.version && entry.is(Flag::Damaged);
            entry.version() < passed.version || is_lost
        })
    }

    /// Whether the greatest version of a name that is known here can be read, and is kept.
    fn is_had(&self, name: &NameId) -> bool {
        let greatest =
            self.cx.index.catalog.greatest(name).filter(|entry| !entry.is(Flag::Damaged));
        greatest.is_some_and(|entry| !self.cx.index.shown.is_newer(name, Some(entry.version())))
    }
}
