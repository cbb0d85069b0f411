//! Finds the objects that are there already, by their natural keys.
//!
//! A system that makes the interfaces of a new device out of its type's templates rejects their creation afterwards. So a rejected create is looked
//! up: an object which the server has made since the run began is taken over. Unknown filters are ignored by some of these systems, so each record of
//! an answer is compared with what was asked for.

use std::collections::{BTreeSet, HashMap};

use infrahub_sync_adapter::{Moment, Query, Reference, Result, Row, TargetField, http};
use serde_json::{Map, Value};

use crate::Api;
use crate::body::{Bodies, text};
use crate::describe::Member;

/// Rows of one question: their names are in its address.
const ROWS_ASKED: usize = 50;
/// The most pages of an answer.
const PAGES_MAX: usize = 20;

/// An object that is there.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) id: String,
    record: Value,
}

impl Found {
    /// Returns whether the server made it since a moment. Without a moment nothing is known.
    pub(crate) fn is_made_since(&self, began: Option<Moment>) -> bool {
        let created = self.record.get("created").and_then(|created| created.as_str()?.parse::<Moment>().ok());
        matches!((created, began), (Some(created), Some(began)) if created >= began)
    }

    /// Returns the members of a body which the object does not have yet.
    pub(crate) fn lacking(&self, body: &Map<String, Value>, message: Option<&str>) -> Map<String, Value> {
        let is_message = |name: &String| message == Some(name.as_str());
        let differs = |name: &String, wanted: &Value| self.record.get(name).is_none_or(|now| !has(now, wanted));
        body.iter()
            .filter(|(name, wanted)| !is_message(name) && differs(name, wanted))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// Says whether a value that was read is what is to be written.
fn has(now: &Value, wanted: &Value) -> bool {
    match (now, wanted) {
        (Value::Object(now), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| now.get(name).is_some_and(|now| has(now, wanted)))
        }
        (Value::Object(now), _) => ["value", "id"].iter().any(|name| now.get(*name).is_some_and(|now| now == wanted)),
        (Value::Array(now), Value::Array(wanted)) => {
            now.len() == wanted.len() && wanted.iter().all(|wanted| now.iter().any(|now| has(now, wanted)))
        }
        (Value::Null, Value::String(text)) => text.is_empty(),
        _ => now == wanted,
    }
}

/// Returns for each row the object with its natural key.
pub(crate) fn find(api: &Api, bodies: &Bodies<'_>, rows: &[&Row]) -> Result<Vec<Option<Found>>> {
    let mut found = Vec::with_capacity(rows.len());
    for rows in rows.chunks(ROWS_ASKED) {
        let known = asked(api, bodies, rows)?;
        found.extend(rows.iter().map(|row| known.get(&wanted_key(bodies, row)?).cloned()));
    }
    Ok(found)
}

/// Returns the objects that a question about some rows finds, by their keys.
fn asked(api: &Api, bodies: &Bodies<'_>, rows: &[&Row]) -> Result<HashMap<Vec<String>, Found>> {
    let mut known = HashMap::new();
    let Some(query) = question(api, bodies, rows) else { return Ok(known) };
    let wanted: BTreeSet<Vec<String>> = rows.iter().filter_map(|row| wanted_key(bodies, row)).collect();
    let mut read = 0;
    for _ in 0..PAGES_MAX {
        let query = if read == 0 { query.clone() } else { query.clone().with("offset", read) };
        let response = api.names().success(bodies.target.resource_or_kind(), http::get(query).send()?)?;
        let records: Vec<Value> = response.get("/results")?;
        read += records.len();
        let is_last = records.is_empty() || response.get::<Option<String>>("/next").ok().flatten().is_none();
        let before = known.len();
        for record in records {
            let Some(key) = own_key(bodies, &record).filter(|key| wanted.contains(key)) else { continue };
            if let Some(id) = record.get("id").map(text) {
                known.insert(key, Found { id, record });
            }
        }
        // A page without any of them: the filter is not known.
        if is_last || known.len() == before {
            break;
        }
    }
    Ok(known)
}

/// Returns the question for some rows; none where no filter can be made of their identifiers.
fn question(api: &Api, bodies: &Bodies<'_>, rows: &[&Row]) -> Option<Query> {
    let mut query = Query::new(&bodies.description.path).with("limit", api.system.page_size);
    let mut is_filtered = false;
    for (field, member) in bodies.identifiers() {
        let Member::Plain(name) = member else { continue };
        let values: BTreeSet<String> = rows.iter().filter_map(|row| wanted(field, row)).collect();
        let writing = api.system.writing?;
        let name = if field.is_reference() { format!("{name}{}", writing.reference_filter) } else { name.clone() };
        for value in values {
            query = query.with(&name, value);
            is_filtered = true;
        }
    }
    is_filtered.then_some(query)
}

/// Returns the value of an identifier of a row, as text; the id of a peer.
fn wanted(field: &TargetField, row: &Row) -> Option<String> {
    let value = row.fields.get(&field.name)?;
    if field.is_reference() {
        return Reference::all(value).ok()?.first()?.id.clone();
    }
    (!value.is_null()).then(|| text(value))
}

fn wanted_key(bodies: &Bodies<'_>, row: &Row) -> Option<Vec<String>> {
    bodies.identifiers().map(|(field, _)| wanted(field, row)).collect()
}

/// Returns the key of a record.
fn own_key(bodies: &Bodies<'_>, record: &Value) -> Option<Vec<String>> {
    let one = |(field, _): (&TargetField, &Member)| {
        let (first, _) = field.split_path();
        if field.is_reference() {
            let peer = record.get(first)?;
            return Some(text(peer.get("id").unwrap_or(peer)));
        }
        let value = field.read_path().split('.').try_fold(record, |value, name| value.get(name))?;
        (!value.is_null()).then(|| text(value))
    };
    bodies.identifiers().map(one).collect()
}
