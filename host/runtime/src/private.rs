//! Folders that only this user writes to, with files that are whole and ours or count as absent.
//!
//! ```text
//! <folder>/                  0700, ours
//! └── <name>.<extension>     magic (8) | sha256 of the rest (32) | the content
//! ```
//!
//! The content of such a file is trusted: a compiled adapter is run, a memo goes to the adapter that wrote it. So a file counts only when it
//! and the folder belong to this user, and no one else may write to them or replace a folder on the way there. The files only save work:
//! they are written without a sync to the disk, and those that have not been used for long are removed.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

/// Files that have not been used for so long are removed: the world moves on, and what is needed is made again.
const AGE_MAX: Duration = Duration::from_secs(90 * 24 * 3600);
/// A file's time of modification is the last day on which it was used: not more often, or each run would write.
const USE_NOTED: Duration = Duration::from_secs(24 * 3600);
/// The beginning of the names of unfinished files.
const UNFINISHED: &str = "tmp";
/// Bytes of a digest.
const DIGEST: usize = 32;

/// A folder of files of one sort.
#[derive(Debug)]
pub(crate) struct PrivateFolder {
    path: PathBuf,
    /// The eighth byte is the version of the content's layout.
    magic: &'static [u8; 8],
    extension: &'static str,
    /// Bytes of all files together, at most: the oldest go first.
    bytes_max: u64,
}

impl PrivateFolder {
    /// Names the folder; nothing is touched before it is used.
    pub(crate) fn new(path: PathBuf, magic: &'static [u8; 8], extension: &'static str) -> Self {
        Self { path, magic, extension, bytes_max: u64::MAX }
    }

    /// Bounds the bytes of all files together.
    pub(crate) fn with_bytes_max(self, bytes_max: u64) -> Self {
        Self { bytes_max, ..self }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.{}", self.extension))
    }

    /// Returns the content of that file; none when it does not exist, an error when it does not count.
    pub(crate) fn read(&self, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, String> {
        let path = self.file(name);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if !metadata.is_file() {
            return Err("it is not an ordinary file".into());
        }
        // From here on the real path: a symbolic link on the way could be turned while we look.
        let folder = fs::canonicalize(&self.path).map_err(|error| error.to_string())?;
        check_private(&self.path, &folder, &metadata)?;
        let path = folder.join(path.file_name().unwrap_or_default());
        let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX).saturating_sub(self.magic.len() + DIGEST);
        if size > bytes_max {
            return Err(format!("it has more than {bytes_max} bytes"));
        }
        let mut file = match fs::File::open(&path) {
            Ok(file) => file,
            // Removed meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let (mut magic, mut digest, mut content) = ([0; 8], [0; DIGEST], Vec::with_capacity(size));
        let read = file.read_exact(&mut magic).and_then(|()| file.read_exact(&mut digest)).and_then(|()| file.read_to_end(&mut content));
        read.map_err(|error| if error.kind() == ErrorKind::UnexpectedEof { "it is cut off".to_owned() } else { error.to_string() })?;
        if magic != *self.magic || Sha256::digest(&content)[..] != digest {
            return Err("its checksum is wrong".into());
        }
        let now = SystemTime::now();
        if metadata.modified().ok().and_then(|used| now.duration_since(used).ok()).is_some_and(|unused| unused > USE_NOTED) {
            // So that it is not removed; where that cannot be noted, it is made again some day.
            let _ = file.set_modified(now);
        }
        Ok(Some(content))
    }

    /// Writes a file so that a reader sees all of it or nothing.
    pub(crate) fn keep(&self, name: &str, content: &[u8]) -> io::Result<()> {
        create_private_folder(&self.path)?;
        let unfinished = unfinished(&self.path)?;
        let written = (|| {
            let mut file = create_private_file(&unfinished)?;
            file.write_all(self.magic)?;
            file.write_all(&Sha256::digest(content))?;
            file.write_all(content)?;
            // No fsync: after a power cut the checksum tells, and the content is made again.
            fs::rename(&unfinished, self.file(name))
        })();
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        self.prune();
        written
    }

    /// Removes a file. One that is not there is no error.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.file(name)) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
            removed => removed,
        }
    }

    /// Returns the files of the folder, leftovers of interrupted runs included; none when the folder does not exist.
    pub(crate) fn files(&self) -> io::Result<Vec<KeptFile>> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path();
            let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
            if extension != self.extension && extension != UNFINISHED {
                continue;
            }
            // One that is gone meanwhile is not there.
            let Ok(metadata) = entry.metadata() else { continue };
            let name = path.file_stem().filter(|_| extension == self.extension).map(|name| name.to_string_lossy().into_owned());
            files.push(KeptFile { name, bytes: metadata.len(), used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), path });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Removes what has not been used for long, and the oldest of what is too much.
    fn prune(&self) {
        let mut files = self.files().unwrap_or_default();
        files.sort_by_key(|file| std::cmp::Reverse(file.used));
        let mut bytes: u64 = 0;
        for file in files {
            bytes = bytes.saturating_add(file.bytes);
            if bytes > self.bytes_max || SystemTime::now().duration_since(file.used).is_ok_and(|age| age > AGE_MAX) {
                let _ = fs::remove_file(file.path);
            }
        }
    }
}

