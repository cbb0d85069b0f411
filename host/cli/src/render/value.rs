//! Field values on a line: read from a plan's JSON without building it, and folded where they are long.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::look::Look;
use crate::escape::{write_escaped, write_quoted};

/// The longest value, in characters, that is shown in full: two values and a field's name fit a wide terminal.
const VALUE_CHARS_MAX: usize = 72;

/// The part of a longer value that is shown.
const FOLDED_CHARS: usize = 48;

/// The context before the first difference of two long texts.
const CONTEXT_CHARS: usize = 12;

/// The fields of `old_value` or `new_value`, in order, with their values as JSON text.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Parses a JSON object. A missing object has no fields.
    pub(crate) fn parse(json: Option<&'a str>) -> Result<Fields<'a>, serde_json::Error> {
        let Some(json) = json else {
            return Ok(Fields::default());
        };
        let mut reader = serde_json::Deserializer::from_str(json);
        let fields = reader.deserialize_map(FieldsVisitor)?;
        reader.end()?;
        Ok(fields)
    }

    /// Returns the value of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Returns the fields in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // Most kinds have fewer fields: one allocation for each row.
        let mut fields = Vec::with_capacity(16);
        while let Some(Name(name)) = map.next_key()? {
            fields.push((name, map.next_value()?));
        }
        Ok(Fields(fields))
    }
}

/// A field's name, borrowed if it contains no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Returns a JSON string's value, if it is a string.
fn as_text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw.get()).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// Returns the items of a JSON list, if it is a list.
fn as_items(raw: &RawValue) -> Option<Vec<&RawValue>> {
    raw.get().starts_with('[').then(|| serde_json::from_str(raw.get()).ok()).flatten()
}

/// Returns whether a text is too long to show in full. It counts characters only if the bytes are too many.
fn is_long(text: &str) -> bool {
    text.len() > VALUE_CHARS_MAX && text.chars().count() > VALUE_CHARS_MAX
}

/// Writes one value.
pub(crate) fn write_value(out: &mut impl Write, raw: &RawValue, look: &Look) -> io::Result<()> {
    let Some(text) = as_text(raw) else {
        return write_other(out, raw, look);
    };
    if look.unfold || !is_long(&text) {
        out.write_all(b"\"")?;
        write_quoted(out, &text)?;
        out.write_all(b"\"")
    } else {
        write_window(out, &text, 0, look)
    }
}

/// Writes a number, truth value, null, list or object.
fn write_other(out: &mut impl Write, raw: &RawValue, look: &Look) -> io::Result<()> {
    let text = raw.get();
    if look.unfold || !is_long(text) {
        return write_escaped(out, text);
    }
    write_escaped(out, head(text, FOLDED_CHARS))?;
    let dim = look.dim;
    match as_items(raw) {
        Some(items) => write!(out, "…{dim} ({} items){dim:#}", items.len()),
        None => write!(out, "…{dim} ({} characters){dim:#}", text.chars().count()),
    }
}

