//! Whether the cache is whole: every file is read to its end.
//!
//! Nothing is locked, so that a run can begin meanwhile: the current run is left out.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::atomic;
use crate::error::{CacheError, IoContext};
use crate::housekeeping::PRUNED_PREFIX;
use crate::layout::{
    CURSORS_FILE, Cache, ERRORS_FILE, FORMAT_FILE, JOURNAL_FILE, LOCK_FILE, PARQUET_SUFFIX, PLAN_FILE, ROWCOUNTS_FILE, RUN_COUNTER_FILE,
    RUN_FILE, RunReader, SCHEMA_SUB_HASH_FILE, snapshot_name,
};
use crate::run_id::{KindName, RunId};
use crate::sidecars::{RunFile, RunStatus};
use crate::sums::FileSum;
use crate::{Side, internal_fields};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The run, if it is one's.
    pub run: Option<RunId>,
    /// The file or folder.
    pub path: PathBuf,
    /// The problem.
    pub problem: String,
    /// The remedy.
    pub hint: Option<String>,
    /// Whether something is damaged or missing, as opposed to being left over.
    pub is_damage: bool,
}

/// The checked files and the findings.
#[derive(Debug, Default)]
pub struct Verified {
    /// How many runs were read.
    pub runs: u64,
    /// How many files.
    pub files: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The findings.
    pub findings: Vec<Finding>,
    /// The current run, which was left out.
    pub running: Option<RunId>,
}

impl Verified {
    /// Returns whether nothing is damaged or missing. Leftover files are allowed.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.findings.iter().any(|finding| finding.is_damage)
    }
}

impl Cache {
    /// Reads a run, or all of them with what lies beside them, and says what is damaged, missing or left over.
    ///
    /// # Errors
    ///
    /// [`CacheError::UnknownRun`], or when the sync's folder cannot be read.
    pub fn verify(&self, only: Option<&RunId>) -> Result<Verified, CacheError> {
        let mut verified = Verified::default();
        let holder = self.holder();
        let at_work = holder.as_ref().and_then(|holder| holder.run_id.as_ref());
        let mut runs: Vec<RunReader> = match only {
            Some(id) if !self.run_dir(id).is_dir() => return Err(self.unknown_run(id)?),
            Some(id) => vec![RunReader::new(self, id)],
            None => {
                verified.verify_beside(self, holder.is_some())?;
                self.list_runs()?.into_iter().map(|run| RunReader::new(self, &run.id)).collect()
            }
        };
        if let Some(at) = runs.iter().position(|run| Some(run.id()) == at_work) {
            verified.running = Some(runs.remove(at).id().clone());
        }
        for run in &runs {
            let before = verified.findings.len();
            Check { run, verified: &mut verified }.run();
            // Pruned or begun anew while it was read: what was missing is no damage.
            let has_begun = || self.holder().is_some_and(|holder| holder.run_id.as_ref() == Some(run.id()));
            if verified.findings.len() > before && (!run.dir().is_dir() || has_begun()) {
                verified.findings.truncate(before);
            }
        }
        Ok(verified)
    }
}

impl Verified {
    /// Checks the files that belong to the sync as a whole.
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
            let (problem, hint) = match name.as_str() {
                LOCK_FILE | FORMAT_FILE => continue,
                ROWCOUNTS_FILE | RUN_COUNTER_FILE => {
                    self.files += 1;
                    let read = if name == ROWCOUNTS_FILE { cache.rowcounts().map(drop) } else { cache.run_counter().map(drop) };
                    self.take(None, &path, read);
                    continue;
                }
                name if name.starts_with(PRUNED_PREFIX) => ("a run that was being removed", "`infrahub-sync cache prune` removes the rest"),
                // A file of the current run.
                name if atomic::is_unfinished(name) && is_locked => continue,
                name if atomic::is_unfinished(name) => ("a file that was never finished", "the next run removes it"),
                _ if is_folder && RunId::parse(&name).is_ok() => continue,
                _ => ("it does not belong to the cache", "delete it, unless you know its purpose"),
            };
            self.left_over(None, path, problem, hint);
        }
        Ok(())
    }

    fn left_over(&mut self, run: Option<&RunId>, path: PathBuf, problem: &str, hint: &str) {
        let (problem, hint) = (problem.to_owned(), Some(hint.to_owned()));
        self.findings.push(Finding { run: run.cloned(), path, problem, hint, is_damage: false });
    }

    fn damaged(&mut self, run: Option<&RunId>, path: PathBuf, problem: String, hint: Option<String>) {
        self.findings.push(Finding { run: run.cloned(), path, problem, hint, is_damage: true });
    }

    /// Notes a failure. Returns whether the result was a success.
    fn take(&mut self, run: Option<&RunId>, path: &Path, result: Result<(), CacheError>) -> bool {
        let Err(error) = result else { return true };
        self.damaged(run, path.to_owned(), words(&error), error.hint());
        false
    }
}

