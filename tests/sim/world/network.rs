//! The network between machines: connections that deliver in order, take a while, and hold only so much.

use super::{Event, World};
use dfsd::node::{Ending, Link};
use dfsd::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Bytes that one direction of a connection holds: sent, and not yet read.
const WINDOW: usize = 256 * 1024;

/// One end of a connection, in one run of a machine's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    pub(super) machine: usize,
    pub(super) boot: u64,
    pub(super) link: Link,
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}/{}", self.machine, self.boot, self.link)
    }
}

/// A machine has ended a connection to another.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct LinkEnd {
    pub at: Instant,
    pub by: usize,
    pub other: usize,
    pub why: Ending,
}

#[derive(Default)]
pub(super) struct Wires {
    /// The other end of each open connection.
    pub(super) ends: BTreeMap<Port, Port>,
    /// Dialled, and neither connected nor given up.
    pub(super) dialling: BTreeSet<Port>,
    /// When the last bytes sent from an end arrive, so that none overtake.
    arrivals: BTreeMap<Port, Instant>,
    /// Bytes sent from an end and not yet read at the other.
    in_flight: BTreeMap<Port, usize>,
    /// Delivered, and not yet wanted.
    unread: BTreeMap<Port, VecDeque<u8>>,
    /// Connections from beside the network that a node has closed.
    pub(super) hung_up: BTreeSet<Port>,
    /// All connections between machines that a node has ended, in order.
    link_ends: Vec<LinkEnd>,
}

impl World {
    pub(super) fn port(&self, machine: usize, link: Link) -> Port {
        Port { machine, boot: self.machines[machine].boots, link }
    }

    /// Whether the node that this end belongs to still runs.
    pub(super) fn is_current(&self, port: Port) -> bool {
        let machine = &self.machines[port.machine];
        machine.life.is_some() && machine.boots == port.boot
    }

    /// A machine has a second name, with the dot of the root at its end.
    pub(super) fn machine_at(&self, address: &str) -> Option<usize> {
        let address = address.replace(".:", ":");
        self.machines.iter().position(|machine| machine.address == address)
    }

    pub(super) fn connect(&mut self, from: Port, address: &str) {
        if !self.wires.dialling.remove(&from) || !self.is_current(from) {
            return;
        }
        let now = self.time_on(from.machine);
        let (ours, theirs) = (self.entropy(), self.entropy());
        let host = u8::try_from(from.machine).unwrap_or(0) + 1;
        let ip = IpAddr::V4(Ipv4Addr::new(127, 0, 0, host));
        let link = self.machine_at(address).and_then(|target| {
            let now = self.time_on(target);
            let life = self.machines[target].life.as_mut()?;
            Some((target, life.node.accepted(now, ip, theirs)?))
        });
        let node = &mut self.machines[from.machine].life.as_mut().expect("it runs").node;
        match link {
            Some((target, link)) => {
                node.dialled(now, from.link, ours);
                let to = self.port(target, link);
                self.wires.ends.insert(from, to);
                self.wires.ends.insert(to, from);
                self.settle(target);
            }
            None => node.closed(now, from.link),
        }
        self.settle(from.machine);
    }

    pub(super) fn deliver(&mut self, from: Port, to: Port, bytes: Vec<u8>) {
        let sum = u64::from(crc32c::crc32c(&bytes)) << 32 ^ bytes.len() as u64;
        self.trace = (self.trace.rotate_left(3) ^ sum).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if self.wires.ends.get(&to) == Some(&from) {
            self.wires.unread.entry(to).or_default().extend(bytes);
            self.read(to);
        }
    }

