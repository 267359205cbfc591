//! What comes into a session from its node and goes out to it: plain data, in order.
//!
//! Knows no connection and no socket: whoever holds a session moves these.

use crate::wire::frame::Open;
use crate::wire::message::Message;
use bytes::Bytes;

/// One thing that goes to the node.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// A message.
    Send(Message),
    /// A stream begins; its leaves follow, all of them.
    OpenStream(Open),
    /// The stream's next leaf.
    Chunk(Bytes),
}

/// One thing that comes from the node.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// A message.
    Message(Message),
    /// A stream begins. Its hashes give the address.
    Opened(Open),
    /// The stream's next leaf, of the right length.
    Chunk {
        /// Its place in the block.
        index: u8,
        /// Its bytes, which nobody has compared with the hash.
        data: Bytes,
    },
    /// All leaves of the stream have come.
    Ended,
    /// The stream stops here.
    Aborted,
    /// Our own stream has left: the next may begin.
    StreamSent,
}
