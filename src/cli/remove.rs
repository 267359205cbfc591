//! `dfs rm`: files, or with `-r` everything under prefixes.
//!
//! Invariants: one that fails does not keep the others; without `-r` no folder is touched, and an empty word means nothing.

use std::ops::ControlFlow;
use std::slice;

use crate::cli::actions::{Action, Actions};
use crate::cli::args;
use crate::cli::door;
use crate::cli::failure::{Failure, Tally};
use crate::cli::names::{self, Name};
use crate::cli::prefix;
use crate::cli::sync;
use crate::cli::text::{counted_all, pasteable, tell};
use crate::client::{CallError, Client};
use crate::session::ClientError;

/// Names that are deleted at once.
const IN_FLIGHT: usize = 48;

/// Deletes what the arguments say.
pub(crate) fn run(place: &args::Place, remove: &args::Remove) -> Result<(), Failure> {
    if remove.all {
        return delete_under(place, remove, slice::from_ref(&Name::default()));
    }
    if remove.recursive {
        if remove.names.iter().any(Name::is_all) {
            let sentence = "an empty name means everything that is stored: rm -r --all deletes it";
            return Err(Failure::usage(sentence));
        }
        remove.names.iter().try_for_each(names::check)?;
        return delete_under(place, remove, &remove.names);
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
pub(crate) struct Doomed {
    files: Vec<Vec<u8>>,
    folders: Vec<Vec<u8>>,
}

impl Doomed {
    pub(crate) fn add(&mut self, name: Vec<u8>) {
        let kind = if name.ends_with(b"/") { &mut self.folders } else { &mut self.files };
        kind.push(name);
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.folders.is_empty()
    }

    /// Deletes all of it, or tells what would be; and says how many files and folders that were.
    pub(crate) fn delete(
        mut self,
        client: &mut Client,
        tally: &mut Tally,
        actions: &mut Actions,
    ) -> Option<String> {
        self.files.sort_unstable();
        // The deepest first.
        self.folders.sort_unstable_by(|one, other| other.cmp(one));
        let (files, is_whole) = delete_all(self.files, client, tally, actions);
        let folders = if is_whole { delete_all(self.folders, client, tally, actions).0 } else { 0 };
        let deleted = counted_all(&[(files, "file"), (folders, "folder")])?;
        let word = if actions.is_dry() { "would delete" } else { "deleted" };
        Some(format!("{word} {deleted}"))
    }
}

fn delete_under(
    place: &args::Place,
    remove: &args::Remove,
    prefixes: &[Name],
) -> Result<(), Failure> {
    let (found, mut client) = door::open_place(place)?;
    let mut doomed = Doomed::default();
    let listed = prefix::list(&mut client, prefixes, |entry| {
        doomed.add(entry.name);
        ControlFlow::Continue(())
    })?;
    sync::warn(listed.sync, "names that it does not know yet are not deleted");
    if let ([_], true) = (prefixes, doomed.is_empty()) {
        return listed.judge();
    }
    if found.access.write.is_none() {
        // Once, and not of each name.
        return Err(door::failure(&ClientError::NoWriteKey));
    }
    let (mut tally, mut actions) = (Tally::default(), Actions::new(remove.json, remove.dry_run));
    let deleted = doomed.delete(&mut client, &mut tally, &mut actions);
    for prefix in &listed.missing {
        tally.failed(&prefix.to_string(), &prefix::nothing());
    }
    if !place.quiet
        && let Some(deleted) = deleted
    {
        tell(deleted);
    }
    tally.outcome_without("names", listed.left_out)?;
    actions.finish()
}

/// Deletes these names, or tells that they would be. Says how many were, and whether the connection held.
fn delete_all(
    names: Vec<Vec<u8>>,
    client: &mut Client,
    tally: &mut Tally,
    actions: &mut Actions,
) -> (u64, bool) {
    let mut deleted = 0;
    if actions.is_dry() {
        for name in names {
            deleted += 1;
            tally.done();
            actions.tell(Action::Delete, &name);
        }
        return (deleted, true);
    }
    let all = client.delete_many(names, IN_FLIGHT, |name, result| match result {
        Ok(()) => {
            deleted += 1;
            tally.done();
            actions.tell(Action::Delete, &name);
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
}
