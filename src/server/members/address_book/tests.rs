//! The verbs of the address book, one by one.

use super::super::remembered::read_peers;
use super::*;

const ME: NodeId = NodeId([1; 32]);
const TWO: NodeId = NodeId([2; 32]);

fn peer(node: NodeId, address: &str) -> PeerAddress {
    PeerAddress { node, address: address.to_owned() }
}

fn addresses<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}

fn at(seconds: u64) -> Now {
    let wall_ms = 1_795_305_600_000 + seconds * 1000;
    Now { instant: Instant(1) + Duration::from_secs(seconds), wall_ms }
}

fn dialled(book: &mut AddressBook, seconds: u64) -> Vec<String> {
    book.due(at(seconds).instant).into_iter().map(|peer| peer.address).collect()
}

#[test]
fn what_a_node_says_of_itself_counts_when_it_has_answered_there() {
    let mut book = AddressBook::new(ME, &[peer(TWO, "given:1")], &[], at(0).instant);
    assert_eq!(dialled(&mut book, 0), ["given:1"]);
    assert!(!book.answered(TWO, at(0)));
    book.connected(TWO, 4, &addresses(["said:1", "guess:1"]), at(0));
    assert_eq!(book.address_of(&TWO), "given:1", "there it has answered");
    assert_eq!(dialled(&mut book, 1), ["said:1"], "and there it may");
    assert!(book.answered(TWO, at(1)), "which is only to be seen");
    assert_eq!(book.address_of(&TWO), "said:1");
    assert_eq!(dialled(&mut book, 1000), [""; 0]);
    assert!(book.text(9).ends_with(" said:1 given:1\n"));
    // What is written down is read again, and that it was seen.
    let mut again = AddressBook::new(ME, &[], &read_peers(&book.text(9)), at(2).instant);
    assert_eq!(again.address_of(&TWO), "said:1");
    assert_eq!(dialled(&mut again, 2), ["said:1"]);
}

#[test]
fn who_never_answered_is_on_no_list_and_is_forgotten_with_its_connection() {
    let mut book = AddressBook::new(ME, &[], &[], at(0).instant);
    book.connected(TWO, 5, &addresses(["victim:1"]), at(0));
    assert_eq!(
        (book.count(), book.address_of(&TWO), book.text(9)),
        (1, String::new(), String::new())
    );
    assert!(book.disconnected(TWO, 5, at(0)));
    assert_eq!(book.count(), 0);
    assert_eq!(dialled(&mut book, 1), ["victim:1"]);
    book.failed(TWO, 1.0, at(1).instant);
    assert_eq!(dialled(&mut book, 2), [""; 0], "not soon again");
}

#[test]
fn who_is_connected_is_seen_now_and_who_was_is_seen_last_when_it_ended() {
    let mut book = AddressBook::new(ME, &[peer(TWO, "given:1")], &[], at(0).instant);
    let seen = |book: &AddressBook, now_ms| book.members(now_ms)[0].last_seen_ms;
    assert_eq!(seen(&book, 9), 0, "never");
    book.connected(TWO, 4, &[], at(1));
    assert_eq!(seen(&book, at(7).wall_ms), at(7).wall_ms);
    assert!(book.text(at(7).wall_ms).contains(&format!(" {} given:1", at(7).wall_ms)));
    assert!(book.disconnected(TWO, 4, at(9)));
    assert_eq!(seen(&book, at(50).wall_ms), at(9).wall_ms);
    let again = AddressBook::new(ME, &[], &read_peers(&book.text(0)), at(60).instant);
    assert_eq!(seen(&again, 0), at(9).wall_ms, "also after a restart");
}

#[test]
fn why_a_node_cannot_be_reached_is_known_until_it_is() {
    let mut book = AddressBook::new(ME, &[peer(TWO, "given:1")], &[], at(0).instant);
    let trouble = |book: &AddressBook| book.members(0)[0].trouble.clone();
    assert_eq!(dialled(&mut book, 0), ["given:1"]);
    book.note_trouble(&TWO, "refused");
    book.failed(TWO, 1.0, at(0).instant);
    assert_eq!(trouble(&book), "given:1: refused");
    book.note_trouble(&TWO, "no dial is under way");
    assert_eq!(trouble(&book), "given:1: refused");
    assert_eq!(dialled(&mut book, 1), ["given:1"]);
    book.note_trouble(&TWO, &"ä".repeat(TROUBLE_MAX));
    let text = trouble(&book);
    assert!(text.len() <= TROUBLE_MAX && text.starts_with("given:1: ää"), "{text}");
    book.connected(TWO, 4, &[], at(1));
    assert_eq!(trouble(&book), "");
}

#[test]
fn another_node_at_a_place_ends_that_place_alone() {
    let given = [peer(TWO, "one:1"), peer(TWO, "two:1")];
    let mut book = AddressBook::new(ME, &given, &[], at(0).instant);
    assert_eq!(dialled(&mut book, 0), ["one:1"]);
    assert_eq!(book.forget_address(TWO, at(0).instant), None);
    assert_eq!(dialled(&mut book, 1), ["two:1"]);
    assert_eq!(book.forget_address(TWO, at(1).instant).as_deref(), Some("two:1"));
    assert_eq!(book.count(), 0);
}

#[test]
fn who_was_seen_takes_the_place_of_who_was_not() {
    let id = |number: usize| {
        let mut id = NodeId([9; 32]);
        id.0[..8].copy_from_slice(&number.to_be_bytes());
        id
    };
    let given: Vec<_> = (0..PEERS_MAX + 5).map(|number| peer(id(number), "x:1")).collect();
    let mut book = AddressBook::new(ME, &given, &[], at(0).instant);
    assert_eq!(book.count() as usize, PEERS_MAX);
    book.connected(TWO, 4, &[], at(0));
    assert!(book.nodes.contains_key(&TWO));
    assert_eq!(book.count() as usize, PEERS_MAX);
}

#[test]
fn the_dead_are_dialled_ever_more_rarely_and_forgotten_in_the_end() {
    let three = NodeId([3; 32]);
    let seen = |node, days: u64| Remembered {
        peer: peer(node, &format!("host{}:1", node.0[0])),
        last_seen_ms: at(days * 86_400).wall_ms,
    };
    let mut book = AddressBook::new(ME, &[], &[seen(TWO, 0), seen(three, 29)], at(0).instant);
    let (mut dials, mut last) = (0, 0);
    for second in 0..6 * 86_400 {
        for due in book.due(at(second).instant) {
            dials += 1;
            last = second;
            book.failed(due.node, 1.0, at(second).instant);
        }
    }
    assert!((200..3000).contains(&dials), "{dials} dials in six days, by two nodes");
    assert!(last > 5 * 86_400, "and still");
    assert_eq!(book.count(), 2);
    book.connected(three, 3, &[], at(31 * 86_400));
    for due in book.due(at(31 * 86_400).instant) {
        book.failed(due.node, 1.0, at(31 * 86_400).instant);
    }
    assert_eq!(book.count(), 1, "thirty days after it was last seen");
}

#[test]
fn what_no_message_could_carry_is_no_address() {
    let node = "11".repeat(32);
    let read = |address: &str| read_peers(&format!("{node} 5 {address}"));
    assert_eq!(read("host:7400").len(), 1);
    assert_eq!(read("host:7400\u{e}"), []);
    assert_eq!(read(&"a".repeat(10_000)), []);
}
