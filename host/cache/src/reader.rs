//! Reads the folder of a run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Side;
use crate::error::{CacheError, IoContext, Remedy, check_ours};
use crate::errors_file::{self, ErrorRow};
use crate::format::{CURSORS_FILE, Cursors, ERRORS_FILE, FileSum, JOURNAL_FILE, PARQUET_SUFFIX, PLAN_FILE, RUN_FILE, SCHEMA_SUB_HASH_FILE};
use crate::journal::{self, Journal, PlanIdentity};
use crate::names::{KindName, RunId, snapshot_name};
use crate::parquet_file::FileName;
use crate::plan_file::PlanReader;
use crate::run_record::RunRecord;
use crate::small_files;
use crate::snapshot_file::SnapshotReader;

/// Reads the folder of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReader {
    id: RunId,
    dir: PathBuf,
}

impl RunReader {
    /// Returns a reader of the run with that id in that folder, whether the folder exists or not.
    pub(crate) fn new(id: &RunId, dir: PathBuf) -> RunReader {
        RunReader { id: id.clone(), dir }
    }

    pub(crate) fn side_dir(&self, side: Side) -> PathBuf {
        self.dir.join(side.letter())
    }

    pub(crate) fn snapshot_path(&self, side: Side, kind: &KindName) -> PathBuf {
        self.side_dir(side).join(format!("{kind}{PARQUET_SUFFIX}"))
    }

    /// Returns a file of the run with its remedy.
    fn file(&self, path: PathBuf) -> FileName {
        FileName { path, remedy: self.remedy() }
    }

    /// Returns what to do about a damaged file of the run.
    pub(crate) fn remedy(&self) -> Remedy {
        Remedy::RepeatRun { id: self.id.clone(), dir: self.dir.clone() }
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

    /// Reads `run.json`. As in 2.0.1, a missing file means a pending run.
    ///
    /// # Errors
    ///
    /// When it is damaged or has a newer format.
    pub fn run_file(&self) -> Result<RunRecord, CacheError> {
        Ok(self.stored_run_file()?.unwrap_or_default())
    }

    /// Reads `run.json`, if the run is this user's.
    pub(crate) fn stored_run_file(&self) -> Result<Option<RunRecord>, CacheError> {
        check_ours(&self.dir)?;
        for name in [RUN_FILE, PLAN_FILE, JOURNAL_FILE] {
            check_ours(&self.dir.join(name))?;
        }
        small_files::read_run_file(&self.dir.join(RUN_FILE), &self.remedy())
    }

    /// Returns the rows of the plan, one at a time.
    ///
    /// # Errors
    ///
    /// [`CacheError::Missing`], [`CacheError::ForeignPlan`] for a plan of 2.0.1, or [`CacheError::Damaged`]. The rows themselves can also be
    /// damaged.
    pub fn read_plan(&self) -> Result<PlanReader, CacheError> {
        let path = self.dir.join(PLAN_FILE);
        PlanReader::open(self.file(path.clone()))?.ok_or_else(|| self.missing("plan".to_owned(), path))
    }

    /// Compares the plan with its checksum in `run.json`, if there is one.
    ///
    /// # Errors
    ///
    /// [`CacheError::Damaged`] when it was changed.
    pub fn check_plan(&self) -> Result<(), CacheError> {
        let path = self.dir.join(PLAN_FILE);
        self.check(&path, self.run_file()?.files.get(PLAN_FILE))
    }

    /// Compares the snapshot of a kind with its checksum in `run.json`, if there is one.
    ///
    /// # Errors
    ///
    /// [`CacheError::Damaged`] when it was changed.
    pub fn check_snapshot(&self, file: &RunRecord, side: Side, kind: &str) -> Result<(), CacheError> {
        let kind = KindName::parse(kind)?;
        self.check(&self.snapshot_path(side, &kind), file.files.get(&snapshot_name(side, &kind)))
    }

    fn check(&self, path: &Path, expected: Option<&FileSum>) -> Result<(), CacheError> {
        // A file that was finished after the last write of run.json has none.
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

    /// Returns the SHA-256 of the plan, as `sha256:` and 64 hexadecimal digits: what was reviewed is what is applied.
    ///
    /// # Errors
    ///
    /// When there is no plan, or it cannot be read.
    pub fn plan_digest(&self) -> Result<String, CacheError> {
        Ok(self.plan_identity()?.digest())
    }

    pub(crate) fn plan_identity(&self) -> Result<PlanIdentity, CacheError> {
        PlanIdentity::of(&self.dir.join(PLAN_FILE), self.read_plan()?.rows())
    }

    /// Reads the states of the plan's rows, or returns `None` if no apply has begun.
    ///
    /// # Errors
    ///
    /// [`CacheError::Damaged`] when the journal is damaged or belongs to another plan, or [`CacheError::NewerFormat`].
    pub fn read_journal(&self) -> Result<Option<Journal>, CacheError> {
        let path = self.dir.join(JOURNAL_FILE);
        // Without a plan, a run with the same id has begun and was killed before it removed the journal.
        if !path.exists() || !self.has_plan() {
            return Ok(None);
        }
        journal::read(&path, &self.plan_identity()?)
    }

    /// Reads the journal, whatever its plan: without reading the plan, which may be large.
    pub(crate) fn stored_journal(&self) -> Result<Option<Journal>, CacheError> {
        journal::read_any(&self.dir.join(JOURNAL_FILE))
    }

    /// Returns the snapshot of a kind on one side, batch by batch.
    ///
    /// # Errors
    ///
    /// [`CacheError::Missing`] or [`CacheError::Damaged`]. The batches themselves can also be damaged.
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

    /// Reads the errors of the run; a missing file has none.
    ///
    /// # Errors
    ///
    /// [`CacheError::Damaged`].
    pub fn read_errors(&self) -> Result<Vec<ErrorRow>, CacheError> {
        errors_file::read(self.file(self.dir.join(ERRORS_FILE)))
    }

    /// Reads the cursors; a missing file has none.
    ///
    /// # Errors
    ///
    /// [`CacheError::Damaged`].
    pub fn read_cursors(&self) -> Result<Cursors, CacheError> {
        Ok(small_files::read_json(&self.dir.join(CURSORS_FILE), &self.remedy())?.unwrap_or_default())
    }

    /// Reads the hash of the mapping and of the destination's schema, as the run used them.
    ///
    /// # Errors
    ///
    /// When the system refuses, or the file is not text.
    pub fn read_schema_sub_hash(&self) -> Result<Option<String>, CacheError> {
        let path = self.dir.join(SCHEMA_SUB_HASH_FILE);
        let Some(bytes) = small_files::read(&path)? else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes).map_err(|error| self.file(path).damaged(error))?;
        Ok(Some(text.trim().to_owned()))
    }
}
