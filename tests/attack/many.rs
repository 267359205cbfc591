//! Many connections: idle ones, dripping ones, and those that are nothing at all.

use super::crowd::{Crowd, connect};
use super::flood::{Attack, is_full, sized};
use super::victim::Victim;
use dfsd::limits::{FRAME_BODY_MAX, PROGRESS_PERIOD};
use dfsd::wire::message::Role;
use std::io::Write;
use std::time::Duration;

#[test]
fn idle_members_cost_a_little_memory_and_no_time() {
    let count = sized(10_000, 400);
    let mut victim = Victim::start();
    let attack = Attack {
        name: "idle",
        connections: count,
        begin: |crowd: &mut Crowd| {
            crowd.members(count, Role::Client);
        },
        go_on: |_: &mut Crowd, _| (),
    };
    let crowd = attack.run(&mut victim);
    assert_eq!(crowd.alive(), count, "who keeps the rules stays");
}

#[test]
fn members_who_drip_a_byte_a_second_are_cut_off_in_time() {
    let count = sized(5_000, 300);
    let mut victim = Victim::start();
    let attack = Attack {
        name: "drip",
        connections: count,
        begin: |crowd: &mut Crowd| {
            crowd.members(count, Role::Client);
        },
        go_on: |crowd: &mut Crowd, since: Duration| drip(crowd, since),
    };
    let mut crowd = attack.run(&mut victim);
    if is_full() {
        let rounds = PROGRESS_PERIOD.as_secs() * 10 + 50;
        for _ in 0..rounds {
            drip(&mut crowd, Duration::from_millis(100));
            crowd.run(Duration::from_millis(100));
        }
        assert_eq!(crowd.alive(), 0, "1 KiB a second over 30 s");
    }
}

/// Each sends the next byte of a message: a length, and what might be its beginning.
fn drip(crowd: &mut Crowd, since: Duration) {
    let head = (FRAME_BODY_MAX as u16).to_be_bytes();
    for index in crowd.due(since) {
        let sent = crowd.attackers[index].sent_raw;
        crowd.send_raw(index, &[head.get(sent).copied().unwrap_or(7)]);
    }
}

/// Between two bogus connections: two thousand a second.
const APART: Duration = Duration::from_micros(300);

#[test]
fn bogus_connections_keep_nobody_out() {
    let (count, seconds) = (sized(20_000, 300), sized(10, 1));
    let mut victim = Victim::start();
    let address = victim.address;
    let attack = Attack {
        name: "bogus",
        connections: 512,
        begin: |_: &mut Crowd| (),
        go_on: |_: &mut Crowd, since: Duration| {
            let due = since.as_secs_f64().min(0.5) * count as f64 / seconds as f64;
            for at in 0..due.ceil() as usize {
                bogus(address, at);
                // Many machines do not come in step: bursts would show what they cost this one, which has two cores.
                std::thread::sleep(APART);
            }
        },
    };
    attack.run(&mut victim);
}

/// Garbage, half a preface, a whole one and garbage, or nothing; then the end.
fn bogus(address: std::net::SocketAddr, at: usize) {
    let bytes: &[u8] = match at % 4 {
        0 => &[0x16, 3, 1, 0, 200, 1, 0, 0],
        1 => b"dfs",
        2 => b"dfsd\x03\x03\x00\x01 and then something of forty-eight bytes or more ....",
        _ => b"",
    };
    let mut stream = connect(address, (at % 16) as u8);
    // It may have been closed already.
    let _ = stream.write(bytes);
}
