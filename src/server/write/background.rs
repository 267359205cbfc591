//! Groups that nobody waits for: files that go, and what the compaction writes.
//!
//! Takes turns with the groups of others, so that nobody waits for more than one of these. Invariant: when files go, what has
//! come again since it was said that they are not held any more stays.

use super::rewrites::{Rewrite, Rewrites};
use crate::ids::Address;
use crate::index::Index;
use crate::seeded::{self, Bug};
use crate::store::values::Dropped;

/// Block files that are not held any more.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) addresses: Vec<Address>,
    /// A record that has come in this segment or later may name one.
    since: u32,
}

/// Whose turn it is.
#[derive(Debug)]
pub(super) enum Turn {
    Files(Files),
    Rewrite,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Background {
    pub(super) rewrites: Rewrites,
    files: Option<Files>,
    /// A group of others has gone since something waits here.
    has_turn: bool,
    /// Files were the last to go from here.
    files_went: bool,
}

impl Background {
    /// See `Rewrites`.
    pub(super) fn rewrite(&mut self, rewrite: Rewrite) {
        self.begins_to_wait();
        self.rewrites.add(rewrite);
    }

    /// These files go; those of before have gone.
    pub(super) fn drop_files(&mut self, addresses: Vec<Address>, since: u32) {
        debug_assert!(self.files.is_none(), "a few at a time");
        self.begins_to_wait();
        self.files = Some(Files { addresses, since });
    }

    fn begins_to_wait(&mut self) {
        self.has_turn &= self.waits();
    }

    fn waits(&self) -> bool {
        self.files.is_some() || self.rewrites.waits()
    }

    /// Nothing waits or is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.files.is_none() && !self.rewrites.is_in_flight()
    }

    /// What waits goes before others.
    pub(super) fn has_turn(&self) -> bool {
        self.has_turn && self.waits()
    }

    /// A group of others goes.
    pub(super) fn let_pass(&mut self) {
        self.has_turn = true;
    }

    /// What goes next, if anything waits: of both kinds in turn.
    pub(super) fn take_turn(&mut self) -> Option<Turn> {
        self.has_turn = false;
        let rewrites_next = self.files_went && self.rewrites.waits();
        let files = if rewrites_next { None } else { self.files.take() };
        self.files_went = files.is_some();
        match files {
            Some(files) => Some(Turn::Files(files)),
            None => self.rewrites.waits().then_some(Turn::Rewrite),
        }
    }
}

impl Files {
    /// What of them is to go still.
    pub(super) fn dropped(&self, index: &Index) -> Vec<Dropped> {
        let is_held = |address: &&Address| {
            index.holdings.block(address).is_some() && !seeded::is_on(Bug::DropHeld)
        };
        let addresses = self.addresses.iter().filter(|address| !is_held(address));
        addresses.map(|address| Dropped { address: *address, since: Some(self.since) }).collect()
    }
}