/// A file of a private folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptFile {
    pub(crate) path: PathBuf,
    /// Its name without the extension; none of a leftover.
    pub(crate) name: Option<String>,
    pub(crate) bytes: u64,
    /// The last day on which it was used.
    pub(crate) used: SystemTime,
}

/// Refuses a file that another user could have written. `folder` is the real path of `named`.
#[cfg(unix)]
fn check_private(named: &Path, folder: &Path, file: &fs::Metadata) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;

    let folder_metadata = fs::symlink_metadata(folder).map_err(|error| error.to_string())?;
    if fs::symlink_metadata(named).is_ok_and(|metadata| metadata.is_symlink()) {
        return Err("its folder is a symbolic link".into());
    }

    // The owner of a file that we have just made is who we are; the standard library knows no other way to ask.
    let probe = unfinished(folder).map_err(|error| error.to_string())?;
    let us = create_private_file(&probe).and_then(|file| file.metadata()).map(|metadata| metadata.uid());
    let _ = fs::remove_file(&probe);
    let us = us.map_err(|error| format!("its folder cannot be written to: {error}"))?;
    if folder_metadata.uid() != us || file.uid() != us {
        return Err("it belongs to another user".into());
    }
    if folder_metadata.mode() & 0o022 != 0 || file.mode() & 0o022 != 0 {
        return Err("others may write to it".into());
    }
    for parent in folder.ancestors().skip(1) {
        let metadata = fs::symlink_metadata(parent).map_err(|error| error.to_string())?;
        let (mode, owner, group) = (metadata.mode(), metadata.uid(), metadata.gid());
        // Where the sticky bit is set (/tmp), others make new entries and leave ours alone. A group with the number of the user is the
        // user's own, which many systems let write by default.
        let is_sticky = mode & 0o1000 != 0;
        let others = mode & 0o002 != 0 || mode & 0o020 != 0 && group != us && group != 0;
        if (owner != us && owner != 0) || (others && !is_sticky) {
            return Err(format!("others may put another folder in its place: they may write to {}", parent.display()));
        }
    }
    Ok(())
}

/// Elsewhere the user's profile folder is private by inheritance.
#[cfg(not(unix))]
fn check_private(_named: &Path, _folder: &Path, _file: &fs::Metadata) -> Result<(), String> {
    Ok(())
}

fn create_private_folder(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        other => other,
    }
}

