//! Turns the descriptions of lists into the kinds of the contract.

use infrahub_sync_adapter::{Error, Field, FieldType, Kind, Query, Result, Target, TargetField, http, log, memo};
use serde_json::Value;

use crate::Api;
use crate::body::SLUG;
use crate::describe::{Column, Description, Member, describe, missing};
use crate::system::{Default, Selection, System, Writing};
use crate::tags;

/// Returns the kinds of the targets. Lists and fields that the system does not have are reported together. A text that cannot be the name of a list is
/// left out: the host reports the kind, and a message says why.
pub(crate) fn kinds(api: &Api, targets: &[Target]) -> Result<Vec<Kind>> {
    let mut kinds: Vec<Kind> = Vec::new();
    let mut wrong: Vec<String> = Vec::new();
    for target in targets {
        // A kind that is only referred to has no list: the host asks to map it.
        let Some(resource) = &target.resource else { continue };
        if let Err(error) = api.list(resource) {
            log::warn(&error.message);
            continue;
        }
        match describe(api, resource)? {
            Some(description) => add(&mut kinds, kind(api, target, &description, &mut wrong)?),
            None => wrong.push(missing(api, resource).message),
        }
    }
    if wrong.is_empty() { Ok(kinds) } else { Err(Error::config(wrong.join("; "))) }
}

/// Adds a kind, which may have several lists.
fn add(kinds: &mut Vec<Kind>, kind: Kind) {
    let Some(known) = kinds.iter_mut().find(|known| known.name == kind.name) else {
        kinds.push(kind);
        return;
    };
    let is_new = |field: &Field| !known.fields.iter().any(|there| there.name == field.name);
    let new: Vec<Field> = kind.fields.into_iter().filter(is_new).collect();
    known.fields.extend(new);
    for cascade in kind.cascades {
        if !known.cascades.iter().any(|there| there.kind == cascade.kind) {
            known.cascades.push(cascade);
        }
    }
}

fn kind(api: &Api, target: &Target, description: &Description, wrong: &mut Vec<String>) -> Result<Kind> {
    let list = description.path.strip_prefix(api.prefix).unwrap_or(&description.path);
    let resource = target.resource_or_kind();
    let mut fields = Vec::new();
    for field in &target.fields {
        let member = description.member(api, field);
        if let Member::Unknown(name) = &member {
            wrong.push(format!("`{}.{}`: `{resource}` of {} has no field `{name}`", target.kind, field.name, api.system.name));
        }
        if let (Member::Custom(name), Some(known)) = (&member, custom_fields(api)?)
            && !known.contains(name)
        {
            wrong.push(format!("`{}.{}`: {} has no custom field `{name}`", target.kind, field.name, api.system.name));
        }
        fields.push(described(api.system, list, field, &member, description));
    }
    if !api.system.writing.is_some_and(|writing| writing.imported.contains(&list)) {
        fields.extend(unmapped(api, target, list, description).map(|name| Field { optional: false, ..Field::new(name, FieldType::Any) }));
    }
    let mut kind = Kind::new(&target.kind, &[], fields);
    for cascade in api.system.writing.map_or(&[][..], |writing| writing.cascades).iter().filter(|cascade| cascade.list == list) {
        kind = kind.with_cascade(cascade.along, None);
    }
    for (_, members) in api.system.writing.map_or(&[][..], |writing| writing.together).iter().filter(|(of, _)| *of == list) {
        let of_member = |name: &&str| {
            let is_it = |field: &&TargetField| description.member(api, field).names().iter().any(|member| member == name);
            target.fields.iter().find(is_it).map(|field| field.name.as_str())
        };
        if let Some(fields) = members.iter().map(of_member).collect::<Option<Vec<&str>>>() {
            kind = kind.with_unique_together(&fields);
        }
    }
    Ok(kind)
}

