//! How Python sees JSON values: what is true, what is equal, what contains what.

use std::borrow::Cow;

use serde_json::Value;

use super::number::{decimal_digits, float};
use crate::number;

/// Python's truth: null, false, zero, and what has no items are false.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number::compare(number.as_str(), "0").is_ne(),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// Python's `==`: numbers and bools by value, whatever their type; all else within its type.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::String(left), Value::String(right)) => left == right,
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len() && left.iter().all(|(key, item)| right.get(key).is_some_and(|other| equal(item, other)))
        }
        _ => match (numeric(left), numeric(right)) {
            (Some(left), Some(right)) => left.equals(&right),
            _ => false,
        },
    }
}

/// A number as Python sees it: a bool is one too.
#[derive(Clone)]
enum Numeric<'v> {
    /// The digits of a whole number.
    Integer(Cow<'v, str>),
    Float(f64),
}

impl Numeric<'_> {
    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(left), Self::Float(right)) => left == right,
            (left, right) => left.exact().zip(right.exact()).is_some_and(|(left, right)| number::compare(&left, &right).is_eq()),
        }
    }

    /// Returns all digits of a number: those of a float, whose shortest text has fewer, too. None: it is not finite.
    fn exact(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Integer(digits) => Some(Cow::Borrowed(digits)),
            Self::Float(float) => float.is_finite().then(|| Cow::Owned(format!("{float}"))),
        }
    }
}

fn numeric(value: &Value) -> Option<Numeric<'_>> {
    match value {
        Value::Bool(yes) => Some(Numeric::Integer(Cow::Borrowed(if *yes { "1" } else { "0" }))),
        Value::Number(number) if number::is_integer(number.as_str()) => Some(Numeric::Integer(Cow::Borrowed(number.as_str()))),
        Value::Number(number) => Some(Numeric::Float(float(number))),
        _ => None,
    }
}

/// Python's `int(value)`, which both sides of `>` and its like go through: text is read, fractions are cut off.
fn to_integer(value: &Value) -> Result<Cow<'_, str>, String> {
    let refused = || format!("cannot read {} as a whole number", describe(value));
    match value {
        Value::String(text) => {
            let (negative, digits) = decimal_digits(text).ok_or_else(refused)?;
            Ok(Cow::Owned(if negative { format!("-{digits}") } else { digits }))
        }
        _ => match numeric(value).ok_or_else(refused)? {
            Numeric::Float(float) if float.is_finite() => Ok(Cow::Owned(format!("{}", float.trunc()))),
            Numeric::Float(_) => Err(refused()),
            Numeric::Integer(digits) => Ok(digits),
        },
    }
}

pub(crate) fn compare(field: &Value, value: &Value) -> Result<std::cmp::Ordering, String> {
    Ok(number::compare(&to_integer(field)?, &to_integer(value)?))
}

/// Python's `item in container`.
pub(crate) fn contains(container: &Value, item: &Value) -> Result<bool, String> {
    match container {
        Value::String(text) => match item {
            Value::String(part) => Ok(text.contains(part.as_str())),
            other => Err(format!("cannot look for {} in a text", describe(other))),
        },
        Value::Array(items) => Ok(items.iter().any(|known| equal(known, item))),
        Value::Object(map) => match item {
            Value::String(key) => Ok(map.contains_key(key)),
            Value::Array(_) | Value::Object(_) => Err(format!("cannot look for {} among keys", describe(item))),
            _ => Ok(false),
        },
        other => Err(format!("cannot look into {}", describe(other))),
    }
}

/// Returns a value for a message: what it is, and the value itself where it is short.
pub(crate) fn describe(value: &Value) -> Cow<'static, str> {
    match value {
        Value::Null => Cow::Borrowed("nothing"),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Number(number) => Cow::Owned(format!("the number {number}")),
        Value::String(text) => Cow::Owned(format!("the text '{text}'")),
        Value::Array(_) => Cow::Borrowed("a list"),
        Value::Object(_) => Cow::Borrowed("an object"),
    }
}

pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
