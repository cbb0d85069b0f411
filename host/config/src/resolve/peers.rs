//! The kinds that references lead to: mapped ones, those that stand for a generic kind, and those that only the destination has.

use std::collections::HashSet;

use infrahub_sync_core::model::{FieldModel, KindModel, Ownership};

use super::merge::{Field, Kind, Reference};
use super::schema::Schema;
use super::{SchemaField, SchemaKind};
use crate::decode::{Decoder, list_names, suggest};
use crate::problem::{Problem, Severity};
use crate::project::{Project, in_file_order};

/// The most kinds that a reference may mean by one generic kind if the project maps none of them: all of them are read.
const UNMAPPED_MAX: usize = 12;

/// Finds the kinds of all references. Returns the names of those that are not mapped.
///
/// Without a schema, references keep the names that the project gives.
pub(super) fn settle<'p>(decoder: &mut Decoder<'_>, kinds: &mut [Kind<'p>], schema: Option<&Schema<'p>>) -> Vec<&'p str> {
    let mapped: Vec<&'p str> = kinds.iter().map(|kind| kind.name).collect();
    let Some(schema) = schema else {
        unknown(decoder, kinds, &mapped);
        return Vec::new();
    };
    let mut peers = Peers { schema, mapped, unmapped: Vec::new() };
    for kind in kinds {
        let described = schema.kind(kind.name);
        let name = kind.name;
        for field in &mut kind.fields {
            if field.references.is_empty() {
                let known = described.and_then(|kind| kind.fields.iter().find(|known| known.name == field.name));
                peers.by_schema(decoder, name, field, known);
            }
            let mut found: Vec<Reference<'p>> = Vec::with_capacity(field.references.len());
            for reference in std::mem::take(&mut field.references) {
                peers.expand(decoder, name, field.name, reference, &mut found);
            }
            field.references = found;
        }
    }
    peers.unmapped
}

/// Notes the references whose kinds are not mapped: without a schema nothing more is known of them.
fn unknown(decoder: &mut Decoder<'_>, kinds: &[Kind<'_>], mapped: &[&str]) {
    for kind in kinds {
        for field in &kind.fields {
            for reference in field.references.iter().filter(|reference| !mapped.contains(&reference.kind)) {
                let path = format!("{}.reference", reference.path);
                let message = format!(
                    "`{}.{}` refers to `{}`, which is not mapped: a run looks up its objects in the destination",
                    kind.name, field.name, reference.kind
                );
                decoder.report(Severity::Warning, reference.span, path, message, hint(reference, mapped));
            }
        }
    }
}

fn hint(reference: &Reference<'_>, mapped: &[&str]) -> Option<String> {
    crate::problem::nearest(reference.kind, mapped.iter().copied()).map(|near| format!("did you mean `{near}`?"))
}

/// Returns the references of a project to kinds that it does not map, as errors: of a destination without a schema it is unknown how to look up
/// their objects.
#[must_use]
pub fn unmapped_references(project: &Project) -> Vec<Problem> {
    let mut decoder = Decoder::new(&project.document);
    let kinds = super::merge::kinds(project);
    let mapped: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
    for kind in &kinds {
        for field in &kind.fields {
            for reference in field.references.iter().filter(|reference| !mapped.contains(&reference.kind)) {
                let message = format!(
                    "`{}.{}` refers to `{}`, which is not mapped, and the destination has no schema by which to look up its objects",
                    kind.name, field.name, reference.kind
                );
                let hint = hint(reference, &mapped).unwrap_or_else(|| format!("map `{}`, or take the field out", reference.kind));
                decoder.error_hint(reference.span, format!("{}.reference", reference.path), message, hint);
            }
        }
    }
    in_file_order(decoder.problems)
}

struct Peers<'s, 'p> {
    schema: &'s Schema<'p>,
    /// The kinds that are synced.
    mapped: Vec<&'p str>,
    /// The others that are referred to.
    unmapped: Vec<&'p str>,
}

