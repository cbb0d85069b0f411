//! Snapshots of an earlier run as raw rows again, for a run that reads only what changed since.
//!
//! The restored rows go through [`build`](crate::snapshot::build()) together with the new ones. References are resolved again, so the new name of a
//! peer reaches the rows that refer to it. A stored reference is a unique id, which is looked up among the stored rows of its
//! kind and becomes the peer's own id (its natural key, where the system has no ids). Where a unique id could be two objects, nothing is
//! guessed: the kind is not restored, and read in full.

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow_schema::DataType;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use serde_json::{Value, json};

use crate::batches::{DESTINATION_MAPPING, OWNER, WITHOUT_IDS};
use crate::key::{self, Keys, Part};
use crate::mapping::RawKind;
use crate::model::{FieldModel, KindModel, Model};
use crate::records::push_json_text;
use crate::snapshot::hash;
use crate::value::{Tag, ValueColumn, value_json};

/// Returns a key as an object of its identifiers; a peer is the object of its own.
#[must_use]
pub fn key_object(model: &Model, kind: usize, key: &str) -> Value {
    let mut out = serde_json::Map::new();
    if let Some(spec) = model.kinds.get(kind) {
        for (name, part) in spec.identifiers.iter().zip(key::parts(key)) {
            let value = match part {
                Part::Value(tag, text) => value_json(tag, &text),
                Part::Peer { kind: Some(kind), key } => {
                    model.kind(&kind).map_or(Value::Null, |(at, spec)| of_kind(spec, key_object(model, at, key)))
                }
                Part::Peer { kind: None, key } => {
                    let kind = spec.fields.iter().find(|field| field.name == *name).and_then(|field| field.reference.as_ref());
                    kind.and_then(|kind| model.kind(kind)).map_or(Value::Null, |(kind, _)| key_object(model, kind, key))
                }
            };
            out.insert(name.clone(), value);
        }
    }
    Value::Object(out)
}

/// Adds the kind to an object of identifiers. An identifier that has that name stays.
fn of_kind(spec: &KindModel, mut object: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.entry("kind").or_insert_with(|| json!(spec.name));
    }
    object
}

/// Calls `each` with the natural key and the id of the rows of a stored batch that have an id.
///
/// # Errors
/// When a column is missing or damaged.
pub fn each_id(batch: &RecordBatch, mut each: impl FnMut(&str, &str)) -> Result<(), String> {
    let (ids, keys) = (texts(batch, "_source_id")?, texts(batch, "_key")?);
    let without = batch.schema_ref().field_with_name("_source_id").is_ok_and(|field| field.metadata().contains_key(WITHOUT_IDS));
    let (mut key, mut name) = (String::new(), String::new());
    for row in 0..batch.num_rows() {
        key.clear();
        key::write_key_from_json(keys.value(row), &mut key).ok_or("a key is not a list")?;
        if without {
            name.clear();
            key::write_unique_id(&key, &mut name);
        }
        if !(without && ids.value(row) == name) {
            each(&key, ids.value(row));
        }
    }
    Ok(())
}

/// A kind of an earlier run.
#[derive(Debug, Clone)]
pub struct Restored {
    /// Its rows.
    pub rows: RawKind,
    /// Their natural keys, row by row.
    pub keys: Keys,
}

/// The rows of one kind, as others may refer to them.
struct Names {
    keys: Keys,
    /// Null where the system has none.
    ids: ValueColumn,
    /// The unique ids, and their rows; empty of a kind that none refers to.
    names: Keys,
    rows: HashTable<u32>,
    /// The first rows of the unique ids that several rows have.
    ambiguous: HashSet<u32>,
}

/// The objects that a unique id may name.
enum Named {
    Row(usize),
    Several,
    Nothing,
}

impl Names {
    fn new(batches: &[RecordBatch], is_peer: bool) -> Result<Names, String> {
        let count = batches.iter().map(RecordBatch::num_rows).sum();
        let rows = HashTable::with_capacity(if is_peer { count } else { 0 });
        let ids = ValueColumn::with_capacity(count);
        let mut names = Names { keys: Keys::default(), ids, names: Keys::default(), rows, ambiguous: HashSet::new() };
        let (mut key, mut name) = (String::new(), String::new());
        for batch in batches {
            let (ids, keys) = (texts(batch, "_source_id")?, texts(batch, "_key")?);
            let schema = batch.schema_ref();
            let without = schema.field_with_name("_source_id").is_ok_and(|field| field.metadata().contains_key(WITHOUT_IDS));
            for row in 0..batch.num_rows() {
                key.clear();
                key::write_key_from_json(keys.value(row), &mut key).ok_or("a key is not a list")?;
                if without || is_peer {
                    name.clear();
                    key::write_unique_id(&key, &mut name);
                }
                if without && ids.value(row) == name {
                    names.ids.push_null()
                } else {
                    names.ids.push_text(ids.value(row))
                }
                names.keys.push(&key);
                if is_peer {
                    names.index(&name);
                }
            }
        }
        Ok(names)
    }

