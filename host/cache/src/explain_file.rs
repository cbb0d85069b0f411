//! `explain.json`: records that filters left out or transforms changed, a bounded number of each mapping.
//!
//! Only `explain` reads it. A run without filters and transforms has no such file.

use infrahub_sync_core::mapping::trace::{LeftOut, Trace, Transformed};
use serde::{Deserialize, Serialize};

use crate::error::CacheError;
use crate::reader::RunReader;
use crate::small_files;
use crate::writer::RunWriter;

/// The file of a run.
pub(crate) const EXPLAIN_FILE: &str = "explain.json";

/// The records that one mapping kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Flat")]
pub struct MappingTrace {
    /// The kind.
    pub kind: String,
    /// The position of the mapping in `schema_mapping`, from 0.
    pub mapping: usize,
    /// Its records.
    #[serde(flatten)]
    pub trace: Trace,
}

/// A mapping's records as the file has them. `flatten` does not read numbers that keep their digits.
#[derive(Deserialize)]
struct Flat {
    kind: String,
    mapping: usize,
    filtered: u64,
    left_out: Vec<LeftOut>,
    transformed: Vec<Transformed>,
}

impl From<Flat> for MappingTrace {
    fn from(flat: Flat) -> MappingTrace {
        let Flat { kind, mapping, filtered, left_out, transformed } = flat;
        MappingTrace { kind, mapping, trace: Trace { filtered, left_out, transformed } }
    }
}

impl RunReader {
    /// Reads the records that the mappings kept; a missing file has none.
    ///
    /// # Errors
    ///
    /// [`CacheError::Damaged`].
    pub fn read_traces(&self) -> Result<Vec<MappingTrace>, CacheError> {
        Ok(small_files::read_json(&self.dir().join(EXPLAIN_FILE), &self.remedy())?.unwrap_or_default())
    }
}

impl RunWriter {
    /// Writes the records that the mappings kept. Without any, there is no file.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn write_traces(&self, traces: &[MappingTrace]) -> Result<(), CacheError> {
        if traces.is_empty() {
            return Ok(());
        }
        small_files::write_json(&self.dir().join(EXPLAIN_FILE), &traces)
    }
}
