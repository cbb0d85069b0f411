//! Writes and reads Parquet files, and takes columns out of their batches.

use std::fs::File;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use arrow_array::{Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use infrahub_sync_durable::AtomicFile;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, Encoding};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::error::{CacheError, IoContext, Remedy};
use crate::format::FileSum;
use crate::lock::Guard;
use crate::sums::Summing;

/// Rows of a row group. Memory holds an encoded group until it is full, and DuckDB reads groups in parallel.
const GROUP_ROWS_MAX: usize = 128 * 1024;

/// Bytes of a row group, which limit the memory for large rows.
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The size of a written file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// Returns the settings that all files share. `repeated` selects the columns with few distinct values.
///
/// Measured by `examples/cache_bench.rs settings` on a million rows of ten columns:
///
/// - Text as lengths and then bytes, with Snappy: of the small encodings, this is the fastest to write and to read. Dictionaries cost twice
///   as much to write, so only repetitive columns have one.
/// - No statistics and no offset index: no query searches inside a snapshot, and comparing every text for them cost 5 % of a diff.
pub(crate) fn properties(schema: &Schema, repeated: impl Fn(&Field) -> bool) -> WriterProperties {
    let shared = WriterProperties::builder()
        .set_created_by(concat!("infrahub-sync ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
        .set_max_row_group_bytes(Some(GROUP_BYTES_MAX))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_dictionary_enabled(false)
        .set_compression(Compression::SNAPPY);
    let of_columns = schema.fields().iter().fold(shared, |properties, field| {
        // The name is not parsed: it may contain a dot.
        let column = ColumnPath::from(field.name().as_str());
        if repeated(field) {
            properties.set_column_dictionary_enabled(column, true)
        } else if matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8) {
            properties.set_column_encoding(column, Encoding::DELTA_LENGTH_BYTE_ARRAY)
        } else {
            properties
        }
    });
    of_columns.build()
}

/// An unfinished Parquet file. Dropping it without [`finish`](Self::finish) leaves nothing.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    writer: ArrowWriter<Summing<AtomicFile>>,
    path: PathBuf,
    rows: u64,
    /// A writer holds the lock.
    _guard: Guard,
}

impl ParquetFile {
    pub(crate) fn create(guard: &Guard, path: &Path, schema: SchemaRef, properties: WriterProperties) -> Result<ParquetFile, CacheError> {
        let file = Summing::new(AtomicFile::create(path)?);
        let writer = ArrowWriter::try_new(file, schema, Some(properties)).map_err(|error| write_error(path, error))?;
        Ok(ParquetFile { writer, path: path.to_owned(), rows: 0, _guard: guard.clone() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), CacheError> {
        self.writer.write(batch).map_err(|error| write_error(&self.path, error))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Gives the file its name. The file survives a power cut once this returns.
    pub(crate) fn finish(self) -> Result<(Written, FileSum), CacheError> {
        let ParquetFile { writer, path, rows, _guard } = self;
        let file = writer.into_inner().map_err(|error| write_error(&path, error))?;
        let (file, sum) = file.finish();
        file.commit()?;
        Ok((Written { rows, bytes: sum.bytes }, sum))
    }
}

/// Separates the system's refusal from a batch that does not fit the schema.
fn write_error(path: &Path, error: ParquetError) -> CacheError {
    let source = match error {
        ParquetError::External(source) => source,
        other => {
            return CacheError::Unwritable { path: path.to_owned(), problem: other.to_string() };
        }
    };
    match source.downcast::<io::Error>() {
        Ok(source) => CacheError::Io { action: "write", path: path.to_owned(), source: *source },
        Err(source) => CacheError::Unwritable { path: path.to_owned(), problem: source.to_string() },
    }
}

/// The batches of a Parquet file, one at a time. An error is the last item.
pub(crate) struct ParquetBatches {
    /// `None` after an error.
    reader: Option<ParquetRecordBatchReader>,
    schema: SchemaRef,
    rows: u64,
    file: FileName,
}

/// The types of the columns that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Types {
    /// The stored Arrow types.
    Stored,
    /// The types of Parquet itself, whatever another tool stored (dictionaries, views, large texts).
    Plain,
}

/// A file, and what to do if it is damaged.
#[derive(Debug, Clone)]
pub(crate) struct FileName {
    pub(crate) path: PathBuf,
    pub(crate) remedy: Remedy,
}

impl FileName {
    pub(crate) fn damaged(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CacheError {
        CacheError::Damaged { path: self.path.clone(), remedy: self.remedy.clone(), source: source.into() }
    }
}

impl ParquetBatches {
    /// Opens a file, or returns `None` if it is missing.
    pub(crate) fn open(file: FileName, batch_rows: usize, types: Types) -> Result<Option<ParquetBatches>, CacheError> {
        let handle = match File::open(&file.path) {
            Ok(handle) => handle,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at("read", &file.path),
        };
        let bytes = handle.metadata().at("read", &file.path)?.len();
        let opened = unpanicked(|| {
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(types == Types::Plain);
            let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(handle, options)?;
            check_extents(builder.metadata(), bytes)?;
            let schema = builder.schema().clone();
            let rows = builder.metadata().file_metadata().num_rows();
            Ok((schema, rows, builder.with_batch_size(batch_rows).build()?))
        });
        let (schema, rows, reader) = opened.map_err(|error| file.damaged(error))?;
        let rows = u64::try_from(rows).map_err(|error| file.damaged(error))?;
        Ok(Some(ParquetBatches { reader: Some(reader), schema, rows, file }))
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn file(&self) -> &FileName {
        &self.file
    }
}

impl Iterator for ParquetBatches {
    type Item = Result<RecordBatch, CacheError>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        match unpanicked(|| Ok(reader.next().transpose()?)) {
            Ok(batch) => batch.map(Ok),
            Err(error) => {
                self.reader = None;
                Some(Err(self.file.damaged(error)))
            }
        }
    }
}

/// Checks that all columns are inside the file, which the Parquet crate assumes.
fn check_extents(metadata: &ParquetMetaData, bytes: u64) -> Result<(), ParquetError> {
    for column in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
        let end = u64::try_from(start)
            .ok()
            .zip(u64::try_from(column.compressed_size()).ok())
            .and_then(|(start, length)| start.checked_add(length));
        if end.is_none_or(|end| end > bytes) {
            return Err(ParquetError::General(format!("column {} lies outside of the file", column.column_path())));
        }
    }
    Ok(())
}

/// Turns a panic into an error: the Parquet crate panics at some damage, and a damaged file must not stop a run that can do without it. The
/// callers discard the reader that panicked.
fn unpanicked<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    std::panic::catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(ParquetError::General(text.unwrap_or("unreadable").to_owned()))
    })
}

/// Returns a column of the type that Parquet itself gives it.
pub(crate) fn column<A: Array + Clone + 'static>(batch: &RecordBatch, name: &str) -> Result<A, String> {
    let column = batch.column_by_name(name).ok_or_else(|| format!("there is no column {name:?}"))?;
    column.as_any().downcast_ref::<A>().cloned().ok_or_else(|| format!("column {name:?} is of type {}", column.data_type()))
}

/// Returns a column of integers, which another tool may have widened.
pub(crate) fn integers(batch: &RecordBatch, name: &str) -> Result<Int32Array, String> {
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

/// Returns a count that must not be null or negative.
pub(crate) fn count(column: &Int32Array, row: usize, name: &str) -> Result<u32, String> {
    if column.is_null(row) {
        return Err(format!("column {name:?} is null"));
    }
    u32::try_from(column.value(row)).map_err(|_| format!("column {name:?} is {}", column.value(row)))
}
