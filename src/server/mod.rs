//! The `FileServer`: what a node does with completed frames. Stores, serves, fetches, replicates and compares.
//!
//! A value without IO: it is told what happened (a message, a leaf, an answer from the disk, the time) and leaves
//! [`Output`]s. It knows no socket, no connection state, no thread and no clock. It is made of machines, each with its own
//! state, which are handed the `Context` and tell what has happened as events; the `FileServer` carries these from one
//! to the other:
//!
//! | machine | what it does | its events are seen to in |
//! |---|---|---|
//! | `transfer::Transfer` | blocks that come here and that go out, and the memory for them | `blocks` |
//! | `write::Write` | puts and peers' records until their group is durable | `written` |
//! | `query::Query` | questions, asked of the peers or answered from here | `queried` |
//! | `members::Members` | who the others are, which nodes are known, who is dialled | `peers` |
//! | `scrub::Scrub` | what of this node's disk is looked at anew | `scrubbed` |
//! | `replicate::Reconcile`, `Arrivals` | what peers lack, and what they asked for in vain | `mod` |
//!
//! What a record names and is not here (`walk`, `pages`, `replication`, `stuck`) is still the server's own. What a node has
//! and knows is the room `index`.
//!
//! Invariant: what is said to be stored is in a flushed group; what is served is what its address says, or an error.

mod ask;
mod asker;
mod blocks;
mod closing;
mod context;
mod links;
mod log_damage;
mod members;
mod output;
mod pages;
mod peers;
mod queried;
mod query;
mod replicate;
mod replication;
mod requests;
mod room;
mod round;
#[cfg(test)]
mod samples;
mod scrub;
mod scrubbed;
mod setup;
mod space;
mod stuck;
mod sync;
mod timers;
mod transfer;
mod walk;
mod walks;
pub mod work;
mod write;
mod written;

pub use crate::index::Loading;
pub use closing::Closing;
pub use members::{Reached, Remembered, read_peers};
pub use output::{Link, Output};
pub use requests::Standing;
pub use setup::Setup;

