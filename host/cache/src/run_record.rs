//! `run.json`: the record of a run.
//!
//! The engine holds it in memory while the run lasts, and writes it at three moments: when the run begins, when its plan is complete, and when it
//! ends. The shape is that of 2.0.1, with keys of our own. Keys that this version does not know are not kept: only 2.0.1 writes such, in runs of its
//! own, and those are read and never written again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use infrahub_sync_base::PerSide;
use infrahub_sync_core::plan::KindSummary;
use infrahub_sync_core::plan_row::Action;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::format::{FORMAT, FileSum};

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
    /// `undo`: the plan takes another run back.
    Undo,
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
pub struct RunRecord {
    /// The adapters of both sides.
    #[serde(default)]
    pub adapters: PerSide<AdapterRecord>,
    /// Rows by side and kind.
    #[serde(default)]
    pub counts: PerSide<BTreeMap<String, u64>>,
    /// The place that the plan is written to: address, folder, and settings such as a branch.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub destination: BTreeMap<String, Value>,
    /// How long the stages took.
    #[serde(default, skip_serializing_if = "Durations::is_empty")]
    pub duration_ms: Durations,
    /// Checksums of the snapshots and the plan, by their paths in the run's folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileSum>,
    /// When the run ended, successfully or not.
    #[serde(default, with = "time")]
    pub finished_at: Option<Timestamp>,
    /// The format of the run's files, or 0 for a run of 2.0.1. A writer sets it to [`FORMAT`].
    #[serde(default)]
    pub format: u32,
    /// The kinds of which only the changes were read, by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incremental: Option<PerSide<Vec<String>>>,
    /// The digest of the mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping_hash: Option<String>,
    /// The command.
    #[serde(default)]
    pub mode: Mode,
    /// Kinds with missing objects, by side: an object that is not in their snapshots may exist.
    #[serde(default)]
    pub partial: PerSide<BTreeSet<String>>,
    /// How each kind was read, by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<PerSide<BTreeMap<String, KindReading>>>,
    /// The digest of the destination's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_hash: Option<String>,
    /// The parts of [`schema_hash`](Self::schema_hash), by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub schema_kinds: BTreeMap<String, String>,
    /// The digest of the adapter's settings, by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sides: Option<PerSide<String>>,
    /// When the run began.
    #[serde(default, with = "time")]
    pub started_at: Option<Timestamp>,
    /// The state.
    #[serde(default)]
    pub status: RunStatus,
    /// The result, for people and their scripts. The summary of another program counts as an empty one.
    #[serde(default, deserialize_with = "summary")]
    pub summary: RunSummary,
    /// The requests to each side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<PerSide<TrafficRecord>>,
    /// The run that the plan of an undo takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// The kinds in which several records are one object, by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<PerSide<BTreeSet<String>>>,
    /// The kinds whose snapshots have unresolved references, by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unresolved: Option<PerSide<BTreeSet<String>>>,
}

impl RunRecord {
    /// Returns the record of a run that begins now.
    #[must_use]
    pub fn running(mode: Mode, now: Timestamp) -> RunRecord {
        RunRecord { mode, status: RunStatus::Running, started_at: Some(now), format: FORMAT, ..RunRecord::default() }
    }
}

/// How long the stages of a run took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Durations {
    /// Both sides were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<u64>,
    /// They were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<u64>,
    /// The plan was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply: Option<u64>,
}

impl Durations {
    fn is_empty(&self) -> bool {
        *self == Durations::default()
    }
}

/// The requests to one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrafficRecord {
    /// Requests that were sent, repetitions included.
    pub requests: u64,
    /// Requests that were sent again.
    pub repeated: u64,
    /// Bytes of the answers.
    pub bytes: u64,
}

/// The last time that a kind was read in full.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FullRead {
    /// The run.
    pub run: String,
    /// When it began, by this machine's clock.
    pub at: String,
    /// The objects that it found, after filters.
    pub objects: u64,
}

/// How a kind was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KindReading {
    /// When the reading began, by this machine's clock.
    pub at: String,
    /// The number of changed records, if only the changes were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<u64>,
    /// The number of deleted objects, if only the changes were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
    /// The system's statements about the objects: totals, and what it says of objects that are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// The last full read.
    pub full: FullRead,
    /// The words on the screen.
    pub how: String,
}

/// The counts of a mapping: the records of its resource, and the rows that they became.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MappingReading {
    /// The position of the mapping in `schema_mapping`, from 0.
    pub mapping: u64,
    /// Its kind.
    pub kind: String,
    /// The resource.
    pub resource: String,
    /// The records that were read.
    pub read: u64,
    /// All records were read, not only the changed ones.
    #[serde(rename = "full")]
    pub is_full: bool,
    /// The filters, and how many records each left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<FilterCount>,
    /// The records that became rows of the kind.
    pub mapped: u64,
    /// The records on which a filter or a transform failed.
    pub skipped: u64,
    /// The paths of the mapping that no record has, each with what the records have there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<(String, Vec<String>)>,
}

