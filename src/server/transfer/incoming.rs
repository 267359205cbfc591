//! Incoming leaves: streams that were asked for, checked by workers and written leaf by leaf.
//!
//! Invariant: a leaf is written only if it is what the block's address says; a block is whole, and in its draft flushed,
//! before anybody is told of it.

use super::download::{Chunk, Download, Stage, WriteRun};
use super::downloads::Downloads;
use super::event::{Event, Inner};
use super::window::Brought;
use crate::ids::Address;
use crate::limits::LEAF;
use crate::seeded::{self, Bug};
use crate::server::closing::Closing;
use crate::server::context::Context;
use crate::server::output::Link;
use crate::server::work::{Job, Writing};
use crate::store::values::{DiskError, Draft, WriteError};
use crate::wire::frame::Open;
use crate::wire::message::Message;
use bytes::Bytes;

/// So many leaves are gathered for one job, if no more than those asked for have to be waited for.
const WRITE_LEAVES: usize = 16;

impl Downloads {
    /// A stream begins.
    pub(super) fn opened(&mut self, cx: &mut Context, link: Link, open: Open) {
        let range = self.windows.get_mut(link).and_then(|window| window.begin(&open));
        let Some(range) = range else {
            return self.tell(Event::Broken { link, why: Closing::UnwantedLeaves });
        };
        cx.links.hear(link, cx.now.instant);
        if let Some(pass) = range.pass {
            return self.events.push_back(Inner::PassOpened { pass, open });
        }
        // None if it has come otherwise, or failed: what comes is not waited for.
        let Some(download) = self.by_address.get_mut(&open.address) else {
            return;
        };
        if download.length != open.length {
            return self.tell(Event::Broken { link, why: Closing::WrongLength });
        }
        download.leaves.get_or_insert_with(|| open.leaves.into());
        if download.held() > 0 {
            // Leaves that came in a stream begun for an earlier download of this block waited for the hashes.
            self.dirty.insert(open.address);
        }
    }

    /// A leaf of the open stream has come; not yet checked.
    pub(super) fn leaf(&mut self, cx: &mut Context, link: Link, index: u8, data: Bytes) {
        let brought = self.windows.get_mut(link).and_then(|window| window.bring());
        // A connection's stream of its own accord has been refused.
        let Some(Brought { range, is_last }) = brought else {
            return;
        };
        if let Some(pass) = range.pass {
            return self.events.push_back(Inner::PassLeaf { pass, data, is_last });
        }
        // Of one that was given up it may still be what is waited for, should the next not have it.
        if !range.is_live() && seeded::is_on(Bug::DropLateLeaves) {
            return;
        }
        range.claim(&mut cx.memory);
        let address = range.address();
        let download = self.by_address.get_mut(&address);
        let Some(download) = download.filter(|download| download.awaits(index)) else {
            return cx.memory.release(range.share, LEAF);
        };
        download.bring(index, Chunk { data, link, share: range.share });
        // A job for every few leaves costs more in wake-ups than in writing them. Where somebody waits for memory they
        // are not gathered. The last that was missing need not be the last of its range: others may have come twice.
        let is_enough = is_last
            || download.has_come()
            || download.is_small()
            || download.held() >= WRITE_LEAVES;
        if is_enough || cx.memory.is_awaited() {
            self.dirty.insert(address);
        }
    }

    /// The stream was complete.
    pub(super) fn stream_ended(&mut self, cx: &mut Context, link: Link) {
        let window = self.windows.get_mut(link);
        // None of those who bring nothing that was asked for: it was refused when it began.
        let Some(range) = window.and_then(|window| window.end(cx.now.instant)) else {
            return;
        };
        self.freed |= range.pass.is_some();
        self.pump(cx, link);
    }

    /// The sender stopped in the middle.
    pub(super) fn stream_aborted(&mut self, cx: &mut Context, link: Link) {
        // The same.
        let Some(range) = self.windows.get_mut(link).and_then(|window| window.close()) else {
            return;
        };
        self.close_range(cx, range);
        if range.pass.is_some() {
            self.freed = true;
        } else {
            self.source_failed(cx, range.address(), link);
        }
        self.pump(cx, link);
    }

