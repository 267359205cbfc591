//! A program's way into a node that an event loop runs: two queues and the loop's waker.
//!
//! The program's end may be used from any thread but the loop's. Knows no operation. Invariants: both queues have bounds:
//! a program that gives more than the loop takes waits, and one that takes nothing leaves its events in the node, where
//! its session pauses; every call ends, also when the loop has.

use crate::keyring::Access;
use crate::limits::{HANDLE_COMMANDS_MAX, HANDLE_EVENTS_MAX, HANDLES_WAITING_MAX};
use crate::session::{ClientError, Event, Op, Operation};
use mio::Waker;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Something that a program wants of its session.
#[derive(Debug)]
pub(super) enum Command {
    /// Its number is the answer.
    Start(Operation),
    Feed(Op, Vec<u8>),
    FeedEnd(Op),
    Abort(Op),
}

/// What both ends of a handle share.
pub(super) struct Channel {
    /// No other of the loop has the same.
    number: u64,
    state: Mutex<State>,
    changed: Condvar,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct State {
    commands: VecDeque<Command>,
    events: VecDeque<Event>,
    /// The answer to the last `Start`.
    started: Option<Result<Op, ClientError>>,
    /// The session is there.
    open: bool,
    /// The loop keeps events back.
    full: bool,
    /// How it has ended.
    ended: Option<ClientError>,
    /// The program has closed it.
    closed_by_program: bool,
}

fn lock<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program's doors.
impl Channel {
    fn new(number: u64, shared: Arc<Shared>) -> Self {
        Self { number, state: Mutex::default(), changed: Condvar::new(), shared }
    }

    /// Has the loop look at this channel.
    fn call(&self) {
        self.shared.notify(|requests| {
            requests.active.insert(self.number);
        });
    }

