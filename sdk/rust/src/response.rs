//! A response. It belongs to the host; the adapter has a handle.

use serde::de::DeserializeOwned;

use crate::{Error, Moment, Result};

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

    /// Returns the HTTP status; 200 for a file.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status()
    }

    /// Returns the value of a header, whatever its case; the first one of several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.0.header(name)
    }

    /// Returns the JSON text at each RFC 6901 pointer, in one pass over the body; none where the pointer leads nowhere. The empty
    /// pointer is the whole body.
    #[must_use]
    pub fn json(&self, pointers: &[&str]) -> Vec<Option<String>> {
        self.0.json(&pointers.iter().map(|pointer| (*pointer).to_owned()).collect::<Vec<_>>())
    }

    /// Returns the value at an RFC 6901 pointer. Each call is a pass over the body: [`json`](Self::json) fetches several values in one.
    ///
    /// # Errors
    /// `remote`, with the pointer, when there is no value or one of another type.
    pub fn get<T: DeserializeOwned>(&self, pointer: &str) -> Result<T> {
        let at = || if pointer.is_empty() { String::new() } else { format!(" at `{pointer}`") };
        let json = self.json(&[pointer]).pop().flatten();
        let json = json.ok_or_else(|| Error::remote(format!("the answer has no JSON value{}", at())))?;
        serde_json::from_str(&json).map_err(|error| Error::remote(format!("the value{} of the answer has the wrong type: {error}", at())))
    }

    /// Returns the server's time: the `Date` of the answer. It may be behind the server's clock by some seconds.
    #[must_use]
    pub fn date(&self) -> Option<Moment> {
        Moment::from_http(&self.header("date")?)
    }

    /// Returns the number of elements of the array at the pointer.
    #[must_use]
    pub fn count(&self, pointer: &str) -> Option<u32> {
        self.0.count(pointer)
    }

    /// Returns the whole body, copied into the adapter.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        self.0.body()
    }

    /// Parses the whole body as JSON of that type. This costs several times as much as handing the response back: for small bodies.
    ///
    /// # Errors
    /// `remote` when it is not of that type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body()).map_err(|error| Error::remote(format!("the answer cannot be read: {error}")))
    }

    /// Frees the memory before the call ends; the same as dropping it.
    pub fn release(self) {
        drop(self);
    }

    /// Says whether the status is a success (2xx).
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status())
    }

    /// Returns itself if it is a success, else the failure of its status. `what` names the requested resource.
    ///
    /// # Errors
    /// See [`Error::from_response`].
    pub fn success(self, what: &str) -> Result<Response> {
        if self.is_success() { Ok(self) } else { Err(Error::from_response(what, &self)) }
    }

    /// Returns the system's own words about a refusal, as one short line: `detail`, `error` or `message` of a JSON body, else the JSON or
    /// the plain text itself; never HTML.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        crate::refusal::detail(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use crate::testing::{reset, respond_with_headers};
    use crate::{ErrorKind, http};

    #[test]
    fn a_value_has_its_type_and_a_failure_its_pointer() {
        reset();
        let date = [("Date", "Tue, 24 Nov 2026 02:00:17 GMT")];
        respond_with_headers("GET", "/x", 200, &date, r#"{"count": 7, "next": null, "items": ["a", "ü"]}"#);
        let response = http::get("/x").send().unwrap();
        assert_eq!(response.get::<u64>("/count").unwrap(), 7);
        assert_eq!(response.get::<Option<String>>("/next").unwrap(), None);
        assert_eq!(response.get::<Vec<String>>("/items").unwrap(), ["a", "ü"]);
        assert_eq!(response.date().unwrap().to_string(), "2026-11-24T02:00:17Z");
        for (pointer, words) in
            [("/total", "no JSON value at `/total`"), ("/items", "the value at `/items` of the answer has the wrong type")]
        {
            let error = response.get::<u64>(pointer).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Remote);
            assert!(error.message.contains(words), "{}", error.message);
        }
        reset();
        respond_with_headers("GET", "/x", 200, &[], "<html>");
        let response = http::get("/x").send().unwrap();
        assert_eq!(response.get::<u64>("").unwrap_err().message, "the answer has no JSON value");
        assert_eq!(response.date(), None);
    }
}
