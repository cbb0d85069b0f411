//! Rows that were not written, and why.

use std::fmt;

use infrahub_sync_core::plan_row::Action;
use infrahub_sync_core::reconcile::Conflict;

/// A row that was not written.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The kind.
    pub kind: String,
    /// The object's unique id.
    pub unique_id: String,
    /// The planned operation.
    pub action: Action,
    /// Why it was not written.
    pub reason: FailureReason,
}

/// Why a row was not written.
#[derive(Debug, Clone, PartialEq)]
pub enum FailureReason {
    /// The destination rejected it.
    Rejected(infrahub_sync_runtime::Failure),
    /// Another user modified the object after the plan was made.
    Conflict(Conflict),
    /// The destination would delete along what the plan does not list: these objects.
    Along(String),
    /// It was not tried.
    Skipped(SkipReason),
    /// Its answer was lost, and reading back did not show the outcome.
    Batch(String),
    /// The destination accepted it, and could not make it durable.
    Commit(String),
    /// All rows were written, and the destination could not complete the run.
    Unfinished(String),
}

/// Why a row was not tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// The plan says so.
    Planned(String),
    /// Its object could not be created.
    NotCreated,
    /// It refers to an object that could not be created.
    WaitsFor {
        /// The reference field.
        field: String,
        /// The object.
        peer: String,
    },
    /// Another object still refers to the one that is to be deleted.
    Needed(StillRefers),
    /// Another object still has the value that it needs.
    Held(StillHolds),
}

/// An object that was to give up a value, and did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillHolds {
    /// The field.
    pub field: String,
    /// The value, as JSON.
    pub value: String,
    /// The object.
    pub by: String,
    /// It was to be deleted; else updated.
    pub by_delete: bool,
}

/// An object that stays as it is, and so keeps what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillRefers {
    /// The object.
    pub by: String,
    /// It was to be deleted; else updated.
    pub by_delete: bool,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::Planned(reason) => out.write_str(reason),
            SkipReason::NotCreated => out.write_str("it could not be created"),
            SkipReason::WaitsFor { field, peer } => write!(out, "`{field}` waits for {peer}, which could not be created"),
            SkipReason::Held(StillHolds { field, value, by, by_delete }) => {
                write!(out, "`{field}` {value} is still held by {by}, which was not {}", if *by_delete { "deleted" } else { "updated" })
            }
            SkipReason::Needed(StillRefers { by, by_delete }) => {
                write!(out, "{by}, which refers to it, was not {}", if *by_delete { "deleted" } else { "updated" })
            }
        }
    }
}

impl FailureReason {
    /// Returns the word for programs, as in `errors.parquet`.
    #[must_use]
    pub fn class(&self) -> String {
        match self {
            FailureReason::Rejected(failure) => failure.kind.as_str().to_owned(),
            FailureReason::Conflict(conflict) => format!("conflict_{}", conflict.class.as_str()),
            FailureReason::Along(_) => "conflict_along".to_owned(),
            FailureReason::Skipped(_) => "skipped".to_owned(),
            FailureReason::Batch(_) => "batch".to_owned(),
            FailureReason::Commit(_) => "commit".to_owned(),
            FailureReason::Unfinished(_) => "finish".to_owned(),
        }
    }

    /// Returns what the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            FailureReason::Conflict(_) => {
                Some("make a new plan with `infrahub-sync diff`, or write over the object with --on-conflict overwrite")
            }
            FailureReason::Along(_) => Some("make a new plan with `infrahub-sync diff`, and review what goes along"),
            FailureReason::Batch(_) => Some("run `infrahub-sync diff` to see what is left to do"),
            _ => None,
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureReason::Rejected(failure) => failure.fmt(out),
            FailureReason::Conflict(conflict) => conflict.fmt(out),
            FailureReason::Along(more) => {
                write!(out, "the destination would delete objects along that the plan does not list: {more}")
            }
            FailureReason::Skipped(reason) => write!(out, "skipped: {reason}"),
            FailureReason::Batch(error) => write!(out, "the answer was lost, so it is unknown whether this was written: {error}"),
            FailureReason::Commit(error) => write!(out, "the row could not be made durable: {error}"),
            FailureReason::Unfinished(error) => write!(out, "all rows were written, but the run could not be completed: {error}"),
        }
    }
}
