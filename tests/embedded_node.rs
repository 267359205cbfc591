//! A node in a thread of a program: real files, a real socket, and several threads that put and get through handles.

use dfsd::client::{CallError, Client};
use dfsd::embed::{Embedded, Settings};
use dfsd::keyring::Keyring;
use dfsd::node::Outcome;
use dfsd::session::{Answer, ClientError, Event, Meta, Operation, Overwrite};
use dfsd::wire::message::PeerAddress;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::time::Duration;

fn content(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|at| seed ^ (at / 7) as u8 ^ (at >> 13) as u8).collect()
}

fn get(name: &[u8]) -> Operation {
    Operation::Get { name: name.to_vec() }
}

#[test]
fn several_threads_put_and_get_and_the_folder_is_free_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let node = Embedded::start(Settings::new(&data)).unwrap();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let node = &node;
            scope.spawn(move || {
                let mut program = node.open().unwrap();
                for size in [0, 1, 100_000, 5 << 20] {
                    let plain = content(seed, size);
                    let name = format!("{seed}/{size}").into_bytes();
                    assert_eq!(program.put(&name, &plain[..]).unwrap().size, size as u64);
                    let mut back = Vec::new();
                    program.get(&name, &mut back).unwrap();
                    assert!(back == plain, "{size} bytes came back otherwise");
                }
            });
        }
    });
    let mut program = node.open().unwrap();
    let mut names = 0;
    program
        .list(|_| {
            names += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(names, 16);
    program.list(|_| ControlFlow::Break(())).unwrap();
    assert!(matches!(
        program.ask(Operation::Delete { name: b"0/1".to_vec() }),
        Ok(Answer::Deleted { .. })
    ));
    assert!(matches!(
        program.get(b"0/1", io::sink()),
        Err(CallError::Client(ClientError::NotFound))
    ));
    assert_eq!(node.stop().unwrap(), Outcome::Drained);
    assert!(program.put(b"late", &b"x"[..]).is_err(), "the node has stopped");
    // What was acknowledged is there the next time, and clients elsewhere get it too.
    let node = Embedded::start(Settings::new(&data)).unwrap();
    let access = Keyring::open(&data).unwrap().access;
    let peer = PeerAddress { node: Default::default(), address: node.address().to_string() };
    let mut client = Client::connect(&[peer], &access).unwrap();
    let mut back = Vec::new();
    client.get(b"3/100000", &mut back).unwrap();
    assert!(back == content(3, 100_000));
}

/// It leaves its bytes in the node, which serves others meanwhile.
#[test]
fn a_program_that_takes_nothing_hinders_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let node = Embedded::start(Settings::new(folder.path().join("data"))).unwrap();
    let plain = content(9, 24 << 20);
    let (mut slow, mut quick) = (node.open().unwrap(), node.open().unwrap());
    slow.put(b"large", &plain[..]).unwrap();
    let large = slow.handle().start(get(b"large")).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    for _ in 0..20 {
        quick.put(b"small", &b"quick"[..]).unwrap();
        let mut back = Vec::new();
        quick.get(b"small", &mut back).unwrap();
        assert_eq!(back, b"quick");
    }
    let mut back = Vec::new();
    loop {
        match slow.handle().wait().unwrap() {
            Event::Data { bytes, .. } => back.extend_from_slice(&bytes),
            Event::Finished { op, result } => {
                assert!(op == large && result.is_ok(), "{result:?}");
                break;
            }
            _ => {}
        }
    }
    assert!(back == plain);
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("it is broken"))
    }
}

#[test]
fn what_fails_on_the_programs_side_is_its_own_and_what_is_left_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let node = Embedded::start(Settings::new(folder.path().join("data"))).unwrap();
    let mut program = node.open().unwrap();
    assert!(matches!(program.put(b"a", Broken), Err(CallError::Local(_))));
    program.put(b"a", &b"whole"[..]).unwrap();
    // More than was asked for: the put is given up, and nothing else.
    let meta = Meta { name: b"a".to_vec(), ..Meta::default() };
    let put =
        program.handle().start(Operation::Put { meta, overwrite: Overwrite::Always }).unwrap();
    program.handle().feed(put, &vec![1; 40 << 20]).unwrap();
    let end = loop {
        if let Event::Finished { op, result } = program.handle().wait().unwrap() {
            assert_eq!(op, put);
            break result;
        }
    };
    assert!(matches!(end, Err(ClientError::Aborted)), "{end:?}");
    let mut back = Vec::new();
    program.get(b"a", &mut back).unwrap();
    assert_eq!(back, b"whole");
    // Many come and go.
    drop(program);
    for _ in 0..200 {
        assert!(node.open().is_ok());
    }
    let Ok(Answer::Status(status)) = node.open().unwrap().ask(Operation::Status) else {
        panic!("no status");
    };
    drop(status);
}
