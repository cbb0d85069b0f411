//! The commands, stage by stage: lock, load, compare, write the plan, guard, apply, report.

use std::collections::BTreeMap;
use std::time::Instant;

use infrahub_sync_cache::{Cache, CacheError, ErrorRow, Mode, Outcomes, PerSide, RunReader, RunRecord, RunStatus, SyncName};
use infrahub_sync_core::guardrail::{ApprovedPlan, Counts, approve};
use infrahub_sync_core::snapshot::{Snapshot, build};

use crate::adapter::{Access, Opened, Runtimes};
use crate::apply::{Current, Job, Report, Rules, apply_plan, merged, sentences};
use crate::base::Base;
use crate::compare::{compare, plans, resolving, stop_on};
use crate::extract::FullReason;
use crate::run::{RunInProgress, elapsed_ms, interruptible, open_cache, parse_run_id, stored_summary, take_lock, traffic};
use crate::schedule::load;
use crate::schema::{self, Resolved};
use crate::targets::Targets;
use crate::watch::Watch;
use crate::{Applied, EngineError, Run, RunContext, Side, Summary, ownership};

/// Loads both sides, compares them and writes the run to the cache. The destination is not written.
///
/// # Errors
/// Whatever stops the run; its status in the cache is then `failed`.
pub async fn diff(cx: &RunContext<'_>) -> Result<Run, EngineError> {
    diff_of(cx, open_both(cx, Access::Reads)).await
}

/// As [`diff`]; `open` opens source and destination.
pub(crate) async fn diff_of(
    cx: &RunContext<'_>,
    open: impl Future<Output = Result<(Opened, Opened), EngineError>>,
) -> Result<Run, EngineError> {
    let mut run = RunInProgress::new(cx, Mode::Diff).await?;
    let watch = Watch::default();
    let comparing = watch.during(cx.events, compare(cx, &mut run, watch.both(open)));
    let compared = match interruptible(cx, comparing).await {
        Ok(compared) => compared,
        Err(error) => return Err(run.failed(cx, error, &Report::default())),
    };
    run.finish(cx, RunStatus::DryRun, &compared.summary, compared.is_full)?;
    cx.events.note(&format!("Cached run {} at {}", run.writer.id(), run.writer.dir().display()));
    Ok(run.run(compared.summary))
}

/// [`diff`], then apply. `review` sees the plan before anything is written.
///
/// # Errors
/// Whatever stops the run. Rows that the destination rejects do not: they are counted.
pub async fn sync(cx: &RunContext<'_>, review: &mut dyn FnMut(&Run) -> std::io::Result<()>) -> Result<Applied, EngineError> {
    sync_of(cx, open_both(cx, Access::Writes), review).await
}

/// As [`sync`]; `open` opens source and destination.
pub(crate) async fn sync_of(
    cx: &RunContext<'_>,
    open: impl Future<Output = Result<(Opened, Opened), EngineError>>,
    review: &mut dyn FnMut(&Run) -> std::io::Result<()>,
) -> Result<Applied, EngineError> {
    let mut run = RunInProgress::new(cx, Mode::Sync).await?;
    let mut report = Report::default();
    let watch = Watch::default();
    let done = async {
        let comparing = watch.during(cx.events, compare(cx, &mut run, watch.both(open)));
        let compared = interruptible(cx, comparing).await?;
        review(&run.run(compared.summary.clone())).map_err(EngineError::Review)?;
        let current = Current {
            model: &compared.resolved.model,
            targets: &compared.targets,
            cascading: &compared.resolved.cascading,
            snapshot: &compared.destination_rows,
            fresh: true,
            as_of: &compared.destination_as_of,
        };
        report.errors = compared.problems;
        let applying = apply_to(cx, &mut run, &compared.destination, &current, &compared.summary, &mut report);
        watch.during(cx.events, applying).await?;
        Ok::<_, EngineError>((compared.summary, compared.is_full))
    };
    match done.await {
        Ok((summary, is_full)) => conclude(cx, run, summary, report, is_full),
        Err(error) => Err(run.failed(cx, error, &report)),
    }
}

/// Applies the plan of a cached run without reading the source.
///
/// Rows whose wanted state is there already are counted and not sent, so that applying twice creates nothing twice.
///
/// # Errors
/// When there is no such run or plan, when the mapping or the destination's schema has changed since, or whatever stops the run.
pub async fn apply(cx: &RunContext<'_>) -> Result<Applied, EngineError> {
    let open = async {
        let runtimes = Runtimes::new(cx)?;
        Opened::destination(cx, &runtimes, Access::Writes).await
    };
    apply_of(cx, open).await
}

