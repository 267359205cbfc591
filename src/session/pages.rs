//! Making a file's block list, and opening its pages.
//!
//! Pure. Invariants: no more than one page of each depth is in memory while a list is made; what is opened here is what
//! its address says, and was sealed with the key in its parent.

use super::error::ClientError;
use crate::crypto::block::{BlockSecret, keystream, page_secret};
use crate::crypto::data::SpaceKeys;
use crate::crypto::tree;
use crate::ids::{Address, Hash};
use crate::limits::{PAGE_ENTRIES_MAX, RECORD_BLOCKS_MAX};
use crate::wire::message::BlockRef;
use crate::wire::page::{Entries, Page, PageRef};
use crate::wire::record::{BlockList, Secret};
use crate::wire::sealed::{decode_secrets, encode_secrets};
use bytes::Bytes;
use zeroize::Zeroizing;

/// A page that was made, with its address.
pub(super) type MadePage = (Address, Bytes);

/// Makes the block list of a file as its blocks become known, with no more than one page of each depth in memory.
#[derive(Default)]
pub(super) struct ListMaker {
    blocks: Vec<(BlockRef, Secret)>,
    /// Pages of depth 1, 2 and so on that no page names yet.
    levels: Vec<Vec<(PageRef, Secret)>>,
}

impl ListMaker {
    /// The next block. Gives the pages that it completes.
    pub(super) fn push(
        &mut self,
        keys: &SpaceKeys,
        block: BlockRef,
        secret: Secret,
    ) -> Vec<MadePage> {
        let mut made = Vec::new();
        if self.blocks.len() == PAGE_ENTRIES_MAX {
            self.close_blocks(keys, &mut made);
        }
        self.blocks.push((block, secret));
        made
    }

    /// The list is complete: what stands in the record, and the last pages.
    pub(super) fn finish(mut self, keys: &SpaceKeys) -> (BlockList, Vec<Secret>, Vec<MadePage>) {
        let mut made = Vec::new();
        if self.levels.is_empty() && self.blocks.len() <= RECORD_BLOCKS_MAX {
            let (blocks, secrets) = self.blocks.into_iter().unzip();
            return (BlockList::Inline(blocks), secrets, made);
        }
        if !self.blocks.is_empty() {
            self.close_blocks(keys, &mut made);
        }
        let mut level = 0;
        while level + 1 < self.levels.len() || self.levels[level].len() > 1 {
            if !self.levels[level].is_empty() {
                self.close_level(keys, level, &mut made);
            }
            level += 1;
        }
        let (root, secret) = self.levels[level].pop().expect("the top level has the root");
        let depth = u8::try_from(level + 1).expect("few levels hold any file");
        let PageRef { address, blocks, bytes } = root;
        (BlockList::Pages { root: address, depth, blocks, bytes }, vec![secret], made)
    }

    fn close_blocks(&mut self, keys: &SpaceKeys, made: &mut Vec<MadePage>) {
        let (blocks, secrets) = std::mem::take(&mut self.blocks).into_iter().unzip();
        self.add_page(keys, 0, (Entries::Blocks(blocks), secrets), made);
    }

    fn close_level(&mut self, keys: &SpaceKeys, level: usize, made: &mut Vec<MadePage>) {
        let (pages, secrets) = std::mem::take(&mut self.levels[level]).into_iter().unzip();
        let depth = u8::try_from(level + 2).expect("few levels hold any file");
        self.add_page(keys, level + 1, (Entries::Pages { depth, pages }, secrets), made);
    }

    fn add_page(
        &mut self,
        keys: &SpaceKeys,
        level: usize,
        (entries, secrets): (Entries, Vec<Secret>),
        made: &mut Vec<MadePage>,
    ) {
        let (blocks, bytes) = entries.totals();
        let (page, secret) = seal_page(keys, entries, &secrets);
        let mut encoded = Vec::new();
        page.encode(&mut encoded);
        let address = Address(tree::tree(&encoded).0);
        made.push((address, Bytes::from(encoded)));
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        if self.levels[level].len() == PAGE_ENTRIES_MAX {
            self.close_level(keys, level, made);
        }
        self.levels[level].push((PageRef { address, blocks, bytes }, secret));
    }
}

fn seal_page(keys: &SpaceKeys, entries: Entries, secrets: &[Secret]) -> (Page, Secret) {
    let mut plain = Zeroizing::new(Vec::new());
    encode_secrets(secrets, &mut plain);
    let secret = page_secret(keys, &page_tree(&entries, &plain));
    let mut sealed = plain.to_vec();
    keystream(&secret.key, &mut sealed, 0);
    (Page { entries, sealed }, Secret { key: secret.key, tree: secret.tree })
}

fn page_tree(entries: &Entries, plain: &[u8]) -> Hash {
    let mut bytes = Zeroizing::new(Vec::new());
    entries.encode(&mut bytes);
    bytes.extend_from_slice(plain);
    tree::tree(&bytes)
}

/// Opens a page that was asked for by its address.
pub(super) fn open_page(
    bytes: &[u8],
    address: &Address,
    secret: &Secret,
) -> Result<(Entries, Vec<Secret>), ClientError> {
    let damaged = |what: &str| ClientError::Damaged(what.to_owned());
    if tree::tree(bytes).0 != address.0 {
        return Err(damaged("a page is not what its address says"));
    }
    let page = Page::decode(bytes).map_err(|_| damaged("a page breaks the format's rules"))?;
    let mut plain = Zeroizing::new(page.sealed.clone());
    keystream(&secret.key, &mut plain, 0);
    if page_tree(&page.entries, &plain).0 != secret.tree {
        return Err(damaged("a page does not open with the key in its record"));
    }
    let secrets = decode_secrets(&plain).map_err(|_| damaged("a page's secrets are malformed"))?;
    Ok((page.entries, secrets))
}

/// A block's key and tree as they are listed.
pub(super) fn secret_of(secret: &BlockSecret) -> Secret {
    Secret { key: secret.key, tree: secret.tree }
}
