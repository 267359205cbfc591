//! Folders that files are fetched into.
//!
//! Knows nothing about the network. Invariant: a folder below the one that a person named is reached through open folders
//! alone, one after the other and never through a link, so that nobody who may write there can lead a file elsewhere.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use rustix::fs::Mode;
use rustix::io::Errno;

use crate::cli::facts::{self, Facts};
use crate::cli::failure::{Exit, Failure};
use crate::cli::open_folder::OpenFolder;

/// The mode of a folder that is being filled.
const PRIVATE: Mode = Mode::RWXU;

/// More folders than these are made durable by one call for each file system.
const SYNCED_EACH_MAX: usize = 64;

/// The folder of that name in another, which is made if there is none: its owner's alone, until all is in it. Also its rights
/// if it was there.
fn make_below(folder: &OpenFolder, name: &OsStr) -> Result<(OpenFolder, Option<u32>), Failure> {
    let path = folder.path().join(name);
    let was_there = match rustix::fs::mkdirat(&folder.fd, name, PRIVATE) {
        Ok(()) => false,
        Err(Errno::EXIST) => true,
        Err(error) => return Err(cannot_make(&path, &error.into())),
    };
    match folder.enter(name) {
        Ok(below) => {
            let found = fill(&below, was_there).map_err(|error| cannot_make(&path, &error))?;
            Ok((below, found))
        }
        Err(_) if folder.is_link(name) => Err(link_in_the_way(&path)),
        Err(error) => Err(cannot_make(&path, &error)),
    }
}

/// Lets a folder be filled; gives the rights that it had if it was there.
fn fill(folder: &OpenFolder, was_there: bool) -> io::Result<Option<u32>> {
    if !was_there {
        return Ok(None);
    }
    let rights = facts::rights_of(&folder.fd)?;
    facts::let_owner_write(&folder.fd, rights);
    Ok(Some(rights))
}

/// A local folder that files are fetched into.
#[derive(Debug)]
pub(crate) struct Landing {
    root: Rc<OpenFolder>,
    /// The folders on the way to the last one: files come in the order of their names.
    way: Vec<(OsString, Rc<OpenFolder>)>,
    /// All folders that files came into, or folders; the root is the one without a path.
    used: BTreeMap<PathBuf, Used>,
}

/// A folder that files came into.
#[derive(Debug)]
struct Used {
    /// Its rights, if it was there.
    found: Option<u32>,
    facts: Facts,
}

