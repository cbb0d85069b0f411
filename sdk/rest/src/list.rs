//! Reads a list page by page, so that no object is left out while other users delete.
//!
//! The usual paging by offset skips objects: when 3 objects of the first page are deleted, the second page begins 3 objects
//! too late. Four ways of reading avoid or detect that. The cursor ([`Position`]) names the way of a load:
//!
//! | way | servers | request | why nothing is lost |
//! |---|---|---|---|
//! | start | NetBox 4.6 and newer | `start=<id>`, from `next` | the server pages by id, and does not count |
//! | after | older, Peering Manager | `ordering=id&id__gte=<last id + 1>` | the same, by an ordinary filter |
//! | offset | lists that ignore that filter (some plugins') | `ordering=id&offset=<n>` | after each page, the object before it must still be at its place; else the load fails as a conflict |
//! | totals | Nautobot, whose ids have no order | `offset=<n>` | each page tells the number of all objects; when it changes, the host reads the list again. The change log proves deletes |
//!
//! Servers ignore unknown parameters, so each way counts only when the answer proves it: `start` by a `count` of null, `id__gte` by
//! larger ids. A filter by time works with the first two ways. The first request has `start=0`. Where the server does not know `start` and
//! there is more than one page, the adapter asks again in order of id: one request more a list, and no state.

use infrahub_sync_adapter::{Error, ErrorKind, LoadRequest, Moment, Page, Query, Response, Result, http};
use serde::{Deserialize, Serialize};

use crate::Api;
use crate::changes::first_newest;
use crate::system::{Paging, Selection};
use crate::tags;

/// The deepest that a path leads into references: what Nautobot allows.
const DEPTH_MAX: usize = 10;

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
    /// After this number of objects, of a list that tells its total on each page.
    Total { read: u64 },
}

/// The members of an answer beside the records.
#[derive(Debug)]
struct Envelope {
    /// None when the server pages by `start`.
    count: Option<u64>,
    next: Option<String>,
}

impl Envelope {
    /// Reads it; none when the answer is not a list.
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
    api: &'r Api,
    path: &'r str,
    request: &'r LoadRequest,
    /// Objects to ask for.
    limit: u32,
    /// `fields=`: without it an interface is four times as large, and NetBox four times as slow. Empty where it is not known.
    fields: String,
    /// Restricts it to objects modified from a moment on: the filter's name, and the moment.
    filter: Option<(&'static str, Moment)>,
}

impl<'r> List<'r> {
    pub(crate) fn new(api: &'r Api, path: &'r str, request: &'r LoadRequest) -> List<'r> {
        let mut fields = request.top_level_fields();
        // Without paths, whole records are read.
        if !fields.is_empty() && !fields.contains(&"id") {
            fields.insert(0, "id");
        }
        let fields = if api.system.selection == Selection::Fields { fields.join(",") } else { String::new() };
        List { api, path, request, limit: request.page_size.clamp(1, api.system.page_size), fields, filter: None }
    }

    /// Restricts it to objects modified from then on. The answer shows whether the server knows the filter.
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
            Some(Position::Total { read }) => self.with_total(read),
            Some(Position::Start(start)) => self.at_start(start),
            Some(Position::After { id, read }) => self.after(id, read),
            Some(Position::Offset { read, last, count }) => self.at_offset(read, last, count),
        }
    }

    /// Returns the number of all objects; none when the server does not count them.
    pub(crate) fn total(&self) -> Result<Option<u64>> {
        let query = Query::new(self.path).with("limit", 1);
        let query = if self.api.system.selection == Selection::Fields { query.with("fields", "id") } else { query };
        let response = self.success(http::get(query).send()?)?;
        Ok(Envelope::of(&response).and_then(|envelope| envelope.count))
    }

    /// Returns the address of a page, without its position.
    fn at(&self) -> Query {
        let mut query = Query::new(self.path).with("limit", self.limit);
        for id in &self.request.ids {
            query = query.with("id", id);
        }
        match self.filter {
            Some((name, from)) => query.with(name, from),
            None => query,
        }
    }

    /// Sends a query; any status is a success.
    fn send(&self, query: Query) -> Result<Response> {
        let query = match self.api.system.selection {
            Selection::Fields if self.fields.is_empty() => query,
            Selection::Fields => query.with("fields", &self.fields),
            Selection::Depth => {
                let (depth, sets) = depth(self.api, &self.request.fields);
                let depth = if tags::are_plain(self.request) { depth.max(1) } else { depth };
                query.with("depth", depth).with("exclude_m2m", !sets)
            }
        };
        http::get(query).send()
    }

