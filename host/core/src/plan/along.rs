//! The deletes of a plan and what they take along: which of them are left out, and what the others say.
//!
//! The destination names the objects that each delete takes along. An object of a mapped kind goes along only if the plan deletes it, too, or takes
//! it away from the deleted one before. Objects of other kinds go along only if the project names their kind. A delete that would
//! take anything else is left out, and so is whatever would take along or lose an object that stays for that reason.

use std::cell::OnceCell;
use std::collections::hash_map::Entry as MapEntry;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Action, Entry, Plan, in_order};
use crate::along::Along;
use crate::key;
use crate::order;
use crate::plan_row::PARKING;
use crate::snapshot::{FieldColumn, NOWHERE, Peer};

/// A delete of a plan.
#[derive(Debug, Clone, Copy)]
pub struct PlannedDelete<'p> {
    /// The object, by its row in the destination's snapshot.
    pub object: Peer,
    /// Its id in the destination.
    pub id: Option<&'p str>,
    /// Its list in the destination, where its kind has several.
    pub resource: Option<&'p str>,
}

/// Objects of one kind that a delete takes along, as the destination says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dependents {
    /// The kind, as the destination names it.
    pub kind: String,
    /// The kinds of the model that are read from there, by their positions. Empty: the project does not map it.
    pub mapped: Vec<usize>,
    /// The number of objects.
    pub count: u64,
    /// Their ids, where the destination tells them.
    pub ids: Vec<String>,
}

/// Deletes of one kind that a plan leaves out, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The kind.
    pub kind: String,
    /// The number of deletes.
    pub count: u64,
    /// The unique id of one of them.
    pub example: String,
    /// Why.
    pub because: Because,
}

/// Why a plan leaves a delete out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// It takes along objects of this kind, which the project neither maps nor names in `delete_along`.
    Unnamed(String),
    /// It takes along objects of this mapped kind that the plan does not delete, such as the named one.
    Stays(String, String),
}

/// A delete that is left out.
struct Kept {
    /// None: an object that stays for another reason refers to it.
    because: Option<Because>,
}

