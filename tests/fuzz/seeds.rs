//! Where the corpus begins: true values of everything, written by
//! `cargo test --test integration fuzz::seeds::write -- --ignored`.
//!
//! Knows no fuzzer. Invariant: decoders accept their seeds.

use super::corpus;
use dfsd::crypto::keys::{DataKeys, Epoch, NetworkKey, NodeKey, RootKey, WriteKey};
use dfsd::crypto::sign::SignKey;
use dfsd::crypto::tree;
use dfsd::ids::{Address, NameId, NodeId, Space, VersionId, Writer};
use dfsd::keyring::{Access, Ticket, grant};
use dfsd::time::FileTime;
use dfsd::wire::attributes::{Attributes, Xattr};
use dfsd::wire::frame::{FrameKind, Head, Open, leaves_of};
use dfsd::wire::message::{BlockRef, Message, PeerAddress};
use dfsd::wire::page::{Entries, Page, PageRef};
use dfsd::wire::permit::Permit;
use dfsd::wire::record::{BlockList, Extension, FORMAT, Record, RecordKind};
use dfsd::wire::sealed::{Sealed, Secret};
use std::fs;

type Seed = (String, Vec<u8>);

fn seed(name: &str, bytes: impl Into<Vec<u8>>) -> Seed {
    (name.to_owned(), bytes.into())
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes);
    bytes
}

fn all() -> Vec<(&'static str, Vec<Seed>)> {
    vec![
        ("frame", frames()),
        ("message", messages()),
        ("record", records()),
        ("page", pages()),
        ("log", logs()),
        ("keys", keys()),
        ("config", configs()),
        ("stranger", strangers()),
        ("handshake", handshakes()),
        ("conn", conns()),
        ("node", nodes()),
    ]
}

#[test]
#[ignore = "writes the corpus"]
fn write() {
    for (target, seeds) in all() {
        let folder = corpus().join(target);
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
}

/// One of every kind: the vectors that never change.
fn messages() -> Vec<Seed> {
    let lines = include_str!("../../src/wire/message/codec/vectors.txt").lines();
    lines
        .map(|line| {
            let digits = line.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
            let bytes: Vec<u8> = digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect();
            assert!(Message::decode(&bytes).is_ok());
            (format!("kind-{}", bytes[0]), bytes)
        })
        .collect()
}

fn block(number: u8) -> BlockRef {
    BlockRef { address: marked(number), length: 5 }
}

/// What the check of `node` turns into the address of one of its blocks.
fn marked(number: u8) -> Address {
    let mut address = [0; 32];
    address[..3].copy_from_slice(&[b'@', b'@', number]);
    Address(address)
}

fn record_of(kind: RecordKind, blocks: BlockList) -> Record {
    Record {
        format: FORMAT,
        kind,
        space: Space([0; 16]),
        name: NameId([1; 32]),
        version: VersionId { stamp: 1_795_305_600_000 << 16, writer: Writer([2; 8]) },
        parents: Vec::new(),
        epoch: 1,
        signer: [3; 32],
        blocks,
        extensions: Vec::new(),
        sealed_tag: [4; 32],
        sealed: vec![5; 40],
        signature: [6; 64],
    }
}

fn parents() -> Vec<VersionId> {
    [9, 8, 8].iter().zip([1, 2, 1]).map(version).collect()
}

fn version((stamp, writer): (&u64, u8)) -> VersionId {
    VersionId { stamp: *stamp, writer: Writer([writer; 8]) }
}

fn files() -> Vec<(&'static str, Record)> {
    let one = BlockList::Inline(vec![block(0)]);
    let paged =
        BlockList::Pages { root: Address([7; 32]), depth: 2, blocks: 600, bytes: 600 << 20 };
    let extension = |tag| Extension { tag, value: vec![1, 2, 3] };
    let mut much = record_of(RecordKind::File, BlockList::Inline(vec![block(1); 4]));
    much.parents = parents();
    much.extensions = vec![extension(2), extension(7)];
    vec![
        ("empty", record_of(RecordKind::File, BlockList::Inline(vec![]))),
        ("file", record_of(RecordKind::File, one)),
        ("much", much),
        ("paged", record_of(RecordKind::File, paged)),
        ("tombstone", record_of(RecordKind::Tombstone, BlockList::Inline(vec![]))),
        ("unknown", record_of(RecordKind::Other(9), BlockList::Inline(vec![]))),
    ]
}

fn granted() -> Vec<u8> {
    grant::grant(&RootKey::generate(&[1; 32]), &WriteKey::generate(&[3; 32]).public(), 1_000)
}

fn records() -> Vec<Seed> {
    let secret = || Secret { key: [1; 32], tree: [2; 32] };
    let sealed = Sealed {
        name: b"letters/1.txt".to_vec(),
        size: 70_000,
        mtime: Some(FileTime { seconds: 1_700_000_000, nanos: 7 }),
        mode: 0o644,
        content_type: "text/plain".to_owned(),
        hash: [9; 32],
        secrets: vec![secret(), secret()],
        attributes: Attributes {
            allocated: Some(4096),
            xattrs: vec![Xattr { name: b"user.a".to_vec(), value: b"b".to_vec() }],
            ..Attributes::default()
        },
    };
    assert!(Sealed::decode(FORMAT, &encoded(|out| sealed.encode(out))).is_ok());
    let mut seeds: Vec<_> =
        files().iter().map(|(name, record)| seed(name, record.to_bytes())).collect();
    for (name, bytes) in &seeds {
        assert!(Record::decode(bytes).is_ok(), "{name}");
    }
    seeds.push(seed("grant", granted()));
    seeds.push(seed("sealed", encoded(|out| sealed.encode(out))));
    seeds.push(seed("secrets", vec![7; 128]));
    seeds
}

fn pages() -> Vec<Seed> {
    let page = |entries: Entries| {
        let sealed = vec![8; entries.count() * 64];
        let bytes = encoded(|out| Page { entries, sealed }.encode(out));
        assert!(Page::decode(&bytes).is_ok());
        bytes
    };
    let below = PageRef { address: Address([1; 32]), blocks: 512, bytes: 512 << 20 };
    let full = BlockRef { address: Address([1; 32]), length: 1 << 20 };
    let last = BlockRef { address: Address([2; 32]), length: 77 };
    let foot = |length: u32| {
        let leaves = vec![1; leaves_of(length) * 32];
        let mut bytes = [&length.to_be_bytes()[..], &leaves, b"dfsdblk\n\x00\x01\x00\x00"].concat();
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 16]);
        bytes
    };
    vec![
        seed("blocks", page(Entries::Blocks(vec![full, full, last]))),
        seed("pages", page(Entries::Pages { depth: 2, pages: vec![below, below] })),
        seed("foot-1", foot(1)),
        seed("foot-3", foot(70_000)),
        seed("foot-32", foot(1 << 20)),
    ]
}