/// Returns a failure without the file's name, which already precedes it.
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

/// The reading of one run.
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
                let hint = format!("a run was killed at its start, or the folder is not a run; delete {}", run.dir().display());
                self.verified.left_over(Some(run.id()), path, "it does not exist", &hint);
                RunFile::default()
            }
            Err(error @ CacheError::NewerFormat { .. }) => {
                // The rest may be of a form that only the newer version knows.
                self.take(&path, Err(error));
                return;
            }
            Err(error) => {
                self.take(&path, Err(error));
                RunFile::default()
            }
        };
        self.names(run.dir(), |name| {
            let files = [RUN_FILE, PLAN_FILE, JOURNAL_FILE, ERRORS_FILE, CURSORS_FILE, SCHEMA_SUB_HASH_FILE];
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
            let (problem, hint) = match atomic::is_unfinished(name) {
                true => ("a file that was never finished", "the run was killed while writing it; an apply of the run removes it"),
                false => ("it does not belong to the cache", "delete it, unless you know its purpose"),
            };
            self.verified.left_over(Some(self.run.id()), folder.join(name), problem, hint);
        }
    }

    fn snapshots(&mut self, file: &RunFile, side: Side) {
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
                Some(&counted) if counted != rows => self.damaged(path, format!("it has {rows} rows, and run.json counts {counted}")),
                // Counts are there as soon as all snapshots are.
                None if !counts.is_empty() => {
                    let hint = "it is of another run of the same id; delete it";
                    self.verified.left_over(Some(run.id()), path, "run.json does not know the kind", hint);
                }
                _ => {}
            }
        }
        for kind in counts.keys() {
            if let Ok(kind) = KindName::parse(kind)
                && !kinds.contains(&kind)
            {
                self.damaged(run.snapshot_path(side, &kind), "it does not exist, and run.json counts its rows".to_owned());
            }
        }
    }

    /// Reads a snapshot to its end; says how many rows it has, if it is whole.
    fn snapshot(&mut self, file: &RunFile, side: Side, kind: &KindName, path: &Path) -> Option<u64> {
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
            Ok((None, said, rows)) => format!("it has {rows} rows and says that it has {said}"),
            Ok((Some(missing), ..)) => format!("it has no column {:?}", missing.name()),
            Err(error) => {
                self.take(path, Err(error));
                return None;
            }
        };
        self.damaged(path.to_owned(), problem);
        None
    }

    fn plan(&mut self, file: &RunFile) {
        let run = self.run;
        let path = run.dir().join(PLAN_FILE);
        if !run.has_plan() {
            // A run of ours that came to its end has one.
            if file.format > 0 && matches!(file.status, RunStatus::DryRun | RunStatus::Applied | RunStatus::Partial) {
                self.damaged(path, format!("it does not exist, and the run is {}", file.status.as_str()));
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
            Ok((said, rows)) if said != rows => self.damaged(path, format!("it has {rows} rows and says that it has {said}")),
            Ok(_) => {
                let journal = run.read_journal().map(drop);
                self.small(JOURNAL_FILE, journal);
            }
            // One of 2.0.1, which is as it should be.
            Err(CacheError::ForeignPlan { .. }) if file.format == 0 => {}
            Err(error) => {
                self.take(&path, Err(error));
            }
        }
    }

    /// Reads a file and compares it with what was written; says whether it can be read on.
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
