//! Makes the kinds of a schema.

use crate::{Cascade, Field, FieldType, Kind};

impl Field {
    /// Makes an optional field that may have any value of its type. Other members are set by update syntax:
    /// `Field { unique: true, ..Field::new("name", FieldType::Text) }`.
    pub fn new(name: &str, field_type: FieldType) -> Field {
        Field {
            name: name.into(),
            type_: field_type,
            optional: true,
            unique: false,
            read_only: false,
            references: Vec::new(),
            choices: Vec::new(),
            default: None,
        }
    }

    /// Makes an optional reference to an object of these kinds.
    pub fn reference(name: &str, kinds: &[&str]) -> Field {
        Field { references: kinds.iter().map(|kind| (*kind).into()).collect(), ..Field::new(name, FieldType::Reference) }
    }
}

impl Kind {
    /// Makes a kind whose objects can be created, updated and deleted.
    pub fn new(name: &str, identifiers: &[&str], fields: Vec<Field>) -> Kind {
        Kind {
            name: name.into(),
            identifiers: identifiers.iter().map(|identifier| (*identifier).into()).collect(),
            fields,
            stands_for: Vec::new(),
            cascades: Vec::new(),
            unique_together: Vec::new(),
            can_create: true,
            can_update: true,
            can_delete: true,
        }
    }

    /// Adds objects that the system deletes along with an object of this kind: those whose `field` refers to it, if the system exposes it.
    #[must_use]
    pub fn with_cascade(mut self, kind: &str, field: Option<&str>) -> Kind {
        self.cascades.push(Cascade { kind: kind.into(), field: field.map(Into::into) });
        self
    }

    /// Adds a set of fields whose values together no two objects have, unless one of the values is null.
    #[must_use]
    pub fn with_unique_together(mut self, fields: &[&str]) -> Kind {
        self.unique_together.push(fields.iter().map(|field| (*field).into()).collect());
        self
    }
}
