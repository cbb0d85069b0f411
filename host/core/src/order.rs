//! The order of writes by values that must be unique: free, then take.
//!
//! A row that takes a value which another object of the plan gives up comes after it. Where rows wait for one another in a circle (a swap), one of
//! them gives its value up first, in a row of its own. The field is cleared, or a text is parked there that no other object has. An object
//! that is deleted goes first, if nothing that stays refers to it; else its value is freed in the same way. A row whose value no other row gives up is
//! not applied, and says who has the value.
//!
//! Only kinds with unique fields are looked at, and of the destination only columns whose values are taken. The wanted values are hashed, and each
//! column is walked once.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::key;
use crate::model::{FieldModel, KindModel, Model};
use crate::number;
use crate::plan::{Entry, KindSummary, Wanted, values_json};
use crate::plan_row::{Action, PARKING};
use crate::snapshot::{FieldColumn, NOWHERE, Snapshot};
use crate::value::{Tag, ValueColumn};

/// The longest chain of rows that wait for one another. Each step costs a round trip, so longer ones are cut by parking.
const CHAIN_MAX: u32 = 16;

/// Both sides of a plan.
#[derive(Clone, Copy)]
pub(crate) struct Sides<'s> {
    pub(crate) model: &'s Model,
    pub(crate) source: &'s Snapshot,
    pub(crate) destination: &'s Snapshot,
    /// The destination row of each source row, by kind.
    pub(crate) partner: &'s [Vec<u32>],
    /// Objects may be updated, and so their values may be freed.
    pub(crate) updates: bool,
}

/// The rows in their order.
#[derive(Default)]
pub(crate) struct Ordered {
    pub(crate) first: Vec<Entry>,
    pub(crate) second: Vec<Entry>,
    /// Deletes that come before everything else, by kind and row.
    pub(crate) early: HashSet<Object>,
    pub(crate) blocked: Vec<Blocked>,
}

/// A row that is not applied, because another object keeps the value that it needs.
pub(crate) struct Blocked {
    kind: usize,
    action: Action,
    /// Nothing of the object is written.
    whole: bool,
}

impl Blocked {
    /// Moves the object from what is written to what is skipped.
    pub(crate) fn count(&self, summary: &mut [KindSummary], model: &Model) {
        let name = model.kinds.get(self.kind).map(|kind| &kind.name);
        let Some(counts) = summary.iter_mut().find(|counts| Some(&counts.kind) == name) else { return };
        counts.blocked += 1;
        counts.skipped += 1;
        if self.whole {
            let count = if self.action == Action::Create { &mut counts.create } else { &mut counts.update };
            *count = count.saturating_sub(1);
        }
    }
}

/// Orders the rows of both passes. `deletes`: the rows that are deleted, by kind.
pub(crate) fn by_unique(sides: &Sides<'_>, [first, second]: [Vec<Entry>; 2], deletes: &[(usize, Vec<u32>)]) -> Ordered {
    let mut out = Ordered { first, second, ..Ordered::default() };
    let sets: Vec<Vec<Vec<usize>>> = sides.model.kinds.iter().map(|kind| kind.takable().collect()).collect();
    if sets.iter().all(Vec::is_empty) {
        return out;
    }
    let mut shared = Shared { sides, deletes, doomed: None, early: HashSet::new(), parked: 0, blocked: Vec::new() };
    let (first, second) = (std::mem::take(&mut out.first), std::mem::take(&mut out.second));
    for (list, into) in [(first, &mut out.first), (second, &mut out.second)] {
        into.reserve(list.len());
        for entries in by_kind(list) {
            let kind = entries.first().map_or(0, |entry| entry.kind);
            match sets.get(kind).filter(|sets| !sets.is_empty()) {
                Some(sets) => into.extend(Block::new(&mut shared, kind, entries, sets).ordered()),
                None => into.extend(entries),
            }
        }
    }
    (out.early, out.blocked) = (shared.early, shared.blocked);
    out
}

/// Cuts a list where the kind changes.
fn by_kind(list: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut blocks: Vec<Vec<Entry>> = Vec::new();
    for entry in list {
        match blocks.last_mut().filter(|block| block.last().is_some_and(|last| last.kind == entry.kind)) {
            Some(block) => block.push(entry),
            None => blocks.push(vec![entry]),
        }
    }
    blocks
}

