//! Writes many rows a request, with an outcome a row.
//!
//! A system rejects all rows of a request together. Some name those at fault: these fail, and the rest is sent again. Else the batch is halved until
//! the rows at fault are alone. A request is limited in rows and in bytes: servers break off at 2.5 MiB.

use std::collections::{BTreeMap, BTreeSet};

use infrahub_sync_adapter::write::Batch;
use infrahub_sync_adapter::{Error, ErrorKind, Operation, Outcome, Response, Result, Row, WriteRequest, http};
use serde_json::{Map, Value, json};

use crate::Api;
use crate::adopt::{Found, find};
use crate::begin::{Note, writing};
use crate::body::{Bodies, SLUG, text};
use crate::describe::described;
use crate::hold::{held, release};
use crate::lock::lock;
use crate::system::Writing;

/// The most rows of a request.
const ROWS_MAX: usize = 100;
/// The most bytes of a request.
const BYTES_MAX: usize = 1 << 20;
/// The most slugs that are tried for one object.
const SLUGS_MAX: u32 = 9;

/// A row on its way.
struct Item {
    row: Row,
    body: Map<String, Value>,
    /// It was looked for among the objects that are there.
    is_looked_up: bool,
    /// The slugs that were taken.
    slugs: u32,
    /// References that held it were cleared.
    is_released: bool,
    /// The tag under which it is changed.
    tag: Option<String>,
    /// Its tag was out of date.
    is_outdated: bool,
}

type Numbered = Vec<(usize, Item)>;

/// The answer to a request.
enum Sent {
    Done(Response),
    /// No row was written. Rows by their position in the request, if the system names them.
    Rejected(Error, BTreeMap<usize, Rejection>),
    /// The outcome of each row is the error: unknown, or none was written.
    Failed(Error),
}

/// Why one row was rejected.
struct Rejection {
    error: Error,
    /// The members at fault.
    members: Vec<String>,
}

/// Writes rows.
pub(crate) fn write(api: &Api, request: &WriteRequest) -> Result<Vec<Outcome>> {
    let writing = writing(api)?;
    let note = Note::known()?;
    let description = described(api, request.target.resource_or_kind())?;
    let bodies = Bodies::new(api, writing, &request.target, &description, Some(&note));
    let mut batch = Batch::empty(request.count as usize);
    for rows in requests(&mut batch, &bodies, request)?.into_iter().rev() {
        batch.send_again(rows);
    }
    let mut writer = Writer { api, writing, bodies, note: &note, batch };
    while let Some(rows) = writer.batch.next_request() {
        match request.operation {
            Operation::Create => writer.create(rows)?,
            Operation::Update => writer.update(rows)?,
            Operation::Delete => writer.delete(rows)?,
        }
    }
    Ok(writer.batch.outcomes())
}

/// Cuts rows into requests. Rows that cannot be written have their outcome.
fn requests(batch: &mut Batch<Item>, bodies: &Bodies<'_>, request: &WriteRequest) -> Result<Vec<Numbered>> {
    let mut requests: Vec<Numbered> = vec![Vec::new()];
    let mut bytes = 0;
    for (number, row) in request.rows().enumerate() {
        let row = row?;
        let body = match bodies.of(request.operation, &row) {
            Ok(body) => body,
            Err(error) => {
                batch.decide(number, Outcome::Failed(error));
                continue;
            }
        };
        let length = serde_json::to_vec(&body).map_or(0, |body| body.len());
        let is_full = |rows: &Numbered| rows.len() >= ROWS_MAX || (!rows.is_empty() && bytes + length > BYTES_MAX);
        if requests.last().is_some_and(is_full) {
            requests.push(Vec::new());
            bytes = 0;
        }
        bytes += length;
        if let Some(last) = requests.last_mut() {
            last.push((number, Item { row, body, is_looked_up: false, slugs: 0, is_released: false, tag: None, is_outdated: false }));
        }
    }
    Ok(requests)
}

/// A write in progress.
struct Writer<'w> {
    api: &'w Api,
    writing: &'static Writing,
    bodies: Bodies<'w>,
    note: &'w Note,
    batch: Batch<Item>,
}

