//! The lock of a sync's cache: one run writes at a time.
//!
//! An operating system lock (`flock` on Unix, the same that 2.0.1 takes) on `.lock`. It ends with the process that holds it, however
//! that ends, so there is no stale lock and nothing to break. The file itself stays. Its contents (process, run, start) serve messages
//! only.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{CacheError, IoContext};
use crate::layout::Cache;
use crate::run_id::RunId;

/// How long a waiting run sleeps between two attempts: short enough not to be felt, long enough not to be work.
const POLL: Duration = Duration::from_millis(50);

/// More than any holder we write; whatever else is in the file is not read.
const HOLDER_BYTES_MAX: u64 = 4096;

/// Who has the lock, as far as known: another program (2.0.1) takes it without a word.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The run.
    #[serde(default)]
    pub run_id: Option<RunId>,
    /// Since when.
    #[serde(default, with = "crate::sidecars::time")]
    pub since: Option<Timestamp>,
}

impl Holder {
    /// This process, for a run that starts now.
    #[must_use]
    pub fn this_process(run_id: RunId, now: Timestamp) -> Holder {
        Holder { pid: Some(std::process::id()), run_id: Some(run_id), since: Some(now) }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.run_id {
            Some(run_id) => write!(f, "run {run_id}")?,
            None => f.write_str("another run")?,
        }
        match (self.pid, self.since) {
            (Some(pid), Some(since)) => write!(f, ", process {pid}, since {since:.0}"),
            (Some(pid), None) => write!(f, ", process {pid}"),
            (None, Some(since)) => write!(f, ", since {since:.0}"),
            (None, None) => Ok(()),
        }
    }
}

/// The right to write to a sync's cache, until the last clone of it and the last writer made from it are dropped.
#[derive(Debug, Clone)]
pub struct CacheLock {
    pub(crate) cache: Cache,
    _file: Arc<LockedFile>,
}

#[derive(Debug)]
struct LockedFile(File);

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Nobody is named while nobody holds it. Closing the file releases the lock.
        let _ = self.0.set_len(0);
        let _ = self.0.unlock();
    }
}

/// Takes the lock at `path` for `holder`, waiting up to `wait`; `on_wait` hears who has it, again whenever that changes.
pub(crate) fn lock(
    cache: &Cache,
    path: &Path,
    holder: &Holder,
    wait: Duration,
    on_wait: &mut dyn FnMut(&Holder),
) -> Result<CacheLock, CacheError> {
    let start = Instant::now();
    let mut seen: Option<Holder> = None;
    loop {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => {
                write_holder(&mut file, holder).at("write", path)?;
                return Ok(CacheLock { cache: cache.clone(), _file: Arc::new(LockedFile(file)) });
            }
            // Somebody removed the file between our opening and locking it: what we hold guards nothing.
            Ok(()) => continue,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).at("lock", path),
        }
        let current = read_holder(&mut file);
        let waited = start.elapsed();
        if waited >= wait {
            return Err(CacheError::Locked {
                sync: cache.sync_name().to_string(),
                path: path.to_owned(),
                holder: Box::new(current),
                waited,
            });
        }
        if seen.as_ref() != Some(&current) {
            on_wait(&current);
            seen = Some(current);
        }
        // A file lock cannot be waited for with a time limit, only asked for again.
        std::thread::sleep(POLL.min(wait.saturating_sub(waited)));
    }
}

/// Returns the current holder of the lock at `path` according to the file. For messages: a writer takes the lock instead.
pub(crate) fn holder(path: &Path) -> Option<Holder> {
    let mut file = File::open(path).ok()?;
    let named = read_holder(&mut file);
    // The lock is tried only where somebody is named, who may have been killed: a run that begins at this moment would find it held by us.
    let is_held = named != Holder::default() && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    is_held.then_some(named)
}

fn open(path: &Path) -> Result<File, CacheError> {
    // Not truncated: it may be another's.
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).at("open", path)
}

/// Returns whether the path still names this file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(named)) => ours.dev() == named.dev() && ours.ino() == named.ino(),
        _ => false,
    }
}

/// Other systems do not remove open files.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

fn write_holder(file: &mut File, holder: &Holder) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    let mut json = serde_json::to_vec(holder)?;
    json.push(b'\n');
    file.write_all(&json)
}

/// Returns the holder that the file names. An unreadable file means unknown: Windows locks the contents too, and a holder may be about to write its name.
fn read_holder(file: &mut File) -> Holder {
    let mut json = Vec::new();
    let read = file.rewind().and_then(|()| file.take(HOLDER_BYTES_MAX).read_to_end(&mut json));
    read.ok().and_then(|_| serde_json::from_slice(&json).ok()).unwrap_or_default()
}

impl CacheLock {
    /// Returns the locked cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Returns the lock's file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.cache.lock_path()
    }
}
