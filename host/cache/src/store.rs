//! The folder of a sync: its runs, its own files and its lock.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use infrahub_sync_core::converge::Ineffective;
use infrahub_sync_durable as durable;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::error::{CacheError, IoContext, Remedy, check_ours};
use crate::format::{
    FORMAT_FILE, LOCK_FILE, NO_EFFECT_FILE, ROWCOUNTS_FILE, RUN_COUNTER_FILE, Rowcounts, RunCounter, VANISHED_FILE, Vanished,
};
use crate::lock::{self, Guard, Holder};
use crate::names::{RunId, SyncName};
use crate::reader::RunReader;
use crate::run_record::{Mode, RunRecord};
use crate::small_files;

/// The number of runs in an error message.
const LATEST: usize = 5;

/// The cache of one sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    dir: PathBuf,
    sync: SyncName,
}

impl Cache {
    /// Opens the cache of a sync below `root`, and creates a missing one.
    ///
    /// # Errors
    ///
    /// When the folder cannot be created or read, has a newer format, or may be another user's.
    pub fn open(root: impl AsRef<Path>, sync: SyncName) -> Result<Cache, CacheError> {
        let dir = root.as_ref().join(sync.as_str());
        check_ours(root.as_ref())?;
        durable::create_folder(&dir)?;
        check_ours(&dir)?;
        small_files::claim_format(&dir.join(FORMAT_FILE))?;
        Ok(Cache { dir, sync })
    }

    /// Opens the cache of a sync, or returns `None` if it is missing. It creates nothing.
    ///
    /// # Errors
    ///
    /// When it has a newer format, or may be another user's.
    pub fn existing(root: impl AsRef<Path>, sync: SyncName) -> Result<Option<Cache>, CacheError> {
        let dir = root.as_ref().join(sync.as_str());
        if !dir.is_dir() {
            return Ok(None);
        }
        check_ours(root.as_ref())?;
        check_ours(&dir)?;
        small_files::check_format(&dir.join(FORMAT_FILE))?;
        Ok(Some(Cache { dir, sync }))
    }

    /// Returns the names of the syncs that have a cache below `root`, in order. A missing folder has none.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn syncs(root: impl AsRef<Path>) -> Result<Vec<SyncName>, CacheError> {
        let root = root.as_ref();
        let entries = match fs::read_dir(root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).at("read", root),
        };
        let mut syncs = Vec::new();
        for entry in entries {
            let entry = entry.at("read", root)?;
            if entry.path().is_dir() {
                syncs.extend(entry.file_name().to_str().and_then(|name| SyncName::parse(name).ok()));
            }
        }
        syncs.sort();
        Ok(syncs)
    }

    /// Returns the current writer, if there is one that names itself (2.0.1 does not).
    #[must_use]
    pub fn holder(&self) -> Option<Holder> {
        lock::holder(&self.lock_path())
    }

    /// Returns the sync's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the sync's name.
    #[must_use]
    pub fn sync_name(&self) -> &SyncName {
        &self.sync
    }

    /// Returns the folder of a run, which need not exist.
    #[must_use]
    pub fn run_dir(&self, id: &RunId) -> PathBuf {
        self.dir.join(id.as_str())
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.dir.join(LOCK_FILE)
    }

    /// Takes the right to write, waiting up to `wait`. `on_wait` gets the current holder, and each new one.
    ///
    /// Blocks the thread.
    ///
    /// # Errors
    ///
    /// [`CacheError::Locked`] when the time has passed.
    pub fn lock(&self, holder: &Holder, wait: Duration, on_wait: &mut dyn FnMut(&Holder)) -> Result<CacheLock, CacheError> {
        let guard = lock::lock(&self.sync, &self.lock_path(), holder, wait, on_wait)?;
        // The leftovers of a killed run, except those of `.format`, which is written without the lock.
        let beside = |name: &str| durable::is_unfinished(name) && !name.starts_with(".format.");
        durable::remove_files(&self.dir, beside)?;
        Ok(CacheLock { cache: self.clone(), guard })
    }

    /// Reads the rows by kind after the last success, or returns `None` before the first.
    ///
    /// # Errors
    ///
    /// When the file is damaged.
    pub fn rowcounts(&self) -> Result<Option<Rowcounts>, CacheError> {
        small_files::read_json(&self.dir.join(ROWCOUNTS_FILE), &Remedy::DeleteFile)
    }

    /// Reads the number of runs since the last full extract; a missing file means zero.
    ///
    /// # Errors
    ///
    /// When the file is damaged.
    pub fn run_counter(&self) -> Result<RunCounter, CacheError> {
        Ok(small_files::read_json(&self.dir.join(RUN_COUNTER_FILE), &Remedy::DeleteFile)?.unwrap_or_default())
    }

    /// Reads the objects of the source that vanished without a trace, or returns `None` where there were never any.
    ///
    /// # Errors
    ///
    /// When the file is damaged.
    pub fn vanished(&self) -> Result<Option<Vanished>, CacheError> {
        small_files::read_json(&self.dir.join(VANISHED_FILE), &Remedy::DeleteFile)
    }

    /// Reads the writes of earlier runs that had no effect.
    ///
    /// # Errors
    ///
    /// When the file is damaged.
    pub fn no_effect(&self) -> Result<Vec<Ineffective>, CacheError> {
        Ok(small_files::read_json(&self.dir.join(NO_EFFECT_FILE), &Remedy::DeleteFile)?.unwrap_or_default())
    }

    /// Returns all runs, newest first. The entry of an unreadable run has the reason.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn list_runs(&self) -> Result<Vec<RunEntry>, CacheError> {
        let mut runs = Vec::new();
        for entry in fs::read_dir(&self.dir).at("read", &self.dir)? {
            let entry = entry.at("read", &self.dir)?;
            let Some(id) = entry.file_name().to_str().and_then(|name| RunId::parse(name).ok()) else {
                continue;
            };
            // Follows links: a run may have been moved to another disk.
            if !entry.path().is_dir() {
                continue;
            }
            let state = match self.reader(&id).stored_run_file() {
                Ok(Some(file)) => RunState::Known(Box::new(file)),
                Ok(None) => RunState::Empty,
                Err(error) => RunState::Unreadable(error),
            };
            runs.push(RunEntry { id, state });
        }
        runs.sort_by_cached_key(|run| Reverse((run.time(), run.id.clone())));
        Ok(runs)
    }

    /// Returns the run that an incremental run starts from: the latest with the status `applied` or `dry-run`.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn latest_success(&self) -> Result<Option<RunReader>, CacheError> {
        let runs = self.list_runs()?;
        // An undo has read no source.
        let continues = |file: &RunRecord| file.status.is_success() && file.mode != Mode::Undo;
        let success = runs.into_iter().find(|run| matches!(&run.state, RunState::Known(file) if continues(file)));
        Ok(success.map(|run| self.reader(&run.id)))
    }

    /// Opens a run for reading.
    ///
    /// # Errors
    ///
    /// [`CacheError::UnknownRun`] with the latest runs, [`CacheError::NewerFormat`], or when its `run.json` is damaged.
    pub fn open_run(&self, id: &RunId) -> Result<RunReader, CacheError> {
        let run = self.reader(id);
        if !run.dir().is_dir() {
            return Err(self.unknown_run(id)?);
        }
        run.stored_run_file()?;
        Ok(run)
    }

    /// Returns a reader of a run, whether the run exists or not.
    pub(crate) fn reader(&self, id: &RunId) -> RunReader {
        RunReader::new(id, self.run_dir(id))
    }

    /// Returns the error for a missing run, with the latest runs.
    pub(crate) fn unknown_run(&self, id: &RunId) -> Result<CacheError, CacheError> {
        let latest = self.list_runs()?.into_iter().take(LATEST).map(|run| run.id).collect();
        Ok(CacheError::UnknownRun { sync: self.sync.clone(), id: id.clone(), path: self.run_dir(id), latest })
    }
}

