//! The real disk: the file system seam over the operating system's calls.
//!
//! Decides nothing. Invariant: one descriptor of the data folder stays open from the start to the end, because the
//! kernel tells each write-back error once per descriptor, and a fresh one might not be told.

use super::names::Names;
use super::{DiskSpace, FileSpace, FileSystem, Identity, Kind};
use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, FlockOperation, Mode, OFlags, ResolveFlags, StatxFlags,
};
use rustix::io::{Errno, ReadWriteFlags};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Pieces of one call: what every system takes (POSIX, `IOV_MAX`).
const PIECES_MAX: usize = 16;

/// A program that waits for a daemon takes the lock for a moment, to see whether somebody has it: what is taken is tried
/// again.
const LOCK_TRIES: u32 = 4;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// File systems whose flush of everything ends in this kernel, as `statfs` names them: FUSE, NFS, SMB (both), 9P, Ceph, AFS.
const REMOTE: [u64; 7] =
    [0x6573_5546, 0x6969, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997, 0x00c3_6400, 0x5346_414f];

/// Files below one real folder.
#[derive(Debug)]
pub struct RealFs {
    root: PathBuf,
    folder: File,
    /// Nothing is made, a lock's file neither.
    read_only: bool,
    lock: Mutex<Option<File>>,
    /// Where flushing everything at once does not reach the medium.
    names: Option<Names>,
}

impl RealFs {
    /// The file system below `root`, which is made if it is not there, readable by its owner only.
    pub fn new(root: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        Self::below(root, false)
    }

    /// The same below a folder that must be there, for reading: taking its lock makes no file.
    pub fn read_only(root: &Path) -> io::Result<Self> {
        Self::below(root, true)
    }

    fn below(root: &Path, read_only: bool) -> io::Result<Self> {
        let folder = File::open(root)?;
        let type_of = rustix::fs::fstatfs(&folder)?.f_type;
        let is_remote =
            u64::try_from(type_of).is_ok_and(|type_of| REMOTE.contains(&(type_of & 0xffff_ffff)));
        let names = is_remote.then(Names::default);
        Ok(Self { root: root.to_path_buf(), folder, read_only, lock: Mutex::new(None), names })
    }

    /// The same as `new`, as if it were a file system that another program or another machine serves.
    #[cfg(test)]
    pub(in crate::store) fn remote(root: &Path) -> io::Result<Self> {
        Ok(Self { names: Some(Names::default()), ..Self::new(root)? })
    }

