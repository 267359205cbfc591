//! `dfs rm`: files, or with `-r` everything under prefixes.
//!
//! Invariants: one that fails does not keep the others; without `-r` no folder is touched, and an empty word means nothing.

use std::ops::ControlFlow;
use std::slice;

use crate::cli::args;
use crate::cli::door;
use crate::cli::failure::{Failure, Tally};
use crate::cli::names::{self, Name};
use crate::cli::prefix;
use crate::cli::sync;
use crate::cli::text::{counted, pasteable, tell};
use crate::client::{CallError, Client};
use crate::session::ClientError;

/// Names that are deleted at once.
const IN_FLIGHT: usize = 48;

/// Deletes what the arguments say.
pub(crate) fn run(place: &args::Place, remove: &args::Remove) -> Result<(), Failure> {
    if remove.all {
        return delete_under(place, slice::from_ref(&Name::default()));
    }
    if remove.recursive {
        if remove.names.iter().any(Name::is_all) {
            let sentence = "an empty name means everything that is stored: rm -r --all deletes it";
            return Err(Failure::usage(sentence));
        }
        remove.names.iter().try_for_each(names::check)?;
        return delete_under(place, &remove.names);
    }
    remove.names.iter().try_for_each(names::check)?;
    delete_each(place, &remove.names)
}

fn delete_each(place: &args::Place, all: &[Name]) -> Result<(), Failure> {
    let mut client = door::open(place)?;
    if let [name] = all {
        return delete(&mut client, name);
    }
    let mut tally = Tally::default();
    for name in all {
        match delete(&mut client, name) {
            Ok(()) => tally.done(),
            Err(failure) => tally.failed_as_told(&failure),
        }
    }
    tally.outcome("names")
}

fn delete(client: &mut Client, name: &Name) -> Result<(), Failure> {
    let instead = format!("rm -r {} deletes it and all below it", pasteable(&name.to_string()));
    if name.is_folder() {
        return Err(names::is_a_folder(name, &instead));
    }
    let deleted = client.delete(name.bytes());
    deleted.map_err(|error| sync::or_folder(client, name, door::failure(&error), &instead))
}

/// What is to be deleted: files and links first, so that folders keep their modes until nothing is in them.
#[derive(Debug, Default)]
struct Doomed {
    files: Vec<Vec<u8>>,
    folders: Vec<Vec<u8>>,
}

fn delete_under(place: &args::Place, prefixes: &[Name]) -> Result<(), Failure> {
    let (found, mut client) = door::open_place(place)?;
    let mut doomed = Doomed::default();
    let listed = prefix::list(&mut client, prefixes, |entry| {
        let is_folder = entry.name.ends_with(b"/");
        if is_folder {
            doomed.folders.push(entry.name);
        } else {
            doomed.files.push(entry.name);
        }
        ControlFlow::Continue(())
    })?;
    sync::warn(listed.sync, "names that it does not know yet are not deleted");
    // The deepest first.
    doomed.folders.sort_unstable_by(|one, other| other.cmp(one));
    if let ([_], true) = (prefixes, doomed.files.is_empty() && doomed.folders.is_empty()) {
        return listed.judge();
    }
    if found.access.write.is_none() {
        // Once, and not of each name.
        return Err(door::failure(&ClientError::NoWriteKey));
    }
    let mut tally = Tally::default();
    let (files, folders) = delete_all(&mut client, doomed, &mut tally);
    for prefix in &listed.missing {
        tally.failed(&prefix.to_string(), &prefix::nothing());
    }
    if !place.quiet && files + folders > 0 {
        let all = [(files, "file"), (folders, "folder")];
        let some = all.iter().filter(|(count, _)| *count > 0);
        let some: Vec<_> = some.map(|(count, noun)| counted(*count, noun)).collect();
        tell(format_args!("deleted {}", some.join(", ")));
    }
    tally.outcome_without("names", listed.left_out)
}

/// Deletes all of it, and says how many files and folders were deleted.
fn delete_all(client: &mut Client, doomed: Doomed, tally: &mut Tally) -> (u64, u64) {
    let mut count = |names: Vec<Vec<u8>>| {
        let mut deleted = 0;
        let all = client.delete_many(names, IN_FLIGHT, |name, result| match result {
            Ok(()) => {
                deleted += 1;
                tally.done();
            }
            // Somebody else has deleted it meanwhile; or all of it ended, which is told of with the whole.
            Err(CallError::Client(
                ClientError::NotFound | ClientError::Disconnected(_) | ClientError::Aborted,
            )) => {}
            Err(error) => {
                tally.failed(&Name::new(&name).to_string(), &door::call_failure(&error));
            }
        });
        if let Err(error) = &all {
            tally.broke_off(door::failure(error));
        }
        (deleted, all.is_ok())
    };
    let (files, is_whole) = count(doomed.files);
    let folders = if is_whole { count(doomed.folders).0 } else { 0 };
    (files, folders)
}
