//! Loading: a start finds records in no order, and puts them in order when it has found all.

use super::ids::Ids;
use super::versions::Versions;
use super::{Aliases, Catalog};

impl Catalog {
    /// An empty one, for as long as a start finds ever more. Nothing but `insert` and `expire` may be called, and what asks of
    /// one record.
    pub(crate) fn for_start(aliases: Aliases) -> Self {
        let (ids, versions) = (Ids::for_start(), Versions::for_start());
        Self { ids, versions, ..Self::new(aliases) }
    }

    /// A start has found all.
    pub(crate) fn put_in_order(&mut self) {
        self.ids.put_in_order(&self.entries);
        let Self { aliases, entries, versions, .. } = self;
        versions.put_in_order(entries, |entry| aliases.mark(&entry.name(), &entry.version()));
    }
}
