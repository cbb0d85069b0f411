//! Takes the changes of a run back: what it created is deleted, what it updated gets its old values, what it deleted is created again.
//!
//! The result is an ordinary difference between a wanted state (the destination without the run) and the destination as it is. So its plan has the
//! order, the passes and the guards of any other. Whatever others have changed since is left as it is, field by field, and reported.
//!
//! Invariants: only objects that the run created are deleted, and only while they are as it left them. Nothing outside of what the run wrote
//! changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde_json::{Map, Value};

use crate::change::{Change, ObjectKey, PeerRefs};
use crate::diff::{Diff, default_column, diff};
use crate::edits::{Added, Edits, Fields, edited, peer_value};
use crate::key;
use crate::model::{FieldModel, KindModel, Model};
use crate::plan::values_json;
use crate::plan_row::{Action, PARKING};
use crate::reconcile::{Now, by_key};
use crate::snapshot::{Completeness, FieldColumn, RefValue, Resolving, Snapshot, build};
use crate::value::Tag;
use infrahub_sync_base::Side;

/// A change that a run has written.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The change.
    pub change: Change,
    /// The id that the destination gave, or has.
    pub id: Option<String>,
}

/// Why something is left as it is.
#[derive(Debug, Clone, PartialEq)]
pub enum LeftReason {
    /// Others have changed these fields since: name, value that the run wrote, value now.
    Modified(Vec<(String, Value, Value)>),
    /// The run created or updated it, and it is no longer there.
    Gone,
    /// The run deleted it, and it is there again.
    ThereAgain,
    /// Another object has its identifiers now.
    Replaced,
    /// The run created it, and others refer to it.
    StillNeeded,
    /// An old value is a reference to an object that is no longer there, or not the only one of that name: field and name.
    PeerGone(String, String),
    /// The plan does not hold the old value of the field.
    NoOldValue(String),
    /// It is not known whether the change was written.
    Unknown,
}

impl LeftReason {
    /// Returns the word for programs, without `left_` in `errors.parquet`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            LeftReason::Modified(_) => "modified",
            LeftReason::Gone => "gone",
            LeftReason::ThereAgain => "there_again",
            LeftReason::Replaced => "replaced",
            LeftReason::StillNeeded => "still_needed",
            LeftReason::PeerGone(..) => "peer_gone",
            LeftReason::NoOldValue(_) => "no_old_value",
            LeftReason::Unknown => "unknown_outcome",
        }
    }
}

impl fmt::Display for LeftReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeftReason::Modified(fields) => {
                let fields = fields.iter().map(|(name, wrote, now)| format!("`{name}` is {now}, and the run wrote {wrote}"));
                write!(out, "another user modified it since: {}", fields.collect::<Vec<_>>().join(", "))
            }
            LeftReason::Gone => out.write_str("another user deleted it since"),
            LeftReason::ThereAgain => out.write_str("another user created it again since, with other values"),
            LeftReason::Replaced => out.write_str("another object has its identifiers now"),
            LeftReason::StillNeeded => out.write_str("objects that stay refer to it"),
            LeftReason::PeerGone(field, peer) => {
                write!(out, "`{field}` referred to `{peer}`, which the destination does not have, or not only once")
            }
            LeftReason::NoOldValue(field) => write!(out, "the plan does not hold the value that `{field}` had before"),
            LeftReason::Unknown => out.write_str("it is not known whether the run wrote it"),
        }
    }
}

/// Something that is left as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// The kind.
    pub kind: String,
    /// The unique id.
    pub unique_id: String,
    /// The id in the destination, where it is known.
    pub id: Option<String>,
    /// Why.
    pub reason: LeftReason,
}

/// The state to return to, and the way there.
#[derive(Debug)]
pub struct Undo {
    /// The destination without the run.
    pub wanted: Snapshot,
    /// The differences.
    pub diff: Diff,
    /// Objects, or fields of objects, that stay as they are.
    pub left: Vec<Left>,
    /// Objects that are as they were before the run already.
    pub done: u64,
}

