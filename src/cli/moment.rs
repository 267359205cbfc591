//! Moments: points in time as people type them.
//!
//! Knows no command. Invariant: a moment that was printed here by `stat`, `versions` or in JSON is read as the end of what
//! was printed of it, so that what happened then has happened.

use std::fmt;
use std::str::FromStr;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use crate::time::stamp_at;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The last millisecond of it, since 1970.
    ms: u64,
}

impl Moment {
    /// The greatest stamp of it.
    pub(crate) fn stamp(self) -> u64 {
        stamp_at(self.ms.saturating_add(1)).saturating_sub(1)
    }
}

/// The text is no point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoMoment;

impl fmt::Display for NoMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "expected a date and a time, as 2026-11-29 14:00 (local) or 2026-11-29T13:00:00Z",
        )
    }
}

impl std::error::Error for NoMoment {}

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        read(text).ok_or(NoMoment)
    }
}

fn read(text: &str) -> Option<Moment> {
    let mut rest = Rest(text);
    let date = date(&mut rest)?;
    if !["T", "t", " "].into_iter().any(|sign| rest.skip(sign)) {
        return None;
    }
    let (time, ms) = time(&mut rest)?;
    let at = PrimitiveDateTime::new(date, time);
    let at = if rest.0.is_empty() { local(at) } else { at.assume_offset(zone(&mut rest)?) };
    if !rest.0.is_empty() {
        return None;
    }
    let seconds = u64::try_from(at.unix_timestamp()).unwrap_or(0);
    Some(Moment { ms: seconds.saturating_mul(1000).saturating_add(ms) })
}

fn date(rest: &mut Rest<'_>) -> Option<Date> {
    let year = i32::from(rest.number(4)?);
    let month = rest.skip("-").then(|| rest.number(2))??;
    let day = rest.skip("-").then(|| rest.number(2))??;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()
}

/// The second, and the last of its milliseconds that is meant.
fn time(rest: &mut Rest<'_>) -> Option<(Time, u64)> {
    let hour = rest.small()?;
    let minute = rest.skip(":").then(|| rest.small())??;
    let second = if rest.skip(":") { rest.small()? } else { 0 };
    let time = Time::from_hms(hour, minute, second).ok()?;
    if !rest.skip(".") {
        return Some((time, 999));
    }
    let digits = rest.0.bytes().take_while(u8::is_ascii_digit).count();
    let fraction: String = rest.0.chars().take(digits.min(3)).collect();
    rest.0 = &rest.0[digits..];
    let ms = (digits > 0).then(|| format!("{fraction:0<3}").parse().ok())??;
    Some((time, ms))
}

/// `Z`, or a distance from UTC: `+0100`, `+01:00`, and a space before it.
fn zone(rest: &mut Rest<'_>) -> Option<UtcOffset> {
    if rest.skip("Z") || rest.skip("z") {
        return Some(UtcOffset::UTC);
    }
    rest.skip(" ");
    let sign = match (rest.skip("+"), rest.skip("-")) {
        (true, false) => 1,
        (false, true) => -1,
        _ => return None,
    };
    let hours = i8::try_from(rest.small()?).ok()?;
    rest.skip(":");
    let minutes = i8::try_from(rest.small()?).ok().filter(|minutes| *minutes < 60)?;
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
}

/// By the calendar of this place. An hour that it skips or has twice is read by one of its two distances.
fn local(at: PrimitiveDateTime) -> OffsetDateTime {
    let offset = |at| UtcOffset::local_offset_at(at).unwrap_or(UtcOffset::UTC);
    let near = at.assume_offset(offset(at.assume_utc()));
    at.assume_offset(offset(near))
}

/// What has not been read.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    /// Whether it goes on with this, which is read then.
    fn skip(&mut self, sign: &str) -> bool {
        let rest = self.0.strip_prefix(sign);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// A number of so many digits.
    fn number(&mut self, digits: usize) -> Option<u16> {
        let number =
            self.0.get(..digits).filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
        self.0 = &self.0[digits..];
        number.parse().ok()
    }

    /// A number of two digits.
    fn small(&mut self) -> Option<u8> {
        self.number(2).and_then(|number| u8::try_from(number).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Option<u64> {
        text.parse().ok().map(|Moment { ms }| ms)
    }

    #[test]
    fn moments_are_read_as_they_are_printed() {
        let cases = [
            ("1970-01-01T00:00:00Z", 999),
            ("1970-01-01 00:00:01.5Z", 1_500),
            ("1970-01-01T00:01z", 60_999),
            ("2000-02-29 13:09:14 +0100", 951_826_154_999),
            ("2000-02-29T13:09:14+01:00", 951_826_154_999),
            ("1969-12-31 20:29:59 -0330", 999),
            ("2026-11-22T21:34:10.000000999Z", 1_795_383_250_000),
            ("1900-01-01T00:00:00Z", 999),
        ];
        for (text, expected) in cases {
            assert_eq!(ms(text), Some(expected), "{text}");
        }
        assert!(ms("2026-11-29 14:00").is_some() && ms("2026-11-29T14:00:09").is_some());
    }

    #[test]
    fn other_text_is_no_moment() {
        for text in [
            "",
            "now",
            "2026-11-29",
            "2026-11-29 ",
            "2026-13-01 00:00",
            "2026-02-30 00:00",
            "2026-11-29 24:00",
            "2026-11-29 14:60",
            "2026-11-29 14",
            "2026-11-29  14:00",
            "2026-11-29 14:00:00.",
            "2026-11-29 14:00 ",
            "2026-11-29 14:00 0100",
            "2026-11-29 14:00 +01",
            "2026-11-29 14:00 +0160",
            "2026-11-29 14:00Zx",
            "+026-11-29 14:00",
            "2026-11-29 1\u{e4}:00",
        ] {
            assert_eq!(ms(text), None, "{text}");
        }
    }

    #[test]
    fn the_stamp_of_a_moment_is_the_last_of_its_millisecond() {
        let moment = Moment { ms: 5 };
        assert_eq!(moment.stamp() >> 16, 5);
        assert_eq!(moment.stamp() + 1, stamp_at(6));
    }
}
