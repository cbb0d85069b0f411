//! From raw rows to a snapshot.

use infrahub_sync_base::Side;

use super::columns::{FieldColumn, NOWHERE, PeerColumn};
use super::keys::{identity_order, parents_by_id};
use super::problems::{DataErrorKind, DataProblem, cut, identifiers_shown};
use super::resolve::{Found, IdIndex, Table, UniqueIdIndex};
use super::rows::strict;
use super::{Completeness, KindSnapshot, Snapshot};
use crate::key::Keys;
use crate::mapping::RawKind;
use crate::mapping::reference::ReferenceRule;
use crate::model::{FieldModel, KindModel, Model};
use crate::value::{Tag, ValueColumn};

/// How the references of a side are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolving {
    /// The side. In the source a dangling reference is a problem, since the wanted value is not known; in the destination it is a peer outside
    /// of the sync, which differs from every peer inside.
    pub side: Side,
    /// Plain values are compared with unique ids first, not last ([`ReferenceRule::UniqueId`]).
    pub unique_ids_first: bool,
}

impl From<Side> for Resolving {
    fn from(side: Side) -> Resolving {
        Resolving { side, unique_ids_first: false }
    }
}

impl Resolving {
    /// Returns how the references of a side are resolved by the rules of its adapter.
    #[must_use]
    pub fn new(side: Side, rules: &[ReferenceRule]) -> Resolving {
        Resolving { side, unique_ids_first: rules.contains(&ReferenceRule::UniqueId) }
    }
}

/// A reference that is being resolved: a field of a row of a kind.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    pub(super) kind: usize,
    pub(super) row: usize,
    pub(super) field: usize,
}

/// Everything about one kind while it is being built.
pub(super) struct Working<'r> {
    pub(super) raw: &'r RawKind,
    pub(super) by_id: Option<IdIndex>,
    pub(super) by_key: Option<Table>,
    pub(super) by_unique_id: Option<UniqueIdIndex>,
    pub(super) keys: Keys,
    /// The row is left out.
    pub(super) bad: Vec<bool>,
    /// The raw rows that are kept, sorted by key.
    order: Vec<u32>,
    /// Where each raw row is found in `order`, [`NOWHERE`] when left out. A row read twice has the place of its later reading.
    pub(super) position: Vec<u32>,
    partial: bool,
    /// The records beyond the first of each object.
    pub(super) merged: u64,
}

impl<'r> Working<'r> {
    fn new(raw: &'r RawKind) -> Self {
        Working {
            raw,
            by_id: None,
            by_key: None,
            by_unique_id: None,
            keys: Keys::default(),
            bad: vec![false; raw.rows],
            order: Vec::new(),
            position: Vec::new(),
            partial: false,
            merged: 0,
        }
    }

    /// Takes over rows that are sorted and unique already.
    fn adopt(&mut self, rows: &KindSnapshot) {
        self.keys = rows.keys.clone();
        self.order = (0..rows.rows() as u32).collect();
        self.position.clone_from(&self.order);
    }
}

/// Builds a snapshot of one side.
///
/// Returns the snapshot and every problem found. With problems on the source side the caller stops, or continues knowing that the
/// objects named are left out, their kinds partial, and the relationships named unresolved.
///
/// The cost is linear in rows and references, but for one sort a kind (none where rows arrive sorted).
#[must_use]
pub fn build(model: &Model, raw: Vec<RawKind>, resolving: impl Into<Resolving>) -> (Snapshot, Vec<DataProblem>) {
    build_with(model, raw, resolving, None)
}

