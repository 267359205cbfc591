//! Outlines: of a record all that it says in clear, as the index of a segment keeps it.
//!
//! What most records of a network have in common stands only where it is not that of the outline before. Knows no key.
//! Invariant: what is read back keeps every rule that a record keeps; it has no sealed part, and nobody has signed it.

use super::Malformed;
use super::cursor::{Field, Reader, put_list};
use super::record::{Record, RecordKind};
use crate::ids::Space;
use crate::limits::{EXTENSIONS_MAX, PARENTS_MAX};

/// What most records have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Common {
    format: u8,
    space: Space,
    epoch: u32,
    signer: [u8; 32],
}

/// What the outline before had of it, if there was one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Before(Option<Common>);

/// Whether the outline has what the one before it had.
const SAME: u8 = 0;
const OTHER: u8 = 1;

/// Appends the outline of a record.
pub(crate) fn put(record: &Record, before: &mut Before, out: &mut Vec<u8>) {
    let Record { format, space, epoch, signer, .. } = *record;
    let common = Common { format, space, epoch, signer };
    if before.0 == Some(common) {
        out.push(SAME);
    } else {
        out.push(OTHER);
        format.put(out);
        space.put(out);
        epoch.put(out);
        signer.put(out);
        before.0 = Some(common);
    }
    record.kind.put(out);
    record.name.put(out);
    record.version.put(out);
    put_list(&record.parents, PARENTS_MAX, out);
    record.blocks.put(out);
    put_list(&record.extensions, EXTENSIONS_MAX, out);
}

/// The record of an outline.
pub(crate) fn take(from: &mut Reader<'_>, before: &mut Before) -> Result<Record, Malformed> {
    match u8::take(from)? {
        SAME => {}
        OTHER => {
            let (format, space) = (Field::take(from)?, Field::take(from)?);
            let (epoch, signer) = (Field::take(from)?, Field::take(from)?);
            before.0 = Some(Common { format, space, epoch, signer });
        }
        _ => return Err(Malformed("an unknown form of outline")),
    }
    let Common { format, space, epoch, signer } =
        before.0.ok_or(Malformed("an outline that begins with the one before it"))?;
    let kind: RecordKind = Field::take(from)?;
    let (name, version) = (Field::take(from)?, Field::take(from)?);
    let parents = from.list(PARENTS_MAX)?;
    let blocks = Field::take(from)?;
    let extensions = from.list(EXTENSIONS_MAX)?;
    let bare = Record::unsigned(kind, name, version);
    let record = Record { format, space, epoch, signer, parents, blocks, extensions, ..bare };
    record.keep_rules()?;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Address, NameId, VersionId, Writer};
    use crate::wire::discards::discarding;
    use crate::wire::message::BlockRef;
    use crate::wire::record::BlockList;

    fn record(stamp: u64, epoch: u32) -> Record {
        let version = |stamp| VersionId { stamp, writer: Writer([1; 8]) };
        let bare = Record::unsigned(RecordKind::File, NameId([7; 32]), version(stamp));
        let block = BlockRef { address: Address([5; 32]), length: 9 };
        Record {
            parents: vec![version(stamp - 1)],
            epoch,
            signer: [3; 32],
            blocks: BlockList::Inline(vec![block; 2]),
            extensions: discarding(&[version(stamp + 1)]).into_iter().collect(),
            ..bare
        }
    }

    #[test]
    fn outlines_read_back_without_what_is_sealed_and_signed() {
        let records = [record(9, 1), record(10, 1), record(11, 2)];
        let (mut bytes, mut before) = (Vec::new(), Before::default());
        let mut lengths = Vec::new();
        for record in &records {
            let start = bytes.len();
            let whole = Record {
                sealed: vec![8; 200],
                sealed_tag: [8; 32],
                signature: [8; 64],
                ..record.clone()
            };
            put(&whole, &mut before, &mut bytes);
            lengths.push(bytes.len() - start);
        }
        assert_eq!([lengths[0] - lengths[1], lengths[2] - lengths[1]], [53, 53]);
        let (mut from, mut before) = (Reader::new(&bytes), Before::default());
        for record in &records {
            assert_eq!(take(&mut from, &mut before).as_ref(), Ok(record));
        }
        assert!(from.is_empty());
        let mut second = Reader::new(&bytes[lengths[0]..]);
        assert!(take(&mut second, &mut Before::default()).is_err(), "the first one says all");
        for length in 0..lengths[0] {
            let cut = take(&mut Reader::new(&bytes[..length]), &mut Before::default());
            assert!(cut.is_err(), "cut at {length}");
        }
    }

    #[test]
    fn an_outline_keeps_the_rules_of_records() {
        let (mut bytes, bad) = (Vec::new(), Record { kind: RecordKind::Tombstone, ..record(9, 1) });
        put(&bad, &mut Before::default(), &mut bytes);
        assert!(take(&mut Reader::new(&bytes), &mut Before::default()).is_err());
    }
}
