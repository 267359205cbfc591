//! What goes wrong between machines, and how it is set right.

use super::{Event, World};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Default)]
pub(super) struct Faults {
    /// Pairs of machines that do not reach each other, the lesser first.
    parted: BTreeSet<(usize, usize)>,
    /// What takes longer between two machines.
    slow: BTreeMap<(usize, usize), Duration>,
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

    fn are_parted(&self, one: usize, other: usize) -> bool {
        self.parted.contains(&pair(one, other))
    }
}

fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

impl World {
    /// Nothing passes between two machines, and neither learns it.
    pub(crate) fn part(&mut self, one: usize, other: usize) {
        self.faults.parted.insert(pair(one, other));
    }

    /// What was sent between two machines arrives after all, as TCP sends again.
    pub(crate) fn heal(&mut self, one: usize, other: usize) {
        self.faults.parted.remove(&pair(one, other));
        self.release();
    }

    /// What passes between two machines takes so much longer.
    pub(crate) fn slow(&mut self, one: usize, other: usize, delay: Duration) {
        self.faults.slow.insert(pair(one, other), delay);
    }

    /// A machine's process stands still; its connections stay open.
    pub(crate) fn freeze(&mut self, machine: usize) {
        self.faults.frozen.insert(machine);
    }

    pub(crate) fn thaw(&mut self, machine: usize) {
        self.faults.frozen.remove(&machine);
        self.release();
    }

    pub(crate) fn is_frozen(&self, machine: usize) -> bool {
        self.faults.is_frozen(machine)
    }

    /// No fault is left, but machines without a node stay so.
    pub(crate) fn mend(&mut self) {
        self.faults.parted.clear();
        self.faults.slow.clear();
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

    /// Whether an event can't happen for now.
    pub(super) fn is_blocked(&self, event: &Event) -> bool {
        let faults = &self.faults;
        match event {
            Event::Connect { from, address } => {
                let target = self.machine_at(address);
                faults.is_frozen(from.machine)
                    || target.is_some_and(|target| {
                        faults.is_frozen(target) || faults.are_parted(from.machine, target)
                    })
            }
            Event::Deliver { from, to, .. } | Event::Closed { from, to } => {
                faults.is_frozen(to.machine) || faults.are_parted(from.machine, to.machine)
            }
            Event::Writable { port } => faults.is_frozen(port.machine),
            Event::Work { machine, .. } | Event::Done { machine, .. } => faults.is_frozen(*machine),
        }
    }

    /// How long something takes from one machine to another.
    pub(super) fn delay(&mut self, one: usize, other: usize) -> Duration {
        let extra = self.faults.slow.get(&pair(one, other)).copied();
        self.latency() + extra.unwrap_or_default()
    }
}
