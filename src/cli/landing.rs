//! Folders that files are fetched into.
//!
//! Knows nothing about the network. Invariant: a folder below the one that a person named is reached through open folders
//! alone, one after the other and never through a link, so that nobody who may write there can lead a file elsewhere.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::cli::failure::{Exit, Failure};

/// A folder that is open: names in it are names in it, wherever its path leads meanwhile.
#[derive(Debug)]
pub(crate) struct OpenFolder {
    pub(crate) fd: OwnedFd,
    path: PathBuf,
    /// It is open for its names alone: who may write into a folder need not be allowed to list it.
    unlisted: bool,
}

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

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

    /// The path by which it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What a name in it is; a link is a link. `None` if there is nothing.
    pub(crate) fn type_of(&self, name: &OsStr) -> io::Result<Option<FileType>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(FileType::from_raw_mode(found.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The folder of that name in it, which is made if there is none.
    fn below(&self, name: &OsStr) -> Result<Self, Failure> {
        let path = self.path.join(name);
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(cannot_make(&path, &error.into())),
        }
        match Self::open_at(self.fd.as_fd(), name, OFlags::NOFOLLOW, path.clone()) {
            Ok(folder) => Ok(folder),
            Err(error) => Err(match self.type_of(name) {
                Ok(Some(FileType::Symlink)) => link_in_the_way(&path),
                _ => cannot_make(&path, &error.into()),
            }),
        }
    }

    /// Makes the names in it durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if self.unlisted {
            // Such a folder can't be flushed by itself.
            rustix::fs::sync();
            return Ok(());
        }
        File::from(self.fd.try_clone()?).sync_all()
    }
}

/// A local folder that files are fetched into.
#[derive(Debug)]
pub(crate) struct Landing {
    root: Rc<OpenFolder>,
    /// The folders on the way to the last one: files come in the order of their names.
    way: Vec<(OsString, Rc<OpenFolder>)>,
    /// All folders below the root that files came into, or folders.
    used: BTreeSet<PathBuf>,
}

impl Landing {
    /// Makes the folder if there is none; a file in its place is an error.
    pub(crate) fn new(root: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(root).map_err(|error| cannot_make(root, &error))?;
        let root = OpenFolder::open(root).map_err(|error| cannot_make(root, &error))?;
        Ok(Self { root: Rc::new(root), way: Vec::new(), used: BTreeSet::new() })
    }

    /// Makes what folders a relative path needs, and gives the last of them and the name in it. `relative` is one of
    /// `names::below`.
    pub(crate) fn prepare(
        &mut self,
        relative: &Path,
    ) -> Result<(Rc<OpenFolder>, OsString), Failure> {
        let name = relative.file_name().unwrap_or_default().to_owned();
        let folder = self.folder(relative.parent().unwrap_or(Path::new("")))?;
        let is_link = folder.type_of(&name).is_ok_and(|found| found == Some(FileType::Symlink));
        if is_link { Err(link_in_the_way(&folder.path.join(name))) } else { Ok((folder, name)) }
    }

    fn folder(&mut self, relative: &Path) -> Result<Rc<OpenFolder>, Failure> {
        let mut depth = 0;
        let mut below = PathBuf::new();
        for part in relative.components() {
            let Component::Normal(part) = part else {
                unreachable!("names::below lets only such through");
            };
            below.push(part);
            if self.way.get(depth).is_none_or(|(name, _)| name != part) {
                self.way.truncate(depth);
                let next = Rc::new(self.last().below(part)?);
                self.way.push((part.to_owned(), next));
                self.used.insert(below.clone());
            }
            depth += 1;
        }
        self.way.truncate(depth);
        Ok(Rc::clone(self.last()))
    }

    fn last(&self) -> &Rc<OpenFolder> {
        self.way.last().map_or(&self.root, |(_, folder)| folder)
    }

    /// Makes the names in all of them durable.
    pub(crate) fn sync(&mut self) -> Result<(), Failure> {
        for relative in std::mem::take(&mut self.used).into_iter().chain([PathBuf::new()]) {
            let folder = self.folder(&relative)?;
            folder.sync().map_err(|error| cannot_make(folder.path(), &error))?;
        }
        Ok(())
    }
}

pub(crate) fn link_in_the_way(path: &Path) -> Failure {
    Failure::new(
        Exit::Error,
        format_args!("{} is a link, which could lead out of the folder", path.display()),
    )
}

fn cannot_make(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Error, format_args!("cannot make the folder {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_is_fetched_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("d");
        let mut landing = Landing::new(&root).unwrap();
        let (there, name) = landing.prepare(Path::new("a/b/x")).unwrap();
        assert_eq!((there.path(), name.to_str()), (root.join("a/b").as_path(), Some("x")));
        assert!(root.join("a/b").is_dir());
        symlink(folder.path(), root.join("out")).unwrap();
        assert!(landing.prepare(Path::new("out/x")).is_err());
        assert!(landing.prepare(Path::new("out")).is_err());
        fs::write(root.join("file"), "").unwrap();
        assert!(landing.prepare(Path::new("file/x")).is_err());
        landing.prepare(Path::new("a/y")).unwrap();
        landing.prepare(Path::new("z")).unwrap();
        landing.sync().unwrap();
    }

    #[test]
    fn a_folder_that_may_not_be_listed_takes_files_all_the_same() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("d");
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, PermissionsExt::from_mode(0o311)).unwrap();
        let mut landing = Landing::new(&root).unwrap();
        landing.prepare(Path::new("a/x")).unwrap();
        landing.sync().unwrap();
        fs::set_permissions(&root, PermissionsExt::from_mode(0o700)).unwrap();
    }
}
