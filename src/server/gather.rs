//! Gatherings: questions that several peers are asked at once, for a client that waits.
//!
//! Invariant: a gathering ends when all have answered, or `PEER_SILENCE` after it began.

use super::entry::Flag;
use super::lane::NewRecord;
use super::output::Link;
use super::peers::Ask;
use super::reads::{Asked, Heads, ReadFor};
use super::walk::Purpose;
use super::{FileServer, Timer};
use crate::crypto::keys::record_id;
use crate::ids::{NameId, RecordId, Space};
use crate::limits::{MESSAGE_PEERS_MAX, PARENTS_MAX, PEER_SILENCE};
use crate::planted::{self, Bug};
use crate::time::Now;
use crate::wire::message::{Message, PeerAddress, PushedRecord, Request};
use crate::wire::record::Record;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
enum Question {
    /// Which versions has this name?
    Head { name: NameId },
    /// Who holds this record and all that it names? Said by so many, of whom as many are named as an answer holds.
    Holders { count: u32, holders: Vec<PeerAddress> },
}

#[derive(Debug)]
struct Gather {
    link: Link,
    request: Request,
    question: Question,
    waiting: BTreeSet<Link>,
    /// Records that came with answers and are on their way into the catalog; or the walk through this node's own.
    arriving: BTreeSet<RecordId>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Gathers {
    by_id: BTreeMap<u64, Gather>,
}

impl FileServer {
    /// A client, or a peer on behalf of one, asks for a name's versions.
    pub(super) fn head(
        &mut self,
        now: Now,
        (link, request): (Link, Request),
        (space, name): (Space, NameId),
        relay: bool,
    ) {
        let known = self.is_had(&name);
        let peers = self.node_peers().filter(|(_, peer)| !peer.silent);
        let may_know_more = peers.filter(|(_, peer)| !known || !peer.comparison.is_informed());
        let waiting: BTreeSet<Link> = may_know_more.map(|(link, _)| *link).collect();
        if !relay || waiting.is_empty() {
            return self.asked(now, (link, request), Asked::Head(name));
        }
        let question = Question::Head { name };
        let id = self.begin_gather(now, (link, request), question, waiting.clone());
        for peer in waiting {
            let request = self.ask(peer, Ask::Gather(id));
            self.send(peer, Message::Head { request, space, name, relay: false });
        }
    }

    pub(super) fn answer_head(&mut self, now: Now, (link, request): (Link, Request), name: NameId) {
        let versions = self.catalog.heads(&name, PARENTS_MAX);
        let all = self.catalog.heads_summary(&name);
        let future = self.catalog.future(&name, PARENTS_MAX);
        match self.catalog.greatest(&name) {
            Some(entry) if entry.is(Flag::Damaged) => {
                let clock = self.clock.read(now.wall_ms);
                self.reply(link, Message::DamagedHeads { request, clock, versions, all, future });
            }
            Some(entry) => {
                let (place, record) = (entry.place(), entry.id());
                let heads = Heads { versions, all, future };
                let asker = (link, request);
                let reason = ReadFor::Head { asker, name, record, heads };
                self.read_answer(link, vec![place], reason);
            }
            None => {
                let clock = self.clock.read(now.wall_ms);
                let shown = None;
                let heads = Message::Heads { request, clock, versions, all, future, shown };
                self.reply(link, heads);
            }
        }
    }

    /// Who holds a record whole? Asked of everybody, just now.
    pub(super) fn holders(&mut self, now: Now, (link, request): (Link, Request), record: RecordId) {
        let waiting: BTreeSet<Link> = self.node_links().into_iter().collect();
        let question = Question::Holders { count: 0, holders: Vec::new() };
        let id = self.begin_gather(now, (link, request), question, waiting.clone());
        if let Some(gather) = self.gathers.by_id.get_mut(&id) {
            gather.arriving.insert(record);
        }
        for peer in waiting {
            let request = self.ask(peer, Ask::Gather(id));
            self.send(peer, Message::Holds { request, record });
        }
        self.look(now, record, Purpose::Gather(id));
    }

    fn begin_gather(
        &mut self,
        now: Now,
        (link, request): (Link, Request),
        question: Question,
        waiting: BTreeSet<Link>,
    ) -> u64 {
        let id = self.serial();
        let arriving = BTreeSet::new();
        self.gathers.by_id.insert(id, Gather { link, request, question, waiting, arriving });
        self.after(now, PEER_SILENCE, Timer::Gather(id));
        id
    }

