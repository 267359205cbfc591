//! Commits: the one order of steps after which a group is durable, or was never there.
//!
//! Blocks were flushed by `finish`. A commit renames them into the tree, appends the group's frame, flushes once, and
//! only then answers. A segment is unlinked only after the flush of a frame that says so. The order and what it survives are
//! in the design, section 4. Invariant: an answer `Ok` is caused by a flush that began after the last write and rename of the
//! group; after a failure that is neither `Full` nor `Scarce` no commit succeeds again; these two leave nothing of the group
//! but names of the store's own folders, its drafts included.

use crate::ids::Address;
use crate::limits::REMOVED_OPEN_MAX;
use crate::seeded::{self, Bug};
use crate::store::blocks::{self, ReadFault};
use crate::store::error::{DiskResult, failed};
use crate::store::frame::Frame;
use crate::store::fs::FileSystem;
use crate::store::layout;
use crate::store::log::Log;
use crate::store::values::{Committed, DiskError, Draft, Group};
use std::collections::HashSet;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whoever panics in here ends the process (`worker`), so what a poisoned lock guards is only ever seen by tests.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The open log, and whether its disk can still be trusted. One thing happens at a time, under the lock of the log.
pub(super) struct Commits<F: FileSystem> {
    fs: Arc<F>,
    log: Mutex<Log<F>>,
    /// A segment that has grown past this is full.
    segment_max: u64,
    /// Folders that are known to be there.
    folders: Mutex<HashSet<String>>,
    /// What was removed, and whose space is still to be freed.
    removed: Mutex<Vec<F::File>>,
    failure: Mutex<Option<String>>,
}

impl<F: FileSystem> Commits<F> {
    pub(super) fn new(fs: Arc<F>, log: Log<F>, segment_max: u64) -> Self {
        let log = Mutex::new(log);
        let (folders, removed, failure) = Default::default();
        Self { fs, log, segment_max, folders, removed, failure }
    }

    /// Fails if a flush or a commit has failed before: the state of the disk is not known any more.
    fn check_sound(&self) -> DiskResult<()> {
        match &*lock(&self.failure) {
            Some(why) => Err(DiskError::Failed(why.clone())),
            None => Ok(()),
        }
    }

    /// Remembers the first failure after which nothing may be acknowledged.
    pub(super) fn poison(&self, error: &DiskError) {
        if let DiskError::Failed(why) = error {
            lock(&self.failure).get_or_insert_with(|| why.clone());
        }
    }

    /// See `Disk::commit`.
    pub(super) fn commit(&self, group: &Group) -> DiskResult<Committed> {
        let mut log = lock(&self.log);
        self.check_sound()?;
        log.set_time(group.at_ms);
        let result = self.commit_in(&mut log, group);
        result.inspect_err(|error| self.poison(error))
    }

    fn commit_in(&self, log: &mut Log<F>, group: &Group) -> DiskResult<Committed> {
        let mut committed = match is_empty(group) {
            true => Committed::default(),
            false => self.commit_items(log, group)?,
        };
        committed.removed = self.remove_segments(log, &group.removed)?;
        committed.number = log.last().number;
        committed.end = log.end();
        committed.closed = log.take_closed();
        committed.frees = !lock(&self.removed).is_empty();
        Ok(committed)
    }

    fn commit_items(&self, log: &mut Log<F>, group: &Group) -> DiskResult<Committed> {
        let frame = Frame::Group(group);
        let make_room =
            |log: &mut Log<F>| log.make_room(&*self.fs, frame.length(), self.segment_max);
        let place = match make_room(log) {
            // What was removed may take up what is needed.
            Err(DiskError::Full) if self.free() => make_room(log)?,
            room => room?,
        };
        let encoded = frame.encode(&place);
        let mut moved = Vec::new();
        if seeded::is_on(Bug::DropFirst) {
            self.remove_lost(group);
        }
        let appended = self
            .move_blocks(log, group, &mut moved)
            .and_then(|()| log.append(&*self.fs, &encoded.bytes));
        if let Err(error) = appended {
            self.roll_back(&moved, &error);
            return Err(error);
        }
        log.flush(&*self.fs)?;
        let length = encoded.bytes.len();
        log.flushed(length, encoded.position, true);
        self.remove_lost(group);
        Ok(encoded.committed)
    }

