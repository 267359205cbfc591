//! G10: one key means one plaintext: two uses of a keystream would tell the difference of what they hide.

use super::Oracle;
use crate::sim::swarm::audit::Audit;
use crate::sim::swarm::disk::Stated;
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;
use dfsd::ids::Address;
use dfsd::wire::record::BlockList;
use std::collections::BTreeMap;

pub(super) struct Keys;

/// What is known to be hidden by each key: a block by its plaintext's tree and its address.
#[derive(Default)]
struct Uses {
    blocks: BTreeMap<[u8; 32], ([u8; 32], Address)>,
    parts: BTreeMap<[u8; 32], Vec<u8>>,
}

impl Oracle for Keys {
    fn name(&self) -> &'static str {
        "G10 one key, one plaintext"
    }

    fn at_end(&mut self, _: &Ledger, audit: &Audit, _: Promise) -> Result<(), String> {
        let mut uses = Uses::default();
        let records = audit.nodes.iter().flat_map(|node| node.records.values());
        records.into_iter().try_for_each(|stated| uses.add(stated))
    }
}

impl Uses {
    fn add(&mut self, stated: &Stated) -> Result<(), String> {
        let Some(sealed) = &stated.sealed else { return Ok(()) };
        let mut plain = Vec::new();
        sealed.encode(&mut plain);
        let before = self.parts.entry(stated.sealed_tag).or_insert_with(|| plain.clone());
        if *before != plain {
            return Err(format!("two sealed parts of version {} have one tag", stated.version));
        }
        let addresses: Vec<Address> = match &stated.blocks {
            BlockList::Inline(blocks) => blocks.iter().map(|block| block.address).collect(),
            BlockList::Pages { root, .. } => vec![*root],
        };
        for (address, secret) in addresses.into_iter().zip(&sealed.secrets) {
            let before = *self.blocks.entry(secret.key).or_insert((secret.tree, address));
            if before != (secret.tree, address) {
                return Err(format!("blocks {} and {address} have one key", before.1));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::ledger::tests::version;
    use crate::sim::swarm::oracles::tests::{audit_of, file};
    use dfsd::wire::message::BlockRef;
    use dfsd::wire::record::Secret;

    #[test]
    fn a_key_that_is_used_twice_is_seen() {
        let used = |stamp, tree: u8| {
            let mut stated = file(version(stamp), &[]);
            let block = BlockRef { address: Address([tree; 32]), length: 1 };
            stated.blocks = BlockList::Inline(vec![block]);
            let secret = Secret { key: [7; 32], tree: [tree; 32] };
            stated.sealed.as_mut().unwrap().secrets = vec![secret];
            stated
        };
        let check = |stated: &[&Stated]| {
            Keys.at_end(&Ledger::new(1, 1), &audit_of(&[stated]), Promise::Beyond).is_ok()
        };
        assert!(check(&[&used(1, 5), &used(2, 5)]));
        assert!(!check(&[&used(1, 5), &used(2, 6)]));
    }
}
