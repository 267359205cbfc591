//! What is superseded goes when its time has come, on every node, and nothing else does; nodes whose calendars differ, or that
//! were parted meanwhile, agree and are at rest.

use super::client::program::{self, Program};
use super::comparison::{signed, spoil_at, tell};
use super::raw::RawClient;
use super::replication::status;
use super::world::{Toil, World};
use bytes::Bytes;
use dfsd::ids::VersionId;
use dfsd::keyring::setting;
use dfsd::limits::{EXPIRED_KNOWN, TOMBSTONE_LIFE};
use dfsd::session::{Answer, ClientError, Operation, Standing, VersionsWanted};
use dfsd::time::stamp_at;
use dfsd::wire::message::{Message, Role};
use dfsd::wire::settings::{Setting, SettingKey};
use std::time::Duration;

/// After this long nothing is there of what was superseded, if the network keeps nothing of the past.
pub(super) const GONE: Duration = Duration::from_secs(45);
pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const HOURS_6: i64 = 6 * 3600 * 1000;

pub(super) fn set(world: &mut World, machine: usize, setting: Setting) {
    let mut program = Program::connect(world, machine, program::access());
    let change = vec![setting];
    program.call(world, Operation::Settings { change }).result.unwrap();
}

/// So many nodes of a network that keeps nothing of the past.
fn forgetful(seed: u64, nodes: usize) -> World {
    let mut world = program::world(seed, nodes);
    set(&mut world, 0, Setting::Retention(Duration::ZERO));
    world.run(Duration::from_secs(5), |_| false);
    world
}

pub(super) fn records(world: &World, machine: usize) -> u64 {
    world.node(machine).unwrap().summary().records.count
}

/// Puts so many versions of a name, one after the other.
pub(super) fn overwrite(
    world: &mut World,
    machine: usize,
    name: &str,
    times: u8,
) -> Vec<VersionId> {
    let mut program = Program::connect(world, machine, program::access());
    let mut put = |content: u8| match program.put(world, name, &[content; 100]).result.unwrap() {
        Answer::Put { version, .. } => version,
        other => panic!("it is stored, not {other:?}"),
    };
    (0..times).map(&mut put).collect()
}

pub(super) fn delete(world: &mut World, machine: usize, name: &str) {
    let mut program = Program::connect(world, machine, program::access());
    program.call(world, Operation::Delete { name: name.into() }).result.unwrap();
}

/// The record that sets the retention, as a node tells others.
fn setting_record(world: &mut World, machine: usize) -> Bytes {
    let mut peer = RawClient::connect_as(world, machine, Role::Node);
    loop {
        if let Some(Message::Records { items }) = peer.message(world) {
            let [item] = &items[..] else { panic!("one is set: {items:?}") };
            return item.record.clone();
        }
    }
}

/// It says for how long versions are kept, and nobody can read it any more.
#[test]
fn where_it_is_not_known_what_is_set_nothing_expires() {
    let mut world = program::world(431, 1);
    set(&mut world, 0, Setting::Retention(Duration::MAX));
    overwrite(&mut world, 0, "a", 3);
    let record = setting_record(&mut world, 0);
    world.kill(0);
    let name = setting::name(SettingKey::Retention).0;
    let at = record.windows(32).position(|window| window == name).unwrap();
    assert!(spoil_at(&world, 0, &record, at + 7));
    world.set_clock(0, 100 * 24 * HOURS_6 / 6);
    world.start(0, Vec::new());
    world.run(Duration::from_secs(200), |_| false);
    assert_eq!(told(&mut world, 0, "a").1, 3);
    // Who sets it again says what is meant.
    set(&mut world, 0, Setting::Retention(Duration::ZERO));
    world.run(GONE, |_| false);
    assert_eq!(told(&mut world, 0, "a").1, 1);
}

