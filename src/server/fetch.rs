//! Fetching: blocks on their way here, from clients that offer them and from peers that have them.
//!
//! A fetch has one source at a time and asks it for runs of leaves, each run with memory reserved for it; what has been
//! written stays written when the source changes. Invariant: a leaf that came is written only if it is what the block's
//! address says, and memory is reserved for every leaf asked for until it is written, or given up.

use super::closing::Closing;
use super::memory::Share;
use super::output::Link;
use super::peers::Peer;
use super::round::Short;
use super::serve::Pass;
use super::stuck::Outcome;
use super::want::Interest;
use super::{FileServer, Output};
use crate::ids::{Address, Hash};
use crate::limits::{LEAF, LEAVES, LOG_BLOCK_MAX};
use crate::planted::{self, Bug};
use crate::store::values::Draft;
use crate::time::Now;
use crate::wire::frame::leaves_of;
use crate::wire::message::{BlockRef, Message};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Asking,
    /// All is written and the draft is being flushed, or the small block checked.
    Finishing,
    /// In the lane.
    Committing,
}

/// One block on its way.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) length: u32,
    pub(super) draft: Draft,
    pub(super) stage: Stage,
    pub(super) leaves: Option<Arc<[Hash]>>,
    /// Leaves asked for, come, and written: one bit each.
    pub(super) asked: u32,
    pub(super) come: u32,
    pub(super) written: u32,
    /// A job writes into the draft.
    pub(super) writing: bool,
    pub(super) chunks: BTreeMap<u8, (Bytes, Link, Share)>,
    pub(super) interests: Vec<Interest>,
    pub(super) source: Option<Link>,
    /// Sources that do not have it, or failed.
    pub(super) tried: Vec<Link>,
    /// A job has been told to write into the draft, so that there may be one.
    pub(super) drafted: bool,
    /// It is tried again, and asked only of those that have news.
    again: bool,
    /// Not all that were asked have said that they do not have it.
    unsure: bool,
}

impl Fetch {
    pub(super) fn all(&self) -> u32 {
        mask(0, u32::try_from(leaves_of(self.length)).expect("a block has 32 leaves"))
    }

    pub(super) fn is_small(&self) -> bool {
        self.length as usize <= LOG_BLOCK_MAX
    }

    /// Somebody wants to read it.
    fn is_read(&self) -> bool {
        self.interests.iter().any(|interest| matches!(interest, Interest::Read(_)))
    }

    /// Those who read it.
    pub(super) fn readers(&self) -> impl Iterator<Item = Link> {
        self.interests.iter().filter_map(|interest| match interest {
            Interest::Read(parked) => Some(parked.link),
            Interest::Offer(_) | Interest::Walk(_) | Interest::Repair => None,
        })
    }

    /// Somebody waits for what this source is to bring, other than the source itself.
    pub(super) fn others_wait(&self, source: Link) -> bool {
        self.interests.iter().any(|interest| match interest {
            Interest::Read(_) => true,
            Interest::Offer(link) => *link != source,
            Interest::Walk(_) | Interest::Repair => false,
        })
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    pub(super) by_address: BTreeMap<Address, Fetch>,
    /// Have chunks that no job has been given yet.
    pub(super) dirty: BTreeSet<Address>,
    /// Connections that found no memory of a share, in the order in which they asked.
    pub(super) starved: [VecDeque<Link>; 3],
    /// Blocks that were found damaged here and have not come again: with their lengths.
    pub(super) repairs: BTreeMap<Address, u32>,
    /// Drafts that were given up while a job still wrote into them.
    pub(super) orphans: HashSet<Draft>,
    /// Given up by those who were to bring it for a reader.
    pub(super) passes_lost: Vec<Pass>,
    /// Readers whose source owes as much as it bears.
    pub(super) passes_waiting: BTreeSet<Link>,
    /// Some source may owe less since they were last looked at.
    pub(super) passes_freed: bool,
}

impl Fetches {
    /// None yet, but for what an earlier run found damaged.
    pub(super) fn with_repairs(repairs: BTreeMap<Address, u32>) -> Self {
        Self { repairs, ..Self::default() }
    }

