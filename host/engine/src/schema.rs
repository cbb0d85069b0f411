//! The model that a run uses: from the destination's schema and the mapping, checked against `generate`'s file where there is one.

use std::collections::{BTreeMap, HashMap, HashSet};

use infrahub_sync_config::{
    Generated, Problem, Project, SchemaField, SchemaKind, mapping_hash, resolve, schema_hash, schema_kind_hashes, schema_sub_hash,
    unmapped_references,
};
use infrahub_sync_core::model::{Cardinality, FieldType, Model};
use infrahub_sync_runtime as runtime;

use crate::cascades::Cascading;
use crate::system::System;
use crate::{EngineError, Events, targets};

/// A model and the hashes of what it was made from.
pub(crate) struct Resolved {
    pub(crate) model: Model,
    pub(crate) mapping_hash: String,
    pub(crate) schema_hash: String,
    /// The parts of [`schema_hash`](Self::schema_hash), by kind.
    pub(crate) kind_hashes: BTreeMap<String, String>,
    /// The kinds whose deletes take others along.
    pub(crate) cascading: Cascading,
}

impl Resolved {
    /// Returns the text of `schema-sub-hash.txt`.
    pub(crate) fn sub_hash(&self) -> String {
        schema_sub_hash(&self.mapping_hash, &self.schema_hash)
    }
}

/// Resolves the model live.
pub(crate) async fn live(project: &Project, destination: &dyn System, events: &dyn Events) -> Result<Resolved, EngineError> {
    let knows_kinds = destination.manifest().schema;
    let targets = targets::of_project(project, destination.manifest());
    let mut kinds = if knows_kinds { destination.kinds(&targets).await? } else { Vec::new() };
    // The right name for a kind that the destination does not know is to be found among its other kinds.
    let known: HashSet<String> = kinds.iter().map(|kind| kind.name.clone()).collect();
    let is_unknown = |name: &str| !known.contains(name);
    let by_kind = destination.manifest().destination == Some(runtime::Addressing::Kind);
    if knows_kinds && (targets.iter().any(|target| is_unknown(&target.kind)) || (by_kind && refers_beyond(project, &kinds))) {
        // What was said of the targets stays: it knows which fields the project uses.
        let mut all = destination.kinds(&[]).await?;
        all.retain(|kind| is_unknown(&kind.name));
        kinds.extend(all);
    }
    let kinds = merged(kinds);
    let cascading = Cascading::of(&kinds);
    // An adapter that has no schema to show answers with nothing: the mapping alone gives the shapes.
    let schema: Option<Vec<SchemaKind>> = (!kinds.is_empty()).then(|| kinds.into_iter().map(schema_kind).collect());
    if schema.is_none() {
        let unmapped = unmapped_references(project);
        if !unmapped.is_empty() {
            return Err(EngineError::Project(unmapped));
        }
    }
    let resolved = resolve(project, schema.as_deref()).map_err(EngineError::Project)?;
    for warning in &resolved.warnings {
        events.warn(&one_line(warning));
    }
    let schema_hash = schema_hash(&resolved.model, schema.as_deref());
    let kind_hashes = schema_kind_hashes(&resolved.model, schema.as_deref());
    Ok(Resolved { model: resolved.model, mapping_hash: mapping_hash(project), schema_hash, kind_hashes, cascading })
}

/// Returns whether references lead to kinds that the project does not map: then all kinds matter, since some may stand for those.
fn refers_beyond(project: &Project, kinds: &[runtime::Kind]) -> bool {
    let is_mapped = |name: &String| project.schema_mapping.iter().any(|mapping| mapping.name == *name);
    project.schema_mapping.iter().any(|mapping| {
        let described = kinds.iter().find(|kind| kind.name == mapping.name);
        mapping.fields.iter().any(|field| match field.references.as_slice() {
            // The destination may know it as a reference.
            [] => {
                let known = described.and_then(|kind| kind.fields.iter().find(|known| known.name == field.name));
                known.is_some_and(|known| !known.references.iter().all(is_mapped))
            }
            named => !named.iter().all(is_mapped),
        })
    })
}

/// Returns the model of a run: the generated one if it is there and fits, else the live one, with a word about it.
pub(crate) async fn of_run(project: &Project, destination: &dyn System, events: &dyn Events) -> Result<Resolved, EngineError> {
    let live = live(project, destination, events).await?;
    let path = project.directory.join(infrahub_sync_config::GENERATED_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(live),
        Err(source) => return Err(EngineError::File { path: path.display().to_string(), source }),
    };
    let generated = Generated::parse(&text, &path).map_err(EngineError::Project)?;
    if generated.mapping_hash == live.mapping_hash && generated.schema_hash == live.schema_hash {
        return Ok(Resolved { model: with_unique(generated.model, &live.model), ..live });
    }
    let what = if generated.mapping_hash == live.mapping_hash { "the destination's schema" } else { "the mapping" };
    events.warn(&format!(
        "{} is stale: {what} has changed since; this run uses the current one. Refresh it with `infrahub-sync generate`",
        path.display()
    ));
    Ok(live)
}

