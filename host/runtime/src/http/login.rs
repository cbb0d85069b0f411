//! Logins: done as the manifest declares before the first request that needs them, and kept in memory.
//!
//! Invariants:
//!
//! - Requests of a login go to the configured address alone.
//! - One login is in progress at a time, and the requests that wait for it share its result.
//! - A rejected login is not tried again, because systems lock accounts.
//! - Neither password nor token nor answer reaches a guest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Mutex;

use super::request::{HttpError, Request};
use super::retry::Retry;
use crate::error::{Failure, FailureKind};
use crate::manifest::{self, LoginBody, LoginPlace, LoginStep};
use crate::response::{HostResponse, json_at};
use crate::secret::{Scrubber, Secret};
use crate::template;
use crate::usage::Account;

/// A token that is younger has not expired: the system rejects a request with it for another reason, and another login would not help.
/// Systems that return 403 both for an old token and for a missing permission would otherwise get a login for each such request.
const EXPIRES_AFTER: Duration = Duration::from_secs(5);
/// The characters of a path's segment that are sent as they are: the unreserved ones.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Characters of a server's text in a message, at most.
const WORDS_CHARS_MAX: usize = 300;
/// Bytes of a value that a login returns. It becomes a header, and all its forms are masked in every answer.
const VALUE_BYTES_MAX: usize = 32 << 10;

/// A session's login.
pub(super) struct Login {
    plan: manifest::Login,
    /// The values of the settings that the plan mentions.
    settings: BTreeMap<String, Secret>,
    state: Mutex<State>,
    /// Logins that ended, with success or without.
    ended: AtomicU64,
}

#[derive(Default)]
struct State {
    pass: Option<Arc<Pass>>,
    /// How the last login failed; none after a success.
    failed: Option<HttpError>,
    /// It would fail again.
    hopeless: bool,
}

/// The way that the requests of a login take, the longest that one answer may take, and the account that counts them.
#[derive(Clone, Copy)]
pub(super) struct Requests<'h> {
    pub(super) retry: &'h Retry,
    pub(super) timeout: Duration,
    pub(super) account: &'h Account,
}

/// The result of a login.
pub(super) struct Pass {
    headers: HeaderMap,
    values: BTreeMap<String, Secret>,
    since: Instant,
}

impl Pass {
    /// Returns the headers of each request.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

impl Login {
    pub(super) fn new(plan: manifest::Login, settings: BTreeMap<String, Secret>) -> Self {
        Self { plan, settings, state: Mutex::default(), ended: AtomicU64::new(0) }
    }

