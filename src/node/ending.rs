//! Why a node ends a connection by itself.
//!
//! Knows no connection. Invariant: every end that this side decides has one of these, and the log's line is made of it.

use crate::conn::ConnError;
use crate::server::Closing;
use std::fmt;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The connection itself is over.
    Conn(ConnError),
    /// The server has ended it.
    Server(Closing),
    /// Nobody answers where this node has dialled.
    Unanswered,
    /// It had not proved who it is, and another needed its place.
    MadeRoom,
    /// Too many others have not proved yet who they are.
    TooManyHandshakes,
    /// There are as many connections as may be.
    TooManyConnections,
    /// It takes more answers than it asks for, or asks for more than it takes.
    OutboxFull,
    /// It has cost more memory, for longer, than any other when there was no more.
    MemoryKept,
    /// The program in this process that had opened it does not come back.
    Abandoned,
    /// The session of a program in this process has found a fault with what it was told: one of dfsd's own.
    Refused,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conn(error) => return error.fmt(f),
            Self::Server(closing) => return closing.fmt(f),
            Self::Unanswered => "nobody answers there",
            Self::MadeRoom => "it made room for another that had proved as much",
            Self::TooManyHandshakes => "too many handshakes are under way",
            Self::TooManyConnections => "there are too many connections",
            Self::OutboxFull => "it does not take what it asks for",
            Self::MemoryKept => "it kept memory for long, and others need it",
            Self::Abandoned => "its program has left it",
            Self::Refused => "its session has refused what the node said",
        })
    }
}
