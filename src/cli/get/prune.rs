//! `dfs get -r --delete`: local files and folders that are not stored are removed.
//!
//! Knows nothing about the network. Invariants: what is reached is reached through open folders and never through a link;
//! a link is removed and not what it leads to; the folder itself stays, and so do the data folders of nodes.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::cli::actions::{Action, Actions};
use crate::cli::facts::Kind;
use crate::cli::failure::{Exit, Failure, Tally};
use crate::cli::interrupt;
use crate::cli::open_folder::OpenFolder;
use crate::cli::text::{self, counted_all};
use crate::crypto::tree::tree;

/// Half of a hash: nobody finds two paths with the same.
type Digest = [u8; 16];

/// Paths of what is stored, and of the folders that it is in, in 16 bytes each.
#[derive(Debug, Default)]
pub(super) struct Kept {
    digests: Vec<Digest>,
    /// The folder of the last one: paths come in order.
    parent: PathBuf,
}

impl Kept {
    pub(super) fn add(&mut self, relative: &Path, kind: Kind) {
        self.digests.push(digest(relative, kind));
        let parent = relative.parent().unwrap_or(Path::new(""));
        if parent != self.parent {
            let folders = parent.ancestors().map(|folder| digest(folder, Kind::Folder));
            self.digests.extend(folders);
            parent.clone_into(&mut self.parent);
        }
    }

    /// All have been added.
    pub(super) fn sort(&mut self) {
        self.digests.sort_unstable();
        self.digests.dedup();
    }

    fn has(&self, relative: &Path, kind: Kind) -> bool {
        self.digests.binary_search(&digest(relative, kind)).is_ok()
    }
}

fn digest(relative: &Path, kind: Kind) -> Digest {
    let kind: &[u8] = match kind {
        Kind::File => b"",
        Kind::Folder => b"/",
        // No name ends so.
        Kind::Link => b"\0",
    };
    let name = [relative.as_os_str().as_bytes(), kind].concat();
    let hash = tree(&name).0;
    let (half, _) = hash.split_first_chunk().expect("a hash is longer than its half");
    *half
}

/// What is removed.
pub(super) struct Pruning<'a> {
    kept: &'a Kept,
    actions: &'a mut Actions,
    tally: Tally,
    files: u64,
    folders: u64,
}

impl<'a> Pruning<'a> {
    pub(super) fn new(kept: &'a Kept, actions: &'a mut Actions) -> Self {
        Self { kept, actions, tally: Tally::default(), files: 0, folders: 0 }
    }

    /// Removes it, and says how much that was.
    pub(super) fn run(mut self, root: &OpenFolder) -> Result<Option<String>, Failure> {
        if is_data_folder(root) {
            let sentence = "it is the data folder of a node: nothing was removed";
            return Err(Failure::new(Exit::Error, sentence).about(&root.path().display()));
        }
        self.empty(root, Path::new(""));
        let word = if self.actions.is_dry() { "would remove" } else { "removed" };
        let removed = counted_all(&[(self.files, "file"), (self.folders, "folder")]);
        if interrupt::is_caught() {
            return Err(self.tally.interrupted(None, "removed"));
        }
        self.tally.outcome("removals")?;
        Ok(removed.map(|removed| format!("{word} {removed}")))
    }

    /// Removes what is not stored of what is in a folder. Says whether nothing is left in it.
    fn empty(&mut self, folder: &OpenFolder, relative: &Path) -> bool {
        let names = match folder.names() {
            Ok(names) => names,
            Err(error) => {
                self.failed(folder.path(), &error);
                return false;
            }
        };
        let mut is_empty = true;
        for name in names {
            if interrupt::is_caught() {
                return false;
            }
            let below = relative.join(&name);
            let found = folder.stat(&name).map(|found| found.map(|found| found.st_mode));
            let is_gone = match found.map(|mode| mode.map(FileType::from_raw_mode)) {
                Ok(None) => true,
                Ok(Some(FileType::Directory)) => self.prune_folder(folder, &name, &below),
                Ok(Some(found)) => {
                    // A file gives way to a link without being removed.
                    let is_kept = self.kept.has(&below, Kind::Link)
                        || found != FileType::Symlink && self.kept.has(&below, Kind::File);
                    !is_kept && self.prune_file(folder, &name, &below)
                }
                Err(error) => {
                    self.failed(&folder.path().join(&name), &error);
                    false
                }
            };
            is_empty &= is_gone;
        }
        is_empty
    }

    fn prune_file(&mut self, folder: &OpenFolder, name: &OsStr, relative: &Path) -> bool {
        let removed = if self.actions.is_dry() { Ok(()) } else { folder.remove_file(name) };
        self.judge(&folder.path().join(name), relative.as_os_str().as_bytes(), removed)
            .then(|| self.files += 1)
            .is_some()
    }

    fn prune_folder(&mut self, folder: &OpenFolder, name: &OsStr, relative: &Path) -> bool {
        let below = match folder.enter(name) {
            Ok(below) => below,
            Err(error) => {
                self.failed(&folder.path().join(name), &error);
                return false;
            }
        };
        if is_data_folder(&below) {
            let path = below.path().display();
            text::tell(format_args!("dfs: {path}: not removed: the data folder of a node"));
            return false;
        }
        if !self.empty(&below, relative) || self.kept.has(relative, Kind::Folder) {
            return false;
        }
        let removed = if self.actions.is_dry() { Ok(()) } else { folder.remove_folder(name) };
        let told = [relative.as_os_str().as_bytes(), b"/"].concat();
        self.judge(below.path(), &told, removed).then(|| self.folders += 1).is_some()
    }

    /// Whether it was removed, or would be.
    fn judge(&mut self, path: &Path, told: &[u8], removed: io::Result<()>) -> bool {
        match removed {
            Ok(()) => {
                self.tally.done();
                self.actions.tell(Action::Remove, told);
                true
            }
            Err(error) => {
                self.failed(path, &error);
                false
            }
        }
    }

    fn failed(&mut self, path: &Path, error: &io::Error) {
        let sentence = format!("cannot remove {}: {error}", path.display());
        self.tally.failed_as_told(&Failure::new(Exit::Error, sentence));
    }
}

/// Whether a node keeps its keys and its log there.
fn is_data_folder(folder: &OpenFolder) -> bool {
    let is = |name: &str, kind| {
        let found = folder.stat(OsStr::new(name)).ok().flatten();
        found.is_some_and(|found| FileType::from_raw_mode(found.st_mode) == kind)
    };
    is("node.key", FileType::RegularFile) && is("log", FileType::Directory)
}
