//! IndexBuilder: what a start tells of the log, before there is a server.
//!
//! Reaches no disk. Invariant: a record is complete if all that it names was found before it or after it, whatever was lost
//! since. What was dropped before it came, or came again, is lacking: see `completion`, and `store::values::Dropped`.

use super::catalog::Catalog;
use super::completion::Completion;
use super::entry::Flag;
use super::grants::{Grants, Learnt};
use super::holdings::{Holdings, length};
use super::settings::KnownSettings;
use crate::crypto::alias::Aliases;
use crate::crypto::keys::record_id;
use crate::ids::{Address, RecordId};
use crate::keyring::signed::signed;
use crate::seeded::{self, Bug};
use crate::store::values::{Dropped, LogEntry, LogPlace, Remains};
use crate::wire::page::{Entries, Page};
use crate::wire::record::{Record, RecordKind};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::ops::RangeInclusive;

/// What a start has found missing.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    /// Blocks that an earlier run found damaged, with their lengths.
    pub(crate) blocks: BTreeMap<Address, u32>,
    /// The same of pages, and of what else a record lacks that is rotten or was lost.
    pub(crate) pages: BTreeSet<Address>,
    /// Lost, as the log says, of which it says nothing else any more: whoever lacks it lacks what is damaged.
    pub(crate) doubtful: BTreeSet<Address>,
    /// Records that name what is not here, each with something that it lacks, as far as that is known.
    pub(crate) records: Vec<(RecordId, Option<Address>)>,
}

/// An index while a start tells it what the log holds.
#[derive(Debug)]
pub struct IndexBuilder {
    pub(crate) catalog: Catalog,
    pub(crate) holdings: Holdings,
    pub(crate) grants: Grants,
    pub(crate) settings: KnownSettings,
    /// Blocks that an earlier run found damaged, and that have not been had again.
    repairs: BTreeMap<Address, u32>,
    /// The same of pages.
    lost: BTreeSet<Address>,
    /// Lost, and nothing is left of what they were: who needs one lacks it.
    doubtful: BTreeSet<Address>,
    /// Records that name what has not been found.
    incomplete: BTreeSet<RecordId>,
    /// Segments in which records stand that may name what was here when they were found, and was dropped before they came.
    in_doubt: Option<RangeInclusive<u32>>,
    pub(crate) newest: u64,
    /// Records that are whole where nobody can read them.
    pub(crate) anew: Vec<Bytes>,
    completion: Completion,
}

impl IndexBuilder {
    /// An empty one. The entropy is fresh at every start.
    #[must_use]
    pub fn new(root: [u8; 32], entropy: [u8; 16]) -> Self {
        Self {
            catalog: Catalog::for_start(Aliases::new(entropy)),
            holdings: Holdings::for_start(),
            grants: Grants::new(root),
            settings: KnownSettings::default(),
            repairs: BTreeMap::new(),
            lost: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            incomplete: BTreeSet::new(),
            in_doubt: None,
            newest: 0,
            anew: Vec::new(),
            completion: Completion::default(),
        }
    }

    /// One thing that the log holds.
    pub fn found(&mut self, found: LogEntry) {
        match found {
            LogEntry::Record(id, place, bytes) => {
                let Ok(record) = Record::decode(&bytes) else {
                    return;
                };
                self.grants.learn(&record, &bytes);
                self.settings.note(&record, &bytes);
                self.record(id, &record, place);
            }
            LogEntry::Outline(id, place, record) => self.record(id, &record, place),
            LogEntry::Page(address, place, bytes) => {
                let page = Page::decode(&bytes);
                self.page(address, place, page.ok().map(|page| page.entries));
            }
            LogEntry::PageEntries(address, place, entries) => {
                self.page(address, place, Some(entries));
            }
            LogEntry::Block(address, place, segment) => {
                self.repairs.remove(&address);
                self.lost.remove(&address);
                self.doubtful.remove(&address);
                self.holdings.insert(address, place, segment);
                let complete = self.completion.block(address, &self.holdings);
                self.complete(&complete);
            }
            LogEntry::Lost(address, segment) => {
                if let Some(place) = self.holdings.block(&address) {
                    self.repairs.insert(address, length(place));
                } else if self.holdings.page(&address).is_some() {
                    self.lost.insert(address);
                } else if !self.repairs.contains_key(&address) && !self.lost.contains(&address) {
                    self.doubtful.insert(address);
                }
                self.completion.lost(&address);
                self.holdings.lost(&address, segment);
            }
            // A page may have the same address, and is not dropped with the block.
            LogEntry::Dropped(Dropped { address, since }, segment) => {
                self.repairs.remove(&address);
                self.doubtful.remove(&address);
                if let Some(since) = since
                    && self.holdings.block(&address).is_some()
                {
                    self.doubt(since..=segment);
                }
                self.holdings.dropped(&address, segment);
                self.completion.dropped(&address);
            }
            LogEntry::Expired(expired, segment) => {
                self.incomplete.remove(&expired.id);
                self.catalog.expire(expired, segment);
            }
            // Nothing of them was told.
            LogEntry::Removed(_) => {}
        }
    }

