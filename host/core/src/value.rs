//! A column of values as systems send them: each value has a type of its own.
//!
//! ```text
//! tags  [Text, Null, Int, Json]          one byte a value
//! ends  [5,    5,    8,   15  ]          where value i ends in `text`; it begins where the one before ends
//! text  "akron" "201" "[1,\"a\"]"        text as it is, numbers with the digits that were sent, lists and objects as canonical JSON
//! ```
//!
//! Invariants: `tags` and `ends` have one length. `ends` never falls, and each end is a character boundary. A null has no text.
//! So two values of one type with equal texts are equal, and comparing needs no parsing. Only numbers can be equal with other texts.

use std::fmt::Write as _;

use serde_json::Value;

use crate::number;

/// The type of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Tag {
    /// Null.
    Null,
    /// `false`.
    False,
    /// `true`.
    True,
    /// A whole number, in decimal digits.
    Int,
    /// Any other number.
    Float,
    /// Text.
    Text,
    /// A list or an object, as JSON text without blanks and with sorted keys.
    Json,
    /// A peer, by its id in the system that sent it.
    Id,
    /// A set of peers, by their ids, each with a line feed behind it.
    Ids,
    /// A reference that could not be resolved: it is neither compared nor written.
    Unresolved,
    /// Not in the record at all. [`ValueColumn::tag`] calls it null; only a template can tell the difference.
    Missing,
}

/// A column of values of any type.
#[derive(Debug, Clone, Default)]
pub struct ValueColumn {
    tags: Vec<Tag>,
    ends: Vec<u32>,
    text: String,
}

/// A column holds at most 4 GiB of text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a field's values are larger than 4 GiB in all")]
pub struct ColumnTooLarge;

