//! A put: plaintext in, sealed blocks out, and at the end the record that names them.
//!
//! Knows no block's way to the node: what it has made is polled. Invariant: the record is sent when every block and page
//! that it names is durable on the node, or comes with it.

use super::answer::{Answer, Event, Op};
use super::context::Context;
use super::entry::{Content, Entry, Meta, Overwrite};
use super::error::{ClientError, unexpected};
use super::heads::{Heads, Told};
use super::machine::Step;
use super::pages::{ListMaker, MadePage, secret_of};
use crate::crypto::block::{SHARED, SealedBlock, seal_block};
use crate::crypto::data::SpaceKeys;
use crate::crypto::tree::RootBuilder;
use crate::ids::{Hash, NameId, VersionId};
use crate::limits::{BLOCK, INLINE_BLOCK_MAX};
use crate::seeded::{self, Bug};
use crate::wire::attributes::Attributes;
use crate::wire::condition::Condition;
use crate::wire::message::{BlockRef, Message};
use crate::wire::record::{BlockList, Secret};
use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt;

/// Sealed blocks of one put that the node does not have durably yet.
const WINDOW: usize = 16;
/// Pages of one put that are on their way; a put with more waits for them.
const PAGES: usize = 4;

/// What is to be brought to the node.
pub(super) enum Made {
    Block(SealedBlock, Bytes),
    Page(MadePage),
}

enum Stage {
    /// Waits for the name's versions, which may make it needless to ask for plaintext.
    Comparing,
    /// Takes plaintext.
    Feeding(Box<ListMaker>),
    /// All is sealed; waits for the node to have it, and for the name's versions.
    Settling(Versions),
    /// The record is on its way.
    Committing(VersionId),
}

/// Of the name.
enum Versions {
    ToAsk,
    Asked,
    Told(Heads),
    /// The only one says what this put would say.
    Unchanged(VersionId),
}

/// The blocks of a file that is sealed.
#[derive(Clone, Default)]
struct List {
    list: Option<(BlockList, Vec<Secret>)>,
    /// The only block, if it may go with the record.
    small: Option<(SealedBlock, Bytes)>,
}

