//! Where requests may go: the configured address and the granted origins.

use reqwest::{Method, StatusCode};
use tokio::sync::Semaphore;
use url::{Origin, Url};

use super::request::{HttpError, Request};
use crate::advice::Advice;

/// The origins that an adapter may send requests to.
pub(super) struct Origins {
    /// The configured address; its path ends without `/`.
    base: Url,
    base_path: String,
    address_setting: String,
    allowed: Vec<Allowed>,
    advice: Advice,
}

/// An origin that requests may go to.
struct Allowed {
    origin: Origin,
    permits: Semaphore,
}

impl Origins {
    /// Allows the configured address and further origins, with up to `requests_max` requests at a time to each of them.
    pub(super) fn new(mut base: Url, granted: &[Url], address_setting: String, requests_max: usize, advice: Advice) -> Self {
        let base_path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&base_path);
        base.set_query(None);
        base.set_fragment(None);
        let mut allowed = vec![Allowed { origin: base.origin(), permits: Semaphore::new(requests_max) }];
        for origin in granted.iter().map(Url::origin) {
            if !allowed.iter().any(|known| known.origin == origin) {
                allowed.push(Allowed { origin, permits: Semaphore::new(requests_max) });
            }
        }
        Self { base, base_path, address_setting, allowed, advice }
    }

    /// Returns the configured origin as text, and the path of the configured address, without `/` at its end.
    pub(super) fn configured(&self) -> (String, &str) {
        (self.base.origin().ascii_serialization(), &self.base_path)
    }

    /// Returns whether a URL is of the configured origin, where the credentials go.
    pub(super) fn is_configured(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Returns whether no origin needs TLS.
    pub(super) fn are_plain(&self) -> bool {
        self.allowed.iter().all(|allowed| matches!(&allowed.origin, Origin::Tuple(scheme, ..) if scheme == "http"))
    }

    /// Returns the absolute URL of a request, of an allowed origin.
    pub(super) fn join(&self, url: &str) -> Result<Url, HttpError> {
        let invalid = |reason: &str| HttpError::InvalidRequest(format!("`{url}` {reason}"));
        let mut joined = if url.starts_with('/') {
            // By text, not by `Url::join`: `//host/path` would name another host, and an address with a path would lose it.
            let (origin, path) = self.configured();
            Url::parse(&format!("{origin}{path}{url}")).map_err(|_| invalid("is not a path"))?
        } else {
            Url::parse(url).map_err(|_| invalid("is neither a path that begins with `/` nor a URL"))?
        };
        if !matches!(joined.scheme(), "http" | "https") {
            return Err(HttpError::Denied(format!("adapters may use `http:` and `https:`, not `{}:`", joined.scheme())));
        }
        if !joined.username().is_empty() || joined.password().is_some() {
            return Err(HttpError::InvalidRequest("a URL of an adapter must not have credentials".into()));
        }
        joined.set_fragment(None);
        self.permits(&joined)?;
        Ok(joined)
    }

    /// Returns the permits of a URL's origin, or a denial that says what would allow it.
    pub(super) fn permits(&self, url: &Url) -> Result<&Semaphore, HttpError> {
        let origin = url.origin();
        let allowed = self.allowed.iter().find(|allowed| allowed.origin == origin);
        allowed.map(|allowed| &allowed.permits).ok_or_else(|| {
            let (asked, (base, _)) = (origin.ascii_serialization(), self.configured());
            HttpError::Denied(format!("{asked} is not the configured origin {base}; {}", self.remedy(url)))
        })
    }

    /// Returns the line of config.yml that would allow an origin.
    fn remedy(&self, url: &Url) -> String {
        let origin = url.origin().ascii_serialization();
        if url.host() == self.base.host() {
            // The same machine: more likely an address with the wrong scheme or port than a further system.
            return format!("if it should be, set `{}: {origin}{}`", self.address_setting, self.base_path);
        }
        self.advice.origin(&origin)
    }

    /// Returns a path as it is below the configured address.
    pub(super) fn below<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(&self.base_path).filter(|rest| rest.starts_with('/')).unwrap_or(path)
    }

    /// Returns the method and the URL that a redirect leads to; none when the answer is to be taken as it is. `shown` is the URL in
    /// messages.
    pub(super) fn redirect(&self, request: &Request, from: (&Method, &Url), to: &Redirect<'_>) -> Result<Option<(Method, Url)>, HttpError> {
        let (method, url) = from;
        let reads = *method == Method::GET || *method == Method::HEAD;
        let next_method = match to.status {
            StatusCode::SEE_OTHER if !reads && !request.logs_in => Some(Method::GET),
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => Some(method.clone()),
            // A POST that turns into a GET would look like a success and have written nothing: the adapter sees the 301.
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER if reads => Some(method.clone()),
            // After a form of a login, servers redirect a browser to the first page, or back to the form.
            status if request.logs_in && status.is_redirection() => None,
            _ => return Ok(None),
        };
        let Some(location) = to.location else { return Ok(None) };
        let next = url.join(location).map_err(|_| HttpError::Transport(format!("{method} {}: a redirect to an invalid URL", to.shown)))?;
        // A redirect to another origin leads only from the configured one to a granted one, and only reads: the request there has no
        // credentials, and no other server chooses what is requested.
        let is_granted = self.is_configured(url) && self.allowed.iter().any(|allowed| allowed.origin == next.origin());
        let reads = !request.logs_in && next_method.as_ref().is_some_and(|method| *method == Method::GET || *method == Method::HEAD);
        if next.origin() != url.origin() && !(is_granted && reads) {
            let (shown, origin) = (to.shown, next.origin().ascii_serialization());
            return Err(HttpError::Denied(match next.scheme() {
                _ if is_granted && request.logs_in => format!("{shown} redirects a login to {origin}, which gets no credentials"),
                _ if is_granted => format!("{shown} redirects a {method} to {origin}: only reads may go to another origin"),
                "http" | "https" => {
                    format!("{shown} redirects to {origin}, which is not the configured origin; {}", self.remedy(&next))
                }
                scheme => format!("{shown} redirects to `{scheme}:`, which adapters may not use"),
            }));
        }
        Ok(next_method.map(|method| (method, next)))
    }
}

/// An answer that may be a redirect.
pub(super) struct Redirect<'r> {
    pub(super) status: StatusCode,
    pub(super) location: Option<&'r str>,
    /// The URL of the request, for messages.
    pub(super) shown: &'r str,
}

/// Parses an address as configured; the error follows the setting's name.
pub(crate) fn parse_address(address: &str) -> Result<Url, String> {
    let address = address.trim();
    let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    // The text is shown only if it cannot hold a password.
    let shown = if address.contains('@') { "this one" } else { address };
    let url = url.ok_or_else(|| format!("must be an address that begins with `https://` or `http://`, not {shown}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must be an address without user and password; these are settings of their own".into());
    }
    Ok(url)
}
