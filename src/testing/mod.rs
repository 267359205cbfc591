//! What only tests and benchmarks need: a disk that is simulated, and doors to formats that are read without one.
//!
//! `disk` knows what a power cut can lose; `frames` judges a connection's frames without cipher and timers, `formats` reads
//! the log and block files from any bytes. Only a build with the feature `testing` has this room. Invariant: nothing of the
//! program names it.

mod disk;
pub mod formats;
pub mod frames;

#[cfg(test)]
pub(crate) use disk::Dice;
pub use disk::{CrashStates, Lie, SimError, SimFs, Tamper};
