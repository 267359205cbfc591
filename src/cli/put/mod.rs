//! `dfs put`: files, stdin, what a command prints, or everything in a folder.
//!
//! Knows nothing about blocks. Invariant: a source that ends early by an error is never stored as
//! if it were whole.

mod meta;
mod plan;
mod source;
mod walk;

use std::cell::{Cell, RefCell};
use std::fs::Metadata;
use std::io::{self, Cursor, IsTerminal};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::cli::failure::{Exit, Failure, Tally};
use crate::cli::hash::{cannot_read, open_file};
use crate::cli::json;
use crate::cli::names::Name;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::text::{self, counted, human_size};
use crate::cli::{args, door, interrupt, names, place, stdin};
use crate::client::{CallError, Client, PutJob, Stored};
use crate::session::{ClientError, Meta, Overwrite};
use meta::{meta, xattrs};
use plan::Task;
use serde::Serialize;
use source::{Counted, LocalFile, Printed, Root, Source, link_target};
use walk::{Found, Omitted};

/// Files of a folder that are under way at once.
const IN_FLIGHT: usize = 48;

/// Stores what the arguments say.
pub(crate) fn run(place: &args::Place, put: &args::Put) -> Result<(), Failure> {
    let tasks = plan::tasks(put)?;
    for task in &tasks {
        let (Task::Command(_, name) | Task::Stdin(name) | Task::Path(_, name)) = task;
        let name = if put.recursive { name.trimmed() } else { name.clone() };
        // A folder may be stored under no name: at the top.
        if !(put.recursive && name.bytes().is_empty()) {
            names::check_new(&name, put.raw_names)?;
        }
    }
    let mut console = Console::new(place, put);
    match &tasks[..] {
        [task] => console.store(task)?,
        many => console.store_each(many)?,
    }
    console.finish()
}

/// Where it is told what was stored.
struct Console<'a> {
    place: &'a args::Place,
    put: &'a args::Put,
    client: Option<Client>,
    json: Option<Output>,
}

impl<'a> Console<'a> {
    fn new(place: &'a args::Place, put: &'a args::Put) -> Self {
        Self { place, put, client: None, json: put.json.then(Output::new) }
    }

    /// One after the other: one that fails does not keep the others.
    fn store_each(&mut self, tasks: &[Task]) -> Result<(), Failure> {
        let mut tally = Tally::default();
        for task in tasks {
            let Task::Path(path, _) = task else { continue };
            match self.store(task) {
                Ok(()) => tally.done(),
                Err(_) if interrupt::is_caught() => {
                    let all = u64::try_from(tasks.len()).ok();
                    return Err(tally.interrupted(all, "sources stored"));
                }
                Err(failure) => tally.failed(&text::shown(&path.display().to_string()), &failure),
            }
        }
        tally.outcome("sources")
    }

    fn store(&mut self, task: &Task) -> Result<(), Failure> {
        match task {
            Task::Path(folder, name) if self.put.recursive && folder.is_dir() => {
                self.store_folder(folder, &name.trimmed())
            }
            Task::Path(path, _) if self.put.recursive && self.put.sources.len() == 1 => {
                walk::walk(path).map(|_| ())
            }
            Task::Path(path, name) => self.store_file(path, name),
            Task::Stdin(name) => self.store_stdin(name),
            Task::Command(command, name) => {
                let source = Source::Printed(Printed::start(command)?);
                self.store_one(unknown(name), source, "what the command prints", None)
            }
        }
    }

    fn store_file(&mut self, path: &Path, name: &Name) -> Result<(), Failure> {
        let (file, length) = open_file(path)?;
        let found = file.metadata().map_err(|error| cannot_read(path, &error))?;
        let label = path.display().to_string();
        if !found.is_file() {
            let source = Source::File(LocalFile::opened(file, None));
            return self.store_one(unknown(name), source, &label, None);
        }
        // Its attributes are those of what a link leads to, as its bytes are.
        let full = if self.put.xattrs { path.canonicalize() } else { Ok(path.to_owned()) };
        let full = full.map_err(|error| cannot_read(path, &error))?;
        let meta = described(self.put, &full, name, &found)?;
        let checked = (!self.put.allow_changed).then_some(found);
        let source = Source::File(LocalFile::opened(file, checked));
        self.store_one(meta, source, &label, Some(length))
    }

    fn store_stdin(&mut self, name: &Name) -> Result<(), Failure> {
        if place::uses_stdin(self.place) {
            return Err(Failure::usage("the ticket and the file cannot both come from stdin"));
        }
        let reader = stdin::open().map_err(|error| cannot_read(Path::new("stdin"), &error))?;
        self.store_one(unknown(name), Source::Stdin(reader), "stdin", None)
    }