    /// Forgets whatever a closed connection was waiting for. Gives the fetches that nobody waits for any more.
    fn forget_interests(&mut self, link: Link) -> Vec<Address> {
        for fetch in self.by_address.values_mut() {
            fetch.interests.retain(|interest| match interest {
                Interest::Offer(other) => *other != link,
                Interest::Read(parked) => parked.link != link,
                Interest::Walk(_) | Interest::Repair => true,
            });
        }
        let idle = |fetch: &Fetch| fetch.interests.is_empty() && fetch.stage == Stage::Asking;
        let fetches = self.by_address.iter().filter(|(_, fetch)| idle(fetch));
        fetches.map(|(address, _)| *address).collect()
    }
}

impl FileServer {
    /// Sees to it that a block comes here. The outcome is told to `interest`.
    pub(super) fn fetch(
        &mut self,
        now: Now,
        block: BlockRef,
        interest: Interest,
        hint: Option<Link>,
    ) {
        if self.fetches.by_address.contains_key(&block.address) {
            return self.join_fetch(now, block, interest);
        }
        let draft = self.serial();
        let again = self.is_tried_again(&block.address, &interest);
        let fetch = Fetch {
            length: block.length,
            draft,
            stage: Stage::Asking,
            leaves: None,
            asked: 0,
            come: 0,
            written: 0,
            writing: false,
            chunks: BTreeMap::new(),
            interests: vec![interest],
            source: None,
            tried: Vec::new(),
            drafted: false,
            again,
            unsure: false,
        };
        self.fetches.by_address.insert(block.address, fetch);
        if self.cx.has_room(u64::from(block.length)) {
            self.assign(now, block.address, hint);
        } else {
            if !matches!(interest, Interest::Offer(_)) {
                self.lack_room_for_block(now, u64::from(block.length));
            }
            self.fetch_failed(now, block.address);
        }
    }

    /// One more waits for a block that is on its way.
    fn join_fetch(&mut self, now: Now, block: BlockRef, interest: Interest) {
        let again = self.is_tried_again(&block.address, &interest);
        let Some(fetch) = self.fetches.by_address.get_mut(&block.address) else {
            return;
        };
        if fetch.length != block.length {
            // One of the two lengths is a lie. Whoever came second may try again when the first has failed.
            return self.tell_failed(now, block.address, interest, Outcome::Unsure);
        }
        fetch.again &= again;
        fetch.interests.push(interest);
        let (stage, source) = (fetch.stage, fetch.source);
        let from_node = source.and_then(|link| self.cx.links.get(link)).is_some_and(Peer::is_node);
        if let Interest::Offer(client) = interest
            && stage == Stage::Asking
            && (from_node || source.is_none())
        {
            // The client has it at hand: a put does not wait for a peer, which may be slow.
            if let Some(node) = source {
                self.give_up_runs(node, |run| run.address == block.address && run.pass.is_none());
            }
            return self.assign(now, block.address, Some(client));
        }
        let Some(link) = source.filter(|_| stage == Stage::Asking) else {
            return;
        };
        if matches!(interest, Interest::Read(_)) {
            self.queue_fetch(link, block.address);
        }
        if self.cx.links.get(link).is_some_and(|peer| self.is_slow(peer, now)) {
            self.leave_slow(now, link, BTreeSet::from([block.address]));
        }
    }

    /// A connection is to be asked for a block: for what is read before all else, in the order in which it is wanted.
    fn queue_fetch(&mut self, link: Link, address: Address) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        let fetches = &self.fetches.by_address;
        let is_read = |address: &Address| fetches.get(address).is_some_and(Fetch::is_read);
        let queue = &mut peer.credit.queue;
        let mut at = queue.len();
        if is_read(&address) && !planted::is_on(Bug::ReadInTurn) {
            at = queue.iter().position(|queued| !is_read(queued)).unwrap_or(at);
        }
        // It may be there already, further back: then nothing of it is left to ask for.
        queue.insert(at, address);
    }

    /// Gives a fetch its next source; without any left it has failed.
    pub(super) fn assign(&mut self, now: Now, address: Address, hint: Option<Link>) {
        let Some(fetch) = self.fetches.by_address.get(&address) else {
            return;
        };
        let source = self.choose_source(now, fetch, hint);
        let Some(link) = source else {
            return self.end_fetch(now, address);
        };
        if let Some(fetch) = self.fetches.by_address.get_mut(&address) {
            fetch.source = Some(link);
        }
        self.queue_fetch(link, address);
        self.pump_fetches(now, link);
    }

