//! The files and rows that the suite makes itself.

use std::io;
use std::path::Path;

use infrahub_sync_runtime::{Addressing, Field, FieldType, Kind, LoadRequest, Operation, Target, TargetField, WriteRequest};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::records::Record;

/// The list in the sample files.
pub(crate) const THINGS: &str = "things";

/// The formats of sample files: those that a folder of data usually has.
pub(crate) const FORMATS: [&str; 4] = ["json", "jsonl", "csv", "yaml"];

/// Things in a sample file.
const COUNT: usize = 7;

/// Returns the request that reads the sample files.
pub(crate) fn request(page_size: u32) -> LoadRequest {
    let fields = ["note", "number", "title"].map(str::to_owned).to_vec();
    let targets = vec![of_fields("Thing", Some(THINGS.to_owned()), &fields)];
    LoadRequest { resource: THINGS.to_owned(), targets, fields, page_size, ..LoadRequest::default() }
}

/// Returns a target with these fields, each at the path of its name.
pub(crate) fn of_fields(kind: &str, resource: Option<String>, names: &[String]) -> Target {
    let field = |name: &String| TargetField { name: name.clone(), ..TargetField::default() };
    Target { kind: kind.to_owned(), resource, fields: names.iter().map(field).collect() }
}

/// Returns the target of a kind in a system that is addressed by kind, with all its fields.
pub(crate) fn of_kind(kind: &Kind) -> Target {
    let field = |field: &Field| TargetField {
        name: field.name.clone(),
        path: None,
        peers: field.references.clone(),
        many: field.field_type == FieldType::ReferenceList,
        identifier: kind.identifiers.contains(&field.name),
    };
    let mut fields: Vec<TargetField> = kind.fields.iter().map(field).collect();
    let place = |field: &TargetField| kind.identifiers.iter().position(|name| *name == field.name).unwrap_or(usize::MAX);
    fields.sort_by_key(place);
    Target { kind: kind.name.clone(), resource: None, fields }
}

/// Returns the sample in that format.
pub(crate) fn text(format: &str) -> String {
    let things: Vec<Value> = (1..=COUNT)
        .map(|at| json!({ "id": at, "title": format!("thing {at}"), "number": at * 10, "note": "Zürich, \"north\"\n✓" }))
        .collect();
    let lines = |line: &dyn Fn(&Value) -> String| things.iter().map(line).collect::<String>();
    match format {
        "jsonl" => lines(&|thing| format!("{thing}\n")),
        // JSON objects are YAML, too.
        "yaml" => lines(&|thing| format!("- {thing}\n")),
        "csv" => {
            let quoted = |value: &Value| format!("\"{}\"", value.as_str().unwrap_or_default().replace('"', "\"\""));
            let row =
                |thing: &Value| format!("{},{},{},{}\n", thing["id"], quoted(&thing["title"]), thing["number"], quoted(&thing["note"]));
            format!("id,title,number,note\n{}", lines(&row))
        }
        _ => Value::Array(things.clone()).to_string(),
    }
}

/// Makes a folder with the sample in that format.
pub(crate) fn folder(format: &str) -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join(format!("{THINGS}.{format}")), text(format))?;
    Ok(folder)
}

/// Returns contents of files that do not have that format.
pub(crate) fn broken(format: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut broken = vec![("bytes that are not text", b"\xff\xfe\x00\x80things\xff\n\xff".to_vec())];
    if format != "csv" {
        let mut text = text(format);
        // In the middle of the last record.
        let cut = text.rfind("number").unwrap_or(text.len() / 2);
        text.truncate(cut);
        broken.push(("a file that is cut in the middle of a record", text.into_bytes()));
    }
    broken
}

/// Makes a folder to write to: empty, or with the files of the project's.
pub(crate) fn copy(of: Option<&Path>) -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for entry in of.into_iter().flat_map(|of| std::fs::read_dir(of).into_iter().flatten()) {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
        }
    }
    Ok(folder)
}

/// A kind that rows can be made for.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) kind: String,
    /// The place of the kind in a system that is addressed by mapping.
    pub(crate) place: Option<Target>,
    /// Objects of other kinds are deleted along with one of this kind.
    pub(crate) cascades: bool,
    pub(crate) identifiers: Vec<String>,
    /// The fields of a row: name and type.
    pub(crate) fields: Vec<(String, FieldType, Vec<String>)>,
    /// A field of text that is not an identifier, to be changed.
    pub(crate) text: Option<String>,
    pub(crate) can_update: bool,
    pub(crate) can_delete: bool,
}

