//! Writes, as far as the project says how the API takes them.

use std::collections::BTreeMap;

use infrahub_sync_adapter::{
    Error, ErrorKind, Operation, Outcome, Reference, Response, Result, Row, Run, Target, WriteRequest, http, path_segment, write,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answer::{id_key, pointer};
use crate::{API, GenericRestApi};

/// The methods of a write.
const METHODS: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];

/// The setting `write`: how each resource is written.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Writes(BTreeMap<String, Ways>);

/// How the objects of a resource are written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ways {
    /// `POST devices`.
    create: Option<Way>,
    /// `PATCH devices/{id}`.
    update: Option<Way>,
    /// `DELETE devices/{id}`.
    delete: Option<Way>,
    /// The key around the body: `{"device": {…}}`, or around the list of a bulk request.
    wrap: Option<String>,
    /// The place of the id in the answer to a create, or in each object of the list.
    id: Option<String>,
    /// The form of another object in a body.
    #[serde(default)]
    references: Peers,
    /// Requests of many objects.
    bulk: Option<Bulk>,
}

/// A method and a path below `api_endpoint`: `PATCH devices/{id}`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Way {
    method: String,
    path: String,
}

impl TryFrom<String> for Way {
    type Error = String;

    fn try_from(text: String) -> Result<Way, String> {
        let mut words = text.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(method), Some(path), None) if METHODS.contains(&method) && !path.split('/').any(|part| part == "..") => {
                Ok(Way { method: method.to_owned(), path: path.to_owned() })
            }
            _ => Err(format!("`{text}` is not a method and a path such as `PATCH devices/{{id}}`")),
        }
    }
}

/// The form of another object in a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Peers {
    /// Its id: a number if it looks like one.
    #[default]
    Id,
    /// Its id, always as text.
    Text,
    /// The value of its one identifier.
    Key,
}

/// Requests of many objects: a list of bodies.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bulk {
    /// Objects in one request.
    size: usize,
    /// A refused request has written none of its objects.
    #[serde(default)]
    atomic: bool,
    /// The key of the id in each body of an update or delete.
    #[serde(default = "id")]
    id: String,
    /// The place, in each object of the answer, of the reason why it was not written.
    #[serde(default)]
    error: Option<String>,
}

fn id() -> String {
    "id".to_owned()
}

/// A row on its way, with the body that it needs.
struct Prepared {
    row: Row,
    body: Value,
}

impl Writes {
    /// Checks the setting.
    pub(crate) fn check(&self) -> Result<()> {
        for (resource, ways) in &self.0 {
            if let Some(bulk) = &ways.bulk {
                let all = [&ways.create, &ways.update, &ways.delete];
                let single = all.into_iter().flatten().find(|way| way.path.contains('{'));
                if bulk.size == 0 {
                    return Err(Error::config(format!("`write`: `bulk` of `{resource}` needs a size of 1 or more")));
                }
                if let Some(way) = single {
                    let message = format!("`write`: `{}` of `{resource}` names one object, which does not go with `bulk`", way.path);
                    return Err(Error::config(message));
                }
            }
        }
        Ok(())
    }

    /// Returns how a target is written.
    fn of(&self, target: &Target, operation: Operation) -> Result<(&Ways, &Way)> {
        let resource = target.resource_or_kind();
        let word = word(operation);
        let ways =
            self.0.get(resource).or_else(|| self.0.get("*")).ok_or_else(|| {
                Error::config(format!("`write` does not say how `{resource}` is written: add `{resource}: {{{word}: …}}`"))
            })?;
        let way = match operation {
            Operation::Create => &ways.create,
            Operation::Update => &ways.update,
            Operation::Delete => &ways.delete,
        };
        way.as_ref().map(|way| (ways, way)).ok_or_else(|| Error::config(format!("`write` has no `{word}` for `{resource}`")))
    }

    /// Checks, before the first write of a run, that the project says how all of it is written.
    pub(crate) fn begin(&self, run: &Run) -> Result<()> {
        for change in &run.changes {
            let counts = [(change.creates, Operation::Create), (change.updates, Operation::Update), (change.deletes, Operation::Delete)];
            for (_, operation) in counts.into_iter().filter(|(count, _)| *count > 0) {
                self.of(&change.target, operation)?;
            }
        }
        Ok(())
    }

