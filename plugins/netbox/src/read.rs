//! Reading a list page by page, so that nothing is left out while others delete.
//!
//! NetBox's usual paging by offset skips survivors: when 3 objects of the first page are deleted, the second page begins 3 objects
//! too late. Three ways of reading do not, or notice. The cursor ([`Position`]) says which one a load is in:
//!
//! | way | servers | what is asked | why it is sound |
//! |---|---|---|---|
//! | start | NetBox 4.6 and newer | `start=<id>`, from `next` | the server pages by id, and does not count |
//! | after | older | `ordering=id&id__gte=<last id + 1>` | the same, by an ordinary filter |
//! | offset | lists that ignore that filter (some plugins') | `ordering=id&offset=<n>` | after each page, the object before it must still be where it was; else the load fails as a conflict |
//!
//! NetBox ignores parameters that it does not know, so each way is believed only when the answer shows it: `start` by a `count` of
//! null, `id__gte` by ids that are larger. A filter by time goes with the first two ways. The first page is asked with `start=0`. Where the server does not know `start` and
//! there is more than one page, it is asked again in order of id: one request more a list, and nothing has to be remembered.

use infrahub_sync_adapter::{Error, LoadRequest, Page, Query, Response, Result, http};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{PAGE_SIZE, clock, refusal};

/// Where to go on: the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Position {
    /// The server's own cursor: the first id to give.
    Start(u64),
    /// Behind this id; `read` objects were read so far.
    After { id: u64, read: u64 },
    /// Behind this many objects, the last of which had the id `last`. Objects without ids can only be counted: `count`.
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
    /// None when the answer is no list as NetBox gives them.
    fn of(response: &Response) -> Option<Envelope> {
        let mut members = response.json(&["/count", "/next"]).into_iter();
        let (count, next) = (members.next()??, members.next()??);
        Some(Envelope { count: serde_json::from_str(&count).ok()?, next: serde_json::from_str(&next).ok()? })
    }

    /// The `start` of the address of the next page. Only that is taken of it: the server's idea of its own address is often wrong
    /// behind a proxy.
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
    /// Only what was changed from a moment on: the filter's name, and the moment.
    filter: Option<(&'static str, Timestamp)>,
}

impl<'r> List<'r> {
    pub(crate) fn new(path: &'r str, request: &'r LoadRequest) -> List<'r> {
        let mut fields = request.top_level_fields();
        // The paths of a mapping may be empty: then whole records are wanted.
        if !fields.is_empty() && !fields.contains(&"id") {
            fields.insert(0, "id");
        }
        List { path, request, limit: request.page_size.clamp(1, PAGE_SIZE), fields: fields.join(","), filter: None }
    }

    /// Only what was changed from then on. Whether NetBox knows the filter shows in what it answers.
    pub(crate) fn with_filter(mut self, name: &'static str, from: Timestamp) -> List<'r> {
        self.filter = Some((name, from));
        self
    }

    /// Has one more field in the records.
    pub(crate) fn with_field(mut self, name: &str) -> List<'r> {
        if !self.fields.is_empty() && !self.fields.split(',').any(|field| field == name) {
            self.fields = format!("{},{name}", self.fields);
        }
        self
    }

    /// Reads the page that is asked for.
    pub(crate) fn page(&self) -> Result<Page> {
        match self.request.cursor_as()? {
            None => self.first(),
            Some(Position::Start(start)) => self.at_start(start),
            Some(Position::After { id, read }) => self.after(id, read),
            Some(Position::Offset { read, last, count }) => self.at_offset(read, last, count),
        }
    }

    /// The number of all objects; none when NetBox does not count them.
    pub(crate) fn total(&self) -> Result<Option<u64>> {
        let response = self.success(http::get(Query::new(self.path).with("limit", 1).with("fields", "id")).send()?)?;
        Ok(Envelope::of(&response).and_then(|envelope| envelope.count))
    }

    /// The address of a page, without its position.
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

    /// Sends a query and wants a list.
    fn get(&self, query: Query) -> Result<(Response, Envelope)> {
        let response = self.success(self.send(query)?)?;
        match Envelope::of(&response) {
            Some(envelope) => Ok((response, envelope)),
            None => Err(self.no_list(&response)),
        }
    }

    fn success(&self, response: Response) -> Result<Response> {
        if response.is_success() { Ok(response) } else { Err(refusal::error(&self.request.resource, self.path, &response)) }
    }

    fn no_list(&self, response: &Response) -> Error {
        refusal::no_list(&self.request.resource, self.path, response)
    }

    /// The first page, with the clock of its first answer: what is changed while the others are read is after that.
    fn first(&self) -> Result<Page> {
        let response = self.send(self.at().with("start", 0))?;
        let date = clock::date(&response);
        let page = self.first_of(response)?;
        Ok(match date {
            Some(date) => page.with_watermark(&date.to_string()),
            None => page,
        })
    }

    fn first_of(&self, response: Response) -> Result<Page> {
        // A plugin's list may be strict about parameters that it does not know.
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
            // `plugins.installed_plugins` and its like are bare lists, of one page.
            None if response.count("").is_some() => Ok(Page::document(response, "")),
            None => Err(self.no_list(&response)),
        }
    }

    fn at_start(&self, start: u64) -> Result<Page> {
        let (response, envelope) = self.get(self.at().with("start", start))?;
        self.start_page(response, &envelope, start)
    }

    fn start_page(&self, response: Response, envelope: &Envelope, start: u64) -> Result<Page> {
        let next = envelope.next_start();
        // A server that sends us round in circles, or on without saying where to, must not be followed.
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
            // What changes meanwhile moves into the list at any place.
            return Err(Error::unsupported(format!("NetBox cannot page by id through `{}`", self.request.resource)));
        }
        let (response, envelope) = self.get(self.at().with("ordering", "id").with("offset", read))?;
        // Asked after the page: whatever was deleted before the page was made shows now.
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
                "`{}` was changed in NetBox while it was read page by page, so that some of it may have been left out: run again",
                self.request.resource
            )));
        }
        let (records, _, new_last) = ids(&response);
        let next = Position::Offset { read: read + records, last: new_last, count: envelope.count };
        Page::document(response, "/results").with_next(envelope.next.filter(|_| records > 0).map(|_| next))
    }
}

/// The number of records on a page, and the ids of the first and the last one.
fn ids(response: &Response) -> (u64, Option<u64>, Option<u64>) {
    let records = response.count("/results").unwrap_or(0);
    let last = format!("/results/{}/id", records.saturating_sub(1));
    let mut found = response.json(&["/results/0/id", &last]).into_iter().map(|id| id?.parse::<u64>().ok());
    (u64::from(records), found.next().flatten(), found.next().flatten())
}
