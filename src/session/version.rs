//! A version of a name as a program sees it, and how one is named by its first digits.
//!
//! Knows no record. Invariant: what a version says was opened here.

use super::entry::Entry;
use crate::ids::{RecordId, VersionId, Writer};
use crate::wire::log_damage::LogDamage;
use crate::wire::sync_state::SyncState;
use std::fmt;
use std::str::FromStr;

/// Digits of a stamp, and of a writer.
const DIGITS: usize = 16;

/// What a version is to its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A reader of the name sees it.
    Shown,
    /// Nothing supersedes it, and a greater one is shown, or deletes the name: neither knew of the other.
    Concurrent,
    /// It deletes the name.
    Deletion,
    /// A later one supersedes it.
    Superseded,
    /// Its record is damaged on the node, or cannot be opened.
    Damaged,
}

/// A version of a name.
#[derive(Debug, Clone)]
pub struct Version {
    /// The name.
    pub name: Vec<u8>,
    /// Which.
    pub id: VersionId,
    /// What it is to the name.
    pub standing: Standing,
    /// What it says, if it is a file.
    pub file: Option<Box<Entry>>,
}

/// A deletion, opened.
#[derive(Debug)]
pub(super) struct Tombstone {
    pub(super) name: Vec<u8>,
    pub(super) version: VersionId,
    pub(super) record: RecordId,
}

/// A version, opened.
#[derive(Debug)]
pub(super) enum Opened {
    File(Box<Entry>),
    Tombstone(Tombstone),
}

impl Opened {
    pub(super) fn name(&self) -> &[u8] {
        match self {
            Self::File(entry) => &entry.name,
            Self::Tombstone(tombstone) => &tombstone.name,
        }
    }

    pub(super) fn version(&self) -> VersionId {
        match self {
            Self::File(entry) => entry.version,
            Self::Tombstone(tombstone) => tombstone.version,
        }
    }

    pub(super) fn record(&self) -> RecordId {
        match self {
            Self::File(entry) => entry.record,
            Self::Tombstone(tombstone) => tombstone.record,
        }
    }

    /// As a program sees it; `standing` is that of a file.
    pub(super) fn into_version(self, standing: Standing) -> Version {
        match self {
            Self::File(entry) => {
                let (name, id) = (entry.name.clone(), entry.version);
                Version { name, id, standing, file: Some(entry) }
            }
            Self::Tombstone(Tombstone { name, version, .. }) => {
                Version { name, id: version, standing: Standing::Deletion, file: None }
            }
        }
    }
}

/// Which versions of a name are to be told of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionsWanted {
    /// The name.
    pub name: Vec<u8>,
    /// None above this one.
    pub from: Option<VersionId>,
    /// At most so many, the newest; else all.
    pub newest: Option<u64>,
}

/// What there is to say of a list of versions that has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VersionsTold {
    /// The greatest version of the name.
    pub greatest: Option<VersionId>,
    /// Versions that are damaged, or could not be opened.
    pub damaged: u64,
    /// Whether the node has heard from the others what they know.
    pub sync: SyncState,
    /// What the node has lost of its log without a trace: there may have been other versions.
    pub log_damage: LogDamage,
}

/// The first digits of a version's id, as it is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionPrefix(String);

/// The text is no beginning of a version's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoVersionPrefix;

impl fmt::Display for NoVersionPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected the first digits of a version, as `dfs versions` prints them")
    }
}

impl std::error::Error for NoVersionPrefix {}

impl FromStr for VersionPrefix {
    type Err = NoVersionPrefix;

    fn from_str(text: &str) -> Result<Self, NoVersionPrefix> {
        let text = text.to_ascii_lowercase();
        let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_one = match text.split_once('-') {
            Some((stamp, writer)) => {
                stamp.len() == DIGITS && writer.len() <= DIGITS && is_hex(stamp) && is_hex(writer)
            }
            None => (1..=DIGITS).contains(&text.len()) && is_hex(&text),
        };
        if is_one { Ok(Self(text)) } else { Err(NoVersionPrefix) }
    }
}

impl fmt::Display for VersionPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl VersionPrefix {
    /// Whether a version's id begins so.
    #[must_use]
    pub fn is_of(&self, version: &VersionId) -> bool {
        version.to_string().starts_with(&self.0)
    }

    /// The greatest id that begins so.
    #[must_use]
    pub fn last(&self) -> VersionId {
        let (stamp, writer) = self.0.split_once('-').unwrap_or((&self.0, ""));
        let padded = |part: &str| format!("{part:f<DIGITS$}");
        let stamp = u64::from_str_radix(&padded(stamp), 16).unwrap_or(u64::MAX);
        let writer = padded(writer).parse().unwrap_or(Writer([u8::MAX; Writer::LENGTH]));
        VersionId { stamp, writer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_of_an_id_is_read_and_leads_to_the_last_that_begins_so() {
        let id = VersionId { stamp: 0x01a2_0568_0daa_0001, writer: Writer([0xc7; 8]) };
        let text = id.to_string();
        for length in 1..=text.len() {
            let prefix: VersionPrefix = text[..length].parse().unwrap();
            assert!(prefix.is_of(&id) && prefix.last() >= id, "{prefix}");
            assert!(prefix.is_of(&prefix.last()), "{prefix}");
        }
        assert_eq!(text.parse::<VersionPrefix>().unwrap().last(), id);
        let other: VersionPrefix = "01A3".parse().unwrap();
        assert!(!other.is_of(&id));
        assert_eq!(other.last().stamp, 0x01a3_ffff_ffff_ffff);
        for bad in ["", "-", "01a2-c7", "xyz", "01a2 ", &format!("{text}0"), &text.replace('-', "")]
        {
            assert_eq!(bad.parse::<VersionPrefix>(), Err(NoVersionPrefix), "{bad}");
        }
    }
}
