//! A configuration as text, and how two of them differ: for `--check-config` and for a configuration that is read again.
//!
//! Knows no file. Invariants: what is printed is a configuration file that means the same, what no file may say being a
//! comment; and there is no secret in it, since there is none in a configuration.

use super::{DaemonConfig, Size};
use crate::limits;

/// A key of the file.
struct Entry {
    key: &'static str,
    /// As it stands in a file.
    value: Option<String>,
    /// What holds without it.
    default: &'static str,
}

impl Entry {
    fn set(key: &'static str, value: String) -> Self {
        Self { key, value: Some(value), default: "" }
    }

    fn or(key: &'static str, value: Option<String>, default: &'static str) -> Self {
        Self { key, value, default }
    }

    fn line(&self) -> String {
        match &self.value {
            Some(value) => format!("{} = {value}", self.key),
            None => format!("# {} is not set: {}", self.key, self.default),
        }
    }
}

impl DaemonConfig {
    /// What the daemon would run with, one key a line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.entries().iter().map(Entry::line).collect();
        if let Some(ticket) = &self.join {
            lines.push(format!("# join = {}", quoted(&ticket.display().to_string())));
        }
        let once = [("create", self.create), ("new-node-key", self.new_node_key)];
        let said = once.iter().filter(|(_, is_said)| *is_said);
        lines.extend(said.map(|(key, _)| format!("# {key} = true")));
        lines
    }

    /// The keys but `log` in which another differs.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let pairs = self.entries().into_iter().zip(other.entries());
        let differ = pairs.filter(|(one, other)| one.value != other.value);
        differ.map(|(one, _)| one.key).filter(|key| *key != "log").collect()
    }

    fn entries(&self) -> [Entry; 9] {
        let size = |bytes| quoted(&Size(bytes).to_string());
        debug_assert_eq!((limits::RESERVE, limits::RESERVE_PERCENT), (256 << 20, 2));
        [
            Entry::set("data", quoted(&self.data.display().to_string())),
            Entry::set("listen", quoted(&self.listen)),
            Entry::or(
                "advertise",
                self.advertise.as_deref().map(quoted),
                "the address that is listened on",
            ),
            Entry::or(
                "workers",
                self.workers.map(|count| count.to_string()),
                "one a core, 4 at most",
            ),
            Entry::set("memory", size(self.memory as u64)),
            Entry::or(
                "reserve",
                self.reserve.map(size),
                "256MiB, or 2 % of the disk if that is more",
            ),
            Entry::set("collect-rate", size(self.collect_rate)),
            Entry::set("log", quoted(&self.log.to_string().to_lowercase())),
            Entry::set("existing", self.existing.to_string()),
        ]
    }
}

/// A text as TOML has it, which is as JSON has it.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text can be written")
}