    /// The connection hinted at, then clients that offered it, then the peer with the shortest queue; slow and silent ones
    /// last, and the present source not again.
    pub(super) fn choose_source(
        &self,
        now: Now,
        fetch: &Fetch,
        hint: Option<Link>,
    ) -> Option<Link> {
        let untried = |link: &Link| {
            let was_asked = fetch.source == Some(*link) || fetch.tried.contains(link);
            !was_asked && self.cx.links.contains(*link)
        };
        let is_fast =
            |link: &Link| self.cx.links.get(*link).is_some_and(|peer| !self.is_slow(peer, now));
        let offered = fetch.interests.iter().filter_map(|interest| match interest {
            Interest::Offer(link) => Some(*link),
            Interest::Read(_) | Interest::Walk(_) | Interest::Repair => None,
        });
        let mut named = hint.into_iter().chain(offered);
        if let Some(link) = named.find(|link| untried(link) && is_fast(link)) {
            return Some(link);
        }
        let is_asked = |link: &Link| !fetch.again || hint == Some(*link) || self.stuck.asks(*link);
        let nodes = self.cx.links.node_peers().filter(|(link, _)| untried(link) && is_asked(link));
        nodes
            .min_by_key(|(_, peer)| {
                let credit = &peer.credit;
                (self.is_slow(peer, now), peer.silent, credit.queue.len(), credit.outstanding)
            })
            .map(|(link, _)| link)
    }

    /// A source has not brought what it was asked for, and has not said either that it does not have it.
    pub(super) fn source_failed(&mut self, now: Now, address: Address, link: Link) {
        if let Some(fetch) = self.fetches.by_address.get_mut(&address) {
            fetch.unsure = true;
        }
        self.leave_source(now, address, link);
    }

    /// Others are asked instead.
    pub(super) fn leave_source(&mut self, now: Now, address: Address, link: Link) {
        let Some(fetch) = self.fetches.by_address.get_mut(&address) else {
            return;
        };
        if !fetch.tried.contains(&link) {
            fetch.tried.push(link);
        }
        if fetch.stage != Stage::Asking {
            return;
        }
        match fetch.source {
            Some(other) if other != link => {
                // What this source owed is now the present one's to bring.
                if let Some(peer) = self.cx.links.get_mut(other)
                    && !peer.credit.queue.contains(&address)
                {
                    peer.credit.queue.push_back(address);
                }
                self.pump_fetches(now, other);
            }
            Some(_) | None => {
                fetch.source = None;
                if !planted::is_on(Bug::LoseFailedFetch) {
                    self.assign(now, address, None);
                }
            }
        }
    }

    /// The connection is gone, and with it what it was asked for and what it waited for. It is none of the nodes' any more,
    /// so that nothing else is asked of it.
    pub(super) fn fetch_link_closed(&mut self, now: Now, link: Link) {
        for address in self.fetches.forget_interests(link) {
            self.fetch_failed(now, address);
        }
        self.abandon_runs(now, link);
        self.fetches.passes_freed = true;
    }

    /// Blocks are durable: whoever waited is told.
    pub(super) fn blocks_arrived(&mut self, now: Now, addresses: &[Address]) {
        let mut have: BTreeMap<Link, Vec<Address>> = BTreeMap::new();
        for address in addresses {
            self.fetches.repairs.remove(address);
            self.walks.lost.remove(address);
            let Some(fetch) = self.fetches.by_address.remove(address) else {
                continue;
            };
            self.drop_chunks(fetch.chunks);
            let is_offered = |interest: &Interest| matches!(interest, Interest::Offer(_));
            if !fetch.interests.is_empty() && fetch.interests.iter().all(is_offered) {
                self.cx.index.holdings.await_name(address);
            }
            for interest in fetch.interests {
                match interest {
                    Interest::Offer(link) => have.entry(link).or_default().push(*address),
                    Interest::Read(parked) => self.unpark(now, parked),
                    Interest::Walk(walk) => {
                        self.walk_block_done(now, walk, *address, Outcome::Here);
                    }
                    Interest::Repair => {
                        self.short_tried(now, Short::Block(*address), Outcome::Here);
                    }
                }
            }
        }
        self.arrived_for_stuck(addresses);
        self.tell_who_asked(now, addresses);
        for (link, addresses) in have {
            if let Some(peer) = self.cx.links.get_mut(link) {
                peer.offered = peer.offered.saturating_sub(addresses.len());
            }
            self.send_all(link, Message::have(&addresses));
        }
    }

