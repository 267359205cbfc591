//! A workload as the disk sees it: what a node asked of it, to be done again up to any call, with the power cut
//! there; and what had been promised until then.
//!
//! Invariant: a script done again on an empty disk makes the same calls in the same order.

use super::local_node::{CONFIG, Deed, Heard, LocalNode, Names, after};
use bytes::Bytes;
use dfsd::ids::{Address, Hash, RecordId, StoreId};
use dfsd::server::work::{Done, Job};
use dfsd::session::ClientError;
use dfsd::store::values::{
    BlockPlace, Committed, DiskError, Draft, Dropped, Expired, Group, LogEntry,
};
use dfsd::store::{self, Disk};
use dfsd::testing::{SimError, SimFs};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher};
use std::sync::Arc;

/// One step of a script.
#[derive(Clone)]
pub(super) enum Step {
    Write {
        draft: Draft,
        first: u8,
        chunks: Vec<Bytes>,
        leaves: Arc<[Hash]>,
    },
    Finish {
        draft: Draft,
        length: u32,
        leaves: Arc<[Hash]>,
    },
    Discard(Draft),
    Commit(Group),
    WritePeers(String),
    MadeGood(Hash),
    IndexSegment(u32),
    /// The process ends, in order or killed, and the next one starts.
    Restart {
        killed: bool,
    },
    /// The next changing call but so many finds the disk full.
    Full(u64),
}

/// What is shown once so many groups are durable.
pub(super) struct Shown {
    pub(super) groups: usize,
    pub(super) names: Names,
}

pub(super) struct Script {
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
    /// Empty if no node made it.
    pub(super) shown: Vec<Shown>,
    /// Every name that it touches.
    pub(super) known: Vec<&'static str>,
}

/// What a group holds, without its places.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Thing {
    Record(RecordId),
    Page(Address),
    Small(Address),
    Block(Address, u32),
    Lost(Address),
    Dropped(Dropped),
    Expired(RecordId, u64),
    Removed,
}

pub(super) fn thing(found: &LogEntry) -> Thing {
    match found {
        LogEntry::Record(id, ..) | LogEntry::Outline(id, ..) => Thing::Record(*id),
        LogEntry::Page(address, ..) | LogEntry::PageEntries(address, ..) => Thing::Page(*address),
        LogEntry::Block(address, BlockPlace::Tree { length }, _) => Thing::Block(*address, *length),
        LogEntry::Block(address, BlockPlace::Log(_), _) => Thing::Small(*address),
        LogEntry::Lost(address, _) => Thing::Lost(*address),
        LogEntry::Dropped(dropped, _) => Thing::Dropped(*dropped),
        LogEntry::Expired(Expired { id, at_ms }, _) => Thing::Expired(*id, *at_ms),
        LogEntry::Removed(_) => Thing::Removed,
    }
}

/// Where it stands, if that is known.
fn segment(found: &LogEntry) -> Option<u32> {
    match found {
        LogEntry::Record(_, place, _) | LogEntry::Page(_, place, _) => Some(place.segment),
        LogEntry::Outline(_, place, _) | LogEntry::PageEntries(_, place, _) => Some(place.segment),
        LogEntry::Block(_, _, segment) => Some(*segment),
        _ => None,
    }
}

pub(super) fn things(group: &Group) -> Vec<Thing> {
    let mut all: Vec<_> = group.lost.iter().map(|address| Thing::Lost(*address)).collect();
    all.extend(group.dropped.iter().map(|dropped| Thing::Dropped(*dropped)));
    all.extend(group.expired.iter().map(|gone| Thing::Expired(gone.id, gone.at_ms)));
    all.extend(group.blocks.iter().map(|(_, address, length)| Thing::Block(*address, *length)));
    all.extend(group.named.iter().map(|(address, length)| Thing::Block(*address, *length)));
    all.extend(group.small.iter().map(|(address, _)| Thing::Small(*address)));
    all.extend(group.pages.iter().map(|(address, _)| Thing::Page(*address)));
    all.extend(group.records.iter().map(|(id, _)| Thing::Record(*id)));
    all
}

