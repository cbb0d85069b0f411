//! `http`: requests to the configured address.
//!
//! Invariants: a request, and each redirect of it, goes to an allowed origin or nowhere, and where the names of allowed origins lead is
//! looked at each time (see [`super::network`]); credentials go to the configured address alone; no URL is written anywhere with them; a
//! guest sees the last answer only, after redirects and repetitions, without cookies and without the secrets that a server repeated.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use infrahub_sync_base::limits::Limit;
use ipnet::IpNet;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, StatusCode, redirect};
use tokio::sync::{OnceCell, Semaphore};
use url::{Origin, Url};
use wasmtime::component::Resource;

use super::Advice;
use super::connections::{Connections, stays_open};
use super::network::{Names, Reason, Refused, Resolver};
use crate::capability::login::{Login, Pass};
use crate::error::{AdapterName, Failure};
use crate::exchange::{BodyLine, Exchange, Mask, REPLAY_ADDRESS, RequestLine};
use crate::guest::bindings::infrahub_sync::adapter::http as wit;
use crate::headers::{belongs_to_host, parse_name};
use crate::instance::HostState;
use crate::limits::{Exceeded, Limits};
use crate::manifest::{CredentialForm, Manifest};
use crate::response::{Body, Full, HostResponse};
use crate::secret::{Scrubber, Secret};
use crate::settings::{Environment, HostSettings, Resolved};
use crate::template;
use crate::types::HEADERS_MAX;

/// Redirects of one request. Real ones are one or two hops; a circle has no end.
const REDIRECTS_MAX: usize = 10;
/// A whole answer may take this many times the longest silence: a server that drips a byte a minute is an outage, too.
const ANSWER_TIMEOUTS: u32 = 10;
/// Idle connections are given up before the usual 60 s of servers, or the next request meets a closed one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// What [`Http::new`] is made from.
pub(crate) struct HttpConfig<'a> {
    pub(crate) adapter: Arc<AdapterName>,
    pub(crate) manifest: &'a Manifest,
    pub(crate) resolved: &'a Resolved,
    pub(crate) address: &'a str,
    pub(crate) extra_origins: &'a [String],
    pub(crate) networks: &'a [IpNet],
    pub(crate) environment: Environment<'a>,
    pub(crate) limits: &'a Limits,
    pub(crate) exchange: Exchange,
    pub(crate) scrubber: Scrubber,
}

/// The way of one session to its system.
pub(crate) struct Http {
    adapter: Arc<AdapterName>,
    /// The configured address; its path ends without `/`.
    base: Url,
    base_path: String,
    address_setting: String,
    origins: Vec<Allowed>,
    headers: HeaderMap,
    /// The headers that the project gives. They replace any other of the same name.
    project_headers: HeaderMap,
    query: Vec<(String, Secret)>,
    login: Option<Login>,
    settings: HostSettings,
    limits: Limits,
    trust: Trust,
    proxy: Option<reqwest::Proxy>,
    resolver: Arc<Resolver>,
    advice: Advice,
    /// Made by the first request: reading the system's certificates takes milliseconds that an offline run need not spend.
    client: OnceCell<Client>,
    connections: Connections,
    exchange: Exchange,
    scrubber: Scrubber,
    pace: Pace,
    requests: AtomicU64,
    repeated: AtomicU64,
    bytes: AtomicU64,
    /// The user has been told that answers hold a secret.
    masked: AtomicBool,
}

/// What went over the network so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Requests that were sent, repetitions included.
    pub requests: u64,
    /// Requests that were sent again: the server was busy, or the connection broke.
    pub repeated: u64,
    /// Bytes of the answers' bodies, decompressed.
    pub bytes: u64,
}

/// An origin that may be asked.
struct Allowed {
    origin: Origin,
    permits: Semaphore,
}

/// Whom to believe.
enum Trust {
    System,
    Bundle(Vec<Certificate>),
    Everybody,
}

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Time and chance, which tests replace.
pub(super) struct Pace {
    sleep: Box<dyn Fn(Duration) -> Sleep + Send + Sync>,
    now: Box<dyn Fn() -> SystemTime + Send + Sync>,
    /// The time that never jumps.
    pub(super) instant: Box<dyn Fn() -> Instant + Send + Sync>,
    /// Draws a number from 0 to 1.
    draw: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl Pace {
    fn real() -> Self {
        let draw = || getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX));
        Self {
            sleep: Box::new(|time| Box::pin(tokio::time::sleep(time))),
            now: Box::new(SystemTime::now),
            instant: Box::new(Instant::now),
            draw: Box::new(draw),
        }
    }
}

/// A request that has been checked.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Vec<u8>>,
    pub(super) timeout: Duration,
    pub(super) idempotent: bool,
    /// The header of an answer that proves that nothing was done with the request.
    pub(super) unprocessed: Option<(HeaderName, String)>,
    /// It is a part of the login: it needs none, and a redirect that is meant for a browser is its answer.
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
    /// The login failed: what the user is told, and what the guest is.
    Login {
        failure: Failure,
        told: String,
    },
}

