//! From the records of a system to the fields of the model: filter, transform, project.

pub mod feed;
pub mod filter;
pub mod literal;
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
}
