//! Incoming leaves: streams that were asked for, checked by workers and written leaf by leaf.
//!
//! Invariant: a leaf is written only if it is what the block's address says; a block is whole, flushed and in the lane
//! before anybody is told of it.

use super::FileServer;
use super::closing::Closing;
use super::fetch::{Stage, mask};
use super::memory::Share;
use super::output::Link;
use super::peers::Run;
use super::work::{Job, Writing};
use crate::ids::Address;
use crate::limits::LEAF;
use crate::planted::{self, Bug};
use crate::store::values::{DiskError, Draft, WriteError};
use crate::time::Now;
use crate::wire::frame::Open;
use crate::wire::message::Message;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A run that takes less is doubled, one that takes more than four times as long is cut to one leaf.
const RUN_TIME: Duration = Duration::from_millis(250);
/// So many leaves are gathered for one job, if no more than those asked for have to be waited for.
const WRITE_LEAVES: usize = 16;

impl FileServer {
    /// A stream begins.
    pub fn opened(&mut self, now: Now, link: Link, open: Open) {
        self.cx.now = now;
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        // Who wants what is passed on may lie about its length, and what was asked for him is not what comes.
        let wanted = |run: &Run| {
            (run.address, run.first, run.count) == (open.address, open.first, open.count)
                && (run.pass.is_none() || run.length == open.length)
        };
        let Some(at) = peer.credit.runs.iter().position(wanted) else {
            return self.close(now, link, Closing::UnwantedLeaves);
        };
        let run = peer.credit.runs.remove(at).expect("the position is of this queue");
        peer.hear(now.instant);
        peer.credit.current = Some(run);
        if let Some(pass) = run.pass {
            return self.pass_opened(pass, open);
        }
        let Some(fetch) = self.fetches.by_address.get_mut(&open.address) else {
            return;
        };
        if fetch.length != open.length {
            return self.close(now, link, Closing::WrongLength);
        }
        fetch.leaves.get_or_insert_with(|| open.leaves.into());
        if !fetch.chunks.is_empty() {
            // Leaves that came in a stream begun for an earlier fetch of this block waited for the hashes.
            self.fetches.dirty.insert(open.address);
        }
    }

    /// A leaf has come; not yet checked.
    pub fn chunk(&mut self, now: Now, link: Link, index: u8, data: Bytes) {
        self.cx.now = now;
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        peer.hear(now.instant);
        peer.pace.bring(1);
        self.tell_who_reads(now, link);
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        let Some(run) = peer.credit.current.as_mut() else {
            return;
        };
        run.come += 1;
        if let Some(pass) = run.pass {
            let is_last = run.come >= run.count;
            return self.pass_leaf(now, pass, data, is_last);
        }
        // Of one that was given up it may still be what is waited for, should the next not have it.
        if !run.live && planted::is_on(Bug::DropLateLeaves) {
            return;
        }
        let (address, share, is_last) = (run.address, run.share, run.come >= run.count);
        if !run.reserved {
            self.cx.memory.claim(share, LEAF);
        }
        let bit = mask(u32::from(index), 1);
        let fetch = self.fetches.by_address.get_mut(&address);
        let fetch = fetch.filter(|fetch| fetch.stage == Stage::Asking && fetch.come & bit == 0);
        let Some(fetch) = fetch else {
            return self.cx.memory.release(share, LEAF);
        };
        fetch.come |= bit;
        fetch.asked &= !bit;
        fetch.chunks.insert(index, (data, link, share));
        // A job for every few leaves costs more in wake-ups than in writing them. Where somebody waits for memory they
        // are not gathered. The last that was missing need not be the last of its run: others may have come twice.
        let is_whole = fetch.come == fetch.all();
        let is_enough =
            is_last || is_whole || fetch.is_small() || fetch.chunks.len() >= WRITE_LEAVES;
        if is_enough || !self.fetches.nobody_starves() {
            self.fetches.dirty.insert(address);
        }
    }

    /// The stream was complete.
    pub fn stream_ended(&mut self, now: Now, link: Link) {
        self.cx.now = now;
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        let Some(run) = peer.credit.current.take() else {
            return;
        };
        peer.credit.outstanding = peer.credit.outstanding.saturating_sub(usize::from(run.count));
        peer.credit.adapt(now.instant.since(run.asked), RUN_TIME);
        peer.credit.proven |= run.live;
        self.fetches.passes_freed |= run.pass.is_some();
        self.pump_fetches(now, link);
    }

    /// The sender stopped in the middle.
    pub fn stream_aborted(&mut self, now: Now, link: Link) {
        self.cx.now = now;
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        let Some(mut run) = peer.credit.current.take() else {
            return;
        };
        peer.credit.outstanding = peer.credit.outstanding.saturating_sub(usize::from(run.count));
        self.give_up(&mut run);
        if run.pass.is_some() {
            self.fetches.passes_freed = true;
        } else {
            self.source_failed(now, run.address, link);
        }
        self.pump_fetches(now, link);
    }

    /// Hands the turn's chunks to the workers: of each block one run of neighbours at a time.
    pub(super) fn write_pending(&mut self) {
        for address in std::mem::take(&mut self.fetches.dirty) {
            let Some(fetch) = self.fetches.by_address.get_mut(&address) else {
                continue;
            };
            if fetch.is_small() {
                if fetch.come == fetch.all() {
                    self.check_small(address);
                }
                continue;
            }
            let Some(leaves) = fetch.leaves.clone() else {
                continue;
            };
            // Two that write into one file wait for each other in the system, and turn in circles meanwhile.
            let run = if fetch.writing { None } else { take_run(&mut fetch.chunks) };
            if !fetch.chunks.is_empty() {
                self.fetches.dirty.insert(address);
            }
            let Some(WriteRun { first, chunks, link, share }) = run else {
                continue;
            };
            fetch.writing = true;
            fetch.drafted = true;
            let draft = fetch.draft;
            let count = u32::try_from(chunks.len()).expect("a block has 32 leaves");
            let mask = mask(u32::from(first), count);
            let bytes = chunks.len() * LEAF;
            let purpose = Writing { address, link, mask, share, bytes };
            self.job(Job::Write { purpose, draft, first, chunks, leaves });
        }
    }