    /// A name at this path has changed.
    fn changed(&self, path: &str) {
        if let Some(names) = &self.names {
            names.changed(path);
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

impl FileSystem for RealFs {
    type File = File;

    fn lock(&self, path: &str) -> io::Result<bool> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_some() {
            return Ok(true);
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file =
            if self.read_only { File::open(self.at(path)) } else { options.open(self.at(path)) };
        let file = match file {
            // Where there is no lock nobody holds it.
            Err(error) if self.read_only && error.kind() == io::ErrorKind::NotFound => {
                return Ok(true);
            }
            file => file?,
        };
        for _ in 0..LOCK_TRIES {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    *lock = Some(file);
                    return Ok(true);
                }
                Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    fn create(&self, path: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.create_new(true).read(true).write(true).mode(0o600);
        let file = options.open(self.at(path))?;
        self.changed(path);
        Ok(file)
    }

    fn open(&self, path: &str) -> io::Result<File> {
        // Whatever else has taken the name, a pipe say, is not waited for.
        let how = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(File::from(rustix::fs::open(self.at(path), how, Mode::empty())?))
    }

    fn reopen(&self, path: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.at(path))
    }

    fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn write_pieces_at(&self, file: &File, offset: u64, pieces: &[Bytes]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let (mut rest, mut at) = (&mut slices[..], offset);
        // Empty pieces at the end would make a write of nothing.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let piece_count = rest.len().min(PIECES_MAX);
            match rustix::io::pwritev(file, &rest[..piece_count], at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    IoSlice::advance_slices(&mut rest, count);
                    at += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn rewrite(&self, path: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.at(path))?.write_all_at(bytes, offset)
    }

    fn read_at(&self, file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn read(&self, file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let at = offset + bytes.len() as u64;
            match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // There may have been room for more than was asked for.
        bytes.truncate(length);
        Ok(bytes)
    }

    fn open_at_once(&self, path: &str) -> io::Result<File> {
        let how = OFlags::RDONLY | OFlags::CLOEXEC;
        let found =
            rustix::fs::openat2(&self.folder, path, how, Mode::empty(), ResolveFlags::CACHED);
        // A kernel that does not know how to, or may not, never can.
        Ok(File::from(found.map_err(|_| Errno::WOULDBLOCK)?))
    }

    fn read_at_once(&self, file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            let rest = &mut [IoSliceMut::new(&mut bytes[filled..])];
            let at = offset + filled as u64;
            match rustix::io::preadv2(file, rest, at, ReadWriteFlags::NOWAIT) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(_) => return Err(io::ErrorKind::WouldBlock.into()),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn length(&self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn preallocate(&self, file: &File, length: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length)?)
    }

    fn truncate(&self, path: &str, length: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.at(path))?.set_len(length)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        File::open(self.at(path))?.sync_all()
    }

    fn sync_all(&self) -> io::Result<()> {
        rustix::fs::syncfs(&self.folder)?;
        self.names.as_ref().map_or(Ok(()), |names| names.flush(&self.root))
    }

    fn rename(&self, source: &str, target: &str) -> io::Result<()> {
        std::fs::rename(self.at(source), self.at(target))?;
        self.changed(source);
        self.changed(target);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        std::fs::remove_file(self.at(path))
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.at(path))? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn make_folder(&self, path: &str) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(self.at(path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => {
                self.changed(path);
                result
            }
        }
    }

    fn identify(&self, path: &str) -> io::Result<Identity> {
        let path = if path.is_empty() { self.root.clone() } else { self.at(path) };
        let want = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::MNT_ID;
        identity(rustix::fs::statx(CWD, &path, AtFlags::empty(), want))
            .unwrap_or_else(|| path.metadata().map(|found| plain_identity(&found)))
    }

    fn identify_file(&self, file: &File) -> io::Result<Identity> {
        let want = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::MNT_ID;
        identity(rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, want))
            .unwrap_or_else(|| file.metadata().map(|found| plain_identity(&found)))
    }

    fn space(&self) -> io::Result<DiskSpace> {
        let found = rustix::fs::fstatvfs(&self.folder)?;
        Ok(DiskSpace {
            free: found.f_bavail.saturating_mul(found.f_frsize),
            total: found.f_blocks.saturating_mul(found.f_frsize),
            // A file system without a bound tells of none at all.
            files: (found.f_files > 0)
                .then_some(FileSpace { free: found.f_favail, total: found.f_files }),
        })
    }
}

/// What the system says of a thing; `None` if it has no such call.
fn identity(found: Result<rustix::fs::Statx, Errno>) -> Option<io::Result<Identity>> {
    match found {
        Ok(found) => {
            let device = (u64::from(found.stx_dev_major) << 32) | u64::from(found.stx_dev_minor);
            let kind = match FileType::from_raw_mode(found.stx_mode.into()) {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Folder,
                _ => Kind::Other,
            };
            Some(Ok(Identity { volume: (device, found.stx_mnt_id), number: found.stx_ino, kind }))
        }
        Err(Errno::NOSYS | Errno::PERM) => None,
        Err(error) => Some(Err(error.into())),
    }
}

/// The same where the kernel cannot tell where a file system is mounted.
fn plain_identity(found: &std::fs::Metadata) -> Identity {
    let kind = match (found.is_file(), found.is_dir()) {
        (true, _) => Kind::File,
        (_, true) => Kind::Folder,
        _ => Kind::Other,
    };
    Identity { volume: (found.dev(), 0), number: found.ino(), kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_way_tells_one_file_from_another_too() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        std::fs::write(&one, b"").unwrap();
        std::os::unix::fs::symlink(&one, &other).unwrap();
        let of = |path: &Path| plain_identity(&std::fs::symlink_metadata(path).unwrap());
        let (file, link, folder) = (of(&one), of(&other), of(folder.path()));
        assert_eq!([file.kind, link.kind, folder.kind], [Kind::File, Kind::Other, Kind::Folder]);
        assert_eq!(file.volume, folder.volume);
        assert!(file.number != link.number && file == of(&one));
    }
}
