//! dfsd: arguments to configuration to event loop to exit status.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the shell: files, the clock, entropy"
)]

use dfsd::cli;
use dfsd::config::{self, DaemonCommand, DaemonConfig, DaemonOptions};
use dfsd::daemon::{self, Options};
use dfsd::fsck;
use dfsd::ids::NodeId;
use dfsd::keyring::{self, Keyring, KeyringError, Ticket, TicketFileError};
use dfsd::limits::JOURNAL_TIMEOUT;
use dfsd::net::{self, EventLoop, descriptors, entropy};
use dfsd::node::Outcome;
use dfsd::server;
use dfsd::store::{self, fs::RealFs};
use dfsd::wire::message::PeerAddress;
use dfsd::worker::Workers;
use dfsd::worker::journal::Journal;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// Exit statuses; see the README.
const ERROR: u8 = 1;
const USAGE: u8 = 2;
const WRONG_KEY: u8 = 7;
const DISK_FAILED: u8 = 9;

/// Bytes that are read of the file of peers: more than all that are remembered take.
const PEERS_FILE_MAX: u64 = 8 << 20;

/// A sentence for the operator, and the exit status.
type Failure = (u8, String);

fn main() -> ExitCode {
    keyring::no_core_dumps();
    cli::survive_file_limits();
    let options: DaemonOptions = match cli::arguments() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let command = options.command.clone();
    let config = match load(options) {
        Ok(config) => config,
        Err(failure) => return fail(failure),
    };
    if let Some(DaemonCommand::Check { rebuild, json }) = command {
        let data = config.data;
        return fsck::run(&fsck::Wanted { data, rebuild, json, entropy: entropy() });
    }
    let journal = match start_log(config.log) {
        Ok(journal) => journal,
        Err(failure) => return fail(failure),
    };
    let failure = match run(&config) {
        Ok(Outcome::Drained) => None,
        Ok(Outcome::DiskFailed(why)) => Some((
            DISK_FAILED,
            format!(
                "the disk failed and nothing was acknowledged since: {why}; \
                 what was acknowledged before is on the disk: check it and start dfsd again"
            ),
        )),
        Err(failure) => Some(failure),
    };
    let status = failure.map_or(ExitCode::SUCCESS, |(status, sentence)| {
        journal.tell(&cli::shown(&format!("dfsd: {sentence}")));
        ExitCode::from(status)
    });
    journal.finish(JOURNAL_TIMEOUT);
    status
}

/// Options, environment and file together.
fn load(options: DaemonOptions) -> Result<DaemonConfig, Failure> {
    let read = |file: &Path| {
        let refused = |why| format!("the configuration {} can't be read: {why}", file.display());
        read_config(file).map_err(|why| (USAGE, refused(why)))
    };
    let text = options.config.as_deref().map(read).transpose()?;
    let config = options.settle(text.as_deref(), |name| std::env::var_os(name));
    config.map_err(|why| (USAGE, why.to_string()))
}

