//! The store: what is on disk, and the order of steps that makes it durable.
//!
//! `disk` is the door: a plain library, which blocks until what is asked is done. `values` are told to it and by it, `fs`
//! is the seam to the disk. Between them: `layout` (paths), `block_file`, `frame` and `segment` (formats), `named` (what
//! stands in `log/`), `removed` (which segments are gone on purpose), `claims` (which of the others are believed in that), `scan` (reading a segment), `items` (the same piece by piece), `segment_index` (what is known of one without reading it), `log` (its open end),
//! `place` (the folders), `blocks` (reading blocks), `neighbours` (what one read brings), `drafts` (blocks half written), `commit` (the order of a commit),
//! `recover` (the start), `remains` (what it finds in damaged groups) and `undecoded` (what it could not read). The formats
//! are open to `fsck`, which reads them too. Knows keys, names and peers as bytes only. Invariant: what was answered as
//! committed survives any power cut, and nothing of what was not is ever half there.
//!
//! Compaction (`server/compact`) has what is needed of a segment written anew and removes it; which items are needed the
//! index knows. It keeps this: an item *expired*, *dropped* or *lost* outlives what it buries in every segment that is still
//! there, or that comes back; and it is not written anew behind a later place at which that has come again, or it is gone.

pub(crate) mod block_file;
pub(crate) mod blocks;
mod claims;
mod commit;
mod disk;
mod drafts;
pub(crate) mod error;
pub(crate) mod frame;
pub mod fs;
mod items;
pub(crate) mod layout;
mod log;
pub(crate) mod named;
mod neighbours;
mod place;
pub(crate) mod records;
pub(crate) mod recover;
pub(crate) mod remains;
pub mod removed;
pub(crate) mod scan;
pub(crate) mod segment;
pub(crate) mod segment_index;
#[cfg(test)]
mod tests;
mod undecoded;
pub mod values;

pub use disk::{Config, Disk};
pub use error::OpenError;
pub use recover::{open, open_whole};
