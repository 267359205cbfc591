//! What is dated in the future: whoever has a key for it may say so, and takes nobody's name away by it.

use super::client::program::{self, Program};
use super::comparison::signed;
use super::expiry::{GONE, set};
use super::raw::RawClient;
use super::replication::record;
use super::world::World;
use bytes::Bytes;
use dfsd::crypto::{sign, tags};
use dfsd::ids::{Space, VersionId};
use dfsd::limits::{FUTURE_MAX, STAMP_LEAD};
use dfsd::session::{Answer, ClientError, Operation};
use dfsd::time::{STAMP_MAX, stamp_after, stamp_at, wall_ms_of};
use dfsd::wire::message::{Hello, Message, PushedRecord, Reason, Role};
use dfsd::wire::record::Record;
use dfsd::wire::settings::Setting;
use std::time::Duration;

/// A version of the file "a" that is dated so, in the world of programs.
fn dated(world: &World, stamp: u64) -> Bytes {
    let name = program::access().data.unwrap().name_id(&Space::default(), b"a");
    let mut record = Record::decode(&record(world, 1, stamp, Vec::new())).unwrap();
    record.name = name;
    record.signature = sign::sign(&world.write_key().sign, tags::RECORD, &record.signed_bytes());
    record.to_bytes().into()
}

fn push(world: &mut World, record: Bytes) {
    let mut peer = RawClient::connect_as(world, 0, Role::Node);
    peer.send(&Message::Records { items: vec![PushedRecord { record, block: Bytes::new() }] });
    peer.pump(world);
    world.run(Duration::from_secs(1), |_| false);
    peer.hang_up(world);
}

fn after_now(world: &World, ahead: Duration) -> u64 {
    stamp_after(stamp_at(world.time().wall_ms), ahead)
}

#[test]
fn a_version_dated_in_the_future_takes_no_name_away() {
    let mut world = program::world(50, 1);
    let mut program = Program::connect(&mut world, 0, program::access());
    program.put(&mut world, "a", b"before").result.unwrap();
    let future = dated(&world, STAMP_MAX);
    push(&mut world, future);
    let get = program.get(&mut world, "a");
    assert_eq!(get.result.unwrap_err(), ClientError::Future, "never an older version");
    assert_eq!(program.put(&mut world, "a", b"now").result.unwrap_err(), ClientError::Future);
    let delete = program.call(&mut world, Operation::Delete { name: b"a".to_vec() });
    assert_eq!(delete.result.unwrap_err(), ClientError::Future);

    program.session.set_calendar(None);
    assert_eq!(program.get(&mut world, "a").data, b"before");
    program.put(&mut world, "a", b"now").result.unwrap();
    program.session.set_calendar(Some(1_000));
    assert_eq!(program.get(&mut world, "a").data, b"now");
    program.put(&mut world, "a", b"later").result.unwrap();
    world.kill(0);
    world.start(0, Vec::new());
    let mut program = Program::connect(&mut world, 0, program::access());
    assert_eq!(program.get(&mut world, "a").data, b"later", "also after a start");
}

/// What was discarded goes, and a start finds what is left.
#[test]
fn with_what_is_discarded_that_is_discarded_which_it_supersedes_in_the_future() {
    let mut world = program::world(59, 1);
    set(&mut world, 0, Setting::Retention(Duration::ZERO));
    let name = program::access().data.unwrap().name_id(&Space::default(), b"a");
    let version = |number| VersionId { stamp: STAMP_MAX - number, ..VersionId::default() };
    for number in (0..4).rev() {
        let record = signed(&world, |record| {
            (record.name, record.version) = (name, version(number));
            record.parents = (number + 1..4).map(version).next().into_iter().collect();
        });
        push(&mut world, record);
    }
    let mut program = Program::connect(&mut world, 0, program::access());
    assert_eq!(program.get(&mut world, "a").result.unwrap_err(), ClientError::Future);
    program.session.set_calendar(None);
    program.put(&mut world, "a", b"now").result.unwrap();
    world.run(GONE, |_| false);
    world.kill(0);
    world.start(0, Vec::new());
    let mut program = Program::connect(&mut world, 0, program::access());
    assert_eq!(program.get(&mut world, "a").data, b"now");
}

