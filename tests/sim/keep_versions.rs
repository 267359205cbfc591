//! A network keeps so many superseded versions of each name: those beyond go on every node, whatever its calendar says, and
//! nodes that were parted, were set otherwise or were started meanwhile agree and are at rest.

use super::client::program::{self, Program};
use super::comparison::{signed, tell};
use super::expiry::{
    GONE, HOUR, HOURS_6, beside_files, delete, is_rest, overwrite, records, set, told,
};
use super::raw::RawClient;
use super::replication::status;
use super::world::World;
use bytes::Bytes;
use dfsd::ids::{NameId, Space, VersionId};
use dfsd::session::{Operation, Standing, VersionsWanted};
use dfsd::time::{STAMP_MAX, stamp_at};
use dfsd::wire::discards::discarding;
use dfsd::wire::message::Message;
use dfsd::wire::settings::Setting;
use std::time::Duration;

fn keep(world: &mut World, machine: usize, count: impl Into<Option<u32>>) {
    set(world, machine, Setting::KeepVersions(count.into()));
}

/// So many nodes of a network that keeps so many versions, and otherwise for ever.
fn bounded(seed: u64, nodes: usize, count: u32) -> World {
    let mut world = program::world(seed, nodes);
    keep(&mut world, 0, count);
    set(&mut world, 0, Setting::Retention(Duration::MAX));
    world.run(Duration::from_secs(5), |_| false);
    world
}

fn assert_rest(world: &mut World, nodes: u64, when: &str) {
    let toil = world.toil_of(Duration::from_secs(120));
    assert!(is_rest(toil, nodes), "{when}: {toil:?}");
}

/// How many versions a node tells of, by their standing.
fn standings(world: &mut World, machine: usize, name: &str) -> (usize, usize) {
    let mut program = Program::connect(world, machine, program::access());
    let wanted = VersionsWanted { name: name.into(), from: None, newest: None };
    let versions = program.call(world, Operation::Versions { wanted }).versions;
    let past = versions.iter().filter(|it| it.standing == Standing::Superseded).count();
    (versions.len() - past, past)
}

#[test]
fn of_each_name_the_newest_stay_and_the_others_go_on_every_node() {
    let mut world = bounded(1, 3, 3);
    let beside = beside_files(&world);
    overwrite(&mut world, 0, "often", 20);
    overwrite(&mut world, 1, "once", 1);
    overwrite(&mut world, 2, "few", 4);
    overwrite(&mut world, 1, "gone", 6);
    world.run(Duration::from_secs(2), |_| false);
    delete(&mut world, 0, "gone");
    assert_eq!(told(&mut world, 0, "often").1, 20, "not at once");
    world.run(GONE, |_| false);
    for machine in 0..3 {
        assert_eq!(records(&world, machine), beside + 4 + 1 + 4 + 4);
        assert_eq!(told(&mut world, machine, "often"), (vec![19; 100], 4));
        assert_eq!(told(&mut world, machine, "once"), (vec![0; 100], 1));
        assert_eq!(told(&mut world, machine, "few"), (vec![3; 100], 4));
        assert_eq!(told(&mut world, machine, "gone"), (Vec::new(), 4));
    }
    assert_rest(&mut world, 3, "all has gone");
    world.run(HOUR * 60, |_| false);
    assert!((0..3).all(|machine| records(&world, machine) == beside + 13), "nothing comes back");
    assert!((0..3).all(|machine| told(&mut world, machine, "few").1 == 4), "and nothing goes");
}

#[test]
fn by_calendars_that_are_hours_apart_the_same_goes_at_the_same_time() {
    for ahead in [0, 1] {
        let mut world = bounded(2, 2, 2);
        world.kill(ahead);
        world.machines[ahead].ahead_ms = HOURS_6;
        let peer = world.peer(1 - ahead);
        world.start(ahead, vec![peer]);
        world.run(Duration::from_secs(10), |_| false);
        let beside = beside_files(&world);
        for name in 0..10 {
            overwrite(&mut world, name % 2, &format!("file {name}"), 6);
        }
        // A while is counted by none of them.
        world.run(GONE, |_| false);
        assert!((0..2).all(|machine| records(&world, machine) == beside + 30));
        assert_rest(&mut world, 2, "both have let go");
        for machine in 0..2 {
            overwrite(&mut world, 1 - machine, "file 3", 3);
            world.power_cut(machine);
            let peer = world.peer(1 - machine);
            world.start(machine, vec![peer]);
            world.run(GONE + Duration::from_secs(90), |_| false);
            assert!((0..2).all(|machine| records(&world, machine) == beside + 30));
            assert_rest(&mut world, 2, "one has started");
        }
        // Retention bounds what the bound leaves, by each calendar.
        set(&mut world, 0, Setting::Retention(HOUR));
        world.run(HOUR * 2, |_| false);
        assert_rest(&mut world, 2, "one of the two has let go");
        world.run(HOUR * 7, |_| false);
        let setting = 1;
        assert!((0..2).all(|machine| records(&world, machine) == beside + setting + 10));
    }
}

