//! A simulated disk in memory that knows what a power cut can lose.
//!
//! Knows no store. Invariant: what has been synced is never lost; of everything else, any subset survives a power cut,
//! sector by sector of a file's bytes and name by name of a folder's, which is worse than any real file system.

mod calls;

use super::{DiskSpace, FileSystem};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that a power cut keeps or loses together, but for one torn sector in eight.
const SECTOR: usize = 512;

/// What an injected failure looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimError {
    /// The disk is full: half of a write may have happened.
    NoSpace,
    /// The disk failed.
    Io,
}

/// A file's bytes; those between their end and the length are zeros.
#[derive(Debug, Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    length: usize,
}

impl Content {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
        self.length = self.length.max(end);
    }

    fn set_length(&mut self, length: usize) {
        self.bytes.truncate(length);
        self.length = length;
    }

    /// The bytes of a range that lies within the length.
    fn read(&self, range: Range<usize>, into: &mut [u8]) {
        let end = self.bytes.len();
        let there = &self.bytes[range.start.min(end)..range.end.min(end)];
        into[..there.len()].copy_from_slice(there);
        into[there.len()..range.len()].fill(0);
    }
}

/// A file's bytes, as a running program sees them and as the medium has them.
#[derive(Debug, Clone, Default)]
struct Inode {
    seen: Content,
    kept: Content,
    dirty: BTreeSet<usize>,
    /// Every open handle has a clone.
    open: Arc<()>,
}

/// What a name leads to, and what it has led to since the name was last synced: the first is what the medium has.
#[derive(Debug, Clone, Default)]
struct Name {
    kept: Option<usize>,
    since: Vec<Option<usize>>,
}

impl Name {
    fn seen(&self) -> Option<usize> {
        self.since.last().copied().unwrap_or(self.kept)
    }
}

#[derive(Debug, Clone, Default)]
struct State {
    inodes: BTreeMap<usize, Inode>,
    next: usize,
    files: BTreeMap<String, Name>,
    folders: BTreeMap<String, Name>,
    locked: bool,
    dead: bool,
    /// No file can be opened or read.
    exhausted: bool,
    calls: u64,
    cut_at: Option<u64>,
    fail_at: Option<(u64, SimError)>,
    free: u64,
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimFs {
    state: Arc<Mutex<State>>,
}

/// An open file of a `SimFs`.
#[derive(Debug)]
pub struct SimFile {
    inode: usize,
    _open: Arc<()>,
}

/// What the next changing call is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Proceed,
    /// It happens, and nothing after it.
    Last,
    Fail(SimError),
}

impl SimFs {
    /// An empty disk with a terabyte free.
    #[must_use]
    pub fn new() -> Self {
        let fs = Self::default();
        fs.state().free = 1 << 40;
        fs
    }

    /// The disk as it may be found after a power cut now. This one goes on undisturbed.
    #[must_use]
    pub fn power_cut(&self, seed: u64) -> Self {
        let mut found = self.state().clone();
        let mut dice = Dice(seed);
        for inode in found.inodes.values_mut() {
            inode.cut(&mut dice);
        }
        for name in found.folders.values_mut().chain(found.files.values_mut()) {
            name.cut(&mut dice);
        }
        found.drop_unreachable();
        Self::booted(found)
    }

    /// The disk as the next process finds it when this one is killed: nothing is lost, nothing is durable.
    #[must_use]
    pub fn restart(&self) -> Self {
        Self::booted(self.state().clone())
    }

    fn booted(mut state: State) -> Self {
        state.locked = false;
        state.dead = false;
        state.cut_at = None;
        state.fail_at = None;
        state.calls = 0;
        for inode in state.inodes.values_mut() {
            inode.open = Arc::default();
        }
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Cuts the power at the `calls`th changing call from now (0 is the next): it happens, but fails, as do all later ones.
    pub fn cut_after(&self, calls: u64) {
        let mut state = self.state();
        state.cut_at = Some(state.calls + calls);
    }

    /// Lets the `calls`th changing call from now (0 is the next) fail, and only that one.
    pub fn fail_nth(&self, calls: u64, error: SimError) {
        let mut state = self.state();
        state.fail_at = Some((state.calls + calls, error));
    }

    /// Changing calls until now.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Whether the power has been cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.state().dead
    }

    /// Sets what `space` tells; writes do not count against it.
    pub fn set_free(&self, bytes: u64) {
        self.state().free = bytes;
    }

    /// From now on no file can be opened or read, as when descriptors have run out; or again it can.
    pub fn set_exhausted(&self, exhausted: bool) {
        self.state().exhausted = exhausted;
    }

    /// Flips a bit of a file, as rot does; false if there is no such byte.
    pub fn flip(&self, path: &str, offset: usize) -> bool {
        let mut state = self.state();
        let Some(inode) = state.find(path).ok().and_then(|id| state.inodes.get_mut(&id)) else {
            return false;
        };
        let bytes = [inode.seen.bytes.get_mut(offset), inode.kept.bytes.get_mut(offset)];
        bytes.into_iter().flatten().map(|byte| *byte ^= 4).count() > 0
    }

    /// The paths of all files that begin with this.
    #[must_use]
    pub fn paths(&self, prefix: &str) -> Vec<String> {
        let state = self.state();
        let all = state.files.iter().filter(|(_, name)| name.seen().is_some());
        all.map(|(path, _)| path.clone()).filter(|path| path.starts_with(prefix)).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a changing call: `change` gets the state, and half its bytes if the disk is to be full.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut State, Option<SimError>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state();
        match state.fate()? {
            Fate::Proceed => change(&mut state, None),
            Fate::Last => {
                let _ = change(&mut state, None);
                Err(io::Error::from_raw_os_error(EIO))
            }
            Fate::Fail(error) => {
                let _ = change(&mut state, Some(error));
                Err(error.into())
            }
        }
    }

