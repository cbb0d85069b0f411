//! From the JSON of a page to columns, in one pass: only what the mapping reads is taken, the rest is skipped.
//!
//! [`Projection`] is a trie of the dotted paths; a record is walked once along it. No value of a record is built: where two paths
//! overlap (`site` and `site.name`), each is read from the same text, and lists and objects are written as canonical text at once.

use std::borrow::Cow;
use std::fmt;

use infrahub_sync_base::pointer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json_text::{ObjectText, canonical_text, ordered_text, string};
use crate::number;
use crate::value::{Tag, ValueColumn, json_string};

/// The key with which `serde_json` hands over a number whose digits it keeps.
pub(crate) const NUMBER: &str = "$serde_json::private::Number";

/// How the value at a path is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// As it is.
    Value,
    /// As a reference: an object with an `id` becomes that id.
    Peer,
}

#[derive(Debug, Default, Clone)]
struct Node {
    kids: Vec<(String, Node)>,
    /// The marks of all kids' names: most keys of a record are not wanted, and most of those are known by one look at this.
    marks: u64,
    value: Option<usize>,
    peer: Option<usize>,
    /// Lists and objects of `value` keep the order of their keys.
    in_order: bool,
}

impl Node {
    fn take(&self) -> Take {
        if self.in_order { Take::InOrder } else { Take::Value }
    }
}

/// The fields wanted of each record.
#[derive(Debug, Clone, Default)]
pub struct Projection {
    root: Node,
    slots: Vec<(String, Shape)>,
    /// Slots that are read from the same place as another: (slot, the other).
    twins: Vec<(usize, usize)>,
    /// The slots whose lists and objects keep the order of their keys, rising.
    in_order: Vec<usize>,
}

/// Columns of one page, in the order of the projection's slots.
#[derive(Debug, Default)]
pub struct Records {
    /// The number of records.
    pub rows: usize,
    /// One column a slot, each of `rows` values.
    pub columns: Vec<ValueColumn>,
    /// Of JSON lines: from a record on, the line on which it stands, counted from 1. The records behind it stand on the lines behind it.
    pub lines: Vec<(usize, u64)>,
    /// Of JSON lines: the number of lines.
    pub line_count: u64,
    /// The slots whose lists and objects have their keys in the order of the record: their texts are not canonical.
    pub in_order: Vec<usize>,
}

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The text is not JSON, or a record is not an object.
    #[error("the records are not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// One of the lines is not JSON.
    #[error("line {line}, column {}: not a JSON object: {}", .error.column(), without_place(.error))]
    Line {
        /// Counted from 1.
        line: usize,
        /// The parser's error; its words stand in the message.
        error: serde_json::Error,
    },
    /// There are more records than may be.
    #[error("there are more than {rows_max} records")]
    TooMany {
        /// The limit.
        rows_max: usize,
    },
    /// The pointer leads nowhere.
    #[error("there is no list of records at `{0}`")]
    NoRecords(String),
    /// A packed column that breaks its own rules.
    #[error("column `{0}` is not well formed")]
    Column(String),
}

/// Returns the parser's words without its place, which counts within the line.
fn without_place(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.split_once(" at line ").map_or(words.clone(), |(before, _)| before.to_owned())
}

