//! What a disk holds, read by the real recovery from a copy of it, and byte by byte.
//!
//! Knows no running node, and changes no disk. Invariant: what is told is what the next start would find.

use crate::sim::client::program::access;
use crate::sim::world::World;
use dfsd::crypto::keys::{DataKeys, record_id};
use dfsd::crypto::sealed::open_part;
use dfsd::ids::{Address, NameId, RecordId, VersionId};
use dfsd::store::Config;
use dfsd::store::fs::FileSystem;
use dfsd::store::values::{Dropped, LogEntry, Remains};
use dfsd::testing::SimFs;
use dfsd::wire::page::{Entries, Page};
use dfsd::wire::record::{BlockList, Record, RecordKind, Sealed};
use std::collections::{BTreeMap, BTreeSet};

/// Power cuts that are tried to see what a disk surely holds.
const CUTS: u64 = 3;

/// One version of one name, as its record states it.
#[derive(Debug, Clone)]
pub(super) struct Stated {
    pub(super) id: RecordId,
    pub(super) kind: RecordKind,
    pub(super) name: NameId,
    pub(super) version: VersionId,
    pub(super) parents: Vec<VersionId>,
    pub(super) blocks: BlockList,
    pub(super) sealed_tag: [u8; 32],
    /// What only a reader sees; none if it does not open.
    pub(super) sealed: Option<Sealed>,
}

impl Stated {
    pub(super) fn is_file(&self) -> bool {
        self.kind == RecordKind::File
    }

    /// A file's or a deletion's record, opened; none for one of another kind, or one that breaks the format's rules.
    pub(super) fn of(bytes: &[u8], keys: &DataKeys) -> Option<Self> {
        let record = Record::decode(bytes).ok()?;
        if !matches!(record.kind, RecordKind::File | RecordKind::Tombstone) {
            return None;
        }
        let space = keys.at(record.epoch, &record.space)?;
        let public = record.public_bytes();
        let plain = open_part(&space, &public, &record.sealed_tag, &record.sealed).ok();
        Some(Self {
            id: record_id(bytes),
            kind: record.kind,
            name: record.name,
            version: record.version,
            parents: record.parents,
            blocks: record.blocks,
            sealed_tag: record.sealed_tag,
            sealed: plain.and_then(|plain| Sealed::decode(record.format, &plain).ok()),
        })
    }
}

/// What a start would find.
#[derive(Debug, Default)]
pub(super) struct Holding {
    pub(super) records: BTreeMap<RecordId, Stated>,
    pub(super) blocks: BTreeSet<Address>,
    pub(super) pages: BTreeMap<Address, Below>,
    /// What is left of them in damaged bytes does not bring them back.
    expired: BTreeSet<RecordId>,
}

/// What a page names.
#[derive(Debug, Default)]
pub(super) struct Below {
    blocks: Vec<Address>,
    pages: Vec<Address>,
}

impl Below {
    fn of(page: &[u8]) -> Self {
        match Page::decode(page).map(|page| page.entries) {
            Ok(Entries::Blocks(blocks)) => {
                Self { blocks: blocks.iter().map(|block| block.address).collect(), pages: vec![] }
            }
            Ok(Entries::Pages { pages, .. }) => {
                Self { blocks: vec![], pages: pages.iter().map(|page| page.address).collect() }
            }
            Err(_) => Self::default(),
        }
    }
}

/// The records of a disk that nobody else has open, as far as somebody wants them; and whether these are all.
pub(super) fn records(
    fs: SimFs,
    keys: &DataKeys,
    wants: impl Fn(&RecordId) -> bool,
) -> (Vec<Stated>, bool) {
    let config = Config { segment: 256 * 1024, ..Config::default() };
    let mut records = Vec::new();
    let opened = dfsd::store::open_whole(fs, config, [9; 16], |found| {
        if let LogEntry::Record(id, _, bytes) = found
            && wants(&id)
        {
            records.extend(Stated::of(&bytes, keys));
        }
    });
    (records, opened.is_ok())
}

impl Holding {
    /// Opens a disk that nobody else has open.
    pub(super) fn of(fs: SimFs, keys: &DataKeys) -> Result<Self, String> {
        let mut holding = Self::default();
        let config = Config { segment: 256 * 1024, ..Config::default() };
        let opened =
            dfsd::store::open_whole(fs, config, [9; 16], |found| holding.found(found, keys));
        let (_, recovered) = opened.map_err(|error| error.to_string())?;
        for Remains { id, bytes, place, .. } in recovered.remains {
            if let Some(place) = place.filter(|_| !holding.expired.contains(&id)) {
                holding.found(LogEntry::Record(id, place, bytes), keys);
            }
        }
        Ok(holding)
    }