/// What a group holds, and the segment in which it stands.
#[derive(Debug, Clone, Hash)]
pub(super) struct Promised {
    segment: u32,
    things: Vec<Thing>,
}

/// What is here after groups, whatever segments they stood in: of that nothing is lost, and no more comes back, when a node
/// has segments written anew. Small blocks and pages are only forgotten, so nothing is known of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Here {
    records: BTreeSet<RecordId>,
    files: BTreeSet<Address>,
}

impl Here {
    pub(super) fn take(&mut self, things: &[Thing]) {
        for thing in things {
            match thing {
                Thing::Record(id) => drop(self.records.insert(*id)),
                Thing::Expired(id, _) => drop(self.records.remove(id)),
                Thing::Block(address, _) => drop(self.files.insert(*address)),
                Thing::Lost(address) | Thing::Dropped(Dropped { address, .. }) => {
                    self.files.remove(address);
                }
                Thing::Page(_) | Thing::Small(_) | Thing::Removed => {}
            }
        }
    }
}

/// What was promised by a disk until its power went.
#[derive(Debug, Clone, Default)]
pub(super) struct Promises {
    /// Acknowledged groups, in order, but for those that stood in segments that are gone.
    pub(super) groups: Vec<Promised>,
    /// How many were acknowledged, those too.
    pub(super) durable: usize,
    /// What is here after all of them, if a node has made them and no call has failed.
    pub(super) here: Option<Here>,
    /// Of the commit that the cut hit: it may or may not be there.
    pub(super) uncertain: Vec<Thing>,
    /// Segments that the same commit removes: if all of it is there they may be gone.
    removing: Vec<u32>,
    /// The life of the log, if a start has told it.
    pub(super) store: Option<StoreId>,
    /// Changing calls until then.
    pub(super) calls: u64,
    /// The call that was to fail was made.
    pub(super) reached: bool,
}

impl Script {
    /// Lets a real node do these deeds, and writes down what it asks of its disk. `None` is a restart after a kill.
    pub(super) fn of_node(name: &str, deeds: &[Option<Deed>]) -> Self {
        let fs = SimFs::new();
        let mut recording = Recording::default();
        let mut local = LocalNode::start(fs.clone(), 1).expect("an empty disk opens");
        let mut fs = fs;
        let mut names = Names::new();
        let mut shown = vec![Shown { groups: 0, names: Names::new() }];
        for (life, deed) in (2..).zip(deeds) {
            let Some(deed) = deed else {
                local.kill();
                fs = fs.restart();
                recording.steps.push(Step::Restart { killed: true });
                local = LocalNode::start(fs.clone(), life).expect("a killed node's disk opens");
                continue;
            };
            let done = local.run(deed, &mut |heard| recording.hear(heard));
            let done = done.unwrap_or_else(|| panic!("{name}: {deed:?}: no answer"));
            match done {
                Ok(_) => names = after(&names, deed),
                Err(ClientError::NotFound) => {}
                Err(error) => panic!("{name}: {deed:?}: {error}"),
            }
            shown.push(Shown { groups: recording.groups, names: names.clone() });
        }
        local.kill();
        let mut known: Vec<_> = deeds.iter().flatten().flat_map(touched).collect();
        known.sort_unstable();
        known.dedup();
        Self { name: name.to_owned(), steps: recording.steps, shown, known }
    }

    /// Does the script while this happens.
    pub(super) fn run(&self, trouble: Trouble) -> (SimFs, Promises) {
        let mut fs = SimFs::new();
        // A node would not have gone on like that after a failure.
        let is_node = !self.shown.is_empty() && matches!(trouble, Trouble::Cut(_));
        let here = is_node.then(Here::default);
        let mut promises = Promises { here, ..Promises::default() };
        let mut left = trouble;
        let mut life = 1;
        left.plan(&fs);
        let mut disk = open(&fs, life, &mut promises);
        for step in &self.steps {
            let Some(open_disk) = &disk else {
                break;
            };
            match step {
                Step::Full(calls) => fs.tamper().fail_nth(*calls, SimError::NoSpace),
                Step::Restart { killed } => {
                    if !*killed {
                        drop(disk.take());
                    }
                    if fs.is_cut() {
                        break;
                    }
                    promises.calls += fs.calls();
                    promises.reached |= left.pass(&fs);
                    fs.tamper().kill();
                    fs = fs.restart();
                    left.plan(&fs);
                    life += 1;
                    disk = open(&fs, life, &mut promises);
                }
                step if promises.step(&fs, open_disk, step) => {}
                _ => break,
            }
            if fs.is_cut() {
                break;
            }
        }
        promises.calls += fs.calls();
        promises.reached |= left.pass(&fs);
        fs.tamper().kill();
        (fs, promises)
    }

