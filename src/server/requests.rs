//! The dispatcher: what each message makes this node do; and the questions that are answered from memory.

use super::FileServer;
use super::ask::Ask;
use super::asker::Asker;
use super::closing::Closing;
use super::context::Context;
use super::members;
use super::output::Link;
use super::peers::{Peer, Who};
use super::query::{Asked, Heads, Told};
use super::replicate::Span;
use super::sync;
use super::transfer::Want;
use super::walk::Purpose;
use super::write::Put;
use crate::ids::RecordId;
use crate::time::Now;
use crate::wire::message::{Message, NodeStatus, RangeSummary, Request};

/// What a node has. Two nodes of one network that are done have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// All records.
    pub records: RangeSummary,
    /// Records whose blocks are not all here yet, and blocks to be had again.
    pub incomplete: u64,
    /// Nodes connected.
    pub peers: usize,
}

impl FileServer {
    /// A message has come.
    pub fn message(&mut self, now: Now, link: Link, message: Message) {
        self.begin(now);
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        peer.silent = false;
        if let Message::Hello(hello) = message {
            self.members.hello(&mut self.cx, link, hello);
            return self.met();
        }
        match peer.who {
            Who::Unknown => self.close(link, Closing::NoHello),
            Who::Client => self.client_message(link, message),
            Who::Node(_) => self.node_message(link, message),
        }
    }

    /// What clients may say; peers may too.
    fn client_message(&mut self, link: Link, message: Message) {
        if let Some(peer) = self.cx.links.get_mut(link)
            && is_request(&message)
        {
            peer.requests += 1;
            peer.awaits_long |= has_long_answer(&message);
        }
        match message {
            Message::Head { request, space, name, relay } => {
                self.query.head(&mut self.cx, Asker { link, request }, space, name, relay);
                self.queried();
            }
            Message::Put { request, conditions, records, blocks } => {
                let put = Put { records, conditions, blocks };
                self.put(Asker { link, request }, put);
            }
            Message::PutPage { request, page, permit } => {
                self.write.put_page(&mut self.cx, Asker { link, request }, page, permit);
                self.written();
            }
            Message::Offer { request, blocks, permit } => {
                self.write.offer(&mut self.cx, Asker { link, request }, blocks, permit);
                self.written();
            }
            Message::GetPage { request, address } => {
                self.asked(Asker { link, request }, Asked::Page(address));
            }
            Message::Want { block, first, count } => {
                self.transfer.want(&mut self.cx, link, Want { block, first, count });
                self.transferred();
            }
            Message::Absent { address } => self.absent(link, address),
            Message::Suspect { address } => self.suspect(link, address),
            Message::Records { items } => self.records(link, items),
            Message::List { request, space: _, after, future } => {
                self.asked(Asker { link, request }, Asked::List { after, future });
            }
            Message::Holders { request, record } => {
                self.query.holders(&mut self.cx, Asker { link, request }, record);
                self.queried();
            }
            Message::Status { request } => self.status(link, request),
            Message::Members { request } => self.members(link, request),
            Message::Verify { request, after } => self.verify(Asker { link, request }, after),
            Message::Have { addresses } => self.told_of(link, &addresses),
            Message::Ping { .. } | Message::Pong { .. } => {}
            Message::Hello(_)
            | Message::Peers { .. }
            | Message::Heads { .. }
            | Message::DamagedHeads { .. }
            | Message::PutDone { .. }
            | Message::PageDone { .. }
            | Message::Page { .. }
            | Message::Compare { .. }
            | Message::Parts { .. }
            | Message::Room { .. }
            | Message::Ids { .. }
            | Message::Fetch { .. }
            | Message::Listed { .. }
            | Message::HoldersAre { .. }
            | Message::Holds { .. }
            | Message::HoldsIs { .. }
            | Message::StatusIs { .. }
            | Message::MembersAre { .. }
            | Message::Coming { .. }
            | Message::Damaged { .. }
            | Message::Verified { .. }
            | Message::Refused { .. } => self.close(link, Closing::NotForClients),
        }
    }

    fn put(&mut self, asker: Asker, put: Put) {
        self.write.put(&mut self.cx, asker, put);
        self.written();
    }

