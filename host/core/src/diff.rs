//! Compares two snapshots of one model.
//!
//! Rows are sorted by key on both sides, so one merge walk a kind finds what is only here, only there, or in both. Of what is in both, fields are
//! compared column by column; references by the row numbers that the walk has put side by side. Linear, and it cannot fail.

use crate::model::{FieldModel, Model};
use crate::snapshot::{FieldColumn, Held, KindSnapshot, NOWHERE, Peer, PeerColumn, Snapshot};
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
    /// Whether there is no difference.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.iter().all(|kind| kind.only_source.is_empty() && kind.only_destination.is_empty() && kind.updates.is_empty())
    }
}

/// Compares. Both snapshots are of `model`.
#[must_use]
pub fn diff(model: &Model, source: &Snapshot, destination: &Snapshot) -> Diff {
    let empty = KindSnapshot::default();
    let mut diff = Diff::default();
    let mut partner: Vec<Vec<u32>> = Vec::with_capacity(model.kinds.len());
    for kind in 0..model.kinds.len() {
        let (a, b) = (source.kinds.get(kind).unwrap_or(&empty), destination.kinds.get(kind).unwrap_or(&empty));
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
            let (ours, theirs) = match (ours, theirs) {
                (FieldColumn::Values(ours), FieldColumn::Values(theirs)) => {
                    let default = default_column(field);
                    // Nothing is wanted there, and the destination holds what it puts there by itself.
                    let is_default = |row: usize, other: usize| {
                        default
                            .as_ref()
                            .is_some_and(|default| matches!(ours.tag(row), Tag::Null | Tag::Missing) && theirs.same(other, default, 0))
                    };
                    for run in runs.iter().filter(|run| !ours.identical(run.row, theirs, run.other, run.rows)) {
                        let differ = (0..run.rows).filter(|at| {
                            let (row, other) = (run.row + at, run.other + at);
                            !ours.same(row, theirs, other) && !is_default(row, other)
                        });
                        changed.extend(differ.map(|row| ((run.row + row) as u32, at as u16)));
                    }
                    continue;
                }
                (FieldColumn::Peers(ours), FieldColumn::Peers(theirs)) => (ours, theirs),
                // Not of one model.
                _ => {
                    changed.extend(runs.iter().flat_map(|run| run.row..run.row + run.rows).map(|row| (row as u32, at as u16)));
                    continue;
                }
            };
            let in_both = partner[kind].iter().enumerate().filter(|(_, other)| **other != NOWHERE);
            if let [peer] = ours.kinds() {
                let pairs = partner.get(*peer).map_or(&[][..], Vec::as_slice);
                let differ = in_both.filter(|(row, other)| !same_peers(ours.get(*row), theirs.get(**other as usize), pairs));
                changed.extend(differ.map(|(row, _)| (row as u32, at as u16)));
            } else {
                let differ = in_both.filter(|(row, other)| !same_peers_of_kinds(ours, *row, theirs, **other as usize, &partner));
                changed.extend(differ.map(|(row, _)| (row as u32, at as u16)));
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

/// Rows that follow one another on both sides.
/// A field's default as a column of one row, of the field's type.
#[must_use]
pub fn default_column(field: &FieldModel) -> Option<ValueColumn> {
    let mut column = ValueColumn::default();
    column.push_json(field.default.as_ref()?);
    Some(column.coerced(field.field_type))
}

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

/// Whether two references hold the same peers. Sets are sorted by row, and partners rise with the rows, so they compare item by item.
fn same_peers(ours: (Held, &[u32]), theirs: (Held, &[u32]), partner: &[u32]) -> bool {
    if ours.0 == Held::Unresolved || theirs.0 == Held::Unresolved {
        return true;
    }
    ours.1.len() == theirs.1.len()
        && ours.1.iter().zip(theirs.1).all(|(ours, theirs)| *theirs != NOWHERE && partner.get(*ours as usize) == Some(theirs))
}

/// The same where peers are of several kinds. Sets are sorted by kind first, the kinds in one order on both sides.
fn same_peers_of_kinds(ours: &PeerColumn, row: usize, theirs: &PeerColumn, other: usize, partner: &[Vec<u32>]) -> bool {
    let ((held, ours), (other_held, theirs)) = (ours.peers(row), theirs.peers(other));
    if held == Held::Unresolved || other_held == Held::Unresolved {
        return true;
    }
    let there = |peer: Peer| partner.get(peer.kind).and_then(|rows| rows.get(peer.row as usize));
    ours.len() == theirs.len()
        && ours.zip(theirs).all(|(ours, theirs)| theirs.row != NOWHERE && ours.kind == theirs.kind && there(ours) == Some(&theirs.row))
}
