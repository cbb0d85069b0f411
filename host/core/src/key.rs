//! Natural keys: the identifier values of an object as one text that sorts, compares and hashes as a whole.
//!
//! ```text
//! key   = part*            one part an identifier, in the model's order
//! part  = type payload \0  type: 0 null, 1 false, 2 true, 3 integer, 4 float, 5 text, 6 JSON
//!       | 7 key \2         a peer's key
//!       | 8 kind \0 key \2  a peer's kind and key, where the identifier may refer to several kinds
//! ```
//! In a payload `\0` and `\1` are written `\1\1` and `\1\2`, so that `\0` ends a part and nothing else; where a part may begin, `\2` ends the
//! peer's key. So a key is as long as what it names, however deep keys nest. Null and the text `None` differ, and `a__b` + `c` is
//! not `a` + `b__c`. Whole numbers carry their length in front and so sort as numbers; 1.0 is the number 1, as in [`ValueColumn::same`].

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::number;
use crate::records::NUMBER;
use crate::value::{Tag, ValueColumn, json_string, write_value_json};

/// The keys of a kind's rows, end to end.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    ends: Vec<u32>,
    text: String,
}

impl Keys {
    /// Returns the number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Key `row`; empty behind the end.
    #[must_use]
    #[inline]
    pub fn get(&self, row: usize) -> &str {
        let start = if row == 0 { 0 } else { self.ends.get(row - 1).copied().unwrap_or(0) };
        self.text.get(start as usize..self.ends.get(row).copied().unwrap_or(start) as usize).unwrap_or("")
    }

    /// Adds a key.
    ///
    /// # Panics
    /// When the keys of one kind are larger than 4 GiB.
    pub fn push(&mut self, key: &str) {
        self.text.push_str(key);
        #[allow(clippy::expect_used)] // no caller could continue: row numbers and key offsets are 32 bits by design
        self.ends.push(u32::try_from(self.text.len()).expect("keys of one kind below 4 GiB"));
    }

    /// Returns the keys of the rows named.
    #[must_use]
    pub fn gather(&self, rows: &[u32]) -> Keys {
        let mut out = Keys { ends: Vec::with_capacity(rows.len()), text: String::with_capacity(self.text.len()) };
        rows.iter().for_each(|row| out.push(self.get(*row as usize)));
        out
    }
}

/// Adds one part of a key.
pub fn push_part(tag: Tag, text: &str, key: &mut String) {
    let (tag, text) = match number::plain_whole(text) {
        Some(whole) if tag == Tag::Float => (Tag::Int, whole),
        _ => (tag, text),
    };
    match tag {
        Tag::Null | Tag::Missing | Tag::Unresolved => key.push('0'),
        Tag::False => key.push('1'),
        Tag::True => key.push('2'),
        Tag::Int => {
            key.push('3');
            // One byte in any case, and behind `-`: longer numbers have no order.
            let digits = u8::try_from(text.len()).map_or(60, |digits| digits.min(60));
            key.push(if text.starts_with('-') { '-' } else { (b'A' + digits) as char });
            escape(text, key);
        }
        Tag::Float => {
            key.push('4');
            escape(text, key);
        }
        Tag::Text => {
            key.push('5');
            escape(text, key);
        }
        Tag::Json | Tag::Id | Tag::Ids => {
            key.push('6');
            escape(text, key);
        }
    }
    key.push('\0');
}

/// Adds a peer's key as one part, with its kind where the identifier may refer to several.
pub fn push_peer_part(kind: Option<&str>, peer: &str, key: &mut String) {
    open_peer(kind, key);
    key.push_str(peer);
    key.push('\u{2}');
}

/// Begins the part of a peer.
fn open_peer(kind: Option<&str>, key: &mut String) {
    match kind {
        None => key.push('7'),
        Some(kind) => {
            key.push('8');
            escape(kind, key);
            key.push('\0');
        }
    }
}

