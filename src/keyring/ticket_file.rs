//! Ticket files: a ticket is a secret, and the file that holds it is judged as a key file is.
//!
//! Knows nothing of what is in a ticket. Invariants: a file that another user may have written is not read, since it could
//! name that user's network; and what is written can be read by its owner alone.

use crate::keyring::files::is_owned;
use crate::limits::SMALL_FILE_MAX;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why a file was not taken as a ticket. Nothing has been changed.
#[derive(Debug)]
pub enum TicketFileError {
    /// The system said no.
    Io(PathBuf, io::Error),
    /// Others than its owner may write it.
    Writable(PathBuf, u32),
    /// It belongs to another user.
    Foreign(PathBuf, u32),
}

impl fmt::Display for TicketFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => {
                write!(f, "cannot read the ticket {}: {error}", path.display())
            }
            Self::Writable(path, mode) => write!(
                f,
                "others may write the ticket {path} (mode {mode:04o}), so it may name a network of theirs; \
                 if you trust what is in it, run: chmod 600 {path}",
                path = path.display()
            ),
            Self::Foreign(path, owner) => write!(
                f,
                "the ticket {} belongs to another user (id {owner}): copy it to a file of your own if you trust it",
                path.display()
            ),
        }
    }
}

impl std::error::Error for TicketFileError {}

/// What a ticket file holds.
#[derive(Debug)]
pub struct TicketText {
    /// The ticket.
    pub text: Zeroizing<String>,
    /// What its owner should know and do, if others may read it.
    pub warning: Option<String>,
}

/// What is in a ticket file, or on stdin for `-`.
///
/// # Errors
/// If it cannot be read, or another user may have written it.
pub fn read_ticket(path: &Path) -> Result<TicketText, TicketFileError> {
    let failed = |error| TicketFileError::Io(path.to_owned(), error);
    let mut text = Zeroizing::new(String::new());
    if path == Path::new("-") {
        io::stdin().take(SMALL_FILE_MAX).read_to_string(&mut text).map_err(failed)?;
        return Ok(TicketText { text, warning: None });
    }
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    // A pipe has no reader but this process.
    if found.is_file() {
        judge(path, &found)?;
    }
    file.take(SMALL_FILE_MAX).read_to_string(&mut text).map_err(failed)?;
    let warning = is_readable_by_others(&found).then(|| {
        let path = path.display();
        format!("others may read the ticket {path}, which holds keys; run: chmod 600 {path}")
    });
    Ok(TicketText { text, warning })
}

fn judge(path: &Path, found: &Metadata) -> Result<(), TicketFileError> {
    if !is_owned(found) {
        return Err(TicketFileError::Foreign(path.to_owned(), found.uid()));
    }
    if found.mode() & 0o022 != 0 {
        return Err(TicketFileError::Writable(path.to_owned(), found.mode() & 0o7777));
    }
    Ok(())
}

/// Whether a file can be read by others than its owner.
#[must_use]
pub fn is_readable_by_others(found: &Metadata) -> bool {
    found.is_file() && found.mode() & 0o044 != 0
}

/// Writes a ticket to a new file that its owner alone may read.
///
/// # Errors
/// If there is such a file, which then stays as it is, or the system says no; then there is none.
pub fn write_ticket(path: &Path, ticket: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let line = Zeroizing::new(format!("{ticket}\n"));
    let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
    written.inspect_err(|_| {
        // Half a ticket is of no use; the file is this process's own.
        let _ = fs::remove_file(path);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_ticket_file_is_private_when_written_and_refused_when_others_may_write_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ticket");
        write_ticket(&path, "words").unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        let read = read_ticket(&path).unwrap();
        assert_eq!((read.text.as_str(), read.warning), ("words\n", None));
        let again = write_ticket(&path, "other").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        for (mode, is_taken) in [(0o644, true), (0o400, true), (0o620, false), (0o666, false)] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let read = read_ticket(&path);
            assert_eq!(read.is_ok(), is_taken, "{mode:o}");
            let is_warned = read.is_ok_and(|read| read.warning.is_some());
            assert_eq!(is_warned, mode == 0o644, "{mode:o}");
        }
    }
}
