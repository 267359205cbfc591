//! `dfs put`: files, stdin, what a command prints, or everything in a folder.
//!
//! Knows nothing about blocks. Invariant: a source that ends early by an error is never stored as
//! if it were whole.

mod folder;
mod gone;
mod meta;
mod plan;
mod source;
mod walk;

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use crate::cli::actions::{Action, Actions};
use crate::cli::failure::{Exit, Failure, Tally};
use crate::cli::hash::{cannot_read, open_file};
use crate::cli::json;
use crate::cli::names::Name;
use crate::cli::progress::Progress;
use crate::cli::text::{self, human_size};
use crate::cli::{args, door, interrupt, names, place, stdin};
use crate::client::{CallError, Client, PutJob, Stored};
use crate::session::{Meta, Overwrite};
use folder::{Storing, Tree};
use meta::described;
use plan::Task;
use serde::Serialize;
use source::{Counted, LocalFile, Printed, Source, is_withheld};

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
    let stored = match &tasks[..] {
        [task] => console.store(task),
        many => console.store_each(many),
    };
    match stored {
        Ok(()) if put.delete => console.delete_gone()?,
        Err(failure) if put.delete => return Err(failure.and("nothing was deleted")),
        stored => stored?,
    }
    console.actions.finish()
}

/// Where it is told what was stored.
struct Console<'a> {
    place: &'a args::Place,
    put: &'a args::Put,
    client: Option<Client>,
    actions: Actions,
    /// Folders that were stored.
    trees: Vec<Tree>,
}

impl<'a> Console<'a> {
    fn new(place: &'a args::Place, put: &'a args::Put) -> Self {
        let actions = Actions::new(put.json, put.dry_run);
        Self { place, put, client: None, actions, trees: Vec::new() }
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
                    return Err(tally.interrupted(all, "stored"));
                }
                Err(failure) => tally.failed(&text::shown(&path.display().to_string()), &failure),
            }
        }
        tally.outcome("sources")
    }

    fn store(&mut self, task: &Task) -> Result<(), Failure> {
        match task {
            Task::Path(folder, name) if self.put.recursive && folder.is_dir() => {
                self.store_folder(folder, name.trimmed())
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
            let source = self.readable(Source::File(LocalFile::opened(file, None)), &found);
            return self.store_one(unknown(name), source, &label, None);
        }
        // Its attributes are those of what a link leads to, as its bytes are.
        let full = if self.put.xattrs { path.canonicalize() } else { Ok(path.to_owned()) };
        let full = full.map_err(|error| cannot_read(path, &error))?;
        let meta = described(self.put, &full, name, &found)?;
        let checked = (!self.put.allow_changed).then(|| found.clone());
        let source = self.readable(Source::File(LocalFile::opened(file, checked)), &found);
        self.store_one(meta, source, &label, Some(length))
    }

    /// What may be read.
    fn readable(&self, source: Source, found: &Metadata) -> Source {
        if self.put.dry_run { Source::Withheld(found.file_type()) } else { source }
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
        let job = PutJob { meta, overwrite: self.overwrite(length), source };
        let stored = match self.storing()?.client.put_one(job) {
            Err(CallError::Local(error)) if is_withheld(&error) => {
                self.actions.tell(Action::Store, name.bytes());
                return Ok(());
            }
            stored => stored,
        };
        let stored = stored.map_err(|error| match error {
            _ if interrupt::is_caught() => Failure::new(
                Exit::Error,
                format_args!("interrupted before {name} was acknowledged as stored"),
            ),
            CallError::Local(error) => cannot_read(&path, &error),
            CallError::Client(error) => door::failure(&error).about(&name),
        })?;
        if self.put.dry_run {
            self.actions.tell(Action::Keep, name.bytes());
        } else if self.put.json {
            self.actions.line(&stored_json(&name, &stored));
        } else if !self.place.quiet {
            text::tell(said_of(&name, &stored));
        }
        Ok(())
    }

    fn store_folder(&mut self, folder: &Path, prefix: Name) -> Result<(), Failure> {
        if self.put.delete {
            refuse_to_empty(self.put, folder, &prefix)?;
        }
        let tree = Tree::open(folder, prefix)?;
        folder::store(&mut self.storing()?, &tree)?;
        self.trees.push(tree);
        Ok(())
    }

    /// Everything was stored: what is stored and is not in these folders any more is deleted.
    fn delete_gone(&mut self) -> Result<(), Failure> {
        for tree in std::mem::take(&mut self.trees) {
            gone::delete(&mut self.storing()?, &tree)?;
        }
        Ok(())
    }

    fn storing(&mut self) -> Result<Storing<'_>, Failure> {
        let client = match self.client.take() {
            Some(client) => client,
            None => door::open(self.place)?,
        };
        let client = self.client.insert(client);
        Ok(Storing { place: self.place, put: self.put, client, actions: &mut self.actions })
    }

    /// What says the same as the version that is there is not stored again. A file among folders is judged as they are.
    fn overwrite(&self, length: Option<u64>) -> Overwrite {
        match length {
            _ if self.put.no_clobber => Overwrite::Never,
            Some(size) if self.put.recursive && (self.put.dry_run || !self.put.checksum) => {
                Overwrite::IfOutdated { size, hash: None }
            }
            _ => Overwrite::IfChanged,
        }
    }
}

/// A folder that is empty by mistake, or the prefix that means everything: what is stored stays, unless that is meant.
fn refuse_to_empty(put: &args::Put, folder: &Path, prefix: &Name) -> Result<(), Failure> {
    if put.all {
        return Ok(());
    }
    if prefix.is_all() {
        let sentence = "an empty prefix means everything that is stored: put -r --delete --all deletes what is not in the folder";
        return Err(Failure::usage(sentence));
    }
    let mut found = fs::read_dir(folder).map_err(|error| cannot_read(folder, &error))?;
    if found.next().is_none() {
        let sentence = format!(
            "{} is empty, so that everything under {prefix} would be deleted: --all says that this is meant",
            folder.display()
        );
        return Err(Failure::usage(sentence));
    }
    Ok(())
}

/// Of what comes through a pipe nothing is known but its name.
fn unknown(name: &Name) -> Meta {
    Meta { name: name.bytes().to_vec(), ..Meta::default() }
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
    /// As for what is deleted.
    action: &'static str,
}

fn stored_json(name: &Name, stored: &Stored) -> String {
    json::line(&StoredJson {
        name: json::NameJson::of(name.bytes()),
        size: stored.size,
        hash: stored.hash.to_string(),
        version: stored.version.to_string(),
        copies: stored.is_new.then_some(stored.copies),
        unchanged: !stored.is_new,
        action: if stored.is_new { Action::Store } else { Action::Keep }.done(),
    })
}
