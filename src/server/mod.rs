//! The `FileServer`: what a node does with completed frames. Stores, serves, fetches, replicates and compares.
//!
//! A value without IO: it is told what happened (a message, a leaf, an answer from the disk, the time) and leaves
//! [`Output`]s. It knows no socket, no connection state, no thread and no clock. Each file of this room holds one
//! concern's state and the part of `FileServer` that works on it.
//!
//! Invariant: what is said to be stored is in a flushed group; what is served is what its address says, or an error.

mod ask;
mod asker;
mod blocks;
mod calendar;
mod candidates;
mod catalog;
mod closing;
mod comparison;
mod completion;
mod context;
mod entry;
mod grants;
mod holdings;
mod introduce;
mod links;
mod loading;
mod log_damage;
mod looks;
mod order;
mod output;
mod packed;
mod pages;
mod peers;
mod push;
mod queried;
mod query;
mod reconcile;
mod replication;
mod requests;
mod room;
mod roster;
mod round;
mod rows;
mod setup;
mod space;
mod stuck;
mod sweeps;
mod sync;
mod timers;
mod transfer;
mod twins;
mod vain;
mod verify;
mod walk;
mod walks;
pub mod work;
mod write;
mod written;

pub use closing::Closing;
pub use loading::Loading;
pub use output::{Link, Output};
pub use requests::Standing;
pub use roster::{Remembered, read_peers};
pub use setup::Setup;

use crate::ids::StoreId;
use crate::limits::{DRAIN_TIMEOUT, STAMP_LEAD};
use crate::store::values::Recovered;
use crate::time::{Clock, Instant, Now, latest_credible};
use crate::wire::message::{Message, Reason, Request};
use asker::Asker;
use calendar::Calendar;
use context::{Context, Index};
use links::Links;
use query::{Query, Shown};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use room::Room;
use roster::Roster;
use round::Round;
use space::Space;
use std::collections::VecDeque;
use std::time::Duration;
use stuck::Stuck;
use sweeps::Sweeps;
use timers::{Timer, Timers};
use transfer::{Memory, Transfer};
use walks::Walks;
use work::{Checking, Done, Job, Verifying};
use write::Write;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Draining,
    Ended,
}

/// See the module.
#[derive(Debug)]
pub struct FileServer {
    setup: Setup,
    store: StoreId,
    started: Instant,
    cx: Context,
    calendar: Calendar,
    phase: Phase,
    /// Some node has been compared with since the start.
    has_compared: bool,
    undecoded: log_damage::Undecoded,
    roster: Roster,
    twins: twins::Twins,
    write: Write,
    transfer: Transfer,
    walks: Walks,
    query: Query,
    stuck: Stuck,
    sweeps: Sweeps,
    next_serial: u64,
}

impl FileServer {
    /// A server over what a start has found.
    #[must_use]
    pub fn new(setup: Setup, mut loading: Loading, recovered: &Recovered, now: Now) -> Self {
        let (undecoded, left) = log_damage::Undecoded::new(recovered, &setup.grants, &mut loading);
        let stuck = Stuck::new(&loading.take_waiting(&recovered.rotten), loading.repairs);
        let mut clock = Clock::default();
        clock.observe(loading.newest, now.wall_ms, STAMP_LEAD);
        let mut server = Self {
            store: recovered.store,
            started: now.instant,
            cx: Context {
                now,
                index: Index {
                    catalog: loading.catalog,
                    holdings: loading.holdings,
                    grants: loading.grants,
                    shown: Shown::default(),
                    group: recovered.group,
                    undecoded: left,
                },
                memory: Memory::new(setup.memory),
                space: Space::new(now.instant),
                room: Room::default(),
                links: Links::default(),
                news: Round::default(),
                timers: Timers::default(),
                rng: ChaCha8Rng::seed_from_u64(setup.seed),
                clock,
                checking: 0,
                outputs: VecDeque::new(),
            },
            calendar: Calendar::default(),
            phase: Phase::Running,
            has_compared: false,
            undecoded,
            roster: Roster::new(setup.node, &setup.peers, &setup.remembered, now.instant),
            twins: twins::Twins::default(),
            write: Write::new(&setup.grants),
            transfer: Transfer::default(),
            walks: Walks::with_lost(loading.lost, &recovered.rotten),
            query: Query::default(),
            stuck,
            sweeps: Sweeps::default(),
            next_serial: 0,
            setup,
        };
        server.judge_future(now);
        server.cx.ask_space();
        let incomplete = server.cx.index.catalog.all_incomplete();
        let incomplete: Vec<_> = incomplete.filter(|id| !server.stuck.waits(id)).collect();
        server.replicate(incomplete.into_iter().map(|id| (id, None)));
        server.write.bring(&mut server.cx, loading.anew);
        server.set_redial(now);
        if !server.setup.peers.is_empty() {
            server.after(now, Duration::ZERO, Timer::PeersFile);
        }
        server.end_turn(now);
        server
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.cx.outputs.pop_front()
    }

