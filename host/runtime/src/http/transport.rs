//! Sends a request once: TLS, proxy, names, credentials, redirects, and the answer read whole.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header;
use reqwest::{Client, Method, redirect};
use tokio::sync::OnceCell;
use url::Url;

use super::connections::{Connections, stays_open};
use super::credentials::Credentials;
use super::environment::Trust;
use super::network::{Names, Refused, Resolver};
use super::origins::{Origins, Redirect};
use super::request::{HttpError, Request};
use crate::response::{Body, HostResponse};
use crate::secret::Scrubber;
use reqwest::header::HeaderMap;

/// Redirects of one request. Real ones are one or two hops; a circle has no end.
const REDIRECTS_MAX: usize = 10;
/// Idle connections are given up before the usual 60 s of servers, or the next request meets a closed one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// How connections are opened and used.
pub(super) struct Route {
    pub(super) trust: Trust,
    pub(super) proxy: Option<reqwest::Proxy>,
    pub(super) resolver: Arc<Resolver>,
    /// The time to connect, TLS included.
    pub(super) connect_timeout: Duration,
    /// The longest silence of a server.
    pub(super) silence: Duration,
    /// Requests to one origin at a time.
    pub(super) requests_max: usize,
    /// The largest body of an answer.
    pub(super) body_max: usize,
}

/// The way of one session to its system.
pub(super) struct Transport {
    pub(super) origins: Origins,
    pub(super) credentials: Credentials,
    pub(super) route: Route,
    pub(super) scrubber: Scrubber,
    /// Made by the first request: reading the system's certificates takes milliseconds that an offline run need not spend.
    client: OnceCell<Client>,
    connections: Connections,
}

/// How one attempt failed.
pub(super) struct Failed {
    pub(super) error: HttpError,
    /// Nothing has been sent, so nothing can happen twice.
    pub(super) unsent: bool,
    /// Another attempt may succeed.
    pub(super) transient: bool,
}

impl From<HttpError> for Failed {
    fn from(error: HttpError) -> Self {
        Self { error, unsent: false, transient: false }
    }
}

impl Transport {
    pub(super) fn new(origins: Origins, credentials: Credentials, route: Route, scrubber: Scrubber) -> Self {
        Self { origins, credentials, route, scrubber, client: OnceCell::new(), connections: Connections::default() }
    }

    /// Returns a URL for messages and traces.
    pub(super) fn shown(&self, url: &Url) -> String {
        self.scrubber.scrub(self.credentials.without_query(url.clone()).to_string())
    }