    fn store_one(
        &mut self,
        meta: Meta,
        source: Source,
        label: &str,
        length: Option<u64>,
    ) -> Result<(), Failure> {
        let name = Name::new(&meta.name);
        let progress = Progress::wanted(self.place, &name.to_string(), length);
        let (path, label) = (PathBuf::from(label), label.to_owned());
        let source = Counted { source, name: name.clone(), label, rest: None, progress: &progress };
        let job = PutJob { meta, overwrite: self.overwrite(), source };
        let stored = self.client()?.put_one(job).map_err(|error| match error {
            _ if interrupt::is_caught() => Failure::new(
                Exit::Error,
                format_args!("interrupted before {name} was acknowledged as stored"),
            ),
            CallError::Local(error) => cannot_read(&path, &error),
            CallError::Client(error) => door::failure(&error).about(&name),
        })?;
        if let Some(output) = &mut self.json {
            return output.line(&stored_json(&name, &stored));
        }
        if !self.place.quiet {
            text::tell(said_of(&name, &stored));
        }
        Ok(())
    }

    fn store_folder(&mut self, folder: &Path, prefix: &Name) -> Result<(), Failure> {
        let walk = walk::walk(folder)?;
        let root = Root::open_folder(folder).map_err(|error| cannot_read(folder, &error))?;
        let (put, overwrite) = (self.put, self.overwrite());
        let progress = self.progress_of(folder, prefix);
        let sums = Sums::default();
        let failed = |label: &str, failure: &Failure| {
            sums.tally.borrow_mut().failed(&text::shown(label), failure);
        };
        let jobs = walk.take_while(|_| !interrupt::is_caught()).filter_map(|found| {
            let found = found.map_err(|omitted| match omitted {
                Omitted::Failed(path, failure) => failed(&path.display().to_string(), &failure),
                Omitted::DataFolder(path) => {
                    let path = path.display();
                    text::tell(format_args!("dfs: {path}: skipped: the data folder of a node"));
                }
            });
            let found = found.ok()?;
            let label = found.relative.display().to_string();
            let job = job(put, &Tree { folder, prefix, root: &root }, &found, &progress);
            let job = job.map_err(|failure| failed(&label, &failure)).ok()??;
            Some(PutJob { overwrite, ..job })
        });
        let (mut json, mut printed) = (self.json.take(), Ok(()));
        let client = self.client()?;
        let all = client.put_many(jobs, IN_FLIGHT, |mut source: Counted<'_>, result| {
            source.finish();
            match result {
                Ok(stored) => {
                    sums.count(&source.name, &stored);
                    if let (Some(output), Ok(())) = (&mut json, &printed) {
                        printed = output.line(&stored_json(&source.name, &stored));
                    }
                }
                Err(_) if interrupt::is_caught() => {}
                Err(CallError::Local(error)) => {
                    failed(&source.label, &cannot_read(&folder.join(&source.label), &error));
                }
                Err(CallError::Client(error @ ClientError::Disconnected(_))) => {
                    sums.tally.borrow_mut().broke_off(door::failure(&error));
                }
                Err(CallError::Client(error)) => failed(&source.label, &door::failure(&error)),
            }
        });
        let expected = progress.files();
        drop(progress);
        self.json = json;
        printed?;
        if interrupt::is_caught() {
            let tally = sums.tally.into_inner();
            return Err(tally.interrupted(expected, "files and folders stored"));
        }
        if let Err(error) = all {
            sums.tally.borrow_mut().broke_off(door::failure(&error));
        }
        if !self.place.quiet {
            sums.tell(prefix);
        }
        sums.tally.into_inner().outcome("files")
    }

    /// The line for a folder. What is in it is counted first, if somebody sees that: else no time can be told.
    fn progress_of(&self, folder: &Path, prefix: &Name) -> Progress {
        // Between lines of data it would stand in their way.
        if self.json.is_some() && io::stdout().is_terminal() {
            return Progress::hidden();
        }
        let progress = Progress::wanted(self.place, &prefix.to_string(), None);
        if progress.is_visible() {
            let (things, bytes) = walk::count(folder, |things| {
                progress.counting(things);
                if interrupt::is_caught() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            progress.expect_all(things, bytes);
        }
        progress
    }

    fn client(&mut self) -> Result<&mut Client, Failure> {
        let client = match self.client.take() {
            Some(client) => client,
            None => door::open(self.place)?,
        };
        Ok(self.client.insert(client))
    }

    /// What says the same as the version that is there is not stored again.
    fn overwrite(&self) -> Overwrite {
        if self.put.no_clobber { Overwrite::Never } else { Overwrite::IfChanged }
    }

    fn finish(self) -> Result<(), Failure> {
        self.json.map_or(Ok(()), |mut output| output.flush())
    }
}

/// Of what comes through a pipe nothing is known but its name.
fn unknown(name: &Name) -> Meta {
    Meta { name: name.bytes().to_vec(), ..Meta::default() }
}

fn described(put: &args::Put, path: &Path, name: &Name, found: &Metadata) -> Result<Meta, Failure> {
    let mut meta = meta(name, found);
    if put.xattrs && !found.is_symlink() {
        meta.attributes.xattrs = xattrs(path).map_err(|error| cannot_read(path, &error))?;
    }
    Ok(meta)
}

/// A local folder, and the name by which it is stored.
struct Tree<'a> {
    folder: &'a Path,
    prefix: &'a Name,
    /// The folder, open.
    root: &'a Rc<Root>,
}

