//! A get: the record, its pages as they are needed, its blocks a few ahead, each leaf opened when it has come.
//!
//! Of a part of a file only the pages and leaves that it touches are asked for: each is what the signed record says, and the
//! hash of the whole file, which cannot be made of them, is not looked at. Knows no stream and no other get. Invariant:
//! bytes are handed out in order, and only those of leaves that are what the signed record says.

use super::answer::{Answer, Event, Op, Source};
use super::context::Context;
use super::downloads::{Leaf, Want};
use super::entry::Entry;
use super::error::{ClientError, unexpected};
use super::heads::Told;
use super::pages::open_page;
use super::part::{Part, Span};
use crate::crypto::block::keystream;
use crate::crypto::tree::RootBuilder;
use crate::ids::{Address, Hash, NameId};
use crate::limits::{BLOCK, COMING_MAX, LEAF};
use crate::seeded::{self, Bug};
use crate::wire::message::{BlockRef, Message};
use crate::wire::page::{Entries, PageRef};
use crate::wire::record::{BlockList, Secret};
use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Blocks of one get that are on their way or wait for their turn.
const WINDOW: usize = 6;
/// A block that came damaged or broke off is asked for so often in all.
const TRIES: u8 = 3;

/// A block or page of the file's list.
struct Located<T> {
    /// Where its bytes begin in the file.
    at: u64,
    what: T,
    secret: Secret,
}

/// What a program has of a file already.
pub(super) struct Present {
    /// The first byte that is wanted.
    pub(super) from: u64,
    /// The tree hash of each of its blocks, from the first byte on.
    pub(super) here: Arc<[Hash]>,
}

/// One block of the window.
struct Slot {
    serial: u64,
    /// Where it begins in the file.
    at: u64,
    block: BlockRef,
    secret: Secret,
    /// Opened leaves that wait for those before them, up to the last one that is wanted.
    leaves: Vec<Option<Bytes>>,
    /// Leaves handed out, or not wanted.
    out: usize,
    tries: u8,
    /// It came with a leaf that is not its own.
    bad: bool,
    /// The program has it already: none of its leaves is wanted.
    is_here: bool,
}

impl Slot {
    fn is_whole(&self) -> bool {
        self.leaves.iter().skip(self.out).all(Option::is_some)
    }

    fn want(&self) -> Want {
        let count = self.leaves.len() - self.out;
        Want { serial: self.serial, block: self.block, first: self.out, count }
    }
}

/// How the stream of a block has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamEnd {
    /// All its leaves have come.
    pub(super) is_complete: bool,
    /// One of them was not the block's.
    pub(super) is_bad: bool,
}

/// See the module.
pub(super) struct Get {
    op: Op,
    /// What was asked for; of no use once the entry is known.
    name: NameId,
    entry: Option<Box<Entry>>,
    /// Blocks that are known and not asked for yet.
    pending: VecDeque<Located<BlockRef>>,
    /// Pages to open, the next one last.
    pages: Vec<Located<PageRef>>,
    page_asked: bool,
    window: VecDeque<Slot>,
    next_serial: u64,
    tree: RootBuilder,
    /// Bytes that are behind us: handed out, or not wanted.
    size: u64,
    /// What is asked for of a file whose size is not known yet; `None` for all.
    part: Option<Part>,
    span: Span,
    /// The tree hash of each block that the program may have already.
    here: Arc<[Hash]>,
    /// How often the node has said that the next block is coming since a leaf last came.
    coming: u32,
}

impl fmt::Debug for Get {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Get {
    /// Of the version that the node shows.
    pub(super) fn begin(context: &mut Context, op: Op, name: &[u8]) -> Result<Self, ClientError> {
        let name = context.ask_head(op, name)?;
        Ok(Self::new(op, name))
    }

