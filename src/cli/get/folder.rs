//! `dfs get -r`: all below a stored folder, into a local one.
//!
//! Knows nothing about blocks. Invariants: a stored name never leads out of the folder that was named; nothing is removed
//! unless the list was complete and all of it is here.

use std::cell::{Cell, RefCell};
use std::mem::take;
use std::ops::ControlFlow;
use std::path::Path;
use std::slice;

use super::existing;
use super::incoming::{Incoming, Wanted};
use super::prune::Pruning;
use super::survey::{self, Here, Survey};
use crate::cli::actions::{Action, Actions};
use crate::cli::arrival::{self, Arrival};
use crate::cli::destination::{Destination, refuse_type};
use crate::cli::facts::{self, Facts, Kind};
use crate::cli::failure::{Exit, Failure, Tally};
use crate::cli::landing::Landing;
use crate::cli::names::Name;
use crate::cli::open_folder::{Finder, OpenFolder};
use crate::cli::progress::Progress;
use crate::cli::text::{self, counted, counted_all};
use crate::cli::{args, door, interrupt, prefix, sync};
use crate::client::{Client, GetJob};
use crate::seeded::{self, Bug};
use crate::session::Entry;
use crate::wire::sync_state::SyncState;

/// Files of a folder that are under way at once.
const IN_FLIGHT: usize = 48;
/// Whole files that wait to be made durable together.
const BATCH_FILES: usize = 128;

/// What is fetched, and where to.
#[derive(Clone, Copy)]
pub(super) struct FolderGet<'a> {
    pub(super) place: &'a args::Place,
    pub(super) get: &'a args::Get,
    pub(super) prefix: &'a Name,
    pub(super) folder: &'a Path,
}

/// What is stored under the prefix, as far as it is known.
struct Stored {
    /// In the order of their names.
    entries: Vec<Entry>,
    /// Why that is not all.
    left_out: Option<Failure>,
    /// Why there may be more.
    doubt: Option<Failure>,
}

/// Fetches what is not here, and removes what is not there, if that is wanted.
pub(super) fn run(it: FolderGet<'_>) -> Result<(), Failure> {
    let mut client = door::open(it.place)?;
    let mut stored = it.list(&mut client)?;
    let mut actions = Actions::new(it.get.json, it.get.dry_run);
    let survey = Survey::of(&mut stored.entries, it, &mut actions)?;
    if interrupt::is_caught() {
        return Err(Failure::new(Exit::Error, "interrupted: nothing was fetched"));
    }
    let done = if it.get.dry_run {
        it.plan(stored, &survey, &mut actions)
    } else {
        it.fetch(&mut client, stored, survey, &mut actions)
    };
    done.and(actions.finish())
}

