//! Open folders: names in one are names in it, wherever its path leads meanwhile.
//!
//! Knows nothing about the network. Invariant: from one folder to what is in it no link is followed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// A folder that is open.
#[derive(Debug)]
pub(crate) struct OpenFolder {
    pub(crate) fd: OwnedFd,
    path: PathBuf,
    /// It is open for its names alone: who may write into a folder need not be allowed to list it.
    unlisted: bool,
}

impl OpenFolder {
    /// The folder at a path that a person named.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::open_at(CWD, path.as_os_str(), OFlags::empty(), path.to_owned())?)
    }

    fn open_at(
        at: BorrowedFd<'_>,
        name: &OsStr,
        flags: OFlags,
        path: PathBuf,
    ) -> Result<Self, Errno> {
        let open = |mode| rustix::fs::openat(at, name, FOLDER | flags | mode, Mode::empty());
        match open(OFlags::RDONLY) {
            Ok(fd) => Ok(Self { fd, path, unlisted: false }),
            Err(Errno::ACCESS) => Ok(Self { fd: open(OFlags::PATH)?, path, unlisted: true }),
            Err(error) => Err(error),
        }
    }

    /// The folder of that name in it.
    pub(crate) fn enter(&self, name: &OsStr) -> io::Result<Self> {
        let path = self.path.join(name);
        Ok(Self::open_at(self.fd.as_fd(), name, OFlags::NOFOLLOW, path)?)
    }

    /// The path by which it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What a name in it is; a link is a link. `None` if there is nothing.
    pub(crate) fn stat(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn is_link(&self, name: &OsStr) -> bool {
        let is_link = |found: Stat| FileType::from_raw_mode(found.st_mode) == FileType::Symlink;
        self.stat(name).is_ok_and(|found| found.is_some_and(is_link))
    }

    /// The names in it, in order.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        if self.unlisted {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens the file of that name to read it, without waiting for it if it is a pipe.
    pub(crate) fn open_file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        Ok(File::from(rustix::fs::openat(&self.fd, name, flags, Mode::empty())?))
    }

    /// Where the link of that name leads.
    pub(crate) fn link_target(&self, name: &OsStr) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.fd, name, Vec::new())?.into_bytes())
    }

    /// Removes a file or a link; a link and not what it leads to.
    pub(crate) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Removes a folder that is empty.
    pub(crate) fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    /// Makes durable what is on its file system, unless that is among those `done`.
    pub(crate) fn sync_system(&self, done: &mut Vec<u64>) -> io::Result<()> {
        let device = rustix::fs::fstat(&self.fd)?.st_dev;
        if self.unlisted {
            return self.sync();
        }
        if !done.contains(&device) {
            rustix::fs::syncfs(&self.fd)?;
            done.push(device);
        }
        Ok(())
    }

    /// Makes the names in it durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if self.unlisted {
            // Such a folder cannot be flushed by itself.
            rustix::fs::sync();
            return Ok(());
        }
        File::from(self.fd.try_clone()?).sync_all()
    }
}

/// What is below a folder by relative paths, which make nothing and follow no link.
#[derive(Debug)]
pub(crate) struct Finder {
    /// None where there is no such folder: nothing is below it.
    root: Option<Rc<OpenFolder>>,
    /// The last one: paths often come in order.
    parent: PathBuf,
    way: Way,
}

/// Where the way to something ends.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// In the folder that would hold it.
    Open(Rc<OpenFolder>),
    /// There is no such folder.
    Absent,
    /// What has the name of a folder is none.
    Blocked,
}

impl Finder {
    pub(crate) fn new(root: Option<Rc<OpenFolder>>) -> Self {
        let way = root.clone().map_or(Way::Absent, Way::Open);
        Self { root, parent: PathBuf::new(), way }
    }

    /// The folder that holds what is at a relative path, if there is one.
    pub(crate) fn folder_of(&mut self, relative: &Path) -> io::Result<Way> {
        let parent = relative.parent().unwrap_or(Path::new(""));
        if parent != self.parent {
            self.way = self.descend(parent)?;
            parent.clone_into(&mut self.parent);
        }
        Ok(self.way.clone())
    }

    /// What is at a relative path; a link is a link.
    pub(crate) fn stat(&mut self, relative: &Path) -> io::Result<Option<Stat>> {
        match self.folder_of(relative)? {
            Way::Open(folder) => folder.stat(relative.file_name().unwrap_or(OsStr::new("."))),
            Way::Absent | Way::Blocked => Ok(None),
        }
    }

    fn descend(&self, parent: &Path) -> io::Result<Way> {
        let Some(root) = &self.root else { return Ok(Way::Absent) };
        let mut folder = Rc::clone(root);
        for part in parent {
            folder = match folder.enter(part) {
                Ok(next) => Rc::new(next),
                Err(error) => {
                    return match Errno::from_io_error(&error) {
                        Some(Errno::NOENT) => Ok(Way::Absent),
                        Some(Errno::NOTDIR | Errno::LOOP) => Ok(Way::Blocked),
                        _ => Err(error),
                    };
                }
            };
        }
        Ok(Way::Open(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_finder_finds_what_is_there_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        for file in ["root/x", "root/a/b/y", "out/z"] {
            fs::write(folder.path().join(file), file).unwrap();
        }
        symlink("../out", root.join("link")).unwrap();
        let opened = Rc::new(OpenFolder::open(&root).unwrap());
        let mut finder = Finder::new(Some(Rc::clone(&opened)));
        let mut kind = |path: &str| {
            let found = finder.stat(Path::new(path)).unwrap();
            found.map(|found| FileType::from_raw_mode(found.st_mode))
        };
        assert_eq!(kind("x"), Some(FileType::RegularFile));
        assert_eq!(kind("a/b/y"), Some(FileType::RegularFile));
        assert_eq!(kind("a/b"), Some(FileType::Directory));
        assert_eq!(kind("link"), Some(FileType::Symlink));
        for path in ["link/z", "x/y", "a/c/d", "nothing"] {
            assert_eq!(kind(path), None, "{path}");
        }
        let mut is_blocked =
            |path: &str| matches!(finder.folder_of(Path::new(path)), Ok(Way::Blocked));
        assert_eq!(["link/z", "x/y", "a/c/d"].map(&mut is_blocked), [true, true, false]);
        assert_eq!(Finder::new(None).stat(Path::new("x")).unwrap().map(|one| one.st_size), None);
        assert_eq!(opened.names().unwrap(), ["a", "link", "x"]);
        assert_eq!(opened.link_target(OsStr::new("link")).unwrap(), b"../out");
        assert!(opened.open_file(OsStr::new("link")).is_err());
        opened.remove_file(OsStr::new("link")).unwrap();
        assert!(
            folder.path().join("out/z").exists() && opened.remove_folder(OsStr::new("a")).is_err()
        );
    }
}
