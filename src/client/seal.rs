//! Composing records and pages, and opening them: where plaintext ends and what is stored begins.
//!
//! Pure. Invariant: what is opened here was signed by somebody who may write and sealed by a holder of the data key, and
//! is about the name that was asked for.

use super::error::{ClientError, may_have_been};
use super::signers::Signers;
use crate::crypto::block::{BlockSecret, keystream, page_secret};
use crate::crypto::data::SpaceKeys;
use crate::crypto::keys::{NodeKey, WriteKey, record_id};
use crate::crypto::sealed::{open_part, seal_part};
use crate::crypto::{sign, tags, tree};
use crate::ids::{Address, Hash, NameId, RecordId, Space, VersionId, Writer};
use crate::keyring::Access;
use crate::limits::{NAME_MAX, PAGE_ENTRIES_MAX, PARENTS_MAX, RECORD_BLOCKS_MAX};
use crate::planted::{self, Bug};
use crate::time::STAMP_MAX;
use crate::wire::condition::HeadsSummary;
use crate::wire::discards::discarding;
use crate::wire::log_damage::LogDamage;
use crate::wire::message::BlockRef;
use crate::wire::page::{Entries, Page, PageRef};
use crate::wire::record::{BlockList, FORMAT, Record, RecordKind, Sealed, Secret};
use crate::wire::sealed::{decode_secrets, encode_secrets};
use bytes::Bytes;
use zeroize::Zeroizing;

/// A version of a file, opened.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name.
    pub name: Vec<u8>,
    /// Bytes.
    pub size: u64,
    /// Modification time in milliseconds since 1970.
    pub mtime_ms: u64,
    /// `st_mode` of Unix, of which the permission bits count; 0 for unknown.
    pub mode: u32,
    /// The tree hash of the plaintext.
    pub hash: Hash,
    /// Blocks.
    pub blocks: u64,
    /// The version.
    pub version: VersionId,
    /// The record that says all this.
    pub record: RecordId,
    /// What the node that was asked for the name has lost of its log without a trace: if there is any, a newer version may
    /// have been among it. None where the version comes from a list, which tells this of all.
    pub log_damage: LogDamage,
    /// Whether that node keeps it. One without room shows what another has, as long as that can be reached.
    pub is_kept: bool,
    pub(super) list: BlockList,
    pub(super) secrets: Vec<Secret>,
}

/// What a new version says besides its blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// The name.
    pub name: Vec<u8>,
    /// Modification time in milliseconds since 1970.
    pub mtime_ms: u64,
    /// `st_mode` of Unix, of which the permission bits count; 0 for unknown.
    pub mode: u32,
}

/// Where a version stands among the others of its name.
#[derive(Debug, Clone, Default)]
pub(super) struct Heads {
    pub(super) clock: u64,
    pub(super) versions: Vec<VersionId>,
    /// A summary of all of them, where there are more.
    pub(super) all: HeadsSummary,
    /// Versions that are dated in the future, and are to be discarded.
    pub(super) future: Vec<VersionId>,
    /// What the node has lost without a trace: there may have been others.
    pub(super) log_damage: LogDamage,
    /// What is shown of them is kept by the node that tells of it.
    pub(super) kept: bool,
}

impl Heads {
    /// A stamp after all of them.
    fn next(&self) -> u64 {
        let known = if planted::is_on(Bug::StampBelowParents) { &[] } else { &self.versions[..] };
        let latest = known.iter().map(|version| version.stamp).max();
        latest.unwrap_or(0).max(self.clock).saturating_add(1).min(STAMP_MAX)
    }
}

/// What seals and opens for one session.
#[derive(Debug)]
pub(super) struct Seals {
    access: Access,
    pub(super) signers: Signers,
    writer: Writer,
    space: Space,
    /// The greatest stamp given to a version. Two operations may have been told the same versions and the same time,
    /// and no two records are one version.
    given: u64,
    /// Nothing above it is signed; whatever the node says, if there is none.
    latest: Option<u64>,
}