    /// Of a version that is known, from this byte on.
    pub(super) fn begin_entry(
        context: &mut Context,
        op: Op,
        entry: Entry,
        from: u64,
    ) -> Result<Self, ClientError> {
        let mut get = Self { span: Span::rest(from), ..Self::new(op, NameId::default()) };
        get.take_entry(context, entry)?;
        Ok(get)
    }

    /// Of some bytes.
    pub(super) fn begin_part(
        context: &mut Context,
        op: Op,
        source: Source,
        part: Part,
    ) -> Result<Self, ClientError> {
        let get = Self { part: Some(part), ..Self::new(op, NameId::default()) };
        get.begin_from(context, source)
    }

    /// Of what the program does not have.
    pub(super) fn begin_missing(
        context: &mut Context,
        op: Op,
        source: Source,
        Present { from, here }: Present,
    ) -> Result<Self, ClientError> {
        let span = Span::rest(from);
        let get = Self { span, here, ..Self::new(op, NameId::default()) };
        get.begin_from(context, source)
    }

    fn begin_from(mut self, context: &mut Context, source: Source) -> Result<Self, ClientError> {
        match source {
            Source::Name(name) => self.name = context.ask_head(self.op, &name)?,
            Source::Version(entry) => self.take_entry(context, *entry)?,
        }
        Ok(self)
    }

    fn new(op: Op, name: NameId) -> Self {
        Self {
            op,
            name,
            entry: None,
            pending: VecDeque::new(),
            pages: Vec::new(),
            page_asked: false,
            window: VecDeque::new(),
            next_serial: 0,
            tree: RootBuilder::default(),
            size: 0,
            part: None,
            span: Span::rest(0),
            here: Arc::default(),
            coming: 0,
        }
    }

    pub(super) fn answered(
        &mut self,
        context: &mut Context,
        message: Message,
    ) -> Result<(), ClientError> {
        match message {
            Message::Page { page, .. } if self.page_asked => {
                self.take_page(&page.ok_or(ClientError::Unavailable)?)
            }
            message if self.entry.is_none() => {
                let entry = context.seals.open_told(&Told::of(message)?, &self.name)?;
                self.take_entry(context, entry.ok_or(ClientError::NotFound)?)
            }
            other => Err(unexpected(&other)),
        }
    }

    fn take_entry(&mut self, context: &mut Context, entry: Entry) -> Result<(), ClientError> {
        if let Some(part) = self.part {
            let bytes = part.of(entry.size)?;
            if entry.listed_bytes() != entry.size {
                return Err(not_the_file_s());
            }
            self.size = bytes.start;
            self.span = Span::part(bytes);
        }
        context.tell(Event::Found { op: self.op, entry: Box::new(entry.clone()) });
        let secrets = entry.secrets.clone();
        match &entry.list {
            BlockList::Inline(blocks) => self.add_blocks(0, blocks.clone(), secrets),
            BlockList::Pages { root, blocks, bytes, .. } => {
                let root = PageRef { address: *root, blocks: *blocks, bytes: *bytes };
                self.add_pages(0, vec![root], secrets);
            }
        }
        self.entry = Some(Box::new(entry));
        Ok(())
    }

    /// Opens the page that was asked for: its blocks are next, or the pages below it.
    fn take_page(&mut self, page: &[u8]) -> Result<(), ClientError> {
        self.page_asked = false;
        let Some(Located { at, what, secret }) = self.pages.pop() else { return Ok(()) };
        let (entries, secrets) = open_page(page, &what.address, &secret)?;
        // By these is told where in the file what is below them begins.
        if entries.totals() != (what.blocks, what.bytes) {
            return Err(not_the_file_s());
        }
        match entries {
            Entries::Blocks(blocks) => self.add_blocks(at, blocks, secrets),
            Entries::Pages { pages, .. } => self.add_pages(at, pages, secrets),
        }
        Ok(())
    }

    /// These blocks are next; the first begins at `at`. What is passed over is not among them.
    fn add_blocks(&mut self, at: u64, blocks: Vec<BlockRef>, secrets: Vec<Secret>) {
        let blocks = located(at, blocks.into_iter().zip(secrets), |block| block.length.into());
        let span = &self.span;
        let wanted = blocks.filter(|one| !span.passes_over(one.at, one.what.length.into()));
        self.pending.extend(wanted);
    }

