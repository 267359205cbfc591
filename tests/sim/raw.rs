//! A client that says exactly what a test tells it to say: for what the real client would never do, and for looking at
//! answers one by one.

use super::world::World;
use bytes::Bytes;
use dfsd::conn::{Conn, ConnKeys, Event, Side};
use dfsd::crypto::keys::NodeKey;
use dfsd::crypto::tree;
use dfsd::ids::Address;
use dfsd::keyring::permit::permit;
use dfsd::limits::{LEAF, PERMIT_LIFE};
use dfsd::node::Link;
use dfsd::time::{stamp_after, stamp_at};
use dfsd::wire::frame::Open;
use dfsd::wire::message::{BlockRef, Hello, Message, Request, Role};
use dfsd::wire::settings::Settings;
use std::collections::VecDeque;
use std::time::Duration;

/// Blocks on offer, with the permit of a writer.
pub(super) fn offer_of(world: &World, request: Request, blocks: Vec<BlockRef>) -> Message {
    let permit = Some(permit(world.write_key(), &blocks, an_hour_on(world)));
    Message::Offer { request, blocks, permit }
}

/// A page to be put, with the permit of a writer.
pub(super) fn page_of(world: &World, request: Request, page: Bytes) -> Message {
    let (address, length) = (Address(tree::tree(&page).0), page.len() as u32);
    let block = BlockRef { address, length };
    let permit = Some(permit(world.write_key(), &[block], an_hour_on(world)));
    Message::PutPage { request, page, permit }
}

/// What a network is set to where nobody has set anything.
pub(super) fn default_settings() -> u64 {
    Settings::default().digest()
}

fn an_hour_on(world: &World) -> u64 {
    stamp_after(stamp_at(world.time().wall_ms), PERMIT_LIFE)
}

/// A connection to the node of one machine.
pub(super) struct RawClient {
    machine: usize,
    boot: u64,
    link: Link,
    conn: Conn,
    /// It has said that it is a client: it is given grants, which are no answers.
    is_client: bool,
    pub key: NodeKey,
    events: VecDeque<Event>,
    /// All that was said, if somebody listens.
    said: Option<Vec<u8>>,
}

impl RawClient {
    /// A client that has said hello.
    pub(super) fn connect(world: &mut World, machine: usize) -> Self {
        Self::connect_as(world, machine, Role::Client)
    }

    pub(super) fn connect_as(world: &mut World, machine: usize, role: Role) -> Self {
        let mut client = Self::connect_silent(world, machine);
        client.hello(role);
        client.pump(world);
        client
    }

    /// One that has not said anything but the handshake.
    pub(super) fn connect_silent(world: &mut World, machine: usize) -> Self {
        Self::try_connect(world, machine).expect("the node takes connections")
    }

    /// The same; none if the node takes no connection now.
    pub(super) fn try_connect(world: &mut World, machine: usize) -> Option<Self> {
        let key = NodeKey::generate(&world.entropy());
        Self::try_connect_with(world, machine, key)
    }

    /// The same, with this key.
    pub(super) fn connect_with(world: &mut World, machine: usize, key: NodeKey) -> Self {
        Self::try_connect_with(world, machine, key).expect("the node takes connections")
    }

    fn try_connect_with(world: &mut World, machine: usize, key: NodeKey) -> Option<Self> {
        let (cluster, network_secret) = world.network_keys();
        let static_secret = *key.static_secret();
        let keys = ConnKeys { cluster, network_secret, epoch: 1, static_secret };
        let entropy = world.entropy();
        let conn = Conn::new(Side::Dialer, &keys, entropy, world.time().instant);
        let link = world.accept(machine)?;
        let boot = world.machines[machine].boots;
        let (is_client, events) = (false, VecDeque::new());
        Some(Self { machine, boot, link, conn, is_client, key, events, said: None })
    }

    /// A member's connection, and all the bytes that it has said until it was let in.
    pub(super) fn overheard(world: &mut World, machine: usize) -> Option<(Self, Vec<u8>)> {
        let mut client = Self::try_connect(world, machine)?;
        client.said = Some(Vec::new());
        client.hello(Role::Client);
        client.pump(world);
        let said = client.said.take().unwrap_or_default();
        Some((client, said))
    }

    pub(super) fn hello(&mut self, role: Role) {
        self.hello_of(role, 0, Vec::new());
    }

    /// The same, of a node that was started with this number.
    pub(super) fn hello_since(&mut self, role: Role, boot: u64) {
        self.hello_of(role, boot, Vec::new());
    }

    /// The same, of one that says it can be dialled there.
    pub(super) fn hello_from(&mut self, role: Role, addresses: Vec<String>) {
        self.hello_of(role, 0, addresses);
    }

