//! Bytes as printable text that survives mail, chat and paper: base 32 of RFC 4648 in lower case,
//! without padding.
//!
//! Knows nothing about what the bytes are. Invariant: every text is the text of at most one run of
//! bytes, and back.

use zeroize::Zeroizing;

const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Appends the text of `bytes`.
pub(super) fn write(bytes: &[u8], out: &mut String) {
    for group in bytes.chunks(5) {
        let mut word = [0; 8];
        word[3..3 + group.len()].copy_from_slice(group);
        let bits = u64::from_be_bytes(word);
        for digit in 0..digits_of(group.len()) {
            let index = bits >> (35 - 5 * digit) & 31;
            out.push(char::from(DIGITS[usize::try_from(index).unwrap_or_default()]));
        }
    }
}

/// The bytes of a text; `None` when it is the text of none.
pub(super) fn read(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() * 5 / 8));
    for group in text.as_bytes().chunks(8) {
        let mut bits = 0u64;
        for digit in group {
            bits = bits << 5 | value_of(*digit)?;
        }
        let length = group.len() * 5 / 8;
        let word = (bits << (40 - 5 * group.len())).to_be_bytes();
        let is_canonical =
            digits_of(length) == group.len() && word[3 + length..] == [0; 5][length..];
        if !is_canonical {
            return None;
        }
        bytes.extend_from_slice(&word[3..3 + length]);
    }
    Some(bytes)
}

fn digits_of(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

fn value_of(digit: u8) -> Option<u64> {
    match digit {
        b'a'..=b'z' => Some(u64::from(digit - b'a')),
        b'2'..=b'7' => Some(u64::from(digit - b'2') + 26),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_of(bytes: &[u8]) -> String {
        let mut text = String::new();
        write(bytes, &mut text);
        text
    }

    #[test]
    fn vectors_of_the_rfc() {
        for (bytes, text) in
            [("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foobar", "mzxw6ytboi")]
        {
            assert_eq!(text_of(bytes.as_bytes()), text);
            assert_eq!(read(text).unwrap().as_slice(), bytes.as_bytes());
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["m", "mz", "MY", "m1", "mzx", "mzxw6y", "my ", "my======"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes: Vec<u8>) {
            prop_assert_eq!(&*read(&text_of(&bytes)).unwrap(), &bytes);
        }

        #[test]
        fn a_text_that_reads_is_the_text(text in "[a-z2-7]{0,40}") {
            if let Some(bytes) = read(&text) {
                prop_assert_eq!(text_of(&bytes), text);
            }
        }
    }
}
