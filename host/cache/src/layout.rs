//! Where everything lies, and the order in which it comes and goes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use infrahub_sync_core::plan_row::PlanRow;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::Side;
use crate::atomic;
use crate::error::{CacheError, IoContext};
use crate::errors_file::{self, ErrorRow};
use crate::journal::{self, Journal, JournalWriter, PlanIdentity};
use crate::lock::{self, CacheLock, Holder};
use crate::parquet_file::{FileName, Written};
use crate::plan_file::{PlanReader, PlanWriter};
use crate::run_id::{KindName, RunId, SyncName};
use crate::sidecars::{self, Cursors, FORMAT, Rowcounts, RunCounter, RunFile};
use crate::snapshot_file::{SnapshotReader, SnapshotWriter};
use crate::sums::{FileSum, Sums};

/// The lock.
pub(crate) const LOCK_FILE: &str = ".lock";
/// The format version.
pub(crate) const FORMAT_FILE: &str = ".format";
/// The guardrail's baseline.
pub(crate) const ROWCOUNTS_FILE: &str = "last-successful-rowcounts.json";
/// The runs since the last full extract.
pub(crate) const RUN_COUNTER_FILE: &str = "run-counter.json";
pub(crate) const RUN_FILE: &str = "run.json";
pub(crate) const PLAN_FILE: &str = "plan.parquet";
pub(crate) const JOURNAL_FILE: &str = "journal.bin";
pub(crate) const ERRORS_FILE: &str = "errors.parquet";
pub(crate) const CURSORS_FILE: &str = "cursors.json";
pub(crate) const SCHEMA_SUB_HASH_FILE: &str = "schema-sub-hash.txt";
pub(crate) const PARQUET_SUFFIX: &str = ".parquet";

/// Returns a snapshot's path in the folder of its run, as `run.json` names it on every system.
pub(crate) fn snapshot_name(side: Side, kind: &KindName) -> String {
    format!("{}/{kind}{PARQUET_SUFFIX}", side.letter())
}

/// How many runs an error lists: as many as a person reads.
const LATEST: usize = 5;

/// The remedy for a file that belongs to the sync as a whole.
const SYNC_REMEDY: &str = "delete it; the next successful run writes it again";

/// The cache of one sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    dir: PathBuf,
    sync: SyncName,
}

impl Cache {
    /// Opens the cache of a sync below `root`, creating it where it is missing.
    ///
    /// # Errors
    ///
    /// When the folder cannot be created or read, or holds a newer format.
    pub fn open(root: impl AsRef<Path>, sync: SyncName) -> Result<Cache, CacheError> {
        let dir = root.as_ref().join(sync.as_str());
        atomic::create_folder(&dir)?;
        sidecars::claim_format(&dir.join(FORMAT_FILE))?;
        Ok(Cache { dir, sync })
    }

    /// Opens the cache of a sync as it is; `None` when there is none. Leaves nothing behind.
    ///
    /// # Errors
    ///
    /// When it holds a newer format.
    pub fn existing(root: impl AsRef<Path>, sync: SyncName) -> Result<Option<Cache>, CacheError> {
        let dir = root.as_ref().join(sync.as_str());
        if !dir.is_dir() {
            return Ok(None);
        }
        sidecars::check_format(&dir.join(FORMAT_FILE))?;
        Ok(Some(Cache { dir, sync }))
    }

    /// Returns the names of the syncs that have a cache below `root`, in order; none when there is no such folder.
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

    /// Returns the current writer of the cache, if it registers (2.0.1 does not).
    #[must_use]
    pub fn holder(&self) -> Option<Holder> {
        lock::holder(&self.lock_path())
    }

    /// Returns the sync's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the sync.
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

