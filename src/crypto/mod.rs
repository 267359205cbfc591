//! Keys and what is done with them: hashing, sealing, signing, and the channel between two nodes.
//!
//! Knows nothing about files, sockets, clocks or encodings: it takes bytes and gives bytes. All
//! randomness is handed in as 32 bytes of entropy. Invariant: every use of a key or a hash has its
//! own tag from `tags`, so that no output made for one purpose is ever valid for another; and no
//! secret is printed by `Debug` or outlives its owner.

pub mod alias;
pub mod batch;
pub mod block;
pub mod data;
pub mod keys;
pub mod noise;
mod primitives;
mod records;
pub mod sealed;
pub mod sign;
pub mod tags;
pub mod tree;
