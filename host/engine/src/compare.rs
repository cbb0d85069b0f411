//! Compares: both sides are read, and their difference becomes a plan in the cache.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use infrahub_sync_base::PerSide;
use infrahub_sync_cache::{AdapterRecord, Cursors, ErrorRow, RunCounter, RunReader};
use infrahub_sync_config::Converge;
use infrahub_sync_core::batches::batches;
use infrahub_sync_core::changes::contradicts;
use infrahub_sync_core::converge::{Ineffective, leave_out};
use infrahub_sync_core::diff::{Diff, diff_with};
use infrahub_sync_core::model::{KindModel, Model, Ownership};
use infrahub_sync_core::ownership::{Reach, Recorded, Unowned, note_unowned};
use infrahub_sync_core::plan::{Plan, Policy, Proof, plan_with};
use infrahub_sync_core::snapshot::{Completeness, DataErrorKind, DataProblem, KindSnapshot, Resolving, Snapshot, build_with};
use infrahub_sync_runtime::Addressing;

use crate::adapter::Opened;
use crate::base::{self, Base};
use crate::cascades;
use crate::census;
use crate::error::{PROBLEMS_SHOWN, problem_counts};
use crate::extract::{self, FullReason, Reading};
use crate::ownership::{self, Owners};
use crate::plans::{ResourcePlan, Terms, destination_plans, source_plans};
use crate::run::{RunInProgress, elapsed_ms, now, traffic};
use crate::schedule::{Loaded, load};
use crate::schema::{self, Resolved};
use crate::targets::Targets;
use crate::{EngineError, RunContext, Side, Summary, vanished};

/// Both sides, compared. The plan is in the cache.
pub(crate) struct Compared {
    pub(crate) destination: Opened,
    pub(crate) resolved: Resolved,
    pub(crate) targets: Targets,
    pub(crate) destination_rows: Snapshot,
    /// The moment as of which each kind of the destination was read.
    pub(crate) destination_as_of: BTreeMap<String, String>,
    pub(crate) summary: Summary,
    pub(crate) problems: Vec<ErrorRow>,
    /// Everything was read.
    pub(crate) is_full: bool,
}

