//! The clients of a run, and the ledger that they share.
//!
//! Knows neither faults nor promises. Invariant: what clients did and were told depends on the seed and on the world
//! alone, which `digest` shows.

use super::Violation;
use super::adversary::{Actor, Deeds};
use super::aging::Keeps;
use super::bulk::Bulk;
use super::client::Client;
use super::faults::agree;
use super::history::{Observed, Told};
use super::ledger::Ledger;
use super::plan::Plan;
use super::prober::Prober;
use crate::sim::world::World;
use dfsd::time::Instant;
use std::time::Duration;

/// The longest that an operation may take while its client takes what comes: a silent node is given up after ten
/// seconds, and a get asks three times for a block.
const TIMEOUT: Duration = Duration::from_secs(90);

/// All clients.
pub(super) struct Crowd {
    clients: Vec<Client>,
    prober: Prober,
    adversary: Option<Actor>,
    bulk: Option<Bulk>,
    pub(super) ledger: Ledger,
    told: Vec<Observed>,
    /// How often each machine's disk has been harmed, as far as the ledger knows.
    harm: Vec<u64>,
    /// Nothing new is begun any more.
    over: bool,
    digest: u64,
}

impl Crowd {
    pub(super) fn new(world: &mut World, plan: &Plan) -> Self {
        let client = |number: usize| {
            let seed = plan.seed.wrapping_mul(1_000_003) ^ (number as u64) << 32;
            let machine = number % world.machines.len();
            Client::new(seed, machine, plan.mix, plan.aging.is_some())
        };
        Self {
            clients: (0..plan.clients).map(client).collect(),
            prober: Prober::new(plan.seed),
            adversary: plan.adversary.map(|kind| Actor::new(kind, plan.seed)),
            bulk: Bulk::of(plan.seed),
            ledger: Ledger::new(plan.seed, plan.mix.names),
            told: Vec::new(),
            harm: Vec::new(),
            over: false,
            digest: plan.seed,
        }
    }

    /// Goes on as far as it can now.
    pub(super) fn step(&mut self, world: &mut World) -> Result<(), Violation> {
        self.note_harm(world);
        if agree(world) {
            self.ledger.all_agree(world.machines.len(), world.time().instant);
        }
        self.ledger.register.watch(world);
        for client in &mut self.clients {
            client.step(world, &mut self.ledger, !self.over);
        }
        self.prober.step(world, &mut self.ledger, !self.over);
        if let Some(adversary) = &mut self.adversary {
            adversary.step(world);
        }
        if let Some(bulk) = &mut self.bulk {
            bulk.step(world);
        }
        self.gather();
        self.check_deadlines(world)
    }

    /// When it wants to go on, though no node has done anything.
    pub(super) fn next_step(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let adversary = self.adversary.iter().filter_map(Actor::next_step);
        let bulk = self.bulk.iter().filter_map(Bulk::next_step);
        let all = self.clients.iter().map(Client::next_step).chain([self.prober.next_step()]);
        all.chain(adversary).chain(bulk).min()
    }

    fn gather(&mut self) {
        let clients = self.clients.iter_mut().flat_map(|client| client.told.drain(..));
        for observed in clients.chain(self.prober.told.drain(..)) {
            self.digest = self.digest.rotate_left(5) ^ sum(&observed);
            self.told.push(observed);
        }
    }

    /// What was told since this was last asked.
    pub(super) fn take_told(&mut self) -> Vec<Observed> {
        std::mem::take(&mut self.told)
    }

    fn note_harm(&mut self, world: &World) {
        self.harm.resize(world.machines.len(), 0);
        for (machine, known) in self.harm.iter_mut().enumerate() {
            let there = &world.machines[machine];
            if *known < there.harm {
                // An empty disk has nothing wrong on it.
                let all = there.harm == there.wipes;
                self.ledger.harm(machine, world.time().instant, all);
                *known = there.harm;
            }
        }
    }

    fn check_deadlines(&self, world: &World) -> Result<(), Violation> {
        let now = world.time().instant;
        let oldest = |client: &Client| {
            client.oldest().map(|(since, task)| (since, format!("{:?}", task.doing)))
        };
        let waiting = self.clients.iter().filter_map(oldest).chain(self.prober.oldest());
        match waiting.min() {
            Some((since, doing)) if now.since(since) > TIMEOUT => {
                let waited = now.since(since).as_secs();
                let sentence = format!("a client has waited {waited} s for the end of {doing}");
                Err(Violation { oracle: "G9 deadline", sentence })
            }
            _ => Ok(()),
        }
    }

    /// The load stops until then; some clients stay in the middle of what they do.
    pub(super) fn rest(&mut self, world: &mut World, until: Instant) {
        for client in &mut self.clients {
            client.rest(world, &mut self.ledger, until);
        }
        self.prober.rest(until);
        if let Some(adversary) = &mut self.adversary {
            adversary.rest(until);
        }
        if let Some(bulk) = &mut self.bulk {
            bulk.rest(until);
        }
    }

    /// Some client is to set this.
    pub(super) fn set(&mut self, keeps: Keeps) {
        self.ledger.register.set(keeps.retention);
        self.clients[0].errand = Some(keeps);
    }

    /// What the adversary has made without the right to, if there is one.
    pub(super) fn deeds(&self) -> Option<&Deeds> {
        self.adversary.as_ref().map(Actor::deeds)
    }

    /// Nothing new is begun from here on.
    pub(super) fn last_orders(&mut self) {
        self.over = true;
    }

    /// Whether anything is under way. Clients that never end are a violation of `step`.
    pub(super) fn is_busy(&self) -> bool {
        !self.clients.iter().all(Client::is_idle) || self.prober.oldest().is_some()
    }

    /// Everybody goes.
    pub(super) fn leave(&mut self, world: &mut World) {
        for client in &mut self.clients {
            client.vanish(world, &mut self.ledger, true);
        }
        self.prober.hang_up(world);
        if let Some(adversary) = &mut self.adversary {
            adversary.hang_up(world);
        }
        if let Some(bulk) = &mut self.bulk {
            bulk.hang_up(world);
        }
        self.gather();
        self.note_harm(world);
    }

    /// Operations acknowledged until now.
    pub(super) fn acknowledged(&self) -> u64 {
        self.ledger.acknowledged_count() as u64
    }

    /// A sum over everything that happened to the clients.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }
}

fn sum(observed: &Observed) -> u64 {
    let what = match &observed.what {
        Told::Shown(seen) | Told::Whole { of: seen, .. } => seen.version.stamp,
        Told::Acknowledged { version, .. } | Told::Holders { version, .. } => version.stamp ^ 1,
        Told::Bytes { offset, bytes, .. } => offset ^ bytes.len() as u64,
        Told::Unread { of, .. } => of.version.stamp ^ 4,
        Told::Versions { heads: versions, .. } | Told::Listed { versions } => versions.len() as u64,
        Told::Absent => 2,
        Told::Failed(_) => 3,
    };
    what ^ observed.told.0.rotate_left(20) ^ observed.machine as u64
}
