//! Repeats requests that may be repeated, with growing waits, and counts the traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::HeaderMap;

use super::pace::Pace;
use super::request::{HttpError, Request};
use super::transport::{Failed, Transport};
use crate::error::AdapterName;
use crate::response::HostResponse;
use crate::waits::Waits;

/// A wait that is reported to the user.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// Attempts whose answers did not come in time, after which a request is not repeated: the wait would only be longer.
const TIMEOUTS_MAX: u32 = 2;

/// The network traffic so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Requests that were sent, repetitions included.
    pub requests: u64,
    /// Requests that were sent again: the server was busy, or the connection broke.
    pub repeated: u64,
    /// Bytes of the answers' bodies, decompressed.
    pub bytes: u64,
}

#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    repeated: AtomicU64,
    bytes: AtomicU64,
}

/// How often and after what waits requests are repeated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    /// Repetitions of a request, after the first attempt.
    retries: u32,
    /// The wait before the first repetition; it doubles each time, and the real wait is drawn between 0 and it.
    backoff_base: Duration,
    /// The longest wait that the server did not ask for.
    backoff_max: Duration,
    /// The longest `Retry-After` that is obeyed in full.
    retry_after_max: Duration,
}

impl Policy {
    pub(super) fn new(retries: u32) -> Self {
        Self {
            retries,
            backoff_base: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(60),
        }
    }
}

/// Sends requests over a transport until there is an answer that is final.
pub(super) struct Retry {
    pub(super) transport: Transport,
    pub(super) pace: Pace,
    policy: Policy,
    adapter: Arc<AdapterName>,
    counters: Counters,
    /// The requests that have no answer yet.
    pub(super) waits: Arc<Waits>,
}

/// How one attempt ended.
type Ended = Result<HostResponse, Failed>;

impl Retry {
    pub(super) fn new(transport: Transport, policy: Policy, adapter: Arc<AdapterName>) -> Self {
        Self { transport, pace: Pace::real(), policy, adapter, counters: Counters::default(), waits: Arc::default() }
    }

    /// Returns the network traffic so far.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.counters.requests.load(Ordering::Relaxed),
            repeated: self.counters.repeated.load(Ordering::Relaxed),
            bytes: self.counters.bytes.load(Ordering::Relaxed),
        }
    }

    /// Attempts the request until there is an answer that is final. `pass` has the headers of a login.
    pub(super) async fn send(&self, request: &Request, pass: Option<&HeaderMap>) -> Result<HostResponse, HttpError> {
        let (mut attempt, mut timeouts) = (1, 0);
        let waiting = self.waits.request();
        let limit = request.timeout.min(self.transport.route.silence);
        loop {
            waiting.sent(limit, request.idempotent && attempt <= self.policy.retries && timeouts + 1 < TIMEOUTS_MAX);
            let ended = self.attempt(request, pass, attempt).await;
            let wait = match &ended {
                Ok(response) => self.wait_after(request, response, attempt),
                Err(failed) => (failed.transient && (failed.unsent || request.idempotent)).then(|| self.backoff(attempt)),
            };
            timeouts += u32::from(matches!(&ended, Err(Failed { error: HttpError::Timeout(_), unsent: false, .. })));
            let Some(wait) = wait.filter(|_| attempt <= self.policy.retries && timeouts < TIMEOUTS_MAX) else {
                return ended.map_err(|failed| failed.error);
            };
            if wait >= LONG_WAIT {
                let (url, status) = (self.transport.shown(&request.url), ended.as_ref().map_or(0, |response| response.status));
                tracing::info!(adapter = %self.adapter, url, status, wait_ms = millis(wait), "waiting before the next attempt");
            }
            self.counters.repeated.fetch_add(1, Ordering::Relaxed);
            waiting.again(reason(&ended), wait, attempt + 1, self.policy.retries.saturating_add(1));
            (self.pace.sleep)(wait).await;
            attempt += 1;
        }
    }

    /// Sends the request once, with a limit on the time, and counts it.
    async fn attempt(&self, request: &Request, pass: Option<&HeaderMap>, attempt: u32) -> Ended {
        let started = Instant::now();
        let ended = match tokio::time::timeout(request.timeout, self.transport.attempt(request, pass)).await {
            Ok(ended) => ended,
            Err(_) => {
                let (method, url) = (&request.method, self.transport.shown(&request.url));
                let reason = format!("{method} {url}: no complete answer within {} s", request.timeout.as_secs_f64());
                Err(Failed { error: HttpError::Timeout(reason), unsent: false, transient: true })
            }
        };
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        let (status, bytes) = ended.as_ref().map_or((0, 0), |response| (response.status, response.body.as_bytes().len()));
        self.counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let error = ended.as_ref().err().map(|failed| format!("{:?}", failed.error));
        tracing::debug!(
            adapter = %self.adapter,
            method = %request.method,
            url = self.transport.shown(&request.url),
            status,
            attempt,
            elapsed_ms = millis(started.elapsed()),
            bytes,
            error,
            "http"
        );
        ended
    }

    /// Returns the wait before the request is repeated because of its answer; none when the answer is final.
    pub(super) fn wait_after(&self, request: &Request, response: &HostResponse, attempt: u32) -> Option<Duration> {
        let repeat = match response.status {
            429 | 502..=504 if request.idempotent => true,
            // Such a request is repeated only when it was not executed. A 429 says that, unless the adapter knows a better proof.
            status @ (429 | 503) => match &request.unprocessed {
                Some((name, value)) => {
                    let mut headers = response.headers.iter();
                    headers.any(|(key, found)| key.eq_ignore_ascii_case(name.as_str()) && found.trim() == value)
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
        repeat.then(|| asked().map_or_else(|| self.backoff(attempt), |wait| wait.min(self.policy.retry_after_max)))
    }

    /// Returns an exponential backoff with full jitter: many clients that failed together do not come back together.
    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self.policy.backoff_base.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1)));
        doubled.min(self.policy.backoff_max).mul_f64((self.pace.draw)().clamp(0.0, 1.0))
    }
}

/// Returns how an attempt ended, in a few words.
fn reason(ended: &Ended) -> String {
    match ended {
        Ok(response) => format!("the server answered {}", response.status),
        Err(Failed { unsent: true, .. }) => "the connection failed".to_owned(),
        Err(Failed { error: HttpError::Timeout(_), .. }) => "the server did not answer in time".to_owned(),
        Err(_) => "the connection broke".to_owned(),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