/// As [`apply`]; `open` opens the destination.
pub(crate) async fn apply_of(cx: &RunContext<'_>, open: impl Future<Output = Result<Opened, EngineError>>) -> Result<Applied, EngineError> {
    let cache = open_cache(cx)?;
    let id = parse_run_id(cx.run_id.as_deref().unwrap_or_default())?;
    let lock = take_lock(cx, &cache, &id).await?;
    let reader = cache.open_run(&id)?;
    let record = reader.run_file()?;
    check_plan(&reader, &record)?;
    check_digest(cx, &reader)?;
    let summary = stored_summary(&record.summary);
    // Objects that the plan leaves out are left out of its apply, too. A list that cannot be read is made again.
    let left_out: Vec<ErrorRow> = reader.read_errors().unwrap_or_default().into_iter().filter(|row| !row.terminal).collect();
    let destination = open.await?;
    check_place(&reader, &record, &destination)?;
    let watch = Watch::default();
    watch.add(Side::Destination, &destination);
    let resolved = watch.during(cx.events, schema::live(cx.project, &*destination.system, cx.events)).await?;
    check_drift(&reader, &record, &resolved)?;
    let targets = Targets::new(cx.project, &resolved.model, destination.manifest())?;
    let mut report = Report::default();
    let mut run = RunInProgress { writer: lock.continue_run(&id)?, lock, record };
    let done = async {
        let (snapshot, _) = interruptible(cx, read_destination(cx, &run, &destination, &resolved, &targets)).await?;
        let as_of = BTreeMap::new();
        let current = Current {
            model: &resolved.model,
            targets: &targets,
            cascading: &resolved.cascading,
            snapshot: &snapshot,
            fresh: false,
            as_of: &as_of,
        };
        report.errors = left_out;
        apply_to(cx, &mut run, &destination, &current, &summary, &mut report).await
    };
    match watch.during(cx.events, done).await {
        Ok(()) => conclude(cx, run, summary, report, false),
        Err(error) => Err(run.failed(cx, error, &report)),
    }
}

/// Checks that a run has a plan, as it was written.
pub(crate) fn check_plan(reader: &RunReader, record: &RunRecord) -> Result<(), EngineError> {
    let no_plan = |reason: &str| EngineError::NoPlan { run_id: reader.id().to_string(), reason: reason.to_owned() };
    if !reader.has_plan() {
        return Err(no_plan(match record.status {
            RunStatus::Running => "it was interrupted before its plan was finished",
            RunStatus::Failed => "it failed before its plan was finished",
            _ => "plan.parquet is missing",
        }));
    }
    reader.check_plan()?;
    // The limits are about these counts: without them nothing may be deleted.
    if record.summary.kinds.as_ref().is_none_or(Vec::is_empty) && reader.read_plan()?.rows() > 0 {
        return Err(no_plan("its run.json does not hold the counts of its kinds"));
    }
    Ok(())
}

