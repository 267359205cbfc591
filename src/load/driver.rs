//! The driver: thousands of connections on one mio loop.
//!
//! Knows what is to be done from the schedule, and tells the tally what became of it. Invariant, as in every loop on mio:
//! readiness is remembered per socket; a connection that has work is in `busy` until it has none.

use super::args::Workload;
use super::content::Content;
use super::in_flight::{Completed, InFlight};
use super::schedule::{Clock, PlannedOp, Schedule};
use super::stop::Stop;
use super::tally::{Tally, kind_of};
use crate::client::{BATCH, Link};
use crate::keyring::Access;
use crate::net;
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

/// How many connections a driver holds, and what it does on each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pool {
    pub(super) conns: u32,
    /// Operations in flight on each.
    pub(super) depth: u32,
    /// Every byte that comes back is compared.
    pub(super) verify: bool,
}

/// What a driver is to do, and who is told what becomes of it.
pub(super) struct Run<'a> {
    pub(super) workload: Workload,
    pub(super) schedule: &'a mut Schedule,
    pub(super) clock: Clock,
    pub(super) tally: &'a mut Tally,
    pub(super) watch: &'a mut dyn Watch,
}

/// One place for a connection.
enum ConnSlot {
    /// Nobody is connected; somebody will be, when it is its turn.
    Empty,
    Taken {
        conn: Box<InFlight>,
        since: Instant,
        timer: Option<Instant>,
    },
}

/// See the module.
pub(super) struct Driver {
    poll: Poll,
    events: Events,
    clock: net::Clock,
    buffer: Vec<u8>,
    target: Target,
    slots: Vec<ConnSlot>,
    depth: usize,
    verify: bool,
    timers: BTreeSet<(Instant, usize)>,
    /// Slots to open, each not before its time.
    to_dial: VecDeque<(Instant, usize)>,
    dialling: usize,
    /// Slots that can take an operation.
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
    pub(super) fn new(target: Target, pool: Pool) -> io::Result<Self> {
        let Pool { conns, depth, verify } = pool;
        let conns = conns as usize;
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            clock: net::Clock::start(),
            buffer: vec![0; BATCH],
            target,
            slots: (0..conns).map(|_| ConnSlot::Empty).collect(),
            depth: depth as usize,
            verify,
            timers: BTreeSet::new(),
            to_dial: (0..conns).map(|slot| (Instant(0), slot)).collect(),
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
        self.clock.now().instant
    }

    /// Opens all connections, or as many as can be within this time. How many there are.
    pub(super) fn open_all(
        &mut self,
        within: Duration,
        stop: &Stop,
        tally: &mut Tally,
    ) -> io::Result<usize> {
        let begun = self.now();
        let mut schedule = None;
        while self.open < self.slots.len() && !stop.is_asked() {
            let end = begun + if self.open == 0 { within.min(LONELY) } else { within };
            if self.now() >= end {
                break;
            }
            self.turn(end, &mut schedule, tally)?;
        }
        Ok(self.open)
    }

