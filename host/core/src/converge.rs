//! Writes that had no effect: the destination accepted them and has another value.
//!
//! The server computes the value, a profile or a default replaces it, or it is stored in another spelling. To write it again would change nothing.
//! [`ineffective`] finds such fields in the objects as they are read back. [`leave_out`] takes them out of the next comparisons, as long as
//! both sides have the same values.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::change::{Change, ObjectKey, PeerRef};
use crate::diff::{Diff, default_column};
use crate::key;
use crate::mapping::RawKind;
use crate::model::Model;
use crate::plan::values_json;
use crate::snapshot::{FieldColumn, NOWHERE, Peer, PeerColumn, RefValue, Snapshot};
use crate::value::{Tag, ValueColumn};

/// A value that the destination did not take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ineffective {
    /// The kind.
    pub kind: String,
    /// The natural key, as in a plan.
    pub key: Value,
    /// The field.
    pub field: String,
    /// The value that was written, as in a plan.
    pub sent: Value,
    /// The value that was read back; a reference as `{"ids": […]}`.
    pub came_back: Value,
    /// The run that wrote it.
    pub run: String,
}

impl Ineffective {
    /// Names the object for a person.
    #[must_use]
    pub fn object(&self) -> String {
        key::key_from_json(&self.key).map_or_else(|| self.key.to_string(), |key| key::unique_id(&key))
    }
}

/// Compares a change with its object, which was read back: row `row` of `read`. `id_of` returns the id of a peer.
///
/// Returns the fields that have another value, with the values that were sent and that came back. References to peers without ids are not
/// compared.
pub fn ineffective(
    model: &Model,
    change: &Change,
    (read, row): (&RawKind, usize),
    id_of: impl Fn(&PeerRef) -> Option<String>,
) -> Vec<(String, Value, Value)> {
    let Some(spec) = model.kinds.get(change.object.kind) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, sent) in &change.new {
        let Some(at) = spec.fields.iter().position(|field| field.name == *name) else { continue };
        let (Some(field), Some(column)) = (spec.fields.get(at), read.columns.get(at)) else { continue };
        if field.reference.is_none() {
            let mut one = ValueColumn::default();
            one.push_json(sent);
            let one = one.coerced(field.field_type);
            let is_default = || sent.is_null() && default_column(field).is_some_and(|default| column.same(row, &default, 0));
            if !column.same(row, &one, 0) && !is_default() {
                found.push((name.clone(), sent.clone(), column.to_json(row)));
            }
            continue;
        }
        let wanted = change.peers.get(name).map_or(&[][..], |peers| peers.as_slice());
        let wanted: Option<Vec<String>> = wanted.iter().map(&id_of).collect();
        let (Some(mut wanted), Some(now)) = (wanted, ids(column, row)) else { continue };
        wanted.sort_unstable();
        wanted.dedup();
        if wanted != now {
            found.push((name.clone(), sent.clone(), json!({ "ids": now })));
        }
    }
    found
}

/// Returns the peers of a row as it was read, by id and sorted; none if they are named otherwise.
fn ids(column: &ValueColumn, row: usize) -> Option<Vec<String>> {
    let mut ids: Vec<String> = match column.tag(row) {
        Tag::Null | Tag::Missing => Vec::new(),
        Tag::Id => vec![column.text(row).to_owned()],
        Tag::Ids => column.text(row).split_terminator('\n').map(str::to_owned).collect(),
        _ => return None,
    };
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}

/// The differences that were left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Objects by kind, field and run that wrote the value.
    pub fields: BTreeMap<(String, String, String), u64>,
    /// Objects with a difference that was left out, by kind.
    pub objects: BTreeMap<String, u64>,
    /// The places of the records that still hold.
    pub kept: Vec<usize>,
}

/// Takes the differences out of which it is known that to write them has no effect.
pub fn leave_out(model: &Model, source: &Snapshot, destination: &Snapshot, diff: &mut Diff, known: &[Ineffective]) -> LeftOut {
    let mut out = LeftOut::default();
    let mut touched: BTreeSet<(usize, u32)> = BTreeSet::new();
    for (place, record) in known.iter().enumerate() {
        let Some((kind, row, field)) = still_holds(model, source, destination, record) else { continue };
        let Some(updates) = diff.kinds.get_mut(kind).map(|kind| &mut kind.updates) else { continue };
        let Ok(at) = updates.binary_search_by_key(&row, |update| update.source) else { continue };
        let Some(update) = updates.get_mut(at).filter(|update| update.fields.contains(&field)) else { continue };
        update.fields.retain(|known| *known != field);
        out.kept.push(place);
        *out.fields.entry((record.kind.clone(), record.field.clone(), record.run.clone())).or_default() += 1;
        if touched.insert((kind, row)) {
            *out.objects.entry(record.kind.clone()).or_default() += 1;
        }
    }
    for kind in diff.kinds.iter_mut().filter(|_| !touched.is_empty()) {
        kind.updates.retain(|update| !update.fields.is_empty());
    }
    out
}

/// Returns kind, source row and field of a record whose values are still those of both sides.
fn still_holds(model: &Model, source: &Snapshot, destination: &Snapshot, record: &Ineffective) -> Option<(usize, u32, u16)> {
    let (kind, spec) = model.kind(&record.kind)?;
    let object = ObjectKey { kind, key: key::key_from_json(&record.key)? };
    let field = spec.fields.iter().position(|field| field.name == record.field)?;
    let (ours, theirs) = (object.row_in(source)?, object.row_in(destination)?);
    let value = |side: &Snapshot, row: usize| -> Option<Value> {
        let values: Value = serde_json::from_str(&values_json(model, side, kind, row, std::iter::once(field))).ok()?;
        values.get(&record.field).cloned()
    };
    let came_back = match destination.kinds.get(kind)?.fields.get(field)? {
        FieldColumn::Values(_) => value(destination, theirs)?,
        FieldColumn::Peers(peers) => json!({ "ids": peer_ids(destination, peers, theirs)? }),
    };
    let holds = value(source, ours)? == record.sent && came_back == record.came_back;
    holds.then_some((kind, u32::try_from(ours).ok()?, u16::try_from(field).ok()?))
}

fn peer_ids(snapshot: &Snapshot, column: &PeerColumn, row: usize) -> Option<Vec<String>> {
    let (held, peers) = column.peers(row);
    if held == RefValue::Unresolved {
        return None;
    }
    let id = |peer: Peer| Some(snapshot.kinds.get(peer.kind).filter(|_| peer.row != NOWHERE)?.id(peer.row as usize)?.to_owned());
    let mut ids: Vec<String> = peers.map(id).collect::<Option<_>>()?;
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}
