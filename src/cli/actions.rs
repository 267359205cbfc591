//! What a command does to each of many names, as data on stdout: objects, or with `--dry-run` what would be done.
//!
//! Knows no command. Invariant: without `--json` and `--dry-run` nothing is printed.

use std::fmt;
use std::io::{self, IsTerminal};

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::json;
use crate::cli::output::Output;
use crate::cli::text::shown;

/// What is done to one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Store,
    Delete,
    Fetch,
    /// Of a local file or folder.
    Remove,
    /// Nothing: it is equal already.
    Keep,
}

impl Action {
    /// The word for it when it is done.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Self::Store => "stored",
            Self::Delete => "deleted",
            Self::Fetch => "fetched",
            Self::Remove => "removed",
            Self::Keep => "unchanged",
        }
    }

    fn planned(self) -> &'static str {
        match self {
            Self::Store => "would store",
            Self::Delete => "would delete",
            Self::Fetch => "would fetch",
            Self::Remove => "would remove",
            Self::Keep => "unchanged",
        }
    }
}

/// What a script may know of one.
#[derive(Serialize)]
struct ActionJson<'a> {
    #[serde(flatten)]
    name: json::NameJson<'a>,
    action: &'static str,
}

/// Where all this is told.
pub(crate) struct Actions {
    output: Option<Output>,
    is_json: bool,
    is_dry: bool,
    /// The first error of the output: nothing is printed after it.
    failure: Option<Failure>,
}

impl Actions {
    pub(crate) fn new(json: bool, dry_run: bool) -> Self {
        let output = (json || dry_run).then(Output::new);
        Self { output, is_json: json, is_dry: dry_run, failure: None }
    }

    /// Nothing is done, it is only told.
    pub(crate) fn is_dry(&self) -> bool {
        self.is_dry
    }

    /// Objects are printed.
    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// A line of progress would stand between lines of data.
    pub(crate) fn is_on_terminal(&self) -> bool {
        self.output.is_some() && io::stdout().is_terminal()
    }

    /// This was done to a name, or would be.
    pub(crate) fn tell(&mut self, action: Action, name: &[u8]) {
        let word = if self.is_dry { action.planned() } else { action.done() };
        if self.is_json {
            let name = json::NameJson::of(name);
            self.line(&json::line(&ActionJson { name, action: word }));
        } else if self.is_dry && action != Action::Keep {
            self.line(&format!("{word} {}", shown(&String::from_utf8_lossy(name))));
        }
    }

    /// The same in other words.
    pub(crate) fn line(&mut self, line: &str) {
        if let (Some(output), None) = (&mut self.output, &self.failure) {
            self.failure = output.line(line).err();
        }
    }

    /// Everything has been told.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        match (self.failure.take(), &mut self.output) {
            (Some(failure), _) => Err(failure),
            (None, Some(output)) => output.flush(),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actions").field("is_dry", &self.is_dry).finish_non_exhaustive()
    }
}
