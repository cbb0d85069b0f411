//! Checks a kind of the mapping against the destination's schema.

use std::collections::{HashMap, HashSet};

use super::merge::{Field, Kind};
use super::{SchemaField, SchemaKind};
use crate::decode::{Decoder, list_names, suggest};
use crate::problem::Severity;
use crate::project::Project;

/// A schema by name.
pub(super) struct Schema<'s> {
    kinds: &'s [SchemaKind],
    positions: HashMap<&'s str, usize>,
    /// The sync creates objects.
    creates: bool,
}

impl<'s> Schema<'s> {
    pub(super) fn new(kinds: &'s [SchemaKind], project: &Project) -> Self {
        let positions = kinds.iter().enumerate().map(|(position, kind)| (kind.name.as_str(), position)).collect();
        Schema { kinds, positions, creates: project.flags.create }
    }

    pub(super) fn kinds(&self) -> &'s [SchemaKind] {
        self.kinds
    }

    pub(super) fn kind(&self, name: &str) -> Option<&'s SchemaKind> {
        self.positions.get(name).map(|position| &self.kinds[*position])
    }
}

impl Schema<'_> {
    /// Returns whether an object of kind `reference` can be the peer where the destination wants a `peer`.
    fn stands_for(&self, reference: &str, peer: &str) -> bool {
        match self.kind(reference) {
            Some(kind) if !kind.stands_for.is_empty() => kind.stands_for.iter().any(|other| other == peer),
            // The destination does not tell: then only a kind with objects of its own excludes others.
            _ => self.kind(peer).is_none_or(|peer| !peer.can_create),
        }
    }
}

/// Checks a kind; none where the schema does not know it.
pub(super) fn check_kind<'s>(decoder: &mut Decoder<'_>, kind: &Kind<'_>, schema: &Schema<'s>) -> Option<&'s SchemaKind> {
    let Some(described) = schema.kind(kind.name) else {
        let hint = suggest(kind.name, schema.kinds.iter().map(|kind| kind.name.as_str()), "its kinds");
        let message = format!("the destination has no kind `{}`", kind.name);
        decoder.report(Severity::Error, kind.span, format!("{}.name", kind.path), message, hint);
        return None;
    };
    let fields: HashMap<&str, &SchemaField> = described.fields.iter().map(|field| (field.name.as_str(), field)).collect();
    for field in &kind.fields {
        match fields.get(field.name) {
            None => {
                let hint = suggest(field.name, described.fields.iter().map(|field| field.name.as_str()), "its fields");
                let message = format!("the destination's `{}` has no field `{}`", kind.name, field.name);
                decoder.report(Severity::Error, field.span, field.path.clone(), message, hint);
            }
            Some(known) => check_field(decoder, kind, field, known, schema),
        }
    }
    check_mandatory(decoder, kind, described, schema);
    Some(described)
}

fn check_field(decoder: &mut Decoder<'_>, kind: &Kind<'_>, field: &Field<'_>, known: &SchemaField, schema: &Schema<'_>) {
    let name = format!("{}.{}", kind.name, field.name);
    let path = || field.path.clone();
    if known.read_only {
        let message = format!("`{name}` is read-only in the destination: it is neither compared nor written");
        decoder.report(Severity::Warning, field.span, path(), message, Some("remove it from the mapping".to_owned()));
    }
    for reference in &field.references {
        let (kind, path) = (reference.kind, reference.path.clone());
        let fits = |peer: &String| *peer == kind || reference.generic == Some(peer) || schema.stands_for(kind, peer);
        match known.references.first() {
            None => {
                let message = format!("`{name}` refers to `{kind}`, but it is not a reference in the destination");
                decoder.error_hint(reference.span, path, message, "remove `reference`, and map a plain value");
            }
            Some(peer) if !known.references.iter().any(fits) => {
                let wanted = known.references.iter().map(|peer| format!("`{peer}`")).collect::<Vec<_>>().join(" or ");
                let message = format!("`{name}` refers to `{kind}`, but the destination wants a {wanted} there");
                let generic = schema.kind(peer).is_some_and(|peer| !peer.can_create);
                let hint = if generic {
                    format!("name a kind whose objects the destination takes for a `{peer}`")
                } else {
                    format!("write `reference: {peer}`")
                };
                decoder.error_hint(reference.span, path, message, hint);
            }
            Some(_) => {}
        }
    }
}

/// Reports mandatory fields without a value: they make every create fail.
fn check_mandatory(decoder: &mut Decoder<'_>, kind: &Kind<'_>, described: &SchemaKind, schema: &Schema<'_>) {
    if !schema.creates || !described.can_create {
        return;
    }
    let mandatory: Vec<&str> =
        described.fields.iter().filter(|field| !field.optional && !field.read_only).map(|field| field.name.as_str()).collect();
    let is_given = |name: &str| kind.field(name).is_some_and(Field::is_given);
    let nowhere: HashSet<&str> = mandatory.iter().copied().filter(|name| !is_given(name)).collect();
    if !nowhere.is_empty() {
        let names = list_names(mandatory.iter().copied().filter(|name| nowhere.contains(name)));
        let message = format!("the destination cannot create a `{}` without {names}", kind.name);
        let hint = "map them, give them a `static` value, or never create: `diffsync_flags: [SKIP_UNMATCHED_SRC, SKIP_UNMATCHED_DST]`";
        decoder.error_hint(kind.span, format!("{}.fields", kind.path), message, hint);
    }
    for (span, path, fields) in &kind.mappings {
        let missing: Vec<&str> = mandatory.iter().copied().filter(|name| !nowhere.contains(name) && !fields.contains(name)).collect();
        if !missing.is_empty() {
            let names = list_names(missing);
            let message = format!("this mapping of `{}` gives no {names}, without which no object can be created", kind.name);
            decoder.report(Severity::Warning, *span, format!("{path}.fields"), message, None);
        }
    }
}