/// Reads both sides, compares them and writes the plan.
///
/// # Errors
/// When a side cannot be read, or its objects cannot be identified.
pub(crate) async fn compare(
    cx: &RunContext<'_>,
    run: &mut RunInProgress,
    open: impl Future<Output = Result<(Opened, Opened), EngineError>>,
) -> Result<Compared, EngineError> {
    let (source, destination) = open.await?;
    let resolved = schema::of_run(cx.project, &*destination.system, cx.events).await?;
    let model = &resolved.model;
    let targets = Targets::new(cx.project, model, destination.manifest())?;
    let loading_at = Instant::now();
    let [source_read, destination_read] = read(cx, run, &resolved, &targets, [&source, &destination]).await?;
    run.record.duration_ms.load = Some(elapsed_ms(loading_at));
    let compared_at = Instant::now();
    let built_destination = built(cx, Side::Destination, &destination, model, &targets, (destination_read.read, None)).await?;
    let beside = Some(&built_destination.rows);
    let built_source = built(cx, Side::Source, &source, model, &targets, (source_read.read, beside)).await?;
    let mut sides = Sides { source: built_source, destination: built_destination };
    for (kind, rows) in model.kinds.iter().zip(&mut sides.source.rows.kinds) {
        if !sides.source.read.readings.contains_key(&kind.name) {
            rows.completeness = Completeness::Unread;
        }
    }
    let mut extracts = Extracts::new(cx, model, &sides.source.read, &sides.destination.read);
    let extract_ts_us = now(cx).as_microsecond();
    for (side, built, earlier) in
        [(Side::Source, &sides.source, &source_read.earlier), (Side::Destination, &sides.destination, &destination_read.earlier)]
    {
        let unchanged_since = earlier.as_ref().filter(|_| built.read.unchanged);
        write_snapshots(run, model, &built.rows, side, extract_ts_us, unchanged_since)?;
    }
    run.writer.write_traces(&sides.source.read.traces)?;
    tell_census(cx, model, &sides.source);
    let problems = report_problems(cx, run, &sides)?;
    let mut owned = Differences::find(cx, run, model, &destination, (&sides.source.rows, &sides.destination.rows))?;
    let gone = vanished(cx, run, &source, model, &targets, (&mut sides, &mut extracts, &owned.diff)).await?;
    source.system.finish()?;
    let (source_rows, destination_rows) = (&sides.source.rows, &sides.destination.rows);
    let proofs = extracts.proofs(model, source_rows, gone);
    let left = owned.limit(cx, run, model, &destination, (source_rows, destination_rows))?;
    let left_out = leave_out_ineffective(cx, run, model, [source_rows, destination_rows], &mut owned.diff)?;
    let found = std::mem::take(&mut owned.diff);
    let run_id = run.writer.id().to_string();
    let plan = plan_with(model, source_rows, destination_rows, found, policy(cx), &owned.recorded).with_proofs(&proofs).of_run(&run_id);
    let plan = cascades::settle(cx, &destination.system, &resolved.cascading, model, &targets, plan).await?;
    let mut plan = plan.with_reasons(&sides.source.read.partial);
    note_unowned(model, &left, &mut plan.summary);
    for kind in &mut plan.summary {
        kind.no_effect = left_out.get(&kind.kind).copied().unwrap_or(0);
        kind.skipped += kind.no_effect;
    }
    let summary =
        Summary { kinds: plan.summary.clone(), problems: sides.source.problems.len() as u64, mappings: sides.source.read.mappings.clone() };
    record(run, &resolved, [(&source, source_rows), (&destination, destination_rows)], &extracts, &summary);
    run.record.duration_ms.compare = Some(elapsed_ms(compared_at));
    write_plan(run, &resolved, &extracts, &plan)?;
    if !extracts.is_full() {
        let runs = run.lock.cache().run_counter()?.runs_since_full;
        run.lock.write_run_counter(RunCounter { runs_since_full: runs + 1 })?;
    }
    let destination_as_of = base::watermarks(&extracts.cursors.destination);
    drop(plan);
    let destination_rows = sides.destination.rows;
    Ok(Compared { destination, resolved, targets, summary, problems, is_full: extracts.is_full(), destination_rows, destination_as_of })
}

/// The differences, and who made what.
struct Differences {
    diff: Diff,
    recorded: Recorded,
    /// The record of the sync, which may be large: it is read only by runs that need it.
    owners: Option<Owners>,
}

impl Differences {
    /// Finds the differences.
    fn find(
        cx: &RunContext<'_>,
        run: &RunInProgress,
        model: &Model,
        destination: &Opened,
        (source, rows): (&Snapshot, &Snapshot),
    ) -> Result<Differences, EngineError> {
        ownership::take_over(cx, &run.lock, model)?;
        let (mut recorded, mut owners) = (Recorded::new(), None);
        if model.kinds.iter().flat_map(|kind| &kind.fields).any(|field| field.ownership == Ownership::Merge) {
            owners.insert(Owners::read(cx, &run.lock, &destination.place)?).mark_members(model, rows, &mut recorded);
        }
        let diff = diff_with(model, source, rows, &recorded);
        Ok(Differences { diff, recorded, owners })
    }