impl Landing {
    /// Makes the folder if there is none; a file in its place is an error.
    pub(crate) fn new(root: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| cannot_make(root, &error);
        let above = root.parent().filter(|above| !above.as_os_str().is_empty());
        above.map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
        let was_there = match DirBuilder::new().mode(PRIVATE.as_raw_mode()).create(root) {
            Ok(()) => false,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => true,
            Err(error) => return Err(failed(error)),
        };
        let opened = OpenFolder::open(root).map_err(failed)?;
        let found = fill(&opened, was_there).map_err(failed)?;
        let used = BTreeMap::from([(PathBuf::new(), Used { found, facts: Facts::default() })]);
        Ok(Self { root: Rc::new(opened), way: Vec::new(), used })
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &OpenFolder {
        &self.root
    }

    /// Makes what folders a relative path needs, and gives the last of them and the name in it. `relative` is one of
    /// `names::below`.
    pub(crate) fn prepare(
        &mut self,
        relative: &Path,
    ) -> Result<(Rc<OpenFolder>, OsString), Failure> {
        let name = relative.file_name().unwrap_or_default().to_owned();
        Ok((self.folder(relative.parent().unwrap_or(Path::new("")))?, name))
    }

    /// Makes the folder of a relative path, which gets this at the end; the root for an empty path.
    pub(crate) fn prepare_folder(&mut self, relative: &Path, facts: Facts) -> Result<(), Failure> {
        self.folder(relative)?;
        if let Some(used) = self.used.get_mut(relative) {
            used.facts = facts;
        }
        Ok(())
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
                let (next, found) = make_below(self.last(), part)?;
                self.way.push((part.to_owned(), Rc::new(next)));
                let facts = Facts::default();
                self.used.entry(below.clone()).or_insert(Used { found, facts });
            }
            depth += 1;
        }
        self.way.truncate(depth);
        Ok(Rc::clone(self.last()))
    }

    fn last(&self) -> &Rc<OpenFolder> {
        self.way.last().map_or(&self.root, |(_, folder)| folder)
    }

    /// Everything is in them: makes the names in all of them durable, and gives each its mode and time. The deepest come
    /// first: what is in a folder cannot be reached, perhaps, when that is done. One that fails does not keep the others.
    pub(crate) fn finish(&mut self) -> Vec<Failure> {
        let all = std::mem::take(&mut self.used);
        let mut devices = (all.len() > SYNCED_EACH_MAX).then(Vec::new);
        let each = all.into_iter().rev();
        each.filter_map(|(relative, used)| {
            self.finish_one(&relative, &used, devices.as_mut()).err()
        })
        .collect()
    }

    /// Opens them to whom they are to be open, for a command that ends early: nothing is waited for.
    pub(crate) fn give_up(&mut self) {
        for (relative, used) in std::mem::take(&mut self.used).into_iter().rev() {
            if let Ok(folder) = self.folder(&relative) {
                // Nothing can be done about an error, and the command has failed already.
                let _ = used.facts.set_folder(&folder.fd, used.found);
            }
        }
    }

    fn finish_one(
        &mut self,
        relative: &Path,
        used: &Used,
        devices: Option<&mut Vec<u64>>,
    ) -> Result<(), Failure> {
        let folder = self.folder(relative)?;
        let synced = devices.map_or_else(|| folder.sync(), |devices| folder.sync_system(devices));
        let set = used.facts.set_folder(&folder.fd, used.found);
        synced.and(set).map_err(|error| cannot_make(folder.path(), &error))
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
    use crate::time::FileTime;
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
        fs::write(root.join("file"), "").unwrap();
        assert!(landing.prepare(Path::new("file/x")).is_err());
        landing.prepare(Path::new("a/y")).unwrap();
        landing.prepare(Path::new("z")).unwrap();
        assert_eq!(landing.finish(), []);
    }

    #[test]
    fn folders_get_their_modes_and_times_when_all_is_in_them() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("d");
        let facts = |mode, seconds| Facts {
            mode,
            mtime: Some(FileTime { seconds, nanos: 5 }),
            ..Facts::default()
        };
        let mut landing = Landing::new(&root).unwrap();
        landing.prepare_folder(Path::new(""), facts(0o40_700, -1)).unwrap();
        landing.prepare_folder(Path::new("a"), facts(0o40_500, 7)).unwrap();
        let (there, _) = landing.prepare(Path::new("a/b/x")).unwrap();
        fs::write(there.path().join("x"), "").unwrap();
        assert_eq!(landing.finish(), []);
        let told = |path: &Path| {
            let found = fs::metadata(path).unwrap();
            (found.mode() & 0o7777, found.mtime(), found.mtime_nsec())
        };
        assert_eq!(told(&root), (0o700, -1, 5));
        assert_eq!(told(&root.join("a")), (0o500, 7, 5));
        let usual = folder.path().join("usual");
        fs::create_dir(&usual).unwrap();
        assert_eq!(told(&root.join("a/b")).0, told(&usual).0, "not known: as any new folder");
        // Once more: what a folder forbids it goes on to forbid.
        let mut landing = Landing::new(&root).unwrap();
        landing.prepare_folder(Path::new(""), facts(0o40_755, 9)).unwrap();
        assert_eq!(landing.finish(), []);
        assert_eq!(told(&root), (0o700, 9, 5));
        fs::set_permissions(root.join("a"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .unwrap();
    }

    #[test]
    fn many_folders_get_their_modes_too() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("d");
        let mut landing = Landing::new(&root).unwrap();
        for number in 0..=SYNCED_EACH_MAX {
            let facts = Facts { mode: 0o40_711, ..Facts::default() };
            landing.prepare_folder(Path::new(&number.to_string()), facts).unwrap();
        }
        assert_eq!(landing.finish(), []);
        let modes = fs::read_dir(&root).unwrap().map(|one| one.unwrap().metadata().unwrap().mode());
        assert!(modes.into_iter().all(|mode| mode & 0o777 == 0o711));
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
        assert_eq!(landing.finish(), []);
        fs::set_permissions(&root, PermissionsExt::from_mode(0o700)).unwrap();
    }
}
