//! `dfs put -r`: everything in a folder.
//!
//! Knows nothing about blocks. Invariant: what is equal already is not read, unless its content is to be compared; what is
//! told with `--dry-run` is what would be stored.

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::meta::described;
use super::source::{Counted, LocalFile, Root, Source, is_withheld, link_target};
use super::walk::{self, Found, Omitted};
use super::{copies, stored_json};
use crate::cli::actions::{Action, Actions};
use crate::cli::failure::{Failure, Tally};
use crate::cli::hash::{cannot_read, tree_hash};
use crate::cli::names::Name;
use crate::cli::open_folder::OpenFolder;
use crate::cli::progress::Progress;
use crate::cli::text;
use crate::cli::{args, door, interrupt, names};
use crate::client::{CallError, Client, PutJob, Stored};
use crate::crypto::tree as hashes;
use crate::ids::Hash;
use crate::session::{ClientError, Overwrite};

/// Files of a folder that are under way at once.
const IN_FLIGHT: usize = 48;

/// How a command line stores, and where it is told.
pub(super) struct Storing<'a> {
    pub(super) place: &'a args::Place,
    pub(super) put: &'a args::Put,
    pub(super) client: &'a mut Client,
    pub(super) actions: &'a mut Actions,
}

/// A local folder, and the name by which it is stored.
pub(super) struct Tree {
    pub(super) folder: PathBuf,
    pub(super) prefix: Name,
    /// The folder, open: what is read.
    root: Rc<Root>,
    /// The same, to see what is in it at the end.
    pub(super) opened: Rc<OpenFolder>,
}

impl Tree {
    pub(super) fn open(folder: &Path, prefix: Name) -> Result<Self, Failure> {
        let failed = |error| cannot_read(folder, &error);
        let root = Root::open_folder(folder).map_err(failed)?;
        let opened = Rc::new(OpenFolder::open(folder).map_err(failed)?);
        Ok(Self { folder: folder.to_owned(), prefix, root, opened })
    }
}

/// Stores what is in a folder.
pub(super) fn store(to: &mut Storing<'_>, tree: &Tree) -> Result<(), Failure> {
    let walk = walk::walk(&tree.folder)?;
    let progress = progress_of(to, tree);
    let sums = Sums::default();
    let put = to.put;
    let jobs = walk.take_while(|_| !interrupt::is_caught()).filter_map(|found| {
        let found = found.map_err(|omitted| sums.omit(&omitted)).ok()?;
        let job = job(put, tree, &found, &progress);
        job.map_err(|failure| sums.failed(&found.relative.display().to_string(), &failure)).ok()?
    });
    let mut results = Results { put, tree, sums: &sums, actions: to.actions, alike: Vec::new() };
    let all = to.client.put_many(jobs, IN_FLIGHT, |mut source: Counted<'_>, result| {
        source.finish();
        results.take(&source, result);
    });
    if all.is_ok() {
        results.compare_content();
    }
    let expected = progress.files();
    drop(progress);
    if interrupt::is_caught() {
        let tally = sums.tally.into_inner();
        return Err(tally.interrupted(expected, "stored"));
    }
    if let Err(error) = all {
        sums.tally.borrow_mut().broke_off(door::failure(&error));
    }
    if !to.place.quiet {
        sums.tell(&tree.prefix, to.actions);
    }
    sums.tally.into_inner().outcome("files")
}

/// The line for a folder. What is in it is counted first, if somebody sees that: else no time can be told.
fn progress_of(to: &Storing<'_>, tree: &Tree) -> Progress {
    if to.actions.is_on_terminal() {
        return Progress::hidden();
    }
    let progress = Progress::wanted(to.place, &tree.prefix.to_string(), None);
    if progress.is_visible() {
        let (things, bytes) = walk::count(&tree.folder, |things| {
            progress.counting(things);
            if interrupt::is_caught() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        progress.expect_all(things, bytes);
    }
    progress
}

/// What is to be done about one thing in a folder; nothing about the folder itself if it has no name.
fn job<'a>(
    put: &args::Put,
    tree: &Tree,
    found: &Found,
    progress: &'a Progress,
) -> Result<Option<PutJob<Counted<'a>>>, Failure> {
    let Found { relative, metadata } = found;
    let path = tree.folder.join(relative);
    let name = match metadata.is_dir() {
        true if relative.as_os_str().is_empty() && tree.prefix.bytes().is_empty() => {
            return Ok(None);
        }
        true => tree.prefix.join(relative).marker(),
        false => tree.prefix.join(relative),
    };
    names::check_new(&name, put.raw_names)?;
    let meta = described(put, &path, &name, metadata)?;
    let mut hash = None;
    let source = if metadata.is_dir() {
        Source::Bytes(Cursor::default())
    } else if metadata.is_symlink() {
        let target = link_target(&path).map_err(|error| cannot_read(&path, &error))?;
        hash = Some(hashes::tree(&target));
        Source::Bytes(Cursor::new(target))
    } else {
        let checked = (!put.allow_changed).then(|| metadata.clone());
        Source::File(LocalFile::later(Rc::clone(&tree.root), relative.clone(), checked))
    };
    let size = if metadata.is_dir() { 0 } else { metadata.len() };
    let source = if put.dry_run { Source::Withheld(metadata.file_type()) } else { source };
    let label = relative.display().to_string();
    let rest = Some(if metadata.is_file() { size } else { 0 });
    let source = Counted { source, name, label, rest, progress };
    let overwrite = match put {
        _ if put.no_clobber => Overwrite::Never,
        _ if put.checksum && !put.dry_run && metadata.is_file() => Overwrite::IfChanged,
        _ => Overwrite::IfOutdated { size, hash },
    };
    Ok(Some(PutJob { meta, overwrite, source }))
}