impl ValueColumn {
    /// Returns an empty column with room for `rows` values.
    #[must_use]
    pub fn with_capacity(rows: usize) -> Self {
        ValueColumn { tags: Vec::with_capacity(rows), ends: Vec::with_capacity(rows), text: String::new() }
    }

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tags.len()
    }

    /// Returns whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// Returns the bytes of text held.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Returns the type of value `row`; null where it is missing and behind the end.
    #[must_use]
    #[inline]
    pub fn tag(&self, row: usize) -> Tag {
        match self.tags.get(row) {
            None | Some(Tag::Missing) => Tag::Null,
            Some(tag) => *tag,
        }
    }

    /// Returns whether the record did not have the field at all.
    #[must_use]
    pub fn is_missing(&self, row: usize) -> bool {
        self.tags.get(row) == Some(&Tag::Missing)
    }

    /// Returns the text of value `row`; empty behind the end.
    #[must_use]
    #[inline]
    pub fn text(&self, row: usize) -> &str {
        let start = if row == 0 { 0 } else { self.ends.get(row - 1).copied().unwrap_or(0) };
        let end = self.ends.get(row).copied().unwrap_or(start);
        self.text.get(start as usize..end as usize).unwrap_or("")
    }

    /// Returns whether this number of further bytes fits.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.text.len().checked_add(bytes).is_some_and(|bytes| u32::try_from(bytes).is_ok())
    }

    /// Returns all types, in order.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// Returns the text of all values and where each ends.
    #[must_use]
    pub fn parts(&self) -> (&[u32], &str) {
        (&self.ends, &self.text)
    }

    #[inline]
    fn end(&mut self, tag: Tag) {
        // Pages are capped far below 4 GiB and `append` checks, so saturating can only be reached by a page that is refused.
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        self.tags.push(tag);
    }

    /// Adds a value given as type and text. The caller keeps the type's rule for its text.
    #[inline]
    pub fn push(&mut self, tag: Tag, text: &str) {
        self.text.push_str(text);
        self.end(tag);
    }

    /// Returns the text, so that a value is written directly to its end. [`close`](Self::close) ends the value.
    pub(crate) fn open(&mut self) -> &mut String {
        &mut self.text
    }

    /// Ends a value whose text has been written.
    pub(crate) fn close(&mut self, tag: Tag) {
        self.end(tag);
    }

    /// Adds null.
    #[inline]
    pub fn push_null(&mut self) {
        self.end(Tag::Null);
    }

    /// Adds a truth value.
    #[inline]
    pub fn push_bool(&mut self, value: bool) {
        self.end(if value { Tag::True } else { Tag::False });
    }

    /// Adds a whole number.
    #[inline]
    pub fn push_int(&mut self, value: i128) {
        write_int(value, &mut self.text);
        self.end(Tag::Int);
    }

    /// Adds a number, given as JSON text. Its digits stay.
    #[inline]
    pub(crate) fn push_number_text(&mut self, text: &str) {
        number::write(text, &mut self.text);
        self.end(if number::is_integer(text) { Tag::Int } else { Tag::Float });
    }

    /// Adds a number. Not-a-number and the infinities, which JSON lacks, become null.
    #[inline]
    pub fn push_float(&mut self, value: f64) {
        if value.is_finite() {
            write_float(value, &mut self.text);
            self.end(Tag::Float);
        } else {
            self.push_null();
        }
    }

    /// Adds text.
    #[inline]
    pub fn push_text(&mut self, value: &str) {
        self.push(Tag::Text, value);
    }

    /// Adds any JSON value.
    pub fn push_json(&mut self, value: &Value) {
        match value {
            Value::Null => self.push_null(),
            Value::Bool(value) => self.push_bool(*value),
            Value::Number(number) => self.push_number_text(number.as_str()),
            Value::String(value) => self.push_text(value),
            Value::Array(_) | Value::Object(_) => {
                canonical_json(value, &mut self.text);
                self.end(Tag::Json);
            }
        }
    }

    /// Adds the value of a reference field. An object with an `id` is a peer by id, a list a set of peers. Empty text and an empty object
    /// mean no peer. Anything else is a natural key and stays as it is, as does an object of `kind` and `id` alone.
    pub fn push_peer(&mut self, value: &Value) {
        match value {
            Value::Object(object) if is_kind_and_id(object) => self.push_json(value),
            Value::Object(object) => match object.get("id").and_then(id_text) {
                Some(id) => self.push(Tag::Id, &id),
                None if object.is_empty() => self.push_null(),
                None => self.push_json(value),
            },
            Value::Array(items) => {
                let id = |item: &Value| item.as_object().filter(|object| !is_kind_and_id(object))?.get("id").and_then(id_text);
                let ids: Vec<Option<String>> = items.iter().filter(|item| !item.is_null()).map(id).collect();
                if ids.iter().all(|id| id.as_ref().is_some_and(|id| !id.contains('\n'))) {
                    for id in ids.into_iter().flatten() {
                        self.text.push_str(&id);
                        self.text.push('\n');
                    }
                    self.end(Tag::Ids);
                } else {
                    self.push_json(value);
                }
            }
            Value::String(name) => self.push_peer_text(name),
            other => self.push_json(other),
        }
    }

    /// Adds a peer's natural key that is a text; the empty text means no peer.
    #[inline]
    pub fn push_peer_text(&mut self, name: &str) {
        if name.is_empty() { self.push_null() } else { self.push_text(name) }
    }

    /// Fills up with nulls to `rows` values.
    pub fn fill(&mut self, rows: usize) {
        while self.len() < rows {
            self.push_null();
        }
    }

    /// Adds all values of another column.
    ///
    /// # Errors
    /// When the text would pass 4 GiB; the column is left as it was.
    pub fn append(&mut self, other: &ValueColumn) -> Result<(), ColumnTooLarge> {
        let base = u32::try_from(self.text.len()).map_err(|_| ColumnTooLarge)?;
        u32::try_from(self.text.len() + other.text.len()).map_err(|_| ColumnTooLarge)?;
        self.text.push_str(&other.text);
        self.tags.extend_from_slice(&other.tags);
        self.ends.extend(other.ends.iter().map(|end| base + end));
        Ok(())
    }

    /// Adds the one value `row` of another column.
    #[inline]
    pub fn push_from(&mut self, other: &ValueColumn, row: usize) {
        self.push(other.tag(row), other.text(row));
    }

    /// Returns the values of the rows named, in that order.
    #[must_use]
    pub fn gather(&self, rows: &[u32]) -> ValueColumn {
        let mut out = ValueColumn::with_capacity(rows.len());
        out.text.reserve(rows.iter().map(|row| self.text(*row as usize).len()).sum());
        for row in rows {
            out.push_from(self, *row as usize);
        }
        out
    }

    /// Returns value `row` as JSON. Peers by id appear as `{"id": …}`.
    #[must_use]
    pub fn to_json(&self, row: usize) -> Value {
        value_json(self.tag(row), self.text(row))
    }

    /// Writes value `row` as JSON text.
    pub fn write_json(&self, row: usize, out: &mut String) {
        write_value_json(self.tag(row), self.text(row), out);
    }

    /// Returns a column whose lists and objects have their keys in any order, in canonical form.
    pub(crate) fn sorted(&self) -> ValueColumn {
        let mut out = ValueColumn::with_capacity(self.len());
        for row in 0..self.len() {
            let is_read = self.tag(row) == Tag::Json && crate::records::push_json_text(&mut out, self.text(row));
            if !is_read {
                out.push(self.tags.get(row).copied().unwrap_or(Tag::Null), self.text(row));
            }
        }
        out
    }

    /// Returns whether two values are the same. Numbers are compared by value (1 and 1.0 are one number), an unresolved reference is taken
    /// for equal to anything since nothing may be concluded from it.
    #[must_use]
    #[inline]
    pub fn same(&self, row: usize, other: &ValueColumn, other_row: usize) -> bool {
        let (a, b) = (self.tag(row), other.tag(other_row));
        let (mine, theirs) = (self.text(row), other.text(other_row));
        if a == b && mine == theirs {
            return true;
        }
        match (a, b) {
            (Tag::Unresolved, _) | (_, Tag::Unresolved) => true,
            (Tag::Int, Tag::Int) => false,
            (Tag::Int | Tag::Float, Tag::Int | Tag::Float) => number::is_same(mine, theirs),
            (Tag::Json, Tag::Json) => number::is_same_json(mine, theirs),
            _ => false,
        }
    }

    /// Returns whether `rows` values from `row` on are identical in both columns. Other values may still be [`same`](Self::same).
    #[must_use]
    pub(crate) fn identical(&self, row: usize, other: &ValueColumn, other_row: usize, rows: usize) -> bool {
        let begin = |column: &ValueColumn, row: usize| row.checked_sub(1).map_or(0, |before| column.ends.get(before).copied().unwrap_or(0));
        let (ours, theirs) = (begin(self, row), begin(other, other_row));
        let (Some(our_ends), Some(their_ends)) = (self.ends.get(row..row + rows), other.ends.get(other_row..other_row + rows)) else {
            return false;
        };
        let (Some(our_end), Some(their_end)) = (our_ends.last(), their_ends.last()) else { return true };
        // Lengths before texts: a run of one length in all is compared in one go.
        our_end.wrapping_sub(ours) == their_end.wrapping_sub(theirs)
            && self.tags.get(row..row + rows) == other.tags.get(other_row..other_row + rows)
            && our_ends.iter().zip(their_ends).all(|(a, b)| a.wrapping_sub(ours) == b.wrapping_sub(theirs))
            && self.text.as_bytes().get(ours as usize..*our_end as usize) == other.text.as_bytes().get(theirs as usize..*their_end as usize)
    }

    /// Brings values to the type that the schema names, where only one value of it can be meant.
    ///
    /// A whole float or a text of digits becomes an integer, a number text, `TRUE` true; addresses get their [canonical](crate::canonical) spelling.
    /// Blanks around such a text do not count, and a blank text is null. Any other value stays as it is.
    #[must_use]
    pub fn coerced(self, to: crate::model::FieldType) -> ValueColumn {
        use crate::model::FieldType;
        let wrong: fn(Tag) -> bool = match to {
            FieldType::Integer => |tag| matches!(tag, Tag::Float | Tag::Text),
            FieldType::Float => |tag| matches!(tag, Tag::Int | Tag::Text),
            FieldType::Text => |tag| matches!(tag, Tag::Int | Tag::Float),
            FieldType::Boolean => |tag| matches!(tag, Tag::Text | Tag::Int),
            _ if crate::canonical::has_canonical(to) => return self.canonical(to),
            _ => return self,
        };
        if !self.tags.iter().any(|tag| wrong(*tag)) {
            return self;
        }
        let mut out = ValueColumn::with_capacity(self.len());
        for row in 0..self.len() {
            let (tag, text) = (self.tag(row), self.text(row));
            match (to, tag) {
                (FieldType::Text, Tag::Int | Tag::Float) => out.push_text(text),
                (FieldType::Integer | FieldType::Float | FieldType::Boolean, Tag::Text) => push_read(to, text, &mut out),
                (FieldType::Integer, Tag::Float) => match number::whole(text) {
                    Some(whole) => out.push(Tag::Int, &whole),
                    None => out.push(tag, text),
                },
                (FieldType::Boolean, Tag::Int) => push_read(to, text, &mut out),
                (FieldType::Float, Tag::Int) => push_whole_float(text, &mut out),
                _ => out.push_from(&self, row),
            }
        }
        out
    }
}

