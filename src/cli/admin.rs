//! The small commands: `mv`, `status` and `peers`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::cli::failure::{Exit, Failure};
use crate::cli::names::Name;
use crate::cli::output::Output;
use crate::cli::peers::{peer_json, peer_lines};
use crate::cli::status::{status_json, status_lines};
use crate::cli::{args, door, names, sync};

/// What `mv` says of a folder.
const ONLY_FILES: &str = "mv renames single files only";

/// Gives a file another name, which must be free.
pub(crate) fn rename(
    place: &args::Place,
    name: &Name,
    new: &Name,
    raw: bool,
) -> Result<(), Failure> {
    names::check(name)?;
    if name.is_folder() {
        return Err(names::is_a_folder(name, ONLY_FILES));
    }
    let new = &if new.is_folder() { new.join(&name.last_path()) } else { new.clone() };
    names::check_new(new, raw)?;
    if name == new {
        let sentence = format!("{new} is its name already");
        return Err(Failure::new(Exit::Exists, sentence));
    }
    let mut client = door::open(place)?;
    let renamed = client.rename(name.bytes(), new.bytes());
    renamed.map_err(|error| {
        let failure = door::failure(&error);
        if failure.exit() == Some(Exit::Exists) {
            return failure.about(new);
        }
        sync::or_folder(&mut client, name, failure, ONLY_FILES)
    })
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
