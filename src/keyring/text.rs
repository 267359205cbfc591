//! Key files as text: a title, one field a line, and a checksum.
//!
//! Knows no file system. Invariant: a text is accepted only if it is, byte for byte, what would be
//! written for the key that it holds; so a damaged, cut or half-edited file is refused instead of
//! being half understood.
//!
//! ```text
//! dfsd network key, format 1
//! cluster 64 hex digits
//! secret 64 hex digits
//! epoch 1
//! root 64 hex digits
//! checksum 16 hex digits: of all lines before
//! ```
//!
//! `data.key` has one line `epoch NUMBER SECRET` for each epoch; `write.key` has `secret` and
//! `grant` (the record in base 32); `root.key` has `secret`; `node.key` has `sign` and `transport`.

use crate::crypto::keys::{DataKeys, Epoch, NetworkKey, NodeKey, RootKey, WriteKey, checksum};
use crate::crypto::sign::SignKey;
use crate::crypto::tags;
use crate::ids::{ClusterId, Hash, Writer};
use crate::keyring::armor;
use std::fmt::{self, Write};
use std::str::Lines;
use zeroize::Zeroizing;

/// Room enough for every key, so that a growing text leaves no copies of itself in memory.
const TEXT_CAPACITY: usize = 16 * 1024;
/// `checksum `, 16 digits and the line's end.
const CHECKSUM_LINE: usize = 9 + 16 + 1;

/// Why a text is not the key file it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadKeyFile {
    /// The checksum is wrong or missing: cut short, damaged or edited.
    Checksum,
    /// The first line says something else: another kind of key, or a format of a newer version.
    Title,
    /// This field is missing or not of its form.
    Field(&'static str),
    /// There is more than belongs there.
    Surplus,
}

impl fmt::Display for BadKeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum => {
                f.write_str("its checksum is wrong: it was cut short, damaged or edited")
            }
            Self::Title => {
                f.write_str("its first line names another kind of key, or a newer format")
            }
            Self::Field(name) => write!(f, "its field {name:?} is missing or malformed"),
            Self::Surplus => f.write_str("it has more lines than belong there"),
        }
    }
}

/// A key that has a file.
pub(super) trait KeyText: Sized {
    /// The file's name.
    const FILE: &'static str;
    /// The first line.
    const TITLE: &'static str;

    fn put(&self, out: &mut String) -> fmt::Result;
    fn take(from: &mut Fields<'_>) -> Result<Self, BadKeyFile>;
}

/// The whole text of a key's file.
pub(super) fn print<K: KeyText>(key: &K) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(TEXT_CAPACITY));
    text.push_str(K::TITLE);
    text.push('\n');
    key.put(&mut text).expect("writing to a string does not fail");
    let sum = checksum_line(&text);
    text.push_str(&sum);
    text
}

/// The key that a file's text holds.
pub(super) fn parse<K: KeyText>(text: &str) -> Result<K, BadKeyFile> {
    let split = text.len().checked_sub(CHECKSUM_LINE).ok_or(BadKeyFile::Checksum)?;
    let (body, sum) = text.split_at_checked(split).ok_or(BadKeyFile::Checksum)?;
    if sum != checksum_line(body) {
        return Err(BadKeyFile::Checksum);
    }
    let mut fields = Fields(body.lines());
    if fields.0.next() != Some(K::TITLE) {
        return Err(BadKeyFile::Title);
    }
    let key = K::take(&mut fields)?;
    if fields.0.next().is_some() || *print(&key) != text {
        return Err(BadKeyFile::Surplus);
    }
    Ok(key)
}

/// What would be written for the key that this text of a file of this name holds.
///
/// # Errors
/// What is wrong with the text.
pub fn reprint(file: &str, text: &str) -> Result<Zeroizing<String>, BadKeyFile> {
    match file {
        NetworkKey::FILE => parse::<NetworkKey>(text).map(|key| print(&key)),
        DataKeys::FILE => parse::<DataKeys>(text).map(|key| print(&key)),
        WriteKey::FILE => parse::<WriteKey>(text).map(|key| print(&key)),
        RootKey::FILE => parse::<RootKey>(text).map(|key| print(&key)),
        NodeKey::FILE => parse::<NodeKey>(text).map(|key| print(&key)),
        _ => Err(BadKeyFile::Title),
    }
}

