//! `dfs ls --deleted` and `dfs ls --at`: names that are deleted, and what was shown at a time.
//!
//! Invariant: as for `dfs ls`.

use std::ops::ControlFlow;

use crate::cli::failure::Failure;
use crate::cli::list::{Lines, judge_sync};
use crate::cli::text::{self, local_date, rfc3339};
use crate::cli::versions::stored;
use crate::cli::{args, door, json, prefix};
use crate::client::Client;
use crate::session::{ClientError, Entry, Version};
use crate::wire::sync_state::SyncState;
use crate::wire::view::View;
use serde::Serialize;

/// What is to be listed instead of what is shown now, if so.
pub(crate) fn view(list: &args::List) -> Option<View> {
    let at = list.at.map(|moment| View::At(moment.stamp()));
    at.or(list.deleted.then_some(View::Deleted))
}

/// One line of such a list.
enum Row {
    File(Box<Entry>),
    Deletion(Version),
}

impl Row {
    fn name(&self) -> &[u8] {
        match self {
            Self::File(entry) => &entry.name,
            Self::Deletion(version) => &version.name,
        }
    }
}

/// Lists what a view has.
pub(crate) fn run(place: &args::Place, list: &args::List, view: View) -> Result<(), Failure> {
    let mut client = door::open(place)?;
    let mut lines = Lines::new(list);
    let (mut is_found, mut kept, mut printed) = (list.prefix.is_all(), Vec::new(), Ok(()));
    let listed = walk(&mut client, view, |row| {
        if !list.prefix.covers(row.name()) {
            return ControlFlow::Continue(());
        }
        is_found = true;
        if list.sort {
            kept.push(row);
            return ControlFlow::Continue(());
        }
        printed = print(&mut lines, list, &row);
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    printed?;
    kept.sort_unstable_by(|one, other| one.name().cmp(other.name()));
    kept.iter().try_for_each(|row| print(&mut lines, list, row))?;
    lines.flush()?;
    match listed {
        Ok(sync) if is_found => judge_sync(place, list, sync),
        Ok(sync) => {
            judge_sync(place, list, sync).and_then(|()| Err(prefix::nothing().about(&list.prefix)))
        }
        Err(error) => Err(door::failure(&error)),
    }
}

fn walk(
    client: &mut Client,
    view: View,
    mut each: impl FnMut(Row) -> ControlFlow<()>,
) -> Result<SyncState, ClientError> {
    match view {
        View::At(stamp) => client.list_at(stamp, |entry| each(Row::File(Box::new(entry)))),
        View::Deleted => client.list_deleted(|version| each(Row::Deletion(version))),
    }
}

fn print(lines: &mut Lines<'_>, list: &args::List, row: &Row) -> Result<(), Failure> {
    match row {
        Row::File(entry) => lines.print_entry(entry),
        Row::Deletion(version) if list.json => lines.line(&json_line(version)),
        Row::Deletion(version) => {
            let date = local_date(stored(&version.id));
            let name = text::shown(&String::from_utf8_lossy(&version.name));
            lines.line(&format!("{date:<25}  {name}"))
        }
    }
}

fn json_line(version: &Version) -> String {
    #[derive(Serialize)]
    struct Json<'a> {
        #[serde(flatten)]
        name: json::NameJson<'a>,
        version: String,
        deleted: String,
        writer: String,
    }
    json::line(&Json {
        name: json::NameJson::of(&version.name),
        version: version.id.to_string(),
        deleted: rfc3339(stored(&version.id)),
        writer: version.id.writer.to_string(),
    })
}
