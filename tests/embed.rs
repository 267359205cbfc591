//! A program that embeds a node stores and reads plaintext through a gateway: no socket, no thread, no file.

use dfsd::client::Entropy;
use dfsd::crypto::data::DataKeys;
use dfsd::crypto::keys::{NetworkKey, NodeKey, RootKey, WriteKey};
use dfsd::daemon::{self, Options};
use dfsd::gateway::Gateway;
use dfsd::keyring::{Access, grant};
use dfsd::limits::{GATEWAY_ABANDONED, GATEWAY_PULSE, OPERATION_SILENCE};
use dfsd::node::{Action, Node};
use dfsd::server::work::execute;
use dfsd::session::{Answer, ClientError, Event, Meta, Op, Operation};
use dfsd::store::{Config, Disk};
use dfsd::testing::SimFs;
use dfsd::time::{Instant, Now};
use std::time::Duration;

const NOW: Now = Now { instant: Instant(1), wall_ms: 1_795_305_600_000 };

struct Embedded {
    node: Node,
    disk: Disk<SimFs>,
    fs: SimFs,
    gateway: Gateway,
    now: Now,
    /// What the program does elsewhere in each turn.
    away: Duration,
}

fn access() -> Access {
    let root = RootKey::generate(&[1; 32]);
    let network = NetworkKey::generate(&[2; 32], &root);
    let sign = WriteKey::generate(&[3; 32]);
    let grant = grant::grant(&root, &sign.public(), 1_000);
    let data = Some(DataKeys::generate(&[4; 32]));
    Access { network, data, write: Some(WriteKey { sign, grant }) }
}

impl Embedded {
    fn start() -> Self {
        let access = access();
        let key = NodeKey::generate(&[5; 32]);
        let fs = SimFs::new();
        let network = &access.network;
        let opened = daemon::open(fs.clone(), Config::default(), network.root, [6; 16]).unwrap();
        let options = Options { memory: 8 << 20, ..Options::new(network, &key) };
        let (mut node, disk) = opened.start(options, NOW);
        let entropy = Entropy { key: [9; 32], handshake: [10; 32] };
        let gateway = Gateway::open(&mut node, access, &entropy, [11; 32], NOW).unwrap();
        Self { node, disk, fs, gateway, now: NOW, away: Duration::ZERO }
    }

    /// The program's loop: jobs are done at once, bytes are moved, timers are kept.
    fn turn(&mut self) {
        self.now.instant = self.now.instant + self.away;
        // Whoever has been away finds that everything is due.
        self.node.handle_timeout(self.now);
        let _ = self.gateway.pump(&mut self.node, self.now);
        while let Some(action) = self.node.poll_action() {
            if let Action::Job(job) = action {
                self.node.done(self.now, execute(&self.disk, job));
            }
        }
        let later = Now { instant: self.now.instant + Duration::from_secs(1), ..self.now };
        self.node.handle_timeout(later);
    }

    /// How an operation ends: once.
    fn ends(&mut self, op: Op) -> Result<Answer, ClientError> {
        let mut ends = Vec::new();
        for _ in 0..1_000 {
            self.turn();
            while let Some(event) = self.gateway.poll_event() {
                if let Event::Finished { op: other, result } = event
                    && other == op
                {
                    ends.push(result);
                }
            }
        }
        assert_eq!(ends.len(), 1, "{ends:?}");
        ends.remove(0)
    }

    fn run(
        &mut self,
        operation: Operation,
        input: &[u8],
    ) -> (Vec<u8>, Result<Answer, ClientError>) {
        let op = self.gateway.start(self.now, operation);
        let (mut output, mut fed) = (Vec::new(), 0);
        for _ in 0..100_000 {
            while let Some(event) = self.gateway.poll_event() {
                match event {
                    Event::NeedData { .. } if fed == input.len() => self.gateway.feed_end(op),
                    Event::NeedData { .. } => fed += self.gateway.feed(op, &input[fed..]),
                    Event::Data { bytes, .. } => output.extend_from_slice(&bytes),
                    Event::Finished { result, .. } => return (output, result),
                    _ => {}
                }
            }
            self.turn();
        }
        panic!("the operation never ended");
    }
}

#[test]
fn plaintext_goes_in_and_comes_out_and_ciphertext_is_kept() {
    let mut embedded = Embedded::start();
    for size in [0, 1, 40_000, 5 * 1024 * 1024 + 1] {
        let secret = b"a planted plaintext that nobody may read; ";
        let plain: Vec<u8> = secret.iter().copied().cycle().take(size).collect();
        let name = format!("file of {size}").into_bytes();
        let meta = Meta { name: name.clone(), ..Meta::default() };
        let (_, put) = embedded.run(Operation::Put { meta, only_if_absent: false }, &plain);
        assert!(matches!(put, Ok(Answer::Put { copies: 1, .. })), "{put:?}");
        let (output, got) = embedded.run(Operation::Get { name: name.clone() }, &[]);
        assert!(matches!(got, Ok(Answer::Got(_))), "{got:?}");
        assert!(output == plain, "{size} bytes came back otherwise");
        let (_, deleted) = embedded.run(Operation::Delete { name: name.clone() }, &[]);
        assert!(matches!(deleted, Ok(Answer::Deleted { .. })), "{deleted:?}");
        let (_, gone) = embedded.run(Operation::Get { name }, &[]);
        assert_eq!(gone.err(), Some(ClientError::NotFound));
    }
    assert!(!embedded.fs.paths("blocks").is_empty());
}

