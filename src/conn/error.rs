//! Why a connection ends, named by who is to blame.
//!
//! Knows nothing of what the owner does about it. Invariant: every one of these is final for its
//! connection.

use crate::conn::handshake::{HIGHEST, LOWEST};
use crate::conn::phase::Illegal;
use crate::wire::Malformed;
use std::fmt;

/// The connection is over and nothing more comes out of it but the events that were queued before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnError {
    /// Whoever is there does not have the network key, or does not speak this protocol at all.
    Unauthenticated,
    /// The peer speaks only these versions of the protocol.
    Version {
        /// The peer's lowest.
        lowest: u8,
        /// The peer's highest.
        highest: u8,
    },
    /// The peer has another epoch of the network key.
    Epoch {
        /// Ours.
        ours: u16,
        /// The peer's.
        theirs: u16,
    },
    /// The peer, or somebody on the way, broke the rules.
    Broke(Rule),
    /// The peer did not do in time what we waited for.
    TimedOut(Wait),
}

/// A rule of the established connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A transport record is longer than a head and a body at least, and than the longest at most.
    RecordLength,
    /// A transport record is what the peer sealed, in the order in which it did.
    Authentic,
    /// Heads, opens and messages are well formed.
    Format(Malformed),
    /// The hashes of an open give its address.
    Hashes,
    /// A frame is legal in the phase in which it comes.
    Phase(Illegal),
}

/// What was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The end of the handshake.
    Handshake,
    /// Any frame.
    Frame,
    /// The rest of what the peer had begun to send.
    Arrival,
    /// That the peer takes what we send.
    Departure,
}

impl fmt::Display for ConnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthenticated => f.write_str("the other end does not have this network's key"),
            Self::Version { lowest, highest } => {
                write!(
                    f,
                    "the peer speaks versions {lowest} to {highest} of the protocol, this program \
                     {LOWEST} to {HIGHEST}: the older of the two programs is to be updated"
                )
            }
            Self::Epoch { ours, theirs } => {
                write!(f, "the peer has epoch {theirs} of the network key, this node {ours}")
            }
            Self::Broke(rule) => write!(f, "the peer broke a rule: {rule}"),
            Self::TimedOut(wait) => write!(f, "the peer took too long: {wait}"),
        }
    }
}

impl std::error::Error for ConnError {}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RecordLength => f.write_str("a transport record of an impossible length"),
            Self::Authentic => f.write_str("a transport record that was changed on its way"),
            Self::Format(malformed) => malformed.fmt(f),
            Self::Hashes => f.write_str("leaf hashes that do not give the block's address"),
            Self::Phase(illegal) => illegal.fmt(f),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the handshake did not end",
            Self::Frame => "nothing was heard of it",
            Self::Arrival => "what it had begun to send did not come",
            Self::Departure => "it did not take what was sent",
        })
    }
}

impl From<Malformed> for ConnError {
    fn from(malformed: Malformed) -> Self {
        Self::Broke(Rule::Format(malformed))
    }
}

impl From<Illegal> for ConnError {
    fn from(illegal: Illegal) -> Self {
        Self::Broke(Rule::Phase(illegal))
    }
}
