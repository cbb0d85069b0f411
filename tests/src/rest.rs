//! A REST server with lists, for an adapter that is addressed by `mapping:` (`tests/guests/rest-lists` has its requests).
//!
//! A list has columns. A write is a list of objects, and one that is wrong has all of them rejected. Ids are numbers, and each list counts its
//! own. An object is shown with its peers inside: `"site": {"id": 7, "slug": "zrh"}`, `"status": {"value": "active", "label": "Active"}`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use infrahub_sync_test_server::{Answer, Reply, Request, Server};
use serde_json::{Map, Value, json};

/// The token that the server wants.
pub const TOKEN: &str = "token-of-the-lists-0001";
/// The most objects of a page.
const LIMIT: usize = 1000;

/// A column of a list.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// Text.
    Text,
    /// Text that no two objects share, and that each has.
    Unique,
    /// A number.
    Number,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// An object of another list.
    Peer(&'static str),
    /// A set of objects of another list.
    Peers(&'static str),
}

/// The name of a list, and its columns.
pub type Shape = (&'static str, &'static [(&'static str, Column)]);

type Object = Map<String, Value>;

/// The lists of a server. Peers are stored by their ids.
#[derive(Debug, Clone, Default)]
struct Lists {
    columns: BTreeMap<&'static str, &'static [(&'static str, Column)]>,
    objects: BTreeMap<&'static str, BTreeMap<u64, Object>>,
    last: BTreeMap<&'static str, u64>,
}

/// A status and the reason why a request is rejected.
type Rejection = (u16, String);

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Rest {
    server: Server,
    lists: Arc<Mutex<Lists>>,
}

impl Rest {
    /// Starts a server with these lists, which are empty.
    #[must_use]
    pub fn start(shapes: &[Shape]) -> Rest {
        Rest::start_behind(shapes, |_| ())
    }

    /// Starts a server that calls `before` with each request, before it is looked at: it may wait.
    #[must_use]
    pub fn start_behind(shapes: &[Shape], before: impl Fn(&Request) + Send + Sync + 'static) -> Rest {
        let lists = Lists {
            columns: shapes.iter().copied().collect(),
            objects: shapes.iter().map(|(name, _)| (*name, BTreeMap::new())).collect(),
            last: BTreeMap::new(),
        };
        let lists = Arc::new(Mutex::new(lists));
        let served = lists.clone();
        let server = Server::start(move |request| {
            before(request);
            answer(&mut lock(&served), request)
        });
        Rest { server, lists }
    }

    /// Returns the address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Returns the writes since the last call: method, list, and body.
    ///
    /// # Panics
    /// When a body is not JSON.
    #[must_use]
    pub fn writes(&self) -> Vec<(String, String, Value)> {
        let requests = self.server.take().into_iter().filter(|request| ["POST", "PATCH", "DELETE"].contains(&request.method.as_str()));
        let write = |request: Request| {
            let list = request.path().trim_start_matches("/api/").trim_matches('/').to_owned();
            (request.method.clone(), list, serde_json::from_slice(&request.body).expect("a body of JSON"))
        };
        requests.map(write).collect()
    }

    /// Writes objects as a user does, and returns their ids. A body with an id changes an object.
    ///
    /// # Panics
    /// When the server would reject them.
    pub fn put(&self, list: &str, bodies: &[Value]) -> Vec<u64> {
        let mut lists = lock(&self.lists);
        let name = lists.name(list).unwrap_or_else(|| panic!("no list {list}"));
        bodies.iter().map(|body| lists.put(name, body).unwrap_or_else(|(_, reason)| panic!("{list}: {reason}"))).collect()
    }

    /// Deletes an object as a user does.
    ///
    /// # Panics
    /// When there is no such object, or another one refers to it.
    pub fn delete(&self, list: &str, id: u64) {
        let mut lists = lock(&self.lists);
        let name = lists.name(list).unwrap_or_else(|| panic!("no list {list}"));
        lists.delete(name, id).unwrap_or_else(|(_, reason)| panic!("{list}: {reason}"));
    }

    /// Returns the objects of a list as they are stored, without their ids. Peers are shown by their first column.
    ///
    /// # Panics
    /// When there is no such list.
    #[must_use]
    pub fn objects(&self, list: &str) -> Vec<Value> {
        let lists = lock(&self.lists);
        let name = lists.name(list).unwrap_or_else(|| panic!("no list {list}"));
        let mut objects: Vec<Value> = lists.of(name).values().map(|object| lists.plain(name, object)).collect();
        objects.sort_by_key(ToString::to_string);
        objects
    }
}

fn lock(lists: &Mutex<Lists>) -> MutexGuard<'_, Lists> {
    lists.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rejected((status, reason): Rejection) -> Answer {
    Answer::json(json!({ "detail": reason })).with_status(status)
}

fn answer(lists: &mut Lists, request: &Request) -> Reply {
    if request.header("authorization") != format!("Token {TOKEN}") {
        return rejected((403, "Invalid token.".to_owned())).into();
    }
    let name = request.path().strip_prefix("/api/").and_then(|path| lists.name(path.trim_matches('/')));
    let Some(name) = name else { return rejected((404, "Not found.".to_owned())).into() };
    let answered = match request.method.as_str() {
        "GET" => Ok(Answer::json(lists.page(name, request))),
        "OPTIONS" => Ok(Answer::json(lists.description(name))),
        _ => lists.write(name, request),
    };
    answered.unwrap_or_else(rejected).into()
}

impl Lists {
    fn name(&self, list: &str) -> Option<&'static str> {
        self.columns.keys().find(|name| **name == list).copied()
    }

    fn of(&self, list: &str) -> &BTreeMap<u64, Object> {
        self.objects.get(list).expect("a list of the server")
    }

    fn columns(&self, list: &str) -> &'static [(&'static str, Column)] {
        self.columns.get(list).expect("a list of the server")
    }

    /// Returns the fields of a list, as `OPTIONS` tells them.
    fn description(&self, list: &str) -> Value {
        let field = |column: &Column| match column {
            Column::Text => json!({"type": "text"}),
            Column::Unique => json!({"type": "text", "unique": true, "required": true}),
            Column::Number => json!({"type": "number"}),
            Column::Choice(choices) => json!({"type": "choice", "choices": choices}),
            Column::Peer(list) => json!({"type": "object", "list": list}),
            Column::Peers(list) => json!({"type": "objects", "list": list}),
        };
        json!({ "fields": self.columns(list).iter().map(|(name, column)| ((*name).to_owned(), field(column))).collect::<Object>() })
    }

    /// Returns a page of a list.
    fn page(&self, list: &str, request: &Request) -> Value {
        let number = |name: &str| request.query(name).and_then(|text| text.parse::<u64>().ok());
        let after = number("after").unwrap_or(0);
        let limit = number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIMIT).min(LIMIT);
        let ids: Option<Vec<u64>> = request.query("id").map(|ids| ids.split(',').filter_map(|id| id.parse().ok()).collect());
        let fits = |object: &Object| {
            let of_column = |(name, _): &(&str, Column)| {
                let value = request.query(name).map(decoded);
                value.is_none_or(|value| object.get(*name).and_then(Value::as_str) == Some(&value))
            };
            self.columns(list).iter().all(of_column)
        };
        let wanted = |(id, object): &(&u64, &Object)| ids.as_ref().is_none_or(|ids| ids.contains(id)) && fits(object);
        let all: Vec<(&u64, &Object)> = self.of(list).iter().filter(wanted).collect();
        let mut rest = all.iter().filter(|(id, _)| **id > after);
        let results: Vec<Value> = rest.by_ref().take(limit).map(|(id, object)| self.shown(list, **id, object)).collect();
        json!({"count": all.len(), "next": rest.next().is_some(), "results": results})
    }

    /// Returns an object with its peers inside.
    fn shown(&self, list: &str, id: u64, object: &Object) -> Value {
        let mut shown = Object::from_iter([("id".to_owned(), json!(id))]);
        for (name, column) in self.columns(list) {
            let value = object.get(*name).cloned().unwrap_or(Value::Null);
            let value = match (column, value) {
                (_, Value::Null) => Value::Null,
                (Column::Choice(_), Value::String(text)) => json!({"value": text, "label": text.to_uppercase()}),
                (Column::Peer(peers), id) => self.peer(peers, &id),
                (Column::Peers(peers), Value::Array(ids)) => ids.iter().map(|id| self.peer(peers, id)).collect(),
                (_, value) => value,
            };
            shown.insert((*name).to_owned(), value);
        }
        Value::Object(shown)
    }

    /// Returns an object as a part of another: its id and its plain columns.
    fn peer(&self, list: &str, id: &Value) -> Value {
        let object = id.as_u64().and_then(|id| self.of(list).get(&id)).expect("a peer that exists");
        let plain = self.columns(list).iter().filter(|(_, column)| matches!(column, Column::Text | Column::Unique));
        let plain = plain.filter_map(|(name, _)| Some(((*name).to_owned(), object.get(*name)?.clone())));
        Value::Object(plain.chain([("id".to_owned(), id.clone())]).collect())
    }

    /// Returns a stored object with the first columns of its peers in place of their ids.
    fn plain(&self, list: &str, object: &Object) -> Value {
        let first = |peers: &str, id: &Value| {
            let peer = id.as_u64().and_then(|id| self.of(peers).get(&id)).expect("a peer that exists");
            self.columns(peers).first().and_then(|(name, _)| peer.get(*name)).cloned().unwrap_or(Value::Null)
        };
        let column = |(name, column): &(&str, Column)| {
            let value = object.get(*name)?;
            let value = match (column, value) {
                (Column::Peer(peers), Value::Number(_)) => first(peers, value),
                (Column::Peers(peers), Value::Array(ids)) => ids.iter().map(|id| first(peers, id)).collect(),
                (_, value) => value.clone(),
            };
            Some(((*name).to_owned(), value)).filter(|(_, value)| !value.is_null())
        };
        Value::Object(self.columns(list).iter().filter_map(column).collect())
    }

    /// Writes all objects of a request, or none.
    fn write(&mut self, list: &'static str, request: &Request) -> Result<Answer, Rejection> {
        let bodies: Vec<Value> = serde_json::from_slice(&request.body).map_err(|error| (400, error.to_string()))?;
        let mut next = self.clone();
        let mut written = Vec::new();
        for (at, body) in bodies.iter().enumerate() {
            let id = body.get("id").and_then(Value::as_u64);
            let done = match (request.method.as_str(), id) {
                ("POST", None) => next.put(list, body),
                ("PATCH", Some(id)) if next.of(list).contains_key(&id) => next.put(list, body),
                ("DELETE", Some(id)) => next.delete(list, id).map(|()| id),
                (_, Some(id)) => Err((404, format!("there is no object {id}"))),
                (method, None) => Err((400, format!("{method} needs an id"))),
            };
            written.push(done.map_err(|(status, reason)| (status, format!("object {at}: {reason}")))?);
        }
        *self = next;
        let shown: Vec<Value> = written.iter().filter_map(|id| Some(self.shown(list, *id, self.of(list).get(id)?))).collect();
        Ok(match request.method.as_str() {
            "POST" => Answer::json(json!(shown)).with_status(201),
            "PATCH" => Answer::json(json!(shown)),
            _ => Answer::status(204),
        })
    }

    /// Creates an object, or changes the one with the body's id.
    fn put(&mut self, list: &'static str, body: &Value) -> Result<u64, Rejection> {
        let body = body.as_object().ok_or_else(|| (400, format!("{body} is not an object")))?;
        let known = body.get("id").and_then(Value::as_u64);
        let mut object = known.and_then(|id| self.of(list).get(&id).cloned()).unwrap_or_default();
        for (name, value) in body.iter().filter(|(name, _)| *name != "id") {
            let column = self.columns(list).iter().find(|(column, _)| column == name).map(|(_, column)| column);
            let column = column.ok_or_else(|| (400, format!("`{name}` is not a field of {list}")))?;
            let stored = self.stored(column, value).map_err(|reason| (400, format!("`{name}`: {reason}")))?;
            object.insert(name.clone(), stored);
        }
        for (name, _) in self.columns(list).iter().filter(|(_, column)| matches!(column, Column::Unique)) {
            let value = object.get(*name).filter(|value| !value.is_null()).ok_or_else(|| (400, format!("`{name}` is required")))?;
            if self.of(list).iter().any(|(id, other)| Some(*id) != known && other.get(*name) == Some(value)) {
                return Err((400, format!("`{name}`: another object has {value}")));
            }
        }
        let id = known.unwrap_or_else(|| {
            let last = self.last.entry(list).or_default();
            *last += 1;
            *last
        });
        self.objects.entry(list).or_default().insert(id, object);
        Ok(id)
    }

    /// Returns a value as it is stored.
    fn stored(&self, column: &Column, value: &Value) -> Result<Value, String> {
        match (column, value) {
            (Column::Peers(_), Value::Null) => Ok(json!([])),
            (_, Value::Null) => Ok(Value::Null),
            (Column::Text | Column::Unique, Value::String(_)) => Ok(value.clone()),
            (Column::Number, Value::Number(_)) => Ok(value.clone()),
            (Column::Choice(choices), Value::String(text)) if choices.contains(&text.as_str()) => Ok(value.clone()),
            (Column::Peer(list), _) => self.peer_id(list, value),
            (Column::Peers(list), Value::Array(peers)) => peers.iter().map(|peer| self.peer_id(list, peer)).collect(),
            _ => Err(format!("{value} is not valid")),
        }
    }

    /// Returns the id of a peer, which is given by its id or by attributes that only it has.
    fn peer_id(&self, list: &str, peer: &Value) -> Result<Value, String> {
        let fits = |(id, object): &(&u64, &Object)| match peer {
            Value::Object(attributes) => attributes.iter().all(|(name, value)| object.get(name) == Some(value)),
            one => one.as_u64() == Some(**id),
        };
        match self.of(list).iter().filter(fits).collect::<Vec<_>>().as_slice() {
            [(id, _)] => Ok(json!(id)),
            found => Err(format!("{} objects of {list} are {peer}", found.len())),
        }
    }

    fn delete(&mut self, list: &'static str, id: u64) -> Result<(), Rejection> {
        for (other, columns) in &self.columns {
            let refers = |object: &Object| {
                columns.iter().any(|(name, column)| match (column, object.get(*name)) {
                    (Column::Peer(peers), Some(peer)) => *peers == list && *peer == json!(id),
                    _ => false,
                })
            };
            if self.of(other).values().any(refers) {
                return Err((409, format!("an object of {other} refers to it")));
            }
        }
        let removed = self.objects.get_mut(list).and_then(|objects| objects.remove(&id));
        removed.ok_or_else(|| (404, format!("there is no object {id}")))?;
        // A set loses its member.
        for (other, columns) in &self.columns {
            for object in self.objects.get_mut(other).into_iter().flat_map(BTreeMap::values_mut) {
                for (name, column) in *columns {
                    if let (Column::Peers(peers), Some(Value::Array(ids))) = (column, object.get_mut(*name)) {
                        ids.retain(|peer| *peers != list || *peer != json!(id));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Decodes a value of a query.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let code = others.get(..2).filter(|_| *first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = others.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: &[Shape] = &[
        ("org/sites", &[("slug", Column::Unique), ("note", Column::Text)]),
        ("org/tags", &[("name", Column::Unique)]),
        (
            "dcim/devices",
            &[
                ("name", Column::Unique),
                ("status", Column::Choice(&["active"])),
                ("site", Column::Peer("org/sites")),
                ("tags", Column::Peers("org/tags")),
            ],
        ),
    ];

    fn lists() -> Lists {
        let objects = SHAPES.iter().map(|(name, _)| (*name, BTreeMap::new())).collect();
        Lists { columns: SHAPES.iter().copied().collect(), objects, last: BTreeMap::new() }
    }

    #[test]
    fn an_object_is_stored_by_ids_and_shown_with_its_peers() {
        let mut lists = lists();
        let site = lists.put("org/sites", &json!({"slug": "zrh"})).expect("a site");
        let tag = lists.put("org/tags", &json!({"name": "lab"})).expect("a tag");
        let body = json!({"name": "r1", "status": "active", "site": {"slug": "zrh"}, "tags": [tag]});
        let device = lists.put("dcim/devices", &body).expect("a device");
        let shown = lists.shown("dcim/devices", device, &lists.of("dcim/devices")[&device]);
        let expected = json!({"id": device, "name": "r1", "status": {"value": "active", "label": "ACTIVE"},
            "site": {"id": site, "slug": "zrh"}, "tags": [{"id": tag, "name": "lab"}]});
        assert_eq!(shown, expected);
        assert_eq!(lists.delete("org/sites", site), Err((409, "an object of dcim/devices refers to it".to_owned())));
        lists.delete("org/tags", tag).expect("a set does not protect its members");
        assert_eq!(lists.of("dcim/devices")[&device]["tags"], json!([]));
    }

    #[test]
    fn wrong_objects_are_rejected() {
        let mut lists = lists();
        lists.put("org/sites", &json!({"slug": "zrh"})).expect("a site");
        for (list, body, words) in [
            ("org/sites", json!({"slug": "zrh"}), "another object has"),
            ("org/sites", json!({"note": "x"}), "`slug` is required"),
            ("org/sites", json!({"slug": "x", "size": 1}), "`size` is not a field"),
            ("dcim/devices", json!({"name": "r1", "status": "odd"}), "`status`"),
            ("dcim/devices", json!({"name": "r1", "site": 17}), "0 objects of org/sites"),
        ] {
            let (status, reason) = lists.put(lists.name(list).expect("a list"), &body).expect_err("it is wrong");
            assert!(status == 400 && reason.contains(words), "{reason}");
        }
        assert_eq!(decoded("a%2Fb%20%C3%BC%"), "a/b ü%");
    }
}
