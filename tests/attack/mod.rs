//! Attacks on every limit, most of them on a real daemon, while a real client goes on working.
//!
//! Short forms run with all other tests; `make attack` runs them at their full size. Invariant: every constant of
//! `src/limits.rs` stands in the table of `limits`, with the tests that attack it.

pub(crate) mod crowd;
mod deaf;
mod door;
mod hunger;
mod limits;
mod lists;
mod many;
mod patron;
mod scarce;
mod siege;
mod victim;
