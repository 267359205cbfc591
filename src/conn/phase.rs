//! The transition table: which frame may follow which, in one direction.
//!
//! Knows neither bytes nor which side we are: what we send is judged by the same table as what we
//! receive. Invariant: this is the only place where a phase changes.

use crate::wire::frame::{Open, leaf_length};
use std::fmt;

/// Where one direction of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No frame may pass yet.
    Handshake,
    /// Between streams.
    Message {
        /// The number of the last stream; 0 before the first.
        last: u16,
    },
    /// Within a stream.
    Stream(Run),
}

/// A stream and the leaves that are still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The stream's number.
    pub(super) stream: u16,
    /// The length of its block.
    pub(super) length: u32,
    /// The leaf that comes next.
    pub(super) next: u8,
    /// The leaf after the last.
    pub(super) end: u8,
}

/// A frame, as far as the table needs to know it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Message,
    Open { stream: u16, open: &'a Open },
    Chunk { stream: u16, length: usize },
    End { stream: u16 },
    Abort { stream: u16 },
}

/// What is wrong with a frame in the phase in which it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Illegal {
    /// A frame before the handshake has ended.
    Early,
    /// A chunk, end or abort outside a stream.
    OutsideStream,
    /// An open within a stream.
    WithinStream,
    /// A stream's number is not the one whose turn it is.
    StreamNumber,
    /// A chunk that is not as long as its leaf.
    ChunkLength,
    /// More chunks than the open said.
    TooManyChunks,
    /// An end before the last chunk.
    EndTooEarly,
}

impl Phase {
    /// The phase after the handshake.
    pub(super) const ESTABLISHED: Self = Self::Message { last: 0 };

    /// The table.
    pub(super) fn after(self, step: Step<'_>) -> Result<Self, Illegal> {
        match (self, step) {
            (
                Self::Handshake,
                Step::Message
                | Step::Open { .. }
                | Step::Chunk { .. }
                | Step::End { .. }
                | Step::Abort { .. },
            ) => Err(Illegal::Early),

            (phase @ (Self::Message { .. } | Self::Stream(_)), Step::Message) => Ok(phase),

            (Self::Message { last }, Step::Open { stream, open }) => {
                require(stream == number_after(last), Illegal::StreamNumber)?;
                Ok(Self::Stream(Run::new(stream, open)))
            }
            (Self::Message { .. }, Step::Chunk { .. } | Step::End { .. } | Step::Abort { .. }) => {
                Err(Illegal::OutsideStream)
            }

            (Self::Stream(_), Step::Open { .. }) => Err(Illegal::WithinStream),
            (Self::Stream(run), Step::Chunk { stream, length }) => {
                require(stream == run.stream, Illegal::StreamNumber)?;
                run.after_chunk(length).map(Self::Stream)
            }
            (Self::Stream(run), Step::End { stream }) => {
                require(stream == run.stream, Illegal::StreamNumber)?;
                require(run.next == run.end, Illegal::EndTooEarly)?;
                Ok(Self::Message { last: stream })
            }
            (Self::Stream(run), Step::Abort { stream }) => {
                require(stream == run.stream, Illegal::StreamNumber)?;
                Ok(Self::Message { last: stream })
            }
        }
    }
}

impl Run {
    fn new(stream: u16, open: &Open) -> Self {
        Self { stream, length: open.length, next: open.first, end: open.first + open.count }
    }

    fn after_chunk(self, length: usize) -> Result<Self, Illegal> {
        require(self.next < self.end, Illegal::TooManyChunks)?;
        require(length == leaf_length(self.length, self.next), Illegal::ChunkLength)?;
        Ok(Self { next: self.next + 1, ..self })
    }
}

fn require(holds: bool, illegal: Illegal) -> Result<(), Illegal> {
    if holds { Ok(()) } else { Err(illegal) }
}

/// The number of the stream after this one: 0 is no stream's.
pub(super) fn number_after(last: u16) -> u16 {
    last.checked_add(1).unwrap_or(1)
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Early => "a frame before the handshake ended",
            Self::OutsideStream => "a part of a stream outside a stream",
            Self::WithinStream => "a stream within a stream",
            Self::StreamNumber => "a stream's number out of turn",
            Self::ChunkLength => "a chunk that is not as long as its leaf",
            Self::TooManyChunks => "more chunks than the stream was to have",
            Self::EndTooEarly => "the end of a stream before its last chunk",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Address, Hash};
    use crate::limits::LEAF;

    const BETWEEN: Phase = Phase::Message { last: 4 };

    /// A stream, number 5, of two leaves of which the second has one byte.
    fn open() -> Open {
        let leaves = vec![Hash::default(); 2];
        Open { address: Address::default(), length: LEAF as u32 + 1, first: 0, count: 2, leaves }
    }

    fn within(next: u8) -> Phase {
        Phase::Stream(Run { stream: 5, length: LEAF as u32 + 1, next, end: 2 })
    }

    #[test]
    fn the_whole_table() {
        let open = open();
        let opened = |stream| Step::Open { stream, open: &open };
        let chunk = |length| Step::Chunk { stream: 5, length };
        let (end, abort) = (Step::End { stream: 5 }, Step::Abort { stream: 5 });
        let after = Phase::Message { last: 5 };
        let rows = [
            (Phase::Handshake, Step::Message, Err(Illegal::Early)),
            (Phase::Handshake, opened(1), Err(Illegal::Early)),
            (Phase::Handshake, chunk(1), Err(Illegal::Early)),
            (Phase::Handshake, end, Err(Illegal::Early)),
            (Phase::Handshake, abort, Err(Illegal::Early)),
            (BETWEEN, Step::Message, Ok(BETWEEN)),
            (BETWEEN, opened(5), Ok(within(0))),
            (BETWEEN, opened(4), Err(Illegal::StreamNumber)),
            (BETWEEN, opened(6), Err(Illegal::StreamNumber)),
            (BETWEEN, chunk(1), Err(Illegal::OutsideStream)),
            (BETWEEN, end, Err(Illegal::OutsideStream)),
            (BETWEEN, abort, Err(Illegal::OutsideStream)),
            (within(0), Step::Message, Ok(within(0))),
            (within(0), opened(6), Err(Illegal::WithinStream)),
            (within(0), chunk(LEAF), Ok(within(1))),
            (within(0), chunk(1), Err(Illegal::ChunkLength)),
            (within(1), chunk(LEAF), Err(Illegal::ChunkLength)),
            (within(1), chunk(0), Err(Illegal::ChunkLength)),
            (within(1), chunk(1), Ok(within(2))),
            (within(2), chunk(0), Err(Illegal::TooManyChunks)),
            (within(1), Step::Chunk { stream: 4, length: 1 }, Err(Illegal::StreamNumber)),
            (within(1), end, Err(Illegal::EndTooEarly)),
            (within(2), end, Ok(after)),
            (within(2), Step::End { stream: 6 }, Err(Illegal::StreamNumber)),
            (within(0), abort, Ok(after)),
            (within(2), abort, Ok(after)),
            (within(0), Step::Abort { stream: 6 }, Err(Illegal::StreamNumber)),
        ];
        for (phase, step, expected) in rows {
            assert_eq!(phase.after(step), expected, "{phase:?} {step:?}");
        }
    }

    #[test]
    fn numbers_wrap_past_zero() {
        let (last, open) = (Phase::Message { last: u16::MAX }, open());
        assert!(last.after(Step::Open { stream: 1, open: &open }).is_ok());
        assert!(last.after(Step::Open { stream: 0, open: &open }).is_err());
    }
}
