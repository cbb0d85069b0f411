//! One GraphQL request, and what can become of it.

use infrahub_sync_adapter::{Error, ErrorKind, Response, Result, http};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Infrahub serves people first when it is busy.
const PRIORITY: (&str, &str) = ("x-priority", "low");
/// An answer with this header comes from the gate before the API: nothing was done with the request.
const SHED: (&str, &str) = ("x-infrahub-admission", "shed");

/// The API of one branch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client<'b> {
    branch: &'b str,
}

/// An error of GraphQL.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    /// The alias that failed, and what is below it; empty when the whole document was refused.
    pub(crate) path: Vec<Value>,
    pub(crate) extensions: Extensions,
}

/// What a machine can know of an error.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Extensions {
    /// A word since 1.10, a number before.
    pub(crate) code: Value,
    pub(crate) http_status: Option<u16>,
    pub(crate) data: Value,
}

impl Refusal {
    /// The alias of the mutation that failed.
    pub(crate) fn alias(&self) -> Option<&str> {
        self.path.first()?.as_str()
    }

    pub(crate) fn is(&self, code: &str) -> bool {
        self.extensions.code.as_str() == Some(code)
    }

    /// As a failure of the contract.
    pub(crate) fn error(&self) -> Error {
        let kind = match self.extensions.code.as_str() {
            Some("NODE_NOT_FOUND") => ErrorKind::NotFound,
            Some("PERMISSION_DENIED" | "AUTHENTICATION_REQUIRED" | "TOKEN_EXPIRED") => ErrorKind::Auth,
            _ if self.extensions.http_status == Some(404) => ErrorKind::NotFound,
            _ if is_collision(&self.message) => ErrorKind::Conflict,
            _ => ErrorKind::Invalid,
        };
        let error = Error::new(kind, self.message.trim());
        match self.extensions.http_status {
            Some(status) => error.with_status(status),
            None => error,
        }
    }
}

/// Whether another object stands in the way.
pub(crate) fn is_collision(message: &str) -> bool {
    message.contains("uniqueness constraint") || message.contains("already exist")
}

/// What an executed document gave.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    /// By alias. None when the document was refused as a whole.
    pub(crate) data: Option<Map<String, Value>>,
    pub(crate) errors: Vec<Refusal>,
}

/// What became of a mutation.
#[derive(Debug)]
pub(crate) enum Sent {
    /// It was executed, or refused, and this is the answer.
    Answered(Answer),
    /// It may have been executed, wholly or in part: the answer is lost.
    Lost(Error),
}

