//! The records that set something for the network: under which name they stand, and what they set.
//!
//! Judges no signer: whoever may write may set. Invariant: a record that stands under another setting's name sets nothing.

use crate::crypto::keys::setting_name;
use crate::ids::NameId;
use crate::wire::record::Record;
use crate::wire::settings::{Setting, SettingKey};

/// The name of all records of a setting.
#[must_use]
pub fn name(key: SettingKey) -> NameId {
    setting_name(key as u16)
}

/// What a record sets.
#[must_use]
pub fn setting(record: &Record) -> Option<Setting> {
    Setting::of(record).filter(|setting| record.name == name(setting.key()))
}
