//! NetBox's change log: which types of objects changed since, and which objects were deleted.
//!
//! It is read once a run, whatever number of lists there is: [`Log::since`] keeps it for all instances. The watermarks of a run's lists are
//! some seconds or minutes apart, so that the log is read from the full hour before, and each list takes what concerns it.
//!
//! An entry is written by each edit through NetBox's interface, API, scripts and imports, also for what a delete takes along. None is written by edits in
//! `nbshell` or in the database. There is no log to go by where the token's user may not read it, where too much changed, or where entries
//! of the time in question may have been pruned.

use std::collections::{BTreeMap, BTreeSet};

use infrahub_sync_adapter::memo::{self, Lifetime};
use infrahub_sync_adapter::{LoadRequest, Payload, Query, Result, log};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::depends::Need;
use crate::read::List;
use crate::{PAGE_SIZE, clock};

/// Where the log is, newer servers first: it moved in 4.1.
const PATHS: [&str; 2] = ["core/object-changes", "extras/object-changes"];
/// What is read of an entry. Whole entries have the object before and after.
const FIELDS: [&str; 5] = ["id", "time", "action", "changed_object_type", "changed_object_id"];
/// Pages of the log. When more was changed, reading the lists costs little more than reading the log.
const PAGES_MAX: usize = 20;
/// The shortest time that entries are kept is a day (`CHANGELOG_RETENTION`). Within that nothing is pruned.
const KEPT: SignedDuration = SignedDuration::from_hours(23);
/// Applications whose objects are all in the log. Others have lists that are not.
const LOGGED: [&str; 7] = ["circuits", "dcim", "ipam", "tenancy", "virtualization", "vpn", "wireless"];

/// The log since some moment; moments are microseconds since 1970.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Log {
    /// When it was read, by the server's clock: what changed later is not in it.
    at: i64,
    /// The latest entry of each type.
    latest: BTreeMap<String, i64>,
    /// The deleted objects of each type: id and when.
    deleted: BTreeMap<String, Vec<(u64, i64)>>,
}

#[derive(Deserialize)]
struct Entry {
    time: String,
    action: Action,
    changed_object_type: String,
    changed_object_id: u64,
}

#[derive(Deserialize)]
struct Action {
    value: String,
}

#[derive(Deserialize)]
struct Entries<T> {
    results: Vec<T>,
}

/// A type of objects, as NetBox describes it.
#[derive(Deserialize)]
struct ObjectType {
    app_label: String,
    model: String,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    rest_api_endpoint: Option<String>,
}

/// What a run asks once; none is kept, too.
fn once<T: Serialize + DeserializeOwned>(key: &str, ask: impl FnOnce() -> Option<T>) -> Result<Option<T>> {
    match memo::get_as(Lifetime::Run, key) {
        Some(known) => Ok(known),
        None => memo::put_as(Lifetime::Run, key, &ask()),
    }
}

impl Log {
    /// The log from `asked` on or earlier; none where there is none to go by.
    pub(crate) fn since(api: &str, asked: Timestamp) -> Result<Option<Log>> {
        let hour = asked.as_second().div_euclid(3600) * 3600;
        let Ok(from) = Timestamp::from_second(hour) else { return Ok(None) };
        once(&format!("changes-{hour}"), || {
            PATHS.iter().find_map(|path| Log::read(&format!("{api}/{path}/"), from).transpose()).and_then(|log| {
                log.map_err(|reason| log::info(&format!("NetBox's change log is of no use for an incremental read: {reason}"))).ok()
            })
        })
    }

    /// Reads the log. None when it is not there; the error says why it is of no use.
    fn read(path: &str, from: Timestamp) -> Result<Option<Log>, String> {
        let fields = FIELDS.iter().map(|field| (*field).to_owned()).collect();
        let mut request = LoadRequest {
            resource: "core.object_changes".into(),
            fields,
            model: Vec::new(),
            page_size: PAGE_SIZE,
            cursor: None,
            since: None,
        };
        let mut log = Log { at: 0, latest: BTreeMap::new(), deleted: BTreeMap::new() };
        for number in 0..PAGES_MAX {
            let page = match List::new(path, &request).with_filter("time_after", from).page() {
                Ok(page) => page,
                Err(error) if error.http_status == Some(404) => return Ok(None),
                Err(error) => return Err(error.message),
            };
            if number == 0 {
                let date = page.watermark.as_deref().and_then(clock::moment);
                log.at = date.ok_or("the server shows no clock (`Date`)")?.as_microsecond();
            }
            let Payload::Document(document) = page.payload else { return Err("it is no list".to_owned()) };
            let entries: Entries<Entry> = document.response.parse().map_err(|error| error.message)?;
            entries.results.into_iter().try_for_each(|entry| log.add(entry, from))?;
            match page.next {
                Some(next) => request.cursor = Some(next),
                None if kept(path, from, log.at)? => return Ok(Some(log)),
                None => return Err("entries since the last run may have been pruned".to_owned()),
            }
        }
        Err(format!("there are more than {} entries since the last run", PAGES_MAX * PAGE_SIZE as usize))
    }

