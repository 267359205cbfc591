//! What must hold, looked at from outside the nodes: one oracle for each promise, each in a file of its own.
//!
//! Knows no fault. Invariant: an oracle sees only what clients sent and were told, what nodes say of themselves, the
//! bytes on wires, and disks; never the inside of a node. To add one: a file with an `Oracle`, and a line in `all`.

mod agreement;
mod authority;
mod conditional;
mod copies;
mod durable;
mod exact;
mod expired;
mod history;
mod keys;
mod links;
mod lists;
mod meter;
mod moves;
mod reach;
mod rest;
mod secrecy;
mod starts;
mod tombstones;
mod typed;
mod versions;

use super::Violation;
use super::audit::Audit;
use super::crowd::Crowd;
use super::history::Observed;
use super::ledger::Ledger;
use super::plan::{Plan, Promise};
use crate::sim::world::World;
use secrecy::Secrecy;

/// One promise, and how it is seen to be broken: by a sentence that says where.
trait Oracle {
    /// The promise.
    fn name(&self) -> &'static str;

    /// A client was told something.
    fn heard(&mut self, _ledger: &Ledger, _telling: &Observed) -> Result<(), String> {
        Ok(())
    }

    /// The world goes on; these things were told since the last time.
    fn observe(
        &mut self,
        _world: &World,
        _ledger: &Ledger,
        _told: &[Observed],
    ) -> Result<(), String> {
        Ok(())
    }

    /// All faults are mended, and the nodes have had their time.
    fn at_end(
        &mut self,
        _ledger: &Ledger,
        _audit: &Audit,
        _promise: Promise,
    ) -> Result<(), String> {
        Ok(())
    }
}

fn all(secrecy: Secrecy) -> Vec<Box<dyn Oracle>> {
    vec![
        Box::new(exact::Exact),
        Box::new(history::History),
        Box::new(tombstones::Tombstones),
        Box::new(conditional::Conditional),
        Box::new(moves::Moves),
        Box::new(typed::Typed),
        Box::new(meter::Meter),
        Box::new(links::Links::default()),
        Box::new(copies::Copies::default()),
        Box::new(agreement::Agreement),
        Box::new(rest::Rest),
        Box::new(versions::Versions),
        Box::new(lists::Lists),
        Box::new(durable::Durable),
        Box::new(reach::Reach),
        Box::new(expired::Expired),
        Box::new(starts::Starts),
        Box::new(keys::Keys),
        Box::new(authority::Authority),
        Box::new(secrecy),
    ]
}

/// All of them.
pub(super) struct Oracles {
    oracles: Vec<Box<dyn Oracle>>,
}

impl Oracles {
    pub(super) fn new(world: &mut World) -> Self {
        let secrecy = Secrecy::new();
        world.tap = Some(secrecy.tap());
        Self { oracles: all(secrecy) }
    }

    /// Looks, while the world goes on.
    pub(super) fn observe(&mut self, world: &World, crowd: &mut Crowd) -> Result<(), Violation> {
        let told = crowd.take_told();
        for oracle in &mut self.oracles {
            let mut look = || {
                told.iter().try_for_each(|observed| oracle.heard(&crowd.ledger, observed))?;
                oracle.observe(world, &crowd.ledger, &told)
            };
            look().map_err(|sentence| Violation { oracle: oracle.name(), sentence })?;
        }
        Ok(())
    }

    /// Looks when everything is mended, and lets the nodes converge.
    pub(super) fn at_end(
        &mut self,
        world: &mut World,
        crowd: &mut Crowd,
        plan: &Plan,
    ) -> Result<(), Violation> {
        let promise = plan.promise;
        self.observe(world, crowd)?;
        let mut audit = Audit::take(world, &crowd.ledger, secrecy::leak);
        audit.waited_long = plan.aging.as_ref().is_some_and(|aging| aging.waits_long);
        if let Some(deeds) = crowd.deeds() {
            audit.forged = deeds.clone();
        }
        self.observe(world, crowd)?;
        for oracle in &mut self.oracles {
            oracle
                .at_end(&crowd.ledger, &audit, promise)
                .map_err(|sentence| Violation { oracle: oracle.name(), sentence })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! Made-up tellings and audits, for the oracles' own tests.

    use super::*;
    use crate::sim::swarm::audit::{NodeView, Reading};
    use crate::sim::swarm::disk::Stated;
    use crate::sim::swarm::history::Told;
    use dfsd::ids::{NameId, RecordId, VersionId};
    use dfsd::time::Instant;
    use dfsd::wire::record::{BlockList, RecordKind, Sealed};
    use std::time::Duration;

    /// What the first node said about the first name.
    pub(super) fn observed(machine: usize, what: Told) -> Observed {
        let (asked, told) = (Instant(10), Instant(20));
        Observed { machine, boot: 1, name: 0, floor: None, asked, told, what }
    }

    /// A record of the first name.
    pub(super) fn file(version: VersionId, parents: &[VersionId]) -> Stated {
        let mut id = RecordId([u8::try_from(version.stamp).unwrap(); 32]);
        id.0[1] = parents.len() as u8;
        Stated {
            id,
            kind: RecordKind::File,
            name: NameId([1; 32]),
            version,
            parents: parents.to_vec(),
            blocks: BlockList::Inline(Vec::new()),
            sealed_tag: id.0,
            sealed: Some(Sealed::default()),
        }
    }

    /// Nodes that know these records, and have settled.
    pub(super) fn audit_of(nodes: &[&[&Stated]]) -> Audit {
        let node = |records: &&[&Stated]| NodeView {
            records: records.iter().map(|stated| (stated.id, (*stated).clone())).collect(),
            ..NodeView::default()
        };
        Audit {
            settled: Some(Duration::from_secs(1)),
            nodes: nodes.iter().map(node).collect(),
            names: [(NameId([1; 32]), 0)].into(),
            ..Audit::default()
        }
    }

    /// One node that gives this for the first name.
    pub(super) fn audit_of_reading(reading: Reading) -> Audit {
        let mut audit = audit_of(&[&[]]);
        audit.nodes[0].readings.insert(0, reading);
        audit
    }
}
