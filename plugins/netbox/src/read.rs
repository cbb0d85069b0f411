//! Reads a list page by page, so that no object is left out while other users delete.
//!
//! NetBox's usual paging by offset skips objects: when 3 objects of the first page are deleted, the second page begins 3 objects
//! too late. Three ways of reading avoid or detect that. The cursor ([`Position`]) names the way of a load:
//!
//! | way | servers | request | why nothing is lost |
//! |---|---|---|---|
//! | start | NetBox 4.6 and newer | `start=<id>`, from `next` | the server pages by id, and does not count |
//! | after | older | `ordering=id&id__gte=<last id + 1>` | the same, by an ordinary filter |
//! | offset | lists that ignore that filter (some plugins') | `ordering=id&offset=<n>` | after each page, the object before it must still be at its place; else the load fails as a conflict |
//!
//! NetBox ignores unknown parameters, so each way counts only when the answer proves it: `start` by a `count` of null, `id__gte` by
//! larger ids. A filter by time works with the first two ways. The first request has `start=0`. Where the server does not know `start` and
//! there is more than one page, the adapter asks again in order of id: one request more a list, and no state.

use infrahub_sync_adapter::{Error, ErrorKind, LoadRequest, Moment, Page, Query, Response, Result, http};
use serde::{Deserialize, Serialize};

use crate::{LIST_NAMES, NETBOX, PAGE_SIZE};

/// The cursor: where to continue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Position {
    /// The server's own cursor: the first id to give.
    Start(u64),
    /// After this id; `read` objects were read so far.
    After { id: u64, read: u64 },
    /// After this number of objects, the last of which had the id `last`. Objects without ids can only be counted: `count`.
    Offset { read: u64, last: Option<u64>, count: Option<u64> },
}

/// The members of an answer beside the records.
#[derive(Debug)]
struct Envelope {
    /// None when the server pages by `start`.
    count: Option<u64>,
    next: Option<String>,
}

impl Envelope {
    /// Reads it; none when the answer is not a list of NetBox.
    fn of(response: &Response) -> Option<Envelope> {
        let mut members = response.json(&["/count", "/next"]).into_iter();
        let (count, next) = (members.next()??, members.next()??);
        Some(Envelope { count: serde_json::from_str(&count).ok()?, next: serde_json::from_str(&next).ok()? })
    }

    /// Returns the `start` in the address of the next page. The rest of that address is ignored: behind a proxy it is often wrong.
    fn next_start(&self) -> Option<u64> {
        let (_, query) = self.next.as_deref()?.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix("start="))?.parse().ok()
    }
}

/// A list that is being read.
pub(crate) struct List<'r> {
    path: &'r str,
    request: &'r LoadRequest,
    /// Objects to ask for.
    limit: u32,
    /// `fields=`: without it an interface is four times as large, and NetBox four times as slow.
    fields: String,
    /// Restricts it to objects modified from a moment on: the filter's name, and the moment.
    filter: Option<(&'static str, Moment)>,
}

