//! The small commands: `rm`, `mv`, `status` and `peers`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::cli::failure::{Exit, Failure, Tally};
use crate::cli::names::Name;
use crate::cli::nodes::{peer_json, peer_lines, status_json, status_lines};
use crate::cli::output::Output;
use crate::cli::{args, door, names, sync};
use crate::client::Client;
use crate::session::ClientError;

/// Deletes names; one that fails does not keep the others.
pub(crate) fn remove(place: &args::Place, all: &[Name]) -> Result<(), Failure> {
    all.iter().try_for_each(names::check)?;
    let mut client = door::open(place)?;
    if let [name] = all {
        let deleted = client.delete(name.bytes());
        return deleted.map_err(|error| name_failure(&mut client, &error).about(name));
    }
    let mut tally = Tally::default();
    for name in all {
        match client.delete(name.bytes()) {
            Ok(()) => tally.done(),
            Err(error) => {
                let failure = name_failure(&mut client, &error);
                tally.failed(&name.to_string(), &failure);
            }
        }
    }
    tally.outcome("names")
}

/// Gives a file another name, which must be free.
pub(crate) fn rename(
    place: &args::Place,
    name: &Name,
    new: &Name,
    raw: bool,
) -> Result<(), Failure> {
    names::check(name)?;
    names::check_new(new, raw)?;
    if name == new {
        let sentence = format!("{new} is its name already");
        return Err(Failure::new(Exit::Exists, sentence));
    }
    let mut client = door::open(place)?;
    let renamed = client.rename(name.bytes(), new.bytes());
    renamed.map_err(|error| {
        let failure = name_failure(&mut client, &error);
        let exists = failure.exit() == Some(Exit::Exists);
        failure.about(if exists { new } else { name })
    })
}

fn name_failure(client: &mut Client, error: &ClientError) -> Failure {
    let failure = door::failure(error);
    sync::warn_if_absent(client, &failure);
    failure
}

/// Tells how the node is.
pub(crate) fn status(place: &args::Place, json: bool) -> Result<(), Failure> {
    let mut client = door::open(place)?;
    let status = client.status().map_err(|error| door::failure(&error))?;
    let lines = if json { vec![status_json(&status)] } else { status_lines(&status) };
    print(&lines)
}

/// Tells which other nodes there are.
pub(crate) fn peers(place: &args::Place, json: bool) -> Result<(), Failure> {
    let mut client = door::open(place)?;
    let members = client.members().map_err(|error| door::failure(&error))?;
    let lines = if json {
        members.iter().map(peer_json).collect()
    } else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        peer_lines(&members, u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    };
    print(&lines)
}

fn print(lines: &[String]) -> Result<(), Failure> {
    let mut output = Output::new();
    lines.iter().try_for_each(|line| output.line(line))?;
    output.flush()
}