    /// Returns whether it sets that header.
    pub(super) fn sets(&self, name: &HeaderName) -> bool {
        self.plan.headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name.as_str()))
    }

    /// Returns whether that status says that a pass has expired.
    pub(super) fn has_expired(&self, status: u16) -> bool {
        self.plan.expired.contains(&status)
    }

    /// Returns a valid pass, and another one than `refused`, unless that is too young to have expired.
    pub(super) async fn pass(&self, requests: Requests<'_>, refused: Option<&Arc<Pass>>) -> Result<Arc<Pass>, HttpError> {
        let ended = self.ended.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(error) = &state.failed
            // Another request tried while this one waited, or another attempt would fail as well.
            && (state.hopeless || ended != self.ended.load(Ordering::Acquire))
        {
            return Err(error.clone());
        }
        let mut known = None;
        if let Some(pass) = state.pass.clone() {
            let age = (requests.retry.pace.instant)().saturating_duration_since(pass.since);
            let is_refused = refused.is_some_and(|refused| Arc::ptr_eq(refused, &pass));
            let is_old = self.plan.renew_after.is_some_and(|limit| age >= limit);
            if is_refused && age < EXPIRES_AFTER || !is_refused && !is_old {
                return Ok(pass);
            }
            // A rejected pass is not refreshed: a server that forgot it does not refresh it either.
            known = Some(pass).filter(|_| !is_refused);
        }
        let taken = self.log_in(requests, known).await;
        self.ended.fetch_add(1, Ordering::Release);
        match taken {
            Ok(pass) => {
                *state = State { pass: Some(pass.clone()), ..State::default() };
                Ok(pass)
            }
            Err(error) => {
                // The next request tries again if the server may answer differently in a moment.
                let hopeless = match &error {
                    HttpError::Login { failure, .. } => !failure.kind.is_transient(),
                    HttpError::Denied(_) | HttpError::InvalidRequest(_) | HttpError::TooLarge(_) | HttpError::Limit(_) => true,
                    HttpError::Transport(_) | HttpError::Timeout(_) => false,
                };
                *state = State { pass: None, failed: Some(error.clone()), hopeless };
                Err(error)
            }
        }
    }

    /// Refreshes a known pass, or logs in.
    async fn log_in(&self, requests: Requests<'_>, known: Option<Arc<Pass>>) -> Result<Arc<Pass>, HttpError> {
        if let Some(known) = known.filter(|_| !self.plan.refresh.is_empty()) {
            match self.follow(requests, &self.plan.refresh, known.values.clone()).await {
                Ok(pass) => return Ok(pass),
                Err(error @ HttpError::Limit(_)) => return Err(error),
                Err(error) => tracing::debug!("a login cannot be refreshed and is done again: {error:?}"),
            }
        }
        self.follow(requests, &self.plan.steps, BTreeMap::new()).await
    }

    /// Makes the requests and takes the values from their answers.
    async fn follow(
        &self,
        requests: Requests<'_>,
        steps: &[LoginStep],
        mut values: BTreeMap<String, Secret>,
    ) -> Result<Arc<Pass>, HttpError> {
        let retry = requests.retry;
        let since = (retry.pace.instant)();
        for step in steps {
            let request = self.request(requests, step, &values)?;
            requests.account.request().map_err(HttpError::Limit)?;
            let response = retry.send(&request, None).await?;
            let at = format!("the login at {} {}", request.method, retry.transport.shown(&request.url));
            let scrubber = &retry.transport.scrubber;
            if response.status >= 400 {
                return Err(self.failed(scrubber, &at, "was rejected", &response));
            }
            for (name, place) in &step.values {
                let Some(value) = found(&response, place).filter(|value| !value.is_empty()) else {
                    let place = match place {
                        LoginPlace::Json(pointer) => format!("JSON at `{pointer}`"),
                        LoginPlace::Header(name) => format!("header `{name}`"),
                        LoginPlace::Cookie(name) => format!("cookie `{name}`"),
                    };
                    return Err(self.failed(scrubber, &at, &format!("returned no {place}"), &response));
                };
                if value.len() > VALUE_BYTES_MAX {
                    let what = format!("returned a `{name}` of {} bytes, more than {VALUE_BYTES_MAX}", value.len());
                    return Err(self.failed(scrubber, &at, &what, &response));
                }
                let value = Secret::new(value);
                scrubber.learn(value.clone());
                values.insert(name.clone(), value);
            }
        }
        let headers = self.headers(&self.plan.headers, &values)?;
        Ok(Arc::new(Pass { headers, values, since }))
    }

    /// Returns the value of a place in a template.
    fn value(&self, name: &str, values: &BTreeMap<String, Secret>) -> Option<String> {
        values.get(name).or_else(|| self.settings.get(name)).map(|secret| secret.expose().to_owned())
    }

    fn headers(&self, templates: &[(String, String)], values: &BTreeMap<String, Secret>) -> Result<HeaderMap, HttpError> {
        let mut headers = HeaderMap::new();
        for (name, template) in templates {
            let invalid = || HttpError::InvalidRequest(format!("the login's header `{name}` has a value that no header may have"));
            let filled = template::fill(template, |name| self.value(name, values)).ok_or_else(invalid)?;
            let mut value = HeaderValue::from_str(&filled).map_err(|_| invalid())?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?, value);
        }
        Ok(headers)
    }

    /// Fills a path. A value may have several segments; none of them leads up.
    fn path(&self, template: &str) -> Result<String, HttpError> {
        let segment = |segment: &str| match segment {
            "." | ".." | "" => None,
            _ => Some(utf8_percent_encode(segment, SEGMENT).to_string()),
        };
        let segments = |name: &str| {
            let value = self.settings.get(name)?.expose().trim_matches('/');
            value.split('/').map(segment).collect::<Option<Vec<_>>>().map(|segments| segments.join("/"))
        };
        template::fill(template, segments).ok_or_else(|| {
            HttpError::InvalidRequest(format!("the login's path `{template}` has a setting with an invalid segment of a path"))
        })
    }

    fn request(&self, requests: Requests<'_>, step: &LoginStep, values: &BTreeMap<String, Secret>) -> Result<Request, HttpError> {
        let invalid = || HttpError::InvalidRequest(format!("the login's {} {} cannot be sent", step.method, step.path));
        let mut headers = self.headers(&step.headers, values)?;
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("application/json, */*;q=0.5"));
        let body = match &step.body {
            None => None,
            Some(LoginBody::Json(template)) => {
                headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                // The place stands within quotation marks, which are the template's.
                let escaped = |name: &str| {
                    let json = serde_json::to_string(&self.value(name, values)?).ok()?;
                    Some(json.get(1..json.len() - 1)?.to_owned())
                };
                Some(template::fill(template, escaped).ok_or_else(invalid)?)
            }
            Some(LoginBody::Form(fields)) => {
                headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/x-www-form-urlencoded"));
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (name, template) in fields {
                    form.append_pair(name, &template::fill(template, |name| self.value(name, values)).ok_or_else(invalid)?);
                }
                Some(form.finish())
            }
        };
        Ok(Request {
            method: Method::from_bytes(step.method.as_bytes()).map_err(|_| invalid())?,
            url: requests.retry.transport.origins.join(&self.path(&step.path)?)?,
            headers,
            body: body.map(String::into_bytes),
            timeout: requests.timeout,
            // Two logins have the effect of one.
            idempotent: true,
            unprocessed: None,
            logs_in: true,
        })
    }

    /// Returns the error of a login that failed.
    fn failed(&self, scrubber: &Scrubber, at: &str, what: &str, response: &HostResponse) -> HttpError {
        let status = response.status;
        let for_guest = format!("{at} {what}: HTTP status {status}");
        let words = words(response, scrubber).map(|words| format!(": {words}")).unwrap_or_default();
        // A setting of a path is not what a server rejects.
        let in_path: Vec<&str> = self.plan.steps.iter().flat_map(|step| template::names(&step.path)).collect();
        let names = self.settings.keys().filter(|name| !in_path.contains(&name.as_str()));
        let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        let check = if names.is_empty() { String::new() } else { format!("; check {}", names.join(" and ")) };
        let kind = match status {
            429 => FailureKind::RateLimited,
            500.. => FailureKind::Remote,
            _ => FailureKind::Auth,
        };
        let check = if kind == FailureKind::Auth { check } else { String::new() };
        HttpError::Login {
            failure: Failure { kind, message: format!("{for_guest}{words}{check}"), http_status: Some(status), retry_after: None },
            for_guest,
        }
    }
}