/// As [`build`], of the source, with the destination: kinds that are only looked up ([`KindModel::lookup`]) have the destination's rows.
///
/// [`KindModel::lookup`]: crate::model::KindModel::lookup
#[must_use]
pub fn build_with(
    model: &Model,
    mut raw: Vec<RawKind>,
    resolving: impl Into<Resolving>,
    destination: Option<&Snapshot>,
) -> (Snapshot, Vec<DataProblem>) {
    let Resolving { side, unique_ids_first } = resolving.into();
    raw.resize_with(model.kinds.len(), RawKind::default);
    for (at, (kind, raw)) in model.kinds.iter().zip(&mut raw).enumerate() {
        if let Some(rows) = looked_up(destination, kind, at) {
            *raw = RawKind { rows: rows.rows(), ids: rows.ids.clone(), ..RawKind::new(kind.fields.len()) };
        }
        raw.columns.resize_with(kind.fields.len(), ValueColumn::default);
        raw.ids.fill(raw.rows);
        if !raw.owners.is_empty() {
            raw.owners.fill(raw.rows);
        }
        for (field, column) in kind.fields.iter().zip(&mut raw.columns) {
            column.fill(raw.rows);
            if field.reference.is_none() {
                *column = std::mem::take(column).coerced(field.field_type);
            }
        }
        parents_by_id(model, at, raw);
    }
    // Plain fields are not needed to find keys: they are moved into the snapshot, never copied while rows arrive sorted.
    let plain: Vec<Vec<ValueColumn>> = model
        .kinds
        .iter()
        .zip(&mut raw)
        .map(|(kind, raw)| {
            let take = |(field, column): (&FieldModel, &mut ValueColumn)| {
                let plain = field.reference.is_none() && !kind.identifiers.contains(&field.name);
                if plain { std::mem::take(column) } else { ValueColumn::default() }
            };
            kind.fields.iter().zip(&mut raw.columns).map(take).collect()
        })
        .collect();
    let work = raw.iter().map(Working::new).collect();
    let mut builder = Builder { model, work, plain, side, unique_ids_first, problems: Vec::new() };
    if side == Side::Source {
        builder.report_unmapped();
        builder.check_types();
    }
    for kind in identity_order(model) {
        match looked_up(destination, &model.kinds[kind], kind) {
            Some(rows) => builder.work[kind].adopt(rows),
            None => {
                builder.find_keys(kind);
                builder.sort(kind);
            }
        }
    }
    let mut snapshot = Snapshot { kinds: Vec::with_capacity(model.kinds.len()) };
    for (kind, spec) in model.kinds.iter().enumerate() {
        let built = match looked_up(destination, spec, kind) {
            Some(rows) => without_ids_and_peers(rows),
            None => builder.finish(kind),
        };
        snapshot.kinds.push(built);
    }
    for (kind, work) in snapshot.kinds.iter_mut().zip(&builder.work) {
        if work.partial {
            kind.completeness = Completeness::Partial;
        }
    }
    let mut problems = builder.problems;
    problems.sort_unstable();
    problems.dedup();
    (snapshot, problems)
}

/// Returns the destination's rows of a kind that is only looked up.
fn looked_up<'s>(destination: Option<&'s Snapshot>, kind: &KindModel, at: usize) -> Option<&'s KindSnapshot> {
    destination?.kinds.get(at).filter(|_| kind.lookup)
}

/// Returns rows of the destination as rows of the source, which has no ids for them. Their keys name their peers.
fn without_ids_and_peers(rows: &KindSnapshot) -> KindSnapshot {
    let mut ids = ValueColumn::default();
    ids.fill(rows.rows());
    let fields = rows.fields.iter().map(|field| match field {
        FieldColumn::Values(values) => FieldColumn::Values(values.clone()),
        FieldColumn::Peers(_) => FieldColumn::Peers(PeerColumn::default()),
    });
    KindSnapshot { keys: rows.keys.clone(), ids, fields: fields.collect(), ..KindSnapshot::default() }
}

/// Returns the kinds of the model that a reference field may refer to; none for a plain field.
fn peer_kinds(model: &Model, field: &FieldModel) -> Option<Vec<usize>> {
    field.reference.as_ref()?;
    Some(model.peers_of(field))
}

pub(super) struct Builder<'r> {
    pub(super) model: &'r Model,
    pub(super) work: Vec<Working<'r>>,
    /// Columns of plain fields that do not identify, by kind and field; the others are empty.
    pub(super) plain: Vec<Vec<ValueColumn>>,
    pub(super) side: Side,
    pub(super) unique_ids_first: bool,
    problems: Vec<DataProblem>,
}

