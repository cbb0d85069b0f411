//! Which request headers belong to whom.

use reqwest::header::{self, HeaderName};

/// The headers by which a request could bend the connection, or reach another system behind the same address. Only the host sets them.
const OF_CONNECTION: [HeaderName; 12] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::ACCEPT_ENCODING,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Returns whether only the host sets that header.
pub(crate) fn belongs_to_connection(name: &HeaderName) -> bool {
    OF_CONNECTION.contains(name)
}

/// Returns whether an adapter must not set that header in a request: it belongs to the connection, or carries credentials.
pub(crate) fn belongs_to_host(name: &HeaderName) -> bool {
    belongs_to_connection(name) || [header::AUTHORIZATION, header::COOKIE].contains(name)
}

/// The headers that every adapter may set: they describe the request itself.
const PLAIN: [HeaderName; 20] = [
    header::ACCEPT,
    header::ACCEPT_CHARSET,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::DATE,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_UNMODIFIED_SINCE,
    header::PRAGMA,
    header::USER_AGENT,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("prefer"),
    HeaderName::from_static("x-correlation-id"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-requested-with"),
];

/// The headers that cut a piece out of an answer: a server that repeats a credential would return a piece of it, which no mask recognizes.
const OF_PIECES: [HeaderName; 2] = [header::RANGE, header::IF_RANGE];

/// The headers with which a proxy tells a server about the client, or by which a server takes another path or method than the request has.
const OF_PROXIES: [&str; 16] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "remote-user",
    "x-remote-user",
    "x-authenticated-user",
    "x-original-url",
    "x-original-method",
    "x-rewrite-url",
    "x-http-method",
    "x-method-override",
];

/// The request headers that an adapter may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestHeaders {
    /// All that do not belong to the host: the adapter is a part of the program.
    All,
    /// The plain ones and those of `grants.headers`, in lower case.
    Plain(Vec<String>),
}

impl RequestHeaders {
    /// Returns whether an adapter may set that header.
    pub(crate) fn allow(&self, name: &HeaderName) -> bool {
        match self {
            RequestHeaders::All => !bends_the_request(name),
            RequestHeaders::Plain(granted) => {
                PLAIN.contains(name) || granted.iter().any(|granted| granted.eq_ignore_ascii_case(name.as_str()))
            }
        }
    }
}

/// Returns whether a header cuts pieces out of answers.
pub(crate) fn cuts_answers(name: &HeaderName) -> bool {
    OF_PIECES.contains(name)
}

/// Returns whether a server may take the request for another one, or for the request of another client, because of that header.
pub(crate) fn bends_the_request(name: &HeaderName) -> bool {
    let name = name.as_str();
    OF_PROXIES.contains(&name) || name.starts_with("x-forwarded-") || name.starts_with("x-http-method-")
}

/// Parses a header's name; the error says which.
pub(crate) fn parse_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is not a header name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_sets_plain_headers_and_granted_ones() {
        let name = |name: &str| parse_name(name).unwrap();
        let stranger = RequestHeaders::Plain(vec!["X-Own".into()]);
        for allowed in ["Accept", "content-type", "If-Match", "x-own"] {
            assert!(stranger.allow(&name(allowed)), "{allowed}");
        }
        for denied in ["X-Other", "X-Forwarded-For", "Forwarded", "Remote-User", "X-Original-URL", "X-HTTP-Method-Override"] {
            assert!(!stranger.allow(&name(denied)), "{denied}");
        }
        assert!(RequestHeaders::All.allow(&name("X-Other")));
        assert!(!RequestHeaders::All.allow(&name("X-Forwarded-Host")));
        assert!(cuts_answers(&name("range")) && cuts_answers(&name("If-Range")) && !cuts_answers(&name("accept")));
    }
}
