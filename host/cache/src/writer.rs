//! Writes the folder of a run, and determines the order in which files appear and disappear.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use infrahub_sync_core::plan_row::PlanRow;
use infrahub_sync_durable as durable;

use crate::Side;
use crate::error::CacheError;
use crate::errors_file::{self, ErrorRow};
use crate::explain_file::EXPLAIN_FILE;
use crate::format::{CURSORS_FILE, Cursors, ERRORS_FILE, FORMAT, JOURNAL_FILE, PARQUET_SUFFIX, PLAN_FILE, RUN_FILE, SCHEMA_SUB_HASH_FILE};
use crate::journal::JournalWriter;
use crate::names::{KindName, RunId, snapshot_name};
use crate::parquet_file::Written;
use crate::plan_file::PlanWriter;
use crate::reader::RunReader;
use crate::run_record::RunRecord;
use crate::small_files;
use crate::snapshot_file::SnapshotWriter;
use crate::store::CacheLock;
use crate::sums::Sums;

impl CacheLock {
    /// Begins a run, and first removes a run with the same id.
    ///
    /// It writes `run.json`, then removes the old files, and only then writes new ones. A crash at any point leaves the old run, with the
    /// status in `file`, or none.
    ///
    /// # Errors
    ///
    /// When the system refuses, or the run with that id has a newer format.
    pub fn start_run(&self, id: &RunId, file: &RunRecord) -> Result<RunWriter, CacheError> {
        let run = self.cache().reader(id);
        if let Err(error @ CacheError::NewerFormat { .. }) = run.stored_run_file() {
            return Err(error);
        }
        for folder in [run.dir().to_owned(), run.side_dir(Side::Source), run.side_dir(Side::Destination)] {
            durable::create_folder(&folder)?;
        }
        let writer = RunWriter { lock: self.clone(), run, sums: Sums::default() };
        // The caller may have copied the sums of files that are now removed.
        writer.write_run_file(&RunRecord { files: BTreeMap::new(), ..file.clone() })?;
        // The plan goes first and alone: a reader that finds it can rely on the rest. Folders are flushed in between.
        let dir = writer.run.dir();
        durable::remove_files(dir, |name| name == PLAN_FILE)?;
        let sidecars = [JOURNAL_FILE, ERRORS_FILE, CURSORS_FILE, SCHEMA_SUB_HASH_FILE, EXPLAIN_FILE];
        durable::remove_files(dir, |name| sidecars.contains(&name) || durable::is_unfinished(name))?;
        for side in Side::BOTH {
            let unwanted = |name: &str| name.ends_with(PARQUET_SUFFIX) || durable::is_unfinished(name);
            durable::remove_files(&writer.run.side_dir(side), unwanted)?;
        }
        Ok(writer)
    }

    /// Continues an existing run, to apply its plan. Only unfinished files are removed.
    ///
    /// # Errors
    ///
    /// As [`Cache::open_run`](crate::Cache::open_run).
    pub fn continue_run(&self, id: &RunId) -> Result<RunWriter, CacheError> {
        let run = self.cache().open_run(id)?;
        durable::remove_files(run.dir(), durable::is_unfinished)?;
        for side in Side::BOTH {
            let dir = run.side_dir(side);
            durable::create_folder(&dir)?;
            durable::remove_files(&dir, durable::is_unfinished)?;
        }
        Ok(RunWriter { lock: self.clone(), run, sums: Sums::default() })
    }
}

