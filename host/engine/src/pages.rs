//! Reads one resource page by page, within the limits of its adapter.
//!
//! The page loop exists once, in [`Pages::read`]: the next page is fetched while the last one is parsed. A list that moves meanwhile is read again
//! from its first page (see [`reread`](crate::reread)).

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::ControlFlow;
use std::sync::Arc;

use infrahub_sync_core::records::{Projection, Records, RecordsError, first_of, push_json_text};
use infrahub_sync_core::value::{Tag, ValueColumn};
use infrahub_sync_runtime::{Column, ColumnData, Cursor, Error, FailureKind, Layout, LoadRequest, Page, Payload};
use tokio::sync::Notify;

use crate::reread::{Rereads, is_moved};
use crate::system::System;
use crate::{EngineError, Side};

/// Reads one resource to its end.
pub(crate) struct Pages {
    place: Place,
    /// The request for the next page; none after the last one.
    request: Option<LoadRequest>,
    /// Only what changed is asked for, which an adapter may decline.
    is_since: bool,
    /// Hashes of the cursors so far: no page is read twice.
    seen: HashSet<u64>,
    /// Notified with each answer.
    answered: Option<Arc<Notify>>,
}

/// A page's place, for its errors.
#[derive(Clone)]
pub(crate) struct Place {
    system: Arc<dyn System>,
    side: Side,
    resource: String,
    /// Counted from 1.
    number: u64,
}

/// The statements of the pages about the whole resource.
#[derive(Debug, Default)]
pub(crate) struct Header {
    /// As the first page says.
    pub(crate) watermark: Option<String>,
    /// As the first page says.
    pub(crate) deleted: Option<Vec<String>>,
    /// As the first page says that names it.
    pub(crate) total: Option<u64>,
    /// Why the records are not complete, as any page says.
    pub(crate) partial: Option<String>,
    /// The number of pages.
    pub(crate) pages: u64,
    /// The statements of the adapter that cannot all be true, although the list was read again.
    pub(crate) contradiction: Option<String>,
}

impl Header {
    /// Returns why the records may not be all, if anything says so.
    pub(crate) fn doubt(&mut self) -> Option<String> {
        self.partial.take().or_else(|| self.contradiction.take())
    }

    /// Takes the statements of a further page.
    fn add(&mut self, partial: Option<String>, total: Option<u64>) {
        self.pages += 1;
        self.partial = self.partial.take().or(partial);
        // A system may count only on a later page: it knows the number when it has gone through the list.
        self.total = self.total.or(total);
        if let (Some(first), Some(now)) = (self.total, total)
            && first != now
            && self.contradiction.is_none()
        {
            self.contradiction = Some(format!("the list had {first} objects when its first page was read, and {now} later"));
        }
    }
}

/// Finds no contradiction in what was read.
pub(crate) fn unchecked<T>(_: &Header, _: &T) -> Option<String> {
    None
}

/// How reading a resource ended.
pub(crate) enum Ended<T> {
    /// At its end, or where the reader wanted no more.
    Read(Header, T),
    /// The adapter cannot tell what changed, for this reason.
    Declined(String),
}

/// Whether a reader wants the next page.
pub(crate) type Flow = Result<ControlFlow<()>, EngineError>;

impl Pages {
    /// Begins at the request.
    pub(crate) fn new(system: Arc<dyn System>, side: Side, request: LoadRequest) -> Pages {
        let place = Place { system, side, resource: request.resource.clone(), number: 0 };
        let is_since = request.since.is_some();
        Pages { place, request: Some(request), is_since, seen: HashSet::new(), answered: None }
    }

    /// Notifies `answered` with each answer.
    pub(crate) fn notifying(self, answered: Arc<Notify>) -> Pages {
        Pages { answered: Some(answered), ..self }
    }

