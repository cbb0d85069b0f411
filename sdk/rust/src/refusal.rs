//! Refusals of a system, in words that tell the user what to change.

use crate::{Error, ErrorKind, Response, Result};

/// Characters of a system's own text in a message: enough for a sentence, not for a page of HTML.
const DETAIL_CHARS_MAX: usize = 300;

/// The names that messages about a system's refusals need: the system's own, and those of its settings.
///
/// ```
/// use infrahub_sync_adapter::{ErrorKind, System, http, testing};
/// const ACME: System = System::new("Acme").with_credential("token", "ACME_TOKEN");
///
/// testing::respond("GET", "/v1/racks", 403, r#"{"detail": "no such token"}"#);
/// let error = ACME.success("racks", http::get("/v1/racks").send().unwrap()).unwrap_err();
/// assert_eq!(error.kind, ErrorKind::Auth);
/// assert_eq!(error.message, "Acme denies access to `racks` (no such token): `token` (ACME_TOKEN) is missing, wrong or expired, or lacks the permission");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct System {
    name: &'static str,
    address: &'static str,
    credential: Option<(&'static str, &'static str)>,
}

impl System {
    /// Makes it of the system's name. Its address is the setting `url`.
    #[must_use]
    pub const fn new(name: &'static str) -> System {
        System { name, address: "url", credential: None }
    }

    /// Names the setting of the address.
    #[must_use]
    pub const fn with_address(self, setting: &'static str) -> System {
        System { address: setting, ..self }
    }

    /// Names the setting of the credential, and its environment variable.
    #[must_use]
    pub const fn with_credential(self, setting: &'static str, variable: &'static str) -> System {
        System { credential: Some((setting, variable)), ..self }
    }

    /// Returns the response if it is a success, else the refusal. `what` names the requested resource (`dcim.devices`).
    ///
    /// # Errors
    /// See [`refuse`](Self::refuse).
    pub fn success(&self, what: &str, response: Response) -> Result<Response> {
        if response.is_success() { Ok(response) } else { Err(self.refuse(what, &response)) }
    }

    /// Returns the failure that a response without success stands for.
    ///
    /// | status | kind | the message names |
    /// |---|---|---|
    /// | 401, 403 | `auth` | the credential's setting and variable |
    /// | 3xx | `config` | the address to which it redirects |
    /// | 404, 410 | `not-found` | the resource |
    /// | 409, 412 | `conflict` | the resource |
    /// | 429 | `rate-limited` | `max_concurrency` |
    /// | other 4xx | `invalid` | the resource |
    /// | others | `remote` | the resource |
    ///
    /// Each message quotes the system's own words, if they are short and not HTML.
    #[must_use]
    pub fn refuse(&self, what: &str, response: &Response) -> Error {
        self.refuse_saying(what, response, response.detail())
    }

    /// Returns the same as [`refuse`](Self::refuse), with words that the adapter took from the response.
    #[must_use]
    pub fn refuse_saying(&self, what: &str, response: &Response, said: Option<String>) -> Error {
        let System { name, address, .. } = self;
        let said = said.map(|said| format!(" ({said})")).unwrap_or_default();
        let general = Error::from_response(what, response);
        let message = match (general.kind, response.status()) {
            (ErrorKind::Auth, _) => {
                format!(
                    "{name} denies access to `{what}`{said}: {} is missing, wrong or expired, or lacks the permission",
                    self.credential()
                )
            }
            (_, 300..=399) => {
                let to = response.header("location").map(|to| format!(" to {to}")).unwrap_or_default();
                format!("`{address}` is not the address of {name}: it redirects{to}")
            }
            (ErrorKind::NotFound, _) => format!("{name} has no `{what}`{said}"),
            (ErrorKind::RateLimited, _) => format!("{name} asks for fewer requests{said}: set a lower `max_concurrency`"),
            (ErrorKind::Remote, status) => format!("{name} failed on `{what}` with HTTP status {status}{said}"),
            (_, status) => format!("{name} rejects `{what}` with HTTP status {status}{said}"),
        };
        let kind = if (300..400).contains(&response.status()) { ErrorKind::Config } else { general.kind };
        Error { kind, message, ..general }
    }