/// How one attempt failed.
struct Failed {
    error: HttpError,
    /// Nothing has been sent, so nothing can happen twice.
    unsent: bool,
    /// Another attempt may go better.
    transient: bool,
}

impl From<HttpError> for Failed {
    fn from(error: HttpError) -> Self {
        Self { error, unsent: false, transient: false }
    }
}

impl Http {
    /// Grants an address; the error follows the setting's name.
    pub(crate) fn new(config: HttpConfig<'_>) -> Result<Self, String> {
        let address_setting = config.manifest.address_setting.clone().unwrap_or_default();
        let mut base = parse_address(config.address)?;
        let base_path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&base_path);
        base.set_query(None);
        base.set_fragment(None);
        let permits = config.resolved.host.max_concurrency;
        let mut origins = vec![Allowed { origin: base.origin(), permits: Semaphore::new(permits) }];
        let advice = Advice { role: config.adapter.role, origins: config.extra_origins.to_vec(), networks: config.networks.to_vec() };
        let mut resolver = Resolver::new(advice.clone(), config.networks);
        resolver.allow(&base, Reason::Configured);
        for extra in config.extra_origins {
            let extra = parse_address(extra).map_err(|reason| format!("is accompanied by an origin that {reason}"))?;
            resolver.allow(&extra, Reason::Granted);
            let origin = extra.origin();
            if !origins.iter().any(|allowed| allowed.origin == origin) {
                origins.push(Allowed { origin, permits: Semaphore::new(permits) });
            }
        }
        let Credentials { headers, project, query, login, derived } = credentials(config.manifest, config.resolved)?;
        config.scrubber.know(derived);
        let live = !matches!(config.exchange, Exchange::Replay(_) | Exchange::StandIn(_));
        let proxy = if live { proxy(&base, config.environment)? } else { None };
        let proxy = proxy.map(|Proxy { proxy, address }| {
            resolver.allow(&address, Reason::Proxy);
            config.scrubber.know(proxy_secrets(&address));
            proxy
        });
        Ok(Self {
            adapter: config.adapter,
            proxy,
            resolver: Arc::new(resolver),
            advice,
            trust: if live { trust(&base, &config.resolved.host, config.environment)? } else { Trust::System },
            base,
            base_path,
            address_setting,
            origins,
            headers,
            project_headers: project,
            query,
            // A replay answers without being asked who asks.
            login: login.filter(|_| live),
            settings: config.resolved.host.clone(),
            limits: config.limits.clone(),
            client: OnceCell::new(),
            connections: Connections::default(),
            exchange: config.exchange,
            scrubber: config.scrubber,
            pace: Pace::real(),
            requests: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            masked: AtomicBool::new(false),
        })
    }

    /// Time and chance.
    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// What keeps secrets out of texts.
    pub(super) fn scrubber(&self) -> &Scrubber {
        &self.scrubber
    }

    /// The longest that one answer may take.
    pub(super) fn timeout(&self) -> Duration {
        self.settings.timeout.saturating_mul(ANSWER_TIMEOUTS)
    }

    /// Sends a request, follows redirects, repeats what may be repeated, records or replays.
    pub(crate) async fn send(&self, request: wit::Request) -> Result<HostResponse, HttpError> {
        let request = self.check(request)?;
        match &self.exchange {
            Exchange::Replay(replay) => replay.answer(&self.line(&request)).map_err(HttpError::Transport),
            // As it is given: what an adapter makes of a credential that a server repeats has to show.
            Exchange::StandIn(stand_in) => stand_in.answer(self.line(&request)).map_err(HttpError::Transport),
            Exchange::Live => Ok(self.for_guest(self.repeat(&request).await?)),
            Exchange::Record(recorder) => {
                let response = self.for_guest(self.repeat(&request).await?);
                recorder.record(self.line(&request), &response, self);
                Ok(response)
            }
        }
    }

    /// The answer as a guest may see it: without cookies, and without the secrets that the server repeated.
    fn for_guest(&self, mut response: HostResponse) -> HostResponse {
        response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(header::SET_COOKIE.as_str()));
        let mut masked = false;
        for (_, value) in &mut response.headers {
            if let Some(bytes) = self.scrubber.scrub_answer(value.as_bytes()) {
                *value = String::from_utf8_lossy(&bytes).into_owned();
                masked = true;
            }
        }
        if let Some(bytes) = self.scrubber.scrub_answer(response.body.as_bytes()) {
            response.body = Body::new(bytes);
            masked = true;
        }
        if masked && !self.masked.swap(true, Ordering::Relaxed) {
            tracing::warn!(adapter = %self.adapter, "the server repeats a credential in its answers; the adapter gets `***` in its place");
        }
        response
    }

    /// Checks everything about a request that can be checked without sending it.
    fn check(&self, request: wit::Request) -> Result<Request, HttpError> {
        let method = Method::from_bytes(request.method.to_ascii_uppercase().as_bytes());
        let method = method.map_err(|_| HttpError::InvalidRequest(format!("`{}` is no HTTP method", request.method)))?;
        if method == Method::CONNECT || method == Method::TRACE {
            return Err(HttpError::InvalidRequest(format!("the method {method} is not for adapters")));
        }
        let url = self.join(&request.url)?;
        if request.headers.len() > HEADERS_MAX {
            return Err(HttpError::InvalidRequest(format!("a request has {} headers; the limit is {HEADERS_MAX}", request.headers.len())));
        }
        let mut headers = HeaderMap::new();
        for header in &request.headers {
            let name = parse_name(&header.name).map_err(HttpError::InvalidRequest)?;
            let of_login = || self.login.as_ref().is_some_and(|login| login.sets(&name));
            if belongs_to_host(&name) || self.headers.contains_key(&name) || of_login() {
                return Err(HttpError::Denied(format!(
                    "the header `{name}` is set by infrahub-sync; an adapter declares its credentials in its manifest"
                )));
            }
            let value = HeaderValue::from_str(&header.value)
                .map_err(|_| HttpError::InvalidRequest(format!("the value of the header `{name}` is none")))?;
            headers.append(name, value);
        }
        let host_timeout = self.timeout();
        let timeout = request.timeout_ms.map_or(host_timeout, |timeout| Duration::from_millis(timeout.into()).min(host_timeout));
        let idempotent = request.idempotent || [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS].contains(&method);
        let unprocessed = match request.unprocessed {
            Some(header) => {
                let name = parse_name(&header.name).map_err(HttpError::InvalidRequest)?;
                Some((name, header.value.trim().to_owned()))
            }
            None => None,
        };
        Ok(Request { method, url, headers, body: request.body, timeout, idempotent, unprocessed, logs_in: false })
    }

    /// The absolute URL of a request, of an allowed origin.
    pub(super) fn join(&self, url: &str) -> Result<Url, HttpError> {
        let invalid = |reason: &str| HttpError::InvalidRequest(format!("`{url}` {reason}"));
        let mut joined = if url.starts_with('/') {
            // By text, not by `Url::join`: `//host/path` would name another host, and an address with a path would lose it.
            Url::parse(&format!("{}{}{url}", self.base.origin().ascii_serialization(), self.base_path))
                .map_err(|_| invalid("is no path"))?
        } else {
            Url::parse(url).map_err(|_| invalid("is neither a path that begins with `/` nor a URL"))?
        };
        if !matches!(joined.scheme(), "http" | "https") {
            return Err(HttpError::Denied(format!("`{}:` is not for adapters, which may ask by `http:` and `https:`", joined.scheme())));
        }
        if !joined.username().is_empty() || joined.password().is_some() {
            return Err(HttpError::InvalidRequest("a URL of an adapter holds no credentials".into()));
        }
        joined.set_fragment(None);
        self.allowed(&joined)?;
        Ok(joined)
    }

    /// The origin's entry, or a denial that says what would allow it.
    fn allowed(&self, url: &Url) -> Result<&Allowed, HttpError> {
        let origin = url.origin();
        self.origins.iter().find(|allowed| allowed.origin == origin).ok_or_else(|| {
            let (asked, base) = (origin.ascii_serialization(), self.base.origin().ascii_serialization());
            HttpError::Denied(format!("{asked} is not the configured origin {base}; {}", self.remedy(url)))
        })
    }

    /// The line of config.yml that would allow an origin.
    fn remedy(&self, url: &Url) -> String {
        let origin = url.origin().ascii_serialization();
        if url.host() == self.base.host() {
            // The same machine: another scheme or port of it is an address that is written wrong, more likely than a further system.
            return format!("if it should be, set `{}: {origin}{}`", self.address_setting, self.base_path);
        }
        self.advice.origin(&origin)
    }

    /// The request as recordings know it.
    fn line(&self, request: &Request) -> RequestLine {
        let url = self.without_secrets(request.url.clone());
        let path = url.path();
        let below = path.strip_prefix(&self.base_path).filter(|rest| rest.starts_with('/')).unwrap_or(path);
        let path = match url.query() {
            Some(query) => format!("{below}?{query}"),
            None => below.to_owned(),
        };
        let body = request.body.as_deref().map(|body| BodyLine::new(body, self));
        RequestLine { method: request.method.to_string(), path: self.text(&path), body }
    }

    /// The URL without the query parameters that carry credentials.
    fn without_secrets(&self, mut url: Url) -> Url {
        let Some(query) = url.query().filter(|_| !self.query.is_empty()) else { return url };
        let kept: Vec<&str> = query
            .split('&')
            .filter(|pair| {
                let name = pair.split('=').next().unwrap_or_default();
                let name = url::form_urlencoded::parse(name.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default();
                !self.query.iter().any(|(parameter, _)| *parameter == name)
            })
            .collect();
        let kept = kept.join("&");
        url.set_query((!kept.is_empty()).then_some(&kept));
        url
    }

    /// A URL for messages and traces.
    pub(super) fn shown(&self, url: &Url) -> String {
        self.scrubber.scrub(self.without_secrets(url.clone()).to_string())
    }

    /// What went over the network so far.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.requests.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// Attempts the request until there is an answer that is final.
    pub(super) async fn repeat(&self, request: &Request) -> Result<HostResponse, HttpError> {
        let login = self.login.as_ref().filter(|_| !request.logs_in && request.url.origin() == self.base.origin());
        let mut pass = match login {
            Some(login) => Some(Box::pin(login.pass(self, None)).await?),
            None => None,
        };
        let mut passes = 1;
        let mut attempt = 1;
        loop {
            let started = Instant::now();
            let ended = match tokio::time::timeout(request.timeout, self.attempt(request, pass.as_deref())).await {
                Ok(ended) => ended,
                Err(_) => {
                    let reason = format!(
                        "{} {}: no complete answer within {} s",
                        request.method,
                        self.shown(&request.url),
                        request.timeout.as_secs_f64()
                    );
                    Err(Failed { error: HttpError::Timeout(reason), unsent: false, transient: true })
                }
            };
            self.requests.fetch_add(1, Ordering::Relaxed);
            let (status, bytes) = ended.as_ref().map_or((0, 0), |response| (response.status, response.body.as_bytes().len()));
            self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            let error = ended.as_ref().err().map(|failed| format!("{:?}", failed.error));
            tracing::debug!(
                adapter = %self.adapter,
                method = %request.method,
                url = self.shown(&request.url),
                status,
                attempt,
                elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                bytes,
                error,
                "http"
            );
            if let (Some(login), Some(refused), Ok(response)) = (login, &pass, &ended)
                && login.has_expired(response.status)
                && passes == 1
            {
                passes += 1;
                let next = Box::pin(login.pass(self, Some(refused))).await?;
                // The same one again: it is so young that there must be another reason.
                if !Arc::ptr_eq(&next, refused) {
                    pass = Some(next);
                    continue;
                }
            }
            let wait = match &ended {
                Ok(response) => self.wait_after(request, response, attempt),
                Err(failed) => (failed.transient && (failed.unsent || request.idempotent)).then(|| self.backoff(attempt)),
            };
            match wait.filter(|_| attempt <= self.settings.retries) {
                Some(wait) => {
                    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    let waits_long = wait >= Duration::from_secs(5);
                    if waits_long {
                        tracing::info!(adapter = %self.adapter, url = self.shown(&request.url), status, wait_ms, "waiting before the next attempt");
                    }
                    self.repeated.fetch_add(1, Ordering::Relaxed);
                    (self.pace.sleep)(wait).await;
                    attempt += 1;
                }
                None => return ended.map_err(|failed| failed.error),
            }
        }
    }

    /// How long to wait before the request is repeated because of its answer; none when the answer is final.
    fn wait_after(&self, request: &Request, response: &HostResponse, attempt: u32) -> Option<Duration> {
        let repeat = match response.status {
            429 | 502..=504 if request.idempotent => true,
            // Such a request is repeated only when nothing was done with it. A 429 says that, unless the adapter knows a better proof.
            status @ (429 | 503) => match &request.unprocessed {
                Some((name, value)) => {
                    let mut headers = response.headers.iter();
                    headers.any(|(key, told)| key.eq_ignore_ascii_case(name.as_str()) && told.trim() == value)
                }
                None => status == 429,
            },
            // NetBox and others fail so under load; a write that failed half-way is not repeated.
            500 => request.method == Method::GET || request.method == Method::HEAD,
            _ => false,
        };
        let asked = || {
            let value = response.header("retry-after")?.trim();
            match value.parse::<u64>() {
                Ok(seconds) => Some(Duration::from_secs(seconds)),
                Err(_) => Some(httpdate::parse_http_date(value).ok()?.duration_since((self.pace.now)()).unwrap_or_default()),
            }
        };
        repeat.then(|| asked().map_or_else(|| self.backoff(attempt), |wait| wait.min(self.limits.retry_after_max)))
    }

    /// Exponential backoff with full jitter: many clients that failed together do not come back together.
    fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self.limits.backoff_base.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1)));
        doubled.min(self.limits.backoff_max).mul_f64((self.pace.draw)().clamp(0.0, 1.0))
    }

    /// Sends a request once, follows its redirects, and reads the answer whole.
    async fn attempt(&self, request: &Request, pass: Option<&Pass>) -> Result<HostResponse, Failed> {
        let client = self.client.get_or_try_init(|| async { self.make_client() }).await?;
        let (mut method, mut url, mut body) = (request.method.clone(), request.url.clone(), request.body.clone());
        for _ in 0..=REDIRECTS_MAX {
            let allowed = self.allowed(&url)?;
            let _permit = allowed.permits.acquire().await.map_err(|error| HttpError::Transport(error.to_string()))?;
            let failed = |error: reqwest::Error| self.failed(&request.method, &url, &error);
            let mut sending = client.request(method.clone(), self.with_credentials(&url)).headers(request.headers.clone());
            if url.origin() == self.base.origin() {
                sending = sending.headers(self.headers.clone());
                if let Some(pass) = pass {
                    sending = sending.headers(pass.headers().clone());
                }
                sending = sending.headers(self.project_headers.clone());
            }
            if let Some(body) = &body {
                sending = sending.body(body.clone());
            }
            let response = self.connections.send(sending).await.map_err(failed)?;
            match self.redirect(request, &method, &url, &response)? {
                Some((next_method, next)) => {
                    if next_method != method {
                        body = None;
                    }
                    (method, url) = (next_method, next);
                }
                None => return self.read(response, failed).await,
            }
        }
        Err(HttpError::Transport(format!("{} {}: more than {REDIRECTS_MAX} redirects", request.method, self.shown(&request.url))).into())
    }

    /// Where an answer redirects to; none when it is to be taken as it is.
    fn redirect(
        &self,
        request: &Request,
        method: &Method,
        url: &Url,
        response: &reqwest::Response,
    ) -> Result<Option<(Method, Url)>, HttpError> {
        let reads = *method == Method::GET || *method == Method::HEAD;
        let next_method = match response.status() {
            StatusCode::SEE_OTHER if !reads && !request.logs_in => Some(Method::GET),
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => Some(method.clone()),
            // A POST that turns into a GET would look like a success and have written nothing: the adapter sees the 301.
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER if reads => Some(method.clone()),
            // A form that was filled in well redirects a browser to the first page, and badly to where else one may log in.
            status if request.logs_in && status.is_redirection() => None,
            _ => return Ok(None),
        };
        let Some(location) = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()) else { return Ok(None) };
        let next = url.join(location).map_err(|_| HttpError::Transport(format!("{method} {}: a redirect to no URL", self.shown(url))))?;
        // Elsewhere only from the configured origin to one that was granted, and only to read: what is asked there has no credentials, and
        // no server but the configured one chooses what is asked.
        let is_granted = url.origin() == self.base.origin() && self.origins.iter().any(|allowed| allowed.origin == next.origin());
        let reads = !request.logs_in && next_method.as_ref().is_some_and(|method| *method == Method::GET || *method == Method::HEAD);
        if next.origin() != url.origin() && !(is_granted && reads) {
            let (shown, origin) = (self.shown(url), next.origin().ascii_serialization());
            return Err(HttpError::Denied(match next.scheme() {
                _ if is_granted && request.logs_in => format!("{shown} redirects a login to {origin}, which gets no credentials"),
                _ if is_granted => format!("{shown} redirects a {method} to {origin}: what is written is not sent to another origin"),
                "http" | "https" => {
                    format!("{shown} redirects to {origin}, which is not the configured origin; {}", self.remedy(&next))
                }
                scheme => format!("{shown} redirects to `{scheme}:`, where adapters may not ask"),
            }));
        }
        Ok(next_method.map(|method| (method, next)))
    }

    /// Reads the body, not more than allowed.
    async fn read(&self, mut response: reqwest::Response, failed: impl Fn(reqwest::Error) -> Failed) -> Result<HostResponse, Failed> {
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect();
        let limit = self.limits.response_bytes_max;
        // Known only of bodies that are not compressed; only a hint, so that memory is not asked for in vain.
        let length = usize::try_from(response.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
        if length > limit {
            return Err(HttpError::TooLarge(limit as u64).into());
        }
        let mut body = Vec::with_capacity(length.min(16 << 20));
        let stays_open = stays_open(&response);
        while let Some(chunk) = response.chunk().await.map_err(&failed)? {
            if body.len() + chunk.len() > limit {
                return Err(HttpError::TooLarge(limit as u64).into());
            }
            body.extend_from_slice(&chunk);
        }
        if stays_open {
            self.connections.give_back();
        }
        Ok(HostResponse { status, headers, body: Body::new(body) })
    }

    /// The URL as it is sent: with the credentials that go into the query, to the configured origin alone.
    fn with_credentials(&self, url: &Url) -> Url {
        let mut url = self.without_secrets(url.clone());
        if !self.query.is_empty() && url.origin() == self.base.origin() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in &self.query {
                pairs.append_pair(name, value.expose());
            }
        }
        url
    }

    /// What an error of the client means, in words without credentials.
    fn failed(&self, method: &Method, url: &Url, error: &reqwest::Error) -> Failed {
        // The innermost cause is the one that says something ("Connection refused"); the outer ones repeat the URL.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let request = format!("{method} {}", self.shown(url));
        if let Some(refused) = refused(error) {
            return HttpError::Denied(refused.0.clone()).into();
        }
        let mut reason =
            if std::ptr::addr_eq(cause, error) { "the request failed".to_owned() } else { self.scrubber.scrub(cause.to_string()) };
        let certificate = reason.contains("certificate");
        if certificate {
            reason.push_str("; name its authority in REQUESTS_CA_BUNDLE, or set `verify_ssl: false`");
        }
        let unsent = error.is_connect();
        if error.is_timeout() {
            let limit = if unsent { self.limits.connect_timeout } else { self.settings.timeout };
            let what = if unsent { "no connection" } else { "no answer" };
            let error = HttpError::Timeout(format!("{request}: {what} within {} s", limit.as_secs_f64()));
            return Failed { error, unsent, transient: true };
        }
        if error.is_builder() {
            return HttpError::InvalidRequest(format!("{request}: {reason}")).into();
        }
        Failed { error: HttpError::Transport(format!("{request}: {reason}")), unsent, transient: !certificate }
    }

    fn make_client(&self) -> Result<Client, HttpError> {
        // Without a provider rustls panics. Somebody else may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("infrahub-sync/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .dns_resolver(Names(self.resolver.clone()))
            .connect_timeout(self.limits.connect_timeout)
            .read_timeout(self.settings.timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(self.settings.max_concurrency)
            .connector_layer(self.connections.clone())
            .tcp_nodelay(true);
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.clone());
        }
        builder = match &self.trust {
            Trust::Bundle(certificates) => builder.tls_certs_only(certificates.iter().cloned()),
            Trust::Everybody => builder.tls_danger_accept_invalid_certs(true),
            // Plain HTTP needs no certificates, and reading the system's takes longer than the request.
            Trust::System if self.proxy.is_none() && self.origins.iter().all(|allowed| is_plain(&allowed.origin)) => {
                builder.tls_certs_only([])
            }
            Trust::System => builder,
        };
        builder.build().map_err(|error| HttpError::Transport(format!("the HTTP client cannot be set up: {error:?}")))
    }
}

