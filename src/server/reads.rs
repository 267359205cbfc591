//! Reading the log back: records and pages for whoever asked for them.
//!
//! Invariant: only what is damaged or gone is forgotten. What could not be read now, for want of descriptors say, is
//! still held, and whoever asked is told to try again.

use super::FileServer;
use super::answers;
use super::asker::Asker;
use super::links::Links;
use super::output::Link;
use super::peers::Peer;
use super::work::{Job, Reading};
use super::write::ReadyPut;
use crate::ids::{Address, NameId, RecordId, Space, VersionId};
use crate::store::values::{DiskError, LogPlace, ReadError};
use crate::time::Now;
use crate::wire::condition::HeadsSummary;
use crate::wire::log_damage::LogDamage;
use crate::wire::message::{Message, PushedRecord, Reason, Request};
use bytes::Bytes;

/// What is said when the disk would not be read.
pub(super) const UNREAD: &str = "the node's disk could not be read now; try again";

/// What is answered from the log.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// The versions of a name, and the record of the one shown.
    Head(NameId),
    /// The records shown after what a list has come to.
    List { after: Option<NameId>, future: bool },
    /// A page.
    Page(Address),
}

/// What a question for the versions of a name is answered with.
#[derive(Debug)]
pub(super) struct Heads {
    pub(super) versions: Vec<VersionId>,
    pub(super) all: HeadsSummary,
    pub(super) future: Vec<VersionId>,
    /// They are those of this node's own catalog.
    pub(super) kept: bool,
    /// What the peer has lost that tells of them, if they are not.
    pub(super) log_damage: LogDamage,
}

/// Records that were read to be pushed, and the small blocks to go with some of them.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) items: Vec<PushedRecord>,
    /// Which item each block that is being read belongs to.
    pub(super) owners: Vec<usize>,
}

/// What is done with items of the log once they are read.
#[derive(Debug)]
pub(super) enum ReadFor {
    Head {
        asker: Asker,
        name: NameId,
        record: RecordId,
        heads: Heads,
    },
    List {
        link: Link,
        request: Request,
        ids: Vec<RecordId>,
        next: Option<NameId>,
        damaged: u32,
    },
    Page {
        link: Link,
        request: Request,
        address: Address,
    },
    WalkRecord {
        walk: u64,
    },
    WalkPage {
        walk: u64,
        address: Address,
    },
    PushRecords {
        link: Link,
        ids: Vec<RecordId>,
    },
    PushBlocks {
        link: Link,
        batch: Batch,
    },
    /// Versions that may name the same blocks as a put.
    KnownLists {
        put: Box<ReadyPut>,
    },
}

impl FileServer {
    /// A question is answered when there is room.
    pub(super) fn asked(&mut self, now: Now, asker: Asker, asked: Asked) {
        let Some(line) = self.cx.links.get(asker.link).map(Peer::line) else {
            return;
        };
        if self.answers.ask(asker, asked, line).is_err() {
            let detail = "answers to earlier questions have not been taken yet";
            return self.refuse(asker.link, asker.request, Reason::Unavailable, detail);
        }
        self.pump_answers(now);
    }

    /// One answer for each connection in turn, as long as there is room.
    pub(super) fn pump_answers(&mut self, now: Now) {
        let line_of = |links: &Links, link| links.get(link).map(Peer::line);
        while let Some((asker, asked)) = self.answers.next(|link| line_of(&self.cx.links, link)) {
            match asked {
                Asked::Head(name) => self.answer_head(asker, name),
                Asked::List { after, future } => self.answer_list(asker, after, future),
                Asked::Page(address) => self.answer_page(now, asker, address),
            }
        }
    }

    /// Reads what an answer needs.
    pub(super) fn read_answer(&mut self, link: Link, places: Vec<LogPlace>, reason: ReadFor) {
        let bytes = places.iter().map(|place| place.length as usize).sum();
        let answer = Some(self.answers.begin(link, bytes));
        let purpose = Box::new(Reading { reason, answer });
        self.job(Job::ReadLog { purpose, places });
    }

