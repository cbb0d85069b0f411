//! From the JSON of a page to columns, in one pass: only what the mapping reads is taken, the rest is skipped.
//!
//! [`Projection`] is a trie of the dotted paths; a record is walked once along it. No value of a record is built unless two paths
//! overlap (`site` and `site.name`) or a value is a list or an object.

use std::fmt;
use std::fmt::Write as _;

use infrahub_sync_base::pointer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::value::{Tag, ValueColumn};

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
}

/// The fields wanted of each record.
#[derive(Debug, Clone, Default)]
pub struct Projection {
    root: Node,
    slots: Vec<(String, Shape)>,
    /// Slots that are read from the same place as another: (slot, the other).
    twins: Vec<(usize, usize)>,
}

/// Columns of one page, in the order of the projection's slots.
#[derive(Debug, Default)]
pub struct Records {
    /// The number of records.
    pub rows: usize,
    /// One column a slot, each of `rows` values.
    pub columns: Vec<ValueColumn>,
}

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The text is not JSON, or a record is not an object.
    #[error("the records are not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// One of the lines is not JSON.
    #[error("line {line} is not a JSON object: {source}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The parser's error.
        source: serde_json::Error,
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
        let mut moved = Projection { slots: self.slots.clone(), ..Projection::default() };
        for (slot, (path, shape)) in self.slots.iter().enumerate() {
            let parts: Vec<String> = match places.iter().find(|(from, _)| from == path) {
                Some((_, pointer)) => match pointer::parts(pointer) {
                    Some(parts) => parts,
                    None => continue,
                },
                None if path.is_empty() => Vec::new(),
                None => path.split('.').map(str::to_owned).collect(),
            };
            moved.place(&parts.iter().map(String::as_str).collect::<Vec<_>>(), *shape, slot);
        }
        moved
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
        let mut records = Records { rows: 0, columns: self.columns() };
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
        let mut records = Records { rows: 0, columns: self.columns() };
        for (at, line) in body.split('\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let mut deserializer = serde_json::Deserializer::from_str(line);
            Record { node: &self.root, columns: &mut records.columns, row: records.rows, whole: true }
                .deserialize(&mut deserializer)
                .and_then(|()| deserializer.end())
                .map_err(|source| RecordsError::Line { line: at + 1, source })?;
            records.close_row();
            if records.rows > rows_max {
                return Err(RecordsError::TooMany { rows_max });
            }
        }
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
        let mut records = Records { rows, columns: Vec::with_capacity(self.slots.len()) };
        for (name, column) in &packed {
            if column.len() != rows {
                return Err(RecordsError::Column(name.clone()));
            }
        }
        for (path, shape) in &self.slots {
            let mut out = ValueColumn::with_capacity(rows);
            match packed.iter().find(|(name, _)| name == path) {
                Some((_, column)) if *shape == Shape::Value => out.append(column).map_err(|_| RecordsError::Column(path.clone()))?,
                Some((_, column)) => (0..rows).for_each(|row| match column.tag(row) {
                    Tag::Json => out.push_peer(&column.to_json(row)),
                    Tag::Text => out.push_peer_text(column.text(row)),
                    tag => out.push(tag, column.text(row)),
                }),
                None => out.fill(rows),
            }
            records.columns.push(out);
        }
        Ok(records)
    }
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

/// Fills all slots at and below a node from a value.
fn fill(node: &Node, value: &Value, columns: &mut [ValueColumn], row: usize) {
    if let Some(column) = node.value.and_then(|slot| columns.get_mut(slot)).filter(|column| column.len() == row) {
        column.push_json(value);
    }
    if let Some(column) = node.peer.and_then(|slot| columns.get_mut(slot)).filter(|column| column.len() == row) {
        column.push_peer(value);
    }
    if let Value::Object(object) = value {
        for (name, kid) in &node.kids {
            if let Some(value) = object.get(name) {
                fill(kid, value, columns, row);
            }
        }
    }
}

/// Returns one bit of 64, by a name's length and its ends.
#[inline]
fn mark(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let [first, last] = [bytes.first(), bytes.last()].map(|byte| usize::from(byte.copied().unwrap_or(0)));
    1 << ((bytes.len() * 7 + first * 3 + last) & 63)
}

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
        Ok(if self.0.marks & mark(key) == 0 { None } else { self.0.kids.iter().position(|(name, _)| name == key) })
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

