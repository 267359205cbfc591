//! What a client does with versions that are not shown any more, and with time that passes.
//!
//! Judges nothing. Invariant: where nothing expires it throws no more dice than it did before anything could.

use super::{Client, seen};
use crate::sim::swarm::content::{MARK, Name, name_of};
use crate::sim::swarm::history::Told;
use crate::sim::swarm::ledger::{Ledger, Thing};
use crate::sim::swarm::task::{Doing, Scope, Task};
use crate::sim::world::World;
use dfsd::ids::VersionId;
use dfsd::limits::{BLOCK, SERVED_MAX};
use dfsd::session::{
    Answer, ClientError, Entry, Meta, Op, Operation, Overwrite, Standing, Version, VersionsWanted,
};
use dfsd::time::Instant;
use rand::RngExt;
use std::collections::BTreeMap;

/// Entries that a client remembers, to read them again when they may be old.
const REMEMBERED: usize = 4;
/// The same where versions expire.
const REMEMBERED_OF_AGE: usize = 12;

/// A version that was told of.
#[derive(Clone)]
struct Remembered {
    name: Name,
    entry: Entry,
    /// On which line its record was served by a node that had all of it, and how many operations had been begun by then.
    served: Option<(u64, u64)>,
}

/// What a client remembers.
#[derive(Default)]
pub(super) struct Past {
    remembered: Vec<Remembered>,
    /// One that may be restored, and the greatest of its name's when that was seen.
    chosen: Option<(Name, Entry, Option<VersionId>)>,
}

impl Client {
    /// Begins nothing of its own accord until then. It may go, or stay in the middle of what it does.
    pub(in crate::sim::swarm) fn rest(
        &mut self,
        world: &mut World,
        ledger: &mut Ledger,
        until: Instant,
    ) {
        self.due = until;
        match self.rng.random_range(0..8) {
            0 => self.vanish(world, ledger, true),
            1 => {
                self.paused_until = Some(until);
                if let Some(line) = &mut self.line {
                    line.session.pause();
                }
            }
            2..4 => {
                self.lingers_until = Some(until);
                if self.line.is_some() && self.rng.random_range(0..3) == 0 {
                    self.begin_long_put(world, ledger);
                }
            }
            _ => {}
        }
    }

    /// Goes on with what it has lingered over.
    pub(super) fn hurry(&mut self, ledger: &Ledger, now: Instant) {
        self.tasks.values_mut().for_each(|task| task.patient_since = now);
        let is_put = |task: &Task| match &task.doing {
            Doing::Put { content, fed, .. } => {
                ledger.contents.get(content).is_some_and(|bytes| *fed < bytes.len())
            }
            _ => false,
        };
        let puts = self.tasks.iter().filter(|(_, task)| is_put(task)).map(|(op, _)| *op);
        for op in puts.collect::<Vec<_>>() {
            self.feed(ledger, op, BLOCK);
        }
    }

    /// A put of more than a block, of which the first is brought, or is there.
    fn begin_long_put(&mut self, world: &World, ledger: &mut Ledger) {
        let name = self.rng.random_range(0..ledger.names);
        let again = self.rng.random_range(0..2) == 0;
        let again = again.then(|| ledger.contents.longer_than(BLOCK)).flatten();
        let content = again.unwrap_or_else(|| {
            let more = self.rng.random_range(1..100_000);
            ledger.contents.make(BLOCK + more)
        });
        let write = self.new_write(world, ledger, name, Thing::File(content));
        let meta = Meta { name: super::name_bytes(name), mode: 0o644, ..Meta::default() };
        let doing = Doing::Put { write, content, fed: 0, only_if_absent: false, give_up: false };
        self.start(world, ledger, Operation::Put { meta, overwrite: Overwrite::Always }, doing);
    }

    /// What only somebody asks for who knows that versions expire. False if this time he does what others do.
    pub(super) fn begin_of_age(&mut self, world: &World, ledger: &mut Ledger) -> bool {
        if let Some(keeps) = self.errand.take() {
            let set = Operation::Settings { change: keeps.settings() };
            self.start(world, ledger, set, Doing::Set { keeps });
            return true;
        }
        match self.rng.random_range(0..20) {
            0..2 => {
                let name = self.rng.random_range(0..ledger.names);
                let wanted =
                    VersionsWanted { name: super::name_bytes(name), from: None, newest: None };
                let doing = Doing::Versions { name, listed: Vec::new() };
                self.start(world, ledger, Operation::Versions { wanted }, doing);
            }
            2..5 => self.begin_old(world, ledger),
            5 => self.begin_restore(world, ledger),
            6 => {
                let one_level = self.rng.random_bool(0.5);
                let scope = if one_level { Scope::OneLevel } else { Scope::Folder };
                let list = Operation::ListUnder { of: MARK.to_vec(), one_level };
                let doing = Doing::List { listed: BTreeMap::new(), scope };
                self.start(world, ledger, list, doing);
            }
            _ => return false,
        }
        true
    }

