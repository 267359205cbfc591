//! The table of every domain tag: what each hash, derived key and signature is for, and the version
//! of its meaning.
//!
//! Knows nothing about where they are used. Invariant: each ends with the only NUL in it, so that
//! none is a prefix of another, and all differ. A tag is never changed or given to another use; a
//! new meaning gets a new tag.

/// Signature of a record, of whatever kind.
pub const RECORD: &[u8] = b"dfsd/1 record signature\0";
/// Signature of a permit.
pub const PERMIT: &[u8] = b"dfsd/1 permit\0";
/// Factors of the signatures in a batch.
pub const BATCH: &[u8] = b"dfsd/1 signature batch\0";
/// Hash of a whole record.
pub const RECORD_ID: &[u8] = b"dfsd/1 record id\0";
/// Hash of a node's public keys.
pub const NODE_ID: &[u8] = b"dfsd/1 node id\0";
/// Signature of a presence: where a node says that it is.
pub const PRESENCE: &[u8] = b"dfsd/1 presence signature\0";
/// Hash of a writer's session key.
pub const WRITER: &[u8] = b"dfsd/1 writer\0";
/// Hash of a granted key: the name of its grant.
pub const GRANT: &[u8] = b"dfsd/1 grant\0";
/// Hash of a setting's number: the name of its records.
pub const SETTING: &[u8] = b"dfsd/1 setting\0";

/// Derived key: names.
pub const KEY_NAME: &[u8] = b"dfsd/1 key of names\0";
/// Derived key: keys of blocks and pages from their contents.
pub const KEY_CONV: &[u8] = b"dfsd/1 key of contents\0";
/// Derived key: synthetic IV of sealed parts.
pub const KEY_SIV: &[u8] = b"dfsd/1 key of sealed tags\0";
/// Derived key: encryption of sealed parts.
pub const KEY_SEAL: &[u8] = b"dfsd/1 key of sealed parts\0";
/// Derived key: one sealed part.
pub const SEALED_PART: &[u8] = b"dfsd/1 sealed part\0";
/// Key of a block from its contents.
pub const BLOCK: &[u8] = b"dfsd/1 block\0";
/// Key of a page from its contents.
pub const PAGE: &[u8] = b"dfsd/1 page\0";

/// A sealed question for names in order.
pub const NAMES_QUESTION: &[u8] = b"dfsd/1 names question\0";
/// What was found, sealed.
pub const NAMES_FOUND: &[u8] = b"dfsd/1 names found\0";

/// The transport's prologue begins so.
pub const NOISE_PROLOGUE: &[u8] = b"dfsd/1 transport\0";
/// Derived key: the transport's pre-shared key.
pub const NOISE_PSK: &[u8] = b"dfsd/1 transport psk\0";

/// Derived from a handshake's entropy: what its preface says in clear.
pub const NEW_NONCE: &[u8] = b"dfsd/1 preface nonce\0";

/// Key making: the cluster id.
pub const NEW_CLUSTER: &[u8] = b"dfsd/1 new cluster id\0";
/// Key making: the network secret.
pub const NEW_NETWORK: &[u8] = b"dfsd/1 new network secret\0";
/// Key making: a data secret.
pub const NEW_DATA: &[u8] = b"dfsd/1 new data secret\0";
/// Key making: a write key.
pub const NEW_WRITE: &[u8] = b"dfsd/1 new write key\0";
/// Key making: a root key.
pub const NEW_ROOT: &[u8] = b"dfsd/1 new root key\0";
/// Key making: a node's signing key.
pub const NEW_NODE_SIGN: &[u8] = b"dfsd/1 new node signing key\0";
/// Key making: a node's or a client's transport key.
pub const NEW_NODE_STATIC: &[u8] = b"dfsd/1 new node transport key\0";

/// Checksum of a key file.
pub const KEY_FILE: &[u8] = b"dfsd/1 key file checksum\0";
/// Checksum of a ticket.
pub const TICKET: &[u8] = b"dfsd/1 ticket checksum\0";

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&[u8]; 29] = [
        RECORD,
        PERMIT,
        BATCH,
        RECORD_ID,
        NODE_ID,
        PRESENCE,
        WRITER,
        GRANT,
        SETTING,
        KEY_NAME,
        KEY_CONV,
        KEY_SIV,
        KEY_SEAL,
        SEALED_PART,
        BLOCK,
        PAGE,
        NAMES_QUESTION,
        NAMES_FOUND,
        NOISE_PROLOGUE,
        NOISE_PSK,
        NEW_CLUSTER,
        NEW_NETWORK,
        NEW_DATA,
        NEW_WRITE,
        NEW_ROOT,
        NEW_NODE_SIGN,
        NEW_NODE_STATIC,
        KEY_FILE,
        TICKET,
    ];

    #[test]
    fn all_differ_and_none_is_a_prefix() {
        for (index, tag) in ALL.iter().enumerate() {
            assert_eq!(tag.iter().position(|byte| *byte == 0), Some(tag.len() - 1));
            assert!(tag.starts_with(b"dfsd/1 "));
            assert!(!ALL[index + 1..].contains(tag), "{}", String::from_utf8_lossy(tag));
        }
    }
}
