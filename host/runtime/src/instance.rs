//! One running instance of an adapter: its store, the state that host functions see, and how a call into it ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wasmtime::Store;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::adapter::Loaded;
use crate::bindings::Adapter as Bindings;
use crate::bindings::infrahub_sync::adapter::types as wit;
use crate::capability::files::Folder;
use crate::capability::http::Http;
use crate::capability::memo::Memos;
use crate::error::{AdapterName, Error, Failure, FailureKind, Result};
use crate::limits::{Limits, MemoryFence};
use crate::manifest::Manifest;
use crate::output::GuestOutput;
use crate::response::{Responses, StaleHandle};
use crate::secret::Scrubber;

/// What an instance may reach. The default is nothing.
#[derive(Clone, Default)]
pub(crate) struct Grants {
    pub(crate) http: Option<Arc<Http>>,
    pub(crate) folder: Option<Arc<Folder>>,
    pub(crate) memos: Option<Arc<Memos>>,
    pub(crate) scrubber: Scrubber,
}

/// What host functions see.
pub(crate) struct HostState {
    wasi: WasiCtx,
    /// WASI's own resources. Responses live in `responses`.
    wasi_table: ResourceTable,
    fence: MemoryFence,
    pub(crate) output: GuestOutput,
    pub(crate) adapter: Arc<AdapterName>,
    pub(crate) grants: Grants,
    pub(crate) responses: Responses,
    /// Requests that this call may still send.
    pub(crate) requests_left: u32,
    requests_max: u32,
    /// The last denial of this call.
    pub(crate) denied: Option<String>,
    /// A login that failed in this call, with the server's words, which are not the guest's to read.
    pub(crate) login_failed: Option<Failure>,
    pub(crate) clock: CallClock,
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.wasi_table }
    }
}

/// A broken promise, on its way through wasmtime to [`Error::Contract`].
#[derive(Debug)]
pub(crate) struct Breach(pub(crate) String);

impl std::error::Error for Breach {}

impl std::fmt::Display for Breach {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

/// Measures what a call computes: the time since its beginning without the time in host HTTP and files.
#[derive(Clone)]
pub(crate) struct CallClock(Arc<Mutex<Times>>);

struct Times {
    started: Instant,
    waited: Duration,
    waiting_since: Option<Instant>,
}

/// The shortest nap of the watch: a call whose time is used up while it waits is looked at this often.
const NAP_MIN: Duration = Duration::from_millis(5);

impl CallClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Times { started: Instant::now(), waited: Duration::ZERO, waiting_since: None })))
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn restart(&self) {
        *self.times() = Times { started: Instant::now(), waited: Duration::ZERO, waiting_since: None };
    }

    fn computed(&self) -> Duration {
        let times = self.times();
        let until = times.waiting_since.unwrap_or_else(Instant::now);
        until.duration_since(times.started).saturating_sub(times.waited)
    }

    /// Stops the clock while the host works. Host functions of one instance do not overlap.
    pub(crate) async fn pause<T>(&self, work: impl Future<Output = T>) -> T {
        self.times().waiting_since = Some(Instant::now());
        let result = work.await;
        let mut times = self.times();
        if let Some(since) = times.waiting_since.take() {
            times.waited += since.elapsed();
        }
        result
    }

    /// Comes back when the limit is used up.
    async fn watch(&self, limit: Duration) {
        loop {
            let left = limit.saturating_sub(self.computed());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.max(NAP_MIN)).await;
        }
    }
}

/// A call in progress.
pub(crate) type Calling<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<std::result::Result<T, wit::Error>>> + Send + 'a>>;

/// One instance, in a store of its own.
pub(crate) struct Instance {
    pub(crate) store: Store<HostState>,
    pub(crate) bindings: Bindings,
    limits: Limits,
}

impl Instance {
    /// Makes an instance. It has not been configured.
    pub(crate) async fn new(loaded: &Loaded, adapter: Arc<AdapterName>, grants: Grants, limits: &Limits) -> Result<Self> {
        loaded.shared.start_ticker()?;
        let output = GuestOutput::new(adapter.clone(), grants.scrubber.clone());
        let wasi = WasiCtx::builder().stdout(output.clone()).stderr(output.clone()).build();
        let state = HostState {
            wasi,
            wasi_table: ResourceTable::new(),
            fence: MemoryFence::new(limits.memory_bytes),
            output,
            adapter,
            grants,
            responses: Responses::new(limits.responses_held_max, limits.held_bytes_max),
            requests_left: limits.requests_max,
            requests_max: limits.requests_max,
            denied: None,
            login_failed: None,
            clock: CallClock::new(),
        };
        let mut store = Store::new(&loaded.shared.engine, state);
        store.limiter(|state| &mut state.fence);
        // Each epoch the guest gives way, so that the watch of `run` gets a look and tasks share the thread.
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        let clock = store.data().clock.clone();
        let made = tokio::select! {
            made = loaded.pre.instantiate_async(&mut store) => Some(made),
            () = clock.watch(limits.call_timeout) => None,
        };
        match made {
            Some(Ok(bindings)) => Ok(Self { store, bindings, limits: limits.clone() }),
            Some(Err(error)) => Err(trapped(store.data(), "instantiate", limits, &error)),
            None => Err(Error::Deadline { adapter: store.data().adapter.clone(), call: "instantiate", limit: limits.call_timeout }),
        }
    }