    fn index(&mut self, name: &str) {
        let row = self.names.len();
        self.names.push(name);
        let names = &self.names;
        match self.rows.entry(hash(name), |at| names.get(*at as usize) == name, |at| hash(names.get(*at as usize))) {
            Entry::Vacant(entry) => drop(entry.insert(u32::try_from(row).unwrap_or(u32::MAX))),
            Entry::Occupied(entry) => drop(self.ambiguous.insert(*entry.get())),
        }
    }

    fn find(&self, name: &str) -> Named {
        match self.rows.find(hash(name), |at| self.names.get(*at as usize) == name) {
            Some(row) if self.ambiguous.contains(row) => Named::Several,
            Some(row) => Named::Row(*row as usize),
            None => Named::Nothing,
        }
    }
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b dyn Array, String> {
    batch.column_by_name(name).map(AsRef::as_ref).ok_or_else(|| format!("the column `{name}` is not there"))
}

fn texts<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b StringArray, String> {
    column(batch, name)?.as_string_opt::<i32>().ok_or_else(|| format!("the column `{name}` has no text"))
}

/// Restores the kinds whose batches are given, in the model's order; an error says why a kind cannot be.
///
/// The caller knows that the snapshots are of this model, complete, and without references that led nowhere.
#[must_use]
pub fn restore(model: &Model, stored: &[Option<Vec<RecordBatch>>]) -> Vec<Result<Restored, String>> {
    let is_peer = |name: &str| model.kinds.iter().flat_map(|kind| &kind.fields).any(|field| field.peers().any(|peer| peer == name));
    let names: Vec<Option<Result<Names, String>>> = model
        .kinds
        .iter()
        .zip(stored)
        .map(|(kind, batches)| batches.as_ref().map(|batches| Names::new(batches, is_peer(&kind.name))))
        .collect();
    let rows = model.kinds.iter().enumerate().zip(stored).map(|((at, spec), batches)| rows(model, &names, (at, spec), batches.as_deref()));
    // All rows first: they are found through the names of all kinds.
    let rows: Vec<Result<RawKind, String>> = rows.collect();
    let keys = names.into_iter().map(|names| names.and_then(Result::ok).map(|names| names.keys));
    rows.into_iter().zip(keys).map(|(rows, keys)| Ok(Restored { rows: rows?, keys: keys.unwrap_or_default() })).collect()
}

fn rows(
    model: &Model,
    names: &[Option<Result<Names, String>>],
    (at, spec): (usize, &KindModel),
    batches: Option<&[RecordBatch]>,
) -> Result<RawKind, String> {
    let batches = batches.ok_or("it has no snapshot")?;
    let own = names.get(at).and_then(Option::as_ref).ok_or("it has no snapshot")?.as_ref().map_err(Clone::clone)?;
    let mut raw = RawKind::new(spec.fields.len());
    raw.rows = own.keys.len();
    raw.ids = own.ids.clone();
    // Which of several kinds each reference of a row means, by field.
    let mut meant: Vec<(usize, Vec<Option<usize>>)> = Vec::new();
    for (position, (field, out)) in spec.fields.iter().zip(&mut raw.columns).enumerate() {
        let mut kinds = Vec::new();
        *out = ValueColumn::with_capacity(raw.rows);
        for batch in batches {
            let values = column(batch, &field.name)?;
            if field.reference.is_some() {
                References::new(model, names, field).read(values, out, &mut kinds)?;
            } else {
                let is_json = batch
                    .schema_ref()
                    .field_with_name(&field.name)
                    .is_ok_and(|field| field.metadata().contains_key("infrahub-sync:encoding"));
                plain(values, is_json, out).map_err(|reason| format!("the column `{}` {reason}", field.name))?;
            }
        }
        if field.peers().nth(1).is_some() {
            meant.push((position, kinds));
        }
    }
    if batches.iter().any(|batch| batch.column_by_name(DESTINATION_MAPPING).is_some()) {
        for batch in batches {
            texts(batch, DESTINATION_MAPPING)?.iter().for_each(|resource| raw.resources.push(resource));
        }
    }
    if batches.iter().any(|batch| batch.column_by_name(OWNER).is_some()) {
        for batch in batches {
            plain(column(batch, OWNER)?, false, &mut raw.owners).map_err(|reason| format!("the column `{OWNER}` {reason}"))?;
        }
    }
    if !meant.is_empty() {
        for row in 0..raw.rows {
            let peers: Vec<(usize, usize)> =
                meant.iter().filter_map(|(position, kinds)| Some((*position, kinds.get(row).copied().flatten()?))).collect();
            raw.hint_until(row + 1, &peers);
        }
    }
    Ok(raw)
}

fn plain(values: &dyn Array, is_json: bool, out: &mut ValueColumn) -> Result<(), String> {
    let rows = 0..values.len();
    match values.data_type() {
        DataType::Utf8 => {
            let texts: &StringArray = values.as_string();
            for row in rows {
                if texts.is_null(row) {
                    out.push_null();
                } else if is_json {
                    if !push_json_text(out, texts.value(row)) {
                        return Err(format!("is not JSON: `{}`", texts.value(row).chars().take(60).collect::<String>()));
                    }
                } else {
                    out.push_text(texts.value(row));
                }
            }
        }
        DataType::Int64 => {
            let numbers: &Int64Array = values.as_primitive::<Int64Type>();
            rows.for_each(|row| if numbers.is_null(row) { out.push_null() } else { out.push_int(numbers.value(row).into()) });
        }
        DataType::Float64 => {
            let numbers: &Float64Array = values.as_primitive::<Float64Type>();
            rows.for_each(|row| if numbers.is_null(row) { out.push_null() } else { out.push_float(numbers.value(row)) });
        }
        DataType::Boolean => {
            let truths: &BooleanArray = values.as_boolean();
            rows.for_each(|row| if truths.is_null(row) { out.push_null() } else { out.push_bool(truths.value(row)) });
        }
        other => return Err(format!("has the type {other}")),
    }
    Ok(())
}

/// The object of a stored reference.
struct Target<'n> {
    kind: usize,
    names: &'n Names,
    row: usize,
}

