//! The extension of a record by which it discards versions that are dated in the future: no stamp can be above theirs, so
//! that no record can have them as parents.
//!
//! Knows no clock. Invariants: what does not decode discards nothing; and no record discards what is dated before it, whoever
//! has told its writer to.

use super::cursor::{Field, Reader};
use super::record::{Extension, Record};
use crate::ids::VersionId;
use crate::limits::PARENTS_MAX;

/// Its tag.
pub const DISCARDS: u16 = 1;

/// The extension that discards these versions, at most `PARENTS_MAX`; `None` if there are none.
#[must_use]
pub fn discarding(versions: &[VersionId]) -> Option<Extension> {
    let mut value = Vec::new();
    versions.iter().take(PARENTS_MAX).for_each(|version| version.put(&mut value));
    (!value.is_empty()).then_some(Extension { tag: DISCARDS, value })
}

/// The versions that a record discards.
#[must_use]
pub fn discards(record: &Record) -> Vec<VersionId> {
    let value = record.extensions.iter().find(|extension| extension.tag == DISCARDS);
    let Some(Extension { value, .. }) = value else { return Vec::new() };
    let mut from = Reader::new(value);
    let mut versions = Vec::new();
    while versions.len() < PARENTS_MAX
        && let Ok(version) = VersionId::take(&mut from)
    {
        versions.push(version);
    }
    versions.retain(|version| *version > record.version);
    if from.finish().is_ok() { versions } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NameId, Writer};
    use crate::wire::record::RecordKind;

    #[test]
    fn only_what_is_dated_after_a_record_is_discarded_by_it() {
        let version = |stamp| VersionId { stamp, writer: Writer([1; 8]) };
        let bare = Record::unsigned(RecordKind::File, NameId([7; 32]), version(5));
        let said = [4, 9, 5, 6].map(version);
        let record = Record { extensions: discarding(&said).into_iter().collect(), ..bare };
        assert_eq!(discards(&record), [version(9), version(6)]);
    }
}
