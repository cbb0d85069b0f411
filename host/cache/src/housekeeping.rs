//! The contents of the cache, and their removal.
//!
//! A run is removed only under its sync's lock, and as a whole: its folder is renamed to a name that no run has, and removed after
//! that. A kill in between leaves a folder that does not count as a run; the next pruning removes it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::atomic;
use crate::error::{CacheError, IoContext};
use crate::journal::RowCounts;
use crate::layout::{Cache, RunEntry, RunReader, RunState};
use crate::lock::{CacheLock, Holder};
use crate::run_id::RunId;
use crate::sidecars::{FORMAT, RunFile, RunStatus};

/// How names of folders begin that are about to be removed.
pub(crate) const PRUNED_PREFIX: &str = ".pruned-";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How far the plan of a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// There is no plan that could be applied: the run did not come so far, or infrahub-sync 2.0 made it.
    NoPlan,
    /// The plan has nothing to do.
    InSync,
    /// No apply has begun.
    Planned,
    /// An apply has begun and did not complete.
    Interrupted,
    /// An apply of it came to its end.
    Finished,
    /// Its journal cannot be read.
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

    /// Returns whether an apply can start or resume.
    #[must_use]
    pub fn is_resumable(self) -> bool {
        matches!(self, Standing::Planned | Standing::Interrupted)
    }
}

/// A run in the cache, with what it takes.
#[derive(Debug)]
pub struct RunInfo {
    /// Its id.
    pub id: RunId,
    /// Its state, as far as it can be read.
    pub state: RunState,
    /// How far its plan has come.
    pub standing: Standing,
    /// The outcome of its plan's rows, if an apply has begun.
    pub rows: Option<RowCounts>,
    /// The bytes of its files.
    pub bytes: u64,
    /// Those of them that are there under a second name too, as snapshots of which nothing has changed are in the next run: they are not
    /// freed when this run alone goes.
    pub shared: Vec<Shared>,
    /// The time of its start, if known.
    pub started: Option<Timestamp>,
    /// The time of its last sign of life, if known.
    pub last: Option<Timestamp>,
    /// Whether it is running.
    pub is_running: bool,
}

impl RunInfo {
    /// Its `run.json`, if it has one that can be read.
    #[must_use]
    pub fn file(&self) -> Option<&RunFile> {
        match &self.state {
            RunState::Known(file) => Some(file),
            RunState::Empty | RunState::Unreadable(_) => None,
        }
    }

    /// Returns the numbers of planned creates, updates and deletes, if known.
    #[must_use]
    pub fn planned(&self) -> Option<[u64; 3]> {
        self.file().and_then(planned)
    }
}

/// A file that has several names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Its bytes.
    pub bytes: u64,
    /// Which file of this machine it is.
    identity: (u64, u64),
    /// How many names it has.
    names: u64,
}

/// Returns the bytes that are freed when these runs are removed. A file with several names counts only if all of them are removed.
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
    /// Returns the bytes of its files that no other run has.
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

/// Returns the planned totals. They are written when a run ends; before that, from its plan on, each kind has its own.
fn planned(file: &RunFile) -> Option<[u64; 3]> {
    let names = ["create", "update", "delete"];
    let totals = names.map(|name| file.summary.get(name).and_then(Value::as_u64));
    if let [Some(create), Some(update), Some(delete)] = totals {
        return Some([create, update, delete]);
    }
    let kinds = file.summary.get("kinds")?.as_array()?;
    Some(names.map(|name| kinds.iter().filter_map(|kind| kind.get(name)?.as_u64()).sum()))
}

/// All that the cache of a sync holds.
#[derive(Debug)]
pub struct Survey {
    /// The runs, the latest first.
    pub runs: Vec<RunInfo>,
    /// The bytes of all files, also of those that belong to no run; what several runs have is counted once.
    pub bytes: u64,
}