    /// The changing calls that it makes.
    pub(super) fn calls(&self) -> u64 {
        self.run(Trouble::Cut(u64::MAX / 2)).1.calls
    }
}

/// What happens to the disk.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    /// The power is cut at this changing call.
    Cut(u64),
    /// This call fails, and perhaps all after it.
    Failure(u64, SimError, bool),
    Over,
}

impl Trouble {
    fn plan(&self, fs: &SimFs) {
        match self {
            Self::Cut(call) => fs.tamper().cut_after(*call),
            Self::Failure(call, error, lasts) => fs.tamper().fail_call(*call, *error, *lasts),
            Self::Over => {}
        }
    }

    /// A life of the disk is over. Whether the failing call was reached.
    fn pass(&mut self, fs: &SimFs) -> bool {
        match self {
            Self::Cut(call) => *call = call.saturating_sub(fs.calls()),
            Self::Failure(call, ..) if *call < fs.all_calls() => {
                *self = Self::Over;
                return true;
            }
            Self::Failure(call, ..) => *call -= fs.all_calls(),
            Self::Over => {}
        }
        false
    }
}

fn touched(deed: &Deed) -> Vec<&'static str> {
    match deed {
        Deed::Put(name, _) | Deed::Get(name) | Deed::Delete(name) => vec![name],
        Deed::Rename(source, target) => vec![source, target],
        Deed::List | Deed::Verify | Deed::KeepNothing | Deed::Stay(_) => Vec::new(),
    }
}

fn open(fs: &SimFs, life: u8, promises: &mut Promises) -> Option<Disk<SimFs>> {
    let mut found = Vec::new();
    let opened = store::open(fs.clone(), CONFIG, [life; 16], |seen| found.push(seen));
    let (disk, recovered) = opened.ok()?;
    promises.store = Some(recovered.store);
    promises.settle(&found);
    Some(disk)
}

impl Promises {
    /// What was acknowledged.
    pub(super) fn promised(&self) -> Vec<Thing> {
        self.groups.iter().flat_map(|group| group.things.clone()).collect()
    }