/// Adds a whole number as a float, if no digit is lost.
fn push_whole_float(text: &str, out: &mut ValueColumn) {
    match text.parse::<f64>() {
        // Beyond 2^53 a float would lose digits.
        Ok(value) if value.abs() <= 9_007_199_254_740_992.0 => out.push_float(value),
        _ => out.push(Tag::Int, text),
    }
}

/// Adds a text as the value of a type, if it can only mean one: `007` and `+7` are other texts than `7`.
fn push_read(to: crate::model::FieldType, text: &str, out: &mut ValueColumn) {
    use crate::model::FieldType;
    let plain = text.trim();
    let is_whole = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits == text || digits != "0")
            && (digits.len() == 1 || !digits.starts_with('0'))
    };
    let is_boolean = |words: [&str; 3]| words.iter().any(|word| plain.eq_ignore_ascii_case(word));
    let whole = plain.strip_suffix(".0").unwrap_or(plain);
    match to {
        _ if plain.is_empty() => out.push_null(),
        FieldType::Boolean if is_boolean(["true", "yes", "1"]) => out.push(Tag::True, ""),
        FieldType::Boolean if is_boolean(["false", "no", "0"]) => out.push(Tag::False, ""),
        FieldType::Integer if is_whole(whole) => out.push(Tag::Int, whole),
        FieldType::Float if is_whole(plain) => push_whole_float(plain, out),
        FieldType::Float => match serde_json::from_str::<f64>(plain) {
            Ok(value) if value.is_finite() => out.push_number_text(plain),
            _ => out.push_text(text),
        },
        _ => out.push_text(text),
    }
}

