//! The records in an answer.
//!
//! Systems wrap their lists in different ways: a list at the top, a list under the resource's name, under another name, or an object
//! whose values are the records.

use std::fmt;

use infrahub_sync_adapter::{Error, Page, Payload, Response, Result};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

/// Names of keys in a message about a missing list.
const KEYS_NAMED: usize = 12;

/// The place of the records in an answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    /// RFC 6901.
    pub(crate) pointer: String,
    pub(crate) shape: Shape,
}

/// The shape of the records at their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A list of objects.
    List,
    /// A list of texts or numbers.
    Texts,
    /// An object whose values are the objects.
    Map,
    /// One object.
    One,
    Empty,
}

/// Returns the last part of a mapping, without its query: the name under which many systems put the records.
pub(crate) fn last_segment(resource: &str) -> &str {
    let path = resource.split('?').next().unwrap_or(resource).trim_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

impl Answer {
    /// Finds the records. `pattern`: the setting `response_key_pattern`.
    pub(crate) fn find(response: &Response, resource: &str, pattern: Option<&str>) -> Result<Answer> {
        let name = last_segment(resource);
        let pattern = pattern.map(|pattern| pattern.replace("{resource}", name).replace("{default}", name));
        let named: Vec<String> = pattern.iter().flat_map(|pattern| pointers(pattern)).collect();
        // One object is taken for a record only where the project names the place.
        if let Some(answer) =
            named.iter().find_map(|pointer| shape(response, pointer).map(|shape| Answer { pointer: pointer.clone(), shape }))
        {
            return Ok(answer);
        }
        let usual = [String::new(), format!("/{}", escaped(name))];
        let is_list = |shape: &Shape| *shape != Shape::One;
        for pointer in usual {
            // An object at the top only wraps the list.
            if let Some(shape) = shape(response, &pointer).filter(|shape| is_list(shape) && !(pointer.is_empty() && *shape == Shape::Map)) {
                return Ok(Answer { pointer, shape });
            }
        }
        Answer::only_list(response, resource, name)
    }

    /// Finds the one list of an answer that has no list under the expected name.
    fn only_list(response: &Response, resource: &str, name: &str) -> Result<Answer> {
        let Entries(entries) = serde_json::from_slice(&response.body()).unwrap_or_default();
        let is_container = |value: &Value| value.is_array() || is_map(value);
        let same = entries.iter().find(|(key, value)| key.eq_ignore_ascii_case(name) && is_container(value));
        let only = |fits: &dyn Fn(&Value) -> bool| {
            let mut all = entries.iter().filter(|(_, value)| fits(value));
            all.next().filter(|_| all.next().is_none())
        };
        let is_full_map = |value: &Value| is_map(value) && value.as_object().is_some_and(|map| !map.is_empty());
        let found = same.or_else(|| only(&Value::is_array)).or_else(|| only(&is_full_map));
        let found = found.and_then(|(key, _)| {
            let pointer = format!("/{}", escaped(key));
            shape(response, &pointer).filter(|shape| *shape != Shape::One).map(|shape| Answer { pointer, shape })
        });
        found.ok_or_else(|| missing(response, resource, &entries))
    }

    /// Returns the number of records; none where it is not known without reading them.
    pub(crate) fn count(&self, response: &Response) -> Option<u64> {
        match self.shape {
            Shape::Empty => Some(0),
            Shape::One => Some(1),
            Shape::List | Shape::Texts => response.count(&self.pointer).map(u64::from),
            Shape::Map => {
                let json = response.json(&[&self.pointer]).pop().flatten()?;
                serde_json::from_str::<Map<String, Value>>(&json).ok().map(|map| map.len() as u64)
            }
        }
    }

    /// Makes a page of the records. `id`: the dotted path of their ids, if the project says it.
    pub(crate) fn page(&self, response: Response, id: Option<&str>) -> Result<Page> {
        let first = match self.shape {
            Shape::Empty => return Ok(Page::empty()),
            Shape::Texts => {
                let texts: Vec<Value> = response.get(&self.pointer)?;
                return Page::records(texts.into_iter().map(|text| json!({ "id": text, "name": text })));
            }
            Shape::One => return Page::records([response.get::<Value>(&self.pointer)?]),
            Shape::List => response.json(&[&format!("{}/0", self.pointer)]).pop().flatten(),
            Shape::Map => None,
        };
        let id = match (id, first) {
            (Some(path), _) => Some(format!("/{}", path.split('.').map(escaped).collect::<Vec<_>>().join("/"))),
            (None, Some(first)) => id_key(&first)?.map(|key| format!("/{}", escaped(&key))),
            // The keys of the object stand for missing ids.
            (None, None) => return Page::records(self.records(&response)?),
        };
        let mut page = Page::document(response, &self.pointer);
        if let (Payload::Document(document), Some(id)) = (&mut page.payload, id.filter(|id| id != "/id")) {
            document.projection.push(("id".to_owned(), id));
        }
        Ok(page)
    }

    /// Returns the records themselves, each with an `id` if one can be found.
    pub(crate) fn records(&self, response: &Response) -> Result<Vec<Value>> {
        let mut records: Vec<(Option<String>, Map<String, Value>)> = match self.shape {
            Shape::Empty | Shape::Texts => Vec::new(),
            Shape::One => vec![(None, response.get(&self.pointer)?)],
            Shape::List => response.get::<Vec<Map<String, Value>>>(&self.pointer)?.into_iter().map(|record| (None, record)).collect(),
            Shape::Map => {
                let all: Map<String, Value> = response.get(&self.pointer)?;
                let objects = all.into_iter().filter_map(|(key, value)| match value {
                    Value::Object(record) => Some((Some(key), record)),
                    _ => None,
                });
                objects.collect()
            }
        };
        for (key, record) in &mut records {
            if !record.get("id").is_some_and(is_given) {
                let named = record.iter().find(|(name, value)| name.ends_with("_id") && is_given(value)).map(|(_, value)| value.clone());
                if let Some(id) = named.or_else(|| key.take().map(Value::String)) {
                    record.insert("id".to_owned(), id);
                }
            }
        }
        Ok(records.into_iter().map(|(_, record)| Value::Object(record)).collect())
    }
}

/// Returns the pointers that a key, a dotted path or a pointer may stand for.
fn pointers(text: &str) -> Vec<String> {
    if text.starts_with('/') {
        return vec![text.to_owned()];
    }
    let flat = format!("/{}", escaped(text));
    let dotted = format!("/{}", text.split('.').map(escaped).collect::<Vec<_>>().join("/"));
    if flat == dotted { vec![flat] } else { vec![flat, dotted] }
}

/// Returns a pointer for a setting that names a place in an answer.
pub(crate) fn pointer(text: &str) -> String {
    pointers(text).pop().unwrap_or_default()
}

pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Returns the shape of the records at a pointer; none where there are none.
fn shape(response: &Response, pointer: &str) -> Option<Shape> {
    if let Some(count) = response.count(pointer) {
        let first = response.json(&[&format!("{pointer}/0")]).pop().flatten();
        return Some(match first {
            _ if count == 0 => Shape::Empty,
            Some(first) if first.starts_with('{') => Shape::List,
            Some(first) if first.starts_with('[') || first == "null" => return None,
            _ => Shape::Texts,
        });
    }
    // An object at the top may be the whole body: only its kind is wanted.
    if pointer.is_empty() {
        return None;
    }
    let json = response.json(&[pointer]).pop().flatten()?;
    match json.as_bytes().first()? {
        b'n' => Some(Shape::Empty),
        b'{' => Some(match serde_json::from_str::<Value>(&json).ok()? {
            Value::Object(values) if values.is_empty() => Shape::Empty,
            values if is_map(&values) => Shape::Map,
            _ => Shape::One,
        }),
        _ => None,
    }
}

/// Returns whether a value counts as an id.
fn is_given(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}

/// Returns the key of a record's id: `id`, else the first one that ends in `_id`; none for `id` itself.
pub(crate) fn id_key(record: &str) -> Result<Option<String>> {
    let Entries(entries) = serde_json::from_str(record).unwrap_or_default();
    let is_id = |(key, value): &&(String, Value)| key == "id" && is_given(value);
    if entries.iter().any(|entry| is_id(&entry)) {
        return Ok(None);
    }
    match entries.into_iter().find(|(key, value)| key.ends_with("_id") && is_given(value)) {
        Some((key, _)) => Ok(Some(key)),
        None => {
            Err(Error::config("the records have neither an `id` nor a field that ends in `_id`: say with `id` which field identifies them"))
        }
    }
}

fn missing(response: &Response, resource: &str, entries: &[(String, Value)]) -> Error {
    if entries.is_empty() {
        return crate::API.unexpected(resource, response);
    }
    let is_refusal = entries.iter().any(|(key, _)| ["error", "message", "detail"].contains(&key.as_str()));
    let said = response.detail().filter(|_| is_refusal).map(|said| format!(" ({said})")).unwrap_or_default();
    let named: Vec<String> = entries.iter().take(KEYS_NAMED).map(|(key, _)| format!("`{key}`")).collect();
    let more = if entries.len() > KEYS_NAMED { ", …" } else { "" };
    Error::config(format!(
        "the answer for `{resource}` has no list that stands out{said}: its keys are {}{more}; say with `response_key_pattern` where the records are",
        named.join(", ")
    ))
}

/// The entries of an object, in their order.
#[derive(Default)]
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
        deserializer.deserialize_map(EntriesVisitor).map(Entries)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

fn is_map(value: &Value) -> bool {
    value.as_object().is_some_and(|values| values.values().all(Value::is_object))
}
