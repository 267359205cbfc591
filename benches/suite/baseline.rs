//! The baseline: what everything is made of, measured on this machine, now.
//!
//! Knows no network of dfsd. Costs are processor time of the thread that does the work, but for flushes, which are
//! waited for.

use super::bulk::{self, Bulk};
use super::stopwatch::{cpu, median, micros, middle, middle_wall};
use dfsd::crypto::sign::{self, SignKey};
use dfsd::crypto::tags;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use tempfile::TempDir;

/// Files that one flush of the file system makes durable.
const GROUP: usize = 64;

/// All figures.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Baseline {
    /// What bytes cost.
    #[serde(flatten)]
    pub(super) bulk: Bulk,
    /// New files of 1 MiB, flushed and renamed by two threads: wall time.
    pub(super) durable_write_wall_s_per_gib: f64,
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
pub(super) fn measure(parent: Option<&Path>) -> Result<Baseline, String> {
    let folder = scratch(parent).map_err(|error| said(&error))?;
    measure_in(folder.path()).map_err(|error| said(&error))
}

/// Why there is no baseline, for a person.
pub(super) fn said(error: &io::Error) -> String {
    format!("the baseline cannot be measured: {error}")
}

/// A fresh folder, below `parent` or the system's temporary folder, that goes with all that is in it.
pub(super) fn scratch(parent: Option<&Path>) -> io::Result<TempDir> {
    let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
    tempfile::Builder::new().prefix("dfsd-suite.").tempdir_in(parent)
}

/// The same in an empty folder, in which files stay.
pub(super) fn measure_in(folder: &Path) -> io::Result<Baseline> {
    let bulk = bulk::measure(&folder.join("bulk"))?;
    let mut baseline = Baseline { bulk, ..Baseline::default() };
    let wall = bulk::durable_write_wall(&folder.join("two"))?;
    baseline.durable_write_wall_s_per_gib = wall;
    authenticating(&mut baseline);
    signing(&mut baseline);
    round_trips(&mut baseline)?;
    log(folder, &mut baseline)?;
    Ok(baseline)
}

fn authenticating(out: &mut Baseline) {
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

fn signing(out: &mut Baseline) {
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

fn round_trips(out: &mut Baseline) -> io::Result<()> {
    const COUNT: usize = 4_000;
    let listener = TcpListener::bind("127.0.0.1:0")?;
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

fn log(folder: &Path, out: &mut Baseline) -> io::Result<()> {
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
pub(super) fn table(baseline: &Baseline) -> String {
    let value = serde_json::to_value(baseline).unwrap_or_default();
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
