//! Snapshots of an earlier run as raw rows again, for a run that reads only what changed since.
//!
//! What is read back goes through [`build`](crate::snapshot::build) together with the rows that are new: references are resolved anew, so that
//! the new name of a peer reaches those that refer to it. A stored reference is a unique id, which is looked up among the stored rows of its
//! kind and becomes the peer's own id (its natural key, where the system has no ids). Where a unique id could be two objects, nothing is
//! guessed: the kind is not restored, and read in full.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use serde_json::{Value, json};

use crate::batches::WITHOUT_IDS;
use crate::key::{self, Part};
use crate::mapping::RawKind;
use crate::model::{FieldModel, Model};
use crate::value::{Tag, ValueColumn, value_json};

/// A key as an object: identifier to value, a peer as the object of its own identifiers.
#[must_use]
pub fn key_object(model: &Model, kind: usize, key: &str) -> Value {
    let mut out = serde_json::Map::new();
    if let Some(spec) = model.kinds.get(kind) {
        for (name, part) in spec.identifiers.iter().zip(key::parts(key)) {
            let value = match part {
                Part::Value(tag, text) => value_json(tag, &text),
                Part::Peer(peer) => {
                    let kind = spec.fields.iter().find(|field| field.name == *name).and_then(|field| field.reference.as_ref());
                    kind.and_then(|kind| model.kind(kind)).map_or(Value::Null, |(kind, _)| key_object(model, kind, &peer))
                }
            };
            out.insert(name.clone(), value);
        }
    }
    Value::Object(out)
}

/// The rows of one kind that others refer to.
struct Names {
    /// By unique id: the row, or none where two rows have it.
    rows: HashMap<String, Option<usize>>,
    keys: Vec<String>,
    /// Null where the system has none.
    ids: ValueColumn,
}

