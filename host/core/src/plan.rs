//! From differences to rows in the order in which they can be written.
//!
//! Creates and updates go tier by tier upward (peers before those that refer to them), deletes downward (children before parents). Inside
//! a kind, objects that refer to new objects of the same kind follow them. Fields that close a cycle are written in a second
//! pass. A partial source kind never deletes. An object is not deleted if one that stays refers to it. Where nothing is created,
//! references to what is missing are not written.

mod along;

use std::collections::{BTreeMap, HashMap, HashSet};

pub use self::along::{Because, Dependents, LeftOut, PlannedDelete};
use crate::along::Along;
use serde::{Deserialize, Serialize};

use crate::diff::{Diff, KindDiff, Update};
use crate::key;
use crate::model::{KindModel, Model, Ownership};
use crate::order::{self, Ordered, by_unique};
use crate::ownership::{self, Both, Kept, NOTHING, Recorded};
use crate::plan_row::{Action, PlanRow};
use crate::snapshot::{Completeness, FieldColumn, KindSnapshot, NOWHERE, OutsidePeer, Peer, PeerColumn, RefValue, Snapshot};
use crate::value::json_string;

/// The operations that the project's flags allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Objects that only the source has are created.
    pub create: bool,
    /// Objects that differ are updated.
    pub update: bool,
    /// Objects that only the destination has are deleted.
    pub delete: bool,
}

/// The counts of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KindSummary {
    /// The kind.
    pub kind: String,
    /// Its write order.
    pub tier: u32,
    /// Objects of the source, after filters.
    pub source_rows: u64,
    /// Objects of the destination.
    pub destination_rows: u64,
    /// Objects to create.
    pub create: u64,
    /// Objects to update.
    pub update: u64,
    /// Objects to delete.
    pub delete: u64,
    /// Differences that the flags, or a partial source, leave alone, and deletes of what is still referred to.
    pub skipped: u64,
    /// The skipped differences that need a unique value which another object keeps.
    #[serde(default)]
    pub blocked: u64,
    /// The skipped differences of which it is known that to write them has no effect.
    #[serde(default)]
    pub no_effect: u64,
    /// Objects were left out of the source: the kind is partial.
    pub partial: bool,
    /// Why it is partial, where the source does not say which objects are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial_reason: Option<String>,
    /// Objects without a row in the plan that its deletes take along, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub along: BTreeMap<String, u64>,
    /// Objects that only the destination has and that stay, as this sync has not made them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unowned: u64,
    /// Objects that differ and are left alone, as this sync has not made them (`updates: owned`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unowned_updates: u64,
}

impl KindSummary {
    /// Returns the objects that the plan deletes, with those that go along.
    #[must_use]
    pub fn deletes_in_all(&self) -> u64 {
        self.along.values().fold(self.delete, |sum, count| sum.saturating_add(*count))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A row of a plan: which object, which fields.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) kind: usize,
    pub(crate) action: Action,
    /// The object's row in the source; [`NOWHERE`] if the source does not have it.
    pub(crate) source: u32,
    /// The object's row in the destination; [`NOWHERE`] if the destination does not have it.
    pub(crate) destination: u32,
    pub(crate) fields: Vec<u16>,
    pub(crate) pass: u32,
    pub(crate) wanted: Wanted,
    /// Why it is not applied.
    pub(crate) skip: Option<Box<str>>,
}

/// The values that an entry writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The source's.
    Source,
    /// None, until another object has taken the value.
    Cleared,
    /// A text that no other object has, until another object has taken the value.
    Parked(u32),
}

/// An ordered list of changes, with what is needed to print each.
#[derive(Debug)]
pub struct Plan<'s> {
    model: &'s Model,
    source: &'s Snapshot,
    destination: &'s Snapshot,
    entries: Vec<Entry>,
    /// The counts, in write order.
    pub summary: Vec<KindSummary>,
    partner: Vec<Vec<u32>>,
    proofs: &'s [Proof],
    /// The objects that the deletes take along.
    along: HashMap<Peer, Vec<Along>>,
    recorded: &'s Recorded,
    /// A part of the texts that unique values are parked on.
    run: &'s str,
    /// Objects may be updated.
    updates: bool,
}

/// Why the source is known not to have an object, in words, for the objects of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// For each object that is not among the source's rows.
    pub all: String,
    /// For those, by natural key, of which more is known.
    pub by_key: HashMap<String, String>,
}

