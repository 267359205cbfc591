//! Credit: what is wanted of one connection at a time, as much as it keeps up with and the memory allows.
//!
//! Memory is reserved for what is wanted. If there is none, one leaf is wanted all the same and counted when it is here:
//! so nobody waits for those who announce much and send nothing, and what they hold is given back when they are silent
//! and others need it. Knows nothing of who waits for a block. Invariant: a run stays with its connection until it has
//! come, also when it is not waited for any more.

use super::FileServer;
use super::fetch::{Fetch, mask};
use super::memory::{Memory, Share};
use super::output::Link;
use super::peers::{Credit, Run};
use super::timers::Timer;
use crate::ids::Address;
use crate::limits::{COMING_PERIOD, LAST_SOURCE_SILENCE, LEAF, OPERATION_SILENCE, PEER_SILENCE};
use crate::planted::{self, Bug};
use crate::time::Now;
use crate::wire::message::{BlockRef, Message};
use std::collections::BTreeSet;
use std::time::Duration;

/// Runs wanted of one connection at a time: of the longest it is enough to fill a fast link, and a slow one, of which
/// single leaves are wanted, holds little memory.
const CREDIT_RUNS: usize = 3;

impl FileServer {
    /// Asks a connection for as many leaves as its credit and the memory allow.
    pub(super) fn pump_fetches(&mut self, now: Now, link: Link) {
        while let Some(peer) = self.cx.links.get_mut(link) {
            let Some(&address) = peer.credit.queue.front() else {
                return;
            };
            let fetch = self.fetches.by_address.get_mut(&address);
            let Some(fetch) = fetch.filter(|fetch| fetch.source == Some(link)) else {
                peer.credit.queue.pop_front();
                continue;
            };
            let open = fetch.all() & !(fetch.asked | fetch.come);
            if open == 0 {
                peer.credit.queue.pop_front();
                continue;
            }
            let first = open.trailing_zeros();
            let gap = (open >> first).trailing_ones();
            let count = gap.min(peer.credit.run);
            let outstanding = peer.credit.fetching();
            let credit = CREDIT_RUNS * peer.credit.run as usize;
            if outstanding > 0 && outstanding + count as usize > credit {
                return;
            }
            let share = if peer.is_node() { Share::Peers } else { Share::Clients };
            let reserved = reserve(&mut self.cx.memory, (share, peer.credit.proven), count);
            let count = match reserved {
                Some(count) => count,
                None if outstanding == 0 => 1,
                None if peer.credit.proven => return self.starve(now, link, share),
                None => return,
            };
            fetch.asked |= mask(first, count);
            let length = fetch.length;
            let block = BlockRef { address, length };
            let (first, count) = (byte(first), byte(count));
            let run = Run {
                address,
                length,
                first,
                count,
                share,
                come: 0,
                live: true,
                reserved: reserved.is_some(),
                asked: now.instant,
                pass: None,
            };
            if queue_run(&mut peer.credit, run) {
                self.watch_silence(now, link);
                self.watch_pace(now, link);
            }
            self.send(link, Message::Want { block, first, count });
        }
    }

