//! The ticket: one line of text with which a machine joins the network, or a client reaches it.
//!
//! Knows nothing about how it is brought there; it is a secret, so never on a command line or in a
//! log. Invariant: a ticket that reads is whole, and its write key is granted by its network's
//! root.
//!
//! `dfsd1-` and base 32 of: peers `list` of (node `[32]`, address `text`), cluster `[32]`, network
//! secret `[32]`, epoch `u16`, root `[32]`, data key `list` of (epoch `u32`, secret `[32]`), write
//! key `option` of (secret `[32]`, grant `bytes`), checksum `[8]` of all that. An empty list is no
//! data key. Fields are as in `wire`.

use crate::crypto::keys::{DataKeys, Epoch, NetworkKey, WriteKey, checksum};
use crate::crypto::sign::SignKey;
use crate::crypto::tags;
use crate::ids::ClusterId;
use crate::keyring::access::Access;
use crate::keyring::armor;
use crate::limits::{PEERS_MAX, RECORD_MAX};
use crate::wire::Malformed;
use crate::wire::cursor::{Field, Reader, put_counted, put_list};
use crate::wire::message::PeerAddress;
use std::fmt;
use zeroize::Zeroizing;

const PREFIX: &str = "dfsd1-";
/// Epochs that a ticket can carry.
const EPOCHS_MAX: usize = 1024;

/// Where the network is, and what its bearer may do there.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Nodes to ask first.
    pub peers: Vec<PeerAddress>,
    /// The keys.
    pub access: Access,
}

/// Why a text is no ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadTicket {
    /// It does not begin like one.
    NotATicket,
    /// It begins like one of a newer version.
    Newer,
    /// A character is wrong or missing.
    Damaged,
    /// Whole, but made by a program with an error.
    Malformed(Malformed),
    /// Its write key is not granted by its network's root.
    NotGranted,
}

impl fmt::Display for BadTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotATicket => write!(f, "not a valid ticket: one begins with {PREFIX}"),
            Self::Newer => f.write_str("this ticket is of a newer version of dfsd"),
            Self::Damaged => f.write_str("the ticket is truncated or corrupted"),
            Self::Malformed(Malformed(reason)) => write!(f, "the ticket is malformed: {reason}"),
            Self::NotGranted => {
                f.write_str("the ticket's write key is not granted by its network's root")
            }
        }
    }
}

impl std::error::Error for BadTicket {}

