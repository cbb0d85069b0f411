//! The failures of the cache, and their remedies.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::lock::Holder;
use crate::names::{NameError, RunId, SyncName};

/// A failure of the cache. Each names its file or folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// A name is not a valid path segment.
    #[error(transparent)]
    Name(#[from] NameError),

    /// The operating system refused a step.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The step, as a verb: `read`, `write`, `create` …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },

    /// A file exists and cannot be understood.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The remedy.
        remedy: Remedy,
        /// The damage.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A newer version of this program wrote the cache, or a run in it.
    #[error("{} has format {found}; this version reads and writes up to format {supported}", path.display())]
    NewerFormat {
        /// The file with the version.
        path: PathBuf,
        /// The format.
        found: u32,
        /// The newest format that this version supports.
        supported: u32,
    },

    /// Another user could have written a file or folder of the cache.
    #[error("{} {why}, so it is not used", path.display())]
    Distrusted {
        /// The file or folder.
        path: PathBuf,
        /// Why it is not trusted.
        why: infrahub_sync_durable::Distrust,
    },

    /// Another run held the lock.
    #[error("the cache of {sync:?} is in use by {holder} (waited {} s)", waited.as_secs())]
    Locked {
        /// The sync.
        sync: String,
        /// The lock's file.
        path: PathBuf,
        /// Its holder, as far as known.
        holder: Box<Holder>,
        /// The time spent waiting.
        waited: Duration,
    },

    /// The cache has no run with that id.
    #[error("the cache of {sync:?} has no run {id:?}", sync = sync.as_str(), id = id.as_str())]
    UnknownRun {
        /// The sync.
        sync: SyncName,
        /// The id.
        id: RunId,
        /// The folder that it would have.
        path: PathBuf,
        /// The latest runs, newest first.
        latest: Vec<RunId>,
    },

    /// The run has no such file.
    #[error("run {:?} has no {what} ({} does not exist)", id.as_str(), path.display())]
    Missing {
        /// The run.
        id: RunId,
        /// The missing file: `plan`, `snapshot of <Kind> in the source` …
        what: String,
        /// Its path.
        path: PathBuf,
    },

    /// 2.0.1 wrote the plan, which lacks columns that an apply needs.
    #[error("{} has no column {column:?}", path.display())]
    ForeignPlan {
        /// The file.
        path: PathBuf,
        /// The first missing column.
        column: &'static str,
    },

    /// The content does not fit the file: a defect of this program.
    #[error("cannot write {}: {problem}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The mismatch.
        problem: String,
    },
}

/// The action that repairs a failure or a finding. The program around this crate puts it into words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Check permissions and free space, or use another folder.
    CheckDisk,
    /// Use the newer version of this program, or another folder.
    UseNewerProgram,
    /// Remove it, or make it this user's own.
    TakeOver(PathBuf),
    /// Wait for the other run, or stop it.
    WaitForRun,
    /// Make the first run.
    FirstRun,
    /// Choose one of the latest runs.
    ChooseRun(Vec<RunId>),
    /// Repeat the run, or delete its folder.
    RepeatRun {
        /// The run.
        id: RunId,
        /// Its folder.
        dir: PathBuf,
    },
    /// Repeat the run, which stopped before it wrote the file.
    RepeatStoppedRun(RunId),
    /// Make a new plan: infrahub-sync 2.0 wrote this one.
    ReplaceOldPlan,
    /// Make a new plan: the journal is damaged, so that it is unknown which rows were sent.
    ReplaceJournal,
    /// Delete the file; the next successful run writes it again.
    DeleteFile,
    /// Delete the record of ownership, and adopt its objects again.
    DeleteOwnership,
    /// Delete the file, unless a newer version of this program uses the cache.
    DeleteFormat,
    /// Delete the folder: it is not a run, or a run that was killed at its start.
    DeleteRun(PathBuf),
    /// Delete the file: it belongs to an earlier run with the same id.
    DeleteOtherRunsFile,
    /// Delete it, unless it is the user's.
    DeleteForeign,
    /// Prune the cache, which removes the rest of a removed run.
    Prune,
    /// Do nothing: the next run removes it.
    NextRun,
    /// Do nothing: an apply of the run removes it.
    NextApply,
}

impl CacheError {
    /// Returns what a user can do, or `None` if the message says it all.
    #[must_use]
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            CacheError::Name(_) | CacheError::Unwritable { .. } => None,
            CacheError::Io { .. } => Some(Remedy::CheckDisk),
            CacheError::Damaged { remedy, .. } => Some(remedy.clone()),
            CacheError::NewerFormat { .. } => Some(Remedy::UseNewerProgram),
            CacheError::Distrusted { path, .. } => Some(Remedy::TakeOver(path.clone())),
            CacheError::Locked { .. } => Some(Remedy::WaitForRun),
            CacheError::UnknownRun { latest, .. } if latest.is_empty() => Some(Remedy::FirstRun),
            CacheError::UnknownRun { latest, .. } => Some(Remedy::ChooseRun(latest.clone())),
            CacheError::Missing { id, .. } => Some(Remedy::RepeatStoppedRun(id.clone())),
            CacheError::ForeignPlan { .. } => Some(Remedy::ReplaceOldPlan),
        }
    }
}

impl From<infrahub_sync_durable::Error> for CacheError {
    fn from(error: infrahub_sync_durable::Error) -> CacheError {
        let infrahub_sync_durable::Error { action, path, source } = error;
        CacheError::Io { action, path, source }
    }
}

/// Checks that no other user could have written a file or folder. A missing one is fine.
pub(crate) fn check_ours(path: &std::path::Path) -> Result<(), CacheError> {
    match infrahub_sync_durable::distrust(path).at("read", path)? {
        Some(why) => Err(CacheError::Distrusted { path: path.to_owned(), why }),
        None => Ok(()),
    }
}

/// Adds the step and the path to an I/O error.
pub(crate) trait IoContext<T> {
    /// Names the step, and the file or folder.
    fn at(self, action: &'static str, path: &std::path::Path) -> Result<T, CacheError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &std::path::Path) -> Result<T, CacheError> {
        self.map_err(|source| CacheError::Io { action, path: path.to_owned(), source })
    }
}
