//! What a network is set to, as far as this node knows.
//!
//! Knows no disk. Invariant: in force is what the greatest version of each setting says; where that cannot be read, nothing
//! goes that another value might keep.

use super::catalog::Catalog;
use crate::crypto::keys::record_id;
use crate::ids::{RecordId, VersionId};
use crate::keyring::setting::{name, setting};
use crate::seeded::{self, Bug};
use crate::wire::record::Record;
use crate::wire::settings::{Setting, SettingKey, Settings};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// So many versions of each setting are kept, the greatest: should all of them be dated in the future, or damaged, what
/// another says is taken for what cannot be read.
const KEPT: usize = 16;

/// A record that sets something.
#[derive(Debug)]
struct Known {
    setting: Setting,
    version: VersionId,
    bytes: Bytes,
}

/// The records that set something, by their ids.
#[derive(Debug, Default)]
pub(crate) struct KnownSettings(BTreeMap<RecordId, Known>);

impl KnownSettings {
    /// A record is durable, or was found by a start. True if it sets something.
    pub(crate) fn note(&mut self, record: &Record, bytes: &Bytes) -> bool {
        let setting = setting(record);
        if let Some(setting) = setting {
            let (version, bytes) = (record.version, bytes.clone());
            self.0.insert(record_id(&bytes), Known { setting, version, bytes });
            self.forget_least(setting.key());
        }
        setting.is_some()
    }

    fn forget_least(&mut self, key: SettingKey) {
        let all = self.0.iter().filter(|(_, known)| known.setting.key() == key);
        let all: Vec<_> = all.map(|(id, known)| (known.version, *id)).collect();
        if all.len() > KEPT
            && let Some((_, least)) = all.iter().min()
        {
            self.0.remove(least);
        }
    }

    /// What is in force. `damaged`: not all of the log could be read, and what was set may have stood there.
    pub(crate) fn in_force(&self, catalog: &Catalog, damaged: bool) -> Settings {
        SettingKey::ALL.into_iter().fold(Settings::default(), |settings, key| {
            let greatest = catalog.greatest(&name(key));
            settings.with(match greatest {
                None if damaged && !seeded::is_on(Bug::ForgetSettings) => most(key),
                None => settings.get(key),
                Some(entry) => match self.0.get(&entry.id()) {
                    Some(known) => known.setting,
                    None => most(key),
                },
            })
        })
    }

    /// The records that say so.
    pub(crate) fn records(&self, catalog: &Catalog) -> impl Iterator<Item = Bytes> {
        SettingKey::ALL.into_iter().filter_map(|key| {
            let greatest = catalog.greatest(&name(key))?;
            self.0.get(&greatest.id()).map(|known| known.bytes.clone())
        })
    }
}

/// Which keeps the most.
fn most(key: SettingKey) -> Setting {
    match key {
        SettingKey::Retention => Setting::Retention(Duration::MAX),
        SettingKey::KeepVersions => Setting::KeepVersions(None),
        SettingKey::Grace => Setting::Grace(Duration::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::alias::Aliases;
    use crate::ids::Writer;
    use crate::store::values::LogPlace;
    use crate::wire::record::RecordKind;

    const PLACE: LogPlace = LogPlace { segment: 1, offset: 9_000, length: 7 };

    fn seconds(count: u64) -> Setting {
        Setting::Retention(Duration::from_secs(count))
    }

    fn record(stamp: u64, setting: Setting) -> (RecordId, Record, Bytes) {
        let version = VersionId { stamp, writer: Writer([1; 8]) };
        let bare = Record::unsigned(RecordKind::Setting, name(setting.key()), version);
        let record = Record { extensions: vec![setting.extension()], ..bare };
        let bytes = Bytes::from(record.to_bytes());
        (record_id(&bytes), record, bytes)
    }

    #[test]
    fn of_many_versions_the_greatest_are_kept() {
        let mut catalog = Catalog::new(Aliases::new([7; 16]));
        let mut known = KnownSettings::default();
        let (id, grace, bytes) = record(1, Setting::Grace(Duration::ZERO));
        known.note(&grace, &bytes);
        catalog.insert(id, &grace, PLACE);
        for stamp in (1..=1_000).step_by(2).chain((2..=1_000).step_by(2)) {
            let (id, one, bytes) = record(stamp, seconds(stamp));
            known.note(&one, &bytes);
            catalog.insert(id, &one, PLACE);
        }
        assert_eq!(known.0.len(), KEPT + 1);
        assert_eq!(known.records(&catalog).count(), 2);
        let stamps = known.0.values().map(|known| known.version.stamp);
        assert_eq!(stamps.filter(|stamp| *stamp > 1_000 - KEPT as u64).count(), KEPT);
    }

    #[test]
    fn the_greatest_version_of_each_setting_is_in_force() {
        let mut catalog = Catalog::new(Aliases::new([7; 16]));
        let mut known = KnownSettings::default();
        assert_eq!(known.in_force(&catalog, false), Settings::default());
        let most = SettingKey::ALL.into_iter().map(most).fold(Settings::default(), Settings::with);
        assert_eq!(known.in_force(&catalog, true), most, "it may have stood where the damage is");
        let mut note = |stamp, setting| {
            let (id, record, bytes) = record(stamp, setting);
            assert!(known.note(&record, &bytes));
            catalog.insert(id, &record, PLACE);
            known.in_force(&catalog, false)
        };
        let one = |setting| Settings::default().with(setting);
        assert_eq!(note(5, seconds(10)), one(seconds(10)));
        assert_eq!(note(4, seconds(20)), one(seconds(10)), "an older one");
        assert_eq!(note(6, seconds(30)), one(seconds(30)));
        let both = note(1, Setting::Grace(Duration::ZERO));
        assert_eq!(both, one(seconds(30)).with(Setting::Grace(Duration::ZERO)));
        assert_eq!(known.records(&catalog).count(), 2);
    }

    /// Its bytes have rotted, and the node was started again.
    #[test]
    fn what_cannot_be_read_keeps_the_most() {
        let mut catalog = Catalog::new(Aliases::new([7; 16]));
        let (id, one, bytes) = record(5, seconds(10));
        catalog.insert(id, &one, PLACE);
        let mut known = KnownSettings::default();
        assert_eq!(known.in_force(&catalog, false).retention, Duration::MAX);
        known.note(&one, &bytes);
        catalog.damage(&id);
        assert_eq!(
            known.in_force(&catalog, true).retention,
            Duration::from_secs(10),
            "it is known"
        );
    }
}
