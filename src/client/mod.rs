//! The client of a program elsewhere: a session over a connection to a node, and blocking calls.
//!
//! `RemoteSession` is a session and its connection, sans IO; `Link` gives it a socket; `Client` is the small blocking shell
//! that waits for one, and connects anew when it breaks. Knows no operation's steps: those are the session's.

mod calls;
mod error;
mod interrupt;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the client's shell: its socket, its entropy"
)]
mod link;
mod remote;
mod resume;
mod settings;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the client's shell: its socket, its clock, its entropy"
)]
mod shell;
mod verify;
mod versions;

pub use calls::{GetJob, Listed, PutJob, Stored};
pub use error::CallError;
pub use interrupt::Interrupt;
pub use link::{BATCH, Link};
pub use remote::{Entropy, RemoteSession};
pub use resume::Sink;
pub use settings::SettingsTold;
pub use shell::Client;
pub use verify::Verified;
