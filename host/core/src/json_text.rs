//! Canonical JSON from JSON text, in one pass and without a tree of its values.
//!
//! A tree takes up to 145 times the memory of its text (`{"":0},{"":0},…`), and the text comes from a server or an adapter. Here, an object
//! takes 8 bytes for each of its keys beside its text, and 12 more while its keys are sorted.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::de::Error as _;

use crate::number;
use crate::value::json_string;

/// The deepest nesting, as in `serde_json`: values are written by a function that calls itself.
const DEPTH_MAX: u32 = 127;

/// A key of an object that is being written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeySpan {
    /// The start of the key, counted from the start of its object.
    start: u32,
    /// The end of the key, quotation marks included.
    end: u32,
}

/// Writes the canonical form of one JSON value, as [`canonical_json`](crate::value::canonical_json) would write its tree. The text is known to be JSON.
pub(crate) fn canonical_text(text: &str, out: &mut String, keys: &mut Vec<KeySpan>) -> serde_json::Result<()> {
    Scanner { text, at: 0 }.value(out, keys, DEPTH_MAX)
}

/// Writes a JSON value without blanks, with the keys of its objects in their order. The text is known to be JSON.
pub(crate) fn ordered_text(text: &str, out: &mut String) -> serde_json::Result<()> {
    // What is nested too deeply is an error here, too.
    let start = out.len();
    canonical_text(text, out, &mut Vec::new())?;
    out.truncate(start);
    let mut in_text = false;
    let mut from = 0;
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => in_text = !in_text,
            b'\\' if in_text => at += 1,
            b' ' | b'\t' | b'\n' | b'\r' if !in_text => {
                out.push_str(text.get(from..at).unwrap_or_default());
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    Ok(())
}

/// Returns a JSON string, borrowed unless it has escapes.
pub(crate) fn string(text: &str) -> serde_json::Result<Cow<'_, str>> {
    match text.get(1..text.len().saturating_sub(1)) {
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        _ => serde_json::from_str(text).map(Cow::Owned),
    }
}

/// A text of JSON that is being read.
struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scanner<'t> {
    /// Returns the next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let blanks = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))?;
        self.at += blanks;
        rest.get(blanks).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let is_wanted = self.peek() == Some(wanted);
        self.at += usize::from(is_wanted);
        is_wanted
    }

    /// Returns the string that begins here, with its quotation marks.
    fn string(&mut self) -> &'t str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let bytes = rest.as_bytes();
        let mut end = 1;
        while let Some(byte) = bytes.get(end) {
            match byte {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        let (string, _) = rest.split_at_checked(end + 1).unwrap_or((rest, ""));
        self.at += string.len();
        string
    }

    fn value(&mut self, out: &mut String, keys: &mut Vec<KeySpan>, depth: u32) -> serde_json::Result<()> {
        match self.peek() {
            Some(b'{' | b'[') if depth == 0 => return Err(serde_json::Error::custom("recursion limit exceeded")),
            Some(b'{') => {
                self.at += 1;
                let mut object = ObjectText::begin(out, keys);
                while self.peek() == Some(b'"') {
                    object.key(&string(self.string())?, out, keys);
                    self.take(b':');
                    self.value(out, keys, depth - 1)?;
                    self.take(b',');
                }
                self.take(b'}');
                object.end(out, keys);
            }
            Some(b'[') => {
                self.at += 1;
                out.push('[');
                let mut is_first = true;
                while self.peek().is_some_and(|next| next != b']') {
                    if !std::mem::take(&mut is_first) {
                        out.push(',');
                    }
                    self.value(out, keys, depth - 1)?;
                    self.take(b',');
                }
                self.take(b']');
                out.push(']');
            }
            Some(b'"') => {
                let text = self.string();
                if text.contains('\\') { json_string(&string(text)?, out) } else { out.push_str(text) }
            }
            Some(b'-' | b'0'..=b'9') => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let length = number::number_len(rest.as_bytes());
                number::write(rest.get(..length).unwrap_or_default(), out);
                self.at += length;
            }
            first => {
                let (word, length) = match first {
                    Some(b't') => ("true", 4),
                    Some(b'f') => ("false", 5),
                    Some(b'n') => ("null", 4),
                    _ => return Err(serde_json::Error::custom("expected value")),
                };
                out.push_str(word);
                self.at += length;
            }
        }
        Ok(())
    }
}

/// An object that is being written: its keys in any order, sorted at its end. Of equal keys the last counts.
pub(crate) struct ObjectText {
    /// Where it starts in the text.
    start: usize,
    /// Its first key among the keys of all open objects.
    first: usize,
    is_sorted: bool,
}

impl ObjectText {
    pub(crate) fn begin(out: &mut String, keys: &[KeySpan]) -> ObjectText {
        let start = out.len();
        out.push('{');
        ObjectText { start, first: keys.len(), is_sorted: true }
    }

    /// Writes a key; its value follows.
    pub(crate) fn key(&mut self, key: &str, out: &mut String, keys: &mut Vec<KeySpan>) {
        let last = keys.get(self.first..).and_then(|keys| keys.last()).copied();
        if last.is_some() {
            out.push(',');
        }
        let offset = |at: usize| u32::try_from(at - self.start).unwrap_or(u32::MAX);
        let from = out.len();
        let span = KeySpan { start: offset(from), end: 0 };
        json_string(key, out);
        let span = KeySpan { end: offset(out.len()), ..span };
        match last.map(|last| (last, compare(self.text(last, out), self.text(span, out)))) {
            // The same key again, as in `{"":0,"":0,…`: it replaces the other at once.
            Some((last, Ordering::Equal)) => out.truncate(self.start + last.end as usize),
            before => {
                self.is_sorted &= !matches!(before, Some((_, Ordering::Greater)));
                keys.push(span);
            }
        }
        out.push(':');
    }

