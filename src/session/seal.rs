//! Composing records, and opening them: where plaintext ends and what is stored begins.
//!
//! Pure. Invariant: what is opened here was signed by somebody who may write and sealed by a holder of the data key, and
//! is about the name that was asked for.

use super::entry::{Content, Entry, Meta};
use super::error::{ClientError, may_have_been};
use super::heads::{Heads, Told};
use super::signers::Signers;
use super::version::{Opened, Tombstone};
use crate::crypto::data::SpaceKeys;
use crate::crypto::keys::{NodeKey, WriteKey, record_id};
use crate::crypto::sealed::{open_part, seal_part};
use crate::crypto::{sign, tags};
use crate::ids::{Hash, NameId, Space, VersionId, Writer};
use crate::keyring::{self, Access, names};
use crate::limits::NAME_MAX;
use crate::seeded::{self, Bug};
use crate::time::STAMP_MAX;
use crate::wire::discards::discarding;
use crate::wire::log_damage::LogDamage;
use crate::wire::names::{NamesFound, NamesQuestion, SealedNames};
use crate::wire::record::{BlockList, FORMAT, Record, RecordKind, Sealed};
use crate::wire::settings::{Setting, SettingKey};
use bytes::Bytes;
use zeroize::Zeroizing;

/// What is said of a record whose sealed half is another's.
const HALVES: &str = "a record's two halves do not belong together";

/// A record that was made here, and the version that it states.
#[derive(Debug)]
pub(super) struct NewVersion {
    pub(super) version: VersionId,
    pub(super) record: Bytes,
}

/// What seals and opens for one session.
#[derive(Debug)]
pub(super) struct Seals {
    access: Access,
    signers: Signers,
    writer: Writer,
    space: Space,
    /// The greatest stamp given to a version. Two operations may have been told the same versions and the same time,
    /// and no two records are one version.
    given: u64,
    /// Nothing above it is signed; whatever the node says, if there is none.
    latest: Option<u64>,
}

