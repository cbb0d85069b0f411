//! Clears the references that hold objects at their places.
//!
//! NetBox does not let an address move while a device has it as its primary one. So the reference is cleared first, and the change sent again. If the
//! project maps that reference, its new value is written afterwards, or already was.

use std::collections::BTreeMap;

use infrahub_sync_adapter::{Query, Result, http};
use serde_json::{Map, Value, json};

use crate::Api;
use crate::body::text;
use crate::system::{Hold, Writing};

/// Returns what may hold the objects of a list, by the words of a refusal.
pub(crate) fn held(writing: &'static Writing, list: &str, words: &str) -> Option<&'static Hold> {
    writing.holds.iter().find(|hold| hold.list == list && words.contains(hold.words))
}

/// Clears the references to some objects. Returns whether there were any.
pub(crate) fn release(api: &Api, writing: &Writing, hold: &Hold, ids: &[String], message: &str) -> Result<bool> {
    let records = read(api, hold.list, ids, hold.holders.iter().filter_map(|(path, _)| path.split('.').next()))?;
    let mut any = false;
    for (path, list) in hold.holders {
        let holder = |record: &Value| {
            let peer = path.split('.').try_fold(record, |value, name| value.get(name))?;
            peer.get("id").map(text)
        };
        let mut holders: Vec<String> = records.iter().filter_map(holder).collect();
        holders.sort();
        holders.dedup();
        if holders.is_empty() {
            continue;
        }
        let mut bodies = Vec::new();
        for record in read(api, list, &holders, hold.members.iter().copied())? {
            let refers = |member: &&&str| record.get(**member).and_then(|peer| peer.get("id")).is_some_and(|id| ids.contains(&text(id)));
            let mut body: Map<String, Value> = hold.members.iter().filter(refers).map(|name| ((*name).to_owned(), Value::Null)).collect();
            if body.is_empty() {
                continue;
            }
            body.insert("id".to_owned(), record.get("id").cloned().unwrap_or_default());
            if let Some(name) = writing.message {
                body.insert(name.to_owned(), json!(message));
            }
            bodies.push(Value::Object(body));
        }
        if !bodies.is_empty() {
            let response = http::Request::new("PATCH", format!("{}{list}", api.prefix)).with_json(&bodies)?.send()?;
            api.names().success(list.trim_matches('/'), response)?;
            any = true;
        }
    }
    Ok(any)
}

/// Reads some members of objects.
fn read<'m>(api: &Api, list: &str, ids: &[String], members: impl Iterator<Item = &'m str>) -> Result<Vec<Value>> {
    let members: BTreeMap<&str, ()> = members.chain(["id"]).map(|member| (member, ())).collect();
    let fields = members.into_keys().collect::<Vec<_>>().join(",");
    let query = Query::new(&format!("{}{list}", api.prefix)).with("limit", api.system.page_size).with("fields", fields);
    let query = ids.iter().fold(query, |query, id| query.with("id", id));
    api.names().success(list.trim_matches('/'), http::get(query).send()?)?.get("/results")
}
