//! `files`: the one folder that the project granted.
//!
//! The folder is opened once; everything in it is reached from there through `cap_std`, which resolves each step itself, so neither `..`
//! nor a symbolic link (also one that is put there meanwhile) leads out.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};

use infrahub_sync_base::limits::{Limit, Limits};

use crate::access::WriteAccess;

/// A granted folder.
pub(crate) struct Folder {
    path: PathBuf,
    access: Arc<WriteAccess>,
    /// None as long as the folder of a destination does not exist: it is made by the first write, since a diff writes nothing.
    dir: Mutex<Option<Arc<Dir>>>,
    bytes_max: usize,
}

/// Why a file operation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileError {
    /// No folder was granted, the path leads out of it, or it may only be read.
    Denied(String),
    NotFound,
    /// Larger than the limit, in bytes.
    TooLarge(u64),
    /// The operating system's own words.
    Other(String),
}

type Outcome<T> = Result<T, FileError>;

impl Folder {
    /// Grants a folder. A source's must exist; the error follows the setting's name.
    pub(crate) fn new(path: PathBuf, may_be_missing: bool, access: Arc<WriteAccess>, limits: &Limits) -> Result<Self, String> {
        let dir = match Dir::open_ambient_dir(&path, ambient_authority()) {
            Ok(dir) => Some(Arc::new(dir)),
            Err(error) if error.kind() == ErrorKind::NotFound && may_be_missing => None,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(format!("names the folder {}, which does not exist", path.display()));
            }
            Err(error) => return Err(format!("names the folder {}, which cannot be opened: {error}", path.display())),
        };
        Ok(Self { path, access, dir: Mutex::new(dir), bytes_max: limits.count(Limit::ResponseSize) })
    }

    /// Returns the folder, if it exists.
    fn dir(&self) -> Outcome<Option<Arc<Dir>>> {
        let mut dir = self.dir.lock().unwrap_or_else(PoisonError::into_inner);
        if dir.is_none() {
            // Another session may have made it meanwhile.
            *dir = match Dir::open_ambient_dir(&self.path, ambient_authority()) {
                Ok(dir) => Some(Arc::new(dir)),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(FileError::Other(error.to_string())),
            };
        }
        Ok(dir.clone())
    }

    /// Returns the folder for writing, and makes it if necessary.
    fn dir_for_writing(&self) -> Outcome<Arc<Dir>> {
        if !self.access.is_writing() {
            return Err(FileError::Denied(format!("this session only reads the folder {}", self.path.display())));
        }
        if let Some(dir) = self.dir()? {
            return Ok(dir);
        }
        std::fs::create_dir_all(&self.path).map_err(|error| FileError::Other(error.to_string()))?;
        self.dir()?.ok_or(FileError::NotFound)
    }

    pub(crate) fn list(&self) -> Outcome<Vec<String>> {
        let Some(dir) = self.dir()? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for entry in dir.entries().map_err(|error| self.error(&error))? {
            let entry = entry.map_err(|error| self.error(&error))?;
            // A name that is not a text cannot be requested; a link counts as its target, within the folder.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if dir.metadata(&name).is_ok_and(|metadata| metadata.is_file()) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens a file to be read.
    fn open(&self, path: &str) -> Outcome<(cap_std::fs::File, u64)> {
        let path = self.check(path)?;
        let dir = self.dir()?.ok_or(FileError::NotFound)?;
        let no_file = || Err(FileError::Other(format!("{} is not a file", path.display())));
        // Opening a named pipe would wait for somebody who writes to it.
        if !dir.metadata(path).map_err(|error| self.error(&error))?.is_file() {
            return no_file();
        }
        let file = dir.open(path).map_err(|error| self.error(&error))?;
        let metadata = file.metadata().map_err(|error| self.error(&error))?;
        if !metadata.is_file() {
            return no_file();
        }
        Ok((file, metadata.len()))
    }

    pub(crate) fn read(&self, path: &str) -> Outcome<Vec<u8>> {
        let (file, length) = self.open(path)?;
        let too_large = Err(FileError::TooLarge(self.bytes_max as u64));
        if length > self.bytes_max as u64 {
            return too_large;
        }
        // The file may grow while it is read.
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        file.take(self.bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(|error| self.error(&error))?;
        if bytes.len() > self.bytes_max { too_large } else { Ok(bytes) }
    }

    /// Whole lines from `offset`, and where the next one begins.
    pub(crate) fn read_lines(&self, path: &str, offset: u64, bytes_max: u32) -> Outcome<(Vec<u8>, Option<u64>)> {
        let (mut file, length) = self.open(path)?;
        if offset >= length {
            return Ok((Vec::new(), None));
        }
        file.seek(SeekFrom::Start(offset)).map_err(|error| self.error(&error))?;
        let wanted = (bytes_max as usize).clamp(1, self.bytes_max);
        let mut bytes = Vec::new();
        let mut chunk = wanted as u64;
        loop {
            let searched = bytes.len();
            let read = (&mut file).take(chunk).read_to_end(&mut bytes).map_err(|error| self.error(&error))?;
            if (read as u64) < chunk {
                // The end: the last line need not have a newline.
                return Ok((bytes, None));
            }
            if let Some(newline) = bytes.iter().skip(searched).rposition(|byte| *byte == b'\n') {
                bytes.truncate(searched + newline + 1);
                let next = offset + bytes.len() as u64;
                return Ok((bytes, (next < length).then_some(next)));
            }
            if bytes.len() >= self.bytes_max {
                return Err(FileError::TooLarge(self.bytes_max as u64));
            }
            // A line longer than was asked for: go on, a limited piece at a time.
            chunk = (bytes.len() as u64).min((self.bytes_max - bytes.len()) as u64).max(1);
        }
    }

    pub(crate) fn append(&self, path: &str, bytes: &[u8]) -> Outcome<()> {
        let path = self.check(path)?;
        let dir = self.dir_for_writing()?;
        // Opening a named pipe would wait for somebody who reads from it.
        if dir.metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(FileError::Other(format!("{} is not a file", path.display())));
        }
        let open = || dir.open_with(path, OpenOptions::new().append(true).create(true));
        let mut file = match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    dir.create_dir_all(parent).map_err(|error| self.error(&error))?;
                }
                open()
            }
            opened => opened,
        }
        .map_err(|error| self.error(&error))?;
        file.write_all(bytes).map_err(|error| self.error(&error))
    }

    pub(crate) fn replace(&self, from: &str, to: &str) -> Outcome<()> {
        let (from, to) = (self.check(from)?, self.check(to)?);
        let dir = self.dir_for_writing()?;
        if dir.metadata(from).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(FileError::Other(format!("{} is not a file", from.display())));
        }
        let work = || -> io::Result<()> {
            // The content first, then the name: after a power cut there is the old file or the whole new one.
            dir.open(from)?.sync_all()?;
            dir.rename(from, &dir, to)?;
            #[cfg(unix)]
            {
                let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
                // As a file: a `Dir` is a mere name for the kernel (`O_PATH`), which cannot be synced.
                dir.open(parent)?.sync_all()?;
            }
            Ok(())
        };
        work().map_err(|error| self.error(&error))
    }

    pub(crate) fn remove(&self, path: &str) -> Outcome<()> {
        let path = self.check(path)?;
        let removed = self.dir_for_writing()?.remove_file(path);
        match removed {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map_err(|error| self.error(&error)),
        }
    }

    /// Rejects paths that lead out of the folder by their words. cap_std rejects links that lead out.
    fn check<'a>(&self, path: &'a str) -> Outcome<&'a Path> {
        // A backslash or a colon means something else on Windows; an adapter must not depend on where it runs.
        let fine = !path.is_empty() && !path.contains(['\\', ':', '\0']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if fine {
            Ok(Path::new(path))
        } else {
            Err(FileError::Denied(format!("`{path}` is not a path within the folder {}", self.path.display())))
        }
    }

    fn error(&self, error: &io::Error) -> FileError {
        match error.kind() {
            ErrorKind::NotFound => FileError::NotFound,
            // What cap_std says about a way out has no error number, unlike what the operating system says.
            ErrorKind::PermissionDenied if error.raw_os_error().is_none() => {
                FileError::Denied(format!("a link leads out of the folder {}", self.path.display()))
            }
            _ => FileError::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::tests::limits_with;
    use std::fs;

    fn writing(granted: bool) -> Arc<WriteAccess> {
        let access = WriteAccess::new(granted);
        access.begin();
        Arc::new(access)
    }

    fn folder(path: &Path, writes: bool) -> Folder {
        Folder::new(path.to_owned(), writes, writing(writes), &limits_with(&[(Limit::ResponseSize, 20)])).unwrap()
    }

    fn denied<T>(outcome: Outcome<T>) -> bool {
        matches!(outcome, Err(FileError::Denied(_)))
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let temporary = tempfile::tempdir().unwrap();
        let inside = temporary.path().join("inside");
        fs::create_dir_all(inside.join("sub")).unwrap();
        fs::write(temporary.path().join("secret"), "s").unwrap();
        let folder = folder(&inside, true);
        for path in ["../secret", "sub/../../secret", "/etc/passwd", "", ".", "a//b", "sub/./x", "..\\secret", "C:x"] {
            assert!(denied(folder.read(path)), "{path}");
            assert!(denied(folder.append(path, b"x")), "{path}");
            assert!(denied(folder.remove(path)), "{path}");
            assert!(denied(folder.replace("a", path)), "{path}");
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            symlink("../secret", inside.join("link")).unwrap();
            symlink("..", inside.join("up")).unwrap();
            symlink(temporary.path(), inside.join("absolute")).unwrap();
            for path in ["link", "up/secret", "absolute/secret", "up/new"] {
                assert!(denied(folder.read(path)), "{path}");
                assert!(denied(folder.append(path, b"x")), "{path}");
            }
            assert_eq!(folder.list().unwrap(), Vec::<String>::new());
            // A link within the folder is as good as a file.
            fs::write(inside.join("sub/real"), "r").unwrap();
            symlink("sub/real", inside.join("alias")).unwrap();
            assert_eq!(folder.read("alias").unwrap(), b"r");
        }
        assert_eq!(fs::read(temporary.path().join("secret")).unwrap(), b"s");
        assert!(!temporary.path().join("new").exists());
    }

    #[test]
    fn a_source_folder_must_exist_and_is_only_read() {
        let temporary = tempfile::tempdir().unwrap();
        let missing = temporary.path().join("missing");
        assert!(Folder::new(missing.clone(), false, writing(false), &Limits::default()).err().unwrap().contains("does not exist"));
        let folder = folder(temporary.path(), false);
        assert!(denied(folder.append("a", b"x")) && denied(folder.replace("a", "b")) && denied(folder.remove("a")));
        assert!(matches!(folder.read("a"), Err(FileError::NotFound)));
    }

    #[test]
    fn a_destination_folder_is_made_by_the_first_write() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/b");
        let folder = folder(&path, true);
        assert_eq!(folder.list().unwrap(), Vec::<String>::new());
        assert!(matches!(folder.read("x"), Err(FileError::NotFound)));
        assert!(!path.exists());
        folder.append("x.part", b"1\n").unwrap();
        folder.append("x.part", b"2\n").unwrap();
        folder.append("sub/y", b"").unwrap();
        folder.replace("x.part", "x").unwrap();
        folder.remove("none").unwrap();
        assert_eq!(folder.list().unwrap(), ["x"]);
        assert_eq!(folder.read("x").unwrap(), b"1\n2\n");
        assert!(matches!(folder.replace("none", "x"), Err(FileError::NotFound)));
    }

    #[test]
    fn lines_are_never_cut() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = folder(temporary.path(), false);
        let text = b"a\nbcdefghij\n\nk\nl";
        fs::write(temporary.path().join("f"), text).unwrap();
        for bytes_max in [0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 20, 1000] {
            let (mut offset, mut all, mut rounds) = (0, Vec::new(), 0);
            loop {
                let (bytes, next) = folder.read_lines("f", offset, bytes_max).unwrap();
                assert!(!bytes.is_empty() && (next.is_none() || bytes.ends_with(b"\n")), "{bytes_max}: {bytes:?}");
                all.extend(bytes);
                rounds += 1;
                let Some(next) = next else { break };
                offset = next;
            }
            assert_eq!(all, text, "{bytes_max} in {rounds} rounds");
        }
        assert_eq!(folder.read_lines("f", 99, 10).unwrap(), (Vec::new(), None));
        fs::write(temporary.path().join("long"), [b'x'; 21]).unwrap();
        assert!(matches!(folder.read_lines("long", 0, 4), Err(FileError::TooLarge(20))));
        assert!(matches!(folder.read("long"), Err(FileError::TooLarge(20))));
        fs::write(temporary.path().join("newline"), b"a\n").unwrap();
        assert_eq!(folder.read_lines("newline", 0, 2).unwrap(), (b"a\n".to_vec(), None));
    }
}