    /// Differs if anything else may be there.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let Self { groups, durable, uncertain, removing, store, .. } = self;
        (groups, durable, uncertain, removing, store).hash(&mut hasher);
        hasher.finish()
    }

    /// The same without what stands in these segments.
    fn without(&self, removed: &[u32]) -> Vec<Thing> {
        let left = self.groups.iter().filter(|group| !removed.contains(&group.segment));
        left.flat_map(|group| group.things.clone()).collect()
    }

    /// What may be there: without the commit that was hit, with all of it but that its segments are there still, and with
    /// all of it.
    pub(super) fn allowed(&self) -> [Vec<Thing>; 3] {
        let kept = self.promised();
        let uncertain = || self.uncertain.clone();
        let added = [kept.clone(), uncertain()].concat();
        [kept, added, [self.without(&self.removing), uncertain()].concat()]
    }

    /// A start has found this, which decides what became of the commit that was hit.
    fn settle(&mut self, found: &[LogEntry]) {
        // That of its last record or page, or of the one before.
        let segment = found.iter().rev().find_map(segment).unwrap_or_default();
        let found: Vec<_> =
            found.iter().map(thing).filter(|thing| *thing != Thing::Removed).collect();
        let [_, added, removed] = self.allowed().map(|allowed| allowed == found);
        let removing = std::mem::take(&mut self.removing);
        let things = std::mem::take(&mut self.uncertain);
        if removed && !added {
            self.groups.retain(|group| !removing.contains(&group.segment));
        }
        if (added || removed) && !things.is_empty() {
            self.push(Promised { segment, things });
        }
    }

    /// Whether all files that a group names without bringing them are there.
    fn has_named(&self, group: &Group) -> bool {
        let promised = self.promised();
        let mut named = group.named.iter();
        named.all(|(address, length)| promised.contains(&Thing::Block(*address, *length)))
    }

    fn has_failed(&self) -> bool {
        !self.uncertain.is_empty() || !self.removing.is_empty()
    }

    fn push(&mut self, promised: Promised) {
        self.durable += 1;
        if let Some(here) = &mut self.here {
            here.take(&promised.things);
        }
        self.groups.push(promised);
    }

    fn acknowledged(&mut self, group: &Group, committed: &Committed) {
        let promised = Promised { segment: committed.segment, things: things(group) };
        self.push(promised);
        self.groups.retain(|group| !committed.removed.contains(&group.segment));
    }

    /// Does a step on a disk that is open, and notes what is promised. False if a node would not go on with what follows.
    fn step(&mut self, fs: &SimFs, disk: &Disk<SimFs>, step: &Step) -> bool {
        let newest = fs.paths("log/").pop();
        match step {
            Step::Write { draft, first, chunks, leaves } => {
                return disk.write(*draft, *first, chunks, leaves).is_ok();
            }
            Step::Finish { draft, length, leaves } => {
                return disk.finish(*draft, *length, leaves).is_ok();
            }
            Step::Discard(draft) => disk.discard(*draft),
            // Nobody writes anew what is not there.
            Step::Commit(group) if !self.has_named(group) => {}
            Step::Commit(group) => match disk.commit(group) {
                Ok(committed) => self.acknowledged(group, &committed),
                Err(DiskError::Full | DiskError::Scarce(_)) => {}
                // The first is the last that is tried.
                Err(DiskError::Failed(_)) if !self.has_failed() => {
                    self.uncertain = things(group);
                    // That to which the log is written stays.
                    let may_go = |number: &&u32| newest != Some(format!("log/{number:08}.seg"));
                    self.removing = group.removed.iter().filter(may_go).copied().collect();
                }
                Err(DiskError::Failed(_)) => {}
            },
            Step::WritePeers(text) => drop(disk.write_peers(text)),
            Step::MadeGood(damage) => drop(disk.made_good(damage)),
            Step::IndexSegment(segment) => disk.index_segment(*segment),
            Step::Restart { .. } | Step::Full(_) => {}
        }
        true
    }
}

#[derive(Default)]
struct Recording {
    steps: Vec<Step>,
    groups: usize,
}

impl Recording {
    fn hear(&mut self, heard: Heard<'_>) {
        match heard {
            Heard::Job(job) => self.steps.extend(step_of(job)),
            Heard::Done(Done::Committed { result: Ok(_) }) => self.groups += 1,
            Heard::Done(_) => {}
        }
    }
}

/// What the disk is asked to do, if that changes it.
fn step_of(job: &Job) -> Option<Step> {
    Some(match job {
        Job::Write { draft, first, chunks, leaves, .. } => Step::Write {
            draft: *draft,
            first: *first,
            chunks: chunks.clone(),
            leaves: Arc::clone(leaves),
        },
        Job::Finish { draft, length, leaves, .. } => {
            Step::Finish { draft: *draft, length: *length, leaves: Arc::clone(leaves) }
        }
        Job::Discard { draft } => Step::Discard(*draft),
        Job::Commit { group } => Step::Commit(group.as_ref().clone()),
        Job::WritePeers { text } => Step::WritePeers(text.clone()),
        Job::MadeGood { damage } => Step::MadeGood(*damage),
        Job::IndexSegment { segment } => Step::IndexSegment(*segment),
        Job::ReadLeaves { .. }
        | Job::ReadLog { .. }
        | Job::ReadNames(_)
        | Job::ListItems { .. }
        | Job::Free
        | Job::ReadItems { .. }
        | Job::Verify { .. }
        | Job::ListBlocks { .. }
        | Job::Space
        | Job::Check { .. }
        | Job::HashSmall { .. } => return None,
    })
}