    /// Takes the right to write, waiting for it up to `wait`. `on_wait` hears who has it, once and again whenever that changes.
    ///
    /// Blocks the thread.
    ///
    /// # Errors
    ///
    /// [`CacheError::Locked`] when the time is over.
    pub fn lock(&self, holder: &Holder, wait: Duration, on_wait: &mut dyn FnMut(&Holder)) -> Result<CacheLock, CacheError> {
        let lock = lock::lock(self, &self.lock_path(), holder, wait, on_wait)?;
        // What a killed run left. Not that of `.format`, which is written without the lock.
        let beside = |name: &str| atomic::is_unfinished(name) && !name.starts_with(".format.");
        atomic::remove_files(&self.dir, beside)?;
        Ok(lock)
    }

    /// Returns the rows by kind after the last success; none when there was no success yet.
    ///
    /// # Errors
    ///
    /// When the file is damaged.
    pub fn rowcounts(&self) -> Result<Option<Rowcounts>, CacheError> {
        sidecars::read_json(&self.dir.join(ROWCOUNTS_FILE), SYNC_REMEDY)
    }

    /// Returns the runs since the last full extract; zero when nothing is known.
    ///
    /// # Errors
    ///
    /// When the file is damaged.
    pub fn run_counter(&self) -> Result<RunCounter, CacheError> {
        Ok(sidecars::read_json(&self.dir.join(RUN_COUNTER_FILE), SYNC_REMEDY)?.unwrap_or_default())
    }

    /// Returns all runs, the latest first. A run that cannot be read is listed with the reason.
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
            // Through links, as a run may have been moved to another disk.
            if !entry.path().is_dir() {
                continue;
            }
            let state = match RunReader::new(self, &id).stored_run_file() {
                Ok(Some(file)) => RunState::Known(Box::new(file)),
                Ok(None) => RunState::Empty,
                Err(error) => RunState::Unreadable(error),
            };
            runs.push(RunEntry { id, state });
        }
        runs.sort_by_cached_key(|run| Reverse((run.time(), run.id.clone())));
        Ok(runs)
    }

    /// Returns the run to start an incremental one from: the latest that is `applied` or `dry-run`.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn latest_success(&self) -> Result<Option<RunReader>, CacheError> {
        let runs = self.list_runs()?;
        let success = runs.into_iter().find(|run| matches!(&run.state, RunState::Known(file) if file.status.is_success()));
        Ok(success.map(|run| RunReader::new(self, &run.id)))
    }

    /// Opens a run to read it.
    ///
    /// # Errors
    ///
    /// [`CacheError::UnknownRun`] with the latest runs, [`CacheError::NewerFormat`], or when its `run.json` is damaged.
    pub fn open_run(&self, id: &RunId) -> Result<RunReader, CacheError> {
        let run = RunReader::new(self, id);
        if !run.dir.is_dir() {
            return Err(self.unknown_run(id)?);
        }
        run.stored_run_file()?;
        Ok(run)
    }

    /// That there is no such run, with those there are.
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
    /// Its state, as far as it can be read.
    pub state: RunState,
}

/// The state of a run, as far as it can be read.
#[derive(Debug)]
pub enum RunState {
    /// Its `run.json`.
    Known(Box<RunFile>),
    /// It has no `run.json`: it was killed before it wrote one.
    Empty,
    /// Its `run.json` cannot be read.
    Unreadable(CacheError),
}

