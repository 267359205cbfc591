//! Lists in order: what they tell, page by page, while others write, and from whom.

use super::hostile::Pair;
use super::program::{End, Program, access, world};
use crate::sim::world::World;
use bytes::Bytes;
use dfsd::crypto::keys::DataKeys;
use dfsd::ids::Space;
use dfsd::keyring::{Access, names};
use dfsd::limits::{LIST_BARREN_MAX, ORDER_WAITS_MAX};
use dfsd::session::{ClientError, Operation};
use dfsd::wire::message::Message;
use dfsd::wire::names::{NamesFound, NamesQuestion};

const NAMES: [&str; 8] = ["a", "a/b", "a/b-c", "a/c/d", "a/c/e/f", "a0", "b", "c/d/e"];

fn under(of: &str, one_level: bool) -> Operation {
    Operation::ListUnder { of: of.into(), one_level }
}

fn list(program: &mut Program, world: &mut World, of: &str, one_level: bool) -> Vec<String> {
    let End { result, names, .. } = program.call(world, under(of, one_level));
    result.expect("the list ends well");
    names
}

/// A node on which names are in order. Which of them: see `World::try_start`.
fn ordered(world: &mut World, machine: usize) -> Program {
    let mut program = Program::connect(world, machine, access());
    list(&mut program, world, "", false);
    world.run(std::time::Duration::from_secs(1), |_| false);
    program
}

#[test]
fn a_list_is_of_a_name_and_of_its_folder() {
    let mut world = world(21, 3);
    let mut writer = Program::connect(&mut world, 0, access());
    for name in NAMES {
        writer.put(&mut world, name, name.as_bytes()).result.unwrap();
    }
    world.run(std::time::Duration::from_secs(5), |_| false);
    let cases: [(&str, bool, &[&str]); 8] = [
        ("", false, &NAMES),
        ("", true, &["a", "a/", "a0", "b", "c/"]),
        ("a", false, &["a", "a/b", "a/b-c", "a/c/d", "a/c/e/f"]),
        ("a", true, &["a", "a/b", "a/b-c", "a/c/"]),
        ("a/c", true, &["a/c/d", "a/c/e/"]),
        ("b", false, &["b"]),
        ("c/d/e/f", false, &[]),
        ("x", true, &[]),
    ];
    // The last of the three has no data key: it lists all names in no order, and the rest is done here.
    for machine in [0, 2] {
        let mut program = ordered(&mut world, machine);
        for (of, one_level, expected) in cases {
            let mut names = list(&mut program, &mut world, of, one_level);
            if machine == 2 {
                names.sort();
            }
            assert_eq!(names, expected, "{of:?} of {machine}, one level: {one_level}");
        }
    }
}

#[test]
fn an_order_of_names_is_kept_as_names_come_and_go() {
    let mut world = world(22, 2);
    let mut program = ordered(&mut world, 0);
    let mut elsewhere = Program::connect(&mut world, 1, access());
    let name = |number: usize| format!("many/{number:03}");
    for number in (0..300).rev() {
        elsewhere.put(&mut world, &name(number), b"content").result.unwrap();
    }
    world.run(std::time::Duration::from_secs(5), |_| false);
    let all: Vec<String> = (0..300).map(name).collect();
    assert_eq!(
        list(&mut program, &mut world, "many", false),
        all,
        "in as many answers as it takes"
    );
    for number in 100..200 {
        let name = name(number).into_bytes();
        elsewhere.call(&mut world, Operation::Delete { name }).result.unwrap();
    }
    elsewhere.put(&mut world, "many/150/x", b"content").result.unwrap();
    world.run(std::time::Duration::from_secs(5), |_| false);
    let mut left: Vec<String> = (0..100).chain(200..300).map(name).collect();
    left.insert(100, "many/150/".to_owned());
    assert_eq!(list(&mut program, &mut world, "many", true), left);
    // A start reads them anew, and who asks first waits for that.
    world.kill(0);
    world.start(0, Vec::new());
    let mut again = Program::connect(&mut world, 0, access());
    assert_eq!(list(&mut again, &mut world, "many", true), left);
}

#[test]
fn names_that_cannot_be_read_are_counted() {
    let mut world = world(23, 1);
    let mut writer = Program::connect(&mut world, 0, access());
    writer.put(&mut world, "a", b"content").result.unwrap();
    let foreign = Access { data: Some(DataKeys::generate(&[77; 32])), ..access() };
    let mut stranger = Program::connect(&mut world, 0, foreign);
    stranger.put(&mut world, "b", b"content").result.unwrap();
    for came in ["before", "after"] {
        let mut program = Program::connect(&mut world, 0, access());
        for _ in 0..2 {
            let End { result, names, .. } = program.call(&mut world, under("", false));
            let Err(ClientError::Damaged(what)) = result else { panic!("{came}: {result:?}") };
            assert!(what.contains("names are left out"), "{came}: {what}");
            assert_eq!(names, ["a"], "{came}");
            world.run(std::time::Duration::from_secs(1), |_| false);
        }
        stranger.put(&mut world, "c", b"content").result.unwrap();
    }
}

