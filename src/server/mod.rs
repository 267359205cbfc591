//! The `FileServer`: what a node does with completed frames. Stores, serves, fetches, replicates and compares.
//!
//! A value without IO: it is told what happened (a message, a leaf, an answer from the disk, the time) and leaves
//! [`Output`]s. It knows no socket, no connection state, no thread and no clock. It is made of machines, each with its own
//! state, which are handed the `Context` and tell what has happened as events. Here is what comes from outside, each thing
//! handed to the machine that it is for; in `machines` is what these have to tell each other:
//!
//! | machine | what it does |
//! |---|---|
//! | `transfer::Transfer` | blocks that come here and that go out, and the memory for them |
//! | `write::Write` | puts and peers' records until their group is durable |
//! | `query::Query` | questions, asked of the peers or answered from here |
//! | `members::Members` | who the others are, which nodes are known, who is dialled |
//! | `compact::Compact` | segments of the log with little left in them are written anew and removed |
//! | `expire::Expire` | what has expired is let go |
//! | `scrub::Scrub` | what of this node's disk is looked at anew |
//! | `replicate::Replicate` | what ought to be here and is not: a block or page that this node lacks is asked of its peers |
//! | `collect::Collect` | what no record names any more goes |
//! | `replicate::Reconcile`, `Arrivals` | what peers lack, and what they asked for in vain |
//!
//! What a node has and knows is the room `index`. Invariants: what is said to be stored is in a flushed group; what is
//! served is what its address says, or an error. Each door ends with `dispatch_events`, which sees to all events.

mod ask;
mod asker;
mod backpressure;
mod closing;
mod collect;
mod coming;
mod compact;
mod context;
mod expire;
mod links;
mod log_damage;
mod machines;
mod members;
mod output;
mod query;
mod reliance;
mod replicate;
mod requests;
mod room;
#[cfg(test)]
mod samples;
mod scrub;
mod served;
mod setup;
mod space;
mod status;
mod sync;
mod timers;
mod transfer;
pub mod work;
mod write;

pub use crate::index::IndexBuilder;
pub use backpressure::Pressure;
pub use closing::Closing;
pub use members::{Reached, Remembered, read_peers};
pub use output::{Leaves, Link, Output};
pub use setup::Setup;
pub use status::Summary;

use crate::ids::NodeId;
use crate::index::{Index, Ordered};
use crate::limits::{DRAIN_TIMEOUT, OUTBOX_MAX, STAMP_LEAD};
use crate::store::values::{ReadError, RecoveryReport};
use crate::time::{Instant, Now, latest_credible};
use crate::wire::message::Message;
use ask::Ask;
use asker::Asker;
use bytes::Bytes;
use context::Context;
use links::{Peer, Who};
use log_damage::Undecoded;
use machines::Machines;
use replicate::BATCHES_OF_A_TURN;
use std::time::Duration;
use timers::Timer;
use work::{CheckFor, Checked, Checking, Done, Job, ReadFor, Verifying};

/// What is kept of a request, but for what it brought.
const REQUEST_BYTES: usize = 300;

/// See the module.
#[derive(Debug)]
pub struct FileServer {
    started: Instant,
    cx: Context,
    machines: Machines,
    undecoded: Undecoded,
}

impl FileServer {
    /// A server over what a start has found.
    #[must_use]
    pub fn new(
        setup: Setup,
        mut builder: IndexBuilder,
        recovered: &RecoveryReport,
        now: Now,
    ) -> Self {
        let (damage, undecoded) = Undecoded::new(recovered, &setup.grants, &mut builder);
        let missing = builder.take_missing(&recovered.rotten);
        let (newest, anew) = (builder.newest, std::mem::take(&mut builder.anew));
        let ordered = setup.data.clone().map(Ordered::new);
        let index = Index::new(builder, recovered.group, undecoded, ordered);
        let are_given = !setup.peers.is_empty();
        let mut server = Self {
            started: now.instant,
            cx: Context::new(index, setup.memory, setup.seed, now),
            machines: Machines::new(setup, missing, recovered, now.instant),
            undecoded: damage,
        };
        server.cx.clock.observe(newest, now.wall_ms, STAMP_LEAD);
        server.cx.ask_space();
        for segment in &recovered.unindexed {
            server.cx.job(Job::IndexSegment { segment: *segment });
        }
        server.machines.compact.start(&server.cx);
        server.machines.replicate.start(&mut server.cx);
        server.machines.write.bring(&mut server.cx, anew);
        server.machines.members.start(&mut server.cx, are_given);
        server.end_turn(now);
        // By then it is known what the network is set to.
        server.machines.collect.start(&mut server.cx, &recovered.begun);
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

    /// Something happens now; by a calendar that is plainly wrong at the time that the others say.
    fn begin(&mut self, now: Now) {
        self.cx.now = self.machines.members.correct(now);
        // A calendar that is plainly wrong judges nothing.
        let latest = latest_credible(self.cx.now.wall_ms).unwrap_or(u64::MAX);
        self.cx.index.catalog.set_latest(latest);
        self.cx.calendar_ms = self.machines.members.prudent(now);
        self.cx.index.apply_settings();
    }

    /// Does what has become due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.begin(now);
        while let Some((due, timer)) = self.cx.timers.take_due(self.cx.now.instant) {
            self.timer(timer, self.cx.now.instant.since(due));
            self.machines.dispatch_events(&mut self.cx);
        }
    }