/// What a node gives for a name, and of how many versions it tells.
pub(super) fn told(world: &mut World, machine: usize, name: &str) -> (Vec<u8>, usize) {
    let mut program = Program::connect(world, machine, program::access());
    let data = program.get(world, name).data;
    let wanted = VersionsWanted { name: name.into(), from: None, newest: None };
    let versions = program.call(world, Operation::Versions { wanted }).versions;
    (data, versions.len())
}

/// Of nodes that have nothing to do.
pub(super) fn is_rest(toil: Toil, nodes: u64) -> bool {
    toil.bytes < 2_500 * nodes * (nodes - 1) / 2 && toil.jobs < 10 * nodes
}

/// Grants and settings, of which there are as many on all nodes.
pub(super) fn beside_files(world: &World) -> u64 {
    records(world, 0)
}

#[test]
fn what_is_superseded_goes_on_every_node_and_what_is_not_stays() {
    let mut world = forgetful(1, 3);
    let beside = beside_files(&world);
    overwrite(&mut world, 0, "often", 20);
    overwrite(&mut world, 1, "once", 1);
    overwrite(&mut world, 2, "gone", 3);
    world.run(Duration::from_secs(2), |_| false);
    delete(&mut world, 0, "gone");
    world.run(Duration::from_secs(2), |_| false);
    for machine in 0..3 {
        assert_eq!(records(&world, machine), beside + 20 + 1 + 4, "their time has not come");
    }
    world.run(GONE, |_| false);
    for machine in 0..3 {
        assert_eq!(records(&world, machine), beside + 3, "the file, the other, and the tombstone");
        assert_eq!(told(&mut world, machine, "often"), (vec![19; 100], 1));
        assert_eq!(told(&mut world, machine, "once"), (vec![0; 100], 1));
        assert_eq!(told(&mut world, machine, "gone"), (Vec::new(), 1));
    }
    let toil = world.toil_of(Duration::from_secs(120));
    assert!(is_rest(toil, 3), "two minutes at rest: {toil:?}");
    // Nothing comes back when the ids are forgotten, and the tombstone goes last of all.
    world.run(EXPIRED_KNOWN + HOUR, |_| false);
    assert!((0..3).all(|machine| records(&world, machine) == beside + 3));
}

#[test]
fn a_tombstone_goes_after_half_a_year() {
    let mut world = forgetful(2, 2);
    let beside = beside_files(&world);
    overwrite(&mut world, 0, "gone", 1);
    delete(&mut world, 1, "gone");
    world.run(GONE, |_| false);
    assert!((0..2).all(|machine| records(&world, machine) == beside + 1));
    for machine in 0..2 {
        world.kill(machine);
        world.machines[machine].ahead_ms += i64::try_from(TOMBSTONE_LIFE.as_millis()).unwrap();
    }
    let peer = world.peer(0);
    world.start(0, Vec::new());
    world.start(1, vec![peer]);
    world.run(GONE, |_| false);
    assert!((0..2).all(|machine| records(&world, machine) == beside));
    assert!((0..2).all(|machine| told(&mut world, machine, "gone") == (Vec::new(), 0)));
}

/// Two nodes, of which the second is ahead, or the first.
fn apart(seed: u64, ahead: usize) -> World {
    let mut world = forgetful(seed, 2);
    world.kill(ahead);
    world.machines[ahead].ahead_ms = HOURS_6;
    let peer = world.peer(1 - ahead);
    world.start(ahead, vec![peer]);
    world.run(Duration::from_secs(10), |_| false);
    world
}

