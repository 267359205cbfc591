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
use dfsd::keyring::{self, Intent, Keyring, KnownFolders, Start, StartError, TicketFileError};
use dfsd::limits::JOURNAL_TIMEOUT;
use dfsd::net::{self, Clock, EventLoop, descriptors, entropy};
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
    let config = match load(options.clone()) {
        Ok(config) => config,
        Err(failure) => return fail(failure),
    };
    if options.check_config {
        return print(&config.lines());
    }
    if let Some(DaemonCommand::Check { rebuild, json }) = command {
        let data = config.data;
        return fsck::run(&fsck::Wanted { data, rebuild, json, entropy: entropy() });
    }
    let journal = match start_log(config.log) {
        Ok(journal) => journal,
        Err(failure) => return fail(failure),
    };
    let begun = config.clone();
    if let Err(why) = cli::on_hangup(move || reload(&options, &begun)) {
        return fail(error(format!("cannot wait for SIGHUP: {why}")));
    }
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
        let refused = |why| format!("the configuration {} cannot be read: {why}", file.display());
        read_config(file).map_err(|why| (USAGE, refused(why)))
    };
    let text = options.config.as_deref().map(read).transpose()?;
    let config = options.settle(text.as_deref(), |name| std::env::var_os(name));
    config.map_err(|why| (USAGE, why.to_string()))
}

/// Reads the configuration again. Of what it says the log level alone can be changed in a daemon that runs.
fn reload(options: &DaemonOptions, begun: &DaemonConfig) {
    let Some(file) = &options.config else {
        log::info!("SIGHUP: there is no configuration file (--config), so nothing was reloaded");
        return;
    };
    let config = match load(options.clone()) {
        Ok(config) => config,
        Err((_, why)) => {
            log::error!("SIGHUP: {why}; everything stays as it was");
            return;
        }
    };
    let (before, restart) = (log::max_level(), begun.differences(&config));
    let changed = if before == config.log { "still" } else { "now" };
    let level = config.log.to_string().to_lowercase();
    let restart = match restart.is_empty() {
        true => "nothing else has changed".to_owned(),
        false => format!("a restart is needed for {}", restart.join(", ")),
    };
    // Whoever has asked is answered, whatever is logged otherwise.
    log::set_max_level(before.max(config.log).max(log::LevelFilter::Info));
    log::info!("SIGHUP: reloaded {}: log is {changed} {level}; {restart}", file.display());
    log::set_max_level(config.log);
}

fn print(lines: &[String]) -> ExitCode {
    let text: String = lines.iter().map(|line| format!("{}\n", cli::shown(line))).collect();
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(error(format!("cannot write to stdout: {why}"))),
    }
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
    // It takes every line that is asked of it; which are, may change.
    let every = log::LevelFilter::Trace;
    let _ = simplelog::WriteLogger::init(every, config, journal.lines(cli::shown));
    log::set_max_level(level);
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
    // Nobody need read it.
    let terminal = Journal::start(std::io::stdout()).map_err(error)?;
    let known = KnownFolders::below(config.state.clone());
    let Start { keyring, peers, has_begun, .. } = open_keys(config, &known)?;
    if has_begun {
        let data = data.display();
        let line = format!(
            "dfsd: began a new network in {data}: its keys are there and nowhere else; back up {data}/*.key"
        );
        terminal.tell(&cli::shown(&line));
    }
    let outcome = serve(config, Opening { keyring, peers, connections_max, known }, &terminal);
    if outcome.is_err() {
        terminal.finish(JOURNAL_TIMEOUT);
    }
    outcome
}

/// What a node is started with.
struct Opening {
    keyring: Keyring,
    peers: Vec<PeerAddress>,
    connections_max: usize,
    known: KnownFolders,
}

fn serve(config: &DaemonConfig, opening: Opening, terminal: &Journal) -> Result<Outcome, Failure> {
    let Opening { keyring, peers, connections_max, known } = opening;
    let data = config.data.as_path();
    let filesystem = RealFs::new(data).map_err(|why| {
        error(format!("the data folder {} cannot be used: {why}", data.display()))
    })?;
    let remembered = server::read_peers(&read_peers_file(data));
    let root = keyring.access.network.root;
    let now_ms = Clock::start().now().wall_ms;
    let mut store_config = store::Config { now_ms, ..store::Config::default() };
    if let Some(reserve) = config.reserve {
        store_config.reserve = reserve;
        store_config.reserve_percent = 0;
    }
    let opened = daemon::open(filesystem, store_config, root, entropy());
    let named = |why| error(format!("the data folder {} cannot be used: {why}", data.display()));
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
        data: keyring.access.data.as_ref(),
        addresses,
        grants: keyring.access.write.iter().map(|write| write.grant.clone()).collect(),
        memory: config.memory,
        collect_rate: config.collect_rate,
        peers,
        remembered,
        began_ms: keyring.began_ms().unwrap_or(0),
        seed: u64::from_be_bytes(entropy()),
        boot: u64::from_be_bytes(entropy()),
    };
    let (mut node, disk) = opened.start(options, event_loop.now());
    known.note(data, &keyring.access.network);
    drop(keyring);
    node.set_connections_max(connections_max);
    let waker = event_loop.waker();
    let wake = move || {
        // A waker that fails leaves the answer to the next turn.
        let _ = waker.wake();
    };
    let workers = Workers::start(workers_of(config), disk, wake).map_err(error)?;
    write_address(data, address)?;
    let (id, folder) = (node_id.short(), data.display());
    let line = format!("dfsd: node {id} listens on {address}, data in {folder}");
    terminal.tell(&cli::shown(&line));
    let outcome = event_loop.run(&mut node, &workers).map_err(error)?;
    drop(workers);
    Ok(outcome)
}

/// The folder's keys, made or taken from a ticket if there are none.
fn open_keys(config: &DaemonConfig, known: &KnownFolders) -> Result<Start, Failure> {
    let intent = match (config.create, config.existing) {
        (true, _) => Intent::Create,
        (false, true) => Intent::Existing,
        (false, false) => Intent::Unsaid,
    };
    let (folder, ticket) = (config.data.as_path(), config.join.as_deref());
    let wanted = keyring::Wanted { folder, ticket, intent, known };
    let start = keyring::start(&wanted, wall_ms(), secret);
    let start = start.map_err(|why| (status_of(&why), why.to_string()))?;
    for note in &start.notes {
        log::info!("{}", cli::shown(note));
    }
    for warning in &start.warnings {
        log::warn!("{}", cli::shown(warning));
    }
    Ok(start)
}

/// A ticket's file is judged as a key's is.
fn status_of(why: &StartError) -> u8 {
    match why {
        StartError::TicketFile(TicketFileError::Io(..))
        | StartError::NoNode(..)
        | StartError::Gone(..) => ERROR,
        StartError::TicketFile(TicketFileError::Writable(..) | TicketFileError::Foreign(..))
        | StartError::Ticket(..)
        | StartError::Keys(..) => WRONG_KEY,
    }
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

/// Tells programs where the node listens.
fn write_address(data: &Path, address: SocketAddr) -> Result<(), Failure> {
    let written = || {
        let temporary = data.join("tmp").join("address");
        // New, so that no link leads elsewhere; what an earlier start has left there was removed by this one.
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&temporary)?;
        writeln!(file, "{address}")?;
        fs::rename(&temporary, config::address_file(data))
    };
    written().map_err(|why| error(format!("{}/address cannot be written: {why}", data.display())))
}

fn secret() -> Zeroizing<[u8; 32]> {
    Zeroizing::new(entropy())
}

fn wall_ms() -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
}