    /// The disk has refused a block for want of room. Those who read it have it passed on to them.
    pub(super) fn fetch_has_no_room(&mut self, now: Now, address: Address) {
        self.cx.space.ran_out();
        let Some(fetch) = self.fetches.by_address.get_mut(&address) else {
            return;
        };
        let length = fetch.length;
        let is_offered = |interest: &Interest| matches!(interest, Interest::Offer(_));
        let is_elsewhere = !fetch.interests.iter().all(is_offered);
        let mut readers = Vec::new();
        fetch.interests.retain(|interest| match interest {
            Interest::Read(parked) => {
                readers.push(*parked);
                false
            }
            Interest::Offer(_) | Interest::Walk(_) | Interest::Repair => true,
        });
        if is_elsewhere {
            self.lack_room_for_block(now, u64::from(length));
        }
        self.fetch_failed(now, address);
        readers.into_iter().for_each(|parked| self.unpark(now, parked));
    }

    /// A block can't be had now, whoever has it: whoever waited is told.
    pub(super) fn fetch_failed(&mut self, now: Now, address: Address) {
        if let Some(fetch) = self.fetches.by_address.get_mut(&address) {
            fetch.unsure = true;
        }
        self.end_fetch(now, address);
    }

    /// Nobody is left to ask for a block.
    fn end_fetch(&mut self, now: Now, address: Address) {
        let Some(fetch) = self.fetches.by_address.remove(&address) else {
            return;
        };
        self.drop_chunks(fetch.chunks);
        if fetch.writing {
            self.fetches.orphans.insert(fetch.draft);
        } else if fetch.drafted {
            self.discard(fetch.draft);
        }
        let outcome = if fetch.unsure { Outcome::Unsure } else { Outcome::Nowhere };
        for interest in fetch.interests {
            self.tell_failed(now, address, interest, outcome);
        }
    }

    fn tell_failed(&mut self, now: Now, address: Address, interest: Interest, outcome: Outcome) {
        match interest {
            Interest::Offer(link) => {
                if let Some(peer) = self.cx.links.get_mut(link) {
                    peer.offered = peer.offered.saturating_sub(1);
                }
                self.send(link, Message::Absent { address });
            }
            Interest::Read(parked) => {
                self.send_absent(parked.link, address);
                self.want_answered(parked.link);
            }
            Interest::Walk(walk) => self.walk_block_done(now, walk, address, outcome),
            Interest::Repair => self.short_tried(now, Short::Block(address), outcome),
        }
    }

    /// Tells a client that what it wants to read can't be had, and whether that is for damage here.
    pub(super) fn send_absent(&mut self, link: Link, address: Address) {
        let is_damaged =
            self.fetches.repairs.contains_key(&address) || self.walks.is_damaged(&address);
        let is_damaged = is_damaged && !planted::is_on(Bug::DamagedIsAbsent);
        let absent = Message::Absent { address };
        self.send(link, if is_damaged { Message::Damaged { address } } else { absent });
    }

    fn drop_chunks(&mut self, chunks: BTreeMap<u8, (Bytes, Link, Share)>) {
        for (_, _, share) in chunks.into_values() {
            self.cx.memory.release(share, LEAF);
        }
    }

    /// Ends a connection whose other side broke the rules.
    pub(super) fn close(&mut self, now: Now, link: Link, why: Closing) {
        self.cx.output(Output::Close { link, why });
        self.link_closed(now, link);
    }
}

impl Fetches {
    /// Nobody waits for memory.
    pub(super) fn nobody_starves(&self) -> bool {
        self.starved.iter().all(|waiting| waiting.is_empty())
    }

    /// Whatever has come is given to the workers with this turn: somebody needs the memory.
    pub(super) fn write_all(&mut self) {
        let is_held = |fetch: &Fetch| !fetch.is_small() && !fetch.chunks.is_empty();
        let held = self.by_address.iter().filter(|(_, fetch)| is_held(fetch));
        self.dirty.extend(held.map(|(address, _)| *address));
    }
}

/// `count` bits from bit `first` on.
pub(super) fn mask(first: u32, count: u32) -> u32 {
    debug_assert!(count >= 1 && first + count <= u32::from(LEAVES));
    (u32::MAX >> (u32::from(LEAVES) - count)) << first
}
