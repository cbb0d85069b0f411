//! Who made what in the destination, and what a sync may therefore change.
//!
//! Two rules are applied here. Objects that this sync has not made are not deleted ([`Recorded::limit`]); the project may say otherwise. And of a set that
//! the sync does not own as a whole, members stay (`kept`): the source does not name them, so it cannot mean their removal.
//!
//! The records themselves come from the destination or from the cache; this module only uses them.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::diff::Diff;
use crate::model::{Model, Ownership};
use crate::plan::{KindSummary, Policy};
use crate::snapshot::{Completeness, NOWHERE, OutsidePeer, Peer, PeerColumn, RefValue, Snapshot};
use crate::value::{Tag, ValueColumn, canonical_json};

/// Which objects a run may change or delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Those that this sync made or adopted.
    #[default]
    Owned,
    /// All.
    All,
}

/// The members of a set that a sync has added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// Of a reference: rows of the destination.
    Peers(Vec<Peer>),
    /// Of a plain list: its items as canonical JSON.
    Items(Vec<String>),
}

/// A sync that has made nothing.
pub(crate) static NOTHING: Recorded = Recorded::new();

/// The objects that a sync is recorded to have made, and the members that it has added to sets.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// By kind, whether each row of the destination was made by this sync. A kind without a list is not known, and has none.
    made: Vec<Vec<bool>>,
    /// By kind, row of the destination, and field.
    members: BTreeMap<(usize, u32, usize), Members>,
}

/// The differences of a kind that are left alone because other users made their objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unowned {
    /// Objects that only the destination has.
    pub deletes: u64,
    /// Objects that differ.
    pub updates: u64,
}

impl Recorded {
    /// Returns the records of a sync that has made nothing.
    #[must_use]
    pub const fn new() -> Recorded {
        Recorded { made: Vec::new(), members: BTreeMap::new() }
    }

    /// Notes which rows of a kind of the destination were made by this sync.
    pub fn set_made(&mut self, kind: usize, rows: Vec<bool>) {
        if self.made.len() <= kind {
            self.made.resize(kind + 1, Vec::new());
        }
        if let Some(place) = self.made.get_mut(kind) {
            *place = rows;
        }
    }

    /// Notes the members that this sync has added to a field of an object of the destination.
    pub fn set_members(&mut self, kind: usize, row: u32, field: usize, members: Members) {
        let sorted = match members {
            Members::Peers(mut peers) => {
                peers.sort_unstable();
                Members::Peers(peers)
            }
            items => items,
        };
        self.members.insert((kind, row, field), sorted);
    }

    /// Returns whether this sync made an object of the destination.
    #[must_use]
    pub fn is_made(&self, kind: usize, row: u32) -> bool {
        self.made.get(kind).and_then(|rows| rows.get(row as usize)).copied().unwrap_or(false)
    }

    /// Takes the differences out that concern objects of other users. Returns how many, by kind.
    ///
    /// Differences that the flags or a partial source leave alone stay in: they are counted there.
    #[must_use]
    pub fn limit(&self, source: &Snapshot, diff: &mut Diff, policy: Policy, deletes: Reach, updates: Reach) -> Vec<Unowned> {
        let mut left = vec![Unowned::default(); diff.kinds.len()];
        for (kind, (found, left)) in diff.kinds.iter_mut().zip(&mut left).enumerate() {
            let is_complete = source.kinds.get(kind).is_some_and(|rows| rows.completeness == Completeness::Complete);
            if deletes == Reach::Owned && policy.delete && is_complete {
                let before = found.only_destination.len();
                found.only_destination.retain(|row| self.is_made(kind, *row));
                left.deletes = (before - found.only_destination.len()) as u64;
            }
            if updates == Reach::Owned && policy.update {
                let before = found.updates.len();
                found.updates.retain(|update| self.is_made(kind, update.destination));
                left.updates = (before - found.updates.len()) as u64;
            }
        }
        left
    }

    fn peers(&self, kind: usize, row: u32, field: usize) -> &[Peer] {
        match self.members.get(&(kind, row, field)) {
            Some(Members::Peers(peers)) => peers,
            _ => &[],
        }
    }

    fn items(&self, kind: usize, row: u32, field: usize) -> &[String] {
        match self.members.get(&(kind, row, field)) {
            Some(Members::Items(items)) => items,
            _ => &[],
        }
    }
}

/// Notes in the counts of a plan what was left alone because other users made it.
pub fn note_unowned(model: &Model, left: &[Unowned], summary: &mut [KindSummary]) {
    for counts in summary {
        let Some(left) = model.kind(&counts.kind).and_then(|(kind, _)| left.get(kind)) else { continue };
        counts.unowned = left.deletes;
        counts.unowned_updates = left.updates;
    }
}

/// A field of an object on both sides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Both {
    pub(crate) kind: usize,
    pub(crate) field: usize,
    pub(crate) source: u32,
    pub(crate) destination: u32,
}

/// The members of a set that stay although the source does not name them.
#[derive(Debug)]
pub(crate) struct Kept<'s> {
    /// Rows of the destination.
    pub(crate) peers: Vec<Peer>,
    pub(crate) outside: Vec<OutsidePeer<'s>>,
}

