//! Hashes that say whether a mapping or a schema has changed.
//!
//! SHA-256 over canonical JSON (keys sorted, no spaces), as hex. Positions, comments, order of keys and settings do not matter.

use std::collections::{BTreeMap, HashMap};

use infrahub_sync_core::model::Model;
use infrahub_sync_core::value::canonical_json;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::project::{Field, FieldSource, Mapping, Owned, Project};
use crate::resolve::{SchemaField, SchemaKind};

/// SHA-256 (hex) of what the mapping means: kinds, resources, identifiers, filters, transforms, fields, ownership and order.
///
/// Neither settings nor flags: a new token, or the permission to delete, does not change what a stored plan says.
#[must_use]
pub fn mapping_hash(project: &Project) -> String {
    let mappings: Vec<Value> = project.schema_mapping.iter().map(mapping_value).collect();
    let mut value = json!({ "order": project.order, "schema_mapping": mappings });
    add_ownership(&mut value, project.ownership);
    hash(&value)
}

/// SHA-256 (hex) of the part of the destination's schema that the model uses, kind by kind.
///
/// That is, of each kind of the model: its abilities, its mapped fields, and the names of those that must have a value.
#[must_use]
pub fn schema_kind_hashes(model: &Model, schema: Option<&[SchemaKind]>) -> BTreeMap<String, String> {
    let known: HashMap<&str, &SchemaKind> = schema.unwrap_or_default().iter().map(|kind| (kind.name.as_str(), kind)).collect();
    let mut kinds = BTreeMap::new();
    for kind in &model.kinds {
        let Some(described) = known.get(kind.name.as_str()) else { continue };
        let fields: HashMap<&str, &SchemaField> = described.fields.iter().map(|field| (field.name.as_str(), field)).collect();
        let used: serde_json::Map<String, Value> = kind
            .fields
            .iter()
            .filter_map(|field| fields.get(field.name.as_str()))
            .map(|field| (field.name.clone(), schema_field_value(field)))
            .collect();
        let mut mandatory: Vec<&str> =
            described.fields.iter().filter(|field| !field.optional && !field.read_only).map(|field| field.name.as_str()).collect();
        mandatory.sort_unstable();
        let mut value = json!({
            "fields": used,
            "identifiers": kind.identifiers,
            "mandatory": mandatory,
            "can": [described.can_create, described.can_update, described.can_delete],
        });
        // The kinds that stand for a generic one.
        let several = kind.fields.iter().filter(|field| field.refers_to_several());
        let peers: BTreeMap<&str, Vec<&str>> = several.map(|field| (field.name.as_str(), field.peers().collect())).collect();
        if let (false, Some(value)) = (peers.is_empty(), value.as_object_mut()) {
            value.insert("peers".to_owned(), json!(peers));
        }
        kinds.insert(kind.name.clone(), hash(&value));
    }
    kinds
}

/// SHA-256 (hex) of [`schema_kind_hashes`], or of nothing where there is no schema.
#[must_use]
pub fn schema_hash(model: &Model, schema: Option<&[SchemaKind]>) -> String {
    if schema.is_none() { hash(&Value::Null) } else { hash(&json!(schema_kind_hashes(model, schema))) }
}

/// Returns the text of `schema-sub-hash.txt`: SHA-256 (hex) over both hashes.
#[must_use]
pub fn schema_sub_hash(mapping_hash: &str, schema_hash: &str) -> String {
    hash(&json!([mapping_hash, schema_hash]))
}

fn mapping_value(mapping: &Mapping) -> Value {
    let filters: Vec<Value> = mapping.filters.iter().map(|filter| json!([filter.field, filter.operation, filter.value])).collect();
    let transforms: Vec<Value> = mapping.transforms.iter().map(|transform| json!([transform.field, transform.expression])).collect();
    let mut value = json!({
        "name": mapping.name,
        "mapping": mapping.mapping,
        "identifiers": mapping.identifiers,
        "filters": filters,
        "transforms": transforms,
        "fields": mapping.fields.iter().map(field_value).collect::<Vec<_>>(),
    });
    if let (true, Some(value)) = (mapping.destination_mapping != mapping.mapping, value.as_object_mut()) {
        value.insert("destination_mapping".to_owned(), json!(mapping.destination_mapping));
    }
    add_ownership(&mut value, mapping.ownership);
    value
}

