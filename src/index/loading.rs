//! Loading: what a start tells of the log, before there is a server.
//!
//! Reaches no disk. Invariant: a record is complete if all that it names was found before it or after it, whatever was
//! lost since.

use super::catalog::Catalog;
use super::completion::Completion;
use super::grants::{Grants, Learnt};
use super::holdings::{Holdings, length};
use crate::crypto::alias::Aliases;
use crate::crypto::keys::record_id;
use crate::ids::{Address, RecordId};
use crate::keyring::signed::signed;
use crate::planted::{self, Bug};
use crate::store::values::{Found, Remains};
use crate::wire::record::{Record, RecordKind};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// A `FileServer` while a start tells it what the log holds.
#[derive(Debug)]
pub struct Loading {
    pub(crate) catalog: Catalog,
    pub(crate) holdings: Holdings,
    pub(crate) grants: Grants,
    /// Found damaged by an earlier run, and not had again.
    pub(crate) repairs: BTreeMap<Address, u32>,
    pub(crate) lost: BTreeSet<Address>,
    pub(crate) newest: u64,
    /// Records that are whole where nobody can read them.
    pub(crate) anew: Vec<Bytes>,
    completion: Completion,
}

impl Loading {
    /// An empty one. The entropy is fresh at every start.
    #[must_use]
    pub fn new(root: [u8; 32], entropy: [u8; 16]) -> Self {
        Self {
            catalog: Catalog::new(Aliases::new(entropy)),
            holdings: Holdings::default(),
            grants: Grants::new(root),
            repairs: BTreeMap::new(),
            lost: BTreeSet::new(),
            newest: 0,
            anew: Vec::new(),
            completion: Completion::default(),
        }
    }

    /// One thing that the log holds.
    pub fn found(&mut self, found: Found) {
        match found {
            Found::Record(id, place, bytes) => {
                let Ok(record) = Record::decode(&bytes) else {
                    return;
                };
                self.grants.learn(&record, &bytes);
                self.newest = self.newest.max(record.version.stamp);
                if !self.catalog.contains(&id) {
                    let complete = self.completion.record(id, &record, &self.holdings);
                    self.catalog.insert(id, &record, place, complete);
                }
            }
            Found::Page(address, place, bytes) => {
                self.lost.remove(&address);
                self.holdings.insert_page(address, place);
                let complete = self.completion.page(address, &bytes, &self.holdings);
                self.complete(&complete);
            }
            Found::Block(address, place) => {
                self.repairs.remove(&address);
                self.lost.remove(&address);
                self.holdings.insert(address, place);
                let complete = self.completion.found(address, &self.holdings);
                self.complete(&complete);
            }
            Found::Lost(address) => {
                if let Some(place) = self.holdings.block(&address) {
                    self.repairs.insert(address, length(place));
                } else {
                    self.lost.insert(address);
                }
                self.holdings.remove(&address);
            }
        }
    }

    fn complete(&mut self, records: &[RecordId]) {
        for record in records {
            self.catalog.set_complete(record, true);
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
        let whole = |one: &&Remains| {
            record_id(&one.bytes) == one.id || planted::is_on(Bug::BelieveUnsigned)
        };
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
            if self.catalog.contains(&one.id) {
                continue;
            }
            match decoded(one) {
                Ok(record) if whole(&one) => {
                    let is_signed = signed(&record) || planted::is_on(Bug::BelieveUnsigned);
                    if self.grants.allow(&record.signer) && is_signed {
                        self.found_left(one, &mut guess);
                    }
                }
                Ok(_) | Err(_) if one.is_sound => {}
                Ok(_) | Err(_) => guess(&mut self.catalog, one),
            }
        }
    }

    /// A record that is whole. If it can't be read where it is, it is known to be damaged until it is written anew.
    fn found_left(&mut self, one: &Remains, guess: &mut impl FnMut(&mut Catalog, &Remains)) {
        match one.place {
            Some(place) => self.found(Found::Record(one.id, place, one.bytes.clone())),
            None => {
                guess(&mut self.catalog, one);
                self.anew.push(one.bytes.clone());
            }
        }
    }

    /// The records that wait, each with something that it lacks. What of that is rotten is to be had again.
    pub(crate) fn take_waiting(&mut self, rotten: &[Address]) -> Vec<(RecordId, Address)> {
        let waiting: Vec<_> = std::mem::take(&mut self.completion).lacks().collect();
        let rotten: BTreeSet<_> = rotten.iter().collect();
        let lacks = waiting.iter().map(|(_, lack)| *lack);
        if !planted::is_on(Bug::ForgetRotten) {
            self.lost.extend(lacks.filter(|lack| rotten.contains(lack)));
        }
        waiting
    }
}
