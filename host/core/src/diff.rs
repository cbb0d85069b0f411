//! Compares two snapshots of one model.
//!
//! Rows are sorted by key on both sides, so one merge walk a kind finds what is only here, only there, or in both. Of what is in both, fields are
//! compared column by column; references by the row numbers that the walk has put side by side. Linear, and it cannot fail.

use crate::model::{FieldModel, Model, Ownership};
use crate::ownership::{self, Both, NOTHING, Recorded};
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
    diff_with(model, source, destination, &NOTHING)
}

/// Compares two snapshots of `model`. `recorded` knows which members of merged sets the sync has added.
#[must_use]
pub fn diff_with(model: &Model, source: &Snapshot, destination: &Snapshot, recorded: &Recorded) -> Diff {
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
            if !field.ownership.is_compared() {
                continue;
            }
            let (Some(ours), Some(theirs)) = (a.fields.get(at), b.fields.get(at)) else { continue };
            let mut differs = |row: usize| changed.push((row as u32, at as u16));
            match (ours, theirs) {
                (ours, theirs) if field.ownership == Ownership::Merge => {
                    for (row, other) in in_both(&partner, kind) {
                        let at = Both { kind, field: at, source: row as u32, destination: other as u32 };
                        if merge_differs(recorded, field, at, (ours, theirs), &partner) {
                            differs(row);
                        }
                    }
                }
                (FieldColumn::Values(ours), FieldColumn::Values(theirs)) => values(field, ours, theirs, &runs, &mut differs),
                (FieldColumn::Peers(ours), FieldColumn::Peers(theirs)) if field.ownership == Ownership::Usual && theirs.has_outside() => {
                    // Peers outside of the sync stay, so they are no difference.
                    let same = |row, other| same_peers_of_kinds((ours, row), (theirs, other), theirs.outside(other).len(), &partner);
                    in_both(&partner, kind).filter(|(row, other)| !same(*row, *other)).for_each(|(row, _)| differs(row));
                }
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

/// Returns the rows of a kind that both sides have, with their partners.
fn in_both(partner: &[Vec<u32>], kind: usize) -> impl Iterator<Item = (usize, usize)> {
    let own = partner.get(kind).map_or(&[][..], Vec::as_slice);
    own.iter().enumerate().filter(|(_, other)| **other != NOWHERE).map(|(row, other)| (row, *other as usize))
}

/// Returns whether a field differs of which the sync owns its own members only.
fn merge_differs(recorded: &Recorded, field: &FieldModel, at: Both, columns: (&FieldColumn, &FieldColumn), partner: &[Vec<u32>]) -> bool {
    let (row, other) = (at.source as usize, at.destination as usize);
    match columns {
        (FieldColumn::Peers(ours), FieldColumn::Peers(theirs)) => {
            let is_known = ours.get(row).0 != RefValue::Unresolved && theirs.get(other).0 != RefValue::Unresolved;
            is_known && !ownership::merged(recorded, at, ours, theirs, partner).is_done()
        }
        (FieldColumn::Values(ours), FieldColumn::Values(theirs)) if ownership::are_lists(ours, row, theirs, other) => {
            ownership::merged_list(recorded, at, ours, theirs).is_some()
        }
        (FieldColumn::Values(ours), FieldColumn::Values(theirs)) => {
            let mut differs = false;
            values(field, ours, theirs, &[Run { row, other, rows: 1 }], &mut |_| differs = true);
            differs
        }
        _ => true,
    }
}

/// Finds the rows in which a reference differs. `partner` are the destination rows of the source rows, by kind.
fn peers(ours: &PeerColumn, theirs: &PeerColumn, kind: usize, partner: &[Vec<u32>], differs: &mut impl FnMut(usize)) {
    let in_both = in_both(partner, kind);
    if let [peer] = ours.kinds() {
        let pairs = partner.get(*peer).map_or(&[][..], Vec::as_slice);
        in_both.filter(|(row, other)| !same_peers(ours.get(*row), theirs.get(*other), pairs)).for_each(|(row, _)| differs(row));
    } else {
        in_both.filter(|(row, other)| !same_peers_of_kinds((ours, *row), (theirs, *other), 0, partner)).for_each(|(row, _)| differs(row));
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

/// Compares peers that may be of several kinds. Sets are sorted by kind first, the kinds in one order on both sides. `without`: the number of the
/// destination's last peers that do not count.
fn same_peers_of_kinds(ours: (&PeerColumn, usize), theirs: (&PeerColumn, usize), without: usize, partner: &[Vec<u32>]) -> bool {
    let ((held, ours), (other_held, theirs)) = (ours.0.peers(ours.1), theirs.0.peers(theirs.1));
    let count = theirs.len().saturating_sub(without);
    if held == RefValue::Unresolved || other_held == RefValue::Unresolved {
        return true;
    }
    let there = |peer: Peer| partner.get(peer.kind).and_then(|rows| rows.get(peer.row as usize));
    ours.len() == count
        && ours.zip(theirs).all(|(ours, theirs)| theirs.row != NOWHERE && ours.kind == theirs.kind && there(ours) == Some(&theirs.row))
}
