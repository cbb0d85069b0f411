//! `plan.parquet`: one row per change, in the order in which the plan was made.
//!
//! The first ten columns are those of 2.0.1 and are strings. An apply needs the others. Rows are written and read one at a time, so that the
//! size of a plan does not matter.
//!
//! [`COLUMNS`] is the only list of the columns: a new one is a field of [`PlanRow`] and a line there.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{Int32Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use infrahub_sync_core::plan_row::{Action, PlanRow};

use crate::error::CacheError;
use crate::lock::Guard;
use crate::parquet_file::{FileName, ParquetBatches, ParquetFile, Types, Written, column, count, integers, optional, properties, required};
use crate::sums::Sum;

/// Rows of a batch.
const BATCH_ROWS: usize = 1024;

/// Bytes of text of a batch, which limit the memory for large values.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of text of one row. Offsets inside a batch have 32 bits, and this leaves room for the rest of the batch.
const ROW_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// A column of the plan.
struct Column {
    name: &'static str,
    value: Value,
    /// Few distinct values, for which a dictionary is small and fast to filter.
    repeated: bool,
    /// Plans of earlier versions do not have it.
    later: bool,
}

/// Gets the value of a column from a row, and puts it into one.
enum Value {
    Text(fn(&PlanRow) -> &str, fn(&mut PlanRow, &str) -> Result<(), String>),
    TextOrNull(fn(&PlanRow) -> &Option<String>, fn(&mut PlanRow) -> &mut Option<String>),
    Number(fn(&PlanRow) -> u32, fn(&mut PlanRow) -> &mut u32),
}

/// Describes the column of a field.
macro_rules! column_of {
    (text $field:ident) => {
        column_of!(@ $field, Value::Text(
            |row| &row.$field,
            |row, text| {
                text.clone_into(&mut row.$field);
                Ok(())
            },
        ))
    };
    (text_or_null $field:ident) => {
        column_of!(@ $field, Value::TextOrNull(|row| &row.$field, |row| &mut row.$field))
    };
    (number $field:ident) => {
        column_of!(@ $field, Value::Number(|row| row.$field, |row| &mut row.$field))
    };
    (@ $field:ident, $value:expr) => {
        Column { name: stringify!($field), value: $value, repeated: false, later: false }
    };
}

/// All columns, in the order of the file.
const COLUMNS: [Column; 17] = [
    Column { name: "action", value: Value::Text(|row| row.action.as_str(), set_action), repeated: true, later: false },
    Column { repeated: true, ..column_of!(text resource) },
    column_of!(text source_id),
    column_of!(text_or_null dest_id),
    Column { repeated: true, ..column_of!(text_or_null attribute) },
    column_of!(text_or_null old_value),
    column_of!(text_or_null new_value),
    Column { repeated: true, ..column_of!(text_or_null owner) },
    Column { repeated: true, ..column_of!(text_or_null skip_reason) },
    Column { repeated: true, ..column_of!(text_or_null conflict_class) },
    Column { repeated: true, ..column_of!(number tier) },
    Column { repeated: true, ..column_of!(number pass) },
    column_of!(text key),
    column_of!(text_or_null peers),
    Column { repeated: true, later: true, ..column_of!(text_or_null evidence) },
    Column { repeated: true, later: true, ..column_of!(text_or_null destination_mapping) },
    Column { later: true, ..column_of!(text_or_null along) },
];

