//! Replies: what is answered from this node's own index and log.
//!
//! Invariant: only what is damaged or gone is forgotten. What could not be read now, for want of descriptors say, is
//! still held, and whoever asked is told to try again.

use super::build::{Build, Stepped};
use super::event::{Event, Inner};
use super::in_order::{self, Page};
use super::past::{self, NamesPage, Row, VersionsPage};
use super::schedule::{Line, Schedule, UnderWay};
use crate::crypto::alias::Alias;
use crate::ids::{Address, NameId, RecordId, VersionId};
use crate::index::catalog::Listed;
use crate::index::entry::{Entry, Flag};
use crate::limits::{FRAME_BODY_MAX, PARENTS_MAX, RECORD_MAX};
use crate::seeded::{self, Bug};
use crate::server::asker::Asker;
use crate::server::context::Context;
use crate::server::links::Links;
use crate::server::links::Peer;
use crate::server::output::Link;
use crate::server::served::Served;
use crate::server::work::{Naming, ReadFor};
use crate::store::values::{DiskError, LogItem, ReadError};
use crate::wire::condition::HeadsSummary;
use crate::wire::log_damage::LogDamage;
use crate::wire::message::{ListedVersion, Message, Reason, Request, VersionMark};
use crate::wire::names::{NamesFound, NamesQuestion};
use crate::wire::sync_state::SyncState;
use crate::wire::view::View;
use bytes::Bytes;
use std::collections::VecDeque;

/// What is said when the disk would not be read.
pub(in crate::server) const UNREAD: &str = "the node's disk could not be read now; try again";
/// Records listed in one answer.
pub(super) const LIST_BATCH: usize = 128;

/// What is answered from here.
#[derive(Debug)]
pub(in crate::server) enum Asked {
    /// The versions of a name, and the record of the one shown.
    Head(NameId),
    /// The records shown after what a list has come to.
    List { after: Option<NameId>, future: bool },
    /// The versions of a name before one of them, or all: the newest, so many at most.
    Versions { name: NameId, before: Option<VersionMark>, limit: u16 },
    /// What a view has of the names after what a list has come to.
    Past { after: Option<NameId>, view: View },
    /// Names in order.
    Names { question: Box<NamesQuestion>, future: bool },
    /// A page.
    Page(Address),
}

/// What a question for the versions of a name is answered with.
#[derive(Debug)]
pub(in crate::server) struct Heads {
    pub(in crate::server) versions: Vec<VersionId>,
    pub(in crate::server) all: HeadsSummary,
    pub(in crate::server) future: Vec<VersionId>,
    /// They are those of this node's own catalog.
    pub(in crate::server) kept: bool,
    /// What the peer has lost that tells of them, if they are not.
    pub(in crate::server) log_damage: LogDamage,
}

impl Heads {
    /// Of this node's own catalog.
    fn of(cx: &Context, name: &NameId) -> Self {
        Self {
            versions: cx.index.catalog.heads(name, PARENTS_MAX),
            all: cx.index.catalog.heads_summary(name),
            future: cx.index.catalog.future(name, PARENTS_MAX),
            kept: true,
            log_damage: LogDamage::default(),
        }
    }

    /// With a version that was shown here and is not kept.
    fn with_shown(cx: &Context, name: &NameId) -> Self {
        let mut heads = Self { kept: false, ..Self::of(cx, name) };
        heads.versions = cx.index.catalog.heads(name, PARENTS_MAX - 1);
        if let Some(shown) = cx.index.shown.version(name) {
            heads.versions.insert(0, shown);
        }
        heads
    }

    /// Tells them, and shows the record of the greatest if there is any.
    pub(super) fn reply(self, cx: &mut Context, asker: Asker, shown: Option<Bytes>) {
        let Self { versions, all, future, kept, log_damage } = self;
        let clock = cx.clock();
        let log_damage = cx.index.log_damage().and(log_damage);
        let Asker { link, request } = asker;
        cx.reply(
            link,
            Message::Heads { request, clock, versions, all, future, log_damage, kept, shown },
        );
    }

    /// Tells them, but the record of the greatest is not to be had here.
    fn reply_damaged(self, cx: &mut Context, asker: Asker) {
        let Self { versions, all, future, kept, .. } = self;
        let clock = cx.clock();
        let Asker { link, request } = asker;
        cx.reply(link, Message::DamagedHeads { request, clock, versions, all, future, kept });
    }
}

