//! From the project (and the destination's schema) to the model of the sync.
//!
//! Key types: [`SchemaKind`] (what a destination says about one of its kinds) and [`resolve`], which merges the mappings of each
//! kind, gives its fields the schema's types, picks its identifiers and computes the write order. Everything that does not fit is
//! reported in one go, at its place in `config.yml`.

mod merge;
mod order;
mod ownership;
mod peers;
mod schema;

use std::collections::HashMap;

use infrahub_sync_core::model::{Cardinality, FieldModel, FieldType, KindModel, Model};

use crate::decode::{Decoder, list_names};
use crate::problem::{Problem, Severity};
use crate::project::{Project, in_file_order};
use merge::Kind;
use order::{Edge, Strength};
pub use peers::unmapped_references;

/// A kind as the destination's schema describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaKind {
    /// The kind's name.
    pub name: String,
    /// The fields of the natural key, in order; empty where the schema does not tell.
    pub identifiers: Vec<String>,
    /// Every field, mapped or not.
    pub fields: Vec<SchemaField>,
    /// Further kinds that a reference may name and be given an object of this one.
    pub stands_for: Vec<String>,
    /// Sets of fields whose values together no two objects have, unless one of the values is null.
    pub unique_together: Vec<Vec<String>>,
    /// Objects can be created. False for a kind that has no objects of its own (a generic).
    pub can_create: bool,
    /// Objects can be changed.
    pub can_update: bool,
    /// Objects can be deleted.
    pub can_delete: bool,
}

/// A field as the destination's schema describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaField {
    /// The field's name.
    pub name: String,
    /// The type of its values (of no meaning for references).
    pub field_type: FieldType,
    /// May be null or absent.
    pub optional: bool,
    /// No two objects have the same value.
    pub unique: bool,
    /// Never written, never compared.
    pub read_only: bool,
    /// The kinds of its peers, for a reference.
    pub references: Vec<String>,
    /// How many peers, for a reference.
    pub cardinality: Cardinality,
    /// The value that the destination sets when it receives none.
    pub default: Option<serde_json::Value>,
}

/// A model, and what was odd on the way to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The model.
    pub model: Model,
    /// Warnings: deferred fields, read-only fields, fields that only some mappings of a kind give.
    pub warnings: Vec<Problem>,
}

/// Builds the model of a sync; `schema` is the destination's, where it has one.
///
/// Without a schema every field is of type `any` and optional, and identifiers must be in the mapping. Read-only fields are left
/// out of the model (with a warning), unless they identify: they are neither compared nor written. Kinds that are referred to and not mapped
/// follow the mapped ones, if the schema has them.
///
/// # Errors
///
/// Every way in which the mapping does not fit itself or the schema, in the order of the file.
pub fn resolve(project: &Project, schema: Option<&[SchemaKind]>) -> Result<Resolved, Vec<Problem>> {
    resolve_with(project, schema, Severity::Error)
}

/// As [`resolve`], without any system: whatever only the destination's schema can tell is a note. A kind may have no identifiers then.
///
/// # Errors
///
/// As there.
pub fn resolve_offline(project: &Project) -> Result<Resolved, Vec<Problem>> {
    resolve_with(project, None, Severity::Warning)
}

/// `unidentified`: what a kind without identifiers is, where there is no schema.
fn resolve_with(project: &Project, schema: Option<&[SchemaKind]>, unidentified: Severity) -> Result<Resolved, Vec<Problem>> {
    let mut decoder = Decoder::new(&project.document);
    let schema = schema.map(|kinds| schema::Schema::new(kinds, project));
    let mut merged = merge::kinds(project);
    let unmapped = peers::settle(&mut decoder, &mut merged, schema.as_ref());
    let mut kinds: Vec<KindModel> = merged.iter().map(|kind| kind_model(&mut decoder, kind, schema.as_ref(), unidentified)).collect();
    kinds.extend(peers::lookups(&mut decoder, &merged, schema.as_ref(), unmapped));
    let mut model = Model { kinds };
    if project.order.is_empty() {
        computed_order(&mut decoder, &merged, &mut model);
    } else {
        given_order(&mut decoder, project, &merged, &mut model);
    }
    let problems = in_file_order(decoder.problems);
    if problems.iter().any(Problem::is_error) { Err(problems) } else { Ok(Resolved { model, warnings: problems }) }
}