impl Ticket {
    /// The line, without its end.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
        self.put(&mut bytes);
        let sum = checksum(tags::TICKET, &bytes);
        bytes.extend_from_slice(&sum);
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + bytes.len() * 2));
        text.push_str(PREFIX);
        armor::write(&bytes, &mut text);
        text
    }

    /// Reads a line. Blanks and line ends around it do not matter.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BadTicket> {
        let bytes = armor::read(digits(text.trim())?).ok_or(BadTicket::Damaged)?;
        let (body, sum) = bytes.split_last_chunk().ok_or(BadTicket::Damaged)?;
        if checksum(tags::TICKET, body) != *sum {
            return Err(BadTicket::Damaged);
        }
        let mut from = Reader::new(body);
        let ticket = Self::take(&mut from).map_err(BadTicket::Malformed)?;
        from.finish().map_err(BadTicket::Malformed)?;
        if ticket.access.is_consistent() { Ok(ticket) } else { Err(BadTicket::NotGranted) }
    }

    fn put(&self, out: &mut Vec<u8>) {
        let Access { network, data, write } = &self.access;
        put_list(&self.peers, PEERS_MAX, out);
        network.cluster.put(out);
        network.secret.put(out);
        network.epoch.put(out);
        network.root.put(out);
        put_list(data.as_ref().map_or(&[], DataKeys::epochs), EPOCHS_MAX, out);
        write.is_some().put(out);
        if let Some(write) = write {
            write.sign.secret().put(out);
            put_counted(&write.grant, RECORD_MAX, out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let peers = from.list(PEERS_MAX)?;
        let network = NetworkKey {
            cluster: ClusterId::take(from)?,
            secret: Field::take(from)?,
            epoch: Field::take(from)?,
            root: Field::take(from)?,
        };
        let data = take_data(from)?;
        let write = if bool::take(from)? { Some(take_write(from)?) } else { None };
        Ok(Self { peers, access: Access { network, data, write } })
    }
}

/// What follows the prefix.
fn digits(text: &str) -> Result<&str, BadTicket> {
    if let Some(digits) = text.strip_prefix(PREFIX) {
        return Ok(digits);
    }
    let version = text.strip_prefix("dfsd").and_then(|rest| rest.split_once('-'));
    let is_newer = version.is_some_and(|(version, _)| version.parse::<u32>().is_ok());
    Err(if is_newer { BadTicket::Newer } else { BadTicket::NotATicket })
}

fn take_data(from: &mut Reader<'_>) -> Result<Option<DataKeys>, Malformed> {
    let epochs: Vec<Epoch> = from.list(EPOCHS_MAX)?;
    if epochs.is_empty() {
        return Ok(None);
    }
    DataKeys::from_epochs(epochs).map(Some).ok_or(Malformed("epochs not in ascending order"))
}

fn take_write(from: &mut Reader<'_>) -> Result<WriteKey, Malformed> {
    let secret = Zeroizing::new(from.array()?);
    let grant = from.counted(RECORD_MAX)?.to_vec();
    Ok(WriteKey { sign: SignKey::from_secret(&secret), grant })
}

impl Field for Epoch {
    fn put(&self, out: &mut Vec<u8>) {
        self.number.put(out);
        self.secret.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { number: u32::take(from)?, secret: Field::take(from)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::RootKey;
    use crate::ids::NodeId;
    use crate::keyring::grant::grant;
    use proptest::prelude::*;

    fn ticket() -> Ticket {
        let root = RootKey::generate(&[7; 32]);
        let sign = WriteKey::generate(&[7; 32]);
        let grant = grant(&root, &sign.public(), 1_700_000_000_000);
        let access = Access {
            network: NetworkKey::generate(&[7; 32], &root),
            data: Some(DataKeys::generate(&[7; 32])),
            write: Some(WriteKey { sign, grant }),
        };
        let peer =
            |node, address: &str| PeerAddress { node: NodeId([node; 32]), address: address.into() };
        Ticket { peers: vec![peer(1, "10.0.0.1:7400"), peer(1, "[::1]:7400")], access }
    }

    fn same(left: &Ticket, right: &Ticket) -> bool {
        left.encode() == right.encode() && left.peers == right.peers
    }

    #[test]
    fn all_three_kinds_come_back() {
        let full = ticket();
        let reader = Ticket { access: full.access.read_only(), ..full.clone() };
        let blind = Ticket { access: full.access.blind(), ..full.clone() };
        for ticket in [&full, &reader, &blind] {
            let text = ticket.encode();
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
            assert!(same(&Ticket::parse(&format!(" {}\r\n", *text)).unwrap(), ticket));
        }
        assert!(reader.access.write.is_none() && !reader.access.is_blind());
        assert!(blind.access.is_blind());
        assert!(blind.encode().len() < reader.encode().len());
    }

    /// A blind ticket without peers. It stays readable for ever.
    #[test]
    fn vector() {
        let blind = Ticket { peers: vec![], access: ticket().access.blind() };
        let text = "dfsd1-aaablqpw6u6rc4f25klxfoy7ud7kfjdjcm4nlvk4vkalr62zlcasmj7vvv5ejbi4mdejuwblkv\
            uwhdxctesn36qiaszqyc47jkr745hkjeaacq2fif7bculxne2a764i4wmtxsw6kruxodmf23egigw2sl\
            rzi4h7aaaabaw7llgpubygxi";
        assert_eq!(*blind.encode(), text);
    }

    #[test]
    fn other_texts_are_refused_with_a_reason() {
        let check =
            |text: &str, expected| assert_eq!(Ticket::parse(text).err(), Some(expected), "{text}");
        check("", BadTicket::NotATicket);
        check("hello", BadTicket::NotATicket);
        check("dfsd2-aaaa", BadTicket::Newer);
        check("dfsd1-", BadTicket::Damaged);
        check("dfsd1-aaaaaaaaaaaaaaaaaaaaaaaaaaaa", BadTicket::Damaged);
        let mut other_root = ticket();
        other_root.access.network.root = [9; 32];
        check(&other_root.encode(), BadTicket::NotGranted);
    }

    #[test]
    fn debug_prints_no_secret() {
        let printed = format!("{:?}", ticket());
        let secret = crate::ids::Hash(ticket().access.network.secret).to_string();
        assert!(!printed.contains(&secret[..8]));
    }

    proptest! {
        #[test]
        fn a_changed_or_cut_ticket_is_refused(at: prop::sample::Index, byte in 1u8..128, cut: bool) {
            let mut text = ticket().encode().as_bytes().to_vec();
            let place = at.index(text.len());
            if cut { text.truncate(place) } else { text[place] ^= byte }
            let text = String::from_utf8(text).unwrap();
            prop_assert!(Ticket::parse(&text).is_err());
        }

        #[test]
        fn no_bytes_with_a_good_checksum_panic(mut bytes: Vec<u8>) {
            let sum = checksum(tags::TICKET, &bytes);
            bytes.extend_from_slice(&sum);
            let mut text = PREFIX.to_owned();
            armor::write(&bytes, &mut text);
            if let Ok(ticket) = Ticket::parse(&text) {
                prop_assert_eq!(&*ticket.encode(), &text);
            }
        }
    }
}
