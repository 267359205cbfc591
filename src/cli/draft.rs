//! Drafts: what a get that can be continued has written so far, in a file of its own beside its destination.
//!
//! Knows nothing about the network. Invariants: one process at a time has a draft; it is a regular file of this user's, which
//! nobody else may open.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::cli::destination::{Destination, cannot_write};
use crate::cli::failure::{Exit, Failure};
use crate::crypto::tree;
use crate::ids::Hash;
use crate::limits::BLOCK;

/// What the name of a draft ends with, after that of the file.
const ENDING: &str = ".dfs-part";
/// Others may take its name away so often while it is opened.
const TRIES: u32 = 3;

/// See the module.
#[derive(Debug)]
pub(crate) struct Draft {
    place: Destination,
    /// Bytes that it had when it was opened.
    length: u64,
}

impl Draft {
    /// Opens the draft of a file, or begins one.
    pub(crate) fn open(of: &Destination) -> Result<(File, Self), Failure> {
        let place = of.with_ending(ENDING);
        for _ in 0..TRIES {
            let file = open(&place).map_err(|error| cannot_write(&place.path(), &error))?;
            let found = file.metadata().map_err(|error| cannot_write(&place.path(), &error))?;
            refuse_other(&place, &found)?;
            // Where there are no locks nobody is told.
            let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
            if locked == Err(Errno::WOULDBLOCK) {
                return Err(refused(&place, "another dfs writes it"));
            }
            // Whoever had it may have finished it, and given it the file's name.
            if is_there(&place, &found) {
                return Ok((file, Self { place, length: found.len() }));
            }
        }
        Err(refused(&place, "others replace it again and again"))
    }

    pub(crate) fn name(&self) -> &OsStr {
        self.place.name()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.place.path()
    }

    /// Bytes that it had when it was opened.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The tree hash of each block of it.
    pub(crate) fn blocks(&self, file: &File) -> Result<Vec<Hash>, Failure> {
        let failed = |error: io::Error| {
            let sentence = format!("cannot read {}: {error}", self.path().display());
            Failure::new(Exit::Error, sentence)
        };
        let (mut block, mut at) = (vec![0; BLOCK], 0);
        let mut blocks = Vec::new();
        while at < self.length {
            let length = usize::try_from(self.length - at).map_or(BLOCK, |rest| rest.min(BLOCK));
            file.read_exact_at(&mut block[..length], at).map_err(failed)?;
            blocks.push(tree::tree(&block[..length]));
            at += length as u64;
        }
        Ok(blocks)
    }

    /// Nothing has come of it: it is removed.
    pub(crate) fn remove(&self) {
        // Nothing can be done about an error, and the command has failed already.
        let _ = rustix::fs::unlinkat(&self.place.folder().fd, self.name(), AtFlags::empty());
    }
}

fn open(place: &Destination) -> io::Result<File> {
    // A pipe of that name is not waited for.
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = rustix::fs::openat(&place.folder().fd, place.name(), flags | OFlags::CLOEXEC, mode)?;
    Ok(File::from(file))
}

/// What somebody else has put there could be read or changed by him later.
fn refuse_other(place: &Destination, found: &Metadata) -> Result<(), Failure> {
    let is_own = found.uid() == rustix::process::geteuid().as_raw();
    let is_private = found.nlink() <= 1 && found.mode() & 0o077 == 0;
    if found.is_file() && is_own && is_private {
        return Ok(());
    }
    Err(refused(place, "it is not a private file of yours: remove it"))
}

fn is_there(place: &Destination, file: &Metadata) -> bool {
    let found = place.stat().ok().flatten();
    found.is_some_and(|found| found.st_ino == file.ino() && found.st_dev == file.dev())
}

fn refused(place: &Destination, why: &str) -> Failure {
    Failure::new(Exit::Error, format_args!("cannot go on with {}: {why}", place.path().display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LEAF;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn open_at(path: &Path) -> Result<(File, Draft), Failure> {
        Draft::open(&Destination::of(path).unwrap())
    }

    #[test]
    fn a_draft_is_one_process_s_and_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (file, draft) = open_at(&path).unwrap();
        assert_eq!((draft.length(), draft.name()), (0, OsStr::new("file.dfs-part")));
        assert_eq!(draft.blocks(&file), Ok(Vec::new()));
        let second = open_at(&path).unwrap_err();
        assert!(second.to_string().contains("another dfs writes it"), "{second}");
        let bytes = vec![7; BLOCK + LEAF + 1];
        file.write_all_at(&bytes, 0).unwrap();
        drop(file);
        let (file, draft) = open_at(&path).unwrap();
        let blocks = [tree::tree(&bytes[..BLOCK]), tree::tree(&bytes[BLOCK..])];
        assert_eq!(draft.blocks(&file).unwrap(), blocks);
        draft.remove();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_others_could_open_is_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let (path, there) = (folder.path().join("file"), folder.path().join("file.dfs-part"));
        let check = |what: &str| assert!(open_at(&path).is_err(), "{what}");
        fs::create_dir(&there).unwrap();
        check("a folder");
        fs::remove_dir(&there).unwrap();
        std::os::unix::fs::symlink("elsewhere", &there).unwrap();
        check("a link");
        fs::remove_file(&there).unwrap();
        fs::write(&there, "").unwrap();
        fs::set_permissions(&there, Permissions::from_mode(0o644)).unwrap();
        check("readable by others");
        fs::set_permissions(&there, Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(&there, folder.path().join("other")).unwrap();
        check("of two names");
        fs::remove_file(folder.path().join("other")).unwrap();
        assert!(open_at(&path).is_ok());
    }
}
