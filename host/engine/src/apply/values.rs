//! Unique values on their way from one object to another.
//!
//! The plan puts a row that takes a value behind the row that frees it. Here the second waits for the answer to the first, and is skipped where the
//! first was not written. Only kinds with unique fields are looked at.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use infrahub_sync_core::change::{Change, ObjectKey};
use infrahub_sync_core::model::{KindModel, Model};
use infrahub_sync_core::number::canonical;
use infrahub_sync_core::plan_row::{Action, PARKING};
use serde_json::{Map, Value as Json};

use super::failure::StillHolds;

/// A value of a field: kind and field by position, and the value as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Value {
    kind: usize,
    field: usize,
    json: String,
}

/// The part of a set of fields that a row changes. A row frees and takes values that are unique together only where it changes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Part {
    kind: usize,
    /// The set, by its place among those of the kind.
    set: usize,
    fields: Vec<usize>,
}

/// All that a row gives up.
#[derive(Debug, Default)]
pub(super) struct Freed {
    /// The values of fields that are unique by themselves.
    alone: Vec<Value>,
    /// The values of fields that are unique with others.
    together: Vec<Value>,
    parts: Vec<Part>,
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
    kinds: Vec<Unique>,
    states: HashMap<Value, State>,
    /// The number of awaited rows that give up a value which is unique with others.
    together: HashMap<Value, u32>,
    /// The number of awaited rows that change a part of a set.
    parts: HashMap<Part, u32>,
    /// The values that the plan has put in place of those that it frees.
    parked: HashMap<ObjectKey, Map<String, Json>>,
}

/// The unique fields of a kind.
#[derive(Default)]
struct Unique {
    alone: Vec<usize>,
    /// Those that are unique with others.
    together: Vec<usize>,
    /// The fields that are unique together.
    sets: Vec<Vec<usize>>,
}

impl Unique {
    fn new(kind: &KindModel) -> Unique {
        let (alone, sets): (Vec<Vec<usize>>, Vec<Vec<usize>>) = kind.takable().partition(|set| set.len() == 1);
        let together: BTreeSet<usize> = sets.iter().flatten().copied().collect();
        Unique { alone: alone.concat(), together: together.into_iter().collect(), sets }
    }
}