/// Recordings have no secrets, and the replay's address in the place of the real one.
impl Mask for Http {
    fn text(&self, text: &str) -> String {
        let origin = self.base.origin().ascii_serialization();
        let text = replace_address(text, &format!("{origin}{}", self.base_path));
        self.scrubber.scrub(replace_address(&text, &origin))
    }

    fn bytes<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        self.scrubber.scrub_bytes(bytes).map_or(Cow::Borrowed(bytes), Cow::Owned)
    }
}

/// The refusal of a name's addresses among an error's causes.
fn refused(error: &reqwest::Error) -> Option<&Refused> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref() {
            return Some(refused);
        }
        cause = error.source();
    }
    None
}

fn is_plain(origin: &Origin) -> bool {
    matches!(origin, Origin::Tuple(scheme, ..) if scheme == "http")
}

/// An address as configured; the error follows the setting's name.
pub(crate) fn parse_address(address: &str) -> Result<Url, String> {
    let address = address.trim();
    let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    // The text is shown as it is only if it cannot hold a password.
    let shown = if address.contains('@') { "this one" } else { address };
    let url = url.ok_or_else(|| format!("must be an address that begins with `https://` or `http://`, not {shown}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must be an address without user and password; these are settings of their own".into());
    }
    Ok(url)
}