impl RunEntry {
    /// Returns the time of its start: the recorded one, else the one in its id.
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

impl CacheLock {
    /// Begins a run. A run of the same id is removed first.
    ///
    /// `run.json` is written before anything goes, and nothing new is written before all of it is gone: a crash at any point leaves
    /// the old run, marked as `file` says, or none.
    ///
    /// # Errors
    ///
    /// When the disk refuses, or the run of that id has a newer format.
    pub fn start_run(&self, id: &RunId, file: &RunFile) -> Result<RunWriter, CacheError> {
        let run = RunReader::new(&self.cache, id);
        if let Err(error @ CacheError::NewerFormat { .. }) = run.stored_run_file() {
            return Err(error);
        }
        for folder in [run.dir.clone(), run.side_dir(Side::Source), run.side_dir(Side::Destination)] {
            atomic::create_folder(&folder)?;
        }
        let writer = RunWriter { lock: self.clone(), run, sums: Sums::default() };
        // What it was to be of, whatever the caller copied it from, is about to go.
        writer.write_run_file(&RunFile { files: BTreeMap::new(), ..file.clone() })?;
        // The plan goes alone and first: whoever finds it may trust the rest. Folders are flushed in between.
        let dir = &writer.run.dir;
        atomic::remove_files(dir, |name| name == PLAN_FILE)?;
        let sidecars = [JOURNAL_FILE, ERRORS_FILE, CURSORS_FILE, SCHEMA_SUB_HASH_FILE];
        atomic::remove_files(dir, |name| sidecars.contains(&name) || atomic::is_unfinished(name))?;
        for side in Side::BOTH {
            let unwanted = |name: &str| name.ends_with(PARQUET_SUFFIX) || atomic::is_unfinished(name);
            atomic::remove_files(&writer.run.side_dir(side), unwanted)?;
        }
        Ok(writer)
    }

    /// Resumes an existing run to apply its plan: everything stays, except unfinished files.
    ///
    /// # Errors
    ///
    /// As [`Cache::open_run`].
    pub fn continue_run(&self, id: &RunId) -> Result<RunWriter, CacheError> {
        let run = self.cache.open_run(id)?;
        atomic::remove_files(&run.dir, atomic::is_unfinished)?;
        for side in Side::BOTH {
            let dir = run.side_dir(side);
            atomic::create_folder(&dir)?;
            atomic::remove_files(&dir, atomic::is_unfinished)?;
        }
        Ok(RunWriter { lock: self.clone(), run, sums: Sums::default() })
    }

    /// Sets the guardrail's baseline; only after a success.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn write_rowcounts(&self, rowcounts: &Rowcounts) -> Result<(), CacheError> {
        sidecars::write_json(&self.cache.dir.join(ROWCOUNTS_FILE), rowcounts)
    }

    /// Sets the runs since the last full extract.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn write_run_counter(&self, counter: RunCounter) -> Result<(), CacheError> {
        sidecars::write_json(&self.cache.dir.join(RUN_COUNTER_FILE), &counter)
    }
}

/// Fills the folder of a run. Can be shared between threads; each file has one writer.
#[derive(Debug, Clone)]
pub struct RunWriter {
    lock: CacheLock,
    run: RunReader,
    sums: Sums,
}