/// The name of the kind that is written where the destination has no schema.
const KIND: &str = "ConformanceThing";
/// The name of a field that is a text in any system.
const TEXT: &str = "description";

impl Shape {
    /// Returns a kind of the suite's own, for destinations without a schema.
    pub(crate) fn own() -> Shape {
        let field = |name: &str, field_type| (name.to_owned(), field_type, Vec::new());
        Shape {
            kind: KIND.to_owned(),
            place: None,
            cascades: false,
            identifiers: vec!["name".to_owned()],
            fields: vec![
                field("name", FieldType::Text),
                field("active", FieldType::Boolean),
                field("description", FieldType::Text),
                field("size", FieldType::Integer),
            ],
            text: Some("description".to_owned()),
            can_update: true,
            can_delete: true,
        }
    }

    /// Returns a kind of the project in a system that is addressed by mapping and has no schema: it can be written if no identifier refers to
    /// a peer. Only a field with the name `description` counts as a text that can be changed; the types of others are unknown.
    pub(crate) fn of_target(target: &Target) -> Option<Shape> {
        let mut fields: Vec<&TargetField> = target.fields.iter().filter(|field| field.identifier).collect();
        if fields.is_empty() || fields.iter().any(|field| !field.peers.is_empty()) {
            return None;
        }
        let identifiers = fields.iter().map(|field| field.name.clone()).collect();
        let text = target.fields.iter().find(|field| field.name == TEXT && !field.identifier && field.peers.is_empty());
        fields.extend(text);
        Some(Shape {
            kind: target.kind.clone(),
            place: Some(target.clone()),
            cascades: false,
            identifiers,
            fields: fields.iter().map(|field| (field.name.clone(), FieldType::Text, Vec::new())).collect(),
            text: text.map(|field| field.name.clone()),
            can_update: true,
            can_delete: true,
        })
    }

    /// Returns the first kind that can be written by its schema alone: preferably one of the project's, and one that can be changed and
    /// deleted. Where the system is addressed by mapping, only the kinds and fields of the project can be written.
    pub(crate) fn of(kinds: &[Kind], targets: &[Target], addressing: Addressing) -> Option<Shape> {
        let place = |kind: &Kind| targets.iter().find(|target| target.kind == kind.name);
        let shape = |kind: &Kind| match addressing {
            Addressing::Kind => Shape::of_kind(kind),
            Addressing::Mapping => {
                let place = place(kind)?;
                let mut shape = Shape::of_kind(kind)?;
                let has = |name: &String| place.fields.iter().any(|field| field.name == *name);
                shape.text = shape.text.filter(has);
                shape.place = Some(place.clone());
                shape.fields.iter().all(|(name, ..)| has(name)).then_some(shape)
            }
        };
        let mut shapes: Vec<Shape> = kinds.iter().filter_map(shape).collect();
        let is_preferred = |shape: &Shape| targets.iter().any(|target| target.kind == shape.kind);
        shapes.sort_by_key(|shape| (!(shape.text.is_some() && shape.can_update && shape.can_delete), !is_preferred(shape)));
        shapes.into_iter().next()
    }

    fn of_kind(kind: &Kind) -> Option<Shape> {
        let known = |name: &String| kind.fields.iter().find(|field| field.name == *name);
        let is_text = |field: &Field| field.field_type == FieldType::Text && field.choices.is_empty();
        let identifiers = match kind.identifiers.as_slice() {
            [] => {
                kind.fields.iter().find(|field| field.unique && is_text(field) && !field.read_only).map(|field| vec![field.name.clone()])?
            }
            named => named.to_vec(),
        };
        let names: Option<Vec<&Field>> = identifiers.iter().map(known).collect();
        let plain = |field: &Field| !field.read_only && field.references.is_empty();
        if !kind.can_create || !names?.into_iter().all(|field| is_text(field) && plain(field)) {
            return None;
        }
        let needed = |field: &&Field| !field.optional && field.default.is_none() && !field.read_only;
        let mut fields: Vec<&Field> = kind.fields.iter().filter(needed).collect();
        if fields.iter().any(|field| !plain(field)) {
            return None;
        }
        for name in &identifiers {
            if let Some(field) = known(name).filter(|field| !fields.contains(field)) {
                fields.push(field);
            }
        }
        let free = |field: &&Field| is_text(field) && plain(field) && !field.unique && !identifiers.contains(&field.name);
        let text = kind.fields.iter().filter(free).max_by_key(|field| field.name == "description");
        if let Some(text) = text.filter(|text| !fields.contains(text)) {
            fields.push(text);
        }
        Some(Shape {
            kind: kind.name.clone(),
            place: None,
            cascades: !kind.cascades.is_empty(),
            fields: fields.iter().map(|field| (field.name.clone(), field.field_type, field.choices.clone())).collect(),
            text: text.map(|field| field.name.clone()),
            identifiers,
            can_update: kind.can_update,
            can_delete: kind.can_delete,
        })
    }