fn checksum_line(body: &str) -> String {
    format!("checksum {}\n", Writer(checksum(tags::KEY_FILE, body.as_bytes())))
}

/// The lines of a key file that have not been read.
pub(super) struct Fields<'a>(Lines<'a>);

impl<'a> Fields<'a> {
    /// The value of the next line, if it has this name.
    fn next(&mut self, name: &'static str) -> Result<&'a str, BadKeyFile> {
        let value = self.0.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.ok_or(BadKeyFile::Field(name))
    }

    fn array(&mut self, name: &'static str) -> Result<Zeroizing<[u8; 32]>, BadKeyFile> {
        array(self.next(name)?).ok_or(BadKeyFile::Field(name))
    }
}

fn array(digits: &str) -> Option<Zeroizing<[u8; 32]>> {
    digits.parse::<Hash>().ok().map(|hash| Zeroizing::new(hash.0))
}

fn put_array(name: &str, bytes: &[u8; 32], out: &mut String) -> fmt::Result {
    writeln!(out, "{name} {}", Hash(*bytes))
}

impl KeyText for NetworkKey {
    const FILE: &'static str = "network.key";
    const TITLE: &'static str = "dfsd network key, format 1";

    fn put(&self, out: &mut String) -> fmt::Result {
        put_array("cluster", &self.cluster.0, out)?;
        put_array("secret", &self.secret, out)?;
        writeln!(out, "epoch {}", self.epoch)?;
        put_array("root", &self.root, out)
    }

    fn take(from: &mut Fields<'_>) -> Result<Self, BadKeyFile> {
        let cluster = ClusterId(*from.array("cluster")?);
        let secret = *from.array("secret")?;
        let epoch = from.next("epoch")?.parse().map_err(|_| BadKeyFile::Field("epoch"))?;
        Ok(Self { cluster, secret, epoch, root: *from.array("root")? })
    }
}

impl KeyText for DataKeys {
    const FILE: &'static str = "data.key";
    const TITLE: &'static str = "dfsd data key, format 1";

    fn put(&self, out: &mut String) -> fmt::Result {
        let put = |epoch: &Epoch| writeln!(out, "epoch {} {}", epoch.number, Hash(epoch.secret));
        self.epochs().iter().try_for_each(put)
    }

    fn take(from: &mut Fields<'_>) -> Result<Self, BadKeyFile> {
        let mut epochs = vec![];
        while from.0.clone().next().is_some() {
            let epoch = epoch(from.next("epoch")?);
            epochs.push(epoch.ok_or(BadKeyFile::Field("epoch"))?);
        }
        Self::from_epochs(epochs).ok_or(BadKeyFile::Field("epoch"))
    }
}

fn epoch(text: &str) -> Option<Epoch> {
    let (number, secret) = text.split_once(' ')?;
    Some(Epoch { number: number.parse().ok()?, secret: *array(secret)? })
}

impl KeyText for WriteKey {
    const FILE: &'static str = "write.key";
    const TITLE: &'static str = "dfsd write key, format 1";

    fn put(&self, out: &mut String) -> fmt::Result {
        put_array("secret", self.sign.secret(), out)?;
        out.push_str("grant ");
        armor::write(&self.grant, out);
        out.write_char('\n')
    }

    fn take(from: &mut Fields<'_>) -> Result<Self, BadKeyFile> {
        let sign = SignKey::from_secret(&*from.array("secret")?);
        let grant = armor::read(from.next("grant")?).ok_or(BadKeyFile::Field("grant"))?;
        Ok(Self { sign, grant: grant.to_vec() })
    }
}

impl KeyText for RootKey {
    const FILE: &'static str = "root.key";
    const TITLE: &'static str = "dfsd root key, format 1";

    fn put(&self, out: &mut String) -> fmt::Result {
        put_array("secret", self.0.secret(), out)
    }

