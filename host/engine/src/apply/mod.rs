//! Applies an approved plan: row by row into batches, batches to the adapter, its answers into a report.
//!
//! Rows are sent in the plan's order. A batch ends where the kind, the operation or the tier changes, and where a row needs the id of an object whose
//! creation has not been answered. Tiers are barriers; inside a tier, as many batches are in flight as the adapter declares.
//!
//! A row is in the journal before it is sent, and its outcome is there after it. An apply that was killed resumes: rows that are done are not compared
//! again, and rows that were sent without an answer are compared with the destination first. So is every row of a plan that is applied later than it was
//! made. [`reconcile`](infrahub_sync_core::reconcile) decides about each row.
//!
//! Key types: [`Job`] (the plan and its destination), [`Writer`] (the apply in progress). Its parts: `known` (ids and dependencies), `ledger` (the
//! journal), `batch` (requests and batches in flight), `recover` (rows whose answers were lost), `report` (counts and failures).

mod along;
mod batch;
mod failure;
mod known;
mod ledger;
mod pace;
pub(crate) mod readback;
mod recover;
mod report;
mod touched;
mod values;
mod verify;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use infrahub_sync_cache::{JournalWriter, RowState, RunReader};
use infrahub_sync_config::{ApplyRules, OnConflict, Project};
use infrahub_sync_core::change::{Change, ObjectKey};
use infrahub_sync_core::guardrail::ApprovedPlan;
use infrahub_sync_core::model::Model;
use infrahub_sync_core::plan_row::Action;
use infrahub_sync_core::reconcile::{ConflictClass, Decision, Now, by_key, reconcile};
use infrahub_sync_core::snapshot::Snapshot;
use infrahub_sync_runtime::{FaultKind, KindChanges, Outcome, Run, Target};

use self::along::Taken;
use self::batch::{Answered, Batch, Window, line};
use self::known::Known;
use self::ledger::Ledger;
use self::recover::{Lost, is_lost};
use self::report::Progress;
use self::touched::Touched;
use self::values::Freed;
use crate::cascades::Cascading;
use crate::system::System;
use crate::targets::Targets;
use crate::{EngineError, Events, Options, Stop, Stopped};

pub use failure::{Failure, FailureReason, SkipReason, StillHolds, StillRefers};
pub(crate) use report::Report;
pub(crate) use verify::{merged, sentences};

/// The state of the destination, as far as the run knows it.
pub(crate) struct Current<'s> {
    pub(crate) model: &'s Model,
    pub(crate) targets: &'s Targets,
    pub(crate) cascading: &'s Cascading,
    pub(crate) snapshot: &'s Snapshot,
    /// The plan was made from this very snapshot.
    pub(crate) fresh: bool,
    /// The moment as of which each kind was read, where the adapter says.
    pub(crate) as_of: &'s BTreeMap<String, String>,
}

/// The rules of an apply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// One batch at a time.
    serial: bool,
    apply: ApplyRules,
}

impl Rules {
    pub(crate) fn new(options: &Options, project: &Project) -> Rules {
        Rules {
            // An explicit order is one: a kind begins when the one before it is answered.
            serial: !options.parallel || !project.order.is_empty(),
            apply: project.apply.with(&options.rules),
        }
    }
}

/// An apply: a plan, and what it is applied to.
pub(crate) struct Job<'j> {
    pub(crate) project: &'j Project,
    pub(crate) rules: Rules,
    pub(crate) events: &'j dyn Events,
    pub(crate) stop: &'j Stop,
    pub(crate) system: &'j Arc<dyn System>,
    pub(crate) current: &'j Current<'j>,
    pub(crate) plan: &'j ApprovedPlan<RunReader>,
}

/// A row on its way.
struct Row {
    /// Its place in the plan, from 0.
    at: u64,
    change: Change,
    /// The objects that its object refers to in the destination.
    held: Vec<ObjectKey>,
    /// The row as it is sent.
    line: String,
    /// The unique values that it gives up.
    frees: Freed,
}