/// A value that no two objects share, in a form that both sides have in common.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Held<'s> {
    /// Numbers are equal as numbers, whatever their type.
    Number(Cow<'s, str>),
    Other(Tag, &'s str),
    /// A peer: its kind and its row in the destination.
    Peer(usize, u32),
    /// The values of several fields that are unique together.
    Together(Box<[Held<'s>]>),
}

fn plain(values: &ValueColumn, row: u32) -> Option<Held<'_>> {
    let (tag, text) = (values.tag(row as usize), values.text(row as usize));
    match tag {
        Tag::Null | Tag::Missing | Tag::Unresolved => None,
        Tag::Int | Tag::Float => Some(Held::Number(number::canonical(text))),
        tag => Some(Held::Other(tag, text)),
    }
}

impl<'s> Sides<'s> {
    fn spec(&self, kind: usize) -> &'s KindModel {
        &self.model.kinds[kind]
    }

    /// Passes the values that an entry's object has in a set of fields once the entry is written: the members of a reference one by one, and the
    /// values of several fields as one.
    fn wanted(&self, entry: &Entry, set: &[usize], mut each: impl FnMut(Held<'s>)) {
        let [field] = set else {
            // A field that the entry does not write keeps its value.
            let is_new = entry.destination == NOWHERE || entry.pass != 0;
            return together(set, each, |field, into| match entry.fields.contains(&(field as u16)) {
                true => self.wanted_in(entry.kind, field, entry.source, into),
                false if is_new && entry.action == Action::Update => self.wanted_in(entry.kind, field, entry.source, into),
                false if is_new => {}
                false => self.held_in(entry.kind, field, entry.destination, into),
            });
        };
        self.wanted_in(entry.kind, *field, entry.source, &mut each);
    }

    fn wanted_in(&self, kind: usize, field: usize, row: u32, each: &mut dyn FnMut(Held<'s>)) {
        match self.source.kinds[kind].fields.get(field) {
            Some(FieldColumn::Values(values)) => plain(values, row).into_iter().for_each(each),
            Some(FieldColumn::Peers(peers)) => {
                for peer in peers.peers(row as usize).1.filter(|peer| peer.row != NOWHERE) {
                    // No object has a peer that is still to be created.
                    let there = self.partner[peer.kind].get(peer.row as usize).copied().filter(|row| *row != NOWHERE);
                    there.into_iter().for_each(|row| each(Held::Peer(peer.kind, row)));
                }
            }
            None => {}
        }
    }

    /// Passes the values that a destination object has in a set of fields.
    fn held(&self, kind: usize, set: &[usize], row: u32, mut each: impl FnMut(Held<'s>)) {
        match set {
            [field] => self.held_in(kind, *field, row, &mut each),
            _ => together(set, each, |field, into| self.held_in(kind, field, row, into)),
        }
    }

    fn held_in(&self, kind: usize, field: usize, row: u32, each: &mut dyn FnMut(Held<'s>)) {
        match self.destination.kinds[kind].fields.get(field) {
            Some(FieldColumn::Values(values)) => plain(values, row).into_iter().for_each(each),
            Some(FieldColumn::Peers(peers)) => {
                let peers = peers.peers(row as usize).1.filter(|peer| peer.row != NOWHERE);
                peers.for_each(|peer| each(Held::Peer(peer.kind, peer.row)));
            }
            None => {}
        }
    }

    /// Names a destination object for a person.
    fn named(&self, kind: usize, row: u32) -> String {
        format!("{} `{}`", self.spec(kind).name, key::unique_id(self.destination.kinds[kind].keys.get(row as usize)))
    }
}

/// Passes the values of several fields as one, if each field has exactly one. `of` passes those of a field.
fn together<'s>(set: &[usize], mut each: impl FnMut(Held<'s>), of: impl Fn(usize, &mut dyn FnMut(Held<'s>))) {
    let mut all = Vec::with_capacity(set.len());
    for field in set {
        let before = all.len();
        of(*field, &mut |value| all.push(value));
        if all.len() != before + 1 {
            return;
        }
    }
    each(Held::Together(all.into()));
}

/// The parts that the blocks of a plan have in common.
struct Shared<'p, 's> {
    sides: &'p Sides<'s>,
    deletes: &'p [(usize, Vec<u32>)],
    /// The objects to delete, once they are asked for.
    doomed: Option<Doomed>,
    early: HashSet<Object>,
    /// Texts that were parked so far.
    parked: u32,
    blocked: Vec<Blocked>,
}

/// An object of the destination, by kind and row.
type Object = (usize, u32);

/// The objects that refer to an object; none if one that is not deleted does.
type Referrers = Option<Vec<Object>>;

/// The objects to delete.
struct Doomed {
    all: HashSet<Object>,
    /// The objects that refer to each of them.
    referrers: HashMap<Object, Referrers>,
}

impl Doomed {
    fn new(sides: &Sides<'_>, deletes: &[(usize, Vec<u32>)]) -> Doomed {
        let all: HashSet<Object> = deletes.iter().flat_map(|(kind, rows)| rows.iter().map(|row| (*kind, *row))).collect();
        let mut referrers: HashMap<Object, Referrers> = HashMap::new();
        if !all.is_empty() {
            for (kind, rows) in sides.destination.kinds.iter().enumerate() {
                let columns = rows.fields.iter().filter_map(|field| match field {
                    FieldColumn::Peers(peers) => Some(peers),
                    FieldColumn::Values(_) => None,
                });
                for peers in columns {
                    for row in 0..rows.rows() as u32 {
                        for peer in peers.peers(row as usize).1.map(|peer| (peer.kind, peer.row)).filter(|peer| all.contains(peer)) {
                            let by = referrers.entry(peer).or_insert_with(|| Some(Vec::new()));
                            match by {
                                Some(known) if all.contains(&(kind, row)) => known.push((kind, row)),
                                _ => *by = None,
                            }
                        }
                    }
                }
            }
        }
        Doomed { all, referrers }
    }

    /// Returns the objects that must be deleted before one of them can be, itself included; none if one that is not deleted refers to them.
    /// `early`: those that are deleted first already.
    fn closure(&self, object: Object, early: &HashSet<Object>) -> Option<HashSet<Object>> {
        let mut found = HashSet::from([object]);
        let mut open = vec![object];
        while let Some(next) = open.pop() {
            match self.referrers.get(&next) {
                None => {}
                Some(None) => return None,
                Some(Some(by)) => open.extend(by.iter().filter(|by| !early.contains(by) && found.insert(**by))),
            }
        }
        Some(found)
    }
}

/// The fate of an object that has a wanted value.
enum Fate {
    /// It is deleted before the rows of the plan that need it.
    DeletedFirst,
    /// It is deleted in the end.
    DeletedLast,
    Stays,
}

impl Shared<'_, '_> {
    /// Returns the fate of an object that no row of the plan updates in the field.
    fn fate(&mut self, kind: usize, row: u32) -> Fate {
        let doomed = self.doomed.get_or_insert_with(|| Doomed::new(self.sides, self.deletes));
        if self.early.contains(&(kind, row)) {
            return Fate::DeletedFirst;
        }
        if !doomed.all.contains(&(kind, row)) {
            return Fate::Stays;
        }
        match doomed.closure((kind, row), &self.early) {
            Some(with) => {
                self.early.extend(with);
                Fate::DeletedFirst
            }
            None => Fate::DeletedLast,
        }
    }
}

/// How the value of a field can be freed for a while.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Freeing {
    /// By clearing it, of any number of objects at a time.
    Clear,
    /// By clearing it, of one object at a time: the destination may take two nulls for one value.
    ClearOne,
    /// By a text that no other object has.
    Text,
    Never,
}

/// A row that waits for another one of its block.
#[derive(Clone, Copy)]
struct Wait {
    on: u32,
    /// The set of unique fields, by its place; none where the row refers to a new object.
    set: Option<u16>,
    /// It waits no longer: the value is parked, or the row is not applied.
    cut: bool,
}

/// An object whose value is freed for a while.
struct Park {
    row: u32,
    field: u16,
    wanted: Wanted,
    level: u32,
}

/// The rows of one kind and pass.
struct Block<'b, 'p, 's> {
    shared: &'b mut Shared<'p, 's>,
    kind: usize,
    entries: Vec<Entry>,
    /// The sets of fields whose values are unique.
    sets: &'p [Vec<usize>],
    waits: BTreeMap<u32, Vec<Wait>>,
    /// The step of each row; those without one are in step 0.
    levels: HashMap<u32, u32>,
    parks: Vec<Park>,
    parked: HashMap<(u32, u16), u32>,
    freeing: HashMap<u16, Freeing>,
    /// The step from which the next value of a field can be cleared, where that is done one at a time.
    next_clear: HashMap<u16, u32>,
    /// Rows whose objects have a cleared field until they are written.
    cleared: HashMap<u32, u16>,
    /// The destination rows of the objects that both sides have, once they are asked for.
    in_both: Option<HashSet<u32>>,
    /// Why rows cannot have the values of a set.
    blocked: BTreeMap<(u32, u16), String>,
}

impl<'b, 'p, 's> Block<'b, 'p, 's> {
    fn new(shared: &'b mut Shared<'p, 's>, kind: usize, entries: Vec<Entry>, sets: &'p [Vec<usize>]) -> Block<'b, 'p, 's> {
        Block {
            shared,
            kind,
            entries,
            sets,
            waits: BTreeMap::new(),
            levels: HashMap::new(),
            parks: Vec::new(),
            parked: HashMap::new(),
            freeing: HashMap::new(),
            next_clear: HashMap::new(),
            cleared: HashMap::new(),
            in_both: None,
            blocked: BTreeMap::new(),
        }
    }

    fn sides(&self) -> &'p Sides<'s> {
        self.shared.sides
    }

    fn field(&self, at: u16) -> Option<&'s FieldModel> {
        self.sides().spec(self.kind).fields.get(at as usize)
    }

    /// Returns the rows in order, with those that free values.
    fn ordered(mut self) -> Vec<Entry> {
        let mut needs: Vec<(u32, u16, u32)> = Vec::new();
        (0u16..).zip(self.sets).for_each(|(at, set)| self.takes((at, set), &mut needs));
        self.needed(&needs);
        if self.waits.is_empty() && self.parks.is_empty() && self.blocked.is_empty() {
            return self.entries;
        }
        self.pass_on_blocks();
        self.wait_for_new();
        self.sort();
        self.merged()
    }

    /// Finds the rows that take a value of a set which another object has now: row, set, and the other object's row.
    fn takes(&mut self, (at, set): (u16, &[usize]), needs: &mut Vec<(u32, u16, u32)>) {
        let (sides, kind) = (self.sides(), self.kind);
        let mut takers: HashMap<Held<'s>, u32> = HashMap::new();
        let mut twice: Vec<(u32, u32)> = Vec::new();
        for (row, entry) in (0u32..).zip(&self.entries) {
            if entry.source == NOWHERE || entry.skip.is_some() || !writes(entry, set) {
                continue;
            }
            sides.wanted(entry, set, |value| match takers.entry(value) {
                std::collections::hash_map::Entry::Occupied(first) => twice.push((row, *first.get())),
                std::collections::hash_map::Entry::Vacant(place) => drop(place.insert(row)),
            });
        }
        if takers.is_empty() {
            return;
        }
        for (taker, first) in twice {
            let by = self.entries.get(first as usize).map(|entry| self.name_of(entry)).unwrap_or_default();
            self.block(taker, at, &format!("goes to {by} as well"));
        }
        for row in 0..sides.destination.kinds[kind].rows() as u32 {
            sides.held(kind, set, row, |value| {
                if let Some(taker) = takers.get(&value) {
                    let is_own = self.entries.get(*taker as usize).is_some_and(|entry| entry.destination == row);
                    if !is_own && !self.blocked.contains_key(&(*taker, at)) {
                        needs.push((*taker, at, row));
                    }
                }
            });
        }
    }

    fn name_of(&self, entry: &Entry) -> String {
        let sides = self.sides();
        let keys = &sides.source.kinds[self.kind].keys;
        format!("{} `{}`", sides.spec(self.kind).name, key::unique_id(keys.get(entry.source as usize)))
    }

    /// Decides for each needed value how it becomes free.
    fn needed(&mut self, needs: &[(u32, u16, u32)]) {
        if needs.is_empty() {
            return;
        }
        let updates = (0u32..).zip(&self.entries).filter(|(_, entry)| entry.action == Action::Update && entry.destination != NOWHERE);
        let updates: HashMap<u32, u32> = updates.map(|(at, entry)| (entry.destination, at)).collect();
        for (taker, set, holder) in needs {
            let freer = updates.get(holder).copied().filter(|at| self.gives_up(*at, *taker, *set));
            if let Some(on) = freer {
                self.waits.entry(*taker).or_default().push(Wait { on, set: Some(*set), cut: false });
                continue;
            }
            let name = self.sides().named(self.kind, *holder);
            match self.shared.fate(self.kind, *holder) {
                Fate::DeletedFirst => {}
                Fate::DeletedLast if self.sides().updates && self.can_free(*set, None) => self.park(*holder, *set, None),
                Fate::DeletedLast => {
                    self.block(*taker, *set, &format!("is held by {name}, which is deleted later, as others still refer to it"));
                }
                Fate::Stays if self.in_both().contains(holder) => self.block(*taker, *set, &format!("is held by {name}, which keeps it")),
                Fate::Stays => self.block(*taker, *set, &format!("is held by {name}, which this plan does not delete")),
            }
        }
    }

    fn set(&self, at: u16) -> &'p [usize] {
        self.sets.get(at as usize).map_or(&[], Vec::as_slice)
    }

    /// Returns whether the update at `at` changes the values of a set, and wants nothing that `taker` wants there.
    fn gives_up(&self, at: u32, taker: u32, set: u16) -> bool {
        let (Some(entry), Some(taker)) = (self.entries.get(at as usize), self.entries.get(taker as usize)) else { return false };
        let set = self.set(set);
        let mut values: Vec<Held<'_>> = Vec::new();
        self.sides().wanted(taker, set, |value| values.push(value));
        let mut keeps = false;
        self.sides().wanted(entry, set, |value| keeps |= values.contains(&value));
        writes(entry, set) && !keeps
    }

    /// Returns the destination rows of the objects that both sides have.
    fn in_both(&mut self) -> &HashSet<u32> {
        let partner = &self.shared.sides.partner[self.kind];
        self.in_both.get_or_insert_with(|| partner.iter().copied().filter(|row| *row != NOWHERE).collect())
    }

    /// Passes blocks on: a row that cannot have its value does not give up the one that it has, so the rows that wait for that are blocked, too.
    fn pass_on_blocks(&mut self) {
        let mut open: Vec<(u32, u16)> = self.blocked.keys().copied().collect();
        if open.is_empty() {
            return;
        }
        let mut waiting: HashMap<(u32, u16), Vec<u32>> = HashMap::new();
        for (taker, waits) in &self.waits {
            for wait in waits {
                waiting.entry((wait.on, wait.set.unwrap_or(u16::MAX))).or_default().push(*taker);
            }
        }
        while let Some((freer, set)) = open.pop() {
            let row = self.entries.get(freer as usize).map_or(NOWHERE, |entry| entry.destination);
            for taker in waiting.remove(&(freer, set)).unwrap_or_default() {
                if !self.blocked.contains_key(&(taker, set)) {
                    let by = self.sides().named(self.kind, row);
                    self.block(taker, set, &format!("is held by {by}, which cannot give it up"));
                    open.push((taker, set));
                }
            }
        }
        for (taker, waits) in &mut self.waits {
            for wait in waits {
                wait.cut |= wait.set.is_some_and(|set| self.blocked.contains_key(&(*taker, set)));
            }
        }
    }

    /// Notes that a row cannot have the values that it wants.
    fn block(&mut self, at: u32, set: u16, why: &str) {
        let Some(entry) = self.entries.get(at as usize) else { return };
        let sides = self.sides();
        let one = |field: &usize| {
            let values = values_json(sides.model, sides.source, self.kind, entry.source as usize, std::iter::once(*field));
            let name = self.field(*field as u16).map_or("", |field| field.name.as_str());
            // `{"asset_tag":"T1"}` without what is around the value.
            let value = values.split_once(':').map_or("", |(_, value)| value.strip_suffix('}').unwrap_or(value));
            format!("`{name}` {value}")
        };
        let words: Vec<String> = self.set(set).iter().map(one).collect();
        self.blocked.entry((at, set)).or_insert_with(|| format!("{} {why}", words.join(" with ")));
    }

    /// Returns the field of a set whose value is freed for a while. `writer`: the row that gives the object its new values.
    fn freed(&mut self, set: u16, writer: Option<u32>) -> Option<u16> {
        let fields = self.set(set);
        let mut free = |accepts: &dyn Fn(Freeing) -> bool| {
            let usable = fields.iter().map(|field| *field as u16).filter(|field| self.is_given_back(*field, writer));
            usable.collect::<Vec<u16>>().into_iter().find(|field| accepts(self.freeing_in(set, *field)))
        };
        free(&|freeing| matches!(freeing, Freeing::Clear | Freeing::Text)).or_else(|| free(&|freeing| freeing == Freeing::ClearOne))
    }

    /// Returns how the values of a set can be freed by one of its fields.
    fn freeing_in(&mut self, set: u16, field: u16) -> Freeing {
        match self.freeing(field) {
            // Two objects without the field may have the other values in common.
            Freeing::Clear if self.set(set).len() > 1 => Freeing::ClearOne,
            freeing => freeing,
        }
    }

    fn can_free(&mut self, set: u16, writer: Option<u32>) -> bool {
        self.freed(set, writer).is_some()
    }

    /// Returns whether a row writes a field, so that it gives the object its value back. A field that keeps its value is not freed: an apply that
    /// resumes behind that row could not tell that it must not be freed again.
    fn is_given_back(&self, field: u16, writer: Option<u32>) -> bool {
        writer.and_then(|at| self.entries.get(at as usize)).is_none_or(|entry| entry.fields.contains(&field))
    }

    /// Returns how the value of a field can be freed.
    fn freeing(&mut self, at: u16) -> Freeing {
        if let Some(known) = self.freeing.get(&at) {
            return *known;
        }
        let (sides, kind) = (self.sides(), self.kind);
        let column = sides.destination.kinds[kind].fields.get(at as usize);
        let found = match (self.field(at), column) {
            (Some(field), Some(column)) if !sides.spec(kind).identifiers.contains(&field.name) => {
                let clears = field.optional && field.default.is_none();
                match column {
                    FieldColumn::Peers(_) if clears => Freeing::Clear,
                    FieldColumn::Peers(_) => Freeing::Never,
                    FieldColumn::Values(values) => {
                        let nulls = || (0..values.len()).filter(|row| values.tag(*row) == Tag::Null).take(2).count();
                        let texts = || (0..values.len()).all(|row| matches!(values.tag(row), Tag::Text | Tag::Null));
                        match clears {
                            // Two objects have no value: null is not a value there.
                            true if nulls() == 2 => Freeing::Clear,
                            _ if takes_text(field) && texts() => Freeing::Text,
                            true => Freeing::ClearOne,
                            false => Freeing::Never,
                        }
                    }
                }
            }
            _ => Freeing::Never,
        };
        self.freeing.insert(at, found);
        found
    }

    /// Frees a value for a while; `writer`: the row that gives the object its new one. Returns nothing where it is freed already.
    fn park(&mut self, row: u32, set: u16, writer: Option<u32>) {
        let Some(field) = self.freed(set, writer).filter(|field| !self.parked.contains_key(&(row, *field))) else { return };
        let (wanted, level) = match self.freeing_in(set, field) {
            Freeing::Never => return,
            Freeing::Clear => (Wanted::Cleared, 0),
            Freeing::ClearOne => {
                self.cleared.extend(writer.map(|writer| (writer, field)));
                (Wanted::Cleared, self.next_clear.get(&field).copied().unwrap_or(0))
            }
            Freeing::Text => {
                self.shared.parked += 1;
                (Wanted::Parked(self.shared.parked), 0)
            }
        };
        self.parked.insert((row, field), level);
        self.parks.push(Park { row, field, wanted, level });
    }

    /// Adds the waits of rows that refer to new objects of their own kind: these may come later than they did.
    fn wait_for_new(&mut self) {
        let (sides, kind) = (self.sides(), self.kind);
        let spec = sides.spec(kind);
        if self.waits.is_empty() || !spec.fields.iter().any(|field| field.peers().any(|peer| peer == spec.name)) {
            return;
        }
        let created = (0u32..).zip(&self.entries).filter(|(_, entry)| entry.action == Action::Create);
        let created: HashMap<u32, u32> = created.map(|(at, entry)| (entry.source, at)).collect();
        for (at, entry) in (0u32..).zip(&self.entries).filter(|_| !created.is_empty()) {
            for field in &entry.fields {
                let Some(FieldColumn::Peers(peers)) = sides.source.kinds[kind].fields.get(*field as usize) else { continue };
                let own = peers.peers(entry.source as usize).1.filter(|peer| peer.kind == kind);
                for on in own.filter_map(|peer| created.get(&peer.row).copied()).filter(|on| *on != at) {
                    self.waits.entry(at).or_default().push(Wait { on, set: None, cut: false });
                }
            }
        }
    }

    /// Gives each row its step, depth first. Cuts the circles.
    fn sort(&mut self) {
        let mut state: HashMap<u32, State> = HashMap::new();
        let starts: Vec<u32> = self.waits.keys().copied().collect();
        for start in starts {
            let mut stack: Vec<(u32, usize)> = Vec::new();
            if let std::collections::hash_map::Entry::Vacant(place) = state.entry(start) {
                place.insert(State::Open);
                stack.push((start, 0));
            }
            while let Some((node, next)) = stack.last_mut() {
                let (node, at) = (*node, *next);
                *next += 1;
                let Some(wait) = self.waits.get(&node).and_then(|waits| waits.get(at)).copied() else {
                    stack.pop();
                    state.insert(node, State::Placed);
                    self.place(node);
                    continue;
                };
                match state.get(&wait.on) {
                    _ if wait.cut => {}
                    None => {
                        state.insert(wait.on, State::Open);
                        stack.push((wait.on, 0));
                    }
                    Some(State::Placed) => {}
                    Some(State::Open) => {
                        let keep = self.cut(&stack, wait.on);
                        for (node, _) in stack.drain(keep..) {
                            state.remove(&node);
                        }
                    }
                }
            }
        }
    }

    /// Cuts a circle: the rows of the stack from `on` to its end, each of which waits for the next, and the last for `on`. Returns how much of the
    /// stack stays.
    fn cut(&mut self, stack: &[(u32, usize)], on: u32) -> usize {
        let begin = stack.iter().position(|(node, _)| *node == on).unwrap_or(0);
        let at = |place: usize| {
            let (node, next) = stack.get(place).copied().unwrap_or_default();
            (node, next.saturating_sub(1))
        };
        let wait = |block: &Block<'_, '_, '_>, place: usize| {
            let (node, next) = at(place);
            block.waits.get(&node).and_then(|waits| waits.get(next)).copied()
        };
        // The last first, as it costs no step back.
        for place in (begin..stack.len()).rev() {
            let Some(Wait { on, set: Some(set), .. }) = wait(self, place) else { continue };
            if self.can_free(set, Some(on))
                && let Some(row) = self.entries.get(on as usize).map(|entry| entry.destination)
            {
                self.park(row, set, Some(on));
                self.set_cut(at(place));
                return place + 1;
            }
        }
        for place in (begin..stack.len()).rev() {
            if let Some(Wait { on, set: Some(set), .. }) = wait(self, place) {
                let by = self.entries.get(on as usize).map(|entry| self.name_of(entry)).unwrap_or_default();
                let why =
                    format!("is held by {by}: each waits for the other, and the field can neither be empty nor hold a temporary text");
                self.block(at(place).0, set, &why);
                self.set_cut(at(place));
                return place + 1;
            }
        }
        self.set_cut(at(stack.len().saturating_sub(1)));
        stack.len()
    }

    fn set_cut(&mut self, (node, at): (u32, usize)) {
        if let Some(wait) = self.waits.get_mut(&node).and_then(|waits| waits.get_mut(at)) {
            wait.cut = true;
        }
    }

    /// Gives a row its step, which is behind those of the rows that it waits for.
    fn place(&mut self, node: u32) {
        let mut level = 0;
        for at in 0..self.waits.get(&node).map_or(0, Vec::len) {
            let Some(wait) = self.waits.get(&node).and_then(|waits| waits.get(at)).copied() else { continue };
            let row = self.entries.get(wait.on as usize).map_or(NOWHERE, |entry| entry.destination);
            if let (true, Some(set)) = (wait.cut, wait.set) {
                let field = self.freed(set, Some(wait.on));
                level = level.max(field.and_then(|field| self.parked.get(&(row, field)).copied()).unwrap_or(0));
                continue;
            }
            let behind = self.levels.get(&wait.on).copied().unwrap_or(0) + 1;
            if let Some(set) = wait.set {
                if self.blocked.contains_key(&(wait.on, set)) {
                    let by = self.sides().named(self.kind, row);
                    self.block(node, set, &format!("is held by {by}, which cannot give it up"));
                    continue;
                }
                let field = self.freed(set, Some(wait.on)).filter(|_| behind > CHAIN_MAX);
                if field.is_some_and(|field| matches!(self.freeing_in(set, field), Freeing::Clear | Freeing::Text)) {
                    self.park(row, set, Some(wait.on));
                    continue;
                }
            }
            level = level.max(behind);
        }
        // Its own values are freed before: another circle may be cut where this row waited for the one that takes them.
        if let Some(entry) = self.entries.get(node as usize).filter(|entry| entry.destination != NOWHERE && !self.parked.is_empty()) {
            let own = entry.fields.iter().filter_map(|field| self.parked.get(&(entry.destination, *field)));
            level = own.fold(level, |level, own| level.max(*own));
        }
        if let Some(field) = self.cleared.get(&node) {
            self.next_clear.insert(*field, level + 1);
        }
        self.levels.insert(node, level);
    }

    /// Returns the rows, step by step: first those that free values, then creates, then updates.
    fn merged(self) -> Vec<Entry> {
        let Block { shared, kind, entries, sets, levels, mut parks, blocked, .. } = self;
        parks.sort_by_key(|park| park.level);
        let mut parks = parks.into_iter().peekable();
        let mut out = Vec::with_capacity(entries.len() + parks.len());
        let mut later: Vec<(u32, u32, Entry)> = Vec::new();
        let mut free = |level: u32, out: &mut Vec<Entry>| {
            while let Some(park) = parks.next_if(|park| park.level <= level) {
                let entry = Entry::new(kind, Action::Update, vec![park.field]);
                out.push(Entry { destination: park.row, pass: PARKING, wanted: park.wanted, ..entry });
            }
        };
        free(0, &mut out);
        for (at, entry) in (0u32..).zip(entries) {
            let level = levels.get(&at).copied().unwrap_or(0);
            let mut reasons = blocked.range((at, 0)..=(at, u16::MAX)).peekable();
            let entries = match reasons.peek() {
                None => vec![entry],
                Some(_) => {
                    let reasons =
                        reasons.map(|((_, set), reason)| (sets.get(*set as usize).map_or(&[][..], Vec::as_slice), reason.as_str()));
                    without_blocked(entry, &reasons.collect::<Vec<_>>(), &mut shared.blocked)
                }
            };
            for entry in entries {
                match level {
                    0 => out.push(entry),
                    level => later.push((level, at, entry)),
                }
            }
        }
        later.sort_by_key(|(level, at, _)| (*level, *at));
        for (level, _, entry) in later {
            free(level, &mut out);
            out.push(entry);
        }
        free(u32::MAX, &mut out);
        out
    }
}