/// What is beyond the bound stays a while longer on a node that has just started.
#[test]
fn what_one_has_let_go_and_the_other_holds_is_neither_told_of_nor_sent() {
    let mut world = bounded(7, 2, 1);
    let beside = beside_files(&world);
    overwrite(&mut world, 0, "often", 200);
    world.run(Duration::from_secs(1), |_| false);
    world.kill(1);
    world.run(GONE, |_| false);
    assert_eq!(records(&world, 0), beside + 2);
    let peer = world.peer(0);
    world.start(1, vec![peer]);
    let toil = world.toil_of(Duration::from_secs(15));
    assert_eq!(records(&world, 1), beside + 200);
    assert!(toil.bytes < 8_000, "{toil:?}");
    world.run(GONE, |_| false);
    assert_eq!(records(&world, 1), beside + 2);
}

#[test]
fn another_bound_holds_from_then_on_and_brings_nothing_back() {
    let mut world = bounded(3, 2, 4);
    let count = |world: &mut World| [0, 1].map(|machine| told(world, machine, "file").1);
    overwrite(&mut world, 0, "file", 10);
    world.run(GONE, |_| false);
    assert_eq!(count(&mut world), [5, 5]);
    keep(&mut world, 1, 7);
    world.run(GONE, |_| false);
    assert_eq!(count(&mut world), [5, 5], "what has gone has");
    overwrite(&mut world, 0, "file", 9);
    world.run(GONE, |_| false);
    assert_eq!(count(&mut world), [8, 8]);
    keep(&mut world, 0, None);
    world.run(GONE, |_| false);
    overwrite(&mut world, 1, "file", 20);
    world.run(GONE, |_| false);
    assert_eq!(count(&mut world), [28, 28]);
    // It is set while one is away, and another way back before that one has looked at everything.
    world.kill(1);
    keep(&mut world, 0, 3);
    world.run(Duration::from_secs(5), |_| false);
    keep(&mut world, 0, 5);
    world.run(GONE, |_| false);
    assert_eq!(told(&mut world, 0, "file").1, 6);
    let peer = world.peer(0);
    world.start(1, vec![peer]);
    world.run(GONE, |_| false);
    assert_eq!(count(&mut world), [6, 6]);
    keep(&mut world, 1, 0);
    world.run(GONE, |_| false);
    assert_eq!(count(&mut world), [1, 1]);
    assert_eq!(told(&mut world, 1, "file").0, vec![19; 100]);
    assert_rest(&mut world, 2, "nothing of the past is kept");
}

/// Whoever has a version of which nobody knows any more that it was superseded brings it back beside the others, until the
/// name is written again.
#[test]
fn who_was_parted_while_versions_went_agrees_and_the_next_version_ends_what_came_back() {
    let mut world = bounded(4, 2, 2);
    let beside = beside_files(&world);
    for name in ["few", "many", "both"] {
        overwrite(&mut world, 1, name, 2);
    }
    world.run(Duration::from_secs(2), |_| false);
    world.part(0, 1);
    overwrite(&mut world, 0, "few", 1);
    overwrite(&mut world, 0, "many", 6);
    overwrite(&mut world, 0, "both", 7);
    overwrite(&mut world, 1, "both", 5);
    world.run(Duration::from_secs(300), |_| false);
    world.heal(0, 1);
    world.run(Duration::from_secs(400), |_| false);
    for machine in 0..2 {
        assert_eq!(standings(&mut world, machine, "few"), (1, 2));
        assert_eq!(standings(&mut world, machine, "many"), (2, 2), "a head came back");
        assert_eq!(told(&mut world, machine, "many").0, vec![5; 100]);
        let (heads, past) = standings(&mut world, machine, "both");
        assert!(heads == 2 && past == 2, "{heads} concurrent, {past} superseded");
    }
    assert_eq!(world.node(0).unwrap().summary().records, world.node(1).unwrap().summary().records);
    assert_rest(&mut world, 2, "after they were parted");
    for name in ["few", "many", "both"] {
        overwrite(&mut world, 1, name, 1);
    }
    world.run(GONE, |_| false);
    for machine in 0..2 {
        assert_eq!(records(&world, machine), beside + 9);
        assert!(
            ["few", "many", "both"].map(|name| standings(&mut world, machine, name)) == [(1, 2); 3]
        );
    }
    assert_rest(&mut world, 2, "all are written again");
}