impl RunWriter {
    /// Returns the run's id.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.run.id
    }

    /// Returns the run's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.run.dir
    }

    /// Returns the contents of `run.json` so far.
    #[must_use]
    pub fn reader(&self) -> &RunReader {
        &self.run
    }

    /// Begins a snapshot that is written batch by batch.
    ///
    /// # Errors
    ///
    /// When the kind's name cannot be a file's, or the disk refuses.
    pub fn snapshot_writer(&self, side: Side, kind: &str, schema: SchemaRef) -> Result<SnapshotWriter, CacheError> {
        let kind = KindName::parse(kind)?;
        let sum = self.sums.place(snapshot_name(side, &kind));
        SnapshotWriter::create(&self.lock, &self.run.snapshot_path(side, &kind), schema, sum)
    }

    /// Takes a snapshot of an earlier run as it is, where nothing has changed since: by a second name for the same file. False, and nothing
    /// is there, where that cannot be had (another disk, no such snapshot): then it is to be written.
    ///
    /// Snapshots are never changed once they are written, so that both runs keep theirs, whichever is removed first.
    ///
    /// # Errors
    ///
    /// When the kind's name cannot be a file's, or the disk refuses.
    pub fn adopt_snapshot(&self, side: Side, kind: &str, from: &RunReader) -> Result<bool, CacheError> {
        let kind = KindName::parse(kind)?;
        let name = snapshot_name(side, &kind);
        let Some(sum) = from.run_file()?.files.get(&name).cloned() else { return Ok(false) };
        let path = self.run.snapshot_path(side, &kind);
        if let Some(folder) = path.parent() {
            atomic::create_folder(folder)?;
        }
        if fs::hard_link(from.snapshot_path(side, &kind), &path).is_err() {
            return Ok(false);
        }
        if let Some(folder) = path.parent() {
            atomic::sync_folder(folder)?;
        }
        self.sums.keep(name, sum);
        Ok(true)
    }

    /// Writes a snapshot, also one without rows. Durable when it returns; one row group is held in memory.
    ///
    /// # Errors
    ///
    /// When the kind's name cannot be a file's, a batch does not fit the schema, or the disk refuses.
    pub fn write_snapshot(
        &self,
        side: Side,
        kind: &str,
        schema: SchemaRef,
        batches: impl IntoIterator<Item = RecordBatch>,
    ) -> Result<Written, CacheError> {
        let mut writer = self.snapshot_writer(side, kind, schema)?;
        for batch in batches {
            writer.write(&batch)?;
        }
        writer.finish()
    }

    /// Begins a plan that is written row by row. A plan that was applied, or begun to be, goes with its journal.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn plan_writer(&self) -> Result<PlanWriter, CacheError> {
        if self.run.dir.join(JOURNAL_FILE).exists() {
            // The plan first: a journal without a plan is nothing, a plan without its journal was never applied.
            atomic::remove_files(&self.run.dir, |name| name == PLAN_FILE)?;
            atomic::remove_files(&self.run.dir, |name| name == JOURNAL_FILE)?;
        }
        PlanWriter::create(&self.lock, &self.run.dir.join(PLAN_FILE), self.sums.place(PLAN_FILE.to_owned()))
    }

    /// Writes the plan. Durable when it returns.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn write_plan(&self, rows: impl IntoIterator<Item = PlanRow>) -> Result<Written, CacheError> {
        let mut writer = self.plan_writer()?;
        for row in rows {
            writer.push(&row)?;
        }
        writer.finish()
    }

    /// Opens the journal of the run's plan to write it, making one where there is none and cutting a frame that was never finished.
    ///
    /// Reads the plan once, for its digest: a journal counts for the very plan that it was begun with.
    ///
    /// # Errors
    ///
    /// As [`read_plan`](RunReader::read_plan) and [`read_journal`](RunReader::read_journal), or when the disk refuses.
    pub fn open_journal(&self) -> Result<JournalWriter, CacheError> {
        JournalWriter::open(&self.lock, &self.run.dir.join(JOURNAL_FILE), &self.run.plan_identity()?)
    }

    /// Writes the errors of the run, replacing those there are. Without any there is no file.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn write_errors(&self, rows: &[ErrorRow]) -> Result<Written, CacheError> {
        let path = self.run.dir.join(ERRORS_FILE);
        if rows.is_empty() {
            if atomic::remove_file(&path)? {
                atomic::sync_folder(&self.run.dir)?;
            }
            return Ok(Written::default());
        }
        errors_file::write(&self.lock, &path, rows)
    }

    /// Writes the cursors.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn write_cursors(&self, cursors: &Cursors) -> Result<(), CacheError> {
        sidecars::write_json(&self.run.dir.join(CURSORS_FILE), cursors)
    }

    /// Writes the hash of the mapping and of the destination's schema.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn write_schema_sub_hash(&self, hash: &str) -> Result<(), CacheError> {
        atomic::write_file(&self.run.dir.join(SCHEMA_SUB_HASH_FILE), hash.as_bytes())
    }

    /// Writes `run.json`, in our format whatever the value says, and with the check sums of what was written since.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn write_run_file(&self, file: &RunFile) -> Result<(), CacheError> {
        let mut file = RunFile { format: FORMAT, ..file.clone() };
        self.sums.merge_into(&mut file.files);
        sidecars::write_json(&self.run.dir.join(RUN_FILE), &file)
    }
}

