//! Files that appear whole or not at all.
//!
//! A file is written as `.<name>.<pid>-<n>.tmp` in its own folder, flushed to the disk, renamed to its name, and the folder is
//! flushed. A crash leaves the old file or the new one, and perhaps a `*.tmp` that is never read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{CacheError, IoContext};

/// How names of unfinished files end.
const TMP_SUFFIX: &str = ".tmp";

/// A file that is not there yet.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    /// `None` once committed.
    file: Option<File>,
    tmp: PathBuf,
    path: PathBuf,
    bytes: u64,
    crc: crc32fast::Hasher,
}

/// The contents of a file that was put in its place, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) bytes: u64,
    pub(crate) crc32: u32,
}

impl AtomicFile {
    /// Begins a file that is to be at `path`; its folder must exist.
    pub(crate) fn create(path: &Path) -> Result<AtomicFile, CacheError> {
        // Process and number make the name unique, so that two writers never share an unfinished file.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let tmp = path.with_file_name(format!(".{name}.{}-{number}{TMP_SUFFIX}", std::process::id()));
        let file = may_fail().and_then(|()| File::create(&tmp)).at("create", &tmp)?;
        Ok(AtomicFile { file: Some(file), tmp, path: path.to_owned(), bytes: 0, crc: crc32fast::Hasher::new() })
    }

    /// Puts the file in its place and says what it holds; when this returns, it survives a power cut.
    pub(crate) fn commit(mut self) -> Result<Committed, CacheError> {
        if let Some(file) = &self.file {
            may_fail().and_then(|()| file.sync_all()).at("write", &self.path)?;
        }
        // Closed before the rename: Windows does not rename open files.
        self.file = None;
        if let Err(error) = may_fail().and_then(|()| fs::rename(&self.tmp, &self.path)) {
            let _ = fs::remove_file(&self.tmp);
            return Err(error).at("write", &self.path);
        }
        sync_folder_of(&self.path)?;
        Ok(Committed { bytes: self.bytes, crc32: self.crc.clone().finalize() })
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else {
            return Err(io::Error::other("the file is committed"));
        };
        may_fail()?;
        let written = file.write(bytes)?;
        self.crc.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Given up: the writer failed, and says so itself.
            let _ = fs::remove_file(&self.tmp);
        }
    }
}

/// A file that grows at its end; what a call has added is on the disk when it returns.
#[derive(Debug)]
pub(crate) struct AppendFile {
    file: File,
    path: PathBuf,
    bytes: u64,
    /// A write failed: what is at the end is unknown, and must not be written behind.
    failed: bool,
}

impl AppendFile {
    /// Opens a file that exists, and cuts what lies beyond its first `bytes` bytes.
    pub(crate) fn open(path: &Path, bytes: u64) -> Result<AppendFile, CacheError> {
        let opened = || {
            may_fail()?;
            let mut file = OpenOptions::new().write(true).open(path)?;
            if file.metadata()?.len() > bytes {
                file.set_len(bytes)?;
                may_fail()?;
                file.sync_all()?;
            }
            file.seek(SeekFrom::Start(bytes))?;
            Ok(file)
        };
        Ok(AppendFile { file: opened().at("write", path)?, path: path.to_owned(), bytes, failed: false })
    }

    /// Returns the length of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds to the end; when this returns, it survives a power cut. After a failure nothing can be added any more.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        if self.failed {
            return Err(io::Error::other("an earlier write to the file failed")).at("write", &self.path);
        }
        self.failed = true;
        may_fail().and_then(|()| self.file.write_all(bytes)).at("write", &self.path)?;
        may_fail().and_then(|()| self.file.sync_data()).at("write", &self.path)?;
        self.bytes += bytes.len() as u64;
        self.failed = false;
        Ok(())
    }
}

/// Writes a small file.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).at("write", path)?;
    file.commit()?;
    Ok(())
}

/// Flushes a folder, so that a name that came or went in it survives a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), CacheError> {
    // Windows has no such call, and its renames are journalled.
    #[cfg(unix)]
    may_fail().and_then(|()| File::open(folder)).and_then(|file| file.sync_all()).at("write", folder)?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

fn sync_folder_of(path: &Path) -> Result<(), CacheError> {
    path.parent().map_or(Ok(()), sync_folder)
}

/// Creates a folder and those above it.
pub(crate) fn create_folder(folder: &Path) -> Result<(), CacheError> {
    if folder.is_dir() {
        return Ok(());
    }
    may_fail().and_then(|()| fs::create_dir_all(folder)).at("create", folder)?;
    sync_folder_of(folder)
}

/// Removes a file that may be missing; says whether it was there.
pub(crate) fn remove_file(path: &Path) -> Result<bool, CacheError> {
    match may_fail().and_then(|()| fs::remove_file(path)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at("remove", path),
    }
}

/// Renames within a folder, and flushes it.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), CacheError> {
    may_fail().and_then(|()| fs::rename(from, to)).at("rename", from)?;
    sync_folder_of(to)
}

/// Removes a folder with all that is in it.
pub(crate) fn remove_folder(folder: &Path) -> Result<(), CacheError> {
    may_fail().and_then(|()| fs::remove_dir_all(folder)).at("remove", folder)?;
    sync_folder_of(folder)
}

/// Removes the files of a folder whose names `unwanted` picks, and flushes the folder when one went.
pub(crate) fn remove_files(folder: &Path, unwanted: impl Fn(&str) -> bool) -> Result<(), CacheError> {
    let mut removed = false;
    for entry in fs::read_dir(folder).at("read", folder)? {
        let entry = entry.at("read", folder)?;
        let is_file = entry.file_type().at("read", &entry.path())?.is_file();
        if is_file && entry.file_name().to_str().is_some_and(&unwanted) {
            removed |= remove_file(&entry.path())?;
        }
    }
    if removed { sync_folder(folder) } else { Ok(()) }
}

/// Returns whether a file of that name was never completed, by us or by 2.0.1.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.ends_with(TMP_SUFFIX)
}

/// Lets a test make a step on the disk fail; see [`failpoint`].
#[cfg(not(test))]
fn may_fail() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
use failpoint::may_fail;

/// Fails the n-th step on the disk and all after it, as if the process had been killed there.
#[cfg(test)]
pub(crate) mod failpoint {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        /// How many more steps succeed.
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    pub(super) fn may_fail() -> io::Result<()> {
        match LEFT.get() {
            None => Ok(()),
            Some(0) => Err(io::Error::other("killed")),
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }

    /// Runs `what` with N steps that succeed.
    pub(crate) fn after<T>(steps: usize, what: impl FnOnce() -> T) -> T {
        LEFT.set(Some(steps));
        let value = what();
        LEFT.set(None);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("readable")
            .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_at_commit_and_replaces_the_old_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.json");
        fs::write(&path, "old").expect("written");
        let mut file = AtomicFile::create(&path).expect("created");
        file.write_all(b"new").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("read"), "old");
        file.commit().expect("committed");
        assert_eq!(fs::read_to_string(&path).expect("read"), "new");
        assert_eq!(names(folder.path()), ["x.json"]);
    }

    #[test]
    fn a_file_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = AtomicFile::create(&folder.path().join("x.json")).expect("created");
        file.write_all(b"new").expect("written");
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_rename_that_fails_is_reported_with_the_final_name_and_cleaned_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.json");
        fs::create_dir(&path).expect("created");
        let error = write_file(&path, b"{}").expect_err("a folder is in the way");
        assert!(error.to_string().ends_with("x.json"), "{error}");
        assert_eq!(names(folder.path()), ["x.json"]);
    }
}
