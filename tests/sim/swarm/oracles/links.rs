//! G9: no connection between honest nodes is ended by a limit or a rule of our own.

use super::Oracle;
use crate::endings::HONEST;
use crate::sim::swarm::history::Observed;
use crate::sim::swarm::ledger::Ledger;
use crate::sim::world::{LinkEnd, World};

/// Ends that were judged before.
#[derive(Default)]
pub(super) struct Links(usize);

impl Oracle for Links {
    fn name(&self) -> &'static str {
        "G9 links"
    }

    fn observe(&mut self, world: &World, _: &Ledger, _: &[Observed]) -> Result<(), String> {
        let ends = &world.link_ends()[self.0..];
        self.0 += ends.len();
        ends.iter().try_for_each(judge)
    }
}

fn judge(end: &LinkEnd) -> Result<(), String> {
    let LinkEnd { at, by, other, why } = end;
    if HONEST.contains(why) {
        return Ok(());
    }
    Err(format!("machine {by} ended its connection to machine {other} at {} us: {why}", at.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfsd::node::{Closing, Ending};
    use dfsd::time::Instant;

    #[test]
    fn a_limit_that_an_honest_node_meets_is_a_violation() {
        let judge = |why| judge(&LinkEnd { at: Instant(1), by: 0, other: 1, why });
        assert!(judge(Ending::Server(Closing::Duplicate)).is_ok());
        assert!(judge(Ending::OutboxFull).is_err());
        assert!(judge(Ending::Server(Closing::TooManyWants)).is_err());
    }
}
