//! Lists what a sync's cache contains: runs, their sizes and the progress of their plans.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::error::{CacheError, IoContext};
use crate::journal::RowCounts;
use crate::lock::Holder;
use crate::names::RunId;
use crate::reader::RunReader;
use crate::run_record::{RunRecord, RunStatus};
use crate::store::{Cache, RunEntry, RunState};

/// The progress of a run's plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// There is no plan to apply: the run stopped earlier, or infrahub-sync 2.0 made it.
    NoPlan,
    /// The plan has no changes.
    InSync,
    /// No apply has begun.
    Planned,
    /// An apply has begun and did not end.
    Interrupted,
    /// An apply has ended.
    Finished,
    /// Its journal is unreadable.
    Unknown,
}

impl Standing {
    /// Returns the word for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::NoPlan => "no-plan",
            Standing::InSync => "in-sync",
            Standing::Planned => "planned",
            Standing::Interrupted => "interrupted",
            Standing::Finished => "finished",
            Standing::Unknown => "unknown",
        }
    }

    /// Returns whether an apply can begin or resume.
    #[must_use]
    pub fn is_resumable(self) -> bool {
        matches!(self, Standing::Planned | Standing::Interrupted)
    }
}

/// A run in the cache, with its size.
#[derive(Debug)]
pub struct RunInfo {
    /// Its id.
    pub id: RunId,
    /// Its `run.json`.
    pub state: RunState,
    /// The progress of its plan.
    pub standing: Standing,
    /// The states of its plan's rows, once an apply has begun.
    pub rows: Option<RowCounts>,
    /// The bytes of its files.
    pub bytes: u64,
    /// The files among them that have a second name: the next run shares unchanged snapshots. Removing only this run does not free them.
    pub shared: Vec<Shared>,
    /// When it began, if that is known.
    pub started: Option<Timestamp>,
    /// When it was last active, if that is known.
    pub last: Option<Timestamp>,
    /// Whether it is running.
    pub is_running: bool,
    /// Whether its folder is a link to another place.
    pub is_link: bool,
}

impl RunInfo {
    /// Returns its `run.json`, if it has a readable one.
    #[must_use]
    pub fn file(&self) -> Option<&RunRecord> {
        match &self.state {
            RunState::Known(file) => Some(file),
            RunState::Empty | RunState::Unreadable(_) => None,
        }
    }

    /// Returns the numbers of planned creates, updates and deletes, if they are known.
    #[must_use]
    pub fn planned(&self) -> Option<[u64; 3]> {
        self.file().and_then(|file| file.summary.planned())
    }
}

/// A file with several names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Its size.
    pub bytes: u64,
    /// Its identity on this machine.
    identity: (u64, u64),
    /// The number of its names.
    names: u64,
}

/// Returns the bytes that removing these runs frees. A file with several names counts only if all of them are removed.
#[must_use]
pub fn freed<'r>(runs: impl Iterator<Item = &'r RunInfo>) -> u64 {
    let mut bytes = 0;
    let mut names: HashMap<(u64, u64), (u64, Shared)> = HashMap::new();
    for run in runs {
        bytes += run.own_bytes();
        for shared in &run.shared {
            names.entry(shared.identity).or_insert((0, *shared)).0 += 1;
        }
    }
    bytes + names.values().filter(|(found, shared)| *found >= shared.names).map(|(_, shared)| shared.bytes).sum::<u64>()
}

impl RunInfo {
    /// Returns the bytes of its files that no other run shares.
    #[must_use]
    pub fn own_bytes(&self) -> u64 {
        self.bytes - self.shared_bytes().min(self.bytes)
    }

    /// Returns the bytes of its files that have a second name.
    #[must_use]
    pub fn shared_bytes(&self) -> u64 {
        self.shared.iter().map(|shared| shared.bytes).sum()
    }
}

/// The contents of a sync's cache.
#[derive(Debug)]
pub struct Survey {
    /// The runs, newest first.
    pub runs: Vec<RunInfo>,
    /// The bytes of all files, including files outside of runs. A shared file counts once.
    pub bytes: u64,
}

