//! What is known of a stored file besides its bytes, and how a local one gets it.
//!
//! Knows nothing about the network. Invariants: nobody may do more with a fetched file than with the stored one, or with
//! the one whose place it takes; a file system that has no modes, times or attributes is no error.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Mode, Stat, Timespec, Timestamps, UTIME_OMIT, XattrFlags};
use rustix::io::Errno;

use crate::session::Entry;
use crate::time::FileTime;
use crate::wire::attributes::Xattr;

/// Read, write and run, for owner, group and others: what else a mode may say makes a program run as its owner, and a
/// fetched file has another.
const RIGHTS: u32 = 0o777;
/// Of folders also that only its owner may remove a file, and that files get the folder's group.
const FOLDER_RIGHTS: u32 = 0o3777;
/// All that a folder's owner may do.
const OWNER: u32 = 0o700;

/// The extended attributes that belong to the file's owner; all others belong to the machine, and give rights there.
pub(crate) const OWNERS: &[u8] = b"user.";

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// `st_mode`; 0 for unknown.
    pub(crate) mode: u32,
    pub(crate) mtime: Option<FileTime>,
    pub(crate) xattrs: Vec<Xattr>,
}

/// What a stored entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
}

impl Facts {
    /// What an entry says; of its extended attributes if they are wanted, and only of those of the file's owner: whoever
    /// stored it says nothing about this machine.
    pub(crate) fn of(entry: &Entry, xattrs: bool) -> Self {
        let found = entry.attributes.xattrs.iter().filter(|_| xattrs);
        let wanted = found.filter(|xattr| xattr.name.starts_with(OWNERS)).cloned().collect();
        Self { mode: entry.mode, mtime: entry.mtime, xattrs: wanted }
    }

    /// Gives all this to an open file, which may take the place of one with the mode `replaced`.
    pub(crate) fn set(&self, file: &File, replaced: Option<u32>) -> io::Result<()> {
        let rights = self.rights(replaced);
        // What may not be written takes no attributes either.
        self.set_xattrs(file)?;
        tolerated(rustix::fs::fchmod(file, Mode::from_raw_mode(rights)))?;
        self.set_time(file)
    }

    fn rights(&self, replaced: Option<u32>) -> u32 {
        let rights = if self.mode == 0 { 0o666 & !umask() } else { self.mode & RIGHTS };
        // What its owner may do is as it was stored: a program that is fetched anew can be run.
        rights & replaced.map_or(RIGHTS, |replaced| replaced | 0o700)
    }

    /// Whether a file that is there has nothing to be given by this.
    pub(crate) fn are_of(&self, found: &Stat) -> bool {
        let mode = Mode::from(found.st_mode).as_raw_mode();
        let is_mode = self.mode == 0 || mode == self.rights(Some(mode));
        is_mode && self.is_time_of(found) && self.xattrs.is_empty()
    }

    /// Whether something was changed when this says; true if it says nothing.
    pub(crate) fn is_time_of(&self, found: &Stat) -> bool {
        self.mtime.is_none_or(|time| {
            (found.st_mtime, u32::try_from(found.st_mtime_nsec)) == (time.seconds, Ok(time.nanos))
        })
    }

    /// Gives all this to an open folder. One that was there, with the mode `found`, keeps what it forbids to others and what its
    /// owner may do; and all that it is if it belongs to everybody, as that for temporary files does.
    pub(crate) fn set_folder(&self, folder: impl AsFd, found: Option<u32>) -> io::Result<()> {
        let folder = folder.as_fd();
        let present = rights_of(folder)?;
        let rights = match (self.mode, found) {
            (_, Some(found)) if is_shared(found) => found,
            (0, Some(found)) => found,
            (0, None) => 0o777 & !umask(),
            (mode, Some(found)) => (mode | OWNER) & found,
            (mode, None) => mode & FOLDER_RIGHTS,
        };
        self.set_xattrs(folder)?;
        if rights != present {
            tolerated(rustix::fs::fchmod(folder, Mode::from_raw_mode(rights)))?;
        }
        if found.is_some_and(is_shared) { Ok(()) } else { self.set_time(folder) }
    }

    fn set_xattrs(&self, fd: impl AsFd) -> io::Result<()> {
        for xattr in &self.xattrs {
            let name = OsStr::from_bytes(&xattr.name);
            tolerated(rustix::fs::fsetxattr(&fd, name, &xattr.value, XattrFlags::empty()))?;
        }
        Ok(())
    }

    fn set_time(&self, fd: impl AsFd) -> io::Result<()> {
        match self.mtime {
            Some(time) => tolerated(rustix::fs::futimens(&fd, &times(time))),
            None => Ok(()),
        }
    }

    /// The time of a link itself. Where links have none nothing is lost.
    pub(crate) fn set_link_time(&self, folder: impl AsFd, name: &OsStr) {
        if let Some(time) = self.mtime {
            let _ = rustix::fs::utimensat(folder, name, &times(time), AtFlags::SYMLINK_NOFOLLOW);
        }
    }
}

/// What a folder's mode says of rights.
pub(crate) fn rights_of(folder: impl AsFd) -> io::Result<u32> {
    Ok(Mode::from(rustix::fs::fstat(folder)?.st_mode).as_raw_mode() & FOLDER_RIGHTS)
}

/// Lets a folder's owner make files in it, where it can be.
pub(crate) fn let_owner_write(folder: impl AsFd, rights: u32) {
    if rights & OWNER != OWNER {
        // Else the first file tells.
        let _ = rustix::fs::fchmod(folder, Mode::from_raw_mode(rights | OWNER));
    }
}

/// Everybody may make files in it, and remove his own.
fn is_shared(rights: u32) -> bool {
    rights & 0o1002 == 0o1002
}

/// What an entry is, by its mode. What is not known is a file.
pub(crate) fn kind(entry: &Entry) -> Kind {
    match rustix::fs::FileType::from_raw_mode(entry.mode) {
        rustix::fs::FileType::Directory => Kind::Folder,
        rustix::fs::FileType::Symlink => Kind::Link,
        _ => Kind::File,
    }
}

/// The file is our own: its file system has no such thing, and who may do what there was said when it was mounted.
fn tolerated(result: Result<(), Errno>) -> io::Result<()> {
    match result {
        Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL | Errno::BADF) => Ok(()),
        other => Ok(other?),
    }
}

/// What new files are denied. To ask is to set it, for a moment in which this process makes no file.
fn umask() -> u32 {
    let found = rustix::process::umask(Mode::from_raw_mode(0o077));
    rustix::process::umask(found);
    found.as_raw_mode()
}

fn times(time: FileTime) -> Timestamps {
    let omitted = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let last_modification = Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanos) };
    Timestamps { last_access: omitted, last_modification }
}
