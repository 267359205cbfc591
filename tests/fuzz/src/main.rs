//! The fuzzer: libFuzzer around the check that `DFSD_FUZZ` names.
//!
//! Knows nothing of what is checked. Invariant: every check is counted over by the same allocator.

#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

use checks::Check;
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

#[global_allocator]
static COUNTING: checks::meter::Counting = checks::meter::Counting;

static CHECK: OnceLock<Check> = OnceLock::new();

fn chosen() -> Check {
    let name = std::env::var("DFSD_FUZZ").unwrap_or_default();
    checks::check(&name).unwrap_or_else(|| {
        let names: Vec<_> = checks::TARGETS.iter().map(|(name, _)| *name).collect();
        panic!("DFSD_FUZZ must be one of {}", names.join(", "))
    })
}

fuzz_target!(|data: &[u8]| CHECK.get_or_init(chosen)(data));
