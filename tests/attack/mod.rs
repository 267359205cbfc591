//! Attacks on every limit, most of them on a real daemon, while a real client goes on working.
//!
//! Short forms run with all other tests; `make attack` runs them at their full size. Invariant: every constant of
//! `src/limits.rs` stands in the table of `limits`, with the tests that attack it.

mod accept_limits;
pub(crate) mod crowd;
mod descriptors;
mod flood;
mod limits;
mod lists;
mod many;
mod reservations;
mod slow_readers;
mod victim;
mod workload_client;
