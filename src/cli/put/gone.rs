//! `dfs put -r --delete`: what is stored below the prefix and is in the folder no more.
//!
//! Reads no file. Invariant: a name is deleted only if it was looked for in the open folder and was not there; if one
//! cannot be looked for, none is deleted.

use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::slice;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::folder::{Storing, Tree};
use crate::cli::failure::{Failure, Tally};
use crate::cli::hash::cannot_read;
use crate::cli::open_folder::Finder;
use crate::cli::remove::Doomed;
use crate::cli::{names, prefix, sync, text};

/// What a stored name is in the local folder.
enum Found {
    /// It is there, or is not below the prefix.
    There,
    Gone,
    /// No file here can have that name, so that nothing is known.
    Nowhere,
}

/// Deletes all of it.
pub(super) fn delete(to: &mut Storing<'_>, tree: &Tree) -> Result<(), Failure> {
    let mut finder = Finder::new(Some(Rc::clone(&tree.opened)));
    let (mut doomed, mut kept, mut failed) = (Doomed::default(), 0, None);
    let listed = prefix::list(to.client, slice::from_ref(&tree.prefix), |entry| {
        match find(tree, &mut finder, &entry.name) {
            Ok(Found::There) => {}
            Ok(Found::Gone) => doomed.add(entry.name),
            Ok(Found::Nowhere) => kept += 1,
            Err(failure) => {
                failed = Some(failure);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    if let Some(failure) = failed {
        return Err(failure.and("nothing was deleted"));
    }
    sync::warn(listed.sync, "names that it does not know yet are not deleted");
    if kept > 0 {
        let names = text::counted(kept, "name");
        text::tell(format_args!("dfs: {names} that no file here can have: not deleted"));
    }
    let mut tally = Tally::default();
    let deleted = doomed.delete(to.client, &mut tally, to.actions);
    if !to.place.quiet
        && let Some(deleted) = deleted
    {
        text::tell(format_args!("{deleted} under {}", tree.prefix));
    }
    tally.outcome_without("names", listed.left_out)
}

fn find(tree: &Tree, finder: &mut Finder, name: &[u8]) -> Result<Found, Failure> {
    let Some(rest) = tree.prefix.rest_of(name).filter(|rest| !rest.is_empty()) else {
        return Ok(Found::There);
    };
    let Ok(relative) = names::below(rest) else { return Ok(Found::Nowhere) };
    let is_meant_folder = name.ends_with(b"/");
    match finder.stat(&relative) {
        Ok(Some(found)) => {
            let is_folder = FileType::from_raw_mode(found.st_mode).is_dir();
            Ok(if is_folder == is_meant_folder { Found::There } else { Found::Gone })
        }
        Ok(None) => Ok(Found::Gone),
        Err(error) if is_too_long(&error) => Ok(Found::Nowhere),
        Err(error) => Err(cannot_read(&tree.folder.join(&relative), &error)),
    }
}

fn is_too_long(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NAMETOOLONG)
}
