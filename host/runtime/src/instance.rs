//! One running instance of an adapter: its store, the state that host functions see, and how a call into it ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use infrahub_sync_base::limits::Limit;
use wasmtime::Store;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::adapter::Loaded;
use crate::capability::files::Folder;
use crate::capability::http::Http;
use crate::capability::memo::Memos;
use crate::error::{AdapterName, Error, Failure, Result};
use crate::guest::bindings::Adapter as Bindings;
use crate::guest::bindings::infrahub_sync::adapter::types as wit;
use crate::guest::convert;
use crate::limits::{Exceeded, Limits, MemoryFence};
use crate::output::GuestOutput;
use crate::response::{Responses, StaleHandle};
use crate::secret::Scrubber;
use crate::usage::Usage;

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
    limits: Limits,
    usage: Arc<Usage>,
    /// Requests of this call.
    requests: u32,
    /// What was refused last in this call.
    refused: Option<Refused>,
    /// A login that failed in this call, with the server's words, which are not the guest's to read.
    pub(crate) login_failed: Option<Failure>,
    pub(crate) clock: CallClock,
}

/// What a call was refused; the adapter was told so, and may have gone on.
enum Refused {
    /// Outside of what was granted: the reason, and what would allow it.
    Denied(String),
    /// More than a limit allows.
    Limit(Exceeded),
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
    /// What has been added to the account of the run.
    accounted: Duration,
}

/// The shortest nap of the watch: a call whose time is used up while it waits is looked at this often.
const NAP_MIN: Duration = Duration::from_millis(5);
/// The longest: other calls of the run use up its time as well.
const NAP_MAX: Duration = Duration::from_secs(1);

impl CallClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Times::new())))
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn restart(&self) {
        *self.times() = Times::new();
    }

    fn computed(&self) -> Duration {
        self.times().computed()
    }

    /// Adds what this call has computed since the last time to the account of the run.
    fn account(&self, usage: &Usage) {
        let mut times = self.times();
        let computed = times.computed();
        usage.add_computed(computed.saturating_sub(times.accounted));
        times.accounted = computed;
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

    /// Comes back when a time is used up, and says which.
    async fn watch(&self, limits: &Limits, usage: &Usage) -> Exceeded {
        loop {
            self.account(usage);
            let (computed, elapsed) = (self.computed(), self.times().started.elapsed());
            let mut nap = NAP_MAX;
            for (limit, most, used) in [
                (Limit::CallTime, limits.call_timeout, computed),
                (Limit::RunTime, limits.run_timeout, usage.computed()),
                (Limit::CallWallTime, limits.call_wall_time, elapsed),
                (Limit::RunWallTime, limits.run_wall_time, usage.age()),
            ] {
                let left = most.saturating_sub(used);
                if left.is_zero() {
                    return Exceeded::time(limit, most);
                }
                nap = nap.min(left);
            }
            tokio::time::sleep(nap.max(NAP_MIN)).await;
        }
    }
}

impl Times {
    fn new() -> Self {
        Self { started: Instant::now(), waited: Duration::ZERO, waiting_since: None, accounted: Duration::ZERO }
    }

    fn computed(&self) -> Duration {
        let until = self.waiting_since.unwrap_or_else(Instant::now);
        until.duration_since(self.started).saturating_sub(self.waited)
    }
}

/// A call in progress.
pub(crate) type Calling<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<std::result::Result<T, wit::Error>>> + Send + 'a>>;

/// What a guest may hold of WASI's things (streams, clocks). The runtimes of Python and Go hold a handful.
const WASI_RESOURCES_MAX: usize = 10_000;

/// One instance, in a store of its own.
pub(crate) struct Instance {
    pub(crate) store: Store<HostState>,
    pub(crate) bindings: Bindings,
    limits: Limits,
}

impl Instance {
    /// Makes an instance. It has not been configured.
    pub(crate) async fn new(
        loaded: &Loaded,
        adapter: Arc<AdapterName>,
        grants: Grants,
        limits: &Limits,
        usage: Arc<Usage>,
    ) -> Result<Self> {
        loaded.shared.start_ticker()?;
        let output = GuestOutput::new(adapter.clone(), grants.scrubber.clone(), usage.clone(), limits);
        let wasi = WasiCtx::builder().stdout(output.clone()).stderr(output.clone()).build();
        let mut wasi_table = ResourceTable::new();
        wasi_table.set_max_capacity(WASI_RESOURCES_MAX);
        let state = HostState {
            wasi,
            wasi_table,
            fence: MemoryFence::new(limits.memory_bytes),
            output,
            adapter,
            grants,
            responses: Responses::new(limits.responses_held_max, limits.held_bytes_max),
            limits: limits.clone(),
            usage: usage.clone(),
            requests: 0,
            refused: None,
            login_failed: None,
            clock: CallClock::new(),
        };
        let mut store = Store::new(&loaded.shared.engine, state);
        store.limiter(|state| &mut state.fence);
        // What one call carries to the host. A list may name the same bytes a million times, so the guest's memory is no bound for it.
        store.set_hostcall_fuel(limits.page_bytes_max);
        // Each epoch the guest gives way, so that the watch of `run` gets a look and tasks share the thread.
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        let clock = store.data().clock.clone();
        let made = tokio::select! {
            biased;
            exceeded = clock.watch(limits, &usage) => Err(exceeded),
            made = loaded.pre.instantiate_async(&mut store) => Ok(made),
        };
        clock.account(&usage);
        match made {
            Ok(Ok(bindings)) => Ok(Self { store, bindings, limits: limits.clone() }),
            Ok(Err(error)) => Err(trapped(store.data(), "instantiate", &error)),
            Err(exceeded) => Err(store.data().over("instantiate", exceeded, None)),
        }
    }

