//! A system in memory, as strict as a database with foreign keys, and with faults.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use infrahub_sync_runtime::{
    Absence, AdapterName, Addressing, Cursor, Dependents, Error, Evidence, Failure, FailureKind, Kind, LoadRequest, Manifest, Operation,
    Outcome, Page, Payload, Result, Run, RunResult, Table, Target, Traffic, Waiting, WriteRequest,
};
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use crate::system::{Answer, System};

/// An object by kind and unique id.
pub(super) type To = (String, String);

/// An object: its id in the system, its values, and its peers.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Object {
    pub(super) id: String,
    /// The natural key, as records spell it.
    pub(super) key: Map<String, Value>,
    pub(super) values: BTreeMap<String, Value>,
    pub(super) one: BTreeMap<String, To>,
    pub(super) many: BTreeMap<String, BTreeSet<To>>,
}

impl Object {
    /// Returns whether it refers to an object.
    pub(super) fn refers_to(&self, peer: &To) -> bool {
        self.one.values().any(|one| one == peer) || self.many.values().any(|peers| peers.contains(peer))
    }
}

/// A kind that no project maps.
pub(super) const OUTSIDE: &str = "Extra";

/// The fields that hold sets of peers.
const SETS: [&str; 3] = ["tags", "groups", "cables"];

/// Objects by kind and unique id.
pub(super) type Net = BTreeMap<String, BTreeMap<String, Object>>;

/// The changes of another user.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Set(To, &'static str, Value),
    Delete(To),
    Create(To, Object),
}

/// How the system behaves.
#[derive(Debug, Clone)]
pub(super) struct Behaviour {
    /// Its objects have ids; without, references are read and written by natural key.
    pub(super) has_ids: bool,
    /// Writes are staged until `commit`.
    pub(super) stages: bool,
    pub(super) page_size: u32,
    pub(super) batch_max: u32,
    pub(super) concurrency: u32,
    /// The list moves while it is read: this many records of each page come again in the next one.
    pub(super) overlap: usize,
    /// It answers at odd moments, by this seed.
    pub(super) late: u64,
    /// It can list what changed.
    pub(super) changes: bool,
    /// A further page says another number of objects than the first one.
    pub(super) wobbles: bool,
    /// Only the last page of several tells the number of objects.
    pub(super) counts_late: bool,
    /// A read can be limited to ids.
    pub(super) reads_ids: bool,
    /// The kinds whose objects are deleted along with an object that their field leads to: kind, field, kind of that object.
    pub(super) cascades: Vec<(&'static str, &'static str, &'static str)>,
    /// It only counts what goes along.
    pub(super) only_counts: bool,
}

/// The fate of a write whose answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// It was executed.
    Executed,
    /// It never arrived.
    Never,
    /// It is executed when the host has paused this many times more.
    Late(u64),
    /// It was executed, and the adapter does not know the outcome of any row.
    Rows,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            has_ids: true,
            stages: false,
            page_size: 50,
            batch_max: 10,
            concurrency: 2,
            overlap: 0,
            late: 0,
            changes: true,
            wobbles: false,
            counts_late: false,
            reads_ids: true,
            cascades: Vec::new(),
            only_counts: false,
        }
    }
}

/// The shape of the objects, and what no two of them share.
#[derive(Debug, Clone, Default)]
pub(super) struct Schema {
    /// None: the system does not tell.
    pub(super) kinds: Vec<Kind>,
    /// Two objects without a value have the same one.
    pub(super) null_is_a_value: bool,
}

