//! Whose the value of a field is, and the ways in which that cannot be.

use infrahub_sync_core::model::{Cardinality, FieldType, Ownership};

use super::SchemaField;
use super::merge::{Field, Kind, Whose};
use crate::decode::Decoder;
use crate::project::ownership::word;

impl Field<'_> {
    /// Returns whether new objects are given its value by some mapping.
    pub(super) fn is_given(&self) -> bool {
        self.owned.iter().any(|whose| whose.ownership != Ownership::Destination)
    }
}

/// Returns whose a field's value is, and reports what cannot be: another word in another mapping, a word that an identifier cannot have, members of a
/// single value.
pub(super) fn of_field(
    decoder: &mut Decoder<'_>,
    kind: &Kind<'_>,
    field: &Field<'_>,
    known: Option<&SchemaField>,
    is_identifier: bool,
) -> Ownership {
    let name = format!("{}.{}", kind.name, field.name);
    let path = format!("{}.ownership", field.path);
    let Some(first) = field.owned.first() else { return Ownership::Usual };
    if let Some(other) = field.owned.iter().find(|other| other.ownership != first.ownership) {
        let message = format!(
            "`{name}` has the ownership `{}` here and `{}` on line {}",
            word(other.ownership),
            word(first.ownership),
            first.span.line
        );
        decoder.error_hint(other.span, path, message, "a field has one owner: give each mapping of the kind the same `ownership`");
        return first.ownership;
    }
    match first {
        Whose { ownership: Ownership::Usual, .. } => Ownership::Usual,
        // A key is compared to find the object at all, and never changed.
        Whose { by_field: false, .. } if is_identifier => Ownership::Usual,
        Whose { ownership, .. } if is_identifier && *ownership != Ownership::Source => {
            let message = format!("`{name}` identifies `{}`, so its ownership cannot be `{}`", kind.name, word(*ownership));
            decoder.error_hint(
                first.span,
                path,
                message,
                "remove `ownership` here: identifiers are set when an object is created, and never changed",
            );
            Ownership::Usual
        }
        Whose { ownership: Ownership::Merge, by_field, .. } if is_single(field, known) => {
            if *by_field {
                let message = format!("`{name}` holds a single value, so its ownership cannot be `merge`");
                let hint = "`merge` is for lists; write `source`, `create-only` or `destination`";
                decoder.error_hint(first.span, path, message, hint);
            }
            Ownership::Usual
        }
        Whose { ownership, .. } => *ownership,
    }
}

/// Returns whether the schema says that a field holds one value.
fn is_single(field: &Field<'_>, known: Option<&SchemaField>) -> bool {
    let Some(known) = known else { return false };
    let is_reference = !field.references.is_empty() || !known.references.is_empty();
    match is_reference {
        true => known.cardinality == Cardinality::One,
        false => !matches!(known.field_type, FieldType::Any | FieldType::Json | FieldType::List),
    }
}
