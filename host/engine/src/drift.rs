//! `drift`: what has changed in the destination since the last applied run. The source is not read, and nothing is written anywhere.

use std::cmp::Reverse;

use infrahub_sync_cache::{Cache, Journal, RowState, RunReader, RunRecord, RunState, RunStatus};
use infrahub_sync_core::change::{Change, ObjectKey};
use infrahub_sync_core::drift::{after, drift as compare};
use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::model::Model;
use infrahub_sync_core::plan_row::PARKING;
use infrahub_sync_core::restore::restore;
use infrahub_sync_core::snapshot::{Snapshot, build};
use jiff::Timestamp;

use crate::adapter::{Access, Opened, Runtimes};
use crate::base::Base;
use crate::compare::{plans, resolving};
use crate::extract::FullReason;
use crate::pipeline::{check_drift, check_place};
use crate::run::{interruptible, open_cache, parse_run_id, take_lock};
use crate::schedule::load;
use crate::schema::{self, Resolved};
use crate::targets::Targets;
use crate::{EngineError, RunContext, Side};

pub use infrahub_sync_core::drift::{DriftChange, Drifted, DriftedField};

/// The changes of a destination since a run.
#[derive(Debug)]
pub struct Drift {
    /// The run that was applied last.
    pub run_id: String,
    /// When its apply ended.
    pub applied_at: Option<Timestamp>,
    /// The differences, kind by kind.
    pub changes: Vec<Drifted>,
    /// Objects that were compared.
    pub objects: u64,
    /// Objects that were not compared: it is not known whether the run wrote them.
    pub unknown: u64,
    /// Kinds that were not compared, with the reason.
    pub not_compared: Vec<(String, String)>,
}

/// Compares the destination with its state after the last applied run, or after the run of [`RunContext::run_id`].
///
/// # Errors
/// When no run was applied, the mapping or the destination's schema has changed since, or the destination cannot be read.
pub async fn drift(cx: &RunContext<'_>) -> Result<Drift, EngineError> {
    let open = async {
        let runtimes = Runtimes::new(cx)?;
        Opened::destination(cx, &runtimes, Access::Reads).await
    };
    drift_of(cx, open).await
}

/// As [`drift`]; `open` opens the destination.
pub(crate) async fn drift_of(cx: &RunContext<'_>, open: impl Future<Output = Result<Opened, EngineError>>) -> Result<Drift, EngineError> {
    let cache = open_cache(cx)?;
    let base = base(cx, &cache)?;
    // A sync that writes meanwhile would look like drift.
    let _lock = take_lock(cx, &cache, base.reader.id()).await?;
    let opened = open.await?;
    check_place(&base.reader, &base.record, &opened)?;
    let resolved = schema::live(cx.project, &*opened.system, cx.events).await?;
    check_drift(&base.reader, &base.record, &resolved)?;
    interruptible(cx, base.compare(cx, &opened, &resolved)).await
}

/// Leaves out the kinds whose earlier state is not stored, and the references to them.
fn without(model: &Model, missing: &[String], changes: &mut Vec<Drifted>) {
    if missing.is_empty() {
        return;
    }
    changes.retain(|drifted| !missing.contains(&drifted.kind));
    for drifted in changes.iter_mut().filter(|drifted| drifted.change == DriftChange::Changed) {
        let Some((_, spec)) = model.kind(&drifted.kind) else { continue };
        let leads_there = |name: &str| {
            let field = spec.fields.iter().find(|field| field.name == name);
            field.is_some_and(|field| field.peers().any(|peer| missing.iter().any(|kind| kind == peer)))
        };
        drifted.fields.retain(|field| !leads_there(&field.name));
    }
    changes.retain(|drifted| !drifted.fields.is_empty());
}

/// The run that was applied last.
struct Applied {
    reader: RunReader,
    record: RunRecord,
    journal: Option<Journal>,
}

