//! HTTP for adapters, in layers that know no types of the contract.
//!
//! ```text
//! Http            checks a request of an adapter, records or replays it, masks the answer
//! Authenticated   adds the headers of a login, and logs in again when it has expired
//! Retry           repeats what may be repeated
//! Transport       sends once: origins, credentials, redirects, names, proxy, TLS
//! ```
//!
//! Invariants:
//!
//! - A session that only reads sends no request that may write (see [`reading`]), whatever the adapter claims.
//! - A request, and each of its redirects, goes to an allowed origin or nowhere.
//! - The addresses of allowed names are checked each time (see [`network`]).
//! - Credentials go to the configured address alone, and no text holds a URL with them.
//! - A guest sees only the last answer, without cookies and without the secrets that a server repeated.

mod authenticated;
mod connections;
mod credentials;
mod environment;
mod graphql;
mod login;
mod network;
mod origins;
mod pace;
mod reading;
mod request;
mod retry;
mod transport;
mod web;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use reqwest::header;

use crate::access::WriteAccess;
use crate::advice::Advice;
use crate::error::AdapterName;
use crate::exchange::{BodyLine, Exchange, Mask, REPLAY_ADDRESS, RequestLine};
use crate::headers::RequestHeaders;
use crate::manifest::{Manifest, ReadingPath};
use crate::response::{Body, HostResponse};
use crate::secret::Scrubber;
use crate::settings::{Environment, Resolved};
use crate::usage::{Account, Usage};
use crate::waits::Waits;
use infrahub_sync_base::limits::{Limit, Limits};

use authenticated::Authenticated;
use credentials::Credentials;
use environment::{Trust, proxy, trust};
use network::{Reason, Resolver};
use origins::Origins;
use request::{Request, Rules};
use retry::{Policy, Retry};
use transport::{Route, Transport};

pub(crate) use origins::parse_address;
pub(crate) use request::{AdapterRequest, HttpError};
pub use retry::Traffic;
pub use transport::cause;
pub use web::{WEB_SILENCE, web_client};

/// A whole answer may take this many times the longest silence: a server that drips a byte a minute is down, too.
const ANSWER_TIMEOUTS: u32 = 10;
/// The time to connect, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The parts that [`Http::new`] is made of.
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
    pub(crate) access: Arc<WriteAccess>,
    pub(crate) usage: Arc<Usage>,
    /// The headers that the adapter may set.
    pub(crate) headers: &'a RequestHeaders,
}

/// The HTTP of one session.
pub(crate) struct Http {
    adapter: Arc<AdapterName>,
    authenticated: Authenticated,
    /// The longest that one answer may take.
    timeout: Duration,
    exchange: Exchange,
    scrubber: Scrubber,
    access: Arc<WriteAccess>,
    /// The headers that the adapter may set.
    headers: RequestHeaders,
    advice: Advice,
    /// The paths at which a body only reads.
    reading_paths: Vec<ReadingPath>,
    /// The user has been warned that answers hold a secret.
    masked: AtomicBool,
}

impl Http {
    /// Grants an address; the error follows the setting's name.
    pub(crate) fn new(config: HttpConfig<'_>) -> Result<Self, String> {
        let host = &config.resolved.host;
        let base = parse_address(config.address)?;
        let granted = config.extra_origins.iter().map(|extra| parse_address(extra)).collect::<Result<Vec<_>, _>>();
        let granted = granted.map_err(|reason| format!("is accompanied by an origin that {reason}"))?;
        let advice = Advice {
            role: config.adapter.role,
            origins: config.extra_origins.to_vec(),
            networks: config.networks.to_vec(),
            headers: match config.headers {
                RequestHeaders::All => Vec::new(),
                RequestHeaders::Plain(granted) => granted.clone(),
            },
        };
        let (credentials, login, derived) = Credentials::new(config.manifest, config.resolved)?;
        config.scrubber.know(derived);
        let is_live = !matches!(config.exchange, Exchange::Replay(_) | Exchange::StandIn(_));
        let proxy = if is_live { proxy(&base, config.environment)? } else { None };
        let trust = if is_live { trust(&base, host, config.environment)? } else { Trust::System };
        let mut resolver = Resolver::new(advice.clone(), config.networks);
        resolver.allow(&base, Reason::Configured);
        granted.iter().for_each(|origin| resolver.allow(origin, Reason::Granted));
        if let Some(proxy) = &proxy {
            resolver.allow(&proxy.address, Reason::Proxy);
            config.scrubber.know(proxy.secrets());
        }
        let address_setting = config.manifest.address_setting.clone().unwrap_or_default();
        let route = Route {
            trust,
            proxy: proxy.map(|proxy| proxy.proxy),
            resolver: Arc::new(resolver),
            connect_timeout: CONNECT_TIMEOUT,
            silence: host.timeout,
            requests_max: host.max_concurrency,
            body_max: config.limits.count(Limit::ResponseSize),
        };
        let origins = Origins::new(base, &granted, address_setting, host.max_concurrency, advice.clone());
        let transport = Transport::new(origins, credentials, route, config.scrubber.clone());
        let retry = Retry::new(transport, Policy::new(host.retries), config.adapter.clone());
        let timeout = host.timeout.saturating_mul(ANSWER_TIMEOUTS);
        Ok(Self {
            adapter: config.adapter,
            // A replay does not ask who sends a request.
            authenticated: Authenticated::new(retry, login.filter(|_| is_live), timeout, Account::new(config.usage, config.limits)),
            timeout,
            exchange: config.exchange,
            scrubber: config.scrubber,
            access: config.access,
            headers: config.headers.clone(),
            advice,
            reading_paths: config.manifest.reading_paths.clone(),
            masked: AtomicBool::new(false),
        })
    }