    /// The peer does not have the block. It answers so once for each run; what else was asked of the same block is not
    /// waited for any more, though it may still come, should the block have come there in between.
    pub(super) fn absent(&mut self, now: Now, link: Link, address: Address) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        let Some(at) = peer.credit.runs.iter().position(|run| run.address == address) else {
            return log::debug!("connection {link} lacks a block that was not wanted of it");
        };
        peer.hear(now.instant);
        let mut run = peer.credit.runs.remove(at).expect("the position is of this queue");
        peer.credit.outstanding = peer.credit.outstanding.saturating_sub(usize::from(run.count));
        peer.pace.bring(run.count);
        let was_live = run.live;
        self.give_up(&mut run);
        if run.pass.is_some() {
            // What is wanted for others has its own answer.
            self.fetches.passes_freed = true;
            return self.pump_fetches(now, link);
        }
        let others = self.give_up_runs(link, |run| run.address == address && run.pass.is_none());
        // The run may be one that was given up before, and the connection asked once more since.
        if was_live || !others.is_empty() {
            self.leave_source(now, address, link);
        }
        self.pump_fetches(now, link);
    }

    /// Runs of one connection are not waited for any more. Gives the blocks they are of.
    pub(super) fn give_up_runs(
        &mut self,
        link: Link,
        which: impl Fn(&Run) -> bool,
    ) -> BTreeSet<Address> {
        let mut given_up = BTreeSet::new();
        let Some(peer) = self.cx.links.get_mut(link) else {
            return given_up;
        };
        let mut runs = std::mem::take(&mut peer.credit.runs);
        let mut current = peer.credit.current.take();
        for run in runs.iter_mut().chain(&mut current).filter(|run| run.live && which(run)) {
            given_up.insert(run.address);
            self.give_up(run);
        }
        if let Some(peer) = self.cx.links.get_mut(link) {
            peer.credit.runs = runs;
            peer.credit.current = current;
        }
        given_up
    }

    /// What a run has not brought is no longer expected of it.
    pub(super) fn give_up(&mut self, run: &mut Run) {
        if !run.live {
            return;
        }
        release_rest(&mut self.cx.memory, run);
        if let Some(pass) = run.pass {
            return self.fetches.passes_lost.push(pass);
        }
        if let Some(fetch) = self.fetches.by_address.get_mut(&run.address) {
            fetch.asked &= !mask(u32::from(run.first), u32::from(run.count));
            // What it has brought waits for nothing more.
            if !fetch.is_small() {
                self.fetches.dirty.insert(run.address);
            }
        }
    }

    /// Sets the timer that looks after a connection's silence. There is one at a time, however often the connection has
    /// nothing to bring for a moment.
    pub(super) fn watch_silence(&mut self, now: Now, link: Link) {
        if let Some(peer) = self.cx.links.get_mut(link)
            && !std::mem::replace(&mut peer.credit.watched, true)
        {
            self.after(now, PEER_SILENCE, Timer::Silence(link));
        }
    }

    /// A connection of which leaves were wanted may have said nothing for long. If memory is short, what is reserved for
    /// it is given back, though it is still waited for; a node is not waited for either where another can be asked, and
    /// longer where none can: the line to it may be slow. While this process slept or was busy elsewhere nobody could be
    /// heard: so much as the look comes late is no silence.
    pub(super) fn check_silence(&mut self, now: Now, link: Link, late: Duration) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        peer.credit.watched = false;
        self.fetches.passes_freed = true;
        if peer.credit.outstanding == 0 || planted::is_on(Bug::WaitForever) {
            return;
        }
        if !planted::is_on(Bug::BlameSilence) {
            peer.credit.heard = (peer.credit.heard + late).min(now.instant);
        }
        let silence = now.instant.since(peer.credit.heard);
        let is_node = peer.is_node();
        let patience = match is_node {
            true if planted::is_on(Bug::GiveUpTheLast) => PEER_SILENCE,
            true => LAST_SOURCE_SILENCE,
            false => OPERATION_SILENCE,
        };
        if silence >= patience {
            peer.silent = true;
            log::debug!("connection {link} is silent; others are asked instead");
            self.abandon_runs(now, link);
        } else if silence >= PEER_SILENCE {
            peer.silent |= is_node;
            peer.credit.proven = false;
            peer.credit.run = 1;
            if self.is_short() {
                self.give_back(link);
            }
            if is_node {
                self.leave_silent(now, link);
            }
        }
        self.watch_silence(now, link);
    }

    /// Others are asked for what a silent node owes, as far as there are any that have not been asked.
    fn leave_silent(&mut self, now: Now, link: Link) {
        self.leave_passes(now, link);
        let Some(peer) = self.cx.links.get(link) else {
            return;
        };
        for address in peer.credit.owed() {
            let fetch = self.fetches.by_address.get(&address);
            let fetch = fetch.filter(|fetch| fetch.source == Some(link));
            if fetch.is_some_and(|fetch| self.choose_source(now, fetch, None).is_some()) {
                self.give_up_runs(link, |run| run.address == address && run.pass.is_none());
                self.source_failed(now, address, link);
            }
        }
    }

    /// A leaf has come: those who read what is still to come from there are told that it does. Whoever is being sent
    /// something has not taken what was said before, or sees that much.
    pub(super) fn tell_who_reads(&mut self, now: Now, link: Link) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        if now.instant.since(peer.credit.told) < COMING_PERIOD
            || planted::is_on(Bug::WaitWithoutAWord)
        {
            return;
        }
        peer.credit.told = now.instant;
        let mut readers = BTreeSet::new();
        let hears = |reader: &Link| self.cx.links.get(*reader).is_some_and(|it| it.outbox == 0);
        let owed = self.cx.links.get(link).map(|peer| peer.credit.owed()).unwrap_or_default();
        for address in owed {
            let fetch = self.fetches.by_address.get(&address);
            let fetch = fetch.filter(|fetch| fetch.source == Some(link));
            let links = fetch.into_iter().flat_map(Fetch::readers);
            readers.extend(links.filter(hears).map(|reader| (reader, address)));
        }
        if let Some(peer) = self.cx.links.get(link) {
            let runs = peer.credit.runs.iter().chain(&peer.credit.current).filter(|run| run.live);
            let passed = runs.filter_map(|run| Some((run.pass?.0, run.address)));
            readers.extend(passed.filter(|(reader, _)| hears(reader)));
        }
        for (reader, address) in readers {
            self.send(reader, Message::Coming { address });
        }
    }

    /// Somebody waits for memory, or nobody who is not known yet would get any.
    fn is_short(&self) -> bool {
        let waits = self.fetches.starved.iter().any(|waiting| !waiting.is_empty());
        waits || self.cx.memory.used() > self.cx.memory.max() / 8
    }

    /// What a connection was to bring is counted when it is here.
    fn give_back(&mut self, link: Link) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        for run in peer.credit.runs.iter_mut().chain(&mut peer.credit.current) {
            if std::mem::take(&mut run.reserved) {
                self.cx.memory.release(run.share, usize::from(run.count - run.come) * LEAF);
            }
        }
    }

    /// Nothing that was asked of a connection is waited for any more, though it may still come.
    pub(super) fn abandon_runs(&mut self, now: Now, link: Link) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        let mut failed: BTreeSet<Address> = peer.credit.queue.drain(..).collect();
        failed.extend(self.give_up_runs(link, |_| true));
        if planted::is_on(Bug::ForgetAbandoned)
            && let Some(peer) = self.cx.links.get_mut(link)
        {
            peer.credit.runs.clear();
        }
        for address in failed {
            self.source_failed(now, address, link);
        }
    }

    /// A connection found no memory of a share, and tries again when some has come back.
    pub(super) fn starve(&mut self, now: Now, link: Link, share: Share) {
        if share == Share::Serving {
            self.watch_deaf(now);
        }
        if let Some(peer) = self.cx.links.get_mut(link)
            && !std::mem::replace(&mut peer.credit.starved[share as usize], true)
        {
            // Once somebody waits, nothing more is gathered.
            if self.fetches.nobody_starves() {
                self.fetches.write_all();
            }
            self.fetches.starved[share as usize].push_back(link);
        }
    }

    /// Memory may have come back: those that found none try again, the one that waited longest first. Each share has its
    /// own queue, so that nobody waits behind one whose share is used up for long.
    pub(super) fn pump_starved(&mut self, now: Now) {
        self.pump_passes(now);
        if planted::is_on(Bug::ForgetStarved) {
            return;
        }
        for share in Share::ALL {
            for _ in 0..self.fetches.starved[share as usize].len() {
                if !self.pump_first_starved(now, share) {
                    break;
                }
            }
        }
    }

    /// False if the share is still used up.
    fn pump_first_starved(&mut self, now: Now, share: Share) -> bool {
        let Some(link) = self.fetches.starved[share as usize].pop_front() else {
            return false;
        };
        let Some(peer) = self.cx.links.get_mut(link) else {
            return true;
        };
        peer.credit.starved[share as usize] = false;
        match share {
            Share::Serving => self.pump_serving(now, link),
            Share::Peers | Share::Clients => self.pump_fetches(now, link),
        }
        self.cx.links.get(link).is_none_or(|peer| !peer.credit.starved[share as usize])
    }
}