impl<'s> Plan<'s> {
    /// Returns the deletes, in the order in which they are to be written.
    pub fn deletes(&self) -> impl Iterator<Item = PlannedDelete<'_>> {
        self.entries.iter().filter(|entry| entry.action == Action::Delete).filter_map(|entry| {
            let rows = self.destination.kinds.get(entry.kind)?;
            let row = entry.destination as usize;
            Some(PlannedDelete { object: object(entry), id: rows.id(row), resource: rows.resources.get(row) })
        })
    }

    /// Returns the plan with what its deletes take along, and the deletes that it leaves out for that. `found` has the answers of the
    /// destination, `named` the kinds that may be deleted along without being mapped.
    #[must_use]
    pub fn with_along(mut self, found: &HashMap<Peer, Vec<Dependents>>, named: &[String]) -> (Plan<'s>, Vec<LeftOut>) {
        if found.is_empty() {
            return (self, Vec::new());
        }
        let sorted = Sorter::new(&self, found, named).sorted();
        let left_out = self.leave_out(&sorted.kept);
        if !sorted.kept.is_empty() {
            self.order_again();
        }
        self.entries = children_first(std::mem::take(&mut self.entries), &sorted.children);
        self.count(&sorted.along);
        self.along = sorted.along;
        (self, left_out)
    }

    /// Takes deletes out of the plan, and counts them as skipped.
    fn leave_out(&mut self, kept: &HashMap<Peer, Kept>) -> Vec<LeftOut> {
        let mut left_out: BTreeMap<(usize, Because), LeftOut> = BTreeMap::new();
        let (model, destination) = (self.model, self.destination);
        let summary = &mut self.summary;
        self.entries.retain(|entry| {
            let Some(Kept { because }) = kept.get(&object(entry)).filter(|_| entry.action == Action::Delete) else { return true };
            let kind = &model.kinds[entry.kind].name;
            if let Some(counts) = summary.iter_mut().find(|counts| counts.kind == *kind) {
                counts.delete -= 1;
                counts.skipped += 1;
            }
            if let Some(because) = because {
                let example = || key::unique_id(destination.kinds[entry.kind].keys.get(entry.destination as usize));
                let new = || LeftOut { kind: kind.clone(), count: 0, example: example(), because: because.clone() };
                // One line for each kind that is in the way, whichever of its objects it is.
                let group = match because {
                    Because::Unnamed(_) => because.clone(),
                    Because::Stays(kind, _) => Because::Stays(kind.clone(), String::new()),
                };
                left_out.entry((entry.kind, group)).or_insert_with(new).count += 1;
            }
            false
        });
        left_out.into_values().collect()
    }

    /// Puts the rows in order again after deletes were left out: another object may need a value that one of them has.
    fn order_again(&mut self) {
        let model = self.model;
        if model.kinds.iter().all(|kind| kind.takable().next().is_none()) {
            return;
        }
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let mut rows: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for entry in std::mem::take(&mut self.entries) {
            match (entry.action, entry.pass) {
                (Action::Delete, _) => rows.entry(entry.kind).or_default().push(entry.destination),
                (_, PARKING) => {}
                (_, 0) => first.push(entry),
                _ => second.push(entry),
            }
        }
        let mut deletes: Vec<(usize, Vec<u32>)> = rows.into_iter().collect();
        deletes.sort_by_key(|(kind, _)| model.kinds.get(*kind).map(|kind| kind.tier));
        let sides =
            order::Sides { model, source: self.source, destination: self.destination, partner: &self.partner, updates: self.updates };
        self.entries = in_order(&sides, [first, second], deletes, &mut self.summary);
    }

    /// Counts the objects that have no row of their own, each once.
    fn count(&mut self, along: &HashMap<Peer, Vec<Along>>) {
        let mut counted: HashSet<(&str, &str)> = HashSet::new();
        for entry in self.entries.iter().filter(|entry| entry.action == Action::Delete) {
            let name = &self.model.kinds[entry.kind].name;
            let Some(counts) = self.summary.iter_mut().find(|counts| counts.kind == *name) else { continue };
            for taken in along.get(&object(entry)).into_iter().flatten().filter(|taken| !taken.mapped) {
                let new = taken.ids.iter().filter(|id| counted.insert((&taken.kind, id))).count() as u64;
                let unknown = taken.count.saturating_sub(taken.ids.len() as u64);
                if new + unknown > 0 {
                    *counts.along.entry(taken.kind.clone()).or_default() += new + unknown;
                }
            }
        }
    }
}

fn object(entry: &Entry) -> Peer {
    Peer { kind: entry.kind, row: entry.destination }
}

/// Puts what the destination says of each delete in order.
struct Sorter<'p, 's> {
    plan: &'p Plan<'s>,
    found: &'p HashMap<Peer, Vec<Dependents>>,
    named: &'p [String],
    deletes: HashSet<Peer>,
    /// The fields that the plan updates, by object.
    updates: HashMap<Peer, Vec<u16>>,
    /// The rows of the destination by id, of the kinds that are taken along.
    rows: HashMap<usize, HashMap<&'p str, u32>>,
    sorted: Sorted,
}

/// The result of a [`Sorter`].
#[derive(Default)]
struct Sorted {
    along: HashMap<Peer, Vec<Along>>,
    /// The deletes that go along with a delete.
    children: HashMap<Peer, Vec<Peer>>,
    kept: HashMap<Peer, Kept>,
}

impl<'p, 's> Sorter<'p, 's> {
    fn new(plan: &'p Plan<'s>, found: &'p HashMap<Peer, Vec<Dependents>>, named: &'p [String]) -> Sorter<'p, 's> {
        let deletes = plan.deletes().map(|delete| delete.object).collect();
        let mut updates: HashMap<Peer, Vec<u16>> = HashMap::new();
        for entry in plan.entries.iter().filter(|entry| entry.action == Action::Update && entry.destination != NOWHERE) {
            updates.entry(object(entry)).or_default().extend(&entry.fields);
        }
        let mut rows: HashMap<usize, HashMap<&str, u32>> = HashMap::new();
        for kind in found.values().flatten().flat_map(|dependents| &dependents.mapped) {
            let Some(snapshot) = plan.destination.kinds.get(*kind) else { continue };
            rows.entry(*kind)
                .or_insert_with(|| (0..snapshot.rows()).filter_map(|row| Some((snapshot.id(row)?, u32::try_from(row).ok()?))).collect());
        }
        Sorter { plan, found, named, deletes, updates, rows, sorted: Sorted::default() }
    }