/// What becomes of the things in a folder, one by one.
struct Results<'a> {
    put: &'a args::Put,
    tree: &'a Tree,
    sums: &'a Sums,
    actions: &'a mut Actions,
    /// With `--dry-run` nothing is sent that could be compared: files whose content is still to be, and the stored hash.
    alike: Vec<(Name, Hash)>,
}

impl Results<'_> {
    fn take(&mut self, source: &Counted<'_>, result: Result<Stored, CallError>) {
        let name = &source.name;
        match result {
            Ok(Stored { is_new: false, hash, .. }) if self.has_content_to_compare(source) => {
                self.alike.push((name.clone(), hash));
            }
            Ok(stored) => {
                self.sums.count(name, &stored);
                if self.actions.is_json() && !self.actions.is_dry() {
                    self.actions.line(&stored_json(name, &stored));
                }
            }
            Err(CallError::Local(error)) if is_withheld(&error) => self.would_store(name),
            Err(_) if interrupt::is_caught() => {}
            Err(CallError::Local(error)) => {
                let path = self.tree.folder.join(&source.label);
                self.sums.failed(&source.label, &cannot_read(&path, &error));
            }
            Err(CallError::Client(error @ ClientError::Disconnected(_))) => {
                self.sums.tally.borrow_mut().broke_off(door::failure(&error));
            }
            Err(CallError::Client(error)) => {
                self.sums.failed(&source.label, &door::failure(&error));
            }
        }
    }

    fn would_store(&mut self, name: &Name) {
        self.sums.plan(name);
        self.actions.tell(Action::Store, name.bytes());
    }

    fn has_content_to_compare(&self, source: &Counted<'_>) -> bool {
        self.put.checksum && matches!(source.source, Source::Withheld(kind) if kind.is_file())
    }

    /// Reads what says the same as what is stored, when nothing is under way: it may take long.
    fn compare_content(&mut self) {
        for (name, hash) in std::mem::take(&mut self.alike) {
            if interrupt::is_caught() {
                return;
            }
            let rest = self.tree.prefix.rest_of(name.bytes()).unwrap_or_default();
            let relative = PathBuf::from(OsStr::from_bytes(rest));
            let found = self.tree.root.open(&relative);
            match found.and_then(|file| tree_hash(file, &Progress::hidden())) {
                Ok(found) if found == hash => self.sums.keep(),
                Ok(_) => self.would_store(&name),
                Err(error) => {
                    let path = self.tree.folder.join(&relative);
                    let label = relative.display().to_string();
                    self.sums.failed(&label, &cannot_read(&path, &error));
                }
            }
        }
    }
}

/// What became of all of them.
#[derive(Default)]
struct Sums {
    tally: RefCell<Tally>,
    files: Cell<u64>,
    folders: Cell<u64>,
    unchanged: Cell<u64>,
    /// Of what was stored.
    least_copies: Cell<Option<u16>>,
}

impl Sums {
    fn failed(&self, label: &str, failure: &Failure) {
        self.tally.borrow_mut().failed(&text::shown(label), failure);
    }

    fn omit(&self, omitted: &Omitted) {
        match omitted {
            Omitted::Failed(path, failure) => self.failed(&path.display().to_string(), failure),
            Omitted::DataFolder(path) => {
                let path = path.display();
                text::tell(format_args!("dfs: {path}: skipped: the data folder of a node"));
            }
        }
    }

    fn count(&self, name: &Name, stored: &Stored) {
        if !stored.is_new {
            return self.keep();
        }
        self.plan(name);
        let least = self.least_copies.get().unwrap_or(u16::MAX);
        self.least_copies.set(Some(least.min(stored.copies)));
    }

    /// One that is stored, or would be.
    fn plan(&self, name: &Name) {
        self.tally.borrow_mut().done();
        let kind = if name.is_folder() { &self.folders } else { &self.files };
        kind.set(kind.get() + 1);
    }

    fn keep(&self) {
        self.tally.borrow_mut().done();
        self.unchanged.set(self.unchanged.get() + 1);
    }

    fn tell(&self, prefix: &Name, actions: &Actions) {
        let changed =
            text::counted_all(&[(self.files.get(), "file"), (self.folders.get(), "folder")]);
        let unchanged = self.unchanged.get();
        let beside = if unchanged > 0 { format!(", {unchanged} unchanged") } else { String::new() };
        match (changed, self.least_copies.get()) {
            (None, _) if unchanged == 0 => {}
            (None, _) => {
                text::tell(format_args!("nothing to store under {prefix}: {unchanged} unchanged"));
            }
            (Some(changed), _) if actions.is_dry() => {
                text::tell(format_args!("would store {changed} under {prefix}{beside}"));
            }
            (Some(changed), least) => text::tell(format_args!(
                "stored {changed} under {prefix}{beside}: {} or more of each",
                copies(least.unwrap_or(0))
            )),
        }
    }
}
