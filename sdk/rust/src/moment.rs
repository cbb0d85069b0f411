//! Moments in time, as servers write them. A component has no clock of its own: its clock is the `Date` of an answer.

use std::fmt::{self, Display};
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const MICROS: i64 = 1_000_000;
const DAY_S: i64 = 86_400;
/// Days from 1 March of the year 0 to 1 January 1970.
const EPOCH_DAY: i64 = 719_468;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment, in microseconds since 1970 (UTC). It is parsed from and printed as RFC 3339: `2026-11-24T10:04:00.5Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(i64);

impl Moment {
    /// Makes a moment of microseconds since 1970.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Moment {
        Moment(micros)
    }

    /// Makes a moment of seconds since 1970.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Moment {
        Moment(seconds.saturating_mul(MICROS))
    }

    /// Returns the microseconds since 1970.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns the whole seconds since 1970.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(MICROS)
    }

    /// Parses the date of an HTTP header: `Tue, 24 Nov 2026 02:00:00 GMT` (RFC 9110, IMF-fixdate).
    #[must_use]
    pub fn from_http(text: &str) -> Option<Moment> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let [_, day, month, year, time, "GMT" | "UTC" | "+0000"] = words.as_slice() else { return None };
        let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
        let date = (digits(year)?, i64::try_from(month).ok()? + 1, digits(day)?);
        Some(Moment::from_seconds(date_seconds(date)? + time_seconds(time)?))
    }
}

impl FromStr for Moment {
    type Err = NotAMoment;

    /// Parses RFC 3339, with `Z` or the offset of a zone.
    fn from_str(text: &str) -> Result<Moment, NotAMoment> {
        parse(text.trim()).ok_or(NotAMoment)
    }
}

/// A text is not RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAMoment;

impl Display for NotAMoment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not a date and time as in 2026-11-24T10:04:00Z")
    }
}

impl std::error::Error for NotAMoment {}

impl Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.as_seconds();
        let (year, month, day) = civil(seconds.div_euclid(DAY_S));
        let of_day = seconds.rem_euclid(DAY_S);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        let micros = format!(".{:06}", self.0.rem_euclid(MICROS));
        write!(formatter, "{}Z", micros.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;
    fn sub(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

fn parse(text: &str) -> Option<Moment> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut date = date.split('-').map(digits);
    let date = (date.next()??, date.next()??, date.next()??);
    let (time, offset_s) = match rest.strip_suffix(['Z', 'z']) {
        Some(time) => (time, 0),
        None => {
            let at = rest.rfind(['+', '-'])?;
            let (hours, minutes) = rest.get(at + 1..)?.split_once(':')?;
            let offset = digits(hours)? * 3600 + digits(minutes)? * 60;
            (rest.get(..at)?, if rest.get(at..)?.starts_with('-') { -offset } else { offset })
        }
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    // Digits beyond microseconds are cut off.
    let micros = digits(&format!("{:0<6}", fraction.get(..6).unwrap_or(fraction)))?;
    let seconds = date_seconds(date)? + time_seconds(time)? - offset_s;
    Some(Moment(seconds * MICROS + micros))
}

fn digits(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Returns the seconds of `10:04:00`. A leap second counts as the first one of the next minute.
fn time_seconds(time: &str) -> Option<i64> {
    let parts = time.split(':').map(digits).collect::<Option<Vec<i64>>>()?;
    match parts.as_slice() {
        [hour @ 0..24, minute @ 0..60, second @ 0..=60] => Some(hour * 3600 + minute * 60 + second),
        _ => None,
    }
}

/// Returns the seconds from 1970 to a day (year, month, day) of the Gregorian calendar; none where there is no such day.
fn date_seconds(date: (i64, i64, i64)) -> Option<i64> {
    let (year, month, day) = date;
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = first_day(year) + (153 * month + 2) / 5 + day - 1 - EPOCH_DAY;
    (civil(days) == date).then_some(days * DAY_S)
}

/// Returns the days from 1 March of the year 0 to that of another year.
fn first_day(year: i64) -> i64 {
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400)
}

/// Returns the year, month and day of a day since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAY;
    // 146,097 days in 400 years: at most a year off.
    let mut year = (days * 400).div_euclid(146_097);
    while first_day(year) > days {
        year -= 1;
    }
    while first_day(year + 1) <= days {
        year += 1;
    }
    let of_year = days - first_day(year);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;

    fn micros(text: &str) -> Option<i64> {
        text.parse::<Moment>().ok().map(Moment::as_micros)
    }

    #[test]
    fn every_day_is_what_a_calendar_says() {
        let mut day = jiff::civil::date(1, 1, 1);
        while day.year() < 9999 {
            let noon = day.at(12, 34, 56, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
            let moment = Moment::from_seconds(noon.as_second());
            assert_eq!(moment.to_string(), noon.to_string());
            assert_eq!(moment.to_string().parse(), Ok(moment));
            // 97 has no factor in common with the lengths of months, years and centuries.
            day = day.checked_add(jiff::Span::new().days(97)).unwrap();
        }
    }

    #[test]
    fn zones_and_fractions_are_understood() {
        assert_eq!(micros("1970-01-01T00:00:01.5Z"), Some(1_500_000));
        assert_eq!(micros("1970-01-01T01:00:00.123456789+01:00"), Some(123_456));
        assert_eq!(micros("1969-12-31 19:30:00-04:30"), Some(0));
        assert_eq!(micros("1969-12-31T23:59:59.999999Z"), Some(-1));
        assert_eq!(Moment::from_micros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(Moment::from_micros(1_500_000).to_string(), "1970-01-01T00:00:01.5Z");
        let later = Moment::from_seconds(100) + Duration::from_millis(1) - Duration::from_secs(100);
        assert_eq!(later.as_micros(), 1000);
    }

    #[test]
    fn a_text_that_is_not_a_moment_is_none() {
        for text in [
            "",
            "yesterday",
            "2026-11-24",
            "2026-11-24T10:04:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T10:04Z",
            "2026-11-24T10:04:00.xZ",
            "+026-11-24T10:04:00Z",
            "2026-11-24T10:04:00+01",
        ] {
            assert_eq!(micros(text), None, "{text}");
        }
    }

    #[test]
    fn the_date_of_a_header_is_understood() {
        let date = Moment::from_http("Tue, 24 Nov 2026 02:00:17 GMT").unwrap();
        assert_eq!(date.to_string(), "2026-11-24T02:00:17Z");
        for text in ["", "Tue, 24 Nov 2026 02:00:17 CET", "Tue, 31 Feb 2026 02:00:17 GMT", "2026-11-24T02:00:17Z"] {
            assert_eq!(Moment::from_http(text), None, "{text}");
        }
    }
}
