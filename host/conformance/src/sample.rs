//! Files and rows that the suite makes itself.

use std::io;
use std::path::Path;

use infrahub_sync_runtime::{Field, FieldType, Kind, LoadRequest, Operation, WriteRequest};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// The list in the sample files.
pub(crate) const THINGS: &str = "things";

/// The formats of sample files: those that a folder of data usually has.
pub(crate) const FORMATS: [&str; 4] = ["json", "jsonl", "csv", "yaml"];

/// Things in a sample file.
const COUNT: usize = 7;

/// What is read of the sample files.
pub(crate) fn request(page_size: u32) -> LoadRequest {
    let fields = ["note", "number", "title"].map(str::to_owned).to_vec();
    LoadRequest { resource: THINGS.to_owned(), fields, page_size, ..LoadRequest::default() }
}

/// The sample in that format.
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

/// A folder with the sample in that format.
pub(crate) fn folder(format: &str) -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join(format!("{THINGS}.{format}")), text(format))?;
    Ok(folder)
}

/// Contents of files that are none of that format.
pub(crate) fn broken(format: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut broken = vec![("bytes that are no text", b"\xff\xfe\x00\x80things\xff\n\xff".to_vec())];
    if format != "csv" {
        let mut text = text(format);
        // In the middle of the last record.
        let cut = text.rfind("number").unwrap_or(text.len() / 2);
        text.truncate(cut);
        broken.push(("a file that is cut in the middle of a record", text.into_bytes()));
    }
    broken
}

/// A folder to be written to: empty, or with the files of the project's.
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
    pub(crate) identifiers: Vec<String>,
    /// The fields of a row: name and type.
    pub(crate) fields: Vec<(String, FieldType, Vec<String>)>,
    /// A field of text that is no identifier, to be changed.
    pub(crate) text: Option<String>,
    pub(crate) can_update: bool,
    pub(crate) can_delete: bool,
}

/// The name of the kind that is written where the destination has no schema.
const KIND: &str = "ConformanceThing";

impl Shape {
    /// A kind of the suite's own, for destinations without a schema.
    pub(crate) fn own() -> Shape {
        let field = |name: &str, field_type| (name.to_owned(), field_type, Vec::new());
        Shape {
            kind: KIND.to_owned(),
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

    /// The first kind that can be written without knowing more about it than its schema: preferably one of those named, and one that can be
    /// changed and deleted.
    pub(crate) fn of(kinds: &[Kind], preferred: &[String]) -> Option<Shape> {
        let mut shapes: Vec<Shape> = kinds.iter().filter_map(Shape::of_kind).collect();
        shapes.sort_by_key(|shape| (!(shape.text.is_some() && shape.can_update && shape.can_delete), !preferred.contains(&shape.kind)));
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
        let plain = |field: &Field| !field.read_only && field.reference.is_none();
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
            fields: fields.iter().map(|field| (field.name.clone(), field.field_type, field.choices.clone())).collect(),
            text: text.map(|field| field.name.clone()),
            identifiers,
            can_update: kind.can_update,
            can_delete: kind.can_delete,
        })
    }

    /// The fields of row `at` of a batch.
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

    /// A row.
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

    /// A batch of rows.
    pub(crate) fn request(&self, operation: Operation, rows: &[Value]) -> WriteRequest {
        WriteRequest {
            kind: self.kind.clone(),
            resource: Some(self.kind.clone()),
            operation,
            identifiers: self.identifiers.clone(),
            references: Vec::new(),
            rows: rows.iter().map(|row| format!("{row}\n")).collect(),
            count: u32::try_from(rows.len()).unwrap_or(u32::MAX),
        }
    }

    /// The request that reads the kind back.
    pub(crate) fn read_back(&self, page_size: u32) -> LoadRequest {
        let names = || self.fields.iter().map(|(name, ..)| name.clone());
        LoadRequest {
            resource: self.kind.clone(),
            fields: names().collect(),
            model: names().map(|name| (name, false)).collect(),
            page_size,
            ..LoadRequest::default()
        }
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
            reference: None,
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
            can_create: true,
            can_update: true,
            can_delete: true,
        }
    }

    #[test]
    fn a_kind_that_needs_a_peer_is_passed_over() {
        let peer = Field { optional: false, reference: Some("Site".into()), ..field("site", FieldType::Reference) };
        let port = Field { optional: false, ..field("port", FieldType::Integer) };
        let kinds = [
            kind("Device", vec![field("name", FieldType::Text), peer]),
            kind("Plain", vec![field("name", FieldType::Text)]),
            kind("Rich", vec![field("name", FieldType::Text), field("note", FieldType::Text), port]),
        ];
        let shape = Shape::of(&kinds, &[]).unwrap();
        assert_eq!((shape.kind.as_str(), shape.text.as_deref()), ("Rich", Some("note")));
        let fields = shape.fields("a", 0);
        assert_eq!(Value::Object(fields.clone()), json!({"name": "conformance a 1", "note": "conformance a 1", "port": 1}));
        assert_eq!(shape.row(None, &fields, None), json!({"key": {"name": "conformance a 1"}}));
        assert_eq!(Shape::of(&kinds[..2], &[]).unwrap().kind, "Plain");
        assert!(Shape::of(&kinds[..1], &[]).is_none());
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
