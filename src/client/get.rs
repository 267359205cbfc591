//! A get: the record, its pages as they are needed, its blocks a few ahead, each leaf checked before it is opened.
//!
//! Invariant: bytes are handed out in order, and only those of leaves that are what the signed record says.

use super::answer::{Answer, Event, Op};
use super::error::{ClientError, damaged_heads};
use super::seal::{Entry, open_page};
use super::session::{Kind, Session, unexpected};
use crate::crypto::block::keystream;
use crate::crypto::tree::{RootBuilder, leaf_hash};
use crate::ids::{Address, Hash, NameId};
use crate::limits::{COMING_MAX, LEAF, WANTS_MAX};
use crate::planted::{self, Bug};
use crate::wire::frame::{Open, leaves_of};
use crate::wire::message::{BlockRef, Message};
use crate::wire::page::Entries;
use crate::wire::record::{BlockList, Secret};
use bytes::{Buf, Bytes};
use std::collections::{HashMap, VecDeque};
use std::fmt;

/// Blocks of one get that are on their way or wait for their turn.
const WINDOW: usize = 6;
/// Blocks that all gets of one connection together wait for: fewer than a node bears.
const WANTS: usize = WANTS_MAX / 2;
/// A block that came damaged or broke off is asked for so often in all.
const TRIES: u8 = 3;

/// One block of the window.
struct Slot {
    serial: u64,
    block: BlockRef,
    secret: Secret,
    /// Opened leaves that wait for those before them.
    leaves: Vec<Option<Bytes>>,
    /// Leaves handed out.
    out: usize,
    tries: u8,
    /// It came with a leaf that is not its own.
    bad: bool,
}

impl Slot {
    fn is_whole(&self) -> bool {
        self.leaves.iter().skip(self.out).all(Option::is_some)
    }
}

pub(super) struct Get {
    /// What was asked for; of no use once the entry is known.
    name: NameId,
    entry: Option<Box<Entry>>,
    /// Blocks that are known and not asked for yet.
    lines: VecDeque<(BlockRef, Secret)>,
    /// Pages to open, the next one last.
    pages: Vec<(Address, Secret)>,
    page_asked: bool,
    window: VecDeque<Slot>,
    tree: RootBuilder,
    /// Bytes that are behind us: handed out, or not wanted.
    size: u64,
    /// The first byte that is wanted.
    from: u64,
    /// How often the node has said that the next block is coming since a leaf last came.
    coming: u32,
}

impl fmt::Debug for Get {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get").field("size", &self.size).finish_non_exhaustive()
    }
}

/// The stream that is coming in.
struct Incoming {
    op: Op,
    serial: u64,
    open: Open,
    bad: bool,
}

/// Who waits for which block.
#[derive(Default)]
pub(super) struct Downloads {
    /// For each address the slots that want it, in the order of the wants.
    wanted: HashMap<Address, VecDeque<(Op, u64)>>,
    incoming: Option<Incoming>,
    next_serial: u64,
    /// Wants that no stream has answered yet.
    waiting: usize,
    /// Gets that may want more once there are fewer.
    held_back: VecDeque<Op>,
}

impl Downloads {
    /// Blocks that may come before what somebody asks for now.
    pub(super) fn waiting(&self) -> usize {
        self.waiting + self.held_back.len()
    }

    /// The streams of an operation that has ended still come; nobody looks at them.
    pub(super) fn forget(&mut self, op: Op) {
        if self.incoming.as_ref().is_some_and(|incoming| incoming.op == op) {
            self.incoming = None;
        }
        self.held_back.retain(|other| *other != op);
    }

    fn next_for(&mut self, address: &Address) -> Option<(Op, u64)> {
        let waiting = self.wanted.get_mut(address)?;
        let next = waiting.pop_front();
        self.waiting -= usize::from(next.is_some());
        if waiting.is_empty() {
            self.wanted.remove(address);
        }
        next
    }
}