use crate::index::{Index, Shown};
use crate::limits::{DRAIN_TIMEOUT, STAMP_LEAD};
use crate::store::values::Recovered;
use crate::time::{Clock, Instant, Now, latest_credible};
use crate::wire::message::{Message, Reason, Request};
use asker::Asker;
use context::Context;
use links::Links;
use members::Members;
use query::Query;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use replicate::{Arrivals, Reconcile};
use room::Room;
use round::Round;
use scrub::Scrub;
use space::Space;
use std::collections::VecDeque;
use std::time::Duration;
use stuck::Stuck;
use timers::{Timer, Timers};
use transfer::{Memory, Transfer};
use walks::Walks;
use work::{Checking, Done, Job};
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
    started: Instant,
    cx: Context,
    members: Members,
    reconcile: Reconcile,
    arrivals: Arrivals,
    phase: Phase,
    /// Some node has been compared with since the start.
    has_compared: bool,
    undecoded: log_damage::Undecoded,
    write: Write,
    transfer: Transfer,
    walks: Walks,
    query: Query,
    stuck: Stuck,
    scrub: Scrub,
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
        let are_given = !setup.peers.is_empty();
        let mut server = Self {
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
            phase: Phase::Running,
            has_compared: false,
            undecoded,
            write: Write::new(&setup.grants),
            reconcile: Reconcile::new(setup.node),
            arrivals: Arrivals::default(),
            members: Members::new(setup, recovered.store, now.instant),
            transfer: Transfer::default(),
            walks: Walks::with_lost(loading.lost, &recovered.rotten),
            query: Query::default(),
            stuck,
            scrub: Scrub::default(),
            next_serial: 0,
        };
        server.judge_future();
        server.cx.ask_space();
        let incomplete = server.cx.index.catalog.all_incomplete();
        let incomplete: Vec<_> = incomplete.filter(|id| !server.stuck.waits(id)).collect();
        server.replicate(incomplete.into_iter().map(|id| (id, None)));
        server.write.bring(&mut server.cx, loading.anew);
        server.members.start(&mut server.cx, are_given);
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
        self.begin(now);
        let now = self.cx.now.instant;
        while let Some((due, timer)) = self.cx.timers.take_due(now) {
            self.timer(timer, now.since(due));
        }
    }

    fn timer(&mut self, timer: Timer, late: Duration) {
        match timer {
            Timer::Window => self.write.window_over(),
            Timer::Silence(link) => {
                self.transfer.check_silence(&mut self.cx, link, late);
                self.transferred();
            }
            Timer::Pace(link) => {
                let takes = self.wants_read(link);
                self.transfer.check_pace(&mut self.cx, link, takes);
                self.transferred();
            }
            Timer::Query(id) => {
                self.query.timeout(&mut self.cx, id);
                self.queried();
            }
            Timer::PageAsked(asked) => self.page_timeout(asked),
            Timer::Retry => self.retry(),
            Timer::News(link) => self.arrivals.tell(&mut self.cx, link),
            Timer::Redial => self.members.redial(&mut self.cx),
            Timer::Push(link) => self.reconcile.pump_push(&mut self.cx, link),
            Timer::Reconcile(link) => self.begin_comparison(link),
            Timer::Instance(link, request) => {
                self.members.instance_due(&mut self.cx, link, request);
                self.met();
            }
            Timer::PeersFile => self.members.write_down(&mut self.cx),
            Timer::Stalled => self.transfer.check_stalled(&mut self.cx),
            Timer::Room => self.look_for_room(),
            Timer::Drain => self.end(),
        }
    }

    /// Begins to compare with a peer, if that is due; it is told of one more node on the way.
    fn begin_comparison(&mut self, link: Link) {
        if let Some(compare) = self.reconcile.begin(&mut self.cx, link) {
            self.members.tell_one_more(&mut self.cx, link);
            self.send(link, compare);
        }
    }

    /// A worker has answered.
    pub fn done(&mut self, now: Now, done: Done) {
        self.begin(now);
        match done {
            Done::Wrote { purpose, draft, result } => {
                self.transfer.wrote(&mut self.cx, &purpose, draft, result);
                self.transferred();
            }
            Done::Finished { address, result } => {
                self.transfer.finished(&mut self.cx, address, result);
                self.transferred();
            }
            Done::Discarded => {}
            Done::Leaves { reader, result } => {
                self.transfer.leaves_read(&mut self.cx, reader, result);
                self.transferred();
            }
            Done::Log { purpose, items } => self.log_read(*purpose, items),
            Done::Committed { result } => {
                self.write.group_answered(&mut self.cx, result);
                self.written();
            }
            Done::Verified { purpose, found } => self.verified(purpose, found),
            Done::Space { result } => self.space_answered(result),
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
                self.checked(reason, &found);
            }
            Done::SmallHashed { address, block, found } => {
                self.transfer.small_hashed(&mut self.cx, address, block, found);
                self.transferred();
            }
        }
    }

    /// To be called when a turn's events have all been handed over: sends on what was gathered from them.
    pub fn end_turn(&mut self, now: Now) {
        self.begin(now);
        debug_assert!(!self.has_events(), "an event has not been seen to");
        self.judge_future();
        self.judge_log_damage();
        self.pump_short();
        self.transfer.write(&mut self.cx);
        self.write.pump(&mut self.cx);
        self.transfer.pump_waiting(&mut self.cx);
        self.transferred();
        if self.phase == Phase::Draining && self.is_idle() {
            self.end();
        }
    }

    /// What reconciliation has to tell.
    fn compared(&mut self) {
        while let Some(replicate::Event::TellOneMore { link }) = self.reconcile.poll_event() {
            self.members.tell_one_more(&mut self.cx, link);
            self.reconcile.go_on(&mut self.cx, link);
        }
    }

    /// Whether something has been told that nobody has seen to.
    fn has_events(&mut self) -> bool {
        self.transfer.poll_event().is_some()
            || self.write.poll_event().is_some()
            || self.query.poll_event().is_some()
            || self.members.poll_event().is_some()
            || self.reconcile.poll_event().is_some()
            || self.scrub.poll_event().is_some()
    }

    /// A calendar that is plainly wrong judges nothing.
    fn judge_future(&mut self) {
        self.cx.index.catalog.set_latest(latest_credible(self.cx.now.wall_ms).unwrap_or(u64::MAX));
    }

    /// Accepts no more puts, finishes those accepted, and then says `Drained`.
    pub fn drain(&mut self, now: Now) {
        self.cx.now = now;
        if self.phase == Phase::Running {
            self.leave(Phase::Draining);
            self.cx.after(DRAIN_TIMEOUT, Timer::Drain);
        }
        self.end_turn(now);
    }

    /// It does not run any more: nothing is accepted from now on.
    fn leave(&mut self, phase: Phase) {
        self.phase = phase;
        self.write.stop();
    }

    fn is_idle(&self) -> bool {
        self.write.is_idle()
            && !self.transfer.is_serving()
            && self.cx.links.peers().all(|peer| !peer.is_busy())
    }

    fn end(&mut self) {
        if self.phase != Phase::Ended {
            self.leave(Phase::Ended);
            self.cx.output(Output::Drained);
        }
    }

    fn fail(&mut self, why: String) {
        if self.phase != Phase::Ended {
            self.leave(Phase::Ended);
            self.cx.output(Output::Failed(why));
        }
    }

    fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }

    /// Something happens now; by a calendar that is plainly wrong at the time that the others say.
    fn begin(&mut self, now: Now) {
        self.cx.now = self.members.correct(now);
    }

    fn job(&mut self, job: Job) {
        self.cx.job(job);
    }

    fn send(&mut self, link: Link, message: Message) {
        self.cx.send(link, message);
    }

    fn reply(&mut self, link: Link, message: Message) {
        self.cx.reply(link, message);
    }

    fn refuse(&mut self, link: Link, request: Request, reason: Reason, detail: &str) {
        self.cx.refuse(Asker { link, request }, reason, detail);
    }
}
