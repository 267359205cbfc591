//! The adversary of a run: somebody who has fewer keys than a member, or all of them and no good will, and says at random
//! whatever those keys let him say.
//!
//! Knows the wire and nothing of the inside of a node. Invariant: what he does depends on the seed alone; and what he made
//! without the right to make it is noted in `Deeds`, for an oracle that looks for it on the disks.

mod drip;
mod words;

use crate::sim::raw::RawClient;
use crate::sim::world::World;
use dfsd::conn::Event;
use dfsd::ids::{Address, RecordId};
use dfsd::time::Instant;
use dfsd::wire::message::{Message, Role};
use drip::{Drip, Kept};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::time::Duration;
use words::Words;

/// Connections that he has at a time, at most.
const LINES_MAX: usize = 4;
/// Events that he looks at in a step; what comes beyond waits, as with a reader that is slow.
const EVENTS_MAX: usize = 200;

/// Which keys he has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::sim) enum Adversary {
    /// None: he has heard how a member's connection began, and says that again.
    Replayer,
    /// The network's.
    Blind,
    /// The network's and the data key.
    Reader,
    /// All that a full member has.
    Member,
}

impl Adversary {
    /// The adversary of a seed, if it has one: by dice of its own, so that the rest of a plan is what it was.
    pub(super) fn of(seed: u64) -> Option<Self> {
        let mut dice = ChaCha8Rng::seed_from_u64(seed ^ 0xbad0_0000_0000_0000);
        let all = [Self::Replayer, Self::Blind, Self::Reader, Self::Member];
        (dice.random_range(0..3) == 0).then(|| all[dice.random_range(0..all.len())])
    }
}

/// What he made and had no right to make.
#[derive(Debug, Default, Clone)]
pub(super) struct Deeds {
    pub(super) records: BTreeSet<RecordId>,
    pub(super) blocks: BTreeSet<Address>,
}

/// One of his connections.
struct Line {
    client: RawClient,
    drip: Drip,
}

/// See the module.
pub(super) struct Actor {
    kind: Adversary,
    rng: ChaCha8Rng,
    lines: Vec<Line>,
    words: Words,
    kept: Kept,
    /// What a member said until it was let in.
    overheard: Vec<u8>,
    /// When he does something next. None when he has gone.
    due: Option<Instant>,
}

impl Actor {
    pub(super) fn new(kind: Adversary, seed: u64) -> Self {
        Self {
            kind,
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x0061_6476_6572_7361),
            lines: Vec::new(),
            words: Words::new(kind),
            kept: Kept::default(),
            overheard: Vec::new(),
            due: Some(Instant(0)),
        }
    }

    pub(super) fn next_step(&self) -> Option<Instant> {
        self.due
    }

    /// Does nothing until then.
    pub(super) fn rest(&mut self, until: Instant) {
        self.due = self.due.map(|due| due.max(until));
    }

    pub(super) fn deeds(&self) -> &Deeds {
        self.words.deeds()
    }

    /// Ends all that he has begun, for good.
    pub(super) fn hang_up(&mut self, world: &mut World) {
        self.due = None;
        self.lines.drain(..).for_each(|line| line.client.hang_up(world));
    }

    /// Goes on, if it is time.
    pub(super) fn step(&mut self, world: &mut World) {
        let now = world.time().instant;
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        // Mostly a word now and then; at times as many as he can.
        let pause = [2, 20, 100, 100][self.rng.random_range(0..4)];
        self.due = Some(now + Duration::from_millis(1 + self.rng.random_range(0..pause)));
        self.lines.retain(|line| line.client.is_alive(world));
        if self.lines.len() < LINES_MAX && self.rng.random_range(0..4) == 0 {
            self.connect(world);
        }
        if self.kind == Adversary::Replayer || self.lines.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.lines.len());
        let line = &mut self.lines[at];
        self.words.sign_for(world);
        for _ in 0..[1, 1, 4, 40][self.rng.random_range(0..4)] {
            let message = self.words.say(&mut self.rng);
            line.client.send(&message);
        }
        line.drip.step(&mut line.client);
        for _ in 0..EVENTS_MAX {
            let Some(event) = self.lines[at].client.poll(world) else { return };
            self.answer(at, event);
        }
    }

    fn answer(&mut self, at: usize, event: Event) {
        let Line { client, drip } = &mut self.lines[at];
        drip.heard(&event, &mut self.kept);
        let Event::Message(message) = event else { return };
        self.words.heard(&message);
        if let Message::Want { block, first, count } = message
            && drip.begin(client, &self.kept, (block, first, count))
        {
            return;
        }
        self.words.answer(&mut self.rng, client, &message);
    }

    fn connect(&mut self, world: &mut World) {
        let machine = self.rng.random_range(0..world.machines.len());
        if !world.is_running(machine) || world.is_frozen(machine) {
            return;
        }
        if self.kind == Adversary::Replayer {
            return self.replay(world, machine);
        }
        let Some(mut line) = RawClient::try_connect(world, machine) else { return };
        let role = if self.rng.random_range(0..4) > 0 { Role::Node } else { Role::Client };
        let hello = self.words.hello(&mut self.rng, &line.key, role);
        line.send(&hello);
        line.pump(world);
        self.lines.push(Line { client: line, drip: Drip::default() });
    }

    /// Says again, on many connections, what a member said on one.
    fn replay(&mut self, world: &mut World, machine: usize) {
        if self.overheard.is_empty() {
            let Some((line, said)) = RawClient::overheard(world, machine) else { return };
            self.overheard = said;
            return line.hang_up(world);
        }
        for _ in 0..self.rng.random_range(1..60) {
            let length = self.rng.random_range(0..=self.overheard.len());
            let Some(link) = world.accept(machine) else { return };
            world.hand_over(machine, link, &self.overheard[..length]);
        }
    }
}
