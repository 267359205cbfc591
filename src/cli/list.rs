//! `dfs ls`: names as their records arrive, or in order when asked.
//!
//! Invariant: without `--sort` nothing is kept, however many names there are.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::output::Output;
use crate::cli::text::{self, human_size, local_date, rfc3339};
use crate::cli::{args, door, sync};
use crate::session::Entry;
use serde::Serialize;

/// How long a line may wait in the buffer while others come.
const FLUSH_PERIOD: Duration = Duration::from_millis(50);

/// Lists names.
pub(crate) fn run(place: &args::Place, list: &args::List) -> Result<(), Failure> {
    let mut client = door::open(place)?;
    let mut lines = Lines::new(list);
    let mut kept = Vec::new();
    let mut printed = Ok(());
    let listed = client.list(|entry| {
        if !entry.name.starts_with(list.prefix.bytes()) {
            return ControlFlow::Continue(());
        }
        if list.sort {
            kept.push(entry);
            return ControlFlow::Continue(());
        }
        printed = lines.print(&entry);
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    printed?;
    kept.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    kept.iter().try_for_each(|entry| lines.print(entry))?;
    lines.output.flush()?;
    let synced = listed.map_err(|error| door::failure(&error))?;
    match sync::warning(synced, "names may be missing, or out of date") {
        Some(warning) if list.strict => Err(Failure::new(Exit::Partly, warning)),
        Some(warning) if !place.quiet => {
            text::tell(format_args!("dfs: {warning}"));
            Ok(())
        }
        Some(_) | None => Ok(()),
    }
}

/// The lines of a listing.
struct Lines<'a> {
    list: &'a args::List,
    output: Output,
    flushed: Option<Instant>,
}

impl<'a> Lines<'a> {
    fn new(list: &'a args::List) -> Self {
        Self { list, output: Output::new(), flushed: None }
    }

    fn print(&mut self, entry: &Entry) -> Result<(), Failure> {
        let line = if self.list.json {
            json::line(&entry_json(entry))
        } else if self.list.long {
            long_line(entry)
        } else {
            shown(entry)
        };
        self.output.line(&line)?;
        if self.flushed.is_none_or(|flushed| flushed.elapsed() >= FLUSH_PERIOD) {
            self.output.flush()?;
            self.flushed = Some(Instant::now());
        }
        Ok(())
    }
}

/// What a script may know of a stored file.
#[derive(Serialize)]
pub(crate) struct EntryJson<'a> {
    #[serde(flatten)]
    name: json::NameJson<'a>,
    size: u64,
    hash: String,
    blocks: u64,
    version: String,
    /// RFC 3339.
    mtime: Option<String>,
    mode: u32,
}

/// A stored file for a script.
pub(crate) fn entry_json(entry: &Entry) -> EntryJson<'_> {
    EntryJson {
        name: json::NameJson::of(&entry.name),
        size: entry.size,
        hash: entry.hash.to_string(),
        blocks: entry.blocks,
        version: entry.version.to_string(),
        mtime: entry.mtime.map(rfc3339),
        mode: entry.mode & 0o7777,
    }
}

fn long_line(entry: &Entry) -> String {
    let date = entry.mtime.map_or_else(|| "-".to_owned(), local_date);
    format!("{:>10}  {date:<25}  {}", human_size(entry.size), shown(entry))
}

/// The name as a person may see it.
pub(crate) fn shown(entry: &Entry) -> String {
    text::shown(&String::from_utf8_lossy(&entry.name))
}
