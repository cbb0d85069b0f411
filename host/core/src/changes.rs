//! Going on from an earlier run: which of its rows are still as they were.
//!
//! Of a resource the system says which records changed, and either which are gone or how many there are. Where neither tells that none is
//! gone, the ids of all have to be asked for. What is kept goes through [`build`](crate::snapshot::build) together with what is new; where
//! the two do not fit, the earlier rows are not what the system holds, whatever it said ([`contradicts`]).

use std::collections::HashSet;

use crate::model::Model;
use crate::snapshot::{Completeness, DataProblem, Snapshot};

/// What is no longer as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The ids of the records that were read.
    pub changed: HashSet<String>,
    /// The deleted ones.
    pub gone: Gone,
}

/// How the deleted objects are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// By their ids; none of them, often.
    These(HashSet<String>),
    /// All others are.
    AllBut(HashSet<String>),
}

/// Why a row of an earlier run is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Its object was read anew.
    Read,
    /// The system says that its object was deleted.
    Told,
    /// Its object is not among so many that the system has.
    NotAmong(usize),
}

impl Gone {
    /// What the answer to "what changed" says about deleted objects. None: the ids of all objects have to be asked for.
    ///
    /// `known` are the ids of the rows so far. `total` counts all objects as of the answer, and says something only where each is a row
    /// (`is_whole`): as many as were known and are new since means that none is gone.
    #[must_use]
    pub fn told(
        known: &HashSet<String>,
        changed: &HashSet<String>,
        deleted: Option<Vec<String>>,
        total: Option<u64>,
        is_whole: bool,
    ) -> Option<Gone> {
        if let Some(ids) = deleted {
            return Some(Gone::These(ids.into_iter().collect()));
        }
        let new = changed.iter().filter(|id| !known.contains(*id)).count();
        (is_whole && total == Some((known.len() + new) as u64)).then(|| Gone::These(HashSet::new()))
    }
}

impl Changes {
    /// Why the row of that id is to be left out: it is read anew, or gone. None: it stays.
    #[must_use]
    pub fn left(&self, id: &str) -> Option<Left> {
        if self.changed.contains(id) {
            return Some(Left::Read);
        }
        match &self.gone {
            Gone::These(ids) => ids.contains(id).then_some(Left::Told),
            Gone::AllBut(ids) => (!ids.contains(id)).then_some(Left::NotAmong(ids.len())),
        }
    }

    /// Whether the row of that id is to be left out.
    #[must_use]
    pub fn leaves(&self, id: &str) -> bool {
        self.left(id).is_some()
    }

    /// Whether every row is as it was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && matches!(&self.gone, Gone::These(ids) if ids.is_empty())
    }
}

/// Whether rows that were kept do not fit what was read: one refers to an object that is gone, or cannot be told from another.
///
/// No earlier run is gone on from whose rows have such problems, so they are new. A system may delete an object and take it out of others
/// without saying that these changed; then everything is to be read. `kept` says of each kind whether rows of an earlier run are in it.
#[must_use]
pub fn contradicts(model: &Model, kept: &[bool], snapshot: &Snapshot, problems: &[DataProblem]) -> bool {
    let is_kept = |at: usize| kept.get(at) == Some(&true);
    let rows = snapshot.kinds.iter().enumerate();
    rows.filter(|(at, _)| is_kept(*at)).any(|(_, rows)| rows.completeness == Completeness::Partial || rows.has_unresolved())
        || problems.iter().any(|problem| model.kind(&problem.kind).is_some_and(|(at, _)| is_kept(at)))
}
