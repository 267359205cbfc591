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
use crate::wire::message::{BlockRef, PushedRecord};
use std::collections::BTreeSet;

impl FileServer {
    /// Records have come.
    pub(super) fn records(&mut self, link: Link, items: Vec<PushedRecord>) {
        self.write.records(&mut self.cx, link, items);
        self.written();
    }

    /// A worker has checked something.
    pub(super) fn checked(&mut self, reason: CheckFor, found: &[Checked]) {
        let cx = &mut self.cx;
        match reason {
            CheckFor::Put(put) => self.write.put_checked(cx, put, found),
            CheckFor::Records { link, items } => {
                self.write.records_checked(cx, link, items, found);
            }
            CheckFor::Offer(offer) => self.write.offer_checked(cx, offer, found),
            CheckFor::PutPage { asker, page } => self.write.page_checked(cx, asker, page, found),
            CheckFor::WalkPage { asked, page } => self.walk_page_checked(asked, page, found),
            CheckFor::Passed { link, query, passed } => {
                self.query.passed_checked(cx, link, query, passed, found);
            }
        }
        self.written();
        self.queried();
    }

    /// What writing has to tell.
    pub(super) fn written(&mut self) {
        while let Some(event) = self.write.poll_event() {
            match event {
                Event::Put(put) => {
                    self.scrub.put(&mut self.cx, put);
                    self.scrubbed();
                }
                Event::Offered { client, held, new } => self.offered(client, &held, new),
                Event::NoRoom { bytes } => self.lack_room(bytes),
                Event::Granted => self.reconcile.with_all(&mut self.cx),
                Event::Forged { link } => {
                    for other in self.cx.links.nodes() {
                        self.reconcile.dropped(&mut self.cx, other, AGAIN);
                    }
                    self.close(link, Closing::WrongSignature);
                }
                Event::Broken { link, why } => self.close(link, why),
                Event::Committed(contents) => self.committed(&contents),
                Event::Rejected(contents, rejection) => self.rejected(&contents, rejection),
                Event::Failed(why) => self.fail(why),
            }
        }
    }

    fn offered(&mut self, client: Link, held: &[BlockRef], new: Vec<BlockRef>) {
        self.scrub.offered(&mut self.cx, client, held);
        for block in new {
            self.fetch(block, Interest::Offer(client), Some(client));
        }
    }

    fn committed(&mut self, contents: &Contents) {
        let Contents { records, blocks, pages } = contents;
        // Once all are known, since one may supersede another.
        let lacks = |new: &&NewRecord| {
            let entry = self.cx.index.catalog.get(&new.id);
            entry.is_some_and(|entry| !entry.is(Flag::Complete))
        };
        let lacking = records.iter().filter(lacks).map(|new| (new.id, new.source));
        self.replicate(lacking.collect::<Vec<_>>());
        self.blocks_arrived(blocks);
        self.pages_landed(pages, true);
        self.reconcile.push_new(&mut self.cx, records);
        self.reconcile.came(&mut self.cx, records);
        self.records_asked_for(records, true);
    }

    /// What a group held is forgotten.
    fn rejected(&mut self, contents: &Contents, rejection: Rejection) {
        let Contents { records, blocks, pages } = contents;
        if rejection == Rejection::Full {
            self.lack_room(FRAME_BODY_MAX as u64);
        }
        for address in blocks {
            match rejection {
                Rejection::Full => self.transfer.find_no_room(&mut self.cx, *address),
                Rejection::Scarce => self.transfer.fail(&mut self.cx, *address),
            }
            self.transferred();
        }
        self.pages_landed(pages, false);
        let sources: BTreeSet<Link> = records.iter().filter_map(|new| new.source).collect();
        for link in sources {
            self.reconcile.dropped(&mut self.cx, link, UNREAD_AGAIN);
        }
        self.records_asked_for(records, false);
    }
}
