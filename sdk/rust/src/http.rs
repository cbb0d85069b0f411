//! Requests, sent by the host.
//!
//! The host adds the credentials, checks the address, keeps connections, retries and limits: a response is final. A path is below the
//! configured address.

use crate::{Error, Response, Result};

pub use crate::bindings::infrahub_sync::adapter::http::{Header, HttpError, Request};

/// Makes a GET.
#[must_use]
pub fn get(url: impl ToString) -> Request {
    Request::new("GET", url)
}

/// Makes a POST of a JSON body.
///
/// # Errors
/// `internal` when the body cannot be written as JSON.
pub fn post(url: impl ToString, body: &impl serde::Serialize) -> Result<Request> {
    Request::new("POST", url).with_json(body)
}

impl Request {
    /// Makes a request without a body that asks for JSON.
    #[must_use]
    pub fn new(method: &str, url: impl ToString) -> Request {
        Request {
            method: method.to_owned(),
            url: url.to_string(),
            headers: vec![Header { name: "accept".into(), value: "application/json".into() }],
            body: None,
            timeout_ms: None,
            idempotent: matches!(method, "GET" | "HEAD" | "PUT" | "DELETE"),
            unprocessed: None,
        }
    }

    /// Sets a header. It replaces one of the same name.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Request {
        self.headers.retain(|header| !header.name.eq_ignore_ascii_case(name));
        self.headers.push(Header { name: name.into(), value: value.into() });
        self
    }

    /// Sets a JSON body.
    ///
    /// # Errors
    /// `internal` when it cannot be written as JSON.
    pub fn with_json(mut self, body: &impl serde::Serialize) -> Result<Request> {
        let body =
            serde_json::to_vec(body).map_err(|error| Error::internal(format!("a request body cannot be written as JSON: {error}")))?;
        self.body = Some(body);
        Ok(self.with_header("content-type", "application/json"))
    }

    /// Says that this request only reads, so the host may send it twice.
    #[must_use]
    pub fn only_reads(mut self) -> Request {
        self.idempotent = true;
        self
    }

    /// Names the header of a 429 or 503 answer that proves that the request was not executed. The host then repeats a request that is
    /// not idempotent only after an answer with this header. Without it: after any 429.
    #[must_use]
    pub fn unprocessed_if(mut self, header: &str, value: &str) -> Request {
        self.unprocessed = Some(Header { name: header.into(), value: value.into() });
        self
    }

    /// Sends it and waits. A response of any status is a success here: see [`Response::success`].
    ///
    /// # Errors
    /// `config` when the host denies it, `auth` when its login is rejected, `transport` without an answer, `remote` when the answer is too
    /// large, `internal` for a mistake of the adapter.
    pub fn send(&self) -> Result<Response> {
        transmit(self).map_err(|error| error.into_error(&self.method, &self.url))
    }
}

impl HttpError {
    /// Makes a failure that the host can act on.
    fn into_error(self, method: &str, url: &str) -> Error {
        match self {
            HttpError::Denied(reason) => Error::config(reason),
            HttpError::InvalidRequest(reason) => Error::internal(format!("{method} {url} is not a valid request: {reason}")),
            HttpError::Transport(reason) | HttpError::Timeout(reason) => Error::transport(reason),
            HttpError::LoginFailed(reason) => Error::auth(reason),
            HttpError::TooLarge(bytes) => Error::remote(format!("the answer to {method} {url} is larger than the limit of {bytes} bytes")),
            HttpError::TooManyResponses(count) => {
                Error::internal(format!("the adapter already holds {count} responses, which is the limit"))
            }
        }
    }
}

#[cfg(target_arch = "wasm32")]
fn transmit(request: &Request) -> Result<Response, HttpError> {
    crate::bindings::infrahub_sync::adapter::http::send(request).map(Response::from_inner)
}

#[cfg(not(target_arch = "wasm32"))]
fn transmit(request: &Request) -> Result<Response, HttpError> {
    crate::testing::transmit(request).map(Response::from_inner)
}