fn item(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u32).to_be_bytes();
    [&[kind][..], &[kind; 32], &length, &[0; 4], bytes].concat()
}

fn log_frame(number: u64, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut frame =
        [&b"dfsG"[..], &(body.len() as u32).to_be_bytes(), &number.to_be_bytes()].concat();
    frame.extend([0, 0, 0, 77, 0, 0, 0, flags, 0, 0, 0, 0, 0, 0, 0, 0]);
    frame.extend(body);
    frame.extend(b"done");
    frame
}

fn logs() -> Vec<Seed> {
    let body = [
        item(1, &[]),
        item(2, &70_000_u32.to_be_bytes()),
        item(3, b"small"),
        item(4, b"page"),
        item(5, b"record"),
    ]
    .concat();
    let good = log_frame(42, 0, &body);
    let segment = |end: u8, frames: &[&[u8]]| [&[end][..], &frames.concat()].concat();
    let mut header = b"dfsdseg\n\x00\x01\x00\x00\x00\x00\x00\x12".to_vec();
    header.extend([1; 32]);
    header.extend([0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x23, 0x28]);
    header.extend([0, 0, 0, 0, 0, 0, 1, 244, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0]);
    let next = log_frame(43, 0, &item(5, b"another"));
    // A mark, how many are listed, and one: its number, the one before, and where that ends.
    let removed = [0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 11, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0x23, 0x29];
    let mut present = header.clone();
    present[9] = 2;
    present.extend(removed);
    present.extend([0; 4]);
    let gone = log_frame(43, 0, &[item(6, &[]), item(7, &[7; 8]), item(5, b"record")].concat());
    let gone_for_good = log_frame(44, 0, &item(8, &removed));
    let mixed = log_frame(44, 0, &[item(8, &removed), item(1, &[])].concat());
    vec![
        seed("header", header),
        seed("header-2", present),
        seed("gone", segment(0, &[&good, &gone])),
        seed("removed", segment(64, &[&good, &gone, &gone_for_good])),
        seed("mixed", segment(0, &[&good, &mixed, &next])),
        seed("frame", good.clone()),
        seed("two", segment(0, &[&good, &next])),
        seed("zeros", segment(0, &[&good, &[0; 5000], &next])),
        seed("ended", segment(64, &[&good, &next])),
        seed("cut", segment(140, &[&good, &next])),
        seed("beyond", segment(200, &[&good])),
        seed("rotten", segment(64, &[&good, &log_frame(43, 2, &body), &next])),
        seed("headless", segment(64, &[&log_frame(41, 8, &body), &next])),
        seed("nested", segment(0, &[&log_frame(1, 0, &item(3, &good)), &next])),
        seed("empty", segment(0, &[&log_frame(1, 0, &[])])),
    ]
}

