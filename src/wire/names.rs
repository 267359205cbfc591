//! A question for names in order, and what is found: what is said between two who have the data key.
//!
//! Knows no key: both travel sealed, so that whoever stores without reading learns no name. Invariant: what is read is
//! within the bounds of names.

use super::Malformed;
use super::cursor::{Field, Reader, put_counted, require};
use crate::limits::{FOLDERS_TOLD_MAX, NAME_MAX};
use bytes::Bytes;

/// Which names somebody wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamesQuestion {
    /// This name and all in the folder of that name; empty for all names.
    pub of: Vec<u8>,
    /// Only what comes after this.
    pub after: Option<Vec<u8>>,
    /// What is in a folder further below is not told of, but the folder, once.
    pub one_level: bool,
}

/// What was found, beside the records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamesFound {
    /// Folders further below, each with a slash at its end.
    pub folders: Vec<Vec<u8>>,
    /// After what to ask for the rest. None if there is none.
    pub next: Option<Vec<u8>>,
}

/// Either of them, sealed under the data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedNames {
    /// Of the key.
    pub epoch: u32,
    /// Authenticates it.
    pub tag: [u8; 32],
    /// As many bytes as before.
    pub bytes: Bytes,
}

/// Which names a question covers.
#[derive(Debug)]
pub struct Scope<'a> {
    of: &'a [u8],
    /// The folder of that name, with its slash; empty for all names.
    folder: Vec<u8>,
    one_level: bool,
}

impl<'a> Scope<'a> {
    /// Of this question.
    #[must_use]
    pub fn new(question: &'a NamesQuestion) -> Self {
        let NamesQuestion { of, one_level, .. } = question;
        let mut folder = of.clone();
        if !folder.is_empty() && !folder.ends_with(b"/") {
            folder.push(b'/');
        }
        Self { of, folder, one_level: *one_level }
    }

    /// A name that may be a file's.
    #[must_use]
    pub fn of(&self) -> &'a [u8] {
        self.of
    }

    /// Whether a name is asked for.
    #[must_use]
    pub fn covers(&self, name: &[u8]) -> bool {
        name == self.of || name.starts_with(&self.folder)
    }

    /// Whether a name, and every one after it, is not asked for.
    #[must_use]
    pub fn is_past(&self, name: &[u8]) -> bool {
        name > self.folder.as_slice() && !name.starts_with(&self.folder)
    }

    /// Where to go on, if a name lies between the file and the folder of the same name.
    #[must_use]
    pub fn jump(&self, name: &[u8]) -> Option<Vec<u8>> {
        (name != self.of && name < self.folder.as_slice()).then(|| self.folder.clone())
    }

    /// The folder in which a name is, with its slash, if that is further below than is asked for.
    #[must_use]
    pub fn folder_below<'b>(&self, name: &'b [u8]) -> Option<&'b [u8]> {
        let rest = name.strip_prefix(self.folder.as_slice()).filter(|_| self.one_level)?;
        let slash = rest.iter().position(|byte| *byte == b'/')?;
        Some(&name[..=self.folder.len() + slash])
    }
}

impl NamesQuestion {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_name(&self.of, &mut out);
        put_after(self.after.as_deref(), &mut out);
        self.one_level.put(&mut out);
        out
    }

    /// Reads all of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let (of, after) = (take_name(&mut from)?, take_after(&mut from)?);
        let question = Self { of, after, one_level: Field::take(&mut from)? };
        from.finish()?;
        Ok(question)
    }
}

impl NamesFound {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let folders = u16::try_from(self.folders.len()).expect("there are few");
        folders.put(&mut out);
        self.folders.iter().for_each(|folder| put_name(folder, &mut out));
        put_after(self.next.as_deref(), &mut out);
        out
    }

    /// Reads all of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let count = usize::from(u16::take(&mut from)?);
        require(count <= FOLDERS_TOLD_MAX, "a list longer than its limit")?;
        let folders = (0..count).map(|_| take_name(&mut from)).collect::<Result<_, _>>()?;
        let found = Self { folders, next: take_after(&mut from)? };
        from.finish()?;
        Ok(found)
    }
}

impl Field for SealedNames {
    fn put(&self, out: &mut Vec<u8>) {
        self.epoch.put(out);
        self.tag.put(out);
        self.bytes.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (epoch, tag) = (Field::take(from)?, Field::take(from)?);
        Ok(Self { epoch, tag, bytes: Field::take(from)? })
    }
}

fn put_name(name: &[u8], out: &mut Vec<u8>) {
    put_counted(name, NAME_MAX, out);
}

fn take_name(from: &mut Reader<'_>) -> Result<Vec<u8>, Malformed> {
    from.counted(NAME_MAX).map(<[u8]>::to_vec)
}

fn put_after(after: Option<&[u8]>, out: &mut Vec<u8>) {
    after.is_some().put(out);
    if let Some(after) = after {
        put_name(after, out);
    }
}

fn take_after(from: &mut Reader<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    if bool::take(from)? { take_name(from).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let question = NamesQuestion { of: b"a/b".to_vec(), after: None, one_level: true };
        let bytes = question.encode();
        assert_eq!(NamesQuestion::decode(&bytes), Ok(question));
        let found = NamesFound { folders: vec![b"a/b/c/".to_vec()], next: Some(b"a/b/d".to_vec()) };
        assert_eq!(NamesFound::decode(&found.encode()), Ok(found.clone()));
        for length in 0..bytes.len() {
            assert!(NamesQuestion::decode(&bytes[..length]).is_err());
        }
        let long = NamesFound { folders: vec![vec![b'x']; FOLDERS_TOLD_MAX + 1], next: None };
        assert!(NamesFound::decode(&long.encode()).is_err());
        let mut longer = found.encode();
        longer.push(0);
        assert!(NamesFound::decode(&longer).is_err());
    }
}