    /// Takes out what other users made and the project leaves to them. Returns how much that is, by kind.
    fn limit(
        &mut self,
        cx: &RunContext<'_>,
        run: &RunInProgress,
        model: &Model,
        destination: &Opened,
        (source, rows): (&Snapshot, &Snapshot),
    ) -> Result<Vec<Unowned>, EngineError> {
        let (reaches, policy) = (cx.project.reaches, policy(cx));
        for (kind, (spec, found)) in model.kinds.iter().zip(&self.diff.kinds).enumerate() {
            let deletes = policy.delete && reaches.deletes == Reach::Owned && !found.only_destination.is_empty();
            let updates = policy.update && reaches.updates == Reach::Owned && !found.updates.is_empty();
            if (deletes || updates) && !spec.lookup {
                let owners = match &mut self.owners {
                    Some(owners) => owners,
                    none => none.insert(Owners::read(cx, &run.lock, &destination.place)?),
                };
                owners.mark_made(model, rows, kind, &mut self.recorded);
            }
        }
        let left = self.recorded.limit(source, &mut self.diff, policy, reaches.deletes, reaches.updates);
        if let Some(reason) = self.owners.as_ref().and_then(Owners::lost)
            && left.iter().any(|left| left.deletes + left.updates > 0)
        {
            cx.events.warn(&format!(
                "the record of the objects that this sync made ({}) {reason}, so none of them is deleted: restore it, or adopt the objects again",
                run.lock.cache().dir().join("ownership.parquet").display()
            ));
        }
        Ok(left)
    }
}

/// Leaves out the differences that an earlier run has written without effect, and reports them. Returns the number of objects by kind.
fn leave_out_ineffective(
    cx: &RunContext<'_>,
    run: &RunInProgress,
    model: &Model,
    [source, destination]: [&Snapshot; 2],
    differences: &mut Diff,
) -> Result<BTreeMap<String, u64>, EngineError> {
    let known = run.lock.cache().no_effect()?;
    if known.is_empty() || cx.project.apply.converge == Some(Converge::Trust) {
        return Ok(BTreeMap::new());
    }
    let left_out = leave_out(model, source, destination, differences, &known);
    for ((kind, field, earlier), count) in &left_out.fields {
        let objects = if *count == 1 { "object" } else { "objects" };
        cx.events.note(&format!("{kind}: `{field}` of {count} {objects} is left out: run {earlier} wrote it, and that had no effect"));
    }
    if left_out.kept.len() < known.len() {
        let kept: Vec<Ineffective> = left_out.kept.iter().filter_map(|at| known.get(*at).cloned()).collect();
        run.lock.write_no_effect(&kept)?;
    }
    Ok(left_out.objects)
}

/// Returns the operations that the project's flags allow.
fn policy(cx: &RunContext<'_>) -> Policy {
    let flags = cx.project.flags;
    Policy { create: flags.create, update: flags.update, delete: flags.delete }
}

/// One side, read, and the run that an incremental one continues from.
struct SideRead {
    read: Loaded,
    earlier: Option<RunReader>,
}

/// Reads both sides.
async fn read(
    cx: &RunContext<'_>,
    run: &RunInProgress,
    resolved: &Resolved,
    targets: &Targets,
    [source, destination]: [&Opened; 2],
) -> Result<[SideRead; 2], EngineError> {
    let model = &resolved.model;
    let source_plans = plans(cx, Side::Source, source, model, targets)?;
    let destination_plans = plans(cx, Side::Destination, destination, model, targets)?;
    if source.manifest().source == Some(Addressing::Mapping) {
        for mapping in cx.project.schema_mapping.iter().filter(|mapping| mapping.mapping.is_none()) {
            cx.events.note(&format!("{} has no `mapping:` and is not read from the source", mapping.name));
        }
    }
    let (earlier, source_base, destination_base) = bases(cx, run, resolved, source, destination)?;
    let source_load = load(cx, Side::Source, &source.system, model, source_plans, source_base);
    let destination_load = load(cx, Side::Destination, &destination.system, model, destination_plans, destination_base);
    let (source_read, destination_read) = if cx.options.concurrent_load {
        tokio::try_join!(source_load, destination_load)?
    } else {
        (source_load.await?, destination_load.await?)
    };
    Ok([SideRead { read: source_read, earlier: earlier.clone() }, SideRead { read: destination_read, earlier }])
}