    fn begin_restore(&mut self, world: &World, ledger: &mut Ledger) {
        let Some((name, entry, over)) = self.past.chosen.take() else { return };
        let write = self.new_write(world, ledger, name, Thing::Restored(entry.hash));
        let restore = Operation::Restore { entry: Box::new(entry), over };
        self.start(world, ledger, restore, Doing::Restore { write });
    }

    /// Reads a version that was told of before, whatever is shown now.
    pub(super) fn begin_old(&mut self, world: &World, ledger: &Ledger) {
        let count = self.past.remembered.len();
        let at = match self.ages && count > 0 {
            true => self.rng.random_range(0..count),
            false => 0,
        };
        let Some(Remembered { name, entry, served }) = self.past.remembered.get(at).cloned() else {
            return;
        };
        // A rename is served two names, each again if it has changed meanwhile.
        let most = SERVED_MAX as u64 / 4;
        let served = served.is_some_and(|(line, operations)| {
            line == self.lines && self.operations < operations + most
        });
        let doing = Doing::Old { name, seen: seen(&entry), came: 0, served };
        let get = Operation::GetEntry { entry: Box::new(entry), from: 0 };
        self.start(world, ledger, get, doing);
    }

    pub(super) fn begin_holders(&mut self, world: &World, ledger: &Ledger) {
        let Some(Remembered { name, entry, .. }) = self.past.remembered.last().cloned() else {
            return;
        };
        let doing = Doing::Holders { name, version: entry.version };
        self.start(world, ledger, Operation::Holders { record: entry.record }, doing);
    }

    /// Its record was served by this node.
    pub(super) fn remember(&mut self, world: &World, ledger: &Ledger, name: Name, entry: Entry) {
        let now = world.time().instant;
        let is_whole = ledger.has_whole(name, entry.version, (self.machine, now));
        let served = is_whole.then_some((self.lines, self.operations));
        self.keep(Remembered { name, entry, served });
    }

    fn keep(&mut self, remembered: Remembered) {
        let most = if self.ages { REMEMBERED_OF_AGE } else { REMEMBERED };
        if self.past.remembered.len() == most {
            self.past.remembered.remove(1);
        }
        self.past.remembered.push(remembered);
    }

    /// One version of a list of versions.
    pub(super) fn version_listed(&mut self, ledger: &Ledger, op: Op, version: Version) {
        let Some(Task { doing: Doing::Versions { listed, .. }, .. }) = self.tasks.get_mut(&op)
        else {
            return;
        };
        debug_assert!(name_of(&version.name, ledger.names).is_some() || version.file.is_none());
        listed.push(version);
    }

    pub(super) fn versions_told(
        &mut self,
        world: &World,
        ledger: &mut Ledger,
        at: (Name, Option<VersionId>),
        begun: Instant,
        (listed, result): (Vec<Version>, Result<Answer, ClientError>),
    ) {
        let is_told = match &result {
            Ok(Answer::Versions(_)) => true,
            Err(error) => *error == ClientError::NotFound,
            Ok(_) => false,
        };
        if !is_told {
            return;
        }
        let versions = listed.iter().map(|version| version.id).collect();
        self.tell(world, at, begun, Told::Listed { versions });
        let files = listed.iter().filter_map(|it| Some((it.standing, it.file.as_deref()?)));
        for (_, entry) in files.clone() {
            self.tell(world, (at.0, None), begun, Told::Shown(seen(entry)));
        }
        let old: Vec<_> = files.filter(|(standing, _)| *standing != Standing::Shown).collect();
        if old.is_empty() {
            return;
        }
        let (_, entry) = old[self.rng.random_range(0..old.len())];
        let is_whole = ledger.has_whole(at.0, entry.version, (self.machine, world.time().instant));
        if is_whole {
            self.keep(Remembered { name: at.0, entry: entry.clone(), served: None });
        }
        let over = listed.first().map(|version| version.id);
        self.past.chosen = Some((at.0, entry.clone(), over));
    }
}