    /// What only peers say to each other.
    fn node_message(&mut self, link: Link, message: Message) {
        match message {
            Message::Peers { peers } => {
                self.members.learn(&mut self.cx, link, peers);
                self.met();
            }
            Message::Compare { range, told } => {
                let on_their_way = self.write.on_their_way();
                self.reconcile.compare(&mut self.cx, link, range, told, on_their_way);
                self.compared();
            }
            Message::Parts { first, last, ranges } => {
                let span = Span { first, last };
                self.reconcile.parts_answered(&mut self.cx, link, span, &ranges);
                self.compared();
            }
            Message::Room { free } => self.reconcile.room_told(link, free),
            Message::Ids { first, last, ids } => {
                let knows = |cx: &Context, id: &RecordId| self.write.knows(cx, id);
                self.reconcile.ids(&mut self.cx, link, Span { first, last }, ids, knows);
                self.compared();
            }
            Message::Fetch { ids } => self.reconcile.push_ids(&mut self.cx, link, ids),
            Message::Holds { request, record } => {
                if let Some(peer) = self.cx.links.get_mut(link) {
                    peer.requests += 1;
                }
                self.look(record, Purpose::Holds { link, request });
            }
            Message::Heads { request, versions, all, future, log_damage, shown, .. } => {
                let heads = Heads { versions, all, future, kept: false, log_damage };
                let told = shown.map(|shown| Told { heads, shown });
                self.heads_answered(link, request, told);
            }
            Message::DamagedHeads { request, .. } => self.heads_answered(link, request, None),
            Message::HoldsIs { request, holds } => {
                if let Some(Ask::Query(query)) = self.answered(link, request) {
                    let node = self.cx.links.get(link).and_then(Peer::node).filter(|_| holds);
                    let holder = node.map(|node| self.members.address_of(node));
                    self.query.holds_answered(&mut self.cx, link, query, holder);
                    self.queried();
                }
            }
            Message::Page { request, page } => {
                if let Some(Ask::Page(asked)) = self.answered(link, request) {
                    self.page_answered(asked, page);
                }
            }
            Message::Refused { request, reason, detail } => {
                log::debug!("a peer refused a request: {reason:?}, {detail}");
                match self.answered(link, request) {
                    Some(Ask::Query(query)) => self.query_answered(link, query, None),
                    Some(Ask::Page(asked)) => self.page_refused(asked),
                    Some(Ask::Instance) => self.members.instance_answered(&self.cx, link),
                    None => {}
                }
            }
            Message::StatusIs { request, .. } => {
                if self.answered(link, request) == Some(Ask::Instance) {
                    self.members.instance_answered(&self.cx, link);
                }
            }
            other => self.client_message(link, other),
        }
    }

    /// Records that name something which is not here, and what was found damaged and has not come again.
    fn incomplete(&self) -> u64 {
        let damaged = self.stuck.repairs.len() + self.walks.lost.len();
        self.cx.index.catalog.incomplete() + damaged as u64
    }

    /// What it has, to compare nodes.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            records: self.cx.index.catalog.whole(),
            incomplete: self.incomplete(),
            peers: members::connected(&self.cx),
        }
    }

    fn status(&mut self, link: Link, request: Request) {
        self.cx.ask_space();
        let own = self.members.own();
        let status = Box::new(NodeStatus {
            node: own.node,
            address: own.address,
            uptime_s: self.cx.now.instant.since(self.started).as_secs(),
            names: self.cx.index.catalog.names(),
            records: self.cx.index.catalog.records(),
            blocks: self.cx.index.holdings.count(),
            block_bytes: self.cx.index.holdings.bytes(),
            incomplete: self.incomplete(),
            damaged: self.cx.index.catalog.damaged(),
            unnamed: self.cx.index.holdings.unnamed().0,
            unnamed_bytes: self.cx.index.holdings.unnamed().1,
            free_bytes: self.cx.space.free(),
            full: self.cx.room.is_lacking(),
            memory_used: self.cx.memory.used() as u64,
            memory_max: self.cx.memory.max() as u64,
            peers_connected: u32::try_from(members::connected(&self.cx)).unwrap_or(u32::MAX),
            peers_known: self.members.count(),
            group: self.cx.index.group,
            sync: sync::state(&self.cx, self.has_compared, self.members.count()),
            log_damage: self.cx.index.log_damage(),
            twins: self.members.twins(),
        });
        self.reply(link, Message::StatusIs { request, status });
    }

    /// Bulk memory reserved, and at most.
    #[must_use]
    pub fn memory_use(&self) -> (usize, usize) {
        (self.cx.memory.used(), self.cx.memory.max())
    }

    fn members(&mut self, link: Link, request: Request) {
        self.reply(link, Message::members_are(request, self.members.list()));
    }
}

/// Whether the answer may be as long as a frame.
fn has_long_answer(message: &Message) -> bool {
    matches!(
        message,
        Message::GetPage { .. }
            | Message::List { .. }
            | Message::Holders { .. }
            | Message::Members { .. }
            | Message::Verify { .. }
    )
}

fn is_request(message: &Message) -> bool {
    matches!(
        message,
        Message::Head { .. }
            | Message::Put { .. }
            | Message::PutPage { .. }
            | Message::GetPage { .. }
            | Message::Offer { .. }
            | Message::List { .. }
            | Message::Holders { .. }
            | Message::Status { .. }
            | Message::Members { .. }
            | Message::Verify { .. }
    )
}
