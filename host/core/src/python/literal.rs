//! Reads a text as a Python literal, the way Jinja's native types do.
//!
//! A transform's result that is text becomes the value it spells: `"123"` is 123, `"[1, 2]"` a list, `"'x'"` the
//! text `x`. The accepted language is that of Python 3.11's `ast.literal_eval` without stripping leading blanks
//! ([ast.literal_eval](https://docs.python.org/3/library/ast.html#ast.literal_eval)). Whatever is not accepted stays text, so a
//! parser that is too narrow spoils nothing, and one that is too wide would.
//!
//! JSON, our model, is smaller than Python: tuples and sets become lists, keys of dicts become text. Bytes, complex
//! numbers, infinities and lone surrogates have no JSON form: such a text stays text. So do two
//! rarities of syntax: characters by name (`\N{…}`) and lines that a backslash continues.

use serde_json::{Map, Number, Value};

use super::number::scalar_text;

/// Python's tokenizer refuses the 201st open bracket; the limit also bounds our recursion.
const NESTING_MAX: usize = 200;

/// Reads `text` as a Python literal; `None` when it is not one, or has no JSON form.
pub(crate) fn parse_literal(text: &str) -> Option<Value> {
    if !may_start_literal(text) {
        return None;
    }
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0, depth: 0 };
    parser.skip_leading_lines()?;
    let value = parser.sequence_or_item()?;
    parser.expect_end()?;
    Some(value)
}

/// Tells cheaply that a text cannot be a literal, which is true of nearly all names.
fn may_start_literal(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some(&first) = bytes.first() else { return false };
    match first {
        b'0'..=b'9' | b'.' | b'+' | b'-' | b'\'' | b'"' | b'[' | b'(' | b'{' => true,
        b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' | b'#' => true,
        b'T' => text.starts_with("True"),
        b'F' => text.starts_with("False"),
        b'N' => text.starts_with("None"),
        b's' => text.starts_with("set"),
        b'r' | b'R' | b'u' | b'U' => matches!(bytes.get(1), Some(b'\'' | b'"')),
        _ => false,
    }
}

/// One parsed item: the value, and whether Python could hash it.
struct Item {
    value: Value,
    kind: ItemKind,
}

/// The part of a value's Python type that matters once it is JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ItemKind {
    /// A number: the only thing that takes a sign.
    Number,
    /// Text, `None` or a bool: can be a key.
    Scalar,
    /// A tuple of hashable items: can be in a set.
    Tuple,
    /// A list, dict, set, or a tuple that holds one: cannot be a key nor in a set.
    Unhashable,
}

