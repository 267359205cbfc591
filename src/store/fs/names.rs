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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn left(names: &Names) -> Option<Vec<String>> {
        names.changed.lock().unwrap().as_ref().map(|changed| changed.iter().cloned().collect())
    }

    #[test]
    fn all_is_flushed_first_and_then_what_has_changed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("blocks/ab")).unwrap();
        fs::create_dir(root.path().join("log")).unwrap();
        fs::write(root.path().join("log/00000001.seg"), b"group").unwrap();
        let names = Names::default();
        names.changed("blocks/ab/block");
        assert_eq!(left(&names), None, "all of them");
        names.flush(root.path()).unwrap();
        assert_eq!(left(&names), Some(Vec::new()));
        for path in ["blocks/ab/block", "blocks/ab/other", "gone/file", "address"] {
            names.changed(path);
        }
        let changed = ["", "blocks/ab", "gone"].map(str::to_owned).to_vec();
        assert_eq!(left(&names), Some(changed));
        names.flush(root.path()).unwrap();
        assert_eq!(left(&names), Some(Vec::new()), "one that is gone has no names");
    }

    #[test]
    fn what_could_not_be_flushed_stays_to_be_flushed() {
        let root = tempfile::tempdir().unwrap();
        let names = Names::default();
        assert!(names.flush(&root.path().join("not/there")).is_err());
        assert_eq!(left(&names), None);
    }
}
