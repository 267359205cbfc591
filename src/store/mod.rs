//! The store: what is on disk, and the order of steps that makes it durable.
//!
//! `disk` is the door: a plain library, which blocks until what is asked is done. `values` are told to it and by it, `fs`
//! is the seam to the disk. Between them: `layout` (paths), `block_file`, `frame` and `segment` (formats), `named` (what
//! stands in `log/`), `scan` (reading a segment), `log` (its open end), `place` (the folders), `blocks` (reading blocks),
//! `drafts` (blocks half written), `commit` (the order of a commit), `recover` (the start), `remains` (what it finds in
//! damaged groups), `undecoded` (what it could not read) and `check` (of a folder that nobody has open). Knows keys, names
//! and peers as bytes only. Invariant: what was answered as committed survives any power cut, and nothing of what was not
//! is ever half there.

pub mod bare;
mod block_file;
mod blocks;
pub mod check;
mod commit;
mod disk;
mod drafts;
mod error;
mod frame;
pub mod fs;
mod layout;
mod log;
mod named;
mod place;
mod records;
mod recover;
mod remains;
mod scan;
mod segment;
#[cfg(test)]
mod tests;
mod undecoded;
pub mod values;

pub use disk::{Config, Disk};
pub use recover::{OpenError, open};
