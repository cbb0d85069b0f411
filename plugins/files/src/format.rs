//! Knows the formats: their file names, and how they write objects.

use std::collections::{BTreeMap, BTreeSet};

use infrahub_sync_adapter::serde_json::{self, Value, value::RawValue};
use infrahub_sync_adapter::{Error, Result};
use serde::Serialize;

use crate::object::Object;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON document.
    Json,
    /// One JSON object a line.
    JsonLines,
    /// A table with a header.
    Csv,
    /// One YAML document.
    Yaml,
}

impl Format {
    pub(crate) const ALL: [Format; 4] = [Format::Json, Format::JsonLines, Format::Csv, Format::Yaml];

    /// Returns the format of that name in the setting.
    pub(crate) fn named(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.extensions().contains(&name.to_ascii_lowercase().as_str()))
    }

    /// Returns the extensions of its files; the first one is for writing.
    pub(crate) fn extensions(self) -> &'static [&'static str] {
        match self {
            Format::Json => &["json"],
            Format::JsonLines => &["jsonl", "ndjson"],
            Format::Csv => &["csv", "tsv"],
            Format::Yaml => &["yaml", "yml"],
        }
    }

    /// Returns the file of a kind.
    pub(crate) fn file(self, kind: &str) -> String {
        format!("{kind}.{}", self.extensions().first().copied().unwrap_or_default())
    }

    /// Returns a file without objects.
    pub(crate) fn empty(self) -> &'static [u8] {
        match self {
            Format::JsonLines | Format::Csv => b"",
            Format::Json | Format::Yaml => b"[]\n",
        }
    }
}

/// Writes the whole file of these objects, each a JSON text of one line. Not for JSON lines, which are streamed.
pub(crate) fn render(format: Format, objects: &[String], identifiers: &[String]) -> Result<Vec<u8>> {
    match format {
        _ if objects.is_empty() && format != Format::Csv => Ok(format.empty().to_vec()),
        Format::JsonLines => Ok(objects.iter().flat_map(|object| [object, "\n"]).collect::<String>().into_bytes()),
        // One object a line, so that a version control system shows the changed ones.
        Format::Json => Ok(format!("[\n{}\n]\n", objects.join(",\n")).into_bytes()),
        Format::Yaml => {
            let mut text = Vec::new();
            for object in objects {
                let object = Object::parse(object.as_bytes()).map_err(|error| unprintable(&error))?;
                serde_yaml::to_writer(&mut text, &[InOrder(&object, identifiers)]).map_err(|error| unprintable(&error))?;
            }
            Ok(text)
        }
        Format::Csv => csv(objects, identifiers),
    }
}

/// Makes the failure of a defect: all input here is this adapter's own JSON.
fn unprintable(error: &dyn std::fmt::Display) -> Error {
    Error::internal(format!("an object cannot be written: {error}"))
}

/// An object whose identifiers come first.
struct InOrder<'o>(&'o Object, &'o [String]);

impl Serialize for InOrder<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.in_order(self.1).map(|(name, value)| (name, InYaml(value))))
    }
}

/// A value for YAML. Whole numbers keep their digits up to 128 bits; serde_yaml writes others as it writes floats.
struct InYaml<'v>(&'v RawValue);

impl Serialize for InYaml<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        let json = self.0.get();
        match json.as_bytes().first() {
            Some(b'{') => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).map_err(Error::custom)?;
                serializer.collect_map(members.into_iter().map(|(name, value)| (name, InYaml(value))))
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(json).map_err(Error::custom)?;
                serializer.collect_seq(items.into_iter().map(InYaml))
            }
            Some(b'-' | b'0'..=b'9') => match json.parse::<i128>() {
                Ok(whole) => serializer.serialize_i128(whole),
                Err(_) => serializer.serialize_f64(json.parse().map_err(Error::custom)?),
            },
            _ => serde_json::from_str::<Value>(json).map_err(Error::custom)?.serialize(serializer),
        }
    }
}

/// Writes CSV. The header has every field of any object: identifiers first, then by name.
fn csv(objects: &[String], identifiers: &[String]) -> Result<Vec<u8>> {
    let objects =
        objects.iter().map(|object| Object::parse(object.as_bytes()).map_err(|error| unprintable(&error))).collect::<Result<Vec<_>>>()?;
    let others: BTreeSet<&str> = objects.iter().flat_map(Object::names).collect();
    let others = others.into_iter().filter(|name| identifiers.iter().all(|identifier| identifier != name));
    let header: Vec<&str> = identifiers.iter().map(String::as_str).chain(others).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    if !header.is_empty() {
        writer.write_record(&header).map_err(|error| unprintable(&error))?;
    }
    for object in &objects {
        let cells = header.iter().map(|name| object.get(name).map_or_else(String::new, cell));
        writer.write_record(cells).map_err(|error| unprintable(&error))?;
    }
    writer.into_inner().map_err(|error| unprintable(&error.error()))
}

/// Writes a value as a cell: text as it is, other values as JSON. Text that would be read as JSON (`123`, `true`) is written as JSON too, in
/// quotes, and so is the empty text: an empty cell is an unset field.
fn cell(value: &RawValue) -> String {
    match serde_json::from_str::<String>(value.get()) {
        Ok(text) if !text.is_empty() && serde_json::from_str::<serde::de::IgnoredAny>(&text).is_err() => text,
        _ => value.get().to_owned(),
    }
}

/// Returns the JSON text of a cell that [`cell`] wrote; none for an empty one.
pub(crate) fn cell_json(cell: &str) -> Option<String> {
    if cell.is_empty() {
        return None;
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(cell) {
        Ok(_) => Some(crate::object::compact(cell)),
        Err(_) => Some(Value::from(cell).to_string()),
    }
}
