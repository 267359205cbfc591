//! The operations under way, each with its deadline and its retries.
//!
//! Knows no message but as an answer. Invariant: while the program takes no events nobody is late.

use super::again::Again;
use super::answer::Op;
use super::clear::Clear;
use super::context::Context;
use super::deadline::{Deadline, Traffic, Wait};
use super::get::Get;
use super::machine::Machine;
use super::put::Put;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug)]
struct Running {
    machine: Machine,
    again: Again,
    deadline: Deadline,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Operations {
    running: BTreeMap<Op, Running>,
    last: u64,
    /// What moves for all of them: one connection carries them in turn.
    traffic: Traffic,
    /// Since when the program takes no events.
    paused: Option<Instant>,
}

impl Operations {
    pub(super) fn new(now: Instant) -> Self {
        Self { running: BTreeMap::new(), last: 0, traffic: Traffic::new(now), paused: None }
    }

    /// A number that no other operation has had.
    pub(super) fn next(&mut self) -> Op {
        self.last += 1;
        Op(self.last)
    }

    pub(super) fn insert(&mut self, now: Instant, op: Op, machine: Machine) {
        let deadline = Deadline::new(now, &self.traffic);
        self.running.insert(op, Running { machine, again: Again::default(), deadline });
    }

    /// A deletion that goes on as a clearing.
    pub(super) fn become_clear(&mut self, op: Op, clear: Box<Clear>) {
        if let Some(running) = self.running.get_mut(&op) {
            running.machine = Machine::Clear(clear);
        }
    }

    pub(super) fn remove(&mut self, op: Op) -> Option<Machine> {
        self.running.remove(&op).map(|running| running.machine)
    }

    pub(super) fn machine(&mut self, op: Op) -> Option<&mut Machine> {
        self.running.get_mut(&op).map(|running| &mut running.machine)
    }

    /// `None` if it has ended, or is no put.
    pub(super) fn put(&mut self, op: Op) -> Option<&mut Put> {
        match self.machine(op)? {
            Machine::Put(put) => Some(put),
            _ => None,
        }
    }

    /// `None` if it has ended, or is no get.
    pub(super) fn get(&mut self, op: Op) -> Option<&mut Get> {
        match self.machine(op)? {
            Machine::Get(get) => Some(get),
            _ => None,
        }
    }

    pub(super) fn all(&self) -> Vec<Op> {
        self.running.keys().copied().collect()
    }

    /// Bytes of blocks that they hold.
    pub(super) fn held_bytes(&self) -> usize {
        self.running.values().map(|running| running.machine.held_bytes()).sum()
    }

    /// Whether something waits for the node.
    pub(super) fn are_waiting(&self) -> bool {
        self.running.values().any(|running| running.machine.waits_for_node())
    }

    /// The name is not what it was when this operation asked: it asks again. False if it has done so for too long.
    pub(super) fn try_again(&mut self, context: &mut Context, op: Op) -> bool {
        let Some(running) = self.running.get_mut(&op) else { return false };
        running.again.once_more(context.now()) && running.machine.again(context)
    }

    /// So many bytes of some operation came or left.
    pub(super) fn note_traffic(&mut self, now: Instant, bytes: usize) {
        self.traffic.note(now, bytes);
    }

    /// An operation has come on; the node owes so many bytes to all.
    pub(super) fn came_on(&mut self, now: Instant, op: Op, owed: u64) {
        if let Some(running) = self.running.get_mut(&op) {
            running.deadline.came_on(now, &self.traffic, owed);
        }
    }

    /// Looks at who waits, and at what has moved meanwhile.
    pub(super) fn update_deadlines(&mut self, now: Instant, owed: u64) {
        for running in self.running.values_mut() {
            let wait = match running.machine.waits_for_node() {
                true => Wait::ForNode { ahead: owed },
                false => Wait::ForProgram,
            };
            running.deadline.update(now, &self.traffic, wait);
        }
    }

    /// When the next has waited for long enough.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = self.running.values().filter_map(|running| running.deadline.at());
        deadlines.min().filter(|_| self.paused.is_none())
    }

    /// Those that have waited for long enough.
    pub(super) fn overdue(&self, now: Instant) -> Vec<Op> {
        let is_over = |running: &Running| running.deadline.at().is_some_and(|at| at <= now);
        let overdue = self.running.iter().filter(|(_, running)| is_over(running));
        // Nothing is read for a program that takes no events.
        overdue.map(|(op, _)| *op).filter(|_| self.paused.is_none()).collect()
    }

    /// The program takes no events from now on.
    pub(super) fn pause(&mut self, now: Instant) {
        self.paused.get_or_insert(now);
    }

    /// It takes them again.
    pub(super) fn resume(&mut self, now: Instant) {
        if let Some(since) = self.paused.take() {
            self.put_off(now, now.since(since));
        }
    }

    /// For so long until now nobody could see what the node did.
    pub(super) fn put_off(&mut self, now: Instant, away: Duration) {
        self.traffic.put_off(now, away);
        self.running.values_mut().for_each(|running| running.deadline.put_off(now, away));
    }
}
