//! `http`: requests to the configured address, and responses.

use std::time::Duration;

use infrahub_sync_base::limits::Limit;
use wasmtime::component::Resource;

use crate::guest::bindings::infrahub_sync::adapter::http as wit;
use crate::guest::state::HostState;
use crate::http::{AdapterRequest, HttpError};
use crate::limits::Exceeded;
use crate::response::{Full, HostResponse};

fn adapter_request(request: wit::Request) -> AdapterRequest {
    let header = |header: wit::Header| (header.name, header.value);
    AdapterRequest {
        method: request.method,
        url: request.url,
        headers: request.headers.into_iter().map(header).collect(),
        body: request.body,
        timeout: request.timeout_ms.map(|timeout| Duration::from_millis(timeout.into())),
        idempotent: request.idempotent,
        unprocessed: request.unprocessed.map(header),
    }
}

impl wit::Host for HostState {
    async fn send(&mut self, request: wit::Request) -> wasmtime::Result<Result<Resource<HostResponse>, wit::HttpError>> {
        let Some(http) = self.grants.http.clone() else {
            let reason = self.deny("no address was granted to this adapter; its address setting has no value".into());
            return Ok(Err(wit::HttpError::Denied(reason)));
        };
        if let Err(Full::Count(count)) = self.responses.check_room() {
            self.exceed(Limit::HeldResponses, count);
            return Ok(Err(wit::HttpError::TooManyResponses(count)));
        }
        self.count_request()?;
        let clock = self.clock.clone();
        let sent = clock.pause(http.send(adapter_request(request))).await;
        let held = sent.map(|response| self.responses.hold(response));
        Ok(match held {
            Ok(Ok(rep)) => Ok(Resource::new_own(rep)),
            Err(HttpError::Limit(exceeded)) => return Err(exceeded.into()),
            Ok(Err(Full::Count(count))) => {
                self.exceed(Limit::HeldResponses, count);
                Err(wit::HttpError::TooManyResponses(count))
            }
            Ok(Err(Full::Bytes(bytes))) => {
                self.exceed(Limit::HeldSize, bytes);
                Err(wit::HttpError::TooLarge(bytes))
            }
            Err(HttpError::Denied(reason)) => Err(wit::HttpError::Denied(self.deny(reason))),
            Err(HttpError::InvalidRequest(reason)) => Err(wit::HttpError::InvalidRequest(reason)),
            Err(HttpError::Transport(reason)) => Err(wit::HttpError::Transport(reason)),
            Err(HttpError::Timeout(reason)) => Err(wit::HttpError::Timeout(reason)),
            Err(HttpError::TooLarge(bytes)) => {
                self.exceed(Limit::ResponseSize, bytes);
                Err(wit::HttpError::TooLarge(bytes))
            }
            Err(HttpError::Login { failure, for_guest }) => {
                tracing::debug!(adapter = %self.adapter, "{failure}");
                self.login_failed = Some(failure);
                Err(wit::HttpError::LoginFailed(for_guest))
            }
        })
    }
}

impl wit::HostResponse for HostState {
    fn status(&mut self, response: Resource<HostResponse>) -> wasmtime::Result<u16> {
        Ok(self.responses.get(response.rep())?.status)
    }

    fn header(&mut self, response: Resource<HostResponse>, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.responses.get(response.rep())?.header(&name).map(str::to_owned))
    }

    fn json(&mut self, response: Resource<HostResponse>, pointers: Vec<String>) -> wasmtime::Result<Vec<Option<String>>> {
        let response = self.responses.get(response.rep())?;
        let Some(body) = response.body.as_text() else { return Ok(vec![None; pointers.len()]) };
        let limits = self.limits();
        let found = crate::response::json_at(body, &pointers, limits.count(Limit::ResponseSize));
        Ok(found.ok_or_else(|| Exceeded::beyond(limits, Limit::ResponseSize))?)
    }

    fn count(&mut self, response: Resource<HostResponse>, pointer: String) -> wasmtime::Result<Option<u32>> {
        let response = self.responses.get(response.rep())?;
        Ok(response.body.as_text().and_then(|body| crate::response::count_at(body, &pointer)))
    }

    fn body(&mut self, response: Resource<HostResponse>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.responses.get(response.rep())?.body.as_bytes().to_vec())
    }

    fn release(&mut self, response: Resource<HostResponse>) -> wasmtime::Result<()> {
        // Releasing a response twice does no harm.
        let _ = self.responses.take(response.rep());
        Ok(())
    }

    fn drop(&mut self, response: Resource<HostResponse>) -> wasmtime::Result<()> {
        // Guests with a collector drop late: in a later call, when the response has long gone.
        let _ = self.responses.take(response.rep());
        Ok(())
    }
}