/// Puts the differences in order.
#[must_use]
pub fn plan<'s>(model: &'s Model, source: &'s Snapshot, destination: &'s Snapshot, diff: Diff, policy: Policy) -> Plan<'s> {
    plan_with(model, source, destination, diff, policy, &NOTHING)
}

/// Puts the differences in order. `recorded` is what they were found with.
#[must_use]
pub fn plan_with<'s>(
    model: &'s Model,
    source: &'s Snapshot,
    destination: &'s Snapshot,
    diff: Diff,
    policy: Policy,
    recorded: &'s Recorded,
) -> Plan<'s> {
    let mut order: Vec<usize> = (0..model.kinds.len()).filter(|kind| !model.kinds[*kind].lookup).collect();
    order.sort_by_key(|kind| model.kinds[*kind].tier);
    let partner = partners(model, source, destination);
    let mut written = Written { model, policy, source, partner: &partner, first: Vec::new(), second: Vec::new() };
    let mut deletes: Vec<(usize, Vec<u32>)> = Vec::new();
    let mut summary = Vec::new();
    let mut diffs = diff.kinds;
    diffs.resize_with(model.kinds.len(), KindDiff::default);
    for kind in order {
        let spec = &model.kinds[kind];
        let found = std::mem::take(&mut diffs[kind]);
        let completeness = source.kinds[kind].completeness;
        let mut counts = KindSummary {
            kind: spec.name.clone(),
            tier: spec.tier,
            source_rows: source.kinds[kind].rows() as u64,
            destination_rows: destination.kinds[kind].rows() as u64,
            partial: completeness == Completeness::Partial,
            ..KindSummary::default()
        };
        written.creates(kind, &found.only_source, &mut counts);
        written.updates(kind, found.updates, &mut counts);
        if policy.delete && completeness == Completeness::Complete {
            deletes.push((kind, found.only_destination));
        } else {
            counts.skipped += found.only_destination.len() as u64;
            deletes.push((kind, Vec::new()));
        }
        summary.push(counts);
    }
    let Written { first, second, .. } = written;
    let sides = Sides { model, source, destination, partner: &partner, recorded };
    let kept = still_needed(&sides, &deletes, first.iter().chain(&second));
    for ((kind, rows), counts) in deletes.iter_mut().zip(&mut summary) {
        let all = rows.len();
        rows.retain(|row| !kept.contains(&(*kind, *row)));
        counts.delete = rows.len() as u64;
        counts.skipped += (all - rows.len()) as u64;
    }
    let sides = order::Sides { model, source, destination, partner: &partner, updates: policy.update };
    let entries = in_order(&sides, [first, second], deletes, &mut summary);
    let updates = policy.update;
    Plan { model, source, destination, entries, summary, partner, proofs: &[], along: HashMap::new(), recorded, run: "", updates }
}

/// Puts the rows of both passes and the objects to delete in the order in which they are written. `deletes`: rows by kind, in write order.
fn in_order(sides: &order::Sides<'_>, passes: [Vec<Entry>; 2], deletes: Vec<(usize, Vec<u32>)>, summary: &mut [KindSummary]) -> Vec<Entry> {
    let Ordered { first, second, early, blocked } = by_unique(sides, passes, &deletes);
    blocked.iter().for_each(|blocked| blocked.count(summary, sides.model));
    let (mut before, mut downward): (Vec<Vec<Entry>>, Vec<Vec<Entry>>) = (Vec::new(), Vec::new());
    for (kind, rows) in deletes {
        let rows = peers_last(sides.model, kind, &sides.destination.kinds[kind], &rows);
        let fields: Vec<u16> = (0..sides.model.kinds[kind].fields.len() as u16).collect();
        let entry = |row| Entry { destination: row, ..Entry::new(kind, Action::Delete, fields.clone()) };
        let (frees, others): (Vec<u32>, Vec<u32>) = rows.into_iter().partition(|row| early.contains(&(kind, *row)));
        before.push(frees.into_iter().map(entry).collect());
        downward.push(others.into_iter().map(entry).collect());
    }
    let before = before.into_iter().rev().flatten();
    before.chain(first).chain(second).chain(downward.into_iter().rev().flatten()).collect()
}

