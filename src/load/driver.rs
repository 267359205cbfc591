//! The driver: thousands of connections on one mio loop.
//!
//! Knows what is to be done from the schedule, and tells the tally what became of it. Invariant, as in every loop on mio:
//! readiness is remembered per socket; a connection that has work is in `busy` until it has none.

use super::args::Workload;
use super::content::Content;
use super::flight::{Flight, Landed};
use super::schedule::{Book, Clock, Deed};
use super::stop::Stop;
use super::tally::{Tally, kind_of};
use crate::client::{BATCH, Link, Socket};
use crate::keyring::Access;
use crate::session::ClientError;
use crate::time::Instant;
use mio::{Events, Poll, Token};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Reads of one connection before the next one has its turn.
const READS: usize = 4;
/// A connection that broke is opened again after this.
const REDIAL: Duration = Duration::from_millis(100);
/// Connections that shake hands at once: a node drops more than it has slots for.
const DIALLING_MAX: usize = 128;
/// So long without any connection is long enough.
const LONELY: Duration = Duration::from_secs(10);
/// Operations that are late are waited for, at the end, until nothing has come for this long.
const DRAIN: Duration = Duration::from_secs(15);

/// Where to connect, and with which keys.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) access: Access,
}

impl Target {
    /// The addresses, for a message.
    pub(super) fn printed(&self) -> String {
        let addresses: Vec<_> = self.addresses.iter().map(SocketAddr::to_string).collect();
        addresses.join(", ")
    }
}

/// What a run looks like from outside while it goes on.
pub(super) trait Watch {
    /// A second is over. False ends the run.
    fn second(&mut self, tally: &Tally, whole: Option<u64>) -> bool;
}

/// One place for a connection.
enum Seat {
    /// Nobody is connected; somebody will be, when it is its turn.
    Empty,
    Taken {
        flight: Box<Flight>,
        since: Instant,
        timer: Option<Instant>,
    },
}

/// See the module.
pub(super) struct Driver {
    poll: Poll,
    events: Events,
    origin: std::time::Instant,
    buffer: Vec<u8>,
    target: Target,
    seats: Vec<Seat>,
    depth: usize,
    verify: bool,
    timers: BTreeSet<(Instant, usize)>,
    /// Seats to open, each not before its time.
    to_dial: VecDeque<(Instant, usize)>,
    dialling: usize,
    /// Seats that can take an operation.
    idle: VecDeque<usize>,
    busy: VecDeque<usize>,
    is_busy: Vec<bool>,
    /// Connections that are ready.
    open: usize,
    /// Operations under way.
    under_way: usize,
    /// When something last came.
    heard: Instant,
}