fn escape(text: &str, out: &mut String) {
    if !text.bytes().any(|byte| byte < 2) {
        return out.push_str(text);
    }
    for character in text.chars() {
        match character {
            '\0' => out.push_str("\u{1}\u{1}"),
            '\u{1}' => out.push_str("\u{1}\u{2}"),
            other => out.push(other),
        }
    }
}

fn unescape(text: &str) -> Cow<'_, str> {
    if text.contains('\u{1}') { text.replace("\u{1}\u{1}", "\0").replace("\u{1}\u{2}", "\u{1}").into() } else { text.into() }
}

/// A part of a key, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'k> {
    /// A plain value.
    Value(Tag, Cow<'k, str>),
    /// A peer.
    Peer {
        /// Its kind, where the identifier may refer to several.
        kind: Option<Cow<'k, str>>,
        /// Its key.
        key: &'k str,
    },
}

/// Returns the parts of a key.
pub fn parts(key: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = key;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, after) = rest.split_at_checked(part_len(rest)).unwrap_or((rest, ""));
        rest = after;
        let inner = part.get(1..part.len().saturating_sub(1)).unwrap_or("");
        Some(match part.as_bytes().first() {
            Some(b'1') => Part::Value(Tag::False, "".into()),
            Some(b'2') => Part::Value(Tag::True, "".into()),
            Some(b'3') => Part::Value(Tag::Int, unescape(inner.get(1..).unwrap_or(""))),
            Some(b'4') => Part::Value(Tag::Float, unescape(inner)),
            Some(b'5') => Part::Value(Tag::Text, unescape(inner)),
            Some(b'6') => Part::Value(Tag::Json, unescape(inner)),
            Some(b'7') => Part::Peer { kind: None, key: inner },
            Some(b'8') => {
                let (kind, key) = inner.split_once('\0').unwrap_or((inner, ""));
                Part::Peer { kind: Some(unescape(kind)), key }
            }
            _ => Part::Value(Tag::Null, "".into()),
        })
    })
}

/// Returns the bytes of a key's first part, its end included.
fn part_len(key: &str) -> usize {
    let bytes = key.as_bytes();
    let (mut at, mut depth) = (0, 0usize);
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'7') => {
                depth += 1;
                at += 1;
                continue;
            }
            Some(b'8') => {
                depth += 1;
                at += to_end(bytes, at);
                continue;
            }
            Some(2) => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            Some(_) => at += to_end(bytes, at),
        }
        if depth == 0 {
            return at;
        }
    }
}

/// Returns the bytes from `at` to the next `\0`, which is counted.
fn to_end(bytes: &[u8], at: usize) -> usize {
    bytes.iter().skip(at).position(|byte| *byte == 0).map_or(bytes.len() - at, |end| end + 1)
}

/// Returns how deeply peers' keys are nested in a key.
#[must_use]
pub fn depth(key: &str) -> usize {
    let bytes = key.as_bytes();
    let (mut at, mut depth, mut deepest) = (0, 0usize, 0usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'7' | b'8' => {
                depth += 1;
                deepest = deepest.max(depth);
                at += if *byte == b'7' { 1 } else { to_end(bytes, at) };
            }
            2 => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ => at += to_end(bytes, at),
        }
    }
    deepest
}

/// Returns whether every part is null: such a key tells nothing apart.
#[must_use]
pub fn is_blank(key: &str) -> bool {
    parts(key).all(|part| matches!(part, Part::Value(Tag::Null, _)))
}

/// Writes the unique id: the parts joined with `__` as Python's `str` writes them.
pub fn write_unique_id(key: &str, out: &mut String) {
    for (at, part) in parts(key).enumerate() {
        if at > 0 {
            out.push_str("__");
        }
        match part {
            Part::Value(tag, text) => write_python_str(tag, &text, out),
            Part::Peer { key, .. } => write_unique_id(key, out),
        }
    }
}

/// Returns the unique id as a text of its own.
#[must_use]
pub fn unique_id(key: &str) -> String {
    let mut out = String::new();
    write_unique_id(key, &mut out);
    out
}