/// Adds an `ownership:`; a mapping without any keeps the hash that it had before there was the key.
fn add_ownership(value: &mut Value, owned: Option<Owned>) {
    let Some(owned) = owned else { return };
    match value {
        Value::Object(members) => drop(members.insert("ownership".to_owned(), json!(owned.ownership))),
        Value::Array(items) => items.push(json!({ "ownership": owned.ownership })),
        _ => {}
    }
}

fn field_value(field: &Field) -> Value {
    // The word before the value tells a path `x` from the literal `x`.
    let (source, path) = match &field.source {
        FieldSource::Static(value) => (json!(["static", value]), None),
        FieldSource::Path(path) | FieldSource::Reference(path) => (json!(["mapping", path]), Some(path)),
        FieldSource::Unmapped => (json!([]), None),
    };
    let reference = one_or_several(&field.references);
    let mut value = if field.destination_mapping.as_ref() == path {
        json!([field.name, source, reference])
    } else {
        json!([field.name, source, reference, field.destination_mapping])
    };
    add_ownership(&mut value, field.ownership);
    value
}

fn schema_field_value(field: &SchemaField) -> Value {
    json!({
        "type": field.field_type,
        "optional": field.optional,
        "unique": field.unique,
        "read_only": field.read_only,
        "reference": one_or_several(&field.references),
        "cardinality": field.cardinality,
        "default": field.default,
    })
}

fn one_or_several(kinds: &[String]) -> Value {
    match kinds {
        [] => Value::Null,
        [one] => json!(one),
        several => json!(several),
    }
}

fn hash(value: &Value) -> String {
    let mut text = String::new();
    canonical_json(value, &mut text);
    format!("{:x}", Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn project(text: &str) -> Project {
        Project::parse(text, Path::new("config.yml"), &|_| Some("x".to_owned())).unwrap()
    }

    const TEXT: &str = "
name: a
source: {name: netbox, settings: {token: '${T}'}}
destination: {name: files}
schema_mapping:
  - {name: A, mapping: a, identifiers: [x], fields: [{name: x, mapping: x}]}
";

    #[test]
    fn form_settings_and_flags_do_not_change_the_hash() {
        let other = TEXT.replace("mapping: a, identifiers: [x]", "identifiers: [x], mapping: a").replace("token", "url");
        let hash = mapping_hash(&project(TEXT));
        let the_same = TEXT
            .replace("mapping: x}", "mapping: x, destination_mapping: x}")
            .replace("mapping: a,", "mapping: a, destination_mapping: a,");
        assert_eq!(hash, mapping_hash(&project(&the_same)));
        assert_eq!(hash, mapping_hash(&project(&format!("# A comment.\n{other}\ndiffsync_flags: [SKIP_UNMATCHED_DST]"))));
        assert_eq!(hash.len(), 64);
    }

    #[test]
    fn each_part_of_the_mapping_changes_the_hash() {
        let hash = mapping_hash(&project(TEXT));
        for (from, to) in [
            ("mapping: a,", "mapping: b,"),
            ("mapping: x}", "static: x}"),
            ("mapping: x}", "mapping: y}"),
            ("mapping: x}", "mapping: x, reference: A}"),
            ("mapping: x}", "mapping: x, destination_mapping: y}"),
            ("mapping: x}", "mapping: y, static: x}"),
            ("mapping: a,", "mapping: a, destination_mapping: b,"),
            ("identifiers: [x], ", ""),
            ("fields:", "filters: [{field: a, operation: is_empty}], fields:"),
            ("fields:", "transforms: [{field: a, expression: a}], fields:"),
            ("fields:", "ownership: create-only, fields:"),
            ("mapping: x}", "mapping: x, ownership: merge}"),
            ("schema_mapping:", "ownership: destination\nschema_mapping:"),
        ] {
            assert_ne!(hash, mapping_hash(&project(&TEXT.replace(from, to))), "{to}");
        }
    }

    #[test]
    fn numbers_and_text_differ() {
        let with = |value: &str| mapping_hash(&project(&TEXT.replace("mapping: x}", &format!("static: {value}}}"))));
        assert_ne!(with("1"), with("'1'"));
        assert_ne!(with("1"), with("1.0"));
    }
}