/// The rules of pruning: a run is removed if it is beyond the newest `keep` and has shown no sign of life for `older_than`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How many runs stay, however old.
    pub keep: usize,
    /// How long a run stays, however many there are.
    pub older_than: Duration,
    /// The time for which the newest unapplied plan is kept.
    pub plan: Duration,
}

impl Default for Retention {
    /// Keeps the newest 20 runs and all of the last 30 days.
    fn default() -> Retention {
        Retention { keep: 20, older_than: 30 * DAY, plan: 30 * DAY }
    }
}

impl Retention {
    /// Returns the requested rules. With both, a run is removed only if both allow it. With one, that one decides. With neither, the
    /// default holds.
    #[must_use]
    pub fn new(keep: Option<usize>, older_than: Option<Duration>) -> Retention {
        let default = Retention::default();
        match (keep, older_than) {
            (None, None) => default,
            (Some(keep), None) => Retention { keep, older_than: Duration::ZERO, ..default },
            (keep, Some(older_than)) => Retention { keep: keep.unwrap_or(0), older_than, plan: older_than },
        }
    }
}

/// Why a run stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// It is running.
    Running,
    /// An apply of it began and did not finish: only its journal knows what was sent.
    Interrupted,
    /// The next incremental run starts from it.
    Baseline,
    /// It is the newest plan, and has not been applied yet.
    NewestPlan,
    /// It is one of the newest.
    Newest,
    /// It is young.
    Young,
    /// A newer version of this program wrote it.
    NewerFormat,
    /// The folder is a link to another place.
    Link,
    /// The folder does not look like one of ours.
    NoRun,
}

impl Kept {
    /// Returns the reason in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kept::Running => "it is running",
            Kept::Interrupted => "an apply can resume it",
            Kept::Baseline => "the next incremental run starts from it",
            Kept::NewestPlan => "it is the newest plan that can be applied",
            Kept::Newest => "it is one of the newest",
            Kept::Young => "it is young",
            Kept::NewerFormat => "a newer version of infrahub-sync wrote it",
            Kept::Link => "its folder is a link",
            Kept::NoRun => "its folder does not look like a run",
        }
    }
}

/// The decision about a run when the cache is pruned.
#[derive(Debug)]
pub struct Verdict {
    /// The run.
    pub run: RunInfo,
    /// Why it stays; `None` for one that goes.
    pub kept: Option<Kept>,
}

/// The result of pruning.
#[derive(Debug)]
pub struct Pruned {
    /// The runs that stayed, and those that are gone.
    pub runs: Vec<Verdict>,
    /// How many folders of earlier, interrupted prunings were removed.
    pub leftovers: u64,
}

impl Cache {
    /// Returns all runs with their disk usage, the latest first.
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

    fn survey_runs(&self, holder: Option<&Holder>) -> Result<Vec<RunInfo>, CacheError> {
        self.list_runs()?.into_iter().map(|entry| self.inspect(entry, holder)).collect()
    }

    fn inspect(&self, entry: RunEntry, holder: Option<&Holder>) -> Result<RunInfo, CacheError> {
        let started = entry.time();
        let RunEntry { id, state } = entry;
        let run = RunReader::new(self, &id);
        let (standing, rows) = standing(&run, &state);
        let ended = match &state {
            RunState::Known(file) => file.finished_at,
            RunState::Empty | RunState::Unreadable(_) => None,
        };
        let is_running = holder.is_some_and(|holder| holder.run_id.as_ref() == Some(&id));
        // An apply that ends later is heard of by `finished_at`; one that does not end is never pruned.
        let last = started.max(ended).or_else(|| modified(run.dir()));
        let mut usage = Usage::default();
        usage.add(run.dir())?;
        let Usage { bytes, shared } = usage;
        Ok(RunInfo { bytes, shared, id, state, standing, rows, started, last, is_running })
    }

