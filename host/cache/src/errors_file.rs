//! `errors.parquet`: the objects that could not be read or written, in the columns of 2.0.1.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::error::CacheError;
use crate::lock::Guard;
use crate::parquet_file::{FileName, ParquetBatches, ParquetFile, Types, Written, column, optional, properties, required};

/// Rows of a batch.
const BATCH_ROWS: usize = 1024;

/// An object or a relationship that could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ErrorRow {
    /// The class of the failure, for grouping.
    pub error_class: String,
    /// The kind.
    pub resource: String,
    /// The object's unique id.
    pub source_id: Option<String>,
    /// The destination's id of the object.
    pub dest_id: Option<String>,
    /// The field.
    pub attribute: Option<String>,
    /// The failure.
    pub message: String,
    /// The remedy.
    pub hint: Option<String>,
    /// The number of retries.
    pub retry_count: i64,
    /// Whether the whole object failed, and not only the field.
    pub terminal: bool,
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let text_or_null = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("error_class"),
        text("resource"),
        text_or_null("source_id"),
        text_or_null("dest_id"),
        text_or_null("attribute"),
        text("message"),
        text_or_null("hint"),
        Field::new("retry_count", DataType::Int64, false),
        Field::new("terminal", DataType::Boolean, false),
    ]))
});

pub(crate) fn write(guard: &Guard, path: &Path, rows: &[ErrorRow]) -> Result<Written, CacheError> {
    let mut file = ParquetFile::create(guard, path, SCHEMA.clone(), properties(&SCHEMA, |_| true))?;
    for rows in rows.chunks(BATCH_ROWS) {
        let text = |of: fn(&ErrorRow) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(of))) };
        let text_or_null = |of: fn(&ErrorRow) -> Option<&str>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<StringArray>()) };
        let columns: Vec<ArrayRef> = vec![
            text(|row| &row.error_class),
            text(|row| &row.resource),
            text_or_null(|row| row.source_id.as_deref()),
            text_or_null(|row| row.dest_id.as_deref()),
            text_or_null(|row| row.attribute.as_deref()),
            text(|row| &row.message),
            text_or_null(|row| row.hint.as_deref()),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.retry_count))),
            Arc::new(rows.iter().map(|row| Some(row.terminal)).collect::<BooleanArray>()),
        ];
        let batch = RecordBatch::try_new(SCHEMA.clone(), columns)
            .map_err(|error| CacheError::Unwritable { path: path.to_owned(), problem: error.to_string() })?;
        file.write(&batch)?;
    }
    // run.json has no checksum of it: it may be written again later.
    Ok(file.finish()?.0)
}

/// Reads all rows. A missing file has none.
pub(crate) fn read(file: FileName) -> Result<Vec<ErrorRow>, CacheError> {
    let Some(batches) = ParquetBatches::open(file.clone(), BATCH_ROWS, Types::Plain)? else {
        return Ok(Vec::new());
    };
    let mut rows = Vec::new();
    for batch in batches {
        rows_of(&batch?, &mut rows).map_err(|problem| file.damaged(problem))?;
    }
    Ok(rows)
}

fn rows_of(batch: &RecordBatch, rows: &mut Vec<ErrorRow>) -> Result<(), String> {
    let text = |name: &str| column::<StringArray>(batch, name);
    let error_class = text("error_class")?;
    let resource = text("resource")?;
    let source_id = text("source_id")?;
    let dest_id = text("dest_id")?;
    let attribute = text("attribute")?;
    let message = text("message")?;
    let hint = text("hint")?;
    let retry_count = column::<Int64Array>(batch, "retry_count")?;
    let terminal = column::<BooleanArray>(batch, "terminal")?;
    for row in 0..batch.num_rows() {
        if retry_count.is_null(row) || terminal.is_null(row) {
            return Err("column \"retry_count\" or \"terminal\" is null".to_owned());
        }
        rows.push(ErrorRow {
            error_class: required(&error_class, row, "error_class")?.to_owned(),
            resource: required(&resource, row, "resource")?.to_owned(),
            source_id: optional(&source_id, row),
            dest_id: optional(&dest_id, row),
            attribute: optional(&attribute, row),
            message: required(&message, row, "message")?.to_owned(),
            hint: optional(&hint, row),
            retry_count: retry_count.value(row),
            terminal: terminal.value(row),
        });
    }
    Ok(())
}
