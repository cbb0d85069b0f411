//! The report of an apply: counts by kind, and the rows that were not written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use infrahub_sync_cache::{ErrorRow, Outcomes};
use infrahub_sync_core::change::Change;
use infrahub_sync_core::converge::Ineffective;
use infrahub_sync_core::plan_row::Action;
use infrahub_sync_runtime::RunResult;

use super::failure::{Failure, FailureReason};
use crate::{Events, Stopped};

/// Failures that are named on the screen; `errors.parquet` has all of them.
const FAILURES_SHOWN: usize = 100;

/// The report of an apply, which is there also when the apply fails.
#[derive(Default)]
pub(crate) struct Report {
    /// The counts by kind.
    pub(crate) kinds: BTreeMap<String, Outcomes>,
    /// The first failures.
    pub(crate) failures: Vec<Failure>,
    /// The rows of `errors.parquet`.
    pub(crate) errors: Vec<ErrorRow>,
    /// Why it ended early, if it did.
    pub(crate) stopped: Option<Stopped>,
    /// Rows that were not tried because of that.
    pub(crate) left: u64,
    /// The values that the destination did not take.
    pub(crate) ineffective: Vec<Ineffective>,
    /// The outcomes of earlier applies of the run, for the adapter that completes the run.
    before: Outcomes,
    /// The destination could not complete the run.
    unfinished: bool,
}

impl Report {
    /// Returns the counts of all kinds.
    pub(crate) fn totals(&self) -> Outcomes {
        let mut totals = Outcomes { failed: self.unfinished.into(), ..Outcomes::default() };
        self.kinds.values().for_each(|kind| totals += *kind);
        totals
    }

    /// Returns the result of the run: what all its applies have done, not only this one.
    pub(super) fn run_result(&self) -> RunResult {
        let mut all = self.totals();
        all += self.before;
        let Outcomes { created, updated, deleted, unchanged, failed, skipped, .. } = all;
        RunResult { created, updated, deleted, unchanged, failed, skipped }
    }

    fn of_kind(&mut self, change: &Change) -> &mut Outcomes {
        self.kinds.entry(change.kind.clone()).or_default()
    }

    pub(super) fn written(&mut self, change: &Change) {
        if change.pass == 0 {
            *self.of_kind(change).of_action(change.action) += 1;
        } else {
            self.of_kind(change);
        }
    }

    pub(super) fn unchanged(&mut self, change: &Change) {
        self.of_kind(change).unchanged += 1;
    }

    /// Counts a row that an earlier apply has done; `unchanged`: it had nothing to do.
    pub(super) fn done_before(&mut self, change: &Change, unchanged: bool) {
        self.of_kind(change).done_before += 1;
        let count = if unchanged { &mut self.before.unchanged } else { self.before.of_action(change.action) };
        *count += u64::from(change.pass == 0);
    }

    /// Adds a row that was not written. `tried`: how many earlier applies have tried it.
    pub(super) fn not_written(&mut self, change: &Change, reason: FailureReason, tried: i64) {
        let counts = self.of_kind(change);
        match reason {
            FailureReason::Skipped(_) => counts.skipped += 1,
            _ => counts.failed += 1,
        }
        self.errors.push(ErrorRow {
            error_class: reason.class(),
            resource: change.kind.clone(),
            source_id: Some(change.unique_id.clone()),
            dest_id: change.id.clone(),
            attribute: change.attribute.clone(),
            message: reason.to_string(),
            hint: reason.hint().map(str::to_owned),
            retry_count: tried,
            terminal: true,
        });
        self.show(Failure { kind: change.kind.clone(), unique_id: change.unique_id.clone(), action: change.action, reason });
    }

    /// Notes the values that the destination did not take.
    pub(super) fn no_effect(&mut self, found: Vec<Ineffective>) {
        let objects: BTreeSet<(&String, String)> = found.iter().map(|record| (&record.kind, record.key.to_string())).collect();
        for (kind, _) in objects {
            self.kinds.entry(kind.clone()).or_default().no_effect += 1;
        }
        self.ineffective = found;
    }

    /// Notes that all rows were written and that the destination could not complete the run.
    pub(super) fn unfinished(&mut self, adapter: &str, run_id: &str, error: &infrahub_sync_runtime::Error) {
        let reason = FailureReason::Unfinished(error.to_string());
        self.unfinished = true;
        self.errors.push(ErrorRow {
            error_class: reason.class(),
            resource: adapter.to_owned(),
            message: reason.to_string(),
            terminal: true,
            ..ErrorRow::default()
        });
        self.show(Failure { kind: adapter.to_owned(), unique_id: run_id.to_owned(), action: Action::Update, reason });
    }

    fn show(&mut self, failure: Failure) {
        if self.failures.len() < FAILURES_SHOWN {
            self.failures.push(failure);
        }
    }
}

/// Reports progress, kind by kind.
pub(super) struct Progress<'p> {
    events: &'p dyn Events,
    totals: HashMap<String, u64>,
    done: HashMap<String, u64>,
}

impl<'p> Progress<'p> {
    pub(super) fn new(events: &'p dyn Events, totals: HashMap<String, u64>) -> Progress<'p> {
        Progress { events, totals, done: HashMap::new() }
    }

    /// Counts a row of a kind as answered.
    pub(super) fn row(&mut self, change: &Change) {
        let done = match self.done.get_mut(&change.kind) {
            Some(done) => done,
            None => self.done.entry(change.kind.clone()).or_default(),
        };
        *done += 1;
        self.events.writing(&change.kind, *done, self.totals.get(&change.kind).copied().unwrap_or(*done));
    }
}
