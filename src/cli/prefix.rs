//! Prefixes: what is stored under a name that is taken as a folder's, for every command that takes one.
//!
//! Keeps nothing. Invariant: a prefix means the same everywhere: that name, and all in the folder of that name; the empty
//! one means everything.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::cli::door;
use crate::cli::failure::{Exit, Failure};
use crate::cli::names::Name;
use crate::client::{self, Client};
use crate::session::{ClientError, Entry};
use crate::wire::sync_state::SyncState;

/// How long a person waits to be told that a name that was not found is a folder's.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// So many prefixes are asked for one after the other.
const ASKED_FOR_EACH_MAX: usize = 16;

/// What a list of what is under prefixes came to.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Whether the node has heard from the others what they know.
    pub(crate) sync: SyncState,
    /// Prefixes under which nothing is.
    pub(crate) missing: Vec<Name>,
    /// Why names were left out.
    pub(crate) left_out: Option<Failure>,
}

impl Listed {
    /// What a command ends with that has told of all that was listed.
    pub(crate) fn judge(self) -> Result<(), Failure> {
        match (self.left_out, self.missing.first()) {
            // What is missing may be among it.
            (Some(failure), _) => Err(failure),
            (None, Some(prefix)) => Err(nothing().about(prefix)),
            (None, None) => Ok(()),
        }
    }
}

/// Nothing is stored under a prefix.
pub(crate) fn nothing() -> Failure {
    Failure::new(Exit::NotFound, "there is no such name or folder")
}

/// Tells of everything under a prefix, once, until `each` has had enough, in order where the node keeps one; with
/// `one_level` of folders further below instead of what is in them. That nothing is under the empty one is no fault.
pub(crate) fn list_one(
    client: &mut Client,
    prefix: &Name,
    one_level: bool,
    mut each: impl FnMut(client::Listed) -> ControlFlow<()>,
) -> Result<Listed, Failure> {
    let mut found = prefix.is_all();
    let listed = client.list_under(prefix.trimmed().bytes(), one_level, |listed| {
        found = true;
        each(listed)
    });
    judged(listed, if found { Vec::new() } else { vec![prefix.clone()] })
}

/// Tells of everything under any of these prefixes, once, until `each` has had enough. That nothing is under the empty one is
/// no fault.
pub(crate) fn list(
    client: &mut Client,
    prefixes: &[Name],
    mut each: impl FnMut(Entry) -> ControlFlow<()>,
) -> Result<Listed, Failure> {
    if prefixes.len() > ASKED_FOR_EACH_MAX {
        return list_among_all(client, prefixes, each);
    }
    let mut all = Listed { sync: SyncState::Complete, missing: Vec::new(), left_out: None };
    for (at, prefix) in prefixes.iter().enumerate() {
        let mut goes_on = ControlFlow::Continue(());
        let Listed { sync, missing, left_out } =
            list_one(client, prefix, false, |listed| match listed {
                client::Listed::File(entry) => {
                    let is_told = prefixes[..at].iter().any(|before| before.covers(&entry.name));
                    if !is_told {
                        goes_on = each(*entry);
                    }
                    goes_on
                }
                client::Listed::Folder(_) => ControlFlow::Continue(()),
            })?;
        if all.sync == SyncState::Complete {
            all.sync = sync;
        }
        all.missing.extend(missing);
        all.left_out = all.left_out.or(left_out);
        if goes_on.is_break() {
            break;
        }
    }
    Ok(all)
}

/// The same, of prefixes that are many: where names are in no order each would take as long as everything.
fn list_among_all(
    client: &mut Client,
    prefixes: &[Name],
    mut each: impl FnMut(Entry) -> ControlFlow<()>,
) -> Result<Listed, Failure> {
    let mut found: Vec<bool> = prefixes.iter().map(Name::is_all).collect();
    let listed = client.list(|entry| {
        let mut is_wanted = false;
        for (prefix, found) in prefixes.iter().zip(&mut found) {
            if prefix.covers(&entry.name) {
                *found = true;
                is_wanted = true;
            }
        }
        if is_wanted { each(entry) } else { ControlFlow::Continue(()) }
    });
    let missing = prefixes.iter().zip(found).filter(|(_, found)| !found);
    judged(listed, missing.map(|(prefix, _)| prefix.clone()).collect())
}

fn judged(listed: Result<SyncState, ClientError>, missing: Vec<Name>) -> Result<Listed, Failure> {
    let (sync, left_out) = match listed {
        Ok(sync) => (sync, None),
        // The others can be had.
        Err(error @ ClientError::Damaged(_)) => (SyncState::Complete, Some(door::failure(&error))),
        Err(error) => return Err(door::failure(&error)),
    };
    Ok(Listed { sync, missing, left_out })
}

/// Whether a name, which is no file's, is that of a folder: its own record tells, or something in it. Of very many names
/// that are in no order not all are looked through.
pub(crate) fn is_folder(client: &mut Client, name: &Name) -> bool {
    if client.stat(name.marker().bytes()).is_ok() {
        return true;
    }
    let begun = Instant::now();
    let mut is_found = false;
    // If it fails, the name was not found, and no more is known.
    let _ = client.list_under(name.trimmed().bytes(), true, |listed| {
        is_found = match listed {
            client::Listed::File(entry) => name.rest_of(&entry.name).is_some(),
            client::Listed::Folder(_) => true,
        };
        let is_enough = is_found || begun.elapsed() > LOOK_MAX;
        if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    is_found
}