/// Returns the first `chars` characters.
fn head(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// Writes a part of a long text, from character `start`, and the length of the whole.
fn write_window(out: &mut impl Write, text: &str, start: usize, look: &Look) -> io::Result<()> {
    let length = text.chars().count();
    let from = text.get(head(text, start).len()..).unwrap_or_default();
    let shown = head(from, FOLDED_CHARS);
    out.write_all(if start > 0 { "\"…".as_bytes() } else { b"\"" })?;
    write_quoted(out, shown)?;
    out.write_all(if shown.len() < from.len() { "…\"".as_bytes() } else { b"\"" })?;
    let dim = look.dim;
    write!(out, "{dim} ({length} characters){dim:#}")
}

/// Writes `old → new`: long texts around their first difference, and long lists as added and removed items.
pub(crate) fn write_change(out: &mut impl Write, old: Option<&RawValue>, new: Option<&RawValue>, look: &Look) -> io::Result<()> {
    if let (false, Some(old), Some(new)) = (look.unfold, old, new) {
        if let (Some(old), Some(new)) = (as_text(old), as_text(new))
            && (is_long(&old) || is_long(&new))
        {
            let same = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
            let start = if same > FOLDED_CHARS / 2 { same - CONTEXT_CHARS } else { 0 };
            write_window(out, &old, start, look)?;
            write_arrow(out, look)?;
            return write_window(out, &new, start, look);
        }
        if old.get().len() + new.get().len() > VALUE_CHARS_MAX
            && let (Some(old), Some(new)) = (as_items(old), as_items(new))
        {
            return write_items_change(out, &old, &new, look);
        }
    }
    write_side(out, old, look)?;
    write_arrow(out, look)?;
    write_side(out, new, look)
}

fn write_side(out: &mut impl Write, value: Option<&RawValue>, look: &Look) -> io::Result<()> {
    match value {
        Some(value) => write_value(out, value, look),
        // One side does not have the field.
        None => write!(out, "{dim}unset{dim:#}", dim = look.dim),
    }
}

fn write_arrow(out: &mut impl Write, look: &Look) -> io::Result<()> {
    write!(out, " {dim}→{dim:#} ", dim = look.dim)
}

/// Writes the items that were added to a list, those that were removed, and the number of the others.
fn write_items_change(out: &mut impl Write, old: &[&RawValue], new: &[&RawValue], look: &Look) -> io::Result<()> {
    let texts = |items: &[&RawValue]| items.iter().map(|item| item.get().to_owned()).collect::<HashSet<_>>();
    let (before, after) = (texts(old), texts(new));
    let (create, delete, dim) = (look.create, look.delete, look.dim);
    let mut changed = 0_u64;
    for item in new.iter().filter(|item| !before.contains(item.get())) {
        write!(out, "{}{create}+{create:#}", if changed > 0 { " " } else { "" })?;
        write_value(out, item, look)?;
        changed += 1;
    }
    for item in old.iter().filter(|item| !after.contains(item.get())) {
        write!(out, "{}{delete}-{delete:#}", if changed > 0 { " " } else { "" })?;
        write_value(out, item, look)?;
        changed += 1;
    }
    if changed == 0 {
        return write!(out, "{dim}reordered {} items{dim:#}", new.len());
    }
    let same = before.intersection(&after).count();
    write!(out, "{dim} ({same} unchanged){dim:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn value(json: &str, unfold: bool) -> String {
        let mut out = Vec::new();
        write_value(&mut out, &raw(json), &Look::new(false, unfold)).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn change(old: Option<&str>, new: Option<&str>, unfold: bool) -> String {
        let (old, new) = (old.map(raw), new.map(raw));
        let mut out = Vec::new();
        write_change(&mut out, old.as_deref(), new.as_deref(), &Look::new(false, unfold)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn empty_null_and_the_word_null_look_different() {
        assert_eq!(value(r#""""#, false), r#""""#);
        assert_eq!(value("null", false), "null");
        assert_eq!(value(r#""null""#, false), r#""null""#);
        assert_eq!(change(None, Some("null"), false), "unset → null");
    }

    #[test]
    fn an_escape_in_json_is_shown_as_what_it_means() {
        insta::assert_snapshot!(value(r#""Z\u00fcrich \u001b[31m\n \ud83d\ude80""#, false), @r#""Zürich \u{1b}[31m\n 🚀""#);
        insta::assert_snapshot!(value("[\"\u{202e}\", \"a\"]", false), @r#"["\u{202e}", "a"]"#);
    }

    #[test]
    fn a_value_is_folded_from_73_characters_on() {
        let shown = |length: usize| value(&format!("\"{}\"", "é".repeat(length)), false);
        assert_eq!(shown(72).chars().count(), 74);
        insta::assert_snapshot!(shown(73), @r#""éééééééééééééééééééééééééééééééééééééééééééééééé…" (73 characters)"#);
        assert_eq!(value(&format!("\"{}\"", "é".repeat(73)), true).chars().count(), 75);
        insta::assert_snapshot!(value(&format!("[{}1]", "0,".repeat(60)), false), @"[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0… (61 items)");
        insta::assert_snapshot!(value(&format!("{{\"a\":{}1}}", "1".repeat(80)), false), @r#"{"a":1111111111111111111111111111111111111111111… (87 characters)"#);
    }

    #[test]
    fn long_texts_are_cut_where_they_differ() {
        let common = "x".repeat(100);
        insta::assert_snapshot!(change(Some(&format!("\"{common}old\"")), Some(&format!("\"{common}new and more\"")), false), @r#""…xxxxxxxxxxxxold" (103 characters) → "…xxxxxxxxxxxxnew and more" (112 characters)"#);
        insta::assert_snapshot!(change(Some("\"short\""), Some(&format!("\"{common}\"")), false), @r#""short" (5 characters) → "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…" (100 characters)"#);
    }

    #[test]
    fn long_lists_are_shown_as_added_and_removed_items() {
        let old = r#"["alpha","bravo","charlie","delta","echo","foxtrot"]"#;
        let new = r#"["alpha","bravo","charlie","delta","echo","golf","hotel"]"#;
        insta::assert_snapshot!(change(Some(old), Some(new), false), @r#"+"golf" +"hotel" -"foxtrot" (5 unchanged)"#);
        insta::assert_snapshot!(change(Some(old), Some(new), true), @r#"["alpha","bravo","charlie","delta","echo","foxtrot"] → ["alpha","bravo","charlie","delta","echo","golf","hotel"]"#);
        insta::assert_snapshot!(change(Some("[1]"), Some("[2]"), false), @"[1] → [2]");
        insta::assert_snapshot!(change(Some(old), Some(r#"["foxtrot","echo","delta","charlie","bravo","alpha"]"#), false), @"reordered 6 items");
    }
}
