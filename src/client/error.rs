//! Why a blocking call did not succeed.
//!
//! Knows no operation. Invariant: a failure on the program's own side is told from one of the network.

use crate::session::ClientError;
use std::fmt;
use std::io;

/// Why a call did not succeed.
#[derive(Debug)]
pub enum CallError {
    /// The program's own source or sink failed.
    Local(io::Error),
    /// The network, or the node.
    Client(ClientError),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(error) => error.fmt(f),
            Self::Client(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CallError {}

impl From<ClientError> for CallError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}