/// What is answered with items of the log once they are read.
#[derive(Debug)]
enum ReplyFor {
    Head { name: NameId, record: RecordId, heads: Heads },
    List { ids: Vec<RecordId>, next: Option<NameId>, damaged: u32 },
    Versions { rows: Vec<Row>, next: Option<VersionMark> },
    Names { ids: Vec<RecordId>, found: NamesFound, damaged: u32 },
    Page { address: Address },
}

/// An answer that is being read.
#[derive(Debug)]
pub(in crate::server) struct Reading {
    asker: Asker,
    reply: ReplyFor,
    under_way: UnderWay,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Replies {
    schedule: Schedule,
    build: Build,
    pub(super) events: VecDeque<Inner>,
}

impl Replies {
    /// A question is answered when there is room.
    pub(super) fn ask(&mut self, cx: &mut Context, asker: Asker, asked: Asked) {
        // None if who asked has gone.
        let Some(line) = line(&cx.links, asker.link) else {
            return;
        };
        if self.schedule.ask(asker, asked, line).is_err() {
            let detail = "answers to earlier questions have not been taken yet";
            return cx.refuse(asker, Reason::Unavailable, detail);
        }
        self.pump(cx);
    }

    /// One answer for each connection in turn, as long as there is room. When a client wants a page that is not here, that
    /// is seen to first, so that answers which need nothing do not overtake it: this is to be called again.
    pub(super) fn pump(&mut self, cx: &mut Context) {
        while let Some((asker, asked)) = self.schedule.next(|link| line(&cx.links, link)) {
            match asked {
                Asked::Head(name) => self.answer_head(cx, asker, name),
                Asked::List { after, future } => self.answer_list(cx, asker, after, future),
                Asked::Versions { name, before, limit } => {
                    let page = past::versions(&cx.index.catalog, &name, before, limit);
                    let VersionsPage { rows, items, next } = page;
                    self.read(cx, asker, items, ReplyFor::Versions { rows, next });
                }
                Asked::Past { after, view } => {
                    let page = past::names(&cx.index.catalog, after.map(alias_in), view);
                    let NamesPage { items, next, damaged } = page;
                    let ids = items.iter().map(|item| RecordId(item.id)).collect();
                    let next = next.map(name_of);
                    self.read(cx, asker, items, ReplyFor::List { ids, next, damaged });
                }
                Asked::Names { question, future } => {
                    self.answer_names(cx, asker, question, future);
                }
                Asked::Page(address) => match cx.index.holdings.page(&address) {
                    Some(place) => {
                        let items = vec![LogItem { id: address.0, place }];
                        self.read(cx, asker, items, ReplyFor::Page { address });
                    }
                    // A peer's question is not passed on, so that none goes round in circles.
                    None if cx.links.leads_to_node(asker.link) => {
                        let Asker { link, request } = asker;
                        self.tell(Event::InVain { link, address });
                        cx.reply(link, Message::Page { request, page: None });
                    }
                    None => return self.tell(Event::FetchPage { asker, address }),
                },
            }
        }
    }

    /// A connection may take more answers than before.
    pub(super) fn resume(&mut self, cx: &mut Context, link: Link) {
        if let Some(line) = line(&cx.links, link) {
            self.schedule.resume(link, line);
        }
        self.pump(cx);
    }

    fn answer_head(&mut self, cx: &mut Context, asker: Asker, name: NameId) {
        let greatest = cx.index.catalog.greatest(&name);
        let kept = greatest.map(Entry::version);
        let entry = greatest.map(|entry| (entry.item(), entry.is(Flag::Damaged)));
        if cx.index.shown.is_newer(&name, kept) && !seeded::is_on(Bug::TakeBackShown) {
            // No node in reach has it any more. Whoever writes supersedes it.
            return Heads::with_shown(cx, &name).reply_damaged(cx, asker);
        }
        let heads = Heads::of(cx, &name);
        match entry {
            Some((_, true)) => heads.reply_damaged(cx, asker),
            Some((item, false)) => {
                let record = RecordId(item.id);
                self.read(cx, asker, vec![item], ReplyFor::Head { name, record, heads });
            }
            None => heads.reply(cx, asker, None),
        }
    }

