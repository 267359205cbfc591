//! A turn: what has come is handed to the server as long as it takes it, and what that changed is told to the shell.
//!
//! Invariant: a connection that waits for the server is looked at when something has happened to it, or when the server
//! takes again from everybody; so none is forgotten, and many that wait cost nothing.

use super::entrance::Entry;
use super::local::LeafPlace;
use super::{Action, Ending, Node};
use crate::conn::{Event, Stage};
use crate::seeded::{self, Bug};
use crate::server::{Leaves, Link};
use crate::session::Output;
use crate::time::Now;
use bytes::Bytes;

impl Node {
    /// Takes in bytes of a connection, as long as the server takes what comes of them; the rest stays unread.
    pub(super) fn ingest(&mut self, now: Now, link: Link, mut bytes: &[u8]) {
        self.connections.touch(link);
        while !bytes.is_empty() {
            let takes = self.server.read_max(link) > 0;
            let Some(native) = self.connections.native(link) else {
                return;
            };
            if !takes {
                native.unread = Bytes::copy_from_slice(bytes);
                self.connections.wait(link);
                return;
            }
            let result = native.conn.receive(now.instant, &mut bytes);
            self.note_stage(now, link);
            self.dispatch_events(now, link);
            if let Err(error) = result {
                return self.end(now, link, Ending::Conn(error));
            }
        }
    }

    /// Tells the server what has come.
    fn dispatch_events(&mut self, now: Now, link: Link) {
        while let Some(native) = self.connections.native(link) {
            let Some(event) = native.conn.poll_received() else {
                return;
            };
            let reached = native.reached;
            match event {
                Event::Established { static_key } => {
                    if self.connections.len() > self.connections_max {
                        return self.end(now, link, Ending::TooManyConnections);
                    }
                    self.server.established(now, link, static_key, reached);
                }
                Event::Message(message) => self.server.message(now, link, message),
                Event::Opened(open) => self.server.leaves(now, link, Leaves::Opened(open)),
                Event::Chunk { index, data } => {
                    self.server.leaves(now, link, Leaves::Leaf { index, data });
                }
                Event::Ended => self.server.leaves(now, link, Leaves::Ended),
                Event::Aborted => self.server.leaves(now, link, Leaves::Aborted),
                Event::StreamLow | Event::StreamSent => {}
            }
            self.apply_outputs(now);
        }
    }

    /// Tells the entrance how far a connection has come. Another may have to give way, which has proved as much.
    fn note_stage(&mut self, now: Now, link: Link) {
        let Some(native) = self.connections.native(link) else {
            return;
        };
        let stage = native.conn.stage();
        if std::mem::replace(&mut native.stage, stage) == stage {
            return;
        }
        match stage {
            Stage::Unauthenticated => {}
            Stage::Handshaking => match self.entrance.proved(link) {
                Entry::InPlaceOf(other) => self.end(now, other, Ending::MadeRoom),
                Entry::Refused => self.end(now, link, Ending::TooManyHandshakes),
                Entry::Free => {}
            },
            Stage::Established => self.entrance.left(link),
        }
    }

    /// The end of every door: what the server wants is done, and the shell is told what changed.
    pub(super) fn run_turn(&mut self, now: Now) {
        while let Some(link) = self.guards.next_dropped() {
            self.end(now, link, Ending::Abandoned);
        }
        self.server.end_turn(now);
        self.apply_outputs(now);
        loop {
            let mut moved = self.wake(now);
            for link in self.connections.touched_locals() {
                moved |= self.serve_program(now, link);
            }
            if !moved {
                break;
            }
            self.server.end_turn(now);
            self.apply_outputs(now);
        }
        for link in self.connections.take_touched() {
            let of_server = self.server.held_bytes(link);
            self.actions.extend(self.connections.flush_state(now.instant, link, of_server));
        }
        while let Some(link) = self.connections.one_too_many(now.instant) {
            self.end(now, link, Ending::MemoryKept);
        }
    }

