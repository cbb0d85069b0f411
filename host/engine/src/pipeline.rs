//! The commands, stage by stage: lock, load, compare, write the plan, guard, apply, tell.

use std::collections::BTreeMap;
use std::time::Duration;

use infrahub_sync_cache::{
    AdapterRecord, Cache, CacheError, CacheLock, ErrorRow, Holder, Mode, RunCounter, RunFile, RunId, RunReader, RunStatus, RunWriter,
    SyncName,
};
use infrahub_sync_core::batches::batches;
use infrahub_sync_core::changes::contradicts;
use infrahub_sync_core::guardrail::{Counts, approve};
use infrahub_sync_core::model::Model;
use infrahub_sync_core::plan::{KindSummary, Plan, Policy, Proof, plan};
use infrahub_sync_core::snapshot::{Completeness, DataErrorKind, DataProblem, Resolving, Snapshot, build};
use infrahub_sync_runtime::Addressing;
use jiff::Timestamp;
use serde_json::json;

use crate::adapter::{Opened, Runtimes};
use crate::apply::{Current, Job, Outcomes, Report, Rules, apply_plan};
use crate::base::{self, Base, SIDES, UNRESOLVED};
use crate::extract::{self, FullReason, READING, Reading};
use crate::plans::{ResourcePlan, Terms, destination_plans, source_plans};
use crate::schedule::{Loaded, load};
use crate::schema::{self, Resolved};
use crate::targets::Targets;
use crate::{Applied, EngineError, Run, RunContext, Side, Summary};

/// Where `run.json` keeps what the plan is to be written to.
const PLACE: &str = "destination";
/// Between two attempts to take the lock.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// Loads both sides, compares them and writes the run to the cache. The destination is not written.
///
/// # Errors
/// Whatever stops the run; its status in the cache is then `failed`.
pub async fn diff(cx: &RunContext<'_>) -> Result<Run, EngineError> {
    diff_of(cx, open_both(cx)).await
}

/// As [`diff`]; `open` opens source and destination.
pub(crate) async fn diff_of(cx: &RunContext<'_>, open: impl Future<Output = Result<(Opened, Opened), EngineError>>) -> Result<Run, EngineError> {
    let started = Started::new(cx, Mode::Diff).await?;
    let compared = match interruptible(cx, compare(cx, &started, open)).await {
        Ok(compared) => compared,
        Err(error) => return Err(started.failed(cx, error, &Report::default())),
    };
    started.finish(cx, RunStatus::DryRun, &compared.summary, compared.is_full)?;
    cx.events.note(&format!("Cached run {} at {}", started.writer.id(), started.writer.dir().display()));
    Ok(compared.run(&started))
}

/// [`diff`], then apply. `review` sees the plan before anything is written.
///
/// # Errors
/// Whatever stops the run. Rows that the destination refuses do not: they are counted.
pub async fn sync(cx: &RunContext<'_>, review: &mut dyn FnMut(&Run) -> std::io::Result<()>) -> Result<Applied, EngineError> {
    sync_of(cx, open_both(cx), review).await
}

/// As [`sync`]; `open` opens source and destination.
pub(crate) async fn sync_of(
    cx: &RunContext<'_>,
    open: impl Future<Output = Result<(Opened, Opened), EngineError>>,
    review: &mut dyn FnMut(&Run) -> std::io::Result<()>,
) -> Result<Applied, EngineError> {
    let started = Started::new(cx, Mode::Sync).await?;
    let mut report = Report::default();
    let done = async {
        let compared = interruptible(cx, compare(cx, &started, open)).await?;
        let run = compared.run(&started);
        review(&run).map_err(EngineError::Review)?;
        let reader = approved(cx, &started, &compared.summary)?;
        let current = Current {
            model: &compared.resolved.model,
            targets: &compared.targets,
            snapshot: &compared.destination_rows,
            fresh: true,
            as_of: &compared.destination_as_of,
        };
        let applying_at = std::time::Instant::now();
        let journal = started.writer.open_journal()?;
        report.errors = compared.problems;
        apply_plan(&job(cx, &compared.destination, &current, &reader), journal, &mut report).await?;
        started.note_apply(elapsed_ms(applying_at), &compared.destination)?;
        Ok::<_, EngineError>((run, compared.is_full))
    };
    match done.await {
        Ok((run, is_full)) => conclude(cx, &started, run, report, is_full),
        Err(error) => Err(started.failed(cx, error, &report)),
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
        Opened::destination(cx, &runtimes).await
    };
    apply_of(cx, open).await
}

