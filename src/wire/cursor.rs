//! Reading and writing the primitive fields of which every encoding is made.
//!
//! Knows no message. Invariants: reading never panics and never allocates more than the bytes at
//! hand and the field's own bound allow; what `Field::take` accepts, `Field::put` writes back byte
//! for byte.

use crate::ids::{
    Address, ClusterId, Hash, NameId, NodeId, RecordId, Space, StoreId, VersionId, Writer,
};
use crate::limits::MESSAGE_TEXT_MAX;
use crate::seeded::{self, Bug};
use crate::time::FileTime;
use crate::wire::Malformed;
use bytes::Bytes;

/// What of some bytes has not been read.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `count` bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed("cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed("cut short"))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Bytes with a length of two bytes before them.
    pub(crate) fn counted(&mut self, max: usize) -> Result<&'a [u8], Malformed> {
        let length = usize::from(u16::take(self)?);
        require(length <= max, "a field longer than its limit")?;
        self.bytes(length)
    }

    /// A list with the number of its items, two bytes, before it.
    pub(crate) fn list<T: Field>(&mut self, max: usize) -> Result<Vec<T>, Malformed> {
        let count = usize::from(u16::take(self)?);
        require(count <= max, "a list longer than its limit")?;
        require(count <= self.rest.len(), "cut short")?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(T::take(self)?);
        }
        Ok(items)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        require(self.rest.is_empty(), "bytes after the end")
    }
}

/// An error with this sentence unless the condition holds.
pub(crate) fn require(holds: bool, broken: &'static str) -> Result<(), Malformed> {
    if holds { Ok(()) } else { Err(Malformed(broken)) }
}

/// See `Reader::counted`. For what is signed or kept by who composes it here: to cut it would change what it says, and no
/// number that comes from others reaches it.
pub(crate) fn put_counted(bytes: &[u8], max: usize, out: &mut Vec<u8>) {
    assert!(bytes.len() <= max, "we made a field of {} bytes, over {max}", bytes.len());
    put_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// See `Reader::list`; and `put_counted`.
pub(crate) fn put_list<T: Field>(items: &[T], max: usize, out: &mut Vec<u8>) {
    assert!(items.len() <= max, "we made a list of {} items, over {max}", items.len());
    put_length(items.len(), out);
    items.iter().for_each(|item| item.put(out));
}

/// As much of these bytes as the bound allows: how many there are may depend on what others do, and then a short message
/// is better than no node.
pub(crate) fn put_clipped(bytes: &[u8], max: usize, out: &mut Vec<u8>) {
    put_counted(bytes.get(..max).unwrap_or(bytes), max, out);
}

/// As many of these items as the bound allows; see `put_clipped`.
pub(crate) fn put_clipped_list<T: Field>(items: &[T], max: usize, out: &mut Vec<u8>) {
    let clip = if seeded::is_on(Bug::EncodeAnyLength) { usize::MAX } else { max };
    put_list(items.get(..clip).unwrap_or(items), max, out);
}

/// As much of a text as a message carries: whole characters.
pub(crate) fn clipped(text: &str) -> &str {
    &text[..text.floor_char_boundary(MESSAGE_TEXT_MAX)]
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    u16::try_from(length).expect("every bound is below 64 KiB").put(out);
}

/// A value with one encoding.
pub(crate) trait Field: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed>;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(Self::from_be_bytes(from.array()?))
            }
        }
    )*};
}
integers!(u8, u16, u32, u64, i64);

macro_rules! ids {
    ($($type:ident),*) => {$(
        impl Field for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(Self(from.array()?))
            }
        }
    )*};
}
ids!(Address, NameId, RecordId, NodeId, ClusterId, Hash, StoreId, Space, Writer);

impl<const N: usize> Field for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.array()
    }
}

impl Field for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("a yes or no that is neither")),
        }
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        if bool::take(from)? { T::take(from).map(Some) } else { Ok(None) }
    }
}

impl<T: Field> Field for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        T::take(from).map(Self::new)
    }
}

impl Field for FileTime {
    fn put(&self, out: &mut Vec<u8>) {
        self.seconds.put(out);
        self.nanos.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let time = Self { seconds: i64::take(from)?, nanos: u32::take(from)? };
        require(time.nanos < 1_000_000_000, "more nanoseconds than a second has")?;
        Ok(time)
    }
}

impl Field for VersionId {
    fn put(&self, out: &mut Vec<u8>) {
        self.stamp.put(out);
        self.writer.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { stamp: u64::take(from)?, writer: Writer::take(from)? })
    }
}

impl Field for Bytes {
    fn put(&self, out: &mut Vec<u8>) {
        put_clipped(self, usize::from(u16::MAX), out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.counted(usize::from(u16::MAX)).map(Self::copy_from_slice)
    }
}

impl Field for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_counted(clipped(self).as_bytes(), MESSAGE_TEXT_MAX, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let bytes = from.counted(MESSAGE_TEXT_MAX)?;
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed("text that is not UTF-8"))?;
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_or_not_canonical_is_refused() {
        assert!(u32::take(&mut Reader::new(&[1, 2, 3])).is_err());
        assert!(bool::take(&mut Reader::new(&[2])).is_err());
        assert!(<Option<u8> as Field>::take(&mut Reader::new(&[1])).is_err());
        assert!(String::take(&mut Reader::new(&[0, 1, 0xff])).is_err());
        assert!(Reader::new(&[0, 3, 1, 2, 3]).counted(2).is_err());
        assert!(Reader::new(&[0xff, 0xff, 1]).list::<u64>(70_000).is_err());
        assert!(Reader::new(&[0]).finish().is_err());
    }
}
