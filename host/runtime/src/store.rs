//! The store of compiled components: compiling Python takes six seconds, loading what was compiled two milliseconds.
//!
//! ```text
//! <store>/                                   0700, ours
//! └── <sha256 of wasm>-<engine>.cwasm        magic (8) | sha256 of the rest (32) | the compiled component
//! ```
//!
//! `engine` is a digest of wasmtime's compatibility hash, so another version or configuration never sees the file. Loading machine code
//! is as good as running it: a file counts only when it and the folder belong to this user and nobody else may write to them. Whatever
//! is wrong with the store, the adapter is compiled in memory and the run goes on.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The eighth byte is the version of the file's layout.
const MAGIC: &[u8; 8] = b"ISCWASM\x01";
/// Files that have not been written for so long are removed: adapters and wasmtime move on, and a needed one is compiled again.
const AGE_MAX: Duration = Duration::from_secs(90 * 24 * 3600);

/// A folder of compiled components.
#[derive(Debug)]
pub(crate) struct ComponentStore {
    folder: PathBuf,
    /// A digest of the engine's version and configuration.
    engine_key: String,
}

impl ComponentStore {
    /// Names the store; nothing is touched before it is used.
    pub(crate) fn new(folder: PathBuf, engine: &Engine) -> Self {
        struct Sha(Sha256);
        impl Hasher for Sha {
            fn write(&mut self, bytes: &[u8]) {
                self.0.update(bytes);
            }
            fn finish(&self) -> u64 {
                0
            }
        }
        let mut sha = Sha(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut sha);
        let digest = hex(&sha.0.finalize());
        Self { folder, engine_key: digest.get(..16).unwrap_or_default().to_owned() }
    }

    /// The component of these bytes: loaded if it has been compiled before, else compiled and kept.
    pub(crate) fn component(&self, engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Component> {
        let path = self.folder.join(format!("{}-{}.cwasm", hex(&Sha256::digest(wasm)), self.engine_key));
        match self.load(engine, &path) {
            Ok(Some(component)) => return Ok(component),
            Ok(None) => {}
            Err(error) => tracing::debug!(path = %path.display(), %error, "a compiled adapter is not used"),
        }
        let component = Component::new(engine, wasm)?;
        match component.serialize() {
            Ok(compiled) => {
                if let Err(error) = self.keep(&path, &compiled) {
                    tracing::debug!(path = %path.display(), %error, "a compiled adapter is not kept");
                }
            }
            Err(error) => tracing::debug!(%error, "a compiled adapter cannot be written down"),
        }
        Ok(component)
    }

    /// The compiled component in that file; none when there is no file.
    fn load(&self, engine: &Engine, path: &Path) -> Result<Option<Component>, String> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if !metadata.is_file() {
            return Err("it is no ordinary file".into());
        }
        let folder = fs::symlink_metadata(&self.folder).map_err(|error| error.to_string())?;
        check_private(&self.folder, &folder, &metadata)?;
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        let (magic, rest) = bytes.split_at_checked(MAGIC.len()).ok_or("it is cut off")?;
        let (digest, compiled) = rest.split_at_checked(32).ok_or("it is cut off")?;
        if magic != MAGIC || Sha256::digest(compiled).as_slice() != digest {
            return Err("its checksum is wrong".into());
        }
        deserialize(engine, compiled).map(Some).map_err(|error| error.to_string())
    }