/// As [`apply`]; `open` opens the destination.
pub(crate) async fn apply_of(
    cx: &RunContext<'_>,
    open: impl Future<Output = Result<Opened, EngineError>>,
) -> Result<Applied, EngineError> {
    let cache = open_cache(cx)?;
    let id = parse_run_id(cx.run_id.as_deref().unwrap_or_default())?;
    let lock = take_lock(cx, &cache, &id).await?;
    let reader = cache.open_run(&id)?;
    let file = reader.run_file()?;
    if !reader.has_plan() {
        let reason = match file.status {
            RunStatus::Running => "it was interrupted before its plan was finished",
            RunStatus::Failed => "it failed before its plan was finished",
            _ => "plan.parquet is not there",
        };
        return Err(EngineError::NoPlan { run_id: id.as_str().to_owned(), reason: reason.to_owned() });
    }
    reader.check_plan()?;
    let summary = stored_summary(&file);
    // The limits are about these counts: what nobody counted nobody may delete.
    if summary.kinds.is_empty() && reader.read_plan()?.rows() > 0 {
        let reason = "its run.json does not hold the counts of its kinds".to_owned();
        return Err(EngineError::NoPlan { run_id: id.as_str().to_owned(), reason });
    }
    // What was left out when the plan was made is left out of its apply too. A list that cannot be read is made anew.
    let left_out: Vec<ErrorRow> = reader.read_errors().unwrap_or_default().into_iter().filter(|row| !row.terminal).collect();
    let mut report = Report::default();
    let destination = open.await?;
    if file.other.get(PLACE).is_some_and(|planned| *planned != destination.place) {
        let run_id = id.as_str().to_owned();
        return Err(EngineError::Drift { run_id, what: "an address, a folder or a branch", kinds: Vec::new() });
    }
    let resolved = schema::live(cx.project, &*destination.system, cx.events).await?;
    let planned = reader.read_schema_sub_hash()?;
    if planned.as_deref().map(str::trim) != Some(resolved.sub_hash().as_str()) {
        let mapping = file.other.get("mapping_hash").and_then(|hash| hash.as_str());
        let what = if mapping.is_some_and(|hash| hash != resolved.mapping_hash) { "a mapping" } else { "a destination schema" };
        let before: BTreeMap<String, String> =
            file.other.get("schema_kinds").and_then(|kinds| serde_json::from_value(kinds.clone()).ok()).unwrap_or_default();
        let now = &resolved.kind_hashes;
        let mut kinds: Vec<String> =
            now.iter().filter(|(kind, hash)| before.get(*kind) != Some(hash)).map(|(kind, _)| kind.clone()).collect();
        kinds.extend(before.into_keys().filter(|kind| !now.contains_key(kind)));
        kinds.sort_unstable();
        return Err(EngineError::Drift { run_id: id.as_str().to_owned(), what, kinds });
    }
    let targets = Targets::new(cx.project, &resolved.model, destination.manifest())?;
    let plans = plans(cx, Side::Destination, &destination, &resolved.model, &targets)?;
    let writer = lock.continue_run(&id)?;
    let started = Started { writer, lock, file };
    let done = async {
        let reading =
            load(cx, Side::Destination, &destination.system, &resolved.model, plans, Base::none(&resolved.model, &FullReason::Apply));
        let rows = interruptible(cx, reading).await?.raw;
        let (snapshot, problems) = build(&resolved.model, rows, resolving(Side::Destination, &destination));
        stop_on(cx, &started, Side::Destination, &problems)?;
        let reader = approved(cx, &started, &summary)?;
        let as_of = BTreeMap::new();
        let current = Current { model: &resolved.model, targets: &targets, snapshot: &snapshot, fresh: false, as_of: &as_of };
        let applying_at = std::time::Instant::now();
        report.errors = left_out;
        apply_plan(&job(cx, &destination, &current, &reader), started.writer.open_journal()?, &mut report).await?;
        started.note_apply(elapsed_ms(applying_at), &destination)?;
        Ok::<_, EngineError>(Run {
            run_id: id.as_str().to_owned(),
            directory: started.writer.dir().to_owned(),
            summary,
            reader: started.writer.reader().clone(),
        })
    };
    match done.await {
        Ok(run) => conclude(cx, &started, run, report, false),
        Err(error) => Err(started.failed(cx, error, &report)),
    }
}

async fn open_both(cx: &RunContext<'_>) -> Result<(Opened, Opened), EngineError> {
    let runtimes = Runtimes::new(cx)?;
    Opened::both(cx, &runtimes).await
}

