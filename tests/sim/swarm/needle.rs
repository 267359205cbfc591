//! Looking for something in many bytes: by skipping (Horspool, 1980), since it must never be found.

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
}