/// The credentials of each request to the configured origin.
#[derive(Default)]
struct Credentials {
    headers: HeaderMap,
    /// The headers that the project gives.
    project: HeaderMap,
    query: Vec<(String, Secret)>,
    login: Option<Login>,
    /// Further texts that are as secret as the settings that they are made of.
    derived: Vec<Secret>,
}

impl Credentials {
    /// Adds a header unless it is there already; `whose` names it in the error.
    fn add(&mut self, name: HeaderName, value: &str, whose: &str) -> Result<(), String> {
        self.headers
            .entry(name)
            .or_insert(sensitive(value).ok_or_else(|| {
                format!("cannot be used with `{whose}`: it has characters that no header may have, perhaps a line break")
            })?);
        Ok(())
    }

    fn add_form(&mut self, form: &CredentialForm, resolved: &Resolved) -> Result<(), String> {
        let text = |name: &str| resolved.text(name).filter(|value| !value.is_empty());
        match form {
            CredentialForm::Header(templates) => {
                for template in templates {
                    let first = template::names(&template.template).first().copied().unwrap_or_default();
                    let fits = text(first).is_some_and(|value| value.starts_with(&template.prefix));
                    if let Some(filled) = template::fill(&template.template, text).filter(|_| fits) {
                        return self.add(parse_name(&template.name)?, &filled, first);
                    }
                }
            }
            CredentialForm::Basic { username, password } => {
                if let (Some(user), Some(secret)) = (resolved.text(username), resolved.text(password)) {
                    let pair = BASE64.encode(format!("{user}:{secret}"));
                    // With and without its padding.
                    self.derived.extend([pair.as_str(), pair.trim_end_matches('=')].map(Secret::new));
                    self.add(header::AUTHORIZATION, &format!("Basic {pair}"), password)?;
                }
            }
            CredentialForm::Query { parameter, setting } => {
                if let Some(value) = resolved.text(setting) {
                    self.query.push((parameter.clone(), Secret::new(value)));
                }
            }
            CredentialForm::Login(login) => {
                let values: Option<BTreeMap<String, Secret>> =
                    form.settings().into_iter().map(|name| Some((name.to_owned(), Secret::new(text(name)?)))).collect();
                let replaced = |(name, _): &(String, String)| self.project.contains_key(name);
                let is_needed = self.headers.is_empty() && self.query.is_empty() && !login.headers.iter().all(replaced);
                if let Some(values) = values.filter(|_| is_needed && self.login.is_none()) {
                    self.login = Some(Login::new(login.clone(), values));
                }
            }
        }
        Ok(())
    }
}