impl Names {
    fn new(batches: &[RecordBatch]) -> Result<Names, String> {
        let mut names = Names { rows: HashMap::new(), keys: Vec::new(), ids: ValueColumn::default() };
        for batch in batches {
            let (ids, keys) = (texts(batch, "_source_id")?, texts(batch, "_key")?);
            let schema = batch.schema_ref();
            let without = schema.field_with_name("_source_id").is_ok_and(|field| field.metadata().contains_key(WITHOUT_IDS));
            for row in 0..batch.num_rows() {
                let key: Value = serde_json::from_str(keys.value(row)).map_err(|error| format!("a key is no JSON: {error}"))?;
                let key = key::key_from_json(&key).ok_or("a key is no list")?;
                let name = key::unique_id(&key);
                if without && ids.value(row) == name {
                    names.ids.push_null()
                } else {
                    names.ids.push_text(ids.value(row))
                }
                names.rows.entry(name).and_modify(|row| *row = None).or_insert(Some(names.keys.len()));
                names.keys.push(key);
            }
        }
        Ok(names)
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
pub fn restore(model: &Model, stored: &[Option<Vec<RecordBatch>>]) -> Vec<Result<RawKind, String>> {
    let names: Vec<Option<Result<Names, String>>> =
        stored.iter().map(|batches| batches.as_ref().map(|batches| Names::new(batches))).collect();
    let kinds = model.kinds.iter().enumerate().zip(stored);
    kinds
        .map(|((at, spec), batches)| {
            let batches = batches.as_ref().ok_or("it has no snapshot")?;
            let own = names.get(at).and_then(Option::as_ref).ok_or("it has no snapshot")?.as_ref().map_err(Clone::clone)?;
            let mut raw = RawKind::new(spec.fields.len());
            raw.rows = own.keys.len();
            raw.ids = own.ids.clone();
            // Which of several kinds each reference of a row means, by field.
            let mut meant: Vec<(usize, Vec<Option<usize>>)> = Vec::new();
            for (position, (field, out)) in spec.fields.iter().zip(&mut raw.columns).enumerate() {
                let mut kinds = Vec::new();
                for batch in batches {
                    let values = column(batch, &field.name)?;
                    if field.reference.is_some() {
                        references(model, &names, field, values, out, &mut kinds)?;
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
            if !meant.is_empty() {
                for row in 0..raw.rows {
                    let peers: Vec<(usize, usize)> =
                        meant.iter().filter_map(|(position, kinds)| Some((*position, kinds.get(row).copied().flatten()?))).collect();
                    raw.mean_until(row + 1, &peers);
                }
            }
            Ok(raw)
        })
        .collect()
}

fn plain(values: &dyn Array, is_json: bool, out: &mut ValueColumn) -> Result<(), String> {
    let rows = 0..values.len();
    match values.data_type() {
        DataType::Utf8 => {
            let texts: &StringArray = values.as_string();
            for row in rows {
                match () {
                    () if texts.is_null(row) => out.push_null(),
                    () if is_json => {
                        out.push_json(&serde_json::from_str(texts.value(row)).map_err(|error| format!("is no JSON: {error}"))?)
                    }
                    () => out.push_text(texts.value(row)),
                }
            }
        }
        DataType::Int64 => {
            let numbers: &Int64Array = values.as_primitive::<Int64Type>();
            rows.for_each(|row| if numbers.is_null(row) { out.push_null() } else { out.push(Tag::Int, &numbers.value(row).to_string()) });
        }
        DataType::Float64 => {
            let numbers: &Float64Array = values.as_primitive::<Float64Type>();
            rows.for_each(|row| if numbers.is_null(row) { out.push_null() } else { out.push_float(numbers.value(row)) });
        }
        DataType::Boolean => {
            let truths: &BooleanArray = values.as_boolean();
            rows.for_each(|row| match () {
                () if truths.is_null(row) => out.push_null(),
                () if truths.value(row) => out.push(Tag::True, ""),
                () => out.push(Tag::False, ""),
            });
        }
        other => return Err(format!("has the type {other}")),
    }
    Ok(())
}

fn references(
    model: &Model,
    names: &[Option<Result<Names, String>>],
    field: &FieldModel,
    values: &dyn Array,
    out: &mut ValueColumn,
    kinds: &mut Vec<Option<usize>>,
) -> Result<(), String> {
    let several = field.peers().nth(1).is_some();
    let peer = |text: &str| -> Result<(Value, usize), String> {
        let (kind, name) = match text.split_once(':').filter(|_| several) {
            Some((kind, name)) => (kind, name),
            None => (field.reference.as_deref().unwrap_or_default(), text),
        };
        let Some((at, _)) = model.kind(kind) else { return Err(format!("`{}` refers to the unknown kind `{kind}`", field.name)) };
        let Some(Some(Ok(peers))) = names.get(at) else { return Err(format!("`{}` refers to `{kind}`, which is not stored", field.name)) };
        match peers.rows.get(name) {
            Some(Some(row)) if peers.ids.tag(*row) != Tag::Null => Ok((json!({ "id": peers.ids.text(*row) }), at)),
            Some(Some(row)) => Ok((key_object(model, at, peers.keys.get(*row).map(String::as_str).unwrap_or_default()), at)),
            Some(None) => Err(format!("`{}` refers to `{name}`, which may be two objects", field.name)),
            None => Err(format!("`{}` refers to `{name}`, which is not stored", field.name)),
        }
    };
    for row in 0..values.len() {
        let mut kind = None;
        match values.data_type() {
            _ if values.is_null(row) => out.push_null(),
            DataType::Utf8 => {
                let (value, at) = peer(values.as_string::<i32>().value(row))?;
                kind = Some(at);
                out.push_peer(&value);
            }
            DataType::List(_) => {
                let items = values.as_list::<i32>().value(row);
                let items = items.as_string_opt::<i32>().ok_or("a list of peers has no text")?;
                let mut peers = Vec::with_capacity(items.len());
                for item in items {
                    let (value, at) = peer(item.ok_or("a peer has no name")?)?;
                    // One mapping made the row, and it means one kind.
                    if kind.replace(at).is_some_and(|other| other != at) {
                        return Err(format!("`{}` refers to two kinds at once", field.name));
                    }
                    peers.push(value);
                }
                out.push_peer(&Value::Array(peers));
            }
            other => return Err(format!("the column `{}` has the type {other}", field.name)),
        }
        kinds.push(kind);
    }
    Ok(())
}

/// Leaves out the rows of these ids, or of ids that are not `kept`: they were read anew, or are gone.
pub fn without(raw: &RawKind, leaves: impl Fn(&str) -> bool) -> RawKind {
    let rows: Vec<u32> =
        (0..raw.rows).filter(|row| raw.ids.tag(*row) == Tag::Null || !leaves(raw.ids.text(*row))).map(|row| row as u32).collect();
    let mut out = RawKind::new(raw.columns.len());
    out.rows = rows.len();
    out.ids = raw.ids.gather(&rows);
    for (to, from) in out.columns.iter_mut().zip(&raw.columns) {
        *to = from.gather(&rows);
    }
    if !raw.meanings.is_empty() {
        for (at, row) in rows.iter().enumerate() {
            let fields = 0..raw.columns.len();
            let peers: Vec<(usize, usize)> = fields.filter_map(|field| Some((field, raw.meant(*row as usize, field)?))).collect();
            out.mean_until(at + 1, &peers);
        }
    }
    out
}
