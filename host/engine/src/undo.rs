//! `undo`: a plan that takes a run back, from its plan and its journal. The source is not read, and nothing is written to the destination.
//!
//! The plan is a run of its own with the mode `undo`. It is shown and applied like any other, and can be taken back itself.

use std::collections::{BTreeSet, HashSet};

use infrahub_sync_cache::{AdapterRecord, ErrorRow, Journal, Mode, PerSide, RowState, RunReader, RunRecord, RunStatus};
use infrahub_sync_core::change::Change;
use infrahub_sync_core::diff::{Diff, KindDiff};
use infrahub_sync_core::key;
use infrahub_sync_core::model::{KindModel, Model};
use infrahub_sync_core::plan::{Policy, Proof, plan};
use infrahub_sync_core::plan_row::Action;
use infrahub_sync_core::snapshot::{KindSnapshot, Snapshot};
use infrahub_sync_core::undo::{self, Left, LeftReason, Undo, Written};

use crate::adapter::{Access, Opened, Runtimes};
use crate::apply::Report;
use crate::compare::write_snapshots;
use crate::pipeline::{check_drift, check_place, check_plan, read_destination};
use crate::run::{RunInProgress, interruptible, now, open_cache, parse_run_id, traffic};
use crate::schema::{self, Resolved};
use crate::targets::Targets;
use crate::{EngineError, Run, RunContext, Side, Summary};

/// A plan that takes a run back.
pub struct Undone {
    /// The run with the plan.
    pub run: Run,
    /// The run that it takes back.
    pub of: String,
    /// Objects that stay as they are, because others changed them since.
    pub left: Vec<Left>,
    /// Objects that are as they were before the run already.
    pub done: u64,
}

/// Makes a plan that takes the run `of` back.
///
/// # Errors
/// When there is no such run, nothing of it was written, the mapping or the destination's schema has changed since, or the destination cannot be
/// read.
pub async fn undo(cx: &RunContext<'_>, of: &str) -> Result<Undone, EngineError> {
    let open = async {
        let runtimes = Runtimes::new(cx)?;
        Opened::destination(cx, &runtimes, Access::Reads).await
    };
    undo_of(cx, of, open).await
}

/// As [`undo()`]; `open` opens the destination.
pub(crate) async fn undo_of(
    cx: &RunContext<'_>,
    of: &str,
    open: impl Future<Output = Result<Opened, EngineError>>,
) -> Result<Undone, EngineError> {
    let reader = open_cache(cx)?.open_run(&parse_run_id(of)?)?;
    // An early look, so that a run without effect leaves no new one behind.
    Undoing::new(&reader)?;
    let mut run = RunInProgress::new(cx, Mode::Undo).await?;
    run.record.undoes = Some(of.to_owned());
    let made = async {
        let undoing = Undoing::new(&reader)?;
        interruptible(cx, undoing.make(cx, &mut run, open)).await
    };
    let (summary, left, done) = match made.await {
        Ok(made) => made,
        Err(error) => return Err(run.failed(cx, error, &Report::default())),
    };
    run.finish(cx, RunStatus::DryRun, &summary, false)?;
    cx.events.note(&format!("Cached run {} at {}", run.writer.id(), run.writer.dir().display()));
    Ok(Undone { run: run.run(summary), of: of.to_owned(), left, done })
}

/// A run that is being taken back.
struct Undoing<'r> {
    reader: &'r RunReader,
    record: RunRecord,
    journal: Journal,
}