impl Entry {
    /// Returns an entry of the first pass, of no object yet.
    pub(crate) fn new(kind: usize, action: Action, fields: Vec<u16>) -> Entry {
        Entry { kind, action, source: NOWHERE, destination: NOWHERE, fields, pass: 0, wanted: Wanted::Source, skip: None }
    }
}

/// Both sides of a comparison.
struct Sides<'s> {
    model: &'s Model,
    source: &'s Snapshot,
    destination: &'s Snapshot,
    partner: &'s [Vec<u32>],
    recorded: &'s Recorded,
}

impl<'s> Sides<'s> {
    /// Returns a reference field on both sides.
    fn peers(&self, at: Both) -> Option<(Ownership, &'s PeerColumn, &'s PeerColumn)> {
        let ownership = self.model.kinds.get(at.kind)?.fields.get(at.field)?.ownership;
        match (self.source.kinds.get(at.kind)?.fields.get(at.field)?, self.destination.kinds.get(at.kind)?.fields.get(at.field)?) {
            (FieldColumn::Peers(ours), FieldColumn::Peers(theirs)) => Some((ownership, ours, theirs)),
            _ => None,
        }
    }

    /// Returns the members of a set that stay although the source does not name them, if there are any.
    fn kept(&self, at: Both) -> Option<Kept<'s>> {
        let (ownership, ours, theirs) = self.peers(at).filter(|_| at.destination != NOWHERE)?;
        ownership::kept(self.recorded, ownership, at, (ours, theirs), self.partner)
    }

    /// Returns the peers that an object keeps in a field that is updated.
    fn staying(&self, at: Both) -> Vec<Peer> {
        match self.peers(at) {
            Some((Ownership::Merge, ours, theirs)) if ownership::is_set(at, ours, theirs) => {
                ownership::merged(self.recorded, at, ours, theirs, self.partner).stays().copied().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The creates and updates of a plan.
struct Written<'p> {
    model: &'p Model,
    policy: Policy,
    source: &'p Snapshot,
    partner: &'p [Vec<u32>],
    first: Vec<Entry>,
    /// The second pass.
    second: Vec<Entry>,
}

impl Written<'_> {
    /// Adds the objects of a kind that only the source has.
    fn creates(&mut self, kind: usize, rows: &[u32], counts: &mut KindSummary) {
        if !self.policy.create {
            counts.skipped += rows.len() as u64;
            return;
        }
        counts.create = rows.len() as u64;
        let (spec, source) = (&self.model.kinds[kind], &self.source.kinds[kind]);
        let deferred = deferred(spec);
        let (rows, loops) = peers_first(self.model, kind, source, rows);
        for row in rows {
            let mut fields: Vec<u16> = (0..spec.fields.len() as u16).filter(|at| is_given(spec, *at) && is_set(source, *at, row)).collect();
            let mut later: Vec<u16> = fields.iter().copied().filter(|at| deferred.contains(at)).collect();
            if let Some(own) = loops.get(&row) {
                later.extend(own.iter().filter(|at| fields.contains(at)));
                later.sort_unstable();
                later.dedup();
            }
            if !later.is_empty() {
                fields.retain(|at| !later.contains(at));
                self.second.push(Entry { source: row, pass: 1, ..Entry::new(kind, Action::Update, later) });
            }
            self.first.push(Entry { source: row, ..Entry::new(kind, Action::Create, fields) });
        }
    }

    /// Adds the objects of a kind that differ.
    fn updates(&mut self, kind: usize, updates: Vec<Update>, counts: &mut KindSummary) {
        if !self.policy.update {
            counts.skipped += updates.len() as u64;
            return;
        }
        let deferred = deferred(&self.model.kinds[kind]);
        for mut update in updates {
            if !self.policy.create {
                // A peer that only the source has is not created: there is nothing to refer to.
                update.fields.retain(|at| !refers_to_new(&self.source.kinds[kind], *at, update.source, self.partner));
                if update.fields.is_empty() {
                    counts.skipped += 1;
                    continue;
                }
            }
            counts.update += 1;
            let (later, now): (Vec<u16>, Vec<u16>) = update.fields.iter().partition(|at| deferred.contains(at));
            for (fields, pass, list) in [(now, 0, &mut self.first), (later, 1, &mut self.second)] {
                if !fields.is_empty() {
                    let (source, destination) = (update.source, update.destination);
                    list.push(Entry { source, destination, pass, ..Entry::new(kind, Action::Update, fields) });
                }
            }
        }
    }
}

/// Returns the positions of the fields that are written in a second pass.
fn deferred(spec: &KindModel) -> Vec<u16> {
    let fields = spec.fields.iter().enumerate().filter(|(_, field)| spec.deferred.contains(&field.name));
    fields.map(|(at, _)| at as u16).collect()
}

/// Returns the objects to delete to which a remaining object still refers. Without them, the reference would lead nowhere. If the schema
/// cascades, the remaining object would be deleted as well.
fn still_needed<'e>(sides: &Sides<'_>, deletes: &[(usize, Vec<u32>)], written: impl Iterator<Item = &'e Entry>) -> HashSet<(usize, u32)> {
    let (model, destination) = (sides.model, sides.destination);
    let goes: HashSet<(usize, u32)> = deletes.iter().flat_map(|(kind, rows)| rows.iter().map(|row| (*kind, *row))).collect();
    let mut needed = HashSet::new();
    if goes.is_empty() {
        return needed;
    }
    let updated = written.filter(|entry| entry.destination != NOWHERE);
    let updated: HashMap<(usize, u32, u16), u32> =
        updated.flat_map(|entry| entry.fields.iter().map(|field| ((entry.kind, entry.destination, *field), entry.source))).collect();
    // What is needed stays, and needs what it refers to itself.
    let mut found: Vec<(usize, u32)> = Vec::new();
    let of = |kind: usize, row: u32, found: &mut Vec<(usize, u32)>| {
        for (at, field) in destination.kinds[kind].fields.iter().enumerate() {
            let FieldColumn::Peers(peers) = field else { continue };
            let goes = |peer: &(usize, u32)| goes.contains(peer);
            match updated.get(&(kind, row, at as u16)) {
                None => found.extend(peers.peers(row as usize).1.map(|peer| (peer.kind, peer.row)).filter(goes)),
                Some(source) => {
                    let staying = sides.staying(Both { kind, field: at, source: *source, destination: row });
                    found.extend(staying.iter().map(|peer| (peer.kind, peer.row)).filter(goes));
                }
            }
        }
    };
    for kind in 0..model.kinds.len() {
        let stays = (0..destination.kinds[kind].rows() as u32).filter(|row| !goes.contains(&(kind, *row)));
        stays.for_each(|row| of(kind, row, &mut found));
    }
    while let Some(peer) = found.pop() {
        if needed.insert(peer) {
            of(peer.0, peer.1, &mut found);
        }
    }
    needed
}

