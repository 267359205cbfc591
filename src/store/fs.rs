//! The file system as the store needs it: a narrow seam with the real disk behind it; tests put a simulated one there.
//!
//! Knows nothing of blocks or logs. Invariant: paths are relative to the data folder, made by `layout`, and use `/`.

#[allow(clippy::disallowed_methods, reason = "the real disk")]
mod names;
#[allow(clippy::disallowed_methods, reason = "the real disk")]
mod real;

pub use real::RealFs;

use bytes::Bytes;
use std::io;

/// What a disk has, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Free for this process.
    pub free: u64,
    /// In all.
    pub total: u64,
    /// How many files it can have; `None` if it is not bounded.
    pub files: Option<FileSpace>,
}

/// What a disk has, in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSpace {
    /// So many more.
    pub free: u64,
    /// In all.
    pub total: u64,
}

/// What sort of thing has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    File,
    /// Names.
    Folder,
    /// Anything else: a pipe, a socket, a device.
    Other,
}

/// Which thing has a name: no two that exist at a time have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The file system, and where it is mounted: a rename never leads from one to another.
    pub volume: (u64, u64),
    /// The thing's number there.
    pub number: u64,
    /// What it is.
    pub kind: Kind,
}

/// Files and folders below one data folder. Nothing is durable before a `sync_` call says so: `sync_file` covers a
/// file's bytes and length but not its name, `sync_folder` the names in one folder, `sync_all` everything.
pub trait FileSystem: Send + Sync + 'static {
    /// An open file.
    type File: Send + Sync + 'static;

    /// Takes the folder for this process until `self` is dropped; `false` if another one has it.
    fn lock(&self, path: &str) -> io::Result<bool>;
    /// Makes a new empty file, for reading and writing; an error if the name is taken.
    fn create(&self, path: &str) -> io::Result<Self::File>;
    /// Opens a file for reading.
    fn open(&self, path: &str) -> io::Result<Self::File>;
    /// Opens a file of this process once more, for reading and writing.
    fn reopen(&self, path: &str) -> io::Result<Self::File>;
    /// Writes all the bytes, or fails with some of them written.
    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// The same of pieces, each after the one before.
    fn write_pieces_at(&self, file: &Self::File, offset: u64, pieces: &[Bytes]) -> io::Result<()> {
        let mut at = offset;
        for piece in pieces {
            self.write_at(file, at, piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }
    /// Writes bytes that are there already once more, so that the next flush covers them whatever became of an earlier one.
    fn rewrite(&self, path: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Reads as many bytes as there are; fewer than asked for only at the end of the file.
    fn read_at(&self, file: &Self::File, offset: u64, bytes: &mut [u8]) -> io::Result<usize>;
    /// The same into memory of its own, which need not be set to zero first.
    fn read(&self, file: &Self::File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let count = self.read_at(file, offset, &mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }
    /// Opens a file for reading if that needs no disk: `WouldBlock` where it may need one, and wherever that cannot be told.
    fn open_at_once(&self, _path: &str) -> io::Result<Self::File> {
        Err(io::ErrorKind::WouldBlock.into())
    }
    /// Reads so many bytes if the system has them all in memory, and fails with `WouldBlock` if not.
    fn read_at_once(
        &self,
        _file: &Self::File,
        _offset: u64,
        _length: usize,
    ) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::WouldBlock.into())
    }
    /// The length of a file.
    fn length(&self, file: &Self::File) -> io::Result<u64>;
    /// Makes the file at least this long, with space set aside; what is new reads as zeros.
    fn preallocate(&self, file: &Self::File, length: u64) -> io::Result<()>;
    /// Cuts a file off at this length.
    fn truncate(&self, path: &str, length: u64) -> io::Result<()>;
    /// Flushes the bytes and the length of a file.
    fn sync_file(&self, file: &Self::File) -> io::Result<()>;
    /// Flushes the names in a folder; `""` is the data folder itself.
    fn sync_folder(&self, path: &str) -> io::Result<()>;
    /// Flushes everything.
    fn sync_all(&self) -> io::Result<()>;
    /// Gives a file another name, in place of whatever had it.
    fn rename(&self, source: &str, target: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// The names in a folder, in no order; names that are not text are left out.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;
    /// Makes a folder whose parent exists; no error if it is there.
    fn make_folder(&self, path: &str) -> io::Result<()>;
    /// Which thing has a name now; links are followed.
    fn identify(&self, path: &str) -> io::Result<Identity>;
    /// Which thing an open file is.
    fn identify_file(&self, file: &Self::File) -> io::Result<Identity>;
    /// How full the disk is.
    fn space(&self) -> io::Result<DiskSpace>;
}

/// Reading, in either of two ways: until it is done, or only what can be done at once.
pub(crate) struct Reader<'a, F> {
    fs: &'a F,
    waits: bool,
}

impl<'a, F: FileSystem> Reader<'a, F> {
    /// Waits for the disk.
    pub(crate) fn patient(fs: &'a F) -> Self {
        Self { fs, waits: true }
    }

    /// Fails with `WouldBlock` where it would have to.
    pub(crate) fn at_once(fs: &'a F) -> Self {
        Self { fs, waits: false }
    }

    /// Opens a file.
    pub(crate) fn open(&self, path: &str) -> io::Result<F::File> {
        if self.waits { self.fs.open(path) } else { self.fs.open_at_once(path) }
    }

    /// The length of an open file.
    pub(crate) fn length(&self, file: &F::File) -> io::Result<u64> {
        self.fs.length(file)
    }

    /// As many bytes as there are; fewer than asked for only at the end of the file.
    pub(crate) fn read(&self, file: &F::File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        match self.waits {
            true => self.fs.read(file, offset, length),
            false => self.fs.read_at_once(file, offset, length),
        }
    }
}