    /// Makes one call. After an error the instance is of no use: drop it.
    pub(crate) async fn run<T>(&mut self, call: &'static str, work: impl for<'a> FnOnce(&'a mut Instance) -> Calling<'a, T>) -> Result<T> {
        let limits = self.limits.clone();
        self.store.data_mut().begin_call();
        let (clock, usage) = (self.store.data().clock.clone(), self.store.data().usage.clone());
        let ended = tokio::select! {
            // The watch first: with no time left the guest is not called at all.
            biased;
            exceeded = clock.watch(&limits, &usage) => Err(exceeded),
            ended = work(self) => Ok(ended),
        };
        clock.account(&usage);
        let state = self.store.data_mut();
        state.responses.end_call();
        match ended {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(error))) => {
                let failure = convert::failure(error, &state.grants.scrubber);
                let adapter = state.adapter.clone();
                // The host knows better than the guest why it could not go on.
                Err(match (state.refused.take(), state.login_failed.take()) {
                    (Some(Refused::Denied(reason)), _) => Error::Denied { adapter, reason, failure },
                    (Some(Refused::Limit(exceeded)), _) => state.over(call, exceeded, Some(failure)),
                    (None, Some(failure)) => Error::Adapter { adapter, failure },
                    (None, None) => Error::Adapter { adapter, failure },
                })
            }
            Ok(Err(error)) => Err(trapped(state, call, &error)),
            Err(exceeded) => Err(state.over(call, exceeded, None)),
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
        self.requests = 0;
        self.refused = None;
        self.login_failed = None;
        self.output.clear();
        self.clock.restart();
    }

    /// Remembers a denial, so that the user is told what would allow it whatever the adapter makes of it.
    pub(crate) fn deny(&mut self, reason: String) -> String {
        // The reason repeats what the guest or a server wrote.
        let reason = self.grants.scrubber.scrub(reason);
        tracing::debug!(adapter = %self.adapter, "denied: {reason}");
        self.refused = Some(Refused::Denied(reason.clone()));
        reason
    }

    /// What was denied in this call, if anything.
    pub(crate) fn take_denial(&mut self) -> Option<String> {
        match self.refused.take() {
            Some(Refused::Denied(reason)) => Some(reason),
            Some(Refused::Limit(_)) | None => None,
        }
    }

    /// The bounds of this call.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Remembers that something was more than a limit allows, so that the user is told which whatever the adapter makes of it.
    pub(crate) fn exceed(&mut self, limit: Limit, value: impl TryInto<u64>) {
        let exceeded = Exceeded::new(limit, value);
        tracing::debug!(adapter = %self.adapter, "{exceeded}");
        self.refused = Some(Refused::Limit(exceeded));
    }

    /// Counts a request. One too many ends the call: an adapter that goes on asking is not to be asked to stop.
    pub(crate) fn count_request(&mut self) -> std::result::Result<(), Exceeded> {
        if self.requests >= self.limits.requests_max {
            return Err(Exceeded::new(Limit::CallRequests, self.limits.requests_max));
        }
        self.requests += 1;
        self.usage.request(&self.limits)
    }

    fn over(&self, call: &'static str, exceeded: Exceeded, failure: Option<Failure>) -> Error {
        Error::Limit { adapter: self.adapter.clone(), call, resource: None, exceeded, failure }
    }
}

/// wasmtime's words for a guest that hands over too much at once.
const HOSTCALL_FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// What the end of a guest means.
fn trapped(state: &HostState, call: &'static str, error: &wasmtime::Error) -> Error {
    let adapter = state.adapter.clone();
    if state.fence.refused {
        return state.over(call, Exceeded::new(Limit::Memory, state.limits.memory_bytes), None);
    }
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return state.over(call, *exceeded, None);
    }
    // wasmtime has no type for it that others can name.
    if error.chain().any(|cause| cause.to_string().contains(HOSTCALL_FUEL_EXHAUSTED)) {
        return state.over(call, Exceeded::new(Limit::PageSize, state.limits.page_bytes_max), None);
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
        // Used up: the watch comes back at once, and the run's account has what this call computed.
        let usage = Usage::new();
        let limits = Limits { call_timeout: Duration::from_secs(1), ..Limits::default() };
        assert_eq!(clock.watch(&limits, &usage).await, Exceeded { limit: Limit::CallTime, value: 1000 });
        assert!(usage.computed() >= Duration::from_secs(1) && usage.computed() < Duration::from_secs(2));
        let limits = Limits { call_wall_time: Duration::from_secs(99), ..Limits::default() };
        assert_eq!(clock.watch(&limits, &usage).await.limit, Limit::CallWallTime);
        let limits = Limits { run_timeout: Duration::from_secs(1), ..Limits::default() };
        assert_eq!(clock.watch(&limits, &usage).await.limit, Limit::RunTime);
        let limits = Limits { run_wall_time: Duration::ZERO, ..Limits::default() };
        assert_eq!(clock.watch(&limits, &usage).await.limit, Limit::RunWallTime);
        clock.pause(async { assert!(clock.times().waiting_since.is_some()) }).await;
        assert!(clock.times().waiting_since.is_none());
    }
}