    /// Sends a request, follows redirects, repeats what may be repeated, records or replays.
    pub(crate) async fn send(&self, request: AdapterRequest) -> Result<HostResponse, HttpError> {
        let request = self.check(request)?;
        match &self.exchange {
            Exchange::Replay(replay) => replay.answer(&self.line(&request)).map_err(HttpError::Transport),
            // Unmasked: the suite checks how an adapter treats a credential that a server repeats.
            Exchange::StandIn(stand_in) => stand_in.answer(self.line(&request)).map_err(HttpError::Transport),
            Exchange::Live => Ok(self.for_guest(self.authenticated.send(&request).await?)),
            Exchange::Record(recorder) => {
                let response = self.for_guest(self.authenticated.send(&request).await?);
                recorder.record(self.line(&request), &response, self);
                Ok(response)
            }
        }
    }

    fn check(&self, request: AdapterRequest) -> Result<Request, HttpError> {
        let Transport { origins, credentials, .. } = self.transport();
        let (headers, advice) = (&self.headers, &self.advice);
        let rules = Rules { origins, credentials, login: self.authenticated.login(), headers, advice, timeout: self.timeout };
        let request = request.check(&rules)?;
        if !self.access.is_writing() {
            reading::check(&request, reading::below(&request.url, origins.configured()), &self.reading_paths)?;
        }
        Ok(request)
    }

    /// Returns the network traffic so far.
    pub(crate) fn traffic(&self) -> Traffic {
        self.authenticated.retry.traffic()
    }

    /// Returns the requests that have no answer yet.
    pub(crate) fn waits(&self) -> &Arc<Waits> {
        &self.authenticated.retry.waits
    }

    fn transport(&self) -> &Transport {
        &self.authenticated.retry.transport
    }

    /// Returns the answer as a guest may see it: without cookies, and without the secrets that the server repeated.
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

    /// Returns the request as recordings know it.
    fn line(&self, request: &Request) -> RequestLine {
        let url = self.transport().credentials.without_query(request.url.clone());
        let below = self.transport().origins.below(url.path());
        let path = match url.query() {
            Some(query) => format!("{below}?{query}"),
            None => below.to_owned(),
        };
        let body = request.body.as_deref().map(|body| BodyLine::new(body, self));
        RequestLine { method: request.method.to_string(), path: self.text(&path), body }
    }
}

/// Recordings have no secrets, and the replay's address in the place of the real one.
impl Mask for Http {
    fn text(&self, text: &str) -> String {
        let (origin, path) = self.transport().origins.configured();
        let text = replace_address(text, &format!("{origin}{path}"));
        self.scrubber.scrub(replace_address(&text, &origin))
    }

    fn bytes<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        self.scrubber.scrub_bytes(bytes).map_or(Cow::Borrowed(bytes), Cow::Owned)
    }
}

/// Writes the replay's address in the place of `address`, where that is not the beginning of a longer one.
fn replace_address(text: &str, address: &str) -> String {
    let mut pieces = text.split(address);
    let mut replaced = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let is_longer = piece.starts_with(|next: char| next.is_alphanumeric() || matches!(next, '.' | '-' | '_'))
            || piece.strip_prefix(':').is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()));
        replaced.push_str(if is_longer { address } else { REPLAY_ADDRESS });
        replaced.push_str(piece);
    }
    replaced
}

#[cfg(test)]
mod tests;
