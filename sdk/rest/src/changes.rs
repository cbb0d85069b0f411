//! Reads the change log: the types of objects that changed since a moment, and the deleted objects.
//!
//! It is read once a run, for any number of lists: [`Log::since`] keeps it for all instances. The watermarks of a run's lists are seconds or
//! minutes apart, so the log is read from the full hour before, and each list takes its part.
//!
//! Each edit through the interface, API, scripts and imports writes an entry, also for objects that a delete takes along. Edits in
//! a shell or in the database write none. The log cannot be used where the token's user may not read it, where too much changed, or where
//! entries of that time may have been pruned.

use std::collections::{BTreeMap, BTreeSet};

use std::time::Duration;

use infrahub_sync_adapter::{LoadRequest, Moment, Payload, Query, Result, http, log, memo};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::Api;
use crate::depends::Need;
use crate::list::List;
use crate::system::Selection;

/// The fields read of an entry. Whole entries have the object before and after.
const FIELDS: [&str; 5] = ["id", "time", "action", "changed_object_type", "changed_object_id"];
/// The most pages of the log. For more changes, reading the lists costs little more than reading the log.
const PAGES_MAX: usize = 20;
/// The systems keep entries for a day at least (`CHANGELOG_RETENTION`). Younger ones are never pruned.
const KEPT: Duration = Duration::from_hours(23);
/// The log since a moment.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Log {
    /// The time of reading, by the server's clock: later changes are not in it.
    at: Moment,
    /// The latest entry of each type.
    latest: BTreeMap<String, Moment>,
    /// The deleted objects of each type: id and time.
    deleted: BTreeMap<String, Vec<(String, Moment)>>,
}

#[derive(Deserialize)]
struct Entry {
    time: String,
    action: Action,
    changed_object_type: String,
    #[serde(deserialize_with = "id")]
    changed_object_id: String,
}

/// Reads an id, a number or a text.
pub(crate) fn id<'d, D: Deserializer<'d>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(id) => id,
        id => id.to_string(),
    })
}

#[derive(Deserialize)]
struct Action {
    value: String,
}

#[derive(Deserialize)]
struct Entries<T> {
    results: Vec<T>,
}

/// A type of objects, as the system describes it.
#[derive(Deserialize)]
struct ObjectType {
    app_label: String,
    model: String,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    rest_api_endpoint: Option<String>,
}

impl Log {
    /// Returns the log from `asked` on or earlier; none where it cannot be used.
    pub(crate) fn since(api: &Api, asked: Moment) -> Result<Option<Log>> {
        let hour = asked.as_seconds().div_euclid(3600) * 3600;
        let from = Moment::from_seconds(hour);
        memo::once(&format!("changes-{hour}"), || {
            let log = api.system.log.paths.iter().find_map(|path| Log::read(api, &format!("{}/{path}/", api.prefix), from).transpose());
            let told = |reason: &String| {
                log::info(&format!("{}'s change log cannot be used for an incremental read: {reason}", api.system.name));
            };
            Ok(log.and_then(|log| log.inspect_err(told).ok()))
        })
    }

    /// Reads the log. None when it is not there; the error says why it cannot be used.
    fn read(api: &Api, path: &str, from: Moment) -> Result<Option<Log>, String> {
        let mut request = LoadRequest::new("core.object_changes", &FIELDS, api.system.page_size);
        let mut log = Log { at: from, latest: BTreeMap::new(), deleted: BTreeMap::new() };
        for number in 0..PAGES_MAX {
            let page = match List::new(api, path, &request).with_filter(api.system.log.since, from).page() {
                Ok(page) => page,
                Err(error) if error.http_status == Some(404) => return Ok(None),
                Err(error) => return Err(error.message),
            };
            if number == 0 {
                let date = page.watermark.as_deref().and_then(|date| date.parse().ok());
                log.at = date.ok_or("the server shows no clock (`Date`)")?;
            }
            let Payload::Document(document) = page.payload else { return Err("it is not a list".to_owned()) };
            let entries: Entries<Entry> = document.response.parse().map_err(|error| error.message)?;
            entries.results.into_iter().try_for_each(|entry| log.add(api, entry, from))?;
            match page.next {
                Some(next) => request.cursor = Some(next),
                None if kept(api, path, from, log.at)? => return Ok(Some(log)),
                None => return Err("entries since the last run may have been pruned".to_owned()),
            }
        }
        Err(format!("there are more than {} entries since the last run", PAGES_MAX * api.system.page_size as usize))
    }

    fn add(&mut self, api: &Api, entry: Entry, from: Moment) -> Result<(), String> {
        // Unknown filters are ignored.
        let time = entry.time.parse().ok().filter(|time: &Moment| *time >= from);
        let time = time.ok_or_else(|| format!("{} does not filter it by time", api.system.name))?;
        if entry.action.value == "delete" {
            self.deleted.entry(entry.changed_object_type.clone()).or_default().push((entry.changed_object_id, time));
        }
        let latest = self.latest.entry(entry.changed_object_type).or_insert(time);
        *latest = time.max(*latest);
        Ok(())
    }

    /// Returns the watermark of the next run: changes after the log was read are in the next one.
    pub(crate) fn watermark(&self) -> Moment {
        self.at
    }

