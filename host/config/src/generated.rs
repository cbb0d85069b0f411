//! The file that `generate` writes: the resolved model, readable, beside `config.yml`.
//!
//! ```yaml
//! format: 1
//! mapping_hash: 4fe0…        # of config.yml's mapping, when this was made
//! schema_hash: 9a1b…         # of the part of the destination's schema that is used
//! kinds:
//!   - name: DcimDevice
//!     identifiers: [name, site]
//!     tier: 2
//!     deferred: [primary_ip]
//!     fields:
//!       - {name: name, type: text}
//!       - {name: site, reference: LocationSite, cardinality: one}
//! ```
//!
//! Absent keys: `type: any`, `optional: false`, `cardinality: unknown`, `ownership: usual`, no reference, nothing deferred. A field whose peers are of several
//! kinds has them all: `reference: [LocationSite, LocationArea]`. A kind with `lookup: true` is not mapped, and only referred to. A newer format is
//! refused.

use std::collections::HashSet;
use std::path::Path;

use infrahub_sync_core::model::{Cardinality, FieldModel, FieldType, KindModel, Model, Ownership};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::decode::{Decoder, Record, list_names, suggest};
use crate::load::scalar::{Plain, resolve};
use crate::load::{self, Node};
use crate::own_file::OwnFile;
use crate::problem::{Problem, Span};
use crate::project::Project;

/// The file's name in the project's folder.
pub const GENERATED_FILE: &str = "infrahub-sync.models.yml";

/// The generated models.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// Hash of the mapping they were made from.
    pub mapping_hash: String,
    /// Hash of the used part of the destination's schema.
    pub schema_hash: String,
    /// The model.
    pub model: Model,
}

/// Returns whether the models in `file` are missing or were made from another mapping than the project's.
///
/// # Errors
///
/// The file exists and cannot be read, or is invalid.
pub fn is_stale(project: &Project, file: &Path) -> Result<bool, Vec<Problem>> {
    match file.try_exists() {
        Ok(false) => Ok(true),
        _ => Ok(Generated::load(file)?.is_stale(project)),
    }
}

impl Generated {
    /// Reads a file of models.
    ///
    /// # Errors
    ///
    /// As [`Generated::parse`], and when the file cannot be read.
    pub fn load(file: &Path) -> Result<Generated, Vec<Problem>> {
        Generated::parse(&load::read(file)?, file)
    }

    /// Returns whether the project's mapping has changed since.
    #[must_use]
    pub fn is_stale(&self, project: &Project) -> bool {
        self.mapping_hash != crate::hash::mapping_hash(project)
    }

    /// Returns the file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut lines = vec![
            "# The kinds of this sync, made by `infrahub-sync generate` from config.yml and the destination's schema.".to_owned(),
            "# Do not edit: change config.yml and generate again.".to_owned(),
            format!("format: {}", FILE.format),
            format!("mapping_hash: {}", scalar(&self.mapping_hash)),
            format!("schema_hash: {}", scalar(&self.schema_hash)),
            if self.model.kinds.is_empty() { "kinds: []".to_owned() } else { "kinds:".to_owned() },
        ];
        for kind in &self.model.kinds {
            lines.push(format!("  - name: {}", scalar(&kind.name)));
            lines.push(format!("    identifiers: {}", flow_list(&kind.identifiers)));
            lines.push(format!("    tier: {}", kind.tier));
            if kind.lookup {
                lines.push("    lookup: true".to_owned());
            }
            if !kind.deferred.is_empty() {
                lines.push(format!("    deferred: {}", flow_list(&kind.deferred)));
            }
            lines.push(if kind.fields.is_empty() { "    fields: []".to_owned() } else { "    fields:".to_owned() });
            lines.extend(kind.fields.iter().map(|field| format!("      - {}", field_text(field))));
        }
        lines.join("\n") + "\n"
    }

    /// Reads the text back.
    ///
    /// # Errors
    ///
    /// Every problem, with lines: a newer format, or an invalid edit.
    pub fn parse(text: &str, file: &Path) -> Result<Generated, Vec<Problem>> {
        FILE.parse(text, file, decode)
    }
}

