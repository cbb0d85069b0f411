//! `A/<Kind>.parquet` and `B/<Kind>.parquet`: all objects of a kind on one side.
//!
//! The caller chooses the columns: the kind's fields, and the three of [`internal_fields`] that 2.0.1 adds to each snapshot.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, FieldRef, SchemaRef, TimeUnit};

use crate::error::CacheError;
use crate::lock::Guard;
use crate::parquet_file::{FileName, ParquetBatches, ParquetFile, Types, Written, properties};
use crate::sums::Sum;

/// The column with the time of the read.
pub const EXTRACT_TS: &str = "_extract_ts";
/// The column with the object's id in its system.
pub const SOURCE_ID: &str = "_source_id";
/// The column that marks a deleted object.
pub const TOMBSTONE: &str = "_tombstone";

/// Rows of a batch: enough to hide the cost of a batch, few enough for a few megabytes.
const BATCH_ROWS: usize = 8192;

/// Returns the type of [`EXTRACT_TS`]: microseconds in UTC, as 2.0.1 writes it.
#[must_use]
pub fn extract_ts_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Returns the columns that each snapshot has in addition to the kind's fields.
#[must_use]
pub fn internal_fields() -> [FieldRef; 3] {
    [
        Arc::new(Field::new(EXTRACT_TS, extract_ts_type(), true)),
        Arc::new(Field::new(SOURCE_ID, DataType::Utf8, true)),
        Arc::new(Field::new(TOMBSTONE, DataType::Boolean, true)),
    ]
}

/// Writes a snapshot batch by batch. Dropping it without [`finish`](Self::finish) leaves nothing.
#[derive(Debug)]
pub struct SnapshotWriter {
    file: ParquetFile,
    sum: Sum,
}

impl SnapshotWriter {
    pub(crate) fn create(guard: &Guard, path: &Path, schema: SchemaRef, sum: Sum) -> Result<SnapshotWriter, CacheError> {
        // Nearly all rows have one value: a dictionary makes the column a few bytes.
        let properties = properties(&schema, |field| field.name() == EXTRACT_TS);
        Ok(SnapshotWriter { file: ParquetFile::create(guard, path, schema, properties)?, sum })
    }

    /// Writes a batch. Memory holds at most one row group.
    ///
    /// # Errors
    ///
    /// When the batch does not fit the schema, or the system refuses.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), CacheError> {
        self.file.write(batch)
    }

    /// Gives the snapshot its name. It survives a power cut once this returns.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn finish(self) -> Result<Written, CacheError> {
        let (written, sum) = self.file.finish()?;
        self.sum.record(sum);
        Ok(written)
    }
}

/// The batches of a snapshot, one at a time.
pub struct SnapshotReader(ParquetBatches);

impl SnapshotReader {
    pub(crate) fn open(file: FileName) -> Result<Option<SnapshotReader>, CacheError> {
        Ok(ParquetBatches::open(file, BATCH_ROWS, Types::Stored)?.map(SnapshotReader))
    }

    /// Returns the columns.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        self.0.schema()
    }

    /// Returns the number of rows of the whole file.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.0.rows()
    }
}

impl Iterator for SnapshotReader {
    type Item = Result<RecordBatch, CacheError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl fmt::Debug for SnapshotReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotReader").field("path", &self.0.file().path).field("rows", &self.rows()).finish()
    }
}
