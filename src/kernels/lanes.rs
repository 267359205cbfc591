//! Several leaves' SHA-256 at once, on one core.
//!
//! Leaves do not depend on each other, so where one stream of SHA instructions waits for its own
//! last round, another goes on: two leaves interleaved on SHA-NI, sixteen in the lanes of AVX-512.
//! What the processor has is found at run time; everywhere else `sha2` hashes one leaf after the
//! other. Knows nothing of trees. Invariant: a lane gives what `sha2` gives for the same bytes, which
//! a test compares for every way that this machine has.
//!
//! Only whole leaves go through lanes. With the prefix of RFC 9162 such a message is 32,769 bytes, so
//! its blocks of 64 begin one byte before each 64th byte of the leaf: 512 of them, and a last one with
//! a single byte and the padding (FIPS 180-4, section 5.1.1).

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the processor's own instructions; compared with `sha2` by a test")]
mod x86;

use super::{Digest, LEAF};
use sha2::{Digest as _, Sha256};

/// Leaves that are hashed at once at most.
pub const LANES: usize = 16;

/// From so many leaves on, sixteen lanes of which some are idle are faster than pairs.
#[cfg(target_arch = "x86_64")]
const SIXTEEN_FROM: usize = 10;

/// A way to hash leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One after the other, as `sha2` does it.
    One,
    /// Two interleaved streams of SHA-NI.
    #[cfg(target_arch = "x86_64")]
    Pairs,
    /// Sixteen lanes of AVX-512, and pairs of the rest.
    #[cfg(target_arch = "x86_64")]
    Sixteen,
}

/// The best way that this processor has. It is asked once: in a virtual machine each question costs more than a leaf.
#[cfg(target_arch = "x86_64")]
fn best() -> Way {
    static BEST: std::sync::OnceLock<Way> = std::sync::OnceLock::new();
    *BEST.get_or_init(|| match (has_pairs(), has_sixteen()) {
        (true, true) if x86::vectors_are_whole() => Way::Sixteen,
        (true, _) => Way::Pairs,
        (false, _) => Way::One,
    })
}

#[cfg(target_arch = "x86_64")]
fn has_pairs() -> bool {
    is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("sse4.1")
        && is_x86_feature_detected!("ssse3")
}

#[cfg(target_arch = "x86_64")]
fn has_sixteen() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

#[cfg(not(target_arch = "x86_64"))]
fn best() -> Way {
    Way::One
}

/// The hash of one leaf: SHA-256(0x00 ‖ leaf).
#[must_use]
pub fn one(leaf: &[u8]) -> Digest {
    Sha256::new_with_prefix([0]).chain_update(leaf).finalize().into()
}

/// Hands the hash of each leaf to `push`, in their order. The leaves may have any lengths.
pub fn each(leaves: &mut dyn Iterator<Item = &[u8]>, push: &mut dyn FnMut(Digest)) {
    each_by(best(), leaves, push);
}

fn each_by(way: Way, leaves: &mut dyn Iterator<Item = &[u8]>, push: &mut dyn FnMut(Digest)) {
    let mut waiting: [&[u8; LEAF]; LANES] = [&[0; LEAF]; LANES];
    let mut count = 0;
    for leaf in leaves {
        let Ok(whole) = <&[u8; LEAF]>::try_from(leaf) else {
            some(way, &waiting[..count], push);
            count = 0;
            push(one(leaf));
            continue;
        };
        waiting[count] = whole;
        count += 1;
        if count == LANES {
            some(way, &waiting, push);
            count = 0;
        }
    }
    some(way, &waiting[..count], push);
}

/// Up to `LANES` whole leaves.
#[cfg(target_arch = "x86_64")]
fn some(way: Way, leaves: &[&[u8; LEAF]], push: &mut dyn FnMut(Digest)) {
    let rest = match way {
        Way::Sixteen if leaves.len() >= SIXTEEN_FROM => {
            let lanes = std::array::from_fn(|lane| leaves[lane % leaves.len()]);
            let hashes = x86::sixteen(lanes);
            hashes.into_iter().take(leaves.len()).for_each(push);
            return;
        }
        Way::Sixteen | Way::Pairs => {
            let (pairs, rest) = leaves.as_chunks();
            pairs.iter().for_each(|pair| x86::pair(*pair).into_iter().for_each(&mut *push));
            rest
        }
        Way::One => leaves,
    };
    rest.iter().for_each(|leaf| push(one(*leaf)));
}

#[cfg(not(target_arch = "x86_64"))]
fn some(_: Way, leaves: &[&[u8; LEAF]], push: &mut dyn FnMut(Digest)) {
    leaves.iter().for_each(|leaf| push(one(*leaf)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All ways that this machine has.
    fn ways() -> Vec<Way> {
        #[cfg(target_arch = "x86_64")]
        let more = match (has_pairs(), has_sixteen()) {
            (true, true) => vec![Way::Pairs, Way::Sixteen],
            (true, false) => vec![Way::Pairs],
            (false, _) => Vec::new(),
        };
        #[cfg(not(target_arch = "x86_64"))]
        let more = Vec::new();
        [vec![Way::One], more].concat()
    }

    fn check(data: &[u8]) {
        let expected: Vec<Digest> = data.chunks(LEAF).map(one).collect();
        for way in ways() {
            let mut hashes = Vec::new();
            each_by(way, &mut data.chunks(LEAF), &mut |hash| hashes.push(hash));
            assert!(hashes == expected, "{way:?}, {} bytes", data.len());
        }
    }

    /// Bytes that differ from leaf to leaf and from word to word.
    fn bytes(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn every_number_of_leaves_and_every_rest_gives_what_sha2_gives() {
        let data = bytes(40 * LEAF, 7);
        for leaves in 0..40 {
            for rest in [0, 1, 55, 56, 63, 64, 65, 4_000, LEAF - 1] {
                check(&data[..leaves * LEAF + rest]);
            }
        }
    }

    #[test]
    fn every_length_of_one_leaf_gives_what_sha2_gives() {
        let data = bytes(LEAF + 300, 9);
        for length in (0..300).chain(LEAF - 300..=LEAF + 300) {
            check(&data[..length]);
        }
    }

    #[test]
    fn a_short_leaf_among_whole_ones_keeps_its_place() {
        let data = bytes(20 * LEAF, 3);
        let mut leaves: Vec<&[u8]> = data.chunks(LEAF).collect();
        leaves[5] = &leaves[5][..100];
        leaves[17] = &leaves[17][..0];
        let expected: Vec<Digest> = leaves.iter().map(|leaf| one(leaf)).collect();
        for way in ways() {
            let mut hashes = Vec::new();
            each_by(way, &mut leaves.iter().copied(), &mut |hash| hashes.push(hash));
            assert!(hashes == expected, "{way:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_bytes_give_what_sha2_gives(length in 0usize..36 * LEAF, seed: u64) {
            check(&bytes(length, seed));
        }
    }
}