/// The remedy for every problem of a generated file.
const AGAIN: &str = "run `infrahub-sync generate` again";

const FILE: OwnFile = OwnFile { has: "these models have", format: 1, again: AGAIN };

pub(crate) fn flow_list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| scalar(item)).collect::<Vec<_>>().join(", "))
}

/// Text that reads back as itself: plain where that is safe for every reader of YAML, else in quotes.
pub(crate) fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        && resolve(text) == Plain::Text
        && !matches!(text, "y" | "Y" | "n" | "N");
    // JSON's quotes are YAML's.
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

fn field_text(field: &FieldModel) -> String {
    let mut parts = vec![format!("name: {}", scalar(&field.name))];
    let mut word = |key: &str, value: serde_json::Result<Value>| {
        if let Ok(Value::String(word)) = value {
            parts.push(format!("{key}: {word}"));
        }
    };
    if field.field_type != FieldType::Any {
        word("type", serde_json::to_value(field.field_type));
    }
    if let Some(reference) = &field.reference {
        let one = scalar(reference);
        let kinds: Vec<String> = field.peers().map(str::to_owned).collect();
        word("reference", Ok(Value::String(if field.also.is_empty() { one } else { flow_list(&kinds) })));
    }
    if field.cardinality != Cardinality::Unknown {
        word("cardinality", serde_json::to_value(field.cardinality));
    }
    if field.ownership != Ownership::Usual {
        word("ownership", serde_json::to_value(field.ownership));
    }
    if field.optional {
        parts.push("optional: true".to_owned());
    }
    if let Some(default) = &field.default {
        // JSON text in quotes: the only form in which each value reads back as itself.
        parts.push(format!("default: {}", Value::from(default.to_string())));
    }
    format!("{{{}}}", parts.join(", "))
}

fn decode(decoder: &mut Decoder<'_>, tree: &Node) -> Option<Generated> {
    let record = decoder.record(tree, "", &["format", "mapping_hash", "schema_hash", "kinds"])?;
    decoder.required(&record, "format");
    let mut text = |key: &str| decoder.required_text(&record, key).map(|(text, _)| text.to_owned());
    let (mapping_hash, schema_hash) = (text("mapping_hash"), text("schema_hash"));
    let kinds = kinds(decoder, &record);
    Some(Generated { mapping_hash: mapping_hash?, schema_hash: schema_hash?, model: Model { kinds } })
}

fn kinds(decoder: &mut Decoder<'_>, record: &Record<'_>) -> Vec<KindModel> {
    decoder.required(record, "kinds");
    let nodes = decoder.items(record, "kinds");
    let mut kinds: Vec<(KindModel, Span)> = Vec::with_capacity(nodes.len());
    let mut names = HashSet::new();
    for (index, node) in nodes.iter().enumerate() {
        let path = format!("kinds[{index}]");
        let Some(kind) = kind(decoder, node, &path) else { continue };
        if !names.insert(kind.name.clone()) {
            decoder.error_hint(node.span, path, format!("the kind `{}` stands here a second time", kind.name), AGAIN);
        }
        kinds.push((kind, node.span));
    }
    // References can point forward: only now all names are known.
    for (kind, span) in &kinds {
        for field in &kind.fields {
            for reference in field.peers().filter(|reference| !names.contains(*reference)) {
                let message = format!("`{}.{}` refers to `{reference}`, which is not a kind of this file", kind.name, field.name);
                decoder.error_hint(*span, "kinds", message, AGAIN);
            }
        }
    }
    kinds.into_iter().map(|(kind, _)| kind).collect()
}

