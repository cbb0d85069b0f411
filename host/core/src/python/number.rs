//! Python's numbers as text, and texts as numbers.

use serde_json::Value;

use super::text::is_blank;
use crate::number::is_integer;

/// Python's `int(text)` in base 10: blanks around, one sign, single underscores between digits.
pub(crate) fn decimal_digits(text: &str) -> Option<(bool, String)> {
    let text = text.trim_matches(is_blank);
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let well_formed = digits.split('_').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    well_formed.then(|| (negative, digits.replace('_', "")))
}

/// Python's `int(text, base)`.
pub(crate) fn integer_of(text: &str, base: u32) -> Option<i128> {
    if base == 10 {
        let (negative, digits) = decimal_digits(text)?;
        let number: i128 = digits.parse().ok()?;
        return Some(if negative { -number } else { number });
    }
    let text = text.trim_matches(is_blank);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let prefixed = |prefix: &str| lower.strip_prefix(prefix).map(|rest| rest.strip_prefix('_').unwrap_or(rest));
    let (base, digits) = match base {
        0 => match (prefixed("0x"), prefixed("0o"), prefixed("0b")) {
            (Some(rest), _, _) => (16, rest),
            (_, Some(rest), _) => (8, rest),
            (_, _, Some(rest)) => (2, rest),
            _ if lower.starts_with('0') && lower.bytes().any(|byte| byte.is_ascii_digit() && byte != b'0') => return None,
            _ => (10, lower.as_str()),
        },
        16 => (16, prefixed("0x").unwrap_or(&lower)),
        8 => (8, prefixed("0o").unwrap_or(&lower)),
        2 => (2, prefixed("0b").unwrap_or(&lower)),
        3..=36 => (base, lower.as_str()),
        _ => return None,
    };
    if digits.split('_').any(|part| part.is_empty() || !part.chars().all(|digit| digit.is_digit(base))) {
        return None;
    }
    let number = i128::from_str_radix(&digits.replace('_', ""), base).ok()?;
    Some(if negative { -number } else { number })
}

/// Python's `float(text)`.
pub(crate) fn float_of(text: &str) -> Option<f64> {
    let text = text.trim_matches(is_blank);
    let bytes = text.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        let digit_at = |index: Option<usize>| index.and_then(|index| bytes.get(index)).is_some_and(u8::is_ascii_digit);
        if *byte == b'_' && !(digit_at(index.checked_sub(1)) && digit_at(Some(index + 1))) {
            return None;
        }
    }
    text.replace('_', "").parse().ok()
}

/// Returns the text that Python's `str` gives for None, a bool, a number or a text.
pub(crate) fn scalar_text(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) if is_integer(number.as_str()) => number.to_string(),
        Value::Number(number) => float_text(float(number)),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns the float that Python reads for a number; an infinity where it is too large.
pub(crate) fn float(number: &serde_json::Number) -> f64 {
    number.as_str().parse().unwrap_or(f64::NAN)
}

/// Python's `repr` of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16.
pub(crate) fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number < 0.0 { "-inf".to_owned() } else { "inf".to_owned() };
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&power) {
        let mut plain = format!("{number}");
        if !plain.contains('.') {
            plain.push_str(".0");
        }
        plain
    } else {
        let sign = if power < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", power.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (number, text) in [
            (1.0, "1.0"),
            (1e16, "1e+16"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (123456.789, "123456.789"),
            (-0.0, "-0.0"),
            (1.5e300, "1.5e+300"),
        ] {
            assert_eq!(float_text(number), text);
        }
    }
}
