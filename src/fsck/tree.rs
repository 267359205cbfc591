//! The tree of block files: which of them no group names.
//!
//! Invariant: an orphan is called good only after all of it was hashed.

use super::finding::Report;
use super::inventory::Inventory;
use super::names;
use crate::ids::Address;
use crate::store::OpenError;
use crate::store::block_file;
use crate::store::blocks::{self, ReadFault, retry_once};
use crate::store::error::failed;
use crate::store::fs::FileSystem;
use crate::store::layout;
use std::collections::BTreeSet;

/// A file of the tree that the log does not name.
#[derive(Debug)]
pub(super) enum Orphan {
    /// A whole block of this length.
    Good(Address, u32),
    /// It has a block's name and is no good block.
    Bad(Address),
    /// It has no block's name.
    Foreign(String),
}

/// Tells of files that no group names.
pub(super) fn look_for_orphans<F: FileSystem>(
    fs: &F,
    inventory: &Inventory,
    wanted: &BTreeSet<Address>,
    report: &mut Report<'_>,
) -> Result<(), OpenError> {
    // What is held and bad was told of already.
    let was_told = |at: &Address| is_good(fs, at).is_ok_and(|good| good.is_none());
    let is_named = |at: &Address| inventory.has_file(at) || inventory.is_lost(at) && was_told(at);
    let (mut spare, mut bad) = (0_u64, 0_u64);
    for path in block_paths(fs)? {
        match orphan(fs, path, is_named)? {
            None => {}
            Some(Orphan::Foreign(path)) => report.foreign(path),
            Some(Orphan::Bad(_)) => bad += 1,
            Some(Orphan::Good(address, _)) if wanted.contains(&address) => report.note(
                layout::block(&address),
                "a good block that a record needs and no group names".to_owned(),
                "the node does not know that it has it, and would fetch it",
                "`dfsd check --rebuild` takes it in",
            ),
            Some(Orphan::Good(..)) => spare += 1,
        }
    }
    tell_of_spares(spare, bad, report);
    Ok(())
}

fn tell_of_spares(spare: u64, bad: u64, report: &mut Report<'_>) {
    if spare > 0 {
        report.note(
            "blocks/".to_owned(),
            format!("{spare} good block files that no group names"),
            "left by puts that were never acknowledged, or named by what the log has lost",
            "`dfsd check --rebuild` takes them in if the log has gaps, and puts them aside if not",
        );
    }
    if bad > 0 {
        report.note(
            "blocks/".to_owned(),
            format!("{bad} block files that no group names, and that are bad"),
            "nothing: nobody relies on them",
            "`dfsd check --rebuild` puts them aside",
        );
    }
}

/// Whether there is anything.
pub(super) fn has_blocks<F: FileSystem>(fs: &F) -> Result<bool, OpenError> {
    Ok(block_paths(fs)?.next().is_some())
}

/// All files two folders below `blocks/`, and whatever else is on the way. One folder's names are kept at a time.
pub(super) fn block_paths<F: FileSystem>(
    fs: &F,
) -> Result<impl Iterator<Item = String> + use<F>, OpenError> {
    let mut paths = Vec::new();
    for upper in names(fs, layout::BLOCKS)? {
        let upper = format!("{}/{upper}", layout::BLOCKS);
        let below = names(fs, &upper)?;
        if below.is_empty()
            && fs
                .open(&upper)
                .and_then(|file| fs.length(&file))
                .is_ok_and(|_| !is_folder(fs, &upper))
        {
            paths.push(upper);
            continue;
        }
        for lower in below {
            let lower = format!("{upper}/{lower}");
            if is_folder(fs, &lower) {
                paths.extend(names(fs, &lower)?.into_iter().map(|name| format!("{lower}/{name}")));
            } else {
                paths.push(lower);
            }
        }
    }
    Ok(paths.into_iter())
}

fn is_folder<F: FileSystem>(fs: &F, path: &str) -> bool {
    fs.list(path).is_ok()
}

/// What a file of the tree is, unless the log names it.
pub(super) fn orphan<F: FileSystem>(
    fs: &F,
    path: String,
    is_named: impl Fn(&Address) -> bool,
) -> Result<Option<Orphan>, OpenError> {
    let name = path.rsplit('/').next().unwrap_or(&path);
    let address = name.parse().ok().filter(|address| layout::block(address) == path);
    let Some(address) = address else {
        return Ok(Some(Orphan::Foreign(path)));
    };
    if is_named(&address) {
        return Ok(None);
    }
    let good = is_good(fs, &address)?;
    Ok(Some(good.map_or(Orphan::Bad(address), |length| Orphan::Good(address, length))))
}

/// The length of a block whose file is good.
fn is_good<F: FileSystem>(fs: &F, address: &Address) -> Result<Option<u32>, OpenError> {
    let verify = |length| blocks::verify(fs, address, length, &mut Vec::new()).map(|()| length);
    match retry_once(|| stated_length(fs, address).and_then(verify)) {
        Ok(length) => Ok(Some(length)),
        Err(ReadFault::Gone | ReadFault::Damaged) => Ok(None),
        Err(ReadFault::Io(error)) => Err(failed("reading", &layout::block(address), &error).into()),
    }
}

fn stated_length<F: FileSystem>(fs: &F, address: &Address) -> Result<u32, ReadFault> {
    let file = fs.open(&layout::block(address))?;
    let trailer = block_file::TRAILER as u64;
    let at = fs.length(&file)?.checked_sub(trailer).ok_or(ReadFault::Damaged)?;
    let mut bytes = [0; block_file::TRAILER];
    fs.read_at(&file, at, &mut bytes)?;
    Ok(block_file::stated_length(&bytes))
}
