//! NetBox, Nautobot and Peering Manager, played: one REST server that is driven by tables of lists and columns, and speaks three dialects.
//!
//! Its rules were measured on the real servers: pages, filters, `OPTIONS`, lists of objects in a write (all or nothing), and the forms of refusals. It has
//! a change log, makes objects out of templates, and takes objects along in a delete. It is not a model of these systems: a
//! test names the lists and columns that it needs.
//!
//! | | NetBox | Nautobot | Peering Manager |
//! |---|---|---|---|
//! | ids | numbers | UUIDs | numbers |
//! | pages | `start`, else offset | offset | offset |
//! | an unknown parameter | ignored | 400 | ignored |
//! | a refused list | `{"errors": [{"index": …}]}` | a list as long as the request; of changes the first alone | as Nautobot |
//! | an id of a change or delete that does not exist | 400 | left out | left out |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use infrahub_sync_test_server::{Answer, Reply, Request, Server};
use serde_json::{Map, Value, json};

mod answers;
mod faults;
pub mod lists;

pub use faults::{Fate, Hook, Moment};

/// The token that may do everything.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";
/// The token that may only read.
pub const READER: &str = "9876543210abcdef9876543210abcdef98765432";
/// The most objects of a page.
const LIMIT: usize = 1000;

/// Which system is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// NetBox 4.7.
    NetBox,
    /// Nautobot 3.2.
    Nautobot,
    /// Peering Manager 1.10.
    PeeringManager,
}