fn set_action(row: &mut PlanRow, text: &str) -> Result<(), String> {
    row.action = Action::parse(text).ok_or_else(|| format!("unknown action {text:?}"))?;
    Ok(())
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let fields = COLUMNS.iter().map(|column| match column.value {
        Value::Text(..) => Field::new(column.name, DataType::Utf8, false),
        Value::TextOrNull(..) => Field::new(column.name, DataType::Utf8, true),
        Value::Number(..) => Field::new(column.name, DataType::Int32, false),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
});

/// Writes a plan row by row. Dropping it without [`finish`](Self::finish) leaves nothing.
#[derive(Debug)]
pub struct PlanWriter {
    file: ParquetFile,
    batch: Batch,
    sum: Sum,
}

/// Rows that are not written yet, by column.
#[derive(Debug)]
struct Batch {
    columns: Vec<Builder>,
    rows: usize,
    bytes: usize,
}

#[derive(Debug)]
enum Builder {
    Text(StringBuilder),
    Number(Int32Builder),
}

impl Batch {
    fn new() -> Batch {
        let builder = |column: &Column| match column.value {
            Value::Text(..) | Value::TextOrNull(..) => Builder::Text(StringBuilder::new()),
            Value::Number(..) => Builder::Number(Int32Builder::new()),
        };
        Batch { columns: COLUMNS.iter().map(builder).collect(), rows: 0, bytes: 0 }
    }

    /// Adds a row, which must pass [`check`].
    fn push(&mut self, row: &PlanRow) {
        for (column, builder) in COLUMNS.iter().zip(&mut self.columns) {
            match (&column.value, builder) {
                (Value::Text(get, _), Builder::Text(texts)) => texts.append_value(get(row)),
                (Value::TextOrNull(get, _), Builder::Text(texts)) => texts.append_option(get(row).as_deref()),
                (Value::Number(get, _), Builder::Number(numbers)) => numbers.append_option(i32::try_from(get(row)).ok()),
                // `new` makes each builder from its column.
                (Value::Text(..) | Value::TextOrNull(..), Builder::Number(_)) | (Value::Number(..), Builder::Text(_)) => {}
            }
        }
        self.rows += 1;
        self.bytes += text_bytes(row);
    }

    /// Returns the columns, and begins again.
    fn finish(&mut self) -> Vec<ArrayRef> {
        (self.rows, self.bytes) = (0, 0);
        let finish = |builder: &mut Builder| -> ArrayRef {
            match builder {
                Builder::Text(texts) => Arc::new(texts.finish()),
                Builder::Number(numbers) => Arc::new(numbers.finish()),
            }
        };
        self.columns.iter_mut().map(finish).collect()
    }
}

/// Returns the bytes of all texts of a row.
fn text_bytes(row: &PlanRow) -> usize {
    let length = |column: &Column| match column.value {
        Value::Text(get, _) => get(row).len(),
        Value::TextOrNull(get, _) => get(row).as_ref().map_or(0, String::len),
        Value::Number(..) => 0,
    };
    COLUMNS.iter().map(length).sum()
}

/// Describes why a row cannot be stored.
fn check(row: &PlanRow) -> Result<(), String> {
    let bytes = text_bytes(row);
    if bytes > ROW_BYTES_MAX {
        return Err(format!("the row of {} {:?} has {bytes} bytes", row.resource, row.source_id));
    }
    COLUMNS.iter().try_for_each(|column| match column.value {
        Value::Number(get, _) => i32::try_from(get(row)).map(|_| ()).map_err(|error| format!("{}: {error}", column.name)),
        Value::Text(..) | Value::TextOrNull(..) => Ok(()),
    })
}

impl PlanWriter {
    pub(crate) fn create(guard: &Guard, path: &Path, sum: Sum) -> Result<PlanWriter, CacheError> {
        let repeated = |field: &Field| COLUMNS.iter().any(|column| column.repeated && column.name == field.name());
        let file = ParquetFile::create(guard, path, SCHEMA.clone(), properties(&SCHEMA, repeated))?;
        Ok(PlanWriter { file, batch: Batch::new(), sum })
    }

    /// Writes a row.
    ///
    /// # Errors
    ///
    /// When the system refuses, or the row cannot be stored: a tier of 2³¹, or more than a gibibyte of text.
    pub fn push(&mut self, row: &PlanRow) -> Result<(), CacheError> {
        check(row).map_err(|problem| self.unwritable(problem))?;
        self.batch.push(row);
        if self.batch.rows >= BATCH_ROWS || self.batch.bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Gives the plan its name. It survives a power cut once this returns.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn finish(mut self) -> Result<Written, CacheError> {
        self.flush()?;
        let (written, sum) = self.file.finish()?;
        self.sum.record(sum);
        Ok(written)
    }

    fn flush(&mut self) -> Result<(), CacheError> {
        if self.batch.rows == 0 {
            return Ok(());
        }
        let batch = RecordBatch::try_new(SCHEMA.clone(), self.batch.finish()).map_err(|error| self.unwritable(error.to_string()))?;
        self.file.write(&batch)
    }

    fn unwritable(&self, problem: String) -> CacheError {
        CacheError::Unwritable { path: self.file.path().to_owned(), problem }
    }
}

/// The rows of a plan, one at a time and in order.
pub struct PlanReader {
    batches: ParquetBatches,
    rows: VecDeque<PlanRow>,
    /// An error is the last item.
    failed: bool,
}

impl PlanReader {
    pub(crate) fn open(file: FileName) -> Result<Option<PlanReader>, CacheError> {
        let Some(batches) = ParquetBatches::open(file, BATCH_ROWS, Types::Plain)? else {
            return Ok(None);
        };
        let is_missing = |column: &&Column| !column.later && batches.schema().column_with_name(column.name).is_none();
        match COLUMNS.iter().find(is_missing) {
            Some(column) => Err(CacheError::ForeignPlan { path: batches.file().path.clone(), column: column.name }),
            None => Ok(Some(PlanReader { batches, rows: VecDeque::new(), failed: false })),
        }
    }

    /// Returns the number of rows of the whole plan.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.batches.rows()
    }
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

/// Turns a batch into rows.
fn rows_of(batch: &RecordBatch) -> Result<VecDeque<PlanRow>, String> {
    let mut rows: VecDeque<PlanRow> = (0..batch.num_rows()).map(|_| PlanRow::default()).collect();
    for Column { name, value, later, .. } in &COLUMNS {
        if *later && batch.column_by_name(name).is_none() {
            continue;
        }
        let mut rows = rows.iter_mut().enumerate();
        match value {
            Value::Text(_, set) => {
                let texts = column::<StringArray>(batch, name)?;
                rows.try_for_each(|(at, row)| set(row, required(&texts, at, name)?))?;
            }
            Value::TextOrNull(_, field) => {
                let texts = column::<StringArray>(batch, name)?;
                rows.for_each(|(at, row)| *field(row) = optional(&texts, at));
            }
            Value::Number(_, field) => {
                let numbers = integers(batch, name)?;
                rows.try_for_each(|(at, row)| {
                    *field(row) = count(&numbers, at, name)?;
                    Ok::<(), String>(())
                })?;
            }
        }
    }
    Ok(rows)
}