impl Writer<'_> {
    fn create(&mut self, rows: Numbered) -> Result<()> {
        match self.send("POST", &rows)? {
            Sent::Done(response) => {
                let created: Vec<Value> = response.parse()?;
                for ((number, _), object) in rows.iter().zip(&created) {
                    self.batch.decide(*number, Outcome::Written(object.get("id").map(text)));
                }
            }
            Sent::Rejected(error, named) => self.not_created(rows, error, named)?,
            Sent::Failed(error) => self.fail(&rows, &error),
        }
        Ok(())
    }

    /// Deals with creates that were rejected together.
    fn not_created(&mut self, mut rows: Numbered, error: Error, mut named: BTreeMap<usize, Rejection>) -> Result<()> {
        let is_collision = error.kind == ErrorKind::Conflict || named.values().any(|rejection| rejection.error.kind == ErrorKind::Conflict);
        if is_collision && rows.iter().any(|(_, item)| !item.is_looked_up) {
            let found = find(self.api, &self.bodies, &rows.iter().map(|(_, item)| &item.row).collect::<Vec<_>>())?;
            if found.iter().any(Option::is_some) {
                return self.take_over(rows, found);
            }
            rows.iter_mut().for_each(|(_, item)| item.is_looked_up = true);
        }
        // Only this row of this run makes that id: it is written already.
        let is_own = |rejection: &Rejection| rejection.error.kind == ErrorKind::Conflict && rejection.members == ["id"];
        if let Some(at) = named.iter().find(|(_, rejection)| is_own(rejection)).map(|(at, _)| *at).filter(|at| *at < rows.len()) {
            let (number, item) = rows.remove(at);
            self.batch.decide(number, Outcome::Written(Some(item.id())));
            self.batch.send_again(rows);
            return Ok(());
        }
        if self.bodies.makes_slugs() {
            let mut is_replaced = false;
            named.retain(|at, rejection| {
                let Some((_, item)) = rows.get_mut(*at).filter(|_| rejection.members.iter().any(|name| name == SLUG)) else { return true };
                let is_new = item.next_slug();
                is_replaced |= is_new;
                !is_new
            });
            if is_replaced && named.is_empty() {
                self.batch.send_again(rows);
                return Ok(());
            }
        }
        self.drop_named(rows, error, named);
        Ok(())
    }

    /// Fails the rows that are named, and sends the rest again. Without names the rows are halved.
    fn drop_named(&mut self, rows: Numbered, error: Error, named: BTreeMap<usize, Rejection>) {
        if named.is_empty() {
            self.batch.halve(rows, error);
            return;
        }
        let mut rest = Vec::new();
        for (at, (number, item)) in rows.into_iter().enumerate() {
            match named.get(&at) {
                Some(rejection) => self.batch.decide(number, Outcome::Failed(rejection.error.clone())),
                None => rest.push((number, item)),
            }
        }
        self.batch.send_again(rest);
    }

    /// Takes over the objects that the server has made in this run, and sends the other rows again.
    fn take_over(&mut self, rows: Numbered, found: Vec<Option<Found>>) -> Result<()> {
        let list = self.bodies.description.path.strip_prefix(self.api.prefix).unwrap_or_default().to_owned();
        let is_made = self.writing.made.contains(&list.as_str());
        let (mut rest, mut changed) = (Vec::new(), Vec::new());
        for ((number, mut item), found) in rows.into_iter().zip(found) {
            let Some(found) = found else {
                item.is_looked_up = true;
                rest.push((number, item));
                continue;
            };
            // A create whose answer was lost.
            if item.body.get("id").is_some_and(|id| text(id) == found.id) {
                self.batch.decide(number, Outcome::Written(Some(found.id)));
                continue;
            }
            if !is_made || !found.is_made_since(self.note.began) {
                let words = format!("it exists already, with the id {}, and is not of this run: run again to compare it", found.id);
                self.batch.decide(number, Outcome::Failed(Error::conflict(words)));
                continue;
            }
            item.body.remove("id");
            let mut body = found.lacking(&item.body, self.writing.message);
            if body.is_empty() {
                self.batch.decide(number, Outcome::Written(Some(found.id)));
                continue;
            }
            body.insert("id".to_owned(), self.bodies.id(&found.id)?);
            if let Some(name) = self.writing.message {
                body.insert(name.to_owned(), json!(self.note.message));
            }
            item.body = body;
            changed.push((number, item));
        }
        self.batch.send_again(rest);
        // Not by the batch, whose requests are creates.
        self.change_all(changed)
    }

    /// Changes objects, in halves where they are rejected together.
    fn change_all(&mut self, rows: Numbered) -> Result<()> {
        let mut waiting = vec![rows];
        while let Some(rows) = waiting.pop() {
            if rows.is_empty() {
                continue;
            }
            match self.send("PATCH", &rows)? {
                Sent::Done(response) => self.changed(&rows, &response)?,
                Sent::Rejected(error, _) if rows.len() == 1 => self.fail(&rows, &error),
                Sent::Rejected(..) => {
                    let mut first = rows;
                    let second = first.split_off(first.len() / 2);
                    waiting.extend([second, first]);
                }
                Sent::Failed(error) => self.fail(&rows, &error),
            }
        }
        Ok(())
    }

    fn update(&mut self, rows: Numbered) -> Result<()> {
        let rows = if self.note.locks { self.lock(rows)? } else { rows };
        if rows.is_empty() {
            return Ok(());
        }
        match self.send("PATCH", &rows)? {
            Sent::Done(response) => self.changed(&rows, &response)?,
            Sent::Rejected(error, named) => self.not_updated(rows, error, named)?,
            Sent::Failed(error) => self.fail(&rows, &error),
        }
        Ok(())
    }

    /// Gives rows the tags of their objects. Objects that another user has saved meanwhile fail.
    fn lock(&mut self, rows: Numbered) -> Result<Numbered> {
        let ids: Vec<String> = rows.iter().filter(|(_, item)| item.tag.is_none()).map(|(_, item)| item.id()).collect();
        if ids.is_empty() {
            return Ok(rows);
        }
        let locked = lock(self.api, &self.bodies.description.path, self.bodies.target.resource_or_kind(), self.note, &ids)?;
        let mut rest = Vec::new();
        for (number, mut item) in rows {
            let id = item.id();
            if locked.foreign.contains(&id) {
                let words = "another user has changed it since this run began: run again to compare it";
                self.batch.decide(number, Outcome::Failed(Error::conflict(words)));
                continue;
            }
            item.tag = item.tag.or_else(|| locked.tags.get(&id).cloned());
            rest.push((number, item));
        }
        Ok(rest)
    }

    /// Deals with changes that were rejected together.
    fn not_updated(&mut self, mut rows: Numbered, error: Error, named: BTreeMap<usize, Rejection>) -> Result<()> {
        // An object was saved since its tag was read: by this run, perhaps, which the tag of now tells.
        if error.http_status == Some(412) && rows.iter().any(|(_, item)| !item.is_outdated) {
            rows.iter_mut().for_each(|(_, item)| (item.tag, item.is_outdated) = (None, true));
            self.batch.send_again(rows);
            return Ok(());
        }
        let list = self.bodies.description.path.strip_prefix(self.api.prefix).unwrap_or_default();
        let words = named.values().map(|rejection| rejection.error.message.as_str()).chain([error.message.as_str()]);
        let hold = words.filter_map(|words| held(self.writing, list, words)).next();
        let is_held = |at: &usize, item: &Item| !item.is_released && (named.is_empty() || named.contains_key(at));
        let Some(hold) = hold.filter(|_| rows.iter().enumerate().any(|(at, (_, item))| is_held(&at, item))) else {
            self.drop_named(rows, error, named);
            return Ok(());
        };
        let ids: Vec<String> =
            rows.iter().enumerate().filter(|(at, (_, item))| is_held(at, item)).map(|(_, (_, item))| item.id()).collect();
        let is_released = release(self.api, self.writing, hold, &ids, &self.note.message)?;
        rows.iter_mut().filter(|(_, item)| ids.contains(&item.id())).for_each(|(_, item)| item.is_released = true);
        if is_released {
            self.batch.send_again(rows);
        } else {
            self.drop_named(rows, error, named);
        }
        Ok(())
    }

    /// Reads an answer to changes, which come in the order of ids and leave out objects that do not exist.
    fn changed(&mut self, rows: &Numbered, response: &Response) -> Result<()> {
        let answered: Vec<Value> = response.parse()?;
        let ids: BTreeSet<String> = answered.iter().filter_map(|object| object.get("id").map(text)).collect();
        for (number, item) in rows {
            let id = item.id();
            let outcome = match ids.contains(&id) {
                true => Outcome::Written(Some(id)),
                false => Outcome::Failed(Error::not_found(format!("the object with the id {id} does not exist any more"))),
            };
            self.batch.decide(*number, outcome);
        }
        Ok(())
    }

    fn delete(&mut self, rows: Numbered) -> Result<()> {
        match self.send("DELETE", &rows)? {
            Sent::Done(_) => {
                for (number, item) in &rows {
                    self.batch.decide(*number, Outcome::Written(Some(item.id())));
                }
            }
            Sent::Rejected(error, named) => {
                let is_single = |at: usize| named.contains_key(&at) || (named.is_empty() && rows.len() == 1);
                // Alone, the answer is exact: an object that does not exist, or what still depends on it.
                let alone: BTreeSet<usize> = (0..rows.len()).filter(|at| is_single(*at)).collect();
                if alone.is_empty() {
                    self.batch.halve(rows, error);
                    return Ok(());
                }
                let mut rest = Vec::new();
                for (at, (number, item)) in rows.into_iter().enumerate() {
                    if alone.contains(&at) {
                        let outcome = self.delete_one(&item)?;
                        self.batch.decide(number, outcome);
                    } else {
                        rest.push((number, item));
                    }
                }
                self.batch.send_again(rest);
            }
            Sent::Failed(error) => self.fail(&rows, &error),
        }
        Ok(())
    }

    /// Deletes one object by its own address.
    fn delete_one(&self, item: &Item) -> Result<Outcome> {
        let id = item.id();
        let mut request = http::Request::new("DELETE", format!("{}{id}/", self.bodies.description.path));
        if let Some(name) = self.writing.message {
            request = request.with_json(&json!({ name: self.note.message }))?;
        }
        let response = match request.send() {
            Ok(response) => response,
            Err(error) => return Ok(Outcome::Failed(error)),
        };
        Ok(match response.status() {
            200..=299 => Outcome::Written(Some(id)),
            404 => Outcome::Unchanged(Some(id)),
            _ => Outcome::Failed(self.api.names().refuse(self.bodies.target.resource_or_kind(), &response)),
        })
    }

    fn fail(&mut self, rows: &Numbered, error: &Error) {
        for (number, _) in rows {
            self.batch.decide(*number, Outcome::Failed(error.clone()));
        }
    }

    /// Sends rows in one request.
    fn send(&self, method: &str, rows: &Numbered) -> Result<Sent> {
        let list: Vec<&Map<String, Value>> = rows.iter().map(|(_, item)| &item.body).collect();
        let mut request = http::Request::new(method, &self.bodies.description.path).with_json(&list)?;
        let tags: Vec<&str> = rows.iter().filter_map(|(_, item)| item.tag.as_deref()).collect();
        if !tags.is_empty() && tags.len() == rows.len() {
            request = request.with_header("if-match", &tags.join(", "));
        }
        let response = match request.send() {
            Ok(response) => response,
            Err(error) => return Ok(Sent::Failed(error)),
        };
        let status = response.status();
        if response.is_success() {
            return Ok(Sent::Done(response));
        }
        let error = self.api.names().refuse(self.bodies.target.resource_or_kind(), &response);
        let body = if matches!(status, 400 | 409 | 412 | 500) { response.body() } else { Vec::new() };
        // Two rows of one request with the same unique value; a value that the server itself cannot handle. All was rolled back.
        let is_duplicate = status == 500 && contains(&body, b"IntegrityError");
        let is_fault = status == 500 && contains(&body, b"TypeError` when calling");
        if !matches!(status, 400 | 409 | 412) && !is_duplicate && !is_fault {
            return Ok(Sent::Failed(error));
        }
        let kind = match error.kind {
            _ if is_duplicate || status == 409 => ErrorKind::Conflict,
            _ if is_fault => ErrorKind::Invalid,
            kind => kind,
        };
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        // A fault of the server names its own exception, not the row's fields.
        let named = if status == 500 { BTreeMap::new() } else { named(&answer, rows, status) };
        let kind = if is_collision(&answer.to_string()) { ErrorKind::Conflict } else { kind };
        Ok(Sent::Rejected(Error { kind, ..error }, named))
    }
}