/// Writes a value as Python's `str` does.
pub(crate) fn write_python_str(tag: Tag, text: &str, out: &mut String) {
    match tag {
        Tag::Null | Tag::Missing | Tag::Unresolved => out.push_str("None"),
        Tag::False => out.push_str("False"),
        Tag::True => out.push_str("True"),
        _ => out.push_str(text),
    }
}

/// Writes the key as a JSON array, a peer as its own array, or as `{"kind": …, "key": […]}` where the identifier may refer to several kinds. The
/// form is readable and lossless.
pub fn write_key_json(key: &str, out: &mut String) {
    out.push('[');
    for (at, part) in parts(key).enumerate() {
        if at > 0 {
            out.push(',');
        }
        match part {
            Part::Value(Tag::Json, text) => {
                // A list in a key is wrapped in an object, so that it is not read as a peer.
                out.push_str("{\"json\":");
                json_string(&text, out);
                out.push('}');
            }
            Part::Value(Tag::Float, text) if text.contains(['e', 'E']) => {
                // A JSON parser gives an exponent back in another spelling.
                out.push_str("{\"number\":");
                json_string(&text, out);
                out.push('}');
            }
            Part::Value(tag, text) => write_value_json(tag, &text, out),
            Part::Peer { kind: None, key } => write_key_json(key, out),
            Part::Peer { kind: Some(kind), key } => {
                // Read back in one pass, so the kind comes first.
                out.push_str("{\"kind\":");
                json_string(&kind, out);
                out.push_str(",\"key\":");
                write_key_json(key, out);
                out.push('}');
            }
        }
    }
    out.push(']');
}

/// Returns the key as a JSON array, as a text of its own.
#[must_use]
pub fn key_json(key: &str) -> String {
    let mut out = String::new();
    write_key_json(key, &mut out);
    out
}

/// Adds a key, given as the text of its JSON array. None where it is not one; something may have been added then.
#[must_use]
pub fn write_key_from_json(text: &str, key: &mut String) -> Option<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    Parts { key }.deserialize(&mut reader).ok()?;
    reader.end().ok()
}

/// Reads the parts of a key straight from JSON: a snapshot has as many keys as rows.
struct Parts<'k> {
    key: &'k mut String,
}

impl<'de> DeserializeSeed<'de> for Parts<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Parts<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the list of a key's parts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<(), A::Error> {
        while parts.next_element_seed(OnePart { key: self.key })?.is_some() {}
        Ok(())
    }
}

struct OnePart<'k> {
    key: &'k mut String,
}

impl OnePart<'_> {
    fn number(&mut self, text: &str) {
        let mut column = ValueColumn::default();
        column.push_number_text(text);
        push_part(column.tag(0), column.text(0), self.key);
    }
}

