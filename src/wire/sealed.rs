//! What is sealed: the secret half of records and block lists, once opened.
//!
//! Knows no cipher. Invariants: secrets are wiped when dropped and never printed; a decoded name
//! has no NUL.

use crate::limits::{CONTENT_TYPE_MAX, NAME_MAX, PAGE_ENTRIES_MAX, RECORD_BLOCKS_MAX};
use crate::time::FileTime;
use crate::wire::Malformed;
use crate::wire::attributes::Attributes;
use crate::wire::cursor::{Field, Reader, put_counted, put_list, require};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The length of one encoded secret.
pub const SECRET: usize = 64;

/// The key and the plaintext tree of a block or page: the sealed half of a block list's entry.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret {
    /// The AES-256 key.
    pub key: [u8; 32],
    /// The tree hash of the plaintext; for a page, of what its key is derived from.
    pub tree: [u8; 32],
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Field for Secret {
    fn put(&self, out: &mut Vec<u8>) {
        self.key.put(out);
        self.tree.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { key: from.array()?, tree: from.array()? })
    }
}

/// Appends the secrets of a page, 64 bytes each.
pub fn encode_secrets(secrets: &[Secret], out: &mut Vec<u8>) {
    // Once, so that no copy of a secret is left behind by a growing buffer.
    out.reserve_exact(secrets.len() * SECRET);
    secrets.iter().for_each(|secret| secret.put(out));
}

/// Reads the secrets of a page: as many as there are bytes for.
pub fn decode_secrets(bytes: &[u8]) -> Result<Vec<Secret>, Malformed> {
    let (secrets, rest) = bytes.as_chunks::<SECRET>();
    require(rest.is_empty() && secrets.len() <= PAGE_ENTRIES_MAX, "the number of secrets")?;
    secrets.iter().map(|secret| Secret::take(&mut Reader::new(secret))).collect()
}

/// What a record's sealed part says once opened.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Sealed {
    /// The file's name.
    pub name: Vec<u8>,
    /// Bytes of the file.
    pub size: u64,
    /// Time of the last change, if it is known.
    pub mtime: Option<FileTime>,
    /// `st_mode` of Unix; 0 for unknown.
    pub mode: u32,
    /// MIME type; empty for unknown.
    pub content_type: String,
    /// The tree hash of the whole plaintext.
    pub hash: [u8; 32],
    /// One for each block that stands in the record; or one, for the root page.
    pub secrets: Vec<Secret>,
    /// What else is said of the file.
    pub attributes: Attributes,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes, {} secrets)", self.size, self.secrets.len())
    }
}

impl Sealed {
    /// Appends the plaintext of the sealed part.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.name.len() + self.content_type.len() + 64 + self.secrets.len() * SECRET);
        put_counted(&self.name, NAME_MAX, out);
        self.size.put(out);
        self.mtime.put(out);
        self.mode.put(out);
        put_counted(self.content_type.as_bytes(), CONTENT_TYPE_MAX, out);
        self.hash.put(out);
        put_list(&self.secrets, RECORD_BLOCKS_MAX, out);
        self.attributes.put(out);
    }

    /// Reads the plaintext of the sealed part of a file's record or a tombstone, which has this format.
    pub fn decode(format: u8, bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let sealed = Self {
            name: from.counted(NAME_MAX)?.to_vec(),
            size: Field::take(&mut from)?,
            mtime: mtime(format, &mut from)?,
            mode: Field::take(&mut from)?,
            content_type: content_type(from.counted(CONTENT_TYPE_MAX)?)?,
            hash: from.array()?,
            secrets: from.list(RECORD_BLOCKS_MAX)?,
            attributes: match format {
                1 => Attributes::default(),
                _ => Field::take(&mut from)?,
            },
        };
        from.finish()?;
        require(!sealed.name.contains(&0), "a name with a NUL")?;
        Ok(sealed)
    }
}

