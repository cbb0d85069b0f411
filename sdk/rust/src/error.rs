//! Makes errors, also of an HTTP status.

use crate::{Error, ErrorKind, Response};

impl Error {
    /// Makes a failure of that kind. `message` is one sentence for the user, without credentials.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), http_status: None, retry_after_ms: None }
    }

    /// Makes a failure that config.yml causes: a setting or the mapping asks for something that cannot work.
    pub fn config(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Config, message)
    }

    /// Makes a failure of the credentials: the system rejects them, or they do not permit this.
    pub fn auth(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Auth, message)
    }

    /// Makes the failure that the resource or object does not exist.
    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::NotFound, message)
    }

    /// Makes the failure that the object exists already, or was modified by another user. From `load`: the list moved, and is read again.
    pub fn conflict(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Conflict, message)
    }

    /// Makes the failure that the system rejects the data.
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, message)
    }

    /// Makes the failure that the system asks for fewer requests.
    pub fn rate_limited(message: impl Into<String>, retry_after_ms: Option<u64>) -> Error {
        Error { retry_after_ms, ..Error::new(ErrorKind::RateLimited, message) }
    }

    /// Makes the failure that there is no answer.
    pub fn transport(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Transport, message)
    }

    /// Makes the failure that the system failed, or sent an invalid answer.
    pub fn remote(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Remote, message)
    }

    /// Makes the failure that the adapter cannot do this.
    pub fn unsupported(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unsupported, message)
    }

    /// Makes the failure of a defect in the adapter.
    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Internal, message)
    }

    /// Adds the HTTP status that caused it.
    #[must_use]
    pub fn with_status(self, status: u16) -> Error {
        Error { http_status: Some(status), ..self }
    }

    /// Makes the failure that a response without success stands for. `what` names the requested resource (`dcim.devices`).
    ///
    /// 401 and 403 are `auth`, 404 and 410 `not-found`, 409 and 412 `conflict`, 429 `rate-limited`, other 4xx `invalid`, all
    /// others `remote`. A short text or JSON body is quoted. [`System::refuse`](crate::System::refuse) has better words.
    #[must_use]
    pub fn from_response(what: &str, response: &Response) -> Error {
        let status = response.status();
        let kind = match status {
            401 | 403 => ErrorKind::Auth,
            404 | 410 => ErrorKind::NotFound,
            409 | 412 => ErrorKind::Conflict,
            429 => ErrorKind::RateLimited,
            400..=499 => ErrorKind::Invalid,
            _ => ErrorKind::Remote,
        };
        let detail = response.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        let retry_after_ms = response
            .header("retry-after")
            .and_then(|seconds| seconds.trim().parse::<u64>().ok())
            .map(|seconds| seconds.saturating_mul(1000));
        Error { retry_after_ms, ..Error::new(kind, format!("{what}: HTTP status {status}{detail}")).with_status(status) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use crate::testing::{reset, respond, respond_with_headers};
    use crate::{ErrorKind, http};

    fn failure(status: u16, body: &str) -> crate::Error {
        reset();
        respond_with_headers("GET", "/x", status, &[("Retry-After", "3")], body);
        http::get("/x").send().unwrap().success("things").unwrap_err()
    }

    #[test]
    fn a_status_is_a_kind_of_failure() {
        let cases = [
            (401, ErrorKind::Auth),
            (403, ErrorKind::Auth),
            (404, ErrorKind::NotFound),
            (409, ErrorKind::Conflict),
            (422, ErrorKind::Invalid),
            (429, ErrorKind::RateLimited),
            (302, ErrorKind::Remote),
            (500, ErrorKind::Remote),
        ];
        for (status, kind) in cases {
            let error = failure(status, "");
            assert_eq!((error.kind, error.http_status, error.retry_after_ms), (kind, Some(status), Some(3000)));
            assert_eq!(error.message, format!("things: HTTP status {status}"));
        }
    }

    #[test]
    fn a_refusal_is_quoted_at_a_length_for_people() {
        assert!(failure(400, r#"{"detail": "no such\n  field"}"#).message.ends_with("400: no such field"));
        assert!(failure(400, r#"["one", "two"]"#).message.ends_with(r#"400: ["one","two"]"#));
        assert!(failure(400, "plain words").message.ends_with("400: plain words"));
        assert!(failure(500, "<html>no</html>").message.ends_with("status 500"));
        assert!(failure(500, &"ü".repeat(5000)).message.chars().count() < 350);
    }

    #[test]
    fn without_an_answer_the_transport_failed() {
        reset();
        assert_eq!(http::get("/x").send().unwrap_err().kind, ErrorKind::Transport);
        respond("GET", "/x", 204, "");
        assert!(http::get("/x").send().unwrap().success("things").is_ok());
    }
}
