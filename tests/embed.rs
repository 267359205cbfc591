//! A program that embeds a node stores and reads plaintext through a gateway: no socket, no thread, no file.

use crate::access::access;
use dfsd::client::{Entropy, RemoteSession};
use dfsd::crypto::keys::{NetworkKey, NodeKey, RootKey};
use dfsd::crypto::tree;
use dfsd::daemon::{self, Options};
use dfsd::gateway::Gateway;
use dfsd::keyring::Access;
use dfsd::limits::{
    BLOCK, GATEWAY_ABANDONED, GATEWAY_EVENTS_MAX, GATEWAY_PULSE, OPERATION_TIMEOUT,
};
use dfsd::node::{Action, Node};
use dfsd::server::work::execute;
use dfsd::session::{Answer, ClientError, Event, Meta, Op, Operation, Overwrite};
use dfsd::store::fs::FileSystem;
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

impl Embedded {
    fn start() -> Self {
        let access = access();
        let key = NodeKey::generate(&[5; 32]);
        let fs = SimFs::new();
        let network = &access.network;
        let opened = daemon::open(fs.clone(), Config::default(), network.root, [6; 16]).unwrap();
        let options = Options { memory: 8 << 20, ..Options::new(network, &key) };
        let (mut node, disk) = opened.start(options, NOW);
        let gateway = Gateway::open(&mut node, access, &[9; 32], NOW).unwrap();
        Self { node, disk, fs, gateway, now: NOW, away: Duration::ZERO }
    }

    fn begin(&mut self, operation: Operation) -> Op {
        self.gateway.start(&mut self.node, self.now, operation).expect("the node is there")
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.gateway.poll_event(&mut self.node, self.now)
    }