impl Schema {
    /// Returns another object that has a unique value of an object, with the field.
    fn taken(&self, state: &State, object: &To, new: &Object) -> Option<String> {
        let kind = self.kinds.iter().find(|kind| kind.name == object.0)?;
        let others = || state.net.get(&object.0).into_iter().flatten().filter(|(uid, _)| **uid != object.1);
        let part = |object: &Object, name: &String| {
            let peer = object.one.get(name).map(|peer| json!([peer.0, peer.1]));
            peer.or_else(|| object.values.get(name).filter(|value| !value.is_null()).cloned())
        };
        for set in &kind.unique_together {
            let of = |object: &Object| -> Vec<Option<Value>> { set.iter().map(|name| part(object, name)).collect() };
            let ours = of(new);
            let is_bound = self.null_is_a_value || ours.iter().all(Option::is_some);
            if let Some((uid, _)) = others().find(|(_, other)| is_bound && of(other) == ours) {
                return Some(format!("{object:?} takes {set:?} of {uid}"));
            }
        }
        let unique = kind.fields.iter().filter(|field| field.unique && !kind.identifiers.contains(&field.name));
        unique.flat_map(|field| others().map(move |other| (field, other))).find_map(|(field, (uid, other))| {
            let name = &field.name;
            let value = |object: &Object| object.values.get(name).filter(|value| !value.is_null()).cloned();
            let peers = |object: &Object| -> BTreeSet<To> {
                object.one.get(name).into_iter().chain(object.many.get(name).into_iter().flatten()).cloned().collect()
            };
            let same = match (field.references.is_empty(), value(new), value(other)) {
                (false, ..) => !peers(new).is_disjoint(&peers(other)),
                (true, None, None) => self.null_is_a_value,
                (true, ours, theirs) => ours == theirs,
            };
            same.then(|| format!("{object:?} takes `{name}` of {uid}"))
        })
    }
}

/// The faults.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    /// The call (counted from 0) that is never answered, and whether it takes effect.
    pub(super) kill: Option<(u64, bool)>,
    /// The writes (counted from 0) whose answers are lost.
    pub(super) lost: BTreeMap<u64, Loss>,
    /// The loads (counted from 0) that answer that the list moved.
    pub(super) moved: BTreeSet<u64>,
    /// Objects whose rows are rejected.
    pub(super) rejected: BTreeSet<To>,
    /// Fields that keep their value, whatever is written: kind and name.
    pub(super) frozen: BTreeSet<To>,
    /// Edits by other users, by the call before which they happen.
    pub(super) edits: BTreeMap<u64, Vec<Edit>>,
    /// Objects that the credentials do not show; the log does.
    pub(super) hidden: BTreeSet<To>,
    /// Objects that a list loses on its way: the total counts them.
    pub(super) lost_rows: BTreeSet<To>,
    /// The reads of a list that lose them; then the list is whole again. None: all.
    pub(super) loses: Option<u32>,
    /// The reads of a list that are whole before it loses rows.
    pub(super) whole_reads: u32,
    /// The log cannot be read.
    pub(super) no_log: bool,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) net: Net,
    pub(super) faults: Faults,
    /// Broken rules.
    pub(super) violations: Vec<String>,
    pub(super) calls: u64,
    loads: u64,
    /// The pauses that the host made.
    pub(super) rests: u64,
    writes: u64,
    /// Writes that are executed later: each after a number of pauses.
    late: Vec<(u64, WriteRequest)>,
    /// The objects that such a write has created.
    made_late: BTreeSet<To>,
    /// The reads of each list that have begun.
    reads: BTreeMap<String, u32>,
    next_id: u64,
    staged: Vec<(String, Operation, Value)>,
    /// The changes in order: kind, unique id, id, and whether it was deleted.
    log: Vec<(To, String, bool)>,
    /// The sync that is writing.
    writer: String,
    /// The sync that made each object; none of an object that was there from the beginning.
    pub(super) makers: BTreeMap<To, String>,
    /// Deletes of what another sync made break a rule; with true, updates do as well.
    pub(super) peace: Option<bool>,
}

/// A system in memory.
pub(super) struct MemorySystem {
    manifest: Manifest,
    behaviour: Behaviour,
    /// Reference fields that may hold loops.
    loops: Vec<String>,
    schema: Schema,
    state: Mutex<State>,
    /// Notified when a call is never going to be answered.
    pub(super) killed: Notify,
}