/// A run in a list.
#[derive(Debug)]
pub struct RunEntry {
    /// Its id.
    pub id: RunId,
    /// Its `run.json`.
    pub state: RunState,
}

/// The `run.json` of a run.
#[derive(Debug)]
pub enum RunState {
    /// The content.
    Known(Box<RunRecord>),
    /// It is missing: the run was killed before it wrote one.
    Empty,
    /// It is unreadable.
    Unreadable(CacheError),
}

impl RunEntry {
    /// Returns when it began, from `run.json` or else from its id, and as a last resort when it ended.
    pub(crate) fn time(&self) -> Option<Timestamp> {
        let said = match &self.state {
            RunState::Known(file) => file.started_at,
            RunState::Empty | RunState::Unreadable(_) => None,
        };
        let ended = match &self.state {
            RunState::Known(file) => file.finished_at,
            RunState::Empty | RunState::Unreadable(_) => None,
        };
        said.or_else(|| {
            let (minute, _) = self.id.as_str().split_once('-')?;
            DateTime::strptime("%Y%m%dT%H%M", minute).ok()?.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp())
        })
        .or(ended)
    }
}

/// The right to write to a sync's cache, until its last clone and the last writer made from it are dropped.
#[derive(Debug, Clone)]
pub struct CacheLock {
    cache: Cache,
    pub(crate) guard: Guard,
}

impl CacheLock {
    /// Returns the locked cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Returns the path of the lock's file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.cache.lock_path()
    }

    /// Writes the baseline of the guardrail, which changes only after a success.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn write_rowcounts(&self, rowcounts: &Rowcounts) -> Result<(), CacheError> {
        small_files::write_json(&self.cache.dir.join(ROWCOUNTS_FILE), rowcounts)
    }

    /// Writes the number of runs since the last full extract.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn write_run_counter(&self, counter: RunCounter) -> Result<(), CacheError> {
        small_files::write_json(&self.cache.dir.join(RUN_COUNTER_FILE), &counter)
    }

    /// Writes the objects of the source that vanished without a trace.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn write_vanished(&self, vanished: &Vanished) -> Result<(), CacheError> {
        small_files::write_json(&self.cache.dir.join(VANISHED_FILE), vanished)
    }

    /// Writes the writes that had no effect. Nothing is written while both the old and the new list are empty.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn write_no_effect(&self, records: &[Ineffective]) -> Result<(), CacheError> {
        let path = self.cache.dir.join(NO_EFFECT_FILE);
        if records.is_empty() && !path.exists() {
            return Ok(());
        }
        small_files::write_json(&path, &records)
    }
}

#[cfg(test)]
mod tests {
    use infrahub_sync_durable::failpoint;

    use super::*;

    #[test]
    fn a_cache_whose_creation_stops_at_any_step_is_created_by_the_next() {
        let name = SyncName::parse("s").expect("a name");
        for steps in 0.. {
            let root = tempfile::tempdir().expect("a folder");
            let root = root.path().join("a/b");
            let opened = failpoint::after(steps, || Cache::open(&root, name.clone()));
            assert!(Cache::open(&root, name.clone()).is_ok());
            if opened.is_ok() {
                break;
            }
        }
    }
}