    /// Runs a workload until the clock has no more of it, and what was begun has ended.
    pub(super) fn run(&mut self, mut run: Run<'_>) -> io::Result<()> {
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
                run.tally.failed("connect", "no node could be reached");
                is_over = true;
            }
            if now >= tick {
                tick = tick + Duration::from_secs(1);
                run.tally.tick();
                is_over |= !run.watch.second(run.tally, run.clock.whole());
            }
            if is_over || !self.begin_due(now, &mut run, &mut next) {
                let since = *over_since.get_or_insert(now);
                if now.since(since.max(self.heard)) >= DRAIN {
                    self.give_up(run.tally);
                }
                if self.under_way == 0 {
                    break;
                }
            }
            let intended = run.clock.next(now).filter(|at| *at > now && over_since.is_none());
            let until = intended.into_iter().chain(run.clock.end().filter(|end| *end > now));
            let until = until.chain([tick]).min().unwrap_or(tick);
            let mut schedule = Some(&mut *run.schedule);
            self.turn(until, &mut schedule, run.tally)?;
        }
        run.tally.elapsed = self.now().since(begun);
        run.tally.tick();
        Ok(())
    }

    /// Begins what is due, as far as there is room. False if there is nothing more to begin, ever.
    fn begin_due(&mut self, now: Instant, run: &mut Run<'_>, next: &mut Option<PlannedOp>) -> bool {
        while let Some(intended) = run.clock.next(now) {
            if intended > now {
                return true;
            }
            let Some(op) = next.take().or_else(|| run.schedule.next(run.workload)) else {
                return false;
            };
            let Some(slot) = self.idle.pop_front() else {
                *next = Some(op);
                return true;
            };
            let ConnSlot::Taken { conn, .. } = &mut self.slots[slot] else {
                *next = Some(op);
                continue;
            };
            conn.begin(now, op, intended, run.schedule);
            run.clock.begun();
            self.under_way += 1;
            if conn.count() < self.depth {
                self.idle.push_back(slot);
            }
            self.make_busy(slot);
        }
        false
    }

    fn give_up(&mut self, tally: &mut Tally) {
        let mut completed = Vec::new();
        for slot in &mut self.slots {
            if let ConnSlot::Taken { conn, .. } = slot {
                conn.end(&ClientError::Silent, &mut completed);
            }
        }
        self.note(completed, None, tally);
    }

    fn make_busy(&mut self, slot: usize) {
        if !std::mem::replace(&mut self.is_busy[slot], true) {
            self.busy.push_back(slot);
        }
    }

    /// One turn of the loop: dial, wait for work, and serve those that have some.
    fn turn(
        &mut self,
        until: Instant,
        schedule: &mut Option<&mut Schedule>,
        tally: &mut Tally,
    ) -> io::Result<()> {
        self.dial(tally);
        self.wait(until)?;
        for _ in 0..self.busy.len() {
            let Some(slot) = self.busy.pop_front() else { break };
            self.is_busy[slot] = false;
            self.serve(slot, schedule, tally);
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
        let timeout = if self.busy.is_empty() { until.since(now) } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => {}
        }
        for event in &self.events {
            let Token(slot) = event.token();
            if let ConnSlot::Taken { conn, .. } = &mut self.slots[slot] {
                conn.link.ready(event);
                if !std::mem::replace(&mut self.is_busy[slot], true) {
                    self.busy.push_back(slot);
                }
            }
        }
        let now = self.now();
        while let Some((at, slot)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, slot));
            if let ConnSlot::Taken { timer, .. } = &mut self.slots[slot] {
                *timer = None;
            }
            self.make_busy(slot);
        }
        Ok(())
    }

    fn dial(&mut self, tally: &mut Tally) {
        let now = self.now();
        while self.dialling < DIALLING_MAX
            && let Some((at, slot)) = self.to_dial.front().copied()
            && at <= now
        {
            self.to_dial.pop_front();
            let addresses = &self.target.addresses;
            let address = addresses[slot % addresses.len()];
            let (registry, access) = (self.poll.registry(), self.target.access.clone());
            match Link::connect(address, registry, Token(slot), access, now) {
                Ok(link) => {
                    let conn = Box::new(InFlight::new(link));
                    self.slots[slot] = ConnSlot::Taken { conn, since: at, timer: None };
                    self.dialling += 1;
                    self.make_busy(slot);
                }
                Err(error) => {
                    tally.failed("connect", &error.kind().to_string());
                    self.to_dial.push_back((now + REDIAL, slot));
                }
            }
        }
    }

    /// Moves bytes and events of one connection.
    fn serve(&mut self, slot: usize, schedule: &mut Option<&mut Schedule>, tally: &mut Tally) {
        let now = self.now();
        let ConnSlot::Taken { conn, timer, .. } = &mut self.slots[slot] else { return };
        let (was_ready, before) = (conn.is_ready, conn.count());
        let mut completed = Vec::new();
        let mut result = conn.link.take_error();
        for _ in 0..READS {
            conn.link.send(now);
            let came = match &result {
                Ok(()) if conn.link.is_readable() => conn.link.receive(now, &mut self.buffer),
                Ok(()) => Ok(false),
                Err(error) => Err(error.clone()),
            };
            if let Some(schedule) = schedule {
                let checked = self.verify.then_some(&**schedule);
                conn.handle_events(&mut self.buffer, checked, &mut completed);
            } else if matches!(
                conn.link.session().poll_event(),
                Some(crate::session::Event::Ready { .. })
            ) {
                conn.is_ready = true;
            }
            match came {
                Ok(true) => self.heard = now,
                Ok(false) => break,
                Err(error) => result = Err(error),
            }
        }
        conn.link.send(now);
        let result = result.and_then(|()| conn.link.handle_timeout(now));
        let due = conn.link.session().poll_timeout();
        if due != *timer {
            if let Some(before) = *timer {
                self.timers.remove(&(before, slot));
            }
            *timer = due;
            self.timers.extend(due.map(|due| (due, slot)));
        }
        let (is_ready, after) = (conn.is_ready, conn.count());
        let has_more = conn.link.is_readable();
        if is_ready && !was_ready {
            conn.link.set_nodelay();
            self.dialling -= 1;
            self.open += 1;
            self.idle.push_back(slot);
        } else if after < before && before == self.depth {
            self.idle.push_back(slot);
        }
        if let Err(error) = result {
            self.lose(slot, &error, &mut completed, tally);
        } else if has_more {
            self.make_busy(slot);
        }
        self.note(completed, schedule.as_deref_mut(), tally);
    }

    /// Tells the tally, and the schedule if something is there to be read from now on.
    fn note(
        &mut self,
        completed: Vec<Completed>,
        mut schedule: Option<&mut Schedule>,
        tally: &mut Tally,
    ) {
        let now = self.now();
        for one in completed {
            self.under_way -= 1;
            match one.result {
                Ok(bytes) => {
                    tally.done(one.planned.name(), now.since(one.intended), bytes);
                    if let (PlannedOp::Put(Content { key, .. }), Some(schedule)) =
                        (one.planned, &mut schedule)
                    {
                        schedule.stored(key);
                    }
                }
                Err(why) => tally.failed(one.planned.name(), why),
            }
        }
    }

    fn forget_timer(&mut self, timer: Option<Instant>, slot: usize) {
        if let Some(at) = timer {
            self.timers.remove(&(at, slot));
        }
    }

    /// A connection has ended: its operations are errors, and it is opened again.
    fn lose(
        &mut self,
        slot: usize,
        error: &ClientError,
        completed: &mut Vec<Completed>,
        tally: &mut Tally,
    ) {
        let ConnSlot::Taken { mut conn, timer, .. } =
            std::mem::replace(&mut self.slots[slot], ConnSlot::Empty)
        else {
            return;
        };
        self.forget_timer(timer, slot);
        self.idle.retain(|other| *other != slot);
        if conn.is_ready {
            self.open -= 1;
        } else {
            self.dialling -= 1;
        }
        if conn.count() == 0 {
            tally.failed("connect", kind_of(error));
        }
        conn.end(error, completed);
        self.to_dial.push_back((self.now() + REDIAL, slot));
    }

    /// Connects, shakes hands and hangs up, again and again, in every slot.
    pub(super) fn run_connects(
        &mut self,
        mut clock: Clock,
        tally: &mut Tally,
        watch: &mut dyn Watch,
    ) -> io::Result<()> {
        let begun = self.now();
        let mut tick = begun + Duration::from_secs(1);
        self.to_dial.clear();
        let mut free: VecDeque<usize> = (0..self.slots.len()).collect();
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
                && let Some(slot) = free.pop_front()
            {
                clock.begun();
                self.to_dial.push_back((intended, slot));
            }
            let more = clock.next(now);
            is_over |= more.is_none();
            if is_over && free.len() == self.slots.len() {
                break;
            }
            let until = more.filter(|at| *at > now).into_iter().chain([tick]).min();
            self.turn(until.unwrap_or(tick), &mut None, tally)?;
            self.hang_up_ready(&mut free, tally);
        }
        tally.elapsed = self.now().since(begun);
        tally.tick();
        Ok(())
    }

    fn hang_up_ready(&mut self, free: &mut VecDeque<usize>, tally: &mut Tally) {
        let now = self.now();
        // Whose connection was lost is dialled no second time: it is counted as an error.
        for (at, slot) in std::mem::take(&mut self.to_dial) {
            if at > now {
                free.push_back(slot);
            } else {
                self.to_dial.push_back((at, slot));
            }
        }
        while let Some(slot) = self.idle.pop_front() {
            if let ConnSlot::Taken { since, timer, .. } =
                std::mem::replace(&mut self.slots[slot], ConnSlot::Empty)
            {
                self.forget_timer(timer, slot);
                self.open -= 1;
                tally.done("connect", now.since(since), 0);
                free.push_back(slot);
            }
        }
    }
}
