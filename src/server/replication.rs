//! Which records are to be completed here, and in which order: those that somebody may see first.
//!
//! Knows no walk. Invariant: no record is queued twice, and versions that another supersedes, whose blocks may never be
//! asked for, take only a part of what there is room for.

use super::FileServer;
use super::output::Link;
use super::round::Short;
use super::walk::Purpose;
use super::work::ReadFor;
use crate::ids::RecordId;
use crate::index::catalog::Catalog;
use crate::index::entry::Flag;
use crate::planted::{self, Bug};
use crate::store::values::LogPlace;
use std::collections::{HashSet, VecDeque};

/// Records that are completed at a time; each has at most one page of blocks on its way.
const ALL_MAX: usize = 8;
/// So many of them may be superseded: they may be large, and the others must not wait for them.
const LATE_MAX: usize = ALL_MAX / 2;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Replications {
    queue: VecDeque<(RecordId, Option<Link>)>,
    /// Found to be superseded when their turn came.
    late: VecDeque<(RecordId, Option<Link>)>,
    /// All these, so that none is queued twice.
    queued: HashSet<RecordId>,
    /// Under way.
    all: usize,
    /// Those of them that were superseded when they began.
    all_late: usize,
}

/// A record whose turn has come.
struct Due {
    record: RecordId,
    /// None if there is nothing left to be done for it.
    place: Option<LogPlace>,
    /// Where it came from.
    source: Option<Link>,
    is_late: bool,
}

impl Replications {
    fn add(&mut self, record: RecordId, source: Option<Link>) {
        if self.queued.insert(record) {
            self.queue.push_back((record, source));
        }
    }

    fn is_busy(&self) -> bool {
        self.all > 0 || !self.queued.is_empty()
    }

    /// The next one, which is under way from now on if there is anything to do.
    fn next(&mut self, catalog: &Catalog) -> Option<Due> {
        while self.all < ALL_MAX {
            let first = self.queue.pop_front();
            let is_late = first.is_none();
            if is_late && self.all_late >= LATE_MAX {
                return None;
            }
            let (record, source) = first.or_else(|| self.late.pop_front())?;
            let entry = catalog.get(&record).filter(|entry| !entry.is(Flag::Complete));
            let is_superseded = entry.is_some_and(|entry| entry.is_superseded());
            if is_superseded && !is_late && !planted::is_on(Bug::FetchPastFirst) {
                self.late.push_back((record, source));
                continue;
            }
            self.queued.remove(&record);
            let place = entry.map(|entry| entry.place());
            if place.is_some() {
                self.all += 1;
                self.all_late += usize::from(is_late);
            }
            return Some(Due { record, place, source, is_late });
        }
        None
    }

    /// One is no longer under way.
    pub(super) fn ended(&mut self, is_late: bool) {
        self.all -= 1;
        self.all_late -= usize::from(is_late);
    }
}

impl FileServer {
    /// Sees to it that all that records name comes here. Together, so that of these the right ones go first.
    pub(super) fn replicate(
        &mut self,
        records: impl IntoIterator<Item = (RecordId, Option<Link>)>,
    ) {
        for (record, source) in records {
            self.walks.replications.add(record, source);
        }
        self.next_replication();
    }

    /// Records are being completed, or wait for that.
    pub(super) fn replicates(&self) -> bool {
        self.walks.replications.is_busy()
    }

    pub(super) fn next_replication(&mut self) {
        while let Some(due) = self.walks.replications.next(&self.cx.index.catalog) {
            let Due { record, place, source, is_late } = due;
            let short = Short::Record(record);
            let Some(place) = place else {
                self.stuck.tried(&mut self.cx.news, short);
                continue;
            };
            let walk = self.begin_walk(record, Purpose::Replicate { is_late }, source);
            self.try_again(walk, short);
            self.cx.read_log(vec![place], ReadFor::WalkRecord { walk });
        }
    }
}
