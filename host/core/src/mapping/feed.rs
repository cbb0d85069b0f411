//! A mapping at work: the records of a page become rows of a kind.
//!
//! A mapping without filters and transforms moves columns as they are. With them, a record is built of the top-level names that
//! they read, run through, and the fields that a transform may have changed are taken from it.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::RawKind;
use super::filter::{Filter, FilterError};
use super::transform::{TransformError, Transforms};
use crate::records::{Projection, Records, Shape};
use crate::value::{ColumnTooLarge, Tag, ValueColumn};

/// Where a field's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldSource {
    /// `static`.
    Static(Value),
    /// `mapping`: a dotted path into the record.
    Path(String),
    /// `mapping` and `reference`.
    Reference(String),
}

/// Why a record could not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// A filter failed on a record.
    #[error("record {id}")]
    Filter {
        /// The record's id.
        id: String,
        /// What the filter says.
        source: FilterError,
    },
    /// A transform failed on a record.
    #[error("record {id}")]
    Transform {
        /// The record's id.
        id: String,
        /// What the transform says.
        source: TransformError,
    },
    /// Too much text in one field.
    #[error(transparent)]
    TooLarge(#[from] ColumnTooLarge),
}

#[derive(Debug)]
enum Taken {
    Static(Value),
    Column(usize),
    Record { path: Vec<String>, peer: bool },
}

/// One mapping of `schema_mapping`, ready to run.
#[derive(Debug)]
pub struct Feed {
    /// The kind's position in the model.
    pub kind: usize,
    filters: Vec<Filter>,
    transforms: Option<Transforms>,
    /// Each field once, with the places of its value: the last that has one counts.
    fields: Vec<(usize, Vec<Taken>)>,
    /// Top-level names that filters and transforms read, with their slots.
    names: Vec<(String, usize)>,
    id: usize,
    /// Of fields whose peers may be of several kinds: the kind that this mapping means.
    meant: Vec<(usize, usize)>,
}