struct Parser<'text> {
    text: &'text str,
    bytes: &'text [u8],
    at: usize,
    /// Number of open brackets: within any, line breaks are blanks.
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += 1;
        }
        found
    }

    fn skip_comment(&mut self) {
        while let Some(byte) = self.peek() {
            if byte == b'\n' || byte == b'\r' {
                break;
            }
            self.at += 1;
        }
    }

    /// Skips blank and comment lines; a first real line that is indented is a syntax error in Python.
    fn skip_leading_lines(&mut self) -> Option<()> {
        loop {
            let mut indented = false;
            while let Some(byte) = self.peek() {
                match byte {
                    b' ' | b'\t' => indented = true,
                    b'\x0c' => indented = false,
                    _ => break,
                }
                self.at += 1;
            }
            if self.peek() == Some(b'#') {
                self.skip_comment();
            }
            match self.peek()? {
                b'\n' | b'\r' => self.at += 1,
                _ if indented => return None,
                _ => return Some(()),
            }
        }
    }

    fn skip_blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\x0c' => self.at += 1,
                b'\n' | b'\r' if self.depth > 0 => self.at += 1,
                b'#' => self.skip_comment(),
                _ => break,
            }
        }
    }

    fn expect_end(&mut self) -> Option<()> {
        self.skip_blanks();
        let rest = self.text.get(self.at..)?;
        // From here on line breaks are blanks too, as only empty lines and comments may follow.
        self.depth = 1;
        self.skip_blanks();
        // A last line of nothing but blanks is a syntax error in Python unless a line break ends it.
        let last_line = rest.rsplit(['\n', '\r']).next()?;
        let ends_well = last_line.len() == rest.len() || last_line.is_empty() || last_line.contains('#');
        (self.at == self.bytes.len() && ends_well).then_some(())
    }

    /// Parses the top level: `1` is a number and `1, 2` a tuple.
    fn sequence_or_item(&mut self) -> Option<Value> {
        let first = self.item()?;
        self.skip_blanks();
        if self.peek() != Some(b',') {
            return Some(first.value);
        }
        let mut values = vec![first.value];
        while self.take(b',') {
            self.skip_blanks();
            if matches!(self.peek(), None | Some(b'\n' | b'\r')) {
                break;
            }
            values.push(self.item()?.value);
            self.skip_blanks();
        }
        Some(Value::Array(values))
    }

    fn item(&mut self) -> Option<Item> {
        self.skip_blanks();
        match self.peek()? {
            sign @ (b'+' | b'-') => {
                self.at += 1;
                self.skip_blanks();
                self.signed_number(sign == b'-')
            }
            b'0'..=b'9' | b'.' => {
                let value = self.number(false)?;
                Some(Item { value, kind: ItemKind::Number })
            }
            b'[' => self.bracketed(|parser| {
                let items = parser.items(b']')?;
                Some(Item { value: list_of(items.0), kind: ItemKind::Unhashable })
            }),
            b'(' => self.bracketed(Self::parenthesised),
            b'{' => self.bracketed(Self::dict_or_set),
            _ => self.word_or_text(),
        }
    }

    /// Parses what follows a sign: a number, which may stand in parentheses but not have another sign.
    fn signed_number(&mut self, negative: bool) -> Option<Item> {
        match self.peek()? {
            b'0'..=b'9' | b'.' => {
                let value = self.number(negative)?;
                // The result of a sign takes no second sign; a scalar is all else that a number is.
                Some(Item { value, kind: ItemKind::Scalar })
            }
            b'(' => self.bracketed(|parser| {
                parser.skip_blanks();
                let item = parser.signed_number(negative)?;
                parser.skip_blanks();
                parser.take(b')').then_some(item)
            }),
            _ => None,
        }
    }

    fn bracketed(&mut self, inner: impl FnOnce(&mut Self) -> Option<Item>) -> Option<Item> {
        if self.depth >= NESTING_MAX {
            return None;
        }
        self.at += 1;
        self.depth += 1;
        let item = inner(self)?;
        self.depth -= 1;
        Some(item)
    }

    /// Items up to the closing bracket, and whether a comma was among them.
    fn items(&mut self, close: u8) -> Option<(Vec<Item>, bool)> {
        let mut items = Vec::new();
        let mut comma = false;
        loop {
            self.skip_blanks();
            if self.take(close) {
                return Some((items, comma));
            }
            if !items.is_empty() && !comma {
                return None;
            }
            items.push(self.item()?);
            self.skip_blanks();
            if self.take(b',') {
                comma = true;
            } else {
                self.skip_blanks();
                return self.take(close).then_some((items, comma));
            }
        }
    }

    fn parenthesised(&mut self) -> Option<Item> {
        let (mut items, comma) = self.items(b')')?;
        if items.len() == 1 && !comma {
            return items.pop();
        }
        let hashable = items.iter().all(|item| item.kind != ItemKind::Unhashable);
        let kind = if hashable { ItemKind::Tuple } else { ItemKind::Unhashable };
        Some(Item { value: list_of(items), kind })
    }

    fn dict_or_set(&mut self) -> Option<Item> {
        self.skip_blanks();
        if self.take(b'}') {
            return Some(Item { value: Value::Object(Map::new()), kind: ItemKind::Unhashable });
        }
        let first = self.item()?;
        self.skip_blanks();
        let value = if self.peek() == Some(b':') { self.dict_from(first)? } else { self.set_from(first)? };
        Some(Item { value, kind: ItemKind::Unhashable })
    }

    fn dict_from(&mut self, first: Item) -> Option<Value> {
        let mut map = Map::new();
        let mut key = first;
        loop {
            let name = key_text(&key)?;
            self.skip_blanks();
            if !self.take(b':') {
                return None;
            }
            let item = self.item()?;
            map.insert(name, item.value);
            self.skip_blanks();
            let comma = self.take(b',');
            self.skip_blanks();
            if self.take(b'}') {
                return Some(Value::Object(map));
            }
            if !comma {
                return None;
            }
            key = self.item()?;
        }
    }

    fn set_from(&mut self, first: Item) -> Option<Value> {
        let mut items = vec![first];
        self.skip_blanks();
        if self.take(b',') {
            items.extend(self.items(b'}')?.0);
        } else if !self.take(b'}') {
            return None;
        }
        let mut values: Vec<Value> = Vec::with_capacity(items.len());
        for item in items {
            if item.kind == ItemKind::Unhashable {
                return None;
            }
            if !values.iter().any(|known| super::equal(known, &item.value)) {
                values.push(item.value);
            }
        }
        Some(Value::Array(values))
    }

    /// Parses a number without its sign; the sign is applied before the range is checked.
    fn number(&mut self, negative: bool) -> Option<Value> {
        if self.peek() == Some(b'0') {
            let radix = match self.peek_at(1).map(|byte| byte.to_ascii_lowercase()) {
                Some(b'x') => 16,
                Some(b'o') => 8,
                Some(b'b') => 2,
                _ => 10,
            };
            if radix != 10 {
                self.at += 2;
                // Python allows one underscore right after the prefix.
                self.take(b'_');
                let digits = self.digits(radix)?;
                return integer(&in_decimal(&digits, radix)?, negative);
            }
        }
        let start = self.at;
        let whole = if self.peek() == Some(b'.') { String::new() } else { self.digits(10)? };
        let mut text = whole.clone();
        let mut is_float = false;
        if self.take(b'.') {
            is_float = true;
            text.push('.');
            if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                text.push_str(&self.digits(10)?);
            } else if whole.is_empty() {
                return None;
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.peek_at(1), Some(b'+' | b'-')));
            if !self.peek_at(1 + sign).is_some_and(|byte| byte.is_ascii_digit()) {
                return None;
            }
            is_float = true;
            text.push('e');
            if sign == 1 && self.peek_at(1) == Some(b'-') {
                text.push('-');
            }
            self.at += 1 + sign;
            text.push_str(&self.digits(10)?);
        }
        if matches!(self.peek(), Some(b'j' | b'J')) {
            return None;
        }
        if is_float {
            let number: f64 = text.parse().ok()?;
            return Number::from_f64(if negative { -number } else { number }).map(Value::Number);
        }
        // `00` is zero and `007` a syntax error: the leading zeros of a name such as `00123` are safe.
        if self.bytes.get(start) == Some(&b'0') && whole.bytes().any(|byte| byte != b'0') {
            return None;
        }
        integer(&whole, negative)
    }

    /// Returns digits with single underscores between them, returned without these.
    fn digits(&mut self, radix: u32) -> Option<String> {
        let mut digits = String::new();
        loop {
            match self.peek() {
                Some(byte) if char::from(byte).is_digit(radix) => {
                    digits.push(char::from(byte));
                    self.at += 1;
                }
                Some(b'_') if !digits.is_empty() && self.peek_at(1).is_some_and(|byte| char::from(byte).is_digit(radix)) => {
                    self.at += 1;
                }
                _ => return (!digits.is_empty()).then_some(digits),
            }
        }
    }

    fn word_or_text(&mut self) -> Option<Item> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            self.at += 1;
        }
        let word = self.text.get(start..self.at)?;
        if matches!(self.peek(), Some(b'\'' | b'"')) {
            self.at = start;
            return self.texts();
        }
        let value = match word {
            "None" => Value::Null,
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            "set" => {
                // `set()` is how Python writes the empty set, and the one call that a literal may hold.
                self.skip_blanks();
                return self.bracketed_call();
            }
            _ => return None,
        };
        Some(Item { value, kind: ItemKind::Scalar })
    }

    fn bracketed_call(&mut self) -> Option<Item> {
        if !self.take(b'(') {
            return None;
        }
        self.depth += 1;
        self.skip_blanks();
        self.depth -= 1;
        self.take(b')').then_some(Item { value: Value::Array(Vec::new()), kind: ItemKind::Unhashable })
    }

    /// Parses one or more text literals, which Python joins.
    fn texts(&mut self) -> Option<Item> {
        let mut joined = String::new();
        loop {
            self.text_literal(&mut joined)?;
            self.skip_blanks();
            match self.peek() {
                Some(b'\'' | b'"') => {}
                Some(byte) if byte.is_ascii_alphabetic() => {}
                _ => break,
            }
        }
        Some(Item { value: Value::String(joined), kind: ItemKind::Scalar })
    }

    fn text_literal(&mut self, joined: &mut String) -> Option<()> {
        let mut raw = false;
        match self.peek()? {
            b'r' | b'R' => {
                raw = true;
                self.at += 1;
            }
            b'u' | b'U' => self.at += 1,
            _ => {}
        }
        let quote = self.peek()?;
        if quote != b'\'' && quote != b'"' {
            // Bytes and f-strings: the first have no JSON form, the second are not literals.
            return None;
        }
        let triple = self.peek_at(1) == Some(quote) && self.peek_at(2) == Some(quote);
        self.at += if triple { 3 } else { 1 };
        loop {
            let rest = self.text.get(self.at..)?;
            let character = rest.chars().next()?;
            match character {
                _ if character == char::from(quote) => {
                    if !triple {
                        self.at += 1;
                        return Some(());
                    }
                    if self.peek_at(1) == Some(quote) && self.peek_at(2) == Some(quote) {
                        self.at += 3;
                        return Some(());
                    }
                    joined.push(character);
                    self.at += 1;
                }
                '\0' => return None,
                '\r' | '\n' if !triple => return None,
                '\r' => {
                    // Python reads every line ending as `\n`.
                    self.at += if self.peek_at(1) == Some(b'\n') { 2 } else { 1 };
                    joined.push('\n');
                }
                '\\' if raw => {
                    // The quote after a backslash does not end a raw text, and both stay in it.
                    joined.push('\\');
                    self.at += 1;
                    let next = self.text.get(self.at..)?.chars().next()?;
                    if next == '\r' {
                        continue;
                    }
                    if next == '\n' && !triple {
                        return None;
                    }
                    joined.push(next);
                    self.at += next.len_utf8();
                }
                '\\' => self.escape(joined)?,
                _ => {
                    joined.push(character);
                    self.at += character.len_utf8();
                }
            }
        }
    }

    fn escape(&mut self, joined: &mut String) -> Option<()> {
        self.at += 1;
        let character = self.text.get(self.at..)?.chars().next()?;
        self.at += character.len_utf8();
        let plain = match character {
            '\n' => return Some(()),
            '\r' => {
                self.take(b'\n');
                return Some(());
            }
            '\\' | '\'' | '"' => character,
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '0'..='7' => {
                let mut code = character.to_digit(8)?;
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(8)) else { break };
                    code = code * 8 + digit;
                    self.at += 1;
                }
                char::from_u32(code)?
            }
            'x' => self.hexadecimal(2)?,
            'u' => self.hexadecimal(4)?,
            'U' => self.hexadecimal(8)?,
            // Names of characters need Unicode's list of them.
            'N' => return None,
            _ => {
                joined.push('\\');
                character
            }
        };
        joined.push(plain);
        Some(())
    }

    fn hexadecimal(&mut self, length: usize) -> Option<char> {
        let digits = self.text.get(self.at..self.at + length)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += length;
        char::from_u32(u32::from_str_radix(digits, 16).ok()?)
    }
}

