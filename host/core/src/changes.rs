//! Resuming from an earlier run: which of its rows are still as they were.
//!
//! The system says of a resource which records changed, and either which were deleted or how many there are. Where neither proves that none
//! was deleted, the ids of all objects are read. Rows that are kept go through [`build`](crate::snapshot::build()) together with new ones. If the two do
//! not fit, the earlier rows are not what the system holds, whatever it said ([`contradicts`]).

use std::collections::HashSet;

use crate::model::Model;
use crate::snapshot::{Completeness, DataProblem, Snapshot};

/// The changes of a resource since an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The ids of the records that were read.
    pub changed: HashSet<String>,
    /// The deleted objects.
    pub deletions: Deletions,
}

/// The deleted objects of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletions {
    /// These ids; often none.
    These(HashSet<String>),
    /// All ids but these.
    AllBut(HashSet<String>),
}

/// The reason why a row of an earlier run is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalReason {
    /// Its object was read again.
    Reread,
    /// The system says that its object was deleted.
    Deleted,
    /// Its object is not among the ids of the system, of which there are this many.
    NotAmong(usize),
}

impl Deletions {
    /// Returns what an answer about changes says of deleted objects. None: the ids of all objects have to be read.
    ///
    /// `known` are the ids of the rows so far. `total` counts all objects as of the answer; it only counts where each object is a row
    /// (`is_whole`). If it is the number of known and new objects, none was deleted.
    #[must_use]
    pub fn of_answer(
        known: &HashSet<String>,
        changed: &HashSet<String>,
        deleted: Option<Vec<String>>,
        total: Option<u64>,
        is_whole: bool,
    ) -> Option<Deletions> {
        if let Some(ids) = deleted {
            return Some(Deletions::These(ids.into_iter().collect()));
        }
        let new = changed.iter().filter(|id| !known.contains(*id)).count();
        (is_whole && total == Some((known.len() + new) as u64)).then(|| Deletions::These(HashSet::new()))
    }
}

impl Deletions {
    /// Returns whether the deleted objects and the number of all objects cannot both be right. `total`: none where it says nothing.
    #[must_use]
    pub fn contradict(&self, known: &HashSet<String>, changed: &HashSet<String>, total: Option<u64>) -> bool {
        let (Deletions::These(deleted), Some(total)) = (self, total) else { return false };
        let new = changed.iter().filter(|id| !known.contains(*id)).count();
        let gone = deleted.iter().filter(|id| known.contains(*id) && !changed.contains(*id)).count();
        (known.len() + new - gone) as u64 != total
    }
}

impl Changes {
    /// Returns why the row of an id is not kept; none if it is.
    #[must_use]
    pub fn removal(&self, id: &str) -> Option<RemovalReason> {
        if self.changed.contains(id) {
            return Some(RemovalReason::Reread);
        }
        match &self.deletions {
            Deletions::These(ids) => ids.contains(id).then_some(RemovalReason::Deleted),
            Deletions::AllBut(ids) => (!ids.contains(id)).then_some(RemovalReason::NotAmong(ids.len())),
        }
    }

    /// Returns whether the row of an id is not kept.
    #[must_use]
    pub fn removes(&self, id: &str) -> bool {
        self.removal(id).is_some()
    }

    /// Returns whether all rows are as they were.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && matches!(&self.deletions, Deletions::These(ids) if ids.is_empty())
    }
}

/// Returns whether rows that were kept do not fit what was read: one refers to a deleted object, or has the key of another one.
///
/// An earlier run with such problems is never resumed, so they are new. A system may delete an object and take it out of others
/// without saying that these changed; then everything is to be read. `kept` says of each kind whether rows of an earlier run are in it.
#[must_use]
pub fn contradicts(model: &Model, kept: &[bool], snapshot: &Snapshot, problems: &[DataProblem]) -> bool {
    let is_kept = |at: usize| kept.get(at) == Some(&true);
    let rows = snapshot.kinds.iter().enumerate();
    // A kept row that agrees with a read one may be the same object before a change: they are one, and which one is not known.
    let merged = |at: usize| snapshot.kinds.get(at).is_some_and(|rows| rows.merged > 0);
    let refers_to_merged = |at: usize| {
        let fields = model.kinds.get(at).map_or(&[][..], |kind| &kind.fields);
        fields.iter().any(|field| model.peers_of(field).into_iter().any(merged))
    };
    rows.filter(|(at, _)| is_kept(*at))
        .any(|(at, rows)| rows.completeness == Completeness::Partial || rows.has_unresolved() || merged(at) || refers_to_merged(at))
        || problems.iter().any(|problem| model.kind(&problem.kind).is_some_and(|(at, _)| is_kept(at)))
}