/// One side, built.
struct Built {
    read: Loaded,
    rows: Snapshot,
    problems: Vec<DataProblem>,
}

struct Sides {
    source: Built,
    destination: Built,
}

/// Builds the snapshot of a side; of the source with the destination, whose objects it may refer to. If the stored rows of an earlier run contradict
/// it, the side is read again, in full.
async fn built(
    cx: &RunContext<'_>,
    side: Side,
    opened: &Opened,
    model: &Model,
    targets: &Targets,
    (mut read, beside): (Loaded, Option<&Snapshot>),
) -> Result<Built, EngineError> {
    let (mut rows, problems) = build_with(model, std::mem::take(&mut read.raw), resolving(side, opened), beside);
    let kept: Vec<bool> = model.kinds.iter().map(|kind| read.readings.get(&kind.name).is_some_and(Reading::is_incremental)).collect();
    if !contradicts(model, &kept, &rows, &problems) {
        mark_partial(cx, side, model, &read, &mut rows);
        return Ok(Built { read, rows, problems });
    }
    let plans = plans(cx, side, opened, model, targets)?;
    let base = Base::none(model, &FullReason::Contradiction);
    let mut read = load(cx, side, &opened.system, model, plans, base).await?;
    let (mut rows, problems) = build_with(model, std::mem::take(&mut read.raw), resolving(side, opened), beside);
    mark_partial(cx, side, model, &read, &mut rows);
    Ok(Built { read, rows, problems })
}

/// Asks the source for objects that an earlier run had read and this one did not. Marks kinds as partial whose objects may exist. Returns the
/// evidence that an object is gone, by kind and natural key.
async fn vanished(
    cx: &RunContext<'_>,
    run: &RunInProgress,
    source: &Opened,
    model: &Model,
    targets: &Targets,
    (sides, extracts, diff): (&mut Sides, &mut Extracts, &Diff),
) -> Result<BTreeMap<usize, HashMap<String, String>>, EngineError> {
    let (rows, loaded) = (&sides.source.rows, &sides.source.read);
    let compared = vanished::Compared { model, source: rows, destination: &sides.destination.rows, loaded, diff };
    let of_source = || Ok(plans(cx, Side::Source, source, model, targets)?.iter().flat_map(|plan| plan.request(1).targets).collect());
    let mut gone = BTreeMap::new();
    for (at, finding) in vanished::check(cx, run, source, &compared, of_source).await? {
        let (Some(kind), Some(rows)) = (model.kinds.get(at), sides.source.rows.kinds.get_mut(at)) else { continue };
        if let Some(reason) = finding.partial {
            rows.completeness = Completeness::Partial;
            cx.events.warn(&format!("source {}: nothing of it is deleted: {reason}", kind.name));
            sides.source.read.partial.insert(kind.name.clone(), reason);
        }
        if let Some(reading) = extracts.readings.source.get_mut(&kind.name) {
            reading.evidence.extend(finding.words);
        }
        gone.insert(at, finding.proofs);
    }
    Ok(gone)
}

/// Marks the kinds that the adapter could not read completely: a missing object may exist, so it is not deleted.
fn mark_partial(cx: &RunContext<'_>, side: Side, model: &Model, read: &Loaded, rows: &mut Snapshot) {
    for (kind, rows) in model.kinds.iter().zip(&mut rows.kinds) {
        if let Some(reason) = read.partial.get(&kind.name) {
            rows.completeness = Completeness::Partial;
            cx.events.warn(&format!("{side} {}: the answer is incomplete, so nothing of it is deleted: {reason}", kind.name));
        }
    }
}

/// Returns what is read of one side.
pub(crate) fn plans(
    cx: &RunContext<'_>,
    side: Side,
    opened: &Opened,
    model: &Model,
    targets: &Targets,
) -> Result<Vec<ResourcePlan>, EngineError> {
    let terms = Terms::new(side, opened.manifest());
    match side {
        Side::Source => source_plans(cx.project, model, &terms, Some(targets)),
        Side::Destination => Ok(destination_plans(model, targets, &terms.rules, opened.manifest().ownership)),
    }
}

