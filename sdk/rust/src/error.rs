//! Making errors, and telling what an HTTP status means.

use crate::{Error, ErrorKind, Response};

/// Most of a refusal's own words that go into a message: enough for a sentence, not for a page of HTML.
const DETAIL_CHARS_MAX: usize = 300;

impl Error {
    /// A failure of that kind. `message` is one sentence for a person, without credentials.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), http_status: None, retry_after_ms: None }
    }

    /// A setting or the mapping asks for something that cannot work: the user must change config.yml.
    pub fn config(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Config, message)
    }

    /// The credentials were refused, or do not permit this.
    pub fn auth(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Auth, message)
    }

    /// The resource or object does not exist.
    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::NotFound, message)
    }

    /// The object exists already, or somebody else changed it.
    pub fn conflict(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Conflict, message)
    }

    /// The system refused the data.
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, message)
    }

    /// The system asks for fewer requests.
    pub fn rate_limited(message: impl Into<String>, retry_after_ms: Option<u64>) -> Error {
        Error { retry_after_ms, ..Error::new(ErrorKind::RateLimited, message) }
    }

    /// There was no answer.
    pub fn transport(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Transport, message)
    }

    /// The system failed, or answered something that is no valid answer.
    pub fn remote(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Remote, message)
    }

    /// The adapter cannot do this.
    pub fn unsupported(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unsupported, message)
    }

    /// A defect of the adapter.
    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Internal, message)
    }

    /// Adds the HTTP status that caused it.
    #[must_use]
    pub fn with_status(self, status: u16) -> Error {
        Error { http_status: Some(status), ..self }
    }

    /// What a response that is no success means. `what` says what was asked for (`dcim.devices`).
    ///
    /// 401 and 403 are `auth`, 404 and 410 `not-found`, 409 and 412 `conflict`, 429 `rate-limited`, other 4xx `invalid`, all
    /// else `remote`. A short text or JSON body is quoted.
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

/// A person-sized piece of a refusal's body: the usual JSON members, else a plain text; never HTML.
pub(crate) fn detail(response: &Response) -> Option<String> {
    let found = response.json(&["/detail", "/error", "/message", ""]);
    let text = match found.iter().flatten().next() {
        Some(json) => match serde_json::from_str::<serde_json::Value>(json).ok()? {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        },
        None => String::from_utf8(response.body()).ok().filter(|text| !text.trim_start().starts_with('<'))?,
    };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(DETAIL_CHARS_MAX) {
        _ if text.is_empty() => None,
        Some((end, _)) => Some(format!("{}…", &text[..end])),
        None => Some(text),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use crate::testing::{reset, respond, respond_with_headers};
    use crate::{ErrorKind, http};

    fn failure(status: u16, body: &str) -> crate::Error {
        reset();
        respond_with_headers("GET", "/x", status, &[("Retry-After", "3")], body);
        http::get("/x").send().unwrap().success("things").unwrap_err()
    }

    #[test]
    fn a_status_is_a_case() {
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
    fn a_refusal_is_quoted_in_a_persons_size() {
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