/// Returns whether a new object is given a value of the field.
fn is_given(spec: &KindModel, field: u16) -> bool {
    spec.fields.get(field as usize).is_some_and(|field| field.ownership != Ownership::Destination)
}

fn is_set(kind: &KindSnapshot, field: u16, row: u32) -> bool {
    match kind.fields.get(field as usize) {
        Some(FieldColumn::Values(values)) => values.tag(row as usize) != crate::value::Tag::Null,
        Some(FieldColumn::Peers(peers)) => !matches!(peers.get(row as usize).0, RefValue::Null | RefValue::Unresolved),
        None => false,
    }
}

/// Returns whether a reference holds a peer that the destination does not have.
fn refers_to_new(kind: &KindSnapshot, field: u16, row: u32, partner: &[Vec<u32>]) -> bool {
    match kind.fields.get(field as usize) {
        Some(FieldColumn::Peers(peers)) => {
            let new = |peer: Peer| partner.get(peer.kind).and_then(|rows| rows.get(peer.row as usize)).is_none_or(|row| *row == NOWHERE);
            peers.peers(row as usize).1.any(new)
        }
        _ => false,
    }
}

/// Returns the destination row of each source row.
fn partners(model: &Model, source: &Snapshot, destination: &Snapshot) -> Vec<Vec<u32>> {
    (0..model.kinds.len())
        .map(|kind| {
            let (a, b) = (&source.kinds[kind], &destination.kinds[kind]);
            let mut other = 0;
            (0..a.rows())
                .map(|row| {
                    while other < b.rows() && b.keys.get(other) < a.keys.get(row) {
                        other += 1;
                    }
                    if other < b.rows() && b.keys.get(other) == a.keys.get(row) { other as u32 } else { NOWHERE }
                })
                .collect()
        })
        .collect()
}

