//! Tags as plain names.
//!
//! A project may map tags as a kind and refer to it. One that does not gets their names, as a sorted list, and writes names: each system
//! has one tag of a name, and takes `{"name": …}` for it. The tags must exist.

use infrahub_sync_adapter::{Error, LoadRequest, Page, Payload, Result, TargetField};
use serde_json::{Map, Value, json};

use crate::body::text;

/// The member of each list.
pub(crate) const TAGS: &str = "tags";

/// Says whether a field has the names of tags.
pub(crate) fn is_plain(field: &TargetField) -> bool {
    !field.is_reference() && field.read_path() == TAGS
}

/// Says whether the tags of a load are read as names: no field refers to them, and no transform or filter looks inside.
pub(crate) fn are_plain(request: &LoadRequest) -> bool {
    let mut at_tags = request.targets.iter().flat_map(|target| &target.fields).filter(|field| field.split_path().0 == TAGS).peekable();
    let is_named = at_tags.peek().is_some() && at_tags.all(is_plain);
    is_named && request.fields.iter().filter(|path| path.split('.').next() == Some(TAGS)).all(|path| path == TAGS)
}

/// Puts names in place of the tags of a page.
pub(crate) fn named(request: &LoadRequest, mut page: Page) -> Result<Page> {
    if !are_plain(request) {
        return Ok(page);
    }
    let Payload::Document(document) = &page.payload else { return Ok(page) };
    let records: Vec<Map<String, Value>> = document.response.get(&document.pointer)?;
    let mut lines = Vec::new();
    for mut record in records {
        if let Some(tags) = record.get_mut(TAGS) {
            let names = tags.as_array().into_iter().flatten().filter_map(|tag| tag.get("name")?.as_str());
            let mut names: Vec<String> = names.map(str::to_owned).collect();
            names.sort_unstable();
            *tags = json!(names);
        }
        serde_json::to_writer(&mut lines, &record).map_err(|error| Error::internal(error.to_string()))?;
        lines.push(b'\n');
    }
    page.payload = Payload::JsonLines(lines);
    Ok(page)
}

/// Returns tags as they are written: by their names.
pub(crate) fn written(value: &Value) -> Value {
    let one = |tag: &Value| if tag.is_object() { tag.clone() } else { json!({ "name": text(tag) }) };
    value.as_array().into_iter().flatten().map(one).collect()
}