#[test]
fn two_nodes_whose_calendars_are_hours_apart_agree_and_are_at_rest() {
    for (seed, ahead) in [(3, 0), (4, 1)] {
        let mut world = apart(seed, ahead);
        let beside = beside_files(&world);
        for name in 0..20 {
            overwrite(&mut world, name % 2, &format!("file {name}"), 5);
        }
        world.run(GONE, |_| false);
        assert_eq!(records(&world, ahead), beside + 20, "by its calendar all has expired");
        let toil = world.toil_of(Duration::from_secs(120));
        assert!(is_rest(toil, 2), "{ahead} is ahead: {toil:?}");
        // What has just come, and what has expired elsewhere, is had once, whoever starts anew.
        for machine in 0..2 {
            world.power_cut(machine);
            let peer = world.peer(1 - machine);
            world.start(machine, vec![peer]);
            world.run(Duration::from_secs(30), |_| false);
            let toil = world.toil_of(Duration::from_secs(120));
            assert!(is_rest(toil, 2), "{ahead} is ahead, {machine} has started: {toil:?}");
        }
        world.run(HOUR * 7, |_| false);
        for machine in 0..2 {
            assert_eq!(records(&world, machine), beside + 20);
            for name in 0..20 {
                let expected = (vec![4; 100], 1);
                assert_eq!(told(&mut world, machine, &format!("file {name}")), expected);
            }
        }
    }
}

#[test]
fn a_new_node_is_told_of_what_expired_elsewhere_and_does_not_ask_again() {
    let mut world = apart(5, 0);
    for name in 0..30 {
        overwrite(&mut world, 0, &format!("file {name}"), 4);
    }
    world.run(GONE, |_| false);
    world.wipe(1);
    world.run(Duration::from_secs(150), |_| false);
    let toil = world.toil_of(Duration::from_secs(120));
    assert!(is_rest(toil, 2), "{toil:?}");
    assert_eq!(told(&mut world, 1, "file 7"), (vec![3; 100], 1));
}

/// What only one has, and nothing that is left supersedes, is a version of both; the next one ends that.
#[test]
fn who_was_away_while_versions_expired_agrees_and_nothing_comes_back_in_their_place() {
    let mut world = forgetful(6, 2);
    let beside = beside_files(&world);
    for name in ["one", "many", "gone"] {
        overwrite(&mut world, 1, name, 1);
    }
    world.run(Duration::from_secs(2), |_| false);
    world.part(0, 1);
    overwrite(&mut world, 0, "one", 1);
    overwrite(&mut world, 0, "many", 4);
    overwrite(&mut world, 0, "gone", 2);
    delete(&mut world, 0, "gone");
    world.run(Duration::from_secs(300), |_| false);
    assert_eq!(records(&world, 0), beside + 3);
    world.heal(0, 1);
    world.run(Duration::from_secs(200), |_| false);
    for machine in 0..2 {
        assert_eq!(
            told(&mut world, machine, "one"),
            (vec![0; 100], 1),
            "superseded by what is there"
        );
        assert_eq!(told(&mut world, machine, "many"), (vec![3; 100], 2));
        assert_eq!(told(&mut world, machine, "gone"), (Vec::new(), 2));
    }
    assert_eq!(world.node(0).unwrap().summary().records, world.node(1).unwrap().summary().records);
    let toil = world.toil_of(Duration::from_secs(120));
    assert!(is_rest(toil, 2), "{toil:?}");
    overwrite(&mut world, 1, "many", 1);
    overwrite(&mut world, 1, "gone", 1);
    delete(&mut world, 1, "gone");
    world.run(GONE, |_| false);
    assert!((0..2).all(|machine| records(&world, machine) == beside + 3));
}

