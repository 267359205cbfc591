//! The programs that an event loop serves: what they want goes to their sessions in the node, and what happens there to
//! them.
//!
//! Knows no operation. Invariant: what a program has no room for stays in the node.

use super::handle::{Command, Door, ENDED, Line, Visitor};
use crate::gateway::Gateway;
use crate::node::{Link, Node};
use crate::session::{ClientError, Event};
use crate::time::Now;
use mio::Waker;
use std::collections::HashMap;
use std::sync::Arc;

struct Program {
    gateway: Gateway,
    line: Arc<Line>,
}

/// See the module.
pub(super) struct Programs {
    door: Door,
    open: HashMap<Link, Program>,
    by_number: HashMap<u64, Link>,
}

impl Programs {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self { door: Door::new(waker), open: HashMap::new(), by_number: HashMap::new() }
    }

    pub(super) fn door(&self) -> Door {
        self.door.clone()
    }

    /// The loop was woken: perhaps by somebody here.
    pub(super) fn serve(&mut self, node: &mut Node, now: Now) {
        if self.door.take_stop() {
            node.stop(now);
        }
        while let Some(visitor) = self.door.next_visitor() {
            self.let_in(node, now, visitor);
        }
        while let Some(number) = self.door.next_line() {
            // None if the node has ended the session before.
            if let Some(link) = self.by_number.get(&number).copied() {
                self.serve_one(node, now, link);
            }
        }
    }

    fn let_in(&mut self, node: &mut Node, now: Now, Visitor { line, access }: Visitor) {
        match Gateway::open(node, access, &super::entropy(), now) {
            Ok(gateway) => {
                line.become_open();
                self.by_number.insert(line.number(), gateway.link());
                self.open.insert(gateway.link(), Program { gateway, line });
            }
            Err(error) => line.become_ended(error),
        }
    }

    /// One program's: what it wants, and what there is for it.
    pub(super) fn serve_one(&mut self, node: &mut Node, now: Now, link: Link) {
        let Some(program) = self.open.get_mut(&link) else { return };
        if program.line.has_left() {
            if let Some(Program { gateway, .. }) = self.remove(link) {
                gateway.close(node, now);
            }
            return;
        }
        while let Some(command) = program.line.next_command() {
            program.obey(node, now, command);
        }
        let is_open = node.is_open(link);
        let has_all = program.tell_events(node, now);
        if has_all && !is_open {
            program.line.become_ended(ClientError::Disconnected(ENDED.to_owned()));
            self.remove(link);
        }
    }

    fn remove(&mut self, link: Link) -> Option<Program> {
        let program = self.open.remove(&link)?;
        self.by_number.remove(&program.line.number());
        Some(program)
    }
}

impl Program {
    fn obey(&mut self, node: &mut Node, now: Now, command: Command) {
        match command {
            Command::Start(operation) => {
                let started = self.gateway.start(node, now, operation);
                self.line.started(started);
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
    fn tell_events(&mut self, node: &mut Node, now: Now) -> bool {
        while self.line.takes_event() {
            match self.gateway.poll_event(node, now) {
                Some(Event::Ready { .. }) => {}
                Some(event) => self.line.tell(event),
                None => return true,
            }
        }
        false
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        self.door.close();
        for Program { line, .. } in self.open.values() {
            line.become_ended(ClientError::Disconnected(ENDED.to_owned()));
        }
    }
}
