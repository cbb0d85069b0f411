//! Settles rows whose answers were lost: the connection broke, a proxy gave up, the server failed while it was writing.
//!
//! The destination may not have received such a batch, may have executed it, or may still be executing it. So nothing is sent again before a look. The
//! rows are read back after growing pauses, until a look finds nothing new. A row that is as wanted is written, and an object that no longer exists is
//! deleted. The rest is sent again in smaller batches, one at a time. Rows that the adapter knows not to be written (`rate-limited`) need no look.
//!
//! This is for systems whose objects have ids. A row that is executed twice is harmless there: an update writes the same values, a delete finds nothing,
//! and a create that is rejected because its object exists is looked up again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use infrahub_sync_core::change::Change;
use infrahub_sync_core::plan_row::Action;
use infrahub_sync_core::wanted::Wanted;
use infrahub_sync_runtime::{Error, Failure, FailureKind, FaultKind, Outcome};
use serde_json::{Map, Value};

use super::batch::request;
use super::readback::{ReadBack, plan_of};
use super::{FailureReason, Row, Writer};
use crate::EngineError;

/// The first pause before a look; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// The shortest pause before rows are sent again that the system did not take.
const BREATH: Duration = Duration::from_secs(1);
/// Looks in a row that find nothing new, after which the system is taken to have finished with the lost request. One is enough in later rounds, whose
/// pauses are longer.
const QUIET_LOOKS: u32 = 3;
/// Rounds of looking and sending in a row that settle no row.
const ROUNDS_MAX: u32 = 6;
/// The time without a settled row after which nothing is sent again. It bounds the whole wait for a system that does not answer: two answers that
/// take the 180 s of Infrahub, not one for each attempt.
const PATIENCE: Duration = Duration::from_secs(300);
/// Lost batches in a row after which the others wait for the next round.
const LOST_IN_A_ROW: u32 = 2;

/// A row whose outcome is unknown.
pub(super) struct Lost {
    row: Row,
    /// Why there is no outcome.
    why: String,
    /// It is known not to be written.
    is_unsent: bool,
    /// How long the system asked to wait.
    retry_after: Option<Duration>,
    /// The rejection of its create, which was sent again: the first one may have been executed.
    rejected: Option<Failure>,
}

/// Returns whether a failure leaves it open if a row was written, or says that it may be written later.
fn is_open(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::Transport | FailureKind::Remote | FailureKind::RateLimited)
}

/// Returns whether the failure of a batch leaves the outcomes of its rows open.
pub(super) fn is_lost(error: &Error) -> bool {
    matches!(error, Error::Adapter { failure, .. } if is_open(failure.kind))
}

impl Lost {
    /// Returns the row of a failure that leaves its outcome open, else both.
    pub(super) fn of_row(row: Row, failure: Failure) -> Result<Lost, (Row, Failure)> {
        if !is_open(failure.kind) {
            return Err((row, failure));
        }
        let is_unsent = failure.kind == FailureKind::RateLimited;
        Ok(Lost { why: failure.to_string(), is_unsent, retry_after: failure.retry_after, rejected: None, row })
    }

    /// Returns the rows of a batch that failed as a whole.
    pub(super) fn of_batch(rows: Vec<Row>, error: &Error) -> Vec<Lost> {
        let retry_after = error.failure().and_then(|failure| failure.retry_after);
        let lost = |row| Lost { row, why: error.to_string(), is_unsent: false, retry_after, rejected: None };
        rows.into_iter().map(lost).collect()
    }
}

/// The course of a recovery.
struct Recovery {
    /// When a row was settled last.
    progress: Instant,
    /// Rounds since then.
    rounds: u32,
    pause: Duration,
    /// Rows in one batch.
    size: usize,
    /// Rows that were found written, and that were sent again.
    found: usize,
    sent: usize,
}

impl Recovery {
    /// `after`: how long the lost batch was on its way.
    fn new(after: Duration, size: usize) -> Recovery {
        let now = Instant::now();
        Recovery { progress: now.checked_sub(after).unwrap_or(now), rounds: 0, pause: PAUSE_FIRST, size, found: 0, sent: 0 }
    }

    fn is_over(&self) -> bool {
        self.rounds >= ROUNDS_MAX || self.progress.elapsed() > PATIENCE
    }

    fn settled(&mut self) {
        (self.progress, self.rounds) = (Instant::now(), 0);
    }

    /// Returns the pause before the next look.
    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        pause
    }
}