impl Projection {
    /// Adds a dotted path (empty: the whole record) and returns its slot; the same path and shape have one slot.
    pub fn slot(&mut self, path: &str, shape: Shape) -> usize {
        if let Some(slot) = self.slots.iter().position(|(known, as_shape)| known == path && *as_shape == shape) {
            return slot;
        }
        let slot = self.slots.len();
        self.slots.push((path.to_owned(), shape));
        let path: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('.').collect() };
        self.place(&path, shape, slot);
        slot
    }

    /// As [`slot`](Self::slot) of a value, whose lists and objects keep the order of their keys: templates see it.
    pub fn slot_in_order(&mut self, name: &str) -> usize {
        let slot = self.slot(name, Shape::Value);
        if let Err(at) = self.in_order.binary_search(&slot) {
            self.in_order.insert(at, slot);
            self.keep_order(&[name]);
        }
        slot
    }

    fn keep_order(&mut self, path: &[&str]) {
        let mut node = &mut self.root;
        for part in path {
            let Some(at) = node.kids.iter().position(|(name, _)| name == part) else { return };
            node = &mut node.kids[at].1;
        }
        node.in_order = true;
    }

    fn place(&mut self, path: &[&str], shape: Shape, slot: usize) {
        let mut node = &mut self.root;
        for part in path {
            node.marks |= mark(part);
            let at = node.kids.iter().position(|(name, _)| name == part).unwrap_or_else(|| {
                node.kids.push(((*part).to_owned(), Node::default()));
                node.kids.len() - 1
            });
            node = &mut node.kids[at].1;
        }
        let place = match shape {
            Shape::Value => &mut node.value,
            Shape::Peer => &mut node.peer,
        };
        match place {
            Some(first) => self.twins.push((slot, *first)),
            None => *place = Some(slot),
        }
    }

    /// Returns the slots: dotted path and shape.
    #[must_use]
    pub fn slots(&self) -> &[(String, Shape)] {
        &self.slots
    }

    /// Returns the same slots, read from other places: (dotted path, RFC 6901 pointer within the record). A text that is not a pointer leads nowhere.
    #[must_use]
    pub fn moved(&self, places: &[(String, String)]) -> Projection {
        let mut moved = Projection { slots: self.slots.clone(), in_order: self.in_order.clone(), ..Projection::default() };
        for (slot, (path, shape)) in self.slots.iter().enumerate() {
            let parts: Vec<String> = match places.iter().find(|(from, _)| from == path) {
                Some((_, pointer)) => match pointer::parts(pointer) {
                    Some(parts) => parts,
                    None => continue,
                },
                None if path.is_empty() => Vec::new(),
                None => path.split('.').map(str::to_owned).collect(),
            };
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            moved.place(&parts, *shape, slot);
            if self.in_order.contains(&slot) {
                moved.keep_order(&parts);
            }
        }
        moved
    }

    /// Returns the slots whose texts are not canonical: of two slots of one place, both.
    fn in_order(&self) -> Vec<usize> {
        let twins = self.twins.iter().filter(|(slot, first)| self.in_order.contains(slot) || self.in_order.contains(first));
        self.in_order.iter().copied().chain(twins.flat_map(|(slot, first)| [*slot, *first])).collect()
    }

    fn columns(&self) -> Vec<ValueColumn> {
        self.slots.iter().map(|_| ValueColumn::with_capacity(1024)).collect()
    }

    /// Reads the records of a JSON document: the elements of the array, or the values of the object, at the pointer.
    ///
    /// # Errors
    /// When the body is not JSON, a record is not an object, or nothing is at the pointer.
    pub fn json(&self, body: &str, pointer: &str) -> Result<Records, RecordsError> {
        self.json_within(body, pointer, usize::MAX)
    }

    /// As [`json`](Self::json), with a limit on the number of records: they take no more memory here than the body did there.
    ///
    /// # Errors
    /// As there, and when there are more.
    pub fn json_within(&self, body: &str, pointer: &str, rows_max: usize) -> Result<Records, RecordsError> {
        let path = pointer::parts(pointer).ok_or_else(|| RecordsError::NoRecords(pointer.to_owned()))?;
        let mut records = Records { columns: self.columns(), in_order: self.in_order(), ..Records::default() };
        let mut found = false;
        let mut deserializer = serde_json::Deserializer::from_str(body);
        let read = At { path: &path, node: &self.root, records: &mut records, found: &mut found, rows_max }.deserialize(&mut deserializer);
        if records.rows > rows_max {
            return Err(RecordsError::TooMany { rows_max });
        }
        read?;
        deserializer.end()?;
        self.copy_twins(&mut records);
        if found { Ok(records) } else { Err(RecordsError::NoRecords(pointer.to_owned())) }
    }

    /// Reads one record a line; blank lines are passed over.
    ///
    /// # Errors
    /// When a line is not a JSON object; the line is named.
    pub fn json_lines(&self, body: &str) -> Result<Records, RecordsError> {
        self.json_lines_within(body, usize::MAX)
    }

    /// As [`json_lines`](Self::json_lines), with a limit on the number of records.
    ///
    /// # Errors
    /// As there, and when there are more.
    pub fn json_lines_within(&self, body: &str, rows_max: usize) -> Result<Records, RecordsError> {
        let mut records = Records { columns: self.columns(), in_order: self.in_order(), ..Records::default() };
        for (at, line) in body.split('\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            if records.lines.last().is_none_or(|(row, first)| first + (records.rows - row) as u64 != at as u64 + 1) {
                records.lines.push((records.rows, at as u64 + 1));
            }
            let mut deserializer = serde_json::Deserializer::from_str(line);
            Record { node: &self.root, columns: &mut records.columns, row: records.rows, whole: true }
                .deserialize(&mut deserializer)
                .and_then(|()| deserializer.end())
                .map_err(|error| RecordsError::Line { line: at + 1, error })?;
            records.close_row();
            if records.rows > rows_max {
                return Err(RecordsError::TooMany { rows_max });
            }
        }
        records.line_count = body.bytes().filter(|byte| *byte == b'\n').count() as u64;
        self.copy_twins(&mut records);
        Ok(records)
    }

    fn copy_twins(&self, records: &mut Records) {
        for (slot, first) in &self.twins {
            records.columns[*slot] = records.columns[*first].clone();
        }
    }

    /// Takes packed columns by name; a path without a column is null everywhere.
    ///
    /// # Errors
    /// When a column has another number of values than `rows`.
    pub fn packed(&self, rows: usize, packed: Vec<(String, ValueColumn)>) -> Result<Records, RecordsError> {
        let mut records = Records { rows, columns: Vec::with_capacity(self.slots.len()), ..Records::default() };
        for (name, column) in &packed {
            if column.len() != rows {
                return Err(RecordsError::Column(name.clone()));
            }
        }
        for (path, shape) in &self.slots {
            let mut out = ValueColumn::with_capacity(rows);
            match packed.iter().find(|(name, _)| name == path) {
                Some((_, column)) if *shape == Shape::Value => out.append(column).map_err(|_| RecordsError::Column(path.clone()))?,
                Some((_, column)) => {
                    for row in 0..rows {
                        match column.tag(row) {
                            Tag::Json => {
                                let leaf = Leaf { columns: std::slice::from_mut(&mut out), slot: 0, row, take: Take::Peer };
                                leaf.take(column.text(row))?;
                            }
                            Tag::Text => out.push_peer_text(column.text(row)),
                            tag => out.push(tag, column.text(row)),
                        }
                    }
                }
                None => out.fill(rows),
            }
            records.columns.push(out);
        }
        Ok(records)
    }
}

