//! `dfs hash`: the tree hash of a local file, equal to that of the stored one.
//!
//! Needs no network. Invariant: memory is one leaf, whatever the file's size.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::cli::failure::{Exit, Failure};
use crate::cli::interrupt;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::crypto::tree::{RootBuilder, leaf_hash};
use crate::ids::Hash;
use crate::limits::LEAF;

/// Prints the hash of a file, or of stdin for `-`.
pub(crate) fn run(file: &Path, quiet: bool) -> Result<(), Failure> {
    let is_stdin = file == Path::new("-");
    let told = if is_stdin { Path::new("stdin") } else { file };
    let failed = |error: io::Error| match interrupt::is_caught() {
        true => Failure::new(Exit::Error, "interrupted"),
        false => cannot_read(told, &error),
    };
    let hash = if is_stdin {
        tree_hash(io::stdin().lock(), &Progress::hidden()).map_err(failed)?
    } else {
        let (opened, length) = open_file(file)?;
        let progress = if quiet { Progress::hidden() } else { Progress::new("hash", Some(length)) };
        tree_hash(opened, &progress).map_err(failed)?
    };
    let mut output = Output::new();
    output.line(&hash.to_string())?;
    output.flush()
}

/// Opens a local file to be read, and tells its length; a folder is a clear error.
pub(crate) fn open_file(path: &Path) -> Result<(File, u64), Failure> {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (found, file) = opened.map_err(|error| cannot_read(path, &error))?;
    if found.is_dir() {
        return Err(Failure::new(
            Exit::Error,
            format_args!("{} is a folder, not a file (put -r stores folders)", path.display()),
        ));
    }
    Ok((file, found.len()))
}

/// A local file that cannot be read.
pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Error, format_args!("cannot read {}: {error}", path.display()))
}

/// The tree hash of what is read.
pub(crate) fn tree_hash(mut reader: impl Read, progress: &Progress) -> io::Result<Hash> {
    let mut builder = RootBuilder::default();
    let mut leaf = vec![0; LEAF];
    loop {
        let count = fill(&mut reader, &mut leaf)?;
        if count > 0 {
            builder.push(leaf_hash(&leaf[..count]));
            progress.advance(count as u64);
        }
        if interrupt::is_caught() {
            return Err(io::Error::other("interrupted"));
        }
        if count < LEAF {
            return Ok(builder.finish());
        }
    }
}

/// Reads until the buffer is full or nothing is left.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match reader.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::tree;

    #[test]
    fn equal_to_the_hash_of_the_bytes_at_once() {
        for length in [0, 1, LEAF - 1, LEAF, LEAF + 1, LEAF * 35 + 7] {
            let data: Vec<u8> = (0..length).map(|index| index.to_le_bytes()[0]).collect();
            let hash = tree_hash(&data[..], &Progress::hidden()).unwrap();
            assert_eq!(hash, tree::tree(&data), "{length}");
        }
    }
}
