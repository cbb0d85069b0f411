//! The store of published adapters that were fetched, so that they are fetched once.
//!
//! ```text
//! <store>/<sha256 of the component>.component     the component, as a private file
//! <store>/<sha256 of an origin>.release           what the origin said of it
//! ```
//!
//! [`private`](crate::private) says which files count: those that only this user can have written. Others are fetched again.

use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::private::{KeptFile, PrivateFolder, hex};
use crate::shape::COMPONENT_BYTES_MAX;
use crate::store::KeptComponent;

const COMPONENT: &[u8; 8] = b"ISCCOMP\x01";
const RELEASE: &[u8; 8] = b"ISCRELS\x01";
/// The words of an origin have a few lines.
const RELEASE_BYTES_MAX: usize = 1 << 20;

/// A folder of fetched components.
#[derive(Debug)]
pub struct FetchedStore {
    components: PrivateFolder,
    releases: PrivateFolder,
}

impl FetchedStore {
    /// Names the folder; nothing is touched before it is used.
    #[must_use]
    pub fn new(folder: &Path) -> FetchedStore {
        FetchedStore {
            components: PrivateFolder::new(folder.to_owned(), COMPONENT, "component"),
            releases: PrivateFolder::new(folder.to_owned(), RELEASE, "release"),
        }
    }

    /// Returns the component with that digest (`sha256:…`), if it is there and has that digest.
    ///
    /// # Errors
    /// When there is a file that does not count; the text says why.
    pub fn component(&self, digest: &str) -> Result<Option<Vec<u8>>, String> {
        let name = digits(digest);
        let limit = usize::try_from(COMPONENT_BYTES_MAX).unwrap_or(usize::MAX);
        let Some(bytes) = self.components.read(name, limit).map_err(|why| self.refused(&self.components.file(name), &why))? else {
            return Ok(None);
        };
        // The file's own checksum says only that it is whole.
        if hex(&Sha256::digest(&bytes)) != name {
            return Err(self.refused(&self.components.file(name), "it holds another component"));
        }
        Ok(Some(bytes))
    }

    /// Keeps a component, whose digest is `digest`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_component(&self, digest: &str, bytes: &[u8]) -> io::Result<()> {
        self.components.keep(digits(digest), bytes)
    }

    /// Returns what an origin said of its component, if that was kept and the file counts.
    #[must_use]
    pub fn release(&self, origin: &str) -> Option<Vec<u8>> {
        self.releases.read(&key(origin), RELEASE_BYTES_MAX).ok().flatten()
    }

    /// Keeps what an origin said of its component.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_release(&self, origin: &str, release: &[u8]) -> io::Result<()> {
        self.releases.keep(&key(origin), release)
    }

    /// Returns the components that are kept.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn components(&self) -> io::Result<Vec<KeptComponent>> {
        let kept = |file: KeptFile| KeptComponent {
            digest: file.name.map(|digest| format!("sha256:{digest}")),
            usable: true,
            path: file.path,
            bytes: file.bytes,
            used: file.used,
        };
        Ok(self.components.files()?.into_iter().map(kept).collect())
    }

    fn refused(&self, file: &Path, why: &str) -> String {
        format!("{} is not used: {why}", file.display())
    }
}

fn digits(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

fn key(origin: &str) -> String {
    hex(&Sha256::digest(origin.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_component_is_found_by_its_digest_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let store = FetchedStore::new(&temporary.path().join("adapters"));
        let digest = crate::digest(b"component");
        assert_eq!(store.component(&digest), Ok(None));
        store.keep_component(&digest, b"component").unwrap();
        assert_eq!(store.component(&digest), Ok(Some(b"component".to_vec())));
        assert_eq!(store.components().unwrap()[0].digest, Some(digest.clone()));
        // A whole file of ours with another component in it.
        store.keep_component(&digest, b"another").unwrap();
        let error = store.component(&digest).unwrap_err();
        assert!(error.ends_with(".component is not used: it holds another component"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_component_that_others_may_change_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let temporary = tempfile::tempdir().unwrap();
        let store = FetchedStore::new(temporary.path());
        let digest = crate::digest(b"component");
        store.keep_component(&digest, b"component").unwrap();
        store.keep_release("oci://h/x:1", b"{}").unwrap();
        assert_eq!(store.release("oci://h/x:1").as_deref(), Some(&b"{}"[..]));
        assert_eq!(store.release("oci://h/x:2"), None);
        for file in fs::read_dir(temporary.path()).unwrap() {
            fs::set_permissions(file.unwrap().path(), fs::Permissions::from_mode(0o666)).unwrap();
        }
        assert!(store.component(&digest).unwrap_err().ends_with("is not used: others may write to it"));
        assert_eq!(store.release("oci://h/x:1"), None);
    }
}