impl ValueColumn {
    /// Texts in their canonical spelling. The column is copied only from the first other spelling on.
    fn canonical(self, to: crate::model::FieldType) -> ValueColumn {
        let mut out: Option<ValueColumn> = None;
        let mut spelling = String::new();
        for row in 0..self.len() {
            let (tag, text) = (self.tag(row), self.text(row));
            spelling.clear();
            let other = tag == Tag::Text && crate::canonical::write_canonical(to, text, &mut spelling) && spelling != text;
            match &mut out {
                None if other => {
                    let mut copy = ValueColumn::with_capacity(self.len());
                    (0..row).for_each(|row| copy.push_from(&self, row));
                    copy.push_text(&spelling);
                    out = Some(copy);
                }
                None => {}
                Some(out) if other => out.push_text(&spelling),
                Some(out) => out.push_from(&self, row),
            }
        }
        out.unwrap_or(self)
    }
}

/// Returns a value, given as type and text, as JSON.
#[must_use]
pub fn value_json(tag: Tag, text: &str) -> Value {
    match tag {
        Tag::Null | Tag::Missing | Tag::Unresolved => Value::Null,
        Tag::False => Value::Bool(false),
        Tag::True => Value::Bool(true),
        // Parsed, an exponent would get another spelling.
        Tag::Float => Value::Number(serde_json::Number::from_string_unchecked(text.to_owned())),
        Tag::Int | Tag::Json => serde_json::from_str(text).unwrap_or(Value::Null),
        Tag::Text => Value::String(text.to_owned()),
        Tag::Id => serde_json::json!({ "id": text }),
        Tag::Ids => text.split_terminator('\n').map(|id| serde_json::json!({ "id": id })).collect(),
    }
}

