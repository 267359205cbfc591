//! From what the system says to what the core is told.
//!
//! Invariant: only "no room" is ever `Full`, and nothing that a flush says is.

use crate::store::job::DiskError;
use std::io;

/// What a step of the store gives.
pub(super) type DiskResult<T> = Result<T, DiskError>;

/// A failed call, as a sentence.
pub(super) fn failed(doing: &str, path: &str, error: &io::Error) -> DiskError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full,
        _ => DiskError::Failed(format!("{doing} {path} failed: {error}")),
    }
}

impl DiskError {
    /// A flush that found no room has lost data all the same.
    pub(super) fn hard(self) -> Self {
        match self {
            Self::Full => Self::Failed("a flush found the disk full".to_owned()),
            Self::Failed(why) => Self::Failed(why),
        }
    }
}
