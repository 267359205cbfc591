//! What a local file says of itself, to be stored with its bytes.
//!
//! Knows no source of bytes. Invariant: nothing is said of whose the file is: another machine has other owners.

use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::cli::args;
use crate::cli::facts::OWNERS;
use crate::cli::failure::Failure;
use crate::cli::hash::cannot_read;
use crate::cli::names::Name;
use crate::session::Meta;
use crate::time::FileTime;
use crate::wire::attributes::{Attributes, Xattr};
use rustix::io::Errno;

/// When a file was changed.
pub(super) fn mtime(found: &Metadata) -> FileTime {
    FileTime { seconds: found.mtime(), nanos: u32::try_from(found.mtime_nsec()).unwrap_or(0) }
}

/// What is stored of a file with this metadata.
fn meta(name: &Name, found: &Metadata) -> Meta {
    let allocated = found.blocks().saturating_mul(512);
    let allocated = (found.is_file() && allocated < found.size()).then_some(allocated);
    Meta {
        name: name.bytes().to_vec(),
        mtime: Some(mtime(found)),
        mode: found.mode(),
        attributes: Attributes { allocated, ..Attributes::default() },
    }
}

/// The same, with its extended attributes if they are wanted.
pub(super) fn described(
    put: &args::Put,
    path: &Path,
    name: &Name,
    found: &Metadata,
) -> Result<Meta, Failure> {
    let mut meta = meta(name, found);
    if put.xattrs && !found.is_symlink() {
        meta.attributes.xattrs = xattrs(path).map_err(|error| cannot_read(path, &error))?;
    }
    Ok(meta)
}

/// The extended attributes of a file or folder; a link has none.
fn xattrs(path: &Path) -> io::Result<Vec<Xattr>> {
    let mut found = Vec::new();
    let names = match grown(|buffer| rustix::fs::llistxattr(path, buffer)) {
        Ok(names) => names,
        Err(Errno::NOTSUP) => return Ok(found),
        Err(error) => return Err(error.into()),
    };
    for name in names.split(|byte| *byte == 0).filter(|name| name.starts_with(OWNERS)) {
        let text = std::ffi::OsStr::from_bytes(name);
        match grown(|buffer| rustix::fs::lgetxattr(path, text, buffer)) {
            Ok(value) => found.push(Xattr { name: name.to_vec(), value }),
            // It was taken away meanwhile.
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error.into()),
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// What a call gives that says how long its answer is, or that the room is too small.
fn grown(call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 1024];
    loop {
        match call(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            // No attribute and no list of them is longer than 64 KiB.
            Err(Errno::RANGE) if buffer.len() < 1 << 17 => buffer.resize(buffer.len() * 2, 0),
            Err(error) => return Err(error),
        }
    }
}
