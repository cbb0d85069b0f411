//! The model of a sync: the kinds that are compared, their fields, and which of them refer to which.

pub use infrahub_sync_base::FieldType;
use serde::{Deserialize, Serialize};

/// Whether a reference holds one peer or a set of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cardinality {
    /// One peer, or none.
    One,
    /// A set of peers.
    Many,
    /// Not known: a list in the source is a set, anything else one peer.
    #[default]
    Unknown,
}

/// Whose a field's value is, once its object exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ownership {
    /// The source's. Only peers outside of the sync stay, as the source cannot name them.
    #[default]
    Usual,
    /// The source's alone: peers outside of the sync are removed as well.
    Source,
    /// The destination's: never compared, never written.
    Destination,
    /// The source's when the object is created, the destination's afterwards.
    CreateOnly,
    /// A set of which the sync adds and removes its own members; all others stay.
    Merge,
}

impl Ownership {
    /// Returns whether an object that exists is compared in this field.
    #[must_use]
    pub fn is_compared(self) -> bool {
        !matches!(self, Ownership::Destination | Ownership::CreateOnly)
    }

    fn is_usual(&self) -> bool {
        *self == Ownership::Usual
    }
}

/// A field of a kind.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldModel {
    /// The field's name in the model.
    pub name: String,
    /// The type of its values (of no meaning for references).
    #[serde(rename = "type", default)]
    pub field_type: FieldType,
    /// May be null or absent.
    #[serde(default)]
    pub optional: bool,
    /// The kind of its peers, for a reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Further kinds that its peers may be of; [`peers`](Self::peers) are all of them. A key then names the kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// How many peers, for a reference.
    #[serde(default)]
    pub cardinality: Cardinality,
    /// The value that the destination sets when it receives none. It does not differ from a source without a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
    /// Whose the value is. Identifiers are always the source's.
    #[serde(default, skip_serializing_if = "Ownership::is_usual")]
    pub ownership: Ownership,
}

impl FieldModel {
    /// Returns the kinds of its peers, each once; empty for a plain field.
    pub fn peers(&self) -> impl Iterator<Item = &str> {
        self.reference.iter().chain(&self.also).map(String::as_str)
    }

    /// Returns whether its peers may be of several kinds.
    #[must_use]
    pub fn refers_to_several(&self) -> bool {
        !self.also.is_empty()
    }
}

/// A kind: objects of one shape, identified by some of their fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindModel {
    /// The kind's name.
    pub name: String,
    /// The fields of the natural key, in order.
    pub identifiers: Vec<String>,
    /// The write order: 0 is written first.
    pub tier: u32,
    /// Reference fields that are written in a second pass, because they close a cycle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deferred: Vec<String>,
    /// The kind is not mapped: its objects are read in the destination, to be referred to, and neither compared nor written. Its fields are its
    /// identifiers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lookup: bool,
    /// Sets of fields whose values no two objects share: plain values, references whose peers belong to one object each, or several fields together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unique: Vec<Vec<String>>,
    /// The mapped fields, in the order of their first mention.
    pub fields: Vec<FieldModel>,
}

impl KindModel {
    /// Returns the sets of unique fields whose values one object can take from another, by the positions of the fields. A set with the whole natural
    /// key is not among them: its values are the object. Neither is a set with a field that is not mapped.
    pub fn takable(&self) -> impl Iterator<Item = Vec<usize>> {
        let has_key = |set: &Vec<String>| !self.identifiers.is_empty() && self.identifiers.iter().all(|name| set.contains(name));
        let position = |name: &String| self.fields.iter().position(|field| field.name == *name);
        let sets = self.unique.iter().filter(move |set| !set.is_empty() && !has_key(set));
        sets.filter_map(move |set| set.iter().map(position).collect())
    }
}

/// All kinds of a sync, in the order of their first mention in `schema_mapping`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Model {
    /// The kinds.
    pub kinds: Vec<KindModel>,
}

impl Model {
    /// Returns the kind of that name and its position.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<(usize, &KindModel)> {
        self.kinds.iter().enumerate().find(|(_, kind)| kind.name == name)
    }

    /// Returns the positions of the kinds that a reference field may refer to.
    #[must_use]
    pub fn peers_of(&self, field: &FieldModel) -> Vec<usize> {
        field.peers().filter_map(|peer| self.kind(peer)).map(|(peer, _)| peer).collect()
    }
}
