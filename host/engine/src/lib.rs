//! The pipeline: load both sides, map, compare, plan, guard, apply.
//!
//! Four commands are four functions: [`diff`], [`sync`], [`apply()`] and [`generate()`]. Each takes a [`RunContext`], which holds everything from
//! outside (environment, clock, folders, adapters), and reports progress through [`Events`]. Nothing here prints.
//!
//! Invariants: the plan is durable before the first write. Only an `ApprovedPlan` is applied. A run that stops leaves its status
//! in the cache.

mod adapter;
mod apply;
mod base;
mod cascades;
mod census;
mod compare;
mod drift;
mod error;
mod explain;
mod extract;
mod generate;
#[cfg(test)]
mod laws;
mod lent;
mod ownership;
mod pages;
mod pipeline;
mod plans;
mod readings;
mod reread;
mod resource;
mod run;
mod schedule;
mod schema;
mod system;
mod tally;
mod targets;
mod undo;
mod vanished;
mod watch;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

pub use adapter::{Locked, check_adapters, lock_adapters, session_config};
pub use apply::{Failure, FailureReason, SkipReason, StillHolds, StillRefers};
pub use drift::{Drift, DriftChange, Drifted, DriftedField, drift};
pub use error::{EngineError, Fault};
pub use explain::{Explanation, Planned, SideOf, explain};
pub use generate::{Generated, generate};
pub use infrahub_sync_core::undo::{Left, LeftReason};
pub use ownership::{Adoption, KindAdoption, adopt};
pub use pages::records;
pub use pipeline::{apply, diff, show, sync};
pub use readings::{Reading, destination_readings, source_readings};
pub use undo::{Undone, undo};
pub use watch::Waiting;

pub use infrahub_sync_base::Side;
use infrahub_sync_cache::CacheError;
pub use infrahub_sync_cache::{MappingReading, Outcomes};
use infrahub_sync_config::{ApplyOverrides, LockedOrigin, Project};
use infrahub_sync_core::plan::KindSummary;
use infrahub_sync_core::plan_row::PlanRow;
use infrahub_sync_runtime::Exchanges;

/// An adapter's component.
#[derive(Debug, Clone)]
pub struct AdapterSource {
    /// The name that the project uses.
    pub name: String,
    /// The component; borrowed where it is a part of this program.
    pub bytes: Cow<'static, [u8]>,
    /// Where it is from, for a person: `built in`, a path.
    pub origin: String,
    /// Where it is published, if it was fetched.
    pub published: Option<LockedOrigin>,
}

impl AdapterSource {
    /// Returns whether it is a part of this program.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        matches!(self.bytes, Cow::Borrowed(_))
    }
}

/// The options of the command line.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Load both sides at once.
    pub concurrent_load: bool,
    /// Read everything, not only what changed.
    pub full_extract: bool,
    /// Write tier by tier as computed; off: serially.
    pub parallel: bool,
    /// Pass the rowcount guardrail.
    pub allow_rowcount_drop: bool,
    /// Leave out what cannot be identified instead of stopping.
    pub continue_on_error: bool,
    /// The rules of an apply that win over the project's.
    pub rules: ApplyOverrides,
    /// How long to wait for another run of the same sync.
    pub lock_wait: std::time::Duration,
    /// The SHA-256 of the only plan that may be applied.
    pub plan_digest: Option<[u8; 32]>,
}

/// Receives the progress of a run.
pub trait Events: Sync {
    /// Reports the number of records of a kind that were read so far: 0 when it is asked for. `total`: the records that there are, if the system
    /// tells it.
    fn loading(&self, side: Side, kind: &str, read: u64, total: Option<u64>);
    /// Reports that a kind is read, and the number of its records.
    fn loaded(&self, side: Side, kind: &str, read: u64);
    /// Reports the number of rows of a kind that the destination has answered.
    fn writing(&self, kind: &str, done: u64, total: u64);
    /// Something worth a line.
    fn note(&self, message: &str);
    /// Something that a person may act on.
    fn warn(&self, message: &str);
    /// Reports everything that the run waits for at this moment: about once a second, and nothing at the end of a stage.
    fn waiting(&self, waits: &[Waiting]) {
        let _ = waits;
    }
    /// Another run holds the lock.
    fn waiting_for_lock(&self, holder: &str);
}