/// Adds the value of a JSON text to a column. Adds nothing and returns false if it is not JSON.
#[must_use]
pub fn push_json_text(column: &mut ValueColumn, text: &str) -> bool {
    let (row, start) = (column.len(), column.open().len());
    let Ok(value) = serde_json::from_str::<&RawValue>(text) else { return false };
    let leaf = Leaf { columns: std::slice::from_mut(column), slot: 0, row, take: Take::Value };
    let is_read = leaf.take(value.get()).is_ok();
    if !is_read {
        column.open().truncate(start);
    }
    is_read
}

/// Returns the first records of a JSON document, whole, at most `count`: to say what records have. A document that cannot be read has none.
#[must_use]
pub fn first_of(body: &str, pointer: &str, count: usize) -> Vec<Value> {
    let mut projection = Projection::default();
    let slot = projection.slot("", Shape::Value);
    let Some(path) = pointer::parts(pointer) else { return Vec::new() };
    let mut records = Records { columns: projection.columns(), ..Records::default() };
    let mut deserializer = serde_json::Deserializer::from_str(body);
    // It ends with an error behind the last record that is wanted.
    let _ = At { path: &path, node: &projection.root, records: &mut records, found: &mut false, rows_max: count.saturating_sub(1) }
        .deserialize(&mut deserializer);
    let column = records.columns.get(slot);
    (0..records.rows).filter_map(|row| Some(column?.to_json(row))).collect()
}

impl Records {
    fn close_row(&mut self) {
        self.rows += 1;
        for column in &mut self.columns {
            if column.len() < self.rows {
                column.push(Tag::Missing, "");
            }
        }
    }
}

/// Fills all slots at and below a node from the text of a value.
fn fill(node: &Node, text: &str, columns: &mut [ValueColumn], row: usize) -> serde_json::Result<()> {
    for (slot, take) in [(node.value, node.take()), (node.peer, Take::Peer)] {
        if let Some(slot) = slot {
            Leaf { columns, slot, row, take }.take(text)?;
        }
    }
    if !node.kids.is_empty() && text.starts_with(['{', '[']) {
        serde_json::Deserializer::from_str(text).deserialize_any(Record { node, columns, row, whole: false })?;
    }
    Ok(())
}

