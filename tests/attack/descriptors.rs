//! Descriptors run short: whoever has the key still gets in, and a daemon that cannot accept does not spin.

use super::crowd::Crowd;
use super::flood::Attack;
use super::victim::Victim;
use super::workload_client;
use dfsd::limits::{
    CONNECTIONS_MIN, DESCRIPTORS_OTHER, DESCRIPTORS_PER_WORKER, DRAFTS_OPEN_MAX, HANDSHAKE_TIMEOUT,
    REMOVED_OPEN_MAX, SEGMENTS_OPEN_MAX,
};
use dfsd::wire::message::Role;
use std::time::{Duration, Instant};

/// So few that a daemon with two workers has the fewest connections with which it starts.
const DESCRIPTORS: usize = SEGMENTS_OPEN_MAX
    + DRAFTS_OPEN_MAX
    + REMOVED_OPEN_MAX
    + DESCRIPTORS_OTHER
    + 2 * DESCRIPTORS_PER_WORKER
    + CONNECTIONS_MIN;

fn victim() -> Victim {
    Victim::start_with(&["--workers", "2"], Some(DESCRIPTORS as u64))
}

#[test]
fn strangers_make_room_where_descriptors_are_few() {
    let mut victim = victim();
    let attack = Attack {
        name: "few descriptors",
        connections: CONNECTIONS_MIN,
        begin: |crowd: &mut Crowd| {
            for _ in 0..300 {
                crowd.stranger();
            }
        },
        go_on: |_: &mut Crowd, _: Duration| (),
    };
    attack.run(&mut victim);
    let before = victim.processor_time();
    std::thread::sleep(Duration::from_millis(500));
    let used = victim.processor_time() - before;
    assert!(used < Duration::from_millis(200), "{used:?} of a processor for nothing");
}

#[test]
fn members_beyond_the_last_descriptor_are_sent_away_and_the_others_stay() {
    let victim = victim();
    let mut crowd = Crowd::new(victim.address, &victim.access);
    let mut client = victim.client();
    // Half of the connections may be between their first and their last message.
    crowd.members(CONNECTIONS_MIN / 2 - 1, Role::Client);
    crowd.members(CONNECTIONS_MIN / 2, Role::Client);
    let late = crowd.stranger();
    // Sooner than one that is let in and says nothing.
    let end = Instant::now() + HANDSHAKE_TIMEOUT / 2;
    while !crowd.attackers[late].gone && Instant::now() < end {
        crowd.run(Duration::from_millis(50));
    }
    assert!(crowd.attackers[late].gone, "there is no descriptor for it");
    assert_eq!(crowd.alive(), CONNECTIONS_MIN - 1, "those who are in stay");
    workload_client::put(&mut client, "meanwhile", b"works");
    assert_eq!(workload_client::get(&mut client, "meanwhile"), b"works");
    drop(crowd);
    std::thread::sleep(Duration::from_secs(1));
    workload_client::work(&victim, 1, Duration::ZERO);
}