    /// The next shown records, as many as one message holds.
    fn answer_list(&mut self, cx: &mut Context, asker: Asker, after: Option<NameId>, future: bool) {
        let after = after.map(alias_in);
        let (mut items, mut damaged) = (Vec::new(), 0_u32);
        let mut ids = Vec::new();
        let (mut bytes, mut seen) = (0, 0);
        let mut next = None;
        let mut last = None;
        for listed in cx.index.catalog.names_after(after) {
            let (name, entry, left_out) = match listed {
                Listed::Shown(entry) => (entry.name(), Some(entry), false),
                Listed::Future(name, entry) if future => (name, entry, false),
                Listed::Future(name, _) => (name, None, true),
            };
            bytes += entry.map_or(0, |entry| entry.place().length as usize + 8);
            if seen == LIST_BATCH || bytes > FRAME_BODY_MAX - RECORD_MAX {
                next = last;
                break;
            }
            match entry {
                Some(entry) if !entry.is(Flag::Damaged) => {
                    items.push(entry.item());
                    ids.push(entry.id());
                }
                Some(_) => damaged += u32::from(!seeded::is_on(Bug::HideDamaged)),
                None => damaged += u32::from(left_out),
            }
            seen += 1;
            last = Some(name);
        }
        let next = next.map(name_of);
        self.read(cx, asker, items, ReplyFor::List { ids, next, damaged });
    }

    /// The next names in order, when they are.
    fn answer_names(
        &mut self,
        cx: &mut Context,
        asker: Asker,
        question: Box<NamesQuestion>,
        future: bool,
    ) {
        match in_order::page(&mut cx.index, &question, future) {
            Some(Page { items, ids, found, damaged, .. }) => {
                self.read(cx, asker, items, ReplyFor::Names { ids, found, damaged });
            }
            None => self.build.wait(cx, asker, question, future),
        }
    }

    /// Records have been read for their names.
    pub(super) fn names_read(&mut self, cx: &mut Context, naming: Naming) {
        let Stepped { damaged, ready } = self.build.stepped(cx, naming);
        for record in damaged {
            self.record_damaged(cx, record);
        }
        for (asker, asked) in ready {
            self.ask(cx, asker, asked);
        }
    }

    /// Reads what an answer needs.
    fn read(&mut self, cx: &mut Context, asker: Asker, items: Vec<LogItem>, reply: ReplyFor) {
        let bytes = items.iter().map(|item| item.place.length as usize).sum();
        let under_way = self.schedule.begin(asker.link, bytes);
        cx.read_log(items, ReadFor::Reply(Reading { asker, reply, under_way }));
    }

    /// What an answer needs has been read. `sync`: how far this node has come in hearing from the others. `go_on` takes what
    /// this gives.
    pub(super) fn answer(
        &mut self,
        cx: &mut Context,
        reading: Reading,
        mut items: Vec<Result<Bytes, ReadError>>,
        sync: impl FnOnce(&Context) -> SyncState,
    ) -> UnderWay {
        let Reading { asker, reply, under_way } = reading;
        let mut first = || {
            if items.is_empty() { Err(ReadError::Gone) } else { items.swap_remove(0) }
        };
        let Asker { link, request } = asker;
        match reply {
            ReplyFor::Head { name, record, heads } => match first() {
                Ok(bytes) => {
                    self.tell_served(cx, link, Served::record(&bytes));
                    heads.reply(cx, asker, Some(bytes));
                }
                Err(ReadError::Disk(why)) => unread(cx, asker, &why),
                Err(ReadError::Gone | ReadError::Damaged) => {
                    // What a client asked is asked of the peers too, now that it is known to be damaged here.
                    self.record_damaged(cx, record);
                    self.events.push_back(Inner::AskAgain(asker, name));
                }
            },
            ReplyFor::List { ids, next, damaged } => {
                if let Some((records, lost)) = self.records(cx, asker, ids, items) {
                    let (sync, log_damage) = (sync(cx), cx.index.log_damage());
                    let damaged = damaged.saturating_add(lost);
                    cx.reply(
                        link,
                        Message::Listed { request, records, next, damaged, sync, log_damage },
                    );
                }
            }
            ReplyFor::Names { ids, found, damaged } => {
                if let Some((records, lost)) = self.records(cx, asker, ids, items) {
                    let (sync, damaged) = (sync(cx), damaged.saturating_add(lost));
                    let answer = names_listed(cx, request, records, &found, damaged, sync);
                    cx.reply(link, answer);
                }
            }
            ReplyFor::Versions { rows, next } => {
                for record in items.iter().flatten() {
                    self.tell_served(cx, link, Served::record(record));
                }
                let versions = match self.versions_read(cx, rows, items) {
                    Ok(versions) => versions,
                    Err(why) => {
                        unread(cx, asker, &why);
                        return under_way;
                    }
                };
                let (sync, log_damage) = (sync(cx), cx.index.log_damage());
                let are = Message::VersionsAre { request, versions, next, sync, log_damage };
                cx.reply(link, are);
            }
            ReplyFor::Page { address } => match first() {
                Ok(page) => {
                    self.tell_served(cx, link, Served::page(address, &page));
                    cx.reply(link, Message::Page { request, page: Some(page) });
                }
                Err(ReadError::Disk(why)) => unread(cx, asker, &why),
                Err(ReadError::Gone | ReadError::Damaged) => {
                    self.tell(Event::PageLost { asker, address });
                }
            },
        }
        under_way
    }