impl<'k> Values<'k> {
    pub(super) fn new(model: &'k Model) -> Values<'k> {
        let kinds = model.kinds.iter().map(Unique::new).collect();
        let (states, together, parts, parked) = (HashMap::new(), HashMap::new(), HashMap::new(), HashMap::new());
        Values { model, kinds, states, together, parts, parked }
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

    /// Returns all that a row gives up.
    pub(super) fn freed(&self, change: &Change) -> Freed {
        let Some(unique) = self.kinds.get(change.object.kind).filter(|_| change.action != Action::Create) else { return Freed::default() };
        let is_parked = |value: &Value| change.parked.contains_key(self.name(value));
        let of = |fields| self.beyond(change, fields, &change.old, &change.new).filter(|value| !is_parked(value)).collect();
        Freed { alone: of(&unique.alone), together: of(&unique.together), parts: self.parts(change, unique).collect() }
    }

    /// Returns whether a row may take a value that a row before it gives up, and whose answer is awaited.
    pub(super) fn waits(&self, change: &Change) -> bool {
        let Some(unique) = self.kinds.get(change.object.kind) else { return false };
        let takes = |fields| self.beyond(change, fields, &change.new, &change.old);
        !self.states.is_empty() && takes(&unique.alone).any(|value| matches!(self.states.get(&value), Some(State::Awaited)))
            || !self.together.is_empty() && takes(&unique.together).any(|value| self.together.contains_key(&value))
            || !self.parts.is_empty() && self.parts(change, unique).any(|part| self.is_hidden(&part))
    }

    /// Returns whether an awaited row may give up what a row takes by a part of a set, and shares no field with it that shows whether it does.
    fn is_hidden(&self, part: &Part) -> bool {
        let of_set = self.parts.keys().filter(|other| other.kind == part.kind && other.set == part.set);
        of_set.into_iter().any(|other| other.fields.iter().all(|field| !part.fields.contains(field)))
    }

    /// Returns who has kept a value that a row takes. Of values that are unique together that is not known: the row is sent.
    pub(super) fn kept(&self, change: &Change) -> Option<StillHolds> {
        let unique = self.kinds.get(change.object.kind).filter(|_| !self.states.is_empty())?;
        self.beyond(change, &unique.alone, &change.new, &change.old).find_map(|value| match self.states.get(&value) {
            Some(State::Kept(held)) => Some(held.clone()),
            _ => None,
        })
    }

    /// Notes that a row which gives up values is about to be sent.
    pub(super) fn sending(&mut self, freed: &Freed) {
        self.states.extend(freed.alone.iter().map(|value| (value.clone(), State::Awaited)));
        freed.together.iter().for_each(|value| *self.together.entry(value.clone()).or_default() += 1);
        freed.parts.iter().for_each(|part| *self.parts.entry(part.clone()).or_default() += 1);
    }

    /// Notes that a row was answered.
    pub(super) fn answered(&mut self, freed: &Freed) {
        for value in &freed.alone {
            self.states.remove(value);
        }
        freed.together.iter().for_each(|value| one_less(&mut self.together, value));
        freed.parts.iter().for_each(|part| one_less(&mut self.parts, part));
    }

    /// Notes that a row was not written.
    pub(super) fn not_written(&mut self, freed: &Freed, change: &Change) {
        for value in &freed.alone {
            let held = StillHolds {
                field: self.name(value).to_owned(),
                value: value.json.clone(),
                by: format!("{} `{}`", change.kind, change.unique_id),
                by_delete: change.action == Action::Delete,
            };
            self.states.insert(value.clone(), State::Kept(held));
        }
    }

    fn name(&self, value: &Value) -> &str {
        let field = self.model.kinds.get(value.kind).and_then(|kind| kind.fields.get(value.field));
        field.map_or("", |field| field.name.as_str())
    }

    /// Returns the parts of sets that a row changes.
    fn parts<'c>(&self, change: &'c Change, unique: &'c Unique) -> impl Iterator<Item = Part> + use<'c, 'k> {
        let (kind, model) = (change.object.kind, self.model);
        let changes = move |field: &&usize| {
            let name = model.kinds.get(kind).and_then(|kind| kind.fields.get(**field)).map(|field| field.name.as_str());
            name.is_some_and(|name| change.new.contains_key(name) || change.old.contains_key(name))
        };
        unique.sets.iter().enumerate().filter_map(move |(set, fields)| {
            let fields: Vec<usize> = fields.iter().filter(changes).copied().collect();
            (!fields.is_empty()).then_some(Part { kind, set, fields })
        })
    }

    /// Returns the values of some fields among `these` that are not among `those`.
    fn beyond<'c>(
        &'c self,
        change: &Change,
        fields: &'c [usize],
        these: &'c Map<String, Json>,
        those: &'c Map<String, Json>,
    ) -> impl Iterator<Item = Value> + 'c {
        let kind = change.object.kind;
        fields.iter().flat_map(move |field| {
            let name = self.model.kinds.get(kind).and_then(|kind| kind.fields.get(*field)).map_or("", |field| field.name.as_str());
            let other = those.get(name).map_or(&[][..], items);
            let mine = these.get(name).map_or(&[][..], items).iter().filter(|value| !value.is_null() && !other.contains(value));
            mine.map(move |value| Value { kind, field: *field, json: text(value) })
        })
    }
}

fn one_less<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// Returns the members of a set, or the one value.
fn items(value: &Json) -> &[Json] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// Returns a value as text: numbers are one, whatever their type.
fn text(value: &Json) -> String {
    match value {
        Json::Number(number) => canonical(number.as_str()).into_owned(),
        other => other.to_string(),
    }
}
