//! Making and judging presences: what a node says of itself holds if the key signed it of which its id is made.
//!
//! Knows nothing of who tells of whom. Invariant: nobody can make a presence of another's id.

use crate::crypto::keys::{NodeKey, node_id};
use crate::crypto::sign::{sign, verify};
use crate::crypto::tags;
use crate::ids::NodeId;
use crate::seeded::{self, Bug};
use crate::wire::presence::Presence;

/// The presence of the node with this key. `wall_ms` is the calendar at its start.
#[must_use]
pub fn presence(key: &NodeKey, addresses: &[String], wall_ms: u64) -> Presence {
    let mut presence = Presence {
        verify_key: key.verify_key(),
        static_key: key.static_public(),
        counter: wall_ms,
        addresses: addresses.iter().filter(|address| !address.is_empty()).cloned().collect(),
        signature: [0; 64],
    };
    presence.signature = sign(key.sign_key(), tags::PRESENCE, &presence.signed_bytes());
    presence
}

/// Whose presence it says it is.
#[must_use]
pub fn subject(presence: &Presence) -> NodeId {
    node_id(&presence.verify_key, &presence.static_key)
}

/// Whether the subject signed it.
#[must_use]
pub fn holds(presence: &Presence) -> bool {
    let bytes = presence.signed_bytes();
    seeded::is_on(Bug::SkipPresenceCheck)
        || verify(&presence.verify_key, tags::PRESENCE, &bytes, &presence.signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_node_itself_says_where_it_is() {
        let key = NodeKey::generate(&[1; 32]);
        let other = NodeKey::generate(&[2; 32]);
        let said = presence(&key, &["host:1".to_owned()], 5);
        assert!(holds(&said) && subject(&said) == key.node_id());
        let changes: [fn(&mut Presence); 3] = [
            |presence| presence.counter += 1,
            |presence| presence.addresses = vec!["elsewhere:1".to_owned()],
            |presence| presence.static_key[0] ^= 1,
        ];
        for change in changes {
            let mut changed = said.clone();
            change(&mut changed);
            assert!(!holds(&changed));
        }
        let mut stolen = presence(&other, &["elsewhere:1".to_owned()], 6);
        stolen.static_key = key.static_public();
        assert_ne!(subject(&stolen), key.node_id(), "an id is made of both keys");
    }
}