    /// Says whether the needs of a path are met since `asked`.
    pub(crate) fn meets(&self, need: Need, asked: Moment, api: &Api) -> Result<bool> {
        let changed = |kind: &&str| self.latest.get(*kind).is_some_and(|latest| *latest >= asked);
        let deleted = |kind: &&str| self.deleted.get(*kind).is_some_and(|deleted| deleted.iter().any(|(_, time)| *time >= asked));
        Ok(match need {
            Need::Nothing => self.latest.values().all(|latest| *latest < asked),
            Need::Unchanged(types) => !types.iter().any(changed),
            Need::Undeleted(types) => !types.iter().any(deleted),
            // Where nothing changed at all, it does not matter.
            Need::PlainCustomFields => self.meets(Need::Nothing, asked, api)? || has_plain_custom_fields(api)?,
        })
    }

    /// Returns the ids of the objects of a list that were deleted since `asked`; none where the log does not tell.
    pub(crate) fn deleted(&self, api: &Api, resource: &str, path: &str, asked: Moment) -> Result<Option<Vec<String>>> {
        let any = self.deleted.values().flatten().any(|(_, time)| *time >= asked);
        let app = resource.trim_matches('/').split(['.', '/']).next().unwrap_or_default();
        if !any && api.system.log.applications.contains(&app) {
            return Ok(Some(Vec::new()));
        }
        let Some(kind) = type_of_list(api, path)? else { return Ok(None) };
        let deleted = self.deleted.get(&kind).into_iter().flatten().filter(|(_, time)| *time >= asked);
        Ok(Some(deleted.map(|(id, _)| id.clone()).collect()))
    }
}

/// Returns the time of the newest entry: the clock of servers whose answers have no `Date`. Later changes have later times. None where the log
/// cannot be read.
pub(crate) fn newest(api: &Api) -> Option<Moment> {
    api.system.log.paths.iter().find_map(|path| {
        let response = http::get(Query::new(&format!("{}/{path}/", api.prefix)).with("limit", 1)).send().ok()?;
        response.get::<String>("/results/0/time").ok()?.parse().ok()
    })
}

/// Returns the time of the newest entry when the run began to read.
pub(crate) fn first_newest(api: &Api) -> Result<Option<Moment>> {
    memo::once("newest-entry", || Ok(newest(api)))
}

/// Returns the type of a list's objects, if their changes are logged; none where the system does not tell.
pub(crate) fn type_of_list(api: &Api, path: &str) -> Result<Option<String>> {
    let below = path.strip_prefix(api.prefix).unwrap_or(path);
    let Some(types_at) = api.system.log.types else { return Ok(type_by_name(below).filter(|kind| is_logged(api, kind))) };
    let Some(types) = logged_types(api, types_at)? else { return Ok(None) };
    // An address in the system's words has its base path, ours may not.
    let mut of_list = types.into_iter().filter(|(endpoint, _)| endpoint.ends_with(&format!("/api{below}")));
    Ok(match (of_list.next(), of_list.next()) {
        (Some((_, kind)), None) => Some(kind),
        _ => None,
    })
}

fn is_logged(api: &Api, kind: &str) -> bool {
    kind.split_once('.').is_some_and(|(app, _)| api.system.log.applications.contains(&app))
}

/// Says whether no entry since then can have been pruned. Older ones are pruned first, so an older delete proves it. Creates and updates
/// may outlive it (`CHANGELOG_RETAIN_CREATE_LAST_UPDATE`) and prove nothing.
fn kept(api: &Api, path: &str, from: Moment, now: Moment) -> Result<bool, String> {
    if from >= now - KEPT {
        return Ok(true);
    }
    if api.system.selection != Selection::Fields {
        return Ok(false);
    }
    let query = Query::new(path).with("action", "delete").with("ordering", "time").with("limit", 1).with("fields", FIELDS.join(","));
    let response = http::get(query).send().map_err(|error| error.message)?;
    let oldest: Entries<Entry> = response.parse().map_err(|error| error.message)?;
    let is_before = |entry: &Entry| entry.time.parse().is_ok_and(|time: Moment| time < from);
    Ok(oldest.results.first().is_some_and(|entry| entry.action.value == "delete" && is_before(entry)))
}

/// Says whether no custom field refers to objects, whose names would be in the records.
fn has_plain_custom_fields(api: &Api) -> Result<bool> {
    let query =
        Query::new(&format!("{}/extras/custom-fields/", api.prefix)).with("type", "object").with("type", "multiobject").with("limit", 1);
    let count = memo::once("object-custom-fields", || Ok(http::get(query).send().and_then(|response| response.get::<u64>("/count")).ok()))?;
    Ok(count == Some(0))
}

/// Returns the types whose changes are logged, with the addresses of their lists; none where the system does not tell, as older ones.
fn logged_types(api: &Api, at: &str) -> Result<Option<BTreeSet<(String, String)>>> {
    let fields = "id,app_label,model,features,rest_api_endpoint";
    let query = Query::new(&format!("{}/{at}/", api.prefix)).with("limit", api.system.page_size).with("fields", fields);
    memo::once("logged-types", || {
        let types = http::get(query).send().and_then(|response| response.parse::<Entries<ObjectType>>());
        let Ok(types) = types else { return Ok(None) };
        let logged = types.results.into_iter().filter(|kind| kind.features.iter().any(|feature| feature == "change_logging"));
        let by_address: BTreeSet<_> =
            logged.filter_map(|kind| Some((kind.rest_api_endpoint?, format!("{}.{}", kind.app_label, kind.model)))).collect();
        Ok((!by_address.is_empty()).then_some(by_address))
    })
}

/// Returns the type of a list's objects by the list's name, for servers that do not tell: `/dcim/device-types/` has `dcim.devicetype`.
#[must_use]
pub fn type_by_name(list: &str) -> Option<String> {
    let (app, name) = list.trim_matches('/').split_once('/')?;
    if name.contains('/') || matches!(app, "plugins" | "users") {
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
