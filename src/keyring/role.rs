//! The role of a data folder: which of the network's keys it has had, so that one that is lost is missed.
//!
//! Without it a node whose `data.key` is gone would be a blind one from then on, and nobody would know. Knows no secrets.
//! Invariant: the file says no less than what the folder had when it was last opened by a daemon.

use super::{Access, KeyFileError, KeyringError, files};
use crate::crypto::keys::{DataKeys, WriteKey};
use crate::keyring::text::KeyText;
use crate::planted::{self, Bug};
use std::io;
use std::path::Path;

/// The file's name.
const FILE: &str = "role";
/// What its one line begins with; the names of key files follow.
const HEAD: &str = "dfsd has had:";

/// The keys that a folder may lack, each with whether it is there.
fn held(access: &Access) -> [(&'static str, bool); 2] {
    [(DataKeys::FILE, access.data.is_some()), (WriteKey::FILE, access.write.is_some())]
}

/// Refuses a folder that has had a key which is not there any more.
pub(super) fn check(folder: &Path, access: &Access) -> Result<(), KeyringError> {
    let had = read(folder)?;
    let lost = held(access).into_iter().find(|(file, is_there)| !is_there && had.contains(file));
    match lost {
        Some((file, _)) if !planted::is_on(Bug::ForgetRole) => Err(KeyringError::Lost(file)),
        Some(_) | None => Ok(()),
    }
}

/// Notes the keys that a folder has. When it returns, the note is on the disk.
pub(super) fn remember(folder: &Path, access: &Access) -> Result<(), KeyFileError> {
    let had = read(folder)?;
    let has = held(access).into_iter().filter(|(_, is_there)| *is_there).map(|(file, _)| file);
    let mut all = had.clone();
    all.extend(has.filter(|file| !had.contains(file)));
    if all == had {
        return Ok(());
    }
    files::replace(folder, FILE, &format!("{HEAD} {}\n", all.join(" ")))
}

/// The keys that the folder has had; none if nothing was noted.
fn read(folder: &Path) -> Result<Vec<&'static str>, KeyFileError> {
    let Some(text) = files::read_note(folder, FILE)? else {
        return Ok(Vec::new());
    };
    let known =
        |name: &str| [DataKeys::FILE, WriteKey::FILE].into_iter().find(|file| *file == name);
    let names = text.trim_end().strip_prefix(HEAD);
    let had = names.and_then(|names| names.split_whitespace().map(known).collect());
    had.ok_or_else(|| KeyFileError::Io {
        path: folder.join(FILE),
        doing: "understand",
        error: io::Error::new(io::ErrorKind::InvalidData, "remove it, and dfsd writes it anew"),
    })
}
