//! A node within a program: a thread that runs it under the event loop, and ways into it for as many threads as there are.
//!
//! Knows no operation of the node. What files and keys there are is as for the daemon, which can serve the same folder
//! another time. Invariant: when an `Embedded` is gone its thread has ended, and the folder is free.

mod program;

pub use crate::net::Handle;
pub use program::Program;

use crate::daemon::{self, Options};
use crate::keyring::{Access, Keyring, KeyringError};
use crate::limits::MEMORY_DEFAULT;
use crate::net::descriptors::{self, TooFew};
use crate::net::{self, Connector, EventLoop, LoopError};
use crate::node::{Node, Outcome};
use crate::session::ClientError;
use crate::store::fs::RealFs;
use crate::store::{Config, Disk, OpenError};
use crate::wire::message::PeerAddress;
use crate::worker::Workers;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread::JoinHandle;
use zeroize::Zeroizing;

/// What a node within a program is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its folder, which is made with keys for a network of its own if there is none.
    pub data: PathBuf,
    /// Where other nodes and clients reach it.
    pub listen: SocketAddr,
    /// Nodes of its network to begin with.
    pub peers: Vec<PeerAddress>,
    /// Bulk memory in bytes.
    pub memory: usize,
    /// Threads for its disk and its hashes.
    pub workers: usize,
}

impl Settings {
    /// A node in this folder that only this machine reaches.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            peers: Vec::new(),
            memory: MEMORY_DEFAULT,
            workers: 2,
        }
    }
}

/// Why a node could not begin. Nothing was served.
#[derive(Debug)]
pub enum StartError {
    /// Its folder cannot be used.
    Folder(io::Error),
    /// Nor its keys.
    Keys(KeyringError),
    /// Nor what is stored there.
    Store(OpenError),
    /// The process may open too few files.
    Descriptors(TooFew),
    /// The event loop could not begin.
    Loop(LoopError),
    /// There are no threads.
    Threads(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(error) => write!(f, "the data folder cannot be used: {error}"),
            Self::Keys(error) => error.fmt(f),
            Self::Store(error) => write!(f, "the data folder cannot be used: {error}"),
            Self::Descriptors(error) => error.fmt(f),
            Self::Loop(error) => error.fmt(f),
            Self::Threads(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A node that runs. It stops when this is dropped.
#[allow(missing_debug_implementations, reason = "it holds keys")]
pub struct Embedded {
    connector: Connector,
    access: Access,
    address: SocketAddr,
    thread: Option<JoinHandle<Result<Outcome, LoopError>>>,
}

impl Embedded {
    /// Starts a node. The process's limit of open files is raised as far as is allowed; its signals are left alone.
    ///
    /// # Errors
    /// See `StartError`.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let Settings { data, listen, peers, memory, workers } = settings;
        let connections_max =
            descriptors::for_connections(workers).map_err(StartError::Descriptors)?;
        let fs = RealFs::new(&data).map_err(StartError::Folder)?;
        let event_loop = EventLoop::bind(listen).map_err(StartError::Loop)?;
        let secret = || Zeroizing::new(net::entropy());
        let keyring = Keyring::open_or_create(&data, event_loop.now().wall_ms, secret)
            .map_err(StartError::Keys)?;
        let access = keyring.access.clone();
        let config = Config { now_ms: event_loop.now().wall_ms, ..Config::default() };
        let opened = daemon::open(fs, config, access.network.root, net::entropy())
            .map_err(StartError::Store)?;
        opened.notes().iter().for_each(|note| log::warn!("{note}"));
        let address = event_loop.address().map_err(StartError::Folder)?;
        let options = Options {
            data: access.data.as_ref(),
            addresses: vec![address.to_string()],
            grants: access.write.iter().map(|write| write.grant.clone()).collect(),
            memory,
            peers,
            seed: u64::from_be_bytes(net::entropy()),
            boot: u64::from_be_bytes(net::entropy()),
            ..Options::new(&access.network, &keyring.node)
        };
        let (mut node, disk) = opened.start(options, event_loop.now());
        node.set_connections_max(connections_max);
        let connector = event_loop.connector();
        let thread = run(event_loop, node, disk, workers).map_err(StartError::Threads)?;
        Ok(Self { connector, access, address, thread: Some(thread) })
    }

    /// Where other nodes and clients reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A way into the node, with all its keys; for one thread, and there may be many.
    ///
    /// # Errors
    /// The node has stopped, or takes no more connections.
    pub fn open(&self) -> Result<Program, ClientError> {
        self.connector.open(self.access.clone()).map(Program::new)
    }

    /// Finishes what was accepted, and stops. Gives how the run has ended.
    ///
    /// # Errors
    /// The event loop could not go on before.
    ///
    /// # Panics
    /// If the node's thread has.
    pub fn stop(mut self) -> Result<Outcome, LoopError> {
        self.connector.stop();
        let thread = self.thread.take().expect("it is there until it is stopped");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.connector.stop();
            // How it ended is nobody's question any more.
            let _ = thread.join();
        }
    }
}

fn run(
    event_loop: EventLoop,
    mut node: Node,
    disk: Disk<RealFs>,
    workers: usize,
) -> io::Result<JoinHandle<Result<Outcome, LoopError>>> {
    let waker = event_loop.waker();
    let wake = move || {
        // A waker that fails leaves the answer to the next turn.
        let _ = waker.wake();
    };
    let workers = Workers::start(workers, disk, wake)?;
    let thread = std::thread::Builder::new().name("dfsd-node".to_owned());
    thread.spawn(move || event_loop.run(&mut node, &workers))
}
