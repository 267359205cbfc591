//! The cases of the suite, as data: what is run, and what it should come to.
//!
//! Decides nothing. Invariant: a case that another one is compared with stands before it.

use super::goals::Goal::{
    self, Cores, Daemons, Flushes, Like, Median, Memory, Slowest, Tail, Whole,
};

/// One case.
pub(super) struct Case {
    /// What it is called, also in a reference.
    pub(super) name: &'static str,
    /// What `dfs-load` is told to do.
    pub(super) words: &'static str,
    pub(super) goals: &'static [Goal],
}

impl Case {
    /// Whether its files are of a whole block at least, so that bytes are most of what it costs.
    pub(super) fn is_bulk(&self) -> bool {
        let mut words = self.words.split(' ').skip_while(|word| *word != "--size");
        words.nth(1).is_some_and(|size| size.ends_with("MiB") || size.ends_with("GiB"))
    }
}

const fn case(name: &'static str, words: &'static str, goals: &'static [Goal]) -> Case {
    Case { name, words, goals }
}

/// The standard suite.
pub(super) const STANDARD: &[Case] = &[
    case("put 4 KiB", "put --spawn 1 --conns 16 --ops 30000", &[Daemons(2.0), Memory]),
    case(
        "put 4 KiB, 64 at a time",
        "put --spawn 1 --conns 64 --ops 40000",
        &[Flushes(20.0), Tail(5.0)],
    ),
    case("put 4 KiB, three nodes", "put --spawn 3 --conns 64 --ops 20000", &[Daemons(2.0)]),
    case(
        "put 4 KiB, three nodes, one connection",
        "put --spawn 3 --conns 1 --ops 3000",
        &[Median(1.0)],
    ),
    case("get 4 KiB", "get --spawn 1 --conns 16 --ops 60000 --keys 2000", &[Daemons(2.0)]),
    case(
        "mixed, three nodes, compared",
        "mixed --spawn 3 --verify --ops 30000 --size lognormal:8KiB:1",
        &[Memory],
    ),
    case("put 8 MiB", "put --spawn 1 --conns 4 --size 8MiB --ops 48", &[Daemons(1.3), Memory]),
    case(
        "put 8 MiB, three nodes",
        "put --spawn 3 --conns 4 --size 8MiB --ops 24",
        &[Whole(1.4), Cores(0.65), Memory],
    ),
    case(
        "get 8 MiB",
        "get --spawn 1 --conns 4 --size 8MiB --keys 16 --ops 256",
        &[Daemons(1.3), Whole(1.3), Memory],
    ),
    case("handshakes", "connect --spawn 1 --conns 16 --ops 5000", &[]),
];

/// What grows, and what should not grow with it.
pub(super) const LONG: &[Case] = &[
    case("put 1 GiB", "put --spawn 1 --conns 1 --size 1GiB --ops 1", &[]),
    case("get 1 GiB", "get --spawn 1 --conns 1 --size 1GiB --keys 1 --ops 1", &[]),
    case(
        "get 1 GiB that must be fetched",
        "get --spawn 2 --late --conns 1 --size 1GiB --keys 1 --ops 1",
        &[Slowest(&["put 1 GiB", "get 1 GiB"], 1.6), Memory],
    ),
    case("put 1 MiB, 4 GiB in all", "put --spawn 1 --conns 4 --size 1MiB --ops 4096", &[Memory]),
    case(
        "put 64 MiB, 4 GiB in all",
        "put --spawn 1 --conns 4 --size 64MiB --ops 64",
        &[Like("put 1 MiB, 4 GiB in all", 1.1)],
    ),
    case(
        "put 16 GiB",
        "put --spawn 1 --conns 1 --size 16GiB --ops 1",
        &[Like("put 1 MiB, 4 GiB in all", 1.1), Memory],
    ),
    case(
        "get 1 MiB, 4 GiB in all",
        "get --spawn 1 --conns 4 --size 1MiB --keys 1024 --ops 4096",
        &[Memory],
    ),
    case(
        "get 64 MiB, 4 GiB in all",
        "get --spawn 1 --conns 4 --size 64MiB --keys 16 --ops 64",
        &[Like("get 1 MiB, 4 GiB in all", 1.1)],
    ),
    case(
        "get 16 GiB",
        "get --spawn 1 --conns 1 --size 16GiB --keys 1 --ops 1",
        &[Like("get 1 MiB, 4 GiB in all", 1.1), Memory],
    ),
    case("get of 1,000 names", "get --spawn 1 --conns 16 --ops 60000 --keys 1000", &[]),
    case(
        "get of 1,000,000 names",
        "get --spawn 1 --conns 16 --ops 60000 --keys 1000000",
        &[Like("get of 1,000 names", 1.1), Memory],
    ),
    case("overwrite of 1,000 names", "overwrite --spawn 1 --conns 16 --ops 20000 --keys 1000", &[]),
    case(
        "overwrite of 1,000,000 names",
        "overwrite --spawn 1 --conns 16 --ops 20000 --keys 1000000",
        &[Like("overwrite of 1,000 names", 1.1), Memory],
    ),
    case("put 4 KiB, two nodes", "put --spawn 2 --conns 64 --ops 10000", &[]),
    case(
        "put 4 KiB, four nodes",
        "put --spawn 4 --conns 64 --ops 10000",
        &[Like("put 4 KiB, two nodes", 1.1)],
    ),
    case(
        "put 4 KiB, eight nodes",
        "put --spawn 8 --conns 64 --ops 10000",
        &[Like("put 4 KiB, two nodes", 1.1), Memory],
    ),
];
