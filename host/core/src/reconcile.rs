//! Decides about one change of an apply, given the current state of the destination. The decision is pure.
//!
//! Two ways lead to it. A stored plan is compared by natural key with a new snapshot ([`by_key`]). A plan that was made minutes ago is compared by
//! id with the objects that have changed since ([`by_id`]). Either yields the same facts about each field, and [`reconcile`] decides.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use crate::change::{Change, OutsideRef, PeerRef, PeerRefs};
use crate::diff::default_column;
use crate::key;
use crate::mapping::RawKind;
use crate::model::Model;
use crate::plan::values_json;
use crate::plan_row::{Action, PARKING};
use crate::snapshot::{FieldColumn, NOWHERE, Peer, PeerColumn, RefValue, Snapshot};
use crate::value::{Tag, ValueColumn};

/// The known facts about the object of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Now {
    /// Nothing newer than the plan.
    AsPlanned,
    /// The destination does not have it.
    Absent,
    /// The destination has it, with these fields.
    Present(Vec<FieldNow>),
}

/// One field of an object, compared with the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldNow {
    /// The field's name.
    pub name: String,
    /// It holds the value that the plan found, or this is unknown.
    pub as_planned: bool,
    /// It holds what the plan wants.
    pub as_wanted: bool,
    /// Its current value.
    pub value: Value,
}

/// How an object was modified after the plan was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictClass {
    /// It is to be updated, and was deleted.
    Gone,
    /// It is to be created, and was created with other values.
    Exists,
    /// It is to be updated, and was changed.
    Changed,
    /// It is to be deleted, and was changed.
    ChangedBeforeDelete,
}

impl ConflictClass {
    /// Returns the word for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ConflictClass::Gone => "gone",
            ConflictClass::Exists => "exists",
            ConflictClass::Changed => "changed",
            ConflictClass::ChangedBeforeDelete => "changed_before_delete",
        }
    }
}

/// A field that was modified after the plan was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Modified {
    /// The field's name.
    pub name: String,
    /// The value that the plan found.
    pub was: Value,
    /// The current value of the field.
    pub now: Value,
}

/// An object that was modified after the plan was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// How.
    pub class: ConflictClass,
    /// Which fields, where an object was changed.
    pub fields: Vec<Modified>,
}