    /// Goes on with connections that waited for the server to take more. True if it took something.
    fn wake(&mut self, now: Now) -> bool {
        let before = std::mem::replace(&mut self.pressure, self.server.pressure());
        let eased = before.eased(self.pressure);
        // Otherwise only those can go on with which something has happened: looking at all would cost too much.
        let woken: Vec<Link> = match eased {
            true => self.connections.waiting(),
            false => self.connections.touched_waiting(),
        };
        let mut took = false;
        for link in woken {
            if self.server.read_max(link) > 0 {
                took |= self.wake_one(now, link);
            }
        }
        self.pressure = self.server.pressure();
        took
    }

    /// True if something was taken in.
    fn wake_one(&mut self, now: Now, link: Link) -> bool {
        if self.connections.local(link).is_some() {
            self.connections.go_on(link);
            return self.serve_program(now, link);
        }
        let unread = self.connections.take_unread(link);
        let before = unread.len();
        self.ingest(now, link, &unread);
        let after = self.connections.unread_bytes(link);
        if after == 0
            && let Some(native) = self.connections.native(link)
        {
            let was_paused = std::mem::take(&mut native.paused);
            if was_paused {
                native.conn.resume(now.instant);
            }
            self.connections.go_on(link);
            if was_paused {
                self.connections.touch(link);
                if !seeded::is_on(Bug::ForgetPaused) {
                    self.actions.push_back(Action::Read { link });
                }
            }
        }
        after < before
    }

    /// Moves what a program in this process and the server have for each other. True if anything moved.
    fn serve_program(&mut self, now: Now, link: Link) -> bool {
        if let Some(local) = self.connections.local(link) {
            local.note_time(now.instant);
        }
        let mut moved = false;
        while self.give(now, link) | self.take(now, link) {
            moved = true;
        }
        if let Some(local) = self.connections.local(link) {
            local.end_turn(now.instant);
            self.connections.touch(link);
        }
        moved
    }

    /// From a program's session to the server, as long as that takes it. True if anything moved.
    fn give(&mut self, now: Now, link: Link) -> bool {
        let mut moved = false;
        loop {
            let takes = self.server.read_max(link) > 0;
            let Some(local) = self.connections.local(link).filter(|local| local.has_output())
            else {
                return moved;
            };
            if !takes {
                self.connections.wait(link);
                return moved;
            }
            if let Some(output) = local.poll_output() {
                self.give_one(now, link, output);
                self.apply_outputs(now);
                moved = true;
            }
        }
    }

    fn give_one(&mut self, now: Now, link: Link, output: Output) {
        match output {
            Output::Send(message) => self.server.message(now, link, message),
            Output::OpenStream(open) => {
                if let Some(local) = self.connections.local(link) {
                    local.stream_opened(&open);
                }
                self.server.leaves(now, link, Leaves::Opened(open));
            }
            Output::Chunk(data) => {
                let place = self
                    .connections
                    .local(link)
                    .and_then(|local| local.leaf_taken(now.instant, data.len()));
                let Some(LeafPlace { index, is_last }) = place else { return };
                self.server.leaves(now, link, Leaves::Leaf { index, data });
                if is_last {
                    self.apply_outputs(now);
                    self.server.leaves(now, link, Leaves::Ended);
                    let next =
                        self.connections.local(link).map(|local| local.stream_ended(now.instant));
                    debug_assert!(!matches!(next, Some(Err(_))), "a stream of its own has ended");
                }
            }
        }
    }

    /// From the server to a program's session, as long as the program takes it. True if anything moved.
    fn take(&mut self, now: Now, link: Link) -> bool {
        let mut moved = false;
        while let Some(local) = self.connections.local(link).filter(|local| local.takes_more()) {
            let Ok(heard) = local.hear(now.instant) else {
                self.end(now, link, Ending::Refused);
                return true;
            };
            let (low, sent) = (local.mailbox().take_low(), local.mailbox().take_sent());
            if low {
                self.server.leaves(now, link, Leaves::Low);
            }
            if sent {
                self.server.leaves(now, link, Leaves::Sent);
            }
            self.apply_outputs(now);
            if !(heard || low) {
                break;
            }
            moved = true;
        }
        if moved && let Some(local) = self.connections.local(link) {
            let waiting = local.outbox_bytes();
            self.server.outbox_level(now, link, waiting);
            self.apply_outputs(now);
        }
        moved
    }
}