fn kind(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<KindModel> {
    let record = decoder.record(node, path, &["name", "identifiers", "tier", "deferred", "lookup", "fields"])?;
    let name = decoder.required_text(&record, "name");
    let tier = decoder.required(&record, "tier").and_then(|node| decoder.count(node, &record.at("tier")));
    decoder.required(&record, "fields");
    let items = decoder.items(&record, "fields").iter().enumerate();
    let fields: Vec<FieldModel> = items.filter_map(|(index, item)| field(decoder, item, &format!("{path}.fields[{index}]"))).collect();
    let mut known = HashSet::new();
    for field in &fields {
        if !known.insert(field.name.as_str()) {
            decoder.error_hint(node.span, record.at("fields"), format!("the field `{}` stands here twice", field.name), AGAIN);
        }
    }
    decoder.required(&record, "identifiers");
    let mut named = |key: &str| {
        let mut names = Vec::new();
        for (name, span) in decoder.texts(&record, key) {
            if !known.contains(name.as_str()) {
                let message = format!("`{name}` is not a field of this kind");
                let hint = format!("its fields: {}; {AGAIN}", list_names(fields.iter().map(|field| field.name.as_str())));
                decoder.error_hint(span, record.at(key), message, hint);
            }
            names.push(name);
        }
        names
    };
    let (identifiers, deferred) = (named("identifiers"), named("deferred"));
    let lookup = truth(decoder, &record, "lookup");
    // The values that no two objects share are those of the live schema.
    Some(KindModel { name: name?.0.to_owned(), identifiers, tier: tier?, deferred, lookup, unique: Vec::new(), fields })
}

fn field(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<FieldModel> {
    let record = decoder.record(node, path, &["name", "type", "reference", "cardinality", "optional", "default", "ownership"])?;
    let name = decoder.required_text(&record, "name");
    let types =
        ["any", "boolean", "integer", "float", "text", "timestamp", "ip-interface", "ip-network", "ip-address", "mac", "json", "list"];
    let field_type = word(decoder, &record, "type", &types);
    let cardinality = word(decoder, &record, "cardinality", &["one", "many", "unknown"]);
    let ownership = word(decoder, &record, "ownership", &["usual", "source", "destination", "create-only", "merge"]);
    let mut references: Vec<String> = Vec::new();
    match record.get("reference") {
        Some(Node { data: load::Data::List(_), .. }) => {
            for (kind, span) in decoder.texts(&record, "reference") {
                if references.contains(&kind) {
                    decoder.error_hint(span, record.at("reference"), format!("the kind `{kind}` stands here twice"), AGAIN);
                }
                references.push(kind);
            }
        }
        _ => references.extend(decoder.optional_text(&record, "reference").map(|(kind, _)| kind.to_owned())),
    }
    let mut references = references.into_iter();
    let (reference, also) = (references.next(), references.collect());
    let optional = truth(decoder, &record, "optional");
    let default = decoder.optional_text(&record, "default").map(|(text, span)| (text.to_owned(), span));
    let default = default.and_then(|(text, span)| match serde_json::from_str(&text) {
        Ok(value) => Some(value),
        Err(error) => {
            decoder.error_hint(span, record.at("default"), format!("the default is not JSON: {error}"), AGAIN);
            None
        }
    });
    Some(FieldModel { name: name?.0.to_owned(), field_type, optional, reference, also, cardinality, default, ownership })
}

/// Returns a truth value; false where the key is absent.
fn truth(decoder: &mut Decoder<'_>, record: &Record<'_>, key: &str) -> bool {
    match record.get(key) {
        None => false,
        Some(Node { data: load::Data::Bool(value), .. }) => *value,
        Some(node) => {
            decoder.expected("`true` or `false`", node, &record.at(key), None);
            false
        }
    }
}

/// One word of an enumeration; its default where the key is absent.
fn word<T: DeserializeOwned + Default>(decoder: &mut Decoder<'_>, record: &Record<'_>, key: &str, words: &[&str]) -> T {
    let Some((text, span)) = decoder.optional_text(record, key) else { return T::default() };
    match serde_json::from_value(Value::from(text)) {
        Ok(value) => value,
        Err(_) => {
            let hint = suggest(text, words.iter().copied(), "known words").unwrap_or_default();
            decoder.error_hint(span, record.at(key), format!("unknown {key} `{text}`"), hint);
            T::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn sample() -> Generated {
        let field = |name: &str| FieldModel {
            name: name.to_owned(),
            field_type: FieldType::Text,
            optional: false,
            reference: None,
            also: Vec::new(),
            cardinality: Cardinality::Unknown,
            default: None,
            ownership: Ownership::Usual,
        };
        let site = FieldModel {
            field_type: FieldType::Any,
            optional: true,
            reference: Some("on".to_owned()),
            cardinality: Cardinality::One,
            ..field("site")
        };
        let parent = FieldModel {
            field_type: FieldType::Any,
            reference: Some("DcimDevice".to_owned()),
            also: vec!["on".to_owned()],
            ..field("parent")
        };
        let kind = |name: &str, fields: Vec<FieldModel>| KindModel {
            name: name.to_owned(),
            identifiers: vec!["name".to_owned()],
            tier: 1,
            deferred: Vec::new(),
            lookup: false,
            unique: Vec::new(),
            fields,
        };
        let mut device = kind("DcimDevice", vec![field("name"), site, field("weird: #\"name\n")]);
        device.deferred.push("site".to_owned());
        Generated {
            mapping_hash: "12e4".repeat(16),
            schema_hash: "af01".repeat(16),
            model: Model { kinds: vec![device, kind("on", vec![field("name"), parent])] },
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let generated = sample();
        let text = generated.to_text();
        assert_eq!(Generated::parse(&text, Path::new(GENERATED_FILE)).unwrap(), generated);
        assert_snapshot!(text, @r#"
        # The kinds of this sync, made by `infrahub-sync generate` from config.yml and the destination's schema.
        # Do not edit: change config.yml and generate again.
        format: 1
        mapping_hash: "12e412e412e412e412e412e412e412e412e412e412e412e412e412e412e412e4"
        schema_hash: af01af01af01af01af01af01af01af01af01af01af01af01af01af01af01af01
        kinds:
          - name: DcimDevice
            identifiers: [name]
            tier: 1
            deferred: [site]
            fields:
              - {name: name, type: text}
              - {name: site, reference: "on", cardinality: one, optional: true}
              - {name: "weird: #\"name\n", type: text}
          - name: "on"
            identifiers: [name]
            tier: 1
            fields:
              - {name: name, type: text}
              - {name: parent, reference: [DcimDevice, "on"]}
        "#);
    }

    #[test]
    fn an_empty_model_reads_back() {
        let generated = Generated { model: Model::default(), ..sample() };
        assert_eq!(Generated::parse(&generated.to_text(), Path::new(GENERATED_FILE)).unwrap(), generated);
    }

    #[test]
    fn a_reference_to_several_kinds_is_checked() {
        let told = |to: &str| {
            let text = sample().to_text().replace("[DcimDevice, \"on\"]", to);
            Generated::parse(&text, Path::new("m"))
                .map_or_else(|problems| problems.iter().map(|problem| problem.message.clone()).collect(), |_| Vec::new())
        };
        assert_eq!(told("[DcimDevice]"), Vec::<String>::new());
        assert_eq!(told("[DcimDevice, Nobody]"), ["`on.parent` refers to `Nobody`, which is not a kind of this file"]);
        assert_eq!(told("[DcimDevice, DcimDevice]"), ["the kind `DcimDevice` stands here twice"]);
    }

    #[test]
    fn identifier_of_several_kinds_and_kind_that_is_looked_up_read_back() {
        let mut generated = sample();
        generated.model.kinds[1].identifiers.push("parent".to_owned());
        generated.model.kinds[1].lookup = true;
        let text = generated.to_text();
        assert!(text.contains("    identifiers: [name, parent]\n    tier: 1\n    lookup: true\n    fields:"), "{text}");
        assert_eq!(Generated::parse(&text, Path::new(GENERATED_FILE)).unwrap(), generated);
        assert!(Generated::parse(&text.replace("lookup: true", "lookup: maybe"), Path::new("m")).is_err());
    }

    fn broken(from: &str, to: &str) -> String {
        let text = sample().to_text();
        assert!(text.contains(from), "{from}");
        let problems = Generated::parse(&text.replace(from, to), Path::new(GENERATED_FILE)).unwrap_err();
        problems.iter().map(|problem| format!("{problem}\n")).collect()
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "a list of cases")]
    fn an_edit_that_makes_no_sense_is_reported_with_its_line() {
        assert_snapshot!(broken("type: text", "type: txt"), @r#"
        error: unknown type `txt`
          --> infrahub-sync.models.yml:12:28 (kinds[0].fields[0].type)
           |
        12 |       - {name: name, type: txt}
           |                            ^^^

        hint: did you mean `text`?
        error: unknown type `txt`
          --> infrahub-sync.models.yml:14:42 (kinds[0].fields[2].type)
           |
        14 |       - {name: "weird: #\"name\n", type: txt}
           |                                          ^^^

        hint: did you mean `text`?
        error: unknown type `txt`
          --> infrahub-sync.models.yml:19:28 (kinds[1].fields[0].type)
           |
        19 |       - {name: name, type: txt}
           |                            ^^^

        hint: did you mean `text`?
        "#);
        assert_snapshot!(broken("format: 1", "format: 2\nnovelty: 1"), @r"
        error: these models have format 2, and this program reads formats up to 1
         --> infrahub-sync.models.yml:3:9 (format)
          |
        3 | format: 2
          |         ^

        hint: update infrahub-sync, or run `infrahub-sync generate` again
        ");
        assert_snapshot!(broken("identifiers: [name]", "identifiers: [nam]"), @r#"
        error: `nam` is not a field of this kind
         --> infrahub-sync.models.yml:8:19 (kinds[0].identifiers)
          |
        8 |     identifiers: [nam]
          |                   ^^^

        hint: its fields: `name`, `site`, `weird: #"name
        `; run `infrahub-sync generate` again
        error: `nam` is not a field of this kind
          --> infrahub-sync.models.yml:16:19 (kinds[1].identifiers)
           |
        16 |     identifiers: [nam]
           |                   ^^^

        hint: its fields: `name`, `parent`; run `infrahub-sync generate` again
        "#);
        assert_snapshot!(broken("reference: \"on\"", "reference: Of"), @r"
        error: `DcimDevice.site` refers to `Of`, which is not a kind of this file
         --> infrahub-sync.models.yml:7:5 (kinds)
          |
        7 |   - name: DcimDevice
          |     ^

        hint: run `infrahub-sync generate` again
        ");
        assert_snapshot!(broken("optional: true", "optional: maybe"), @r#"
        error: expected `true` or `false`, found text
          --> infrahub-sync.models.yml:13:67 (kinds[0].fields[1].optional)
           |
        13 |       - {name: site, reference: "on", cardinality: one, optional: maybe}
           |                                                                   ^^^^^
        "#);
        assert_snapshot!(broken("tier: 1", "teir: 1"), @r#"
        error: the key `tier` is missing
         --> infrahub-sync.models.yml:7:5 (kinds[0].tier)
          |
        7 |   - name: DcimDevice
          |     ^
        error: unknown key `teir`
         --> infrahub-sync.models.yml:9:5 (kinds[0].teir)
          |
        9 |     teir: 1
          |     ^^^^

        hint: did you mean `tier`?
        error: the key `tier` is missing
          --> infrahub-sync.models.yml:15:5 (kinds[1].tier)
           |
        15 |   - name: "on"
           |     ^
        error: unknown key `teir`
          --> infrahub-sync.models.yml:17:5 (kinds[1].teir)
           |
        17 |     teir: 1
           |     ^^^^

        hint: did you mean `tier`?
        "#);
    }
}
