//! The faults of a run: which comes when, to whom, and when it passes.
//!
//! Knows no client. Invariant: where the promise is to be kept, nothing that others do not have is destroyed, and only
//! one machine's disk at a time is less than whole.

use super::Violation;
use super::disk;
use super::plan::{Kind, Plan, Promise};
use crate::sim::world::World;
use dfsd::testing::{Lie, SimError};
use dfsd::time::Instant;
use dfsd::wire::message::PeerAddress;
use std::collections::BTreeMap;
use std::time::Duration;

/// More machines than this there are never.
const MACHINES_MAX: usize = 8;
/// A clock is off by so much at most: less than half of what is dated in the future.
const SKEW_MS: usize = 11 * 3_600_000;

/// What ends a fault.
#[derive(Clone, Copy)]
enum Pass {
    Start(usize),
    Heal(usize, usize),
    Quicken(usize, usize),
    QuickenPeer(usize),
    QuickenDisk(usize),
    Thaw(usize),
    Room(usize),
}

/// All faults of a run.
pub(super) struct Trouble {
    kinds: Vec<Kind>,
    gap: Duration,
    promise: Promise,
    next: Instant,
    passing: Vec<(Instant, Pass)>,
    /// Whose disk is less than whole.
    victim: Option<usize>,
    pub(super) counts: BTreeMap<Kind, u64>,
}