impl Target<'_> {
    /// Returns the peer's id in its system, where it has one.
    fn id(&self) -> Option<&str> {
        (self.names.ids.tag(self.row) != Tag::Null).then(|| self.names.ids.text(self.row))
    }

    /// As a system would send it.
    fn value(&self, model: &Model) -> Value {
        match self.id() {
            Some(id) => json!({ "id": id }),
            None => key_object(model, self.kind, self.names.keys.get(self.row)),
        }
    }
}

/// The stored references of a field.
struct References<'n> {
    model: &'n Model,
    names: &'n [Option<Result<Names, String>>],
    field: &'n FieldModel,
    /// The field may refer to several kinds: the kind stands before each unique id.
    several: bool,
    only: Option<usize>,
}

impl<'n> References<'n> {
    fn new(model: &'n Model, names: &'n [Option<Result<Names, String>>], field: &'n FieldModel) -> References<'n> {
        let only = field.reference.as_deref().and_then(|kind| model.kind(kind)).map(|(at, _)| at);
        References { model, names, field, several: field.peers().nth(1).is_some(), only }
    }

    /// Adds the references of a batch, and the kind that each row refers to.
    fn read(&self, values: &dyn Array, out: &mut ValueColumn, kinds: &mut Vec<Option<usize>>) -> Result<(), String> {
        match values.data_type() {
            DataType::Utf8 => self.read_single(values.as_string::<i32>(), out, kinds),
            DataType::List(_) => self.read_sets(values.as_list::<i32>(), out, kinds),
            // All null: no row refers to anything.
            other if values.null_count() < values.len() => Err(format!("the column `{}` has the type {other}", self.field.name)),
            _ => {
                for _ in 0..values.len() {
                    out.push_null();
                    kinds.push(None);
                }
                Ok(())
            }
        }
    }

    fn target(&self, text: &str) -> Result<Target<'n>, String> {
        let field = &self.field.name;
        let (kind, at, name) = match text.split_once(':').filter(|_| self.several) {
            Some((kind, name)) => (kind, self.model.kind(kind).map(|(at, _)| at), name),
            None => (self.field.reference.as_deref().unwrap_or_default(), self.only, text),
        };
        let Some(at) = at else { return Err(format!("`{field}` refers to the unknown kind `{kind}`")) };
        let Some(Some(Ok(peers))) = self.names.get(at) else { return Err(format!("`{field}` refers to `{kind}`, which is not stored")) };
        match peers.find(name) {
            Named::Row(row) => Ok(Target { kind: at, names: peers, row }),
            Named::Several => Err(format!("`{field}` refers to `{name}`, which may be two objects")),
            Named::Nothing => Err(format!("`{field}` refers to `{name}`, which is not stored")),
        }
    }

