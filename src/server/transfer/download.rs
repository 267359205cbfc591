//! A download: one block on its way here, from a client that offers it or a peer that has it.
//!
//! Knows no connection but by its number. Invariant: of each leaf it is known whether it was asked for, has come, and is
//! written; what has been written stays written when the source changes.

use super::memory::{Memory, Share};
use super::want::Interest;
use crate::ids::Hash;
use crate::limits::{LEAF, LEAVES, LOG_BLOCK_MAX};
use crate::server::output::Link;
use crate::store::values::Draft;
use crate::wire::frame::leaves_of;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Asking,
    /// All is written and the draft is being flushed, or the small block checked.
    Finishing,
    /// On its way into a group.
    Committing,
}

/// A leaf that has come and is not written.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) data: Bytes,
    pub(super) link: Link,
    pub(super) share: Share,
}

/// Neighbours that have come from one source.
#[derive(Debug)]
pub(super) struct WriteRun {
    pub(super) first: u8,
    pub(super) chunks: Vec<Bytes>,
    pub(super) link: Link,
    pub(super) share: Share,
}

impl WriteRun {
    /// Which leaves they are.
    pub(super) fn mask(&self) -> u32 {
        let count = u32::try_from(self.chunks.len()).expect("a block has 32 leaves");
        mask(u32::from(self.first), count)
    }
}

/// Leaves next to each other that have not been asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) first: u32,
    pub(super) count: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) length: u32,
    pub(super) draft: Draft,
    pub(super) stage: Stage,
    pub(super) leaves: Option<Arc<[Hash]>>,
    /// Leaves asked for, come, and written: one bit each.
    asked: u32,
    come: u32,
    written: u32,
    /// A job writes into the draft.
    pub(super) writing: bool,
    /// A job has been told to write into the draft, so that there may be one.
    pub(super) drafted: bool,
    chunks: BTreeMap<u8, Chunk>,
    pub(super) interests: Vec<Interest>,
    pub(super) source: Option<Link>,
    /// Sources that do not have it, or failed.
    tried: Vec<Link>,
    /// It is tried again, and asked only of those that have news.
    again: bool,
    /// Said to have it while it was asked of others: asked next.
    told: Option<Link>,
    /// Not all that were asked have said that they do not have it.
    pub(super) unsure: bool,
}

impl Download {
    pub(super) fn new(length: u32, draft: Draft, interest: Interest, again: bool) -> Self {
        Self {
            length,
            draft,
            stage: Stage::Asking,
            leaves: None,
            asked: 0,
            come: 0,
            written: 0,
            writing: false,
            drafted: false,
            chunks: BTreeMap::new(),
            interests: vec![interest],
            source: None,
            tried: Vec::new(),
            again,
            told: None,
            unsure: false,
        }
    }

    /// One more waits for it.
    pub(super) fn join(&mut self, interest: Interest, again: bool) {
        self.again &= again;
        self.interests.push(interest);
    }

    /// A node is said to have it, which may have been asked before it had.
    pub(super) fn tell(&mut self, link: Link) {
        if self.source != Some(link) {
            self.try_again(link);
            self.told = Some(link);
        }
    }

    /// Who is to be asked next, if anybody is said to have it.
    pub(super) fn take_told(&mut self) -> Option<Link> {
        self.told.take()
    }

    pub(super) fn again(&self) -> bool {
        self.again
    }

    fn all(&self) -> u32 {
        mask(0, u32::try_from(leaves_of(self.length)).expect("a block has 32 leaves"))
    }

    pub(super) fn is_small(&self) -> bool {
        self.length as usize <= LOG_BLOCK_MAX
    }

    /// Everything has come.
    pub(super) fn has_come(&self) -> bool {
        self.come == self.all()
    }

    /// Everything is in the draft.
    pub(super) fn is_written(&self) -> bool {
        self.written == self.all()
    }

    /// Somebody wants to read it.
    pub(super) fn is_read(&self) -> bool {
        self.interests.iter().any(Interest::is_read)
    }

    /// Those who read it.
    pub(super) fn readers(&self) -> impl Iterator<Item = Link> {
        self.interests.iter().filter_map(|interest| match interest {
            Interest::Read(parked) => Some(parked.link),
            Interest::Offer(_) | Interest::Replication(_) | Interest::Repair => None,
        })
    }

    /// The clients that offer it.
    pub(super) fn offered(&self) -> impl Iterator<Item = Link> {
        self.interests.iter().filter_map(|interest| match interest {
            Interest::Offer(link) => Some(*link),
            Interest::Read(_) | Interest::Replication(_) | Interest::Repair => None,
        })
    }

    /// Only clients that offer it wait for it.
    pub(super) fn is_only_offered(&self) -> bool {
        self.interests.iter().all(Interest::is_offer)
    }

