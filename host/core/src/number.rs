//! Numbers as the digits that a source writes: no machine type holds them all.
//!
//! A number is its JSON text. `1.10` and `1.1` are one number with two texts. Comparing two texts is exact, and linear in their digits.

use std::borrow::Cow;
use std::cmp::Ordering;

/// The most digits that an exponent may stand for where a number is written out: `1E5` is 100000.
const PLAIN_DIGITS_MAX: i64 = 400;

/// A number taken apart: `0.d₁d₂… × 10^magnitude`.
#[derive(Debug, Clone, Copy)]
struct Decimal<'t> {
    is_negative: bool,
    /// The digits before the point, without zeros in front.
    whole: &'t str,
    /// The digits behind the point, without zeros at the end. If there are none, `whole` has no zeros at the end.
    fraction: &'t str,
    magnitude: i64,
}

impl<'t> Decimal<'t> {
    /// Takes a number apart. A text that is not a number is zero.
    fn of(text: &'t str) -> Decimal<'t> {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let whole = whole.trim_start_matches('0');
        let skipped = if whole.is_empty() { fraction.len() - fraction.trim_start_matches('0').len() } else { 0 };
        let fraction = fraction.get(skipped..).unwrap_or_default().trim_end_matches('0');
        let exponent = exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 });
        let length = |digits: usize| i64::try_from(digits).unwrap_or(i64::MAX / 4);
        let magnitude = (length(whole.len()) - length(skipped)).saturating_add(exponent);
        let whole = if fraction.is_empty() { whole.trim_end_matches('0') } else { whole };
        Decimal { is_negative, whole, fraction, magnitude }
    }

    /// Returns the significant digits: the first is not zero, and neither is the last.
    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    fn is_zero(&self) -> bool {
        self.digits().next().is_none()
    }

    /// Compares two numbers without their signs.
    fn cmp_size(&self, other: &Decimal<'_>) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.magnitude.cmp(&other.magnitude).then_with(|| self.digits().cmp(other.digits())),
        }
    }

    /// Returns the digits of a whole number that is not too long to be written out.
    fn whole(&self) -> Option<String> {
        if self.is_zero() {
            return Some("0".to_owned());
        }
        let (count, length) = (self.digits().count(), usize::try_from(self.magnitude).ok()?);
        if count > length || self.magnitude > PLAIN_DIGITS_MAX {
            return None;
        }
        let digits = self.digits().chain(std::iter::repeat(b'0')).take(length).map(char::from);
        Some(if self.is_negative { std::iter::once('-').chain(digits).collect() } else { digits.collect() })
    }
}

/// Returns whether the text of a number is that of an integer: it has neither point nor exponent.
#[must_use]
pub(crate) fn is_integer(text: &str) -> bool {
    !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

/// Compares two numbers by their value, digit by digit.
#[must_use]
pub(crate) fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (Decimal::of(one), Decimal::of(other));
    match (one.is_negative && !one.is_zero(), other.is_negative && !other.is_zero()) {
        (false, false) => one.cmp_size(&other),
        (true, true) => other.cmp_size(&one),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

/// Returns whether two texts are one number: `1.10` and `1.1`, `1E5` and `100000`.
///
/// A system that keeps floats in 64 bits returns another text for one with more digits. The text that it returns is the same number, too.
#[must_use]
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    if one == other || compare(one, other).is_eq() {
        return true;
    }
    // The shortest text of a float is at most 17 digits: only a longer one is cut.
    let is_cut = |long: &str, short: &str| {
        !is_integer(long) && !is_integer(short) && Decimal::of(long).digits().count() > 17 && is_shortest_of(long, short)
    };
    is_cut(one, other) || is_cut(other, one)
}

fn is_shortest_of(long: &str, short: &str) -> bool {
    match long.parse::<f64>() {
        Ok(float) if float.is_finite() => compare(&format!("{float:?}"), short).is_eq(),
        _ => false,
    }
}

/// Returns one text for all texts of a number, by which numbers are looked up.
#[must_use]
pub fn canonical(text: &str) -> Cow<'_, str> {
    let number = Decimal::of(text);
    if is_integer(text) && number.magnitude <= PLAIN_DIGITS_MAX && text != "-0" {
        return Cow::Borrowed(text);
    }
    Cow::Owned(number.whole().unwrap_or_else(|| {
        let sign = if number.is_negative { "-" } else { "" };
        let digits: String = number.digits().map(char::from).collect();
        format!("{sign}.{digits}e{}", number.magnitude)
    }))
}

/// Returns the digits of a number that is whole: `10.0` and `1e1` are 10.
#[must_use]
pub(crate) fn whole(text: &str) -> Option<String> {
    Decimal::of(text).whole()
}

