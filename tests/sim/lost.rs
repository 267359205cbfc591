//! G1, G2 and G12 where something was found damaged: what has come again is here, and what nobody needs is not missed.

use super::client::program::{Program, access, content, world};
use super::comparison::spoil;
use super::exhaustion::full_page;
use super::raw::{RawClient, page_of};
use super::replication::{reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::ids::Address;
use dfsd::server::work::Job;
use dfsd::session::Operation;
use dfsd::store::fs::FileSystem;
use dfsd::wire::message::Message;
use dfsd::wire::settings::Setting;
use std::time::Duration;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn restart(world: &mut World) {
    world.kill(0);
    world.start(0, Vec::new());
}

fn page(world: &mut World, client: &mut RawClient, address: Address) -> Option<Bytes> {
    client.send(&Message::GetPage { request: 5, address });
    match client.message(world) {
        Some(Message::Page { request: 5, page }) => page,
        Some(Message::Refused { request: 5, .. }) => None,
        other => panic!("a page was expected, not {other:?}"),
    }
}

/// A page is put again, and before that is durable a reader finds that the old one is bad.
#[test]
fn what_is_put_again_while_it_is_found_damaged_is_here_after_a_start() {
    let mut world = world(640, 1);
    let mut client = RawClient::connect(&mut world, 0);
    let bytes = full_page(0);
    let address = reference(&bytes).address;
    client.send(&page_of(&world, 2, bytes.clone()));
    assert_eq!(client.message(&mut world), Some(Message::PageDone { request: 2 }));
    assert!(spoil(&world, 0, &bytes));
    world.slow = Some(|job| matches!(job, Job::Commit { .. }));
    client.send(&page_of(&world, 3, bytes.clone()));
    client.pump(&mut world);
    world.run(Duration::from_millis(100), |_| false);
    let mut reader = RawClient::connect(&mut world, 0);
    reader.send(&Message::GetPage { request: 4, address });
    reader.pump(&mut world);
    assert_eq!(client.message(&mut world), Some(Message::PageDone { request: 3 }));
    world.slow = None;
    world.run(seconds(5), |_| false);
    assert_eq!(page(&mut world, &mut client, address).as_ref(), Some(&bytes));
    restart(&mut world);
    let mut client = RawClient::connect(&mut world, 0);
    assert_eq!(page(&mut world, &mut client, address), Some(bytes));
}

/// A file that no group names.
fn stray(world: &World) -> String {
    let disk = &world.machines[0].fs;
    let stray = Address([0xab; 32]);
    for folder in ["blocks/ab", "blocks/ab/ab"] {
        disk.make_folder(folder).unwrap();
    }
    let path = format!("blocks/ab/ab/{stray}");
    disk.create(&path).unwrap();
    disk.sync_all().unwrap();
    path
}

#[test]
fn what_was_lost_is_not_missed_when_no_file_needs_it_any_more() {
    let mut world = world(641, 1);
    let mut program = Program::connect(&mut world, 0, access());
    let change = vec![Setting::Grace(seconds(0)), Setting::Retention(seconds(20))];
    assert!(program.call(&mut world, Operation::Settings { change }).result.is_ok());
    let files = |world: &World| world.machines[0].fs.paths("blocks");
    program.put(&mut world, "a", &content(1, 70_000)).result.unwrap();
    let gone = files(&world).pop().unwrap();
    program.put(&mut world, "b", &content(2, 70_000)).result.unwrap();
    let needed = files(&world).into_iter().find(|path| *path != gone).unwrap();
    let mut client = RawClient::connect(&mut world, 0);
    for path in [&gone, &needed] {
        assert!(world.machines[0].fs.tamper().flip(path, 1_000));
        let address = path.rsplit('/').next().unwrap().parse().unwrap();
        client.send(&Message::Suspect { address });
        client.pump(&mut world);
        world.run(seconds(1), |_| false);
    }
    assert_eq!(status(&mut world, 0).incomplete, 2);
    program.put(&mut world, "a", &content(3, 70_000)).result.unwrap();
    world.run(seconds(60), |_| false);
    assert_eq!(status(&mut world, 0).incomplete, 1, "the block of a file that is there");
    // Nor after a start, which reads once more that it was lost.
    restart(&mut world);
    world.run(seconds(60), |_| false);
    assert_eq!(status(&mut world, 0).incomplete, 1);
    let mut program = Program::connect(&mut world, 0, access());
    program.put(&mut world, "b", &content(4, 70_000)).result.unwrap();
    world.run(seconds(60), |_| false);
    assert_eq!(status(&mut world, 0).incomplete, 0);
    world.kill(0);
    let stray = stray(&world);
    world.start(0, Vec::new());
    world.run(seconds(60), |_| false);
    assert_eq!(status(&mut world, 0).incomplete, 0);
    let mut program = Program::connect(&mut world, 0, access());
    program.put(&mut world, "c", &content(5, 70_000)).result.unwrap();
    world.run(seconds(90), |_| false);
    assert!(!files(&world).contains(&stray), "and what no group names is looked for");
}