    /// Says that segments are gone, and unlinks them; those that are gone now. Without room to say so they stay: that is no
    /// failure of the group, which is durable.
    fn remove_segments(&self, log: &mut Log<F>, numbers: &[u32]) -> DiskResult<Vec<u32>> {
        let Some(removal) = log.removal(numbers) else {
            return Ok(Vec::new());
        };
        if seeded::is_on(Bug::UnlinkFirst) {
            removal.numbers.iter().for_each(|number| self.unlink_segment(*number));
        }
        match self.append_frame(log, &Frame::Removed(&removal.set), false) {
            Ok(()) => {}
            Err(DiskError::Full | DiskError::Scarce(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        let gone = removal.numbers.clone();
        log.remove(removal);
        gone.iter().for_each(|number| self.unlink_segment(*number));
        Ok(gone)
    }

    /// See `Log::closed_end`.
    pub(super) fn closed_end(&self, segment: u32) -> Option<u64> {
        lock(&self.log).closed_end(segment)
    }

    /// What is missing of the log was made good.
    pub(super) fn give_up_missing(&self) {
        lock(&self.log).give_up_missing();
    }

    /// What stays behind is not read by a start, but removed.
    fn unlink_segment(&self, number: u32) {
        self.remove(&layout::segment(number));
    }

    /// Removes a file, whose space is not freed as long as it is open: that takes tens of milliseconds for a segment, and who
    /// waits for a group does not wait for it. One that cannot be opened, or is one too many, is freed at once.
    fn remove(&self, path: &str) {
        let opened = self.fs.open(path);
        if opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return;
        }
        let _ = self.fs.remove(path);
        let mut removed = lock(&self.removed);
        if removed.len() < REMOVED_OPEN_MAX {
            removed.extend(opened);
        }
    }

    /// See `Disk::free`. Whether there was anything.
    pub(super) fn free(&self) -> bool {
        let removed = mem::take(&mut *lock(&self.removed));
        !removed.is_empty()
    }

    /// Renames the drafts; `moved` gets the addresses that had no file before.
    fn move_blocks(
        &self,
        log: &mut Log<F>,
        group: &Group,
        moved: &mut Vec<Address>,
    ) -> DiskResult<()> {
        for (draft, address, _) in &group.blocks {
            log.name_changed();
            self.make_shard(address)?;
            let place = layout::block(address);
            let is_new = self.is_new(&place);
            self.move_block(*draft, &place)?;
            if is_new {
                moved.push(*address);
            }
        }
        Ok(())
    }

    /// Whether nothing has this name. What cannot be told is no: such a file is never taken away again.
    fn is_new(&self, place: &str) -> bool {
        match self.fs.open(place) {
            Ok(_) => false,
            Err(error) => {
                error.kind() == io::ErrorKind::NotFound || seeded::is_on(Bug::UnopenedIsNew)
            }
        }
    }

    fn move_block(&self, draft: Draft, place: &str) -> DiskResult<()> {
        self.fs
            .rename(&layout::draft(draft), place)
            .map_err(|error| failed("renaming a block to", place, &error))
    }

    fn make_shard(&self, address: &Address) -> DiskResult<()> {
        let mut folders = lock(&self.folders);
        for folder in layout::shard(address) {
            if !folders.contains(&folder) {
                let made = self.fs.make_folder(&folder);
                made.map_err(|error| failed("making", &folder, &error))?;
                folders.insert(folder);
            }
        }
        Ok(())
    }

    /// No group names these files. After a failure of the disk it is left alone.
    fn roll_back(&self, moved: &[Address], error: &DiskError) {
        if !matches!(error, DiskError::Failed(_)) {
            for address in moved {
                let _ = self.fs.remove(&layout::block(address));
            }
        }
    }

    /// The group that says so is durable: the files may go. One that stays behind wastes room, no more.
    fn remove_lost(&self, group: &Group) {
        let dropped = group.dropped.iter().map(|dropped| &dropped.address);
        for address in group.lost.iter().chain(dropped) {
            let mut added = group.blocks.iter().map(|(_, added, _)| added);
            if !added.any(|added| added == address) {
                self.remove(&layout::block(address));
            }
        }
    }

    /// Moves a bad block out of the tree. It is looked at again under the lock, since a commit may have put a good one
    /// in its place; and if the last group names it, recovery would take the hole for a torn commit: so that group is
    /// first proved to have been flushed.
    pub(super) fn quarantine(&self, address: &Address, length: u32) {
        let mut log = lock(&self.log);
        let again = blocks::verify(&*self.fs, address, length, &mut Vec::new());
        let Err(ReadFault::Damaged) = again else {
            return;
        };
        if self.check_sound().is_ok() && self.barrier_group(&mut log).is_ok() {
            let _ = self.fs.rename(&layout::block(address), &layout::bad_block(address));
        }
    }

    /// Appends an empty group if the last one has block files: a group is appended only after the one before it was
    /// flushed, so from now on nothing is to be doubted.
    fn barrier_group(&self, log: &mut Log<F>) -> DiskResult<()> {
        if !log.doubted() || seeded::is_on(Bug::SkipWitness) {
            return Ok(());
        }
        self.append_empty(log).inspect_err(|error| self.poison(error))
    }

    /// Proves the last group to have been flushed.
    pub(super) fn witness_now(&self) -> DiskResult<()> {
        let mut log = lock(&self.log);
        self.check_sound()?;
        self.barrier_group(&mut log)
    }

    /// Notes as held the blocks of these addresses and lengths, whose files are in their places already.
    pub(super) fn adopt(&self, blocks: &[(Address, u32)]) -> DiskResult<()> {
        if blocks.is_empty() {
            return Ok(());
        }
        let blocks = blocks.iter().map(|(address, length)| (0, *address, *length)).collect();
        let group = Group { blocks, ..Group::default() };
        let mut log = lock(&self.log);
        self.check_sound()?;
        // Their names may never have been flushed.
        log.name_changed();
        let appended = self.append_frame(&mut log, &Frame::Group(&group), true);
        appended.inspect_err(|error| self.poison(error))
    }

    fn append_empty(&self, log: &mut Log<F>) -> DiskResult<()> {
        self.append_frame(log, &Frame::Group(&Group::default()), false)
    }

    /// Appends a frame whose blocks are in their places. `doubted`: it names some.
    fn append_frame(&self, log: &mut Log<F>, frame: &Frame<'_>, doubted: bool) -> DiskResult<()> {
        let place = log.make_room(&*self.fs, frame.length(), self.segment_max)?;
        let encoded = frame.encode(&place);
        log.append(&*self.fs, &encoded.bytes)?;
        if !(seeded::is_on(Bug::UnlinkUnflushed) && matches!(frame, Frame::Removed(_))) {
            log.flush(&*self.fs)?;
        }
        log.flushed(encoded.bytes.len(), encoded.position, doubted);
        Ok(())
    }
}

fn is_empty(group: &Group) -> bool {
    group.blocks.is_empty()
        && group.named.is_empty()
        && group.small.is_empty()
        && group.pages.is_empty()
        && group.records.is_empty()
        && group.lost.is_empty()
        && group.dropped.is_empty()
        && group.expired.is_empty()
}

/// A store that is closed in order leaves no group in doubt.
impl<F: FileSystem> Drop for Commits<F> {
    fn drop(&mut self) {
        if self.check_sound().is_ok() {
            let mut log = lock(&self.log);
            let _ = self.barrier_group(&mut log);
        }
    }
}