#[test]
fn what_comes_late_and_is_beyond_the_bound_is_not_written() {
    let mut world = bounded(5, 1, 2);
    let beside = beside_files(&world);
    let stamp = stamp_at(world.time().wall_ms);
    let version = |number| VersionId { stamp: stamp + number, ..VersionId::default() };
    let all = (1..=8).map(|number| {
        signed(&world, |record| {
            record.version = version(number);
            record.parents = (1..number).map(version).next_back().into_iter().collect();
        })
    });
    let all: Vec<_> = all.collect();
    tell(&mut world, 0, &all[5..]);
    let group = status(&mut world, 0).group;
    // The fifth is superseded by what is here, and two newer ones are.
    tell(&mut world, 0, &all[4..5]);
    world.run(GONE, |_| false);
    assert_eq!((records(&world, 0), status(&mut world, 0).group), (beside + 3, group));
    // Of what supersedes these nothing is here.
    tell(&mut world, 0, &all[..3]);
    world.run(GONE, |_| false);
    assert_eq!(
        records(&world, 0),
        beside + 4,
        "the third is a head, and those before it are beyond"
    );
}

#[test]
fn very_many_go_in_steps_when_the_bound_is_set() {
    const VERSIONS: u64 = 20_000;
    let mut world = program::world(6, 1);
    let beside = beside_files(&world);
    let stamp = stamp_at(world.time().wall_ms);
    let version = |number| VersionId { stamp: stamp + number, ..VersionId::default() };
    for from in (1..=VERSIONS).step_by(1_000) {
        let some = (from..from + 1_000).map(|number| {
            signed(&world, |record| {
                record.version = version(number);
                record.parents = (1..number).map(version).next_back().into_iter().collect();
            })
        });
        let some: Vec<_> = some.collect();
        tell(&mut world, 0, &some);
    }
    assert_eq!(records(&world, 0), beside + VERSIONS);
    keep(&mut world, 0, 5);
    world.run(GONE, |_| false);
    assert_eq!(records(&world, 0), beside + 1 + 6, "the setting, and what is left");
    assert_eq!(world.toil_of(Duration::from_secs(120)).bytes, 0);
}

#[test]
fn what_has_gone_is_gone_after_a_start_whenever_the_power_went() {
    for cut_after in (0..44).step_by(4) {
        let mut world = bounded(100 + cut_after, 1, 3);
        let beside = beside_files(&world);
        overwrite(&mut world, 0, "often", 30);
        world.run(Duration::from_millis(1_000 * cut_after), |_| false);
        world.power_cut(0);
        world.start(0, Vec::new());
        world.run(GONE, |_| false);
        assert_eq!(records(&world, 0), beside + 4);
        world.kill(0);
        world.start(0, Vec::new());
        assert_eq!(records(&world, 0), beside + 4);
        assert_eq!(told(&mut world, 0, "often"), (vec![29; 100], 4));
    }
}

const NAME: NameId = NameId([8; 32]);

/// A version of a name that is dated in the future, one that discards it, and others, each of which supersedes the one before.
fn discarded_and_superseded(world: &World, count: u64) -> (Vec<Bytes>, VersionId) {
    let stamp = stamp_at(world.time().wall_ms);
    let version = |number| match number {
        0 => VersionId { stamp: STAMP_MAX, ..VersionId::default() },
        number => VersionId { stamp: stamp + number, ..VersionId::default() },
    };
    let one = |number| {
        signed(world, |record| {
            (record.name, record.version) = (NAME, version(number));
            record.parents = (1..number).map(version).next_back().into_iter().collect();
            let discards = if number == 1 { vec![version(0)] } else { Vec::new() };
            record.extensions.extend(discarding(&discards));
        })
    };
    ((0..=count).map(one).collect(), version(count))
}

/// The heads of the name, and those that are dated in the future.
fn heads(world: &mut World) -> (Vec<VersionId>, Vec<VersionId>) {
    let mut client = RawClient::connect(world, 0);
    client.send(&Message::Head { request: 3, space: Space::default(), name: NAME, relay: false });
    match client.message(world) {
        Some(Message::Heads { versions, future, .. }) => (versions, future),
        other => panic!("heads were expected, not {other:?}"),
    }
}

/// They go in several groups, for the bound or when their time has come, and the power goes after each.
#[test]
fn between_two_groups_a_start_finds_nothing_as_a_head_that_was_superseded_or_discarded() {
    let of_bound = [Setting::Retention(Duration::MAX), Setting::KeepVersions(Some(1))];
    for (settings, kept) in [(&of_bound[..], 1), (&[Setting::Retention(Duration::ZERO)], 0)] {
        let mut world = program::world(200, 1);
        let beside = beside_files(&world) + settings.len() as u64;
        let (told, last) = discarded_and_superseded(&world, 3_001);
        tell(&mut world, 0, &told);
        settings.iter().for_each(|setting| set(&mut world, 0, *setting));
        let mut groups = 0;
        let mut left = records(&world, 0);
        while world.run(GONE, |world| records(world, 0) < left) {
            groups += 1;
            world.power_cut(0);
            world.start(0, Vec::new());
            left = records(&world, 0);
            assert_eq!(heads(&mut world), (vec![last], Vec::new()), "after group {groups}");
        }
        assert!(groups > 1 && left == beside + 1 + kept, "{groups} groups, {left} are left");
    }
}
