//! G7: copies that an answer claims are there at that moment, which is seen by cutting the power of a copy of the disk;
//! and in the end every node holds every block of what is shown, wiped ones included.

use super::Oracle;
use crate::sim::client::program::access;
use crate::sim::swarm::audit::Audit;
use crate::sim::swarm::content::{Name, name_bytes};
use crate::sim::swarm::disk::Holding;
use crate::sim::swarm::history::{Observed, Told};
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;
use crate::sim::world::World;
use dfsd::ids::VersionId;

/// One claim of so many is looked at: it costs a recovery.
const ONE_OF: u64 = 16;

#[derive(Default)]
pub(super) struct Copies {
    claims: u64,
}

impl Oracle for Copies {
    fn name(&self) -> &'static str {
        "G7 copies"
    }

    fn observe(&mut self, world: &World, ledger: &Ledger, told: &[Observed]) -> Result<(), String> {
        for observed in told {
            for (machine, version) in claims(observed) {
                self.claims += 1;
                let here = ledger.is_trusted(machine, observed.asked);
                if here && self.claims % ONE_OF == 1 {
                    let place = observed.place();
                    let brings = ledger.brings_blocks(observed.name, version);
                    let expires = ledger.may_have_expired(observed.name, version);
                    if expires {
                        continue;
                    }
                    survives_a_power_cut(world, machine, observed.name, (version, brings))
                        .map_err(|why| format!("{place}: {why}"))?;
                }
            }
        }
        Ok(())
    }

    fn at_end(&mut self, ledger: &Ledger, audit: &Audit, promise: Promise) -> Result<(), String> {
        if promise == Promise::Beyond {
            return Ok(());
        }
        for name in 0..ledger.names {
            let Some(((version, _), stated)) = audit.versions(name).pop_last() else { continue };
            if !stated.is_file() {
                continue;
            }
            let holders = audit.holders.get(&name);
            let lacks = |machine: &usize| !holders.is_some_and(|held| held.contains(machine));
            if let Some(machine) = (0..audit.nodes.len()).find(lacks) {
                return Err(format!(
                    "node {machine} does not hold all of version {version} of name {name}"
                ));
            }
        }
        for (machine, node) in audit.nodes.iter().enumerate() {
            if let Some(address) = node.bad.first() {
                return Err(format!("node {machine}: {address} is damaged, and not had anew"));
            }
        }
        Ok(())
    }
}

/// Who is said to hold which version durably.
fn claims(observed: &Observed) -> Vec<(usize, VersionId)> {
    match &observed.what {
        Told::Acknowledged { version, .. } => vec![(observed.machine, *version)],
        Told::Holders { version, machines, .. } => {
            machines.iter().map(|machine| (*machine, *version)).collect()
        }
        _ => Vec::new(),
    }
}

fn survives_a_power_cut(
    world: &World,
    machine: usize,
    name: Name,
    (version, brings_blocks): (VersionId, bool),
) -> Result<(), String> {
    let data = access().data.expect("these keys are whole");
    let id = data.name_id(&Default::default(), &name_bytes(name));
    let cut = world.machines[machine].fs.power_cut(version.stamp);
    let holding = Holding::of(cut, &data)
        .map_err(|why| format!("node {machine}'s disk does not open after a power cut: {why}"))?;
    if holding.holds(&id, version) || (!brings_blocks && holding.knows(&id, version)) {
        return Ok(());
    }
    Err(format!(
        "version {version} was said to be durable on node {machine}, and a power cut loses it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::client::program::world;
    use crate::sim::swarm::disk::Stated;
    use crate::sim::swarm::ledger::tests::{version, write};
    use crate::sim::swarm::ledger::{Fate, Thing};
    use crate::sim::swarm::oracles::tests::{audit_of, file, observed};
    use dfsd::time::Instant;
    use std::collections::BTreeSet;

    #[test]
    fn a_claim_about_what_is_not_on_the_disk_is_seen() {
        let world = world(1, 1);
        let ledger = Ledger::new(1, 1);
        let told = Told::Acknowledged { version: version(5), only_if_absent: false };
        let claim = [observed(0, told)];
        assert!(Copies::default().observe(&world, &ledger, &claim).is_err());
    }

    #[test]
    fn a_node_that_lacks_what_is_shown_is_seen() {
        let mut ledger = Ledger::new(1, 1);
        let hash = ledger.contents.make(9);
        let put = ledger.begin(write(0, Thing::File(hash)));
        ledger.end(put, Instant(2), Fate::Acknowledged(version(5)));
        let stated: Stated = file(version(5), &[]);
        let mut audit = audit_of(&[&[&stated], &[&stated]]);
        audit.holders.insert(0, BTreeSet::from([0, 1]));
        assert!(Copies::default().at_end(&ledger, &audit, Promise::Kept).is_ok());
        audit.holders.insert(0, BTreeSet::from([1]));
        assert!(Copies::default().at_end(&ledger, &audit, Promise::Kept).is_err());
        assert!(Copies::default().at_end(&ledger, &audit, Promise::Beyond).is_ok());
    }
}
