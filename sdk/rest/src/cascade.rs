//! Finds the objects that a delete takes along.

use std::collections::BTreeMap;

use infrahub_sync_adapter::{Dependents, Query, Result, Target, http};
use serde_json::Value;

use crate::Api;
use crate::body::text;
use crate::system::{Cascade, Selection};

/// Objects of one question.
const IDS_ASKED: usize = 50;
/// The most pages of an answer: a million objects.
const PAGES_MAX: usize = 1000;

/// Returns the objects of each list that go along with these objects.
pub(crate) fn dependents(api: &Api, target: &Target, ids: &[String]) -> Result<Vec<Dependents>> {
    let Some(writing) = api.system.writing else { return Ok(Vec::new()) };
    let list = api.list(target.resource_or_kind())?;
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for cascade in writing.cascades.iter().filter(|cascade| cascade.list == list) {
        for ids in ids.chunks(IDS_ASKED) {
            let along = of(api, cascade, ids)?;
            if !along.is_empty() {
                found.entry(cascade.along).or_default().extend(along);
            }
        }
    }
    let one = |(kind, mut ids): (&str, Vec<String>)| {
        ids.sort();
        ids.dedup();
        Dependents { kind: kind.to_owned(), count: ids.len() as u64, ids }
    };
    Ok(found.into_iter().map(one).collect())
}

/// Returns the ids of the objects of one list that belong to some objects.
fn of(api: &Api, cascade: &Cascade, ids: &[String]) -> Result<Vec<String>> {
    let path = api.path(cascade.along)?;
    let first = cascade.path.split('.').next().unwrap_or_default();
    let mut found = Vec::new();
    let mut read = 0;
    for _ in 0..PAGES_MAX {
        let mut query = Query::new(&path).with("limit", api.system.page_size);
        for id in ids {
            query = query.with(cascade.filter, id);
        }
        if read > 0 {
            query = query.with("offset", read);
        }
        query = match api.system.selection {
            Selection::Fields => query.with("fields", format!("id,{first}")),
            Selection::Depth => query.with("exclude_m2m", true),
        };
        let response = http::get(query).send()?;
        // An older version has no such list, and so no such objects.
        if response.status() == 404 {
            break;
        }
        let response = api.names().success(cascade.along, response)?;
        let records: Vec<Value> = response.get("/results")?;
        let all = records.len();
        let belongs = |record: &Value| {
            let peer = cascade.path.split('.').try_fold(record, |value, name| value.get(name));
            let id = peer.map(|peer| text(peer.get("id").unwrap_or(peer)));
            id.is_some_and(|id| ids.contains(&id))
        };
        let before = found.len();
        found.extend(records.iter().filter(|record| belongs(record)).filter_map(|record| record.get("id").map(text)));
        read += all;
        let is_last = response.get::<Option<String>>("/next").ok().flatten().is_none();
        // A page with other objects alone: the filter is not known.
        if all == 0 || is_last || found.len() == before {
            break;
        }
    }
    Ok(found)
}