impl Seals {
    pub(super) fn new(access: Access, session: &NodeKey, signers: Signers) -> Self {
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

    /// Somebody shows a grant.
    pub(super) fn learn_grant(&mut self, grant: &[u8]) {
        self.signers.learn(grant);
    }

    /// The id of a name that may be used.
    pub(super) fn name_id(&self, name: &[u8]) -> Result<NameId, ClientError> {
        if name.is_empty() || name.len() > NAME_MAX || name.contains(&0) {
            return Err(ClientError::BadName);
        }
        let data = self.access.data.as_ref().ok_or(ClientError::NoDataKey)?;
        Ok(data.name_id(&self.space, name))
    }

    /// A question that only who has the data key reads.
    pub(super) fn seal_question(
        &self,
        question: &NamesQuestion,
    ) -> Result<SealedNames, ClientError> {
        Ok(names::seal(&self.keys()?, names::Kind::Question, &question.encode()))
    }

    /// What was found.
    pub(super) fn open_found(&self, found: &SealedNames) -> Result<NamesFound, ClientError> {
        let data = self.access.data.as_ref().ok_or(ClientError::NoDataKey)?;
        let plain = names::open(data, names::Kind::Found, found);
        let found = plain.and_then(|plain| NamesFound::decode(&plain).ok());
        found.ok_or_else(|| ClientError::Protocol("names that nobody has sealed".to_owned()))
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
        content: Content,
    ) -> Result<NewVersion, ClientError> {
        let sealed = Sealed {
            name: meta.name.clone(),
            size: content.size,
            mtime: meta.mtime,
            mode: meta.mode,
            attributes: meta.attributes.clone(),
            content_type: String::new(),
            hash: content.hash.0,
            secrets: content.secrets,
        };
        self.record(RecordKind::File, heads, content.list, &sealed)
    }

    /// A record that deletes a name.
    pub(super) fn tombstone(
        &mut self,
        heads: &Heads,
        name: &[u8],
    ) -> Result<NewVersion, ClientError> {
        let sealed = Sealed { name: name.to_vec(), ..Sealed::default() };
        self.record(RecordKind::Tombstone, heads, BlockList::Inline(Vec::new()), &sealed)
    }

    /// A record that sets something for the network: for all to read who have it, blind nodes too.
    pub(super) fn setting(
        &mut self,
        heads: &Heads,
        setting: Setting,
    ) -> Result<NewVersion, ClientError> {
        let version = self.version(heads)?;
        let write = self.write_key()?;
        let discarding = discarding(heads.future()).into_iter();
        let mut record = Record {
            space: self.space,
            parents: heads.parents(),
            signer: write.public(),
            extensions: discarding.chain([setting.extension()]).collect(),
            ..Record::unsigned(RecordKind::Setting, keyring::setting::name(setting.key()), version)
        };
        record.signature = sign::sign(&write.sign, tags::RECORD, &record.signed_bytes());
        Ok(NewVersion { version, record: Bytes::from(record.to_bytes()) })
    }

    /// What a node shows of a setting; `None` if it shows nothing that is known here.
    pub(super) fn open_setting(
        &mut self,
        told: &Told,
        key: SettingKey,
    ) -> Result<Option<Setting>, ClientError> {
        let Some(bytes) = told.shown().ok().flatten() else { return Ok(None) };
        let record = decode(bytes)?;
        self.signers.judge_once(record_id(bytes), &record)?;
        Ok(keyring::setting::setting(&record).filter(|setting| setting.key() == key))
    }

    /// A version after these, and after all that were given before.
    fn version(&mut self, heads: &Heads) -> Result<VersionId, ClientError> {
        let stamp = heads.next_stamp().max(self.given.saturating_add(1)).min(STAMP_MAX);
        let future = self.latest.is_some_and(|latest| stamp > latest);
        if future && !seeded::is_on(Bug::SignFuture) {
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
    ) -> Result<NewVersion, ClientError> {
        let version = self.version(heads)?;
        let (keys, write) = (self.keys()?, self.write_key()?);
        let mut record = Record {
            format: FORMAT,
            kind,
            space: self.space,
            name: self.name_id(&sealed.name)?,
            version,
            parents: heads.parents(),
            epoch: keys.epoch(),
            signer: write.public(),
            blocks,
            extensions: discarding(heads.future()).into_iter().collect(),
            sealed_tag: [0; 32],
            sealed: Vec::new(),
            signature: [0; 64],
        };
        let mut plain = Zeroizing::new(Vec::new());
        sealed.encode(&mut plain);
        (record.sealed_tag, record.sealed) = seal_part(&keys, &record.public_bytes(), &plain);
        record.signature = sign::sign(&write.sign, tags::RECORD, &record.signed_bytes());
        Ok(NewVersion { version, record: Bytes::from(record.to_bytes()) })
    }

    /// Opens the record that a node shows for a name. `None` for a tombstone, and if it shows none.
    pub(super) fn open_shown(
        &mut self,
        shown: Option<&Bytes>,
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
        told: &Told,
        name: &NameId,
    ) -> Result<Option<Entry>, ClientError> {
        let (log_damage, is_kept) = (told.log_damage(), told.is_kept());
        match self.open_shown(told.shown()?, name)? {
            Some(entry) => Ok(Some(Entry { log_damage, is_kept, ..entry })),
            None if log_damage.is_any() => Err(may_have_been(&log_damage)),
            None => Ok(None),
        }
    }

    /// Opens a record, once it is known who signed it. `None` for a tombstone.
    fn open(&mut self, bytes: &[u8]) -> Result<Option<Entry>, ClientError> {
        let record = decode(bytes)?;
        self.signers.judge_once(record_id(bytes), &record)?;
        self.open_judged(bytes, record)
    }

    /// Opens the records of a list. What cannot be opened is damaged; but one that nobody has signed says what node it is
    /// that shows them, and nothing of the others is believed either.
    pub(super) fn open_all(
        &self,
        list: &[Bytes],
    ) -> Result<Vec<Result<Option<Entry>, ClientError>>, ClientError> {
        let pairs = list.iter().zip(self.judged(list)?);
        Ok(pairs.map(|(bytes, record)| self.open_judged(bytes, record?)).collect())
    }

    /// The same of versions of names, deletions too.
    pub(super) fn open_versions(
        &self,
        list: &[Bytes],
    ) -> Result<Vec<Result<Opened, ClientError>>, ClientError> {
        let pairs = list.iter().zip(self.judged(list)?);
        Ok(pairs.map(|(bytes, record)| self.open_version(bytes, record?)).collect())
    }

    /// Records that somebody who may write has signed, and what is no record.
    fn judged(&self, list: &[Bytes]) -> Result<Vec<Result<Record, ClientError>>, ClientError> {
        let decoded: Vec<_> = list.iter().map(|bytes| decode(bytes)).collect();
        let records: Vec<&Record> = decoded.iter().flatten().collect();
        if !self.signers.judge_all(&records) {
            // A batch is good or not: each for itself says which is not.
            records.into_iter().try_for_each(|record| self.signers.judge(record))?;
        }
        Ok(decoded)
    }

    fn open_version(&self, bytes: &[u8], record: Record) -> Result<Opened, ClientError> {
        if record.kind == RecordKind::Tombstone {
            let (version, name) = (record.version, self.unseal(&record)?.name);
            return Ok(Opened::Tombstone(Tombstone { name, version, record: record_id(bytes) }));
        }
        let entry = self.open_judged(bytes, record)?;
        let no_version = || ClientError::Damaged("a record that is no version".to_owned());
        entry.map(|entry| Opened::File(Box::new(entry))).ok_or_else(no_version)
    }

    /// Opens the sealed half of a record, which says the name.
    fn unseal(&self, record: &Record) -> Result<Sealed, ClientError> {
        let damaged = |what: &str| ClientError::Damaged(what.to_owned());
        let data = self.access.data.as_ref().ok_or(ClientError::NoDataKey)?;
        let keys = data.at(record.epoch, &record.space).ok_or(ClientError::NoDataKey)?;
        let plain = open_part(&keys, &record.public_bytes(), &record.sealed_tag, &record.sealed)
            .map_err(|_| damaged("a record was not sealed with this network's data key"))?;
        let sealed = Sealed::decode(record.format, &plain)
            .map_err(|_| damaged("a record's sealed part is malformed"))?;
        if data.name_id(&record.space, &sealed.name) != record.name {
            return Err(damaged(HALVES));
        }
        Ok(sealed)
    }

    fn open_judged(&self, bytes: &[u8], record: Record) -> Result<Option<Entry>, ClientError> {
        if record.kind != RecordKind::File {
            return Ok(None);
        }
        let sealed = self.unseal(&record)?;
        let (blocks, size) = record.blocks.totals();
        let secrets = match &record.blocks {
            BlockList::Inline(blocks) => blocks.len(),
            BlockList::Pages { .. } => 1,
        };
        if size != sealed.size || sealed.secrets.len() != secrets {
            return Err(ClientError::Damaged(HALVES.to_owned()));
        }
        Ok(Some(Entry {
            log_damage: LogDamage::default(),
            is_kept: true,
            size: sealed.size,
            mtime: sealed.mtime,
            mode: sealed.mode,
            attributes: sealed.attributes.clone(),
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