impl<'de> DeserializeSeed<'de> for Record<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.node.value.is_some() || (self.node.peer.is_some() && !self.node.kids.is_empty()) {
            if self.node.kids.is_empty() && self.node.peer.is_none() && !self.whole {
                return deserializer.deserialize_any(Leaf {
                    columns: self.columns,
                    slot: self.node.value.unwrap_or(0),
                    row: self.row,
                    peer: false,
                });
            }
            // Several fields overlap here: build the value once and fill them all from it.
            let value = <Value as serde::Deserialize>::deserialize(deserializer)?;
            if self.whole && !value.is_object() {
                return Err(D::Error::custom("a record is not an object"));
            }
            fill(self.node, &value, self.columns, self.row);
            return Ok(());
        }
        if let Some(slot) = self.node.peer {
            return deserializer.deserialize_any(Leaf { columns: self.columns, slot, row: self.row, peer: true });
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
                Some((_, node)) => map.next_value_seed(Record { node, columns: &mut *self.columns, row: self.row, whole: false })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        if self.whole { Err(E::custom("a record is null")) } else { Ok(()) }
    }
    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.visit_unit()
    }
    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.visit_unit()
    }
    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.visit_unit()
    }
    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.visit_unit()
    }
    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.visit_unit()
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        if self.whole { Err(A::Error::custom("a record is a list")) } else { Ok(()) }
    }
}

/// One field's value.
struct Leaf<'c> {
    columns: &'c mut [ValueColumn],
    slot: usize,
    row: usize,
    peer: bool,
}

impl Leaf<'_> {
    /// Returns the column, unless this record has filled it already: of a key that stands twice the first counts.
    fn column(&mut self) -> Option<&mut ValueColumn> {
        let row = self.row;
        self.columns.get_mut(self.slot).filter(|column| column.len() == row)
    }
    fn put(&mut self, value: &Value) {
        let peer = self.peer;
        if let Some(column) = self.column() {
            if peer { column.push_peer(value) } else { column.push_json(value) }
        }
    }
}

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
    fn visit_f64<E>(mut self, value: f64) -> Result<(), E> {
        if let Some(column) = self.column() {
            column.push_float(value);
        }
        Ok(())
    }
    fn visit_str<E>(mut self, value: &str) -> Result<(), E> {
        let peer = self.peer;
        if let Some(column) = self.column() {
            if peer { column.push_peer_text(value) } else { column.push_text(value) }
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        if self.peer {
            return self.peers(seq);
        }
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Value>()? {
            items.push(item);
        }
        self.put(&Value::Array(items));
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut object = serde_json::Map::new();
        while let Some(key) = map.next_key_seed(PeerKey { peer: self.peer })? {
            let Some(key) = key else {
                let id: Value = map.next_value()?;
                if !matches!(id, Value::String(_) | Value::Number(_)) {
                    // No id after all (null): the rest may still be a natural key.
                    object.insert("id".to_owned(), id);
                    continue;
                }
                // The id is all that is wanted of a peer, unless its kind is all that stands beside it: the rest is not built.
                let mut has_others = object.keys().any(|key| key != "kind");
                let mut kind = object.remove("kind");
                while let Some(member) = map.next_key_seed(Member::Other)? {
                    if member == Member::Kind && kind.is_none() && !has_others {
                        kind = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        has_others = true;
                    }
                }
                match kind.filter(|kind| kind.is_string() && !has_others) {
                    Some(kind) => self.put(&serde_json::json!({ "id": id, "kind": kind })),
                    None => {
                        if let Some(column) = self.column() {
                            column.push_id(&id);
                        }
                    }
                }
                return Ok(());
            };
            object.insert(key, map.next_value()?);
        }
        self.put(&Value::Object(object));
        Ok(())
    }
}

impl<'de> Leaf<'_> {
    /// Reads a list of peers. As long as each has an id, nothing else of it is built.
    fn peers<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut items: Vec<&'de RawValue> = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        let mut ids = String::new();
        for item in items.iter().filter(|item| item.get() != "null") {
            if !PeerId::read(item, &mut ids) {
                let list = items.iter().map(|item| serde_json::from_str(item.get())).collect::<Result<_, _>>();
                self.put(&Value::Array(list.map_err(A::Error::custom)?));
                return Ok(());
            }
        }
        if let Some(column) = self.column() {
            column.push(Tag::Ids, &ids);
        }
        Ok(())
    }
}

/// A key of a peer; none stands for `id`.
struct PeerKey {
    peer: bool,
}

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
        Ok(if self.peer && key == "id" { None } else { Some(key.to_owned()) })
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
            if member != Member::Id || found {
                has_others |= member != Member::Kind || has_kind;
                has_kind |= member == Member::Kind;
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let _ = match map.next_value()? {
                Value::String(id) if !id.contains('\n') => writeln!(self.ids, "{id}"),
                Value::Number(id) => writeln!(self.ids, "{id}"),
                _ => return Ok(false),
            }; // writing to a String cannot fail
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
    fn two_paths_may_be_read_from_one_place() {
        let mut projection = Projection::default();
        let (id, name) = (projection.slot("id", Shape::Value), projection.slot("name", Shape::Value));
        let moved = projection.moved(&[("id".into(), "/x".into()), ("name".into(), "/x".into())]);
        let records = moved.json(r#"[{"x":7},{}]"#, "").unwrap();
        assert_eq!([id, name].map(|slot| records.columns[slot].to_json(0)), [json!(7), json!(7)]);
        assert!(records.columns[name].is_missing(1));
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