/// Orders rows so that those of the same kind that a row refers to come before it; without such references the order stays.
///
/// Also returns the fields that close a loop, by row: they have to be written later.
fn peers_first(model: &Model, kind: usize, snapshot: &KindSnapshot, rows: &[u32]) -> (Vec<u32>, BTreeMap<u32, Vec<u16>>) {
    let own: Vec<(u16, &crate::snapshot::PeerColumn)> = model.kinds[kind]
        .fields
        .iter()
        .enumerate()
        .filter(|(_, field)| field.peers().any(|peer| peer == model.kinds[kind].name))
        .filter_map(|(at, _)| match snapshot.fields.get(at) {
            Some(FieldColumn::Peers(peers)) => Some((at as u16, peers)),
            _ => None,
        })
        .collect();
    let mut loops: BTreeMap<u32, Vec<u16>> = BTreeMap::new();
    if own.is_empty() {
        return (rows.to_vec(), loops);
    }
    // 0 not among the rows, 1 waiting, 2 on the way, 3 placed
    let mut state = vec![0u8; snapshot.rows()];
    rows.iter().for_each(|row| state[*row as usize] = 1);
    let mut ordered = Vec::with_capacity(rows.len());
    let mut stack: Vec<u32> = Vec::new();
    for start in rows {
        if state[*start as usize] == 1 {
            stack.push(*start);
        }
        while let Some(&row) = stack.last() {
            if state[row as usize] == 1 {
                state[row as usize] = 2;
                for (at, peers) in &own {
                    for peer in peers.peers(row as usize).1.filter(|peer| peer.kind == kind) {
                        match state.get(peer.row as usize) {
                            Some(1) => stack.push(peer.row),
                            Some(2) => loops.entry(row).or_default().push(*at),
                            _ => {}
                        }
                    }
                }
                continue;
            }
            stack.pop();
            if state[row as usize] == 2 {
                state[row as usize] = 3;
                ordered.push(row);
            }
        }
    }
    (ordered, loops)
}

/// Orders rows such that those that refer to others of the kind come before them: level by level, so that what waits for others waits once a
/// level and not once a row.
fn peers_last(model: &Model, kind: usize, snapshot: &KindSnapshot, rows: &[u32]) -> Vec<u32> {
    let (mut ordered, _) = peers_first(model, kind, snapshot, rows);
    let own = |peer: &Peer| peer.kind == kind;
    let mut level: HashMap<u32, u32> = HashMap::new();
    for row in &ordered {
        let peers = snapshot.fields.iter().filter_map(|field| match field {
            FieldColumn::Peers(peers) => Some(peers.peers(*row as usize).1),
            FieldColumn::Values(_) => None,
        });
        // What has no level yet stays, or closes a loop.
        let below = peers.flatten().filter(own).filter_map(|peer| level.get(&peer.row)).max();
        let own = below.map_or(0, |below| below + 1);
        level.insert(*row, own);
    }
    ordered.sort_by_key(|row| std::cmp::Reverse(level.get(row).copied().unwrap_or(0)));
    ordered
}

impl<'s> Plan<'s> {
    /// Returns the same with the evidence of its deletes; one [`Proof`] a kind, in the model's order.
    #[must_use]
    pub fn with_proofs(self, proofs: &'s [Proof]) -> Plan<'s> {
        Plan { proofs, ..self }
    }

    /// Returns the same with the reasons why kinds are partial, by name, where the source gives them.
    #[must_use]
    pub fn with_reasons(mut self, reasons: &BTreeMap<String, String>) -> Plan<'s> {
        for kind in self.summary.iter_mut().filter(|kind| kind.partial) {
            kind.partial_reason = reasons.get(&kind.kind).cloned();
        }
        self
    }

    /// Returns the same with the run's id, which stands in the texts that unique values are parked on.
    #[must_use]
    pub fn of_run(self, run: &'s str) -> Plan<'s> {
        Plan { run, ..self }
    }

    /// Returns the number of rows, second passes included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the rows, in the order in which they are to be written.
    pub fn rows(&self) -> impl Iterator<Item = PlanRow> + '_ {
        self.entries.iter().map(|entry| self.row(entry))
    }

