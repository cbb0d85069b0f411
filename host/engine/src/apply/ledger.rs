//! The journal's side of an apply: what is on the disk before a row is sent, and after its answer.

use infrahub_sync_cache::{Journal, JournalWriter, RowState};

use crate::EngineError;

/// Outcomes that are written to the journal together, as long as no sending waits for them.
const SETTLED_TOGETHER: usize = 1000;

/// Writes the journal of one apply.
pub(super) struct Ledger {
    journal: JournalWriter,
    /// The journal as earlier applies of this run have left it.
    before: Option<Journal>,
    /// Outcomes that are not in the journal yet.
    settled: Vec<(u64, RowState, Option<String>)>,
}

impl Ledger {
    pub(super) fn new(journal: JournalWriter) -> Ledger {
        let before = (journal.journal().attempts() > 0).then(|| journal.journal().clone());
        Ledger { journal, before, settled: Vec::new() }
    }

    /// Notes that an attempt begins.
    pub(super) fn begin(&mut self) -> Result<(), EngineError> {
        Ok(self.journal.begin()?)
    }

    /// Returns the number of rows of the plan.
    pub(super) fn rows(&self) -> u64 {
        self.journal.journal().rows()
    }

    /// Returns the state of a row.
    pub(super) fn state(&self, row: u64) -> RowState {
        self.journal.journal().state(row)
    }

    /// Returns the id that the destination gave with a row.
    pub(super) fn id(&self, row: u64) -> Option<String> {
        self.journal.journal().id(row)
    }

    /// Notes that rows are about to be sent. That is on the disk when this returns, and so is every outcome so far.
    pub(super) fn sent(&mut self, rows: impl IntoIterator<Item = u64>) -> Result<(), EngineError> {
        self.flush()?;
        Ok(self.journal.sent(rows)?)
    }

    /// Notes the outcome of a row that was sent; [`flush`](Self::flush) follows.
    pub(super) fn answered(&mut self, row: u64, state: RowState, id: Option<String>) {
        self.settled.push((row, state, id));
    }

    /// Notes the outcome of a row that was not sent. It need not be on the disk: the next apply would find it again.
    pub(super) fn settled(&mut self, row: u64, state: RowState) -> Result<(), EngineError> {
        self.settled.push((row, state, None));
        if self.settled.len() >= SETTLED_TOGETHER { self.flush() } else { Ok(()) }
    }

    /// Writes all outcomes so far.
    pub(super) fn flush(&mut self) -> Result<(), EngineError> {
        let settled = std::mem::take(&mut self.settled);
        Ok(self.journal.answered(settled)?)
    }

    /// Notes that the apply is complete.
    pub(super) fn finished(&mut self) -> Result<(), EngineError> {
        Ok(self.journal.finished()?)
    }

    /// Returns how many earlier applies of the plan have tried a row without success.
    pub(super) fn tried_before(&self, row: u64) -> i64 {
        let tried = self.before.as_ref().filter(|journal| journal.state(row) != RowState::Planned);
        tried.map_or(0, |journal| journal.attempts().into())
    }
}