impl Writer<'_> {
    /// Returns whether lost answers can be settled: the objects have ids, and rows are not staged.
    pub(super) fn can_recover(&self) -> bool {
        self.job.system.manifest().has_ids && !self.stages
    }

    /// Settles the rows of one batch. `after`: how long it was on its way.
    ///
    /// # Errors
    /// When the destination does not answer any more, or cannot be read.
    pub(super) async fn recover(&mut self, lost: Vec<Lost>, after: Duration) -> Result<(), EngineError> {
        let Some(first) = lost.first() else { return Ok(()) };
        let what = format!("{} {}", first.row.change.action.as_str(), first.row.change.kind);
        let count = lost.len();
        self.job.events.warn(&format!("the answer to `{what}` is open for {count} rows ({}); reading back what was written", first.why));
        let mut recovery = Recovery::new(after, self.window.shrink(count));
        let mut open = lost;
        loop {
            open = self.look_until_quiet(open, &mut recovery).await?;
            open = self.reject(open);
            self.ledger.flush()?;
            if open.is_empty() {
                break;
            }
            if self.job.stop.is_requested() || recovery.is_over() {
                return self.give_up(open);
            }
            recovery.rounds += 1;
            open = self.send_again(open, &mut recovery).await?;
            self.ledger.flush()?;
            if open.is_empty() {
                break;
            }
        }
        let Recovery { found, sent, .. } = recovery;
        self.job.events.note(&format!("Settled {count} rows of `{what}`: {found} were written, {sent} were sent again"));
        Ok(())
    }

    /// Reads rows back after growing pauses, until a look finds nothing new. Returns the rows that are still open.
    async fn look_until_quiet(&mut self, mut open: Vec<Lost>, recovery: &mut Recovery) -> Result<Vec<Lost>, EngineError> {
        let mut quiet = 0;
        loop {
            let looks = open.iter().any(|lost| !lost.is_unsent);
            let asked = open.iter().filter_map(|lost| lost.retry_after).max().unwrap_or_default();
            let pause = recovery.next_pause().max(asked).max(if looks { Duration::ZERO } else { BREATH });
            let what = format!("{} rows whose answer was lost are {}", open.len(), if looks { "read back" } else { "sent again" });
            tokio::select! {
                () = self.job.system.rest(pause, what) => {}
                () = self.job.stop.requested() => {}
            }
            open.iter_mut().for_each(|lost| lost.retry_after = None);
            if !looks {
                return Ok(open);
            }
            let before = open.len();
            if let Err(error) = self.look(&mut open).await {
                let is_remote = matches!(&error, EngineError::Adapter(error) if error.fault_kind() == FaultKind::Remote);
                if !is_remote && !matches!(error, EngineError::Moving { .. }) {
                    self.leave_open(open);
                    return Err(error);
                }
            }
            quiet += 1;
            if open.len() < before {
                quiet = 0;
                recovery.found += before - open.len();
                recovery.settled();
            }
            let enough = if recovery.rounds == 0 { QUIET_LOOKS } else { 1 };
            if open.is_empty() || quiet >= enough || recovery.is_over() || self.job.stop.is_requested() {
                return Ok(open);
            }
        }
    }

    /// Reads rows back, and settles those that were written.
    async fn look(&mut self, open: &mut Vec<Lost>) -> Result<(), EngineError> {
        let Some(found) = self.read_back(open).await? else { return Ok(()) };
        let mut settled = Vec::new();
        for lost in std::mem::take(open) {
            match self.written(&lost, &found) {
                Some(outcome) => settled.push((lost.row, outcome)),
                None => open.push(lost),
            }
        }
        let (rows, outcomes) = settled.into_iter().unzip();
        self.take(rows, outcomes);
        Ok(())
    }

    /// Reads the objects of rows, which are of one kind, one list and one operation.
    async fn read_back(&self, open: &[Lost]) -> Result<Option<ReadBack>, EngineError> {
        let (system, current) = (self.job.system, self.job.current);
        let asked: Vec<&Change> = open.iter().filter(|lost| !lost.is_unsent).map(|lost| &lost.row.change).collect();
        let Some(first) = asked.first() else { return Ok(None) };
        let (kind, resource) = (first.object.kind, first.resource.as_deref());
        let ids: Vec<String> = asked.iter().filter_map(|change| change.id.clone()).collect();
        if first.action != Action::Create
            && ids.len() == asked.len()
            && let Some(found) = ReadBack::of_ids(system, current, kind, resource, &ids).await?
        {
            return Ok(Some(found));
        }
        let Some(plan) = plan_of(system, current, kind, resource) else { return Ok(None) };
        // What was deleted is not among what changed.
        let since = current.as_of.get(&first.kind).filter(|_| first.action != Action::Delete);
        if let Some(since) = since
            && let Some(found) = ReadBack::of_list(system, current, kind, &plan, Some(since)).await?
        {
            return Ok(Some(found));
        }
        ReadBack::of_list(system, current, kind, &plan, None).await
    }

    /// Returns the outcome of a row that was written, as the objects that were read back show it.
    fn written(&self, lost: &Lost, found: &ReadBack) -> Option<Outcome> {
        let change = &lost.row.change;
        if lost.is_unsent {
            return None;
        }
        let wanted = || {
            let wanted = Change { new: fields(&lost.row.line), ..change.clone() };
            Wanted::of(self.job.current.model, &wanted, |peer| self.known.id_of(&peer.object).map(str::to_owned))
        };
        match (change.action, &change.id) {
            (Action::Delete, Some(id)) => (found.is_all && !found.rows.contains_key(id)).then_some(Outcome::Written(None)),
            (Action::Update, Some(id)) => {
                let row = *found.rows.get(id)?;
                wanted().is_held(&found.raw, row).then_some(Outcome::Written(None))
            }
            (Action::Create, _) => {
                let wanted = wanted();
                let row = wanted.find(&found.raw).filter(|row| wanted.is_held(&found.raw, *row))?;
                Some(Outcome::Written(found.id(row).map(str::to_owned)))
            }
            _ => None,
        }
    }

    /// Rejects the creates that were sent again, were rejected, and whose objects were not found.
    fn reject(&mut self, open: Vec<Lost>) -> Vec<Lost> {
        let mut left = Vec::with_capacity(open.len());
        for mut lost in open {
            match lost.rejected.take() {
                Some(failure) => drop(self.take(vec![lost.row], vec![Outcome::Failed(failure)])),
                None => left.push(lost),
            }
        }
        left
    }

    /// Sends rows again, in small batches one after the other. Returns the rows that are open again.
    async fn send_again(&mut self, mut open: Vec<Lost>, recovery: &mut Recovery) -> Result<Vec<Lost>, EngineError> {
        open.sort_by_key(|lost| lost.row.at);
        let mut waiting: VecDeque<Lost> = open.into();
        let (mut later, mut in_a_row) = (Vec::new(), 0);
        while !waiting.is_empty() {
            if self.job.stop.is_requested() || in_a_row >= LOST_IN_A_ROW || recovery.is_over() {
                later.extend(waiting);
                break;
            }
            let rows: Vec<Row> = waiting.drain(..recovery.size.clamp(1, waiting.len())).map(|lost| lost.row).collect();
            let count = rows.len();
            let request = request(&rows, self.job.current.targets)?;
            let lost = match self.job.system.write(request).await {
                Ok(outcomes) => self.take_again(rows, outcomes),
                Err(error) if is_lost(&error) => Lost::of_batch(rows, &error),
                Err(error) => {
                    self.leave_open(Lost::of_batch(rows, &error));
                    self.leave_open(waiting.into_iter().chain(later).collect());
                    return Err(error.into());
                }
            };
            if lost.len() < count {
                recovery.sent += count - lost.len();
                recovery.settled();
            }
            in_a_row = if lost.is_empty() { 0 } else { in_a_row + 1 };
            if !lost.is_empty() {
                recovery.size = self.window.shrink(count);
            }
            later.extend(lost);
        }
        Ok(later)
    }

    /// Takes the outcomes of rows that were sent again: the first attempt may have been executed meanwhile. Returns those that are open again.
    fn take_again(&mut self, rows: Vec<Row>, outcomes: Vec<Outcome>) -> Vec<Lost> {
        let mut again = Vec::new();
        for (row, outcome) in rows.into_iter().zip(outcomes) {
            let outcome = match (row.change.action, outcome) {
                (Action::Delete, Outcome::Failed(failure)) if failure.kind == FailureKind::NotFound => Outcome::Written(None),
                (Action::Create, Outcome::Failed(failure)) if matches!(failure.kind, FailureKind::Conflict | FailureKind::Invalid) => {
                    let why = failure.to_string();
                    again.push(Lost { row, why, is_unsent: false, retry_after: None, rejected: Some(failure) });
                    continue;
                }
                (_, outcome) => outcome,
            };
            again.extend(self.take(vec![row], vec![outcome]));
        }
        again
    }

    /// Ends a recovery without the outcomes of some rows. A single row may itself be the cause; if there are more, the destination does not answer.
    fn give_up(&mut self, open: Vec<Lost>) -> Result<(), EngineError> {
        let is_single = open.len() == 1;
        let error = open.first().map(|lost| EngineError::Unanswered {
            adapter: self.job.system.manifest().name.clone(),
            kind: lost.row.change.kind.clone(),
            rows: open.len(),
            reason: lost.why.clone(),
        });
        self.leave_open(open);
        self.ledger.flush()?;
        match error.filter(|_| !is_single && !self.job.stop.is_requested()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Reports rows whose outcomes stay unknown. The journal keeps them as sent, so the next apply reads them back.
    pub(super) fn leave_open(&mut self, open: Vec<Lost>) {
        for Lost { row, why, .. } in open {
            self.known.answered(&row);
            self.fail(&row, FailureReason::Batch(why));
        }
    }
}

/// Returns the fields of a row, as they are sent.
fn fields(line: &str) -> Map<String, Value> {
    let line: Option<Value> = serde_json::from_str(line).ok();
    line.and_then(|mut line| line.get_mut("fields").map(Value::take)?.as_object().cloned()).unwrap_or_default()
}