impl FolderGet<'_> {
    fn list(self, client: &mut Client) -> Result<Stored, Failure> {
        let mut entries = Vec::new();
        let listed = prefix::list(client, slice::from_ref(self.prefix), |entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        })?;
        sync::warn(listed.sync, "files may be missing, or out of date");
        let doubt = (listed.sync != SyncState::Complete).then(|| {
            let sentence = "the list may be incomplete: this node has not heard from all others";
            Failure::new(Exit::Partly, sentence)
        });
        if entries.is_empty() {
            listed.judge()?;
            return Ok(Stored { entries, left_out: None, doubt });
        }
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(Stored { entries, left_out: listed.left_out, doubt })
    }

    /// Tells what would be done.
    fn plan(self, stored: Stored, survey: &Survey, actions: &mut Actions) -> Result<(), Failure> {
        let mut finder = Finder::new(survey.opened.clone());
        let (mut tally, mut files, mut folders) = (Tally::default(), 0, 0);
        tally.done_already(survey.unchanged);
        for entry in stored.entries.iter().chain(&survey.blocked) {
            match self.would_fetch(entry, &mut finder) {
                Ok(true) => {
                    let count = if entry.name.ends_with(b"/") { &mut folders } else { &mut files };
                    *count += 1;
                    actions.tell(Action::Fetch, &entry.name);
                }
                Ok(false) => {}
                Err(failure) => tally.failed(&Name::new(&entry.name).to_string(), &failure),
            }
        }
        // As where they are made: folders are no work.
        tally.done_already(files);
        self.say(counted_all(&[(files, "file"), (folders, "folder")]), survey.unchanged, actions);
        let sure = stored.is_sure(&tally);
        let pruned = match (&survey.opened, &sure) {
            (Some(opened), Ok(())) => self.prune(opened, survey, actions),
            (None, _) | (_, Err(_)) => Ok(None),
        };
        let outcome = tally.outcome_without("files", stored.left_out);
        self.end(sure, outcome, pruned)
    }

    /// Whether something would be fetched that is not equal already, or a folder made.
    fn would_fetch(self, entry: &Entry, finder: &mut Finder) -> Result<bool, Failure> {
        let relative = survey::relative_of(self.prefix, entry)?;
        let kind = survey::kind_of(entry)?;
        let path = self.folder.join(&relative);
        match survey::here(finder, &relative, kind) {
            Here::Nothing => Ok(true),
            Here::Same if kind == Kind::Folder => Ok(false),
            Here::Same => refuse_type(&path, false, existing(self.get)).map(|()| true),
            Here::Obstacle if self.get.delete => Ok(true),
            Here::Obstacle => Err(Failure::new(
                Exit::Error,
                format_args!("something else is at {}: remove it", path.display()),
            )),
        }
    }

    fn fetch(
        self,
        client: &mut Client,
        mut stored: Stored,
        mut survey: Survey,
        actions: &mut Actions,
    ) -> Result<(), Failure> {
        let (entries, blocked) = (take(&mut stored.entries), take(&mut survey.blocked));
        let count = (entries.len() + blocked.len()) as u64 + survey.unchanged;
        let fetching = Fetching::new(self, Landing::new(self.folder)?);
        fetching.tally.borrow_mut().done_already(survey.unchanged);
        fetching.fetch(client, entries, actions);
        let sure = stored.is_sure(&fetching.tally.borrow());
        let mut pruned = Ok(None);
        if sure.is_ok() && !interrupt::is_caught() {
            pruned = self.prune(fetching.landing.borrow().root(), &survey, actions);
            if pruned.is_ok() {
                // Nothing is in their way any more.
                fetching.fetch(client, blocked, actions);
            }
        }
        let Fetching { landing, tally, folders, .. } = fetching;
        let (mut landing, mut tally) = (landing.into_inner(), tally.into_inner());
        if interrupt::is_caught() {
            landing.give_up();
            tally.done_already(folders.get());
            return Err(tally.interrupted(Some(count), "fetched"));
        }
        let fetched = tally.done_count() - survey.unchanged;
        self.say((fetched > 0).then(|| counted(fetched, "file")), survey.unchanged, actions);
        for failure in landing.finish() {
            tally.failed(&self.folder.display().to_string(), &failure);
        }
        self.end(sure, tally.outcome_without("files", stored.left_out), pruned)
    }

    /// Removes what is not stored, if that is wanted, and says how much that was.
    fn prune(
        self,
        root: &OpenFolder,
        survey: &Survey,
        actions: &mut Actions,
    ) -> Result<Option<String>, Failure> {
        let Some(kept) = &survey.kept else { return Ok(None) };
        Pruning::new(kept, actions).run(root)
    }

    fn say(self, fetched: Option<String>, unchanged: u64, actions: &Actions) {
        let folder = self.folder.display();
        let beside = if unchanged > 0 { format!(", {unchanged} unchanged") } else { String::new() };
        let word = if actions.is_dry() { "would fetch" } else { "fetched" };
        match fetched {
            _ if self.place.quiet => {}
            Some(fetched) => text::tell(format_args!("{word} {fetched} into {folder}{beside}")),
            None if unchanged == 0 => {}
            None => text::tell(format_args!("nothing to fetch into {folder}{beside}")),
        }
    }

    /// What it all came to.
    fn end(
        self,
        sure: Result<(), Failure>,
        outcome: Result<(), Failure>,
        pruned: Result<Option<String>, Failure>,
    ) -> Result<(), Failure> {
        if let (Ok(Some(removed)), false) = (&pruned, self.place.quiet) {
            text::tell(format_args!("{removed} from {}", self.folder.display()));
        }
        match sure {
            Err(doubt) if self.get.delete => {
                Err(outcome.err().unwrap_or(doubt).and("nothing was removed"))
            }
            Ok(()) | Err(_) => outcome.and(pruned.map(drop)),
        }
    }
}

impl Stored {
    /// An error unless all that is stored was listed and is here.
    fn is_sure(&self, tally: &Tally) -> Result<(), Failure> {
        tally.outcome("files")?;
        let doubts = [&self.left_out, &self.doubt];
        let doubt = doubts.into_iter().flatten().next();
        match doubt.filter(|_| !seeded::is_on(Bug::RemoveUnlisted)) {
            Some(doubt) => Err(doubt.clone()),
            None => Ok(()),
        }
    }
}

/// What is under way.
struct Fetching<'a> {
    it: FolderGet<'a>,
    landing: RefCell<Landing>,
    tally: RefCell<Tally>,
    folders: Cell<u64>,
}

impl<'a> Fetching<'a> {
    fn new(it: FolderGet<'a>, landing: Landing) -> Self {
        let (landing, tally) = (RefCell::new(landing), RefCell::default());
        Self { it, landing, tally, folders: Cell::new(0) }
    }

