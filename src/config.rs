//! Configuration: what options, environment and file mean together, and where things are by default.
//!
//! Opens no file; the file's text and the look-up of variables are handed in (clap alone reads
//! `DFSD_*`). Invariant: an option beats `DFSD_*`, which beats the file, which beats the default; a
//! key that nobody knows is an error that names its line.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::limits;

mod print;

/// A number of bytes, written as `64MiB`, `4KiB`, `1GiB`, or as a bare number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A length of time, written as `250ms`, `10s`, `5m`, `24h` or `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// What a value must look like, as a sentence for the person who wrote another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadValue(pub(crate) &'static str);

const BAD_SIZE: BadValue =
    BadValue("a size is a whole number of bytes, or one followed by KiB, MiB or GiB, as in 64MiB");
const BAD_PERIOD: BadValue =
    BadValue("a duration is a whole number followed by ms, s, m, h or d, as in 250ms or 30d");
const BAD_LEVEL: BadValue = BadValue("a log level is one of off, error, warn, info, debug, trace");

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadValue {}

impl FromStr for Size {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let (number, unit) = number_and_unit(text).ok_or(BAD_SIZE)?;
        let scale = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err(BAD_SIZE),
        };
        number.checked_mul(scale).map(Self).ok_or(BAD_SIZE)
    }
}

impl FromStr for Period {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let (number, unit) = number_and_unit(text).ok_or(BAD_PERIOD)?;
        let scale_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(BAD_PERIOD),
        };
        let whole_ms = number.checked_mul(scale_ms).ok_or(BAD_PERIOD)?;
        Ok(Self(Duration::from_millis(whole_ms)))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let whole =
            units.iter().find(|(shift, _)| self.0 != 0 && self.0.trailing_zeros() >= *shift);
        match whole {
            Some((shift, unit)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Splits `64MiB` or `64 MiB` into its number and its unit.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    Some((digits.parse().ok()?, unit.trim_start()))
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SizeVisitor)
    }
}

/// Takes `"64MiB"` and also a bare 67108864 from a file.
struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(BAD_SIZE.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Size, E> {
        u64::try_from(number).map(Size).map_err(|_| E::custom(BAD_SIZE))
    }
}

/// The options of `dfsd`. Each may also stand in the environment as `DFSD_*`.
#[derive(Debug, Clone, Default, Parser)]
#[command(
    name = "dfsd",
    version,
    about = "A node of a peer-to-peer, encrypted, replicated file store"
)]
pub struct DaemonOptions {
    /// The data folder: keys, blocks and the log [default: dfsd in the XDG data folder]
    #[arg(long, value_name = "DIR", env = "DFSD_DATA", hide_env_values = true, global = true)]
    pub data: Option<PathBuf>,
    /// Where to listen; port 0 takes any free one, told in DIR/address [default: 0.0.0.0:7400]
    #[arg(long, value_name = "HOST:PORT", env = "DFSD_LISTEN", hide_env_values = true)]
    pub listen: Option<String>,
    /// The address that other nodes are told, where it is not the one listened on
    #[arg(long, value_name = "HOST:PORT", env = "DFSD_ADVERTISE", hide_env_values = true)]
    pub advertise: Option<String>,
    /// Join the network of this ticket (- reads it from stdin); needed once
    #[arg(long, value_name = "FILE|-", env = "DFSD_JOIN", hide_env_values = true)]
    pub join: Option<PathBuf>,
    /// Begin a new network, also in a folder that is empty and held a node before
    #[arg(long, conflicts_with_all = ["join", "existing"])]
    pub create: bool,
    /// Never begin a new network: without a ticket to join by, the data folder must hold a node
    #[arg(long)]
    pub existing: bool,
    /// Give this node a new key: once, where a data folder is a copy of another that is in use too
    #[arg(long)]
    pub new_node_key: bool,
    /// Threads for disk work and hashing [default: one per core, 4 at most]
    #[arg(long, value_name = "N", env = "DFSD_WORKERS", hide_env_values = true)]
    pub workers: Option<usize>,
    /// Memory for data under way [default: 32MiB]
    #[arg(long, value_name = "SIZE", env = "DFSD_MEMORY", hide_env_values = true)]
    pub memory: Option<Size>,
    /// What is logged to stderr: off, error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL", env = "DFSD_LOG", hide_env_values = true, value_parser = level)]
    pub log: Option<log::LevelFilter>,
    /// Disk space never used by puts [default: 256MiB, or 2 % of the disk if that is more]
    #[arg(long, value_name = "SIZE", env = "DFSD_RESERVE", hide_env_values = true)]
    pub reserve: Option<Size>,
    /// What collection reads in a second, at most, to find what nothing stored needs any more [default: 64MiB]
    #[arg(long, value_name = "SIZE", env = "DFSD_COLLECT_RATE", hide_env_values = true)]
    pub collect_rate: Option<Size>,
    /// A TOML file with any of the above but --join, --create and --new-node-key, by the same names; SIGHUP has the log
    /// level of it read again
    #[arg(long, value_name = "FILE", env = "DFSD_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// Print what options, environment and file come to, one key a line, and exit: 0, or 2 if something is wrong with them
    #[arg(long)]
    pub check_config: bool,
    /// What to do instead of running.
    #[command(subcommand)]
    pub command: Option<DaemonCommand>,
}

