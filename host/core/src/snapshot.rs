//! One side of a comparison: per kind sorted, unique rows whose references are row numbers.
//!
//! [`build`] turns what was read ([`RawKind`]) into a [`Snapshot`]: it finds each row's natural key (peers first), refuses what cannot be
//! told apart, sorts, and turns peer ids into row numbers of the peer's kind, with one hash look-up each.
//!
//! Invariants: rows are sorted by key and no key stands twice; a reference names a row of the peer kind's sorted rows, [`NOWHERE`] or
//! nothing; the order in which records arrived has no effect, but that of two readings of one object the later counts.

use std::collections::HashSet;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use infrahub_sync_base::Side;

use crate::key::{self, Keys, push_part, push_peer_part};
use crate::mapping::RawKind;
use crate::model::{Cardinality, FieldModel, Model};
use crate::value::{Tag, ValueColumn};

/// A peer that is not in the snapshot: equal to no row.
pub const NOWHERE: u32 = u32::MAX;

/// Whether all rows of a kind are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Completeness {
    /// Every object that the system has and the filters pass.
    #[default]
    Complete,
    /// Some were left out: what is missing here may exist, so it is never deleted elsewhere.
    Partial,
    /// Nobody has asked for any: nothing is known of them, so nothing is deleted elsewhere.
    Unread,
}

/// What a reference field holds in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Null,
    /// One peer.
    One,
    /// A set of peers, sorted by row.
    Many,
    /// Could not be resolved: left as it is in the destination.
    Unresolved,
}

/// An object that a reference leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// The kind's position in the model; of no meaning [`NOWHERE`].
    pub kind: usize,
    /// The row of that kind.
    pub row: u32,
}

/// A reference field: rows of the peer kind, or of several kinds.
#[derive(Debug, Clone, Default)]
pub struct PeerColumn {
    kinds: Vec<usize>,
    held: Vec<Held>,
    ends: Vec<u32>,
    rows: Vec<u32>,
    /// Of each peer the place of its kind in `kinds`. Empty where there is one kind: such fields, nearly all, pay nothing for the others.
    of: Vec<u16>,
}

impl PeerColumn {
    fn new(kinds: Vec<usize>, rows: usize) -> PeerColumn {
        PeerColumn { kinds, held: Vec::with_capacity(rows), ends: Vec::with_capacity(rows), rows: Vec::new(), of: Vec::new() }
    }

    /// Adds a row; a peer is the place of its kind among the field's and its row.
    fn push(&mut self, held: Held, peers: &[(u16, u32)]) {
        self.rows.extend(peers.iter().map(|(_, row)| *row));
        if self.kinds.len() > 1 {
            self.of.extend(peers.iter().map(|(kind, _)| *kind));
        }
        self.ends.push(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
        self.held.push(held);
    }

    /// The positions of the peer kinds in the model: one, but for fields that refer to objects of several.
    #[must_use]
    pub fn kinds(&self) -> &[usize] {
        &self.kinds
    }

    /// What row `row` holds, with the kind of each peer; a set is sorted by kind (in the order of [`kinds`](Self::kinds)) and row.
    #[inline]
    pub fn peers(&self, row: usize) -> (Held, impl ExactSizeIterator<Item = Peer> + Clone) {
        let (held, rows) = self.get(row);
        let start = self.start(row);
        let kind = move |at: usize| {
            let place = self.of.get(start + at).copied().unwrap_or(0);
            self.kinds.get(place as usize).copied().unwrap_or_default()
        };
        (held, rows.iter().enumerate().map(move |(at, row)| Peer { kind: kind(at), row: *row }))
    }

    fn start(&self, row: usize) -> usize {
        if row == 0 { 0 } else { self.ends.get(row - 1).copied().unwrap_or(0) as usize }
    }

    /// What row `row` holds, as rows of the peer kind; with several kinds [`peers`](Self::peers) tells whose rows they are.
    #[must_use]
    #[inline]
    pub fn get(&self, row: usize) -> (Held, &[u32]) {
        let start = self.start(row);
        let end = self.ends.get(row).map_or(start, |end| *end as usize);
        (self.held.get(row).copied().unwrap_or(Held::Null), self.rows.get(start..end).unwrap_or(&[]))
    }
}

/// A field of a snapshot.
#[derive(Debug, Clone)]
pub enum FieldColumn {
    /// Plain values.
    Values(ValueColumn),
    /// References.
    Peers(PeerColumn),
}

/// The rows of one kind.
#[derive(Debug, Clone, Default)]
pub struct KindSnapshot {
    /// The natural keys, sorted.
    pub keys: Keys,
    /// The ids in the system that was read.
    pub ids: ValueColumn,
    /// One column a field, in the model's order.
    pub fields: Vec<FieldColumn>,
    /// Whether all rows are there.
    pub completeness: Completeness,
}

impl KindSnapshot {
    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.keys.len()
    }