    /// Sends a request once, follows its redirects, and reads the answer whole. `pass` has the headers of a login.
    pub(super) async fn attempt(&self, request: &Request, pass: Option<&HeaderMap>) -> Result<HostResponse, Failed> {
        let client = self.client.get_or_try_init(|| async { self.make_client() }).await?;
        let (mut method, mut url, mut body) = (request.method.clone(), request.url.clone(), request.body.clone());
        for _ in 0..=REDIRECTS_MAX {
            let permits = self.origins.permits(&url)?;
            let _permit = permits.acquire().await.map_err(|error| HttpError::Transport(error.to_string()))?;
            let failed = |error: reqwest::Error| self.failed(&request.method, &url, &error);
            let sending = if self.origins.is_configured(&url) {
                let sending = client.request(method.clone(), self.credentials.in_query(&url)).headers(request.headers.clone());
                self.credentials.on(sending, pass)
            } else {
                client.request(method.clone(), self.credentials.without_query(url.clone())).headers(request.headers.clone())
            };
            let sending = match &body {
                Some(body) => sending.body(body.clone()),
                None => sending,
            };
            let response = self.connections.send(sending).await.map_err(failed)?;
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let shown = self.shown(&url);
            let redirect = Redirect { status: response.status(), location, shown: &shown };
            match self.origins.redirect(request, (&method, &url), &redirect)? {
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

    /// Reads the body, up to the limit.
    async fn read(&self, mut response: reqwest::Response, failed: impl Fn(reqwest::Error) -> Failed) -> Result<HostResponse, Failed> {
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect();
        let limit = self.route.body_max;
        // Known only of bodies that are not compressed; a hint, so that memory is not asked for in vain.
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

    /// Returns the meaning of an error of the client, in words without credentials.
    fn failed(&self, method: &Method, url: &Url, error: &reqwest::Error) -> Failed {
        if let Some(refused) = cause::<Refused>(error) {
            return HttpError::Denied(refused.0.clone()).into();
        }
        let request = format!("{method} {}", self.shown(url));
        // The innermost cause has the reason ("Connection refused"); the outer ones repeat the URL.
        let mut innermost: &dyn std::error::Error = error;
        while let Some(inner) = innermost.source() {
            innermost = inner;
        }
        let mut reason = match std::ptr::addr_eq(innermost, error) {
            true => "the request failed".to_owned(),
            false => self.scrubber.scrub(innermost.to_string()),
        };
        let is_untrusted = cause::<rustls::Error>(error).is_some_and(is_of_certificate);
        if is_untrusted {
            reason.push_str("; name its authority in REQUESTS_CA_BUNDLE, or set `verify_ssl: false`");
        }
        let unsent = error.is_connect();
        if error.is_timeout() {
            let limit = if unsent { self.route.connect_timeout } else { self.route.silence };
            let what = if unsent { "no connection" } else { "no answer" };
            let error = HttpError::Timeout(format!("{request}: {what} within {} s", limit.as_secs_f64()));
            return Failed { error, unsent, transient: true };
        }
        if error.is_builder() {
            return HttpError::InvalidRequest(format!("{request}: {reason}")).into();
        }
        Failed { error: HttpError::Transport(format!("{request}: {reason}")), unsent, transient: !is_untrusted }
    }

    pub(super) fn make_client(&self) -> Result<Client, HttpError> {
        // Without a provider rustls panics. It may have been installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("infrahub-sync/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .dns_resolver(Names(self.route.resolver.clone()))
            .connect_timeout(self.route.connect_timeout)
            .read_timeout(self.route.silence)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(self.route.requests_max)
            .connector_layer(self.connections.clone())
            .tcp_nodelay(true);
        if let Some(proxy) = &self.route.proxy {
            builder = builder.proxy(proxy.clone());
        }
        builder = match &self.route.trust {
            Trust::Bundle(certificates) => builder.tls_certs_only(certificates.iter().cloned()),
            Trust::Any => builder.tls_danger_accept_invalid_certs(true),
            // Plain HTTP needs no certificates, and reading the system's takes longer than the request.
            Trust::System if self.route.proxy.is_none() && self.origins.are_plain() => builder.tls_certs_only([]),
            Trust::System => builder,
        };
        builder.build().map_err(|error| HttpError::Transport(format!("the HTTP client cannot be set up: {error:?}")))
    }
}

/// Returns whether the server's certificate is the problem: repeating the request would not help.
fn is_of_certificate(error: &rustls::Error) -> bool {
    use rustls::Error::{InvalidCertRevocationList, InvalidCertificate, NoCertificatesPresented};
    matches!(error, InvalidCertificate(_) | InvalidCertRevocationList(_) | NoCertificatesPresented)
}

/// Returns the error of that type among an error and its causes.
#[must_use]
pub fn cause<'e, E: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e E> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // The source of an I/O error is that of the error which it wraps, not that error itself.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let found = wrapped.and_then(|wrapped| cause(wrapped as &(dyn std::error::Error + 'static)));
    found.or_else(|| cause(error.source()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_found_within_io_errors() {
        let certificate = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, certificate));
        assert!(cause::<rustls::Error>(&wrapped).is_some_and(is_of_certificate));
        // A word in the text does not count.
        assert!(cause::<rustls::Error>(&io::Error::other("certificate")).is_none());
        assert!(!is_of_certificate(&rustls::Error::HandshakeNotComplete));
    }
}