/// Returns the members of a reference's set that stay; none where the source names all, as nearly always, or owns the set.
pub(crate) fn kept<'s>(
    recorded: &Recorded,
    ownership: Ownership,
    at: Both,
    (ours, theirs): (&PeerColumn, &'s PeerColumn),
    partner: &[Vec<u32>],
) -> Option<Kept<'s>> {
    let is_unresolved = ours.get(at.source as usize).0 == RefValue::Unresolved;
    if !matches!(ownership, Ownership::Usual | Ownership::Merge) || !is_set(at, ours, theirs) || is_unresolved {
        return None;
    }
    let outside: Vec<OutsidePeer<'s>> = theirs.outside(at.destination as usize).collect();
    let peers = if ownership == Ownership::Merge { merged(recorded, at, ours, theirs, partner).others } else { Vec::new() };
    (!peers.is_empty() || !outside.is_empty()).then_some(Kept { peers, outside })
}

/// Returns whether a reference holds a set. The one peer of any other reference is replaced, whoever owns the field.
pub(crate) fn is_set(at: Both, ours: &PeerColumn, theirs: &PeerColumn) -> bool {
    ours.get(at.source as usize).0 == RefValue::Many || theirs.get(at.destination as usize).0 == RefValue::Many
}

/// A merged reference, in rows of the destination.
pub(crate) struct Merged {
    /// Everything that the source names is in the set.
    has_wanted: bool,
    /// Members of the set that the source names.
    named: Vec<Peer>,
    /// Other members, which stay.
    others: Vec<Peer>,
    /// Members that this sync added and the source no longer names.
    removed: usize,
}

impl Merged {
    /// Returns whether nothing is to be written.
    pub(crate) fn is_done(&self) -> bool {
        self.has_wanted && self.removed == 0
    }

    /// Returns the members that are in the set now and stay.
    pub(crate) fn stays(&self) -> impl Iterator<Item = &Peer> {
        self.named.iter().chain(&self.others)
    }
}

/// Compares a merged reference.
pub(crate) fn merged(recorded: &Recorded, at: Both, ours: &PeerColumn, theirs: &PeerColumn, partner: &[Vec<u32>]) -> Merged {
    let there = |peer: Peer| partner.get(peer.kind)?.get(peer.row as usize).copied().filter(|row| *row != NOWHERE);
    let (_, mine) = ours.peers(at.source as usize);
    let all = mine.len();
    let mut wanted: Vec<Peer> = mine.filter_map(|peer| Some(Peer { row: there(peer)?, ..peer })).collect();
    wanted.sort_unstable();
    let added = recorded.peers(at.kind, at.destination, at.field);
    let mut merged = Merged { has_wanted: false, named: Vec::new(), others: Vec::new(), removed: 0 };
    for peer in theirs.peers(at.destination as usize).1.filter(|peer| peer.row != NOWHERE) {
        if wanted.binary_search(&peer).is_ok() {
            merged.named.push(peer);
        } else if added.binary_search(&peer).is_ok() {
            merged.removed += 1;
        } else {
            merged.others.push(peer);
        }
    }
    merged.has_wanted = wanted.len() == all && merged.named.len() == wanted.len();
    merged
}

/// Returns a merged plain list, as it is to be written; none where the destination's fits. Both values are [lists](are_lists).
pub(crate) fn merged_list(recorded: &Recorded, at: Both, ours: &ValueColumn, theirs: &ValueColumn) -> Option<Value> {
    let (mine, others) = (list(ours, at.source as usize), list(theirs, at.destination as usize));
    let text = |value: &Value| {
        let mut text = String::new();
        canonical_json(value, &mut text);
        text
    };
    let wanted: HashSet<String> = mine.iter().map(text).collect();
    let added: HashSet<&str> = recorded.items(at.kind, at.destination, at.field).iter().map(String::as_str).collect();
    let before = others.len();
    let stays = |item: &Value| {
        let text = text(item);
        wanted.contains(&text) || !added.contains(text.as_str())
    };
    let mut merged: Vec<Value> = others.into_iter().filter(stays).collect();
    let kept = merged.len();
    let mut there: HashSet<String> = merged.iter().map(text).collect();
    merged.extend(mine.into_iter().filter(|item| there.insert(text(item))));
    (kept < before || merged.len() > kept).then_some(Value::Array(merged))
}

/// Returns whether both values can be merged: each is a list, or nothing.
pub(crate) fn are_lists(ours: &ValueColumn, row: usize, theirs: &ValueColumn, other: usize) -> bool {
    let is_list = |column: &ValueColumn, row: usize| match column.tag(row) {
        Tag::Null | Tag::Missing => true,
        Tag::Json => column.text(row).starts_with('['),
        _ => false,
    };
    is_list(ours, row) && is_list(theirs, other)
}

fn list(column: &ValueColumn, row: usize) -> Vec<Value> {
    match column.tag(row) {
        Tag::Json => serde_json::from_str(column.text(row)).unwrap_or_default(),
        _ => Vec::new(),
    }
}