/// Reads the folder of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReader {
    id: RunId,
    dir: PathBuf,
}

impl RunReader {
    pub(crate) fn new(cache: &Cache, id: &RunId) -> RunReader {
        RunReader { id: id.clone(), dir: cache.run_dir(id) }
    }

    pub(crate) fn side_dir(&self, side: Side) -> PathBuf {
        self.dir.join(side.letter())
    }

    pub(crate) fn snapshot_path(&self, side: Side, kind: &KindName) -> PathBuf {
        self.side_dir(side).join(format!("{kind}{PARQUET_SUFFIX}"))
    }

    /// Returns a file of the run with the remedy for damage.
    fn file(&self, path: PathBuf) -> FileName {
        FileName { path, remedy: self.remedy() }
    }

    pub(crate) fn remedy(&self) -> String {
        format!("make the run again with `infrahub-sync diff --run-id {}`, or delete the folder {}", self.id, self.dir.display())
    }

    fn missing(&self, what: String, path: PathBuf) -> CacheError {
        CacheError::Missing { id: self.id.clone(), what, path }
    }

    /// Returns the run's id.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Returns the run's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads `run.json`; the contents for a pending run if there is none, as in 2.0.1.
    ///
    /// # Errors
    ///
    /// When it is damaged or of a newer format.
    pub fn run_file(&self) -> Result<RunFile, CacheError> {
        Ok(self.stored_run_file()?.unwrap_or_default())
    }

    pub(crate) fn stored_run_file(&self) -> Result<Option<RunFile>, CacheError> {
        sidecars::read_run_file(&self.dir.join(RUN_FILE), &self.remedy())
    }

    /// Returns the rows of the plan, one at a time.
    ///
    /// # Errors
    ///
    /// [`CacheError::Missing`] when there is none, [`CacheError::ForeignPlan`] when it is one of 2.0.1, [`CacheError::Damaged`];
    /// the rows themselves can also be damaged.
    pub fn read_plan(&self) -> Result<PlanReader, CacheError> {
        let path = self.dir.join(PLAN_FILE);
        PlanReader::open(self.file(path.clone()))?.ok_or_else(|| self.missing("plan".to_owned(), path))
    }

    /// Compares the plan with its check sum in `run.json`, as far as that has one.
    ///
    /// # Errors
    ///
    /// [`CacheError::Damaged`] when it is not what was written.
    pub fn check_plan(&self) -> Result<(), CacheError> {
        let path = self.dir.join(PLAN_FILE);
        self.check(&path, self.run_file()?.files.get(PLAN_FILE))
    }

    /// Compares the snapshot of a kind with its check sum in `run.json`, as far as that has one.
    ///
    /// # Errors
    ///
    /// [`CacheError::Damaged`] when it is not what was written.
    pub fn check_snapshot(&self, file: &RunFile, side: Side, kind: &str) -> Result<(), CacheError> {
        let kind = KindName::parse(kind)?;
        self.check(&self.snapshot_path(side, &kind), file.files.get(&snapshot_name(side, &kind)))
    }

    fn check(&self, path: &Path, expected: Option<&FileSum>) -> Result<(), CacheError> {
        // A file that was finished after run.json was written has none.
        let Some(expected) = expected else { return Ok(()) };
        match expected.contradicted_by(&FileSum::of(path)?) {
            Some(problem) => Err(self.file(path.to_owned()).damaged(problem)),
            None => Ok(()),
        }
    }

    /// Returns whether there is a plan.
    #[must_use]
    pub fn has_plan(&self) -> bool {
        self.dir.join(PLAN_FILE).is_file()
    }

