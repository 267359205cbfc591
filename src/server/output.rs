//! What the `FileServer` asks of the node around it: plain data, in order.

use super::closing::Closing;
use super::work::Job;
use crate::wire::frame::Open;
use crate::wire::message::{Message, PeerAddress};
use bytes::Bytes;

/// One connection, as long as it lives.
pub type Link = usize;

/// Something of a connection's stream of leaves: of what comes in, or goes out.
#[derive(Debug)]
pub enum Leaves {
    /// A stream begins.
    Opened(Open),
    /// A leaf has come; not yet checked.
    Leaf {
        /// Which of the block.
        index: u8,
        /// The leaf.
        data: Bytes,
    },
    /// The stream was complete.
    Ended,
    /// The sender stopped in the middle.
    Aborted,
    /// All leaves that were handed over have left.
    Low,
    /// The stream was sent whole.
    Sent,
    /// So many leaves did not go out and are not kept.
    TakenBack {
        /// How many.
        count: u8,
    },
}

/// One thing to do.
#[derive(Debug)]
pub enum Output {
    /// Queue a message on a connection.
    Send {
        /// Where.
        link: Link,
        /// What.
        message: Message,
    },
    /// Begin the connection's outgoing stream.
    OpenStream {
        /// Where.
        link: Link,
        /// Which leaves follow.
        open: Open,
    },
    /// The next leaf of that stream.
    Chunk {
        /// Where.
        link: Link,
        /// The leaf.
        data: Bytes,
    },
    /// Take back the leaves of it that have not left, and say how many by `Leaves::TakenBack`.
    TakeBack {
        /// Where.
        link: Link,
    },
    /// End that stream before its end.
    AbortStream {
        /// Where.
        link: Link,
    },
    /// End a connection; `link_closed` is not called for it.
    Close {
        /// Which.
        link: Link,
        /// Why.
        why: Closing,
    },
    /// Connect to a node.
    Dial(PeerAddress),
    /// Have this done.
    Job(Job),
    /// Everything that was accepted is finished, or given up.
    Drained,
    /// The disk has failed: nothing more may be acknowledged.
    Failed(String),
}