fn list_of(items: Vec<Item>) -> Value {
    Value::Array(items.into_iter().map(|item| item.value).collect())
}

/// The digits of the longest whole number that Python reads from a text.
const DIGITS_MAX: usize = 4300;

fn integer(digits: &str, negative: bool) -> Option<Value> {
    let digits = digits.trim_start_matches('0');
    match digits.len() {
        0 => Some(Value::from(0)),
        1..=DIGITS_MAX if negative => format!("-{digits}").parse().ok().map(Value::Number),
        1..=DIGITS_MAX => digits.parse().ok().map(Value::Number),
        _ => None,
    }
}

/// Returns the decimal digits of a number with another radix.
fn in_decimal(digits: &str, radix: u32) -> Option<String> {
    if let Ok(small) = u128::from_str_radix(digits, radix) {
        return Some(small.to_string());
    }
    const PART: u64 = 1_000_000_000;
    if digits.len() > DIGITS_MAX {
        return None;
    }
    // The number in parts of nine digits, the last ones first.
    let mut parts: Vec<u64> = Vec::new();
    for digit in digits.chars() {
        let mut carry = u64::from(digit.to_digit(radix)?);
        for part in &mut parts {
            let value = *part * u64::from(radix) + carry;
            (*part, carry) = (value % PART, value / PART);
        }
        if carry > 0 {
            parts.push(carry);
        }
    }
    Some(parts.iter().rev().map(|part| format!("{part:09}")).collect())
}

