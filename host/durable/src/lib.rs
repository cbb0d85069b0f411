//! Files that appear whole or not at all, and survive a power cut.
//!
//! A file is written as `.<name>.<pid>-<n>-<random>.tmp` in its own folder, flushed to the disk and renamed, and then its folder is flushed. A crash
//! leaves the old file or the new one, and perhaps a `*.tmp` that is never read.
//!
//! Key types: [`AtomicFile`] (replaces a file), [`AppendFile`] (grows one), [`Error`].
//!
//! Tests of other crates can fail each step: [`failpoint`]. A feature of Cargo would build the program a second time for its tests.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails may panic"))]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub mod failpoint;
mod trust;

use failpoint::may_fail;

pub use trust::{Distrust, distrust, distrust_of};

/// The extension of unfinished files.
const UNFINISHED: &str = ".tmp";

/// A step that the operating system refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct Error {
    /// The step, as a verb: `write`, `create` …
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The system's answer.
    #[source]
    pub source: io::Error,
}

/// Adds the step and the path to an I/O error.
trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error { action, path: path.to_owned(), source })
    }
}

/// A file that does not exist yet under its name. Dropping it without [`commit`](Self::commit) leaves nothing.
#[derive(Debug)]
pub struct AtomicFile {
    /// `None` once committed.
    file: Option<File>,
    unfinished: PathBuf,
    path: PathBuf,
}

impl AtomicFile {
    /// Begins a file for `path`, whose folder must exist.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn create(path: &Path) -> Result<AtomicFile, Error> {
        // Process and number make the name unique, so that two writers never share an unfinished file. In a folder of several users, another
        // user must not know it: the file must be new, so a link with that name would only stop the run.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = path.with_file_name(format!(".{name}.{}-{number}-{:08x}{UNFINISHED}", std::process::id(), random()));
        let file = may_fail().and_then(|()| create_new(&unfinished)).at("create", &unfinished)?;
        Ok(AtomicFile { file: Some(file), unfinished, path: path.to_owned() })
    }

    /// Gives the file its name, in place of an older file. The file survives a power cut once this returns.
    ///
    /// # Errors
    /// When the system refuses; the older file is then unchanged.
    pub fn commit(mut self) -> Result<(), Error> {
        if let Some(file) = &self.file {
            may_fail().and_then(|()| file.sync_all()).at("write", &self.path)?;
        }
        // Closed before the rename: Windows does not rename open files.
        self.file = None;
        if let Err(error) = may_fail().and_then(|()| fs::rename(&self.unfinished, &self.path)) {
            let _ = fs::remove_file(&self.unfinished);
            return Err(error).at("write", &self.path);
        }
        sync_folder_of(&self.path)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else {
            return Err(io::Error::other("the file is committed"));
        };
        may_fail()?;
        file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // The writer failed, and reports that itself.
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}

/// Creates a file, never by way of a link, to which no other user may write whatever the umask.
fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
    options.open(path)
}

/// Returns a number that other users do not know: the seed of the standard library's hash tables.
fn random() -> u32 {
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    u32::try_from(seed >> 32).unwrap_or_default()
}

/// A file that grows at its end.
#[derive(Debug)]
pub struct AppendFile {
    file: File,
    path: PathBuf,
    bytes: u64,
    /// A write failed: the end of the file is unknown, and nothing may follow it.
    failed: bool,
}

impl AppendFile {
    /// Opens a file that exists, and truncates it to `bytes`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(path: &Path, bytes: u64) -> Result<AppendFile, Error> {
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
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds bytes to the end. They survive a power cut once this returns. After an error, nothing can be added.
    ///
    /// # Errors
    /// When the system refuses, or an earlier call failed.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
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

/// Replaces a small file, or creates it.
///
/// # Errors
/// When the system refuses; an older file is then unchanged.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).at("write", path)?;
    file.commit()
}

/// Flushes a folder, so that its new and removed names survive a power cut.
///
/// # Errors
/// When the system refuses.
pub fn sync_folder(folder: &Path) -> Result<(), Error> {
    // Windows has no such call, and journals its renames.
    #[cfg(unix)]
    may_fail().and_then(|()| File::open(folder)).and_then(|file| file.sync_all()).at("write", folder)?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

fn sync_folder_of(path: &Path) -> Result<(), Error> {
    match path.parent() {
        // A name without a folder is in the working directory.
        Some(folder) if folder.as_os_str().is_empty() => sync_folder(Path::new(".")),
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// Creates a folder and its parents.
///
/// # Errors
/// When the system refuses.
pub fn create_folder(folder: &Path) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    may_fail().and_then(|()| create_folders(folder)).at("create", folder)?;
    sync_folder_of(folder)
}

/// Creates folders to which no other user may write, whatever the umask.
fn create_folders(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o755);
    builder.create(folder)
}

/// Removes a file that may be missing, and returns whether it existed.
///
/// # Errors
/// When the system refuses.
pub fn remove_file(path: &Path) -> Result<bool, Error> {
    match may_fail().and_then(|()| fs::remove_file(path)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at("remove", path),
    }
}

/// Renames within a folder, and flushes the folder.
///
/// # Errors
/// When the system refuses.
pub fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    may_fail().and_then(|()| fs::rename(from, to)).at("rename", from)?;
    sync_folder_of(to)
}

/// Removes a folder and its contents.
///
/// # Errors
/// When the system refuses.
pub fn remove_folder(folder: &Path) -> Result<(), Error> {
    may_fail().and_then(|()| fs::remove_dir_all(folder)).at("remove", folder)?;
    sync_folder_of(folder)
}

/// Removes the files of a folder whose names `unwanted` selects, and flushes the folder if a file was removed.
///
/// # Errors
/// When the system refuses.
pub fn remove_files(folder: &Path, unwanted: impl Fn(&str) -> bool) -> Result<(), Error> {
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

/// Returns whether a file with that name was never finished.
#[must_use]
pub fn is_unfinished(name: &str) -> bool {
    name.ends_with(UNFINISHED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_at_commit_and_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        fs::write(&path, "old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        file.commit().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(folder.path()), ["x.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn an_unfinished_file_is_new_and_no_other_user_may_write_to_it() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (victim, link) = (folder.path().join("victim"), folder.path().join("link"));
        fs::write(&victim, "mine").unwrap();
        symlink(&victim, &link).unwrap();
        assert_eq!(create_new(&link).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        let (one, other) = (AtomicFile::create(&victim).unwrap(), AtomicFile::create(&victim).unwrap());
        let random = |file: &AtomicFile| file.unfinished.to_string_lossy().rsplit('-').next().unwrap().to_owned();
        assert_ne!(random(&one), random(&other), "a name that can be foreseen");
        assert_eq!(fs::metadata(&one.unfinished).unwrap().permissions().mode() & 0o022, 0);
        create_folder(&folder.path().join("a/b")).unwrap();
        assert_eq!(fs::metadata(folder.path().join("a")).unwrap().permissions().mode() & 0o022, 0);
    }

    #[test]
    fn a_file_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = AtomicFile::create(&folder.path().join("x.json")).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_rename_that_fails_is_reported_with_the_final_name_and_cleaned_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        fs::create_dir(&path).unwrap();
        let error = write_file(&path, b"{}").unwrap_err();
        assert!(error.path == path, "{error}");
        assert_eq!(names(folder.path()), ["x.json"]);
    }
}
