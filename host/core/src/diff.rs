//! Compares two snapshots of one model.
//!
//! Rows are sorted by key on both sides, so one merge walk a kind finds what is only here, only there, or in both. Of what is in both, fields are
//! compared column by column; references by the row numbers that the walk has put side by side. Linear, and it cannot fail.

use crate::model::{FieldModel, Model};
use crate::snapshot::{FieldColumn, KindSnapshot, NOWHERE, Peer, PeerColumn, RefValue, Snapshot};
use crate::value::{Tag, ValueColumn};

/// An object that is on both sides with different fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Its row in the source.
    pub source: u32,
    /// Its row in the destination.
    pub destination: u32,
    /// The positions of the fields that differ.
    pub fields: Vec<u16>,
}

/// The differences of one kind, each list sorted by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KindDiff {
    /// Rows that only the source has.
    pub only_source: Vec<u32>,
    /// Rows that only the destination has.
    pub only_destination: Vec<u32>,
    /// Objects that differ.
    pub updates: Vec<Update>,
    /// How many objects both sides have.
    pub in_both: usize,
}

/// The differences of all kinds, in the model's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// One a kind.
    pub kinds: Vec<KindDiff>,
}

impl Diff {
    /// Returns whether there is no difference.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.iter().all(|kind| kind.only_source.is_empty() && kind.only_destination.is_empty() && kind.updates.is_empty())
    }
}

/// Compares two snapshots of `model`.
#[must_use]
pub fn diff(model: &Model, source: &Snapshot, destination: &Snapshot) -> Diff {
    let empty = KindSnapshot::default();
    let mut diff = Diff::default();
    let mut partner: Vec<Vec<u32>> = Vec::with_capacity(model.kinds.len());
    for kind in 0..model.kinds.len() {
        let (found, pairs) = walk(source.kinds.get(kind).unwrap_or(&empty), destination.kinds.get(kind).unwrap_or(&empty));
        diff.kinds.push(found);
        partner.push(pairs);
    }
    for (kind, found) in diff.kinds.iter_mut().enumerate() {
        let (Some(a), Some(b)) = (source.kinds.get(kind), destination.kinds.get(kind)) else { continue };
        let spec = &model.kinds[kind];
        let runs = runs(&partner[kind]);
        let mut changed: Vec<(u32, u16)> = Vec::new();
        for (at, field) in spec.fields.iter().enumerate() {
            if spec.identifiers.contains(&field.name) {
                continue; // equal keys
            }
            let (Some(ours), Some(theirs)) = (a.fields.get(at), b.fields.get(at)) else { continue };
            let mut differs = |row: usize| changed.push((row as u32, at as u16));
            match (ours, theirs) {
                (FieldColumn::Values(ours), FieldColumn::Values(theirs)) => values(field, ours, theirs, &runs, &mut differs),
                (FieldColumn::Peers(ours), FieldColumn::Peers(theirs)) => peers(ours, theirs, kind, &partner, &mut differs),
                // Not of one model.
                _ => runs.iter().flat_map(|run| run.row..run.row + run.rows).for_each(differs),
            }
        }
        changed.sort_unstable();
        for (row, field) in changed {
            match found.updates.last_mut() {
                Some(update) if update.source == row => update.fields.push(field),
                _ => found.updates.push(Update { source: row, destination: partner[kind][row as usize], fields: vec![field] }),
            }
        }
    }
    diff
}

/// Walks along the keys of a kind on both sides. Returns what only one of them has, and the destination row of each source row.
fn walk(a: &KindSnapshot, b: &KindSnapshot) -> (KindDiff, Vec<u32>) {
    let mut found = KindDiff::default();
    let mut pairs = vec![NOWHERE; a.rows()];
    let (mut i, mut j) = (0, 0);
    while i < a.rows() && j < b.rows() {
        match a.keys.get(i).cmp(b.keys.get(j)) {
            std::cmp::Ordering::Less => {
                found.only_source.push(i as u32);
                i += 1;
            }
            std::cmp::Ordering::Greater => {
                found.only_destination.push(j as u32);
                j += 1;
            }
            std::cmp::Ordering::Equal => {
                pairs[i] = j as u32;
                found.in_both += 1;
                i += 1;
                j += 1;
            }
        }
    }
    found.only_source.extend(i as u32..a.rows() as u32);
    found.only_destination.extend(j as u32..b.rows() as u32);
    (found, pairs)
}

