//! The failures of the cache, with their remedies.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::lock::Holder;
use crate::run_id::{NameError, RunId, SyncName};

/// A failure of the cache. Each names the file or folder it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// A name cannot be a path segment.
    #[error(transparent)]
    Name(#[from] NameError),

    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The attempted action, as a verb: `read`, `write`, `create` …
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },

    /// A file is there and cannot be understood.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The remedy.
        remedy: String,
        /// The damage.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The cache, or a run in it, was written by a newer version of this program.
    #[error("{} has format {found}; this version reads and writes up to format {supported}", path.display())]
    NewerFormat {
        /// The file that says so.
        path: PathBuf,
        /// The format it names.
        found: u32,
        /// The newest format this version knows.
        supported: u32,
    },

    /// The lock stayed with another run.
    #[error("the cache of {sync:?} is in use by {holder} (waited {} s)", waited.as_secs())]
    Locked {
        /// The sync.
        sync: String,
        /// The lock's file.
        path: PathBuf,
        /// Who has it, as far as known.
        holder: Box<Holder>,
        /// How long was waited.
        waited: Duration,
    },

    /// The cache has no run of that id.
    #[error("the cache of {sync:?} has no run {id:?}", sync = sync.as_str(), id = id.as_str())]
    UnknownRun {
        /// The sync.
        sync: SyncName,
        /// The id that was asked for.
        id: RunId,
        /// Where it was looked for.
        path: PathBuf,
        /// The latest runs there are, newest first.
        latest: Vec<RunId>,
    },

    /// The run has no such file.
    #[error("run {:?} has no {what} ({} does not exist)", id.as_str(), path.display())]
    Missing {
        /// The run.
        id: RunId,
        /// The missing part: `plan`, `snapshot of <Kind> in the source` …
        what: String,
        /// Where it would be.
        path: PathBuf,
    },

    /// The plan is one of 2.0.1, which does not hold what an apply needs.
    #[error("{} has no column {column:?}", path.display())]
    ForeignPlan {
        /// The file.
        path: PathBuf,
        /// The first missing column.
        column: &'static str,
    },

    /// The data does not fit the file: a mistake of this program, not of the user.
    #[error("cannot write {}: {problem}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The mismatch.
        problem: String,
    },
}

impl CacheError {
    /// Returns the remedy as a sentence; `None` if the message itself says everything.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            CacheError::Name(_) => None,
            CacheError::Io { .. } => {
                Some("check the folder's permissions and free space, or set INFRAHUB_SYNC_CACHE_DIR to another one".to_owned())
            }
            CacheError::Damaged { remedy, .. } => Some(remedy.clone()),
            CacheError::NewerFormat { .. } => {
                Some("use the newer version of infrahub-sync, or set INFRAHUB_SYNC_CACHE_DIR to another folder".to_owned())
            }
            CacheError::Locked { .. } => {
                Some("wait for that run to end, or stop it; the lock goes with its process, there is no file to delete".to_owned())
            }
            CacheError::UnknownRun { latest, .. } if latest.is_empty() => {
                Some("there are no runs yet; `infrahub-sync diff` creates one".to_owned())
            }
            CacheError::UnknownRun { latest, .. } => {
                let ids: Vec<&str> = latest.iter().map(RunId::as_str).collect();
                Some(format!("the latest runs are {}", ids.join(", ")))
            }
            CacheError::Missing { id, .. } => {
                Some(format!("the run stopped before it was written; `infrahub-sync diff --run-id {id}` creates it again"))
            }
            CacheError::ForeignPlan { .. } => {
                Some("the plan was written by infrahub-sync 2.0 and lacks what an apply needs; run `infrahub-sync diff` again".to_owned())
            }
            CacheError::Unwritable { .. } => None,
        }
    }
}

/// Puts the path on an I/O error.
pub(crate) trait IoContext<T> {
    /// Adds the attempted action and its path.
    fn at(self, action: &'static str, path: &std::path::Path) -> Result<T, CacheError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &std::path::Path) -> Result<T, CacheError> {
        self.map_err(|source| CacheError::Io { action, path: path.to_owned(), source })
    }
}