pub(super) fn to(kind: &str, id: &str) -> To {
    (kind.to_owned(), id.to_owned())
}

/// Returns the unique id of a natural key.
fn unique_id(key: &Value) -> String {
    let parts = key.as_object().into_iter().flatten().map(|(_, part)| match part {
        Value::String(text) => text.clone(),
        Value::Object(_) => unique_id(part),
        other => other.to_string(),
    });
    parts.collect::<Vec<_>>().join("@")
}

/// Brings objects into one spelling: no ids, no nulls, no empty sets and kinds.
pub(super) fn normal(mut net: Net) -> Net {
    for object in net.values_mut().flat_map(BTreeMap::values_mut) {
        object.id.clear();
        object.values.retain(|_, value| !value.is_null());
        object.many.retain(|_, peers| !peers.is_empty());
    }
    net.retain(|_, objects| !objects.is_empty());
    net
}

impl MemorySystem {
    /// Returns a system with these objects. `loops`: fields that may hold loops.
    pub(super) fn new(name: &str, net: &Net, behaviour: Behaviour, loops: Vec<String>, schema: Schema) -> Arc<MemorySystem> {
        let manifest = Manifest {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            description: String::new(),
            settings: Vec::new(),
            address_setting: None,
            folder_setting: None,
            credentials: Vec::new(),
            reading_paths: Vec::new(),
            aliases: Vec::new(),
            source: Some(Addressing::Kind),
            destination: Some(Addressing::Kind),
            references: Vec::new(),
            tables: Vec::new(),
            lookup: None,
            evidence: Evidence { total: true, change_log: true, permissions: true },
            ownership: false,
            reads_ids: behaviour.reads_ids,
            schema: !schema.kinds.is_empty(),
            page_size: behaviour.page_size,
            write_batch_max: behaviour.batch_max,
            write_concurrency: behaviour.concurrency,
            has_ids: behaviour.has_ids,
        };
        let mut state = State::default();
        for (kind, objects) in net {
            for (uid, object) in objects {
                state.next_id += 1;
                let id = format!("{name}-{}", state.next_id);
                state.net.entry(kind.clone()).or_default().insert(uid.clone(), Object { id, ..object.clone() });
            }
        }
        Arc::new(MemorySystem { manifest, behaviour, loops, schema, state: Mutex::new(state), killed: Notify::new() })
    }

    /// Returns a system that records which sync made an object, or one that does not.
    pub(super) fn recording(name: &str, net: &Net, behaviour: Behaviour, loops: Vec<String>, records: bool) -> Arc<MemorySystem> {
        let mut system = MemorySystem::new(name, net, behaviour, loops, Schema::default());
        if let Some(system) = Arc::get_mut(&mut system) {
            system.manifest.ownership = records;
        }
        system
    }

    /// Returns a system that lends a table of the labels of a kind to transforms.
    pub(super) fn lending(name: &str, net: &Net, kind: &str) -> Arc<MemorySystem> {
        let mut system = MemorySystem::new(name, net, Behaviour::default(), Vec::new(), Schema::default());
        if let Some(system) = Arc::get_mut(&mut system) {
            let (key, value) = ("name".to_owned(), "label".to_owned());
            system.manifest.tables = vec![Table { name: "labels".to_owned(), resource: kind.to_owned(), key, value }];
        }
        system
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Sets what goes wrong from the next call on, which is number 0 again.
    pub(super) fn fail(&self, faults: Faults) {
        let mut state = self.state();
        (state.faults, state.calls, state.writes, state.loads, state.rests) = (faults, 0, 0, 0, 0);
        state.reads.clear();
        // What was staged by a run that is gone is not there.
        state.staged.clear();
    }

    /// Returns the objects, without their ids and in one spelling.
    pub(super) fn net(&self) -> Net {
        normal(self.state().net.clone())
    }

    /// Answers a call: sooner or later, or never.
    fn call<'s, T: Send + 's>(&'s self, effect: impl FnOnce(&mut State) -> Result<T> + Send + 's) -> Answer<'s, T> {
        Box::pin(async move {
            let (number, kill) = {
                let mut state = self.state();
                let number = state.calls;
                state.calls += 1;
                let edits = state.faults.edits.remove(&number).unwrap_or_default();
                edits.into_iter().for_each(|edit| state.edit(edit, &self.manifest.name));
                (number, state.faults.kill.filter(|(at, _)| *at == number))
            };
            self.dawdle(number).await;
            if kill == Some((number, false)) {
                return self.never().await;
            }
            let answer = effect(&mut self.state());
            self.dawdle(number.wrapping_mul(7)).await;
            if kill.is_some() {
                return self.never().await;
            }
            answer
        })
    }

