//! The store of compiled components: compiling Python takes six seconds, loading what was compiled two milliseconds.
//!
//! ```text
//! <store>/<sha256 of wasm>-<engine>.cwasm        the compiled component, as a private file
//! ```
//!
//! `engine` is a digest of wasmtime's compatibility hash (its version, its configuration, the processor's abilities) and of this program's
//! version, so another one never sees the file. Loading machine code is as good as running it: [`private`](crate::private) says which files
//! count. Whatever is wrong with the store, the adapter is compiled in memory and the run continues. Several processes may use it at once: a
//! file appears whole, and two that compile the same write the same.

use std::hash::{Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::private::{KeptFile, PrivateFolder, hex};
use crate::runtime::Runtime;

const MAGIC: &[u8; 8] = b"ISCWASM\x01";

/// A folder of compiled components.
#[derive(Debug)]
pub(crate) struct ComponentStore {
    folder: PrivateFolder,
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
        env!("CARGO_PKG_VERSION").hash(&mut sha);
        let digest = hex(&sha.0.finalize());
        let folder = PrivateFolder::new(folder, MAGIC, "cwasm");
        Self { folder, engine_key: digest.get(..16).unwrap_or_default().to_owned() }
    }

    fn name(&self, digest: &[u8; 32]) -> String {
        format!("{}-{}", hex(digest), self.engine_key)
    }

    /// Returns the component with that SHA-256 if it has been compiled before.
    pub(crate) fn kept(&self, engine: &Engine, digest: &[u8; 32]) -> Option<Component> {
        let name = self.name(digest);
        self.load(engine, &name).unwrap_or_else(|error| {
            tracing::debug!(path = %self.folder.file(&name).display(), %error, "a compiled adapter is not used");
            None
        })
    }

    /// Compiles the component of these bytes, whose SHA-256 is `digest`, and keeps it.
    pub(crate) fn compile(&self, engine: &Engine, wasm: &[u8], digest: &[u8; 32]) -> wasmtime::Result<Component> {
        let component = Component::new(engine, wasm)?;
        match component.serialize() {
            Ok(compiled) => self.keep(digest, &compiled),
            Err(error) => tracing::debug!(%error, "a compiled adapter cannot be written down"),
        }
        Ok(component)
    }

    /// Keeps the machine code of a component, whose SHA-256 is `digest`.
    pub(crate) fn keep(&self, digest: &[u8; 32], compiled: &[u8]) {
        let name = self.name(digest);
        if let Err(error) = self.folder.keep(&name, compiled) {
            tracing::debug!(path = %self.folder.file(&name).display(), %error, "a compiled adapter is not kept");
        }
    }

    /// Returns the compiled component of that name; none when there is no file.
    fn load(&self, engine: &Engine, name: &str) -> Result<Option<Component>, String> {
        let Some(compiled) = self.folder.read(name, usize::MAX)? else { return Ok(None) };
        deserialize(engine, &compiled).map(Some).map_err(|error| error.to_string())
    }
}

/// A compiled adapter that is kept for later runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptComponent {
    /// Its file.
    pub path: PathBuf,
    /// `sha256:…` of the adapter's component; none of a leftover of an interrupted run.
    pub digest: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// The last day on which it was used.
    pub used: SystemTime,
    /// This program can use it; else it belongs to another version, or to another machine that shares the folder.
    pub usable: bool,
}

impl Runtime {
    /// Returns the compiled adapters that are kept, by whatever version; none without a store.
    pub fn kept_components(&self) -> io::Result<Vec<KeptComponent>> {
        let Some(store) = &self.0.store else { return Ok(Vec::new()) };
        let kept = |file: KeptFile| {
            let name = file.name.as_deref().and_then(|name| name.split_once('-'));
            KeptComponent {
                digest: name.map(|(digest, _)| format!("sha256:{digest}")),
                usable: name.is_some_and(|(_, engine)| engine == store.engine_key),
                path: file.path,
                bytes: file.bytes,
                used: file.used,
            }
        };
        Ok(store.folder.files()?.into_iter().map(kept).collect())
    }
}

/// Turns checked bytes of our own into a component.
#[allow(unsafe_code, reason = "the only place that takes compiled code")]
pub(crate) fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` runs what it is given, so the bytes must come from `Component::serialize` of a compatible engine. The caller
    // has them from a private folder, which has checked that file and folder belong to this user and that nobody else may write to them,
    // and the checksum that was written over `serialize`'s output; or from a process of this program that has compiled them. wasmtime itself
    // checks version and configuration. Who can forge that file can replace this program too.
    unsafe { Component::deserialize(engine, compiled) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// The smallest component: magic and the component layer's version.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn engine() -> Engine {
        crate::runtime::engine().unwrap()
    }

    fn compile(store: &ComponentStore, engine: &Engine) {
        let digest = Sha256::digest(EMPTY).into();
        if store.kept(engine, &digest).is_none() {
            store.compile(engine, EMPTY, &digest).unwrap();
        }
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
        compile(&store, &engine);
        let file = only_file(&folder);
        let written = fs::metadata(&file).unwrap().modified().unwrap();
        compile(&store, &engine);
        assert_eq!(fs::metadata(only_file(&folder)).unwrap().modified().unwrap(), written);
    }

    #[test]
    fn a_damaged_file_is_compiled_again() {
        let temporary = tempfile::tempdir().unwrap();
        let engine = engine();
        let store = ComponentStore::new(temporary.path().to_owned(), &engine);
        compile(&store, &engine);
        let file = only_file(temporary.path());
        let good = fs::read(&file).unwrap();
        fs::write(&file, &good[..good.len() - 1]).unwrap();
        compile(&store, &engine);
        assert!(fs::read(only_file(temporary.path())).unwrap() == good);
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(store.load(&engine, name).unwrap().is_some());
        // Whole and ours, and yet no compiled component.
        store.folder.keep(name, b"none").unwrap();
        assert!(store.load(&engine, name).is_err());
    }

    #[test]
    fn many_may_use_it_at_once() {
        let temporary = tempfile::tempdir().unwrap();
        let engine = engine();
        let name = format!("{}-{}", hex(&Sha256::digest(EMPTY)), ComponentStore::new(temporary.path().to_owned(), &engine).engine_key);
        let barrier = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let store = ComponentStore::new(temporary.path().to_owned(), &engine);
                    barrier.wait();
                    for round in 0..20 {
                        compile(&store, &engine);
                        // Whatever the others do: what is there is whole.
                        store.load(&engine, &name).unwrap();
                        if round % 5 == 4 {
                            let _ = store.folder.remove(&name);
                        }
                    }
                    compile(&store, &engine);
                });
            }
        });
        only_file(temporary.path());
    }

    #[test]
    fn an_unusable_store_stops_nothing() {
        let temporary = tempfile::tempdir().unwrap();
        let blocked = temporary.path().join("file");
        fs::write(&blocked, "").unwrap();
        let engine = engine();
        compile(&ComponentStore::new(blocked.join("store"), &engine), &engine);
    }
}
