//! Scripts: who connects and what it says, and what comes of it.

use super::*;
use crate::crypto::keys::NodeKey;
use crate::keyring::presence::presence;
use crate::server::samples::{Bench, run};

/// This node's number; those of others are above or below it.
const ME: u8 = 5;

enum Do {
    /// A connection came, or this node dialled that one.
    Came(Link),
    Dialled(Link, u8),
    /// Its other side is this start of this node.
    Hello(Link, u8, u64),
    Client(Link),
    Pass(Duration),
    /// Is it still there?
    Due(Link),
    /// It has answered that it is.
    Answered(Link),
}

struct Setting {
    cx: Context,
    members: Members,
}

fn key(number: u8) -> NodeKey {
    NodeKey::generate(&[number; 32])
}

/// The nodes in the order of their ids, so that a lesser number has a lesser id.
fn keys() -> Vec<NodeKey> {
    let mut keys: Vec<NodeKey> = (0..10).map(key).collect();
    keys.sort_by_key(NodeKey::node_id);
    keys
}

impl Setting {
    fn new() -> Self {
        let me = &keys()[usize::from(ME)];
        let setup = Setup {
            node: me.node_id(),
            verify_key: me.verify_key(),
            root: [7; 32],
            data: None,
            addresses: vec!["me:1".to_owned()],
            grants: Vec::new(),
            memory: 1 << 20,
            collect_rate: 1 << 20,
            peers: Vec::new(),
            remembered: Vec::new(),
            began_ms: 0,
            presence: presence(me, &["me:1".to_owned()], 1),
            seed: 7,
            boot: 70,
        };
        let cx = Context::for_tests();
        let members = Members::new(setup, StoreId::default(), cx.now.instant);
        Self { cx, members }
    }

    fn close(&mut self, link: Link) {
        if let Some(peer) = self.cx.links.remove(link) {
            self.members.link_closed(&mut self.cx, link, peer.node());
        }
    }
}

impl Bench for Setting {
    type Step = Do;

    fn act(&mut self, step: &Do) {
        let (members, cx) = (&mut self.members, &mut self.cx);
        match *step {
            Do::Came(link) | Do::Dialled(link, _) => {
                cx.links.insert(link, Peer::for_tests(None));
                cx.links.get_mut(link).unwrap().who = Who::Unknown;
                let reached = match *step {
                    Do::Dialled(_, node) => Reached::Dialled(keys()[usize::from(node)].node_id()),
                    _ => Reached::From([127, 0, 0, 1].into()),
                };
                // Whose static key it is is known from the handshake: a hello is of the same node.
                members.established(cx, link, [0; 32], reached);
            }
            Do::Hello(link, node, boot) => {
                let key = &keys()[usize::from(node)];
                members.by_link.get_mut(&link).unwrap().static_key = key.static_public();
                let hello = Hello {
                    role: Role::Node,
                    verify_key: key.verify_key(),
                    boot,
                    addresses: vec![format!("node{node}:1")],
                    store: StoreId::default(),
                    group: 0,
                    clock: cx.clock(),
                };
                members.hello(cx, link, hello);
            }
            Do::Client(link) => {
                let hello = Hello {
                    role: Role::Client,
                    verify_key: [0; 32],
                    boot: 0,
                    addresses: Vec::new(),
                    store: StoreId::default(),
                    group: 0,
                    clock: cx.clock(),
                };
                members.hello(cx, link, hello);
            }
            Do::Pass(time) => cx.now.instant = cx.now.instant + time,
            Do::Due(link) => members.instance_due(cx, link, 1),
            Do::Answered(link) => {
                cx.links.answered(link, 1, cx.now.instant);
                members.instance_answered(cx, link);
            }
        }
    }

    fn told(&mut self) -> String {
        let mut told = Vec::new();
        loop {
            while let Some(output) = self.cx.outputs.pop_front() {
                match output {
                    Output::Send { link, message: Message::Hello(_) } => {
                        told.push(format!("{link} hello"));
                    }
                    Output::Send { link, message: Message::Status { .. } } => {
                        told.push(format!("{link} is asked"));
                    }
                    Output::Send { message: Message::Peers { .. }, .. } => {}
                    other => panic!("{other:?}"),
                }
            }
            match self.members.poll_event() {
                None => return told.join(", "),
                Some(Event::Hello { link, hello }) => self.members.admit(&mut self.cx, link, hello),
                Some(Event::Connected { link }) => told.push(format!("{link} connected")),
                Some(Event::Ended { link, why }) => {
                    told.push(format!("{link} {why:?}"));
                    self.close(link);
                }
            }
        }
    }
}

