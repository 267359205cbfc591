//! The yardstick: what everything is made of, measured on this machine, now.
//!
//! Knows no network of dfsd. Costs are processor time of the thread that does the work, but for flushes, which are
//! waited for. Invariant: every figure but that of writing is the middle one of several rounds.

use super::figures::GIB;
use super::local::Scratch;
use crate::crypto::block::keystream;
use crate::crypto::sign::{self, SignKey};
use crate::crypto::{tags, tree};
use crate::limits::{BLOCK, LEAF};
use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ROUNDS: usize = 5;
/// Files that one flush of the file system makes durable.
const GROUP: usize = 64;

/// All figures. Costs per GiB are seconds of one core.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Yardstick {
    pub(super) sha256_s_per_gib: f64,
    pub(super) tree_hash_s_per_gib: f64,
    pub(super) aes_256_ctr_s_per_gib: f64,
    pub(super) aead_seal_s_per_gib: f64,
    pub(super) aead_open_s_per_gib: f64,
    pub(super) tcp_send_s_per_gib: f64,
    pub(super) tcp_receive_s_per_gib: f64,
    /// New files of 1 MiB, flushed and renamed.
    pub(super) durable_write_s_per_gib: f64,
    /// The same by two threads: wall time.
    pub(super) durable_write_wall_s_per_gib: f64,
    pub(super) warm_read_s_per_gib: f64,
    pub(super) hmac_us: f64,
    pub(super) ed25519_sign_us: f64,
    pub(super) ed25519_verify_us: f64,
    /// A send and a receive of 64 bytes at one side.
    pub(super) socket_round_trip_us: f64,
    /// The same: wall time.
    pub(super) socket_round_trip_wall_us: f64,
    pub(super) log_append_4kib_us: f64,
    pub(super) read_4kib_us: f64,
    pub(super) create_write_rename_us: f64,
    /// An append of 4 KiB and its flush: wall time.
    pub(super) flush_wall_us: f64,
    /// 64 files of 4 KiB made durable by one flush of their file system: wall time.
    pub(super) group_flush_wall_us: f64,
}

/// Measures everything; the disk of `parent` is written to, and left as it was.
pub(super) fn measure(parent: Option<&Path>) -> io::Result<Yardstick> {
    measure_in(Scratch::new(parent, "dfs-load-yardstick")?.path())
}

/// The same in an empty folder, in which files stay.
pub(super) fn measure_in(folder: &Path) -> io::Result<Yardstick> {
    let mut yardstick = Yardstick::default();
    hashing(&mut yardstick);
    sealing(&mut yardstick);
    signing(&mut yardstick);
    network(&mut yardstick)?;
    files(folder, &mut yardstick)?;
    log(folder, &mut yardstick)?;
    Ok(yardstick)
}

/// This thread's time on a processor.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// This process's time on processors.
pub(super) fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The middle one: what is measured in between is measured on the same machine, with whatever else it does.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Seconds of processor time of the middle one of the rounds.
fn middle(mut work: impl FnMut()) -> f64 {
    let round = |_| {
        let before = cpu();
        work();
        (cpu() - before).as_secs_f64()
    };
    median((0..ROUNDS).map(round).collect())
}

/// The same of wall time, for work that may fail.
fn middle_wall(mut work: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    let round = |_| {
        let begun = std::time::Instant::now();
        work()?;
        Ok(begun.elapsed().as_secs_f64())
    };
    Ok(median((0..ROUNDS).map(round).collect::<io::Result<_>>()?))
}

#[allow(clippy::cast_precision_loss, reason = "counts are small")]
fn per_gib(seconds: f64, bytes: usize) -> f64 {
    seconds * GIB / bytes as f64
}

#[allow(clippy::cast_precision_loss, reason = "counts are small")]
fn micros(seconds: f64, count: usize) -> f64 {
    1e6 * seconds / count as f64
}

fn hashing(out: &mut Yardstick) {
    let data = vec![7; 16 * BLOCK];
    let blocks = || data.chunks(BLOCK);
    let mut digest = Sha256::digest([]);
    let sha = middle(|| blocks().for_each(|block| digest = Sha256::digest(block)));
    let tree = middle(|| blocks().for_each(|block| drop(black_box(tree::leaf_hashes(block)))));
    black_box(digest);
    out.sha256_s_per_gib = per_gib(sha, data.len());
    out.tree_hash_s_per_gib = per_gib(tree, data.len());
    const MACS: usize = 20_000;
    let key = [3; 32];
    let mac = middle(|| {
        for number in 0..MACS {
            let mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key may have any length");
            black_box(mac.chain_update(number.to_le_bytes()).finalize());
        }
    });
    out.hmac_us = micros(mac, MACS);
}

