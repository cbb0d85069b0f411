//! The objects that a delete takes along in the destination, as `plan.parquet` names them.

use serde::{Deserialize, Serialize};

/// Objects of one kind that a delete takes along.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Along {
    /// The kind, as the destination names it: the list, where it is addressed by mapping.
    pub kind: String,
    /// The number of objects.
    pub count: u64,
    /// The project maps the kind. Each of the objects is then deleted by a row of its own, unless it is `released`.
    pub mapped: bool,
    /// Updates of the plan take the objects away from the deleted one before it is deleted: they stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
    /// The unique ids of objects that were loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The ids in the destination, where it tells them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
}

impl Along {
    /// Parses the column of a plan.
    ///
    /// # Errors
    /// When the text is not a list of such objects.
    pub fn parse(column: Option<&str>) -> Result<Vec<Along>, serde_json::Error> {
        column.map_or_else(|| Ok(Vec::new()), serde_json::from_str)
    }

    /// Returns the column of a plan; none without objects.
    #[must_use]
    pub fn column(along: &[Along]) -> Option<String> {
        // A list of texts and numbers is always JSON.
        (!along.is_empty()).then(|| serde_json::to_string(along).unwrap_or_default())
    }
}
