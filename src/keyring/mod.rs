//! The keyring: which keys this machine holds, and the text in which they travel.
//!
//! A room of the shell: it reads and writes files. Knows nothing about connections and stores.
//! Invariants: no key file is ever replaced, but for `node.key` when that is asked for; `network.key` is written last, so a folder that has it
//! has all the keys that it should have; and a write key that is loaded is granted by the root of
//! the network key beside it.

pub mod access;
mod armor;
pub mod files;
pub mod grant;
mod known_folders;
mod memory;
pub mod names;
pub mod permit;
pub mod presence;
mod role;
pub mod setting;
pub mod signed;
mod start;
pub mod text;
pub mod ticket;
mod ticket_file;

use crate::crypto::keys::{DataKeys, NetworkKey, NodeKey, RootKey, WriteKey};
use crate::keyring::text::KeyText;
use crate::seeded::{self, Bug};
use crate::time::wall_ms_of;
use crate::wire::record::Record;
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

pub use access::Access;
pub use files::KeyFileError;
pub use known_folders::KnownFolders;
pub use memory::no_core_dumps;
pub use start::{Intent, Start, StartError, Wanted, start};
pub use ticket::{BadTicket, Ticket};
pub use ticket_file::{
    TicketFileError, TicketText, is_readable_by_others, read_ticket, write_ticket,
};

/// The folder in which a log lives: where there is one, a missing network key was lost, not never
/// made.
const LOG_FOLDER: &str = "log";

/// Where lost keys come from.
const REMEDY: &str = "from a copy, or join again with a ticket of the same network (dfsd --join TICKET); what is stored \
                      here stays";

/// All keys of one node.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// The network, and what this node may do in it.
    pub access: Access,
    /// Grants; only where it was made.
    pub root: Option<RootKey>,
    /// This node.
    pub node: NodeKey,
}

/// Why there is no keyring.
#[derive(Debug)]
pub enum KeyringError {
    /// A file.
    File(KeyFileError),
    /// There are no keys in the folder.
    NoKeys,
    /// Some keys are there, but this file is missing.
    Incomplete(&'static str),
    /// The folder has had this file.
    Lost(&'static str),
    /// The write key is not granted by the root that the network key names.
    NotGranted,
    /// The network key is not the one that the folder has had.
    StrangeNetwork,
    /// The folder belongs to another network than the ticket.
    AnotherNetwork,
    /// This file is there with another key than the ticket's.
    AnotherKey(&'static str),
}

impl fmt::Display for KeyringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::NoKeys => {
                write!(f, "there are no keys in the data folder: restore them {REMEDY}")
            }
            Self::Incomplete(file) => write!(f, "{file} is missing in the data folder: restore it {REMEDY}"),
            Self::Lost(file) => write!(
                f,
                "{file} is missing in the data folder, which has had it: copy it from the data folder of \
                 another node of this network, or join again with a ticket (dfsd --join TICKET); to go on \
                 without it, remove the file role there"
            ),
            Self::NotGranted => f.write_str(
                "write.key and network.key do not belong together, the root has not granted it: restore both from one copy",

            ),
            Self::StrangeNetwork => f.write_str(
                "network.key is of another network than the data folder: put back the one that it has had, or remove it and \
                 join again with a ticket of that network (dfsd --join TICKET)",
            ),
            Self::AnotherNetwork => f.write_str(
                "the data folder belongs to another network than the ticket: use another folder",
            ),
            Self::AnotherKey(file) => {
                write!(
                    f,
                    "the ticket has another key than {file} in the data folder: use another folder"
                )
            }
        }
    }
}

impl std::error::Error for KeyringError {}

impl From<KeyFileError> for KeyringError {
    fn from(error: KeyFileError) -> Self {
        Self::File(error)
    }
}