/// What is to be done about one thing in a folder; nothing about the folder itself if it has no name.
fn job<'a>(
    put: &args::Put,
    tree: &Tree<'_>,
    found: &Found,
    progress: &'a Progress,
) -> Result<Option<PutJob<Counted<'a>>>, Failure> {
    let Tree { folder, prefix, root } = tree;
    let path = folder.join(&found.relative);
    let metadata = &found.metadata;
    let name = match metadata.is_dir() {
        true if found.relative.as_os_str().is_empty() && prefix.bytes().is_empty() => {
            return Ok(None);
        }
        true => prefix.join(&found.relative).marker(),
        false => prefix.join(&found.relative),
    };
    names::check_new(&name, put.raw_names)?;
    let meta = described(put, &path, &name, metadata)?;
    let source = if metadata.is_dir() {
        Source::Bytes(Cursor::default())
    } else if metadata.is_symlink() {
        let target = link_target(&path).map_err(|error| cannot_read(&path, &error))?;
        Source::Bytes(Cursor::new(target))
    } else {
        let checked = (!put.allow_changed).then(|| metadata.clone());
        Source::File(LocalFile::later(Rc::clone(root), found.relative.clone(), checked))
    };
    let label = found.relative.display().to_string();
    let rest = Some(if metadata.is_file() { metadata.len() } else { 0 });
    let source = Counted { source, name, label, rest, progress };
    Ok(Some(PutJob { meta, overwrite: Overwrite::Always, source }))
}

/// What became of the things in a folder.
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
    fn count(&self, name: &Name, stored: &Stored) {
        self.tally.borrow_mut().done();
        if !stored.is_new {
            return self.unchanged.set(self.unchanged.get() + 1);
        }
        let kind = if name.is_folder() { &self.folders } else { &self.files };
        kind.set(kind.get() + 1);
        let least = self.least_copies.get().unwrap_or(u16::MAX);
        self.least_copies.set(Some(least.min(stored.copies)));
    }

    fn tell(&self, prefix: &Name) {
        let stored = [(self.files.get(), "file"), (self.folders.get(), "folder")];
        let stored = stored.iter().filter(|(count, _)| *count > 0);
        let stored: Vec<_> = stored.map(|(count, noun)| counted(*count, noun)).collect();
        let unchanged = self.unchanged.get();
        match self.least_copies.get() {
            None if unchanged == 0 => {}
            None => {
                text::tell(format_args!("nothing to store under {prefix}: {unchanged} unchanged"));
            }
            Some(least) => text::tell(format_args!(
                "stored {} under {prefix}{}: {} or more of each",
                stored.join(", "),
                if unchanged > 0 { format!(", {unchanged} unchanged") } else { String::new() },
                copies(least)
            )),
        }
    }
}

fn said_of(name: &Name, stored: &Stored) -> String {
    let size = human_size(stored.size);
    match stored.is_new {
        true => format!("stored {name}: {size}, {}", copies(stored.copies)),
        false => format!("{name} is unchanged: {size}, nothing stored"),
    }
}

fn copies(count: u16) -> String {
    if count == 1 { "1 copy".to_owned() } else { format!("{count} copies") }
}

/// What a script may know of what was stored now.
#[derive(Serialize)]
struct StoredJson<'a> {
    #[serde(flatten)]
    name: json::NameJson<'a>,
    size: u64,
    hash: String,
    version: String,
    /// Null for what is unchanged: nobody was asked.
    copies: Option<u16>,
    unchanged: bool,
}

fn stored_json(name: &Name, stored: &Stored) -> String {
    json::line(&StoredJson {
        name: json::NameJson::of(name.bytes()),
        size: stored.size,
        hash: stored.hash.to_string(),
        version: stored.version.to_string(),
        copies: stored.is_new.then_some(stored.copies),
        unchanged: !stored.is_new,
    })
}
