//! The pages of one resource, one after the other, within the limits of its adapter.
//!
//! Key types: [`Pages`] (asks for them) and [`Place`] (which page it is, and how its payload becomes records).

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use infrahub_sync_core::records::{Projection, Records, RecordsError};
use infrahub_sync_core::value::{Tag, ValueColumn};
use infrahub_sync_runtime::{Column, ColumnData, Cursor, Layout, LoadRequest, Page, Payload, Session};

use crate::{EngineError, Side};

/// Reads one resource to its end.
pub(crate) struct Pages {
    place: Place,
    /// The request for the next page; none after the last one.
    request: Option<LoadRequest>,
    /// The cursors that were handed out, hashed: a page that was read once is not read again.
    seen: HashSet<u64>,
}

/// A page's place, for its errors.
#[derive(Clone)]
pub(crate) struct Place {
    session: Arc<Session>,
    side: Side,
    resource: String,
    /// Counted from 1.
    number: u64,
}

impl Pages {
    /// Begins at the request.
    pub(crate) fn new(session: Arc<Session>, side: Side, request: LoadRequest) -> Pages {
        let place = Place { session, side, resource: request.resource.clone(), number: 0 };
        Pages { place, request: Some(request), seen: HashSet::new() }
    }

    /// The next page; none when the last one was the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Page>, EngineError> {
        let Some(request) = &mut self.request else { return Ok(None) };
        let page = self.place.session.load(request.clone()).await?;
        self.place.number += 1;
        match &page.next {
            // Two cursors or ten that lead in a circle never end either.
            Some(cursor) if !self.seen.insert(hash(cursor)) => {
                return Err(EngineError::CursorLoop { side: self.place.side, resource: self.place.resource.clone() });
            }
            Some(cursor) => request.cursor = Some(cursor.clone()),
            None => self.request = None,
        }
        Ok(Some(page))
    }

    /// The place of the page that came last.
    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }
}

fn hash(cursor: &Cursor) -> u64 {
    let mut hasher = DefaultHasher::new();
    cursor.0.hash(&mut hasher);
    hasher.finish()
}

impl Place {
    /// The page as columns, whatever form the adapter chose.
    pub(crate) fn records(&self, projection: &Projection, payload: Payload) -> Result<Records, EngineError> {
        let records = records(projection, payload, self.session.page_records_max()).map_err(|error| match error {
            RecordsError::TooMany { .. } => EngineError::Adapter(self.session.too_many_records(&self.resource)),
            source => EngineError::Records { side: self.side, resource: self.resource.clone(), page: self.number, source },
        })?;
        self.session.count_records(&self.resource, records.rows)?;
        Ok(records)
    }
}

/// The payload of a page as columns.
///
/// # Errors
///
/// More than `rows_max` records, or what is none.
pub fn records(projection: &Projection, payload: Payload, rows_max: usize) -> Result<Records, RecordsError> {
    match payload {
        Payload::Document { body, layout, pointer, projection: moved } => {
            let placed;
            let projection = if moved.is_empty() {
                projection
            } else {
                placed = projection.moved(&moved);
                &placed
            };
            match layout {
                Layout::Json => projection.json_within(&body, &pointer, rows_max),
                Layout::JsonLines => projection.json_lines_within(&body, rows_max),
            }
        }
        Payload::JsonLines(lines) => projection.json_lines_within(&lines, rows_max),
        Payload::Columns(columns) => {
            let rows = columns.rows();
            projection.packed(rows, columns.into_columns().into_iter().map(|column| (column.name.clone(), values(&column))).collect())
        }
    }
}

/// A packed column as values. The runtime has checked its shape.
fn values(column: &Column) -> ValueColumn {
    let mut out = ValueColumn::with_capacity(column.data.len());
    for row in 0..column.data.len() {
        let valid = column.validity.as_ref().is_none_or(|bits| bits.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1));
        if !valid {
            out.push_null();
            continue;
        }
        match &column.data {
            ColumnData::Booleans(values) => out.push_bool(values.get(row).copied().unwrap_or(false)),
            ColumnData::Integers(values) => out.push_int(values.get(row).copied().unwrap_or(0).into()),
            ColumnData::Floats(values) => out.push_float(values.get(row).copied().unwrap_or(f64::NAN)),
            ColumnData::Texts(texts) => out.push_text(texts.get(row).unwrap_or("")),
            ColumnData::Jsons(texts) => match serde_json::from_str(texts.get(row).unwrap_or("null")) {
                Ok(value) => out.push_json(&value),
                // No JSON after all: kept as text, so that it is seen.
                Err(_) => out.push(Tag::Text, texts.get(row).unwrap_or("")),
            },
        }
    }
    out
}