impl Trouble {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            kinds: plan.kinds.clone(),
            gap: plan.gap,
            promise: plan.promise,
            next: Instant::default(),
            passing: Vec::new(),
            victim: None,
            counts: BTreeMap::new(),
        }
    }

    /// When there is something to do.
    pub(super) fn next_step(&self) -> Instant {
        let passing = self.passing.iter().map(|(at, _)| *at);
        passing.chain([self.next]).min().unwrap_or(self.next)
    }

    /// No fault begins until then. `holds`: none passes either, so that each lasts so much longer.
    pub(super) fn rest(&mut self, now: Instant, until: Instant, holds: bool) {
        self.next = self.next.max(until);
        for (at, _) in self.passing.iter_mut().filter(|_| holds) {
            *at = *at + until.since(now);
        }
    }

    /// Lets begin and end what is due.
    pub(super) fn step(&mut self, world: &mut World) -> Result<(), Violation> {
        self.bury(world);
        let now = world.time().instant;
        while let Some(at) = self.passing.iter().position(|(at, _)| *at <= now) {
            let (_, pass) = self.passing.swap_remove(at);
            self.pass(world, pass)?;
        }
        if now >= self.next {
            self.next =
                now + Duration::from_micros(world.dice(self.gap.as_micros() as usize) as u64);
            if !self.kinds.is_empty() {
                let kind = self.kinds[world.dice(self.kinds.len())];
                self.begin(world, kind);
            }
        }
        Ok(())
    }

    /// A daemon whose disk has failed ends; somebody starts it again.
    fn bury(&mut self, world: &mut World) {
        for machine in 0..world.machines.len() {
            if world.is_running(machine) && world.machines[machine].outcome.is_some() {
                world.leave(machine);
                self.restart_later(world, machine);
            }
        }
    }

    /// No fault is left, and every machine runs. `ahead_ms`: that far are all calendars ahead from now on.
    pub(super) fn end(
        &mut self,
        world: &mut World,
        ahead_ms: Option<i64>,
    ) -> Result<(), Violation> {
        self.bury(world);
        self.kinds.clear();
        self.passing.clear();
        world.mend();
        if let Some(ahead_ms) = ahead_ms {
            set_clocks(world, ahead_ms);
        }
        for machine in 0..world.machines.len() {
            world.mend_disk(machine);
            if !world.is_running(machine) {
                self.start(world, machine)?;
            }
        }
        Ok(())
    }

    fn start(&mut self, world: &mut World, machine: usize) -> Result<(), Violation> {
        let Err(error) = world.try_start(machine, told(world, machine)) else {
            return Ok(());
        };
        if world.machines[machine].harm == 0 {
            let sentence = format!("machine {machine} does not start on what is left: {error}");
            return Err(Violation { oracle: "start", sentence });
        }
        // What a person does then: a new disk.
        world.note(&format!("machine {machine} gets a new disk: {error}"));
        world.lose_disk(machine);
        world.start(machine, peers_of(world, machine));
        Ok(())
    }

    fn restart_later(&mut self, world: &mut World, machine: usize) {
        let away = lasts(world);
        self.later(world, away, Pass::Start(machine));
    }

    fn later(&mut self, world: &World, lasts: Duration, pass: Pass) {
        self.passing.push((world.time().instant + lasts, pass));
    }

    fn pass(&mut self, world: &mut World, pass: Pass) -> Result<(), Violation> {
        match pass {
            Pass::Start(machine) if !world.is_running(machine) => {
                world.note(&format!("machine {machine} starts"));
                if self.kinds.contains(&Kind::DiskError) && world.dice(4) == 0 {
                    let call = world.dice(12) as u64;
                    world.machines[machine].fs.tamper().fail_nth(call, SimError::Io);
                    if world.try_start(machine, told(world, machine)).is_ok() {
                        return Ok(());
                    }
                }
                self.start(world, machine)?;
            }
            Pass::Start(_) => {}
            Pass::Heal(one, other) => world.heal(one, other),
            Pass::Quicken(one, other) => world.slow(one, other, Duration::ZERO),
            Pass::QuickenPeer(machine) => slow_peer(world, machine, Duration::ZERO),
            Pass::QuickenDisk(machine) => world.slow_disk(machine, Duration::ZERO),
            Pass::Thaw(machine) => world.thaw(machine),
            Pass::Room(machine) => world.machines[machine].fs.tamper().set_free(1 << 40),
        }
        Ok(())
    }

    fn begin(&mut self, world: &mut World, kind: Kind) {
        let machine = world.dice(world.machines.len());
        if !world.is_running(machine) || !self.may(world, kind, machine) {
            return;
        }
        *self.counts.entry(kind).or_default() += 1;
        world.note(&format!("{kind:?} of machine {machine}"));
        match kind {
            Kind::Kill | Kind::PowerCut | Kind::Stop | Kind::Wipe => {
                self.take_down(world, kind, machine);
            }
            Kind::Partition | Kind::OneWay | Kind::SlowLine | Kind::Reset | Kind::HalfOpen => {
                let other =
                    (machine + 1 + world.dice(world.machines.len() - 1)) % world.machines.len();
                self.disturb(world, kind, (machine, other));
            }
            Kind::Freeze | Kind::SlowPeer | Kind::SlowDisk | Kind::DiskFull => {
                self.hamper(world, kind, machine);
            }
            Kind::NoSpaceOnce | Kind::DiskError => {
                let error = if kind == Kind::DiskError { SimError::Io } else { SimError::NoSpace };
                let call = world.dice(40) as u64;
                world.machines[machine].fs.tamper().fail_nth(call, error);
            }
            Kind::Skew | Kind::Jump => {
                let most = if kind == Kind::Skew { SKEW_MS } else { 10_000 };
                let ahead = world.dice(2 * most) as i64 - most as i64;
                world.set_clock(machine, ahead);
            }
            Kind::Rot | Kind::LostWrite | Kind::Misdirected => self.harm(world, kind, machine),
            Kind::Late => {
                let newcomer = world.add(&[machine]);
                world.note(&format!("machine {newcomer} is new"));
            }
        }
    }

    fn take_down(&mut self, world: &mut World, kind: Kind, machine: usize) {
        match kind {
            Kind::Kill => world.kill(machine),
            Kind::PowerCut if world.dice(2) == 0 => world.power_cut_silently(machine),
            Kind::PowerCut => world.power_cut(machine),
            Kind::Wipe => world.lose_disk(machine),
            _ => {
                // It ends by itself, with an outcome.
                return world.stop(machine);
            }
        }
        self.restart_later(world, machine);
    }

    fn disturb(&mut self, world: &mut World, kind: Kind, (one, other): (usize, usize)) {
        let lasts = lasts(world);
        match kind {
            Kind::Partition => world.part(one, other),
            Kind::OneWay => world.part_one_way(one, other),
            Kind::SlowLine => world.slow(one, other, lasts / 20),
            Kind::Reset => return world.reset(one, other),
            _ => return world.half_open(one, other),
        }
        let pass = match kind {
            Kind::SlowLine => Pass::Quicken(one, other),
            _ => Pass::Heal(one, other),
        };
        self.later(world, lasts, pass);
    }

    fn hamper(&mut self, world: &mut World, kind: Kind, machine: usize) {
        let lasts = lasts(world);
        let pass = match kind {
            Kind::Freeze => {
                world.freeze(machine);
                Pass::Thaw(machine)
            }
            Kind::SlowPeer => {
                slow_peer(world, machine, lasts / 20);
                Pass::QuickenPeer(machine)
            }
            Kind::SlowDisk => {
                world.slow_disk(machine, lasts / 20);
                Pass::QuickenDisk(machine)
            }
            _ => {
                world.machines[machine].fs.tamper().set_free(1 << 20);
                Pass::Room(machine)
            }
        };
        self.later(world, lasts, pass);
    }

    fn harm(&self, world: &mut World, kind: Kind, machine: usize) {
        match kind {
            Kind::LostWrite => world.lie(machine, Lie::Lost),
            Kind::Misdirected => world.lie(machine, Lie::Misdirected),
            _ => {
                // What is not in its place yet has no other copy.
                let spares = self.promise == Promise::Kept;
                if let Some(what) = world.rot(machine, spares) {
                    world.note(&what);
                }
            }
        }
    }

    /// Whether a fault is within what the run promises.
    fn may(&mut self, world: &World, kind: Kind, machine: usize) -> bool {
        match kind {
            Kind::Late => world.machines.len() < MACHINES_MAX,
            _ if !kind.destroys() || self.promise == Promise::Beyond => true,
            _ => {
                // A rotten bit is found when it is read, who knows when: no other disk may be harmed after it.
                let may = self.victim.is_none_or(|victim| victim == machine)
                    && agree(world)
                    && disk::is_spare(world, machine);
                if may && kind != Kind::Wipe {
                    self.victim = Some(machine);
                }
                may
            }
        }
    }
}

