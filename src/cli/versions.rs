//! `dfs versions`: the versions of a name, the newest first; and the one that somebody has named by its first digits.
//!
//! Keeps two versions at a time, however many there are. Invariant: what is printed of a version's id tells it from those
//! beside it, and so from all.

use std::ops::ControlFlow;

use crate::cli::failure::{Exit, Failure};
use crate::cli::names::Name;
use crate::cli::output::Output;
use crate::cli::text::{counted, human_size, local_date, rfc3339};
use crate::cli::{args, door, json, names, sync};
use crate::client::Client;
use crate::ids::VersionId;
use crate::session::{
    Entry, Source, Standing, Version, VersionPrefix, VersionsTold, VersionsWanted, log_damage,
};
use crate::time::{FileTime, wall_ms_of};
use serde::Serialize;

/// Digits that tell a version from those of another millisecond: no fewer are printed.
const DIGITS_MIN: usize = 12;

/// Lists the versions of a name.
pub(crate) fn run(place: &args::Place, list: &args::Versions) -> Result<(), Failure> {
    let name = &list.name;
    names::check(name)?;
    let mut client = door::open(place)?;
    let mut lines = Lines::new(list);
    let mut printed = Ok(());
    // One more tells how many digits the last one takes.
    let newest = list.newest.map(|newest| newest.saturating_add(1));
    let wanted = VersionsWanted { name: name.bytes().to_vec(), from: None, newest };
    let told = client.versions(wanted, |version| {
        printed = lines.take(version);
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    printed?;
    lines.end()?;
    let told = told.map_err(|error| sync::explained(&mut client, name, door::failure(&error)))?;
    told.map_or(Ok(()), |told| {
        sync::warn(told.sync, "versions may be missing");
        judge(&told).map_err(|failure| failure.about(name))
    })
}

/// Whether a list is all that there is.
fn judge(told: &VersionsTold) -> Result<(), Failure> {
    if told.damaged > 0 {
        let versions = counted(told.damaged, "version");
        let sentence = format!("{versions} damaged on this node, or sealed with another data key");
        return Err(Failure::new(Exit::Integrity, sentence));
    }
    if told.log_damage.is_any() {
        let what = log_damage(&told.log_damage);
        return Err(Failure::new(Exit::Integrity, format_args!("versions may be missing: {what}")));
    }
    Ok(())
}

/// The lines of a list.
struct Lines<'a> {
    list: &'a args::Versions,
    output: Output,
    /// The version before the next to be printed, which is not printed before the one after it is known.
    above: Option<VersionId>,
    next: Option<Version>,
    printed: u64,
}

impl<'a> Lines<'a> {
    fn new(list: &'a args::Versions) -> Self {
        Self { list, output: Output::new(), above: None, next: None, printed: 0 }
    }

    fn take(&mut self, version: Version) -> Result<(), Failure> {
        let below = version.id;
        match self.next.replace(version) {
            Some(version) => self.print(&version, Some(below)),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), Failure> {
        if let Some(version) = self.next.take() {
            self.print(&version, None)?;
        }
        self.output.flush()
    }

    fn print(&mut self, version: &Version, below: Option<VersionId>) -> Result<(), Failure> {
        if self.list.newest.is_some_and(|newest| self.printed == newest) {
            return Ok(());
        }
        self.printed += 1;
        let line = match self.list.json {
            true => json_line(version),
            false => text_line(version, &[self.above, below]),
        };
        self.above = Some(version.id);
        self.output.line(&line)
    }
}

fn text_line(version: &Version, beside: &[Option<VersionId>]) -> String {
    let id = short(&version.id, beside);
    let date = local_date(stored(&version.id));
    let size = version.file.as_ref().map_or_else(|| "-".to_owned(), |file| human_size(file.size));
    let (writer, word) = (version.id.writer.short(), word(version.standing));
    format!("{id:<DIGITS_MIN$}  {date:<25}  {size:>10}  {writer}  {word}")
}

/// The first digits of an id, as many as tell it from these.
fn short(id: &VersionId, beside: &[Option<VersionId>]) -> String {
    let text = id.to_string();
    let common = |other: &VersionId| {
        let other = other.to_string();
        text.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
    };
    let common = beside.iter().flatten().map(common).max().unwrap_or(0);
    text.chars().take((common + 1).max(DIGITS_MIN)).collect()
}

/// When a version was stored.
pub(crate) fn stored(id: &VersionId) -> FileTime {
    FileTime::from_ms(i64::try_from(wall_ms_of(id.stamp)).unwrap_or(i64::MAX))
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Shown => "shown",
        Standing::Concurrent => "concurrent",
        Standing::Deletion => "deleted",
        Standing::Superseded => "superseded",
        Standing::Damaged => "damaged",
    }
}

fn json_line(version: &Version) -> String {
    #[derive(Serialize)]
    struct Json<'a> {
        #[serde(flatten)]
        name: json::NameJson<'a>,
        version: String,
        stored: String,
        writer: String,
        state: &'static str,
        size: Option<u64>,
        hash: Option<String>,
        mtime: Option<String>,
        mode: Option<u32>,
    }
    let file = version.file.as_deref();
    json::line(&Json {
        name: json::NameJson::of(&version.name),
        version: version.id.to_string(),
        stored: rfc3339(stored(&version.id)),
        writer: version.id.writer.to_string(),
        state: word(version.standing),
        size: file.map(|file| file.size),
        hash: file.map(|file| file.hash.to_string()),
        mtime: file.and_then(|file| file.mtime).map(rfc3339),
        mode: file.map(|file| file.mode & 0o7777),
    })
}

