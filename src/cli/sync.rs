//! What people are told when a node has not yet heard from the others what they know.
//!
//! Knows no command. Invariant: whoever is told nothing has an answer that no node in reach would correct.

use crate::cli::failure::{Exit, Failure};
use crate::cli::names::Name;
use crate::cli::prefix;
use crate::cli::text::{self, pasteable};
use crate::client::Client;
use crate::session::{Entry, log_damage};
use crate::wire::sync_state::SyncState;

/// The state in a few words, for a row of `dfs status`.
pub(crate) fn row(sync: SyncState) -> String {
    match sync {
        SyncState::Complete => "complete".to_owned(),
        SyncState::Syncing { records, of } if records < of => {
            format!("synchronising: {records} of {of} records")
        }
        SyncState::Syncing { records, .. } => {
            format!("synchronising: {records} records, comparing with the other nodes")
        }
        SyncState::Unreached => "compared with no other node since the start".to_owned(),
    }
}

/// The state in one word, for scripts.
pub(crate) fn word(sync: SyncState) -> &'static str {
    match sync {
        SyncState::Complete => "complete",
        SyncState::Syncing { .. } => "synchronising",
        SyncState::Unreached => "unreached",
    }
}

/// What this means for an answer; `None` if nothing.
pub(crate) fn warning(sync: SyncState, so: &str) -> Option<String> {
    match sync {
        SyncState::Complete => None,
        SyncState::Syncing { .. } => Some(format!("this node is {}; {so}", row(sync))),
        SyncState::Unreached => {
            Some(format!("this node has compared with no other since its start; {so}"))
        }
    }
}

/// Warns on stderr.
pub(crate) fn warn(sync: SyncState, so: &str) {
    if let Some(warning) = warning(sync, so) {
        text::tell(format_args!("dfs: {warning}"));
    }
}

/// What was delivered is what was stored, but not for certain the newest version: a failure, for scripts.
pub(crate) fn judge_newest(entry: &Entry) -> Result<(), Failure> {
    if entry.log_damage.is_any() {
        let what = log_damage(&entry.log_damage);
        let sentence = format!("this may not be the newest version of it: {what}");
        return Err(Failure::new(Exit::Integrity, sentence));
    }
    Ok(())
}

/// A failure to find a name, or what else a command failed with: somebody may have meant a folder.
pub(crate) fn explained(client: &mut Client, name: &Name, failure: Failure) -> Failure {
    let pasted = pasteable(&name.to_string());
    let instead = format!("get -r {pasted} FOLDER fetches it, ls {pasted} lists it");
    or_folder(client, name, failure, &instead)
}

/// The same; `instead` says what can be done with a folder.
pub(crate) fn or_folder(
    client: &mut Client,
    name: &Name,
    failure: Failure,
    instead: &str,
) -> Failure {
    if failure.exit() != Some(Exit::NotFound) {
        return failure.about(name);
    }
    if prefix::is_folder(client, name) {
        return Failure::new(Exit::NotFound, format_args!("{name} is a folder: {instead}"));
    }
    warn_if_absent(client, &failure);
    failure.about(name)
}

/// Warns if a name was not found on a node that may not know it yet.
pub(crate) fn warn_if_absent(client: &mut Client, failure: &Failure) {
    if failure.exit() == Some(Exit::NotFound)
        && let Ok(status) = client.status()
    {
        warn(status.sync, "it may not know of the name yet");
    }
}