    async fn never<T>(&self) -> T {
        self.killed.notify_one();
        std::future::pending().await
    }

    async fn dawdle(&self, number: u64) {
        if self.behaviour.late > 0 {
            for _ in 0..(self.behaviour.late.wrapping_mul(number + 3) >> 7) % 9 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn failure(&self, kind: FailureKind, message: &str) -> Error {
        let adapter = AdapterName { role: None, name: self.manifest.name.clone(), version: String::new() }.into();
        Error::Adapter { adapter, failure: failure(kind, message) }
    }

    fn page(&self, state: &mut State, request: &LoadRequest) -> Result<Page> {
        state.loads += 1;
        if state.faults.moved.contains(&(state.loads - 1)) {
            return Err(self.failure(FailureKind::Conflict, "the list moved"));
        }
        let state = &*state;
        let none = BTreeMap::new();
        let objects = state.net.get(&request.resource).unwrap_or(&none);
        let watermark = state.log.len();
        let since = match request.since.as_ref().map(|since| since.parse::<usize>().unwrap()) {
            Some(_) if !self.behaviour.changes || !self.behaviour.has_ids => {
                return Err(self.failure(FailureKind::Unsupported, "no list of changes"));
            }
            since => since,
        };
        let news = since.map(|since| &state.log[since..]);
        let is_new = |uid: &String| news.is_none_or(|news| news.iter().any(|((kind, key), ..)| *kind == request.resource && key == uid));
        let is_asked = |object: &Object| request.ids.is_empty() || request.ids.contains(&object.id);
        let named = |uid: &String, set: &BTreeSet<To>| set.contains(&to(&request.resource, uid));
        let shown = |uid: &String| !named(uid, &state.faults.hidden);
        let reads = state.reads.get(&request.resource).copied().unwrap_or_default();
        let loses = reads > state.faults.whole_reads && state.faults.loses.is_none_or(|most| reads <= most);
        let is_lost = |uid: &String| loses && named(uid, &state.faults.lost_rows);
        let all = objects.iter().filter(|(uid, _)| is_new(uid) && shown(uid) && !is_lost(uid));
        let rows: Vec<&Object> = all.map(|(_, object)| object).filter(|object| is_asked(object)).collect();
        let deleted = news.map(|news| {
            let gone = |(object, id, deleted): &(To, String, bool)| (*deleted && object.0 == request.resource).then(|| id.clone());
            news.iter().filter_map(gone).collect()
        });
        let start = request.cursor.as_ref().map_or(0, |cursor| String::from_utf8_lossy(&cursor.0).parse::<usize>().unwrap());
        let wobble = if self.behaviour.wobbles { start as u64 % 2 } else { 0 };
        let end = (start + request.page_size as usize).min(rows.len());
        let listed = &rows[start.saturating_sub(self.behaviour.overlap).min(end)..end];
        let line = |object: &&Object| {
            let mut record = self.record(state, object);
            if request.fields.iter().any(|field| field == "@owner") {
                let uid = unique_id(&Value::Object(object.key.clone()));
                record["@owner"] = json!(state.makers.get(&to(&request.resource, &uid)));
            }
            record.to_string()
        };
        let lines: Vec<String> = listed.iter().map(line).collect();
        Ok(Page {
            payload: Payload::JsonLines(lines.join("\n")),
            next: (end < rows.len()).then(|| Cursor(end.to_string().into_bytes())),
            watermark: Some(watermark.to_string()),
            deleted,
            total: (request.ids.is_empty() && !(self.behaviour.counts_late && end < rows.len()))
                .then(|| objects.keys().filter(|uid| shown(uid)).count() as u64 + wobble),
            partial: None,
        })
    }

    fn record(&self, state: &State, object: &Object) -> Value {
        let mut record = object.key.clone();
        record.extend(object.values.clone());
        if self.behaviour.has_ids {
            record.insert("id".to_owned(), json!(object.id));
        }
        let peer = |(kind, uid): &To| {
            let peer = state.net.get(kind).and_then(|objects| objects.get(uid)).unwrap_or_else(|| panic!("{kind} {uid} is not there"));
            if self.behaviour.has_ids && kind == OUTSIDE {
                return json!({ "id": peer.id, "kind": kind });
            }
            if self.behaviour.has_ids {
                return json!({ "id": peer.id });
            }
            let mut natural = peer.key.clone();
            natural.insert("kind".to_owned(), json!(kind));
            Value::Object(natural)
        };
        record.extend(object.one.iter().map(|(field, to)| (field.clone(), peer(to))));
        record.extend(object.many.iter().map(|(field, to)| (field.clone(), to.iter().map(peer).collect())));
        Value::Object(record)
    }

    fn write_batch(&self, state: &mut State, request: &WriteRequest) -> Result<Vec<Outcome>> {
        let number = state.writes;
        state.writes += 1;
        let rows: Vec<Value> = request.rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), request.count as usize);
        assert!(rows.len() <= self.behaviour.batch_max as usize);
        let loss = state.faults.lost.get(&number).copied();
        let lost = || Err(self.failure(FailureKind::Transport, "the connection broke"));
        match loss {
            Some(Loss::Never) => return lost(),
            Some(Loss::Late(rests)) => {
                state.late.push((state.rests + rests, request.clone()));
                return lost();
            }
            _ => {}
        }
        let outcomes = rows.into_iter().map(|row| {
            let object = to(&request.target.kind, &unique_id(&row["key"]));
            if state.faults.rejected.contains(&object) {
                return Outcome::Failed(failure(FailureKind::Invalid, "rejected"));
            }
            if self.behaviour.stages {
                state.staged.push((request.target.kind.clone(), request.operation, row));
                return Outcome::Staged;
            }
            self.write_row(state, &object, request.operation, &row)
        });
        let outcomes: Vec<Outcome> = outcomes.collect();
        match loss {
            Some(Loss::Executed) => lost(),
            Some(Loss::Rows) => Ok(outcomes.iter().map(|_| Outcome::Failed(failure(FailureKind::Remote, "no word about it"))).collect()),
            _ => Ok(outcomes),
        }
    }

