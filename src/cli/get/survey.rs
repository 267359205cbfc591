//! What of a stored folder is here already, and what is in the way of the rest.
//!
//! Knows nothing about the network. Invariant: nothing here is changed but the mode and the time of a file that has the
//! right content.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::FileType;

use super::compare::Comparison;
use super::folder::FolderGet;
use super::prune::Kept;
use crate::cli::actions::{Action, Actions};
use crate::cli::destination::{Destination, cannot_write};
use crate::cli::facts::{self, Kind};
use crate::cli::failure::{Exit, Failure};
use crate::cli::interrupt;
use crate::cli::names::{self, Name};
use crate::cli::open_folder::{Finder, OpenFolder, Way};
use crate::session::Entry;

/// See the module.
pub(super) struct Survey {
    /// What is stored, whether or not it is here; none if nothing is to be removed.
    pub(super) kept: Option<Kept>,
    /// Files and links that are equal.
    pub(super) unchanged: u64,
    /// What comes when something else, which is not stored, has been removed: with `--delete`.
    pub(super) blocked: Vec<Entry>,
    /// The local folder, if there is one.
    pub(super) opened: Option<Rc<OpenFolder>>,
}

/// What is at the place of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Here {
    Nothing,
    /// What it may replace, or the folder that it is.
    Same,
    /// What it does not replace: a folder where a file is to be, a link or a file on the way.
    Obstacle,
}

/// What is to be done about an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fetch,
    Equal,
    Blocked,
}

impl Survey {
    /// Looks for what is here of these entries, and leaves those that are to be fetched, and folders.
    pub(super) fn of(
        entries: &mut Vec<Entry>,
        it: FolderGet<'_>,
        actions: &mut Actions,
    ) -> Result<Self, Failure> {
        let FolderGet { get, prefix, folder, .. } = it;
        let opened = open(folder)?;
        let kept = get.delete.then(|| kept_of(entries, prefix)).transpose()?;
        let finder = Finder::new(opened.clone());
        let mut look = Look { prefix, comparison: Comparison::of(get), finder, kept };
        let (mut unchanged, mut blocked) = (0, Vec::new());
        let verdict = Cell::new(Verdict::Fetch);
        let leaves = entries.extract_if(.., |entry| {
            verdict.set(look.judge(entry));
            verdict.get() != Verdict::Fetch
        });
        for entry in leaves {
            match verdict.get() {
                Verdict::Blocked => blocked.push(entry),
                Verdict::Equal | Verdict::Fetch => {
                    unchanged += 1;
                    actions.tell(Action::Keep, &entry.name);
                }
            }
        }
        let mut kept = look.kept;
        kept.iter_mut().for_each(Kept::sort);
        Ok(Self { kept, unchanged, blocked, opened })
    }
}

/// The local folder, if there is one.
fn open(folder: &Path) -> Result<Option<Rc<OpenFolder>>, Failure> {
    match OpenFolder::open(folder) {
        Ok(opened) => Ok(Some(Rc::new(opened))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot_write(folder, &error)),
    }
}

/// Where nothing is stored, or a file alone, everything here would be removed: nobody means that.
fn kept_of(entries: &[Entry], prefix: &Name) -> Result<Kept, Failure> {
    if entries.iter().any(|entry| prefix.rest_of(&entry.name).is_some()) {
        return Ok(Kept::default());
    }
    let sentence = "no folder of that name is stored; nothing was removed";
    Err(Failure::new(Exit::NotFound, sentence).about(prefix))
}

/// How each is looked for.
struct Look<'a> {
    prefix: &'a Name,
    comparison: Comparison,
    finder: Finder,
    kept: Option<Kept>,
}

impl Look<'_> {
    fn judge(&mut self, entry: &Entry) -> Verdict {
        // What has no path here is told of when its turn comes.
        let (Ok(relative), Ok(kind)) = (relative_of(self.prefix, entry), kind_of(entry)) else {
            return Verdict::Fetch;
        };
        if let Some(kept) = &mut self.kept {
            kept.add(&relative, kind);
        }
        if interrupt::is_caught() {
            return Verdict::Fetch;
        }
        match here(&mut self.finder, &relative, kind) {
            Here::Obstacle if self.kept.is_some() => Verdict::Blocked,
            Here::Same if kind != Kind::Folder && self.is_equal(entry, &relative) => Verdict::Equal,
            Here::Same | Here::Nothing | Here::Obstacle => Verdict::Fetch,
        }
    }

    fn is_equal(&mut self, entry: &Entry, relative: &Path) -> bool {
        let Ok(Way::Open(folder)) = self.finder.folder_of(relative) else { return false };
        let name = relative.file_name().unwrap_or_default().to_owned();
        self.comparison.is_equal(entry, &Destination::new(folder, name))
    }
}

/// What is at the place of an entry of that kind. What cannot be looked at is met when the entry comes.
pub(super) fn here(finder: &mut Finder, relative: &Path, kind: Kind) -> Here {
    if let Ok(Way::Blocked) = finder.folder_of(relative) {
        return Here::Obstacle;
    }
    let Ok(Some(found)) = finder.stat(relative) else { return Here::Nothing };
    let is_replaced = match (kind, FileType::from_raw_mode(found.st_mode)) {
        (Kind::Folder, found) => found == FileType::Directory,
        (Kind::File, found) => found != FileType::Directory && found != FileType::Symlink,
        (Kind::Link, found) => found != FileType::Directory,
    };
    if is_replaced { Here::Same } else { Here::Obstacle }
}

fn refused(reason: &str) -> Failure {
    Failure::new(Exit::Error, format_args!("left out: {reason}"))
}

/// Where an entry is in the local folder; an empty path for that folder itself.
pub(super) fn relative_of(prefix: &Name, entry: &Entry) -> Result<PathBuf, Failure> {
    match prefix.rest_of(&entry.name) {
        Some(b"") => Ok(PathBuf::new()),
        Some(rest) => names::below(rest).map_err(refused),
        None => names::local_file(&Name::new(&entry.name)),
    }
}

/// What an entry is here. Some stores know folders by their names alone.
pub(super) fn kind_of(entry: &Entry) -> Result<Kind, Failure> {
    match (facts::kind(entry), entry.name.ends_with(b"/")) {
        (Kind::Folder, true) => Ok(Kind::Folder),
        (Kind::File, true) if entry.size == 0 => Ok(Kind::Folder),
        (kind @ (Kind::File | Kind::Link), false) => Ok(kind),
        (Kind::Folder, false) | (Kind::File | Kind::Link, true) => {
            Err(refused("its name and its mode do not agree on whether it is a folder"))
        }
    }
}