/// What superseded the first version has expired, and so has what deleted had superseded that.
#[test]
fn what_comes_back_beside_a_deletion_stays_hidden_and_goes_when_it_is_deleted() {
    for deletes_on in [0, 1] {
        let mut world = forgetful(10, 2);
        let beside = beside_files(&world);
        let first = overwrite(&mut world, 1, "gone", 1);
        world.run(Duration::from_secs(2), |_| false);
        world.part(0, 1);
        overwrite(&mut world, 0, "gone", 1);
        delete(&mut world, 0, "gone");
        world.run(Duration::from_secs(200), |_| false);
        assert_eq!((records(&world, 0), records(&world, 1)), (beside + 1, beside + 1));
        world.heal(0, 1);
        world.run(Duration::from_secs(200), |_| false);
        for machine in 0..2 {
            assert_eq!(told(&mut world, machine, "gone"), (Vec::new(), 2), "both are heads");
        }
        let toil = world.toil_of(Duration::from_secs(120));
        assert!(is_rest(toil, 2), "{toil:?}");
        let mut program = Program::connect(&mut world, deletes_on, program::access());
        let operation = || Operation::Delete { name: "gone".into() };
        let deleted = program.call(&mut world, operation()).result;
        assert!(matches!(deleted, Ok(Answer::Deleted { version, .. }) if version > first[0]));
        let again = program.call(&mut world, operation()).result;
        assert!(matches!(again, Err(ClientError::NotFound)), "{again:?}");
        world.run(GONE, |_| false);
        for machine in 0..2 {
            assert_eq!(told(&mut world, machine, "gone"), (Vec::new(), 1));
            assert_eq!(records(&world, machine), beside + 1, "the last deletion");
        }
    }
}

/// What has superseded it has expired, and the log says so behind it: that was written anew when its segment went.
#[test]
fn what_came_back_is_still_there_after_a_start() {
    let mut world = forgetful(10, 2);
    overwrite(&mut world, 1, "many", 1);
    world.run(Duration::from_secs(2), |_| false);
    world.part(0, 1);
    // The first segment stays for what else is in it.
    overwrite(&mut world, 0, "many", 4);
    let put_files = |world: &mut World, what: &str, count: usize| {
        let mut program = Program::connect(world, 0, program::access());
        for number in 0..count {
            let content = vec![number as u8 ^ what.len() as u8; 12_000];
            program.put(world, &format!("{what} {number}"), &content).result.unwrap();
        }
    };
    put_files(&mut world, "stays", 12);
    world.run(Duration::from_secs(300), |_| false);
    // In the next it says what has expired, and little else that is needed.
    put_files(&mut world, "goes", 12);
    world.heal(0, 1);
    world.run(Duration::from_secs(200), |_| false);
    assert_eq!(told(&mut world, 0, "many"), (vec![3; 100], 2));
    for number in 0..12 {
        delete(&mut world, 0, &format!("goes {number}"));
    }
    world.run(Duration::from_secs(2 * 3600), |_| false);
    world.part(0, 1);
    for _ in 0..2 {
        world.kill(0);
        world.start(0, Vec::new());
        world.run(Duration::from_secs(30), |_| false);
        assert_eq!(told(&mut world, 0, "many"), (vec![3; 100], 2));
    }
}

#[test]
fn what_has_expired_is_gone_after_a_start_whenever_the_power_went() {
    for cut_after in (0..40).step_by(3) {
        let mut world = forgetful(100 + cut_after, 1);
        let beside = beside_files(&world);
        overwrite(&mut world, 0, "often", 30);
        world.run(Duration::from_secs(15) + Duration::from_millis(500 * cut_after), |_| false);
        world.power_cut(0);
        world.start(0, Vec::new());
        world.run(GONE, |_| false);
        assert_eq!(records(&world, 0), beside + 1);
        world.kill(0);
        world.start(0, Vec::new());
        assert_eq!(records(&world, 0), beside + 1);
        assert_eq!(told(&mut world, 0, "often"), (vec![29; 100], 1));
    }
}

