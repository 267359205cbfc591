//! Text: how names, sizes, times and tables look to a person.
//!
//! Knows no command. Invariant: what somebody else chose is shown, and does nothing to the terminal.

use std::fmt;
use std::time::Duration;
use time::{OffsetDateTime, UtcDateTime, UtcOffset};

use crate::cli::progress;
use crate::cli::width::width;
use crate::time::FileTime;

/// Tells a person something on stderr, as one line: whatever a node, a file or a name has put into it is shown as text.
pub fn tell(sentence: impl fmt::Display) {
    progress::clear();
    eprintln!("{}", shown(&sentence.to_string()));
}

/// Text as a person may see it: nothing in it can move the cursor, forge a line or hide what it says. What has been through
/// here once is not changed by a second time.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Whether a character does something where it is shown, instead of being seen.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control() || is_format(character)
}

/// Whether a character has no look of its own and changes that of others: the general categories Cf, Zl and Zp of
/// Unicode 16, which include those of zero width and those that turn the direction of writing.
fn is_format(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}'
    )
}

/// A size as a person reads it: `17 B`, `1.5 KiB`, `4.0 GiB`.
pub(crate) fn human_size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
}

/// A length of time as a person reads it: `5 s`, `3 min 20 s`, `2 d 4 h`.
pub(crate) fn human_time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A time as `2026-11-22 22:34:10 +0100`: by the calendar of this place, with its distance from UTC.
pub(crate) fn local_date(at: FileTime) -> String {
    let utc = utc(at);
    let offset = UtcOffset::local_offset_at(OffsetDateTime::from(utc)).unwrap_or(UtcOffset::UTC);
    date_at(utc, offset)
}

fn date_at(utc: UtcDateTime, offset: UtcOffset) -> String {
    // The first and the last days of the calendar have no other zone's.
    let date = utc.checked_to_offset(offset).unwrap_or(OffsetDateTime::from(utc));
    let (hour, minute, second) = date.time().as_hms();
    let (hours, minutes, _) = date.offset().as_hms();
    let sign = if hours < 0 || minutes < 0 { '-' } else { '+' };
    let (hours, minutes) = (hours.unsigned_abs(), minutes.unsigned_abs());
    format!("{} {hour:02}:{minute:02}:{second:02} {sign}{hours:02}{minutes:02}", date.date())
}

/// A time for a script, in UTC, as RFC 3339 says.
pub(crate) fn rfc3339(at: FileTime) -> String {
    let utc = utc(at);
    let (hour, minute, second) = utc.time().as_hms();
    let rest = match utc.nanosecond() {
        0 => String::new(),
        nanos => format!(".{nanos:09}"),
    };
    format!("{}T{hour:02}:{minute:02}:{second:02}{rest}Z", utc.date())
}

/// Milliseconds since 1970 as scripts read it; none for 0, which is no time.
pub(crate) fn known_time(wall_ms: u64) -> Option<String> {
    (wall_ms > 0).then(|| rfc3339(time_of(wall_ms)))
}

/// The same as a time.
pub(crate) fn time_of(wall_ms: u64) -> FileTime {
    FileTime::from_ms(i64::try_from(wall_ms).unwrap_or(i64::MAX))
}

/// What lies beyond the years that have four digits is told as their first or last moment.
fn utc(at: FileTime) -> UtcDateTime {
    let nanos = i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
    let nearest = if at.seconds < 0 { UtcDateTime::MIN } else { UtcDateTime::MAX };
    UtcDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(nearest)
}

/// Rows under headings, each column as wide as its widest cell; numbers belong to the right.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| width(cell)).max().unwrap_or(0);
        widest.max(width(headings[column]))
    };
    let widths: Vec<usize> = (0..headings.len()).map(widest).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let pad = |cell: &str, columns: usize| " ".repeat(columns.saturating_sub(width(cell)));
        let padded =
            cells.zip(&widths).map(|(cell, columns)| format!("{cell}{}", pad(cell, *columns)));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut headings.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines
}

/// A word as it can be pasted into a shell.
pub(crate) fn pasteable(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A number of things: `1 file`, `2 files`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The numbers of several kinds of things, without those of which there are none: `2 files, 1 folder`.
pub(crate) fn counted_all(all: &[(u64, &str)]) -> Option<String> {
    let some = all.iter().filter(|(count, _)| *count > 0);
    let some: Vec<_> = some.map(|(count, noun)| counted(*count, noun)).collect();
    (!some.is_empty()).then(|| some.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_as_text() {
        let cases = [
            ("a\nb\u{1b}[2Jä", "a\\nb\\u{1b}[2Jä"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
            ("pay\u{200b}pal\u{feff}\u{e0041}", "pay\\u{200b}pal\\u{feff}\\u{e0041}"),
            ("e\u{301} 'x' \\", "e\u{301} 'x' \\"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected);
            assert_eq!(shown(expected), expected, "a second time changes nothing");
        }
    }

    #[test]
    fn sizes_for_people() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (1 << 20, "1.0 MiB"),
            (4 << 30, "4.0 GiB"),
            (u64::MAX, "15.9 EiB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(human_size(bytes), expected);
        }
    }

    #[test]
    fn times_for_people() {
        assert_eq!(human_time(Duration::from_secs(200)), "3 min 20 s");
        assert_eq!(human_time(Duration::from_secs(187_200)), "2 d 4 h");
    }

    #[test]
    fn dates_have_their_zone() {
        let at = |seconds, nanos| FileTime { seconds, nanos };
        let zone = |hours, minutes| UtcOffset::from_hms(hours, minutes, 0).unwrap();
        let date = |seconds, zone| date_at(utc(at(seconds, 5)), zone);
        assert_eq!(date(0, UtcOffset::UTC), "1970-01-01 00:00:00 +0000");
        assert_eq!(date(951_826_154, zone(1, 0)), "2000-02-29 13:09:14 +0100");
        assert_eq!(date(-1, zone(-3, -30)), "1969-12-31 20:29:59 -0330");
        assert_eq!(date(i64::MAX, zone(5, 45)), "9999-12-31 23:59:59 +0000", "any number has one");
        assert_eq!(rfc3339(at(0, 0)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(at(-1, 500_000_000)), "1969-12-31T23:59:59.500000000Z");
        assert_eq!(rfc3339(at(1_795_383_250, 999)), "2026-11-22T21:34:10.000000999Z");
        assert_eq!(rfc3339(at(i64::MAX, 0)), "9999-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn words_can_be_pasted() {
        assert_eq!(pasteable("/a/b-c.d"), "/a/b-c.d");
        assert_eq!(pasteable("a b'c"), r"'a b'\''c'");
    }

    #[test]
    fn a_table_lines_up() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long".to_owned(), "2".to_owned()]];
        assert_eq!(table(&["node", "n"], &rows), ["node  n", "a     1", "long  2"]);
        let wide = [vec!["写真".to_owned(), "1".to_owned()]];
        assert_eq!(table(&["n", "n"], &wide), ["n     n", "写真  1"]);
    }
}