    /// Like `change`, for calls that have no effect when they fail. A sync that the power cut hits has none either.
    fn change_whole<T>(&self, change: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        match state.fate()? {
            Fate::Proceed => change(&mut state),
            Fate::Last => Err(io::Error::from_raw_os_error(EIO)),
            Fate::Fail(error) => Err(error.into()),
        }
    }
}

const EIO: i32 = 5;
/// The error code of too many open files.
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

impl From<SimError> for io::Error {
    fn from(error: SimError) -> Self {
        Self::from_raw_os_error(match error {
            SimError::NoSpace => ENOSPC,
            SimError::Io => EIO,
        })
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// The folder of a path; `""` for one at the top.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl State {
    fn fate(&mut self) -> io::Result<Fate> {
        if self.dead {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let call = self.calls;
        self.calls += 1;
        if self.cut_at == Some(call) {
            self.dead = true;
            return Ok(Fate::Last);
        }
        match self.fail_at {
            Some((at, error)) if at == call => Ok(Fate::Fail(error)),
            Some(_) | None => Ok(Fate::Proceed),
        }
    }

    fn alive(&self) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }

    fn readable(&self) -> io::Result<()> {
        self.alive()?;
        if self.exhausted {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        Ok(())
    }

    fn find(&self, path: &str) -> io::Result<usize> {
        self.files.get(path).and_then(Name::seen).ok_or_else(not_found)
    }

    fn folder_exists(&self, path: &str) -> bool {
        path.is_empty() || self.folders.get(path).is_some_and(|name| name.seen().is_some())
    }

    fn bind(&mut self, path: &str, inode: Option<usize>) -> io::Result<()> {
        if !self.folder_exists(parent(path)) {
            return Err(not_found());
        }
        let name = self.files.entry(path.to_owned()).or_default();
        name.since.push(inode);
        Ok(())
    }

    fn inode(&mut self, file: &SimFile) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&file.inode).ok_or_else(not_found)
    }

    /// Gives back the memory of removed files that nobody has open.
    fn forget_removed(&mut self) {
        self.files.retain(|_, name| name.kept.is_some());
        let named: BTreeSet<_> = self.files.values().filter_map(|name| name.kept).collect();
        self.inodes.retain(|id, inode| named.contains(id) || Arc::strong_count(&inode.open) > 1);
    }

    /// Drops names below folders that are gone, and inodes without a name.
    fn drop_unreachable(&mut self) {
        let mut there: BTreeSet<String> = BTreeSet::new();
        for (path, name) in &self.folders {
            let above = parent(path);
            if name.kept.is_some() && (above.is_empty() || there.contains(above)) {
                there.insert(path.clone());
            }
        }
        self.folders.retain(|path, _| there.contains(path));
        self.files.retain(|path, name| {
            let above = parent(path);
            name.kept.is_some() && (above.is_empty() || there.contains(above))
        });
        let named: BTreeSet<_> = self.files.values().filter_map(|name| name.kept).collect();
        self.inodes.retain(|id, _| named.contains(id));
    }
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.seen.write(offset, bytes);
        if !bytes.is_empty() {
            let last = offset + bytes.len() - 1;
            self.dirty.extend(offset / SECTOR..=last / SECTOR);
        }
    }

    fn truncate(&mut self, length: usize) {
        let end = self.kept.bytes.len().max(self.seen.bytes.len());
        self.dirty.extend(length / SECTOR..=end / SECTOR);
        self.seen.set_length(length);
    }

    fn sync(&mut self) {
        self.kept.set_length(self.seen.length);
        for sector in std::mem::take(&mut self.dirty) {
            let start = sector * SECTOR;
            self.keep(start, start + SECTOR);
        }
    }

    /// The medium gets these bytes, as far as they are within both lengths.
    fn keep(&mut self, start: usize, end: usize) {
        let end = end.min(self.kept.length).min(self.seen.length);
        if start < end {
            let mut sector = [0; SECTOR];
            self.seen.read(start..end, &mut sector);
            self.kept.write(start, &sector[..end - start]);
        }
    }

    /// Keeps any subset of what is not synced: each sector old, new or torn, the length old, new or between.
    fn cut(&mut self, dice: &mut Dice) {
        self.kept.set_length(self.cut_length(dice));
        let whole = dice.below(4);
        for sector in std::mem::take(&mut self.dirty) {
            let start = sector * SECTOR;
            let torn = start + dice.below(SECTOR);
            let end = match (whole, dice.below(8)) {
                (0, _) => start + SECTOR,
                (1, _) | (_, 1..=3) => start,
                (_, 0) => torn,
                (_, _) => start + SECTOR,
            };
            self.keep(start, end);
        }
        self.seen.clone_from(&self.kept);
    }

    fn cut_length(&self, dice: &mut Dice) -> usize {
        let (low, high) =
            (self.seen.length.min(self.kept.length), self.seen.length.max(self.kept.length));
        match dice.below(3) {
            0 => self.kept.length,
            1 => self.seen.length,
            _ => low + dice.below(high - low + 1),
        }
    }
}

impl Name {
    fn sync(&mut self) {
        self.kept = self.seen();
        self.since.clear();
    }

    fn cut(&mut self, dice: &mut Dice) {
        let choice = dice.below(self.since.len() + 1);
        if let Some(picked) = choice.checked_sub(1) {
            self.kept = self.since[picked];
        }
        self.since.clear();
    }
}

/// SplitMix64 (Steele and others, 2014): enough to pick what a power cut keeps.
pub(in crate::store) struct Dice(pub(in crate::store) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(in crate::store) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below a usize")
    }
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("simulated files are small")
}