    fn sorted(mut self) -> Sorted {
        let mut objects: Vec<Peer> = self.found.keys().copied().filter(|object| self.deletes.contains(object)).collect();
        objects.sort_unstable();
        for object in objects {
            let lost = OnceCell::new();
            for dependents in self.found.get(&object).into_iter().flatten() {
                if let Err(because) = self.take(object, dependents, &lost) {
                    self.sorted.kept.entry(object).or_insert(Kept { because: Some(because) });
                }
            }
        }
        self.close();
        let Sorted { along, children, kept } = &mut self.sorted;
        along.retain(|object, _| !kept.contains_key(object));
        children.retain(|object, _| !kept.contains_key(object));
        self.sorted
    }

    /// Takes the dependents of a delete over. `lost` will hold all that it takes along, when that is needed.
    fn take(&mut self, object: Peer, dependents: &Dependents, lost: &OnceCell<HashSet<Peer>>) -> Result<(), Because> {
        let Dependents { kind, mapped, count, ids } = dependents;
        let one = |names: Vec<String>, ids: Vec<String>, count: u64, released: bool| Along {
            kind: kind.clone(),
            count,
            mapped: !mapped.is_empty(),
            released,
            names,
            ids,
        };
        let along = self.sorted.along.entry(object).or_default();
        if mapped.is_empty() {
            if !self.named.contains(kind) {
                return Err(Because::Unnamed(kind.clone()));
            }
            along.push(one(Vec::new(), ids.clone(), *count, false));
            return Ok(());
        }
        let (mut going, mut released) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        for id in ids {
            let found = self.peer(mapped, id);
            // An object that was not read is not the plan's to delete.
            let Some(child) = found else { return Err(Because::Stays(kind.clone(), id.clone())) };
            let name = self.plan.destination.kinds.get(child.kind).map_or("", |rows| rows.keys.get(child.row as usize));
            let name = key::unique_id(name);
            let place = match () {
                () if child == object => continue,
                () if self.deletes.contains(&child) => {
                    self.sorted.children.entry(object).or_default().push(child);
                    &mut going
                }
                () if self.is_released(child, lost.get_or_init(|| self.lost_with(object))) => &mut released,
                () => return Err(Because::Stays(kind.clone(), name)),
            };
            place.0.push(name);
            place.1.push(id.clone());
        }
        // Objects without ids are those that refer to the deleted one, if there are as many.
        let unknown = count.saturating_sub(ids.len() as u64);
        if unknown > 0 {
            let children = self.referring(mapped, object);
            if (children.len() as u64) < unknown {
                return Err(Because::Stays(kind.clone(), String::new()));
            }
            self.sorted.children.entry(object).or_default().extend(children);
        }
        let along = self.sorted.along.entry(object).or_default();
        let all = going.1.len() as u64 + unknown;
        along.extend((all > 0).then(|| one(going.0, going.1, all, false)));
        let all = released.1.len() as u64;
        along.extend((all > 0).then(|| one(released.0, released.1, all, true)));
        Ok(())
    }

    /// Returns the object of some kinds with an id.
    fn peer(&self, kinds: &[usize], id: &str) -> Option<Peer> {
        kinds.iter().find_map(|kind| Some(Peer { kind: *kind, row: *self.rows.get(kind)?.get(id)? }))
    }

    /// Returns an object and those that its delete takes along: an address may go with the interface of a device.
    fn lost_with(&self, object: Peer) -> HashSet<Peer> {
        let along = self.found.get(&object).into_iter().flatten();
        let along = along.flat_map(|dependents| dependents.ids.iter().filter_map(|id| self.peer(&dependents.mapped, id)));
        std::iter::once(object).chain(along).collect()
    }