/// Where a row is on the way to its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Placed,
}

fn takes_text(field: &FieldModel) -> bool {
    use crate::model::FieldType;
    matches!(field.field_type, FieldType::Text | FieldType::Any)
}

/// Returns whether an entry writes a field of a set.
fn writes(entry: &Entry, set: &[usize]) -> bool {
    set.iter().any(|field| entry.fields.contains(&(*field as u16)))
}

/// Takes what cannot be written out of an entry: into one of its own, or all of it where the object is new. `reasons`: sets of fields, and why not.
fn without_blocked(mut entry: Entry, reasons: &[(&[usize], &str)], counts: &mut Vec<Blocked>) -> Vec<Entry> {
    let is_blocked = |field: &u16| reasons.iter().any(|(set, _)| set.contains(&usize::from(*field)));
    let reason: Box<str> = reasons.iter().map(|(_, reason)| *reason).collect::<Vec<_>>().join("; ").into();
    let (fields, rest): (Vec<u16>, Vec<u16>) = entry.fields.iter().copied().partition(is_blocked);
    let (kind, action) = (entry.kind, entry.action);
    let is_whole = action == Action::Create || rest.is_empty();
    counts.push(Blocked { kind, action, whole: is_whole && entry.pass == 0 });
    if is_whole {
        entry.skip = Some(reason);
        return vec![entry];
    }
    let skipped = Entry { fields, skip: Some(reason), ..entry.clone() };
    entry.fields = rest;
    vec![entry, skipped]
}
