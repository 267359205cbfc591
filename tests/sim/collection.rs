//! Collection: what no record names goes when it is time, and nothing else.

use super::client::program::{Program, access, content, world};
use super::compaction::{SEGMENT, WASTE, segments, waste};
use super::comparison::{tell, two_nodes};
use super::pages::{paged, prepare, put_all};
use super::raw::{RawClient, page_of};
use super::replication::{block_of, bring, fetch, holds, network, put, record, reference, status};
use super::world::World;
use dfsd::crypto::keys::record_id;
use dfsd::ids::Address;
use dfsd::limits::SERVED_IDLE;
use dfsd::server::work::Job;
use dfsd::session::Operation;
use dfsd::store::fs::FileSystem;
use dfsd::wire::collection::CollectionVoid;
use dfsd::wire::message::Message;
use dfsd::wire::settings::Setting;
use std::time::Duration;

/// A network's things stay so long after nobody needs them any more.
fn set(world: &mut World, settings: Vec<Setting>) {
    let mut program = Program::connect(world, 0, access());
    let set = program.call(world, Operation::Settings { change: settings });
    assert!(set.result.is_ok(), "{set:?}");
    world.run(Duration::from_secs(2), |_| false);
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Block files of a machine.
fn files(world: &World, machine: usize) -> usize {
    world.machines[machine].fs.paths("blocks").len()
}

fn has_file(world: &World, machine: usize, block: &Address) -> bool {
    let block = block.to_string();
    world.machines[machine].fs.paths("blocks").iter().any(|path| path.ends_with(&block))
}

#[test]
fn what_a_put_that_was_broken_off_has_brought_goes_after_the_grace_and_not_before() {
    let mut world = world(401, 1);
    set(&mut world, vec![Setting::Grace(seconds(100))]);
    let kept = content(1, 300_000);
    let mut program = Program::connect(&mut world, 0, access());
    program.put(&mut world, "kept", &kept).result.unwrap();
    world.kill(0);
    world.start(0, Vec::new());
    let blocks: Vec<_> = (2..5).map(|seed| block_of(seed, 70_000)).collect();
    let mut client = RawClient::connect(&mut world, 0);
    bring(&mut world, &mut client, &blocks);
    client.hang_up(&mut world);
    world.run(seconds(90), |_| false);
    assert_eq!(status(&mut world, 0).unnamed, 3);
    assert_eq!(files(&world, 0), 4, "it may be put again");
    world.run(seconds(100), |_| false);
    assert_eq!(files(&world, 0), 1);
    let told = status(&mut world, 0);
    assert_eq!((told.unnamed, told.collection.collected, told.collection.reclaimable), (0, 3, 0));
    assert_eq!(told.collection.collected_bytes, 210_000);
    let mut program = Program::connect(&mut world, 0, access());
    assert_eq!(program.get(&mut world, "kept").data, kept);
}

#[test]
fn the_grace_does_not_begin_anew_with_every_start() {
    let mut world = world(402, 1);
    set(&mut world, vec![Setting::Grace(seconds(100))]);
    let mut client = RawClient::connect(&mut world, 0);
    bring(&mut world, &mut client, &[block_of(2, 70_000)]);
    for _ in 0..4 {
        world.kill(0);
        world.start(0, Vec::new());
        world.run(seconds(40), |_| false);
    }
    // The first start says when it came at the latest.
    assert_eq!(files(&world, 0), 0);
}

#[test]
fn another_grace_holds_for_what_is_there() {
    let mut world = world(406, 1);
    let mut client = RawClient::connect(&mut world, 0);
    bring(&mut world, &mut client, &[block_of(2, 70_000)]);
    client.hang_up(&mut world);
    set(&mut world, vec![Setting::Grace(seconds(100))]);
    world.run(seconds(80), |_| false);
    assert_eq!(files(&world, 0), 1);
    // What has aged under a shorter one has not under a longer one.
    set(&mut world, vec![Setting::Grace(seconds(1_000))]);
    world.run(seconds(900), |_| false);
    assert_eq!(files(&world, 0), 1);
    set(&mut world, vec![Setting::Grace(seconds(100))]);
    world.run(seconds(150), |_| false);
    assert_eq!(files(&world, 0), 0);
}

#[test]
fn a_put_that_takes_long_finds_what_it_was_told_of() {
    let mut world = world(403, 1);
    set(&mut world, vec![Setting::Grace(seconds(0))]);
    let blocks: Vec<_> = (2..5).map(|seed| block_of(seed, 70_000)).collect();
    let file = paged(&world);
    let (mut first, mut second) =
        (RawClient::connect(&mut world, 0), RawClient::connect(&mut world, 0));
    bring(&mut world, &mut first, &blocks);
    // It is told that they are here.
    let references = bring(&mut world, &mut second, &blocks);
    first.hang_up(&mut world);
    bring(&mut world, &mut second, &file.blocks);
    for page in &file.pages {
        second.send(&page_of(&world, 2, page.clone()));
        assert_eq!(second.message(&mut world), Some(Message::PageDone { request: 2 }));
    }
    for _ in 0..12 {
        world.run(seconds(20), |_| false);
        let mut other = RawClient::connect(&mut world, 0);
        put(&mut world, &mut other, 9, &[]);
        other.hang_up(&mut world);
        second.pump(&mut world);
    }
    assert_eq!(status(&mut world, 0).collection.void, CollectionVoid::No);
    let short = record(&world, 1, 5, references);
    for record in [short, file.record.clone()] {
        second.send(&Message::Put {
            request: 3,
            conditions: Vec::new(),
            records: vec![record.clone()],
            blocks: Vec::new(),
        });
        let done = Message::PutDone { request: 3, copies: 1 };
        assert_eq!(second.message(&mut world), Some(done));
        assert!(holds(&mut world, 0, record_id(&record)));
    }
    second.hang_up(&mut world);
    world.run(seconds(200), |_| false);
    assert_eq!(files(&world, 0), 6, "they are named now");
}

/// Who has put it is gone, and nobody else counts on it but the put itself.
#[test]
fn what_a_put_on_its_way_to_the_disk_names_is_there_when_it_is_durable() {
    let mut world = world(407, 1);
    set(&mut world, vec![Setting::Grace(seconds(0))]);
    let block = block_of(2, 70_000);
    let mut client = RawClient::connect(&mut world, 0);
    let references = bring(&mut world, &mut client, std::slice::from_ref(&block));
    // A cycle has seen that somebody counts on it.
    for _ in 0..10 {
        world.run(seconds(10), |_| false);
        client.pump(&mut world);
    }
    assert_eq!(files(&world, 0), 1);
    world.slow = Some(|job| matches!(job, Job::Commit { .. }));
    let record = record(&world, 1, 5, references);
    client.send(&Message::Put {
        request: 3,
        conditions: Vec::new(),
        records: vec![record.clone()],
        blocks: Vec::new(),
    });
    client.pump(&mut world);
    world.run(Duration::from_millis(300), |_| false);
    client.hang_up(&mut world);
    world.run(seconds(20), |_| false);
    assert!(holds(&mut world, 0, record_id(&record)));
    assert!(has_file(&world, 0, &reference(&block).address));
}

/// A file goes in a group of its own, which lets one of others pass.
#[test]
fn a_block_that_comes_again_while_its_file_waits_to_go_stays() {
    let mut world = world(411, 1);
    set(&mut world, vec![Setting::Grace(seconds(0))]);
    let block = block_of(2, 70_000);
    let mut client = RawClient::connect(&mut world, 0);
    bring(&mut world, &mut client, std::slice::from_ref(&block));
    client.hang_up(&mut world);
    world.slow = Some(|job| matches!(job, Job::Commit { .. }));
    let [mut busy, mut client] = [0; 2].map(|machine| RawClient::connect(&mut world, machine));
    let mut looks = 0;
    loop {
        client.send(&Message::Status { request: 9 });
        let Some(Message::StatusIs { status, .. }) = client.message(&mut world) else { panic!() };
        if status.unnamed == 0 {
            break;
        }
        // A group is always on its way.
        looks += 1;
        busy.send(&Message::Put {
            request: looks,
            conditions: Vec::new(),
            records: vec![record(
                &world,
                10 + (looks % 200) as u8,
                5 + u64::from(looks),
                Vec::new(),
            )],
            blocks: Vec::new(),
        });
        busy.pump(&mut world);
        world.run(Duration::from_millis(50), |_| false);
        assert!(looks < 2000, "nobody needs it");
    }
    assert!(has_file(&world, 0, &reference(&block).address), "it waits for its group");
    put(&mut world, &mut client, 1, std::slice::from_ref(&block));
    client.hang_up(&mut world);
    world.run(seconds(20), |_| false);
    assert_eq!(fetch(&mut world, 0, reference(&block)), Some(block));
}

#[test]
fn what_a_client_has_put_and_deleted_goes_while_it_stays_connected() {
    let mut world = world(405, 1);
    set(&mut world, vec![Setting::Grace(seconds(0)), Setting::Retention(seconds(0))]);
    let (mut first, mut second) =
        (Program::connect(&mut world, 0, access()), Program::connect(&mut world, 0, access()));
    let content = content(1, 3 << 20);
    // The second is told of what the first has brought.
    for program in [&mut first, &mut second] {
        program.put(&mut world, "file", &content).result.unwrap();
        program.put(&mut world, "copy", &content[..1 << 20]).result.unwrap();
    }
    assert_eq!(files(&world, 0), 3);
    second.call(&mut world, Operation::Delete { name: "file".into() }).result.unwrap();
    second.call(&mut world, Operation::Delete { name: "copy".into() }).result.unwrap();
    // Who asked for a name may have begun to read what it shows.
    for _ in 0..SERVED_IDLE.as_secs() + 100 {
        first.stay(&mut world);
        second.stay(&mut world);
        world.run(seconds(1), |_| false);
    }
    assert_eq!(files(&world, 0), 0);
    for program in [&mut first, &mut second] {
        program.put(&mut world, "file", &content).result.expect("it is still connected");
    }
}

#[test]
fn what_somebody_has_begun_to_read_stays_though_it_is_deleted() {
    let mut world = world(409, 1);
    set(&mut world, vec![Setting::Grace(seconds(0)), Setting::Retention(seconds(0))]);
    let mut writer = Program::connect(&mut world, 0, access());
    writer.put(&mut world, "file", &content(1, 1 << 20)).result.unwrap();
    // What a put was told of counts no more after a start.
    world.kill(0);
    world.start(0, Vec::new());
    let mut reader = Program::connect(&mut world, 0, access());
    assert_eq!(reader.get(&mut world, "file").data, content(1, 1 << 20));
    let mut writer = Program::connect(&mut world, 0, access());
    writer.call(&mut world, Operation::Delete { name: "file".into() }).result.unwrap();
    world.run(seconds(300), |_| false);
    assert_eq!(files(&world, 0), 1, "it may ask for the rest");
    world.run(SERVED_IDLE + seconds(200), |_| false);
    assert_eq!(files(&world, 0), 0);
}

#[test]
fn as_long_as_a_page_is_not_here_nothing_is_collected() {
    let mut world = world(404, 1);
    set(&mut world, vec![Setting::Grace(seconds(0))]);
    let mut file = paged(&world);
    let page = file.pages.remove(1);
    prepare(&mut world, 0, &file);
    tell(&mut world, 0, std::slice::from_ref(&file.record));
    world.run(seconds(200), |_| false);
    assert_eq!(files(&world, 0), 6);
    assert_eq!(status(&mut world, 0).collection.void, CollectionVoid::Page);
    let mut client = RawClient::connect(&mut world, 0);
    client.send(&page_of(&world, 2, page));
    assert_eq!(client.message(&mut world), Some(Message::PageDone { request: 2 }));
    client.hang_up(&mut world);
    world.run(seconds(200), |_| false);
    assert!(holds(&mut world, 0, record_id(&file.record)));
    assert_eq!(status(&mut world, 0).collection.void, CollectionVoid::No);
}

/// Its blocks do not fit, and all its pages come, also behind the first block that does not.
#[test]
fn a_full_node_gives_space_back_though_a_long_file_is_here_in_part() {
    let mut world = two_nodes(406);
    set(&mut world, vec![Setting::Grace(seconds(0)), Setting::Retention(seconds(0))]);
    let mut program = Program::connect(&mut world, 0, access());
    program.put(&mut world, "old", &content(1, 300_000)).result.unwrap();
    world.run(seconds(10), |_| false);
    assert_eq!(files(&world, 1), 1);
    let file = paged(&world);
    tell(&mut world, 1, std::slice::from_ref(&file.record));
    world.run(seconds(10), |_| false);
    world.machines[1].fs.tamper().set_free(0);
    status(&mut world, 1);
    world.run(seconds(1), |_| false);
    put_all(&mut world, 0, &file);
    program.call(&mut world, Operation::Delete { name: "old".into() }).result.unwrap();
    world.run(seconds(200), |_| false);
    let told = status(&mut world, 1);
    assert_eq!((told.incomplete, told.collection.void), (1, CollectionVoid::No));
    assert_eq!(files(&world, 1), 0);
    world.machines[1].fs.tamper().set_free(1 << 40);
    world.run(seconds(100), |_| false);
    assert!(holds(&mut world, 1, record_id(&file.record)));
}

/// Its pages still stand in the log when a record comes that names them, and its blocks have gone.
#[test]
fn a_start_does_not_take_a_file_for_whole_whose_blocks_have_gone_before_its_record_came() {
    let mut world = world(408, 1);
    set(&mut world, vec![Setting::Grace(seconds(0))]);
    let file = paged(&world);
    prepare(&mut world, 0, &file);
    world.run(seconds(100), |_| false);
    assert_eq!(files(&world, 0), 0);
    tell(&mut world, 0, std::slice::from_ref(&file.record));
    assert_eq!(status(&mut world, 0).incomplete, 1);
    for _ in 0..2 {
        world.kill(0);
        world.start(0, Vec::new());
        assert_eq!(status(&mut world, 0).incomplete, 1);
        world.run(seconds(30), |_| false);
        assert_eq!(status(&mut world, 0).incomplete, 1);
    }
    let mut peer = RawClient::connect(&mut world, 0);
    bring(&mut world, &mut peer, &file.blocks);
    world.run(seconds(30), |_| false);
    assert!(holds(&mut world, 0, record_id(&file.record)));
}

/// The segment that names a block stays, and so does the one of the record; what says that the block has gone stood between
/// them, and is written anew behind both.
#[test]
fn who_came_since_a_block_went_lacks_it_though_the_log_says_so_behind() {
    let mut world = World::new(411, network());
    world.segment = SEGMENT;
    world.add(&[]);
    set(&mut world, vec![Setting::Grace(seconds(0))]);
    let mut client = RawClient::connect(&mut world, 0);
    let mut name = 0;
    let mut keep = |world: &mut World, client: &mut RawClient| {
        for _ in 0..20 {
            name += 1;
            put(world, client, name, &[block_of(name, 2_500)]);
        }
    };
    let block = block_of(200, 70_000);
    bring(&mut world, &mut client, std::slice::from_ref(&block));
    keep(&mut world, &mut client);
    waste(&mut world, &mut client, 1);
    client.hang_up(&mut world);
    let first = segments(&world)[0].clone();
    world.run(seconds(60), |_| false);
    assert_eq!(files(&world, 0), 0);
    let said = segments(&world).last().cloned().unwrap();
    world.slow = Some(|job| matches!(job, Job::ListItems { .. } | Job::ReadItems { .. }));
    let mut client = RawClient::connect(&mut world, 0);
    waste(&mut world, &mut client, WASTE);
    let record = record(&world, 201, 5, vec![reference(&block)]);
    tell(&mut world, 0, std::slice::from_ref(&record));
    world.slow = None;
    let third = segments(&world).last().cloned().unwrap();
    assert!(first < said && said < third, "{first} {said} {third}");
    keep(&mut world, &mut client);
    waste(&mut world, &mut client, WASTE);
    client.hang_up(&mut world);
    world.run(seconds(60), |_| false);
    let left = segments(&world);
    assert!(left.contains(&first) && !left.contains(&said) && left.contains(&third), "{left:?}");
    for _ in 0..2 {
        assert_eq!(status(&mut world, 0).incomplete, 1);
        assert!(!holds(&mut world, 0, record_id(&record)));
        world.kill(0);
        world.start(0, Vec::new());
        world.run(seconds(30), |_| false);
    }
    let mut peer = RawClient::connect(&mut world, 0);
    bring(&mut world, &mut peer, std::slice::from_ref(&block));
    world.run(seconds(30), |_| false);
    assert!(holds(&mut world, 0, record_id(&record)));
}

/// Files that no group names: a start finds them, and leaves alone what it has.
#[test]
fn block_files_that_no_group_names_go_once_after_a_start() {
    let mut world = two_nodes(405);
    let mut client = RawClient::connect(&mut world, 0);
    put(&mut world, &mut client, 1, &[block_of(2, 70_000)]);
    client.hang_up(&mut world);
    let stray = Address([0xab; 32]);
    world.kill(0);
    let disk = world.machines[0].fs.clone();
    for folder in ["blocks/ab", "blocks/ab/ab"] {
        disk.make_folder(folder).unwrap();
    }
    for path in [format!("blocks/ab/ab/{stray}"), "blocks/ab/ab/somebody's".to_owned()] {
        disk.create(&path).unwrap();
    }
    disk.sync_all().unwrap();
    world.start(0, vec![world.peer(1)]);
    assert!(has_file(&world, 0, &stray));
    world.run(seconds(60), |_| false);
    assert!(!has_file(&world, 0, &stray));
    assert!(has_file(&world, 0, &reference(&block_of(2, 70_000)).address));
    assert_eq!(files(&world, 0), 2, "what is somebody else's stays");
}

#[test]
fn what_is_kept_for_undo_is_told_and_when_the_next_of_it_goes() {
    let mut world = world(420, 2);
    let day = 24 * 3_600;
    set(&mut world, vec![Setting::Retention(seconds(3 * day)), Setting::Grace(seconds(0))]);
    let mut program = Program::connect(&mut world, 0, access());
    let before = status(&mut world, 0).collection;
    assert_eq!((before.counted_ms, before.undo_next_ms), (0, 0), "nothing was counted yet");
    for (name, seed, length) in
        [("a", 1, 300_000), ("a", 2, 400_000), ("gone", 3, 500_000), ("once", 4, 600_000)]
    {
        program.put(&mut world, name, &content(seed, length)).result.unwrap();
    }
    let superseded_ms = world.time().wall_ms;
    program.call(&mut world, Operation::Delete { name: "gone".into() }).result.unwrap();
    world.run(seconds(600), |_| false);
    for machine in 0..2 {
        let told = status(&mut world, machine).collection;
        assert!(told.counted_ms > superseded_ms);
        assert_eq!((told.shown_bytes, told.undo_bytes, told.reclaimable), (1_000_000, 800_000, 0));
        let expected = superseded_ms + 3 * day * 1000;
        assert!(told.undo_next_ms.abs_diff(expected) <= 20_000, "{told:?}");
    }
    let toil = world.toil_of(seconds(120));
    assert_eq!(toil.collecting, 0, "{toil:?}");
    world.run(seconds(3 * day), |_| false);
    for machine in 0..2 {
        let told = status(&mut world, machine).collection;
        assert_eq!((told.shown_bytes, told.undo_bytes), (1_000_000, 0));
        assert_eq!(
            (told.undo_next_ms, told.collected_bytes),
            (0, 800_000),
            "only a deletion is left"
        );
    }
}
