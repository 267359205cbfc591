//! The data key: who has it reads file contents and names.
//!
//! Knows nothing about records. Invariant: each epoch and each name space has keys of its own for
//! each purpose; a name keeps its id when a new epoch begins, because ids come from the first
//! epoch.

use crate::crypto::keys::{Mac, mac, new_secret};
use crate::crypto::tags;
use crate::ids::{NameId, Space};
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The number of the first epoch.
pub const FIRST_EPOCH: u32 = 1;

/// Epochs of secrets, the oldest first. New things are sealed in the newest.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DataKeys {
    epochs: Vec<Epoch>,
    /// What is derived from each for the default space. Nearly everything is there, and to derive keys costs more than to
    /// open a record with them.
    spaces: Vec<SpaceKeys>,
    /// The key of names' ids in the default space.
    names: [u8; 32],
}

/// One epoch of the data key.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Epoch {
    /// Its number; greater is newer.
    pub number: u32,
    /// Everything else is derived from it.
    pub secret: [u8; 32],
}

impl DataKeys {
    /// New keys with one epoch.
    #[must_use]
    pub fn generate(entropy: &[u8; 32]) -> Self {
        let secret = new_secret(entropy, tags::NEW_DATA);
        Self::derive(vec![Epoch { number: FIRST_EPOCH, secret }])
    }

    /// Keys read back: at least one epoch, numbers ascending.
    #[must_use]
    pub fn from_epochs(epochs: Vec<Epoch>) -> Option<Self> {
        let ascending = epochs.windows(2).all(|pair| pair[0].number < pair[1].number);
        (!epochs.is_empty() && ascending).then(|| Self::derive(epochs))
    }

    fn derive(epochs: Vec<Epoch>) -> Self {
        let space = Space::default();
        let spaces = epochs.iter().map(|epoch| SpaceKeys::derive(epoch, &space)).collect();
        let names = derive(&epochs[0], tags::KEY_NAME, &space);
        Self { epochs, spaces, names }
    }

    /// All epochs, the oldest first.
    #[must_use]
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// The keys with which new things are sealed.
    #[must_use]
    pub fn newest(&self, space: &Space) -> SpaceKeys {
        self.space_keys(self.epochs.len() - 1, space)
    }

    /// The keys with which things of that epoch were sealed, if we have them.
    #[must_use]
    pub fn at(&self, epoch: u32, space: &Space) -> Option<SpaceKeys> {
        let at = self.epochs.iter().position(|known| known.number == epoch)?;
        Some(self.space_keys(at, space))
    }

    fn space_keys(&self, at: usize, space: &Space) -> SpaceKeys {
        match *space == Space::default() {
            true => self.spaces[at].clone(),
            false => SpaceKeys::derive(&self.epochs[at], space),
        }
    }

    /// The id of a name: equal in all epochs.
    #[must_use]
    pub fn name_id(&self, space: &Space, name: &[u8]) -> NameId {
        if *space == Space::default() {
            return NameId(mac(&self.names, &[name]));
        }
        let mut key = derive(&self.epochs[0], tags::KEY_NAME, space);
        let id = NameId(mac(&key, &[name]));
        key.zeroize();
        id
    }
}

impl PartialEq for DataKeys {
    fn eq(&self, other: &Self) -> bool {
        self.epochs == other.epochs
    }
}

impl Eq for DataKeys {}

impl fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKeys({} epochs)", self.epochs.len())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({})", self.number)
    }
}

/// What is derived from one epoch's secret for one name space.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SpaceKeys {
    epoch: u32,
    conv: [u8; 32],
    siv: [u8; 32],
    seal: [u8; 32],
}

impl SpaceKeys {
    fn derive(epoch: &Epoch, space: &Space) -> Self {
        Self {
            epoch: epoch.number,
            conv: derive(epoch, tags::KEY_CONV, space),
            siv: derive(epoch, tags::KEY_SIV, space),
            seal: derive(epoch, tags::KEY_SEAL, space),
        }
    }

    /// The number of the epoch, which a record states.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The key of content that hashes to `parts`.
    pub(super) fn content_key(&self, parts: &[&[u8]]) -> [u8; 32] {
        mac(&self.conv, parts)
    }

    /// The authenticator of sealed parts, keyed.
    pub(super) fn siv(&self) -> Mac {
        Mac::new(&self.siv)
    }

    /// The encryption key of the sealed part with this tag.
    pub(super) fn part_key(&self, tag: &[u8; 32]) -> [u8; 32] {
        let mut key = [0; 32];
        let expander = Hkdf::<Sha256>::from_prk(&self.seal).expect("32 bytes are a hash's length");
        expander
            .expand_multi_info(&[tags::SEALED_PART, tag], &mut key)
            .expect("32 bytes are within HKDF's bound");
        key
    }
}

impl fmt::Debug for SpaceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpaceKeys(epoch {})", self.epoch)
    }
}

fn derive(epoch: &Epoch, tag: &[u8], space: &Space) -> [u8; 32] {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, &epoch.secret)
        .expand_multi_info(&[tag, &epoch.number.to_be_bytes(), &space.0], &mut key)
        .expect("32 bytes are within HKDF's bound");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by an independent program. These values never change.
    #[test]
    fn vector() {
        let id = DataKeys::generate(&[7; 32]).name_id(&Space::default(), b"a/b.txt");
        let expected = "c53cb44880546bf18f0e178f245750249da2bbf079c9bf11e85fb12c8647869d";
        assert_eq!(id.to_string(), expected);
    }

    #[test]
    fn a_new_epoch_keeps_names_and_opens_old_things() {
        let old = DataKeys::generate(&[7; 32]);
        let newer = Epoch { number: 5, secret: [9; 32] };
        let both = DataKeys::from_epochs(vec![old.epochs()[0].clone(), newer]).unwrap();
        let space = Space::default();
        assert_eq!(old.name_id(&space, b"n"), both.name_id(&space, b"n"));
        assert_eq!(both.newest(&space).epoch(), 5);
        let content = |keys: &SpaceKeys| keys.content_key(&[b"content"]);
        assert_eq!(content(&both.at(1, &space).unwrap()), content(&old.newest(&space)));
        assert_ne!(content(&both.newest(&space)), content(&old.newest(&space)));
        assert!(both.at(2, &space).is_none());
    }

    #[test]
    fn epochs_ascend_and_there_is_one() {
        let epoch = |number| Epoch { number, secret: [0; 32] };
        assert_eq!(DataKeys::from_epochs(vec![]), None);
        assert_eq!(DataKeys::from_epochs(vec![epoch(2), epoch(2)]), None);
        assert_eq!(DataKeys::from_epochs(vec![epoch(2), epoch(1)]), None);
    }
}