/// Returns one bit of 64, by a name's length and its ends.
#[inline]
fn mark(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let [first, last] = [bytes.first(), bytes.last()].map(|byte| usize::from(byte.copied().unwrap_or(0)));
    1 << ((bytes.len() * 7 + first * 3 + last) & 63)
}

/// Stands for the key of a number.
const IS_NUMBER: usize = usize::MAX;

/// Matches a key against a node's kids without copying it.
struct Key<'n>(&'n Node);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        let kid = if self.0.marks & mark(key) == 0 { None } else { self.0.kids.iter().position(|(name, _)| name == key) };
        Ok(if kid.is_none() && key == NUMBER { Some(IS_NUMBER) } else { kid })
    }
}

/// One record, or an object on the way to a field.
struct Record<'n, 'c> {
    node: &'n Node,
    columns: &'c mut [ValueColumn],
    row: usize,
    /// The record itself: it must be an object. Further down, anything else means that the fields below are missing.
    whole: bool,
}

impl Record<'_, '_> {
    /// Takes another value in the place of an object.
    fn instead<E: serde::de::Error>(&self, found: &str) -> Result<(), E> {
        if self.whole { Err(E::custom(format!("record {} is {found}, not an object", self.row + 1))) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Record<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.node.value.is_some() || (self.node.peer.is_some() && !self.node.kids.is_empty()) {
            if self.node.kids.is_empty() && self.node.peer.is_none() && !self.whole {
                let text = <&RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
                let leaf = Leaf { columns: self.columns, slot: self.node.value.unwrap_or(0), row: self.row, take: self.node.take() };
                return leaf.take(text).map_err(D::Error::custom);
            }
            // Several fields overlap here: each is filled from the same text.
            let text = <&RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
            if self.whole && !text.starts_with('{') {
                return Err(D::Error::custom("a record is not an object"));
            }
            return fill(self.node, text, self.columns, self.row).map_err(D::Error::custom);
        }
        if let Some(slot) = self.node.peer {
            return deserializer.deserialize_any(Leaf { columns: self.columns, slot, row: self.row, take: Take::Peer });
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Record<'_, '_> {
    type Value = ();
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(kid) = map.next_key_seed(Key(self.node))? {
            match kid.and_then(|at| self.node.kids.get(at)) {
                _ if kid == Some(IS_NUMBER) => {
                    map.next_value::<IgnoredAny>()?;
                    return self.instead("a number");
                }
                Some((_, node)) => map.next_value_seed(Record { node, columns: &mut *self.columns, row: self.row, whole: false })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.instead("null")
    }
    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.instead("true or false")
    }
    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.instead("a number")
    }
    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.instead("a number")
    }
    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.instead("a text")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        // A number leads into a list: `ends.0.object`.
        let wanted = |at: usize| self.node.kids.iter().find(|(name, _)| name.parse() == Ok(at)).map(|(_, node)| node);
        let most = self.node.kids.iter().filter_map(|(name, _)| name.parse::<usize>().ok()).max();
        for at in 0..=most.filter(|_| !self.whole).unwrap_or(0) {
            let read = match wanted(at).filter(|_| !self.whole) {
                Some(node) => seq.next_element_seed(Record { node, columns: &mut *self.columns, row: self.row, whole: false })?.is_some(),
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !read {
                return self.instead("a list");
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.instead("a list")
    }
}

/// One field's value.
struct Leaf<'c> {
    columns: &'c mut [ValueColumn],
    slot: usize,
    row: usize,
    take: Take,
}

/// How a value is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    Value,
    /// As a value, whose keys keep their order.
    InOrder,
    Peer,
}

impl Leaf<'_> {
    /// Returns the column, unless this record has filled it already: of a key that stands twice the first counts.
    fn column(&mut self) -> Option<&mut ValueColumn> {
        let row = self.row;
        self.columns.get_mut(self.slot).filter(|column| column.len() == row)
    }

    /// Takes the text of a JSON value, which is known to be one, without blanks around it. A number keeps its digits.
    fn take(mut self, text: &str) -> serde_json::Result<()> {
        let (peer, in_order) = (self.take == Take::Peer, self.take == Take::InOrder);
        let Some(column) = self.column() else { return Ok(()) };
        match text.as_bytes().first() {
            Some(b'"') => {
                let value = string(text)?;
                if peer { column.push_peer_text(&value) } else { column.push_text(&value) }
            }
            Some(b'-' | b'0'..=b'9') => column.push_number_text(text),
            Some(b'n') => column.push_null(),
            Some(b't') => column.push_bool(true),
            Some(b'f') => column.push_bool(false),
            Some(_) if peer => serde_json::Deserializer::from_str(text).deserialize_any(self)?,
            _ => {
                if in_order {
                    ordered_text(text, column.open())?
                } else {
                    canonical_text(text, column.open(), &mut Vec::new())?
                }
                column.close(Tag::Json);
            }
        }
        Ok(())
    }
}

/// Reads a peer. Other values are [taken](Leaf::take) from their text.
impl<'de> Visitor<'de> for Leaf<'_> {
    type Value = ();
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }
    fn visit_unit<E>(mut self) -> Result<(), E> {
        if let Some(column) = self.column() {
            column.push_null();
        }
        Ok(())
    }
    fn visit_bool<E>(mut self, value: bool) -> Result<(), E> {
        if let Some(column) = self.column() {
            column.push_bool(value);
        }
        Ok(())
    }
    fn visit_i64<E>(mut self, value: i64) -> Result<(), E> {
        if let Some(column) = self.column() {
            column.push_int(value.into());
        }
        Ok(())
    }
    fn visit_u64<E>(mut self, value: u64) -> Result<(), E> {
        if let Some(column) = self.column() {
            column.push_int(value.into());
        }
        Ok(())
    }
    fn visit_str<E>(mut self, value: &str) -> Result<(), E> {
        if let Some(column) = self.column() {
            column.push_peer_text(value);
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.peers(seq)
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let Some(column) = self.column() else {
            while map.next_key::<IgnoredAny>()?.is_some() {
                map.next_value::<IgnoredAny>()?;
            }
            return Ok(());
        };
        push_peer(column, map)
    }
}