    /// Returns the failure for a success whose body is not the system's: HTML of a login page, or the answer of another product.
    #[must_use]
    pub fn unexpected(&self, what: &str, response: &Response) -> Error {
        let System { name, address, .. } = self;
        let content = response.header("content-type").map(|content| format!(" ({content})")).unwrap_or_default();
        let message = format!("the answer for `{what}` is not from {name}{content}: check that `{address}` is the address of {name}");
        Error::remote(message).with_status(response.status())
    }

    /// Returns the credential in words: its setting and its variable.
    #[must_use]
    pub fn credential(&self) -> String {
        self.credential.map_or_else(|| "the credential".to_owned(), |(setting, variable)| format!("`{setting}` ({variable})"))
    }
}

/// Returns the text of a refusal at a length for people: the usual JSON members, else a plain text; never HTML.
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
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;
    use crate::http;
    use crate::testing::{reset, respond_with_headers};

    const ACME: System = System::new("Acme").with_credential("token", "ACME_TOKEN").with_address("server");

    fn refused(status: u16, headers: &[(&str, &str)], body: &str) -> Error {
        reset();
        respond_with_headers("GET", "/x", status, headers, body);
        ACME.success("racks", http::get("/x").send().unwrap()).unwrap_err()
    }

    #[test]
    fn a_refusal_says_what_to_change() {
        let cases = [
            (
                401,
                ErrorKind::Auth,
                "Acme denies access to `racks`: `token` (ACME_TOKEN) is missing, wrong or expired, or lacks the permission",
            ),
            (301, ErrorKind::Config, "`server` is not the address of Acme: it redirects to https://acme.example.com/"),
            (404, ErrorKind::NotFound, "Acme has no `racks`"),
            (409, ErrorKind::Conflict, "Acme rejects `racks` with HTTP status 409"),
            (429, ErrorKind::RateLimited, "Acme asks for fewer requests: set a lower `max_concurrency`"),
            (422, ErrorKind::Invalid, "Acme rejects `racks` with HTTP status 422"),
            (503, ErrorKind::Remote, "Acme failed on `racks` with HTTP status 503"),
        ];
        for (status, kind, message) in cases {
            let headers = [("Location", "https://acme.example.com/"), ("Retry-After", "3")];
            let error = refused(status, &headers, "<html>no</html>");
            assert_eq!((error.kind, error.message.as_str()), (kind, message));
            assert_eq!((error.http_status, error.retry_after_ms), (Some(status), Some(3000)));
            let words = refused(status, &headers, r#"{"detail": "the bell\n  tolls"}"#).message;
            assert!(words.contains("(the bell tolls)") || status == 301, "{words}");
        }
    }

    #[test]
    fn a_page_for_people_is_not_an_answer() {
        reset();
        respond_with_headers("GET", "/x", 200, &[("Content-Type", "text/html")], "<html>Log in</html>");
        let error = ACME.unexpected("racks", &http::get("/x").send().unwrap());
        assert_eq!((error.kind, error.http_status), (ErrorKind::Remote, Some(200)));
        assert!(error.message.contains("`racks` is not from Acme (text/html)"), "{}", error.message);
        assert!(error.message.contains("`server`"), "{}", error.message);
    }

    #[test]
    fn without_a_credential_none_is_named() {
        reset();
        respond_with_headers("GET", "/x", 403, &[], "");
        let error = System::new("Acme").refuse("racks", &http::get("/x").send().unwrap());
        assert_eq!(error.message, "Acme denies access to `racks`: the credential is missing, wrong or expired, or lacks the permission");
    }
}
