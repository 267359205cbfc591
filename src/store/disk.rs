//! The disk: what is asked of it, from any number of threads, is done before it returns; but for the two `_at_once`, which
//! never wait and may decline.
//!
//! Decides nothing about what is kept. Invariant: commits, witnesses and quarantine happen one at a time, under the lock of
//! the log.

use crate::crypto::tree;
use crate::ids::{Address, Hash, RecordId};
use crate::limits::{
    AT_ONCE_ITEMS_MAX, LEAF, RESERVE, RESERVE_FILES, RESERVE_PERCENT, SEGMENT, SEGMENTS_OPEN_MAX,
};
use crate::seeded::{self, Bug};
use crate::store::block_file;
use crate::store::blocks::{self, ReadFault, retry_once};
use crate::store::commit::{Commits, lock};
use crate::store::drafts::Drafts;
use crate::store::error::{DiskResult, failed};
use crate::store::fs::{FileSpace, FileSystem, Reader};
use crate::store::items;
use crate::store::layout::{self, InBlockFolder};
use crate::store::log::Log;
use crate::store::neighbours::{self, RUN_MAX};
use crate::store::records;
use crate::store::undecoded::Damage;
use crate::store::values::{
    BlockFolder, BlockPlace, Committed, DiskError, Draft, Group, ItemsFrom, LeafRange, LeavesRead,
    LogItem, LogPlace, ReadError, SegmentItems, Space, Verified, WriteError,
};
use bytes::Bytes;
use lru::LruCache;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, TryLockError};

const OPEN_MAX: NonZeroUsize = NonZeroUsize::new(SEGMENTS_OPEN_MAX).expect("it is not 0");

/// What can be chosen about a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Bytes that puts never use.
    pub reserve: u64,
    /// The same in percent of the disk; the larger of the two counts.
    pub reserve_percent: u64,
    /// A segment that has grown past this is full.
    pub segment: u64,
    /// When it is opened, in milliseconds since 1970; 0 if that is not known.
    pub now_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        let (reserve, reserve_percent, segment) = (RESERVE, RESERVE_PERCENT, SEGMENT);
        Self { reserve, reserve_percent, segment, now_ms: 0 }
    }
}

/// The store's disk.
pub struct Disk<F: FileSystem> {
    commits: Commits<F>,
    fs: Arc<F>,
    config: Config,
    drafts: Mutex<Drafts<F::File>>,
    segments: Mutex<LruCache<u32, Arc<F::File>>>,
    /// Taken by who opens one of these, or closes one that is gone: `segments` is never held meanwhile.
    opening: Mutex<()>,
    /// What the start could not decode.
    damage: Damage,
    peers: Mutex<()>,
}

impl<F: FileSystem> Disk<F> {
    pub(super) fn new(fs: F, config: Config, log: Log<F>, damage: Damage) -> Self {
        let fs = Arc::new(fs);
        Self {
            commits: Commits::new(Arc::clone(&fs), log, config.segment),
            fs,
            config,
            drafts: Mutex::new(Drafts::new()),
            segments: Mutex::new(LruCache::new(OPEN_MAX)),
            opening: Mutex::default(),
            damage,
            peers: Mutex::default(),
        }
    }

    /// Makes a group durable: renames finished drafts to their places in the tree, and writes everything else to the log.
    ///
    /// # Errors
    /// The disk's. After `Full` and `Scarce` nothing of the group is kept; after `Failed` nothing is acknowledged any more.
    pub fn commit(&self, group: &Group) -> DiskResult<Committed> {
        let result = self.commits.commit(group);
        match &result {
            Ok(committed) => committed.removed.iter().for_each(|gone| self.close_segment(*gone)),
            Err(DiskError::Full | DiskError::Scarce(_)) => {
                group.blocks.iter().for_each(|block| self.discard(block.0));
            }
            Err(DiskError::Failed(_)) => {}
        }
        result
    }