/// Compares the plan with the digest that the user gave, if there is one.
fn check_digest(cx: &RunContext<'_>, reader: &RunReader) -> Result<(), EngineError> {
    let Some(expected) = &cx.options.plan_digest else { return Ok(()) };
    let expected = format!("sha256:{}", expected.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let found = reader.plan_digest()?;
    if found == expected { Ok(()) } else { Err(EngineError::OtherPlan { run_id: reader.id().to_string(), expected, found }) }
}

/// Checks that the destination is the one that the plan was made for, before any request goes to it.
pub(crate) fn check_place(reader: &RunReader, record: &RunRecord, destination: &Opened) -> Result<(), EngineError> {
    if record.destination.is_empty() || record.destination == destination.place {
        return Ok(());
    }
    Err(EngineError::Drift { run_id: reader.id().to_string(), what: "an address, a folder or a branch", kinds: Vec::new() })
}

/// Checks that mapping and schema are those that the plan was made for.
pub(crate) fn check_drift(reader: &RunReader, record: &RunRecord, resolved: &Resolved) -> Result<(), EngineError> {
    let run_id = reader.id().to_string();
    let planned = reader.read_schema_sub_hash()?;
    if planned.as_deref().map(str::trim) == Some(resolved.sub_hash().as_str()) {
        return Ok(());
    }
    let is_mapping = record.mapping_hash.as_ref().is_some_and(|hash| *hash != resolved.mapping_hash);
    let (before, now) = (&record.schema_kinds, &resolved.kind_hashes);
    let mut kinds: Vec<String> = now.iter().filter(|(kind, hash)| before.get(*kind) != Some(hash)).map(|(kind, _)| kind.clone()).collect();
    kinds.extend(before.keys().filter(|kind| !now.contains_key(*kind)).cloned());
    kinds.sort_unstable();
    Err(EngineError::Drift { run_id, what: if is_mapping { "a mapping" } else { "a destination schema" }, kinds })
}

/// Reads the destination in full, for a plan that was made earlier. Returns the kinds whose answer is incomplete, with the reason, too.
pub(crate) async fn read_destination(
    cx: &RunContext<'_>,
    run: &RunInProgress,
    destination: &Opened,
    resolved: &Resolved,
    targets: &Targets,
) -> Result<(Snapshot, BTreeMap<String, String>), EngineError> {
    let model = &resolved.model;
    let plans = plans(cx, Side::Destination, destination, model, targets)?;
    let base = Base::none(model, &FullReason::Apply);
    let read = load(cx, Side::Destination, &destination.system, model, plans, base).await?;
    let (snapshot, problems) = build(model, read.raw, resolving(Side::Destination, destination));
    stop_on(cx, run, Side::Destination, &problems)?;
    Ok((snapshot, read.partial))
}

async fn open_both(cx: &RunContext<'_>, access: Access) -> Result<(Opened, Opened), EngineError> {
    let runtimes = Runtimes::new(cx)?;
    Opened::both(cx, &runtimes, access).await
}

/// Passes the plan through the guardrail, and applies it.
async fn apply_to(
    cx: &RunContext<'_>,
    run: &mut RunInProgress,
    destination: &Opened,
    current: &Current<'_>,
    summary: &Summary,
    report: &mut Report,
) -> Result<(), EngineError> {
    let plan = approved(cx, run, summary)?;
    let applying_at = Instant::now();
    let job = Job {
        project: cx.project,
        rules: Rules::new(&cx.options, cx.project),
        events: cx.events,
        stop: cx.stop,
        system: &destination.system,
        current,
        plan: &plan,
    };
    let writes = run.writer.reader().read_plan()?.rows() > 0;
    let journal = run.writer.open_journal()?;
    if writes {
        ownership::begin(&run.lock, run.writer.id())?;
    }
    let applied = apply_plan(&job, journal, report).await;
    // Also of an apply that failed: whatever the destination has accepted is recorded.
    let settled = if writes { ownership::settle(&run.lock, current.model, run.writer.reader(), current.snapshot) } else { Ok(()) };
    applied?;
    settled?;
    run.record.duration_ms.apply = Some(elapsed_ms(applying_at));
    run.record.traffic.get_or_insert_with(PerSide::default).destination = traffic(&*destination.system);
    Ok(())
}

/// Returns a cached run, to show it again; none if the sync has no cache.
///
/// # Errors
/// When there is no such run or it cannot be read.
pub fn show(cache_root: &std::path::Path, sync: &str, run_id: &str) -> Result<Option<Run>, EngineError> {
    let Some(cache) = Cache::existing(cache_root, SyncName::parse(sync).map_err(CacheError::from)?)? else { return Ok(None) };
    let id = parse_run_id(run_id)?;
    let reader = cache.open_run(&id)?;
    let file = reader.run_file()?;
    if !reader.has_plan() {
        return Err(EngineError::NoPlan { run_id: run_id.to_owned(), reason: format!("its status is `{}`", file.status.as_str()) });
    }
    Ok(Some(Run { run_id: id.as_str().to_owned(), directory: reader.dir().to_owned(), summary: stored_summary(&file.summary), reader }))
}

/// Passes the guardrail. An apply accepts nothing else.
fn approved(cx: &RunContext<'_>, run: &RunInProgress, summary: &Summary) -> Result<ApprovedPlan<RunReader>, EngineError> {
    let cache = run.lock.cache();
    // An undo has no source whose rows could be missing.
    let counts = if run.record.mode == Mode::Undo { None } else { cache.rowcounts()? };
    let baseline: BTreeMap<String, u64> = counts.unwrap_or_default().into_iter().collect();
    let kinds = summary.kinds.iter().map(|kind| Counts {
        kind: &kind.kind,
        source_rows: kind.source_rows,
        destination_rows: kind.destination_rows,
        deletes: kind.deletes_in_all(),
    });
    let limit = cx.project.apply.with(&cx.options.rules).max_deletes.unwrap_or_default();
    Ok(approve(run.writer.reader().clone(), &baseline, kinds, cx.options.allow_rowcount_drop, limit)?)
}

fn conclude(
    cx: &RunContext<'_>,
    mut run: RunInProgress,
    summary: Summary,
    mut report: Report,
    is_full: bool,
) -> Result<Applied, EngineError> {
    run.writer.write_errors(&report.errors)?;
    sentences(&report.ineffective).iter().for_each(|sentence| cx.events.warn(sentence));
    if !report.ineffective.is_empty() {
        run.lock.write_no_effect(&merged(run.lock.cache().no_effect()?, std::mem::take(&mut report.ineffective)))?;
    }
    let counts: Outcomes = report.totals();
    let whole = counts.not_written() == 0 && report.stopped.is_none() && summary.is_whole();
    run.record.summary.set_outcomes(counts, report.left);
    run.record.summary.applied = report.kinds;
    run.finish(cx, if whole { RunStatus::Applied } else { RunStatus::Partial }, &summary, is_full)?;
    if whole && run.record.mode != Mode::Undo {
        // The baseline moves only on a success. A kind that is partial keeps the count of its last complete load.
        let mut counts: BTreeMap<String, u64> = run.lock.cache().rowcounts()?.unwrap_or_default();
        for kind in summary.kinds.iter().filter(|kind| !kind.partial) {
            counts.insert(kind.kind.clone(), kind.source_rows);
        }
        run.lock.write_rowcounts(&counts)?;
    }
    let run = run.run(summary);
    // The words of infrahub-sync's own log, which scripts look for.
    let what = if cx.source.is_some() { "Sync" } else { "Applied" };
    cx.events.note(&format!("{what} run {} at {}", run.run_id, run.directory.display()));
    Ok(Applied { run, counts, failures: report.failures, stopped: report.stopped, left: report.left })
}
