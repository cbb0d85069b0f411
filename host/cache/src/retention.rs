//! Decides which runs a pruning removes. Pure: it reads no disk and no clock.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::error::CacheError;
use crate::format::FORMAT;
use crate::names::RunId;
use crate::run_record::{Mode, RunStatus};
use crate::store::RunState;
use crate::survey::{RunInfo, Standing};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Says which runs a pruning keeps: the newest `keep`, and those that were active within `older_than`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The number of runs to keep, however old.
    pub keep: usize,
    /// How long to keep a run, however many there are.
    pub older_than: Duration,
    /// How long to keep the newest plan that was not applied.
    pub plan: Duration,
}

impl Default for Retention {
    /// Keeps the newest 20 runs and all runs of the last 30 days.
    fn default() -> Retention {
        Retention { keep: 20, older_than: 30 * DAY, plan: 30 * DAY }
    }
}

impl Retention {
    /// Combines the limits of a user: with both, a run is removed only if it exceeds both. Without any, the default applies.
    #[must_use]
    pub fn new(keep: Option<usize>, older_than: Option<Duration>) -> Retention {
        let default = Retention::default();
        match (keep, older_than) {
            (None, None) => default,
            (Some(keep), None) => Retention { keep, older_than: Duration::ZERO, ..default },
            (keep, Some(older_than)) => Retention { keep: keep.unwrap_or(0), older_than, plan: older_than },
        }
    }
}

/// Why a run is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// It is running.
    Running,
    /// An apply began and did not end: only its journal knows which rows were sent.
    Interrupted,
    /// The next incremental run starts from it.
    Baseline,
    /// It is the newest plan, and was not applied.
    NewestPlan,
    /// It is one of the newest.
    Newest,
    /// It is young.
    Young,
    /// A newer version of this program wrote it.
    NewerFormat,
    /// The folder is a link to another place.
    Link,
    /// The folder does not look like a run.
    NoRun,
}

impl Kept {
    /// Returns the reason in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kept::Running => "it is running",
            Kept::Interrupted => "an apply can resume it",
            Kept::Baseline => "the next incremental run starts from it",
            Kept::NewestPlan => "it is the newest plan that can be applied",
            Kept::Newest => "it is one of the newest",
            Kept::Young => "it is young",
            Kept::NewerFormat => "a newer version of infrahub-sync wrote it",
            Kept::Link => "its folder is a link",
            Kept::NoRun => "its folder does not look like a run",
        }
    }
}

/// A run, and why a pruning keeps it.
#[derive(Debug)]
pub struct Verdict {
    /// The run.
    pub run: RunInfo,
    /// Why it is kept, or `None` if it is removed.
    pub kept: Option<Kept>,
}

/// Says of each run, newest first, why it is kept; the others are removed.
pub(crate) fn judge(runs: Vec<RunInfo>, retention: Retention, now: Timestamp) -> Vec<Verdict> {
    let newest = |wanted: &dyn Fn(&RunInfo) -> bool| runs.iter().find(|run| wanted(run)).map(|run| run.id.clone());
    let has_status = |run: &RunInfo, wanted: fn(RunStatus) -> bool| run.file().is_some_and(|file| wanted(file.status));
    // The next incremental run starts from the last success, or from the last run whose plan was applied.
    // `drift` compares with the latter. An undo has read no source.
    let is_undo = |run: &RunInfo| run.file().is_some_and(|file| file.mode == Mode::Undo);
    let baselines = [
        newest(&|run| has_status(run, RunStatus::is_success) && !is_undo(run)),
        newest(&|run| has_status(run, |status| status == RunStatus::Applied)),
    ];
    let plan = newest(&|run| run.standing == Standing::Planned);
    // A run of unknown age counts as new.
    let age = |run: &RunInfo| run.last.map_or(SignedDuration::ZERO, |last| now.duration_since(last));
    let is_younger = |run: &RunInfo, limit: Duration| SignedDuration::try_from(limit).map_or(true, |limit| age(run) < limit);
    let reasons: Vec<Option<Kept>> = runs
        .iter()
        .enumerate()
        .map(|(index, run)| {
            let is = |id: &Option<RunId>| id.as_ref() == Some(&run.id);
            let newer = matches!(&run.state, RunState::Unreadable(CacheError::NewerFormat { .. }))
                || matches!(&run.state, RunState::Known(file) if file.format > FORMAT);
            [
                (run.is_running, Kept::Running),
                (newer, Kept::NewerFormat),
                (run.is_link, Kept::Link),
                // Without run.json, only a generated id shows that the folder is a run.
                (matches!(run.state, RunState::Empty) && !run.id.is_ours(), Kept::NoRun),
                (run.standing == Standing::Interrupted, Kept::Interrupted),
                (baselines.iter().any(is), Kept::Baseline),
                (is(&plan) && is_younger(run, retention.plan), Kept::NewestPlan),
                (index < retention.keep, Kept::Newest),
                (is_younger(run, retention.older_than), Kept::Young),
            ]
            .into_iter()
            .find_map(|(applies, reason)| applies.then_some(reason))
        })
        .collect();
    runs.into_iter().zip(reasons).map(|(run, kept)| Verdict { run, kept }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_record::RunRecord;

    fn run(hour: u8, status: RunStatus, standing: Standing) -> RunInfo {
        let id = RunId::parse(&format!("20260101T{hour:02}00-00000000")).unwrap();
        let file = RunRecord { status, format: FORMAT, ..RunRecord::default() };
        let last = Some(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(i64::from(hour)));
        RunInfo {
            id,
            state: RunState::Known(Box::new(file)),
            standing,
            rows: None,
            bytes: 0,
            shared: Vec::new(),
            started: last,
            last,
            is_running: false,
            is_link: false,
        }
    }

    #[test]
    fn the_first_reason_that_applies_keeps_a_run() {
        let mut runs = vec![
            run(9, RunStatus::Running, Standing::NoPlan),
            run(8, RunStatus::DryRun, Standing::Planned),
            run(7, RunStatus::Failed, Standing::Planned),
            run(6, RunStatus::Partial, Standing::Interrupted),
            run(5, RunStatus::Applied, Standing::Finished),
            run(4, RunStatus::Applied, Standing::Finished),
        ];
        runs[0].is_running = true;
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(10);
        let kept = |runs: Vec<RunInfo>, keep, older_than| -> Vec<Option<Kept>> {
            let verdicts = judge(runs, Retention::new(keep, older_than), now);
            verdicts.into_iter().map(|verdict| verdict.kept).collect()
        };
        assert_eq!(
            kept(runs, Some(0), None),
            [Some(Kept::Running), Some(Kept::Baseline), None, Some(Kept::Interrupted), Some(Kept::Baseline), None]
        );
        let plans = || (5..8).rev().map(|hour| run(hour, RunStatus::Failed, Standing::Planned)).collect::<Vec<_>>();
        assert_eq!(kept(plans(), Some(0), None), [Some(Kept::NewestPlan), None, None]);
        // With both limits, a run is removed only if it exceeds both.
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        assert_eq!(kept(plans(), Some(2), hours(1)), [Some(Kept::Newest), Some(Kept::Newest), None]);
        assert_eq!(kept(plans(), None, hours(5)), [Some(Kept::NewestPlan), Some(Kept::Young), None]);
    }
}