impl<'b> Client<'b> {
    pub(crate) fn new(branch: &'b str) -> Client<'b> {
        Client { branch }
    }

    /// Sends a document that only reads, as of a moment, and wants all of its data.
    pub(crate) fn query(&self, what: &str, document: &str, variables: &Value, at: Option<&str>) -> Result<Response> {
        let send = || self.request(document, variables, at)?.only_reads().send();
        let mut response = send()?;
        // A server process that broke down: the next request goes to another one. What comes after the other failures the host repeats.
        if response.status() == 500 {
            response = send()?;
        }
        self.readable(what, response)
    }

    /// As [`query`](Self::query), with the data taken out of the response.
    pub(crate) fn ask(&self, what: &str, document: &str, variables: &Value) -> Result<Map<String, Value>> {
        let response = self.query(what, document, variables, None)?;
        let answer: Answer = response.parse()?;
        answer.data.ok_or_else(|| Error::remote(format!("Infrahub's answer about {what} has no data")))
    }

    /// Sends a mutation. It is never sent twice by the host unless the server proves that it did nothing with it.
    ///
    /// # Errors
    /// When the server refused it, or it cannot have arrived.
    pub(crate) fn mutate(&self, document: &str, variables: &Value) -> Result<Sent> {
        let response = match self.request(document, variables, None)?.send() {
            Ok(response) => response,
            Err(error) if error.kind == ErrorKind::Transport => return Ok(Sent::Lost(error)),
            Err(error) => return Err(error),
        };
        match response.status() {
            200 => match response.parse::<Answer>() {
                Ok(answer) => Ok(Sent::Answered(answer)),
                // Half an answer is none.
                Err(error) => Ok(Sent::Lost(error)),
            },
            429 if response.header(SHED.0).is_some() => Err(self.refused("the changes", &response)),
            429 | 500..=599 => Ok(Sent::Lost(self.refused("the changes", &response))),
            _ => Err(self.refused("the changes", &response)),
        }
    }

    fn request(&self, document: &str, variables: &Value, at: Option<&str>) -> Result<http::Request> {
        let mut path = format!("/graphql/{}", escaped(self.branch));
        if let Some(at) = at {
            path.push_str("?at=");
            path.push_str(&escaped(at));
        }
        let request = http::post(path, &json!({ "query": document, "variables": variables }))?;
        Ok(request.with_header(PRIORITY.0, PRIORITY.1).unprocessed_if(SHED.0, SHED.1))
    }

    /// The response if it holds data and no error.
    fn readable(&self, what: &str, response: Response) -> Result<Response> {
        if response.status() != 200 {
            return Err(self.refused(what, &response));
        }
        let [errors, data] = <[Option<String>; 2]>::try_from(response.json(&["/errors", "/data"])).unwrap_or_default();
        let refusals: Vec<Refusal> = errors.as_deref().and_then(|errors| serde_json::from_str(errors).ok()).unwrap_or_default();
        if let Some(first) = refusals.first() {
            return Err(self.unreadable(what, first));
        }
        match data.as_deref() {
            None | Some("null") => Err(Error::remote(format!("the answer about {what} is none of Infrahub's API: is `url` its address?"))),
            Some(_) => Ok(response),
        }
    }

    /// A query that the server does not take: of another version, unless the schema changed under us.
    fn unreadable(&self, what: &str, refusal: &Refusal) -> Error {
        let unknown = ["Cannot query field", "Unknown argument", "is not defined by type", "Unknown type"];
        let error = refusal.error();
        if !unknown.iter().any(|words| refusal.message.contains(words)) {
            return Error { message: format!("Infrahub does not answer about {what}: {}", error.message), ..error };
        }
        let version = version().map(|version| format!(" (its version is {version})")).unwrap_or_default();
        Error::unsupported(format!(
            "Infrahub{version} does not know what we ask about {what}: {}. Either its schema has changed this moment, then run again; or it \
             is too old: infrahub-sync needs Infrahub 1.7 or newer",
            refusal.message
        ))
    }

    /// A response that is no success, in a user's words.
    pub(crate) fn refused(&self, what: &str, response: &Response) -> Error {
        refused(self.branch, what, response)
    }
}

/// A response that is no success, in a user's words.
pub(crate) fn refused(branch: &str, what: &str, response: &Response) -> Error {
    let status = response.status();
    let general = Error::from_response(&format!("Infrahub's answer about {what}"), response);
    let said = said(response).map(|said| format!(" ({said})")).unwrap_or_default();
    let (kind, message) = match status {
        401 => (ErrorKind::Auth, format!("Infrahub does not know us{said}: the token (INFRAHUB_API_TOKEN) is missing, wrong or expired")),
        403 => (ErrorKind::Auth, format!("Infrahub does not let this token do that{said}: {what}, on the branch `{branch}`")),
        400 | 404 if said.contains("ranch") => {
            (ErrorKind::Config, format!("Infrahub has no branch `{branch}`{said}: see `branch` in the settings, and --branch"))
        }
        404 => (ErrorKind::Config, format!("nothing of Infrahub's is there{said}: is `url` its address?")),
        300..=399 => {
            let to = response.header("location").map(|to| format!(" to {to}")).unwrap_or_default();
            (ErrorKind::Config, format!("the address (`url`) is not Infrahub's own: it redirects{to}"))
        }
        429 => (ErrorKind::RateLimited, general.message),
        _ => (ErrorKind::Remote, general.message),
    };
    Error { kind, message, ..general }
}

/// The words of a refusal: GraphQL's first error, which may be an object or a text.
fn said(response: &Response) -> Option<String> {
    let found = response.json(&["/errors/0/message", "/errors/0"]);
    let words = found.into_iter().flatten().find_map(|json| serde_json::from_str::<String>(&json).ok());
    words.or_else(|| response.detail())
}

/// The server's version, when it says so.
pub(crate) fn version() -> Option<String> {
    let response = http::get("/api/info").send().ok()?;
    let version = response.json(&["/version"]).into_iter().next()??;
    serde_json::from_str(&version).ok()
}

/// Text as a part of a URL.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
