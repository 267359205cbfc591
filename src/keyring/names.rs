//! Names under the data key: which one a record is of, and questions for names in order and their answers, sealed.
//!
//! Knows no connection. Invariant: a name is believed only if the record's name id is that of the name.

use crate::crypto::data::{DataKeys, SpaceKeys};
use crate::crypto::sealed::{open_part, seal_part};
use crate::crypto::tags;
use crate::ids::Space;
use crate::wire::names::SealedNames;
use crate::wire::record::{Record, Sealed};
use bytes::Bytes;
use zeroize::Zeroizing;

/// What a sealed text is: one does not pass for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A `NamesQuestion`.
    Question,
    /// `NamesFound`.
    Found,
}

impl Kind {
    fn tag(self) -> &'static [u8] {
        match self {
            Self::Question => tags::NAMES_QUESTION,
            Self::Found => tags::NAMES_FOUND,
        }
    }
}

/// The name that a record is of. None if these keys do not open it, or it was not composed as it should be.
#[must_use]
pub fn name_of(data: &DataKeys, record: &Record) -> Option<Vec<u8>> {
    let keys = data.at(record.epoch, &record.space)?;
    let plain =
        open_part(&keys, &record.public_bytes(), &record.sealed_tag, &record.sealed).ok()?;
    let name = Sealed::decode(record.format, &plain).ok()?.name;
    (data.name_id(&record.space, &name) == record.name).then_some(name)
}

/// Seals a text.
#[must_use]
pub fn seal(keys: &SpaceKeys, kind: Kind, plain: &[u8]) -> SealedNames {
    let (tag, sealed) = seal_part(keys, kind.tag(), plain);
    SealedNames { epoch: keys.epoch(), tag, bytes: Bytes::from(sealed) }
}

/// Opens one. None if these keys did not seal it, or it is of another kind.
#[must_use]
pub fn open(data: &DataKeys, kind: Kind, sealed: &SealedNames) -> Option<Zeroizing<Vec<u8>>> {
    let keys = data.at(sealed.epoch, &Space::default())?;
    open_part(&keys, kind.tag(), &sealed.tag, &sealed.bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_data_key_opens_it_and_only_as_what_it_is() {
        let data = DataKeys::generate(&[7; 32]);
        let sealed = seal(&data.newest(&Space::default()), Kind::Question, b"photos/");
        let plain = open(&data, Kind::Question, &sealed).map(|plain| plain.to_vec());
        assert_eq!(plain.as_deref(), Some(&b"photos/"[..]));
        assert!(open(&data, Kind::Found, &sealed).is_none());
        assert!(open(&DataKeys::generate(&[8; 32]), Kind::Question, &sealed).is_none());
        assert!(!sealed.bytes.windows(6).any(|bytes| bytes == b"photos"));
    }
}