/// What `dfsd` does besides running.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum DaemonCommand {
    /// Check a data folder that no daemon uses: keys, log, records, pages and blocks
    ///
    /// Prints one line for each finding: how bad it is (note, missing, damage, repaired), the file, what is wrong,
    /// what that means for the data, and what to do; then one line that sums up. Changes nothing without --rebuild.
    /// With a running daemon use `dfs verify`.
    ///
    /// Exit status: 0 nothing is wrong; 1 the folder cannot be read; 2 usage; 5 a daemon is using it; 6 something is
    /// damaged, or was lost and has not come again.
    Check {
        /// Quarantine what is bad, restore what is good and was forgotten, and record what is lost, so that the next
        /// start fetches it from peers. Bad files go to DIR/quarantine, none is deleted
        #[arg(long)]
        rebuild: bool,
        /// One JSON object a line: grade, path, what, means, advice
        #[arg(long)]
        json: bool,
    },
}

/// What may stand in the TOML file.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct DaemonFile {
    data: Option<PathBuf>,
    listen: Option<String>,
    advertise: Option<String>,
    workers: Option<usize>,
    memory: Option<Size>,
    log: Option<String>,
    reserve: Option<Size>,
    #[serde(rename = "collect-rate")]
    collect_rate: Option<Size>,
    existing: Option<bool>,
}

/// What a daemon runs with, when everything has been considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonConfig {
    /// The data folder.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: String,
    /// What peers are told instead of the address listened on.
    pub advertise: Option<String>,
    /// The ticket to join by; `-` is stdin.
    pub join: Option<PathBuf>,
    /// A new network is meant.
    pub create: bool,
    /// No new network is meant.
    pub existing: bool,
    /// The node gets a new key.
    pub new_node_key: bool,
    /// Worker threads; `None` leaves the number to the machine.
    pub workers: Option<usize>,
    /// Bulk memory in bytes.
    pub memory: usize,
    /// What is logged.
    pub log: log::LevelFilter,
    /// Disk space that puts leave free, in bytes; `None` for the default of `limits`.
    pub reserve: Option<u64>,
    /// Bytes that collection reads in a second.
    pub collect_rate: u64,
    /// Where it is remembered, outside the data folder, to which network that belongs; nowhere if there is no home.
    pub state: Option<PathBuf>,
}

