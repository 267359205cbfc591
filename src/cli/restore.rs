//! `dfs restore`: an earlier version of a name becomes the one that is shown.
//!
//! Invariant: nothing is restored over a version that was not there when the choice was made.

use std::ops::ControlFlow;

use crate::cli::failure::{Exit, Failure};
use crate::cli::names::Name;
use crate::cli::text::{human_size, local_date, tell};
use crate::cli::versions::{self, Chosen, content, stored};
use crate::cli::{args, door, names, sync};
use crate::client::Client;
use crate::session::{Standing, Version, VersionsWanted};

/// Restores a version of a name.
pub(crate) fn run(place: &args::Place, restore: &args::Restore) -> Result<(), Failure> {
    let name = &restore.name;
    names::check(name)?;
    let mut client = door::open(place)?;
    let Chosen { entry, over } = match &restore.version {
        Some(prefix) => versions::find(&mut client, name, prefix)?,
        None => last_hidden(&mut client, name)?,
    };
    let (date, size) = (local_date(stored(&entry.version)), human_size(entry.size));
    let restored = client.restore(entry, over);
    let restored = restored.map_err(|error| door::failure(&error).about(name))?;
    if !place.quiet && restored.is_new {
        tell(format_args!("restored {name}: the version of {date}, {size}"));
    } else if !place.quiet {
        tell(format_args!("{name}: this version is shown already; nothing was changed"));
    }
    Ok(())
}

/// The newest version of a name that is not shown and does not delete it.
fn last_hidden(client: &mut Client, name: &Name) -> Result<Chosen, Failure> {
    let (mut greatest, mut found) = (None, None::<Version>);
    let wanted = VersionsWanted { name: name.bytes().to_vec(), from: None, newest: None };
    let told = client.versions(wanted, |version| {
        // The first is the greatest: it is shown, or deletes the name, or is damaged.
        let is_first = *greatest.get_or_insert(version.id) == version.id;
        if is_first || version.standing == Standing::Deletion {
            return ControlFlow::Continue(());
        }
        found = Some(version);
        ControlFlow::Break(())
    });
    told.map_err(|error| sync::explained(client, name, door::failure(&error)))?;
    let none = || Failure::new(Exit::NotFound, "there is no earlier version to restore");
    let entry = found.ok_or_else(none).and_then(content);
    Ok(Chosen { entry: entry.map_err(|failure| failure.about(name))?, over: greatest })
}