/// Returns the value at a place of an answer.
fn found(response: &HostResponse, place: &LoginPlace) -> Option<String> {
    match place {
        LoginPlace::Json(pointer) => {
            let json = json_at(response.body.as_text()?, std::slice::from_ref(pointer), usize::MAX)?.pop()??;
            match serde_json::from_str(&json).ok()? {
                serde_json::Value::String(text) => Some(text),
                serde_json::Value::Number(number) => Some(number.to_string()),
                _ => None,
            }
        }
        LoginPlace::Header(name) => response.header(name).map(|value| value.trim().to_owned()),
        LoginPlace::Cookie(name) => {
            let set = response.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(header::SET_COOKIE.as_str()));
            let pairs = set.filter_map(|(_, cookie)| cookie.split(';').next()?.split_once('='));
            // If a cookie is set twice, the last one counts, as in a browser.
            pairs.rev().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
        }
    }
}

/// Returns the server's own text, short enough for a message; never HTML.
fn words(response: &HostResponse, scrubber: &Scrubber) -> Option<String> {
    let body = response.body.as_text()?.trim();
    let pointers = ["/detail", "/error", "/message", "/errors/0/message"].map(str::to_owned);
    let found = json_at(body, &pointers, usize::MAX).unwrap_or_default();
    let said = found.into_iter().flatten().find_map(|json| serde_json::from_str::<String>(&json).ok());
    // The answer of a login that succeeded for the server may hold a token in another place than the manifest says.
    let all = || Some(body.to_owned()).filter(|body| response.status >= 400 && !body.is_empty() && !body.starts_with('<'));
    let text = scrubber.scrub(said.or_else(all)?);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(WORDS_CHARS_MAX) {
        Some((end, _)) => Some(format!("{}…", &text[..end])),
        None => Some(text),
    }
}
