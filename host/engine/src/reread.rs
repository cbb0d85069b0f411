//! Reads a list again that moved while it was read: on a busy system lists always move.
//!
//! A list moved when its adapter says so (`conflict` from `load`), and when its pages contradict one another although the adapter says nothing.
//! The adapter knows, so the host takes its word several times, with growing pauses. A contradiction may be the nature of the list, so it costs one
//! further read: after that the records are taken, and [`Header::contradiction`](crate::pages::Header::contradiction) keeps the reason.

use std::time::Duration;

use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::value::Tag;
use infrahub_sync_runtime::{Error, FailureKind};

/// The pauses before further reads of a list whose adapter reports that it moved. Together they outlast a change that the system is still executing.
const PAUSES: [Duration; 5] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8), Duration::from_secs(16)];
/// The pause before the only further read of a list whose pages contradict one another.
const CONTRADICTED: Duration = Duration::from_secs(1);

/// The further reads of one list.
#[derive(Debug, Default)]
pub(crate) struct Rereads {
    reported: usize,
    contradicted: bool,
}

impl Rereads {
    /// Returns the pause before the list is read again because its adapter reports that it moved; none when it was read often enough.
    pub(crate) fn after_report(&mut self) -> Option<Duration> {
        let pause = PAUSES.get(self.reported).copied();
        self.reported += usize::from(pause.is_some());
        pause
    }

    /// Returns the pause before the list is read again because its pages contradict one another; none when it was read often enough.
    pub(crate) fn after_contradiction(&mut self) -> Option<Duration> {
        (!std::mem::replace(&mut self.contradicted, true)).then_some(CONTRADICTED)
    }

    /// Returns whether a contradiction leads to a further read.
    pub(crate) fn bears_contradiction(&self) -> bool {
        self.contradicted
    }

    /// Returns how often the list was read.
    pub(crate) fn reads(&self) -> usize {
        1 + self.reported + usize::from(self.contradicted)
    }
}

/// Returns whether an adapter reports that a list moved while it was read.
pub(crate) fn is_moved(error: &Error) -> bool {
    matches!(error, Error::Adapter { failure, .. } if failure.kind == FailureKind::Conflict)
}

/// Returns how many rows have the id of an earlier row of the same read.
pub(crate) fn repeated(rows: &RawKind) -> u64 {
    let mut seen = std::collections::HashSet::with_capacity(rows.rows);
    let known = (0..rows.rows.min(rows.ids.len())).filter(|row| !matches!(rows.ids.tag(*row), Tag::Null | Tag::Missing));
    known.filter(|row| !seen.insert(rows.ids.text(*row))).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_believed_several_times_and_contradictions_once() {
        let mut rereads = Rereads::default();
        let pauses: Vec<u64> = std::iter::from_fn(|| rereads.after_report()).map(|pause| pause.as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16]);
        assert!(!rereads.bears_contradiction());
        assert_eq!(rereads.after_contradiction(), Some(CONTRADICTED));
        assert_eq!(rereads.after_contradiction(), None);
        assert!(rereads.bears_contradiction());
        assert_eq!(rereads.reads(), 7);
    }

    #[test]
    fn repeated_ids_are_counted() {
        let mut rows = RawKind::new(0);
        for id in ["1", "2", "1", "1"] {
            rows.ids.push_text(id);
        }
        rows.ids.push_null();
        rows.ids.push_null();
        rows.rows = 6;
        assert_eq!(repeated(&rows), 2);
    }
}
