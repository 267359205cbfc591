//! Names in order, as far as they have been read, and what is not known of them.
//!
//! Knows no disk: whoever reads records hands them over. It is empty until somebody asks for a list in order, and is kept
//! current from then on. Invariant: once it is whole, it has each name of which a list says anything, but for those that are
//! counted as unread; it may have more, of which the catalog says nothing.

use super::catalog::{Catalog, Listed};
use super::names::{Names, Walk};
use crate::crypto::alias::Alias;
use crate::crypto::data::DataKeys;
use crate::ids::{NameId, RecordId, Space};
use crate::keyring::names::name_of;
use crate::seeded::{self, Bug};
use crate::wire::record::Record;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How far the names have been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody has asked.
    Unasked,
    /// All up to this one.
    Reading {
        after: Option<Alias>,
    },
    Whole,
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
        self.stage == Stage::Whole
    }

    /// After which name to go on reading, since somebody asks; None if all have been read.
    pub(crate) fn read_on(&mut self) -> Option<Option<Alias>> {
        match self.stage {
            // From now on it is told of what comes.
            Stage::Unasked => {
                self.stage = Stage::Reading { after: None };
                Some(None)
            }
            Stage::Reading { after } => Some(after),
            Stage::Whole => None,
        }
    }

    /// All up to this one have been read; None: all there are.
    pub(crate) fn has_read(&mut self, last: Option<Alias>) {
        self.stage = match last {
            Some(_) => Stage::Reading { after: last },
            None => {
                log::debug!("{} names are in order", self.names.len());
                Stage::Whole
            }
        };
    }

    /// A name that is listed.
    pub(crate) fn take(&mut self, alias: Alias, name: &[u8]) {
        self.names.insert(name);
        self.unread.remove(&alias);
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
        if self.stage == Stage::Unasked {
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
            None => {
                self.unread.remove(&alias);
                if let Some(name) = name_of(&self.keys, record) {
                    self.names.remove(&name);
                }
            }
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