    /// The same of pages.
    fn add_pages(&mut self, at: u64, pages: Vec<PageRef>, secrets: Vec<Secret>) {
        let pages = located(at, pages.into_iter().zip(secrets), |page| page.bytes);
        let wanted = pages.filter(|one| {
            !self.span.passes_over(one.at, one.what.bytes) || seeded::is_on(Bug::OpenAllPages)
        });
        let wanted: Vec<_> = wanted.collect();
        self.pages.extend(wanted.into_iter().rev());
    }

    /// Bytes that wait for those before them.
    pub(super) fn held_bytes(&self) -> usize {
        let leaves = self.window.iter().flat_map(|slot| &slot.leaves).flatten();
        leaves.map(Bytes::len).sum()
    }

    /// Whether it can go on by asking for a block.
    pub(super) fn wants_block(&self) -> bool {
        self.window.len() < WINDOW && !self.pending.is_empty()
    }

    /// The next block, which is in the window from now on. `None` if nothing of it is wanted.
    pub(super) fn next_block(&mut self, context: &mut Context) -> Option<Want> {
        let Located { at, what: block, secret } = self.pending.pop_front()?;
        let wanted = self.span.leaves(at, block.length);
        if wanted.is_empty() {
            // Only its place in the file's tree counts.
            self.tree.push(Hash(secret.tree));
            self.size = at + u64::from(block.length);
            return None;
        }
        self.next_serial += 1;
        let is_here = wanted.start == 0 && self.is_here(at, &secret);
        let wanted = if is_here { 0..0 } else { wanted };
        let (serial, out, leaves) = (self.next_serial, wanted.start, vec![None; wanted.end]);
        let slot = Slot { serial, at, block, secret, leaves, out, tries: 1, bad: false, is_here };
        let want = slot.want();
        self.window.push_back(slot);
        if is_here {
            self.hand_out(context);
            return None;
        }
        Some(want)
    }

    /// The program has this block, where it belongs. A file is cut into blocks of `BLOCK` bytes; of one that is cut otherwise
    /// what is behind a shorter block is fetched.
    fn is_here(&self, at: u64, secret: &Secret) -> bool {
        let is_aligned = at.is_multiple_of(BLOCK as u64);
        let found = usize::try_from(at / BLOCK as u64).ok().and_then(|at| self.here.get(at));
        let is_same = |hash: &Hash| hash.0 == secret.tree || seeded::is_on(Bug::TrustDraft);
        is_aligned && found.is_some_and(is_same)
    }

    /// When no block can be asked for now: asks for a page, or tells what it has come to.
    pub(super) fn advance(&mut self, context: &mut Context) -> Result<Option<Answer>, ClientError> {
        if self.entry.is_none() {
            return Ok(None);
        }
        if self.pending.len() < WINDOW
            && !self.page_asked
            && let Some(page) = self.pages.last()
        {
            let (address, request) = (page.what.address, context.request(self.op));
            self.page_asked = true;
            context.send(Message::GetPage { request, address });
        }
        if self.window.is_empty() && self.pending.is_empty() && self.pages.is_empty() {
            return self.end();
        }
        Ok(None)
    }

    fn end(&mut self) -> Result<Option<Answer>, ClientError> {
        let Some(entry) = self.entry.take() else { return Ok(None) };
        let is_all = match self.span.is_part() {
            true => self.size >= self.span.end(),
            false => self.size == entry.size && self.tree.finish() == entry.hash,
        };
        if is_all { Ok(Some(Answer::Got(entry))) } else { Err(not_the_file_s()) }
    }

