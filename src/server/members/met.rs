//! What is known of the other side of one connection, and how that came about.
//!
//! Decides nothing. Invariant: values only.

use super::introduction::Introduction;
use crate::ids::NodeId;
use crate::time::Instant;
use std::net::{IpAddr, SocketAddr};

/// How a connection came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// This node dialled, and meant to reach this one.
    Dialled(NodeId),
    /// The other side dialled, from there.
    From(IpAddr),
    /// It is a program in this process.
    Here,
}

impl Reached {
    pub(super) fn dialled(self) -> Option<NodeId> {
        match self {
            Self::Dialled(node) => Some(node),
            Self::From(_) | Self::Here => None,
        }
    }

    pub(super) fn from(self) -> Option<IpAddr> {
        match self {
            Self::From(address) => Some(address),
            Self::Dialled(_) | Self::Here => None,
        }
    }
}

/// Of one connection.
#[derive(Debug)]
pub(super) struct Met {
    pub(super) static_key: [u8; 32],
    pub(super) reached: Reached,
    pub(super) since: Instant,
    /// Which start of its node it is, as that says.
    pub(super) boot: u64,
    pub(super) introduction: Introduction,
    /// Another connection to the same node has ended while this one was being made.
    pub(super) goes_on: bool,
}

/// Where a node that dialled can be dialled itself, should the name that it gives for itself lead nowhere: the address it
/// came from, with the port that it says.
pub(super) fn observed(from: IpAddr, said: &[String]) -> Option<String> {
    let port: u16 = said.first()?.rsplit_once(':')?.1.parse().ok()?;
    let address = SocketAddr::new(from, port).to_string();
    (!said.contains(&address)).then_some(address)
}