/// A column of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Text that may be blank and not null.
    Text,
    /// Text that a new object must have.
    Name,
    /// Text that may be null.
    Nullable,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// One of these texts, shown with a label.
    Choice(&'static [&'static str]),
    /// One of these texts, shown as it is.
    Word(&'static [&'static str]),
    /// An object of another list.
    Peer(&'static str),
    /// An object of another list that a new object must have, and with which it is deleted.
    Parent(&'static str),
    /// An object of another list that a new object must have, and that cannot be deleted before.
    Needed(&'static str),
    /// A set of objects of another list.
    Peers(&'static str),
    /// An object of one of several lists: `x_type`, `x_id`, and `x` to read.
    Generic(&'static [&'static str]),
    /// Computed.
    Computed,
    /// Computed by the server, and stored by a test: a request cannot write it.
    Stored,
}

/// A list: its path, the type of its objects, its columns, and the columns whose values together no two objects have.
#[derive(Debug, Clone, Copy)]
pub struct List {
    /// `dcim/device-types`.
    pub path: &'static str,
    /// `dcim.devicetype`.
    pub type_name: &'static str,
    /// The columns beside `id`, `custom_fields`, `created` and `last_updated`.
    pub columns: &'static [(&'static str, Column)],
    /// Sets of columns.
    pub unique: &'static [&'static [&'static str]],
}

type Object = Map<String, Value>;

/// An entry of the change log.
#[derive(Debug, Clone)]
pub struct Entry {
    time: String,
    /// `create`, `update`, `delete`.
    pub action: &'static str,
    /// `dcim.site`.
    pub type_name: &'static str,
    /// The object's id.
    pub id: String,
    /// The message of who wrote it.
    pub message: String,
}

/// The objects of a server.
#[derive(Debug, Clone)]
struct Store {
    dialect: Dialect,
    lists: &'static [List],
    objects: BTreeMap<&'static str, BTreeMap<u64, Object>>,
    log: Vec<Entry>,
    last: u64,
    /// Custom fields.
    custom: BTreeSet<String>,
    /// Objects that are made along: list, child list, column of the parent, values.
    templates: Vec<(&'static str, &'static str, &'static str, Vec<Value>)>,
    version: String,
    /// Writes whose answers are lost.
    lost: usize,
    /// Ids that clients have chosen.
    chosen: BTreeMap<u64, String>,
}

/// A status and the body of a refusal.
type Refusal = (u16, Value);

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Django {
    server: Server,
    store: Arc<Mutex<Store>>,
    faults: Arc<faults::Faults>,
}

impl Django {
    /// Starts a server with these lists, which are empty.
    #[must_use]
    pub fn start(dialect: Dialect, lists: &'static [List]) -> Django {
        let version = match dialect {
            Dialect::NetBox => "4.7.3",
            Dialect::Nautobot => "3.2.7",
            Dialect::PeeringManager => "1.10.5",
        };
        let store = Store {
            dialect,
            lists,
            objects: lists.iter().map(|list| (list.path, BTreeMap::new())).collect(),
            log: Vec::new(),
            last: 0,
            custom: BTreeSet::new(),
            templates: Vec::new(),
            version: version.to_owned(),
            lost: 0,
            chosen: BTreeMap::new(),
        };
        let store = Arc::new(Mutex::new(store));
        let faults = Arc::new(faults::Faults::default());
        let (served, wrong) = (store.clone(), faults.clone());
        let server = Server::start(move |request| wrong.answer(request, || answers::answer(&mut lock(&served), request)));
        Django { server, store, faults }
    }

    /// Returns the address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Plays another version.
    pub fn set_version(&self, version: &str) {
        version.clone_into(&mut lock(&self.store).version);
    }

    /// Defines a custom field.
    pub fn define(&self, custom_field: &str) {
        lock(&self.store).custom.insert(custom_field.to_owned());
    }

    /// Has each new object of a list make further ones of `child`, which refer to it by `column`.
    pub fn make_along(&self, list: &'static str, child: &'static str, column: &'static str, values: &[Value]) {
        lock(&self.store).templates.push((list, child, column, values.to_vec()));
    }

    /// Loses the answers of the next writes: they are done, and the connection is closed.
    pub fn lose_answers(&self, count: usize) {
        lock(&self.store).lost = count;
    }

    /// Lets a storm begin: of a thousand requests, N are hit by a fault, the same for the same seed. None: it ends.
    pub fn storm(&self, seed_and_per_mille: Option<(u64, u64)>) {
        self.faults.storm(seed_and_per_mille);
    }

    /// Runs code of a test in the middle of each request.
    pub fn hook(&self, hook: Option<Hook>) {
        self.faults.hook(hook);
    }

    /// Returns the requests since the last call: method and path with query.
    #[must_use]
    pub fn requests(&self) -> Vec<(String, String, Vec<u8>)> {
        self.server.take().into_iter().map(|request| (request.method, request.target, request.body)).collect()
    }

    /// Writes objects as a user does, and returns their ids. A body with an id changes an object.
    ///
    /// # Panics
    /// When the server would reject them.
    pub fn put(&self, list: &str, bodies: &[Value]) -> Vec<Value> {
        let mut store = lock(&self.store);
        let list = store.list(list).unwrap_or_else(|| panic!("no list {list}"));
        let one = |body: &Value| store.put(list, body).map(|id| store.id(id)).unwrap_or_else(|errors| panic!("{}: {errors}", list.path));
        bodies.iter().map(one).collect()
    }

    /// Deletes an object as a user does.
    ///
    /// # Panics
    /// When there is no such object, or another one needs it.
    pub fn delete(&self, list: &str, id: &Value) {
        let mut store = lock(&self.store);
        let list = store.list(list).unwrap_or_else(|| panic!("no list {list}"));
        let number = store.number(id).unwrap_or_else(|| panic!("no id {id}"));
        store.delete(list, number).unwrap_or_else(|(_, errors)| panic!("{}: {errors}", list.path));
    }

    /// Returns the objects of a list as they are stored, without ids and times, sorted. Peers are shown by their first column.
    ///
    /// # Panics
    /// When there is no such list.
    #[must_use]
    pub fn objects(&self, list: &str) -> Vec<Value> {
        let store = lock(&self.store);
        let list = store.list(list).unwrap_or_else(|| panic!("no list {list}"));
        let mut objects: Vec<Value> = store.of(list.path).values().map(|object| store.plain(list, object)).collect();
        objects.sort_by_key(ToString::to_string);
        objects
    }

    /// Returns the ids of the objects of a list that have these values; peers by their ids.
    ///
    /// # Panics
    /// When there is no such list.
    #[must_use]
    pub fn find_all(&self, list: &str, values: &[(&str, Value)]) -> Vec<Value> {
        let store = lock(&self.store);
        let list = store.list(list).unwrap_or_else(|| panic!("no list {list}"));
        let has = |object: &Object, name: &str, value: &Value| {
            object.get(name).is_some_and(|stored| stored == value || store.number(value).is_some_and(|number| *stored == json!(number)))
        };
        let fits = |object: &Object| values.iter().all(|(name, value)| has(object, name, value));
        store.of(list.path).iter().filter(|(_, object)| fits(object)).map(|(number, _)| store.id(*number)).collect()
    }

    /// Returns the id of the first object of a list with that text.
    #[must_use]
    pub fn find(&self, list: &str, name: &str, text: &str) -> Option<Value> {
        self.find_all(list, &[(name, json!(text))]).into_iter().next()
    }

    /// Returns the change log, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<Entry> {
        lock(&self.store).log.clone()
    }
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the time, a microsecond later each time: no two entries are of one moment.
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

impl Store {
    fn list(&self, path: &str) -> Option<&'static List> {
        self.lists.iter().find(|list| list.path == path)
    }

    fn of(&self, list: &str) -> &BTreeMap<u64, Object> {
        self.objects.get(list).expect("a list of the server")
    }

    /// Returns an id as it is shown.
    fn id(&self, number: u64) -> Value {
        match self.dialect {
            Dialect::Nautobot => match self.chosen.get(&number) {
                Some(id) => json!(id),
                None => json!(format!("00000000-0000-4000-8000-{number:012x}")),
            },
            _ => json!(number),
        }
    }

    /// Returns the number of an id.
    fn number(&self, id: &Value) -> Option<u64> {
        match (self.dialect, id) {
            (Dialect::Nautobot, Value::String(text)) => match text.strip_prefix("00000000-0000-4000-8000-") {
                Some(number) => u64::from_str_radix(number, 16).ok(),
                None => self.chosen.iter().find(|(_, id)| *id == text).map(|(number, _)| *number),
            },
            (Dialect::NetBox, Value::String(text)) => text.parse().ok(),
            (Dialect::Nautobot, _) => None,
            _ => id.as_u64(),
        }
    }

    /// Returns the name of the time of the last change.
    fn updated(&self) -> &'static str {
        if self.dialect == Dialect::PeeringManager { "updated" } else { "last_updated" }
    }

    fn note(&mut self, action: &'static str, list: &List, number: u64, message: &str) {
        let id = self.id(number);
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        self.log.push(Entry { time: now(), action, type_name: list.type_name, id, message: message.to_owned() });
    }

    /// Creates an object, or changes the one with the body's id.
    fn put(&mut self, list: &'static List, body: &Value) -> Result<u64, Value> {
        let body = body.as_object().ok_or_else(|| json!({"non_field_errors": ["Expected a dictionary"]}))?;
        let known = body.get("id").and_then(|id| self.number(id)).filter(|number| self.of(list.path).contains_key(number));
        let chosen =
            body.get("id").and_then(Value::as_str).filter(|_| known.is_none() && self.dialect == Dialect::Nautobot).map(str::to_owned);
        let mut object = known.and_then(|number| self.of(list.path).get(&number).cloned()).unwrap_or_default();
        let mut errors = Map::new();
        for (name, column) in list.columns {
            if let Err(error) = self.take(&mut object, name, *column, body, known.is_none()) {
                errors.insert((*name).to_owned(), json!([error]));
            }
        }
        self.take_custom(&mut object, body, &mut errors);
        if errors.is_empty() {
            errors.extend(self.collision(list, &object, known));
            errors.extend(self.held(list, &object, known));
        }
        if !errors.is_empty() {
            return Err(Value::Object(errors));
        }
        let number = known.unwrap_or_else(|| {
            self.last += 1;
            object.insert("created".to_owned(), json!(now()));
            self.last
        });
        if let Some(id) = chosen {
            self.chosen.insert(number, id);
        }
        object.insert(self.updated().to_owned(), json!(now()));
        self.objects.entry(list.path).or_default().insert(number, object);
        let message = body.get("changelog_message").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.note(if known.is_some() { "update" } else { "create" }, list, number, &message);
        if known.is_none() {
            self.instantiate(list, number);
        }
        Ok(number)
    }

    /// Makes the objects of templates.
    fn instantiate(&mut self, list: &'static List, number: u64) {
        let made: Vec<_> = self.templates.iter().filter(|(of, ..)| *of == list.path).cloned().collect();
        for (_, child, column, values) in made {
            let child = self.list(child).expect("a list of the server");
            for value in values {
                let mut body = value.as_object().cloned().unwrap_or_default();
                body.insert(column.to_owned(), self.id(number));
                self.put(child, &Value::Object(body)).unwrap_or_else(|errors| panic!("a template: {errors}"));
            }
        }
    }

    /// Takes the value of a column out of a body.
    fn take(&self, object: &mut Object, name: &str, column: Column, body: &Object, is_new: bool) -> Result<(), String> {
        if let Column::Generic(lists) = column {
            for part in ["type", "id"].map(|part| format!("{name}_{part}")) {
                match body.get(&part) {
                    Some(value) => object.insert(part, value.clone()),
                    None => object.get(&part).cloned().or(Some(Value::Null)).and_then(|value| object.insert(part, value)),
                };
            }
            let kind = object.get(&format!("{name}_type")).and_then(Value::as_str).map(str::to_owned);
            let id = object.get(&format!("{name}_id")).cloned().unwrap_or_default();
            return match kind {
                None if id.is_null() => Ok(()),
                None => Err("the type is missing".to_owned()),
                Some(kind) => {
                    let of_kind = |list: &&List| list.type_name == kind && lists.contains(&list.path);
                    let list = self.lists.iter().find(of_kind).ok_or_else(|| format!("{kind} is not a valid type"))?;
                    self.peer(list.path, &id).map(drop)
                }
            };
        }
        let is_required = matches!(column, Column::Name | Column::Parent(_) | Column::Needed(_));
        let value = match body.get(name) {
            Some(value) => value.clone(),
            None if is_new && is_required => return Err("This field is required.".to_owned()),
            None if is_new => match column {
                Column::Text => json!(""),
                Column::Flag => json!(false),
                Column::Peers(_) => json!([]),
                Column::Choice(choices) | Column::Word(choices) => json!(choices.first()),
                _ => Value::Null,
            },
            None => return Ok(()),
        };
        let stored = self.stored(column, &value)?;
        object.insert(name.to_owned(), stored);
        Ok(())
    }

    fn stored(&self, column: Column, value: &Value) -> Result<Value, String> {
        let null = || "This field may not be null.".to_owned();
        match (column, value) {
            (Column::Computed, _) => Ok(Value::Null),
            (Column::Stored, _) => Ok(value.clone()),
            (Column::Text | Column::Name | Column::Flag | Column::Parent(_) | Column::Needed(_) | Column::Peers(_), Value::Null) => {
                Err(null())
            }
            (Column::Name, Value::String(text)) if text.is_empty() => Err("This field may not be blank.".to_owned()),
            (_, Value::Null) => Ok(Value::Null),
            (Column::Text | Column::Name | Column::Nullable, Value::String(_)) => Ok(value.clone()),
            (Column::Number, Value::Number(_)) | (Column::Flag, Value::Bool(_)) => Ok(value.clone()),
            (Column::Word(choices), Value::String(text)) if choices.contains(&text.as_str()) => Ok(value.clone()),
            (Column::Choice(choices), Value::String(text)) if choices.contains(&text.as_str()) => Ok(value.clone()),
            (Column::Choice(_), Value::String(text)) if text.is_empty() => Ok(Value::Null),
            (Column::Choice(_), _) => Err(format!("{value} is not a valid choice.")),
            (Column::Peer(list) | Column::Parent(list) | Column::Needed(list), _) => self.peer(list, value).map(|number| json!(number)),
            (Column::Peers(list), Value::Array(peers)) => {
                let by_id = |peer: &Value| self.dialect == Dialect::Nautobot || list == "extras/tags" || !peer.is_object();
                match peers.iter().find(|peer| !by_id(peer)) {
                    Some(_) => Err("Expected pk value, received dict".to_owned()),
                    None => peers.iter().map(|peer| self.peer(list, peer).map(|number| json!(number))).collect(),
                }
            }
            _ => Err(format!("{value} is not valid.")),
        }
    }

    fn take_custom(&self, object: &mut Object, body: &Object, errors: &mut Object) {
        let fields = object.entry("custom_fields").or_insert_with(|| json!({})).as_object_mut().expect("an object");
        for (name, value) in body.get("custom_fields").and_then(Value::as_object).into_iter().flatten() {
            if self.custom.contains(name) {
                fields.insert(name.clone(), value.clone());
            } else {
                errors.insert("custom_fields".to_owned(), json!([format!("unknown custom field {name}")]));
            }
        }
    }

    /// Returns the number of a peer, which is given by its id or by attributes that only it has.
    fn peer(&self, list: &str, peer: &Value) -> Result<u64, String> {
        let number = self.number(peer);
        let fits = |(id, object): &(&u64, &Object)| match peer {
            Value::Object(attributes) => attributes.iter().all(|(name, value)| object.get(name) == Some(value)),
            _ => number == Some(**id),
        };
        match self.of(list).iter().filter(fits).collect::<Vec<_>>().as_slice() {
            [(number, _)] => Ok(**number),
            found => Err(format!("Related object not found using the provided attributes: {peer} ({} of {list})", found.len())),
        }
    }

    /// Returns the error of an address of NetBox that would move while a device has it as its primary one.
    fn held(&self, list: &List, object: &Object, known: Option<u64>) -> Object {
        let before = known.and_then(|number| self.of(list.path).get(&number));
        let is_moved = before.is_some_and(|before| before.get("assigned_object_id") != object.get("assigned_object_id"));
        if self.dialect != Dialect::NetBox || list.path != "ipam/ip-addresses" || !is_moved {
            return Map::new();
        }
        let is_primary = |device: &Object| device.get("primary_ip4").and_then(Value::as_u64) == known;
        if !self.of("dcim/devices").values().any(is_primary) {
            return Map::new();
        }
        let words = "Cannot reassign IP address while it is designated as the primary IP for the parent object";
        Map::from_iter([("__all__".to_owned(), json!([words]))])
    }

    /// Returns the errors of an object whose values another one has.
    fn collision(&self, list: &List, object: &Object, known: Option<u64>) -> Object {
        let mut errors = Map::new();
        for columns in list.unique {
            let values: Vec<Option<&Value>> = columns.iter().map(|name| object.get(*name).filter(|value| !value.is_null())).collect();
            if values.iter().any(Option::is_none) {
                continue;
            }
            let same = |(id, other): (&u64, &Object)| {
                Some(*id) != known && columns.iter().zip(&values).all(|(name, value)| other.get(*name) == *value)
            };
            if self.of(list.path).iter().any(same) {
                match columns {
                    [one] => errors.insert((*one).to_owned(), json!([format!("{} with this {one} already exists.", list.type_name)])),
                    _ => errors.insert("__all__".to_owned(), json!([format!("The fields {} must make a unique set.", columns.join(", "))])),
                };
            }
        }
        errors
    }

    /// Deletes an object with those that belong to it, unless another one needs it.
    fn delete(&mut self, list: &'static List, number: u64) -> Result<(), Refusal> {
        let missing = || (404, json!({"detail": "Not found."}));
        self.of(list.path).get(&number).ok_or_else(missing)?;
        let lists = self.lists;
        for other in lists {
            for (name, column) in other.columns {
                let of_column = |object: &Object| match column {
                    Column::Parent(peers) | Column::Needed(peers) | Column::Peer(peers) => {
                        *peers == list.path && object.get(*name) == Some(&json!(number))
                    }
                    Column::Generic(_) => {
                        let id = object.get(&format!("{name}_id")).and_then(|id| self.number(id));
                        id == Some(number) && object.get(&format!("{name}_type")) == Some(&json!(list.type_name))
                    }
                    _ => false,
                };
                let referring: Vec<u64> = self.of(other.path).iter().filter(|(_, object)| of_column(object)).map(|(id, _)| *id).collect();
                if referring.is_empty() {
                    continue;
                }
                match column {
                    Column::Needed(_) => {
                        let words =
                            format!("Unable to delete object. {} dependent objects were found: {}", referring.len(), other.type_name);
                        return Err((409, json!({ "detail": words })));
                    }
                    Column::Peer(_) => {
                        for id in referring {
                            let object = self.objects.get_mut(other.path).and_then(|objects| objects.get_mut(&id)).expect("it is there");
                            object.insert((*name).to_owned(), Value::Null);
                        }
                    }
                    _ => referring.into_iter().try_for_each(|id| self.delete(other, id))?,
                }
            }
        }
        self.objects.get_mut(list.path).and_then(|objects| objects.remove(&number)).ok_or_else(missing)?;
        self.note("delete", list, number, "");
        Ok(())
    }

    /// Returns a stored object with the first columns of its peers in place of their numbers.
    fn plain(&self, list: &List, object: &Object) -> Value {
        let first = |peers: &str, id: &Value| {
            let peer = id.as_u64().and_then(|id| self.of(peers).get(&id)).expect("a peer that exists");
            let columns = self.list(peers).expect("a list").columns;
            columns.first().and_then(|(name, _)| peer.get(*name)).cloned().unwrap_or(Value::Null)
        };
        let mut plain = Map::new();
        for (name, column) in list.columns {
            let value = object.get(*name).cloned().unwrap_or_default();
            let value = match (column, &value) {
                (Column::Generic(_), _) => {
                    let kind = object.get(&format!("{name}_type")).and_then(Value::as_str).unwrap_or_default();
                    let peers = self.lists.iter().find(|list| list.type_name == kind);
                    let id = object.get(&format!("{name}_id")).and_then(|id| self.number(id));
                    peers.zip(id).map_or(Value::Null, |(list, id)| json!(format!("{kind} {}", first(list.path, &json!(id)))))
                }
                (Column::Peer(peers) | Column::Parent(peers) | Column::Needed(peers), Value::Number(_)) => first(peers, &value),
                (Column::Peers(peers), Value::Array(ids)) => ids.iter().map(|id| first(peers, id)).collect(),
                _ => value,
            };
            if !value.is_null() && value != json!("") && value != json!([]) {
                plain.insert((*name).to_owned(), value);
            }
        }
        if let Some(Value::Object(fields)) = object.get("custom_fields").filter(|fields| **fields != json!({})) {
            plain.insert("custom_fields".to_owned(), Value::Object(fields.clone()));
        }
        Value::Object(plain)
    }
}
