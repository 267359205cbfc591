//! Admission: puts from clients and records from peers, from their arrival until they go into a group.
//!
//! Invariant: nothing goes on before its signature and its hashes are checked and its signer is granted.

use super::event::Event;
use super::record::{Brought, NewRecord, ReadyPut, is_inline, only_deletes};
use crate::crypto::keys::record_id;
use crate::ids::{Address, RecordId};
use crate::index::catalog::Verdict;
use crate::index::grants::Learnt;
use crate::keyring::setting::setting;
use crate::limits::STAMP_LEAD;
use crate::seeded::{self, Bug};
use crate::server::asker::Asker;
use crate::server::closing::Closing;
use crate::server::context::Context;
use crate::server::output::Link;
use crate::server::space::FULL;
use crate::server::work::{Check, CheckFor, Checked};
use crate::time::{latest_credible, stamp_after, step_at};
use crate::wire::condition::Condition;
use crate::wire::message::{PushedRecord, Reason};
use crate::wire::record::{Record, RecordKind};
use bytes::Bytes;
use std::collections::VecDeque;

/// Why a put goes no further: for the client, and nothing of it is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) detail: &'static str,
}

impl Refusal {
    pub(super) const fn new(reason: Reason, detail: &'static str) -> Self {
        Self { reason, detail }
    }

    /// Whoever asked is told.
    pub(super) fn tell(self, cx: &mut Context, asker: Asker) {
        cx.refuse(asker, self.reason, self.detail);
    }
}

/// What a client puts.
#[derive(Debug)]
pub(in crate::server) struct Put {
    pub(in crate::server) records: Vec<Bytes>,
    /// One for each record, or none.
    pub(in crate::server) conditions: Vec<Condition>,
    /// Small blocks that come with them.
    pub(in crate::server) blocks: Vec<Bytes>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Admission {
    pub(super) events: VecDeque<Event>,
}

impl Admission {
    /// A client puts records, and perhaps their small blocks.
    pub(super) fn put(&mut self, cx: &mut Context, asker: Asker, put: Put) {
        let Put { records, conditions, blocks } = put;
        let bytes = records.iter().chain(&blocks).map(Bytes::len).sum::<usize>();
        let taken = take_put_records(cx, &records).and_then(|records| {
            let has_room = only_deletes(&records) || cx.has_room(bytes as u64);
            if has_room { Ok(records) } else { Err(Refusal::new(Reason::NoSpace, FULL)) }
        });
        let records = match taken {
            Ok(records) => records,
            Err(refusal) => return refusal.tell(cx, asker),
        };
        let signatures = records.iter().map(|new| Check::Signature(new.bytes.clone()));
        let trees = blocks.iter().map(|block| Check::Tree(block.clone()));
        let checks = signatures.chain(trees).collect();
        let brought = |block| Brought { address: Address::default(), block };
        let blocks = blocks.into_iter().map(brought).collect();
        let put = ReadyPut { asker, records, conditions, blocks, relies: None };
        cx.check(CheckFor::Put(Box::new(put)), checks);
    }

    /// A put's signatures and hashes are known.
    pub(super) fn put_checked(
        &mut self,
        cx: &mut Context,
        mut put: Box<ReadyPut>,
        found: &[Checked],
    ) {
        if found.contains(&Checked::Forged) {
            let why = Closing::WrongSignature;
            return self.tell(Event::Broken { link: put.asker.link, why });
        }
        for (brought, found) in put.blocks.iter_mut().zip(addresses(found)) {
            brought.address = found;
        }
        if !put.names_all_it_brings() {
            let detail = "a block came that no record of the put names";
            return cx.refuse(put.asker, Reason::Malformed, detail);
        }
        self.tell(Event::Put(put));
    }

    /// Records come from a peer; or grants, and only grants, from a client.
    pub(super) fn records(&mut self, cx: &mut Context, link: Link, items: Vec<PushedRecord>) {
        let from_node = cx.links.leads_to_node(link);
        let mut new = Vec::new();
        for item in items {
            let Ok(record) = Record::decode(&item.record) else {
                return self.tell(Event::Broken { link, why: Closing::IllegalRecord });
            };
            let id = record_id(&item.record);
            if cx.knows(&id) || !(from_node || record.kind == RecordKind::Grant) {
                continue;
            }
            if has_expired(cx, link, &id, &record) {
                continue;
            }
            if record.kind == RecordKind::Grant
                && self.learn(cx, &record, &item.record) == Learnt::NoGrant
            {
                return self.tell(Event::Broken { link, why: Closing::WrongGrant });
            }
            if !cx.index.grants.allow(&record.signer) {
                log::debug!("a record by a signer without a grant was left aside");
                continue;
            }
            // What a client brings is new to the peers as well.
            let source = from_node.then_some(link);
            let PushedRecord { record: bytes, block } = item;
            let block = if is_inline(&record, block.len()) { block } else { Bytes::new() };
            new.push(NewRecord { id, record, bytes, block, source, complete: false });
        }
        self.leave_out_what_has_no_room(cx, &mut new);
        if new.is_empty() {
            return;
        }
        new.iter().for_each(|new| cx.coming.add(new.id));
        let signatures = new.iter().map(|new| Check::Signature(new.bytes.clone()));
        let brought = new.iter().filter(|new| !new.block.is_empty());
        let trees = brought.map(|new| Check::Tree(new.block.clone()));
        let checks = signatures.chain(trees).collect();
        cx.check(CheckFor::Records { link, items: new }, checks);
    }

