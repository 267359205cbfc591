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
pub(super) struct Line {
    /// No other of the loop has the same.
    number: u64,
    state: Mutex<State>,
    changed: Condvar,
    bell: Arc<Bell>,
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
    /// The program has left.
    left: bool,
}

fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program's doors.
impl Line {
    fn new(number: u64, bell: Arc<Bell>) -> Self {
        Self { number, state: Mutex::default(), changed: Condvar::new(), bell }
    }

    /// Has the loop look at this line.
    fn call(&self) {
        self.bell.ring(|calls| {
            calls.lines.insert(self.number);
        });
    }

    /// Waits for what this finds; an error is the line's end, behind all that was found before.
    fn wait<T>(&self, mut find: impl FnMut(&mut State) -> Option<T>) -> Result<T, ClientError> {
        let mut state = hold(&self.state);
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
impl Line {
    /// The session is there.
    pub(super) fn become_open(&self) {
        hold(&self.state).open = true;
        self.changed.notify_all();
    }

    /// Nothing more comes.
    pub(super) fn become_ended(&self, error: ClientError) {
        hold(&self.state).ended.get_or_insert(error);
        self.changed.notify_all();
    }

    /// What the program wants next.
    pub(super) fn next_command(&self) -> Option<Command> {
        let command = hold(&self.state).commands.pop_front();
        if command.is_some() {
            self.changed.notify_all();
        }
        command
    }

    pub(super) fn started(&self, result: Result<Op, ClientError>) {
        hold(&self.state).started = Some(result);
        self.changed.notify_all();
    }

    /// Whether the program takes another event now; if not, it wakes the loop when it does.
    pub(super) fn takes_event(&self) -> bool {
        let mut state = hold(&self.state);
        state.full = state.events.len() >= HANDLE_EVENTS_MAX;
        !state.full
    }

    pub(super) fn tell(&self, event: Event) {
        hold(&self.state).events.push_back(event);
        self.changed.notify_all();
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn has_left(&self) -> bool {
        hold(&self.state).left
    }
}

/// Somebody who asks for a session.
pub(super) struct Visitor {
    pub(super) line: Arc<Line>,
    pub(super) access: Access,
}

/// What is asked of a loop from outside.
#[derive(Default)]
struct Calls {
    visitors: VecDeque<Visitor>,
    /// Lines whose programs want something: each once.
    lines: BTreeSet<u64>,
    stop: bool,
    /// The loop takes nobody any more.
    closed: bool,
    last: u64,
}

/// Where the calls are, and what wakes the loop.
struct Bell {
    calls: Mutex<Calls>,
    waker: Arc<Waker>,
}

impl Bell {
    fn ring<T>(&self, note: impl FnOnce(&mut Calls) -> T) -> T {
        let noted = note(&mut hold(&self.calls));
        // A waker that fails leaves it to the next turn.
        let _ = self.waker.wake();
        noted
    }
}

/// Where programs get their handles, and where whoever has started a loop stops it. It can be cloned, and used from any
/// thread but the loop's.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "it holds keys for moments")]
pub struct Door {
    bell: Arc<Bell>,
}

impl Door {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self { bell: Arc::new(Bell { calls: Mutex::default(), waker }) }
    }

    /// A session of somebody with this access. Waits until the loop has opened it.
    ///
    /// # Errors
    /// The loop has ended, the node takes no more connections, or too many wait for one.
    pub fn open(&self, access: Access) -> Result<Handle, ClientError> {
        let refused = |why: &str| Err(ClientError::Unreachable(why.to_owned()));
        let line = self.bell.ring(|calls| {
            if calls.closed {
                return refused(ENDED);
            }
            if calls.visitors.len() >= HANDLES_WAITING_MAX {
                return refused("too many programs wait for it");
            }
            calls.last += 1;
            let line = Arc::new(Line::new(calls.last, Arc::clone(&self.bell)));
            calls.visitors.push_back(Visitor { line: Arc::clone(&line), access });
            Ok(line)
        })?;
        line.wait(|state| state.open.then_some(()))?;
        Ok(Handle { line })
    }

    /// Has the node finish what it has accepted; then the loop ends.
    pub fn stop(&self) {
        self.bell.ring(|calls| calls.stop = true);
    }

    pub(super) fn next_visitor(&self) -> Option<Visitor> {
        hold(&self.bell.calls).visitors.pop_front()
    }

    /// The next line whose program wants something.
    pub(super) fn next_line(&self) -> Option<u64> {
        hold(&self.bell.calls).lines.pop_first()
    }

    /// Whether the loop is to stop; asked once.
    pub(super) fn take_stop(&self) -> bool {
        std::mem::take(&mut hold(&self.bell.calls).stop)
    }

    /// The loop ends: nobody comes in any more.
    pub(super) fn close(&self) {
        let mut calls = hold(&self.bell.calls);
        calls.closed = true;
        for Visitor { line, .. } in calls.visitors.drain(..) {
            line.become_ended(ClientError::Unreachable(ENDED.to_owned()));
        }
    }
}

/// Why nothing more comes.
pub(super) const ENDED: &str = "the node has stopped";

/// A session in the node, for one program; it is closed when it is dropped. Not for the thread of the loop, which would
/// wait for itself.
#[allow(missing_debug_implementations, reason = "there is nothing to see")]
pub struct Handle {
    line: Arc<Line>,
}

impl Handle {
    /// Begins an operation; what comes of it `wait` tells.
    ///
    /// # Errors
    /// The session has ended: nothing was begun.
    pub fn start(&mut self, operation: Operation) -> Result<Op, ClientError> {
        self.line.command(Command::Start(operation))?;
        self.line.wait(|state| state.started.take())?
    }

    /// Gives a put its next bytes: no more than its last `NeedData` has asked for, or the put is given up. Waits while the
    /// loop is behind.
    ///
    /// # Errors
    /// The session has ended.
    pub fn feed(&mut self, op: Op, bytes: &[u8]) -> Result<(), ClientError> {
        self.line.command(Command::Feed(op, bytes.to_vec()))
    }

    /// The put has all its bytes.
    ///
    /// # Errors
    /// The session has ended.
    pub fn feed_end(&mut self, op: Op) -> Result<(), ClientError> {
        self.line.command(Command::FeedEnd(op))
    }

    /// Gives up an operation.
    ///
    /// # Errors
    /// The session has ended.
    pub fn abort(&mut self, op: Op) -> Result<(), ClientError> {
        self.line.command(Command::Abort(op))
    }

    /// The next event. Only to be called while an operation is under way.
    ///
    /// # Errors
    /// The session has ended, and everything that was under way with it.
    pub fn wait(&mut self) -> Result<Event, ClientError> {
        let mut wakes = false;
        let event = self.line.wait(|state| {
            let event = state.events.pop_front();
            wakes = event.is_some() && std::mem::take(&mut state.full);
            event
        });
        if wakes {
            self.line.call();
        }
        event
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        hold(&self.line.state).left = true;
        self.line.call();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::{NetworkKey, RootKey};
    use mio::{Poll, Token};
    use std::thread;
    use std::time::Duration;

    fn door() -> (Poll, Door) {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        (poll, Door::new(waker))
    }

    fn access() -> Access {
        let network = NetworkKey::generate(&[2; 32], &RootKey::generate(&[1; 32]));
        Access { network, data: None, write: None }
    }

    /// A handle that the loop has opened, and the loop's end of it.
    fn opened(door: &Door) -> (Handle, Arc<Line>) {
        thread::scope(|scope| {
            let opening = scope.spawn(|| door.open(access()));
            let line = loop {
                match door.next_visitor() {
                    Some(visitor) => break visitor.line,
                    None => thread::sleep(Duration::from_millis(1)),
                }
            };
            line.become_open();
            (opening.join().unwrap().unwrap(), line)
        })
    }

    #[test]
    fn a_program_that_gives_more_than_the_loop_takes_waits() {
        let (_poll, door) = door();
        let (mut handle, line) = opened(&door);
        let op = {
            line.started(Ok(Op::default()));
            handle.start(Operation::Status).unwrap()
        };
        while line.next_command().is_some() {}
        thread::scope(|scope| {
            let feeding = scope.spawn(move || {
                for _ in 0..HANDLE_COMMANDS_MAX + 1 {
                    handle.feed(op, b"bytes").unwrap();
                }
                handle
            });
            thread::sleep(Duration::from_millis(50));
            assert!(!feeding.is_finished(), "one more than the bound");
            assert!(matches!(line.next_command(), Some(Command::Feed(..))));
            let handle = feeding.join().unwrap();
            assert_eq!(std::iter::from_fn(|| line.next_command()).count(), HANDLE_COMMANDS_MAX);
            drop(handle);
        });
        assert!(line.has_left());
    }

    #[test]
    fn a_program_that_takes_nothing_is_told_no_more_and_calls_when_it_does() {
        let (_poll, door) = door();
        let (mut handle, line) = opened(&door);
        let mut told = 0;
        while line.takes_event() {
            line.tell(Event::Progress { op: Op::default(), bytes: told });
            told += 1;
        }
        assert_eq!(told, HANDLE_EVENTS_MAX as u64);
        assert_eq!(door.next_line(), None);
        assert!(matches!(handle.wait(), Ok(Event::Progress { bytes: 0, .. })));
        assert_eq!(door.next_line(), Some(line.number()));
        line.become_ended(ClientError::Silent);
        for _ in 1..told {
            assert!(handle.wait().is_ok(), "what was told before the end is taken");
        }
        assert!(handle.wait().is_err() && handle.start(Operation::Status).is_err());
    }

    #[test]
    fn of_those_who_wait_for_a_handle_there_are_few_and_none_waits_for_a_loop_that_has_ended() {
        let (_poll, door) = door();
        thread::scope(|scope| {
            let waiting: Vec<_> =
                (0..HANDLES_WAITING_MAX).map(|_| scope.spawn(|| door.open(access()))).collect();
            while hold(&door.bell.calls).visitors.len() < HANDLES_WAITING_MAX {
                thread::sleep(Duration::from_millis(1));
            }
            assert!(door.open(access()).is_err(), "one too many");
            door.close();
            for waiting in waiting {
                assert!(waiting.join().unwrap().is_err());
            }
        });
        assert!(door.open(access()).is_err());
    }
}
