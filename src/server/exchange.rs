//! Taking in what others send: puts and pages from clients, records from peers.
//!
//! Invariant: nothing reaches the lane before its signature and its hashes are checked and its signer is granted, and a
//! put reaches it only when all that it names is held or comes with it.

use super::asker::Asker;
use super::closing::Closing;
use super::gathers::Passed;
use super::grants::Learnt;
use super::lane::{NewRecord, Waiter};
use super::output::Link;
use super::permit::Offered;
use super::push::is_inline;
use super::reconcile::AGAIN;
use super::space::FULL;
use super::work::{Check, Checked, Checking, Job};
use super::{FileServer, Phase};
use crate::crypto::keys::record_id;
use crate::ids::{Address, RecordId};
use crate::limits::STAMP_LEAD;
use crate::planted::{self, Bug};
use crate::time::{Now, latest_credible, stamp_after};
use crate::wire::condition::Condition;
use crate::wire::message::{Message, PushedRecord, Reason, Request};
use crate::wire::record::{BlockList, Record, RecordKind};
use bytes::Bytes;

/// What is done with what a worker has checked.
#[derive(Debug)]
pub(super) enum CheckFor {
    Put(Box<ReadyPut>),
    Records {
        link: Link,
        items: Vec<NewRecord>,
    },
    Offer(Offered),
    PutPage {
        link: Link,
        request: Request,
        page: Bytes,
    },
    WalkPage {
        asked: (u64, u32),
        page: Bytes,
    },
    /// What a peer shows of a name, for a client that asked.
    Passed {
        link: Link,
        gather: u64,
        passed: Passed,
    },
}

/// A put between its arrival and the lane.
#[derive(Debug)]
pub(super) struct ReadyPut {
    pub(super) link: Link,
    pub(super) request: Request,
    pub(super) records: Vec<NewRecord>,
    /// One for each record, or none.
    pub(super) conditions: Vec<Condition>,
    /// The small blocks that came with it; their addresses are known once they are checked.
    blocks: Vec<(Address, Bytes)>,
}

impl ReadyPut {
    /// The addresses of the blocks that came with the put.
    pub(super) fn brought(&self) -> impl Iterator<Item = &Address> {
        self.blocks.iter().map(|(address, _)| address)
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let records = self.records.iter().map(|new| new.bytes.len());
        records.chain(self.blocks.iter().map(|(_, block)| block.len())).sum()
    }

    /// Whether a block came with the put.
    pub(super) fn brings(&self, address: &Address) -> bool {
        self.blocks.iter().any(|(brought, _)| brought == address)
    }
}