fn fail((status, sentence): Failure) -> ExitCode {
    cli::tell(format_args!("dfsd: {sentence}"));
    ExitCode::from(status)
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn error(sentence: impl ToString) -> Failure {
    (ERROR, sentence.to_string())
}

/// To stderr, every level, by a thread of its own; stdout has one line and no more.
fn start_log(level: log::LevelFilter) -> Result<Journal, Failure> {
    let journal = Journal::start(std::io::stderr()).map_err(error)?;
    let mut config = simplelog::ConfigBuilder::new();
    config.set_time_level(log::LevelFilter::Error).set_time_format_rfc3339();
    let config = config.build();
    let _ = simplelog::WriteLogger::init(level, config, journal.lines(cli::shown));
    Ok(journal)
}

/// The peers that an earlier run wrote down. Without the file the nodes of a ticket tell of the others.
fn read_peers_file(data: &Path) -> String {
    let path = data.join("peers");
    let mut text = String::new();
    if fs::symlink_metadata(&path).is_ok_and(|found| found.is_file())
        && let Ok(file) = fs::File::open(&path)
        && file.take(PEERS_FILE_MAX).read_to_string(&mut text).is_err()
    {
        text.clear();
    }
    text
}

fn run(config: &DaemonConfig) -> Result<Outcome, Failure> {
    net::one_arena();
    let data = config.data.as_path();
    let connections_max = descriptors::for_connections(workers_of(config)).map_err(error)?;
    let filesystem = RealFs::new(data)
        .map_err(|why| error(format!("the data folder {} can't be used: {why}", data.display())))?;
    let (keyring, peers) = open_keys(config)?;
    let remembered = server::read_peers(&read_peers_file(data));
    let root = keyring.access.network.root;
    let mut store_config = store::Config::default();
    if let Some(reserve) = config.reserve {
        store_config.reserve = reserve;
        store_config.reserve_percent = 0;
    }
    let opened = daemon::open(filesystem, store_config, root, entropy());
    let named = |why| error(format!("the data folder {} can't be used: {why}", data.display()));
    let opened = opened.map_err(named)?;
    for note in opened.notes() {
        log::warn!("{}", cli::shown(note));
    }
    let keyring = if config.new_node_key { renewed(keyring, data)? } else { keyring };
    let address = resolve(&config.listen)?;
    let mut event_loop = EventLoop::bind(address).map_err(error)?;
    event_loop.stop_on_signals().map_err(error)?;
    let address = event_loop.address().map_err(error)?;
    let addresses = vec![advertised(config, address)];
    let node_id = keyring.node.node_id();
    let options = Options {
        network: &keyring.access.network,
        node: &keyring.node,
        addresses,
        grants: keyring.access.write.iter().map(|write| write.grant.clone()).collect(),
        memory: config.memory,
        peers,
        remembered,
        began_ms: keyring.began_ms().unwrap_or(0),
        seed: u64::from_be_bytes(entropy()),
        boot: u64::from_be_bytes(entropy()),
    };
    let (mut node, disk) = opened.start(options, event_loop.now());
    drop(keyring);
    node.set_connections_max(connections_max);
    let waker = event_loop.waker();
    let wake = move || {
        // A waker that fails leaves the answer to the next turn.
        let _ = waker.wake();
    };
    let workers = Workers::start(workers_of(config), disk, wake).map_err(error)?;
    ready(data, address, node_id)?;
    let outcome = event_loop.run(&mut node, &workers).map_err(error)?;
    drop(workers);
    Ok(outcome)
}

/// The folder's keys, made or taken from a ticket if there are none; and the nodes that the ticket names.
fn open_keys(config: &DaemonConfig) -> Result<(Keyring, Vec<PeerAddress>), Failure> {
    let refused = |why: KeyringError| (WRONG_KEY, format!("{}: {why}", config.data.display()));
    match &config.join {
        None => {
            let keyring =
                Keyring::open_or_create(&config.data, wall_ms(), secret).map_err(refused)?;
            Ok((keyring, Vec::new()))
        }
        Some(path) => {
            let keyring::TicketText { text, warning } =
                keyring::read_ticket(path).map_err(|why| refused_file(&why))?;
            if let Some(warning) = warning {
                log::warn!("{}", cli::shown(&warning));
            }
            let refused_ticket = |why| (WRONG_KEY, format!("{}: {why}", path.display()));
            let ticket = Ticket::parse(&text).map_err(refused_ticket)?;
            let keyring = Keyring::join(&config.data, &ticket.access, secret).map_err(refused)?;
            Ok((keyring, ticket.peers))
        }
    }
}

/// A ticket's file is judged as a key's is.
fn refused_file(why: &TicketFileError) -> Failure {
    let status = match why {
        TicketFileError::Io(..) => ERROR,
        TicketFileError::Writable(..) | TicketFileError::Foreign(..) => WRONG_KEY,
    };
    (status, why.to_string())
}

/// The same keys with another node's. The folder is locked: no daemon runs with the old one.
fn renewed(keyring: Keyring, data: &Path) -> Result<Keyring, Failure> {
    let old = keyring.node.node_id();
    let keyring = keyring
        .renew_node(data, &secret())
        .map_err(|why| error(format!("the node key is as it was: {why}")))?;
    log::warn!(
        "this node has a new key: it was node {} and is node {}; leave --new-node-key out from now on",
        old.short(),
        keyring.node.node_id().short()
    );
    Ok(keyring)
}

/// One byte more than may be, so that a file that is too long is told from one that is not.
fn read_config(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let limit = dfsd::limits::CONFIG_FILE_MAX as u64 + 1;
    fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

fn resolve(listen: &str) -> Result<SocketAddr, Failure> {
    let mut found = listen
        .to_socket_addrs()
        .map_err(|why| (USAGE, format!("--listen {listen} is not an address HOST:PORT: {why}")))?;
    found.next().ok_or_else(|| (USAGE, format!("--listen {listen} has no address")))
}

fn workers_of(config: &DaemonConfig) -> usize {
    const MOST: usize = 4;
    let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(MOST);
    config.workers.unwrap_or_else(cores)
}

/// Where others are told to dial: as configured, or where we listen; by name if that is everywhere.
fn advertised(config: &DaemonConfig, address: SocketAddr) -> String {
    match &config.advertise {
        Some(advertise) => advertise.clone(),
        None if address.ip().is_unspecified() => {
            let name = rustix::system::uname();
            let host = name.nodename().to_str().unwrap_or("localhost");
            format!("{host}:{}", address.port())
        }
        None => address.to_string(),
    }
}

/// Says where the node listens, to programs and to people.
fn ready(data: &Path, address: SocketAddr, node: NodeId) -> Result<(), Failure> {
    let written = || {
        let temporary = data.join("tmp").join("address");
        // New, so that no link leads elsewhere; what an earlier start has left there was removed by this one.
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&temporary)?;
        writeln!(file, "{address}")?;
        fs::rename(&temporary, config::address_file(data))
    };
    written()
        .map_err(|why| error(format!("{}/address can't be written: {why}", data.display())))?;
    let line =
        format!("dfsd: node {} listens on {address}, data in {}", node.short(), data.display());
    // Nobody need read it.
    Journal::start(std::io::stdout()).map_err(error)?.tell(&cli::shown(&line));
    Ok(())
}

fn secret() -> Zeroizing<[u8; 32]> {
    Zeroizing::new(entropy())
}

fn wall_ms() -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
}