/// The effect of a run on one object, all rows of its plan taken together.
struct Effect {
    action: Action,
    old: Map<String, Value>,
    last: Change,
    id: Option<String>,
    /// Fields whose old value the plan does not hold.
    unheld: BTreeSet<String>,
}

/// Joins the rows of each object.
fn effects(written: impl IntoIterator<Item = Written>) -> BTreeMap<ObjectKey, Effect> {
    let mut effects: BTreeMap<ObjectKey, Effect> = BTreeMap::new();
    for Written { change, id } in written {
        let Some(known) = effects.get_mut(&change.object) else {
            let unheld = if change.action == Action::Update { missing(&change, &change.old) } else { BTreeSet::new() };
            let effect =
                Effect { action: change.action, old: change.old.clone(), unheld, id: id.or_else(|| change.id.clone()), last: change };
            effects.insert(effect.last.object.clone(), effect);
            continue;
        };
        match (known.action, change.action) {
            // The second pass of a new object. One that was deleted again is not there: nothing remains to be taken back.
            (Action::Create, _) | (Action::Delete, Action::Delete) => {}
            (Action::Delete, Action::Create) => known.action = Action::Update,
            (Action::Update, Action::Delete) => known.action = Action::Delete,
            (Action::Update, _) | (Action::Delete, Action::Update) => {
                known.unheld.extend(missing(&change, &known.old).into_iter().filter(|name| !change.old.contains_key(name)));
            }
        }
        for (name, value) in change.old {
            known.old.entry(name).or_insert(value);
        }
        known.last.new.extend(change.new);
        known.last.peers.extend(change.peers);
        known.id = id.or(change.id).or(known.id.take());
    }
    effects
}

/// Returns the fields that a change writes and whose old values are not there.
fn missing(change: &Change, old: &Map<String, Value>) -> BTreeSet<String> {
    change.new.keys().filter(|name| !old.contains_key(*name)).cloned().collect()
}

/// Takes the written changes of a run back. `unknown` are those of which it is not known whether they were written.
#[must_use]
pub fn undo(model: &Model, now: &Snapshot, written: impl IntoIterator<Item = Written>, unknown: Vec<Change>) -> Undo {
    let effects = effects(written);
    // A value that was only parked is replaced by a later row of the object, which says more.
    let is_reported = |change: &&Change| change.pass != PARKING || !effects.contains_key(&change.object);
    let left = unknown.iter().filter(is_reported).map(|change| left(change, None, LeftReason::Unknown)).collect();
    let mut undoing = Undoing { model, now, names: Names::new(model, now), edits: Edits::default(), left, done: 0 };
    undoing.names.deleted = effects
        .iter()
        .filter(|(_, effect)| effect.action == Action::Delete)
        .map(|(object, _)| ((object.kind, key::unique_id(&object.key)), object.key.clone()))
        .collect();
    for effect in effects.into_values() {
        undoing.take_back(effect);
    }
    undoing.finish()
}

fn left(change: &Change, id: Option<&str>, reason: LeftReason) -> Left {
    Left { kind: change.kind.clone(), unique_id: change.unique_id.clone(), id: id.map(str::to_owned).or_else(|| change.id.clone()), reason }
}

struct Undoing<'u> {
    model: &'u Model,
    now: &'u Snapshot,
    names: Names<'u>,
    edits: Edits,
    left: Vec<Left>,
    done: u64,
}