impl Session {
    pub(super) fn begin_get(&mut self, op: Op, name: &[u8]) -> Result<Kind, ClientError> {
        let name = self.seals.name_id(name)?;
        let (request, space) = (self.request(op), self.seals.space());
        self.send(&Message::Head { request, space, name, relay: true });
        Ok(Kind::Get(Box::new(Get::new(name))))
    }

    pub(super) fn begin_get_entry(
        &mut self,
        op: Op,
        entry: Entry,
        from: u64,
    ) -> Result<Kind, ClientError> {
        let mut get = Get { from, ..Get::new(NameId::default()) };
        self.events.push_back(Event::Found { op, entry: Box::new(entry.clone()) });
        get.take_entry(entry);
        Ok(Kind::Get(Box::new(get)))
    }

    fn get_of(&mut self, op: Op) -> Option<&mut Get> {
        match &mut self.ops.get_mut(&op)?.kind {
            Kind::Get(get) => Some(get),
            Kind::Put(_) | Kind::Ask(_) => None,
        }
    }

    pub(super) fn get_answered(&mut self, op: Op, message: Message) -> Result<(), ClientError> {
        match message {
            Message::Heads { shown, log_damage, kept, .. } => {
                let Some(name) = self.get_of(op).map(|get| get.name) else { return Ok(()) };
                let entry = self.seals.open_told(shown.as_deref(), &name, (log_damage, kept))?;
                let entry = entry.ok_or(ClientError::NotFound)?;
                self.events.push_back(Event::Found { op, entry: Box::new(entry.clone()) });
                if let Some(get) = self.get_of(op) {
                    get.take_entry(entry);
                }
            }
            Message::DamagedHeads { kept, .. } => return Err(damaged_heads(kept)),
            Message::Page { page, .. } => {
                let page = page.ok_or(ClientError::Unavailable)?;
                if let Some(get) = self.get_of(op) {
                    get.take_page(&page)?;
                }
            }
            other => return Err(unexpected(&other)),
        }
        Ok(())
    }

    /// Asks for what comes next, or ends.
    pub(super) fn advance_get(&mut self, op: Op) -> Result<(), ClientError> {
        while let Some(get) = self.get_of(op) {
            if get.entry.is_none() {
                return Ok(());
            }
            let more = get.window.len() < WINDOW && !get.lines.is_empty();
            if more && self.downloads.waiting >= WANTS {
                self.downloads.held_back.push_back(op);
                return Ok(());
            }
            let Some(get) = self.get_of(op) else { return Ok(()) };
            if more && let Some((block, secret)) = get.lines.pop_front() {
                if !get.skips(&block, &secret) {
                    self.want_block(op, block, secret);
                }
                continue;
            }
            let lines_low = get.lines.len() < WINDOW;
            if lines_low
                && !get.page_asked
                && let Some((address, _)) = get.pages.last()
            {
                let address = *address;
                get.page_asked = true;
                let request = self.request(op);
                self.send(&Message::GetPage { request, address });
            }
            break;
        }
        let Some(get) = self.get_of(op) else { return Ok(()) };
        if get.window.is_empty() && get.lines.is_empty() && get.pages.is_empty() {
            return self.end_get(op);
        }
        Ok(())
    }

    fn end_get(&mut self, op: Op) -> Result<(), ClientError> {
        let Some(get) = self.get_of(op) else { return Ok(()) };
        let Some(entry) = get.entry.take() else { return Ok(()) };
        if get.size != entry.size || get.tree.finish() != entry.hash {
            return Err(ClientError::Damaged("the blocks are not the file's".to_owned()));
        }
        self.finish(op, Ok(Answer::Got(entry)));
        Ok(())
    }

    fn want_block(&mut self, op: Op, block: BlockRef, secret: Secret) {
        self.downloads.next_serial += 1;
        let serial = self.downloads.next_serial;
        let leaves = vec![None; leaves_of(block.length)];
        let Some(get) = self.get_of(op) else { return };
        let out = get.skip_leaves(&block);
        get.window.push_back(Slot { serial, block, secret, leaves, out, tries: 1, bad: false });
        self.send_want(op, serial, (block, out));
    }

