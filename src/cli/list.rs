//! `dfs ls`: names as their records arrive, or in order when asked.
//!
//! Invariant: without `--sort` nothing is kept, however many names there are.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::output::Output;
use crate::cli::text::{self, human_date, human_size};
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
        if !entry.name.starts_with(list.prefix.as_bytes()) {
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
    name: Cow<'a, str>,
    /// Of one that is no text: two such names may look alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    name_hex: Option<String>,
    size: u64,
    hash: String,
    blocks: u64,
    version: String,
    mtime_ms: u64,
    mode: u32,
}

/// A stored file for a script.
pub(crate) fn entry_json(entry: &Entry) -> EntryJson<'_> {
    let is_text = std::str::from_utf8(&entry.name).is_ok();
    EntryJson {
        name: String::from_utf8_lossy(&entry.name),
        name_hex: (!is_text).then(|| base16ct::lower::encode_string(&entry.name)),
        size: entry.size,
        hash: entry.hash.to_string(),
        blocks: entry.blocks,
        version: entry.version.to_string(),
        mtime_ms: entry.mtime_ms,
        mode: entry.mode & 0o7777,
    }
}

fn long_line(entry: &Entry) -> String {
    let date = human_date(entry.mtime_ms);
    let date = if entry.mtime_ms == 0 { "-" } else { &date };
    format!("{:>10}  {date:<19}  {}", human_size(entry.size), shown(entry))
}

/// The name as a person may see it.
pub(crate) fn shown(entry: &Entry) -> String {
    text::shown(&String::from_utf8_lossy(&entry.name))
}