    /// A peer says which versions it knows.
    pub(super) fn heads_answered(&mut self, now: Now, link: Link, id: u64, shown: Option<Bytes>) {
        let Some(gather) = self.gathers.by_id.get_mut(&id) else {
            return;
        };
        gather.waiting.remove(&link);
        if let (Some(bytes), Question::Head { name }) = (shown, &gather.question)
            && Record::decode(&bytes).is_ok_and(|record| record.name == *name)
        {
            let record = record_id(&bytes);
            if !self.catalog.contains(&record) {
                gather.arriving.insert(record);
                let item = PushedRecord { record: bytes, block: Bytes::new() };
                self.records(now, link, vec![item]);
            }
        }
        self.finish_gather(now, id);
    }

    /// A peer says whether it holds a record whole.
    pub(super) fn holds_answered(&mut self, now: Now, link: Link, id: u64, holds: bool) {
        let node = self.peers.get(&link).and_then(super::peers::Peer::node);
        let Some(gather) = self.gathers.by_id.get_mut(&id) else {
            return;
        };
        gather.waiting.remove(&link);
        if let (Question::Holders { count, holders }, true, Some(node)) =
            (&mut gather.question, holds, node)
        {
            *count = count.saturating_add(1);
            if holders.len() < MESSAGE_PEERS_MAX {
                holders.push(PeerAddress { node, address: self.roster.address_of(&node) });
            }
        }
        self.finish_gather(now, id);
    }

    /// This node has looked whether it holds the record whole itself.
    pub(super) fn gather_held_here(&mut self, now: Now, id: u64, holds: bool) {
        let Some(gather) = self.gathers.by_id.get_mut(&id) else {
            return;
        };
        gather.arriving.clear();
        if let (Question::Holders { count, holders }, true) = (&mut gather.question, holds) {
            *count = count.saturating_add(1);
            let address = self.setup.addresses.first().cloned().unwrap_or_default();
            holders.insert(0, PeerAddress { node: self.setup.node, address });
        }
        self.finish_gather(now, id);
    }

    /// Records have become durable that a gathering may wait for.
    pub(super) fn gathered_records(&mut self, now: Now, records: &[NewRecord]) {
        if self.gathers.by_id.is_empty() {
            return;
        }
        let mut ready = Vec::new();
        for (id, gather) in &mut self.gathers.by_id {
            let before = gather.arriving.len();
            for new in records {
                gather.arriving.remove(&new.id);
            }
            if gather.arriving.len() < before {
                ready.push(*id);
            }
        }
        for id in ready {
            self.finish_gather(now, id);
        }
    }

    pub(super) fn gather_timeout(&mut self, now: Now, id: u64) {
        let Some(gather) = self.gathers.by_id.get_mut(&id) else {
            return;
        };
        gather.arriving.clear();
        for link in std::mem::take(&mut gather.waiting) {
            if let Some(peer) = self.peers.get_mut(&link) {
                peer.silent = true;
            }
        }
        self.finish_gather(now, id);
    }

    pub(super) fn gather_link_closed(&mut self, now: Now, link: Link) {
        self.gathers.by_id.retain(|_, gather| gather.link != link);
        let by_id = self.gathers.by_id.iter_mut();
        let ready: Vec<_> =
            by_id.filter_map(|(id, gather)| gather.waiting.remove(&link).then_some(*id)).collect();
        for id in ready {
            self.finish_gather(now, id);
        }
    }

    /// Answers, if nobody is waited for any more. A name that was not known here is answered for by the first who knows it.
    fn finish_gather(&mut self, now: Now, id: u64) {
        let Some(gather) = self.gathers.by_id.get(&id) else {
            return;
        };
        let found = match &gather.question {
            Question::Head { name } => !self.may_be_older(name, &gather.waiting),
            Question::Holders { .. } => false,
        };
        if !gather.arriving.is_empty() || !(gather.waiting.is_empty() || found) {
            return;
        }
        let Some(gather) = self.gathers.by_id.remove(&id) else {
            return;
        };
        let asker = (gather.link, gather.request);
        match gather.question {
            Question::Head { name } => self.asked(now, asker, Asked::Head(name)),
            Question::Holders { count, holders } => {
                let fitting = u32::try_from(holders.len()).unwrap_or(u32::MAX);
                let count = if planted::is_on(Bug::CountWhatFits) { fitting } else { count };
                self.reply(asker.0, Message::holders_are(asker.1, count, holders));
            }
        }
    }

    /// Whether more answers could still tell of a greater version.
    fn may_be_older(&self, name: &NameId, waiting: &BTreeSet<Link>) -> bool {
        let mut peers = waiting.iter().filter_map(|link| self.peers.get(link));
        !self.is_had(name) || peers.any(|peer| !peer.comparison.is_informed())
    }

    /// Whether the greatest version of a name that is known here can be read.
    fn is_had(&self, name: &NameId) -> bool {
        self.catalog.greatest(name).is_some_and(|entry| !entry.is(Flag::Damaged))
    }
}
