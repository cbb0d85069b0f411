//! Checks the cache by reading every file to its end.
//!
//! It takes no lock, so that a run can begin meanwhile. A running run is not checked.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use infrahub_sync_durable as durable;

use crate::Side;
use crate::error::{CacheError, IoContext, Remedy};
use crate::explain_file::EXPLAIN_FILE;
use crate::format::{
    APPLYING_FILE, CURSORS_FILE, ERRORS_FILE, FORMAT_FILE, FileSum, JOURNAL_FILE, LOCK_FILE, NO_EFFECT_FILE, OWNERSHIP_FILE,
    PARQUET_SUFFIX, PLAN_FILE, PRUNED_PREFIX, ROWCOUNTS_FILE, RUN_COUNTER_FILE, RUN_FILE, SCHEMA_SUB_HASH_FILE, VANISHED_FILE,
};
use crate::names::{KindName, RunId, snapshot_name};
use crate::reader::RunReader;
use crate::run_record::{RunRecord, RunStatus};
use crate::snapshot_file::internal_fields;
use crate::store::Cache;

/// A damaged, missing or leftover file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The run, if the file belongs to one.
    pub run: Option<RunId>,
    /// The file or folder.
    pub path: PathBuf,
    /// The problem.
    pub problem: String,
    /// The remedy.
    pub remedy: Option<Remedy>,
    /// Whether the file is damaged or missing, and not only left over.
    pub is_damage: bool,
}

/// The checked files and the findings.
#[derive(Debug, Default)]
pub struct Verified {
    /// The number of runs.
    pub runs: u64,
    /// The number of files.
    pub files: u64,
    /// The number of bytes.
    pub bytes: u64,
    /// The findings.
    pub findings: Vec<Finding>,
    /// The running run, which was not checked.
    pub running: Option<RunId>,
}

impl Verified {
    /// Returns whether no file is damaged or missing. Files may be left over.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.findings.iter().any(|finding| finding.is_damage)
    }
}

impl Cache {
    /// Reads a run, or all runs and the files beside them, and reports damaged, missing and leftover files.
    ///
    /// # Errors
    ///
    /// [`CacheError::UnknownRun`], or when the sync's folder cannot be read.
    pub fn verify(&self, only: Option<&RunId>) -> Result<Verified, CacheError> {
        let mut verified = Verified::default();
        let holder = self.holder();
        let running = holder.as_ref().and_then(|holder| holder.run_id.as_ref());
        let mut runs: Vec<RunReader> = match only {
            Some(id) if !self.run_dir(id).is_dir() => return Err(self.unknown_run(id)?),
            Some(id) => vec![self.reader(id)],
            None => {
                verified.verify_beside(self, holder.is_some())?;
                self.list_runs()?.into_iter().map(|run| self.reader(&run.id)).collect()
            }
        };
        if let Some(at) = runs.iter().position(|run| Some(run.id()) == running) {
            verified.running = Some(runs.remove(at).id().clone());
        }
        for run in &runs {
            let before = verified.findings.len();
            Check { run, verified: &mut verified }.run();
            // The run was pruned or begun again during the check: a missing file is not damage.
            let has_begun = || self.holder().is_some_and(|holder| holder.run_id.as_ref() == Some(run.id()));
            if verified.findings.len() > before && (!run.dir().is_dir() || has_begun()) {
                verified.findings.truncate(before);
            }
        }
        Ok(verified)
    }
}

