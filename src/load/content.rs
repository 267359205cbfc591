//! Contents: the bytes of each version of each key, made again whenever they are needed, never held.
//!
//! Knows no network. Invariant: bytes depend on the seed, the key and the version alone, no two blocks of them are equal,
//! and a byte that came back wrong is noticed.

use std::fmt::Write;

/// Which bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    /// Of the run.
    pub(super) seed: u64,
    /// The key's number.
    pub(super) key: u64,
    /// 1 for the first that is put.
    pub(super) version: u64,
    /// How many.
    pub(super) size: u64,
}

/// The name of a key.
pub(super) fn name(seed: u64, key: u64) -> Vec<u8> {
    let mut name = String::new();
    write!(name, "load-{seed:x}/{:03x}/{key:x}", key & 0xfff).expect("a String takes everything");
    name.into_bytes()
}

/// Bytes of a content, from one place on.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    state: u64,
    word: [u8; 8],
    used: usize,
    left: u64,
}

impl Content {
    /// Its bytes from the first on.
    pub(super) fn stream(self) -> Stream {
        let start = mix(self.seed ^ mix(self.key ^ mix(self.version)));
        Stream { state: start, word: [0; 8], used: 8, left: self.size }
    }
}

/// The finalizer of SplitMix64 (Steele and others, 2014).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Stream {
    /// Bytes that are left.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Fills the beginning of `out` with the next bytes; says how many there were.
    pub(super) fn fill(&mut self, out: &mut [u8]) -> usize {
        let count = usize::try_from(self.left).map_or(out.len(), |left| left.min(out.len()));
        let mut rest = &mut out[..count];
        while !rest.is_empty() {
            if self.used == 8 && rest.len() >= 8 {
                let (words, tail) = rest.as_chunks_mut();
                for word in words {
                    *word = self.next_word();
                }
                rest = tail;
                continue;
            }
            if self.used == 8 {
                self.word = self.next_word();
                self.used = 0;
            }
            let part = rest.len().min(8 - self.used);
            rest[..part].copy_from_slice(&self.word[self.used..self.used + part]);
            self.used += part;
            rest = &mut rest[part..];
        }
        self.left -= count as u64;
        count
    }

    /// Whether these are the next bytes, which are passed over.
    pub(super) fn matches(&mut self, bytes: &[u8]) -> bool {
        let mut expected = [0; 4096];
        bytes.chunks(expected.len()).all(|chunk| {
            let count = self.fill(&mut expected[..chunk.len()]);
            expected[..count] == *chunk
        })
    }

    fn next_word(&mut self) -> [u8; 8] {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let folded = u128::from(self.state) * u128::from(self.state ^ 0xe703_7ed1_a0b4_28db);
        #[allow(clippy::cast_possible_truncation, reason = "both halves are meant")]
        let word = (folded >> 64) as u64 ^ folded as u64;
        word.to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(content: Content) -> Vec<u8> {
        let mut all = vec![0; content.size as usize];
        assert_eq!(content.stream().fill(&mut all), all.len());
        all
    }

    #[test]
    fn bytes_do_not_depend_on_how_they_are_taken() {
        let content = Content { seed: 1, key: 2, version: 3, size: 10_007 };
        let all = bytes(content);
        for step in [1, 3, 7, 8, 9, 64, 1000] {
            let mut stream = content.stream();
            assert!(all.chunks(step).all(|chunk| stream.matches(chunk)), "{step}");
            assert_eq!(stream.left(), 0);
            assert!(!stream.matches(&[0]), "there is no more");
        }
    }

    #[test]
    fn a_wrong_byte_or_version_is_noticed() {
        let content = Content { seed: 1, key: 2, version: 3, size: 5_000 };
        let mut all = bytes(content);
        assert!(!Content { version: 4, ..content }.stream().matches(&all));
        assert!(!Content { key: 3, ..content }.stream().matches(&all));
        assert!(!Content { seed: 3, ..content }.stream().matches(&all));
        all[4_321] ^= 1;
        assert!(!content.stream().matches(&all));
    }

    #[test]
    fn no_two_leaves_are_alike() {
        let all = bytes(Content { seed: 0, key: 0, version: 1, size: 4 << 20 });
        let mut leaves: Vec<&[u8]> = all.chunks(32 * 1024).collect();
        leaves.sort_unstable();
        assert!(leaves.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn names_differ() {
        assert_eq!(name(0xabc, 0x1234), b"load-abc/234/1234");
    }
}
