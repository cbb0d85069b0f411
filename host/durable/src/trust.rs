//! Whether a file or folder can only have been written by this user: its owner, and who else may write to it.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// Why a file or folder is not trusted. The text follows its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// It belongs to the user with that number, who is neither this user nor root.
    Owner(u32),
    /// Other users may write to it.
    Writable,
}

impl fmt::Display for Distrust {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Distrust::Owner(user) => write!(out, "belongs to another user (number {user})"),
            Distrust::Writable => out.write_str("can be changed by other users"),
        }
    }
}

/// Returns why a file or folder is not trusted; none if it is, or if it does not exist. A symbolic link must be trusted, too.
///
/// # Errors
/// When the system refuses to describe it.
pub fn distrust(path: &Path) -> io::Result<Option<Distrust>> {
    let described = |metadata: io::Result<fs::Metadata>| match metadata {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    };
    let Some(named) = described(fs::symlink_metadata(path))? else { return Ok(None) };
    let followed = if named.is_symlink() { described(fs::metadata(path))? } else { None };
    Ok(distrust_of(&named).or_else(|| distrust_of(followed.as_ref()?)))
}

/// Returns why a file or folder is not trusted. Elsewhere than on Unix, those of a user are private by inheritance.
#[must_use]
#[cfg(not(unix))]
pub fn distrust_of(_metadata: &fs::Metadata) -> Option<Distrust> {
    None
}

/// Returns why a file or folder is not trusted.
#[must_use]
#[cfg(unix)]
pub fn distrust_of(metadata: &fs::Metadata) -> Option<Distrust> {
    use std::os::unix::fs::MetadataExt;

    let (us, owner, group, mode) = (rustix::process::geteuid().as_raw(), metadata.uid(), metadata.gid(), metadata.mode());
    if owner != us && owner != 0 {
        return Some(Distrust::Owner(owner));
    }
    // Many systems let a group with the number of its only user write by default. The mode of a link says nothing.
    let is_own_group = group == owner || group == 0;
    let is_writable = mode & 0o002 != 0 || mode & 0o020 != 0 && !is_own_group;
    (is_writable && !metadata.is_symlink()).then_some(Distrust::Writable)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[expect(clippy::print_stderr, reason = "a test that cannot run on this machine says so")]
    fn skipped() {
        eprintln!("SKIPPED: only root can make files of other users");
    }

    #[test]
    fn what_others_wrote_or_may_write_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        assert_eq!(distrust(&file).unwrap(), None);
        fs::write(&file, "").unwrap();
        let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        for (bits, expected) in [(0o644, None), (0o600, None), (0o646, Some(Distrust::Writable)), (0o1777, Some(Distrust::Writable))] {
            mode(bits);
            assert_eq!(distrust(&file).unwrap(), expected, "{bits:o}");
        }
        mode(0o644);
        let link = folder.path().join("link");
        symlink(&file, &link).unwrap();
        assert_eq!(distrust(&link).unwrap(), None);
        if !rustix::process::geteuid().is_root() {
            skipped();
            return;
        }
        chown(&file, Some(65534), Some(65534)).unwrap();
        assert_eq!((distrust(&file).unwrap(), distrust(&link).unwrap()), (Some(Distrust::Owner(65534)), Some(Distrust::Owner(65534))));
        chown(&file, Some(0), Some(100)).unwrap();
        mode(0o664);
        assert_eq!(distrust(&file).unwrap(), Some(Distrust::Writable), "by a group");
        mode(0o644);
        std::os::unix::fs::lchown(&link, Some(65534), None).unwrap();
        assert_eq!(distrust(&link).unwrap(), Some(Distrust::Owner(65534)), "who owns a link says where it leads");
    }
}
