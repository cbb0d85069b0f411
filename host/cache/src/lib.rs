//! The run cache: what a run read, what it planned, how it ended, and the lock that separates runs of one sync.
//!
//! # On disk
//!
//! The layout is that of infrahub-sync 2.0.1, so that users' DuckDB queries and old runs remain usable. 2.0.1 ignores the files marked `+`.
//!
//! ```text
//! <root>/<sync-name>/
//! ├── .lock                             held (flock) while a run writes; JSON of the holder for messages
//! ├── .format                         + the cache's format version
//! ├── last-successful-rowcounts.json    {Kind: rows}
//! ├── run-counter.json                  {"runs_since_full": n}
//! ├── vanished.json                   + objects that the source neither lists any more nor reports as deleted
//! ├── ownership.parquet               + the objects that this sync made or adopted
//! ├── ownership.json                  + the run whose objects are not in it yet
//! ├── no-effect.json                  + the writes that had no effect
//! └── <run_id>/
//!     ├── A/<Kind>.parquet              source snapshot
//!     ├── B/<Kind>.parquet              destination snapshot
//!     ├── plan.parquet                  one row per change; + columns tier, pass, key, peers
//!     ├── journal.bin                 + the state of each of the plan's rows, since its apply began
//!     ├── errors.parquet                only when there were errors
//!     ├── explain.json                  records that filters left out or transforms changed, if any
//!     ├── cursors.json                  {"A": {Kind: cursor}, "B": {…}}
//!     ├── schema-sub-hash.txt
//!     └── run.json                      status, mode, summary, finished_at; + format, started_at, adapters, partial, counts, files
//! ```
//!
//! # Types
//!
//! [`Cache`] reads a sync's folder, [`CacheLock`] is the right to write, [`RunWriter`] writes a run's folder, and [`RunReader`] reads it. The
//! types on the disk are in `format`. `retention` decides which runs a pruning removes, and reads no disk.
//!
//! # Invariants
//!
//! - A writer holds the lock: it is made from a [`CacheLock`] and keeps the lock alive.
//! - A file under its final name is whole: it was written under another name, flushed to the disk and renamed. The leftovers of a killed
//!   run (`*.tmp`) are never read, and the next run removes them.
//! - A folder contains files of one run. When an id is used again, `run.json` says `running` first. Then the plan is removed, then the
//!   other files, and only then are new files written. So a reader that finds a plan also finds its snapshots.
//! - A journal belongs to one plan, whose digest it contains. The state of a row is on the disk before the next step.
//! - A removed run is renamed first: each listed run is complete.
//! - A newer format is refused, and never read or written.
//!
//! # Not for
//!
//! Decisions: only the engine decides whether a run can be applied, is recent enough or lost too many rows. The crate reads no environment,
//! clock or randomness, except the monotonic clock while it waits for the lock.

mod error;
mod errors_file;
mod explain_file;
mod format;
mod journal;
mod lock;
mod names;
mod ownership_file;
mod parquet_file;
mod plan_file;
mod prune;
mod reader;
mod retention;
mod run_record;
mod small_files;
mod snapshot_file;
mod store;
mod sums;
mod survey;
mod verify;
mod writer;

pub use infrahub_sync_base::{PerSide, Side};

pub use error::{CacheError, Remedy};
pub use errors_file::ErrorRow;
pub use explain_file::MappingTrace;
pub use format::{Cursors, FORMAT, FileSum, Rowcounts, RunCounter, Vanished};
pub use journal::{Journal, JournalWriter, RowCounts, RowState};
pub use lock::Holder;
pub use names::{KindName, NameError, RunId, SyncName};
pub use ownership_file::OwnedObject;
pub use parquet_file::Written;
pub use plan_file::{PlanReader, PlanWriter};
pub use prune::Pruned;
pub use reader::RunReader;
pub use retention::{Kept, Retention, Verdict};
pub use run_record::{
    AdapterRecord, Durations, FilterCount, FullRead, KindReading, MappingReading, Mode, Outcomes, RunRecord, RunStatus, RunSummary,
    TrafficRecord,
};
pub use snapshot_file::{EXTRACT_TS, SOURCE_ID, SnapshotReader, SnapshotWriter, TOMBSTONE, extract_ts_type, internal_fields};
pub use store::{Cache, CacheLock, RunEntry, RunState};
pub use survey::{RunInfo, Shared, Standing, Survey, freed};
pub use verify::{Finding, Verified};
pub use writer::RunWriter;
