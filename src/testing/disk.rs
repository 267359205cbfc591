//! A simulated disk in memory that knows what a power cut can lose.
//!
//! Knows no store. Invariant: what has been synced is never lost; of everything else, any subset survives a power cut,
//! sector by sector of a file's bytes and name by name of a folder's, which is worse than any real file system.

mod calls;
mod content;
mod faults;
mod place;
mod power;
mod room;
mod unsynced;

pub use faults::Lie;
pub use power::CrashStates;

use crate::store::fs::{DiskSpace, FileSpace, FileSystem, Identity, Kind};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use unsynced::{Change, Inode, Name};

/// What an injected failure looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimError {
    /// The disk is full: half of a write may have happened.
    NoSpace,
    /// The disk failed.
    Io,
    /// The disk failed after half of a write.
    Short,
    /// The process has too many open files.
    NoDescriptor,
}

#[derive(Debug, Clone, Default)]
struct State {
    inodes: BTreeMap<usize, Inode>,
    next: usize,
    files: BTreeMap<String, Name>,
    folders: BTreeMap<String, Name>,
    locked: bool,
    dead: bool,
    /// No file can be made, opened or read.
    exhausted: bool,
    /// What it holds can be read without waiting, and it can tell.
    in_memory: bool,
    /// Changing calls.
    calls: u64,
    /// All calls.
    all_calls: u64,
    /// Bytes of files that were read.
    bytes_read: u64,
    cut_at: Option<u64>,
    fail_at: Option<(u64, SimError)>,
    failing: Option<Failing>,
    lies: faults::Lies,
    /// Bytes of files that cannot be read any more.
    bad: Vec<(usize, Range<usize>)>,
    /// Tells the order of effects.
    serial: u64,
    /// Bytes that it can hold, if that is bounded.
    capacity: Option<usize>,
    free: u64,
    free_files: u64,
    /// Folders that are file systems of their own.
    mounted: BTreeSet<String>,
    /// Files that somebody could not remove.
    unremoved: BTreeSet<String>,
    /// A flush of everything does not tell that it has failed, as before Linux 5.8; the next flush of a file does.
    is_quiet: bool,
    untold: bool,
}

/// The calls that are to fail, counted over all.
#[derive(Debug, Clone, Copy)]
struct Failing {
    from: u64,
    to: u64,
    error: SimError,
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimFs {
    state: Arc<Mutex<State>>,
}

/// What can be done to a simulated disk from outside.
#[derive(Debug)]
pub struct Tamper<'a>(&'a SimFs);

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
        fs.state().free_files = 1 << 30;
        fs
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
        state.failing = None;
        state.lies = faults::Lies::default();
        state.calls = 0;
        state.all_calls = 0;
        state.bytes_read = 0;
        state.unremoved.clear();
        for inode in state.inodes.values_mut() {
            inode.open = Arc::default();
        }
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The hand of somebody who harms it, or says how large it is.
    #[must_use]
    pub fn tamper(&self) -> Tamper<'_> {
        Tamper(self)
    }

    /// Calls until now, changing and reading.
    #[must_use]
    pub fn all_calls(&self) -> u64 {
        self.state().all_calls
    }

    /// Bytes of files that were read until now.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.state().bytes_read
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

    /// The paths of all files that begin with this.
    #[must_use]
    pub fn paths(&self, prefix: &str) -> Vec<String> {
        let state = self.state();
        let all = state.files.iter().filter(|(_, name)| name.seen().is_some());
        all.map(|(path, _)| path.clone()).filter(|path| path.starts_with(prefix)).collect()
    }

    /// The paths of the files that are still there because a call to remove them has failed.
    #[must_use]
    pub fn unremoved(&self) -> BTreeSet<String> {
        self.state().unremoved.clone()
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

    /// A flush of some files. One that fails takes their changes for written all the same, as Linux does.
    fn flush(&self, only: Option<&SimFile>) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        let fate = state.fate()?;
        let files = state.inodes.iter_mut();
        let files = files.filter(|(id, _)| only.is_none_or(|file| file.inode == **id));
        match fate {
            Fate::Proceed => files.for_each(|(_, inode)| inode.sync()),
            Fate::Last => return Err(io::Error::from_raw_os_error(EIO)),
            Fate::Fail(error) => {
                files.for_each(|(_, inode)| inode.forsake());
                return Err(error.into());
            }
        }
        Ok(state)
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
            SimError::Io | SimError::Short => EIO,
            SimError::NoDescriptor => EMFILE,
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
    /// Counts a changing call.
    fn fate(&mut self) -> io::Result<Fate> {
        let failing = self.count()?;
        let call = self.calls;
        self.calls += 1;
        if self.cut_at == Some(call) {
            self.dead = true;
            return Ok(Fate::Last);
        }
        let planned = self.fail_at.filter(|(at, _)| *at == call).map(|(_, error)| error);
        Ok(failing.or(planned).map_or(Fate::Proceed, Fate::Fail))
    }

    /// Counts a call; how it is to fail.
    fn count(&mut self) -> io::Result<Option<SimError>> {
        if self.dead {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let call = self.all_calls;
        self.all_calls += 1;
        let failing = self.failing.filter(|failing| (failing.from..failing.to).contains(&call));
        Ok(failing.map(|failing| failing.error))
    }

    /// Counts a reading call.
    fn alive(&mut self) -> io::Result<()> {
        self.count()?.map_or(Ok(()), |error| Err(error.into()))
    }

    fn readable(&mut self) -> io::Result<()> {
        self.alive()?;
        self.has_descriptors()
    }

    fn has_descriptors(&self) -> io::Result<()> {
        if self.exhausted {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        Ok(())
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
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
        let serial = self.next_serial();
        self.files.entry(path.to_owned()).or_default().since.push((serial, inode));
        Ok(())
    }

    fn write(&mut self, file: &SimFile, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let serial = self.next_serial();
        let inode = self.inode(file)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let end = offset + bytes.len();
        let more = end.saturating_sub(inode.seen.length);
        self.has_room(more)?;
        let inode = self.inode(file)?;
        if more > 0 {
            inode.change(serial, Change::Grow(end));
        }
        inode.change(serial, Change::Write(offset, Bytes::copy_from_slice(bytes)));
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
}

/// SplitMix64 (Steele and others, 2014): enough to pick what a power cut keeps.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below a usize")
    }
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("simulated files are small")
}
