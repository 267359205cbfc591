//! Standard input, or what a command prints, as a source that never blocks for long, however slow its writer is.
//!
//! Invariants: at most a few pieces are read ahead; an error of stdin arrives after the bytes
//! before it.

use rustix::fs::OFlags;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Bytes read at once, and how many such pieces may wait.
const PIECE: usize = 256 * 1024;
const PIECES: usize = 4;
/// A read that has waited for so long lets the caller look after other things.
const TIMEOUT: Duration = Duration::from_millis(200);

type Piece = io::Result<Vec<u8>>;

/// What a thread of its own reads.
pub(crate) struct ReadAhead {
    pieces: Receiver<Piece>,
    piece: Vec<u8>,
    used: usize,
    /// Nothing will come any more.
    is_over: bool,
}

/// Begins to read standard input. One that was closed is an error: it is not an empty one.
pub(crate) fn open() -> io::Result<ReadAhead> {
    if is_closed() {
        return Err(io::Error::other("it is closed; nothing was stored"));
    }
    read_ahead(io::stdin)
}

/// Whether whoever started this process closed its stdin. The standard library puts the null device in its place, open to
/// be read and written; nobody who redirects stdin from there opens it so.
fn is_closed() -> bool {
    let stdin = io::stdin();
    let flags = rustix::fs::fcntl_getfl(&stdin);
    let is_both = flags.is_ok_and(|flags| flags & OFlags::ACCMODE == OFlags::RDWR);
    let ours = rustix::fs::fstat(&stdin).ok().map(|found| found.st_rdev);
    let null = rustix::fs::stat("/dev/null").ok().map(|found| found.st_rdev);
    is_both && ours.is_some() && ours == null
}

/// Begins to read what `open` gives, in a thread of its own.
pub(crate) fn read_ahead<R: Read>(
    open: impl FnOnce() -> R + Send + 'static,
) -> io::Result<ReadAhead> {
    let (sender, pieces) = sync_channel(PIECES);
    thread::Builder::new().name("stdin".to_owned()).spawn(move || pump(open(), &sender))?;
    Ok(ReadAhead { pieces, piece: Vec::new(), used: 0, is_over: false })
}

/// Reads until the end, an error, or until nobody wants more. The end is an empty piece.
fn pump(mut reader: impl Read, pieces: &SyncSender<Piece>) {
    loop {
        let mut piece = vec![0; PIECE];
        let read = reader.read(&mut piece).map(|count| {
            piece.truncate(count);
            piece
        });
        let is_last = match &read {
            Ok(piece) => piece.is_empty(),
            Err(error) => error.kind() != io::ErrorKind::Interrupted,
        };
        if pieces.send(read).is_err() || is_last {
            return;
        }
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.piece.len() && !self.is_over {
            self.piece = match self.pieces.recv_timeout(TIMEOUT) {
                Ok(piece) => piece?,
                Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::WouldBlock.into()),
                // The thread says its end; without that the input is not whole.
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other("reading stdin ended early"));
                }
            };
            self.used = 0;
            self.is_over = self.piece.is_empty();
        }
        let count = buffer.len().min(self.piece.len() - self.used);
        buffer[..count].copy_from_slice(&self.piece[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_in_order() {
        let data: Vec<u8> = (0..PIECE * 3 + 5).map(|index| index.to_le_bytes()[0]).collect();
        let expected = data.clone();
        let mut read = Vec::new();
        read_ahead(move || io::Cursor::new(data)).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == expected);
    }

    #[test]
    fn an_input_that_breaks_is_no_end() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let mut source = read_ahead(|| io::Cursor::new(b"ab").chain(Broken)).unwrap();
        let mut read = Vec::new();
        assert_eq!(source.read_to_end(&mut read).unwrap_err().to_string(), "broken");
        assert_eq!(read, b"ab");
    }
}