/// A value that no log shows; none if no header may have it.
fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Returns the credentials whose condition holds and whose settings all have a value.
fn credentials(manifest: &Manifest, resolved: &Resolved) -> Result<Credentials, String> {
    let mut all = Credentials::default();
    for (name, value) in &resolved.headers {
        let value_of_header = sensitive(value.expose()).ok_or("cannot be used with an invalid value in `headers`")?;
        all.project.insert(name.clone(), value_of_header);
        all.derived.extend(header_secrets(name, value));
    }
    for credential in &manifest.credentials {
        if credential.when.as_ref().is_none_or(|when| resolved.meets(when)) {
            all.add_form(&credential.form, resolved)?;
        }
    }
    Ok(all)
}

/// Headers whose values are no credentials in any system. Recordings would lose the type of each answer if they were masked.
const OPEN_HEADERS: [HeaderName; 4] = [header::ACCEPT, header::ACCEPT_LANGUAGE, header::CONTENT_TYPE, header::USER_AGENT];
/// Bytes of a value that is too short for a credential: masking `1` would spoil each recording.
const OPEN_BYTES: usize = 3;

/// Returns the secrets in a header that the project gives: the value, and the parts of it that a server may repeat alone.
fn header_secrets(name: &HeaderName, value: &Secret) -> Vec<Secret> {
    let value = value.expose();
    let mut secrets = vec![value.to_owned()];
    if let Some((_, credential)) = value.split_once(' ') {
        secrets.push(credential.trim().to_owned());
        let pair = BASE64.decode(credential.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((user, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
            secrets.extend([format!("{user}:{password}"), password.to_owned()]);
        }
    }
    if *name == header::COOKIE {
        secrets.extend(value.split(';').filter_map(|cookie| Some(cookie.split_once('=')?.1.trim().to_owned())));
    }
    secrets.retain(|secret| secret.len() > OPEN_BYTES && !OPEN_HEADERS.contains(name));
    secrets.into_iter().map(Secret::new).collect()
}

/// A proxy and where it is.
struct Proxy {
    proxy: reqwest::Proxy,
    /// With its user and password, if it has some.
    address: Url,
}

/// The password of a proxy's address, alone and with its user.
fn proxy_secrets(address: &Url) -> Vec<Secret> {
    let password = address.password().unwrap_or_default();
    if password.is_empty() {
        return Vec::new();
    }
    // As it is written, and as it is sent: without the escapes of an address, and as the pair of basic authentication.
    let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = format!("{}:{}", plain(address.username()), plain(password));
    let secrets = [password.to_owned(), format!("{}:{password}", address.username()), plain(password), BASE64.encode(&pair), pair];
    secrets.into_iter().map(Secret::new).collect()
}

/// The proxy for this address, from the variables that `curl` and Python's `requests` read.
fn proxy(base: &Url, environment: Environment<'_>) -> Result<Option<Proxy>, String> {
    let any = |names: &[&str]| {
        names.iter().find_map(|name| environment(name).filter(|value| !value.trim().is_empty()).map(|value| (name.to_string(), value)))
    };
    let specific = if base.scheme() == "https" { any(&["https_proxy", "HTTPS_PROXY"]) } else { any(&["http_proxy", "HTTP_PROXY"]) };
    let Some((variable, address)) = specific.or_else(|| any(&["all_proxy", "ALL_PROXY"])) else { return Ok(None) };
    let with_scheme = if address.contains("://") { address } else { format!("http://{address}") };
    // The address may hold a password, so only the variable is named.
    let wrong = || format!("cannot be reached: {variable} is no proxy address");
    let address = Url::parse(with_scheme.trim()).map_err(|_| wrong())?;
    let proxy = reqwest::Proxy::all(with_scheme.trim()).map_err(|_| wrong())?;
    let exceptions = any(&["no_proxy", "NO_PROXY"]).and_then(|(_, exceptions)| reqwest::NoProxy::from_string(&exceptions));
    Ok(Some(Proxy { proxy: proxy.no_proxy(exceptions), address }))
}

/// Whom to believe: `verify_ssl`, then the bundle of `REQUESTS_CA_BUNDLE` or `SSL_CERT_FILE`, which replaces the system's as in Python.
fn trust(base: &Url, settings: &HostSettings, environment: Environment<'_>) -> Result<Trust, String> {
    if !settings.verify_ssl {
        return Ok(Trust::Everybody);
    }
    if base.scheme() != "https" {
        return Ok(Trust::System);
    }
    for variable in ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"] {
        if let Some(path) = environment(variable).filter(|path| !path.is_empty()) {
            let pem = std::fs::read(&path).map_err(|error| format!("cannot be trusted: {variable} names {path}: {error}"))?;
            let certificates = Certificate::from_pem_bundle(&pem).ok().filter(|certificates| !certificates.is_empty());
            return certificates
                .map(Trust::Bundle)
                .ok_or_else(|| format!("cannot be trusted: {variable} names {path}, which has no PEM certificates"));
        }
    }
    Ok(Trust::System)
}

/// Writes the replay's address in the place of `address`, where that is not the beginning of a longer one.
fn replace_address(text: &str, address: &str) -> String {
    let mut pieces = text.split(address);
    let mut replaced = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let goes_on = piece.starts_with(|next: char| next.is_alphanumeric() || matches!(next, '.' | '-' | '_'))
            || piece.strip_prefix(':').is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()));
        replaced.push_str(if goes_on { address } else { REPLAY_ADDRESS });
        replaced.push_str(piece);
    }
    replaced
}

