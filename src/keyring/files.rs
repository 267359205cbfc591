//! Key files on disk: private, durable, never overwritten unless that is asked for.
//!
//! Knows nothing about what is in a key. Invariant: a key file that can be seen is whole and on the
//! disk, and only its owner can read it; one that others can read is refused rather than used.

use crate::keyring::text::{BadKeyFile, KeyText, parse, print};
use crate::limits::SMALL_FILE_MAX;
use rustix::fs::OFlags;
use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The mode of a key file.
const PRIVATE: u32 = 0o600;
/// The mode of a new data folder.
const PRIVATE_FOLDER: u32 = 0o700;

/// Why a key cannot be used or kept. Nothing that was there before is changed.
#[derive(Debug)]
pub enum KeyFileError {
    /// The system said no.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The verb.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// Others than its owner can read it.
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is no file.
    Kind {
        /// What has the file's name.
        path: PathBuf,
        /// What that is.
        kind: &'static str,
    },
    /// Another user than the one who uses it owns it.
    Foreign {
        /// The file, or the data folder.
        path: PathBuf,
        /// The user's id.
        owner: u32,
    },
    /// Others may write in the data folder, and so replace what is in it.
    Open {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is no key file of its kind.
    Bad {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: BadKeyFile,
    },
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, doing, error } => {
                write!(f, "cannot {doing} {}: {error}", path.display())
            }
            Self::Exposed { path, mode } => write!(
                f,
                "{path} can be read by others (mode {mode:04o}): it is a secret; run: chmod 600 {path}",
                path = path.display(),
            ),
            Self::Kind { path, kind } => write!(
                f,
                "{} is {kind}, and should be a file: move it away and restore the file from a copy",
                path.display(),
            ),
            Self::Foreign { path, owner } => write!(
                f,
                "{path} belongs to another user (id {owner}), who could change it; run as that user, or: \
                 chown -R \"$(id -u)\" {path}",
                path = path.display(),
            ),
            Self::Open { path, mode } => write!(
                f,
                "others may write in the folder {path} (mode {mode:04o}) and so replace keys and data; run: \
                 chmod go-w {path}",
                path = path.display(),
            ),
            Self::Bad { path, reason } => {
                write!(
                    f,
                    "{} is not a valid key file: {reason}; restore it from a copy",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for KeyFileError {}

/// Opens a file, and nothing else that may have its name; `None` if nothing has.
fn open(path: &Path) -> Result<Option<(File, Metadata)>, KeyFileError> {
    // A pipe would let us wait for somebody who writes to it.
    let wait_for_nobody = OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(wait_for_nobody).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, "open")(error)),
    };
    let found = file.metadata().map_err(failed(path, "read"))?;
    let kind = found.file_type();
    if kind.is_file() {
        return Ok(Some((file, found)));
    }
    let kind = match (kind.is_dir(), kind.is_fifo()) {
        (true, _) => "a folder",
        (_, true) => "a pipe",
        _ => "a device",
    };
    Err(KeyFileError::Kind { path: path.to_owned(), kind })
}

/// Reads a key; `None` if it has no file.
pub(super) fn read<K: KeyText>(folder: &Path) -> Result<Option<K>, KeyFileError> {
    let path = folder.join(K::FILE);
    let Some((file, found)) = open(&path)? else {
        return Ok(None);
    };
    if !is_owned(&found) {
        return Err(KeyFileError::Foreign { path, owner: found.uid() });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path, mode });
    }
    let mut text = Zeroizing::new(String::with_capacity(16 * 1024));
    file.take(SMALL_FILE_MAX).read_to_string(&mut text).map_err(failed(&path, "read"))?;
    parse(&text).map(Some).map_err(|reason| KeyFileError::Bad { path, reason })
}

/// Writes a key that has no file yet. When it returns, the file is on the disk.
pub(super) fn create<K: KeyText>(folder: &Path, key: &K) -> Result<(), KeyFileError> {
    let path = folder.join(K::FILE);
    let unfinished = folder.join(format!(".{}.{}", K::FILE, std::process::id()));
    let result = write_private(&unfinished, &print(key))
        .and_then(|()| fs::hard_link(&unfinished, &path))
        .map_err(failed(&path, "create"));
    let removed = fs::remove_file(&unfinished).map_err(failed(&unfinished, "remove"));
    result.and(removed).and_then(|()| sync_folder(folder))
}

/// Reads a short text that is no secret; `None` if it has no file.
pub(super) fn read_note(folder: &Path, name: &str) -> Result<Option<String>, KeyFileError> {
    let path = folder.join(name);
    let Some((file, _)) = open(&path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(SMALL_FILE_MAX).read_to_end(&mut bytes).map_err(failed(&path, "read"))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Writes a text that its owner alone may read, in place of what was there, which stays until it is on the disk.
pub(super) fn replace(folder: &Path, name: &str, text: &str) -> Result<(), KeyFileError> {
    let path = folder.join(name);
    let unfinished = folder.join(format!(".{name}.{}", std::process::id()));
    write_private(&unfinished, text)
        .and_then(|()| fs::rename(&unfinished, &path))
        .map_err(failed(&path, "write"))?;
    sync_folder(folder)
}

/// Whether what is used here is this user's own, or the system's.
pub(super) fn is_owned(found: &Metadata) -> bool {
    [0, rustix::process::geteuid().as_raw()].contains(&found.uid())
}

/// Refuses a data folder in which others could replace what is there. One that does not exist has nothing in it.
pub(super) fn check_folder(folder: &Path) -> Result<(), KeyFileError> {
    let found = match fs::metadata(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(folder, "read")(error)),
    };
    let path = folder.to_owned();
    if !is_owned(&found) {
        return Err(KeyFileError::Foreign { path, owner: found.uid() });
    }
    let mode = found.mode() & 0o7777;
    // With the sticky bit, as on a new file system in memory, nobody may replace what is another's.
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        return Err(KeyFileError::Open { path, mode });
    }
    Ok(())
}

/// Makes the data folder, and those above it, unless they are there.
pub(super) fn create_folder(folder: &Path) -> Result<(), KeyFileError> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(PRIVATE_FOLDER);
    builder.create(folder).map_err(failed(folder, "create"))?;
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    sync_folder(above.unwrap_or(Path::new(".")))
}

/// A link instead of a rename puts the whole file in place without ever replacing another.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_folder(folder: &Path) -> Result<(), KeyFileError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder, "flush"))
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |error| KeyFileError::Io { path, doing, error }
}
