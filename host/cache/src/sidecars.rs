//! The small files beside the Parquet files: JSON in 2.0.1's shapes, and one text file.
//!
//! Unknown keys are kept when a file is read and written again, so that neither program loses what the other put there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use infrahub_sync_base::PerSide;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::atomic;
use crate::error::{CacheError, IoContext};
use crate::sums::FileSum;

/// The format this version writes and the newest it reads. 2.0.1 writes none, which counts as 0.
pub const FORMAT: u32 = 1;

/// `cursors.json`: where the next incremental run continues, by side and kind. 2.0.1 writes `<TIER>:<value>`, as in
/// `TIMESTAMP:2026-01-01T00:00:00+00:00`; what a cursor means is the engine's business.
pub type Cursors = PerSide<BTreeMap<String, String>>;

/// `last-successful-rowcounts.json`: the source's rows by kind, after the last success.
pub type Rowcounts = BTreeMap<String, u64>;

/// `run-counter.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunCounter {
    /// How many incremental runs there were since the last full extract.
    #[serde(default)]
    pub runs_since_full: u64,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Nothing is known: there is no `run.json`.
    #[default]
    Pending,
    /// It runs, or was killed.
    Running,
    /// It made a plan and wrote nothing to the destination.
    DryRun,
    /// Everything was applied.
    Applied,
    /// It stopped at an error.
    Failed,
    /// It came to its end, and some objects could not be read or written.
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

    /// Returns whether the run's snapshots are complete, so that an incremental run can start from them. As in 2.0.1, they are for
    /// `applied` and `dry-run`.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, RunStatus::Applied | RunStatus::DryRun)
    }
}

/// The command that a run is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Not known; 2.0.1's default.
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
    /// Its version, where it says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The digest of its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// `run.json`. The fields stand in the order in which they are written, which is 2.0.1's: by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunFile {
    /// The adapters of both sides.
    #[serde(default)]
    pub adapters: PerSide<AdapterRecord>,
    /// Rows by side and kind.
    #[serde(default)]
    pub counts: PerSide<BTreeMap<String, u64>>,
    /// Check sums of the snapshots and the plan, by their paths in the run's folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileSum>,
    /// When the run ended, well or not.
    #[serde(default, with = "time")]
    pub finished_at: Option<Timestamp>,
    /// The format of the run's files; 0 for one of 2.0.1. Set to [`FORMAT`] when written.
    #[serde(default)]
    pub format: u32,
    /// The command.
    #[serde(default)]
    pub mode: Mode,
    /// Kinds of which not all objects were read, by side: what is not in their snapshots may exist.
    #[serde(default)]
    pub partial: PerSide<BTreeSet<String>>,
    /// When the run began.
    #[serde(default, with = "time")]
    pub started_at: Option<Timestamp>,
    /// How it stands.
    #[serde(default)]
    pub status: RunStatus,
    /// The outcome, for people and their scripts.
    #[serde(default)]
    pub summary: Map<String, Value>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl RunFile {
    /// Returns a run that begins now.
    #[must_use]
    pub fn running(mode: Mode, now: Timestamp) -> RunFile {
        RunFile { mode, status: RunStatus::Running, started_at: Some(now), format: FORMAT, ..RunFile::default() }
    }
}

/// Times as Python's `isoformat` writes them in UTC (`2026-01-01T00:00:00.000000+00:00`), which every version of it also reads.
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

/// Reads a JSON file; `None` when it is not there.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, remedy: &str) -> Result<Option<T>, CacheError> {
    let Some(bytes) = read(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| CacheError::Damaged {
        path: path.to_owned(),
        remedy: remedy.to_owned(),
        source: source.into(),
    })
}

/// Writes a JSON file as 2.0.1 lays it out, with an indent of two.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), CacheError> {
    let json =
        serde_json::to_vec_pretty(value).map_err(|error| CacheError::Unwritable { path: path.to_owned(), problem: error.to_string() })?;
    atomic::write_file(path, &json)
}

/// Reads a file; `None` when it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, CacheError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", path),
    }
}

/// Reads `run.json`; `None` when it is not there.
pub(crate) fn read_run_file(path: &Path, remedy: &str) -> Result<Option<RunFile>, CacheError> {
    // The format first: what a newer version writes need not fit our shape.
    #[derive(Deserialize)]
    struct Format {
        #[serde(default)]
        format: u32,
    }
    match read_json::<Format>(path, remedy)? {
        Some(Format { format }) if format > FORMAT => {
            Err(CacheError::NewerFormat { path: path.to_owned(), found: format, supported: FORMAT })
        }
        Some(_) => read_json(path, remedy),
        None => Ok(None),
    }
}

/// Checks the cache's format, and records ours where there is none.
pub(crate) fn claim_format(path: &Path) -> Result<(), CacheError> {
    match check_format(path)? {
        true => Ok(()),
        false => atomic::write_file(path, format!("{FORMAT}\n").as_bytes()),
    }
}

/// Checks the cache's format; says whether there is one.
pub(crate) fn check_format(path: &Path) -> Result<bool, CacheError> {
    let Some(bytes) = read(path)? else {
        return Ok(false);
    };
    let text = String::from_utf8_lossy(&bytes);
    match text.trim().parse::<u32>() {
        Ok(found) if found > FORMAT => Err(CacheError::NewerFormat { path: path.to_owned(), found, supported: FORMAT }),
        Ok(_) => Ok(true),
        Err(source) => Err(CacheError::Damaged {
            path: path.to_owned(),
            remedy:
                "it holds the cache's format version, a whole number; if no newer version of infrahub-sync uses this cache, delete the file"
                    .to_owned(),
            source: source.into(),
        }),
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
