//! The meaning of a plain scalar in PyYAML's `safe_load`: YAML 1.1 with PyYAML's own patterns.
//!
//! `yes` is a boolean, `0755` an octal number, `1_000` a number, `10:30` a number in base 60, `1e5` text (PyYAML wants a dot and
//! a signed exponent). Timestamps stay text: nothing here wants Python's date objects.

use serde_json::Number;

/// The meaning of a plain scalar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plain {
    Null,
    Bool(bool),
    Number(Number),
    Text,
    /// A number that 64 bits cannot hold, or that is not finite.
    OutOfRange,
}

/// The meaning of a scalar with a tag.
pub(crate) enum Tagged {
    Is(Plain),
    UnknownTag,
    NotOfTag,
}

/// Reads a plain scalar.
pub(crate) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Plain::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Plain::Bool(false);
        }
        _ => {}
    }
    integer(text).or_else(|| float(text)).unwrap_or(Plain::Text)
}

/// Reads a scalar with a tag of YAML's own (`core`: its name without `!!`), whatever its quotes.
pub(crate) fn resolve_tagged(text: &str, core: Option<&str>) -> Tagged {
    let plain = resolve(text);
    match (core, &plain) {
        (Some("str" | "timestamp"), _) => Tagged::Is(Plain::Text),
        (Some("null"), _) => Tagged::Is(Plain::Null),
        (Some("bool"), Plain::Bool(_)) | (Some("int"), Plain::Number(_)) => Tagged::Is(plain),
        (Some("float"), _) => match text.replace('_', "").parse::<f64>() {
            Ok(value) => Tagged::Is(finite(value)),
            Err(_) => Tagged::NotOfTag,
        },
        (Some("bool" | "int"), _) => Tagged::NotOfTag,
        _ => Tagged::UnknownTag,
    }
}

fn finite(value: f64) -> Plain {
    Number::from_f64(value).map_or(Plain::OutOfRange, Plain::Number)
}

/// Sign and the rest.
fn split_sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
}

/// `[0-9][0-9_]*`
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && is_digits(text)
}

/// `[0-5]?[0-9]`
fn is_sixtieth(text: &str) -> bool {
    match text.as_bytes() {
        [unit] => unit.is_ascii_digit(),
        [ten, unit] => (b'0'..=b'5').contains(ten) && unit.is_ascii_digit(),
        _ => false,
    }
}

fn integer(text: &str) -> Option<Plain> {
    let (negative, body) = split_sign(text);
    let digits: String = body.chars().filter(|c| *c != '_').collect();
    let magnitude = if let Some(bits) = body.strip_prefix("0b") {
        if !bits.bytes().all(|byte| matches!(byte, b'0' | b'1' | b'_')) {
            return None;
        }
        radix(digits.get(2..)?, 2)?
    } else if let Some(hex) = body.strip_prefix("0x") {
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'_') {
            return None;
        }
        radix(digits.get(2..)?, 16)?
    } else if body.starts_with('0') {
        if !body.bytes().all(|byte| matches!(byte, b'0'..=b'7' | b'_')) {
            return None;
        }
        radix(&digits, 8)?
    } else if let Some((first, rest)) = body.split_once(':') {
        if !is_number(first) || !rest.split(':').all(is_sixtieth) {
            return None;
        }
        digits.split(':').try_fold(0_u128, |sum, part| sum.checked_mul(60)?.checked_add(part.parse().ok()?)).unwrap_or(u128::MAX)
    } else {
        if !is_number(body) {
            return None;
        }
        radix(&digits, 10)?
    };
    let number = if negative {
        i64::try_from(magnitude).ok().map(|value| Number::from(-value)).or_else(|| {
            // The one value whose magnitude does not fit.
            (magnitude == u128::from(i64::MIN.unsigned_abs())).then(|| Number::from(i64::MIN))
        })
    } else {
        u64::try_from(magnitude).ok().map(Number::from)
    };
    Some(number.map_or(Plain::OutOfRange, Plain::Number))
}

/// Digits in a base; none where there are no digits, saturated where there are too many.
fn radix(digits: &str, base: u32) -> Option<u128> {
    if digits.is_empty() {
        return None;
    }
    Some(u128::from_str_radix(digits, base).unwrap_or(u128::MAX))
}

fn float(text: &str) -> Option<Plain> {
    let (negative, body) = split_sign(text);
    if matches!(body, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Plain::OutOfRange);
    }
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    // PyYAML wants the exponent's sign: `1.0e5` is text.
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['+', '-'])?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
    }
    let (whole, fraction) = mantissa.split_once('.')?;
    if !is_digits(fraction) {
        return None;
    }
    if let Some((first, rest)) = whole.split_once(':') {
        if exponent.is_some() || !is_number(first) || !rest.split(':').all(is_sixtieth) {
            return None;
        }
        let mut value = 0.0_f64;
        for part in mantissa.replace('_', "").split(':') {
            value = value * 60.0 + part.parse::<f64>().ok()?;
        }
        return Some(finite(if negative { -value } else { value }));
    }
    let shaped = if whole.is_empty() {
        // `.5`, and never with a sign.
        body.len() == text.len() && fraction.starts_with(|c: char| c.is_ascii_digit())
    } else {
        is_number(whole)
    };
    if !shaped {
        return None;
    }
    let value = body.replace('_', "").parse::<f64>().ok()?;
    Some(finite(if negative { -value } else { value }))
}
