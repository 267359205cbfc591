//! The offline check: what is wrong in a data folder that no daemon uses, said item by item, and repaired if asked.
//!
//! `command` is `dfsd check`, with the keys and the files beside the store; `log` reads the segments, `held` hashes blocks
//! and pages, `records` reads records and what they need, `tree` looks for files that the log does not name, `rebuild`
//! mends. What they tell goes through a `Report`, what is here stands in an `Inventory`; none of them calls another but
//! for what a file says of itself. The check knows no key: what a record's name is, and which keys may sign, it is told.
//! Invariant: `check` changes no byte; what it keeps in memory are tables of ids, and of contents only records that stand
//! in damaged bytes, as far as `REMAINS_MAX`.

#[allow(
    clippy::disallowed_methods,
    reason = "a part of the shell: keys and the files beside the store"
)]
mod command;
pub(crate) mod finding;
mod held;
mod inventory;
mod log;
mod rebuild;
mod records;
mod tree;

pub use command::{Wanted, run};

use crate::store::OpenError;
use crate::store::error::failed;
use crate::store::fs::FileSystem;
use crate::store::layout;
use finding::{Event, Known, Report, Summary};
pub(crate) use rebuild::rebuild;
use std::io;

/// Checks the store below `fs`, which no process may have open, and reports what it finds.
///
/// # Errors
/// `Locked`, and whatever kept it from reading.
pub(crate) fn check<F: FileSystem>(
    fs: &F,
    known: &Known<'_>,
    tell: &mut dyn FnMut(Event),
) -> Result<Summary, OpenError> {
    let locked = fs.lock(layout::LOCK);
    if !locked.map_err(|error| failed("locking", layout::LOCK, &error))? {
        return Err(OpenError::Locked);
    }
    look(fs, known, tell)
}

/// The check of a folder that this process has taken.
fn look<F: FileSystem>(
    fs: &F,
    known: &Known<'_>,
    tell: &mut dyn FnMut(Event),
) -> Result<Summary, OpenError> {
    let mut report = Report::new(tell);
    let log = log::read(fs, &mut report)?;
    let mut inventory = log.inventory;
    let held = held::verify(fs, &mut inventory, &mut report)?;
    let read = records::read(fs, known, &inventory, &mut report)?;
    tree::look_for_orphans(fs, &inventory, &read.wanted, &mut report)?;
    look_aside(fs, &mut report)?;
    Ok(Summary {
        segments: log.segments,
        groups: log.groups,
        records: read.records,
        pages: held.pages,
        blocks: held.blocks,
        bytes: held.bytes,
        damaged: report.damaged(),
        missing: report.missing(),
        repaired: 0,
        log_has_gaps: log.has_gaps,
    })
}

/// What lies in `tmp/` and `quarantine/`.
fn look_aside<F: FileSystem>(fs: &F, report: &mut Report<'_>) -> Result<(), OpenError> {
    let left = names(fs, layout::TMP)?.len();
    if left > 0 {
        report.note(
            format!("{}/", layout::TMP),
            format!("{left} unfinished files"),
            "nothing: none of it was ever acknowledged",
            "nothing: the next start removes them",
        );
    }
    let aside = names(fs, layout::QUARANTINE)?.len();
    if aside > 0 {
        report.note(
            format!("{}/", layout::QUARANTINE),
            format!("{aside} quarantined files, which an earlier run found bad"),
            "they serve nobody and take up room",
            "remove them once `dfs verify` finds nothing missing",
        );
    }
    Ok(())
}

/// The names in a folder, in order; none if it is not there.
fn names<F: FileSystem>(fs: &F, folder: &str) -> Result<Vec<String>, OpenError> {
    match fs.list(folder) {
        Ok(mut names) => {
            names.sort_unstable();
            Ok(names)
        }
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(failed("listing", folder, &error).into()),
    }
}
