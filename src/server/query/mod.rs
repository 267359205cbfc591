//! Questions: what is asked here, and is answered from this node's index and log, or when the peers have been asked.
//!
//! A machine in two halves, `FanOut` and `Replies`, neither of which calls the other. Knows not how a page comes here.
//! Invariant: whoever asks and does not leave is answered exactly once.

mod build;
mod event;
mod fan_out;
mod in_order;
mod past;
mod queries;
mod replies;
mod schedule;
#[cfg(test)]
mod tests;

pub(super) use event::Event;
pub(super) use fan_out::QueryId;
pub(super) use in_order::Batch;
pub(super) use queries::Passed;
pub(super) use replies::{Asked, Reading, UNREAD};
pub(super) use schedule::Line;

use super::ask::Ask;
use super::asker::Asker;
use super::context::Context;
use super::links::Peer;
use super::output::Link;
use super::work::{Checked, Naming};
use crate::ids::{NameId, RecordId, Space};
use crate::store::values::ReadError;
use crate::wire::message::{Message, PeerAddress, Request};
use crate::wire::sync_state::SyncState;
use bytes::Bytes;
use event::Inner;
use fan_out::{FanOut, Told};
use replies::{Heads, Replies};
use schedule::UnderWay;
use std::collections::{HashMap, VecDeque};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Query {
    fan_out: FanOut,
    replies: Replies,
    events: VecDeque<Event>,
}

impl Query {
    /// What has happened, for the rest of the server.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Something is to be answered from here.
    pub(super) fn ask(&mut self, cx: &mut Context, asker: Asker, asked: Asked) {
        self.replies.ask(cx, asker, asked);
        self.dispatch_events(cx);
    }

    /// A client, or a peer on behalf of one, asks for a name's versions. `relay`: the peers are to be asked too.
    pub(super) fn head(
        &mut self,
        cx: &mut Context,
        asker: Asker,
        space: Space,
        name: NameId,
        relay: bool,
    ) {
        self.fan_out.head(cx, asker, space, name, relay);
        self.dispatch_events(cx);
    }

    /// Who holds a record whole?
    pub(super) fn holders(&mut self, cx: &mut Context, asker: Asker, record: RecordId) {
        self.fan_out.holders(cx, asker, record);
        self.dispatch_events(cx);
    }

    /// What somebody asks; anything else comes back.
    pub(super) fn message(
        &mut self,
        cx: &mut Context,
        link: Link,
        message: Message,
    ) -> Option<Message> {
        match message {
            Message::Head { request, space, name, relay } => {
                self.head(cx, Asker { link, request }, space, name, relay);
            }
            Message::GetPage { request, address } => {
                self.ask(cx, Asker { link, request }, Asked::Page(address));
            }
            Message::List { request, space: _, after, future } => {
                self.ask(cx, Asker { link, request }, Asked::List { after, future });
            }
            Message::Versions { request, space: _, name, before, limit } => {
                let asked = Asked::Versions { name, before, limit };
                self.ask(cx, Asker { link, request }, asked);
            }
            Message::ListPast { request, space: _, after, view } => {
                self.ask(cx, Asker { link, request }, Asked::Past { after, view });
            }
            Message::ListNames { request, future, question } => {
                let asker = Asker { link, request };
                match in_order::open(&cx.index, &question) {
                    Some(question) => {
                        self.ask(cx, asker, Asked::Names { question: Box::new(question), future });
                    }
                    None => cx.reply(link, Message::NotInOrder { request }),
                }
            }
            Message::Holders { request, record } => {
                self.holders(cx, Asker { link, request }, record);
            }
            other => return Some(other),
        }
        None
    }

    /// A peer has answered for a query. `holder`: who that is and where, which is told if it holds what was asked for.
    pub(super) fn answered(
        &mut self,
        cx: &mut Context,
        link: Link,
        query: QueryId,
        message: Message,
        holder: impl FnOnce() -> Option<PeerAddress>,
    ) {
        match message {
            Message::Heads { versions, all, future, log_damage, shown, .. } => {
                let heads = Heads { versions, all, future, kept: false, log_damage };
                let told = shown.map(|shown| Told { heads, shown });
                self.heads_answered(cx, link, query, told);
            }
            Message::HoldsIs { holds, .. } => {
                let holder = if holds { holder() } else { None };
                self.holds_answered(cx, link, query, holder);
            }
            // It cannot say, or would not.
            _ => self.heads_answered(cx, link, query, None),
        }
    }