/// Returns a kind without its place in the write order.
fn kind_model(decoder: &mut Decoder<'_>, kind: &Kind<'_>, schema: Option<&schema::Schema<'_>>, unidentified: Severity) -> KindModel {
    let described = schema.map(|schema| schema::check_kind(decoder, kind, schema));
    let from_schema = described.flatten();
    let identifiers = identifiers(decoder, kind, from_schema, Some(unidentified).filter(|_| schema.is_none()));
    let by_name: HashMap<&str, &SchemaField> =
        from_schema.iter().flat_map(|kind| &kind.fields).map(|field| (field.name.as_str(), field)).collect();
    let mut fields = Vec::with_capacity(kind.fields.len());
    for field in &kind.fields {
        let known = by_name.get(field.name).copied();
        if known.is_some_and(|known| known.read_only) && !identifiers.iter().any(|name| name == field.name) {
            continue;
        }
        fields.push(FieldModel {
            name: field.name.to_owned(),
            field_type: known.map_or(FieldType::Any, |known| known.field_type),
            optional: known.is_none_or(|known| known.optional),
            reference: field.references.first().map(|first| first.kind.to_owned()),
            also: field.references.iter().skip(1).map(|further| further.kind.to_owned()).collect(),
            cardinality: known.map_or(Cardinality::Unknown, |known| known.cardinality),
            default: known.and_then(|known| known.default.clone()),
            ownership: ownership::of_field(decoder, kind, field, known, identifiers.iter().any(|name| name == field.name)),
        });
    }
    let alone = fields.iter().filter(|field| by_name.get(field.name.as_str()).is_some_and(|known| known.unique));
    let alone = alone.map(|field| vec![field.name.clone()]);
    let unique = alone.chain(from_schema.into_iter().flat_map(|known| known.unique_together.iter().cloned())).collect();
    KindModel { name: kind.name.to_owned(), identifiers, tier: 0, deferred: Vec::new(), lookup: false, unique, fields }
}

/// Returns the natural key: the mapping's, else the schema's unique mapped attributes, else the schema's own key.
///
/// `unidentified`: what it is that there is no schema; none where there is one.
fn identifiers(decoder: &mut Decoder<'_>, kind: &Kind<'_>, schema: Option<&SchemaKind>, unidentified: Option<Severity>) -> Vec<String> {
    if let Some(identifiers) = kind.identifiers {
        return identifiers.to_vec();
    }
    let is_mapped = |name: &str| kind.field(name).is_some();
    let Some(described) = schema else {
        // A kind that the schema does not know has been reported already.
        let path = format!("{}.identifiers", kind.path);
        match unidentified {
            None => {}
            Some(Severity::Warning) => {
                let message = format!("`{}` has no `identifiers`: a run takes the unique fields of the destination's schema", kind.name);
                decoder.report(Severity::Warning, kind.span, path, message, None);
            }
            Some(Severity::Error) => {
                let message = format!("`{}` has no identifiers, and there is no schema that could tell them", kind.name);
                let names = list_names(kind.fields.iter().map(|field| field.name));
                let hint = format!("name the fields of its natural key: `identifiers: […]`; its fields are {names}");
                decoder.error_hint(kind.span, path, message, hint);
            }
        }
        return Vec::new();
    };
    let unique = described.fields.iter().filter(|field| field.unique && field.references.is_empty() && is_mapped(&field.name));
    let unique: Vec<String> = unique.map(|field| field.name.clone()).collect();
    if !unique.is_empty() {
        return unique;
    }
    let own = &described.identifiers;
    if !own.is_empty() && own.iter().all(|name| is_mapped(name)) {
        return own.clone();
    }
    let message = format!("`{}` has no identifiers, and none of its mapped fields is unique in the schema", kind.name);
    let missing: Vec<&str> = own.iter().map(String::as_str).filter(|name| !is_mapped(name)).collect();
    let hint = if missing.is_empty() {
        "name the fields of its natural key: `identifiers: […]`".to_owned()
    } else {
        format!("give `identifiers: […]`, or map {}, which the schema identifies it by", list_names(missing))
    };
    decoder.error_hint(kind.span, format!("{}.identifiers", kind.path), message, hint);
    Vec::new()
}

/// A reference between two kinds of the model: kind, field and peer by position.
struct Reference {
    kind: usize,
    field: usize,
    peer: usize,
}

/// Returns the references to other kinds of the model, and to none but those. Kinds that are only looked up are there already: they count where
/// they identify.
fn references(model: &Model) -> Vec<Reference> {
    let positions: HashMap<&str, usize> = model.kinds.iter().enumerate().map(|(position, kind)| (kind.name.as_str(), position)).collect();
    let mut references = Vec::new();
    for (kind, described) in model.kinds.iter().enumerate() {
        for (field, known) in described.fields.iter().enumerate() {
            let counts = |peer: &&usize| !model.kinds[**peer].lookup || is_identifier(described, &known.name);
            let peers = known.peers().filter_map(|peer| positions.get(peer)).filter(counts);
            references.extend(peers.map(|&peer| Reference { kind, field, peer }).filter(|reference| reference.peer != kind));
        }
    }
    references
}

fn is_identifier(kind: &KindModel, field: &str) -> bool {
    kind.identifiers.iter().any(|identifier| identifier == field)
}