fn job<'j>(
    cx: &'j RunContext<'_>,
    destination: &'j Opened,
    current: &'j Current<'j>,
    plan: &'j infrahub_sync_core::guardrail::ApprovedPlan<RunReader>,
) -> Job<'j> {
    Job {
        project: cx.project,
        rules: Rules::new(&cx.options, cx.project),
        events: cx.events,
        stop: cx.stop,
        system: &destination.system,
        current,
        plan,
    }
}

/// Work that ends at once when somebody wants it to: nothing is written yet.
async fn interruptible<T>(cx: &RunContext<'_>, work: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
    tokio::select! {
        done = work => done,
        () = cx.stop.requested() => Err(EngineError::Interrupted),
    }
}

/// A cached run, to be shown again.
///
/// # Errors
/// When there is no such run or it cannot be read.
pub fn show(cache_root: &std::path::Path, sync: &str, run_id: &str) -> Result<Run, EngineError> {
    let cache = Cache::open(cache_root, SyncName::parse(sync).map_err(infrahub_sync_cache::CacheError::from)?)?;
    let id = parse_run_id(run_id)?;
    let reader = cache.open_run(&id)?;
    let file = reader.run_file()?;
    if !reader.has_plan() {
        return Err(EngineError::NoPlan { run_id: run_id.to_owned(), reason: format!("its status is `{}`", file.status.as_str()) });
    }
    Ok(Run { run_id: id.as_str().to_owned(), directory: reader.dir().to_owned(), summary: stored_summary(&file), reader })
}

