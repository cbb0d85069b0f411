//! The failures that stop a run, and the party at fault.

use std::collections::BTreeMap;

use infrahub_sync_cache::CacheError;
use infrahub_sync_config::Problem;
use infrahub_sync_core::guardrail::Refusal;
use infrahub_sync_core::mapping::feed::FeedError;
use infrahub_sync_core::records::RecordsError;
use infrahub_sync_core::snapshot::{DataErrorKind, DataProblem};

use crate::Side;

/// Whose fault it is; the exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// config.yml, or what it maps to.
    Config,
    /// The records: they have no distinct identifiers, or their references cannot be resolved.
    Data,
    /// The credentials.
    Auth,
    /// The remote system, or the way to it.
    Remote,
    /// The adapter.
    Adapter,
    /// A guardrail or a drift check refused.
    Refused,
    /// Another run holds the lock.
    Locked,
    /// The cache or the machine.
    Environment,
    /// No one: the run was stopped.
    Interrupted,
    /// A defect of ours.
    Internal,
}

/// A failure that stops a run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The project and the destination's schema do not fit, or a filter or transform does not compile.
    #[error("the project has {} {}", .0.iter().filter(|problem| problem.is_error()).count(), if .0.len() == 1 { "error" } else { "errors" })]
    Project(Vec<Problem>),
    /// An adapter failed.
    #[error(transparent)]
    Adapter(#[from] infrahub_sync_runtime::Error),
    /// The adapter cannot be used on this side.
    #[error("adapter `{adapter}` cannot be a {}", .side.as_str())]
    WrongSide {
        /// The adapter's name.
        adapter: String,
        /// The side.
        side: Side,
    },
    /// The component is not the one that the project pins.
    #[error("the {} adapter `{adapter}` ({origin}) does not match the digest at {place}", .side.as_str())]
    NotPinned {
        /// The side.
        side: Side,
        /// The adapter's name.
        adapter: String,
        /// Where it is from.
        origin: String,
        /// File and line of `digest:`.
        place: String,
        /// The digest there.
        pinned: String,
        /// The digest of the component.
        found: String,
    },
    /// An adapter differs from the one that the lock file accepts, or can do more.
    #[error("the adapters do not match {path}")]
    NotAccepted {
        /// The lock file.
        path: String,
        /// The differences that are not accepted, a line each.
        objections: Vec<String>,
        /// The project's config.yml.
        config: String,
    },
    /// An adapter sends credentials in ways that config.yml does not grant.
    #[error("the {} adapter `{adapter}` sends credentials in a way that its `grants:` do not name", .side.as_str())]
    NotGranted {
        /// The side.
        side: Side,
        /// The adapter's name.
        adapter: String,
        /// The ways that are not granted, a sentence each.
        ways: Vec<String>,
        /// The line of config.yml that grants all of its ways.
        line: String,
    },
    /// There is no lock file where one is wanted.
    #[error("{path} does not exist: it lists the accepted adapters")]
    NoAdapterLock {
        /// The lock file.
        path: String,
        /// The project's config.yml.
        config: String,
    },
    /// A page is not what the adapter said.
    #[error("{} resource `{resource}`, page {page}", .side.as_str())]
    Records {
        /// The side.
        side: Side,
        /// The resource.
        resource: String,
        /// Counted from 1.
        page: u64,
        /// The adapter reads files: the mistake is the one of a user who wrote them.
        is_file: bool,
        /// The mistake.
        source: RecordsError,
    },
    /// A look-up failed, or a column is too large.
    #[error("mapping of `{kind}` from `{resource}`")]
    Mapping {
        /// The kind.
        kind: String,
        /// The resource.
        resource: String,
        /// The failure.
        source: FeedError,
    },
    /// Objects with missing or duplicate identifiers, or with unresolvable references.
    #[error("{}", data_sentence(*.side, .problems))]
    Data {
        /// The side.
        side: Side,
        /// All of them.
        problems: Vec<DataProblem>,
    },
    /// The guardrail.
    #[error(transparent)]
    Guardrail(#[from] Refusal),
    /// The destination's schema or the mapping has changed since the plan was made.
    #[error("the plan of run `{run_id}` was made for {what} that has changed since{}", changed_kinds(.kinds))]
    Drift {
        /// The run.
        run_id: String,
        /// `a mapping`, `a destination schema`, `an address, a folder or a branch`.
        what: &'static str,
        /// The kinds whose schema changed, where that is known.
        kinds: Vec<String>,
    },
    /// The plan is not the one whose digest the user gave.
    #[error("the plan of run `{run_id}` is not the one that was reviewed: its digest is {found}, not {expected}")]
    OtherPlan {
        /// The run.
        run_id: String,
        /// The digest that the user gave.
        expected: String,
        /// The digest of the plan.
        found: String,
    },
    /// The command line names a kind that the project does not map.
    #[error("the project does not map the kind `{kind}`; its kinds are {}", .known.join(", "))]
    UnknownKind {
        /// The kind.
        kind: String,
        /// The mapped kinds.
        known: Vec<String>,
    },
    /// The user stopped it before anything was written.
    #[error("interrupted")]
    Interrupted,
    /// A page leads back to itself.
    #[error("{} resource `{resource}` returns the same cursor again, so reading would never end", .side.as_str())]
    CursorLoop {
        /// The side.
        side: Side,
        /// The resource.
        resource: String,
    },
    /// A list changed during each read of it.
    #[error("{} resource `{resource}` changed during each of {reads} reads, so objects may be missing", .side.as_str())]
    Moving {
        /// The side.
        side: Side,
        /// The resource.
        resource: String,
        /// How often it was read.
        reads: usize,
        /// The adapter's words about the last one.
        source: Box<infrahub_sync_runtime::Error>,
    },
    /// The destination does not answer any more: the outcomes of some rows are unknown.
    #[error("destination `{adapter}` does not answer, so it is unknown whether {rows} rows of `{kind}` were written: {reason}")]
    Unanswered {
        /// The adapter's name.
        adapter: String,
        /// The kind.
        kind: String,
        /// How many rows.
        rows: usize,
        /// How their last attempt ended.
        reason: String,
    },
    /// The run cannot be applied as it is.
    #[error("run `{run_id}` has no plan to apply: {reason}")]
    NoPlan {
        /// The run.
        run_id: String,
        /// Why.
        reason: String,
    },
    /// There is nothing to take back.
    #[error("nothing of run `{run_id}` was written to the destination")]
    NothingToUndo {
        /// The run.
        run_id: String,
    },
    /// No run of the sync was applied.
    #[error("no run of `{sync}` was applied")]
    NothingApplied {
        /// The sync.
        sync: String,
    },
    /// An object is not in a run, or a name means several.
    #[error("{what}")]
    NotExplained {
        /// The missing thing, in words.
        what: String,
        /// The names that may be meant.
        candidates: Vec<String>,
    },
    /// Nothing can be said about objects that an incomplete answer does not hold.
    #[error("the destination's answer for {kind} is incomplete: {reason}")]
    PartialDestination {
        /// The kind.
        kind: String,
        /// The adapter's reason.
        reason: String,
    },
    /// A row of a stored plan is invalid.
    #[error("row {row} of the plan cannot be read: {reason}")]
    PlanRow {
        /// Counted from 1.
        row: u64,
        /// Why.
        reason: String,
    },
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Arrow rejected a snapshot.
    #[error("the snapshot cannot be converted to Arrow")]
    Arrow(#[from] arrow_schema::ArrowError),
    /// A file of the project.
    #[error("{path}")]
    File {
        /// The file.
        path: String,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// The command line's review could not be written.
    #[error("the plan could not be printed")]
    Review(#[source] std::io::Error),
    /// A defect of ours.
    #[error("{0}")]
    Internal(String),
}

/// Kinds that are named in one line; more are counted.
const KINDS_NAMED: usize = 10;

fn changed_kinds(kinds: &[String]) -> String {
    if kinds.is_empty() {
        return String::new();
    }
    let named: Vec<String> = kinds.iter().take(KINDS_NAMED).map(|kind| format!("`{kind}`")).collect();
    let more = kinds.len().checked_sub(KINDS_NAMED).filter(|more| *more > 0).map(|more| format!(" and {more} more")).unwrap_or_default();
    format!(": {}{more}", named.join(", "))
}

/// The records with problems that fit a message; `errors.parquet` has all of them.
pub(crate) const PROBLEMS_SHOWN: usize = 10;

/// The reasons that are counted in one message.
const REASONS_COUNTED: usize = 8;

fn data_sentence(side: Side, problems: &[DataProblem]) -> String {
    let is_unmapped = |problem: &DataProblem| matches!(problem.error, DataErrorKind::Unmapped { .. } | DataErrorKind::WrongType { .. });
    let (count, one) = (problems.len(), problems.len() == 1);
    let what = if problems.iter().any(is_unmapped) {
        if one { "record cannot be used" } else { "records cannot be used" }
    } else if one {
        "object has missing, duplicate or unresolvable identifiers"
    } else {
        "objects have missing, duplicate or unresolvable identifiers"
    };
    format!("{count} {} {what}", side.as_str())
}

/// Counts problems by kind and reason, the most frequent first: `2990 Device: no value for the identifier `name``.
pub(crate) fn problem_counts(problems: &[DataProblem]) -> Vec<String> {
    let mut counts: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for problem in problems {
        *counts.entry((&problem.kind, problem.reason())).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let more = counts.len().saturating_sub(REASONS_COUNTED);
    let mut lines: Vec<String> =
        counts.into_iter().take(REASONS_COUNTED).map(|((kind, reason), count)| format!("{count} {kind}: {reason}")).collect();
    if more > 0 {
        lines.push(format!("{more} further reasons"));
    }
    lines
}

impl EngineError {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        use infrahub_sync_runtime::FaultKind;
        match self {
            EngineError::Project(_) | EngineError::WrongSide { .. } | EngineError::Mapping { .. } | EngineError::UnknownKind { .. } => {
                Fault::Config
            }
            EngineError::Adapter(error) => match error.fault_kind() {
                FaultKind::Config => Fault::Config,
                FaultKind::Auth => Fault::Auth,
                FaultKind::Remote => Fault::Remote,
                FaultKind::Adapter => Fault::Adapter,
                _ => Fault::Internal,
            },
            EngineError::NotPinned { .. }
            | EngineError::NotAccepted { .. }
            | EngineError::NotGranted { .. }
            | EngineError::NoAdapterLock { .. } => Fault::Adapter,
            EngineError::Records { is_file: true, .. } => Fault::Config,
            EngineError::Records { .. } | EngineError::CursorLoop { .. } => Fault::Adapter,
            EngineError::Moving { .. } | EngineError::Unanswered { .. } => Fault::Remote,
            EngineError::Data { .. } => Fault::Data,
            EngineError::PartialDestination { .. } => Fault::Remote,
            EngineError::Interrupted => Fault::Interrupted,
            EngineError::Guardrail(_)
            | EngineError::Drift { .. }
            | EngineError::OtherPlan { .. }
            | EngineError::NothingToUndo { .. }
            | EngineError::NothingApplied { .. } => Fault::Refused,
            EngineError::NotExplained { .. } => Fault::Refused,
            EngineError::NoPlan { .. } | EngineError::PlanRow { .. } | EngineError::File { .. } | EngineError::Review(_) => {
                Fault::Environment
            }
            EngineError::Cache(CacheError::Locked { .. }) => Fault::Locked,
            EngineError::Cache(_) => Fault::Environment,
            EngineError::Arrow(_) | EngineError::Internal(_) => Fault::Internal,
        }
    }

    /// Returns the details that do not fit into a sentence, a line each.
    #[must_use]
    pub fn details(&self) -> Vec<String> {
        match self {
            EngineError::Data { problems, .. } => {
                let mut lines: Vec<String> = problems.iter().take(PROBLEMS_SHOWN).map(ToString::to_string).collect();
                if problems.len() > PROBLEMS_SHOWN {
                    lines.push(format!("… and {} more. In all:", problems.len() - PROBLEMS_SHOWN));
                    lines.extend(problem_counts(problems));
                }
                lines
            }
            EngineError::NotPinned { pinned, found, .. } => vec![format!("pinned: {pinned}"), format!("found:  {found}")],
            EngineError::NotAccepted { objections, .. } => objections.clone(),
            EngineError::NotGranted { ways, .. } => ways.clone(),
            EngineError::NotExplained { candidates, .. } => candidates.clone(),
            _ => Vec::new(),
        }
    }
}