    /// Writes a batch.
    pub(crate) fn write(&self, api: &GenericRestApi, request: &WriteRequest) -> Result<Vec<Outcome>> {
        let (ways, way) = self.of(&request.target, request.operation)?;
        let writing = Writing { api, ways, way, target: &request.target, operation: request.operation };
        match &ways.bulk {
            Some(bulk) => writing.in_bulk(bulk, request),
            None => request.outcomes(|row| writing.one(row)),
        }
    }
}

fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Delete => "delete",
    }
}

/// A batch that is being written.
struct Writing<'w> {
    api: &'w GenericRestApi,
    ways: &'w Ways,
    way: &'w Way,
    target: &'w Target,
    operation: Operation,
}

impl Writing<'_> {
    /// Writes one row.
    fn one(&self, row: Row) -> Result<Outcome> {
        let path = self.path(&row)?;
        let body = (self.operation != Operation::Delete).then(|| self.body(&row)).transpose()?;
        let body = body.map(|body| self.wrapped(body));
        let response = self.send(&path, body.as_ref())?;
        match (self.operation, response.status()) {
            (Operation::Delete, 404 | 410) => Ok(Outcome::Unchanged(row.id)),
            _ => {
                let response = API.success(self.target.resource_or_kind(), response)?;
                Ok(Outcome::Written(row.id.or_else(|| self.id_in(&response, ""))))
            }
        }
    }

    /// Writes rows in requests of many.
    fn in_bulk(&self, bulk: &Bulk, request: &WriteRequest) -> Result<Vec<Outcome>> {
        let rows: Vec<Row> = request.rows().collect::<Result<_>>()?;
        let mut outcomes = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let prepared: Vec<Result<Prepared>> = rows.by_ref().take(bulk.size).map(|row| self.prepared(row, bulk)).collect();
            match write::bisect(prepared, |rows| self.many(rows, bulk)) {
                Ok(done) => outcomes.extend(done),
                // What earlier requests wrote stays written, so the error is that of the other rows.
                Err(error) if !outcomes.is_empty() => {
                    let left = usize::try_from(request.count).unwrap_or_default().saturating_sub(outcomes.len());
                    outcomes.extend((0..left).map(|_| Outcome::Failed(error.clone())));
                    return Ok(outcomes);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(outcomes)
    }

    fn prepared(&self, row: Row, bulk: &Bulk) -> Result<Prepared> {
        let mut body = if self.operation == Operation::Delete { json!({}) } else { self.body(&row)? };
        if self.operation != Operation::Create {
            put(&mut body, &bulk.id, self.id_value(row.known_id()?));
        }
        Ok(Prepared { row, body })
    }

    /// Writes the rows of one request.
    fn many(&self, rows: &[Prepared], bulk: &Bulk) -> Result<Vec<Outcome>> {
        let bodies: Vec<&Value> = rows.iter().map(|row| &row.body).collect();
        let body = self.wrapped(json!(bodies));
        let response = self.send(&self.way.path, Some(&body))?;
        let response = API.success(self.target.resource_or_kind(), response).map_err(|error| match error.kind {
            // Some of the rows may have been written: the host reads them back.
            ErrorKind::Invalid | ErrorKind::Conflict | ErrorKind::NotFound if !bulk.atomic && rows.len() > 1 => {
                Error { kind: ErrorKind::Remote, ..error }
            }
            _ => error,
        })?;
        if self.operation == Operation::Delete && bulk.error.is_none() {
            return Ok(rows.iter().map(|row| Outcome::Written(row.row.id.clone())).collect());
        }
        let wrap = self.ways.wrap.as_deref().map(pointer).unwrap_or_default();
        let list = ["".to_owned(), wrap].into_iter().find(|list| response.count(list).is_some());
        let is_whole = |list: &String| response.count(list).and_then(|count| usize::try_from(count).ok()) == Some(rows.len());
        let Some(list) = list.filter(is_whole) else {
            let message =
                format!("the answer to {} {} is not a list of the {} objects that were sent", self.way.method, self.way.path, rows.len());
            return Err(Error::remote(message));
        };
        Ok(rows.iter().enumerate().map(|(number, row)| self.outcome(&response, &format!("{list}/{number}"), row, bulk)).collect())
    }

    /// Returns the outcome of a row by its object in the answer to a request of many.
    fn outcome(&self, response: &Response, place: &str, row: &Prepared, bulk: &Bulk) -> Outcome {
        let error = bulk.error.as_ref().and_then(|error| response.json(&[&format!("{place}{}", pointer(error))]).pop().flatten());
        let error: Option<Value> = error.and_then(|json| serde_json::from_str(&json).ok());
        match error.filter(|error| {
            !matches!(error, Value::Null | Value::Bool(false)) && *error != json!("") && *error != json!([]) && *error != json!({})
        }) {
            Some(error) => {
                let error = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
                Outcome::Failed(Error::invalid(format!("the API rejects it: {error}")))
            }
            None => Outcome::Written(row.row.id.clone().or_else(|| self.id_in(response, place))),
        }
    }

    fn send(&self, path: &str, body: Option<&Value>) -> Result<Response> {
        let url = self.api.below_endpoint(path);
        let request = http::Request::new(&self.way.method, url);
        match body {
            Some(body) => request.with_json(body)?.send(),
            None => request.send(),
        }
    }

    /// Returns the path of a row: `{id}` stands for its id, another name for the value of an identifier.
    fn path(&self, row: &Row) -> Result<String> {
        let mut path = String::new();
        let mut rest = self.way.path.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            let value = match name {
                "id" => row.known_id()?.to_owned(),
                name => match row.key.get(name) {
                    Some(Value::String(text)) => text.clone(),
                    Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                    _ => {
                        return Err(Error::config(format!(
                            "`write`: `{{{name}}}` is neither `{{id}}` nor an identifier with a plain value"
                        )));
                    }
                },
            };
            path.extend([before, &path_segment(&value)]);
            rest = after;
        }
        Ok(path + rest)
    }

    /// Returns the body of a row: each field at its path.
    fn body(&self, row: &Row) -> Result<Value> {
        let mut body = json!({});
        for (name, value) in &row.fields {
            let field = self.target.known_field(name)?;
            put(&mut body, field.read_path(), field.with_peers(value, |peer| self.peer(peer))?);
        }
        Ok(body)
    }

    /// Returns what stands for another object.
    fn peer(&self, peer: &Reference) -> Result<Value> {
        match self.ways.references {
            Peers::Key => match peer.key.values().collect::<Vec<_>>().as_slice() {
                [value] => Ok((*value).clone()),
                _ => Err(Error::invalid(format!("`{}` has not one identifier, so `references: key` does not name its objects", peer.kind))),
            },
            Peers::Id | Peers::Text => Ok(self.id_value(&peer.id_as::<String>()?)),
        }
    }

    fn id_value(&self, id: &str) -> Value {
        let number = id.parse::<u64>().ok().filter(|number| self.ways.references != Peers::Text && number.to_string() == id);
        number.map_or_else(|| json!(id), Value::from)
    }

    fn wrapped(&self, body: Value) -> Value {
        match &self.ways.wrap {
            Some(wrap) => Value::Object(Map::from_iter([(wrap.clone(), body)])),
            None => body,
        }
    }

    /// Returns the id in an answer: at the place that the project names, else where reads find it.
    fn id_in(&self, response: &Response, place: &str) -> Option<String> {
        let text = |json: String| match serde_json::from_str(&json).ok()? {
            Value::String(text) if !text.is_empty() => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        if let Some(id) = &self.ways.id {
            return response.json(&[&format!("{place}{}", pointer(id))]).pop().flatten().and_then(text);
        }
        let wrap = self.ways.wrap.as_deref().map(pointer).unwrap_or_default();
        let own = self.api.id_path(self.target.resource_or_kind()).map(pointer);
        [format!("{place}{wrap}"), place.to_owned()].iter().find_map(|place| {
            let record = response.json(&[place]).pop().flatten()?;
            let key = own.clone().or_else(|| id_key(&record).ok().map(|key| pointer(&key.unwrap_or_else(id))))?;
            response.json(&[&format!("{place}{key}")]).pop().flatten().and_then(text)
        })
    }
}

/// Puts a value at a dotted path.
fn put(body: &mut Value, path: &str, value: Value) {
    let mut at = body;
    for part in path.split('.') {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[part];
    }
    *at = value;
}