    /// Whether a reference of a row could not be resolved, or leads out of the sync: a stored snapshot does not say where to.
    #[must_use]
    pub fn has_unresolved(&self) -> bool {
        self.fields.iter().any(|field| match field {
            FieldColumn::Values(_) => false,
            FieldColumn::Peers(peers) => peers.held.contains(&Held::Unresolved) || peers.rows.contains(&NOWHERE),
        })
    }

    /// The id of a row in the system that was read.
    #[must_use]
    pub fn id(&self, row: usize) -> Option<&str> {
        (self.ids.tag(row) != Tag::Null).then(|| self.ids.text(row))
    }
}

/// One side: a [`KindSnapshot`] for each kind of the model, in its order.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The kinds.
    pub kinds: Vec<KindSnapshot>,
}

impl Snapshot {
    /// Writes how a reference's peer is shown: its unique id, and behind `Kind:` where the field may refer to several kinds, since objects
    /// of two kinds may have one unique id.
    pub fn write_peer_name(&self, model: &Model, column: &PeerColumn, peer: Peer, out: &mut String) {
        if column.kinds.len() > 1 {
            out.push_str(model.kinds.get(peer.kind).map_or("", |kind| &kind.name));
            out.push(':');
        }
        key::write_unique_id(self.kinds.get(peer.kind).map_or("", |kind| kind.keys.get(peer.row as usize)), out);
    }

    /// As [`write_peer_name`](Self::write_peer_name), as a text of its own.
    #[must_use]
    pub fn peer_name(&self, model: &Model, column: &PeerColumn, peer: Peer) -> String {
        let mut out = String::new();
        self.write_peer_name(model, column, peer, &mut out);
        out
    }
}

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Two objects have the same identifiers.
    Duplicate {
        /// The other object's id.
        other: String,
    },
    /// An identifier that must have a value has none.
    NullIdentifier {
        /// The identifier.
        field: String,
    },
    /// A reference to an object that was not loaded.
    Dangling {
        /// The reference field.
        field: String,
        /// The peer's kind; where it may be one of several, `A or B`.
        kind: String,
        /// The peer as the system names it.
        peer: String,
    },
    /// A reference that objects of several of the field's peer kinds answer to, and nothing says which kind is meant.
    AmbiguousKind {
        /// The reference field.
        field: String,
        /// The kinds, as `A or B`.
        kind: String,
        /// The peer as the system names it.
        peer: String,
    },
    /// A reference by an id that several objects of the peer's kind have: ids are unique within a resource, not within a kind.
    Ambiguous {
        /// The reference field.
        field: String,
        /// The peer's kind.
        kind: String,
        /// The peer as the system names it.
        peer: String,
    },
    /// An object whose identifiers lead back to itself.
    IdentityLoop {
        /// The reference field.
        field: String,
    },
    /// An object whose identifiers lead through more objects of its kind than a key can hold.
    TooDeep {
        /// The reference field.
        field: String,
    },
}

/// The deepest that an object's identity may be nested. Stored keys are nested JSON lists, and JSON readers stop at 128.
pub const IDENTITY_DEPTH_MAX: usize = 100;

/// An object that cannot be identified, or a relationship that cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataProblem {
    /// The kind.
    pub kind: String,
    /// The object's id in its system, or its unique id.
    pub object: String,
    /// What is wrong.
    pub trouble: Trouble,
    /// The object is left out of the comparison (when the run goes on).
    pub left_out: bool,
}

impl std::fmt::Display for DataProblem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let DataProblem { kind, object, .. } = self;
        match &self.trouble {
            Trouble::Duplicate { other } => write!(formatter, "{kind} `{object}` has the same identifiers as `{other}`"),
            Trouble::NullIdentifier { field } => write!(formatter, "{kind} `{object}` has no value for its identifier `{field}`"),
            Trouble::Dangling { field, kind: peer_kind, peer } => {
                write!(formatter, "{kind} `{object}`: `{field}` refers to {peer_kind} `{peer}`, which was not loaded")
            }
            Trouble::Ambiguous { field, kind: peer_kind, peer } => write!(
                formatter,
                "{kind} `{object}`: `{field}` refers to {peer_kind} `{peer}`, and several resources have an object with that id; refer by a natural key (such as `{field}.name`)"
            ),
            Trouble::AmbiguousKind { field, kind: kinds, peer } => write!(
                formatter,
                "{kind} `{object}`: `{field}` refers to {kinds} `{peer}`, and more than one of these kinds has it; let each mapping say which kind it means (`reference: …`)"
            ),
            Trouble::TooDeep { field } => {
                write!(formatter, "{kind} `{object}` is identified through more than {IDENTITY_DEPTH_MAX} objects by `{field}`")
            }
            Trouble::IdentityLoop { field } => write!(formatter, "{kind} `{object}` is identified by itself through `{field}`"),
        }
    }
}

type Table = HashTable<u32>;