impl Credit {
    /// Leaves of what is fetched: what is passed on has another bound, and must not keep fetches waiting.
    fn fetching(&self) -> usize {
        let runs = self.runs.iter().chain(&self.current).filter(|run| run.pass.is_some());
        self.outstanding - runs.map(|run| usize::from(run.count)).sum::<usize>()
    }
}

/// A run has been asked for. True if its connection owed nothing before.
pub(super) fn queue_run(credit: &mut Credit, run: Run) -> bool {
    let idle = credit.outstanding == 0;
    credit.outstanding += usize::from(run.count);
    credit.runs.push_back(run);
    if idle {
        credit.heard = run.asked;
        credit.told = run.asked;
    }
    idle
}

/// Reserves `count` leaves, or at least one.
fn reserve(memory: &mut Memory, (share, proven): (Share, bool), count: u32) -> Option<u32> {
    [count, 1].into_iter().find(|count| {
        let bytes = *count as usize * LEAF;
        if proven {
            memory.reserve(share, bytes)
        } else {
            memory.reserve_for_stranger(share, bytes)
        }
    })
}

/// Gives back the memory of the leaves that a run has not brought, and marks it as given up.
fn release_rest(memory: &mut Memory, run: &mut Run) {
    run.live = false;
    if std::mem::take(&mut run.reserved) && !planted::is_on(Bug::KeepReservation) {
        memory.release(run.share, usize::from(run.count - run.come) * LEAF);
    }
}

fn byte(number: u32) -> u8 {
    u8::try_from(number).expect("a block has 32 leaves")
}