fn access() -> Access {
    let root = RootKey::generate(&[1; 32]);
    let sign = SignKey::from_secret(WriteKey::generate(&[3; 32]).secret());
    let epochs = [1, 2, 9].map(|number| Epoch { number, secret: [number as u8; 32] });
    Access {
        network: NetworkKey::generate(&[2; 32], &root),
        data: DataKeys::from_epochs(epochs.to_vec()),
        write: Some(WriteKey { sign, grant: granted() }),
    }
}

/// The bytes of a ticket, without its checksum.
fn ticket_body(ticket: &Ticket) -> Vec<u8> {
    let mut body = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in ticket.encode()["dfsd1-".len()..].bytes() {
        let value = if digit.is_ascii_digit() { digit - b'2' + 26 } else { digit - b'a' };
        bits = (bits << 5 | u32::from(value)) & 0xfff;
        count += 5;
        if count >= 8 {
            count -= 8;
            body.push((bits >> count) as u8);
        }
    }
    body.truncate(body.len() - 8);
    body
}

fn keys() -> Vec<Seed> {
    let access = access();
    let peer = PeerAddress { node: NodeId([5; 32]), address: "127.0.0.1:7400".to_owned() };
    let full = Ticket { peers: vec![peer; 2], access: access.clone() };
    let blind = Ticket { peers: vec![], access: access.blind() };
    let hex = |byte: u8| format!("{byte:02x}").repeat(32);
    let node = NodeKey::generate(&[4; 32]);
    assert!(node.verify_key() != [0; 32]);
    vec![
        seed("full", ticket_body(&full)),
        seed("blind", ticket_body(&blind)),
        seed("reader", ticket_body(&Ticket { peers: vec![], access: access.read_only() })),
        seed("line", full.encode().as_bytes()),
        seed("newer", "dfsd2-aaaa"),
        seed(
            "network",
            format!(
                "dfsd network key, format 1\ncluster {}\nsecret {}\nepoch 1\nroot {}\n",
                hex(1),
                hex(2),
                hex(3)
            ),
        ),
        seed("data", format!("dfsd data key, format 1\nepoch 1 {}\nepoch 7 {}\n", hex(1), hex(2))),
        seed("write", format!("dfsd write key, format 1\nsecret {}\ngrant mzxw6ytboi\n", hex(1))),
        seed("root", format!("dfsd root key, format 1\nsecret {}\n", hex(9))),
        seed("node", format!("dfsd node key, format 1\nsign {}\ntransport {}\n", hex(8), hex(7))),
    ]
}

fn configs() -> Vec<Seed> {
    let all = "data = \"/srv/dfsd\"\nlisten = \"0.0.0.0:7400\"\nadvertise = \"node.example:7400\"\n\
        workers = 4\nmemory = \"64MiB\"\nlog = \"debug\"\nreserve = \"1GiB\"\n";
    let peers = format!(
        "{} 1795305600000 127.0.0.1:7400 [::1]:7401\n{} 0 \n",
        "ab".repeat(32),
        "cd".repeat(32)
    );
    vec![
        seed("all", all),
        seed("bad-key", "colour = \"red\"\n"),
        seed("bad-type", "workers = \"four\"\n"),
        seed("tables", "[a.b]\nc = [1, 2.5, { d = 1979-05-27T07:32:00Z }]\n'e' = '''x'''\n"),
        seed("number", "memory = 33554432\nreserve = \"12KiB\" # so\n"),
        seed("size", "64MiB"),
        seed("period", "250ms"),
        seed("peers", peers),
    ]
}

/// A frame as the checks read it: length with its flags, then the bytes.
fn plain(kind: FrameKind, stream: u16, body: &[u8]) -> Vec<u8> {
    let head = encoded(|out| Head { kind, stream, length: body.len() as u32 }.encode(out));
    let length = (head.len() + body.len()) as u16;
    [&length.to_be_bytes()[..], &head, body].concat()
}