impl Cache {
    /// Returns all runs with their sizes, newest first.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn survey(&self) -> Result<Survey, CacheError> {
        let mut all = Usage::default();
        all.add(self.dir())?;
        let names: HashMap<(u64, u64), Shared> = all.shared.iter().map(|shared| (shared.identity, *shared)).collect();
        let once = names.values().map(|shared| shared.bytes).sum::<u64>();
        let several = all.shared.iter().map(|shared| shared.bytes).sum::<u64>();
        Ok(Survey { runs: self.survey_runs(self.holder().as_ref())?, bytes: all.bytes - several + once })
    }

    /// Returns all runs, newest first.
    pub(crate) fn survey_runs(&self, holder: Option<&Holder>) -> Result<Vec<RunInfo>, CacheError> {
        self.list_runs()?.into_iter().map(|entry| self.inspect(entry, holder)).collect()
    }

    fn inspect(&self, entry: RunEntry, holder: Option<&Holder>) -> Result<RunInfo, CacheError> {
        let started = entry.time();
        let RunEntry { id, state } = entry;
        let run = self.reader(&id);
        let (standing, rows) = standing(&run, &state);
        let ended = match &state {
            RunState::Known(file) => file.finished_at,
            RunState::Empty | RunState::Unreadable(_) => None,
        };
        let is_running = holder.is_some_and(|holder| holder.run_id.as_ref() == Some(&id));
        // `finished_at` also covers an apply that ends later. A run with an unfinished apply is never pruned.
        let last = started.max(ended).or_else(|| modified(run.dir()));
        let mut usage = Usage::default();
        usage.add(run.dir())?;
        let Usage { bytes, shared } = usage;
        let is_link = fs::symlink_metadata(run.dir()).is_ok_and(|metadata| metadata.is_symlink());
        Ok(RunInfo { bytes, shared, id, state, standing, rows, started, last, is_running, is_link })
    }
}

/// Returns the progress of a run's plan, and the states of its rows.
fn standing(run: &RunReader, state: &RunState) -> (Standing, Option<RowCounts>) {
    let file = match state {
        RunState::Known(file) => Some(file),
        RunState::Empty | RunState::Unreadable(_) => None,
    };
    // The plans of 2.0.1 cannot be applied.
    if !run.has_plan() || file.is_some_and(|file| file.format == 0) {
        return (Standing::NoPlan, None);
    }
    let journal = match run.stored_journal() {
        Ok(journal) => journal,
        // A newer version may resume it.
        Err(CacheError::NewerFormat { .. }) => return (Standing::Interrupted, None),
        Err(_) => return (Standing::Unknown, None),
    };
    match journal {
        Some(journal) if journal.is_finished() => (Standing::Finished, Some(journal.counts())),
        Some(journal) if journal.attempts() > 0 => (Standing::Interrupted, Some(journal.counts())),
        _ => match file.map(|file| (file.status, file.summary.planned())) {
            Some((_, Some([0, 0, 0]))) => (Standing::InSync, None),
            // Written by a version without a journal.
            Some((RunStatus::Applied | RunStatus::Partial, _)) => (Standing::Finished, None),
            _ => (Standing::Planned, None),
        },
    }
}

/// Returns when a file or folder was last changed, if the system knows.
fn modified(path: &Path) -> Option<Timestamp> {
    Timestamp::try_from(fs::metadata(path).ok()?.modified().ok()?).ok()
}

/// The size of files.
#[derive(Debug, Default)]
struct Usage {
    /// The bytes of all names.
    bytes: u64,
    /// The files with several names, once for each name that was found.
    shared: Vec<Shared>,
}

impl Usage {
    /// Adds all files in a folder, without those that disappear meanwhile.
    fn add(&mut self, folder: &Path) -> Result<(), CacheError> {
        let is_gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(error).at("read", folder),
        };
        for entry in entries {
            let entry = entry.at("read", folder)?;
            // Does not follow links, which lead out of the cache.
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(error) if is_gone(&error) => continue,
                Err(error) => return Err(error).at("read", &entry.path()),
            };
            if metadata.is_dir() {
                self.add(&entry.path())?;
                continue;
            }
            self.bytes += metadata.len();
            if let Some((identity, names)) = identity(&metadata).filter(|(_, names)| *names > 1) {
                self.shared.push(Shared { bytes: metadata.len(), identity, names });
            }
        }
        Ok(())
    }
}

/// Returns the identity of a file, whatever its name, and the number of its names, if the system knows.
#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> Option<((u64, u64), u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some(((metadata.dev(), metadata.ino()), metadata.nlink()))
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Option<((u64, u64), u64)> {
    None
}
