//! `memo`: small values that the host keeps for an adapter.
//!
//! ```text
//! run       in the session: its instances share them
//! lasting   in the session, and in <memo store>/<sha256 of component, address and key>.memo, a private file
//! ```
//!
//! Only the component that wrote a lasting memo reads it, and only for the address that it wrote it for: the file's name says so. Without a
//! store, and in sessions that record or replay, lasting memos end with the session.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::private::{PrivateFolder, hex};

/// How long a memo is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// As long as the session.
    Run,
    /// For later runs, too.
    Lasting,
}

const MAGIC: &[u8; 8] = b"ISCMEMO\x01";

/// Bytes of the lasting memos of all adapters together.
const STORE_BYTES_MAX: u64 = 512 << 20;

/// The folder of lasting memos, of all adapters.
#[derive(Debug, Clone)]
pub(crate) struct MemoStore(Arc<PrivateFolder>);

impl MemoStore {
    /// Names the store; nothing is touched before it is used.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self(Arc::new(PrivateFolder::new(folder, MAGIC, "memo").with_bytes_max(STORE_BYTES_MAX)))
    }
}

/// The bounds of the memos of one session, keys included.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Bytes of a key.
    key: usize,
    /// Bytes of a value. A large schema as JSON is a few megabytes.
    value: usize,
    /// Bytes of all memos of one lifetime. They are in the host's memory.
    total: usize,
    /// The number of memos of one lifetime.
    count: usize,
}

const BOUNDS: Bounds = Bounds { key: 256, value: 8 << 20, total: 32 << 20, count: 4096 };

/// The memos of one session.
pub(crate) struct Memos {
    run: Mutex<Shelf>,
    /// The memos that this session has put itself: it sees them without the files, and they bound how much it writes to the disk.
    lasting: Mutex<Shelf>,
    store: Option<MemoStore>,
    /// A digest of whose memos these are, to be continued with a key.
    owner: Sha256,
    bounds: Bounds,
}

/// Values in memory.
#[derive(Default)]
struct Shelf {
    values: HashMap<String, Arc<[u8]>>,
    /// Keys and values together.
    bytes: usize,
}

