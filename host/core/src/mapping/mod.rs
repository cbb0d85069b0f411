//! From the records of a system to the fields of the model: filter, transform, project.

pub mod census;
pub mod feed;
pub mod filter;
pub mod lent;
pub mod origin;
pub mod reference;
pub mod trace;
pub mod transform;

use self::census::Census;
use self::origin::{Origins, Skipped};
use self::trace::Trace;
use crate::value::{ColumnTooLarge, ValueColumn};

/// The rows of one kind as they were read, before references are resolved.
#[derive(Debug, Clone, Default)]
pub struct RawKind {
    /// The number of rows.
    pub rows: usize,
    /// The ids in the system that was read; null where records have none.
    pub ids: ValueColumn,
    /// One column a field of the kind, in the model's order.
    pub columns: Vec<ValueColumn>,
    /// Where the rows of each feed end, rising; empty when one feed brought all rows. Ids are unique within a resource, so
    /// one id in two feeds may mean two objects.
    pub feed_ends: Vec<usize>,
    /// Which of a field's peer kinds the references of a row mean, rows in order; empty where no field has more than one.
    pub peer_kind_hints: Vec<PeerKindHint>,
    /// The destination's resource of each row; empty where the kind has one.
    pub resources: ResourceColumn,
    /// Where the rows were read, as far as that is known.
    pub origins: Origins,
    /// The records on which a filter or a transform failed.
    pub skipped: Vec<Skipped>,
    /// The counts of one mapping, until its rows are merged with those of others.
    pub census: Census,
    /// Records that `explain` can tell of: of one mapping, until its rows are merged with those of others.
    pub trace: Trace,
    /// The sync that made each object, where the system records it; empty where that was not read.
    pub owners: ValueColumn,
}

/// The destination's resource of each row of a kind whose mappings have several. Empty for other kinds, which pay nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceColumn {
    names: Vec<String>,
    /// The place of each row's name; beyond the names where it is not known.
    rows: Vec<u16>,
}

impl ResourceColumn {
    const UNKNOWN: u16 = u16::MAX;

    /// Returns whether no row has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the resource of a row, where it is known.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&str> {
        self.names.get(usize::from(*self.rows.get(row)?)).map(String::as_str)
    }

    /// Adds a row.
    pub fn push(&mut self, resource: Option<&str>) {
        let at = resource.map_or(Self::UNKNOWN, |resource| self.name(resource));
        self.rows.push(at);
    }

    /// Returns the rows named, in that order.
    #[must_use]
    pub fn gather(&self, rows: &[u32]) -> ResourceColumn {
        let at = |row: &u32| self.rows.get(*row as usize).copied().unwrap_or(Self::UNKNOWN);
        let rows = if self.is_empty() { Vec::new() } else { rows.iter().map(at).collect() };
        ResourceColumn { names: self.names.clone(), rows }
    }

    fn name(&mut self, resource: &str) -> u16 {
        let at = self.names.iter().position(|known| known == resource).unwrap_or_else(|| {
            self.names.push(resource.to_owned());
            self.names.len() - 1
        });
        u16::try_from(at).unwrap_or(Self::UNKNOWN)
    }

    /// Gives the rows from `from` to `to` a resource; those before them that have none stay unknown.
    fn fill_with(&mut self, from: usize, to: usize, resource: &str) {
        let at = self.name(resource);
        self.rows.resize(from, Self::UNKNOWN);
        self.rows.resize(to, at);
    }

    /// Adds the `count` rows of another column behind these `rows`.
    fn append(&mut self, rows: usize, other: &ResourceColumn, count: usize) {
        if self.is_empty() && other.is_empty() {
            return;
        }
        self.rows.resize(rows, Self::UNKNOWN);
        (0..count).for_each(|row| self.push(other.get(row)));
    }
}

/// The statements of a mapping about the references of its rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerKindHint {
    /// The row behind the last of them.
    pub until: usize,
    /// The position of a field, and that of a kind (in the model) that its references may mean. Of a field that is not there any of
    /// its kinds may be meant.
    pub peers: Vec<(usize, usize)>,
}

impl RawKind {
    /// Returns an empty kind with this number of fields.
    #[must_use]
    pub fn new(fields: usize) -> RawKind {
        RawKind { columns: vec![ValueColumn::default(); fields], ..RawKind::default() }
    }

    /// Adds the rows of another feed of the same kind behind these and keeps where they begin.
    ///
    /// # Errors
    /// When a field's text would pass 4 GiB; nothing is changed then.
    pub fn merge(&mut self, mut other: RawKind) -> Result<(), ColumnTooLarge> {
        let fields = self.columns.len().max(other.columns.len());
        for raw in [&mut *self, &mut other] {
            raw.columns.resize_with(fields, ValueColumn::default);
            raw.ids.fill(raw.rows);
            raw.columns.iter_mut().for_each(|column| column.fill(raw.rows));
        }
        if !(self.ids.has_room(other.ids.text_bytes())
            && self.owners.has_room(other.owners.text_bytes())
            && self.columns.iter().zip(&other.columns).all(|(ours, theirs)| ours.has_room(theirs.text_bytes())))
        {
            return Err(ColumnTooLarge);
        }
        self.resources.append(self.rows, &other.resources, other.rows);
        if !(self.owners.is_empty() && other.owners.is_empty()) {
            self.owners.fill(self.rows);
            other.owners.fill(other.rows);
            self.owners.append(&other.owners)?;
        }
        self.ids.append(&other.ids)?;
        for (ours, theirs) in self.columns.iter_mut().zip(&other.columns) {
            ours.append(theirs)?;
        }
        let before = self.rows;
        self.rows += other.rows;
        self.origins.append(before, std::mem::take(&mut other.origins));
        self.skipped.append(&mut other.skipped);
        if !(self.peer_kind_hints.is_empty() && other.peer_kind_hints.is_empty()) {
            self.hint_until(before, &[]);
            other.hint_until(other.rows, &[]);
            self.peer_kind_hints
                .extend(other.peer_kind_hints.into_iter().map(|meaning| PeerKindHint { until: before + meaning.until, ..meaning }));
        }
        if self.feed_ends.last() != Some(&before) {
            self.feed_ends.push(before);
        }
        self.feed_ends.extend(other.feed_ends.iter().map(|end| before + end));
        if self.feed_ends.last() != Some(&self.rows) {
            self.feed_ends.push(self.rows);
        }
        Ok(())
    }

    /// Returns the number of the feed that brought a row.
    #[must_use]
    pub fn feed_of(&self, row: usize) -> usize {
        self.feed_ends.partition_point(|end| *end <= row)
    }

    /// Returns the kinds (by their positions in the model) that a row's reference may mean, where its mapping says so; none where it does not.
    pub fn peer_kinds(&self, row: usize, field: usize) -> impl Iterator<Item = usize> + Clone {
        let meaning = self.peer_kind_hints.get(self.peer_kind_hints.partition_point(|meaning| meaning.until <= row));
        let peers = meaning.map_or(&[][..], |meaning| meaning.peers.as_slice());
        peers.iter().filter(move |(at, _)| *at == field).map(|(_, kind)| *kind)
    }

    /// Gives the rows up to `until` that have no meaning yet this one.
    pub(crate) fn hint_until(&mut self, until: usize, peers: &[(usize, usize)]) {
        match self.peer_kind_hints.last_mut() {
            Some(last) if last.until >= until => {}
            Some(last) if last.peers == peers => last.until = until,
            None if until == 0 => {}
            _ => self.peer_kind_hints.push(PeerKindHint { until, peers: peers.to_vec() }),
        }
    }
}