    /// A peer says which versions of a name it knows; nothing, if it cannot say.
    fn heads_answered(&mut self, cx: &mut Context, link: Link, query: QueryId, told: Option<Told>) {
        self.fan_out.heads_answered(cx, link, query, told);
        self.dispatch_events(cx);
    }

    /// A record that a peer has shown was taken in: it comes into the catalog, or was left aside.
    pub(super) fn taken(
        &mut self,
        cx: &mut Context,
        query: QueryId,
        record: RecordId,
        comes: bool,
    ) {
        self.fan_out.taken(cx, query, record, comes);
        self.dispatch_events(cx);
    }

    /// What a peer has shown and is not kept has been checked.
    pub(super) fn passed_checked(
        &mut self,
        cx: &mut Context,
        link: Link,
        query: QueryId,
        passed: Passed,
        found: &[Checked],
    ) {
        self.fan_out.passed_checked(cx, link, query, passed, found);
        self.dispatch_events(cx);
    }

    /// A peer says whether it holds a record whole: if so, who it is and where.
    fn holds_answered(
        &mut self,
        cx: &mut Context,
        link: Link,
        query: QueryId,
        holder: Option<PeerAddress>,
    ) {
        self.fan_out.holds_answered(cx, link, query, holder);
        self.dispatch_events(cx);
    }

    /// The same of this node itself.
    pub(super) fn held_here(
        &mut self,
        cx: &mut Context,
        query: QueryId,
        holder: Option<PeerAddress>,
    ) {
        self.fan_out.held_here(cx, query, holder);
        self.dispatch_events(cx);
    }

    /// A record is durable, or could not be made so.
    pub(super) fn came(&mut self, cx: &mut Context, record: &RecordId, durable: bool) {
        let waited = self.fan_out.came(record, durable);
        self.finish_each(cx, waited);
    }

    /// One after the other, so that the answers to one client come in order.
    fn finish_each(&mut self, cx: &mut Context, queries: Vec<QueryId>) {
        for query in queries {
            self.fan_out.finish(cx, query);
            self.dispatch_events(cx);
        }
    }

    /// Whoever has not answered is not waited for any more.
    pub(super) fn timeout(&mut self, cx: &mut Context, query: QueryId) {
        self.fan_out.timeout(cx, query);
        self.dispatch_events(cx);
    }

    /// What an answer needs has been read from the log. `sync`: how far this node has come in hearing from the others.
    /// When what this tells of has been seen to, `go_on` is to be called.
    pub(super) fn answer(
        &mut self,
        cx: &mut Context,
        reading: Reading,
        items: Vec<Result<Bytes, ReadError>>,
        sync: impl FnOnce(&Context) -> SyncState,
    ) -> UnderWay {
        let answer = self.replies.answer(cx, reading, items, sync);
        self.dispatch_events(cx);
        answer
    }

    /// Records have been read for their names.
    pub(super) fn names_read(&mut self, cx: &mut Context, naming: Naming) {
        self.replies.names_read(cx, naming);
        self.dispatch_events(cx);
    }

    /// The next answers are read.
    pub(super) fn go_on(&mut self, cx: &mut Context, answer: UnderWay) {
        self.replies.go_on(cx, answer);
        self.dispatch_events(cx);
    }

    /// What a client wanted has been seen to: the next answers are read.
    pub(super) fn pump(&mut self, cx: &mut Context) {
        self.replies.pump(cx);
        self.dispatch_events(cx);
    }

    /// A connection has taken some of what was said to it.
    pub(super) fn resume(&mut self, cx: &mut Context, link: Link) {
        self.replies.resume(cx, link);
        self.dispatch_events(cx);
    }

    /// The connection is gone: what it asked, and what it was asked.
    pub(super) fn link_closed(
        &mut self,
        cx: &mut Context,
        link: Link,
        asks: &HashMap<Request, Ask>,
    ) {
        let asked = self.fan_out.link_closed(cx, link, asks);
        self.finish_each(cx, asked);
        self.replies.link_closed(link);
    }

    /// Carries what one half has for the other, until there is nothing more.
    fn dispatch_events(&mut self, cx: &mut Context) {
        while let Some(inner) = self.next_inner() {
            match inner {
                Inner::Out(event) => self.events.push_back(event),
                Inner::Reply(asker, asked) => self.replies.ask(cx, asker, asked),
                Inner::AskAgain(asker, name) => {
                    let relay = cx.links.get(asker.link).is_some_and(Peer::is_client);
                    self.fan_out.head(cx, asker, Space::default(), name, relay);
                }
            }
        }
    }

    fn next_inner(&mut self) -> Option<Inner> {
        let inner = self.fan_out.events.pop_front();
        inner.or_else(|| self.replies.events.pop_front())
    }
}