impl wit::Host for HostState {
    async fn send(&mut self, request: wit::Request) -> wasmtime::Result<Result<Resource<HostResponse>, wit::HttpError>> {
        let Some(http) = self.grants.http.clone() else {
            let reason = self.deny("no address was granted to this adapter; its address setting has no value".into());
            return Ok(Err(wit::HttpError::Denied(reason)));
        };
        if let Err(Full::Count(count)) = self.responses.check_room() {
            self.exceed(Limit::HeldResponses, count);
            return Ok(Err(wit::HttpError::TooManyResponses(count)));
        }
        self.count_request()?;
        let clock = self.clock.clone();
        let sent = clock.pause(http.send(request)).await;
        let held = sent.map(|response| self.responses.hold(response));
        Ok(match held {
            Ok(Ok(rep)) => Ok(Resource::new_own(rep)),
            Ok(Err(Full::Count(count))) => {
                self.exceed(Limit::HeldResponses, count);
                Err(wit::HttpError::TooManyResponses(count))
            }
            Ok(Err(Full::Bytes(bytes))) => {
                self.exceed(Limit::HeldSize, bytes);
                Err(wit::HttpError::TooLarge(bytes))
            }
            Err(HttpError::Denied(reason)) => Err(wit::HttpError::Denied(self.deny(reason))),
            Err(HttpError::InvalidRequest(reason)) => Err(wit::HttpError::InvalidRequest(reason)),
            Err(HttpError::Transport(reason)) => Err(wit::HttpError::Transport(reason)),
            Err(HttpError::Timeout(reason)) => Err(wit::HttpError::Timeout(reason)),
            Err(HttpError::TooLarge(bytes)) => {
                self.exceed(Limit::ResponseSize, bytes);
                Err(wit::HttpError::TooLarge(bytes))
            }
            Err(HttpError::Login { failure, told }) => {
                tracing::debug!(adapter = %self.adapter, "{failure}");
                self.login_failed = Some(failure);
                Err(wit::HttpError::LoginFailed(told))
            }
        })
    }
}