/// Returns how the references of one side are resolved.
pub(crate) fn resolving(side: Side, opened: &Opened) -> Resolving {
    Resolving::new(side, &Terms::new(side, opened.manifest()).rules)
}

/// Returns what both sides continue from: nothing in a full run.
fn bases(
    cx: &RunContext<'_>,
    run: &RunInProgress,
    resolved: &Resolved,
    source: &Opened,
    destination: &Opened,
) -> Result<(Option<RunReader>, Base, Base), EngineError> {
    let model = &resolved.model;
    let none = |reason: &FullReason| (None, Base::none(model, reason), Base::none(model, reason));
    if cx.options.full_extract {
        return Ok(none(&FullReason::Asked));
    }
    let reader = match base::latest(cx, run.lock.cache(), resolved)? {
        Ok(reader) => reader,
        Err(reason) => return Ok(none(&reason)),
    };
    let (source, destination) =
        (Base::open(&reader, Side::Source, source, model)?, Base::open(&reader, Side::Destination, destination, model)?);
    Ok((Some(reader), source, destination))
}

/// How the kinds were read, and where the next run continues.
struct Extracts {
    cursors: Cursors,
    readings: PerSide<BTreeMap<String, Reading>>,
}

impl Extracts {
    fn new(cx: &RunContext<'_>, model: &Model, source: &Loaded, destination: &Loaded) -> Extracts {
        if !cx.options.full_extract {
            for (side, loaded) in [(Side::Source, source), (Side::Destination, destination)] {
                extract::lines(side, model, &loaded.readings).iter().for_each(|line| cx.events.note(line));
            }
        }
        Extracts {
            cursors: PerSide { source: source.cursors.clone(), destination: destination.cursors.clone() },
            readings: PerSide { source: source.readings.clone(), destination: destination.readings.clone() },
        }
    }

    /// Returns the kinds of each side of which only the changes were read.
    fn incremental(&self) -> PerSide<Vec<String>> {
        PerSide::from_fn(|side| {
            let kinds = self.readings.get(side).iter().filter(|(_, reading)| reading.is_incremental());
            kinds.map(|(kind, _)| kind.clone()).collect()
        })
    }

    /// Returns the evidence that an object is gone which the source does not have, by kind.
    fn proofs(&self, model: &Model, source: &Snapshot, mut gone: BTreeMap<usize, HashMap<String, String>>) -> Vec<Proof> {
        let kinds = model.kinds.iter().zip(&source.kinds).enumerate();
        let proof = |(at, (kind, rows)): (usize, (&KindModel, &KindSnapshot))| {
            let reading = self.readings.source.get(&kind.name);
            let mut proof = reading.map(|reading| reading.proof(rows.rows() as u64)).unwrap_or_default();
            proof.by_key.extend(gone.remove(&at).unwrap_or_default());
            proof
        };
        kinds.map(proof).collect()
    }

    /// Returns whether everything was read.
    fn is_full(&self) -> bool {
        self.incremental().iter().all(|(_, kinds)| kinds.is_empty())
    }
}

pub(crate) fn write_snapshots(
    run: &RunInProgress,
    model: &Model,
    rows: &Snapshot,
    side: Side,
    extract_ts_us: i64,
    unchanged_since: Option<&RunReader>,
) -> Result<(), EngineError> {
    for (at, kind) in model.kinds.iter().enumerate() {
        // What is looked up in the destination may have changed there.
        if let Some(earlier) = unchanged_since.filter(|_| !(kind.lookup && side == Side::Source))
            && run.writer.adopt_snapshot(side, &kind.name, earlier)?
        {
            continue;
        }
        let mut all = batches(model, rows, at, extract_ts_us);
        let mut file = run.writer.snapshot_writer(side, &kind.name, all.schema())?;
        for batch in &mut all {
            file.write(&batch?)?;
        }
        file.finish()?;
    }
    Ok(())
}

