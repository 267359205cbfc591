//! What goes into a connection and comes out of it: keys, stages, events.
//!
//! Knows no behaviour. Invariant: keys are wiped when dropped and have no `Debug`.

use crate::crypto::keys::{NetworkKey, NodeKey};
use crate::ids::ClusterId;
use crate::wire::frame::Open;
use crate::wire::message::Message;
use bytes::Bytes;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Who began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// We did.
    Dialer,
    /// The peer did.
    Acceptor,
}

/// What a connection proves and asks for. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ConnKeys {
    /// The network.
    #[zeroize(skip)]
    pub cluster: ClusterId,
    /// The network secret, which both ends must have.
    pub network_secret: [u8; 32],
    /// The epoch of the network secret.
    pub epoch: u16,
    /// Our X25519 static key.
    pub static_secret: [u8; 32],
}

impl ConnKeys {
    /// The keys of somebody with this key in this network.
    #[must_use]
    pub fn new(network: &NetworkKey, own: &NodeKey) -> Self {
        Self {
            cluster: network.cluster,
            network_secret: network.secret,
            epoch: network.epoch,
            static_secret: *own.static_secret(),
        }
    }
}

/// How far the peer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Somebody dialled us and has proved nothing.
    Unauthenticated,
    /// The handshake goes on with somebody who has the network key, or whom we dialled.
    Handshaking,
    /// Frames pass.
    Established,
}

/// What came of the bytes received, or sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The handshake has ended; the peer holds the secret of this X25519 key.
    Established {
        /// The public key.
        static_key: [u8; 32],
    },
    /// A message, never a ping or pong.
    Message(Message),
    /// The peer begins a stream. The hashes give the address.
    Opened(Open),
    /// The stream's next leaf, of the right length; whether it has the right hash is for the owner
    /// to check.
    Chunk {
        /// The leaf's place in its block.
        index: u8,
        /// Its bytes.
        data: Bytes,
    },
    /// All leaves of the stream have come.
    Ended,
    /// The stream stops here.
    Aborted,
    /// Our stream has no chunk to send and is not complete. Told once until it is given one.
    StreamLow,
    /// Our stream has left, whole or aborted: another may be opened.
    StreamSent,
}
