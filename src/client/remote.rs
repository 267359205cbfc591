//! A session across a connection, without its socket: bytes in and out, and the operations of the session.
//!
//! Knows no operation and no socket. Invariants: what the session has to say is queued on the connection before anything
//! else happens there; an error is final, and whoever gets one tells the session by `closed`.

use crate::conn::{self, Conn, ConnError, ConnKeys, Side, Wait};
use crate::crypto::keys::NodeKey;
use crate::ids::NodeId;
use crate::keyring::Access;
use crate::limits::OUTBOX_HARD_MAX;
use crate::seeded::{self, Bug};
use crate::session::{ClientError, Event, Input, Op, Operation, Output, Session, Where};
use crate::time::Instant;
use crate::wire::message::Message;

/// Secret randomness for a session: for its key and for its handshake.
pub struct Entropy {
    /// For the session's key.
    pub key: [u8; 32],
    /// For the handshake.
    pub handshake: [u8; 32],
}

/// See the module.
#[allow(missing_debug_implementations, reason = "it holds keys")]
pub struct RemoteSession {
    session: Session,
    conn: Conn,
}

impl RemoteSession {
    /// A session of somebody with this access; the dialler of a connection that is about to open.
    #[must_use]
    pub fn new(access: Access, entropy: &Entropy, now: Instant) -> Self {
        let key = NodeKey::generate(&entropy.key);
        let keys = ConnKeys::new(&access.network, &key);
        let conn = Conn::new(Side::Dialer, &keys, entropy.handshake, now);
        let session = Session::new(access, &key, Where::Elsewhere, now);
        let mut remote = Self { session, conn };
        remote.queue();
        remote
    }

    /// The node at the other end, once it has said hello.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.session.node()
    }

    /// See `Session::start`.
    pub fn start(&mut self, now: Instant, operation: Operation) -> Op {
        let op = self.session.start(now, operation);
        self.queue();
        op
    }

    /// See `Session::feed`.
    pub fn feed(&mut self, op: Op, bytes: &[u8]) -> usize {
        let taken = self.session.feed(op, bytes);
        self.queue();
        taken
    }

    /// See `Session::feed_end`.
    pub fn feed_end(&mut self, op: Op) {
        self.session.feed_end(op);
        self.queue();
    }

    /// See `Session::abort`.
    pub fn abort(&mut self, op: Op) {
        self.session.abort(op);
        self.queue();
    }

    /// See `Session::set_calendar`.
    pub fn set_calendar(&mut self, wall_ms: Option<u64>) {
        self.session.set_calendar(wall_ms);
    }

    /// What has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.session.poll_event()
    }

    /// Bytes have come. An error ends the session.
    pub fn received(&mut self, now: Instant, bytes: &[u8]) -> Result<(), ClientError> {
        let result = self.conn.received(now, bytes);
        self.hand_over(now)?;
        self.session.end_turn(now);
        result.map_err(|error| ended_by(&error))
    }

    /// Appends what is to be sent next.
    pub fn transmit(&mut self, now: Instant, out: &mut Vec<u8>, max: usize) {
        let before = out.len();
        let streaming = self.conn.is_streaming();
        self.conn.transmit(now, out, max);
        if streaming && out.len() > before {
            self.session.sent(now, out.len() - before);
        }
        while let Some(event) = self.conn.poll_sent() {
            if event == conn::Event::StreamSent {
                let _ = self.session.received(now, Input::StreamSent);
                self.queue();
            }
        }
        self.session.end_turn(now);
    }

    /// Whether there is something to send.
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        self.conn.wants_transmit()
    }

    /// When `handle_timeout` wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.session.poll_timeout().into_iter().chain(self.conn.poll_timeout()).min()
    }

    /// Ends operations without progress. An error ends the session.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ClientError> {
        self.session.handle_timeout(now);
        self.queue();
        self.conn.handle_timeout(now).map_err(|error| ended_by(&error))
    }

    /// The program takes no events for a while; what comes meanwhile stays in the socket, which is not the node's fault.
    pub fn pause(&mut self) {
        self.session.pause();
        self.conn.pause();
    }

    /// The program takes events again.
    pub fn resume(&mut self, now: Instant) {
        self.conn.resume(now);
        self.session.resume(now);
    }

    /// The connection has ended: so has everything that was under way.
    pub fn closed(&mut self, why: &str) -> ClientError {
        let error = self.broken(why);
        self.session.closed(&error);
        error
    }

    /// An end alone says nothing of keys: a node that refuses one says so. Until it has said hello it
    /// has let nobody in, and nothing was under way.
    fn broken(&self, why: &str) -> ClientError {
        if seeded::is_on(Bug::BusyIsWrongNetwork) && self.conn.stage() != conn::Stage::Established {
            return ClientError::WrongNetwork;
        }
        match self.session.node() {
            Some(_) => ClientError::Disconnected(why.to_owned()),
            None => ClientError::Unreachable(format!(
                "{why} before it let us in: it is busy or out of reach, try again"
            )),
        }
    }

    /// Tells the session what has come.
    fn hand_over(&mut self, now: Instant) -> Result<(), ClientError> {
        while let Some(event) = self.conn.poll_event() {
            let input = match event {
                conn::Event::Established { static_key } => {
                    self.session.established(static_key);
                    continue;
                }
                conn::Event::Message(message) => Input::Message(message),
                conn::Event::Opened(open) => Input::Opened(open),
                conn::Event::Chunk { index, data } => Input::Chunk { index, data },
                conn::Event::Ended => Input::Ended,
                conn::Event::Aborted => Input::Aborted,
                conn::Event::StreamSent => Input::StreamSent,
                // All leaves of a stream of ours are given at once.
                conn::Event::StreamLow => continue,
            };
            self.check_outbox(&input)?;
            self.session.received(now, input)?;
            self.queue();
        }
        Ok(())
    }

    /// A node that takes no answers and wants ever more makes us keep them.
    fn check_outbox(&self, input: &Input) -> Result<(), ClientError> {
        let wants = matches!(input, Input::Message(Message::Want { .. }));
        let is_full = self.conn.outbox_bytes() > OUTBOX_HARD_MAX;
        if wants && is_full && !seeded::is_on(Bug::UnboundedNodeWants) {
            return Err(ClientError::Protocol("it wants too much at once".to_owned()));
        }
        Ok(())
    }

    /// Queues what the session has to say.
    fn queue(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(message) => self.conn.send(&message),
                Output::OpenStream(open) => self.conn.open_stream(&open),
                Output::Chunk(data) => self.conn.push_chunk(data),
            }
        }
    }
}

/// Why the connection's own rules have ended it.
fn ended_by(error: &ConnError) -> ClientError {
    match error {
        ConnError::Unauthenticated | ConnError::Epoch { .. } => ClientError::WrongNetwork,
        ConnError::Version { .. } => ClientError::Protocol(error.to_string()),
        ConnError::TimedOut(Wait::Handshake) => ClientError::Unreachable(error.to_string()),
        ConnError::TimedOut(Wait::Frame | Wait::Arrival | Wait::Departure)
        | ConnError::Broke(_) => ClientError::Disconnected(error.to_string()),
    }
}
