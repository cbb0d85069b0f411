//! One row of a plan, as it lies in `plan.parquet`.
//!
//! The first ten columns are those that infrahub-sync's users query; the others are what an apply needs, so that a stored
//! plan can be applied without reading the source again.

use serde::{Deserialize, Serialize};

/// What a row does to the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The object is only in the source.
    Create,
    /// The object is in both, some fields differ.
    Update,
    /// The object is only in the destination.
    Delete,
}

impl Action {
    /// The word in the plan's `action` column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        }
    }

    /// Reads the word of the `action` column.
    #[must_use]
    pub fn parse(word: &str) -> Option<Action> {
        [Action::Create, Action::Update, Action::Delete].into_iter().find(|action| action.as_str() == word)
    }
}

/// A change of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanRow {
    /// What is done.
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
    pub old_value: Option<String>,
    /// JSON object of the fields' wanted values (all set fields on create); references as unique ids.
    pub new_value: Option<String>,
    /// Who owns the values, where the destination knows owners.
    pub owner: Option<String>,
    /// Why the row is not applied, where it is not.
    pub skip_reason: Option<String>,
    /// Which conflict stands in the way, where one does.
    pub conflict_class: Option<String>,
    /// The write order: creates and updates go up, deletes go down.
    pub tier: u32,
    /// 0: first pass. 1: second pass, for fields that were taken out to break a reference cycle.
    pub pass: u32,
    /// The natural key without loss: JSON array of the identifier values; a reference is the peer's own array.
    pub key: String,
    /// The references of `new_value` without loss: JSON object of field name to `{"kind", "key", "id"}`, or a list of those.
    pub peers: Option<String>,
    /// Of a delete: how it is known that the source does not have the object any more, in words.
    pub evidence: Option<String>,
    /// The destination's resource that the row is written to, where the mappings of the kind have several.
    pub destination_mapping: Option<String>,
}