/// Makes a file that only this user can read.
pub(crate) fn create_private_file(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Returns an unused name, for a file that is not finished.
fn unfinished(folder: &Path) -> io::Result<PathBuf> {
    Ok(folder.join(format!(".{}.{UNFINISHED}", random_name()?)))
}

/// Returns an unused name.
pub(crate) fn random_name() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(hex(&bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &Path) -> PrivateFolder {
        PrivateFolder::new(path.to_owned(), b"ISCTEST\x01", "test")
    }

    #[test]
    fn the_oldest_files_make_room() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = folder(temporary.path()).with_bytes_max(3 * 140);
        for name in ["a", "b", "c", "d"] {
            folder.keep(name, &[0; 100]).unwrap();
            let old = SystemTime::now() - Duration::from_secs(1000 - 100 * u64::from(name.as_bytes()[0] - b'a'));
            fs::File::options().write(true).open(folder.file(name)).unwrap().set_modified(old).unwrap();
        }
        folder.keep("e", &[0; 100]).unwrap();
        let kept = ["a", "b", "c", "d", "e"].map(|name| folder.read(name, 1000).unwrap().is_some());
        assert_eq!(kept, [false, false, true, true, true]);
    }

    #[test]
    fn what_is_kept_is_read_and_can_be_replaced_and_removed() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/b");
        let folder = folder(&path);
        assert_eq!(folder.read("x", 9), Ok(None));
        folder.remove("x").unwrap();
        for content in [&b"one"[..], b""] {
            folder.keep("x", content).unwrap();
            assert_eq!(folder.read("x", 9), Ok(Some(content.to_vec())));
        }
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "nothing unfinished is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
            assert_eq!(fs::metadata(folder.file("x")).unwrap().permissions().mode() & 0o777, 0o600);
        }
        folder.remove("x").unwrap();
        assert_eq!(folder.read("x", 9), Ok(None));
    }

    #[test]
    fn a_damaged_file_does_not_count() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = folder(temporary.path());
        folder.keep("x", b"content").unwrap();
        let good = fs::read(folder.file("x")).unwrap();
        let after = |damage: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            damage(&mut bytes);
            fs::write(folder.file("x"), bytes).unwrap();
            folder.read("x", 9)
        };
        assert_eq!(after(&|_| {}), Ok(Some(b"content".to_vec())));
        for at in [0, 7, 8, 39, 40, 46] {
            assert_eq!(after(&|bytes| bytes[at] ^= 1), Err("its checksum is wrong".into()), "{at}");
        }
        for length in [0, 7, 20, 39] {
            assert_eq!(after(&|bytes| bytes.truncate(length)), Err("it is cut off".into()), "{length}");
        }
        assert_eq!(after(&|bytes| bytes.truncate(40)), Err("its checksum is wrong".into()));
        assert_eq!(after(&|bytes| bytes.extend([0; 3])), Err("it has more than 9 bytes".into()));
        fs::remove_file(folder.file("x")).unwrap();
        fs::create_dir(folder.file("x")).unwrap();
        assert_eq!(folder.read("x", 9), Err("it is not an ordinary file".into()));
    }

    #[cfg(unix)]
    #[test]
    fn what_others_may_write_does_not_count() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let temporary = tempfile::tempdir().unwrap();
        let folder = folder(temporary.path());
        folder.keep("x", b"content").unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(&folder.file("x"), 0o666);
        assert_eq!(folder.read("x", 9), Err("others may write to it".into()));
        mode(&folder.file("x"), 0o600);
        mode(temporary.path(), 0o777);
        assert_eq!(folder.read("x", 9), Err("others may write to it".into()));
        mode(temporary.path(), 0o700);
        fs::rename(folder.file("x"), temporary.path().join("real")).unwrap();
        symlink("real", folder.file("x")).unwrap();
        assert_eq!(folder.read("x", 9), Err("it is not an ordinary file".into()));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_put_another_folder_in_its_place() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let temporary = tempfile::tempdir().unwrap();
        let shared = temporary.path().join("shared");
        let folder = folder(&shared.join("ours/x"));
        folder.keep("x", b"content").unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for (bits, is_read) in [(0o755, true), (0o777, false), (0o1777, true), (0o757, false), (0o700, true)] {
            mode(&shared, bits);
            let read = folder.read("x", 9);
            assert_eq!(read.is_ok(), is_read, "{bits:o}: {read:?}");
            if let Err(error) = read {
                assert!(error.starts_with("others may put another folder in its place") && error.ends_with("/shared"), "{error}");
            }
        }
        // Through a link that leads there, what counts is where it leads to; a link in place of the folder does not count.
        symlink("shared", temporary.path().join("link")).unwrap();
        let linked = PrivateFolder::new(temporary.path().join("link/ours/x"), b"ISCTEST\x01", "test");
        assert!(linked.read("x", 9).is_ok());
        symlink("x", shared.join("ours/y")).unwrap();
        let linked = PrivateFolder::new(shared.join("ours/y"), b"ISCTEST\x01", "test");
        assert_eq!(linked.read("x", 9), Err("its folder is a symbolic link".into()));
    }

    #[test]
    fn what_is_used_stays() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = folder(temporary.path());
        let old = SystemTime::now() - AGE_MAX - Duration::from_secs(60);
        let aged = |name: &str| {
            folder.keep(name, b"content").unwrap();
            fs::File::options().write(true).open(folder.file(name)).unwrap().set_modified(old).unwrap();
        };
        aged("used");
        folder.read("used", 9).unwrap();
        aged("unused");
        folder.keep("new", b"").unwrap();
        let names: Vec<Option<String>> = folder.files().unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(names, [Some("new".to_owned()), Some("used".to_owned())]);
    }

    #[test]
    fn what_is_old_is_removed_and_what_is_not_ours_stays() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = folder(temporary.path());
        let old = SystemTime::now() - AGE_MAX - Duration::from_secs(60);
        for name in ["old.test", ".left.tmp", "other.txt"] {
            fs::File::create(temporary.path().join(name)).unwrap().set_modified(old).unwrap();
        }
        fs::write(temporary.path().join("young.test"), "").unwrap();
        folder.keep("x", b"").unwrap();
        let mut names: Vec<_> = fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["other.txt", "x.test", "young.test"]);
    }
}