    /// Proves the last group to have been flushed.
    pub(crate) fn witness_now(&self) -> DiskResult<()> {
        self.commits.witness_now()
    }

    /// Notes as held the blocks of these addresses and lengths, whose files are in their places already.
    pub(crate) fn reregister(&self, blocks: &[(Address, u32)]) -> DiskResult<()> {
        self.commits.adopt(blocks)
    }

    /// Where it is, to be looked at.
    pub(crate) fn file_system(&self) -> &F {
        &self.fs
    }

    /// Leaves of a block, if nothing has to be waited for and all is good. Anything else is for `read_leaves`, which looks at
    /// it for a second time, and acts on it.
    pub fn leaves_at_once(
        &self,
        address: &Address,
        place: BlockPlace,
        leaves: LeafRange,
    ) -> Option<LeavesRead> {
        self.try_leaves(address, place, leaves).ok()
    }

    /// The same of a few items of the log; the others are for `read_log`.
    pub fn items_at_once(&self, places: &[LogPlace]) -> Option<Vec<Bytes>> {
        if places.len() > AT_ONCE_ITEMS_MAX {
            return None;
        }
        let read = |place: &LogPlace| self.item_at_once(*place).map(|(_, item)| item);
        places.iter().map(read).collect::<Result<_, _>>().ok()
    }

    fn try_leaves(
        &self,
        address: &Address,
        place: BlockPlace,
        leaves: LeafRange,
    ) -> Result<LeavesRead, ReadFault> {
        match place {
            BlockPlace::Tree { length } => {
                blocks::read_leaves(&Reader::at_once(&*self.fs), address, length, leaves)
            }
            BlockPlace::Log(place) => match self.item_at_once(place)? {
                (id, bytes) if id == address.0 => blocks::leaves_of(&bytes, leaves),
                (_, _) => Err(ReadFault::Damaged),
            },
        }
    }