/// Everything that a run takes from outside.
pub struct RunContext<'a> {
    /// The project.
    pub project: &'a Project,
    /// The source's adapter; `apply` and `generate` need none.
    pub source: Option<AdapterSource>,
    /// The destination's adapter.
    pub destination: AdapterSource,
    /// The values of command-line options that set a setting of an adapter (`branch` for `--branch`).
    pub command_line: BTreeMap<String, String>,
    /// The environment.
    pub environment: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// The folder that holds a folder a sync: `.infrahub-sync-cache`, or what the user named.
    pub cache_root: PathBuf,
    /// Where compiled components are kept.
    pub component_store: Option<PathBuf>,
    /// The program that compiles adapters that are not built in; none: this process does, without limits.
    pub compiler: Option<PathBuf>,
    /// Where what adapters keep for later runs lies (schemas, say).
    pub memo_store: Option<PathBuf>,
    /// Live, recorded or replayed HTTP.
    pub exchanges: Exchanges,
    /// `--run-id`.
    pub run_id: Option<String>,
    /// The command line's decisions.
    pub options: Options,
    /// Receives the progress of a run.
    pub events: &'a dyn Events,
    /// A request to end.
    pub stop: &'a Stop,
    /// The clock.
    pub now: fn() -> SystemTime,
}

/// A wish that the run ends. Reading ends at once; writing ends when what was sent is answered and noted.
#[derive(Debug, Default)]
pub struct Stop {
    requested: AtomicBool,
    told: tokio::sync::Notify,
}

impl Stop {
    /// Asks for the end.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    /// Returns whether the end was requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Waits until the end is requested.
    pub(crate) async fn requested(&self) {
        let told = self.told.notified();
        if !self.is_requested() {
            told.await;
        }
    }
}

/// Why an apply ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The user requested it.
    Interrupted,
    /// The number of rejected rows reached the limit.
    Failures(u64),
}

/// The counts of a run.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// By kind, in write order.
    pub kinds: Vec<KindSummary>,
    /// How much of the source could not be identified or resolved, with `--continue-on-error`.
    pub problems: u64,
    /// What each mapping made of its records.
    pub mappings: Vec<MappingReading>,
}

impl Summary {
    /// Created, updated and deleted objects of all kinds.
    #[must_use]
    pub fn totals(&self) -> (u64, u64, u64) {
        self.kinds.iter().fold((0, 0, 0), |sum, kind| (sum.0 + kind.create, sum.1 + kind.update, sum.2 + kind.delete))
    }

    /// Returns whether all of the source was compared.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.problems == 0 && !self.kinds.iter().any(|kind| kind.partial)
    }

    /// Returns whether nothing differs.
    #[must_use]
    pub fn in_sync(&self) -> bool {
        self.totals() == (0, 0, 0) && !self.kinds.iter().any(|kind| kind.blocked + kind.no_effect > 0)
    }
}

/// A run in the cache.
pub struct Run {
    /// Its id.
    pub run_id: String,
    /// Its folder.
    pub directory: PathBuf,
    /// Its counts.
    pub summary: Summary,
    reader: infrahub_sync_cache::RunReader,
}

impl Run {
    /// Returns the plan's rows, in write order.
    ///
    /// # Errors
    /// When the plan cannot be read.
    pub fn rows(&self) -> Result<Box<dyn Iterator<Item = Result<PlanRow, CacheError>>>, EngineError> {
        Ok(Box::new(self.reader.read_plan()?))
    }

    /// Returns the SHA-256 of the plan, as `sha256:` and 64 hexadecimal digits.
    ///
    /// # Errors
    /// When the plan cannot be read.
    pub fn plan_digest(&self) -> Result<String, EngineError> {
        Ok(self.reader.plan_digest()?)
    }

