//! Looking for many keys in many bytes: by skipping, since none must ever be found.

use std::collections::BTreeSet;

/// Many keys of 32 bytes, looked for at once.
///
/// Wherever a key is, one of its first 16 pairs of bytes begins at a multiple of 16: only these are looked at.
pub(super) struct KeySearch {
    keys: BTreeSet<[u8; 32]>,
    /// Pairs of bytes that are among the first 16 of some key: one bit each.
    pairs: Vec<u64>,
}

/// Of so many pairs of bytes one is looked at.
const STRIDE: usize = 16;

impl KeySearch {
    pub(super) fn new(keys: BTreeSet<[u8; 32]>) -> Self {
        let mut pairs = vec![0; 1 << 10];
        for pair in keys.iter().flat_map(|key| key.windows(2).take(STRIDE)) {
            let pair = usize::from(u16::from_be_bytes([pair[0], pair[1]]));
            pairs[pair / 64] |= 1 << (pair % 64);
        }
        Self { keys, pairs }
    }

    /// Where one of them is.
    pub(super) fn find(&self, hay: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at + 1 < hay.len() {
            let pair = usize::from(u16::from_be_bytes([hay[at], hay[at + 1]]));
            if self.pairs[pair / 64] >> (pair % 64) & 1 == 1 {
                let begins = at.saturating_sub(STRIDE - 1)..=at;
                let mut begins = begins.filter(|begin| self.is_key(hay, *begin));
                if let Some(begin) = begins.next() {
                    return Some(begin);
                }
            }
            at += STRIDE;
        }
        None
    }

    fn is_key(&self, hay: &[u8], at: usize) -> bool {
        hay.get(at..at + 32).is_some_and(|window| self.keys.contains(window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_of_a_bunch_is_found() {
        let keys: BTreeSet<_> = (0..50).map(|key| [key; 32]).collect();
        let search = KeySearch::new(keys);
        for at in 0..70 {
            let mut hay: Vec<u8> = (100..=255).cycle().take(at).collect();
            assert_eq!(search.find(&hay), None);
            hay.extend_from_slice(&[49; 32]);
            assert_eq!(search.find(&hay), Some(at));
            assert_eq!(search.find(&hay[..at + 31]), None);
        }
    }
}
