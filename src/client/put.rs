//! A put: plaintext in, sealed blocks out, and at the end the record that names them.
//!
//! Invariant: the record is sent when every block and page that it names is durable on the node, or comes with it.

use super::answer::{Answer, Event, Op};
use super::error::{ClientError, damaged_heads};
use super::permit::Brought;
use super::seal::{Heads, ListMaker, MadePage, Meta, secret_of};
use super::session::{Kind, Session, unexpected};
use crate::crypto::block::{SHARED, seal_block};
use crate::crypto::data::SpaceKeys;
use crate::crypto::tree::RootBuilder;
use crate::ids::{Hash, NameId, VersionId};
use crate::limits::{BLOCK, INLINE_BLOCK_MAX};
use crate::wire::condition::Condition;
use crate::wire::message::{BlockRef, Message};
use crate::wire::record::{BlockList, Record, Secret};
use bytes::Bytes;
use std::fmt;

/// Sealed blocks of one put that the node does not have durably yet.
const WINDOW: usize = 16;
/// Pages of one put that are on their way; a put with more waits for them.
const PAGES: usize = 4;

enum Stage {
    /// Takes plaintext.
    Feeding,
    /// All is sealed; waits for the node to have it, and for the name's versions.
    Settling,
    /// The record is on its way.
    Committing(VersionId),
}

pub(super) struct Put {
    meta: Meta,
    name: NameId,
    only_if_absent: bool,
    keys: SpaceKeys,
    stage: Stage,
    buffer: Vec<u8>,
    size: u64,
    tree: RootBuilder,
    maker: Option<ListMaker>,
    list: Option<(BlockList, Vec<Secret>)>,
    /// The only block, if it may go with the record.
    small: Option<Bytes>,
    blocks: usize,
    pages: usize,
    heads: Option<Heads>,
    /// `NeedData` was said, and not answered.
    asked: bool,
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Put {
    /// How many bytes can be fed now.
    fn room(&self) -> usize {
        match self.stage {
            Stage::Feeding if self.blocks < WINDOW && self.pages < PAGES => {
                BLOCK - self.buffer.len()
            }
            Stage::Feeding | Stage::Settling | Stage::Committing(_) => 0,
        }
    }

    pub(super) fn block_done(&mut self) {
        self.blocks -= 1;
    }

    pub(super) fn waits_for_node(&self) -> bool {
        self.room() == 0
    }

    fn hash(&self) -> Hash {
        self.tree.finish()
    }
}

impl Session {
    pub(super) fn begin_put(
        &mut self,
        _op: Op,
        meta: Meta,
        only_if_absent: bool,
    ) -> Result<Kind, ClientError> {
        self.seals.write_key()?;
        Ok(Kind::Put(Box::new(Put {
            name: self.seals.name_id(&meta.name)?,
            keys: self.seals.keys()?,
            meta,
            only_if_absent,
            stage: Stage::Feeding,
            buffer: Vec::new(),
            size: 0,
            tree: RootBuilder::default(),
            maker: Some(ListMaker::default()),
            list: None,
            small: None,
            blocks: 0,
            pages: 0,
            heads: None,
            asked: false,
        })))
    }

    fn put_of(&mut self, op: Op) -> Option<&mut Put> {
        match &mut self.ops.get_mut(&op)?.kind {
            Kind::Put(put) => Some(put),
            Kind::Get(_) | Kind::Ask(_) => None,
        }
    }

    /// Gives a put its next bytes. Says how many it has taken.
    pub fn feed(&mut self, op: Op, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(put) = self.put_of(op) {
            let count = put.room().min(bytes.len() - taken);
            if count == 0 {
                break;
            }
            if put.buffer.capacity() == 0 && bytes.len() > INLINE_BLOCK_MAX {
                put.buffer.reserve_exact(BLOCK);
            }
            put.buffer.extend_from_slice(&bytes[taken..taken + count]);
            put.asked = false;
            taken += count;
            if put.buffer.len() == BLOCK {
                self.seal_buffer(op, false);
            }
        }
        self.advance(op);
        taken
    }

    /// The put has all its bytes.
    pub fn feed_end(&mut self, op: Op) {
        let Some(put) = self.put_of(op) else { return };
        if !put.buffer.is_empty() {
            self.seal_buffer(op, true);
        }
        let Some(put) = self.put_of(op) else { return };
        let Some(maker) = put.maker.take() else { return };
        put.stage = Stage::Settling;
        let name = put.name;
        let (list, secrets, made) = maker.finish(&put.keys);
        put.list = Some((list, secrets));
        self.send_pages(op, made);
        self.ask_for_heads(op, name);
        self.advance(op);
    }

    fn ask_for_heads(&mut self, op: Op, name: NameId) {
        let (request, space) = (self.request(op), self.seals.space());
        self.send(&Message::Head { request, space, name, relay: true });
    }