impl Verified {
    /// Checks the files of the sync itself.
    fn verify_beside(&mut self, cache: &Cache, is_locked: bool) -> Result<(), CacheError> {
        let dir = cache.dir();
        let mut entries: Vec<(String, bool)> = Vec::new();
        for entry in fs::read_dir(dir).at("read", dir)? {
            let entry = entry.at("read", dir)?;
            entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path().is_dir()));
        }
        entries.sort();
        for (name, is_folder) in entries {
            let path = dir.join(&name);
            let (problem, remedy) = match name.as_str() {
                LOCK_FILE | FORMAT_FILE => continue,
                ROWCOUNTS_FILE | RUN_COUNTER_FILE | OWNERSHIP_FILE | APPLYING_FILE | VANISHED_FILE | NO_EFFECT_FILE => {
                    self.files += 1;
                    let read = match name.as_str() {
                        ROWCOUNTS_FILE => cache.rowcounts().map(drop),
                        RUN_COUNTER_FILE => cache.run_counter().map(drop),
                        OWNERSHIP_FILE => cache.ownership().map(drop),
                        APPLYING_FILE => cache.applying().map(drop),
                        VANISHED_FILE => cache.vanished().map(drop),
                        _ => cache.no_effect().map(drop),
                    };
                    self.take(None, &path, read);
                    continue;
                }
                name if name.starts_with(PRUNED_PREFIX) => ("the rest of a removed run", Remedy::Prune),
                // A file of the running run.
                name if durable::is_unfinished(name) && is_locked => continue,
                name if durable::is_unfinished(name) => ("an unfinished file", Remedy::NextRun),
                _ if is_folder && RunId::parse(&name).is_ok() => continue,
                _ => ("it does not belong to the cache", Remedy::DeleteForeign),
            };
            self.left_over(None, path, problem, remedy);
        }
        Ok(())
    }

    fn left_over(&mut self, run: Option<&RunId>, path: PathBuf, problem: &str, remedy: Remedy) {
        let problem = problem.to_owned();
        self.findings.push(Finding { run: run.cloned(), path, problem, remedy: Some(remedy), is_damage: false });
    }

    fn damaged(&mut self, run: Option<&RunId>, path: PathBuf, problem: String, remedy: Option<Remedy>) {
        self.findings.push(Finding { run: run.cloned(), path, problem, remedy, is_damage: true });
    }

    /// Records a failure. Returns true on success.
    fn take(&mut self, run: Option<&RunId>, path: &Path, result: Result<(), CacheError>) -> bool {
        let Err(error) = result else { return true };
        self.damaged(run, path.to_owned(), words(&error), error.remedy());
        false
    }
}

/// Describes a failure without the file's name, which precedes it.
fn words(error: &CacheError) -> String {
    match error {
        CacheError::Damaged { source, .. } => source.to_string(),
        CacheError::NewerFormat { found, supported, .. } => {
            format!("it has format {found}; this version reads up to format {supported}")
        }
        CacheError::ForeignPlan { column, .. } => format!("it has no column {column:?}"),
        CacheError::Missing { .. } => "it does not exist".to_owned(),
        CacheError::Io { action, source, .. } => format!("cannot {action} it: {source}"),
        other => match other.source() {
            Some(cause) => format!("{other}: {cause}"),
            None => other.to_string(),
        },
    }
}

/// The check of one run.
struct Check<'a> {
    run: &'a RunReader,
    verified: &'a mut Verified,
}