    pub(crate) fn plan_identity(&self) -> Result<PlanIdentity, CacheError> {
        PlanIdentity::of(&self.dir.join(PLAN_FILE), self.read_plan()?.rows())
    }

    /// Returns the states of the plan's rows; `None` if no apply has begun.
    ///
    /// # Errors
    ///
    /// [`CacheError::Damaged`] when the journal is, or when it is of another plan; [`CacheError::NewerFormat`].
    pub fn read_journal(&self) -> Result<Option<Journal>, CacheError> {
        let path = self.dir.join(JOURNAL_FILE);
        // Without a plan: a run of the same id has begun and was killed before it was rid of the journal.
        if !path.exists() || !self.has_plan() {
            return Ok(None);
        }
        journal::read(&path, &self.plan_identity()?)
    }

    /// Returns the journal without comparing it with the plan, which may be large.
    pub(crate) fn stored_journal(&self) -> Result<Option<Journal>, CacheError> {
        journal::read_any(&self.dir.join(JOURNAL_FILE))
    }

    /// Returns the snapshot of a kind on one side, batch by batch.
    ///
    /// # Errors
    ///
    /// [`CacheError::Missing`] when there is none, [`CacheError::Damaged`]; the batches themselves can also be damaged.
    pub fn read_snapshot(&self, side: Side, kind: &str) -> Result<SnapshotReader, CacheError> {
        let path = self.snapshot_path(side, &KindName::parse(kind)?);
        SnapshotReader::open(self.file(path.clone()))?.ok_or_else(|| self.missing(format!("snapshot {}/{kind}", side.letter()), path))
    }