impl Feed {
    /// The ids of the records of a page, also of those that do not pass the filters; null where a record has none.
    #[must_use]
    pub fn record_ids<'r>(&self, records: &'r Records) -> Option<&'r ValueColumn> {
        records.columns.get(self.id).filter(|ids| ids.len() == records.rows)
    }

    /// The top-level names that filters and transforms read: whatever is below them may matter.
    pub fn read_whole(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| name.as_str())
    }

    /// Whether records may be left out.
    #[must_use]
    pub fn filters_records(&self) -> bool {
        !self.filters.is_empty()
    }

    /// Prepares a mapping and adds what it reads to the projection of its resource.
    ///
    /// `fields` are (position in the kind's fields, source); of several sources of one field the last that yields a value counts.
    #[must_use]
    pub fn new(
        kind: usize,
        filters: Vec<Filter>,
        transforms: Option<Transforms>,
        fields: Vec<(usize, FieldSource)>,
        projection: &mut Projection,
    ) -> Feed {
        let id = projection.slot("id", Shape::Value);
        let mut names: Vec<(String, usize)> = Vec::new();
        let mut written: Vec<String> = Vec::new();
        let mut want = |name: &str, projection: &mut Projection| {
            let top = name.split('.').next().unwrap_or(name).to_owned();
            if !names.iter().any(|(known, _)| *known == top) {
                let slot = projection.slot(&top, Shape::Value);
                names.push((top, slot));
            }
        };
        for filter in &filters {
            want(filter.fields_read(), projection);
        }
        if let Some(transforms) = &transforms {
            let reads = transforms.reads();
            reads.names.iter().for_each(|name| want(name, projection));
            for name in reads.writes {
                want(&name, projection);
                written.push(name);
            }
        }
        let mut grouped: Vec<(usize, Vec<Taken>)> = Vec::with_capacity(fields.len());
        for (at, source) in fields {
            let peer = matches!(source, FieldSource::Reference(_));
            let taken = match source {
                FieldSource::Static(value) => Taken::Static(value),
                FieldSource::Path(path) | FieldSource::Reference(path) if touched(&path, &written) => {
                    Taken::Record { path: path.split('.').map(str::to_owned).collect(), peer }
                }
                FieldSource::Path(path) => Taken::Column(projection.slot(&path, Shape::Value)),
                FieldSource::Reference(path) => Taken::Column(projection.slot(&path, Shape::Peer)),
            };
            match grouped.iter_mut().find(|(known, _)| *known == at) {
                Some((_, places)) => places.push(taken),
                None => grouped.push((at, vec![taken])),
            }
        }
        let fields = grouped;
        Feed { kind, filters, transforms, fields, names, id, meant: Vec::new() }
    }

    /// Says that the references of a field mean objects of one kind (both by their positions), although the field's peers may be of
    /// others: an id of the one kind is none of the others.
    pub fn mean(&mut self, field: usize, kind: usize) {
        self.meant.push((field, kind));
    }

    /// Says which of its fields are references, for those that come out of a transform.
    pub fn mark_references(&mut self, is_reference: impl Fn(usize) -> bool) {
        for (at, places) in &mut self.fields {
            for taken in places {
                if let Taken::Record { peer, .. } = taken {
                    *peer = is_reference(*at);
                }
            }
        }
    }

    /// Maps the records of a page onto rows of the kind. Returns how many passed the filters.
    ///
    /// # Errors
    /// When a filter or transform fails on a record; the record is named and nothing of the page is kept.
    pub fn append(&self, records: &Records, into: &mut RawKind) -> Result<usize, FeedError> {
        if self.filters.is_empty() && self.transforms.is_none() {
            return Ok(self.keep(records, None, &[], into)?);
        }
        let mut rows = Vec::with_capacity(records.rows);
        let mut computed: Vec<Vec<ValueColumn>> =
            self.fields.iter().map(|(_, places)| vec![ValueColumn::default(); places.len()]).collect();
        for row in 0..records.rows {
            let mut record = self.record(records, row);
            let name = || records.columns.get(self.id).map_or_else(String::new, |ids| ids.text(row).to_owned());
            let mut passed = true;
            for filter in &self.filters {
                if !filter.matches(&record).map_err(|source| FeedError::Filter { id: name(), source })? {
                    passed = false;
                    break;
                }
            }
            if !passed {
                continue;
            }
            if let Some(transforms) = &self.transforms {
                transforms.apply(&mut record).map_err(|source| FeedError::Transform { id: name(), source })?;
            }
            for ((_, places), outs) in self.fields.iter().zip(&mut computed) {
                for (taken, out) in places.iter().zip(outs) {
                    if let Taken::Record { path, peer } = taken {
                        match (at_path(&record, path), peer) {
                            (Some(value), true) => out.push_peer(value),
                            (Some(value), false) => out.push_json(value),
                            (None, _) => out.push(Tag::Missing, ""),
                        }
                    }
                }
            }
            rows.push(u32::try_from(row).unwrap_or(u32::MAX));
        }
        Ok(self.keep(records, Some(&rows), &computed, into)?)
    }

    /// Adds the rows named (none named: all) to the kind, or nothing when one of its columns would overflow.
    fn keep(
        &self,
        records: &Records,
        rows: Option<&[u32]>,
        computed: &[Vec<ValueColumn>],
        into: &mut RawKind,
    ) -> Result<usize, ColumnTooLarge> {
        let kept = rows.map_or(records.rows, <[u32]>::len);
        let mut parts: Vec<(usize, Cow<'_, ValueColumn>)> = Vec::with_capacity(self.fields.len());
        for (field, (at, places)) in self.fields.iter().enumerate() {
            let computed = computed.get(field).map_or(&[][..], Vec::as_slice);
            let mut columns: Vec<Cow<'_, ValueColumn>> = Vec::with_capacity(places.len());
            for (place, taken) in places.iter().enumerate() {
                columns.push(match taken {
                    Taken::Static(value) => {
                        let mut column = ValueColumn::default();
                        (0..kept).for_each(|_| column.push_json(value));
                        Cow::Owned(column)
                    }
                    Taken::Column(slot) => taken_column(records, *slot, rows),
                    Taken::Record { .. } => computed.get(place).map_or_else(Cow::default, Cow::Borrowed),
                });
            }
            let column = if columns.len() == 1 { columns.swap_remove(0) } else { Cow::Owned(last_value(&columns, kept)) };
            parts.push((*at, column));
        }
        let ids = taken_column(records, self.id, rows);
        // Everything is looked at before anything is added, so that a page is kept whole or not at all.
        let fits = |(at, column): &(usize, Cow<'_, ValueColumn>)| into.columns.get(*at).is_none_or(|out| out.has_room(column.text_bytes()));
        if !(into.ids.has_room(ids.text_bytes()) && parts.iter().all(fits)) {
            return Err(ColumnTooLarge);
        }
        for (at, column) in &parts {
            if let Some(out) = into.columns.get_mut(*at) {
                out.append(column)?;
            }
        }
        into.ids.append(&ids)?;
        if !(self.meant.is_empty() && into.meanings.is_empty()) {
            into.mean_until(into.rows, &[]);
            into.mean_until(into.rows + kept, &self.meant);
        }
        into.rows += kept;
        // Fields that this mapping does not feed are null in its rows.
        into.ids.fill(into.rows);
        into.columns.iter_mut().for_each(|column| column.fill(into.rows));
        Ok(kept)
    }

    fn record(&self, records: &Records, row: usize) -> Map<String, Value> {
        let mut record = Map::new();
        for (name, slot) in &self.names {
            if let Some(column) = records.columns.get(*slot).filter(|column| !column.is_missing(row)) {
                record.insert(name.clone(), column.to_json(row));
            }
        }
        record
    }
}

/// A page's column, of the rows named; empty where the page has none of that slot or not one value a record.
fn taken_column<'r>(records: &'r Records, slot: usize, rows: Option<&[u32]>) -> Cow<'r, ValueColumn> {
    match (records.columns.get(slot).filter(|column| column.len() == records.rows), rows) {
        (None, _) => Cow::default(),
        (Some(column), None) => Cow::Borrowed(column),
        (Some(column), Some(rows)) => Cow::Owned(column.gather(rows)),
    }
}

