//! Fan-out queries: questions that several peers are asked at once, for a client that waits.
//!
//! Invariant: a query ends when all have answered, or `PEER_TIMEOUT` after it began.

use super::event::{Event, Inner};
use super::queries::{Passed, Queries, Question};
use super::replies::{Asked, Heads};
use crate::crypto::keys::record_id;
use crate::ids::{NameId, RecordId, Space};
use crate::index::entry::{Entry, Flag};
use crate::limits::{MESSAGE_PEERS_MAX, PEER_TIMEOUT};
use crate::seeded::{self, Bug};
use crate::server::ask::Ask;
use crate::server::asker::Asker;
use crate::server::closing::Closing;
use crate::server::context::Context;
use crate::server::links::Peer;
use crate::server::output::Link;
use crate::server::timers::Timer;
use crate::server::work::{Check, CheckFor, Checked};
use crate::time::latest_credible;
use crate::wire::message::{Message, PeerAddress, Reason, Request};
use crate::wire::record::{Record, RecordKind};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// A query's number, which no other has.
pub(in crate::server) type QueryId = u64;

/// What is said of a name of which a peer has shown a version that could not be kept.
const UNKEPT: &str =
    "another node has a newer version, which could not be stored here now; try again";

/// The versions of a name, as a peer tells them, and the record of the greatest.
#[derive(Debug)]
pub(in crate::server) struct Told {
    pub(in crate::server) heads: Heads,
    pub(in crate::server) shown: Bytes,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct FanOut {
    queries: Queries,
    next_id: QueryId,
    pub(super) events: VecDeque<Inner>,
}

impl FanOut {
    /// A client, or a peer on behalf of one, asks for a name's versions.
    pub(super) fn head(
        &mut self,
        cx: &mut Context,
        asker: Asker,
        space: Space,
        name: NameId,
        relay: bool,
    ) {
        let known = is_had(cx, &name);
        let peers = cx.links.node_peers().filter(|(_, peer)| !peer.unresponsive);
        let may_know_more = peers.filter(|(_, peer)| !known || !is_informed_by(cx, peer));
        let waiting: Vec<Link> = may_know_more.map(|(link, _)| link).collect();
        if !relay || waiting.is_empty() {
            return self.reply(asker, name);
        }
        let id = self.begin(cx, asker, Question::Head { name, passed: None });
        for peer in waiting {
            let request = self.ask(cx, id, peer);
            cx.send(peer, Message::Head { request, space, name, relay: false });
        }
    }

    /// Who holds a record whole? Asked of everybody, just now.
    pub(super) fn holders(&mut self, cx: &mut Context, asker: Asker, record: RecordId) {
        let query = self.begin(cx, asker, Question::Holders { count: 0, holders: Vec::new() });
        for peer in cx.links.nodes() {
            let request = self.ask(cx, query, peer);
            cx.send(peer, Message::Holds { request, record });
        }
        self.tell(Event::Look { query, record });
    }

    fn begin(&mut self, cx: &mut Context, asker: Asker, question: Question) -> QueryId {
        self.next_id += 1;
        self.queries.begin(self.next_id, asker, question);
        cx.after(PEER_TIMEOUT, Timer::Query(self.next_id));
        self.next_id
    }

    fn ask(&mut self, cx: &mut Context, id: QueryId, peer: Link) -> Request {
        let request = cx.links.ask(peer, Ask::Query(id));
        self.queries.wait(id, peer, request);
        request
    }

    /// A peer says which versions it knows, and shows the greatest if it has any.
    pub(super) fn heads_answered(
        &mut self,
        cx: &mut Context,
        link: Link,
        id: QueryId,
        told: Option<Told>,
    ) {
        // None if it has been answered without this peer.
        let Some(question) = self.queries.answered(id, link) else {
            return;
        };
        if let (Some(Told { heads, shown }), Question::Head { name, .. }) = (told, question)
            && let Ok(record) = Record::decode(&shown)
            && record.name == *name
            && !cx.index.catalog.contains(&record_id(&shown))
        {
            let is_known = cx.knows(&record_id(&shown));
            self.queries.await_record(id, record_id(&shown));
            if !is_known && self.is_shown_only(cx, &record, shown.len() as u64) {
                let passed = Passed::new(record.version, heads, shown.clone());
                let reason = CheckFor::Passed { link, query: id, passed };
                cx.check(reason, vec![Check::Signature(shown)]);
            } else {
                return self.tell(Event::Shown { query: id, link, record: shown });
            }
        }
        self.finish(cx, id);
    }

