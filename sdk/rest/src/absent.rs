//! Says of objects that a list lacks whether they are deleted.
//!
//! The systems answer alike for an object that is deleted and for one that a permission hides. The change log tells them apart: each deletion through
//! interface, API, scripts and imports has an entry, and the log is not restricted by the permissions of the objects. An object without
//! such an entry exists as far as the system says. Where the log cannot be read, or is empty, nothing is known.

use std::collections::BTreeSet;

use infrahub_sync_adapter::{Absence, Query, Result, Target, http, log};
use serde::Deserialize;

use crate::Api;
use crate::changes::{id, type_by_name, type_of_list};
use crate::system::Selection;

/// Objects of one request: their ids are in its address.
const IDS_ASKED: usize = 100;

#[derive(Deserialize)]
struct Entries {
    results: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    action: Action,
    changed_object_type: String,
    #[serde(deserialize_with = "id")]
    changed_object_id: String,
}

#[derive(Deserialize)]
struct Action {
    value: String,
}

/// Says of each object whether it is deleted, in the order of the ids.
pub(crate) fn absent(api: &Api, target: &Target, ids: &[String]) -> Result<Vec<Absence>> {
    let unknown = vec![Absence::Unknown; ids.len()];
    let Some(resource) = &target.resource else { return Ok(unknown) };
    let list = api.list(resource)?;
    let is_logged = |kind: &String| kind.split('.').next().is_some_and(|app| api.system.log.applications.contains(&app));
    let by_name = || type_by_name(&list).filter(is_logged);
    let Some(kind) = type_of_list(api, &format!("{}{list}", api.prefix))?.or_else(by_name) else { return Ok(unknown) };
    match deleted(api, &kind, ids) {
        Ok(Some(deleted)) => {
            let one = |id: &String| match is_id(api, id) {
                _ if deleted.contains(id) => Absence::Deleted,
                true => Absence::Present,
                false => Absence::Unknown,
            };
            Ok(ids.iter().map(one).collect())
        }
        Ok(None) => Ok(unknown),
        Err(reason) => {
            let name = api.system.name;
            log::info(&format!("{name}'s change log does not tell which objects of `{resource}` were deleted: {reason}"));
            Ok(unknown)
        }
    }
}

/// Returns the deleted ones of some objects of a type. None where there is no log; the error says why it cannot be used.
fn deleted(api: &Api, kind: &str, ids: &[String]) -> Result<Option<BTreeSet<String>>, String> {
    for log in api.system.log.paths {
        let path = format!("{}/{log}/", api.prefix);
        let any = http::get(selected(api, Query::new(&path).with("limit", 1), "id")).send().map_err(|error| error.message)?;
        match any.status() {
            404 => continue,
            200 => {}
            status => return Err(format!("the request for it was answered with {status}")),
        }
        if any.count("/results").unwrap_or_default() == 0 {
            return Err("it is empty".to_owned());
        }
        let mut found = BTreeSet::new();
        for ids in ids.chunks(IDS_ASKED) {
            let ids: BTreeSet<String> = ids.iter().filter(|id| is_id(api, id)).cloned().collect();
            if !ids.is_empty() {
                found.extend(deleted_of(api, &path, kind, &ids)?);
            }
        }
        return Ok(Some(found));
    }
    Ok(None)
}

/// Returns the deleted ones of a few objects.
fn deleted_of(api: &Api, path: &str, kind: &str, ids: &BTreeSet<String>) -> Result<Vec<String>, String> {
    let mut query = Query::new(path).with("action", "delete");
    if api.system.log.by_type {
        query = query.with("changed_object_type", kind);
    }
    let mut ordered: Vec<&String> = ids.iter().collect();
    ordered.sort_by_key(|id| (id.len(), *id));
    for id in ordered {
        query = query.with("changed_object_id", id);
    }
    let query = query.with("limit", api.system.page_size);
    let response =
        http::get(selected(api, query, "id,action,changed_object_type,changed_object_id")).send().map_err(|error| error.message)?;
    if response.status() != 200 {
        return Err(format!("the request for the deletions of `{kind}` was answered with {}", response.status()));
    }
    let entries: Entries = response.parse().map_err(|error| error.message)?;
    let is_of_type = |entry: &Entry| entry.changed_object_type == kind;
    let is_asked = |entry: &Entry| {
        entry.action.value == "delete" && (is_of_type(entry) || !api.system.log.by_type) && ids.contains(&entry.changed_object_id)
    };
    // Unknown filters are ignored.
    if !entries.results.iter().all(is_asked) {
        return Err(format!("{} does not filter it by objects", api.system.name));
    }
    Ok(entries.results.into_iter().filter(is_of_type).map(|entry| entry.changed_object_id).collect())
}

/// Restricts a query to some fields, where the system can.
fn selected(api: &Api, query: Query, fields: &str) -> Query {
    if api.system.selection == Selection::Fields { query.with("fields", fields) } else { query }
}

/// Says whether a text may be an id of the system.
fn is_id(api: &Api, id: &str) -> bool {
    match api.system.paging {
        crate::system::Paging::Ids { .. } => id.parse::<u64>().is_ok(),
        crate::system::Paging::Totals => id.len() == 36,
    }
}