/// A chunk of zeros, in units of eight bytes.
fn zeros(stream: u16, units: u16) -> Vec<u8> {
    let length = u32::from(units) * 8;
    let head = encoded(|out| Head { kind: FrameKind::Chunk, stream, length }.encode(out));
    [&(0x4000 | units).to_be_bytes()[..], &head].concat()
}

fn open_body(length: u32, first: u8, count: u8) -> Vec<u8> {
    let leaves = vec![dfsd::ids::Hash([3; 32]); leaves_of(length)];
    let address = Address(tree::root(&leaves).0);
    encoded(|out| Open { address, length, first, count, leaves }.encode(out))
}

fn small_stream() -> Vec<Vec<u8>> {
    vec![
        plain(FrameKind::Open, 1, &open_body(3, 0, 1)),
        plain(FrameKind::Chunk, 1, &[1, 2, 3]),
        plain(FrameKind::End, 1, &[]),
    ]
}

fn long_stream() -> Vec<Vec<u8>> {
    vec![
        plain(FrameKind::Open, 1, &open_body(70_000, 1, 2)),
        zeros(1, 4096),
        plain(FrameKind::Message, 0, &[0x2e, 1, 2, 3, 4]),
        plain(FrameKind::Chunk, 1, &vec![0; 70_000 - 65_536]),
        plain(FrameKind::End, 1, &[]),
    ]
}

fn aborted_stream() -> Vec<Vec<u8>> {
    vec![
        plain(FrameKind::Message, 0, &[2, 0, 0, 0, 0, 0, 0, 0, 1]),
        plain(FrameKind::Open, 1, &open_body(40_000, 0, 2)),
        plain(FrameKind::Abort, 1, &[]),
        plain(FrameKind::Open, 2, &open_body(1, 0, 1)),
    ]
}

fn frames() -> Vec<Seed> {
    let head = Head { kind: FrameKind::Chunk, stream: 3, length: 32_768 };
    vec![
        seed("head", encoded(|out| head.encode(out))),
        seed("open", open_body(70_000, 1, 2)),
        seed("small", small_stream().concat()),
        seed("long", long_stream().concat()),
        seed("aborted", aborted_stream().concat()),
    ]
}

/// For both sides: prefaces that are ours and not, and what may follow them.
fn strangers() -> Vec<Seed> {
    let said: [(&str, &[u8]); 8] = [
        ("short", b"dfsd\x01"),
        ("other", b"GET / HTTP/1.1\r\n\r\n"),
        ("older", b"dfsd\x01\x01\x00\x03"),
        ("newer", b"dfsd\x06\x07\x00\x03"),
        ("crossed", b"dfsd\x05\x04\x00\x03"),
        ("wide", b"dfsd\x00\x07\x00\x03"),
        ("epoch", b"dfsd\x05\x05\x00\x04"),
        ("noise", &[b"dfsd\x05\x05\x00\x03", &[7_u8; 128][..]].concat()),
    ];
    let seed_of = |side: u8, (what, bytes): &(&str, &[u8])| {
        seed(&format!("{what}-{side}"), [&[side, 5, 30][..], bytes].concat())
    };
    (0..2).flat_map(|side| said.iter().map(move |said| seed_of(side, said))).collect()
}

/// For both sides: true words, and each of them bent in one way.
fn handshakes() -> Vec<Seed> {
    let bends: [(&str, &[u8]); 4] = [
        ("true", &[0, 9]),
        ("bit", &[1, 0, 3, 1, 9]),
        ("cut", &[2, 0, 5, 9]),
        ("other", &[3, 4, 1, 2, 3, 4, 9]),
    ];
    let mut seeds = Vec::new();
    for side in 0..2_u8 {
        for (what, bend) in bends {
            for word in 0..3 {
                let before = [0_u8, 9].repeat(word);
                seeds.push(seed(
                    &format!("{what}-{side}-{word}"),
                    [&[side], &before[..], bend].concat(),
                ));
            }
        }
    }
    seeds
}

