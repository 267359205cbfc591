//! Cuts what arrives into pieces: a preface, a handshake message, a transport record.
//!
//! Knows nothing of what is in a piece. Invariant: keeps at most one partial piece, never more than
//! its bytes that have come, and nothing between pieces.

use crate::conn::error::{ConnError, Rule};
use crate::crypto::noise::OVERHEAD;
use crate::limits::{FRAME_HEAD, TRANSPORT_RECORD_MAX};
use std::borrow::Cow;

/// The length that stands before a transport record.
pub(super) const RECORD_LENGTH: usize = 2;
/// A transport record whose frame has no body.
const RECORD_MIN: usize = RECORD_LENGTH + FRAME_HEAD + OVERHEAD;

/// What the next piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// So many bytes.
    Exactly(usize),
    /// A length of two bytes and as many bytes.
    Record,
}

impl Form {
    /// The length of the whole piece, once its beginning tells.
    fn length(self, beginning: &[u8]) -> Result<Option<usize>, ConnError> {
        match self {
            Self::Exactly(length) => Ok(Some(length)),
            Self::Record => {
                beginning.first_chunk().map(|length| record_length(*length)).transpose()
            }
        }
    }
}

fn record_length(length: [u8; RECORD_LENGTH]) -> Result<usize, ConnError> {
    let whole = RECORD_LENGTH + usize::from(u16::from_be_bytes(length));
    if (RECORD_MIN..=TRANSPORT_RECORD_MAX).contains(&whole) {
        Ok(whole)
    } else {
        Err(ConnError::Broke(Rule::RecordLength))
    }
}

/// The beginning of a piece whose rest has not come.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    partial: Vec<u8>,
}

impl Assembler {
    /// Takes the next whole piece off `input`, straight from there where possible; `None` when all
    /// is taken and the piece is not whole.
    pub(super) fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
        form: Form,
    ) -> Result<Option<Cow<'a, [u8]>>, ConnError> {
        if self.partial.is_empty()
            && let Some(length) = form.length(input)?
            && let Some((piece, rest)) = input.split_at_checked(length)
        {
            *input = rest;
            return Ok(Some(Cow::Borrowed(piece)));
        }
        self.fill(input, RECORD_LENGTH);
        let Some(length) = form.length(&self.partial)? else {
            return Ok(None);
        };
        self.fill(input, length);
        let whole = self.partial.len() == length;
        Ok(whole.then(|| Cow::Owned(std::mem::take(&mut self.partial))))
    }

    /// Bytes kept of a piece that is not whole.
    pub(super) fn partial_bytes(&self) -> usize {
        self.partial.len()
    }

    fn fill(&mut self, input: &mut &[u8], length: usize) {
        let missing = length.saturating_sub(self.partial.len()).min(input.len());
        let (taken, rest) = input.split_at(missing);
        self.partial.extend_from_slice(taken);
        *input = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(form: Form, bytes: &[u8], step: usize) -> Result<Vec<Vec<u8>>, ConnError> {
        let (mut assembler, mut found) = (Assembler::default(), Vec::new());
        for mut part in bytes.chunks(step) {
            while let Some(piece) = assembler.next(&mut part, form)? {
                found.push(piece.into_owned());
            }
            assert!(part.is_empty(), "all is taken");
        }
        Ok(found)
    }

    #[test]
    fn pieces_are_the_same_however_the_bytes_come() {
        let record = [vec![0, 24], vec![7; 24]].concat();
        let bytes = [record.clone(), record.clone(), vec![0, 30, 1]].concat();
        for step in 1..=bytes.len() {
            assert_eq!(pieces(Form::Record, &bytes, step), Ok(vec![record.clone(); 2]), "{step}");
            let eights = pieces(Form::Exactly(8), &bytes, step).unwrap();
            assert_eq!(eights.concat(), bytes[..48], "{step}");
        }
    }

    #[test]
    fn a_length_is_judged_before_its_bytes_come() {
        for length in [0, 23, TRANSPORT_RECORD_MAX as u16 - 1, u16::MAX] {
            let error = Err(ConnError::Broke(Rule::RecordLength));
            assert_eq!(pieces(Form::Record, &length.to_be_bytes(), 1), error, "{length}");
        }
        assert_eq!(
            pieces(Form::Record, &(TRANSPORT_RECORD_MAX as u16 - 2).to_be_bytes(), 2),
            Ok(vec![])
        );
    }
}
