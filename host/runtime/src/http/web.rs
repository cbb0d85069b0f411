//! A client for requests of the host itself, to the places that adapters are published at.
//!
//! It takes proxy and certificates from the same variables as the requests of adapters. The addresses come from the project and its user, and so
//! they may be private ones.

use std::time::Duration;

use reqwest::{Client, redirect};
use url::Url;

use super::CONNECT_TIMEOUT;
use super::environment::{Trust, proxy, trust_https};
use crate::settings::Environment;

/// The longest silence of a server. Registries that scan what they receive take their time.
pub const WEB_SILENCE: Duration = Duration::from_secs(60);
/// Redirects of one request: registries send those who fetch to a storage.
const REDIRECTS_MAX: usize = 5;

/// Returns a client for an address. It follows redirects, but none from HTTPS to HTTP.
///
/// # Errors
/// When a variable names an invalid proxy or certificate; the text says which.
pub fn web_client(address: &Url, environment: Environment<'_>) -> Result<Client, String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let policy = redirect::Policy::custom(|attempt| {
        let from_https = attempt.previous().first().is_some_and(|first| first.scheme() == "https");
        if from_https && attempt.url().scheme() != "https" {
            return attempt.error("it redirects to an address without encryption");
        }
        if attempt.previous().len() > REDIRECTS_MAX { attempt.error("it redirects too often") } else { attempt.follow() }
    });
    let mut builder = Client::builder()
        .user_agent(concat!("infrahub-sync/", env!("CARGO_PKG_VERSION")))
        .redirect(policy)
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .no_gzip()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(WEB_SILENCE);
    if let Some(proxy) = proxy(address, environment)? {
        builder = builder.proxy(proxy.proxy);
    }
    builder = match trust_https(environment)? {
        Trust::Bundle(certificates) => builder.tls_certs_only(certificates),
        _ if address.scheme() == "http" => builder.tls_certs_only([]),
        _ => builder,
    };
    builder.build().map_err(|error| format!("the HTTP client cannot be set up: {error}"))
}
