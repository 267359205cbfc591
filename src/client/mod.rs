//! The client: puts, gets and everything else a program asks of a network, sealed and opened on its own machine.
//!
//! `Session` is sans IO, like the connection under it, and runs many operations at once; `Link` gives it a socket, and
//! `Client` is the small blocking shell that waits for one. The node at the other end sees ciphertext only.

mod again;
mod answer;
mod ask;
mod calls;
mod clear;
mod deadline;
mod error;
mod get;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the client's shell: its socket, its entropy"
)]
mod link;
mod listing;
mod permit;
mod put;
mod resume;
mod seal;
mod session;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the client's shell: its socket, its clock, its entropy"
)]
mod shell;
mod signers;
mod sweep;
mod upload;
mod verify;

pub use answer::{Answer, Event, Holders, Op, Operation};
pub use calls::{GetJob, PutJob, Stored};
pub use error::{CallError, ClientError, log_damage};
pub use link::{BATCH, Link};
pub use resume::Sink;
pub use seal::{Entry, Meta};
pub use session::{Entropy, Session};
pub use shell::Client;
pub use verify::Verified;