    /// Waits for what this finds; an error is the channel's end, behind all that was found before.
    fn wait<T>(&self, mut find: impl FnMut(&mut State) -> Option<T>) -> Result<T, ClientError> {
        let mut state = lock(&self.state);
        loop {
            if let Some(found) = find(&mut state) {
                return Ok(found);
            }
            if let Some(error) = &state.ended {
                return Err(error.clone());
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn command(&self, command: Command) -> Result<(), ClientError> {
        let mut command = Some(command);
        self.wait(|state| {
            if state.commands.len() >= HANDLE_COMMANDS_MAX {
                return None;
            }
            state.commands.extend(command.take());
            Some(())
        })?;
        self.call();
        Ok(())
    }
}

/// The loop's doors.
impl Channel {
    /// The session is there.
    pub(super) fn become_open(&self) {
        lock(&self.state).open = true;
        self.changed.notify_all();
    }

    /// Nothing more comes.
    pub(super) fn become_ended(&self, error: ClientError) {
        lock(&self.state).ended.get_or_insert(error);
        self.changed.notify_all();
    }

    /// What the program wants next.
    pub(super) fn next_command(&self) -> Option<Command> {
        let command = lock(&self.state).commands.pop_front();
        if command.is_some() {
            self.changed.notify_all();
        }
        command
    }

    pub(super) fn started(&self, result: Result<Op, ClientError>) {
        lock(&self.state).started = Some(result);
        self.changed.notify_all();
    }

    /// Whether the program takes another event now; if not, it wakes the loop when it does.
    pub(super) fn takes_event(&self) -> bool {
        let mut state = lock(&self.state);
        state.full = state.events.len() >= HANDLE_EVENTS_MAX;
        !state.full
    }

    pub(super) fn tell(&self, event: Event) {
        lock(&self.state).events.push_back(event);
        self.changed.notify_all();
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).closed_by_program
    }
}

/// Somebody who asks for a session.
pub(super) struct OpenRequest {
    pub(super) channel: Arc<Channel>,
    pub(super) access: Access,
}

/// What is asked of a loop from outside.
#[derive(Default)]
struct Requests {
    waiting: VecDeque<OpenRequest>,
    /// Channels whose programs want something: each once.
    active: BTreeSet<u64>,
    stop: bool,
    /// The loop takes nobody any more.
    closed: bool,
    last: u64,
}

/// Where the requests are, and what wakes the loop.
struct Shared {
    requests: Mutex<Requests>,
    waker: Arc<Waker>,
}

impl Shared {
    fn notify<T>(&self, note: impl FnOnce(&mut Requests) -> T) -> T {
        let noted = note(&mut lock(&self.requests));
        // A waker that fails leaves it to the next turn.
        let _ = self.waker.wake();
        noted
    }
}

/// Where programs get their handles, and where whoever has started a loop stops it. It can be cloned, and used from any
/// thread but the loop's.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "it holds keys for moments")]
pub struct Connector {
    shared: Arc<Shared>,
}

impl Connector {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self { shared: Arc::new(Shared { requests: Mutex::default(), waker }) }
    }

    /// A session of somebody with this access. Waits until the loop has opened it.
    ///
    /// # Errors
    /// The loop has ended, the node takes no more connections, or too many wait for one.
    pub fn open(&self, access: Access) -> Result<Handle, ClientError> {
        let refused = |why: &str| Err(ClientError::Unreachable(why.to_owned()));
        let channel = self.shared.notify(|requests| {
            if requests.closed {
                return refused(ENDED);
            }
            if requests.waiting.len() >= HANDLES_WAITING_MAX {
                return refused("too many programs wait for it");
            }
            requests.last += 1;
            let channel = Arc::new(Channel::new(requests.last, Arc::clone(&self.shared)));
            requests.waiting.push_back(OpenRequest { channel: Arc::clone(&channel), access });
            Ok(channel)
        })?;
        channel.wait(|state| state.open.then_some(()))?;
        Ok(Handle { channel })
    }

    /// Has the node finish what it has accepted; then the loop ends.
    pub fn stop(&self) {
        self.shared.notify(|requests| requests.stop = true);
    }

    pub(super) fn next_request(&self) -> Option<OpenRequest> {
        lock(&self.shared.requests).waiting.pop_front()
    }

    /// The channels whose programs want something; whoever calls meanwhile is among the next.
    pub(super) fn take_active(&self) -> BTreeSet<u64> {
        std::mem::take(&mut lock(&self.shared.requests).active)
    }

    /// Whether the loop is to stop; asked once.
    pub(super) fn take_stop(&self) -> bool {
        std::mem::take(&mut lock(&self.shared.requests).stop)
    }

    /// The loop ends: nobody comes in any more.
    pub(super) fn close(&self) {
        let mut requests = lock(&self.shared.requests);
        requests.closed = true;
        for OpenRequest { channel, .. } in requests.waiting.drain(..) {
            channel.become_ended(ClientError::Unreachable(ENDED.to_owned()));
        }
    }
}

/// Why nothing more comes.
pub(super) const ENDED: &str = "the node has stopped";

/// A session in the node, for one program; it is closed when it is dropped. Not for the thread of the loop, which would
/// wait for itself.
#[allow(missing_debug_implementations, reason = "there is nothing to see")]
pub struct Handle {
    channel: Arc<Channel>,
}

impl Handle {
    /// Begins an operation; what comes of it `wait` tells.
    ///
    /// # Errors
    /// The session has ended: nothing was begun.
    pub fn start(&mut self, operation: Operation) -> Result<Op, ClientError> {
        self.channel.command(Command::Start(operation))?;
        self.channel.wait(|state| state.started.take())?
    }

    /// Gives a put its next bytes: no more than its last `NeedData` has asked for, or the put is given up. Waits while the
    /// loop is behind.
    ///
    /// # Errors
    /// The session has ended.
    pub fn feed(&mut self, op: Op, bytes: &[u8]) -> Result<(), ClientError> {
        self.channel.command(Command::Feed(op, bytes.to_vec()))
    }

    /// The put has all its bytes.
    ///
    /// # Errors
    /// The session has ended.
    pub fn feed_end(&mut self, op: Op) -> Result<(), ClientError> {
        self.channel.command(Command::FeedEnd(op))
    }

