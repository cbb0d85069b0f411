//! `plan.parquet`: one row per change, in the order in which the plan was made.
//!
//! The first ten columns are 2.0.1's and are strings; the others are what an apply needs. Rows go in and come out one at a time, so
//! that a plan's size does not matter.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{Int32Builder, StringBuilder};
use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use infrahub_sync_core::plan_row::{Action, PlanRow};

use crate::error::CacheError;
use crate::lock::CacheLock;
use crate::parquet_file::{FileName, ParquetBatches, ParquetFile, Types, Written, properties};
use crate::sums::Sum;

/// Rows of a batch.
const BATCH_ROWS: usize = 1024;

/// Bytes of text of a batch, which bounds the memory when values are large.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of text of one row. Offsets inside a batch are 32 bits; this leaves room for the batch it comes into.
const ROW_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// The columns with few different values, which a dictionary makes small and fast to filter by.
const REPEATED: [&str; 10] =
    ["action", "resource", "attribute", "owner", "skip_reason", "conflict_class", "tier", "pass", "evidence", "destination_mapping"];

/// The columns that plans of earlier versions do not have.
const LATER: [&str; 2] = ["evidence", "destination_mapping"];

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let text_or_null = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int32, false);
    Arc::new(Schema::new(vec![
        text("action"),
        text("resource"),
        text("source_id"),
        text_or_null("dest_id"),
        text_or_null("attribute"),
        text_or_null("old_value"),
        text_or_null("new_value"),
        text_or_null("owner"),
        text_or_null("skip_reason"),
        text_or_null("conflict_class"),
        number("tier"),
        number("pass"),
        text("key"),
        text_or_null("peers"),
        text_or_null("evidence"),
        text_or_null("destination_mapping"),
    ]))
});

/// Takes a plan row by row. Dropping it without [`finish`](Self::finish) leaves nothing.
#[derive(Debug)]
pub struct PlanWriter {
    file: ParquetFile,
    batch: Batch,
    sum: Sum,
}

#[derive(Debug, Default)]
struct Batch {
    action: StringBuilder,
    resource: StringBuilder,
    source_id: StringBuilder,
    dest_id: StringBuilder,
    attribute: StringBuilder,
    old_value: StringBuilder,
    new_value: StringBuilder,
    owner: StringBuilder,
    skip_reason: StringBuilder,
    conflict_class: StringBuilder,
    tier: Int32Builder,
    pass: Int32Builder,
    key: StringBuilder,
    peers: StringBuilder,
    evidence: StringBuilder,
    destination_mapping: StringBuilder,
    rows: usize,
    bytes: usize,
}

impl PlanWriter {
    pub(crate) fn create(lock: &CacheLock, path: &Path, sum: Sum) -> Result<PlanWriter, CacheError> {
        let properties = properties(&SCHEMA, |field| REPEATED.contains(&field.name().as_str()));
        let file = ParquetFile::create(lock, path, SCHEMA.clone(), properties)?;
        Ok(PlanWriter { file, batch: Batch::default(), sum })
    }