    /// Returns the kinds that have a snapshot on one side, by name.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn snapshot_kinds(&self, side: Side) -> Result<Vec<KindName>, CacheError> {
        let dir = self.side_dir(side);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).at("read", &dir),
        };
        let mut kinds = Vec::new();
        for entry in entries {
            let name = entry.at("read", &dir)?.file_name();
            let kind = name.to_str().and_then(|name| name.strip_suffix(PARQUET_SUFFIX));
            kinds.extend(kind.and_then(|kind| KindName::parse(kind).ok()));
        }
        kinds.sort();
        Ok(kinds)
    }

    /// Returns the errors of the run, none when there is no such file.
    ///
    /// # Errors
    ///
    /// [`CacheError::Damaged`].
    pub fn read_errors(&self) -> Result<Vec<ErrorRow>, CacheError> {
        errors_file::read(self.file(self.dir.join(ERRORS_FILE)))
    }

    /// Returns the cursors, empty when there are none.
    ///
    /// # Errors
    ///
    /// [`CacheError::Damaged`].
    pub fn read_cursors(&self) -> Result<Cursors, CacheError> {
        Ok(sidecars::read_json(&self.dir.join(CURSORS_FILE), &self.remedy())?.unwrap_or_default())
    }

    /// Returns the hash of the mapping and of the destination's schema, as the run saw them.
    ///
    /// # Errors
    ///
    /// When the disk refuses, or the file is not text.
    pub fn read_schema_sub_hash(&self) -> Result<Option<String>, CacheError> {
        let path = self.dir.join(SCHEMA_SUB_HASH_FILE);
        let Some(bytes) = sidecars::read(&path)? else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes).map_err(|error| self.file(path).damaged(error))?;
        Ok(Some(text.trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array};
    use infrahub_sync_core::plan_row::Action;

    use super::*;
    use crate::atomic::failpoint;
    use crate::sidecars::{Mode, RunStatus};

    fn batch(generation: i64) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![generation; 3]));
        RecordBatch::try_from_iter([("generation", column)]).expect("a batch")
    }

    fn plan_row(generation: i64) -> PlanRow {
        PlanRow {
            action: Action::Delete,
            resource: "K".to_owned(),
            source_id: generation.to_string(),
            dest_id: None,
            attribute: None,
            old_value: None,
            new_value: None,
            owner: None,
            skip_reason: None,
            conflict_class: None,
            tier: 0,
            pass: 0,
            key: String::new(),
            peers: None,
            evidence: None,
            destination_mapping: None,
        }
    }

    /// A whole run that says in each file of which generation it is.
    fn write_run(lock: &CacheLock, id: &RunId, generation: i64) -> Result<(), CacheError> {
        let mut file = RunFile::running(Mode::Diff, Timestamp::UNIX_EPOCH);
        file.summary.insert("generation".to_owned(), generation.into());
        let run = lock.start_run(id, &file)?;
        for side in Side::BOTH {
            // One kind that each generation has, and one of its own.
            for kind in ["K".to_owned(), format!("K{generation}")] {
                let batch = batch(generation);
                run.write_snapshot(side, &kind, batch.schema(), [batch])?;
            }
        }
        run.write_schema_sub_hash(&generation.to_string())?;
        run.write_plan([plan_row(generation)])?;
        let error = ErrorRow { message: generation.to_string(), ..ErrorRow::default() };
        run.write_errors(&[error])?;
        file.status = RunStatus::DryRun;
        run.write_run_file(&file)
    }

    /// The generations that the run's files are of, and whether it has its plan. Panics at a file that is not whole.
    fn generations(run: &RunReader) -> (Vec<i64>, bool) {
        let mut found = Vec::new();
        for side in Side::BOTH {
            for kind in run.snapshot_kinds(side).expect("listed") {
                let mut batches = run.read_snapshot(side, kind.as_str()).expect("whole");
                let read = batches.next().expect("a batch").expect("whole");
                let generation = read.column(0).as_primitive::<Int64Type>().value(0);
                assert_eq!(read, batch(generation));
                found.push(generation);
            }
        }
        let number = |text: &str| text.parse::<i64>().expect("a number");
        found.extend(run.read_schema_sub_hash().expect("whole").as_deref().map(number));
        found.extend(run.read_errors().expect("whole").iter().map(|row| number(&row.message)));
        if run.has_plan() {
            assert!(found.len() >= 5, "a plan without its snapshots");
            found.extend(run.read_plan().expect("whole").map(|row| number(&row.expect("whole").source_id)));
        }
        found.sort_unstable();
        found.dedup();
        (found, run.has_plan())
    }

    #[test]
    fn a_run_that_stops_at_any_step_leaves_one_run_or_none() {
        let id = RunId::parse("r").expect("an id");
        let mut steps = 0;
        loop {
            let root = tempfile::tempdir().expect("a folder");
            let cache = Cache::open(root.path(), SyncName::parse("s").expect("a name")).expect("opened");
            let lock = cache.lock(&Holder::default(), Duration::ZERO, &mut |_| {}).expect("free");
            write_run(&lock, &id, 0).expect("written");

            let written = failpoint::after(steps, || write_run(&lock, &id, 1));
            let run = cache.open_run(&id).expect("run.json is whole");
            let file = run.run_file().expect("whole");
            let said = file.summary["generation"].as_i64().expect("a number");
            let (found, has_plan) = generations(&run);
            assert!(found.len() <= 1, "stopped after {steps} steps: a mixture of {found:?}");
            if file.status == RunStatus::DryRun {
                assert_eq!((found, has_plan), (vec![said], true), "stopped after {steps} steps");
            } else {
                assert_eq!((file.status, said), (RunStatus::Running, 1));
            }

            write_run(&lock, &id, 2).expect("the next run is not disturbed");
            assert_eq!(generations(&run), (vec![2], true));
            assert_eq!(run.snapshot_kinds(Side::Source).expect("listed").len(), 2);
            if written.is_ok() {
                break;
            }
            steps += 1;
        }
        // Each file alone is several steps: fewer would mean that they are not seen.
        assert!(steps > 50, "{steps} steps");
    }

    #[test]
    fn a_cache_whose_making_stops_at_any_step_is_made_by_the_next() {
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
