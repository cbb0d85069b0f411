//! Look-ups in targets: a kind of the project and its place in the system.

use crate::{Error, Result, Target, TargetField};

impl Target {
    /// Makes a target without fields, of a system that is addressed by kind. For tests, and for lists that the adapter reads for itself.
    pub fn new(kind: &str) -> Target {
        Target { kind: kind.into(), resource: None, fields: Vec::new() }
    }

    /// Sets the list or resource that holds its objects.
    #[must_use]
    pub fn with_resource(mut self, resource: &str) -> Target {
        self.resource = Some(resource.into());
        self
    }

    /// Adds a field.
    #[must_use]
    pub fn with_field(mut self, field: TargetField) -> Target {
        self.fields.push(field);
        self
    }

    /// Returns the resource; the kind, where the system is addressed by kind.
    #[must_use]
    pub fn resource_or_kind(&self) -> &str {
        self.resource.as_deref().unwrap_or(&self.kind)
    }

    /// Returns the field with that name in the model.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&TargetField> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Returns the field, which the rows of a write always have in their target.
    ///
    /// # Errors
    /// `internal` when it is not there: the host sent a row that does not fit its target.
    pub fn known_field(&self, name: &str) -> Result<&TargetField> {
        self.field(name).ok_or_else(|| Error::internal(format!("the target `{}` has no field `{name}`", self.kind)))
    }

    /// Returns the fields that are read at that path. A path may feed several fields.
    pub fn fields_at<'t>(&'t self, path: &'t str) -> impl Iterator<Item = &'t TargetField> {
        self.fields.iter().filter(move |field| field.read_path() == path)
    }

    /// Returns the fields of the natural key, in the order of the key.
    pub fn identifiers(&self) -> impl Iterator<Item = &TargetField> {
        self.fields.iter().filter(|field| field.identifier)
    }
}

impl TargetField {
    /// Makes a field of plain values that is at its own name. For tests.
    pub fn new(name: &str) -> TargetField {
        TargetField { name: name.into(), path: None, peers: Vec::new(), many: false, identifier: false }
    }

    /// Sets the path at which it is read.
    #[must_use]
    pub fn at(mut self, path: &str) -> TargetField {
        self.path = Some(path.into());
        self
    }

    /// Makes it a reference to objects of these kinds.
    #[must_use]
    pub fn referring_to(mut self, kinds: &[&str]) -> TargetField {
        self.peers = kinds.iter().map(|kind| (*kind).into()).collect();
        self
    }

    /// Makes it a set of references.
    #[must_use]
    pub fn many(mut self) -> TargetField {
        self.many = true;
        self
    }

    /// Makes it a part of the natural key.
    #[must_use]
    pub fn identifying(mut self) -> TargetField {
        self.identifier = true;
        self
    }

    /// Says whether it is a reference, or a set of references.
    #[must_use]
    pub fn is_reference(&self) -> bool {
        !self.peers.is_empty()
    }

    /// Returns the dotted path at which the field is read: the mapping's, or its name.
    #[must_use]
    pub fn read_path(&self) -> &str {
        self.path.as_deref().unwrap_or(&self.name)
    }

    /// Returns the first segment of the path (`status` of `status.value`) and the rest, if any: many systems take the value at the first one.
    #[must_use]
    pub fn split_path(&self) -> (&str, Option<&str>) {
        match self.read_path().split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (self.read_path(), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name_and_by_path() {
        let target = Target::new("Device")
            .with_resource("dcim.devices")
            .with_field(TargetField::new("name").identifying())
            .with_field(TargetField::new("state").at("status.value"))
            .with_field(TargetField::new("location").at("site").referring_to(&["Site", "Room"]));
        assert_eq!(target.resource_or_kind(), "dcim.devices");
        assert_eq!(Target::new("Device").resource_or_kind(), "Device");
        assert_eq!(target.field("state").map(TargetField::split_path), Some(("status", Some("value"))));
        assert_eq!(target.fields_at("site").map(|field| field.name.as_str()).collect::<Vec<_>>(), ["location"]);
        assert_eq!(target.fields_at("name").count(), 1, "without a path the name stands for it");
        assert_eq!(target.identifiers().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["name"]);
        assert!(target.field("location").is_some_and(TargetField::is_reference) && !target.fields[0].is_reference());
        assert!(target.known_field("nope").is_err_and(|error| error.message.contains("`nope`")));
    }
}