    fn take(from: &mut Fields<'_>) -> Result<Self, BadKeyFile> {
        Ok(Self(SignKey::from_secret(&*from.array("secret")?)))
    }
}

impl KeyText for NodeKey {
    const FILE: &'static str = "node.key";
    const TITLE: &'static str = "dfsd node key, format 1";

    fn put(&self, out: &mut String) -> fmt::Result {
        put_array("sign", self.sign_key().secret(), out)?;
        put_array("transport", self.static_secret(), out)
    }

    fn take(from: &mut Fields<'_>) -> Result<Self, BadKeyFile> {
        let sign = from.array("sign")?;
        Ok(Self::from_secrets(&sign, &*from.array("transport")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network() -> NetworkKey {
        NetworkKey::generate(&[7; 32], &RootKey::generate(&[7; 32]))
    }

    fn data() -> DataKeys {
        let epochs = [1, 2, 9].map(|number| Epoch { number, secret: [number as u8; 32] });
        DataKeys::from_epochs(epochs.to_vec()).unwrap()
    }

    /// This text stays readable for ever.
    #[test]
    fn vector() {
        let text = "dfsd network key, format 1\n\
            cluster 15c1f6f53d1170baea9772bb1fa0fea2a4691338d5d55caa80b8fb5958812627\n\
            secret f5ad7a44851c60c89a582b5569638ee29924ddfa0804b30c0b9f4aa3fe74ea49\n\
            epoch 1\n\
            root 4345417e11517769340ffb88e5993bcade5469770d85d6c8641ada92e39470ff\n\
            checksum 897ddc65065724e6\n";
        assert_eq!(*print(&network()), text);
        assert_eq!(parse(text), Ok(network()));
    }

    #[test]
    fn every_kind_comes_back() {
        assert_eq!(parse(&print(&data())), Ok(data()));
        let write = WriteKey { sign: SignKey::from_secret(&[1; 32]), grant: vec![5; 33] };
        let again: WriteKey = parse(&print(&write)).unwrap();
        assert_eq!((again.sign, again.grant), (write.sign, write.grant));
        let root: RootKey = parse(&print(&RootKey::generate(&[3; 32]))).unwrap();
        assert_eq!(root.0, RootKey::generate(&[3; 32]).0);
        let node: NodeKey = parse(&print(&NodeKey::generate(&[3; 32]))).unwrap();
        assert_eq!(node.node_id(), NodeKey::generate(&[3; 32]).node_id());
    }

    fn summed(body: &str) -> String {
        format!("{body}{}", checksum_line(body))
    }

    #[test]
    fn other_texts_are_refused_with_a_reason() {
        let check =
            |text: &str, expected| assert_eq!(parse::<NetworkKey>(text), Err(expected), "{text}");
        let whole = print(&network());
        let body = &whole[..whole.len() - CHECKSUM_LINE];
        check("", BadKeyFile::Checksum);
        check(body, BadKeyFile::Checksum);
        check(&whole.replace('\n', "\r\n"), BadKeyFile::Checksum);
        check(
            "\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}a",
            BadKeyFile::Checksum,
        );
        check(&print(&data()), BadKeyFile::Title);
        check(&summed(&body.replace("format 1", "format 2")), BadKeyFile::Title);
        check(&summed(&body.replace("secret", "sekret")), BadKeyFile::Field("secret"));
        check(&summed(&body.replace("epoch 1", "epoch 99999")), BadKeyFile::Field("epoch"));
        check(&summed(&body.replace("epoch 1", "epoch 01")), BadKeyFile::Surplus);
        check(&summed(&format!("{body}more\n")), BadKeyFile::Surplus);
    }

    proptest! {
        #[test]
        fn a_changed_or_cut_text_is_refused(at: prop::sample::Index, byte in 1u8..128, cut: bool) {
            let mut text = print(&network()).as_bytes().to_vec();
            let place = at.index(text.len());
            if cut { text.truncate(place) } else { text[place] ^= byte }
            if let Ok(text) = std::str::from_utf8(&text) {
                prop_assert!(parse::<NetworkKey>(text).is_err());
            }
        }
    }
}
