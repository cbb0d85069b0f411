//! How the value of a reference is matched with an object.
//!
//! **The rule.** A record says in one of these ways which object it refers to; the first that fits counts:
//!
//! 1. An object with an `id` is the peer with that id: `{"id": 7, …}`. An object of `kind` and `id` alone is the peer of that kind.
//! 2. An object of identifiers (`{"name": "akron"}`), or a list of their values, is the peer with that natural key.
//! 3. A plain value is the natural key of a peer that has one identifier.
//! 4. Else it is the peer's id, given as a plain value.
//! 5. Else it is the peer's unique id: the values of its identifiers, joined with `__`.
//!
//! A list is a set of these. A text that several peers answer to, by id or by unique id, is reported as ambiguous and not guessed. The literal of
//! `static:` beside `reference:` is such a plain value.
//!
//! Where a field may refer to several kinds, an object with a member `kind`, or a text `Kind:…`, means that kind. Any other value is looked up in
//! each of the kinds, and has to be found in one alone.
//!
//! An adapter may change the way in its manifest ([`ReferenceRule`]): where the value is taken from, and whether a plain value is compared with
//! unique ids first.

use serde_json::Value;

use super::feed::FieldSource;

/// A rule of an adapter's manifest. Its rules are tried in their order, before [the rule](self) for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceRule {
    /// The record's own value at the field's name, where a transform may have put it, comes before the mapping's path.
    FieldName,
    /// The value is the peer's natural key, taken from columns of this record: for each identifier of the peer's kind, the path from
    /// which the first mapping of that kind takes it. The field's own path only says whether there is a peer.
    PeerColumns,
    /// A plain value is compared with unique ids before natural keys and ids.
    UniqueId,
}

/// A peer's natural key, put together from columns of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerKey {
    /// The path that has a value where there is a peer; none: the key itself says so.
    pub present: Option<String>,
    /// The identifiers of the peer's kind, and where their values are.
    pub parts: Vec<(String, KeyPart)>,
}

/// Where a part of a peer's key is.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyPart {
    /// At a dotted path of the record.
    Path(String),
    /// The literal that the peer's mapping gives.
    Static(Value),
}

/// Returns the places of a reference's value by an adapter's rules; the last that has a value counts.
///
/// `parts` are the columns of the peer's key, for [`ReferenceRule::PeerColumns`].
#[must_use]
pub fn sources(rules: &[ReferenceRule], field: &str, path: &str, parts: Vec<(String, KeyPart)>) -> Vec<FieldSource> {
    let mut sources = vec![FieldSource::Reference(path.to_owned())];
    for rule in rules.iter().rev() {
        match rule {
            ReferenceRule::FieldName if field != path => sources.push(FieldSource::Reference(field.to_owned())),
            ReferenceRule::PeerColumns if !parts.is_empty() => {
                sources.push(FieldSource::PeerKey(PeerKey { present: Some(path.to_owned()), parts: parts.clone() }));
            }
            _ => {}
        }
    }
    sources
}