impl Undoing<'_> {
    fn take_back(&mut self, effect: Effect) {
        let row = effect.last.object.row_in(self.now);
        let id = row.and_then(|row| self.now.kinds.get(effect.last.object.kind)?.id(row)).map(str::to_owned);
        let is_other = matches!((&id, &effect.id), (Some(now), Some(then)) if now != then);
        match (effect.action, row) {
            (Action::Create, None) => self.done += 1,
            (Action::Delete, None) => self.add(&effect),
            (Action::Delete, Some(row)) => self.there_again(&effect, row),
            (Action::Update, None) => self.leave(&effect, LeftReason::Gone),
            (_, Some(_)) if is_other => self.leave(&effect, LeftReason::Replaced),
            (Action::Create, Some(row)) => self.remove(&effect, row),
            (Action::Update, Some(row)) => self.restore(&effect, row),
        }
    }

    fn leave(&mut self, effect: &Effect, reason: LeftReason) {
        self.left.push(left(&effect.last, effect.id.as_deref(), reason));
    }

    /// Deletes what the run created, unless a field is not as it left it.
    fn remove(&mut self, effect: &Effect, row: usize) {
        let mut modified = self.modified(effect, row);
        let kind = effect.last.object.kind;
        let (Some(spec), Some(rows)) = (self.model.kinds.get(kind), self.now.kinds.get(kind)) else { return };
        let others = spec
            .fields
            .iter()
            .enumerate()
            .filter(|(_, field)| !effect.last.new.contains_key(&field.name) && !spec.identifiers.contains(&field.name));
        for (at, field) in others {
            let is_set = match rows.fields.get(at) {
                Some(FieldColumn::Values(values)) => {
                    values.tag(row) != Tag::Null && !default_column(field).is_some_and(|default| values.same(row, &default, 0))
                }
                Some(FieldColumn::Peers(peers)) => matches!(peers.get(row), (RefValue::One | RefValue::Many, found) if !found.is_empty()),
                None => false,
            };
            if is_set {
                modified.push((field.name.clone(), Value::Null, self.value(kind, row, at, &field.name)));
            }
        }
        if modified.is_empty() {
            self.edits.removed.insert((kind, row));
        } else {
            self.leave(effect, LeftReason::Modified(modified));
        }
    }

    /// Gives the fields that the run changed their old values, but for those that are not as it left them.
    fn restore(&mut self, effect: &Effect, row: usize) {
        let kind = effect.last.object.kind;
        let modified = self.modified(effect, row);
        let mut fields = Fields::new();
        let Some(spec) = self.model.kinds.get(kind) else { return };
        for name in effect.last.new.keys().filter(|name| !modified.iter().any(|(known, ..)| known == *name)) {
            let Some((at, field)) = spec.fields.iter().enumerate().find(|(_, field)| field.name == **name) else { continue };
            let old = match effect.old.get(name) {
                Some(old) if !effect.unheld.contains(name) => old,
                _ => {
                    self.leave(effect, LeftReason::NoOldValue(name.clone()));
                    continue;
                }
            };
            match self.names.wanted(field, old) {
                Ok(value) => drop(fields.insert(at, value)),
                Err(peer) => self.leave(effect, LeftReason::PeerGone(name.clone(), peer)),
            }
        }
        // What is as before the run already is no conflict.
        let modified: Vec<_> = modified.into_iter().filter(|(name, _, now)| effect.old.get(name) != Some(now)).collect();
        if modified.is_empty() && fields.is_empty() {
            self.done += 1;
        }
        if !modified.is_empty() {
            self.leave(effect, LeftReason::Modified(modified));
        }
        if !fields.is_empty() {
            self.edits.set.insert((kind, row), fields);
        }
    }

    /// Creates again what the run deleted.
    fn add(&mut self, effect: &Effect) {
        let kind = effect.last.object.kind;
        let Some(spec) = self.model.kinds.get(kind) else { return };
        let mut fields = Fields::new();
        for (name, old) in effect.old.iter().filter(|(_, old)| !old.is_null()) {
            let Some((at, field)) = spec.fields.iter().enumerate().find(|(_, field)| field.name == *name) else { continue };
            if spec.identifiers.contains(name) {
                continue;
            }
            match self.names.wanted(field, old) {
                Ok(value) => drop(fields.insert(at, value)),
                Err(peer) => self.leave(effect, LeftReason::PeerGone(name.clone(), peer)),
            }
        }
        let Change { object, resource, .. } = &effect.last;
        self.edits.added.push(Added { kind, key: object.key.clone(), id: None, resource: resource.clone(), fields });
    }

    /// Decides about an object that the run deleted and that is there again: as it was, or not.
    fn there_again(&mut self, effect: &Effect, row: usize) {
        let spec = self.model.kinds.get(effect.last.object.kind);
        let as_before = spec.is_some_and(|spec| {
            effect.old.iter().all(|(name, old)| {
                let at = spec.fields.iter().position(|field| field.name == *name);
                at.is_none_or(|at| self.value(effect.last.object.kind, row, at, name) == *old)
            })
        });
        if as_before { self.done += 1 } else { self.leave(effect, LeftReason::ThereAgain) }
    }

    /// Returns the fields that are not as the run left them: name, written value, value now.
    fn modified(&self, effect: &Effect, row: usize) -> Vec<(String, Value, Value)> {
        let wanted = Change { old: Map::new(), ..effect.last.clone() };
        let Now::Present(fields) = by_key(self.model, self.now, &wanted, row) else { return Vec::new() };
        let other = fields.into_iter().filter(|field| !field.as_wanted);
        let written = |name: &str| effect.last.new.get(name).cloned().unwrap_or_default();
        let at = |name: &str| {
            let spec = self.model.kinds.get(effect.last.object.kind)?;
            spec.fields.iter().position(|field| field.name == name)
        };
        let now = |name: &str| at(name).map(|at| self.value(effect.last.object.kind, row, at, name)).unwrap_or_default();
        // No peer, written as an empty set or as null, is one state.
        let is_none = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        other
            .map(|field| (field.name.clone(), written(&field.name), now(&field.name)))
            .filter(|(name, written, now)| !(is_none(written) && is_none(now) && self.holds_nothing(effect, row, name)))
            .collect()
    }

    /// Returns whether a reference was written as none, and holds nothing: not one that leads out of the sync.
    fn holds_nothing(&self, effect: &Effect, row: usize, name: &str) -> bool {
        let kind = effect.last.object.kind;
        let at = self.model.kinds.get(kind).and_then(|spec| spec.fields.iter().position(|field| field.name == name));
        let column = at.and_then(|at| self.now.kinds.get(kind)?.fields.get(at));
        let wrote_none = effect.last.peers.get(name).is_none_or(|peers: &PeerRefs| peers.as_slice().is_empty());
        wrote_none
            && matches!(column, Some(FieldColumn::Peers(peers)) if peers.get(row).0 != RefValue::Unresolved && peers.get(row).1.is_empty())
    }

    fn value(&self, kind: usize, row: usize, at: usize, name: &str) -> Value {
        let values = values_json(self.model, self.now, kind, row, std::iter::once(at));
        let mut values: Map<String, Value> = serde_json::from_str(&values).unwrap_or_default();
        values.remove(name).unwrap_or_default()
    }

    /// Builds the wanted state, and keeps of the differences those that the edits mean.
    fn finish(mut self) -> Undo {
        let rows = edited(self.model, self.now, &self.edits);
        // References that lead nowhere cannot come of it: an edit names objects that are there, and the others were.
        let (mut wanted, _) = build(self.model, rows, Resolving::from(Side::Source));
        wanted.kinds.iter_mut().for_each(|kind| kind.completeness = Completeness::Complete);
        let mut found = diff(self.model, &wanted, self.now);
        let added: BTreeSet<(usize, &str)> = self.edits.added.iter().map(|added| (added.kind, added.key.as_str())).collect();
        for (kind, found) in found.kinds.iter_mut().enumerate() {
            // An object whose parent is taken back is not identified in the wanted state. It is not of the run, so it stays.
            found.only_destination.retain(|row| self.edits.removed.contains(&(kind, *row as usize)));
            let keys = wanted.kinds.get(kind).map(|rows| &rows.keys);
            found.only_source.retain(|row| keys.is_some_and(|keys| added.contains(&(kind, keys.get(*row as usize)))));
            for update in &mut found.updates {
                let meant = self.edits.set.get(&(kind, update.destination as usize));
                update.fields.retain(|field| meant.is_some_and(|fields| fields.contains_key(&usize::from(*field))));
            }
            found.updates.retain(|update| !update.fields.is_empty());
        }
        let there: BTreeSet<(usize, &str)> = found
            .kinds
            .iter()
            .enumerate()
            .flat_map(|(kind, found)| found.only_source.iter().map(move |row| (kind, *row)))
            .filter_map(|(kind, row)| Some((kind, wanted.kinds.get(kind)?.keys.get(row as usize))))
            .collect();
        for lost in self.edits.added.iter().filter(|added| !there.contains(&(added.kind, added.key.as_str()))) {
            let kind = self.model.kinds.get(lost.kind).map(|spec| spec.name.clone()).unwrap_or_default();
            let reason = LeftReason::PeerGone("its identifiers".to_owned(), key::unique_id(&lost.key));
            self.left.push(Left { kind, unique_id: key::unique_id(&lost.key), id: None, reason });
        }
        drop(there);
        Undo { wanted, diff: found, left: self.left, done: self.done }
    }
}

