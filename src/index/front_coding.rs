//! Front coding: a name is written as how much of the one before it it repeats, and the rest (Witten, Moffat and Bell,
//! *Managing Gigabytes*, 1999).
//!
//! Knows nothing of who keeps them. Invariant: what is written comes out as it was.

/// A name as it is written.
pub(super) struct Entry<'a> {
    /// So much of the one before it it repeats.
    pub(super) repeats: usize,
    pub(super) rest: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The first of a chunk's rest, and what follows it. None at the end.
    pub(super) fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (repeats, bytes) = take_length(bytes)?;
        let (length, bytes) = take_length(bytes)?;
        let (rest, bytes) = bytes.split_at_checked(length)?;
        Some((Self { repeats, rest }, bytes))
    }

    /// Makes its name out of the one before.
    pub(super) fn apply(&self, name: &mut Vec<u8>) {
        name.truncate(self.repeats);
        name.extend_from_slice(self.rest);
    }
}

/// Bytes with which both begin.
pub(super) fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// Writes a name that repeats so much of the one before it.
pub(super) fn put(repeats: usize, rest: &[u8], out: &mut Vec<u8>) {
    put_length(repeats, out);
    put_length(rest.len(), out);
    out.extend_from_slice(rest);
}

/// In one byte if it is less than 128, and else in two, of which the first has its top bit set.
fn put_length(length: usize, out: &mut Vec<u8>) {
    let [.., high, low] = length.to_be_bytes();
    debug_assert!(length < 1 << 15, "a name is not that long");
    if length >= 128 {
        out.extend([high | 128, low]);
    } else {
        out.push(low);
    }
}

fn take_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [high, low, rest @ ..] if *high >= 128 => {
            Some((usize::from(u16::from_be_bytes([high & 127, *low])), rest))
        }
        [low, rest @ ..] if *low < 128 => Some((usize::from(*low), rest)),
        _ => None,
    }
}