/// Adds an object as a peer. Nothing of it is built, and nothing behind its id is written, unless its kind is all that stands beside it.
fn push_peer<'de, A: MapAccess<'de>>(column: &mut ValueColumn, mut map: A) -> Result<(), A::Error> {
    let (mut keys, start) = (Vec::new(), column.open().len());
    let mut object = ObjectText::begin(column.open(), &keys);
    let (mut kind, mut has_others) = (None, false);
    while let Some(key) = map.next_key_seed(PeerKey)? {
        let Some(key) = key else {
            let raw: &RawValue = map.next_value()?;
            if let Some(id) = id_of(raw.get()).map_err(A::Error::custom)? {
                while let Some(member) = map.next_key_seed(Member::Other)? {
                    if member == Member::Kind && kind.is_none() && !has_others {
                        kind = Some(canonical(map.next_value()?)?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        has_others = true;
                    }
                }
                column.open().truncate(start);
                match kind.filter(|kind: &String| kind.starts_with('"') && !has_others) {
                    Some(kind) => {
                        let out = column.open();
                        out.push_str("{\"id\":");
                        if raw.get().starts_with('"') {
                            json_string(&id, out)
                        } else {
                            number::write(&id, out)
                        }
                        out.push_str(",\"kind\":");
                        out.push_str(&kind);
                        out.push('}');
                        column.close(Tag::Json);
                    }
                    None => column.push(Tag::Id, &id),
                }
                return Ok(());
            }
            // No id after all (null): the rest may still be a natural key.
            object.key("id", column.open(), &mut keys);
            canonical_text(raw.get(), column.open(), &mut keys).map_err(A::Error::custom)?;
            has_others = true;
            continue;
        };
        if key == NUMBER && keys.is_empty() {
            column.open().truncate(start);
            column.push_number_text(&map.next_value::<Cow<'_, str>>()?);
            return Ok(());
        }
        object.key(&key, column.open(), &mut keys);
        let value = column.open().len();
        canonical_text(map.next_value::<&RawValue>()?.get(), column.open(), &mut keys).map_err(A::Error::custom)?;
        if key == "kind" {
            kind = column.open().get(value..).map(str::to_owned);
        } else {
            has_others = true;
        }
    }
    let is_empty = keys.is_empty();
    object.end(column.open(), &mut keys);
    if is_empty {
        column.open().truncate(start);
        column.push_null();
    } else {
        column.close(Tag::Json);
    }
    Ok(())
}

fn canonical<E: serde::de::Error>(raw: &RawValue) -> Result<String, E> {
    let mut text = String::new();
    canonical_text(raw.get(), &mut text, &mut Vec::new()).map_err(E::custom)?;
    Ok(text)
}

/// Returns an id, which is a text or a number, as text. Nothing else is one.
fn id_of(text: &str) -> serde_json::Result<Option<Cow<'_, str>>> {
    match text.as_bytes().first() {
        Some(b'"') => string(text).map(Some),
        Some(b'-' | b'0'..=b'9') => Ok(Some(Cow::Borrowed(text))),
        _ => Ok(None),
    }
}

impl<'de> Leaf<'_> {
    /// Reads a list of peers. As long as each has an id, nothing else of it is built.
    fn peers<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut items: Vec<&'de RawValue> = Vec::new();
        let mut ids = String::new();
        while let Some(item) = seq.next_element::<&RawValue>()? {
            items.push(item);
            if item.get() == "null" || PeerId::read(item, &mut ids) {
                continue;
            }
            let Some(column) = self.column() else {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(());
            };
            // Not a list of ids: it is taken as it is.
            let (out, mut keys) = (column.open(), Vec::new());
            let mut separator = '[';
            for item in items {
                out.push(separator);
                canonical_text(item.get(), out, &mut keys).map_err(A::Error::custom)?;
                separator = ',';
            }
            while let Some(item) = seq.next_element::<&RawValue>()? {
                out.push(',');
                canonical_text(item.get(), out, &mut keys).map_err(A::Error::custom)?;
            }
            out.push(']');
            column.close(Tag::Json);
            return Ok(());
        }
        if let Some(column) = self.column() {
            column.push(Tag::Ids, &ids);
        }
        Ok(())
    }
}

