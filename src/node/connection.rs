//! A connection of any kind, and what the node keeps of each.
//!
//! Knows no server: what goes to it and comes from it is moved by a turn. Invariant: whatever kind it is, the server sees
//! messages, streams and an outbox.

use super::action::Action;
use super::ending::Ending;
use super::local::Local;
use crate::conn::{Conn, Stage};
use crate::server::{Link, Reached};
use crate::time::Instant;
use crate::wire::frame::Open;
use crate::wire::message::Message;
use bytes::Bytes;

/// How somebody is connected.
pub(super) enum Connection {
    /// Over a socket, encrypted.
    Native(Box<Native>),
    /// A program in this process, with its session.
    Local(Box<Local>),
}

/// Over a socket.
pub(super) struct Native {
    pub(super) conn: Conn,
    /// How it came about.
    pub(super) reached: Reached,
    /// How far it had come when the entrance was last told.
    pub(super) stage: Stage,
    /// The shell was told not to read.
    pub(super) paused: bool,
    /// What has come and the server does not take now.
    pub(super) unread: Bytes,
    /// The shell knows that there is something to send.
    pub(super) transmitting: bool,
}

impl Native {
    pub(super) fn new(conn: Conn, reached: Reached) -> Self {
        let stage = conn.stage();
        let (paused, transmitting, unread) = (false, false, Bytes::new());
        Self { conn, reached, stage, paused, unread, transmitting }
    }

    /// Whether the connection has something to send, or to tell of what has left.
    fn has_outward(&self) -> bool {
        self.conn.wants_transmit() || self.conn.has_sent_events()
    }
}

impl Connection {
    /// Queues a message.
    pub(super) fn send(&mut self, message: Message) {
        match self {
            Self::Native(native) => native.conn.send(&message),
            Self::Local(local) => local.mailbox().send(message),
        }
    }

    /// Bytes of messages that have not left.
    pub(super) fn outbox_bytes(&self) -> usize {
        match self {
            Self::Native(native) => native.conn.outbox_bytes(),
            Self::Local(local) => local.outbox_bytes(),
        }
    }

    pub(super) fn open_stream(&mut self, open: Open) {
        match self {
            Self::Native(native) => native.conn.open_stream(&open),
            Self::Local(local) => local.mailbox().open_stream(open),
        }
    }

    pub(super) fn push_chunk(&mut self, chunk: Bytes) {
        match self {
            Self::Native(native) => native.conn.push_chunk(chunk),
            Self::Local(local) => local.mailbox().push_chunk(chunk),
        }
    }

    /// Takes back the leaves of the stream that have not left: how many.
    pub(super) fn take_back_chunks(&mut self) -> u8 {
        match self {
            Self::Native(native) => native.conn.take_back_chunks(),
            Self::Local(local) => local.mailbox().take_back_chunks(),
        }
    }

    pub(super) fn abort_stream(&mut self) {
        match self {
            Self::Native(native) => native.conn.abort_stream(),
            Self::Local(local) => local.mailbox().abort_stream(),
        }
    }

    /// Memory that the other side makes us keep, what the server keeps apart.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Native(native) => native.conn.held_bytes() + native.unread.len(),
            Self::Local(local) => local.outbox_bytes(),
        }
    }

    /// Bytes of a piece whose rest has not come.
    pub(super) fn partial_bytes(&self) -> usize {
        match self {
            Self::Native(native) => native.conn.partial_bytes(),
            Self::Local(_) => 0,
        }
    }

    /// Bytes of blocks that a program in this process makes us keep in its session.
    pub(super) fn program_bytes(&self) -> usize {
        match self {
            Self::Native(_) => 0,
            Self::Local(local) => local.program_bytes(),
        }
    }

    /// When `Node::handle_timeout` has something to do for it.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Native(native) => native.conn.poll_timeout(),
            Self::Local(local) => local.poll_timeout(),
        }
    }

    /// Does what is due. An error ends it.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), Ending> {
        match self {
            Self::Native(native) => native.conn.handle_timeout(now).map_err(Ending::Conn),
            Self::Local(local) if local.is_abandoned(now) => Err(Ending::Abandoned),
            Self::Local(local) => {
                local.handle_timeout(now);
                Ok(())
            }
        }
    }

    /// What the shell is to be told of it, once.
    pub(super) fn news(&mut self, link: Link) -> Option<Action> {
        match self {
            Self::Native(native) => {
                let news = native.has_outward() && !native.transmitting;
                native.transmitting |= news;
                news.then_some(Action::Transmit { link })
            }
            Self::Local(local) => local.take_news().then_some(Action::Event { link }),
        }
    }

    /// Whether `Node::transmit` is waited for, or would do something.
    pub(super) fn wants_transmit(&self) -> bool {
        match self {
            Self::Native(native) => native.transmitting || native.has_outward(),
            Self::Local(_) => false,
        }
    }

    /// How it came about.
    pub(super) fn reached(&self) -> Reached {
        match self {
            Self::Native(native) => native.reached,
            Self::Local(_) => Reached::Here,
        }
    }

    pub(super) fn native(&mut self) -> Option<&mut Native> {
        match self {
            Self::Native(native) => Some(native),
            Self::Local(_) => None,
        }
    }

    pub(super) fn local(&mut self) -> Option<&mut Local> {
        match self {
            Self::Local(local) => Some(local),
            Self::Native(_) => None,
        }
    }
}
