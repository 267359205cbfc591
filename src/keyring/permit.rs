//! Permits signed and verified.
//!
//! Knows no clock, and not who is granted. Invariant: a permit is good for exactly the blocks it was signed for.

use crate::crypto::keys::WriteKey;
use crate::crypto::{sign, tags};
use crate::wire::message::BlockRef;
use crate::wire::permit::Permit;

/// Lets exactly these blocks be brought until that stamp.
#[must_use]
pub fn permit(key: &WriteKey, blocks: &[BlockRef], not_after: u64) -> Permit {
    let mut permit = Permit { signer: key.public(), not_after, signature: [0; 64] };
    permit.signature = sign::sign(&key.sign, tags::PERMIT, &permit.signed_bytes(blocks));
    permit
}

/// Whether the signer that it names signed it for exactly these blocks.
#[must_use]
pub fn permits(permit: &Permit, blocks: &[BlockRef]) -> bool {
    let signed = permit.signed_bytes(blocks);
    sign::verify(&permit.signer, tags::PERMIT, &signed, &permit.signature)
}
