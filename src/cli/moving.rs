//! `dfs mv -r`: a folder gets another name, by one rename after the other.
//!
//! Invariants: each file has one of its two names at any time; no name that exists is replaced; the same command goes on
//! where one ended.

use crate::cli::failure::{Exit, Failure, Tally};
use crate::cli::names::Name;
use crate::cli::text::{counted, tell};
use crate::cli::{args, door, interrupt, names, prefix, sync};
use crate::client::{Client, Listed};
use crate::session::ClientError;
use std::ops::ControlFlow;

/// Renames all that is in a folder.
pub(crate) fn run(
    place: &args::Place,
    folder: &Name,
    new: &Name,
    raw: bool,
) -> Result<(), Failure> {
    let [from, to] = [folder, new].map(Name::marker);
    if folder.is_all() || new.is_all() {
        let sentence = "mv -r renames one folder: say which, and what it is to be called";
        return Err(Failure::usage(sentence));
    }
    if to.bytes().starts_with(from.bytes()) {
        let sentence = format!("{folder} cannot become a folder within itself");
        return Err(Failure::usage(sentence));
    }
    names::check_new(&new.trimmed(), raw)?;
    let mut client = door::open(place)?;
    let mut all = Vec::new();
    let listed = prefix::list_one(&mut client, folder, false, |listed| {
        if let Listed::File(entry) = listed
            && entry.name.starts_with(from.bytes())
        {
            all.push(entry.name);
        }
        ControlFlow::Continue(())
    })?;
    sync::warn(listed.sync, "names that it does not know yet are not renamed");
    if all.is_empty() {
        listed.judge()?;
        let sentence = "it is no folder: mv without -r renames a file";
        return Err(Failure::new(Exit::NotFound, sentence).about(folder));
    }
    // Folders' own entries last, so that a rename that is repeated finds the rest by them.
    all.sort_by_key(|name| name.ends_with(b"/"));
    let (mut tally, count) = (Tally::default(), all.len() as u64);
    let mut renamed = 0;
    for name in all {
        if interrupt::is_caught() {
            return Err(tally.interrupted(Some(count), "renamed"));
        }
        let target = [to.bytes(), &name[from.bytes().len()..]].concat();
        let checked = names::check_new(&Name::new(&target), raw);
        match checked.and_then(|()| rename(&mut client, &name, &target)) {
            Ok(()) => {
                renamed += 1;
                tally.done();
            }
            Err(failure) => tally.failed(&Name::new(&name).to_string(), &failure),
        }
    }
    if !place.quiet && renamed > 0 {
        tell(format_args!("renamed {}", counted(renamed, "name")));
    }
    tally.outcome_without("names", listed.left_out)
}

/// A folder that is there already keeps what is said of it.
fn rename(client: &mut Client, name: &[u8], target: &[u8]) -> Result<(), Failure> {
    let renamed = match client.rename(name, target) {
        Err(ClientError::Exists) if name.ends_with(b"/") => client.delete(name),
        renamed => renamed,
    };
    renamed.map_err(|error| match error {
        ClientError::Exists => door::failure(&error).about(&Name::new(target)),
        error => door::failure(&error),
    })
}
