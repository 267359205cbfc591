//! `dfs stat`: what is known of one name, and which nodes have all of it.

use crate::cli::failure::Failure;
use crate::cli::list::{EntryJson, entry_json, mode_text, shown};
use crate::cli::names::Name;
use crate::cli::output::Output;
use crate::cli::text::{self, human_size, local_date};
use crate::cli::{args, door, json, names, sync};
use crate::session::{Entry, Holders};
use crate::time::{FileTime, wall_ms_of};
use serde::Serialize;

/// Tells what is known of a name.
pub(crate) fn run(place: &args::Place, name: &Name, json: bool) -> Result<(), Failure> {
    names::check(name)?;
    let mut client = door::open(place)?;
    let entry = client.stat(name.bytes());
    let entry = entry.map_err(|error| sync::explained(&mut client, name, door::failure(&error)))?;
    let holders = client.holders(&entry).map_err(|error| door::failure(&error).about(name))?;
    let status = client.status().map_err(|error| door::failure(&error))?;
    sync::warn(status.sync, "there may be a newer version");
    let mut output = Output::new();
    if json {
        output.line(&stat_json(&entry, &holders))?;
    } else {
        lines(&entry, &holders).iter().try_for_each(|line| output.line(line))?;
    }
    output.flush()?;
    sync::judge_newest(&entry).map_err(|failure| failure.about(name))
}

fn stat_json(entry: &Entry, holders: &Holders) -> String {
    #[derive(Serialize)]
    struct Json<'a> {
        #[serde(flatten)]
        entry: EntryJson<'a>,
        record: String,
        copies: u32,
        nodes: Vec<String>,
        addresses: Vec<&'a str>,
    }
    json::line(&Json {
        entry: entry_json(entry),
        record: entry.record.to_string(),
        copies: holders.count,
        nodes: holders.listed.iter().map(|holder| holder.node.to_string()).collect(),
        addresses: holders.listed.iter().map(|holder| holder.address.as_str()).collect(),
    })
}

fn lines(entry: &Entry, holders: &Holders) -> Vec<String> {
    let stored_ms = i64::try_from(wall_ms_of(entry.version.stamp)).unwrap_or(i64::MAX);
    let rows = [
        ("name", shown(entry)),
        ("size", format!("{} ({} bytes)", human_size(entry.size), entry.size)),
        ("hash", entry.hash.to_string()),
        ("blocks", entry.blocks.to_string()),
        ("mode", mode_text(entry)),
        ("modified", entry.mtime.map(local_date).unwrap_or_default()),
        ("stored", local_date(FileTime::from_ms(stored_ms))),
        ("version", entry.version.to_string()),
        ("copies", holders.count.to_string()),
    ];
    let rows = rows.iter().filter(|(what, _)| *what != "modified" || entry.mtime.is_some());
    let mut lines: Vec<String> = rows.map(|(what, value)| format!("{what:<8} {value}")).collect();
    lines.extend(holders.listed.iter().map(|holder| {
        format!("{:<8} {} {}", "node", holder.node.short(), text::shown(&holder.address))
    }));
    lines
}