    /// Asks for a block from this leaf on.
    fn send_want(&mut self, op: Op, serial: u64, (block, first): (BlockRef, usize)) {
        self.downloads.wanted.entry(block.address).or_default().push_back((op, serial));
        self.downloads.waiting += 1;
        let leaf = |leaf: usize| u8::try_from(leaf).expect("a block has 32 leaves");
        let count = leaf(leaves_of(block.length) - first);
        self.send(&Message::Want { block, first: leaf(first), count });
    }

    /// A stream begins; the hashes in it are the address's.
    pub(super) fn opened(&mut self, open: Open) {
        let next = self.downloads.next_for(&open.address);
        self.downloads.incoming =
            next.map(|(op, serial)| Incoming { op, serial, open, bad: false });
        self.wake_held_back();
    }

    /// A want was answered: a get that held back for want of room goes on.
    fn wake_held_back(&mut self) {
        if self.downloads.waiting < WANTS
            && let Some(op) = self.downloads.held_back.pop_front()
        {
            self.downloads.held_back.retain(|other| *other != op);
            self.advance(op);
        }
    }

    /// A leaf: checked, opened, and handed out when its turn comes.
    pub(super) fn chunk(&mut self, index: u8, data: Bytes) {
        let Some(incoming) = &mut self.downloads.incoming else { return };
        let index = usize::from(index);
        let (op, serial) = (incoming.op, incoming.serial);
        let is_right = incoming.open.leaves.get(index) == Some(&leaf_hash(&data));
        if !is_right && !planted::is_on(Bug::SkipReadCheck) {
            incoming.bad = true;
            return;
        }
        let Some(get) = self.get_of(op) else { return };
        let Some(slot) = get.window.iter_mut().find(|slot| slot.serial == serial) else { return };
        if index >= slot.leaves.len() || index < slot.out || slot.leaves[index].is_some() {
            return;
        }
        let mut plain = Vec::from(data);
        keystream(&slot.secret.key, &mut plain, (index * LEAF) as u64);
        slot.leaves[index] = Some(Bytes::from(plain));
        get.coming = 0;
        self.came_on(op);
        self.hand_out(op);
    }

    /// Hands out what is next in order.
    fn hand_out(&mut self, op: Op) {
        while let Some(get) = self.get_of(op) {
            let Some(slot) = get.window.front_mut() else { return };
            if slot.out == slot.leaves.len() {
                get.tree.push(Hash(slot.secret.tree));
                get.window.pop_front();
                continue;
            }
            let Some(mut bytes) = slot.leaves[slot.out].take() else { return };
            slot.out += 1;
            let unwanted = usize::try_from(get.from.saturating_sub(get.size)).unwrap_or(LEAF);
            get.size += bytes.len() as u64;
            bytes.advance(unwanted.min(bytes.len()));
            self.events.push_back(Event::Data { op, bytes });
        }
    }

    /// A stream is over: complete, or broken off by the node.
    pub(super) fn stream_ended(&mut self, complete: bool) {
        let Some(incoming) = self.downloads.incoming.take() else { return };
        let Incoming { op, serial, open, bad } = incoming;
        if bad {
            self.send(&Message::Suspect { address: open.address });
        }
        let Some(get) = self.get_of(op) else { return };
        let slot = get.window.iter_mut().find(|slot| slot.serial == serial);
        let again = slot.filter(|slot| !slot.is_whole());
        match again {
            Some(slot) if slot.tries == TRIES => {
                let what = format!("block {} came damaged {TRIES} times", open.address);
                let error = if bad || complete {
                    ClientError::Damaged(what)
                } else {
                    ClientError::Unavailable
                };
                self.finish(op, Err(error));
            }
            Some(slot) => {
                slot.tries += 1;
                slot.bad |= bad;
                let rest = (slot.block, slot.out);
                self.send_want(op, serial, rest);
            }
            None => self.advance(op),
        }
    }

