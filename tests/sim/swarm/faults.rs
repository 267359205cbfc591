//! The faults of a run: which comes when, to whom, and when it passes.
//!
//! Invariant: what passes by itself is set right before the run's end, and everything else by `end`.

use super::plan::{Kind, Plan};
use crate::sim::world::World;
use std::collections::BTreeMap;

/// All faults of a run.
pub(super) struct Trouble {
    pub(super) counts: BTreeMap<Kind, u64>,
}

impl Trouble {
    pub(super) fn new(_plan: &Plan) -> Self {
        Self { counts: BTreeMap::new() }
    }

    /// Lets begin and end what is due.
    pub(super) fn step(&mut self, _world: &mut World) {}

    /// No fault is left, and every machine runs.
    pub(super) fn end(&mut self, world: &mut World) {
        world.mend();
        for machine in 0..world.machines.len() {
            if !world.is_running(machine) {
                world.start(machine, Vec::new());
            }
        }
    }
}