    /// An item of a segment that is open.
    fn item_at_once(&self, place: LogPlace) -> Result<([u8; 32], Bytes), ReadFault> {
        let mut segments = match self.segments.try_lock() {
            Ok(segments) => segments,
            Err(TryLockError::Poisoned(segments)) => segments.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(ReadFault::Io(io::ErrorKind::WouldBlock.into()));
            }
        };
        let Some(segment) = segments.get(&place.segment).cloned() else {
            return Err(ReadFault::Io(io::ErrorKind::WouldBlock.into()));
        };
        drop(segments);
        blocks::read_item(&Reader::at_once(&*self.fs), &*segment, place)
    }

    /// Checks these leaves (whole ones, from leaf `first` on) against `leaves`, the hashes of all the block's leaves, and
    /// writes them to the draft, which the first such call creates.
    ///
    /// # Errors
    /// The first leaf that is not what its hash says, or not as long as it must be, and then nothing is written; or the disk's.
    pub fn write(
        &self,
        draft: Draft,
        first: u8,
        chunks: &[Bytes],
        leaves: &[Hash],
    ) -> Result<(), WriteError> {
        let hashes = tree::hashes_of(chunks.iter().map(|chunk| &chunk[..]));
        for ((chunk, hash), index) in chunks.iter().zip(hashes).zip(usize::from(first)..) {
            let is_right = leaves.get(index) == Some(&hash) || seeded::is_on(Bug::SkipLeafCheck);
            if !has_its_length(chunk, index, leaves.len()) || !is_right {
                return Err(WriteError::BadLeaf(u8::try_from(index).unwrap_or(u8::MAX)));
            }
        }
        self.write_good(draft, first, chunks)
            .map_err(|error| WriteError::Disk(failed("writing", &layout::draft(draft), &error)))
    }

    fn write_good(&self, draft: Draft, first: u8, chunks: &[Bytes]) -> io::Result<()> {
        let file = lock(&self.drafts).open(&*self.fs, draft)?;
        self.fs.write_pieces_at(&file, u64::from(first) * LEAF as u64, chunks)
    }

    /// All leaves are written: appends the leaf hashes and the trailer, and flushes.
    ///
    /// # Errors
    /// The disk's. After a flush that failed no commit succeeds any more; after any `Failed` the caller acknowledges nothing.
    pub fn finish(&self, draft: Draft, length: u32, leaves: &[Hash]) -> DiskResult<()> {
        let path = layout::draft(draft);
        let file = lock(&self.drafts).end(&*self.fs, draft);
        let file = file.map_err(|error| failed("opening", &path, &error))?;
        let footer = block_file::footer(length, leaves);
        match self.fs.length(&file) {
            Ok(written) if written == u64::from(length) => {}
            Ok(written) => {
                let why = format!("{path} has {written} bytes and should have {length}");
                return Err(DiskError::Failed(why));
            }
            Err(error) => return Err(failed("reading", &path, &error)),
        }
        self.fs
            .write_at(&file, u64::from(length), &footer)
            .map_err(|error| failed("writing", &path, &error))?;
        self.fs.sync_file(&file).map_err(|error| {
            let error = failed("flushing", &path, &error).hard();
            self.commits.poison(&error);
            error
        })
    }

    /// Forgets a draft, whether or not it exists.
    pub fn discard(&self, draft: Draft) {
        lock(&self.drafts).forget(draft);
        let _ = self.fs.remove(&layout::draft(draft));
    }

    /// Leaves of a block that is held, and the hashes of all its leaves; these are not compared.
    ///
    /// # Errors
    /// It is gone; or damaged, and then a block file is moved to `quarantine/`, if that can be; or the disk's.
    pub fn read_leaves(
        &self,
        address: &Address,
        place: BlockPlace,
        leaves: LeafRange,
    ) -> Result<LeavesRead, ReadError> {
        match place {
            BlockPlace::Tree { length } => {
                let reader = Reader::patient(&*self.fs);
                let read = retry_once(|| blocks::read_leaves(&reader, address, length, leaves));
                if let Err(ReadFault::Damaged) = read {
                    self.commits.quarantine(address, length);
                }
                read.map_err(|trouble| trouble.tell(&layout::block(address)))
            }
            BlockPlace::Log(place) => {
                let read = self.read_item(place).and_then(|(id, bytes)| {
                    let sound = id == address.0;
                    sound.then_some(bytes).ok_or(ReadFault::Damaged)
                });
                read.and_then(|bytes| blocks::leaves_of(&bytes, leaves))
                    .map_err(|trouble| trouble.tell(&layout::segment(place.segment)))
            }
        }
    }

    /// An item of the log (a record, a page, a small block), checked against its CRC.
    ///
    /// # Errors
    /// It is gone or damaged; or the disk's.
    pub fn read_log(&self, place: LogPlace) -> Result<Bytes, ReadError> {
        match self.read_item(place) {
            Ok((_, bytes)) => Ok(bytes),
            Err(trouble) => Err(trouble.tell(&layout::segment(place.segment))),
        }
    }

    /// The same of many, in whatever order costs least: what lies near one another is read at once.
    pub fn read_each(
        &self,
        items: &[LogItem],
        mut each: impl FnMut(usize, Result<&[u8], ReadError>),
    ) {
        let order = neighbours::in_order(items);
        let place = |nth: &(u64, u32)| items[nth.1 as usize].place;
        let mut buffer = vec![0; RUN_MAX];
        let (mut segment, mut start, mut length) = (0, 0, 0);
        for (nth, at) in order.iter().enumerate() {
            let here = place(at);
            if segment != here.segment || u64::from(here.offset) > start + length as u64 {
                segment = here.segment;
                let run = neighbours::run(order[nth..].iter().map(place)).unwrap_or_default();
                let read = self.segment(segment);
                let bytes = &mut buffer[..run.1];
                let read = read.and_then(|file| self.fs.read_at(&file, run.0, bytes));
                (start, length) = (run.0, read.unwrap_or(0));
            }
            let alone;
            let read = match blocks::item_in(&buffer[..length], start, here) {
                Some(item) => Ok(item),
                // What is not simply good is looked at by itself.
                None => {
                    alone = self.read_log(here);
                    alone.as_deref().map_err(ReadError::clone)
                }
            };
            each(at.1 as usize, read);
        }
    }

    fn read_item(&self, place: LogPlace) -> Result<([u8; 32], Bytes), ReadFault> {
        retry_once(|| {
            let segment = self.segment(place.segment)?;
            blocks::read_item(&Reader::patient(&*self.fs), &*segment, place)
        })
    }

    fn segment(&self, number: u32) -> io::Result<Arc<F::File>> {
        if let Some(segment) = self.open_segment(number) {
            return Ok(segment);
        }
        // Who reads one that is open does not wait for this.
        let _one_at_a_time = lock(&self.opening);
        if let Some(segment) = self.open_segment(number) {
            return Ok(segment);
        }
        let opened = Arc::new(self.fs.open(&layout::segment(number))?);
        let displaced = lock(&self.segments).push(number, Arc::clone(&opened));
        drop(displaced);
        Ok(opened)
    }

    fn open_segment(&self, number: u32) -> Option<Arc<F::File>> {
        lock(&self.segments).get(&number).cloned()
    }

    /// A segment is gone, and not kept open. With this its space may be freed, which takes long.
    fn close_segment(&self, number: u32) {
        let _none_opens_it = lock(&self.opening);
        let closed = lock(&self.segments).pop(&number);
        drop(closed);
    }

    /// Hashes these blocks and pages (`BlockPlace::Log`) and compares; records, by their ids, must be well signed too. A bad
    /// file is moved to `quarantine/`, if that can be.
    pub fn verify(&self, blocks: &[(Address, BlockPlace)]) -> Verified {
        let mut buffer = Vec::new();
        let mut found = Verified::default();
        for (address, place) in blocks {
            match self.verify_one(address, *place, &mut buffer) {
                Ok(length) => found.bytes += u64::from(length),
                Err(ReadFault::Io(_)) => found.unread.push(*address),
                Err(ReadFault::Gone | ReadFault::Damaged) => found.bad.push(*address),
            }
        }
        found
    }

    fn verify_one(
        &self,
        address: &Address,
        place: BlockPlace,
        buffer: &mut Vec<u8>,
    ) -> Result<u32, ReadFault> {
        match place {
            BlockPlace::Tree { length } => {
                let verified = retry_once(|| blocks::verify(&*self.fs, address, length, buffer));
                if let Err(ReadFault::Damaged) = verified {
                    self.commits.quarantine(address, length);
                }
                verified.map(|()| length)
            }
            BlockPlace::Log(place) => {
                let (id, bytes) = self.read_item(place)?;
                let hashed = || tree::tree(&bytes).0 == id;
                let signed = || records::verify(&RecordId(id), &bytes).is_ok();
                let sound = id == address.0 && (hashed() || signed());
                sound.then_some(place.length).ok_or(ReadFault::Damaged)
            }
        }
    }

    /// Items of a closed segment, the first or from where others ended: groups until there are many items. Of a damaged group
    /// they are what can still be told from each other.
    ///
    /// # Errors
    /// It is gone, or it is the open one; or its header is damaged; or the disk's.
    pub fn segment_items(
        &self,
        segment: u32,
        from: Option<ItemsFrom>,
    ) -> Result<SegmentItems, ReadError> {
        let end = self.commits.closed_end(segment).ok_or(ReadError::Gone)?;
        let read = items::read(&*self.fs, segment, from, end);
        read.map_err(|trouble| trouble.tell(&layout::segment(segment)))
    }

    /// Frees the space of what groups have removed. What was not freed is with the end of the process.
    pub fn free(&self) {
        self.commits.free();
    }

    /// Writes the index of a closed segment, behind its groups, if these are all good and there is room. Nobody waits for
    /// that: of a segment without one a start reads the groups.
    pub fn index_segment(&self, segment: u32) {
        let Some(end) = self.commits.closed_end(segment) else {
            return;
        };
        // It is not longer than what it is about.
        if self.space().is_ok_and(|space| space.usable >= end) {
            let _ = items::write_index(&*self.fs, segment, end);
        }
    }

    /// Writes the file `peers` anew, durably.
    ///
    /// # Errors
    /// The disk's.
    pub fn write_peers(&self, text: &str) -> DiskResult<()> {
        if seeded::is_on(Bug::ForgetPeers) {
            return Ok(());
        }
        let _one_at_a_time = lock(&self.peers);
        self.replace(layout::PEERS_DRAFT, layout::PEERS, text)
    }

    /// Of the damage that the last start found, nothing is missing any more: the next one need not tell of it. Of other
    /// damage than that nothing is known here.
    ///
    /// # Errors
    /// The disk's.
    pub fn made_good(&self, damage: &Hash) -> DiskResult<()> {
        if *damage != self.damage.id {
            return Ok(());
        }
        let _one_at_a_time = lock(&self.peers);
        self.replace(layout::MADE_GOOD_DRAFT, layout::MADE_GOOD, &self.damage.made_good)?;
        self.commits.give_up_missing();
        Ok(())
    }

    /// Writes a small file anew, by way of a draft.
    fn replace(&self, draft: &str, path: &str, text: &str) -> DiskResult<()> {
        let replace = || {
            let _ = self.fs.remove(draft);
            let file = self.fs.create(draft)?;
            self.fs.write_at(&file, 0, text.as_bytes())?;
            self.fs.sync_file(&file)?;
            self.fs.rename(draft, path)?;
            self.fs.sync_folder("")
        };
        replace().map_err(|error| failed("writing", path, &error))
    }

    /// What a folder of the tree of block files holds: of all blocks whose addresses begin with these bytes, two at most.
    ///
    /// # Errors
    /// The disk's.
    pub fn list_blocks(&self, prefix: &[u8]) -> DiskResult<BlockFolder> {
        let path = layout::block_folder(prefix);
        let mut found = BlockFolder::default();
        let names = self.fs.list(&path).map_err(|error| failed("listing", &path, &error))?;
        for name in names {
            match layout::in_block_folder(prefix, &name) {
                Some(InBlockFolder::Folder(folder)) => found.folders.push(folder),
                Some(InBlockFolder::Block(address)) => found.blocks.push(address),
                // Somebody else's.
                None => {}
            }
        }
        found.folders.sort_unstable();
        found.blocks.sort_unstable();
        Ok(found)
    }

    /// How many bytes the disk has left.
    ///
    /// # Errors
    /// The disk's.
    pub fn space(&self) -> DiskResult<Space> {
        let found = self.fs.space();
        let found = found.map_err(|error| failed("asking for the space of", "the disk", &error))?;
        let percent = found.total / 100 * self.config.reserve_percent;
        let reserve = self.config.reserve.max(percent);
        let has_files = found.files.is_none_or(has_files) || seeded::is_on(Bug::ForgetInodes);
        let usable = if has_files { found.free.saturating_sub(reserve) } else { 0 };
        Ok(Space { usable, free: found.free })
    }
}

/// Whether a disk can have more files than are set aside.
fn has_files(files: FileSpace) -> bool {
    files.free > RESERVE_FILES.max(files.total / 100 * RESERVE_PERCENT)
}

/// Whether leaf `index` of so many may be as long as this.
fn has_its_length(chunk: &[u8], index: usize, leaves: usize) -> bool {
    let is_last = index + 1 == leaves;
    chunk.len() == LEAF || (is_last && !chunk.is_empty() && chunk.len() < LEAF)
}