    fn add(&mut self, entry: Entry, from: Timestamp) -> Result<(), String> {
        // NetBox ignores filters that it does not know.
        let time = clock::moment(&entry.time).filter(|time| *time >= from).ok_or("it cannot be asked by time")?.as_microsecond();
        if entry.action.value == "delete" {
            self.deleted.entry(entry.changed_object_type.clone()).or_default().push((entry.changed_object_id, time));
        }
        let latest = self.latest.entry(entry.changed_object_type).or_insert(time);
        *latest = time.max(*latest);
        Ok(())
    }

    /// What to go on from next time: what changed after the log was read is in the next one.
    pub(crate) fn watermark(&self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.at).ok()
    }

    /// Whether what a path needs is given since `asked`.
    pub(crate) fn gives(&self, need: Need, asked: Timestamp, api: &str) -> Result<bool> {
        let from = asked.as_microsecond();
        let changed = |kind: &&str| self.latest.get(*kind).is_some_and(|latest| *latest >= from);
        let deleted = |kind: &&str| self.deleted.get(*kind).is_some_and(|deleted| deleted.iter().any(|(_, time)| *time >= from));
        Ok(match need {
            Need::Nothing => self.latest.values().all(|latest| *latest < from),
            Need::Unchanged(types) => !types.iter().any(changed),
            Need::Undeleted(types) => !types.iter().any(deleted),
            // Where nothing changed at all, it does not matter.
            Need::PlainCustomFields => self.gives(Need::Nothing, asked, api)? || has_plain_custom_fields(api)?,
        })
    }

    /// The ids of the objects of a list that were deleted since `asked`; none where the log does not tell.
    pub(crate) fn deleted(&self, api: &str, resource: &str, path: &str, asked: Timestamp) -> Result<Option<Vec<String>>> {
        let asked = asked.as_microsecond();
        let any = self.deleted.values().flatten().any(|(_, time)| *time >= asked);
        let app = resource.trim_matches('/').split(['.', '/']).next().unwrap_or_default();
        if !any && LOGGED.contains(&app) {
            return Ok(Some(Vec::new()));
        }
        let below = path.strip_prefix(api).unwrap_or(path);
        let Some(types) = logged_types(api)? else { return Ok(None) };
        // What NetBox calls its own address has its base path, ours may not.
        let mut of_list = types.iter().filter(|(endpoint, _)| endpoint.ends_with(&format!("/api{below}")));
        let (Some((_, kind)), None) = (of_list.next(), of_list.next()) else { return Ok(None) };
        let deleted = self.deleted.get(kind).into_iter().flatten().filter(|(_, time)| *time >= asked);
        Ok(Some(deleted.map(|(id, _)| id.to_string()).collect()))
    }
}

/// Whether no entry since then can have been pruned. Older ones go first, so an older delete proves it; creates and updates may outlive
/// (`CHANGELOG_RETAIN_CREATE_LAST_UPDATE`) and prove nothing.
fn kept(path: &str, from: Timestamp, now: i64) -> Result<bool, String> {
    if from.as_microsecond() >= now - i64::try_from(KEPT.as_micros()).unwrap_or(0) {
        return Ok(true);
    }
    let query = Query::new(path).with("action", "delete").with("ordering", "time").with("limit", 1).with("fields", FIELDS.join(","));
    let response = infrahub_sync_adapter::http::get(query).send().map_err(|error| error.message)?;
    let oldest: Entries<Entry> = response.parse().map_err(|error| error.message)?;
    let is_before = |entry: &Entry| clock::moment(&entry.time).is_some_and(|time| time < from);
    Ok(oldest.results.first().is_some_and(|entry| entry.action.value == "delete" && is_before(entry)))
}

/// Whether no custom field refers to objects, whose names would be in the records.
fn has_plain_custom_fields(api: &str) -> Result<bool> {
    let query = Query::new(&format!("{api}/extras/custom-fields/")).with("type", "object").with("type", "multiobject").with("limit", 1);
    let ask = || infrahub_sync_adapter::http::get(query).send().ok()?.json(&["/count"]).pop()??.parse::<u64>().ok();
    Ok(once("object-custom-fields", ask)? == Some(0))
}

/// The types whose changes are logged, by the addresses of their lists; none where NetBox does not tell, as older ones.
fn logged_types(api: &str) -> Result<Option<BTreeSet<(String, String)>>> {
    let fields = "id,app_label,model,features,rest_api_endpoint";
    let query = Query::new(&format!("{api}/core/object-types/")).with("limit", PAGE_SIZE).with("fields", fields);
    once("logged-types", || {
        let types: Entries<ObjectType> = infrahub_sync_adapter::http::get(query).send().ok()?.parse().ok()?;
        let logged = types.results.into_iter().filter(|kind| kind.features.iter().any(|feature| feature == "change_logging"));
        let by_address: BTreeSet<_> =
            logged.filter_map(|kind| Some((kind.rest_api_endpoint?, format!("{}.{}", kind.app_label, kind.model)))).collect();
        (!by_address.is_empty()).then_some(by_address)
    })
}
