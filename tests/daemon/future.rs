//! What is dated in the future, at the command line: nobody's name is taken away by it.
//!
//! Knows no clock of another machine: a peer with the keys of a member says what no honest one would. Invariant: what was
//! stored before is shown again as soon as a person allows it.

use super::{Network, text};
use crate::attack::crowd::Crowd;
use dfsd::crypto::{sign, tags};
use dfsd::ids::{Space, VersionId};
use dfsd::keyring::Keyring;
use dfsd::time::STAMP_MAX;
use dfsd::wire::message::{Message, PushedRecord, Role};
use dfsd::wire::record::{BlockList, FORMAT, Record, RecordKind};
use std::time::Duration;

/// A version of a name that is dated in the year 6429, told by a member.
fn date_in_the_future(network: &Network, name: &[u8]) {
    let access = Keyring::open(&network.nodes[0].data).unwrap().access;
    let write = access.write.as_ref().unwrap();
    let mut record = Record {
        format: FORMAT,
        kind: RecordKind::File,
        space: Space::default(),
        name: access.data.as_ref().unwrap().name_id(&Space::default(), name),
        version: VersionId { stamp: STAMP_MAX, writer: Default::default() },
        parents: Vec::new(),
        epoch: 1,
        signer: write.public(),
        blocks: BlockList::Inline(Vec::new()),
        extensions: Vec::new(),
        sealed_tag: [7; 32],
        sealed: vec![8; 100],
        signature: [0; 64],
    };
    record.signature = sign::sign(&write.sign, tags::RECORD, &record.signed_bytes());
    let mut crowd = Crowd::new(network.nodes[0].address, &access);
    let member = crowd.members(1, Role::Node).start;
    let item = PushedRecord { record: record.to_bytes().into(), block: Default::default() };
    crowd.send(member, &Message::Records { items: vec![item] });
    let refused = || network.dfs(0, &["stat", "kept"]).code == 7;
    for _ in 0..100 {
        crowd.turn(Duration::from_millis(50));
        if refused() {
            return;
        }
    }
    panic!("the record does not come");
}

#[test]
fn who_allows_it_reads_lists_and_overwrites_a_name_that_is_dated_in_the_future() {
    let network = Network::alone();
    network.put(0, "kept", b"kept");
    network.put(0, "other", b"other");
    date_in_the_future(&network, b"kept");

    let refused = network.dfs(0, &["cat", "kept"]);
    assert_eq!(refused.code, 7);
    assert!(refused.stderr.contains("--allow-future"), "{}", refused.stderr);
    let list = network.dfs(0, &["ls"]);
    assert_eq!((list.code, list.text().as_str()), (6, "other\n"), "{}", list.stderr);

    assert_eq!(network.dfs(0, &["--allow-future", "cat", "kept"]).ok(), b"kept");
    assert_eq!(network.dfs(0, &["--allow-future", "ls", "--sort"]).ok(), b"kept\nother\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new");
    std::fs::write(&file, b"new").unwrap();
    assert_eq!(network.dfs(0, &["put", &text(&file), "kept"]).code, 7);
    network.dfs(0, &["--allow-future", "put", &text(&file), "kept"]).ok();
    assert_eq!(network.dfs(0, &["cat", "kept"]).ok(), b"new", "discarded for good");
    assert_eq!(network.dfs(0, &["ls", "--sort"]).ok(), b"kept\nother\n");
}