impl<'p> Peers<'_, 'p> {
    /// Takes a field that is a reference in the destination's schema, and not in the mapping, as a reference to what the schema names.
    fn by_schema(&mut self, decoder: &mut Decoder<'_>, kind: &str, field: &mut Field<'p>, known: Option<&'p SchemaField>) {
        let Some(known) = known.filter(|known| !known.references.is_empty()) else { return };
        let names = known.references.iter().map(|peer| format!("`{peer}`")).collect::<Vec<_>>().join(" or ");
        let message = format!("`{kind}.{}` is a reference to {names} in the destination; its value is taken as one", field.name);
        let hint = match known.references.as_slice() {
            [one] => format!("add `reference: {one}`"),
            several => format!("add `reference: [{}]`", several.join(", ")),
        };
        decoder.report(Severity::Warning, field.span, field.path.clone(), message, Some(hint));
        let (span, path) = (field.span, &field.path);
        field.references = known.references.iter().map(|kind| Reference { kind, span, path: path.clone(), generic: None }).collect();
    }

    /// Adds the kinds that one reference of the project means.
    fn expand(&mut self, decoder: &mut Decoder<'_>, kind: &str, field: &str, reference: Reference<'p>, found: &mut Vec<Reference<'p>>) {
        let peer = reference.kind;
        match self.kinds_of(peer) {
            Ok(kinds) => {
                for name in kinds {
                    if found.iter().any(|known| known.kind == name) {
                        continue;
                    }
                    let generic = (name != peer).then_some(peer);
                    found.push(Reference { kind: name, span: reference.span, path: reference.path.clone(), generic });
                }
            }
            Err(Unfit::Unknown) => {
                let names = self.schema.kinds().iter().map(|kind| kind.name.as_str());
                let hint = suggest(peer, self.mapped.iter().copied().chain(names), "its kinds");
                let message = format!("`{kind}.{field}` refers to `{peer}`, which is neither mapped nor a kind of the destination");
                decoder.report(Severity::Error, reference.span, format!("{}.reference", reference.path), message, hint);
            }
            Err(Unfit::TooMany(members)) => {
                let message = format!(
                    "`{kind}.{field}` refers to `{peer}`, for which {} kinds of the destination stand, none of them mapped",
                    members.len()
                );
                let names = list_names(members.iter().copied().take(5));
                let hint = format!("map the kinds that are meant, or name them (`reference: [A, B]`): {names}, …");
                decoder.error_hint(reference.span, format!("{}.reference", reference.path), message, hint);
            }
        }
    }

    /// Returns the kinds that a name means: itself, or the kinds that stand for it.
    fn kinds_of(&mut self, peer: &'p str) -> Result<Vec<&'p str>, Unfit<'p>> {
        if self.mapped.contains(&peer) {
            return Ok(vec![peer]);
        }
        let stands_for = |kind: &SchemaKind| kind.stands_for.iter().any(|other| other == peer);
        let known = self.schema.kind(peer);
        // Of a kind with objects of its own these are meant, whatever else may stand for it.
        if known.is_none_or(|known| !known.can_create) {
            let members: Vec<&str> = self.mapped.iter().copied().filter(|name| self.schema.kind(name).is_some_and(stands_for)).collect();
            if !members.is_empty() {
                return Ok(members);
            }
            let members = self.schema.kinds().iter().filter(|kind| kind.can_create && stands_for(kind)).map(|kind| kind.name.as_str());
            let members: Vec<&str> = members.collect();
            if members.len() > UNMAPPED_MAX {
                return Err(Unfit::TooMany(members));
            }
            if !members.is_empty() {
                members.iter().copied().for_each(|member| self.note(member));
                return Ok(members);
            }
        }
        known.ok_or(Unfit::Unknown)?;
        self.note(peer);
        Ok(vec![peer])
    }

    fn note(&mut self, peer: &'p str) {
        if !self.unmapped.contains(&peer) {
            self.unmapped.push(peer);
        }
    }
}

/// Why a name means no kind.
enum Unfit<'p> {
    /// The destination has no such kind.
    Unknown,
    /// These kinds stand for it.
    TooMany(Vec<&'p str>),
}

/// Returns the models of the kinds that are not mapped: their identifiers, by the destination's schema. A kind among the identifiers of another
/// is one of them too.
pub(super) fn lookups<'p>(
    decoder: &mut Decoder<'_>,
    kinds: &[Kind<'p>],
    schema: Option<&Schema<'p>>,
    unmapped: Vec<&'p str>,
) -> Vec<KindModel> {
    let Some(schema) = schema else { return Vec::new() };
    let mut peers = Peers { schema, mapped: kinds.iter().map(|kind| kind.name).collect(), unmapped };
    let mut models = Vec::new();
    let mut at = 0;
    while let Some(name) = peers.unmapped.get(at).copied() {
        at += 1;
        let Some(described) = schema.kind(name) else { continue };
        let identifiers = identifiers(described);
        let mut fields = Vec::with_capacity(identifiers.len());
        for identifier in &identifiers {
            let Some(known) = described.fields.iter().find(|field| field.name == *identifier) else { continue };
            let mut references: HashSet<&str> = HashSet::new();
            let mut named: Vec<String> = Vec::new();
            for peer in &known.references {
                let kinds = peers.kinds_of(peer).unwrap_or_default();
                named.extend(kinds.into_iter().filter(|kind| references.insert(*kind)).map(str::to_owned));
            }
            let mut named = named.into_iter();
            fields.push(FieldModel {
                name: identifier.clone(),
                field_type: known.field_type,
                optional: known.optional,
                reference: named.next(),
                also: named.collect(),
                cardinality: known.cardinality,
                default: None,
                ownership: Ownership::Usual,
            });
        }
        if fields.is_empty() || fields.len() < identifiers.len() {
            unidentified(decoder, kinds, name);
        }
        models.push(KindModel {
            name: name.to_owned(),
            identifiers,
            tier: 0,
            deferred: Vec::new(),
            lookup: true,
            unique: Vec::new(),
            fields,
        });
    }
    models
}

/// Returns the identifiers of a kind by its schema: its natural key, else its first unique attribute.
fn identifiers(kind: &SchemaKind) -> Vec<String> {
    if !kind.identifiers.is_empty() {
        return kind.identifiers.clone();
    }
    let unique = kind.fields.iter().find(|field| field.unique && field.references.is_empty());
    unique.map(|field| field.name.clone()).into_iter().collect()
}

/// Reports a kind whose objects have no known identifiers, at the first reference to it.
fn unidentified(decoder: &mut Decoder<'_>, kinds: &[Kind<'_>], name: &str) {
    let mut references = kinds.iter().flat_map(|kind| kind.fields.iter().map(move |field| (kind, field)));
    let first = references.find_map(|(kind, field)| Some((kind, field, field.references.iter().find(|known| known.kind == name)?)));
    let Some((kind, field, reference)) = first else { return };
    let message = format!(
        "`{}.{}` refers to `{name}`, which is not mapped, and the destination's schema does not say what identifies its objects",
        kind.name, field.name
    );
    let hint = format!("map `{name}`, with `identifiers: […]`");
    decoder.error_hint(reference.span, format!("{}.reference", reference.path), message, hint);
}