    /// Reads all pages. `take` parses a page into what `empty` made. `seen` is called after each page with the total that the system reports, and again
    /// when there is no further page. `check` returns the contradiction in what was read. A list that moved is read again from its first page.
    ///
    /// # Errors
    /// When a page cannot be read, the list never holds still, or what `take` returns.
    pub(crate) async fn read<T, F>(
        mut self,
        empty: impl Fn() -> T,
        take: F,
        seen: impl Fn(&T, Option<u64>, bool),
        check: impl Fn(&Header, &T) -> Option<String>,
    ) -> Result<Ended<T>, EngineError>
    where
        T: Send + 'static,
        F: FnMut(&mut T, &Place, Payload) -> Flow + Clone + Send + 'static,
    {
        let first = self.request.clone();
        let mut rereads = Rereads::default();
        loop {
            let to_its_end = rereads.bears_contradiction();
            let (pause, why) = match self.read_once(empty(), take.clone(), &seen, to_its_end).await {
                Ok(Ended::Read(mut header, into)) => {
                    header.contradiction = header.contradiction.take().or_else(|| check(&header, &into));
                    match header.contradiction.clone().and_then(|why| Some((rereads.after_contradiction()?, why))) {
                        Some(again) => again,
                        None => return Ok(Ended::Read(header, into)),
                    }
                }
                Err(EngineError::Adapter(error)) if is_moved(&error) => match rereads.after_report() {
                    Some(pause) => (pause, error.to_string()),
                    None => return Err(self.place.moving(rereads.reads(), error)),
                },
                ended => return ended,
            };
            let Place { system, resource, side, .. } = &self.place;
            tracing::debug!(%side, resource, why, pause_ms = pause.as_millis(), "the list moved and is read again");
            system.rest(pause, format!("`{resource}` changed while it was read, and is read again")).await;
            system.read_again(resource);
            (self.request, self.place.number) = (first.clone(), 0);
            self.seen.clear();
        }
    }

    /// Reads all pages once. A contradiction between pages ends it early, unless it is to be read to its end.
    async fn read_once<T, F>(
        &mut self,
        mut into: T,
        mut take: F,
        seen: &impl Fn(&T, Option<u64>, bool),
        to_its_end: bool,
    ) -> Result<Ended<T>, EngineError>
    where
        T: Send + 'static,
        F: FnMut(&mut T, &Place, Payload) -> Flow + Send + 'static,
    {
        let mut header = Header::default();
        let mut following = self.next().await;
        loop {
            let page = match following {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(Ended::Read(header, into)),
                Err(EngineError::Adapter(Error::Adapter { failure, .. })) if self.is_since && failure.kind == FailureKind::Unsupported => {
                    return Ok(Ended::Declined(failure.message));
                }
                Err(error) => return Err(error),
            };
            let Page { payload, watermark, deleted, total, partial, .. } = page;
            if header.pages == 0 {
                header = Header { watermark, deleted, total, ..Header::default() };
            }
            header.add(partial, total);
            if header.contradiction.is_some() && !to_its_end {
                return Ok(Ended::Read(header, into));
            }
            let place = self.place.clone();
            let total = header.total;
            let parsing = async {
                let parsed = tokio::task::spawn_blocking(move || {
                    let flow = take(&mut into, &place, payload)?;
                    Ok::<_, EngineError>((into, take, flow))
                })
                .await;
                // Not only when the next page is there, which may take long.
                if let Ok(Ok((into, ..))) = &parsed {
                    seen(into, total, false);
                }
                parsed
            };
            let (parsed, next) = tokio::join!(parsing, self.next());
            let flow;
            (into, take, flow) = parsed.map_err(|panic| EngineError::Internal(format!("parsing a page ended early: {panic}")))??;
            if flow.is_break() {
                return Ok(Ended::Read(header, into));
            }
            following = next;
            if matches!(following, Ok(None)) {
                seen(&into, total, true);
            }
        }
    }