/// A put and a get of several blocks, by a program that is away for so long in each turn.
fn a_slow_program(away: Duration) {
    let mut embedded = Embedded::start();
    embedded.away = away;
    let plain: Vec<u8> = (0..3 * 1024 * 1024 + 5).map(|at: usize| (at % 253) as u8).collect();
    let name = b"slow".to_vec();
    let meta = Meta { name: name.clone(), ..Meta::default() };
    let (_, put) = embedded.run(Operation::Put { meta, only_if_absent: false }, &plain);
    assert!(matches!(put, Ok(Answer::Put { .. })), "{put:?}");
    let (output, got) = embedded.run(Operation::Get { name }, &[]);
    assert!(matches!(got, Ok(Answer::Got(_))), "{got:?}");
    assert!(output == plain);
}

#[test]
fn a_program_that_is_busy_for_11_seconds_is_not_the_nodes_fault() {
    a_slow_program(Duration::from_secs(11));
}

#[test]
fn a_program_that_is_busy_for_100_seconds_loses_nothing() {
    a_slow_program(Duration::from_secs(100));
}

#[test]
fn when_the_node_closes_everything_ends_once_and_nothing_begins() {
    let mut embedded = Embedded::start();
    embedded.turn();
    let get = embedded.gateway.start(embedded.now, Operation::Get { name: b"a".to_vec() });
    embedded.node.closed(embedded.now, embedded.gateway.link());
    let ended = embedded.ends(get);
    assert!(matches!(ended, Err(ClientError::Disconnected(_))), "{ended:?}");
    let late = embedded.gateway.start(embedded.now, Operation::Status);
    let ended = embedded.ends(late);
    assert!(matches!(ended, Err(ClientError::Disconnected(_))), "{ended:?}");
    assert_eq!(embedded.gateway.poll_timeout(), None);
}

#[test]
fn a_program_that_was_away_while_nothing_was_under_way_finds_its_gateway_open() {
    let mut embedded = Embedded::start();
    embedded.turn();
    embedded.now.instant = embedded.now.instant + Duration::from_secs(100);
    let (_, status) = embedded.run(Operation::Status, &[]);
    assert!(matches!(status, Ok(Answer::Status(_))), "{status:?}");
}

/// It calls all the while, and takes nothing.
#[test]
fn while_events_wait_nobody_is_late() {
    let mut embedded = Embedded::start();
    let plain = vec![5; 3 * 1024 * 1024];
    let name = b"slow".to_vec();
    let meta = Meta { name: name.clone(), ..Meta::default() };
    embedded.run(Operation::Put { meta, only_if_absent: false }, &plain).1.unwrap();
    embedded.away = Duration::from_millis(100);
    let get = embedded.gateway.start(embedded.now, Operation::Get { name });
    let mut output = Vec::new();
    loop {
        for _ in 0..400 {
            embedded.turn();
        }
        match embedded.gateway.poll_event() {
            Some(Event::Data { bytes, .. }) => output.extend_from_slice(&bytes),
            Some(Event::Finished { op, result }) => {
                assert!(op == get && result.is_ok(), "{result:?}");
                break assert!(output == plain);
            }
            Some(_) | None => {}
        }
    }
}

#[test]
fn a_node_that_does_nothing_is_silent_to_a_program_that_waits() {
    let mut embedded = Embedded::start();
    embedded.turn();
    let began = embedded.now.instant;
    let get = embedded.gateway.start(embedded.now, Operation::Verify);
    // Its disk does nothing.
    let ended = loop {
        embedded.gateway.pump(&mut embedded.node, embedded.now).unwrap();
        if let Some(Event::Finished { op, result }) = embedded.gateway.poll_event() {
            assert_eq!(op, get);
            break result;
        }
        embedded.now.instant = embedded.gateway.poll_timeout().expect("something is waited for");
    };
    assert_eq!(ended.err(), Some(ClientError::Silent));
    let waited = embedded.now.instant.since(began);
    assert!(waited <= OPERATION_SILENCE + GATEWAY_PULSE, "{waited:?}");
}

#[test]
fn what_was_under_way_when_a_program_closes_is_told_of() {
    let mut embedded = Embedded::start();
    embedded.turn();
    let Embedded { mut node, mut gateway, now, .. } = embedded;
    let get = gateway.start(now, Operation::Get { name: b"a".to_vec() });
    let ends: Vec<_> = gateway.close(&mut node, now).into_iter().collect();
    assert!(
        matches!(ends.as_slice(), [Event::Finished { op, result: Err(_) }] if *op == get),
        "{ends:?}"
    );
}

#[test]
fn a_gateway_that_was_left_is_closed_in_the_end() {
    let mut embedded = Embedded::start();
    embedded.turn();
    let link = embedded.gateway.link();
    let at = |after: Duration| Now { instant: embedded.now.instant + after, ..embedded.now };
    embedded.node.handle_timeout(at(GATEWAY_ABANDONED - Duration::from_secs(1)));
    assert!(embedded.node.is_open(link));
    embedded.node.handle_timeout(at(GATEWAY_ABANDONED + Duration::from_secs(5)));
    assert!(!embedded.node.is_open(link));
}