    /// Executes the late writes that are due; all of them at the end.
    pub(super) fn execute_late(&self, all: bool) {
        let mut state = self.state();
        let rests = state.rests;
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut state.late).into_iter().partition(|(at, _)| all || *at <= rests);
        state.late = later;
        for (_, request) in due {
            for line in request.rows.lines() {
                let row: Value = serde_json::from_str(line).unwrap();
                let object = to(&request.target.kind, &unique_id(&row["key"]));
                let is_there = state.net.get(&object.0).is_some_and(|objects| objects.contains_key(&object.1));
                // As a database does: a second object of the same name is rejected, and there is nothing to update or delete.
                match (request.operation, is_there) {
                    (Operation::Create, true) | (Operation::Update | Operation::Delete, false) => {}
                    (Operation::Create, false) => {
                        state.made_late.insert(object.clone());
                        self.write_row(&mut state, &object, request.operation, &row);
                    }
                    _ => drop(self.write_row(&mut state, &object, request.operation, &row)),
                }
            }
        }
    }

    /// Returns the objects that go along with some others, in turn.
    fn along(&self, state: &State, objects: &[To]) -> Vec<To> {
        let mut going: Vec<To> = objects.to_vec();
        let mut next = 0;
        while let Some(current) = going.get(next).cloned() {
            next += 1;
            for (kind, field, _) in self.behaviour.cascades.iter().filter(|(.., of)| *of == current.0) {
                for (uid, other) in state.net.get(*kind).into_iter().flatten() {
                    let leads =
                        other.one.get(*field) == Some(&current) || other.many.get(*field).is_some_and(|peers| peers.contains(&current));
                    let child = to(kind, uid);
                    if leads && !going.contains(&child) {
                        going.push(child);
                    }
                }
            }
        }
        going.split_off(objects.len())
    }

    fn write_row(&self, state: &mut State, object: &To, operation: Operation, row: &Value) -> Outcome {
        let there = state.net.get(&object.0).and_then(|objects| objects.get(&object.1)).cloned();
        state.check_peace(object, operation);
        match (operation, there) {
            (Operation::Create, Some(_)) => {
                // The lost request was executed between the host's look and its second attempt.
                if !state.made_late.contains(object) {
                    state.violation(format!("{object:?} is created twice"));
                }
                Outcome::Failed(failure(FailureKind::Conflict, "it is there"))
            }
            (Operation::Update, None) => Outcome::Failed(failure(FailureKind::NotFound, "it is gone")),
            (Operation::Delete, None) => Outcome::Unchanged(None),
            (Operation::Delete, Some(_)) => {
                let along = self.along(state, std::slice::from_ref(object));
                state.check_unused(object, &along, &self.loops);
                along.iter().chain([object]).for_each(|gone| state.delete(gone));
                Outcome::Written(None)
            }
            (_, there) => {
                let mut new = there.unwrap_or_else(|| {
                    state.next_id += 1;
                    let id = format!("{}-{}", self.manifest.name, state.next_id);
                    Object { id, key: row["key"].as_object().unwrap().clone(), ..Object::default() }
                });
                if self.behaviour.has_ids && row.get("id").is_some_and(|id| *id != json!(new.id)) {
                    state.violation(format!("{object:?} is written with the id {}", row["id"]));
                }
                for (field, value) in row["fields"].as_object().unwrap() {
                    if state.faults.frozen.contains(&to(&object.0, field)) {
                        continue;
                    }
                    self.set(state, &mut new, field, value);
                }
                if let Some(taken) = self.schema.taken(state, object, &new) {
                    if self.behaviour.stages {
                        state.violation(taken.clone());
                    }
                    return Outcome::Failed(failure(FailureKind::Conflict, &taken));
                }
                let id = self.behaviour.has_ids.then(|| new.id.clone());
                if operation == Operation::Create {
                    state.makers.insert(object.clone(), state.writer.clone());
                }
                state.put(object, new);
                Outcome::Written(id)
            }
        }
    }

    fn set(&self, state: &mut State, object: &mut Object, field: &str, value: &Value) {
        let mut peer = |value: &Value| -> Option<To> {
            if value["kind"] == OUTSIDE {
                let named = state.net.get(OUTSIDE).into_iter().flatten().find(|(_, there)| value["id"] == json!(there.id));
                let uid = named.map(|(uid, _)| uid.clone());
                if uid.is_none() {
                    state.violation(format!("`{field}` refers to {value}, which is not there"));
                }
                return uid.map(|uid| to(OUTSIDE, &uid));
            }
            let peer = to(value.get("kind")?.as_str()?, &unique_id(value.get("key")?));
            let there = state.net.get(&peer.0).and_then(|objects| objects.get(&peer.1)).map(|there| there.id.clone());
            match (there, value.get("id").and_then(Value::as_str)) {
                (None, _) => state.violation(format!("`{field}` refers to {peer:?}, which is not there")),
                (Some(there), Some(id)) if self.behaviour.has_ids && there == id => {}
                (Some(_), _) if !self.behaviour.has_ids => {}
                (Some(_), id) => state.violation(format!("`{field}` refers to {peer:?} by {id:?}")),
            }
            Some(peer)
        };
        if object.key.contains_key(field) && !value.is_object() {
            return;
        }
        object.one.remove(field);
        object.many.remove(field);
        match value {
            Value::Array(items) if SETS.contains(&field) => {
                object.many.insert(field.to_owned(), items.iter().filter_map(&mut peer).collect());
            }
            value if value.get("key").is_some() => drop(peer(value).and_then(|peer| object.one.insert(field.to_owned(), peer))),
            Value::Null => drop(object.values.remove(field)),
            value => drop(object.values.insert(field.to_owned(), value.clone())),
        }
    }
}

fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure { kind, message: message.to_owned(), http_status: None, retry_after: None }
}

impl State {
    fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    fn check_peace(&mut self, object: &To, operation: Operation) {
        let counts = match (operation, self.peace) {
            (_, None) | (Operation::Create, _) => false,
            (Operation::Delete, Some(_)) => true,
            (Operation::Update, Some(updates)) => updates,
        };
        let maker = self.makers.get(object);
        if counts && maker != Some(&self.writer) {
            self.violation(format!("{} does a {operation:?} of {object:?}, which {maker:?} made", self.writer));
        }
    }

    fn note(&mut self, object: &To, deleted: bool) {
        let id = self.net.get(&object.0).and_then(|objects| objects.get(&object.1)).map(|there| there.id.clone()).unwrap_or_default();
        self.log.push((object.clone(), id, deleted));
    }

    fn put(&mut self, object: &To, new: Object) {
        self.net.entry(object.0.clone()).or_default().insert(object.1.clone(), new);
        self.note(object, false);
    }

    /// Removes an object, and the references to it.
    fn delete(&mut self, object: &To) {
        self.note(object, true);
        self.makers.remove(object);
        self.net.get_mut(&object.0).and_then(|objects| objects.remove(&object.1));
        let mut touched = Vec::new();
        for (kind, objects) in &mut self.net {
            for (uid, other) in objects {
                let before = other.one.len() + other.many.values().map(BTreeSet::len).sum::<usize>();
                other.one.retain(|_, peer| peer != object);
                other.many.values_mut().for_each(|peers| peers.retain(|peer| peer != object));
                if other.one.len() + other.many.values().map(BTreeSet::len).sum::<usize>() < before {
                    touched.push(to(kind, uid));
                }
            }
        }
        touched.iter().for_each(|other| self.note(other, false));
    }

