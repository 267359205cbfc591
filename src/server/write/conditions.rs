//! Whether the conditions of a put hold, judged when it commits and not when its writer asked.
//!
//! Invariant: what the catalog knows and what is in flight to the disk count alike, so that nothing can come between the
//! judgement and the commit.

use super::admission::Refusal;
use super::queue::CommitQueue;
use super::record::ReadyPut;
use crate::index::catalog::Catalog;
use crate::seeded::{self, Bug};
use crate::wire::condition::Condition;
use crate::wire::message::Reason;
use crate::wire::record::Record;

/// The name exists, and was to be new.
const EXISTS: Refusal = Refusal::new(Reason::Exists, "the name exists; nothing was changed");
/// What the writer knew of the name is not what is known now.
const CHANGED: Refusal =
    Refusal::new(Reason::Changed, "the name has been changed meanwhile; nothing of this was kept");

/// Why a put may not commit, if so.
pub(super) fn broken(catalog: &Catalog, queue: &CommitQueue, put: &ReadyPut) -> Option<Refusal> {
    let mut judged = put.records().zip(&put.conditions);
    judged.find_map(|(record, condition)| judge(catalog, queue, record, *condition))
}

fn judge(
    catalog: &Catalog,
    queue: &CommitQueue,
    record: &Record,
    condition: Condition,
) -> Option<Refusal> {
    let name = &record.name;
    let alone = seeded::is_on(Bug::CheckConditionAgainstCatalogAlone);
    let in_flight = queue.in_flight(name).filter(|_| !alone);
    let broken = match condition {
        Condition::Any => return None,
        Condition::Newest => None,
        Condition::Absent => {
            let exists = catalog.shown(name).is_some()
                || in_flight.is_some_and(|versions| versions.has_file());
            (exists && !seeded::is_on(Bug::IgnoreExisting)).then_some(EXISTS)
        }
        Condition::Unchanged(heads) => {
            let changed = in_flight.is_some() || catalog.heads_summary(name) != heads;
            (changed && !seeded::is_on(Bug::IgnoreCondition)).then_some(CHANGED)
        }
    };
    let known = catalog.greatest(name).map(|entry| entry.version());
    let greatest = known.max(in_flight.map(|versions| versions.greatest()));
    let below = greatest > Some(record.version) && !seeded::is_on(Bug::IgnoreCondition);
    broken.or_else(|| below.then_some(CHANGED))
}
