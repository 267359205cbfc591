//! What must be true of every disk that a power cut may leave.
//!
//! Knows no workload. Invariant: the disk that is looked at is not changed, but a copy of it.

use super::local_node::{CONFIG, Deed, LocalNode, Names};
use super::script::{Here, Promises, Script, Thing, thing};
use bytes::Bytes;
use dfsd::crypto::tree;
use dfsd::ids::{Address, RecordId, StoreId};
use dfsd::limits::{BLOCK, LOG_BLOCK_MAX, SERVED_IDLE};
use dfsd::store::values::{BlockPlace, Dropped, Group, LogEntry};
use dfsd::store::{self, Disk};
use dfsd::testing::SimFs;
use dfsd::wire::collection::{CollectionStatus, CollectionVoid};
use dfsd::wire::record::Record;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A store that has been opened.
struct Opened {
    fs: SimFs,
    disk: Disk<SimFs>,
    found: Vec<LogEntry>,
    store: StoreId,
}

impl Opened {
    /// What its groups tell, but which segments are gone.
    fn told(&self) -> Vec<Thing> {
        let all = self.found.iter().map(thing);
        all.filter(|thing| *thing != Thing::Removed).collect()
    }

    /// Nothing is closed in order.
    fn kill(self) {
        self.fs.tamper().kill();
    }
}

fn open(fs: SimFs, life: u8) -> Result<Opened, String> {
    let mut found = Vec::new();
    let opened = store::open(fs.clone(), CONFIG, [life; 16], |thing| found.push(thing));
    let (disk, recovered) = opened.map_err(|error| format!("it does not open: {error}"))?;
    if let Some(note) = recovered.notes.iter().find(|note| !note.ends_with("it is discarded")) {
        return Err(format!("a power cut was taken for damage: {note}"));
    }
    Ok(Opened { fs, disk, found, store: recovered.store })
}

/// Opens what was found after a power cut with the real recovery, three times.
pub(super) fn judge(found: &SimFs, promises: &Promises) -> Result<(), String> {
    let fs = found.restart();
    let first = open(fs.clone(), 101)?;
    let things = promises.hold(&first)?;
    contents(&first)?;
    // What the first start told stays true, should the power go again, and once more in order.
    first.kill();
    let fs = fs.power_cut(found.digest());
    let second = open(fs.clone(), 102)?;
    same(&things, &second)?;
    let mut after = things;
    after.extend(put(&second.disk)?);
    drop(second);
    let third = open(fs.restart(), 103)?;
    same(&after, &third)?;
    contents(&third)?;
    third.kill();
    Ok(())
}

impl Promises {
    /// All that was promised is there in order, and of the uncertain group all or nothing. What is there.
    fn hold(&self, opened: &Opened) -> Result<Vec<Thing>, String> {
        let told = opened.told();
        let allowed = self.allowed();
        if !allowed.contains(&told) {
            return Err(format!("of {allowed:?} none is there, but {told:?}"));
        }
        if let Some(mut here) = self.here.clone() {
            if told != self.promised() {
                here.take(&self.uncertain);
            }
            let mut found = Here::default();
            found.take(&told);
            if found != here {
                return Err(format!("{found:?} is here, and not {here:?}"));
            }
        }
        match self.store {
            Some(store) if store != opened.store && !self.groups.is_empty() => {
                Err("the store says that it is another one".to_owned())
            }
            Some(_) | None => Ok(opened.found.iter().map(thing).collect()),
        }
    }

    /// How many groups were durable.
    fn durable_in(&self, found: &SimFs) -> Result<usize, String> {
        let opened = open(found.restart(), 101)?;
        self.hold(&opened)?;
        let is_kept = opened.told() == self.promised();
        opened.kill();
        Ok(self.durable + usize::from(!is_kept))
    }
}

fn same(things: &[Thing], opened: &Opened) -> Result<(), String> {
    let found: Vec<_> = opened.found.iter().map(thing).collect();
    if found == things {
        Ok(())
    } else {
        Err(format!("one start shows {things:?}, the next {found:?}"))
    }
}

/// Every block, page and record that is shown can be read whole.
fn contents(opened: &Opened) -> Result<(), String> {
    let mut held = BTreeMap::new();
    for found in &opened.found {
        match found {
            LogEntry::Record(id, place, bytes) => {
                let read = opened.disk.read_log(*place);
                if read.as_ref() != Ok(bytes) {
                    return Err(format!("record {id:?} reads as {read:?}"));
                }
            }
            LogEntry::Outline(id, place, outline) => {
                let read = opened.disk.read_log(*place).map(|bytes| Record::decode(&bytes));
                let is_same = |record: &Record| {
                    (record.name, record.version) == (outline.name, outline.version)
                        && record.blocks == outline.blocks
                };
                if !matches!(&read, Ok(Ok(record)) if is_same(record)) {
                    return Err(format!(
                        "record {id:?}, of which an index tells, reads as {read:?}"
                    ));
                }
            }
            LogEntry::Page(address, place, _) | LogEntry::PageEntries(address, place, _) => {
                held.insert(*address, BlockPlace::Log(*place));
            }
            LogEntry::Block(address, place, _) => drop(held.insert(*address, *place)),
            LogEntry::Lost(address, _) | LogEntry::Dropped(Dropped { address, .. }, _) => {
                held.remove(address);
            }
            LogEntry::Expired(..) | LogEntry::Removed(_) => {}
        }
    }
    let held: Vec<_> = held.into_iter().collect();
    let found = opened.disk.verify(&held);
    if found.bad.is_empty() { Ok(()) } else { Err(format!("not whole: {found:?}")) }
}

