//! A log that nobody reads: the daemon goes on, ends when it is told to, and says what it could not tell.
//!
//! Knows nothing of how lines wait. Invariant: whoever reads is asleep from the start.

use super::process::{Daemon, run_dfs, spawn_daemon_telling};
use super::{Network, text};
use dfsd::limits::JOURNAL_MAX;
use dfsd::worker::journal::Journal;
use rustix::process::Signal;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A reader that sleeps until it is woken.
struct Asleep {
    wake: Receiver<()>,
    read: Sender<Vec<u8>>,
}

impl Write for Asleep {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.wake.recv();
        let _ = self.read.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells lines in a thread of its own; fails if that does not end.
#[track_caller]
fn tell(journal: &Journal, count: usize) {
    let (done, is_done) = channel();
    let journal = journal.clone();
    thread::spawn(move || {
        (0..count).for_each(|number| journal.tell(&format!("line {number:05}")));
        let _ = done.send(());
    });
    is_done.recv_timeout(TIMEOUT).expect("nobody waits for the reader");
}

#[test]
fn nobody_waits_for_a_reader_and_what_is_dropped_is_told() {
    let (wake, woken) = channel();
    let (read, was_read) = channel();
    let journal = Journal::start(Asleep { wake: woken, read }).unwrap();
    let count = 100_000;
    tell(&journal, count);
    assert!(!journal.finish(Duration::from_millis(1)), "it sleeps");
    drop(wake);
    assert!(journal.finish(TIMEOUT));
    let text = String::from_utf8(was_read.try_iter().flatten().collect()).unwrap();
    assert!(text.len() < 2 * JOURNAL_MAX + 100, "{} bytes have waited", text.len());
    let lines: Vec<&str> = text.lines().collect();
    let (note, told) = lines.split_last().unwrap();
    assert!(told.iter().enumerate().all(|(at, line)| *line == format!("line {at:05}")));
    let dropped = note.strip_suffix(" log lines dropped: nobody read them in time");
    assert_eq!(dropped.map(str::to_owned), Some((count - told.len()).to_string()), "{note}");
}

/// The ends of a pipe into which nothing fits any more.
fn full_pipe() -> (File, OwnedFd) {
    let (read, write) = io::pipe().unwrap();
    let write = OwnedFd::from(write);
    rustix::io::ioctl_fionbio(&write, true).unwrap();
    while rustix::io::write(&write, &[b'-'; 4096]).is_ok() {}
    while rustix::io::write(&write, b"-").is_ok() {}
    rustix::io::ioctl_fionbio(&write, false).unwrap();
    (File::from(OwnedFd::from(read)), write)
}

/// A daemon that logs all it can, and whoever could read it.
fn started(network: &Network, name: &str) -> (Daemon, File) {
    let (reader, writer) = full_pipe();
    let data = network.path(name);
    let ticket = text(&network.ticket());
    let options = ["--log", "trace", "--join", &ticket];
    let child = spawn_daemon_telling(&data, "127.0.0.1:0", &options, writer.into());
    (Daemon::started(&data, child), reader)
}

/// Makes more lines than may wait; after that a command is answered.
fn talk(daemon: &Daemon) {
    for _ in 0..2_000 {
        drop(TcpStream::connect(daemon.address).unwrap());
    }
    run_dfs(&["--data", &text(&daemon.data), "ls"], b"").ok();
}

#[test]
fn a_daemon_whose_log_nobody_reads_serves_and_ends() {
    let network = Network::alone();
    let (mut daemon, _reader) = started(&network, "sleeper");
    talk(&daemon);
    assert_eq!(daemon.stop(Signal::TERM), Some(0));
}

#[test]
fn who_wakes_up_reads_how_many_lines_are_missing() {
    let network = Network::alone();
    let (mut daemon, mut reader) = started(&network, "sleeper");
    talk(&daemon);
    let read = thread::spawn(move || {
        let mut said = String::new();
        reader.read_to_string(&mut said).map(|_| said)
    });
    assert_eq!(daemon.stop(Signal::TERM), Some(0));
    let said = read.join().unwrap().unwrap();
    assert!(said.contains(" log lines dropped: "), "{} bytes", said.len());
}