    /// Somebody waits for what this source is to bring, other than the source itself.
    pub(super) fn others_wait(&self, source: Link) -> bool {
        self.interests.iter().any(|interest| match interest {
            Interest::Read(_) => true,
            Interest::Offer(link) => *link != source,
            Interest::Replication(_) | Interest::Repair => false,
        })
    }

    /// A connection is gone, and waits for nothing.
    pub(super) fn forget(&mut self, link: Link) {
        self.interests.retain(|interest| match interest {
            Interest::Offer(other) => *other != link,
            Interest::Read(parked) => parked.link != link,
            Interest::Replication(_) | Interest::Repair => true,
        });
    }

    /// Whether it is, or was, asked of a connection.
    pub(super) fn was_asked_of(&self, link: Link) -> bool {
        self.source == Some(link) || self.has_tried(link)
    }

    /// A source does not have it, or has failed.
    pub(super) fn has_tried(&self, link: Link) -> bool {
        self.tried.contains(&link)
    }

    /// From now on that is so.
    pub(super) fn try_no_more(&mut self, link: Link) {
        if !self.has_tried(link) {
            self.tried.push(link);
        }
    }

    /// What a source brought was good: who was given up was late, then, and not without it. At most once for each leaf.
    pub(super) fn try_again(&mut self, link: Link) {
        self.tried.retain(|tried| *tried != link);
    }

    /// The first leaves that have neither come nor been asked for.
    pub(super) fn gap(&self) -> Option<Gap> {
        let open = self.all() & !(self.asked | self.come);
        let first = open.trailing_zeros();
        (open != 0).then(|| Gap { first, count: (open >> first).trailing_ones() })
    }

    /// These have been asked for.
    pub(super) fn ask(&mut self, gap: Gap) {
        self.asked |= mask(gap.first, gap.count);
    }

    /// These are not expected any more of whom they were asked.
    pub(super) fn give_up(&mut self, first: u8, count: u8) {
        self.asked &= !mask(u32::from(first), u32::from(count));
    }

    /// Whether a leaf is waited for.
    pub(super) fn awaits(&self, index: u8) -> bool {
        self.stage == Stage::Asking && self.come & mask(u32::from(index), 1) == 0
    }

    /// A leaf has come.
    pub(super) fn bring(&mut self, index: u8, chunk: Chunk) {
        let bit = mask(u32::from(index), 1);
        self.come |= bit;
        self.asked &= !bit;
        self.chunks.insert(index, chunk);
    }

    /// Leaves that have come and no job has been given.
    pub(super) fn held(&self) -> usize {
        self.chunks.len()
    }

    /// The first of these that are neighbours and from one source.
    pub(super) fn take_run(&mut self) -> Option<WriteRun> {
        let (first, Chunk { data, link, share }) = self.chunks.pop_first()?;
        let mut run = WriteRun { first, chunks: vec![data], link, share };
        while let Some(next) = self.chunks.first_entry()
            && usize::from(*next.key()) == usize::from(first) + run.chunks.len()
            && (next.get().link, next.get().share) == (link, share)
        {
            run.chunks.push(next.remove().data);
        }
        Some(run)
    }

    /// Leaves are in the draft.
    pub(super) fn write(&mut self, mask: u32) {
        self.written |= mask;
    }

    /// Leaves were not what the address says.
    pub(super) fn reject(&mut self, mask: u32) {
        self.come &= !mask;
    }

    /// All that has come of a small block.
    pub(super) fn small(&self) -> Bytes {
        match self.chunks.len() {
            1 => self.chunks.values().next().map(|chunk| chunk.data.clone()).unwrap_or_default(),
            _ => self.chunks.values().flat_map(|chunk| chunk.data.iter().copied()).collect(),
        }
    }

    /// It was not what the address says: all is asked for anew. Who sent it.
    pub(super) fn reject_all(&mut self, memory: &mut Memory) -> BTreeSet<Link> {
        let sources = self.chunks.values().map(|chunk| chunk.link).collect();
        self.drop_chunks(memory);
        self.stage = Stage::Asking;
        self.come = 0;
        sources
    }

    /// What has come is somebody else's now, or nobody's.
    pub(super) fn drop_chunks(&mut self, memory: &mut Memory) {
        for chunk in std::mem::take(&mut self.chunks).into_values() {
            memory.release(chunk.share, LEAF);
        }
    }
}

/// `count` bits from bit `first` on.
pub(super) fn mask(first: u32, count: u32) -> u32 {
    debug_assert!(count >= 1 && first + count <= u32::from(LEAVES));
    (u32::MAX >> (u32::from(LEAVES) - count)) << first
}
