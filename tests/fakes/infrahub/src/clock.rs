//! The server's clock: microseconds since 1970, and the spellings of a moment that the server reads and writes.

use jiff::{Timestamp, civil, tz::TimeZone};

/// Microseconds of real time since 1970.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// Returns the spelling of the server's answers, `2026-11-23T04:25:10.705313+00:00`; a moment on the full second has no fraction.
pub(crate) fn text(at: i64) -> String {
    let Ok(moment) = Timestamp::from_microsecond(at) else { return String::new() };
    let civil = moment.to_zoned(TimeZone::UTC).datetime();
    if at.rem_euclid(1_000_000) == 0 { format!("{civil}+00:00") } else { format!("{civil:.6}+00:00") }
}

/// Returns the spelling of messages, `2026-11-23T04:25:10.705313Z`.
pub(crate) fn zulu(at: i64) -> String {
    let text = text(at);
    let text = text.trim_end_matches("+00:00");
    if text.contains('.') { format!("{text}Z") } else { format!("{text}.000000Z") }
}

/// Returns the spelling of the header `Date`, in whole seconds.
pub(crate) fn http(at: i64) -> String {
    let Ok(moment) = Timestamp::from_microsecond(at) else { return String::new() };
    moment.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Reads a moment: ISO 8601 with or without a zone (then UTC), a date (then noon), or a time ago as in `5m`.
pub(crate) fn parse(text: &str, now: i64) -> Option<i64> {
    let spelled = text.replacen(' ', "T", 1);
    if let Ok(moment) = spelled.parse::<Timestamp>() {
        return Some(moment.as_microsecond());
    }
    if text.len() <= 10 {
        if let Ok(date) = text.parse::<civil::Date>() {
            return Some(date.at(12, 0, 0, 0).to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond());
        }
    } else if let Ok(civil) = spelled.parse::<civil::DateTime>() {
        return Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond());
    }
    ago(text).map(|ago| now - ago)
}

/// Returns the sum of what stands before `s`, `m` and `h` in microseconds, as the server's patterns find it.
fn ago(text: &str) -> Option<i64> {
    let mut total: Option<i64> = None;
    let mut digits = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => 0,
        };
        if let Ok(count) = digits.parse::<i64>()
            && unit > 0
        {
            total = Some(total.unwrap_or(0) + count.saturating_mul(unit * 1_000_000));
        }
        digits.clear();
    }
    total
}