/// Writes the folder of a run. Threads can share it, and each file has one writer.
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
        self.run.id()
    }

    /// Returns the run's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.run.dir()
    }

    /// Returns a reader of the files written so far.
    #[must_use]
    pub fn reader(&self) -> &RunReader {
        &self.run
    }

    /// Begins a snapshot, to be written batch by batch.
    ///
    /// # Errors
    ///
    /// When the kind's name is not a valid file name, or the system refuses.
    pub fn snapshot_writer(&self, side: Side, kind: &str, schema: SchemaRef) -> Result<SnapshotWriter, CacheError> {
        let kind = KindName::parse(kind)?;
        let sum = self.sums.place(snapshot_name(side, &kind));
        SnapshotWriter::create(&self.lock.guard, &self.run.snapshot_path(side, &kind), schema, sum)
    }

    /// Links an unchanged snapshot of an earlier run into this one. Returns false, and creates nothing, if that is impossible: another disk,
    /// or a missing snapshot. The caller then writes the snapshot.
    ///
    /// Snapshots are never changed once they are written, so both runs keep theirs, whichever is removed first.
    ///
    /// # Errors
    ///
    /// When the kind's name is not a valid file name, or the system refuses.
    pub fn adopt_snapshot(&self, side: Side, kind: &str, from: &RunReader) -> Result<bool, CacheError> {
        let kind = KindName::parse(kind)?;
        let name = snapshot_name(side, &kind);
        let Some(sum) = from.run_file()?.files.get(&name).cloned() else { return Ok(false) };
        let path = self.run.snapshot_path(side, &kind);
        if let Some(folder) = path.parent() {
            durable::create_folder(folder)?;
        }
        if fs::hard_link(from.snapshot_path(side, &kind), &path).is_err() {
            return Ok(false);
        }
        if let Some(folder) = path.parent() {
            durable::sync_folder(folder)?;
        }
        self.sums.keep(name, sum);
        Ok(true)
    }

    /// Writes a snapshot, which may have no rows. It survives a power cut once this returns. Memory holds one row group.
    ///
    /// # Errors
    ///
    /// When the kind's name is not a valid file name, a batch does not fit the schema, or the system refuses.
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

    /// Begins a plan, to be written row by row. An older plan that was applied, wholly or in part, is removed together with its journal.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn plan_writer(&self) -> Result<PlanWriter, CacheError> {
        if self.dir().join(JOURNAL_FILE).exists() {
            // The plan first: a journal without a plan is ignored, and a plan without its journal counts as never applied.
            durable::remove_files(self.dir(), |name| name == PLAN_FILE)?;
            durable::remove_files(self.dir(), |name| name == JOURNAL_FILE)?;
        }
        PlanWriter::create(&self.lock.guard, &self.dir().join(PLAN_FILE), self.sums.place(PLAN_FILE.to_owned()))
    }

    /// Writes the plan. It survives a power cut once this returns.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn write_plan(&self, rows: impl IntoIterator<Item = PlanRow>) -> Result<Written, CacheError> {
        let mut writer = self.plan_writer()?;
        for row in rows {
            writer.push(&row)?;
        }
        writer.finish()
    }

    /// Opens the journal of the run's plan for writing. It creates a missing journal and removes an unfinished frame.
    ///
    /// It reads the plan once for its digest: a journal is valid only for the plan that it was begun with.
    ///
    /// # Errors
    ///
    /// As [`read_plan`](RunReader::read_plan) and [`read_journal`](RunReader::read_journal), or when the system refuses.
    pub fn open_journal(&self) -> Result<JournalWriter, CacheError> {
        JournalWriter::open(&self.lock.guard, &self.dir().join(JOURNAL_FILE), &self.run.plan_identity()?)
    }

    /// Writes the errors of the run in place of older ones. Without errors, there is no file.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn write_errors(&self, rows: &[ErrorRow]) -> Result<Written, CacheError> {
        let path = self.dir().join(ERRORS_FILE);
        if rows.is_empty() {
            if durable::remove_file(&path)? {
                durable::sync_folder(self.dir())?;
            }
            return Ok(Written::default());
        }
        errors_file::write(&self.lock.guard, &path, rows)
    }

    /// Writes the cursors.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn write_cursors(&self, cursors: &Cursors) -> Result<(), CacheError> {
        small_files::write_json(&self.dir().join(CURSORS_FILE), cursors)
    }

    /// Writes the hash of the mapping and of the destination's schema.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn write_schema_sub_hash(&self, hash: &str) -> Result<(), CacheError> {
        Ok(durable::write_file(&self.dir().join(SCHEMA_SUB_HASH_FILE), hash.as_bytes())?)
    }

    /// Writes `run.json`, in this version's format whatever the value says, and with the checksums of the files written since.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn write_run_file(&self, file: &RunRecord) -> Result<(), CacheError> {
        let mut file = RunRecord { format: FORMAT, ..file.clone() };
        self.sums.merge_into(&mut file.files);
        small_files::write_json(&self.dir().join(RUN_FILE), &file)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array};
    use infrahub_sync_core::plan_row::Action;

    use infrahub_sync_durable::failpoint;
    use jiff::Timestamp;

    use super::*;
    use crate::lock::Holder;
    use crate::names::SyncName;
    use crate::run_record::{Mode, RunStatus};
    use crate::store::Cache;

    fn batch(generation: i64) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![generation; 3]));
        RecordBatch::try_from_iter([("generation", column)]).expect("a batch")
    }

    fn plan_row(generation: i64) -> PlanRow {
        PlanRow { action: Action::Delete, resource: "K".to_owned(), source_id: generation.to_string(), ..PlanRow::default() }
    }

    /// A whole run that says in each file of which generation it is.
    fn write_run(lock: &CacheLock, id: &RunId, generation: i64) -> Result<(), CacheError> {
        let mut file = RunRecord::running(Mode::Diff, Timestamp::UNIX_EPOCH);
        file.summary.problems = u64::try_from(generation).ok();
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
            let said = file.summary.problems.and_then(|said| i64::try_from(said).ok()).expect("a number");
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
}
