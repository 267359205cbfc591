//! One client of a swarm: connects to a node, does a few things at once, is told what came of them, goes, comes back.
//!
//! Knows what it did, and nothing of what is right. Invariant: every write that it begins is ended in the ledger once.

mod past;

use super::aging::Keeps;
use super::content::{Name, name_bytes, name_of};
use super::history::{Observed, Seen, Told};
use super::ledger::{Fate, Ledger, Thing, Write, WriteId};
use super::line::Line;
use super::plan::Mix;
use super::task::{Doing, Scope, Task};
use crate::sim::client::program::access;
use crate::sim::world::World;
use dfsd::client::Entropy;
use dfsd::ids::NodeId;
use dfsd::limits::BLOCK;
use dfsd::session::{Answer, ClientError, Entry, Event, Meta, Op, Operation, Overwrite};
use dfsd::time::Instant;
use past::Past;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::time::Duration;

/// Operations that one client has under way at once.
const AT_ONCE: usize = 3;
/// Some clients are in a hurry.
const PACES: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
];
/// See the module.
pub(super) struct Client {
    rng: ChaCha8Rng,
    mix: Mix,
    /// Versions expire in this run: it asks for old ones more often.
    ages: bool,
    machine: usize,
    line: Option<Line>,
    /// How many lines it has had.
    lines: u64,
    tasks: BTreeMap<Op, Task>,
    /// When it does the next thing of its own accord.
    due: Instant,
    /// The time between two of them, on average.
    pace: Duration,
    /// Takes nothing that the node has to say until then.
    paused_until: Option<Instant>,
    /// Feeds no put any further until then.
    lingers_until: Option<Instant>,
    past: Past,
    /// To be set by this client.
    pub(super) errand: Option<Keeps>,
    pub(super) told: Vec<Observed>,
    pub(super) operations: u64,
}

