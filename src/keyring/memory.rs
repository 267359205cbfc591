//! Memory: keys that are in it stay out of files.
//!
//! Knows no key. Invariant: after `no_core_dumps` a crash of this process writes no core file, and no other process of the
//! same user may read its memory.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core files. The first thing a program does that will have keys in memory.
pub fn no_core_dumps() {
    // A limit can always be lowered, and where `/proc` or `prctl` are forbidden the limit alone does.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
