//! What becomes of what is written: of puts and records on their way, and of groups that are durable or were rejected.
//!
//! Invariant: nobody is told of what is durable before all of its group is in the index.

use super::FileServer;
use super::closing::Closing;
use super::output::Link;
use super::replicate::{AGAIN, UNREAD_AGAIN};
use super::transfer::Interest;
use super::work::{CheckFor, Checked};
use super::write::{Contents, Event, NewRecord, Rejection};
use crate::index::entry::Flag;
use crate::limits::FRAME_BODY_MAX;
use crate::time::Now;
use crate::wire::message::{BlockRef, PushedRecord};
use std::collections::BTreeSet;

impl FileServer {
    /// Records have come.
    pub(super) fn records(&mut self, now: Now, link: Link, items: Vec<PushedRecord>) {
        self.write.records(&mut self.cx, link, items);
        self.written(now);
    }

    /// A worker has checked something.
    pub(super) fn checked(&mut self, now: Now, reason: CheckFor, found: &[Checked]) {
        let cx = &mut self.cx;
        match reason {
            CheckFor::Put(put) => self.write.put_checked(cx, put, found),
            CheckFor::Records { link, items } => {
                self.write.records_checked(cx, link, items, found);
            }
            CheckFor::Offer(offer) => self.write.offer_checked(cx, offer, found),
            CheckFor::PutPage { asker, page } => self.write.page_checked(cx, asker, page, found),
            CheckFor::WalkPage { asked, page } => self.walk_page_checked(now, asked, page, found),
            CheckFor::Passed { link, query, passed } => {
                self.query.passed_checked(cx, link, query, passed, found);
            }
        }
        self.written(now);
        self.queried(now);
    }

    /// What writing has to tell.
    pub(super) fn written(&mut self, now: Now) {
        while let Some(event) = self.write.poll_event() {
            match event {
                Event::Put(put) => self.verify_brought(now, put),
                Event::Offered { client, held, new } => self.offered(now, client, &held, new),
                Event::NoRoom { bytes } => self.lack_room(now, bytes),
                Event::Granted => self.reconcile.with_all(&mut self.cx),
                Event::Forged { link } => {
                    for other in self.cx.links.nodes() {
                        self.reconcile.dropped(&mut self.cx, other, AGAIN);
                    }
                    self.close(now, link, Closing::WrongSignature);
                }
                Event::Broken { link, why } => self.close(now, link, why),
                Event::Committed(contents) => self.committed(now, &contents),
                Event::Rejected(contents, rejection) => self.rejected(now, &contents, rejection),
                Event::Failed(why) => self.fail(why),
            }
        }
    }

    fn offered(&mut self, now: Now, client: Link, held: &[BlockRef], new: Vec<BlockRef>) {
        self.verify_offered(client, held);
        for block in new {
            self.fetch(now, block, Interest::Offer(client), Some(client));
        }
    }

    fn committed(&mut self, now: Now, contents: &Contents) {
        let Contents { records, blocks, pages } = contents;
        // Once all are known, since one may supersede another.
        let lacks = |new: &&NewRecord| {
            let entry = self.cx.index.catalog.get(&new.id);
            entry.is_some_and(|entry| !entry.is(Flag::Complete))
        };
        let lacking = records.iter().filter(lacks).map(|new| (new.id, new.source));
        self.replicate(lacking.collect::<Vec<_>>());
        self.blocks_arrived(now, blocks);
        self.pages_landed(now, pages, true);
        self.reconcile.push_new(&mut self.cx, records);
        self.reconcile.came(&mut self.cx, records);
        self.records_asked_for(now, records, true);
    }

    /// What a group held is forgotten.
    fn rejected(&mut self, now: Now, contents: &Contents, rejection: Rejection) {
        let Contents { records, blocks, pages } = contents;
        if rejection == Rejection::Full {
            self.lack_room(now, FRAME_BODY_MAX as u64);
        }
        for address in blocks {
            match rejection {
                Rejection::Full => self.transfer.find_no_room(&mut self.cx, *address),
                Rejection::Scarce => self.transfer.fail(&mut self.cx, *address),
            }
            self.transferred(now);
        }
        self.pages_landed(now, pages, false);
        let sources: BTreeSet<Link> = records.iter().filter_map(|new| new.source).collect();
        for link in sources {
            self.reconcile.dropped(&mut self.cx, link, UNREAD_AGAIN);
        }
        self.records_asked_for(now, records, false);
    }
}
