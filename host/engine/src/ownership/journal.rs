//! From the journal of an apply to the record of objects.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use infrahub_sync_cache::{CacheLock, OwnedObject, RowState, RunReader};
use infrahub_sync_core::model::{KindModel, Model, Ownership};
use infrahub_sync_core::plan_row::{Action, PlanRow};
use infrahub_sync_core::snapshot::Snapshot;
use infrahub_sync_core::value::canonical_json;
use serde_json::{Map, Value, json};

use super::{objects, place_text, prune};
use crate::EngineError;

/// Brings the record up to date with the rows that the destination has accepted. With the destination as it was before the apply, records of
/// objects that were gone then are removed first.
pub(super) fn record(lock: &CacheLock, model: &Model, reader: &RunReader, before: Option<&Snapshot>) -> Result<(), EngineError> {
    let Some(journal) = reader.read_journal()? else { return Ok(()) };
    let events = |(at, row): &(u64, PlanRow)| is_recorded(model, journal.state(*at), row);
    // Most plans of a day change values only, and the record may be large.
    let mut rows = (0..).zip(reader.read_plan()?).map(|(at, row)| Ok::<_, EngineError>((at, row?)));
    if !rows.any(|row| row.as_ref().map_or(true, events)) {
        return Ok(());
    }
    let place = place_text(&reader.run_file()?.destination);
    let mut book = Book::new(objects(lock)?, place);
    if let Some(snapshot) = before {
        prune(&mut book.objects, model, snapshot, &book.place);
        book.index();
    }
    for (at, row) in (0..).zip(reader.read_plan()?) {
        let row = row?;
        if !is_recorded(model, journal.state(at), &row) {
            continue;
        }
        match row.action {
            Action::Create => book.created(model, &row, journal.id(at)),
            Action::Update => book.updated(model, &row),
            Action::Delete => book.deleted(&row),
        }
    }
    book.objects.retain(|object| object.made || object.members.is_some());
    Ok(lock.write_ownership(&book.objects)?)
}

/// Returns whether the outcome of a row belongs in the record: an object was made or deleted, or members of a set were.
fn is_recorded(model: &Model, state: RowState, row: &PlanRow) -> bool {
    match (state, row.action) {
        (RowState::Done, Action::Create) | (RowState::Done | RowState::Unchanged, Action::Delete) => true,
        // Perhaps it is gone. Without an id it cannot be told from an object of the same key that another user makes next.
        (RowState::Sent, Action::Delete) => row.dest_id.is_none(),
        (RowState::Done, Action::Update) => {
            let fields = || model.kind(&row.resource).into_iter().flat_map(|(_, kind)| &kind.fields);
            let merges = |name: &str| fields().any(|field| field.name == name && field.ownership == Ownership::Merge);
            row.attribute.as_deref().is_some_and(|names| names.split(',').any(merges))
        }
        _ => false,
    }
}

/// The record while it is changed.
pub(super) struct Book {
    pub(super) objects: Vec<OwnedObject>,
    pub(super) place: Arc<str>,
    /// The position of each object, by [`name`].
    positions: HashMap<String, usize>,
    /// The names of kinds and lists, each once.
    words: HashMap<String, Arc<str>>,
}

/// Returns the name of an object in the record: by its id where it has one, else by its key.
fn name(place: &str, kind: &str, list: Option<&str>, id: Option<&str>, key: &str) -> String {
    let list = list.unwrap_or_default();
    match id {
        // The same id of another branch is the same object: the last place counts.
        Some(id) => format!("{kind}\u{1f}{list}\u{1f}i{id}"),
        None => format!("{kind}\u{1f}{place}\u{1f}k{key}"),
    }
}

impl Book {
    pub(super) fn new(objects: Vec<OwnedObject>, place: Arc<str>) -> Book {
        let mut book = Book { objects, place, positions: HashMap::new(), words: HashMap::new() };
        book.index();
        book
    }

    fn index(&mut self) {
        let name = |object: &OwnedObject| name(&object.place, &object.kind, object.list.as_deref(), object.id.as_deref(), &object.key);
        self.positions = self.objects.iter().enumerate().map(|(at, object)| (name(object), at)).collect();
    }

    fn word(&mut self, text: &str) -> Arc<str> {
        if let Some(word) = self.words.get(text) {
            return word.clone();
        }
        let word: Arc<str> = text.into();
        self.words.insert(text.to_owned(), word.clone());
        word
    }