/// What a list comes to if a node answers its questions so.
fn answered(one_level: bool, mut found: impl FnMut(u32) -> NamesFound + 'static) -> ClientError {
    let data = access().data.expect("these keys are whole");
    let mut asked = 0;
    let mut pair = Pair::of(access(), move |conn, message| {
        let Message::ListNames { request, question, .. } = message else { return false };
        assert!(names::open(&data, names::Kind::Question, question).is_some());
        asked += 1;
        assert!(asked <= LIST_BARREN_MAX + 1, "the list goes on and on");
        let keys = data.newest(&Space::default());
        let found = names::seal(&keys, names::Kind::Found, &found(asked).encode());
        conn.send(&Message::NamesListed {
            request: *request,
            records: Vec::<Bytes>::new(),
            found,
            damaged: 0,
            sync: Default::default(),
            log_damage: Default::default(),
        });
        true
    });
    let op = pair.start(under("a", one_level));
    pair.pump();
    pair.error(op)
}

#[test]
fn a_list_in_order_that_turns_back_or_tells_other_names_ends() {
    let broken = |error: ClientError| matches!(error, ClientError::Protocol(_));
    let next = |name: &str| NamesFound { folders: Vec::new(), next: Some(name.into()) };
    let folders = |names: &[&str]| NamesFound {
        folders: names.iter().map(|name| name.as_bytes().to_vec()).collect(),
        next: None,
    };
    assert!(broken(answered(false, move |_| next("a/b"))), "it stands still");
    assert!(broken(answered(false, move |asked| next(&format!("a/{}", 9 - asked % 9)))));
    assert!(broken(answered(false, move |asked| next(&format!("a/{asked:05}")))), "it is barren");
    assert!(broken(answered(true, move |_| folders(&["a/c/", "a/b/"]))));
    for other in ["b/", "a/b", "a/b/c/"] {
        assert!(broken(answered(true, move |_| folders(&[other]))), "{other}");
    }
    assert!(broken(answered(false, move |_| folders(&["a/b/"]))), "no folders were asked for");
}

/// A node that says for ever that it is about to put names in order is asked for all of them.
#[test]
fn a_list_waits_while_names_are_put_in_order_but_not_for_ever() {
    for waits in [ORDER_WAITS_MAX, u32::MAX] {
        let data = access().data.expect("these keys are whole");
        let mut asked = 0;
        let mut pair = Pair::of(access(), move |conn, message| {
            let records = Vec::<Bytes>::new();
            let (sync, log_damage) = (Default::default(), Default::default());
            match message {
                Message::ListNames { request, .. } if asked < waits => {
                    asked += 1;
                    assert!(asked <= ORDER_WAITS_MAX + 1, "it waits and waits");
                    conn.send(&Message::BeingOrdered { request: *request });
                }
                Message::ListNames { request, .. } => {
                    let keys = data.newest(&Space::default());
                    let found = NamesFound::default().encode();
                    let found = names::seal(&keys, names::Kind::Found, &found);
                    let request = *request;
                    conn.send(&Message::NamesListed {
                        request,
                        records,
                        found,
                        damaged: 0,
                        sync,
                        log_damage,
                    });
                }
                Message::List { request, .. } => {
                    assert!(asked > ORDER_WAITS_MAX, "there was still hope");
                    let (request, next) = (*request, None);
                    conn.send(&Message::Listed {
                        request,
                        records,
                        next,
                        damaged: 0,
                        sync,
                        log_damage,
                    });
                }
                _ => return false,
            }
            true
        });
        let op = pair.start(under("a", false));
        pair.pump();
        assert!(matches!(pair.result(op), Some(Ok(_))), "{waits}");
    }
}

/// What names a client asks for is told to no node that does not have the data key.
#[test]
fn a_question_tells_no_name() {
    let question = NamesQuestion { of: b"secret/name".to_vec(), after: None, one_level: false };
    let mut pair = Pair::of(access(), |_, message| {
        if let Message::ListNames { question, .. } = message {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            assert!(!bytes.windows(6).any(|window| window == b"secret"));
            assert!(!question.bytes.is_empty());
        }
        false
    });
    pair.start(under("secret/name", false));
    pair.pump();
    assert!(question.encode().windows(6).any(|window| window == b"secret"));
}