    /// Writes a compiled component so that a reader sees all of it or nothing.
    fn keep(&self, path: &Path, compiled: &[u8]) -> io::Result<()> {
        create_private_folder(&self.folder)?;
        let temporary = self.folder.join(format!(".{}.tmp", random_name()?));
        let written = (|| {
            let mut file = create_private_file(&temporary)?;
            file.write_all(MAGIC)?;
            file.write_all(&Sha256::digest(compiled))?;
            file.write_all(compiled)?;
            // No fsync: after a power cut the checksum tells, and the adapter is compiled again.
            fs::rename(&temporary, path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        self.prune();
        written
    }

    /// Removes what has not been written for long, leftovers of interrupted runs included.
    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let ours = entry.path().extension().is_some_and(|extension| extension == "cwasm" || extension == "tmp");
            let age = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
                .and_then(|modified| SystemTime::now().duration_since(modified).ok());
            if ours && age.is_some_and(|age| age > AGE_MAX) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Turns checked bytes of our own into a component.
#[allow(unsafe_code, reason = "the only place that takes compiled code from a file")]
fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` runs what it is given, so the bytes must come from `Component::serialize` of a compatible engine. The caller
    // has checked that file and folder belong to this user and that nobody else may write to them, and the checksum that `keep` wrote
    // over `serialize`'s output; wasmtime itself checks version and configuration. Who can forge that file can replace this program too.
    unsafe { Component::deserialize(engine, compiled) }
}

/// Refuses a file that another user could have written.
#[cfg(unix)]
fn check_private(folder: &Path, folder_metadata: &fs::Metadata, file: &fs::Metadata) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;

    // The owner of a file that we have just made is who we are; the standard library knows no other way to ask.
    let probe = folder.join(format!(".{}.tmp", random_name().map_err(|error| error.to_string())?));
    let us = create_private_file(&probe).and_then(|file| file.metadata()).map(|metadata| metadata.uid());
    let _ = fs::remove_file(&probe);
    let us = us.map_err(|error| format!("its folder cannot be written to: {error}"))?;
    if folder_metadata.uid() != us || file.uid() != us {
        return Err("it belongs to somebody else".into());
    }
    if folder_metadata.mode() & 0o022 != 0 || file.mode() & 0o022 != 0 {
        return Err("others may write to it".into());
    }
    Ok(())
}

/// Elsewhere the user's profile folder is private by inheritance.
#[cfg(not(unix))]
fn check_private(_folder: &Path, _folder_metadata: &fs::Metadata, _file: &fs::Metadata) -> Result<(), String> {
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
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        other => other,
    }
}

pub(crate) fn create_private_file(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A name that nobody else uses.
pub(crate) fn random_name() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest component: magic and the component layer's version.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn engine() -> Engine {
        crate::runtime::engine().unwrap()
    }

    fn only_file(folder: &Path) -> PathBuf {
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }

    #[test]
    fn a_component_is_compiled_once() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("a/compiled");
        let engine = engine();
        let store = ComponentStore::new(folder.clone(), &engine);
        store.component(&engine, EMPTY).unwrap();
        let file = only_file(&folder);
        assert!(store.load(&engine, &file).unwrap().is_some());
        let written = fs::metadata(&file).unwrap().modified().unwrap();
        store.component(&engine, EMPTY).unwrap();
        assert_eq!(fs::metadata(only_file(&folder)).unwrap().modified().unwrap(), written);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_damaged_file_is_compiled_again() {
        let temporary = tempfile::tempdir().unwrap();
        let engine = engine();
        let store = ComponentStore::new(temporary.path().to_owned(), &engine);
        store.component(&engine, EMPTY).unwrap();
        let file = only_file(temporary.path());
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert_eq!(store.load(&engine, &file).err().unwrap(), "its checksum is wrong");
        fs::write(&file, &bytes[..20]).unwrap();
        assert_eq!(store.load(&engine, &file).err().unwrap(), "it is cut off");
        store.component(&engine, EMPTY).unwrap();
        assert!(store.load(&engine, &file).unwrap().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn what_others_may_write_is_not_loaded() {
        use std::os::unix::fs::PermissionsExt;
        let temporary = tempfile::tempdir().unwrap();
        let engine = engine();
        let store = ComponentStore::new(temporary.path().to_owned(), &engine);
        store.component(&engine, EMPTY).unwrap();
        let file = only_file(temporary.path());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(store.load(&engine, &file).err().unwrap(), "others may write to it");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(store.load(&engine, &file).err().unwrap(), "others may write to it");
    }

    #[test]
    fn an_unusable_store_stops_nothing() {
        let temporary = tempfile::tempdir().unwrap();
        let blocked = temporary.path().join("file");
        fs::write(&blocked, "").unwrap();
        let engine = engine();
        ComponentStore::new(blocked.join("store"), &engine).component(&engine, EMPTY).unwrap();
    }
}
