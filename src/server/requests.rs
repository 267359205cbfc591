//! The dispatcher: what each message makes this node do; and the questions that are answered from memory.

use super::FileServer;
use super::ask::Ask;
use super::asker::Asker;
use super::closing::Closing;
use super::output::Link;
use super::peers::Who;
use super::query::{Asked, Heads, Told};
use super::transfer::Want;
use super::walk::Purpose;
use super::write::Put;
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
        let now = self.begin(now);
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        peer.silent = false;
        if let Message::Hello(hello) = message {
            return self.hello(now, link, hello);
        }
        match peer.who {
            Who::Unknown => self.close(now, link, Closing::NoHello),
            Who::Client => self.client_message(now, link, message),
            Who::Node(_) => self.node_message(now, link, message),
        }
    }

    /// What clients may say; peers may too.
    fn client_message(&mut self, now: Now, link: Link, message: Message) {
        if let Some(peer) = self.cx.links.get_mut(link)
            && is_request(&message)
        {
            peer.requests += 1;
            peer.awaits_long |= has_long_answer(&message);
        }
        match message {
            Message::Head { request, space, name, relay } => {
                self.query.head(&mut self.cx, Asker { link, request }, space, name, relay);
                self.queried(now);
            }
            Message::Put { request, conditions, records, blocks } => {
                let put = Put { records, conditions, blocks };
                self.write.put(&mut self.cx, Asker { link, request }, put);
                self.written(now);
            }
            Message::PutPage { request, page, permit } => {
                self.write.put_page(&mut self.cx, Asker { link, request }, page, permit);
                self.written(now);
            }
            Message::GetPage { request, address } => {
                self.asked(now, Asker { link, request }, Asked::Page(address));
            }
            Message::Offer { request, blocks, permit } => {
                self.write.offer(&mut self.cx, Asker { link, request }, blocks, permit);
                self.written(now);
            }
            Message::Want { block, first, count } => {
                self.transfer.want(&mut self.cx, link, Want { block, first, count });
                self.transferred(now);
            }
            Message::Absent { address } => {
                self.transfer.absent(&mut self.cx, link, address);
                self.transferred(now);
            }
            Message::Suspect { address } => self.suspect(link, address),
            Message::Records { items } => self.records(now, link, items),
            Message::List { request, space: _, after, future } => {
                self.asked(now, Asker { link, request }, Asked::List { after, future });
            }
            Message::Holders { request, record } => {
                self.query.holders(&mut self.cx, Asker { link, request }, record);
                self.queried(now);
            }
            Message::Status { request } => self.status(now, link, request),
            Message::Members { request } => self.members(link, request),
            Message::Verify { request, after } => self.verify(link, request, after),
            Message::Have { addresses } => self.told_of(now, link, &addresses),
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
            | Message::Refused { .. } => self.close(now, link, Closing::NotForClients),
        }
    }

    /// What only peers say to each other.
    fn node_message(&mut self, now: Now, link: Link, message: Message) {
        match message {
            Message::Peers { peers } => self.learn_peers(now, link, peers),
            Message::Compare { range, told } => self.compare(now, link, range, told),
            Message::Parts { first, last, ranges } => {
                self.parts_answered(now, link, (first, last), &ranges);
            }
            Message::Room { free } => self.room_told(link, free),
            Message::Ids { first, last, ids } => self.ids(now, link, (first, last), ids),
            Message::Fetch { ids } => self.push_ids(now, link, ids),
            Message::Holds { request, record } => {
                if let Some(peer) = self.cx.links.get_mut(link) {
                    peer.requests += 1;
                }
                self.look(now, record, Purpose::Holds { link, request });
            }
            Message::Heads { request, versions, all, future, log_damage, shown, .. } => {
                let heads = Heads { versions, all, future, kept: false, log_damage };
                let told = shown.map(|shown| Told { heads, shown });
                self.heads_answered(now, link, request, told);
            }
            Message::DamagedHeads { request, .. } => self.heads_answered(now, link, request, None),
            Message::HoldsIs { request, holds } => {
                if let Some(Ask::Query(query)) = self.answered(link, request) {
                    self.query.holds_answered(&mut self.cx, link, query, holds);
                    self.queried(now);
                }
            }
            Message::Page { request, page } => {
                if let Some(Ask::Page(walk, attempt)) = self.answered(link, request) {
                    self.page_answered(now, (walk, attempt), page);
                }
            }
            Message::Refused { request, reason, detail } => {
                log::debug!("a peer refused a request: {reason:?}, {detail}");
                match self.answered(link, request) {
                    Some(Ask::Query(query)) => self.query_answered(now, link, query, None),
                    Some(Ask::Page(walk, attempt)) => self.page_refused(now, (walk, attempt)),
                    Some(Ask::Instance) => self.instance_answered(link),
                    None => {}
                }
            }
            Message::StatusIs { request, .. } => {
                if self.answered(link, request) == Some(Ask::Instance) {
                    self.instance_answered(link);
                }
            }
            other => self.client_message(now, link, other),
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
            peers: self.nodes_connected(),
        }
    }

    fn status(&mut self, now: Now, link: Link, request: Request) {
        self.cx.ask_space();
        let status = Box::new(NodeStatus {
            node: self.setup.node,
            address: self.setup.addresses.first().cloned().unwrap_or_default(),
            uptime_s: now.instant.since(self.started).as_secs(),
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
            peers_connected: u32::try_from(self.nodes_connected()).unwrap_or(u32::MAX),
            peers_known: self.roster.count(),
            group: self.cx.index.group,
            sync: self.sync_state(),
            log_damage: self.cx.index.log_damage(),
            twins: self.twins.told(),
        });
        self.reply(link, Message::StatusIs { request, status });
    }

    /// Bulk memory reserved, and at most.
    #[must_use]
    pub fn memory_use(&self) -> (usize, usize) {
        (self.cx.memory.used(), self.cx.memory.max())
    }

    fn members(&mut self, link: Link, request: Request) {
        let mut members = self.roster.members();
        // Those connected first, should there be more than one message holds.
        members.sort_by_key(|member| (!member.connected, member.peer.clone()));
        self.reply(link, Message::members_are(request, members));
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
