//! What becomes of blocks: those that come, those that can't be had, and those that turn out to be damaged, for whoever
//! waits for them.
//!
//! Invariant: whoever waits for a block is told what came of it before anything else is done for him.

use super::FileServer;
use super::closing::Closing;
use super::output::{Link, Output};
use super::round::Short;
use super::transfer::{Event, Interest, Outcome};
use crate::ids::Address;
use crate::planted::{self, Bug};
use crate::time::Now;
use crate::wire::frame::Open;
use crate::wire::message::{BlockRef, Message};
use bytes::Bytes;
use std::collections::BTreeMap;

impl FileServer {
    /// Sees to it that a block comes here. The outcome is told to `interest`.
    pub(super) fn fetch(&mut self, block: BlockRef, interest: Interest, hint: Option<Link>) {
        let again = self.is_tried_again(&block.address, &interest);
        self.transfer.fetch(&mut self.cx, block, interest, again, hint);
        self.transferred();
    }

    /// A stream begins.
    pub fn opened(&mut self, now: Now, link: Link, open: Open) {
        self.cx.now = now;
        self.transfer.opened(&mut self.cx, link, open);
        self.transferred();
    }

    /// A leaf has come; not yet checked.
    pub fn chunk(&mut self, now: Now, link: Link, index: u8, data: Bytes) {
        self.cx.now = now;
        self.transfer.leaf(&mut self.cx, link, index, data);
        self.transferred();
    }

    /// The stream was complete.
    pub fn stream_ended(&mut self, now: Now, link: Link) {
        self.cx.now = now;
        self.transfer.stream_ended(&mut self.cx, link);
        self.transferred();
    }

    /// The sender stopped in the middle.
    pub fn stream_aborted(&mut self, now: Now, link: Link) {
        self.cx.now = now;
        self.transfer.stream_aborted(&mut self.cx, link);
        self.transferred();
    }

    /// All leaves that were handed over have left.
    pub fn stream_low(&mut self, now: Now, link: Link) {
        self.cx.now = now;
        self.transfer.stream_low(&mut self.cx, link);
        self.transferred();
    }

    /// The stream was sent whole.
    pub fn stream_sent(&mut self, now: Now, link: Link) {
        self.cx.now = now;
        self.transfer.stream_sent(&mut self.cx, link);
        self.transferred();
    }

    /// A peer does not have what it was asked for.
    pub(super) fn absent(&mut self, link: Link, address: Address) {
        self.transfer.absent(&mut self.cx, link, address);
        self.transferred();
    }

    /// So many leaves did not go out and are not kept.
    pub fn taken_back(&mut self, link: Link, count: u8) {
        self.transfer.taken_back(&mut self.cx, link, count);
    }

    /// What the transfer of blocks has to tell.
    pub(super) fn transferred(&mut self) {
        while let Some(event) = self.transfer.poll_event() {
            match event {
                Event::Ended { address, interest, outcome } => {
                    self.download_ended(address, interest, outcome);
                }
                Event::Absent { reader, address } => self.send_absent(reader, address),
                Event::InVain { link, address } => {
                    self.arrivals.asked_in_vain(&self.cx, link, &address);
                }
                Event::Unread { link } => self.arrivals.unread(&mut self.cx, link),
                Event::Received { draft, address, length } => {
                    self.write.add_block(draft, address, length);
                }
                Event::ReceivedSmall { address, block } => self.write.add_small(address, block),
                Event::Lost { reader, address, length } => {
                    self.lost(address, length);
                    self.transfer.resume(&mut self.cx, reader);
                }
                Event::NoRoom { bytes } => self.lack_room_for_block(bytes),
                Event::Broken { link, why } => self.close(link, why),
                Event::Failed(why) => self.fail(why),
            }
        }
    }

    /// A block can't be had, for one of those who waited.
    fn download_ended(&mut self, address: Address, interest: Interest, outcome: Outcome) {
        match interest {
            Interest::Offer(link) => {
                self.write.offers_answered(link, 1);
                self.send(link, Message::Absent { address });
            }
            Interest::Read(parked) => self.send_absent(parked.link, address),
            Interest::Walk(walk) => self.walk_block_done(walk, address, outcome),
            Interest::Repair => self.short_tried(Short::Block(address), outcome),
        }
    }

    /// Blocks are durable: whoever waited is told.
    pub(super) fn blocks_arrived(&mut self, addresses: &[Address]) {
        let mut have: BTreeMap<Link, Vec<Address>> = BTreeMap::new();
        for address in addresses {
            self.stuck.repairs.remove(address);
            self.walks.lost.remove(address);
            for interest in self.transfer.arrived(&mut self.cx, address) {
                match interest {
                    Interest::Offer(link) => have.entry(link).or_default().push(*address),
                    Interest::Read(parked) => {
                        self.transfer.unpark(&mut self.cx, parked);
                        self.transferred();
                    }
                    Interest::Walk(walk) => {
                        self.walk_block_done(walk, *address, Outcome::Here);
                    }
                    Interest::Repair => {
                        self.short_tried(Short::Block(*address), Outcome::Here);
                    }
                }
            }
        }
        self.arrived_for_stuck(addresses);
        self.arrivals.came(&mut self.cx, addresses);
        for (link, addresses) in have {
            self.write.offers_answered(link, addresses.len());
            self.cx.send_all(link, Message::have(&addresses));
        }
    }

    /// Tells a client that what it wants to read can't be had, and whether that is for damage here.
    fn send_absent(&mut self, link: Link, address: Address) {
        let is_damaged =
            self.stuck.repairs.contains_key(&address) || self.walks.is_damaged(&address);
        let is_damaged = is_damaged && !planted::is_on(Bug::DamagedIsAbsent);
        let absent = Message::Absent { address };
        self.send(link, if is_damaged { Message::Damaged { address } } else { absent });
    }

    /// A block is damaged or gone: says so in the log, and sees to it that it comes again.
    pub(super) fn lost(&mut self, address: Address, length: u32) {
        if self.cx.index.holdings.remove(&address) {
            log::warn!("block {address} is damaged or gone on this disk; it is fetched anew");
            self.write.add_lost(address);
            self.stuck.repairs.insert(address, length);
            self.fetch(BlockRef { address, length }, Interest::Repair, None);
        }
    }

    /// Ends a connection whose other side broke the rules.
    pub(super) fn close(&mut self, link: Link, why: Closing) {
        self.cx.output(Output::Close { link, why });
        self.link_closed(self.cx.now, link);
    }
}