    fn timer(&mut self, timer: Timer, late: Duration) {
        let Self { cx, machines, .. } = self;
        match timer {
            Timer::Window => machines.write.window_over(),
            Timer::Unresponsive(link) => machines.transfer.check_unresponsive(cx, link, late),
            Timer::Pace(link) => {
                let takes = machines.read_max(cx, link) > 0;
                machines.transfer.check_pace(cx, link, takes);
            }
            Timer::Stalled => machines.transfer.check_stalled(cx),
            Timer::Query(id) => machines.query.timeout(cx, id),
            Timer::PageAsked(asked) => machines.replicate.page_timeout(cx, asked),
            Timer::Retry => machines.replicate.retry(cx),
            Timer::News(link) => machines.arrivals.tell(cx, link),
            Timer::Push(link) => machines.reconcile.pump_push(cx, link),
            Timer::Reconcile(link) => machines.compare(cx, link),
            Timer::Redial => machines.members.redial(cx),
            Timer::Instance(link, request) => machines.members.instance_due(cx, link, request),
            Timer::PeersFile => machines.members.write_down(cx),
            Timer::Room => cx.look_for_room(),
            Timer::Compact => machines.compact.resume(cx),
            Timer::Expire => machines.expire.look(cx),
            Timer::Collect => machines.collect.timeout(cx),
            Timer::Drain => machines.end(cx, Output::Drained),
        }
    }

    /// A connection has been authenticated.
    pub fn established(&mut self, now: Now, link: Link, static_key: [u8; 32], reached: Reached) {
        self.begin(now);
        self.cx.links.insert(link, Peer::new(now.instant));
        self.machines.members.established(&mut self.cx, link, static_key, reached);
        self.machines.dispatch_events(&mut self.cx);
    }

    /// An attempt to reach a node has ended without a connection.
    pub fn dial_failed(&mut self, now: Now, node: NodeId, why: &str) {
        self.begin(now);
        self.machines.members.dial_failed(&mut self.cx, node, why);
        self.machines.dispatch_events(&mut self.cx);
    }

    /// A connection is gone.
    pub fn link_closed(&mut self, now: Now, link: Link) {
        self.begin(now);
        self.machines.forget(&mut self.cx, link);
        self.machines.dispatch_events(&mut self.cx);
    }

    /// Something of a connection's stream of leaves.
    pub fn leaves(&mut self, now: Now, link: Link, leaves: Leaves) {
        self.begin(now);
        self.machines.transfer.leaves(&mut self.cx, link, leaves);
        self.machines.dispatch_events(&mut self.cx);
    }

    /// A message has come.
    pub fn message(&mut self, now: Now, link: Link, message: Message) {
        self.begin(now);
        // None if it has just been ended.
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        peer.unresponsive = false;
        match (peer.who, message) {
            (_, Message::Hello(hello)) => self.machines.members.hello(&mut self.cx, link, hello),
            (Who::Unknown, _) => {
                self.machines.close(&mut self.cx, link, Closing::NoHello);
            }
            (Who::Client, message) => self.say(link, message),
            (Who::Node(_), message) => {
                if let Some(message) = self.say_as_node(link, message) {
                    self.say(link, message);
                }
            }
        }
        self.machines.dispatch_events(&mut self.cx);
    }

    /// What only nodes say to each other; anything else comes back.
    fn say_as_node(&mut self, link: Link, message: Message) -> Option<Message> {
        let Self { cx, machines, .. } = self;
        if let Message::Refused { reason, detail, .. } = &message {
            log::debug!("a peer refused a request: {reason:?}, {detail}");
        }
        if let Some(request) = requests::answered(&message) {
            match cx.links.answered(link, request, cx.now.instant) {
                Some(Ask::Query(query)) => {
                    let node = cx.links.get(link).and_then(Peer::node);
                    let holder = || node.map(|node| machines.members.address_of(node));
                    machines.query.answered(cx, link, query, message, holder);
                }
                Some(Ask::Page(asked)) => machines.replicate.page_answered(cx, asked, message),
                Some(Ask::Instance) => machines.members.instance_answered(cx, link),
                // It comes too late to be of interest.
                None => {}
            }
            return None;
        }
        match machines.reconcile.message(cx, link, message)? {
            Message::Peers { peers } => machines.members.learn(cx, link, peers),
            Message::Holds { request, record } => {
                cx.links.begin_request(link, false);
                machines.replicate.holds(cx, Asker { link, request }, record);
            }
            other => return Some(other),
        }
        None
    }

