//! The way of records through a mapping, for `explain`: a bounded number of them, so that a run costs the same without it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::filter::Filter;
use crate::key;
use crate::value::Tag;

/// The records of each sort that a mapping keeps.
pub const RECORDS_KEPT: usize = 500;

/// The bytes of the values of one record that are kept; of a larger record only the names are.
const RECORD_BYTES_MAX: usize = 4 * 1024;

/// A record that a filter left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LeftOut {
    /// The record's id.
    pub id: String,
    /// Its identifiers as they were read, joined with `__`: the unique id where they are plain values.
    pub name: String,
    /// The filter: field, operation and value.
    pub filter: String,
    /// The value of the filter's field.
    pub found: Value,
    /// The values that filters and transforms read.
    pub record: Map<String, Value>,
}

/// A record that transforms have changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Transformed {
    /// The record's id.
    pub id: String,
    /// Its identifiers, joined with `__`.
    pub name: String,
    /// The values that were read.
    pub before: Map<String, Value>,
    /// The values that the transforms wrote.
    pub after: Map<String, Value>,
}

/// The records that a mapping kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Trace {
    /// The records that its filters left out, kept or not.
    pub filtered: u64,
    /// The first of them.
    pub left_out: Vec<LeftOut>,
    /// The first records that its transforms have changed.
    pub transformed: Vec<Transformed>,
}

impl Trace {
    /// Returns whether there is nothing to explain.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filtered == 0 && self.transformed.is_empty()
    }

    /// Notes a record that a filter leaves out. `names`: id and identifiers, asked for only if the record is kept.
    pub(super) fn leave_out(&mut self, filter: &Filter, record: &Map<String, Value>, names: impl FnOnce() -> (String, String)) {
        self.filtered += 1;
        if self.left_out.len() >= RECORDS_KEPT {
            return;
        }
        let (id, name) = names();
        let found = filter.value_in(record).cloned().unwrap_or_default();
        let found = if found.to_string().len() > RECORD_BYTES_MAX { Value::Null } else { found };
        self.left_out.push(LeftOut { id, name, filter: filter.to_string(), found, record: kept(record) });
    }

    /// Returns whether the next transformed record is kept.
    pub(super) fn wants_transformed(&self) -> bool {
        self.transformed.len() < RECORDS_KEPT
    }

    /// Notes a record before and after its transforms.
    pub(super) fn transform(&mut self, before: &Map<String, Value>, after: &Map<String, Value>, (id, name): (String, String)) {
        let written: Map<String, Value> = after
            .iter()
            .filter(|(field, value)| before.get(*field) != Some(value))
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect();
        self.transformed.push(Transformed { id, name, before: kept(before), after: kept(&written) });
    }
}

/// Returns a record as it is kept: whole, or the names alone where it is large.
fn kept(record: &Map<String, Value>) -> Map<String, Value> {
    let bytes = serde_json::to_string(record).map_or(usize::MAX, |text| text.len());
    match bytes <= RECORD_BYTES_MAX {
        true => record.clone(),
        false => record.keys().map(|name| (name.clone(), Value::String("… (too long to be kept)".to_owned()))).collect(),
    }
}

/// Joins identifiers as unique ids do.
pub(super) fn name_of(values: impl Iterator<Item = Value>) -> String {
    let mut out = String::new();
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push_str("__");
        }
        match value {
            Value::String(text) => out.push_str(&text),
            Value::Null => key::write_python_str(Tag::Null, "", &mut out),
            other => out.push_str(&other.to_string()),
        }
    }
    out
}