    /// Hands over what has been delivered, while the node wants it.
    pub(super) fn read(&mut self, to: Port) {
        let now = self.time_on(to.machine);
        let Some(from) = self.wires.ends.get(&to).copied() else {
            return;
        };
        let mut taken = 0;
        while let Some(waiting) = self.wires.unread.get_mut(&to) {
            let Some(life) = &mut self.machines[to.machine].life else {
                return;
            };
            if waiting.is_empty() || life.node.read_max(to.link) == 0 {
                break;
            }
            // Cut anywhere, as a network does.
            let length = super::RngExt::random_range(&mut self.rng, 1..=waiting.len());
            let bytes: Vec<u8> = waiting.drain(..length).collect();
            taken += length;
            life.node.received(now, to.link, &bytes);
            self.settle(to.machine);
        }
        if let Some(held) = self.wires.in_flight.get_mut(&from)
            && taken > 0
        {
            *held = held.saturating_sub(taken);
            let delay = self.delay(to.machine, from.machine);
            self.schedule(delay, Event::Writable { from: to.machine, port: from });
        }
    }

    /// Sends what a node has to send, as far as the window allows.
    pub(super) fn transmit(&mut self, from: Port) {
        let now = self.time_on(from.machine);
        while let Some(&to) = self.wires.ends.get(&from) {
            let held = self.wires.in_flight.get(&from).copied().unwrap_or(0);
            let Some(life) = &mut self.machines[from.machine].life else {
                return;
            };
            // As the sockets do: whoever has nothing to send and hears of nothing that has left is not asked.
            if held >= WINDOW || !life.node.wants_transmit(from.link) {
                return;
            }
            let mut bytes = Vec::new();
            life.node.transmit(now, from.link, &mut bytes, 64 * 1024);
            if bytes.is_empty() {
                return;
            }
            self.tap(&bytes);
            self.toil.bytes += bytes.len() as u64;
            self.wires.in_flight.insert(from, held + bytes.len());
            let last = self.wires.arrivals.get(&from).copied().unwrap_or(self.now);
            let delay = self.delay(from.machine, to.machine);
            let at = (self.now + delay).max(last + Duration::from_micros(1));
            self.wires.arrivals.insert(from, at);
            self.schedule(at.since(self.now), Event::Deliver { from, to, bytes });
        }
    }

    /// What nodes say of the connections between machines that they have ended until now.
    pub(in crate::sim) fn link_ends(&self) -> &[LinkEnd] {
        &self.wires.link_ends
    }

    /// A node closes its end; what it sent before arrives first.
    pub(super) fn close(&mut self, port: Port, why: Ending) {
        if let Some(other) = self.wires.ends.get(&port) {
            let (at, by, other) = (self.now, port.machine, other.machine);
            self.wires.link_ends.push(LinkEnd { at, by, other, why });
        }
        self.transmit(port);
        let last = self.wires.arrivals.get(&port).copied().unwrap_or(self.now);
        let other = self.wires.ends.get(&port).copied();
        if let Some(other) = other {
            let delay = last.since(self.now) + Duration::from_micros(1);
            self.schedule(delay, Event::Closed { from: port, to: other });
        } else if !self.wires.dialling.remove(&port) {
            self.wires.hung_up.insert(port);
        }
        // Its end is gone at once, the other one when it hears of it.
        self.forget(port);
        let now = self.time_on(port.machine);
        if let Some(life) = &mut self.machines[port.machine].life {
            life.node.closed(now, port.link);
        }
    }

    pub(super) fn other_side_gone(&mut self, to: Port) {
        self.forget(to);
        if !self.is_current(to) {
            return;
        }
        let now = self.time_on(to.machine);
        if let Some(life) = &mut self.machines[to.machine].life {
            life.node.closed(now, to.link);
        }
        self.settle(to.machine);
    }

    pub(super) fn forget(&mut self, port: Port) {
        self.wires.ends.remove(&port);
        self.wires.arrivals.remove(&port);
        self.wires.in_flight.remove(&port);
        self.wires.unread.remove(&port);
    }

    /// All connections of a machine break: the others learn it, unless they cannot be reached.
    pub(super) fn cut_all(&mut self, machine: usize) {
        let ends = self.wires.ends.iter().filter(|(port, _)| port.machine == machine);
        for (port, other) in ends.map(|(port, other)| (*port, *other)).collect::<Vec<_>>() {
            self.forget(port);
            let delay = self.delay(machine, other.machine);
            self.schedule(delay, Event::Closed { from: port, to: other });
        }
        self.wires.dialling.retain(|port| port.machine != machine);
    }
}