    /// What clients may say; nodes may too.
    fn say(&mut self, link: Link, message: Message) {
        let Self { cx, machines, .. } = self;
        machines.heard(cx, link, &message);
        if requests::is_request(&message) {
            cx.links.begin_request(link, requests::has_long_answer(&message));
        }
        let message = machines.transfer.message(cx, link, message);
        let message = message.and_then(|message| machines.write.message(cx, link, message));
        let message = message.and_then(|message| machines.query.message(cx, link, message));
        match message {
            None | Some(Message::Ping { .. } | Message::Pong { .. }) => {}
            Some(Message::Verify { request, after }) => {
                machines.scrub.ask(cx, Asker { link, request }, after);
            }
            Some(Message::Suspect { address }) => {
                // A block from here is not what its address says, says a reader. Once is enough.
                if !machines.transfer.is_suspected(cx, link, address)
                    && machines.scrub.suspect(cx, link, address)
                {
                    machines.transfer.suspect(address);
                }
            }
            Some(Message::Settled { upto }) => cx.reliance.settled(link, upto),
            Some(Message::Have { addresses }) => machines.replicate.told_of(cx, link, &addresses),
            Some(Message::Members { request }) => {
                let members = machines.members.list(cx.now.wall_ms);
                cx.reply(link, Message::members_are(request, members));
            }
            Some(Message::Status { request }) => {
                cx.ask_space();
                let status =
                    Box::new(status::status(&self.cx, self.machines.own(&self.cx, self.started)));
                self.cx.reply(link, Message::StatusIs { request, status });
            }
            // Nobody takes it: it is for nodes alone, or an answer to a question that nobody asked.
            Some(_) => machines.close(cx, link, Closing::NotForClients),
        }
    }

    /// A worker has answered.
    pub fn done(&mut self, now: Now, done: Done) {
        self.begin(now);
        let Self { cx, machines, .. } = self;
        match done {
            Done::Wrote { purpose, draft, result } => {
                machines.transfer.wrote(cx, &purpose, draft, result);
            }
            Done::Finished { address, result } => machines.transfer.finished(cx, address, result),
            Done::Freed => machines.write.freed(cx),
            Done::Discarded | Done::SegmentIndexed => {}
            Done::Leaves { reader, pins, result } => {
                cx.index.readers.unpin(pins);
                machines.transfer.leaves_read(cx, reader, result);
            }
            Done::SmallHashed { address, block, found } => {
                machines.transfer.small_hashed(cx, address, block, found);
            }
            Done::Log { purpose, items, read } => {
                if let Some(reason) = cx.log_read(*purpose, items, &read) {
                    self.read(reason, read);
                }
                return;
            }
            Done::NamesRead(naming) => machines.query.names_read(cx, *naming),
            Done::Committed { result } => machines.write.group_answered(cx, result),
            Done::Verified { purpose, blocks, found } => {
                let Verifying { reason, pins } = *purpose;
                cx.index.readers.unpin(pins);
                let found = cx.index.judge(&blocks, found);
                machines.replicate.found_bad(cx, &found.bad);
                machines.scrub.verified(cx, reason, found);
            }
            Done::Segment(answer) => machines.compact.answered(cx, answer),
            Done::BlocksListed { result } => machines.collect.listed(cx, result),
            Done::Space { result } => machines.space_answered(cx, result),
            Done::PeersWritten { result } => {
                if let Err(error) = result {
                    log::warn!("the file of known peers was not written: {error:?}");
                }
                machines.members.written_down();
            }
            Done::MadeGood { result: Err(error) } => {
                log::warn!("it was not written down that damage was made good: {error:?}");
            }
            Done::MadeGood { .. } => {}
            Done::Checked { purpose, found } => {
                let Checking { reason, bytes } = *purpose;
                cx.checking -= bytes;
                return self.checked(reason, &found);
            }
        }
        machines.dispatch_events(cx);
    }

