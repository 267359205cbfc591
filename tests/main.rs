//! All integration tests, as one program.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests may use what the machine has"
)]

mod attack;
mod crash;
mod daemon;
mod embed;
mod embedded_node;
mod endings;
mod fuzz;
#[cfg(feature = "planted-bugs")]
mod planted;
mod sim;
#[path = "../benches/suite/main.rs"]
mod suite;
mod tidy;

#[global_allocator]
static COUNTING: fuzz::checks::meter::Counting = fuzz::checks::meter::Counting;