fn sealing(out: &mut Yardstick) {
    let mut data = vec![7; 16 * BLOCK];
    let ctr = middle(|| data.chunks_mut(BLOCK).for_each(|block| keystream(&[3; 32], block, 0)));
    out.aes_256_ctr_s_per_gib = per_gib(ctr, data.len());
    let key = UnboundKey::new(&AES_256_GCM, &[3; 32]).expect("32 bytes are a key");
    let key = LessSafeKey::new(key);
    let nonce = || Nonce::assume_unique_for_key([0; 12]);
    let seal = middle(|| {
        for leaf in data.chunks_mut(LEAF) {
            let tag = key.seal_in_place_separate_tag(nonce(), Aad::empty(), leaf);
            let _ = black_box(tag);
        }
    });
    // What does not open costs as much as what does.
    let mut sealed = vec![0; LEAF];
    let mut opened = sealed.clone();
    let tag = key.seal_in_place_separate_tag(nonce(), Aad::empty(), &mut sealed);
    let tag = tag.expect("a leaf can be sealed");
    sealed.extend_from_slice(tag.as_ref());
    let leaves = data.len() / LEAF;
    let copy = middle(|| (0..leaves).for_each(|_| opened.clone_from(black_box(&sealed))));
    let open = middle(|| {
        for _ in 0..leaves {
            opened.clone_from(black_box(&sealed));
            let plain = key.open_in_place(nonce(), Aad::empty(), &mut opened);
            black_box(plain.expect("what was sealed opens").len());
        }
    });
    out.aead_seal_s_per_gib = per_gib(seal, data.len());
    out.aead_open_s_per_gib = per_gib((open - copy).max(0.0), data.len());
}

fn signing(out: &mut Yardstick) {
    const COUNT: usize = 500;
    let key = SignKey::from_secret(&[5; 32]);
    let text = [9; 300];
    let mut signature = [0; 64];
    let made = middle(|| {
        (0..COUNT).for_each(|_| signature = sign::sign(&key, tags::RECORD, black_box(&text)));
    });
    let public = key.public();
    let checked = middle(|| {
        for _ in 0..COUNT {
            black_box(sign::verify(&public, tags::RECORD, &text, &signature));
        }
    });
    out.ed25519_sign_us = micros(made, COUNT);
    out.ed25519_verify_us = micros(checked, COUNT);
}

/// Several streams in turn, as a daemon has them: a single one would have both ends sleep and wake for every piece.
fn network(out: &mut Yardstick) -> io::Result<()> {
    const BYTES: usize = 256 << 20;
    const PIECE: usize = 256 << 10;
    const STREAMS: usize = 4;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (mut send, mut receive) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let sender = std::thread::spawn(move || {
            let connect = |_| TcpStream::connect(address);
            let mut streams = (0..STREAMS).map(connect).collect::<io::Result<Vec<_>>>()?;
            let piece = vec![7; PIECE];
            let before = cpu();
            for number in 0..BYTES / PIECE {
                streams[number % STREAMS].write_all(&piece)?;
            }
            io::Result::Ok((cpu() - before).as_secs_f64())
        });
        let accept = |_| Ok(listener.accept()?.0);
        let mut streams = (0..STREAMS).map(accept).collect::<io::Result<Vec<_>>>()?;
        let mut piece = vec![0; PIECE];
        let before = cpu();
        for number in 0..BYTES / PIECE {
            streams[number % STREAMS].read_exact(&mut piece)?;
        }
        receive.push((cpu() - before).as_secs_f64());
        drop(streams);
        send.push(sender.join().map_err(|_| io::Error::other("the sender died"))??);
    }
    out.tcp_send_s_per_gib = per_gib(median(send), BYTES);
    out.tcp_receive_s_per_gib = per_gib(median(receive), BYTES);
    round_trips(&listener, out)
}

fn round_trips(listener: &TcpListener, out: &mut Yardstick) -> io::Result<()> {
    const COUNT: usize = 4_000;
    let address = listener.local_addr()?;
    let echo = std::thread::spawn(move || {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let mut bytes = [0; 64];
        while socket.read_exact(&mut bytes).is_ok() {
            socket.write_all(&bytes)?;
        }
        io::Result::Ok(())
    });
    let (mut socket, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    let (mut on_cpu, mut bytes) = (Vec::new(), [0; 64]);
    let wall = middle_wall(|| {
        let before = cpu();
        for _ in 0..COUNT {
            socket.write_all(&bytes)?;
            socket.read_exact(&mut bytes)?;
        }
        on_cpu.push((cpu() - before).as_secs_f64());
        Ok(())
    })?;
    drop(socket);
    echo.join().map_err(|_| io::Error::other("the echo died"))??;
    out.socket_round_trip_us = micros(median(on_cpu), COUNT);
    out.socket_round_trip_wall_us = micros(wall, COUNT);
    Ok(())
}

/// Files of 1 MiB, new ones: what takes the place of a file finds its pages and its inode in the caches.
struct Files<'a> {
    folder: &'a Path,
    block: Vec<u8>,
}

