//! From the records of a system to the fields of the model: filter, transform, project.

pub mod feed;
pub mod filter;
pub mod transform;

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
    pub meanings: Vec<Meaning>,
}

/// What the mapping that brought some rows says of their references.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meaning {
    /// The row behind the last of them.
    pub until: usize,
    /// The position of a field, and that of the kind (in the model) that its references mean. Of a field that is not there any of
    /// its kinds may be meant.
    pub peers: Vec<(usize, usize)>,
}

impl RawKind {
    /// An empty kind of so many fields.
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
            && self.columns.iter().zip(&other.columns).all(|(ours, theirs)| ours.has_room(theirs.text_bytes())))
        {
            return Err(ColumnTooLarge);
        }
        self.ids.append(&other.ids)?;
        for (ours, theirs) in self.columns.iter_mut().zip(&other.columns) {
            ours.append(theirs)?;
        }
        let before = self.rows;
        self.rows += other.rows;
        if !(self.meanings.is_empty() && other.meanings.is_empty()) {
            self.mean_until(before, &[]);
            other.mean_until(other.rows, &[]);
            self.meanings.extend(other.meanings.into_iter().map(|meaning| Meaning { until: before + meaning.until, ..meaning }));
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

    /// The number of the feed that brought a row.
    #[must_use]
    pub fn feed_of(&self, row: usize) -> usize {
        self.feed_ends.partition_point(|end| *end <= row)
    }

    /// The kind (by its position in the model) that a row's reference means, where its mapping says so.
    #[must_use]
    pub fn meant(&self, row: usize, field: usize) -> Option<usize> {
        let meaning = self.meanings.get(self.meanings.partition_point(|meaning| meaning.until <= row))?;
        meaning.peers.iter().find(|(at, _)| *at == field).map(|(_, kind)| *kind)
    }

    /// Gives the rows up to `until` that have no meaning yet this one.
    pub(crate) fn mean_until(&mut self, until: usize, peers: &[(usize, usize)]) {
        match self.meanings.last_mut() {
            Some(last) if last.until >= until => {}
            Some(last) if last.peers == peers => last.until = until,
            None if until == 0 => {}
            _ => self.meanings.push(Meaning { until, peers: peers.to_vec() }),
        }
    }
}