/// It would judge nothing, and give old stamps to what is new.
#[test]
fn a_machine_whose_calendar_is_plainly_wrong_goes_by_that_of_the_others() {
    let mut world = program::world(57, 3);
    world.run(Duration::from_secs(5), |_| false);
    world.power_cut(0);
    world.machines[0].ahead_ms = -i64::try_from(world.time().wall_ms).unwrap();
    let peers = vec![world.peer(1), world.peer(2)];
    world.start(0, peers);
    world.run(Duration::from_secs(10), |_| false);
    let mut program = Program::connect(&mut world, 0, program::access());
    let Ok(Answer::Put { version, .. }) = program.put(&mut world, "a", b"now").result else {
        panic!("it is stored");
    };
    let age = wall_ms_of(stamp_at(world.time().wall_ms)) - wall_ms_of(version.stamp);
    assert!(age < 60_000, "{age} ms");
    let future = dated(&world, STAMP_MAX);
    push(&mut world, future);
    assert_eq!(program.get(&mut world, "a").result.unwrap_err(), ClientError::Future);
    world.power_cut(1);
    world.power_cut(2);
    world.run(Duration::from_secs(5), |_| false);
    let mut program = Program::connect(&mut world, 0, program::access());
    assert_eq!(program.get(&mut world, "a").result.unwrap_err(), ClientError::Future);
}

#[test]
fn names_with_a_version_dated_in_the_future_are_listed_if_that_is_allowed() {
    let mut world = program::world(58, 1);
    let mut program = Program::connect(&mut world, 0, program::access());
    program.put(&mut world, "a", b"before").result.unwrap();
    program.put(&mut world, "b", b"other").result.unwrap();
    let future = dated(&world, STAMP_MAX);
    push(&mut world, future);
    let list = program.call(&mut world, Operation::List);
    assert!(matches!(list.result, Err(ClientError::Damaged(_))), "{:?}", list.result);
    assert_eq!(list.names, ["b"]);
    program.session.set_calendar(None);
    let list = program.call(&mut world, Operation::List);
    list.result.unwrap();
    assert_eq!(list.names.len(), 2, "{:?}", list.names);
}

#[test]
fn a_client_signs_no_time_that_its_own_calendar_does_not_believe() {
    let mut world = program::world(51, 1);
    let mut program = Program::connect(&mut world, 0, program::access());
    let wall_ms = world.time().wall_ms;
    let hours = |count: u64| count * 3_600_000;
    program.session.set_calendar(Some(wall_ms - hours(25)));
    assert_eq!(program.put(&mut world, "a", b"1").result.unwrap_err(), ClientError::Future);
    program.session.set_calendar(Some(wall_ms - hours(23)));
    program.put(&mut world, "a", b"2").result.unwrap();
    program.session.set_calendar(Some(1_000));
    program.put(&mut world, "a", b"3").result.unwrap();
}

#[test]
fn a_put_dated_over_a_day_ahead_is_refused_whatever_the_heads_say() {
    let mut world = program::world(52, 1);
    let near = dated(&world, after_now(&world, FUTURE_MAX - Duration::from_secs(10)));
    push(&mut world, near);
    let far = dated(&world, after_now(&world, FUTURE_MAX + Duration::from_secs(30)));
    let mut client = RawClient::connect(&mut world, 0);
    let (conditions, records, blocks) = (Vec::new(), vec![far], Vec::new());
    client.send(&Message::Put { request: 7, conditions, records, blocks });
    let answer = client.message(&mut world);
    assert!(matches!(answer, Some(Message::Refused { reason: Reason::Clock, .. })), "{answer:?}");
}

#[test]
fn a_clients_clock_moves_nobodys() {
    let mut world = program::world(53, 1);
    let mut ahead = RawClient::connect_silent(&mut world, 0);
    let verify_key = ahead.key.verify_key();
    let clock = after_now(&world, STAMP_LEAD - Duration::from_secs(5));
    let (role, boot, addresses, store, group) =
        (Role::Client, 0, Vec::new(), Default::default(), 0);
    ahead.send(&Message::Hello(Hello { role, verify_key, boot, addresses, store, group, clock }));
    ahead.pump(&mut world);
    let mut client = RawClient::connect(&mut world, 0);
    let (space, name) = Default::default();
    client.send(&Message::Head { request: 3, space, name, relay: false });
    let Some(Message::Heads { clock, .. }) = client.message(&mut world) else {
        panic!("heads were expected");
    };
    assert!(clock < after_now(&world, Duration::from_secs(5)), "{clock}");
}
