//! The format on the disk: the names of the files, the version of the format, and the contents of the smallest files.
//!
//! The JSON files have the shapes of 2.0.1; `run_record` has `run.json`. The columns of the Parquet files are in `plan_file`, `errors_file` and `snapshot_file`.

use std::collections::BTreeMap;

use infrahub_sync_base::PerSide;
use serde::{Deserialize, Serialize};

/// The format that this version writes, and the newest that it reads. 2.0.1 writes none, which counts as 0.
pub const FORMAT: u32 = 1;

/// The lock.
pub(crate) const LOCK_FILE: &str = ".lock";
/// The version of the format.
pub(crate) const FORMAT_FILE: &str = ".format";
/// The baseline of the guardrail.
pub(crate) const ROWCOUNTS_FILE: &str = "last-successful-rowcounts.json";
/// The runs since the last full extract.
pub(crate) const RUN_COUNTER_FILE: &str = "run-counter.json";
/// Objects of the source that vanished without a trace.
pub(crate) const VANISHED_FILE: &str = "vanished.json";
/// The objects that this sync made or adopted.
pub(crate) const OWNERSHIP_FILE: &str = "ownership.parquet";
/// The run whose objects are not in that file yet.
pub(crate) const APPLYING_FILE: &str = "ownership.json";
/// The writes that had no effect.
pub(crate) const NO_EFFECT_FILE: &str = "no-effect.json";
/// The prefix of folders that are about to be removed.
pub(crate) const PRUNED_PREFIX: &str = ".pruned-";

/// The files of a run.
pub(crate) const RUN_FILE: &str = "run.json";
pub(crate) const PLAN_FILE: &str = "plan.parquet";
pub(crate) const JOURNAL_FILE: &str = "journal.bin";
pub(crate) const ERRORS_FILE: &str = "errors.parquet";
pub(crate) const CURSORS_FILE: &str = "cursors.json";
pub(crate) const SCHEMA_SUB_HASH_FILE: &str = "schema-sub-hash.txt";
pub(crate) const PARQUET_SUFFIX: &str = ".parquet";

/// `cursors.json`: where the next incremental run starts, by side and kind. 2.0.1 writes `<TIER>:<value>`, as in
/// `TIMESTAMP:2026-01-01T00:00:00+00:00`. Only the engine interprets a cursor.
pub type Cursors = PerSide<BTreeMap<String, String>>;

/// `last-successful-rowcounts.json`: the source's rows by kind after the last success.
pub type Rowcounts = BTreeMap<String, u64>;

/// `vanished.json`: objects that an earlier run had read, and that the source neither lists any more nor reports as deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Vanished {
    /// The digest of the source's settings: the ids of another system are other objects.
    #[serde(default)]
    pub source: String,
    /// The natural key (as JSON) of each object, by kind and id.
    #[serde(default)]
    pub kinds: BTreeMap<String, BTreeMap<String, String>>,
}

/// `run-counter.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunCounter {
    /// The number of incremental runs since the last full extract.
    #[serde(default)]
    pub runs_since_full: u64,
}

/// The contents of a file when it was written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileSum {
    /// Its length.
    #[serde(default)]
    pub bytes: u64,
    /// The CRC-32 of its bytes, as eight hexadecimal digits.
    #[serde(default)]
    pub crc32: String,
}