    /// Returns the decision about each run if the cache were pruned now, the latest first. Changes nothing.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn judge(&self, retention: Retention, now: Timestamp) -> Result<Vec<Verdict>, CacheError> {
        self.judge_beside(self.holder().as_ref(), retention, now)
    }

    fn judge_beside(&self, holder: Option<&Holder>, retention: Retention, now: Timestamp) -> Result<Vec<Verdict>, CacheError> {
        let runs = self.survey_runs(holder)?;
        let newest = |wanted: &dyn Fn(&RunInfo) -> bool| runs.iter().find(|run| wanted(run)).map(|run| run.id.clone());
        let has_status = |run: &RunInfo, wanted: fn(RunStatus) -> bool| run.file().is_some_and(|file| wanted(file.status));
        // Whatever the next incremental run takes as its start: the last success, and the last one whose plan was applied.
        let baselines =
            [newest(&|run| has_status(run, RunStatus::is_success)), newest(&|run| has_status(run, |status| status == RunStatus::Applied))];
        let plan = newest(&|run| run.standing == Standing::Planned);
        // Of what nothing is known, the age is none.
        let age = |run: &RunInfo| run.last.map_or(SignedDuration::ZERO, |last| now.duration_since(last));
        let is_younger = |run: &RunInfo, limit: Duration| SignedDuration::try_from(limit).map_or(true, |limit| age(run) < limit);
        let reasons: Vec<Option<Kept>> = runs
            .iter()
            .enumerate()
            .map(|(index, run)| {
                let is = |id: &Option<RunId>| id.as_ref() == Some(&run.id);
                let link = fs::symlink_metadata(self.run_dir(&run.id)).is_ok_and(|metadata| metadata.is_symlink());
                let newer = matches!(&run.state, RunState::Unreadable(CacheError::NewerFormat { .. }))
                    || matches!(&run.state, RunState::Known(file) if file.format > FORMAT);
                [
                    (run.is_running, Kept::Running),
                    (newer, Kept::NewerFormat),
                    (link, Kept::Link),
                    // Without a run.json, only an id of ours tells that it is no folder of somebody else's.
                    (matches!(run.state, RunState::Empty) && !run.id.is_ours(), Kept::NoRun),
                    (run.standing == Standing::Interrupted, Kept::Interrupted),
                    (baselines.iter().any(is), Kept::Baseline),
                    (is(&plan) && is_younger(run, retention.plan), Kept::NewestPlan),
                    (index < retention.keep, Kept::Newest),
                    (is_younger(run, retention.older_than), Kept::Young),
                ]
                .into_iter()
                .find_map(|(applies, reason)| applies.then_some(reason))
            })
            .collect();
        Ok(runs.into_iter().zip(reasons).map(|(run, kept)| Verdict { run, kept }).collect())
    }
}

impl CacheLock {
    /// Removes the runs that are no longer needed, the oldest first.
    ///
    /// # Errors
    ///
    /// When the disk refuses; runs that were removed before stay removed.
    pub fn prune(&self, retention: Retention, now: Timestamp) -> Result<Pruned, CacheError> {
        let dir = self.cache.dir();
        let mut leftovers = 0;
        for entry in fs::read_dir(dir).at("read", dir)? {
            let entry = entry.at("read", dir)?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(PRUNED_PREFIX)) {
                atomic::remove_folder(&entry.path())?;
                leftovers += 1;
            }
        }
        // The lock is ours: nobody else is at work.
        let runs = self.cache.judge_beside(None, retention, now)?;
        for gone in runs.iter().rev().filter(|run| run.kept.is_none()) {
            let away = dir.join(format!("{PRUNED_PREFIX}{}", gone.run.id));
            atomic::rename(&self.cache.run_dir(&gone.run.id), &away)?;
            atomic::remove_folder(&away)?;
        }
        Ok(Pruned { runs, leftovers })
    }
}