    /// Gives up an operation.
    ///
    /// # Errors
    /// The session has ended.
    pub fn abort(&mut self, op: Op) -> Result<(), ClientError> {
        self.channel.command(Command::Abort(op))
    }

    /// The next event. Only to be called while an operation is under way.
    ///
    /// # Errors
    /// The session has ended, and everything that was under way with it.
    pub fn wait(&mut self) -> Result<Event, ClientError> {
        let mut wakes = false;
        let event = self.channel.wait(|state| {
            let event = state.events.pop_front();
            wakes = event.is_some() && std::mem::take(&mut state.full);
            event
        });
        if wakes {
            self.channel.call();
        }
        event
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        lock(&self.channel.state).closed_by_program = true;
        self.channel.call();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::{NetworkKey, RootKey};
    use mio::{Poll, Token};
    use std::thread;
    use std::time::Duration;

    fn connector() -> (Poll, Connector) {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        (poll, Connector::new(waker))
    }

    fn access() -> Access {
        let network = NetworkKey::generate(&[2; 32], &RootKey::generate(&[1; 32]));
        Access { network, data: None, write: None }
    }

    /// A handle that the loop has opened, and the loop's end of it.
    fn opened(connector: &Connector) -> (Handle, Arc<Channel>) {
        thread::scope(|scope| {
            let opening = scope.spawn(|| connector.open(access()));
            let channel = loop {
                match connector.next_request() {
                    Some(request) => break request.channel,
                    None => thread::sleep(Duration::from_millis(1)),
                }
            };
            channel.become_open();
            (opening.join().unwrap().unwrap(), channel)
        })
    }

    #[test]
    fn a_program_that_gives_more_than_the_loop_takes_waits() {
        let (_poll, connector) = connector();
        let (mut handle, channel) = opened(&connector);
        let op = {
            channel.started(Ok(Op::default()));
            handle.start(Operation::Status).unwrap()
        };
        while channel.next_command().is_some() {}
        thread::scope(|scope| {
            let feeding = scope.spawn(move || {
                for _ in 0..HANDLE_COMMANDS_MAX + 1 {
                    handle.feed(op, b"bytes").unwrap();
                }
                handle
            });
            thread::sleep(Duration::from_millis(50));
            assert!(!feeding.is_finished(), "one more than the bound");
            assert!(matches!(channel.next_command(), Some(Command::Feed(..))));
            let handle = feeding.join().unwrap();
            assert_eq!(std::iter::from_fn(|| channel.next_command()).count(), HANDLE_COMMANDS_MAX);
            drop(handle);
        });
        assert!(channel.is_closed());
    }

    #[test]
    fn a_program_that_takes_nothing_is_told_no_more_and_calls_when_it_does() {
        let (_poll, connector) = connector();
        let (mut handle, channel) = opened(&connector);
        let mut told = 0;
        while channel.takes_event() {
            channel.tell(Event::Progress { op: Op::default(), bytes: told });
            told += 1;
        }
        assert_eq!(told, HANDLE_EVENTS_MAX as u64);
        assert!(connector.take_active().is_empty());
        assert!(matches!(handle.wait(), Ok(Event::Progress { bytes: 0, .. })));
        assert_eq!(connector.take_active(), BTreeSet::from([channel.number()]));
        channel.become_ended(ClientError::Silent);
        for _ in 1..told {
            assert!(handle.wait().is_ok(), "what was told before the end is taken");
        }
        assert!(handle.wait().is_err() && handle.start(Operation::Status).is_err());
    }

    #[test]
    fn of_those_who_wait_for_a_handle_there_are_few_and_none_waits_for_a_loop_that_has_ended() {
        let (_poll, connector) = connector();
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..HANDLES_WAITING_MAX)
                .map(|_| scope.spawn(|| connector.open(access())))
                .collect();
            while lock(&connector.shared.requests).waiting.len() < HANDLES_WAITING_MAX {
                thread::sleep(Duration::from_millis(1));
            }
            assert!(connector.open(access()).is_err(), "one too many");
            connector.close();
            for waiting in waiting {
                assert!(waiting.join().unwrap().is_err());
            }
        });
        assert!(connector.open(access()).is_err());
    }
}
