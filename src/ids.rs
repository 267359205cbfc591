//! Identifiers: what every room uses to name a thing without knowing what it is.
//!
//! Knows nothing about how an identifier is computed (`crypto`) or where it leads (`store`, `server`).
//! Invariant: an identifier prints as lower-case hex and reads back from exactly that, in a time that tells nothing of
//! its bytes: secrets of 32 bytes are printed in the same way.

use base16ct::lower;
use std::fmt;
use std::str::FromStr;

/// The text was not the lower-case hex of an identifier of the right length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an identifier: expected lower-case hexadecimal digits of the right number")
    }
}

impl std::error::Error for NotAnId {}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// The length in bytes.
            pub const LENGTH: usize = $length;

            /// The first eight digits, for logs.
            #[must_use]
            pub fn short(&self) -> String {
                let mut text = self.to_string();
                text.truncate(8);
                text
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let mut bytes = [0; $length];
                read_hex(text, &mut bytes)?;
                Ok(Self(bytes))
            }
        }
    };
}

id!(
    /// The tree hash of a block's or a page's stored bytes: where it is found, on any node.
    Address, 32);
id!(
    /// The keyed hash of a file's name: equal names have equal ids, and only a full node can tell which.
    NameId, 32);
id!(
    /// The hash of a whole record, signature included.
    RecordId, 32);
id!(
    /// The hash of a node's two public keys.
    NodeId, 32);
id!(
    /// One network of nodes.
    ClusterId, 32);
id!(
    /// A 32-byte SHA-256 value: of a leaf, or of an inner node of a tree.
    Hash, 32);
id!(
    /// One life of one node's log; a new log has a new one.
    StoreId, 16);
id!(
    /// A name space within a network; all zero is the default one.
    Space, 16);
id!(
    /// Who made a version: the first bytes of the hash of the writer's session key.
    Writer, 8);

/// One version of one name. The order is the order of versions, but for equal ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct VersionId {
    /// Hybrid logical clock: 48 bits of milliseconds since 1970, then 16 bits of counter.
    pub stamp: u64,
    /// Tells apart two writers with one stamp.
    pub writer: Writer,
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.stamp, self.writer)
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    // The longest has 32 bytes.
    f.write_str(lower::encode_str(bytes, &mut [0; 64]).map_err(|_| fmt::Error)?)
}

/// Reads exactly as many lower-case digits as `bytes` asks for.
fn read_hex(text: &str, bytes: &mut [u8]) -> Result<(), NotAnId> {
    if text.len() != 2 * bytes.len() {
        return Err(NotAnId);
    }
    lower::decode(text, bytes).map(|_| ()).map_err(|_| NotAnId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_prints_and_reads_back() {
        let address = Address([0xa7; 32]);
        assert_eq!(address.to_string().parse(), Ok(address));
        assert_eq!(format!("{address:?}"), "Address(a7a7a7a7)");
    }

    #[test]
    fn other_text_is_no_id() {
        let good = Writer([1; 8]).to_string();
        for text in
            ["", "zz", &good[1..], &good.replace('1', "A"), "../../../etc/pas", &format!("{good}0")]
        {
            assert_eq!(text.parse::<Writer>(), Err(NotAnId), "{text}");
        }
    }
}
