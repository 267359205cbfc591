//! The store's tests on both disks: what they have in common.
//!
//! A `Writer` drives a `Disk` as the core does, and keeps what it was promised.

mod at_once;
mod check;
mod claims;
mod conformance;
mod crash;
mod damage;
mod expired;
mod findings;
mod full;
mod items;
mod remains;
mod removed;
mod sectors;
mod undecoded;

use crate::crypto::tree;
use crate::ids::{Address, RecordId};
use crate::limits::LEAF;
use crate::store::fs::FileSystem;
use crate::store::values::*;
use crate::store::{Config, Disk, OpenError, open};
use crate::testing::Dice;
use bytes::Bytes;
use std::collections::BTreeMap;

/// What a group holds, without its places.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    Record(RecordId),
    Page(Address),
    Small(Address),
    Block(Address, u32),
    Lost(Address),
    Dropped(Dropped),
    Expired(RecordId),
    Removed,
}

fn thing(found: &LogEntry) -> Thing {
    match found {
        LogEntry::Record(id, ..) | LogEntry::Outline(id, ..) => Thing::Record(*id),
        LogEntry::Page(address, ..) | LogEntry::PageEntries(address, ..) => Thing::Page(*address),
        LogEntry::Block(address, BlockPlace::Tree { length }, _) => Thing::Block(*address, *length),
        LogEntry::Block(address, BlockPlace::Log(_), _) => Thing::Small(*address),
        LogEntry::Lost(address, _) => Thing::Lost(*address),
        LogEntry::Dropped(dropped, _) => Thing::Dropped(*dropped),
        LogEntry::Expired(expired, _) => Thing::Expired(expired.id),
        LogEntry::Removed(_) => Thing::Removed,
    }
}

fn things(group: &Group) -> Vec<Thing> {
    let lost = group.lost.iter().map(|address| Thing::Lost(*address));
    let lost = lost.chain(group.dropped.iter().map(|dropped| Thing::Dropped(*dropped)));
    let lost = lost.chain(group.expired.iter().map(|expired| Thing::Expired(expired.id)));
    let blocks = group.blocks.iter();
    let blocks = blocks.map(|(_, address, length)| Thing::Block(*address, *length));
    let small = group.small.iter().map(|(address, _)| Thing::Small(*address));
    let pages = group.pages.iter().map(|(address, _)| Thing::Page(*address));
    let records = group.records.iter().map(|(id, _)| Thing::Record(*id));
    let named = group.named.iter().map(|(address, length)| Thing::Block(*address, *length));
    let all = lost.chain(blocks).chain(named).chain(small).chain(pages);
    all.chain(records).collect()
}

/// A config whose segments are soon full.
fn small_segments() -> Config {
    Config { segment: 24 * 1024, ..Config::default() }
}

/// An open store and what its start found.
struct Opened<F: FileSystem> {
    disk: Disk<F>,
    recovered: RecoveryReport,
    found: Vec<LogEntry>,
}

fn start<F: FileSystem>(fs: F, entropy: u8) -> Result<Opened<F>, OpenError> {
    let mut found = Vec::new();
    let (disk, recovered) = open(fs, small_segments(), [entropy; 16], |thing| {
        found.push(thing);
    })?;
    Ok(Opened { disk, recovered, found })
}

/// Bytes that nothing else has.
fn content(dice: &mut Dice, length: usize) -> Bytes {
    let seed = dice.below(1 << 60).to_le_bytes();
    Bytes::from_iter((0..length).map(|at| seed[at % 8] ^ at.to_le_bytes()[at / 8 % 2]))
}

fn address_of(content: &[u8]) -> Address {
    Address(tree::tree(content).0)
}

/// Writes and flushes a draft, as the core does for a block that arrives; false if the disk has failed.
fn draft<F: FileSystem>(disk: &Disk<F>, draft: Draft, block: &Bytes) -> bool {
    let leaves = tree::leaf_hashes(block);
    for (first, chunk) in (0..).zip(block.chunks(LEAF)) {
        if disk.write(draft, first, &[Bytes::copy_from_slice(chunk)], &leaves).is_err() {
            return false;
        }
    }
    let length = u32::try_from(block.len()).unwrap();
    disk.finish(draft, length, &leaves).is_ok()
}

fn commit<F: FileSystem>(disk: &Disk<F>, group: &Group) -> Result<Committed, DiskError> {
    disk.commit(group)
}

fn verify<F: FileSystem>(disk: &Disk<F>, blocks: &[(Address, BlockPlace)]) -> Vec<Address> {
    disk.verify(blocks).bad
}

fn read_leaves<F: FileSystem>(
    disk: &Disk<F>,
    (address, place): (Address, BlockPlace),
    (first, count): (u8, u8),
) -> Result<LeavesRead, ReadError> {
    disk.read_leaves(&address, place, LeafRange { first, count })
}

fn read_log<F: FileSystem>(disk: &Disk<F>, place: LogPlace) -> Result<Bytes, ReadError> {
    disk.read_log(place)
}

/// A core that puts random groups and keeps what it was promised.
#[derive(Clone, Default)]
struct Writer {
    /// What every id and address stands for.
    contents: BTreeMap<[u8; 32], Bytes>,
    /// Acknowledged, in order.
    promised: Vec<Thing>,
    /// Of the group that failed, which may or may not be there after a start.
    uncertain: Vec<Thing>,
    /// Acknowledged blocks that were not lost since.
    held: Vec<Address>,
    drafts: Draft,
}

