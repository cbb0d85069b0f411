//! The parts of the way that come from the environment: a proxy, and the certificates that are trusted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Certificate;
use url::Url;

use crate::secret::Secret;
use crate::settings::{Environment, HostSettings};

/// A proxy and its address.
pub(super) struct Proxy {
    pub(super) proxy: reqwest::Proxy,
    /// The address, with user and password if there are some.
    pub(super) address: Url,
}

impl Proxy {
    /// Returns the password of the address, alone and with its user.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let address = &self.address;
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
}

/// Returns the proxy for this address, from the variables that `curl` and Python's `requests` read.
pub(super) fn proxy(base: &Url, environment: Environment<'_>) -> Result<Option<Proxy>, String> {
    let any = |names: &[&str]| {
        names.iter().find_map(|name| environment(name).filter(|value| !value.trim().is_empty()).map(|value| (name.to_string(), value)))
    };
    let specific = if base.scheme() == "https" { any(&["https_proxy", "HTTPS_PROXY"]) } else { any(&["http_proxy", "HTTP_PROXY"]) };
    let Some((variable, address)) = specific.or_else(|| any(&["all_proxy", "ALL_PROXY"])) else { return Ok(None) };
    let with_scheme = if address.contains("://") { address } else { format!("http://{address}") };
    // The address may hold a password, so only the variable is named.
    let wrong = || format!("cannot be reached: {variable} is not a proxy address");
    let address = Url::parse(with_scheme.trim()).map_err(|_| wrong())?;
    let proxy = reqwest::Proxy::all(with_scheme.trim()).map_err(|_| wrong())?;
    let exceptions = any(&["no_proxy", "NO_PROXY"]).and_then(|(_, exceptions)| reqwest::NoProxy::from_string(&exceptions));
    Ok(Some(Proxy { proxy: proxy.no_proxy(exceptions), address }))
}

/// The trusted certificates.
pub(super) enum Trust {
    /// Those of the operating system.
    System,
    /// Those of a file.
    Bundle(Vec<Certificate>),
    /// Any certificate is accepted.
    Any,
}

/// Returns the trusted certificates: none with `verify_ssl: false`, then those of `REQUESTS_CA_BUNDLE` or `SSL_CERT_FILE`, which replace the
/// system's as in Python.
pub(super) fn trust(base: &Url, settings: &HostSettings, environment: Environment<'_>) -> Result<Trust, String> {
    if !settings.verify_ssl {
        return Ok(Trust::Any);
    }
    if base.scheme() != "https" {
        return Ok(Trust::System);
    }
    trust_https(environment)
}

/// Returns the certificates that are trusted for HTTPS.
pub(super) fn trust_https(environment: Environment<'_>) -> Result<Trust, String> {
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