    /// When `handle_timeout` wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.cx.timers.first()
    }

    /// Does what has become due.
    pub fn handle_timeout(&mut self, now: Now) {
        let now = self.begin(now);
        while let Some((due, timer)) = self.cx.timers.take_due(now.instant) {
            self.timer(now, timer, now.instant.since(due));
        }
    }

    fn timer(&mut self, now: Now, timer: Timer, late: Duration) {
        match timer {
            Timer::Window => self.write.window_over(),
            Timer::Silence(link) => {
                self.transfer.check_silence(&mut self.cx, link, late);
                self.transferred(now);
            }
            Timer::Pace(link) => {
                let takes = self.wants_read(link);
                self.transfer.check_pace(&mut self.cx, link, takes);
                self.transferred(now);
            }
            Timer::Query(id) => {
                self.query.timeout(&mut self.cx, id);
                self.queried(now);
            }
            Timer::PageAsked(walk, attempt) => self.page_timeout(now, walk, attempt),
            Timer::Retry => self.retry(now),
            Timer::News(link) => self.tell_news(link),
            Timer::Redial => self.redial(now),
            Timer::Push(link) => self.pump_push(now, link),
            Timer::Reconcile(link) => self.reconcile(now, link),
            Timer::Instance(link, request) => self.instance_due(now, link, request),
            Timer::PeersFile => self.write_peers(),
            Timer::Stalled => self.transfer.check_stalled(&mut self.cx),
            Timer::Room => self.look_for_room(now),
            Timer::Drain => self.end(),
        }
    }

    /// A worker has answered.
    pub fn done(&mut self, now: Now, done: Done) {
        let now = self.begin(now);
        match done {
            Done::Wrote { purpose, draft, result } => {
                self.transfer.wrote(&mut self.cx, &purpose, draft, result);
                self.transferred(now);
            }
            Done::Finished { address, result } => {
                self.transfer.finished(&mut self.cx, address, result);
                self.transferred(now);
            }
            Done::Discarded => {}
            Done::Leaves { reader, result } => {
                self.transfer.leaves_read(&mut self.cx, reader, result);
                self.transferred(now);
            }
            Done::Log { purpose, items } => self.log_read(now, *purpose, items),
            Done::Committed { result } => {
                self.write.complete(&mut self.cx, result);
                self.written(now);
            }
            Done::Verified { purpose: Verifying(reason), found } => {
                self.verified(now, reason, found);
            }
            Done::Space { result } => self.space_answered(now, result),
            Done::PeersWritten { result } => {
                if let Err(error) = result {
                    log::warn!("the file of known peers was not written: {error:?}");
                }
            }
            Done::MadeGood { result } => {
                if let Err(error) = result {
                    log::warn!("it was not written down that damage was made good: {error:?}");
                }
            }
            Done::Checked { purpose, found } => {
                let Checking { reason, bytes } = *purpose;
                self.cx.checking -= bytes;
                self.checked(now, reason, &found);
            }
            Done::SmallHashed { address, block, found } => {
                self.transfer.small_hashed(&mut self.cx, address, block, found);
                self.transferred(now);
            }
        }
    }

    /// To be called when a turn's events have all been handed over: sends on what was gathered from them.
    pub fn end_turn(&mut self, now: Now) {
        let now = self.begin(now);
        self.judge_future(now);
        self.judge_log_damage();
        self.pump_short(now);
        self.transfer.write(&mut self.cx);
        self.write.pump(&mut self.cx);
        self.transfer.pump_waiting(&mut self.cx);
        self.transferred(now);
        if self.phase == Phase::Draining && self.is_idle() {
            self.end();
        }
    }

    /// A calendar that is plainly wrong judges nothing.
    fn judge_future(&mut self, now: Now) {
        self.cx.index.catalog.set_latest(latest_credible(now.wall_ms).unwrap_or(u64::MAX));
    }

    /// Accepts no more puts, finishes those accepted, and then says `Drained`.
    pub fn drain(&mut self, now: Now) {
        self.cx.now = now;
        if self.phase == Phase::Running {
            self.phase = Phase::Draining;
            self.write.stop();
            self.after(now, DRAIN_TIMEOUT, Timer::Drain);
        }
        self.end_turn(now);
    }

    fn is_idle(&self) -> bool {
        self.write.is_idle()
            && !self.transfer.is_serving()
            && self.cx.links.peers().all(|peer| !peer.is_busy())
    }

    fn end(&mut self) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.write.stop();
            self.cx.output(Output::Drained);
        }
    }

    fn fail(&mut self, why: String) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.write.stop();
            self.cx.output(Output::Failed(why));
        }
    }

    fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }

    /// Something happens now; by a calendar that is plainly wrong at the time that the others say.
    fn begin(&mut self, now: Now) -> Now {
        self.cx.now = self.calendar.correct(now);
        self.cx.now
    }

    fn job(&mut self, job: Job) {
        self.cx.job(job);
    }

    fn after(&mut self, _now: Now, delay: Duration, timer: Timer) {
        self.cx.after(delay, timer);
    }

    fn send(&mut self, link: Link, message: Message) {
        self.cx.send(link, message);
    }

    fn send_all(&mut self, link: Link, messages: impl Iterator<Item = Message>) {
        self.cx.send_all(link, messages);
    }

    fn reply(&mut self, link: Link, message: Message) {
        self.cx.reply(link, message);
    }

    fn refuse(&mut self, link: Link, request: Request, reason: Reason, detail: &str) {
        self.cx.refuse(Asker { link, request }, reason, detail);
    }
}
