//! `dfs set` and `dfs settings`: what the network keeps of the past, and for how long.
//!
//! Invariant: what is printed of a value can be typed as one.

use std::str::FromStr;
use std::time::Duration;

use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::text::{local_date, tell};
use crate::cli::versions::stored;
use crate::cli::{args, door, json};
use crate::client::SettingsTold;
use crate::config::{BadValue, Period};
use crate::limits::{KEEP_VERSIONS_MAX, SETTING_SECONDS_MAX};
use crate::session::SettingTold;
use crate::wire::settings::{Setting, SettingKey};
use serde::Serialize;

/// A length of time in whole seconds, or without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(Duration);

const NO_SPAN: BadValue = BadValue(
    "expected a whole number followed by s, m, h or d, as in 90s or 30d; or 0; or forever",
);

impl FromStr for Span {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let time = match text {
            "forever" => Duration::MAX,
            "0" => Duration::ZERO,
            text => text.parse::<Period>().map_err(|_| NO_SPAN)?.0,
        };
        let is_sound = time.subsec_nanos() == 0 && time.as_secs() <= SETTING_SECONDS_MAX;
        if is_sound || time == Duration::MAX { Ok(Self(time)) } else { Err(NO_SPAN) }
    }
}

/// A count of versions, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(Option<u32>);

const NO_COUNT: BadValue = BadValue("expected a whole number from 0 to 10000, or all");

impl FromStr for Count {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let count = match text {
            "all" => None,
            text => Some(text.parse().map_err(|_| NO_COUNT)?),
        };
        if count.is_none_or(|count| count <= KEEP_VERSIONS_MAX) {
            Ok(Self(count))
        } else {
            Err(NO_COUNT)
        }
    }
}

/// The longest unit in which it is a whole number.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        _ if time == Duration::MAX => "forever".to_owned(),
        0 => "0".to_owned(),
        _ if seconds.is_multiple_of(24 * 3600) => format!("{}d", seconds / (24 * 3600)),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

fn value(setting: Setting) -> String {
    match setting {
        Setting::Retention(time) | Setting::Grace(time) => span(time),
        Setting::KeepVersions(count) => {
            count.map_or_else(|| "all".to_owned(), |count| count.to_string())
        }
    }
}

/// As it is typed.
fn name(key: SettingKey) -> &'static str {
    match key {
        SettingKey::Retention => "retention",
        SettingKey::KeepVersions => "keep-versions",
        SettingKey::Grace => "grace",
    }
}

/// Changes settings.
pub(crate) fn set(place: &args::Place, set: &args::Set) -> Result<(), Failure> {
    let mut change: Vec<Setting> = Vec::new();
    change.extend(set.retention.map(|Span(time)| Setting::Retention(time)));
    change.extend(set.keep_versions.map(|Count(count)| Setting::KeepVersions(count)));
    change.extend(set.grace.map(|Span(time)| Setting::Grace(time)));
    let mut client = door::open(place)?;
    let told = client.settings(change.clone()).map_err(|error| door::failure(&error))?;
    let SettingsTold { is_new, .. } = told;
    if !place.quiet && is_new {
        let set: Vec<_> = change.into_iter().map(sentence).collect();
        tell(format_args!("set on all nodes of the network: {}", set.join(", ")));
    } else if !place.quiet {
        tell("this is so already; nothing was changed");
    }
    Ok(())
}

fn sentence(setting: Setting) -> String {
    format!("{} {}", name(setting.key()), value(setting))
}

/// Tells what the network is set to.
pub(crate) fn run(place: &args::Place, json: bool) -> Result<(), Failure> {
    let mut client = door::open(place)?;
    let told = client.settings(Vec::new()).map_err(|error| door::failure(&error))?;
    let mut output = Output::new();
    if json {
        output.line(&settings_json(&told.settings))?;
    } else {
        told.settings.iter().try_for_each(|told| output.line(&line(told)))?;
    }
    output.flush()?;
    let damaged = told.settings.iter().find(|told| told.value.is_none());
    damaged.map_or(Ok(()), |told| {
        let sentence = format!(
            "{}: its record is damaged on this node, or of a newer dfs; until it can be read, nothing is removed that \
             another value might keep",
            name(told.key)
        );
        Err(Failure::new(Exit::Integrity, sentence))
    })
}

fn line(told: &SettingTold) -> String {
    let value = told.value.map_or_else(|| "damaged".to_owned(), value);
    let since = told.version.map_or_else(
        || "default".to_owned(),
        |version| format!("set {}", local_date(stored(&version))),
    );
    format!("{:<13} {value:<8} {since}", name(told.key))
}

fn settings_json(settings: &[SettingTold]) -> String {
    // What is damaged is left out: null says that there is no bound.
    #[derive(Serialize, Default)]
    struct Json {
        #[serde(skip_serializing_if = "Option::is_none")]
        retention_s: Option<Option<u64>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        keep_versions: Option<Option<u32>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        grace_s: Option<Option<u64>>,
    }
    let mut all = Json::default();
    let seconds = |time: Duration| (time != Duration::MAX).then_some(time.as_secs());
    for told in settings {
        match told.value {
            Some(Setting::Retention(time)) => all.retention_s = Some(seconds(time)),
            Some(Setting::KeepVersions(count)) => all.keep_versions = Some(count),
            Some(Setting::Grace(time)) => all.grace_s = Some(seconds(time)),
            None => {}
        }
    }
    json::line(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_not_said_to_have_no_bound() {
        let told = |key, value| SettingTold { key, value, version: None };
        let all = [
            told(SettingKey::Retention, Some(Setting::Retention(Duration::MAX))),
            told(SettingKey::KeepVersions, None),
            told(SettingKey::Grace, Some(Setting::Grace(Duration::from_secs(7)))),
        ];
        assert_eq!(settings_json(&all), r#"{"retention_s":null,"grace_s":7}"#);
    }

    #[test]
    fn what_is_printed_can_be_typed() {
        for text in ["0", "1s", "90s", "5m", "36h", "30d", "forever"] {
            let Span(time) = text.parse().unwrap();
            assert_eq!(span(time), text);
        }
        for (text, printed) in [("60s", "1m"), ("48h", "2d"), ("0d", "0")] {
            let Span(time) = text.parse().unwrap();
            assert_eq!(span(time), printed);
        }
        for text in ["", "30", "-1d", "250ms", "1w", "9999999999d", "never"] {
            assert_eq!(text.parse::<Span>(), Err(NO_SPAN), "{text}");
        }
        for text in ["0", "1", "10000", "all"] {
            let Count(count) = text.parse().unwrap();
            assert_eq!(value(Setting::KeepVersions(count)), text);
        }
        for text in ["", "-1", "10001", "5d", "forever", "4294967296"] {
            assert_eq!(text.parse::<Count>(), Err(NO_COUNT), "{text}");
        }
        assert!(NO_COUNT.0.contains(&format!(" {KEEP_VERSIONS_MAX},")));
    }
}