/// Applies. The report is there also when this fails; the rows of `errors.parquet` that it has stay.
///
/// # Errors
/// When the plan cannot be read or the adapter fails as a whole. Rejected rows are not an error: they are in the report.
pub(crate) async fn apply_plan(job: &Job<'_>, journal: JournalWriter, report: &mut Report) -> Result<(), EngineError> {
    let changes = changes(job.plan.plan(), job.current)?;
    let reader = job.plan.plan();
    let run = Run { id: reader.id().to_string(), sync: job.project.name.clone(), source: job.project.source.name.clone(), changes };
    let mut writer = Writer::new(job, journal, &run.changes, report);
    writer.ledger.begin()?;
    if let Some(words) = job.system.begin(&run).await? {
        job.events.note(&words);
    }
    writer.read_touched(&run.changes).await?;
    if run.changes.iter().any(|change| change.deletes > 0) {
        writer.taken = Taken::read(job, reader).await?;
    }
    writer.write_rows().await?;
    if writer.report.stopped.is_none() {
        writer.complete(&run).await?;
    }
    Ok(job.system.finish()?)
}

/// Counts the rows of a plan by kind and resource, in the plan's order.
fn changes(plan: &RunReader, current: &Current<'_>) -> Result<Vec<KindChanges>, EngineError> {
    let mut changes: Vec<KindChanges> = Vec::new();
    for row in plan.read_plan()? {
        let row = row?;
        let is_of = |target: &Target| {
            target.kind == row.resource && (row.destination_mapping.is_none() || target.resource == row.destination_mapping)
        };
        // Nearly always the last one.
        let at = match changes.iter().rposition(|kind| is_of(&kind.target)) {
            Some(at) => at,
            None => {
                let kind = current.model.kind(&row.resource).map(|(kind, _)| kind);
                let target = kind.and_then(|kind| current.targets.of(kind, row.destination_mapping.as_deref()));
                // A row without a place stops the apply when its turn comes.
                let Some(target) = target else { continue };
                changes.push(KindChanges { target: target.clone(), creates: 0, updates: 0, deletes: 0 });
                changes.len() - 1
            }
        };
        let Some(kind) = changes.get_mut(at) else { continue };
        match row.action {
            Action::Create => kind.creates += 1,
            Action::Update => kind.updates += 1,
            Action::Delete => kind.deletes += 1,
        }
    }
    Ok(changes)
}

/// An apply in progress.
struct Writer<'w> {
    job: &'w Job<'w>,
    known: Known<'w>,
    ledger: Ledger,
    window: Window,
    /// The changes of other users since the snapshot was read, by kind.
    touched: HashMap<usize, Touched>,
    /// The objects that the deletes take along.
    taken: Taken,
    /// Rows that count once `commit` succeeds.
    staged: Vec<Row>,
    /// The destination stages rows.
    stages: bool,
    progress: Progress<'w>,
    report: &'w mut Report,
}

/// A step that must be complete before rows of another one begin: the pass, the tier, and whether rows are deleted.
type Step = (u32, u32, bool);