impl Keyring {
    /// The keys in a data folder.
    ///
    /// # Errors
    /// `NoKeys` in a new folder; anything else is for the operator to mend.
    pub fn open(folder: &Path) -> Result<Self, KeyringError> {
        files::check_folder(folder)?;
        let parts = Parts::read(folder)?;
        let Some(network) = parts.network else {
            return Err(if parts.is_new {
                KeyringError::NoKeys
            } else {
                KeyringError::Incomplete("network.key")
            });
        };
        let node = parts.node.ok_or(KeyringError::Incomplete("node.key"))?;
        let access = Access { network, data: parts.data, write: parts.write };
        role::check(folder, &access)?;
        if !role::may_be_of(folder, &access.network)? && !seeded::is_on(Bug::ForgetNetwork) {
            return Err(KeyringError::StrangeNetwork);
        }
        checked(Self { access, root: parts.root, node })
    }

    /// The keys in a data folder; those of a new network, with this node as its first, if there are
    /// none. What an interrupted first start has left is used. `entropy` is from the system.
    ///
    /// # Errors
    /// As `open`, but for `NoKeys`.
    pub fn open_or_create(
        folder: &Path,
        wall_ms: u64,
        mut entropy: impl FnMut() -> Zeroizing<[u8; 32]>,
    ) -> Result<Self, KeyringError> {
        files::create_folder(folder)?;
        files::check_folder(folder)?;
        let parts = Parts::read(folder)?;
        if parts.network.is_some() {
            return Self::open_and_remember(folder);
        }
        if !parts.may_be_first_start(folder) {
            return Err(KeyringError::Incomplete("network.key"));
        }
        let root = keep(folder, parts.root, || RootKey::generate(&entropy()))?;
        let data = keep(folder, parts.data, || DataKeys::generate(&entropy()))?;
        let write = keep(folder, parts.write, || new_write_key(&root, &entropy(), wall_ms))?;
        let node = keep(folder, parts.node, || NodeKey::generate(&entropy()))?;
        let network = keep(folder, None, || NetworkKey::generate(&entropy(), &root))?;
        let access = Access { network, data: Some(data), write: Some(write) };
        role::remember(folder, &access)?;
        checked(Self { access, root: Some(root), node })
    }

    /// As `open`; a key that is there now is missed from then on if it is lost.
    fn open_and_remember(folder: &Path) -> Result<Self, KeyringError> {
        let keyring = Self::open(folder)?;
        role::remember(folder, &keyring.access)?;
        Ok(keyring)
    }

    /// When this node has begun its network, in milliseconds since 1970; none if it has joined one.
    #[must_use]
    pub fn began_ms(&self) -> Option<u64> {
        let write = self.access.write.as_ref().filter(|_| self.root.is_some())?;
        Some(wall_ms_of(Record::decode(&write.grant).ok()?.version.stamp))
    }

    /// Keeps a ticket's keys in the data folder, and opens it. A folder that has joined the same
    /// network before only gains what it lacks, the network's key too.
    ///
    /// # Errors
    /// `AnotherNetwork` or `AnotherKey` when the folder has other keys, and then nothing is written.
    pub fn join(
        folder: &Path,
        access: &Access,
        mut entropy: impl FnMut() -> Zeroizing<[u8; 32]>,
    ) -> Result<Self, KeyringError> {
        files::create_folder(folder)?;
        files::check_folder(folder)?;
        let parts = Parts::read(folder)?;
        parts.agree_with(folder, access)?;
        if let Some(data) = &access.data {
            keep(folder, parts.data, || data.clone())?;
        }
        if let Some(write) = &access.write {
            keep(folder, parts.write, || write.clone())?;
        }
        keep(folder, parts.node, || NodeKey::generate(&entropy()))?;
        keep(folder, parts.network, || access.network.clone())?;
        Self::open_and_remember(folder)
    }