    /// Checks that no object refers to a deleted one, unless the two may refer to each other.
    fn check_unused(&mut self, object: &To, along: &[To], loops: &[String]) {
        let mut broken = Vec::new();
        for (kind, objects) in &self.net {
            for (uid, other) in objects.iter().filter(|(uid, _)| (kind, *uid) != (&object.0, &object.1) && !along.contains(&to(kind, uid)))
            {
                let by_one = other.one.iter().filter(|(_, peer)| *peer == object).map(|(field, _)| field);
                let by_many = other.many.iter().filter(|(_, peers)| peers.contains(object)).map(|(field, _)| field);
                for field in by_one.chain(by_many).filter(|field| !loops.contains(*field)) {
                    broken.push(format!("{object:?} is deleted, and {kind} {uid} refers to it by `{field}`"));
                }
            }
        }
        self.violations.extend(broken);
    }

    pub(super) fn edit(&mut self, edit: Edit, name: &str) {
        match edit {
            Edit::Set(object, field, value) => {
                if let Some(mut there) = self.net.get(&object.0).and_then(|objects| objects.get(&object.1)).cloned() {
                    there.values.insert(field.to_owned(), value);
                    self.put(&object, there);
                }
            }
            Edit::Delete(object) => self.delete(&object),
            Edit::Create(object, new) => {
                self.next_id += 1;
                let id = format!("{name}-{}", self.next_id);
                self.put(&object, Object { id, ..new });
            }
        }
    }
}

