//! Rebuilding: the folder is brought to a state from which a start recovers all that can be read, and fetches the rest.
//!
//! It makes the steps that the daemon makes: recovery, then commits; so a power cut anywhere in it leaves what a power
//! cut leaves of a daemon. Invariant: nothing is deleted but what recovery deletes (`tmp/`, segments that hold nothing or are gone on purpose,
//! and the notes of missing segments that are there again);
//! what is bad or not needed goes to `quarantine/`; a block counts as held only after its file was hashed.

use super::finding::{Event, Finding, Grade, Known, Report, Summary};
use super::inventory::Inventory;
use super::tree::{Orphan, block_paths, orphan};
use super::{look, records};
use crate::ids::Address;
use crate::store::error::failed;
use crate::store::fs::FileSystem;
use crate::store::layout;
use crate::store::values::{BlockPlace, Group, LogEntry, RecoveryReport, Verified};
use crate::store::{Config, Disk, OpenError, open_whole};
use std::collections::BTreeSet;

/// Blocks and pages that are hashed, noted as lost or taken in at once.
const BATCH: usize = 512;

/// Mends what `found`, a check of this folder, has told of, and checks again. `entropy` is fresh.
///
/// # Errors
/// As `store::open`, and whatever the disk says. The folder can be checked again.
pub(crate) fn rebuild<F: FileSystem>(
    fs: F,
    config: Config,
    entropy: [u8; 16],
    known: &Known<'_>,
    found: &Summary,
    report: &mut dyn FnMut(Event),
) -> Result<Summary, OpenError> {
    let mut inventory = Inventory::default();
    let (disk, recovered) = open_whole(fs, config, entropy, |found| inventory.take(&found))?;
    let mut repaired = Tally { report, count: 0 };
    inventory.take_remains(&recovered.remains, &recovered.rotten);
    give_up(&disk, &recovered, &mut repaired)?;
    for note in recovered.notes {
        repaired.tell(format!("{}/", layout::LOG), note, "start dfsd");
    }
    let lost = drop_bad(&disk, &mut inventory, &mut repaired)?;
    // What it would say of records the check at the end says.
    let read = records::read(disk.file_system(), known, &inventory, &mut Report::new(&mut |_| {}))?;
    let wanted = Wanted { all: found.log_has_gaps, addresses: read.wanted };
    sweep(&disk, &wanted, &inventory, &mut repaired)?;
    let count = repaired.count;
    disk.witness_now()?;
    for segment in recovered.unindexed {
        disk.index_segment(segment);
    }
    let mut summary = look(disk.file_system(), known, repaired.report)?;
    summary.repaired = count;
    summary.log_has_gaps |= found.log_has_gaps || lost > 0;
    Ok(summary)
}

/// What nobody can decode is taken for gone: whoever asks for this knows of it, and peers give it back all the same.
fn give_up<F: FileSystem>(
    disk: &Disk<F>,
    recovered: &RecoveryReport,
    repaired: &mut Tally<'_>,
) -> Result<(), OpenError> {
    let damage = recovered.log_damage;
    if !damage.is_any() && recovered.remains.iter().all(|remains| remains.is_sound) {
        return Ok(());
    }
    disk.made_good(&recovered.damage)?;
    let what = "what cannot be decoded is given up: it counts as lost from now on".to_owned();
    repaired.tell(
        format!("{}/", layout::LOG),
        what,
        "start dfsd: what peers have of it comes from them",
    );
    Ok(())
}

struct Tally<'a> {
    report: &'a mut dyn FnMut(Event),
    count: u64,
}

impl Tally<'_> {
    fn tell(&mut self, path: String, what: String, advice: &'static str) {
        self.count += 1;
        let means = "the next start finds the folder in order";
        let finding = Finding { grade: Grade::Repaired, path, what, means, advice };
        (self.report)(Event::Found(finding));
    }
}

/// Blocks and pages that are bad or gone are noted as lost, so that a start fetches them.
fn drop_bad<F: FileSystem>(
    disk: &Disk<F>,
    inventory: &mut Inventory,
    repaired: &mut Tally<'_>,
) -> Result<usize, OpenError> {
    let pages = inventory.pages().into_iter();
    let pages = pages.map(|(address, place)| (address, BlockPlace::Log(place)));
    let held: Vec<_> = inventory.blocks().into_iter().chain(pages).collect();
    let mut lost = 0;
    for batch in held.chunks(BATCH) {
        let Verified { bad, bytes, .. } = disk.verify(batch);
        (repaired.report)(Event::Bytes(bytes));
        if bad.is_empty() {
            continue;
        }
        disk.commit(&Group { lost: bad.clone(), ..Group::default() })?;
        lost += bad.len();
        for address in bad {
            inventory.take(&LogEntry::Lost(address, 0));
            let what = "bad or gone: quarantined, and recorded as lost".to_owned();
            let advice = "start dfsd: it is fetched from a peer that has it";
            repaired.tell(layout::block(&address), what, advice);
        }
    }
    Ok(lost)
}

/// Which orphans may be needed: all, if the log has gaps, or those that records name.
struct Wanted {
    all: bool,
    addresses: BTreeSet<Address>,
}

impl Wanted {
    fn has(&self, address: &Address) -> bool {
        self.all || self.addresses.contains(address)
    }
}

/// Takes in the orphans that are needed, or may be, and puts the others aside.
fn sweep<F: FileSystem>(
    disk: &Disk<F>,
    wanted: &Wanted,
    inventory: &Inventory,
    repaired: &mut Tally<'_>,
) -> Result<(), OpenError> {
    let fs = disk.file_system();
    let mut adopted = Vec::new();
    for path in block_paths(fs)? {
        match orphan(fs, path, |address| inventory.has_file(address))? {
            None | Some(Orphan::Foreign(_)) => {}
            Some(Orphan::Good(address, length)) if wanted.has(&address) => {
                adopted.push((address, length));
                let what = "a good block that no group named: restored".to_owned();
                repaired.tell(layout::block(&address), what, "start dfsd");
            }
            Some(Orphan::Good(address, _) | Orphan::Bad(address)) => {
                set_aside(fs, &address)?;
                let what =
                    format!("no group and no record names it: now {}", layout::bad_block(&address));
                repaired.tell(layout::block(&address), what, "remove it if you like");
            }
        }
        if adopted.len() == BATCH {
            disk.reregister(&std::mem::take(&mut adopted))?;
        }
    }
    disk.reregister(&adopted)?;
    Ok(())
}

fn set_aside<F: FileSystem>(fs: &F, address: &Address) -> Result<(), OpenError> {
    let path = layout::block(address);
    let moved = fs.rename(&path, &layout::bad_block(address));
    Ok(moved.map_err(|error| failed("putting aside", &path, &error))?)
}