    /// Returns the record of an object, which is added if need be.
    pub(super) fn object(&mut self, kind: &str, list: Option<&str>, id: Option<&str>, key: &str) -> Option<&mut OwnedObject> {
        let name = name(&self.place, kind, list, id, key);
        let at = match self.positions.get(&name) {
            Some(at) => *at,
            None => {
                let (kind, list) = (self.word(kind), list.map(|list| self.word(list)));
                let object = OwnedObject {
                    place: self.place.clone(),
                    kind,
                    list,
                    id: id.map(Into::into),
                    key: key.into(),
                    made: false,
                    seen: false,
                    members: None,
                };
                self.objects.push(object);
                self.positions.insert(name, self.objects.len() - 1);
                self.objects.len() - 1
            }
        };
        let place = self.place.clone();
        let object = self.objects.get_mut(at)?;
        object.place = place;
        if *object.key != *key {
            object.key = key.into();
        }
        Some(object)
    }

    fn created(&mut self, model: &Model, row: &PlanRow, id: Option<String>) {
        let members = members(model, row, None);
        let by_key = name(&self.place, &row.resource, row.destination_mapping.as_deref(), None, &row.key);
        if let Some(object) = self.object(&row.resource, row.destination_mapping.as_deref(), id.as_deref(), &row.key) {
            object.made = true;
            object.members = members;
        }
        // The second pass of a new object does not know its id.
        if let Some(at) = self.positions.get(&name(&self.place, &row.resource, row.destination_mapping.as_deref(), id.as_deref(), &row.key))
        {
            self.positions.insert(by_key, *at);
        }
    }

    fn updated(&mut self, model: &Model, row: &PlanRow) {
        if let Some(object) = self.object(&row.resource, row.destination_mapping.as_deref(), row.dest_id.as_deref(), &row.key) {
            let stored = object.members.as_deref().and_then(|text| serde_json::from_str(text).ok());
            object.members = members(model, row, stored);
        }
    }

    fn deleted(&mut self, row: &PlanRow) {
        let name = name(&self.place, &row.resource, row.destination_mapping.as_deref(), row.dest_id.as_deref(), &row.key);
        if let Some(object) = self.positions.get(&name).and_then(|at| self.objects.get_mut(*at)) {
            // Removed in the end: the positions of the others stay as they are.
            object.made = false;
            object.members = None;
        }
    }
}

/// The members of an object's sets that this sync has added, by field.
type Added = BTreeMap<String, Vec<Value>>;

/// Returns the members that this sync has added once a row is written: those of before that are still in the set, and those that the row adds.
fn members(model: &Model, row: &PlanRow, before: Option<Added>) -> Option<Box<str>> {
    let (_, spec) = model.kind(&row.resource)?;
    if !spec.fields.iter().any(|field| field.ownership == Ownership::Merge) {
        return None;
    }
    let parse = |text: &Option<String>| -> Map<String, Value> {
        text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    let (old, new, peers) = (parse(&row.old_value), parse(&row.new_value), parse(&row.peers));
    let mut added = before.unwrap_or_default();
    for (field, value) in &new {
        if !spec.fields.iter().any(|known| known.name == *field && known.ownership == Ownership::Merge) {
            continue;
        }
        let before: HashSet<String> = added.remove(field).unwrap_or_default().iter().map(text).collect();
        let had: HashSet<String> = items(old.get(field)).into_iter().map(text).collect();
        let is_ours = |(identity, shown): &(Option<Value>, Value)| {
            identity.as_ref().is_some_and(|identity| before.contains(&text(identity)) || !had.contains(&text(shown)))
        };
        let set = identities(spec, field, value, peers.get(field)).into_iter();
        let ours: Vec<Value> = set.filter(is_ours).filter_map(|(identity, _)| identity).collect();
        if !ours.is_empty() {
            added.insert(field.clone(), ours);
        }
    }
    (!added.is_empty()).then(|| json!(added).to_string().into_boxed_str())
}

/// Returns the members of a set, each with what identifies it (none for a peer outside of the sync) and how the plan shows it.
fn identities(spec: &KindModel, field: &str, value: &Value, peers: Option<&Value>) -> Vec<(Option<Value>, Value)> {
    let is_reference = spec.fields.iter().any(|known| known.name == field && known.reference.is_some());
    let shown = items(Some(value)).into_iter().cloned();
    if !is_reference {
        return shown.map(|item| (Some(item.clone()), item)).collect();
    }
    // Both lists of a plan row have the same order.
    let identity = |peer: &Value| peer.get("key").map(|key| json!({ "kind": peer.get("kind"), "key": key }));
    items(peers).into_iter().map(identity).zip(shown).collect()
}

fn items(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(Value::Null) | None => Vec::new(),
        Some(one) => vec![one],
    }
}

/// Returns the canonical text of a value.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    canonical_json(value, &mut out);
    out
}