/// A key of a peer; none stands for `id`.
struct PeerKey;

impl<'de> DeserializeSeed<'de> for PeerKey {
    type Value = Option<String>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for PeerKey {
    type Value = Option<String>;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Option<String>, E> {
        Ok(if key == "id" { None } else { Some(key.to_owned()) })
    }
}

/// The role of a member of a peer, by its key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    Id,
    Kind,
    Other,
}

/// Reads a key; any member will do as a seed.
impl<'de> DeserializeSeed<'de> for Member {
    type Value = Member;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Member {
    type Value = Member;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Member, E> {
        Ok(match key {
            "id" => Member::Id,
            "kind" => Member::Kind,
            _ => Member::Other,
        })
    }
}

/// Whether a key is this one.
struct Is<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

/// Finds the id of an object and adds it, with a line feed behind it.
struct PeerId<'i> {
    ids: &'i mut String,
}

impl PeerId<'_> {
    /// Returns whether the item has an id that fits into a list of ids.
    fn read(item: &RawValue, ids: &mut String) -> bool {
        let mut deserializer = serde_json::Deserializer::from_str(item.get());
        item.get().starts_with('{') && matches!(deserializer.deserialize_map(PeerId { ids }), Ok(true))
    }
}

impl<'de> Visitor<'de> for PeerId<'_> {
    type Value = bool;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a peer")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        let (mut has_kind, mut has_others) = (false, false);
        while let Some(member) = map.next_key_seed(Member::Other)? {
            if member == Member::Kind && !has_kind {
                has_kind = map.next_value::<&RawValue>()?.get().starts_with('"');
                has_others |= !has_kind;
                continue;
            }
            if member != Member::Id || found {
                has_others = true;
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            match id_of(map.next_value::<&RawValue>()?.get()) {
                Ok(Some(id)) if !id.contains('\n') => {
                    self.ids.push_str(&id);
                    self.ids.push('\n');
                }
                _ => return Ok(false),
            }
            found = true;
        }
        // A peer of kind and id alone is not only an id.
        Ok(found && (has_others || !has_kind))
    }
}

/// Walks to the pointer, skipping everything else.
struct At<'p, 'n, 'c> {
    path: &'p [String],
    node: &'n Node,
    records: &'c mut Records,
    found: &'c mut bool,
    rows_max: usize,
}

