//! Bulk: what every GiB is made of, measured on this machine, now.
//!
//! Costs are processor time of the thread that does the work. Knows no network of dfsd. Invariant: every figure but that
//! of writing is the middle one of several rounds.

use super::stopwatch::{ROUNDS, cpu, median, middle, middle_wall, per_gib};
use dfsd::crypto::block::keystream;
use dfsd::crypto::tree;
use dfsd::limits::{BLOCK, LEAF};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Seconds of one core for a GiB.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Bulk {
    pub(super) sha256_s_per_gib: f64,
    pub(super) tree_hash_s_per_gib: f64,
    pub(super) aes_256_ctr_s_per_gib: f64,
    pub(super) aead_seal_s_per_gib: f64,
    pub(super) aead_open_s_per_gib: f64,
    pub(super) tcp_send_s_per_gib: f64,
    pub(super) tcp_receive_s_per_gib: f64,
    /// New files of 1 MiB, flushed and renamed.
    pub(super) durable_write_s_per_gib: f64,
    pub(super) warm_read_s_per_gib: f64,
}

impl Bulk {
    /// Of each figure the mean of two: what was measured in between had a machine like this.
    pub(super) fn midpoint(&self, other: &Self) -> Self {
        let mean = |of: fn(&Self) -> f64| f64::midpoint(of(self), of(other));
        Self {
            sha256_s_per_gib: mean(|bulk| bulk.sha256_s_per_gib),
            tree_hash_s_per_gib: mean(|bulk| bulk.tree_hash_s_per_gib),
            aes_256_ctr_s_per_gib: mean(|bulk| bulk.aes_256_ctr_s_per_gib),
            aead_seal_s_per_gib: mean(|bulk| bulk.aead_seal_s_per_gib),
            aead_open_s_per_gib: mean(|bulk| bulk.aead_open_s_per_gib),
            tcp_send_s_per_gib: mean(|bulk| bulk.tcp_send_s_per_gib),
            tcp_receive_s_per_gib: mean(|bulk| bulk.tcp_receive_s_per_gib),
            durable_write_s_per_gib: mean(|bulk| bulk.durable_write_s_per_gib),
            warm_read_s_per_gib: mean(|bulk| bulk.warm_read_s_per_gib),
        }
    }
}

/// Measures all of it; files stay in the folder, which is made.
pub(super) fn measure(folder: &Path) -> io::Result<Bulk> {
    let mut bulk = Bulk::default();
    hashing(&mut bulk);
    sealing(&mut bulk);
    streaming(&mut bulk)?;
    writing(folder, &mut bulk)?;
    Ok(bulk)
}

fn hashing(out: &mut Bulk) {
    let data = vec![7; 16 * BLOCK];
    let blocks = || data.chunks(BLOCK);
    let mut digest = Sha256::digest([]);
    let sha = middle(|| blocks().for_each(|block| digest = Sha256::digest(block)));
    let tree = middle(|| blocks().for_each(|block| drop(black_box(tree::leaf_hashes(block)))));
    black_box(digest);
    out.sha256_s_per_gib = per_gib(sha, data.len());
    out.tree_hash_s_per_gib = per_gib(tree, data.len());
}

fn sealing(out: &mut Bulk) {
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

/// Several streams in turn, as a daemon has them: a single one would have both ends sleep and wake for every piece.
fn streaming(out: &mut Bulk) -> io::Result<()> {
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

/// Writes files and reads some of them again.
///
/// Of writing there is no middle one: on a virtual machine that gives free memory back, what is written into the page
/// cache may cost four times as much from one second to the next, since the host finds memory for it first. So the
/// average counts.
fn writing(folder: &Path, out: &mut Bulk) -> io::Result<()> {
    const WRITTEN: usize = 192;
    const READ: usize = 64;
    fs::create_dir_all(folder)?;
    let files = Files { folder, block: vec![7; BLOCK] };
    let before = cpu();
    files.write(0..WRITTEN)?;
    out.durable_write_s_per_gib = per_gib((cpu() - before).as_secs_f64(), WRITTEN * BLOCK);
    let mut buffer = vec![0; BLOCK];
    let mut result = Ok(());
    let read = middle(|| {
        for number in WRITTEN - READ..WRITTEN {
            let file = File::open(files.path(number));
            let read = file.and_then(|mut file| file.read_exact(&mut buffer));
            result = std::mem::replace(&mut result, Ok(())).and(read);
        }
    });
    result?;
    out.warm_read_s_per_gib = per_gib(read, READ * BLOCK);
    Ok(())
}

/// New files of 1 MiB, flushed and renamed by two threads: seconds of wall time for a GiB.
pub(super) fn durable_write_wall(folder: &Path) -> io::Result<f64> {
    const FILES: usize = 64;
    fs::create_dir_all(folder)?;
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
    Ok(per_gib(wall, FILES * BLOCK))
}
