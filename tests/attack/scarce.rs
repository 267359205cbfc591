//! Descriptors run short: whoever has the key still gets in, and a daemon that can't accept does not spin.

use super::crowd::Crowd;
use super::patron;
use super::siege::Attack;
use super::victim::Victim;
use dfsd::wire::message::Role;
use std::time::Duration;

/// A daemon keeps 256 for its files, and has so many connections at most.
const DESCRIPTORS: u64 = 256 + 40;

#[test]
fn strangers_make_room_where_descriptors_are_few() {
    let mut victim = Victim::start_with(&[], Some(DESCRIPTORS));
    let attack = Attack {
        name: "few descriptors",
        connections: 40,
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
    let victim = Victim::start_with(&[], Some(DESCRIPTORS));
    let mut crowd = Crowd::new(victim.address, &victim.access);
    let mut client = victim.client();
    // Half of the connections may be between their first and their last message.
    crowd.members(19, Role::Client);
    crowd.members(20, Role::Client);
    let late = crowd.stranger();
    crowd.run(Duration::from_millis(300));
    assert!(crowd.attackers[late].gone, "there is no descriptor for it");
    assert_eq!(crowd.alive(), 39, "those who are in stay");
    patron::put(&mut client, "meanwhile", b"works");
    assert_eq!(patron::get(&mut client, "meanwhile"), b"works");
    drop(crowd);
    std::thread::sleep(Duration::from_secs(1));
    patron::work(&victim, 1, Duration::ZERO);
}