impl<'de> DeserializeSeed<'de> for OnePart<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OnePart<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part of a key")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        push_part(Tag::Null, "", self.key);
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        push_part(if value { Tag::True } else { Tag::False }, "", self.key);
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(mut self, value: i64) -> Result<(), E> {
        self.number(&value.to_string());
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(mut self, value: u64) -> Result<(), E> {
        self.number(&value.to_string());
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        push_part(Tag::Text, value, self.key);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<(), A::Error> {
        self.key.push('7');
        while parts.next_element_seed(OnePart { key: self.key })?.is_some() {}
        self.key.push('\u{2}');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        let wrong = || serde::de::Error::custom("an object that is not a part of a key");
        match object.next_key::<Cow<'de, str>>()?.as_deref() {
            Some(NUMBER) => {
                let text = object.next_value::<Cow<'de, str>>()?;
                self.number(&text);
                return Ok(());
            }
            Some("number") => self.number(&object.next_value::<Cow<'de, str>>()?),
            Some("json") => push_part(Tag::Json, &object.next_value::<Cow<'de, str>>()?, self.key),
            Some("kind") => {
                open_peer(Some(&object.next_value::<Cow<'de, str>>()?), self.key);
                if object.next_key::<Cow<'de, str>>()?.as_deref() != Some("key") {
                    return Err(wrong());
                }
                object.next_value_seed(Parts { key: self.key })?;
                self.key.push('\u{2}');
            }
            _ => return Err(wrong()),
        }
        if object.next_key::<Cow<'de, str>>()?.is_some() { Err(wrong()) } else { Ok(()) }
    }
}

/// Reads a key back from its JSON array.
#[must_use]
pub fn key_from_json(value: &Value) -> Option<String> {
    let mut key = String::new();
    let mut scratch = ValueColumn::default();
    for part in value.as_array()? {
        match part {
            Value::Array(_) => push_peer_part(None, &key_from_json(part)?, &mut key),
            Value::Object(object) => match object.get("kind") {
                Some(kind) => push_peer_part(Some(kind.as_str()?), &key_from_json(object.get("key")?)?, &mut key),
                None => match object.get("number") {
                    Some(number) => push_part(Tag::Float, number.as_str()?, &mut key),
                    None => push_part(Tag::Json, object.get("json")?.as_str()?, &mut key),
                },
            },
            plain => {
                scratch.push_json(plain);
                let row = scratch.len() - 1;
                push_part(scratch.tag(row), scratch.text(row), &mut key);
            }
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn key(values: &[Value]) -> String {
        let mut column = ValueColumn::default();
        let mut key = String::new();
        for (row, value) in values.iter().enumerate() {
            column.push_json(value);
            push_part(column.tag(row), column.text(row), &mut key);
        }
        key
    }

    #[test]
    fn numbers_keep_their_digits_in_keys() {
        for (text, unique) in
            [("18446744073709551616", "18446744073709551616"), ("1.10", "1.10"), ("1234E5", "1234E5"), ("1.0", "1"), ("-0.0", "0")]
        {
            let mut column = ValueColumn::default();
            column.push_number_text(text);
            let mut key = String::new();
            push_part(column.tag(0), column.text(0), &mut key);
            assert_eq!(unique_id(&key), unique);
            let (json, mut read) = (key_json(&key), String::new());
            assert!(write_key_from_json(&json, &mut read).is_some(), "{json}");
            assert_eq!(read, key);
            assert_eq!(key_from_json(&serde_json::from_str(&json).unwrap()).as_deref(), Some(key.as_str()));
        }
    }

    #[test]
    fn null_and_its_word_differ_and_parts_do_not_run_together() {
        assert_ne!(key(&[json!(null)]), key(&[json!("None")]));
        assert_ne!(key(&[json!("a__b"), json!("c")]), key(&[json!("a"), json!("b__c")]));
        assert_eq!(unique_id(&key(&[json!("10.112.0.0/15"), json!(null)])), "10.112.0.0/15__None");
        assert_eq!(unique_id(&key(&[json!(true), json!(201)])), "True__201");
    }

    #[test]
    fn numbers_sort_as_numbers() {
        let mut keys = [json!(10), json!(9), json!(201), json!(0), json!(-4), json!(u64::MAX)].map(|value| key(&[value]));
        keys.sort();
        assert_eq!(keys.map(|key| unique_id(&key)), ["-4", "0", "9", "10", "201", "18446744073709551615"]);
        assert_eq!(key(&[json!(7.0)]), key(&[json!(7)]));
        let mut widest = String::new();
        push_part(Tag::Int, &i128::MAX.to_string(), &mut widest);
        assert_eq!(unique_id(&widest), i128::MAX.to_string());
    }

    #[test]
    fn key_grows_with_its_depth_and_no_faster() {
        let mut nested = key(&[json!("a\0")]);
        for _ in 0..100 {
            let mut outer = key(&[json!("b\u{1}"), json!("\u{2}7")]);
            push_peer_part(None, &nested, &mut outer);
            push_part(Tag::Text, "end", &mut outer);
            assert_eq!(
                parts(&outer).collect::<Vec<_>>()[2..],
                [Part::Peer { kind: None, key: nested.as_str() }, Part::Value(Tag::Text, "end".into())]
            );
            nested = outer;
        }
        assert_eq!(depth(&nested), 100);
        assert!(nested.len() < 2000, "{}", nested.len());
        assert_eq!(key_from_json(&serde_json::from_str(&key_json(&nested)).unwrap()).unwrap(), nested);
        let mut read = String::new();
        assert!(write_key_from_json(&key_json(&nested), &mut read).is_some());
        assert_eq!(read, nested);
    }

    #[test]
    fn key_is_read_from_its_text_as_from_its_value() {
        let all = [
            json!(null),
            json!(true),
            json!(false),
            json!(-7),
            json!(u64::MAX),
            json!(1.5),
            json!(2.0),
            json!("t\n\u{0}"),
            json!([1, "a"]),
            json!({"a": 1}),
        ];
        let mut inner = key(&all);
        push_peer_part(None, &key(&all), &mut inner);
        push_peer_part(Some("A\0kind\u{1}"), &key(&all), &mut inner);
        let mut read = String::new();
        assert!(write_key_from_json(&key_json(&inner), &mut read).is_some());
        assert_eq!(read, inner);
        for wrong in [
            "",
            "{}",
            "[",
            "[1] 2",
            "\"a\"",
            "[{\"x\":\"1\"}]",
            "[{\"json\":1}]",
            "[{\"kind\":\"a\"}]",
            "[{\"key\":[]}]",
            "[{\"kind\":\"a\",\"key\":[],\"more\":1}]",
        ] {
            assert!(write_key_from_json(wrong, &mut String::new()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn peers_nest() {
        let mut outer = key(&[json!("x\0\u{1}y")]);
        push_peer_part(None, &outer.clone(), &mut outer);
        let once_more = outer.clone();
        push_peer_part(None, &once_more, &mut outer);
        assert_eq!(key_from_json(&serde_json::from_str(&key_json(&outer)).unwrap()).unwrap(), outer);
        assert_eq!(parts(&outer).count(), 3);
    }

    #[test]
    fn kind_of_a_peer_is_a_part_of_the_key_and_not_of_the_unique_id() {
        let peer = key(&[json!("7\u{2}"), json!(null)]);
        let of = |kind: Option<&str>| {
            let mut outer = key(&[json!("d1")]);
            push_peer_part(kind, &peer, &mut outer);
            push_part(Tag::Text, "end", &mut outer);
            outer
        };
        let (rack, site) = (of(Some("Rack")), of(Some("Site")));
        assert_ne!(rack, site);
        assert_eq!(unique_id(&rack), unique_id(&site));
        assert_eq!(unique_id(&rack), unique_id(&of(None)));
        assert_eq!(parts(&rack).nth(1), Some(Part::Peer { kind: Some("Rack".into()), key: &peer }));
        assert_eq!((parts(&rack).count(), depth(&rack)), (3, 1));
        assert_eq!(key_json(&site), "[\"d1\",{\"kind\":\"Site\",\"key\":[\"7\u{2}\",null]},\"end\"]".replace('\u{2}', "\\u0002"));
        let mut outer = String::new();
        push_peer_part(Some("Device"), &rack, &mut outer);
        push_peer_part(None, &site, &mut outer);
        assert_eq!((parts(&outer).count(), depth(&outer)), (2, 2));
        assert_eq!(key_from_json(&serde_json::from_str(&key_json(&outer)).unwrap()).unwrap(), outer);
    }

    proptest! {
        #[test]
        fn keys_come_back_from_json(texts in prop::collection::vec(prop::option::of(".*"), 1..4), number: i64) {
            let mut values: Vec<Value> = texts.into_iter().map(|text| text.map_or(Value::Null, Value::String)).collect();
            values.push(json!(number));
            let key = key(&values);
            let json = key_json(&key);
            prop_assert_eq!(&key_from_json(&serde_json::from_str(&json).unwrap()).unwrap(), &key);
            let mut read = String::new();
            prop_assert!(write_key_from_json(&json, &mut read).is_some());
            prop_assert_eq!(read, key);
        }
    }
}
