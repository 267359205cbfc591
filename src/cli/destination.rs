//! Destinations: where a local file or link comes to be, and what is in its way.
//!
//! Knows nothing about the network, and no bytes. Invariant: what is there is replaced as a whole or not at all, and never
//! where it is a folder.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, RenameFlags, Stat};

use crate::cli::facts::Facts;
use crate::cli::failure::{Exit, Failure};
use crate::cli::interrupt::Temporary;
use crate::cli::open_folder::OpenFolder;

/// What to do where the destination exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// The new file takes its place.
    Replace,
    /// The new file is not kept, exit code 8.
    Keep,
}

/// Where a file will be: a name in a folder.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    folder: Rc<OpenFolder>,
    name: OsString,
}

impl Destination {
    /// A name in an open folder. Nothing is followed that is a link.
    pub(crate) fn new(folder: Rc<OpenFolder>, name: OsString) -> Self {
        Self { folder, name }
    }

    /// The place beside it whose name is this one's with an ending.
    pub(crate) fn with_ending(&self, ending: &str) -> Self {
        let mut beside = self.clone();
        beside.name.push(ending);
        beside
    }

    /// Its path, to be told.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    /// The place of a path that a person named.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let folder = Rc::new(OpenFolder::open(folder_of(path))?);
        Ok(Self { folder, name: path.file_name().unwrap_or_default().to_owned() })
    }

    /// Puts a link there that leads to `target`, which is looked at by nobody.
    pub(crate) fn link(
        &self,
        target: &[u8],
        facts: &Facts,
        existing: Existing,
    ) -> Result<(), Failure> {
        let failed = |error: io::Error| cannot_write(&self.path(), &error);
        if let Some(found) = self.stat().map_err(failed)? {
            let found = FileType::from_raw_mode(found.st_mode);
            refuse_type(&self.path(), found.is_dir(), existing)?;
        }
        let (fd, temporary) = (&self.folder.fd, self.temporary());
        let made = rustix::fs::symlinkat(OsStr::from_bytes(target), fd, temporary.name());
        made.map_err(|error| failed(error.into()))?;
        facts.set_link_time(fd, temporary.name());
        self.rename_from(temporary.name(), existing).map_err(|error| {
            // Nothing can be done about an error, and the command has failed already.
            let _ = rustix::fs::unlinkat(fd, temporary.name(), AtFlags::empty());
            self.failure(&error)
        })
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Rc<OpenFolder> {
        &self.folder
    }

    /// The name in it.
    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// What is there; a link is a link.
    pub(crate) fn stat(&self) -> io::Result<Option<Stat>> {
        self.folder.stat(&self.name)
    }

    /// A name beside it that no other process and no other file of this one uses, and the note that it is to be removed.
    pub(crate) fn temporary(&self) -> Temporary {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".dfs-{}-{count}.part", std::process::id());
        Temporary::new(self.folder.path().join(name))
    }

    /// Gives what has another name in the folder this one.
    pub(crate) fn rename_from(&self, from: &OsStr, existing: Existing) -> io::Result<()> {
        let flags = match existing {
            Existing::Replace => RenameFlags::empty(),
            Existing::Keep => RenameFlags::NOREPLACE,
        };
        let fd = &self.folder.fd;
        Ok(rustix::fs::renameat_with(fd, from, fd, &self.name, flags)?)
    }

    /// What a failure to write it, or to give it its name, means.
    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::AlreadyExists => exists(&self.path()),
            _ => cannot_write(&self.path(), error),
        }
    }

    /// Makes the name durable.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        self.folder.sync().map_err(|error| cannot_write(self.folder.path(), &error))
    }
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Whether a path is that of a link that leads nowhere.
pub(crate) fn is_dangling(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) && !path.exists()
}

/// Whether a path names what this process has open already.
pub(crate) fn is_open_file(path: &Path) -> bool {
    let folders = ["/dev/fd", "/proc/self/fd"];
    let streams = ["/dev/stdout", "/dev/stderr"];
    path.parent().is_some_and(|folder| folders.iter().any(|one| folder == Path::new(one)))
        || streams.iter().any(|one| path == Path::new(one))
}

pub(crate) fn refuse(path: &Path, found: &fs::Metadata, existing: Existing) -> Result<(), Failure> {
    refuse_type(path, found.is_dir(), existing)
}

pub(crate) fn refuse_type(path: &Path, is_folder: bool, existing: Existing) -> Result<(), Failure> {
    if is_folder {
        return Err(Failure::new(
            Exit::Error,
            format_args!("{} is a folder: say which file to write", path.display()),
        ));
    }
    match existing {
        Existing::Keep => Err(exists(path)),
        Existing::Replace => Ok(()),
    }
}

fn exists(path: &Path) -> Failure {
    Failure::new(Exit::Exists, format_args!("{} exists, and stays as it is", path.display()))
}

pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Error, format_args!("cannot write {}: {error}", path.display()))
}