/// Writes a value, given as type and text, as JSON text.
pub fn write_value_json(tag: Tag, text: &str, out: &mut String) {
    match tag {
        Tag::Null | Tag::Missing | Tag::Unresolved => out.push_str("null"),
        Tag::False => out.push_str("false"),
        Tag::True => out.push_str("true"),
        Tag::Int | Tag::Float | Tag::Json => out.push_str(text),
        Tag::Text => json_string(text, out),
        Tag::Id | Tag::Ids => canonical_json(&value_json(tag, text), out),
    }
}

/// Writes a whole number.
#[inline]
fn write_int(value: i128, out: &mut String) {
    // Writing to a String cannot fail. 128 bits are slow to print, and hardly anything has them.
    let _ = match i64::try_from(value) {
        Ok(value) => write!(out, "{value}"),
        Err(_) => write!(out, "{value}"),
    };
}

/// Writes a finite number.
#[inline]
fn write_float(value: f64, out: &mut String) {
    // Adding zero turns -0.0 into 0.0: they are one number and must have one text.
    let _ = write!(out, "{:?}", value + 0.0);
}

/// Writes text as a JSON string.
pub fn json_string(text: &str, out: &mut String) {
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        from = at + 1;
    }
    out.push_str(&text[from..]);
    out.push('"');
}

/// Writes JSON without blanks and with sorted keys, so that equal values have equal texts.
pub fn canonical_json(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => number::write(number.as_str(), out),
        Value::String(value) => json_string(value, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                canonical_json(item, out);
            }
            out.push(']');
        }
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (at, (key, item)) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                json_string(key, out);
                out.push(':');
                canonical_json(item, out);
            }
            out.push('}');
        }
    }
}