    /// Writes a row.
    ///
    /// # Errors
    ///
    /// When the disk refuses, or the row cannot be stored (a tier beyond 2³¹, a gibibyte of text).
    pub fn push(&mut self, row: &PlanRow) -> Result<(), CacheError> {
        let unwritable = |problem: String| CacheError::Unwritable { path: self.file.path().to_owned(), problem };
        let bytes = text_bytes(row);
        if bytes > ROW_BYTES_MAX {
            return Err(unwritable(format!("the row of {} {:?} is {bytes} bytes large", row.resource, row.source_id)));
        }
        let number = |value: u32| i32::try_from(value).map_err(|error| unwritable(error.to_string()));
        let (tier, pass) = (number(row.tier)?, number(row.pass)?);

        let batch = &mut self.batch;
        batch.action.append_value(row.action.as_str());
        batch.resource.append_value(&row.resource);
        batch.source_id.append_value(&row.source_id);
        batch.dest_id.append_option(row.dest_id.as_deref());
        batch.attribute.append_option(row.attribute.as_deref());
        batch.old_value.append_option(row.old_value.as_deref());
        batch.new_value.append_option(row.new_value.as_deref());
        batch.owner.append_option(row.owner.as_deref());
        batch.skip_reason.append_option(row.skip_reason.as_deref());
        batch.conflict_class.append_option(row.conflict_class.as_deref());
        batch.tier.append_value(tier);
        batch.pass.append_value(pass);
        batch.key.append_value(&row.key);
        batch.peers.append_option(row.peers.as_deref());
        batch.evidence.append_option(row.evidence.as_deref());
        batch.destination_mapping.append_option(row.destination_mapping.as_deref());
        batch.rows += 1;
        batch.bytes += bytes;
        if batch.rows >= BATCH_ROWS || batch.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Puts the plan in its place; when this returns, it survives a power cut.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn finish(mut self) -> Result<Written, CacheError> {
        self.flush()?;
        let (written, committed) = self.file.finish()?;
        self.sum.note(committed);
        Ok(written)
    }

    fn flush(&mut self) -> Result<(), CacheError> {
        if self.batch.rows == 0 {
            return Ok(());
        }
        let batch = &mut self.batch;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(batch.action.finish()),
            Arc::new(batch.resource.finish()),
            Arc::new(batch.source_id.finish()),
            Arc::new(batch.dest_id.finish()),
            Arc::new(batch.attribute.finish()),
            Arc::new(batch.old_value.finish()),
            Arc::new(batch.new_value.finish()),
            Arc::new(batch.owner.finish()),
            Arc::new(batch.skip_reason.finish()),
            Arc::new(batch.conflict_class.finish()),
            Arc::new(batch.tier.finish()),
            Arc::new(batch.pass.finish()),
            Arc::new(batch.key.finish()),
            Arc::new(batch.peers.finish()),
            Arc::new(batch.evidence.finish()),
            Arc::new(batch.destination_mapping.finish()),
        ];
        batch.rows = 0;
        batch.bytes = 0;
        let batch = RecordBatch::try_new(SCHEMA.clone(), columns)
            .map_err(|error| CacheError::Unwritable { path: self.file.path().to_owned(), problem: error.to_string() })?;
        self.file.write(&batch)
    }
}

fn text_bytes(row: &PlanRow) -> usize {
    let optional = [
        &row.dest_id,
        &row.attribute,
        &row.old_value,
        &row.new_value,
        &row.owner,
        &row.skip_reason,
        &row.conflict_class,
        &row.peers,
        &row.evidence,
        &row.destination_mapping,
    ];
    let optional: usize = optional.iter().map(|text| text.as_ref().map_or(0, String::len)).sum();
    optional + row.resource.len() + row.source_id.len() + row.key.len()
}

/// The rows of a plan, one at a time and in their order.
pub struct PlanReader {
    batches: ParquetBatches,
    rows: VecDeque<PlanRow>,
    /// Nothing sensible follows an error.
    failed: bool,
}

impl PlanReader {
    pub(crate) fn open(file: FileName) -> Result<Option<PlanReader>, CacheError> {
        let Some(batches) = ParquetBatches::open(file, BATCH_ROWS, Types::Plain)? else {
            return Ok(None);
        };
        for field in SCHEMA.fields().iter().filter(|field| !LATER.contains(&field.name().as_str())) {
            if batches.schema().column_with_name(field.name()).is_none() {
                let path = batches.file().path.clone();
                return Err(CacheError::ForeignPlan { path, column: column_name(field.name()) });
            }
        }
        Ok(Some(PlanReader { batches, rows: VecDeque::new(), failed: false }))
    }

    /// Returns the number of rows of the whole plan.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.batches.rows()
    }
}

/// Returns the column's name with a static lifetime.
fn column_name(name: &str) -> &'static str {
    SCHEMA.field_with_name(name).map_or("", |field| field.name().as_str())
}