/// Sets all calendars. Whoever does so starts the daemon anew: else it would notice within an hour.
fn set_clocks(world: &mut World, ahead_ms: i64) {
    for machine in 0..world.machines.len() {
        if world.machines[machine].ahead_ms != ahead_ms {
            world.set_clock(machine, ahead_ms);
            if world.is_running(machine) {
                world.kill(machine);
            }
        }
    }
}

/// Whether all machines run and have the same, nothing of it incomplete.
pub(super) fn agree(world: &World) -> bool {
    let count = world.machines.len();
    let summary = |machine| world.node(machine).map(dfsd::node::Node::summary);
    let Some(first) = summary(0) else {
        return false;
    };
    first.incomplete == 0 && (1..count).all(|machine| summary(machine) == Some(first))
}

/// The peers of its configuration, for a machine that went down before it had noted any.
fn told(world: &World, machine: usize) -> Vec<PeerAddress> {
    let noted = world.machines[machine].fs.paths("").iter().any(|path| path == "peers");
    if noted { Vec::new() } else { peers_of(world, machine) }
}

fn peers_of(world: &World, machine: usize) -> Vec<PeerAddress> {
    let others = (0..world.machines.len()).filter(|other| *other != machine);
    others.map(|other| world.peer(other)).collect()
}

/// Mostly moments, and now and then longer than any timer of a node.
fn lasts(world: &mut World) -> Duration {
    let most = [20, 200, 1_000, 4_000, 40_000][[0, 1, 1, 2, 2, 2, 3, 3, 3, 4][world.dice(10)]];
    Duration::from_millis(world.dice(most) as u64)
}

fn slow_peer(world: &mut World, machine: usize, delay: Duration) {
    for other in 0..world.machines.len() {
        world.slow(machine, other, delay);
    }
    world.slow_disk(machine, delay);
}
