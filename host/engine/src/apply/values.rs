//! Unique values on their way from one object to another.
//!
//! The plan puts a row that takes a value behind the row that frees it. Here the second waits for the answer to the first, and is skipped where the
//! first was not written. Only kinds with unique fields are looked at.

use std::collections::HashMap;

use infrahub_sync_core::change::{Change, ObjectKey};
use infrahub_sync_core::model::{KindModel, Model};
use infrahub_sync_core::plan_row::{Action, PARKING};
use serde_json::{Map, Value as Json};

use super::failure::StillHolds;

/// A value of a unique field: kind, field and value by position and as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Value {
    kind: usize,
    field: usize,
    /// The field is unique without others.
    alone: bool,
    json: String,
}

/// The state of a value that a row gives up.
enum State {
    /// The row was sent, and its answer is awaited.
    Awaited,
    /// The row was not written.
    Kept(StillHolds),
}

/// The values that rows of the plan give up, as far as they are not free.
pub(super) struct Values<'k> {
    model: &'k Model,
    /// The unique fields, by kind. False: unique only with others, whose values a change does not tell. A row then waits for each row that gives
    /// up the value of the one field, and is sent whatever the result of that write.
    fields: Vec<Vec<(usize, bool)>>,
    states: HashMap<Value, State>,
    /// The values that the plan has put in place of those that it frees.
    parked: HashMap<ObjectKey, Map<String, Json>>,
}

impl<'k> Values<'k> {
    pub(super) fn new(model: &'k Model) -> Values<'k> {
        let of_kind = |kind: &KindModel| {
            let sets: Vec<Vec<usize>> = kind.takable().collect();
            let mut fields: Vec<(usize, bool)> = sets.iter().flatten().map(|at| (*at, sets.iter().any(|set| set == &[*at]))).collect();
            fields.sort_unstable();
            fields.dedup();
            fields
        };
        let fields = model.kinds.iter().map(of_kind).collect();
        Values { model, fields, states: HashMap::new(), parked: HashMap::new() }
    }

    /// Notes a row that frees a value; tells another row of the same object which value was put in its place.
    pub(super) fn park(&mut self, change: &mut Change) {
        if change.pass == PARKING {
            self.parked.entry(change.object.clone()).or_default().extend(change.new.clone());
        } else if !self.parked.is_empty()
            && let Some(parked) = self.parked.get(&change.object)
        {
            change.parked.clone_from(parked);
        }
    }

    /// Returns the values that a row gives up.
    pub(super) fn freed(&self, change: &Change) -> Vec<Value> {
        if change.action == Action::Create {
            return Vec::new();
        }
        let is_parked = |name: &str| change.parked.contains_key(name);
        self.beyond(change, &change.old, &change.new).filter(|value| !is_parked(self.name(value))).collect()
    }

    /// Returns whether a row takes a value that a row before it gives up, and whose answer is awaited.
    pub(super) fn waits(&self, change: &Change) -> bool {
        !self.states.is_empty() && self.taken(change).any(|value| matches!(self.states.get(&value), Some(State::Awaited)))
    }

    /// Returns who has kept a value that a row takes.
    pub(super) fn kept(&self, change: &Change) -> Option<StillHolds> {
        if self.states.is_empty() {
            return None;
        }
        self.taken(change).find_map(|value| match self.states.get(&value) {
            Some(State::Kept(held)) if value.alone => Some(held.clone()),
            _ => None,
        })
    }

    /// Notes that a row which gives up values is about to be sent.
    pub(super) fn sending(&mut self, values: &[Value]) {
        self.states.extend(values.iter().map(|value| (value.clone(), State::Awaited)));
    }

    /// Notes that a row was answered.
    pub(super) fn answered(&mut self, values: &[Value]) {
        for value in values {
            self.states.remove(value);
        }
    }

    /// Notes that a row was not written.
    pub(super) fn not_written(&mut self, values: &[Value], change: &Change) {
        for value in values {
            let held = StillHolds {
                field: self.name(value).to_owned(),
                value: value.json.clone(),
                by: format!("{} `{}`", change.kind, change.unique_id),
                by_delete: change.action == Action::Delete,
            };
            self.states.insert(value.clone(), State::Kept(held));
        }
    }

    fn taken<'c>(&'c self, change: &'c Change) -> impl Iterator<Item = Value> + 'c {
        self.beyond(change, &change.new, &change.old)
    }

    fn name(&self, value: &Value) -> &str {
        let field = self.model.kinds.get(value.kind).and_then(|kind| kind.fields.get(value.field));
        field.map_or("", |field| field.name.as_str())
    }

    /// Returns the unique values of `these` that are not among `those`.
    fn beyond<'c>(
        &'c self,
        change: &Change,
        these: &'c Map<String, Json>,
        those: &'c Map<String, Json>,
    ) -> impl Iterator<Item = Value> + 'c {
        let kind = change.object.kind;
        let fields = self.fields.get(kind).map_or(&[][..], Vec::as_slice);
        fields.iter().flat_map(move |(field, alone)| {
            let name = self.model.kinds.get(kind).and_then(|kind| kind.fields.get(*field)).map_or("", |field| field.name.as_str());
            let other = those.get(name).map_or(&[][..], items);
            let mine = these.get(name).map_or(&[][..], items).iter().filter(|value| !value.is_null() && !other.contains(value));
            mine.map(move |value| Value { kind, field: *field, alone: *alone, json: text(value) })
        })
    }
}

/// Returns the members of a set, or the one value.
fn items(value: &Json) -> &[Json] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// Returns a value as text: numbers are one, whatever their type.
fn text(value: &Json) -> String {
    let text = value.to_string();
    match text.strip_suffix(".0") {
        Some(whole) if value.is_number() => whole.to_owned(),
        _ => text,
    }
}