impl<'r> Undoing<'r> {
    fn new(reader: &'r RunReader) -> Result<Undoing<'r>, EngineError> {
        let record = reader.run_file()?;
        check_plan(reader, &record)?;
        let nothing = || EngineError::NothingToUndo { run_id: reader.id().to_string() };
        let journal = reader.read_journal()?.ok_or_else(nothing)?;
        let is_of_run = |row: u64| journal.was_written(row) || journal.state(row) == RowState::Sent;
        if !(0..journal.rows()).any(is_of_run) {
            return Err(nothing());
        }
        Ok(Undoing { reader, record, journal })
    }

    /// Compares, and writes the plan and what an apply of it needs.
    async fn make(
        &self,
        cx: &RunContext<'_>,
        run: &mut RunInProgress,
        open: impl Future<Output = Result<Opened, EngineError>>,
    ) -> Result<(Summary, Vec<Left>, u64), EngineError> {
        let destination = open.await?;
        check_place(self.reader, &self.record, &destination)?;
        let resolved = schema::live(cx.project, &*destination.system, cx.events).await?;
        check_drift(self.reader, &self.record, &resolved)?;
        let model = &resolved.model;
        let targets = Targets::new(cx.project, model, destination.manifest())?;
        let (now_there, partial) = read_destination(cx, run, &destination, &resolved, &targets).await?;
        if let Some((kind, reason)) = partial.into_iter().next() {
            // An object that is not in the answer may exist.
            return Err(EngineError::PartialDestination { kind, reason });
        }
        destination.system.finish()?;
        let (written, unknown) = self.written(model)?;
        let Undo { wanted, diff, mut left, done } = undo::undo(model, &now_there, written, unknown);
        let removed = removals(model, &now_there, &diff);
        let proofs = vec![Proof { all: format!("created by run {}", self.reader.id()), ..Proof::default() }; model.kinds.len()];
        let policy = Policy { create: true, update: true, delete: true };
        let run_id = run.writer.id().to_string();
        let plan = plan(model, &wanted, &now_there, diff, policy).with_proofs(&proofs).of_run(&run_id);
        let deleted: HashSet<(String, String)> =
            plan.rows().filter(|row| row.action == Action::Delete).map(|row| (row.resource, row.key)).collect();
        for (kind, key, (unique_id, id)) in removed {
            let object = (kind, key);
            if !deleted.contains(&object) {
                left.push(Left { kind: object.0, unique_id, id, reason: LeftReason::StillNeeded });
            }
        }
        let summary = Summary { kinds: plan.summary.clone(), ..Summary::default() };
        write_snapshots(run, model, &now_there, Side::Destination, now(cx).as_microsecond(), None)?;
        record(run, &resolved, &destination, &now_there, &summary);
        run.writer.write_errors(&left.iter().map(error_row).collect::<Vec<_>>())?;
        run.writer.write_run_file(&run.record)?;
        run.writer.write_schema_sub_hash(&resolved.sub_hash())?;
        run.writer.write_plan(plan.rows())?;
        run.writer.write_run_file(&run.record)?;
        Ok((summary, left, done))
    }

    /// Returns the rows that were written, and those of which that is not known.
    fn written(&self, model: &Model) -> Result<(Vec<Written>, Vec<Change>), EngineError> {
        let (mut written, mut unknown) = (Vec::new(), Vec::new());
        for (at, row) in (0..).zip(self.reader.read_plan()?) {
            let row = row?;
            let was_written = self.journal.was_written(at);
            if !was_written && self.journal.state(at) != RowState::Sent {
                continue;
            }
            let change = row.into_change(model).map_err(|error| EngineError::PlanRow { row: at + 1, reason: error.to_string() })?;
            match was_written {
                true => written.push(Written { id: self.journal.written_id(at), change }),
                false => unknown.push(change),
            }
        }
        Ok((written, unknown))
    }
}

/// An object to delete: its kind and its key, as a plan has them, and its unique id and id.
type Removal = (String, String, (String, Option<String>));

/// Returns the objects to delete.
fn removals(model: &Model, rows: &Snapshot, diff: &Diff) -> Vec<Removal> {
    let of_kind = |(spec, (rows, found)): (&KindModel, (&KindSnapshot, &KindDiff))| {
        let object = |row: &u32| {
            let at = *row as usize;
            let key = rows.keys.get(at);
            (spec.name.clone(), key::key_json(key), (key::unique_id(key), rows.id(at).map(str::to_owned)))
        };
        found.only_destination.iter().map(object).collect::<Vec<_>>()
    };
    model.kinds.iter().zip(rows.kinds.iter().zip(&diff.kinds)).flat_map(of_kind).collect()
}

fn error_row(left: &Left) -> ErrorRow {
    ErrorRow {
        error_class: format!("left_{}", left.reason.as_str()),
        resource: left.kind.clone(),
        source_id: Some(left.unique_id.clone()),
        dest_id: left.id.clone(),
        attribute: None,
        message: left.reason.to_string(),
        hint: None,
        retry_count: 0,
        terminal: false,
    }
}

/// Notes in the run's record what an apply of the plan needs to know.
fn record(run: &mut RunInProgress, resolved: &Resolved, destination: &Opened, rows: &Snapshot, summary: &Summary) {
    let record = &mut run.record;
    let manifest = destination.manifest();
    record.destination = destination.place.clone();
    record.adapters = PerSide {
        destination: AdapterRecord {
            name: manifest.name.clone(),
            version: Some(manifest.version.clone()),
            digest: Some(destination.digest.clone()),
        },
        ..PerSide::default()
    };
    let kinds = || resolved.model.kinds.iter().zip(&rows.kinds);
    record.counts.destination = kinds().map(|(kind, rows)| (kind.name.clone(), rows.rows() as u64)).collect();
    let unresolved: BTreeSet<String> = kinds().filter(|(_, rows)| rows.has_unresolved()).map(|(kind, _)| kind.name.clone()).collect();
    record.unresolved = Some(PerSide { source: BTreeSet::new(), destination: unresolved });
    record.mapping_hash = Some(resolved.mapping_hash.clone());
    record.schema_hash = Some(resolved.schema_hash.clone());
    record.schema_kinds.clone_from(&resolved.kind_hashes);
    record.summary.kinds = Some(summary.kinds.clone());
    record.summary.problems = Some(0);
    record.traffic.get_or_insert_with(PerSide::default).destination = traffic(&*destination.system);
}
