//! Removes runs.
//!
//! A run is removed only under its sync's lock, and as a whole: its folder first gets a name that is never taken for a run. A kill in between
//! leaves such a folder, which the next pruning removes.

use std::fs;

use infrahub_sync_durable as durable;
use jiff::Timestamp;

use crate::error::{CacheError, IoContext};
use crate::format::PRUNED_PREFIX;
use crate::retention::{self, Retention, Verdict};
use crate::store::{Cache, CacheLock};

/// The result of a pruning.
#[derive(Debug)]
pub struct Pruned {
    /// The kept and the removed runs.
    pub runs: Vec<Verdict>,
    /// The number of removed folders of earlier, interrupted prunings.
    pub leftovers: u64,
}

impl Cache {
    /// Returns what a pruning would do with each run, newest first. It changes nothing.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn judge(&self, retention: Retention, now: Timestamp) -> Result<Vec<Verdict>, CacheError> {
        Ok(retention::judge(self.survey_runs(self.holder().as_ref())?, retention, now))
    }
}

impl CacheLock {
    /// Removes the runs that the retention does not keep, oldest first.
    ///
    /// # Errors
    ///
    /// When the system refuses; the runs removed until then are gone.
    pub fn prune(&self, retention: Retention, now: Timestamp) -> Result<Pruned, CacheError> {
        let dir = self.cache().dir();
        let mut leftovers = 0;
        for entry in fs::read_dir(dir).at("read", dir)? {
            let entry = entry.at("read", dir)?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(PRUNED_PREFIX)) {
                durable::remove_folder(&entry.path())?;
                leftovers += 1;
            }
        }
        // This process holds the lock, so no run is running.
        let runs = retention::judge(self.cache().survey_runs(None)?, retention, now);
        for removed in runs.iter().rev().filter(|run| run.kept.is_none()) {
            let away = dir.join(format!("{PRUNED_PREFIX}{}", removed.run.id));
            durable::rename(&self.cache().run_dir(&removed.run.id), &away)?;
            durable::remove_folder(&away)?;
        }
        Ok(Pruned { runs, leftovers })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use infrahub_sync_core::plan_row::{Action, PlanRow};
    use infrahub_sync_durable::failpoint;
    use jiff::SignedDuration;

    use super::*;
    use crate::lock::Holder;
    use crate::names::{RunId, SyncName};
    use crate::run_record::{Mode, RunRecord, RunStatus};

    fn row() -> PlanRow {
        PlanRow { action: Action::Delete, resource: "K".to_owned(), source_id: "a".to_owned(), ..PlanRow::default() }
    }

    #[test]
    fn a_pruning_that_stops_at_any_step_leaves_whole_runs() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365);
        for steps in 0.. {
            let root = tempfile::tempdir().expect("a folder");
            let cache = Cache::open(root.path(), SyncName::parse("s").expect("a name")).expect("opened");
            let lock = cache.lock(&Holder::default(), Duration::ZERO, &mut |_| {}).expect("free");
            for hour in 0..4 {
                let id = RunId::parse(&format!("r{hour}")).expect("an id");
                let began = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour);
                let mut file = RunRecord::running(Mode::Sync, began);
                let run = lock.start_run(&id, &file).expect("started");
                run.write_plan([row()]).expect("written");
                file.status = RunStatus::Applied;
                run.write_run_file(&file).expect("written");
            }
            let pruned = failpoint::after(steps, || lock.prune(Retention::new(Some(2), None), now));
            let left = cache.list_runs().expect("listed");
            assert!(left.len() >= 2, "the newest stay");
            // The oldest go first, and what is there is whole.
            let names: Vec<&str> = left.iter().map(|run| run.id.as_str()).collect();
            assert_eq!(names, ["r3", "r2", "r1", "r0"][..left.len()]);
            let verified = cache.verify(None).expect("read");
            assert!(verified.is_whole(), "stopped after {steps} steps: {verified:?}");

            let again = lock.prune(Retention::new(Some(2), None), now).expect("the next one is not disturbed");
            assert_eq!(again.runs.len(), left.len());
            assert!(cache.verify(None).expect("read").findings.is_empty());
            assert_eq!(cache.list_runs().expect("listed").len(), 2);
            if pruned.is_ok() {
                assert!(steps > 6, "{steps} steps");
                break;
            }
        }
    }
}