fn now(cx: &RunContext<'_>) -> Timestamp {
    Timestamp::try_from((cx.now)()).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn open_cache(cx: &RunContext<'_>) -> Result<Cache, EngineError> {
    let name = SyncName::parse(&cx.project.name).map_err(infrahub_sync_cache::CacheError::from)?;
    Ok(Cache::open(&cx.cache_root, name)?)
}

fn parse_run_id(id: &str) -> Result<RunId, EngineError> {
    Ok(RunId::parse(id).map_err(infrahub_sync_cache::CacheError::from)?)
}

/// Takes the lock, waiting for it as long as the user wants to. It is asked for again and again instead of waited for on this thread, on
/// which a wish that the run ends is heard too.
async fn take_lock(cx: &RunContext<'_>, cache: &Cache, id: &RunId) -> Result<CacheLock, EngineError> {
    let ours = Holder::this_process(id.clone(), now(cx));
    let begun = std::time::Instant::now();
    let mut seen: Option<Holder> = None;
    loop {
        match cache.lock(&ours, Duration::ZERO, &mut |_| {}) {
            Err(CacheError::Locked { sync, path, holder, .. }) => {
                let waited = begun.elapsed();
                let Some(left) = cx.options.lock_wait.checked_sub(waited).filter(|left| !left.is_zero()) else {
                    return Err(CacheError::Locked { sync, path, holder, waited }.into());
                };
                if seen.as_ref() != Some(&*holder) {
                    cx.events.waiting_for_lock(&holder.to_string());
                    seen = Some(*holder);
                }
                let pause = async {
                    tokio::time::sleep(LOCK_POLL.min(left)).await;
                    Ok(())
                };
                interruptible(cx, pause).await?;
            }
            taken => return Ok(taken?),
        }
    }
}

/// A run that holds the lock and has its folder.
struct Started {
    writer: RunWriter,
    lock: CacheLock,
    file: RunFile,
}

impl Started {
    async fn new(cx: &RunContext<'_>, mode: Mode) -> Result<Started, EngineError> {
        let cache = open_cache(cx)?;
        let id = match &cx.run_id {
            Some(id) => parse_run_id(id)?,
            None => {
                let mut random = [0u8; 4];
                getrandom::fill(&mut random).map_err(|error| EngineError::Internal(format!("no randomness for a run id: {error}")))?;
                RunId::new(now(cx), random)
            }
        };
        let lock = take_lock(cx, &cache, &id).await?;
        let file = RunFile::running(mode, now(cx));
        let writer = lock.start_run(&id, &file)?;
        Ok(Started { writer, lock, file })
    }

    /// Notes a failure in the cache, and the rows that were refused before it. The failure itself is what the user hears of, also when it
    /// cannot be noted.
    fn failed(&self, cx: &RunContext<'_>, error: EngineError, report: &Report) -> EngineError {
        let mut file = self.noted();
        file.status = RunStatus::Failed;
        file.finished_at = Some(now(cx));
        file.summary.insert("error".to_owned(), json!(error.to_string()));
        let noted = match report.errors.as_slice() {
            // The rows of what stopped the reading are there already.
            [] => Ok(()),
            errors => self.writer.write_errors(errors).map(drop),
        };
        if let Err(second) = noted.and_then(|()| self.writer.write_run_file(&file)) {
            cx.events.warn(&format!("the failure could not be noted in the cache: {second}"));
        }
        let rows = report.totals().not_written();
        if rows > 0 {
            cx.events.warn(&format!("until then {rows} of the plan's rows were not written: `infrahub-sync show` says which, and why"));
        }
        error
    }

    /// `run.json` with what was learnt on the way (counts, adapters, hashes), which an apply of the plan needs.
    fn noted(&self) -> RunFile {
        self.writer.reader().run_file().unwrap_or_else(|_| self.file.clone())
    }

    /// Notes in `run.json` how long the stages took, in milliseconds, and what went over the network.
    fn note_extract(&self, times: &BTreeMap<&str, u64>, sides: [(&str, &Opened); 2]) -> Result<(), EngineError> {
        let mut file = self.writer.reader().run_file()?;
        file.other.insert("duration_ms".to_owned(), json!(times));
        let traffic: BTreeMap<&str, serde_json::Value> = sides.into_iter().map(|(side, opened)| (side, traffic_json(opened))).collect();
        file.other.insert("traffic".to_owned(), json!(traffic));
        Ok(self.writer.write_run_file(&file)?)
    }

    /// As [`note_extract`](Self::note_extract), after an apply.
    fn note_apply(&self, apply_ms: u64, destination: &Opened) -> Result<(), EngineError> {
        let mut file = self.writer.reader().run_file()?;
        for (name, key, value) in [("duration_ms", "apply", json!(apply_ms)), ("traffic", "B", traffic_json(destination))] {
            let entry = file.other.entry(name).or_insert_with(|| json!({}));
            if let Some(entry) = entry.as_object_mut() {
                entry.insert(key.to_owned(), value);
            }
        }
        Ok(self.writer.write_run_file(&file)?)
    }

    /// Notes how the run ended. `is_full`: it has just read everything.
    fn finish(&self, cx: &RunContext<'_>, status: RunStatus, summary: &Summary, is_full: bool) -> Result<RunFile, EngineError> {
        let mut file = self.noted();
        file.status = status;
        file.finished_at = Some(now(cx));
        // Of an earlier apply.
        file.summary.remove("error");
        let (create, update, delete) = summary.totals();
        for (name, count) in [("create", create), ("update", update), ("delete", delete)] {
            file.summary.insert(name.to_owned(), json!(count));
        }
        self.writer.write_run_file(&file)?;
        // Only what the next run may go on from spares it a full read.
        if is_full && status.is_success() {
            self.lock.write_run_counter(RunCounter { runs_since_full: 0 })?;
        }
        Ok(file)
    }
}

fn traffic_json(opened: &Opened) -> serde_json::Value {
    let traffic = opened.system.traffic();
    json!({ "requests": traffic.requests, "repeated": traffic.repeated, "bytes": traffic.bytes })
}

fn elapsed_ms(since: std::time::Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Both sides, compared; the plan is in the cache.
struct Compared {
    destination: Opened,
    resolved: Resolved,
    targets: Targets,
    destination_rows: Snapshot,
    /// By kind the moment as of which the destination was read.
    destination_as_of: BTreeMap<String, String>,
    summary: Summary,
    problems: Vec<ErrorRow>,
    /// Everything was read.
    is_full: bool,
}

impl Compared {
    fn run(&self, started: &Started) -> Run {
        let writer = &started.writer;
        Run {
            run_id: writer.id().as_str().to_owned(),
            directory: writer.dir().to_owned(),
            summary: self.summary.clone(),
            reader: writer.reader().clone(),
        }
    }
}

async fn compare(
    cx: &RunContext<'_>,
    started: &Started,
    open: impl Future<Output = Result<(Opened, Opened), EngineError>>,
) -> Result<Compared, EngineError> {
    let (source, destination) = open.await?;
    let resolved = schema::of_run(cx.project, &*destination.system, cx.events).await?;
    let model = &resolved.model;
    let targets = Targets::new(cx.project, model, destination.manifest())?;
    let [source_plans, destination_plans] =
        [plans(cx, Side::Source, &source, model, &targets)?, plans(cx, Side::Destination, &destination, model, &targets)?];
    for mapping in cx.project.schema_mapping.iter().filter(|mapping| mapping.mapping.is_none()) {
        if source.manifest().source == Some(Addressing::Mapping) {
            cx.events.note(&format!("{} has no `mapping:` and is not read from the source", mapping.name));
        }
    }
    let loading_at = std::time::Instant::now();
    let (earlier, source_base, destination_base) = bases(cx, started, &resolved, &source, &destination)?;
    let source_load = load(cx, Side::Source, &source.system, model, source_plans, source_base);
    let destination_load = load(cx, Side::Destination, &destination.system, model, destination_plans, destination_base);
    let (source_read, destination_read) = if cx.options.concurrent_load {
        tokio::try_join!(source_load, destination_load)?
    } else {
        (source_load.await?, destination_load.await?)
    };
    let load_ms = elapsed_ms(loading_at);
    let compared_at = std::time::Instant::now();
    let extract_ts_us = now(cx).as_microsecond();
    let (source_read, source_rows, source_problems) = built(cx, Side::Source, &source, model, &targets, source_read).await?;
    let (destination_read, destination_rows, destination_problems) =
        built(cx, Side::Destination, &destination, model, &targets, destination_read).await?;
    let mut source_rows = source_rows;
    for (kind, rows) in model.kinds.iter().zip(&mut source_rows.kinds) {
        if !source_read.readings.contains_key(&kind.name) {
            rows.completeness = Completeness::Unread;
        }
    }
    source.system.finish()?;
    let extracts = Extracts::new(cx, model, &source_read, &destination_read);
    let [source_earlier, destination_earlier] = extracts.unchanged.map(|unchanged| earlier.as_ref().filter(|_| unchanged));
    write_snapshots(started, model, &source_rows, infrahub_sync_cache::Side::Source, extract_ts_us, source_earlier)?;
    write_snapshots(started, model, &destination_rows, infrahub_sync_cache::Side::Destination, extract_ts_us, destination_earlier)?;
    if !cx.options.continue_on_error {
        stop_on(cx, started, Side::Source, &source_problems)?;
        stop_on(cx, started, Side::Destination, &destination_problems)?;
    }
    let mut problems: Vec<ErrorRow> = Vec::new();
    for problem in &source_problems {
        cx.events.warn(&problem.to_string());
        problems.push(problem_row(problem, false));
    }
    for problem in &destination_problems {
        cx.events.warn(&format!("in the destination: {problem}"));
        problems.push(problem_row(problem, false));
    }
    started.writer.write_errors(&problems)?;
    let flags = cx.project.flags;
    let policy = Policy { create: flags.create, update: flags.update, delete: flags.delete };
    let difference = infrahub_sync_core::diff::diff(model, &source_rows, &destination_rows);
    let proofs = extracts.proofs(model, &source_rows);
    let plan = plan(model, &source_rows, &destination_rows, difference, policy).with_proofs(&proofs);
    let summary = Summary { kinds: plan.summary.clone(), problems: source_problems.len() as u64 };
    write_plan(cx, started, &resolved, [(&source, &source_rows), (&destination, &destination_rows)], &extracts, &plan, &summary)?;
    if !extracts.is_full() {
        let runs = started.lock.cache().run_counter()?.runs_since_full;
        started.lock.write_run_counter(RunCounter { runs_since_full: runs + 1 })?;
    }
    let destination_as_of = base::watermarks(&extracts.cursors.destination);
    let times = BTreeMap::from([("load", load_ms), ("compare", elapsed_ms(compared_at))]);
    started.note_extract(&times, [("A", &source), ("B", &destination)])?;
    Ok(Compared { destination, resolved, targets, summary, problems, is_full: extracts.is_full(), destination_rows, destination_as_of })
}

/// Builds what was read of a side. Where what is kept of an earlier run does not fit it, the side is read again, in full.
async fn built(
    cx: &RunContext<'_>,
    side: Side,
    opened: &Opened,
    model: &Model,
    targets: &Targets,
    mut read: Loaded,
) -> Result<(Loaded, Snapshot, Vec<DataProblem>), EngineError> {
    let (mut rows, problems) = build(model, std::mem::take(&mut read.raw), resolving(side, opened));
    let kept: Vec<bool> = model.kinds.iter().map(|kind| read.readings.get(&kind.name).is_some_and(Reading::is_incremental)).collect();
    if !contradicts(model, &kept, &rows, &problems) {
        mark_partial(cx, side, model, &read, &mut rows);
        return Ok((read, rows, problems));
    }
    let plans = plans(cx, side, opened, model, targets)?;
    let base = Base::none(model, &FullReason::Contradiction);
    let mut read = load(cx, side, &opened.system, model, plans, base).await?;
    let (mut rows, problems) = build(model, std::mem::take(&mut read.raw), resolving(side, opened));
    mark_partial(cx, side, model, &read, &mut rows);
    Ok((read, rows, problems))
}

/// Marks the kinds that the adapter could not read completely: what is missing of them may exist, so it is not deleted.
fn mark_partial(cx: &RunContext<'_>, side: Side, model: &Model, read: &Loaded, rows: &mut Snapshot) {
    for (kind, rows) in model.kinds.iter().zip(&mut rows.kinds) {
        if let Some(reason) = read.partial.get(&kind.name) {
            rows.completeness = Completeness::Partial;
            cx.events.warn(&format!("{side} {}: the answer is incomplete, so nothing of it is deleted: {reason}", kind.name));
        }
    }
}

/// Returns what is read of one side.
fn plans(cx: &RunContext<'_>, side: Side, opened: &Opened, model: &Model, targets: &Targets) -> Result<Vec<ResourcePlan>, EngineError> {
    let terms = Terms::new(side, opened.manifest());
    match side {
        Side::Source => source_plans(cx.project, model, &terms, Some(targets)),
        Side::Destination => Ok(destination_plans(model, targets, &terms.rules)),
    }
}

/// Returns how the references of one side are resolved.
fn resolving(side: Side, opened: &Opened) -> Resolving {
    Resolving::new(side, &Terms::new(side, opened.manifest()).rules)
}

/// What both sides go on from: nothing in a full run.
fn bases(
    cx: &RunContext<'_>,
    started: &Started,
    resolved: &Resolved,
    source: &Opened,
    destination: &Opened,
) -> Result<(Option<RunReader>, Base, Base), EngineError> {
    let model = &resolved.model;
    let none = |reason: &FullReason| (None, Base::none(model, reason), Base::none(model, reason));
    if cx.options.full_extract {
        return Ok(none(&FullReason::Asked));
    }
    let reader = match base::latest(cx, started.lock.cache(), resolved)? {
        Ok(reader) => reader,
        Err(reason) => return Ok(none(&reason)),
    };
    let (source, destination) =
        (Base::open(&reader, Side::Source, source, model)?, Base::open(&reader, Side::Destination, destination, model)?);
    Ok((Some(reader), source, destination))
}

/// How the kinds were read, and where the next run goes on.
struct Extracts {
    cursors: infrahub_sync_cache::Cursors,
    /// Of each side.
    readings: [BTreeMap<String, Reading>; 2],
    /// Nothing has changed on a side since the run that this one goes on from.
    unchanged: [bool; 2],
}

impl Extracts {
    fn new(cx: &RunContext<'_>, model: &Model, source: &Loaded, destination: &Loaded) -> Extracts {
        if !cx.options.full_extract {
            for (side, loaded) in [(Side::Source, source), (Side::Destination, destination)] {
                extract::lines(side, model, &loaded.readings).iter().for_each(|line| cx.events.note(line));
            }
        }
        Extracts {
            cursors: infrahub_sync_cache::PerSide { source: source.cursors.clone(), destination: destination.cursors.clone() },
            readings: [source.readings.clone(), destination.readings.clone()],
            unchanged: [source.unchanged, destination.unchanged],
        }
    }

    /// The kinds of each side of which only what changed was read.
    fn incremental(&self) -> [Vec<&str>; 2] {
        self.readings.each_ref().map(|side| {
            let kinds = side.iter().filter(|(_, reading)| reading.is_incremental());
            kinds.map(|(kind, _)| kind.as_str()).collect()
        })
    }

    /// Why an object that the source does not have is known to be gone, by kind.
    fn proofs(&self, model: &Model, source: &Snapshot) -> Vec<Proof> {
        let kinds = model.kinds.iter().zip(&source.kinds);
        kinds
            .map(|(kind, rows)| {
                let [readings, _] = &self.readings;
                readings.get(&kind.name).map(|reading| reading.proof(rows.rows() as u64)).unwrap_or_default()
            })
            .collect()
    }

    /// Whether everything was read.
    fn is_full(&self) -> bool {
        self.incremental().iter().all(Vec::is_empty)
    }
}

fn write_snapshots(
    started: &Started,
    model: &Model,
    rows: &Snapshot,
    side: infrahub_sync_cache::Side,
    extract_ts_us: i64,
    unchanged_since: Option<&RunReader>,
) -> Result<(), EngineError> {
    for (at, kind) in model.kinds.iter().enumerate() {
        if let Some(earlier) = unchanged_since
            && started.writer.adopt_snapshot(side, &kind.name, earlier)?
        {
            continue;
        }
        let mut all = batches(model, rows, at, extract_ts_us);
        let mut file = started.writer.snapshot_writer(side, &kind.name, all.schema())?;
        for batch in &mut all {
            file.write(&batch?)?;
        }
        file.finish()?;
    }
    Ok(())
}

/// Writes everything that an apply needs; the plan last, and durably.
fn write_plan(
    cx: &RunContext<'_>,
    started: &Started,
    resolved: &Resolved,
    sides: [(&Opened, &Snapshot); 2],
    extracts: &Extracts,
    plan: &Plan<'_>,
    summary: &Summary,
) -> Result<(), EngineError> {
    let mut file = started.file.clone();
    let [_, (destination, _)] = sides;
    let (mut identities, mut unresolved) = (serde_json::Map::new(), serde_json::Map::new());
    for (name, (opened, rows)) in ["A", "B"].into_iter().zip(sides) {
        identities.insert(name.to_owned(), json!(opened.system.identity()));
        let kinds = resolved.model.kinds.iter().zip(&rows.kinds).filter(|(_, rows)| rows.has_unresolved());
        unresolved.insert(name.to_owned(), kinds.map(|(kind, _)| json!(kind.name)).collect());
    }
    file.other.insert(SIDES.to_owned(), identities.into());
    file.other.insert(PLACE.to_owned(), destination.place.clone());
    file.other.insert(UNRESOLVED.to_owned(), unresolved.into());
    let [source_incremental, destination_incremental] = extracts.incremental();
    file.other.insert("incremental".to_owned(), json!({ "A": source_incremental, "B": destination_incremental }));
    let run = started.writer.id().as_str();
    let mut readings = serde_json::Map::new();
    for ((name, (_, rows)), of_side) in ["A", "B"].into_iter().zip(sides).zip(&extracts.readings) {
        let kinds = resolved.model.kinds.iter().zip(&rows.kinds);
        let of_kind = kinds.filter_map(|(kind, rows)| Some((kind.name.clone(), of_side.get(&kind.name)?.json(run, rows.rows() as u64))));
        readings.insert(name.to_owned(), serde_json::Value::Object(of_kind.collect()));
    }
    file.other.insert(READING.to_owned(), readings.into());
    for (side, (opened, rows)) in [infrahub_sync_cache::Side::Source, infrahub_sync_cache::Side::Destination].into_iter().zip(sides) {
        *file.adapters.get_mut(side) = AdapterRecord {
            name: opened.manifest().name.clone(),
            version: Some(opened.manifest().version.clone()),
            digest: Some(opened.digest.clone()),
        };
        let kinds = resolved.model.kinds.iter().zip(&rows.kinds);
        *file.counts.get_mut(side) = kinds.clone().map(|(kind, rows)| (kind.name.clone(), rows.rows() as u64)).collect();
        *file.partial.get_mut(side) =
            kinds.filter(|(_, rows)| rows.completeness == Completeness::Partial).map(|(kind, _)| kind.name.clone()).collect();
    }
    file.other.insert("mapping_hash".to_owned(), json!(resolved.mapping_hash));
    file.other.insert("schema_hash".to_owned(), json!(resolved.schema_hash));
    file.other.insert("schema_kinds".to_owned(), json!(resolved.kind_hashes));
    file.summary.insert("kinds".to_owned(), json!(summary.kinds));
    file.summary.insert("problems".to_owned(), json!(summary.problems));
    started.writer.write_run_file(&file)?;
    started.writer.write_cursors(&extracts.cursors)?;
    started.writer.write_schema_sub_hash(&resolved.sub_hash())?;
    let written = started.writer.write_plan(plan.rows())?;
    tracing::debug!(rows = plan.len(), ?written, command_line = ?cx.command_line, "plan written");
    Ok(())
}

fn stored_summary(file: &RunFile) -> Summary {
    let kinds: Vec<KindSummary> =
        file.summary.get("kinds").and_then(|kinds| serde_json::from_value(kinds.clone()).ok()).unwrap_or_default();
    let problems = file.summary.get("problems").and_then(serde_json::Value::as_u64).unwrap_or_default();
    Summary { kinds, problems }
}

/// Stops a run whose objects cannot be identified; all of them are in errors.parquet.
///
/// The destination's own gaps (an object whose peer is gone) do not stop it: repairing them is what a sync is for. Two of its objects that
/// cannot be told apart do, since either could be the one to write to.
fn stop_on(cx: &RunContext<'_>, started: &Started, side: Side, problems: &[DataProblem]) -> Result<(), EngineError> {
    let stops = |problem: &DataProblem| side == Side::Source || matches!(problem.error, DataErrorKind::Duplicate { .. });
    if cx.options.continue_on_error || !problems.iter().any(stops) {
        return Ok(());
    }
    let problems: Vec<DataProblem> = problems.iter().filter(|problem| stops(problem)).cloned().collect();
    let rows: Vec<ErrorRow> = problems.iter().map(|problem| problem_row(problem, true)).collect();
    started.writer.write_errors(&rows)?;
    Err(EngineError::Data { side, problems })
}

fn problem_row(problem: &DataProblem, terminal: bool) -> ErrorRow {
    let (class, attribute) = match &problem.error {
        DataErrorKind::Duplicate { .. } => ("duplicate_identifier", None),
        DataErrorKind::NullIdentifier { field } => ("null_identifier", Some(field)),
        DataErrorKind::Dangling { field, .. } => ("dangling_reference", Some(field)),
        DataErrorKind::IdentityLoop { field } => ("identity_loop", Some(field)),
        DataErrorKind::Ambiguous { field, .. } | DataErrorKind::AmbiguousKind { field, .. } => ("ambiguous_reference", Some(field)),
        DataErrorKind::TooDeep { field } => ("identity_too_deep", Some(field)),
    };
    ErrorRow {
        error_class: class.to_owned(),
        resource: problem.kind.clone(),
        source_id: Some(problem.object.clone()),
        dest_id: None,
        attribute: attribute.cloned(),
        message: problem.to_string(),
        hint: problem.left_out.then(|| "the object is left out, and its kind is partial".to_owned()),
        retry_count: 0,
        terminal,
    }
}

/// Passes the guardrail, or not. What comes out is all that an apply accepts.
fn approved(
    cx: &RunContext<'_>,
    started: &Started,
    summary: &Summary,
) -> Result<infrahub_sync_core::guardrail::ApprovedPlan<RunReader>, EngineError> {
    let cache = started.lock.cache();
    let baseline: BTreeMap<String, u64> = cache.rowcounts()?.unwrap_or_default().into_iter().collect();
    let kinds = summary.kinds.iter().map(|kind| Counts {
        kind: &kind.kind,
        source_rows: kind.source_rows,
        destination_rows: kind.destination_rows,
        deletes: kind.delete,
    });
    let limit = cx.project.apply.with(&cx.options.rules).max_deletes.unwrap_or_default();
    Ok(approve(started.writer.reader().clone(), &baseline, kinds, cx.options.allow_rowcount_drop, limit)?)
}

fn conclude(cx: &RunContext<'_>, started: &Started, run: Run, report: Report, is_full: bool) -> Result<Applied, EngineError> {
    let summary = &run.summary;
    started.writer.write_errors(&report.errors)?;
    let counts = report.totals();
    let whole = counts.not_written() == 0 && report.stopped.is_none() && summary.is_whole();
    let status = if whole { RunStatus::Applied } else { RunStatus::Partial };
    let mut file = started.finish(cx, status, summary, is_full)?;
    let Outcomes { created, updated, deleted, unchanged, failed, skipped, done_before } = counts;
    for (name, count) in [
        ("created", created),
        ("updated", updated),
        ("deleted", deleted),
        ("unchanged", unchanged),
        ("failed", failed),
        ("skipped", skipped),
        ("done_before", done_before),
        ("left", report.left),
    ] {
        file.summary.insert(name.to_owned(), json!(count));
    }
    file.summary.insert("applied".to_owned(), json!(report.kinds));
    started.writer.write_run_file(&file)?;
    if whole {
        // The baseline moves only on a success. A kind that is partial keeps the count of its last complete load.
        let mut counts: BTreeMap<String, u64> = started.lock.cache().rowcounts()?.unwrap_or_default().into_iter().collect();
        for kind in summary.kinds.iter().filter(|kind| !kind.partial) {
            counts.insert(kind.kind.clone(), kind.source_rows);
        }
        started.lock.write_rowcounts(&counts.into_iter().collect())?;
    }
    // The words of infrahub-sync's own log, which scripts look for.
    let what = if cx.source.is_some() { "Sync" } else { "Applied" };
    cx.events.note(&format!("{what} run {} at {}", run.run_id, run.directory.display()));
    Ok(Applied { run, counts, failures: report.failures, stopped: report.stopped, left: report.left })
}
