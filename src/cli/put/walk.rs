//! Folders that are stored: what there is below one.
//!
//! Knows nothing about the network. Invariants: a walk follows no link, so it ends; a folder comes before what is in it.

use std::fs::{self, FileType, Metadata};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

use crate::cli::failure::{Exit, Failure};
use crate::cli::hash::cannot_read;

/// What can be stored.
#[derive(Debug)]
pub(super) struct Found {
    /// Its path in the folder that is walked; empty for that folder itself.
    pub(super) relative: PathBuf,
    /// Its own: of a link those of the link.
    pub(super) metadata: Metadata,
}

/// What of a folder is not stored.
#[derive(Debug)]
pub(super) enum Omitted {
    /// It cannot be.
    Failed(PathBuf, Failure),
    /// The data folder of a node, with everything below it.
    DataFolder(PathBuf),
}

/// The things below a folder, one by one, after it. A folder that cannot be read is an error; one below it is one of many.
pub(super) fn walk(root: &Path) -> Result<impl Iterator<Item = Result<Found, Omitted>>, Failure> {
    fs::read_dir(root).map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory => Failure::new(
            Exit::Error,
            format_args!("{} is not a folder; put without -r stores a file", root.display()),
        ),
        _ => cannot_read(root, &error),
    })?;
    if is_data_folder(root) {
        let sentence = format!("{} is the data folder of a node: not stored", root.display());
        return Err(Failure::new(Exit::Error, sentence));
    }
    let root = root.to_owned();
    let mut entries = WalkDir::new(&root).into_iter();
    Ok(std::iter::from_fn(move || {
        let judged = judge(entries.next()?, &root);
        if let Err(Omitted::DataFolder(_)) = judged {
            entries.skip_current_dir();
        }
        Some(judged)
    }))
}

/// How many things there are below a folder, and the bytes of its files. `each` is told the number so far, and may end it.
pub(super) fn count(root: &Path, mut each: impl FnMut(u64) -> ControlFlow<()>) -> (u64, u64) {
    let (mut things, mut bytes) = (0, 0);
    let found = walk(root).into_iter().flatten().filter_map(Result::ok);
    for found in found {
        things += 1;
        if found.metadata.is_file() {
            bytes += found.metadata.len();
        }
        if each(things).is_break() {
            break;
        }
    }
    (things, bytes)
}

fn judge(entry: walkdir::Result<DirEntry>, root: &Path) -> Result<Found, Omitted> {
    let relative = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_owned();
    let failed = |path: &Path, failure| Err(Omitted::Failed(relative(path), failure));
    let (entry, metadata) = match entry.and_then(|entry| Ok((entry.metadata()?, entry))) {
        Ok((metadata, entry)) => (entry, metadata),
        Err(error) => {
            let path = error.path().unwrap_or(root).to_owned();
            // It is one of the system's: links are not followed, so there are no loops.
            let error = error.into_io_error().unwrap_or_else(|| io::ErrorKind::Other.into());
            return failed(&path, cannot_read(&path, &error));
        }
    };
    let path = entry.path();
    // The root may be a link that somebody named.
    let metadata = match entry.depth() {
        0 => match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => return failed(path, cannot_read(path, &error)),
        },
        _ => metadata,
    };
    match special(metadata.file_type()) {
        Some(kind) => failed(path, Failure::new(Exit::Error, format_args!("skipped: {kind}"))),
        None if metadata.is_dir() && entry.depth() > 0 && is_data_folder(path) => {
            Err(Omitted::DataFolder(relative(path)))
        }
        None => Ok(Found { relative: relative(path), metadata }),
    }
}

/// Whether a node keeps its keys and its log there: they are no files of its owner.
fn is_data_folder(folder: &Path) -> bool {
    folder.join("node.key").is_file() && folder.join("log").is_dir()
}

/// What it is, if it is not stored.
fn special(file_type: FileType) -> Option<&'static str> {
    if file_type.is_fifo() {
        Some("FIFO")
    } else if file_type.is_socket() {
        Some("socket")
    } else if file_type.is_block_device() || file_type.is_char_device() {
        Some("device")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_walk_finds_everything_once_and_says_what_it_leaves_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/b/empty")).unwrap();
        fs::create_dir_all(root.join("node/log")).unwrap();
        for file in ["x", "a/y", "a/b/z", "node/node.key"] {
            fs::write(root.join(file), file).unwrap();
        }
        symlink("x", root.join("link")).unwrap();
        symlink(".", root.join("loop")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        let _socket = UnixListener::bind(root.join("socket")).unwrap();
        assert_eq!(count(root, |_| ControlFlow::Continue(())), (10, 9));
        assert_eq!(count(root, |_| ControlFlow::Break(())).0, 1);
        let (found, omitted): (Vec<_>, Vec<_>) = walk(root).unwrap().partition(Result::is_ok);
        let mut found: Vec<_> = found.into_iter().map(|found| found.unwrap().relative).collect();
        let folders =
            ["a", "a/b"].map(|name| found.iter().position(|path| path == Path::new(name)));
        assert!(folders.is_sorted() && found[0] == Path::new(""), "{found:?}");
        found.sort();
        let all = ["", "a", "a/b", "a/b/empty", "a/b/z", "a/y", "dangling", "link", "loop", "x"];
        assert_eq!(found, all.map(PathBuf::from));
        let mut omitted: Vec<_> = omitted.into_iter().map(|found| found.unwrap_err()).collect();
        omitted.sort_by_key(|one| matches!(one, Omitted::Failed(..)));
        let [Omitted::DataFolder(node), Omitted::Failed(socket, why)] = &omitted[..] else {
            panic!("{omitted:?}");
        };
        assert_eq!((node.to_str(), socket.to_str()), (Some("node"), Some("socket")));
        assert!(why.to_string().contains("skipped: socket"), "{why}");
        assert!(walk(&root.join("x")).is_err());
        assert!(walk(&root.join("node")).is_err());
    }
}
