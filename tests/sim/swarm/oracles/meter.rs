//! G9: no queue or buffer grows without a bound: at every step each node is within its budget of bulk memory and each of
//! its connections within its own bounds, and when all is quiet nothing is reserved.

use super::Oracle;
use crate::sim::swarm::audit::Audit;
use crate::sim::swarm::history::Observed;
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;
use crate::sim::world::World;
use dfsd::limits::{OUTBOX_HARD_MAX, TRANSPORT_RECORD_MAX};
use dfsd::node::Gauge;

pub(super) struct Meter;

impl Oracle for Meter {
    fn name(&self) -> &'static str {
        "G9 memory meter"
    }

    fn observe(&mut self, world: &World, _: &Ledger, _: &[Observed]) -> Result<(), String> {
        for machine in 0..world.machines.len() {
            if let Some(node) = world.node(machine) {
                is_bounded(node.gauge()).map_err(|why| format!("node {machine}: {why}"))?;
            }
        }
        Ok(())
    }

    fn at_end(&mut self, _: &Ledger, audit: &Audit, promise: Promise) -> Result<(), String> {
        for (machine, node) in audit.nodes.iter().enumerate() {
            let used = node.status.as_ref().map_or(0, |status| status.memory_used);
            if used > 0 && promise == Promise::Kept && audit.settled.is_none() {
                return Err(format!("node {machine}: all is quiet, and {used} bytes are reserved"));
            }
        }
        Ok(())
    }
}

fn is_bounded(gauge: Gauge) -> Result<(), String> {
    let Gauge { reserved, budget, outbox, partial, .. } = gauge;
    if reserved > budget {
        return Err(format!("{reserved} bytes are reserved of {budget}"));
    }
    if outbox > OUTBOX_HARD_MAX {
        return Err(format!("{outbox} bytes wait on one connection"));
    }
    if partial > TRANSPORT_RECORD_MAX {
        return Err(format!("{partial} bytes of a piece are kept on one connection"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::audit::NodeView;
    use dfsd::wire::message::NodeStatus;

    #[test]
    fn what_is_over_its_bound_is_seen() {
        let good = Gauge { reserved: 5, budget: 5, outbox: 9, partial: 9, programs: 0 };
        assert!(is_bounded(good).is_ok());
        assert!(is_bounded(Gauge { reserved: 6, ..good }).is_err());
        assert!(is_bounded(Gauge { outbox: OUTBOX_HARD_MAX + 1, ..good }).is_err());
        assert!(is_bounded(Gauge { partial: TRANSPORT_RECORD_MAX + 1, ..good }).is_err());
    }

    #[test]
    fn what_stays_reserved_is_seen() {
        let status = NodeStatus { memory_used: 32_768, ..NodeStatus::default() };
        let node = NodeView { status: Some(status), ..NodeView::default() };
        let audit = Audit { nodes: vec![node], ..Audit::default() };
        assert!(Meter.at_end(&Ledger::new(1, 1), &audit, Promise::Kept).is_err());
    }
}
