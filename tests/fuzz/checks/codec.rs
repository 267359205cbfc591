//! Messages, records and pages: total, bounded and canonical.
//!
//! Knows no meaning. Invariant: every input goes through every decoder of its target.

use super::meter::within;
use dfsd::ids::{Address, Hash};
use dfsd::testing::formats;
use dfsd::wire::message::Message;
use dfsd::wire::page::Page;
use dfsd::wire::record::{FORMAT, FORMAT_OLDEST, Record, split_signature};
use dfsd::wire::sealed::{Sealed, decode_secrets, encode_secrets};

/// What was decoded gives the same bytes again.
pub(super) fn same(data: &[u8], encode: impl FnOnce(&mut Vec<u8>)) {
    let mut again = Vec::new();
    encode(&mut again);
    assert!(again == data, "not canonical: {again:02x?}");
}

pub(super) fn message(data: &[u8]) {
    if let Ok(message) = within(data.len(), || Message::decode(data)) {
        same(data, |out| message.encode(out));
    }
}

pub(super) fn record(data: &[u8]) {
    if let Ok(record) = within(data.len(), || Record::decode(data)) {
        same(data, |out| record.encode(out));
        let (signed, signature) = split_signature(data).expect("a record has a signature");
        assert!(record.signed_bytes() == signed && record.signature == *signature);
        assert!(data.starts_with(&record.public_bytes()));
        let (blocks, bytes) = record.blocks.totals();
        assert!(record.blocks.is_empty() == (blocks == 0) && bytes >= blocks);
    }
    if let Ok(sealed) = within(data.len(), || Sealed::decode(FORMAT, data)) {
        same(data, |out| sealed.encode(out));
    }
    let _ = within(data.len(), || Sealed::decode(FORMAT_OLDEST, data));
    if let Ok(secrets) = within(data.len(), || decode_secrets(data)) {
        same(data, |out| encode_secrets(&secrets, out));
    }
}

pub(super) fn page(data: &[u8]) {
    if let Ok(page) = within(data.len(), || Page::decode(data)) {
        same(data, |out| page.encode(out));
        let (blocks, bytes) = page.entries.totals();
        assert!(blocks >= page.entries.count() as u64 && bytes >= blocks);
    }
    if let Some((length, foot)) = data.split_first_chunk() {
        block_foot(u32::from_be_bytes(*length), foot);
    }
}

/// The bytes as they are, and with checksum and address made right.
fn block_foot(length: u32, foot: &[u8]) {
    let parse = |foot: &[u8], address: Address| {
        if let Some(again) = within(foot.len(), || formats::footer(foot, length, &address)) {
            assert!(again == foot, "not canonical");
        }
    };
    parse(foot, Address::default());
    let Some(hashes) = foot.len().checked_sub(32).filter(|hashes| *hashes <= 33 * 32) else {
        return;
    };
    let leaves: Vec<Hash> = foot[..hashes].as_chunks().0.iter().map(|hash| Hash(*hash)).collect();
    if leaves.is_empty() {
        return;
    }
    let mut sound = foot.to_vec();
    let covered = sound.len() - 4;
    let check = crc32c::crc32c(&sound[..covered]);
    sound[covered..].copy_from_slice(&check.to_be_bytes());
    parse(&sound, Address(dfsd::crypto::tree::root(&leaves).0));
}