impl Shelf {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.values.get(key).map(|value| value.to_vec())
    }

    /// Keeps a value in place of an older one, which goes in any case. False when there is no room.
    fn put(&mut self, key: &str, value: &[u8], bounds: Bounds) -> bool {
        if let Some(old) = self.values.remove(key) {
            self.bytes -= key.len() + old.len();
        }
        let bytes = self.bytes + key.len() + value.len();
        let fits = value.len() <= bounds.value && bytes <= bounds.total && self.values.len() < bounds.count;
        if fits {
            self.values.insert(key.to_owned(), value.into());
            self.bytes = bytes;
        }
        fits
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memos {
    /// Makes the memos of a component (by its SHA-256) about an address.
    pub(crate) fn new(component: &[u8; 32], address: Option<&str>, store: Option<MemoStore>) -> Self {
        // Digests have one length, so no address can look like the beginning of a key.
        let address = Sha256::digest(address.unwrap_or_default().trim().trim_end_matches('/'));
        let owner = Sha256::new().chain_update(component).chain_update(address);
        Self { run: Mutex::default(), lasting: Mutex::default(), store, owner, bounds: BOUNDS }
    }

    /// Returns the name of a key's file.
    fn name(&self, key: &str) -> String {
        hex(&self.owner.clone().chain_update(key).finalize())
    }

    /// Returns whether memos of this lifetime are in files.
    pub(crate) fn are_files(&self, lifetime: Lifetime) -> bool {
        lifetime == Lifetime::Lasting && self.store.is_some()
    }

    pub(crate) fn get(&self, lifetime: Lifetime, key: &str) -> Option<Vec<u8>> {
        match lifetime {
            Lifetime::Run => lock(&self.run).get(key),
            Lifetime::Lasting => {
                let own = lock(&self.lasting).get(key);
                own.or_else(|| self.read(key))
            }
        }
    }

    pub(crate) fn put(&self, lifetime: Lifetime, key: &str, value: Vec<u8>) -> Vec<u8> {
        let key_fits = key.len() <= self.bounds.key;
        match lifetime {
            Lifetime::Run => {
                let mut shelf = lock(&self.run);
                if let Some(first) = shelf.get(key) {
                    return first;
                }
                if !key_fits || !shelf.put(key, &value, self.bounds) {
                    tracing::debug!(key_bytes = key.len(), bytes = value.len(), "a memo of an adapter is not kept: there is no room");
                }
            }
            Lifetime::Lasting => {
                let kept = key_fits && lock(&self.lasting).put(key, &value, self.bounds);
                self.write(key, kept.then_some(&value));
            }
        }
        value
    }

    fn read(&self, key: &str) -> Option<Vec<u8>> {
        let folder = &self.store.as_ref()?.0;
        let name = self.name(key);
        folder.read(&name, self.bounds.value).unwrap_or_else(|error| {
            tracing::debug!(path = %folder.file(&name).display(), error, "a memo of an adapter is not used");
            None
        })
    }

    /// Writes a file, or removes it: what was there is outdated.
    fn write(&self, key: &str, value: Option<&Vec<u8>>) {
        let Some(MemoStore(folder)) = &self.store else { return };
        let name = self.name(key);
        let written = match value {
            Some(value) => folder.keep(&name, value),
            None => folder.remove(&name),
        };
        if let Err(error) = written {
            tracing::debug!(path = %folder.file(&name).display(), %error, "a memo of an adapter is not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    const RUN: Lifetime = Lifetime::Run;
    const LASTING: Lifetime = Lifetime::Lasting;

    /// A session of component number `component`.
    fn session(component: u8, address: Option<&str>, folder: Option<&Path>) -> Memos {
        let memos = Memos::new(&[component; 32], address, folder.map(|folder| MemoStore::new(folder.to_owned())));
        Memos { bounds: Bounds { key: 4, value: 8, total: 30, count: 3 }, ..memos }
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).map_or(0, Iterator::count)
    }

    #[test]
    fn in_a_run_the_first_value_stays() {
        let folder = tempfile::tempdir().unwrap();
        let memos = session(1, Some("http://a"), Some(folder.path()));
        assert_eq!(memos.get(RUN, "a"), None);
        assert_eq!(memos.put(RUN, "a", b"one".to_vec()), b"one");
        assert_eq!(memos.put(RUN, "a", b"two".to_vec()), b"one");
        assert_eq!(memos.put(RUN, "a", vec![0; 9]), b"one");
        assert_eq!(memos.get(RUN, "a").unwrap(), b"one");
        assert_eq!(memos.get(LASTING, "a"), None);
        // Another session is another run, and no file knows.
        assert_eq!(session(1, Some("http://a"), Some(folder.path())).get(RUN, "a"), None);
        assert_eq!(files(folder.path()), 0);
    }

    #[test]
    fn what_lasts_is_found_by_later_sessions_and_replaced() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("memos");
        let memos = session(1, Some("http://a"), Some(&folder));
        assert_eq!(memos.get(LASTING, "a"), None);
        assert_eq!(memos.put(LASTING, "a", b"one".to_vec()), b"one");
        assert_eq!(memos.put(LASTING, "a", b"two".to_vec()), b"two");
        assert_eq!((memos.get(LASTING, "a").unwrap(), memos.get(RUN, "a")), (b"two".to_vec(), None));
        for address in ["http://a", "http://a/"] {
            assert_eq!(session(1, Some(address), Some(&folder)).get(LASTING, "a").unwrap(), b"two");
        }
        session(1, Some("http://a"), Some(&folder)).put(LASTING, "a", b"".to_vec());
        assert_eq!(session(1, Some("http://a"), Some(&folder)).get(LASTING, "a").unwrap(), b"");
        assert_eq!(files(&folder), 1);
    }

    #[test]
    fn what_is_kept_belongs_to_a_component_an_address_and_a_key() {
        let folder = tempfile::tempdir().unwrap();
        session(1, Some("http://a"), Some(folder.path())).put(LASTING, "k", b"mine".to_vec());
        for (component, address, key) in
            [(2, Some("http://a"), "k"), (1, Some("http://b"), "k"), (1, None, "k"), (1, Some("http://a"), "j"), (1, Some("http://ak"), "")]
        {
            assert_eq!(session(component, address, Some(folder.path())).get(LASTING, key), None, "{component} {address:?} {key}");
        }
        assert_eq!(session(1, Some("http://a"), Some(folder.path())).get(LASTING, "k").unwrap(), b"mine");
    }

    #[test]
    fn what_is_too_large_or_too_much_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        for lifetime in [RUN, LASTING] {
            let memos = session(1, None, Some(folder.path()));
            for (key, value) in [("large", vec![1; 1]), ("big", vec![1; 9])] {
                assert_eq!(memos.put(lifetime, key, value.clone()), value);
                assert_eq!(memos.get(lifetime, key), None);
            }
            memos.put(lifetime, "a", vec![1; 8]);
            memos.put(lifetime, "b", vec![1; 8]);
            // 9 + 9 + 9 are within 30 bytes; a fourth is one too many, however small.
            memos.put(lifetime, "c", vec![1; 8]);
            assert_eq!(memos.put(lifetime, "d", Vec::new()), b"");
            assert_eq!((memos.get(lifetime, "c").unwrap().len(), memos.get(lifetime, "d")), (8, None));
        }
        let memos = session(1, None, None);
        for key in ["aaaa", "bbbb"] {
            memos.put(RUN, key, vec![1; 8]);
        }
        memos.put(RUN, "c", vec![1; 6]);
        assert_eq!(memos.get(RUN, "c"), None, "31 bytes");
        memos.put(RUN, "c", vec![1; 5]);
        assert_eq!(memos.get(RUN, "c").unwrap().len(), 5);
    }

    #[test]
    fn a_lasting_value_that_cannot_be_replaced_goes() {
        let folder = tempfile::tempdir().unwrap();
        session(1, None, Some(folder.path())).put(LASTING, "a", b"old".to_vec());
        let memos = session(1, None, Some(folder.path()));
        memos.put(LASTING, "a", vec![1; 9]);
        assert_eq!(memos.get(LASTING, "a"), None);
        assert_eq!(files(folder.path()), 0);
    }

    #[test]
    fn without_a_store_what_lasts_is_gone_with_the_session() {
        let memos = session(1, None, None);
        memos.put(LASTING, "a", b"one".to_vec());
        memos.put(LASTING, "a", b"two".to_vec());
        assert_eq!(memos.get(LASTING, "a").unwrap(), b"two");
        assert_eq!(session(1, None, None).get(LASTING, "a"), None);
    }

    #[test]
    fn a_damaged_memo_is_absent_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        session(1, None, Some(folder.path())).put(LASTING, "a", b"one".to_vec());
        let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let good = fs::read(&file).unwrap();
        for damaged in [&good[..good.len() - 1], &good[..10], b"", &[&good[..], &[0; 100]].concat()] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(session(1, None, Some(folder.path())).get(LASTING, "a"), None, "{damaged:?}");
        }
        session(1, None, Some(folder.path())).put(LASTING, "a", b"two".to_vec());
        assert_eq!(session(1, None, Some(folder.path())).get(LASTING, "a").unwrap(), b"two");
    }

    #[cfg(unix)]
    #[test]
    fn what_others_may_write_is_absent() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let get = || session(1, None, Some(folder.path())).get(LASTING, "a");
        session(1, None, Some(folder.path())).put(LASTING, "a", b"one".to_vec());
        let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o620)).unwrap();
        assert_eq!(get(), None);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(get().unwrap(), b"one");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o770)).unwrap();
        assert_eq!(get(), None);
    }

    #[test]
    fn an_unusable_store_stops_nothing() {
        let temporary = tempfile::tempdir().unwrap();
        let blocked = temporary.path().join("file");
        fs::write(&blocked, "").unwrap();
        let memos = session(1, None, Some(&blocked.join("memos")));
        assert_eq!(memos.put(LASTING, "a", b"one".to_vec()), b"one");
        assert_eq!(memos.get(LASTING, "a").unwrap(), b"one");
        assert_eq!(memos.get(LASTING, "b"), None);
        memos.put(LASTING, "b", vec![0; 9]);
    }
}