    /// What was found to be complete in these segments may lack what has been dropped.
    fn doubt(&mut self, segments: RangeInclusive<u32>) {
        let (first, last) = segments.into_inner();
        self.in_doubt = Some(match self.in_doubt.take() {
            Some(known) => first.min(*known.start())..=last.max(*known.end()),
            None => first..=last,
        });
    }

    fn record(&mut self, id: RecordId, record: &Record, place: LogPlace) {
        self.newest = self.newest.max(record.version.stamp);
        let is_new = self.catalog.insert(id, record, place);
        let waits = self.incomplete.contains(&id) || seeded::is_on(Bug::TrustOldPages);
        // One that is known, and was complete, may have expired and come back, which is not told any more: what it names may
        // have been dropped.
        if (is_new || !waits) && !self.completion.record(id, record, &self.holdings) {
            self.incomplete.insert(id);
        }
    }

    /// A page; what it names, if it is one.
    fn page(&mut self, address: Address, place: LogPlace, entries: Option<Entries>) {
        self.lost.remove(&address);
        self.doubtful.remove(&address);
        self.holdings.insert_page(address, place);
        let complete = self.completion.page(address, entries, &self.holdings);
        self.complete(&complete);
    }

    /// All has been found: what there is can be gone through in order.
    pub(crate) fn put_in_order(&mut self) {
        self.catalog.put_in_order();
        self.holdings.put_in_order();
    }

    fn complete(&mut self, records: &[RecordId]) {
        for record in records {
            self.incomplete.remove(record);
        }
    }

    /// The keys that this node brings itself may sign.
    pub(crate) fn allow(&mut self, grants: &[Vec<u8>]) {
        for bytes in grants {
            if let Ok(record) = Record::decode(bytes) {
                self.grants.learn(&record, &Bytes::copy_from_slice(bytes));
            }
        }
    }

    /// Of what a start has found left of records in damaged bytes, those that somebody who may has signed are records like
    /// any other. Those that nobody, or nobody of this network, has signed were never stored. What is not whole is left to
    /// `guess`.
    pub(crate) fn believe(
        &mut self,
        remains: &[Remains],
        mut guess: impl FnMut(&mut Catalog, &Remains),
    ) {
        self.put_in_order();
        let whole =
            |one: &&Remains| record_id(&one.bytes) == one.id || seeded::is_on(Bug::BelieveUnsigned);
        let decoded = |one: &Remains| Record::decode(&one.bytes);
        for one in remains.iter().filter(whole) {
            if let Ok(record) = decoded(one)
                && record.kind == RecordKind::Grant
                && self.grants.learn(&record, &one.bytes) != Learnt::NoGrant
            {
                self.found_left(one, &mut guess);
            }
        }
        for one in remains {
            if self.catalog.contains(&one.id) || self.catalog.expired_ms(&one.id).is_some() {
                continue;
            }
            match decoded(one) {
                Ok(record) if whole(&one) => {
                    let is_signed = signed(&record) || seeded::is_on(Bug::BelieveUnsigned);
                    if self.grants.allow(&record.signer) && is_signed {
                        self.found_left(one, &mut guess);
                    }
                }
                Ok(_) | Err(_) if one.is_sound => {}
                Ok(_) | Err(_) => guess(&mut self.catalog, one),
            }
        }
    }

    /// A record that is whole. If it cannot be read where it is, it is known to be damaged until it is written anew.
    fn found_left(&mut self, one: &Remains, guess: &mut impl FnMut(&mut Catalog, &Remains)) {
        match one.place {
            Some(place) => self.found(LogEntry::Record(one.id, place, one.bytes.clone())),
            None => {
                guess(&mut self.catalog, one);
                self.anew.push(one.bytes.clone());
            }
        }
    }

    /// What is missing. What a record that is known still lacks and a start has found rotten, or lost, is to be had again.
    pub(crate) fn take_missing(&mut self, rotten: &[Address]) -> Missing {
        if let Some(segments) = self.in_doubt.take() {
            let in_doubt = self.catalog.ids().filter(|id| {
                let entry = self.catalog.get(id);
                let sound = entry.filter(|entry| !entry.is(Flag::Damaged));
                sound.is_some_and(|entry| segments.contains(&entry.place().segment))
            });
            self.incomplete.extend(in_doubt);
        }
        let lacks = mem::take(&mut self.completion);
        let lacks = lacks.lacks().filter(|(record, _)| self.incomplete.contains(record));
        let lacks: BTreeMap<_, _> = lacks.collect();
        let rotten: BTreeSet<_> = rotten.iter().collect();
        let (blocks, mut pages) = (mem::take(&mut self.repairs), mem::take(&mut self.lost));
        let doubtful = mem::take(&mut self.doubtful);
        if !seeded::is_on(Bug::ForgetRotten) {
            let is_damaged = |lack: &&Address| rotten.contains(lack) || doubtful.contains(lack);
            pages.extend(lacks.values().filter(is_damaged));
        }
        let records = mem::take(&mut self.incomplete).into_iter();
        let records = records.map(|record| (record, lacks.get(&record).copied())).collect();
        Missing { blocks, pages, doubtful, records }
    }
}

#[cfg(test)]
mod tests;