/// In format 1 milliseconds since 1970, of which 0 meant that the time is not known.
fn mtime(format: u8, from: &mut Reader<'_>) -> Result<Option<FileTime>, Malformed> {
    if format > 1 {
        return Field::take(from);
    }
    let ms = u64::take(from)?;
    Ok(i64::try_from(ms).ok().filter(|ms| *ms != 0).map(FileTime::from_ms))
}

fn content_type(bytes: &[u8]) -> Result<String, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed("text that is not UTF-8"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::record::FORMAT;
    use proptest::prelude::*;

    fn sealed() -> Sealed {
        Sealed {
            name: b"letters/1.txt".to_vec(),
            size: 70_000,
            mtime: Some(FileTime { seconds: 1_700_000_000, nanos: 5 }),
            mode: 0o644,
            content_type: "text/plain".to_owned(),
            hash: [9; 32],
            secrets: vec![Secret { key: [1; 32], tree: [2; 32] }; 2],
            attributes: Attributes { allocated: Some(4096), ..Attributes::default() },
        }
    }

    fn encoded(sealed: &Sealed) -> Vec<u8> {
        let mut bytes = Vec::new();
        sealed.encode(&mut bytes);
        bytes
    }

    #[test]
    fn a_sealed_part_reads_back() {
        assert_eq!(Sealed::decode(FORMAT, &encoded(&sealed())), Ok(sealed()));
        let name = b"a\0b".to_vec();
        assert!(Sealed::decode(FORMAT, &encoded(&Sealed { name, ..sealed() })).is_err());
        assert_eq!(format!("{:?}", sealed()), "Sealed(70000 bytes, 2 secrets)");
    }

    #[test]
    fn the_first_format() {
        let expected = [
            &b"\0\x0dletters/1.txt"[..],
            &[0, 0, 0, 0, 0, 1, 0x11, 0x70],
            &[0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0],
            &[0, 0, 1, 0xa4],
            b"\0\x0atext/plain",
            &[9; 32],
            &[0, 2],
            &[[1; 32], [2; 32], [1; 32], [2; 32]].concat(),
        ];
        let first = Sealed {
            mtime: Some(FileTime { seconds: 1_700_000_000, nanos: 0 }),
            attributes: Attributes::default(),
            ..sealed()
        };
        assert_eq!(Sealed::decode(1, &expected.concat()), Ok(first));
    }

    #[test]
    fn the_second_format() {
        let expected = [
            &b"\0\x0dletters/1.txt"[..],
            &[0, 0, 0, 0, 0, 1, 0x11, 0x70],
            &[1, 0, 0, 0, 0, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 5],
            &[0, 0, 1, 0xa4],
            b"\0\x0atext/plain",
            &[9; 32],
            &[0, 2],
            &[[1; 32], [2; 32], [1; 32], [2; 32]].concat(),
            &[0, 1, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0x10, 0],
        ];
        assert_eq!(encoded(&sealed()), expected.concat());
    }

    #[test]
    fn secrets_are_sixty_four_bytes_each() {
        let mut bytes = Vec::new();
        encode_secrets(&sealed().secrets, &mut bytes);
        assert_eq!(bytes, [[1; 32], [2; 32], [1; 32], [2; 32]].concat());
        assert_eq!(decode_secrets(&bytes), Ok(sealed().secrets));
        assert!(decode_secrets(&bytes[1..]).is_err());
        assert!(decode_secrets(&vec![0; SECRET * 513]).is_err());
    }

    proptest! {
        #[test]
        fn a_changed_one_decodes_to_itself_or_not_at_all(
            at: proptest::sample::Index, to: u8, cut: bool,
        ) {
            let mut bytes = encoded(&sealed());
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = to }
            if let Ok(sealed) = Sealed::decode(FORMAT, &bytes) {
                prop_assert_eq!(encoded(&sealed), bytes);
            }
        }
    }
}