impl<'r> List<'r> {
    pub(crate) fn new(path: &'r str, request: &'r LoadRequest) -> List<'r> {
        let mut fields = request.top_level_fields();
        // Without paths, whole records are read.
        if !fields.is_empty() && !fields.contains(&"id") {
            fields.insert(0, "id");
        }
        List { path, request, limit: request.page_size.clamp(1, PAGE_SIZE), fields: fields.join(","), filter: None }
    }

    /// Restricts it to objects modified from then on. The answer shows whether NetBox knows the filter.
    pub(crate) fn with_filter(mut self, name: &'static str, from: Moment) -> List<'r> {
        self.filter = Some((name, from));
        self
    }

    /// Adds a field to the records.
    pub(crate) fn with_field(mut self, name: &str) -> List<'r> {
        if !self.fields.is_empty() && !self.fields.split(',').any(|field| field == name) {
            self.fields = format!("{},{name}", self.fields);
        }
        self
    }

    /// Reads the requested page.
    pub(crate) fn page(&self) -> Result<Page> {
        match self.request.cursor_as()? {
            None => self.first(),
            Some(Position::Start(start)) => self.at_start(start),
            Some(Position::After { id, read }) => self.after(id, read),
            Some(Position::Offset { read, last, count }) => self.at_offset(read, last, count),
        }
    }

    /// Returns the number of all objects; none when NetBox does not count them.
    pub(crate) fn total(&self) -> Result<Option<u64>> {
        let response = self.success(http::get(Query::new(self.path).with("limit", 1).with("fields", "id")).send()?)?;
        Ok(Envelope::of(&response).and_then(|envelope| envelope.count))
    }

    /// Returns the address of a page, without its position.
    fn at(&self) -> Query {
        let query = Query::new(self.path).with("limit", self.limit);
        match self.filter {
            Some((name, from)) => query.with(name, from),
            None => query,
        }
    }

    /// Sends a query; any status is a success.
    fn send(&self, query: Query) -> Result<Response> {
        http::get(if self.fields.is_empty() { query } else { query.with("fields", &self.fields) }).send()
    }

    /// Sends a query for a list.
    fn get(&self, query: Query) -> Result<(Response, Envelope)> {
        let response = self.success(self.send(query)?)?;
        match Envelope::of(&response) {
            Some(envelope) => Ok((response, envelope)),
            None => Err(NETBOX.unexpected(&self.request.resource, &response)),
        }
    }

    fn success(&self, response: Response) -> Result<Response> {
        let resource = &self.request.resource;
        NETBOX.success(resource, response).map_err(|error| match error.kind {
            ErrorKind::NotFound => {
                let message = format!("NetBox has no list `{resource}` (at {}): {LIST_NAMES}", self.path);
                Error { kind: ErrorKind::Config, message, ..error }
            }
            _ => error,
        })
    }

    /// Reads the first page. The watermark is the time of its first answer: objects modified while the other pages are read are later.
    fn first(&self) -> Result<Page> {
        let response = self.send(self.at().with("start", 0))?;
        let date = response.date();
        let page = self.first_of(response)?;
        Ok(match date {
            Some(date) => page.with_watermark(&date.to_string()),
            None => page,
        })
    }

    fn first_of(&self, response: Response) -> Result<Page> {
        // A plugin's list may reject unknown parameters.
        if response.status() == 400 {
            response.release();
            return self.first_by_id();
        }
        let response = self.success(response)?;
        match Envelope::of(&response) {
            Some(envelope) if envelope.count.is_none() => self.start_page(response, &envelope, 0),
            Some(Envelope { next: None, .. }) => Ok(Page::document(response, "/results")),
            Some(_) => {
                response.release();
                self.first_by_id()
            }
            // `plugins.installed_plugins` and similar ones are bare lists, of one page.
            None if response.count("").is_some() => Ok(Page::document(response, "")),
            None => Err(NETBOX.unexpected(&self.request.resource, &response)),
        }
    }

    fn at_start(&self, start: u64) -> Result<Page> {
        let (response, envelope) = self.get(self.at().with("start", start))?;
        self.start_page(response, &envelope, start)
    }

    fn start_page(&self, response: Response, envelope: &Envelope, start: u64) -> Result<Page> {
        let next = envelope.next_start();
        // A server that leads in circles, or nowhere, must not be followed.
        if envelope.next.is_some() && next.is_none_or(|next| next <= start) {
            return Err(Error::remote(format!(
                "NetBox's answer for `{}` from id {start} on names {:?} as the next page",
                self.request.resource, envelope.next
            )));
        }
        Page::document(response, "/results").with_next(next.map(Position::Start))
    }

    fn first_by_id(&self) -> Result<Page> {
        let (response, envelope) = self.get(self.at().with("ordering", "id"))?;
        let (records, _, last) = ids(&response);
        let next = match last {
            Some(id) => Position::After { id, read: records },
            None => Position::Offset { read: records, last: None, count: envelope.count },
        };
        Page::document(response, "/results").with_next(envelope.next.map(|_| next))
    }

    fn after(&self, id: u64, read: u64) -> Result<Page> {
        let (response, envelope) = self.get(self.at().with("ordering", "id").with("id__gte", id + 1))?;
        let (records, first, last) = ids(&response);
        if first.is_some_and(|first| first <= id) {
            response.release();
            return self.at_offset(read, Some(id), None);
        }
        let next = last.filter(|_| envelope.next.is_some()).map(|id| Position::After { id, read: read + records });
        Page::document(response, "/results").with_next(next)
    }

    fn at_offset(&self, read: u64, last: Option<u64>, count: Option<u64>) -> Result<Page> {
        if self.filter.is_some() {
            // Objects modified meanwhile enter the list at any place.
            return Err(Error::unsupported(format!("NetBox cannot page by id through `{}`", self.request.resource)));
        }
        let (response, envelope) = self.get(self.at().with("ordering", "id").with("offset", read))?;
        // This request follows that of the page: objects deleted before the page was made show now.
        let moved = match last {
            Some(last) => {
                let before = read.saturating_sub(1);
                let query = Query::new(self.path).with("limit", 1).with("ordering", "id").with("offset", before);
                let (check, _) = self.get(query)?;
                ids(&check).1 != Some(last)
            }
            None => envelope.count != count,
        };
        if moved {
            return Err(Error::conflict(format!(
                "`{}` was modified in NetBox while it was read, so objects may be missing: run again",
                self.request.resource
            )));
        }
        let (records, _, new_last) = ids(&response);
        let next = Position::Offset { read: read + records, last: new_last, count: envelope.count };
        Page::document(response, "/results").with_next(envelope.next.filter(|_| records > 0).map(|_| next))
    }
}

/// Returns the number of records on a page, and the ids of the first and the last one.
fn ids(response: &Response) -> (u64, Option<u64>, Option<u64>) {
    let records = response.count("/results").unwrap_or(0);
    let last = format!("/results/{}/id", records.saturating_sub(1));
    let mut found = response.json(&["/results/0/id", &last]).into_iter().map(|id| id?.parse::<u64>().ok());
    (u64::from(records), found.next().flatten(), found.next().flatten())
}