    /// Versions with their records. One whose record is damaged is told of without it.
    fn versions_read(
        &mut self,
        cx: &mut Context,
        rows: Vec<Row>,
        items: Vec<Result<Bytes, ReadError>>,
    ) -> Result<Vec<ListedVersion>, DiskError> {
        let mut items = items.into_iter();
        let mut versions = Vec::new();
        for Row { version, superseded, record } in rows {
            let read = record.map(|id| (id, items.next().unwrap_or(Err(ReadError::Gone))));
            let record = match read {
                Some((_, Ok(bytes))) => bytes,
                Some((_, Err(ReadError::Disk(why)))) => return Err(why),
                Some((id, Err(ReadError::Gone | ReadError::Damaged))) => {
                    self.record_damaged(cx, id);
                    Bytes::new()
                }
                None => Bytes::new(),
            };
            versions.push(ListedVersion { version, superseded, record });
        }
        Ok(versions)
    }

    /// What was read of these records, and how many of them are damaged. None if the disk would not say, which whoever asked
    /// has been told.
    fn records(
        &mut self,
        cx: &mut Context,
        asker: Asker,
        ids: Vec<RecordId>,
        items: Vec<Result<Bytes, ReadError>>,
    ) -> Option<(Vec<Bytes>, u32)> {
        let (mut records, mut damaged) = (Vec::new(), 0);
        for (id, item) in ids.into_iter().zip(items) {
            match item {
                Ok(record) => records.push(record),
                Err(ReadError::Disk(why)) => {
                    unread(cx, asker, &why);
                    return None;
                }
                Err(ReadError::Gone | ReadError::Damaged) => {
                    self.record_damaged(cx, id);
                    damaged += 1;
                }
            }
        }
        Some((records, damaged))
    }

    /// An answer is the connection's now: the next are read.
    pub(super) fn go_on(&mut self, cx: &mut Context, answer: UnderWay) {
        let link = self.schedule.end(answer);
        self.resume(cx, link);
    }

    fn record_damaged(&mut self, cx: &mut Context, record: RecordId) {
        cx.index.damage(&record);
        self.tell(Event::RecordDamaged { record });
    }

    pub(super) fn link_closed(&mut self, link: Link) {
        self.schedule.link_closed(link);
        self.build.link_closed(link);
    }

    /// What a client may ask for now stays for it. A peer has the record, or does without.
    fn tell_served(&mut self, cx: &Context, link: Link, served: Option<Served>) {
        if let Some(served) = served.filter(|_| !cx.links.leads_to_node(link)) {
            self.tell(Event::Served { link, served });
        }
    }

    fn tell(&mut self, event: Event) {
        self.events.push_back(Inner::Out(event));
    }
}

/// What stands for a name in a list is an alias, and zeros.
fn name_of(Alias(alias): Alias) -> NameId {
    let mut name = NameId::default();
    name.0[..Alias::LENGTH].copy_from_slice(&alias);
    name
}

fn alias_in(name: NameId) -> Alias {
    Alias(std::array::from_fn(|at| name.0[at]))
}

fn line(links: &Links, link: Link) -> Option<Line> {
    links.get(link).map(Peer::line)
}

/// Names in order; or that they are not, if there is no key any more to seal them with.
fn names_listed(
    cx: &Context,
    request: Request,
    records: Vec<Bytes>,
    found: &NamesFound,
    damaged: u32,
    sync: SyncState,
) -> Message {
    let log_damage = cx.index.log_damage();
    match in_order::seal(&cx.index, found) {
        Some(found) => Message::NamesListed { request, records, found, damaged, sync, log_damage },
        None => Message::NotInOrder { request },
    }
}

/// The disk would not say what it has: nothing is known to be damaged, and nothing is forgotten.
fn unread(cx: &mut Context, asker: Asker, why: &DiskError) {
    log::error!("an item of the log could not be read now: {why:?}");
    cx.refuse(asker, Reason::Unavailable, UNREAD);
}
