//! Where the bytes come from that are stored: files, links, and what a command prints.
//!
//! Knows nothing about the network. Invariant: a source that fails, or that changes while it is read, ends with an error
//! and never as if it were whole.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::cli::failure::{Exit, Failure};
use crate::cli::names::Name;
use crate::cli::progress::Progress;
use crate::cli::put::meta::mtime;
use crate::cli::stdin::{self, ReadAhead};

/// A local file.
pub(super) struct LocalFile {
    path: PathBuf,
    file: Option<File>,
    /// What was found when it was chosen; none if it may change.
    found: Option<Metadata>,
}

impl LocalFile {
    /// One that is opened when its turn comes, so that few are open at once. A link in its place is no file.
    pub(super) fn later(path: PathBuf, found: Option<Metadata>) -> Self {
        Self { path, file: None, found }
    }

    /// One that is open.
    pub(super) fn opened(file: File, found: Option<Metadata>) -> Self {
        Self { path: PathBuf::new(), file: Some(file), found }
    }

    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        let file = options.read(true).open(&self.path)?;
        self.unchanged(&file)?;
        Ok(file)
    }

    /// An error if the file is not as it was found.
    fn unchanged(&self, file: &File) -> io::Result<()> {
        let Some(then) = self.found.as_ref().filter(|found| found.is_file()) else { return Ok(()) };
        let now = file.metadata()?;
        let as_was = (now.dev(), now.ino(), now.size(), mtime(&now))
            == (then.dev(), then.ino(), then.size(), mtime(then));
        let changed =
            "it changed while it was read, and was not stored: try again, or see --allow-changed";
        if as_was { Ok(()) } else { Err(io::Error::other(changed)) }
    }
}

impl Read for LocalFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        let file = self.file.insert(file);
        let count = file.read(buffer)?;
        if count == 0
            && let Some(file) = &self.file
        {
            self.unchanged(file)?;
        }
        Ok(count)
    }
}

/// What a command prints. It is whole if the command ends with 0.
pub(super) struct Printed {
    child: Child,
    printed: ReadAhead,
}

impl Printed {
    /// Starts a command in a shell.
    pub(super) fn start(command: &std::ffi::OsStr) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            let sentence = format!("cannot start the command: {error}; nothing was stored");
            Failure::new(Exit::Error, sentence)
        };
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).stdout(Stdio::piped());
        let mut child = shell.spawn().map_err(failed)?;
        let out = child.stdout.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        let printed = stdin::read_ahead(move || out).map_err(failed)?;
        Ok(Self { child, printed })
    }
}

impl Read for Printed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.printed.read(buffer)?;
        if count > 0 {
            return Ok(count);
        }
        let status = self.child.wait()?;
        if status.success() {
            return Ok(0);
        }
        Err(io::Error::other(format!("the command failed ({status}); nothing was stored")))
    }
}

impl Drop for Printed {
    /// A put that has failed wants nothing more of it.
    fn drop(&mut self) {
        // It has ended, or does now; nothing can be done about an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One of these.
pub(super) enum Source {
    File(LocalFile),
    /// Where a link leads; nothing for a folder.
    Bytes(Cursor<Vec<u8>>),
    Stdin(ReadAhead),
    Printed(Printed),
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Bytes(bytes) => bytes.read(buffer),
            Self::Stdin(stdin) => stdin.read(buffer),
            Self::Printed(printed) => printed.read(buffer),
        }
    }
}

/// A source, and the bar that shows how far it is.
pub(super) struct Counted<'a> {
    pub(super) source: Source,
    /// The name that is stored.
    pub(super) name: Name,
    /// What it is called here, to be told.
    pub(super) label: String,
    pub(super) progress: &'a Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.progress.advance(count as u64);
        Ok(count)
    }
}

/// Where a link leads, as bytes.
pub(super) fn link_target(path: &Path) -> io::Result<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    Ok(std::fs::read_link(path)?.into_os_string().into_vec())
}
