//! Layout: the only place that builds or reads a path below the data folder.
//!
//! Knows no file system. Invariant: a path comes from numbers and hex digits only, never from foreign text.

use crate::ids::Address;
use crate::store::values::Draft;

/// Folders made at every start.
pub(crate) const FOLDERS: [&str; 5] = [BLOCKS, "cache", QUARANTINE, TMP, LOG];
/// The tree of block files.
pub(crate) const BLOCKS: &str = "blocks";
/// Where the segments are.
pub(crate) const LOG: &str = "log";
/// What is being written; emptied at every start.
pub(crate) const TMP: &str = "tmp";
/// What turned out to be bad.
pub(crate) const QUARANTINE: &str = "quarantine";
/// Held for as long as a process has the folder.
pub(crate) const LOCK: &str = "lock";
/// The nodes last seen.
pub(crate) const PEERS: &str = "peers";
/// The same, half written.
pub(crate) const PEERS_DRAFT: &str = "tmp/peers";
/// By which a start knows that damage of the log was made good.
pub(crate) const MADE_GOOD: &str = "made-good";
/// The same, half written.
pub(crate) const MADE_GOOD_DRAFT: &str = "tmp/made-good";

/// Where a block is being written.
pub(crate) fn draft(draft: Draft) -> String {
    format!("{TMP}/{draft:016x}")
}

/// Something in `tmp/`, as `list` named it.
pub(crate) fn leftover(name: &str) -> String {
    format!("{TMP}/{name}")
}

/// Where something in `tmp/` is out of the way; `None` if it is there already.
pub(crate) fn apart(name: &str) -> Option<String> {
    const APART: &str = "left-alone-";
    (!name.starts_with(APART)).then(|| format!("{TMP}/{APART}{name}"))
}

/// A block's place in the tree.
pub(crate) fn block(address: &Address) -> String {
    let [.., folder] = shard(address);
    format!("{folder}/{address}")
}

/// The folders above a block, the upper one first.
pub(crate) fn shard(address: &Address) -> [String; 2] {
    let [first, second, ..] = address.0;
    [format!("blocks/{first:02x}"), format!("blocks/{first:02x}/{second:02x}")]
}

/// The folder of all blocks whose addresses begin so.
pub(crate) fn block_folder(prefix: &[u8]) -> String {
    prefix.iter().fold(BLOCKS.to_owned(), |path, byte| format!("{path}/{byte:02x}"))
}

/// What something in such a folder is by its name: a folder below it, or a block.
pub(crate) fn in_block_folder(prefix: &[u8], name: &str) -> Option<InBlockFolder> {
    let mut bytes = [0; 32];
    let bytes = base16ct::lower::decode(name, &mut bytes).ok()?;
    if let [byte] = bytes {
        let folder = [prefix, &[*byte]].concat();
        return (folder.len() <= 2).then_some(InBlockFolder::Folder(folder));
    }
    let address = Address(bytes.try_into().ok()?);
    let is_there = prefix.len() == 2 && address.0.starts_with(prefix);
    is_there.then_some(InBlockFolder::Block(address))
}

/// See `in_block_folder`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InBlockFolder {
    Folder(Vec<u8>),
    Block(Address),
}

/// Where a bad block goes.
pub(crate) fn bad_block(address: &Address) -> String {
    format!("{QUARANTINE}/{address}")
}

/// A segment of the log.
pub(crate) fn segment(number: u32) -> String {
    format!("{LOG}/{number:08}.seg")
}

/// Where a segment goes that cannot be read at all.
pub(crate) fn bad_segment(number: u32) -> String {
    format!("{QUARANTINE}/{number:08}.seg")
}

/// Where a copy of damaged bytes of a segment goes.
pub(crate) fn bad_range(number: u32, offset: u64) -> String {
    format!("{QUARANTINE}/{number:08}.seg-{offset}")
}

/// The number of a segment's file; `None` for any other file.
pub(crate) fn segment_number(name: &str) -> Option<u32> {
    let number = name.strip_suffix(".seg")?.parse().ok()?;
    (segment(number).strip_prefix("log/") == Some(name)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_lies_below_two_folders_of_its_first_digits() {
        let address = Address([0xab; 32]);
        assert_eq!(block(&address), format!("blocks/ab/ab/{}", "ab".repeat(32)));
        assert_eq!(shard(&address), ["blocks/ab", "blocks/ab/ab"]);
    }

    #[test]
    fn in_a_folder_of_blocks_are_folders_and_at_the_end_blocks() {
        let address = Address([0xab; 32]);
        let (block, folder) =
            ("ab".repeat(32), |bytes: &[u8]| InBlockFolder::Folder(bytes.to_vec()));
        assert_eq!(block_folder(&[]), BLOCKS);
        assert_eq!(format!("{}/{block}", block_folder(&[0xab, 0xab])), super::block(&address));
        for (prefix, name, expected) in [
            (&[][..], "0a", Some(folder(&[0x0a]))),
            (&[7], "ff", Some(folder(&[7, 0xff]))),
            (&[7, 8], "ff", None),
            (&[0xab, 0xab], &block, Some(InBlockFolder::Block(address))),
            (&[0xab, 0xac], &block, None),
            (&[0xab], &block, None),
            (&[], "AB", None),
            (&[], "a", None),
            (&[0xab, 0xab], "readme", None),
        ] {
            assert_eq!(in_block_folder(prefix, name), expected, "{name}");
        }
    }

    #[test]
    fn only_a_segments_own_name_is_read_as_one() {
        assert_eq!(segment(17), "log/00000017.seg");
        for (name, number) in [
            ("00000017.seg", Some(17)),
            ("4294967295.seg", Some(u32::MAX)),
            ("17.seg", None),
            ("+0000017.seg", None),
            ("00000017.seg~", None),
            ("00000017", None),
            ("99999999999.seg", None),
        ] {
            assert_eq!(segment_number(name), number, "{name}");
        }
    }
}