/// Why a put goes no further: for the client, and nothing of it is kept.
pub(super) type Refusal = (Reason, &'static str);

impl FileServer {
    /// A client puts records, and perhaps their small blocks.
    pub(super) fn put(
        &mut self,
        now: Now,
        Asker { link, request }: Asker,
        conditions: Vec<Condition>,
        (records, blocks): (Vec<Bytes>, Vec<Bytes>),
    ) {
        let bytes = records.iter().chain(&blocks).map(Bytes::len).sum::<usize>();
        let taken = self.take_put_records(now, &records).and_then(|records| {
            let room = only_deletes(&records) || self.cx.has_room(bytes as u64);
            if room { Ok(records) } else { Err((Reason::NoSpace, FULL)) }
        });
        let records = match taken {
            Ok(records) => records,
            Err((reason, detail)) => return self.refuse(link, request, reason, detail),
        };
        let signatures = records.iter().map(|new| Check::Signature(new.bytes.clone()));
        let trees = blocks.iter().map(|block| Check::Tree(block.clone()));
        let checks = signatures.chain(trees).collect();
        let blocks = blocks.into_iter().map(|block| (Address::default(), block)).collect();
        let put = ReadyPut { link, request, records, conditions, blocks };
        self.check(CheckFor::Put(Box::new(put)), checks);
    }

    fn take_put_records(&self, now: Now, records: &[Bytes]) -> Result<Vec<NewRecord>, Refusal> {
        if self.phase != Phase::Running {
            return Err((Reason::Unavailable, "the node is stopping"));
        }
        if records.is_empty() {
            return Err((Reason::Malformed, "a put without a record"));
        }
        records.iter().map(|bytes| self.take_put_record(now, bytes)).collect()
    }

    fn take_put_record(&self, now: Now, bytes: &Bytes) -> Result<NewRecord, Refusal> {
        let Ok(record) = Record::decode(bytes) else {
            return Err((Reason::Malformed, "a record that breaks the format's rules"));
        };
        match record.kind {
            RecordKind::File | RecordKind::Tombstone => {}
            RecordKind::Admission
            | RecordKind::Presence
            | RecordKind::Grant
            | RecordKind::Other(_) => {
                return Err((Reason::Malformed, "only files and tombstones can be put"));
            }
        }
        if !self.grants.allow(&record.signer) {
            return Err((Reason::NotAllowed, "no grant of this network names the write key"));
        }
        let heads = self.cx.index.catalog.greatest(&record.name).map(|entry| entry.version().stamp);
        let shown = self.gathers.shown.version(&record.name).map(|version| version.stamp);
        let latest = self.clock.read(now.wall_ms).max(heads.max(shown).unwrap_or(0));
        if record.version.stamp > stamp_after(latest, STAMP_LEAD) {
            return Err((
                Reason::Clock,
                "the version's stamp is too far ahead of this node's clock",
            ));
        }
        let credible = latest_credible(now.wall_ms).filter(|_| !planted::is_on(Bug::TakeFuture));
        if credible.is_some_and(|latest| record.version.stamp > latest) {
            return Err((
                Reason::Clock,
                "the version is dated over a day beyond this node's calendar",
            ));
        }
        let id = record_id(bytes);
        let block = Bytes::new();
        Ok(NewRecord { id, record, bytes: bytes.clone(), block, source: None, complete: true })
    }

    /// Has a worker check something. What waits for that is counted, since it may come faster than it is checked.
    pub(super) fn check(&mut self, reason: CheckFor, checks: Vec<Check>) {
        let bytes = checks.iter().map(Check::len).sum();
        self.checking_bytes += bytes;
        let purpose = Box::new(Checking { reason, bytes });
        self.job(Job::Check { purpose, checks });
    }

    /// A worker has answered.
    pub(super) fn checked(&mut self, now: Now, reason: CheckFor, found: &[Checked]) {
        match reason {
            CheckFor::Put(put) => self.put_checked(now, put, found),
            CheckFor::Records { link, items } => self.records_checked(now, link, items, found),
            CheckFor::Offer(offer) => self.offer_checked(now, offer, found),
            CheckFor::PutPage { link, request, page } => {
                self.page_checked(Asker { link, request }, page, found);
            }
            CheckFor::WalkPage { asked, page } => {
                self.walk_page_checked(now, asked, page, found);
            }
            CheckFor::Passed { link, gather, passed } => {
                self.passed_checked(now, (link, gather), passed, found);
            }
        }
    }

    fn put_checked(&mut self, now: Now, mut put: Box<ReadyPut>, found: &[Checked]) {
        if found.contains(&Checked::Forged) {
            return self.close(now, put.link, Closing::WrongSignature);
        }
        let addresses = found.iter().filter_map(|checked| match checked {
            Checked::Address(address) => Some(*address),
            Checked::Signed | Checked::Forged => None,
        });
        for ((address, _), found) in put.blocks.iter_mut().zip(addresses) {
            *address = found;
        }
        let named = |(address, block): &(Address, Bytes)| {
            put.records.iter().any(|new| names(&new.record, address, block.len()))
        };
        if !put.blocks.iter().all(named) {
            let detail = "a block came that no record of the put names";
            return self.refuse(put.link, put.request, Reason::Malformed, detail);
        }
        self.verify_brought(now, put);
    }

    /// All that the put names is held or comes with it: it goes to the lane, whole.
    pub(super) fn commit_put(&mut self, now: Now, put: ReadyPut) {
        if let Some((reason, detail)) = self.broken_condition(&put) {
            return self.refuse(put.link, put.request, reason, detail);
        }
        self.lane.begin();
        for new in &put.records {
            // Before it is durable: whoever asks now for a stamp of the same name is to have one above it.
            self.clock.observe(new.record.version.stamp, now.wall_ms, STAMP_LEAD);
        }
        for mut new in put.records {
            let brought = put.blocks.iter().find(|(at, block)| names(&new.record, at, block.len()));
            if let Some((_, block)) = brought {
                new.block = block.clone();
            }
            if !self.cx.index.catalog.contains(&new.id) {
                self.lane.add_record(new);
            }
        }
        for (address, block) in put.blocks {
            if self.cx.index.holdings.block(&address).is_none() {
                self.lane.add_small(address, block);
            }
        }
        if planted::is_on(Bug::AnswerBeforeCommit) {
            return self.reply(put.link, Message::PutDone { request: put.request, copies: 1 });
        }
        self.lane.wait(Waiter::Put { link: put.link, request: put.request });
    }

    /// Records come from a peer; or grants, and only grants, from a client.
    pub(super) fn records(&mut self, now: Now, link: Link, items: Vec<PushedRecord>) {
        let from_node = self.cx.links.get(link).is_some_and(super::peers::Peer::is_node);
        let mut new = Vec::new();
        for item in items {
            let Ok(record) = Record::decode(&item.record) else {
                return self.close(now, link, Closing::IllegalRecord);
            };
            let id = record_id(&item.record);
            if self.is_known(&id) || !(from_node || record.kind == RecordKind::Grant) {
                continue;
            }
            if record.kind == RecordKind::Grant {
                match self.accept_grant(&record, &item.record) {
                    Learnt::NoGrant => {
                        return self.close(now, link, Closing::WrongGrant);
                    }
                    // What it has signed was left aside until now.
                    Learnt::New => self.reconcile_with_all(now),
                    Learnt::Known => {}
                }
            }
            if !self.grants.allow(&record.signer) {
                log::debug!("a record by a signer without a grant was left aside");
                continue;
            }
            let block =
                if is_inline(&record, item.block.len()) { item.block } else { Bytes::new() };
            // What a client brings is new to the peers as well.
            let source = from_node.then_some(link);
            new.push(NewRecord { id, record, bytes: item.record, block, source, complete: false });
        }
        self.leave_out_what_has_no_room(now, &mut new);
        if new.is_empty() {
            return;
        }
        self.checking.extend(new.iter().map(|new| new.id));
        let signatures = new.iter().map(|new| Check::Signature(new.bytes.clone()));
        let brought = new.iter().filter(|new| !new.block.is_empty());
        let trees = brought.map(|new| Check::Tree(new.block.clone()));
        let checks = signatures.chain(trees).collect();
        self.check(CheckFor::Records { link, items: new }, checks);
    }

    /// Asked before anything is checked: what is not taken costs no work.
    fn leave_out_what_has_no_room(&mut self, now: Now, new: &mut Vec<NewRecord>) {
        let adds = |new: &NewRecord| !only_deletes(std::slice::from_ref(new));
        let files = new.iter().filter(|new| adds(new));
        let bytes = files.map(|new| new.bytes.len() + new.block.len()).sum::<usize>();
        if bytes > 0 && !self.has_room_for_records(now, bytes as u64) {
            new.retain(|new| !adds(new));
        }
    }

    /// Whether a record is held, in the lane or being checked.
    pub(super) fn is_known(&self, id: &RecordId) -> bool {
        self.cx.index.catalog.contains(id) || self.lane.has_record(id) || self.checking.contains(id)
    }

    /// The grants of this node's own write key are records like any other, known from the first start on; so is what a
    /// start has found whole where it can't be read again.
    pub(super) fn bring_records(&mut self, anew: Vec<Bytes>) {
        let grants = std::mem::take(&mut self.setup.grants).into_iter().map(Bytes::from);
        for bytes in grants.chain(anew) {
            let (id, block) = (record_id(&bytes), Bytes::new());
            let Ok(record) = Record::decode(&bytes) else {
                continue;
            };
            let is_grant = record.kind == RecordKind::Grant;
            if is_grant && self.accept_grant(&record, &bytes) == Learnt::NoGrant {
                continue;
            }
            if !self.is_known(&id) {
                let (source, complete) = (None, is_grant);
                self.lane.add_record(NewRecord { id, record, bytes, block, source, complete });
            }
        }
    }

    /// Checked at once, since what comes next may be signed by the key that it grants.
    fn accept_grant(&mut self, record: &Record, bytes: &Bytes) -> Learnt {
        let learnt = self.grants.learn(record, bytes);
        if learnt == Learnt::New {
            // Before they are shown anything that the key has signed.
            for link in self.cx.links.clients() {
                let item = PushedRecord { record: bytes.clone(), block: Bytes::new() };
                self.send_records(link, vec![item]);
            }
        }
        learnt
    }

    fn records_checked(&mut self, now: Now, link: Link, items: Vec<NewRecord>, found: &[Checked]) {
        for new in &items {
            self.checking.remove(&new.id);
        }
        if found.contains(&Checked::Forged) {
            // Others may have sent the same records, which were left aside for these.
            for other in self.cx.links.nodes() {
                self.dropped(now, other, AGAIN);
            }
            return self.close(now, link, Closing::WrongSignature);
        }
        let mut addresses = found.iter().filter_map(|checked| match checked {
            Checked::Address(address) => Some(*address),
            Checked::Signed | Checked::Forged => None,
        });
        self.lane.begin();
        for new in items {
            if !new.block.is_empty()
                && let Some(address) = addresses.next()
                && names(&new.record, &address, new.block.len())
                && self.cx.index.holdings.block(&address).is_none()
            {
                self.lane.add_small(address, new.block.clone());
            }
            self.lane.add_record(new);
        }
    }
}

/// Whether records add no contents: below the reserve they are still taken, or nothing could ever be deleted.
pub(super) fn only_deletes(records: &[NewRecord]) -> bool {
    records.iter().all(|new| match new.record.kind {
        RecordKind::Tombstone | RecordKind::Grant => true,
        RecordKind::File | RecordKind::Admission | RecordKind::Presence | RecordKind::Other(_) => {
            false
        }
    })
}

/// Whether a record itself lists this block.
fn names(record: &Record, address: &Address, length: usize) -> bool {
    match &record.blocks {
        BlockList::Inline(blocks) => {
            blocks.iter().any(|block| block.address == *address && block.length as usize == length)
        }
        BlockList::Pages { .. } => false,
    }
}
