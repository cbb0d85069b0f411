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

/// Parses a header's name; the error says which.
pub(crate) fn parse_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is not a header name"))
}