    /// Returns what an undo leaves as it is, because others changed it since: kind, unique id and the reason.
    ///
    /// # Errors
    /// When the errors cannot be read.
    pub fn left(&self) -> Result<Vec<(String, String, String)>, EngineError> {
        let errors = self.reader.read_errors()?.into_iter().filter(|error| error.error_class.starts_with("left_"));
        Ok(errors.map(|error| (error.resource, error.source_id.unwrap_or_default(), error.message)).collect())
    }

    /// Returns the outcome of the rows, once an apply has begun.
    ///
    /// # Errors
    /// When the journal or the errors cannot be read.
    pub fn fates(&self) -> Result<Option<Fates>, EngineError> {
        let Some(journal) = self.reader.read_journal()? else { return Ok(None) };
        let errors = self.reader.read_errors()?.into_iter();
        let errors = errors.filter_map(|error| Some(((error.resource, error.source_id?), (error.error_class, error.message)))).collect();
        Ok(Some(Fates { journal, errors }))
    }
}

/// The outcome of a plan's rows.
#[derive(Debug)]
pub struct Fates {
    journal: infrahub_sync_cache::Journal,
    /// Class and message, by kind and unique id.
    errors: std::collections::HashMap<(String, String), (String, String)>,
}

impl Fates {
    /// Returns the state of a row (by its place in the plan, from 0), and the message with which it was rejected or left out.
    #[must_use]
    pub fn of(&self, at: u64, row: &PlanRow) -> (&'static str, Option<&str>) {
        let state = self.journal.state(at);
        (state.as_str(), self.error(at, row).map(|(_, message)| message.as_str()))
    }

    /// Returns the class of the conflict for which a row was left alone, as in `errors.parquet` without `conflict_`.
    #[must_use]
    pub fn conflict(&self, at: u64, row: &PlanRow) -> Option<&str> {
        self.error(at, row)?.0.strip_prefix("conflict_")
    }

    fn error(&self, at: u64, row: &PlanRow) -> Option<&(String, String)> {
        let told = matches!(self.journal.state(at), infrahub_sync_cache::RowState::Failed | infrahub_sync_cache::RowState::Skipped);
        told.then(|| self.errors.get(&(row.resource.clone(), row.source_id.clone()))).flatten()
    }

    /// Returns the number of rows in each state that occurs.
    #[must_use]
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        use infrahub_sync_cache::RowState;
        let counts = self.journal.counts();
        let all = [
            (RowState::Done, counts.done),
            (RowState::Unchanged, counts.unchanged),
            (RowState::Failed, counts.failed),
            (RowState::Skipped, counts.skipped),
            (RowState::Sent, counts.sent),
            (RowState::Planned, counts.planned),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).map(|(state, count)| (state.as_str(), count)).collect()
    }
}

/// The result of an apply.
pub struct Applied {
    /// The run.
    pub run: Run,
    /// The rows by outcome.
    pub counts: Outcomes,
    /// The first hundred rows that failed or were skipped.
    pub failures: Vec<Failure>,
    /// Why it ended early, if it did.
    pub stopped: Option<Stopped>,
    /// Rows that were not tried because of that.
    pub left: u64,
}

/// Checks a project without touching any system: mapping, filters, transforms, references, order.
///
/// Returns the warnings.
///
/// # Errors
/// Every problem at once.
pub fn validate(project: &Project) -> Result<Vec<infrahub_sync_config::Problem>, Vec<infrahub_sync_config::Problem>> {
    let (model, mut problems) = match infrahub_sync_config::resolve_offline(project) {
        Ok(resolved) => (Some(resolved.model), resolved.warnings),
        Err(problems) => (None, problems),
    };
    // Filters and transforms are compiled against whatever model there is, so that one kind of mistake does not hide the other.
    let model = model.unwrap_or_else(|| plans::bare_model(project));
    if let Err(EngineError::Project(more)) = plans::source_plans(project, &model, &plans::Terms::unknown(), None) {
        problems.extend(more);
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    if problems.iter().any(infrahub_sync_config::Problem::is_error) { Err(problems) } else { Ok(problems) }
}