/// Returns the members that a new object must have and that the mapping does not name.
pub(crate) fn unmapped<'d>(
    api: &'d Api,
    target: &'d Target,
    list: &'d str,
    description: &'d Description,
) -> impl Iterator<Item = &'d str> + 'd {
    let written: Vec<String> = target.fields.iter().flat_map(|field| description.member(api, field).names()).collect();
    let is_made = move |name: &str| {
        let default = |default: &&Default| default.list == list && default.name == name;
        name == SLUG || api.system.writing.is_some_and(|writing| writing.defaults.iter().any(|one| default(&one)))
    };
    let required = description.columns.iter().flatten().filter(|(_, column)| column.required && !column.read_only);
    required.filter(move |(name, _)| !written.contains(name) && !is_made(name)).map(|(name, _)| name.as_str())
}

/// Returns a field in the words of the contract.
fn described(system: &System, list: &str, field: &TargetField, member: &Member, description: &Description) -> Field {
    let first = field.split_path().0;
    let column = description.column(first);
    let read_only = matches!(member, Member::ReadOnly);
    let writing = system.writing;
    let is_set = writing.is_some_and(|writing| writing.sets.contains(&first)) || column.is_some_and(|column| column.is_list);
    if field.is_reference() {
        let type_ = if is_set && !matches!(member, Member::End(_)) { FieldType::ReferenceList } else { FieldType::Reference };
        let optional = !column.is_some_and(|column| column.required) || is_set;
        return Field { optional, read_only, references: field.peers.clone(), ..Field::new(&field.name, type_) };
    }
    if tags::is_plain(field) {
        return Field { read_only, ..Field::new(&field.name, FieldType::List) };
    }
    let special = writing.and_then(|writing| {
        let of_list = |(of, name, _): &&(&str, &str, FieldType)| (*of == "*" || *of == list) && *name == first;
        writing.types.iter().find(of_list).map(|(_, _, field_type)| *field_type)
    });
    let is_plain = matches!(member, Member::Plain(_)) && !is_set;
    let type_ = match special {
        Some(field_type) if is_plain => field_type,
        _ if !is_plain => FieldType::Any,
        _ => column.map_or(FieldType::Any, column_type),
    };
    // What a text has that is not set, in place of null.
    let is_blank = type_ == FieldType::Text && column.is_some_and(|column| column.kind == "string");
    let is_blank = is_blank && !writing.is_some_and(|writing| Writing::has(writing.nullable, list, first));
    Field {
        optional: !column.is_some_and(|column| column.required),
        read_only,
        unique: writing.is_some_and(|writing| Writing::has(writing.unique, list, first)) && is_plain,
        choices: column.filter(|_| is_plain).map(choices).unwrap_or_default(),
        default: is_blank.then(|| "\"\"".to_owned()),
        ..Field::new(&field.name, type_)
    }
}

fn choices(column: &Column) -> Vec<String> {
    column.choices.iter().map(|(value, _)| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect()
}

fn column_type(column: &Column) -> FieldType {
    match column.kind.as_str() {
        "boolean" => FieldType::Boolean,
        "integer" => FieldType::Integer,
        "decimal" | "float" | "double" => FieldType::Float,
        "datetime" => FieldType::Timestamp,
        "string" | "slug" | "url" | "email" => FieldType::Text,
        "field" | "choice" if !column.choices.is_empty() && column.choices.iter().all(|(value, _)| value.is_string()) => FieldType::Text,
        _ => FieldType::Any,
    }
}

/// Returns the names of the custom fields; none where the server does not tell.
fn custom_fields(api: &Api) -> Result<Option<Vec<String>>> {
    memo::once("custom-field-names", || {
        let query = Query::new(&format!("{}/extras/custom-fields/", api.prefix)).with("limit", api.system.page_size);
        let query = if api.system.selection == Selection::Fields { query.with("fields", "id,name") } else { query };
        let response = http::get(query).send()?;
        if !response.is_success() {
            return Ok(None);
        }
        // A custom field of Nautobot has a key beside its label.
        let named = response.get::<Vec<Value>>("/results")?;
        let name = |field: Value| field.get("key").or_else(|| field.get("name"))?.as_str().map(str::to_owned);
        Ok(Some(named.into_iter().filter_map(name).collect()))
    })
}
