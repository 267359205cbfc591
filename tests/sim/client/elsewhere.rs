//! The blocking client, over sockets, and nodes of which one cannot serve it: what one node fails another may do.

use super::hostile::{Held, Pair};
use super::program::{access, content};
use bytes::Bytes;
use dfsd::client::{CallError, Client, GetJob, Sink};
use dfsd::conn::Conn;
use dfsd::ids::NodeId;
use dfsd::limits::BLOCK;
use dfsd::session::{ClientError, Entry, Part, Source};
use dfsd::time::Instant;
use dfsd::wire::message::{Message, PeerAddress, Reason};
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;

/// How a node fails a get.
type Fault = fn(&mut Conn, &Message) -> bool;

/// A node of sorts that serves this, or fails at it.
fn serve(held: &Held, fault: Fault) -> PeerAddress {
    serve_changed(held, fault, |_| {})
}

/// The same, of one that changes leaves on their way.
fn serve_changed(held: &Held, fault: Fault, change: fn(&mut Vec<u8>)) -> PeerAddress {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let held = held.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut node = Pair::of(access(), fault);
            node.held = held.clone();
            node.spoil = Box::new(change);
            converse(stream.unwrap(), node, || false);
        }
    });
    PeerAddress { node: NodeId::default(), address }
}

/// A node that lacks the first block that it is asked for, keeps the second back, hangs up then, and is gone.
fn fails_one_and_leaves(held: &Held) -> PeerAddress {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let held = held.clone();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        let wants = Rc::new(Cell::new(0));
        let counted = Rc::clone(&wants);
        let mut node = Pair::of(access(), move |conn, message| {
            let Message::Want { block, .. } = message else { return false };
            if counted.replace(counted.get() + 1) == 0 {
                conn.send(&Message::Absent { address: block.address });
            }
            true
        });
        node.held = held;
        converse(stream, node, || wants.get() == 2);
    });
    PeerAddress { node: NodeId::default(), address }
}

/// Until the client hangs up, or this node is to.
fn converse(mut stream: TcpStream, mut node: Pair, hangs_up: impl Fn() -> bool) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        loop {
            let mut out = Vec::new();
            node.conn.transmit(Instant(1), &mut out, 64 * 1024);
            if !node.hear() && out.is_empty() {
                break;
            }
            if stream.write_all(&out).is_err() {
                return;
            }
        }
        if hangs_up() {
            return;
        }
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(count) => node.conn.received(Instant(1), &bytes[..count]).unwrap(),
        }
        node.hear();
    }
}

fn honest(_: &mut Conn, _: &Message) -> bool {
    false
}

fn lacks_blocks(conn: &mut Conn, message: &Message) -> bool {
    let Message::Want { block, .. } = message else { return false };
    conn.send(&Message::Absent { address: block.address });
    true
}

fn lacks_pages(conn: &mut Conn, message: &Message) -> bool {
    let Message::GetPage { request, .. } = message else { return false };
    conn.send(&Message::Page { request: *request, page: None });
    true
}

fn refuses(conn: &mut Conn, message: &Message) -> bool {
    let Message::Head { request, .. } = message else { return false };
    let detail = "the disk could not be read".to_owned();
    conn.send(&Message::Refused { request: *request, reason: Reason::Unavailable, detail });
    true
}

fn answers_something_else(conn: &mut Conn, message: &Message) -> bool {
    let Message::Head { request, .. } = message else { return false };
    conn.send(&Message::PageDone { request: *request });
    true
}

/// Of the last block, which has five bytes.
pub(super) fn spoils_the_last(leaf: &mut [u8]) {
    if leaf.len() == 5 {
        leaf[0] ^= 1;
    }
}

fn knows_nothing(conn: &mut Conn, message: &Message) -> bool {
    let Message::Head { request, .. } = message else { return false };
    let (versions, all, shown) = (Vec::new(), Default::default(), None);
    let (request, clock, future) = (*request, 1 << 20, Vec::new());
    let (log_damage, kept) = (Default::default(), true);
    conn.send(&Message::Heads { request, clock, versions, all, future, log_damage, kept, shown });
    true
}

fn stored(bytes: &[u8]) -> Held {
    let mut node = Pair::of(access(), |_, _| false);
    node.put("a", bytes);
    node.held
}

