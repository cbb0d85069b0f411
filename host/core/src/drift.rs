//! The state of a destination after a run: its snapshot from before the run, with the changes that the run wrote.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::change::{Change, ObjectKey, PeerRefs};
use crate::diff::{Diff, diff};
use crate::edits::{Added, Edits, Fields, edited, peer_value};
use crate::model::Model;
use crate::plan::values_json;
use crate::plan_row::Action;
use crate::snapshot::{FieldColumn, NOWHERE, RefValue, Resolving, Snapshot, build};
use infrahub_sync_base::Side;

/// A difference between a destination and its state after a run.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Drifted {
    /// The way in which it differs.
    pub change: DriftChange,
    /// The kind.
    pub kind: String,
    /// The unique id.
    pub unique_id: String,
    /// The id in the destination, where it has one.
    pub id: Option<String>,
    /// The fields that differ; of an object that was added or removed all of them.
    pub fields: Vec<DriftedField>,
}

/// How an object differs from its state after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftChange {
    /// Fields have other values.
    Changed,
    /// The run left it, and it is no longer there.
    Removed,
    /// It was not there after the run.
    Added,
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct DriftedField {
    /// Its name.
    pub name: String,
    /// Its value after the run; null of an added object.
    pub was: Value,
    /// Its value now; null of a removed object.
    pub now: Value,
}

/// Returns the state after a run: `before` with the changes that the destination has accepted, each with the id that it gave.
#[must_use]
pub fn after(model: &Model, before: &Snapshot, written: impl IntoIterator<Item = (Change, Option<String>)>) -> Snapshot {
    let mut edits = Edits::default();
    let mut added: BTreeMap<ObjectKey, Added> = BTreeMap::new();
    for (change, id) in written {
        let fields = fields(model, &change);
        let row = change.object.row_in(before);
        match (change.action, row) {
            (Action::Delete, Some(row)) => drop(edits.removed.insert((change.object.kind, row))),
            (Action::Delete, None) => drop(added.remove(&change.object)),
            (_, Some(row)) => edits.set.entry((change.object.kind, row)).or_default().extend(fields),
            (_, None) => {
                let Change { object, resource, .. } = change;
                let new = || Added { kind: object.kind, key: object.key.clone(), id: None, resource, fields: Fields::new() };
                let known = added.entry(object.clone()).or_insert_with(new);
                known.fields.extend(fields);
                known.id = id.or(known.id.take());
            }
        }
    }
    edits.added = added.into_values().collect();
    build(model, edited(model, before, &edits), Resolving::from(Side::Destination)).0
}

/// Returns the values that a change writes, references as natural keys.
fn fields(model: &Model, change: &Change) -> Fields {
    let Some(spec) = model.kinds.get(change.object.kind) else { return Fields::new() };
    let value = |name: &String, value: &Value| {
        let (at, field) = spec.fields.iter().enumerate().find(|(_, field)| field.name == *name)?;
        let peer = |peer: &crate::change::PeerRef| peer_value(model, field, peer.object.kind, &peer.object.key);
        Some((
            at,
            match (field.reference.is_some(), change.peers.get(name)) {
                (false, _) => value.clone(),
                (true, Some(PeerRefs::One(one))) => one.as_ref().map(peer).unwrap_or_default(),
                (true, Some(PeerRefs::Many(peers))) => Value::Array(peers.iter().map(peer).collect()),
                (true, None) => Value::Null,
            },
        ))
    };
    change.new.iter().filter_map(|(name, new)| value(name, new)).collect()
}

/// Compares a destination with its state after a run. `unknown` are objects of which nothing is known; `partial` are the kinds, by position, whose
/// answer is incomplete.
#[must_use]
pub fn drift(model: &Model, after: &Snapshot, now: &Snapshot, unknown: &[ObjectKey], partial: &[usize]) -> Vec<Drifted> {
    let Diff { kinds } = diff(model, after, now);
    let mut drifted = Vec::new();
    for (kind, found) in kinds.into_iter().enumerate() {
        let (Some(spec), Some(then), Some(there)) = (model.kinds.get(kind), after.kinds.get(kind), now.kinds.get(kind)) else { continue };
        let is_known = |key: &str| !unknown.iter().any(|object| object.kind == kind && object.key == key);
        let all = || 0..spec.fields.len();
        let mut add = |change: DriftChange, was: Option<usize>, is: Option<usize>, fields: Vec<usize>| {
            let key = is.map_or_else(|| then.keys.get(was.unwrap_or_default()), |row| there.keys.get(row));
            if !is_known(key) || fields.is_empty() {
                return;
            }
            let mut before = was.map(|row| values(model, after, kind, row, &fields)).unwrap_or_default();
            let mut after = is.map(|row| values(model, now, kind, row, &fields)).unwrap_or_default();
            let fields = fields.iter().filter_map(|at| spec.fields.get(*at)).map(|field| DriftedField {
                name: field.name.clone(),
                was: before.remove(&field.name).unwrap_or_default(),
                now: after.remove(&field.name).unwrap_or_default(),
            });
            let id = is.and_then(|row| there.id(row)).or_else(|| was.and_then(|row| then.id(row)));
            drifted.push(Drifted {
                change,
                kind: spec.name.clone(),
                unique_id: crate::key::unique_id(key),
                id: id.map(str::to_owned),
                fields: fields.collect(),
            });
        };
        for update in found.updates {
            let (was, is) = (update.source as usize, update.destination as usize);
            // A stored snapshot does not hold references that lead out of the sync.
            let leads_out = |at: &usize| match (then.fields.get(*at), there.fields.get(*at)) {
                (Some(FieldColumn::Peers(then)), Some(FieldColumn::Peers(there))) => {
                    then.get(was).0 == RefValue::Null && there.get(is).1.contains(&NOWHERE)
                }
                _ => false,
            };
            let fields: Vec<usize> = update.fields.iter().map(|at| usize::from(*at)).filter(|at| !leads_out(at)).collect();
            add(DriftChange::Changed, Some(was), Some(is), fields);
        }
        if !partial.contains(&kind) {
            found.only_source.iter().for_each(|row| add(DriftChange::Removed, Some(*row as usize), None, all().collect()));
        }
        found.only_destination.iter().for_each(|row| add(DriftChange::Added, None, Some(*row as usize), all().collect()));
    }
    drifted
}

fn values(model: &Model, side: &Snapshot, kind: usize, row: usize, fields: &[usize]) -> Map<String, Value> {
    serde_json::from_str(&values_json(model, side, kind, row, fields.iter().copied())).unwrap_or_default()
}
