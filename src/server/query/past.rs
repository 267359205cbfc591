//! What of the past goes into one answer: versions of a name, or what a view has of names.
//!
//! Reads nothing: what is to be read is told. Invariant: what an answer leaves out comes with the next, and no answer costs
//! more looks than its bound, however many versions and names there are.

use super::replies::LIST_BATCH;
use crate::crypto::alias::Alias;
use crate::ids::{NameId, RecordId, VersionId};
use crate::index::catalog::{Catalog, Viewed};
use crate::index::entry::Flag;
use crate::limits::{FRAME_BODY_MAX, PAST_LOOKS_MAX, RECORD_MAX};
use crate::seeded::{self, Bug};
use crate::store::values::LogItem;
use crate::wire::message::VersionMark;
use crate::wire::view::View;

/// What a version takes in an answer beside its record.
const VERSION_BYTES: usize = 16 + 1 + 2;

/// A version that an answer tells of.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) version: VersionId,
    pub(super) superseded: bool,
    /// None if it is known to be damaged.
    pub(super) record: Option<RecordId>,
}

/// Versions of one name.
#[derive(Debug, Default)]
pub(super) struct VersionsPage {
    pub(super) rows: Vec<Row>,
    /// The records of those that have one, in the same order.
    pub(super) items: Vec<LogItem>,
    pub(super) next: Option<VersionMark>,
}

/// The newest versions of a name before one of them, or all.
pub(super) fn versions(
    catalog: &Catalog,
    name: &NameId,
    before: Option<VersionMark>,
    limit: u16,
) -> VersionsPage {
    let count = usize::from(limit).clamp(1, LIST_BATCH);
    let (mut page, mut bytes) = (VersionsPage::default(), 0);
    let mut last = None;
    for entry in catalog.versions_before(name, before) {
        bytes += entry.place().length as usize + VERSION_BYTES;
        if page.rows.len() == count || bytes > FRAME_BODY_MAX - RECORD_MAX {
            page.next = if seeded::is_on(Bug::SkipAtPageEnd) { Some(entry.rank()) } else { last };
            break;
        }
        let record = (!entry.is(Flag::Damaged)).then(|| entry.id());
        page.items.extend(record.map(|_| entry.item()));
        let (version, superseded) = (entry.version(), entry.is_superseded());
        page.rows.push(Row { version, superseded, record });
        last = Some(entry.rank());
    }
    page
}

/// What a view has of some names.
#[derive(Debug, Default)]
pub(super) struct NamesPage {
    pub(super) items: Vec<LogItem>,
    /// The last name that was looked at, if more follow.
    pub(super) next: Option<Alias>,
    /// Names that were left out.
    pub(super) damaged: u32,
}

/// What a view has of the names after this one.
pub(super) fn names(catalog: &Catalog, after: Option<Alias>, view: View) -> NamesPage {
    let (mut page, mut bytes) = (NamesPage::default(), 0);
    let mut last = None;
    for (looks, Viewed { name, entry, is_future }) in catalog.past_after(after, view).enumerate() {
        bytes += entry.map_or(0, |entry| entry.place().length as usize + 2);
        let is_full = page.items.len() == LIST_BATCH || bytes > FRAME_BODY_MAX - RECORD_MAX;
        if is_full || looks == PAST_LOOKS_MAX {
            page.next = last;
            break;
        }
        match entry {
            Some(entry) if is_future || entry.is(Flag::Damaged) => page.damaged += 1,
            Some(entry) => page.items.push(entry.item()),
            None => {}
        }
        last = Some(name);
    }
    page
}
