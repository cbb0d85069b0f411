//! A response: it belongs to the host, the adapter has a handle.

use serde::de::DeserializeOwned;

use crate::{Error, Result};

#[cfg(target_arch = "wasm32")]
type Inner = crate::bindings::infrahub_sync::adapter::http::Response;
#[cfg(not(target_arch = "wasm32"))]
type Inner = crate::testing::MockResponse;

/// A response of a request or of a file. The body stays in host memory until the adapter asks for a part of it.
///
/// The handle lives for the call in which it was received: hand it back in a page, or drop it. The host keeps a limited
/// number at a time.
#[derive(Debug)]
pub struct Response(Inner);

impl Response {
    pub(crate) fn from_inner(inner: Inner) -> Response {
        Response(inner)
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn into_inner(self) -> Inner {
        self.0
    }

    /// The HTTP status; 200 for a file.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status()
    }

    /// The value of a header, whatever its case; the first one of several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.0.header(name)
    }

    /// The JSON text at each RFC 6901 pointer, in one pass over the body; none where there is nothing. The empty pointer is
    /// the whole body.
    #[must_use]
    pub fn json(&self, pointers: &[&str]) -> Vec<Option<String>> {
        self.0.json(&pointers.iter().map(|pointer| (*pointer).to_owned()).collect::<Vec<_>>())
    }

    /// The number of elements of the array at the pointer.
    #[must_use]
    pub fn count(&self, pointer: &str) -> Option<u32> {
        self.0.count(pointer)
    }

    /// The whole body, copied into the adapter.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        self.0.body()
    }

    /// The whole body, read as JSON of that type. This costs several times what handing the response back costs: for small
    /// bodies.
    ///
    /// # Errors
    /// `remote` when it is not.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body()).map_err(|error| Error::remote(format!("the answer cannot be read: {error}")))
    }

    /// Gives the memory back before the call ends; the same as dropping it.
    pub fn release(self) {
        drop(self);
    }

    /// Whether the status is a success (2xx).
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status())
    }

    /// Itself if it is a success, else what its status means. `what` says what was asked for.
    ///
    /// # Errors
    /// See [`Error::from_response`].
    pub fn success(self, what: &str) -> Result<Response> {
        if self.is_success() { Ok(self) } else { Err(Error::from_response(what, &self)) }
    }

    /// What the system says about a refusal, as one short line: `detail`, `error` or `message` of a JSON body, else the JSON or
    /// the plain text itself. HTML is no answer for a person.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        crate::error::detail(self)
    }
}
