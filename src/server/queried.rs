//! What becomes of questions: what they need of the rest of the server, and what it has for them.
//!
//! Invariant: a question that needs something goes on when it is there, or is known not to come.

use super::FileServer;
use super::ask::Ask;
use super::asker::Asker;
use super::context::Context;
use super::output::Link;
use super::query::{Asked, Event, QueryId, Told};
use super::sync;
use super::walk::Purpose;
use super::work::{ReadFor, Reading};
use super::write::NewRecord;
use crate::crypto::keys::record_id;
use crate::ids::RecordId;
use crate::store::values::ReadError;
use crate::wire::message::{PushedRecord, Request};
use bytes::Bytes;

impl FileServer {
    /// Something is to be answered from here.
    pub(super) fn asked(&mut self, asker: Asker, asked: Asked) {
        self.query.ask(&mut self.cx, asker, asked);
        self.queried();
    }

    /// A peer has answered something: why it was asked.
    pub(super) fn answered(&mut self, link: Link, request: Request) -> Option<Ask> {
        self.cx.links.answered(link, request, self.cx.now.instant)
    }

    /// A peer says which versions of a name it knows.
    pub(super) fn heads_answered(&mut self, link: Link, request: Request, told: Option<Told>) {
        if let Some(Ask::Query(query)) = self.answered(link, request) {
            self.query_answered(link, query, told);
        }
    }

    pub(super) fn query_answered(&mut self, link: Link, query: QueryId, told: Option<Told>) {
        let knows = |cx: &Context, id: &RecordId| self.write.knows(cx, id);
        self.query.heads_answered(&mut self.cx, link, query, told, knows);
        self.queried();
    }

    /// Records are durable that a query may wait for; or could not be made so.
    pub(super) fn records_asked_for(&mut self, records: &[NewRecord], durable: bool) {
        for new in records {
            self.query.came(&mut self.cx, &new.id, durable);
            self.queried();
        }
    }

    /// What questions have to tell.
    pub(super) fn queried(&mut self) {
        while let Some(event) = self.query.poll_event() {
            match event {
                Event::Look { query, record } => self.look(record, Purpose::Query(query)),
                Event::Shown { query, link, record } => self.shown(query, link, record),
                Event::NoRoom { bytes } => self.lack_room(bytes),
                Event::RecordDamaged => self.reconcile.with_all(&mut self.cx),
                Event::PageLost { asker, address } => {
                    self.lost_page(address);
                    self.asked(asker, Asked::Page(address));
                }
                Event::FetchPage { asker: Asker { link, request }, address } => {
                    self.fetch_page(address, Purpose::Page { link, request }, None);
                    self.query.pump(&mut self.cx);
                }
                Event::InVain { link, address } => {
                    self.arrivals.asked_in_vain(&self.cx, link, &address);
                }
                Event::Broken { link, why } => self.close(link, why),
            }
        }
    }

    fn shown(&mut self, query: QueryId, link: Link, record: Bytes) {
        let id = record_id(&record);
        self.records(link, vec![PushedRecord { record, block: Bytes::new() }]);
        let comes = self.write.knows(&self.cx, &id);
        self.query.taken(&mut self.cx, query, id, comes);
    }

    /// Items of the log have been read.
    pub(super) fn log_read(
        &mut self,
        Reading(reason): Reading,
        mut items: Vec<Result<Bytes, ReadError>>,
    ) {
        let mut first = || {
            if items.is_empty() { Err(ReadError::Gone) } else { items.swap_remove(0) }
        };
        match reason {
            ReadFor::Reply(reading) => {
                let (has_compared, known) = (self.has_compared, self.members.count());
                let sync = |cx: &Context| sync::state(cx, has_compared, known);
                let answer = self.query.answer(&mut self.cx, reading, items, sync);
                self.queried();
                self.query.go_on(&mut self.cx, answer);
                self.queried();
            }
            ReadFor::WalkRecord { walk } => {
                let item = first();
                self.walk_record_read(walk, item);
            }
            ReadFor::WalkPage { walk, address } => {
                let item = first();
                self.walk_page_read(walk, address, item);
            }
            ReadFor::KnownLists { put } => {
                self.write.known_lists_answered(&mut self.cx, *put, items);
                self.written();
            }
            ReadFor::PushRecords { link, ids } => {
                self.reconcile.records_read(&mut self.cx, link, ids, items);
                self.compared();
            }
            ReadFor::PushBlocks { link, batch } => {
                self.reconcile.blocks_read(&mut self.cx, link, batch, items);
                self.compared();
            }
        }
    }

    /// A record's bytes are damaged on the disk.
    pub(super) fn record_damaged(&mut self, id: RecordId) {
        self.cx.index.damage(&id);
        self.reconcile.with_all(&mut self.cx);
    }
}
