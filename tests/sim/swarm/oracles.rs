//! What must hold, looked at from outside the nodes.

use super::Violation;
use super::crowd::Crowd;
use super::plan::Promise;
use crate::sim::world::World;

/// All oracles.
pub(super) struct Oracles;

impl Oracles {
    pub(super) fn new(_world: &mut World) -> Self {
        Self
    }

    /// Looks, while the world goes on.
    pub(super) fn observe(&mut self, _world: &World, _crowd: &Crowd) -> Result<(), Violation> {
        Ok(())
    }

    /// Looks when everything is mended and has had its time to converge.
    pub(super) fn at_end(
        &mut self,
        _world: &mut World,
        _crowd: &mut Crowd,
        _promise: Promise,
    ) -> Result<(), Violation> {
        Ok(())
    }
}
