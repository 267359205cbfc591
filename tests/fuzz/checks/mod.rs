//! What must hold for any bytes that come from outside: one check a target, used by the fuzzer and
//! by the test that replays the corpus.
//!
//! Knows no fuzzer. Invariant: a check depends on its input alone, and panics if it finds anything.

mod codec;
mod conn;
mod frames;
mod handshake;
mod log;
pub(crate) mod meter;
mod node;
mod stranger;
mod text;

/// A check.
pub(crate) type Check = fn(&[u8]);

/// All of them by name, small decoders first.
pub(crate) const TARGETS: &[(&str, Check)] = &[
    ("frame", frames::frame),
    ("message", codec::message),
    ("record", codec::record),
    ("page", codec::page),
    ("log", log::log),
    ("keys", text::keys),
    ("config", text::config),
    ("stranger", stranger::stranger),
    ("handshake", handshake::handshake),
    ("conn", conn::conn),
    ("node", node::node),
];

/// The check of this name.
pub(crate) fn check(name: &str) -> Option<Check> {
    TARGETS.iter().find(|(own, _)| *own == name).map(|(_, check)| *check)
}

/// Input, taken apart from its beginning. What is missing at the end is zero or empty.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