/// Returns a generated model with the unique fields of the live one, which the file does not have.
fn with_unique(mut model: Model, live: &Model) -> Model {
    for kind in &mut model.kinds {
        if let Some((_, live)) = live.kind(&kind.name) {
            kind.unique.clone_from(&live.unique);
        }
    }
    model
}

pub(crate) fn one_line(problem: &Problem) -> String {
    match &problem.hint {
        Some(hint) => format!("{} ({hint})", problem.message),
        None => problem.message.clone(),
    }
}

/// Joins what a system says of the lists of one kind. An adapter may name a million kinds and fields, so this takes time in proportion.
fn merged(kinds: Vec<runtime::Kind>) -> Vec<runtime::Kind> {
    let mut merged: Vec<runtime::Kind> = Vec::with_capacity(kinds.len());
    let mut places: HashMap<String, usize> = HashMap::with_capacity(kinds.len());
    // The names of the fields of kinds that were named twice.
    let mut names: HashMap<usize, HashSet<String>> = HashMap::new();
    for kind in kinds {
        let Some(place) = places.get(&kind.name) else {
            places.insert(kind.name.clone(), merged.len());
            merged.push(kind);
            continue;
        };
        let Some(known) = merged.get_mut(*place) else { continue };
        let there = names.entry(*place).or_insert_with(|| known.fields.iter().map(|field| field.name.clone()).collect());
        // A name that one list has twice stays twice: the check of the schema sees it.
        let new: Vec<runtime::Field> = kind.fields.into_iter().filter(|field| !there.contains(&field.name)).collect();
        there.extend(new.iter().map(|field| field.name.clone()));
        known.fields.extend(new);
    }
    merged
}

fn schema_kind(kind: runtime::Kind) -> SchemaKind {
    SchemaKind {
        name: kind.name,
        identifiers: kind.identifiers,
        fields: kind.fields.into_iter().map(schema_field).collect(),
        stands_for: kind.stands_for,
        unique_together: kind.unique_together,
        can_create: kind.can_create,
        can_update: kind.can_update,
        can_delete: kind.can_delete,
    }
}

fn schema_field(field: runtime::Field) -> SchemaField {
    let cardinality = match field.field_type {
        runtime::FieldType::Reference => Cardinality::One,
        runtime::FieldType::ReferenceList => Cardinality::Many,
        _ => Cardinality::Unknown,
    };
    let field_type = if field.field_type.is_reference() { FieldType::Any } else { field.field_type };
    SchemaField {
        name: field.name,
        field_type,
        optional: field.optional,
        unique: field.unique,
        read_only: field.read_only,
        references: field.references,
        cardinality,
        // A default that is no JSON is none that could be compared.
        default: field.default.and_then(|default| serde_json::from_str(&default).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: String, fields: &[String]) -> runtime::Kind {
        let field = |name: &String| runtime::Field {
            name: name.clone(),
            field_type: runtime::FieldType::Text,
            optional: true,
            unique: false,
            read_only: false,
            references: Vec::new(),
            choices: Vec::new(),
            default: None,
        };
        runtime::Kind {
            name,
            identifiers: Vec::new(),
            fields: fields.iter().map(field).collect(),
            stands_for: Vec::new(),
            cascades: Vec::new(),
            unique_together: Vec::new(),
            can_create: true,
            can_update: true,
            can_delete: true,
        }
    }

    fn names(count: usize, letter: &str) -> Vec<String> {
        (0..count).map(|number| format!("a_name_with_a_long_beginning_{letter}{number}")).collect()
    }

    #[test]
    fn the_lists_of_one_kind_are_joined() {
        let [ab, bc] = [["a", "b"], ["b", "c"]].map(|fields| kind("K".into(), &fields.map(String::from)));
        let joined = merged(vec![ab, kind("L".into(), &[]), bc]);
        let fields: Vec<&str> = joined[0].fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!((joined.len(), fields), (2, vec!["a", "b", "c"]));
    }

    /// Comparing each name with each other one would take minutes.
    #[test]
    fn an_adapter_may_name_many_kinds_and_fields() {
        let kinds: Vec<runtime::Kind> = names(200_000, "k").into_iter().map(|name| kind(name, &[])).collect();
        assert_eq!(merged(kinds.iter().chain(&kinds).cloned().collect()).len(), 200_000);
        let wide = ["x", "y"].map(|letter| kind("K".into(), &names(200_000, letter)));
        assert_eq!(merged(wide.to_vec())[0].fields.len(), 400_000);
    }
}
