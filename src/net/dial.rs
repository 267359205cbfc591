//! Dialling: an address that is a number is used at once; a name is looked up, and every address that it has is tried in
//! turn.
//!
//! Knows no connection but by its number. Invariant: each `Action::Dial` comes to exactly one end, unless the node
//! closes the link before.

use super::event_loop::EventLoop;
use super::socket::Socket;
use crate::node::{Link, Node};
use mio::net::TcpStream;
use mio::{Interest, Token};
use std::collections::VecDeque;
use std::net::SocketAddr;

impl EventLoop {
    pub(super) fn dial(&mut self, node: &mut Node, link: Link, address: &str) {
        if let Ok(address) = address.parse() {
            return self.connect(node, link, VecDeque::from([address]));
        }
        if !self.lookups.begin(link, address) {
            let now = self.now();
            node.closed(now, link);
        }
    }

    pub(super) fn dial_found(&mut self, node: &mut Node) {
        while let Some((link, addresses)) = self.lookups.next() {
            self.connect(node, link, addresses);
        }
    }

    /// Tries the first of these addresses that the system lets us try; without any, the dial has failed.
    pub(super) fn connect(
        &mut self,
        node: &mut Node,
        link: Link,
        mut addresses: VecDeque<SocketAddr>,
    ) {
        while let Some(address) = addresses.pop_front() {
            match TcpStream::connect(address) {
                Ok(stream) => return self.add(node, Socket::dialled(stream, link, addresses)),
                Err(error) => log::debug!("can't dial {address}: {error}"),
            }
        }
        let now = self.now();
        node.closed(now, link);
    }

    /// Watches a new socket.
    pub(super) fn add(&mut self, node: &mut Node, mut socket: Socket) {
        let entry = self.sockets.vacant_entry();
        let key = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        // Without it small answers would wait for the other side's acknowledgements; it can't be had on a dying socket only.
        let _ = socket.stream.set_nodelay(true);
        let registry = self.poll.registry();
        let link = socket.link;
        match registry.register(&mut socket.stream, Token(key), interest) {
            Ok(()) => {
                entry.insert(socket);
                self.by_link.insert(link, key);
                self.queue(key);
            }
            Err(error) => {
                log::warn!("a connection could not be watched: {error}");
                let now = self.now();
                node.closed(now, link);
            }
        }
    }

    /// A dialled socket has become ready: it is connected, or it is not, or there is no telling yet.
    pub(super) fn connect_finished(&mut self, node: &mut Node, key: usize) {
        let Some(socket) = self.sockets.get_mut(key) else {
            return;
        };
        if !socket.is_connecting() {
            return;
        }
        if matches!(socket.stream.take_error(), Ok(Some(_)) | Err(_)) {
            return self.try_next(node, key);
        }
        if socket.writable && socket.stream.peer_addr().is_ok() {
            socket.become_connected();
            let (link, now) = (socket.link, self.now());
            node.dialled(now, link, super::entropy());
        }
    }

    /// This address leads nowhere.
    fn try_next(&mut self, node: &mut Node, key: usize) {
        if let Some(socket) = self.sockets.try_remove(key) {
            self.by_link.remove(&socket.link);
            let (link, others) = socket.into_others();
            self.connect(node, link, others);
        }
    }
}
