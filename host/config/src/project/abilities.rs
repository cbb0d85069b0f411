//! `limits:` and `grants:` of a side: what its adapter may use, and what it may reach beyond its own address and folder.

use std::net::IpAddr;

use infrahub_sync_base::limits::{Limit, Limits};
use ipnet::IpNet;
use url::{Host, Url};

use crate::decode::{Decoder, Key};
use crate::generated::flow_list;
use crate::load::{Data, Node};

/// The grants of an adapter beyond the address and the folder in its settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Further origins (`https://cdn.example.com`), without credentials. No path, no `/` at the end, each once.
    pub origins: Vec<String>,
    /// Ranges that names may resolve to although they are loopback, link-local or private, each once.
    pub networks: Vec<IpNet>,
    /// Environment variables that its settings may come from, besides those that begin with its name, each once.
    pub environment: Vec<String>,
    /// Environment variables whose values it may see, each once. The others are secrets.
    pub visible: Vec<String>,
    /// Request headers that it may set, besides the plain ones, in lower case, each once.
    pub headers: Vec<String>,
    /// The ways in which its credentials may be sent, a sentence each, as `adapter inspect` shows them. None: any way.
    pub credentials: Option<Vec<String>>,
}

impl Grants {
    /// Returns the line of config.yml that grants these ways of sending credentials.
    #[must_use]
    pub fn credentials_line(ways: &[String]) -> String {
        format!("grants: {{credentials: {}}}", flow_list(ways))
    }
}

/// Decodes `limits:`.
pub(super) fn limits(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Limits {
    let mut limits = Limits::default();
    let Some(record) = decoder.record(node, path, &Limit::ALL.map(Limit::name)) else { return limits };
    for limit in Limit::ALL {
        let Some(node) = record.get(limit.name()) else { continue };
        let text = match &node.data {
            Data::Text(text) => text.clone(),
            Data::Number(number) => number.to_string(),
            Data::Bad => continue,
            // No value at all: what it must be is told.
            _ => String::new(),
        };
        match limit.parse(&text) {
            Ok(value) => limits.set(limit, value),
            Err(error) => {
                let default = limit.write(limit.default_value());
                let hint = format!("without it, it is {default}: {}", limit.reason());
                decoder.error_hint(node.span, record.at(limit.name()), error.to_string(), hint);
            }
        }
    }
    limits
}

const GRANTS_KEYS: [Key<Grants>; 6] = [
    Key::optional("origins", |decoder, node, path, grants| {
        for found in decoder.each(node, path, decode_origin) {
            if !grants.origins.contains(&found) {
                grants.origins.push(found);
            }
        }
    }),
    Key::optional("networks", |decoder, node, path, grants| {
        for found in decoder.each(node, path, decode_network) {
            if !grants.networks.contains(&found) {
                grants.networks.push(found);
            }
        }
    }),
    Key::optional("environment", |decoder, node, path, grants| {
        for found in decoder.each(node, path, decode_variable) {
            if !grants.environment.contains(&found) {
                grants.environment.push(found);
            }
        }
    }),
    Key::optional("visible", |decoder, node, path, grants| {
        for found in decoder.each(node, path, decode_variable) {
            if !grants.visible.contains(&found) {
                grants.visible.push(found);
            }
        }
    }),
    Key::optional("headers", |decoder, node, path, grants| {
        for found in decoder.each(node, path, decode_header) {
            if !grants.headers.contains(&found) {
                grants.headers.push(found);
            }
        }
    }),
    Key::optional("credentials", |decoder, node, path, grants| {
        let ways = decoder.each(node, path, |decoder, node, path| decoder.text(node, path).map(str::to_owned));
        grants.credentials = Some(ways.into_iter().collect());
    }),
];

/// Decodes `grants:`.
pub(super) fn grants(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Grants {
    let mut grants = Grants::default();
    decoder.fill(node, path, &GRANTS_KEYS, &mut grants);
    grants
}

fn decode_origin(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<String> {
    let text = decoder.text(node, path)?;
    match origin(text) {
        Ok(origin) => Some(origin),
        Err(hint) => {
            let message = "an origin is a scheme, a host and perhaps a port, as `https://cdn.example.com`";
            decoder.error_hint(node.span, path, message, hint);
            // The line may hold a password: it is not shown.
            if let Some(problem) = decoder.problems.last_mut().filter(|_| text.contains('@')) {
                problem.excerpt = None;
            }
            None
        }
    }
}

fn decode_network(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<IpNet> {
    let text = decoder.text(node, path)?;
    let network = network(text);
    if network.is_none() {
        let message = format!("`{}` is not a network", text.escape_debug());
        decoder.error_hint(node.span, path, message, "write a range such as `10.0.0.0/8` or `fd00::/8`, or a single address");
    }
    network
}

fn decode_variable(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<String> {
    let text = decoder.text(node, path)?;
    if text.contains(['=', '\0', '*']) {
        let message = format!("`{}` is not the name of an environment variable", text.escape_debug());
        decoder.error_hint(node.span, path, message, "name each: there are no wildcards");
        return None;
    }
    Some(text.to_owned())
}

fn decode_header(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<String> {
    let text = decoder.text(node, path)?;
    // The characters of a token in RFC 9110.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte)) {
        let message = format!("`{}` is not the name of a header", text.escape_debug());
        decoder.error_hint(node.span, path, message, "name each: there are no wildcards");
        return None;
    }
    Some(text.to_ascii_lowercase())
}

/// Parses an origin into the form in which origins are compared; the error is a hint.
fn origin(text: &str) -> Result<String, String> {
    let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url else { return Err("it begins with `https://` or `http://`".to_owned()) };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("leave out user and password: further origins are asked without credentials".to_owned());
    }
    if let Some(Host::Domain(name)) = url.host()
        && name.contains('*')
    {
        return Err("name each host: there are no wildcards".to_owned());
    }
    let origin = url.origin().ascii_serialization();
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("leave out what stands behind the host: `{origin}`"));
    }
    Ok(origin)
}

/// Parses a range, or a single address.
fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)).map(|network| network.trunc())
}