/// Notes in the run's record what an apply of the plan and the next run need to know.
fn record(run: &mut RunInProgress, resolved: &Resolved, sides: [(&Opened, &Snapshot); 2], extracts: &Extracts, summary: &Summary) {
    let [source, destination] = sides;
    let of = |side: Side| match side {
        Side::Source => source,
        Side::Destination => destination,
    };
    let kinds = |side: Side| resolved.model.kinds.iter().zip(&of(side).1.kinds);
    let id = run.writer.id().as_str().to_owned();
    let record = &mut run.record;
    record.sides = Some(PerSide::from_fn(|side| of(side).0.system.identity()));
    record.destination = destination.0.place.clone();
    record.unresolved = Some(PerSide::from_fn(|side| {
        kinds(side).filter(|(_, rows)| rows.has_unresolved()).map(|(kind, _)| kind.name.clone()).collect::<BTreeSet<_>>()
    }));
    record.incremental = Some(extracts.incremental());
    record.reading = Some(PerSide::from_fn(|side| {
        let readings = extracts.readings.get(side);
        kinds(side)
            .filter_map(|(kind, rows)| Some((kind.name.clone(), readings.get(&kind.name)?.record(&id, rows.rows() as u64))))
            .collect()
    }));
    record.adapters = PerSide::from_fn(|side| AdapterRecord {
        name: of(side).0.manifest().name.clone(),
        version: Some(of(side).0.manifest().version.clone()),
        digest: Some(of(side).0.digest.clone()),
    });
    record.counts = PerSide::from_fn(|side| kinds(side).map(|(kind, rows)| (kind.name.clone(), rows.rows() as u64)).collect());
    record.partial = PerSide::from_fn(|side| {
        kinds(side).filter(|(_, rows)| rows.completeness == Completeness::Partial).map(|(kind, _)| kind.name.clone()).collect()
    });
    record.mapping_hash = Some(resolved.mapping_hash.clone());
    record.schema_hash = Some(resolved.schema_hash.clone());
    record.schema_kinds.clone_from(&resolved.kind_hashes);
    record.summary.kinds = Some(summary.kinds.clone());
    record.summary.problems = Some(summary.problems);
    record.summary.mappings.clone_from(&summary.mappings);
    record.merged = Some(PerSide::from_fn(|side| {
        kinds(side).filter(|(_, rows)| rows.merged > 0).map(|(kind, _)| kind.name.clone()).collect::<BTreeSet<_>>()
    }));
    record.traffic = Some(PerSide::from_fn(|side| traffic(&*of(side).0.system)));
}

/// Writes everything that an apply needs: first the record, the plan last and durably, and then the plan's checksum.
fn write_plan(run: &RunInProgress, resolved: &Resolved, extracts: &Extracts, plan: &Plan<'_>) -> Result<(), EngineError> {
    run.writer.write_run_file(&run.record)?;
    run.writer.write_cursors(&extracts.cursors)?;
    run.writer.write_schema_sub_hash(&resolved.sub_hash())?;
    let written = run.writer.write_plan(plan.rows())?;
    run.writer.write_run_file(&run.record)?;
    tracing::debug!(rows = plan.len(), ?written, "plan written");
    Ok(())
}

/// Tells what was read: every mapping in the log, and on the screen what is odd.
fn tell_census(cx: &RunContext<'_>, model: &Model, source: &Built) {
    for mapping in &source.read.mappings {
        tracing::info!("{}", census::line(mapping));
    }
    census::empty(&source.read.mappings).iter().for_each(|line| cx.events.note(line));
    census::warnings(&source.read.mappings).iter().for_each(|warning| cx.events.warn(warning));
    for (kind, rows) in model.kinds.iter().zip(&source.rows.kinds).filter(|(_, rows)| rows.merged > 0) {
        let (objects, records) = (rows.rows() as u64, rows.rows() as u64 + rows.merged);
        cx.events.note(&format!(
            "{}: {records} records are {objects} {}: records with the same identifiers and the same values are one object",
            kind.name,
            if objects == 1 { "object" } else { "objects" }
        ));
    }
}

