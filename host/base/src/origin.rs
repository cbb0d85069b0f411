//! Where a published adapter comes from: an OCI registry, or an address of the web.
//!
//! ```text
//! oci://ghcr.io/acme/statusboard:1                   a tag of a registry
//! oci://ghcr.io/acme/statusboard@sha256:…            a manifest of it
//! https://acme.example.org/adapters/statusboard.wasm
//! ```
//!
//! Key types: [`Origin`], [`OciOrigin`], [`OriginPattern`]. An origin has one spelling, so origins are equal if their texts are. None can hold a
//! credential: the lock file repeats it.

use std::fmt;
use std::str::FromStr;

/// The scheme of a registry.
pub const OCI: &str = "oci://";
const HTTPS: &str = "https://";
const HTTP: &str = "http://";

/// The place that an adapter is published at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A reference of an OCI registry.
    Oci(OciOrigin),
    /// The address of a `.wasm` file. Plain HTTP is for this machine alone.
    Web(String),
}

/// A reference of an OCI registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OciOrigin {
    /// Host and perhaps port.
    pub registry: String,
    /// The path below the registry, as `acme/statusboard`.
    pub repository: String,
    /// The tag, if it names one.
    pub tag: Option<String>,
    /// The digest of a manifest, `sha256:` and 64 hexadecimal digits, if it names one.
    pub digest: Option<String>,
}

impl OciOrigin {
    /// Returns the repository without a tag.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{OCI}{}/{}", self.registry, self.repository)
    }

    /// Returns the same repository at another tag.
    #[must_use]
    pub fn at_tag(&self, tag: &str) -> OciOrigin {
        OciOrigin { tag: Some(tag.to_owned()), digest: None, ..self.clone() }
    }
}

impl fmt::Display for OciOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{OCI}{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Oci(oci) => oci.fmt(f),
            Origin::Web(address) => f.write_str(address),
        }
    }
}

/// Why a text is not an origin: what is wrong, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginError {
    /// The mistake, after the text.
    pub what: String,
    /// The text to write.
    pub hint: String,
    /// The text may hold a password, and is not shown.
    pub has_credentials: bool,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.hint)
    }
}

impl std::error::Error for OriginError {}

fn wrong<T>(what: impl Into<String>, hint: impl Into<String>) -> Result<T, OriginError> {
    Err(OriginError { what: what.into(), hint: hint.into(), has_credentials: false })
}

impl Origin {
    /// Returns whether a text has the form of an address, with `oci://`, `https://` or another scheme.
    #[must_use]
    pub fn is_address(text: &str) -> bool {
        text.split_once("://")
            .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+'))
    }

    /// Returns the reference, if it is one of a registry.
    #[must_use]
    pub fn oci(&self) -> Option<&OciOrigin> {
        match self {
            Origin::Oci(oci) => Some(oci),
            Origin::Web(_) => None,
        }
    }

    /// Returns the last part of its path without extension: what a file of it is called.
    #[must_use]
    pub fn stem(&self) -> &str {
        match self {
            Origin::Oci(oci) => oci.repository.rsplit('/').next().unwrap_or_default(),
            Origin::Web(address) => {
                let name = address.rsplit('/').next().unwrap_or_default();
                name.strip_suffix(".wasm").unwrap_or(name)
            }
        }
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Origin, OriginError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return wrong("is not an address", "write `oci://HOST/NAME:TAG` or `https://HOST/NAME.wasm`");
        };
        let scheme = format!("{}://", scheme.to_ascii_lowercase());
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            let hint = "leave user and password out of it: registries take those of `docker login`".to_owned();
            return Err(OriginError {
                what: "holds a credential, which the lock file would repeat".to_owned(),
                hint,
                has_credentials: true,
            });
        }
        if path.contains(['?', '#']) {
            let hint = "an address of a published adapter has neither `?` nor `#`: they could hold a credential".to_owned();
            return Err(OriginError { what: "has a query or a fragment".to_owned(), hint, has_credentials: true });
        }
        match scheme.as_str() {
            OCI => oci(authority, path).map(Origin::Oci),
            HTTPS | HTTP => web(&scheme, authority, path),
            _ => wrong(
                format!("has the scheme `{scheme}`, which no adapter comes from"),
                "write `oci://HOST/NAME:TAG` or `https://HOST/NAME.wasm`",
            ),
        }
    }
}