/// Tiers from the references.
fn computed_order(decoder: &mut Decoder<'_>, merged: &[Kind<'_>], model: &mut Model) {
    let references = references(model);
    let strength = |reference: &Reference| {
        let kind = &model.kinds[reference.kind];
        let field = &kind.fields[reference.field];
        match field.optional {
            _ if is_identifier(kind, &field.name) => Strength::Identifier,
            true => Strength::Optional,
            false => Strength::Mandatory,
        }
    };
    let edges: Vec<Edge> =
        references.iter().map(|reference| Edge { from: reference.kind, to: reference.peer, strength: strength(reference) }).collect();
    match order::tiers(model.kinds.len(), &edges) {
        Ok(found) => {
            for (kind, tier) in model.kinds.iter_mut().zip(found.tiers) {
                kind.tier = tier;
            }
            for index in found.deferred {
                let mandatory = edges[index].strength == Strength::Mandatory;
                let reason = if mandatory { ", although the schema wants a value from the start" } else { "" };
                let text = |field: &str, peer: &str| {
                    format!("`{field}` closes a cycle: it is written in a second pass, after `{peer}` exists{reason}")
                };
                defer(decoder, merged, model, &references[index], text);
            }
        }
        Err(cycle) => {
            let steps = cycle.iter().map(|index| {
                let reference = &references[*index];
                let kind = &model.kinds[reference.kind];
                format!("{}.{}", kind.name, kind.fields[reference.field].name)
            });
            let mut steps: Vec<String> = steps.collect();
            if let Some(first) = cycle.first() {
                steps.push(model.kinds[references[*first].kind].name.clone());
            }
            // Kinds that are only looked up have no place in the file.
            let named = cycle.iter().map(|index| &references[*index]).find_map(|reference| Some((reference, merged.get(reference.kind)?)));
            let Some((start, kind)) = named.or_else(|| Some((references.first()?, merged.first()?))) else { return };
            let message = format!("these identifiers form a cycle: {}", steps.join(" → "));
            let field = kind.field(&model.kinds[start.kind].fields[start.field].name);
            let (span, path) = field.map_or((kind.span, kind.path.clone()), |field| (field.span, field.path.clone()));
            decoder.error_hint(span, path, message, "take one of these fields out of its kind's `identifiers`");
        }
    }
}

/// Sets the tiers of an explicit `order`: one per kind.
fn given_order(decoder: &mut Decoder<'_>, project: &Project, merged: &[Kind<'_>], model: &mut Model) {
    let positions: HashMap<&str, usize> = project.order.iter().enumerate().map(|(at, kind)| (kind.as_str(), at)).collect();
    for kind in &mut model.kinds {
        let position = positions.get(kind.name.as_str()).copied().unwrap_or_default();
        kind.tier = u32::try_from(position).unwrap_or(u32::MAX);
    }
    for reference in references(model) {
        let (kind, peer) = (&model.kinds[reference.kind], &model.kinds[reference.peer]);
        if peer.tier < kind.tier || peer.lookup || kind.lookup {
            continue;
        }
        let field = &kind.fields[reference.field];
        if is_identifier(kind, &field.name) {
            let at = &merged[reference.kind];
            let (span, path) = at.field(&field.name).map_or((at.span, at.path.clone()), |field| (field.span, field.path.clone()));
            let (kind, peer) = (&kind.name, &peer.name);
            let message = format!("`{kind}.{}` identifies `{kind}` and refers to `{peer}`, which `order` writes later", field.name);
            decoder.error_hint(span, path, message, format!("put `{peer}` before `{kind}` in `order`, or remove `order`"));
            continue;
        }
        let text =
            |field: &str, peer: &str| format!("`{field}` refers to `{peer}`, which `order` writes later: it is written in a second pass");
        defer(decoder, merged, model, &reference, text);
    }
}

/// Notes a field for the second pass and says so; `text` gets `Kind.field` and the peer.
fn defer(decoder: &mut Decoder<'_>, merged: &[Kind<'_>], model: &mut Model, reference: &Reference, text: impl Fn(&str, &str) -> String) {
    let peer = model.kinds[reference.peer].name.clone();
    let kind = &mut model.kinds[reference.kind];
    let field = kind.fields[reference.field].name.clone();
    // Of its kinds one is enough: the field waits as a whole.
    if kind.deferred.contains(&field) {
        return;
    }
    let at = &merged[reference.kind];
    let (span, path) = match at.field(&field) {
        Some(field) => match field.references.iter().find(|known| known.kind == peer) {
            Some(named) => (named.span, named.path.clone()),
            None => (field.span, field.path.clone()),
        },
        None => (at.span, at.path.clone()),
    };
    decoder.report(Severity::Warning, span, path, text(&format!("{}.{field}", kind.name), &peer), None);
    kind.deferred.push(field);
}

#[cfg(test)]
mod tests;