/// A version that was chosen, and the greatest of its name at that time.
pub(crate) struct Chosen {
    pub(crate) entry: Entry,
    pub(crate) over: Option<VersionId>,
}

/// The version of a name whose id begins so.
pub(crate) fn find(
    client: &mut Client,
    name: &Name,
    prefix: &VersionPrefix,
) -> Result<Chosen, Failure> {
    let mut found: Vec<Version> = Vec::new();
    let (bytes, from) = (name.bytes().to_vec(), Some(prefix.last()));
    let wanted = VersionsWanted { name: bytes, from, newest: Some(2) };
    let told = client.versions(wanted, |version| {
        found.extend(Some(version).filter(|version| prefix.is_of(&version.id)));
        ControlFlow::Continue(())
    });
    let told = told.map_err(|error| sync::explained(client, name, door::failure(&error)))?;
    let told = told.unwrap_or_default();
    found.dedup_by_key(|version| version.id);
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (None, _) => Err(none(prefix, &told)),
        (Some(_), Some(_)) => Err(Failure::usage(format_args!(
            "more than one version begins with {prefix}: give more digits"
        ))),
        (Some(version), None) => {
            let entry = content(version)?;
            Ok(Chosen { entry, over: told.greatest })
        }
    }
    .map_err(|failure| failure.about(name))
}

fn none(prefix: &VersionPrefix, told: &VersionsTold) -> Failure {
    sync::warn(told.sync, "it may not know of the version yet");
    if let Err(failure) = judge(&VersionsTold { damaged: 0, ..*told }) {
        return failure;
    }
    let sentence = format!("no version begins with {prefix} (dfs versions lists them)");
    Failure::new(Exit::NotFound, sentence)
}

/// What a version says, if it is a file.
pub(crate) fn content(version: Version) -> Result<Entry, Failure> {
    let id = version.id;
    match (version.standing, version.file) {
        (_, Some(entry)) => Ok(*entry),
        (Standing::Damaged, None) => {
            let sentence = format!("version {id} is damaged on this node");
            Err(Failure::new(Exit::Integrity, sentence))
        }
        (_, None) => {
            let sentence = format!("version {id} deletes the name, and has no content");
            Err(Failure::new(Exit::Error, sentence))
        }
    }
}

/// The version of a name that somebody has named, or else the one that is shown.
pub(crate) fn source(
    client: &mut Client,
    name: &Name,
    prefix: Option<&VersionPrefix>,
) -> Result<Source, Failure> {
    match prefix {
        Some(prefix) => Ok(Source::Version(Box::new(find(client, name, prefix)?.entry))),
        None => Ok(Source::Name(name.bytes().to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Writer;

    #[test]
    fn as_many_digits_are_printed_as_tell_versions_apart() {
        let id = |stamp, writer| VersionId { stamp, writer: Writer([writer; 8]) };
        let one = id(0x01a2_0568_0daa_0001, 7);
        let check = |beside: &[Option<VersionId>], expected: &str| {
            assert_eq!(short(&one, beside), expected);
        };
        check(&[None, None], "01a205680daa");
        check(&[Some(id(0x01a2_0568_0dab_0000, 7)), None], "01a205680daa");
        check(&[None, Some(id(0x01a2_0568_0daa_0002, 7))], "01a205680daa0001");
        check(&[Some(id(one.stamp, 9)), None], "01a205680daa0001-07");
    }
}
