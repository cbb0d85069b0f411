//! What NetBox refuses, said so that a user knows what to change.

use infrahub_sync_adapter::{Error, ErrorKind, Response};

/// The rule for `mapping:`, for whoever broke it.
pub(crate) const HOW_LISTS_ARE_NAMED: &str = "a mapping is the application and the list as in the API's address, \
     `dcim.device_types` for /api/dcim/device-types/ and `plugins.bgp.session` for /api/plugins/bgp/session/";

/// What a response that is no success means for the project.
pub(crate) fn error(resource: &str, path: &str, response: &Response) -> Error {
    let status = response.status();
    let error = Error::from_response(&format!("NetBox's answer for `{resource}`"), response);
    let said = response.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let (kind, message) = match status {
        // NetBox answers 403 to a missing or unknown token as well as to a missing permission.
        401 | 403 => (
            ErrorKind::Auth,
            format!(
                "NetBox does not let us read `{resource}`{said}: the token (NETBOX_TOKEN) is missing or wrong, or its user may not \
                 view these objects"
            ),
        ),
        404 => (ErrorKind::Config, format!("NetBox has no list `{resource}` (at {path}): {HOW_LISTS_ARE_NAMED}")),
        300..=399 => {
            let to = response.header("location").map(|to| format!(" to {to}")).unwrap_or_default();
            (ErrorKind::Config, format!("NetBox's address (url) is not its own: it redirects{to}"))
        }
        429 => (ErrorKind::RateLimited, error.message),
        _ => (ErrorKind::Remote, error.message),
    };
    Error { kind, message, ..error }
}

/// For a success that is no list: a login page, or a server that is no NetBox.
pub(crate) fn no_list(resource: &str, path: &str, response: &Response) -> Error {
    let what = response.header("content-type").map(|what| format!(" but {what}")).unwrap_or_default();
    let message = format!("the answer for `{resource}` (at {path}) is no list of NetBox{what}: is `url` the address of a NetBox?");
    Error::remote(message).with_status(response.status())
}