impl Files<'_> {
    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("block{number}"))
    }

    fn write(&self, numbers: Range<usize>) -> io::Result<()> {
        let draft = self.folder.join(format!("draft{}", numbers.start));
        for number in numbers {
            let mut file = File::create_new(&draft)?;
            file.write_all(&self.block)?;
            file.sync_data()?;
            fs::rename(&draft, self.path(number))?;
        }
        Ok(())
    }
}

/// What it costs to write files of 1 MiB and to flush them, in an empty folder, seconds for a GiB.
///
/// Of this there is no middle one: on a virtual machine that gives free memory back, what is written into the page cache
/// may cost four times as much from one second to the next, since the host finds memory for it first. So it is measured
/// beside what it is compared with, and the average counts.
pub(super) fn durable_write(folder: &Path) -> io::Result<f64> {
    const FILES: usize = 192;
    fs::create_dir_all(folder)?;
    let files = Files { folder, block: vec![7; BLOCK] };
    let before = cpu();
    files.write(0..FILES)?;
    Ok(per_gib((cpu() - before).as_secs_f64(), FILES * BLOCK))
}

fn files(folder: &Path, out: &mut Yardstick) -> io::Result<()> {
    const FILES: usize = 64;
    out.durable_write_s_per_gib = durable_write(&folder.join("one"))?;
    let files = Files { folder, block: vec![7; BLOCK] };
    let mut next = 0;
    let wall = middle_wall(|| {
        let (start, half) = (next, next + FILES / 2);
        next += FILES;
        std::thread::scope(|scope| {
            let other = scope.spawn(|| files.write(start..half));
            let own = files.write(half..start + FILES);
            other.join().map_err(|_| io::Error::other("a writer died"))?.and(own)
        })
    })?;
    out.durable_write_wall_s_per_gib = per_gib(wall, FILES * BLOCK);
    let mut buffer = vec![0; BLOCK];
    let mut result = Ok(());
    let read = middle(|| {
        for number in 0..FILES {
            let file = File::open(files.path(number));
            let read = file.and_then(|mut file| file.read_exact(&mut buffer));
            result = std::mem::replace(&mut result, Ok(())).and(read);
        }
    });
    result?;
    out.warm_read_s_per_gib = per_gib(read, FILES * BLOCK);
    Ok(())
}

fn log(folder: &Path, out: &mut Yardstick) -> io::Result<()> {
    const COUNT: usize = 400;
    let small = [7; 4096];
    let log = File::options().read(true).write(true).create_new(true).open(folder.join("log"))?;
    log.write_all_at(&vec![0; 16 << 20], 0)?;
    log.sync_all()?;
    let mut result = Ok(());
    let mut at = 0;
    let mut keep = |one: io::Result<()>| result = std::mem::replace(&mut result, Ok(())).and(one);
    let append = middle(|| {
        for _ in 0..COUNT {
            keep(log.write_all_at(&small, at));
            at += 4096;
        }
    });
    let mut piece = small;
    let read = middle(|| {
        (0..COUNT as u64).for_each(|number| keep(log.read_exact_at(&mut piece, 4096 * number)));
    });
    let files = middle(|| {
        for number in 0..COUNT {
            let draft = folder.join("draft");
            let made = fs::write(&draft, small);
            keep(made.and_then(|()| fs::rename(&draft, folder.join(format!("small{number}")))));
        }
    });
    result?;
    out.log_append_4kib_us = micros(append, COUNT);
    out.read_4kib_us = micros(read, COUNT);
    out.create_write_rename_us = micros(files, COUNT);
    const FLUSHES: usize = 50;
    let flush = middle_wall(|| {
        for number in 0..FLUSHES as u64 {
            log.write_all_at(&small, 4096 * number)?;
            log.sync_data()?;
        }
        Ok(())
    })?;
    out.flush_wall_us = micros(flush, FLUSHES);
    let disk = File::open(folder)?;
    let group = middle_wall(|| {
        for number in 0..GROUP {
            fs::write(folder.join(format!("small{number}")), small)?;
        }
        rustix::fs::syncfs(&disk).map_err(io::Error::from)
    })?;
    out.group_flush_wall_us = micros(group, 1);
    Ok(())
}

/// One figure a line, for a person.
pub(super) fn table(yardstick: &Yardstick) -> String {
    let value = serde_json::to_value(yardstick).unwrap_or_default();
    let lines = value.as_object().into_iter().flatten().map(|(name, value)| {
        let figure = value.as_f64().unwrap_or_default();
        let (name, unit) = match (name.strip_suffix("_s_per_gib"), name.strip_suffix("_us")) {
            (Some(name), _) => (name, "s/GiB"),
            (None, Some(name)) => (name, "us"),
            (None, None) => (&name[..], ""),
        };
        let name = name.replace('_', " ");
        format!("{name:32}{figure:>10.3} {unit}\n")
    });
    lines.collect()
}
