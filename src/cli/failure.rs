//! Failures: what a command ends with when it does not end well, a sentence and an exit code.
//!
//! Knows no command. Invariant: the codes are those that scripts rely on, and never change.

use crate::cli::text::{shown, tell};
use std::fmt;
use std::io;

/// The exit codes of `dfs`. 0 is success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Anything without a code of its own.
    Error = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Some of many were done.
    Partly = 3,
    /// Every node that could be asked says no.
    NotFound = 4,
    /// No daemon, no node, no room: it may work later.
    Temporary = 5,
    /// Bytes are not what was stored.
    Integrity = 6,
    /// A wrong key, or the network refused.
    Refused = 7,
    /// The name or file exists.
    Exists = 8,
}

/// Why a command ends early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// To be told to the person, with that exit code.
    Told(Exit, String),
    /// Whoever read our output has had enough. Nothing is said, and it is no error.
    PipeClosed,
}

impl Failure {
    /// A failure with this code and sentence.
    pub(crate) fn new(exit: Exit, sentence: impl fmt::Display) -> Self {
        Self::Told(exit, sentence.to_string())
    }

    /// A command line that makes no sense.
    pub(crate) fn usage(sentence: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, sentence)
    }

    /// What became of our standard output.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::PipeClosed;
        }
        Self::new(Exit::Error, format_args!("cannot write to stdout: {error}"))
    }

    /// The same, said of one name.
    pub(crate) fn about(self, name: &impl fmt::Display) -> Self {
        match self {
            Self::Told(exit, sentence) => {
                Self::Told(exit, format!("{}: {sentence}", shown(&name.to_string())))
            }
            Self::PipeClosed => Self::PipeClosed,
        }
    }

    /// The same, and what follows from it.
    pub(crate) fn and(self, more: &str) -> Self {
        match self {
            Self::Told(exit, sentence) => Self::Told(exit, format!("{sentence}; {more}")),
            Self::PipeClosed => Self::PipeClosed,
        }
    }

    /// The code, for counting many failures together.
    pub(crate) fn exit(&self) -> Option<Exit> {
        match self {
            Self::Told(exit, _) => Some(*exit),
            Self::PipeClosed => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(_, sentence) => f.write_str(sentence),
            Self::PipeClosed => f.write_str("the reader of the output has closed it"),
        }
    }
}

/// What became of many things that one command was asked to do.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    done: u64,
    failed: u64,
    /// The one code that all failures had, while they had one.
    common: Option<Exit>,
    is_mixed: bool,
    broken_off: Option<Failure>,
}

impl Tally {
    /// One was done.
    pub(crate) fn done(&mut self) {
        self.done += 1;
    }

    /// So many needed nothing to be done.
    pub(crate) fn done_already(&mut self, count: u64) {
        self.done += count;
    }

    /// How many were done.
    pub(crate) fn done_count(&self) -> u64 {
        self.done
    }

    /// One failed; it is told on stderr at once.
    pub(crate) fn failed(&mut self, what: &str, failure: &Failure) {
        self.failed_as_told(&failure.clone().about(&what));
    }

    /// The same of a failure that names what it is about.
    pub(crate) fn failed_as_told(&mut self, failure: &Failure) {
        tell(format_args!("dfs: {failure}"));
        self.failed += 1;
        let exit = failure.exit().unwrap_or(Exit::Error);
        self.is_mixed |= self.common.is_some_and(|common| common != exit);
        self.common = Some(exit);
    }

    /// It could not go on, for no fault of any one: told of once, with the whole.
    pub(crate) fn broke_off(&mut self, failure: Failure) {
        self.broken_off = Some(failure);
    }

    /// It was told to end: what was done of all, if it is known how many these are.
    pub(crate) fn interrupted(&self, all: Option<u64>, what: &str) -> Failure {
        let names = match (self.done, all) {
            (done, Some(all)) => format!("{done} of {all} names"),
            (1, None) => "1 name".to_owned(),
            (done, None) => format!("{done} names"),
        };
        let sentence = format!("interrupted: {names} {what}; repeat the command for the others");
        Failure::new(Exit::Error, sentence)
    }

    /// The whole, where others were left out from the beginning: that is the failure, if nothing else is.
    pub(crate) fn outcome_without(
        &self,
        what: &str,
        left_out: Option<Failure>,
    ) -> Result<(), Failure> {
        match (self.outcome(what), left_out) {
            (Ok(()), Some(failure)) => Err(failure),
            (outcome, left_out) => {
                left_out.inspect(|failure| tell(format_args!("dfs: {failure}")));
                outcome
            }
        }
    }

    /// The whole: partly done if some was; with the common reason if nothing was.
    pub(crate) fn outcome(&self, what: &str) -> Result<(), Failure> {
        if let Some(failure) = &self.broken_off {
            return Err(match self.done {
                0 => failure.clone(),
                done => Failure::new(
                    Exit::Partly,
                    format_args!(
                        "{failure}; {what} done: {done}; repeat the command for the others"
                    ),
                ),
            });
        }
        let Some(common) = self.common else {
            return Ok(());
        };
        let exit = match (self.done, self.is_mixed) {
            (0, false) => common,
            (0, true) => Exit::Error,
            (_, _) => Exit::Partly,
        };
        let all = self.done + self.failed;
        Err(Failure::new(exit, format_args!("{} of {all} {what} failed", self.failed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_before_it_broke_off_is_told() {
        let mut tally = Tally::default();
        tally.broke_off(Failure::new(Exit::Temporary, "the connection broke"));
        assert_eq!(tally.outcome("files").unwrap_err().exit(), Some(Exit::Temporary));
        tally.done();
        let failure = tally.outcome("files").unwrap_err();
        assert_eq!(failure.exit(), Some(Exit::Partly));
        assert!(failure.to_string().contains("broke; files done: 1"), "{failure}");
    }

    #[test]
    fn many_failures_have_one_code() {
        let check = |done: u64, failures: &[Exit], expected: Option<Exit>| {
            let mut tally = Tally::default();
            (0..done).for_each(|_| tally.done());
            failures.iter().for_each(|exit| tally.failed("x", &Failure::new(*exit, "test")));
            let exit = tally.outcome("files").err().and_then(|failure| failure.exit());
            assert_eq!(exit, expected);
        };
        check(3, &[], None);
        check(3, &[Exit::NotFound], Some(Exit::Partly));
        check(0, &[Exit::NotFound, Exit::NotFound], Some(Exit::NotFound));
        check(0, &[Exit::NotFound, Exit::Integrity], Some(Exit::Error));
    }
}
