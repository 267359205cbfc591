//! What goes wrong between machines and with their clocks and speed, and how it is set right.
//!
//! Decides nothing about when. Invariant: what a partition holds back is not lost, as TCP sends again.

use super::network::Port;
use super::{Event, World};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Default)]
pub(super) struct Faults {
    /// Nothing comes from the first to the second.
    parted: BTreeSet<(usize, usize)>,
    /// What takes longer between two machines, the lesser first.
    slow: BTreeMap<(usize, usize), Duration>,
    /// What a machine's disk takes longer for.
    slow_disks: BTreeMap<usize, Duration>,
    /// Machines whose process does nothing, as after SIGSTOP.
    frozen: BTreeSet<usize>,
    /// What could not happen, in order.
    held: Vec<Event>,
}

impl Faults {
    pub(super) fn is_frozen(&self, machine: usize) -> bool {
        self.frozen.contains(&machine)
    }

    pub(super) fn hold(&mut self, event: Event) {
        self.held.push(event);
    }

    fn is_parted(&self, from: usize, to: usize) -> bool {
        self.parted.contains(&(from, to))
    }

    fn is_quiet(&self) -> bool {
        self.parted.is_empty() && self.frozen.is_empty()
    }
}

fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

impl World {
    /// Nothing passes between two machines, and neither learns it.
    pub(in crate::sim) fn part(&mut self, one: usize, other: usize) {
        self.part_one_way(one, other);
        self.part_one_way(other, one);
    }

    /// Nothing comes from one machine to another; the way back is open.
    pub(in crate::sim) fn part_one_way(&mut self, from: usize, to: usize) {
        self.faults.parted.insert((from, to));
    }

    /// What was sent between two machines arrives after all, as TCP sends again.
    pub(in crate::sim) fn heal(&mut self, one: usize, other: usize) {
        self.faults.parted.remove(&(one, other));
        self.faults.parted.remove(&(other, one));
        self.release();
    }

    /// What passes between two machines takes so much longer; nothing for as before.
    pub(in crate::sim) fn slow(&mut self, one: usize, other: usize, delay: Duration) {
        self.faults.slow.insert(pair(one, other), delay);
    }

    /// What a machine's disk does takes so much longer; nothing for as before.
    pub(in crate::sim) fn slow_disk(&mut self, machine: usize, delay: Duration) {
        self.faults.slow_disks.insert(machine, delay);
    }

    /// A machine's process stands still; its connections stay open.
    pub(in crate::sim) fn freeze(&mut self, machine: usize) {
        self.faults.frozen.insert(machine);
    }

    pub(in crate::sim) fn thaw(&mut self, machine: usize) {
        self.faults.frozen.remove(&machine);
        self.release();
    }

    pub(in crate::sim) fn is_frozen(&self, machine: usize) -> bool {
        self.faults.is_frozen(machine)
    }

    /// A machine's calendar clock is ahead of the others' by so many milliseconds, or behind.
    pub(in crate::sim) fn set_clock(&mut self, machine: usize, ahead_ms: i64) {
        self.machines[machine].ahead_ms = ahead_ms;
    }

    /// All connections between two machines break; what was on its way is lost, and both learn it.
    pub(in crate::sim) fn reset(&mut self, one: usize, other: usize) {
        for (port, end) in self.between(one, other) {
            self.break_end(port);
            self.break_end(end);
        }
    }

    /// All connections between two machines end for the first of them, and the other never learns it.
    pub(in crate::sim) fn half_open(&mut self, gone: usize, stays: usize) {
        for (port, end) in self.between(gone, stays) {
            self.forget(end);
            self.break_end(port);
        }
    }

    fn between(&self, one: usize, other: usize) -> Vec<(Port, Port)> {
        let ends = self.wires.ends.iter().map(|(port, end)| (*port, *end));
        ends.filter(|(port, end)| (port.machine, end.machine) == (one, other)).collect()
    }

    fn break_end(&mut self, port: Port) {
        self.forget(port);
        let delay = self.latency();
        self.schedule(delay, Event::Closed { from: port, to: port });
    }

    /// No fault is left, but machines without a node stay so.
    pub(in crate::sim) fn mend(&mut self) {
        self.faults.parted.clear();
        self.faults.slow.clear();
        self.faults.slow_disks.clear();
        self.faults.frozen.clear();
        self.release();
    }

    fn release(&mut self) {
        // What was held comes before all that was to come later.
        let before = dfsd::time::Instant(self.now.0 - 1);
        for event in std::mem::take(&mut self.faults.held) {
            self.serial += 1;
            self.events.insert((before, self.serial), event);
        }
    }

    /// Whether an event cannot happen for now.
    pub(super) fn is_blocked(&self, event: &Event) -> bool {
        let faults = &self.faults;
        if faults.is_quiet() {
            return false;
        }
        match event {
            Event::Connect { from, address } => {
                let target = self.machine_at(address);
                faults.is_frozen(from.machine)
                    || target.is_some_and(|target| {
                        faults.is_frozen(target)
                            || faults.is_parted(from.machine, target)
                            || faults.is_parted(target, from.machine)
                    })
            }
            Event::Deliver { from, to, .. } | Event::Closed { from, to } => {
                faults.is_frozen(to.machine) || faults.is_parted(from.machine, to.machine)
            }
            Event::Writable { from, port } => {
                faults.is_frozen(port.machine) || faults.is_parted(*from, port.machine)
            }
            Event::Work { machine, .. } | Event::Done { machine, .. } => faults.is_frozen(*machine),
        }
    }

    /// How long something takes from one machine to another.
    pub(super) fn delay(&mut self, one: usize, other: usize) -> Duration {
        let extra = self.faults.slow.get(&pair(one, other)).copied();
        self.latency() + extra.unwrap_or_default()
    }

    /// How long a job of a machine takes.
    pub(super) fn work_time(&mut self, machine: usize) -> Duration {
        let extra = self.faults.slow_disks.get(&machine).copied();
        self.latency() + extra.unwrap_or_default()
    }
}