impl Client {
    pub(super) fn new(seed: u64, machine: usize, mix: Mix, ages: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let pace = PACES[rng.random_range(0..PACES.len())];
        Self {
            rng,
            mix,
            ages,
            machine,
            line: None,
            lines: 0,
            tasks: BTreeMap::new(),
            due: Instant(0),
            pace,
            paused_until: None,
            lingers_until: None,
            past: Past::default(),
            errand: None,
            told: Vec::new(),
            operations: 0,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The operation that has been under way for longest: since when, and what it is. Not while its client is slow.
    pub(super) fn oldest(&self) -> Option<(Instant, &Task)> {
        if self.lingers_until.is_some() || self.paused_until.is_some() {
            return None;
        }
        self.tasks.values().map(|task| (task.patient_since, task)).min_by_key(|(since, _)| *since)
    }

    /// When it wants to go on, though the node has done nothing.
    pub(super) fn next_step(&self) -> Instant {
        if let Some(until) = self.paused_until {
            return until;
        }
        let silence = self.line.as_ref().and_then(|line| line.session.poll_timeout());
        silence.map_or(self.due, |at| at.min(self.due))
    }

    /// Moves bytes, takes what has come, and begins something new if it is time.
    pub(super) fn step(&mut self, world: &mut World, ledger: &mut Ledger, begin: bool) {
        let now = world.time().instant;
        if self.paused_until.is_some_and(|until| until > now && begin) {
            return;
        }
        if self.paused_until.take().is_some() {
            if let Some(line) = &mut self.line {
                line.session.resume(now);
            }
            self.tasks.values_mut().for_each(|task| task.patient_since = now);
        }
        if self.lingers_until.take_if(|until| *until <= now || !begin).is_some() {
            self.hurry(ledger, now);
        }
        if let Some(line) = &mut self.line {
            let pumped = line.pump(world, 8);
            self.take_events(world, ledger);
            if let Err(error) = pumped {
                self.lose_line(world, ledger, &error);
            }
        }
        if self.due <= now {
            let micros = self.pace.as_micros() as u64;
            self.due = now + Duration::from_micros(1 + self.rng.random_range(0..2 * micros));
            match &self.line {
                None if begin => self.connect(world),
                Some(_) if begin => self.go_on(world, ledger),
                None | Some(_) => {}
            }
        }
    }

    fn connect(&mut self, world: &mut World) {
        // Most stay with one node, so that they find there what they did.
        if self.rng.random_range(0..6) == 0 {
            self.machine = self.rng.random_range(0..world.machines.len());
        }
        if world.is_running(self.machine) && !world.is_frozen(self.machine) {
            let mut entropy = Entropy { key: [0; 32], handshake: [0; 32] };
            self.rng.fill_bytes(&mut entropy.key);
            self.rng.fill_bytes(&mut entropy.handshake);
            self.line = Line::open(world, self.machine, access(), &entropy);
            self.lines += 1;
        }
    }

    /// What somebody does who has nothing to wait for.
    fn go_on(&mut self, world: &mut World, ledger: &mut Ledger) {
        match self.rng.random_range(0..200) {
            // Goes away in the middle of whatever it does.
            0 | 1 => self.vanish(world, ledger, true),
            2 => self.vanish(world, ledger, false),
            // Reads slowly.
            3 | 4 => {
                let pause = Duration::from_millis(self.rng.random_range(1..8_000));
                self.paused_until = Some(world.time().instant + pause);
                if let Some(line) = &mut self.line {
                    line.session.pause();
                }
            }
            _ if self.tasks.len() < AT_ONCE => {
                self.begin(world, ledger);
                if let Some(line) = &mut self.line {
                    // An error shows the next time.
                    let _ = line.pump(world, 2);
                }
            }
            _ => {}
        }
    }

    /// Ends the line; if not politely, the node is not told.
    pub(super) fn vanish(&mut self, world: &mut World, ledger: &mut Ledger, politely: bool) {
        let Some(mut line) = self.line.take() else { return };
        let _ = line.session.closed("the client went away");
        self.line = Some(line);
        self.take_events(world, ledger);
        let line = self.line.take().expect("it was put back");
        if politely {
            line.hang_up(world);
        }
        self.paused_until = None;
    }

    fn lose_line(&mut self, world: &mut World, ledger: &mut Ledger, error: &ClientError) {
        if let Some(line) = &mut self.line {
            let _ = line.session.closed("the connection is gone");
        }
        if matches!(error, ClientError::Protocol(_)) {
            self.tell(world, (0, None), world.time().instant, Told::Failed(error.clone()));
        }
        self.take_events(world, ledger);
        if let Some(line) = self.line.take() {
            line.hang_up(world);
        }
    }

    fn begin(&mut self, world: &mut World, ledger: &mut Ledger) {
        if self.ages && self.begin_of_age(world, ledger) {
            return;
        }
        let name = self.rng.random_range(0..ledger.names);
        let dice = self.rng.random_range(0..100);
        if dice < self.mix.reads {
            return self.begin_read(world, ledger, name);
        }
        if dice < self.mix.reads + self.mix.deletes * (100 - self.mix.reads) / 100 {
            return self.begin_delete(world, ledger, name);
        }
        match self.rng.random_range(0..10) {
            0 => self.begin_rename(world, ledger, name),
            1 => self.begin_holders(world, ledger),
            2 => self.begin_read(world, ledger, name),
            _ => self.begin_put(world, ledger, name),
        }
    }

    fn begin_read(&mut self, world: &mut World, ledger: &mut Ledger, name: Name) {
        let bytes = name_bytes(name);
        match self.rng.random_range(0..20) {
            0..10 => {
                let get = Doing::Get { name, seen: None, came: 0 };
                self.start(world, ledger, Operation::Get { name: bytes }, get);
            }
            10..14 => {
                self.start(world, ledger, Operation::Stat { name: bytes }, Doing::Stat { name });
            }
            14..17 => {
                let list = Doing::List { listed: BTreeMap::new(), scope: Scope::All };
                // Both ways have to tell of the same names.
                let in_order = Operation::ListUnder { of: Vec::new(), one_level: false };
                let by_turns =
                    if self.operations.is_multiple_of(2) { in_order } else { Operation::List };
                self.start(world, ledger, by_turns, list);
            }
            17 | 18 => self.begin_old(world, ledger),
            _ => self.start(world, ledger, Operation::Status, Doing::Status),
        }
    }

    fn start(&mut self, world: &World, ledger: &Ledger, operation: Operation, doing: Doing) {
        let now = world.time().instant;
        let floors: BTreeMap<Name, _> = (0..ledger.names)
            .filter_map(|name| Some((name, ledger.floor(self.machine, name)?)))
            .collect();
        let Some(line) = &mut self.line else { return };
        self.operations += 1;
        let op = line.session.start(now, operation);
        self.tasks.insert(op, Task { doing, begun: now, patient_since: now, floors });
    }

    fn new_write(&self, world: &World, ledger: &mut Ledger, name: Name, thing: Thing) -> WriteId {
        let writer = self.line.as_ref().map(|line| line.writer).unwrap_or_default();
        let begun = world.time().instant;
        let (machine, ended, fate) = (self.machine, None, Fate::Running);
        ledger.begin(Write { name, thing, writer, machine, begun, ended, fate })
    }

    fn begin_put(&mut self, world: &World, ledger: &mut Ledger, name: Name) {
        let again = self.rng.random_range(0..8) == 0;
        let again = again.then(|| ledger.contents.again(&mut self.rng)).flatten();
        let content = again.unwrap_or_else(|| {
            let length = super::content::length(&mut self.rng, self.mix.large);
            ledger.contents.make(length)
        });
        let write = self.new_write(world, ledger, name, Thing::File(content));
        let only_if_absent = self.rng.random_range(0..6) == 0;
        let meta = Meta { name: name_bytes(name), mode: 0o644, ..Meta::default() };
        // Some are given up before they have all their bytes.
        let give_up = self.rng.random_range(0..20) == 0;
        let doing = Doing::Put { write, content, fed: 0, only_if_absent, give_up };
        let overwrite = if only_if_absent { Overwrite::Never } else { Overwrite::Always };
        self.start(world, ledger, Operation::Put { meta, overwrite }, doing);
    }

    fn begin_delete(&mut self, world: &World, ledger: &mut Ledger, name: Name) {
        let write = self.new_write(world, ledger, name, Thing::Tombstone);
        let delete = Operation::Delete { name: name_bytes(name) };
        self.start(world, ledger, delete, Doing::Delete { write });
    }

    fn begin_rename(&mut self, world: &World, ledger: &mut Ledger, source: Name) {
        let target = self.rng.random_range(0..ledger.names);
        let replace = self.rng.random_range(0..2) == 0;
        if source == target {
            return;
        }
        let moved = self.new_write(world, ledger, target, Thing::Moved(source));
        let deleted = self.new_write(world, ledger, source, Thing::Tombstone);
        let (source, target) = (name_bytes(source), name_bytes(target));
        let rename = Operation::Rename { source, target, replace };
        self.start(world, ledger, rename, Doing::Rename { moved, deleted, replace });
    }

    fn take_events(&mut self, world: &World, ledger: &mut Ledger) {
        while let Some(event) = self.line.as_mut().and_then(|line| line.session.poll_event()) {
            match event {
                Event::NeedData { op, room } => self.feed(ledger, op, room),
                Event::Found { op, entry } => self.found(world, ledger, op, *entry),
                Event::Data { op, bytes } => self.data(world, op, bytes),
                Event::Entry { op, entry } => self.listed(ledger, op, &entry),
                Event::Finished { op, result } => {
                    if let Some(task) = self.tasks.remove(&op) {
                        self.finished(world, ledger, task, result);
                    }
                }
                Event::Version { op, version } => self.version_listed(ledger, op, *version),
                Event::Ready { .. }
                | Event::Folder { .. }
                | Event::Here { .. }
                | Event::Progress { .. } => {}
            }
        }
    }

    fn feed(&mut self, ledger: &Ledger, op: Op, room: usize) {
        let Some(Task { doing: Doing::Put { content, fed, give_up, .. }, .. }) =
            self.tasks.get_mut(&op)
        else {
            return;
        };
        let Some(line) = &mut self.line else { return };
        let bytes = ledger.contents.get(content).expect("a put's content is kept");
        if *give_up {
            return line.session.abort(op);
        }
        // In pieces that fit no block. Who lingers has brought a block, and waits.
        let most = if self.lingers_until.is_some() { BLOCK } else { bytes.len() };
        let end = most.min(*fed + room.min(300_007)).min(bytes.len());
        if end <= *fed && end < bytes.len() {
            return;
        }
        *fed += line.session.feed(op, &bytes[*fed..end]);
        if *fed == bytes.len() {
            line.session.feed_end(op);
        }
    }

    fn found(&mut self, world: &World, ledger: &mut Ledger, op: Op, entry: Entry) {
        let Some(task) = self.tasks.get_mut(&op) else { return };
        let (begun, asked) = (task.begun, task.floors.clone());
        if let Doing::Get { name, seen: found, .. } = &mut task.doing {
            let (name, what) = (*name, seen(&entry));
            *found = Some(what);
            self.shown(
                world,
                ledger,
                (name, asked.get(&name).copied()),
                begun,
                (what, entry.is_kept),
            );
            self.remember(world, ledger, name, entry);
        }
    }

    fn data(&mut self, world: &World, op: Op, bytes: bytes::Bytes) {
        let Some(task) = self.tasks.get_mut(&op) else { return };
        let begun = task.begun;
        let (name, of, came) = match &mut task.doing {
            Doing::Get { name, seen: Some(seen), came } => (*name, *seen, came),
            Doing::Old { name, seen, came, .. } => (*name, *seen, came),
            _ => return,
        };
        let offset = *came;
        *came += bytes.len() as u64;
        self.tell(world, (name, None), begun, Told::Bytes { of, offset, bytes });
    }

    fn listed(&mut self, ledger: &Ledger, op: Op, entry: &Entry) {
        let Some(Task { doing: Doing::List { listed, .. }, .. }) = self.tasks.get_mut(&op) else {
            return;
        };
        // A name that nobody gave is caught by its number, which no write has.
        let name = name_of(&entry.name, ledger.names).unwrap_or(usize::MAX);
        listed.insert(name, seen(entry));
    }

    /// The version that a node shows: it is held to it, if it keeps it.
    fn shown(
        &mut self,
        world: &World,
        ledger: &mut Ledger,
        (name, floor): (Name, Option<dfsd::ids::VersionId>),
        begun: Instant,
        (what, is_kept): (Seen, bool),
    ) {
        self.tell(world, (name, floor), begun, Told::Shown(what));
        if is_kept {
            ledger.raise_floor((self.machine, begun), name, what.version);
        }
    }

    fn tell(
        &mut self,
        world: &World,
        (name, floor): (Name, Option<dfsd::ids::VersionId>),
        asked: Instant,
        what: Told,
    ) {
        let boot = self.line.as_ref().map_or(0, |line| line.boot);
        let (machine, told) = (self.machine, world.time().instant);
        self.told.push(Observed { machine, boot, name, floor, asked, told, what });
    }

    fn finished(
        &mut self,
        world: &World,
        ledger: &mut Ledger,
        task: Task,
        result: Result<Answer, ClientError>,
    ) {
        let Task { doing, begun, floors, .. } = task;
        let now = world.time().instant;
        let at = |name: Name| (name, floors.get(&name).copied());
        let error = result.as_ref().err().cloned();
        let about = match &doing {
            Doing::Put { write, .. } | Doing::Delete { write } | Doing::Restore { write } => {
                ledger.write(*write).name
            }
            Doing::Rename { moved, .. } => ledger.write(*moved).name,
            Doing::Get { name, .. }
            | Doing::Old { name, .. }
            | Doing::Stat { name }
            | Doing::Versions { name, .. }
            | Doing::Holders { name, .. } => *name,
            Doing::List { .. } | Doing::Status | Doing::Set { .. } => 0,
        };
        match (doing, result) {
            (Doing::Put { write, only_if_absent, .. }, Ok(Answer::Put { version, .. })) => {
                self.acknowledge(world, ledger, &at, (write, version, only_if_absent));
            }
            (Doing::Delete { write }, Ok(Answer::Deleted { version, last })) => {
                self.acknowledge(world, ledger, &at, (write, version, false));
                ledger.cleared(write, last);
            }
            (
                Doing::Rename { moved, deleted, replace },
                Ok(Answer::Renamed { version, deleted: old, last }),
            ) => {
                // One operation: both halves stand, and an oracle looks at them together.
                self.acknowledge(world, ledger, &at, (moved, version, !replace));
                self.acknowledge(world, ledger, &at, (deleted, old, false));
                ledger.renamed(moved, deleted);
                ledger.cleared(deleted, last);
            }
            (Doing::Restore { write }, Ok(Answer::Put { version, is_new: true, .. })) => {
                self.acknowledge(world, ledger, &at, (write, version, false));
            }
            (Doing::Restore { write }, Ok(_)) => {
                ledger.end(write, now, Fate::Void("it is shown already".to_owned()));
            }
            (
                Doing::Put { write, .. } | Doing::Delete { write } | Doing::Restore { write },
                Err(error),
            ) => {
                ledger.end(write, now, fate_of(&error));
            }
            (Doing::Rename { moved, deleted, .. }, Err(error)) => {
                ledger.end(moved, now, fate_of(&error));
                ledger.end(deleted, now, fate_of(&error));
            }
            (Doing::Get { name, seen: Some(of), came }, Ok(Answer::Got(entry))) => {
                assert_eq!(seen(&entry), of, "a get ends with the version that it found");
                self.tell(world, at(name), begun, Told::Whole { of, came });
            }
            (Doing::Old { name, seen: of, came, .. }, Ok(Answer::Got(_))) => {
                self.tell(world, (name, None), begun, Told::Whole { of, came });
            }
            (
                Doing::Old { name, seen: of, served, .. },
                Err(ClientError::Unavailable | ClientError::NotFound),
            ) => {
                self.tell(world, (name, None), begun, Told::Unread { of, served });
            }
            (Doing::Versions { name, listed }, result) => {
                self.versions_told(world, ledger, at(name), begun, (listed, result));
            }
            (Doing::Set { keeps }, Err(_)) => self.errand = Some(keeps),
            (Doing::Stat { name }, Ok(Answer::Stat(entry))) => {
                self.shown(world, ledger, at(name), begun, (seen(&entry), entry.is_kept));
                self.remember(world, ledger, name, *entry);
            }
            (Doing::Get { name, .. } | Doing::Stat { name }, Err(ClientError::NotFound)) => {
                self.tell(world, at(name), begun, Told::Absent);
            }
            (Doing::List { listed, scope }, Ok(Answer::Listed { .. })) => {
                for name in scope.names(ledger.names) {
                    if !listed.contains_key(&name) {
                        self.tell(world, at(name), begun, Told::Absent);
                    }
                }
                for (name, what) in listed {
                    self.shown(world, ledger, at(name), begun, (what, true));
                }
            }
            (Doing::Holders { name, version }, Ok(Answer::Holders(holders))) => {
                let machine_of = |node: NodeId| {
                    (0..world.machines.len()).find(|machine| world.node_id(*machine) == node)
                };
                let machines: Vec<_> =
                    holders.listed.iter().filter_map(|holder| machine_of(holder.node)).collect();
                let told = Told::Holders { version, machines: machines.clone() };
                self.tell(world, (name, None), begun, told);
                for machine in machines {
                    ledger.claim(name, version, (machine, begun), world.time().instant);
                }
            }
            _ => {}
        }
        if let Some(error) = error {
            self.tell(world, (about, None), begun, Told::Failed(error));
        }
    }

    fn acknowledge(
        &mut self,
        world: &World,
        ledger: &mut Ledger,
        at: &impl Fn(Name) -> (Name, Option<dfsd::ids::VersionId>),
        (write, version, only_if_absent): (WriteId, dfsd::ids::VersionId, bool),
    ) {
        ledger.end(write, world.time().instant, Fate::Acknowledged(version));
        let Write { name, begun, .. } = *ledger.write(write);
        self.tell(world, at(name), begun, Told::Acknowledged { version, only_if_absent });
    }
}

fn seen(entry: &Entry) -> Seen {
    Seen { version: entry.version, hash: entry.hash, size: entry.size }
}

/// What a failed write's error says about it.
fn fate_of(error: &ClientError) -> Fate {
    match error {
        ClientError::Disconnected(_) | ClientError::Silent | ClientError::Protocol(_) => {
            Fate::Doubtful
        }
        said => Fate::Void(said.to_string()),
    }
}