fn get(nodes: &[PeerAddress]) -> (Vec<u8>, Result<(), ClientError>) {
    let mut client = Client::connect(nodes, &access()).unwrap();
    let mut bytes = Vec::new();
    let result = client.get(b"a", &mut bytes).map(drop).map_err(|error| match error {
        CallError::Client(error) => error,
        CallError::Local(error) => panic!("{error}"),
    });
    (bytes, result)
}

/// A node that has these bytes, and changes leaves on their way.
pub(super) fn serve_stored(bytes: &[u8], change: fn(&mut Vec<u8>)) -> PeerAddress {
    serve_changed(&stored(bytes), honest, change)
}

/// A part of the file, as far as it has come.
pub(super) fn collect_part(
    nodes: &[PeerAddress],
    part: Part,
) -> (Vec<u8>, Result<(), ClientError>) {
    let mut client = Client::connect(nodes, &access()).unwrap();
    let mut sink = Collected(Vec::new());
    let result =
        client.get_part(Source::Name(b"a".into()), part, &mut sink).map(drop).map_err(|error| {
            match error {
                CallError::Client(error) => error,
                CallError::Local(error) => panic!("{error}"),
            }
        });
    (sink.0, result)
}

#[test]
fn a_get_that_one_node_fails_goes_on_at_another() {
    let bytes = content(9, 6 * BLOCK + 5);
    let held = stored(&bytes);
    let good = serve(&held, honest);
    for fault in [lacks_blocks as Fault, lacks_pages, refuses, answers_something_else] {
        let (got, result) = get(&[serve(&held, fault), good.clone()]);
        assert_eq!(result, Ok(()));
        assert!(got == bytes);
    }
    let rotten = serve_changed(&held, honest, |leaf| leaf[0] ^= 1);
    let (got, result) = get(&[rotten, good.clone()]);
    assert_eq!(result, Ok(()));
    assert!(got == bytes);
    // A record that nobody has signed.
    let mut forged = held;
    let mut record = dfsd::wire::record::Record::decode(&forged.records[0]).unwrap();
    record.signature = [0; 64];
    forged.records = vec![Bytes::from(record.to_bytes())];
    let (got, result) = get(&[serve(&forged, honest), good]);
    assert_eq!(result, Ok(()));
    assert!(got == bytes);
}

#[test]
fn a_get_ends_when_all_nodes_have_failed_it_or_one_says_that_there_is_no_such_file() {
    let held = stored(&content(9, 6 * BLOCK + 5));
    let [one, other] = [lacks_blocks as Fault, lacks_pages].map(|fault| serve(&held, fault));
    let (_, result) = get(&[one.clone(), other]);
    assert_eq!(result, Err(ClientError::Unavailable));
    let (_, result) = get(std::slice::from_ref(&one));
    assert_eq!(result, Err(ClientError::Unavailable));
    let nothing = serve(&held, knows_nothing);
    let (_, result) = get(&[nothing, serve(&held, honest)]);
    assert_eq!(result, Err(ClientError::NotFound));
}

/// Keeps what comes.
struct Collected(Vec<u8>);

impl Sink for Collected {
    fn begin(&mut self, _: &Entry) -> io::Result<()> {
        assert!(self.0.is_empty(), "it begins once");
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Takes what comes.
struct Nowhere(u8);

impl Sink for Nowhere {
    fn begin(&mut self, _: &Entry) -> io::Result<()> {
        Ok(())
    }

    fn take(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn gets_that_wait_for_another_node_are_told_of_when_there_is_none() {
    let held = stored(&content(9, 1_000));
    // Takes connections, and says nothing.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = deaf.local_addr().unwrap().to_string();
    let nodes = [fails_one_and_leaves(&held), PeerAddress { node: NodeId::default(), address }];
    let mut client = Client::connect(&nodes, &access()).unwrap();
    let entry = client.stat(b"a").unwrap();
    let jobs = [1, 2].map(|get| GetJob { entry: entry.clone(), sink: Nowhere(get) });
    let mut ended = Vec::new();
    let result = client.get_many(jobs, 2, |Nowhere(get), result| ended.push((get, result)));
    assert!(matches!(result, Err(ClientError::Disconnected(_))), "{result:?}");
    ended.sort_by_key(|(get, _)| *get);
    assert!(
        matches!(
            ended.as_slice(),
            [
                (1, Err(CallError::Client(ClientError::Unavailable))),
                (2, Err(CallError::Client(ClientError::Disconnected(_)))),
            ]
        ),
        "{ended:?}"
    );
}