    /// Fetches all of these. What is whole is durable at the end, unless somebody wants that to come at once.
    fn fetch(&self, client: &mut Client, entries: Vec<Entry>, actions: &mut Actions) {
        let (place, prefix) = (self.it.place, self.it.prefix);
        let progress = match actions.is_on_terminal() {
            true => Progress::hidden(),
            false => Progress::wanted(place, &prefix.to_string(), None),
        };
        let (count, total) = extent(&entries);
        progress.expect_all(count, total);
        let jobs = entries.into_iter().take_while(|_| !interrupt::is_caught());
        let jobs = jobs.filter_map(|entry| self.job(entry, &progress));
        let mut batch = Batch::default();
        let all = client.get_many(jobs, IN_FLIGHT, |mut sink: Incoming<'_>, result| {
            let arrived = sink.judge(result).and_then(|entry| sink.arrived_there(&entry));
            sink.finish();
            self.judge(&sink, arrived, &mut batch, actions);
        });
        drop(progress);
        if interrupt::is_caught() {
            // What is whole and not durable yet is fetched again: to make it so may take longer than there is.
            return;
        }
        batch.place_all(&mut self.tally.borrow_mut(), actions);
        if let Err(error) = all {
            self.tally.borrow_mut().broke_off(door::failure(&error));
        }
    }

    /// What is to be fetched of an entry; nothing of a folder, which is made.
    fn job<'p>(&self, entry: Entry, progress: &'p Progress) -> Option<GetJob<Incoming<'p>>> {
        let get = self.it.get;
        match place_for(self.it, &entry, &mut self.landing.borrow_mut()) {
            Ok(Some(at)) => {
                let wanted = Wanted { xattrs: get.xattrs, existing: existing(get), part: None };
                let mut sink = Incoming::new(wanted, Name::new(&entry.name), None, progress);
                sink.expect_at(at, entry.size);
                Some(GetJob { entry, sink })
            }
            Ok(None) => {
                progress.file_done();
                self.folders.set(self.folders.get() + 1);
                None
            }
            Err(failure) => {
                self.failed(&Name::new(&entry.name), &failure);
                progress.skip(entry.size);
                None
            }
        }
    }

    fn judge(
        &self,
        sink: &Incoming<'_>,
        arrived: Result<Option<Arrival>, Failure>,
        batch: &mut Batch,
        actions: &mut Actions,
    ) {
        match arrived {
            Err(_) if interrupt::is_caught() => {}
            Ok(Some(arrival)) => batch.files.push((sink.name().clone(), arrival)),
            Ok(None) => {
                self.tally.borrow_mut().done();
                actions.tell(Action::Fetch, sink.name().bytes());
            }
            Err(failure) if sink.is_broken_off() => self.tally.borrow_mut().broke_off(failure),
            Err(failure) => self.failed(sink.name(), &failure),
        }
        if batch.files.len() >= BATCH_FILES {
            batch.place_all(&mut self.tally.borrow_mut(), actions);
        }
    }

    fn failed(&self, name: &Name, failure: &Failure) {
        self.tally.borrow_mut().failed(&name.to_string(), failure);
    }
}

/// How many entries there are, and the sum of their sizes, which may say anything.
fn extent(found: &[Entry]) -> (u64, u64) {
    let total = found.iter().fold(0, |total: u64, entry| total.saturating_add(entry.size));
    (u64::try_from(found.len()).unwrap_or(u64::MAX), total)
}

/// Where an entry's file or link is to be, and the folders for it. None for a folder, which is made.
fn place_for(
    it: FolderGet<'_>,
    entry: &Entry,
    landing: &mut Landing,
) -> Result<Option<Destination>, Failure> {
    let relative = survey::relative_of(it.prefix, entry)?;
    if survey::kind_of(entry)? != Kind::Folder {
        let (folder, name) = landing.prepare(&relative)?;
        return Ok(Some(Destination::new(folder, name)));
    }
    let facts = match facts::kind(entry) {
        Kind::Folder => Facts::of(entry, it.get.xattrs),
        Kind::File | Kind::Link => Facts::default(),
    };
    landing.prepare_folder(&relative, facts)?;
    Ok(None)
}

/// Whole files that are not durable yet.
#[derive(Default)]
struct Batch {
    files: Vec<(Name, Arrival)>,
}

impl Batch {
    /// Makes them durable, all with one call for each file system, and gives them their names.
    fn place_all(&mut self, tally: &mut Tally, actions: &mut Actions) {
        let synced = arrival::sync_all(self.files.iter().map(|(_, arrival)| arrival));
        for (name, arrival) in self.files.drain(..) {
            let label = arrival.destination().display().to_string();
            let placed = match &synced {
                Ok(()) => arrival.place(),
                Err(failure) => Err(failure.clone()),
            };
            match placed {
                Ok(()) => {
                    tally.done();
                    actions.tell(Action::Fetch, name.bytes());
                }
                Err(failure) => tally.failed(&text::shown(&label), &failure),
            }
        }
    }
}
