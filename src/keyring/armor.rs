//! Bytes as printable text that survives mail, chat and paper: base 32 of RFC 4648 in lower case,
//! without padding.
//!
//! Knows nothing about what the bytes are. Invariant: every text is the text of at most one run of
//! bytes, and back; the time that takes tells nothing of them.

use base32ct::{Base32Unpadded, Encoding};
use zeroize::Zeroizing;

/// Appends the text of `bytes`.
pub(super) fn write(bytes: &[u8], out: &mut String) {
    out.push_str(&Zeroizing::new(Base32Unpadded::encode_string(bytes)));
}

/// The bytes of a text; `None` when it is the text of none.
pub(super) fn read(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = Zeroizing::new(Base32Unpadded::decode_vec(text).ok()?);
    // Bits beyond the last byte are not looked at.
    let again = Zeroizing::new(Base32Unpadded::encode_string(&bytes));
    (*again == text).then_some(bytes)
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
