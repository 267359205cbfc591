//! The wire: bytes to values and back, the same on every connection and every disk.
//!
//! Knows no key, socket or file. Invariants: decoding is total (any bytes give a value or
//! `Malformed`, never a panic), bounded (nothing is allocated that the limits and the bytes at hand
//! do not allow) and canonical (encoding what was decoded gives the same bytes).
//!
//! # Notation
//!
//! Integers are big endian: `u8`, `u16`, `u32`, `u64`. `[n]` is n bytes as they are. `bytes` is a
//! `u16` length and as many bytes; `text` is `bytes` in UTF-8; `list T` is a `u16` count and as
//! many `T`; `opt T` is `0`, or `1` and a `T`; `bool` is `0` or `1`. Ids are 32 bytes, but for
//! writers (8), spaces and stores (16). Bounds are those of `limits`.
//!
//! # Connection
//!
//! | what | bytes |
//! |---|---|
//! | preface, each way | `"dfsd"`, lowest and highest version `u8` each, epoch `u16`; `[8]` random |
//! | handshake | Noise `XXpsk0_25519_AESGCM_SHA256`: 48 bytes, 96 back, 64 |
//! | refusal | 96 zeros instead of those back: the first message was of another network |
//! | transport record | `u16` length, ciphertext of one frame and its 16-byte tag |
//!
//! Both send their preface at once; the dialer's first message waits for the acceptor's. The first 8
//! bytes are the same in every version and are judged before more is awaited; this is version 3. The
//! prologue is the dialer's preface, the acceptor's, and the cluster id: a first message that somebody
//! has recorded fails on any other connection, before any Diffie-Hellman. A connection that ends
//! without a refusal was not refused for its key.
//!
//! # Frame
//!
//! | field | bytes |
//! |---|---|
//! | kind | `u8`: 1 message, 2 open, 3 chunk, 4 end, 5 abort |
//! | flags | `u8`: 0 |
//! | stream | `u16`: 0 in a message; streams count from 1 each way, and after 65,535 again |
//! | length | `u32`: of the body that follows |
//!
//! An open's body is `address [32], length u32, first u8, count u8`, then the hash of each leaf of
//! the whole block, `[32]` each. A chunk's body is the leaf. End and abort have none.
//!
//! # Message
//!
//! A tag `u8` and the fields in the order of the table in `message/codec.rs`, which is the code
//! itself.
//!
//! | composite | fields |
//! |---|---|
//! | hello | role `u8`: 1 node, 2 client; verify key `[32]`, boot `u64`, |
//! | | addresses `list text`, store `[16]`, group `u64`, clock `u64` |
//! | version id | stamp `u64`, writer `[8]` |
//! | block | address `[32]`, length `u32` |
//! | peer | node `[32]`, address `text` |
//! | presence | verify key `[32]`, static key `[32]`, counter `u64`, addresses `list text`, |
//! | | signature `[64]` over everything before it |
//! | pushed record | record `bytes`, block `bytes` |
//! | range | first `[32]`, last `[32]`, count `u64`, fingerprint `[32]` |
//! | expired record | record `[32]`, at `u64`: milliseconds since 1970 |
//! | member | peer, connected `bool`, last seen `u64` |
//! | version mark | version id, record `[32]` |
//! | listed version | version id, superseded `bool`, record `bytes` |
//! | view | `u8`: 1 deleted; or 2 and a stamp `u64` |
//! | reason | `u8`, 1 to 8 in the order of `Reason` |
//!
//! # Record
//!
//! | field | bytes |
//! |---|---|
//! | format | `u8`: 1; later formats keep this layout and add kinds and extensions |
//! | kind | `u8`: 1 file, 2 tombstone, 3 admission, 4 presence, 5 grant, 7 setting; |
//! | | reserved: 6 policy, 8 revoke, 9 rekey |
//! | space, name, version | `[16]`, `[32]`, version id with the top bit of its stamp clear |
//! | parents | `list` of version ids, greatest first, none twice, stamps below the version's |
//! | epoch, signer | `u32`, `[32]` |
//! | blocks | `0` and `list` of blocks; |
//! | | or `1`, root `[32]`, depth `u8`, blocks `u64`, bytes `u64` |
//! | extensions | `list` of (tag `u16`, value `bytes`), tags ascending |
//! | sealed tag, sealed | `[32]`, `bytes` |
//! | signature | `[64]`, over everything before it |
//!
//! Opened, the sealed part is `name bytes, size u64, mtime u64, mode u32, content type text, hash
//! [32]`, and a `list` of secrets (key `[32]`, tree `[32]`).
//!
//! # Page
//!
//! | field | bytes |
//! |---|---|
//! | depth | `u8`: 1 for blocks |
//! | entries | `list` of blocks; or of (page `[32]`, blocks `u64`, bytes `u64`) |
//! | sealed | `[64]` an entry: its secret, encrypted |
//!
//! # Permit
//!
//! | field | bytes |
//! |---|---|
//! | signer, not after | `[32]`, `u64`: a writer's key, a stamp of the node's clock |
//! | signature | `[64]`, over both and the `list` of blocks of the message that the permit stands in; a page counts as a |
//! | | block of its own address and length |

pub mod attributes;
pub mod collection;
pub mod condition;
pub(crate) mod cursor;
pub mod discards;
pub mod frame;
pub mod log_damage;
pub mod log_use;
pub mod message;
pub mod names;
pub(crate) mod outline;
pub mod page;
pub mod permit;
pub mod presence;
pub mod record;
pub mod sealed;
pub mod settings;
pub mod sync_state;
pub mod view;

use std::fmt;

/// The bytes are no encoding of such a value; why, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed: {}", self.0)
    }
}

impl std::error::Error for Malformed {}