impl Check<'_> {
    fn run(mut self) {
        self.verified.runs += 1;
        let run = self.run;
        let path = run.dir().join(RUN_FILE);
        let file = match run.stored_run_file() {
            Ok(Some(file)) => {
                self.verified.files += 1;
                file
            }
            Ok(None) => {
                self.verified.left_over(Some(run.id()), path, "it does not exist", Remedy::DeleteRun(run.dir().to_owned()));
                RunRecord::default()
            }
            Err(error @ CacheError::NewerFormat { .. }) => {
                // Only the newer version knows the other files.
                self.take(&path, Err(error));
                return;
            }
            Err(error) => {
                self.take(&path, Err(error));
                RunRecord::default()
            }
        };
        self.names(run.dir(), |name| {
            let files = [RUN_FILE, PLAN_FILE, JOURNAL_FILE, ERRORS_FILE, CURSORS_FILE, SCHEMA_SUB_HASH_FILE, EXPLAIN_FILE];
            files.contains(&name) || Side::BOTH.iter().any(|side| side.letter() == name)
        });
        for side in Side::BOTH {
            self.snapshots(&file, side);
        }
        self.plan(&file);
        let errors = run.read_errors().map(drop);
        self.small(ERRORS_FILE, errors);
        let cursors = run.read_cursors().map(drop);
        self.small(CURSORS_FILE, cursors);
        let traces = run.read_traces().map(drop);
        self.small(EXPLAIN_FILE, traces);
        let hash = run.read_schema_sub_hash().map(drop);
        self.small(SCHEMA_SUB_HASH_FILE, hash);
    }

    fn take(&mut self, path: &Path, result: Result<(), CacheError>) -> bool {
        self.verified.take(Some(self.run.id()), path, result)
    }

    fn damaged(&mut self, path: PathBuf, problem: String) {
        self.verified.damaged(Some(self.run.id()), path, problem, Some(self.run.remedy()));
    }

    fn small(&mut self, name: &str, read: Result<(), CacheError>) {
        let path = self.run.dir().join(name);
        if let Ok(metadata) = fs::metadata(&path) {
            self.verified.files += 1;
            self.verified.bytes += metadata.len();
        }
        self.take(&path, read);
    }

    /// Reports the files that do not belong into a folder.
    fn names(&mut self, folder: &Path, is_known: impl Fn(&str) -> bool) {
        let names: Result<BTreeSet<String>, io::Error> =
            fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect());
        let names = match names {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                self.take(folder, Err(error).at("read", folder));
                return;
            }
        };
        for name in names.iter().filter(|name| !is_known(name)) {
            let (problem, remedy) = match durable::is_unfinished(name) {
                true => ("an unfinished file", Remedy::NextApply),
                false => ("it does not belong to the cache", Remedy::DeleteForeign),
            };
            self.verified.left_over(Some(self.run.id()), folder.join(name), problem, remedy);
        }
    }

    fn snapshots(&mut self, file: &RunRecord, side: Side) {
        let run = self.run;
        let folder = run.side_dir(side);
        self.names(&folder, |name| name.strip_suffix(PARQUET_SUFFIX).is_some_and(|kind| KindName::parse(kind).is_ok()));
        let kinds = match run.snapshot_kinds(side) {
            Ok(kinds) => kinds,
            Err(error) => {
                self.take(&folder, Err(error));
                return;
            }
        };
        let counts = file.counts.get(side);
        for kind in &kinds {
            let path = run.snapshot_path(side, kind);
            let Some(rows) = self.snapshot(file, side, kind, &path) else { continue };
            match counts.get(kind.as_str()) {
                Some(&counted) if counted != rows => self.damaged(path, format!("it has {rows} rows, but run.json counts {counted}")),
                // The counts are written once all snapshots exist.
                None if !counts.is_empty() => {
                    self.verified.left_over(Some(run.id()), path, "run.json does not know the kind", Remedy::DeleteOtherRunsFile);
                }
                _ => {}
            }
        }
        for kind in counts.keys() {
            if let Ok(kind) = KindName::parse(kind)
                && !kinds.contains(&kind)
            {
                self.damaged(run.snapshot_path(side, &kind), "it does not exist, but run.json counts its rows".to_owned());
            }
        }
    }

    /// Reads a snapshot to its end, and returns its number of rows if it is whole.
    fn snapshot(&mut self, file: &RunRecord, side: Side, kind: &KindName, path: &Path) -> Option<u64> {
        if !self.sum(path, file.files.get(&snapshot_name(side, kind))) {
            return None;
        }
        let read = self.run.read_snapshot(side, kind.as_str()).and_then(|reader| {
            let missing = internal_fields().into_iter().find(|field| reader.schema().column_with_name(field.name()).is_none());
            let said = reader.rows();
            let rows = reader.map(|batch| batch.map(|batch| batch.num_rows() as u64)).sum::<Result<u64, CacheError>>()?;
            Ok((missing, said, rows))
        });
        let problem = match read {
            Ok((None, said, rows)) if said == rows => return Some(rows),
            Ok((None, said, rows)) => format!("it has {rows} rows, but its header says {said}"),
            Ok((Some(missing), ..)) => format!("it has no column {:?}", missing.name()),
            Err(error) => {
                self.take(path, Err(error));
                return None;
            }
        };
        self.damaged(path.to_owned(), problem);
        None
    }

    fn plan(&mut self, file: &RunRecord) {
        let run = self.run;
        let path = run.dir().join(PLAN_FILE);
        if !run.has_plan() {
            // A run of this program that ended has one.
            if file.format > 0 && matches!(file.status, RunStatus::DryRun | RunStatus::Applied | RunStatus::Partial) {
                self.damaged(path, format!("it does not exist, but the run is {}", file.status.as_str()));
            }
            return;
        }
        if !self.sum(&path, file.files.get(PLAN_FILE)) {
            return;
        }
        let read = run.read_plan().and_then(|rows| {
            let said = rows.rows();
            let rows = rows.map(|row| row.map(|_| 1)).sum::<Result<u64, CacheError>>()?;
            Ok((said, rows))
        });
        match read {
            Ok((said, rows)) if said != rows => self.damaged(path, format!("it has {rows} rows, but its header says {said}")),
            Ok(_) => {
                let journal = run.read_journal().map(drop);
                self.small(JOURNAL_FILE, journal);
            }
            // A plan of 2.0.1, which is whole.
            Err(CacheError::ForeignPlan { .. }) if file.format == 0 => {}
            Err(error) => {
                self.take(&path, Err(error));
            }
        }
    }

    /// Compares a file with its checksum, and returns whether it can be read further.
    fn sum(&mut self, path: &Path, expected: Option<&FileSum>) -> bool {
        let found = match FileSum::of(path) {
            Ok(found) => found,
            Err(error) => return self.take(path, Err(error)),
        };
        self.verified.files += 1;
        self.verified.bytes += found.bytes;
        match expected.and_then(|expected| expected.contradicted_by(&found)) {
            Some(problem) => {
                self.damaged(path.to_owned(), problem);
                false
            }
            None => true,
        }
    }
}
