//! G1, G6 and G8: a start finds on a disk what the node knew before it: nothing is lost, and nothing that has expired is back.

use super::Oracle;
use crate::sim::swarm::audit::{Audit, Knowledge};
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;

pub(super) struct Starts;

impl Oracle for Starts {
    fn name(&self) -> &'static str {
        "G8 a start changes nothing"
    }

    fn at_end(&mut self, _: &Ledger, audit: &Audit, _: Promise) -> Result<(), String> {
        for (machine, node) in audit.nodes.iter().enumerate() {
            if let Some((before, after)) = &node.left.knows {
                compare(before, after).map_err(|why| format!("node {machine}: {why}"))?;
            }
        }
        Ok(())
    }
}

fn compare(before: &Knowledge, after: &Knowledge) -> Result<(), String> {
    for (name, listed) in &before.listed {
        let now = after.listed.get(name);
        if now != Some(listed) {
            return Err(format!("it listed versions {listed:?}, and lists {now:?} after a start"));
        }
    }
    for (name, heads) in &before.heads {
        let now = after.heads.get(name);
        if now != Some(heads) {
            return Err(format!("its heads were {heads:?}, and are {now:?} after a start"));
        }
    }
    if before.records != after.records {
        let [before, after] = [before, after].map(|it| it.records.count);
        return Err(format!("{before} records became {after} by a start"));
    }
    // What was swept and stands in the log is there again.
    if after.incomplete > before.incomplete || after.incomplete != after.lacking {
        return Err(format!(
            "{} records incomplete became {} by a start, and {} lack something on the disk",
            before.incomplete, after.incomplete, after.lacking
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::ledger::tests::version;
    use dfsd::ids::NameId;
    use dfsd::wire::message::RangeSummary;

    #[test]
    fn whatever_a_start_changes_is_seen() {
        let name = NameId([1; 32]);
        let (first, last) = Default::default();
        let records = RangeSummary { first, last, count: 5, fingerprint: Default::default() };
        let before = Knowledge {
            records,
            incomplete: 1,
            lacking: 0,
            listed: [(name, vec![(version(2), false)])].into(),
            heads: [(name, vec![version(2)])].into(),
        };
        let whole = Knowledge { incomplete: 0, ..before.clone() };
        assert!(compare(&before, &whole).is_ok() && compare(&whole, &before).is_err());
        let short = Knowledge { lacking: 1, ..before.clone() };
        assert!(compare(&before, &short).is_ok());
        let before = whole;
        let lies = Knowledge { lacking: 1, ..before.clone() };
        assert!(compare(&before, &lies).is_err());
        let mut after = before.clone();
        after.records.count = 7;
        assert!(compare(&before, &after).is_err());
        let mut after = before.clone();
        after.listed.insert(name, vec![(version(2), false), (version(1), true)]);
        assert!(compare(&before, &after).is_err());
        let mut after = before.clone();
        after.heads.insert(name, Vec::new());
        assert!(compare(&before, &after).is_err());
    }
}
