//! Loading: what a start tells of the log, before there is a server.
//!
//! Reaches no disk. Invariant: a record is complete if all that it names was found before it or after it, whatever was
//! lost since.

use super::catalog::Catalog;
use super::completion::Completion;
use super::grants::Grants;
use super::holdings::{Holdings, length};
use crate::crypto::alias::Aliases;
use crate::ids::{Address, RecordId};
use crate::store::job::Found;
use crate::wire::record::Record;
use std::collections::{BTreeMap, BTreeSet};

/// A `FileServer` while a start tells it what the log holds.
#[derive(Debug)]
pub struct Loading {
    pub(super) catalog: Catalog,
    pub(super) holdings: Holdings,
    pub(super) grants: Grants,
    /// Found damaged by an earlier run, and not had again.
    pub(super) repairs: BTreeMap<Address, u32>,
    pub(super) lost: BTreeSet<Address>,
    pub(super) newest: u64,
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

    /// The records that wait, each with something that it lacks.
    pub(super) fn take_waiting(&mut self) -> Vec<(RecordId, Address)> {
        std::mem::take(&mut self.completion).lacks().collect()
    }
}