    fn found(&mut self, found: LogEntry, keys: &DataKeys) {
        match found {
            LogEntry::Record(_, _, bytes) => {
                if let Some(stated) = Stated::of(&bytes, keys) {
                    self.expired.remove(&stated.id);
                    self.records.insert(stated.id, stated);
                }
            }
            LogEntry::Page(address, _, page) => {
                self.pages.insert(address, Below::of(&page));
            }
            LogEntry::Block(address, ..) => {
                self.blocks.insert(address);
            }
            LogEntry::Lost(address, _) | LogEntry::Dropped(Dropped { address, .. }, _) => {
                self.pages.remove(&address);
                self.blocks.remove(&address);
            }
            LogEntry::Expired(expired, _) => {
                self.records.remove(&expired.id);
                self.expired.insert(expired.id);
            }
            LogEntry::Removed(_) => {}
            LogEntry::Outline(..) | LogEntry::PageEntries(..) => {
                unreachable!("no index was looked at")
            }
        }
    }

    /// Whether the record of a version is there.
    pub(super) fn knows(&self, name: &NameId, version: VersionId) -> bool {
        self.records.values().any(|stated| stated.name == *name && stated.version == version)
    }

    /// Whether the record of a version is there, and all blocks and pages that it names itself.
    pub(super) fn holds(&self, name: &NameId, version: VersionId) -> bool {
        let mut records = self.records.values();
        let stated = records.find(|stated| stated.name == *name && stated.version == version);
        stated.is_some_and(|stated| match &stated.blocks {
            BlockList::Inline(blocks) => {
                blocks.iter().all(|block| self.blocks.contains(&block.address))
            }
            BlockList::Pages { root, .. } => self.pages.contains_key(root),
        })
    }

    /// How many of its records name a block or page, themselves or in pages, that is not there.
    pub(super) fn lacking(&self) -> u64 {
        let is_whole = |stated: &&Stated| match &stated.blocks {
            BlockList::Inline(named) => named.iter().all(|one| self.blocks.contains(&one.address)),
            BlockList::Pages { root, .. } => self.has_all_below(root),
        };
        self.records.values().filter(|stated| !is_whole(stated)).count() as u64
    }

    fn has_all_below(&self, page: &Address) -> bool {
        self.pages.get(page).is_some_and(|below| {
            below.blocks.iter().all(|block| self.blocks.contains(block))
                && below.pages.iter().all(|page| self.has_all_below(page))
        })
    }

    /// All blocks that its records name, themselves or in pages.
    pub(super) fn reach(&self) -> BTreeSet<Address> {
        let (mut blocks, mut pages) = (BTreeSet::new(), Vec::new());
        for stated in self.records.values() {
            match &stated.blocks {
                BlockList::Inline(named) => blocks.extend(named.iter().map(|one| one.address)),
                BlockList::Pages { root, .. } => pages.push(*root),
            }
        }
        let mut seen = BTreeSet::new();
        while let Some(page) = pages.pop() {
            if let Some(below) = self.pages.get(&page).filter(|_| seen.insert(page)) {
                blocks.extend(&below.blocks);
                pages.extend(&below.pages);
            }
        }
        blocks
    }
}

/// Whether all other disks hold all that this one does, whatever a power cut takes: also blocks and pages that no record
/// names yet. A put under way may rely on them, and no copy of them is made before its record.
pub(super) fn is_spare(world: &World, machine: usize) -> bool {
    let keys = access().data.expect("these keys are whole");
    let held = |fs| Holding::of(fs, &keys).ok();
    let Some(mine) = held(world.machines[machine].fs.restart()) else { return false };
    let others = world.machines.iter().enumerate().filter(|(other, _)| *other != machine);
    let cuts = others.flat_map(|(_, there)| (0..CUTS).map(|seed| there.fs.power_cut(seed)));
    cuts.map(held).all(|theirs| {
        theirs.is_some_and(|theirs| {
            mine.blocks.is_subset(&theirs.blocks)
                && mine.pages.keys().all(|page| theirs.pages.contains_key(page))
                && mine.records.keys().all(|record| theirs.records.contains_key(record))
        })
    })
}

/// Shows all bytes of a disk to somebody, each file from its beginning until there is nothing but zeros.
pub(super) fn visit(fs: &SimFs, mut visitor: impl FnMut(&str, &[u8])) {
    for path in fs.paths("") {
        visitor(&path, path.as_bytes());
        let Ok(file) = fs.open(&path) else { continue };
        let length = fs.length(&file).unwrap_or(0);
        let mut buffer = vec![0; 64 * 1024];
        let mut at = 0;
        while at < length {
            let count = buffer.len().min(usize::try_from(length - at).unwrap_or(usize::MAX));
            let piece = &mut buffer[..count];
            if fs.read_at(&file, at, piece).is_err() || piece.iter().all(|byte| *byte == 0) {
                break;
            }
            visitor(&path, piece);
            at += count as u64;
        }
    }
}