    /// Returns the fields of row `at` of a batch.
    pub(crate) fn fields(&self, batch: &str, at: usize) -> Map<String, Value> {
        let value = |(name, field_type, choices): &(String, FieldType, Vec<String>)| {
            let value = match (choices.first(), field_type) {
                (Some(choice), _) => json!(choice),
                (None, FieldType::Boolean) => json!(true),
                (None, FieldType::Integer) => json!(at + 1),
                (None, FieldType::Float) => json!(1.5),
                (None, FieldType::Timestamp) => json!("2026-01-01T00:00:00Z"),
                (None, FieldType::IpInterface) => json!(format!("192.0.2.{}/24", at + 1)),
                (None, FieldType::IpNetwork) => json!(format!("198.51.{}.0/24", at + 1)),
                (None, FieldType::IpAddress) => json!(format!("192.0.2.{}", at + 1)),
                (None, FieldType::Mac) => json!(format!("02:00:00:00:00:{:02X}", at + 1)),
                (None, FieldType::Json) => json!({ "number": at }),
                (None, FieldType::List) => json!([batch]),
                (None, _) => json!(format!("conformance {batch} {}", at + 1)),
            };
            (name.clone(), value)
        };
        self.fields.iter().map(value).collect()
    }

    /// Returns a row.
    pub(crate) fn row(&self, id: Option<&String>, identity: &Map<String, Value>, fields: Option<Map<String, Value>>) -> Value {
        let key: Map<String, Value> =
            self.identifiers.iter().filter_map(|name| Some((name.clone(), identity.get(name)?.clone()))).collect();
        let mut row = json!({ "key": key });
        if let Some(row) = row.as_object_mut() {
            if let Some(id) = id {
                row.insert("id".to_owned(), json!(id));
            }
            if let Some(fields) = fields {
                row.insert("fields".to_owned(), Value::Object(fields));
            }
        }
        row
    }

    /// Returns the kind and its place in the system, with the fields of the rows.
    pub(crate) fn target(&self) -> Target {
        let field = |name: &String| TargetField {
            name: name.clone(),
            path: self.path(name).map(str::to_owned),
            identifier: self.identifiers.contains(name),
            ..TargetField::default()
        };
        let others = self.fields.iter().map(|(name, ..)| name).filter(|name| !self.identifiers.contains(name));
        Target {
            kind: self.kind.clone(),
            resource: self.place.as_ref().and_then(|place| place.resource.clone()),
            fields: self.identifiers.iter().chain(others).map(field).collect(),
        }
    }

    fn path(&self, name: &str) -> Option<&str> {
        self.place.as_ref()?.fields.iter().find(|field| field.name == name)?.path.as_deref()
    }

    /// Returns a batch of rows.
    pub(crate) fn request(&self, operation: Operation, rows: &[Value]) -> WriteRequest {
        WriteRequest {
            target: self.target(),
            operation,
            rows: rows.iter().map(|row| format!("{row}\n")).collect(),
            count: u32::try_from(rows.len()).unwrap_or(u32::MAX),
        }
    }

    /// Returns the request that reads the kind back.
    pub(crate) fn read_back(&self, page_size: u32) -> LoadRequest {
        let target = self.target();
        LoadRequest {
            resource: target.resource.clone().unwrap_or_else(|| self.kind.clone()),
            fields: target.fields.iter().map(|field| field.path.clone().unwrap_or_else(|| field.name.clone())).collect(),
            targets: vec![target],
            page_size,
            ..LoadRequest::default()
        }
    }

    /// Returns a record that was read back, with the names of the model in place of the system's paths.
    pub(crate) fn named(&self, mut record: Record) -> Record {
        let moved: Vec<(String, Option<Value>)> =
            self.fields.iter().filter_map(|(name, ..)| Some((name.clone(), record.remove(self.path(name)?)))).collect();
        record.extend(moved.into_iter().filter_map(|(name, value)| Some((name, value?))));
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, field_type: FieldType) -> Field {
        Field {
            name: name.into(),
            field_type,
            optional: true,
            unique: false,
            read_only: false,
            references: Vec::new(),
            choices: Vec::new(),
            default: None,
        }
    }