/// Returns host and port in one spelling.
fn host(authority: &str, port_default: &str) -> Result<String, OriginError> {
    let host = authority.to_ascii_lowercase();
    let host = host.strip_suffix(port_default).unwrap_or(&host);
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_address =
        name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).is_some_and(|name| name.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    let has_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    if (is_address || is_name) && has_port {
        Ok(host.to_owned())
    } else {
        wrong(format!("has the host `{authority}`, which is invalid"), "write a host and perhaps a port, as `ghcr.io`")
    }
}

/// Returns whether a host (with or without port) is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn oci(authority: &str, path: &str) -> Result<OciOrigin, OriginError> {
    let registry = host(authority, ":443")?;
    let (path, digest) = match path.split_once('@') {
        Some((path, digest)) => (path, Some(digest.to_ascii_lowercase())),
        None => (path, None),
    };
    if let Some(digest) = &digest {
        let digits = digest.strip_prefix("sha256:").unwrap_or_default();
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return wrong(format!("has the digest `{digest}`, which is invalid"), "a digest is `sha256:` and 64 hexadecimal digits");
        }
    }
    let (repository, tag) = match path.split_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (path, None),
    };
    let is_part = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let ends = part.bytes().next().is_some_and(plain) && part.bytes().last().is_some_and(plain);
        ends && part.bytes().all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-')) && !part.contains("..")
    };
    if repository.is_empty() || !repository.split('/').all(is_part) {
        let what = format!("has the name `{repository}`, which is invalid in a registry");
        return wrong(what, "write lower-case letters, digits, `-`, `_` and `.`, with `/` between the parts");
    }
    let is_tag = |tag: &str| {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        tag.len() <= 128 && tag.bytes().next().is_some_and(word) && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
    };
    if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
        return wrong(format!("has the tag `{tag}`, which is invalid"), "write letters, digits, `.`, `-` and `_`, as in `:1.2.0`");
    }
    Ok(OciOrigin { registry, repository: repository.to_owned(), tag: tag.map(str::to_owned), digest })
}

fn web(scheme: &str, authority: &str, path: &str) -> Result<Origin, OriginError> {
    let host = host(authority, if scheme == HTTPS { ":443" } else { ":80" })?;
    if scheme == HTTP && !is_loopback(&host) {
        return wrong("is sent without encryption", "write `https://`: `http://` is for this machine alone");
    }
    let lower = path.to_ascii_lowercase();
    let has_detour = path.split('/').any(|part| matches!(part, "" | "." | "..")) || lower.contains("%2e") || lower.contains("%2f");
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if has_detour || !is_plain {
        return wrong(
            "has a path that is invalid",
            "write the address of the file, as `https://acme.example.org/adapters/statusboard.wasm`",
        );
    }
    Ok(Origin::Web(format!("{scheme}{host}/{path}")))
}

/// The origins that a rule is about: one repository or file, or all below a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern(String);

