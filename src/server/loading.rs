//! Loading: what a start tells of the log, before there is a server.
//!
//! Reaches no disk. Invariant: a record is complete if all its blocks were found before it or
//! after it, whatever was lost since; one with pages is looked through later, by whoever can read them.

use super::catalog::Catalog;
use super::grants::Grants;
use super::holdings::{Holdings, length};
use crate::crypto::alias::Aliases;
use crate::ids::{Address, RecordId};
use crate::planted::{self, Bug};
use crate::store::job::Found;
use crate::wire::record::{BlockList, Record};
use std::collections::{BTreeMap, BTreeSet, HashMap};

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
    /// Records of which blocks have not been found, each by the one that it waits for.
    waiting: HashMap<Address, Vec<Waiting>>,
}

/// A record, and those of its blocks that were not there when it was found.
#[derive(Debug)]
struct Waiting {
    record: RecordId,
    missing: Vec<Address>,
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
            waiting: HashMap::new(),
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
                let complete = super::holds_inline(&self.holdings, &record);
                let is_new = self.catalog.insert(id, &record, place, complete);
                if let BlockList::Inline(blocks) = &record.blocks
                    && is_new
                    && !complete
                {
                    let missing = blocks.iter().map(|block| block.address).collect();
                    self.wait(Waiting { record: id, missing });
                }
            }
            Found::Page(address, place) => {
                self.lost.remove(&address);
                self.holdings.insert_page(address, place);
            }
            Found::Block(address, place) => {
                self.repairs.remove(&address);
                self.lost.remove(&address);
                self.holdings.insert(address, place);
                for waiting in self.waiting.remove(&address).unwrap_or_default() {
                    self.wait(waiting);
                }
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

    /// A record is complete, or waits for the next block.
    fn wait(&mut self, mut waiting: Waiting) {
        if planted::is_on(Bug::JudgeBeforehand) {
            return;
        }
        while let Some(address) = waiting.missing.last() {
            if self.holdings.block(address).is_none() {
                return self.waiting.entry(*address).or_default().push(waiting);
            }
            waiting.missing.pop();
        }
        self.catalog.set_complete(&waiting.record, true);
    }

    /// The records that wait, each with a block that it lacks.
    pub(super) fn take_waiting(&mut self) -> impl Iterator<Item = (RecordId, Address)> + use<> {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        waiting.flat_map(|(address, records)| {
            records.into_iter().map(move |waiting| (waiting.record, address))
        })
    }
}