#[test]
fn another_retention_holds_from_then_on_and_brings_nothing_back() {
    let mut world = program::world(7, 2);
    overwrite(&mut world, 0, "file", 6);
    world.run(HOUR, |_| false);
    assert!((0..2).all(|machine| told(&mut world, machine, "file") == (vec![5; 100], 6)));
    set(&mut world, 1, Setting::Retention(HOUR * 2));
    world.run(Duration::from_secs(60), |_| false);
    overwrite(&mut world, 0, "file", 2);
    assert!((0..2).all(|machine| told(&mut world, machine, "file").1 == 8));
    world.run(HOUR + Duration::from_secs(60), |_| false);
    assert!((0..2).all(|machine| told(&mut world, machine, "file") == (vec![1; 100], 3)));
    set(&mut world, 0, Setting::Retention(HOUR * 1000));
    world.run(HOUR * 20, |_| false);
    assert!((0..2).all(|machine| told(&mut world, machine, "file") == (vec![1; 100], 3)));
    set(&mut world, 0, Setting::Retention(Duration::ZERO));
    world.run(GONE, |_| false);
    assert!((0..2).all(|machine| told(&mut world, machine, "file") == (vec![1; 100], 1)));
}

/// The other judged by what it was set to, and would have given back what had gone.
#[test]
fn who_was_cut_off_while_another_retention_was_set_brings_nothing_back() {
    for seed in 440..446 {
        let mut world = program::world(seed, 2);
        overwrite(&mut world, 0, "file", 6);
        world.run(Duration::from_secs(10), |_| false);
        world.part(0, 1);
        set(&mut world, 0, Setting::Retention(Duration::ZERO));
        world.run(Duration::from_secs(120), |_| false);
        assert_eq!(told(&mut world, 0, "file").1, 1);
        // What is set takes a while to be taken in.
        world.slow_disk(1, Duration::from_secs(5));
        world.heal(0, 1);
        for _ in 0..30 {
            world.run(Duration::from_secs(5), |_| false);
            assert_eq!(told(&mut world, 0, "file").1, 1, "seed {seed}");
        }
        assert_eq!(told(&mut world, 1, "file").1, 1, "seed {seed}");
    }
}

#[test]
fn what_comes_late_and_has_expired_is_not_written_again() {
    let mut world = forgetful(9, 1);
    let beside = beside_files(&world);
    let stamp = stamp_at(world.time().wall_ms);
    let version = |number| VersionId { stamp: stamp + number, ..VersionId::default() };
    let records = (1..=3).map(|number| {
        signed(&world, |record| {
            record.version = version(number);
            record.parents = (1..number).map(version).next_back().into_iter().collect();
        })
    });
    let records: Vec<_> = records.collect();
    tell(&mut world, 0, &records);
    world.run(GONE, |_| false);
    assert_eq!(self::records(&world, 0), beside + 1);
    let group = status(&mut world, 0).group;
    // What supersedes the second is here; of the first it is known that it has expired.
    tell(&mut world, 0, &records[..2]);
    world.run(GONE, |_| false);
    assert_eq!((self::records(&world, 0), status(&mut world, 0).group), (beside + 1, group));
}

#[test]
fn on_a_full_disk_things_expire_all_the_same() {
    let mut world = forgetful(8, 1);
    let beside = beside_files(&world);
    overwrite(&mut world, 0, "file", 10);
    world.machines[0].fs.tamper().set_free(0);
    world.run(GONE, |_| false);
    assert_eq!(records(&world, 0), beside + 1);
}

/// Seeds of them; the first is `DFSD_TROUBLE`, or 0.
const TROUBLES: u64 = 30;

/// What clients were told of one name: the greatest version, and the content that it gave it, if it did not delete it.
type Greatest = Option<(VersionId, Option<u8>)>;

/// Nodes with calendars of their own to which anything may happen, and what clients were told.
struct Trouble {
    world: World,
    names: [Greatest; 4],
    content: u8,
}