impl Writer {
    /// Puts one random group; what became of it.
    fn put<F: FileSystem>(&mut self, disk: &Disk<F>, dice: &mut Dice) -> Result<(), DiskError> {
        let group = self.compose(disk, dice)?;
        let result = commit(disk, &group);
        match &result {
            Ok(_) => self.promised(&group),
            Err(DiskError::Failed(_)) if self.uncertain.is_empty() => {
                self.uncertain = things(&group);
            }
            Err(DiskError::Failed(_)) => {}
            Err(DiskError::Full | DiskError::Scarce(_)) => {}
        }
        result.map(drop)
    }

    fn promised(&mut self, group: &Group) {
        self.promised.extend(things(group));
        let dropped: Vec<_> = group.dropped.iter().map(|one| one.address).collect();
        let is_gone = |at: &Address| group.lost.contains(at) || dropped.contains(at);
        self.held.retain(|address| !is_gone(address));
        self.held.extend(group.blocks.iter().map(|block| block.1));
    }

    fn compose<F: FileSystem>(
        &mut self,
        disk: &Disk<F>,
        dice: &mut Dice,
    ) -> Result<Group, DiskError> {
        let mut group = Group::default();
        for _ in 0..dice.below(3) {
            let length = 1 + dice.below(40_000);
            let block = content(dice, length);
            self.drafts += 1;
            if !draft(disk, self.drafts, &block) {
                return Err(DiskError::Failed("a draft failed".to_owned()));
            }
            let address = self.remember(&block);
            let length = u32::try_from(length).unwrap();
            group.blocks.push((self.drafts, address, length));
        }
        for _ in 0..dice.below(3) {
            let length = 1 + dice.below(5_000);
            let small = content(dice, length);
            group.small.push((self.remember(&small), small));
        }
        for _ in 0..dice.below(2) {
            let page = content(dice, 700);
            group.pages.push((self.remember(&page), page));
        }
        for _ in 0..=dice.below(3) {
            let record = content(dice, 300);
            group.records.push((RecordId(self.remember(&record).0), record));
        }
        if dice.below(4) == 0 && !self.held.is_empty() {
            let address = self.held[dice.below(self.held.len())];
            let since = (dice.below(2) == 0).then_some(1);
            match dice.below(2) {
                0 => group.lost.push(address),
                _ => group.dropped.push(Dropped { address, since }),
            }
        }
        if dice.below(8) == 0 {
            let id = RecordId(content(dice, 32)[..].try_into().unwrap());
            group.expired.push(Expired { id, at_ms: 7 });
        }
        Ok(group)
    }

    fn remember(&mut self, content: &Bytes) -> Address {
        let address = address_of(content);
        self.contents.insert(address.0, content.clone());
        address
    }

    /// After a start: what was promised is there, whole and in order; of the uncertain group all or nothing; and no
    /// more. What is there is from now on promised.
    fn check<F: FileSystem>(&mut self, opened: &Opened<F>) {
        self.check_promises(opened);
        self.check_contents(opened);
    }

    fn check_promises<F: FileSystem>(&mut self, opened: &Opened<F>) {
        let found: Vec<_> = opened.found.iter().map(thing).collect();
        let (old, new) = found
            .split_at_checked(self.promised.len())
            .unwrap_or_else(|| panic!("lost groups: {:?}", opened.recovered));
        assert!(old == self.promised, "other groups than were promised");
        assert!(
            new.is_empty() || new == self.uncertain,
            "half a group: {new:?} of {:?}",
            self.uncertain
        );
        self.promised = found;
        self.uncertain.clear();
    }

    fn check_contents<F: FileSystem>(&mut self, opened: &Opened<F>) {
        let mut held = BTreeMap::new();
        for found in &opened.found {
            match found {
                LogEntry::Record(id, place, bytes) => {
                    assert_eq!(read_log(&opened.disk, *place).as_ref(), Ok(bytes));
                    assert_eq!(self.contents.get(&id.0), Some(bytes));
                }
                LogEntry::Page(address, place, _) => {
                    let page = read_log(&opened.disk, *place);
                    assert_eq!(self.contents.get(&address.0), page.ok().as_ref());
                }
                LogEntry::Block(address, place, _) => drop(held.insert(*address, *place)),
                LogEntry::Lost(address, _) | LogEntry::Dropped(Dropped { address, .. }, _) => {
                    held.remove(address);
                }
                LogEntry::Expired(..) | LogEntry::Removed(_) => {}
                LogEntry::Outline(..) | LogEntry::PageEntries(..) => {
                    panic!("what the writer makes is no record and no page")
                }
            }
        }
        self.held = held
            .iter()
            .filter(|(_, place)| matches!(place, BlockPlace::Tree { .. }))
            .map(|(address, _)| *address)
            .collect();
        let blocks: Vec<_> = held.into_iter().collect();
        for (address, place) in &blocks {
            let whole = &self.contents[&address.0];
            let count = u8::try_from(whole.len().div_ceil(LEAF)).unwrap();
            let read = read_leaves(&opened.disk, (*address, *place), (0, count)).unwrap();
            assert_eq!(read.chunks.concat(), whole.to_vec());
            assert_eq!(tree::root(&read.leaves).0, address.0);
        }
        assert_eq!(verify(&opened.disk, &blocks), []);
    }
}
