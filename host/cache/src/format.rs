//! The format on the disk: the names of the files, the version of the format, and the contents of the small files.
//!
//! The JSON files have the shapes of 2.0.1. A file keeps its unknown keys when it is read and written again, so that neither program
//! loses what the other wrote. The columns of the Parquet files are in `plan_file`, `errors_file` and `snapshot_file`.

use std::collections::{BTreeMap, BTreeSet};

use infrahub_sync_base::PerSide;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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

/// `run-counter.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunCounter {
    /// The number of incremental runs since the last full extract.
    #[serde(default)]
    pub runs_since_full: u64,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Unknown: there is no `run.json`.
    #[default]
    Pending,
    /// It is running, or was killed.
    Running,
    /// It created a plan and wrote nothing to the destination.
    DryRun,
    /// Everything was applied.
    Applied,
    /// It stopped at an error.
    Failed,
    /// It ended, and some objects could not be read or written.
    Partial,
}

impl RunStatus {
    /// Returns the word in `run.json`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Pending => "pending",
            RunStatus::Running => "running",
            RunStatus::DryRun => "dry-run",
            RunStatus::Applied => "applied",
            RunStatus::Failed => "failed",
            RunStatus::Partial => "partial",
        }
    }

    /// Returns whether an incremental run can start from the run's snapshots: as in 2.0.1, after `applied` and `dry-run`.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, RunStatus::Applied | RunStatus::DryRun)
    }
}

/// The command of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Unknown, the default of 2.0.1.
    #[default]
    #[serde(rename = "")]
    Unknown,
    /// `diff`
    Diff,
    /// `sync`
    Sync,
    /// `apply`
    Apply,
}

/// An adapter that took part in a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AdapterRecord {
    /// Its name in the configuration.
    #[serde(default)]
    pub name: String,
    /// Its version, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The digest of its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// `run.json`. The fields are written in this order, which is that of 2.0.1: by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunFile {
    /// The adapters of both sides.
    #[serde(default)]
    pub adapters: PerSide<AdapterRecord>,
    /// Rows by side and kind.
    #[serde(default)]
    pub counts: PerSide<BTreeMap<String, u64>>,
    /// Checksums of the snapshots and the plan, by their paths in the run's folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileSum>,
    /// When the run ended, successfully or not.
    #[serde(default, with = "time")]
    pub finished_at: Option<Timestamp>,
    /// The format of the run's files, or 0 for a run of 2.0.1. A writer sets it to [`FORMAT`].
    #[serde(default)]
    pub format: u32,
    /// The command.
    #[serde(default)]
    pub mode: Mode,
    /// Kinds with missing objects, by side: an object that is not in their snapshots may exist.
    #[serde(default)]
    pub partial: PerSide<BTreeSet<String>>,
    /// When the run began.
    #[serde(default, with = "time")]
    pub started_at: Option<Timestamp>,
    /// The state.
    #[serde(default)]
    pub status: RunStatus,
    /// The result, for people and their scripts.
    #[serde(default)]
    pub summary: Map<String, Value>,
    /// Unknown keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl RunFile {
    /// Returns the file of a run that begins now.
    #[must_use]
    pub fn running(mode: Mode, now: Timestamp) -> RunFile {
        RunFile { mode, status: RunStatus::Running, started_at: Some(now), format: FORMAT, ..RunFile::default() }
    }
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

/// Times as Python's `isoformat` writes them in UTC (`2026-01-01T00:00:00.000000+00:00`), which every version of Python also reads.
pub(crate) mod time {
    use jiff::{Timestamp, tz::TimeZone};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        let text = time.map(|time| time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string());
        text.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_json_is_what_2_0_1_reads_and_more() {
        let mut run = RunFile::running(Mode::Sync, "2026-01-02T03:04:05.678901Z".parse().expect("a time"));
        run.summary.insert("resources".to_owned(), 3.into());
        insta::assert_snapshot!(serde_json::to_string_pretty(&run).expect("JSON"), @r#"
        {
          "adapters": {
            "A": {
              "name": ""
            },
            "B": {
              "name": ""
            }
          },
          "counts": {
            "A": {},
            "B": {}
          },
          "finished_at": null,
          "format": 1,
          "mode": "sync",
          "partial": {
            "A": [],
            "B": []
          },
          "started_at": "2026-01-02T03:04:05.678901+00:00",
          "status": "running",
          "summary": {
            "resources": 3
          }
        }
        "#);
    }

    #[test]
    fn run_json_of_2_0_1_is_read() {
        let json =
            r#"{"finished_at": "2026-01-02T03:04:05.678901+00:00", "mode": "diff", "status": "dry-run", "summary": {"resources": 2}}"#;
        let run: RunFile = serde_json::from_str(json).expect("readable");
        assert_eq!((run.format, run.mode, run.status), (0, Mode::Diff, RunStatus::DryRun));
        assert_eq!(run.finished_at, Some("2026-01-02T03:04:05.678901Z".parse().expect("a time")));
    }

    #[test]
    fn unknown_keys_are_kept() {
        let run: RunFile = serde_json::from_str(r#"{"status": "partial", "later": [1]}"#).expect("readable");
        let json: Value = serde_json::to_value(&run).expect("JSON");
        assert_eq!(json["later"], serde_json::json!([1]));
        assert_eq!(json["status"], "partial");
    }

    #[test]
    fn every_status_is_the_word_that_is_written() {
        use RunStatus::{Applied, DryRun, Failed, Partial, Pending, Running};
        for status in [Pending, Running, DryRun, Applied, Failed, Partial] {
            assert_eq!(serde_json::to_value(status).expect("JSON"), status.as_str());
        }
    }
}