    /// Returns whether the plan takes an object away from those that are lost before it deletes them: each of its fields that leads there is
    /// updated.
    fn is_released(&self, child: Peer, lost: &HashSet<Peer>) -> bool {
        let Some(updated) = self.updates.get(&child) else { return false };
        let leads_there = |peer: Peer| peer != child && lost.contains(&peer);
        let mut fields = self.fields_to(child, leads_there).peekable();
        fields.peek().is_some() && fields.all(|field| updated.contains(&field))
    }

    /// Returns the fields by which an object refers to others.
    fn fields_to(&self, child: Peer, is_meant: impl Fn(Peer) -> bool) -> impl Iterator<Item = u16> {
        let fields = self.plan.destination.kinds.get(child.kind).map_or(&[][..], |rows| &rows.fields);
        (0..).zip(fields).filter_map(move |(at, field)| match field {
            FieldColumn::Peers(peers) => peers.peers(child.row as usize).1.any(&is_meant).then_some(at),
            FieldColumn::Values(_) => None,
        })
    }

    /// Returns the deletes of some kinds that refer to an object.
    fn referring(&self, kinds: &[usize], to: Peer) -> Vec<Peer> {
        let of_kinds = self.deletes.iter().filter(|delete| kinds.contains(&delete.kind) && **delete != to);
        let mut found: Vec<Peer> = of_kinds.copied().filter(|delete| self.fields_to(*delete, |peer| peer == to).next().is_some()).collect();
        found.sort_unstable();
        found
    }

    /// Adds whatever would take along an object that stays, and what such an object refers to.
    fn close(&mut self) {
        if self.sorted.kept.is_empty() {
            return;
        }
        let mut parents: HashMap<Peer, Vec<Peer>> = HashMap::new();
        for (parent, children) in &self.sorted.children {
            children.iter().for_each(|child| parents.entry(*child).or_default().push(*parent));
        }
        let mut found: Vec<Peer> = self.sorted.kept.keys().copied().collect();
        found.sort_unstable();
        while let Some(object) = found.pop() {
            let Some(rows) = self.plan.destination.kinds.get(object.kind) else { continue };
            for parent in parents.get(&object).into_iter().flatten() {
                if !self.sorted.kept.contains_key(parent) {
                    let kind = self.plan.model.kinds.get(object.kind).map(|kind| kind.name.clone()).unwrap_or_default();
                    let because = Because::Stays(kind, key::unique_id(rows.keys.get(object.row as usize)));
                    self.sorted.kept.insert(*parent, Kept { because: Some(because) });
                    found.push(*parent);
                }
            }
            for field in &rows.fields {
                let FieldColumn::Peers(peers) = field else { continue };
                for peer in peers.peers(object.row as usize).1.filter(|peer| self.deletes.contains(peer)) {
                    if let MapEntry::Vacant(kept) = self.sorted.kept.entry(peer) {
                        kept.insert(Kept { because: None });
                        found.push(peer);
                    }
                }
            }
        }
    }
}

/// Orders deletes such that those that go along with another one come before it: a delete that the destination rejects is then known in time.
fn children_first(entries: Vec<Entry>, children: &HashMap<Peer, Vec<Peer>>) -> Vec<Entry> {
    if children.is_empty() {
        return entries;
    }
    let deletes = entries.iter().enumerate().filter(|(_, entry)| entry.action == Action::Delete);
    let places: HashMap<Peer, usize> = deletes.map(|(at, entry)| (object(entry), at)).collect();
    let mut order: Vec<usize> = Vec::with_capacity(entries.len());
    let mut placed = vec![false; entries.len()];
    let mut begun = vec![false; entries.len()];
    for start in 0..entries.len() {
        let mut stack = vec![start];
        while let Some(at) = stack.pop() {
            if placed[at] {
                continue;
            }
            let below = match entries.get(at) {
                Some(entry) if entry.action == Action::Delete && !begun[at] => children.get(&object(entry)),
                _ => None,
            };
            begun[at] = true;
            let below: Vec<usize> =
                below.into_iter().flatten().filter_map(|child| places.get(child)).copied().filter(|child| !begun[*child]).collect();
            if below.is_empty() {
                placed[at] = true;
                order.push(at);
            } else {
                stack.push(at);
                stack.extend(below.into_iter().rev());
            }
        }
    }
    let mut entries: Vec<Option<Entry>> = entries.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| entries.get_mut(at)?.take()).collect()
}
