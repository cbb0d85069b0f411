//! Rows of stored snapshots, found by name, as JSON: for people, who ask for one object.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use serde_json::{Map, Value, json};

use crate::key;

/// An object of a stored snapshot.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct StoredRow {
    /// The unique id.
    pub unique_id: String,
    /// The natural key as a JSON array.
    pub key: String,
    /// The id in its system; the unique id where the system has none.
    pub id: String,
    /// The fields, references as unique ids.
    pub fields: Map<String, Value>,
    /// The kinds that each reference field may refer to.
    #[serde(skip)]
    pub references: Vec<(String, Vec<String>)>,
}

/// Calls `take` with the names of each row of a batch: row, unique id, key as JSON, and id.
///
/// # Errors
/// When the batch is not of a snapshot.
pub fn each_name(batch: &RecordBatch, mut take: impl FnMut(usize, &str, &str, &str)) -> Result<(), String> {
    let (keys, ids) = (texts(batch, "_key")?, texts(batch, "_source_id")?);
    let (mut plain, mut name) = (String::new(), String::new());
    for row in 0..batch.num_rows() {
        plain.clear();
        name.clear();
        key::write_key_from_json(keys.value(row), &mut plain).ok_or("a key is not a list")?;
        key::write_unique_id(&plain, &mut name);
        take(row, &name, keys.value(row), ids.value(row));
    }
    Ok(())
}

/// Returns a row of a batch.
///
/// # Errors
/// When the batch is not of a snapshot.
pub fn row(batch: &RecordBatch, row: usize) -> Result<StoredRow, String> {
    let (keys, ids) = (texts(batch, "_key")?, texts(batch, "_source_id")?);
    let mut plain = String::new();
    key::write_key_from_json(keys.value(row), &mut plain).ok_or("a key is not a list")?;
    let mut found = StoredRow {
        unique_id: key::unique_id(&plain),
        key: keys.value(row).to_owned(),
        id: ids.value(row).to_owned(),
        fields: Map::new(),
        references: Vec::new(),
    };
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()).filter(|(field, _)| !field.name().starts_with('_')) {
        let is_json = field.metadata().contains_key("infrahub-sync:encoding");
        found.fields.insert(field.name().clone(), value(column.as_ref(), row, is_json));
        if let Some(kinds) = field.metadata().get("infrahub-sync:reference") {
            found.references.push((field.name().clone(), kinds.split(',').map(str::to_owned).collect()));
        }
    }
    Ok(found)
}

fn texts<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b StringArray, String> {
    batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>()).ok_or_else(|| format!("the column `{name}` has no text"))
}

fn value(column: &dyn Array, row: usize, is_json: bool) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => {
            let text = column.as_string::<i32>().value(row);
            if is_json { serde_json::from_str(text).unwrap_or_else(|_| json!(text)) } else { json!(text) }
        }
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => json!(column.as_boolean().value(row)),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            (0..items.len()).map(|at| value(items.as_ref(), at, false)).collect()
        }
        _ => Value::Null,
    }
}
