//! A page of records.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Columns, Error, Layout, LoadRequest, Response, Result};

/// The path at which a read returns the sync that made an object.
const OWNER: &str = "@owner";

/// "The records are at `pointer` of that response."
#[derive(Debug)]
pub struct Document {
    /// The response that holds the records; the handle goes back to the host with the page.
    pub response: Response,
    /// The layout of the records.
    pub layout: Layout,
    /// RFC 6901; empty for the whole document.
    pub pointer: String,
    /// The fields that are not at their own path: (requested dotted path, pointer within the record).
    pub projection: Vec<(String, String)>,
}

/// The records of a page, in the form that suits the adapter.
#[derive(Debug)]
pub enum Payload {
    /// The records stay with the host. The fastest form by far.
    Document(Document),
    /// Records made by the adapter: one JSON object a line.
    JsonLines(Vec<u8>),
    /// Records made by the adapter: packed columns.
    Columns(Columns),
}

/// A page of records.
#[derive(Debug)]
pub struct Page {
    /// The records.
    pub payload: Payload,
    /// Where to continue; none on the last page.
    pub next: Option<Vec<u8>>,
    /// The `since` of the next run. Read on the first page of a load.
    pub watermark: Option<String>,
    /// Ids of objects deleted since `since`, where the system tells; else the host finds out.
    pub deleted: Option<Vec<String>>,
    /// The number of objects that the resource has, where the system tells.
    pub total: Option<u64>,
    /// The reason why the answer is incomplete, if the system says so.
    pub partial: Option<String>,
}

impl Page {
    /// Makes a last page of this payload.
    #[must_use]
    pub fn new(payload: Payload) -> Page {
        Page { payload, next: None, watermark: None, deleted: None, total: None, partial: None }
    }

    /// Makes a page whose records are the array (or the values of the object) at the pointer of the response's JSON.
    #[must_use]
    pub fn document(response: Response, pointer: &str) -> Page {
        let pointer = pointer.to_owned();
        Page::new(Payload::Document(Document { response, layout: Layout::Json, pointer, projection: Vec::new() }))
    }

    /// Makes a page whose records are the lines of the response.
    #[must_use]
    pub fn lines(response: Response) -> Page {
        let layout = Layout::JsonLines;
        Page::new(Payload::Document(Document { response, layout, pointer: String::new(), projection: Vec::new() }))
    }

    /// Makes a page of the adapter's own records.
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

    /// Makes a page without records.
    #[must_use]
    pub fn empty() -> Page {
        Page::new(Payload::JsonLines(Vec::new()))
    }

    /// Says where to continue: any value that can be written as JSON. None: this was the last page.
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

    /// Sets the `since` of the next run.
    #[must_use]
    pub fn with_watermark(mut self, watermark: &str) -> Page {
        self.watermark = Some(watermark.to_owned());
        self
    }

    /// Says why the answer is incomplete. The host deletes nothing that is missing from it.
    #[must_use]
    pub fn with_partial(mut self, reason: &str) -> Page {
        self.partial = Some(reason.to_owned());
        self
    }
}

impl LoadRequest {
    /// Makes a request for all records of a resource, without targets: for a list that the adapter reads for itself.
    #[must_use]
    pub fn new(resource: &str, fields: &[&str], page_size: u32) -> LoadRequest {
        LoadRequest {
            resource: resource.to_owned(),
            targets: Vec::new(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            ids: Vec::new(),
            page_size,
            cursor: None,
            since: None,
        }
    }

    /// Returns the cursor that an earlier page gave to [`Page::with_next`]; none for the first page.
    ///
    /// # Errors
    /// `internal` when it is not such a cursor.
    pub fn cursor_as<C: DeserializeOwned>(&self) -> Result<Option<C>> {
        self.cursor
            .as_deref()
            .map(|bytes| {
                serde_json::from_slice(bytes).map_err(|error| Error::internal(format!("the cursor is not from this adapter: {error}")))
            })
            .transpose()
    }

    /// Returns the top-level names of the fields that are read (`site.slug` is `site`), each once, in order. `@owner` is not among them:
    /// see [`wants_owner`](Self::wants_owner).
    #[must_use]
    pub fn top_level_fields(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for field in &self.fields {
            let name = field.split('.').next().unwrap_or(field);
            if !name.is_empty() && name != OWNER && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Says whether the name of the sync that made an object is asked for, at the path `@owner`.
    #[must_use]
    pub fn wants_owner(&self) -> bool {
        self.fields.iter().any(|field| field == OWNER)
    }
}