    fn row(&self, entry: &Entry) -> PlanRow {
        let spec = &self.model.kinds[entry.kind];
        let (a, b) = (&self.source.kinds[entry.kind], &self.destination.kinds[entry.kind]);
        let key = match entry.source {
            NOWHERE => b.keys.get(entry.destination as usize),
            source => a.keys.get(source as usize),
        };
        let old = match entry.action {
            Action::Create => None,
            _ if entry.destination == NOWHERE => None,
            _ => Some(values_json(
                self.model,
                self.destination,
                entry.kind,
                entry.destination as usize,
                entry.fields.iter().map(|at| *at as usize),
            )),
        };
        let new = (entry.action != Action::Delete).then(|| match entry.wanted {
            Wanted::Source => self.new_values(entry),
            Wanted::Cleared | Wanted::Parked(_) => parked_json(self, entry),
        });
        let names: Vec<&str> =
            entry.fields.iter().filter_map(|at| spec.fields.get(*at as usize)).map(|field| field.name.as_str()).collect();
        PlanRow {
            action: entry.action,
            resource: spec.name.clone(),
            source_id: key::unique_id(key),
            dest_id: (entry.destination != NOWHERE).then(|| b.id(entry.destination as usize).map(str::to_owned)).flatten(),
            attribute: (entry.action == Action::Update).then(|| names.join(",")),
            old_value: old,
            new_value: new,
            owner: None,
            skip_reason: entry.skip.as_deref().map(str::to_owned),
            conflict_class: None,
            tier: spec.tier,
            pass: entry.pass,
            key: key::key_json(key),
            peers: match entry.wanted {
                Wanted::Source => (entry.action != Action::Delete).then(|| self.peers(entry)).flatten(),
                Wanted::Cleared | Wanted::Parked(_) => self.no_peers(entry),
            },
            destination_mapping: self.destination_mapping(entry).map(str::to_owned),
            evidence: self.proofs.get(entry.kind).filter(|_| entry.action == Action::Delete).map(|proof| {
                let of_key = proof.by_key.get(key);
                of_key.unwrap_or(&proof.all).clone()
            }),
            along: self.along.get(&Peer { kind: entry.kind, row: entry.destination }).and_then(|along| match entry.action {
                Action::Delete => Along::column(along),
                Action::Create | Action::Update => None,
            }),
        }
    }

    /// Returns the destination's resource that a row is written to: the one that has the object, or for a new object that of its mapping.
    fn destination_mapping(&self, entry: &Entry) -> Option<&str> {
        let found = || self.destination.kinds[entry.kind].resources.get(entry.destination as usize);
        let wanted = || self.source.kinds[entry.kind].resources.get(entry.source as usize);
        match entry.destination {
            NOWHERE => wanted(),
            _ => found().or_else(wanted),
        }
    }

