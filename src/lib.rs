//! dfsd: a peer-to-peer encrypted file store in one small daemon. This file is the map.
//!
//! The core is a value: [`node::Node`] takes bytes, completions and time, and gives actions. Two
//! shells drive it: `net` with `worker` in the daemon, and the simulator in `tests/sim`. A shell
//! moves bytes and decides nothing.
//!
//! | room | what it is | what it may name, beside itself and values |
//! |---|---|---|
//! | `ids`, `time`, `limits`, `seeded` | values, which all may name | |
//! | `kernels` | the loops over every byte and signature: a crate of its own, built for speed where all else is for size | |
//! | `crypto` | keys, trees, blocks, seals, signatures; pure | |
//! | `wire` | bytes to values and back; total, never panics | |
//! | `keyring` | key files and tickets | `crypto`, `wire` |
//! | `store` | what is on disk, on a narrow file-system trait | `crypto`, `wire` |
//! | `conn` | one connection without its socket | `crypto`, `wire` |
//! | `index` | what a node has and knows, derived from its log; pure | `crypto`, `wire`, `keyring`, `store` |
//! | `session` | one client without its connection; pure | `crypto`, `wire`, `keyring` |
//! | `server` | the `FileServer` | `crypto`, `wire`, `keyring`, `store`, `index` |
//! | `node` | connections, sessions of programs in the process and `FileServer`; the only door to the core | `crypto`, `wire`, `keyring`, `store`, `conn`, `session`, `server` |
//! | `daemon` | a node's start, on a folder | `crypto`, `wire`, `keyring`, `store`, `conn`, `server`, `node` |
//! | `gateway` | plaintext in and out, for programs that embed a node | `crypto`, `keyring`, `session`, `node` |
//! | `worker` | threads | |
//! | `net` | the sockets, the clock and the entropy of every shell; the daemon's loop, and programs in its process | `keyring`, `store`, `session`, `server`, `node`, `gateway`, `worker` |
//! | `client` | a session over a connection, and one small blocking shell | `crypto`, `wire`, `keyring`, `conn`, `session`, `net` |
//! | `embed` | a node in a thread of a program, and its ways in | `wire`, `keyring`, `session`, `store`, `client`, `node`, `daemon`, `net`, `worker` |
//! | `config` | what a daemon is told | |
//! | `cli` | what people type | `crypto`, `wire`, `keyring`, `session`, `client`, `config` |
//! | `fsck` | the offline check of a data folder, and its command | `crypto`, `wire`, `keyring`, `store`, `server`, `cli` |
//! | `testing` | what only tests need, behind a feature | `wire`, `store`, `conn` |
//! | `load` | the load-test harness | `crypto`, `wire`, `keyring`, `session`, `net`, `client`, `config`, `cli` |
//!
//! Invariants: imports point upward in this table, to which `tests/tidy.rs` holds them; the core reaches no
//! clock, file, thread, socket or ambient randomness, which clippy sees to (`.clippy.toml`): the
//! shell's rooms are those allowed below. No panic is reachable from network or disk bytes.
//!
//! # A node within a program
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let data = folder.path().join("data");
//! use dfsd::embed::{Embedded, Settings};
//!
//! let node = Embedded::start(Settings::new(data))?;
//! let mut program = node.open()?;
//! program.put(b"greeting", &b"hello"[..])?;
//! let mut bytes = Vec::new();
//! program.get(b"greeting", &mut bytes)?;
//! assert_eq!(bytes, b"hello");
//! node.stop()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It runs in a thread of its own under the event loop of the daemon; each `Program` is a session for one thread. Whoever
//! has a loop of its own drives a [`node::Node`] itself, with a [`gateway::Gateway`] for its plaintext.

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::cast_possible_truncation,
        clippy::too_many_lines,
        reason = "tests may use what the machine has"
    )
)]

#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a room of the shell: what people type, and their files"
)]
pub mod cli;
pub mod client;
#[allow(clippy::disallowed_methods, reason = "clap's defaults come from the environment")]
pub mod config;
pub mod conn;
pub mod crypto;
pub mod daemon;
#[allow(
    clippy::disallowed_methods,
    reason = "a room of the shell: a thread, and the folder of a node"
)]
pub mod embed;
pub mod fsck;
pub mod gateway;
pub mod ids;
pub mod index;
#[allow(clippy::disallowed_methods, reason = "a room of the shell: keys are files")]
pub mod keyring;
pub mod limits;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a room of the shell: processes, files, sockets, the clock"
)]
pub mod load;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a room of the shell: sockets, the clock, entropy"
)]
pub mod net;
pub mod node;
pub mod seeded;
pub mod server;
pub mod session;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod wire;
#[allow(clippy::disallowed_methods, reason = "a room of the shell: threads")]
pub mod worker;
