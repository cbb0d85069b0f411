//! A snapshot with edits: the state of a side as it was, or as it is to be.
//!
//! The rows go through [`build`](crate::snapshot::build()) again, references by natural key. So what an edit removes, adds or refers to is found
//! as in any snapshot.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::key::{self, Part};
use crate::mapping::RawKind;
use crate::model::{FieldModel, Model};
use crate::restore::key_object;
use crate::snapshot::{FieldColumn, NOWHERE, Peer, PeerColumn, RefValue, Snapshot};
use crate::value::{Tag, ValueColumn, value_json};

/// The values of an object's fields, by position: plain values, and references as natural keys ([`peer_value`]).
pub type Fields = BTreeMap<usize, Value>;

/// An object that an edit adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// The position of its kind.
    pub kind: usize,
    /// Its natural key.
    pub key: String,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// The destination's resource, where the kind has several.
    pub resource: Option<String>,
    /// Its fields beyond the identifiers.
    pub fields: Fields,
}

/// Edits of a snapshot; objects are (position of the kind, row).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edits {
    /// Objects that are not there.
    pub removed: HashSet<(usize, usize)>,
    /// Fields with other values.
    pub set: BTreeMap<(usize, usize), Fields>,
    /// Further objects.
    pub added: Vec<Added>,
}

/// Returns how a reference names its peer: an object of the identifiers, with the kind where the field may refer to several.
#[must_use]
pub fn peer_value(model: &Model, field: &FieldModel, kind: usize, key: &str) -> Value {
    let mut object = key_object(model, kind, key);
    if let (Some(object), Some(spec), true) = (object.as_object_mut(), model.kinds.get(kind), field.peers().nth(1).is_some()) {
        object.insert("kind".to_owned(), Value::String(spec.name.clone()));
    }
    object
}

/// Returns the rows of a snapshot with edits, to be built again.
#[must_use]
pub fn edited(model: &Model, base: &Snapshot, edits: &Edits) -> Vec<RawKind> {
    (0..model.kinds.len()).map(|kind| edited_kind(model, base, edits, kind)).collect()
}

fn edited_kind(model: &Model, base: &Snapshot, edits: &Edits, kind: usize) -> RawKind {
    let Some(spec) = model.kinds.get(kind) else { return RawKind::default() };
    let mut raw = RawKind::new(spec.fields.len());
    let added: Vec<&Added> = edits.added.iter().filter(|added| added.kind == kind).collect();
    let empty = crate::snapshot::KindSnapshot::default();
    let rows = base.kinds.get(kind).unwrap_or(&empty);
    let kept: Vec<usize> = (0..rows.rows()).filter(|row| !edits.removed.contains(&(kind, *row))).collect();
    raw.rows = kept.len() + added.len();
    let id = |out: &mut ValueColumn, id: Option<&str>| match id {
        Some(id) => out.push_text(id),
        None => out.push_null(),
    };
    kept.iter().for_each(|row| id(&mut raw.ids, rows.id(*row)));
    added.iter().for_each(|added| id(&mut raw.ids, added.id.as_deref()));
    if !rows.resources.is_empty() || added.iter().any(|added| added.resource.is_some()) {
        kept.iter().for_each(|row| raw.resources.push(rows.resources.get(*row)));
        added.iter().for_each(|added| raw.resources.push(added.resource.as_deref()));
    }
    for (at, (field, out)) in spec.fields.iter().zip(&mut raw.columns).enumerate() {
        *out = ValueColumn::with_capacity(raw.rows);
        let is_reference = field.reference.is_some();
        for row in &kept {
            let wanted = edits.set.get(&(kind, *row)).and_then(|fields| fields.get(&at));
            match (wanted, rows.fields.get(at)) {
                (Some(value), _) => push(out, value, is_reference),
                (None, Some(FieldColumn::Values(values))) => out.push(values.tag(*row), values.text(*row)),
                (None, Some(FieldColumn::Peers(peers))) => push_peers(model, base, field, peers, *row, out),
                (None, None) => out.push_null(),
            }
        }
        let identifier = spec.identifiers.iter().position(|name| *name == field.name);
        for added in &added {
            let own = identifier.and_then(|place| identifier_value(model, field, &added.key, place));
            match own.as_ref().or_else(|| added.fields.get(&at)) {
                Some(value) => push(out, value, is_reference),
                None => out.push_null(),
            }
        }
    }
    raw
}

/// Adds a value of an edit.
fn push(out: &mut ValueColumn, value: &Value, is_reference: bool) {
    match value {
        // An identifier may be called `id`: an object is a natural key here, whatever it holds.
        Value::Array(_) if is_reference => out.push_peer(value),
        _ => out.push_json(value),
    }
}

/// Returns the value of an identifier of a key.
fn identifier_value(model: &Model, field: &FieldModel, key: &str, place: usize) -> Option<Value> {
    Some(match key::parts(key).nth(place)? {
        Part::Value(tag, text) => value_json(tag, &text),
        // The object of a key names the kind of each peer where that is needed.
        Part::Peer { kind: Some(kind), key } => {
            let (kind, _) = model.kind(&kind)?;
            peer_value(model, field, kind, key)
        }
        Part::Peer { kind: None, key } => {
            let (kind, _) = model.kind(field.reference.as_deref()?)?;
            key_object(model, kind, key)
        }
    })
}

/// Adds the references of a row as natural keys. A peer outside of the sync has none: the reference is not compared.
fn push_peers(model: &Model, base: &Snapshot, field: &FieldModel, column: &PeerColumn, row: usize, out: &mut ValueColumn) {
    let (held, peers) = column.peers(row);
    let key = |peer: Peer| base.kinds.get(peer.kind).map_or("", |kind| kind.keys.get(peer.row as usize));
    let value = |peer: Peer| peer_value(model, field, peer.kind, key(peer));
    if held == RefValue::Unresolved || peers.clone().any(|peer| peer.row == NOWHERE) {
        return out.push(Tag::Unresolved, "");
    }
    match held {
        RefValue::Null | RefValue::Unresolved => out.push_null(),
        RefValue::One => match peers.into_iter().next() {
            Some(peer) => push(out, &value(peer), true),
            None => out.push_null(),
        },
        RefValue::Many => push(out, &Value::Array(peers.map(value).collect()), true),
    }
}
