//! Says of objects that a list lacks whether they are deleted.
//!
//! NetBox answers alike for an object that is deleted and for one that a permission hides. Its change log tells them apart: each deletion through
//! its interface, API, scripts and imports has an entry, and the log is not restricted by the permissions of the objects. An object without
//! such an entry exists as far as NetBox says. Where the log cannot be read, or is empty, nothing is known.

use std::collections::BTreeSet;

use infrahub_sync_adapter::{Absence, Query, Result, Target, http, log};
use serde::Deserialize;

use crate::changes::{LOGGED, PATHS, type_of_list};
use crate::{PAGE_SIZE, path};

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
    changed_object_id: u64,
}

#[derive(Deserialize)]
struct Action {
    value: String,
}

/// Says of each object whether it is deleted, in the order of the ids.
pub(crate) fn absent(api: &str, target: &Target, ids: &[String]) -> Result<Vec<Absence>> {
    let unknown = vec![Absence::Unknown; ids.len()];
    let Some(resource) = &target.resource else { return Ok(unknown) };
    let list = path(resource)?;
    let Some(kind) = type_of_list(api, &format!("{api}{list}"))?.or_else(|| type_by_name(&list)) else { return Ok(unknown) };
    match deleted(api, &kind, ids) {
        Ok(Some(deleted)) => {
            let one = |id: &String| match id.parse::<u64>() {
                Ok(id) if deleted.contains(&id) => Absence::Deleted,
                Ok(_) => Absence::Present,
                Err(_) => Absence::Unknown,
            };
            Ok(ids.iter().map(one).collect())
        }
        Ok(None) => Ok(unknown),
        Err(reason) => {
            log::info(&format!("NetBox's change log does not tell which objects of `{resource}` were deleted: {reason}"));
            Ok(unknown)
        }
    }
}

/// Returns the deleted ones of some objects of a type. None where there is no log; the error says why it cannot be used.
fn deleted(api: &str, kind: &str, ids: &[String]) -> Result<Option<BTreeSet<u64>>, String> {
    for log in PATHS {
        let path = format!("{api}/{log}/");
        let any = http::get(Query::new(&path).with("limit", 1).with("fields", "id")).send().map_err(|error| error.message)?;
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
            let ids: BTreeSet<u64> = ids.iter().filter_map(|id| id.parse().ok()).collect();
            if !ids.is_empty() {
                found.extend(deleted_of(&path, kind, &ids)?);
            }
        }
        return Ok(Some(found));
    }
    Ok(None)
}

/// Returns the deleted ones of a few objects.
fn deleted_of(path: &str, kind: &str, ids: &BTreeSet<u64>) -> Result<Vec<u64>, String> {
    let mut query = Query::new(path).with("action", "delete").with("changed_object_type", kind);
    for id in ids {
        query = query.with("changed_object_id", id);
    }
    let query = query.with("limit", PAGE_SIZE).with("fields", "id,action,changed_object_type,changed_object_id");
    let response = http::get(query).send().map_err(|error| error.message)?;
    if response.status() != 200 {
        return Err(format!("the request for the deletions of `{kind}` was answered with {}", response.status()));
    }
    let entries: Entries = response.parse().map_err(|error| error.message)?;
    let is_asked =
        |entry: &Entry| entry.action.value == "delete" && entry.changed_object_type == kind && ids.contains(&entry.changed_object_id);
    // NetBox ignores unknown filters.
    if !entries.results.iter().all(is_asked) {
        return Err("NetBox does not filter it by objects".to_owned());
    }
    Ok(entries.results.iter().map(|entry| entry.changed_object_id).collect())
}

/// Returns the type of a list's objects by the list's name, for servers that do not tell: `/dcim/device-types/` has `dcim.devicetype`.
fn type_by_name(list: &str) -> Option<String> {
    let (app, name) = list.trim_matches('/').split_once('/')?;
    if !LOGGED.contains(&app) || name.contains('/') {
        return None;
    }
    let name = name.replace('-', "");
    let one = match name.as_str() {
        "interfaces" if app == "virtualization" => "vminterface".to_owned(),
        "virtualchassis" => name,
        _ => match name.strip_suffix("ies") {
            Some(stem) => format!("{stem}y"),
            None => {
                let stem = name.strip_suffix("es").filter(|stem| stem.ends_with("ss") || stem.ends_with('x'));
                stem.or_else(|| name.strip_suffix('s'))?.to_owned()
            }
        },
    };
    Some(format!("{app}.{one}"))
}

#[cfg(test)]
mod tests {
    use super::type_by_name;

    #[test]
    fn a_list_s_name_says_what_its_objects_are() {
        for (list, expected) in [
            ("/dcim/devices/", "dcim.device"),
            ("/dcim/device-types/", "dcim.devicetype"),
            ("/dcim/virtual-chassis/", "dcim.virtualchassis"),
            ("/dcim/mac-addresses/", "dcim.macaddress"),
            ("/dcim/interfaces/", "dcim.interface"),
            ("/virtualization/interfaces/", "virtualization.vminterface"),
            ("/ipam/prefixes/", "ipam.prefix"),
            ("/ipam/services/", "ipam.service"),
            ("/vpn/ike-policies/", "vpn.ikepolicy"),
        ] {
            assert_eq!(type_by_name(list).as_deref(), Some(expected));
        }
        assert_eq!(type_by_name("/plugins/bgp/session/"), None);
        assert_eq!(type_by_name("/users/users/"), None);
    }
}
