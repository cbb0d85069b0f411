//! Orders keys.
//!
//! null < false < true < numbers < text < lists < objects. Numbers compare as numbers, in any spelling (`2` < `10`, `1` = `1.0`),
//! text by its bytes in UTF-8, lists item by item, objects member by member in the order of the members' names.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use infrahub_sync_adapter::serde_json::{self, Value, value::RawValue};

/// A JSON value that can be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    List(Vec<Part>),
    /// Sorted by name.
    Object(Vec<(String, Part)>),
}

/// The values of an object's identifiers.
pub(crate) type Key = Vec<Part>;

impl Part {
    /// Reads JSON text. Numbers keep all their digits.
    pub(crate) fn parse(json: &str) -> serde_json::Result<Part> {
        let json = json.trim();
        Ok(match json.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => {
                serde_json::from_str::<&RawValue>(json)?;
                Part::Number(Number::of(json))
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(json)?;
                Part::List(items.into_iter().map(|item| Part::parse(item.get())).collect::<serde_json::Result<_>>()?)
            }
            Some(b'{') => {
                // Of a name that stands twice the last counts.
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
                let part = |(name, value): (String, &RawValue)| Ok((name, Part::parse(value.get())?));
                Part::Object(members.into_iter().map(part).collect::<serde_json::Result<_>>()?)
            }
            _ => match serde_json::from_str::<Value>(json)? {
                Value::Bool(value) => Part::Boolean(value),
                Value::String(value) => Part::Text(value),
                _ => Part::Null,
            },
        })
    }
}

/// A number, exact: `0.digits × 10^magnitude`. Zero has no digits and no magnitude.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Number {
    is_negative: bool,
    magnitude: i64,
    /// Neither the first nor the last one is zero.
    digits: String,
}

impl Number {
    /// Takes the text of a JSON number apart.
    fn of(text: &str) -> Number {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        if digits.is_empty() {
            return Number { is_negative: false, magnitude: 0, digits: String::new() };
        }
        let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX / 4);
        let exponent = exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 });
        let magnitude = (length(digits) - length(fraction)).saturating_add(exponent);
        Number { is_negative, magnitude, digits: digits.trim_end_matches('0').to_owned() }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        let size = |number: &Number| (!number.digits.is_empty(), number.magnitude);
        let by_size = || size(self).cmp(&size(other)).then_with(|| self.digits.cmp(&other.digits));
        match (self.is_negative, other.is_negative) {
            (false, false) => by_size(),
            (true, true) => by_size().reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::Part;

    #[test]
    fn keys_have_one_order() {
        let sorted = [
            "null",
            "false",
            "true",
            "-3",
            "-2.5",
            "-0.01",
            "0",
            "0.001",
            "0.01",
            "2",
            "9",
            "10",
            "10.5",
            "18446744073709551615",
            "123456789012345678901234567890123456789012345678901",
            "123456789012345678901234567890123456789012345678902",
            "1e300",
            "1e999",
            "1e1000",
            r#""""#,
            r#""10""#,
            r#""9""#,
            r#""Z""#,
            r#""a""#,
            r#""ü""#,
            r#""🔌""#,
            "[]",
            "[1]",
            "[1,2]",
            "[2]",
            r#"{"a":1}"#,
            r#"{"a":2}"#,
            r#"{"b":1}"#,
        ];
        let parts: Vec<Part> = sorted.iter().map(|text| Part::parse(text).unwrap()).collect();
        for (at, one) in parts.iter().enumerate() {
            for (other_at, other) in parts.iter().enumerate() {
                assert_eq!(one.cmp(other), at.cmp(&other_at), "{} and {}", sorted[at], sorted[other_at]);
            }
        }
    }

    #[test]
    fn the_spelling_of_a_value_does_not_matter() {
        for (one, other) in [
            ("1", "1.0"),
            ("100", "1e2"),
            ("-0.0", "0"),
            ("0.10", "1E-1"),
            (r#"{"a":1,"b":2}"#, r#"{ "b": 2, "a": 1 }"#),
            (r#""\u00fc""#, r#""ü""#),
        ] {
            assert_eq!(Part::parse(one).unwrap(), Part::parse(other).unwrap());
        }
    }
}
