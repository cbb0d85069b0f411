//! Turns the schema into the kinds of the contract.

use infrahub_sync_adapter::memo::{self, Lifetime};
use infrahub_sync_adapter::{Cascade, Field, FieldType, Kind, Result, Target};
use serde_json::Value;

use crate::schema::{Attribute, Cardinality, KindSchema, Relationship, Schema};

/// Pools, and the generic whose objects they allocate.
const POOLS: [(&str, &str); 2] = [("CoreIPAddressPool", "BuiltinIPAddress"), ("CoreIPPrefixPool", "BuiltinIPPrefix")];

/// Returns the key of the memo with the kinds that the project's pools allocate, for all instances of a run.
fn allocated_key(branch: &str) -> String {
    format!("allocated/{branch}")
}

/// Stores the kinds that the project's pools allocate: objects of those kinds are then known by the pool that gave them.
pub(crate) fn keep_allocated(branch: &str, targets: &[Target], kinds: &[Kind]) -> Result<()> {
    let pools = kinds.iter().filter(|kind| is_pool(&kind.name) && targets.iter().any(|target| target.kind == kind.name));
    let allocated: Vec<String> = pools.flat_map(|pool| pool.stands_for.iter().cloned()).collect();
    if !allocated.is_empty() {
        memo::put_as(Lifetime::Run, &allocated_key(branch), &allocated)?;
    }
    Ok(())
}

/// Returns the kinds that [`keep_allocated`] stored.
pub(crate) fn allocated(branch: &str) -> Vec<String> {
    memo::get_as(Lifetime::Run, &allocated_key(branch)).unwrap_or_default()
}

/// Says whether objects of the kind are pools.
pub(crate) fn is_pool(kind: &str) -> bool {
    POOLS.iter().any(|(pool, _)| *pool == kind)
}

/// Returns the kinds of the targets, or all of them.
pub(crate) fn kinds(schema: &Schema, targets: &[Target]) -> Vec<Kind> {
    if targets.is_empty() {
        return schema.all().map(|found| kind(schema, found)).collect();
    }
    let of_target = |target: &Target| {
        let described = schema.kind(&target.kind)?;
        let mut found = kind(schema, described);
        if let Some(template) = described.object_template().filter(|known| target.fields.iter().any(|field| field.name == known.name)) {
            leave_to_template(schema, &template.peer, &mut found);
        }
        Some(found)
    };
    targets.iter().filter_map(of_target).collect()
}

/// Makes the fields optional that a new object may take from its template.
fn leave_to_template(schema: &Schema, template: &str, kind: &mut Kind) {
    let Some(template) = schema.kind(template) else { return };
    for field in kind.fields.iter_mut().filter(|field| !kind.identifiers.contains(&field.name)) {
        field.optional |= template.field(&field.name).is_some();
    }
}

/// Returns the uniqueness constraints of a kind and its generics, by their fields.
fn unique_together(schema: &Schema, kind: &KindSchema) -> Vec<Vec<String>> {
    let generics = kind.inherit_from.iter().filter_map(|generic| schema.kind(generic));
    let constraints = std::iter::once(kind).chain(generics).flat_map(|owner| owner.uniqueness_constraints.iter().flatten());
    let field = |part: &String| part.split("__").next().unwrap_or(part).to_owned();
    let mut sets: Vec<Vec<String>> = constraints.map(|constraint| constraint.iter().map(field).collect()).collect();
    sets.sort_unstable();
    sets.dedup();
    sets
}

fn kind(schema: &Schema, kind: &KindSchema) -> Kind {
    let attributes = kind.attributes.iter().map(attribute);
    let relationships = kind.relationships.iter().map(|found| relationship(schema, kind, found));
    let mut stands_for = kind.inherit_from.clone();
    if let Some((_, allocates)) = POOLS.iter().find(|(pool, _)| *pool == kind.kind) {
        stands_for.push((*allocates).to_owned());
        stands_for.extend(schema.members(allocates).map(|member| member.kind.clone()));
    }
    Kind {
        name: kind.kind.clone(),
        identifiers: identifiers(kind),
        fields: attributes.chain(relationships).collect(),
        stands_for,
        cascades: cascades(schema, kind),
        unique_together: unique_together(schema, kind),
        can_create: !kind.generic,
        can_update: !kind.generic,
        can_delete: !kind.generic,
    }
}

/// Returns the objects that Infrahub deletes along with one of the kind, by kind, with their field that refers to it.
fn cascades(schema: &Schema, kind: &KindSchema) -> Vec<Cascade> {
    let is_ours = |name: &String| *name == kind.kind || kind.inherit_from.contains(name);
    let cascades = kind.cascading().flat_map(|relationship| {
        schema.concrete(&relationship.peer).map(move |member| {
            let back = member.relationships.iter().find(|back| back.identifier == relationship.identifier && is_ours(&back.peer));
            Cascade { kind: member.kind.clone(), field: back.map(|back| back.name.clone()) }
        })
    });
    cascades.collect()
}

/// Returns the fields of the human friendly id. One that goes through a relationship to an attribute of the peer (`device__name__value`)
/// identifies by the peer (`device`).
fn identifiers(kind: &KindSchema) -> Vec<String> {
    let parts = kind.human_friendly_id.iter().flatten().map(|part| part.split("__").next().unwrap_or(part));
    let mut names: Vec<String> = Vec::new();
    for part in parts {
        if !names.iter().any(|name| name == part) {
            names.push(part.to_owned());
        }
    }
    names
}

fn attribute(attribute: &Attribute) -> Field {
    let of_enumeration = attribute.enumeration.iter().flatten().map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    let default = Some(&attribute.default_value).filter(|value| !value.is_null());
    Field {
        name: attribute.name.clone(),
        type_: field_type(&attribute.kind),
        optional: attribute.optional || default.is_some(),
        unique: attribute.unique,
        read_only: attribute.is_left_alone(),
        references: Vec::new(),
        choices: attribute.choices.iter().flatten().map(|choice| choice.name.clone()).chain(of_enumeration).collect(),
        default: default.map(Value::to_string),
    }
}

fn relationship(schema: &Schema, kind: &KindSchema, relationship: &Relationship) -> Field {
    Field {
        name: relationship.name.clone(),
        type_: match relationship.cardinality {
            Cardinality::One => FieldType::Reference,
            Cardinality::Many => FieldType::ReferenceList,
        },
        optional: relationship.optional,
        unique: schema.is_exclusive(kind, relationship),
        read_only: relationship.read_only,
        // A generic kind counts for its members, which stand for it.
        references: vec![relationship.peer.clone()],
        choices: Vec::new(),
        default: None,
    }
}

fn field_type(kind: &str) -> FieldType {
    match kind {
        "Number" | "NumberPool" | "Bandwidth" => FieldType::Integer,
        "Boolean" | "Checkbox" => FieldType::Boolean,
        "IPHost" => FieldType::IpInterface,
        "IPNetwork" => FieldType::IpNetwork,
        "IPAddress" => FieldType::IpAddress,
        "MacAddress" => FieldType::Mac,
        "DateTime" => FieldType::Timestamp,
        "List" => FieldType::List,
        "JSON" => FieldType::Json,
        "Any" => FieldType::Any,
        // ID, Dropdown, Text, TextArea, Email, Password, HashedPassword, URL, File, Color, and future ones.
        _ => FieldType::Text,
    }
}