/// In each row the last value that is not null.
fn last_value(columns: &[Cow<'_, ValueColumn>], rows: usize) -> ValueColumn {
    let mut out = ValueColumn::with_capacity(rows);
    for row in 0..rows {
        match columns.iter().rev().find(|column| column.tag(row) != Tag::Null) {
            Some(column) => out.push_from(column, row),
            None => out.push_null(),
        }
    }
    out
}

/// Whether a transform writes the path's first name, or the path itself.
fn touched(path: &str, written: &[String]) -> bool {
    let top = path.split('.').next();
    written.iter().any(|name| name.split('.').next() == top)
}

fn at_path<'r>(record: &'r Map<String, Value>, path: &[String]) -> Option<&'r Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(record.get(first)?, |value, name| value.as_object()?.get(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(raw: &RawKind, column: usize) -> Vec<Value> {
        (0..raw.rows).map(|row| raw.columns[column].to_json(row)).collect()
    }

    /// One page through a feed, and the same page again.
    fn feed(filters: Vec<Filter>, transforms: &[(&str, &str)], fields: Vec<(usize, FieldSource)>, body: &str) -> RawKind {
        let transforms: Vec<(String, String)> =
            transforms.iter().map(|(field, template)| ((*field).to_owned(), (*template).to_owned())).collect();
        let transforms = (!transforms.is_empty()).then(|| Transforms::compile(&transforms).unwrap());
        let mut projection = Projection::default();
        let feed = Feed::new(0, filters, transforms, fields, &mut projection);
        let mut raw = RawKind::new(3);
        for _ in 0..2 {
            feed.append(&projection.json(body, "").unwrap(), &mut raw).unwrap();
        }
        assert!(raw.columns.iter().all(|column| column.len() == raw.rows) && raw.ids.len() == raw.rows);
        raw
    }

    fn path(path: &str) -> FieldSource {
        FieldSource::Path(path.to_owned())
    }

    #[test]
    fn last_source_of_a_field_that_yields_a_value_counts() {
        let body = r#"[{"id":1,"a":"x","b":"y"},{"id":2,"a":"x","b":null},{"id":3},{"id":4,"b":"z"}]"#;
        let fields = || vec![(2, FieldSource::Static(json!("s"))), (0, path("id")), (2, path("a")), (2, path("b"))];
        let expected = ["y", "x", "s", "z", "y", "x", "s", "z"].map(Value::from);
        assert_eq!(rows(&feed(Vec::new(), &[], fields(), body), 2), expected);
        let filtered = feed(vec![Filter::compile("id", "!=", Some(&json!(3))).unwrap()], &[("b", "{{ none }}")], fields(), body);
        assert_eq!(rows(&filtered, 2), ["y", "x", "z", "y", "x", "z"].map(Value::from));
        assert_eq!(rows(&filtered, 1), vec![Value::Null; 6]);
    }

    #[test]
    fn reference_that_a_transform_wrote_is_a_reference() {
        let raw = feed(Vec::new(), &[("site", "{{ {'id': 7} }}")], vec![(0, FieldSource::Reference("site".into()))], r#"[{"id":1}]"#);
        assert_eq!((raw.columns[0].tag(0), raw.columns[0].text(0)), (Tag::Id, "7"));
    }
}
