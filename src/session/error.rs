//! Why an operation did not succeed, named by whose fault it is.

use crate::limits::ATTRIBUTES_MAX;
use crate::wire::log_damage::LogDamage;
use crate::wire::message::{Message, Reason};
use std::fmt;

/// What an operation or a connection came to. Unless a variant says otherwise nothing was stored or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientError {
    /// Every node that could be asked says that there is no such name.
    NotFound,
    /// The name exists, and the operation asked for it not to.
    Exists,
    /// The node's clock, or a version of the name, is dated over a day beyond this machine's calendar.
    Future,
    /// Others changed the name each time that this was tried.
    Changed,
    /// No node could be reached; the sentence says which were tried.
    Unreachable(String),
    /// The node does not know this client's network key, or is no node: it said so.
    WrongNetwork,
    /// The connection broke. What was under way may have happened or not.
    Disconnected(String),
    /// No progress for `OPERATION_TIMEOUT`. What was under way may have happened or not.
    Silent,
    /// No node that can be reached has all of the file.
    Unavailable,
    /// The node did not take a block that it had been offered: it has no room any more, most likely.
    NotTaken,
    /// What is stored is damaged, or not what its record says.
    Damaged(String),
    /// The node shows a record that nobody with a write key of this network has signed. Nothing of it was believed.
    Forged,
    /// There is no data key here: nothing can be read or named.
    NoDataKey,
    /// There is no write key here: nothing can be stored or deleted.
    NoWriteKey,
    /// The node refused; its reason and its words.
    Refused(Reason, String),
    /// The other side broke the protocol.
    Protocol(String),
    /// The program gave up the operation.
    Aborted,
    /// The name is empty, too long, or has a NUL.
    BadName,
    /// The range begins where the file has no byte any more.
    BeyondEnd {
        /// The file's size.
        size: u64,
    },
    /// What is said of the file besides its name, size, time and mode does not fit into a record.
    LongAttributes,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such name"),
            Self::Exists => f.write_str("the name exists; nothing was changed"),
            Self::Future => f.write_str(
                "the node's clock, or a version of this name, is dated more than a day in the future by this \
                 machine's clock; nothing was changed; set the clocks right, or see --allow-future",
            ),
            Self::Changed => f.write_str(
                "others changed the name each time that this was tried; nothing was changed by it; try again",
            ),
            Self::Unreachable(tried) => write!(f, "no node could be reached ({tried})"),
            Self::WrongNetwork => f.write_str(
                "the node refused this network's key: it belongs to another network, or is not a dfsd node",
            ),
            Self::Disconnected(why) => {
                write!(
                    f,
                    "the connection to the node broke ({why}); what was under way may or may not be done"
                )
            }
            Self::Silent => f.write_str("the node made no progress for 10 s; try again"),
            Self::Unavailable => f.write_str(
                "no node that can be reached has all of it; try again when more nodes are up",
            ),
            Self::NotTaken => f.write_str(
                "the node could not store all of it (most likely its disk is full); nothing was stored",
            ),
            Self::Damaged(what) => write!(f, "what is stored is damaged: {what}"),
            Self::Forged => f.write_str(
                "the node shows a record that nobody who may write to this network has signed: \
                 it was neither opened nor believed, and nothing was changed; ask another node",
            ),
            Self::NoDataKey => {
                f.write_str("these keys cannot read: there is no data key")
            }
            Self::NoWriteKey => {
                f.write_str("these keys are read-only: there is no write key")
            }
            Self::Refused(reason, detail) => {
                write!(f, "the node refused ({}): {detail}", word(*reason))
            }
            Self::Protocol(what) => write!(f, "the node broke the protocol: {what}"),
            Self::Aborted => f.write_str("given up; nothing was stored"),
            Self::BadName => f.write_str("a name has 1 to 1280 bytes, and no NUL among them"),
            Self::BeyondEnd { size } => {
                write!(f, "the range begins beyond the end of the file, which has {size} bytes")
            }
            Self::LongAttributes => write!(
                f,
                "its extended attributes take more than {ATTRIBUTES_MAX} bytes; nothing was stored"
            ),
        }
    }
}

impl std::error::Error for ClientError {}

impl ClientError {
    /// What a refusal means for the operation.
    pub(super) fn refused(reason: Reason, detail: String) -> Self {
        match reason {
            Reason::Exists => Self::Exists,
            Reason::Damaged => Self::Damaged(detail),
            Reason::Changed => Self::Changed,
            Reason::NotAllowed
            | Reason::Malformed
            | Reason::Missing
            | Reason::NoSpace
            | Reason::Clock
            | Reason::Unavailable => Self::Refused(reason, detail),
        }
    }
}

/// What damage of a node's log means for whoever asks it, and what can be done.
#[must_use]
pub fn log_damage(damage: &LogDamage) -> String {
    format!(
        "{damage}, and no node that may have what was there has compared with it since: connect one, or give up what is \
         lost with `dfsd check --rebuild`"
    )
}

/// The greatest version of a name is damaged where it was asked for, and no peer that could be asked has it.
/// Or it was shown there and not kept.
pub(super) fn damaged_heads(kept: bool) -> ClientError {
    if !kept {
        return ClientError::Unavailable;
    }
    let what = "the name's newest version is damaged on the node's disk, and no other node that it reaches has it; \
                an older version is not shown instead (put or rm supersedes it)";
    ClientError::Damaged(what.to_owned())
}

/// A name is not known to a node that has lost nobody knows what.
pub(super) fn may_have_been(damage: &LogDamage) -> ClientError {
    ClientError::Damaged(format!("the name is not here, and may have been: {}", log_damage(damage)))
}

/// The version that a node shows would be moved, and it has lost nobody knows what.
pub(super) fn may_be_older(damage: &LogDamage) -> ClientError {
    ClientError::Damaged(format!(
        "this may not be the name's newest version, and nothing was moved: {}",
        log_damage(damage)
    ))
}

fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::NotAllowed => "not allowed",
        Reason::Malformed => "malformed",
        Reason::Missing => "blocks missing",
        Reason::Exists => "exists",
        Reason::NoSpace => "no space",
        Reason::Clock => "clock",
        Reason::Unavailable => "unavailable",
        Reason::Damaged => "damaged",
        Reason::Changed => "changed",
    }
}

/// The answer does not fit the question.
pub(super) fn unexpected(message: &Message) -> ClientError {
    let text: String = format!("{message:?}").chars().take(60).collect();
    ClientError::Protocol(format!("an unexpected answer, {text}"))
}