/// A filter, and what it left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FilterCount {
    /// Field, operation and value.
    pub filter: String,
    /// The records that it left out.
    pub records: u64,
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunSummary {
    /// The outcomes of the rows by kind, after an apply.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub applied: BTreeMap<String, Outcomes>,
    /// Objects to create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<u64>,
    /// Objects created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// Objects to delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<u64>,
    /// Objects deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
    /// Rows that an earlier, interrupted apply has done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_before: Option<u64>,
    /// The error that stopped the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Rows that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    /// The plan's counts by kind, in write order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<KindSummary>>,
    /// Rows that were not tried because the apply ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// The counts of each mapping, in the order of the mappings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mappings: Vec<MappingReading>,
    /// Objects of which the destination did not take a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_effect: Option<u64>,
    /// Source objects that could not be identified or resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problems: Option<u64>,
    /// Rows that were not tried because of another row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
    /// Rows whose wanted state was there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<u64>,
    /// Objects to update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<u64>,
    /// Objects updated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<u64>,
}

impl RunSummary {
    /// Takes over the result of an apply. `left`: the rows that were not tried because it ended early.
    pub fn set_outcomes(&mut self, outcomes: Outcomes, left: u64) {
        let Outcomes { created, updated, deleted, unchanged, failed, skipped, done_before, no_effect } = outcomes;
        (self.created, self.updated, self.deleted) = (Some(created), Some(updated), Some(deleted));
        (self.unchanged, self.failed, self.skipped) = (Some(unchanged), Some(failed), Some(skipped));
        (self.done_before, self.left) = (Some(done_before), Some(left));
        self.no_effect = Some(no_effect).filter(|objects| *objects > 0);
    }

    /// Returns the planned changes (to create, to update, to delete): the totals of an ended run, or else the sums of its kinds.
    #[must_use]
    pub fn planned(&self) -> Option<[u64; 3]> {
        if let (Some(create), Some(update), Some(delete)) = (self.create, self.update, self.delete) {
            return Some([create, update, delete]);
        }
        let kinds = self.kinds.as_ref()?;
        Some(kinds.iter().fold([0; 3], |[create, update, delete], kind| [create + kind.create, update + kind.update, delete + kind.delete]))
    }
}

/// Counts of rows by outcome. The second pass does not count an object again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Objects created.
    pub created: u64,
    /// Objects updated.
    pub updated: u64,
    /// Objects deleted.
    pub deleted: u64,
    /// Rows whose wanted state was there already.
    pub unchanged: u64,
    /// Rows that failed.
    pub failed: u64,
    /// Rows that were not tried because a row that they need failed.
    pub skipped: u64,
    /// Rows that an earlier, interrupted apply of the same run has done.
    pub done_before: u64,
    /// Written objects that have another value than was sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub no_effect: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Outcomes {
    /// Returns the rows that were not written.
    #[must_use]
    pub fn not_written(&self) -> u64 {
        self.failed + self.skipped
    }

    /// Returns the count of an action, to change it.
    pub fn of_action(&mut self, action: Action) -> &mut u64 {
        match action {
            Action::Create => &mut self.created,
            Action::Update => &mut self.updated,
            Action::Delete => &mut self.deleted,
        }
    }
}

impl AddAssign for Outcomes {
    fn add_assign(&mut self, other: Outcomes) {
        self.created += other.created;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.unchanged += other.unchanged;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.done_before += other.done_before;
        self.no_effect += other.no_effect;
    }
}

/// Reads a summary; one of another shape is empty.
fn summary<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RunSummary, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
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
        let mut run = RunRecord::running(Mode::Sync, "2026-01-02T03:04:05.678901Z".parse().expect("a time"));
        run.summary.problems = Some(3);
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
            "problems": 3
          }
        }
        "#);
    }

    #[test]
    fn run_json_of_2_0_1_is_read() {
        let json =
            r#"{"finished_at": "2026-01-02T03:04:05.678901+00:00", "mode": "diff", "status": "dry-run", "summary": {"resources": 2}}"#;
        let run: RunRecord = serde_json::from_str(json).expect("readable");
        assert_eq!((run.format, run.mode, run.status), (0, Mode::Diff, RunStatus::DryRun));
        assert_eq!(run.finished_at, Some("2026-01-02T03:04:05.678901Z".parse().expect("a time")));
    }

    #[test]
    fn unknown_keys_and_summaries_are_no_obstacle() {
        let run: RunRecord =
            serde_json::from_str(r#"{"status": "partial", "later": [1], "summary": {"kinds": "three"}}"#).expect("readable");
        assert_eq!((run.status, run.summary), (RunStatus::Partial, RunSummary::default()));
    }

    #[test]
    fn planned_changes_are_those_of_the_run_or_of_its_kinds() {
        let json = r#"{"kinds": [
            {"kind": "A", "tier": 0, "source_rows": 1, "destination_rows": 1, "create": 1, "update": 2, "delete": 3, "skipped": 0, "partial": false},
            {"kind": "B", "tier": 0, "source_rows": 1, "destination_rows": 1, "create": 4, "update": 0, "delete": 1, "skipped": 0, "partial": false}
        ]}"#;
        let mut summary: RunSummary = serde_json::from_str(json).expect("readable");
        assert_eq!(summary.planned(), Some([5, 2, 4]));
        (summary.create, summary.update, summary.delete) = (Some(1), Some(0), Some(0));
        assert_eq!(summary.planned(), Some([1, 0, 0]));
        assert_eq!(RunSummary::default().planned(), None);
    }

    #[test]
    fn every_status_is_the_word_that_is_written() {
        use RunStatus::{Applied, DryRun, Failed, Partial, Pending, Running};
        for status in [Pending, Running, DryRun, Applied, Failed, Partial] {
            assert_eq!(serde_json::to_value(status).expect("JSON"), status.as_str());
        }
    }
}