    fn sides(&self) -> Sides<'_> {
        Sides { model: self.model, source: self.source, destination: self.destination, partner: &self.partner, recorded: self.recorded }
    }

    /// Returns the wanted values: the source's, and with them the members of sets that stay.
    fn new_values(&self, entry: &Entry) -> String {
        let mut out = String::from("{");
        for at in &entry.fields {
            let Some(field) = self.model.kinds[entry.kind].fields.get(*at as usize) else { continue };
            if out.len() > 1 {
                out.push(',');
            }
            json_string(&field.name, &mut out);
            out.push(':');
            let both = both(entry, *at);
            match (self.sides().kept(both), self.merged_list(field.ownership, both)) {
                (Some(kept), _) => {
                    write_held(RefValue::Many, self.members(both, &kept), |member, out| self.write_name(both, member, out), &mut out);
                }
                (None, Some(list)) => out.push_str(&list.to_string()),
                (None, None) => write_field(self.model, self.source, (entry.kind, *at as usize), entry.source as usize, &mut out),
            }
        }
        out.push('}');
        out
    }

    /// Returns the members of a set that is written: the source's, and those that stay.
    fn members<'k>(&self, at: Both, kept: &'k Kept<'_>) -> impl Iterator<Item = Staying<'k>> {
        let ours = match self.source.kinds[at.kind].fields.get(at.field) {
            Some(FieldColumn::Peers(peers)) => peers.peers(at.source as usize).1.map(Staying::Ours).collect(),
            _ => Vec::new(),
        };
        let theirs = kept.peers.iter().copied().map(Staying::Theirs);
        ours.into_iter().chain(theirs).chain(kept.outside.iter().copied().map(Staying::Outside))
    }

    /// Writes how a member of a set is shown.
    fn write_name(&self, at: Both, member: Staying<'_>, out: &mut String) {
        let (side, peer) = match member {
            Staying::Ours(peer) => (self.source, peer),
            Staying::Theirs(peer) => (self.destination, peer),
            Staying::Outside(peer) => return write_outside(peer, out),
        };
        if let Some(FieldColumn::Peers(peers)) = side.kinds[at.kind].fields.get(at.field) {
            json_string(&side.peer_name(self.model, peers, peer), out);
        }
    }

    /// Returns a plain list that is merged, if it is more than the source's.
    fn merged_list(&self, owned: Ownership, at: Both) -> Option<serde_json::Value> {
        if owned != Ownership::Merge || at.destination == NOWHERE {
            return None;
        }
        let column = |side: &'s Snapshot| side.kinds.get(at.kind)?.fields.get(at.field);
        match (column(self.source)?, column(self.destination)?) {
            (FieldColumn::Values(ours), FieldColumn::Values(theirs))
                if ownership::are_lists(ours, at.source as usize, theirs, at.destination as usize) =>
            {
                ownership::merged_list(self.recorded, at, ours, theirs)
            }
            _ => None,
        }
    }

    /// Returns the cleared references of an entry that frees values.
    fn no_peers(&self, entry: &Entry) -> Option<String> {
        let fields = &self.destination.kinds[entry.kind].fields;
        let is_reference = |at: &u16| matches!(fields.get(*at as usize), Some(FieldColumn::Peers(_)));
        entry.fields.iter().any(is_reference).then(|| parked_json(self, entry))
    }

    /// Returns the references of the new values without loss, where there are any.
    fn peers(&self, entry: &Entry) -> Option<String> {
        let spec = &self.model.kinds[entry.kind];
        let kind = &self.source.kinds[entry.kind];
        let mut out = String::from("{");
        for at in &entry.fields {
            let (Some(field), Some(FieldColumn::Peers(peers))) = (spec.fields.get(*at as usize), kind.fields.get(*at as usize)) else {
                continue;
            };
            if out.len() > 1 {
                out.push(',');
            }
            json_string(&field.name, &mut out);
            out.push(':');
            let (held, rows) = peers.peers(entry.source as usize);
            let one = |peer: Peer, out: &mut String| self.write_peer(peer, out);
            let both = both(entry, *at);
            match self.sides().kept(both) {
                None => write_held(held, rows, one, &mut out),
                Some(kept) => {
                    write_held(RefValue::Many, self.members(both, &kept), |member, out| self.write_member(member, out), &mut out);
                }
            }
        }
        out.push('}');
        (out.len() > 2).then_some(out)
    }

    /// Writes a peer of the source without loss.
    fn write_peer(&self, Peer { kind, row }: Peer, out: &mut String) {
        let partner = self.partner[kind].get(row as usize).copied().unwrap_or(NOWHERE);
        let id = (partner != NOWHERE).then(|| self.destination.kinds[kind].id(partner as usize)).flatten();
        self.write_key(kind, self.source.kinds[kind].keys.get(row as usize), id, out);
    }

    fn write_key(&self, kind: usize, key: &str, id: Option<&str>, out: &mut String) {
        out.push_str("{\"kind\":");
        json_string(&self.model.kinds[kind].name, out);
        out.push_str(",\"key\":");
        key::write_key_json(key, out);
        if let Some(id) = id {
            out.push_str(",\"id\":");
            json_string(id, out);
        }
        out.push('}');
    }

    /// Writes a member of a set without loss. One outside of the sync has no key.
    fn write_member(&self, member: Staying<'_>, out: &mut String) {
        match member {
            Staying::Ours(peer) => self.write_peer(peer, out),
            Staying::Theirs(Peer { kind, row }) => {
                let rows = &self.destination.kinds[kind];
                self.write_key(kind, rows.keys.get(row as usize), rows.id(row as usize), out);
            }
            Staying::Outside(peer) => {
                out.push_str("{\"kind\":");
                json_string(peer.kind, out);
                out.push_str(",\"id\":");
                json_string(peer.id, out);
                out.push('}');
            }
        }
    }
}

