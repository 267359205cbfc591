//! A permit: a writer's leave to bring exactly these blocks or pages, until a moment.
//!
//! Knows no key and checks no signature. Invariant: a permit has one encoding, and what is signed says how much it covers.

use super::Malformed;
use super::cursor::{Field, Reader, put_list};
use super::message::BlockRef;
use crate::limits::OFFER_BLOCKS_MAX;

/// Who lets it be brought, and until when. What it covers stands beside it in the message, and is signed with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// The Ed25519 key of a writer.
    pub signer: [u8; 32],
    /// A stamp of the node's clock, after which the permit is void.
    pub not_after: u64,
    /// The signer's, over `signed_bytes`.
    pub signature: [u8; 64],
}

impl Permit {
    /// What is signed for these blocks; a page counts as a block of its own length.
    ///
    /// # Panics
    /// If there are more than one offer may have.
    #[must_use]
    pub fn signed_bytes(&self, blocks: &[BlockRef]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32 + 8 + 2 + blocks.len() * 36);
        self.signer.put(&mut bytes);
        self.not_after.put(&mut bytes);
        put_list(blocks, OFFER_BLOCKS_MAX, &mut bytes);
        bytes
    }
}

impl Field for Permit {
    fn put(&self, out: &mut Vec<u8>) {
        self.signer.put(out);
        self.not_after.put(out);
        self.signature.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (signer, not_after) = (Field::take(from)?, Field::take(from)?);
        Ok(Self { signer, not_after, signature: Field::take(from)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Address;

    #[test]
    fn every_part_of_what_is_permitted_is_signed() {
        let permit = Permit { signer: [1; 32], not_after: 2, signature: [3; 64] };
        let block = BlockRef { address: Address([4; 32]), length: 5 };
        let signed = permit.signed_bytes(&[block]);
        let others = [
            permit.signed_bytes(&[]),
            permit.signed_bytes(&[block; 2]),
            permit.signed_bytes(&[BlockRef { length: 6, ..block }]),
            permit.signed_bytes(&[BlockRef { address: Address([5; 32]), ..block }]),
            Permit { not_after: 3, ..permit }.signed_bytes(&[block]),
            Permit { signer: [2; 32], ..permit }.signed_bytes(&[block]),
        ];
        assert!(others.iter().all(|other| *other != signed));
        assert_eq!(signed.len(), 32 + 8 + 2 + 36);
    }

    #[test]
    fn a_permit_has_one_length() {
        let permit = Permit { signer: [1; 32], not_after: 2, signature: [3; 64] };
        let mut bytes = Vec::new();
        permit.put(&mut bytes);
        assert_eq!(bytes.len(), 104);
        assert_eq!(Permit::take(&mut Reader::new(&bytes)), Ok(permit));
        assert!((0..104).all(|end| Permit::take(&mut Reader::new(&bytes[..end])).is_err()));
    }
}