    /// Returns the next page; none after the last one.
    async fn next(&mut self) -> Result<Option<Page>, EngineError> {
        let Some(request) = &mut self.request else { return Ok(None) };
        let answer = self.place.system.load(request.clone()).await;
        if let Some(answered) = &self.answered {
            answered.notify_one();
        }
        let page = answer?;
        self.place.number += 1;
        match &page.next {
            // A circle of two or ten cursors never ends either.
            Some(cursor) if !self.seen.insert(hash(cursor)) => {
                return Err(EngineError::CursorLoop { side: self.place.side, resource: self.place.resource.clone() });
            }
            Some(cursor) => request.cursor = Some(cursor.clone()),
            None => self.request = None,
        }
        Ok(Some(page))
    }
}

fn hash(cursor: &Cursor) -> u64 {
    let mut hasher = DefaultHasher::new();
    cursor.0.hash(&mut hasher);
    hasher.finish()
}

impl Place {
    /// Returns the failure of a list that never holds still.
    fn moving(&self, reads: usize, source: Error) -> EngineError {
        EngineError::Moving { side: self.side, resource: self.resource.clone(), reads, source: Box::new(source) }
    }

    /// Returns the page as columns, in whatever form the adapter sent it.
    ///
    /// # Errors
    /// When it has too many records, or is not a list of records.
    pub(crate) fn records(&self, projection: &Projection, payload: Payload) -> Result<Records, EngineError> {
        self.records_behind(projection, payload, 0)
    }

    /// As [`records`](Self::records), of a page behind this number of lines.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn records_behind(&self, projection: &Projection, payload: Payload, lines: u64) -> Result<Records, EngineError> {
        let records = records(projection, payload, self.system.page_records_max()).map_err(|error| {
            let source = match error {
                RecordsError::TooMany { .. } => return EngineError::Adapter(self.system.too_many_records(&self.resource)),
                RecordsError::Line { line, error } => RecordsError::Line { line: line + usize::try_from(lines).unwrap_or_default(), error },
                source => source,
            };
            let (resource, is_file) = (self.resource.clone(), self.system.manifest().address_setting.is_none());
            EngineError::Records { side: self.side, resource, page: self.number, is_file, source }
        })?;
        self.system.count_records(&self.resource, records.rows)?;
        Ok(records)
    }
}

/// The records of a page that are looked at to say what records have.
const RECORDS_LOOKED_AT: usize = 20;

/// Returns the first records of a page, as far as they tell the names of fields.
pub(crate) fn sample(payload: &Payload) -> Vec<serde_json::Value> {
    let lines = |text: &str| {
        let lines = text.lines().filter(|line| !line.trim().is_empty()).take(RECORDS_LOOKED_AT);
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    match payload {
        // The places of fields are the adapter's then, not those of the mapping.
        Payload::Document { projection, .. } if !projection.is_empty() => Vec::new(),
        Payload::Document { body, layout: Layout::Json, pointer, .. } => first_of(body, pointer, RECORDS_LOOKED_AT),
        Payload::Document { body, layout: Layout::JsonLines, .. } => lines(body),
        Payload::JsonLines(text) => lines(text),
        Payload::Columns(_) => Vec::new(),
    }
}

/// Returns the payload of a page as columns.
///
/// # Errors
///
/// More than `rows_max` records, or a payload that is not a list of records.
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
        Payload::JsonLines(text) => {
            // The adapter made these lines: those of its file are others.
            let read = projection.json_lines_within(&text, rows_max)?;
            Ok(Records { lines: Vec::new(), line_count: 0, ..read })
        }
        Payload::Columns(columns) => {
            let rows = columns.rows();
            projection.packed(rows, columns.into_columns().into_iter().map(|column| (column.name.clone(), values(&column))).collect())
        }
    }
}

/// Returns a packed column as values. The runtime has checked its shape.
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
            ColumnData::Jsons(texts) => {
                let text = texts.get(row).unwrap_or("null");
                if !push_json_text(&mut out, text) {
                    // Not JSON after all: kept as text, so that the user sees it.
                    out.push(Tag::Text, text);
                }
            }
        }
    }
    out
}
