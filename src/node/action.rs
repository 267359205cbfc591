//! What a node asks of its shell, and what it tells of itself: plain data.

use super::ending::Ending;
use crate::server::Link;
use crate::server::work::Job;

/// How a node's run has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that was accepted is finished.
    Drained,
    /// The disk has failed; the sentence says how. Nothing was acknowledged since.
    DiskFailed(String),
}

/// What a shell is to do.
#[derive(Debug)]
pub enum Action {
    /// Connect to this address (`host:port`); then call `dialled`, or `dial_failed`.
    Dial {
        /// The connection's number from now on.
        link: Link,
        /// Where to.
        address: String,
    },
    /// Send what `transmit` still gives, then close the socket; the link is gone.
    Close {
        /// Which.
        link: Link,
        /// Why this side ends it.
        why: Ending,
    },
    /// There is something to send.
    Transmit {
        /// Where.
        link: Link,
    },
    /// `read_max` is above zero again.
    Read {
        /// Where.
        link: Link,
    },
    /// The program of this session in the process has something to take: `poll_event`.
    Event {
        /// Whose.
        link: Link,
    },
    /// Have a worker do this, and call `done`.
    Job(Job),
    /// The run is over.
    Stopped(Outcome),
}

/// What a node keeps in memory for others at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge {
    /// Bulk memory reserved.
    pub reserved: usize,
    /// Bulk memory at most.
    pub budget: usize,
    /// Bytes of messages that wait to be sent, on the connection where they are most.
    pub outbox: usize,
    /// Bytes of an unfinished transport record, on the connection where they are most.
    pub partial: usize,
    /// Bytes of blocks in sessions of programs in this process, all together: on offer, or on their way to the program.
    pub programs: usize,
}