/// The store still takes a block and a record.
fn put(disk: &Disk<SimFs>) -> Result<Vec<Thing>, String> {
    let block = Bytes::from_static(b"put after the power came back");
    let leaves = tree::leaf_hashes(&block);
    let address = Address(tree::root(&leaves).0);
    let length = block.len() as u32;
    let _ = disk.write(900, 0, &[block], &leaves);
    let _ = disk.finish(900, length, &leaves);
    let records = vec![(RecordId([200; 32]), Bytes::from_static(b"a record"))];
    let group = Group { blocks: vec![(900, address, length)], records, ..Group::default() };
    let things = super::script::things(&group);
    let committed = disk.commit(&group);
    committed.map(|_| things).map_err(|why| format!("nothing can be put any more: {why:?}"))
}

/// A whole node on this disk shows the names that its groups tell of, with their bytes, and goes on to do so.
pub(super) fn judge_names(
    found: &SimFs,
    script: &Script,
    promises: &Promises,
) -> Result<(), String> {
    let groups = promises.durable_in(found)?;
    let fs = found.restart();
    let mut local = LocalNode::start(fs.clone(), 104).map_err(|error| error.to_string())?;
    let names = local.names(&script.known)?;
    let told = script.shown.iter().rposition(|shown| shown.groups <= groups);
    let told = told.expect("nothing is shown of nothing");
    // Between the groups of one deed either side of it may be shown.
    let next = script.shown.get(told + 1).filter(|_| script.shown[told].groups < groups);
    let allowed = std::iter::once(&script.shown[told]).chain(next);
    if allowed.into_iter().any(|shown| shown.names == names) {
        return let_alone(&fs, local, &script.known, &names);
    }
    let lengths: Vec<_> = names.iter().map(|(name, bytes)| (name, bytes.len())).collect();
    Err(format!("with {groups} groups these are shown, or other bytes of them: {lengths:?}"))
}

/// So long after the last read nothing is spared for a reader any more.
const LONG: Duration = Duration::from_secs(2 * SERVED_IDLE.as_secs());

/// A node that keeps nothing of the past and is let alone shows what it showed, and has no more than that needs; so does the
/// next one.
pub(super) fn let_alone(
    fs: &SimFs,
    mut local: LocalNode,
    known: &[&'static str],
    names: &Names,
) -> Result<(), String> {
    match local.run(&Deed::KeepNothing, &mut |_| {}) {
        Some(Ok(_)) => {}
        other => return Err(format!("it cannot be set to keep nothing: {other:?}")),
    }
    let mut fs = fs.clone();
    for life in [105, 106] {
        local.run(&Deed::Stay(LONG), &mut |_| {}).ok_or("it does not come to rest")?.ok();
        let told = |why: String| format!("let alone until life {life}: {why}");
        has_no_more(&fs, &mut local, known, names).map_err(told)?;
        local.kill();
        fs = fs.restart();
        local = LocalNode::start(fs.clone(), life).map_err(|error| error.to_string())?;
    }
    local.kill();
    Ok(())
}

/// These names are shown, and all that is kept is of them.
fn has_no_more(
    fs: &SimFs,
    local: &mut LocalNode,
    known: &[&'static str],
    names: &Names,
) -> Result<(), String> {
    let blocks: BTreeSet<_> = names.values().flat_map(|bytes| bytes.chunks(BLOCK)).collect();
    let files = blocks.iter().filter(|block| block.len() > LOG_BLOCK_MAX).count();
    let status = local.status()?;
    let CollectionStatus { reclaimable, void, .. } = status.collection;
    let bad = (status.incomplete, status.damaged, status.log_damage.places, void);
    if bad != (0, 0, 0, CollectionVoid::No) || !fs.paths("quarantine/").is_empty() {
        return Err(format!("something was taken for damage or is missed: {bad:?}"));
    }
    let files_of_log = fs.paths("log/").len();
    if (files_of_log as u32, fs.paths("tmp/").len()) != (status.log_use.segments, 0) {
        let segments = status.log_use.segments;
        return Err(format!("{files_of_log} files of {segments} segments, or a draft that stays"));
    }
    let found = (status.blocks, fs.paths("blocks/").len(), reclaimable + status.unnamed);
    if found != (blocks.len() as u64, files, 0) {
        return Err(format!(
            "{found:?} blocks, files and blocks for nothing, where {} and {files} are needed",
            blocks.len()
        ));
    }
    for name in known {
        let versions = local.versions(name)?;
        if versions > 1 || (versions == 0 && names.contains_key(*name)) {
            return Err(format!("{versions} versions of {name}"));
        }
    }
    match local.names(known)? {
        shown if shown == *names => Ok(()),
        shown => Err(format!("{:?} are shown in place of {:?}", shown.keys(), names.keys())),
    }
}
