//! Names under the data key: which one a record is of, and questions for names in order and their answers, sealed.
//!
//! Knows no connection. Invariant: a name is believed only if the record's name id is that of the name.

use crate::crypto::data::{DataKeys, SpaceKeys};
use crate::crypto::sealed::{decipher_part, open_part, seal_part};
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

/// The name that a record is of. None if these keys do not decipher it, or it was not composed as it should be. That it is
/// the name its id proves, which nobody can make for another: the seal, over all that the record says, is not checked.
#[must_use]
pub fn name_of(data: &DataKeys, record: &Record) -> Option<Vec<u8>> {
    let keys = data.at(record.epoch, &record.space)?;
    let plain = decipher_part(&keys, &record.sealed_tag, &record.sealed);
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
    use crate::ids::{NameId, VersionId};
    use crate::wire::record::RecordKind;

    #[test]
    fn a_name_is_believed_for_its_id_alone() {
        let data = DataKeys::generate(&[7; 32]);
        let space = Space::default();
        let keys = data.newest(&space);
        let record = |name: &[u8], id: NameId| {
            let mut record = Record::unsigned(RecordKind::File, id, VersionId::default());
            record.epoch = keys.epoch();
            let mut plain = Vec::new();
            Sealed { name: name.to_vec(), ..Sealed::default() }.encode(&mut plain);
            (record.sealed_tag, record.sealed) = seal_part(&keys, b"something else", &plain);
            record
        };
        let [one, other] = [&b"one"[..], b"other"].map(|name| data.name_id(&space, name));
        assert_eq!(name_of(&data, &record(b"one", one)).as_deref(), Some(&b"one"[..]));
        assert_eq!(name_of(&data, &record(b"one", other)), None);
        assert_eq!(name_of(&DataKeys::generate(&[8; 32]), &record(b"one", one)), None);
    }

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
