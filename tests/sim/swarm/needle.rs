//! Looking for something in many bytes: by skipping (Horspool, 1980), since it must never be found.

use std::collections::BTreeSet;

/// What is looked for.
pub(super) struct Needle {
    bytes: Vec<u8>,
    skip: [u8; 256],
}

impl Needle {
    /// At most 255 bytes.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let length = u8::try_from(bytes.len()).expect("a needle is short");
        let mut skip = [length; 256];
        for (at, byte) in bytes.iter().enumerate().take(bytes.len() - 1) {
            skip[usize::from(*byte)] = length - 1 - u8::try_from(at).expect("it is within");
        }
        Self { bytes: bytes.to_vec(), skip }
    }

    /// Where it is, if it is there.
    pub(super) fn find(&self, hay: &[u8]) -> Option<usize> {
        let (last, length) = (self.bytes[self.bytes.len() - 1], self.bytes.len());
        let mut end = length;
        while end <= hay.len() {
            let byte = hay[end - 1];
            if byte == last && hay[end - length..end] == self.bytes {
                return Some(end - length);
            }
            end += usize::from(self.skip[usize::from(byte)]);
        }
        None
    }
}

/// Many keys of 32 bytes, looked for at once.
///
/// Wherever a key is, one of its first 16 pairs of bytes begins at a multiple of 16: only these are looked at.
pub(super) struct Bunch {
    keys: BTreeSet<[u8; 32]>,
    /// Pairs of bytes that are among the first 16 of some key: one bit each.
    pairs: Vec<u64>,
}

/// Of so many pairs of bytes one is looked at.
const STRIDE: usize = 16;

impl Bunch {
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
    fn what_is_there_is_found_wherever_it_is() {
        let needle = Needle::new(b"*plaintext-mark*");
        for at in 0..70 {
            let mut hay = vec![b'*'; 90];
            assert_eq!(needle.find(&hay), None);
            hay[at..at + 16].copy_from_slice(b"*plaintext-mark*");
            assert_eq!(needle.find(&hay), Some(at));
            assert_eq!(needle.find(&hay[..at + 15]), None);
        }
    }

    #[test]
    fn each_key_of_a_bunch_is_found() {
        let keys: BTreeSet<_> = (0..50).map(|key| [key; 32]).collect();
        let bunch = Bunch::new(keys);
        for at in 0..70 {
            let mut hay: Vec<u8> = (100..=255).cycle().take(at).collect();
            assert_eq!(bunch.find(&hay), None);
            hay.extend_from_slice(&[49; 32]);
            assert_eq!(bunch.find(&hay), Some(at));
            assert_eq!(bunch.find(&hay[..at + 31]), None);
        }
    }
}
