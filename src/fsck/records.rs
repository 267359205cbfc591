//! The records that the log names: read, their signatures verified, and what they need looked for.
//!
//! Invariant: one record, and one page of each level below it, is in memory at a time.

use super::finding::{Finding, Grade, Known, Report};
use super::held::read_item;
use super::inventory::Inventory;
use crate::ids::{Address, RecordId, VersionId};
use crate::store::OpenError;
use crate::store::fs::FileSystem;
use crate::store::layout;
use crate::store::records;
use crate::store::values::LogPlace;
use crate::wire::message::BlockRef;
use crate::wire::page::{Entries, Page};
use crate::wire::record::{BlockList, Record};
use std::collections::{BTreeMap, BTreeSet};

const BAD_RECORD: &str = "peers refuse it; keep the folder, and restore this node by wiping `log/` and `blocks/` \
                          and starting it beside its peers";

/// What came of reading them.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// How many there are.
    pub(super) records: u64,
    /// What they need and is not here.
    pub(super) wanted: BTreeSet<Address>,
}

/// Reads every record.
pub(super) fn read<F: FileSystem>(
    fs: &F,
    known: &Known<'_>,
    inventory: &Inventory,
    report: &mut Report<'_>,
) -> Result<Read, OpenError> {
    let mut read = Read::default();
    let mut signers = Signers::new(known);
    for (id, place) in inventory.records() {
        read.records += 1;
        let Some(record) = read_record(fs, id, *place, report)? else {
            continue;
        };
        signers.take(&record, *place);
        let needed = needed(fs, &record, inventory)?;
        if needed.is_empty() {
            continue;
        }
        let lost = needed.iter().filter(|address| inventory.is_lost(address)).count();
        let short = Short { count: needed.len(), lost, beside_damage: report.damaged() > 0 };
        let name = (known.name)(&record);
        let path = name.unwrap_or_else(|| format!("the file of name id {}", record.name));
        report.found(short.finding(path, record.version));
        read.wanted.extend(needed);
    }
    signers.tell(report);
    Ok(read)
}

/// The record, if it is good.
fn read_record<F: FileSystem>(
    fs: &F,
    id: &RecordId,
    place: LogPlace,
    report: &mut Report<'_>,
) -> Result<Option<Record>, OpenError> {
    let what = match read_item(fs, place)? {
        None => "cannot be read",
        Some((_, bytes)) => match records::verify(id, &bytes) {
            Ok(record) => return Ok(Some(record)),
            Err(what) => what,
        },
    };
    let path = layout::segment(place.segment);
    let what = format!("record {id} at {} {what}", place.offset);
    report.damage(path, what, "what it states is not known here", BAD_RECORD);
    Ok(None)
}

/// Who has signed records, and who may.
struct Signers<'a> {
    known: &'a Known<'a>,
    /// How many records each has signed, and where the first of them stands.
    seen: BTreeMap<[u8; 32], (u64, String)>,
    granted: BTreeSet<[u8; 32]>,
}

impl<'a> Signers<'a> {
    fn new(known: &'a Known<'a>) -> Self {
        Self { known, seen: BTreeMap::new(), granted: known.root.into_iter().collect() }
    }

    fn take(&mut self, record: &Record, place: LogPlace) {
        self.granted.extend((self.known.granted)(record));
        let path = layout::segment(place.segment);
        self.seen.entry(record.signer).or_insert((0, path)).0 += 1;
    }

    /// Whose grant is not here. Without the root's key nobody's can be judged.
    fn tell(mut self, report: &mut Report<'_>) {
        if self.known.root.is_none() {
            return;
        }
        self.seen.retain(|signer, _| !self.granted.contains(signer));
        for (count, path) in self.seen.into_values() {
            report.note(
                path,
                format!("{count} records are signed by a key whose grant is not here"),
                "they are kept and passed on; the grant may yet come from a peer",
                "nothing, unless it is still so when the node has talked with its peers",
            );
        }
    }
}

/// A version of which something is not here.
struct Short {
    count: usize,
    /// Of these were held once.
    lost: usize,
    /// What a damaged place held is not known.
    beside_damage: bool,
}

impl Short {
    fn finding(&self, path: String, version: VersionId) -> Finding {
        let Self { count, lost, .. } = self;
        if *lost > 0 {
            return Finding {
                grade: Grade::Missing,
                path,
                what: format!(
                    "version {version}: {count} of its blocks or pages are not here, {lost} were lost"
                ),
                means: "it can be read from here only when a peer is there that has them",
                advice: "start dfsd: it fetches them from a peer that has them",
            };
        }
        Finding {
            grade: Grade::Note,
            path,
            what: format!("version {version}: {count} of its blocks or pages are not here yet"),
            means: if self.beside_damage {
                "they were where the damage is, or this node had not caught up with its peers"
            } else {
                "normal for a node that had not caught up with its peers"
            },
            advice: "nothing: they are fetched from peers when the daemon runs",
        }
    }
}

/// What a record needs and is not here.
fn needed<F: FileSystem>(
    fs: &F,
    record: &Record,
    inventory: &Inventory,
) -> Result<BTreeSet<Address>, OpenError> {
    match &record.blocks {
        BlockList::Inline(blocks) => Ok(absent(blocks, inventory).collect()),
        BlockList::Pages { root, depth, .. } => needed_below(fs, *root, *depth, inventory),
    }
}

fn absent(blocks: &[BlockRef], inventory: &Inventory) -> impl Iterator<Item = Address> {
    blocks.iter().map(|block| block.address).filter(|address| inventory.lacks_block(address))
}

/// Pages and blocks below a page that are not here. Depth is bounded by the record's own.
fn needed_below<F: FileSystem>(
    fs: &F,
    page: Address,
    depth: u8,
    inventory: &Inventory,
) -> Result<BTreeSet<Address>, OpenError> {
    let held = match inventory.page(&page) {
        Some(place) => read_item(fs, place)?,
        None => None,
    };
    match held.and_then(|(_, bytes)| Page::decode(&bytes).ok()).map(|page| page.entries) {
        Some(Entries::Blocks(blocks)) => Ok(absent(&blocks, inventory).collect()),
        Some(Entries::Pages { pages, .. }) if depth > 1 => {
            let mut needed = BTreeSet::new();
            for below in pages {
                needed.append(&mut needed_below(fs, below.address, depth - 1, inventory)?);
            }
            Ok(needed)
        }
        Some(Entries::Pages { .. }) | None => Ok(BTreeSet::from([page])),
    }
}