impl<'w> Writer<'w> {
    fn new(job: &'w Job<'w>, journal: JournalWriter, changes: &[KindChanges], report: &'w mut Report) -> Writer<'w> {
        let widest = if job.rules.serial { 1 } else { job.system.manifest().write_concurrency as usize };
        let mut totals: HashMap<String, u64> = HashMap::new();
        for KindChanges { target, creates, updates, deletes } in changes {
            *totals.entry(target.kind.clone()).or_default() += creates + updates + deletes;
        }
        Writer {
            job,
            known: Known::new(job.current),
            ledger: Ledger::new(journal),
            window: Window::new(job.system.clone(), widest, job.system.manifest().write_batch_max),
            touched: HashMap::new(),
            taken: Taken::default(),
            staged: Vec::new(),
            stages: false,
            progress: Progress::new(job.events, totals),
            report,
        }
    }

    /// Reads what other users changed since the snapshot, of the kinds that are updated or deleted.
    async fn read_touched(&mut self, changes: &[KindChanges]) -> Result<(), EngineError> {
        let current = self.job.current;
        if !current.fresh || self.job.rules.apply.on_conflict == OnConflict::Overwrite {
            return Ok(());
        }
        for change in changes.iter().filter(|change| change.updates + change.deletes > 0) {
            let Some((kind, _)) = current.model.kind(&change.target.kind) else { continue };
            if self.touched.contains_key(&kind) {
                continue;
            }
            let watermark = current.as_of.get(&change.target.kind).map(String::as_str);
            self.touched.insert(kind, Touched::read(self.job.system, current, kind, watermark).await?);
        }
        Ok(())
    }

    /// Returns whether nothing more is to be sent.
    fn stops(&mut self) -> bool {
        if self.job.stop.is_requested() {
            self.report.stopped = Some(Stopped::Interrupted);
        } else if let Some(most) = self.job.rules.apply.max_failures {
            let failed = self.report.totals().failed;
            self.report.stopped = (failed >= most).then_some(Stopped::Failures(failed));
        }
        self.report.stopped.is_some()
    }

    /// Writes all rows of the plan, until they are durable or the apply stops.
    async fn write_rows(&mut self) -> Result<(), EngineError> {
        let mut batch = Batch::default();
        let mut step: Option<Step> = None;
        for (at, row) in (0..).zip(self.job.plan.plan().read_plan()?) {
            let row = row?;
            if self.stops() {
                // Rows that are ready and not sent are left as well.
                self.report.left += self.ledger.rows().saturating_sub(at) + batch.rows.len() as u64;
                batch = Batch::default();
                break;
            }
            let damaged = |reason| EngineError::PlanRow { row: at + 1, reason };
            let change = row.into_change(self.job.current.model).map_err(|error| damaged(error.to_string()))?;
            let now: Step = (change.pass, change.tier, change.action == Action::Delete);
            let is_new_step = step.is_some_and(|before| before != now);
            let waits = self.known.waits(&change);
            if is_new_step || waits || !batch.takes(&change, self.window.rows_max()) {
                self.send(&mut batch).await?;
            }
            if waits {
                self.settle().await?;
            }
            if is_new_step {
                self.commit().await?;
            }
            step = Some(now);
            if let Some(mut row) = self.prepare(at, change)? {
                // Only now the operation is known: an object that another user has created is updated.
                if !batch.is_of(row.change.action) {
                    self.send(&mut batch).await?;
                }
                self.known.sending(&row);
                row.line = line(&mut row.change, self.job.current.model, &self.known);
                batch.rows.push(row);
            }
        }
        self.send(&mut batch).await?;
        self.commit().await?;
        self.ledger.flush()
    }

    /// Makes a row ready to be sent; none if there is nothing to send.
    fn prepare(&mut self, at: u64, mut change: Change) -> Result<Option<Row>, EngineError> {
        self.known.values.park(&mut change);
        let state = self.ledger.state(at);
        if state.is_settled() {
            self.done_before(at, &change, state);
            return Ok(None);
        }
        let snapshot = self.job.current.snapshot;
        let there = change.object.row_in(snapshot);
        let mut held = there.map(|row| self.known.held_by(&change.object, row)).unwrap_or_default();
        // If this object is not deleted, those that would take it along stay, too.
        held.extend_from_slice(self.taken.parents(&change));
        let frees = self.known.values.freed(&change);
        let mut row = Row { at, change, held, frees, line: String::new() };
        if let Some(reason) = self.known.skip_reason(&row.change, there.is_some()) {
            self.not_sent(&row, FailureReason::Skipped(reason))?;
            return Ok(None);
        }
        let now = self.now(&row.change, there);
        match reconcile(&row.change, &now) {
            Decision::Write(action) => row.change.action = action,
            Decision::Unchanged => {
                self.report.unchanged(&row.change);
                self.progress.row(&row.change);
                if state == RowState::Sent && row.change.action == Action::Create {
                    // An earlier attempt sent it, so it is this sync's object.
                    let id = self.known.id_of(&row.change.object).map(str::to_owned);
                    self.ledger.answered(at, RowState::Done, id);
                } else {
                    self.ledger.settled(at, RowState::Unchanged)?;
                }
                return Ok(None);
            }
            Decision::Conflict(conflict) => {
                let overwrites = self.job.rules.apply.on_conflict == OnConflict::Overwrite;
                let Some(action) = conflict.overwritten_by().filter(|_| overwrites) else {
                    if conflict.class == ConflictClass::Gone {
                        // What is gone refers to nothing.
                        row.held.clear();
                    }
                    self.not_sent(&row, FailureReason::Conflict(conflict))?;
                    return Ok(None);
                };
                row.change.action = action;
            }
        }
        if let Some(more) = self.taken.more(at).filter(|_| row.change.action == Action::Delete) {
            let more = more.to_owned();
            self.not_sent(&row, FailureReason::Along(more))?;
            return Ok(None);
        }
        if row.change.action != Action::Create
            && let Some(id) = self.known.id_of(&row.change.object)
        {
            row.change.id = Some(id.to_owned());
        }
        Ok(Some(row))
    }

    /// Returns what is known about the object of a change; `there`: its row in the snapshot.
    fn now(&self, change: &Change, there: Option<usize>) -> Now {
        let Current { model, snapshot, fresh, .. } = *self.job.current;
        match (fresh, there) {
            (false, None) => Now::Absent,
            (false, Some(row)) => by_key(model, snapshot, change, row),
            (true, Some(row)) if change.action != Action::Create => {
                self.touched.get(&change.object.kind).map_or(Now::AsPlanned, |touched| touched.now(model, snapshot, change, row))
            }
            (true, _) => Now::AsPlanned,
        }
    }

    /// Takes over a row that an earlier, interrupted apply has done: its outcome is in the journal.
    fn done_before(&mut self, at: u64, change: &Change, state: RowState) {
        if let (Action::Create, Some(id)) = (change.action, self.ledger.id(at)) {
            self.known.learn(change, id);
        }
        self.report.done_before(change, state == RowState::Unchanged);
        self.progress.row(change);
    }

    /// Leaves a row out.
    fn not_sent(&mut self, row: &Row, reason: FailureReason) -> Result<(), EngineError> {
        let state = if matches!(reason, FailureReason::Skipped(_)) { RowState::Skipped } else { RowState::Failed };
        self.fail(row, reason);
        self.ledger.settled(row.at, state)
    }

    /// Reports a row that was not written.
    fn fail(&mut self, row: &Row, reason: FailureReason) {
        self.known.not_written(row);
        self.report.not_written(&row.change, reason, self.ledger.tried_before(row.at));
        self.progress.row(&row.change);
    }

    /// Sends a batch, as soon as there is room for one more in flight.
    async fn send(&mut self, batch: &mut Batch) -> Result<(), EngineError> {
        let Some((rows, request)) = batch.take(self.job.current.targets)? else { return Ok(()) };
        while self.window.is_full() {
            self.settle_first().await?;
        }
        if self.stops() {
            self.report.left += rows.len() as u64;
            return Ok(());
        }
        self.ledger.sent(rows.iter().map(|row| row.at))?;
        self.window.send(rows, request);
        Ok(())
    }

    /// Waits for all batches in flight.
    async fn settle(&mut self) -> Result<(), EngineError> {
        while !self.window.is_empty() {
            self.settle_first().await?;
        }
        Ok(())
    }

    /// Waits for the batch that was sent first and takes its answer.
    async fn settle_first(&mut self) -> Result<(), EngineError> {
        let Some(Answered { rows, answer, took }) = self.window.first().await? else { return Ok(()) };
        let error = match answer {
            Ok(outcomes) => {
                let lost = self.take(rows, outcomes);
                self.ledger.flush()?;
                return self.recover(lost, took).await;
            }
            Err(error) if is_lost(&error) && self.can_recover() => return self.recover(Lost::of_batch(rows, &error), took).await,
            Err(error) => error,
        };
        // The outcome of every row is unknown: each is reported as failed, and what depends on it is skipped. The journal keeps it as sent.
        for row in rows {
            self.known.answered(&row);
            self.fail(&row, FailureReason::Batch(error.to_string()));
        }
        if error.fault_kind() == FaultKind::Remote {
            return Ok(());
        }
        // The other batches were sent, and their outcomes are known once they are answered.
        while !self.window.is_empty() {
            if let Ok(Some(Answered { rows, answer: Ok(outcomes), .. })) = self.window.first().await {
                let lost = self.take(rows, outcomes);
                self.leave_open(lost);
            }
        }
        self.ledger.flush()?;
        Err(error.into())
    }

    /// Takes the outcomes of a batch. Returns the rows without one, where lost answers can be settled.
    fn take(&mut self, rows: Vec<Row>, outcomes: Vec<Outcome>) -> Vec<Lost> {
        let mut lost = Vec::new();
        for (mut row, mut outcome) in rows.into_iter().zip(outcomes) {
            if let Outcome::Failed(failure) = outcome {
                if self.can_recover() {
                    (row, outcome) = match Lost::of_row(row, failure) {
                        Ok(open) => {
                            lost.push(open);
                            continue;
                        }
                        Err((row, failure)) => (row, Outcome::Failed(failure)),
                    };
                } else {
                    outcome = Outcome::Failed(failure);
                }
            }
            self.known.answered(&row);
            match outcome {
                Outcome::Written(id) => {
                    let id = self.learn(&row, id);
                    self.ledger.answered(row.at, RowState::Done, id);
                    self.report.written(&row.change);
                    self.progress.row(&row.change);
                }
                Outcome::Staged => {
                    self.stages = true;
                    self.staged.push(row);
                }
                Outcome::Unchanged(id) => {
                    let id = self.learn(&row, id);
                    self.ledger.answered(row.at, RowState::Unchanged, id);
                    self.report.unchanged(&row.change);
                    self.progress.row(&row.change);
                }
                Outcome::Failed(failure) => {
                    self.ledger.answered(row.at, RowState::Failed, None);
                    self.fail(&row, FailureReason::Rejected(failure));
                }
            }
        }
        lost
    }

    /// Learns the id of a created object; returns it for the journal.
    fn learn(&mut self, row: &Row, id: Option<String>) -> Option<String> {
        let id = id.filter(|_| row.change.action == Action::Create)?;
        self.known.learn(&row.change, id.clone());
        Some(id)
    }

    /// Waits for what is in flight, and makes staged rows durable; only then do they count.
    async fn commit(&mut self) -> Result<(), EngineError> {
        self.settle().await?;
        let mut staged = std::mem::take(&mut self.staged);
        let mut kinds: Vec<String> = Vec::new();
        for Row { change, .. } in &staged {
            if kinds.last() != Some(&change.kind) && !kinds.contains(&change.kind) {
                kinds.push(change.kind.clone());
            }
        }
        for kind in kinds {
            let result = self.job.system.commit(std::slice::from_ref(&kind)).await;
            for row in staged.extract_if(.., |staged| staged.change.kind == kind) {
                match &result {
                    Ok(()) => {
                        self.ledger.answered(row.at, RowState::Done, None);
                        self.report.written(&row.change);
                        self.progress.row(&row.change);
                    }
                    Err(error) => {
                        self.ledger.answered(row.at, RowState::Failed, None);
                        self.fail(&row, FailureReason::Commit(error.to_string()));
                    }
                }
            }
        }
        self.ledger.flush()
    }

    /// Completes the run: every row of the plan was tried.
    async fn complete(&mut self, run: &Run) -> Result<(), EngineError> {
        let system = self.job.system;
        // Kinds without changes are named too, so that their empty collections exist.
        let all: Vec<String> = self.job.current.model.kinds.iter().filter(|kind| !kind.lookup).map(|kind| kind.name.clone()).collect();
        system.commit(&all).await?;
        self.verify().await?;
        match system.finish_run(run, self.report.run_result()).await {
            Ok(Some(words)) => self.job.events.note(&words),
            Ok(None) => {}
            // The rows are written all the same; the run is not complete.
            Err(error) => self.report.unfinished(&system.manifest().name, &run.id, &error),
        }
        self.ledger.finished()
    }
}