/// Each step, and what comes of it. At the end all connections close, and nothing is left.
fn check(script: &[(Do, &str)]) {
    let mut bench = Setting::new();
    run(&mut bench, script);
    (0..20).for_each(|link| bench.close(link));
    assert!(bench.members.by_link.is_empty() && bench.members.twins().is_empty());
    assert_eq!(connected(&bench.cx), 0);
}

#[test]
fn who_was_dialled_speaks_first() {
    check(&[
        (Do::Came(1), "1 hello"),
        (Do::Hello(1, 7, 1), "1 connected"),
        (Do::Dialled(2, 3), ""),
        (Do::Hello(2, 3, 1), "2 hello, 2 connected"),
        (Do::Came(3), "3 hello"),
        (Do::Client(3), ""),
        (Do::Client(3), "3 HelloTwice"),
    ]);
}

#[test]
fn another_than_was_meant_and_this_node_itself_are_not_kept() {
    check(&[
        (Do::Dialled(1, 3), ""),
        (Do::Hello(1, 4, 1), "1 OtherNode"),
        (Do::Dialled(2, 3), ""),
        (Do::Hello(2, ME, 70), "2 Itself"),
    ]);
}

#[test]
fn of_two_connections_that_both_dialled_at_once_that_of_the_lesser_id_stays() {
    check(&[
        (Do::Dialled(1, 7), ""),
        (Do::Hello(1, 7, 1), "1 hello, 1 connected"),
        (Do::Came(2), "2 hello"),
        (Do::Hello(2, 7, 1), "2 Duplicate"),
    ]);
    check(&[
        (Do::Dialled(1, 3), ""),
        (Do::Hello(1, 3, 1), "1 hello, 1 connected"),
        (Do::Came(2), "2 hello"),
        (Do::Hello(2, 3, 1), "1 Replaced, 2 connected"),
    ]);
}

/// Of two that dial at once neither has lost the other, whichever connection ends first, and by whose doing.
#[test]
fn of_two_that_dial_at_once_the_second_connection_goes_on_where_the_first_ends() {
    let mut bench = Setting::new();
    run(
        &mut bench,
        &[
            (Do::Dialled(1, 3), ""),
            (Do::Hello(1, 3, 1), "1 hello, 1 connected"),
            (Do::Came(2), "2 hello"),
        ],
    );
    let static_key = keys()[3].static_public();
    bench.members.by_link.get_mut(&2).unwrap().static_key = static_key;
    bench.close(1);
    assert!(bench.members.by_link[&2].goes_on);
    run(&mut bench, &[(Do::Hello(2, 3, 1), "2 connected"), (Do::Came(4), "4 hello")]);
    bench.close(2);
    assert!(!bench.members.by_link[&4].goes_on, "that is somebody else");
}

#[test]
fn a_node_that_dials_anew_has_lost_its_old_connection() {
    check(&[
        (Do::Dialled(1, 7), ""),
        (Do::Hello(1, 7, 1), "1 hello, 1 connected"),
        (Do::Pass(HANDSHAKE_TIMEOUT), ""),
        (Do::Came(2), "2 hello"),
        (Do::Hello(2, 7, 1), "1 Replaced, 2 connected"),
    ]);
}

#[test]
fn another_start_of_a_node_is_its_twin_if_the_older_one_answers() {
    check(&[
        (Do::Came(1), "1 hello"),
        (Do::Hello(1, 7, 1), "1 connected"),
        (Do::Came(2), "2 hello"),
        (Do::Hello(2, 7, 2), "1 is asked, 2 connected"),
        (Do::Due(1), "1 NoAnswer"),
    ]);
    let mut bench = Setting::new();
    for step in [Do::Came(1), Do::Hello(1, 7, 1), Do::Came(2), Do::Hello(2, 7, 2), Do::Answered(1)]
    {
        bench.act(&step);
        bench.told();
    }
    assert_eq!(bench.members.twins().len(), 1);
    bench.act(&Do::Due(1));
    assert_eq!(bench.told(), "", "it has answered");
    bench.close(2);
    assert!(bench.members.twins().is_empty());
}

#[test]
fn of_one_key_no_more_starts_are_let_in_than_the_bound() {
    let mut bench = Setting::new();
    for link in 0..=INSTANCES_MAX {
        bench.act(&Do::Came(link));
        bench.act(&Do::Hello(link, 7, link as u64));
        let told = bench.told();
        assert_eq!(told.contains("TooManyInstances"), link == INSTANCES_MAX, "{told}");
    }
    assert_eq!(connected(&bench.cx), 1, "twins count once");
}
