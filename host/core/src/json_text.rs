//! Canonical JSON from JSON text, in one pass and without a tree of its values.
//!
//! A tree takes up to 145 times the memory of its text (`{"":0},{"":0},…`), and the text comes from a server or an adapter. Here, an object
//! takes 8 bytes for each of its keys beside its text, and 12 more while its keys are sorted.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::value::{json_string, write_float, write_int};

/// A key of an object that is being written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeySpan {
    /// The start of the key, counted from the start of its object.
    start: u32,
    /// The end of the key, quotation marks included.
    end: u32,
}

/// Writes a value as [`canonical_json`](crate::value::canonical_json) would write its tree.
pub(crate) struct Canonical<'o> {
    pub(crate) out: &'o mut String,
    pub(crate) keys: &'o mut Vec<KeySpan>,
}

/// Writes the canonical form of a JSON text.
pub(crate) fn canonical_text(text: &str, out: &mut String, keys: &mut Vec<KeySpan>) -> serde_json::Result<()> {
    Canonical { out, keys }.deserialize(&mut serde_json::Deserializer::from_str(text))
}

impl<'de> DeserializeSeed<'de> for Canonical<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Canonical<'_> {
    type Value = ();
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.push_str("null");
        Ok(())
    }
    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.out.push_str(if value { "true" } else { "false" });
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        write_int(value.into(), self.out);
        Ok(())
    }
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        write_int(value.into(), self.out);
        Ok(())
    }
    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        write_float(value, self.out);
        Ok(())
    }
    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        json_string(value, self.out);
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.out.push('[');
        let mut is_first = true;
        loop {
            let end = self.out.len();
            if !is_first {
                self.out.push(',');
            }
            if seq.next_element_seed(Canonical { out: self.out, keys: self.keys })?.is_none() {
                self.out.truncate(end);
                break;
            }
            is_first = false;
        }
        self.out.push(']');
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut object = ObjectText::begin(self.out, self.keys);
        while map.next_key_seed(NextKey(&mut object, self.out, self.keys))?.is_some() {
            map.next_value_seed(Canonical { out: self.out, keys: self.keys })?;
        }
        object.end(self.out, self.keys);
        Ok(())
    }
}

/// Writes a key as it is read.
struct NextKey<'o>(&'o mut ObjectText, &'o mut String, &'o mut Vec<KeySpan>);

impl<'de> DeserializeSeed<'de> for NextKey<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NextKey<'_> {
    type Value = ();
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<(), E> {
        self.0.key(key, self.1, self.2);
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
            r#"[[],{},"",0,-0.0,1e3,1E-7,18446744073709551616]"#,
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

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            any::<i64>().prop_map(|value| value.to_string()),
            any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(|value| format!("{value:?}")),
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