/// Returns a dict's key as JSON writes it: text as it is, else what Python's `str` says.
fn key_text(item: &Item) -> Option<String> {
    match (&item.value, item.kind) {
        (_, ItemKind::Unhashable | ItemKind::Tuple) => None,
        (Value::String(text), _) => Some(text.clone()),
        (value, _) => Some(scalar_text(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn big(digits: &str) -> Value {
        Value::Number(digits.parse().unwrap())
    }

    #[test]
    fn literals_are_read_as_python_reads_them() {
        for (text, value) in [
            ("123", json!(123)),
            ("-5", json!(-5)),
            ("+ 5", json!(5)),
            ("-(5)", json!(-5)),
            ("1e5", json!(100000.0)),
            ("1_0", json!(10)),
            ("0x1F", json!(31)),
            ("0b_101", json!(5)),
            ("0o17", json!(15)),
            ("00", json!(0)),
            ("007.5", json!(7.5)),
            (".5", json!(0.5)),
            ("1.", json!(1.0)),
            ("True", json!(true)),
            ("None", json!(null)),
            ("'x'", json!("x")),
            ("'a' \"b\"", json!("ab")),
            ("'''a\nb'''", json!("a\nb")),
            ("r'\\d'", json!("\\d")),
            ("'\\x41\\u0042\\103\\q'", json!("ABC\\q")),
            ("(1)", json!(1)),
            ("(1,)", json!([1])),
            ("1,2", json!([1, 2])),
            ("()", json!([])),
            ("[1, 'a', None,]", json!([1, "a", null])),
            ("{1, 2, 1.0}", json!([1, 2])),
            ("{1: 'a', 'b': [True]}", json!({"1": "a", "b": [true]})),
            ("set()", json!([])),
            ("[1,\n 2] # two", json!([1, 2])),
            ("\n1 \n", json!(1)),
            ("18446744073709551615", json!(18446744073709551615u64)),
            ("18446744073709551616", big("18446744073709551616")),
            ("-0000", json!(0)),
            ("0xffffffffffffffffffffffffffffffffff", big("87112285931760246646623899502532662132735")),
            ("-0b1", json!(-1)),
        ] {
            assert_eq!(parse_literal(text), Some(value), "{text}");
        }
    }

    #[test]
    fn names_and_addresses_stay_text() {
        for text in [
            "",
            " 1",
            "00123",
            "10.0.0.0",
            "1-2",
            "1 2",
            "--1",
            "-True",
            "1__0",
            "1_",
            "0x",
            "abc",
            "Truely",
            "None1",
            "[1,2",
            "[,]",
            "1+2j",
            "3j",
            "b'x'",
            "f'x'",
            "'a",
            "{[1]}",
            "{[1]: 2}",
            "1e",
            "1e999",
            "#",
            "\n",
            "\n 1",
            "'\\ud800'",
            "'\\x4'",
            "'a'b",
            "1;",
            "...",
            "1\n2",
            "set(1)",
            "-'a'",
            "{**1}",
            "'a' b'c'",
            "1\n ",
            "(1 2)",
            "{1:2 3:4}",
            "[1 2]",
            "{1 2}",
            "_1",
            "é",
        ] {
            assert_eq!(parse_literal(text), None, "{text}");
        }
    }
}