    /// A grant is learnt at once, since what comes next may be signed by the key that it grants.
    fn learn(&mut self, cx: &mut Context, record: &Record, bytes: &Bytes) -> Learnt {
        let learnt = learn_grant(cx, record, bytes);
        if learnt == Learnt::New {
            self.tell(Event::Granted);
        }
        learnt
    }

    /// Asked before anything is checked: what is not taken costs no work.
    fn leave_out_what_has_no_room(&mut self, cx: &mut Context, new: &mut Vec<NewRecord>) {
        let files = new.iter().filter(|new| !new.only_deletes());
        let bytes = files.map(|new| new.bytes.len() + new.block.len()).sum::<usize>() as u64;
        if bytes > 0 && !cx.has_room(bytes) {
            self.tell(Event::NoRoom { bytes });
            new.retain(NewRecord::only_deletes);
        }
    }

    /// Records of a peer have been checked. Those that are to become durable; none if one was forged.
    pub(super) fn records_checked(
        &mut self,
        cx: &mut Context,
        link: Link,
        items: Vec<NewRecord>,
        found: &[Checked],
    ) -> Vec<NewRecord> {
        items.iter().for_each(|new| cx.coming.remove(&new.id));
        if found.contains(&Checked::Forged) {
            self.tell(Event::Forged { link });
            return Vec::new();
        }
        items
    }

    fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }
}

/// Whether what comes from a peer is not taken, since it has expired by what is known here. What still stands as of the step
/// by which the two compare is, and expires like anything else.
fn has_expired(cx: &Context, link: Link, id: &RecordId, record: &Record) -> bool {
    let cut = cx.links.get(link).and_then(|peer| peer.progress.cut);
    let now = cx.calendar_ms.map(step_at);
    cx.index.catalog.judge(id, record, cut, now) == Verdict::Expired
}

/// The addresses of what was hashed, in order.
pub(super) fn addresses(found: &[Checked]) -> impl Iterator<Item = Address> {
    found.iter().filter_map(|checked| match checked {
        Checked::Address(address) => Some(*address),
        Checked::Signed | Checked::Forged => None,
    })
}

/// From now on a key may sign. Clients are told before they are shown anything that it has signed.
pub(super) fn learn_grant(cx: &mut Context, record: &Record, bytes: &Bytes) -> Learnt {
    let learnt = cx.index.grants.learn(record, bytes);
    if learnt == Learnt::New {
        for link in cx.links.clients() {
            let item = PushedRecord { record: bytes.clone(), block: Bytes::new() };
            cx.send_records(link, vec![item]);
        }
    }
    learnt
}

fn take_put_records(cx: &Context, records: &[Bytes]) -> Result<Vec<NewRecord>, Refusal> {
    if records.is_empty() {
        return Err(Refusal::new(Reason::Malformed, "a put without a record"));
    }
    records.iter().map(|bytes| take_put_record(cx, bytes)).collect()
}

fn take_put_record(cx: &Context, bytes: &Bytes) -> Result<NewRecord, Refusal> {
    let Ok(record) = Record::decode(bytes) else {
        return Err(Refusal::new(Reason::Malformed, "a record that breaks the format's rules"));
    };
    match record.kind {
        RecordKind::File | RecordKind::Tombstone => {}
        RecordKind::Setting if setting(&record).is_some() => {}
        RecordKind::Setting => {
            return Err(Refusal::new(Reason::Malformed, "a setting that is not known here"));
        }
        RecordKind::Admission | RecordKind::Presence | RecordKind::Grant | RecordKind::Other(_) => {
            return Err(Refusal::new(
                Reason::Malformed,
                "only files, tombstones and settings can be put",
            ));
        }
    }
    if !cx.index.grants.allow(&record.signer) {
        let detail = "no grant of this network names the write key";
        return Err(Refusal::new(Reason::NotAllowed, detail));
    }
    let heads = cx.index.catalog.greatest(&record.name).map(|entry| entry.version().stamp);
    let shown = cx.index.shown.version(&record.name).map(|version| version.stamp);
    let latest = cx.clock().max(heads.max(shown).unwrap_or(0));
    if record.version.stamp > stamp_after(latest, STAMP_LEAD) {
        let detail = "the version's stamp is too far ahead of this node's clock";
        return Err(Refusal::new(Reason::Clock, detail));
    }
    let credible = latest_credible(cx.now.wall_ms).filter(|_| !seeded::is_on(Bug::TakeFuture));
    if credible.is_some_and(|latest| record.version.stamp > latest) {
        let detail = "the version is dated over a day beyond this node's calendar";
        return Err(Refusal::new(Reason::Clock, detail));
    }
    let (id, block) = (record_id(bytes), Bytes::new());
    Ok(NewRecord { id, record, bytes: bytes.clone(), block, source: None, complete: true })
}