/// Finds the rows in which a plain field differs.
fn values(field: &FieldModel, ours: &ValueColumn, theirs: &ValueColumn, runs: &[Run], differs: &mut impl FnMut(usize)) {
    let default = default_column(field);
    // Nothing is wanted there, and the destination holds what it sets itself.
    let is_default = |row: usize, other: usize| {
        let set = default.as_ref();
        set.is_some_and(|default| matches!(ours.tag(row), Tag::Null | Tag::Missing) && theirs.same(other, default, 0))
    };
    for run in runs.iter().filter(|run| !ours.identical(run.row, theirs, run.other, run.rows)) {
        let rows = (0..run.rows).map(|at| (run.row + at, run.other + at));
        let different = rows.filter(|(row, other)| !ours.same(*row, theirs, *other) && !is_default(*row, *other));
        different.for_each(|(row, _)| differs(row));
    }
}

/// Finds the rows in which a reference differs. `partner` are the destination rows of the source rows, by kind.
fn peers(ours: &PeerColumn, theirs: &PeerColumn, kind: usize, partner: &[Vec<u32>], differs: &mut impl FnMut(usize)) {
    let own = partner.get(kind).map_or(&[][..], Vec::as_slice);
    let in_both = own.iter().enumerate().filter(|(_, other)| **other != NOWHERE).map(|(row, other)| (row, *other as usize));
    if let [peer] = ours.kinds() {
        let pairs = partner.get(*peer).map_or(&[][..], Vec::as_slice);
        in_both.filter(|(row, other)| !same_peers(ours.get(*row), theirs.get(*other), pairs)).for_each(|(row, _)| differs(row));
    } else {
        in_both.filter(|(row, other)| !same_peers_of_kinds(ours, *row, theirs, *other, partner)).for_each(|(row, _)| differs(row));
    }
}

/// Returns a field's default as a column of one row, of the field's type.
#[must_use]
pub fn default_column(field: &FieldModel) -> Option<ValueColumn> {
    let mut column = ValueColumn::default();
    column.push_json(field.default.as_ref()?);
    Some(column.coerced(field.field_type))
}

/// Rows that follow one another on both sides.
struct Run {
    row: usize,
    other: usize,
    rows: usize,
}

/// Short enough that one difference does not cost many comparisons.
const RUN_MAX: usize = 128;

fn runs(partner: &[u32]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (row, other) in partner.iter().enumerate().filter(|(_, other)| **other != NOWHERE) {
        let other = *other as usize;
        match runs.last_mut() {
            Some(run) if run.rows < RUN_MAX && run.row + run.rows == row && run.other + run.rows == other => run.rows += 1,
            _ => runs.push(Run { row, other, rows: 1 }),
        }
    }
    runs
}

/// Returns whether two references hold the same peers. Sets are sorted by row, and partners rise with the rows, so they compare item by item.
fn same_peers(ours: (RefValue, &[u32]), theirs: (RefValue, &[u32]), partner: &[u32]) -> bool {
    if ours.0 == RefValue::Unresolved || theirs.0 == RefValue::Unresolved {
        return true;
    }
    ours.1.len() == theirs.1.len()
        && ours.1.iter().zip(theirs.1).all(|(ours, theirs)| *theirs != NOWHERE && partner.get(*ours as usize) == Some(theirs))
}

/// Compares peers that may be of several kinds. Sets are sorted by kind first, the kinds in one order on both sides.
fn same_peers_of_kinds(ours: &PeerColumn, row: usize, theirs: &PeerColumn, other: usize, partner: &[Vec<u32>]) -> bool {
    let ((held, ours), (other_held, theirs)) = (ours.peers(row), theirs.peers(other));
    if held == RefValue::Unresolved || other_held == RefValue::Unresolved {
        return true;
    }
    let there = |peer: Peer| partner.get(peer.kind).and_then(|rows| rows.get(peer.row as usize));
    ours.len() == theirs.len()
        && ours.zip(theirs).all(|(ours, theirs)| theirs.row != NOWHERE && ours.kind == theirs.kind && there(ours) == Some(&theirs.row))
}