/// A side and how far the handshake goes, then steps.
fn conns() -> Vec<Seed> {
    let sealed = |frames: Vec<Vec<u8>>| -> Vec<u8> {
        frames.into_iter().flat_map(|frame| [vec![0, 200], frame].concat()).collect()
    };
    let raw = |bytes: &[u8]| [&[4, bytes.len() as u8][..], bytes].concat();
    let own = [8, 0x20, 0, 1, 0, 1, 6, 1, 0, 9, 7, 1, 9, 6, 255, 255, 6, 255, 255, 10, 6, 255, 255]
        .to_vec();
    let slow = [vec![5, 11, 184, 6, 0, 1, 5, 35, 40], raw(&[0, 26])].concat();
    let mut seeds = vec![
        seed("stranger", [&[0][..], &raw(b"dfsd\x05\x05\x00\x03"), &raw(&[7; 56])].concat()),
        seed("version", [&[1][..], &raw(b"dfsd\x06\x07\x00\x03")].concat()),
        seed("epoch", [&[1][..], &raw(b"dfsd\x05\x05\x00\x04")].concat()),
    ];
    for progress in 0..4_u8 {
        for side in 0..2_u8 {
            let first = vec![progress << 1 | side];
            let name = |what: &str| format!("{what}-{progress}-{side}");
            seeds.push((name("raw"), [first.clone(), raw(&[9; 96])].concat()));
            if progress == 3 {
                for (what, frames) in [
                    ("small", small_stream()),
                    ("long", long_stream()),
                    ("aborted", aborted_stream()),
                ] {
                    seeds.push((name(what), [first.clone(), sealed(frames)].concat()));
                }
                seeds.push((name("own"), [first.clone(), own.clone()].concat()));
                seeds.push((name("slow"), [first, slow.clone()].concat()));
            }
        }
    }
    seeds
}

/// One step of the first of three peers: say this.
fn say(message: &Message) -> Vec<u8> {
    let bytes = encoded(|out| message.encode(out));
    [&[0][..], &(bytes.len() as u16).to_be_bytes(), &bytes].concat()
}

/// Put or push this record.
fn give(how: u8, record: &Record) -> Vec<u8> {
    let bytes = record.to_bytes();
    [&[5, how][..], &(bytes.len() as u16).to_be_bytes(), &bytes].concat()
}

fn nodes() -> Vec<Seed> {
    let (node, client) = (vec![10], vec![10 | 0x10]);
    let offer = |number: u8, length: u32| {
        let blocks = vec![BlockRef { address: marked(number), length }];
        let permit = Some(Permit { signer: [0; 32], not_after: u64::MAX, signature: [0; 64] });
        say(&Message::Offer { request: 1, blocks, permit })
    };
    let want = |number: u8, length: u32| {
        let block = BlockRef { address: marked(number), length };
        say(&Message::Want { block, first: 0, count: 1 })
    };
    let stream = |number: u8, flaw: u8| vec![7, number, 0, 255, flaw];
    let wait = vec![9, 1, 0];
    let records: Vec<_> = files().into_iter().map(|(_, record)| record).collect();
    let put = |which: usize| give(0, &records[which]);
    let everything: Vec<u8> = messages()
        .into_iter()
        .filter(|(name, _)| name != "kind-1")
        .flat_map(|(_, bytes)| [&[0][..], &(bytes.len() as u16).to_be_bytes(), &bytes].concat())
        .collect();
    vec![
        seed("put", [client.clone(), put(0), wait.clone(), put(4)].concat()),
        seed("inline", [client.clone(), give(2, &records[1]), wait.clone(), want(0, 5)].concat()),
        seed(
            "offer",
            [client.clone(), offer(1, 40_000), stream(1, 0), wait.clone(), want(1, 40_000)]
                .concat(),
        ),
        seed(
            "large",
            [client.clone(), offer(5, 1 << 20), stream(5, 0), wait.clone(), want(5, 1 << 20)]
                .concat(),
        ),
        seed("flawed", [client.clone(), offer(4, 100_000), stream(4, 0x81), wait.clone()].concat()),
        seed(
            "partial",
            [client.clone(), offer(4, 100_000), stream(4, 0x41), vec![13], wait.clone()].concat(),
        ),
        seed(
            "push",
            [node.clone(), give(1, &records[1]), wait, give(3, &records[1]), stream(0, 0)].concat(),
        ),
        seed(
            "parents",
            [node.clone(), give(1, &records[2]), give(1, &records[3]), give(1, &records[5])]
                .concat(),
        ),
        seed("everything", [node, everything.clone()].concat()),
        seed("client", [client.clone(), everything].concat()),
        seed("two", [client, vec![10 | 0x40], put(1), vec![9, 10, 0, 12, 12 | 0x40]].concat()),
        seed("silent", [vec![10 | 0x30], vec![9, 255, 255]].concat()),
    ]
}
