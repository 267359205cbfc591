//! Settings of a network: what its nodes keep of the past, and for how long; and the extension by which a record sets one.
//!
//! Knows no key (`keyring::setting` names and judges records). Invariant: one encoding of each; what does not decode sets
//! nothing.

use super::cursor::{Field, Reader};
use super::record::{Extension, Record, RecordKind};
use crate::limits::{GRACE_DEFAULT, KEEP_VERSIONS_MAX, RETENTION_DEFAULT, SETTING_SECONDS_MAX};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The extension of a setting's record that says which and to what: a number `u16` and a value `u64`, which is a time in
/// seconds or a count; the greatest value means without end.
pub const SETTING: u16 = 2;

/// What can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SettingKey {
    /// See `Settings::retention`.
    Retention = 1,
    /// See `Settings::keep_versions`.
    KeepVersions = 2,
    /// See `Settings::grace`.
    Grace = 3,
}

impl SettingKey {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Retention, Self::KeepVersions, Self::Grace];
}

/// One of them, set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// See `Settings::retention`; `Duration::MAX` for ever.
    Retention(Duration),
    /// See `Settings::keep_versions`; `None` for all.
    KeepVersions(Option<u32>),
    /// See `Settings::grace`.
    Grace(Duration),
}

impl Setting {
    /// Which it is.
    #[must_use]
    pub fn key(self) -> SettingKey {
        match self {
            Self::Retention(_) => SettingKey::Retention,
            Self::KeepVersions(_) => SettingKey::KeepVersions,
            Self::Grace(_) => SettingKey::Grace,
        }
    }

    fn value(self) -> u64 {
        match self {
            Self::Retention(time) | Self::Grace(time) => match time.as_secs() {
                seconds @ 0..=SETTING_SECONDS_MAX => seconds,
                _ => u64::MAX,
            },
            Self::KeepVersions(count) => count.map_or(u64::MAX, u64::from),
        }
    }

    fn of_value(key: u16, value: u64) -> Option<Self> {
        let time = match value {
            u64::MAX => Some(Duration::MAX),
            seconds => (seconds <= SETTING_SECONDS_MAX).then(|| Duration::from_secs(seconds)),
        };
        let count = match value {
            u64::MAX => Some(None),
            count => {
                u32::try_from(count).ok().filter(|count| *count <= KEEP_VERSIONS_MAX).map(Some)
            }
        };
        let key = SettingKey::ALL.into_iter().find(|known| *known as u16 == key)?;
        Some(match key {
            SettingKey::Retention => Self::Retention(time?),
            SettingKey::KeepVersions => Self::KeepVersions(count?),
            SettingKey::Grace => Self::Grace(time?),
        })
    }

    /// The extension that says so.
    #[must_use]
    pub fn extension(self) -> Extension {
        let mut value = Vec::new();
        (self.key() as u16).put(&mut value);
        self.value().put(&mut value);
        Extension { tag: SETTING, value }
    }

    /// What a record sets, if it sets something that is known here.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let mut extensions = record.extensions.iter();
        let extension = extensions.find(|extension| extension.tag == SETTING);
        let extension = extension.filter(|_| record.kind == RecordKind::Setting)?;
        let mut from = Reader::new(&extension.value);
        let (key, value) = (u16::take(&mut from).ok()?, u64::take(&mut from).ok()?);
        from.finish().ok()?;
        Self::of_value(key, value)
    }
}

/// What is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A version goes this long after another has superseded it.
    pub retention: Duration,
    /// So many versions of a name that others have superseded are kept, the newest ones; `None` for all.
    pub keep_versions: Option<u32>,
    /// What no version has ever named goes this long after it came.
    pub grace: Duration,
}

impl Settings {
    /// Of one setting the value that is in force.
    #[must_use]
    pub fn get(&self, key: SettingKey) -> Setting {
        match key {
            SettingKey::Retention => Setting::Retention(self.retention),
            SettingKey::KeepVersions => Setting::KeepVersions(self.keep_versions),
            SettingKey::Grace => Setting::Grace(self.grace),
        }
    }

