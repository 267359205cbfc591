//! Output: standard output.
//!
//! Knows no command. Invariant: only data goes here; every write error is noticed, at the latest by
//! `finish`, and a closed pipe is told apart from a full disk.

use std::io::{self, BufWriter, StdoutLock, Write};

use crate::cli::failure::Failure;

/// Standard output, buffered.
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
}

impl Output {
    /// The process's standard output.
    pub(crate) fn new() -> Self {
        Self { out: BufWriter::with_capacity(64 * 1024, io::stdout().lock()) }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        let line = self.out.write_all(text.as_bytes());
        line.and_then(|()| self.out.write_all(b"\n")).map_err(|error| Failure::stdout(&error))
    }

    /// Writes bytes of a file.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(|error| Failure::stdout(&error))
    }

    /// Hands on what is buffered: before each wait, and at the end.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::stdout(&error))
    }
}
