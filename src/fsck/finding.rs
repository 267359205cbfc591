//! Findings: what a check is told before it begins, tells while it goes on, and comes to.
//!
//! Knows no file. Invariant: a finding is counted when it is told, and not otherwise.

use crate::wire::record::Record;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    /// Worth knowing; nothing is wrong.
    Note,
    /// A rebuild has done something.
    Repaired,
    /// It was lost, which the log says, and has not come again.
    Missing,
    /// Bytes are not what was stored.
    Damage,
}

impl Grade {
    /// One word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Repaired => "repaired",
            Self::Missing => "missing",
            Self::Damage => "damage",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// How bad it is.
    pub(crate) grade: Grade,
    /// The file, below the data folder; or the stored file's name.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) what: String,
    /// What that means for the data.
    pub(crate) means: &'static str,
    /// What to do.
    pub(crate) advice: &'static str,
}

/// What a check tells while it goes on.
#[derive(Debug)]
pub(crate) enum Event {
    /// Something was found.
    Found(Finding),
    /// So many bytes more have been read.
    Bytes(u64),
}

/// What a check was told about records.
pub(crate) struct Known<'a> {
    /// The key of the network's root, if it is known.
    pub(crate) root: Option<[u8; 32]>,
    /// The key that a record lets write.
    pub(crate) granted: &'a dyn Fn(&Record) -> Option<[u8; 32]>,
    /// The name that a record is about, for who can open it.
    pub(crate) name: &'a dyn Fn(&Record) -> Option<String>,
}

/// What was looked at, and how much of it was bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Segments of the log.
    pub(crate) segments: u64,
    /// Good groups in them.
    pub(crate) groups: u64,
    /// Records.
    pub(crate) records: u64,
    /// Pages.
    pub(crate) pages: u64,
    /// Blocks.
    pub(crate) blocks: u64,
    /// Bytes of blocks and pages that were hashed.
    pub(crate) bytes: u64,
    /// Findings of `Grade::Damage`.
    pub(crate) damaged: u64,
    /// Findings of `Grade::Missing`.
    pub(crate) missing: u64,
    /// Findings of `Grade::Repaired`.
    pub(crate) repaired: u64,
    /// Something that the log held is gone with a part of it, now or earlier.
    pub(crate) log_has_gaps: bool,
}

impl Summary {
    /// Nothing is wrong, and nothing that was lost has yet to come.
    pub(crate) fn is_clean(&self) -> bool {
        self.damaged == 0 && self.missing == 0
    }
}

/// Where findings go.
pub(super) struct Report<'a> {
    tell: &'a mut dyn FnMut(Event),
    damaged: u64,
    missing: u64,
}

impl<'a> Report<'a> {
    /// To somebody who listens.
    pub(super) fn new(tell: &'a mut dyn FnMut(Event)) -> Self {
        Self { tell, damaged: 0, missing: 0 }
    }

    /// How much of `Grade::Damage` was told until now.
    pub(super) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// The same of `Grade::Missing`.
    pub(super) fn missing(&self) -> u64 {
        self.missing
    }

    pub(super) fn found(&mut self, finding: Finding) {
        match finding.grade {
            Grade::Damage => self.damaged += 1,
            Grade::Missing => self.missing += 1,
            Grade::Repaired | Grade::Note => {}
        }
        (self.tell)(Event::Found(finding));
    }

    pub(super) fn note(
        &mut self,
        path: String,
        what: String,
        means: &'static str,
        advice: &'static str,
    ) {
        self.found(Finding { grade: Grade::Note, path, what, means, advice });
    }

    pub(super) fn damage(
        &mut self,
        path: String,
        what: String,
        means: &'static str,
        advice: &'static str,
    ) {
        self.found(Finding { grade: Grade::Damage, path, what, means, advice });
    }

    /// A file that somebody else has put there.
    pub(super) fn foreign(&mut self, path: String) {
        self.note(
            path,
            "a file that is not dfsd's".to_owned(),
            "nothing: it is never read",
            "remove it if it is not wanted",
        );
    }

    /// So many bytes more have been read.
    pub(super) fn advance(&mut self, bytes: u64) {
        (self.tell)(Event::Bytes(bytes));
    }
}