impl<'de> DeserializeSeed<'de> for At<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl At<'_, '_, '_> {
    fn record<'s>(node: &'s Node, records: &'s mut Records) -> Record<'s, 's> {
        Record { node, row: records.rows, columns: &mut records.columns, whole: true }
    }

    fn close_row<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.records.close_row();
        // The caller sees by the number of rows why it ended here.
        if self.records.rows > self.rows_max { Err(E::custom("too many records")) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for At<'_, '_, '_> {
    type Value = ();
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of records, or an object on the way to it")
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        if !self.path.is_empty() {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        *self.found = true;
        while seq.next_element_seed(Self::record(self.node, self.records))?.is_some() {
            self.close_row()?;
        }
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.path.split_first() else {
            *self.found = true;
            while map.next_key::<IgnoredAny>()?.is_some() {
                map.next_value_seed(Self::record(self.node, self.records))?;
                self.close_row()?;
            }
            return Ok(());
        };
        while let Some(wanted) = map.next_key_seed(Is(first))? {
            if wanted && !*self.found {
                let (records, found) = (&mut *self.records, &mut *self.found);
                map.next_value_seed(At { path: rest, node: self.node, records, found, rows_max: self.rows_max })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        // A null in the place of the list: an empty answer.
        *self.found |= self.path.is_empty();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(paths: &[(&str, Shape)], body: &str) -> Vec<Vec<Value>> {
        let mut projection = Projection::default();
        for (path, shape) in paths {
            projection.slot(path, *shape);
        }
        let records = projection.json(body, "/results").unwrap();
        records.columns.iter().map(|column| (0..records.rows).map(|row| column.to_json(row)).collect()).collect()
    }

    #[test]
    fn fields_are_taken_by_path_and_missing_ones_are_null() {
        let body = r#"{"count":2,"results":[{"id":1,"site":{"id":4,"name":"Z\u00fcrich"},"tags":[{"id":1},{"id":2}]},{"id":2,"site":null,"extra":{"a":[1]}}],"next":null}"#;
        assert_eq!(
            read(
                &[
                    ("id", Shape::Value),
                    ("site", Shape::Peer),
                    ("site.name", Shape::Value),
                    ("tags", Shape::Peer),
                    ("site.name.x", Shape::Value)
                ],
                body
            ),
            [
                vec![json!(1), json!(2)],
                vec![json!({"id": "4"}), json!(null)],
                vec![json!("Zürich"), json!(null)],
                vec![json!([{"id": "1"}, {"id": "2"}]), json!(null)],
                vec![json!(null), json!(null)],
            ]
        );
    }

    #[test]
    fn one_node_may_be_value_peer_and_way_at_once() {
        let body = r#"{"results":[{"site":{"name":"a","id":4}}]}"#;
        assert_eq!(
            read(&[("site", Shape::Value), ("site", Shape::Peer), ("site.id", Shape::Value)], body),
            [vec![json!({"id": 4, "name": "a"})], vec![json!({"id": "4"})], vec![json!(4)]]
        );
    }

    #[test]
    fn peer_without_an_id_is_a_natural_key_and_empty_text_nobody() {
        let body = r#"{"results":[{"site":{"id":null,"name":"a"}},{"site":""},{"site":{}}]}"#;
        let alone = read(&[("site", Shape::Peer)], body);
        assert_eq!(alone, [vec![json!({"id": null, "name": "a"}), json!(null), json!(null)]]);
        assert_eq!(read(&[("site", Shape::Peer), ("site.name", Shape::Value)], body)[0], alone[0]);
    }

    #[test]
    fn lists_of_peers_are_taken_as_if_they_had_been_built() {
        let lists = r#"[] [null] [{"id":1,"x":[{"id":2}]},{"x":{"id":3},"id":"a"}] [ {"id":1} , null ] [{"name":"x"}] [{"id":1},{"name":"x"}] [1,"b"] [{"id":null}]
            [{"id":1,"kind":"Site"}] [{"kind":"Site","id":"b"},{"id":2}] [{"id":1,"kind":"Site","name":"x"}] [{"id":1,"kind":7}]
            [{"id":"a\nb"}] [[{"id":1}]] [{"id":1.5},{"id":-7}] [{}] [{"id":18446744073709551616}] [{"id":"\u00e9"}] [{"id":{"id":1}}]"#;
        let lists: Vec<Value> = serde_json::Deserializer::from_str(lists).into_iter().collect::<Result<_, _>>().unwrap();
        assert_eq!(lists.len(), 19);
        for list in lists {
            let mut projection = Projection::default();
            projection.slot("tags", Shape::Peer);
            let records = projection.json_lines(&format!(r#"{{"tags":{list}}}"#)).unwrap();
            let mut expected = ValueColumn::default();
            expected.push_peer(&list);
            assert_eq!((records.columns[0].tag(0), records.columns[0].text(0)), (expected.tag(0), expected.text(0)), "{list}");
        }
    }

    #[test]
    fn a_json_text_of_a_column_is_taken_whole_or_not_at_all() {
        let mut column = ValueColumn::default();
        for (text, is_json) in
            [(r#"{"b":[1],"a":2}"#, true), (r#"[1,"#, false), ("7", true), ("[1] 2", false), (r#"[1,]"#, false), ("", false)]
        {
            assert_eq!(push_json_text(&mut column, text), is_json, "{text}");
        }
        assert_eq!((column.len(), column.to_json(0), column.to_json(1)), (2, json!({"a": 2, "b": [1]}), json!(7)));
    }

    #[test]
    fn lists_of_small_objects_are_taken_as_their_text() {
        let list = format!("[{}]", vec![r#"{"":0}"#; 10_000].join(","));
        for paths in [&[("a", Shape::Value)][..], &[("a", Shape::Peer)], &[("a", Shape::Value), ("a", Shape::Peer), ("a.x", Shape::Value)]]
        {
            let mut projection = Projection::default();
            for (path, shape) in paths {
                projection.slot(path, *shape);
            }
            let records = projection.json_lines(&format!(r#"{{"a":{list}}}"#)).unwrap();
            assert_eq!((records.columns[0].tag(0), records.columns[0].text(0) == list), (Tag::Json, true));
        }
    }

    #[test]
    fn two_paths_may_be_read_from_one_place() {
        let mut projection = Projection::default();
        let (id, name) = (projection.slot("id", Shape::Value), projection.slot("name", Shape::Value));
        let moved = projection.moved(&[("id".into(), "/x".into()), ("name".into(), "/x".into())]);
        let records = moved.json(r#"[{"x":7},{}]"#, "").unwrap();
        assert_eq!([id, name].map(|slot| records.columns[slot].to_json(0)), [json!(7), json!(7)]);
        assert!(records.columns[name].is_missing(1));
    }

    #[test]
    fn a_number_in_a_path_leads_into_a_list() {
        let paths = [("ends.0.object", Shape::Peer), ("ends.1.name", Shape::Value), ("tags.0", Shape::Value), ("ends", Shape::Value)];
        let body =
            r#"{"results":[{"ends":[{"object":{"id":7}},{"name":"b"},{}],"tags":["x","y"]},{"ends":[],"tags":{"0":"z"}},{"ends":4}]}"#;
        for overlap in [false, true] {
            let paths = &paths[..if overlap { 4 } else { 3 }];
            let columns = read(paths, body);
            assert_eq!(columns[0][0], json!({"id": "7"}));
            assert_eq!((&columns[1][0], &columns[2][0], &columns[2][1]), (&json!("b"), &json!("x"), &json!("z")));
            assert!(columns[0][1..].iter().chain(&columns[1][1..]).all(Value::is_null));
        }
    }

    #[test]
    fn a_key_that_stands_twice_counts_once() {
        assert_eq!(read(&[("a", Shape::Value)], r#"{"results":[{"a":1,"a":2},{"a":3}]}"#), [vec![json!(1), json!(3)]]);
    }

    #[test]
    fn more_records_than_may_be_are_not_read() {
        let projection = Projection::default();
        for (rows_max, fits) in [(2, true), (1, false), (0, false)] {
            for body in ["{\"a\":[{},{}]}", "{\"a\":{\"x\":{},\"y\":{}}}"] {
                let read = projection.json_within(body, "/a", rows_max);
                assert_eq!(matches!(read, Err(RecordsError::TooMany { .. })), !fits, "{rows_max}");
            }
            assert_eq!(projection.json_lines_within("{}\n{}", rows_max).is_ok(), fits, "{rows_max}");
        }
        assert!(matches!(projection.json_within("{\"a\":[{},1]}", "/a", 1), Err(RecordsError::Json(_))));
    }

    #[test]
    fn bad_documents_are_errors() {
        let projection = Projection::default();
        assert!(matches!(projection.json("{\"results\":[1]}", "/results"), Err(RecordsError::Json(_))));
        assert!(matches!(projection.json("{\"results\":[{}", "/results"), Err(RecordsError::Json(_))));
        assert!(matches!(projection.json("{\"x\":[]}", "/results"), Err(RecordsError::NoRecords(_))));
        assert!(matches!(projection.json_lines("{}\n{\n"), Err(RecordsError::Line { line: 2, .. })));
        assert_eq!(projection.json("{\"a\":{\"x\":{},\"y\":{}}}", "/a").unwrap().rows, 2);
        assert_eq!(projection.json_lines("{}\n\n{}\n").unwrap().rows, 2);
    }
}