impl Builder<'_> {
    pub(super) fn object_name(&self, kind: usize, row: usize) -> String {
        let work = &self.work[kind];
        if work.raw.ids.tag(row) != Tag::Null {
            return work.raw.ids.text(row).to_owned();
        }
        // Without an id, the identifiers as they were read.
        let model = &self.model.kinds[kind];
        let mut name = String::new();
        let mut is_blank = true;
        for identifier in &model.identifiers {
            if !name.is_empty() {
                name.push_str("__");
            }
            match model.fields.iter().position(|field| field.name == *identifier).and_then(|at| work.raw.columns.get(at)) {
                Some(column) if matches!(column.tag(row), Tag::Null) => name.push_str("None"),
                Some(column) => {
                    is_blank = false;
                    name.push_str(column.text(row));
                }
                None => {}
            }
        }
        // `None__None` names no object; its place does.
        if is_blank && work.raw.origins.place(row).is_some() { String::new() } else { name }
    }

    pub(super) fn problem(&mut self, kind: usize, row: usize, error: DataErrorKind, left_out: bool) {
        let (object, place) = (self.object_name(kind, row), self.work[kind].raw.origins.place(row));
        let identifiers = self.identifiers_of(kind, row);
        self.problems.push(DataProblem { kind: self.model.kinds[kind].name.clone(), object, identifiers, place, error, left_out });
    }

    /// Returns the values that identify an object beside its id, for messages. References are left out: an id says nothing to a reader.
    fn identifiers_of(&self, kind: usize, row: usize) -> String {
        let (work, model) = (&self.work[kind], &self.model.kinds[kind]);
        if work.raw.ids.tag(row) == Tag::Null {
            return String::new();
        }
        let id = work.raw.ids.text(row);
        let fields = model.fields.iter().zip(&work.raw.columns).filter(|(field, column)| {
            field.reference.is_none()
                && model.identifiers.contains(&field.name)
                && row < column.len()
                && column.tag(row) != Tag::Null
                && column.text(row) != id
        });
        identifiers_shown(fields.map(|(field, column)| (field.name.as_str(), column.text(row).to_owned())))
    }

    /// Reports the records on which a filter or a transform failed. They are no rows, and their kinds are partial.
    fn report_unmapped(&mut self) {
        for (kind, work) in self.work.iter_mut().enumerate() {
            for skipped in &work.raw.skipped {
                let error = DataErrorKind::Unmapped { field: skipped.field.to_string(), reason: skipped.reason.to_string() };
                let (object, place, model) = (skipped.name.clone(), skipped.place.clone(), &self.model.kinds[kind]);
                let values = skipped.identifiers.iter().filter_map(|(at, value)| {
                    let field = model.fields.get(*at).filter(|field| field.reference.is_none() && *value != object)?;
                    Some((field.name.as_str(), value.clone()))
                });
                let identifiers = identifiers_shown(values);
                self.problems.push(DataProblem { kind: model.name.clone(), object, identifiers, place, error, left_out: true });
                work.partial = true;
            }
        }
    }

    /// Leaves out rows with a value that the schema's type does not hold, and reports them: no destination would take them.
    fn check_types(&mut self) {
        for kind in 0..self.work.len() {
            let spec = &self.model.kinds[kind];
            if spec.lookup {
                continue;
            }
            for (at, field) in spec.fields.iter().enumerate().filter(|(_, field)| field.reference.is_none()) {
                let Some((wanted, fits)) = strict(field.field_type) else { continue };
                let column = self.plain[kind].get(at).filter(|column| !column.is_empty()).unwrap_or(&self.work[kind].raw.columns[at]);
                if column.tags().iter().all(|tag| fits(*tag)) {
                    continue;
                }
                let wrong: Vec<(usize, String)> = (0..column.len())
                    .filter(|row| !fits(column.tag(*row)))
                    .map(|row| {
                        let mut value = String::new();
                        column.write_json(row, &mut value);
                        (row, cut(&value))
                    })
                    .collect();
                for (row, value) in wrong {
                    self.problem(kind, row, DataErrorKind::WrongType { field: field.name.clone(), wanted, value }, true);
                    self.leave_out(kind, row);
                }
            }
        }
    }

    pub(super) fn leave_out(&mut self, kind: usize, row: usize) {
        self.work[kind].bad[row] = true;
        self.work[kind].partial = true;
    }

    /// Sorts a kind's rows by key and finds those with equal keys.
    fn sort(&mut self, kind: usize) {
        let (order, equal) = self.sorted(kind);
        let rows = self.work[kind].raw.rows;
        // Earlier readings, each with the later one that it is dropped for.
        let mut instead: Vec<(u32, u32)> = Vec::new();
        for run in equal {
            if let Some(run) = order.get(run) {
                self.separate(kind, run, &mut instead);
            }
        }
        let work = &mut self.work[kind];
        let mut dropped = vec![false; if instead.is_empty() { 0 } else { rows }];
        instead.iter().for_each(|(old, _)| dropped[*old as usize] = true);
        let is_left_out = |row: &u32| work.bad[*row as usize] || dropped.get(*row as usize) == Some(&true);
        let kept: Vec<u32> = order.into_iter().filter(|row| !is_left_out(row)).collect();
        let mut position = vec![NOWHERE; rows];
        for (at, row) in kept.iter().enumerate() {
            position[*row as usize] = at as u32;
        }
        // Backwards: of three readings the first was dropped for the second and that for the third.
        for (old, new) in instead.iter().rev() {
            position[*old as usize] = position[*new as usize];
        }
        work.position = position;
        work.order = kept;
        // Which row stands for a key is known only now.
        work.by_key = None;
        work.by_unique_id = None;
    }

    /// Returns the rows in the order of their keys, and where several in a row have one key.
    fn sorted(&self, kind: usize) -> (Vec<u32>, Vec<std::ops::Range<usize>>) {
        let work = &self.work[kind];
        let keys = &work.keys;
        let mut order: Vec<u32> = (0..work.raw.rows as u32).filter(|row| !work.bad[*row as usize]).collect();
        let mut equal: Vec<std::ops::Range<usize>> = Vec::new();
        if order.windows(2).all(|pair| keys.get(pair[0] as usize) < keys.get(pair[1] as usize)) {
            return (order, equal);
        }
        // Rows of one key in the order of their ids, so that what is reported does not depend on the order of arrival.
        order.sort_by(|a, b| {
            let (a, b) = (*a as usize, *b as usize);
            keys.get(a).cmp(keys.get(b)).then_with(|| work.raw.ids.text(a).cmp(work.raw.ids.text(b)))
        });
        let mut at = 0;
        while at < order.len() {
            let key = keys.get(order[at] as usize);
            let end = at + order[at..].iter().take_while(|row| keys.get(**row as usize) == key).count();
            if end - at > 1 {
                equal.push(at..end);
            }
            at = end;
        }
        (order, equal)
    }

    /// Resolves a kind's references and puts its rows in order.
    fn finish(&mut self, kind: usize) -> KindSnapshot {
        let model = self.model;
        let raw = self.work[kind].raw;
        let order = std::mem::take(&mut self.work[kind].order);
        let mut plain = std::mem::take(&mut self.plain[kind]);
        let in_order = order.len() == raw.rows && order.iter().enumerate().all(|(at, row)| at == *row as usize);
        let mut fields = Vec::with_capacity(raw.columns.len());
        for (at, column) in raw.columns.iter().enumerate() {
            let field = &model.kinds[kind].fields[at];
            match peer_kinds(model, field) {
                None => {
                    let moved = plain.get_mut(at).map(std::mem::take).unwrap_or_default();
                    let identifier = model.kinds[kind].identifiers.contains(&field.name);
                    fields.push(FieldColumn::Values(match (identifier, in_order) {
                        (false, true) => moved,
                        (false, false) => moved.gather(&order),
                        (true, true) => column.clone(),
                        (true, false) => column.gather(&order),
                    }));
                }
                // Peers of kinds that are not synced.
                Some(kinds) if kinds.is_empty() => fields.push(FieldColumn::Peers(PeerColumn::default())),
                Some(kinds) => {
                    let mut peers = PeerColumn::new(kinds, order.len());
                    let mut found = Found::default();
                    for row in &order {
                        found.clear();
                        let cell = Cell { kind, row: *row as usize, field: at };
                        let held = self.resolve(cell, peers.kinds(), column, &mut found);
                        peers.push(held, &found.set, &found.outside);
                    }
                    fields.push(FieldColumn::Peers(peers));
                }
            }
        }
        let work = &self.work[kind];
        KindSnapshot {
            keys: if in_order { work.keys.clone() } else { work.keys.gather(&order) },
            ids: if in_order { raw.ids.clone() } else { raw.ids.gather(&order) },
            fields,
            resources: if in_order { raw.resources.clone() } else { raw.resources.gather(&order) },
            owners: if in_order || raw.owners.is_empty() { raw.owners.clone() } else { raw.owners.gather(&order) },
            completeness: Completeness::Complete,
            merged: work.merged,
        }
    }
}