    /// The program's loop: jobs are done at once, timers are kept.
    fn turn(&mut self) {
        self.now.instant = self.now.instant + self.away;
        // Whoever has been away finds that everything is due.
        self.node.handle_timeout(self.now);
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
            while let Some(event) = self.poll_event() {
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
        let op = self.begin(operation);
        let (mut output, mut fed) = (Vec::new(), 0);
        for _ in 0..100_000 {
            while let Some(event) = self.poll_event() {
                let Self { gateway, node, now, .. } = self;
                match event {
                    Event::NeedData { .. } if fed == input.len() => {
                        gateway.feed_end(node, *now, op);
                    }
                    Event::NeedData { .. } => fed += gateway.feed(node, *now, op, &input[fed..]),
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
        let secret = b"a seeded plaintext that nobody may read; ";
        let plain: Vec<u8> = secret.iter().copied().cycle().take(size).collect();
        let name = format!("file of {size}").into_bytes();
        let meta = Meta { name: name.clone(), ..Meta::default() };
        let (_, put) = embedded.run(Operation::Put { meta, overwrite: Overwrite::Always }, &plain);
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
    let (_, put) = embedded.run(Operation::Put { meta, overwrite: Overwrite::Always }, &plain);
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
    let verify = embedded.begin(Operation::Verify);
    embedded.node.closed(embedded.now, embedded.gateway.link());
    let ended = embedded.ends(verify);
    assert!(matches!(ended, Err(ClientError::Disconnected(_))), "{ended:?}");
    let Embedded { node, gateway, now, .. } = &mut embedded;
    let late = gateway.start(node, *now, Operation::Status);
    assert!(matches!(late, Err(ClientError::Disconnected(_))), "{late:?}");
    assert!(gateway.poll_event(node, *now).is_none());
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
    embedded.run(Operation::Put { meta, overwrite: Overwrite::Always }, &plain).1.unwrap();
    embedded.away = Duration::from_millis(100);
    let get = embedded.begin(Operation::Get { name });
    let mut output = Vec::new();
    loop {
        for _ in 0..400 {
            embedded.turn();
        }
        match embedded.poll_event() {
            Some(Event::Data { bytes, .. }) => output.extend_from_slice(&bytes),
            Some(Event::Finished { op, result }) => {
                assert!(op == get && result.is_ok(), "{result:?}");
                break assert!(output == plain);
            }
            Some(_) | None => {}
        }
    }
}

/// A process that sleeps for 20 seconds in each turn hears of a client elsewhere late. Nobody is silent for that.
#[test]
fn what_a_client_sends_while_the_process_sleeps_is_not_late() {
    let mut embedded = Embedded::start();
    let entropy = Entropy { key: [20; 32], handshake: [21; 32] };
    let mut client = RemoteSession::new(access(), &entropy, embedded.now.instant);
    let from = [127, 0, 0, 1].into();
    let link = embedded.node.accepted(embedded.now, from, [22; 32]).unwrap();
    let meta = Meta { name: b"late".to_vec(), ..Meta::default() };
    let put = Operation::Put { meta, overwrite: Overwrite::Always };
    let op = client.start(embedded.now.instant, put);
    let plain = vec![7; 3 * 1024 * 1024];
    let mut fed = 0;
    for turn in 0..1_000 {
        // Not before it is in: who has said nothing yet has less time.
        if turn > 10 {
            embedded.away = Duration::from_secs(20);
        }
        embedded.turn();
        let now = embedded.now;
        let mut out = Vec::new();
        client.transmit(now.instant, &mut out, 64 * 1024);
        embedded.node.received(now, link, &out);
        // Until there is nothing, so that the node knows that all has left.
        loop {
            let mut back = Vec::new();
            embedded.node.transmit(now, link, &mut back, 64 * 1024);
            if back.is_empty() {
                break;
            }
            client.received(now.instant, &back).unwrap();
        }
        while let Some(event) = client.poll_event() {
            match event {
                Event::NeedData { .. } if fed == plain.len() => client.feed_end(op),
                Event::NeedData { .. } => fed += client.feed(op, &plain[fed..]),
                Event::Finished { result, .. } => {
                    assert!(matches!(result, Ok(Answer::Put { .. })), "{result:?}");
                    return;
                }
                _ => {}
            }
        }
    }
    panic!("the put never ended");
}

/// Their blocks together are more than the node has memory for.
#[test]
fn many_programs_share_a_node_and_each_gets_its_own() {
    let mut embedded = Embedded::start();
    let content = |program: u8| vec![program; 3 * 1024 * 1024 + usize::from(program)];
    let name = |program: u8| vec![b'a' + program];
    let mut programs = Vec::new();
    for program in 0..6 {
        let Embedded { node, now, .. } = &mut embedded;
        let mut gateway = Gateway::open(node, access(), &[100 + program; 32], *now).unwrap();
        let meta = Meta { name: name(program), ..Meta::default() };
        gateway.start(node, *now, Operation::Put { meta, overwrite: Overwrite::Always }).unwrap();
        programs.push((program, gateway, 0, Vec::new()));
    }
    for _ in 0..20_000 {
        for (program, gateway, fed, output) in &mut programs {
            let Embedded { node, now, .. } = &mut embedded;
            let input = content(*program);
            while let Some(event) = gateway.poll_event(node, *now) {
                match event {
                    Event::NeedData { op, .. } if *fed == input.len() => {
                        gateway.feed_end(node, *now, op);
                    }
                    Event::NeedData { op, .. } => {
                        *fed += gateway.feed(node, *now, op, &input[*fed..]);
                    }
                    Event::Data { bytes, .. } => output.extend_from_slice(&bytes),
                    Event::Finished { result: Ok(Answer::Put { .. }), .. } => {
                        let get = Operation::Get { name: name(*program) };
                        gateway.start(node, *now, get).unwrap();
                    }
                    Event::Finished { result, .. } => {
                        assert!(matches!(result, Ok(Answer::Got(_))), "{result:?}");
                        assert!(*output == input);
                        *fed = usize::MAX;
                    }
                    Event::Ready { .. }
                    | Event::Entry { .. }
                    | Event::Version { .. }
                    | Event::Folder { .. }
                    | Event::Found { .. }
                    | Event::Here { .. }
                    | Event::Progress { .. } => {}
                }
            }
        }
        programs.retain(|(_, _, fed, _)| *fed < usize::MAX);
        if programs.is_empty() {
            return;
        }
        embedded.turn();
    }
    panic!("{} programs have not ended", programs.len());
}

#[test]
fn of_what_a_slow_program_does_not_take_little_is_kept() {
    let mut embedded = Embedded::start();
    let plain = vec![5; 3 * 1024 * 1024];
    let name = b"slow".to_vec();
    let meta = Meta { name: name.clone(), ..Meta::default() };
    embedded.run(Operation::Put { meta, overwrite: Overwrite::Always }, &plain).1.unwrap();
    embedded.begin(Operation::Get { name });
    (0..1_000).for_each(|_| embedded.turn());
    let Embedded { mut node, gateway, now, .. } = embedded;
    let kept = gateway.close(&mut node, now).len();
    assert!((2..=GATEWAY_EVENTS_MAX + 1).contains(&kept), "{kept} events");
}

#[test]
fn a_node_that_does_nothing_is_silent_to_a_program_that_waits() {
    let mut embedded = Embedded::start();
    embedded.turn();
    let began = embedded.now.instant;
    let get = embedded.begin(Operation::Verify);
    // Its disk does nothing.
    let ended = loop {
        embedded.node.handle_timeout(embedded.now);
        if let Some(Event::Finished { op, result }) = embedded.poll_event() {
            assert_eq!(op, get);
            break result;
        }
        embedded.now.instant = embedded.node.poll_timeout().expect("something is waited for");
    };
    assert_eq!(ended.err(), Some(ClientError::Silent));
    let waited = embedded.now.instant.since(began);
    assert!(waited <= OPERATION_TIMEOUT + GATEWAY_PULSE, "{waited:?}");
}

#[test]
fn what_was_under_way_when_a_program_closes_is_told_of() {
    let mut embedded = Embedded::start();
    embedded.turn();
    let Embedded { mut node, mut gateway, now, .. } = embedded;
    let get = gateway.start(&mut node, now, Operation::Get { name: b"a".to_vec() }).unwrap();
    let ends: Vec<_> = gateway.close(&mut node, now).into_iter().collect();
    assert!(
        matches!(ends.as_slice(), [Event::Finished { op, result: Err(_) }] if *op == get),
        "{ends:?}"
    );
}

#[test]
fn a_program_whose_end_is_told_of_may_do_nothing_for_long() {
    let mut embedded = Embedded::start();
    let Embedded { node, now, .. } = &mut embedded;
    let mut gateway = Gateway::open_until_closed(node, access(), &[30; 32], *now).unwrap();
    let later = Now { instant: now.instant + 10 * GATEWAY_ABANDONED, ..*now };
    node.handle_timeout(later);
    assert!(node.is_open(gateway.link()));
    assert!(gateway.start(node, later, Operation::Status).is_ok());
    let ends: Vec<_> = gateway.close(node, later).into_iter().collect();
    assert!(matches!(ends.as_slice(), [Event::Finished { .. }]), "{ends:?}");
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

/// A byte of the only small block of the log changes, and its check sum with it.
fn spoil_small_block(fs: &SimFs, length: usize) {
    const SEGMENT: &str = "log/00000001.seg";
    // An item: its kind, its id, its length, its check sum, its bytes.
    const HEAD: usize = 1 + 32 + 4 + 4;
    let log = fs.read(&fs.open(SEGMENT).unwrap(), 0, 64 * 1024).unwrap();
    let is_its_own = |at: &usize| {
        let block = &log[at + HEAD..at + HEAD + length];
        tree::tree(block).0 == log[at + 1..at + 33]
    };
    let at = (0..log.len() - HEAD - length).find(is_its_own).expect("the block is in the log");
    let mut item = log[at..at + HEAD + length].to_vec();
    item[HEAD + 5] ^= 1;
    let check = crc32c::crc32c_append(crc32c::crc32c(&item[..HEAD - 4]), &item[HEAD..]);
    item[HEAD - 4..HEAD].copy_from_slice(&check.to_be_bytes());
    fs.rewrite(SEGMENT, at as u64, &item).unwrap();
}

#[test]
fn a_small_block_that_is_not_its_address_s_is_an_error_and_never_other_bytes() {
    let mut embedded = Embedded::start();
    embedded.away = Duration::from_millis(100);
    let name = b"small".to_vec();
    let meta = Meta { name: name.clone(), ..Meta::default() };
    let put = Operation::Put { meta, overwrite: Overwrite::Always };
    embedded.run(put, &[7; 100]).1.unwrap();
    spoil_small_block(&embedded.fs, 100);
    let (output, got) = embedded.run(Operation::Get { name }, &[]);
    assert!(matches!(got, Err(ClientError::Damaged(_))), "{got:?}");
    assert!(output.is_empty(), "{} bytes", output.len());
}

/// It waits for the node from then on.
#[test]
fn who_takes_the_last_event_need_not_ask_once_more_to_be_told_of_silence() {
    let mut embedded = Embedded::start();
    let name = b"found".to_vec();
    let meta = Meta { name: name.clone(), ..Meta::default() };
    let put = Operation::Put { meta, overwrite: Overwrite::Always };
    embedded.run(put, &vec![5; 3 * BLOCK]).1.unwrap();
    let get = embedded.begin(Operation::Get { name });
    let link = embedded.gateway.link();
    let told = |node: &mut Node| {
        let mut told = false;
        let mut jobs = Vec::new();
        while let Some(action) = node.poll_action() {
            match action {
                Action::Event { link: other } => told |= other == link,
                Action::Job(job) => jobs.push(job),
                _ => {}
            }
        }
        (told, jobs)
    };
    loop {
        let (told, jobs) = told(&mut embedded.node);
        if told {
            break;
        }
        assert!(!jobs.is_empty(), "nothing is found");
        for job in jobs {
            embedded.node.done(embedded.now, execute(&embedded.disk, job));
        }
    }
    let began = embedded.now.instant;
    assert!(matches!(embedded.poll_event(), Some(Event::Found { .. })));
    // Its disk does nothing from now on.
    while !told(&mut embedded.node).0 {
        let due = embedded.node.poll_timeout().expect("something is waited for");
        assert!(due.since(began) <= GATEWAY_ABANDONED / 2, "nobody is late");
        embedded.now.instant = due;
        embedded.node.handle_timeout(embedded.now);
    }
    let waited = embedded.now.instant.since(began);
    assert!(waited <= OPERATION_TIMEOUT + GATEWAY_PULSE, "{waited:?}");
    let event = embedded.poll_event();
    assert!(
        matches!(&event, Some(Event::Finished { op, result: Err(ClientError::Silent) }) if *op == get),
        "{event:?}"
    );
}

#[test]
fn what_a_session_had_come_to_is_told_when_the_node_has_closed_it() {
    let mut embedded = Embedded::start();
    let meta = Meta { name: b"a".to_vec(), ..Meta::default() };
    let put = embedded.begin(Operation::Put { meta, overwrite: Overwrite::Always });
    let status = embedded.begin(Operation::Status);
    let Embedded { node, gateway, now, .. } = &mut embedded;
    assert_eq!(gateway.feed(node, *now, put, b"content"), 7);
    gateway.feed_end(node, *now, put);
    (0..100).for_each(|_| embedded.turn());
    let Embedded { node, gateway, now, .. } = &mut embedded;
    let late = gateway.start(node, *now, Operation::Verify).unwrap();
    node.closed(*now, gateway.link());
    assert!(!node.is_open(gateway.link()));
    let ends: Vec<_> = std::iter::from_fn(|| gateway.poll_event(node, *now))
        .filter_map(|event| match event {
            Event::Finished { op, result } => Some((op, result)),
            _ => None,
        })
        .collect();
    assert_eq!(ends.len(), 3, "{ends:?}");
    let end = |op| ends.iter().find(|end| end.0 == op).map(|end| &end.1);
    assert!(matches!(end(put), Some(Ok(Answer::Put { .. }))), "{ends:?}");
    assert!(matches!(end(status), Some(Ok(Answer::Status(_)))), "{ends:?}");
    assert!(matches!(end(late), Some(Err(ClientError::Disconnected(_)))), "{ends:?}");
}

#[test]
fn of_a_gateway_that_is_dropped_nothing_is_left_in_the_node() {
    let mut embedded = Embedded::start();
    let meta = Meta { name: b"a".to_vec(), ..Meta::default() };
    let put = embedded.begin(Operation::Put { meta, overwrite: Overwrite::Always });
    let plain: Vec<u8> = (0..16 * BLOCK).map(|at| (at % 253) as u8).collect();
    let mut fed = 0;
    while fed < plain.len() {
        let Embedded { node, gateway, now, .. } = &mut embedded;
        let before = fed;
        while gateway.poll_event(node, *now).is_some() {}
        fed += gateway.feed(node, *now, put, &plain[fed..]);
        assert!(fed > before, "16 blocks may be on offer");
    }
    let Embedded { mut node, disk, fs, gateway, mut now, .. } = embedded;
    assert!(node.gauge().programs >= 16 * BLOCK, "{:?}", node.gauge());
    let link = gateway.link();
    drop(gateway);
    node.handle_timeout(now);
    assert!(!node.is_open(link));
    assert_eq!(node.gauge().programs, 0);
    for _ in 0..100 {
        while let Some(action) = node.poll_action() {
            if let Action::Job(job) = action {
                node.done(now, execute(&disk, job));
            }
        }
        now.instant = now.instant + Duration::from_secs(1);
        node.handle_timeout(now);
    }
    assert!(fs.paths("blocks").is_empty(), "{:?}", fs.paths("blocks"));
    let gauge = node.gauge();
    assert!(gauge.reserved == 0, "{gauge:?}");
}

#[test]
fn who_has_the_keys_of_another_network_is_told_so() {
    let mut embedded = Embedded::start();
    let root = RootKey::generate(&[1; 32]);
    let other_root = NetworkKey::generate(&[2; 32], &RootKey::generate(&[11; 32]));
    let other_cluster = NetworkKey::generate(&[12; 32], &root);
    for network in [other_root, other_cluster] {
        let access = Access { network, ..access() };
        let opened = Gateway::open(&mut embedded.node, access, &[13; 32], embedded.now);
        assert_eq!(opened.err(), Some(ClientError::WrongNetwork));
    }
}
