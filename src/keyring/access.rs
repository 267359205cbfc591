//! Access: a network, and what one may do in it.
//!
//! Knows nothing about where it is kept. Invariant, once checked: the write key is granted by the
//! network's root.

use crate::crypto::keys::{DataKeys, NetworkKey, WriteKey};
use crate::keyring::grant::granted_key;
use crate::wire::record::Record;

/// Full with all three; a reader without the write key; blind with the network key alone.
#[derive(Debug, Clone)]
pub struct Access {
    /// Admits to the network.
    pub network: NetworkKey,
    /// Reads.
    pub data: Option<DataKeys>,
    /// Puts and deletes.
    pub write: Option<WriteKey>,
}

impl Access {
    /// The same without reading and writing.
    #[must_use]
    pub fn blind(&self) -> Self {
        Self { network: self.network.clone(), data: None, write: None }
    }

    /// The same without writing.
    #[must_use]
    pub fn read_only(&self) -> Self {
        Self { network: self.network.clone(), data: self.data.clone(), write: None }
    }

    /// Whether names and contents cannot be read with it.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.data.is_none()
    }

    /// Whether the write key, if there is one, is the key that its grant names, granted by this
    /// network's root.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let Some(write) = &self.write else {
            return true;
        };
        let granted = Record::decode(&write.grant)
            .ok()
            .and_then(|grant| granted_key(&grant, &self.network.root));
        granted == Some(write.public())
    }
}