impl Seals {
    pub(super) fn new(access: Access, session: &NodeKey) -> Self {
        let signers = Signers::new(&access);
        let (writer, space) = (session.writer(), Space::default());
        Self { access, signers, writer, space, given: 0, latest: None }
    }

    /// From now on nothing above this stamp is signed.
    pub(super) fn set_latest(&mut self, latest: Option<u64>) {
        self.latest = latest;
    }

    pub(super) fn space(&self) -> Space {
        self.space
    }

    /// The encoded grant of the write key, for nodes that may not know it.
    pub(super) fn grant(&self) -> Option<Bytes> {
        self.access.write.as_ref().map(|write| Bytes::copy_from_slice(&write.grant))
    }

    /// The id of a name that may be used.
    pub(super) fn name_id(&self, name: &[u8]) -> Result<NameId, ClientError> {
        if name.is_empty() || name.len() > NAME_MAX || name.contains(&0) {
            return Err(ClientError::BadName);
        }
        let data = self.access.data.as_ref().ok_or(ClientError::NoDataKey)?;
        Ok(data.name_id(&self.space, name))
    }

    pub(super) fn keys(&self) -> Result<SpaceKeys, ClientError> {
        let data = self.access.data.as_ref().ok_or(ClientError::NoDataKey)?;
        Ok(data.newest(&self.space))
    }

    pub(super) fn write_key(&self) -> Result<&WriteKey, ClientError> {
        self.access.write.as_ref().ok_or(ClientError::NoWriteKey)
    }

    /// A record of a new version of a file.
    pub(super) fn file(
        &mut self,
        heads: &Heads,
        meta: &Meta,
        (size, hash): (u64, Hash),
        list: (BlockList, Vec<Secret>),
    ) -> Result<Bytes, ClientError> {
        let sealed = Sealed {
            name: meta.name.clone(),
            size,
            mtime_ms: meta.mtime_ms,
            mode: meta.mode,
            content_type: String::new(),
            hash: hash.0,
            secrets: list.1,
        };
        self.record(RecordKind::File, heads, list.0, &sealed)
    }

    /// A record that deletes a name.
    pub(super) fn tombstone(&mut self, heads: &Heads, name: &[u8]) -> Result<Bytes, ClientError> {
        let sealed = Sealed { name: name.to_vec(), ..Sealed::default() };
        self.record(RecordKind::Tombstone, heads, BlockList::Inline(Vec::new()), &sealed)
    }

    /// A version after these, and after all that were given before.
    fn version(&mut self, heads: &Heads) -> Result<VersionId, ClientError> {
        let stamp = heads.next().max(self.given.saturating_add(1)).min(STAMP_MAX);
        let future = self.latest.is_some_and(|latest| stamp > latest);
        if future && !planted::is_on(Bug::SignFuture) {
            return Err(ClientError::Future);
        }
        self.given = stamp;
        Ok(VersionId { stamp, writer: self.writer })
    }

    fn record(
        &mut self,
        kind: RecordKind,
        heads: &Heads,
        blocks: BlockList,
        sealed: &Sealed,
    ) -> Result<Bytes, ClientError> {
        let version = self.version(heads)?;
        let (keys, write) = (self.keys()?, self.write_key()?);
        let mut parents = heads.versions.clone();
        parents.sort_unstable_by(|left, right| right.cmp(left));
        parents.dedup();
        parents.truncate(PARENTS_MAX);
        let mut record = Record {
            format: FORMAT,
            kind,
            space: self.space,
            name: self.name_id(&sealed.name)?,
            version,
            parents,
            epoch: keys.epoch(),
            signer: write.public(),
            blocks,
            extensions: discarding(&heads.future).into_iter().collect(),
            sealed_tag: [0; 32],
            sealed: Vec::new(),
            signature: [0; 64],
        };
        let mut plain = Zeroizing::new(Vec::new());
        sealed.encode(&mut plain);
        (record.sealed_tag, record.sealed) = seal_part(&keys, &record.public_bytes(), &plain);
        record.signature = sign::sign(&write.sign, tags::RECORD, &record.signed_bytes());
        Ok(Bytes::from(record.to_bytes()))
    }

