//! The clients of a run.

use super::Violation;
use super::plan::Plan;
use crate::sim::world::World;

/// All clients.
pub(super) struct Crowd;

impl Crowd {
    pub(super) fn new(_world: &mut World, _plan: &Plan) -> Self {
        Self
    }

    /// Goes on as far as it can now.
    pub(super) fn step(&mut self, _world: &mut World) -> Result<(), Violation> {
        Ok(())
    }

    /// Ends what is under way, once all faults are mended.
    pub(super) fn finish(&mut self, _world: &mut World) -> Result<(), Violation> {
        Ok(())
    }

    /// Operations acknowledged until now.
    pub(super) fn acknowledged(&self) -> u64 {
        0
    }

    /// A sum over everything that happened to the clients.
    pub(super) fn digest(&self) -> u64 {
        0
    }
}