/// A member of a set that is written.
enum Staying<'k> {
    /// A row of the source.
    Ours(Peer),
    /// A row of the destination.
    Theirs(Peer),
    Outside(OutsidePeer<'k>),
}

/// Returns a field of an entry, as both sides have it.
fn both(entry: &Entry, field: u16) -> Both {
    Both { kind: entry.kind, field: field as usize, source: entry.source, destination: entry.destination }
}

/// Returns the values that free the unique ones of an entry: none, or a text that shows what it is.
fn parked_json(plan: &Plan<'_>, entry: &Entry) -> String {
    let spec = &plan.model.kinds[entry.kind];
    let mut out = String::from("{");
    for at in &entry.fields {
        let Some(field) = spec.fields.get(*at as usize) else { continue };
        if out.len() > 1 {
            out.push(',');
        }
        json_string(&field.name, &mut out);
        out.push(':');
        match (entry.wanted, plan.destination.kinds[entry.kind].fields.get(*at as usize)) {
            (Wanted::Parked(number), _) => json_string(&parked_text(plan.run, number), &mut out),
            (_, Some(FieldColumn::Peers(peers))) if peers.get(entry.destination as usize).0 == RefValue::Many => out.push_str("[]"),
            _ => out.push_str("null"),
        }
    }
    out.push('}');
    out
}

/// The characters of the run's id in a parked text: fields have limits of length.
const PARKED_RUN: usize = 24;

/// Returns a text that no object has.
fn parked_text(run: &str, number: u32) -> String {
    let short = run.char_indices().rev().take(PARKED_RUN).last().map_or(run, |(at, _)| run.get(at..).unwrap_or(run));
    format!("parked-{short}-{number}")
}

/// Fields of a row (by their positions) as a JSON object, references as unique ids (behind their kind, where a field refers to several):
/// what `old_value` and `new_value` of a plan hold. A peer outside of the sync is named by kind and id.
#[must_use]
pub fn values_json(model: &Model, side: &Snapshot, kind: usize, row: usize, fields: impl Iterator<Item = usize>) -> String {
    let mut out = String::from("{");
    let (Some(spec), Some(_)) = (model.kinds.get(kind), side.kinds.get(kind)) else { return "{}".to_owned() };
    for at in fields {
        let Some(field) = spec.fields.get(at).filter(|_| side.kinds[kind].fields.len() > at) else { continue };
        if out.len() > 1 {
            out.push(',');
        }
        json_string(&field.name, &mut out);
        out.push(':');
        write_field(model, side, (kind, at), row, &mut out);
    }
    out.push('}');
    out
}

/// Writes a field of a row as JSON.
fn write_field(model: &Model, side: &Snapshot, (kind, at): (usize, usize), row: usize, out: &mut String) {
    match side.kinds.get(kind).and_then(|rows| rows.fields.get(at)) {
        Some(FieldColumn::Values(values)) => values.write_json(row, out),
        Some(FieldColumn::Peers(peers)) => {
            let ((held, all), outside) = (peers.peers(row), peers.outside(row));
            let inside = all.len() - outside.len();
            let members = all.take(inside).map(Member::Peer).chain(outside.map(Member::Outside));
            let one = |member: Member<'_>, out: &mut String| match member {
                Member::Peer(peer) if peer.row == NOWHERE => out.push_str("null"),
                Member::Peer(peer) => json_string(&side.peer_name(model, peers, peer), out),
                Member::Outside(peer) => write_outside(peer, out),
            };
            write_held(held, members, one, out);
        }
        None => out.push_str("null"),
    }
}

/// A peer, or one outside of the sync.
enum Member<'c> {
    Peer(Peer),
    Outside(OutsidePeer<'c>),
}

fn write_outside(peer: OutsidePeer<'_>, out: &mut String) {
    let mut name = String::new();
    peer.write_name(&mut name);
    json_string(&name, out);
}

fn write_held<T>(held: RefValue, mut members: impl Iterator<Item = T>, one: impl Fn(T, &mut String), out: &mut String) {
    match held {
        RefValue::One => match members.next() {
            Some(member) => one(member, out),
            None => out.push_str("null"),
        },
        RefValue::Many => {
            out.push('[');
            for (at, member) in members.enumerate() {
                if at > 0 {
                    out.push(',');
                }
                one(member, out);
            }
            out.push(']');
        }
        RefValue::Null | RefValue::Unresolved => out.push_str("null"),
    }
}
