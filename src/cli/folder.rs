//! Folders that are stored: the files below one.
//!
//! Knows nothing about the network. Invariant: a walk ends, whatever links there are.

use std::fs::{self, ReadDir};
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::failure::{Exit, Failure};
use crate::cli::hash::cannot_read;

/// The files below a folder, one by one, or why one of them cannot be stored.
pub(crate) struct Walk {
    root: PathBuf,
    open: Option<ReadDir>,
    waiting: Vec<PathBuf>,
}

/// A path relative to the folder that is walked.
pub(crate) type Found = Result<PathBuf, (PathBuf, Failure)>;

impl Walk {
    /// Begins at a folder.
    pub(crate) fn new(root: &Path) -> Result<Self, Failure> {
        let open = fs::read_dir(root).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory => Failure::new(
                Exit::Error,
                format_args!("{} is no folder: put without -r stores a file", root.display()),
            ),
            _ => cannot_read(root, &error),
        })?;
        Ok(Self { root: root.to_owned(), open: Some(open), waiting: Vec::new() })
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap_or(path).to_owned()
    }

    /// Opens the next folder that waits; what could not be opened is an answer.
    fn open_next(&mut self) -> Option<Found> {
        let folder = self.waiting.pop()?;
        match fs::read_dir(&folder) {
            Ok(open) => {
                self.open = Some(open);
                None
            }
            Err(error) => Some(Err((self.relative(&folder), cannot_read(&folder, &error)))),
        }
    }

    /// Judges one entry; a folder waits for its turn.
    fn judge(&mut self, path: PathBuf) -> Option<Found> {
        let found = fs::symlink_metadata(&path).and_then(|found| {
            // A link to a file stands for the file; a link to a folder could lead round and round.
            let target = if found.is_symlink() { fs::metadata(&path)? } else { found.clone() };
            Ok((found, target))
        });
        let relative = self.relative(&path);
        match found {
            Err(error) => Some(Err((relative, cannot_read(&path, &error)))),
            Ok((found, _)) if found.is_dir() => {
                self.waiting.push(path);
                None
            }
            Ok((_, target)) if target.is_file() => Some(Ok(relative)),
            Ok(_) => {
                let sentence = "neither a file nor a folder, or a link to a folder: left out";
                Some(Err((relative, Failure::new(Exit::Error, sentence))))
            }
        }
    }
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let Some(open) = &mut self.open else {
                if self.waiting.is_empty() {
                    return None;
                }
                if let Some(found) = self.open_next() {
                    return Some(found);
                }
                continue;
            };
            let found = match open.next() {
                None => {
                    self.open = None;
                    None
                }
                Some(Ok(entry)) => self.judge(entry.path()),
                Some(Err(error)) => {
                    self.open = None;
                    let root = self.root.clone();
                    Some(Err((root.clone(), cannot_read(&root, &error))))
                }
            };
            if found.is_some() {
                return found;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_walk_finds_files_and_says_what_it_leaves_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/b/empty")).unwrap();
        for file in ["x", "a/y", "a/b/z"] {
            fs::write(root.join(file), file).unwrap();
        }
        symlink("x", root.join("link")).unwrap();
        symlink(".", root.join("loop")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        let (found, refused): (Vec<_>, Vec<_>) = Walk::new(root).unwrap().partition(Result::is_ok);
        let mut found: Vec<_> = found.into_iter().map(|found| found.unwrap()).collect();
        found.sort();
        assert_eq!(found, ["a/b/z", "a/y", "link", "x"].map(PathBuf::from));
        let mut refused: Vec<_> = refused.into_iter().map(|found| found.unwrap_err().0).collect();
        refused.sort();
        assert_eq!(refused, ["dangling", "loop"].map(PathBuf::from));
        assert!(Walk::new(&root.join("x")).is_err());
    }
}