    /// Whether a record that a peer shows is not to be kept, for want of room, and may be shown to who asks here.
    fn is_shown_only(&mut self, cx: &mut Context, record: &Record, bytes: u64) -> bool {
        let is_credible =
            latest_credible(cx.now.wall_ms).is_none_or(|latest| record.version.stamp <= latest);
        if record.kind != RecordKind::File
            || !is_credible
            || !cx.index.grants.allow(&record.signer)
            || seeded::is_on(Bug::ServeOwnOnly)
        {
            return false;
        }
        if !cx.room.is_there() {
            return true;
        }
        let is_full = !cx.has_room(bytes);
        if is_full {
            self.tell(Event::NoRoom { bytes });
        }
        is_full
    }

    /// What a peer has shown was taken in: it comes into the catalog, or was left aside.
    pub(super) fn taken(&mut self, cx: &mut Context, id: QueryId, record: RecordId, comes: bool) {
        if !comes {
            self.queries.looked_at(id, &record);
        }
        self.finish(cx, id);
    }

    /// A worker has looked who signed what a peer shows.
    pub(super) fn passed_checked(
        &mut self,
        cx: &mut Context,
        link: Link,
        id: QueryId,
        passed: Passed,
        found: &[Checked],
    ) {
        let is_signed = found == [Checked::Signed];
        let question = self.queries.looked_at(id, &record_id(&passed.shown));
        if let (Some(Question::Head { passed: best, .. }), true) = (question, is_signed)
            && best.as_ref().is_none_or(|best| best.version < passed.version)
        {
            *best = Some(passed);
        }
        if !is_signed {
            self.tell(Event::Broken { link, why: Closing::WrongSignature });
        }
        self.finish(cx, id);
    }

    /// A peer says whether it holds a record whole: if so, who it is and where.
    pub(super) fn holds_answered(
        &mut self,
        cx: &mut Context,
        link: Link,
        id: QueryId,
        holder: Option<PeerAddress>,
    ) {
        // None if it has been answered without this peer.
        let Some(question) = self.queries.answered(id, link) else {
            return;
        };
        if let (Question::Holders { count, holders }, Some(holder)) = (question, holder) {
            *count = count.saturating_add(1);
            if holders.len() < MESSAGE_PEERS_MAX {
                holders.push(holder);
            }
        }
        self.finish(cx, id);
    }

    /// The same of this node itself.
    pub(super) fn held_here(&mut self, cx: &mut Context, id: QueryId, holder: Option<PeerAddress>) {
        // None if who asked has gone.
        let Some(question) = self.queries.looked(id) else {
            return;
        };
        if let (Question::Holders { count, holders }, Some(holder)) = (question, holder) {
            *count = count.saturating_add(1);
            holders.insert(0, holder);
        }
        self.finish(cx, id);
    }

    /// A record has become durable that a query may wait for; or could not, so that what is kept is older than it is. Those
    /// that may be finished.
    pub(super) fn came(&mut self, record: &RecordId, durable: bool) -> Vec<QueryId> {
        let waited = self.queries.came(record);
        if !durable {
            waited.iter().for_each(|id| self.queries.lose(*id));
        }
        waited
    }

    /// Whoever has not answered is not waited for any more.
    pub(super) fn timeout(&mut self, cx: &mut Context, id: QueryId) {
        let asks = self.queries.give_up(id);
        for link in asks.keys() {
            cx.links.set_unresponsive(*link);
        }
        forget_asks(cx, asks);
        self.finish(cx, id);
    }