    fn read_single(&self, texts: &StringArray, out: &mut ValueColumn, kinds: &mut Vec<Option<usize>>) -> Result<(), String> {
        // Neighbours often refer to one peer.
        let mut last: Option<(&str, Target<'n>)> = None;
        for row in 0..texts.len() {
            if texts.is_null(row) {
                out.push_null();
                kinds.push(None);
                continue;
            }
            let text = texts.value(row);
            let peer = match last.take() {
                Some((name, target)) if name == text => target,
                _ => self.target(text)?,
            };
            match peer.id() {
                Some(id) => out.push(Tag::Id, id),
                None => out.push_peer(&peer.value(self.model)),
            }
            kinds.push(Some(peer.kind));
            last = Some((text, peer));
        }
        Ok(())
    }

    fn read_sets(&self, lists: &ListArray, out: &mut ValueColumn, kinds: &mut Vec<Option<usize>>) -> Result<(), String> {
        let items = lists.values().as_string_opt::<i32>().ok_or("a list of peers has no text")?;
        let ends = lists.value_offsets();
        let mut ids = String::new();
        for row in 0..lists.len() {
            if lists.is_null(row) {
                out.push_null();
                kinds.push(None);
                continue;
            }
            let of_row = ends.get(row).copied().unwrap_or(0) as usize..ends.get(row + 1).copied().unwrap_or(0) as usize;
            let mut peers = Vec::with_capacity(of_row.len());
            for item in of_row {
                if items.is_null(item) {
                    return Err("a peer has no name".to_owned());
                }
                peers.push(self.target(items.value(item))?);
            }
            let kind = peers.first().map(|peer| peer.kind);
            if peers.iter().any(|peer| Some(peer.kind) != kind) {
                out.push_json(&self.of_several(&peers)?);
                kinds.push(None);
                continue;
            }
            if write_ids(&peers, &mut ids) {
                out.push(Tag::Ids, &ids);
            } else {
                out.push_peer(&peers.iter().map(|peer| peer.value(self.model)).collect());
            }
            kinds.push(kind);
        }
        Ok(())
    }
}

impl References<'_> {
    /// Returns a set of peers of several kinds, each with its kind.
    fn of_several(&self, peers: &[Target<'_>]) -> Result<Value, String> {
        let one = |peer: &Target<'_>| {
            let spec = self.model.kinds.get(peer.kind)?;
            if spec.identifiers.iter().any(|name| name == "kind") {
                return None;
            }
            Some(match peer.id() {
                Some(id) => json!({ "id": id, "kind": spec.name }),
                None => of_kind(spec, key_object(self.model, peer.kind, peer.names.keys.get(peer.row))),
            })
        };
        let several = || format!("`{}` refers to several kinds at once, and one of them has an identifier `kind`", self.field.name);
        peers.iter().map(one).collect::<Option<Value>>().ok_or_else(several)
    }
}

/// Writes the ids of peers as a set has them. Returns false where one has no id that fits.
fn write_ids(peers: &[Target<'_>], ids: &mut String) -> bool {
    ids.clear();
    peers.iter().all(|peer| match peer.id().filter(|id| !id.contains('\n')) {
        Some(id) => {
            ids.push_str(id);
            ids.push('\n');
            true
        }
        None => false,
    })
}

/// Leaves out the rows of these ids, or of ids that are not `kept`: they were read again, or deleted.
pub fn without(raw: &RawKind, leaves: impl Fn(&str) -> bool) -> RawKind {
    let rows: Vec<u32> =
        (0..raw.rows).filter(|row| raw.ids.tag(*row) == Tag::Null || !leaves(raw.ids.text(*row))).map(|row| row as u32).collect();
    let mut out = RawKind::new(raw.columns.len());
    out.rows = rows.len();
    out.ids = raw.ids.gather(&rows);
    out.resources = raw.resources.gather(&rows);
    if !raw.owners.is_empty() {
        out.owners = raw.owners.gather(&rows);
    }
    for (to, from) in out.columns.iter_mut().zip(&raw.columns) {
        *to = from.gather(&rows);
    }
    if !raw.peer_kind_hints.is_empty() {
        for (at, row) in rows.iter().enumerate() {
            let of_field = |field: usize| raw.peer_kinds(*row as usize, field).map(move |kind| (field, kind));
            let peers: Vec<(usize, usize)> = (0..raw.columns.len()).flat_map(of_field).collect();
            out.hint_until(at + 1, &peers);
        }
    }
    out
}