    fn read(&mut self, reason: ReadFor, items: Vec<Result<Bytes, ReadError>>) {
        let Self { cx, machines, .. } = self;
        match reason {
            ReadFor::Reply(reading) => {
                let (has_compared, known) =
                    (machines.reconcile.has_compared(), machines.members.count());
                let sync = |cx: &Context| sync::state(cx, has_compared, known);
                let answer = machines.query.answer(cx, reading, items, sync);
                machines.dispatch_events(cx);
                machines.query.go_on(cx, answer);
            }
            ReadFor::Collect(reading) => machines.collect.read(cx, reading, items),
            ReadFor::Replicate(reading) => machines.replicate.read(cx, reading, items),
            ReadFor::KnownLists { put } => machines.write.known_lists_answered(cx, *put, items),
            ReadFor::PushRecords { link, ids } => {
                machines.reconcile.records_read(cx, link, ids, items);
            }
            ReadFor::PushBlocks { link, batch } => {
                machines.reconcile.blocks_read(cx, link, batch, items);
            }
        }
        machines.dispatch_events(cx);
    }

    fn checked(&mut self, reason: CheckFor, found: &[Checked]) {
        let Self { cx, machines, .. } = self;
        match reason {
            CheckFor::Put(put) => machines.write.put_checked(cx, put, found),
            CheckFor::Records { link, items } => {
                machines.write.records_checked(cx, link, items, found);
            }
            CheckFor::Offer(offer) => machines.write.offer_checked(cx, offer, found),
            CheckFor::PutPage { asker, page } => {
                machines.write.page_checked(cx, asker, page, found);
            }
            CheckFor::FetchedPage { asked, page } => {
                machines.replicate.page_checked(cx, asked, page, found);
            }
            CheckFor::Passed { link, query, passed } => {
                machines.query.passed_checked(cx, link, query, passed, found);
            }
        }
        machines.dispatch_events(cx);
    }

    /// To be called when a turn's events have all been handed over: sends on what was gathered from them.
    pub fn end_turn(&mut self, now: Now) {
        self.begin(now);
        self.undecoded.judge(&mut self.cx);
        for _ in 0..BATCHES_OF_A_TURN {
            let goes_on = self.machines.replicate.go_on(&mut self.cx);
            self.machines.dispatch_events(&mut self.cx);
            if !goes_on {
                break;
            }
        }
        self.machines.transfer.write(&mut self.cx);
        self.machines.transfer.pump_waiting(&mut self.cx);
        self.machines.compact.go_on(&mut self.cx);
        self.machines.dispatch_events(&mut self.cx);
        self.machines.expire.plan(&mut self.cx);
        let is_whole = self.machines.are_whole(&self.cx);
        self.machines.collect.end_turn(&mut self.cx, is_whole);
        self.machines.dispatch_events(&mut self.cx);
        self.machines.write.pump(&mut self.cx, is_whole);
        self.machines.end_if_drained(&mut self.cx);
    }

    /// Accepts no more puts, finishes those accepted, and then says `Drained`.
    pub fn drain(&mut self, now: Now) {
        self.begin(now);
        if self.machines.drain() {
            self.machines.members.write_last(&mut self.cx);
            self.cx.after(DRAIN_TIMEOUT, Timer::Drain);
        }
        self.end_turn(now);
    }

    /// A message was queued: so many bytes wait on the connection now. Known at once, not when the socket next takes
    /// some, since a client that asks and does not read must be stopped by what waits for it.
    pub fn outbox_grown(&mut self, link: Link, bytes: usize) {
        self.cx.links.set_outbox(link, bytes);
    }

    /// How many bytes of messages wait on a connection, of which some have been sent.
    pub fn outbox_level(&mut self, now: Now, link: Link, bytes: usize) {
        self.begin(now);
        self.cx.links.set_outbox(link, bytes);
        if bytes < OUTBOX_MAX / 2 && self.cx.links.contains(link) {
            self.machines.reconcile.pump_push(&mut self.cx, link);
            self.machines.reconcile.pump(&mut self.cx, link);
            self.machines.members.pump(&mut self.cx, link);
            self.machines.query.resume(&mut self.cx, link);
            self.machines.dispatch_events(&mut self.cx);
        }
    }

    /// How many bytes of a connection are taken in at a time; none while it has to wait.
    #[must_use]
    pub fn read_max(&self, link: Link) -> usize {
        self.machines.read_max(&self.cx, link)
    }

    /// For whom nothing is taken in, whoever it comes from.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        backpressure::pressure(&self.cx, self.machines.write.has_backlog())
    }

    /// About what is kept in memory on behalf of a connection, leaves apart, which have a budget of their own.
    #[must_use]
    pub fn held_bytes(&self, link: Link) -> usize {
        let requests = self.cx.links.get(link).map(|peer| peer.requests * REQUEST_BYTES);
        requests.map_or(0, |requests| requests + self.machines.held_bytes(link))
    }

    /// What it has, to compare nodes.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            records: self.cx.index.catalog.whole(),
            incomplete: self.machines.replicate.incomplete(),
            peers: members::connected(&self.cx),
        }
    }

    /// Bulk memory reserved, and at most.
    #[must_use]
    pub fn memory_use(&self) -> (usize, usize) {
        (self.cx.memory.used(), self.cx.memory.max())
    }
}