    /// What of two nodes is the same if they are set to the same: the first 8 bytes of the SHA-256 of all keys and values.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut digest = Sha256::new();
        for setting in SettingKey::ALL.map(|key| self.get(key)) {
            digest.update(setting.extension().value);
        }
        let digest = digest.finalize();
        u64::from_be_bytes(std::array::from_fn(|index| digest[index]))
    }

    /// With one that is set.
    #[must_use]
    pub fn with(mut self, setting: Setting) -> Self {
        match setting {
            Setting::Retention(time) => self.retention = time,
            Setting::KeepVersions(count) => self.keep_versions = count,
            Setting::Grace(time) => self.grace = time,
        }
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { retention: RETENTION_DEFAULT, keep_versions: None, grace: GRACE_DEFAULT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NameId, VersionId};

    fn record(setting: Setting) -> Record {
        let version = VersionId { stamp: 7, ..VersionId::default() };
        let bare = Record::unsigned(RecordKind::Setting, NameId([1; 32]), version);
        Record { extensions: vec![setting.extension()], ..bare }
    }

    #[test]
    fn whatever_is_set_changes_the_digest() {
        let one = Settings::default();
        let other = |setting| one.with(setting).digest();
        assert_eq!(one.digest(), other(one.get(SettingKey::Grace)));
        let [retention, grace] =
            [Setting::Retention, Setting::Grace].map(|set| set(Duration::ZERO));
        assert!(one.digest() != other(retention) && one.digest() != other(grace));
        assert_ne!(other(retention), other(grace));
    }

    #[test]
    fn a_setting_reads_back() {
        let seconds = |count: u64| Duration::from_secs(count);
        for setting in [
            Setting::Retention(seconds(0)),
            Setting::Retention(seconds(90)),
            Setting::Retention(Duration::MAX),
            Setting::Grace(seconds(SETTING_SECONDS_MAX)),
            Setting::KeepVersions(Some(0)),
            Setting::KeepVersions(Some(KEEP_VERSIONS_MAX)),
            Setting::KeepVersions(None),
        ] {
            let record = Record::decode(&record(setting).to_bytes()).unwrap();
            assert_eq!(Setting::of(&record), Some(setting));
            let settings = Settings::default().with(setting);
            assert_eq!(settings.get(setting.key()), setting);
        }
        let beyond = Setting::Retention(seconds(SETTING_SECONDS_MAX + 1));
        assert_eq!(Setting::of(&record(beyond)), Some(Setting::Retention(Duration::MAX)));
    }

    #[test]
    fn what_is_no_setting_sets_nothing() {
        let good = record(Setting::Grace(Duration::from_secs(1)));
        let file = Record { kind: RecordKind::File, ..good.clone() };
        let without = Record { extensions: Vec::new(), ..good.clone() };
        assert_eq!([Setting::of(&file), Setting::of(&without)], [None, None]);
        // A key of a newer program; a time that is too long, and a count that is too great; bytes that are too few.
        let longest = (SETTING_SECONDS_MAX + 1).to_be_bytes();
        let most = (u64::from(KEEP_VERSIONS_MAX) + 1).to_be_bytes();
        for value in [
            [&[0, 9][..], &[0; 8]].concat(),
            [&[0, 3][..], &longest].concat(),
            [&[0, 2][..], &most].concat(),
            [&[0, 2][..], &(1_u64 << 32).to_be_bytes()].concat(),
            [&[0, 3][..], &[0; 7]].concat(),
            [&[0, 3][..], &[0; 9]].concat(),
        ] {
            let mut changed = good.clone();
            changed.extensions[0].value = value;
            assert_eq!(Setting::of(&changed), None);
        }
    }

    #[test]
    fn what_nobody_has_set_has_a_default() {
        let days = |count: u64| Duration::from_hours(24 * count);
        let Settings { retention, keep_versions, grace } = Settings::default();
        assert_eq!((retention, keep_versions, grace), (days(30), None, days(1)));
    }
}