    /// A leaf has come, and is its block's: it is opened, and handed out when its turn comes. False if nobody waits for it.
    pub(super) fn leaf(&mut self, context: &mut Context, leaf: Leaf) -> bool {
        let slot = self.window.iter_mut().find(|slot| slot.serial == leaf.serial);
        let Some(slot) = slot else { return false };
        let index = leaf.index;
        if index >= slot.leaves.len() || index < slot.out || slot.leaves[index].is_some() {
            return false;
        }
        let mut plain = Vec::from(leaf.data);
        keystream(&slot.secret.key, &mut plain, (index * LEAF) as u64);
        slot.leaves[index] = Some(Bytes::from(plain));
        self.coming = 0;
        self.hand_out(context);
        true
    }

    /// Hands out what is next in order.
    fn hand_out(&mut self, context: &mut Context) {
        while let Some(slot) = self.window.front_mut() {
            if slot.out == slot.leaves.len() {
                if slot.is_here {
                    let bytes = u64::from(slot.block.length);
                    self.size = slot.at + bytes;
                    context.tell(Event::Here { op: self.op, bytes });
                }
                self.tree.push(Hash(slot.secret.tree));
                self.window.pop_front();
                continue;
            }
            let Some(bytes) = slot.leaves[slot.out].take() else { return };
            let at = slot.at + (slot.out * LEAF) as u64;
            slot.out += 1;
            self.size = at + bytes.len() as u64;
            let bytes = self.span.cut(at, bytes);
            context.tell(Event::Data { op: self.op, bytes });
        }
    }

    /// A stream is over: complete, or broken off by the node. Gives what is to be asked for again.
    pub(super) fn stream_ended(
        &mut self,
        serial: u64,
        end: StreamEnd,
    ) -> Result<Option<Want>, ClientError> {
        let slot = self.window.iter_mut().find(|slot| slot.serial == serial);
        let Some(slot) = slot.filter(|slot| !slot.is_whole()) else { return Ok(None) };
        if slot.tries == TRIES {
            let what = format!("block {} came damaged {TRIES} times", slot.block.address);
            let is_damaged = end.is_bad || end.is_complete;
            return Err(match is_damaged {
                true => ClientError::Damaged(what),
                false => ClientError::Unavailable,
            });
        }
        slot.tries += 1;
        slot.bad |= end.is_bad;
        Ok(Some(slot.want()))
    }

    /// The node does not have a block yet, and waits for it itself. True if this get waits on for it; not for ever.
    pub(super) fn waits_on(&mut self, serial: u64) -> bool {
        let is_next = self.window.front().is_some_and(|slot| slot.serial == serial);
        let is_believed = self.coming < COMING_MAX || seeded::is_on(Bug::BelieveComing);
        let waits = is_next && is_believed;
        self.coming += u32::from(waits);
        waits
    }

    /// The node cannot give a block, or what it has of it is damaged: what the get comes to.
    pub(super) fn cannot_have(
        &mut self,
        serial: u64,
        address: Address,
        is_damaged: bool,
    ) -> Result<Answer, ClientError> {
        let entry = self.entry.take().filter(|_| seeded::is_on(Bug::PassPrefix));
        if let Some(entry) = entry {
            return Ok(Answer::Got(entry));
        }
        // Whoever had it says no more than that it is gone: what is wrong with it was seen before.
        let mut slots = self.window.iter();
        if is_damaged || slots.any(|slot| slot.serial == serial && slot.bad) {
            let what = format!("block {address}, and no node that can be reached has it whole");
            return Err(ClientError::Damaged(what));
        }
        Err(ClientError::Unavailable)
    }
}

/// Where each of these begins in the file, of which the first begins at `at`.
fn located<T>(
    mut at: u64,
    all: impl Iterator<Item = (T, Secret)>,
    length: impl Fn(&T) -> u64,
) -> impl Iterator<Item = Located<T>> {
    all.map(move |(what, secret)| {
        let begins = at;
        at += length(&what);
        Located { at: begins, what, secret }
    })
}

fn not_the_file_s() -> ClientError {
    ClientError::Damaged("the blocks are not the file's".to_owned())
}
