//! What the log names: blocks and pages are hashed, records are read and their signatures verified.
//!
//! Invariant: one block, page or record is in memory at a time.

use super::{Check, Finding, Grade};
use crate::crypto::tree;
use crate::ids::{Address, RecordId};
use crate::store::block_file;
use crate::store::blocks::{self, Trouble, twice};
use crate::store::error::failed;
use crate::store::fs::{FileSystem, Reader};
use crate::store::layout;
use crate::store::records;
use crate::store::recover::OpenError;
use crate::store::values::{BlockPlace, LogPlace};
use crate::wire::page::{Entries, Page};
use crate::wire::record::{BlockList, Record};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

const AGAIN: &str = "run `dfsd check --rebuild`, then start dfsd: it fetches them from its peers";
const BAD_RECORD: &str = "peers refuse it; keep the folder, and restore this node by wiping `log/` and `blocks/` \
                          and starting it beside its peers";

impl<F: FileSystem> Check<'_, F> {
    /// Hashes every block and page that the log says is here.
    pub(super) fn verify_held(&mut self) -> Result<(), OpenError> {
        let blocks: Vec<_> =
            self.inventory.blocks.iter().map(|(at, place)| (*at, *place)).collect();
        let mut buffer = Vec::new();
        for (address, place) in blocks {
            self.summary.blocks += 1;
            let bad = match place {
                BlockPlace::Tree { length } => self.verify_file(&address, length, &mut buffer)?,
                BlockPlace::Log(place) => self.verify_item(&address, place, "small block")?,
            };
            if bad {
                self.inventory.blocks.remove(&address);
                self.inventory.lost.insert(address);
            }
        }
        let pages: Vec<_> = self.inventory.pages.iter().map(|(at, place)| (*at, *place)).collect();
        for (address, place) in pages {
            self.summary.pages += 1;
            if self.verify_item(&address, place, "page")? {
                self.inventory.pages.remove(&address);
                self.inventory.lost.insert(address);
            }
        }
        Ok(())
    }

    fn verify_file(
        &mut self,
        address: &Address,
        length: u32,
        buffer: &mut Vec<u8>,
    ) -> Result<bool, OpenError> {
        let path = layout::block(address);
        let what = match twice(|| blocks::verify(self.fs, address, length, buffer)) {
            Ok(()) => {
                self.summary.bytes += u64::from(length);
                self.advance(u64::from(length));
                return Ok(false);
            }
            Err(Trouble::Gone) => "missing, and the log says that it is here".to_owned(),
            Err(Trouble::Damaged) => self.diagnose(&path, address, length, buffer),
            Err(Trouble::Io(error)) => return Err(failed("reading", &path, &error).into()),
        };
        self.damage(path, what, "the files that need this block can't be read from here", AGAIN);
        Ok(true)
    }

    /// Which part of a bad block file is bad.
    fn diagnose(&self, path: &str, address: &Address, length: u32, data: &mut [u8]) -> String {
        let leaves = block_file::leaf_count(length).unwrap_or(0);
        let foot_length = block_file::foot_length(leaves);
        let expected = u64::from(length) + foot_length as u64;
        let Ok(file) = self.fs.open(path) else {
            return "it can't be read".to_owned();
        };
        let found = self.fs.length(&file).unwrap_or(0);
        if found != expected {
            return format!("{found} bytes long, and should be {expected}");
        }
        let mut foot = vec![0; foot_length];
        let read = self.fs.read_at(&file, u64::from(length), &mut foot);
        let sound = read.ok().and_then(|_| block_file::parse(&foot, length, address));
        let Some(sound) = sound else {
            return "the leaf hashes or the trailer at its end are bad".to_owned();
        };
        let read = self.fs.read_at(&file, 0, data);
        let found = tree::leaf_hashes(data);
        let bad = sound.iter().zip(&found).position(|(sound, found)| sound != found);
        match (read, bad) {
            (Ok(_), Some(leaf)) => {
                format!("its content is not what its name says: leaf {leaf} of {leaves} is bad")
            }
            (_, _) => "its content can't be read".to_owned(),
        }
    }

    fn verify_item(
        &mut self,
        address: &Address,
        place: LogPlace,
        kind: &str,
    ) -> Result<bool, OpenError> {
        let path = layout::segment(place.segment);
        let bytes = match self.read_item(place)? {
            Some((id, bytes)) if id == address.0 && tree::tree(&bytes).0 == id => bytes,
            Some(_) | None => {
                let what =
                    format!("{kind} {address} at {} is not what its name says", place.offset);
                self.damage(path, what, "the files that need it can't be read from here", AGAIN);
                return Ok(true);
            }
        };
        if kind == "page" && Page::decode(&bytes).is_err() {
            let what = format!("page {address} at {} is no page", place.offset);
            self.damage(path, what, "the files that need it can't be read from here", AGAIN);
            return Ok(true);
        }
        self.summary.bytes += bytes.len() as u64;
        Ok(false)
    }

    fn read_item(&self, place: LogPlace) -> Result<Option<([u8; 32], Bytes)>, OpenError> {
        let path = layout::segment(place.segment);
        match twice(|| blocks::read_item(&Reader::patient(self.fs), &self.fs.open(&path)?, place)) {
            Ok(item) => Ok(Some(item)),
            Err(Trouble::Gone | Trouble::Damaged) => Ok(None),
            Err(Trouble::Io(error)) => Err(failed("reading", &path, &error).into()),
        }
    }

    /// Reads every record. The answer is what they need that is not here.
    pub(super) fn read_records(&mut self) -> Result<BTreeSet<Address>, OpenError> {
        let records: Vec<_> =
            self.inventory.records.iter().map(|(id, place)| (*id, *place)).collect();
        let mut signers: BTreeMap<[u8; 32], (u64, String)> = BTreeMap::new();
        let mut granted: BTreeSet<[u8; 32]> = self.known.root.into_iter().collect();
        let mut wanted = BTreeSet::new();
        for (id, place) in records {
            self.summary.records += 1;
            let Some(record) = self.read_record(&id, place)? else {
                continue;
            };
            granted.extend((self.known.granted)(&record));
            let path = layout::segment(place.segment);
            signers.entry(record.signer).or_insert((0, path)).0 += 1;
            self.look_for_blocks(&record, &mut wanted)?;
        }
        if self.known.root.is_some() {
            signers.retain(|signer, _| !granted.contains(signer));
            for (count, path) in signers.into_values() {
                self.note(
                    path,
                    format!("{count} records are signed by a key whose grant is not here"),
                    "they are kept and passed on; the grant may yet come from a peer",
                    "nothing, unless it is still so when the node has talked with its peers",
                );
            }
        }
        Ok(wanted)
    }

    /// The record, if it is good.
    fn read_record(&mut self, id: &RecordId, place: LogPlace) -> Result<Option<Record>, OpenError> {
        let what = match self.read_item(place)? {
            None => "can't be read",
            Some((_, bytes)) => match records::verify(id, &bytes) {
                Ok(record) => return Ok(Some(record)),
                Err(what) => what,
            },
        };
        let path = layout::segment(place.segment);
        let what = format!("record {id} at {} {what}", place.offset);
        self.damage(path, what, "what it states is not known here", BAD_RECORD);
        Ok(None)
    }

    fn look_for_blocks(
        &mut self,
        record: &Record,
        wanted: &mut BTreeSet<Address>,
    ) -> Result<(), OpenError> {
        let mut needed = BTreeSet::new();
        match &record.blocks {
            BlockList::Inline(blocks) => needed.extend(
                blocks.iter().map(|block| block.address).filter(|at| !self.inventory.has_block(at)),
            ),
            BlockList::Pages { root, depth, .. } => self.look_below(*root, *depth, &mut needed)?,
        }
        if needed.is_empty() {
            return Ok(());
        }
        let lost = needed.iter().filter(|address| self.inventory.lost.contains(address)).count();
        let name = (self.known.name)(record);
        let path = name.unwrap_or_else(|| format!("the file of name id {}", record.name));
        let count = needed.len();
        let version = record.version;
        if lost > 0 {
            self.tell(Finding {
                grade: Grade::Missing,
                path,
                what: format!("version {version}: {count} of its blocks or pages are not here, {lost} were lost"),
                means: "it can be read from here only when a peer is there that has them",
                advice: "start dfsd: it fetches them from a peer that has them",
            });
        } else {
            let what =
                format!("version {version}: {count} of its blocks or pages are not here yet");
            let advice = "nothing: they are fetched from peers when the daemon runs";
            // What a damaged place held is not known.
            let means = match self.summary.damaged {
                0 => "normal for a node that had not caught up with its peers",
                _ => "they were where the damage is, or this node had not caught up with its peers",
            };
            self.note(path, what, means, advice);
        }
        wanted.extend(needed);
        Ok(())
    }

    /// Pages and blocks below a page that are not here. Depth is bounded by the record's own.
    fn look_below(
        &self,
        page: Address,
        depth: u8,
        needed: &mut BTreeSet<Address>,
    ) -> Result<(), OpenError> {
        let held = match self.inventory.pages.get(&page) {
            Some(place) => self.read_item(*place)?,
            None => None,
        };
        match held.and_then(|(_, bytes)| Page::decode(&bytes).ok()).map(|page| page.entries) {
            Some(Entries::Blocks(blocks)) => needed.extend(
                blocks.iter().map(|block| block.address).filter(|at| !self.inventory.has_block(at)),
            ),
            Some(Entries::Pages { pages, .. }) if depth > 1 => {
                for below in pages {
                    self.look_below(below.address, depth - 1, needed)?;
                }
            }
            Some(Entries::Pages { .. }) | None => {
                needed.insert(page);
            }
        }
        Ok(())
    }
}