/// The objects that old values may name.
struct Names<'n> {
    model: &'n Model,
    now: &'n Snapshot,
    /// The keys by unique id, of the kinds that were asked for; none where several objects have one unique id.
    known: HashMap<usize, HashMap<String, Option<String>>>,
    /// The objects that are created again.
    deleted: HashMap<(usize, String), String>,
}

impl<'n> Names<'n> {
    fn new(model: &'n Model, now: &'n Snapshot) -> Names<'n> {
        Names { model, now, known: HashMap::new(), deleted: HashMap::new() }
    }

    /// Returns an old value as an edit has it; the error is the name of a peer that is not there.
    fn wanted(&mut self, field: &FieldModel, old: &Value) -> Result<Value, String> {
        if field.reference.is_none() {
            return Ok(old.clone());
        }
        match old {
            Value::Null => Ok(Value::Null),
            Value::Array(items) => items.iter().map(|item| self.peer(field, item)).collect::<Result<_, _>>().map(Value::Array),
            one => self.peer(field, one),
        }
    }

    fn peer(&mut self, field: &FieldModel, name: &Value) -> Result<Value, String> {
        let Some(text) = name.as_str() else { return Err(name.to_string()) };
        let several = field.peers().nth(1).is_some();
        let model = self.model;
        let named = |spec: &KindModel| if several { text.strip_prefix(&spec.name)?.strip_prefix(':') } else { Some(text) };
        let found = field.peers().find_map(|peer| {
            let (kind, spec) = model.kind(peer)?;
            let key = self.key(kind, named(spec)?)?;
            Some(peer_value(model, field, kind, &key))
        });
        found.ok_or_else(|| text.to_owned())
    }

    fn key(&mut self, kind: usize, unique_id: &str) -> Option<String> {
        if let Some(key) = self.deleted.get(&(kind, unique_id.to_owned())) {
            return Some(key.clone());
        }
        let now = self.now;
        let known = self.known.entry(kind).or_insert_with(|| {
            let mut known: HashMap<String, Option<String>> = HashMap::new();
            let Some(rows) = now.kinds.get(kind) else { return known };
            for row in 0..rows.rows() {
                let key = rows.keys.get(row);
                known.entry(key::unique_id(key)).and_modify(|several| *several = None).or_insert_with(|| Some(key.to_owned()));
            }
            known
        });
        known.get(unique_id).cloned().flatten()
    }
}
