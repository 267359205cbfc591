//! A proxy between two ends of real connections, which does to their bytes what a bad network does.
//!
//! Knows no protocol. Invariant: without chaos every byte goes through, in order; its threads end soon after it is
//! dropped, whatever the ends do.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How soon a thread sees that the chaos has changed.
const TURN: Duration = Duration::from_millis(10);
const BATCH: usize = 32 * 1024;

/// What happens to bytes in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chaos {
    Off,
    /// Nothing goes on; nothing is closed.
    Frozen,
    /// Each batch waits so many milliseconds.
    Slow(u64),
    /// About so many KiB a second.
    Throttled(u64),
    /// In pieces of at most so many bytes.
    Split(usize),
    /// What comes within 20 ms goes on as one.
    Merged,
    /// One byte in about so many is changed.
    Corrupt(u64),
    /// Connections end in the middle, new ones at once.
    Cut,
}

/// From who dialled to who was dialled, and back.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    There = 0,
    Back = 1,
}

#[derive(Debug)]
struct Shared {
    chaos: Mutex<[Chaos; 2]>,
    target: Mutex<Option<SocketAddr>>,
    stop: AtomicBool,
    accepted: AtomicU64,
    carried: AtomicU64,
    changed: AtomicU64,
}

/// One address that leads to another.
#[derive(Debug)]
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// One that leads nowhere yet.
    pub(super) fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            chaos: Mutex::new([Chaos::Off; 2]),
            target: Mutex::default(),
            stop: AtomicBool::default(),
            accepted: AtomicU64::default(),
            carried: AtomicU64::default(),
            changed: AtomicU64::default(),
        });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &of_thread, seed));
        Self { address, shared }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn lead_to(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap() = Some(target);
    }

    pub(super) fn set(&self, way: Way, chaos: Chaos) {
        self.shared.chaos.lock().unwrap()[way as usize] = chaos;
    }

    pub(super) fn set_both(&self, chaos: Chaos) {
        *self.shared.chaos.lock().unwrap() = [chaos; 2];
    }

    /// Connections that came.
    pub(super) fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Bytes that came, in both directions.
    pub(super) fn carried(&self) -> u64 {
        self.shared.carried.load(Ordering::Relaxed)
    }

    /// Bytes that were changed.
    pub(super) fn changed(&self) -> u64 {
        self.shared.changed.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn chaos(&self, way: Way) -> Chaos {
        self.chaos.lock().unwrap()[way as usize]
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, seed: u64) {
    while !shared.is_over() {
        let Ok((near, _)) = listener.accept() else {
            thread::sleep(TURN / 2);
            continue;
        };
        let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
        let target = *shared.target.lock().unwrap();
        let Some(Ok(far)) = target.map(TcpStream::connect) else { continue };
        for stream in [&near, &far] {
            stream.set_nonblocking(false).unwrap();
            let _ = stream.set_nodelay(true);
            stream.set_read_timeout(Some(TURN)).unwrap();
            stream.set_write_timeout(Some(TURN)).unwrap();
        }
        let ends = (near.try_clone().unwrap(), far.try_clone().unwrap());
        for (way, source, target) in [(Way::There, near, ends.1), (Way::Back, far, ends.0)] {
            let shared = Arc::clone(shared);
            let rng = ChaCha8Rng::seed_from_u64(seed ^ (number << 1) ^ way as u64);
            thread::spawn(move || Pump { way, source, target, shared, rng }.run());
        }
    }
}

/// One direction of one connection.
struct Pump {
    way: Way,
    source: TcpStream,
    target: TcpStream,
    shared: Arc<Shared>,
    rng: ChaCha8Rng,
}

impl Pump {
    /// Until either end, or the chaos, ends it. Then the whole connection is gone.
    fn run(mut self) {
        let mut buffer = vec![0; BATCH];
        while let Some(count) = self.read(&mut buffer) {
            if count > 0 && !self.pass(&mut buffer[..count]) {
                break;
            }
        }
        let _ = self.source.shutdown(Shutdown::Both);
        let _ = self.target.shutdown(Shutdown::Both);
    }

    /// Bytes that came; none if it is over.
    fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if self.shared.is_over() {
            return None;
        }
        match self.shared.chaos(self.way) {
            Chaos::Cut => return None,
            Chaos::Frozen => {
                thread::sleep(TURN);
                return Some(0);
            }
            Chaos::Merged => thread::sleep(TURN * 2),
            Chaos::Off
            | Chaos::Slow(_)
            | Chaos::Throttled(_)
            | Chaos::Split(_)
            | Chaos::Corrupt(_) => {}
        }
        match self.source.read(buffer) {
            Ok(0) => None,
            Ok(count) => Some(count),
            Err(error) => is_patient(&error).then_some(0),
        }
    }

    /// False if it is over.
    fn pass(&mut self, bytes: &mut [u8]) -> bool {
        self.shared.carried.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        match self.shared.chaos(self.way) {
            Chaos::Slow(ms) => thread::sleep(Duration::from_millis(ms)),
            Chaos::Throttled(kib) => {
                thread::sleep(Duration::from_micros(bytes.len() as u64 * 1_000 / kib));
            }
            Chaos::Corrupt(every) => self.corrupt(bytes, every),
            Chaos::Split(most) => {
                // Enough to hit every boundary, few enough to come to an end.
                let pieces = bytes.len().min(most * 200);
                let (split, whole) = bytes.split_at(pieces);
                let (rng, target) = (&mut self.rng, &mut self.target);
                let mut rest = split;
                while !rest.is_empty() {
                    let (piece, others) = rest.split_at(rng.random_range(1..=most.min(rest.len())));
                    if !write(target, &self.shared, piece) {
                        return false;
                    }
                    rest = others;
                }
                return write(target, &self.shared, whole);
            }
            Chaos::Off | Chaos::Frozen | Chaos::Merged | Chaos::Cut => {}
        }
        write(&mut self.target, &self.shared, bytes)
    }

    fn corrupt(&mut self, bytes: &mut [u8], every: u64) {
        for byte in bytes {
            if self.rng.random_range(0..every) == 0 {
                *byte ^= 1 << self.rng.random_range(0..8);
                self.shared.changed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Waits for as long as the target does not read. False if it is over.
fn write(target: &mut TcpStream, shared: &Shared, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match target.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if is_patient(&error) && !shared.is_over() => {}
            Err(_) => return false,
        }
    }
    true
}

fn is_patient(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

#[test]
fn fair_weather_lets_everything_through_and_corruption_changes_some() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(1);
    proxy.lead_to(listener.local_addr().unwrap());
    let bytes = crate::daemon::noise(300_000, 1);
    for (chaos, is_same) in [
        (Chaos::Off, true),
        (Chaos::Split(700), true),
        (Chaos::Merged, true),
        (Chaos::Corrupt(10_000), false),
    ] {
        proxy.set_both(chaos);
        let mut near = TcpStream::connect(proxy.address()).unwrap();
        let (far, _) = listener.accept().unwrap();
        let sent = bytes.clone();
        thread::spawn(move || {
            near.write_all(&sent).unwrap();
            near.shutdown(Shutdown::Write).unwrap();
            // Closed by the other side, when it has read all.
            let _ = near.read(&mut [0]);
        });
        let mut came = Vec::new();
        far.take(bytes.len() as u64).read_to_end(&mut came).unwrap();
        assert_eq!(came == bytes, is_same, "{chaos:?}");
        assert_eq!(came.len(), bytes.len());
    }
}