impl System for MemorySystem {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn identity(&self) -> String {
        self.manifest.name.clone()
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    fn kinds<'s>(&'s self, _targets: &'s [Target]) -> Answer<'s, Vec<Kind>> {
        self.call(|_| Ok(self.schema.kinds.clone()))
    }

    fn load(&self, request: LoadRequest) -> Answer<'_, Page> {
        self.call(move |state| {
            if request.cursor.is_none() {
                *state.reads.entry(request.resource.clone()).or_default() += 1;
            }
            self.page(state, &request)
        })
    }

    fn waits(&self) -> Vec<Waiting> {
        Vec::new()
    }

    fn rest(&self, _time: Duration, _why: String) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.state().rests += 1;
        self.execute_late(false);
        Box::pin(tokio::task::yield_now())
    }

    fn read_again(&self, _resource: &str) {}

    fn page_records_max(&self) -> usize {
        usize::MAX
    }

    fn too_many_records(&self, resource: &str) -> Error {
        self.failure(FailureKind::Internal, resource)
    }

    fn count_records(&self, _resource: &str, _records: usize) -> Result<()> {
        Ok(())
    }

    fn absent<'s>(&'s self, target: &'s Target, ids: &'s [String]) -> Answer<'s, Vec<Absence>> {
        self.call(move |state| {
            let objects = state.net.get(&target.kind);
            let one = |id: &String| match () {
                () if state.faults.no_log => Absence::Unknown,
                () if objects.is_some_and(|objects| objects.values().any(|object| object.id == *id)) => Absence::Present,
                () if state.log.iter().any(|(_, gone, deleted)| *deleted && gone == id) => Absence::Deleted,
                () => Absence::Unknown,
            };
            Ok(ids.iter().map(one).collect())
        })
    }

    fn cascade<'s>(&'s self, target: &'s Target, ids: &'s [String]) -> Answer<'s, Vec<Dependents>> {
        self.call(move |state| {
            let of_kind = state.net.get(&target.kind).into_iter().flatten();
            let objects: Vec<To> = of_kind.filter(|(_, object)| ids.contains(&object.id)).map(|(uid, _)| to(&target.kind, uid)).collect();
            let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (kind, uid) in self.along(state, &objects) {
                let id = state.net[&kind][&uid].id.clone();
                kinds.entry(kind).or_default().push(id);
            }
            let told = |ids: Vec<String>| if self.behaviour.only_counts { Vec::new() } else { ids };
            Ok(kinds.into_iter().map(|(kind, ids)| Dependents { kind, count: ids.len() as u64, ids: told(ids) }).collect())
        })
    }

    fn begin<'s>(&'s self, run: &'s Run) -> Answer<'s, Option<String>> {
        self.call(|state| {
            state.writer.clone_from(&run.sync);
            state.staged.clear();
            Ok(None)
        })
    }

    fn write(&self, request: WriteRequest) -> Answer<'_, Vec<Outcome>> {
        self.call(move |state| self.write_batch(state, &request))
    }

    fn commit<'s>(&'s self, kinds: &'s [String]) -> Answer<'s, ()> {
        self.call(move |state| {
            let staged = std::mem::take(&mut state.staged);
            let (now, later): (Vec<_>, Vec<_>) = staged.into_iter().partition(|(kind, ..)| kinds.contains(kind));
            state.staged = later;
            for (kind, operation, row) in now {
                let object = to(&kind, &unique_id(&row["key"]));
                self.write_row(state, &object, operation, &row);
            }
            Ok(())
        })
    }

    fn finish_run<'s>(&'s self, _run: &'s Run, _result: RunResult) -> Answer<'s, Option<String>> {
        self.call(|_| Ok(None))
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }
}
