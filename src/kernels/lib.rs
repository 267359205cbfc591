//! The inner loops: what is done with every byte of a file, or for every signature of a batch.
//!
//! A crate of its own, because a build optimises whole crates: this one for speed, all else of dfsd for size. Knows no
//! type of the others. Invariant: no function is generic, so that its code is made here and nowhere else.

mod keystream;
pub mod lanes;

pub use keystream::keystream;

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};

/// Bytes in a leaf, but for the last of a block.
pub const LEAF: usize = 32 << 10;

/// A SHA-256.
pub type Digest = [u8; 32];

/// Whether the sum of these points, each times its scalar, is zero. In variable time: nothing here is secret.
#[must_use]
pub fn is_zero_sum(scalars: &[Scalar], points: &[EdwardsPoint]) -> bool {
    EdwardsPoint::vartime_multiscalar_mul(scalars, points).is_identity()
}
