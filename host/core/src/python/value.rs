//! How Python sees JSON values: what is true, what is equal, what contains what.

use std::borrow::Cow;

use serde_json::{Number, Value};

use super::number::decimal_digits;

/// Python's truth: null, false, zero, and what has no items are false.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64().is_none_or(|number| number != 0.0),
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
            (Some(left), Some(right)) => left.equals(right),
            _ => false,
        },
    }
}

/// A number as Python sees it: a bool is one too.
#[derive(Clone, Copy)]
enum Numeric {
    Integer(i128),
    Float(f64),
}

impl Numeric {
    fn equals(self, other: Self) -> bool {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => left == right,
            (Self::Float(left), Self::Float(right)) => left == right,
            (Self::Integer(integer), Self::Float(float)) | (Self::Float(float), Self::Integer(integer)) => {
                // JSON's integers have 64 bits, so a whole float in their range converts without loss.
                float.fract() == 0.0 && float.abs() < 1e30 && float as i128 == integer
            }
        }
    }
}

fn numeric(value: &Value) -> Option<Numeric> {
    match value {
        Value::Bool(yes) => Some(Numeric::Integer(i128::from(*yes))),
        Value::Number(number) => Some(of_number(number)),
        _ => None,
    }
}

fn of_number(number: &Number) -> Numeric {
    if let Some(integer) = number.as_i64() {
        Numeric::Integer(i128::from(integer))
    } else if let Some(integer) = number.as_u64() {
        Numeric::Integer(i128::from(integer))
    } else {
        Numeric::Float(number.as_f64().unwrap_or(f64::NAN))
    }
}

/// Python's `int(value)`, which both sides of `>` and its like go through: text is read, fractions are cut off.
fn to_integer(value: &Value) -> Result<Numeric, String> {
    let refused = || format!("cannot read {} as a whole number", describe(value));
    match value {
        Value::String(text) => integer_of_text(text).ok_or_else(refused),
        _ => match numeric(value).ok_or_else(refused)? {
            // Beyond 2^120 the order of floats is the order of the integers they are.
            Numeric::Float(float) if float.abs() >= 1e36 => Ok(Numeric::Float(float)),
            Numeric::Float(float) => Ok(Numeric::Integer(float.trunc() as i128)),
            integer => Ok(integer),
        },
    }
}

fn integer_of_text(text: &str) -> Option<Numeric> {
    let (negative, digits) = decimal_digits(text)?;
    match digits.parse::<i128>() {
        Ok(number) => Some(Numeric::Integer(if negative { -number } else { number })),
        Err(_) => {
            let number: f64 = digits.parse().ok()?;
            Some(Numeric::Float(if negative { -number } else { number }))
        }
    }
}

pub(crate) fn compare(field: &Value, value: &Value) -> Result<std::cmp::Ordering, String> {
    let as_float = |number| match number {
        Numeric::Integer(integer) => integer as f64,
        Numeric::Float(float) => float,
    };
    match (to_integer(field)?, to_integer(value)?) {
        (Numeric::Integer(left), Numeric::Integer(right)) => Ok(left.cmp(&right)),
        (left, right) => Ok(as_float(left).total_cmp(&as_float(right))),
    }
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
