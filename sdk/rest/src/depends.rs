//! Knows which other objects a field depends on.
//!
//! These systems move the time of the last change when a record itself is saved, but not when another object is saved: a device shows the new name
//! of its site and keeps its date. So each path that a mapping reads is one of these:
//!
//! | path | moves the time | otherwise the change shows in |
//! |---|---|---|
//! | a column of the record: `name`, `status.value` | always | |
//! | a custom field | yes, but not when fields are redefined or values of selections are renamed | changes of those |
//! | a reference, read by id: `site`, `tags` | when the record is edited | deletes of the kind, where the record survives them |
//! | a value inside a reference: `role.name` | no | changes of the kind (`dcim.devicerole`, `dcim.rackrole` …) |
//! | anything else: counts, `display`, values of plugins | unknown | any change at all |
//!
//! A name that is in no table counts as the last row, so a new version costs time and loses nothing.

/// A need of a path, besides the time of the last change, for being unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// No object at all was changed.
    Nothing,
    /// No object of these types was created, changed or deleted.
    Unchanged(&'static [&'static str]),
    /// No object of these types was deleted.
    Undeleted(&'static [&'static str]),
    /// No custom field refers to objects.
    PlainCustomFields,
}

/// A field that refers to objects of other types.
#[derive(Debug)]
pub struct Reference {
    /// The field.
    pub name: &'static str,
    /// All types that a field of this name has in any list.
    pub types: &'static [&'static str],
    /// A peer cannot be deleted without the record (or at all), so the record never changes by that.
    pub bound: bool,
}

/// Makes a reference whose peer cannot be deleted without the record.
#[must_use]
pub const fn bound(name: &'static str, types: &'static [&'static str]) -> Reference {
    Reference { name, types, bound: true }
}

/// Makes a reference that a delete of the peer empties.
#[must_use]
pub const fn loose(name: &'static str, types: &'static [&'static str]) -> Reference {
    Reference { name, types, bound: false }
}

/// The models of a system.
#[derive(Debug)]
pub struct Models {
    /// The fields that refer to others, by name.
    pub references: &'static [Reference],
    /// Columns of the record in each list that has a field of the name, separated by spaces.
    pub columns: &'static str,
    /// Names that are a choice in some lists and a reference in others. No reference among them has a `value` or a `label`.
    pub choices_or_references: &'static [&'static str],
    /// The types on which the value of a custom field depends beside the record.
    pub custom_fields: &'static [&'static str],
    /// Applications whose models are unknown.
    pub unknown: &'static [&'static str],
    /// The exceptions: application, list with `-`, segments of the path. None: the tables count.
    pub exceptions: fn(&str, &str, &[&str]) -> Option<Vec<Need>>,
    /// Further needs of a reference: application, list with `-`, name.
    pub further: fn(&str, &str, &str) -> Option<Need>,
}

impl Models {
    /// Returns the needs of a path for being unchanged in records whose own time has not moved.
    #[must_use]
    pub fn needs(&self, resource: &str, path: &str) -> Vec<Need> {
        let (app, list) = resource.trim_matches('/').split_once(['.', '/']).unwrap_or((resource, ""));
        let list = list.replace('_', "-");
        let segments: Vec<&str> = path.split('.').collect();
        match segments.as_slice() {
            ["id" | "url"] => return Vec::new(),
            _ if self.unknown.contains(&app) => return vec![Need::Nothing],
            ["custom_fields", _, "value" | "label" | "id"] => return vec![Need::Unchanged(self.custom_fields)],
            ["custom_fields", ..] => return vec![Need::Unchanged(self.custom_fields), Need::PlainCustomFields],
            [first, "value" | "label"] if self.choices_or_references.contains(first) => return Vec::new(),
            _ => {}
        }
        if let Some(needs) = (self.exceptions)(app, &list, &segments) {
            return needs;
        }
        match segments.as_slice() {
            [first, ..] if self.is_column(first) => Vec::new(),
            [first, inside @ ..] => {
                let Some(reference) = self.reference(first) else { return vec![Need::Nothing] };
                let mut needs = stays(reference);
                needs.extend((self.further)(app, &list, first));
                needs.extend(self.within(reference, inside));
                needs
            }
            [] => vec![Need::Nothing],
        }
    }

    /// Returns the needs of the id of a reference, and of a path inside its object.
    #[must_use]
    pub fn of_reference(&self, reference: &'static Reference, inside: &[&str]) -> Vec<Need> {
        let mut needs = stays(reference);
        needs.extend(self.within(reference, inside));
        needs
    }

    /// Returns whether it is a column of the record.
    #[must_use]
    pub fn is_column(&self, name: &str) -> bool {
        self.columns.split(' ').any(|column| column == name)
    }

    /// Returns whether it is known to be one value: a column, or a reference to one object.
    #[must_use]
    pub(crate) fn is_single(&self, name: &str) -> bool {
        matches!(name, "id" | "url" | "custom_fields") || self.is_column(name) || (name != "tags" && self.reference(name).is_some())
    }

    fn reference(&self, name: &str) -> Option<&'static Reference> {
        self.references.iter().find(|reference| reference.name == name)
    }

    /// Returns the needs of a path inside the object of a reference.
    fn within(&self, reference: &'static Reference, path: &[&str]) -> Vec<Need> {
        match path {
            [] | ["id" | "url"] => Vec::new(),
            [first, ..] if self.is_column(first) => vec![Need::Unchanged(reference.types)],
            [first, rest @ ..] => match self.reference(first) {
                Some(inner) => {
                    let mut needs = vec![Need::Unchanged(reference.types)];
                    needs.extend(stays(inner));
                    needs.extend(self.within(inner, rest));
                    needs
                }
                None => vec![Need::Nothing],
            },
        }
    }
}

/// Returns the needs of the id of a reference.
fn stays(reference: &Reference) -> Vec<Need> {
    if reference.bound { Vec::new() } else { vec![Need::Undeleted(reference.types)] }
}
