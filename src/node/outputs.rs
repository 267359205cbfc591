//! What the server wants is done here: on a connection, or by the shell. And how a connection ends.
//!
//! Takes in nothing. Invariant: a connection that ends is taken out of every table, and the server is told once.

use super::connection::Connection;
use super::entrance::Entry;
use super::local::Local;
use super::{Action, Ending, Node, Outcome};
use crate::ids::NodeId;
use crate::limits::{HANDSHAKE_TIMEOUT, OUTBOX_HARD_MAX};
use crate::seeded::{self, Bug};
use crate::server::{Leaves, Link, Output, Reached};
use crate::session::ClientError;
use crate::time::Now;
use crate::wire::message::PeerAddress;

impl Node {
    pub(super) fn apply_outputs(&mut self, now: Now) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Send { link, message } => {
                    if let Some(connection) = self.connections.touch(link) {
                        connection.send(message);
                        let waiting = connection.outbox_bytes();
                        self.server.outbox_grown(link, waiting);
                        if waiting > OUTBOX_HARD_MAX {
                            self.end(now, link, Ending::OutboxFull);
                        }
                    }
                }
                Output::OpenStream { link, open } => {
                    if let Some(connection) = self.connections.touch(link) {
                        connection.open_stream(open);
                    }
                }
                Output::Chunk { link, data } => {
                    if let Some(connection) = self.connections.touch(link) {
                        connection.push_chunk(data);
                    }
                }
                Output::TakeBack { link } => {
                    if let Some(connection) = self.connections.touch(link) {
                        let count = connection.take_back_chunks();
                        self.server.leaves(now, link, Leaves::TakenBack { count });
                    }
                }
                Output::AbortStream { link } => {
                    if let Some(connection) = self.connections.touch(link) {
                        connection.abort_stream();
                    }
                }
                Output::Close { link, why } => self.end(now, link, Ending::Server(why)),
                Output::Dial(peer) => self.dial(now, peer),
                Output::Job(job) => self.actions.push_back(Action::Job(job)),
                Output::Drained => self.actions.push_back(Action::Stopped(Outcome::Drained)),
                Output::Failed(why) => {
                    self.actions.push_back(Action::Stopped(Outcome::DiskFailed(why)));
                }
            }
        }
    }

    fn dial(&mut self, now: Now, peer: PeerAddress) {
        let link = self.connections.new_link();
        match self.entrance.dials(link) {
            Entry::Refused => {
                let why = Ending::TooManyHandshakes.to_string();
                return self.server.dial_failed(now, peer.node, &why);
            }
            Entry::InPlaceOf(other) => self.end(now, other, Ending::MadeRoom),
            Entry::Free => {}
        }
        let until = now.instant + HANDSHAKE_TIMEOUT;
        self.dialling.insert(link, (peer.node, until));
        self.connections.set_timer(until, link);
        self.actions.push_back(Action::Dial { link, address: peer.address });
    }

    pub(super) fn dial_ended(&mut self, link: Link) -> Option<NodeId> {
        let (node, until) = self.dialling.remove(&link)?;
        self.connections.unset_timer(until, link);
        Some(node)
    }

    /// Ends a connection from this side.
    pub(super) fn end(&mut self, now: Now, link: Link, why: Ending) {
        log::debug!("connection {link} is closed: {why}");
        if let Some(node) = self.dial_ended(link) {
            self.entrance.left(link);
            self.server.dial_failed(now, node, &why.to_string());
            self.actions.push_back(Action::Close { link, why });
        }
        if let Some(connection) = self.remove(now, link, Some(why)) {
            match connection {
                Connection::Native(native) => drop(self.closing.insert(link, native.conn)),
                // Nobody would take it.
                Connection::Local(_) if why == Ending::Abandoned => {}
                Connection::Local(local) => {
                    self.keep_events(link, *local, &format!("the node closed it: {why}"));
                }
            }
            self.actions.push_back(Action::Close { link, why });
        }
    }

    /// A session of a program has ended for this reason. What it had come to by then is the program's all the same.
    pub(super) fn keep_events(&mut self, link: Link, local: Local, why: &str) {
        if !seeded::is_on(Bug::MissClosing) {
            let events = local.close(&ClientError::Disconnected(why.to_owned()));
            self.guards.keep(link, events);
        }
    }

    /// Takes a connection out of everything, and tells the server. `why`: if this side has ended it.
    pub(super) fn remove(
        &mut self,
        now: Now,
        link: Link,
        why: Option<Ending>,
    ) -> Option<Connection> {
        let connection = self.connections.remove(link)?;
        self.entrance.left(link);
        self.server.link_closed(now, link);
        if let Reached::Dialled(node) = connection.reached() {
            let why =
                why.map_or_else(|| "the other side closed it".to_owned(), |it| it.to_string());
            self.server.dial_failed(now, node, &why);
        }
        Some(connection)
    }
}
