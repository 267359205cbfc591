//! The check of a store that nobody has open: what is wrong in its folder, said item by item.
//!
//! `log` reads the segments, `items` hashes blocks and pages and reads records, `tree` looks for files that the log
//! does not name; `rebuild` mends. Knows no key: what a record's name is, and which keys may sign, it is told.
//! Invariant: `check` changes no byte; what it keeps in memory are tables of ids, and of contents only records that stand
//! in damaged bytes, as far as `REMAINS_MAX`.

mod items;
mod log;
mod rebuild;
mod tree;

pub use rebuild::rebuild;

use crate::ids::{Address, RecordId};
use crate::store::error::failed;
use crate::store::fs::FileSystem;
use crate::store::layout;
use crate::store::records;
use crate::store::recover::OpenError;
use crate::store::values::{BlockPlace, Found, LogPlace, Remains};
use crate::wire::record::Record;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Worth knowing; nothing is wrong.
    Note,
    /// A rebuild has done something.
    Mended,
    /// It was lost, which the log says, and has not come again.
    Missing,
    /// Bytes are not what was stored.
    Damage,
}

impl Grade {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Mended => "mended",
            Self::Missing => "missing",
            Self::Damage => "damage",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// The file, below the data folder; or the stored file's name.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What that means for the data.
    pub means: &'static str,
    /// What to do.
    pub advice: &'static str,
}

/// What a check tells while it goes on.
#[derive(Debug)]
pub enum Event {
    /// Something was found.
    Found(Finding),
    /// So many bytes more have been read.
    Bytes(u64),
}

/// What a check was told about records.
pub struct Known<'a> {
    /// The key of the network's root, if it is known.
    pub root: Option<[u8; 32]>,
    /// The key that a record lets write.
    pub granted: &'a dyn Fn(&Record) -> Option<[u8; 32]>,
    /// The name that a record is about, for who can open it.
    pub name: &'a dyn Fn(&Record) -> Option<String>,
}

/// What was looked at, and how much of it was bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Segments of the log.
    pub segments: u64,
    /// Good groups in them.
    pub groups: u64,
    /// Records.
    pub records: u64,
    /// Pages.
    pub pages: u64,
    /// Blocks.
    pub blocks: u64,
    /// Bytes of blocks and pages that were hashed.
    pub bytes: u64,
    /// Findings of `Grade::Damage`.
    pub damaged: u64,
    /// Findings of `Grade::Missing`.
    pub missing: u64,
    /// Findings of `Grade::Mended`.
    pub mended: u64,
    /// Something that the log held is gone with a part of it, now or earlier.
    pub log_has_gaps: bool,
}

impl Summary {
    /// Nothing is wrong, and nothing that was lost has yet to come.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damaged == 0 && self.missing == 0
    }
}

/// Checks the store below `fs`, which no process may have open, and reports what it finds.
///
/// # Errors
/// `Locked`, and whatever kept it from reading.
pub fn check<F: FileSystem>(
    fs: &F,
    known: &Known<'_>,
    report: &mut dyn FnMut(Event),
) -> Result<Summary, OpenError> {
    let locked = fs.lock(layout::LOCK);
    if !locked.map_err(|error| failed("locking", layout::LOCK, &error))? {
        return Err(OpenError::Locked);
    }
    look(fs, known, report)
}

/// The check of a folder that this process has taken.
fn look<F: FileSystem>(
    fs: &F,
    known: &Known<'_>,
    report: &mut dyn FnMut(Event),
) -> Result<Summary, OpenError> {
    let mut check =
        Check { fs, known, report, inventory: Inventory::default(), summary: Summary::default() };
    check.read_log()?;
    check.verify_held()?;
    let wanted = check.read_records()?;
    check.look_for_orphans(&wanted)?;
    check.look_aside()?;
    Ok(check.summary)
}

