//! The lock of a sync's cache: one run writes at a time.
//!
//! It is a lock of the operating system on `.lock` (`flock` on Unix, as in 2.0.1). It ends with its process, so there are no stale locks. The
//! file remains. Its content (process, run, start) is only for messages.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{CacheError, IoContext};
use crate::names::{RunId, SyncName};

/// The pause between two attempts: too short to notice, and long enough to cost nothing.
const POLL: Duration = Duration::from_millis(50);

/// The largest content that is read, which exceeds that of any holder.
const HOLDER_BYTES_MAX: u64 = 4096;

/// The holder of the lock, as far as known: 2.0.1 writes nothing into the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The run.
    #[serde(default)]
    pub run_id: Option<RunId>,
    /// The start.
    #[serde(default, with = "crate::run_record::time")]
    pub since: Option<Timestamp>,
}

impl Holder {
    /// Returns this process, for a run that starts now.
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

/// Holds the lock until the last clone is dropped. Every writer has one.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    _file: Arc<LockedFile>,
}

#[derive(Debug)]
struct LockedFile(File);

impl Drop for LockedFile {
    fn drop(&mut self) {
        // A free lock names no holder. Closing the file releases the lock.
        let _ = self.0.set_len(0);
        let _ = self.0.unlock();
    }
}

/// Takes the lock of a sync, waiting up to `wait`. `on_wait` gets the current holder, and each new one.
pub(crate) fn lock(
    sync: &SyncName,
    path: &Path,
    holder: &Holder,
    wait: Duration,
    on_wait: &mut dyn FnMut(&Holder),
) -> Result<Guard, CacheError> {
    let start = Instant::now();
    let mut seen: Option<Holder> = None;
    loop {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => {
                write_holder(&mut file, holder).at("write", path)?;
                return Ok(Guard { _file: Arc::new(LockedFile(file)) });
            }
            // The file was removed between opening and locking, so this lock guards nothing.
            Ok(()) => continue,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).at("lock", path),
        }
        let current = read_holder(&mut file);
        let waited = start.elapsed();
        if waited >= wait {
            return Err(CacheError::Locked { sync: sync.to_string(), path: path.to_owned(), holder: Box::new(current), waited });
        }
        if seen.as_ref() != Some(&current) {
            on_wait(&current);
            seen = Some(current);
        }
        // The system offers no wait with a time limit.
        std::thread::sleep(POLL.min(wait.saturating_sub(waited)));
    }
}

/// Returns the current holder of the lock, as far as the file says. It is for messages: a writer takes the lock.
pub(crate) fn holder(path: &Path) -> Option<Holder> {
    let mut file = File::open(path).ok()?;
    let named = read_holder(&mut file);
    // Only a named holder may have been killed. Trying the lock without one could stop a run that is starting.
    let is_held = named != Holder::default() && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    is_held.then_some(named)
}

fn open(path: &Path) -> Result<File, CacheError> {
    // Not truncated: another process may hold it.
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).at("open", path)
}

/// Returns whether the file still has that name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(named)) => ours.dev() == named.dev() && ours.ino() == named.ino(),
        _ => false,
    }
}

/// Returns true: other systems do not remove open files.
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

/// Returns the holder that the file names. It is unknown if the file is unreadable: Windows also locks the contents.
fn read_holder(file: &mut File) -> Holder {
    let mut json = Vec::new();
    let read = file.rewind().and_then(|()| file.take(HOLDER_BYTES_MAX).read_to_end(&mut json));
    read.ok().and_then(|_| serde_json::from_slice(&json).ok()).unwrap_or_default()
}
