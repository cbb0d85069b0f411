//! A run in progress: it holds the lock, has its folder, and keeps its record.
//!
//! `run.json` is written at three moments: when the run begins, when its plan is complete, and when the run ends.

use std::time::{Duration, Instant};

use infrahub_sync_cache::{
    Cache, CacheError, CacheLock, Holder, Mode, RunCounter, RunId, RunRecord, RunStatus, RunSummary, RunWriter, SyncName, TrafficRecord,
};
use jiff::Timestamp;

use crate::apply::Report;
use crate::system::System;
use crate::{EngineError, Run, RunContext, Summary};

/// Between two attempts to take the lock.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// Returns the time by the clock of the command.
pub(crate) fn now(cx: &RunContext<'_>) -> Timestamp {
    Timestamp::try_from((cx.now)()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Opens the cache of the sync.
pub(crate) fn open_cache(cx: &RunContext<'_>) -> Result<Cache, EngineError> {
    let name = SyncName::parse(&cx.project.name).map_err(CacheError::from)?;
    Ok(Cache::open(&cx.cache_root, name)?)
}

/// Parses a run id.
pub(crate) fn parse_run_id(id: &str) -> Result<RunId, EngineError> {
    Ok(RunId::parse(id).map_err(CacheError::from)?)
}

/// Makes a run id.
pub(crate) fn new_run_id(cx: &RunContext<'_>) -> Result<RunId, EngineError> {
    let mut random = [0u8; 4];
    getrandom::fill(&mut random).map_err(|error| EngineError::Internal(format!("no randomness for a run id: {error}")))?;
    Ok(RunId::new(now(cx), random))
}

/// Returns the milliseconds since a moment.
pub(crate) fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Returns the traffic of a system so far.
pub(crate) fn traffic(system: &dyn System) -> TrafficRecord {
    let traffic = system.traffic();
    TrafficRecord { requests: traffic.requests, repeated: traffic.repeated, bytes: traffic.bytes }
}

/// Runs work that ends at once when the user interrupts it: nothing is written yet.
pub(crate) async fn interruptible<T>(cx: &RunContext<'_>, work: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
    tokio::select! {
        done = work => done,
        () = cx.stop.requested() => Err(EngineError::Interrupted),
    }
}

/// Takes the lock, and waits for it as long as the user allows. It polls, as this thread also has to notice an interrupt.
pub(crate) async fn take_lock(cx: &RunContext<'_>, cache: &Cache, id: &RunId) -> Result<CacheLock, EngineError> {
    let ours = Holder::this_process(id.clone(), now(cx));
    let begun = Instant::now();
    let mut seen: Option<Holder> = None;
    loop {
        match cache.lock(&ours, Duration::ZERO, &mut |_| {}) {
            Err(CacheError::Locked { sync, path, holder, .. }) => {
                let waited = begun.elapsed();
                let Some(left) = cx.options.lock_wait.checked_sub(waited).filter(|left| !left.is_zero()) else {
                    return Err(CacheError::Locked { sync, path, holder, waited }.into());
                };
                if seen.as_ref() != Some(&*holder) {
                    cx.events.waiting_for_lock(&holder.to_string());
                    seen = Some(*holder);
                }
                let pause = async {
                    tokio::time::sleep(LOCK_POLL.min(left)).await;
                    Ok(())
                };
                interruptible(cx, pause).await?;
            }
            taken => return Ok(taken?),
        }
    }
}

/// A run in progress.
pub(crate) struct RunInProgress {
    pub(crate) writer: RunWriter,
    pub(crate) lock: CacheLock,
    /// `run.json`, as it is written next.
    pub(crate) record: RunRecord,
}

impl RunInProgress {
    /// Takes the lock and begins a new run.
    pub(crate) async fn new(cx: &RunContext<'_>, mode: Mode) -> Result<RunInProgress, EngineError> {
        let cache = open_cache(cx)?;
        let id = match &cx.run_id {
            Some(id) => parse_run_id(id)?,
            None => new_run_id(cx)?,
        };
        let lock = take_lock(cx, &cache, &id).await?;
        let record = RunRecord::running(mode, now(cx));
        let writer = lock.start_run(&id, &record)?;
        Ok(RunInProgress { writer, lock, record })
    }

    /// Returns the run for whoever shows it.
    pub(crate) fn run(&self, summary: Summary) -> Run {
        Run {
            run_id: self.writer.id().as_str().to_owned(),
            directory: self.writer.dir().to_owned(),
            summary,
            reader: self.writer.reader().clone(),
        }
    }

    /// Records a failure, and the rows that were rejected before it. The user sees the failure itself, even when it cannot be recorded.
    pub(crate) fn failed(mut self, cx: &RunContext<'_>, error: EngineError, report: &Report) -> EngineError {
        self.record.status = RunStatus::Failed;
        self.record.finished_at = Some(now(cx));
        self.record.summary.error = Some(error.to_string());
        let written = match report.errors.as_slice() {
            // The rows of a failed reading are there already.
            [] => Ok(()),
            errors => self.writer.write_errors(errors).map(drop),
        };
        if let Err(second) = written.and_then(|()| self.writer.write_run_file(&self.record)) {
            cx.events.warn(&format!("the failure could not be recorded in the cache: {second}"));
        }
        let rows = report.totals().not_written();
        if rows > 0 {
            cx.events.warn(&format!("{rows} of the plan's rows were not written before the failure; `infrahub-sync show` lists them"));
        }
        error
    }

    /// Records how the run ended. `is_full`: it has just read everything.
    pub(crate) fn finish(&mut self, cx: &RunContext<'_>, status: RunStatus, summary: &Summary, is_full: bool) -> Result<(), EngineError> {
        self.record.status = status;
        self.record.finished_at = Some(now(cx));
        let (create, update, delete) = summary.totals();
        let of_run = &mut self.record.summary;
        // The error of an earlier apply.
        of_run.error = None;
        (of_run.create, of_run.update, of_run.delete) = (Some(create), Some(update), Some(delete));
        self.writer.write_run_file(&self.record)?;
        // Only a run that the next one may continue from spares it a full read.
        if is_full && status.is_success() {
            self.lock.write_run_counter(RunCounter { runs_since_full: 0 })?;
        }
        Ok(())
    }
}

/// Returns the counts of a stored run.
pub(crate) fn stored_summary(summary: &RunSummary) -> Summary {
    Summary {
        kinds: summary.kinds.clone().unwrap_or_default(),
        problems: summary.problems.unwrap_or_default(),
        mappings: summary.mappings.clone(),
    }
}
