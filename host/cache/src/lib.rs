//! The run cache: what a run saw, what it planned, how it ended, and the lock that keeps runs of one sync apart.
//!
//! # On disk
//!
//! The layout is that of infrahub-sync 2.0.1, so that users' DuckDB queries and their old runs stay usable. Files marked `+` are
//! ours; 2.0.1 walks past them.
//!
//! ```text
//! <root>/<sync-name>/
//! ├── .lock                             held (flock) while a run writes; JSON of the holder for messages
//! ├── .format                         + the cache's format version
//! ├── last-successful-rowcounts.json    {Kind: rows}
//! ├── run-counter.json                  {"runs_since_full": n}
//! └── <run_id>/
//!     ├── A/<Kind>.parquet              source snapshot
//!     ├── B/<Kind>.parquet              destination snapshot
//!     ├── plan.parquet                  one row per change; + columns tier, pass, key, peers
//!     ├── journal.bin                 + what became of each of the plan's rows, since its apply began
//!     ├── errors.parquet                only when there were errors
//!     ├── cursors.json                  {"A": {Kind: cursor}, "B": {…}}
//!     ├── schema-sub-hash.txt
//!     └── run.json                      status, mode, summary, finished_at; + format, started_at, adapters, partial, counts, files
//! ```
//!
//! # Types
//!
//! [`Cache`] reads, [`CacheLock`] is the right to write, [`RunWriter`] fills a run's folder, [`RunReader`] reads one.
//!
//! # Invariants
//!
//! - Whoever writes holds the lock: every writer is made from a [`CacheLock`] and keeps it alive.
//! - A file under its final name is whole: it was written beside it, flushed to the disk and renamed. Files of a killed run
//!   under another name (`*.tmp`) are never read, and the next run removes them.
//! - A folder holds files of one run: when an id is used again, `run.json` says `running` first, then the plan goes, then all
//!   else, and only then is anything new written. So whoever finds a plan finds the snapshots it was made from.
//! - A journal belongs to one plan, whose digest it holds. Each state of a row was on the disk before the next step.
//! - A run that is removed is renamed first: what is listed as a run is all there.
//! - A newer format is never read or written, only refused.
//!
//! # Not for
//!
//! Deciding anything: whether a run may be applied, is fresh enough or has lost too many rows is the engine's business. No
//! environment, clock or randomness is read either, except the monotonic clock while waiting for the lock.

mod atomic;
mod error;
mod errors_file;
mod housekeeping;
mod journal;
mod layout;
mod lock;
mod parquet_file;
mod plan_file;
mod run_id;
mod sidecars;
mod snapshot_file;
mod sums;
mod verify;

pub use infrahub_sync_base::{PerSide, Side};

pub use error::CacheError;
pub use errors_file::ErrorRow;
pub use housekeeping::{Kept, Pruned, Retention, RunInfo, Shared, Standing, Survey, Verdict, freed};
pub use journal::{Journal, JournalWriter, RowCounts, RowState};
pub use layout::{Cache, RunEntry, RunReader, RunState, RunWriter};
pub use lock::{CacheLock, Holder};
pub use parquet_file::Written;
pub use plan_file::{PlanReader, PlanWriter};
pub use run_id::{KindName, NameError, RunId, SyncName};
pub use sidecars::{AdapterRecord, Cursors, FORMAT, Mode, Rowcounts, RunCounter, RunFile, RunStatus};
pub use snapshot_file::{EXTRACT_TS, SOURCE_ID, SnapshotReader, SnapshotWriter, TOMBSTONE, extract_ts_type, internal_fields};
pub use sums::FileSum;
pub use verify::{Finding, Verified};
