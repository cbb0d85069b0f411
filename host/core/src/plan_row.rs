//! One row of a plan, as `plan.parquet` stores it.
//!
//! Users query the first ten columns. An apply needs the others, so that it does not read the source again.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// The pass of the rows that free a unique value: they clear it, or replace it for a while. They stand before the rows that take it.
pub const PARKING: u32 = 2;

/// The effect of a row on the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The object is only in the source.
    #[default]
    Create,
    /// The object is in both, some fields differ.
    Update,
    /// The object is only in the destination.
    Delete,
}

impl Action {
    /// Returns the word in the plan's `action` column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        }
    }

    /// Parses the word of the `action` column.
    #[must_use]
    pub fn parse(word: &str) -> Option<Action> {
        [Action::Create, Action::Update, Action::Delete].into_iter().find(|action| action.as_str() == word)
    }
}

/// A change of one object.
///
/// It is serialized for programs: values as JSON, and without the columns that only an apply needs.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct PlanRow {
    /// The effect.
    pub action: Action,
    /// The kind.
    pub resource: String,
    /// The unique id: the identifier values joined with `__`.
    pub source_id: String,
    /// The destination's own id of the object, where it has one.
    pub dest_id: Option<String>,
    /// The names of the changed fields, joined with `,`; none on create and delete.
    pub attribute: Option<String>,
    /// JSON object of the fields' values in the destination (all fields on delete); references as unique ids.
    #[serde(serialize_with = "embed")]
    pub old_value: Option<String>,
    /// JSON object of the fields' wanted values (all set fields on create); references as unique ids.
    #[serde(serialize_with = "embed")]
    pub new_value: Option<String>,
    /// The owner of the values, if the destination knows owners.
    pub owner: Option<String>,
    /// Why the row is skipped, if it is.
    pub skip_reason: Option<String>,
    /// The class of the conflict, if there is one.
    pub conflict_class: Option<String>,
    /// The write order: creates and updates go up, deletes go down.
    pub tier: u32,
    /// 0: first pass. 1: second pass, for fields that close a reference cycle. [`PARKING`]: frees a unique value for another object.
    pub pass: u32,
    /// The natural key without loss: JSON array of the identifier values; a reference is the peer's own array.
    #[serde(skip)]
    pub key: String,
    /// The references of `new_value` without loss: JSON object of field name to `{"kind", "key", "id"}`, or a list of those.
    #[serde(skip)]
    pub peers: Option<String>,
    /// For a delete: how it is known that the source no longer has the object, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// For a delete: the objects that it takes along, as a JSON list of [`Along`](crate::along::Along).
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "embed")]
    pub along: Option<String>,
    /// The destination's resource of the row, if the mappings of the kind have several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_mapping: Option<String>,
}

/// Embeds JSON unchanged, or as a string if it was edited and is invalid.
fn embed<S: Serializer>(json: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match json.as_deref() {
        None => serializer.serialize_none(),
        Some(json) => match serde_json::from_str::<&RawValue>(json) {
            Ok(value) => value.serialize(serializer),
            Err(_) => json.serialize(serializer),
        },
    }
}