impl Trouble {
    fn new(seed: u64) -> Self {
        let mut world = program::world(1_000 + seed, 3);
        let retention = [0, 60, 600][world.dice(3)];
        set(&mut world, 0, Setting::Retention(Duration::from_secs(retention)));
        let bound = [None, None, Some(0), Some(1), Some(3)][world.dice(5)];
        set(&mut world, 0, Setting::KeepVersions(bound));
        world.run(Duration::from_secs(5), |_| false);
        for machine in 0..3 {
            if world.dice(2) == 0 {
                world.kill(machine);
                world.machines[machine].ahead_ms = world.dice(6 * 3_600_000) as i64;
                Self::start(&mut world, machine);
            }
        }
        world.run(Duration::from_secs(10), |_| false);
        Self { world, names: [None; 4], content: 0 }
    }

    fn start(world: &mut World, machine: usize) {
        let peers = (0..3).filter(|other| *other != machine).map(|other| world.peer(other));
        let peers = peers.collect();
        world.start(machine, peers);
    }

    fn step(&mut self) {
        let world = &mut self.world;
        let (machine, other) = (world.dice(3), world.dice(3));
        let name = world.dice(self.names.len());
        match world.dice(12) {
            0..5 => {
                self.content = self.content.wrapping_add(1);
                let mut program = Program::connect(world, machine, program::access());
                let put = program.put(world, &name.to_string(), &[self.content; 100]);
                if let Ok(Answer::Put { version, .. }) = put.result {
                    self.names[name] = self.names[name].max(Some((version, Some(self.content))));
                }
            }
            5 => {
                let mut program = Program::connect(world, machine, program::access());
                let delete = Operation::Delete { name: name.to_string().into() };
                if let Ok(Answer::Deleted { last, .. }) = program.call(world, delete).result {
                    self.names[name] = self.names[name].max(Some((last, None)));
                }
            }
            6 => world.part(machine, (machine + 1) % 3),
            7 => world.heal(machine, (machine + 1) % 3),
            8 => {
                if other % 2 == 0 {
                    world.kill(machine);
                } else {
                    world.power_cut(machine);
                }
                Self::start(world, machine);
            }
            _ => {
                let rest = [1, 1, 5, 20, 40, 120][world.dice(6)];
                world.run(Duration::from_secs(rest), |_| false);
            }
        }
    }

    fn end(&mut self) {
        let world = &mut self.world;
        for machine in 0..3 {
            world.heal(machine, (machine + 1) % 3);
        }
        // Until whoever is behind has come to where the others were.
        world.run(HOUR * 7, |_| false);
        let summaries: Vec<_> =
            (0..3).map(|machine| world.node(machine).unwrap().summary().records).collect();
        assert!(summaries.windows(2).all(|two| two[0] == two[1]), "{summaries:?}");
        let toil = world.toil_of(Duration::from_secs(120));
        assert!(is_rest(toil, 3), "{toil:?}");
        for (name, greatest) in self.names.iter().enumerate() {
            for machine in 0..3 {
                let mut program = Program::connect(world, machine, program::access());
                let data = program.get(world, &name.to_string()).data;
                let expected = greatest.and_then(|(_, content)| content);
                let expected = expected.map_or(Vec::new(), |content| vec![content; 100]);
                assert_eq!(data, expected, "name {name}, node {machine}");
                let wanted =
                    VersionsWanted { name: name.to_string().into(), from: None, newest: None };
                let told = program.call(world, Operation::Versions { wanted });
                let past = told.versions.iter().filter(|it| it.standing == Standing::Superseded);
                assert_eq!(past.count(), 0, "name {name}, node {machine}: {:?}", told.versions);
                let first = told.versions.first().map(|version| version.id);
                assert_eq!(first, greatest.map(|(version, _)| version), "name {name}");
            }
        }
    }
}

#[test]
fn whatever_happens_what_is_superseded_goes_and_what_is_not_stays_on_all_nodes() {
    let first = std::env::var("DFSD_TROUBLE").map_or(0, |first| first.parse().unwrap());
    for seed in first..first + TROUBLES {
        println!("DFSD_TROUBLE={seed}");
        let mut trouble = Trouble::new(seed);
        (0..60).for_each(|_| trouble.step());
        trouble.end();
    }
}
