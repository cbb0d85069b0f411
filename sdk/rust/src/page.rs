//! A page of records.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Columns, Error, Layout, LoadRequest, Response, Result};

/// "The records are at `pointer` of that response."
#[derive(Debug)]
pub struct Document {
    /// Where they are; the handle goes back to the host with the page.
    pub response: Response,
    /// How they lie.
    pub layout: Layout,
    /// RFC 6901; empty for the whole document.
    pub pointer: String,
    /// Fields that are not at their own path: (dotted path that was asked for, pointer within the record).
    pub projection: Vec<(String, String)>,
}

/// The records of a page, in the form that suits the adapter.
#[derive(Debug)]
pub enum Payload {
    /// They stay with the host. The fastest by far.
    Document(Document),
    /// One JSON object a line, made by the adapter.
    JsonLines(Vec<u8>),
    /// Packed columns, made by the adapter.
    Columns(Columns),
}

/// A page of records.
#[derive(Debug)]
pub struct Page {
    /// The records.
    pub payload: Payload,
    /// Where to go on; none on the last page.
    pub next: Option<Vec<u8>>,
    /// What the host hands over as `since` next time. Read on the first page of a load.
    pub watermark: Option<String>,
    /// Ids of objects deleted since `since`, where the system tells; else the host finds out.
    pub deleted: Option<Vec<String>>,
    /// The objects that the resource has, where the system tells.
    pub total: Option<u64>,
}

impl Page {
    /// A last page with this payload.
    #[must_use]
    pub fn new(payload: Payload) -> Page {
        Page { payload, next: None, watermark: None, deleted: None, total: None }
    }

    /// The records are the array (or the values of the object) at the pointer of the response's JSON.
    #[must_use]
    pub fn document(response: Response, pointer: &str) -> Page {
        let pointer = pointer.to_owned();
        Page::new(Payload::Document(Document { response, layout: Layout::Json, pointer, projection: Vec::new() }))
    }

    /// The records are the lines of the response.
    #[must_use]
    pub fn lines(response: Response) -> Page {
        let layout = Layout::JsonLines;
        Page::new(Payload::Document(Document { response, layout, pointer: String::new(), projection: Vec::new() }))
    }

    /// The adapter made the records.
    ///
    /// # Errors
    /// `internal` when one cannot be written as JSON.
    pub fn records<T: Serialize>(records: impl IntoIterator<Item = T>) -> Result<Page> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, &record)
                .map_err(|error| Error::internal(format!("a record cannot be written as JSON: {error}")))?;
            lines.push(b'\n');
        }
        Ok(Page::new(Payload::JsonLines(lines)))
    }

    /// No records.
    #[must_use]
    pub fn empty() -> Page {
        Page::new(Payload::JsonLines(Vec::new()))
    }

    /// Says where to go on: any value that can be written as JSON. None: this was the last page.
    ///
    /// # Errors
    /// `internal` when it cannot be written as JSON.
    pub fn with_next<C: Serialize>(mut self, cursor: Option<C>) -> Result<Page> {
        self.next = match cursor {
            Some(cursor) => Some(
                serde_json::to_vec(&cursor).map_err(|error| Error::internal(format!("the cursor cannot be written as JSON: {error}")))?,
            ),
            None => None,
        };
        Ok(self)
    }

    /// Says which objects were deleted since `since`.
    #[must_use]
    pub fn with_deleted(mut self, ids: Vec<String>) -> Page {
        self.deleted = Some(ids);
        self
    }

    /// Says how many objects the resource has.
    #[must_use]
    pub fn with_total(mut self, objects: u64) -> Page {
        self.total = Some(objects);
        self
    }

    /// Says what to hand over as `since` next time.
    #[must_use]
    pub fn with_watermark(mut self, watermark: &str) -> Page {
        self.watermark = Some(watermark.to_owned());
        self
    }
}

impl LoadRequest {
    /// The cursor that an earlier page gave to [`Page::with_next`]; none for the first page.
    ///
    /// # Errors
    /// `internal` when it is not such a cursor.
    pub fn cursor_as<C: DeserializeOwned>(&self) -> Result<Option<C>> {
        self.cursor
            .as_deref()
            .map(|bytes| {
                serde_json::from_slice(bytes).map_err(|error| Error::internal(format!("the cursor is not one of this adapter: {error}")))
            })
            .transpose()
    }

    /// The top-level names of the fields that the mapping reads (`site.slug` is `site`), each once, in order.
    #[must_use]
    pub fn top_level_fields(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for field in &self.fields {
            let name = field.split('.').next().unwrap_or(field);
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}