/// Reports objects that are left out; they are in `errors.parquet`.
fn report_problems(cx: &RunContext<'_>, run: &RunInProgress, sides: &Sides) -> Result<Vec<ErrorRow>, EngineError> {
    stop_on(cx, run, Side::Source, &sides.source.problems)?;
    stop_on(cx, run, Side::Destination, &sides.destination.problems)?;
    for (place, problems) in [("", &sides.source.problems), ("in the destination: ", &sides.destination.problems)] {
        problems.iter().take(PROBLEMS_SHOWN).for_each(|problem| cx.events.warn(&format!("{place}{problem}")));
        if problems.len() > PROBLEMS_SHOWN {
            let more = problems.len() - PROBLEMS_SHOWN;
            cx.events.warn(&format!("{place}{more} more; all {}: {}", problems.len(), problem_counts(problems).join("; ")));
        }
    }
    let all = sides.source.problems.iter().chain(&sides.destination.problems);
    let rows: Vec<ErrorRow> = all.map(|problem| problem_row(problem, false)).collect();
    run.writer.write_errors(&rows)?;
    Ok(rows)
}

/// Stops a run whose objects cannot be identified; all of them are in errors.parquet.
///
/// Gaps of the destination (an object whose peer is gone) do not stop it: a sync repairs them. Two of its objects with the same identifiers do, since
/// either could be the one to write to.
pub(crate) fn stop_on(cx: &RunContext<'_>, run: &RunInProgress, side: Side, problems: &[DataProblem]) -> Result<(), EngineError> {
    let stops = |problem: &DataProblem| side == Side::Source || matches!(problem.error, DataErrorKind::Duplicate { .. });
    if cx.options.continue_on_error || !problems.iter().any(stops) {
        return Ok(());
    }
    let problems: Vec<DataProblem> = problems.iter().filter(|problem| stops(problem)).cloned().collect();
    let rows: Vec<ErrorRow> = problems.iter().map(|problem| problem_row(problem, true)).collect();
    run.writer.write_errors(&rows)?;
    Err(EngineError::Data { side, problems })
}

fn problem_row(problem: &DataProblem, terminal: bool) -> ErrorRow {
    let (class, attribute) = match &problem.error {
        DataErrorKind::Duplicate { .. } => ("duplicate_identifier", None),
        DataErrorKind::Unmapped { field, .. } => ("record_not_mapped", Some(field)),
        DataErrorKind::WrongType { field, .. } => ("wrong_type", Some(field)),
        DataErrorKind::NullIdentifier { field } => ("null_identifier", Some(field)),
        DataErrorKind::Dangling { field, .. } => ("dangling_reference", Some(field)),
        DataErrorKind::NotInDestination { field, .. } => ("peer_not_in_destination", Some(field)),
        DataErrorKind::IdentityLoop { field } => ("identity_loop", Some(field)),
        DataErrorKind::Ambiguous { field, .. } | DataErrorKind::AmbiguousKind { field, .. } => ("ambiguous_reference", Some(field)),
        DataErrorKind::TooDeep { field } => ("identity_too_deep", Some(field)),
    };
    ErrorRow {
        error_class: class.to_owned(),
        resource: problem.kind.clone(),
        source_id: Some(problem.object.clone()).filter(|object| !object.is_empty()),
        dest_id: None,
        attribute: attribute.cloned(),
        message: problem.to_string(),
        hint: problem.left_out.then(|| "the object is left out, and its kind is partial".to_owned()),
        retry_count: 0,
        terminal,
    }
}
