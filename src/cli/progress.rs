//! Progress: one bar on stderr while bytes go by, for a person at a terminal alone.
//!
//! Knows no command. Invariant: without a terminal on stderr not one byte is written.

use std::io::{IsTerminal, stderr};

use crate::cli::args;
use crate::cli::text::shown;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar, or nothing where nobody would see it.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar for so many bytes; `None` for a number not known yet.
    pub(crate) fn new(what: &str, total: Option<u64>) -> Self {
        if !stderr().is_terminal() {
            return Self::hidden();
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        bar.set_style(style(total.is_some()));
        bar.set_message(what.to_owned());
        Self { bar: Some(bar) }
    }

    /// The same, unless the person wants none.
    pub(crate) fn wanted(place: &args::Place, what: &str, total: Option<u64>) -> Self {
        if place.quiet { Self::hidden() } else { Self::new(&shown(what), total) }
    }

    /// Nothing is shown.
    pub(crate) fn hidden() -> Self {
        Self { bar: None }
    }

    /// So many bytes more have gone by.
    pub(crate) fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// So many bytes more are to come.
    pub(crate) fn expect(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            if bar.length().is_none() {
                bar.set_style(style(true));
            }
            bar.set_length(bar.length().unwrap_or(0) + bytes);
        }
    }

    /// Writes a line on stderr, above the bar.
    pub(crate) fn above(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Progress {
    /// A finished or failed command leaves no bar behind.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(is_bounded: bool) -> ProgressStyle {
    let template = if is_bounded {
        "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}"
    } else {
        "{msg} {spinner} {bytes} {bytes_per_sec}"
    };
    ProgressStyle::with_template(template)
        .expect("the templates are constants")
        .progress_chars("=> ")
}
