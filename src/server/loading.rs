//! Loading: what a start tells of the log, before there is a server.
//!
//! Reaches no disk. Invariant: what a record says of its blocks is judged by what was found before it, as it was written.

use super::catalog::Catalog;
use super::grants::Grants;
use super::holdings::{Holdings, length};
use crate::crypto::alias::Aliases;
use crate::ids::Address;
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
                self.catalog.insert(
                    id,
                    &record,
                    place,
                    super::holds_inline(&self.holdings, &record),
                );
            }
            Found::Page(address, place) => {
                self.lost.remove(&address);
                self.holdings.insert_page(address, place);
            }
            Found::Block(address, place) => {
                self.repairs.remove(&address);
                self.lost.remove(&address);
                self.holdings.insert(address, place);
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
}