    /// Gives the node of a data folder a new key, so that a copy of a folder is a node of its own. Nobody else may use
    /// the folder meanwhile. When it returns, the key is on the disk; before, the old one is.
    ///
    /// # Errors
    /// The file cannot be written; then the old key is still there.
    pub fn renew_node(self, folder: &Path, entropy: &[u8; 32]) -> Result<Self, KeyringError> {
        let node = NodeKey::generate(entropy);
        files::replace(folder, NodeKey::FILE, &text::print(&node))?;
        Ok(Self { node, ..self })
    }
}

/// What a folder has.
struct Parts {
    network: Option<NetworkKey>,
    data: Option<DataKeys>,
    write: Option<WriteKey>,
    root: Option<RootKey>,
    node: Option<NodeKey>,
    is_new: bool,
}

impl Parts {
    fn read(folder: &Path) -> Result<Self, KeyringError> {
        let mut parts = Self {
            network: files::read(folder)?,
            data: files::read(folder)?,
            write: files::read(folder)?,
            root: files::read(folder)?,
            node: files::read(folder)?,
            is_new: false,
        };
        let has_shared = parts.network.is_some() || parts.data.is_some() || parts.write.is_some();
        parts.is_new = !has_shared && parts.root.is_none() && parts.node.is_none();
        Ok(parts)
    }

    /// The root comes first and the network last. So without a root there is nothing shared yet, or
    /// it came by a ticket.
    fn may_be_first_start(&self, folder: &Path) -> bool {
        let has_shared = self.data.is_some() || self.write.is_some();
        (self.root.is_some() || !has_shared) && !folder.join(LOG_FOLDER).exists()
    }

    fn agree_with(&self, folder: &Path, access: &Access) -> Result<(), KeyringError> {
        let is_same = match &self.network {
            Some(network) => {
                network.cluster == access.network.cluster
                    && role::may_be_of(folder, &access.network)?
            }
            None => self.may_be_of(folder, &access.network)?,
        };
        if !is_same {
            return Err(KeyringError::AnotherNetwork);
        }
        agree(self.network.as_ref(), Some(&access.network))?;
        agree(self.data.as_ref(), access.data.as_ref())?;
        agree(self.write.as_ref(), access.write.as_ref())
    }

    /// Whether a folder that has lost its network's key may have had this one: everything else in it that tells a network
    /// tells this one.
    fn may_be_of(&self, folder: &Path, network: &NetworkKey) -> Result<bool, KeyringError> {
        if seeded::is_on(Bug::ForgetNetwork) {
            return Ok(true);
        }
        let root = self.root.as_ref().is_none_or(|root| root.0.public() == network.root);
        let held = Access { network: network.clone(), data: None, write: self.write.clone() };
        Ok(root && held.is_consistent() && role::may_be_of(folder, network)?)
    }
}

/// Where both have a key it must be the same.
fn agree<K: KeyText>(held: Option<&K>, offered: Option<&K>) -> Result<(), KeyringError> {
    match (held, offered) {
        (Some(held), Some(offered)) if text::print(held) != text::print(offered) => {
            Err(KeyringError::AnotherKey(K::FILE))
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// The key held, or a new one once it is on the disk.
fn keep<K: KeyText>(
    folder: &Path,
    held: Option<K>,
    make: impl FnOnce() -> K,
) -> Result<K, KeyringError> {
    if let Some(held) = held {
        return Ok(held);
    }
    let key = make();
    files::create(folder, &key)?;
    Ok(key)
}

fn new_write_key(root: &RootKey, entropy: &[u8; 32], wall_ms: u64) -> WriteKey {
    let sign = WriteKey::generate(entropy);
    let grant = grant::grant(root, &sign.public(), wall_ms);
    WriteKey { sign, grant }
}

fn checked(keyring: Keyring) -> Result<Keyring, KeyringError> {
    if keyring.access.is_consistent() { Ok(keyring) } else { Err(KeyringError::NotGranted) }
}

#[cfg(test)]
mod tests;