impl OriginPattern {
    /// Returns whether an origin is one of them.
    #[must_use]
    pub fn matches(&self, origin: &Origin) -> bool {
        let text = match origin {
            Origin::Oci(oci) => oci.repository(),
            Origin::Web(address) => address.clone(),
        };
        match self.0.strip_suffix('*') {
            Some(prefix) => text.starts_with(prefix),
            None => text == self.0,
        }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OriginPattern {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<OriginPattern, OriginError> {
        if text == "*" {
            return Ok(OriginPattern(text.to_owned()));
        }
        let Some(prefix) = text.strip_suffix("/*") else {
            return match text.parse()? {
                Origin::Oci(OciOrigin { tag: None, digest: None, registry, repository }) => {
                    Ok(OriginPattern(format!("{OCI}{registry}/{repository}")))
                }
                Origin::Oci(oci) => wrong("names a tag or a digest", format!("a key signs all versions: write `{}`", oci.repository())),
                Origin::Web(address) => Ok(OriginPattern(address)),
            };
        };
        // `oci://ghcr.io/*` has no path of its own; the name of a whole one does for the check.
        let (probe, cut) = if prefix.split_once("://").is_some_and(|(_, rest)| !rest.contains('/')) {
            (format!("{prefix}/x"), 2)
        } else {
            (prefix.to_owned(), 0)
        };
        let checked = match probe.parse()? {
            Origin::Oci(OciOrigin { tag: None, digest: None, registry, repository }) => format!("{OCI}{registry}/{repository}"),
            Origin::Oci(_) => return wrong("names a tag or a digest", "write the path before `/*` without them"),
            Origin::Web(address) => address,
        };
        let checked = checked.get(..checked.len() - cut).unwrap_or_default();
        Ok(OriginPattern(format!("{checked}/*")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        text.parse::<Origin>().map_or_else(|error| error.to_string(), |origin| origin.to_string())
    }

    #[test]
    fn an_origin_has_one_spelling() {
        let digest = format!("sha256:{}", "Ab".repeat(32));
        assert_eq!(read("oci://ghcr.io/acme/statusboard:1"), "oci://ghcr.io/acme/statusboard:1");
        assert_eq!(read("OCI://GHCR.io:443/acme/x"), "oci://ghcr.io/acme/x");
        assert_eq!(
            read(&format!("oci://[::1]:5000/a-b/c_d:1.2.0-rc.1@{digest}")),
            format!("oci://[::1]:5000/a-b/c_d:1.2.0-rc.1@{}", digest.to_lowercase())
        );
        assert_eq!(read("https://Acme.example.org:443/a/x.wasm"), "https://acme.example.org/a/x.wasm");
        assert_eq!(read("http://127.0.0.1:8000/x.wasm"), "http://127.0.0.1:8000/x.wasm");
        let stem = |text: &str| text.parse::<Origin>().unwrap().stem().to_owned();
        assert_eq!([stem("oci://h/a/board:1"), stem("https://h/a/board.wasm"), stem("https://h/board")], ["board"; 3]);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            ("statusboard", "is not an address"),
            ("ftp://h/x.wasm", "has the scheme `ftp://`"),
            ("oci://ghcr.io", "has the name ``"),
            ("oci://ghcr.io/", "has the name ``"),
            ("oci:///acme/x:1", "has the host ``"),
            ("oci://h/Acme/x:1", "has the name `Acme/x`"),
            ("oci://h/acme/../x:1", "has the name `acme/../x`"),
            ("oci://h/acme//x:1", "has the name `acme//x`"),
            ("oci://h/acme/x:", "has the tag ``"),
            ("oci://h/acme/x:a/b", "has the tag `a/b`"),
            ("oci://h/acme/x@sha256:12", "has the digest `sha256:12`"),
            ("oci://h:99999/acme/x:1", "has the host `h:99999`"),
            ("oci://user:pw@h/x:1", "holds a credential"),
            ("https://user@h/x.wasm", "holds a credential"),
            ("https://h/x.wasm?token=1", "has a query"),
            ("http://h/x.wasm", "is sent without encryption"),
            ("https://h/a/../x.wasm", "has a path that is invalid"),
            ("https://h/a/%2E%2e/x.wasm", "has a path that is invalid"),
            ("https://h", "has a path that is invalid"),
            ("https://h/a b.wasm", "has a path that is invalid"),
        ] {
            let read = read(text);
            assert!(read.starts_with(words), "{text}: {read}");
        }
    }

    #[test]
    fn a_pattern_ends_at_a_part_of_the_path() {
        let matches = |pattern: &str, origin: &str| pattern.parse::<OriginPattern>().unwrap().matches(&origin.parse().unwrap());
        assert!(matches("oci://ghcr.io/acme/*", "oci://ghcr.io/acme/x:1"));
        assert!(matches("oci://GHCR.io/acme/*", "oci://ghcr.io/acme/deep/x:1"));
        assert!(!matches("oci://ghcr.io/acme/*", "oci://ghcr.io/acme-evil/x:1"));
        assert!(!matches("oci://ghcr.io/acme/*", "oci://ghcr.io/acme:1"));
        assert!(matches("oci://ghcr.io/*", "oci://ghcr.io/acme/x:1"));
        assert!(!matches("oci://ghcr.io/*", "oci://ghcr.io.evil.example/acme/x:1"));
        assert!(matches("oci://ghcr.io/acme/x", "oci://ghcr.io/acme/x:2"));
        assert!(!matches("oci://ghcr.io/acme/x", "oci://ghcr.io/acme/x2:2"));
        assert!(matches("https://h/a/*", "https://h/a/x.wasm") && !matches("https://h/a/*", "https://h/b/x.wasm"));
        assert!(matches("*", "https://h/b/x.wasm"));
        for wrong in ["oci://ghcr.io/acme*", "oci://ghcr.io/acme/x:1", "acme/*", "oci://*", "https://h/../*"] {
            assert!(wrong.parse::<OriginPattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (host, expected) in [
            ("localhost:5000", true),
            ("127.0.0.2", true),
            ("[::1]:5000", true),
            ("localhost.evil.example", false),
            ("10.0.0.1:5000", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