    /// The name is not what it was: its versions are asked for again, and the record made anew.
    pub(super) fn put_again(&mut self, op: Op) -> bool {
        let Some(put) = self.put_of(op) else { return false };
        put.stage = Stage::Settling;
        let name = put.name;
        self.ask_for_heads(op, name);
        true
    }

    /// Seals what has been gathered into a block, and offers it; a file's only block may wait for the record instead.
    fn seal_buffer(&mut self, op: Op, last: bool) {
        let Some(put) = self.put_of(op) else { return };
        let mut data = std::mem::take(&mut put.buffer);
        let sealed = seal_block(&put.keys, &SHARED, &mut data);
        let length = u32::try_from(data.len()).expect("a block is at most 1 MiB");
        let block = BlockRef { address: sealed.address, length };
        let only = last && put.size == 0 && data.len() <= INLINE_BLOCK_MAX;
        put.size += u64::from(length);
        put.tree.push(Hash(sealed.secret.tree));
        let Some(maker) = &mut put.maker else { return };
        let made = maker.push(&put.keys, block, secret_of(&sealed.secret));
        if only {
            put.small = Some(Bytes::from(data));
        } else {
            put.blocks += 1;
            self.offer(op, sealed, Bytes::from(data));
        }
        self.send_pages(op, made);
    }

    fn send_pages(&mut self, op: Op, made: Vec<MadePage>) {
        for (address, page) in made {
            if let Some(put) = self.put_of(op) {
                put.pages += 1;
            }
            let request = self.request(op);
            self.bring(request, Brought::Page(address, page));
        }
    }

    pub(super) fn put_answered(&mut self, op: Op, message: Message) -> Result<(), ClientError> {
        let Some(put) = self.put_of(op) else { return Ok(()) };
        match message {
            Message::PageDone { .. } => put.pages -= 1,
            Message::Heads { clock, versions, all, future, log_damage, kept, shown, .. } => {
                put.heads = Some(Heads { clock, versions, all, future, log_damage, kept });
                if put.only_if_absent {
                    let name = put.name;
                    let told = (log_damage, kept);
                    let entry = self.seals.open_told(shown.as_deref(), &name, told)?;
                    if entry.is_some() {
                        return Err(ClientError::Exists);
                    }
                }
            }
            Message::DamagedHeads { kept, .. } if put.only_if_absent => {
                return Err(damaged_heads(kept));
            }
            // What comes now supersedes what is damaged: to write it anew is how it is mended.
            Message::DamagedHeads { clock, versions, all, future, .. } => {
                put.heads = Some(Heads { clock, versions, all, future, ..Heads::default() });
            }
            Message::PutDone { copies, .. } => {
                let Stage::Committing(version) = put.stage else {
                    return Err(ClientError::Protocol("a put that was not asked for".to_owned()));
                };
                let (hash, size) = (put.hash(), put.size);
                self.finish(op, Ok(Answer::Put { copies, version, hash, size }));
            }
            other => return Err(unexpected(&other)),
        }
        Ok(())
    }

    /// Asks for more input; or sends the record, when everything is ready for it.
    pub(super) fn advance_put(&mut self, op: Op) -> Result<(), ClientError> {
        let Some(put) = self.put_of(op) else { return Ok(()) };
        match put.stage {
            Stage::Feeding => {
                let room = put.room();
                if room > 0 && !put.asked {
                    if !self.uploads.has_room() {
                        self.uploads.held_back.push_back(op);
                        return Ok(());
                    }
                    let Some(put) = self.put_of(op) else { return Ok(()) };
                    put.asked = true;
                    self.events.push_back(Event::NeedData { op, room });
                }
                Ok(())
            }
            Stage::Settling if put.blocks == 0 && put.pages == 0 => match put.heads.take() {
                Some(heads) => self.send_record(op, &heads),
                None => Ok(()),
            },
            Stage::Settling | Stage::Committing(_) => Ok(()),
        }
    }

    fn send_record(&mut self, op: Op, heads: &Heads) -> Result<(), ClientError> {
        let Some(put) = self.put_of(op) else { return Ok(()) };
        let Some(list) = put.list.clone() else { return Ok(()) };
        let (meta, what, small) = (put.meta.clone(), (put.size, put.hash()), put.small.clone());
        let condition = if put.only_if_absent { Condition::Absent } else { Condition::Newest };
        let record = self.seals.file(heads, &meta, what, list)?;
        let version = Record::decode(&record).map(|record| record.version).unwrap_or_default();
        if let Some(put) = self.put_of(op) {
            put.stage = Stage::Committing(version);
        }
        let request = self.request(op);
        let (records, blocks) = (vec![record], small.into_iter().collect());
        self.send(&Message::Put { request, conditions: vec![condition], records, blocks });
        Ok(())
    }
}
