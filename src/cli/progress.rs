//! Progress: one line on stderr while bytes go by, for a person at a terminal alone.
//!
//! Knows no command. Invariants: without a terminal on stderr not one byte is written; the line takes one row of the
//! terminal, however narrow that becomes, and nothing is left of it at the end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::cli::args;
use crate::cli::bar::Extent;
use crate::cli::text::shown;

/// Between two lines; before the first one too, so that what is short shows none.
const PACE: Duration = Duration::from_millis(100);
/// The rate is that of so many times, at this distance.
const SAMPLES: usize = 20;
const SAMPLE: Duration = Duration::from_millis(500);
/// Of a terminal that does not say how wide it is.
const COLUMNS: u16 = 80;

/// There is a line on the terminal now.
static IS_SHOWN: AtomicBool = AtomicBool::new(false);

/// Takes the line away. It comes back by itself.
pub(crate) fn clear() {
    if IS_SHOWN.swap(false, Ordering::SeqCst) {
        write("\r\x1b[J");
    }
}

/// Nothing can be done about an error.
fn write(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

/// How far a command is, or nothing where nobody would see it.
#[derive(Debug)]
pub(crate) struct Progress {
    line: Option<RefCell<Line>>,
}

#[derive(Debug)]
struct Line {
    extent: Extent,
    drawn: Instant,
    /// When it was so many bytes.
    samples: VecDeque<(Instant, u64)>,
}

impl Progress {
    /// A line for so many bytes; `None` for a number not known yet.
    pub(crate) fn new(what: &str, total: Option<u64>) -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if is_dumb || !stderr().is_terminal() {
            return Self::hidden();
        }
        let extent = Extent { label: what.to_owned(), bytes_total: total, ..Extent::default() };
        let now = Instant::now();
        let line = Line { extent, drawn: now, samples: VecDeque::from([(now, 0)]) };
        Self { line: Some(RefCell::new(line)) }
    }

    /// The same, unless the person wants none.
    pub(crate) fn wanted(place: &args::Place, what: &str, total: Option<u64>) -> Self {
        if place.quiet { Self::hidden() } else { Self::new(&shown(what), total) }
    }

    /// Nothing is shown.
    pub(crate) fn hidden() -> Self {
        Self { line: None }
    }

    /// Somebody may see it.
    pub(crate) fn is_visible(&self) -> bool {
        self.line.is_some()
    }

    /// So many files were found that are to come; more may be found.
    pub(crate) fn counting(&self, files: u64) {
        self.change(|extent| extent.counting = Some(files));
    }

    /// So many files are to come, of so many bytes: there are no others.
    pub(crate) fn expect_all(&self, files: u64, bytes: u64) {
        self.change(|extent| {
            extent.counting = None;
            extent.files = Some((0, files));
            extent.bytes_total = Some(bytes);
        });
    }

    /// A file of so many bytes is done with, and none of them come.
    pub(crate) fn skip(&self, bytes: u64) {
        self.advance(bytes);
        self.file_done();
    }

    /// One of the files that were expected is done with.
    pub(crate) fn file_done(&self) {
        self.change(|extent| {
            if let Some((done, all)) = &mut extent.files {
                *done = (*done + 1).min(*all);
            }
        });
    }

    /// How many files were expected, if that is known.
    pub(crate) fn files(&self) -> Option<u64> {
        self.line.as_ref()?.borrow().extent.files.map(|(_, all)| all)
    }

    /// So many bytes more have gone by.
    pub(crate) fn advance(&self, bytes: u64) {
        self.change(|extent| extent.bytes = extent.bytes.saturating_add(bytes));
    }

    /// So many bytes more are to come.
    pub(crate) fn expect(&self, bytes: u64) {
        self.change(|extent| {
            extent.bytes_total = Some(extent.bytes_total.unwrap_or(0).saturating_add(bytes));
        });
    }

    fn change(&self, change: impl FnOnce(&mut Extent)) {
        if let Some(line) = &self.line {
            let mut line = line.borrow_mut();
            change(&mut line.extent);
            line.draw(Instant::now());
        }
    }
}

impl Line {
    fn draw(&mut self, now: Instant) {
        if now.duration_since(self.drawn) < PACE {
            return;
        }
        self.drawn = now;
        self.extent.bytes_per_second = self.rate(now);
        // The last column stays free: a cursor behind it is in the next row on some terminals.
        let line = self.extent.line(usize::from(columns()) - 1);
        IS_SHOWN.store(true, Ordering::SeqCst);
        // The cursor waits at the beginning: a terminal that is made narrower breaks the line behind it, and all that it
        // has broken is cleared.
        write(&format!("\r{line}\x1b[J\r"));
    }

    fn rate(&mut self, now: Instant) -> Option<u64> {
        let bytes = self.extent.bytes;
        if self.samples.back().is_none_or(|(at, _)| now.duration_since(*at) >= SAMPLE) {
            self.samples.push_back((now, bytes));
            if self.samples.len() > SAMPLES {
                self.samples.pop_front();
            }
        }
        let (since, before) = self.samples.front()?;
        let time = now.duration_since(*since).as_millis().max(1);
        u64::try_from(u128::from(bytes - before) * 1000 / time).ok()
    }
}

fn columns() -> u16 {
    let size = rustix::termios::tcgetwinsize(stderr());
    size.ok().map(|size| size.ws_col).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

impl Drop for Progress {
    /// A finished or failed command leaves no line behind.
    fn drop(&mut self) {
        if self.is_visible() {
            clear();
        }
    }
}
