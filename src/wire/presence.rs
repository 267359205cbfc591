//! Presence: what a node says of itself, and signs: its keys and where it can be dialled.
//!
//! Knows no key but as bytes (`keyring::presence` signs and verifies). Invariant: one encoding; of two presences of one node
//! the one with the greater counter is the newer.

use super::Malformed;
use super::cursor::{Field, Reader, put_clipped_list, require};
use super::message::is_network_address;
use crate::limits::NODE_ADDRESSES_MAX;

/// See the module. The node's id is the hash of both keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// The node's Ed25519 verify key.
    pub verify_key: [u8; 32],
    /// Its X25519 key of the transport.
    pub static_key: [u8; 32],
    /// The calendar of its start, in milliseconds: greater after each.
    pub counter: u64,
    /// Where it can be dialled, best first.
    pub addresses: Vec<String>,
    /// By the verify key, over all of the above.
    pub signature: [u8; 64],
}

impl Presence {
    /// What is signed.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.verify_key.put(&mut bytes);
        self.static_key.put(&mut bytes);
        self.counter.put(&mut bytes);
        put_clipped_list(&self.addresses, NODE_ADDRESSES_MAX, &mut bytes);
        bytes
    }
}

impl Field for Presence {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.signed_bytes());
        self.signature.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let presence = Self {
            verify_key: from.array()?,
            static_key: from.array()?,
            counter: u64::take(from)?,
            addresses: from.list(NODE_ADDRESSES_MAX)?,
            signature: from.array()?,
        };
        let named = |address: &String| !address.is_empty() && is_network_address(address);
        require(presence.addresses.iter().all(named), "an address that is none")?;
        Ok(presence)
    }
}