    pub(super) fn wrote(
        &mut self,
        now: Now,
        purpose: &Writing,
        draft: Draft,
        result: Result<(), WriteError>,
    ) {
        let Writing { address, link, mask, share, bytes } = *purpose;
        self.cx.memory.release(share, bytes);
        let fetch = self.fetches.by_address.get_mut(&address);
        let Some(fetch) = fetch.filter(|fetch| fetch.draft == draft) else {
            return self.orphan_wrote(draft);
        };
        fetch.writing = false;
        match result {
            Ok(()) => {
                // Who was given up was late, then, and not without it: at most once for each leaf.
                fetch.tried.retain(|tried| *tried != link);
                fetch.written |= mask;
                if fetch.written == fetch.all() && fetch.stage == Stage::Asking {
                    fetch.stage = Stage::Finishing;
                    let leaves =
                        fetch.leaves.clone().expect("leaves are written after their hashes came");
                    let (draft, length) = (fetch.draft, fetch.length);
                    self.job(Job::Finish { address, draft, length, leaves });
                }
            }
            Err(WriteError::BadLeaf(leaf)) => {
                fetch.come &= !mask;
                log::warn!("connection {link} sent leaf {leaf} of block {address} damaged");
                self.send(link, Message::Suspect { address });
                self.source_failed(now, address, link);
            }
            Err(WriteError::Disk(DiskError::Full)) => self.fetch_has_no_room(now, address),
            Err(WriteError::Disk(DiskError::Scarce(why))) => self.draft_failed(now, address, &why),
            Err(WriteError::Disk(DiskError::Failed(why))) => self.fail(why),
        }
    }

    pub(super) fn finished(&mut self, now: Now, address: Address, result: Result<(), DiskError>) {
        match result {
            Ok(()) => {
                if let Some(fetch) = self.fetches.by_address.get_mut(&address) {
                    fetch.stage = Stage::Committing;
                    self.lane.add_block(fetch.draft, address, fetch.length);
                }
            }
            Err(DiskError::Full) => self.fetch_has_no_room(now, address),
            Err(DiskError::Scarce(why)) => self.draft_failed(now, address, &why),
            Err(DiskError::Failed(why)) => self.fail(why),
        }
    }

    /// Nothing of a block was acknowledged yet: want of something costs this block alone, and for now.
    fn draft_failed(&mut self, now: Now, address: Address, why: &str) {
        log::warn!("block {address} could not be written now: {why}");
        self.fetch_failed(now, address);
    }

    /// A small block is whole: a worker hashes it.
    fn check_small(&mut self, address: Address) {
        let Some(fetch) = self.fetches.by_address.get_mut(&address) else {
            return;
        };
        fetch.stage = Stage::Finishing;
        let block: Bytes = match fetch.chunks.len() {
            1 => fetch.chunks.values().next().map(|(data, ..)| data.clone()).unwrap_or_default(),
            _ => fetch.chunks.values().flat_map(|(data, ..)| data.iter().copied()).collect(),
        };
        self.job(Job::HashSmall { address, block });
    }

    pub(super) fn small_hashed(
        &mut self,
        now: Now,
        (address, block): (Address, Bytes),
        found: Address,
    ) {
        let Some(fetch) = self.fetches.by_address.get_mut(&address) else {
            return;
        };
        if found == address || planted::is_on(Bug::SkipSmallCheck) {
            fetch.stage = Stage::Committing;
            // The bytes are the lane's now, which has a bound of its own.
            for (_, _, share) in std::mem::take(&mut fetch.chunks).into_values() {
                self.cx.memory.release(share, LEAF);
            }
            return self.lane.add_small(address, block);
        }
        let sources: BTreeSet<Link> = fetch.chunks.values().map(|(_, link, _)| *link).collect();
        for (_, _, share) in std::mem::take(&mut fetch.chunks).into_values() {
            self.cx.memory.release(share, LEAF);
        }
        fetch.stage = Stage::Asking;
        fetch.come = 0;
        for link in sources {
            self.send(link, Message::Suspect { address });
            self.source_failed(now, address, link);
        }
    }

    /// The write into a draft that was given up is done: the draft goes.
    fn orphan_wrote(&mut self, draft: Draft) {
        if self.fetches.orphans.remove(&draft) {
            self.discard(draft);
        }
    }

    pub(super) fn discard(&mut self, draft: Draft) {
        self.job(Job::Discard { draft });
    }
}

struct WriteRun {
    first: u8,
    chunks: Vec<Bytes>,
    link: Link,
    share: Share,
}

/// Takes the first chunks, neighbours from one source.
fn take_run(chunks: &mut BTreeMap<u8, (Bytes, Link, Share)>) -> Option<WriteRun> {
    let (first, (data, link, share)) = chunks.pop_first()?;
    let mut run = WriteRun { first, chunks: vec![data], link, share };
    while let Some(next) = chunks.first_entry()
        && usize::from(*next.key()) == usize::from(first) + run.chunks.len()
        && (next.get().1, next.get().2) == (link, share)
    {
        run.chunks.push(next.remove().0);
    }
    Some(run)
}