    fn hello_of(&mut self, role: Role, boot: u64, addresses: Vec<String>) {
        self.is_client = role == Role::Client;
        let verify_key = self.key.verify_key();
        self.send(&Message::Hello(Hello {
            role,
            verify_key,
            boot,
            addresses,
            store: Default::default(),
            group: 0,
            clock: 0,
        }));
    }

    /// Bytes that are no part of the conversation.
    pub(super) fn send_raw(&mut self, world: &mut World, bytes: &[u8]) {
        world.hand_over(self.machine, self.link, bytes);
    }

    pub(super) fn send(&mut self, message: &Message) {
        self.conn.send(message);
    }

    /// Sends leaves of a block, as a `Want` asked.
    pub(super) fn stream(&mut self, block: &[u8], first: u8, count: u8) {
        self.open(block, first, count);
        for leaf in block.chunks(LEAF).skip(first.into()).take(count.into()) {
            self.conn.push_chunk(Bytes::copy_from_slice(leaf));
        }
    }

    /// Begins a stream of these leaves.
    pub(super) fn open(&mut self, block: &[u8], first: u8, count: u8) {
        let leaves = tree::leaf_hashes(block);
        let address = Address(tree::root(&leaves).0);
        let length = u32::try_from(block.len()).unwrap();
        self.conn.open_stream(&Open { address, length, first, count, leaves });
    }

    /// One is not over yet.
    pub(super) fn is_streaming(&self) -> bool {
        self.conn.is_streaming()
    }

    /// Stops in the middle of one.
    pub(super) fn abort(&mut self) {
        self.conn.abort_stream();
    }

    /// The next leaf of it.
    pub(super) fn push_chunk(&mut self, chunk: &[u8]) {
        self.conn.push_chunk(Bytes::copy_from_slice(chunk));
    }

    /// Whether the node takes more of what is said here.
    pub(super) fn is_read(&self, world: &mut World) -> bool {
        world.wants_read(self.machine, self.link)
    }

    /// The node still runs, and has not closed this connection.
    pub(super) fn is_alive(&self, world: &World) -> bool {
        let machine = &world.machines[self.machine];
        world.is_running(self.machine)
            && machine.boots == self.boot
            && !world.has_hung_up(self.machine, self.link)
    }

    /// Ends the connection.
    pub(super) fn hang_up(self, world: &mut World) {
        if self.is_alive(world) {
            world.hang_up(self.machine, self.link);
        }
    }

    /// Moves bytes both ways until nothing moves.
    pub(super) fn pump(&mut self, world: &mut World) {
        while self.is_alive(world) && !world.is_frozen(self.machine) {
            let now = world.time();
            let mut out = Vec::new();
            if world.wants_read(self.machine, self.link) {
                self.conn.transmit(now.instant, &mut out, 64 * 1024);
            }
            let mut moved = !out.is_empty();
            if let Some(said) = &mut self.said {
                said.extend_from_slice(&out);
            }
            if moved {
                world.hand_over(self.machine, self.link, &out);
            }
            let back = world.take_sent(self.machine, self.link);
            if !back.is_empty() {
                moved = true;
                self.conn.received(now.instant, &back).expect("a node keeps the rules");
            }
            while let Some(event) = self.conn.poll_event() {
                self.events.push_back(event);
            }
            if !moved {
                return;
            }
        }
    }

    /// Sends a message and takes nothing that the node has to say, as if the socket were full. False if the node would
    /// not read it, and it was not sent.
    pub(super) fn push_only(&mut self, world: &mut World, message: &Message) -> bool {
        if !world.wants_read(self.machine, self.link) {
            return false;
        }
        self.conn.send(message);
        let mut out = Vec::new();
        self.conn.transmit(world.time().instant, &mut out, usize::MAX);
        world.hand_over(self.machine, self.link, &out);
        true
    }

    /// What the node has said, or the connection has done, if anything.
    pub(super) fn poll(&mut self, world: &mut World) -> Option<Event> {
        self.pump(world);
        self.events.pop_front()
    }

    /// The next thing that the node says, within ten seconds of the world.
    pub(super) fn event(&mut self, world: &mut World) -> Option<Event> {
        for _ in 0..1000 {
            self.pump(world);
            while let Some(event) = self.events.pop_front() {
                match event {
                    Event::Established { .. } | Event::StreamLow | Event::StreamSent => {}
                    Event::Message(Message::Hello(_)) => {}
                    Event::Message(Message::Records { .. }) if self.is_client => {}
                    event => return Some(event),
                }
            }
            world.run(Duration::from_millis(10), |_| false);
        }
        None
    }

    /// The next message.
    pub(super) fn message(&mut self, world: &mut World) -> Option<Message> {
        match self.event(world)? {
            Event::Message(message) => Some(message),
            event => panic!("a message was expected, not {event:?}"),
        }
    }
}
