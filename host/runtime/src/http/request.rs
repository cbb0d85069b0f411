//! Requests, before and after they are checked, and the ways in which they fail.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::credentials::Credentials;
use super::login::Login;
use super::origins::Origins;
use crate::advice::Advice;
use crate::error::Failure;
use crate::headers::{RequestHeaders, belongs_to_host, cuts_answers, parse_name};
use crate::limits::Exceeded;
use crate::types::HEADERS_MAX;

/// A request as an adapter makes it. Nothing in it has been checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct AdapterRequest {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) idempotent: bool,
    /// The header of an answer that proves that the request was not executed.
    pub(crate) unprocessed: Option<(String, String)>,
}

/// A request that has been checked.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Vec<u8>>,
    pub(super) timeout: Duration,
    pub(super) idempotent: bool,
    /// The header of an answer that proves that the request was not executed.
    pub(super) unprocessed: Option<(HeaderName, String)>,
    /// It is a part of the login: a redirect that is meant for a browser is its answer.
    pub(super) logs_in: bool,
}

/// Why there is no response. The texts have no credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HttpError {
    Denied(String),
    InvalidRequest(String),
    Transport(String),
    Timeout(String),
    TooLarge(u64),
    /// The session sent too many requests: the call ends.
    Limit(Exceeded),
    /// The login failed, for the user and for the guest: the guest does not see the server's answer.
    Login {
        failure: Failure,
        for_guest: String,
    },
}

impl AdapterRequest {
    /// Checks everything about a request that can be checked without sending it.
    pub(super) fn check(self, rules: &Rules<'_>) -> Result<Request, HttpError> {
        let method = Method::from_bytes(self.method.to_ascii_uppercase().as_bytes());
        let method = method.map_err(|_| HttpError::InvalidRequest(format!("`{}` is not an HTTP method", self.method)))?;
        if method == Method::CONNECT || method == Method::TRACE {
            return Err(HttpError::InvalidRequest(format!("adapters may not use the method {method}")));
        }
        let url = rules.origins.join(&self.url)?;
        let headers = rules.check_headers(&self.headers)?;
        let unprocessed = match self.unprocessed {
            Some((name, value)) => Some((parse_name(&name).map_err(HttpError::InvalidRequest)?, value.trim().to_owned())),
            None => None,
        };
        let idempotent = self.idempotent || [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS].contains(&method);
        let timeout = self.timeout.map_or(rules.timeout, |timeout| timeout.min(rules.timeout));
        Ok(Request { method, url, headers, body: self.body, timeout, idempotent, unprocessed, logs_in: false })
    }
}

/// The rules that a request of an adapter keeps.
pub(super) struct Rules<'h> {
    pub(super) origins: &'h Origins,
    pub(super) credentials: &'h Credentials,
    pub(super) login: Option<&'h Login>,
    /// The headers that the adapter may set.
    pub(super) headers: &'h RequestHeaders,
    pub(super) advice: &'h Advice,
    /// The longest that one answer may take.
    pub(super) timeout: Duration,
}

impl Rules<'_> {
    fn check_headers(&self, given: &[(String, String)]) -> Result<HeaderMap, HttpError> {
        if given.len() > HEADERS_MAX {
            return Err(HttpError::InvalidRequest(format!("a request has {} headers; the limit is {HEADERS_MAX}", given.len())));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            let name = parse_name(name).map_err(HttpError::InvalidRequest)?;
            if belongs_to_host(&name) || self.credentials.sets(&name) || self.login.is_some_and(|login| login.sets(&name)) {
                return Err(HttpError::Denied(format!(
                    "infrahub-sync sets the header `{name}`; an adapter declares its credentials in its manifest"
                )));
            }
            if cuts_answers(&name) {
                return Err(HttpError::Denied(format!("the header `{name}` asks for a piece of an answer; read the whole answer")));
            }
            if !self.headers.allow(&name) {
                if *self.headers == RequestHeaders::All {
                    let reason = format!("because of the header `{name}`, a server may take the request for another one");
                    return Err(HttpError::Denied(reason));
                }
                let line = self.advice.header(name.as_str());
                return Err(HttpError::Denied(format!("the header `{name}` is not one that every adapter may set; {line}")));
            }
            let value = HeaderValue::from_str(value)
                .map_err(|_| HttpError::InvalidRequest(format!("the value of the header `{name}` is invalid")))?;
            headers.append(name, value);
        }
        Ok(headers)
    }
}
