//! The schema as the contract wants it.

use infrahub_sync_adapter::memo::{self, Lifetime};
use infrahub_sync_adapter::{Field, FieldType, Kind, Result};
use serde_json::Value;

use crate::schema::{Attribute, Cardinality, KindSchema, Relationship, Schema};

/// Pools, and the generic whose objects they allocate.
const POOLS: [(&str, &str); 2] = [("CoreIPAddressPool", "BuiltinIPAddress"), ("CoreIPPrefixPool", "BuiltinIPPrefix")];

/// Where it is kept, for all instances of a run, what the pools that a project names allocate.
fn allocated_key(branch: &str) -> String {
    format!("allocated/{branch}")
}

/// Keeps what the pools among the kinds of a project allocate: objects of those kinds are then known by the pool that gave them.
pub(crate) fn keep_allocated(branch: &str, names: &[String], kinds: &[Kind]) -> Result<()> {
    let pools = kinds.iter().filter(|kind| names.contains(&kind.name) && is_pool(&kind.name));
    let allocated: Vec<String> = pools.flat_map(|pool| pool.stands_for.iter().cloned()).collect();
    if !allocated.is_empty() {
        memo::put_as(Lifetime::Run, &allocated_key(branch), &allocated)?;
    }
    Ok(())
}

/// What [`keep_allocated`] has kept.
pub(crate) fn allocated(branch: &str) -> Vec<String> {
    memo::get_as(Lifetime::Run, &allocated_key(branch)).unwrap_or_default()
}

/// Whether objects of the kind are pools.
pub(crate) fn is_pool(kind: &str) -> bool {
    POOLS.iter().any(|(pool, _)| *pool == kind)
}

/// The kinds named, or all of them.
pub(crate) fn kinds(schema: &Schema, names: &[String]) -> Vec<Kind> {
    if names.is_empty() {
        return schema.all().map(|found| kind(schema, found)).collect();
    }
    names.iter().filter_map(|name| Some(kind(schema, schema.kind(name)?))).collect()
}

fn kind(schema: &Schema, kind: &KindSchema) -> Kind {
    let attributes = kind.attributes.iter().map(attribute);
    let relationships = kind.relationships.iter().map(relationship);
    let mut stands_for = kind.inherit_from.clone();
    if let Some((_, allocates)) = POOLS.iter().find(|(pool, _)| *pool == kind.kind) {
        stands_for.push((*allocates).to_owned());
        let members = schema.all().filter(|member| member.inherit_from.iter().any(|generic| generic == allocates));
        stands_for.extend(members.map(|member| member.kind.clone()));
    }
    Kind {
        name: kind.kind.clone(),
        identifiers: identifiers(kind),
        fields: attributes.chain(relationships).collect(),
        stands_for,
        can_create: !kind.generic,
        can_update: !kind.generic,
        can_delete: !kind.generic,
    }
}

/// The human friendly id, where it does not go through a relationship to an attribute of the peer: `device__name__value` identifies by
/// the device.
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
        reference: None,
        choices: attribute.choices.iter().flatten().map(|choice| choice.name.clone()).chain(of_enumeration).collect(),
        default: default.map(Value::to_string),
    }
}

fn relationship(relationship: &Relationship) -> Field {
    Field {
        name: relationship.name.clone(),
        type_: match relationship.cardinality {
            Cardinality::One => FieldType::Reference,
            Cardinality::Many => FieldType::ReferenceList,
        },
        optional: relationship.optional,
        unique: false,
        read_only: relationship.read_only,
        reference: Some(relationship.peer.clone()),
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
        // ID, Dropdown, Text, TextArea, Email, Password, HashedPassword, URL, File, Color, and what is to come.
        _ => FieldType::Text,
    }
}