    /// The connection is gone: what it asked, and what it was asked. Those that may be finished.
    pub(super) fn link_closed(
        &mut self,
        cx: &mut Context,
        link: Link,
        asks: &HashMap<Request, Ask>,
    ) -> Vec<QueryId> {
        for id in self.queries.of_asker(link) {
            if let Some(query) = self.queries.end(id) {
                forget_asks(cx, query.into_parts().1);
            }
        }
        let mut asked: Vec<QueryId> = asks.values().filter_map(Ask::query).collect();
        asked.sort_unstable();
        asked.retain(|id| self.queries.answered(*id, link).is_some());
        asked
    }

    /// Answers, if nobody is waited for any more. A name that was not known here is answered for by the first who knows it.
    pub(super) fn finish(&mut self, cx: &mut Context, id: QueryId) {
        // None if it is answered already.
        let Some(query) = self.queries.get(id) else {
            return;
        };
        let found = match &query.question {
            Question::Head { name, .. } => !may_be_older(cx, name, query.waiting()),
            Question::Holders { .. } => false,
        };
        if !query.is_settled() || !(query.waiting().next().is_none() || found) {
            return;
        }
        let query = self.queries.end(id).expect("it has just been found");
        let asker = query.asker;
        let is_lost = query.is_lost && !seeded::is_on(Bug::ShowDespiteNewer);
        let (question, asks) = query.into_parts();
        forget_asks(cx, asks);
        match question {
            Question::Head { name, passed: Some(passed) } if is_older(cx, &name, &passed) => {
                cx.index.shown.note(name, passed.version);
                passed.heads.reply(cx, asker, Some(passed.shown));
            }
            Question::Head { .. } if is_lost => cx.refuse(asker, Reason::Unavailable, UNKEPT),
            Question::Head { name, .. } => self.reply(asker, name),
            Question::Holders { count, holders } => {
                let fitting = u32::try_from(holders.len()).unwrap_or(u32::MAX);
                let count = if seeded::is_on(Bug::CountWhatFits) { fitting } else { count };
                cx.reply(asker.link, Message::holders_are(asker.request, count, holders));
            }
        }
    }

    /// The versions of a name are told as they are known here.
    fn reply(&mut self, asker: Asker, name: NameId) {
        self.events.push_back(Inner::Reply(asker, Asked::Head(name)));
    }

    fn tell(&mut self, event: Event) {
        self.events.push_back(Inner::Out(event));
    }
}

/// What they say to it is of no interest any more, and who never answers must not be remembered for it.
fn forget_asks(cx: &mut Context, asks: BTreeMap<Link, Request>) {
    for (link, request) in asks {
        cx.links.forget_ask(link, request);
    }
}

/// Whether more answers could still tell of a greater version.
fn may_be_older(cx: &Context, name: &NameId, waiting: impl Iterator<Item = Link>) -> bool {
    let mut peers = waiting.filter_map(|link| cx.links.get(link));
    !is_had(cx, name) || peers.any(|peer| !is_informed_by(cx, peer))
}

/// Whether a peer has told all that it knows. Without room for it that is not kept.
fn is_informed_by(cx: &Context, peer: &Peer) -> bool {
    peer.progress.all && cx.room.is_there()
}

/// Whether what is known here of a name is older than what a peer has shown, or damaged.
fn is_older(cx: &Context, name: &NameId, passed: &Passed) -> bool {
    let greatest = cx.index.catalog.greatest(name);
    greatest.is_none_or(|entry| {
        let is_lost = entry.version() == passed.version && entry.is(Flag::Damaged);
        entry.version() < passed.version || is_lost
    })
}

/// Whether the greatest version of a name that is known here can be read, and is kept.
fn is_had(cx: &Context, name: &NameId) -> bool {
    let greatest = cx.index.catalog.greatest(name).filter(|entry| !entry.is(Flag::Damaged));
    greatest.map(Entry::version).is_some_and(|kept| !cx.index.shown.is_newer(name, Some(kept)))
}
