//! Writes no change over one of another user.
//!
//! The host looks at the objects after the run has begun, and a system with `If-Match` rejects changes of objects that were saved since they were
//! read. Between the two, an object may have been saved by another user. So the objects of a request are read again: one that was saved since
//! the run began, and not by this run alone as the change log says, is a conflict. The others are written under their tags.

use std::collections::{BTreeMap, BTreeSet};

use infrahub_sync_adapter::{Moment, Query, Result, http};
use serde::Deserialize;
use serde_json::Value;

use crate::Api;
use crate::begin::Note;
use crate::body::text;
use crate::changes::type_of_list;

/// The objects of a request as they are now.
#[derive(Debug, Default)]
pub(crate) struct Locked {
    /// The tags by id. An object without a tag is written without a lock.
    pub(crate) tags: BTreeMap<String, String>,
    /// Objects that another user has saved since the run began.
    pub(crate) foreign: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Entry {
    time: String,
    changed_object_id: Value,
    #[serde(default)]
    message: String,
}

/// Reads the tags of some objects of a list.
pub(crate) fn lock(api: &Api, path: &str, resource: &str, note: &Note, ids: &[String]) -> Result<Locked> {
    let (field, _) = api.system.updated;
    let query = Query::new(path).with("limit", api.system.page_size).with("fields", format!("id,{field}"));
    let query = ids.iter().fold(query, |query, id| query.with("id", id));
    let records: Vec<Value> = api.names().success(resource, http::get(query).send()?)?.get("/results")?;
    let mut locked = Locked::default();
    let mut suspects = BTreeSet::new();
    for record in &records {
        let (Some(id), Some(saved)) = (record.get("id").map(text), record.get(field).and_then(Value::as_str)) else { continue };
        let is_later = saved.parse::<Moment>().ok().zip(note.mark).is_some_and(|(saved, mark)| saved > mark);
        if is_later {
            suspects.insert(id.clone());
        }
        // The tag is the time as the server's language writes it.
        if let Some(moment) = saved.strip_suffix('Z') {
            locked.tags.insert(id, format!("W/\"{moment}+00:00\""));
        }
    }
    if let (false, Some(mark)) = (suspects.is_empty(), note.mark) {
        locked.foreign = foreign(api, path, note, mark, &suspects)?;
    }
    Ok(locked)
}

/// Returns those of some objects that have an entry of another user since a moment. Where the log cannot be read, none: the tags remain.
fn foreign(api: &Api, path: &str, note: &Note, mark: Moment, ids: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let Some(kind) = type_of_list(api, path)? else { return Ok(BTreeSet::new()) };
    for log in api.system.log.paths {
        let query = Query::new(&format!("{}/{log}/", api.prefix)).with("changed_object_type", &kind).with(api.system.log.since, mark);
        let query = query.with("limit", api.system.page_size).with("fields", "id,time,changed_object_id,message");
        let response = http::get(ids.iter().fold(query, |query, id| query.with("changed_object_id", id))).send()?;
        if response.is_success() {
            let entries: Vec<Entry> = response.get("/results")?;
            let is_later = |entry: &Entry| entry.time.parse::<Moment>().is_ok_and(|time| time > mark);
            let others = entries
                .into_iter()
                .filter(|entry| entry.message != note.message && is_later(entry))
                .map(|entry| text(&entry.changed_object_id));
            return Ok(others.filter(|id| ids.contains(id)).collect());
        }
    }
    Ok(BTreeSet::new())
}
