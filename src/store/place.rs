//! The place of a store: the data folder and those in it, as they were when the store was opened.
//!
//! Flushes reach one file system, and renames stay on one. Somebody may also remove or replace a folder, or unmount what it
//! lies on, while its files are open: what is then written has no name. Knows no formats. Invariant: a place that was taken
//! lies on one file system, and what `check` passes was there under its names when it was called.

use crate::seeded::{self, Bug};
use crate::store::error::{DiskResult, OpenError, failed};
use crate::store::fs::{FileSystem, Identity, Kind};
use crate::store::layout;
use crate::store::values::DiskError;
use std::io;

/// What must be on one file system, the data folder first.
const FOLDERS: [&str; 5] = ["", layout::BLOCKS, layout::TMP, layout::LOG, layout::QUARANTINE];
/// Of these, the ones without which nothing is acknowledged; what is in quarantine anybody may remove.
const WATCHED: usize = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Place {
    volume: (u64, u64),
    /// Which thing each of them is.
    numbers: [u64; FOLDERS.len()],
}

impl Place {
    /// The place as it is now. Refused if it is not on one file system, or not all of it is folders.
    pub(super) fn take<F: FileSystem>(fs: &F) -> DiskResult<Self> {
        let root = identify(fs, "")?;
        let mut place = Self { volume: root.volume, numbers: [0; FOLDERS.len()] };
        for (number, folder) in place.numbers.iter_mut().zip(FOLDERS) {
            let found = identify(fs, folder)?;
            if found.kind != Kind::Folder {
                return Err(DiskError::Failed(format!("{} is not a folder", name(folder))));
            }
            if found.volume != root.volume && !seeded::is_on(Bug::IgnoreOtherVolume) {
                return Err(DiskError::Failed(format!(
                    "{} is on another file system than the data folder, and both are flushed as one: \
                     put the whole data folder on one file system",
                    name(folder)
                )));
            }
            *number = found.number;
        }
        Ok(place)
    }

    /// Fails unless all folders, and this file under its name, are still the ones that were opened.
    pub(super) fn check<F: FileSystem>(
        &self,
        fs: &F,
        path: &str,
        file: &F::File,
    ) -> DiskResult<()> {
        if seeded::is_on(Bug::IgnoreLostFolder) {
            return Ok(());
        }
        for (number, folder) in self.numbers.iter().zip(FOLDERS).take(WATCHED) {
            let is_same = |found: &Identity| (found.volume, found.number) == (self.volume, *number);
            if !fs.identify(folder).is_ok_and(|found| is_same(&found)) {
                return Err(gone(&name(folder)));
            }
        }
        // It is flushed already: nobody may be told that it was refused, for want of whatever.
        let hard = |error| failed("looking at", path, &error).hard();
        let open = fs.identify_file(file).map_err(hard)?;
        if fs.identify(path).is_ok_and(|found| found.number == open.number) {
            Ok(())
        } else {
            Err(gone(path))
        }
    }
}

/// Takes the folder, makes what is missing, empties `tmp/`, and flushes whatever an earlier process had not. What is not
/// ours to remove is told of.
pub(super) fn prepare<F: FileSystem>(fs: &F) -> Result<(Place, Vec<String>), OpenError> {
    let locked = fs.lock(layout::LOCK);
    if !locked.map_err(|error| failed("locking", layout::LOCK, &error))? {
        return Err(OpenError::Locked);
    }
    for folder in layout::FOLDERS {
        let made = fs.make_folder(folder);
        made.map_err(|error| failed("making", folder, &error))?;
    }
    let place = Place::take(fs)?;
    let mut notes = Vec::new();
    let leftovers = fs.list(layout::TMP);
    for name in leftovers.map_err(|error| failed("listing", layout::TMP, &error))? {
        let path = layout::leftover(&name);
        if let Err(error) = fs.remove(&path) {
            notes.push(leave_alone(fs, &name, &error));
        }
    }
    let flushed = fs.sync_all();
    flushed.map_err(|error| failed("flushing", "the data folder", &error).hard())?;
    Ok((place, notes))
}

/// What is no file is somebody else's. It stays, under a name that nothing of ours will ever want; the answer says so.
fn leave_alone<F: FileSystem>(fs: &F, name: &str, why: &io::Error) -> String {
    let path = layout::leftover(name);
    if fs.identify(&path).is_ok_and(|found| found.kind == Kind::File) {
        return format!("{path} is in the way and could not be removed: {why}");
    }
    let Some(apart) = layout::apart(name) else {
        return format!("{path} is no file: left alone");
    };
    match fs.rename(&path, &apart) {
        Ok(()) => format!("{path} is no file: left alone, as {apart}"),
        Err(error) => format!("{path} is no file, and is in the way: it cannot be moved: {error}"),
    }
}

fn identify<F: FileSystem>(fs: &F, folder: &str) -> DiskResult<Identity> {
    fs.identify(folder).map_err(|error| failed("looking at", &name(folder), &error))
}

fn name(folder: &str) -> String {
    if folder.is_empty() { "the data folder".to_owned() } else { format!("the folder {folder}") }
}

fn gone(what: &str) -> DiskError {
    DiskError::Failed(format!("{what} was removed, replaced or unmounted while dfsd was using it"))
}