    /// The node does not have a block yet, and waits for it itself: whoever wants it next waits on, but not for ever.
    pub(super) fn coming(&mut self, address: &Address) {
        let Some(waiting) = self.downloads.wanted.get(address) else { return };
        for (op, serial) in waiting.clone() {
            let Some(get) = self.get_of(op) else { continue };
            let is_next = get.window.front().is_some_and(|slot| slot.serial == serial);
            let is_believed = get.coming < COMING_MAX || planted::is_on(Bug::BelieveComing);
            if is_next && is_believed {
                get.coming += 1;
                self.came_on(op);
            }
        }
    }

    /// The node can't give, or could not take, a block; or what it has of it is damaged.
    pub(super) fn absent(&mut self, address: Address, is_damaged: bool) {
        if let Some((op, serial)) = self.downloads.next_for(&address) {
            if let Some(get) = self.get_of(op) {
                let entry = get.entry.take().filter(|_| planted::is_on(Bug::PassPrefix));
                // Whoever had it says no more than that it is gone: what is wrong with it was seen before.
                let mut slots = get.window.iter();
                let error = if is_damaged || slots.any(|slot| slot.serial == serial && slot.bad) {
                    let what =
                        format!("block {address}, and no node that can be reached has it whole");
                    ClientError::Damaged(what)
                } else {
                    ClientError::Unavailable
                };
                self.finish(op, entry.map(Answer::Got).ok_or(error));
            }
            return self.wake_held_back();
        }
        self.not_taken(&address, &ClientError::NotTaken);
    }
}

impl Get {
    fn new(name: NameId) -> Self {
        Self {
            name,
            entry: None,
            lines: VecDeque::new(),
            pages: Vec::new(),
            page_asked: false,
            window: VecDeque::new(),
            tree: RootBuilder::default(),
            size: 0,
            from: 0,
            coming: 0,
        }
    }

    /// True if none of the next block is wanted: only its place in the file's tree counts.
    fn skips(&mut self, block: &BlockRef, secret: &Secret) -> bool {
        let end = self.size + u64::from(block.length);
        let skips = self.window.is_empty() && end <= self.from;
        if skips {
            self.tree.push(Hash(secret.tree));
            self.size = end;
        }
        skips
    }

    /// The first leaf of the next block that is wanted. What is before it counts as behind us.
    fn skip_leaves(&mut self, block: &BlockRef) -> usize {
        if !self.window.is_empty() {
            return 0;
        }
        let unwanted = self.from.saturating_sub(self.size).min(u64::from(block.length));
        let leaves = unwanted / LEAF as u64;
        self.size += leaves * LEAF as u64;
        usize::try_from(leaves).expect("a block has 32 leaves")
    }

    fn take_entry(&mut self, entry: Entry) {
        let secrets = entry.secrets.clone();
        match &entry.list {
            BlockList::Inline(blocks) => self.lines.extend(blocks.iter().copied().zip(secrets)),
            BlockList::Pages { root, .. } => {
                self.pages.extend(secrets.into_iter().map(|secret| (*root, secret)));
            }
        }
        self.entry = Some(Box::new(entry));
    }

    /// Opens the page that was asked for: its blocks are next, or the pages below it.
    fn take_page(&mut self, page: &[u8]) -> Result<(), ClientError> {
        self.page_asked = false;
        let Some((address, secret)) = self.pages.pop() else { return Ok(()) };
        let (entries, secrets) = open_page(page, &address, &secret)?;
        match entries {
            Entries::Blocks(blocks) => self.lines.extend(blocks.into_iter().zip(secrets)),
            Entries::Pages { pages, .. } => {
                let below = pages.iter().map(|page| page.address).zip(secrets);
                self.pages.extend(below.collect::<Vec<_>>().into_iter().rev());
            }
        }
        Ok(())
    }
}
