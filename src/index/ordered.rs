//! Names in order, as far as they have been read, and what is not known of them.
//!
//! Knows no disk: whoever reads records hands over what comes of it. It is empty until somebody asks for a list in order;
//! then all are read and sorted by workers, and it is kept current from then on. Invariant: once it is whole, it has each name of which a list says anything, but for those that are
//! counted as unread; it may have more, of which the catalog says nothing.

use super::building::{Building, Changes};
use super::catalog::{Catalog, Listed};
use super::names::{Names, Walk};
use crate::crypto::alias::Alias;
use crate::crypto::data::DataKeys;
use crate::ids::{NameId, RecordId, Space};
use crate::keyring::names::name_of;
use crate::seeded::{self, Bug};
use crate::wire::record::Record;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Rows of the catalog that are looked at, and records read, in one step.
const BATCH: u32 = 1024;
/// So many names that came or went meanwhile are put in their places at once; more are left to a worker. Twice as many each
/// time that there were more when that was done: it ends, however fast they come.
const FEW: u64 = 64;
/// But not more than as many as this makes of them.
const ROUNDS_MAX: u32 = 6;

/// How far the names have been read.
#[derive(Debug)]
enum Stage {
    /// Nobody has asked.
    Unasked,
    Reading(Box<Reading>),
    Whole,
}

/// What of the names has been read.
#[derive(Debug, Default)]
struct Reading {
    /// Those in these rows of the catalog are left: what comes into others is told.
    rows: Range<u32>,
    building: Building,
    changes: Changes,
    /// Times that too many names had come or gone when all others were in order.
    rounds: u32,
}

/// What is to be done next so that names are in order.
#[derive(Debug)]
pub(crate) struct Step {
    /// Names are read of these rows; where there are none, all have been.
    pub(crate) rows: Range<u32>,
    /// A worker goes on with it.
    pub(crate) building: Building,
}

/// Why a name is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Its record is damaged, or sealed with another key.
    Closed,
    /// All its versions are dated in the future.
    Future,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ordered {
    keys: Arc<DataKeys>,
    names: Names,
    unread: BTreeMap<Alias, Unread>,
    stage: Stage,
}

impl Ordered {
    /// Nothing has been read.
    pub(crate) fn new(keys: DataKeys) -> Self {
        Self::unasked(Arc::new(keys))
    }

    fn unasked(keys: Arc<DataKeys>) -> Self {
        let (names, unread) = (Names::default(), BTreeMap::new());
        Self { keys, names, unread, stage: Stage::Unasked }
    }

    /// The keys under which names are.
    pub(crate) fn keys(&self) -> &Arc<DataKeys> {
        &self.keys
    }

    /// Whether it has all names.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.stage, Stage::Whole)
    }

    /// The next step, of a catalog with so many rows, since somebody asks; None if all is done. What comes of one is told
    /// before the next.
    pub(crate) fn next_step(&mut self, rows: u32) -> Option<Step> {
        if matches!(self.stage, Stage::Unasked) {
            // From now on it is told of what comes.
            self.stage = Stage::Reading(Box::new(Reading { rows: 0..rows, ..Reading::default() }));
        }
        let Stage::Reading(reading) = &mut self.stage else { return None };
        let Reading { rows: Range { start, end }, building, changes, .. } = &mut **reading;
        let next = *start..(*end).min(*start + BATCH);
        let mut building = std::mem::take(building);
        if next.is_empty() {
            building = building.with(std::mem::take(changes));
        }
        Some(Step { rows: next, building })
    }

    /// A worker has done a step. `rows`: those of which names have been read, if all have that could be.
    pub(crate) fn step_done(&mut self, read: Option<Range<u32>>, building: Building) {
        let Stage::Reading(reading) = &mut self.stage else { return };
        let Reading { rows: Range { start, end }, building: place, changes, rounds } =
            &mut **reading;
        *place = building;
        if start != end {
            *start = read.map_or(*start, |read| read.end);
        } else if changes.len() > FEW << *rounds {
            *rounds = (*rounds + 1).min(ROUNDS_MAX);
        } else {
            self.names = std::mem::take(place).into_names();
            changes.apply(&mut self.names);
            self.stage = Stage::Whole;
            log::debug!("{} names are in order", self.names.len());
        }
    }

    /// A name that is listed.
    fn take(&mut self, alias: Alias, name: &[u8]) {
        match &mut self.stage {
            Stage::Reading(reading) => reading.changes.came(name),
            Stage::Unasked | Stage::Whole => drop(self.names.insert(name)),
        }
        self.unread.remove(&alias);
    }

    /// A name that is not listed any more.
    fn leave(&mut self, alias: Alias, name: Option<&[u8]>) {
        self.unread.remove(&alias);
        match (&mut self.stage, name) {
            (Stage::Reading(reading), Some(name)) => reading.changes.went(name),
            (Stage::Whole, Some(name)) => drop(self.names.remove(name)),
            _ => {}
        }
    }

    /// A record of a name that is listed.
    fn take_record(&mut self, alias: Alias, record: &Record) {
        match name_of(&self.keys, record) {
            Some(name) => self.take(alias, &name),
            None => self.lack(alias, Unread::Closed),
        }
    }

    /// What a name that is listed is called cannot be told.
    pub(crate) fn lack(&mut self, alias: Alias, why: Unread) {
        if !seeded::is_on(Bug::HideUnreadNames) {
            self.unread.insert(alias, why);
        }
    }

    /// A record has come into the catalog.
    pub(crate) fn note(&mut self, catalog: &Catalog, id: &RecordId, record: &Record) {
        if matches!(self.stage, Stage::Unasked) {
            return;
        }
        let alias = catalog.alias(&record.name);
        match catalog.listed(&record.name) {
            Some(Listed::Shown(entry) | Listed::Future(_, Some(entry))) if entry.id() == *id => {
                self.take_record(alias, record);
            }
            // The name is known by the record that is shown, or counted as unread.
            Some(Listed::Shown(_) | Listed::Future(_, Some(_))) => {}
            Some(Listed::Future(_, None)) => self.lack(alias, Unread::Future),
            None => self.leave(alias, name_of(&self.keys, record).as_deref()),
        }
    }

    /// Names that are not less than this one.
    pub(crate) fn from(&self, name: &[u8]) -> Walk<'_> {
        self.names.from(name)
    }

    /// The id of a name.
    pub(crate) fn id(&self, name: &[u8]) -> NameId {
        self.keys.name_id(&Space::default(), name)
    }

    /// Of how many names a list says only that they are left out. Those of which all versions are dated in the future are
    /// not there for whoever allows that. What was so and is so no more has all names read again: then there is no telling.
    pub(crate) fn left_out(&mut self, catalog: &Catalog, future: bool) -> Option<u32> {
        let is_shown = |alias: &Alias| matches!(catalog.listed_as(*alias), Some(Listed::Shown(_)));
        let mut dated = self.unread.iter().filter(|(_, why)| **why == Unread::Future);
        if dated.any(|(alias, _)| is_shown(alias)) {
            *self = Self::unasked(Arc::clone(&self.keys));
            return None;
        }
        let counts = |why: &&Unread| !future || **why == Unread::Closed;
        Some(u32::try_from(self.unread.values().filter(counts).count()).unwrap_or(u32::MAX))
    }
}
