//! Whether the conditions of a put hold, judged when it commits and not when its writer asked.
//!
//! Invariant: what the catalog knows and what is on its way to the disk count alike, so that nothing can come between the
//! judgement and the commit.

use super::FileServer;
use super::exchange::{ReadyPut, Refusal};
use super::lane::NewRecord;
use crate::planted::{self, Bug};
use crate::wire::condition::Condition;
use crate::wire::message::Reason;

/// The name exists, and was to be new.
const EXISTS: Refusal = (Reason::Exists, "the name exists; nothing was changed");
/// What the writer knew of the name is not what is known now.
const CHANGED: Refusal =
    (Reason::Changed, "the name has been changed meanwhile; nothing of this was kept");

impl FileServer {
    /// Why a put may not commit, if so.
    pub(super) fn broken_condition(&self, put: &ReadyPut) -> Option<Refusal> {
        let judged = put.records.iter().zip(&put.conditions);
        judged.filter_map(|(new, condition)| self.judge(new, *condition)).next()
    }

    fn judge(&self, new: &NewRecord, condition: Condition) -> Option<Refusal> {
        let name = &new.record.name;
        let alone = planted::is_on(Bug::CheckConditionAgainstCatalogAlone);
        let under_way = self.lane.under_way(name).filter(|_| !alone);
        let broken = match condition {
            Condition::Any => return None,
            Condition::Newest => None,
            Condition::Absent => {
                let exists = self.cx.index.catalog.shown(name).is_some()
                    || under_way.is_some_and(|versions| versions.has_file());
                (exists && !planted::is_on(Bug::IgnoreExisting)).then_some(EXISTS)
            }
            Condition::Unchanged(heads) => {
                let changed =
                    under_way.is_some() || self.cx.index.catalog.heads_summary(name) != heads;
                (changed && !planted::is_on(Bug::IgnoreCondition)).then_some(CHANGED)
            }
        };
        let known = self.cx.index.catalog.greatest(name).map(|entry| entry.version());
        let greatest = known.max(under_way.map(|versions| versions.greatest()));
        let below = greatest > Some(new.record.version) && !planted::is_on(Bug::IgnoreCondition);
        broken.or_else(|| below.then_some(CHANGED))
    }
}
