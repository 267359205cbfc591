//! The programs that an event loop serves: what they want goes to their sessions in the node, and what happens there to
//! them.
//!
//! Knows no operation. Invariant: what a program has no room for stays in the node.

use super::handle::{Channel, Command, Connector, ENDED, OpenRequest};
use crate::gateway::Gateway;
use crate::limits::HANDLE_COMMANDS_MAX;
use crate::node::{Link, Node};
use crate::session::{ClientError, Event};
use crate::time::Now;
use mio::Waker;
use std::collections::HashMap;
use std::sync::Arc;

struct Program {
    gateway: Gateway,
    channel: Arc<Channel>,
}

/// See the module.
pub(super) struct Programs {
    connector: Connector,
    open: HashMap<Link, Program>,
    by_number: HashMap<u64, Link>,
}

impl Programs {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self { connector: Connector::new(waker), open: HashMap::new(), by_number: HashMap::new() }
    }

    pub(super) fn connector(&self) -> Connector {
        self.connector.clone()
    }

    /// The loop was woken: perhaps by somebody here.
    pub(super) fn serve(&mut self, node: &mut Node, now: Now) {
        if self.connector.take_stop() {
            node.stop(now);
        }
        while let Some(request) = self.connector.next_request() {
            self.open_session(node, now, request);
        }
        for number in self.connector.take_active() {
            // None if the node has ended the session before.
            if let Some(link) = self.by_number.get(&number).copied() {
                self.serve_one(node, now, link);
            }
        }
    }

    fn open_session(
        &mut self,
        node: &mut Node,
        now: Now,
        OpenRequest { channel, access }: OpenRequest,
    ) {
        match Gateway::open_until_closed(node, access, &super::entropy(), now) {
            Ok(gateway) => {
                channel.become_open();
                self.by_number.insert(channel.number(), gateway.link());
                self.open.insert(gateway.link(), Program { gateway, channel });
            }
            Err(error) => channel.become_ended(error),
        }
    }

    /// One program's: what it wants, and what there is for it.
    pub(super) fn serve_one(&mut self, node: &mut Node, now: Now, link: Link) {
        let Some(program) = self.open.get_mut(&link) else { return };
        if program.channel.is_closed() {
            if let Some(Program { gateway, .. }) = self.remove(link) {
                gateway.close(node, now);
            }
            return;
        }
        // As many as can have been there when it called; for what came since it has called again.
        let commands = std::iter::from_fn(|| program.channel.next_command());
        for command in commands.take(HANDLE_COMMANDS_MAX).collect::<Vec<_>>() {
            program.execute(node, now, command);
        }
        let is_open = node.is_open(link);
        let has_all = program.forward_events(node, now);
        if has_all && !is_open {
            program.channel.become_ended(ClientError::Disconnected(ENDED.to_owned()));
            self.remove(link);
        }
    }

    fn remove(&mut self, link: Link) -> Option<Program> {
        let program = self.open.remove(&link)?;
        self.by_number.remove(&program.channel.number());
        Some(program)
    }
}

impl Program {
    fn execute(&mut self, node: &mut Node, now: Now, command: Command) {
        match command {
            Command::Start(operation) => {
                let started = self.gateway.start(node, now, operation);
                self.channel.started(started);
            }
            Command::Feed(op, bytes) => {
                if self.gateway.feed(node, now, op, &bytes) < bytes.len() {
                    // It has ended, or this is more than was asked for.
                    self.gateway.abort(node, now, op);
                }
            }
            Command::FeedEnd(op) => self.gateway.feed_end(node, now, op),
            Command::Abort(op) => self.gateway.abort(node, now, op),
        }
    }

    /// Tells what has happened, as long as there is room. True if that was all.
    fn forward_events(&mut self, node: &mut Node, now: Now) -> bool {
        while self.channel.takes_event() {
            match self.gateway.poll_event(node, now) {
                Some(Event::Ready { .. }) => {}
                Some(event) => self.channel.tell(event),
                None => return true,
            }
        }
        false
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        self.connector.close();
        for Program { channel, .. } in self.open.values() {
            channel.become_ended(ClientError::Disconnected(ENDED.to_owned()));
        }
    }
}
