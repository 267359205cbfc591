//! `dfs ls`: names as their records arrive, or in order when asked.
//!
//! Invariant: without `--sort` nothing is kept, however many names there are.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::cli::facts::{self, Kind};
use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::output::Output;
use crate::cli::text::{self, human_size, local_date, rfc3339};
use crate::cli::{args, door, past, prefix, sync};
use crate::client::Listed;
use crate::session::Entry;
use crate::wire::sync_state::SyncState;
use serde::Serialize;

/// How long a line may wait in the buffer while others come.
const FLUSH_PERIOD: Duration = Duration::from_millis(50);

/// Lists names.
pub(crate) fn run(place: &args::Place, list: &args::List) -> Result<(), Failure> {
    if let Some(view) = past::view(list) {
        return past::run(place, list, view);
    }
    run_matching(place, list, |_| true).map(drop)
}

/// Lists those that match; whether any did.
pub(crate) fn run_matching(
    place: &args::Place,
    list: &args::List,
    matches: impl Fn(&[u8]) -> bool,
) -> Result<bool, Failure> {
    let mut client = door::open(place)?;
    let (mut lines, mut any) = (Lines::new(list), false);
    let mut kept = Vec::new();
    let mut printed = Ok(());
    let listed = prefix::list_one(&mut client, &list.prefix, list.one_level, |listed| {
        if !matches(name(&listed)) {
            return ControlFlow::Continue(());
        }
        any = true;
        if list.sort {
            kept.push(listed);
            return ControlFlow::Continue(());
        }
        printed = lines.print(&listed);
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    printed?;
    kept.sort_unstable_by(|one, other| name(one).cmp(name(other)));
    kept.iter().try_for_each(|listed| lines.print(listed))?;
    lines.flush()?;
    let listed = listed?;
    judge_sync(place, list, listed.sync)?;
    listed.judge().map(|()| any)
}

/// What it means for a list how far the node has come in hearing from the others.
pub(crate) fn judge_sync(
    place: &args::Place,
    list: &args::List,
    sync: SyncState,
) -> Result<(), Failure> {
    match sync::warning(sync, "names may be missing, or out of date") {
        Some(warning) if list.strict => return Err(Failure::new(Exit::Partly, warning)),
        Some(warning) if !place.quiet => text::tell(format_args!("dfs: {warning}")),
        Some(_) | None => {}
    }
    Ok(())
}

/// The lines of a listing.
pub(crate) struct Lines<'a> {
    list: &'a args::List,
    output: Output,
    flushed: Option<Instant>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(list: &'a args::List) -> Self {
        Self { list, output: Output::new(), flushed: None }
    }

    /// One for a file or a folder.
    fn print(&mut self, listed: &Listed) -> Result<(), Failure> {
        let line = match listed {
            Listed::File(entry) => return self.print_entry(entry),
            Listed::Folder(name) if self.list.json => json::line(&folder_json(name)),
            Listed::Folder(name) if self.list.long => {
                format!("d?????????  {:>10}  {:<25}  {}", "-", "-", shown_name(name))
            }
            Listed::Folder(name) => shown_name(name),
        };
        self.line(&line)
    }

    /// One for a file.
    pub(crate) fn print_entry(&mut self, entry: &Entry) -> Result<(), Failure> {
        self.line(&if self.list.json {
            json::line(&entry_json(entry))
        } else if self.list.long {
            long_line(entry)
        } else {
            shown(entry)
        })
    }

    /// One that is composed.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.output.line(line)?;
        if self.flushed.is_none_or(|flushed| flushed.elapsed() >= FLUSH_PERIOD) {
            self.output.flush()?;
            self.flushed = Some(Instant::now());
        }
        Ok(())
    }

    /// Hands on what is buffered.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.output.flush()
    }
}

/// What a script may know of a stored file.
#[derive(Serialize)]
pub(crate) struct EntryJson<'a> {
    #[serde(flatten)]
    name: json::NameJson<'a>,
    /// file, folder or link.
    kind: &'static str,
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
        kind: match kind(entry) {
            Kind::File => "file",
            Kind::Folder => "folder",
            Kind::Link => "link",
        },
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
    let size = human_size(entry.size);
    format!("{}  {size:>10}  {date:<25}  {}", mode_text(entry), shown(entry))
}

/// What an entry is. Some stores know folders by their names alone.
fn kind(entry: &Entry) -> Kind {
    match facts::kind(entry) {
        Kind::File if entry.size == 0 && entry.name.ends_with(b"/") => Kind::Folder,
        kind => kind,
    }
}

/// What an entry is and who may do what with it, as the system's own `ls` shows it.
pub(crate) fn mode_text(entry: &Entry) -> String {
    let letter = match kind(entry) {
        Kind::File => '-',
        Kind::Folder => 'd',
        Kind::Link => 'l',
    };
    let rights = match entry.mode {
        // Of what came through a pipe nothing is known.
        0 => "?????????".to_owned(),
        mode => rights(mode),
    };
    format!("{letter}{rights}")
}

fn rights(mode: u32) -> String {
    // Of each three: read, write, run; and what stands in for "run" where the fourth digit says more.
    let triple = |shift: u32, special: u32, letter: char| {
        let bits = mode >> shift;
        let run = match (mode & special != 0, bits & 1 != 0) {
            (false, true) => 'x',
            (false, false) => '-',
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
        };
        let read = if bits & 4 != 0 { 'r' } else { '-' };
        let write = if bits & 2 != 0 { 'w' } else { '-' };
        [read, write, run]
    };
    let all = [triple(6, 0o4000, 's'), triple(3, 0o2000, 's'), triple(0, 0o1000, 't')];
    all.iter().flatten().collect()
}

/// The name as a person may see it.
pub(crate) fn shown(entry: &Entry) -> String {
    shown_name(&entry.name)
}

fn shown_name(name: &[u8]) -> String {
    text::shown(&String::from_utf8_lossy(name))
}

fn name(listed: &Listed) -> &[u8] {
    match listed {
        Listed::File(entry) => &entry.name,
        Listed::Folder(name) => name,
    }
}

/// What a script may know of a folder that is told of by its name alone.
#[derive(Serialize)]
struct FolderJson<'a> {
    #[serde(flatten)]
    name: json::NameJson<'a>,
    kind: &'static str,
}

fn folder_json(name: &[u8]) -> FolderJson<'_> {
    FolderJson { name: json::NameJson::of(name), kind: "folder" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_look_as_usual() {
        let cases = [
            (0o100_644, "rw-r--r--"),
            (0o40_700, "rwx------"),
            (0o120_777, "rwxrwxrwx"),
            (0o104_755, "rwsr-xr-x"),
            (0o102_640, "rw-r-S---"),
            (0o41_777, "rwxrwxrwt"),
            (0o41_770, "rwxrwx--T"),
            (0o100_000, "---------"),
        ];
        for (mode, expected) in cases {
            assert_eq!(rights(mode), expected, "{mode:o}");
        }
    }
}