    /// Asks the adapter to describe itself.
    pub(crate) async fn describe(&mut self) -> Result<Manifest> {
        let adapter = self.store.data().adapter.clone();
        self.run("describe", |instance| {
            Box::pin(async move {
                let manifest = instance.bindings.infrahub_sync_adapter_meta().call_describe(&mut instance.store).await?;
                Ok(Ok(Manifest::from_wit(manifest).map_err(Breach)?))
            })
        })
        .await
        .inspect(|manifest| tracing::debug!(%adapter, name = manifest.name, version = manifest.version, "adapter described itself"))
    }

    /// Makes one call. After an error the instance is of no use: drop it.
    pub(crate) async fn run<T>(&mut self, call: &'static str, work: impl for<'a> FnOnce(&'a mut Instance) -> Calling<'a, T>) -> Result<T> {
        let limits = self.limits.clone();
        self.store.data_mut().begin_call();
        let clock = self.store.data().clock.clone();
        let ended = tokio::select! {
            ended = work(self) => Some(ended),
            () = clock.watch(limits.call_timeout) => None,
        };
        let state = self.store.data_mut();
        state.responses.end_call();
        match ended {
            Some(Ok(Ok(value))) => Ok(value),
            Some(Ok(Err(error))) => {
                let failure = failure(error, &state.grants.scrubber);
                let adapter = state.adapter.clone();
                // The host knows better than the guest why it could not go on.
                Err(match (state.denied.take(), state.login_failed.take()) {
                    (Some(reason), _) => Error::Denied { adapter, reason, failure },
                    (None, Some(failure)) => Error::Adapter { adapter, failure },
                    (None, None) => Error::Adapter { adapter, failure },
                })
            }
            Some(Err(error)) => Err(trapped(state, call, &limits, &error)),
            None => Err(Error::Deadline { adapter: state.adapter.clone(), call, limit: limits.call_timeout }),
        }
    }

    /// Memory is near its limit: the next call may fail for want of it, and a fresh instance would not.
    pub(crate) fn is_worn(&self) -> bool {
        self.store.data().fence.used() > self.limits.memory_bytes / 2
    }
}

impl HostState {
    fn begin_call(&mut self) {
        self.responses.end_call();
        self.requests_left = self.requests_max;
        self.denied = None;
        self.login_failed = None;
        self.output.clear();
        self.clock.restart();
    }

    /// Remembers a denial, so that the user is told what would allow it whatever the adapter makes of it.
    pub(crate) fn deny(&mut self, reason: String) -> String {
        // The reason repeats what the guest or a server wrote.
        let reason = self.grants.scrubber.scrub(reason);
        tracing::debug!(adapter = %self.adapter, "denied: {reason}");
        self.denied = Some(reason.clone());
        reason
    }
}

/// The contract's failure as ours, with credentials masked: a server may have echoed them.
pub(crate) fn failure(error: wit::Error, scrubber: &Scrubber) -> Failure {
    let kind = match error.kind {
        wit::ErrorKind::Config => FailureKind::Config,
        wit::ErrorKind::Auth => FailureKind::Auth,
        wit::ErrorKind::NotFound => FailureKind::NotFound,
        wit::ErrorKind::Conflict => FailureKind::Conflict,
        wit::ErrorKind::Invalid => FailureKind::Invalid,
        wit::ErrorKind::RateLimited => FailureKind::RateLimited,
        wit::ErrorKind::Transport => FailureKind::Transport,
        wit::ErrorKind::Remote => FailureKind::Remote,
        wit::ErrorKind::Unsupported => FailureKind::Unsupported,
        wit::ErrorKind::Internal => FailureKind::Internal,
    };
    Failure {
        kind,
        message: scrubber.scrub(error.message),
        http_status: error.http_status,
        retry_after: error.retry_after_ms.map(Duration::from_millis),
    }
}

/// What the end of a guest means.
fn trapped(state: &HostState, call: &'static str, limits: &Limits, error: &wasmtime::Error) -> Error {
    let adapter = state.adapter.clone();
    if state.fence.refused {
        return Error::Memory { adapter, call, limit_bytes: limits.memory_bytes };
    }
    let scrubber = &state.grants.scrubber;
    if let Some(Breach(reason)) = error.downcast_ref::<Breach>() {
        // The reason repeats what the guest gave.
        return Error::Contract { adapter, call, reason: scrubber.scrub(reason.clone()) };
    }
    if let Some(stale) = error.downcast_ref::<StaleHandle>() {
        return Error::Contract { adapter, call, reason: stale.to_string() };
    }
    tracing::debug!(%adapter, call, "{}", scrubber.scrub(format!("{error:?}")));
    let output = state.output.tail();
    // What the guest said last tells more than `unreachable`: a panic's message, the last line of a traceback.
    let message = match (output.lines().last(), error.downcast_ref::<wasmtime::Trap>()) {
        (Some(last), _) => last.trim().to_owned(),
        (None, Some(trap)) => trap.to_string(),
        (None, None) => error.root_cause().to_string(),
    };
    let message = message.strip_prefix("wasm trap: ").unwrap_or(&message).to_owned();
    Error::Trap { adapter, call, message, output }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_does_not_count_as_computing() {
        let clock = CallClock::new();
        clock.times().started = Instant::now() - Duration::from_secs(100);
        clock.times().waited = Duration::from_secs(99);
        assert!(clock.computed() < Duration::from_secs(2));
        // Used up: the watch comes back at once.
        clock.watch(Duration::from_secs(1)).await;
        clock.pause(async { assert!(clock.times().waiting_since.is_some()) }).await;
        assert!(clock.times().waiting_since.is_none());
    }
}