    /// Opens the record that a node shows for a name. `None` for a tombstone, and if it shows none.
    pub(super) fn open_shown(
        &mut self,
        shown: Option<&[u8]>,
        name: &NameId,
    ) -> Result<Option<Entry>, ClientError> {
        let Some(bytes) = shown else { return Ok(None) };
        if Record::decode(bytes).is_ok_and(|record| record.name != *name) {
            // Well sealed, perhaps, but not what was asked for.
            let what = "the node shows the record of another name".to_owned();
            return Err(ClientError::Damaged(what));
        }
        self.open(bytes)
    }

    /// The version that a node shows of a name. `None` if the name is not there, and was not as far as anybody knows.
    pub(super) fn open_told(
        &mut self,
        shown: Option<&[u8]>,
        name: &NameId,
        (log_damage, is_kept): (LogDamage, bool),
    ) -> Result<Option<Entry>, ClientError> {
        match self.open_shown(shown, name)? {
            Some(entry) => Ok(Some(Entry { log_damage, is_kept, ..entry })),
            None if log_damage.is_any() => Err(may_have_been(&log_damage)),
            None => Ok(None),
        }
    }

    /// Opens a record, once it is known who signed it. `None` for a tombstone.
    pub(super) fn open(&mut self, bytes: &[u8]) -> Result<Option<Entry>, ClientError> {
        let record = decode(bytes)?;
        self.signers.judge_once(record_id(bytes), &record)?;
        self.open_judged(bytes, record)
    }

    /// Opens the records of a list. What can't be opened is damaged; but one that nobody has signed says what node it is
    /// that shows them, and nothing of the others is believed either.
    pub(super) fn open_all(
        &self,
        list: &[Bytes],
    ) -> Result<Vec<Result<Option<Entry>, ClientError>>, ClientError> {
        let decoded: Vec<_> = list.iter().map(|bytes| decode(bytes)).collect();
        let records: Vec<&Record> = decoded.iter().flatten().collect();
        if !self.signers.judge_all(&records) {
            // A batch is good or not: each for itself says which is not.
            records.into_iter().try_for_each(|record| self.signers.judge(record))?;
        }
        let pairs = list.iter().zip(decoded);
        Ok(pairs.map(|(bytes, record)| self.open_judged(bytes, record?)).collect())
    }

    fn open_judged(&self, bytes: &[u8], record: Record) -> Result<Option<Entry>, ClientError> {
        let damaged = |what: &str| ClientError::Damaged(what.to_owned());
        if record.kind != RecordKind::File {
            return Ok(None);
        }
        let data = self.access.data.as_ref().ok_or(ClientError::NoDataKey)?;
        let keys = data.at(record.epoch, &record.space).ok_or(ClientError::NoDataKey)?;
        let plain = open_part(&keys, &record.public_bytes(), &record.sealed_tag, &record.sealed)
            .map_err(|_| damaged("a record was not sealed with this network's data key"))?;
        let sealed =
            Sealed::decode(&plain).map_err(|_| damaged("a record's sealed part is malformed"))?;
        let (blocks, size) = record.blocks.totals();
        let secrets = match &record.blocks {
            BlockList::Inline(blocks) => blocks.len(),
            BlockList::Pages { .. } => 1,
        };
        let fits = size == sealed.size && sealed.secrets.len() == secrets;
        if !fits || data.name_id(&record.space, &sealed.name) != record.name {
            return Err(damaged("a record's two halves do not belong together"));
        }
        Ok(Some(Entry {
            log_damage: LogDamage::default(),
            is_kept: true,
            size: sealed.size,
            mtime_ms: sealed.mtime_ms,
            mode: sealed.mode,
            hash: Hash(sealed.hash),
            blocks,
            version: record.version,
            record: record_id(bytes),
            list: record.blocks,
            secrets: sealed.secrets.clone(),
            name: sealed.name,
        }))
    }
}

fn decode(bytes: &[u8]) -> Result<Record, ClientError> {
    let damaged = |_| ClientError::Damaged("a record breaks the format's rules".to_owned());
    Record::decode(bytes).map_err(damaged)
}

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