    /// Hands the turn's leaves to the workers: of each block one run of neighbours at a time. Once somebody waits for
    /// memory, nothing more is gathered.
    pub(super) fn write(&mut self, cx: &mut Context) {
        if cx.memory.take_became_short() {
            let is_held = |download: &Download| !download.is_small() && download.held() > 0;
            let held = self.by_address.iter().filter(|(_, download)| is_held(download));
            self.dirty.extend(held.map(|(address, _)| *address));
        }
        for address in std::mem::take(&mut self.dirty) {
            // It may have failed since.
            let Some(download) = self.by_address.get_mut(&address) else {
                continue;
            };
            if download.is_small() {
                if download.has_come() {
                    download.stage = Stage::Finishing;
                    cx.job(Job::HashSmall { address, block: download.small() });
                }
                continue;
            }
            // None if nothing has come of it yet.
            let Some(leaves) = download.leaves.clone() else {
                continue;
            };
            // Two that write into one file wait for each other in the system, and turn in circles meanwhile.
            let run = if download.writing { None } else { download.take_run() };
            if download.held() > 0 {
                self.dirty.insert(address);
            }
            // The next goes when this one is written.
            let Some(run) = run else {
                continue;
            };
            download.writing = true;
            download.drafted = true;
            let (draft, mask) = (download.draft, run.mask());
            let WriteRun { first, chunks, link, share } = run;
            let bytes = chunks.len() * LEAF;
            let purpose = Writing { address, link, mask, share, bytes };
            cx.job(Job::Write { purpose, draft, first, chunks, leaves });
        }
    }

    pub(super) fn wrote(
        &mut self,
        cx: &mut Context,
        purpose: &Writing,
        draft: Draft,
        result: Result<(), WriteError>,
    ) {
        let Writing { address, link, mask, share, bytes } = *purpose;
        cx.memory.release(share, bytes);
        let download = self.by_address.get_mut(&address);
        let Some(download) = download.filter(|download| download.draft == draft) else {
            // It was given up meanwhile: its draft goes now that nothing writes into it.
            if self.orphans.remove(&draft) {
                cx.job(Job::Discard { draft });
            }
            return;
        };
        download.writing = false;
        match result {
            Ok(()) => {
                download.try_again(link);
                download.write(mask);
                if download.is_written() && download.stage == Stage::Asking {
                    download.stage = Stage::Finishing;
                    let leaves = download.leaves.clone();
                    let leaves = leaves.expect("leaves are written after their hashes came");
                    let (draft, length) = (download.draft, download.length);
                    cx.job(Job::Finish { address, draft, length, leaves });
                }
            }
            Err(WriteError::BadLeaf(leaf)) => {
                download.reject(mask);
                log::warn!("connection {link} sent leaf {leaf} of block {address} damaged");
                cx.send(link, Message::Suspect { address });
                self.source_failed(cx, address, link);
            }
            Err(WriteError::Disk(error)) => self.disk_failed(cx, address, error),
        }
    }

    /// A draft was flushed.
    pub(super) fn finished(
        &mut self,
        cx: &mut Context,
        address: Address,
        result: Result<(), DiskError>,
    ) {
        match result {
            Ok(()) => {
                if let Some(download) = self.by_address.get_mut(&address) {
                    download.stage = Stage::Committing;
                    let (draft, length) = (download.draft, download.length);
                    self.tell(Event::Received { draft, address, length });
                }
            }
            Err(error) => self.disk_failed(cx, address, error),
        }
    }

    /// Nothing of a block was acknowledged yet: want of something costs this block alone, and for now.
    fn disk_failed(&mut self, cx: &mut Context, address: Address, error: DiskError) {
        match error {
            DiskError::Full => self.find_no_room(cx, address),
            DiskError::Scarce(why) => {
                log::warn!("block {address} could not be written now: {why}");
                self.fail(cx, address);
            }
            DiskError::Failed(why) => self.tell(Event::Failed(why)),
        }
    }

    /// A small block that has come was hashed.
    pub(super) fn small_hashed(
        &mut self,
        cx: &mut Context,
        address: Address,
        block: Bytes,
        found: Address,
    ) {
        // It may have come otherwise meanwhile, or have failed.
        let Some(download) = self.by_address.get_mut(&address) else {
            return;
        };
        if found == address || seeded::is_on(Bug::SkipSmallCheck) {
            download.stage = Stage::Committing;
            // The bytes are the group's now, which has a bound of its own.
            download.drop_chunks(&mut cx.memory);
            return self.tell(Event::ReceivedSmall { address, block });
        }
        for link in download.reject_all(&mut cx.memory) {
            cx.send(link, Message::Suspect { address });
            self.source_failed(cx, address, link);
        }
    }
}