fn base(cx: &RunContext<'_>, cache: &Cache) -> Result<Applied, EngineError> {
    let is_applied = |record: &RunRecord| matches!(record.status, RunStatus::Applied | RunStatus::Partial);
    let id = match &cx.run_id {
        Some(id) => parse_run_id(id)?,
        None => {
            let runs = cache.list_runs()?.into_iter().filter_map(|run| match run.state {
                RunState::Known(record) if is_applied(&record) => Some((record.finished_at, run.id)),
                _ => None,
            });
            let nothing = || EngineError::NothingApplied { sync: cx.project.name.clone() };
            // Of several, the first is the newest.
            runs.min_by_key(|(finished_at, _)| Reverse(*finished_at)).map(|(_, id)| id).ok_or_else(nothing)?
        }
    };
    let reader = cache.open_run(&id)?;
    let record = reader.run_file()?;
    if !is_applied(&record) {
        return Err(EngineError::NothingApplied { sync: cx.project.name.clone() });
    }
    let journal = reader.read_journal()?;
    Ok(Applied { reader, record, journal })
}

impl Applied {
    async fn compare(&self, cx: &RunContext<'_>, opened: &Opened, resolved: &Resolved) -> Result<Drift, EngineError> {
        let model = &resolved.model;
        let (before, mut not_compared) = self.before(model, opened)?;
        let (written, unknown) = self.written(model)?;
        let then = after(model, &before, written);
        let targets = Targets::new(cx.project, model, opened.manifest())?;
        let plans = plans(cx, Side::Destination, opened, model, &targets)?;
        let none = Base::none(model, &FullReason::Apply);
        let read = load(cx, Side::Destination, &opened.system, model, plans, none).await?;
        let (now, _) = build(model, read.raw, resolving(Side::Destination, opened));
        opened.system.finish()?;
        let missing: Vec<String> = not_compared.iter().map(|(kind, _)| kind.clone()).collect();
        let mut partial = Vec::new();
        for (kind, reason) in &read.partial {
            partial.extend(model.kind(kind).map(|(at, _)| at));
            not_compared.push((kind.clone(), format!("the answer is incomplete, so nothing counts as removed: {reason}")));
        }
        let objects = now.kinds.iter().map(|kind| kind.rows() as u64).sum();
        let mut changes = compare(model, &then, &now, &unknown, &partial);
        without(model, &missing, &mut changes);
        Ok(Drift {
            run_id: self.reader.id().to_string(),
            applied_at: self.record.finished_at,
            changes,
            objects,
            unknown: unknown.len() as u64,
            not_compared,
        })
    }

    /// Returns the destination before the run, and the kinds of which that is not stored.
    fn before(&self, model: &Model, opened: &Opened) -> Result<(Snapshot, Vec<(String, String)>), EngineError> {
        let mut stored = Vec::with_capacity(model.kinds.len());
        for kind in &model.kinds {
            self.reader.check_snapshot(&self.record, Side::Destination, &kind.name)?;
            let batches = self.reader.read_snapshot(Side::Destination, &kind.name)?.collect::<Result<Vec<_>, _>>()?;
            stored.push(Some(batches));
        }
        let mut not_compared = Vec::new();
        let mut raw: Vec<RawKind> = Vec::with_capacity(model.kinds.len());
        for (kind, rows) in model.kinds.iter().zip(restore(model, &stored)) {
            match rows {
                Ok(restored) => raw.push(restored.rows),
                Err(reason) => {
                    not_compared.push((kind.name.clone(), reason));
                    raw.push(RawKind::new(kind.fields.len()));
                }
            }
        }
        Ok((build(model, raw, resolving(Side::Destination, opened)).0, not_compared))
    }

    /// Returns the changes that the destination holds since, and the objects of which that is not known.
    fn written(&self, model: &Model) -> Result<Written, EngineError> {
        let (mut written, mut unknown) = (Vec::new(), Vec::new());
        let Some(journal) = &self.journal else { return Ok((written, unknown)) };
        for (at, row) in (0..).zip(self.reader.read_plan()?) {
            let (state, row) = (journal.state(at), row?);
            if row.pass == PARKING && !journal.was_written(at) {
                // Nothing was parked. The row that gives the object its value says what it has.
                continue;
            }
            let change = row.into_change(model).map_err(|error| EngineError::PlanRow { row: at + 1, reason: error.to_string() })?;
            if journal.was_written(at) || state.is_settled() {
                written.push((change, journal.written_id(at).or_else(|| journal.id(at))));
            } else if state == RowState::Sent {
                unknown.push(change.object);
            }
        }
        Ok((written, unknown))
    }
}

/// The changes that the destination holds, each with the id of its object, and the objects of which that is not known.
type Written = (Vec<(Change, Option<String>)>, Vec<ObjectKey>);