/// Returns the progress of a run's plan, and the outcome of its rows.
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
        // A newer version may go on with it.
        Err(CacheError::NewerFormat { .. }) => return (Standing::Interrupted, None),
        Err(_) => return (Standing::Unknown, None),
    };
    match journal {
        Some(journal) if journal.is_finished() => (Standing::Finished, Some(journal.counts())),
        Some(journal) if journal.attempts() > 0 => (Standing::Interrupted, Some(journal.counts())),
        _ => match file.map(|file| (file.status, planned(file))) {
            Some((_, Some([0, 0, 0]))) => (Standing::InSync, None),
            // Of a version that kept no journal.
            Some((RunStatus::Applied | RunStatus::Partial, _)) => (Standing::Finished, None),
            _ => (Standing::Planned, None),
        },
    }
}

/// Returns the time of a file's or folder's last change, if the system knows it.
fn modified(path: &Path) -> Option<Timestamp> {
    Timestamp::try_from(fs::metadata(path).ok()?.modified().ok()?).ok()
}

/// The disk usage of files.
#[derive(Debug, Default)]
struct Usage {
    /// The bytes of all names.
    bytes: u64,
    /// Of those, the files with several names; each as often as a name of it was found.
    shared: Vec<Shared>,
}

impl Usage {
    /// Adds all files in a folder. A file that disappears meanwhile counts as nothing.
    fn add(&mut self, folder: &Path) -> Result<(), CacheError> {
        let is_gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(error).at("read", folder),
        };
        for entry in entries {
            let entry = entry.at("read", folder)?;
            // Not through links: what they lead to is not in the cache.
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

/// Returns the identity of a file on this machine, whatever its name, and the number of its names; `None` if the system has neither.
#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> Option<((u64, u64), u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some(((metadata.dev(), metadata.ino()), metadata.nlink()))
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Option<((u64, u64), u64)> {
    None
}

#[cfg(test)]
mod tests {
    use infrahub_sync_core::plan_row::{Action, PlanRow};

    use super::*;
    use crate::SyncName;
    use crate::atomic::failpoint;
    use crate::sidecars::Mode;

    fn row() -> PlanRow {
        PlanRow {
            action: Action::Delete,
            resource: "K".to_owned(),
            source_id: "a".to_owned(),
            dest_id: None,
            attribute: None,
            old_value: None,
            new_value: None,
            owner: None,
            skip_reason: None,
            conflict_class: None,
            tier: 0,
            pass: 0,
            key: String::new(),
            peers: None,
            evidence: None,
            destination_mapping: None,
        }
    }

    #[test]
    fn a_pruning_that_stops_at_any_step_leaves_whole_runs() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365);
        for steps in 0.. {
            let root = tempfile::tempdir().expect("a folder");
            let cache = Cache::open(root.path(), SyncName::parse("s").expect("a name")).expect("opened");
            let lock = cache.lock(&Holder::default(), Duration::ZERO, &mut |_| {}).expect("free");
            for hour in 0..4 {
                let id = RunId::parse(&format!("r{hour}")).expect("an id");
                let began = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour);
                let mut file = RunFile::running(Mode::Sync, began);
                let run = lock.start_run(&id, &file).expect("started");
                run.write_plan([row()]).expect("written");
                file.status = RunStatus::Applied;
                run.write_run_file(&file).expect("written");
            }
            let pruned = failpoint::after(steps, || lock.prune(Retention::new(Some(2), None), now));
            let left = cache.list_runs().expect("listed");
            assert!(left.len() >= 2, "the newest stay");
            // The oldest go first, and what is there is whole.
            let names: Vec<&str> = left.iter().map(|run| run.id.as_str()).collect();
            assert_eq!(names, ["r3", "r2", "r1", "r0"][..left.len()]);
            let verified = cache.verify(None).expect("read");
            assert!(verified.is_whole(), "stopped after {steps} steps: {verified:?}");

            let again = lock.prune(Retention::new(Some(2), None), now).expect("the next one is not disturbed");
            assert_eq!(again.runs.len(), left.len());
            assert!(cache.verify(None).expect("read").findings.is_empty());
            assert_eq!(cache.list_runs().expect("listed").len(), 2);
            if pruned.is_ok() {
                assert!(steps > 6, "{steps} steps");
                break;
            }
        }
    }
}
