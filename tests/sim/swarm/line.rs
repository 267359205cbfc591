//! A client's line to a node: a real session, and its connection, which the world may cut in pieces or break.
//!
//! Knows no operation. Invariant: a line that has ended says why once, and moves nothing any more.

use crate::sim::world::World;
use dfsd::client::{Entropy, RemoteSession};
use dfsd::crypto::keys::NodeKey;
use dfsd::ids::Writer;
use dfsd::keyring::Access;
use dfsd::node::Link;
use dfsd::session::ClientError;

/// The most that moves each way in one go.
const PIECE: usize = 64 * 1024;

/// See the module.
pub(super) struct Line {
    pub(super) machine: usize,
    pub(super) boot: u64,
    /// No other session has the same.
    pub(super) writer: Writer,
    pub(super) session: RemoteSession,
    link: Link,
}

impl Line {
    /// Connects to the node of a machine, if it takes connections now.
    pub(super) fn open(
        world: &mut World,
        machine: usize,
        access: Access,
        entropy: &Entropy,
    ) -> Option<Self> {
        let now = world.time().instant;
        let session = RemoteSession::new(access, entropy, now);
        let writer = NodeKey::generate(&entropy.key).writer();
        let link = world.accept(machine)?;
        let boot = world.machines[machine].boots;
        Some(Self { machine, boot, writer, session, link })
    }

    /// The node still runs, and has not closed the connection.
    pub(super) fn is_open(&self, world: &World) -> bool {
        world.is_running(self.machine)
            && world.machines[self.machine].boots == self.boot
            && !world.has_hung_up(self.machine, self.link)
    }

    /// Moves bytes both ways, at most `rounds` times a piece. True if anything moved.
    pub(super) fn pump(&mut self, world: &mut World, rounds: usize) -> Result<bool, ClientError> {
        let now = world.time().instant;
        if self.session.poll_timeout().is_some_and(|due| due <= now) {
            self.session.handle_timeout(now)?;
        }
        let mut moved = false;
        for _ in 0..rounds {
            if world.is_frozen(self.machine) || !self.is_open(world) {
                break;
            }
            let mut out = Vec::new();
            if self.session.wants_transmit() && world.wants_read(self.machine, self.link) {
                self.session.transmit(now, &mut out, PIECE);
                // In two pieces, as a network may cut them.
                let (one, two) = out.split_at(out.len() / 3);
                for piece in [one, two].into_iter().filter(|piece| !piece.is_empty()) {
                    world.hand_over(self.machine, self.link, piece);
                }
            }
            let back = world.take_sent(self.machine, self.link);
            if out.is_empty() && back.is_empty() {
                break;
            }
            moved = true;
            if !back.is_empty() {
                self.session.received(now, &back)?;
            }
        }
        if !self.is_open(world) {
            return Err(ClientError::Disconnected("the node is gone".to_owned()));
        }
        Ok(moved)
    }

    /// Ends the connection as a program does.
    pub(super) fn hang_up(self, world: &mut World) {
        if self.is_open(world) {
            world.hang_up(self.machine, self.link);
        }
    }
}
