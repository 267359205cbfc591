//! The role of a data folder: its network, and which of the network's keys it has had, so that one that is lost is missed.
//!
//! Without it a node whose `data.key` is gone would be a blind one from then on, and nobody would know; and one whose
//! `network.key` is gone could be led into any network. Knows no secrets. Invariant: the file says no less than what the
//! folder had when it was last opened by a daemon.

use super::{Access, KeyFileError, KeyringError, files};
use crate::crypto::keys::{DataKeys, NetworkKey, WriteKey};
use crate::ids::Hash;
use crate::keyring::text::KeyText;
use crate::seeded::{self, Bug};
use std::io;
use std::path::Path;

/// The file's name.
const FILE: &str = "role";
/// What its first line begins with; the names of key files follow.
const HEAD: &str = "dfsd has had:";
/// What its second line begins with; the public key of the network's root follows. Older files have none.
const NETWORK: &str = "of the network below:";

/// What was noted.
#[derive(Default, PartialEq, Eq)]
struct Role {
    had: Vec<&'static str>,
    root: Option<String>,
}

/// The keys that a folder may lack, each with whether it is there.
fn held(access: &Access) -> [(&'static str, bool); 2] {
    [(DataKeys::FILE, access.data.is_some()), (WriteKey::FILE, access.write.is_some())]
}

/// Refuses a folder that has had a key which is not there any more.
pub(super) fn check(folder: &Path, access: &Access) -> Result<(), KeyringError> {
    let had = read(folder)?.had;
    let lost = held(access).into_iter().find(|(file, is_there)| !is_there && had.contains(file));
    match lost {
        Some((file, _)) if !seeded::is_on(Bug::ForgetRole) => Err(KeyringError::Lost(file)),
        Some(_) | None => Ok(()),
    }
}

/// Whether a daemon has ever opened the folder with all the keys that it should have.
pub(super) fn is_noted(folder: &Path) -> Result<bool, KeyFileError> {
    Ok(read(folder)? != Role::default())
}

/// Whether a folder may be one of this network: as far as anything was noted, it was.
pub(super) fn may_be_of(folder: &Path, network: &NetworkKey) -> Result<bool, KeyFileError> {
    let noted = read(folder)?.root;
    Ok(noted.is_none_or(|root| root == Hash(network.root).to_string()))
}

/// Notes the network and the keys that a folder has. When it returns, the note is on the disk.
pub(super) fn remember(folder: &Path, access: &Access) -> Result<(), KeyFileError> {
    let noted = read(folder)?;
    let has = held(access).into_iter().filter(|(_, is_there)| *is_there).map(|(file, _)| file);
    let mut had = noted.had.clone();
    had.extend(has.filter(|file| !noted.had.contains(file)));
    let root = Hash(access.network.root).to_string();
    let text = format!("{HEAD} {}\n{NETWORK} {root}\n", had.join(" "));
    if noted == (Role { had, root: Some(root) }) {
        return Ok(());
    }
    files::replace(folder, FILE, &text)
}

/// What was noted of the folder, if anything was.
fn read(folder: &Path) -> Result<Role, KeyFileError> {
    let Some(text) = files::read_note(folder, FILE)? else {
        return Ok(Role::default());
    };
    parse(&text).ok_or_else(|| KeyFileError::Io {
        path: folder.join(FILE),
        doing: "understand",
        error: io::Error::new(io::ErrorKind::InvalidData, "remove it, and dfsd writes it anew"),
    })
}

fn parse(text: &str) -> Option<Role> {
    let known =
        |name: &str| [DataKeys::FILE, WriteKey::FILE].into_iter().find(|file| *file == name);
    let (names, root) = text.trim_end().split_once('\n').unwrap_or((text, ""));
    let had = names.strip_prefix(HEAD)?.split_whitespace().map(known).collect::<Option<_>>()?;
    let root = match root {
        "" => None,
        line => Some(line.strip_prefix(NETWORK)?.trim().to_owned()),
    };
    Some(Role { had, root })
}
