//! `trust:`: whose published adapters a project accepts, and from where.
//!
//! ```yaml
//! trust:
//!   - origins: ["oci://ghcr.io/acme/*"]
//!     keys: [RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3]   # the second line of acme.pub
//! ```
//!
//! Key types: [`Trust`], [`TrustRule`], [`PublisherKey`]. With this list, an adapter from an origin that no rule names is not accepted.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use infrahub_sync_base::origin::{Origin, OriginPattern};

use crate::decode::{Decoder, Key};
use crate::load::Node;

/// The rules; none if the project has no `trust:`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust(pub Option<Vec<TrustRule>>);

/// Keys, and the origins whose adapters they sign.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustRule {
    /// The origins.
    pub origins: Vec<OriginPattern>,
    /// The public keys, any of which suffices.
    pub keys: Vec<PublisherKey>,
}

/// A public key of minisign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherKey {
    text: String,
    id: String,
}

impl PublisherKey {
    /// The form of a key: two bytes for the algorithm, eight for its id, 32 of its own.
    const BYTES: usize = 42;
    const ALGORITHM: &[u8] = b"Ed";

    /// Reads the line of a public key, as it stands in a `.pub` file.
    #[must_use]
    pub fn parse(text: &str) -> Option<PublisherKey> {
        let bytes = BASE64.decode(text).ok().filter(|bytes| bytes.len() == Self::BYTES && bytes.starts_with(Self::ALGORITHM))?;
        let id: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
        Some(PublisherKey { text: text.to_owned(), id: format!("{:016X}", u64::from_le_bytes(id)) })
    }

    /// Returns its id as minisign shows it: 16 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for PublisherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Trust {
    /// Returns the keys of an origin; empty if no rule names it. None: the project accepts unsigned adapters.
    #[must_use]
    pub fn keys(&self, origin: &Origin) -> Option<Vec<&PublisherKey>> {
        let rules = self.0.as_ref()?;
        let fitting = rules.iter().filter(|rule| rule.origins.iter().any(|pattern| pattern.matches(origin)));
        Some(fitting.flat_map(|rule| &rule.keys).collect())
    }
}

const KEYS: [Key<TrustRule>; 2] = [
    Key::required("origins", |decoder, node, path, rule| rule.origins = decoder.each(node, path, pattern)),
    Key::required("keys", |decoder, node, path, rule| rule.keys = decoder.each(node, path, key)),
];

/// Decodes `trust:`.
pub(super) fn trust(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Trust {
    let rules = decoder.each(node, path, |decoder, node, path| {
        let mut rule = TrustRule::default();
        decoder.fill(node, path, &KEYS, &mut rule).map(|_| rule)
    });
    Trust(Some(rules))
}

fn pattern(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<OriginPattern> {
    let text = decoder.text(node, path)?;
    match text.parse() {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let hint = "write an address such as `oci://ghcr.io/acme/statusboard`, or `oci://ghcr.io/acme/*` for all below it";
            decoder.error_hint(node.span, path, format!("this {}", error.what), hint);
            if let Some(problem) = decoder.problems.last_mut().filter(|_| error.has_credentials) {
                problem.excerpt = None;
            }
            None
        }
    }
}

fn key(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<PublisherKey> {
    let key = PublisherKey::parse(decoder.text(node, path)?);
    if key.is_none() {
        let hint = "write the second line of the publisher's `.pub` file: 56 characters that begin with `RW`";
        decoder.error_hint(node.span, path, "this is not a public key of minisign", hint);
        // It may be a secret key.
        if let Some(problem) = decoder.problems.last_mut() {
            problem.excerpt = None;
        }
    }
    key
}