impl Conflict {
    /// Returns what is written when the project says `on_conflict: overwrite`; none where there is nothing to write over.
    #[must_use]
    pub fn overwritten_by(&self) -> Option<Action> {
        match self.class {
            ConflictClass::Gone => None,
            ConflictClass::Exists | ConflictClass::Changed => Some(Action::Update),
            ConflictClass::ChangedBeforeDelete => Some(Action::Delete),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class {
            ConflictClass::Gone => out.write_str("the object is no longer in the destination"),
            ConflictClass::Exists => out.write_str("another user created it after the plan was made, with other values"),
            ConflictClass::Changed | ConflictClass::ChangedBeforeDelete => {
                let fields = self.fields.iter().map(|Modified { name, was, now }| format!("`{name}` is {now} and was {was}"));
                write!(out, "another user modified it after the plan was made: {}", fields.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// The decision about a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Write it, as this.
    Write(Action),
    /// The destination has the wanted state already.
    Unchanged,
    /// Another user modified the object after the plan was made.
    Conflict(Conflict),
}

/// Decides about a change.
#[must_use]
pub fn reconcile(change: &Change, now: &Now) -> Decision {
    let conflict = |class, fields| Decision::Conflict(Conflict { class, fields });
    let fields = match now {
        Now::AsPlanned => return Decision::Write(change.action),
        Now::Absent => {
            return match change.action {
                Action::Delete => Decision::Unchanged,
                // An object that is gone has freed its values.
                Action::Update if change.pass == PARKING => Decision::Unchanged,
                // The second pass completes what the first one has created.
                Action::Update if change.pass == 0 => conflict(ConflictClass::Gone, Vec::new()),
                action => Decision::Write(action),
            };
        }
        Now::Present(fields) => fields,
    };
    if change.pass == PARKING && !fields.iter().all(|field| field.as_planned) {
        // The old value is free already. The row that gives the new one says what became of the object.
        return Decision::Unchanged;
    }
    let is_wanted = |name: &String| fields.iter().any(|field| field.name == *name && field.as_wanted);
    if change.action != Action::Delete && change.new.keys().all(is_wanted) {
        return Decision::Unchanged;
    }
    if change.action == Action::Create {
        return conflict(ConflictClass::Exists, Vec::new());
    }
    let is_delete = change.action == Action::Delete;
    let modified = fields.iter().filter(|field| !field.as_planned && (is_delete || !field.as_wanted)).filter_map(|field| {
        let was = change.old.get(&field.name)?;
        Some(Modified { name: field.name.clone(), was: was.clone(), now: field.value.clone() })
    });
    match modified.collect::<Vec<_>>() {
        none if none.is_empty() => Decision::Write(change.action),
        fields if is_delete => conflict(ConflictClass::ChangedBeforeDelete, fields),
        fields => conflict(ConflictClass::Changed, fields),
    }
}

/// Compares a change with the object of its key, at row `row` of a new snapshot.
#[must_use]
pub fn by_key(model: &Model, snapshot: &Snapshot, change: &Change, row: usize) -> Now {
    let kind = change.object.kind;
    let (Some(spec), Some(rows)) = (model.kinds.get(kind), snapshot.kinds.get(kind)) else { return Now::AsPlanned };
    let named = |name: &String| spec.fields.iter().position(|field| field.name == *name);
    let positions: Vec<usize> = change.old.keys().filter_map(named).collect();
    let values = values_json(model, snapshot, kind, row, positions.into_iter());
    let mut values: Map<String, Value> = serde_json::from_str(&values).unwrap_or_default();
    let names = change.old.keys().chain(change.new.keys().filter(|name| !change.old.contains_key(*name)));
    let field = |name: &String| {
        let value = values.remove(name).unwrap_or(Value::Null);
        let wanted = change.new.get(name);
        let as_wanted = match named(name).and_then(|at| Some((spec.fields.get(at)?, rows.fields.get(at)?))) {
            Some((field, FieldColumn::Values(column))) => wanted.is_some_and(|wanted| {
                let mut one = ValueColumn::default();
                one.push_json(wanted);
                column.same(row, &one, 0)
                    || (wanted.is_null() && default_column(field).is_some_and(|default| column.same(row, &default, 0)))
            }),
            Some((_, FieldColumn::Peers(column))) => {
                wanted.is_some() && holds_peers(snapshot, column, row, (change.peers.get(name), change.outside(name)))
            }
            None => false,
        };
        let as_planned = change.old.get(name).is_none_or(|old| {
            let column = named(name).and_then(|at| rows.fields.get(at));
            *old == value
                || change.parked.get(name) == Some(&value)
                || (change.action == Action::Delete && lost_only_deleted(model, snapshot, column, old, &value))
        });
        FieldNow { name: name.clone(), as_planned, as_wanted, value }
    };
    Now::Present(names.map(field).collect())
}

/// Returns whether a reference has only lost peers that no longer exist. The plan may have deleted them itself, in an apply that was interrupted, so
/// this is not a modification by another user.
fn lost_only_deleted(model: &Model, snapshot: &Snapshot, column: Option<&FieldColumn>, old: &Value, now: &Value) -> bool {
    let Some(FieldColumn::Peers(column)) = column else { return false };
    let names = |value: &Value| -> Vec<String> {
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (old, now) = (names(old), names(now));
    let is_of = |kind: usize, name: &str| {
        let Some(rows) = snapshot.kinds.get(kind) else { return false };
        let name = match column.kinds() {
            [_] => Some(name),
            _ => model.kinds.get(kind).and_then(|spec| name.strip_prefix(&spec.name)?.strip_prefix(':')),
        };
        name.is_some_and(|name| (0..rows.rows()).any(|row| key::unique_id(rows.keys.get(row)) == name))
    };
    let is_there = |name: &String| column.kinds().iter().any(|kind| is_of(*kind, name));
    now.iter().all(|name| old.contains(name)) && old.iter().filter(|name| !now.contains(name)).all(|name| !is_there(name))
}

/// Returns whether a reference holds just these peers.
fn holds_peers(snapshot: &Snapshot, column: &PeerColumn, row: usize, (wanted, stay): (Option<&PeerRefs>, &[OutsideRef])) -> bool {
    let peer = |peer: &PeerRef| {
        let row = u32::try_from(peer.object.row_in(snapshot)?).ok()?;
        Some(Peer { kind: peer.object.kind, row })
    };
    let mut wanted: Vec<Option<Peer>> = wanted.map(PeerRefs::as_slice).unwrap_or_default().iter().map(peer).collect();
    // As the column has them: by the place of the kind among the field's, and by row.
    let place = |peer: &Peer| column.kinds().iter().position(|kind| *kind == peer.kind);
    wanted.sort_unstable_by_key(|peer| peer.map(|peer| (place(&peer), peer.row)));
    let (held, peers) = column.peers(row);
    // Outside peers come last, sorted on both sides.
    let outside = column.outside(row);
    let count = peers.len() - outside.len();
    held != RefValue::Unresolved
        && count == wanted.len()
        && outside.len() == stay.len()
        && outside.zip(stay).all(|(there, wanted)| there.id == wanted.id)
        && peers.zip(&wanted).all(|(peer, wanted)| Some(peer) == *wanted)
}

/// Compares a change of the object at row `at` of the plan's snapshot with the object as it was read since: row `row` of `read`.
///
/// References are compared by id, as those of `read` are not resolved. Only fields that the plan found a value of are compared.
#[must_use]
pub fn by_id(model: &Model, snapshot: &Snapshot, change: &Change, at: usize, read: &RawKind, row: usize) -> Now {
    let kind = change.object.kind;
    let (Some(spec), Some(rows)) = (model.kinds.get(kind), snapshot.kinds.get(kind)) else { return Now::AsPlanned };
    let field = |name: &String| {
        let position = spec.fields.iter().position(|field| field.name == *name)?;
        let (now, then) = (read.columns.get(position)?, rows.fields.get(position)?);
        let (as_planned, as_wanted) = match then {
            FieldColumn::Values(then) => (
                then.same(at, now, row) || (is_null(then, at) && is_null(now, row)),
                change.new.get(name).is_some_and(|wanted| {
                    let mut one = ValueColumn::default();
                    one.push_json(wanted);
                    now.same(row, &one, 0)
                }),
            ),
            FieldColumn::Peers(peers) => {
                let ids_now = sorted(ids(now, row));
                let stay = change.outside(name).iter().map(|peer| Some(peer.id.as_str()));
                let wanted =
                    change.peers.get(name).map(|peers| peers.as_slice().iter().map(|peer| peer.id.as_deref()).chain(stay).collect());
                // A peer that is known by name only cannot be compared.
                let as_planned = ids_at(snapshot, peers, at).is_none_or(|then| is_set(then, &ids_now));
                let as_wanted = wanted.is_some_and(|wanted: Option<Vec<&str>>| wanted.is_some_and(|wanted| is_set(wanted, &ids_now)));
                // Some systems refer by unique ids, which are the values of the plan.
                let names = names_peers(now, row).then(|| now.to_json(row));
                let is = |planned: Option<&Value>| names.is_some() && planned == names.as_ref();
                (as_planned || is(change.old.get(name)), as_wanted || is(change.new.get(name)))
            }
        };
        Some(FieldNow { name: name.clone(), as_planned, as_wanted, value: now.to_json(row) })
    };
    Now::Present(change.old.keys().filter_map(field).collect())
}

pub(crate) fn is_null(column: &ValueColumn, row: usize) -> bool {
    matches!(column.tag(row), Tag::Null | Tag::Missing)
}

pub(crate) fn sorted<T: Ord>(mut ids: Vec<T>) -> Vec<T> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Returns whether ids are those of a sorted set.
fn is_set(ids: Vec<&str>, set: &[Cow<'_, str>]) -> bool {
    let ids = sorted(ids);
    ids.len() == set.len() && ids.iter().zip(set).all(|(one, other)| *one == other.as_ref())
}

/// Returns the peers of a row as it was read, by id. A text may be the id of one.
pub(crate) fn ids(column: &ValueColumn, row: usize) -> Vec<Cow<'_, str>> {
    let id = |peer: &Value| -> Option<Cow<'_, str>> {
        match peer.get("id")? {
            Value::String(id) => Some(Cow::Owned(id.clone())),
            Value::Number(id) => Some(Cow::Owned(id.to_string())),
            _ => None,
        }
    };
    match column.tag(row) {
        Tag::Ids => column.text(row).split_terminator('\n').map(Cow::Borrowed).collect(),
        Tag::Null | Tag::Missing => Vec::new(),
        // A peer of a kind that the project does not map comes with its kind.
        Tag::Json => {
            let value = column.to_json(row);
            let items = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
            let found: Option<Vec<_>> = items.iter().filter(|item| !item.is_null()).map(id).collect();
            found.unwrap_or_else(|| vec![Cow::Borrowed(column.text(row))])
        }
        _ => vec![Cow::Borrowed(column.text(row))],
    }
}

/// Returns whether a reference was read as something other than an id: a text that may be the unique id of its peer.
fn names_peers(column: &ValueColumn, row: usize) -> bool {
    matches!(column.tag(row), Tag::Text | Tag::Int | Tag::Json)
}

/// Returns the peers of a snapshot's row by id; none if one of them is unknown.
fn ids_at<'s>(snapshot: &'s Snapshot, column: &'s PeerColumn, row: usize) -> Option<Vec<&'s str>> {
    let (held, peers) = column.peers(row);
    if held == RefValue::Unresolved {
        return None;
    }
    let outside = column.outside(row);
    let inside = peers.len() - outside.len();
    let id = |peer: Peer| snapshot.kinds.get(peer.kind).filter(|_| peer.row != NOWHERE)?.id(peer.row as usize);
    peers.take(inside).map(id).chain(outside.map(|peer| Some(peer.id))).collect()
}