/// See the module.
pub(super) struct Put {
    op: Op,
    meta: Meta,
    name: NameId,
    overwrite: Overwrite,
    keys: SpaceKeys,
    stage: Stage,
    buffer: Vec<u8>,
    size: u64,
    tree: RootBuilder,
    /// The name's versions when they were compared.
    compared: Option<Heads>,
    sealed: List,
    made: VecDeque<Made>,
    /// On their way to the node.
    blocks: usize,
    pages: usize,
    /// `NeedData` was said, and not answered.
    asked: bool,
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Put {
    pub(super) fn begin(
        context: &mut Context,
        op: Op,
        meta: Meta,
        overwrite: Overwrite,
    ) -> Result<Self, ClientError> {
        context.seals.write_key()?;
        if !meta.attributes.fit() {
            return Err(ClientError::LongAttributes);
        }
        let (name, keys) = (context.seals.name_id(&meta.name)?, context.seals.keys()?);
        let stage = match overwrite {
            Overwrite::IfOutdated { .. } => {
                context.ask_versions(op, name);
                Stage::Comparing
            }
            Overwrite::Always | Overwrite::Never | Overwrite::IfChanged => {
                Stage::Feeding(Box::default())
            }
        };
        Ok(Self {
            op,
            name,
            keys,
            meta,
            overwrite,
            stage,
            buffer: Vec::new(),
            size: 0,
            tree: RootBuilder::default(),
            compared: None,
            sealed: List::default(),
            made: VecDeque::new(),
            blocks: 0,
            pages: 0,
            asked: false,
        })
    }

    /// Plaintext that is not a block yet.
    pub(super) fn held_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// How many bytes can be fed now.
    fn room(&self) -> usize {
        match self.stage {
            Stage::Feeding(_) if self.blocks < WINDOW && self.pages < PAGES => {
                BLOCK - self.buffer.len()
            }
            Stage::Comparing | Stage::Feeding(_) | Stage::Settling(_) | Stage::Committing(_) => 0,
        }
    }

    /// It can go on only with more plaintext, and has not said so.
    pub(super) fn wants_input(&self) -> bool {
        self.room() > 0 && !self.asked
    }

    /// Not so while it waits for its input.
    pub(super) fn waits_for_node(&self) -> bool {
        self.room() == 0
    }

    /// Takes the next bytes. Says how many.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        loop {
            let count = self.room().min(bytes.len() - taken);
            if count == 0 {
                return taken;
            }
            if self.buffer.capacity() == 0 && bytes.len() > INLINE_BLOCK_MAX {
                self.buffer.reserve_exact(BLOCK);
            }
            self.buffer.extend_from_slice(&bytes[taken..taken + count]);
            self.asked = false;
            taken += count;
            if self.buffer.len() == BLOCK {
                self.seal_buffer(false);
            }
        }
    }

    /// It has all its bytes.
    pub(super) fn feed_end(&mut self) {
        if !self.buffer.is_empty() {
            self.seal_buffer(true);
        }
        let settling = Stage::Settling(self.fresh_versions());
        match std::mem::replace(&mut self.stage, settling) {
            Stage::Feeding(maker) => self.end_list(*maker),
            // Nobody waited for the comparison: what is asked already is answered later.
            Stage::Comparing => {
                self.stage = Stage::Settling(Versions::Asked);
                self.end_list(ListMaker::default());
            }
            // It had them before.
            stage @ (Stage::Settling(_) | Stage::Committing(_)) => self.stage = stage,
        }
    }

    /// What was told of the name's versions, if that was a moment ago: a large file takes long, and they are asked for
    /// again.
    fn fresh_versions(&mut self) -> Versions {
        let is_small = self.size <= INLINE_BLOCK_MAX as u64;
        self.compared.take().filter(|_| is_small).map_or(Versions::ToAsk, Versions::Told)
    }

    fn end_list(&mut self, maker: ListMaker) {
        let (list, secrets, made) = maker.finish(&self.keys);
        self.sealed.list = Some((list, secrets));
        self.add_pages(made);
    }

    /// Seals what has been gathered into a block; a file's only block may wait for the record.
    fn seal_buffer(&mut self, last: bool) {
        let Stage::Feeding(maker) = &mut self.stage else { return };
        let mut data = std::mem::take(&mut self.buffer);
        let sealed = seal_block(&self.keys, &SHARED, &mut data);
        let length = u32::try_from(data.len()).expect("a block is at most 1 MiB");
        let block = BlockRef { address: sealed.address, length };
        let only = last && self.size == 0 && data.len() <= INLINE_BLOCK_MAX;
        self.size += u64::from(length);
        self.tree.push(Hash(sealed.secret.tree));
        let pages = maker.push(&self.keys, block, secret_of(&sealed.secret));
        if only {
            self.sealed.small = Some((sealed, Bytes::from(data)));
        } else {
            self.blocks += 1;
            self.made.push_back(Made::Block(sealed, Bytes::from(data)));
        }
        self.add_pages(pages);
    }

    fn add_pages(&mut self, pages: Vec<MadePage>) {
        self.pages += pages.len();
        self.made.extend(pages.into_iter().map(Made::Page));
    }

    /// What has been made, in order.
    pub(super) fn poll_made(&mut self) -> Option<Made> {
        self.made.pop_front()
    }

    /// The node has one of its blocks durably.
    pub(super) fn block_done(&mut self) {
        self.blocks -= 1;
    }

    pub(super) fn answered(
        &mut self,
        context: &mut Context,
        message: Message,
    ) -> Result<Step, ClientError> {
        match (&self.stage, message) {
            (_, Message::PageDone { .. }) if self.pages > 0 => self.pages -= 1,
            (Stage::Committing(version), Message::PutDone { copies, .. }) => {
                let (version, hash, size) = (*version, self.tree.finish(), self.size);
                return Ok(Step::Done(Answer::Put { copies, is_new: true, version, hash, size }));
            }
            (Stage::Comparing, message) => return Ok(self.compare(context, Told::of(message)?)),
            (Stage::Settling(Versions::Asked), message) => {
                self.told(context, Told::of(message)?)?;
            }
            (_, other) => return Err(unexpected(&other)),
        }
        Ok(Step::Waits)
    }

    /// Before any bytes: they are asked for only if it is needed.
    fn compare(&mut self, context: &mut Context, told: Told) -> Step {
        if let Some(Entry { version, hash, size, .. }) = self.unchanged(context, &told) {
            return Step::Done(Answer::Put { copies: 0, is_new: false, version, hash, size });
        }
        self.compared = Some(told.into_heads());
        self.stage = Stage::Feeding(Box::default());
        Step::Waits
    }

    fn told(&mut self, context: &mut Context, told: Told) -> Result<(), ClientError> {
        let exists = |context: &mut Context| context.seals.open_told(&told, &self.name);
        if self.overwrite == Overwrite::Never && exists(context)?.is_some() {
            return Err(ClientError::Exists);
        }
        let versions = match self.unchanged(context, &told) {
            Some(entry) => {
                // Its block is brought all the same: nobody has said that the node has it.
                if let Some((sealed, data)) = self.sealed.small.take() {
                    self.blocks += 1;
                    self.made.push_back(Made::Block(sealed, data));
                }
                Versions::Unchanged(entry.version)
            }
            // What comes now supersedes what is damaged: to write it anew is how it is mended.
            None => Versions::Told(told.into_heads()),
        };
        self.stage = Stage::Settling(versions);
        Ok(())
    }

    /// The version that makes this put needless: the only head, which is sound, kept, and says the same.
    fn unchanged(&self, context: &mut Context, told: &Told) -> Option<Entry> {
        let heads = told.heads();
        let is_plain = !heads.are_many() && heads.future().is_empty() && told.is_kept();
        let compares =
            matches!(self.overwrite, Overwrite::IfChanged | Overwrite::IfOutdated { .. });
        if !compares || !is_plain || told.log_damage().is_any() {
            return None;
        }
        // What cannot be opened is superseded.
        let entry = context.seals.open_shown(told.shown().ok()?, &self.name).ok()??;
        self.says(&entry).then_some(entry)
    }

    /// Whether a version says what this put would say.
    fn says(&self, entry: &Entry) -> bool {
        let Meta { name: _, mtime, mode, attributes } = &self.meta;
        let same = (entry.mtime, entry.mode) == (*mtime, *mode) || seeded::is_on(Bug::ForgetMode);
        self.has_bytes_of(entry)
            && same
            // Where the bytes are on a disk changes by itself, and is nothing about the file.
            && Attributes { allocated: None, ..entry.attributes.clone() }
                == Attributes { allocated: None, ..attributes.clone() }
    }

    /// Whether the bytes are those of a version, as far as it is known now.
    fn has_bytes_of(&self, entry: &Entry) -> bool {
        match (&self.stage, self.overwrite) {
            (Stage::Comparing, Overwrite::IfOutdated { size, hash }) => {
                entry.size == size && hash.is_none_or(|hash| hash == entry.hash)
            }
            _ => (entry.size, entry.hash) == (self.size, self.tree.finish()),
        }
    }

    /// Asks for more input; or sends the record, when everything is ready for it and it is needed.
    pub(super) fn advance(&mut self, context: &mut Context) -> Result<Option<Answer>, ClientError> {
        if self.wants_input() {
            self.asked = true;
            context.tell(Event::NeedData { op: self.op, room: self.room() });
        }
        match &self.stage {
            Stage::Settling(Versions::ToAsk) => self.ask_versions(context),
            Stage::Settling(Versions::Told(heads)) if self.blocks == 0 && self.pages == 0 => {
                let heads = heads.clone();
                self.send_record(context, &heads)?;
            }
            Stage::Settling(Versions::Unchanged(version))
                if self.blocks == 0 && self.pages == 0 =>
            {
                let (version, hash, size) = (*version, self.tree.finish(), self.size);
                return Ok(Some(Answer::Put { copies: 0, is_new: false, version, hash, size }));
            }
            Stage::Comparing | Stage::Feeding(_) | Stage::Settling(_) | Stage::Committing(_) => {}
        }
        Ok(None)
    }

    fn ask_versions(&mut self, context: &mut Context) {
        self.stage = Stage::Settling(Versions::Asked);
        context.ask_versions(self.op, self.name);
    }

    fn send_record(&mut self, context: &mut Context, heads: &Heads) -> Result<(), ClientError> {
        let List { list, small } = self.sealed.clone();
        let Some((list, secrets)) = list else { return Ok(()) };
        let content = Content { size: self.size, hash: self.tree.finish(), list, secrets };
        let condition = match self.overwrite {
            Overwrite::Never => Condition::Absent,
            Overwrite::Always | Overwrite::IfChanged | Overwrite::IfOutdated { .. } => {
                Condition::Newest
            }
        };
        let made = context.seals.file(heads, &self.meta, content)?;
        self.stage = Stage::Committing(made.version);
        let blocks = small.into_iter().map(|(_, data)| data).collect();
        context.put_records(self.op, vec![made.record], vec![condition], blocks);
        Ok(())
    }

    /// The name is not what it was: its versions are asked for again, and the record made anew.
    pub(super) fn again(&mut self, context: &mut Context) -> bool {
        let Stage::Committing(_) = self.stage else { return false };
        self.ask_versions(context);
        true
    }
}