    fn kind(name: &str, fields: Vec<Field>) -> Kind {
        Kind {
            name: name.into(),
            identifiers: vec!["name".into()],
            fields,
            stands_for: Vec::new(),
            cascades: Vec::new(),
            unique_together: Vec::new(),
            can_create: true,
            can_update: true,
            can_delete: true,
        }
    }

    #[test]
    fn a_target_without_a_schema_has_texts_that_are_written() {
        let mut target = of_fields("Box", Some("boxes".into()), &["name".to_owned()]);
        target.fields[0].identifier = true;
        let more = ["size", "description"].map(|name| TargetField { name: name.into(), ..TargetField::default() });
        target.fields.extend(more);
        let shape = Shape::of_target(&target).unwrap();
        let names: Vec<&str> = shape.fields.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!((names, shape.text.as_deref()), (vec!["name", "description"], Some("description")));
        assert_eq!(shape.target().resource.as_deref(), Some("boxes"));
        target.fields[0].peers = vec!["Site".into()];
        assert!(Shape::of_target(&target).is_none(), "a key with a peer needs more than a text");
        target.fields.clear();
        assert!(Shape::of_target(&target).is_none());
    }

    #[test]
    fn a_kind_that_needs_a_peer_is_passed_over() {
        let peer = Field { optional: false, references: vec!["Site".into()], ..field("site", FieldType::Reference) };
        let port = Field { optional: false, ..field("port", FieldType::Integer) };
        let kinds = [
            kind("Device", vec![field("name", FieldType::Text), peer]),
            kind("Plain", vec![field("name", FieldType::Text)]),
            kind("Rich", vec![field("name", FieldType::Text), field("note", FieldType::Text), port]),
        ];
        let shape = Shape::of(&kinds, &[], Addressing::Kind).unwrap();
        assert_eq!((shape.kind.as_str(), shape.text.as_deref()), ("Rich", Some("note")));
        let fields = shape.fields("a", 0);
        assert_eq!(Value::Object(fields.clone()), json!({"name": "conformance a 1", "note": "conformance a 1", "port": 1}));
        assert_eq!(shape.row(None, &fields, None), json!({"key": {"name": "conformance a 1"}}));
        assert_eq!(Shape::of(&kinds[..2], &[], Addressing::Kind).unwrap().kind, "Plain");
        assert!(Shape::of(&kinds[..1], &[], Addressing::Kind).is_none());
    }

    #[test]
    fn a_mapped_kind_is_written_and_read_back_at_its_place() {
        let kinds = [kind("Tag", vec![field("name", FieldType::Text), field("note", FieldType::Text)])];
        assert!(Shape::of(&kinds, &[], Addressing::Mapping).is_none());
        let mut place = of_fields("Tag", Some("extras.tags".into()), &["name".into()]);
        assert!(Shape::of(&kinds, std::slice::from_ref(&place), Addressing::Mapping).is_none(), "`note` has no place");
        place.fields.push(TargetField { name: "note".into(), path: Some("note.text".into()), ..TargetField::default() });
        let shape = Shape::of(&kinds, &[place], Addressing::Mapping).unwrap();
        let request = shape.read_back(10);
        assert_eq!((request.resource.as_str(), request.fields.join(" ").as_str()), ("extras.tags", "name note.text"));
        let target = shape.request(Operation::Create, &[]).target;
        assert!(target == request.targets[0] && target.fields[0].identifier && !target.fields[1].identifier);
        let record = Record::from([("name".into(), json!("a")), ("note.text".into(), json!("b"))]);
        assert_eq!(serde_json::to_value(shape.named(record)).unwrap(), json!({"name": "a", "note": "b"}));
    }

    #[test]
    fn every_format_has_the_same_things() {
        let json: Vec<Value> = serde_json::from_str(&text("json")).unwrap();
        let lines: Vec<Value> = text("jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(json, lines);
        assert_eq!(text("yaml").lines().count(), json.len());
        // A line of the header, and a line break within each note.
        assert_eq!(text("csv").lines().count(), 1 + 2 * json.len());
        assert!(serde_json::from_slice::<Value>(&broken("json")[1].1).is_err());
    }
}
