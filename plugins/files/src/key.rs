//! Orders keys.
//!
//! null < false < true < numbers < text < lists < objects. Numbers compare as numbers, in any spelling (`2` < `10`, `1` = `1.0`),
//! text by its bytes in UTF-8, lists item by item, objects member by member in the order of the members' names.

use std::cmp::Ordering;

use infrahub_sync_adapter::serde_json::{self, Map, Value};

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
    /// Reads JSON text.
    pub(crate) fn parse(json: &str) -> serde_json::Result<Part> {
        serde_json::from_str::<Value>(json).map(Part::from)
    }
}

impl From<Value> for Part {
    fn from(value: Value) -> Part {
        match value {
            Value::Null => Part::Null,
            Value::Bool(value) => Part::Boolean(value),
            Value::Number(value) => Part::Number(Number::from(&value)),
            Value::String(value) => Part::Text(value),
            Value::Array(values) => Part::List(values.into_iter().map(Part::from).collect()),
            Value::Object(members) => Part::Object(sorted(members)),
        }
    }
}

fn sorted(members: Map<String, Value>) -> Vec<(String, Part)> {
    let mut members: Vec<_> = members.into_iter().map(|(name, value)| (name, Part::from(value))).collect();
    members.sort();
    members
}

/// A number: exact if it is a whole one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Whole(i128),
    Real(f64),
}

impl From<&serde_json::Number> for Number {
    fn from(number: &serde_json::Number) -> Number {
        // Up to here, each whole number is exact as a float.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if let Some(whole) = number.as_i128() {
            return Number::Whole(whole);
        }
        let real = number.as_f64().unwrap_or(f64::INFINITY);
        #[allow(clippy::cast_possible_truncation, reason = "whole and small, as was just asked")]
        if real.fract() == 0.0 && real.abs() <= EXACT { Number::Whole(real as i128) } else { Number::Real(real) }
    }
}

impl Ord for Number {
    #[allow(clippy::cast_precision_loss, reason = "a real that is not whole is small enough for the whole numbers near it to be exact")]
    fn cmp(&self, other: &Number) -> Ordering {
        match (self, other) {
            (Number::Whole(one), Number::Whole(two)) => one.cmp(two),
            (Number::Real(one), Number::Real(two)) => one.total_cmp(two),
            // A whole number and another real are never equal.
            (Number::Whole(one), Number::Real(two)) => (*one as f64).total_cmp(two).then(Ordering::Less),
            (Number::Real(one), Number::Whole(two)) => one.total_cmp(&(*two as f64)).then(Ordering::Greater),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

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
            "0",
            "2",
            "9",
            "10",
            "10.5",
            "18446744073709551615",
            "1e300",
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
        for (one, other) in [("1", "1.0"), ("100", "1e2"), (r#"{"a":1,"b":2}"#, r#"{ "b": 2, "a": 1 }"#), (r#""\u00fc""#, r#""ü""#)] {
            assert_eq!(Part::parse(one).unwrap(), Part::parse(other).unwrap());
        }
    }
}