impl Iterator for PlanReader {
    type Item = Result<PlanRow, CacheError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.rows.is_empty() && !self.failed {
            let rows = self.batches.next()?.and_then(|batch| rows_of(&batch).map_err(|problem| self.batches.file().damaged(problem)));
            match rows {
                Ok(rows) => self.rows = rows,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        self.rows.pop_front().map(Ok)
    }
}

impl fmt::Debug for PlanReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanReader").field("path", &self.batches.file().path).field("rows", &self.rows()).finish()
    }
}

/// Converts a batch into rows.
fn rows_of(batch: &RecordBatch) -> Result<VecDeque<PlanRow>, String> {
    let text = |name: &str| column::<StringArray>(batch, name);
    let number = |name: &str| integers(batch, name);
    let action = text("action")?;
    let resource = text("resource")?;
    let source_id = text("source_id")?;
    let dest_id = text("dest_id")?;
    let attribute = text("attribute")?;
    let old_value = text("old_value")?;
    let new_value = text("new_value")?;
    let owner = text("owner")?;
    let skip_reason = text("skip_reason")?;
    let conflict_class = text("conflict_class")?;
    let tier = number("tier")?;
    let pass = number("pass")?;
    let key = text("key")?;
    let peers = text("peers")?;
    let later = |name: &str| batch.column_by_name(name).map(|_| text(name)).transpose();
    let (evidence, destination_mapping) = (later("evidence")?, later("destination_mapping")?);

    (0..batch.num_rows())
        .map(|row| {
            Ok(PlanRow {
                action: Action::parse(required(&action, row, "action")?)
                    .ok_or_else(|| format!("unknown action {:?}", action.value(row)))?,
                resource: required(&resource, row, "resource")?.to_owned(),
                source_id: required(&source_id, row, "source_id")?.to_owned(),
                dest_id: optional(&dest_id, row),
                attribute: optional(&attribute, row),
                old_value: optional(&old_value, row),
                new_value: optional(&new_value, row),
                owner: optional(&owner, row),
                skip_reason: optional(&skip_reason, row),
                conflict_class: optional(&conflict_class, row),
                tier: count(&tier, row, "tier")?,
                pass: count(&pass, row, "pass")?,
                key: required(&key, row, "key")?.to_owned(),
                peers: optional(&peers, row),
                evidence: evidence.as_ref().and_then(|evidence| optional(evidence, row)),
                destination_mapping: destination_mapping.as_ref().and_then(|resource| optional(resource, row)),
            })
        })
        .collect()
}

/// Returns a column of the type that Parquet itself gives it.
pub(crate) fn column<A: Array + Clone + 'static>(batch: &RecordBatch, name: &str) -> Result<A, String> {
    let column = batch.column_by_name(name).ok_or_else(|| format!("there is no column {name:?}"))?;
    column.as_any().downcast_ref::<A>().cloned().ok_or_else(|| format!("column {name:?} is of type {}", column.data_type()))
}

/// Returns a column of integers, which a tool that rewrote the file may have widened.
fn integers(batch: &RecordBatch, name: &str) -> Result<Int32Array, String> {
    match column::<Int64Array>(batch, name) {
        Ok(wide) => wide
            .try_unary(|value| i32::try_from(value).map_err(|_| ArrowError::CastError(format!("{value} is out of range"))))
            .map_err(|error| format!("column {name:?}: {error}")),
        Err(_) => column::<Int32Array>(batch, name),
    }
}

/// Returns a text that must not be null.
pub(crate) fn required<'a>(column: &'a StringArray, row: usize, name: &str) -> Result<&'a str, String> {
    if column.is_null(row) { Err(format!("column {name:?} is null")) } else { Ok(column.value(row)) }
}

/// Returns a text that may be null.
pub(crate) fn optional(column: &StringArray, row: usize) -> Option<String> {
    column.is_valid(row).then(|| column.value(row).to_owned())
}

fn count(column: &Int32Array, row: usize, name: &str) -> Result<u32, String> {
    if column.is_null(row) {
        return Err(format!("column {name:?} is null"));
    }
    u32::try_from(column.value(row)).map_err(|_| format!("column {name:?} is {}", column.value(row)))
}
