//! Whether what is here is what would be fetched.
//!
//! Knows nothing about the network. Invariants: nothing is read but with `--checksum`, or where no time of modification was
//! stored; no link is followed.

use std::io;

use rustix::fs::{FileType, Stat};

use crate::cli::args;
use crate::cli::destination::Destination;
use crate::cli::facts::{self, Facts, Kind};
use crate::cli::hash::tree_hash;
use crate::cli::progress::Progress;
use crate::crypto::tree::tree;
use crate::session::Entry;

/// How it is compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comparison {
    checksum: bool,
    xattrs: bool,
    /// What differs in its mode or time alone is not mended either.
    dry_run: bool,
}

impl Comparison {
    pub(super) fn of(get: &args::Get) -> Self {
        Self { checksum: get.checksum, xattrs: get.xattrs, dry_run: get.dry_run }
    }

    /// Whether a file or link need not be fetched. One with the right content gets the mode and the time that it should
    /// have. What cannot be read is fetched.
    pub(super) fn is_equal(&self, entry: &Entry, place: &Destination) -> bool {
        let Ok(Some(found)) = place.stat() else { return false };
        let kind = FileType::from_raw_mode(found.st_mode);
        let equal = match (facts::kind(entry), kind) {
            (Kind::Link, FileType::Symlink) => Self::is_link_equal(entry, place, &found),
            (Kind::File, FileType::RegularFile) => self.is_file_equal(entry, place, &found),
            _ => Ok(false),
        };
        equal.unwrap_or(false)
    }

    fn is_link_equal(entry: &Entry, place: &Destination, found: &Stat) -> io::Result<bool> {
        let is_time = Facts::of(entry, false).is_time_of(found);
        Ok(is_time && tree(&place.folder().link_target(place.name())?) == entry.hash)
    }

    fn is_file_equal(&self, entry: &Entry, place: &Destination, found: &Stat) -> io::Result<bool> {
        let facts = Facts::of(entry, self.xattrs);
        if u64::try_from(found.st_size) != Ok(entry.size) {
            return Ok(false);
        }
        let by_content = self.checksum || entry.mtime.is_none();
        if !by_content && !facts.is_time_of(found) {
            return Ok(false);
        }
        let is_complete = facts.are_of(found);
        if is_complete && !by_content {
            return Ok(true);
        }
        let file = place.folder().open_file(place.name())?;
        if by_content && tree_hash(&file, &Progress::hidden())? != entry.hash {
            return Ok(false);
        }
        if !is_complete && !self.dry_run {
            facts.set(&file, Some(found.st_mode))?;
        }
        Ok(true)
    }
}
