//! The state that host functions see: grants, responses, counts and refusals of one instance.

use std::sync::Arc;

use infrahub_sync_base::limits::{Limit, Limits};
use infrahub_sync_base::text::one_line;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::clock::CallClock;
use crate::error::{AdapterName, Error, Failure};
use crate::files::Folder;
use crate::http::Http;
use crate::limits::{Exceeded, MemoryFence, held_bytes_max};
use crate::memo::Memos;
use crate::output::GuestOutput;
use crate::response::Responses;
use crate::secret::Scrubber;
use crate::types::MESSAGE_BYTES_MAX;
use crate::usage::Usage;

/// Resources of WASI (streams, clocks) that a guest may hold. The runtimes of Python and Go hold a handful.
const WASI_RESOURCES_MAX: usize = 10_000;

/// The grants of an instance. The default grants nothing.
#[derive(Clone, Default)]
pub(crate) struct Grants {
    pub(crate) http: Option<Arc<Http>>,
    pub(crate) folder: Option<Arc<Folder>>,
    pub(crate) memos: Option<Arc<Memos>>,
    pub(crate) scrubber: Scrubber,
}

/// The state that host functions see.
pub(crate) struct HostState {
    wasi: WasiCtx,
    /// WASI's own resources. Responses live in `responses`.
    wasi_table: ResourceTable,
    pub(super) fence: MemoryFence,
    pub(crate) output: GuestOutput,
    pub(crate) adapter: Arc<AdapterName>,
    pub(crate) grants: Grants,
    pub(crate) responses: Responses,
    pub(super) limits: Limits,
    pub(super) usage: Arc<Usage>,
    /// Requests of this call.
    requests: u64,
    /// The last refusal of this call.
    pub(super) refused: Option<Refused>,
    /// A login that failed in this call, with the server's text, which the guest does not see.
    pub(crate) login_failed: Option<Failure>,
    pub(crate) clock: CallClock,
}

/// A refusal in a call; the adapter got an error, and may have continued.
pub(super) enum Refused {
    /// Outside the grants: the reason, and the line that would allow it.
    Denied(String),
    /// More than a limit allows.
    Limit(Exceeded),
}

impl HostState {
    pub(super) fn new(adapter: Arc<AdapterName>, grants: Grants, limits: &Limits, usage: Arc<Usage>) -> Self {
        let output = GuestOutput::new(adapter.clone(), grants.scrubber.clone(), usage.clone(), limits);
        let mut wasi_table = ResourceTable::new();
        wasi_table.set_max_capacity(WASI_RESOURCES_MAX);
        Self {
            wasi: WasiCtx::builder().stdout(output.clone()).stderr(output.clone()).build(),
            wasi_table,
            fence: MemoryFence::new(limits.count(Limit::Memory)),
            output,
            adapter,
            grants,
            responses: Responses::new(u32::try_from(limits.get(Limit::HeldResponses)).unwrap_or(u32::MAX), held_bytes_max(limits)),
            limits: limits.clone(),
            usage,
            requests: 0,
            refused: None,
            login_failed: None,
            clock: CallClock::new(),
        }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.wasi_table }
    }
}

impl HostState {
    pub(super) fn begin_call(&mut self) {
        self.responses.end_call();
        self.requests = 0;
        self.refused = None;
        self.login_failed = None;
        self.output.clear();
        self.clock.restart();
    }

    /// Remembers a denial, so that the user sees what would allow it, whatever error the adapter returns.
    pub(crate) fn deny(&mut self, reason: String) -> String {
        // The reason repeats a text of the guest or of a server.
        let reason = one_line(&self.grants.scrubber.scrub(reason), MESSAGE_BYTES_MAX);
        tracing::debug!(adapter = %self.adapter, "denied: {reason}");
        self.refused = Some(Refused::Denied(reason.clone()));
        reason
    }

    /// Returns the denial of this call, if there was one.
    pub(crate) fn take_denial(&mut self) -> Option<String> {
        match self.refused.take() {
            Some(Refused::Denied(reason)) => Some(reason),
            Some(Refused::Limit(_)) | None => None,
        }
    }

    /// Returns the bounds of this call.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Remembers that a limit was exceeded, so that the user sees which, whatever error the adapter returns.
    pub(crate) fn exceed(&mut self, limit: Limit, value: impl TryInto<u64>) {
        let exceeded = Exceeded::new(limit, value);
        tracing::debug!(adapter = %self.adapter, "{exceeded}");
        self.refused = Some(Refused::Limit(exceeded));
    }

    /// Counts a request. One too many ends the call: an adapter may ignore an error and continue.
    pub(crate) fn count_request(&mut self) -> std::result::Result<(), Exceeded> {
        if self.requests >= self.limits.get(Limit::CallRequests) {
            return Err(Exceeded::beyond(&self.limits, Limit::CallRequests));
        }
        self.requests += 1;
        self.usage.request(&self.limits)
    }

    /// Counts a change of a file or a lasting memo. One too many ends the call.
    pub(crate) fn count_file_change(&self, bytes: usize) -> std::result::Result<(), Exceeded> {
        self.usage.file_change(bytes, &self.limits)
    }

    pub(super) fn over(&self, call: &'static str, exceeded: Exceeded, failure: Option<Failure>) -> Error {
        Error::Limit { adapter: self.adapter.clone(), call, resource: None, exceeded, failure }
    }
}