    fn text<'t>(&self, span: KeySpan, out: &'t str) -> &'t str {
        out.get(self.start + span.start as usize..self.start + span.end as usize).unwrap_or_default()
    }

    /// Ends the object.
    pub(crate) fn end(self, out: &mut String, keys: &mut Vec<KeySpan>) {
        if !self.is_sorted {
            self.sort(out, keys);
        }
        keys.truncate(self.first);
        out.push('}');
    }

    /// Writes the entries again, in the order of their keys.
    fn sort(&self, out: &mut String, keys: &[KeySpan]) {
        let keys = keys.get(self.first..).unwrap_or_default();
        let length = u32::try_from(out.len() - self.start).unwrap_or(u32::MAX);
        let ends = keys.iter().skip(1).map(|next| next.start.saturating_sub(1)).chain([length]);
        let mut entries: Vec<(KeySpan, u32)> = keys.iter().copied().zip(ends).collect();
        entries.sort_by(|(one, _), (other, _)| compare(self.text(*one, out), self.text(*other, out)));
        let mut sorted = String::with_capacity(length as usize);
        let mut entries = entries.iter().peekable();
        while let Some((key, end)) = entries.next() {
            if entries.peek().is_some_and(|(next, _)| compare(self.text(*key, out), self.text(*next, out)).is_eq()) {
                continue;
            }
            sorted.push(if sorted.is_empty() { '{' } else { ',' });
            sorted.push_str(out.get(self.start + key.start as usize..self.start + *end as usize).unwrap_or_default());
        }
        out.truncate(self.start);
        out.push_str(&sorted);
    }
}

/// Compares two keys that are written as JSON strings.
fn compare(one: &str, other: &str) -> Ordering {
    plain(one).cmp(&plain(other))
}

fn plain(key: &str) -> Cow<'_, str> {
    if key.contains('\\') {
        return serde_json::from_str(key).map_or(Cow::Borrowed(key), Cow::Owned);
    }
    Cow::Borrowed(key.get(1..key.len().saturating_sub(1)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::value::canonical_json;

    fn both(text: &str) -> (String, String) {
        let (mut one, mut keys, mut other) = ("before ".to_owned(), Vec::new(), "before ".to_owned());
        canonical_text(text, &mut one, &mut keys).unwrap();
        assert!(keys.is_empty());
        canonical_json(&serde_json::from_str::<Value>(text).unwrap(), &mut other);
        (one, other)
    }

    #[test]
    fn the_text_is_that_of_the_tree() {
        for text in [
            r#" { "b" : [ 1 , -2.50 , null , true ] , "a" : { "y" : "\u00e9\n" , "x" : 18446744073709551615 } } "#,
            r#"{"a":1,"a":2,"b":3,"a":{"c":1,"b":2}}"#,
            r##"{"\"":1,"#":2,"\\":3,"\u0001":4,"é":5,"!":6,"":7}"##,
            r#"[[],{},"",0,-0.0,-0,1e+3,1e-7,1.10,18446744073709551616,1e+999]"#,
            r#"{"":0,"":1,"":{"":2}}"#,
        ] {
            let (one, other) = both(text);
            assert_eq!(one, other, "{text}");
        }
    }

    #[test]
    fn keys_that_repeat_take_no_room() {
        let text = format!("{{{}\"\":1}}", r#""":0,"#.repeat(1000));
        let (mut out, mut keys) = (String::new(), Vec::new());
        canonical_text(&text, &mut out, &mut keys).unwrap();
        assert_eq!((out.as_str(), keys.capacity() < 10), (r#"{"":1}"#, true));
    }

    #[test]
    fn numbers_keep_their_digits() {
        let text = r#"[18446744073709551616,-0.10,1E5,1e400,123456789012345678901234567890.5]"#;
        assert_eq!(both(text).0, format!("before {text}"));
        assert_eq!(both("[-0.0,-0,-0e1]").0, "before [0.0,0,0e1]");
    }

    #[test]
    fn a_value_that_is_nested_too_deeply_is_an_error() {
        for (depth, fits) in [(127, true), (128, false), (100_000, false)] {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(canonical_text(&text, &mut String::new(), &mut Vec::new()).is_ok(), fits, "{depth}");
        }
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            any::<i64>().prop_map(|value| value.to_string()),
            any::<f64>()
                .prop_filter("finite", |value| value.is_finite())
                .prop_map(|value| format!("{value:?}").replace('e', "e+").replace("e+-", "e-")),
            "[a-c\"\\\\é\n]{0,3}".prop_map(|value| Value::from(value).to_string()),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(" , "))),
                prop::collection::vec(("[a-c\"\\\\!]{0,2}", inner), 0..6).prop_map(|entries| {
                    let entries = entries.into_iter().map(|(key, value)| format!("{}:{value}", Value::from(key)));
                    format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_its_tree(text in json()) {
            let (one, other) = both(&text);
            prop_assert_eq!(one, other);
        }
    }
}