impl Driver {
    pub(super) fn new(
        target: Target,
        (conns, depth): (u32, u32),
        verify: bool,
    ) -> io::Result<Self> {
        let conns = conns as usize;
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            origin: std::time::Instant::now(),
            buffer: vec![0; BATCH],
            target,
            seats: (0..conns).map(|_| Seat::Empty).collect(),
            depth: depth as usize,
            verify,
            timers: BTreeSet::new(),
            to_dial: (0..conns).map(|seat| (Instant(0), seat)).collect(),
            dialling: 0,
            idle: VecDeque::new(),
            busy: VecDeque::new(),
            is_busy: vec![false; conns],
            open: 0,
            under_way: 0,
            heard: Instant(0),
        })
    }

    pub(super) fn now(&self) -> Instant {
        Instant(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Opens all connections, or as many as can be within this time. How many there are.
    pub(super) fn open_all(
        &mut self,
        (within, stop): (Duration, &Stop),
        tally: &mut Tally,
    ) -> io::Result<usize> {
        let begun = self.now();
        let mut book = None;
        while self.open < self.seats.len() && !stop.is_asked() {
            let end = begun + if self.open == 0 { within.min(LONELY) } else { within };
            if self.now() >= end {
                break;
            }
            self.turn(end, (&mut book, tally))?;
        }
        Ok(self.open)
    }

    /// Runs a workload until the clock has no more of it, and what was begun has ended.
    pub(super) fn run(
        &mut self,
        (workload, book): (Workload, &mut Book),
        clock: &mut Clock,
        (tally, watch): (&mut Tally, &mut dyn Watch),
    ) -> io::Result<()> {
        let begun = self.now();
        let mut tick = begun + Duration::from_secs(1);
        let mut next = None;
        let mut over_since = None;
        let mut met = begun;
        loop {
            let now = self.now();
            let mut is_over = over_since.is_some();
            if self.open > 0 {
                met = now;
            } else if now.since(met) >= LONELY && !is_over {
                tally.failed("connect", "no node could be reached");
                is_over = true;
            }
            if now >= tick {
                tick = tick + Duration::from_secs(1);
                tally.tick();
                is_over |= !watch.second(tally, clock.whole());
            }
            if is_over || !self.begin_due(now, (workload, book), (clock, &mut next)) {
                let since = *over_since.get_or_insert(now);
                if now.since(since.max(self.heard)) >= DRAIN {
                    self.give_up(tally);
                }
                if self.under_way == 0 {
                    break;
                }
            }
            let intended = clock.next(now).filter(|at| *at > now && over_since.is_none());
            let until = intended.into_iter().chain(clock.end().filter(|end| *end > now));
            let until = until.chain([tick]).min().unwrap_or(tick);
            let mut book = Some(&mut *book);
            self.turn(until, (&mut book, tally))?;
        }
        tally.elapsed = self.now().since(begun);
        tally.tick();
        Ok(())
    }

    /// Begins what is due, as far as there is room. False if there is nothing more to begin, ever.
    fn begin_due(
        &mut self,
        now: Instant,
        (workload, book): (Workload, &mut Book),
        (clock, next): (&mut Clock, &mut Option<Deed>),
    ) -> bool {
        while let Some(intended) = clock.next(now) {
            if intended > now {
                return true;
            }
            let Some(deed) = next.take().or_else(|| book.next(workload)) else { return false };
            let Some(seat) = self.idle.pop_front() else {
                *next = Some(deed);
                return true;
            };
            let Seat::Taken { flight, .. } = &mut self.seats[seat] else {
                *next = Some(deed);
                continue;
            };
            flight.begin(now, deed, intended, book);
            clock.begun();
            self.under_way += 1;
            if flight.count() < self.depth {
                self.idle.push_back(seat);
            }
            self.make_busy(seat);
        }
        false
    }

    fn give_up(&mut self, tally: &mut Tally) {
        let mut landed = Vec::new();
        for seat in &mut self.seats {
            if let Seat::Taken { flight, .. } = seat {
                flight.end(&ClientError::Silent, &mut landed);
            }
        }
        self.note(landed, None, tally);
    }

    fn make_busy(&mut self, seat: usize) {
        if !std::mem::replace(&mut self.is_busy[seat], true) {
            self.busy.push_back(seat);
        }
    }

    /// One turn of the loop: dial, wait for work, and serve those that have some.
    fn turn(
        &mut self,
        until: Instant,
        (book, tally): (&mut Option<&mut Book>, &mut Tally),
    ) -> io::Result<()> {
        self.dial(tally);
        self.wait(until)?;
        for _ in 0..self.busy.len() {
            let Some(seat) = self.busy.pop_front() else { break };
            self.is_busy[seat] = false;
            self.serve(seat, (book, tally));
        }
        Ok(())
    }

    /// Waits until a connection has work.
    fn wait(&mut self, until: Instant) -> io::Result<()> {
        let now = self.now();
        let timer = self.timers.first().map(|(at, _)| *at);
        let redial = self.to_dial.front().map(|(at, _)| *at);
        let redial = redial.filter(|_| self.dialling < DIALLING_MAX);
        let until = [timer, redial].into_iter().flatten().chain([until]).min().unwrap_or(until);
        let patience = if self.busy.is_empty() { until.since(now) } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => {}
        }
        for event in &self.events {
            let Token(seat) = event.token();
            if let Seat::Taken { flight, .. } = &mut self.seats[seat] {
                flight.link.ready(event);
                if !std::mem::replace(&mut self.is_busy[seat], true) {
                    self.busy.push_back(seat);
                }
            }
        }
        let now = self.now();
        while let Some((at, seat)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, seat));
            if let Seat::Taken { timer, .. } = &mut self.seats[seat] {
                *timer = None;
            }
            self.make_busy(seat);
        }
        Ok(())
    }

    fn dial(&mut self, tally: &mut Tally) {
        let now = self.now();
        while self.dialling < DIALLING_MAX
            && let Some((at, seat)) = self.to_dial.front().copied()
            && at <= now
        {
            self.to_dial.pop_front();
            let addresses = &self.target.addresses;
            let address = addresses[seat % addresses.len()];
            let socket = Socket { registry: self.poll.registry(), token: Token(seat), address };
            match Link::connect(&socket, self.target.access.clone(), now) {
                Ok(link) => {
                    let flight = Box::new(Flight::new(link));
                    self.seats[seat] = Seat::Taken { flight, since: at, timer: None };
                    self.dialling += 1;
                    self.make_busy(seat);
                }
                Err(error) => {
                    tally.failed("connect", &error.kind().to_string());
                    self.to_dial.push_back((now + REDIAL, seat));
                }
            }
        }
    }

    /// Moves bytes and events of one connection.
    fn serve(&mut self, seat: usize, (book, tally): (&mut Option<&mut Book>, &mut Tally)) {
        let now = self.now();
        let Seat::Taken { flight, timer, .. } = &mut self.seats[seat] else { return };
        let (was_ready, before) = (flight.is_ready, flight.count());
        let mut landed = Vec::new();
        let mut result = flight.link.take_error();
        for _ in 0..READS {
            flight.link.send(now);
            let came = match &result {
                Ok(()) if flight.link.is_readable() => flight.link.receive(now, &mut self.buffer),
                Ok(()) => Ok(false),
                Err(error) => Err(error.clone()),
            };
            if let Some(book) = book {
                flight.handle_events(&mut self.buffer, (book, self.verify), &mut landed);
            } else if matches!(
                flight.link.session().poll_event(),
                Some(crate::session::Event::Ready { .. })
            ) {
                flight.is_ready = true;
            }
            match came {
                Ok(true) => self.heard = now,
                Ok(false) => break,
                Err(error) => result = Err(error),
            }
        }
        flight.link.send(now);
        let result = result.and_then(|()| flight.link.handle_timeout(now));
        let due = flight.link.session().poll_timeout();
        if due != *timer {
            if let Some(before) = *timer {
                self.timers.remove(&(before, seat));
            }
            *timer = due;
            self.timers.extend(due.map(|due| (due, seat)));
        }
        let (is_ready, after) = (flight.is_ready, flight.count());
        let has_more = flight.link.is_readable();
        if is_ready && !was_ready {
            flight.link.set_nodelay();
            self.dialling -= 1;
            self.open += 1;
            self.idle.push_back(seat);
        } else if after < before && before == self.depth {
            self.idle.push_back(seat);
        }
        if let Err(error) = result {
            self.lose(seat, &error, &mut landed, tally);
        } else if has_more {
            self.make_busy(seat);
        }
        self.note(landed, book.as_deref_mut(), tally);
    }

    /// Tells the tally, and the book if something is there to be read from now on.
    fn note(&mut self, landed: Vec<Landed>, mut book: Option<&mut Book>, tally: &mut Tally) {
        let now = self.now();
        for one in landed {
            self.under_way -= 1;
            match one.result {
                Ok(bytes) => {
                    tally.done(one.deed.name(), now.since(one.intended), bytes);
                    if let (Deed::Put(Content { key, .. }), Some(book)) = (one.deed, &mut book) {
                        book.stored(key);
                    }
                }
                Err(why) => tally.failed(one.deed.name(), why),
            }
        }
    }

    fn forget_timer(&mut self, timer: Option<Instant>, seat: usize) {
        if let Some(at) = timer {
            self.timers.remove(&(at, seat));
        }
    }

    /// A connection has ended: its operations are errors, and it is opened again.
    fn lose(
        &mut self,
        seat: usize,
        error: &ClientError,
        landed: &mut Vec<Landed>,
        tally: &mut Tally,
    ) {
        let Seat::Taken { mut flight, timer, .. } =
            std::mem::replace(&mut self.seats[seat], Seat::Empty)
        else {
            return;
        };
        self.forget_timer(timer, seat);
        self.idle.retain(|other| *other != seat);
        if flight.is_ready {
            self.open -= 1;
        } else {
            self.dialling -= 1;
        }
        if flight.count() == 0 {
            tally.failed("connect", kind_of(error));
        }
        flight.end(error, landed);
        self.to_dial.push_back((self.now() + REDIAL, seat));
    }

    /// Connects, shakes hands and hangs up, again and again, in every seat.
    pub(super) fn run_connects(
        &mut self,
        clock: &mut Clock,
        (tally, watch): (&mut Tally, &mut dyn Watch),
    ) -> io::Result<()> {
        let begun = self.now();
        let mut tick = begun + Duration::from_secs(1);
        self.to_dial.clear();
        let mut free: VecDeque<usize> = (0..self.seats.len()).collect();
        let mut is_over = false;
        loop {
            let now = self.now();
            if now >= tick {
                tick = tick + Duration::from_secs(1);
                tally.tick();
                is_over |= !watch.second(tally, clock.whole());
            }
            while !is_over
                && let Some(intended) = clock.next(now).filter(|at| *at <= now)
                && let Some(seat) = free.pop_front()
            {
                clock.begun();
                self.to_dial.push_back((intended, seat));
            }
            let more = clock.next(now);
            is_over |= more.is_none();
            if is_over && free.len() == self.seats.len() {
                break;
            }
            let until = more.filter(|at| *at > now).into_iter().chain([tick]).min();
            self.turn(until.unwrap_or(tick), (&mut None, tally))?;
            self.hang_up_ready(&mut free, tally);
        }
        tally.elapsed = self.now().since(begun);
        tally.tick();
        Ok(())
    }

    fn hang_up_ready(&mut self, free: &mut VecDeque<usize>, tally: &mut Tally) {
        let now = self.now();
        // Whose connection was lost is dialled no second time: it is counted as an error.
        for (at, seat) in std::mem::take(&mut self.to_dial) {
            if at > now {
                free.push_back(seat);
            } else {
                self.to_dial.push_back((at, seat));
            }
        }
        while let Some(seat) = self.idle.pop_front() {
            if let Seat::Taken { since, timer, .. } =
                std::mem::replace(&mut self.seats[seat], Seat::Empty)
            {
                self.forget_timer(timer, seat);
                self.open -= 1;
                tally.done("connect", now.since(since), 0);
                free.push_back(seat);
            }
        }
    }
}
