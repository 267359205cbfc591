//! Folders that are stored: the files below one.
//!
//! Knows nothing about the network. Invariant: a walk ends, whatever links there are.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

use crate::cli::failure::{Exit, Failure};
use crate::cli::hash::cannot_read;

/// A path relative to the folder that is walked, or which one cannot be stored, and why.
pub(crate) type Found = Result<PathBuf, (PathBuf, Failure)>;

/// The files below a folder, one by one. A folder that cannot be read is an error; one below it is one of many.
pub(crate) fn walk(root: &Path) -> Result<impl Iterator<Item = Found>, Failure> {
    fs::read_dir(root).map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory => Failure::new(
            Exit::Error,
            format_args!("{} is not a folder; put without -r stores a file", root.display()),
        ),
        _ => cannot_read(root, &error),
    })?;
    let root = root.to_owned();
    let entries = WalkDir::new(&root).min_depth(1).into_iter();
    Ok(entries.filter_map(move |entry| judge(entry, &root)))
}

/// What is to be done about an entry; nothing about a folder.
fn judge(entry: walkdir::Result<DirEntry>, root: &Path) -> Option<Found> {
    let relative = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_owned();
    let entry = match entry {
        Ok(entry) if entry.file_type().is_dir() => return None,
        Ok(entry) => entry,
        Err(error) => {
            let path = error.path().unwrap_or(root).to_owned();
            // It is one of the system's: links are not followed, so there are no loops.
            let error = error.into_io_error().unwrap_or_else(|| io::ErrorKind::Other.into());
            return Some(Err((relative(&path), cannot_read(&path, &error))));
        }
    };
    let path = entry.path();
    // A link to a file stands for the file; a link to a folder could lead round and round.
    Some(match fs::metadata(path) {
        Ok(target) if target.is_file() => Ok(relative(path)),
        Ok(target) => {
            let sentence = format_args!("skipped: {}", kind(target.file_type()));
            Err((relative(path), Failure::new(Exit::Error, sentence)))
        }
        Err(error) => Err((relative(path), cannot_read(path, &error))),
    })
}

/// What it is that is not stored.
fn kind(file_type: fs::FileType) -> &'static str {
    if file_type.is_dir() {
        "link to a folder"
    } else if file_type.is_fifo() {
        "FIFO"
    } else if file_type.is_socket() {
        "socket"
    } else {
        "device"
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
        let (found, refused): (Vec<_>, Vec<_>) = walk(root).unwrap().partition(Result::is_ok);
        let mut found: Vec<_> = found.into_iter().map(|found| found.unwrap()).collect();
        found.sort();
        assert_eq!(found, ["a/b/z", "a/y", "link", "x"].map(PathBuf::from));
        let mut refused: Vec<_> = refused.into_iter().map(|found| found.unwrap_err().0).collect();
        refused.sort();
        assert_eq!(refused, ["dangling", "loop"].map(PathBuf::from));
        assert!(walk(&root.join("x")).is_err());
    }
}