impl wit::HostResponse for HostState {
    fn status(&mut self, response: Resource<HostResponse>) -> wasmtime::Result<u16> {
        Ok(self.responses.get(response.rep())?.status)
    }

    fn header(&mut self, response: Resource<HostResponse>, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.responses.get(response.rep())?.header(&name).map(str::to_owned))
    }

    fn json(&mut self, response: Resource<HostResponse>, pointers: Vec<String>) -> wasmtime::Result<Vec<Option<String>>> {
        let response = self.responses.get(response.rep())?;
        let Some(body) = response.body.as_text() else { return Ok(vec![None; pointers.len()]) };
        let bytes_max = self.limits().response_bytes_max;
        Ok(crate::response::json_at(body, &pointers, bytes_max).ok_or_else(|| Exceeded::new(Limit::ResponseSize, bytes_max))?)
    }

    fn count(&mut self, response: Resource<HostResponse>, pointer: String) -> wasmtime::Result<Option<u32>> {
        let response = self.responses.get(response.rep())?;
        Ok(response.body.as_text().and_then(|body| crate::response::count_at(body, &pointer)))
    }

    fn body(&mut self, response: Resource<HostResponse>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.responses.get(response.rep())?.body.as_bytes().to_vec())
    }

    fn release(&mut self, response: Resource<HostResponse>) -> wasmtime::Result<()> {
        // Releasing what is gone already does no harm.
        let _ = self.responses.take(response.rep());
        Ok(())
    }

    fn drop(&mut self, response: Resource<HostResponse>) -> wasmtime::Result<()> {
        // Guests with a collector drop late: in a later call, when the response has long gone.
        let _ = self.responses.take(response.rep());
        Ok(())
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