impl Item {
    fn id(&self) -> String {
        self.body.get("id").map(text).or_else(|| self.row.id.clone()).unwrap_or_default()
    }

    /// Gives it another slug; false when there are enough.
    fn next_slug(&mut self) -> bool {
        let Some(Value::String(slug)) = self.body.get_mut(SLUG) else { return false };
        if self.slugs > 0 {
            let end = slug.rfind('-').unwrap_or(slug.len());
            slug.truncate(end);
        }
        self.slugs += 1;
        slug.push_str(&format!("-{}", self.slugs + 1));
        self.slugs < SLUGS_MAX
    }
}

fn contains(body: &[u8], words: &[u8]) -> bool {
    body.windows(words.len()).any(|window| window == words)
}

/// Says whether a refusal is about another object that has the same value.
fn is_collision(words: &str) -> bool {
    ["already exists", "unique set", "must be unique", "Duplicate"].iter().any(|part| words.contains(part))
}

/// Returns the rows that an answer names: `{"errors": [{"index": 3, "errors": {…}}]}`, or a list as long as the request with `{}` for rows
/// that are right. The answer to one row is about that row.
fn named(answer: &Value, rows: &Numbered, status: u16) -> BTreeMap<usize, Rejection> {
    let mut named = BTreeMap::new();
    let mut add = |at: usize, errors: &Value| {
        let words = words(errors);
        let kind = if status == 409 || is_collision(&words) { ErrorKind::Conflict } else { ErrorKind::Invalid };
        let members = errors.as_object().map(|errors| errors.keys().cloned().collect()).unwrap_or_default();
        named.insert(at, Rejection { error: Error::new(kind, words).with_status(status), members });
    };
    match answer {
        Value::Object(object) if object.get("errors").is_some_and(Value::is_array) => {
            for one in object.get("errors").and_then(Value::as_array).into_iter().flatten() {
                let by_id = || {
                    let id = one.get("id").map(text)?;
                    rows.iter().position(|(_, item)| item.id() == id)
                };
                let by_index = one.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
                if let Some(at) = by_index.or_else(by_id).filter(|at| *at < rows.len()) {
                    add(at, one.get("errors").unwrap_or(one));
                }
            }
        }
        Value::Array(list) if list.len() == rows.len() && list.iter().all(Value::is_object) => {
            for (at, errors) in list.iter().enumerate() {
                if errors.as_object().is_some_and(|errors| !errors.is_empty()) {
                    add(at, errors);
                }
            }
        }
        Value::Object(object) if rows.len() == 1 && !object.contains_key("detail") && !object.is_empty() => add(0, answer),
        _ => {}
    }
    named
}

/// Returns the words of the errors of one row: ``name`: This field is required.`
fn words(errors: &Value) -> String {
    match errors {
        Value::Object(object) => {
            let one = |(name, errors): (&String, &Value)| match name.as_str() {
                "__all__" | "non_field_errors" | "detail" => words(errors),
                _ => format!("`{name}`: {}", words(errors)),
            };
            object.iter().map(one).collect::<Vec<_>>().join("; ")
        }
        Value::Array(list) => list.iter().map(words).collect::<Vec<_>>().join(" "),
        one => text(one),
    }
}