/// Returns an id as text: ids are numbers in some systems and text in others.
#[must_use]
pub fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// Returns whether a peer is given by its kind and its id, and nothing else: then the kind counts.
pub(crate) fn is_kind_and_id(object: &serde_json::Map<String, Value>) -> bool {
    object.len() == 2 && object.get("kind").is_some_and(Value::is_string) && object.get("id").and_then(id_text).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::FieldType;

    #[test]
    fn values_come_back_as_they_went_in() {
        let values =
            [json!(null), json!(true), json!(-7), json!(u64::MAX), json!(1.5), json!("zü\"rich\n\u{1}"), json!({"b": [1, null], "a": "x"})];
        let mut column = ValueColumn::default();
        values.iter().for_each(|value| column.push_json(value));
        for (row, value) in values.iter().enumerate() {
            assert_eq!(&column.to_json(row), value);
            let mut text = String::new();
            column.write_json(row, &mut text);
            assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), value);
        }
        assert_eq!(column.text(6), r#"{"a":"x","b":[1,null]}"#);
    }

    #[test]
    fn one_is_one_point_zero_but_not_the_text() {
        let mut column = ValueColumn::default();
        [json!(1), json!(1.0), json!("1")].iter().for_each(|value| column.push_json(value));
        assert!(column.same(0, &column, 1));
        assert!(!column.same(0, &column, 2));
    }

    #[test]
    fn numbers_keep_their_digits_and_are_compared_by_their_value() {
        let mut column = ValueColumn::default();
        for text in ["18446744073709551616", "1.10", "1E5", "1e400", "-0.0", r#"[1.10,{"a":1E5}]"#] {
            assert!(crate::records::push_json_text(&mut column, text));
        }
        assert_eq!(
            (0..6).map(|row| column.tag(row)).collect::<Vec<_>>(),
            [Tag::Int, Tag::Float, Tag::Float, Tag::Float, Tag::Float, Tag::Json]
        );
        let texts: Vec<&str> = (0..6).map(|row| column.text(row)).collect();
        assert_eq!(texts, ["18446744073709551616", "1.10", "1E5", "1e400", "0.0", r#"[1.10,{"a":1E5}]"#]);
        let mut other = ValueColumn::default();
        for text in ["1.8446744073709551616e19", "1.1", "100000", "10.0e399", "0", r#"[1.1,{"a":100000}]"#] {
            assert!(crate::records::push_json_text(&mut other, text));
        }
        (0..6).for_each(|row| assert!(column.same(row, &other, row), "{}", column.text(row)));
        for row in 0..4 {
            let mut again = ValueColumn::default();
            again.push_json(&column.to_json(row));
            assert_eq!((again.tag(0), again.text(0)), (column.tag(row), column.text(row)));
        }
    }

    #[test]
    fn peers_are_taken_by_id() {
        let mut column = ValueColumn::default();
        column.push_peer(&json!({"id": 3, "name": "x"}));
        column.push_peer(&json!([{"id": 3}, {"id": "b"}]));
        column.push_peer(&json!("akron"));
        column.push_peer(&json!([]));
        assert_eq!((column.tag(0), column.text(0)), (Tag::Id, "3"));
        assert_eq!((column.tag(1), column.text(1)), (Tag::Ids, "3\nb\n"));
        assert_eq!(column.tag(2), Tag::Text);
        assert_eq!((column.tag(3), column.text(3)), (Tag::Ids, ""));
    }

    #[test]
    fn texts_are_read_as_the_type_of_the_schema_where_one_value_is_meant() {
        let read = |to: FieldType, text: &str| {
            let mut column = ValueColumn::default();
            column.push_text(text);
            column.coerced(to).to_json(0)
        };
        let integers =
            [("7", json!(7)), (" 10 ", json!(10)), ("-3", json!(-3)), ("10.0", json!(10)), ("", json!(null)), (" ", json!(null))];
        integers.into_iter().for_each(|(text, value)| assert_eq!(read(FieldType::Integer, text), value, "{text:?}"));
        for text in ["abc", "010", "1.5", "+7", "1_000", "1,5", ".0", "-.0", "-0", "007.0", "0x1F"] {
            assert_eq!(read(FieldType::Integer, text), json!(text));
        }
        let number = |text: &str| Value::Number(serde_json::Number::from_string_unchecked(text.to_owned()));
        let floats = [
            ("1.5", json!(1.5)),
            ("10", json!(10.0)),
            (" 1.10", number("1.10")),
            (" 1e5", number("1e5")),
            ("-0.25", json!(-0.25)),
            ("", json!(null)),
        ];
        floats.into_iter().for_each(|(text, value)| assert_eq!(read(FieldType::Float, text), value, "{text:?}"));
        for text in ["x", "01.5", "1,5", "nan", "inf", "1e999"] {
            assert_eq!(read(FieldType::Float, text), json!(text));
        }
        for (text, value) in [("TRUE", true), ("true ", true), ("Yes", true), ("1", true), ("FALSE", false), ("no", false), ("0", false)] {
            assert_eq!(read(FieldType::Boolean, text), json!(value), "{text:?}");
        }
        assert_eq!(read(FieldType::Boolean, "maybe"), json!("maybe"));
        assert_eq!(read(FieldType::Text, " 10 "), json!(" 10 "));
    }

    #[test]
    fn schema_types_are_followed_where_nothing_is_lost() {
        let mut column = ValueColumn::default();
        [json!(1.0), json!(1.5), json!(2)].iter().for_each(|value| column.push_json(value));
        let integers = column.clone().coerced(FieldType::Integer);
        assert_eq!([integers.to_json(0), integers.to_json(1), integers.to_json(2)], [json!(1), json!(1.5), json!(2)]);
        let texts = column.coerced(FieldType::Text);
        assert_eq!(texts.to_json(0), json!("1.0"));
    }
}
