//! A journal: lines that a thread of its own writes, so that nobody waits for whoever reads them.
//!
//! Knows no format and no file: a sink takes the lines. Invariant: `tell` never waits for the sink; a line that finds no
//! room is counted, and how many there were is told in their place.

use super::hold;
use crate::limits::{JOURNAL_LINE_MAX, JOURNAL_MAX};
use crate::seeded::{self, Bug};
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A sink that does not wait for its reader is tried again after this long.
const AGAIN: Duration = Duration::from_millis(50);

/// See the module. Clones are the same journal.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Whole lines.
    lines: Vec<u8>,
    /// Lines that found no room, all of them after those above.
    dropped: u64,
    is_writing: bool,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }

    /// Whether a line fits. One that comes after a line that did not is dropped too: what was dropped is one gap.
    fn takes(&self, length: usize) -> bool {
        self.dropped == 0 && self.lines.len() + length < JOURNAL_MAX
    }

    /// All that waits, with a word on what was dropped.
    fn take(&mut self) -> Vec<u8> {
        let mut lines = std::mem::take(&mut self.lines);
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 && !seeded::is_on(Bug::DropLinesInSilence) {
            let note = format!("{dropped} log lines dropped: nobody read them in time\n");
            lines.extend(note.as_bytes());
        }
        lines
    }
}

impl Journal {
    /// A journal that writes to `sink`. Its thread ends with the process.
    pub fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared { waiting: Mutex::default(), changed: Condvar::new() });
        let journal = Self { shared: Arc::clone(&shared) };
        let builder = std::thread::Builder::new().name("journal".to_owned());
        builder.spawn(move || shared.write_to(sink))?;
        Ok(journal)
    }

    /// Queues one line; the end of it need not be there. What is too long is cut off.
    pub fn tell(&self, line: &str) {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = &line.as_bytes()[..line.floor_char_boundary(JOURNAL_LINE_MAX)];
        let mut waiting = hold(&self.shared.waiting);
        while seeded::is_on(Bug::WaitForLogReader) && !waiting.takes(line.len()) {
            let wait = self.shared.changed.wait(waiting);
            waiting = wait.unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.takes(line.len()) {
            waiting.lines.extend(line);
            waiting.lines.push(b'\n');
        } else {
            waiting.dropped += 1;
        }
        drop(waiting);
        self.shared.changed.notify_all();
    }

    /// Waits until all is written, but no longer than this. True if it is.
    pub fn finish(&self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let mut waiting = hold(&self.shared.waiting);
        while waiting.is_writing || !waiting.is_empty() {
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return false;
            }
            let wait = self.shared.changed.wait_timeout(waiting, rest);
            waiting = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Takes text and makes lines of it, each as `show` gives it.
    #[must_use]
    pub fn lines(&self, show: fn(&str) -> String) -> Lines {
        Lines { journal: self.clone(), begun: String::new(), show }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

impl Shared {
    fn write_to(&self, mut sink: impl Write) {
        loop {
            let mut waiting = hold(&self.waiting);
            while waiting.is_empty() {
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            let lines = waiting.take();
            waiting.is_writing = true;
            drop(waiting);
            write_all(&mut sink, &lines);
            hold(&self.waiting).is_writing = false;
            self.changed.notify_all();
        }
    }
}

/// A log that nobody can read any more is no reason to stop: what cannot be written is lost.
fn write_all(sink: &mut impl Write, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return,
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Whoever shares it with us may have asked for this.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(AGAIN),
            Err(_) => return,
        }
    }
    let _ = sink.flush();
}

/// What is written here goes to a journal, line by line.
#[derive(Debug)]
pub struct Lines {
    journal: Journal,
    begun: String,
    show: fn(&str) -> String,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in String::from_utf8_lossy(bytes).split_inclusive('\n') {
            if self.begun.len() < JOURNAL_LINE_MAX {
                self.begun.push_str(piece);
            }
            if piece.ends_with('\n') {
                self.journal.tell(&(self.show)(self.begun.trim_end_matches('\n')));
                self.begun.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    const TIMEOUT: Duration = Duration::from_secs(30);

    struct Reader(Sender<Vec<u8>>);

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn text_becomes_lines_none_of_them_without_an_end() {
        let (read, was_read) = channel();
        let journal = Journal::start(Reader(read)).unwrap();
        let mut lines = journal.lines(|line| line.replace('\u{1b}', "ESC"));
        write!(lines, "one and").unwrap();
        writeln!(lines, " the same\ntwo").unwrap();
        writeln!(lines, "{}", "x".repeat(10 * JOURNAL_LINE_MAX)).unwrap();
        writeln!(lines, "three\u{1b}").unwrap();
        assert!(journal.finish(TIMEOUT));
        let text = String::from_utf8(was_read.try_iter().flatten().collect()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[1], lines[3]), ("one and the same", "two", "threeESC"));
        assert_eq!(lines[2].len(), JOURNAL_LINE_MAX);
    }
}
