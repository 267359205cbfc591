//! Names on a file system that another program or another machine serves: they are flushed folder by folder.
//!
//! Flushing everything at once writes the bytes of files there, and ends in this kernel. Knows no store. Invariant: a folder
//! stays to be flushed until a flush of it has returned; before the first flush of all that is every folder.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Folders with names that have changed; `None` before the first flush.
    changed: Mutex<Option<BTreeSet<String>>>,
}

impl Names {
    /// The name at this path has changed.
    pub(super) fn changed(&self, path: &str) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(changed) = changed.as_mut() {
            changed.insert(folder.to_owned());
        }
    }

    /// Flushes the folders below `root` whose names have changed.
    pub(super) fn flush(&self, root: &Path) -> io::Result<()> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        match changed.as_ref() {
            Some(folders) => folders.iter().try_for_each(|folder| flush_one(&root.join(folder)))?,
            None => flush_below(root)?,
        }
        *changed = Some(BTreeSet::new());
        Ok(())
    }
}

/// What an earlier process has changed nobody knows: every folder, and every file of the log.
fn flush_below(folder: &Path) -> io::Result<()> {
    let is_log = folder.file_name().is_some_and(|name| name == "log");
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            flush_below(&entry.path())?;
        } else if is_log && kind.is_file() {
            flush_one(&entry.path())?;
        }
    }
    flush_one(folder)
}

fn flush_one(path: &Path) -> io::Result<()> {
    match File::open(path).and_then(|file| file.sync_all()) {
        // Some have nothing to flush for a folder; and one that is gone has no names.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) =>
        {
            Ok(())
        }
        // Nobody else may enter it either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        flushed => flushed,
    }
}