    /// Sends a query for a list.
    fn get(&self, query: Query) -> Result<(Response, Envelope)> {
        let response = self.success(self.send(query)?)?;
        match Envelope::of(&response) {
            Some(envelope) => Ok((response, envelope)),
            None => Err(self.api.names().unexpected(&self.request.resource, &response)),
        }
    }

    fn success(&self, response: Response) -> Result<Response> {
        known(self.api, &self.request.resource, self.path, response)
    }

    /// Reads a page of a list that tells its total. The watermark is the time of the first answer.
    fn with_total(&self, read: u64) -> Result<Page> {
        let query = if read == 0 { self.at() } else { self.at().with("offset", read) };
        // Before the list: what changes while it is read is later.
        let clock = if read == 0 { first_newest(self.api)? } else { None };
        let response = self.success(self.send(query)?)?;
        let date = response.date().or(clock);
        let Some(envelope) = Envelope::of(&response) else {
            // A bare list, of one page.
            if read == 0 && response.count("").is_some() {
                return Ok(Page::document(response, ""));
            }
            return Err(self.api.names().unexpected(&self.request.resource, &response));
        };
        let records = u64::from(response.count("/results").unwrap_or(0));
        let next = envelope.next.filter(|_| records > 0).map(|_| Position::Total { read: read + records });
        let page = Page::document(response, "/results").with_next(next)?;
        let page = match date {
            Some(date) if read == 0 => page.with_watermark(&date.to_string()),
            _ => page,
        };
        Ok(match envelope.count {
            Some(count) if self.request.ids.is_empty() && self.filter.is_none() => page.with_total(count),
            _ => page,
        })
    }

    /// Reads the first page. The watermark is the time of its first answer: objects modified while the other pages are read are later.
    fn first(&self) -> Result<Page> {
        let query = match self.api.system.paging {
            Paging::Totals => return self.with_total(0),
            Paging::Ids { cursor: true } => self.at().with("start", 0),
            Paging::Ids { cursor: false } => self.at().with("ordering", "id"),
        };
        let response = self.send(query)?;
        let date = response.date();
        let page = match self.api.system.paging {
            Paging::Ids { cursor: true } => self.first_of(response)?,
            _ => self.first_by_id_of(self.success(response)?)?,
        };
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
            None => Err(self.api.names().unexpected(&self.request.resource, &response)),
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
                "{}'s answer for `{}` from id {start} on names {:?} as the next page",
                self.api.system.name, self.request.resource, envelope.next
            )));
        }
        Page::document(response, "/results").with_next(next.map(Position::Start))
    }

    fn first_by_id(&self) -> Result<Page> {
        let response = self.success(self.send(self.at().with("ordering", "id"))?)?;
        self.first_by_id_of(response)
    }

    fn first_by_id_of(&self, response: Response) -> Result<Page> {
        let Some(envelope) = Envelope::of(&response) else {
            if self.api.system.paging == (Paging::Ids { cursor: false }) && response.count("").is_some() {
                return Ok(Page::document(response, ""));
            }
            return Err(self.api.names().unexpected(&self.request.resource, &response));
        };
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
            let name = self.api.system.name;
            return Err(Error::unsupported(format!("{name} cannot page by id through `{}`", self.request.resource)));
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
                "`{}` was modified in {} while it was read, so objects may be missing: run again",
                self.request.resource, self.api.system.name
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

/// Returns a response of a list that exists.
pub(crate) fn known(api: &Api, resource: &str, path: &str, response: Response) -> Result<Response> {
    api.names().success(resource, response).map_err(|error| match error.kind {
        ErrorKind::NotFound => {
            let list = path.strip_prefix(api.prefix).unwrap_or(path);
            let hint = api.system.hints.iter().find(|(old, _)| *old == list).map(|(_, hint)| *hint);
            let message = format!("{} has no list `{resource}` (at {path}): {}", api.system.name, hint.unwrap_or(api.system.list_names));
            Error { kind: ErrorKind::Config, message, ..error }
        }
        _ => error,
    })
}

/// Returns how deep the paths lead into references, and whether sets are among them.
fn depth(api: &Api, paths: &[String]) -> (usize, bool) {
    // Without paths, whole records are read.
    let mut sets = paths.is_empty();
    let mut deepest = 0;
    for path in paths {
        let segments: Vec<&str> = path.split('.').filter(|part| !part.bytes().all(|byte| byte.is_ascii_digit())).collect();
        let Some(first) = segments.first() else { continue };
        sets |= !api.system.models.is_single(first);
        if *first == "custom_fields" || api.system.models.is_column(first) {
            continue;
        }
        let inside = match segments.as_slice() {
            [.., "value" | "label" | "id" | "url" | "object_type"] => segments.len().saturating_sub(2),
            _ => segments.len().saturating_sub(1),
        };
        deepest = deepest.max(inside);
    }
    (deepest.min(DEPTH_MAX), sets)
}
