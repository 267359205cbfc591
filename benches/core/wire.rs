//! Bytes to values and back: frames, messages, records, pages; the handshake, and the transport's records.
//!
//! Knows no connection. Everything is of the size at which it is met most often.

use criterion::{Criterion, Throughput};
use dfsd::crypto::noise::{Handshake, HandshakeKeys, OVERHEAD, Transport};
use dfsd::ids::{Address, Hash, Space, VersionId};
use dfsd::limits::LEAVES;
use dfsd::wire::frame::{FrameKind, Head, Open};
use dfsd::wire::message::{BlockRef, Message};
use dfsd::wire::record::{BlockList, FORMAT, Record, RecordKind};
use std::hint::black_box;

const PIECE: usize = 32 * 1024;

pub(super) fn record() -> Record {
    Record {
        format: FORMAT,
        kind: RecordKind::File,
        space: Space::default(),
        name: Default::default(),
        version: VersionId { stamp: 117_657_147_801_600_000, writer: Default::default() },
        parents: Vec::new(),
        epoch: 1,
        signer: [3; 32],
        blocks: BlockList::Inline(vec![BlockRef { address: Address([5; 32]), length: 4096 }]),
        extensions: Vec::new(),
        sealed_tag: [7; 32],
        sealed: vec![8; 100],
        signature: [9; 64],
    }
}

pub(super) fn codecs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    let head = Head { kind: FrameKind::Chunk, stream: 1, length: 32 * 1024 };
    group.bench_function("frame head", |bencher| {
        let mut bytes = Vec::new();
        bencher.iter(|| {
            bytes.clear();
            black_box(&head).encode(&mut bytes);
            Head::decode(&bytes)
        });
    });
    let leaves = vec![Hash([6; 32]); usize::from(LEAVES)];
    let open = Open { address: Address([5; 32]), length: 1 << 20, first: 0, count: 16, leaves };
    let mut bytes = Vec::new();
    open.encode(&mut bytes);
    group.bench_function("open of 1 MiB", |bencher| {
        bencher.iter(|| Open::decode(black_box(&bytes)));
    });
    let record = record().to_bytes();
    group.bench_function("record", |bencher| {
        bencher.iter(|| Record::decode(black_box(&record)));
    });
    let put = Message::Put {
        request: 1,
        conditions: Vec::new(),
        records: vec![record.clone().into()],
        blocks: vec![vec![7; 4096].into()],
    };
    group.bench_function("put of 4 KiB, out", |bencher| {
        let mut bytes = Vec::new();
        bencher.iter(|| {
            bytes.clear();
            black_box(&put).encode(&mut bytes);
        });
    });
    let mut bytes = Vec::new();
    put.encode(&mut bytes);
    group.bench_function("put of 4 KiB, in", |bencher| {
        bencher.iter(|| Message::decode(black_box(&bytes)));
    });
    group.finish();
}

fn hands() -> (Handshake, Handshake) {
    let side = |initiator, secret| {
        let keys = HandshakeKeys { network_secret: &[2; 32], static_secret: secret };
        Handshake::new(initiator, &keys, b"bench", [4; 32])
    };
    (side(true, &[5; 32]), side(false, &[6; 32]))
}

fn shake((mut dialler, mut acceptor): (Handshake, Handshake)) -> (Transport, Transport) {
    let mut message = Vec::new();
    while !(dialler.is_finished() && acceptor.is_finished()) {
        message.clear();
        dialler.write(&mut message).expect("the keys are sound");
        acceptor.read(&message).expect("nothing was changed");
        std::mem::swap(&mut dialler, &mut acceptor);
    }
    (dialler.into_transport().0, acceptor.into_transport().0)
}

pub(super) fn transport(criterion: &mut Criterion) {
    criterion.bench_function("handshake, both sides", |bencher| {
        bencher.iter(|| shake(hands()));
    });
    let mut group = criterion.benchmark_group("transport record of 32 KiB");
    group.throughput(Throughput::Bytes(PIECE as u64));
    let (mut one, mut other) = shake(hands());
    let plain = vec![7; PIECE];
    group.bench_function("sealed and opened", |bencher| {
        let (mut sealed, mut opened) = (Vec::new(), Vec::new());
        bencher.iter(|| {
            sealed.clear();
            opened.clear();
            one.seal(&plain, &mut sealed);
            other.open(&sealed, &mut opened).expect("it is the next one");
            assert!(sealed.len() == PIECE + OVERHEAD && opened.len() == PIECE);
        });
    });
    group.finish();
}
