//! One running instance of an adapter: its store, and how a call into it ends.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use infrahub_sync_base::limits::{Limit, Limits};
use infrahub_sync_base::text::one_line;
use wasmtime::Store;

use super::bindings::Adapter as Bindings;
use super::bindings::infrahub_sync::adapter::types as wit;
use super::convert;
use super::state::{Grants, HostState, Refused};
use crate::adapter::Loaded;
use crate::error::{AdapterName, Error, Result};
use crate::limits::Exceeded;
use crate::response::StaleHandle;
use crate::types::MESSAGE_BYTES_MAX;
use crate::usage::Usage;

/// A broken promise, on its way through wasmtime to [`Error::Contract`].
#[derive(Debug)]
pub(crate) struct Breach(pub(crate) String);

impl std::error::Error for Breach {}

impl std::fmt::Display for Breach {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

/// A call in progress.
pub(crate) type Calling<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<std::result::Result<T, wit::Error>>> + Send + 'a>>;

/// A panic in the host while it served a guest: the end of that call, and of nothing else.
#[derive(Debug)]
struct HostPanic(String);

impl std::error::Error for HostPanic {}

impl std::fmt::Display for HostPanic {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "the host failed while it served the adapter: {}", self.0)
    }
}

/// Runs a future whose panic is its result. Its parts are dropped with the instance, so nothing sees them half done.
async fn caught<T>(future: impl Future<Output = T>) -> std::result::Result<T, HostPanic> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(move |context| match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            Poll::Ready(Err(HostPanic(one_line(words.unwrap_or("no reason given"), MESSAGE_BYTES_MAX))))
        }
    })
    .await
}

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
        let state = HostState::new(adapter, grants, limits, usage.clone());
        let mut store = Store::new(&loaded.shared.engine, state);
        store.limiter(|state| &mut state.fence);
        // The bytes that one call carries to the host. A list may name the same bytes a million times, so the guest's memory does not bound
        // them.
        store.set_hostcall_fuel(limits.count(Limit::PageSize));
        // Each epoch the guest yields, so that the watch of `run` is polled and tasks share the thread.
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        let clock = store.data().clock.clone();
        let made = tokio::select! {
            biased;
            exceeded = clock.watch(limits, &usage) => Err(exceeded),
            made = clock.metered(caught(loaded.pre.instantiate_async(&mut store))) => Ok(made.unwrap_or_else(|panic| Err(panic.into()))),
        };
        clock.account(&usage);
        match made {
            Ok(Ok(bindings)) => Ok(Self { store, bindings, limits: limits.clone() }),
            Ok(Err(error)) => Err(trapped(store.data(), "instantiate", &error)),
            Err(exceeded) => Err(store.data().over("instantiate", exceeded, None)),
        }
    }

    /// Makes one call. After an error the instance is unusable: drop it.
    pub(crate) async fn run<T>(&mut self, call: &'static str, work: impl for<'a> FnOnce(&'a mut Instance) -> Calling<'a, T>) -> Result<T> {
        let limits = self.limits.clone();
        self.store.data_mut().begin_call();
        let (clock, usage) = (self.store.data().clock.clone(), self.store.data().usage.clone());
        let ended = tokio::select! {
            // The watch first: with no time left the guest is not called at all.
            biased;
            exceeded = clock.watch(&limits, &usage) => Err(exceeded),
            ended = clock.metered(caught(work(self))) => Ok(ended.unwrap_or_else(|panic| Err(panic.into()))),
        };
        clock.account(&usage);
        let state = self.store.data_mut();
        state.responses.end_call();
        match ended {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(error))) => {
                let failure = convert::failure(error, &state.grants.scrubber);
                let adapter = state.adapter.clone();
                // The host knows better than the guest why the call failed.
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

    /// Returns whether memory is near its limit: the next call might exceed it, and a new instance would not.
    pub(crate) fn is_worn(&self) -> bool {
        self.store.data().fence.used() > self.limits.count(Limit::Memory) / 2
    }
}

/// wasmtime's message for a guest that hands over too much at once.
const HOSTCALL_FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// Returns the error that the end of a guest means.
fn trapped(state: &HostState, call: &'static str, error: &wasmtime::Error) -> Error {
    let adapter = state.adapter.clone();
    if state.fence.refused {
        return state.over(call, Exceeded::beyond(&state.limits, Limit::Memory), None);
    }
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return state.over(call, *exceeded, None);
    }
    // wasmtime has no public type for it.
    if error.chain().any(|cause| cause.to_string().contains(HOSTCALL_FUEL_EXHAUSTED)) {
        return state.over(call, Exceeded::beyond(&state.limits, Limit::PageSize), None);
    }
    let scrubber = &state.grants.scrubber;
    if let Some(Breach(reason)) = error.downcast_ref::<Breach>() {
        // The reason repeats a text of the guest.
        return Error::Contract { adapter, call, reason: one_line(&scrubber.scrub(reason.clone()), MESSAGE_BYTES_MAX) };
    }
    if let Some(stale) = error.downcast_ref::<StaleHandle>() {
        return Error::Contract { adapter, call, reason: stale.to_string() };
    }
    if let Some(panic) = error.downcast_ref::<HostPanic>() {
        return Error::Trap { adapter, call, message: panic.to_string(), output: state.output.tail() };
    }
    tracing::debug!(%adapter, call, "{}", scrubber.scrub(format!("{error:?}")));
    let output = state.output.tail();
    // The last output of the guest is more useful than `unreachable`: a panic's message, the last line of a traceback.
    let message = match (output.lines().last(), error.downcast_ref::<wasmtime::Trap>()) {
        (Some(last), _) => last.trim().to_owned(),
        (None, Some(trap)) => trap.to_string(),
        (None, None) => error.root_cause().to_string(),
    };
    let message = one_line(message.strip_prefix("wasm trap: ").unwrap_or(&message), MESSAGE_BYTES_MAX);
    Error::Trap { adapter, call, message, output }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_a_host_function_is_the_result_of_its_call() {
        assert_eq!(caught(async { 7 }).await.ok(), Some(7));
        let later = async {
            tokio::task::yield_now().await;
            panic!("size overflows {}", "MAX_SIZE");
        };
        let panic: std::result::Result<(), HostPanic> = caught(later).await;
        assert_eq!(panic.unwrap_err().to_string(), "the host failed while it served the adapter: size overflows MAX_SIZE");
    }
}