/// Why there is no configuration. Nothing has been started or written.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The file does not say what it must; the text has the line.
    File(String),
    /// A value is out of its range.
    Value(String),
    /// No data folder was given, and the environment tells no home.
    NoHome,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(text) | Self::Value(text) => f.write_str(text),
            Self::NoHome => f.write_str(
                "no data folder: give --data DIR or set DFSD_DATA (XDG_DATA_HOME and HOME are not set)",
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

impl DaemonOptions {
    /// Fills what the options and the environment left open from `file` (the text of `self.config`,
    /// read by the caller) and from the defaults. `variable` looks up the environment.
    pub fn settle(
        self,
        file: Option<&str>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<DaemonConfig, ConfigError> {
        let name = self.config.as_deref().unwrap_or(Path::new("the file"));
        let file = file.map_or(Ok(DaemonFile::default()), |text| parse_file(name, text))?;
        let file_log = file.log.as_deref().map(level).transpose();
        let file_log =
            file_log.map_err(|error| ConfigError::File(format!("{}: {error}", name.display())))?;
        let data = self.data.or(file.data).filter(|path| !path.as_os_str().is_empty());
        let state = state_folder(&variable);
        let config = DaemonConfig {
            data: data.or_else(|| default_data(variable)).ok_or(ConfigError::NoHome)?,
            listen: self.listen.or(file.listen).unwrap_or_else(default_listen),
            advertise: self.advertise.or(file.advertise),
            join: self.join,
            create: self.create,
            // The file is of every start, the option of this one.
            existing: (self.existing || file.existing == Some(true)) && !self.create,
            new_node_key: self.new_node_key,
            workers: self.workers.or(file.workers),
            memory: memory(self.memory.or(file.memory))?,
            log: self.log.or(file_log).unwrap_or(log::LevelFilter::Info),
            reserve: self.reserve.or(file.reserve).map(|size| size.0),
            collect_rate: collect_rate(self.collect_rate.or(file.collect_rate))?,
            state,
        };
        check(&config)?;
        Ok(config)
    }
}

fn parse_file(name: &Path, text: &str) -> Result<DaemonFile, ConfigError> {
    if text.len() > limits::CONFIG_FILE_MAX {
        let most = Size(limits::CONFIG_FILE_MAX as u64);
        return Err(ConfigError::File(format!("{}: longer than {most}", name.display())));
    }
    toml::from_str(text).map_err(|error| {
        ConfigError::File(format!("{}: {}", name.display(), error.to_string().trim_end()))
    })
}

fn memory(asked: Option<Size>) -> Result<usize, ConfigError> {
    let Some(Size(bytes)) = asked else {
        return Ok(limits::MEMORY_DEFAULT);
    };
    match usize::try_from(bytes) {
        Ok(bytes) if bytes >= limits::MEMORY_MIN => Ok(bytes),
        _ => Err(ConfigError::Value(format!(
            "--memory {} is too little: {} is the least that works",
            Size(bytes),
            Size(limits::MEMORY_MIN as u64)
        ))),
    }
}

/// A node that collects nothing fills up: there is no rate of 0.
fn collect_rate(asked: Option<Size>) -> Result<u64, ConfigError> {
    match asked.unwrap_or(Size(limits::COLLECT_RATE)) {
        Size(rate) if rate >= limits::COLLECT_RATE_MIN => Ok(rate),
        rate => {
            let least = Size(limits::COLLECT_RATE_MIN);
            let text = format!("--collect-rate {rate} is too little: {least} is the least");
            Err(ConfigError::Value(text))
        }
    }
}

fn check(config: &DaemonConfig) -> Result<(), ConfigError> {
    check_address("--listen", &config.listen)?;
    if let Some(address) = &config.advertise {
        check_address("--advertise", address)?;
        if address.ends_with(":0") {
            return Err(ConfigError::Value("--advertise needs a real port, not 0".to_owned()));
        }
    }
    match config.workers {
        Some(count) if count > WORKERS_MAX => {
            Err(ConfigError::Value(format!("--workers {count} is too many: {WORKERS_MAX} at most")))
        }
        Some(_) | None => Ok(()),
    }
}

/// More threads than this only take turns.
const WORKERS_MAX: usize = 256;

/// `HOST:PORT` by its shape alone; whether the host exists is found out when it is used.
fn check_address(option: &str, address: &str) -> Result<(), ConfigError> {
    let sound = address.rsplit_once(':').is_some_and(|(host, port)| {
        let bare_ipv6 = host.contains(':') && !host.starts_with('[');
        !host.is_empty() && !bare_ipv6 && port.parse::<u16>().is_ok()
    });
    if sound && address.len() <= limits::NETWORK_ADDRESS_MAX {
        return Ok(());
    }
    Err(ConfigError::Value(format!(
        "{option} {address:?} is not HOST:PORT, as in 0.0.0.0:{} or [::1]:{}",
        limits::PORT,
        limits::PORT
    )))
}

fn default_listen() -> String {
    format!("0.0.0.0:{}", limits::PORT)
}

fn level(text: &str) -> Result<log::LevelFilter, BadValue> {
    text.parse().map_err(|_| BAD_LEVEL)
}

/// The data folder of someone who named none: `DFSD_DATA`, else `dfsd` in the XDG data folder.
pub fn default_data(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = path(&variable, "DFSD_DATA");
    named.or_else(|| xdg_folder(&variable, "XDG_DATA_HOME", ".local/share"))
}

/// Where a daemon keeps what it remembers beside its data: `dfsd` in the XDG state folder.
fn state_folder(variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    xdg_folder(variable, "XDG_STATE_HOME", ".local/state")
}

/// `dfsd` in the folder that this variable names, else in that one of the home.
fn xdg_folder(
    variable: &impl Fn(&str) -> Option<OsString>,
    name: &str,
    below_home: &str,
) -> Option<PathBuf> {
    // The XDG rules: a relative path there is to be ignored.
    let xdg = path(variable, name).filter(|folder| folder.is_absolute());
    let home = || path(variable, "HOME").map(|home| home.join(below_home));
    xdg.or_else(home).map(|folder| folder.join("dfsd"))
}

/// A path in the environment.
fn path(variable: &impl Fn(&str) -> Option<OsString>, name: &str) -> Option<PathBuf> {
    variable(name).map(PathBuf::from).filter(|path| !path.as_os_str().is_empty())
}

/// The file in which a ready daemon tells the address that it listens on.
#[must_use]
pub fn address_file(data: &Path) -> PathBuf {
    data.join("address")
}

/// The file whose lock a daemon has for as long as it has the folder.
#[must_use]
pub fn lock_file(data: &Path) -> PathBuf {
    data.join("lock")
}

#[cfg(test)]
mod tests;
