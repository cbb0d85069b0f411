//! Sends one GraphQL request and reads its answer.

use infrahub_sync_adapter::{Error, ErrorKind, Query, Response, Result, System, http, path_segment};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The names for messages.
const INFRAHUB: System = System::new("Infrahub").with_credential("token", "INFRAHUB_API_TOKEN");
/// Has a busy Infrahub serve people first.
const PRIORITY: (&str, &str) = ("x-priority", "low");
/// Marks an answer of the gate before the API: the request was not executed.
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
    /// The alias that failed, and the path below it; empty when the whole document was rejected.
    pub(crate) path: Vec<Value>,
    pub(crate) extensions: Extensions,
}

/// The machine-readable part of an error.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Extensions {
    /// A word since 1.10, a number before.
    pub(crate) code: Value,
    pub(crate) http_status: Option<u16>,
    pub(crate) data: Value,
}

impl Refusal {
    /// Returns the alias of the mutation that failed.
    pub(crate) fn alias(&self) -> Option<&str> {
        self.path.first()?.as_str()
    }

    pub(crate) fn is(&self, code: &str) -> bool {
        self.extensions.code.as_str() == Some(code)
    }

    /// Makes a failure of the contract.
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

/// Says whether another object is in the way.
pub(crate) fn is_collision(message: &str) -> bool {
    message.contains("uniqueness constraint") || message.contains("already exist")
}

/// The answer to an executed document.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    /// By alias. None when the document was rejected as a whole.
    pub(crate) data: Option<Map<String, Value>>,
    pub(crate) errors: Vec<Refusal>,
}

/// The outcome of a mutation.
#[derive(Debug)]
pub(crate) enum Sent {
    /// It was executed, or rejected, and this is the answer.
    Answered(Answer),
    /// The answer is lost: it may have been executed, wholly or in part.
    Lost(Error),
}

impl<'b> Client<'b> {
    pub(crate) fn new(branch: &'b str) -> Client<'b> {
        Client { branch }
    }

    /// Sends a document that only reads, as of a moment, and returns a response with all of its data.
    pub(crate) fn query(&self, what: &str, document: &str, variables: &Value, at: Option<&str>) -> Result<Response> {
        let send = || self.request(document, variables, at)?.only_reads().send();
        let mut response = send()?;
        // A server process broke down: the next request goes to another one. After other failures the host has repeated the request.
        if response.status() == 500 {
            response = send()?;
        }
        self.readable(what, response)
    }

    /// Does the same as [`query`](Self::query) and returns the data.
    pub(crate) fn ask(&self, what: &str, document: &str, variables: &Value) -> Result<Map<String, Value>> {
        let response = self.query(what, document, variables, None)?;
        let answer: Answer = response.parse()?;
        answer.data.ok_or_else(|| Error::remote(format!("Infrahub's answer for `{what}` has no data")))
    }

    /// Sends a mutation. The host never sends it twice, unless the server proves that it was not executed.
    ///
    /// # Errors
    /// When the server rejected it, or it cannot have arrived.
    pub(crate) fn mutate(&self, what: &str, document: &str, variables: &Value) -> Result<Sent> {
        let response = match self.request(document, variables, None)?.send() {
            Ok(response) => response,
            Err(error) if error.kind == ErrorKind::Transport => return Ok(Sent::Lost(error)),
            Err(error) => return Err(error),
        };
        match response.status() {
            200 => match response.parse::<Answer>() {
                Ok(answer) => Ok(Sent::Answered(answer)),
                // A cut answer counts as lost.
                Err(error) => Ok(Sent::Lost(error)),
            },
            429 if response.header(SHED.0).is_some() => Err(self.refused(what, &response)),
            429 | 500..=599 => Ok(Sent::Lost(self.refused(what, &response))),
            _ => Err(self.refused(what, &response)),
        }
    }

    fn request(&self, document: &str, variables: &Value, at: Option<&str>) -> Result<http::Request> {
        let mut url = Query::new(&format!("/graphql/{}", path_segment(self.branch)));
        if let Some(at) = at {
            url = url.with("at", at);
        }
        let request = http::post(url, &json!({ "query": document, "variables": variables }))?;
        Ok(request.with_header(PRIORITY.0, PRIORITY.1).unprocessed_if(SHED.0, SHED.1))
    }

    /// Returns the response if it holds data and no error.
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
            None | Some("null") => Err(INFRAHUB.unexpected(what, &response)),
            Some(_) => Ok(response),
        }
    }

    /// Makes the failure of a query that the server rejects: it has another version, unless the schema has just changed.
    fn unreadable(&self, what: &str, refusal: &Refusal) -> Error {
        let unknown = ["Cannot query field", "Unknown argument", "is not defined by type", "Unknown type"];
        let error = refusal.error();
        if !unknown.iter().any(|words| refusal.message.contains(words)) {
            return Error { message: format!("Infrahub rejects the query for `{what}`: {}", error.message), ..error };
        }
        let version = version().map(|version| format!(" (its version is {version})")).unwrap_or_default();
        Error::unsupported(format!(
            "Infrahub{version} does not know a part of the query for `{what}`: {}. If its schema has just changed, run again. Else it is too old: \
             infrahub-sync needs Infrahub 1.7 or newer",
            refusal.message
        ))
    }

    /// Makes the failure of a response without success.
    fn refused(&self, what: &str, response: &Response) -> Error {
        refused(self.branch, what, response)
    }
}

/// Makes the failure of a response without success.
pub(crate) fn refused(branch: &str, what: &str, response: &Response) -> Error {
    let said = said(response);
    let words = said.as_deref().map(|said| format!(" ({said})")).unwrap_or_default();
    let error = INFRAHUB.refuse_saying(what, response, said);
    let message = match response.status() {
        400 | 404 if words.contains("ranch") => {
            format!("Infrahub has no branch `{branch}`{words}: check `branch` in the settings, and --branch")
        }
        404 => format!("there is no Infrahub API at this address{words}: check that `url` is the address of Infrahub"),
        _ => return error,
    };
    Error { kind: ErrorKind::Config, message, ..error }
}

/// Makes the failure of a success that is not an answer of Infrahub.
pub(crate) fn unexpected(what: &str, response: &Response) -> Error {
    INFRAHUB.unexpected(what, response)
}

/// Returns the words of a refusal: GraphQL's first error, which may be an object or a text.
fn said(response: &Response) -> Option<String> {
    let found = response.json(&["/errors/0/message", "/errors/0"]);
    let words = found.into_iter().flatten().find_map(|json| serde_json::from_str::<String>(&json).ok());
    words.or_else(|| response.detail())
}

/// Returns the server's version, if it tells.
pub(crate) fn version() -> Option<String> {
    http::get("/api/info").send().ok()?.get("/version").ok()
}
