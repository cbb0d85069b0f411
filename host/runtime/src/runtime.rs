//! The engine that all adapters of a process share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use infrahub_sync_base::limits::Limits;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Engine};

use crate::adapter::Adapter;
use crate::error::{AdapterName, Error, Result, Role};
use crate::exchange::Recorder;
use crate::guest::HostState;
use crate::guest::bindings;
use crate::memo::MemoStore;
use crate::store::ComponentStore;

/// The version of the contract that this program supports.
pub const CONTRACT_VERSION: &str = "0.2.0";

/// How long a guest computes before it must look up. A blink for a person, and 100 wake-ups a second for the machine.
const EPOCH: Duration = Duration::from_millis(10);

/// The options of a [`Runtime`].
#[derive(Debug, Clone, Default)]
pub struct RuntimeOptions {
    /// The folder for compiled adapters. None, or one that cannot be used: adapters are compiled in each process.
    pub component_store: Option<PathBuf>,
    /// The folder for lasting memos. None, or one that cannot be used: they last as long as the session.
    pub memo_store: Option<PathBuf>,
    /// The program that compiles adapters that are not built in, within limits of memory and time. None: this process compiles, without them.
    pub compiler: Option<PathBuf>,
}

/// Loads adapters.
#[derive(Clone)]
pub struct Runtime(pub(crate) Arc<Shared>);

impl std::fmt::Debug for Runtime {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Runtime").finish_non_exhaustive()
    }
}

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<HostState>,
    pub(crate) store: Option<ComponentStore>,
    pub(crate) memos: Option<MemoStore>,
    pub(crate) compiler: Option<PathBuf>,
    ticker: OnceLock<()>,
    /// Recordings in progress: source and destination may be the same adapter, and then share one file.
    recorders: Mutex<HashMap<PathBuf, Weak<Recorder>>>,
}

/// Makes the engine, with on-demand allocation: sessions keep their instances, so a pool would save nothing and slow the start.
pub(crate) fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.epoch_interruption(true);
    Engine::new(&config)
}

impl Runtime {
    /// Makes the engine: about a millisecond, no thread is started yet.
    pub fn new(options: RuntimeOptions) -> Result<Self> {
        let engine = engine().map_err(Error::runtime)?;
        let mut linker = Linker::new(&engine);
        bindings::Adapter::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut HostState| state).map_err(Error::runtime)?;
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(Error::runtime)?;
        let store = options.component_store.map(|folder| ComponentStore::new(folder, &engine));
        let memos = options.memo_store.map(MemoStore::new);
        Ok(Self(Arc::new(Shared {
            engine,
            linker,
            store,
            memos,
            compiler: options.compiler,
            ticker: OnceLock::new(),
            recorders: Mutex::default(),
        })))
    }

    /// Loads an adapter from the bytes of its component. Its name in errors is `name` until it has described itself.
    ///
    /// Compiles (seconds for Python and JavaScript) unless the store has it: to be called from a thread that may block.
    pub fn load_adapter(&self, wasm: &[u8], name: &str) -> Result<Adapter> {
        self.load_adapter_of(wasm, name, None, &Limits::default())
    }

    /// Loads the adapter of one side of a project, within its limits of compiling.
    pub fn load_adapter_of(&self, wasm: &[u8], name: &str, role: Option<Role>, limits: &Limits) -> Result<Adapter> {
        Adapter::load(self.0.clone(), wasm, AdapterName { role, name: name.to_owned(), version: String::new() }, Some(limits))
    }

    /// Loads an adapter that is a part of this program. It is compiled in this process.
    pub fn load_built_in(&self, wasm: &[u8], name: &str) -> Result<Adapter> {
        Adapter::load(self.0.clone(), wasm, AdapterName { role: None, name: name.to_owned(), version: String::new() }, None)
    }
}

impl Shared {
    /// Starts the clock that interrupts guests, once. It ends with the engine.
    pub(crate) fn start_ticker(&self) -> Result<()> {
        if self.ticker.get().is_some() {
            return Ok(());
        }
        let mut failed = None;
        self.ticker.get_or_init(|| {
            let engine = self.engine.weak();
            let spawned = std::thread::Builder::new().name("adapter-clock".into()).spawn(move || {
                while let Some(engine) = engine.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    std::thread::sleep(EPOCH);
                }
            });
            failed = spawned.err();
        });
        match failed {
            Some(error) => Err(Error::runtime(format_args!("no thread for the clock: {error}"))),
            None => Ok(()),
        }
    }

    /// Returns the recorder of that file, shared with other sessions that record to it.
    pub(crate) fn recorder(&self, path: PathBuf) -> Result<Arc<Recorder>> {
        let mut recorders = self.recorders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recorder) = recorders.get(&path).and_then(Weak::upgrade) {
            return Ok(recorder);
        }
        let recorder = Arc::new(Recorder::create(path.clone())?);
        recorders.insert(path, Arc::downgrade(&recorder));
        Ok(recorder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_starts_without_a_store() {
        Runtime::new(RuntimeOptions::default()).unwrap();
    }
}