pub(crate) fn hash(text: &str) -> u64 {
    use std::hash::BuildHasher;
    // A fixed seed: ids come from systems that the user configured, and the same inputs shall cost the same.
    foldhash::fast::FixedState::with_seed(0x5eed).hash_one(text)
}

/// Everything about one kind while it is being built.
struct Working<'r> {
    raw: &'r RawKind,
    by_id: Option<IdIndex>,
    by_key: Option<Table>,
    keys: Keys,
    /// The row is left out.
    bad: Vec<bool>,
    /// The raw rows that are kept, sorted by key.
    order: Vec<u32>,
    /// Where each raw row is found in `order`, [`NOWHERE`] when left out. A row read twice has the place of its later reading.
    position: Vec<u32>,
    partial: bool,
}

impl<'r> Working<'r> {
    fn new(raw: &'r RawKind) -> Self {
        Working {
            raw,
            by_id: None,
            by_key: None,
            keys: Keys::default(),
            bad: vec![false; raw.rows],
            order: Vec::new(),
            position: Vec::new(),
            partial: false,
        }
    }
}

/// Rows by id.
struct IdIndex {
    /// The first row of each id.
    first: Table,
    /// Of those, the rows whose id other objects have as well.
    ambiguous: HashSet<u32>,
}

/// Builds a snapshot of one side.
///
/// Returns the snapshot and every problem found. With problems on the source side the caller stops, or goes on knowing that the
/// objects named are left out, their kinds partial, and the relationships named unresolved.
///
/// The cost is linear in rows and references, but for one sort a kind (none where rows arrive sorted).
#[must_use]
pub fn build(model: &Model, raw: Vec<RawKind>, side: Side) -> (Snapshot, Vec<DataProblem>) {
    let mut raw = raw;
    raw.resize_with(model.kinds.len(), RawKind::default);
    for (kind, raw) in model.kinds.iter().zip(&mut raw) {
        raw.columns.resize_with(kind.fields.len(), ValueColumn::default);
        raw.ids.fill(raw.rows);
        for (field, column) in kind.fields.iter().zip(&mut raw.columns) {
            column.fill(raw.rows);
            if field.reference.is_none() {
                *column = std::mem::take(column).coerced(field.field_type);
            }
        }
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
    let mut builder = Builder { model, work: raw.iter().map(Working::new).collect(), plain, side, problems: Vec::new() };
    for kind in identity_order(model) {
        builder.find_keys(kind);
        builder.sort(kind);
    }
    let mut snapshot = Snapshot { kinds: Vec::with_capacity(model.kinds.len()) };
    for kind in 0..model.kinds.len() {
        let built = builder.finish(kind);
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

/// Kinds such that the peers in a kind's identifiers come before it. The model has no cycle through identifiers of different kinds.
fn identity_order(model: &Model) -> Vec<usize> {
    fn visit(model: &Model, kind: usize, seen: &mut [bool], order: &mut Vec<usize>) {
        if std::mem::replace(&mut seen[kind], true) {
            return;
        }
        for field in &model.kinds[kind].fields {
            if !model.kinds[kind].identifiers.contains(&field.name) {
                continue;
            }
            if let Some((peer, _)) = field.reference.as_ref().and_then(|peer| model.kind(peer)) {
                visit(model, peer, seen, order);
            }
        }
        order.push(kind);
    }
    let mut order = Vec::with_capacity(model.kinds.len());
    let mut seen = vec![false; model.kinds.len()];
    for kind in 0..model.kinds.len() {
        visit(model, kind, &mut seen, &mut order);
    }
    order
}

/// The kinds of the model that a reference field may refer to; none for a plain field.
fn peer_kinds(model: &Model, field: &FieldModel) -> Option<Vec<usize>> {
    field.reference.as_ref()?;
    Some(field.peers().filter_map(|peer| model.kind(peer)).map(|(peer, _)| peer).collect())
}

/// How a reference resolved.
enum Found {
    Row(u32),
    /// To an object that is itself left out: told once, there.
    LeftOut,
    /// To an id that several objects have.
    Ambiguous,
    /// To objects of several of the kinds that the field may refer to.
    SeveralKinds,
    No,
}

struct Builder<'r> {
    model: &'r Model,
    work: Vec<Working<'r>>,
    /// Columns of plain fields that are no identifiers, by kind and field; the others are empty.
    plain: Vec<Vec<ValueColumn>>,
    side: Side,
    problems: Vec<DataProblem>,
}

impl Builder<'_> {
    fn index_ids(&mut self, kind: usize) {
        let work = &self.work[kind];
        if work.by_id.is_some() {
            return;
        }
        let ids = &work.raw.ids;
        let mut index = IdIndex { first: Table::with_capacity(work.raw.rows), ambiguous: HashSet::new() };
        for row in (0..work.raw.rows).filter(|row| ids.tag(*row) != Tag::Null) {
            let text = ids.text(row);
            match index.first.entry(hash(text), |at| ids.text(*at as usize) == text, |at| hash(ids.text(*at as usize))) {
                Entry::Vacant(entry) => {
                    entry.insert(row as u32);
                }
                // Of two readings of one object (a page that moved while it was read) one is as good as the other.
                Entry::Occupied(entry) if self.same_identity(kind, *entry.get() as usize, row) => {}
                Entry::Occupied(entry) => {
                    index.ambiguous.insert(*entry.get());
                }
            }
        }
        self.work[kind].by_id = Some(index);
    }

    /// Whether two rows of a kind name the same object: by their keys, or by what was read while keys are not known.
    fn same_identity(&self, kind: usize, a: usize, b: usize) -> bool {
        let work = &self.work[kind];
        if !work.keys.is_empty() {
            return work.keys.get(a) == work.keys.get(b);
        }
        let spec = &self.model.kinds[kind];
        let mut identifying = spec.fields.iter().zip(&work.raw.columns).filter(|(field, _)| spec.identifiers.contains(&field.name));
        identifying.all(|(_, column)| column.same(a, column, b))
    }

    fn index_keys(&mut self, kind: usize) {
        let work = &mut self.work[kind];
        if work.by_key.is_some() || work.keys.is_empty() {
            return;
        }
        let keys = &work.keys;
        let mut table = Table::with_capacity(keys.len());
        // Rows that are left out come last: they only tell why a peer is not there.
        for bad in [false, true] {
            for row in (0..keys.len()).filter(|row| work.bad[*row] == bad) {
                let key = keys.get(row);
                if let Entry::Vacant(entry) = table.entry(hash(key), |at| keys.get(*at as usize) == key, |at| hash(keys.get(*at as usize)))
                {
                    entry.insert(row as u32);
                }
            }
        }
        work.by_key = Some(table);
    }

    fn row_or_left_out(&self, kind: usize, row: u32) -> Found {
        if self.work[kind].bad[row as usize] { Found::LeftOut } else { Found::Row(row) }
    }

    fn by_id(&mut self, kind: usize, id: &str) -> Found {
        self.index_ids(kind);
        let work = &self.work[kind];
        let Some(index) = &work.by_id else { return Found::No };
        match index.first.find(hash(id), |at| work.raw.ids.text(*at as usize) == id) {
            Some(row) if index.ambiguous.contains(row) => Found::Ambiguous,
            Some(row) => self.row_or_left_out(kind, *row),
            None => Found::No,
        }
    }

    fn by_key(&mut self, kind: usize, key: &str) -> Found {
        self.index_keys(kind);
        let work = &self.work[kind];
        match work.by_key.as_ref().and_then(|table| table.find(hash(key), |at| work.keys.get(*at as usize) == key)) {
            Some(row) => self.row_or_left_out(kind, *row),
            None => Found::No,
        }
    }

    /// The key that a natural key names: a plain value, a list of the identifiers' values, or an object of them.
    ///
    /// `depth` bounds how far identifiers are followed; none where no object can be meant.
    fn natural_key(&mut self, kind: usize, tag: Tag, text: &str, depth: usize) -> Option<String> {
        let model = self.model;
        let spec = model.kinds.get(kind)?;
        let depth = depth.checked_sub(1)?;
        if let Some(plain) = lone_text(spec, tag, text) {
            let mut wanted = String::with_capacity(plain.len() + 2);
            push_part(Tag::Text, plain, &mut wanted);
            return Some(wanted);
        }
        let parsed: Option<serde_json::Value> = if tag == Tag::Json { Some(serde_json::from_str(text).ok()?) } else { None };
        if parsed.as_ref().and_then(serde_json::Value::as_array).is_some_and(|items| items.len() > spec.identifiers.len()) {
            return None;
        }
        let mut wanted = String::new();
        for (at, name) in spec.identifiers.iter().enumerate() {
            let Some(field) = spec.fields.iter().find(|field| field.name == *name) else { continue };
            let peer = field.reference.as_ref().and_then(|peer| model.kind(peer)).map(|(peer, _)| peer);
            let mut values = ValueColumn::default();
            match &parsed {
                // A plain value is the first identifier; the others, if any, are null.
                None if at == 0 => values.push(tag, text),
                None => values.push_null(),
                Some(value) => {
                    let part = match value {
                        serde_json::Value::Array(items) => items.get(at),
                        object => object.get(name),
                    };
                    let part = part.unwrap_or(&serde_json::Value::Null);
                    if peer.is_some() { values.push_peer(part) } else { values.push_json(part) }
                }
            }
            match (peer, values.tag(0)) {
                (Some(peer), Tag::Id) => match self.by_id(peer, values.text(0)) {
                    Found::Row(row) if !self.work[peer].keys.is_empty() => {
                        push_peer_part(self.work[peer].keys.get(row as usize), &mut wanted)
                    }
                    _ => return None,
                },
                (Some(peer), tag) if tag != Tag::Null => push_peer_part(&self.natural_key(peer, tag, values.text(0), depth)?, &mut wanted),
                _ => {
                    let values = values.coerced(field.field_type);
                    push_part(values.tag(0), values.text(0), &mut wanted);
                }
            }
        }
        (!key::is_blank(&wanted)).then_some(wanted)
    }

    fn find(&mut self, kind: usize, tag: Tag, text: &str) -> Found {
        if tag == Tag::Id {
            return self.by_id(kind, text);
        }
        match self.natural_key(kind, tag, text, IDENTITY_DEPTH_MAX) {
            Some(key) => self.by_key(kind, &key),
            None => Found::No,
        }
    }

    /// Finds a peer among the kinds that a field may refer to. A row comes with the place of its kind.
    fn find_among(&mut self, kinds: &[usize], tag: Tag, text: &str) -> (u16, Found) {
        if let [only] = kinds {
            return (0, self.find(*only, tag, text));
        }
        let candidates = self.candidates(kinds, tag, text);
        let mut found = (0, Found::No);
        for (place, kind) in kinds.iter().enumerate().filter(|(_, kind)| candidates.contains(kind)) {
            match (self.find(*kind, tag, text), &found.1) {
                (Found::No, _) => {}
                (here, Found::No) => found = (u16::try_from(place).unwrap_or(u16::MAX), here),
                // The first is no better than the second, and guessing would write to the wrong object.
                _ => return (0, Found::SeveralKinds),
            }
        }
        found
    }

    /// Of the kinds that a field may refer to, those that a peer given as an object can be of: the one that it names as its `kind`, else those
    /// that have just its members as identifiers. Of anything else all.
    fn candidates(&self, kinds: &[usize], tag: Tag, text: &str) -> Vec<usize> {
        let object = if tag == Tag::Json { serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).ok() } else { None };
        let Some(object) = object else { return kinds.to_vec() };
        let identifiers = |kind: usize| self.model.kinds[kind].identifiers.as_slice();
        let narrowed: Vec<usize> = match object.get("kind").and_then(serde_json::Value::as_str) {
            Some(name) if kinds.iter().all(|kind| identifiers(*kind).iter().all(|known| known != "kind")) => {
                kinds.iter().copied().filter(|kind| self.model.kinds[*kind].name == name).collect()
            }
            _ => {
                let exact = |kind: &usize| {
                    identifiers(*kind).len() == object.len() && identifiers(*kind).iter().all(|name| object.contains_key(name))
                };
                kinds.iter().copied().filter(exact).collect()
            }
        };
        if narrowed.is_empty() { kinds.to_vec() } else { narrowed }
    }

    fn object_name(&self, kind: usize, row: usize) -> String {
        let work = &self.work[kind];
        if work.raw.ids.tag(row) != Tag::Null {
            return work.raw.ids.text(row).to_owned();
        }
        // Without an id, the identifiers as they were read.
        let model = &self.model.kinds[kind];
        let mut name = String::new();
        for identifier in &model.identifiers {
            if !name.is_empty() {
                name.push_str("__");
            }
            match model.fields.iter().position(|field| field.name == *identifier).and_then(|at| work.raw.columns.get(at)) {
                Some(column) if matches!(column.tag(row), Tag::Null) => name.push_str("None"),
                Some(column) => name.push_str(column.text(row)),
                None => {}
            }
        }
        name
    }

    fn problem(&mut self, kind: usize, row: usize, trouble: Trouble, left_out: bool) {
        let problem = DataProblem { kind: self.model.kinds[kind].name.clone(), object: self.object_name(kind, row), trouble, left_out };
        self.problems.push(problem);
    }

    fn leave_out(&mut self, kind: usize, row: usize) {
        self.work[kind].bad[row] = true;
        self.work[kind].partial = true;
    }

    /// Computes the keys of all rows of a kind; its identifying peers have theirs.
    fn find_keys(&mut self, kind: usize) {
        let model = self.model;
        let spec = &model.kinds[kind];
        let identifiers: Vec<(usize, Option<usize>)> = spec
            .identifiers
            .iter()
            .filter_map(|name| spec.fields.iter().position(|field| field.name == *name))
            .map(|at| (at, spec.fields[at].reference.as_ref().and_then(|peer| model.kind(peer)).map(|(peer, _)| peer)))
            .collect();
        let rows = self.work[kind].raw.rows;
        if identifiers.iter().any(|(_, peer)| *peer == Some(kind)) {
            return self.find_nested_keys(kind, &identifiers);
        }
        let mut key = String::new();
        for row in 0..rows {
            key.clear();
            self.write_key(kind, row, &identifiers, &mut key, None);
            self.work[kind].keys.push(&key);
        }
    }

    /// Tells of a reference (of a row, in a field) that leads to no row; nothing to tell where the peer is left out itself.
    fn unresolved(&mut self, kind: usize, (row, at): (usize, usize), peers: &[usize], found: &Found, text: &str, left_out: bool) {
        let field = self.model.kinds[kind].fields[at].name.clone();
        let names: Vec<&str> = peers.iter().map(|peer| self.model.kinds[*peer].name.as_str()).collect();
        let (kind_name, text) = (names.join(" or "), text.trim_end_matches('\n').to_owned());
        let trouble = match found {
            Found::No => Trouble::Dangling { field, kind: kind_name, peer: text },
            Found::Ambiguous => Trouble::Ambiguous { field, kind: kind_name, peer: text },
            Found::SeveralKinds => Trouble::AmbiguousKind { field, kind: kind_name, peer: text },
            Found::Row(_) | Found::LeftOut => return,
        };
        self.problem(kind, row, trouble, left_out);
    }

    /// Writes one row's key. `own` has the keys of this kind found so far, where its identifiers refer to itself.
    fn write_key(
        &mut self,
        kind: usize,
        row: usize,
        identifiers: &[(usize, Option<usize>)],
        key: &mut String,
        own: Option<&[Option<String>]>,
    ) {
        let raw = self.work[kind].raw;
        for (at, peer) in identifiers {
            let column = &raw.columns[*at];
            let (tag, text) = if peer.is_some() { single(column.tag(row), column.text(row)) } else { (column.tag(row), column.text(row)) };
            let field = &self.model.kinds[kind].fields[*at];
            if tag == Tag::Null {
                if !field.optional {
                    self.problem(kind, row, Trouble::NullIdentifier { field: field.name.clone() }, true);
                    self.leave_out(kind, row);
                }
                push_part(tag, text, key);
                continue;
            }
            let Some(peer) = *peer else {
                push_part(tag, text, key);
                continue;
            };
            if peer == kind && tag != Tag::Id {
                // A peer of the same kind by its natural key: the key is the name; whether it is among the rows is checked after.
                if let Some(named) = self.natural_key(kind, tag, text, IDENTITY_DEPTH_MAX) {
                    push_peer_part(&named, key);
                    continue;
                }
            }
            match self.find(peer, tag, text) {
                Found::Row(peer_row) if peer == kind => match own.and_then(|own| own.get(peer_row as usize)?.as_deref()) {
                    Some(peer_key) => push_peer_part(peer_key, key),
                    None => {
                        self.leave_out(kind, row);
                        push_part(Tag::Null, "", key);
                    }
                },
                Found::Row(peer_row) => push_peer_part(self.work[peer].keys.get(peer_row as usize), key),
                found => {
                    self.unresolved(kind, (row, *at), &[peer], &found, text, true);
                    self.leave_out(kind, row);
                    push_part(Tag::Null, "", key);
                }
            }
        }
        if key::is_blank(key) && !self.work[kind].bad[row] {
            let field = self.model.kinds[kind].identifiers.join(", ");
            self.problem(kind, row, Trouble::NullIdentifier { field }, true);
            self.leave_out(kind, row);
        }
    }

    /// Keys of a kind that is identified by objects of the same kind (a location by its parent): parents first, loops found.
    fn find_nested_keys(&mut self, kind: usize, identifiers: &[(usize, Option<usize>)]) {
        let raw = self.work[kind].raw;
        let upward: Vec<usize> = identifiers.iter().filter(|(_, peer)| *peer == Some(kind)).map(|(at, _)| *at).collect();
        let mut own: Vec<Option<String>> = vec![None; raw.rows];
        // 0 not seen, 1 on the way, 2 done. Only rows that lead to the top of the stack are on the way; a row that waits may stand in
        // it twice.
        let mut state = vec![0u8; raw.rows];
        let mut stack: Vec<usize> = Vec::new();
        for start in 0..raw.rows {
            if state[start] == 0 {
                stack.push(start);
            }
            while let Some(&row) = stack.last() {
                if state[row] == 0 {
                    state[row] = 1;
                    let before = stack.len();
                    for at in &upward {
                        let (Tag::Id, text) = single(raw.columns[*at].tag(row), raw.columns[*at].text(row)) else { continue };
                        // A parent that is left out already is done.
                        let Found::Row(parent) = self.by_id(kind, text) else { continue };
                        match state[parent as usize] {
                            0 => stack.push(parent as usize),
                            1 => {
                                // Everyone from the parent to here is in the loop, whoever was looked at first.
                                let field = &self.model.kinds[kind].fields[*at].name;
                                let from = stack.iter().position(|member| *member == parent as usize && state[*member] == 1).unwrap_or(0);
                                let members: Vec<usize> =
                                    stack[from..before].iter().copied().filter(|member| state[*member] == 1).collect();
                                for member in members {
                                    self.problem(kind, member, Trouble::IdentityLoop { field: field.clone() }, true);
                                    self.leave_out(kind, member);
                                }
                            }
                            _ => {}
                        }
                    }
                    if stack.len() > before {
                        continue;
                    }
                }
                stack.pop();
                if state[row] == 2 {
                    continue;
                }
                state[row] = 2;
                let mut key = String::new();
                self.write_key(kind, row, identifiers, &mut key, Some(&own));
                if key::depth(&key) > IDENTITY_DEPTH_MAX {
                    let field = upward.first().map(|at| self.model.kinds[kind].fields[*at].name.clone()).unwrap_or_default();
                    self.problem(kind, row, Trouble::TooDeep { field }, true);
                    self.leave_out(kind, row);
                    key.clear();
                }
                own[row] = Some(key);
            }
        }
        for key in &own {
            self.work[kind].keys.push(key.as_deref().unwrap_or(""));
        }
        self.check_named_parents(kind, &upward);
    }

    /// Leaves out the rows whose parent, given by its natural key, is not there, and those below them.
    fn check_named_parents(&mut self, kind: usize, upward: &[usize]) {
        let raw = self.work[kind].raw;
        let by_name = |at: &usize| raw.columns[*at].tags().iter().any(|tag| !matches!(tag, Tag::Null | Tag::Missing | Tag::Id));
        if !upward.iter().any(by_name) {
            return;
        }
        let keys = &self.work[kind].keys;
        let mut order: Vec<usize> = (0..raw.rows).filter(|row| !self.work[kind].bad[*row]).collect();
        // A parent's key is part of its child's and so shorter.
        order.sort_by_key(|row| keys.get(*row).len());
        for row in order {
            for at in upward {
                let (tag, text) = single(raw.columns[*at].tag(row), raw.columns[*at].text(row));
                if tag == Tag::Null {
                    continue;
                }
                let found = self.find(kind, tag, text);
                if !matches!(found, Found::Row(_)) {
                    self.unresolved(kind, (row, *at), &[kind], &found, text, true);
                    self.leave_out(kind, row);
                }
            }
        }
    }

    /// Whether two rows of one key are two readings of one object: they have one id and come from one resource, or do not differ.
    fn same_object(&self, kind: usize, a: usize, b: usize) -> bool {
        let raw = self.work[kind].raw;
        let same = |column: &ValueColumn| column.tag(a) == column.tag(b) && column.text(a) == column.text(b);
        raw.ids.tag(a) != Tag::Null
            && raw.ids.tag(b) != Tag::Null
            && raw.ids.text(a) == raw.ids.text(b)
            && (raw.feed_of(a) == raw.feed_of(b) || (raw.columns.iter().all(same) && self.plain[kind].iter().all(same)))
    }

    /// Sorts a kind's rows by key and finds those that cannot be told apart.
    fn sort(&mut self, kind: usize) {
        let work = &self.work[kind];
        let rows = work.raw.rows;
        let mut order: Vec<u32> = (0..rows as u32).filter(|row| !work.bad[*row as usize]).collect();
        let keys = &work.keys;
        let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
        if !order.windows(2).all(|pair| keys.get(pair[0] as usize) < keys.get(pair[1] as usize)) {
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
                    runs.push(at..end);
                }
                at = end;
            }
        }
        // Earlier readings, each with the later one that it is dropped for.
        let mut instead: Vec<(u32, u32)> = Vec::new();
        for run in runs {
            let Some(run) = order.get(run) else { continue };
            // The objects of this key, each with its last reading.
            let mut objects: Vec<u32> = Vec::new();
            for row in run {
                match objects.last_mut() {
                    Some(last) if self.same_object(kind, *last as usize, *row as usize) => {
                        instead.push((*last, *row));
                        *last = *row;
                    }
                    _ => objects.push(*row),
                }
            }
            for pair in objects.windows(2) {
                let other = self.object_name(kind, pair[0] as usize);
                self.problem(kind, pair[1] as usize, Trouble::Duplicate { other }, true);
            }
            if objects.len() > 1 {
                // The source does not say which of them is meant. In the destination one is as good as the other, and to leave out
                // all would have a further one created.
                let keep = if self.side == Side::Destination { objects.first() } else { None };
                // The readings of an object stand together, the last of them last.
                let from = keep.and_then(|keep| run.iter().position(|row| row == keep)).map_or(0, |at| at + 1);
                for row in &run[from..] {
                    self.leave_out(kind, *row as usize);
                }
            }
        }
        let work = &mut self.work[kind];
        let mut dropped = vec![false; if instead.is_empty() { 0 } else { rows }];
        instead.iter().for_each(|(old, _)| dropped[*old as usize] = true);
        let gone = |row: &u32| work.bad[*row as usize] || dropped.get(*row as usize) == Some(&true);
        let kept: Vec<u32> = order.into_iter().filter(|row| !gone(row)).collect();
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
                    let mut set: Vec<(u16, u32)> = Vec::new();
                    for row in &order {
                        set.clear();
                        let held = self.resolve(kind, *row as usize, at, &peers.kinds, column, &mut set);
                        peers.push(held, &set);
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
            completeness: Completeness::Complete,
        }
    }

    /// What a reference holds, by its peers; the field's cardinality decides what a list is.
    ///
    /// `kinds` are those that the field may refer to; the mapping that brought the row may know which one it means.
    fn resolve(&mut self, kind: usize, row: usize, at: usize, kinds: &[usize], column: &ValueColumn, set: &mut Vec<(u16, u32)>) -> Held {
        if kinds.len() > 1
            && let Some(place) = self.work[kind].raw.meant(row, at).and_then(|meant| kinds.iter().position(|known| *known == meant))
        {
            let held = self.resolve(kind, row, at, &kinds[place..=place], column, set);
            set.iter_mut().for_each(|(known, _)| *known = u16::try_from(place).unwrap_or(u16::MAX));
            return held;
        }
        let cardinality = self.model.kinds[kind].fields[at].cardinality;
        let (mut tag, mut text) = (column.tag(row), column.text(row));
        if cardinality == Cardinality::One {
            (tag, text) = single(tag, text);
        }
        let mut items = ValueColumn::default();
        match tag {
            Tag::Null => return Held::Null,
            Tag::Unresolved => return Held::Unresolved,
            Tag::Ids => text.split_terminator('\n').for_each(|id| items.push(Tag::Id, id)),
            Tag::Json if text.starts_with('[') && !kinds.iter().any(|peer| self.is_composite_key(*peer, cardinality, text)) => {
                let list: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
                list.iter().filter(|item| !item.is_null()).for_each(|item| items.push_peer(item));
            }
            _ => {
                return match (self.resolve_one(kind, (row, at), kinds, tag, text, set), cardinality) {
                    (false, _) => Held::Unresolved,
                    (true, Cardinality::Many) => Held::Many,
                    (true, _) => Held::One,
                };
            }
        }
        let mut all = true;
        for item in (0..items.len()).filter(|item| items.tag(*item) != Tag::Null) {
            // Not the first only: each that is not there is told.
            all &= self.resolve_one(kind, (row, at), kinds, items.tag(item), items.text(item), set);
        }
        if !all {
            set.clear();
            return Held::Unresolved;
        }
        set.sort_unstable();
        set.dedup();
        match (cardinality, set.len()) {
            (Cardinality::One, 0) => Held::Null,
            (Cardinality::One, 1) => Held::One,
            _ => Held::Many,
        }
    }

    /// Whether a list is one peer's composite key rather than a set of peers: the field holds one peer, or, where that is not known, the
    /// lengths fit.
    fn is_composite_key(&self, peer: usize, cardinality: Cardinality, text: &str) -> bool {
        let identifiers = self.model.kinds[peer].identifiers.len();
        let items = || serde_json::from_str::<Vec<serde_json::Value>>(text).unwrap_or_default();
        match cardinality {
            Cardinality::Many => false,
            // A list of one is that one.
            Cardinality::One => items().len() > 1,
            Cardinality::Unknown if identifiers > 1 => {
                let items = items();
                items.len() == identifiers && items.first().is_some_and(|first| !first.is_array() && !first.is_object())
            }
            Cardinality::Unknown => false,
        }
    }

    /// Finds one peer of a reference (of a row, in a field).
    fn resolve_one(
        &mut self,
        kind: usize,
        (row, at): (usize, usize),
        kinds: &[usize],
        tag: Tag,
        text: &str,
        set: &mut Vec<(u16, u32)>,
    ) -> bool {
        let (place, found) = self.find_among(kinds, tag, text);
        if let (Found::Row(found), Some(peer)) = (&found, kinds.get(place as usize)) {
            set.push((place, self.work[*peer].position[*found as usize]));
            return true;
        }
        if self.side == Side::Destination {
            set.push((0, NOWHERE));
            return true;
        }
        self.unresolved(kind, (row, at), kinds, &found, text, false);
        false
    }
}

/// A list of one peer by id is that peer, an empty one is null.
fn single(tag: Tag, text: &str) -> (Tag, &str) {
    match (tag, text.split_once('\n')) {
        (Tag::Ids, None) => (Tag::Null, ""),
        (Tag::Ids, Some((id, ""))) => (Tag::Id, id),
        _ => (tag, text),
    }
}

/// The text of a peer that is named by its one plain identifier, `{"name":"akron"}`: the common case when a destination of files is read
/// back, taken from its canonical form without parsing. None: the general way finds out.
fn lone_text<'t>(spec: &crate::model::KindModel, tag: Tag, text: &'t str) -> Option<&'t str> {
    let [name] = spec.identifiers.as_slice() else { return None };
    if tag != Tag::Json || spec.fields.iter().any(|field| field.name == *name && field.reference.is_some()) {
        return None;
    }
    let inner = text.strip_prefix("{\"")?.strip_prefix(name.as_str())?.strip_prefix("\":\"")?.strip_suffix("\"}")?;
    // A quote would begin another key, a backslash an escape.
    (!inner.bytes().any(|byte| byte == b'"' || byte == b'\\')).then_some(inner)
}