/// What the log says is here.
#[derive(Debug, Default)]
struct Inventory {
    blocks: BTreeMap<Address, BlockPlace>,
    pages: BTreeMap<Address, LogPlace>,
    records: BTreeMap<RecordId, LogPlace>,
    /// Held once, said to be lost since or rotten, and not had again.
    lost: BTreeSet<Address>,
}

impl Inventory {
    fn take(&mut self, found: &Found) {
        match found {
            Found::Record(id, place, _) => {
                self.records.entry(*id).or_insert(*place);
            }
            Found::Page(address, place, _) => {
                self.lost.remove(address);
                self.pages.insert(*address, *place);
            }
            Found::Block(address, place) => {
                self.lost.remove(address);
                self.blocks.insert(*address, *place);
            }
            Found::Lost(address) => {
                let block = self.blocks.remove(address).is_some();
                let page = self.pages.remove(address).is_some();
                if block || page {
                    self.lost.insert(*address);
                }
            }
        }
    }

    /// What is left in damaged bytes, once all that is whole was taken.
    fn take_remains(&mut self, remains: &[Remains], rotten: &[Address]) {
        for Remains { id, bytes, place, .. } in remains {
            if let (Some(place), Ok(_)) = (place, records::verify(id, bytes)) {
                self.records.entry(*id).or_insert(*place);
            }
        }
        let is_here = |at: &&Address| self.blocks.contains_key(at) || self.pages.contains_key(at);
        self.lost.extend(rotten.iter().filter(|at| !is_here(at)));
    }

    fn has_block(&self, address: &Address) -> bool {
        self.blocks.contains_key(address)
    }

    fn has_file(&self, address: &Address) -> bool {
        matches!(self.blocks.get(address), Some(BlockPlace::Tree { .. }))
    }
}

struct Check<'a, F> {
    fs: &'a F,
    known: &'a Known<'a>,
    report: &'a mut dyn FnMut(Event),
    inventory: Inventory,
    summary: Summary,
}

impl<F: FileSystem> Check<'_, F> {
    fn tell(&mut self, finding: Finding) {
        match finding.grade {
            Grade::Damage => self.summary.damaged += 1,
            Grade::Missing => self.summary.missing += 1,
            Grade::Mended => self.summary.mended += 1,
            Grade::Note => {}
        }
        (self.report)(Event::Found(finding));
    }

    fn note(&mut self, path: String, what: String, means: &'static str, advice: &'static str) {
        self.tell(Finding { grade: Grade::Note, path, what, means, advice });
    }

    fn damage(&mut self, path: String, what: String, means: &'static str, advice: &'static str) {
        self.tell(Finding { grade: Grade::Damage, path, what, means, advice });
    }

    fn advance(&mut self, bytes: u64) {
        (self.report)(Event::Bytes(bytes));
    }

    /// The names in a folder, in order; none if it is not there.
    fn names(&self, folder: &str) -> Result<Vec<String>, OpenError> {
        names(self.fs, folder)
    }

    /// What lies in `tmp/` and `quarantine/`.
    fn look_aside(&mut self) -> Result<(), OpenError> {
        let left = self.names(layout::TMP)?.len();
        if left > 0 {
            self.note(
                format!("{}/", layout::TMP),
                format!("{left} unfinished files"),
                "nothing: none of it was ever acknowledged",
                "nothing: the next start removes them",
            );
        }
        let aside = self.names(layout::QUARANTINE)?.len();
        if aside > 0 {
            self.note(
                format!("{}/", layout::QUARANTINE),
                format!("{aside} files that an earlier run found bad and put aside"),
                "they serve nobody and take up room",
                "remove them once `dfs verify` finds nothing missing",
            );
        }
        Ok(())
    }
}

/// The names in a folder, in order; none if it is not there.
fn names<F: FileSystem>(fs: &F, folder: &str) -> Result<Vec<String>, OpenError> {
    match fs.list(folder) {
        Ok(mut names) => {
            names.sort_unstable();
            Ok(names)
        }
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(failed("listing", folder, &error).into()),
    }
}
