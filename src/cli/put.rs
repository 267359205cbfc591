//! `dfs put`: one file, stdin, or all files of a folder.
//!
//! Knows nothing about blocks. Invariant: a source that ends early by an error is never stored as
//! if it were whole.

use std::cell::RefCell;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cli::failure::{Failure, Tally};
use crate::cli::folder;
use crate::cli::hash::{cannot_read, open_file};
use crate::cli::json;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::text::{self, counted, human_size};
use crate::cli::{args, door, names, place, stdin};
use crate::client::{CallError, PutJob, Stored};
use crate::session::{ClientError, Meta};
use serde::Serialize;

/// Files of a folder that are under way at once.
const IN_FLIGHT: usize = 48;

/// Stores what the arguments say.
pub(crate) fn run(place: &args::Place, put: &args::Put) -> Result<(), Failure> {
    if put.recursive {
        return store_folder(place, put);
    }
    if put.source == Path::new("-") {
        return store_stdin(place, put);
    }
    store_file(place, put)
}

fn store_file(place: &args::Place, put: &args::Put) -> Result<(), Failure> {
    let name = match &put.name {
        Some(name) => name.clone(),
        None => names::of_path(&put.source)?,
    };
    names::check(&name)?;
    let (file, length) = open_file(&put.source)?;
    let found = file.metadata().map_err(|error| cannot_read(&put.source, &error))?;
    let progress = Progress::wanted(place, &name, found.is_file().then_some(length));
    let source = Counted { reader: file, progress: &progress };
    let job = PutJob { meta: meta(&name, &found), only_if_absent: put.no_clobber, source };
    store(place, put, job, &progress)
}

fn store_stdin(place: &args::Place, put: &args::Put) -> Result<(), Failure> {
    let Some(name) = &put.name else {
        return Err(Failure::usage("stdin has no name: give one as in dfs put - NAME"));
    };
    names::check(name)?;
    if place::uses_stdin(place) {
        return Err(Failure::usage("the ticket and the file cannot both come from stdin"));
    }
    let progress = Progress::wanted(place, name, None);
    let reader = stdin::open().map_err(|error| cannot_read(&put.source, &error))?;
    let source = Counted { reader, progress: &progress };
    let meta = Meta { name: name.clone().into_bytes(), ..Meta::default() };
    store(place, put, PutJob { meta, only_if_absent: put.no_clobber, source }, &progress)
}

fn store(
    place: &args::Place,
    put: &args::Put,
    job: PutJob<Counted<'_, impl Read>>,
    progress: &Progress,
) -> Result<(), Failure> {
    let name = String::from_utf8_lossy(&job.meta.name).into_owned();
    let mut client = door::open(place)?;
    let stored = client.put_one(job).map_err(|error| match error {
        CallError::Local(error) => cannot_read(&put.source, &error),
        CallError::Client(error) => door::failure(&error).about(&name),
    })?;
    if put.json {
        let mut output = Output::new();
        output.line(&stored_json(&name, &stored))?;
        return output.flush();
    }
    if !place.quiet {
        let (name, size) = (text::shown(&name), human_size(stored.size));
        progress
            .above(|| text::tell(format_args!("stored {name}: {size}, {}", copies(stored.copies))));
    }
    Ok(())
}

fn store_folder(place: &args::Place, put: &args::Put) -> Result<(), Failure> {
    let prefix = match &put.name {
        Some(prefix) => prefix.clone(),
        None => names::of_path(&put.source)?,
    };
    let walk = folder::walk(&put.source)?;
    let mut client = door::open(place)?;
    let progress = Progress::wanted(place, &prefix, None);
    let tally = RefCell::new(Tally::default());
    let failed = |path: &Path, failure: &Failure| {
        let label = path.display().to_string();
        progress.above(|| tally.borrow_mut().failed(&text::shown(&label), failure));
    };
    let jobs = walk.filter_map(|found| {
        let job = found.and_then(|relative| {
            let job = job(put, &prefix, &relative, &progress);
            job.map_err(|failure| (relative, failure))
        });
        job.map_err(|(path, failure)| failed(&path, &failure)).ok()
    });
    let (mut least, mut json) = (u16::MAX, put.json.then(Output::new));
    let mut printed = Ok(());
    let all = client.put_many(jobs, IN_FLIGHT, |source: LocalFile<'_>, result| match result {
        Ok(result) => {
            tally.borrow_mut().done();
            least = least.min(result.copies);
            if let (Some(output), Ok(())) = (&mut json, &printed) {
                printed = output.line(&stored_json(&source.name, &result));
            }
        }
        Err(CallError::Local(error)) => {
            failed(&source.path, &cannot_read(&source.path, &error));
        }
        Err(CallError::Client(error @ ClientError::Disconnected(_))) => {
            tally.borrow_mut().broke_off(door::failure(&error));
        }
        Err(CallError::Client(error)) => failed(&source.path, &door::failure(&error)),
    });
    drop(progress);
    printed?;
    json.map_or(Ok(()), |mut output| output.flush())?;
    let mut tally = tally.into_inner();
    if let Err(error) = all {
        tally.broke_off(door::failure(&error));
    }
    if !place.quiet && tally.done_count() > 0 {
        let (files, prefix) = (counted(tally.done_count(), "file"), text::shown(&prefix));
        text::tell(format_args!(
            "stored {files} under {prefix}: {} or more of each",
            copies(least)
        ));
    }
    tally.outcome("files")
}

fn job<'a>(
    put: &args::Put,
    prefix: &str,
    relative: &Path,
    progress: &'a Progress,
) -> Result<PutJob<LocalFile<'a>>, Failure> {
    let name = names::joined(prefix, relative)?;
    let path = put.source.join(relative);
    let found = path.metadata().map_err(|error| cannot_read(&path, &error))?;
    progress.expect(found.len());
    let meta = meta(&name, &found);
    let source = LocalFile { name, path, file: None, progress };
    Ok(PutJob { meta, only_if_absent: put.no_clobber, source })
}

fn meta(name: &str, found: &Metadata) -> Meta {
    Meta { name: name.as_bytes().to_vec(), mtime_ms: mtime_ms(found), mode: found.mode() }
}

/// Times before 1970 are told as 1970.
fn mtime_ms(found: &Metadata) -> u64 {
    let seconds = u64::try_from(found.mtime()).unwrap_or(0);
    let rest_ms = u64::try_from(found.mtime_nsec() / 1_000_000).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(rest_ms)
}

fn copies(count: u16) -> String {
    if count == 1 { "1 copy".to_owned() } else { format!("{count} copies") }
}

/// What a script may know of what was stored now.
#[derive(Serialize)]
struct StoredJson<'a> {
    name: &'a str,
    size: u64,
    hash: String,
    version: String,
    copies: u16,
}

fn stored_json(name: &str, stored: &Stored) -> String {
    json::line(&StoredJson {
        name,
        size: stored.size,
        hash: stored.hash.to_string(),
        version: stored.version.to_string(),
        copies: stored.copies,
    })
}

/// A reader whose bytes are counted.
struct Counted<'a, R> {
    reader: R,
    progress: &'a Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.progress.advance(count as u64);
        Ok(count)
    }
}

/// A file that is opened when its turn comes, so that few are open at once.
struct LocalFile<'a> {
    name: String,
    path: PathBuf,
    file: Option<File>,
    progress: &'a Progress,
}

impl Read for LocalFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path)?),
        };
        let count = file.read(buffer)?;
        self.progress.advance(count as u64);
        Ok(count)
    }
}