    /// An answer has come from the disk, and is the connection's now.
    pub(super) fn answer_read(&mut self, now: Now, answer: answers::Reading) {
        let link = self.answers.end(answer);
        self.resume_answers(link);
        self.pump_answers(now);
    }

    /// A connection may take more answers than before.
    pub(super) fn resume_answers(&mut self, link: Link) {
        if let Some(line) = self.cx.links.get(link).map(Peer::line) {
            self.answers.resume(link, line);
        }
    }

    pub(super) fn log_read(
        &mut self,
        now: Now,
        reason: ReadFor,
        mut items: Vec<Result<Bytes, ReadError>>,
    ) {
        let mut first = || {
            if items.is_empty() { Err(ReadError::Gone) } else { items.swap_remove(0) }
        };
        match reason {
            ReadFor::Head { asker: Asker { link, request }, name, record, heads } => {
                match first() {
                    Ok(bytes) => {
                        self.reply_heads(Asker { link, request }, heads, Some(bytes));
                    }
                    Err(ReadError::Disk(why)) => self.unread(link, request, &why),
                    Err(ReadError::Gone | ReadError::Damaged) => {
                        self.record_damaged(now, record);
                        // What a client asked is asked of the peers too, now that it is known to be damaged here.
                        let relay = self.cx.links.get(link).is_some_and(Peer::is_client);
                        self.head(now, Asker { link, request }, (Space::default(), name), relay);
                    }
                }
            }
            ReadFor::List { link, request, ids, next, mut damaged } => {
                let mut records = Vec::new();
                for (id, item) in ids.into_iter().zip(items) {
                    match item {
                        Ok(record) => records.push(record),
                        Err(ReadError::Disk(why)) => return self.unread(link, request, &why),
                        Err(ReadError::Gone | ReadError::Damaged) => {
                            self.record_damaged(now, id);
                            damaged += 1;
                        }
                    }
                }
                let sync = self.sync_state();
                let log_damage = self.log_damage();
                let listed = Message::Listed { request, records, next, damaged, sync, log_damage };
                self.reply(link, listed);
            }
            ReadFor::Page { link, request, address } => match first() {
                Ok(page) => self.reply(link, Message::Page { request, page: Some(page) }),
                Err(ReadError::Disk(why)) => self.unread(link, request, &why),
                Err(ReadError::Gone | ReadError::Damaged) => {
                    self.lost_page(now, address);
                    self.asked(now, Asker { link, request }, Asked::Page(address));
                }
            },
            ReadFor::WalkRecord { walk } => {
                let item = first();
                self.walk_record_read(now, walk, item);
            }
            ReadFor::WalkPage { walk, address } => {
                let item = first();
                self.walk_page_read(now, walk, address, item);
            }
            ReadFor::KnownLists { put } => {
                self.write.known_lists_answered(&mut self.cx, *put, items);
                self.written(now);
            }
            ReadFor::PushRecords { link, ids } => self.push_records_read(now, link, ids, items),
            ReadFor::PushBlocks { link, batch } => self.push_blocks_read(now, link, batch, items),
        }
    }

    /// Tells a name's versions, and shows the greatest if there is any.
    pub(super) fn reply_heads(
        &mut self,
        Asker { link, request }: Asker,
        Heads { versions, all, future, kept, log_damage }: Heads,
        shown: Option<Bytes>,
    ) {
        let clock = self.cx.clock();
        let log_damage = self.log_damage().and(log_damage);
        self.reply(
            link,
            Message::Heads { request, clock, versions, all, future, log_damage, kept, shown },
        );
    }

    /// The disk would not say what it has: nothing is known to be damaged, and nothing is forgotten.
    fn unread(&mut self, link: Link, request: Request, why: &DiskError) {
        log::error!("an item of the log could not be read now: {why:?}");
        self.refuse(link, request, Reason::Unavailable, UNREAD);
    }

    /// A record's bytes are damaged on the disk: it is no longer had, so that comparing with the peers brings it back.
    pub(super) fn record_damaged(&mut self, now: Now, id: RecordId) {
        log::warn!("record {id} is damaged on this disk; it is asked of the peers");
        self.cx.index.catalog.damage(&id);
        self.reconcile_with_all(now);
    }
}