/// Returns the digits before the point of a float without exponent, if those behind it are zeros.
#[must_use]
pub(crate) fn plain_whole(text: &str) -> Option<&str> {
    let (whole, fraction) = text.split_once('.')?;
    (!fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0')).then_some(whole)
}

/// Writes the text of a JSON number. There is no negative zero.
pub(crate) fn write(text: &str, out: &mut String) {
    match text.strip_prefix('-') {
        Some(rest) if Decimal::of(rest).is_zero() => out.push_str(rest),
        _ => out.push_str(text),
    }
}

/// Returns whether two canonical JSON texts are the same value, whatever the texts of their numbers.
#[must_use]
pub(crate) fn is_same_json(one: &str, other: &str) -> bool {
    let (mut a, mut b) = (one.as_bytes(), other.as_bytes());
    let mut in_text = false;
    loop {
        match (a.split_first(), b.split_first()) {
            (None, None) => return true,
            (Some((first, rest)), Some((second, other_rest))) => {
                let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
                if !in_text && is_number(first) && is_number(second) {
                    let (mine, after) = a.split_at(number_len(a));
                    let (theirs, other_after) = b.split_at(number_len(b));
                    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
                    if !is_same(text(mine), text(theirs)) {
                        return false;
                    }
                    (a, b) = (after, other_after);
                    continue;
                }
                if first != second {
                    return false;
                }
                (a, b) = (rest, other_rest);
                match first {
                    b'"' => in_text = !in_text,
                    b'\\' if in_text => {
                        // The escaped character, which may be a quotation mark.
                        match (a.split_first(), b.split_first()) {
                            (Some((one, rest)), Some((other, other_rest))) if one == other => (a, b) = (rest, other_rest),
                            _ => return false,
                        }
                    }
                    _ => {}
                }
            }
            _ => return false,
        }
    }
}

/// Returns the bytes of the number that a text begins with.
pub(crate) fn number_len(text: &[u8]) -> usize {
    text.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_one_by_their_value_and_not_by_their_text() {
        for (one, other) in [
            ("1", "1.0"),
            ("1.10", "1.1"),
            ("1E5", "100000"),
            ("1e5", "1.0E+5"),
            ("0", "-0.0"),
            ("0.001", "1e-3"),
            ("18446744073709551616", "1.8446744073709551616e19"),
            ("1e400", "10e399"),
            ("-12.50", "-1.25e1"),
            ("0.1000000000000000055511151231257827", "0.1"),
            ("100", "1e2"),
        ] {
            assert!(is_same(one, other) && is_same(other, one), "{one} and {other}");
        }
        for (one, other) in [
            ("9007199254740992", "9007199254740993"),
            ("9007199254740992", "9007199254740993.0"),
            ("18446744073709551616", "1.8446744073709552e19"),
            ("1e400", "1e401"),
            ("1e400", "-1e400"),
            ("1", "10"),
            ("0.1", "0.01"),
            ("123456789012345678.1", "123456789012345678.2"),
        ] {
            assert!(!is_same(one, other) && !is_same(other, one), "{one} and {other}");
            assert_ne!(canonical(one), canonical(other));
        }
    }

    #[test]
    fn whole_numbers_are_written_out_up_to_a_limit() {
        for (text, digits) in
            [("10.0", Some("10")), ("1E5", Some("100000")), ("-2.50e1", Some("-25")), ("1.5", None), ("1e401", None), ("0e9", Some("0"))]
        {
            assert_eq!(whole(text).as_deref(), digits, "{text}");
        }
        assert_eq!((plain_whole("1.00"), plain_whole("1.10"), plain_whole("1e0"), plain_whole("1")), (Some("1"), None, None, None));
    }

    #[test]
    fn lists_and_objects_are_the_same_where_their_numbers_are() {
        for (one, other) in [("[1,2.50]", "[1.0,2.5]"), (r#"{"a":"1\"2","b":1e2}"#, r#"{"a":"1\"2","b":100}"#), ("[]", "[]")] {
            assert!(is_same_json(one, other), "{one} and {other}");
        }
        for (one, other) in
            [("[1]", "[2]"), ("[1]", "[1,1]"), (r#"["1.0"]"#, r#"["1"]"#), (r#"{"1.0":1}"#, r#"{"1":1}"#), ("[1]", "[\"1\"]")]
        {
            assert!(!is_same_json(one, other), "{one} and {other}");
        }
    }

    proptest! {
        #[test]
        fn floats_compare_as_their_texts(one in any::<f64>(), other in any::<f64>()) {
            prop_assume!(one.is_finite() && other.is_finite());
            prop_assert_eq!(compare(&format!("{one:?}"), &format!("{other:e}")), one.partial_cmp(&other).unwrap());
            let (plain, scientific) = (format!("{one:?}"), format!("{one:e}"));
            prop_assert_eq!(canonical(&plain), canonical(&scientific));
        }

        #[test]
        fn integers_compare_as_their_texts(one in any::<i128>(), other in any::<i128>()) {
            prop_assert_eq!(compare(&one.to_string(), &format!("{other}.0")), one.cmp(&other));
            let scientific = format!("{one:e}");
            prop_assert!(is_same(&one.to_string(), &scientific));
            prop_assert_eq!(canonical(&scientific).into_owned(), one.to_string());
        }
    }
}
