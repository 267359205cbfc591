//! From what the system says to what the core is told, and why a store is not opened.
//!
//! Invariant: only "no room" is ever `Full`, only want of descriptors or memory `Scarce`, and nothing that a flush says is
//! either.

use crate::seeded::{self, Bug};
use crate::store::values::DiskError;
use rustix::io::Errno;
use std::fmt;
use std::io;

/// What a step of the store gives.
pub(crate) type DiskResult<T> = Result<T, DiskError>;

/// A failed call, as a sentence.
pub(crate) fn failed(doing: &str, path: &str, error: &io::Error) -> DiskError {
    let sentence = || format!("{doing} {path} failed: {error}");
    match error {
        _ if is_full(error) => DiskError::Full,
        _ if is_scarce(error) && !seeded::is_on(Bug::WantEndsNode) => DiskError::Scarce(sentence()),
        _ => DiskError::Failed(sentence()),
    }
}

/// No room, or none for this user, or none in a file that would be longer than this process may have.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Something that others will give back: descriptors of this process or of the system, or memory.
fn is_scarce(error: &io::Error) -> bool {
    let scarce = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| scarce.map(Errno::raw_os_error).contains(&code))
}

impl DiskError {
    /// A flush that found no room, or no memory, has lost data all the same.
    pub(crate) fn hard(self) -> Self {
        match self {
            Self::Full => Self::Failed("a flush found the disk full".to_owned()),
            Self::Scarce(why) | Self::Failed(why) => Self::Failed(why),
        }
    }
}

/// Why a store was not opened. Nothing was served and nothing was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// Another process has the folder.
    Locked,
    /// A newer program wrote this segment.
    Newer {
        /// The segment.
        segment: u32,
        /// Its format.
        version: u16,
    },
    /// The disk failed; the sentence says what and where.
    Disk(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("another dfsd is using this data folder"),
            Self::Newer { segment, version } => write!(
                f,
                "log segment {segment} has format {version}, which a newer dfsd wrote: run that one"
            ),
            Self::Disk(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<DiskError> for OpenError {
    fn from(error: DiskError) -> Self {
        match error {
            DiskError::Full => Self::Disk(
                "there is no room on the disk to start: nothing is lost; free some MiB and start again".to_owned(),
            ),
            DiskError::Scarce(why) | DiskError::Failed(why) => Self::Disk(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_room_has_three_names() {
        for code in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
            let error = io::Error::from(code);
            assert_eq!(failed("writing", "log", &error), DiskError::Full, "{error}");
        }
        assert!(matches!(failed("writing", "log", &Errno::IO.into()), DiskError::Failed(_)));
        assert!(matches!(failed("opening", "log", &Errno::MFILE.into()), DiskError::Scarce(_)));
    }
}
